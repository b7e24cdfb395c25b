# SPDX-License-Identifier: GPL-3.0-or-later
"""What went wrong and what was done, kept for the panel and for Copy report. Runtime only: nothing goes into the file."""

from __future__ import annotations

import platform
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import bpy

from .bridge import PROTOCOL, VERSION
from .bridge.faults import Fault
from .bridge.privacy import whole_paths_wanted, without_private_paths

MOST_REPORTS = 20
LOG_BYTES = 4096  # of the end of the log: read in no time, and enough to see what came last


@dataclass(frozen=True)
class Report:
    """One sentence for the person, with a hint and the backend's last log lines where it was a fault."""

    level: str  # "ERROR", "WARNING" or "INFO"
    sentence: str
    hint: str = ""
    code: str = ""
    log_tail: str = ""
    when: float = field(default_factory=time.time)


reports: deque[Report] = deque(maxlen=MOST_REPORTS)


def latest_problem() -> Report | None:
    """The last report unless it is good news; the panel shows it until it is cleared or something succeeds."""
    return reports[-1] if reports and reports[-1].level != "INFO" else None


def note(level: str, sentence: str, hint: str = "") -> None:
    """Keeps a report."""
    reports.append(Report(level, sentence, hint))


def note_fault(fault: Fault) -> None:
    """Keeps a fault; a cancelled job is no error."""
    level = "WARNING" if fault.code == "cancelled" else "ERROR"
    reports.append(Report(level, fault.sentence, fault.hint, fault.code, fault.log_tail))


def tell_fault(operator: bpy.types.Operator, fault: Fault) -> None:
    """Shows a fault in Blender's status bar and keeps it."""
    note_fault(fault)
    operator.report({"WARNING"} if fault.code == "cancelled" else {"ERROR"}, f"{fault.sentence} {fault.hint}".strip())


def tell(operator: bpy.types.Operator, sentence: str, level: str = "INFO", hint: str = "") -> None:
    """Shows a sentence in Blender's status bar and keeps it."""
    note(level, sentence, hint)
    operator.report({level}, f"{sentence} {hint}".strip())


def reporting(execute: Callable[..., set[str]]) -> Callable[..., set[str]]:
    """Wraps an operator's ``execute``: a Fault becomes one sentence with a hint, and CANCELLED."""

    @wraps(execute)
    def wrapped(self: bpy.types.Operator, context: bpy.types.Context) -> set[str]:
        try:
            return execute(self, context)
        except Fault as fault:
            tell_fault(self, fault)
            return {"CANCELLED"}

    return wrapped


def as_text(facts: dict[str, Any], log: Path | None = None) -> str:
    """Everything that helps to understand a problem, as plain text for the clipboard, without private folders and names.

    ``log``: the backend's log file, whose end goes along.
    """
    lines = [
        f"AUtter {VERSION} (protocol {PROTOCOL}), Blender {bpy.app.version_string}, Python {platform.python_version()}",
        platform.platform(),
        *(f"{name}: {value}" for name, value in facts.items()),
    ]
    for report in reports:
        moment = time.strftime("%H:%M:%S", time.localtime(report.when))
        lines += ["", f"{moment} {report.level} {report.code}".rstrip(), report.sentence]
        lines += [line for line in (report.hint, report.log_tail) if line]
    if log is not None and (last := _last_lines(log)):
        lines += ["", "The end of the backend's log:", last]
    text = "\n".join(lines) + "\n"
    return text if whole_paths_wanted() else without_private_paths(text)


def _last_lines(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(log.stat().st_size - LOG_BYTES, 0))
            text = file.read(LOG_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    return text.partition("\n")[2].strip() if len(text) >= LOG_BYTES else text.strip()
