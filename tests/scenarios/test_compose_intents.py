"""What a compose file must bring about, on every pair of Compose and engine that the machine has.

Each scenario is an intent. `make` runs it three times: Solva's Compose on Solva's engine and on a real dockerd,
Docker's Compose on Solva's engine. The engine is asked for the effect, not the command line.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.composing import Stack
from support.engine import LiveEngine

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]
LONG = "sh -c 'trap \"exit 0\" TERM; while true; do sleep 0.1; done'"
PAIRS = ["solva-solva", pytest.param("solva-docker", marks=pytest.mark.peer),
         pytest.param("docker-solva", marks=pytest.mark.peer)]
Make = Callable[[str], Stack]
_made = 0


@pytest.fixture(params=PAIRS)
def make(request: pytest.FixtureRequest, engine: LiveEngine, tmp_path: Path) -> Iterator[Make]:
    """``make(text)`` writes a compose file and gives its stack, which is taken down afterwards."""
    cli, _, which = request.param.partition("-")
    if "docker" in (cli, which):
        request.getfixturevalue("peer_socket")
    endpoint = engine.api.endpoint if which == "solva" else request.getfixturevalue("peer_socket")
    if cli == "docker" and not str(tmp_path).startswith("/tmp/"):
        pytest.skip("Docker's Compose runs in a root that sees /tmp alone")
    stacks: list[Stack] = []

    def build(text: str) -> Stack:
        global _made
        _made += 1
        stack = Stack(tmp_path, f"cint{os.getpid()}x{_made}", cli, endpoint)
        stack.file(text)
        stacks.append(stack)
        return stack

    yield build
    for stack in stacks:
        stack("rm", "-sfv", check=False)        # `down -v` lists volumes, which waits for every plugin of a dockerd
        stack("down", "-t", "0", "--remove-orphans", check=False)


def test_a_changed_service_alone_must_be_made_anew_and_keep_its_volumes(make: Make) -> None:
    stack = make(f"""
services:
  db: {{image: busybox, command: {LONG}, volumes: [/data]}}
  web: {{image: busybox, command: {LONG}, environment: {{COLOUR: "${{COLOUR:-blue}}"}}, volumes: [/keep]}}
""")
    stack("up", "-d")
    before = stack.ids()
    assert set(before) == {"db-1", "web-1"}
    stack("up", "-d")
    assert stack.ids() == before, "nothing changed and something was made anew"
    stack.read("web", "echo kept > /keep/file")
    stack("up", "-d", COLOUR="red")
    after = stack.ids()
    assert after["db-1"] == before["db-1"]
    assert after["web-1"] != before["web-1"]
    assert stack.read("web", "echo $COLOUR; cat /keep/file") == "red\nkept\n"
    stack("up", "-d", "-V", COLOUR="green")
    assert stack.read("web", "ls /keep") == ""


def test_dependencies_must_be_healthy_or_completed_before_what_waits_for_them(make: Make) -> None:
    stack = make(f"""
services:
  db:
    image: busybox
    command: sh -c 'sleep 0.4; touch /ready; trap "exit 0" TERM; while true; do sleep 0.1; done'
    healthcheck: {{test: "test -e /ready", interval: 100ms, start_period: 5s, start_interval: 100ms, retries: 50}}
  job: {{image: busybox, command: "true", depends_on: {{db: {{condition: service_healthy}}}}}}
  web: {{image: busybox, command: {LONG}, depends_on: {{job: {{condition: service_completed_successfully}},
         absent: {{condition: service_started, required: false}}}}}}
  absent: {{image: busybox, command: {LONG}, profiles: [never]}}
""")
    stack("up", "-d")
    found = stack.containers()
    assert set(found) == {"db-1", "job-1", "web-1"}
    assert found["db-1"]["State"]["Health"]["Status"] == "healthy"
    assert found["job-1"]["State"]["StartedAt"] > found["db-1"]["State"]["StartedAt"]
    assert found["job-1"]["State"]["ExitCode"] == 0
    assert found["web-1"]["State"]["StartedAt"] >= found["job-1"]["State"]["FinishedAt"]


def test_an_unhealthy_or_failed_dependency_must_stop_what_waits_for_it(make: Make) -> None:
    stack = make(f"""
services:
  db: {{image: busybox, command: sh -c 'echo my last words; {LONG[7:-1]}',
       healthcheck: {{test: "echo boom; exit 3", interval: 100ms, retries: 1}}}}
  web: {{image: busybox, command: {LONG}, depends_on: {{db: {{condition: service_healthy}}}}}}
""")
    done = stack("up", "-d", check=False)
    assert done.returncode == 1
    assert f"dependency failed to start: container {stack.project}-db-1 is unhealthy" in done.stderr
    assert not stack.containers("web")["web-1"]["State"]["Running"]
    if stack.cli == "solva":
        assert "exited 3" in done.stderr
        assert "boom" in done.stderr
        assert "my last words" in done.stderr
    stack.file(f"""
services:
  job: {{image: busybox, command: sh -c 'echo no luck; exit 4'}}
  web: {{image: busybox, command: {LONG}, depends_on: {{job: {{condition: service_completed_successfully}}}}}}
""")
    done = stack("up", "-d", "--remove-orphans", check=False)
    assert done.returncode == 1
    assert 'service "job" didn\'t complete successfully: exit 4' in done.stderr
    if stack.cli == "solva":
        assert "no luck" in done.stderr


def test_scaling_must_reuse_the_lowest_numbers_and_orphans_must_go_only_on_request(make: Make) -> None:
    text = "services:\n  web: {image: busybox, command: %s}\n"
    stack = make((text + "  old: {image: busybox, command: %s}\n") % (LONG, LONG))
    stack("up", "-d", "--scale", "web=3")
    first = stack.ids()
    assert set(first) == {"web-1", "web-2", "web-3", "old-1"}
    stack.api.json("DELETE", f"/containers/{first['web-2']}", query={"force": True})
    stack.file(text % LONG)
    done = stack("up", "-d", "--scale", "web=3")
    assert "Found orphan containers" in done.stderr
    second = stack.ids()
    added = "web-2" if stack.cli == "solva" else "web-4"        # Docker's Compose counts on from the highest
    assert {name for name in second if second[name] != first.get(name)} == {added}
    stack("up", "-d", "--scale", "web=1", "--remove-orphans", "-t", "1")
    assert stack.ids() == {"web-1": first["web-1"]}


def test_restart_true_must_restart_the_dependent_of_what_is_made_anew(make: Make) -> None:
    stack = make(f"""
services:
  db: {{image: busybox, command: {LONG}, labels: {{x: "${{X:-1}}"}}}}
  web: {{image: busybox, command: {LONG}, depends_on: {{db: {{condition: service_started, restart: true}}}}}}
  idle: {{image: busybox, command: {LONG}, depends_on: [db]}}
""")
    stack("up", "-d")
    before = stack.containers()
    stack("up", "-d", "-t", "1", X="2")
    after = stack.containers()
    assert after["db-1"]["Id"] != before["db-1"]["Id"]
    assert after["web-1"]["Id"] == before["web-1"]["Id"]
    assert after["web-1"]["State"]["StartedAt"] > after["db-1"]["State"]["StartedAt"]
    assert after["idle-1"]["State"]["StartedAt"] == before["idle-1"]["State"]["StartedAt"]
    stack("restart", "-t", "1", "db")
    again = stack.containers()
    assert again["web-1"]["State"]["StartedAt"] > after["web-1"]["State"]["StartedAt"]
    assert again["idle-1"]["State"]["StartedAt"] == before["idle-1"]["State"]["StartedAt"]


def test_secrets_and_configs_must_be_there_with_content_and_mode(make: Make) -> None:
    stack = make(f"""
services:
  web:
    image: busybox
    command: {LONG}
    secrets: [{{source: token, target: t, uid: "33", gid: "34", mode: 0440}}, file]
    configs: [{{source: greeting, target: /etc/greeting, mode: 0600}}]
secrets: {{token: {{environment: TOKEN}}, file: {{file: ./secret.txt}}}}
configs: {{greeting: {{content: "hello ${{WHO:-you}}\\n"}}}}
""")
    stack.file("from a file\n", "secret.txt")
    stack("up", "-d", TOKEN="abc")
    assert stack("exec", "-T", "web", "sh", "-c", "stat -c '%u %g %a' /run/secrets/t; cat /run/secrets/t", TOKEN="abc"
                 ).stdout == "33 34 440\nabc"
    assert stack("exec", "-T", "web", "sh", "-c", "cat /run/secrets/file; stat -c %a /etc/greeting; cat /etc/greeting",
                 TOKEN="abc").stdout == "from a file\n600\nhello you\n"
    before = stack.ids()
    if stack.cli == "solva":
        stack("up", "-d", TOKEN="abc")
        assert stack.ids() == before
        assert "content of /run/secrets/t changed" in stack("up", "-d", TOKEN="other").stderr
        assert stack("exec", "-T", "web", "cat", "/run/secrets/t", TOKEN="other").stdout == "other"
        stack.file(stack.file("", "x").with_name("compose.yaml").read_text().replace(
            "secrets: [{source: token", "secrets: [{source: file, target: own, uid: '5', mode: 0400}, {source: token"))
        stack("up", "-d", TOKEN="other")
        assert stack("exec", "-T", "web", "stat", "-c", "%u %a", "/run/secrets/own", TOKEN="other").stdout == "5 400\n"


def test_hooks_must_run_and_a_failing_one_must_be_told(make: Make) -> None:
    stack = make(f"""
services:
  web:
    image: busybox
    command: {LONG}
    volumes: ["./out:/out"]
    post_start: [{{command: [sh, -c, "echo started by $$WHO > /out/post"], environment: {{WHO: hook}}}}]
    pre_stop: [{{command: [sh, -c, "echo stopping > /out/pre"]}}]
""")
    (stack.folder / "out").mkdir()
    stack("up", "-d")
    assert (stack.folder / "out" / "post").read_text() == "started by hook\n"
    stack("stop", "-t", "1")
    if stack.cli == "solva":            # Docker's Compose runs it on `down` alone
        assert (stack.folder / "out" / "pre").read_text() == "stopping\n"
    stack.file(f"services: {{web: {{image: busybox, command: {LONG}, post_start: [{{command: [sh, -c, 'exit 5']}}]}}}}")
    if stack.cli == "solva":
        assert "      post_start changed\n      pre_stop changed\n" in stack("plan").stdout
    done = stack("up", "-d", "-t", "1", check=False)
    assert done.returncode == 1
    assert "hook exited with status 5" in done.stderr


def test_a_shared_network_namespace_must_follow_its_owner(make: Make) -> None:
    stack = make(f"""
services:
  web: {{image: busybox, command: {LONG}, environment: {{X: "${{X:-1}}"}}}}
  side: {{image: busybox, command: {LONG}, network_mode: "service:web"}}
""")
    stack("up", "-d")
    before = stack.ids()
    assert stack.containers()["side-1"]["HostConfig"]["NetworkMode"] == f"container:{before['web-1']}"
    address = "ip -4 addr show eth0 | grep inet"
    assert stack.read("side", address) == stack.read("web", address) != ""
    stack("up", "-d")
    assert stack.ids() == before
    stack("up", "-d", "-t", "1", X="2")
    after = stack.ids()
    assert after["side-1"] != before["side-1"]
    assert stack.read("side", address) == stack.read("web", address) != ""


def test_names_aliases_and_links_must_resolve_and_external_networks_must_stay(make: Make) -> None:
    stack = make(f"""
services:
  db: {{image: busybox, command: {LONG}, networks: {{back: {{aliases: [store]}}}}}}
  web: {{image: busybox, command: {LONG}, links: ["db:linked"], networks: [back, out]}}
networks:
  back: {{}}
  out: {{external: true, name: "{{name}}"}}
""")
    name = f"{stack.project}-outside"
    stack.file((stack.folder / "compose.yaml").read_text().replace("{name}", name))
    done = stack("up", "-d", check=False)
    assert done.returncode == 1
    assert f"network {name} declared as external, but could not be found" in done.stderr
    stack.api.json("POST", "/networks/create", body={"Name": name})
    try:
        stack("up", "-d")
        for other in ("db", "store", "linked", f"{stack.project}-db-1"):
            assert "can't" not in stack.read("web", f"ping -c1 -W2 {other} >/dev/null && echo {other}")
        assert set(stack.containers()["web-1"]["NetworkSettings"]["Networks"]) == {f"{stack.project}_back", name}
        stack("down", "-t", "1")
        left = stack.api.json("GET", "/networks", query={"filters": {"name": [name]}})
        assert [row["Name"] for row in left] == [name]
        assert stack.networks() == {}
    finally:
        stack("down", "-t", "0", check=False)
        stack.api.json("DELETE", f"/networks/{name}")


def test_one_off_commands_must_give_their_output_and_status(make: Make) -> None:
    stack = make(f"""
services:
  web: {{image: busybox, command: {LONG}, environment: {{A: "1", B: "2"}}, depends_on: [db], ports: ["80"]}}
  db: {{image: busybox, command: {LONG}}}
""")
    stack.file("C=3\n", "extra.env")
    stack.folder.chmod(0o755)
    done = stack("run", "--rm", "-T", "-e", "B=9", "--env-from-file", "extra.env", "-w", "/tmp", "-u", "1",
                 "-v", f"{stack.folder}:/mine:ro", "web", "sh", "-c", "echo $A$B$C; pwd; id -u; ls /mine; exit 6",
                 check=False)
    assert done.returncode == 6
    assert done.stdout.split() == ["193", "/tmp", "1", "compose.yaml", "extra.env"]
    assert stack.containers()["db-1"]["State"]["Running"]
    assert set(stack.containers()) == {"db-1"}, "--rm left the container"
    stack("up", "-d")
    assert stack("exec", "-T", "web", "sh", "-c", "exit 7", check=False).returncode == 7
    stack.file("copied\n", "note")
    stack("cp", "note", "web:/note")
    assert stack.read("web", "cat /note") == "copied\n"
    stack("cp", "web:/note", "back")
    assert (stack.folder / "back").read_text() == "copied\n"
    assert stack("port", "web", "80").stdout.strip().rpartition(":")[2].isdigit()
    stack("pause", "web")
    assert stack.rows()["web"]["State"] == "paused"
    stack("unpause", "web")
    stack("kill", "-s", "TERM", "web")
    assert stack("wait", "web", check=False).returncode == 0 or stack.rows()["web"]["State"] == "exited"
    stack("rm", "-f", "web")
    assert set(stack.containers()) == {"db-1"}


def test_the_end_of_one_container_must_end_the_foreground(make: Make) -> None:
    stack = make(f"""
services:
  one: {{image: busybox, command: sh -c 'echo out of one; sleep 0.3; exit 3'}}
  two: {{image: busybox, command: {LONG}}}
""")
    done = stack("up", "--exit-code-from", "one", "-t", "1", check=False)
    assert done.returncode == 3
    assert "out of one" in done.stdout
    assert "one-1 exited with code 3" in done.stdout + done.stderr
    assert not any(data["State"]["Running"] for data in stack.containers().values())
    assert "one-1  | out of one" in stack("logs", "one").stdout


def test_either_compose_must_take_over_what_the_other_made(make: Make, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("peer_socket")
    stack = make(f"""
services:
  db: {{image: busybox, command: {LONG}, healthcheck: {{test: "true", interval: 1s}}, mem_limit: 64m}}
  web: {{image: busybox, command: {LONG}, environment: [A=1], depends_on: [db], ports: ["80"], links: [db],
        deploy: {{replicas: 2}}}}
  side: {{image: busybox, command: {LONG}, network_mode: "service:db", volumes_from: [db]}}
""")
    stack("up", "-d")
    before = stack.ids()
    other = stack.as_("docker" if stack.cli == "solva" else "solva")
    other("up", "-d")
    assert stack.ids() == before
    stack("up", "-d")
    assert stack.ids() == before
    other("down", "-t", "1")
    assert stack.ids() == {}
    assert stack.networks() == {}
