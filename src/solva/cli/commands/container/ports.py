"""``-p`` and ``--expose``: port specifications, with Docker's errors."""

from __future__ import annotations

from solva.cli.errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Bindings = dict[str, list[dict[str, str]]]


def parse_published(specs: Iterable[str]) -> tuple[dict[str, dict[str, str]], Bindings]:
    """``ExposedPorts`` and ``PortBindings`` of the ``-p`` values."""
    exposed: dict[str, dict[str, str]] = {}
    bindings: Bindings = {}
    for spec in specs:
        for port, ip, host in _parse(_short_form(spec)):
            exposed.setdefault(port, {})
            bindings.setdefault(port, []).append({"HostIp": ip, "HostPort": host})
    return exposed, bindings


def parse_exposed(specs: Iterable[str]) -> dict[str, dict[str, str]]:
    """``ExposedPorts`` of the ``--expose`` values."""
    exposed: dict[str, dict[str, str]] = {}
    for spec in specs:
        if ":" in spec:
            raise CommandError(f"invalid port format for --expose: {spec}")
        port, _, proto = spec.partition("/")
        try:
            start, end = _range(port)
        except ValueError as error:
            raise CommandError(f"invalid range format for --expose: {spec}, error: {error}") from None
        for number in range(start, end + 1):
            exposed.setdefault(f"{number}/{_proto(proto)}", {})
    return exposed


def _short_form(spec: str) -> str:
    """``published=8080,target=80,protocol=udp`` as ``8080:80/udp``."""
    if "=" not in spec:
        return spec
    params = {"protocol": "tcp", "published": "", "target": ""}
    for part in spec.split(","):
        key, equals, value = part.partition("=")
        if not equals:
            raise CommandError(f"invalid publish opts format (should be name=value but got '{part}')")
        params[key] = value
    return f"{params['published']}:{params['target']}/{params['protocol']}"


def _parse(spec: str) -> list[tuple[str, str, str]]:
    """(container port with protocol, host address, host port or range) of one specification."""
    parts = spec.split(":")
    raw = parts[-1]
    host_port = parts[-2] if len(parts) > 1 else ""
    ip = ":".join(parts[:-2])
    container, slash, proto = raw.partition("/")
    if slash and not proto:
        proto = "tcp"
    if not container:
        raise CommandError(f"no port specified: {spec}<empty>")
    ip = _address(ip)
    try:
        start, end = _range(container)
    except ValueError:
        raise CommandError(f"invalid containerPort: {container}") from None
    host_start = host_end = 0
    if host_port:
        try:
            host_start, host_end = _range(host_port)
        except ValueError:
            raise CommandError(f"invalid hostPort: {host_port}") from None
        if end - start != host_end - host_start and end != start:
            raise CommandError(f"invalid ranges specified for container and host Ports: {container} and {host_port}")
    proto = _proto(proto)
    result = []
    for offset in range(end - start + 1):
        if not host_port:
            host = ""
        elif start == end and host_start != host_end:
            host = f"{host_start}-{host_end}"
        else:
            host = str(host_start + offset)
        result.append((f"{start + offset}/{proto}", ip, host))
    return result


def _address(ip: str) -> str:
    """A host address without brackets, checked."""
    bare = ip[1:-1] if ip.startswith("[") and ip.endswith("]") else ip
    if bare and not is_address(bare):
        raise CommandError(f"invalid IP address: {ip}")
    return bare


def is_address(text: str) -> bool:
    """Whether ``text`` is an IPv4 or IPv6 address."""
    import _socket

    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, text.partition("%")[0])
            return True
        except OSError:
            continue
    return False


def _range(text: str) -> tuple[int, int]:
    """``80`` or ``80-90``; ValueError in Go's words."""
    if not text:
        raise ValueError("empty string specified for ports")
    first, dash, last = text.partition("-")
    start = _number(first)
    end = _number(last) if dash else start
    if end < start:
        raise ValueError(f"invalid range specified for port: {text}")
    return start, end


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    value = int(text)
    if value > 65535:
        raise ValueError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return value


def _proto(text: str) -> str:
    proto = text.lower() or "tcp"
    if proto not in ("tcp", "udp", "sctp"):
        raise CommandError(f"invalid proto: {text}")
    return proto
