"""The sessions of BuildKit's clients: connections on which the engine calls the client for files, secrets, agents and
credentials while it builds."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grpclib.client import StreamStreamMethod, UnaryUnaryMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError

from solva.buildkit import wire_pb2 as wire
from solva.buildkit.transport import SessionChannel
from solva.errors import InvalidParameter, SystemFailure

if TYPE_CHECKING:
    from solva.api.streams import RawStream

_HEADER = "x-docker-expose-session-"
SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
CREDENTIALS = "/moby.filesync.v1.Auth/Credentials"
CHECK_AGENT = "/moby.sshforward.v1.SSH/CheckAgent"
FORWARD_AGENT = "/moby.sshforward.v1.SSH/ForwardAgent"
WAIT = 5.0      # seconds for a session that a build names and that is not there yet


class Session:
    """One client. Implements ``collaborators.ClientSession``. ``scratch`` is where sockets for agents are made."""

    def __init__(self, stream: RawStream, headers: Mapping[str, str], methods: list[str], scratch: Path) -> None:
        self.id = headers.get(f"{_HEADER}uuid", "")
        self.shared_key = headers.get(f"{_HEADER}sharedkey", "")
        self.methods = frozenset(methods)
        self._scratch = scratch
        self._channel = SessionChannel(stream)

    async def run(self) -> None:
        """Until the client ends it."""
        await self._channel.run()

    async def call(self, path: str, message: Any, reply: Any) -> Any:
        """A call with one message each way; GRPCError as the client answers."""
        return await UnaryUnaryMethod(self._channel, path, type(message), reply)(message)

    def open(self, path: str, kind: Any, metadata: Any = None) -> Any:
        """A stream of ``kind`` both ways (grpclib's context manager)."""
        return StreamStreamMethod(self._channel, path, kind, kind).open(metadata=metadata)

    # ClientSession

    async def secret(self, identifier: str) -> bytes | None:
        if SECRET not in self.methods:
            return None
        try:
            answer = await self.call(SECRET, wire.GetSecretRequest(id=identifier), wire.GetSecretResponse)
        except GRPCError as error:
            if error.status in (Status.NOT_FOUND, Status.UNIMPLEMENTED):
                return None
            raise SystemFailure(f"secret {identifier}: {error.message}") from error
        return bytes(answer.data)

    async def credentials(self, host: str) -> tuple[str, str] | None:
        if CREDENTIALS not in self.methods:
            return None
        try:
            answer = await self.call(CREDENTIALS, wire.CredentialsRequest(host=host), wire.CredentialsResponse)
        except (GRPCError, StreamTerminatedError, ConnectionError):
            return None
        return (answer.username, answer.secret) if answer.secret else None

    def ssh(self, identifier: str) -> AbstractAsyncContextManager[Path] | None:
        return self._agent(identifier) if FORWARD_AGENT in self.methods else None

    @asynccontextmanager
    async def _agent(self, identifier: str) -> AsyncIterator[Path]:
        """A socket; every connection to it is a stream to the client's agent."""
        try:
            await self.call(CHECK_AGENT, wire.CheckAgentRequest(id=identifier), wire.Empty)
        except GRPCError as error:
            raise InvalidParameter(f"ssh {identifier}: {error.message}") from error
        path = self._scratch / f"ssh-{secrets.token_hex(6)}"

        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await self._forward(identifier, reader, writer)
            except (GRPCError, StreamTerminatedError, ConnectionError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_unix_server(forward, path)
        try:
            yield path
        finally:
            server.close()
            os.unlink(path)

    async def _forward(self, identifier: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self.open(FORWARD_AGENT, wire.Bytes, {"ssh.id": identifier}) as stream:
            await stream.send_request()

            async def up() -> None:
                while data := await reader.read(1 << 15):
                    await stream.send_message(wire.Bytes(data=data))
                await stream.end()

            sending = asyncio.ensure_future(up())
            try:
                async for message in stream:
                    writer.write(message.data)
                    await writer.drain()
            finally:
                sending.cancel()


class Sessions:
    """Those there are, by id."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._all: dict[str, Session] = {}
        self._came = asyncio.Condition()

    async def serve(self, stream: RawStream, headers: Mapping[str, str], methods: list[str]) -> None:
        """A client has opened a session; until it ends."""
        session = Session(stream, headers, methods, self._scratch)
        async with self._came:
            self._all[session.id] = session
            self._came.notify_all()
        try:
            await session.run()
        finally:
            if self._all.get(session.id) is session:
                del self._all[session.id]

    async def get(self, identifier: str) -> Session:
        """The session of that id; it may come a moment after the build that names it."""
        try:
            async with asyncio.timeout(WAIT), self._came:
                await self._came.wait_for(lambda: identifier in self._all)
                return self._all[identifier]
        except TimeoutError:
            raise InvalidParameter(f"no active session for {identifier}: context deadline exceeded") from None
