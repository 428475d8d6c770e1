"""One POST a connection, everything bounded: a plugin is another's program and may send anything, or nothing."""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import urlsplit

import httptools

from solva.plugins.discovery import Location, Tls
from solva.plugins.errors import PluginAway, PluginError, PluginSilent

MAX_ANSWER = 4 << 20
MAX_HEAD = 64 << 10
_PIECE = 64 << 10
ACCEPT = "application/vnd.docker.plugins.v1.2+json"
UNIX_HOST = "plugin.moby.localhost"      # what Docker sends where there is no host name


async def post(location: Location, method: str, body: bytes, timeout: float) -> tuple[int, bytes]:
    """Status and body of ``POST /method``. PluginAway, PluginSilent; PluginError for what is not HTTP, or too long."""
    where = f'plugin "{location.name}" at {location.address}'
    connected = False
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await _connect(location)
            connected = True
            try:
                writer.write(_head(location, method, len(body)) + body)
                return await _answer(reader, where, method)
            finally:
                writer.transport.abort()
    except TimeoutError as error:
        raise PluginSilent(f"{where} did not answer {method} within {timeout:g} seconds") from error
    except ssl.SSLError as error:
        raise PluginError(f"{where}: {method}: {error.reason or error}") from error
    except OSError as error:
        text = (error.strerror or str(error)).lower()
        if connected:
            raise PluginError(f"{where}: {method}: {text}") from error
        raise PluginAway(f"{where} cannot be reached: {text}; is it running?") from error


async def _connect(location: Location) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(location.address)
    if parts.scheme == "unix":
        return await asyncio.open_unix_connection(parts.path)
    secure = parts.scheme == "https" or (location.tls is not None and parts.scheme == "tcp")
    context = await asyncio.to_thread(_context, location.tls or Tls(insecure=True)) if secure else None
    return await asyncio.open_connection(parts.hostname, parts.port or (443 if secure else 80), ssl=context)


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca or None)
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert:
        context.load_cert_chain(tls.cert, tls.key or None)
    return context


def _head(location: Location, method: str, length: int) -> bytes:
    host = urlsplit(location.address).netloc or UNIX_HOST
    return (f"POST /{method} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: solva\r\nContent-Length: {length}\r\n"
            f"Accept: {ACCEPT}\r\nConnection: close\r\n\r\n").encode()


class _Parsed:
    """httptools' callbacks for one response."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.headed = self.complete = self.sized = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self.sized = True

    def on_headers_complete(self) -> None:
        self.headed = True

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete = True


async def _answer(reader: asyncio.StreamReader, where: str, method: str) -> tuple[int, bytes]:
    parsed = _Parsed()
    parser = httptools.HttpResponseParser(parsed)
    received = 0
    while not parsed.complete:
        data = await reader.read(_PIECE)
        if not data:
            if parsed.headed and not parsed.sized:
                break      # a body up to the end of the connection
            raise PluginError(f"{where} broke off in the middle of its answer to {method}" if received else
                              f"{where} hung up without an answer to {method}")
        received += len(data)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if parsed.complete:
                break      # what follows the answer is nobody's
            raise PluginError(f"{where} answered {method} with what is not HTTP: {error}") from error
        if received > MAX_ANSWER or (received > MAX_HEAD and not parsed.headed):
            raise PluginError(f"{where} answered {method} with more than {MAX_ANSWER >> 20} MB")
    return parser.get_status_code(), bytes(parsed.body)
