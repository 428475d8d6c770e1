"""An engine starts: what lives is kept, what is missing is made again, what nobody knows any more is removed."""

from __future__ import annotations

import logging
import socket
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from solva.dns.state import peers_id
from solva.errors import NotFound, SolvaError
from solva.kernel import files as tree
from solva.kernel import links, netns
from solva.networks import files, namespace, publish
from solva.networks import names as naming
from solva.networks import sandboxes as kinds
from solva.networks.linked import link_rules
from solva.networks.model import Endpoint, Sandbox
from solva.networks.sandboxes import Sandboxes, Services

_log = logging.getLogger(__name__)


async def load(services: Services, sandboxes: Sandboxes) -> None:
    """Sandboxes of the store whose namespace is still there; their addresses are taken."""
    for sandbox in services.store.all(kinds.KIND, Sandbox):
        if sandbox.netns and not netns.pinned(sandbox.netns):      # the machine has been restarted
            await sandboxes.endpoints.hold(sandbox)
            services.store.delete(kinds.KIND, sandbox.id)
            continue
        kept = []
        for endpoint in sandbox.endpoints:
            try:
                net = services.catalog.find(endpoint.network_id)
                ipam = services.catalog.registry.ipam(net.network)
                for version, address in ((4, endpoint.ipv4), (6, endpoint.ipv6)):
                    if address:
                        await ipam.adopt(net.network, version, address)
            except (NotFound, SolvaError) as error:
                _log.warning("sandbox %s on %s: %s", sandbox.id[:12], endpoint.network_name, error)
                continue
            kept.append(endpoint)
        sandboxes.adopt(replace(sandbox, endpoints=tuple(kept)))
    await sandboxes.endpoints.give_back(sandboxes.all())


async def repair(services: Services, sandboxes: Sandboxes) -> None:
    """Make the kernel equal to what is known: bridges, links, routes, the whole firewall, names. What fails is logged
    and the rest goes on."""
    for net in services.catalog.all():
        if net.network.config_only:
            continue
        try:
            await services.catalog.enable_forwarding(net)
            await services.catalog.driver(net.network.driver).create_network(net)
        except SolvaError as error:
            _log.warning("network %s: %s", net.network.name, error)
    await _remove_unknown_links(services, sandboxes)
    for sandbox in sandboxes.all():
        try:
            await _mend(services, sandboxes, sandbox)
        except SolvaError as error:
            _log.warning("sandbox %s: %s", sandbox.id[:12], error)
    rules = {net.network.id: found for net in services.catalog.all()
             if (found := services.catalog.rules(net)) is not None}
    ports = {sandbox.id: publish.port_rules(sandbox, sandboxes.endpoints.rules) for sandbox in sandboxes.all()}
    await services.firewall.reset(rules, {key: value for key, value in ports.items() if value},
                                  link_rules(sandboxes.all(), sandboxes.endpoints.rules))


async def _mend(services: Services, sandboxes: Sandboxes, sandbox: Sandbox) -> None:
    missing: list[Endpoint] = []
    for endpoint in sandbox.endpoints:
        net = services.catalog.find(endpoint.network_id)
        if not await services.catalog.driver(net.network.driver).restore(net, endpoint, sandbox):
            missing.append(endpoint)
    changing = services.store.get(kinds.CHANGE, sandbox.id, Sandbox) is not None
    if not missing and not changing:
        return
    inside = await services.host.call(lambda: namespace.open_at(sandbox.netns))
    try:
        async with AsyncExitStack() as undo:
            for endpoint in missing:
                net = services.catalog.find(endpoint.network_id)
                made = await sandboxes.endpoints.rejoin(sandbox, net, endpoint, inside, undo)
                sandbox = replace(sandbox, endpoints=tuple(made if e is endpoint else e for e in sandbox.endpoints))
            if changing:
                await services.host.call(lambda: namespace.only(inside, [e.ifname for e in sandbox.endpoints]))
                sandboxes.files.rebuild(sandbox)
            await services.host.call(lambda: namespace.route(inside, sandbox.endpoints))
            undo.pop_all()
    finally:
        sandboxes.spawn_close(inside)
    sandboxes.adopt(sandbox)
    services.store.delete(kinds.CHANGE, sandbox.id)


async def _remove_unknown_links(services: Services, sandboxes: Sandboxes) -> None:
    host = services.host
    known = {endpoint.link for sandbox in sandboxes.all() for endpoint in sandbox.endpoints}
    known |= services.catalog.links()
    present = await host.call(lambda: links.list_links(host.netlink))
    orphans = [link.name for link in present
               if link.name not in known and (link.alias == host.alias or (
                   link.kind == "veth" and link.name.startswith(host.veth_prefix)))]
    if orphans:
        await host.delete_links(orphans)


async def names(services: Services, sandboxes: Sandboxes) -> None:
    """The name server up, with the sandboxes there are and no others."""
    await services.names.start()
    host = files.host_resolver()
    live = {sandbox.id: sandbox for sandbox in sandboxes.all()
            if any(sandboxes.endpoints.named(endpoint.network_id) for endpoint in sandbox.endpoints)}
    peers = {peers_id(net.network.id) for net in services.catalog.all()}
    for sandbox_id in services.names.known():
        if sandbox_id not in live and sandbox_id not in peers:
            await services.names.remove(sandbox_id)
    for sandbox in live.values():
        try:
            await services.names.put(naming.sandbox_names(sandbox, host, sandboxes.endpoints.named))
        except SolvaError as error:
            _log.warning("names of sandbox %s: %s", sandbox.id[:12], error)


def sweep(services: Services, sandboxes: Sandboxes) -> None:
    """Namespaces and folders that belong to no sandbox."""
    live = {sandbox.id for sandbox in sandboxes.all()}
    run: Path = services.host.run
    for path in (run / "netns").iterdir():
        if path.name not in live:
            netns.unpin(path)
    for path in (run / "sandboxes").iterdir():
        if path.name not in live:
            tree.remove_tree(path)


async def ports(sandboxes: Sandboxes) -> None:
    """Hold the published ports again, those that the relay has carried meanwhile by its own sockets."""
    carried = await sandboxes.relay.adopt()
    by_sandbox: dict[str, dict[tuple[str, str, int], socket.socket]] = {}
    unknown = []
    for key, held in carried.items():
        sandbox_id, proto, host_ip, port = key.split("|")
        known = sandboxes.get(sandbox_id)
        if known and any((p.proto, p.host_ip, str(p.host_port)) == (proto, host_ip, port) for p in known.ports):
            by_sandbox.setdefault(sandbox_id, {})[proto, host_ip, int(port)] = held
        else:
            held.close()
            unknown.append(key)
    await sandboxes.relay.forget(unknown)
    for sandbox in sandboxes.all():
        rows = [(port.proto, port.host_ip, port.host_port) for port in sandbox.ports if port.host_port]
        for problem in sandboxes.ports.adopt(sandbox.id, rows, by_sandbox.get(sandbox.id, {})):
            _log.warning("sandbox %s: port %s: the firewall still sends it to the container", sandbox.id[:12], problem)
        await sandboxes.relay_again(sandbox)
