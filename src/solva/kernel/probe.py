"""What this kernel can do, found out by trying it in a namespace that is thrown away; its own words where it cannot."""

from __future__ import annotations

import gzip
import os
import socket
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from solva.kernel import cgroup, links, mount, netlink, netns, process
from solva.kernel.netlink import F_CREATE, F_EXCL, Netlink, Request
from solva.kernel.nft import Nft

T = TypeVar("T")
_NEWLINK = 16
_IFNAME, _LINK, _LINKINFO, _KIND, _DATA = 3, 5, 18, 1, 2
_IFINFO = b"\0" * 16
_VLAN_ID, _VXLAN_ID, _VXLAN_LEARNING = 1, 1, 7
LINK_KINDS = ("veth", "bridge", "macvlan", "ipvlan", "vlan", "vxlan", "wireguard", "dummy")
RULES = {
    "address translation": "chain c { type nat hook postrouting priority srcnat; ip saddr 10.0.0.0/8 masquerade; }",
    "verdict maps": 'map m { type ifname : verdict; }\nchain c { oifname vmap @m; }',
    "address lookup (fib)": "chain c { type nat hook prerouting priority dstnat; fib daddr type local accept; }",
    "concatenated maps": "map m { type inet_proto . inet_service : ipv4_addr . inet_service; }\n"
                         "chain c { type nat hook prerouting priority dstnat; "
                         "dnat ip to meta l4proto . th dport map @m; }",
    "connection tracking": "chain c { type filter hook forward priority 0; ct state established accept; }",
    "packet tracing": "chain c { type filter hook prerouting priority 0; meta nftrace set 1; }",
    "random choice": "chain c { type filter hook forward priority 0; numgen random mod 100 < 5 drop; }",
    "rate limits": "chain c { type filter hook forward priority 0; limit rate over 10/second drop; }",
}


def link_kinds() -> dict[str, str]:
    """Kind of link -> "" where one can be made, else the kernel's words. OSError where no namespace can be had."""

    def inside(_: int) -> dict[str, str]:
        kernel = Netlink()
        try:
            kernel.execute([_link("veth", "p0")])
            parent = links.get_link(kernel, "p0")
            assert parent is not None
            return {kind: _attempt(lambda kind=kind: kernel.execute([_link(kind, "x0", parent.index)]),  # type: ignore[misc]
                                   lambda: kernel.execute([links.delete_link("x0")])) for kind in LINK_KINDS}
        finally:
            kernel.close()

    return _in_new(inside)


def rules() -> dict[str, str]:
    """What of nftables the engine uses -> "" or the reason against it."""

    def inside(_: int) -> dict[str, str]:
        nft = Nft()
        try:
            found = {}
            for name, body in RULES.items():
                text = "table inet t {\n" + body.replace("{ ", "{\n").replace("; ", "\n").replace(" }", "\n}") + "\n}\n"
                found[name] = _attempt(lambda text=text: nft.run(text), lambda: nft.run("delete table inet t"))  # type: ignore[misc]
            bridge = "table bridge t {\nchain c {\ntype filter hook forward priority 0\n}\n}\n"
            found["rules on bridges"] = _attempt(lambda: nft.run(bridge), lambda: nft.run("delete table bridge t"))
            return found
        finally:
            nft.close()

    return _in_new(inside)


def overlay(directory: Path) -> str:
    """Whether overlayfs can have its upper directory on the file system of ``directory``: "" or why not."""
    def inside() -> None:
        process.unshare(cgroup.CLONE_NEWNS)
        mount.set_propagation("/", "rprivate")
        for name in ("lower", "upper", "work", "merged"):
            (base / name).mkdir()
        mount.mount("overlay", base / "merged", "overlay", 0,
                    f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work")
        try:
            (base / "merged" / "file").write_text("x")
        finally:
            mount.umount(base / "merged")

    with tempfile.TemporaryDirectory(prefix=".solva-probe-", dir=directory) as text:
        base = Path(text)
        return _attempt(lambda: _in_thread(inside), lambda: None)


def socket_kind(protocol: int) -> str:
    """Whether the kernel has a transport protocol (stream sockets): "" or why not."""
    return _attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol).close(), lambda: None)


def config() -> Mapping[str, str]:
    """The kernel's configuration (``CONFIG_X`` -> y or m), where the kernel or the distribution tells it."""
    for path in (Path("/proc/config.gz"), Path(f"/boot/config-{os.uname().release}")):
        try:
            data = path.read_bytes()
        except OSError:
            continue
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode(errors="replace")
        return dict(line.split("=", 1) for line in text.splitlines() if line.startswith("CONFIG_") and "=" in line)
    return {}


def _link(kind: str, name: str, parent: int = 0) -> Request:
    body = [_IFINFO, netlink.attr_text(_IFNAME, name)]
    data = b""
    if kind in ("macvlan", "ipvlan", "vlan"):
        body.append(netlink.attr_u32(_LINK, parent))
    if kind == "vlan":
        data = netlink.attr_u16(_VLAN_ID, 50)
    elif kind == "vxlan":
        data = netlink.attr_u32(_VXLAN_ID, 4242) + netlink.attr_u8(_VXLAN_LEARNING, 0)
    inner = [netlink.attr(_KIND, kind.encode())] + ([netlink.attr_nest(_DATA, data)] if data else [])
    body.append(netlink.attr_nest(_LINKINFO, *inner))
    return Request(_NEWLINK, F_CREATE | F_EXCL, b"".join(body), f"create {kind}")


def _attempt(action: Callable[[], object], undo: Callable[[], object]) -> str:
    try:
        action()
    except OSError as error:
        return (error.strerror or str(error)).rpartition(": ")[2] if error.strerror else str(error)
    undo()
    return ""


def _in_new(body: Callable[[int], T]) -> T:
    """``body`` in a network namespace that ends with it."""
    held: list[int] = []

    def inside(descriptor: int) -> T:
        held.append(descriptor)
        return body(descriptor)

    try:
        return netns.create(inside)
    finally:
        for descriptor in held:
            try:
                os.close(descriptor)
            except OSError:
                pass      # closed by ``create`` when the body failed


def _in_thread(action: Callable[[], None]) -> None:
    import threading

    failure: list[BaseException] = []

    def body() -> None:
        try:
            action()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


