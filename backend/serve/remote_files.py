# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a client on another computer: a folder of its own for each connection, outside of which its requests reach nothing.

What a request reads was sent before and is named by its sha256; what it writes lies in a folder of the job until the client has
fetched it. Both go when the connection ends; the folder of a killed backend goes with the next one that starts.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bridge.faults import Fault
from bridge.half_written import runs
from bridge.messages import Message
from bridge.transfer import LARGEST_FILE, LARGEST_FOLDER, MOST_FILES, PIECE_BYTES, is_name, referred, with_files

from ..files import check_space, fault_of
from ..video.write import FORMATS
from .jobs import Sink

KINDS = frozenset(("upload", "download", "discard"))
_PREFIX = "autter-files-"
_UPDATE = "Update the add-on or the backend so that both match."
log = logging.getLogger("autter.serve")


class RemoteFiles:
    """The files of one connection, and the sink of its jobs: it tells the client what to fetch instead of a path that means nothing there.

    ``handle`` and ``localised`` belong to the connection's thread, ``put`` may come from any.
    """

    def __init__(self, outgoing: Sink) -> None:
        self._outgoing = outgoing
        self._folder: Path | None = None
        self._arriving: dict[str, Any] = {}  # by name: the open file and its digest
        self._sizes: dict[str, int] = {}  # of files that are here or on their way
        self._refused: set[int | None] = set()  # jobs whose files did not arrive; they were told

    def handle(self, request: Message) -> None:
        """Takes a piece of a file, gives one, or removes what was fetched. What goes wrong is told as the failure of the job."""
        if request.job in self._refused:
            return
        try:
            {"upload": self._upload, "download": self._download, "discard": self._discard}[request.kind](request)
        except Fault as fault:
            self._refused.add(request.job)
            self._outgoing.put(Message("failed", request.job, dict(fault.to_dict())))

    def localised(self, request: Message) -> Message | None:
        """The request with paths of this computer, all of them in this connection's folder; None where its client was told of a failure.

        Raises Fault ``path-outside`` or ``upload-missing``.
        """
        if request.job in self._refused:
            return None
        local = with_files(request, lambda value: str(self._arrived(referred(value))))
        fields = {name: value for name, value in local.fields.items() if name not in ("folder", "project", "record")}
        if request.kind == "render":
            folder = self._folder_of(request.job)
            folder.mkdir(exist_ok=True)
            fields["out_path"] = str(folder / _movie_name(request.fields.get("out_path")))
        return replace(local, fields=fields)

    def put(self, message: Message) -> None:
        """Passes an event on; a movie's path becomes its size and sha256."""
        if message.kind == "result" and isinstance(message.fields.get("path"), str):
            message = self._offered(message)
        self._outgoing.put(message)

    def close(self) -> None:
        """Removes everything."""
        for file, _ in self._arriving.values():
            with suppress(OSError):
                file.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _upload(self, request: Message) -> None:
        name, offset, size = (request.fields.get(field) for field in ("name", "offset", "size"))
        data = request.arrays.get("data")
        well_formed = is_name(name) and type(offset) is int and type(size) is int and 0 <= offset <= size
        if not well_formed or data is None or data.dtype != np.uint8 or data.ndim != 1 or data.size > PIECE_BYTES:
            raise Fault("upload-malformed", "A piece of a file came in a form that is not known.", _UPDATE)
        assert isinstance(name, str) and isinstance(offset, int) and isinstance(size, int)
        if offset == 0:
            self._begin(name, size)
        if name not in self._arriving:
            if name in self._sizes:
                return  # it is here already
            raise Fault("upload-malformed", "A piece of a file came without its beginning.", _UPDATE)
        file, digest = self._arriving[name]
        if file.tell() != offset or offset + data.size > self._sizes[name]:
            self._forget(name)
            raise Fault("upload-malformed", "The pieces of a file came in the wrong order.", _UPDATE)
        try:
            file.write(data.tobytes())
            digest.update(data.tobytes())
            if offset + data.size == self._sizes[name]:
                self._finish(name)
        except OSError as error:
            self._forget(name)
            raise fault_of(error, self._place() / name) from error

    def _begin(self, name: str, size: int) -> None:
        if name in self._arriving:
            self._forget(name)  # begun anew
        if name in self._sizes:
            return
        if size > LARGEST_FILE or sum(self._sizes.values()) + size > LARGEST_FOLDER or len(self._sizes) >= MOST_FILES:
            raise Fault(
                "upload-too-large",
                f"A file of {size / 2**20:.0f} MB is more than the other computer takes from one connection.",
                "Use shorter recordings and smaller pictures; Stop Backend in the panel empties what was sent before.",
            )
        try:
            check_space(self._place() / name, size)
            self._arriving[name] = (self._place() / f".{name}.partial").open("wb"), hashlib.sha256()
        except OSError as error:
            raise fault_of(error, self._place() / name) from error
        self._sizes[name] = size

    def _finish(self, name: str) -> None:
        file, digest = self._arriving[name]
        file.close()
        if digest.hexdigest() != name[:64]:
            self._forget(name)
            raise Fault("upload-damaged", "A file arrived damaged on the other computer.", "Start the job again.")
        os.replace(self._place() / f".{name}.partial", self._place() / name)
        del self._arriving[name]

    def _forget(self, name: str) -> None:
        file, _ = self._arriving.pop(name)
        with suppress(OSError):
            file.close()
        (self._place() / f".{name}.partial").unlink(missing_ok=True)
        del self._sizes[name]

    def _arrived(self, name: str) -> Path:
        path = self._place() / name
        if name in self._arriving or not path.is_file():
            raise Fault("upload-missing", "A file of the job did not arrive on the other computer.", "Start the job again.")
        return path

    def _download(self, request: Message) -> None:
        offset = request.fields.get("offset")
        folder = self._folder_of(request.job)
        movies = [path for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []
        if type(offset) is not int or offset < 0 or len(movies) != 1:
            raise Fault("download-missing", "The finished movie is not on the other computer any more.", "Render it again.")
        try:
            with movies[0].open("rb") as file:
                file.seek(offset)
                data = np.frombuffer(file.read(PIECE_BYTES), np.uint8)
        except OSError as error:
            raise Fault("download-missing", "The finished movie cannot be read on the other computer.", "Render it again.") from error
        self._outgoing.put(Message("piece", request.job, {"offset": offset}, {"data": data}))

    def _discard(self, request: Message) -> None:
        shutil.rmtree(self._folder_of(request.job), ignore_errors=True)

    def _offered(self, message: Message) -> Message:
        path = Path(message.fields["path"])
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            offer = {"size": path.stat().st_size, "sha256": digest}
        except OSError as error:
            fault = Fault("download-missing", f"The finished movie cannot be read ({error.strerror}).", "Render it again.")
            return Message("failed", message.job, dict(fault.to_dict()))
        report = message.fields.get("report")
        report = {**report, "path": path.name} if isinstance(report, dict) else report
        return replace(message, fields={**message.fields, "path": path.name, "report": report, "download": offer})

    def _folder_of(self, job: int | None) -> Path:
        """Where the movie of a job lies, if there is one."""
        if type(job) is not int:
            raise Fault("message-malformed", "A request about a job came without its number.", _UPDATE)
        return self._place() / f"job-{job}"

    def _place(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))  # for the owner's eyes only
        return self._folder


def remove_abandoned() -> None:
    """Removes the folders of backends that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        number = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if number.isdigit() and not folder.is_symlink() and not runs(int(number)):
            log.info("removing what a killed backend left")
            shutil.rmtree(folder, ignore_errors=True)


def _movie_name(wanted: object) -> str:
    """A plain name for the movie; its title comes from it."""
    text = Path(wanted.replace("\\", "/")).name if isinstance(wanted, str) else ""
    if Path(text).suffix.lower() not in FORMATS:
        raise Fault("movie-format", "The request names no movie to write.", f"Use a name that ends in {', '.join(FORMATS)}.")
    plain = "".join(letter if letter.isalnum() or letter in " -_" else "_" for letter in Path(text).stem)[:80].strip()
    return f"{plain or 'movie'}{Path(text).suffix.lower()}"
