"""Why a container is made anew: from a request and an inspection to a line a user can act on. And the plan's file."""

from __future__ import annotations

from typing import Any

import pytest

from solva.compose.errors import ComposeError
from solva.compose.explain import differences
from solva.compose.observe import changes
from solva.compose.plan import Draft, Plan


def inspected(**changed: Any) -> dict[str, Any]:
    """What an engine tells of a container that was made of nothing but an image and a command."""
    host = {"IpcMode": "private", "CgroupnsMode": "host", "ShmSize": 67108864, "NetworkMode": "p_default",
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "LogConfig": {"Type": "json-file", "Config": {}},
            "Memory": 0, "CapAdd": None, "Runtime": "runc", "PortBindings": {}, "Init": None,
            **changed.pop("HostConfig", {})}
    config = {"Image": "busybox", "Cmd": ["sleep", "1"], "Env": ["PATH=/bin", "A=1"], "Hostname": "0123456789ab",
              "Labels": {"com.docker.compose.project": "p", "maintainer": "somebody"}, "WorkingDir": "/srv",
              **changed.pop("Config", {})}
    return {"Id": "0" * 64, "Name": "/p-web-1", "Config": config, "HostConfig": host,
            "NetworkSettings": {"Networks": {"p_default": {"Aliases": ["p-web-1", "web"]}}}, **changed}


IMAGE = {"Config": {"Env": ["PATH=/bin"], "Cmd": ["sh"], "WorkingDir": "/srv", "Labels": {"maintainer": "somebody"}}}


def wanted(**changed: Any) -> dict[str, Any]:
    return {"Image": "busybox", "Cmd": ["sleep", "1"], "Env": ["A=1"], "Labels": {},
            "HostConfig": {"NetworkMode": "p_default", **changed.pop("HostConfig", {})},
            "NetworkingConfig": {"EndpointsConfig": {"p_default": {"Aliases": ["p-web-1", "web"]}}}, **changed}


def test_what_the_engine_and_the_image_add_is_no_difference() -> None:
    assert differences(wanted(), inspected(), IMAGE) == []
    assert differences(wanted(Cmd=None), inspected(Config={"Cmd": ["sh"]}), IMAGE) == []


@pytest.mark.parametrize(("asked", "there", "line"), [
    ({"Env": ["A=2"]}, {}, "environment.A: 1 → 2"),
    ({"Env": []}, {}, "environment.A: 1 removed"),
    ({"Env": ["A=1", "PATH=/x"]}, {}, "environment.PATH: /bin → /x"),
    ({"Cmd": ["sleep", "2"]}, {}, "command: [sleep, 1] → [sleep, 2]"),
    ({"Image": "alpine"}, {}, "image: busybox → alpine"),
    ({"User": "1"}, {}, "user: (unset) → 1"),
    ({"Labels": {"x": "y"}}, {}, "labels.x: added as y"),
    ({"HostConfig": {"Memory": 1024}}, {}, "mem_limit: (unset) → 1024"),
    ({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}}}, {}, "ports.80/tcp: added as *:8080"),
    ({"HostConfig": {"Binds": ["/a:/b:ro"]}}, {}, "volumes./b: added as '/a (ro)'"),
    ({"HostConfig": {"Binds": ["v:/b:rw"]}}, {"HostConfig": {"Binds": ["w:/b:rw"]}}, "volumes./b: w → v"),
    ({"HostConfig": {"CapAdd": ["NET_ADMIN"]}}, {}, "cap_add: (unset) → [NET_ADMIN]"),
    ({"HostConfig": {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}}}, {},
     "restart.Name: no → always"),
    ({}, {"HostConfig": {"Privileged": True}}, "privileged: true → (unset)"),
    ({"NetworkingConfig": {"EndpointsConfig": {"p_default": {"Aliases": ["web", "store"]}}}}, {},
     "networks.p_default.aliases: [web] → [store, web]"),
])
def test_a_difference_is_told_from_what_to_what(asked: dict[str, Any], there: dict[str, Any], line: str) -> None:
    assert differences(wanted(**asked), inspected(**there), IMAGE) == [line]


def test_a_plan_outlives_a_file() -> None:
    draft = Draft()
    key = draft.add("create x", "POST", "/containers/create", body={"Labels": {"a": "b"}}, reason="why", chain="c")
    draft.add("copy y", "PUT", "/containers/x/archive", kind="copy", body=("/y", b"\0\xff", {"mode": "0400"}),
              needs=[key], lenient=("NotFound",))
    plan = draft.plan()
    again = Plan.of(plan.document())
    assert [op.document() for op in again.ops] == plan.document()
    assert list(again.ops[1].body) == ["/y", b"\0\xff", {"mode": "0400"}]
    assert str(again) == str(plan)


def test_a_changed_world_is_told_by_name() -> None:
    then = {"containers": {"a": {"id": "1", "state": "running", "config": "h"}, "b": {"id": "2"}},
            "volumes": {"v": "t"}, "images": {"i": ""}}
    now = {"containers": {"a": {"id": "1", "state": "stopped", "config": "h"}, "c": {"id": "3"}},
           "volumes": {"v": "t"}, "images": {"i": "sha"}}
    assert changes(then, now) == ["container a was running and is stopped", "container b is gone",
                                  "container c has appeared", "image i has appeared"]
    assert changes(then, then) == []


def test_a_file_that_is_no_plan_is_refused(tmp_path: Any) -> None:
    from solva.compose.planfile import read

    for text in ("", "[]", '{"x": 1}'):
        (tmp_path / "p").write_text(text)
        with pytest.raises(ComposeError, match="is not a plan"):
            read(str(tmp_path / "p"))
    with pytest.raises(ComposeError, match="no such file"):
        read(str(tmp_path / "absent"))
