"""From the forms users write to the one form Compose prints: each function takes a value and its path.

They raise ValueError (the text is shown with the attribute's place) and never look at other attributes.
"""

from __future__ import annotations

import re

from solva.compose.attributes import units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Path = tuple[str | int, ...]
    Convert = Callable[[Any, Path], Any]


def same(value: Any, path: Path) -> Any:
    """As written."""
    return value


def text(value: Any, path: Path = ()) -> str:
    """Scalars as Go's %v prints them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)
    return str(value)


def texts(value: Any, path: Path) -> list[str]:
    """A list of strings; one string is a list of one."""
    return [text(item) for item in value] if isinstance(value, list) else [text(value)]


def unique(value: Any, path: Path) -> list[str]:
    """`texts` without repeats."""
    return list(dict.fromkeys(texts(value, path)))


def command(value: Any, path: Path) -> list[str] | None:
    """Shell words."""
    if value is None:
        return None
    if isinstance(value, list):
        return [text(item) for item in value]
    import shlex

    try:
        return shlex.split(value)
    except ValueError as error:
        raise ValueError(f"invalid command line string: {error}") from None


def table(value: Any, path: Path) -> dict[str, str | None]:
    """``KEY=VALUE`` items or a mapping; a key alone is None."""
    if isinstance(value, dict):
        return {key: None if item is None else text(item) for key, item in value.items()}
    result: dict[str, str | None] = {}
    for index, item in enumerate(value or ()):
        if not isinstance(item, str):
            kind = {int: "int", float: "float64", bool: "bool"}.get(type(item), type(item).__name__)
            dotted = ".".join(map(str, path))
            raise ValueError(f"{dotted}.[{index}]: unexpected type {kind}")
        key, equals, rest = item.partition("=")
        result[key] = rest if equals else None
    return result


def labels(value: Any, path: Path) -> dict[str, str]:
    """`table` with empty strings for missing values."""
    return {key: item or "" for key, item in table(value, path).items()}


def options(value: Any, path: Path) -> dict[str, str]:
    """A mapping of scalars as strings."""
    return {key: text(item) for key, item in (value or {}).items()}


def hosts(value: Any, path: Path) -> list[str]:
    """``host=address`` items, sorted. ``host:address``, ``host=address``, brackets around IPv6, or a mapping."""
    pairs: list[str] = []
    if isinstance(value, dict):
        for host, address in value.items():
            pairs += [f"{host}={_bare(item)}" for item in (address if isinstance(address, list) else [address])]
        return sorted(pairs)
    for item in value:
        at = item.find("=")
        if at < 0:
            at = item.find(":")
        if at <= 0:
            raise ValueError(f"invalid additional host, missing IP: {item}")
        pairs.append(f"{item[:at].strip()}={_bare(item[at + 1:].strip())}")
    return sorted(pairs)


def _bare(address: str) -> str:
    return address[1:-1] if address[:1] == "[" and address[-1:] == "]" else address


def size(value: Any, path: Path) -> str:
    """Bytes, as a decimal string."""
    return str(units.size(value))


def duration(value: Any, path: Path) -> str:
    """Go's duration text."""
    return units.show_duration(units.duration(value))


def integer(value: Any, path: Path) -> int:
    return int(value) if not isinstance(value, str) else units.integer(value)


def number(value: Any, path: Path) -> int | float:
    return units.compact(float(value)) if not isinstance(value, str) else units.compact(units.number(value))


def number32(value: Any, path: Path) -> int | float:
    """A number with single precision, as Compose keeps ``cpus``."""
    import struct

    exact = float(value)
    single = struct.unpack("f", struct.pack("f", exact))[0]
    for digits in range(6, 10):
        shown = float(f"{single:.{digits}g}")
        if struct.unpack("f", struct.pack("f", shown))[0] == single:
            return units.compact(shown)
    return units.compact(single)


def count(value: Any, path: Path) -> int:
    """A device count: ``all`` is -1."""
    if value == "all":
        return -1
    try:
        return int(value)
    except ValueError:
        raise ValueError(f'invalid value "{value}", the only value allowed is \'all\' or a number') from None


def mode(value: Any, path: Path) -> str:
    """A file mode: octal text."""
    return f"0{value if isinstance(value, int) else int(str(value), 8):o}"


def build(value: Any, path: Path) -> Any:
    return {"context": value} if isinstance(value, str) else value


def depends_on(value: Any, path: Path) -> dict[str, Any]:
    if isinstance(value, list):
        return {name: {"condition": "service_started", "required": True} for name in value}
    return {name: {"required": True, **(item or {})} for name, item in value.items()}


def networks(value: Any, path: Path) -> dict[str, Any]:
    return dict.fromkeys(value) if isinstance(value, list) else value


def env_files(value: Any, path: Path) -> list[dict[str, Any]]:
    items = value if isinstance(value, list) else [value]
    return [{"path": item, "required": True} if isinstance(item, str) else {"required": True, **item}
            for item in items]


def extends(value: Any, path: Path) -> dict[str, str]:
    return {"service": value} if isinstance(value, str) else value


def references(value: Any, path: Path) -> list[dict[str, Any]]:
    """configs: ``- name`` is ``{source: name}``."""
    return [{"source": item} if isinstance(item, str) else item for item in value]


def secrets(value: Any, path: Path) -> list[dict[str, Any]]:
    """`references` with the default target."""
    return [item if item.get("target") else {**item, "target": f"/run/secrets/{item.get('source', '')}"}
            for item in references(value, path)]


def gpus(value: Any, path: Path) -> list[dict[str, Any]]:
    if isinstance(value, str):
        return [{"count": -1}]
    return _counted(value)


def _counted(value: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**item, "count": count(item["count"], ())} if "count" in item
            else item if "device_ids" in item else {**item, "count": -1} for item in value]


def device_requests(value: Any, path: Path) -> list[dict[str, Any]]:
    for item in value:
        if "count" in item and "device_ids" in item:
            raise ValueError('"count" and "device_ids" attributes are exclusive')
    return _counted(value)


def devices(value: Any, path: Path) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = []
    for item in value:
        if isinstance(item, str):
            parts = item.split(":")
            if len(parts) > 3:
                raise ValueError(f"confusing device mapping, please use long syntax: {item}")
            result.append({"source": parts[0], "target": parts[1] if len(parts) > 1 else parts[0],
                           "permissions": parts[2] if len(parts) > 2 else "rwm"})
        else:
            result.append(item)
    return result


def ulimits(value: Any, path: Path) -> dict[str, Any]:
    return {name: {key: int(number) for key, number in item.items() if not key.startswith("x-")}
            if isinstance(item, dict) else int(item) for name, item in value.items()}


def health_test(value: Any, path: Path) -> list[str]:
    if isinstance(value, str):
        return ["CMD-SHELL", value]
    return list(value)


def ssh(value: Any, path: Path) -> list[str]:
    """``default`` or ``id=path`` items."""
    if isinstance(value, dict):
        return [f"{key}={text(item)}" if item is not None else key for key, item in value.items()]
    return texts(value, path)


def external(value: Any, path: Path) -> bool:
    return True if isinstance(value, dict) else bool(value)


# --- ports --------------------------------------------------------------------------------------------------------

_PORT = re.compile(r"\d+(-\d+)?\Z")


def ports(value: Any, path: Path) -> list[dict[str, Any]]:
    """Short and long syntax; a range becomes an item a port."""
    result: list[dict[str, Any]] = []
    for index, item in enumerate(value):
        if isinstance(item, dict):
            if "target" not in item:
                dotted = ".".join(map(str, path))
                raise ValueError(f"service ports {dotted}.[{index}] is missing a target port")
            entry = {"mode": "ingress", "protocol": "tcp", **item}
            entry["target"] = int(entry["target"])
            if "published" in entry:
                entry["published"] = text(entry["published"])
            result.append(entry)
        else:
            result += short_port(text(item))
    return result


def short_port(spec: str) -> list[dict[str, Any]]:
    """``[[HOST:]PUBLISHED:]TARGET[/PROTOCOL]``."""
    body, slash, protocol = spec.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    if protocol not in ("tcp", "udp", "sctp"):
        raise ValueError(f"Invalid proto: {protocol}")
    host, published, target = _split(body)
    if not target:
        raise ValueError(f"No port specified: {spec}<empty>")
    first, last = _range(target, "Invalid containerPort: ", target)
    items: list[dict[str, Any]] = []
    if host:
        _check_address(host)
    low, high = _range(published, "Invalid hostPort: ", published) if published else (0, 0)
    if published and high - low != last - first and first != last:
        raise ValueError(f"Invalid ranges specified for container and host Ports: {target} and {published}")
    for offset in range(last - first + 1):
        shown = ""
        if published:
            shown = published if first == last and low != high else str(low + offset)
        item: dict[str, Any] = {"mode": "ingress", "target": first + offset, "protocol": protocol}
        if host:
            item["host_ip"] = host
        if shown:
            item["published"] = shown
        items.append(item)
    items.sort(key=lambda item: f"{item['target']}/{protocol}")
    return items


def _split(body: str) -> tuple[str, str, str]:
    if body[:1] == "[":
        host, _, rest = body[1:].partition("]")
        rest = rest.removeprefix(":")
        published, _, target = rest.rpartition(":")
        return host, published, target
    rest, _, target = body.rpartition(":")
    if not rest:
        return "", "", target
    host, colon, published = rest.rpartition(":")
    return (host, published, target) if colon else ("", rest, target)


def _range(spec: str, problem: str, shown: str) -> tuple[int, int]:
    if not _PORT.match(spec):
        raise ValueError(problem + shown)
    low, _, high = spec.partition("-")
    first, last = int(low), int(high or low)
    if last < first or last > 65535:
        raise ValueError(problem + shown)
    return first, last


def _check_address(host: str) -> None:
    import socket

    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.partition("%")[0])
            return
        except OSError:
            continue
    raise ValueError(f"Invalid ip address: {host}")


# --- volumes ------------------------------------------------------------------------------------------------------

_PROPAGATION = frozenset(("rprivate", "private", "rshared", "shared", "rslave", "slave"))


def volumes(value: Any, path: Path) -> list[dict[str, Any]]:
    return [short_volume(item) if isinstance(item, str) else long_volume(item) for item in value]


def is_path(source: str) -> bool:
    """Whether a source is a place on the host rather than a volume's name."""
    return source[:1] in (".", "/", "~") and source != ""


def short_volume(spec: str) -> dict[str, Any]:
    """``[SOURCE:]TARGET[:OPTIONS]``."""
    if not spec:
        raise ValueError("invalid empty volume spec")
    parts = re.split(r":(?![^${}]*\})", spec) if "${" in spec else spec.split(":")
    if "" in parts:
        raise ValueError(f"invalid spec: {spec}: empty section between colons")
    if len(parts) == 1:
        return {"type": "volume", "target": parts[0], "volume": {}} if len(spec) > 2 else {"type": "volume",
                                                                                         "target": spec}
    if len(parts) > 3:
        raise ValueError(f"invalid spec: {spec}: too many colons")
    source, target = parts[0], parts[1]
    result: dict[str, Any] = {"type": "bind" if is_path(source) else "volume", "source": source, "target": target}
    bind: dict[str, Any] = {}
    volume: dict[str, Any] = {}
    for option in parts[2].split(",") if len(parts) == 3 else ():
        if option == "ro":
            result["read_only"] = True
        elif option == "nocopy":
            volume["nocopy"] = True
        elif option in _PROPAGATION:
            bind["propagation"] = option
        elif option in ("z", "Z"):
            bind["selinux"] = option
    if result["type"] == "bind":
        result["bind"] = {**bind, "create_host_path": True}
        if volume:
            result["volume"] = volume
    else:
        result["volume"] = volume
        if bind:
            result["bind"] = bind
    return result


def long_volume(item: dict[str, Any]) -> dict[str, Any]:
    """Long syntax with its defaults."""
    result = dict(item)
    tmpfs = result.get("tmpfs")
    if isinstance(tmpfs, dict):
        result["tmpfs"] = dict(tmpfs)
        if "size" in tmpfs:
            result["tmpfs"]["size"] = size(tmpfs["size"], ())
        if "mode" in tmpfs:
            result["tmpfs"]["mode"] = int(tmpfs["mode"])
    volume = result.get("volume")
    if isinstance(volume, dict) and "labels" in volume:
        result["volume"] = {**volume, "labels": labels(volume["labels"], ())}
    return result


def include(value: Any, path: Path) -> list[dict[str, Any]]:
    result = []
    for item in value:
        entry = {"path": item} if isinstance(item, str) else dict(item)
        for key in ("path", "env_file"):
            if isinstance(entry.get(key), str):
                entry[key] = [entry[key]]
        result.append(entry)
    return result
