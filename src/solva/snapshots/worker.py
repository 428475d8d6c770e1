"""The engine's end of an unpacking process (``snapshots/unpack.py``)."""

import asyncio
import errno
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from solva.errors import SystemFailure


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What a layer turned out to be."""

    diff_id: str
    size: int           # sum of its files' sizes, Docker's "layer size"
    compression: str    # "", gzip, zstd, bzip2, xz


class UnpackProcess:
    """``async with UnpackProcess(file descriptor of the layer, directory, progress) as process``: ends with the block.

    ``progress`` is told how many bytes of the (compressed) layer are read.
    """

    def __init__(self, layer: int, directory: Path, progress: Callable[[int], None] | None = None) -> None:
        self._layer = layer
        self._directory = directory
        self._progress = progress
        self._process: asyncio.subprocess.Process
        self._control = -1
        self._unsent = b""
        self._ended = False

    async def __aenter__(self) -> "UnpackProcess":
        reader, self._control = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._control, False)
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-S", "-E", "-c", _PROGRAM, str(self._directory), str(reader),
                stdin=self._layer, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                pass_fds=(reader,), env={"PATH": os.environ.get("PATH", ""), "SOLVA_PATH": os.pathsep.join(sys.path)},
            )
        except BaseException:
            self._close_control()
            raise
        finally:
            os.close(reader)
        return self

    def available(self, count: int) -> None:
        """The first ``count`` bytes of the layer can be read."""
        self._send(b"%d\n" % count)

    def whole(self) -> None:
        """All of the layer is there."""
        self._ended = True
        self._send(b"end\n")

    def _send(self, line: bytes) -> None:
        if self._control < 0:
            return
        waiting = bool(self._unsent)
        self._unsent = line if line != b"end\n" else self._unsent + line
        if not waiting:
            self._flush()

    def _flush(self) -> None:
        """The newest line; when the pipe is full it waits for the process to read."""
        loop = asyncio.get_running_loop()
        try:
            os.write(self._control, self._unsent)
        except BlockingIOError:
            loop.add_writer(self._control, self._flush)
            return
        except BrokenPipeError:      # the process is dead: result() tells why
            pass
        loop.remove_writer(self._control)
        self._unsent = b""
        if self._ended:
            self._close_control()

    async def result(self) -> Unpacked:
        """Waits for the end. SystemFailure with the reason when the layer is refused or cannot be written."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        outcome: list[str] = []
        reason = ""
        while line := (await self._process.stdout.readline()).decode(errors="replace"):
            word, _, rest = line.rstrip("\n").partition(" ")
            if word == "read":
                if self._progress is not None:
                    self._progress(int(rest))
            elif word == "done":
                outcome = rest.split(" ")
            else:
                reason = rest
        trouble = (await self._process.stderr.read()).decode(errors="replace")
        code = await self._process.wait()
        if outcome:
            return Unpacked(outcome[0], int(outcome[1]), outcome[2])
        reason = reason or trouble.strip().rpartition("\n")[2] or f"exit {code}"
        full = OSError(errno.ENOSPC, reason) if "no space left on device" in reason.lower() else None
        raise SystemFailure(f"failed to register layer: {reason}") from full

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_control()
        if self._process.returncode is None:
            try:
                self._process.kill()
            except ProcessLookupError:
                pass
            await asyncio.shield(self._process.wait())

    def _close_control(self) -> None:
        if self._control >= 0:
            asyncio.get_running_loop().remove_writer(self._control)
            os.close(self._control)
            self._control = -1


# -S leaves out site (6 ms); the engine's own module path is handed over instead.
_PROGRAM = (
    "import os, sys; sys.path[:] = os.environ.pop('SOLVA_PATH').split(os.pathsep); "
    "from solva.snapshots.unpack import main; main()"
)
