"""The machine's part: programs, control groups, users, other firewalls, space."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from solva.doctor.model import Check, State
from solva.kernel import cgroup, iptables, sysctl
from solva.kernel.nft import HANDLES, JSON, STATELESS, Nft
from solva.networks.firewall import foreign
from solva.networks.firewall.matching import Packet

_CRUN_MIN = (1, 0)
_LOW_BYTES, _FULL_BYTES = 5 << 30, 512 << 20
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/bin:/usr/sbin:/sbin:/usr/local/bin"


def checks(data_root: Path) -> Iterable[Check]:
    """In the network namespace that is to be the containers' host."""
    yield from _programs()
    yield from _groups()
    yield _seccomp()
    yield from _users()
    yield _forwarding()
    yield from _firewalls()
    yield _space(data_root)


def _version(program: str) -> str:
    """The first line of ``--version``; "" where it is not installed."""
    path = shutil.which(program, path=_PATH)
    if path is None:
        return ""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return path
    return (done.stdout or done.stderr).partition("\n")[0].strip() or path


def _programs() -> Iterable[Check]:
    crun = _version("crun")
    found = re.search(r"(\d+)\.(\d+)", crun)
    if not crun:
        yield Check("programs", "crun", "broken", "not installed", "every container", "apt-get install crun")
    elif found and (int(found[1]), int(found[2])) < _CRUN_MIN:
        yield Check("programs", "crun", "broken", f"{crun} is too old", "every container", "apt-get install crun (1.0 "
                    "or newer)")
    else:
        yield Check("programs", "crun", "ok", crun, "every container")
    conmon = _version("conmon")
    yield Check("programs", "conmon", "ok" if conmon else "broken", conmon or "not installed", "every container",
                "" if conmon else "apt-get install conmon")
    for name, need, package in (
            ("pasta", "networks of an ordinary user's engine", "passt"),
            ("newuidmap", "containers of an ordinary user with more than one user id", "uidmap"),
            ("tini", "solva run --init", "tini")):
        text = _version(name) if name != "newuidmap" else shutil.which(name, path=_PATH) or ""
        if name == "tini" and not text:
            others = ("docker-init", "catatonit", "tini-static")
            text = next((version for other in others if (version := _version(other))), "")
        yield Check("programs", name, "ok" if text else "limited", text or "not installed", need,
                    "" if text else f"apt-get install {package}")


def _groups() -> Iterable[Check]:
    layout = cgroup.probe()
    need = "limits and figures of containers"
    if layout.version == 0:
        yield Check("control groups", "layout", "broken", "nothing is mounted", need,
                    "mount -t cgroup2 none /sys/fs/cgroup")
        return
    name = "version 2" if layout.version == 2 else "version 1"
    if layout.hybrid:
        name += f" with version 2 beside it at {layout.hybrid} (hidden from crun, which refuses that)"
    yield Check("control groups", "layout", "ok", name, need)
    for controller, what in (("memory", "--memory"), ("cpu", "--cpus, --cpu-shares"), ("pids", "--pids-limit"),
                             ("cpuset", "--cpuset-cpus"), ("io" if layout.version == 2 else "blkio", "--blkio-weight, "
                                                           "--device-read-bps")):
        there = controller in layout.controllers
        yield Check("control groups", controller, "ok" if there else "limited", "there" if there else "not there", what,
                    "" if there else f"boot with a kernel that has the {controller} controller enabled")


def _seccomp() -> Check:
    try:
        actions = Path("/proc/sys/kernel/seccomp/actions_avail").read_text().split()
    except OSError:
        return Check("security", "seccomp", "broken", "not in this kernel", "the default system call filter",
                     "a kernel with CONFIG_SECCOMP_FILTER, or solva run --security-opt seccomp=unconfined")
    return Check("security", "seccomp", "ok", " ".join(actions), "the default system call filter")


def _users() -> Iterable[Check]:
    limit = _number("/proc/sys/user/max_user_namespaces")
    denied = _number("/proc/sys/kernel/unprivileged_userns_clone") == 0
    strict = _number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1
    need = "an ordinary user's own engine"
    if not limit:
        yield Check("security", "user namespaces", "limited", "none allowed" if limit == 0 else "not in this kernel",
                    need, "sysctl -w user.max_user_namespaces=10000" if limit == 0 else "a kernel with CONFIG_USER_NS")
    elif denied or strict:
        key = "kernel.unprivileged_userns_clone=1" if denied else "kernel.apparmor_restrict_unprivileged_userns=0"
        yield Check("security", "user namespaces", "limited", "root only", need, f"sysctl -w {key}")
    else:
        yield Check("security", "user namespaces", "ok", f"up to {limit}", need)
    users = [entry.pw_name for entry in pwd.getpwall() if 1000 <= entry.pw_uid < 60000]
    for path in ("/etc/subuid", "/etc/subgid"):
        try:
            owners = {line.partition(":")[0] for line in Path(path).read_text().splitlines() if ":" in line}
        except OSError:
            owners = set()
        without = [name for name in users if name not in owners]
        text = f"{len(owners)} ranges" if not without else f"none for {', '.join(without[:5])}"
        yield Check("security", path, "limited" if without else "ok", text,
                    "containers of an ordinary user with more than one user id",
                    f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {without[0]}" if without else "")


def _number(path: str) -> int | None:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return None


def _forwarding() -> Check:
    on = sysctl.read("ipv4/ip_forward") == "1"
    off = "off: the engine turns it on with its first network, and keeps the machine's own interfaces apart"
    return Check("firewall", "ip_forward", "ok", "on" if on else off, "containers' way out")


def _firewalls() -> Iterable[Check]:
    need = "traffic of containers to pass"
    try:
        tables = _tables()
    except OSError as error:
        yield Check("firewall", "other firewalls", "limited", f"cannot be read: {error}", need, "run as root")
        return
    inside, outside = "172.20.0.2", foreign.addresses(4)[0]
    bridge = "br-0123456789ab"
    flows = {"out of containers": Packet("forward", bridge, "eth0", inside, outside, "tcp", 443),
             "into containers": Packet("forward", "eth0", bridge, outside, inside, "tcp", 80, translated=True)}
    legacy = {version: iptables.policies(version) for version in (4, 6)}
    stops = {what: stop for what, packet in flows.items()
             if (stop := foreign.obstacle(tables, legacy, packet)) is not None}
    for what, stop in stops.items():
        state: State = "limited"
        text = f"{'stopped' if stop.certain else 'may be stopped'} by {stop}"
        yield Check("firewall", f"other firewalls: {what}", state, text, need, foreign.mend(stop, "BRIDGE") +
                    "   (BRIDGE: the network's interface, solva0 or br-...)")
    if not stops:
        names = ", ".join(table.address for table in tables) or "none"
        yield Check("firewall", "other firewalls", "ok", f"tables of others: {names}; none stops containers", need)


def _tables() -> list[foreign.ForeignTable]:
    listing, wording = Nft(JSON | STATELESS | HANDLES), Nft(STATELESS | HANDLES)
    try:
        found = []
        for row in json.loads(listing.run("list tables"))["nftables"]:
            table = row.get("table")
            if table and table["family"] in ("inet", "ip", "ip6") and not table["name"].startswith("solva"):
                order = f"list table {table['family']} {table['name']}"
                found.append(foreign.parse(listing.run(order), wording.run(order)))
        return found
    finally:
        listing.close()
        wording.close()


def _space(data_root: Path) -> Check:
    directory = data_root
    while not directory.is_dir():
        directory = directory.parent
    there = os.statvfs(directory)
    free, share = there.f_bavail * there.f_frsize, there.f_bavail / max(there.f_blocks, 1)
    text = f"{free / (1 << 30):.1f} GiB ({share:.0%}) free on {directory}"
    state: State = "broken" if free < _FULL_BYTES else "limited" if free < _LOW_BYTES else "ok"
    if there.f_files and there.f_favail < 10_000:
        state, text = "limited", f"{text}, {there.f_favail} inodes left"
    return Check("storage", "free space", state, text, "images and containers",
                 "" if state == "ok" else "solva system df; solva system prune -a")
