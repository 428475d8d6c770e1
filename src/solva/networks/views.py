"""Networks as the API shows them, and which of them a filter lets through. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from solva.clock import parse_rfc3339, rfc3339
from solva.errors import InvalidParameter
from solva.networks.model import Endpoint, Network, Sandbox

_LIST = frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"})
_PRUNE = frozenset({"label", "label!", "until"})
Users = Iterable[tuple[Sandbox, Endpoint]]


def network(record: Network, users: Users = ()) -> dict[str, Any]:
    """``users`` only for an inspection: a list shows none."""
    return {
        "Name": record.name,
        "Id": record.id,
        "Created": rfc3339(record.created_ns),
        "Scope": record.scope,
        "Driver": record.driver,
        "EnableIPv4": record.enable_ipv4,
        "EnableIPv6": record.enable_ipv6,
        "IPAM": {
            "Driver": record.ipam_driver,
            "Options": None if record.ipam_options is None else dict(record.ipam_options),
            "Config": _pools(record),
        },
        "Internal": record.internal,
        "Attachable": record.attachable,
        "Ingress": record.ingress,
        "ConfigFrom": {"Network": record.config_from},
        "ConfigOnly": record.config_only,
        "Containers": {sandbox.id: _user(sandbox, endpoint) for sandbox, endpoint in users},
        "Options": dict(record.options),
        "Labels": dict(record.labels),
    }


def _pools(record: Network) -> list[dict[str, Any]] | None:
    rows = []
    for pool in record.pools:
        row: dict[str, Any] = {"Subnet": pool.subnet}
        if pool.ip_range:
            row["IPRange"] = pool.ip_range
        if pool.gateway and (pool.gateway_given or not pool.given):
            row["Gateway"] = pool.gateway
        if pool.aux:
            row["AuxiliaryAddresses"] = dict(pool.aux)
        rows.append(row)
    if not rows and record.ipam_driver == "null" and record.enable_ipv4 and not record.config_only:
        return [{"Subnet": "0.0.0.0/0"}]      # what Docker shows of a network without addresses of its own
    if not rows:
        return None if record.predefined else []
    return rows


def _user(sandbox: Sandbox, endpoint: Endpoint) -> dict[str, str]:
    return {
        "Name": f"gateway_{sandbox.id[:12]}" if endpoint.is_gateway else sandbox.config.name,
        "EndpointID": endpoint.id,
        "MacAddress": endpoint.mac,
        "IPv4Address": f"{endpoint.ipv4}/{endpoint.prefix4}" if endpoint.ipv4 else "",
        "IPv6Address": f"{endpoint.ipv6}/{endpoint.prefix6}" if endpoint.ipv6 else "",
    }


def check_list_filters(filters: Mapping[str, list[str]]) -> None:
    """InvalidParameter for what Docker refuses."""
    for key in filters:
        if key not in _LIST:
            raise InvalidParameter(f"invalid filter '{key}'")
    for value in filters.get("type", ()):
        if value not in ("builtin", "custom"):
            raise InvalidParameter(f"invalid filter: 'type'='{value}'")
    if filters.get("dangling"):
        _boolean(filters["dangling"])


def listed(record: Network, filters: Mapping[str, list[str]], in_use: bool) -> bool:
    """Whether a list with these filters shows the network. Values of a key are alternatives, labels must all hold."""
    for key, values in filters.items():
        if not values:
            continue
        if key == "name":
            passed = any(value in record.name for value in values)
        elif key == "id":
            passed = any(record.id.startswith(value) for value in values)
        elif key == "driver":
            passed = record.driver in values
        elif key == "scope":
            passed = record.scope in values
        elif key == "type":
            passed = ("builtin" if record.predefined else "custom") in values
        elif key == "label":
            passed = all(_labelled(record, value) for value in values)
        else:
            passed = _boolean(values) == (not in_use and not record.predefined)
        if not passed:
            return False
    return True


def prunable(record: Network, filters: Mapping[str, list[str]], now_ns: int) -> bool:
    """Whether a prune with these filters may take an unused network."""
    for key in filters:
        if key not in _PRUNE:
            raise InvalidParameter(f"invalid filter '{key}'")
    until = filters.get("until", [])
    if len(until) > 1:
        raise InvalidParameter("more than one until filter specified")
    if until and record.created_ns >= _moment(until[0], now_ns):
        return False
    if not all(_labelled(record, value) for value in filters.get("label", ())):
        return False
    return not any(_labelled(record, value) for value in filters.get("label!", ()))


def _moment(text: str, now_ns: int) -> int:
    """A time stamp, seconds since the epoch, or an age such as 1h30m, as nanoseconds since the epoch."""
    try:
        return int(float(text) * 1e9)
    except ValueError:
        pass
    units = {"h": 3600, "m": 60, "s": 1}
    total, digits = 0.0, ""
    for char in text:
        if char.isdigit() or char == ".":
            digits += char
        elif char in units and digits:
            total += float(digits) * units[char]
            digits = ""
        else:
            break
    else:
        if not digits:
            return now_ns - int(total * 1e9)
    try:
        return parse_rfc3339(text)
    except ValueError:
        raise InvalidParameter(f"invalid filter: 'until'='{text}'") from None


def _labelled(record: Network, wanted: str) -> bool:
    key, separator, value = wanted.partition("=")
    return key in record.labels and (not separator or record.labels[key] == value)


def _boolean(values: list[str]) -> bool:
    if len(values) != 1 or values[0] not in ("1", "true", "0", "false"):
        raise InvalidParameter('invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")')
    return values[0] in ("1", "true")
