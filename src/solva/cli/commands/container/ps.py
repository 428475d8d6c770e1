"""``solva ps``: list containers."""

from __future__ import annotations

from solva.cli.commands.common import NO_TRUNC, list_flags
from solva.cli.flags import Command, Flag, filters_of
from solva.cli.output.listing import Listing
from solva.cli.output.units import ago, ellipsis, human_size, local_time, short_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """List containers."""
    limit = options.number("last") if "last" in options.changed else -1
    if options.on("latest") and "last" not in options.changed:
        limit = 1
    fmt = options.text("format") or str(session.config.get("psFormat") or "")
    size = options.on("size") or (bool(fmt) and ".Size" in fmt and not options.on("quiet"))
    rows = session.api.json("GET", "/containers/json", query={
        "all": options.on("all") or limit > 0 or None,
        "limit": limit if limit > 0 else None,
        "size": size or None,
        "filters": filters_of(options.many("filter")),
    })
    truncate = not options.on("no-trunc")
    columns = _columns(truncate)
    default: tuple[str, ...] = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
    if options.on("size"):
        default += ("Size",)
    Listing(columns, default, "ID", "*formatter.ContainerContext", {"Label": ("", _label)}).show(
        rows, format=fmt, quiet=options.on("quiet"))
    return 0


def _columns(truncate: bool) -> dict[str, tuple[str, Callable[[Any], Any]]]:
    def image(row: Any) -> str:
        name = row.get("Image") or "<no image>"
        if truncate:
            if name.startswith("sha256:") or (row.get("ImageID", "").endswith(name) and len(name) == 64):
                return short_id(name)
            if "@" in name:
                return str(name.partition("@")[0])
        return str(name)

    def command(row: Any) -> str:
        text = row.get("Command", "")
        return f'"{ellipsis(text, 20) if truncate else text}"'

    def names(row: Any) -> str:
        every = [name.removeprefix("/") for name in row.get("Names") or []]
        return ",".join(name for name in every if not truncate or "/" not in name)

    def mounts(row: Any) -> str:
        every = [mount.get("Name") or mount.get("Source", "") for mount in row.get("Mounts") or []]
        return ",".join(ellipsis(name, 15) if truncate else name for name in every)

    return {
        "ID": ("CONTAINER ID", lambda row: row["Id"][:12] if truncate else row["Id"]),
        "Image": ("IMAGE", image),
        "Command": ("COMMAND", command),
        "CreatedAt": ("CREATED AT", lambda row: local_time(row.get("Created", 0))),
        "RunningFor": ("CREATED", lambda row: ago(row.get("Created", 0))),
        "Status": ("STATUS", lambda row: row.get("Status", "")),
        "State": ("STATE", lambda row: row.get("State", "")),
        "Ports": ("PORTS", lambda row: display_ports(row.get("Ports") or [])),
        "Names": ("NAMES", names),
        "Size": ("SIZE", _size),
        "Labels": ("LABELS", lambda row: ",".join(f"{k}={v}" for k, v in sorted((row.get("Labels") or {}).items()))),
        "LocalVolumes": ("LOCAL VOLUMES", lambda row: str(sum(
            1 for mount in row.get("Mounts") or [] if mount.get("Driver") == "local"))),
        "Mounts": ("MOUNTS", mounts),
        "Networks": ("NETWORKS", lambda row: ",".join(sorted(
            (row.get("NetworkSettings") or {}).get("Networks") or {}))),
        "Platform": ("PLATFORM", lambda row: (row.get("ImageManifestDescriptor") or {}).get("platform")),
    }


def _label(row: Any, name: str = "") -> str:
    return str((row.get("Labels") or {}).get(name, ""))


def _size(row: Any) -> str:
    written, virtual = row.get("SizeRw") or 0, row.get("SizeRootFs") or 0
    text = human_size(written)
    return f"{text} (virtual {human_size(virtual)})" if virtual > 0 else text


def display_ports(ports: list[dict[str, Any]]) -> str:
    """Ports as `ps` shows them, neighbours joined into ranges: ``0.0.0.0:80-81->80-81/tcp, 443/tcp``."""
    groups: dict[str, list[int]] = {}
    texts: list[str] = []
    host_mapped: list[str] = []
    order: list[str] = []
    rows = sorted(ports, key=lambda port: (port["PrivatePort"], port.get("IP", ""), port.get("PublicPort", 0),
                                           port.get("Type", "tcp")))
    for port in rows:
        private, public, kind, ip = (port["PrivatePort"], port.get("PublicPort", 0), port.get("Type", "tcp"),
                                     port.get("IP", ""))
        key = kind
        if ip:
            if public != private:
                host_mapped.append(f"{_bracket(ip)}:{public}->{private}/{kind}")
                continue
            key = f"{ip}/{kind}"
        span = groups.get(key)
        if span is None:
            groups[key] = [private, private]
            order.append(key)
        elif private == span[1] + 1:
            span[1] = private
        elif private != span[1]:
            texts.append(_range_text(key, span))
            groups[key] = [private, private]
    texts += [_range_text(key, groups[key]) for key in order]
    return ", ".join(texts + host_mapped)


def _bracket(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip


def _range_text(key: str, span: list[int]) -> str:
    ip, slash, kind = key.rpartition("/")
    text = str(span[0]) if span[0] == span[1] else f"{span[0]}-{span[1]}"
    if slash:
        text = f"{_bracket(ip)}:{text}->{text}"
    return f"{text}/{kind}"


COMMAND = Command(
    "ps", "[OPTIONS]", "List containers", run,
    flags=list_flags(
        Flag("all", "a", "bool", "Show all containers (default: only those that run)"),
        Flag("last", "n", "int", "Show the n containers created last, whatever their state", default=-1),
        Flag("latest", "l", "bool", "Show the container created last, whatever its state"),
        Flag("size", "s", "bool", "Display total file sizes"),
        NO_TRUNC,
        quiet="Only display container IDs",
    ),
    arity=(0, 0),
    aliases=("container ls", "container list", "container ps", "ps"),
)
