"""Trying credentials at a registry (POST /auth)."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlencode

from solva.errors import SystemFailure, Unauthorized
from solva.registry import auth as credentials
from solva.registry.config import Endpoint, RegistryConfig, endpoints
from solva.registry.http import HttpClient, HttpError

_CHALLENGE = re.compile(r'([a-zA-Z]+)="([^"]*)"')
_LIMIT = 1 << 18


async def log_in(body: dict[str, Any], config: RegistryConfig) -> dict[str, Any]:
    """``{"Status", "IdentityToken"}``. Unauthorized where the registry says no, SystemFailure where it cannot be asked.

    Mirrors are never given credentials that are meant for the registry itself.
    """
    given = credentials.from_wire(body)
    domain = _domain(given.server_address)
    failure: HttpError | None = None
    async with HttpClient() as client:
        for endpoint in endpoints(config, domain, mirrors=False):
            try:
                token = await _try(client, endpoint, given)
            except HttpError as error:
                failure = failure or error
                continue
            return {"Status": "Login Succeeded", "IdentityToken": token}
    raise SystemFailure(str(failure))


def _domain(address: str) -> str:
    host = address.partition("://")[2] if "://" in address else address
    host = host.partition("/")[0]
    return "docker.io" if host in ("", "docker.io", "index.docker.io", "registry-1.docker.io") else host


async def _try(client: HttpClient, endpoint: Endpoint, given: credentials.RegistryAuth) -> str:
    """The identity token that the registry gave, "" where it gives none."""
    url = f"{endpoint.base}/v2/"
    response = await client.request("GET", url, verify=endpoint.verify)
    await response.read(_LIMIT)
    if response.status == 200:
        return ""
    scheme, _, rest = response.headers.get("www-authenticate", "").partition(" ")
    if response.status != 401 or scheme.lower() not in ("basic", "bearer"):
        raise SystemFailure(f"login attempt to {url} failed with status: {response.status}")
    token, authorization = "", given.basic
    if scheme.lower() == "bearer":
        authorization, token = await _token(client, endpoint, dict(_CHALLENGE.findall(rest)), given)
    response = await client.request("GET", url, {"Authorization": authorization} if authorization else {},
                                    verify=endpoint.verify)
    await response.read(_LIMIT)
    if response.status == 401:
        raise Unauthorized(f"login attempt to {url} failed with status: 401 Unauthorized")
    if response.status != 200:
        raise SystemFailure(f"login attempt to {url} failed with status: {response.status}")
    return token


async def _token(client: HttpClient, endpoint: Endpoint, fields: dict[str, str],
                 given: credentials.RegistryAuth) -> tuple[str, str]:
    """(Authorization header, identity token) of the realm that the challenge names."""
    realm = fields.get("realm", "")
    query = {"service": fields.get("service", ""), "client_id": "docker"}
    if given.identity_token:
        form = urlencode({**query, "grant_type": "refresh_token", "refresh_token": given.identity_token})
        response = await client.request("POST", realm, {"Content-Type": "application/x-www-form-urlencoded"},
                                        body=form.encode(), verify=endpoint.verify)
    else:
        query |= {"account": given.username, "offline_token": "true"}
        joint = "&" if "?" in realm else "?"
        response = await client.request("GET", f"{realm}{joint}{urlencode(query)}",
                                        {"Authorization": given.basic} if given.basic else {}, verify=endpoint.verify)
    answer = await response.read(_LIMIT)
    if response.status == 401:
        raise Unauthorized(f"Get \"{endpoint.base}/v2/\": unauthorized: incorrect username or password")
    try:
        body = json.loads(answer) if response.status == 200 else {}
        bearer = body.get("token") or body["access_token"]
    except (ValueError, KeyError, AttributeError):
        raise SystemFailure(f"{realm}: authorization server did not include a token in the response "
                            f"(status {response.status})") from None
    return f"Bearer {bearer}", str(body.get("refresh_token") or "")
