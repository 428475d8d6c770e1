"""`make demo`: the application of examples/prices on Solva's own engine, and where it is to be seen.

    tools/demo.py up      images where Docker Hub cannot be reached, `compose up -d --build`, then looks at it as a
                          browser would until prices come and the database's page answers
    tools/demo.py down    ends it; VOLUMES=1 forgets the prices too
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRICES = ROOT / "examples" / "prices"
SOLVA = ROOT / ".venv" / "bin" / "solva"
TICKER = "https://api.binance.com/api/v3/ticker/price?symbol=BTCUSDT"
DATA = "http://127.0.0.1:5000/data"
BROWSER = "http://127.0.0.1:8081/"
PATIENCE = 120.0


class DemoFailed(Exception):
    """A step did not work; the message says which."""


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Name a step, and how long it took."""
    print(f"\n== {what}", flush=True)
    began = time.monotonic()
    yield
    print(f"   {time.monotonic() - began:.1f} s", flush=True)


def run(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], cwd=ROOT, check=False)
    if done.returncode:
        raise DemoFailed(f"`{' '.join(str(part) for part in command)}` ended with {done.returncode}")


def get(url: str, login: str = "", timeout: float = 5.0) -> bytes:
    headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()} if login else {}
    # local addresses are not for a proxy
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, headers=headers), timeout=timeout) as answer:
        content: bytes = answer.read()
        return content


def binance_answers() -> bool:
    try:
        with urllib.request.urlopen(TICKER, timeout=4) as answer:
            return "price" in json.load(answer)
    except (OSError, ValueError):
        return False


def wait_for(what: str, probe: Callable[[], bool]) -> None:
    """Ask until it is so; DemoFailed with the last reason when that takes too long."""
    deadline = time.monotonic() + PATIENCE
    reason = "no answer"
    while time.monotonic() < deadline:
        try:
            if probe():
                return
            reason = "it answers, but not that yet"
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code}: {error.read(200).decode(errors='replace').strip()}"
        except (OSError, ValueError) as error:
            reason = str(error)
        time.sleep(0.5)
    raise DemoFailed(f"{what}: not within {PATIENCE:.0f} s ({reason}); `solva compose logs` in {PRICES} may tell why")


def count() -> int:
    return len(json.loads(get(DATA)))


def files(simulated: bool) -> list[str]:
    names = ["compose.yml", *(["compose.simulator.yml"] if simulated else [])]
    return [part for name in names for part in ("-f", str(PRICES / name))]


def up() -> None:
    began = time.monotonic()
    with step("images of Docker Hub"):
        run(sys.executable, "-m", "standins", "up")
    with step("source of the prices"):
        simulated = not binance_answers()
        print(
            "   Binance cannot be reached: a fifth service, prices, simulates it (compose.simulator.yml)"
            if simulated
            else "   Binance answers: the checker asks it"
        )
    compose: list[str | Path] = [SOLVA, "compose", *files(simulated)]
    with step(f"solva compose {' '.join(files(simulated))} up -d --build".replace(f"{ROOT}/", "")):
        run(*compose, "up", "-d", "--build")
    with step("prices come and grow"):
        wait_for(f"a first price at {DATA}", lambda: count() > 0)
        first = count()
        wait_for(f"a further price at {DATA}", lambda: count() > first)
    with step("the database's page answers"):
        wait_for(f"mongo-express at {BROWSER}", lambda: b"crypto_database" in get(BROWSER, "admin:pass"))
    print()
    run(*compose, "ps")
    print(f"""
Up, after {time.monotonic() - began:.1f} s:
  http://127.0.0.1:5000/        the chart; {DATA} has {count()} prices
  http://localhost:8081/        mongo-express, admin:pass; database crypto_database, collection btc_usdt_prices
  cd examples/prices            solva compose ps, logs -f api, exec mymongo sh  (`make install` puts solva on the PATH)
  make demo-down                ends it; the prices stay in the volume prices_mongodata""")


def down() -> None:
    with step("solva compose down"):
        more = ["-v"] if os.environ.get("VOLUMES") else []
        run(SOLVA, "compose", *files(simulated=True), "down", *more)


def main() -> int:
    verbs = {"up": up, "down": down}
    if len(sys.argv) != 2 or sys.argv[1] not in verbs:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        verbs[sys.argv[1]]()
    except DemoFailed as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
