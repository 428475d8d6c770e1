"""How an engine is told of its cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from solva.engine import config
from solva.engine.cluster import ClusterSettings, _advertised, resolve
from solva.errors import InvalidParameter
from solva.kernel.links import Link


def test_file_and_command_line(tmp_path: Path) -> None:
    file = tmp_path / "engine.toml"
    file.write_text('[cluster]\nurl = "etcd://192.0.2.10:2379"\nadvertise = "192.0.2.21"\nlease = 30\n')
    assert config.load(file).cluster == ClusterSettings("etcd://192.0.2.10:2379", "192.0.2.21", 30)
    assert config.load(file, "etcd://other", "eth1").cluster == ClusterSettings("etcd://other", "eth1", 30)
    file.write_text("")
    assert config.load(file).cluster is None
    with pytest.raises(InvalidParameter, match="not in which"):
        config.load(file, None, "192.0.2.21")
    for text, said in (('[cluster]\nurl = "x"\nlease = "long"', "cluster.lease"),
                       ('[cluster]\nurls = "x"', r"cluster.url\?")):
        file.write_text(text)
        with pytest.raises(InvalidParameter, match=said):
            config.load(file)


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="not of the form etcd://HOST:PORT"):
        resolve(ClusterSettings("http://127.0.0.1"), "id", tmp_path)
    with pytest.raises(InvalidParameter, match="needs --advertise"):
        resolve(ClusterSettings("etcd://127.0.0.1"), "id", tmp_path)
    with pytest.raises(InvalidParameter, match="2 to 3600"):
        resolve(ClusterSettings("etcd://127.0.0.1", "127.0.0.1", lease=1), "id", tmp_path)


def test_the_advertised_address() -> None:
    eth0, eth1 = Link(2, "eth0", mtu=1500), Link(3, "eth1", mtu=9000)
    found = [(Link(1, "lo"), "127.0.0.1"), (eth0, "192.0.2.21"), (eth1, "fe80::1"), (eth1, "2001:db8::5"),
             (eth1, "198.51.100.5")]
    assert _advertised("192.0.2.21", found) == (eth0, "192.0.2.21")
    assert _advertised("eth1", found) == (eth1, "198.51.100.5")
    with pytest.raises(InvalidParameter, match=r"there are 192.0.2.21 \(eth0\), 2001:db8::5 \(eth1\)"):
        _advertised("192.0.2.99", found)
