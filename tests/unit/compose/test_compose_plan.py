"""Plans as text: what `up` and `down` would do from a given state, and why."""

from __future__ import annotations

from typing import Any

from solva.compose import labels
from solva.compose.hash import network_hash, service_hash
from solva.compose.observe import Container, Observed
from solva.compose.project import Project, Service
from solva.compose.reconcile import UpOptions, down, reconcile

NETWORK = {"name": "p_default"}


def project(**changes: dict[str, Any]) -> Project:
    configs: dict[str, dict[str, Any]] = {
        "db": {"image": "mongo", "networks": {"default": None}},
        "web": {"image": "app", "networks": {"default": None}, "depends_on": {
            "db": {"condition": "service_healthy", "required": True}}},
    }
    for name, change in changes.items():
        configs[name] = {**configs[name], **change}
    return Project("p", services={name: Service(name, config) for name, config in configs.items()},
                   networks={"default": NETWORK})


def container(wanted: Project, service: str, number: int = 1, state: str = "running",
              health: str = "healthy") -> Container:
    known = labels.container_labels(wanted, wanted.services[service], number,
                                    service_hash(wanted.services[service]), f"sha256:{service}")
    return Container({"Id": f"{service}{number}".ljust(64, "0"), "Names": [f"/p-{service}-{number}"], "Labels": known,
                      "State": state, "Status": f"Up 2 hours ({health})",
                      "NetworkSettings": {"Networks": {"p_default": {}}}})


def observed(*containers: Container) -> Observed:
    network = {"Id": "n1", "Labels": {labels.CONFIG_HASH: network_hash(NETWORK)}}
    return Observed(containers, {"p_default": network} if containers else {}, {},
                    {"mongo": "sha256:db", "app": "sha256:web"})


def test_from_nothing() -> None:
    plan = reconcile(project(), observed(), UpOptions())
    assert str(plan).splitlines() == [
        "create network p_default: POST /networks/create",
        "create p-db-1: POST /containers/create  after create network p_default",
        "create p-web-1: POST /containers/create  after create network p_default",
        "start p-db-1: POST /containers/p-db-1/start  after create p-db-1, create p-web-1",
        "wait healthy p-db-1: GET /containers/p-db-1/json  after start p-db-1",
        "start p-web-1: POST /containers/p-web-1/start  after create p-db-1, create p-web-1, wait healthy p-db-1",
    ]


def test_nothing_to_do() -> None:
    wanted = project()
    plan = reconcile(wanted, observed(container(wanted, "db"), container(wanted, "web")), UpOptions())
    assert str(plan) == "nothing to do"
    assert plan.notes == (("Container p-db-1", "Running"), ("Container p-web-1", "Running"))


def test_only_what_changed_is_made_anew() -> None:
    before = project()
    there = observed(container(before, "db"), container(before, "web"))
    plan = reconcile(project(web={"environment": {"A": "1"}}), there, UpOptions())
    assert [op.key for op in plan.ops] == [
        "create web100000000_p-web-1".replace("web100000000", "web1".ljust(12, "0")), "stop p-web-1", "remove p-web-1",
        f"rename {'web1'.ljust(12, '0')}_p-web-1", "wait healthy p-db-1", "start p-web-1"]
    assert plan.ops[0].reason == "its configuration changed"


def test_a_condition_that_ceased_to_hold_is_waited_for() -> None:
    wanted = project()
    there = observed(container(wanted, "db", health="unhealthy"), container(wanted, "web"))
    plan = reconcile(wanted, there, UpOptions())
    assert [op.key for op in plan.ops] == ["wait healthy p-db-1"]


def test_scale_down_removes_the_highest() -> None:
    wanted = project()
    there = observed(container(wanted, "db"), container(wanted, "web"), container(wanted, "web", 2))
    plan = reconcile(wanted, there, UpOptions())
    assert [op.key for op in plan.ops] == ["stop p-web-2", "remove p-web-2"]


def test_new_image() -> None:
    wanted = project()
    there = observed(container(wanted, "db"), container(wanted, "web"))
    there.images["mongo"] = "sha256:other"
    plan = reconcile(wanted, there, UpOptions())
    assert plan.ops[0].reason == "image mongo: db → other"


def test_down_stops_dependents_first() -> None:
    wanted = project()
    plan = down(wanted, [container(wanted, "db"), container(wanted, "web")], {"p_default": {"Id": "n1"}}, {},
                timeout=None, with_volumes=False)
    assert str(plan).splitlines()[:2] == [
        f"stop p-web-1: POST /containers/{'web1'.ljust(64, '0')}/stop",
        f"stop p-db-1: POST /containers/{'db1'.ljust(64, '0')}/stop  after stop p-web-1"]
    assert plan.ops[-1].needs == ("remove p-db-1", "remove p-web-1")
