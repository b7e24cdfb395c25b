# SPDX-License-Identifier: GPL-3.0-or-later
"""One kind of error for everything a person can mend: a code, a sentence and a hint."""

from __future__ import annotations

from typing import Any


class Fault(Exception):
    """Something a user can understand and act on.

    ``code`` is stable and lower-case with dashes (``audio-unreadable``); ``sentence`` says what is wrong in one
    sentence; ``hint`` says what to do. The command line prints both and exits with 2; the panel shows them.
    """

    def __init__(self, code: str, sentence: str, hint: str = "", log_tail: str = "") -> None:
        super().__init__(f"{sentence} {hint}".strip())
        self.code = code
        self.sentence = sentence
        self.hint = hint
        self.log_tail = log_tail

    def to_dict(self) -> dict[str, str]:
        """Plain form for a message header."""
        return {"code": self.code, "sentence": self.sentence, "hint": self.hint, "log_tail": self.log_tail}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Fault:
        """The fault that ``to_dict`` described; absent fields become plain words."""
        return cls(
            str(data.get("code", "unknown")),
            str(data.get("sentence", "Something went wrong in the backend.")),
            str(data.get("hint", "")),
            str(data.get("log_tail", "")),
        )


def incomplete(error: ImportError, log_tail: str = "") -> Fault:
    """What it means that a part of the program cannot be imported: its environment is not whole."""
    hint = "Press Repair Backend in AUtter's preferences, or run `python -m backend doctor --fix`."
    return Fault("backend-incomplete", f"Files of the backend are missing or damaged ({error}).", hint, log_tail)
