"""docker-py, unchanged, against a live engine."""

from __future__ import annotations

import io
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import docker
import pytest
from docker.errors import APIError, ContainerError, ImageNotFound, NotFound
from docker.types import Healthcheck, LogConfig, Mount, Ulimit

from support.engine import LiveEngine

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def client(engine: LiveEngine) -> Iterator[docker.DockerClient]:
    with closing(docker.DockerClient(base_url=f"unix://{engine.socket}", timeout=60)) as made:
        yield made
        for container in made.containers.list(all=True, filters={"label": "suite=docker-py"}):
            container.remove(force=True, v=True)


LABELS = {"suite": "docker-py"}


def test_version_and_ping(client: docker.DockerClient) -> None:
    assert client.ping() is True
    version = client.version()
    assert version["ApiVersion"] == "1.51"
    assert client.info()["Swarm"]["LocalNodeState"] == "inactive"


def test_run_returns_output(client: docker.DockerClient) -> None:
    assert client.containers.run("busybox", ["echo", "hello"], remove=True, labels=LABELS) == b"hello\n"


def test_run_failure_carries_status_and_stderr(client: docker.DockerClient) -> None:
    with pytest.raises(ContainerError) as caught:
        client.containers.run("busybox", ["sh", "-c", "echo no >&2; exit 3"], remove=True, labels=LABELS)
    assert caught.value.exit_status == 3
    assert caught.value.stderr == b"no\n"


def test_missing_image_and_command(client: docker.DockerClient) -> None:
    with pytest.raises(ImageNotFound):
        client.containers.create("nosuch:image")
    with pytest.raises(APIError) as caught:
        client.containers.run("busybox", ["/nosuch"], labels=LABELS)
    assert "no such file or directory" in str(caught.value)
    with pytest.raises(NotFound):
        client.containers.get("nosuch")


def test_lifecycle_and_states(client: docker.DockerClient) -> None:
    container = client.containers.create("busybox", ["sleep", "60"], name="dpy-life", labels=LABELS)
    assert container.status == "created"
    container.start()
    container.reload()
    assert container.status == "running"
    assert container.attrs["State"]["Pid"] > 0
    container.pause()
    container.reload()
    assert container.status == "paused"
    container.unpause()
    container.rename("dpy-renamed")
    assert client.containers.get("dpy-renamed").id == container.id
    container.kill()
    assert container.wait()["StatusCode"] == 137
    container.restart(timeout=0)
    container.reload()
    assert container.status == "running"
    container.stop(timeout=1)
    container.remove()
    with pytest.raises(NotFound):
        client.containers.get(container.id)


def test_logs_of_both_streams_with_tail_and_follow(client: docker.DockerClient) -> None:
    container = client.containers.run(
        "busybox", ["sh", "-c", "for i in 1 2 3; do echo out$i; echo err$i >&2; done; sleep 0.3; echo last"],
        detach=True, labels=LABELS)
    followed = b"".join(container.logs(stream=True, follow=True))
    assert followed.endswith(b"last\n")
    assert container.logs(stdout=True, stderr=False) == b"out1\nout2\nout3\nlast\n"
    assert container.logs(stdout=False, stderr=True) == b"err1\nerr2\nerr3\n"
    assert container.logs(tail=1) == b"last\n"
    stamped = container.logs(tail=1, timestamps=True)
    assert stamped.endswith(b"Z last\n")
    container.remove(force=True)


def test_exec(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sleep", "60"], detach=True, labels=LABELS)
    try:
        done = container.exec_run(["sh", "-c", "echo out; echo err >&2; exit 5"], demux=True)
        assert done.exit_code == 5
        assert done.output == (b"out\n", b"err\n")
        done = container.exec_run("env", environment={"A": "1"}, workdir="/tmp", user="www")
        assert b"A=1\n" in done.output
        assert container.exec_run("pwd", workdir="/tmp").output == b"/tmp\n"
        assert container.exec_run("id -un", user="www").output == b"www\n"
        assert container.exec_run("tty", tty=True).output.startswith(b"/dev/pts/")
        missing = container.exec_run("nosuchprogram")
        assert missing.exit_code in (126, 127)
    finally:
        container.remove(force=True)


def test_attach_stdin_half_close(client: docker.DockerClient) -> None:
    container = client.containers.create("busybox", ["cat"], stdin_open=True, labels=LABELS)
    sock = container.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
    container.start()
    sock._sock.sendall(b"through and back\n")
    sock._sock.shutdown(1)
    data = b""
    while part := sock._sock.recv(4096):
        data += part
    assert data == b"\x01\0\0\0\0\0\0\x11through and back\n"
    assert container.wait()["StatusCode"] == 0
    container.remove()


def test_archive_both_ways(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sleep", "60"], detach=True, labels=LABELS)
    try:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            info = tarfile.TarInfo("note.txt")
            info.size = 4
            tar.addfile(info, io.BytesIO(b"note"))
        assert container.put_archive("/tmp", buffer.getvalue())
        assert container.exec_run("cat /tmp/note.txt").output == b"note"
        stream, stat = container.get_archive("/tmp/note.txt")
        assert (stat["name"], stat["size"]) == ("note.txt", 4)
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
            assert tar.extractfile("note.txt").read() == b"note"  # type: ignore[union-attr]
        with pytest.raises(NotFound):
            container.get_archive("/nosuch")
        assert {"Path": "/tmp/note.txt", "Kind": 1} in container.diff()
    finally:
        container.remove(force=True)


def test_limits_reach_the_kernel(client: docker.DockerClient) -> None:
    container = client.containers.run(
        "busybox", ["sleep", "60"], detach=True, labels=LABELS, mem_limit="64m", nano_cpus=500_000_000, pids_limit=50,
        ulimits=[Ulimit(name="nofile", soft=123, hard=456)], shm_size="8m", sysctls={"net.ipv4.ip_forward": "1"},
        cap_drop=["NET_RAW"], tmpfs={"/scratch": "size=1m"}, environment=["X=y"], hostname="boxed")
    try:
        assert container.exec_run("sh -c 'ulimit -n; ulimit -Hn'").output == b"123\n456\n"
        assert container.exec_run("hostname").output == b"boxed\n"
        assert container.exec_run("cat /proc/sys/net/ipv4/ip_forward").output == b"1\n"
        limits = container.exec_run(
            "sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max 2>/dev/null ||"
            " cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max'").output.split()
        assert limits == [b"67108864", b"50"]
        df = container.exec_run("df -k /dev/shm /scratch").output.decode()
        assert " 8192 " in df
        assert " 1024 " in df
        caps = int(container.exec_run("sh -c 'grep CapBnd /proc/self/status'").output.split()[1], 16)
        assert not caps & (1 << 13)
        assert caps & 1
    finally:
        container.remove(force=True)


def test_volumes_outlive_containers(client: docker.DockerClient) -> None:
    volume = client.volumes.create("dpy-vol", labels=LABELS)
    try:
        mount = Mount("/data", "dpy-vol")
        client.containers.run("busybox", ["sh", "-c", "echo kept > /data/f"], mounts=[mount], remove=True)
        assert client.containers.run("busybox", ["cat", "/data/f"], volumes=["dpy-vol:/data:ro"],
                                     remove=True) == b"kept\n"
        with pytest.raises(ContainerError):
            client.containers.run("busybox", ["touch", "/data/g"], volumes=["dpy-vol:/data:ro"], remove=True)
        holder = client.containers.create("busybox", ["true"], mounts=[mount], labels=LABELS)
        with pytest.raises(APIError) as caught:
            volume.remove()
        assert caught.value.status_code == 409
        holder.remove()
    finally:
        volume.remove(force=True)


def test_networks_names_and_live_connect(client: docker.DockerClient) -> None:
    network = client.networks.create("dpy-net", driver="bridge", labels=LABELS)
    other = client.networks.create("dpy-other", internal=True, labels=LABELS)
    server = client.containers.run("busybox", ["httpd", "-f", "-p", "80", "-h", "/etc"], detach=True, name="dpy-web",
                                   network="dpy-net", labels=LABELS)
    try:
        page = client.containers.run("busybox", ["wget", "-qO-", "http://dpy-web/group"], network="dpy-net",
                                     remove=True)
        assert b"root:x:0:" in page
        other.connect(server, aliases=["inner"])
        page = client.containers.run("busybox", ["wget", "-qO-", "http://inner/group"], network="dpy-other",
                                     remove=True)
        assert b"root:x:0:" in page
        server.reload()
        assert set(server.attrs["NetworkSettings"]["Networks"]) == {"dpy-net", "dpy-other"}
        with pytest.raises(APIError, match="has active endpoints"):
            network.remove()
        other.disconnect(server)
        server.reload()
        assert set(server.attrs["NetworkSettings"]["Networks"]) == {"dpy-net"}
    finally:
        server.remove(force=True)
        network.remove()
        other.remove()


def test_published_port(engine: LiveEngine, client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["httpd", "-f", "-p", "80", "-h", "/etc"], detach=True,
                                      ports={"80/tcp": ("127.0.0.1", None)}, labels=LABELS)
    try:
        container.reload()
        binding = container.attrs["NetworkSettings"]["Ports"]["80/tcp"][0]
        assert binding["HostIp"] == "127.0.0.1"
        assert b"root:x:0:" in engine.get(f"http://127.0.0.1:{binding['HostPort']}/group")
    finally:
        container.remove(force=True)


def test_healthcheck(client: docker.DockerClient) -> None:
    second = 1_000_000_000
    container = client.containers.run(
        "busybox", ["sh", "-c", "sleep 1; touch /tmp/ok; sleep 60"], detach=True, labels=LABELS,
        healthcheck=Healthcheck(test=["CMD-SHELL", "test -f /tmp/ok"], interval=second // 5, retries=20))
    try:
        deadline = time.monotonic() + 10
        while container.attrs["State"].get("Health", {}).get("Status") != "healthy":
            assert time.monotonic() < deadline, container.attrs["State"]
            time.sleep(0.1)
            container.reload()
        assert any(row["ExitCode"] == 1 for row in container.attrs["State"]["Health"]["Log"])
    finally:
        container.remove(force=True)


def test_restart_policy(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sh", "-c", "exit 1"], detach=True, labels=LABELS,
                                      restart_policy={"Name": "on-failure", "MaximumRetryCount": 2})
    deadline = time.monotonic() + 10
    while True:
        container.reload()
        if container.status == "exited" and container.attrs["RestartCount"] == 2:
            break
        assert time.monotonic() < deadline, container.attrs["State"]
        time.sleep(0.1)
    container.remove(force=True)


def test_events_of_a_life(client: docker.DockerClient) -> None:
    seen: list[str] = []
    ready = threading.Event()
    stream = client.api.events(decode=True, filters={"label": "life=1"})

    def listen() -> None:
        ready.set()
        for event in stream:
            seen.append(event["Action"])
            if event["Action"] == "destroy":
                return

    thread = threading.Thread(target=listen)
    thread.start()
    ready.wait()
    time.sleep(0.2)
    client.containers.run("busybox", ["true"], remove=True, labels={**LABELS, "life": "1"})
    thread.join(10)
    stream.close()
    assert [a for a in seen if a in ("create", "start", "die", "destroy")] == ["create", "start", "die", "destroy"]


def test_commit_tag_and_image_removal(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sh", "-c", "echo made > /made"], detach=True, labels=LABELS)
    container.wait()
    image = container.commit("dpy/made", "1", changes=["CMD cat /made"])
    container.remove()
    assert client.containers.run("dpy/made:1", remove=True) == b"made\n"
    assert image.tag("dpy/other", "2")
    assert client.images.get("dpy/other:2").id == image.id
    client.images.remove("dpy/made:1")
    client.images.remove("dpy/other:2")
    with pytest.raises(ImageNotFound):
        client.images.get("dpy/made:1")


def test_save_and_load(client: docker.DockerClient) -> None:
    data = b"".join(client.images.get("busybox").save(named=True))
    loaded = client.images.load(data)
    assert "busybox:latest" in loaded[0].tags


def test_build(client: docker.DockerClient) -> None:
    dockerfile = b"FROM busybox\nRUN echo built > /built\nENV A=b\nCMD cat /built\n"
    image, lines = client.images.build(fileobj=io.BytesIO(dockerfile), tag="dpy-built", rm=True)
    assert any("Successfully built" in line.get("stream", "") for line in lines)
    assert "A=b" in image.attrs["Config"]["Env"]
    assert client.containers.run("dpy-built", remove=True) == b"built\n"
    client.images.remove("dpy-built")


def test_top_and_stats(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sleep", "60"], detach=True, labels=LABELS)
    try:
        assert any("sleep" in " ".join(row) for row in container.top()["Processes"])
        sample = container.stats(stream=False)
        assert sample["pids_stats"]["current"] >= 1
        assert sample["memory_stats"]["usage"] > 0
        assert "eth0" in sample["networks"]
    finally:
        container.remove(force=True)


def test_prune_and_disk_usage(client: docker.DockerClient) -> None:
    container = client.containers.create("busybox", ["true"], labels={**LABELS, "prune": "me"})
    report = client.containers.prune(filters={"label": "prune=me"})
    assert report["ContainersDeleted"] == [container.id]
    usage = client.df()
    assert any("busybox:latest" in (row["RepoTags"] or []) for row in usage["Images"])


def test_no_log_driver_is_refused_silently(client: docker.DockerClient) -> None:
    with pytest.raises(APIError):
        client.containers.create("busybox", log_config=LogConfig(type="gelf"), labels=LABELS)
