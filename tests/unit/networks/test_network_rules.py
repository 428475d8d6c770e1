"""The firewall as text: the golden file is what a reader reviews; a difference leads from one table to another."""

from pathlib import Path

from solva.networks.firewall import table
from solva.networks.firewall.ruleset import BridgeRules, LinkRule, PortRule, build

GOLDEN = Path(__file__).with_name("golden_rules.nft")
DEFAULT = BridgeRules("solva0", "172.17.0.0/16")
DUAL = BridgeRules("br-0123456789ab", "172.18.0.0/16", "fd00:1::/64")
INTERNAL = BridgeRules("br-internal", "172.19.0.0/16", internal=True)
ROUTED = BridgeRules("br-routed", "10.9.0.0/24", mode4="routed", icc=False, trusted=("eth7",))
PORTS = (
    PortRule("tcp", "0.0.0.0", 8080, "172.18.0.2", 80),
    PortRule("tcp", "::", 8080, "fd00:1::2", 80),
    PortRule("udp", "127.0.0.1", 5353, "172.17.0.2", 53),
    PortRule("tcp", "0.0.0.0", 0, "10.9.0.2", 443),
)
LINKS = (LinkRule("10.9.0.3", "10.9.0.2", "tcp", 443),)


def test_the_whole_table_is_the_golden_file() -> None:
    assert str(build("solva", [DEFAULT, DUAL, INTERNAL, ROUTED], PORTS, ["eth0"], links=LINKS)) == GOLDEN.read_text()


def test_no_difference_is_no_transaction() -> None:
    one = build("solva", [DEFAULT], PORTS[2:3])
    assert table.difference(one, build("solva", [DEFAULT], PORTS[2:3])) == ""


def test_a_port_that_moves_is_deleted_before_it_is_added() -> None:
    old = build("solva", [DEFAULT], [PortRule("tcp", "0.0.0.0", 80, "172.17.0.2", 8080)])
    new = build("solva", [DEFAULT], [PortRule("tcp", "0.0.0.0", 80, "172.17.0.3", 8080)])
    assert table.difference(old, new).splitlines() == [
        "delete element inet solva any4 { tcp . 80 }",
        "add element inet solva any4 { tcp . 80 : 172.17.0.3 . 8080 }",
        "delete element inet solva open4 { 172.17.0.2 . tcp . 8080 }",
        "add element inet solva open4 { 172.17.0.3 . tcp . 8080 }",
    ]


def test_a_network_goes_with_its_chains() -> None:
    lines = table.difference(build("solva", [DEFAULT, INTERNAL], ()), build("solva", [DEFAULT], ())).splitlines()
    assert lines[-3:] == ["delete chain inet solva into_br-internal", "delete chain inet solva from_br-internal",
                          "delete chain inet solva leave4_br-internal"]
    assert lines.index('delete element inet solva into { "br-internal" }') < len(lines) - 6
