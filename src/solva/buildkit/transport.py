"""gRPC on a hijacked connection: grpclib's protocol object over a RawStream, as server (/grpc) or as client (/session,
where the engine calls the client back)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from grpclib.client import Channel
from grpclib.config import Configuration
from grpclib.const import Cardinality, Handler, Status
from grpclib.encoding.base import StatusDetailsCodecBase
from grpclib.exceptions import GRPCError
from grpclib.protocol import H2Protocol
from grpclib.server import Server

from solva.buildkit import wire_pb2 as wire

if TYPE_CHECKING:
    from solva.api.streams import RawStream

_HIGH = 1 << 20
log = logging.getLogger("solva.buildkit")


class StreamTransport(asyncio.Transport):
    """What grpclib writes goes to the stream by a task of its own; what comes is fed by ``run``."""

    def __init__(self, stream: RawStream) -> None:
        super().__init__()
        self._stream = stream
        self._out: list[bytes] = []
        self._size = 0
        self._wake = asyncio.Event()
        self.begun = asyncio.Event()
        self._closing = False
        self._paused = False
        self._protocol: H2Protocol | None = None

    async def run(self, protocol: H2Protocol) -> None:
        """Until either side ends."""
        self._protocol = protocol
        protocol.connection_made(self)
        self.begun.set()
        writer = asyncio.ensure_future(self._write())
        try:
            while not self._closing and (data := await self._stream.read()):
                protocol.data_received(data)
        except ConnectionError:
            pass
        finally:
            self.close()
            protocol.connection_lost(None)
            await asyncio.wait([writer], timeout=1)
            writer.cancel()

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                data, self._out, self._size = b"".join(self._out), [], 0
                if data:
                    await self._stream.write(data)
                if self._paused and self._size < _HIGH // 2 and self._protocol is not None:
                    self._paused = False
                    self._protocol.resume_writing()
                if self._closing and not self._out:
                    return
        except ConnectionError:
            self._closing = True
        finally:
            self._stream.close()    # ends the reading too

    # asyncio.Transport

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self._closing:
            return
        self._out.append(bytes(data))
        self._size += len(data)
        self._wake.set()
        if self._size > _HIGH and not self._paused and self._protocol is not None:
            self._paused = True
            self._protocol.pause_writing()

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._wake.set()

    def is_closing(self) -> bool:
        return self._closing

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class StatusDetails(StatusDetailsCodecBase):
    """``grpc-status-details-bin``: details are google.protobuf.Any messages."""

    def encode(self, status: Status, message: str | None, details: Any) -> bytes:
        whole = wire.Status(code=status.value, message=message or "", details=details or ())
        return whole.SerializeToString()

    def decode(self, status: Status, message: str | None, data: bytes) -> Any:
        return wire.Status.FromString(data).details


class _Methods(dict[str, Handler]):
    """Methods by path. A path that is not known is answered as gRPC wants it: grpclib's own answer lacks the content
    type, which Go's clients take for a broken server."""

    def get(self, path: str, default: Any = None) -> Any:
        found = super().get(path)
        if found is not None:
            return found

        async def unknown(stream: Any) -> None:
            log.debug("a BuildKit client called %s, which is not served", path)
            raise GRPCError(Status.UNIMPLEMENTED, f"unknown method {path}")
        return Handler(unknown, Cardinality.STREAM_STREAM, wire.Empty, wire.Empty)


async def serve(stream: RawStream, services: Collection[Any]) -> None:
    """Answer the calls that come on ``stream``, until it ends."""
    server = Server(services, status_details_codec=StatusDetails())
    server._mapping = _Methods(server._mapping)
    protocol = server._protocol_factory()
    await StreamTransport(stream).run(protocol)


class SessionChannel(Channel):
    """A gRPC client on a connection that the other side has opened."""

    def __init__(self, stream: RawStream) -> None:
        super().__init__("session", 1, config=Configuration(), status_details_codec=StatusDetails())
        self._transport = StreamTransport(stream)
        self._made = self._protocol_factory()
        self.ended = asyncio.Event()

    async def run(self) -> None:
        try:
            await self._transport.run(self._made)
        finally:
            self.ended.set()
            self.close()

    async def _create_connection(self) -> H2Protocol:
        await self._transport.begun.wait()
        if self.ended.is_set():
            raise ConnectionError("the client's session has ended")
        return self._made
