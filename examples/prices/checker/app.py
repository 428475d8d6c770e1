"""Reads the price of BTC in USDT every few seconds and stores it in MongoDB.

Nothing that fails here is fatal: a database that is not up yet is waited for, a price that cannot be had is
logged and asked for again at the next tick, and a price that cannot be stored is kept until it can be.

    PRICE_URL   where the price is asked for: JSON with "symbol" and "price", as Binance's public ticker gives
    MONGO_URL   where it is stored
    INTERVAL    seconds between two prices
"""

from __future__ import annotations

import json
import logging
import os
import time
import urllib.error
import urllib.request
from collections import deque
from datetime import UTC, datetime
from typing import Any

from pymongo import DESCENDING, MongoClient
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

PRICE_URL = os.environ.get("PRICE_URL", "https://api.binance.com/api/v3/ticker/price?symbol=BTCUSDT")
MONGO_URL = os.environ.get("MONGO_URL", "mongodb://root:example@mymongo:27017/")
INTERVAL = float(os.environ.get("INTERVAL", "5"))
TIMEOUT = 4.0  # a request must be over before the next one is due
KEPT = 2000  # prices kept in memory while the database is away

log = logging.getLogger("checker")

Document = dict[str, Any]


def fetch_price(url: str = PRICE_URL) -> Document:
    """The current price as a document to store; raises OSError or ValueError."""
    request = urllib.request.Request(url, headers={"Accept": "application/json", "User-Agent": "prices/1.0"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        answer = json.load(response)
    try:
        return {
            "symbol": str(answer["symbol"]),
            "price": float(answer["price"]),
            "timestamp": datetime.now(UTC),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a price: {str(answer)[:200]}") from error


def reason(error: Exception) -> str:
    """One line about an error, without the page-long description pymongo gives of its topology."""
    return str(error).split(", Timeout:")[0].split(" (configured timeouts")[0] or type(error).__name__


def wait_for_mongo(client: MongoClient[Document]) -> None:
    """Return once the database answers."""
    while True:
        try:
            client.admin.command("ping")
        except PyMongoError as error:
            log.warning("waiting for MongoDB: %s", reason(error))
            time.sleep(1)
        else:
            return


def store(prices: Collection[Document], pending: deque[Document]) -> None:
    """Store what is pending, the oldest first; what could not be stored stays pending."""
    while pending:
        prices.insert_one(pending[0])
        stored = pending.popleft()
        log.info("%s %.2f", stored["symbol"], stored["price"])


def tick(prices: Collection[Document], pending: deque[Document]) -> None:
    """Ask for one price and store it."""
    try:
        pending.append(fetch_price())
    except (OSError, ValueError) as error:  # URLError, HTTPError and a timeout are all OSErrors
        log.warning("no price from %s: %s; trying again in %g s", PRICE_URL, error, INTERVAL)
    try:
        store(prices, pending)
    except PyMongoError as error:
        log.warning("not stored: %s; %d price(s) kept", reason(error), len(pending))


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    client: MongoClient[Document] = MongoClient(MONGO_URL, serverSelectionTimeoutMS=2000, appname="checker")
    wait_for_mongo(client)
    prices = client["crypto_database"]["btc_usdt_prices"]
    try:
        prices.create_index([("timestamp", DESCENDING)])
    except PyMongoError as error:
        log.warning("no index on timestamp: %s", reason(error))
    log.info("storing the price of %s every %g s", PRICE_URL, INTERVAL)

    pending: deque[Document] = deque(maxlen=KEPT)
    due = time.monotonic()
    while True:
        tick(prices, pending)
        due = max(due + INTERVAL, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main()
