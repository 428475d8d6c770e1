"""Values of `run` and `create` flags that have a grammar of their own. Each raises ValueError in Docker's words."""

from __future__ import annotations

import os

from solva.cli.commands.container.ports import is_address
from solva.cli.flags import go_quoted, parse_bool, parse_bytes, parse_csv, parse_int

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SYSCTLS = frozenset(("kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall",
                      "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"))
_ULIMITS = frozenset(("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc",
                      "rss", "rtprio", "rttime", "sigpending", "stack"))


def attach(text: str) -> str:
    """stdin, stdout or stderr."""
    if text.lower() not in ("stdin", "stdout", "stderr"):
        raise ValueError("valid streams are STDIN, STDOUT and STDERR")
    return text.lower()


def environment(text: str) -> str:
    """``NAME=value``; a bare name takes this process's value, if there is one."""
    name, equals, _ = text.partition("=")
    if not name:
        raise ValueError(f"invalid environment variable: {text}")
    if equals or name not in os.environ:
        return text
    return f"{name}={os.environ[name]}"


def label(text: str) -> str:
    """``key=value`` or ``key``."""
    if not text.partition("=")[0].strip():
        raise ValueError(f"invalid label '{text}': empty name")
    return text


def extra_host(text: str) -> str:
    """``host:ip`` or ``host=ip``; the address may be ``host-gateway``."""
    name, separator, ip = text.partition("=") if "=" in text else text.partition(":")
    if not separator or not name:
        raise ValueError(f"bad format for add-host: {go_quoted(text)}")
    if ip.startswith("[") and ip.endswith("]"):
        ip = ip[1:-1]
    if ip != "host-gateway" and not is_address(ip):
        raise ValueError(f"invalid IP address in add-host: {go_quoted(ip)}")
    return f"{name}:{ip}"


def address(text: str) -> str:
    """An IP address."""
    if not is_address(text.strip()):
        raise ValueError(f"IP address is not correctly formatted: {text}")
    return text.strip()


def dns_search(text: str) -> str:
    """A search domain; ``.`` means none at all."""
    bare = text.strip(" ")
    if bare == ".":
        return bare
    if not bare or any(char.isspace() for char in bare) or bare.startswith("."):
        raise ValueError(f"{text} is not a valid domain")
    return bare


def link(text: str) -> str:
    """``container[:alias]``."""
    if not text:
        raise ValueError("empty string specified for links")
    if text.count(":") > 1:
        raise ValueError(f"bad format for links: {text}")
    return text


def sysctl(text: str) -> str:
    """``key=value`` of a namespaced sysctl."""
    key, equals, _ = text.partition("=")
    if not equals or not (key in _SYSCTLS or key.startswith(("net.", "fs.mqueue."))):
        raise ValueError(f"sysctl '{text}' is not allowed")
    return text


def ulimit(text: str) -> dict[str, Any]:
    """``name=soft[:hard]``."""
    name, equals, limits = text.partition("=")
    if not equals:
        raise ValueError(f"invalid ulimit argument: {text}")
    if name not in _ULIMITS:
        raise ValueError(f"invalid ulimit type: {name}")
    parts = limits.split(":")
    if len(parts) > 2:
        raise ValueError(f"too many limit values - {limits}, can only have up to two, `soft[:hard]`")
    soft = parse_int(parts[0])
    hard = parse_int(parts[1]) if len(parts) > 1 else soft
    if hard != -1 and (soft == -1 or soft > hard):
        raise ValueError(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return {"Name": name, "Hard": hard, "Soft": soft}


def swap_bytes(text: str) -> int:
    """A size, or -1 for no limit."""
    return -1 if text == "-1" else parse_bytes(text)


def device_cgroup_rule(text: str) -> str:
    """``type major:minor mode``."""
    parts = text.split(" ")
    if len(parts) == 3 and parts[0] in ("a", "b", "c"):
        numbers = parts[1].split(":")
        if len(numbers) == 2 and all(number == "*" or number.isdigit() for number in numbers) \
                and 1 <= len(parts[2]) <= 3 and set(parts[2]) <= set("rwm"):
            return text
    raise ValueError(f"invalid device cgroup format '{text}'")


def _device_path(text: str) -> tuple[str, str]:
    path, colon, value = text.partition(":")
    if not colon:
        raise ValueError(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise ValueError(f"bad format for device path: {text}")
    return path, value


def device_weight(text: str) -> dict[str, Any]:
    """``/dev/x:weight``."""
    path, value = _device_path(text)
    if not value.isdigit() or (int(value) and not 10 <= int(value) <= 1000):
        raise ValueError(f"invalid weight for device: {text}")
    return {"Path": path, "Weight": int(value)}


def device_bytes(text: str) -> dict[str, Any]:
    """``/dev/x:bytes a second``."""
    path, value = _device_path(text)
    try:
        rate = parse_bytes(value)
    except ValueError:
        raise ValueError(f"invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. "
                         "Number must be a positive integer. Unit is optional and can be kb, mb, or gb") from None
    return {"Path": path, "Rate": rate}


def device_operations(text: str) -> dict[str, Any]:
    """``/dev/x:operations a second``."""
    path, value = _device_path(text)
    if not value.isdigit():
        raise ValueError(f"invalid rate for device: {text}. The correct format is <device-path>:<number>. "
                         "Number must be a positive integer")
    return {"Path": path, "Rate": int(value)}


def gpus(text: str) -> dict[str, Any]:
    """``all``, a count, or ``count=..,driver=..,device=..,capabilities=..,options=..``."""
    request: dict[str, Any] = {"Driver": "", "Count": 0, "DeviceIDs": None, "Capabilities": None, "Options": {}}
    seen: set[str] = set()
    for field in parse_csv(text):
        key, equals, value = field.partition("=")
        if key in seen:
            raise ValueError(f"gpu request key '{key}' can be specified only once")
        seen.add(key)
        if not equals:
            seen.add("count")
            request["Count"] = _gpu_count(key)
        elif key == "driver":
            request["Driver"] = value
        elif key == "count":
            request["Count"] = _gpu_count(value)
        elif key == "device":
            request["DeviceIDs"] = value.split(",")
        elif key == "capabilities":
            request["Capabilities"] = [[*value.split(","), "gpu"]]
        elif key == "options":
            request["Options"] = dict(item.partition("=")[::2] for item in parse_csv(value))
        else:
            raise ValueError(f"unexpected key '{key}' in '{field}'")
    if "count" not in seen and request["DeviceIDs"] is None:
        request["Count"] = 1
    if request["Capabilities"] is None:
        request["Capabilities"] = [["gpu"]]
    return request


def _gpu_count(text: str) -> int:
    if text == "all":
        return -1
    try:
        return parse_int(text)
    except ValueError as error:
        raise ValueError(f'invalid count ({text}): value must be either "all" or an integer: '
                         f"{str(error).replace('ParseInt', 'Atoi')}") from None


_TRUE_ALONE = frozenset(("readonly", "ro", "volume-nocopy", "bind-nonrecursive", "bind-create-src"))


def mount(text: str) -> dict[str, Any]:
    """``--mount`` as the API's Mount."""
    result: dict[str, Any] = {"Type": "volume"}
    for field in parse_csv(text):
        key, equals, value = field.partition("=")
        key = key.lower() if equals or key in _TRUE_ALONE else key
        if not equals and key not in _TRUE_ALONE:
            raise ValueError(f"invalid field '{field}' must be a key=value pair")
        _mount_field(result, key, value if equals else "true", field)
    if not result["Type"]:
        raise ValueError("type is required")
    kind = result["Type"]
    for options, prefix, owner in (("VolumeOptions", "volume", "volume"), ("ImageOptions", "image", "image"),
                                   ("BindOptions", "bind", "bind"), ("TmpfsOptions", "tmpfs", "tmpfs")):
        if options in result and kind != owner:
            raise ValueError(f"cannot mix '{prefix}-*' options with mount type '{kind}'")
    if not result.get("Target"):
        raise ValueError("target is required")
    if kind == "bind" and result.get("BindOptions", {}).get("ReadOnlyForceRecursive"):
        if not result.get("ReadOnly"):
            raise ValueError("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction")
        if result["BindOptions"].get("Propagation") != "rprivate":
            raise ValueError("option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in "
                             "conjunction")
    return result


def _mount_field(result: dict[str, Any], key: str, value: str, field: str) -> None:
    if key == "type":
        result["Type"] = value.lower()
    elif key in ("source", "src"):
        result["Source"] = os.path.abspath(value) if value == "." or value.startswith("./") else value
    elif key in ("target", "dst", "destination"):
        result["Target"] = value
    elif key in ("readonly", "ro"):
        result["ReadOnly"] = _flag(key, value)
    elif key == "consistency":
        result["Consistency"] = value.lower()
    elif key.startswith("bind-"):
        _bind_field(result.setdefault("BindOptions", {}), key, value, field)
    elif key.startswith("volume-"):
        _volume_field(result.setdefault("VolumeOptions", {}), key, value, field)
    elif key == "image-subpath":
        result.setdefault("ImageOptions", {})["Subpath"] = value
    elif key == "tmpfs-size":
        try:
            result.setdefault("TmpfsOptions", {})["SizeBytes"] = parse_bytes(value)
        except ValueError:
            raise ValueError(f"invalid value for {key}: {value}") from None
    elif key == "tmpfs-mode":
        try:
            result.setdefault("TmpfsOptions", {})["Mode"] = int(value, 8)
        except ValueError:
            raise ValueError(f"invalid value for {key}: {value}") from None
    else:
        raise ValueError(f"unexpected key '{key}' in '{field}'")


def _bind_field(options: dict[str, Any], key: str, value: str, field: str) -> None:
    if key == "bind-propagation":
        options["Propagation"] = value.lower()
    elif key == "bind-nonrecursive":
        options["NonRecursive"] = _flag(key, value)
    elif key == "bind-create-src":
        options["CreateMountpoint"] = _flag(key, value)
    elif key == "bind-recursive":
        if value == "disabled":
            options["NonRecursive"] = True
        elif value == "writable":
            options["ReadOnlyNonRecursive"] = True
        elif value == "readonly":
            options["ReadOnlyForceRecursive"] = True
        elif value != "enabled":
            raise ValueError(f'invalid value for {key}: {value} (must be "enabled", "disabled", "writable", or '
                             '"readonly")')
    else:
        raise ValueError(f"unexpected key '{key}' in '{field}'")


def _volume_field(options: dict[str, Any], key: str, value: str, field: str) -> None:
    name, _, item = value.partition("=")
    if key == "volume-subpath":
        options["Subpath"] = value
    elif key == "volume-nocopy":
        try:
            options["NoCopy"] = parse_bool(value)
        except ValueError:
            raise ValueError(f"invalid value for volume-nocopy: {value}") from None
    elif key == "volume-label":
        options.setdefault("Labels", {})[name] = item
    elif key == "volume-driver":
        options.setdefault("DriverConfig", {})["Name"] = value
    elif key == "volume-opt":
        options.setdefault("DriverConfig", {}).setdefault("Options", {})[name] = item
    else:
        raise ValueError(f"unexpected key '{key}' in '{field}'")


def _flag(key: str, value: str) -> bool:
    try:
        return parse_bool(value)
    except ValueError:
        raise ValueError(f"invalid value for {key}: {value}") from None


def network(text: str) -> dict[str, Any]:
    """``name`` or ``name=net,alias=..,ip=..,driver-opt=k=v,..``: target, aliases and the rest."""
    result: dict[str, Any] = {"target": "", "aliases": [], "driver_opts": {}, "ip": "", "ip6": "", "mac": "",
                              "link_local": [], "priority": 0}
    if "=" not in text:
        result["target"] = text
        return result
    for field in parse_csv(text):
        key, equals, value = field.partition("=")
        key, value = key.strip().lower(), value.strip()
        if not equals or not key:
            raise ValueError(f"invalid field {field}")
        if key == "name":
            result["target"] = value
        elif key == "alias":
            result["aliases"].append(value)
        elif key == "driver-opt":
            name, separator, item = value.partition("=")
            if not separator:
                raise ValueError("invalid key value pair format in driver options")
            result["driver_opts"][name.strip().lower()] = item
        elif key in ("ip", "ip6"):
            result[key] = value
        elif key == "mac-address":
            result["mac"] = value
        elif key == "link-local-ip":
            result["link_local"].append(value)
        elif key == "gw-priority":
            try:
                result["priority"] = parse_int(value)
            except ValueError:
                raise ValueError(f"invalid gw-priority ({value}): invalid syntax") from None
        else:
            raise ValueError(f"invalid field key {key}")
    if not result["target"]:
        raise ValueError("network name/id is not specified")
    return result
