"""What the engine may call on the client while it builds: its files, secrets, agents and credentials, and where
results go. gRPC services on the session's connection."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, BinaryIO
from urllib.parse import unquote_plus

from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError

from solva.buildkit import fsutil
from solva.buildkit import wire_pb2 as wire
from solva.buildkit.receiver import Receiver
from solva.client.buildkit.request import BuildRequest
from solva.client.context import Ignore
from solva.errors import SolvaError

_EXPORTER = "buildkit-attachable-exporter-id"
UPLOAD_PATH = "/context"


class Attachables:
    """All of one build's."""

    def __init__(self, request: BuildRequest) -> None:
        self._request = request

    def __mapping__(self) -> dict[str, Handler]:
        both = Cardinality.STREAM_STREAM
        found = {
            "/grpc.health.v1.Health/Check": _unary(self._health, wire.Empty, wire.HealthResponse),
            "/moby.filesync.v1.Auth/Credentials": _unary(self._credentials, wire.CredentialsRequest,
                                                         wire.CredentialsResponse),
            fsutil.DIFF_COPY: Handler(self._send_folder, both, wire.Packet, wire.Packet),
        }
        request = self._request
        if request.secrets:
            found["/moby.buildkit.secrets.v1.Secrets/GetSecret"] = _unary(self._secret, wire.GetSecretRequest,
                                                                          wire.GetSecretResponse)
        if request.agents:
            found["/moby.sshforward.v1.SSH/CheckAgent"] = _unary(self._check_agent, wire.CheckAgentRequest, wire.Empty)
            found["/moby.sshforward.v1.SSH/ForwardAgent"] = Handler(self._forward, both, wire.Bytes, wire.Bytes)
        if request.archive is not None:
            found["/moby.upload.v1.Upload/Pull"] = Handler(self._upload, both, wire.Bytes, wire.Bytes)
        folder = any(output.folder for output in request.outputs)
        if folder or any(output.open for output in request.outputs):
            kind = wire.Packet if folder else wire.Bytes
            found[fsutil.FILE_SEND] = Handler(self._take_folder if folder else self._take_file, both, kind, kind)
        return found

    async def _health(self, request: Any, metadata: Any) -> Any:
        return wire.HealthResponse(status=1)

    async def _credentials(self, request: Any, metadata: Any) -> Any:
        found = await asyncio.to_thread(self._request.credentials, request.host)
        user, secret = found or ("", "")
        return wire.CredentialsResponse(username=user, secret=secret)

    async def _secret(self, request: Any, metadata: Any) -> Any:
        if request.id not in self._request.secrets:
            raise GRPCError(Status.NOT_FOUND, f"secret {request.id} not found")
        return wire.GetSecretResponse(data=self._request.secrets[request.id])

    def _agent(self, identifier: str) -> str:
        path = self._request.agents.get(identifier or "default")
        if path is None:
            raise GRPCError(Status.NOT_FOUND, f"unset ssh forward key {identifier}")
        return path

    async def _check_agent(self, request: Any, metadata: Any) -> Any:
        self._agent(request.id)
        return wire.Empty()

    async def _forward(self, stream: Any) -> None:
        try:
            reader, writer = await asyncio.open_unix_connection(self._agent(stream.metadata.get("ssh.id", "")))
        except OSError as error:
            raise GRPCError(Status.UNAVAILABLE, f"the ssh agent does not answer: {error.strerror}") from error

        async def up() -> None:
            while data := await reader.read(1 << 15):
                await stream.send_message(wire.Bytes(data=data))

        answers = asyncio.ensure_future(up())
        try:
            async for message in stream:
                writer.write(message.data)
                await writer.drain()
            writer.write_eof()
            await answers
        finally:
            answers.cancel()
            writer.close()

    async def _send_folder(self, stream: Any) -> None:
        metadata = stream.metadata
        names = _values(metadata, "dir-name")
        root = self._request.folders.get(names[0] if names else "")
        if root is None:
            raise GRPCError(Status.NOT_FOUND, f"no access allowed to dir {names[0] if names else ''}")
        wanted = [*_values(metadata, "include-patterns"), *_values(metadata, "followpaths")]
        try:
            await fsutil.send(stream, listed(root, wanted, _values(metadata, "exclude-patterns")), lambda sent: None)
        except SolvaError as error:
            raise GRPCError(Status.UNKNOWN, str(error)) from error

    async def _upload(self, stream: Any) -> None:
        archive = self._request.archive
        assert archive is not None
        while data := await asyncio.to_thread(archive.read, 1 << 15):
            await stream.send_message(wire.Bytes(data=data))

    def _output(self, stream: Any) -> int:
        try:
            return int(stream.metadata.get(_EXPORTER, "0"))
        except ValueError:
            return 0

    async def _take_folder(self, stream: Any) -> None:
        outputs = self._request.outputs
        folder = outputs[min(self._output(stream), len(outputs) - 1)].folder
        os.makedirs(folder, exist_ok=True)
        try:
            await Receiver(folder, lambda size: None, mirror=False).run(stream)
        except (SolvaError, OSError) as error:
            raise GRPCError(Status.UNKNOWN, str(error)) from error

    async def _take_file(self, stream: Any) -> None:
        outputs = self._request.outputs
        output = outputs[min(self._output(stream), len(outputs) - 1)]
        assert output.open is not None
        file: BinaryIO = output.open()
        try:
            async for message in stream:
                file.write(message.data)
            file.flush()
        finally:
            file.close()


def _unary(call: Callable[[Any, Any], Awaitable[Any]], request: Any, reply: Any) -> Handler:
    async def handle(stream: Any) -> None:
        await stream.send_message(await call(await stream.recv_message(), stream.metadata))
    return Handler(handle, Cardinality.UNARY_UNARY, request, reply)


def _values(metadata: Any, key: str) -> list[str]:
    values = list(metadata.getall(key, []))
    return [unquote_plus(value) for value in values] if metadata.get(f"{key}-encoded") else values


def listed(root: str, wanted: Sequence[str], excluded: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """What of a directory is sent, as root's: all, or what ``wanted`` patterns name with the directories above; less
    what ``excluded`` patterns name. Paths on this machine with their Stat, in the order of a walk."""
    include = Ignore(list(wanted)) if wanted else None
    exclude = Ignore(list(excluded))
    links = fsutil.Links()

    def walk(below: str, above: list[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
        with os.scandir(os.path.join(root, below)) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            path = below + entry.name
            stat = links.packed(entry.path, path)
            stat.uid = stat.gid = 0
            folder = entry.is_dir(follow_symlinks=False)
            if (include is None or include.matches(path)) and not exclude.matches(path):
                yield from above
                above.clear()
                yield entry.path, stat
                if folder:
                    yield from walk(path + "/", [])
            elif folder and (not exclude.matches(path) or exclude.exceptions):
                pending = [*above, (entry.path, stat)]
                inner = walk(path + "/", pending)
                for item in inner:
                    above.clear()
                    yield item

    yield from walk("", [])
