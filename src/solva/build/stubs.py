"""Mount points that the runtime makes in a step's root file system; they must not become part of the layer."""

import os
import stat

from solva.build import rootpath


class Stubs:
    """Look before the step which components of the targets are missing; remove those that are still empty after."""

    def __init__(self, root: str, targets: list[str]) -> None:
        self._missing: list[str] = []
        for target in targets:
            path = ""
            for part in rootpath.resolve(root, target).split("/"):
                path = f"{path}/{part}" if path else part
                host = os.path.join(root, path)
                if part and not os.path.lexists(host) and host not in self._missing:
                    self._missing.append(host)

    def remove(self) -> None:
        for path in sorted(self._missing, key=len, reverse=True):
            try:
                info = os.lstat(path)
                if stat.S_ISDIR(info.st_mode):
                    os.rmdir(path)
                elif stat.S_ISREG(info.st_mode) and info.st_size == 0:
                    os.unlink(path)
            except OSError:
                continue        # gone, or the step put something there: its own
