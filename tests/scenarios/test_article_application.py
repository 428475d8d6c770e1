"""The application of the article, whole: four services and the price simulator, as its reader would use it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.engine import LiveEngine, missing, run

ROOT = Path(__file__).resolve().parents[2]
PRICES = ROOT / "examples" / "prices"
FILES = ("-f", str(PRICES / "compose.yml"), "-f", str(PRICES / "compose.simulator.yml"))
pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def app_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveEngine]:
    """An engine of its own that pulls docker.io's images from the stand-ins' registry."""
    reason = missing()
    if reason:
        pytest.skip(f"no engine can run here: {reason}")
    root = tmp_path_factory.mktemp("app")
    name = f"solva-a-{os.getpid()}"
    engine = LiveEngine(root, name, outside=True)
    engine.make_netns()
    mirror = f"{engine.host_address}:5050"
    (root / "engine.toml").write_text(
        f'[registry]\ninsecure = ["{mirror}"]\n[registry.mirrors]\n"docker.io" = ["http://{mirror}"]\n')
    try:
        run(sys.executable, "-m", "standins", "up", "--no-config", "--also", mirror, cwd=str(ROOT))
        engine.start()
        yield engine
    finally:
        engine.close()
        run(sys.executable, "-m", "standins", "down", "--only", mirror, cwd=str(ROOT), check=False)


@pytest.fixture(scope="module")
def app(app_engine: LiveEngine) -> LiveEngine:
    """The application, built and up."""
    app_engine.cli("compose", *FILES, "up", "-d", "--build", timeout=600)
    return app_engine


def wait_for(what: str, probe: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < deadline:
        try:
            if probe():
                return
        except (OSError, ValueError) as error:
            last = error
        time.sleep(0.3)
    raise AssertionError(f"{what}: not within {seconds} s; last: {last}")


def prices(engine: LiveEngine) -> list[dict[str, object]]:
    return list(json.loads(engine.get("http://127.0.0.1:5000/data")))


def express(engine: LiveEngine, path: str) -> str:
    """A page of mongo-express, logged in."""
    token = b64encode(b"admin:pass").decode()
    script = ("import urllib.request as r; print(r.urlopen(r.Request('http://127.0.0.1:8081/" + path +
              f"', headers={{'Authorization': 'Basic {token}'}}), timeout=10).read().decode())")
    return run("nsenter", f"--net={engine.netns}", sys.executable, "-c", script).stdout


def test_prices_come_and_grow(app: LiveEngine) -> None:
    wait_for("first prices", lambda: len(prices(app)) >= 1)
    before = len(prices(app))
    wait_for("more prices", lambda: len(prices(app)) > before)
    row = prices(app)[-1]
    assert row["symbol"] == "BTCUSDT"
    assert float(str(row["price"])) > 0
    assert row["timestamp"]


def test_services_and_ports_as_the_file_says(app: LiveEngine) -> None:
    rows = [json.loads(line) for line in
            app.cli("compose", *FILES, "ps", "--format", "json").stdout.splitlines()]
    assert {row["Service"] for row in rows} == {"mymongo", "dbbrowser", "api", "web", "prices"}
    assert all(row["State"] == "running" for row in rows)
    assert app.cli("compose", *FILES, "port", "web", "5000").stdout.strip() == "127.0.0.1:5000"
    assert app.cli("compose", *FILES, "port", "dbbrowser", "8081").stdout.strip() == "0.0.0.0:8081"


def test_names_of_services_are_dns_names(app: LiveEngine) -> None:
    done = app.cli("compose", *FILES, "exec", "-T", "api", "python", "-c",
                   "import socket; print(socket.gethostbyname('mymongo'))")
    mongo = app.api.json("GET", "/containers/prices-mymongo-1/json")
    addresses = [net["IPAddress"] for net in mongo["NetworkSettings"]["Networks"].values()]
    assert [done.stdout.strip()] == addresses


def test_mongo_express_shows_the_collection(app: LiveEngine) -> None:
    wait_for("mongo-express", lambda: "crypto_database" in express(app, ""))
    page = express(app, "db/crypto_database/btc_usdt_prices")
    assert "BTCUSDT" in page
    with pytest.raises(AssertionError):  # without the password: 401
        run("nsenter", f"--net={app.netns}", sys.executable, "-c",
            "import urllib.request as r; r.urlopen('http://127.0.0.1:8081/', timeout=10)")


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_pages_in_a_browser(app: LiveEngine, tmp_path: Path) -> None:
    picture = tmp_path / "chart.png"
    base = ["nsenter", f"--net={app.netns}", "chromium", "--headless", "--no-sandbox", "--disable-gpu",
            "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=8000"]
    wait_for("prices to draw", lambda: len(prices(app)) > 2)
    for _ in range(3):      # its virtual time may run out before a busy machine has answered the page's own request
        dom = subprocess.run([*base, "--dump-dom", "http://127.0.0.1:5000/"], capture_output=True, text=True,
                             timeout=120, check=True).stdout
        if re.search(r"<(polyline|path|canvas)", dom):
            break
    assert re.search(r"<(polyline|path|canvas)", dom), "no chart on the page"
    assert "BTC" in dom
    assert not re.search(r"https?://(?!127\.0\.0\.1|localhost|www\.w3\.org)", dom), "the page reaches outside"
    subprocess.run([*base, f"--screenshot={picture}", "--window-size=1280,800", "http://127.0.0.1:5000/"],
                   capture_output=True, timeout=120, check=True)
    assert picture.stat().st_size > 10_000


def test_nothing_to_do_recreates_nothing(app: LiveEngine) -> None:
    def ids() -> set[str]:
        return {row["Id"] for row in app.api.json("GET", "/containers/json")}
    before = ids()
    app.cli("compose", *FILES, "up", "-d")
    assert ids() == before


def test_killed_engine_is_not_missed(app: LiveEngine) -> None:
    """kill -9: prices go on, names resolve, ports answer; the next engine adopts everything."""
    before = {row["Id"]: row["State"] for row in app.api.json("GET", "/containers/json")}
    starts = {i: app.api.json("GET", f"/containers/{i}/json")["State"]["StartedAt"] for i in before}
    count = len(prices(app))
    app.kill()
    wait_for("prices without an engine", lambda: len(prices(app)) > count + 1)
    count = len(prices(app))
    app.start()
    after = {row["Id"]: row["State"] for row in app.api.json("GET", "/containers/json")}
    assert after == before
    assert {i: app.api.json("GET", f"/containers/{i}/json")["State"]["StartedAt"] for i in after} == starts
    wait_for("prices after the adoption", lambda: len(prices(app)) > count)
    assert "BTCUSDT" in app.cli("compose", *FILES, "logs", "api").stdout
    done = app.cli("compose", *FILES, "exec", "-T", "web", "python", "-c",
                   "import socket; print(socket.gethostbyname('api'))")
    assert done.stdout.strip()


def test_down_is_quick_and_keeps_the_volume(app: LiveEngine) -> None:
    count = len(prices(app))
    first = prices(app)[0]["timestamp"]
    start = time.monotonic()
    app.cli("compose", *FILES, "down")
    took = time.monotonic() - start
    assert app.api.json("GET", "/containers/json", query={"all": True}) == []
    assert [n["Name"] for n in app.api.json("GET", "/networks") if n["Name"].startswith("prices")] == []
    assert took < 10, f"down waited for processes that cannot hear the signal: {took:.1f} s"
    app.cli("compose", *FILES, "up", "-d", timeout=300)
    wait_for("the prices of before", lambda: len(prices(app)) >= count)
    assert prices(app)[0]["timestamp"] == first
    app.cli("compose", *FILES, "down", "-v")
    # named ones are forgotten; an anonymous one of before the plain `down` stays, as with Docker
    assert "prices_mongodata" not in {v["Name"] for v in app.api.json("GET", "/volumes")["Volumes"] or []}


def test_the_articles_run_command(app_engine: LiveEngine) -> None:
    """docker run --name plot --network mynetwork -p 5000:5000 -d flask"""
    app_engine.cli("network", "create", "mynetwork")
    app_engine.cli("tag", "plot:1.0.0", "flask")
    app_engine.cli("run", "--name", "plot", "--network", "mynetwork", "-p", "5000:5000", "-d", "flask")
    try:
        wait_for("the page", lambda: b"<html" in app_engine.get("http://127.0.0.1:5000/").lower())
    finally:
        app_engine.cli("rm", "-f", "plot")
        app_engine.cli("network", "rm", "mynetwork")


