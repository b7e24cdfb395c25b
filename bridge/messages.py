# SPDX-License-Identifier: GPL-3.0-or-later
"""What crosses the socket: a JSON header and raw arrays. Bytes from a socket are never unpickled.

    b"AUT1"  uint32 little-endian header length  header (JSON, UTF-8)  arrays, one after another (little-endian, C order)

The header is ``{"kind": str, "job": int | None, ...fields, "arrays": [{"name", "dtype", "shape"}, ...]}``.

| request | fields and arrays | answer |
|---|---|---|
| hello | protocol, version | hello: protocol and the fields of status |
| portrait | path | result: portrait_size; landmarks (162, 2), mesh (478, 3) |
| predict | a shot (see ``pack_shot``), window or edited [first, end] or None | result: a track, as ``Track.to_message`` makes it |
| capture | path of a video | result: a track |
| render | a shot and a track, out_path, and any of the fields below | preview: image; result: path, seconds, report |
| preview_frame | a shot and a track, frame, small | result: image (height, width, 3) uint8; ``small``: at most 512 pixels wide and high |
| cancel | job | failed, with the code ``cancelled`` |
| status, free_memory | | status: state, running, waiting, device, memory_mb, version, python, pid, tiers |
| shutdown | | the backend ends |
| upload | job, name, offset, size; data uint8 | none, or failed of the job |
| download | job, offset | piece: offset; data uint8 |
| discard | job | none |

The last three are for a backend on another computer (``transfer.py``). The five that are jobs are answered with queued (ahead),
started, progress (done, total, eta_s, phase) and at last with result or failed (code, sentence, hint, log_tail). The first message must
be hello.

Further fields of render: ``frames`` [first row, row after the last]; ``keep_partial``: a cancelled render leaves what is done; ``reuse``
{path, runs [[first, end, frame of the movie], ...]}: frames to take over from a former movie; ``folder``: where to remember the take
(``shot_folder.py``), with ``record``, plain data, and ``project``, the folder whose files are named relative to it.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from .faults import Fault
from .shot import Shot, Track

MAGIC = b"AUT1"
DTYPES: dict[str, np.dtype[Any]] = {name: np.dtype(name).newbyteorder("<") for name in ("uint8", "int32", "int64", "float32", "float64")}
LARGEST_MESSAGE = 512 * 1024 * 1024  # bytes: half an hour of landmarks and motion at 60 frames a second
LARGEST_HEADER = 1024 * 1024
MOST_ARRAYS = 32
MOST_DIMENSIONS = 8
LONGEST_NAME = 64
LARGEST_JOB = 2**53  # the integers that every JSON reader keeps exact

REQUESTS = frozenset(("hello", "portrait", "predict", "render", "preview_frame", "capture", "cancel", "status", "free_memory", "shutdown"))
FILE_REQUESTS = frozenset(("upload", "download", "discard"))  # to a backend on another computer only
EVENTS = frozenset(("hello", "queued", "started", "progress", "preview", "result", "failed", "status", "piece"))
_RESERVED = frozenset(("kind", "job", "arrays"))
_PREFIX = struct.Struct("<4sI")


@dataclass(frozen=True)
class Message:
    """One message: ``fields`` are the header's other entries, ``arrays`` by name."""

    kind: str
    job: int | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)


def encode(message: Message) -> bytes:
    """The bytes of ``message``. Raises Fault ``message-malformed`` or ``message-too-large``."""
    if not _RESERVED.isdisjoint(message.fields):
        _malformed(f"the fields {sorted(_RESERVED & set(message.fields))} are reserved")
    _check_kind_and_job(message.kind, message.job)
    arrays = {name: _portable(name, array) for name, array in message.arrays.items()}
    listed = [{"name": name, "dtype": array.dtype.name, "shape": list(array.shape)} for name, array in arrays.items()]
    if len(listed) > MOST_ARRAYS:
        _too_large(f"it holds {len(listed)} arrays; the most is {MOST_ARRAYS}")
    try:
        header = json.dumps({"kind": message.kind, "job": message.job, **message.fields, "arrays": listed}, allow_nan=False).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        _malformed(f"its header is not plain data ({error})")
    total = _PREFIX.size + len(header) + sum(array.nbytes for array in arrays.values())
    if len(header) > LARGEST_HEADER or total > LARGEST_MESSAGE:
        _too_large(f"it has {total} bytes, {len(header)} of them header")
    return b"".join([_PREFIX.pack(MAGIC, len(header)), header, *(array.tobytes() for array in arrays.values())])


def decode(data: bytes | bytearray | memoryview) -> Message:
    """The message in ``data``. Its arrays are copies that may be written to.

    Raises Fault ``message-malformed`` or ``message-too-large``, and no other exception, whatever the bytes are.
    """
    view = memoryview(data)
    if len(view) > LARGEST_MESSAGE:
        _too_large(f"it has {len(view)} bytes; the most is {LARGEST_MESSAGE}")
    if len(view) < _PREFIX.size:
        _malformed("it is cut off before its header")
    magic, header_length = _PREFIX.unpack_from(view)
    if magic != MAGIC:
        _malformed("it does not begin as one of ours")
    if header_length > LARGEST_HEADER:
        _too_large(f"its header claims {header_length} bytes; the most is {LARGEST_HEADER}")
    body = _PREFIX.size + header_length
    if body > len(view):
        _malformed("it is cut off in its header")
    header = _header(bytes(view[_PREFIX.size : body]))
    kind, job, listed = header.pop("kind", None), header.pop("job", None), header.pop("arrays", [])
    _check_kind_and_job(kind, job)
    return Message(kind, job, header, _arrays(listed, view[body:]))


def pack_shot(shot: Shot, track: Track | None = None) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Fields and arrays of a request that carries a shot and perhaps a track; each keeps to its own corner of the header."""
    fields: dict[str, Any] = {}
    arrays: dict[str, NDArray[Any]] = {}
    for corner, content in (("shot", shot), ("track", track)):
        if content is not None:
            fields[corner], parts = content.to_message()
            arrays.update({f"{corner}.{name}": array for name, array in parts.items()})
    return fields, arrays


def unpack_shot(message: Message) -> Shot:
    """The shot that a request carries. Raises Fault ``shot-invalid`` and those of ``Shot.checked``."""
    return Shot.from_message(*_corner(message, "shot"))


def unpack_track(message: Message) -> Track:
    """The track that a request carries. Raises Fault ``track-invalid`` and those of ``Track.checked``."""
    return Track.from_message(*_corner(message, "track"))


def _corner(message: Message, corner: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    header = message.fields.get(corner)
    if not isinstance(header, dict):
        _malformed(f"its {corner} is missing")
    start = f"{corner}."
    return header, {name.removeprefix(start): array for name, array in message.arrays.items() if name.startswith(start)}


def _header(data: bytes) -> dict[str, Any]:
    try:
        header = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        _malformed(f"its header is not JSON ({type(error).__name__})")
    if not isinstance(header, dict):
        _malformed("its header is not a JSON object")
    return header


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _arrays(listed: Any, view: memoryview) -> dict[str, NDArray[Any]]:
    if not isinstance(listed, list):
        _malformed("its list of arrays is not a list")
    if len(listed) > MOST_ARRAYS:
        _too_large(f"it lists {len(listed)} arrays; the most is {MOST_ARRAYS}")
    arrays: dict[str, NDArray[Any]] = {}
    offset = 0
    for entry in listed:
        name, dtype, shape = _described(entry)
        size = math.prod(shape) * dtype.itemsize  # Python integers: no overflow
        if size > len(view) - offset:
            _malformed(f"the array {name!r} is cut off")
        if name in arrays:
            _malformed(f"the array {name!r} is listed twice")
        try:
            array = np.empty(shape, dtype)
        except (ValueError, MemoryError):
            _too_large(f"the array {name!r} has an impossible shape")
        if size:
            array.reshape(-1)[:] = np.frombuffer(view, dtype, count=math.prod(shape), offset=offset)
        arrays[name] = array.astype(dtype.newbyteorder("="), copy=False)
        offset += size
    if offset != len(view):
        _malformed(f"{len(view) - offset} bytes follow its last array")
    return arrays


def _described(entry: Any) -> tuple[str, np.dtype[Any], tuple[int, ...]]:
    """Name, data type and shape of one array, checked."""
    if not isinstance(entry, dict):
        _malformed("an array's description is not an object")
    name, dtype, shape = entry.get("name"), entry.get("dtype"), entry.get("shape")
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        _malformed("an array has no proper name")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        _malformed(f"the array {name!r} has the type {str(dtype)[:32]!r}, which is not allowed")
    if not isinstance(shape, list) or len(shape) > MOST_DIMENSIONS:
        _malformed(f"the array {name!r} has no proper shape")
    for size in shape:
        if type(size) is not int or not 0 <= size <= LARGEST_MESSAGE:  # bool is an int, but not a size
            _malformed(f"the array {name!r} has an impossible shape")
    return name, DTYPES[dtype], tuple(shape)


def _portable(name: Any, array: Any) -> NDArray[Any]:
    """``array`` in C order and little-endian, if its type and name may cross."""
    array = np.asarray(array)
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        _malformed("an array has no proper name")
    if array.dtype.name not in DTYPES or array.ndim > MOST_DIMENSIONS:
        _malformed(f"the array {name!r} of type {array.dtype} with {array.ndim} dimensions cannot be sent")
    return np.asarray(array, DTYPES[array.dtype.name], order="C")


def _check_kind_and_job(kind: Any, job: Any) -> None:
    if not isinstance(kind, str) or not 0 < len(kind) <= LONGEST_NAME:
        _malformed("it has no proper kind")
    if job is not None and (type(job) is not int or not 0 <= job <= LARGEST_JOB):
        _malformed("its job is not a number")


def _malformed(why: str) -> NoReturn:
    raise Fault("message-malformed", f"A message between add-on and backend is damaged: {why}.", _UPDATE)


def _too_large(why: str) -> NoReturn:
    raise Fault("message-too-large", f"A message between add-on and backend is too large: {why}.", "Split the shot into shorter ones.")


_UPDATE = "Restart the backend; if it happens again, update the add-on and the backend so that both match."
