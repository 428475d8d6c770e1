"""The engine's configuration file."""

from pathlib import Path

import pytest

from solva.engine.config import AddressPool, Config, load
from solva.errors import InvalidParameter


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "engine.toml"
    path.write_text(text)
    return path


def test_everything_is_optional(tmp_path: Path) -> None:
    assert load(write(tmp_path, "")) == Config()


def test_all_keys(tmp_path: Path) -> None:
    config = load(write(tmp_path, """
        data_root = "/srv/solva"
        stop_deaf = "wait"
        [registry]
        insecure = ["lan:5000"]
        [registry.mirrors]
        "docker.io" = ["http://127.0.0.1:5050"]
        [network]
        bip = "10.9.0.1/24"
        default_address_pools = [{ base = "10.8.0.0/16", size = 24 }]
        dns = ["192.0.2.53"]
        dns_query_log = true
    """), run_root=tmp_path / "run")
    assert config.data_root == Path("/srv/solva")
    assert config.socket == tmp_path / "run" / "solva.sock"
    assert config.stop_deaf == "wait"
    assert config.mirrors == {"docker.io": ("http://127.0.0.1:5050",)}
    assert config.insecure_registries == ("lan:5000",)
    assert config.address_pools == (AddressPool("10.8.0.0/16", 24),)
    assert config.dns == ("192.0.2.53",)
    assert config.dns_query_log


@pytest.mark.parametrize(("text", "said"), [
    ("stop_daef = 'kill'", "unknown key stop_daef; did you mean stop_deaf?"),
    ("stop_deaf = 'perhaps'", 'it must be "kill" or "wait"'),
    ("[registry]\nmirrors = 3", "mirrors must be a table"),
    ("[network]\ndns = 'x'", "network.dns must be a list of strings"),
    ("[network]\ndns_query_log = 'yes'", "network.dns_query_log must be true or false"),
    ("[network]\ndefault_address_pools = [{ base = '10.0.0.0/8' }]", "needs rows of"),
    ("data_root = ", "Invalid value"),
])
def test_mistakes_are_named_with_the_file(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InvalidParameter) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="does not exist"):
        load(tmp_path / "nosuch.toml")
