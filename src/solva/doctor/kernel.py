"""The kernel's part: drivers, rules, bridges, overlayfs, namespaces. Each tried, the configuration is a hint only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from solva.doctor.model import Check, State
from solva.kernel import probe

_KINDS = {      # kind -> (configuration, module, what for, whether nothing works without)
    "veth": ("CONFIG_VETH", "veth", "every container's link", True),
    "bridge": ("CONFIG_BRIDGE", "bridge", "networks of driver bridge, the default", True),
    "macvlan": ("CONFIG_MACVLAN", "macvlan", "networks of driver macvlan", False),
    "ipvlan": ("CONFIG_IPVLAN", "ipvlan", "networks of driver ipvlan", False),
    "vlan": ("CONFIG_VLAN_8021Q", "8021q", "macvlan and ipvlan on 802.1q sub-interfaces (parent=eth0.50)", False),
    "vxlan": ("CONFIG_VXLAN", "vxlan", "networks of driver overlay", False),
    "wireguard": ("CONFIG_WIREGUARD", "wireguard", "encrypted overlay networks", False),
    "dummy": ("CONFIG_DUMMY", "dummy", "macvlan and ipvlan networks without a parent", False),
}
_ESSENTIAL_RULES = ("address translation", "verdict maps", "address lookup (fib)", "concatenated maps",
                    "connection tracking")
_RULES_FOR = {"packet tracing": "solva network why --packet", "random choice": "faults on purpose (packet loss)",
              "rate limits": "faults on purpose (bandwidth)", "rules on bridges": "solva network why --packet"}


def checks(data_root: Path) -> Iterable[Check]:
    """Needs root: namespaces are made to try things in."""
    config = probe.config()
    try:
        kinds = probe.link_kinds()
    except OSError as error:
        yield Check("kernel", "network namespaces", "broken", str(error), "every container",
                    "run as root, on a kernel with CONFIG_NET_NS")
        return
    yield Check("kernel", "network namespaces", "ok", "one was made and entered", "every container")
    for kind, refusal in kinds.items():
        yield _link(kind, refusal, config)
    yield from _rules()
    yield _bridge_filter(config)
    yield _overlay(data_root)
    refusal = probe.socket_kind(132)
    yield Check("kernel", "SCTP", "limited" if refusal else "ok", refusal or "sockets can be had",
                "publishing SCTP ports", _hint("CONFIG_IP_SCTP", "sctp", config) if refusal else "")


def _link(kind: str, refusal: str, config: Mapping[str, str]) -> Check:
    option, module, need, essential = _KINDS[kind]
    if not refusal:
        return Check("drivers", kind, "ok", "one was made", need)
    if kind == "dummy":
        return Check("drivers", kind, "ok", f"{refusal}: an end of a veth pair stands in for it", need)
    state: State = "broken" if essential else "limited"
    return Check("drivers", kind, state, refusal, need, _hint(option, module, config))


def _hint(option: str, module: str, config: Mapping[str, str]) -> str:
    value = config.get(option)
    if value == "m" or any(Path("/lib/modules").glob(f"*/kernel/**/{module}.ko*")):
        return f"modprobe {module}"
    if not config:
        return f"modprobe {module}, or a kernel with {option}"
    return f"a kernel with {option} (this one is built without it)"


def _rules() -> Iterable[Check]:
    try:
        found = probe.rules()
    except OSError as error:
        yield Check("firewall", "nftables", "broken", str(error), "every network",
                    "apt-get install libnftables1, on a kernel with CONFIG_NF_TABLES")
        return
    missing = {name: why for name, why in found.items() if why and name in _ESSENTIAL_RULES}
    if missing:
        text = "; ".join(f"{name}: {why}" for name, why in missing.items())
        yield Check("firewall", "nftables", "broken", text, "every network",
                    "a kernel with CONFIG_NF_TABLES and CONFIG_NFT_NAT, _MASQ, _FIB_INET, _CT")
    else:
        yield Check("firewall", "nftables", "ok", "translation, maps, fib and connection tracking load",
                    "every network")
    for name, need in _RULES_FOR.items():
        why = found.get(name, "")
        yield Check("firewall", name, "limited" if why else "ok", why or "loads", need,
                    "a kernel with more of nftables" if why else "")


def _bridge_filter(config: Mapping[str, str]) -> Check:
    need = "-o com.docker.network.bridge.enable_icc=false (keeping containers of one network apart)"
    try:
        value = Path("/proc/sys/net/bridge/bridge-nf-call-iptables").read_text().strip()
    except OSError:
        return Check("firewall", "br_netfilter", "limited", "not loaded", need,
                     _hint("CONFIG_BRIDGE_NETFILTER", "br_netfilter", config))
    state = "on" if value == "1" else "off until a network needs it"
    return Check("firewall", "br_netfilter", "ok", f"there, {state}", need)


def _overlay(data_root: Path) -> Check:
    directory = data_root
    while not directory.is_dir():
        directory = directory.parent
    try:
        refusal = probe.overlay(directory)
    except OSError as error:
        refusal = str(error)
    if not refusal:
        return Check("storage", "overlayfs", "ok", f"mounted and written to on {directory}", "every container")
    return Check("storage", "overlayfs", "broken", f"on {directory}: {refusal}", "every container",
                 "put the data root on ext4, xfs or btrfs (--data-root, or data_root in /etc/solva/engine.toml)")
