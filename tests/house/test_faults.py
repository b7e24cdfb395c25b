# SPDX-License-Identifier: GPL-3.0-or-later
"""Every failure has a code, a sentence and a hint, and every code stands in docs/fault-codes.md."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from .sources import ROOMS, ROOT, name_of, python_files

pytestmark = pytest.mark.unit

KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
ROW = re.compile(r"^\| ([a-z0-9-]+) \|", re.MULTILINE)


def faults() -> list[tuple[Path, ast.Call]]:
    """Every place that makes a fault."""
    found = []
    for path in python_files(*ROOMS):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Fault":
                found.append((path, node))
    return found


FAULTS = faults()


def test_every_fault_has_a_code_a_sentence_and_a_hint() -> None:
    assert len(FAULTS) > 300, "the check looks past them"
    poor = [
        f"{name_of(path)}:{call.lineno}"
        for path, call in FAULTS
        if len(call.args) < 3 or any(isinstance(part, ast.Constant) and not str(part.value).strip() for part in call.args[:3])
    ]
    assert poor == []


def test_codes_are_words_with_dashes_and_sentences_end() -> None:
    for path, call in FAULTS:
        code, sentence = call.args[:2]
        where = f"{name_of(path)}:{call.lineno}"
        if isinstance(code, ast.Constant):
            assert KEBAB.fullmatch(str(code.value)), where
        if isinstance(sentence, ast.Constant):
            assert str(sentence.value).rstrip().endswith((".", "!", "?")), where


def test_the_table_of_codes_is_whole() -> None:
    used = {str(call.args[0].value) for _, call in FAULTS if isinstance(call.args[0], ast.Constant)}
    listed = ROW.findall((ROOT / "docs" / "fault-codes.md").read_text(encoding="utf-8"))
    assert len(listed) == len(set(listed))
    listed_here = set(listed) - {"code"}
    assert used - listed_here == set(), "not in docs/fault-codes.md"
    source = "\n".join(path.read_text(encoding="utf-8") for path in python_files(*ROOMS))
    assert [code for code in listed_here - used if f'"{code}"' not in source and code.split("-", 1)[1] not in source] == []
