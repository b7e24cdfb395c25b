# SPDX-License-Identifier: GPL-3.0-or-later
"""A movie that comes from a backend on another computer, piece by piece, and takes its place only when it is whole."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from .faults import Fault
from .half_written import partial_path, put_in_place
from .transfer import LARGEST_FILE

_AGAIN = "Render it again."


class Download:
    """``offer``: size and sha256 as the backend told them. Raises Fault ``download-invalid``, ``disk-full`` or ``folder-read-only``."""

    def __init__(self, out: Path, offer: Any) -> None:
        size, sha256 = (offer.get("size"), offer.get("sha256")) if isinstance(offer, dict) else (None, None)
        if type(size) is not int or not 0 < size <= LARGEST_FILE or not isinstance(sha256, str):
            raise Fault("download-invalid", "The other computer offers a movie of an impossible size.", _AGAIN)
        self.out, self.size, self._sha256 = out, size, sha256
        self.given_up = False
        self.done = 0
        self._digest = hashlib.sha256()
        self._partial = partial_path(out)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(out.parent).free < size:
                raise Fault(
                    "disk-full", f"The movie of {size / 2**20:.0f} MB does not fit the disk.", "Make room, or choose another folder."
                )
            self._file = self._partial.open("wb")
        except OSError as error:
            raise _unwritable(out, error) from None

    def add(self, offset: object, data: bytes) -> bool:
        """Takes the next piece; True when the movie is whole and in its place. Raises Fault, after which nothing is left."""
        try:
            if offset != self.done or not data or self.done + len(data) > self.size:
                raise Fault("download-damaged", "The movie came in the wrong pieces.", _AGAIN)
            self._file.write(data)
            self._digest.update(data)
            self.done += len(data)
            if self.done < self.size:
                return False
            self._file.close()
            if self._digest.hexdigest() != self._sha256:
                raise Fault("download-damaged", "The movie arrived damaged.", _AGAIN)
            put_in_place(self._partial, self.out)
        except OSError as error:
            self.discard()
            raise _unwritable(self.out, error) from None
        except Fault:
            self.discard()
            raise
        return True

    def discard(self) -> None:
        """Removes what has come so far."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._partial.unlink(missing_ok=True)


def _unwritable(out: Path, error: OSError) -> Fault:
    return Fault("folder-read-only", f"The movie cannot be written to {out.parent}: {error.strerror or error}.", "Choose another folder.")
