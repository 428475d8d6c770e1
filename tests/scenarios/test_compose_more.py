"""What Solva's Compose does beyond Docker's, and what only it can be asked: plans, interruption, watching, providers,
models, publishing, pictures, the three ways of showing progress."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.composing import Stack
from support.engine import LiveEngine

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]
LONG = "sh -c 'trap \"exit 0\" TERM; while true; do sleep 0.1; done'"
_made = 0


@pytest.fixture
def stack(engine: LiveEngine, tmp_path: Path) -> Iterator[Stack]:
    global _made
    _made += 1
    found = Stack(tmp_path, f"cmore{os.getpid()}x{_made}", "solva", engine.api.endpoint)
    yield found
    found("down", "-v", "-t", "0", "--remove-orphans", check=False)


def until(what: str, probe: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.05)


def test_a_plan_must_name_every_field_and_be_all_that_is_done(stack: Stack) -> None:
    text = """
services:
  web: {image: busybox, command: %s, environment: {A: "1"}, mem_limit: 64m, volumes: [/scratch]}
  new: {image: busybox, command: %s}
"""
    stack.file((text % (LONG, LONG)).replace("  new", "  x-new").partition("  x-new")[0])
    stack("up", "-d")
    before = stack.ids()
    stack.file((text % (LONG, LONG)).replace('A: "1"', 'A: "2"').replace("64m", "80m"))
    shown = stack("plan", "--out", "plan.json").stdout
    assert f"~ recreate container {stack.project}-web-1" in shown
    assert "environment.A: 1 → 2" in shown
    assert "mem_limit: 67108864 → 83886080" in shown
    assert f"+ create container {stack.project}-new-1" in shown
    assert stack.ids() == before, "a plan changed something"
    assert " DRY-RUN MODE - " in stack("--dry-run", "up", "-d").stderr
    assert stack.ids() == before
    assert f"start {stack.project}-new-1: POST" in stack("plan", "--format", "ops").stdout
    assert json.loads(stack("plan", "--format", "json").stdout)["stops"] == [f"{stack.project}-web-1"]
    stack.file((text % (LONG, LONG)).replace('A: "1"', 'A: "3"'))
    stack("up", "--plan", "plan.json")
    assert set(stack.ids()) == {"web-1", "new-1"}
    assert stack.read("web", "echo $A") == "2\n", "the file was looked at, not the plan"
    done = stack("up", "--plan", "plan.json", check=False)
    assert done.returncode == 1
    assert f"container {stack.project}-web-1 is another one than it was" in done.stderr


def test_a_plan_must_foresee_taken_ports_and_subnets_with_their_owners(stack: Stack, engine: LiveEngine) -> None:
    stack.file("""
services:
  web: {image: busybox, command: sleep 1000, ports: ["18080:80", "18090:80"], networks: [n]}
networks: {n: {ipam: {config: [{subnet: 10.77.0.0/24}]}}}
""")
    other = Stack(stack.folder / "other", f"{stack.project}other", "solva", stack.endpoint)
    other.file("""
services: {squatter: {image: busybox, init: true, command: sleep 1000, ports: ["18080:80"], networks: [m]}}
networks: {m: {ipam: {config: [{subnet: 10.77.0.0/16}]}}}
""")
    other("up", "-d")
    listener = engine.inside(lambda: socket.create_server(("0.0.0.0", 18090)))
    try:
        shown = stack("plan").stdout
    finally:
        listener.close()
        other("down", "-t", "0")
    assert (f"port 18080/tcp of web: taken by container {other.project}-squatter-1 of project {other.project}; "
            "next free: 18081") in shown
    assert f"port 18090/tcp of web: taken by process {os.getpid()} (" in shown
    assert (f"subnet 10.77.0.0/24 of network {stack.project}_n: overlaps 10.77.0.0/16 of network {other.project}_m of "
            f"project {other.project}") in shown


def test_changed_networks_and_volumes_must_be_made_anew_without_losing_more_than_agreed(stack: Stack) -> None:
    text = f"""
services:
  web: {{image: busybox, command: {LONG}, volumes: ["data:/data", /own]}}
networks: {{default: {{labels: {{v: "${{N:-1}}"}}}}}}
volumes: {{data: {{labels: {{v: "${{V:-1}}"}}}}}}
"""
    stack.file(text)
    stack("up", "-d")
    stack.read("web", "echo a > /data/f; echo b > /own/f")
    network = stack.networks()["default"]["Id"]
    done = stack("up", "-d", "-t", "1", N="2")
    assert stack.networks()["default"]["Id"] != network
    assert f"network {stack.project}_default is made anew" in done.stderr
    assert stack.read("web", "cat /data/f /own/f") == "a\nb\n"
    done = stack("up", "-d", N="2", V="2")
    assert "doesn't match configuration in compose file" in done.stdout
    assert stack.read("web", "cat /data/f") == "a\n", "unasked, a volume was made anew"
    plan = stack("plan", "--yes", N="2", V="2").stdout
    assert f"volume {stack.project}_data: all its data" in plan
    stack("up", "-d", "-y", "-t", "1", N="2", V="2")
    assert stack.read("web", "ls /data; cat /own/f") == "b\n"


def test_down_must_name_who_holds_a_network(stack: Stack) -> None:
    stack.file(f"services: {{web: {{image: busybox, command: {LONG}}}}}")
    stack("up", "-d")
    stack.api.json("POST", "/containers/create", query={"name": f"{stack.project}-guest"}, body={
        "Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {
            "NetworkMode": f"{stack.project}_default", "Init": True}})
    stack.api.json("POST", f"/containers/{stack.project}-guest/start")
    try:
        done = stack("down", "-t", "1")
        assert f"Resource is still in use by {stack.project}-guest" in done.stderr
    finally:
        stack.api.json("DELETE", f"/containers/{stack.project}-guest", query={"force": True})


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupted_up_must_leave_whole_things_and_the_next_one_must_go_on(stack: Stack, times: int) -> None:
    stack.file(f"""
services:
  db: {{image: busybox, command: {LONG}, healthcheck: {{test: "test -e /go", interval: 100ms, retries: 100000}}}}
  web: {{image: busybox, command: {LONG}, depends_on: {{db: {{condition: service_healthy}}}}}}
""")
    process = subprocess.Popen(stack.argv("up", "-d"), cwd=stack.folder, env=stack.environment(),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until("db runs", lambda: any(data["State"]["Running"] for data in stack.containers("db").values()))
    assert process.stderr is not None
    for line in process.stderr:
        if "db-1  Waiting" in line:
            break
    for _ in range(times):
        process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    process.stderr.close()
    assert set(stack.containers()) == {"db-1", "web-1"}
    assert not stack.containers("web")["web-1"]["State"]["Running"]
    before = stack.ids()
    stack.read("db", "touch /go")
    stack("up", "-d")
    assert stack.ids() == before
    assert stack.containers("web")["web-1"]["State"]["Running"]


def test_the_foreground_must_stop_on_one_interrupt(stack: Stack) -> None:
    stack.file(f"services: {{web: {{image: busybox, command: sh -c 'echo here; {LONG[7:-1]}'}}}}")
    process = subprocess.Popen(stack.argv("up", "--timestamps"), cwd=stack.folder, env=stack.environment(),
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("web-1  | 20")
    assert line.endswith("Z here\n")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    process.stdout.close()
    assert stack.containers()["web-1"]["State"]["Status"] == "exited"


def test_watching_must_bring_every_change_where_it_belongs(stack: Stack) -> None:
    stack.file(f"""
services:
  web:
    image: {stack.project}-img
    build: {{context: ./ctx}}
    command: {LONG}
    develop:
      watch:
        - {{action: sync, path: ./src, target: /app, initial_sync: true, ignore: ["*.tmp"]}}
        - {{action: sync, path: ./only, target: /only, include: ["*.py"]}}
        - {{action: sync+restart, path: ./conf, target: /conf}}
        - {{action: sync+exec, path: ./run, target: /run/x, exec: {{command: [sh, -c, "echo ran >> /ran"]}}}}
        - {{action: rebuild, path: ./ctx}}
""")
    for name in ("src", "only", "conf", "run"):
        (stack.folder / name).mkdir()
    stack.file("first\n", "src/a")
    stack.file("FROM busybox\nRUN echo one > /built\n", "ctx/Dockerfile")
    process = subprocess.Popen(stack.argv("watch"), cwd=stack.folder, env=stack.environment(),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line == "Watch enabled\n":
                break
        else:
            pytest.fail("watching did not begin")

        def has(command: str, text: str) -> bool:
            return stack("exec", "-T", "web", "sh", "-c", command, check=False).stdout == text

        assert has("cat /app/a", "first\n"), "the initial sync did not happen"
        stack.file("second\n", "src/a")
        stack.file("no\n", "src/b.tmp")
        until("sync", lambda: has("cat /app/a; ls /app", "second\na\n"))
        (stack.folder / "src" / "a").unlink()
        until("deletion", lambda: has("ls /app", ""))
        stack.file("x\n", "only/x.py")
        stack.file("y\n", "only/y.txt")
        until("include", lambda: has("ls /only", "x.py\n"))
        stack.file("x\n", "run/x")
        until("exec", lambda: has("cat /ran", "ran\n"))
        started = stack.containers()["web-1"]["State"]["StartedAt"]
        stack.file("x\n", "conf/x")
        until("restart", lambda: stack.containers()["web-1"]["State"]["StartedAt"] > started
              and has("cat /conf/x", "x\n"))
        before = stack.ids()
        stack.file("FROM busybox\nRUN echo two > /built\n", "ctx/Dockerfile")
        until("rebuild", lambda: has("cat /built", "two\n"))
        assert stack.ids() != before
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_pre_start_hooks_must_run_first_on_the_services_volumes_and_hold_it_back(stack: Stack) -> None:
    text = """
services:
  web:
    image: busybox
    command: %s
    volumes: ["data:/d"]
    pre_start: [{command: [sh, -c, "echo one >> /d/log"]}, {command: [sh, -c, "echo $$W >> /d/log; exit $$E"],
                environment: {W: two, E: "0"}}]
volumes: {data: {}}
"""
    stack.file(text % LONG)
    stack("up", "-d")
    assert stack.read("web", "cat /d/log") == "one\ntwo\n"
    assert set(stack.ids()) == {"web-1"}
    stack("up", "-d")
    assert stack.read("web", "cat /d/log") == "one\ntwo\n"
    stack.file((text % LONG).replace('E: "0"', 'E: "3"'))
    assert "pre_start changed" in stack("plan").stdout
    done = stack("up", "-d", "-t", "1", check=False)
    assert done.returncode == 1
    assert "pre_start[1] of service web: exit 3" in done.stderr
    assert not stack.containers()["web-1"]["State"]["Running"]
    assert "web-pre_start-1" in stack.ids(), "the failed hook is kept to be looked at"


PROVIDER = """#!/bin/sh
if [ "$2" = metadata ]; then
  echo '{"description": "a database", "up": {"parameters": [{"name": "size", "required": true}]},
         "down": {"parameters": []}}'
  exit 0
fi
echo "$@" >> "$LOG"
[ "$3" = up ] && echo '{"type": "info", "message": "making it"}' && echo '{"type": "setenv", "message": "URL=db://1"}'
exit 0
"""


def test_a_provider_must_be_asked_and_its_answer_handed_on(stack: Stack) -> None:
    tool = stack.file(PROVIDER, "bin/makedb")
    tool.chmod(0o755)
    stack.file(f"""
services:
  db: {{provider: {{type: makedb, options: {{size: 3, colour: red}}}}}}
  web: {{image: busybox, command: {LONG}, depends_on: [db]}}
""")
    log = stack.folder / "log"
    more = {"PATH": f"{stack.folder}/bin:{os.environ['PATH']}", "LOG": str(log)}
    done = stack("up", "-d", **more)
    assert "making it" in done.stderr
    assert stack("exec", "-T", "web", "sh", "-c", "echo $DB_URL", **more).stdout == "db://1\n"
    before = stack.ids()
    stack("up", "-d", **more)
    assert stack.ids() == before
    stack("down", "-t", "1", **more)
    calls = log.read_text().splitlines()
    assert calls[0] == f"compose --project-name={stack.project} up --size=3 db"
    assert calls[-1] == f"compose --project-name={stack.project} down db"
    stack.file("services: {db: {provider: {type: nosuchprovider}}}")
    done = stack("up", "-d", check=False)
    assert done.returncode == 1
    assert 'exec: "nosuchprovider": executable file not found in $PATH' in done.stderr


MODEL = """#!/bin/sh
echo "$@" >> "$LOG"
case $1 in
  status) echo '{"running": true, "endpoint": "http://models/v1"}' ;;
  ls) echo '[]' ;;
esac
"""


def test_models_must_be_handed_through_or_refused(stack: Stack) -> None:
    stack.file(f"""
services:
  web: {{image: busybox, command: {LONG}, models: {{small-one: {{endpoint_var: WHERE}}}}}}
models: {{small-one: {{model: ai/tiny, context_size: 1024}}}}
""")
    done = stack("up", "-d", check=False)
    assert done.returncode == 1
    assert "'models' support requires Docker Model plugin" in done.stderr
    assert stack.ids() == {}
    stack.file(MODEL, "config/cli-plugins/docker-model").chmod(0o755)
    log = stack.folder / "log"
    more = {"DOCKER_CONFIG": str(stack.folder / "config"), "LOG": str(log)}
    stack("up", "-d", **more)
    assert stack("exec", "-T", "web", "sh", "-c", "echo $SMALL_ONE_MODEL $WHERE").stdout == "ai/tiny http://models/v1\n"
    assert log.read_text().splitlines()[-2:] == ["pull ai/tiny", "configure --context-size 1024 ai/tiny"]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[int]:
    """A registry of the machine's package, on a free port of 127.0.0.1."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (tmp_path / "registry.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/blobs}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n")
    process = subprocess.Popen([program, "serve", str(tmp_path / "registry.yml")], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        def answers() -> bool:
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=2).status == 200
            except OSError:
                return False
        until("the registry", answers)
        yield port
    finally:
        process.terminate()
        process.wait()


def test_publishing_must_put_the_files_into_the_registry_and_guard_secrets(stack: Stack, registry: int) -> None:
    stack.file("services: {web: {image: busybox, env_file: ./e.env, environment: {A: b}}}\n")
    stack.file("TOKEN=1\n", "e.env")
    target = f"127.0.0.1:{registry}/team/app:1"
    done = stack("publish", target, check=False)
    assert done.returncode == 1
    assert 'service "web" has env_file declared.' in done.stderr
    assert "--with-env flag" in done.stderr
    assert stack("publish", "--with-env", target).stdout.count("Are you ok") == 1, "asked, and nothing was answered"
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"http://127.0.0.1:{registry}/v2/team/app/manifests/1")
    stack("publish", "--with-env", "-y", target)
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    with urllib.request.urlopen(urllib.request.Request(
            f"http://127.0.0.1:{registry}/v2/team/app/manifests/1", headers=accept)) as answer:
        manifest = json.load(answer)
    assert manifest["artifactType"] == "application/vnd.docker.compose.project"
    kinds = [layer["mediaType"].rpartition(".")[2] for layer in manifest["layers"]]
    assert kinds == ["file+yaml", "envfile"]
    with urllib.request.urlopen(f"http://127.0.0.1:{registry}/v2/team/app/blobs/"
                                f"{manifest['layers'][0]['digest']}") as answer:
        text = answer.read().decode()
    name = manifest["layers"][1]["annotations"]["com.docker.compose.envfile"]
    assert f"env_file: {name}" in text


def test_a_picture_must_show_services_ports_networks_and_volumes(stack: Stack) -> None:
    stack.file("""
services:
  web: {image: busybox, ports: ["127.0.0.1:8080:80"], depends_on: {db: {condition: service_healthy}}}
  db: {image: "mongo:7", volumes: ["data:/data/db"], networks: [default, back]}
networks: {back: {}}
volumes: {data: {}}
""")
    text = stack("graph").stdout
    assert "web  [busybox]   127.0.0.1:8080 → 80/tcp\n└─ when healthy: db  [mongo:7]\n" in text
    assert f"{stack.project}_data at /data/db of db" in text
    assert "-->|healthy|" in stack("graph", "--format", "mermaid").stdout
    stack("graph", "-o", "g.svg")
    import xml.etree.ElementTree as ET

    words = {node.text for node in ET.parse(stack.folder / "g.svg").iter() if node.text}
    assert {"web", "db", "127.0.0.1:8080", "healthy", f"network {stack.project}_back"} <= words
    pytest.importorskip("resvg_py")
    stack("graph", "-o", "g.png")
    assert (stack.folder / "g.png").read_bytes().startswith(b"\x89PNG")
    assert '"web" -> "db";' in stack("alpha", "viz").stdout


def test_progress_must_fit_whoever_reads_it(stack: Stack) -> None:
    stack.file(f"services: {{web: {{image: busybox, command: {LONG}}}}}")
    rows = [json.loads(line) for line in stack("--progress", "json", "up", "-d").stderr.splitlines()]
    assert {"id": f"Container {stack.project}-web-1", "status": "Done", "text": "Started"} in rows
    assert stack("--progress", "quiet", "down", "-t", "1").stderr == ""
    ours, theirs = pty.openpty()
    done = subprocess.Popen(stack.argv("up", "-d"), cwd=stack.folder, env=stack.environment(), stdin=theirs,
                            stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:
            break
        if not data:
            break
        seen += data
    os.close(ours)
    assert done.wait(30) == 0
    text = seen.decode()
    assert "[+] Running 2/2" in text
    assert " Networks\r\n" in text
    assert " Containers\r\n" in text
    assert "✔" in text
    done2 = stack("--progress", "loud", "ps", check=False)
    assert done2.returncode == 1
    assert 'unsupported --progress value "loud"' in done2.stderr


def test_listing_and_waiting_must_show_what_is_asked(stack: Stack) -> None:
    text = f"services:\n  one: {{image: busybox, command: {LONG}, volumes: ['vol:/v']}}\n"
    stack.file(text + f"  two: {{image: busybox, command: {LONG}}}\nvolumes: {{vol: {{}}}}\n")
    stack("up", "-d", "--wait", "--wait-timeout", "30")
    stack.file(text + "volumes: {vol: {}}\n")
    assert stack("ps", "--services").stdout.split() == ["one", "two"]
    assert stack("ps", "--services", "--orphans=false").stdout.split() == ["one"]
    assert stack("ps", "--format", "table {{.Service}}\t{{.State}}").stdout.splitlines() == [
        "SERVICE   STATE", "one       running", "two       running"]
    assert stack("ps", "-q", "--status", "exited").stdout == ""
    assert stack("volumes", "--format", "{{.Name}} {{.Driver}}").stdout == f"{stack.project}_vol local\n"
    assert json.loads(stack("images", "--format", "json").stdout)[0]["Repository"] == "busybox"
    assert stack("ls", "-q", "--filter", f"name={stack.project}").stdout == f"{stack.project}\n"
    assert "one" in stack("top", "one").stdout
    assert f"{stack.project}-one-1" in stack("stats", "--no-stream", "one").stdout
    assert stack("--dry-run", "exec", "one", "touch", "/made").stderr.startswith(" DRY-RUN MODE - ")
    assert stack("exec", "-T", "one", "ls", "/made", check=False).returncode != 0
    assert "container exec_create" in stack("events", "--since", "1h", "--until", "0s", "one").stdout
    stack("commit", "one", f"{stack.project}:kept")
    stack.api.json("DELETE", f"/images/{stack.project}:kept")
    stack("export", "-o", "one.tar", "one")
    assert (stack.folder / "one.tar").stat().st_size > 1000
    done = stack("kill", "-s", "KILL")
    assert "two" not in done.stderr
    assert stack.rows()["one"]["ExitCode"] == 137
    stack("start")
    waiting = subprocess.Popen(stack.argv("wait", "--down-project", "one"), cwd=stack.folder, text=True,
                               env=stack.environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    stack("stop", "-t", "5", "one")
    assert waiting.communicate(timeout=60)[0] == f'container "{stack.project}-one-1" exited with status code 0\n'
    assert "one-1" not in stack.ids()


def test_the_menu_must_detach_and_leave_everything_running(stack: Stack) -> None:
    stack.file(f"services: {{web: {{image: busybox, command: sh -c 'echo here; {LONG[7:-1]}'}}}}")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(stack.argv("up", "--menu"), cwd=stack.folder, env=stack.environment(), stdin=theirs,
                               stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    pressed = ""
    while process.poll() is None:
        try:
            data = os.read(ours, 65536)
        except OSError:
            break
        seen += data
        if not pressed and b"Detach" in seen:
            os.write(ours, b"w")        # nothing is configured for it: it is said, and nothing breaks
            pressed = "w"
        elif pressed == "w" and b"none of the selected services" in seen:
            os.write(ours, b"d")
            pressed = "wd"
    os.close(ours)
    assert process.wait(30) == 0, seen
    assert pressed == "wd"
    assert b"here" in seen
    assert stack.containers()["web-1"]["State"]["Running"]


WRONG = (
    ["up", "--plan", "none"], ["graph", "-o", "/none/x.svg"], ["graph", "--format", "x"], ["up", "--scale", "web=x"],
    ["logs", "nosuch"], ["wait", "nosuch"], ["up", "--pull", "soon"], ["alpha", "generate"], ["bridge", "convert"],
    ["attach", "web"], ["cp", "a", "b"], ["cp", "web:/x", "b"], ["pull", "nosuch"], ["watch"], ["publish", "//"],
    ["run", "nosuch"], ["nosuch"], ["plan", "-o", "/none/x"], ["up", "-d", "--attach", "web"],
    ["port", "web", "1"], ["kill", "nosuch"], ["stop", "nosuch"], ["rm", "-f", "nosuch"], ["top", "nosuch"],
    ["up", "--wait", "--watch"], ["up", "-d", "--menu=x"], ["up", "--abort-on-container-exit",
    "--abort-on-container-failure"], ["ps", "--filter", "x=y"], ["exec", "web", "true"], ["commit", "web"],
    ["export", "web"], ["start", "web"], ["scale", "web"], ["--ansi", "maybe", "ps"], ["down", "--rmi", "some"],
    ["run", "--env-from-file", "/none", "web"], ["push", "nosuch"], ["pull", "--policy", "x"],
)


def test_what_is_wrong_must_be_said_without_a_traceback(stack: Stack) -> None:
    stack.file("services: {web: {image: 'busybox', ports: ['8o:1']}}")
    done = stack("up", "-d", check=False)
    assert done.returncode == 1
    assert "8o" in done.stderr
    stack.file("services: {web: {image: busybox}}")
    for arguments in WRONG:
        done = stack(*arguments, check=False)
        assert done.returncode not in (0, None), arguments
        assert "Traceback" not in done.stderr, f"{arguments}\n{done.stderr}"
        assert done.stderr.strip(), arguments
    assert stack.ids() == {}
