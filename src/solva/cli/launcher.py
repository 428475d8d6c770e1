"""Writes the `solva` script that is installed: ``python -m solva.cli.launcher PATH``.

pip's own script imports `re` and runs `site` first, which is half of what `solva ps` may take; this one starts Python
isolated (-I) and without `site` (-S), with the two folders that matter on the path.
"""

from __future__ import annotations

import os
import sys
import sysconfig

_SCRIPT = """#!{python} -IS
import sys
sys.path[:0] = {paths!r}
from solva.cli.main import main
main()
"""


def text(python: str, package_root: str, site_packages: str) -> str:
    """The script for an installation."""
    paths = [package_root] if package_root == site_packages else [package_root, site_packages]
    return _SCRIPT.format(python=python, paths=paths)


def write(target: str) -> None:
    """Write the script for the Python that runs this, in one step."""
    package_root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    content = text(sys.executable, package_root, sysconfig.get_path("purelib"))
    temporary = f"{target}.{os.getpid()}"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(content)
        os.fchmod(file.fileno(), 0o755)
    os.replace(temporary, target)


if __name__ == "__main__":
    write(sys.argv[1])
