"""The control socket: the engine says which sandbox's file has changed and waits for the word that it is served.

A request is a line, the answer is a line: ``put ID`` and ``remove ID`` -> ``ok`` or ``failed WHY``; ``status`` -> JSON;
``log on|off`` -> ``ok``; ``stop`` -> ``ok``, then the process ends.
"""

import json
import os
import socket

from solva.dns import paths
from solva.dns.server import Server

_LINE = 4096
_SEND_SECONDS = 1.0


class Control:
    """Serves the control socket on the name server's loop. Requests are short and so are the answers; the engine is
    the one client, now and then a person's ``status``."""

    def __init__(self, server: Server, run: str) -> None:
        self._server = server
        path = paths.control_socket(run)
        try:
            os.unlink(path)  # a dead process's: the pid file's lock says that there is no other
        except FileNotFoundError:
            pass
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            self._listener.bind(path)
        finally:
            os.umask(mask)
        self._listener.listen(16)
        self._listener.setblocking(False)
        server.reactor.watch(self._listener.fileno(), self._accept)

    def _accept(self, _: int) -> None:
        made, _ = self._listener.accept()
        _Client(self, made, self._server)

    def execute(self, line: str) -> str:
        """One request, its answer."""
        verb, _, argument = line.partition(" ")
        if verb in ("put", "remove") and argument and "/" not in argument:
            problem = self._server.load(argument)
            return f"failed {problem}" if problem else "ok"
        if verb == "status":
            return json.dumps(self._server.status())
        if verb == "log" and argument in ("on", "off"):
            self._server.set_log_queries(argument == "on")
            return "ok"
        if verb == "stop":
            self._server.reactor.stopping = True
            return "ok"
        return f"failed unknown request {line[:100]!r}"


class _Client:
    """One connection; lines in, lines out, in order."""

    def __init__(self, control: Control, made: socket.socket, server: Server) -> None:
        made.setblocking(False)
        self._control = control
        self._socket = made
        self._reactor = server.reactor
        self._in = b""
        self._reactor.watch(made.fileno(), self._ready)

    def _ready(self, _: int) -> None:
        try:
            data = self._socket.recv(_LINE)
            self._in += data
            *lines, self._in = self._in.split(b"\n")
            for line in lines:
                answer = self._control.execute(line.decode("utf-8", "replace"))
                self._socket.settimeout(_SEND_SECONDS)
                self._socket.sendall(answer.encode() + b"\n")
                self._socket.setblocking(False)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or len(self._in) > _LINE:
            self._reactor.forget(self._socket.fileno())
            self._socket.close()
