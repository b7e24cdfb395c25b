# SPDX-License-Identifier: GPL-3.0-or-later
"""Small wheels made on the spot, so that the set-up can be tested without a network."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path


def make_wheel(folder: Path, name: str, version: str, files: dict[str, str], local: str = "") -> Path:
    """A wheel with text ``files`` by their names; ``local``: a local version such as "+cpu"."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = f"{version}{local}"
    path = folder / f"{name}-{whole}-py3-none-any.whl"
    about = f"{name}-{whole}.dist-info"
    content = dict(files)
    content[f"{about}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {whole}\n"
    content[f"{about}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = [f"{file},sha256={_digest(text)},{len(text.encode())}" for file, text in content.items()]
    content[f"{about}/RECORD"] = "\n".join([*record, f"{about}/RECORD,,"]) + "\n"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in content.items():
            archive.writestr(file, text)
    return path


def make_release(folder: Path, version: str = "0.0.1", packages: tuple[str, ...] = ("tinypackage",)) -> tuple[Path, Path]:
    """(data, wheels): a zip's data folder with wheel and lock, and the folder of wheels that the lock names."""
    data, wheels = folder / "data", folder / "wheels"
    make_wheel(data, "autter", version, {"backend/__init__.py": f"VERSION = {version!r}\n", "bridge/__init__.py": ""})
    make_wheel(wheels, "torch", "2.0.0", {"torch/__init__.py": "", "torch/large.py": "x = 1\n"}, "+cpu")
    for name in packages:
        make_wheel(wheels, name, "1.0", {f"{name}/__init__.py": ""})
    (data / "backend.txt").write_text("# a lock\ntorch==2.0.0\n" + "".join(f"{name}==1.0\n" for name in packages))
    return data, wheels


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
