"""Hosts, resolv.conf and hostname of live sandboxes: written at attach, following live changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from solva.errors import Conflict
from solva.networks import files
from solva.networks.model import Endpoint, Network, Sandbox

ByRef = Callable[[str], Sandbox | None]


class SandboxFiles:
    """``named``: whether a network (id) has a name service; ``default_bridge``: where host-gateway is; ``by_ref``: a
    live sandbox by its name or id, for links."""

    def __init__(self, named: Callable[[str], bool], default_bridge: Callable[[], Network], by_ref: ByRef) -> None:
        self._named = named
        self._default_bridge = default_bridge
        self._by_ref = by_ref

    def resolver(self, sandbox: Sandbox, host: files.Resolver) -> str:
        """The text of its resolv.conf."""
        if sandbox.config.mode != "bridge":
            kind = "host"
        elif any(self._named(endpoint.network_id) for endpoint in sandbox.endpoints):
            kind = "internal"
        else:
            kind = "legacy"
        return files.resolv_conf(kind, host, sandbox.config.dns)

    def write(self, sandbox: Sandbox, folder: Path) -> None:
        """All three. A file that is there already stays the same file: somebody has it mounted."""
        config = sandbox.config
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        gateways = [pool.gateway for pool in self._default_bridge().pools if pool.gateway]
        if config.mode == "host":
            hosts = files.host_mode_hosts(config, gateways)
        else:
            hosts = files.hosts(config, shown(sandbox), gateways, self._link_lines(sandbox))
        for path, text in ((sandbox.hosts_path, hosts),
                           (sandbox.resolv_conf_path, self.resolver(sandbox, files.host_resolver())),
                           (sandbox.hostname_path, (config.hostname or config.id[:12]) + "\n")):
            Path(path).write_text(text)

    def follow(self, before: Sandbox, after: Sandbox) -> None:
        """Endpoints have come or gone: lines of the hosts file, and resolv.conf unless somebody has edited it."""
        host = files.host_resolver()
        path = Path(after.resolv_conf_path)
        old, new = self.resolver(before, host), self.resolver(after, host)
        if old != new and path.read_text(errors="replace") == old:
            files.rewrite(path, new)
        had, have = shown(before), shown(after)
        hosts = Path(after.hosts_path)
        gone = [address for endpoint in had if endpoint not in have for address in (endpoint.ipv4, endpoint.ipv6)]
        if any(gone):
            files.drop_lines(hosts, gone)
        lines = [line for endpoint in have if endpoint not in had
                 for line in files.endpoint_lines(after.config, endpoint)]
        if lines:
            files.add_lines(hosts, lines)

    def relink(self, target: Sandbox, others: Iterable[Sandbox]) -> None:
        """``target`` is there, perhaps again and with another address: the hosts files of those linked to it say so."""
        for other in others:
            for endpoint in other.endpoints:
                aliases = [] if self._named(endpoint.network_id) else [
                    alias or name for name, _, alias in (link.partition(":") for link in endpoint.config.links)
                    if name.removeprefix("/") in (target.config.name, target.id)]
                there = next((e for e in target.endpoints if e.network_id == endpoint.network_id), None)
                for alias in aliases if there else ():
                    words = " ".join(dict.fromkeys((alias, target.id[:12], target.config.name)))
                    path = Path(other.hosts_path)
                    stale = [line.partition("\t")[0] for line in path.read_text(errors="replace").splitlines()
                             if line.partition("\t")[2] == words]
                    files.drop_lines(path, stale)
                    files.add_lines(path, [f"{address}\t{words}" for address in (there.ipv4, there.ipv6) if address]
                                    if there else [])

    def rebuild(self, sandbox: Sandbox) -> None:
        """After a change that an engine did not live to finish: the hosts file has the lines of its endpoints."""
        path = Path(sandbox.hosts_path)
        have = path.read_text(errors="replace").splitlines()
        lines = [line for endpoint in shown(sandbox) for line in files.endpoint_lines(sandbox.config, endpoint)]
        own = {line.partition("\t")[2] for line in lines}
        stale = [line.partition("\t")[0] for line in have if line not in lines and line.partition("\t")[2] in own]
        if stale:
            files.drop_lines(path, stale)
        missing = [line for line in lines if line not in have]
        if missing:
            files.add_lines(path, missing)

    def _link_lines(self, sandbox: Sandbox) -> list[str]:
        """``--link`` on the default bridge: lines of the hosts file."""
        lines = []
        for endpoint in sandbox.endpoints:
            if self._named(endpoint.network_id):
                continue
            for link in endpoint.config.links:
                target, _, alias = link.partition(":")
                found = self._by_ref(target.removeprefix("/"))
                there = next((e for e in found.endpoints if e.network_id == endpoint.network_id), None) if found \
                    else None
                if found is not None and there is None:
                    raise Conflict(f"container {found.id} not attached to default bridge network")
                if found is None or there is None:
                    raise Conflict(f"Cannot link to a non running container: /{target.removeprefix('/')} AS "
                                   f"/{sandbox.config.name}/{alias or target}")
                words = dict.fromkeys((alias or target, found.id[:12], found.config.name))
                lines += [f"{address}\t{' '.join(words)}" for address in (there.ipv4, there.ipv6) if address]
        return lines


def shown(sandbox: Sandbox) -> list[Endpoint]:
    """Endpoints whose addresses are in the hosts file."""
    return [endpoint for endpoint in sandbox.endpoints
            if (endpoint.ipv4 or endpoint.ipv6) and not endpoint.is_gateway]
