"""A registry's refusals, as typed errors and as the texts Docker shows."""

import json
import time

from solva.errors import NotFound, SolvaError, SystemFailure, Unauthorized


class RegistryError(Exception):
    """An answer with an error status. ``code`` and ``text`` are the first of its error list; ``retry_after``: seconds
    that the server asks for before the next try, 0 without."""

    def __init__(self, status: int, code: str, text: str, url: str, retry_after: float = 0) -> None:
        super().__init__(f"{code.lower().replace('_', ' ')}: {text}" if code else text)
        self.status = status
        self.code = code
        self.url = url
        self.retry_after = retry_after

    @property
    def passing(self) -> bool:
        """Whether the next try may bring something else: too many requests, a server in trouble."""
        return self.status in (408, 425, 429) or self.status >= 500


def seconds_of(value: str) -> float:
    """A ``Retry-After`` header: seconds, or a date; 0 for neither."""
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0


def from_body(status: int, body: bytes, url: str, retry_after: str = "") -> RegistryError:
    """Registries answer ``{"errors": [{"code", "message", "detail"}]}``; some proxies answer HTML."""
    try:
        errors = json.loads(body)["errors"]
        first = errors[0]
        return RegistryError(status, str(first.get("code", "")), str(first.get("message", "")), url,
                             seconds_of(retry_after))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        pass
    codes = {401: ("UNAUTHORIZED", "authentication required"),
             403: ("DENIED", "requested access to the resource is denied"),
             404: ("MANIFEST_UNKNOWN", "manifest unknown"), 429: ("TOOMANYREQUESTS", "too many requests")}
    code, text = codes.get(status, ("", f"received unexpected HTTP status: {status}"))
    return RegistryError(status, code, text, url, seconds_of(retry_after))


def for_pull(error: RegistryError, familiar: str, familiar_name: str) -> SolvaError:
    """What a user reads when a pull is refused."""
    if error.status in (401, 403) or error.code in ("DENIED", "UNAUTHORIZED"):
        detail = str(error) if error.code == "DENIED" else "denied: requested access to the resource is denied"
        return NotFound(f"pull access denied for {familiar_name}, repository does not exist or may require "
                        f"'docker login': {detail}")
    if error.code == "MANIFEST_UNKNOWN" or (error.status == 404 and not error.code):
        return NotFound(f"manifest for {familiar} not found: manifest unknown: {_message(error)}")
    if error.code == "NAME_UNKNOWN":
        return NotFound(f"repository {familiar_name} not found: {error}")
    return SystemFailure(str(error))


def for_push(error: RegistryError, familiar_name: str) -> SolvaError:
    """What a user reads when a push is refused."""
    if error.status == 401 and error.code != "DENIED":
        return Unauthorized("unauthorized: authentication required")
    if error.status == 403 or error.code == "DENIED":
        return Unauthorized("denied: requested access to the resource is denied")
    return SystemFailure(f"{error}")


def _message(error: RegistryError) -> str:
    return str(error).partition(": ")[2] or "manifest unknown"
