"""Where plugins are found, as Docker finds them."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from solva.plugins import discovery
from solva.plugins.errors import PluginError


def bind(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_three_kinds_and_their_order(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write(one / "a.spec", "tcp://127.0.0.1:1\n")
    write(two / "a.json", '{"Addr": "https://127.0.0.1:2"}')
    where = (str(one), str(two))
    found = discovery.find("a", where)
    assert found is not None
    assert (found.address, found.tls) == ("tcp://127.0.0.1:1", None)
    bind(two / "a.sock")
    found = discovery.find("a", where)
    assert found is not None
    assert found.address == f"unix://{two}/a.sock"
    bind(one / "b/b.sock")
    write(two / "c/c.spec", "unix:///x.sock")
    write(two / "d/other.spec", "unix:///x.sock")      # a folder holds one of its own name
    write(two / "README.md", "")
    assert discovery.scan(where) == ["a", "b", "c"]
    for name in ("nosuch", "../one/a", "", ".", "a/b", "d", "README"):
        assert discovery.find(name, where) is None


def test_tls_of_a_json_file(tmp_path: Path) -> None:
    write(tmp_path / "a.json", json.dumps({"Name": "a", "Addr": "https://plugin.lan:8080", "TLSConfig": {
        "InsecureSkipVerify": False, "CAFile": "/ca.pem", "CertFile": "/cert.pem", "KeyFile": ""}}))
    write(tmp_path / "b.json", '{"Addr": "https://b", "TLSConfig": {}}')
    a, b = discovery.find("a", [str(tmp_path)]), discovery.find("b", [str(tmp_path)])
    assert a is not None
    assert b is not None
    assert a.tls == discovery.Tls("/ca.pem", "/cert.pem", "", False)
    assert b.tls == discovery.Tls(insecure=True)      # as Docker: no authority, no check


@pytest.mark.parametrize(("name", "text"), [
    ("x.spec", ""), ("x.spec", "/run/x.sock"), ("x.spec", "unix://x"), ("x.spec", "tcp://host"), ("x.spec", "ftp://h:1"),
    ("x.spec", "tcp://[::1"), ("x.json", ""), ("x.json", "[]"), ("x.json", "{}"), ("x.json", '{"Addr": 5}'),
    ("x.json", "\xff"), ("x.spec", "\x00"),
])
def test_a_file_that_describes_none(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(PluginError, match=r'^plugin "x": .*x\.(spec|json): '):
        discovery.find("x", [str(tmp_path)])


def test_a_plain_file_is_no_socket(tmp_path: Path) -> None:
    write(tmp_path / "a.sock", "")
    assert discovery.find("a", [str(tmp_path)]) is None
