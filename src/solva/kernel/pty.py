"""Pseudo terminals: receiving one over a unix socket, and its window size."""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import socket
import struct
import termios
from pathlib import Path


def set_window_size(fd: int, rows: int, columns: int) -> None:
    """TIOCSWINSZ. OSError."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class ConsoleSocket:
    """A listening unix socket on which an OCI runtime sends the master side of a terminal (``--console-socket``)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.bind(str(path))
            path.chmod(0o600)
            self._socket.listen(1)
        except BaseException:
            self._socket.close()
            raise

    async def receive(self) -> int:
        """The descriptor, non-blocking and ours to close."""
        loop = asyncio.get_running_loop()
        connection, _ = await loop.sock_accept(self._socket)
        try:
            ready = asyncio.Event()
            loop.add_reader(connection.fileno(), ready.set)
            try:
                await ready.wait()
            finally:
                loop.remove_reader(connection.fileno())
            _, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
        finally:
            connection.close()
        fds = array.array("i")
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
        if not fds:
            raise OSError("the runtime sent no terminal")
        os.set_inheritable(fds[0], False)
        os.set_blocking(fds[0], False)
        return fds[0]

    def close(self) -> None:
        """Also removes the path."""
        self._socket.close()
        self.path.unlink(missing_ok=True)
