"""Looking for images by a word: the index's protocol (``/v1/search``) that Docker Hub speaks."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from solva.errors import InvalidParameter, SystemFailure
from solva.registry.auth import RegistryAuth
from solva.registry.config import RegistryConfig, endpoints
from solva.registry.http import HttpClient, HttpError

HUB = "https://index.docker.io"
_FILTERS = ("is-automated", "is-official", "stars")
_LIMIT = 8 << 20


async def search(term: str, limit: int, filters: dict[str, list[str]], config: RegistryConfig,
                 auth: RegistryAuth | None = None) -> list[dict[str, Any]]:
    """Rows of GET /images/search. ``term``: ``[registry/]word``. ``limit`` 1 to 100 (0 is 25)."""
    wanted = _conditions(filters)
    if not 0 <= limit <= 100:
        raise InvalidParameter(f"limit {limit} is outside the range of [1, 100]")
    if "://" in term:
        raise InvalidParameter(f"invalid repository name: repository name ({term}) should not have a scheme")
    head, slash, rest = term.partition("/")
    named = bool(slash) and ("." in head or ":" in head or head == "localhost")
    word = rest if named else term.removeprefix("library/")
    places = [(item.base, item.verify) for item in endpoints(config, head, mirrors=False)] if named else [(HUB, True)]
    query = urlencode({"q": word, "n": limit or 25})
    failure: Exception | None = None
    async with HttpClient() as client:
        for base, verify in places:
            try:
                headers = {"X-Docker-Token": "true", **({"Authorization": auth.basic} if auth and auth.basic else {})}
                response = await client.request("GET", f"{base}/v1/search?{query}", headers, verify=verify)
                answer = await response.read(_LIMIT)
            except HttpError as error:
                failure = failure or error
                continue
            if response.status != 200:
                raise SystemFailure(f"Unexpected status code {response.status}")
            return [row for row in _rows(answer) if all(row[key] == value if key != "star_count" else
                                                        row[key] >= value for key, value in wanted.items())]
    raise SystemFailure(str(failure))


def _conditions(filters: dict[str, list[str]]) -> dict[str, Any]:
    wanted: dict[str, Any] = {}
    for key, values in filters.items():
        if key not in _FILTERS:
            raise InvalidParameter(f"invalid filter '{key}'")
        for value in values:
            if key == "stars":
                if not value.isdigit():
                    raise InvalidParameter(f"invalid filter 'stars={value}': strconv.Atoi: parsing \"{value}\": "
                                           "invalid syntax")
                wanted["star_count"] = max(wanted.get("star_count", 0), int(value))
            elif value.lower() not in ("true", "1", "false", "0"):
                raise InvalidParameter(f"invalid filter '{key}=[{value}]'")
            else:
                wanted[key.replace("-", "_")] = value.lower() in ("true", "1")
    return wanted


def _rows(answer: bytes) -> list[dict[str, Any]]:
    try:
        results = json.loads(answer)["results"] or []
        return [{"star_count": int(row.get("star_count") or 0), "is_official": bool(row.get("is_official")),
                 "name": str(row["name"]), "is_automated": bool(row.get("is_automated")),
                 "description": str(row.get("description") or "")} for row in results]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SystemFailure(f"the index's answer is not understood: {error}") from error
