# SPDX-License-Identifier: GPL-3.0-or-later
"""A note inside the H.264 stream itself: it survives copying the stream into another file, and cutting at key frames.

It is a "user data unregistered" message (ITU-T H.264, D.1.7), which players skip. Encoding the pictures again removes it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from typing import Any

# No zero bytes: the stream's escaping of zeros would tear the identifier apart.
STREAM_MARK = uuid.UUID("5f1e6c9a-8d4b-4b7e-a3c1-9b6d2e7f8a54")
_PACKETS_READ = 2000  # the note stands at every key frame


class StreamMark:
    """Adds the note to every key frame of a stream that is being written. ``text``: printable ASCII."""

    def __init__(self, text: str) -> None:
        self._text = "".join(letter for letter in text if letter.isascii() and letter.isprintable())
        for sign in "=:,":  # which part the filter's own options
            self._text = self._text.replace(sign, "-" if sign != "," else ";")
        self._filter: Any = None

    def marked(self, container: Any, stream: Any, packets: Iterable[Any], last: bool = False) -> Iterator[Any]:
        """Packets with the note, ready to mux; ``last``: nothing comes after them."""
        for packet in packets:
            yield from self._through(container, stream, packet)
        if last and self._filter is not None:
            yield from self._through(container, stream, None)

    def _through(self, container: Any, stream: Any, packet: Any) -> Iterator[Any]:
        from av.bitstream import BitStreamFilterContext

        if self._filter is None:
            container.start_encoding()  # the filter needs the stream's parameters, which are settled only then
            self._filter = BitStreamFilterContext(f"h264_metadata=sei_user_data={STREAM_MARK}+{self._text}", stream, stream)
        for done in self._filter.filter(packet):
            done.stream = stream
            yield done


def read_stream_mark(container: Any) -> str | None:
    """The note in an open movie's first video stream, None where there is none."""
    for count, packet in enumerate(container.demux(video=0)):
        data = bytes(packet)
        place = data.find(STREAM_MARK.bytes)
        if place >= 0:
            return data[place + 16 :].split(b"\0", 1)[0].decode("ascii", "replace")
        if count > _PACKETS_READ:
            break
    return None
