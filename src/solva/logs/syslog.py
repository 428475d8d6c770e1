"""Driver ``syslog``: lines to a syslog server (RFC 3164, RFC 5424) over UDP, TCP, TLS or a unix socket."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Mapping
from datetime import datetime

from solva.logs.forward import Line
from solva.logs.options import address, facility

_LOCAL = ("/dev/log", "/var/run/syslog", "/var/run/log")
_ERROR, _INFO = 3, 6
_TIMEOUT = 10.0


class Syslog:
    """See Sink. Connects at the first line, and anew after a failure."""

    def __init__(self, config: Mapping[str, str], tag: str) -> None:
        self._config = config
        self._scheme, self._place = address(config.get("syslog-address", ""))
        self._facility = facility(config.get("syslog-facility", ""))
        self._format = config.get("syslog-format", "")
        self._tag = tag
        self._host = socket.gethostname()
        self._datagrams: socket.socket | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def connect(self) -> None:
        """OSError when there is nobody."""
        self.close()
        scheme, place = self._scheme, self._place
        if not scheme:
            place = next((each for each in _LOCAL if os.path.exists(each)), "")
            if not place:
                raise OSError("Unix syslog delivery error")
            scheme = "unixgram"
        if scheme in ("udp", "unixgram"):
            family = socket.AF_UNIX
            target: str | tuple[str, int] = place
            if scheme == "udp":
                host, port = _host(place)
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
                family, target = found[0][0], found[0][4][:2]      # type: ignore[assignment]
            self._datagrams = socket.socket(family, socket.SOCK_DGRAM)
            self._datagrams.setblocking(False)
            self._datagrams.connect(target)
            return
        async with asyncio.timeout(_TIMEOUT):
            if scheme == "unix":
                _, self._writer = await asyncio.open_unix_connection(place)
            else:
                host, port = _host(place)
                context = self._tls() if scheme == "tcp+tls" else None
                _, self._writer = await asyncio.open_connection(host, port, ssl=context)

    def _tls(self) -> ssl.SSLContext:
        config = self._config
        context = ssl.create_default_context(cafile=config.get("syslog-tls-ca-cert") or None)
        if config.get("syslog-tls-cert"):
            context.load_cert_chain(config["syslog-tls-cert"], config.get("syslog-tls-key") or None)
        if "syslog-tls-skip-verify" in config:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    async def send(self, lines: list[Line]) -> None:
        messages = [self._message(line) for line in lines if line.text]
        if not messages:
            return
        try:
            if self._datagrams is None and self._writer is None:
                await self.connect()
            if self._datagrams is not None:
                for message in messages:
                    await asyncio.get_running_loop().sock_sendall(self._datagrams, message)
            elif self._writer is not None:
                counted = self._scheme == "tcp+tls" and self._format.startswith("rfc5424")
                self._writer.write(b"".join(b"%d %b" % (len(message), message) if counted else message
                                            for message in messages))
                await self._writer.drain()
        except (OSError, TimeoutError) as error:
            self.close()
            raise OSError(f"syslog {self._place or 'here'}: {error}") from error

    def _message(self, line: Line) -> bytes:
        priority = self._facility * 8 + (_ERROR if line.stream == 2 else _INFO)
        moment = datetime.fromisoformat(line.moment[:26].rstrip("Z") + line.moment[29:] if "." in line.moment
                                        else line.moment).astimezone()
        pid = os.getpid()
        if self._format.startswith("rfc5424"):
            zone = moment.strftime("%z")
            zone = "Z" if zone in ("+0000", "") else f"{zone[:3]}:{zone[3:]}"
            text = moment.strftime("%Y-%m-%dT%H:%M:%S")
            text += f".{moment.microsecond:06}" if "micro" in self._format else ""
            head = f"<{priority}>1 {text}{zone} {self._host} {self._tag} {pid} {self._tag} - "
        elif self._format == "rfc3164":
            head = f"<{priority}>{_stamp(moment)} {self._host} {self._tag}[{pid}]: "
        else:
            head = f"<{priority}>{_stamp(moment)} {self._tag}[{pid}]: "
        return head.encode() + line.text + b"\n"

    def close(self) -> None:
        if self._datagrams is not None:
            self._datagrams.close()
            self._datagrams = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _host(place: str) -> tuple[str, int]:
    host, _, port = place.rpartition(":")
    return host.strip("[]"), int(port)


def _stamp(moment: datetime) -> str:
    return time.strftime("%b %e %H:%M:%S", moment.timetuple())
