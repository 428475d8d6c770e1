"""The distribution protocol against one endpoint and repository, with its tokens."""

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin

from solva.registry.auth import RegistryAuth
from solva.registry.config import Endpoint
from solva.registry.errors import RegistryError, from_body
from solva.registry.http import HttpClient, HttpError, Response
from solva.registry.manifest import ACCEPT

MANIFEST_LIMIT = 8 << 20
_ERROR_LIMIT = 1 << 16
_CHALLENGE = re.compile(r'([a-zA-Z]+)="([^"]*)"')
_CLIENT_ID = "docker"
ATTEMPTS = 5
PAUSE = 1.0         # seconds before the second try; doubles
LONGEST = 60.0


@dataclass(frozen=True, slots=True)
class RawManifest:
    """A manifest as it came, and its verified digest."""

    data: bytes
    content_type: str
    digest: str


class Repository:
    """``path`` on ``endpoint``. Every method raises RegistryError (refused) or HttpError (not reached).

    What a server answers in passing (429, 5xx) is tried again, five times in all, after the time it asks for or one
    that doubles; ``said`` hears the seconds. Not the bodies of blobs: whoever reads or sends those resumes them.
    """

    def __init__(
        self, client: HttpClient, endpoint: Endpoint, path: str, auth: RegistryAuth | None, *, push: bool = False,
        said: Callable[[int], None] = lambda seconds: None, pause: float = PAUSE,
    ) -> None:
        # A mirror in trouble is passed over: the registry itself is asked next.
        self._attempts = 1 if endpoint.mirror else ATTEMPTS
        self.endpoint = endpoint
        self._client = client
        self._path = path
        self._auth = auth or RegistryAuth()
        self._scopes = [f"repository:{path}:{'pull,push' if push else 'pull'}"]
        self._said = said
        self._pause = pause
        self._authorization = f"Bearer {self._auth.registry_token}" if self._auth.registry_token else ""

    def _url(self, rest: str) -> str:
        return f"{self.endpoint.base}/v2/{self._path}/{rest}"

    async def _request(
        self, method: str, url: str, headers: dict[str, str] | None = None, *,
        body: bytes | AsyncIterator[bytes] | None = None, length: int | None = None, accept: tuple[int, ...] = (200,),
    ) -> Response:
        for attempt in range(self._attempts):
            try:
                return await self._authorized(method, url, headers, body, length, accept)
            except RegistryError as error:
                if not error.passing or attempt == self._attempts - 1 or isinstance(body, AsyncIterator):
                    raise
                delay = min(LONGEST, max(error.retry_after, self._pause * 2 ** attempt))
            self._said(math.ceil(delay))
            await asyncio.sleep(delay)
        raise AssertionError("unreachable")

    async def _authorized(
        self, method: str, url: str, headers: dict[str, str] | None, body: bytes | AsyncIterator[bytes] | None,
        length: int | None, accept: tuple[int, ...],
    ) -> Response:
        for attempt in (0, 1):
            sent = dict(headers or {})
            if self._authorization:
                sent["Authorization"] = self._authorization
            response = await self._client.request(
                method, url, sent, body=body, length=length, verify=self.endpoint.verify)
            if response.status in accept:
                return response
            answer = await response.read(_ERROR_LIMIT)
            challenge = response.headers.get("www-authenticate", "")
            if response.status == 401 and challenge and not attempt and not isinstance(body, AsyncIterator):
                await self._authorize(challenge)
                continue
            raise from_body(response.status, answer, url, response.headers.get("retry-after", ""))
        raise AssertionError("unreachable")

    async def _authorize(self, challenge: str) -> None:
        """Answer a 401: Basic with the credentials, or a token from the realm that the challenge names."""
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic":
            self._authorization = self._auth.basic
            return
        fields = dict(_CHALLENGE.findall(rest))
        realm = fields.get("realm", "")
        if scheme.lower() != "bearer" or not realm.startswith(("http://", "https://")):
            raise HttpError(f"{self.endpoint.base}: unsupported authentication challenge {challenge!r}")
        query = {"service": fields.get("service", "")}
        if self._auth.identity_token:
            form = urlencode({"grant_type": "refresh_token", "refresh_token": self._auth.identity_token,
                              "client_id": _CLIENT_ID, "scope": " ".join(self._scopes), **query})
            response = await self._client.request(
                "POST", realm, {"Content-Type": "application/x-www-form-urlencoded"}, body=form.encode(),
                verify=self.endpoint.verify)
        else:
            headers = {"Authorization": self._auth.basic} if self._auth.basic else {}
            if self._auth.username:
                query["account"] = self._auth.username
            rows = [(key, value) for key, value in query.items() if value]
            rows += [("scope", scope) for scope in self._scopes]
            separator = "&" if "?" in realm else "?"
            response = await self._client.request(
                "GET", f"{realm}{separator}{urlencode(rows)}", headers, verify=self.endpoint.verify)
        answer = await response.read(_ERROR_LIMIT * 4)
        if response.status != 200:
            raise from_body(response.status, answer, realm, response.headers.get("retry-after", ""))
        try:
            body = json.loads(answer)
            token = body.get("token") or body["access_token"]
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise HttpError(f"{realm}: authorization server did not include a token in the response") from error
        self._authorization = f"Bearer {token}"

    # -- reading

    async def ping(self) -> None:
        """Whether a registry answers here at all; 401 is an answer."""
        response = await self._client.request("GET", f"{self.endpoint.base}/v2/", verify=self.endpoint.verify)
        await response.read(_ERROR_LIMIT * 4)
        if response.status == 200 or response.status == 401:
            return
        raise from_body(response.status, b"", f"{self.endpoint.base}/v2/")

    async def manifest(self, reference: str) -> RawManifest:
        """By tag or digest; a digest is verified."""
        import hashlib

        response = await self._request("GET", self._url(f"manifests/{reference}"), {"Accept": ACCEPT})
        data = await response.read(MANIFEST_LIMIT)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        if ":" in reference and digest != reference:
            raise RegistryError(500, "", f"manifest verification failed for digest {reference}", response.url)
        return RawManifest(data, response.headers.get("content-type", ""), digest)

    async def tags(self) -> list[str]:
        """All tags, over as many pages as it takes."""
        found: list[str] = []
        url = self._url("tags/list")
        while url:
            response = await self._request("GET", url)
            body = json.loads(await response.read(MANIFEST_LIMIT))
            found.extend(body.get("tags") or [])
            link = re.match(r"<([^>]*)>", response.headers.get("link", ""))
            url = urljoin(response.url, link[1]) if link else ""
        return found

    async def blob(self, digest: str, offset: int = 0) -> tuple[Response, int]:
        """A blob's body from ``offset`` and where it really starts (0 when the server knows no ranges)."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        response = await self._request("GET", self._url(f"blobs/{digest}"), headers, accept=(200, 206))
        if response.status == 206:
            start = response.headers.get("content-range", "").removeprefix("bytes ").partition("-")[0]
            return response, int(start) if start.isdigit() else offset
        return response, 0

    async def small_blob(self, digest: str, limit: int) -> bytes:
        """A blob of at most ``limit`` bytes, whole; a connection that breaks is tried again."""
        for attempt in range(ATTEMPTS):
            try:
                response, _ = await self.blob(digest)
                return await response.read(limit)
            except HttpError:
                if attempt == ATTEMPTS - 1:
                    raise
            delay = self._pause * 2 ** attempt
            self._said(math.ceil(delay))
            await asyncio.sleep(delay)
        raise AssertionError("unreachable")

    async def has_blob(self, digest: str) -> bool:
        try:
            response = await self._request("HEAD", self._url(f"blobs/{digest}"))
        except RegistryError as error:
            if error.status == 404:
                return False
            raise
        response.close()
        return True

    # -- writing

    async def start_upload(self, mount: str = "", source: str = "") -> str:
        """Begin an upload; its URL, or ``""`` when the registry mounted the blob from ``source`` instead."""
        scope = f"repository:{source}:pull"
        if source and scope not in self._scopes:
            self._scopes.append(scope)      # the next challenge is answered with it
        query = f"?{urlencode({'mount': mount, 'from': source})}" if mount and source else ""
        response = await self._request("POST", self._url(f"blobs/uploads/{query}"), accept=(201, 202))
        await response.read(_ERROR_LIMIT)
        return "" if response.status == 201 else urljoin(response.url, response.headers.get("location", ""))

    async def upload(self, location: str, digest: str, body: AsyncIterator[bytes] | bytes, length: int) -> None:
        """All of a blob in one request."""
        separator = "&" if "?" in location else "?"
        response = await self._request(
            "PUT", f"{location}{separator}{urlencode({'digest': digest})}",
            {"Content-Type": "application/octet-stream"}, body=body, length=length, accept=(201, 204))
        await response.read(_ERROR_LIMIT)

    async def send_part(self, location: str, part: bytes, start: int) -> str:
        """One part of an upload that is sent in several; where the next one goes."""
        response = await self._request(
            "PATCH", location, {"Content-Type": "application/octet-stream",
                                "Content-Range": f"{start}-{start + len(part) - 1}"}, body=part, accept=(202, 204))
        await response.read(_ERROR_LIMIT)
        return urljoin(response.url, response.headers.get("location", location))

    async def upload_position(self, location: str) -> tuple[str, int]:
        """How many bytes of an upload the registry has, and where the rest goes."""
        response = await self._request("GET", location, accept=(204,))
        last = response.headers.get("range", "").rpartition("-")[2]
        return (urljoin(response.url, response.headers.get("location", location)),
                int(last) + 1 if last.isdigit() and int(last) else 0)

    async def put_manifest(self, reference: str, data: bytes, media_type: str) -> None:
        response = await self._request(
            "PUT", self._url(f"manifests/{reference}"), {"Content-Type": media_type}, body=data, accept=(200, 201, 202))
        await response.read(_ERROR_LIMIT)
