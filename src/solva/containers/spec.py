"""A container as an OCI runtime specification: Docker's defaults, then what its host configuration asks for.

Pure but for the identity, which the caller resolves, and device nodes, which are read.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from solva.containers.limits import device_rules, resources, rlimits
from solva.containers.model import Container, MountPoint
from solva.containers.users import Identity
from solva.errors import InvalidParameter
from solva.runtimes import capabilities

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MASKED_PATHS = (
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
DEFAULT_SHM = 64 << 20
INIT_PATH = "/sbin/docker-init"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the container stands in: all of it exists when the specification is written. Paths are the host's.

    ``netns`` "" is the host's network; ``ipc``, ``pid``, ``uts`` are paths of namespaces to join, "" a new one and
    "host" the host's. ``files`` maps places in the container to host files (resolv.conf, hosts, hostname).
    """

    rootfs: str
    identity: Identity
    cgroup_path: str
    cgroup_version: int
    netns: str
    netns_private: bool = True
    ipc: str = ""
    pid: str = ""
    uts: str = ""
    shm: str = ""
    hostname: str = ""
    files: dict[str, str] = field(default_factory=dict)
    mounts: tuple[MountPoint, ...] = ()
    init: str = ""
    seccomp: dict[str, Any] | None = None
    annotations: dict[str, str] = field(default_factory=dict)
    recursive_readonly: bool = True
    oom_score_adj: int | None = 0
    extra_env: tuple[str, ...] = ()


def build(container: Container, around: Surroundings) -> dict[str, Any]:
    """config.json of the bundle."""
    host = container.host_config
    options = security_options(host.security_opt)
    linux: dict[str, Any] = {
        "namespaces": _namespaces(container, around),
        "cgroupsPath": around.cgroup_path,
        "resources": {**resources(host, around.cgroup_version), "devices": device_rules(host)},
    }
    devices = device_nodes(container)
    if devices:
        linux["devices"] = devices
    if not host.privileged:
        linux["maskedPaths"] = list(MASKED_PATHS if host.masked_paths is None else host.masked_paths)
        linux["readonlyPaths"] = list(READONLY_PATHS if host.readonly_paths is None else host.readonly_paths)
        if "systempaths=unconfined" in host.security_opt:
            linux["maskedPaths"], linux["readonlyPaths"] = [], []
    sysctls = _sysctls(container, around)
    if sysctls:
        linux["sysctl"] = sysctls
    if around.seccomp is not None:
        linux["seccomp"] = around.seccomp
    strongest = _rootfs_propagation(around.mounts)
    if strongest:
        linux["rootfsPropagation"] = strongest
    spec: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": process(container, around, options),
        "root": {"path": around.rootfs, "readonly": host.readonly_rootfs},
        "mounts": _mounts(container, around),
        "linux": linux,
    }
    if around.annotations or host.annotations:
        spec["annotations"] = {**host.annotations, **around.annotations}
    if not around.uts and around.hostname:
        spec["hostname"] = around.hostname
        if container.config.domainname:
            spec["domainname"] = container.config.domainname
    return spec


def process(container: Container, around: Surroundings, options: dict[str, str]) -> dict[str, Any]:
    """The first process."""
    config, host = container.config, container.host_config
    args = [container.path, *container.args]
    if around.init:
        args = [INIT_PATH, "--", *args]
    env = environment(container, around.identity, tty=config.tty)
    env += [item for item in around.extra_env if item.partition("=")[0] not in {e.partition("=")[0] for e in env}]
    value: dict[str, Any] = {
        "terminal": config.tty,
        "user": user(around.identity),
        "args": args,
        "env": env,
        "cwd": config.working_dir or "/",
        "capabilities": capability_sets(
            capabilities.resolve(host.cap_add, host.cap_drop, privileged=host.privileged), around.identity.uid
        ),
        "noNewPrivileges": options.get("no-new-privileges", "false") == "true",
    }
    if around.oom_score_adj is not None:
        value["oomScoreAdj"] = around.oom_score_adj
    limits = rlimits(host)
    if limits:
        value["rlimits"] = limits
    profile = options.get("apparmor", "")
    if profile and profile != "unconfined":
        value["apparmorProfile"] = profile
    if config.tty and len(host.console_size) == 2 and all(host.console_size):
        value["consoleSize"] = {"height": host.console_size[0], "width": host.console_size[1]}
    return value


def environment(container: Container, identity: Identity, *, tty: bool) -> list[str]:
    """PATH, HOSTNAME, TERM on a terminal and HOME come first and give way to what the container sets. An entry
    without "=" takes a variable away."""
    config = container.config
    base = {"PATH": DEFAULT_PATH, "HOSTNAME": config.hostname}
    if tty:
        base["TERM"] = "xterm"
    values = dict(base)
    for entry in config.env:
        name, equals, value = entry.partition("=")
        if equals:
            values[name] = value
        else:
            values.pop(name, None)
    values.setdefault("HOME", identity.home)
    return [f"{name}={value}" for name, value in values.items()]


def user(identity: Identity) -> dict[str, Any]:
    return {"uid": identity.uid, "gid": identity.gid, "additionalGids": list(identity.groups)}


def capability_sets(names: tuple[str, ...], uid: int) -> dict[str, list[str]]:
    """As Docker: no ambient and no inheritable ones; a user other than root keeps the bounding set only."""
    listed = list(names)
    if uid != 0:
        return {"bounding": listed, "permitted": [], "effective": []}
    return {"bounding": listed, "permitted": listed, "effective": listed}


def security_options(options: list[str]) -> dict[str, str]:
    """``--security-opt``: seccomp, apparmor, no-new-privileges, label=disable, systempaths=unconfined."""
    result: dict[str, str] = {}
    for option in options:
        if option == "no-new-privileges":
            result["no-new-privileges"] = "true"
            continue
        name, separator, value = option.partition("=")
        if not separator:
            name, separator, value = option.partition(":")
        if not separator:
            raise InvalidParameter(f'invalid --security-opt 1: "{option}"')
        if name == "no-new-privileges":
            if value not in ("true", "false"):
                raise InvalidParameter(f'invalid --security-opt 2: "{option}"')
        elif name == "label":
            if value != "disable":
                raise InvalidParameter(f"--security-opt {option}: this engine does not label (no SELinux)")
        elif name == "systempaths":
            if value != "unconfined":
                raise InvalidParameter(f'invalid --security-opt 2: "{option}"')
        elif name not in ("seccomp", "apparmor", "writable-cgroups"):
            raise InvalidParameter(f'invalid --security-opt 2: "{option}"')
        result[name] = value
    return result


def _namespaces(container: Container, around: Surroundings) -> list[dict[str, str]]:
    result = [{"type": "mount"}]
    if around.netns:
        result.append({"type": "network", "path": around.netns})
    for kind, value in (("uts", around.uts), ("pid", around.pid), ("ipc", around.ipc)):
        if value == "host":
            continue
        result.append({"type": kind, "path": value} if value else {"type": kind})
    if _cgroupns(container, around) == "private":
        result.append({"type": "cgroup"})
    return result


def _cgroupns(container: Container, around: Surroundings) -> str:
    wanted = container.host_config.cgroupns_mode
    if wanted:
        return wanted
    return "private" if around.cgroup_version == 2 and not container.host_config.privileged else "host"


def _sysctls(container: Container, around: Surroundings) -> dict[str, str]:
    result: dict[str, str] = {}
    if around.netns and around.netns_private:
        result = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
    return {**result, **container.host_config.sysctls}


def _mounts(container: Container, around: Surroundings) -> list[dict[str, Any]]:
    host = container.host_config
    readonly = "rw" if host.privileged else "ro"
    group = "rw" if host.privileged or "writable-cgroups=true" in host.security_opt else "ro"
    shm: dict[str, Any] = {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
                           "options": ["nosuid", "noexec", "nodev", "mode=1777",
                                       f"size={host.shm_size or DEFAULT_SHM}"]}
    if around.shm:
        shm = {"destination": "/dev/shm", "type": "bind", "source": around.shm, "options": ["rbind", "rprivate"]}
    mounts: list[dict[str, Any]] = [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
         "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
         "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", readonly]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
         "options": ["nosuid", "noexec", "nodev", group]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
        shm,
    ]
    if around.ipc == "host":
        mounts[5] = {"destination": "/dev/mqueue", "type": "bind", "source": "/dev/mqueue",
                     "options": ["rbind", "rprivate"]}
    own = {mount.destination for mount in around.mounts}
    mounts = [mount for mount in mounts if mount["destination"] not in own]
    for destination, source in around.files.items():
        if destination not in own:
            mounts.append({"destination": destination, "type": "bind", "source": source,
                           "options": ["rbind", "rprivate"]})
    if around.init:
        mounts.append({"destination": INIT_PATH, "type": "bind", "source": around.init,
                       "options": ["bind", "ro", "rprivate"]})
    mounts += [_user_mount(mount, around) for mount in sorted(around.mounts, key=_depth)]
    return mounts


def _depth(mount: MountPoint) -> int:
    return len([part for part in mount.destination.split("/") if part])


def _user_mount(mount: MountPoint, around: Surroundings) -> dict[str, Any]:
    if mount.type == "tmpfs":
        return {"destination": mount.destination, "type": "tmpfs", "source": "tmpfs",
                "options": tmpfs_options(mount.options, mount.rw)}
    options = ["rbind" if mount.recursive else "bind", mount.propagation or "rprivate"]
    if not mount.rw:
        # crun cannot set a file recursively read-only ("open mount target: Not a directory"); nothing is below it
        recursive = mount.read_only_recursive and around.recursive_readonly and not os.path.isfile(mount.source)
        options.append("rro" if recursive else "ro")
    return {"destination": mount.destination, "type": "bind", "source": mount.source, "options": options}


def tmpfs_options(text: str, rw: bool = True) -> list[str]:
    """``--tmpfs``'s options over Docker's defaults noexec, nosuid, nodev."""
    opposite = {"exec": "noexec", "suid": "nosuid", "dev": "nodev", "rw": "ro"}
    opposite |= {value: key for key, value in opposite.items()}
    result = ["noexec", "nosuid", "nodev"]
    if not rw:
        result.append("ro")
    for option in [item for item in text.split(",") if item]:
        other = opposite.get(option)
        if other in result:
            result.remove(other)
        if option not in result:
            result.append(option)
    return result


def _rootfs_propagation(mounts: tuple[MountPoint, ...]) -> str:
    kinds = {mount.propagation.removeprefix("r") for mount in mounts if mount.type == "bind"}
    if "shared" in kinds:
        return "rshared"
    return "rslave" if "slave" in kinds else ""


def device_nodes(container: Container) -> list[dict[str, Any]]:
    """``--device`` entries (and for a privileged container every device of the host) as OCI devices."""
    found: dict[str, dict[str, Any]] = {}
    host = container.host_config
    if host.privileged:
        for node in _host_devices("/dev"):
            found[node["path"]] = node
    for mapping in host.devices:
        inside = mapping.path_in_container or mapping.path_on_host
        for node in _device_tree(mapping.path_on_host, inside):
            found[node["path"]] = node
    return list(found.values())


def _device_tree(path: str, inside: str) -> list[dict[str, Any]]:
    real = os.path.realpath(path)
    if os.path.isdir(real):
        nodes = []
        for directory, _, names in os.walk(real):
            for name in names:
                source = os.path.join(directory, name)
                node = _device(source, inside.rstrip("/") + source[len(real):])
                if node is not None:
                    nodes.append(node)
        return nodes
    try:
        node = _device(real, inside)
    except OSError:
        node = None
        if not os.path.lexists(path):
            raise InvalidParameter(
                f'error gathering device information while adding custom device "{path}": no such file or directory'
            ) from None
    if node is None:
        raise InvalidParameter(
            f'error gathering device information while adding custom device "{path}": not a device node'
        )
    return [node]


def _device(source: str, inside: str) -> dict[str, Any] | None:
    info = os.stat(source)
    kind = {0o020000: "c", 0o060000: "b"}.get(info.st_mode & 0o170000)
    if kind is None:
        return None
    return {"path": inside, "type": kind, "major": os.major(info.st_rdev), "minor": os.minor(info.st_rdev),
            "fileMode": info.st_mode & 0o7777, "uid": info.st_uid, "gid": info.st_gid}


def _host_devices(root: str) -> list[dict[str, Any]]:
    nodes = []
    for directory, names, files in os.walk(root):
        if directory == root:
            names[:] = [name for name in names if name not in ("pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts")]
        for name in files:
            path = os.path.join(directory, name)
            if path == "/dev/console" or os.path.islink(path):
                continue
            try:
                node = _device(path, path)
            except OSError:
                continue
            if node is not None:
                nodes.append(node)
    return nodes
