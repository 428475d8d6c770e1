"""The raw connection of attach and exec, as services see it."""

from typing import Protocol


class RawStream(Protocol):
    """A hijacked connection. ``server/http.py`` implements it; tests use a pair of queues."""

    async def read(self) -> bytes:
        """Some bytes; ``b""`` once the client has closed its sending side."""
        ...

    async def write(self, data: bytes) -> None:
        """Send; waits while the client does not read. ConnectionError when it is gone."""
        ...

    def close(self) -> None:
        """Send what is left, then close both directions."""
        ...


class StreamSession(Protocol):
    """What attach and exec_start return: everything checked, nothing sent yet."""

    tty: bool

    def discard(self) -> None:
        """It will not be run after all."""
        ...

    async def run(self, stream: RawStream) -> None:
        """Pump until the process or the client ends. Closes the stream."""
        ...
