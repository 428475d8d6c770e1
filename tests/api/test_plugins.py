"""Plugins on a live engine: networks of the example plugin, by packets; plugins that lie, hang and die; addresses and
volumes by plugins; CNI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from solva.errors import NotFound, NotImplementedHere, SolvaError
from support.engine import LiveEngine, live_engine, missing, run
from support.fakeplugin import FakePlugin, capable, in_thread
from support.peer import client_command

pytestmark = pytest.mark.root
EXAMPLE = Path(__file__).parents[2] / "examples/network-plugin/plugin.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plugins")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[LiveEngine]:
    if reason := missing():
        pytest.skip(f"no engine can run here: {reason}")
    config = f'[plugins]\ndirectories = ["{folder}"]\ntimeout = 5\nvolume_timeout = 5\n'
    with live_engine(tmp_path_factory.mktemp("engine"), f"solva-pl-{os.getpid()}", config=config) as engine:
        yield engine


@contextmanager
def example(engine: LiveEngine, folder: Path, name: str = "lan") -> Iterator[subprocess.Popen[bytes]]:
    """The example plugin, in the engine's network namespace."""
    socket = folder / f"{name}.sock"
    with (folder / "calls").open("w") as calls:
        process = subprocess.Popen(["nsenter", f"--net={engine.netns}", "--", sys.executable, EXAMPLE, socket],
                                   stdout=calls)
    try:
        deadline = time.monotonic() + 30
        while not socket.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.wait()
        socket.unlink(missing_ok=True)


def network(engine: LiveEngine, name: str, driver: str, **more: Any) -> str:
    body = {"Name": name, "Driver": driver, **more}
    return str(engine.api.json("POST", "/networks/create", body=body)["Id"])


def links(engine: LiveEngine) -> set[str]:
    rows = json.loads(run("ip", "-n", engine.name, "-j", "link").stdout)
    return {row["ifname"] for row in rows}


def refused(engine: LiveEngine, *arguments: str) -> str:
    """The error of a command that fails; the container it may have created is removed."""
    done = engine.cli(*arguments, check=False)
    assert done.returncode != 0, done.stdout
    engine.cli("rm", "-f", "refused", check=False)
    return done.stderr


# -- a network plugin that works


def test_the_example(live: LiveEngine, folder: Path) -> None:
    """Names, packets, a published port over the gateway network, connect and disconnect; nothing is left."""
    with example(live, folder):
        before = links(live)
        network(live, "exnet", "lan", Options={"com.docker.network.driver.mtu": "1400"})
        live.cli("run", "-d", "--name", "exweb", "--network", "exnet", "-p", "18080:80", "busybox", "sh", "-c",
                 "echo hello > /var/www/index.html; exec httpd -f -p 80 -h /var/www")
        out = live.cli("run", "--rm", "--network", "exnet", "busybox", "sh", "-c",
                       "ip -o link show eth0; ip route; wget -qO- http://exweb/").stdout
        assert "hello" in out
        assert "dev eth1" in out.splitlines()[1]      # default: the plugin gave no gateway
        assert live.get("http://127.0.0.1:18080/") == b"hello\n"
        seen = live.api.json("GET", "/containers/exweb/json")["NetworkSettings"]
        assert seen["Networks"]["exnet"]["IPAddress"]
        assert seen["Networks"]["exnet"]["MacAddress"]
        assert seen["Ports"]["80/tcp"][0]["HostPort"] == "18080"
        assert "lan" in live.api.json("GET", "/info")["Plugins"]["Network"]
        live.cli("run", "-d", "--name", "exother", "busybox", "sleep", "600")
        live.cli("network", "connect", "exnet", "exother")
        assert "hello" in live.cli("exec", "exother", "wget", "-qO-", "http://exweb/").stdout
        live.cli("network", "disconnect", "exnet", "exother")
        assert "eth1" not in live.cli("exec", "exother", "ip", "-o", "link").stdout
        assert "remote: unknown option nonsense" in refused(
            live, "network", "create", "-d", "lan", "-o", "nonsense=1", "exbad")
        live.cli("rm", "-f", "exweb", "exother")
        live.cli("network", "rm", "exnet")
        assert links(live) - before <= {name for name in links(live) if name.startswith("solvagw")}


def test_engine_and_plugin_come_and_go(live: LiveEngine, folder: Path) -> None:
    """The engine restarted; the plugin dead while a container runs, away when an engine starts, and back."""
    with example(live, folder) as process:
        network(live, "gonet", "lan")
        live.cli("run", "-d", "--name", "goweb", "--network", "gonet", "busybox", "sh", "-c",
                 "echo hello > /var/www/index.html; exec httpd -f -p 80 -h /var/www")
        address = live.api.json("GET", "/containers/goweb/json")["NetworkSettings"]["Networks"]["gonet"]["IPAddress"]
        live.kill()
        live.start()
        get = ("run", "--rm", "--name", "refused", "--network", "gonet", "busybox", "wget", "-qO-", "http://goweb/")
        assert live.cli(*get).stdout == "hello\n"
        process.kill()
        process.wait()
        text = refused(live, *get)
        assert "failed to set up container networking: failed to create endpoint refused on network gonet: " in text
        assert 'plugin "lan" at unix://' in text
        assert "connection refused; is it running?" in text
        assert live.cli("exec", "goweb", "ip", "-o", "-4", "addr", "show", "eth0").stdout.count(address) == 1
        live.kill()
        (folder / "lan.sock").unlink()
        live.start()
        assert 'WARNING solva.networks.registry: network driver lan: plugin "lan" not found' in live.log.read_text()
        assert live.cli("run", "--rm", "busybox", "echo", "fine").stdout == "fine\n"      # others are unaffected
        row = live.api.json("GET", "/networks/gonet")
        assert row["Driver"] == "lan"
        assert [user["Name"] for user in row["Containers"].values()] == ["goweb"]
        assert 'plugin "lan" not found' in refused(live, *get)
    with example(live, folder):
        assert live.cli(*get).stdout == "hello\n"      # and its address was never given to another
        live.cli("rm", "-f", "goweb")
        live.cli("network", "rm", "gonet")
        assert not [name for name in links(live) if name.startswith(("lan-", "lp-", "lc-"))]


@pytest.mark.parametrize("fault", ["join: recorded", "join: link", "attach: names", "detach: ports"])
def test_an_engine_killed_in_the_middle(live: LiveEngine, folder: Path, fault: str) -> None:
    """The next one tells the plugin: no link of its network is left without a container."""
    with example(live, folder):
        network(live, "killnet", "lan")
        live.stop()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SOLVA_FAULT", fault)
            live.start()
        live.cli("run", "-d", "--name", "killed", "--network", "killnet", "busybox", "sleep", "600", check=False)
        if fault.startswith("detach"):
            live.cli("rm", "-f", "killed", check=False)
        assert live.process is not None
        assert live.process.wait(60)
        assert "/NetworkDriver.DeleteEndpoint" not in (folder / "calls").read_text()
        live.start()
        assert "/NetworkDriver.DeleteEndpoint" in (folder / "calls").read_text()
        live.cli("rm", "-f", "killed", check=False)
        assert not [name for name in links(live) if name.startswith(("lp-", "lc-"))]
        live.cli("network", "rm", "killnet")


def test_a_dead_plugin_does_not_keep_what_is_gone(live: LiveEngine, folder: Path) -> None:
    with example(live, folder):
        network(live, "deadnet", "lan")
        live.cli("run", "-d", "--name", "deadweb", "--network", "deadnet", "busybox", "sleep", "600")
    live.cli("rm", "-f", "deadweb")
    live.cli("network", "rm", "deadnet")      # Docker's users are stuck here
    assert "deadnet" not in live.cli("network", "ls").stdout
    for name in [name for name in links(live) if name.startswith(("lan-", "lp-", "lc-"))]:
        run("ip", "-n", live.name, "link", "del", name, check=False)      # the plugin's, which is not there to do it


# -- plugins that lie


def fake(**answers: Any) -> FakePlugin:
    """One that does nothing and says yes, except for ``answers``."""
    return FakePlugin(**{
        "Plugin.Activate": capable("NetworkDriver", "IpamDriver", "VolumeDriver"),
        **{f"NetworkDriver.{method}": {} for method in (
            "CreateNetwork", "DeleteNetwork", "CreateEndpoint", "DeleteEndpoint", "Join", "Leave", "EndpointOperInfo")},
        "NetworkDriver.GetCapabilities": {"Scope": "local"}, **answers})


def test_what_a_plugin_is_told(live: LiveEngine, folder: Path) -> None:
    """Docker's requests, as Docker 28 was seen to send them; a gateway from the plugin, so that it publishes."""
    plugin = fake(**{"NetworkDriver.GetCapabilities": {"Scope": "local", "GwAllocChecker": True},
                     "NetworkDriver.GwAllocCheck": {"SkipIPv4": True},
                     "NetworkDriver.CreateEndpoint": {"Interface": {"MacAddress": "02:00:00:00:00:99"}},
                     "NetworkDriver.Join": {"Gateway": "10.66.0.1"}})
    with in_thread(plugin, folder / "told.sock"):
        identifier = network(live, "toldnet", "told", Options={"a": "b"}, Internal=False, IPAM={"Config": [
            {"Subnet": "10.66.0.0/24", "AuxiliaryAddresses": {"x": "10.66.0.9"}}]})
        live.cli("run", "-d", "--name", "told", "--network", "toldnet", "--ip", "10.66.0.33",
                 "-p", "127.0.0.1:18085:80", "busybox", "sleep", "600")
        generic = {"com.docker.network.enable_ipv4": True, "com.docker.network.enable_ipv6": False,
                   "com.docker.network.generic": {"a": "b"}}
        assert plugin.request("NetworkDriver.GwAllocCheck") == {"Options": generic}
        assert plugin.request("NetworkDriver.CreateNetwork") == {
            "NetworkID": identifier, "Options": generic, "IPv6Data": [], "IPv4Data": [
                {"AddressSpace": "LocalDefault", "Pool": "10.66.0.0/24", "AuxAddresses": {"x": "10.66.0.9/24"}}]}
        created = plugin.request("NetworkDriver.CreateEndpoint")
        seen = live.api.json("GET", "/containers/told/json")
        endpoint = seen["NetworkSettings"]["Networks"]["toldnet"]["EndpointID"]
        ports = {"com.docker.network.endpoint.exposedports": [{"Proto": 6, "Port": 80}], "com.docker.network.portmap": [
            {"Proto": 6, "IP": "", "Port": 80, "HostIP": "127.0.0.1", "HostPort": 18085, "HostPortEnd": 18085}]}
        assert created == {"NetworkID": identifier, "EndpointID": endpoint, "Options": ports, "Interface": {
            "Address": "10.66.0.33/24", "AddressIPv6": "", "MacAddress": ""}}
        assert plugin.request("NetworkDriver.Join") == {
            "NetworkID": identifier, "EndpointID": endpoint, "Options": ports,
            "SandboxKey": seen["NetworkSettings"]["SandboxKey"]}
        assert plugin.request("NetworkDriver.ProgramExternalConnectivity")["Options"] == ports      # 404: not mandatory
        live.cli("rm", "-f", "told")
        live.cli("network", "rm", "toldnet")
        ends = [method.partition(".")[2] for method in plugin.methods()]
        assert ends[-4:] == ["RevokeExternalConnectivity", "Leave", "DeleteEndpoint", "DeleteNetwork"]


LIES = [
    ("CreateEndpoint", {"Err": "no room"}, "failed to create endpoint refused on network lienet: remote: no room"),
    ("CreateEndpoint", {"Interface": {"Address": "10.5.0.2/24"}}, "driver modified interface address: endpoint "
     "interface IP present (10.67.0.3/24). Cannot be modified with (10.5.0.2/24)."),
    ("CreateEndpoint", {"Interface": {"AddressIPv6": "10.5.0.2/24"}}, "which is no IPv6 address"),
    ("CreateEndpoint", {"Interface": {"AddressIPv6": "fd00::1"}}, "invalid CIDR address: fd00::1"),
    ("CreateEndpoint", {"Interface": {"MacAddress": "01:00:5e:00:00:01"}}, "is none that an interface can have"),
    ("CreateEndpoint", {"Interface": {"MacAddress": "x"}}, "invalid MAC address x"),
    ("CreateEndpoint", {"Interface": [1]}, "which is not what the protocol asks for: Expected `object"),
    ("CreateEndpoint", b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (5 << 20), "with more than 4 MB"),
    ("CreateEndpoint", b"", "hung up without an answer to NetworkDriver.CreateEndpoint"),
    ("CreateEndpoint", None, "did not answer NetworkDriver.CreateEndpoint within 5 seconds"),
    ("Join", {"Err": "no join"}, "failed to set up container networking: remote: no join"),
    ("Join", {"InterfaceName": {"SrcName": "nosuch"}}, "failed to add interface nosuch to sandbox: failed to get "
     'link by name "nosuch": Link not found'),
    ("Join", {"InterfaceName": {"SrcName": "lo"}}, "Invalid argument"),
    ("Join", {"InterfaceName": {"SrcName": "nosuch", "DstPrefix": "../x"}}, "failed to set interface name: '../x'"),
    ("Join", {"Gateway": "x"}, 'unable to parse Gateway "x"'),
    ("Join", {"GatewayIPv6": "10.0.0.1"}, "GatewayIPv6 10.0.0.1 is no IPv6 address"),
    ("Join", {"StaticRoutes": [{"Destination": "zz"}]}, "invalid CIDR address: zz"),
    ("Join", {"StaticRoutes": [{"Destination": "10.1.0.0/16"}]}, "0 needs one, 1 is a route on the link"),
]


def test_lies(live: LiveEngine, folder: Path) -> None:
    """Each has an error that says what is wrong, the plugin is told to take it back, and nothing stays."""
    plugin = fake()
    with in_thread(plugin, folder / "liar.sock"):
        network(live, "lienet", "liar", IPAM={"Config": [{"Subnet": "10.67.0.0/24"}]})
        before = links(live)
        create = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "lienet"}}
        for method, answer, text in LIES:
            kept = plugin.answers[f"NetworkDriver.{method}"]
            plugin.answers[f"NetworkDriver.{method}"] = answer
            plugin.calls.clear()
            live.api.json("POST", "/containers/create", body=create, query={"name": "refused"})
            with pytest.raises(SolvaError) as caught:
                live.api.json("POST", "/containers/refused/start")
            assert text in str(caught.value), method
            assert str(caught.value).startswith("failed to set up container networking: ")
            assert plugin.methods()[-1] == "NetworkDriver.DeleteEndpoint"
            assert ("NetworkDriver.Leave" in plugin.methods()) == (method == "Join")
            plugin.answers[f"NetworkDriver.{method}"] = kept
            live.api.json("DELETE", "/containers/refused")
            assert links(live) == before, text
        assert not live.api.json("GET", "/networks/lienet")["Containers"]
        assert not list((live.root / "run/netns").iterdir())
        live.api.json("DELETE", "/networks/lienet")


def test_lies_about_networks(live: LiveEngine, folder: Path) -> None:
    plugin = fake()
    with in_thread(plugin, folder / "liar.sock"):
        for answer, text in (({"Err": "no room"}, "remote: no room"), (None, "did not answer"),
                             (b"HTTP/1.1 500 X\r\n\r\nplain", "NetworkDriver.CreateNetwork: plain")):
            plugin.answers["NetworkDriver.CreateNetwork"] = answer
            with pytest.raises(SolvaError, match=text):
                network(live, "lienet", "liar")
            assert plugin.methods()[-1] == "NetworkDriver.DeleteNetwork"      # it may have been made all the same
        plugin.answers["NetworkDriver.CreateNetwork"] = {}
        plugin.answers["NetworkDriver.DeleteNetwork"] = {"Err": "never"}
        network(live, "lienet", "liar")
        live.api.json("DELETE", "/networks/lienet")
        assert "network lienet is removed, its plugin liar said: remote: never" in live.log.read_text()
    for name, answers, text in (
            ("scope", {"NetworkDriver.GetCapabilities": {"Scope": "moon"}}, "expecting 'local' or 'global', got moon"),
            ("other", {"Plugin.Activate": capable("authz")}, 'plugin "other" does not implement NetworkDriver'),
            ("mute", {"Plugin.Activate": None}, "did not answer Plugin.Activate within 5 seconds")):
        with in_thread(fake(**answers), folder / f"{name}.sock"), pytest.raises(SolvaError, match=text):
            network(live, "lienet", name)
    with pytest.raises(SolvaError, match='plugin "nosuch" not found'):
        network(live, "lienet", "nosuch")
    assert "lienet" not in [row["Name"] for row in live.api.json("GET", "/networks")]


def test_managed_plugins_there_are_none(live: LiveEngine) -> None:
    assert live.api.json("GET", "/plugins") == []
    for method, path in (("GET", "/plugins/nosuch/json"), ("DELETE", "/plugins/nosuch"),
                         ("POST", "/plugins/a/b/enable")):
        with pytest.raises(NotFound, match=r'plugin "(nosuch|a/b)" not found'):
            live.api.json(method, path)
    with pytest.raises(NotImplementedHere, match="does not manage plugins of Docker's plugin store"):
        live.api.json("POST", "/plugins/pull", query={"remote": "vieux/sshfs"})


# -- addresses


def test_addresses_by_a_plugin(live: LiveEngine, folder: Path) -> None:
    taken: list[str] = []

    def address(body: dict[str, Any]) -> dict[str, Any]:
        taken.append(body["Address"] or f"10.68.0.{100 + len(taken)}")
        return {"Address": f"{taken[-1]}/24"}

    plugin = fake(**{
        "IpamDriver.GetCapabilities": {"RequiresMACAddress": True},
        "IpamDriver.GetDefaultAddressSpaces": {"LocalDefaultAddressSpace": "here", "GlobalDefaultAddressSpace": "all"},
        "IpamDriver.RequestPool": {"PoolID": "p1", "Pool": "10.68.0.0/24"}, "IpamDriver.ReleasePool": {},
        "IpamDriver.RequestAddress": address, "IpamDriver.ReleaseAddress": {}})
    with in_thread(plugin, folder / "ipam.sock"):
        network(live, "ipnet", "bridge", IPAM={"Driver": "ipam", "Options": {"k": "v"}})
        assert plugin.request("IpamDriver.RequestPool") == {
            "AddressSpace": "here", "Pool": "", "SubPool": "", "Options": {"k": "v"}, "V6": False}
        assert plugin.request("IpamDriver.RequestAddress") == {
            "PoolID": "p1", "Address": "", "Options": {"RequestAddressType": "com.docker.network.gateway"}}
        ipam = live.api.json("GET", "/networks/ipnet")["IPAM"]
        assert ipam == {"Driver": "ipam", "Options": {"k": "v"},
                        "Config": [{"Subnet": "10.68.0.0/24", "Gateway": "10.68.0.100"}]}
        live.cli("run", "-d", "--name", "ipone", "--network", "ipnet", "busybox", "sleep", "600")
        asked = plugin.request("IpamDriver.RequestAddress")["Options"]["com.docker.network.endpoint.macaddress"]
        seen = live.api.json("GET", "/containers/ipone/json")["NetworkSettings"]["Networks"]["ipnet"]
        assert (seen["IPAddress"], seen["MacAddress"]) == ("10.68.0.101", asked)
        live.cli("exec", "ipone", "ping", "-c1", "-W5", "10.68.0.100")
        live.kill()
        live.start()
        assert plugin.methods()[-1] == "IpamDriver.GetCapabilities"      # nothing is asked for again
        for answer, text in (({"Error": "none left"}, "remote: none left"), ({}, "no address returned"),
                             ({"Address": "10.99.0.1/24"}, "the address 10.99.0.1 is not in its pool 10.68.0.0/24")):
            plugin.answers["IpamDriver.RequestAddress"] = answer
            assert text in refused(live, "run", "--name", "refused", "--network", "ipnet", "busybox", "true")
        live.cli("rm", "-f", "ipone")
        assert plugin.request("IpamDriver.ReleaseAddress") == {"PoolID": "p1", "Address": "10.68.0.101"}
        live.cli("network", "rm", "ipnet")
        assert plugin.methods()[-2:] == ["IpamDriver.ReleaseAddress", "IpamDriver.ReleasePool"]
        for answer, text in (({"Error": "no pool"}, "remote: no pool"),
                             ({"PoolID": "x", "Pool": "zz"}, "is no IPv4 subnet"),
                             ({"PoolID": "x", "Pool": "fd00::/64"}, "is no IPv4 subnet")):
            plugin.answers["IpamDriver.RequestPool"] = answer
            with pytest.raises(SolvaError, match=text):
                network(live, "ipnet", "bridge", IPAM={"Driver": "ipam"})
        plugin.answers["IpamDriver.RequestPool"] = {"PoolID": "p2", "Pool": "10.68.0.0/24"}
        plugin.answers["IpamDriver.RequestAddress"] = {}
        with pytest.raises(SolvaError, match=r"failed to allocate gateway \(\): no address returned"):
            network(live, "ipnet", "bridge", IPAM={"Driver": "ipam"})
        assert plugin.request("IpamDriver.ReleasePool") == {"PoolID": "p2"}


# -- volumes


class Volumes:
    """A volume plugin's state."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mounts: list[str] = []

    def plugin(self, **answers: Any) -> FakePlugin:
        return FakePlugin(**{
            "Plugin.Activate": capable("VolumeDriver"),
            "VolumeDriver.Capabilities": {"Capabilities": {"Scope": "Global"}},
            "VolumeDriver.Create": self.create, "VolumeDriver.Remove": self.remove, "VolumeDriver.Get": self.get,
            "VolumeDriver.List": lambda _: {"Volumes": [{"Name": path.name} for path in self.root.iterdir()]},
            "VolumeDriver.Mount": self.mount, "VolumeDriver.Unmount": self.unmount, **answers})

    def create(self, body: Any) -> dict[str, Any]:
        (self.root / body["Name"]).mkdir()
        return {"Err": ""}

    def remove(self, body: Any) -> dict[str, Any]:
        run("rm", "-rf", str(self.root / body["Name"]))
        return {}

    def get(self, body: Any) -> dict[str, Any]:
        path = self.root / body["Name"]
        if not path.exists():
            return {"Err": "no such volume here"}
        return {"Volume": {"Name": path.name, "Mountpoint": str(path), "Status": {"x": 1},
                           "CreatedAt": "2024-01-01T00:00:00Z"}}

    def mount(self, body: Any) -> dict[str, Any]:
        self.mounts.append(body["ID"])
        return {"Mountpoint": str(self.root / body["Name"])}

    def unmount(self, body: Any) -> dict[str, Any]:
        if body["ID"] in self.mounts:
            self.mounts.remove(body["ID"])
        return {}


def test_volumes_by_a_plugin(live: LiveEngine, folder: Path, tmp_path: Path) -> None:
    state = Volumes(tmp_path)
    plugin = state.plugin()
    with in_thread(plugin, folder / "vols.sock"):
        live.cli("volume", "create", "-d", "vols", "-o", "size=1", "--label", "l=1", "vone")
        assert plugin.request("VolumeDriver.Create") == {"Name": "vone", "Opts": {"size": "1"}}
        live.cli("volume", "create", "-d", "vols", "vone")      # is there already
        assert plugin.methods().count("VolumeDriver.Create") == 1
        assert live.api.json("GET", "/volumes/vone") == {
            "CreatedAt": "2024-01-01T00:00:00Z", "Driver": "vols", "Labels": {"l": "1"},
            "Mountpoint": f"{tmp_path}/vone", "Name": "vone", "Options": {"size": "1"}, "Scope": "global",
            "Status": {"x": 1}}
        (tmp_path / "foreign").mkdir()      # made by others
        rows = live.api.json("GET", "/volumes", query={"filters": '{"driver": ["vols"]}'})
        assert [row["Name"] for row in rows["Volumes"]] == ["foreign", "vone"]
        assert "already has volume 'vone': volume name must be unique" in refused(
            live, "volume", "create", "-d", "local", "vone")
        live.cli("run", "-d", "--name", "vuser", "-v", "vone:/data", "-v", "vone:/again", "busybox", "sh", "-c",
                 "echo text > /data/file; exec sleep 600")
        assert len(state.mounts) == 1
        mounted = live.api.json("GET", "/containers/vuser/json")["Mounts"][0]
        assert (mounted["Source"], mounted["Driver"], mounted["Name"]) == (f"{tmp_path}/vone", "vols", "vone")
        out = live.cli("run", "--rm", "-v", "foreign:/f", "--volumes-from", "vuser", "busybox", "sh", "-c",
                       "cat /data/file; touch /f/here").stdout
        assert out == "text\n"
        assert (tmp_path / "foreign/here").exists()
        assert len(state.mounts) == 1
        assert "volume is in use" in refused(live, "volume", "rm", "vone")
        assert live.api.json("GET", "/info")["Plugins"]["Volume"] == ["local", "vols"]
        live.kill()
        live.start()
        live.cli("rm", "-f", "vuser")
        assert state.mounts == []      # also after a restart
        live.cli("volume", "rm", "vone")
        live.cli("run", "--rm", "--volume-driver", "vols", "-v", "vtwo:/data", "busybox", "true")
        assert plugin.request("VolumeDriver.Create")["Name"] == "vtwo"


def test_volume_plugins_that_lie(live: LiveEngine, folder: Path, tmp_path: Path) -> None:
    state = Volumes(tmp_path)
    plugin = state.plugin()
    with in_thread(plugin, folder / "vols2.sock"):
        live.cli("volume", "create", "-d", "vols2", "vlie")
        use = ("run", "--rm", "--name", "refused", "-v", "vlie:/data", "busybox", "true")
        for answer, text in (({"Err": "bad disk"}, "error while mounting volume 'vlie': bad disk"),
                             ({"Mountpoint": "relative"}, "is at 'relative', where there is no directory"),
                             ({"Mountpoint": f"{tmp_path}/nosuch"}, "where there is no directory"),
                             ({"Mountpoint": 5}, "Expected `str`, got `int`"),
                             (None, "did not answer VolumeDriver.Mount within 5 seconds")):
            plugin.answers["VolumeDriver.Mount"] = answer
            assert text in refused(live, *use)
        plugin.answers["VolumeDriver.Mount"] = state.mount
        plugin.answers["VolumeDriver.Unmount"] = {"Err": "stuck"}
        live.cli(*use)      # the container ends all the same
        plugin.answers["VolumeDriver.List"] = None
        answer = live.api.json("GET", "/volumes")
        assert "vlie" in [row["Name"] for row in answer["Volumes"]]
        assert any('plugin "vols2" has not answered a short while ago' in text for text in answer["Warnings"])
        plugin.answers["VolumeDriver.List"] = {"Volumes": []}
        plugin.answers["VolumeDriver.Remove"] = {"Err": "never"}
        assert "remove vlie: never" in refused(live, "volume", "rm", "vlie")
    assert 'plugin "vols2" not found' in refused(live, *use)
    live.cli("volume", "rm", "-f", "vlie")
    with pytest.raises(SolvaError, match='create vx: error looking up volume plugin nosuch: plugin "nosuch" not found'):
        live.api.json("POST", "/volumes/create", body={"Name": "vx", "Driver": "nosuch"})


# -- CNI


@pytest.fixture
def conflist(tmp_path: Path) -> Path:
    if not Path("/usr/lib/cni/bridge").exists():
        pytest.skip("containernetworking-plugins is not installed")
    file = tmp_path / "net.conflist"
    file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "web", "plugins": [
        {"type": "bridge", "bridge": "cnitest0", "isGateway": True, "ipMasq": True, "hairpinMode": True, "ipam": {
            "type": "host-local", "ranges": [[{"subnet": "10.69.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(tmp_path / "leases")}},
        {"type": "portmap", "capabilities": {"portMappings": True}},
        {"type": "firewall", "backend": "iptables"}]}))
    return file


def test_cni(live: LiveEngine, conflist: Path, tmp_path: Path) -> None:
    """A chain of three: names, packets, a published port; a restart; live connect beside a bridge; nothing is left."""
    before = links(live)
    live.cli("network", "create", "-d", "cni", "-o", f"conf={conflist}", "cninet")
    live.cli("run", "-d", "--name", "cniweb", "--network", "cninet", "-p", "18090:80", "busybox", "sh", "-c",
             "echo hello > /var/www/index.html; exec httpd -f -p 80 -h /var/www")
    get = ("run", "--rm", "--name", "refused", "--network", "cninet", "busybox", "wget", "-qO-", "http://cniweb/")
    assert live.cli(*get).stdout == "hello\n"
    assert live.get("http://127.0.0.1:18090/") == b"hello\n"
    assert live.cli("port", "cniweb").stdout == "80/tcp -> 0.0.0.0:18090\n"
    seen = live.api.json("GET", "/containers/cniweb/json")["NetworkSettings"]["Networks"]["cninet"]
    assert (seen["IPAddress"], seen["Gateway"]) == ("10.69.0.2", "10.69.0.1")
    live.kill()
    live.start()
    assert live.cli(*get).stdout == "hello\n"
    live.cli("network", "create", "cnibr")
    live.cli("run", "-d", "--name", "cnitwo", "--network", "cnibr", "busybox", "sleep", "600")
    live.cli("network", "connect", "cninet", "cnitwo")
    assert live.cli("exec", "cnitwo", "wget", "-qO-", "http://cniweb/").stdout == "hello\n"
    routes = live.cli("exec", "cnitwo", "ip", "route").stdout
    assert routes.count("default") == 1
    assert "dev eth0" in routes.splitlines()[0]      # cnibr before cninet
    live.cli("network", "disconnect", "cninet", "cnitwo")
    live.cli("rm", "-f", "cniweb", "cnitwo")
    live.cli("network", "rm", "cninet", "cnibr")
    assert links(live) - before <= {name for name in links(live) if name.startswith("solvagw")}
    assert not list((tmp_path / "leases/web").glob("10.*"))
    assert "10.69.0" not in run("ip", "netns", "exec", live.name, "iptables-save").stdout


def test_cni_that_cannot_be(live: LiveEngine, conflist: Path, tmp_path: Path) -> None:
    """Errors name the file and what to do; a chain that fails in the middle is taken back."""
    good = json.loads(conflist.read_text())

    def create(value: Any, *more: str) -> str:
        conflist.write_text(value if isinstance(value, str) else json.dumps(value))
        return refused(live, "network", "create", "-d", "cni", "-o", f"conf={conflist}", *more, "cnibad")

    assert "net.conflist: no CNI configuration: " in create("{")
    assert "cniVersion is '9.9'; known are" in create({**good, "cniVersion": "9.9"})
    assert 'plugins[0] has no "type"' in create({**good, "plugins": [{"type": "../sh"}]})
    assert "CNI plugin nosuch is in none of /opt/cni/bin" in create({**good, "plugins": [{"type": "nosuch"}]})
    assert "--internal has no effect" in create(good, "--internal")
    assert 'unknown option "x"' in create(good, "-o", "x=y")
    assert "needs -o conf=FILE" in refused(live, "network", "create", "-d", "cni", "cnibad")
    own = tmp_path / "bin"
    own.mkdir()
    script = own / "odd"
    use = ("run", "--name", "refused", "--network", "cniodd", "busybox", "true")
    script.write_text('#!/bin/sh\ncase $CNI_COMMAND in VERSION) echo \'{"supportedVersions":["1.0.0"]}\';; DEL) ;;\n'
                      f'ADD) cat {tmp_path}/does > {tmp_path}/do; . {tmp_path}/do;; esac\n')
    script.chmod(0o755)
    conflist.write_text(json.dumps({**good, "plugins": [good["plugins"][0], {"type": "odd"}]}))
    live.cli("network", "create", "-d", "cni", "-o", f"conf={conflist}", "-o", f"path={own}", "cniodd")
    before = links(live)
    for does, text in (('echo \'{"code":7,"msg":"will not","details":"today"}\'; exit 1',
                        "CNI plugin odd: will not; today"),
                       ("echo oops >&2; exit 3", "CNI plugin odd: oops"),
                       ("echo junk", "answered ADD with b'junk\\n', which is no JSON"),
                       ("echo '{\"ips\":[{\"address\":\"x\"}]}'", "the result of the CNI plugins is malformed"),
                       ("exec yes", "yes: standard output: Operation not permitted"),
                       ("sleep 1000", "CNI plugin odd did not end its ADD within 5 seconds")):
        (tmp_path / "does").write_text(does)
        assert text in refused(live, *use), does
        assert not list((tmp_path / "leases/web").glob("10.*")), "the address is given back"
        assert links(live) - before <= {"cnitest0"}
    assert not subprocess.run(["pgrep", "-f", f"^/bin/sh {script}"], capture_output=True, check=False).stdout
    assert "no plugin of CNI network cniodd has the capability portMappings" in refused(
        live, "run", "--name", "refused", "--network", "cniodd", "-p", "18091:80", "busybox", "true")
    live.cli("network", "rm", "cniodd")
    assert "cnitest0" not in links(live)


# -- Docker's own clients


COMPOSE = """
services:
  web:
    image: busybox
    command: sh -c 'cp /data/index.html /var/www; exec httpd -f -p 80 -h /var/www'
    networks: [office]
    ports: ["18095:80"]
    volumes: [data:/data]
  asks:
    image: busybox
    command: sleep 600
    networks: [office]
networks:
  office:
    driver: lan
    driver_opts: {com.docker.network.driver.mtu: "1400"}
volumes:
  data:
    driver: cvols
    driver_opts: {size: "1"}
"""


def test_dockers_own_command_line(live: LiveEngine, folder: Path, tmp_path: Path) -> None:
    """`docker` and `docker compose`, with a network and a volume of plugins."""
    prefix = [*client_command(), "env", "-C", "/tmp", f"DOCKER_HOST=unix://{live.socket}", "docker"]
    if not str(tmp_path).startswith("/tmp/"):
        pytest.skip("the client's root has only /tmp in common with this one")

    def docker(*words: str) -> str:
        return run(*prefix, *words, timeout=120).stdout

    store = tmp_path / "store"
    store.mkdir()
    state = Volumes(store)
    file = tmp_path / "compose.yml"
    file.write_text(COMPOSE)
    with example(live, folder), in_thread(state.plugin(), folder / "cvols.sock"):
        docker("network", "create", "-d", "lan", "clinet")
        docker("volume", "create", "-d", "cvols", "clivol")
        (store / "clivol/text").write_text("from the plugin\n")
        out = docker("run", "--rm", "--network", "clinet", "-v", "clivol:/v", "busybox", "sh", "-c",
                     "cat /v/text; ip -o link show eth1")
        assert out.startswith("from the plugin\n")
        assert docker("network", "inspect", "-f", "{{.Driver}} {{.Scope}}", "clinet") == "lan local\n"
        assert docker("volume", "inspect", "-f", "{{.Driver}} {{.Scope}} {{.Mountpoint}}", "clivol") == (
            f"cvols global {store}/clivol\n")
        assert "cvols     clivol" in docker("volume", "ls", "--filter", "driver=cvols")
        assert "Volume: local cvols" in docker("info")
        assert docker("plugin", "ls", "-q") == ""
        docker("network", "rm", "clinet")
        docker("volume", "rm", "clivol")
        up = ("compose", "-p", "plugged", "-f", str(file))
        (store / "plugged_data").mkdir()
        (store / "plugged_data/index.html").write_text("hello\n")
        docker(*up, "up", "-d", "--quiet-pull")
        assert docker(*up, "exec", "-T", "asks", "wget", "-qO-", "http://web/") == "hello\n"
        assert live.get("http://127.0.0.1:18095/") == b"hello\n"
        docker(*up, "down", "-v", "-t", "0")
        assert not list(store.iterdir())
        assert state.mounts == []
    assert not [name for name in links(live) if name.startswith(("lan-", "lp-", "lc-"))]
