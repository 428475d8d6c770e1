"""A virtual machine with nothing but cgroup v2, for what this machine's own kernel set-up cannot show.

    python -m tools.vm SCRIPT        runs the shell script in it, as root; its output and its status are ours

Debian bookworm by mmdebstrap with Debian's own kernel, booted by QEMU (by KVM where SOLVA_VM_KVM=1 says that it
works, else emulated: half a minute). This tree is at /project there, `solva` on the PATH. The root is made once and
kept in /var/cache/solva/vm (SOLVA_VM_CACHE); what a run writes to it is thrown away.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("SOLVA_VM_CACHE", "/var/cache/solva/vm"))
PACKAGES = ("linux-image-cloud-amd64,initramfs-tools,crun,conmon,nftables,libnftables1,iproute2,iptables,python3,"
            "busybox-static,kmod,mount,procps,ca-certificates")
BEGIN, MARK = "solva-vm-begin", "solva-vm-status"
TOOLS_ONLY = {"mypy", "mypyc", "ruff", "hypothesis", "_pytest", "pytest", "pip", "setuptools", "docker", "pymongo",
              "bson", "grimp", "importlinter", "rich", "pygments", "dns"}

INIT = f"""#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mount -t proc proc /proc 2>/dev/null; mount -t sysfs sys /sys 2>/dev/null; mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm; mount -t devpts devpts /dev/pts 2>/dev/null; mount -t tmpfs tmpfs /dev/shm 2>/dev/null
mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -o ro /dev/vdb /project
ip link set lo up
sh /project/run.sh </dev/null
echo "{MARK} $?"
sync
exec /usr/bin/busybox poweroff -f
"""


class CannotRun(Exception):
    """There is no virtual machine here; the text says why."""


def missing() -> str:
    """Why there can be none, or an empty string."""
    if os.geteuid() != 0:
        return "needs root"
    for program in ("qemu-system-x86_64", "mmdebstrap", "mke2fs"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    if sys.version_info[:2] != (3, 11):
        return "its Python is 3.11, and this machine's packages are for another"
    return ""


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotRun(f"{command[0]} ended with {done.returncode}: {(done.stdout + done.stderr).strip()[-500:]}")


def root_image() -> tuple[Path, Path, Path]:
    """Kernel, initrd and root disk; made when they are not there yet (about a minute)."""
    name = hashlib.sha256((PACKAGES + INIT).encode()).hexdigest()[:12]
    place = CACHE / name
    files = (place / "vmlinuz", place / "initrd", place / "root.img")
    if place.exists():
        return files
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        tree, made = Path(folder) / "root", Path(folder) / "made"
        made.mkdir()
        _run("mmdebstrap", "--quiet", "--variant=apt", f"--include={PACKAGES}", "bookworm", str(tree),
             "http://deb.debian.org/debian")
        (tree / "project").mkdir()
        (tree / "sbin" / "vm-init").write_text(INIT)
        (tree / "sbin" / "vm-init").chmod(0o755)
        (tree / "usr/local/bin/solva").write_text(
            "#!/bin/sh\nPYTHONPATH=/project/src:/project/packages exec python3 -m solva.cli \"$@\"\n")
        (tree / "usr/local/bin/solva").chmod(0o755)
        for kind, file in (("vmlinuz", files[0]), ("initrd.img", files[1])):
            shutil.copy(sorted((tree / "boot").glob(f"{kind}-*"))[-1], made / file.name)
        shutil.rmtree(tree / "boot")
        shutil.rmtree(tree / "var/cache/apt", ignore_errors=True)
        _run("mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(made / "root.img"), "2G")
        made.rename(place)
    return files


def project_image(folder: Path, script: str) -> Path:
    """A disk with this tree's sources, the packages they need, and what is to be run."""
    tree = folder / "project"
    shutil.copytree(ROOT / "src", tree / "src")
    packages = Path(sysconfig.get_path("purelib"))
    (tree / "packages").mkdir()
    for entry in packages.iterdir():
        if entry.is_dir() and entry.name not in TOOLS_ONLY and not entry.name.endswith(".dist-info"):
            shutil.copytree(entry, tree / "packages" / entry.name)
        elif entry.suffix in (".py", ".so"):
            shutil.copy(entry, tree / "packages")
    (tree / "run.sh").write_text(f"echo; echo {BEGIN}\n{script}")
    image = folder / "project.img"
    _run("mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(image), "400M")
    return image


def run(script: str, *, timeout: float = 500) -> tuple[int, str]:
    """The script's status and all that it wrote. CannotRun when the machine cannot be had or does not end."""
    reason = missing()
    if reason:
        raise CannotRun(reason)
    kernel, initrd, disk = root_image()
    fast = os.environ.get("SOLVA_VM_KVM") == "1"  # within another machine it may be there and hang
    with tempfile.TemporaryDirectory(prefix="solva-vm-") as name:
        project = project_image(Path(name), script)
        command = [
            "qemu-system-x86_64", "-nographic", "-no-reboot", "-m", "1024", "-smp", "2", "-nic", "none",
            *(("-enable-kvm", "-cpu", "host") if fast else ("-cpu", "max")),
            "-kernel", str(kernel), "-initrd", str(initrd),
            "-append", "console=ttyS0 root=/dev/vda rw init=/sbin/vm-init quiet loglevel=3 panic=-1",
            "-drive", f"file={disk},format=raw,if=virtio,snapshot=on",
            "-drive", f"file={project},format=raw,if=virtio,readonly=on",
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout,
                                  check=False, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired as error:
            said = (error.stdout or b"").decode(errors="replace")[-2000:]
            raise CannotRun(f"the machine did not end within {timeout:.0f} s:\n{said}") from None
    text = done.stdout.replace("\r", "")
    before, mark, after = text.rpartition(MARK)
    if not mark:
        raise CannotRun(f"the machine ended without a status:\n{text[-2000:]}{done.stderr[-500:]}")
    return int(after.split()[0]), before.partition(f"{BEGIN}\n")[2]


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        status, text = run(Path(sys.argv[1]).read_text())
    except CannotRun as error:
        print(f"vm: {error}", file=sys.stderr)
        return 1
    print(text, end="")
    return status


if __name__ == "__main__":
    sys.exit(main())
