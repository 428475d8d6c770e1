"""What the name server knows of a sandbox, as the engine writes it: one JSON file a sandbox.

The files are the truth after a crash of either side. The server reads them with ``json`` alone (``zones.py``): it is a
small process and msgspec is not small.
"""

import os
from pathlib import Path

import msgspec

from solva.dns import paths


class NamedEndpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A sandbox's place on one network, and what it is called there.

    ``names``: everything the others on this network may ask for: container name, aliases, short id, host name. The
    first one is what an address resolves back to. Empty on a network without a name service (the default bridge).
    ``links``: the sandbox's own private aliases on this network: alias -> a name of the network.
    """

    network_id: str
    network_name: str
    ipv4: str = ""
    ipv6: str = ""
    names: tuple[str, ...] = ()
    links: dict[str, str] = {}


class Upstream(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A resolver for all other names. ``from_host``: dialled from the host's network namespace (the host's resolvers
    on a loopback address), otherwise from the sandbox's own."""

    address: str
    port: int = 53
    from_host: bool = False


class SandboxNames(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All of one sandbox.

    ``netns``: path of its network namespace, where 127.0.0.11:20053 is bound.
    ``name``: what the query log calls it.
    ``external``: whether the sandbox has a way out; without one (internal networks only) ``from_host`` upstreams are
    skipped, so that external names fail with SERVFAIL.
    ``ndots_set``: the user set ``ndots`` above 0: an unknown single label is answered empty, so that the client goes
    on with its search list.
    """

    id: str
    netns: str
    name: str = ""
    endpoints: tuple[NamedEndpoint, ...] = ()
    upstreams: tuple[Upstream, ...] = ()
    external: bool = True
    ndots_set: bool = False


def peers_id(network_id: str) -> str:
    """What the names that a network has on other hosts are kept under, as if they were a sandbox's."""
    return f"peers-{network_id}"


def write(run: str, names: SandboxNames) -> None:
    """Put the sandbox's file in its place, whole or not at all."""
    target = Path(paths.sandbox_file(run, names.id))
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    fresh = target.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(names))
    os.replace(fresh, target)


def read(run: str, sandbox_id: str) -> SandboxNames | None:
    """The sandbox's file, None when there is none. Raises ``msgspec.DecodeError`` on a damaged one."""
    try:
        data = Path(paths.sandbox_file(run, sandbox_id)).read_bytes()
    except FileNotFoundError:
        return None
    return msgspec.json.decode(data, type=SandboxNames)


def remove(run: str, sandbox_id: str) -> None:
    """Forget the sandbox; nothing happens when it is not known."""
    Path(paths.sandbox_file(run, sandbox_id)).unlink(missing_ok=True)


def known(run: str) -> list[str]:
    """Ids of all sandboxes with a file."""
    try:
        return sorted(entry.stem for entry in Path(paths.directory(run)).glob("*.json"))
    except FileNotFoundError:
        return []
