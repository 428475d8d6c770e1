"""Every property of the specification's schema has a place in the model, and an effect or a reason to have none."""

# ruff: noqa: E501     tables, a case a line
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from solva.compose.attributes import convert
from solva.compose.attributes.resources import SECTIONS
from solva.compose.attributes.service import ATTRIBUTES, UNUSED
from solva.compose.effects.request import EFFECTS, WHOLE, container_request
from solva.compose.load.validate import schema
from solva.compose.project import Project, Service

# Below a service's attributes: what changes nothing in a request for a container, and why.
REASONS = {
    "build": "of the image", "develop": "for `watch`", "depends_on": "orders the start", "provider": "another program's",
    "env_file": "read while loading", "extends": "done while loading", "pre_start": "run by `up`", "models": "run by `up`",
    "post_start": "run by `up`", "pre_stop": "run by `down`", "credential_spec": "of Windows containers, with a warning",
    "deploy.mode": "of Swarm", "deploy.endpoint_mode": "of Swarm", "deploy.replicas": "how many containers",
    "deploy.labels": "of the service, not of its containers", "deploy.update_config": "of Swarm",
    "deploy.rollback_config": "of Swarm", "deploy.placement": "of Swarm",
    "deploy.resources.reservations.cpus": "of Swarm", "deploy.resources.reservations.generic_resources": "of Swarm",
    "deploy.restart_policy.delay": "the engine has its own", "deploy.restart_policy.window": "the engine has its own",
    "configs.uid": "files are copied with them after the creation", "configs.gid": "as uid", "configs.mode": "as uid",
    "secrets.uid": "as uid", "secrets.gid": "as uid", "secrets.mode": "as uid", "ports.name": "for people",
    "ports.mode": "of Swarm", "ports.app_protocol": "for people", "networks.priority": "orders the endpoints",
}
SAMPLES: dict[str, Any] = {
    "annotations": {"a": "b"}, "blkio_config": {"weight": 1}, "command": ["a"], "entrypoint": ["a"],
    "cpus": 1.5, "deploy": {"resources": {"limits": {"pids": 5}}}, "environment": {"A": "1"},
    "devices": [{"source": "/a", "target": "/b", "permissions": "r"}], "extra_hosts": ["a=1"], "healthcheck": {"test": ["NONE"]},
    "logging": {"driver": "x"}, "ports": [{"target": 80, "protocol": "tcp"}], "tmpfs": ["/a"], "sysctls": {"a": "1"},
    "ulimits": {"nofile": 5}, "storage_opt": {"a": "b"}, "stop_grace_period": "5s", "restart": "always", "expose": ["80"],
    "volumes": [{"type": "volume", "target": "/a"}], "networks": {"n": {"aliases": ["q"]}}, "links": ["b"],
    "external_links": ["c:d"], "mac_address": "02:42:ac:11:65:43", "gpus": [{"count": -1}], "image": "other", "init": True,
    "labels": {"a": "b"}, "security_opt": ["no-new-privileges"], "configs": [{"source": "c"}], "secrets": [{"source": "c"}],
    "use_api_socket": True,
}


def properties(shape: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every named property below ``shape``."""
    if "$ref" in shape:
        shape = schema()["definitions"][shape["$ref"].rpartition("/")[2]]
    for name, inner in shape.get("properties", {}).items():
        yield (*path, name)
        yield from properties(inner, (*path, name))
    for inner in (*shape.get("oneOf", ()), *([shape["items"]] if "items" in shape else ()),
                  *shape.get("patternProperties", {}).values()):
        yield from properties(inner, path)


def known(rows: dict[str, Any], path: tuple[str, ...]) -> bool:
    """Whether the model has a place for ``path``."""
    if path[0] not in rows:
        return False
    at: Any = rows[path[0]].convert
    for name in path[1:]:
        while isinstance(at, convert.Items | convert.TableOf):
            at = at.of
        if at is convert.ulimit and name in ("soft", "hard"):
            return True
        if not isinstance(at, convert.Record) or name not in at.fields:
            return False
        at = at.fields[name]
    return True


SERVICE = sorted(set(properties({"$ref": "#/definitions/service"})))


@pytest.mark.parametrize("path", SERVICE, ids=".".join)
def test_service_property_has_a_place(path: tuple[str, ...]) -> None:
    assert path[0] in UNUSED or known(ATTRIBUTES, path)


@pytest.mark.parametrize("section", ["network", "volume", "secret", "config", "model"])
def test_section_property_has_a_place(section: str) -> None:
    paths = set(properties({"$ref": f"#/definitions/{section}"}))
    missing = [path for path in paths if path[:2] != ("external", "name") and not known(SECTIONS[f"{section}s"], path)]
    assert not missing


def request(config: dict[str, Any]) -> dict[str, Any]:
    service = Service("a", {"image": "x", "networks": {"n": None}, **config})
    project = Project("p", services={"a": service, "b": Service("b", {"image": "y"})}, networks={"n": {"name": "p_n"}},
                      configs={"c": {"name": "c", "file": "/c"}}, secrets={"c": {"name": "c", "file": "/c"}})
    return container_request(project, service, "p-a-1", {})


@pytest.mark.parametrize("name", sorted(ATTRIBUTES))
def test_attribute_changes_the_request_or_says_why_not(name: str) -> None:
    row = ATTRIBUTES[name]
    if row.note:
        return
    assert name in EFFECTS or name in WHOLE
    if name == "use_api_socket":
        pytest.skip("done before the request: see test_api_socket")
    value = SAMPLES.get(name)
    if value is None:
        value = next(sample for sample in (True, 5, "5", ["x"]) if accepts(row, sample))
    if name == "network_mode":
        assert request({name: "host", "networks": {}})["HostConfig"]["NetworkMode"] == "host"
        return
    assert request({name: value}) != request({})


def accepts(row: Any, sample: Any) -> bool:
    try:
        return bool(row.convert(sample, ()) == sample or isinstance(sample, str))
    except (ValueError, AttributeError, TypeError):
        return False


@pytest.mark.parametrize("path", [path for path in SERVICE if len(path) > 1], ids=".".join)
def test_nested_property_has_an_effect_or_a_reason(path: tuple[str, ...]) -> None:
    """Set alone beside what it needs, it changes the request; or it is in REASONS."""
    dotted = ".".join(path)
    if any(dotted == reason or dotted.startswith(f"{reason}.") for reason in REASONS):
        return
    before, after = NESTED[dotted] if dotted in NESTED else pytest.fail(f"no effect and no reason: {dotted}")
    top = path[0]
    assert request({top: before}) != request({top: after})


def _device(**more: Any) -> list[dict[str, Any]]:
    return [{"source": "/a", "target": "/b", **more}]


def _mount(kind: str, **more: Any) -> list[dict[str, Any]]:
    return [{"type": kind, "source": "/s", "target": "/a", **more}] if kind != "volume" else [
        {"type": kind, "target": "/a", **more}]


def _reserved(**more: Any) -> dict[str, Any]:
    return {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"], "count": 1, **more}]}}}


_NET = {"n": {}}
_PORT = {"target": 80, "protocol": "tcp"}
_HEALTH = {"test": ["CMD", "x"]}
NESTED: dict[str, tuple[Any, Any]] = {
    **{f"blkio_config.{name}": ({}, {name: [{"path": "/d", "rate": "1", "weight": 1}]}) for name in (
        "device_read_bps", "device_read_iops", "device_write_bps", "device_write_iops", "weight_device")},
    **{f"blkio_config.{name}.{part}": ({name: [{"path": "/d", "rate": "1"}]}, {name: [{"path": "/e", "rate": "2"}]})
       for name in ("device_read_bps", "device_read_iops", "device_write_bps", "device_write_iops")
       for part in ("path", "rate")},
    "blkio_config.weight": ({}, {"weight": 5}),
    "blkio_config.weight_device.path": ({"weight_device": [{"path": "/d", "weight": 1}]},
                                        {"weight_device": [{"path": "/e", "weight": 1}]}),
    "blkio_config.weight_device.weight": ({"weight_device": [{"path": "/d", "weight": 1}]},
                                          {"weight_device": [{"path": "/d", "weight": 2}]}),
    **{f"{section}.source": ([], [{"source": "c"}]) for section in ("configs", "secrets")},
    **{f"{section}.target": ([{"source": "c"}], [{"source": "c", "target": "/t"}]) for section in ("configs", "secrets")},
    "deploy.resources": ({}, {"resources": {"limits": {"pids": 3}}}),
    "deploy.resources.limits": ({}, {"resources": {"limits": {"pids": 3}}}),
    "deploy.resources.limits.cpus": ({}, {"resources": {"limits": {"cpus": 1}}}),
    "deploy.resources.limits.memory": ({}, {"resources": {"limits": {"memory": "5"}}}),
    "deploy.resources.limits.pids": ({}, {"resources": {"limits": {"pids": 3}}}),
    "deploy.resources.reservations": ({}, _reserved()), "deploy.resources.reservations.devices": ({}, _reserved()),
    "deploy.resources.reservations.memory": ({}, {"resources": {"reservations": {"memory": "5"}}}),
    **{f"deploy.resources.reservations.devices.{name}": (_reserved(), _reserved(**{name: value})) for name, value in (
        ("capabilities", ["tpu"]), ("count", 2), ("device_ids", ["0"]), ("driver", "d"), ("options", {"a": "b"}))},
    "deploy.restart_policy": ({}, {"restart_policy": {"condition": "any"}}),
    "deploy.restart_policy.condition": ({"restart_policy": {}}, {"restart_policy": {"condition": "any"}}),
    "deploy.restart_policy.max_attempts": ({"restart_policy": {}}, {"restart_policy": {"max_attempts": 3}}),
    "devices.source": (_device(), [{"source": "/c", "target": "/b"}]), "devices.permissions": (_device(), _device(permissions="r")),
    "devices.target": (_device(), [{"source": "/a", "target": "/c"}]),
    **{f"gpus.{name}": ([{}], [{name: value}]) for name, value in (
        ("capabilities", ["tpu"]), ("count", 2), ("device_ids", ["0"]), ("driver", "d"), ("options", {"a": "b"}))},
    "healthcheck.test": ({}, _HEALTH), "healthcheck.disable": (_HEALTH, {**_HEALTH, "disable": True}),
    "healthcheck.retries": (_HEALTH, {**_HEALTH, "retries": 3}),
    **{f"healthcheck.{name}": ({**_HEALTH, "start_period": "1s"}, {**_HEALTH, "start_period": "1s", name: "7s"}) for name in (
        "interval", "timeout", "start_period", "start_interval")},
    "logging.driver": ({}, {"driver": "x"}), "logging.options": ({}, {"options": {"a": "b"}}),
    **{f"networks.{name}": (_NET, {"n": {name: value}}) for name, value in (
        ("aliases", ["q"]), ("driver_opts", {"a": "b"}), ("gw_priority", 3), ("interface_name", "e"), ("mac_address", "02::1"),
        ("ipv4_address", "1.1.1.1"), ("ipv6_address", "::1"), ("link_local_ips", ["1.1.1.1"]))},
    "ports.target": ([], [_PORT]), "ports.protocol": ([_PORT], [{**_PORT, "protocol": "udp"}]),
    "ports.host_ip": ([_PORT], [{**_PORT, "host_ip": "::1"}]), "ports.published": ([_PORT], [{**_PORT, "published": "1"}]),
    "ulimits.soft": ({"nofile": {"soft": 1, "hard": 2}}, {"nofile": {"soft": 2, "hard": 2}}),
    "ulimits.hard": ({"nofile": {"soft": 1, "hard": 2}}, {"nofile": {"soft": 1, "hard": 3}}),
    "volumes.type": (_mount("bind"), _mount("tmpfs")), "volumes.source": (_mount("bind"), [{**_mount("bind")[0], "source": "/z"}]),
    "volumes.target": (_mount("bind"), [{**_mount("bind")[0], "target": "/z"}]),
    "volumes.read_only": (_mount("bind"), _mount("bind", read_only=True)),
    "volumes.consistency": (_mount("volume"), _mount("volume", consistency="cached")),
    "volumes.bind": (_mount("bind"), _mount("bind", bind={})),
    **{f"volumes.bind.{name}": (_mount("bind", bind={"create_host_path": True}), _mount("bind", bind={
        "create_host_path": True, name: value})) for name, value in (
        ("propagation", "shared"), ("create_host_path", False), ("recursive", "disabled"), ("selinux", "z"))},
    "volumes.volume": (_mount("volume"), _mount("volume", volume={"nocopy": True})),
    **{f"volumes.volume.{name}": (_mount("volume"), _mount("volume", volume={name: value})) for name, value in (
        ("labels", {"a": "b"}), ("nocopy", True), ("subpath", "s"))},
    "volumes.tmpfs": (_mount("tmpfs"), _mount("tmpfs", tmpfs={"size": "5"})),
    "volumes.tmpfs.size": (_mount("tmpfs"), _mount("tmpfs", tmpfs={"size": "5"})),
    "volumes.tmpfs.mode": (_mount("tmpfs"), _mount("tmpfs", tmpfs={"mode": 5})),
    "volumes.image": (_mount("image"), _mount("image", image={"subpath": "s"})),
    "volumes.image.subpath": (_mount("image"), _mount("image", image={"subpath": "s"})),
}


def test_api_socket_is_a_bind_a_variable_and_a_file() -> None:
    from solva.compose.effects.api_socket import with_api_socket

    project = with_api_socket(Project("p", services={"a": Service("a", {"use_api_socket": True})}), "{}")
    service = project.services["a"]
    assert service.get("volumes")[0]["source"] == "/var/run/docker.sock"
    assert service.get("environment") == {"DOCKER_CONFIG": "/run/secrets/docker"}
    assert project.configs[service.get("configs")[0]["source"]]["content"] == "{}"


def test_the_page_of_attributes_is_what_the_rows_say() -> None:
    import subprocess
    import sys
    from pathlib import Path

    tool = Path(__file__).parents[3] / "tools/compose_attributes.py"
    assert subprocess.run([sys.executable, str(tool), "--check"], check=False).returncode == 0, f"run {tool}"
