"""Other programs' firewalls beside ours: ours comes back when it is flushed, theirs is read, named and left alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.engine import LiveEngine, run

CLOSED = """table inet lan_policy {
    chain passing {
        type filter hook forward priority 10; policy drop;
        ct state established,related accept
    }
}
"""


def nft(engine: LiveEngine, *words: str, text: str = "") -> str:
    command = ("-f", "-") if text else words
    return run("ip", "netns", "exec", engine.name, "nft", *command, input=text or None).stdout


def own_table(engine: LiveEngine) -> str:
    (name,) = (line.split()[2] for line in nft(engine, "list", "tables").splitlines() if " solva" in line)
    return name


@contextmanager
def closed_by_another(engine: LiveEngine) -> Iterator[None]:
    nft(engine, text=CLOSED)
    try:
        yield
    finally:
        nft(engine, "delete", "table", "inet", "lan_policy")


class Events:
    """Events of the engine as they come; ``wait`` for one that fits."""

    def __init__(self, engine: LiveEngine) -> None:
        self._rows: list[dict[str, Any]] = []
        self._news = threading.Condition()
        url = f"http://d/events?since={time.time():.3f}"
        self.process = subprocess.Popen(["curl", "-sN", "--unix-socket", str(engine.socket), url],
                                        stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self._rows.append(json.loads(line))
                self._news.notify_all()

    def wait(self, fits: Callable[[dict[str, Any]], bool], within: float = 30) -> dict[str, Any]:
        with self._news:
            assert self._news.wait_for(lambda: any(map(fits, self._rows)), within), self._rows
            return next(row for row in self._rows if fits(row))

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def events(engine: LiveEngine) -> Iterator[Events]:
    listening = Events(engine)
    yield listening
    listening.close()


@pytest.fixture
def served(engine: LiveEngine) -> Iterator[str]:
    """A web server on a network of its own, published on 18480."""
    engine.cli("network", "create", "xpl-net")
    engine.cli("run", "-d", "--name", "xpl-web", "--network", "xpl-net", "-p", "18480:80", "busybox", "sh", "-c",
               "echo hello > /tmp/index.html; exec httpd -f -p 80 -h /tmp")
    yield "xpl-web"
    engine.cli("rm", "-f", "xpl-web")
    engine.cli("network", "rm", "xpl-net")


def reached(engine: LiveEngine, url: str, within: float = 30) -> bytes:
    deadline = time.monotonic() + within
    while True:
        try:
            return engine.get(url, timeout=2)
        except OSError:
            if time.monotonic() > deadline:
                raise


@pytest.mark.parametrize("damage", [("flush", "ruleset"), ("delete", "table"), ("flush", "chain", "publish")])
def test_rules_somebody_removes_are_back_at_once(engine: LiveEngine, events: Events, served: str,
                                                 damage: tuple[str, ...]) -> None:
    table = own_table(engine)
    before = nft(engine, "list", "table", "inet", table)
    assert reached(engine, "http://127.0.0.1:18480/") == b"hello\n"
    words = damage if damage[1] == "ruleset" else (damage[0], damage[1], "inet", table, *damage[2:])
    nft(engine, *words)
    event = events.wait(lambda row: row["Action"] == "rules-restored")
    assert event["Type"] == "network"
    assert event["Actor"]["ID"] == f"inet {table}"
    assert event["Actor"]["Attributes"]["by"].startswith("nft ")
    assert float(event["Actor"]["Attributes"]["took_ms"]) < 5000
    assert nft(engine, "list", "table", "inet", table) == before
    assert reached(engine, "http://127.0.0.1:18480/") == b"hello\n"


def test_others_tables_are_left_as_they_are(engine: LiveEngine, events: Events, served: str) -> None:
    with closed_by_another(engine):
        theirs = nft(engine, "list", "table", "inet", "lan_policy")
        nft(engine, "flush", "chain", "inet", own_table(engine), "forward")
        events.wait(lambda row: row["Action"] == "rules-restored")
        assert nft(engine, "list", "table", "inet", "lan_policy") == theirs


def test_a_policy_that_would_stop_a_container_is_named_when_it_starts(engine: LiveEngine, events: Events) -> None:
    with closed_by_another(engine):
        done = engine.cli("create", "--name", "xpl-shut", "-p", "18481:80", "busybox", "sleep", "60")
        try:
            assert "WARNING: " in done.stderr
            assert "chain passing of table inet lan_policy (its policy drop)" in done.stderr
            assert "from other machines to port 80/tcp" in done.stderr
            assert "nft insert rule inet lan_policy passing iifname solva0" in done.stderr
            assert "(its policy drop)" in engine.cli("start", "xpl-shut").stderr
            identifier = done.stdout.strip()
            event = events.wait(lambda row: row["Action"] == "blocked"
                                and row["Actor"]["Attributes"]["container"] == identifier)
            assert "lan_policy" in event["Actor"]["Attributes"]["reason"]
            assert "lan_policy (its policy drop)" in engine.log.read_text()
        finally:
            engine.cli("rm", "-f", "xpl-shut")
    done = engine.cli("create", "--name", "xpl-open", "busybox", "true")
    assert "WARNING" not in done.stderr
    engine.cli("rm", "xpl-open")


def test_following_the_mend_lets_it_pass(engine: LiveEngine) -> None:
    with closed_by_another(engine):
        done = engine.cli("create", "--name", "xpl-mend", "busybox", "true")
        mend = done.stderr.partition("To let it pass: ")[2].splitlines()[0]
        engine.cli("rm", "xpl-mend")
        for command in mend.split(" && "):
            nft(engine, *command.split()[1:])
        done = engine.cli("create", "--name", "xpl-mend", "busybox", "true")
        engine.cli("rm", "xpl-mend")
        assert "WARNING" not in done.stderr


@pytest.mark.parametrize("program", ["iptables-nft", "iptables-legacy"])
def test_a_docker_beside_that_drops_what_is_forwarded(engine: LiveEngine, program: str) -> None:
    """What Docker does where it turned forwarding on itself, with either kind of iptables."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")

    def iptables(*words: str) -> None:
        run("ip", "netns", "exec", engine.name, program, *words)

    iptables("-N", "DOCKER-USER")
    iptables("-A", "FORWARD", "-j", "DOCKER-USER")
    iptables("-A", "FORWARD", "-o", "docker0", "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT")
    iptables("-A", "FORWARD", "-i", "docker0", "!", "-o", "docker0", "-j", "ACCEPT")
    iptables("-P", "FORWARD", "DROP")
    try:
        done = engine.cli("create", "--name", "xpl-dock", "-p", "18482:80", "busybox", "sleep", "60")
        engine.cli("rm", "xpl-dock")
        said = "is stopped by chain FORWARD of table ip filter" if program == "iptables-nft" else \
            "may be stopped by chain FORWARD of table filter (iptables-legacy)"
        assert said in done.stderr
        assert "(its policy drop)" in done.stderr
        mend = done.stderr.partition("To let it pass: ")[2].splitlines()[0]
        assert mend.startswith("iptables" if program == "iptables-nft" else "iptables-legacy")
        assert "-I FORWARD -i solva0" in mend
        if program == "iptables-nft":
            for command in mend.split(" && "):
                iptables(*command.split()[1:])
            done = engine.cli("create", "--name", "xpl-dock", "-p", "18482:80", "busybox", "sleep", "60")
            engine.cli("rm", "xpl-dock")
            assert "WARNING" not in done.stderr
    finally:
        iptables("-P", "FORWARD", "ACCEPT")
        iptables("-F")
        iptables("-X", "DOCKER-USER")


def test_compose_says_it_once(engine: LiveEngine, tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text(json.dumps({"name": "xplc", "services": {
        name: {"image": "busybox", "command": "sleep 100", "stop_signal": "KILL"} for name in ("one", "two")}}))
    with closed_by_another(engine):
        try:
            done = engine.cli("compose", "-f", str(tmp_path / "compose.yml"), "up", "-d")
            assert done.stderr.count("chain passing of table inet lan_policy (its policy drop)") == 1
            assert "Network xplc_default: traffic between its containers" in done.stderr
        finally:
            engine.cli("compose", "-f", str(tmp_path / "compose.yml"), "down")
