"""Where things lie and what an administrator has set: `/etc/solva/engine.toml`, all of it optional.

```toml
data_root = "/var/lib/solva"
stop_deaf = "kill"              # or "wait": give a PID 1 that cannot react to the stop signal Docker's time-out
[registry]
insecure = ["registry.lan:5000"]
[registry.mirrors]
"docker.io" = ["http://127.0.0.1:5050"]
[network]
bip = "172.17.0.1/16"
default_address_pools = [{ base = "172.20.0.0/14", size = 24 }]
dns = ["192.0.2.53"]
dns_query_log = false           # every question of a container, in RUN/dns/dns.log; live: solva network dns --log on
[plugins]
directories = ["/run/docker/plugins", "/etc/docker/plugins", "/usr/lib/docker/plugins"]
timeout = 30                    # seconds that a network or address plugin has for an answer
volume_timeout = 120            # and a volume plugin
[cluster]                       # overlay networks: docs/networks/overlay.md
url = "etcd://192.0.2.10:2379"
advertise = "192.0.2.21"        # or an interface; without it the address that leads to etcd
lease = 15                      # seconds after which a dead host's endpoints are gone
port = 4789                     # of the VXLAN packets, the same on all hosts
wireguard = "kernel"            # who encrypts: or "wireguard-go", a program that does it outside the kernel, slower
wireguard_port = 51821          # of the encrypted packets
```
"""

from __future__ import annotations

import difflib
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from solva.engine.cluster import ClusterSettings
from solva.errors import InvalidParameter
from solva.kernel import vxlan, wireguard
from solva.plugins import discovery
from solva.plugins.finder import Settings as PluginSettings

DEFAULT_FILE = Path("/etc/solva/engine.toml")


@dataclass(frozen=True, slots=True)
class AddressPool:
    """Networks without a subnet of their own take ``/size`` pieces of ``base``."""

    base: str
    size: int


@dataclass(frozen=True, slots=True)
class Config:
    """The engine's settings after file and command line. Paths are absolute."""

    data_root: Path = Path("/var/lib/solva")
    run_root: Path = Path("/run/solva")
    socket: Path = Path("/run/solva/solva.sock")
    mirrors: dict[str, tuple[str, ...]] = field(default_factory=dict)
    insecure_registries: tuple[str, ...] = ()
    stop_deaf: str = "kill"
    bip: str = ""
    address_pools: tuple[AddressPool, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    dns_query_log: bool = False
    plugins: PluginSettings = field(default_factory=PluginSettings)
    cluster: ClusterSettings | None = None
    debug: bool = False


_TOP = {"data_root", "run_root", "socket", "stop_deaf", "debug", "registry", "network", "plugins", "cluster"}
_REGISTRY = {"mirrors", "insecure"}
_NETWORK = {"bip", "default_address_pools", "dns", "dns_search", "dns_options", "dns_query_log"}
_CLUSTER = {"url", "advertise", "lease", "port", "wireguard", "wireguard_port"}
_PLUGINS = {"directories", "timeout", "volume_timeout"}


def load(path: Path | None, cluster: str | None = None, advertise: str | None = None,
         **overrides: Path | None) -> Config:
    """Settings of ``path`` (the default file may be missing), then ``overrides`` that are not None.

    ``cluster`` and ``advertise`` are those of the table [cluster].

    InvalidParameter names the file and the key, with the nearest known one.
    """
    raw: dict[str, Any] = {}
    file = path or DEFAULT_FILE
    try:
        raw = tomllib.loads(file.read_text())
    except FileNotFoundError:
        if path is not None:
            raise InvalidParameter(f"configuration file {path} does not exist") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidParameter(f"{file}: {error}") from error
    _check(file, "", raw, _TOP)
    registry = _table(file, raw, "registry")
    network = _table(file, raw, "network")
    _check(file, "registry.", registry, _REGISTRY)
    _check(file, "network.", network, _NETWORK)
    plugins = _table(file, raw, "plugins")
    _check(file, "plugins.", plugins, _PLUGINS)
    values: dict[str, Any] = {}
    for key in ("data_root", "run_root", "socket"):
        if key in raw:
            values[key] = Path(_text(file, key, raw[key]))
    values |= {key: value for key, value in overrides.items() if value is not None}
    for key in ("data_root", "run_root", "socket"):
        if key in values:
            values[key] = Path(os.path.abspath(values[key]))
    if "run_root" in values and "socket" not in values:
        values["socket"] = values["run_root"] / "solva.sock"
    members = _table(file, raw, "cluster")
    _check(file, "cluster.", members, _CLUSTER)
    deaf = raw.get("stop_deaf", "kill")
    if deaf not in ("kill", "wait"):
        raise InvalidParameter(f'{file}: stop_deaf is {deaf!r}; it must be "kill" or "wait"')
    mirrors = _table(file, registry, "mirrors")
    return Config(
        **values,
        stop_deaf=deaf,
        debug=bool(raw.get("debug", False)),
        mirrors={host: tuple(_texts(file, f"registry.mirrors.{host}", urls)) for host, urls in mirrors.items()},
        insecure_registries=tuple(_texts(file, "registry.insecure", registry.get("insecure", []))),
        cluster=_cluster(file, members, cluster, advertise),
        bip=_text(file, "network.bip", network.get("bip", "")),
        address_pools=tuple(_pool(file, row) for row in network.get("default_address_pools", [])),
        dns=tuple(_texts(file, "network.dns", network.get("dns", []))),
        dns_search=tuple(_texts(file, "network.dns_search", network.get("dns_search", []))),
        dns_options=tuple(_texts(file, "network.dns_options", network.get("dns_options", []))),
        dns_query_log=_flag(file, "network.dns_query_log", network.get("dns_query_log", False)),
        plugins=PluginSettings(
            tuple(_texts(file, "plugins.directories", plugins.get("directories", list(discovery.DIRECTORIES)))),
            _seconds(file, "plugins.timeout", plugins.get("timeout", 30)),
            _seconds(file, "plugins.volume_timeout", plugins.get("volume_timeout", 120))),
    )


def _cluster(file: Path, table: dict[str, Any], url: str | None, advertise: str | None) -> ClusterSettings | None:
    """None without a url: the engine is in no cluster."""
    url = url if url is not None else _text(file, "cluster.url", table.get("url", ""))
    advertise = advertise if advertise is not None else _text(file, "cluster.advertise", table.get("advertise", ""))
    if not url:
        if advertise or table:
            raise InvalidParameter("the engine is told how it takes part in a cluster, but not in which: --cluster "
                                   f"etcd://HOST:PORT (url in the table [cluster] of {file}) is missing")
        return None
    numbers = {key: table[key] for key in ("lease", "port", "wireguard_port") if key in table}
    for key, value in numbers.items():
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 65536:
            raise InvalidParameter(f"{file}: cluster.{key} is {value!r}; it must be a number from 1 to 65535")
    encrypting = _text(file, "cluster.wireguard", table.get("wireguard", wireguard.KERNEL))
    if numbers.get("wireguard_port") == numbers.get("port", vxlan.PORT):
        raise InvalidParameter(f"{file}: cluster.wireguard_port is that of the VXLAN packets")
    return ClusterSettings(url, advertise, wireguard=encrypting, **numbers)


def _check(file: Path, prefix: str, table: dict[str, Any], known: set[str]) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {prefix}{near[0]}?" if near else f"; known are {', '.join(sorted(known))}"
            raise InvalidParameter(f"{file}: unknown key {prefix}{key}{hint}")


def _table(file: Path, parent: dict[str, Any], key: str) -> dict[str, Any]:
    value = parent.get(key, {})
    if not isinstance(value, dict):
        raise InvalidParameter(f"{file}: {key} must be a table")
    return value


def _text(file: Path, key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidParameter(f"{file}: {key} must be a string")
    return value


def _seconds(file: Path, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise InvalidParameter(f"{file}: {key} must be a number of seconds above 0")
    return float(value)


def _flag(file: Path, key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidParameter(f"{file}: {key} must be true or false")
    return value


def _texts(file: Path, key: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidParameter(f"{file}: {key} must be a list of strings")
    return value


def _pool(file: Path, row: Any) -> AddressPool:
    try:
        return AddressPool(str(row["base"]), int(row["size"]))
    except (KeyError, TypeError, ValueError):
        raise InvalidParameter(
            f'{file}: network.default_address_pools needs rows of {{ base = "10.0.0.0/8", size = 24 }}'
        ) from None
