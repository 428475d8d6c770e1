"""The files a sandbox has of its own: hosts, resolv.conf, hostname. Texts are pure; writing keeps the inode, since a
container has each file bind-mounted."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from solva.networks.model import DnsConfig, Endpoint, SandboxConfig

INTERNAL_SERVER = "127.0.0.11"
FALLBACK = ("8.8.8.8", "8.8.4.4")
_HEAD = """\
# Written by Solva. The file can be edited; Solva does not change it any more
# once it has been.

"""
_LOCAL = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
_SYSTEMD_STUB = "127.0.0.53"
RESOLV_CONF = Path("/etc/resolv.conf")
_RESOLVED = Path("/run/systemd/resolve/resolv.conf")


@dataclass(frozen=True, slots=True)
class Resolver:
    """What a resolv.conf says."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def parse_resolv_conf(text: str) -> Resolver:
    """Lines that cannot be understood are passed over, as a resolver does."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        words = line.split("#", 1)[0].split(";", 1)[0].split()
        if len(words) < 2:
            continue
        if words[0] == "nameserver" and _is_address(words[1]):
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            search = tuple(words[1:])
        elif words[0] == "options":
            options += words[1:]
    return Resolver(tuple(servers), search, tuple(options))


def host_resolver(path: Path = RESOLV_CONF) -> Resolver:
    """The host's own. systemd-resolved's stub cannot be reached from other namespaces: its source is read instead."""
    try:
        found = parse_resolv_conf(path.read_text(errors="replace"))
    except OSError:
        return Resolver()
    if found.servers == (_SYSTEMD_STUB,) and path == RESOLV_CONF and _RESOLVED.exists():
        return parse_resolv_conf(_RESOLVED.read_text(errors="replace"))
    return found


def overlay(host: Resolver, dns: DnsConfig) -> Resolver:
    """The user's wishes over the host's. A search of "." means none."""
    search = dns.search or host.search
    return Resolver(dns.servers or host.servers, () if search == (".",) else search, dns.options or host.options)


def is_loopback(server: str) -> bool:
    return ipaddress.ip_address(server.split("%")[0]).is_loopback


def resolv_conf(kind: str, host: Resolver, dns: DnsConfig) -> str:
    """``kind``: internal (our name server), legacy (default bridge: servers a container can reach), host (as it is)."""
    merged = overlay(host, dns)
    servers = merged.servers
    options = merged.options
    notes: list[str] = []
    if kind == "internal":
        where = [server if dns.servers else f"host({server})" for server in merged.servers or FALLBACK]
        notes.append(f"# ExtServers: [{' '.join(where)}]")
        servers = (INTERNAL_SERVER,)
        if not any(option.startswith("ndots:") for option in options):
            options = (*options, "ndots:0")
    elif kind == "legacy" and not dns.servers:
        servers = tuple(server for server in servers if not is_loopback(server)) or FALLBACK
    overridden = [name for name, value in (("nameservers", dns.servers), ("search", dns.search),
                                           ("options", dns.options)) if value]
    notes.append(f"# Overrides: [{' '.join(overridden)}]")
    if kind == "internal" and "ndots:0" in options and "ndots:0" not in merged.options:
        notes.append("# Option ndots from: internal")
    lines = [f"nameserver {server}" for server in servers]
    if merged.search:
        lines.append("search " + " ".join(merged.search))
    if options:
        lines.append("options " + " ".join(options))
    source = {"internal": " (internal resolver)", "legacy": " (legacy)", "host": ""}[kind]
    return _HEAD + "\n".join(lines) + f"\n\n# Based on host file: '{RESOLV_CONF}'{source}\n" + "\n".join(notes) + "\n"


def endpoint_lines(config: SandboxConfig, endpoint: Endpoint) -> list[str]:
    """``address name.domain name`` for each address."""
    names = config.hostname or config.id[:12]
    if config.domainname:
        names = f"{names}.{config.domainname} {names}"
    elif "." in names:
        names = f"{names} {names.split('.', 1)[0]}"
    return [f"{address}\t{names}" for address in (endpoint.ipv4, endpoint.ipv6) if address]


def extra_lines(extra_hosts: Iterable[str], gateways: Sequence[str]) -> list[str]:
    """``name:address`` and ``name=address``; ``host-gateway`` stands for the host as seen from the default bridge."""
    lines = []
    for row in extra_hosts:
        separator = "=" if "=" in row else ":"
        name, _, address = row.partition(separator)
        address = address.strip("[]")
        for value in (gateways if address == "host-gateway" else (address,)):
            lines.append(f"{value}\t{name}")
    return lines


def hosts(config: SandboxConfig, endpoints: Sequence[Endpoint], gateways: Sequence[str],
          links: Sequence[str] = ()) -> str:
    """The hosts file of a sandbox with a namespace of its own."""
    lines = [*extra_lines(config.extra_hosts, gateways), *links]
    for endpoint in endpoints:
        lines += endpoint_lines(config, endpoint)
    return _LOCAL + "".join(line + "\n" for line in lines)


def host_mode_hosts(config: SandboxConfig, gateways: Sequence[str]) -> str:
    """The host's own hosts file with the extra lines behind."""
    try:
        text = Path("/etc/hosts").read_text(errors="replace")
    except OSError:
        text = _LOCAL
    if text and not text.endswith("\n"):
        text += "\n"
    return text + "".join(line + "\n" for line in extra_lines(config.extra_hosts, gateways))


def rewrite(path: Path, text: str) -> None:
    """Write in place: the inode stays."""
    with open(path, "r+", encoding="utf-8") as file:
        file.write(text)
        file.truncate()


def add_lines(path: Path, lines: Sequence[str]) -> None:
    """Put lines at the end of a hosts file that may have been edited inside."""
    text = path.read_text(errors="replace")
    if text and not text.endswith("\n"):
        text += "\n"
    rewrite(path, text + "".join(line + "\n" for line in lines))


def drop_lines(path: Path, addresses: Iterable[str]) -> None:
    """Take all lines of these addresses out of a hosts file."""
    gone = {address for address in addresses if address}
    kept = [line for line in path.read_text(errors="replace").splitlines(keepends=True)
            if not line.split() or line.split()[0] not in gone]
    rewrite(path, "".join(kept))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.split("%")[0])
    except ValueError:
        return False
    return True
