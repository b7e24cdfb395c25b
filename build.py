#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set up, run, test and pack AUtter. Needs nothing but a Python; `python3 build.py --help` lists the commands."""

import argparse
import sys
from pathlib import Path
from typing import List, Optional

if sys.version_info < (3, 8):
    sys.exit("build.py needs Python 3.8 or newer; this one is {}.".format(sys.version.split()[0]))

sys.path.insert(0, str(Path(__file__).resolve().parent))

from tools import demo, pictures, release, suites  # noqa: E402
from tools.environments import BACKEND, BLENDERS, preferred_blender, set_up  # noqa: E402
from tools.say import BuildFault, say  # noqa: E402


def main(arguments: Optional[List[str]] = None) -> int:
    """Run one command; its exit code."""
    choice = parser().parse_args(arguments)
    try:
        return int(choice.run(choice) or 0)
    except BuildFault as fault:
        say("build.py: " + str(fault))
        return 2
    except KeyboardInterrupt:
        say("build.py: stopped.")
        return 130


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="build.py", description=__doc__)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    setup = commands.add_parser("setup", help="make the environments (backend and every Blender) without running anything")
    setup.add_argument("--only", nargs="+", metavar="NAME", choices=["backend", *BLENDERS], help="backend, 4.2, 4.5, 5.0 or 5.2")
    setup.set_defaults(run=run_setup)

    making = commands.add_parser("demo", help="set up, then make a talking shot in a real Blender: movie, .blend and contact sheet")
    demo.add_arguments(making)
    making.set_defaults(run=demo.run)

    testing = commands.add_parser("test", help="set up, then run every test here and in each Blender")
    suites.add_arguments(testing)
    testing.set_defaults(run=suites.run)

    commands.add_parser("zip", help="build and validate the extension zip in dist/").set_defaults(run=run_zip)
    commands.add_parser("lint", help="ruff and mypy").set_defaults(run=run_lint)
    commands.add_parser("pictures", help="make the pictures of the README from the demo").set_defaults(run=pictures.run)
    return top


def run_setup(choice: argparse.Namespace) -> None:
    """Make every environment, or the named ones."""
    everything = {"backend": BACKEND, **BLENDERS}
    set_up([everything[name] for name in choice.only or everything])
    release.link_bridge()
    say("Everything is set up.")


def run_zip(choice: argparse.Namespace) -> None:
    """Build the extension."""
    blender = preferred_blender()
    set_up([BACKEND, blender])
    release.build_zip(blender)


def run_lint(choice: argparse.Namespace) -> int:
    """ruff and mypy over the project."""
    set_up([BACKEND])
    return suites.lint()


if __name__ == "__main__":
    sys.exit(main())
