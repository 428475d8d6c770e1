"""What containers decide without a kernel."""

from __future__ import annotations

import pytest

from solva.api.types.container import ContainerCreate, Healthcheck, HostConfig, Mount, RestartPolicy, Ulimit, decode
from solva.containers import create, health, limits, mounts, networking, restart_policy, spec, state
from solva.containers.attach import detach_sequence, scan_escape
from solva.containers.model import Container, Health, HealthResult, MountPoint, State
from solva.containers.signals import number
from solva.containers.users import Identity
from solva.errors import InvalidParameter

ROOT = Identity(0, 0, (0,), "/root")
SECOND = 1_000_000_000


def container(**host: object) -> Container:
    body = decode({"Image": "x", "Hostname": "h", "HostConfig": host}, ContainerCreate)
    return Container("a" * 64, "n", 0, "sha256:1", (), "prog", ["arg"], create.merged(body, {}), body.host_config)


def around(**more: object) -> spec.Surroundings:
    values: dict[str, object] = {"rootfs": "/r", "identity": ROOT, "cgroup_path": "/solva/a", "cgroup_version": 1,
                                 "netns": "/run/n", "hostname": "h", **more}
    return spec.Surroundings(**values)      # type: ignore[arg-type]


def test_null_means_not_given() -> None:
    body = decode(b'{"Image":"x","Cmd":null,"Env":null,"HostConfig":{"Binds":null,"PortBindings":{"80/tcp":null}}}',
                  ContainerCreate)
    assert body.cmd is None
    assert body.host_config.binds == []


def test_image_gives_what_the_request_leaves_out() -> None:
    image = {"Entrypoint": ["/e"], "Cmd": ["c"], "Env": ["A=1", "B=1"], "User": "u", "Labels": {"l": "i"}}
    config = create.merged(decode({"Image": "x", "Env": ["B=2"], "Labels": {"m": "r"}}, ContainerCreate), image)
    assert create.command(config) == ("/e", ["c"])
    assert config.env == ["B=2", "A=1"]
    assert config.labels == {"l": "i", "m": "r"}
    own = create.merged(decode({"Image": "x", "Entrypoint": "sh"}, ContainerCreate), image)
    assert create.command(own) == ("sh", [])
    with pytest.raises(InvalidParameter, match="no command specified"):
        create.command(create.merged(decode({"Image": "x"}, ContainerCreate), {}))


def test_specification_has_docker_defaults() -> None:
    value = spec.build(container(), around())
    assert value["process"]["args"] == ["prog", "arg"]
    assert value["process"]["env"] == [f"PATH={spec.DEFAULT_PATH}", "HOSTNAME=h", "HOME=/root"]
    assert {item["type"] for item in value["linux"]["namespaces"]} == {"mount", "network", "uts", "pid", "ipc"}
    assert value["linux"]["sysctl"]["net.ipv4.ip_unprivileged_port_start"] == "0"
    assert "/proc/kcore" in value["linux"]["maskedPaths"]
    assert value["linux"]["resources"]["devices"][0] == {"allow": False, "access": "rwm"}
    assert {"type": "cgroup"} in spec.build(container(), around(cgroup_version=2))["linux"]["namespaces"]


def test_privileged_and_host_modes() -> None:
    value = spec.build(container(Privileged=True, PidMode="host", IpcMode="host"),
                       around(netns="", pid="host", ipc="host"))
    assert {item["type"] for item in value["linux"]["namespaces"]} == {"mount", "uts"}
    assert "maskedPaths" not in value["linux"]
    assert "CAP_SYS_ADMIN" in value["process"]["capabilities"]["effective"]


def test_a_user_has_no_effective_capabilities() -> None:
    sets = spec.build(container(), around(identity=Identity(5, 5, (5,), "/")))["process"]["capabilities"]
    assert sets["effective"] == []
    assert "CAP_CHOWN" in sets["bounding"]


def test_mounts_shallow_first_and_over_the_defaults() -> None:
    points = (MountPoint("bind", "/a/b", source="/s", rw=False, propagation="rshared"),
              MountPoint("tmpfs", "/a", options="exec,size=1m"), MountPoint("bind", "/dev/shm", source="/x"))
    value = spec.build(container(), around(mounts=points))
    places = [mount["destination"] for mount in value["mounts"]]
    assert places.index("/a") < places.index("/a/b")
    assert places.count("/dev/shm") == 1
    assert value["linux"]["rootfsPropagation"] == "rshared"
    tmpfs = next(mount for mount in value["mounts"] if mount["destination"] == "/a")
    assert tmpfs["options"] == ["nosuid", "nodev", "exec", "size=1m"]


@pytest.mark.parametrize(("text", "kind", "rw"), [
    ("/a:/b", "bind", True), ("/a:/b:ro", "bind", False), ("vol:/b", "volume", True), ("/b", "volume", True),
])
def test_binds(text: str, kind: str, rw: bool) -> None:
    point = mounts.parse_bind(text, "")
    assert (point.type, point.destination, point.rw) == (kind, "/b", rw)


@pytest.mark.parametrize("text", ["/a:/b:bogus", ":/b", "/a:b", "/a:/", "/a:/b:ro:x"])
def test_bad_binds(text: str) -> None:
    with pytest.raises(InvalidParameter):
        mounts.parse_bind(text, "")


def test_mount_sources_must_exist() -> None:
    with pytest.raises(InvalidParameter, match="bind source path does not exist: /nonexistent"):
        mounts.from_mount(Mount("bind", "/nonexistent", "/b"))


def test_limits() -> None:
    host = HostConfig(nano_cpus=1_500_000_000, memory=64 << 20, pids_limit=9)
    limits.check(host, swap_accounting=True, cpus=2)
    assert host.memory_swap == 128 << 20
    assert limits.resources(host, 1)["cpu"] == {"period": 100000, "quota": 150000}
    for wrong in (HostConfig(memory=1), HostConfig(nano_cpus=9_000_000_000), HostConfig(memory_swap=5),
                  HostConfig(ulimits=[Ulimit("nope", 1, 1)]), HostConfig(ulimits=[Ulimit("nofile", 1, 2)])):
        with pytest.raises(InvalidParameter):
            limits.check(wrong, swap_accounting=True, cpus=2)


def test_ports() -> None:
    one = container(PortBindings={"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080-8090"}], "53/udp": [{}]})
    rows = networking.port_mappings(one)
    assert [(row.container_port, row.proto, row.host_port, row.host_port_end) for row in rows] == [
        (80, "tcp", 8080, 8090), (53, "udp", 0, 0)]
    with pytest.raises(InvalidParameter):
        networking.split_port("8o/tcp")


def test_restart_policies() -> None:
    def again(name: str, code: int, count: int = 0, user: bool = False, most: int = 0) -> bool:
        return restart_policy.should_restart(RestartPolicy(name, most), exit_code=code, restart_count=count,
                                             stopped_by_user=user)
    assert again("always", 0)
    assert not again("always", 0, user=True)
    assert not again("on-failure", 0)
    assert again("on-failure", 1, 2, most=3)
    assert not again("on-failure", 1, 3, most=3)
    assert not again("no", 1)
    assert restart_policy.at_engine_start(RestartPolicy("always"), exit_code=0, restart_count=0, stopped_by_user=True)
    assert [round(restart_policy.delay(before, 1), 1) for before in (0.0, 0.1, 0.2, 50.0)] == [0.1, 0.2, 0.4, 60.0]
    assert restart_policy.delay(30.0, 11) == 0.1


def test_health_verdicts() -> None:
    current, check = Health(), Healthcheck(["CMD", "x"], retries=2, start_period=10 * SECOND)
    bad, good = HealthResult(0, 1, 1, ""), HealthResult(0, 1, 0, "")
    health.judge(current, bad, check, SECOND)
    assert (current.status, current.failing_streak) == ("starting", 0)
    health.judge(current, bad, check, 11 * SECOND)
    health.judge(current, bad, check, 12 * SECOND)
    assert current.status == "unhealthy"
    health.judge(current, good, check, 13 * SECOND)
    assert (current.status, current.failing_streak) == ("healthy", 0)
    for _ in range(9):
        health.judge(current, bad, check, 20 * SECOND)
    assert len(current.log) == 5


@pytest.mark.parametrize(("seconds", "text"), [
    (0, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (60, "About a minute"), (180, "3 minutes"),
    (3600, "About an hour"), (7200, "2 hours"), (200000, "2 days"), (86400 * 15, "2 weeks"), (86400 * 70, "2 months"),
])
def test_durations(seconds: int, text: str) -> None:
    assert state.duration(seconds * SECOND) == text


def test_status_texts() -> None:
    current = State()
    assert state.describe(current, 0) == "Created"
    state.started(current, pid=1, pid_start=1, conmon_pid=2, boot="b", now=SECOND, health=True)
    assert state.describe(current, 4 * SECOND) == "Up 3 seconds (health: starting)"
    state.exited(current, exit_code=3, oom=False, now=5 * SECOND)
    assert state.describe(current, 8 * SECOND) == "Exited (3) 3 seconds ago"


def test_detach_keys() -> None:
    keys = detach_sequence("")
    assert keys == b"\x10\x11"
    assert scan_escape(b"", b"ab\x10", keys) == (b"ab", b"\x10", False)
    assert scan_escape(b"\x10", b"\x11zz", keys) == (b"", b"", True)
    assert scan_escape(b"\x10", b"x", keys) == (b"\x10x", b"", False)
    with pytest.raises(InvalidParameter):
        detach_sequence("ctrl-??")


def test_signals() -> None:
    assert [number(text) for text in ("SIGTERM", "kill", "9", "RTMIN+1")] == [15, 9, 9, 35]
    with pytest.raises(InvalidParameter):
        number("nope")
