"""The prices as a page: `/` is a chart that refreshes itself, `/data` the prices as JSON.

    /data                newest 10,000 prices, oldest first: [{"symbol": ..., "price": ..., "timestamp": ...}, ...]
    /data?limit=100      only the newest hundred
    /data?since=TIME     only those after a timestamp that /data gave before

While MongoDB cannot be reached, /data answers 503 with the reason, and the page shows it and goes on asking.

    MONGO_URL   the database the checker stores to
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, jsonify, render_template, request
from pymongo import DESCENDING, MongoClient
from pymongo.errors import PyMongoError

MONGO_URL = os.environ.get("MONGO_URL", "mongodb://root:example@mymongo:27017/")
MOST = 10_000

app = Flask(__name__)
client: MongoClient[dict[str, Any]] = MongoClient(
    MONGO_URL, serverSelectionTimeoutMS=2000, connectTimeoutMS=2000, tz_aware=True, appname="plot"
)


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_prices(limit: int, since: datetime | None) -> list[dict[str, Any]]:
    """The newest `limit` prices, oldest first."""
    wanted: dict[str, Any] = {"timestamp": {"$gt": since}} if since else {}
    fields = {"_id": False, "symbol": True, "price": True, "timestamp": True}
    found = client["crypto_database"]["btc_usdt_prices"].find(wanted, fields)
    prices = list(found.sort("timestamp", DESCENDING).limit(limit))
    prices.reverse()
    return [
        {"symbol": price["symbol"], "price": price["price"], "timestamp": iso(price["timestamp"])}
        for price in prices
    ]


@app.get("/")
def page() -> str:
    return render_template("index.html")


@app.get("/data")
def data() -> tuple[Response, int]:
    try:
        limit = min(max(int(request.args.get("limit", MOST)), 1), MOST)
        # a "+" of a time zone arrives as a space when the client did not quote it
        moment = request.args.get("since", "").replace(" ", "+")
        since = datetime.fromisoformat(moment) if moment else None
        if since is not None and since.tzinfo is None:
            since = since.replace(tzinfo=UTC)
    except ValueError as error:
        return jsonify({"error": str(error)}), 400
    try:
        prices = read_prices(limit, since)
    except PyMongoError as error:
        reason = str(error).split(", Timeout:")[0].split(" (configured timeouts")[0]
        return jsonify({"error": f"MongoDB does not answer: {reason}"}), 503
    response = jsonify(prices)
    response.headers["Cache-Control"] = "no-store"
    return response, 200


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=5000, threaded=True)
