# SPDX-License-Identifier: GPL-3.0-or-later
"""One client of the server: reads its requests and answers at once or queues a job."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from bridge import PROTOCOL
from bridge.channel import Channel
from bridge.faults import Fault
from bridge.messages import Message, decode
from bridge.transfer import FILES_FIELD, FILES_TRAVEL
from bridge.versions import check_addon

from .jobs import Job, JobQueue, Sink
from .outbox import Outbox
from .remote_files import KINDS, RemoteFiles

JOB_KINDS = frozenset(("portrait", "predict", "render", "preview_frame", "capture"))
HELLO_SECONDS = 10.0
JOB_END_SECONDS = 3.0
log = logging.getLogger("autter.serve")


class Actions:
    """What a client may ask of the server besides jobs."""

    def __init__(self, status: Callable[[], dict[str, Any]], free_memory: Callable[[], None], shutdown: Callable[[str], None]) -> None:
        self.status, self.free_memory, self.shutdown = status, free_memory, shutdown


class ClientConnection:
    """Lives in the thread that calls ``serve``, which returns when the client is gone.

    ``files_travel``: the client is on another computer; its requests reach nothing but the files that it sent.
    """

    def __init__(self, channel: Channel, jobs: JobQueue, actions: Actions, files_travel: bool = False) -> None:
        self._channel, self._jobs, self._actions = channel, jobs, actions
        self._greeted = False
        self._outbox = Outbox(channel, channel.close)
        self._files = RemoteFiles(self._outbox) if files_travel else None
        self._sink: Sink = self._files or self._outbox

    def tell(self, message: Message) -> None:
        """Sends an event that belongs to no job, once the client has said hello."""
        if self._greeted:
            self._outbox.put(message)

    def close(self, seconds: float = 0.0) -> None:
        """Ends the connection, after sending for up to ``seconds`` what waits."""
        self._outbox.close(seconds)
        if self._files is not None:
            self._files.close()

    def serve(self) -> None:
        """Handles requests until the client hangs up or breaks the protocol; its jobs are dropped then."""
        greeting = threading.Timer(HELLO_SECONDS, self._channel.close)
        greeting.daemon = True
        greeting.start()
        try:
            self._greet(decode(self._channel.receive()))
            greeting.cancel()
            while True:
                self._handle(decode(self._channel.receive()))
        except Fault as fault:
            log.warning("client dropped: %s", fault)
            self._outbox.put(Message("failed", None, dict(fault.to_dict())))
        except (OSError, EOFError):
            pass  # hung up
        finally:
            greeting.cancel()
            self._jobs.drop(self._sink)
            self._outbox.close(1.0)
            if self._files is not None:
                self._jobs.idle(JOB_END_SECONDS)  # a dropped job removes its half-written file first
                self._files.close()

    def _greet(self, message: Message) -> None:
        if message.kind != "hello":
            raise Fault("hello-missing", "The first message was no hello.", "Update the add-on or the backend so that both match.")
        travel = {FILES_FIELD: FILES_TRAVEL} if self._files is not None else {}
        # The answer goes out before the check, so that both sides can say which one is too old.
        self._outbox.put(Message("hello", None, {"protocol": PROTOCOL, **self._actions.status(), **travel}))
        check_addon(message.fields.get("protocol"), message.fields.get("version"))
        self._greeted = True

    def _handle(self, request: Message) -> None:
        if request.kind in JOB_KINDS:
            self._queue(Job(request, self._sink))
        elif self._files is not None and request.kind in KINDS:
            self._files.handle(request)
        elif request.kind == "cancel":
            self._jobs.cancel(self._sink, request.job)
        elif request.kind == "status":
            self._outbox.put(Message("status", None, self._actions.status()))
        elif request.kind == "free_memory":
            self._actions.free_memory()
        elif request.kind == "shutdown":
            self._actions.shutdown("a client asked for it")
        else:
            fault = Fault("request-unknown", f"The backend does not know the request {request.kind!r}.", "Update the backend.")
            self._outbox.put(Message("failed", request.job, dict(fault.to_dict())))

    def _queue(self, job: Job) -> None:
        if job.number is None:
            raise Fault("message-malformed", "A job came without a number.", "Update the add-on or the backend so that both match.")
        try:
            if self._files is not None:
                local = self._files.localised(job.request)
                if local is None:
                    return
                job = Job(local, self._sink)
            self._jobs.add(job)
        except Fault as fault:
            job.fail(fault)
