# SPDX-License-Identifier: GPL-3.0-or-later
"""One authenticated connection on this computer: framing of ``multiprocessing.connection``, and a keyed handshake.

Only byte frames cross it (``send_bytes``, ``recv_bytes`` with a limit); the library's pickling ``send`` and ``recv``
are never called. Addresses are written ``unix:/path/to/socket`` or ``tcp:127.0.0.1:PORT``; nothing else is accepted,
so a listener can never be reached from another computer. In the handshake each side proves that it knows the token without telling it:
it answers a random challenge with an HMAC-SHA256 over it, which is compared in constant time. (The standard library's own handshake, whose
form this is, compares in plain time up to Python 3.11.)
"""

from __future__ import annotations

import hmac
import os
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection
from pathlib import Path

from .faults import Fault
from .messages import LARGEST_MESSAGE

LOOPBACK = "127.0.0.1"
HANDSHAKE_SECONDS = 10.0
BACKLOG = 16
FOLDER_PREFIX = "autter-"
CHALLENGE_BYTES = 32
LONGEST_HANDSHAKE = 256
_CHALLENGE, _WELCOME, _FAILURE, _DIGEST_NAME = b"#CHALLENGE#", b"#WELCOME#", b"#FAILURE#", b"{sha256}"
LONGEST_SOCKET_PATH = 100  # bytes: 108 on Linux, 104 on macOS, less the closing zero


class Channel:
    """A connection whose two ends have proved to each other that they know the token.

    One thread may send while another receives. ``close`` may be called from any thread and wakes both.
    """

    def __init__(self, connection: Connection, waker: socket.socket) -> None:
        self._connection = connection
        self._waker = waker

    def send(self, data: bytes) -> None:
        """Sends one frame; waits while the other side does not read. Raises OSError when the connection is gone."""
        self._connection.send_bytes(data)

    def receive(self) -> bytes:
        """Waits for one frame. Raises EOFError or OSError when the connection is gone or a frame is over the limit."""
        return self._connection.recv_bytes(LARGEST_MESSAGE)

    def close(self) -> None:
        """Ends the connection and wakes whoever waits in ``send`` or ``receive``."""
        # Closing a descriptor does not wake a thread that waits in it; shutting the socket down does. The descriptor
        # itself is closed when the last thread lets go of the connection, so that its number is not reused meanwhile.
        with suppress(OSError):
            self._waker.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Closes the descriptors; to be called when no thread uses the channel any more."""
        self.close()
        with suppress(OSError):
            self._connection.close()
        self._waker.close()


class Listener:
    """Waits for connections on an ephemeral address of this computer: a socket in a private folder, or loopback TCP."""

    def __init__(self, *, tcp: bool = False, port: int = 0) -> None:
        """``port``: of loopback TCP where a person wants a certain one, 0 for any. Raises Fault ``port-in-use``."""
        self._folder: Path | None = None
        self._socket, self.address = self._bind(tcp or not hasattr(socket, "AF_UNIX"), port)
        self._socket.listen(BACKLOG)
        self._closed = threading.Event()

    def _bind(self, tcp: bool, port: int) -> tuple[socket.socket, str]:
        if not tcp:
            remove_stale_sockets()
            folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))  # for the owner's eyes only
            path = folder / "socket"
            if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
                bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                try:
                    bound.bind(str(path))
                    self._folder = folder
                    return bound, f"unix:{path}"
                except OSError:  # a file system without sockets
                    bound.close()
            shutil.rmtree(folder, ignore_errors=True)
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if port and sys.platform != "win32":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # at once after a restart
        try:
            bound.bind((LOOPBACK, port))
        except OSError as error:
            bound.close()
            raise Fault("port-in-use", f"Port {port} cannot be used ({error.strerror}).", "Choose another, or leave --port out.") from None
        return bound, f"tcp:{LOOPBACK}:{bound.getsockname()[1]}"

    def accept(self) -> socket.socket | None:
        """The next raw connection, not yet authenticated (see ``welcome``); None once the listener is closed."""
        while not self._closed.is_set():
            try:
                accepted, _ = self._socket.accept()
            except OSError:
                if self._closed.wait(0.1):  # out of descriptors, or the caller is gone already: try again
                    return None
                continue
            if self._closed.is_set():
                accepted.close()
                return None
            return accepted
        return None

    def close(self) -> None:
        """Stops listening, wakes ``accept`` and removes the socket's folder."""
        self._closed.set()
        with suppress(OSError, Fault):  # a connection of our own wakes a thread that waits in accept
            _open_socket(self.address, 1.0).close()
        self._socket.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def welcome(accepted: socket.socket, token: str, timeout: float = HANDSHAKE_SECONDS) -> Channel | None:
    """The listening side's handshake; None if the other side does not know the token or is not done in ``timeout`` seconds."""
    channel = _channel(accepted)
    try:
        with deadline(channel, timeout):
            _challenge(channel._connection, token.encode())
            _answer(channel._connection, token.encode())
    except Exception:  # whatever a stranger sends, it only ends its own connection
        channel.release()
        return None
    return channel


def connect(address: str, token: str, timeout: float = HANDSHAKE_SECONDS) -> Channel:
    """A channel to the listener at ``address``. Raises Fault ``backend-unreachable`` or ``token-wrong``."""
    channel = _channel(_open_socket(address, timeout))
    try:
        with deadline(channel, timeout):
            _answer(channel._connection, token.encode())
            _challenge(channel._connection, token.encode())
    except AuthenticationError:
        channel.release()
        raise Fault(
            "token-wrong",
            "The backend did not accept the add-on's token.",
            "Restart the backend from the panel, so that both get a new one.",
        ) from None
    except (OSError, EOFError, ValueError, AssertionError) as error:
        channel.release()
        raise _unreachable(address, f"it hung up during the handshake ({type(error).__name__})") from None
    return channel


def _challenge(connection: Connection, token: bytes) -> None:
    """Lets the other side prove that it knows the token. Raises AuthenticationError."""
    message = _DIGEST_NAME + os.urandom(CHALLENGE_BYTES)
    connection.send_bytes(_CHALLENGE + message)
    if not hmac.compare_digest(connection.recv_bytes(LONGEST_HANDSHAKE), _proof(token, message)):
        connection.send_bytes(_FAILURE)
        raise AuthenticationError("the other side does not know the token")
    connection.send_bytes(_WELCOME)


def _answer(connection: Connection, token: bytes) -> None:
    """Proves to the other side that we know the token. Raises AuthenticationError."""
    message = connection.recv_bytes(LONGEST_HANDSHAKE)
    if not message.startswith(_CHALLENGE):
        raise AuthenticationError("the other side does not speak our handshake")
    connection.send_bytes(_proof(token, message[len(_CHALLENGE) :]))
    if connection.recv_bytes(LONGEST_HANDSHAKE) != _WELCOME:
        raise AuthenticationError("the other side did not accept the token")


def _proof(token: bytes, message: bytes) -> bytes:
    return _DIGEST_NAME + hmac.digest(token, message, "sha256")


@contextmanager
def deadline(channel: Channel, seconds: float) -> Iterator[None]:
    """Ends the connection if the block is not left within ``seconds``."""
    timer = threading.Timer(seconds, channel.close)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def remove_socket(address: str) -> None:
    """Removes what a killed listener left on disk. Only ever removes a folder that a ``Listener`` made."""
    scheme, _, path = address.partition(":")
    folder = Path(path).parent
    if scheme == "unix" and folder.name.startswith(FOLDER_PREFIX) and Path(path).name == "socket":
        with suppress(OSError):
            Path(path).unlink(missing_ok=True)
            folder.rmdir()


def remove_stale_sockets() -> None:
    """Removes sockets that listeners left which were killed together with the program that would have removed them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        path = folder / "socket"
        try:
            if not path.is_socket() or folder.stat().st_uid != os.getuid():
                continue
            probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        except (OSError, AttributeError):
            continue
        try:
            probe.setblocking(False)  # a listener that is busy answers later; only a dead one refuses
            probe.connect(str(path))
        except ConnectionRefusedError:
            remove_socket(f"unix:{path}")
        except OSError:
            pass
        finally:
            probe.close()


def _open_socket(address: str, timeout: float) -> socket.socket:
    scheme, _, place = address.partition(":")
    host, _, port = place.rpartition(":")
    target: str | tuple[str, int]
    if scheme == "unix" and hasattr(socket, "AF_UNIX") and os.path.isabs(place):
        family, target = socket.AF_UNIX, place
    elif scheme == "tcp" and host == LOOPBACK and port.isascii() and port.isdigit() and 0 < int(port) < 65536:
        family, target = socket.AF_INET, (host, int(port))
    else:
        raise _unreachable(address, "that is not an address on this computer")
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.settimeout(timeout)
        opened.connect(target)
    except OSError as error:
        opened.close()
        raise _unreachable(address, error.strerror or str(error)) from None
    return opened


def _channel(opened: socket.socket) -> Channel:
    opened.setblocking(True)
    if opened.family == socket.AF_INET:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # small messages must not wait for acknowledgements
    waker = opened.dup()
    return Channel(Connection(opened.detach()), waker)


def _unreachable(address: str, why: str) -> Fault:
    return Fault("backend-unreachable", f"The backend at {address[:120]} cannot be reached: {why}.", "Restart the backend from the panel.")
