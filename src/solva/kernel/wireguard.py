"""WireGuard links: made, given a key and peers, asked what they have.

Made by the kernel, or by a program that does the same over a TUN device (wireguard-go); configured by ``wg`` of
wireguard-tools, which speaks to both. A link's encrypted packets go by the network namespace that it was made from,
wherever the link itself is. All functions block.
"""

from __future__ import annotations

import base64
import binascii
import errno
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from solva.kernel import links, netns
from solva.kernel.netlink import Netlink

KERNEL = "kernel"
"""The implementation that is no program."""

OVERHEAD4, OVERHEAD6 = 60, 80
"""Bytes that the outer headers take from the underlay's MTU, by its IP version."""

_TOOL = "wg"
_SECONDS = 10.0


@dataclass(frozen=True, slots=True, order=True)
class Peer:
    """``key``: public, base64. ``endpoint``: where its packets go, as ``wg`` writes it. ``address``: the only one that
    it may use inside."""

    key: str
    endpoint: str
    address: str


@dataclass(frozen=True, slots=True)
class Device:
    """As ``wg show NAME dump`` tells. ``key``: its own public one, "" for none; ``peers`` by their keys, to endpoint
    ("" for none) and networks."""

    key: str = ""
    port: int = 0
    peers: Mapping[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)


def endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def is_key(text: str) -> bool:
    """Whether it is a key: 32 bytes as base64 in its usual form."""
    try:
        packed = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return False
    return len(packed) == 32 and base64.b64encode(packed).decode() == text


def parse(dump: str) -> Device:
    """The output of ``wg show NAME dump``; ValueError for anything else."""
    head, *rows = [line.split("\t") for line in dump.splitlines()] or [[]]
    if len(head) != 4:
        raise ValueError(f"not a dump of wg: {dump[:80]!r}")
    peers = {}
    for row in rows:
        if len(row) != 8:
            raise ValueError(f"not a peer of wg's dump: {len(row)} fields")
        peers[row[0]] = (_value(row[2]), tuple(_value(row[3]).split(",")) if _value(row[3]) else ())
    return Device(_value(head[1]), int(head[2]), peers)


def _value(text: str) -> str:
    return "" if text == "(none)" else text


def difference(have: Device, want: Iterable[Peer], told: Mapping[str, str]) -> list[str]:
    """Arguments of ``wg set NAME`` that give the link these peers and no others. Pure. An endpoint that WireGuard has
    learnt by itself stays until the wanted one is another than was ``told`` (by key) before."""
    arguments: list[str] = []
    wanted = {peer.key: peer for peer in want}
    for key in sorted(have.peers.keys() - wanted.keys()):
        arguments += ["peer", key, "remove"]
    for key, peer in sorted(wanted.items()):
        at, networks = have.peers.get(key, ("", ()))
        allowed = f"{peer.address}/{128 if ':' in peer.address else 32}"
        if networks != (allowed,) or not at or (at != peer.endpoint and told.get(key) != peer.endpoint):
            arguments += ["peer", key, "endpoint", peer.endpoint, "allowed-ips", allowed]
    return arguments


def refusal(program: str) -> str:
    """Why this machine cannot make such links ("" when it can), with the mend."""
    if program == KERNEL:
        why = _kernel_refusal()
        if why:
            return (f"this kernel does not have WireGuard ({why}): modprobe wireguard, a kernel with CONFIG_WIREGUARD, "
                    'or, slower, wireguard = "wireguard-go" in the table [cluster] of engine.toml')
    elif shutil.which(program) is None:
        return f"the program {program} is not installed (Debian: apt-get install wireguard-go)"
    elif not Path("/dev/net/tun").exists():
        return f"{program} needs /dev/net/tun, which is not there: modprobe tun"
    if shutil.which(_TOOL) is None:
        return "the program wg is not installed: apt-get install wireguard-tools"
    return ""


def _kernel_refusal() -> str:
    def probe(descriptor: int) -> str:
        inside = Netlink()
        try:
            inside.execute([links.add_link("probe", "wireguard")])
        except OSError as error:
            return (error.strerror or str(error)).rpartition(": ")[2]
        finally:
            inside.close()
            os.close(descriptor)
        return ""

    return netns.create(probe)


def own_key(path: Path) -> str:
    """The public key to the private one in the file ``path``; a missing file is made, for its owner only. OSError for
    a file that holds no key."""
    try:
        private = path.read_text().strip()
        os.chmod(path, 0o600)
    except FileNotFoundError:
        private = _wg(["genkey"]).strip()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(private + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    if not is_key(private):
        raise OSError(errno.EINVAL, f"{path} does not hold a WireGuard key; without the file a new one is made")
    return _wg(["pubkey"], private).strip()


def make(program: str, name: str, descriptor: int, mtu: int) -> None:
    """A link in the namespace of an open descriptor, down; its encrypted packets go by the calling thread's. Names
    that ``program`` serves are the machine's, not a namespace's. OSError with the program's words."""
    host = Netlink()
    try:
        if program == KERNEL:
            host.execute([links.add_link(name, "wireguard", netns=descriptor)])
            return
        left = links.get_link(host, name)
        if left is not None:      # made, and its maker died before it was moved
            host.execute([links.delete_link(name)])
        _run([program, name])
        # It goes on in the background, and still looks for the link here: it is ready when it answers.
        _wg(["show", name, "dump"])
        link = links.get_link(host, name)
        if link is None:
            raise OSError(errno.ENODEV, f"{program} has made no link {name}")
        try:
            # The program learns the MTU only here; what it pads is cut in two when it knows a smaller one.
            host.execute([links.set_link(link.index, mtu=mtu)])
            _wg(["show", name, "dump"])
            host.execute([links.move_link(link.index, descriptor, name)])
        except BaseException:
            host.execute([links.delete_link(name)])
            raise
    finally:
        host.close()


def show(name: str) -> Device:
    """In the namespace of the calling thread."""
    try:
        return parse(_wg(["show", name, "dump"]))
    except ValueError as error:
        raise OSError(errno.EPROTO, str(error)) from error


def configure(name: str, arguments: Iterable[str]) -> None:
    """``wg set``, in the namespace of the calling thread."""
    _wg(["set", name, *arguments])


def _wg(arguments: list[str], given: str = "") -> str:
    return _run([_TOOL, *arguments], given)


def _run(command: list[str], given: str = "") -> str:
    """Its output. The child has the namespace of the calling thread; what it leaves behind has a session of its own."""
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=_SECONDS, cwd="/",
                              check=False, start_new_session=True)
    except FileNotFoundError:
        raise OSError(errno.ENOENT, f"the program {command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise OSError(errno.ETIMEDOUT, f"{' '.join(command[:2])}: no end within {_SECONDS:.0f} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise OSError(errno.EIO, f"{' '.join(command[:2])}: {said[-1] if said else f'status {done.returncode}'}")
    return done.stdout
