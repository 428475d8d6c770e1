"""`busybox`: Debian's static busybox, its applets as hard links to one file."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from standins.stages import Stage, Workshop

BINARY = Path("/bin/busybox")
DIRECTORIES = ("bin", "dev", "etc", "home", "lib", "proc", "sys", "usr/bin", "usr/sbin", "var/spool/mail", "var/www")
PASSWD = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
sys:x:3:3:sys:/dev:/bin/false
sync:x:4:100:sync:/bin:/bin/sync
mail:x:8:8:mail:/var/spool/mail:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
operator:x:37:37:Operator:/var:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
"""
GROUP = """\
root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:
tty:x:5:
disk:x:6:
mail:x:8:
www-data:x:33:
operator:x:37:
users:x:100:
nogroup:x:65534:
"""


def _is_static(binary: bytes) -> bool:
    """An ELF file without the section that names an interpreter."""
    return binary.startswith(b"\x7fELF") and b"/ld-linux" not in binary[:4096]


def inputs() -> str:
    return hashlib.sha256(BINARY.read_bytes()).hexdigest() if BINARY.exists() else ""


def build(shop: Workshop) -> None:
    if not BINARY.exists() or not _is_static(BINARY.read_bytes()):
        raise FileNotFoundError(f"{BINARY} is not that of Debian's busybox-static: `make setup` installs it")
    root = shop.root
    for name in DIRECTORIES:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name, mode in (("root", 0o700), ("tmp", 0o1777), ("var/tmp", 0o1777)):
        (root / name).mkdir(parents=True)
        (root / name).chmod(mode)
    os.chown(root / "home", 65534, 65534)
    for name, text in (("passwd", PASSWD), ("group", GROUP), ("shadow", "root:*:::::::\n"), ("hostname", "")):
        (root / "etc" / name).write_text(text)
    (root / "etc/shadow").chmod(0o640)
    binary = root / "bin/busybox"
    binary.write_bytes(BINARY.read_bytes())
    binary.chmod(0o755)
    applets = subprocess.run([str(binary), "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in sorted(set(applets) - {"busybox"}):
        os.link(binary, root / "bin" / applet)
    os.symlink("../../bin/env", root / "usr/bin/env")
    shop.facts["applets"] = str(len(applets))


STAGE = Stage(
    name="busybox",
    how="apt-get install busybox-static; busybox --install /bin",
    build=build,
    sources=(Path(__file__),),
    inputs=inputs,
)
