"""Mount points in a step's root file system: made before it, removed after it, never part of the layer."""

import os
import stat

from solva.build import rootpath
from solva.errors import InvalidParameter


class Stubs:
    """``targets``: path -> whether a directory is wanted there. What the step itself puts there stays."""

    def __init__(self, root: str, targets: dict[str, bool]) -> None:
        self._root = root
        self._made: list[str] = []
        for target, directory in targets.items():
            self._make(target, directory)

    def _make(self, target: str, directory: bool) -> None:
        path = self._root
        parts = rootpath.resolve(self._root, target).split("/")
        for index, part in enumerate(parts):
            path = os.path.join(path, part)
            if os.path.lexists(path):
                continue
            try:
                if directory or index < len(parts) - 1:
                    os.mkdir(path)
                    os.chmod(path, 0o755)
                else:
                    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644))
            except OSError as error:
                self.remove()
                raise InvalidParameter(f"cannot create mount point {target}: {error.strerror}") from error
            self._made.append(path)

    def remove(self) -> None:
        for path in reversed(self._made):
            try:
                info = os.lstat(path)
                if stat.S_ISDIR(info.st_mode):
                    os.rmdir(path)
                elif stat.S_ISREG(info.st_mode) and info.st_size == 0:
                    os.unlink(path)
            except OSError:
                continue        # gone, or the step put something there: its own
