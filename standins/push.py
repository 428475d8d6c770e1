"""Pushing to a registry over its real protocol: blobs, then manifests, then what the tags point to."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlencode, urlsplit

from standins.oci import Document, Image


class PushFailed(Exception):
    """The registry answered with something else than the protocol wants."""


class Registry:
    """A registry at host:port, over plain HTTP, without credentials."""

    def __init__(self, address: str) -> None:
        self.address = address

    @contextmanager
    def _connected(self) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            yield connection
        finally:
            connection.close()

    def request(
        self, method: str, path: str, body: bytes | IO[bytes] | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One exchange: (status, headers by lower-case name, body)."""
        with self._connected() as connection:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return (
                answer.status,
                {name.lower(): value for name, value in answer.getheaders()},
                answer.read(),
            )

    def _expect(self, what: str, status: int, body: bytes, *wanted: int) -> None:
        if status not in wanted:
            raise PushFailed(f"{self.address}: {what}: {status} {body[:300].decode(errors='replace')}")

    def alive(self) -> bool:
        try:
            return self.request("GET", "/v2/")[0] == 200
        except OSError:
            return False

    def manifest_digest(self, repository: str, reference: str, media_type: str) -> str | None:
        """The digest a tag points to, or None."""
        status, headers, _ = self.request(
            "HEAD", f"/v2/{repository}/manifests/{quote(reference)}", headers={"Accept": media_type}
        )
        return headers.get("docker-content-digest") if status == 200 else None

    def has_blob(self, repository: str, digest: str) -> bool:
        return self.request("HEAD", f"/v2/{repository}/blobs/{digest}")[0] == 200

    def put_blob(self, repository: str, digest: str, size: int, content: bytes | Path) -> bool:
        """Upload a blob in one piece; False when the registry had it."""
        if self.has_blob(repository, digest):
            return False
        status, headers, body = self.request("POST", f"/v2/{repository}/blobs/uploads/")
        self._expect(f"begin of an upload to {repository}", status, body, 202)
        target = urlsplit(headers["location"])
        query = "&".join(part for part in (target.query, urlencode({"digest": digest})) if part)
        sent = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        path = f"{target.path}?{query}"
        if isinstance(content, Path):
            with content.open("rb") as file:
                status, _, body = self.request("PUT", path, file, sent)
        else:
            status, _, body = self.request("PUT", path, content, sent)
        self._expect(f"upload of {digest} to {repository}", status, body, 201)
        return True

    def mount_blob(self, repository: str, digest: str, source: str) -> bool:
        """Take a blob over from another repository of the same registry; False when that does not have it."""
        query = urlencode({"mount": digest, "from": source})
        status, _, body = self.request("POST", f"/v2/{repository}/blobs/uploads/?{query}")
        self._expect(f"mount of {digest} in {repository}", status, body, 201, 202)
        return status == 201

    def put_manifest(self, repository: str, reference: str, document: Document) -> None:
        status, headers, body = self.request(
            "PUT",
            f"/v2/{repository}/manifests/{quote(reference)}",
            document.content,
            {"Content-Type": document.media_type},
        )
        self._expect(f"manifest {repository}:{reference}", status, body, 201)
        if headers.get("docker-content-digest", document.digest) != document.digest:
            raise PushFailed(f"{self.address}: {repository}:{reference} was stored with another digest")

    def push(self, image: Image, known: dict[str, str]) -> bool:
        """Bring an image there; False when all its tags were right already.

        `known` maps blobs to a repository that has them, and learns.
        """
        top = image.top
        if all(
            self.manifest_digest(image.repository, tag, top.media_type) == top.digest for tag in image.tags
        ):
            known.update((digest, image.repository) for digest, _, _ in image.blobs())
            return False
        for digest, size, content in image.blobs():
            source = known.get(digest)
            if source is None or not self.mount_blob(image.repository, digest, source):
                self.put_blob(image.repository, digest, size, content)
            known.setdefault(digest, image.repository)
        self.put_manifest(image.repository, image.manifest.digest, image.manifest)
        for tag in image.tags:
            self.put_manifest(image.repository, tag, top)
        return True
