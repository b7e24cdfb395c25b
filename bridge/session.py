# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of one backend process as seen by the client: start, connect, exchange messages, notice the end.

All waiting happens in the threads of this file. They talk to the client through two queues and never touch its state.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from . import PROTOCOL, VERSION, paths
from .channel import HANDSHAKE_SECONDS, Channel, connect, deadline
from .faults import Fault
from .log import BackendLog
from .messages import Message, decode, encode
from .privacy import whole_paths_wanted
from .process import START_SECONDS, STOP_SECONDS, BackendProcess, died
from .versions import check_backend

MOST_WAITING = 500  # events that nobody polls for; beyond it progress and previews are left out
DROPPABLE = frozenset(("progress", "preview"))
LAST_WORDS_SECONDS = 2.0


@dataclass(frozen=True)
class Ended:
    """The session is over; ``fault`` says why, None after ``stop``."""

    fault: Fault | None


Arrival = Message | Ended
Preparation = Callable[[], Message]


class Session:
    """Starts after ``delay`` seconds, in threads of its own. ``arrivals`` ends with an ``Ended``."""

    def __init__(
        self,
        command: Sequence[str],
        environment: dict[str, str],
        log_path: Path | None,
        start_seconds: float = START_SECONDS,
        delay: float = 0.0,
    ) -> None:
        self.arrivals: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._outgoing: queue.SimpleQueue[tuple[int | None, Preparation] | None] = queue.SimpleQueue()
        self._command, self._environment = list(command), environment
        self._log_path, self._start_seconds, self._delay = log_path, start_seconds, delay
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # guards _process between the session's thread and stop()
        self._process: BackendProcess | None = None
        self._channel_fault: Fault | None = None
        self._written: set[Path] = set()  # folders that jobs were asked to write to
        self._thread = threading.Thread(target=self._run, name="autter-backend", daemon=True)
        self._thread.start()

    def send(self, job: int | None, prepare: Preparation, writes: Sequence[Path] = ()) -> None:
        """Queues a message; ``prepare`` makes it in the sending thread, so that large arrays are copied there.

        ``writes``: folders in which a backend that is killed over this job may leave a half-written file.
        """
        self._written.update(writes)
        self._outgoing.put((job, prepare))

    def stop(self) -> None:
        """Asks the backend to end; does not wait."""
        self._stopping.set()
        self.send(None, lambda: Message("shutdown"))
        with self._lock:
            if self._process is not None:
                self._process.hang_up()

    def end(self, timeout: float = STOP_SECONDS) -> None:
        """``stop``, then at the latest after ``timeout`` seconds the end of the process, asked or not."""
        self.stop()
        self._thread.join(timeout)
        with self._lock:
            if self._process is not None:
                self._process.kill()
        self._thread.join(timeout)

    def _run(self) -> None:
        fault: Fault | None
        # Lets the caller go on first: starting a process holds the interpreter's lock for some milliseconds.
        if self._stopping.wait(max(0.002, self._delay)):
            self.arrivals.put(Ended(None))
            return
        log = BackendLog(self._log_path, keep_paths=whole_paths_wanted(self._environment))
        try:
            fault = self._live(log)
        except Fault as raised:
            fault = raised
        except Exception as error:  # a bug of ours must not leave the client waiting for ever
            fault = Fault("internal", f"The add-on lost its backend: {type(error).__name__}: {error}.", "Copy the report and tell us.")
        process = self._process
        if process is not None:
            process.kill()
            process.finish()
            remove_half_written(process.pid, {*self._written, *_folders_below(paths.cache_dir())})
        log.close()
        self.arrivals.put(Ended(None if self._stopping.is_set() else fault))

    def _live(self, log: BackendLog) -> Fault:
        """From start to end; the fault that ended it."""
        process = BackendProcess(self._command, self._environment, log)
        with self._lock:
            self._process = process
            if self._stopping.is_set():
                process.hang_up()
        ready = process.ready(self._start_seconds)
        check_backend(ready.protocol, ready.version)
        channel = connect(ready.address, process.token)
        try:
            self.arrivals.put(greet(channel))
            self._converse(channel)
        except (OSError, EOFError):
            pass  # it died while it said hello
        finally:
            channel.release()
        status = process.wait(LAST_WORDS_SECONDS)
        process.kill()  # no connection, no use for it
        process.finish()
        return self._channel_fault or died(status, log.tail())

    def _converse(self, channel: Channel) -> None:
        """Sends and receives until the connection ends, and that ends with the process."""
        sender = threading.Thread(target=self._transmit, args=(channel,), name="autter-transmit", daemon=True)
        sender.start()
        self._receive(channel)
        self._outgoing.put(None)
        sender.join(LAST_WORDS_SECONDS)

    def _receive(self, channel: Channel) -> None:
        try:
            while True:
                message = decode(channel.receive())
                if message.kind in DROPPABLE and self.arrivals.qsize() > MOST_WAITING:
                    continue
                self.arrivals.put(message)
        except Fault as fault:
            self._channel_fault = fault
        except (OSError, EOFError):
            pass  # the backend is gone: _live looks at its exit status
        finally:
            channel.close()

    def _transmit(self, channel: Channel) -> None:
        while (item := self._outgoing.get()) is not None:
            job, prepare = item
            try:
                data = encode(prepare())
            except Exception as error:  # the caller's data cannot be sent: its job fails, the others go on
                fault = (
                    error
                    if isinstance(error, Fault)
                    else Fault(
                        "message-malformed", f"The job cannot be sent: {type(error).__name__}: {error}.", "Copy the report and tell us."
                    )
                )
                self.arrivals.put(Message("failed", job, dict(fault.to_dict())))
                continue
            try:
                channel.send(data)
            except OSError:
                with suppress(OSError):
                    channel.close()
                return


def remove_half_written(pid: int, folders: Iterable[Path]) -> list[Path]:
    """Removes what a process that has ended could not remove itself: every writer names its file ``*.PID.partial`` until it is whole."""
    removed = []
    for folder in folders:
        with suppress(OSError):
            for entry in os.scandir(folder):
                if entry.name.endswith(".partial") and f".{pid}." in entry.name and entry.is_file(follow_symlinks=False):
                    with suppress(OSError):
                        os.unlink(entry.path)
                        removed.append(Path(entry.path))
    return removed


def _folders_below(top: Path) -> list[Path]:
    return [Path(folder) for folder, _, _ in os.walk(top)]


def greet(channel: Channel) -> Message:
    """Exchanges hellos; the backend's. Raises Fault ``protocol-mismatch``, or OSError or EOFError if it does not answer."""
    with deadline(channel, HANDSHAKE_SECONDS):
        channel.send(encode(Message("hello", None, {"protocol": PROTOCOL, "version": VERSION})))
        answer = decode(channel.receive())
    if answer.kind == "failed":
        raise Fault.from_dict(answer.fields)
    check_backend(answer.fields.get("protocol"), answer.fields.get("version"))
    return answer
