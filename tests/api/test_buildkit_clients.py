"""The real `docker build` and `docker compose build`, with BuildKit as they come, against Solva."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.engine import LiveEngine
from support.peer import client_command

Docker = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def docker(engine: LiveEngine) -> Docker:
    """`docker ARGS` with the engine as its host."""
    prefix = client_command()

    def run(*arguments: str, check: bool = True, stdin: bytes | None = None, env: dict[str, str] | None = None,
            cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        words = [f"{name}={value}" for name, value in (env or {}).items()]
        done = subprocess.run([*prefix, "env", "-C", str(cwd or "/tmp"), f"DOCKER_HOST=unix://{engine.socket}", *words,
                               "docker", *arguments], input=stdin, capture_output=True, check=False, timeout=120)
        text = subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(errors="replace"),
                                           done.stderr.decode(errors="replace"))
        if check and done.returncode:
            raise AssertionError(f"docker {' '.join(arguments)} -> {done.returncode}\n{text.stdout}{text.stderr}")
        return text
    return run


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the client sees it too: it lives in a root of its own that has /tmp in common with this one."""
    path = Path("/tmp") / f"solva-kit-{os.getpid()}-{time.monotonic_ns()}"
    path.mkdir()
    yield path
    shutil.rmtree(path)


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_a_build_its_cache_and_what_changed(docker: Docker, folder: Path) -> None:
    write(folder, Dockerfile="FROM busybox\nENV X=1\nRUN echo made > /made && echo seen\nCOPY . /ctx\n", a__txt="A",
          b__log="B", __dockerignore="*.log\n")
    first = docker("build", "--progress=plain", "-t", "kit:1", "--iidfile", str(folder / "iid"), str(folder)).stderr
    assert "seen" in first
    assert "[stage-0 2/3] RUN echo made" in first
    assert docker("run", "--rm", "kit:1", "sh", "-c", "cat /made /ctx/a.txt; echo $X").stdout == "made\nA1\n"
    listed = docker("run", "--rm", "kit:1", "ls", "-A", "/ctx").stdout.split()
    assert "a.txt" in listed
    assert "b.log" not in listed
    inspected = json.loads(docker("image", "inspect", "kit:1").stdout)[0]
    assert (folder / "iid").read_text() == inspected["Id"]
    (folder / "iid").unlink()
    again = docker("build", "--progress=plain", "-t", "kit:1", str(folder)).stderr
    assert again.count("CACHED") >= 2, again
    write(folder, a__txt="changed")
    changed = docker("build", "--progress=plain", "-t", "kit:1", str(folder)).stderr
    assert changed.count("CACHED") == 1, changed
    assert docker("run", "--rm", "kit:1", "cat", "/ctx/a.txt").stdout == "changed"
    (folder / "a.txt").unlink()
    docker("build", "-q", "-t", "kit:1", str(folder))
    assert "a.txt" not in docker("run", "--rm", "kit:1", "ls", "/ctx").stdout


def test_files_keep_what_they_are(docker: Docker, folder: Path) -> None:
    write(folder, Dockerfile="FROM busybox\nCOPY . /ctx\nRUN stat -c '%n %a %F' /ctx/* > /stat && ls -l /ctx/link\n",
          run__sh="#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("run.sh")
    (folder / "dir").mkdir(mode=0o700)
    (folder / "dir" / "ünï").write_bytes(os.urandom(300_000))
    docker("build", "-t", "kit:2", str(folder))
    rows = docker("run", "--rm", "kit:2", "cat", "/stat").stdout.splitlines()
    assert "/ctx/run.sh 755 regular file" in rows
    assert "/ctx/dir 700 directory" in rows
    assert "/ctx/link 777 symbolic link" in rows
    size = docker("run", "--rm", "kit:2", "stat", "-c", "%s", "/ctx/dir/ünï").stdout
    assert size.strip() == "300000"


def test_errors_show_the_dockerfile(docker: Docker, folder: Path) -> None:
    write(folder, Dockerfile="FROM busybox\nRUN echo before && exit 7\n")
    failed = docker("build", "--progress=plain", str(folder), check=False)
    assert failed.returncode == 1
    assert 'process "/bin/sh -c echo before && exit 7" did not complete successfully: exit code: 7' in failed.stderr
    assert ">>> RUN echo before && exit 7" in failed.stderr
    assert "before" in failed.stderr
    write(folder, Dockerfile="FROM busybox\nFRO x\n")
    failed = docker("build", str(folder), check=False)
    assert "dockerfile parse error on line 2: unknown instruction: FRO" in failed.stderr
    assert ">>> FRO x" in failed.stderr
    write(folder, Dockerfile="FROM busybox\nCOPY nothing /\n")
    failed = docker("build", str(folder), check=False)
    assert "nothing" in failed.stderr
    assert ">>> COPY nothing /" in failed.stderr
    assert docker("build", "-f", str(folder / "Nofile"), str(folder), check=False).returncode == 1


def test_arguments_targets_labels_and_stages_without_cache(docker: Docker, folder: Path) -> None:
    write(folder, Dockerfile="FROM busybox AS base\nARG WHO=nobody\nRUN echo $WHO > /who; "
                             "cat /proc/sys/kernel/random/uuid > /when\n"
                             "FROM base AS other\nRUN echo other > /other\nFROM base AS last\nRUN exit 1\n")
    build = ("build", "--target", "other", "--build-arg", "WHO=me", "--label", "a=b", "-t", "kit:3")
    docker(*build, str(folder))
    assert docker("run", "--rm", "kit:3", "cat", "/who", "/other").stdout == "me\nother\n"
    assert json.loads(docker("image", "inspect", "kit:3").stdout)[0]["Config"]["Labels"]["a"] == "b"
    when = docker("run", "--rm", "kit:3", "cat", "/when").stdout
    docker(*build, "--no-cache-filter", "base", str(folder))
    assert docker("run", "--rm", "kit:3", "cat", "/when").stdout != when


def test_secrets_reach_the_step_and_nothing_else(docker: Docker, folder: Path) -> None:
    write(folder, Dockerfile="FROM busybox\n"
                             "RUN --mount=type=secret,id=file sha256sum /run/secrets/file > /sum; stat -c %a "
                             "/run/secrets/file > /mode\n"
                             "RUN --mount=type=secret,id=env,env=TOKEN echo $TOKEN | sha256sum > /env\n"
                             "RUN --mount=type=secret,id=absent test ! -e /run/secrets/absent\n", s__txt="hidden")
    docker("build", "-t", "kit:4", "--secret", f"id=file,src={folder}/s.txt", "--secret", "id=env,env=MY_TOKEN",
           str(folder), env={"MY_TOKEN": "from-env"})
    seen = docker("run", "--rm", "kit:4", "sh", "-c", "cat /mode /env; ls /run/secrets 2>/dev/null; env").stdout
    assert seen.startswith(f"400\n{hashlib.sha256(b'from-env' + bytes([10])).hexdigest()}")
    assert "from-env" not in seen
    history = docker("history", "--no-trunc", "kit:4").stdout
    assert "hidden" not in history
    assert "from-env" not in history
    write(folder, Dockerfile="FROM busybox\nRUN --mount=type=secret,id=x,required true\n")
    failed = docker("build", str(folder), check=False)
    assert "secret x: not found" in failed.stderr


def test_an_ssh_agent_is_reached(engine: LiveEngine, docker: Docker, folder: Path) -> None:
    """The step sees a socket; what is asked there (here from outside: busybox has no client) the client's agent hears
    and answers: which keys it has, none."""
    question, reply = b"\0\0\0\1\x0b", b"\0\0\0\5\x0c\0\0\0\0"
    agent = socket.socket(socket.AF_UNIX)
    agent.bind(str(folder / "agent"))
    agent.listen()
    heard: list[bytes] = []

    def ask() -> None:
        deadline = time.monotonic() + 30
        while not (found := list(engine.root.glob("data/build/tmp/ssh-*"))) and time.monotonic() < deadline:
            time.sleep(0.02)
        with socket.socket(socket.AF_UNIX) as step:
            step.connect(str(found[0]))
            step.sendall(question)
            heard.append(step.recv(len(reply), socket.MSG_WAITALL))

    def answer() -> None:
        while True:
            try:
                peer, _ = agent.accept()
            except OSError:
                return
            with peer:
                while peer.recv(100) == question:
                    peer.sendall(reply)

    threads = [threading.Thread(target=target, daemon=True) for target in (answer, ask)]
    for thread in threads:
        thread.start()
    write(folder, Dockerfile="FROM busybox\nRUN --mount=type=ssh stat -c '%F %a' $SSH_AUTH_SOCK > /seen && sleep 2\n")
    docker("build", "-t", "kit:5", "--ssh", f"default={folder}/agent", str(folder))
    threads[1].join(30)
    agent.close()
    assert heard == [reply]
    assert docker("run", "--rm", "kit:5", "cat", "/seen").stdout == "socket 600\n"
    assert not list(engine.root.glob("data/build/tmp/*"))


def test_contexts_of_other_names(docker: Docker, folder: Path) -> None:
    (folder / "more").mkdir()
    write(folder / "more", f__txt="from more")
    write(folder, Dockerfile="FROM base\nCOPY --from=extra f.txt /f\nRUN --mount=from=extra,target=/m cp /m/f.txt /g\n")
    docker("build", "-t", "kit:6", "--build-context", f"extra={folder}/more", "--build-context",
           "base=docker-image://busybox", str(folder))
    assert docker("run", "--rm", "kit:6", "cat", "/f", "/g").stdout == "from morefrom more"


def test_the_context_or_the_dockerfile_on_stdin(docker: Docker, folder: Path) -> None:
    write(folder, a__txt="A")
    docker("build", "-t", "kit:7", "-f", "-", str(folder), stdin=b"FROM busybox\nCOPY a.txt /\n")
    assert docker("run", "--rm", "kit:7", "cat", "/a.txt").stdout == "A"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in (("Dockerfile", b"FROM busybox\nCOPY b.txt /\n"), ("b.txt", b"B")):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
    docker("build", "-t", "kit:8", "-", stdin=buffer.getvalue())
    assert docker("run", "--rm", "kit:8", "cat", "/b.txt").stdout == "B"


def test_results_for_the_client(docker: Docker, folder: Path) -> None:
    write(folder, Dockerfile="FROM busybox AS make\nRUN mkdir /d && echo made > /d/f && ln -s f /d/l\n"
                             "FROM scratch\nCOPY --from=make /d /\n")
    docker("build", "-o", str(folder / "out"), str(folder))
    assert (folder / "out" / "f").read_text() == "made\n"
    assert os.readlink(folder / "out" / "l") == "f"
    docker("build", "-o", f"type=tar,dest={folder}/out.tar", str(folder))
    with tarfile.open(folder / "out.tar") as tar:
        assert sorted(tar.getnames()) == ["f", "l"]


def test_compose_builds_and_one_service_stands_on_another(docker: Docker, folder: Path) -> None:
    for name, text in (("one", "FROM busybox\nRUN echo one > /one\n"), ("two", "FROM base\nRUN cat /one > /two\n")):
        (folder / name).mkdir()
        write(folder / name, Dockerfile=text)
    (folder / "compose.yaml").write_text(
        "name: kitc\nservices:\n  one: {build: ./one, image: 'kit:one'}\n"
        "  two:\n    image: kit:two\n    build: {context: ./two, additional_contexts: {base: 'service:one'}}\n")
    docker("compose", "build", cwd=folder)
    assert docker("run", "--rm", "kit:two", "cat", "/two").stdout == "one\n"


def test_checks_outlines_and_targets(docker: Docker, folder: Path) -> None:
    write(folder, Dockerfile="# WHO is greeted\nARG WHO=you\nFROM busybox AS base\nMAINTAINER me\nARG WHO\n"
                             "RUN --mount=type=secret,id=s true\nFROM base AS last\n")
    checked = docker("build", "--check", str(folder), check=False)
    assert checked.returncode == 1
    assert "WARNING: MaintainerDeprecated" in checked.stdout
    assert ">>> MAINTAINER me" in checked.stdout
    outline = json.loads(docker("build", "--call=outline,format=json", str(folder)).stdout)
    assert [(row["name"], row["value"], row["description"]) for row in outline["args"]] == [
        ("WHO", "you", "is greeted")]
    assert [row["name"] for row in outline["secrets"]] == ["s"]
    targets = json.loads(docker("build", "--call=targets,format=json", str(folder)).stdout)
    assert [(row["name"], row.get("default")) for row in targets["targets"]] == [("base", None), ("last", True)]
    built = docker("build", "--progress=plain", str(folder)).stderr
    assert "MaintainerDeprecated: Maintainer instruction is deprecated" in built
    assert docker("build", "--check", "-f", "-", str(folder), stdin=b"FROM busybox\n").stdout.strip() == (
        "Check complete, no warnings found.")


def test_an_interrupted_build_leaves_nothing(engine: LiveEngine, folder: Path) -> None:
    write(folder, Dockerfile=f"FROM busybox\nRUN echo started; sleep 1{os.getpid()}\n")
    process = subprocess.Popen([*client_command(), "env", f"DOCKER_HOST=unix://{engine.socket}", "docker", "build",
                                "--progress=plain", str(folder)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stderr is not None
    while b"started\n" not in (line := process.stderr.readline()) or b"RUN" in line:
        assert line, "the build ended before its step began"
    process.send_signal(signal.SIGINT)
    process.stderr.read()
    process.wait(30)
    deadline = time.monotonic() + 20
    while any(engine.root.glob("data/build/tmp/*")) or _running(f"sleep 1{os.getpid()}"):
        assert time.monotonic() < deadline, "the step's files or its process are left"
        time.sleep(0.05)


def _running(command: str) -> bool:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if line.strip() == command:
                return True
    return False
