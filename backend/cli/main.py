# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing the command, and turning whatever happens into an exit code and a sentence.

0: done. 2: something a person can mend, said in one sentence with a hint. 130: interrupted. 1: a fault of the program.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from bridge import VERSION
from bridge.faults import Fault, incomplete
from bridge.interrupt import raise_when_interrupted

PROGRAM = "autter"
COMMANDS = {
    "animate": "portrait and voice in, talking-head video out",
    "predict": "portrait and voice in, landmark track out",
    "render": "landmark track in, video out",
    "track": "landmarks and Action Unit estimates of a real video",
    "serve": "wait for jobs on a local socket (what Blender starts)",
    "verify": "what a movie says about where it comes from",
    "doctor": "look whether everything is in place",
    "prepare": "turn video collections into training data",
    "train": "train a stage's weights",
    "evaluate": "measure quality beside baselines",
    "benchmark": "measure speed",
}
EXIT_GOOD, EXIT_INTERNAL, EXIT_FAULT, EXIT_INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code."""
    _wait_asleep()
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = _chosen_command(words)
    if command is None:
        return EXIT_GOOD
    as_json = "--json" in words
    if command != "serve":  # which has its own way with signals
        raise_when_interrupted()
    try:
        return _run(command, words[1:])
    except Fault as fault:
        return _failed(fault, as_json, EXIT_INTERRUPTED if fault.code == "cancelled" else EXIT_FAULT)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        interrupted = Fault("interrupted", "Interrupted; nothing half-written was left behind.", "Run it again when you want it.")
        return _failed(interrupted, as_json, EXIT_INTERRUPTED)
    except BrokenPipeError:  # the reader of our output went away
        _give_up_output()
        return EXIT_INTERNAL
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return _stumbled(error, as_json)
        _give_up_output()
        full = Fault("disk-full", f"A disk is full ({error.filename or 'where the output goes'}).", "Make room, then run it again.")
        return _failed(full, as_json, EXIT_FAULT)
    except ImportError as error:
        return _failed(incomplete(error), as_json, EXIT_FAULT)
    except MemoryError:
        hint = "Use a smaller portrait, a shorter shot, or close other programs."
        return _failed(Fault("out-of-memory", "There was not enough memory for this.", hint), as_json, EXIT_FAULT)
    except Exception as error:  # the last resort: say what to do with it
        return _stumbled(error, as_json)


def _stumbled(error: Exception, as_json: bool) -> int:
    traceback.print_exc()
    sentence = f"AUtter {VERSION} stumbled over something it did not expect ({type(error).__name__}: {error})."
    return _failed(Fault("internal", sentence, "Please report this, with the lines above."), as_json, EXIT_INTERNAL)


def _give_up_output() -> None:
    """What still waits to be printed must not raise again at the interpreter's end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _failed(fault: Fault, as_json: bool, code: int) -> int:
    print(f"{fault.sentence} {fault.hint}".strip(), file=sys.stderr)
    _print_json({"ok": False, "fault": fault.to_dict()}, as_json)
    return code


def _wait_asleep() -> None:
    """Has torch's threads sleep where they wait for each other. They would spin, and with a core that another program needs a picture
    takes up to a hundred times as long. Read by the OpenMP libraries when they are loaded, so before anything imports torch."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("KMP_BLOCKTIME", "0")  # the same for LLVM's and Intel's


def _chosen_command(words: list[str]) -> str | None:
    """The command's name; None where help or the version was wanted and given. Leaves with 2 for an unknown one."""
    if words and words[0] in COMMANDS:
        return words[0]
    width = max(map(len, COMMANDS))
    listing = "\n".join(f"  {name:{width}}  {summary}" for name, summary in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Talking faces from a portrait, a voice and FACS Action Units.",
        epilog=f"commands:\n{listing}\n\n`{PROGRAM} COMMAND --help` tells the options of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"AUtter {VERSION}")
    parser.add_argument("command", choices=list(COMMANDS), metavar="COMMAND")
    if not words:
        parser.print_help()
        return None
    parser.parse_args(words[:1])  # prints help, version or what is wrong, and leaves
    return None


def _run(command: str, words: list[str]) -> int:
    module = importlib.import_module(f"backend.cli.{command}")
    parser = argparse.ArgumentParser(prog=f"{PROGRAM} {command}", description=module.__doc__)
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object, last")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")
    module.add_arguments(parser, words)
    arguments = parser.parse_args(words)
    report = module.run(arguments)
    _print_json({"ok": True, **report}, arguments.json)
    if report.get("cancelled"):
        return EXIT_INTERRUPTED
    return EXIT_FAULT if report.get("ok") is False else EXIT_GOOD


def _print_json(report: dict[str, Any], wanted: bool) -> None:
    if wanted:
        try:
            print(json.dumps(report, default=_plain), flush=True)
        except OSError:  # its reader is gone, or the disk is full
            _give_up_output()


def _plain(value: Any) -> Any:
    """Numbers and arrays of numpy, paths and fractions as JSON can hold them."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
