# SPDX-License-Identifier: GPL-3.0-or-later
"""Thousands of broken messages from a client that knows the token: none ends the backend, and a good client is served throughout."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bridge import PROTOCOL, VERSION
from bridge.messages import DTYPES, REQUESTS, Message, encode, pack_shot
from tests.bridge.shots import plain_shot, plain_track
from tests.process.backends import RunningBackend, Talk
from tests.process.test_server import serves_well

pytestmark = pytest.mark.process

LONG_WORDS = (
    "slow",
    "deaf",
    "crash",
    "lacking",
    "noisy",
    "hungry",
    "film",
    "stuck",
    "shutdown",
)  # what the slow backend is asked on purpose elsewhere
STRANGE = (None, True, -1, 0, 2**63, 1e308, "", "\0", "../../etc", "x" * 5000, [], {}, [[[]]], {"": None}, "ü人", float("1e-320"))


def whole_messages() -> list[bytes]:
    """One good message of every kind."""
    predict = pack_shot(plain_shot("fast"))
    render, arrays = pack_shot(plain_shot("fast"), plain_track())
    return [
        encode(Message("hello", None, {"protocol": PROTOCOL, "version": VERSION})),
        encode(Message("portrait", 1, {"path": "/x/fast"})),
        encode(Message("capture", 1, {"path": "/x/fast"})),
        encode(Message("predict", 1, *predict)),
        encode(Message("render", 1, {**render, "out_path": "/nowhere/at/all.mp4", "frames": [0, 2]}, arrays)),
        encode(Message("preview_frame", 1, {**render, "frame": 1}, arrays)),
        encode(Message("cancel", 1)),
        encode(Message("status")),
    ]


def header_changed(message: bytes, draw: random.Random) -> bytes:
    """The message with one value of its header, however deep, replaced by something strange."""
    length = int.from_bytes(message[4:8], "little")
    header = json.loads(message[8 : 8 + length])
    place = header
    while True:
        key = draw.choice(sorted(place)) if isinstance(place, dict) else draw.randrange(len(place))
        if isinstance(place[key], (dict, list)) and place[key] and draw.random() < 0.7:
            place = place[key]
        else:
            break
    if draw.random() < 0.3 and isinstance(place, dict):
        del place[key]
    else:
        place[key] = draw.choice(STRANGE)
    text = json.dumps(header).encode()
    return message[:4] + len(text).to_bytes(4, "little") + text + message[8 + length :]


def mutated(messages: list[bytes], draw: random.Random) -> Iterator[bytes]:
    """Broken messages without end: cut short, bytes changed, repeated, joined, values replaced. ``shutdown`` never comes out."""
    while True:
        message = draw.choice(messages)
        kind = draw.randrange(6)
        if kind == 0:
            changed = message[: draw.randrange(len(message))]
        elif kind == 1:
            data = bytearray(message)
            for _ in range(draw.randrange(1, 9)):
                data[draw.randrange(min(len(data), draw.choice((12, 200, len(data)))))] = draw.randrange(256)
            changed = bytes(data)
        elif kind == 2:
            place = draw.randrange(len(message))
            changed = message[:place] + message[max(0, place - draw.randrange(40)) :]
        elif kind == 3:
            changed = message + draw.choice(messages)[: draw.randrange(1, 400)]
        elif kind == 4:
            changed = draw.randbytes(draw.randrange(1, 400))
        else:
            changed = header_changed(message, draw)
        if not any(word.encode() in changed for word in LONG_WORDS):
            yield changed


@pytest.mark.parametrize("count", [600, pytest.param(10_000, marks=pytest.mark.slow)])
def test_broken_messages_end_nothing_but_themselves(count: int, backend: RunningBackend) -> None:
    draw, good = random.Random(count), backend.talk()
    bad: Talk | None = None
    broken = mutated(whole_messages(), draw)
    for number in range(count):
        bad = bad or backend.talk()
        try:
            bad.channel.send(next(broken))
            if draw.random() < 0.02:
                raise OSError("this one leaves in between")
        except OSError:  # the server hung up on it, as it may
            bad.channel.release()
            bad = None
        if number % 100 == 0:
            assert serves_well(good, number + 1)
    if bad is not None:
        with suppress(OSError):
            bad.channel.release()
    assert serves_well(good, count + 1) and backend.process.poll() is None
    good.channel.release()


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
words = st.sampled_from(["path", "shot", "track", "frames", "frame", "window", "edited", "out_path", "folder", "reuse", "name", "offset"])
arrays = st.dictionaries(
    st.sampled_from(["shot.au_values", "shot.head", "track.landmarks", "track.motion", "data", "x"]),
    st.sampled_from(sorted(DTYPES)).flatmap(lambda kind: hnp.arrays(np.dtype(kind), hnp.array_shapes(max_dims=3, max_side=4, min_side=0))),
    max_size=4,
)
requests = st.builds(
    lambda kind, job, fields, held: Message(kind, job, fields, held),
    st.sampled_from(sorted(REQUESTS - {"shutdown"})) | st.text(min_size=1, max_size=10).filter(lambda kind: kind != "shutdown"),
    st.none() | st.integers(0, 2**53),
    st.dictionaries(words | st.text(max_size=6).filter(lambda name: name not in ("kind", "job", "arrays")), plain, max_size=5),
    arrays,
)


@pytest.mark.parametrize("count", [200, pytest.param(3000, marks=pytest.mark.slow)])
def test_strange_requests_in_good_form_end_nothing_but_themselves(count: int, backend: RunningBackend) -> None:
    """Whatever Hypothesis thinks of that can be written as a message: any kind, any fields, any arrays."""
    good, bad = backend.talk(), [backend.talk()]
    served = iter(range(1, 10 * count))

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(requests)
    def sent(message: Message) -> None:
        data = encode(message)
        if any(word.encode() in data for word in LONG_WORDS):
            return
        try:
            bad[0].channel.send(data)
        except OSError:  # the server hung up on it, as it may
            bad[0].channel.release()
            bad[0] = backend.talk()
        if (number := next(served)) % 50 == 0:
            assert serves_well(good, number)

    sent()
    bad[0].channel.release()
    assert serves_well(good, 10 * count) and backend.process.poll() is None
    good.channel.release()
