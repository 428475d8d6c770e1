"""Build every case on a real Docker with BuildKit and write what came out to goldens/.

    python tests/unit/build/corpus/record.py [case ...]      needs tools/peer-docker.sh started
"""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
sys.path.insert(0, str(HERE))

from cases import CASES, Case, Dir, File, Link  # noqa: E402

TAG = "e-corpus"


def write_context(case: Case, where: Path) -> None:
    """The files of a case; its Dockerfile beside them."""
    for name, entry in case.files.items():
        path = where / name
        if isinstance(entry, Dir):
            path.mkdir(mode=0o700, exist_ok=True)
        elif isinstance(entry, File):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(entry.data)
            path.chmod(entry.mode)
        elif isinstance(entry, Link):
            path.symlink_to(entry.target)
    for name, entry in case.files.items():
        if isinstance(entry, Dir):
            (where / name).chmod(entry.mode)


def peer(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(ROOT / "tools/peer-docker.sh"), "run", "docker", *words], text=True, capture_output=True,
                          check=False)


def listing(image: str) -> dict[str, list[object]]:
    """path -> [kind, mode, uid, gid, size or link target]"""
    name = f"{TAG}-list-{os.getpid()}"
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        peer("create", "--name", name, image, "x")
        result = peer("export", "-o", f"{folder}/x.tar", name)
        peer("rm", name)
        if result.returncode:
            raise SystemExit(result.stderr)
        found: dict[str, list[object]] = {}
        with tarfile.open(f"{folder}/x.tar") as archive:
            for item in archive:
                path = item.name.rstrip("/").removeprefix("./")
                detail: object = ""
                kind = "d" if item.isdir() else "l" if item.issym() else "h" if item.islnk() else "f"
                if kind in "lh":
                    detail = item.linkname
                elif kind == "f":
                    detail = item.size
                found[path] = [kind, f"{item.mode:o}", item.uid, item.gid, detail]
    return found


def without_base(config: dict[str, object], base: dict[str, object]) -> dict[str, object]:
    """The configuration without what it has from the base (whose labels and command are no part of a case)."""
    labels = {key: value for key, value in dict(config.get("Labels") or {}).items()     # type: ignore[call-overload]
              if dict(base.get("Labels") or {}).get(key) != value}                      # type: ignore[call-overload]
    same = config.get("Cmd") == base.get("Cmd")
    return {**config, "Labels": labels or None, "Cmd": None if same else config.get("Cmd")}


def record(name: str, case: Case, base: dict[str, list[object]], base_config: dict[str, object]) -> dict[str, object]:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="e-ctx-") as folder:
        where = Path(folder) / "ctx"
        where.mkdir()
        write_context(case, where)
        dockerfile = Path(folder) / "Dockerfile"
        dockerfile.write_text(case.dockerfile)
        if "Dockerfile" in case.files:
            (where / "Dockerfile").write_text(case.dockerfile)
            dockerfile = where / "Dockerfile"
        words = ["build", "--progress", "plain", "-t", f"{TAG}-{name}", "-f", str(dockerfile)]
        for key, value in case.args.items():
            words += ["--build-arg", f"{key}={value}"]
        if case.target:
            words += ["--target", case.target]
        result = peer(*words, str(where))
        if result.returncode:
            lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR: ")]
            return {"error": lines[-1] if lines else result.stderr}
    image = json.loads(peer("image", "inspect", f"{TAG}-{name}").stdout)[0]
    history = peer("history", "--no-trunc", "--format", "json", f"{TAG}-{name}").stdout.splitlines()
    rows = [json.loads(line) for line in reversed(history)]
    files = {path: row for path, row in listing(f"{TAG}-{name}").items() if base.get(path) != row}
    return {"config": without_base(image["Config"], base_config), "author": image.get("Author", ""),
            "history": [row["CreatedBy"] for row in rows if row["Comment"].startswith("buildkit")],
            "layers": len(image["RootFS"]["Layers"]), "files": files}


def main() -> None:
    base = listing("busybox")
    wanted = sys.argv[1:] or list(CASES)
    (HERE / "goldens").mkdir(exist_ok=True)
    image = json.loads(peer("image", "inspect", "busybox").stdout)[0]
    if not sys.argv[1:]:
        text = json.dumps({"config": image["Config"], "files": base}, indent=1)
        (HERE / "goldens" / "base.json").write_text(text + "\n")
    for name in wanted:
        golden = record(name, CASES[name], base, image["Config"])
        (HERE / "goldens" / f"{name}.json").write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n")
        print(name, golden.get("error", "ok"))
        peer("rmi", f"{TAG}-{name}")


if __name__ == "__main__":
    main()
