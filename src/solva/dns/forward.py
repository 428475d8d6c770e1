"""Questions for the outside: up to three servers in order, four seconds each, at most 1024 in flight a sandbox.

A server's SERVFAIL or REFUSED, its silence and a closed port lead to the next one; NXDOMAIN is an answer. A question
that came over TCP goes out over TCP. Servers are dialled from the host's network namespace or from the sandbox's.
"""

from __future__ import annotations

import os
import socket
from collections import deque

from solva.dns import message
from solva.dns.reactor import READ, WRITE, Reactor
from solva.dns.zones import Sandbox, Server
from solva.kernel.setns import in_netns

TYPE_CHECKING = False  # typing is not imported for nothing: 7 ms, half a megabyte
if TYPE_CHECKING:
    from collections.abc import Callable

    Reply = Callable[[bytes, str], None]
    """Called once with the response, and who gave it for the query log."""

SERVERS = 3
SECONDS = 4.0
IN_FLIGHT = 1024
WAITING = 4096
_REUSE = 32
"""Questions over one UDP socket before another port is taken."""
_IDLE_SECONDS = 10.0
_BATCH = 64


class Question:
    """A forwarded question on its way through the servers."""

    __slots__ = ("channel", "key", "left", "query", "reply", "server", "tcp")

    def __init__(self, query: message.Query, servers: list[Server], tcp: bool, reply: Reply) -> None:
        self.query = query
        self.left = servers
        self.tcp = tcp
        self.reply = reply
        self.server: Server | None = None
        self.channel: _Datagram | _Stream | None = None
        self.key = 0


class Forwarder:
    """The way out of one sandbox. ``close`` when it goes."""

    def __init__(self, reactor: Reactor, clocks: Clocks, sandbox: Sandbox) -> None:
        self.reactor = reactor
        self.sandbox = sandbox
        self._clocks = clocks
        self._servers = [server for server in sandbox.servers[:SERVERS] if sandbox.external or not server.from_host]
        self._flying: set[Question] = set()
        self._waiting: deque[Question] = deque()
        self._admitting = False
        self._datagrams: dict[Server, _Datagram] = {}
        self.channels: set[_Datagram | _Stream] = set()

    def ask(self, query: message.Query, *, tcp: bool, reply: Reply) -> None:
        """Answer ``query`` from the outside, sooner or later, by ``reply``."""
        question = Question(query, list(self._servers), tcp, reply)
        if not self._servers:
            reply(message.answer(query, [], rcode=message.SERVFAIL), "no server")
        elif len(self._flying) < IN_FLIGHT:
            self._flying.add(question)
            self._next(question)
        elif len(self._waiting) < WAITING:
            self._waiting.append(question)
            self._clocks.arm(question, self)
        else:
            reply(message.answer(query, [], rcode=message.REFUSED), "too many in flight")

    def _next(self, question: Question) -> None:
        """On to the next server that can be dialled."""
        while question.left:
            server = question.server = question.left.pop(0)
            try:
                channel = _Stream(self, server) if question.tcp else self._datagram(server)
                channel.send(question)
            except OSError:
                continue
            self._clocks.arm(question, self)
            return
        self._done(question, message.answer(question.query, [], rcode=message.SERVFAIL), "no server answered")

    def _datagram(self, server: Server) -> _Datagram:
        channel = self._datagrams.get(server)
        if channel is None or channel.used >= _REUSE:
            channel = self._datagrams[server] = _Datagram(self, server)
        return channel

    def answered(self, question: Question, response: bytes) -> None:
        """A server has said ``response``, with the asker's id already."""
        if response[3] & 0x0F in (message.SERVFAIL, message.REFUSED):
            self.failed(question)
        else:
            self._done(question, response, str(question.server))

    def failed(self, question: Question) -> None:
        """The server at hand gives no answer."""
        self._clocks.disarm(question)
        question.channel = None
        self._next(question)

    def expired(self, question: Question) -> None:
        """Four seconds are over: of the server at hand, or of the wait for a place."""
        if question.channel is None:
            try:
                self._waiting.remove(question)
            except ValueError:
                return
            question.reply(message.answer(question.query, [], rcode=message.REFUSED), "too many in flight")
            return
        question.channel.drop(question)
        question.channel = None
        self._next(question)

    def _done(self, question: Question, response: bytes, source: str) -> None:
        self._clocks.disarm(question)
        self._flying.discard(question)
        question.reply(response, source)
        if self._admitting:
            return  # a dial that fails at once ends in here again: the loop below goes on with the next one
        self._admitting = True
        while self._waiting and len(self._flying) < IN_FLIGHT:
            waiting = self._waiting.popleft()
            self._clocks.disarm(waiting)
            self._flying.add(waiting)
            self._next(waiting)
        self._admitting = False

    def idle(self, channel: _Datagram) -> None:
        """Close a socket nobody waits on; a retired one for good."""
        if channel.pending:
            self._clocks.rest(channel)
            return
        if self._datagrams.get(channel.server) is channel:
            del self._datagrams[channel.server]
        self._clocks.forget(channel)
        channel.close()

    def rest(self, channel: _Datagram) -> None:
        self._clocks.rest(channel)

    def close(self) -> None:
        """Give everything up, without answers: the asker is gone."""
        for question in [*self._flying, *self._waiting]:
            self._clocks.disarm(question)
        self._flying.clear()
        self._waiting.clear()
        self._datagrams.clear()
        for channel in list(self.channels):
            self._clocks.forget(channel)
            channel.close()

    def dial(self, server: Server, kind: int) -> socket.socket:
        """A socket connected to ``server``, made where it is to be dialled from. Raises OSError."""
        family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
        if server.from_host or not self.sandbox.netns:
            made = socket.socket(family, kind)
        else:
            made = in_netns(self.sandbox.netns, lambda: socket.socket(family, kind))
        made.setblocking(False)
        try:
            target = socket.getaddrinfo(server.address, server.port, family, kind, 0, socket.AI_NUMERICHOST)[0][4]
            made.connect(target)
        except BlockingIOError:
            pass
        except OSError:
            made.close()
            raise
        return made


class Clocks:
    """The time limits of all forwarders: one loop has two, however many sandboxes there are."""

    def __init__(self, reactor: Reactor) -> None:
        self._owners: dict[Question, Forwarder] = {}
        self._questions = reactor.deadlines(SECONDS, self._expired)
        self._channels = reactor.deadlines(_IDLE_SECONDS, self._idle)

    def arm(self, question: Question, owner: Forwarder) -> None:
        self._owners[question] = owner
        self._questions.arm(question)

    def disarm(self, question: Question) -> None:
        if self._owners.pop(question, None) is not None:
            self._questions.disarm(question)

    def rest(self, channel: _Datagram) -> None:
        self._channels.arm(channel)

    def forget(self, channel: _Datagram | _Stream) -> None:
        if isinstance(channel, _Datagram):
            self._channels.disarm(channel)

    def _expired(self, question: Question) -> None:
        self._owners.pop(question).expired(question)

    def _idle(self, channel: _Datagram) -> None:
        channel.owner.idle(channel)


class _Datagram:
    """One connected UDP socket to a server: its kernel-chosen port and random ids keep forged answers out."""

    def __init__(self, owner: Forwarder, server: Server) -> None:
        self.owner = owner
        self.server = server
        self.used = 0
        self.pending: dict[int, Question] = {}
        self._socket = owner.dial(server, socket.SOCK_DGRAM)
        owner.reactor.watch(self._socket.fileno(), self._readable)
        owner.channels.add(self)
        owner.rest(self)

    def send(self, question: Question) -> None:
        key = int.from_bytes(os.urandom(2), "big")
        while key in self.pending:
            key = (key + 1) & 0xFFFF
        try:
            self._socket.send(key.to_bytes(2, "big") + question.query.packet[2:])
        except ConnectionError:
            self._lost()  # said about an earlier question, true for this one
            raise
        self.used += 1
        self.pending[key] = question
        question.channel, question.key = self, key

    def drop(self, question: Question) -> None:
        self.pending.pop(question.key, None)
        self._settle()

    def _settle(self) -> None:
        """A socket that takes no more questions and waits for none goes at once."""
        if self.used >= _REUSE and not self.pending:
            self.owner.idle(self)

    def _lost(self) -> None:
        """The port is closed or the server unreachable (ICMP): nobody on this socket gets an answer."""
        lost = list(self.pending.values())
        self.pending.clear()
        self.used = _REUSE
        for question in lost:
            self.owner.failed(question)
        self._settle()

    def _readable(self, _: int) -> None:
        for _ in range(_BATCH):
            try:
                data = self._socket.recv(message.TCP_LIMIT)
            except BlockingIOError:
                return
            except OSError:
                self._lost()
                return
            question = self.pending.get(int.from_bytes(data[:2], "big"))
            if question is not None and message.answers(data, question.query):
                del self.pending[question.key]
                self.owner.answered(question, question.query.packet[:2] + data[2:])
                self._settle()
            if self not in self.owner.channels:
                return

    def close(self) -> None:
        if self in self.owner.channels:
            self.owner.channels.discard(self)
            self.owner.reactor.forget(self._socket.fileno())
            self._socket.close()


class _Stream:
    """One TCP connection for one question."""

    def __init__(self, owner: Forwarder, server: Server) -> None:
        self.owner = owner
        self._question: Question | None = None
        self._out = b""
        self._in = b""
        self._socket = owner.dial(server, socket.SOCK_STREAM)
        owner.reactor.watch(self._socket.fileno(), self._ready, WRITE)
        owner.channels.add(self)

    def send(self, question: Question) -> None:
        self._question = question
        question.channel = self
        self._out = len(question.query.packet).to_bytes(2, "big") + question.query.packet

    def drop(self, _: Question) -> None:
        self.close()

    def _ready(self, _: int) -> None:
        question = self._question
        assert question is not None
        try:
            if self._out:
                self._out = self._out[self._socket.send(self._out):]
                if not self._out:
                    self.owner.reactor.change(self._socket.fileno(), READ)
                return
            data = self._socket.recv(message.TCP_LIMIT + 2)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._in += data
        whole = len(self._in) >= 2 and len(self._in) >= 2 + int.from_bytes(self._in[:2], "big")
        if data and not whole:
            return
        response = self._in[2:2 + int.from_bytes(self._in[:2], "big")] if whole else b""
        self.close()
        if response[:2] == question.query.packet[:2] and message.answers(response, question.query):
            self.owner.answered(question, response)
        else:
            self.owner.failed(question)

    def close(self) -> None:
        if self in self.owner.channels:
            self.owner.channels.discard(self)
            self.owner.reactor.forget(self._socket.fileno())
            self._socket.close()
