"""The socket that a server listens on: a port, or a file that only its owner can open."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from pathlib import Path

from runs.errors import Busy, LabError, UsageError

BACKLOG = 256


def listen_tcp(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one.

    Raises:
        Busy: something else listens there.
        UsageError: this machine has no such address.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"{host!r} is no address of this machine ({error})") from None
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise Busy(
                f"port {port} of {host} is taken; stop what uses it, or choose another --port"
            ) from None
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    return listener


def listen_unix(path: Path) -> socket.socket:
    """Return a listening socket at a path, in place of one that nobody listens on any more.

    Raises:
        Busy: a server listens there, or something else is in the way.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _clear(path)
        # Whoever can open the file can call, so nobody else ever may.
        mask = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(mask)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise UsageError(f"cannot listen on {path}: {error.strerror or error}") from None
    except LabError:
        listener.close()
        raise
    return listener


def is_loopback(listener: socket.socket) -> bool:
    """Return whether only this machine can connect."""
    return (
        listener.family == socket.AF_UNIX
        or ipaddress.ip_address(listener.getsockname()[0]).is_loopback
    )


def _clear(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise Busy(f"{path} exists and is no socket; choose another --uds")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise Busy(f"a server listens on {path} already; stop it, or choose another --uds")
