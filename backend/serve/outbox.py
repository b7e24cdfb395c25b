# SPDX-License-Identifier: GPL-3.0-or-later
"""Outgoing events of one client. Putting one in never waits, so a client that stops reading cannot hold up the worker."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from bridge.channel import Channel
from bridge.faults import Fault
from bridge.messages import LARGEST_MESSAGE, Message, encode

REPLACEABLE = frozenset(("progress", "preview", "status"))  # only the newest of these is worth sending
MOST_MESSAGES = 1000
MOST_BYTES = 2 * LARGEST_MESSAGE


class Outbox:
    """A bounded queue with a thread of its own that writes to the channel; ``give_up`` is called when the client must go."""

    def __init__(self, channel: Channel, give_up: Callable[[], None]) -> None:
        self._channel, self._give_up = channel, give_up
        self._waiting: deque[Message] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._write, name="autter-outbox", daemon=True)
        self._thread.start()

    def put(self, message: Message) -> None:
        """Queues an event. A newer progress, preview or status takes the place of a waiting one of the same job."""
        with self._changed:
            if self._closed:
                return
            if message.kind in REPLACEABLE:
                for other in [other for other in self._waiting if (other.kind, other.job) == (message.kind, message.job)]:
                    self._take_out(other)
            self._waiting.append(message)
            self._bytes += _size(message)
            full = len(self._waiting) > MOST_MESSAGES or self._bytes > MOST_BYTES
            self._changed.notify()
        if full:  # not even results are fetched: nobody is there
            self._give_up()

    def close(self, seconds: float = 0.0) -> None:
        """Stops; what waits may still be sent within ``seconds``."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if seconds:
            self._thread.join(seconds)
        self._channel.close()

    def _write(self) -> None:
        while (message := self._next()) is not None:
            try:
                self._channel.send(_encoded(message))
            except (OSError, ValueError):
                self._give_up()
                return

    def _next(self) -> Message | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            message = self._waiting[0]
            self._take_out(message)
            return message

    def _take_out(self, message: Message) -> None:
        # By identity: comparing messages would compare their arrays.
        position = next(i for i, other in enumerate(self._waiting) if other is message)
        del self._waiting[position]
        self._bytes -= _size(message)


def _size(message: Message) -> int:
    return sum(array.nbytes for array in message.arrays.values())


def _encoded(message: Message) -> bytes:
    """The message's bytes; a result that cannot be sent becomes the failure of its job."""
    try:
        return encode(message)
    except Fault as fault:
        return encode(Message("failed", message.job, dict(fault.to_dict())))
