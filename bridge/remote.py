# SPDX-License-Identifier: GPL-3.0-or-later
"""A backend on another computer, reached through a tunnel that ends on this one: the files of each job travel with it.

The backend is started there by ``serve --remote``; it is not ours to end, so ``stop`` only hangs up.
"""

from __future__ import annotations

import re
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .channel import LOOPBACK, Channel, connect
from .client import Client
from .download import Download
from .faults import Fault
from .log import BackendLog
from .messages import Message, decode, encode, unpack_shot, unpack_track
from .session import DROPPABLE, MOST_WAITING, Preparation, Session, greet
from .shot_folder import ShotFolder, write_shot_folder
from .transfer import FILES_FIELD, FILES_TRAVEL, LARGEST_FILE, PIECE_BYTES, name_of, reference, with_files

PROGRESS_SECONDS = 0.1
TUNNEL_HINT = "Look at the SSH tunnel and at the backend on the other computer (`serve --remote`), then start the job again."
_ADDRESS = re.compile(rf"(?:tcp:)?(?:(?:{re.escape(LOOPBACK)}|localhost):)?(\d{{1,5}})")


@dataclass(frozen=True)
class RemotePlace:
    """``address``: the near end of the tunnel, ``tcp:127.0.0.1:PORT``. ``token``: what the backend showed when it was started."""

    address: str
    token: str

    @classmethod
    def read(cls, address: str, token: str) -> RemotePlace:
        """From what a person wrote. Raises Fault ``remote-address`` or ``token-missing``."""
        found = _ADDRESS.fullmatch(address.strip())
        if found is None or not 0 < int(found[1]) < 65536:
            raise Fault(
                "remote-address",
                "The address of the other computer's backend is not one on this computer.",
                f"Open an SSH tunnel and give its end here, e.g. {LOOPBACK}:47001.",
            )
        if not token.strip():
            raise Fault("token-missing", "The other computer's backend needs its token.", "Copy it from what `serve --remote` printed.")
        return cls(f"tcp:{LOOPBACK}:{int(found[1])}", token.strip())


class RemoteClient(Client):
    """A ``Client`` whose backend runs on another computer and was started there."""

    def __init__(self, place: RemotePlace, **options: Any) -> None:
        super().__init__("", command=[], **options)
        self._place = place

    def _open_session(self) -> Session:
        return RemoteSession(self._place)


class RemoteSession(Session):
    """Connects at once, in threads of its own, sends files ahead of the jobs that name them, and fetches finished movies."""

    def __init__(self, place: RemotePlace) -> None:
        self._place = place
        self._channel: Channel | None = None
        self._later: deque[tuple[int | None, Preparation]] = deque()  # taken from the queue while a file was being sent
        self._arrived: dict[str, int] = {}  # bytes sent of each file, by name
        self._begun: set[int] = set()  # jobs whose request went out
        self._given_up: set[int] = set()  # jobs cancelled before that
        self._renders: dict[int, Message] = {}  # as asked, with paths of this computer
        self._results: dict[int, Message] = {}
        self._downloads: dict[int, Download] = {}
        self._told, self._phase = 0.0, (0, "")
        super().__init__([], {}, None)

    def stop(self) -> None:
        """Hangs up; does not wait."""
        self._stopping.set()
        self._outgoing.put(None)
        with self._lock:
            if self._channel is not None:
                self._channel.close()

    def _live(self, log: BackendLog) -> Fault:
        try:
            channel = connect(self._place.address, self._place.token)
        except Fault as fault:
            raise Fault(fault.code, fault.sentence, TUNNEL_HINT) from None
        with self._lock:
            self._channel = channel
            if self._stopping.is_set():
                channel.close()
        try:
            hello = greet(channel)
            if hello.fields.get(FILES_FIELD) != FILES_TRAVEL:
                raise Fault("remote-local", "The backend at that address takes no files.", "Start it with `serve --remote`.")
            self.arrivals.put(hello)
            self._converse(channel)
        except (OSError, EOFError):
            pass
        finally:
            channel.release()
            for download in self._downloads.values():
                download.discard()
        return self._channel_fault or Fault("remote-lost", "The connection to the backend on the other computer was lost.", TUNNEL_HINT)

    def _transmit(self, channel: Channel) -> None:
        while (item := self._later.popleft() if self._later else self._outgoing.get()) is not None:
            job, prepare = item
            try:
                self._deliver(channel, job, prepare)
            except Fault as fault:
                self.arrivals.put(Message("failed", job, dict(fault.to_dict())))
            except OSError:
                channel.close()
                return
            except Exception as error:  # the caller's data cannot be sent: its job fails, the others go on
                sentence = f"The job cannot be sent: {type(error).__name__}: {error}."
                told = Fault("message-malformed", sentence, "Copy the report and tell us.")
                self.arrivals.put(Message("failed", job, dict(told.to_dict())))

    def _deliver(self, channel: Channel, job: int | None, prepare: Preparation) -> None:
        """Sends a message, a job's files before it. Raises Fault where the job cannot be sent, OSError where the channel is gone."""
        message = prepare()
        if job is None:
            self._control(channel, message)
            return
        self._check_wanted(job)
        files: dict[str, Path] = {}

        def named(path: str) -> str:
            name = _read(lambda: name_of(Path(path)), path)
            files[name] = Path(path)
            return reference(name)

        changed = with_files(message, named)
        self._send_files(channel, job, files)
        if message.kind == "render":
            self._renders[job] = message
            fields = {name: value for name, value in changed.fields.items() if name not in ("folder", "project", "record")}
            changed = replace(changed, fields={**fields, "out_path": Path(str(fields.get("out_path"))).name, "models": True})
        data = encode(changed)
        self._begun.add(job)
        channel.send(data)

    def _control(self, channel: Channel, message: Message) -> None:
        job = message.job
        if message.kind == "cancel" and job is not None:
            if (download := self._downloads.get(job)) is not None:
                download.given_up = True
                return
            if job not in self._begun:
                self._given_up.add(job)
                return
        channel.send(encode(message))

    def _check_wanted(self, job: int) -> None:
        if job in self._given_up:
            raise Fault("cancelled", "The job was cancelled.", "Start it again when you want it.")

    def _send_files(self, channel: Channel, job: int, files: dict[str, Path]) -> None:
        """What of these files is not there yet; a file that was broken off by a cancellation goes on where it stopped."""
        sizes = {name: _read(lambda path=path: path.stat().st_size, str(path)) for name, path in files.items()}  # type: ignore[misc]
        if max(sizes.values(), default=0) > LARGEST_FILE:
            raise Fault("upload-too-large", f"A file of the job is larger than {LARGEST_FILE / 2**30:.0f} GB.", "Use a shorter recording.")
        total = sum(size - self._arrived.get(name, 0) for name, size in sizes.items() if self._arrived.get(name) != size)
        done = 0
        for name, path in files.items():
            while self._arrived.get(name, -1) < sizes[name]:
                offset = self._arrived.get(name, 0)
                piece = _read(lambda path=path, offset=offset: _piece(path, offset), str(path))  # type: ignore[misc]
                if not piece and sizes[name] > 0:
                    raise Fault("file-missing", f"The file {path} changed while it was sent.", "Start the job again.")
                head = {"name": name, "offset": offset, "size": sizes[name]}
                channel.send(encode(Message("upload", job, head, {"data": np.frombuffer(piece, np.uint8)})))
                self._arrived[name] = offset + len(piece)
                done += len(piece)
                self._progress(job, done, total, "sending files")
                self._hear(channel)
                self._check_wanted(job)

    def _hear(self, channel: Channel) -> None:
        """Cancellations and questions are not held up by a long file."""
        while not self._outgoing.empty():
            item = self._outgoing.get()
            if item is None:
                raise OSError("the session ends")
            if item[0] is None:
                self._control(channel, item[1]())
            else:
                self._later.append(item)

    def _receive(self, channel: Channel) -> None:
        try:
            while True:
                message = decode(channel.receive())
                if message.kind in DROPPABLE and self.arrivals.qsize() > MOST_WAITING:
                    continue
                told = self._taken(message)
                if told is not None:
                    self.arrivals.put(told)
        except Fault as fault:
            self._channel_fault = fault
        except (OSError, EOFError):
            pass
        finally:
            channel.close()

    def _taken(self, message: Message) -> Message | None:
        """What the client is told of a message."""
        job = message.job
        if job is None:
            return message
        try:
            if message.kind == "result" and "download" in message.fields:
                self._results[job] = message
                out = Path(str(self._renders[job].fields.get("out_path")))
                self._downloads[job] = Download(out, message.fields["download"])
                self._ask(job, 0)
                return None
            if message.kind == "piece":
                return self._piece_taken(job, message)
        except (Fault, KeyError) as error:
            fault = (
                error if isinstance(error, Fault) else Fault("download-invalid", "A movie came that nobody asked for.", "Render it again.")
            )
            self._forget(job)
            return Message("failed", job, dict(fault.to_dict()))
        if message.kind in ("result", "failed"):
            if str(message.fields.get("code", "")).startswith("upload-"):
                self._arrived.clear()  # sent anew next time
            self._forget(job, tell=False)
        return message

    def _piece_taken(self, job: int, message: Message) -> Message | None:
        download = self._downloads[job]
        if download.given_up:
            raise Fault("cancelled", "The job was cancelled.", "Start it again when you want it.")
        data = message.arrays.get("data")
        if download.add(message.fields.get("offset"), b"" if data is None or data.dtype != np.uint8 else data.tobytes()):
            result = self._finished(job)
            self._forget(job)
            return result
        self._progress(job, download.done, download.size, "fetching the movie")
        self._ask(job, download.done)
        return None

    def _ask(self, job: int, offset: int) -> None:
        self._outgoing.put((None, lambda: Message("download", job, {"offset": offset})))

    def _finished(self, job: int) -> Message:
        """The result with the path on this computer, and the take remembered beside the movie."""
        asked, result = self._renders[job], self._results[job]
        out = Path(str(asked.fields["out_path"]))
        report = dict(result.fields.get("report") or {})
        report["path"] = str(out)
        if folder := asked.fields.get("folder"):
            made = {"movie": out.name, "models": result.fields.get("models") or {}, "report": report}
            content = ShotFolder(unpack_shot(asked), unpack_track(asked), {**(asked.fields.get("record") or {}), **made})
            project = asked.fields.get("project")
            try:
                write_shot_folder(Path(folder), content, project=Path(project) if project else None)
            except Fault as fault:
                report = {**report, "notes": [*report.get("notes", []), fault.sentence]}
        fields = {name: value for name, value in result.fields.items() if name not in ("download", "models")}
        return replace(result, fields={**fields, "path": str(out), "report": report})

    def _forget(self, job: int, tell: bool = True) -> None:
        """The job is over here; the other computer may remove its movie."""
        self._renders.pop(job, None)
        self._results.pop(job, None)
        download = self._downloads.pop(job, None)
        if download is not None:
            download.discard()
        if tell:
            self._outgoing.put((None, lambda: Message("discard", job)))

    def _progress(self, job: int, done: int, total: int, phase: str) -> None:
        now = time.monotonic()
        # A new phase is always told: what comes right after another may else be over before it is heard of.
        if now - self._told >= PROGRESS_SECONDS or done == total or (job, phase) != self._phase:
            self._told, self._phase = now, (job, phase)
            self.arrivals.put(Message("progress", job, {"done": done, "total": total, "eta_s": None, "phase": phase}))


def _piece(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(PIECE_BYTES)


def _read(action: Any, path: str) -> Any:
    """What ``action`` reads of a file of this computer. Raises Fault ``file-missing``: not to be taken for the channel's own errors."""
    try:
        return action()
    except (OSError, TypeError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise Fault("file-missing", f"The file {path} cannot be read ({why}).", "Put the file back, or choose another.") from None
