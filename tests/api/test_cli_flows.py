"""The command line against live engines: Solva's own, and a real Docker where one runs."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import select
import subprocess
import sys
import tarfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]


class Cli:
    """``solva`` against one engine."""

    def __init__(self, endpoint: str, config: Path) -> None:
        self.environment = {**os.environ, "SOLVA_HOST": endpoint, "DOCKER_CONFIG": str(config)}
        self.prefix = f"g-{uuid.uuid4().hex[:8]}"

    def __call__(self, *words: str, text_in: str = "", status: int | None = 0, cwd: Path | None = None) -> Done:
        done = subprocess.run([sys.executable, "-m", "solva.cli", *words], env=self.environment, input=text_in,
                              capture_output=True, text=True, timeout=60, check=False, cwd=cwd)
        assert status is None or done.returncode == status, f"{words} -> {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def clean(self) -> None:
        """Remove everything whose name has the prefix."""
        for listing, removal in ((("ps", "-aq"), ("rm", "-fv")), (("network", "ls", "-q"), ("network", "rm")),
                                 (("volume", "ls", "-q"), ("volume", "rm"))):
            found = self(*listing, "-f", f"name={self.prefix}", status=None).stdout.split()
            if found:
                self(*removal, *found, status=None)


@pytest.fixture(params=["solva", pytest.param("peer", marks=pytest.mark.peer)])
def cli(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cli]:
    """The command line, with names of its own, cleaned up after."""
    if request.param == "peer":
        endpoint = request.getfixturevalue("peer_socket")
    else:
        endpoint = f"unix://{request.getfixturevalue('engine').socket}"
    command = Cli(endpoint, tmp_path / "config")
    yield command
    command.clean()


def test_run_prints_and_returns_the_status(cli: Cli) -> None:
    done = cli("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7", status=7)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_run_with_input(cli: Cli) -> None:
    assert cli("run", "--rm", "-i", "busybox", "cat", text_in="a\nb\n").stdout == "a\nb\n"


def test_a_command_that_is_not_there(cli: Cli) -> None:
    done = cli("run", "--rm", "busybox", "/nosuch", status=127)
    assert "no such file or directory" in done.stderr
    assert "Run 'solva run --help' for more information" in done.stderr
    assert cli("run", "--rm", "--entrypoint", "/etc", "busybox", status=126).stderr


def test_an_image_that_is_not_there(cli: Cli) -> None:
    done = cli("run", "--rm", "--pull", "never", "nosuch-image:1", "true", status=125)
    assert done.stderr.startswith("solva: Error response from daemon: No such image: nosuch-image:1")
    done = cli("create", "--pull", "never", "nosuch-image:1", "true", status=1)
    assert done.stderr.startswith("Error response from daemon: No such image: nosuch-image:1")


def test_namespaces_of_nobody_pull_no_image(cli: Cli) -> None:
    done = cli("run", "--rm", "--ipc", "container:nosuch", "busybox", "true", status=125)
    assert "joining IPC namespace of container: No such container: nosuch" in done.stderr
    assert "Unable to find image" not in done.stderr


def test_devices_by_capability(cli: Cli) -> None:
    done = cli("run", "--rm", "--gpus", "all", "busybox", "true", status=125)
    assert 'could not select device driver "" with capabilities: [[gpu]]' in done.stderr


def test_the_life_of_a_container(cli: Cli) -> None:
    name = f"{cli.prefix}-life"
    identifier = cli("run", "-d", "--name", name, "--label", "k=v", "-e", "A=1", "busybox", "sh", "-c",
                     "echo started; exec sleep 300").stdout.strip()
    assert len(identifier) == 64
    rows = cli("ps", "-f", f"name={name}", "--format", "{{.ID}} {{.Names}} {{.State}} {{.Label \"k\"}}").stdout
    assert rows == f"{identifier[:12]} {name} running v\n"
    header, row = cli("ps", "-f", f"name={name}").stdout.splitlines()
    assert header.split("   ")[0] == "CONTAINER ID"
    assert row.startswith(identifier[:12])
    assert row.endswith(name)
    assert cli("logs", name).stdout == "started\n"
    assert cli("exec", "-e", "B=2", "-w", "/tmp", name, "sh", "-c", "echo $A$B $PWD").stdout == "12 /tmp\n"
    assert cli("exec", name, "sh", "-c", "exit 3", status=3)
    assert cli("exec", "-i", name, "cat", text_in="hello").stdout == "hello"
    assert cli("inspect", "-f", "{{.State.Status}} {{index .Config.Labels \"k\"}}", name).stdout == "running v\n"
    assert json.loads(cli("inspect", name).stdout)[0]["Id"] == identifier
    assert "sleep 300" in cli("top", name).stdout
    cli("pause", name)
    assert cli("inspect", "-f", "{{.State.Paused}}", name).stdout == "true\n"
    cli("unpause", name)
    assert cli("stop", "-t", "0", name).stdout == f"{name}\n"
    assert cli("wait", name).stdout == "137\n"
    assert cli("start", name).stdout == f"{name}\n"
    cli("rename", name, f"{name}2")
    assert cli("kill", f"{name}2").stdout == f"{name}2\n"
    assert cli("rm", "-f", f"{name}2").stdout == f"{name}2\n"
    assert cli("inspect", f"{name}2", status=1).stderr == f"Error: No such object: {name}2\n"


def test_start_attached_gives_the_status(cli: Cli) -> None:
    name = f"{cli.prefix}-att"
    cli("create", "--name", name, "busybox", "sh", "-c", "echo again; exit 4")
    assert cli("start", "-a", name, status=4).stdout == "again\n"


def test_files_go_both_ways(cli: Cli, tmp_path: Path) -> None:
    name = f"{cli.prefix}-cp"
    cli("create", "--name", name, "busybox", "sleep", "1")
    (tmp_path / "d" / "sub").mkdir(parents=True)
    (tmp_path / "d" / "sub" / "f").write_text("content")
    cli("cp", str(tmp_path / "d"), f"{name}:/tmp/new")
    cli("cp", f"{name}:/tmp/new/sub/f", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "content"
    cli("cp", f"{name}:/tmp/new/.", str(tmp_path / "whole"))
    assert (tmp_path / "whole" / "sub" / "f").read_text() == "content"
    assert "Could not find the file /nosuch in container" in cli("cp", f"{name}:/nosuch", "-", status=1).stderr
    assert "A /tmp/new/sub/f" in cli("diff", name).stdout


def test_networks_and_volumes(cli: Cli) -> None:
    net, vol = f"{cli.prefix}-net", f"{cli.prefix}-vol"
    cli("network", "create", "--label", "a=b", net)
    assert cli("network", "ls", "-f", f"name={net}", "--format", "{{.Name}} {{.Driver}} {{.Scope}}").stdout == \
        f"{net} bridge local\n"
    cli("volume", "create", vol)
    assert cli("volume", "ls", "-q", "-f", f"name={vol}").stdout == f"{vol}\n"
    cli("run", "--rm", "-v", f"{vol}:/v", "--network", net, "busybox", "sh", "-c", "echo kept > /v/f")
    assert cli("run", "--rm", "-v", f"{vol}:/v", "busybox", "cat", "/v/f").stdout == "kept\n"
    assert cli("network", "inspect", "-f", "{{.Labels.a}}", net).stdout == "b\n"
    assert cli("network", "rm", net).stdout == f"{net}\n"
    assert cli("volume", "rm", vol).stdout == f"{vol}\n"
    assert f"network {net} not found" in cli("network", "rm", net, status=1).stderr
    assert f"get {vol}: no such volume" in cli("volume", "rm", vol, status=1).stderr


def test_images_are_listed_tagged_saved_and_removed(cli: Cli, tmp_path: Path) -> None:
    tag = f"{cli.prefix}:1"
    cli("tag", "busybox", tag)
    assert cli("images", "--format", "{{.Repository}}:{{.Tag}}", cli.prefix).stdout == f"{tag}\n"
    cli("save", "-o", str(tmp_path / "image.tar"), tag)
    with tarfile.open(tmp_path / "image.tar") as tar:
        assert "manifest.json" in tar.getnames()
    assert f"Untagged: {tag}\n" in cli("rmi", tag).stdout
    assert f"Loaded image: {tag}\n" in cli("load", "-i", str(tmp_path / "image.tar")).stdout
    cli("rmi", tag)
    assert f"No such image: {tag}" in cli("rmi", tag, status=1).stderr


def test_build_honours_dockerignore_and_prints_steps(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "Dockerfile").write_text(
        "FROM busybox\nARG X=0\nCOPY . /src/\nRUN ls /src && echo arg $X\nCMD [\"cat\", \"/src/a\"]\n")
    (tmp_path / "c" / ".dockerignore").write_text("*.log\n")
    (tmp_path / "c" / "a").write_text(cli.prefix)
    (tmp_path / "c" / "b.log").write_text("left out")
    tag = f"{cli.prefix}-build"
    done = cli("build", "-t", tag, "--build-arg", "X=5", "--iidfile", str(tmp_path / "iid"), ".", cwd=tmp_path / "c")
    assert "Step 1/5 : FROM busybox" in done.stdout
    assert "arg 5" in done.stdout
    assert "b.log" not in done.stdout
    assert (tmp_path / "iid").read_text().startswith("sha256:")
    assert cli("run", "--rm", tag).stdout == cli.prefix
    assert cli("build", "-q", "--build-arg", "X=5", str(tmp_path / "c")).stdout == (tmp_path / "iid").read_text() + "\n"
    cli("rmi", "-f", tag)


def test_a_failing_build_gives_the_steps_status(cli: Cli) -> None:
    done = cli("build", "-", text_in="FROM busybox\nRUN exit 3\n", status=3)
    assert "The command '/bin/sh -c exit 3' returned a non-zero code: 3" in done.stderr


def test_a_terminal_session(cli: Cli) -> None:
    status, text = on_a_terminal(cli, ["run", "--rm", "-it", "busybox", "sh"], ["stty size\n", "exit 5\n"])
    assert status == 5
    assert "33 101" in text


def test_detach_keys_leave_the_container_running(cli: Cli) -> None:
    name = f"{cli.prefix}-detach"
    status, _ = on_a_terminal(cli, ["run", "-it", "--name", name, "busybox", "sh"], ["echo x\n", "\x10\x11"])
    assert status == 0
    assert cli("inspect", "-f", "{{.State.Running}}", name).stdout == "true\n"


def on_a_terminal(cli: Cli, words: list[str], typed: list[str]) -> tuple[int, str]:
    """Exit status and output of the command with a terminal of 33 lines and 101 columns, typing after each silence."""
    import fcntl
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    process = subprocess.Popen([sys.executable, "-m", "solva.cli", *words], env=cli.environment, stdin=follower,
                               stdout=follower, stderr=follower, start_new_session=True)
    os.close(follower)
    output = io.BytesIO()
    waiting = list(typed)
    deadline = time.monotonic() + 30
    with contextlib.suppress(OSError):
        while time.monotonic() < deadline:
            ready, _, _ = select.select([leader], [], [], 0.5)
            if ready:
                data = os.read(leader, 65536)
                if not data:
                    break
                output.write(data)
            elif waiting and output.getvalue():
                os.write(leader, waiting.pop(0).encode())
    os.close(leader)
    try:
        return process.wait(10), output.getvalue().decode(errors="replace")
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def test_nothing_answers(tmp_path: Path) -> None:
    command = Cli(f"unix://{tmp_path}/none", tmp_path)
    assert command("ps", status=1).stderr == \
        f"cannot reach the engine at unix://{tmp_path}/none: No such file or directory\n"
