"""Every kind of error Solva knows, one page; imports nothing.

A kind stands for one HTTP status (``server/status.py`` is the only map); the message is what the user reads,
in Docker's wording where Docker has one, since clients match on it.
"""


class SolvaError(Exception):
    """Base of all errors meant for a user. ``str(error)`` is the whole message."""

    @property
    def message(self) -> str:
        return str(self)


class NotModified(SolvaError):
    """304: the object is in the wanted state already."""


class InvalidParameter(SolvaError):
    """400: the request itself is wrong."""


class Unauthorized(SolvaError):
    """401: credentials are missing or wrong."""


class Forbidden(SolvaError):
    """403: understood, and not allowed."""


class NotFound(SolvaError):
    """404: no such object."""


class Conflict(SolvaError):
    """409: the state of the object forbids it."""


class NotImplementedHere(SolvaError):
    """501: Docker can do this and Solva cannot; the message says which part."""


class Unavailable(SolvaError):
    """503: something outside is needed and is not there now."""


class SystemFailure(SolvaError):
    """500: the kernel, a runtime or a file failed; the message names operation, object and errno text."""
