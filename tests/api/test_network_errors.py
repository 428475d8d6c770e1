"""Every error of networks in Docker's words, as a table over the API: against Solva, and a real Docker where one runs.
A row is a request and what its message must match; ``solva`` where ours says more than Docker does.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from solva.client.transport import Transport
from solva.errors import SolvaError
from support.engine import LiveEngine

Json = dict[str, Any]
PRIVATE = ("container cannot be connected to multiple networks with one of the networks in private \\(none\\) mode")
SHARING = ("container sharing network namespace with another container or host cannot be connected to any other "
           "network")
HOST = "cannot connect container to host network - container must be created in host network mode"
SETUP = "failed to set up container networking: "
ENDPOINT = "invalid endpoint settings:\n"
BRIDGE = "com.docker.network.bridge."


@dataclass(frozen=True)
class Row:
    """``kind``: net (create one), run (create and start a container), rm, connect, disconnect, get. In texts ``P-`` is
    the prefix of this run's names."""

    name: str
    kind: str
    target: str
    text: str
    body: Json = field(default_factory=dict)
    solva: str = ""


def net(name: str, text: str, *, solva: str = "", **body: Any) -> Row:
    return Row(name, "net", "P-new", text, body, solva)


def pool(**values: Any) -> Json:
    return {"Config": [values]}


def run(name: str, text: str, mode: str, *, host: Json | None = None, nets: Json | None = None, solva: str = "",
        **body: Any) -> Row:
    return Row(name, "run", "P-try", text, {"HostConfig": {"NetworkMode": mode, **(host or {})},
                                            "NetworkingConfig": {"EndpointsConfig": nets or {}}, **body}, solva)


def connect(name: str, text: str, network: str, container: str, endpoint: Json | None = None, solva: str = "") -> Row:
    return Row(name, "connect", network, text, {"Container": container, "EndpointConfig": endpoint or {}}, solva)


def address(ipv4: str) -> Json:
    return {"IPAMConfig": {"IPv4Address": ipv4}}


def ports(number: str, address_: str = "", proto: str = "tcp") -> Json:
    return {"PortBindings": {f"80/{proto}": [{"HostIp": address_, "HostPort": number}]}}


EXPOSED = {"ExposedPorts": {"80/tcp": {}}}
INVALID = "invalid network config:\n"
EXTERNAL = SETUP + r"driver failed programming external connectivity on endpoint P-try \([0-9a-f]{64}\): "
GIVEN = "user specified IP address is supported only when connecting to networks with user configured subnets"
OUTSIDE = r"no configured subnet or ip-range contain the IP address 10\.9\.9\.9"

ROWS = [
    # networks
    net("second host", 'only one instance of "host" network is allowed', Driver="host"),
    net("second none", 'only one instance of "null" network is allowed', Driver="null"),
    net("driver", 'plugin "nosuchdriver" not found', Driver="nosuchdriver"),
    net("ipam driver", 'plugin "nosuchipam" not found', IPAM={"Driver": "nosuchipam"}),
    Row("predefined", "net", "host", "operation is not permitted on predefined host network "),
    Row("duplicate", "net", "P-a", "network with name P-a already exists"),
    Row("no name", "net", "", "invalid name: name is empty"),
    Row("rm bridge", "rm", "bridge", "bridge is a pre-defined network and cannot be removed"),
    Row("rm host", "rm", "host", "host is a pre-defined network and cannot be removed"),
    Row("rm none", "rm", "none", "none is a pre-defined network and cannot be removed"),
    Row("rm missing", "rm", "nosuch", "network nosuch not found"),
    Row("rm in use", "rm", "P-a", r'error while removing network: network P-a has active endpoints \(name:"P-c1" '
                                  r'id:"[0-9a-f]{12}"\)'),
    Row("rm config in use", "rm", "P-conf", 'error while removing network: configuration network "P-conf" is in use'),
    Row("inspect missing", "get", "/networks/nosuch", "network nosuch not found"),
    Row("filter", "get", '/networks?filters={"foo":["x"]}', "invalid filter 'foo'"),
    net("overlap", "invalid pool request: Pool overlaps with other one on this address space",
        IPAM=pool(Subnet="10.92.1.0/25")),
    net("two subnets", "bridge driver doesn't support multiple subnets",
        IPAM={"Config": [{"Subnet": "10.93.1.0/24"}, {"Subnet": "10.93.2.0/24"}]}),
    net("subnet", INVALID + r"invalid subnet 10\.93\.1\.0: invalid CIDR block notation",
        IPAM=pool(Subnet="10.93.1.0")),
    net("subnet bits", INVALID + r"invalid subnet 10\.93\.1\.7/24: it should be 10\.93\.1\.0/24",
        IPAM=pool(Subnet="10.93.1.7/24")),
    net("two mistakes", INVALID + r"\* invalid subnet 10\.93\.1\.0: invalid CIDR block notation\n"
                                  r"\* invalid subnet 10\.93\.1\.7/24: it should be 10\.93\.1\.0/24",
        IPAM={"Config": [{"Subnet": "10.93.1.0"}, {"Subnet": "10.93.1.7/24"}]}),
    net("gateway outside", INVALID + r"invalid gateway 10\.94\.1\.1: parent subnet 10\.93\.1\.0/24 doesn't contain "
                                     "this address", IPAM=pool(Subnet="10.93.1.0/24", Gateway="10.94.1.1")),
    net("gateway", INVALID + "invalid gateway foo: invalid address", IPAM=pool(Subnet="10.93.1.0/24", Gateway="foo")),
    net("range", INVALID + r"invalid ip-range 10\.94\.1\.0/25: parent subnet 10\.93\.1\.0/24 doesn't contain ip-range",
        IPAM=pool(Subnet="10.93.1.0/24", IPRange="10.94.1.0/25")),
    net("aux outside", INVALID + r"invalid auxiliary address x: parent subnet 10\.93\.1\.0/24 doesn't contain this "
                                 "address", IPAM=pool(Subnet="10.93.1.0/24", AuxiliaryAddresses={"x": "10.94.1.9"})),
    net("aux taken", r"failed to allocate secondary ip address \(x:10\.93\.1\.1\): Address already in use",
        IPAM=pool(Subnet="10.93.1.0/24", Gateway="10.93.1.1", AuxiliaryAddresses={"x": "10.93.1.1"})),
    net("no ip", "IPv4 or IPv6 must be enabled", EnableIPv4=False),
    net("isolated", "gateway mode 'isolated' can only be used for an internal network",
        Options={BRIDGE + "gateway_mode_ipv4": "isolated"}),
    net("mode", r"failed to parse com\.docker\.network\.bridge\.gateway_mode_ipv4 value: foo \(unknown gateway mode "
                r"foo\)", Options={BRIDGE + "gateway_mode_ipv4": "foo"}),
    net("icc", r"failed to parse com\.docker\.network\.bridge\.enable_icc value: foo \(strconv\.ParseBool: parsing "
               r'"foo": invalid syntax\)', Options={BRIDGE + "enable_icc": "foo"}),
    net("mtu", r'failed to parse com\.docker\.network\.driver\.mtu value: foo \(strconv\.Atoi: parsing "foo": invalid '
               r"syntax\)", Options={"com.docker.network.driver.mtu": "foo"}),
    net("mtu negative", "invalid MTU number: -5", Options={"com.docker.network.driver.mtu": "-5"}),
    net("binding", r"failed to parse com\.docker\.network\.bridge\.host_binding_ipv4 value: foo \(nil ip\)",
        Options={BRIDGE + "host_binding_ipv4": "foo"}),
    net("source", r"failed to parse com\.docker\.network\.host_ipv4 value: foo \(nil ip\)",
        Options={"com.docker.network.host_ipv4": "foo"}),
    net("long name", "numerical result out of range", Options={BRIDGE + "name": "abcdefghijklmnopqrst"},
        solva=r"failed to parse com\.docker\.network\.bridge\.name value: abcdefghijklmnopqrst \(an interface name has "
              "at most 15 letters, digits, dots, dashes and underscores.*"),
    net("same bridge", r"cannot create network [0-9a-f]{64} \(PBR\): conflicts with network [0-9a-f]{64} "
                       r"\(PBR\): networks have same bridge name", Options={BRIDGE + "name": "PBR"}),
    net("swarm scope", "cannot create a swarm scoped network when swarm is not active", Scope="swarm"),
    net("ingress", "Ingress network can only be global scope network", Ingress=True),
    net("null pool", "null ipam driver does not handle specific address pool requests",
        IPAM={"Driver": "null", "Config": [{"Subnet": "10.93.1.0/24"}]}),
    # configuration networks
    net("config missing", 'configuration network "nosuch" does not exist', ConfigFrom={"Network": "nosuch"}),
    net("config ordinary", 'configuration network "P-b" does not exist.*', ConfigFrom={"Network": "P-b"}),
    net("config options", "network driver options are not supported if the network depends on a configuration network",
        ConfigFrom={"Network": "P-conf"}, Options={"a": "b"}),
    net("config pools", "user specified configurations are not supported if the network depends on a configuration "
                        "network", ConfigFrom={"Network": "P-conf"}, IPAM=pool(Subnet="10.96.0.0/24")),
    net("config ipv6", "user specified configurations are not supported if the network depends on a configuration "
                       "network", ConfigFrom={"Network": "P-conf"}, EnableIPv6=True),
    net("config of config", "a configuration network cannot depend on another configuration network", ConfigOnly=True,
        ConfigFrom={"Network": "P-conf"}),
    run("config joined", SETUP + "cannot create endpoint on configuration-only network", "P-conf"),
    # macvlan and ipvlan
    net("macvlan mode", "requested macvlan mode 'foo' is not valid, 'bridge' mode is the macvlan driver default",
        Driver="macvlan", Options={"parent": "P1", "macvlan_mode": "foo"}),
    net("macvlan lo", "loopback interface is not a valid macvlan parent link", Driver="macvlan",
        Options={"parent": "lo"}),
    net("macvlan parent", "invalid subinterface vlan name nosuch0, example formatting is eth0.10", Driver="macvlan",
        Options={"parent": "nosuch0"}),
    net("vlan parent", "-o parent interface was not found on the host: nosuch0", Driver="macvlan",
        Options={"parent": "nosuch0.50"}),
    net("ipvlan mode", "requested ipvlan mode 'foo' is not valid, 'l2' mode is the ipvlan driver default",
        Driver="ipvlan", Options={"ipvlan_mode": "foo"}),
    net("ipvlan flag", "requested ipvlan flag 'foo' is not valid, 'bridge' is the ipvlan driver default",
        Driver="ipvlan", Options={"ipvlan_flag": "foo"}),
    # live connections
    connect("twice", "endpoint with name P-c1 already exists in network P-a", "P-a", "P-c1"),
    connect("to host", HOST, "host", "P-c1"),
    connect("to none", PRIVATE, "none", "P-c1"),
    connect("to nothing", "network nosuch not found", "nosuch", "P-c1"),
    connect("of nothing", "No such container: nosuch", "P-a", "nosuch"),
    connect("no subnet of the user's", ENDPOINT + GIVEN, "P-b", "P-c1", address("10.9.9.9")),
    connect("outside", ENDPOINT + OUTSIDE, "P-a", "P-c2", address("10.9.9.9")),
    connect("no address", ENDPOINT + r"\* invalid IPv4 address: foo\n\* no configured subnet or ip-range contain the "
                                     "IP address foo", "P-a", "P-c2", address("foo")),
    connect("taken", "Address already in use", "P-a", "P-c2", address("10.92.1.128")),
    connect("mac", "invalid MAC address foo", "P-a", "P-c2", {"MacAddress": "foo"}),
    connect("sysctl", ENDPOINT + "unrecognised network interface sysctl 'foo=1'; represent 'net.X.Y.ethN.Z=V' as "
                                 "'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'", "P-a", "P-c2",
            {"DriverOpts": {"com.docker.network.endpoint.sysctls": "foo=1"}}),
    connect("unknown sysctl", "failed to add interface [a-z0-9]+ to sandbox: /proc/sys/net/ipv4/conf/eth1/nosuch is "
                              "not a sysctl file", "P-a", "P-c2",
            {"DriverOpts": {"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.nosuch=1"}}),
    connect("of host mode", SHARING, "P-a", "P-host"),
    connect("of none mode", PRIVATE, "P-a", "P-none"),
    connect("of a joiner", SHARING, "P-b", "P-join"),
    Row("disconnect", "disconnect", "P-b", "container [0-9a-f]{64} is not connected to network P-b",
        {"Container": "P-c1"}),
    Row("disconnect host", "disconnect", "host", "cannot disconnect container from host network - container was "
                                                 "created in host network mode", {"Container": "P-host"}),
    Row("disconnect missing", "disconnect", "nosuch", "network nosuch not found", {"Container": "P-c1"}),
    # containers
    run("static on the default", "invalid config for network bridge: " + ENDPOINT +
        r"\* user specified IP address is supported on user defined networks only\n\* " + GIVEN, "bridge",
        nets={"bridge": address("172.17.0.77")}),
    run("alias on the default", "invalid config for network bridge: " + ENDPOINT +
        "network-scoped alias is supported only for containers in user defined networks", "bridge",
        nets={"bridge": {"Aliases": ["foo"]}}),
    run("static outside", "invalid config for network P-a: " + ENDPOINT + OUTSIDE, "P-a",
        nets={"P-a": address("10.9.9.9")}),
    run("network gone", SETUP + "network P-nosuch not found", "P-nosuch"),
    run("join created", "cannot join network namespace of a non running container: container P-created is created",
        "container:P-created"),
    run("join missing", "joining network namespace of container: No such container: nosuch", "container:nosuch"),
    run("join and publish", "conflicting options: port publishing and the container type network mode",
        "container:P-c1", host=ports("39811"), **EXPOSED),
    run("join and expose", "conflicting options: port exposing and the container type network mode",
        "container:P-c1", **EXPOSED),
    run("join and hostname", "conflicting options: hostname and the network mode", "container:P-c1", Hostname="foo"),
    run("join and dns", "conflicting options: dns and the network mode", "container:P-c1", host={"Dns": ["192.0.2.1"]}),
    run("join and hosts", "conflicting options: custom host-to-IP mapping and the network mode", "container:P-c1",
        host={"ExtraHosts": ["a:192.0.2.1"]}),
    run("join and links", "conflicting options: container type network can't be used with links. This would result in "
                          "undefined behavior", "container:P-c1", host={"Links": ["P-c2:x"]}),
    run("host and links", "conflicting options: host type networking can't be used with links. This would result in "
                          "undefined behavior", "host", host={"Links": ["P-c2:x"]}),
    run("host and more", SETUP + SHARING, "host", nets={"host": {}, "P-a": {}}),
    run("none and more", SETUP + PRIVATE, "none", nets={"none": {}, "P-a": {}}),
    run("more and host", f"{SETUP}({HOST}|{SHARING})", "P-a", nets={"P-a": {}, "host": {}}),
    run("link missing", "could not get container for nosuch: No such container: nosuch", "bridge",
        host={"Links": ["nosuch:x"]}),
    run("link stopped", "Cannot link to a non running container: /P-created AS /P-try/x", "bridge",
        host={"Links": ["P-created:x"]}, solva=".*Cannot link to a non running container: /P-created AS /P-try/x"),
    run("link elsewhere", "container [0-9a-f]{64} not attached to default bridge network", "bridge",
        host={"Links": ["P-c1:x"]}, solva=".*container [0-9a-f]{64} not attached to default bridge network"),
    run("port not here", EXTERNAL + r"failed to bind host port for 10\.77\.77\.77:39095:10\.92\.1\.\d+:80/tcp: cannot "
                                    "assign requested address", "P-a", host=ports("39095", "10.77.77.77"), **EXPOSED),
    run("port taken", EXTERNAL + "Bind for (0.0.0.0|::):39814 failed: port is already allocated", "P-a",
        host=ports("39814"), solva=EXTERNAL + "Bind for 0.0.0.0:39814 failed: port is already allocated by container "
                                              r"P-c1 \([0-9a-f]{12}\)", **EXPOSED),
    run("port", 'invalid port specification: "99999"', "P-a", host=ports("99999"), **EXPOSED),
    run("extra host", 'bad format for add-host: "foo"', "P-a", host={"ExtraHosts": ["foo"]}),
]


class Engine:
    """An engine with the objects that the rows speak of."""

    def __init__(self, endpoint: str, *, ours: bool) -> None:
        self.api = Transport(endpoint)
        self.ours = ours
        self.prefix = f"ne{uuid.uuid4().hex[:6]}"
        self.networks: list[str] = []
        self.containers: list[str] = []

    def text(self, template: str) -> str:
        return template.replace("PBR", self.prefix + "br").replace("P-", self.prefix + "-").replace("P1", "lo")

    def fill(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.text(key): self.fill(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.fill(inner) for inner in value]
        return self.text(value) if isinstance(value, str) else value

    def network(self, name: str, **body: Any) -> None:
        made = self.api.json("POST", "/networks/create", body=self.fill({"Name": name, **body}))
        self.networks.append(made["Id"])

    def container(self, name: str, mode: str, *, start: bool = True, **body: Any) -> str:
        whole = {"Image": "busybox", "Cmd": ["sleep", "600"], "HostConfig": {"NetworkMode": mode}} | body
        made: str = self.api.json("POST", "/containers/create", body=self.fill(whole),
                                  query={"name": self.text(name)})["Id"]
        self.containers.append(made)
        if start:
            self.api.json("POST", f"/containers/{made}/start")
        return made

    def attempt(self, row: Row) -> None:
        target, body = self.text(row.target), self.fill(row.body)
        if row.kind == "net":
            self.networks.append(self.api.json("POST", "/networks/create", body={"Name": target, **body})["Id"])
        elif row.kind == "rm":
            self.api.json("DELETE", f"/networks/{target}")
        elif row.kind == "get":
            path, _, query = target.partition("?filters=")
            self.api.json("GET", path, query={"filters": query} if query else None)
        elif row.kind == "run":
            self.container(row.target, "", **row.body)
        else:
            self.api.json("POST", f"/networks/{target}/{row.kind}", body=body)

    def populate(self) -> None:
        self.network("P-a", IPAM=pool(Subnet="10.92.1.0/24", IPRange="10.92.1.128/25"))
        self.network("P-b")
        self.network("P-br", Options={BRIDGE + "name": "PBR"})
        self.network("P-conf", ConfigOnly=True, IPAM=pool(Subnet="10.95.1.0/24"))
        self.network("P-from", ConfigFrom={"Network": "P-conf"})
        self.container("P-c1", "P-a", HostConfig={"NetworkMode": "P-a", **ports("39814")}, **EXPOSED)
        self.container("P-c2", "bridge")
        self.container("P-host", "host")
        self.container("P-none", "none")
        self.container("P-join", "container:P-c1")
        self.container("P-created", "bridge", start=False)

    def clean(self) -> None:
        for kind, names in (("containers", self.containers), ("networks", self.networks)):
            for name in reversed(names):
                try:
                    self.api.json("DELETE", f"/{kind}/{name}", query={"force": True} if kind == "containers" else None)
                except SolvaError as error:
                    print(error)


@pytest.fixture(scope="module", params=["solva", pytest.param("peer", marks=pytest.mark.peer)])
def populated(request: pytest.FixtureRequest) -> Iterator[Engine]:
    ours = request.param == "solva"
    endpoint = f"unix://{request.getfixturevalue('engine').socket}" if ours else request.getfixturevalue("peer_socket")
    found = Engine(endpoint, ours=ours)
    try:
        found.populate()
        yield found
    finally:
        found.clean()


@pytest.mark.root
def test_what_has_no_effect_is_said(engine: LiveEngine) -> None:
    prefix = f"ne{uuid.uuid4().hex[:6]}"
    made = engine.api.json("POST", "/networks/create", body={"Name": prefix, "Internal": True, "Options": {"a.b": "c"}})
    assert made["Warning"] == "driver bridge has no option a.b: it has no effect"
    for mode, text in ((prefix, f"Published ports have no effect on these networks: {prefix} (internal)"),
                       ("none", "Published ports have no effect: the container has no network"), ("bridge", "")):
        body = {"Image": "busybox", "HostConfig": {"NetworkMode": mode, **ports("39815")}, **EXPOSED}
        box = engine.api.json("POST", "/containers/create", body=body)
        engine.api.json("DELETE", f"/containers/{box['Id']}")
        assert box["Warnings"] == ([text] if text else [])
    engine.api.json("DELETE", f"/networks/{prefix}")


@pytest.mark.root
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_error(populated: Engine, row: Row) -> None:
    before = len(populated.networks), len(populated.containers)
    try:
        with pytest.raises(SolvaError) as failure:
            populated.attempt(row)
    finally:
        for _ in range(len(populated.containers) - before[1]):
            populated.api.json("DELETE", f"/containers/{populated.containers.pop()}", query={"force": True})
        for _ in range(len(populated.networks) - before[0]):
            populated.api.json("DELETE", f"/networks/{populated.networks.pop()}")
    wanted = populated.text(row.solva if populated.ours and row.solva else row.text)
    assert re.fullmatch(wanted, str(failure.value), re.DOTALL), f"{failure.value!r}\nis not\n{wanted!r}"
