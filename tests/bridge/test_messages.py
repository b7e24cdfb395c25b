# SPDX-License-Identifier: GPL-3.0-or-later
"""The protocol: what is encoded comes back, and no bytes whatever raise anything but a Fault."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bridge import messages
from bridge.faults import Fault
from bridge.messages import DTYPES, Message, decode, encode, pack_shot, unpack_shot, unpack_track
from tests.bridge.shots import plain_shot, plain_track, same, shots, tracks

pytestmark = pytest.mark.unit

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
names = st.text(min_size=1, max_size=64)
fields = st.dictionaries(names.filter(lambda name: name not in ("kind", "job", "arrays")), plain, max_size=5)
arrays = st.dictionaries(
    names,
    st.sampled_from(sorted(DTYPES)).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
    ),
    max_size=4,
)
some_messages = st.builds(Message, names, st.none() | st.integers(0, messages.LARGEST_JOB), fields, arrays)


def raw(header: object, body: bytes = b"", magic: bytes = b"AUT1") -> bytes:
    """A message made by hand."""
    data = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<4sI", magic, len(data)) + data + body


def described(**changes: object) -> dict[str, object]:
    """A header with one array's description, changed."""
    return {"kind": "x", "job": None, "arrays": [{"name": "a", "dtype": "float32", "shape": [2], **changes}]}


def refused(data: bytes) -> str:
    """The code of the fault that ``data`` raises."""
    with pytest.raises(Fault) as caught:
        decode(data)
    assert caught.value.sentence.endswith(".") and caught.value.hint
    return caught.value.code


@given(some_messages)
def test_what_is_encoded_comes_back(message: Message) -> None:
    back = decode(encode(message))
    assert (back.kind, back.job, back.fields) == (message.kind, message.job, message.fields)
    assert list(back.arrays) == list(message.arrays)
    for name, array in message.arrays.items():
        assert back.arrays[name].dtype == array.dtype and back.arrays[name].shape == array.shape
        assert back.arrays[name].tobytes() == array.tobytes()  # NaNs and signs of zero included
        assert back.arrays[name].flags.writeable and back.arrays[name].flags.aligned


@given(st.binary(max_size=200))
def test_random_bytes_raise_only_faults(data: bytes) -> None:
    assert refused(data) in ("message-malformed", "message-too-large")


@given(st.binary(max_size=300) | plain.map(lambda value: json.dumps(value).encode()), st.binary(max_size=64))
def test_random_headers_raise_only_faults(header: bytes, body: bytes) -> None:
    try:
        decode(raw(header, body))
    except Fault as fault:
        assert fault.code in ("message-malformed", "message-too-large")


@given(some_messages, st.data())
def test_damaged_messages_raise_only_faults(message: Message, data: st.DataObject) -> None:
    damaged = bytearray(encode(message))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(damaged)
    except Fault as fault:
        assert fault.code in ("message-malformed", "message-too-large")


@given(some_messages, st.data())
def test_a_message_cut_off_or_continued_is_refused(message: Message, data: st.DataObject) -> None:
    whole = encode(message)
    assert refused(whole[: data.draw(st.integers(0, len(whole) - 1))]) == "message-malformed"
    assert refused(whole + b"\0") == "message-malformed"


@given(
    st.lists(
        st.fixed_dictionaries(
            {"name": names | plain, "dtype": st.sampled_from([*DTYPES, "object", "O", "<f4", "bool", "float16"]) | plain, "shape": plain}
        )
        | plain,
        max_size=4,
    )
    | plain,
    st.binary(max_size=64),
)
def test_random_descriptions_of_arrays_raise_only_faults(listed: object, body: bytes) -> None:
    try:
        decode(raw({"kind": "x", "arrays": listed}, body))
    except Fault as fault:
        assert fault.code in ("message-malformed", "message-too-large")


@pytest.mark.parametrize(
    "shape",
    [[2**62, 4], [2**31, 2**31, 4], [2**63, 2], [10**400], [-1, -2], [2.0], [True, True], ["2"], "2", None, [1] * 9, [0, 2**62], 2],
    ids=str,
)
def test_impossible_shapes_are_refused_without_taking_memory(shape: object) -> None:
    assert refused(raw(described(shape=shape), bytes(8))) == "message-malformed"


@pytest.mark.parametrize(
    "dtype", ["object", "O", "<f4", ">f4", "bool", "float16", "U10", "datetime64", "V8", "", None, 3, ["float32"]], ids=str
)
def test_other_types_are_refused(dtype: object) -> None:
    assert refused(raw(described(dtype=dtype), bytes(8))) == "message-malformed"


def test_a_pickle_in_place_of_a_message_is_only_bytes() -> None:
    import pickle

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (pytest.fail, ("a pickle from the socket was loaded",))

    bomb = pickle.dumps(Bomb())
    assert refused(bomb) == "message-malformed"
    assert refused(raw({"kind": "x", "arrays": [{"name": "a", "dtype": "object", "shape": [1]}]}, bomb)) == "message-malformed"


IMPROPER_HEADERS: list[object] = [[], "x", 3, {}, {"kind": ""}, {"kind": 3}, {"kind": "x" * 65}, b"[" * 100_000, b"9" * 5000, b"\xff\xfe"]
IMPROPER_HEADERS += [{"kind": "x", "job": job} for job in (-1, "1", True, 1.5, 2**80)]
IMPROPER_HEADERS += [b'{"kind": "x", "v": NaN}', b'{"kind": "x", "v": -Infinity}']


@pytest.mark.parametrize("header", IMPROPER_HEADERS, ids=lambda value: str(value)[:30])
def test_improper_headers_are_refused(header: object) -> None:
    assert refused(raw(header)) == "message-malformed"


def test_limits_are_checked_before_anything_is_read() -> None:
    assert refused(struct.pack("<4sI", b"AUT1", messages.LARGEST_HEADER + 1)) == "message-too-large"
    assert refused(struct.pack("<4sI", b"AUT2", 2) + b"{}") == "message-malformed"
    assert refused(raw({"kind": "x", "arrays": [{}] * (messages.MOST_ARRAYS + 1)})) == "message-too-large"
    twice = [{"name": "a", "dtype": "uint8", "shape": [1]}] * 2
    assert refused(raw({"kind": "x", "arrays": twice}, bytes(2))) == "message-malformed"


def test_a_message_over_the_limit_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "LARGEST_MESSAGE", 1000)
    for message in (Message("x", arrays={"a": np.zeros(1000, np.uint8)}), Message("x", fields={"text": "x" * 1000})):
        with pytest.raises(Fault) as caught:
            encode(message)
        assert caught.value.code == "message-too-large"
    assert refused(bytes(1001)) == "message-too-large"


@pytest.mark.parametrize(
    "message",
    [
        Message("x", fields={"job": 1}),
        Message("x", fields={"value": float("nan")}),
        Message("x", fields={"value": object()}),
        Message("x", arrays={"a": np.array(["text"])}),
        Message("x", arrays={"a": np.array([object()])}),
        Message("x", arrays={"": np.zeros(1)}),
        Message("", None),
        Message("x", -1),
    ],
    ids=repr,
)
def test_what_cannot_cross_is_refused_by_the_sender(message: Message) -> None:
    with pytest.raises(Fault) as caught:
        encode(message)
    assert caught.value.code == "message-malformed"


def test_strided_and_big_endian_arrays_cross() -> None:
    given_arrays = {"transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T, "big": np.arange(3, dtype=">i4"), "scalar": np.array(2.5)}
    back = decode(encode(Message("x", arrays=given_arrays))).arrays
    for name, array in given_arrays.items():
        assert np.array_equal(back[name], array) and back[name].dtype.isnative and back[name].shape == array.shape


@settings(max_examples=50)
@given(shots(), tracks())
def test_a_shot_and_a_track_cross_together(shot, track) -> None:  # type: ignore[no-untyped-def]
    packed_fields, packed_arrays = pack_shot(shot, track)
    back = decode(encode(Message("render", 7, packed_fields, packed_arrays)))
    assert same(unpack_shot(back), shot)
    assert same(unpack_track(back), track)


def test_a_request_without_its_shot_is_refused() -> None:
    packed_fields, packed_arrays = pack_shot(plain_shot(), plain_track())
    for corner, unpack in (("shot", unpack_shot), ("track", unpack_track)):
        with pytest.raises(Fault):
            unpack(Message("render", 1, {name: value for name, value in packed_fields.items() if name != corner}, packed_arrays))
        with pytest.raises(Fault):
            unpack(
                Message("render", 1, packed_fields, {name: array for name, array in packed_arrays.items() if not name.startswith(corner)})
            )
