"""The name server: every sandbox's 127.0.0.11:20053 over UDP and TCP, the control socket, one loop.

An answer out of our own zones is bytes by question: the second time somebody asks the same, the hot path is a look-up
in a dict and two system calls.
"""

from __future__ import annotations

import json
import os
import socket
import time

from solva.dns import message, paths, zones
from solva.dns.forward import Clocks, Forwarder
from solva.dns.reactor import READ, WRITE, Reactor
from solva.kernel.setns import in_netns

TYPE_CHECKING = False  # typing is not imported for nothing: 7 ms, half a megabyte
if TYPE_CHECKING:
    from collections.abc import Callable

_BATCH = 64
_CACHED = 256
_CACHED_SIZE = 300
_ROTATIONS = 16
_CONNECTIONS = 128
_IDLE_SECONDS = 15.0
_OUT_LIMIT = 4 * message.TCP_LIMIT
_IP_FREEBIND = 15
_LOG_LIMIT = 4 << 20


class Rotation:
    """The same addresses, each in turn the first: a busy name's load falls evenly on all."""

    __slots__ = ("turn", "variants")

    def __init__(self, variants: list[bytes]) -> None:
        self.variants = variants
        self.turn = 0

    def take(self) -> bytes:
        self.turn = (self.turn + 1) % len(self.variants)
        return self.variants[self.turn]


class Listener:
    """One sandbox's sockets and answers."""

    def __init__(self, server: Server, sandbox: zones.Sandbox) -> None:
        self.server = server
        self.sandbox = sandbox
        self.cache: dict[bytes, bytes | Rotation] = {}
        self.connections: set[Connection] = set()
        self.forwarder = Forwarder(server.reactor, server.clocks, sandbox)
        self.namespace = _identity(sandbox.netns)
        self.udp, self.tcp = in_netns(sandbox.netns, _open)
        server.reactor.watch(self.udp.fileno(), self._on_udp)
        server.reactor.watch(self.tcp.fileno(), self._on_tcp)

    def update(self, sandbox: zones.Sandbox) -> None:
        """Go on with what the sandbox's file says now; the sockets stay, and so does what is under way to servers that
        are still the ones to ask."""
        before, self.sandbox = self.sandbox, sandbox
        if before.outside() != sandbox.outside():
            self.forwarder.close()
            self.forwarder = Forwarder(self.server.reactor, self.server.clocks, sandbox)

    def _on_udp(self, _: int) -> None:
        receive, send, cache = self.udp.recvfrom, self.udp.sendto, self.cache
        for _ in range(_BATCH):
            try:
                data, asker = receive(4096)
                hit = cache.get(data[2:])
                if hit is None:
                    self._answer_udp(data, asker)
                else:
                    send(data[:2] + (hit if type(hit) is bytes else hit.take()), asker)  # type: ignore[union-attr]
            except BlockingIOError:
                return
            except OSError:
                continue  # the asker's port is gone, or a full buffer: UDP loses packets, askers ask again

    def _answer_udp(self, data: bytes, asker: tuple[str, int]) -> None:
        def reply(response: bytes, _: str = "") -> None:
            try:
                self.udp.sendto(response, asker)
            except OSError:
                pass

        self.answer(data, reply, tcp=False)

    def answer(self, data: bytes, reply: Callable[[bytes, str], None], *, tcp: bool) -> None:
        """Answer one packet: here, or by the servers of the outside."""
        try:
            query = message.Query(data)
        except message.Malformed as problem:
            if len(data) >= message.HEADER and not data[2] & 0x80:
                reply(message.failure(data, problem.rcode), "malformed")
            return
        if data[2] & 0x80:
            return
        if self.server.log_queries:
            reply = self._logged(query, reply)
        records = self._own(query)
        if records is not None:
            reply(self._put_together(query, records, tcp=tcp), "here")
        elif self._for_the_search_list(query):
            reply(message.answer(query, []), "ndots")
        elif tcp:
            self.forwarder.ask(query, tcp=True, reply=reply)
        else:
            self.forwarder.ask(query, tcp=False, reply=lambda got, by: reply(message.cut(got, query), by))

    def _own(self, query: message.Query) -> list[bytes] | None:
        """The records of our own zones; None for what is not ours. A name of ours is never asked for outside, of
        whatever type: the outside would say that it does not exist."""
        if query.qclass != message.IN:
            return None
        if query.qtype == message.PTR:
            name = zones.reverse(self.sandbox, query.name)
            if name is not None:
                try:
                    return [message.record(message.PTR, message.encode_name(name))]
                except ValueError:
                    return []  # a network's name may be longer than DNS can say
        found = zones.lookup(self.sandbox, query.name, v6=query.qtype == message.AAAA)
        if found is None:
            return [] if query.name.startswith(b"_") and zones.owned(self.sandbox, query.name) else None
        if query.qtype not in (message.A, message.AAAA):
            return []
        return [message.record(query.qtype, address) for address in found]

    def _for_the_search_list(self, query: message.Query) -> bool:
        return self.sandbox.ndots_set and query.qtype in (message.A, message.AAAA) and b"." not in query.name

    def _put_together(self, query: message.Query, records: list[bytes], *, tcp: bool) -> bytes:
        limit = message.TCP_LIMIT if tcp else None
        count = len(records)
        step = -(-count // _ROTATIONS) if count > 1 else 1
        start = int.from_bytes(os.urandom(2), "big") % count if count else 0
        turns = [(start + at) % count for at in range(0, count, step)] or [0]
        variants = [message.answer(query, records[turn:] + records[:turn], limit=limit)[2:] for turn in turns]
        if not tcp and len(query.packet) <= _CACHED_SIZE and not self.server.log_queries:
            if len(self.cache) >= _CACHED:
                self.cache.clear()
            self.cache[query.packet[2:]] = variants[0] if count < 2 else Rotation(variants)
        return query.packet[:2] + variants[0]

    def _logged(self, query: message.Query, reply: Callable[[bytes, str], None]) -> Callable[[bytes, str], None]:
        began = time.monotonic()

        def logged(response: bytes, source: str) -> None:
            took = (time.monotonic() - began) * 1000
            code = response[3] & 0x0F
            count = response[6] << 8 | response[7]
            said = f"rcode {code}, {count} records, {source}, {took:.1f} ms"
            self.server.report(f"{self.sandbox.name}: {query.text}: {said}")
            reply(response, source)

        return logged

    def _on_tcp(self, _: int) -> None:
        try:
            made, _ = self.tcp.accept()
        except OSError:
            return
        if len(self.connections) >= _CONNECTIONS:
            made.close()
            return
        made.setblocking(False)
        self.connections.add(Connection(self, made))

    def close(self) -> None:
        self.forwarder.close()
        for connection in list(self.connections):
            connection.close()
        for each in (self.udp, self.tcp):
            self.server.reactor.forget(each.fileno())
            each.close()


class Connection:
    """An asker over TCP: questions with their length before them, answered as they come, in any order."""

    def __init__(self, listener: Listener, made: socket.socket) -> None:
        self._listener = listener
        self._reactor = listener.server.reactor
        self._socket = made
        self._in = b""
        self._out = b""
        self._open_questions = 0
        self._ended = False
        self._reactor.watch(made.fileno(), self._ready)
        listener.server.connections.arm(self)

    def _ready(self, events: int) -> None:
        try:
            if events & WRITE and self._out:
                self._flush()
            elif not self._ended:
                self._read()
            elif events & ~(READ | WRITE):
                self.close()
        except BlockingIOError:
            return
        except OSError:
            self.close()

    def _read(self) -> None:
        data = self._socket.recv(message.TCP_LIMIT)
        self._listener.server.connections.arm(self)
        self._in += data
        while len(self._in) >= 2 and self in self._listener.connections:
            size = int.from_bytes(self._in[:2], "big")
            if len(self._in) < 2 + size:
                break
            packet, self._in = self._in[2:2 + size], self._in[2 + size:]
            self._open_questions += 1
            self._listener.answer(packet, self._reply, tcp=True)
        if not data:
            self._ended = True
            self._reactor.change(self._socket.fileno(), WRITE if self._out else 0)
            self._end_if_done()

    def _reply(self, response: bytes, _: str) -> None:
        self._open_questions -= 1
        if self not in self._listener.connections:
            return
        if len(self._out) > _OUT_LIMIT:
            self.close()  # asks and does not read
            return
        self._out += len(response).to_bytes(2, "big") + response
        try:
            self._flush()
        except BlockingIOError:
            self._reactor.change(self._socket.fileno(), WRITE if self._ended else READ | WRITE)
        except OSError:
            self.close()

    def _flush(self) -> None:
        self._out = self._out[self._socket.send(self._out):]
        waits = (0 if self._ended else READ) | (WRITE if self._out else 0)
        self._reactor.change(self._socket.fileno(), waits)
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._ended and not self._out and self._open_questions <= 0:
            self.close()

    def close(self) -> None:
        if self in self._listener.connections:
            self._listener.connections.discard(self)
            self._listener.server.connections.disarm(self)
            self._reactor.forget(self._socket.fileno())
            self._socket.close()


class Server:
    """All of the process. ``run`` returns when the control socket or a signal says so."""

    def __init__(self, run: str, *, log_queries: bool = False) -> None:
        self.log_queries = log_queries
        self.reactor = Reactor(self.report)
        self.clocks = Clocks(self.reactor)
        self.connections = self.reactor.deadlines(_IDLE_SECONDS, Connection.close)
        self._run = run
        self._zones = zones.Zones()
        self._listeners: dict[str, Listener] = {}
        self._failed: dict[str, str] = {}
        self._logged = 0

    def report(self, text: str) -> None:
        """One line of the log."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        line = f"{stamp}Z {text}\n".encode(errors="backslashreplace")
        self._logged += len(line)
        try:
            if self._logged > _LOG_LIMIT:
                os.ftruncate(2, 0)  # it lies in memory; the newest is what somebody looks for
                self._logged = len(line)
            os.write(2, line)
        except OSError:
            pass  # a terminal, or a full disk

    def load_all(self) -> None:
        """Every file there is; what cannot be served is reported and skipped."""
        for entry in sorted(os.listdir(paths.directory(self._run))):
            if entry.endswith(".json"):
                problem = self.load(entry.removesuffix(".json"))
                if problem:
                    self.report(f"skipped {entry}: {problem}")

    def load(self, sandbox_id: str) -> str:
        """Make what is served equal to the sandbox's file, or to there being none. What is wrong, "" when nothing."""
        self._failed.pop(sandbox_id, None)
        for other in self._listeners.values():
            other.cache.clear()
        try:
            with open(paths.sandbox_file(self._run, sandbox_id), "rb") as file:
                sandbox = self._zones.put(json.loads(file.read()))
            self._serve(sandbox)
        except FileNotFoundError as error:
            gone = error.filename == paths.sandbox_file(self._run, sandbox_id)
            return self._drop(sandbox_id, "" if gone else f"no network namespace {error.filename}")
        except (OSError, ValueError) as error:
            return self._drop(sandbox_id, str(error))
        return ""

    def _serve(self, sandbox: zones.Sandbox) -> None:
        if not sandbox.netns:
            return      # names that somebody has on another host: nobody asks from there
        listener = self._listeners.get(sandbox.id)
        if listener is not None and listener.namespace == _identity(sandbox.netns):
            listener.update(sandbox)
            return
        if listener is not None:
            del self._listeners[sandbox.id]
            listener.close()
        self._listeners[sandbox.id] = Listener(self, sandbox)

    def _drop(self, sandbox_id: str, problem: str) -> str:
        self._zones.remove(sandbox_id)
        listener = self._listeners.pop(sandbox_id, None)
        if listener is not None:
            listener.close()
        if problem:
            self._failed[sandbox_id] = problem
        return problem

    def set_log_queries(self, wanted: bool) -> None:
        """The query log on or off; cached answers pass it by, so they go."""
        self.log_queries = wanted
        for listener in self._listeners.values():
            listener.cache.clear()

    def status(self) -> dict[str, object]:
        return {"pid": os.getpid(), "protocol": paths.PROTOCOL, "log_queries": self.log_queries,
                "sandboxes": sorted(self._listeners), "failed": self._failed}

    def close(self) -> None:
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()


def _open() -> tuple[socket.socket, socket.socket]:
    """The two sockets of a sandbox, made in its namespace; its lo may still be down."""
    made = []
    try:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            each = socket.socket(socket.AF_INET, kind)
            made.append(each)
            each.setblocking(False)
            each.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
            if kind == socket.SOCK_STREAM:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.bind((paths.ADDRESS, paths.PORT))
        made[1].listen(64)
    except OSError:
        for each in made:
            each.close()
        raise
    return made[0], made[1]


def _identity(netns: str) -> tuple[int, int]:
    """What tells one network namespace from the next at the same path; not given again while our sockets are in it."""
    there = os.stat(netns)
    return there.st_dev, there.st_ino
