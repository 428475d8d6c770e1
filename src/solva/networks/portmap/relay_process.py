"""Carries connections from an IPv6 address of the host to a container's IPv4 address, and from [::1] to any container:
the kernel translates neither. A process of its own, so that it outlives the engine; the standard library alone, so that
it is small. Started by its path: ``python -IS relay_process.py CONTROL-SOCKET``.

The engine hands over each port as a bound socket (SCM_RIGHTS) and can have them all back (``portmap/relay.py``).
Messages are JSON, one a packet: {"op": "serve", "key", "proto", "target": [address, port]} with the socket,
{"op": "drop", "key"}, {"op": "list"}; each is answered, the last by a packet a port with its socket, and {"op": "end"}.
The process ends when it has no port and nobody is connected.
"""

import array
import json
import os
import selectors
import signal
import socket
import struct
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_CHUNK = 1 << 16
_HELD = 1 << 18
"""Bytes taken from one side before the other has taken them."""
_UDP_SECONDS = 90.0
_SO_DETACH_FILTER = 27
_RESET = struct.pack("ii", 1, 0)
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Loop:
    """A selector with a callback for every socket."""

    def __init__(self) -> None:
        self.selector = selectors.EpollSelector()
        self.flows: dict[tuple[str, Any], UdpFlow] = {}

    def watch(self, sock: socket.socket, events: int, call: "Callable[[int], None]") -> None:
        """``events`` 0: not at all."""
        known = sock.fileno() in self.selector.get_map()
        if not events:
            if known:
                self.selector.unregister(sock)
        elif known:
            self.selector.modify(sock, events, call)
        else:
            self.selector.register(sock, events, call)

    def turn(self) -> None:
        for key, events in self.selector.select(_UDP_SECONDS / 3 if self.flows else None):
            if key.fileobj.fileno() >= 0:      # type: ignore[union-attr]
                key.data(events)
        old = time.monotonic() - _UDP_SECONDS
        for name, flow in list(self.flows.items()):
            if flow.used < old:
                flow.close()
                del self.flows[name]


class Pipe:
    """A TCP connection and its other half. ``sides[i]`` is read into ``held[1 - i]``."""

    def __init__(self, loop: Loop, client: socket.socket, target: tuple[str, int]) -> None:
        self.loop = loop
        server = socket.socket(socket.AF_INET6 if ":" in target[0] else socket.AF_INET, socket.SOCK_STREAM)
        self.sides = (client, server)
        self.held = [bytearray(), bytearray()]
        self.ended = [False, False]        # the side sends no more
        self.shut = [False, False]         # the side has been told that no more comes
        self.connecting = True
        for side in self.sides:
            side.setblocking(False)
        try:
            server.connect(target)
        except BlockingIOError:
            pass
        except OSError:
            self.close(reset=True)
            return
        self.arm()

    def arm(self) -> None:
        """What each side waits for."""
        for at in (0, 1):
            side = self.sides[at]
            events = READ if not self.ended[at] and not self.connecting and len(self.held[1 - at]) < _HELD else 0
            if self.held[at] or (self.connecting and at == 1):
                events |= WRITE
            self.loop.watch(side, events, lambda events, at=at: self.ready(at, events))  # type: ignore[misc]

    def ready(self, at: int, events: int) -> None:
        try:
            if self.connecting:
                error = self.sides[1].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    raise OSError(error, os.strerror(error))
                self.connecting = False
            elif events & READ:
                data = self.sides[at].recv(_CHUNK)
                self.held[1 - at] += data
                self.ended[at] = not data
            for to in (0, 1):
                self.flush(to)
        except BlockingIOError:
            pass
        except OSError:
            self.close(reset=True)
            return
        if all(self.shut):
            self.close()
        else:
            self.arm()

    def flush(self, to: int) -> None:
        held = self.held[to]
        if held:
            try:
                del held[:self.sides[to].send(held)]
            except BlockingIOError:
                pass
        if not held and self.ended[1 - to] and not self.shut[to]:
            self.shut[to] = True
            self.sides[to].shutdown(socket.SHUT_WR)

    def close(self, *, reset: bool = False) -> None:
        for side in self.sides:
            self.loop.watch(side, 0, lambda _: None)
            if reset:
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            side.close()


class UdpFlow:
    """What one client sends to one port; the answers go back from the port."""

    def __init__(self, loop: Loop, port: socket.socket, client: "Any", target: tuple[str, int]) -> None:
        self.loop, self.port, self.client = loop, port, client
        self.used = time.monotonic()
        self.socket = socket.socket(socket.AF_INET6 if ":" in target[0] else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.connect(target)
        loop.watch(self.socket, READ, self.answer)

    def send(self, data: bytes) -> None:
        self.used = time.monotonic()
        try:
            self.socket.send(data)
        except OSError:
            pass      # nobody listens in there, or a full buffer: UDP loses packets

    def answer(self, _: int) -> None:
        try:
            self.port.sendto(self.socket.recv(_CHUNK), self.client)
        except OSError:
            pass

    def close(self) -> None:
        self.loop.watch(self.socket, 0, self.answer)
        self.socket.close()


class Port:
    """One port of the host."""

    def __init__(self, loop: Loop, key: str, proto: str, sock: socket.socket, target: tuple[str, int]) -> None:
        self.loop, self.key, self.proto, self.socket, self.target = loop, key, proto, sock, target
        sock.setblocking(False)
        if proto == "tcp":
            # Accepted connections inherit it: those that have ended must not keep the next owner from the port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.listen(512)
        else:
            try:
                sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)      # the engine holds it with one that drops
            except OSError:
                pass      # it was ours before
        loop.watch(sock, READ, self.accept if proto == "tcp" else self.receive)

    def accept(self, _: int) -> None:
        try:
            client, _address = self.socket.accept()
        except OSError:
            return
        Pipe(self.loop, client, self.target)

    def receive(self, _: int) -> None:
        try:
            data, client = self.socket.recvfrom(_CHUNK)
        except OSError:
            return
        flow = self.loop.flows.get((self.key, client))
        if flow is None:
            try:
                flow = UdpFlow(self.loop, self.socket, client, self.target)
            except OSError:
                return
            self.loop.flows[self.key, client] = flow
        flow.send(data)

    def close(self) -> None:
        self.loop.watch(self.socket, 0, self.accept)
        self.socket.close()
        for name in [name for name in self.loop.flows if name[0] == self.key]:
            self.loop.flows.pop(name).close()


class Relay:
    """The process: its ports, and the engines that talk to it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.loop = Loop()
        self.ports: dict[str, Port] = {}
        self.talks = 0
        if os.path.exists(path):
            os.unlink(path)
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.bind(path)
        os.chmod(path, 0o600)
        self.control.listen(4)
        self.loop.watch(self.control, READ, self.meet)
        self.idle = False
        try:
            os.close(3)      # the engine waits for that
        except OSError:
            pass

    def meet(self, _: int) -> None:
        talk, _address = self.control.accept()
        talk.setblocking(False)
        self.talks += 1
        self.loop.watch(talk, READ, lambda _: self.hear(talk))

    def hear(self, talk: socket.socket) -> None:
        try:
            data, extra, _flags, _address = talk.recvmsg(_CHUNK, socket.CMSG_SPACE(4))
            if data:
                self.obey(talk, json.loads(data), extra)
                return
        except BlockingIOError:
            return
        except (OSError, ValueError):
            pass
        self.talks -= 1
        self.loop.watch(talk, 0, lambda _: None)
        talk.close()
        self.idle = not self.talks and not self.ports

    def obey(self, talk: socket.socket, order: "dict[str, Any]", extra: "list[tuple[int, int, bytes]]") -> None:
        passed = [socket.socket(fileno=array.array("i", data[:4])[0]) for _, kind, data in extra
                  if kind == socket.SCM_RIGHTS]
        said = ""
        if order["op"] == "list":
            for port in self.ports.values():
                row = {"op": "port", "key": port.key, "proto": port.proto, "target": port.target}
                socket.send_fds(talk, [json.dumps(row).encode()], [port.socket.fileno()])
            talk.send(b'{"op": "end"}')
            return
        known = self.ports.pop(order["key"], None)
        if known is not None:
            known.close()
        if order["op"] == "serve":
            address, number = order["target"]
            try:
                self.ports[order["key"]] = Port(self.loop, order["key"], order["proto"], passed[0], (address, number))
            except OSError as error:
                said = str(error)
        talk.send(json.dumps({"op": "done", "error": said}).encode())

    def run(self) -> None:
        while not self.idle:
            self.loop.turn()
        os.unlink(self.path)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Relay(sys.argv[1]).run()


if __name__ == "__main__":
    main()
