"""A price for machines that cannot reach Binance: the same answer as its public ticker, from a random walk.

GET /api/v3/ticker/price?symbol=BTCUSDT  ->  {"symbol": "BTCUSDT", "price": "67012.34000000"}
"""

from __future__ import annotations

import json
import math
import random
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

START = 67_000.0
VOLATILITY = 0.0004  # standard deviation of the logarithm over one second: lively, but no cartoon
PULL = 0.002  # how strongly, a second, the walk is drawn back to where it began


class Walk:
    """A mean-reverting geometric random walk, advanced by the time that has passed since it was asked last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offset = 0.0  # logarithm of price / START
        self._asked = time.monotonic()

    def price(self) -> float:
        with self._lock:
            now = time.monotonic()
            passed = min(now - self._asked, 600.0)
            self._asked = now
            kept = math.exp(-PULL * passed)
            self._offset = self._offset * kept + random.gauss(0.0, VOLATILITY * math.sqrt(passed))
            return START * math.exp(self._offset)


WALK = Walk()


class Ticker(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "prices"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        symbol = parse_qs(url.query).get("symbol", ["BTCUSDT"])[0]
        if url.path != "/api/v3/ticker/price":
            self.answer(404, {"code": -1, "msg": "Not found."})
        elif symbol != "BTCUSDT":
            self.answer(400, {"code": -1121, "msg": "Invalid symbol."})
        else:
            self.answer(200, {"symbol": symbol, "price": f"{WALK.price():.8f}"})

    def answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("simulated BTCUSDT on port 8000", flush=True)
    ThreadingHTTPServer(("0.0.0.0", 8000), Ticker).serve_forever()


if __name__ == "__main__":
    main()
