# SPDX-License-Identifier: GPL-3.0-or-later
"""What no code of ours does: unpickle, start a shell, listen to the network, unpack archives, run code that came with weights."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypeGuard

import pytest

from .sources import ROOMS, ROOT, imports_of, name_of, python_files

pytestmark = pytest.mark.unit

OURS = [ROOT / "build.py", *python_files(*ROOMS, "tools")]
UNPICKLING = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "asyncio.create_subprocess_shell", "eval", "exec"}
STARTERS = {"subprocess.run", "subprocess.Popen", "subprocess.call", "subprocess.check_call", "subprocess.check_output"}
UNPACKERS = {"extractall", "extract", "unpack_archive"}
WEIGHT_LOADERS = {"torch.jit.load", "torch.hub.load", "torch.hub.load_state_dict_from_url", "yaml.load", "yaml.unsafe_load"}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def calls() -> Iterator[tuple[Path, ast.Call, str]]:
    """(file, call, dotted name of what is called) for every call in the project."""
    for path in OURS:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                yield path, node, dotted(node.func)


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def is_of_module(node: ast.AST, modules: set[str]) -> TypeGuard[ast.Attribute]:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules


def where(path: Path, node: ast.AST) -> str:
    return f"{name_of(path)}:{getattr(node, 'lineno', 0)}"


def given(call: ast.Call, name: str) -> object:
    """The constant given for a keyword; the word "absent" where it is not given."""
    found = [keyword.value for keyword in call.keywords if keyword.arg == name]
    return getattr(found[0], "value", "not a constant") if found else "absent"


def test_nothing_is_unpickled() -> None:
    importing = {path for path in OURS for name, _ in imports_of(path) if name.split(".")[0] in UNPICKLING}
    used = {f"{node.value.id}.{node.attr}" for path in importing for node in ast.walk(tree(path)) if is_of_module(node, UNPICKLING)}
    assert used <= {"pickle.UnpicklingError"}, "to name the error of a refused file is all that is allowed"
    loads = [(path, call) for path, call, name in calls() if name in ("np.load", "numpy.load")]
    assert len(loads) > 10, "the check looks past them"
    assert [where(path, call) for path, call in loads if given(call, "allow_pickle") is not False] == []


def test_weights_bring_no_code_along() -> None:
    loads = [(path, call) for path, call, name in calls() if name == "torch.load"]
    assert loads and [where(path, call) for path, call in loads if given(call, "weights_only") is not True] == []
    assert [where(path, call) for path, call, name in calls() if name in WEIGHT_LOADERS] == []
    found = [where(path, call) for path, call, _ in calls() if given(call, "trust_remote_code") not in ("absent", False)]
    assert found == []


def test_pretrained_parts_are_local_or_safetensors() -> None:
    """What transformers and diffusers load is named by folder, or refuses pickled weights."""
    loads = [(path, call) for path, call, name in calls() if name.endswith(".from_pretrained")]
    careless = [
        where(path, call)
        for path, call in loads
        if given(call, "local_files_only") is not True
        and given(call, "use_safetensors") is not True
        and given(call, "trust_remote_code") is not False
    ]
    assert loads and careless == []


def test_no_shell_is_started() -> None:
    found = [where(path, call) for path, call, name in calls() if name in SHELLS or given(call, "shell") not in ("absent", False)]
    assert found == []
    starts = [(path, call) for path, call, name in calls() if name in STARTERS]
    assert len(starts) > 5, "the check looks past them"
    texts = [where(path, call) for path, call in starts if call.args and isinstance(call.args[0], (ast.Constant, ast.JoinedStr))]
    assert texts == [], "a command is a list of words"


def test_nothing_listens_to_other_computers() -> None:
    binders = [(path, call) for path, call, name in calls() if name.endswith(".bind") and any(n == "socket" for n, _ in imports_of(path))]
    inside = [(name_of(path), ast.unparse(call.args[0])) for path, call in binders if name_of(path).split("/")[0] in ROOMS]
    assert len(inside) >= 2
    assert [place for place in inside if not place[1].startswith(("('127.0.0.1'", "(LOOPBACK,", "str(path)"))] == []
    assert [name_of(path) for path in OURS if "0.0.0.0" in path.read_text(encoding="utf-8")] == []


def test_archives_are_read_and_never_unpacked() -> None:
    found = [
        where(path, call) for path, call, name in calls() if name.rpartition(".")[2] in UNPACKERS and name_of(path).split("/")[0] in ROOMS
    ]
    assert found == []


def test_the_sockets_messages_are_bytes() -> None:
    """``Connection.send`` and ``recv`` pickle; only their byte-wise siblings are called."""
    source = (ROOT / "bridge" / "channel.py").read_text(encoding="utf-8")
    methods = {
        node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute) and "_connection" in ast.dump(node.value)
    }
    assert "send_bytes" in methods and "recv_bytes" in methods and not methods & {"send", "recv"}
    connections = [name_of(path) for path in OURS for name, _ in imports_of(path) if name.startswith("multiprocessing.connection")]
    assert set(connections) == {"bridge/channel.py"}


def test_secrets_are_compared_in_constant_time() -> None:
    source = (ROOT / "bridge" / "channel.py").read_text(encoding="utf-8")
    assert "hmac.compare_digest" in source
    plain = [
        where(path, node)
        for path in OURS
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Compare)
        and any(isinstance(operator, (ast.Eq, ast.NotEq)) for operator in node.ops)
        and any(dotted(side).rpartition(".")[2].lstrip("_") in ("token", "secret", "password") for side in (node.left, *node.comparators))
    ]
    assert plain == []


def test_every_shipped_weight_file_is_what_its_card_says() -> None:
    weights = sorted((ROOT / "backend" / "weights").rglob("*.safetensors"))
    assert weights
    companions = {"motion_face"}  # read with motion.safetensors, whose reader checks it
    for path in weights:
        card = path.with_suffix(".json")
        if path.stem in companions:
            continue
        assert json.loads(card.read_text(encoding="utf-8"))["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest(), path.name
