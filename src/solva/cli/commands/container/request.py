"""The body of POST /containers/create from the command line. Pure, but for the files that flags name."""

from __future__ import annotations

import os

from solva.cli.commands.container.ports import parse_exposed, parse_published
from solva.cli.errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.cli.flags import Options

PREDEFINED = ("default", "bridge", "host", "none", "nat")


def create_body(options: Options, image: str, command: list[str], *, detach: bool = False) -> dict[str, Any]:
    """Config, HostConfig and NetworkingConfig. CommandError says what contradicts or cannot be read."""
    attached = options.many("attach")
    stdin = options.on("interactive")
    everything = not attached
    ports, bindings = parse_published(options.many("publish"))
    ports.update({port: value for port, value in parse_exposed(options.many("expose")).items() if port not in ports})
    binds, anonymous = _volumes(options.many("volume"))
    body: dict[str, Any] = {
        "Image": image,
        "Hostname": options.text("hostname"),
        "Domainname": options.text("domainname"),
        "User": options.text("user"),
        "WorkingDir": options.text("workdir"),
        "Tty": options.on("tty"),
        "OpenStdin": stdin,
        "AttachStdin": not detach and (stdin or "stdin" in attached),
        "AttachStdout": not detach and (everything or "stdout" in attached),
        "AttachStderr": not detach and (everything or "stderr" in attached),
        "Env": read_pairs(options.many("env-file"), options.many("env"), environment=True),
        "Labels": dict(pair.partition("=")[::2] for pair in read_pairs(options.many("label-file"),
                                                                        options.many("label"))),
        "ExposedPorts": ports,
        "Volumes": anonymous,
        "Cmd": command or None,
    }
    body["StdinOnce"] = stdin and body["AttachStdin"]
    if options.text("entrypoint"):
        body["Entrypoint"] = [options.text("entrypoint")]
    elif "entrypoint" in options.changed:
        body["Entrypoint"] = [""]
    if "stop-signal" in options.changed:
        body["StopSignal"] = options.text("stop-signal")
    if "stop-timeout" in options.changed:
        body["StopTimeout"] = options.number("stop-timeout")
    health = _healthcheck(options)
    if health is not None:
        body["Healthcheck"] = health
    mac = options.text("mac-address")
    if mac and not _is_mac(mac):
        raise CommandError(f"{mac} is not a valid mac address")
    networks = options.many("network") + options.many("net")
    host = _host_config(options)
    host["Binds"] = binds or None
    host["PortBindings"] = bindings
    host["NetworkMode"] = networks[0]["target"] if networks else "default"
    body["HostConfig"] = host
    body["NetworkingConfig"] = {"EndpointsConfig": _endpoints(options, networks, mac)}
    return body


def read_pairs(files: list[str], pairs: list[str], *, environment: bool = False) -> list[str]:
    """``KEY=value`` lines of files, then those given. In an environment file a bare name is this process's value."""
    result: list[str] = []
    for path in files:
        result += _read_file(path, environment)
    return result + pairs


def _read_file(path: str, environment: bool) -> list[str]:
    try:
        with open(path, "rb") as file:
            data = file.read().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise CommandError(f"open {path}: {(error.strerror or str(error)).lower()}") from None
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise CommandError(f"invalid env file ({path}): invalid utf8 bytes at line {number}: "
                           f"{data[error.start:error.start + 16]!r}") from None
    result = []
    for raw in text.split("\n"):
        line = raw.rstrip("\r").lstrip(" \t")
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        name = name.lstrip()
        if any(char.isspace() for char in name.rstrip() if equals) or (equals and name != name.rstrip()):
            raise CommandError(f"invalid env file ({path}): variable '{name}' contains whitespaces")
        if not name:
            raise CommandError(f"invalid env file ({path}): no variable name on line '{line}'")
        if equals:
            result.append(f"{name}={value}")
        elif not environment:
            result.append(name.strip())
        elif name.strip() in os.environ:
            result.append(f"{name.strip()}={os.environ[name.strip()]}")
    return result


def _volumes(specs: list[str]) -> tuple[list[str], dict[str, dict[str, str]]]:
    """(binds, anonymous volumes): a bind has a source before its first colon; ``./x`` is made absolute."""
    binds: list[str] = []
    anonymous: dict[str, dict[str, str]] = {}
    for spec in specs:
        source, colon, rest = spec.partition(":")
        if not colon or not source:
            anonymous[spec] = {}
            continue
        if source.startswith("."):
            source = os.path.abspath(source)
        bind = f"{source}:{rest}"
        if bind not in binds:
            binds.append(bind)
    return binds, anonymous


def _is_mac(text: str) -> bool:
    parts = text.replace("-", ":").split(":")
    try:
        return len(parts) in (6, 8, 20) and all(len(part) == 2 and int(part, 16) >= 0 for part in parts)
    except ValueError:
        return False


def _healthcheck(options: Options) -> dict[str, Any] | None:
    names = ("health-interval", "health-timeout", "health-start-period", "health-start-interval", "health-retries")
    given = options.text("health-cmd") or any(options.number(name) for name in names)
    if options.on("no-healthcheck"):
        if given:
            raise CommandError("--no-healthcheck conflicts with --health-* options")
        return {"Test": ["NONE"]}
    if not given:
        return None
    for name in names:
        if options.number(name) < 0:
            raise CommandError(f"--{name} cannot be negative")
    health: dict[str, Any] = {
        "Interval": options.number("health-interval"),
        "Timeout": options.number("health-timeout"),
        "StartPeriod": options.number("health-start-period"),
        "StartInterval": options.number("health-start-interval"),
        "Retries": options.number("health-retries"),
    }
    health = {name: value for name, value in health.items() if value}
    if options.text("health-cmd"):
        health["Test"] = ["CMD-SHELL", options.text("health-cmd")]
    return health


def _host_config(options: Options) -> dict[str, Any]:
    swappiness = options.number("memory-swappiness")
    if swappiness != -1 and not 0 <= swappiness <= 100:
        raise CommandError(f"invalid value: {swappiness}. Valid memory swappiness range is 0-100")
    restart = restart_policy(options.text("restart"))
    if options.on("rm") and restart["Name"] not in ("no", ""):
        raise CommandError("conflicting options: cannot specify both --restart and --rm")
    security, masked, readonly = _security(options.many("security-opt"))
    host: dict[str, Any] = {
        "ContainerIDFile": options.text("cidfile"),
        "AutoRemove": options.on("rm"),
        "Privileged": options.on("privileged"),
        "PublishAllPorts": options.on("publish-all"),
        "ReadonlyRootfs": options.on("read-only"),
        "RestartPolicy": restart,
        "LogConfig": _log_config(options),
        "SecurityOpt": security or None,
        "OomScoreAdj": options.number("oom-score-adj"),
        "OomKillDisable": options.on("oom-kill-disable"),
        "MemorySwappiness": swappiness,
        "PidsLimit": options.number("pids-limit"),
        "Tmpfs": dict(spec.partition(":")[::2] for spec in options.many("tmpfs")),
        "Sysctls": dict(spec.partition("=")[::2] for spec in options.many("sysctl")),
        "Annotations": _annotations(options.many("annotation")),
        "StorageOpt": _storage(options.many("storage-opt")),
        "Devices": [device for spec in options.many("device") for device in _device(spec)],
        "Dns": options.many("dns"),
        "DnsOptions": options.many("dns-opt") + options.many("dns-option"),
        "DnsSearch": options.many("dns-search"),
        "ConsoleSize": [0, 0],
    }
    for key, name in _LISTS:
        host[key] = options.many(name) or None
    added, dropped = _capabilities(options.many("cap-add")), _capabilities(options.many("cap-drop"))
    host["CapAdd"], host["CapDrop"] = added or None, [name for name in dropped if name not in added] or None
    for key, name in _TEXTS:
        host[key] = options.text(name)
    for key, name in _NUMBERS:
        host[key] = options.number(name)
    for name, kinds in _NAMESPACES:
        _check_mode(name, options.text(name), kinds)
    if masked is not None:
        host["MaskedPaths"], host["ReadonlyPaths"] = masked, readonly
    if "init" in options.changed:
        host["Init"] = options.on("init")
    return host


def _capabilities(names: list[str]) -> list[str]:
    """Names in the kernel's form; ``ALL`` stands for every one."""
    found = {name.upper().strip() for name in names}
    if "ALL" in found:
        return ["ALL"]
    return sorted(name if name.startswith("CAP_") else f"CAP_{name}" for name in found)


_LISTS = (("Links", "link"), ("ExtraHosts", "add-host"), ("VolumesFrom", "volumes-from"),
          ("GroupAdd", "group-add"), ("Mounts", "mount"), ("Ulimits", "ulimit"),
          ("DeviceCgroupRules", "device-cgroup-rule"), ("DeviceRequests", "gpus"),
          ("BlkioWeightDevice", "blkio-weight-device"), ("BlkioDeviceReadBps", "device-read-bps"),
          ("BlkioDeviceWriteBps", "device-write-bps"), ("BlkioDeviceReadIOps", "device-read-iops"),
          ("BlkioDeviceWriteIOps", "device-write-iops"))
_TEXTS = (("IpcMode", "ipc"), ("PidMode", "pid"), ("UTSMode", "uts"), ("UsernsMode", "userns"),
          ("CgroupnsMode", "cgroupns"), ("Isolation", "isolation"), ("Runtime", "runtime"),
          ("CgroupParent", "cgroup-parent"), ("CpusetCpus", "cpuset-cpus"), ("CpusetMems", "cpuset-mems"),
          ("VolumeDriver", "volume-driver"))
_NUMBERS = (("ShmSize", "shm-size"), ("Memory", "memory"), ("MemoryReservation", "memory-reservation"),
            ("MemorySwap", "memory-swap"), ("KernelMemory", "kernel-memory"), ("NanoCpus", "cpus"),
            ("CpuShares", "cpu-shares"), ("CpuPeriod", "cpu-period"), ("CpuQuota", "cpu-quota"),
            ("CpuRealtimePeriod", "cpu-rt-period"), ("CpuRealtimeRuntime", "cpu-rt-runtime"),
            ("BlkioWeight", "blkio-weight"))
_NAMESPACES = (("pid", ("host", "container:")), ("uts", ("host",)), ("userns", ("host",)),
               ("cgroupns", ("host", "private")))
_MODE_NAMES = {"pid": "PID", "uts": "UTS", "userns": "USER", "cgroupns": "CGROUP"}


def _check_mode(name: str, value: str, kinds: tuple[str, ...]) -> None:
    for kind in kinds:
        if value == kind or (kind.endswith(":") and value.startswith(kind) and len(value) > len(kind)):
            return
    if value:
        raise CommandError(f"--{name}: invalid {_MODE_NAMES[name]} mode")


def restart_policy(text: str) -> dict[str, Any]:
    """``--restart``: ``no``, ``always``, ``unless-stopped``, ``on-failure[:times]``."""
    name, colon, count = text.partition(":")
    if not name and colon:
        raise CommandError("invalid restart policy format: no policy provided before colon")
    if not colon:
        return {"Name": name, "MaximumRetryCount": 0}
    if ":" in count:
        raise CommandError("invalid restart policy format")
    try:
        return {"Name": name, "MaximumRetryCount": int(count)}
    except ValueError:
        raise CommandError("invalid restart policy format: maximum retry count must be an integer") from None


def _log_config(options: Options) -> dict[str, Any]:
    pairs = options.many("log-opt")
    driver = options.text("log-driver")
    if driver == "none" and pairs:
        raise CommandError("invalid logging opts for driver none")
    return {"Type": driver, "Config": dict(pair.partition("=")[::2] for pair in pairs)}


def _annotations(pairs: list[str]) -> dict[str, str] | None:
    return dict(pair.partition("=")[::2] for pair in pairs) or None


def _storage(pairs: list[str]) -> dict[str, str] | None:
    if not all("=" in pair for pair in pairs):
        raise CommandError("invalid storage option")
    return dict(pair.partition("=")[::2] for pair in pairs) or None


def _security(specs: list[str]) -> tuple[list[str], list[str] | None, list[str] | None]:
    """(options, masked paths, read-only paths): a seccomp profile is read here, ``systempaths`` is the client's."""
    result: list[str] = []
    masked: list[str] | None = None
    for spec in specs:
        name, separator, value = spec.partition("=") if "=" in spec else spec.partition(":")
        if not separator and name != "no-new-privileges":
            raise CommandError(f'Invalid --security-opt: "{spec}"')
        if spec == "systempaths=unconfined":
            masked = []
        elif name == "seccomp" and value not in ("unconfined", "builtin"):
            result.append(f"seccomp={_seccomp_profile(value)}")
        else:
            result.append(spec)
    return result, masked, None if masked is None else []


def _seccomp_profile(path: str) -> str:
    from solva.client.fastjson import dumps, loads

    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        reason = f"open {path}: {(error.strerror or '').lower()}"
        raise CommandError(f"opening seccomp profile ({path}) failed: {reason}") from None
    try:
        return dumps(loads(data))
    except ValueError as error:
        raise CommandError(f"compacting json for seccomp profile ({path}) failed: {error}") from None


def _device(spec: str) -> list[dict[str, str]]:
    """``host[:container][:rwm]``, the host path perhaps with ``*`` at its end."""
    if spec.count(":") > 2 or not spec.partition(":")[0]:
        raise CommandError(f"bad format for path: {spec}")
    host, *rest = spec.split(":")
    container, mode = host, "rwm"
    if len(rest) == 2:
        container, mode = rest
        if not _device_mode(mode):
            raise CommandError(f"bad mode specified: {mode}")
    elif rest and _device_mode(rest[0]):
        mode = rest[0]
    elif rest:
        container = rest[0]
    if not container.startswith("/"):
        raise CommandError(f"{container} is not an absolute path")
    paths = [(host, os.path.normpath(container))]
    if host.endswith("*"):
        if container != host:
            raise CommandError(f"device with * suffix can't have dst: {spec}")
        import glob

        paths = [(path, path) for path in sorted(glob.glob(host))]
    elif not rest or _device_mode(rest[0]):
        paths = [(os.path.normpath(host), os.path.normpath(host))]
    return [{"PathOnHost": source, "PathInContainer": target, "CgroupPermissions": mode} for source, target in paths]


def _device_mode(text: str) -> bool:
    return bool(text) and set(text) <= set("rwm") and len(set(text)) == len(text)


def _endpoints(options: Options, networks: list[dict[str, Any]], mac: str) -> dict[str, Any]:
    """EndpointsConfig: the per-network options; the old single flags go to the first network."""
    endpoints: dict[str, Any] = {}
    kinds = {user_defined(network["target"]) for network in networks}
    if not networks:
        networks = [{"target": "default", "aliases": [], "driver_opts": {}, "ip": "", "ip6": "", "mac": "",
                     "link_local": [], "priority": 0}]
    for index, network in enumerate(networks):
        settings = dict(network)
        settings["links"] = []
        if index == 0:
            _single_flags(options, settings, mac)
        endpoint = _endpoint(settings)
        name = network["target"]
        if name in endpoints:
            raise CommandError(f'network "{name}" is specified multiple times')
        if endpoint or len(networks) > 1:
            endpoints[name] = endpoint
    if len(kinds) == 2:
        raise CommandError("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
    return endpoints


def _single_flags(options: Options, network: dict[str, Any], mac: str) -> None:
    aliases = options.many("network-alias") + options.many("net-alias")
    links = options.many("link")
    if network["aliases"] and aliases:
        raise CommandError("conflicting options: cannot specify both --network-alias and per-network alias")
    if network["ip"] and options.text("ip"):
        raise CommandError("conflicting options: cannot specify both --ip and per-network IPv4 address")
    if network["ip6"] and options.text("ip6"):
        raise CommandError("conflicting options: cannot specify both --ip6 and per-network IPv6 address")
    if network["mac"] and mac:
        raise CommandError("conflicting options: cannot specify both --mac-address and per-network MAC address")
    if network["link_local"] and options.many("link-local-ip"):
        raise CommandError("conflicting options: cannot specify both --link-local-ip and per-network link-local IP "
                           "addresses")
    network["aliases"] = network["aliases"] or aliases
    network["ip"] = network["ip"] or options.text("ip")
    network["ip6"] = network["ip6"] or options.text("ip6")
    network["mac"] = network["mac"] or mac
    network["link_local"] = network["link_local"] or options.many("link-local-ip")
    if user_defined(network["target"]):
        network["links"] = links


def user_defined(name: str) -> bool:
    """Whether ``name`` is a network somebody made."""
    return name not in PREDEFINED and not name.startswith("container:")


def _endpoint(network: dict[str, Any]) -> dict[str, Any]:
    if not network["target"].strip():
        raise CommandError("no name set for network")
    if not user_defined(network["target"]) and network["aliases"]:
        raise CommandError("network-scoped aliases are only supported for user-defined networks")
    ipam = {"IPv4Address": network["ip"], "IPv6Address": network["ip6"], "LinkLocalIPs": network["link_local"]}
    endpoint = {
        "Aliases": network["aliases"],
        "Links": network["links"],
        "DriverOpts": network["driver_opts"],
        "MacAddress": network["mac"],
        "GwPriority": network["priority"],
        "IPAMConfig": {key: value for key, value in ipam.items() if value},
    }
    return {key: value for key, value in endpoint.items() if value}
