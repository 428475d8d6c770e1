"""`solva build` by BuildKit's protocol: on Solva, and on a real Docker where one runs."""

from __future__ import annotations

import json
import os
import pty
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.engine import LiveEngine
from support.images import docker_registry


class Bed:
    """One endpoint; images are tagged with names of this run's."""

    def __init__(self, endpoint: str, folder: Path) -> None:
        self.endpoint = endpoint
        self.folder = folder
        self.prefix = f"solvakit{os.getpid()}"
        self.tags: list[str] = []

    def solva(self, *words: str, check: bool = True, stdin: bytes | None = None, **env: str) -> tuple[int, str, str]:
        done = subprocess.run([sys.executable, "-m", "solva.cli", *words], input=stdin, capture_output=True,
                              check=False, timeout=120, env={**os.environ, "SOLVA_HOST": self.endpoint, **env})
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        assert not check or done.returncode == 0, f"{words} -> {done.returncode}\n{out}{err}"
        assert "Traceback" not in err, err
        return done.returncode, out, err

    def build(self, *words: str, name: str = "x", **options: object) -> tuple[int, str, str]:
        tag = f"{self.prefix}:{name}"
        self.tags.append(tag)
        return self.solva("build", "--progress=plain", "-t", tag, *words, str(self.folder), **options)  # type: ignore[arg-type]

    def shown(self, *command: str, name: str = "x") -> str:
        return self.solva("run", "--rm", f"{self.prefix}:{name}", *command)[1]

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture(params=["solva", "docker"])
def bed(request: pytest.FixtureRequest, engine: LiveEngine, tmp_path: Path) -> Iterator[Bed]:
    endpoint = f"unix://{engine.socket}" if request.param == "solva" else request.getfixturevalue("peer_socket")
    made = Bed(endpoint, tmp_path)
    if request.param == "docker" and made.solva("image", "inspect", "busybox:latest", check=False)[0]:
        made.solva("pull", "-q", "busybox:latest")
    yield made
    for tag in made.tags:
        made.solva("rmi", "-f", tag, check=False)


def test_secrets_contexts_and_arguments(bed: Bed) -> None:
    bed.write("Dockerfile", "FROM base\nARG WHO\nRUN --mount=type=secret,id=file --mount=type=secret,id=var,env=VAR "
                            "test \"$(cat /run/secrets/file)\" = f && test $VAR = v && echo $WHO > /who\n"
                            "COPY --from=more m.txt /m\nCOPY keep drop* /c/\n")
    bed.write("keep", "kept")
    bed.write("dropped", "no")
    bed.write(".dockerignore", "drop*\n")
    bed.write("elsewhere/m.txt", "more")
    bed.write("secret", "f")
    _, _, told = bed.build("--secret", f"id=file,src={bed.folder}/secret", "--secret", "id=var,env=MINE", "--build-arg",
                           "WHO=me", "--build-context", f"more={bed.folder}/elsewhere", "--build-context",
                           "base=docker-image://busybox", "--iidfile", str(bed.folder / "iid"), "--metadata-file",
                           str(bed.folder / "meta"), MINE="v")
    assert bed.shown("cat", "/who", "/m", "/c/keep") == "me\nmorekept"
    assert bed.shown("ls", "/c").split() == ["keep"]
    assert " cached" in told
    image = json.loads(bed.solva("image", "inspect", f"{bed.prefix}:x")[1])[0]
    assert (bed.folder / "iid").read_text() == image["Id"]
    assert json.loads((bed.folder / "meta").read_text())["containerimage.digest"] == image["Id"]
    for file in ("iid", "meta"):
        (bed.folder / file).unlink()
    code, _, told = bed.build("--secret", "id=other,env=MINE", "--build-context", f"more={bed.folder}/elsewhere",
                              "--no-cache", "--build-context", "base=docker-image://busybox", check=False)
    assert code == 1
    assert ">>> RUN --mount=type=secret" in told


def test_results_as_files(bed: Bed) -> None:
    bed.write("Dockerfile", "FROM busybox AS make\nRUN mkdir -p /d/e && echo made > /d/f && ln /d/f /d/e/g && "
                            "ln -s f /d/l\nFROM scratch\nCOPY --from=make /d /\n")
    out = bed.folder / "out"
    bed.solva("build", "-o", str(out), str(bed.folder))
    assert (out / "e" / "g").read_text() == (out / "f").read_text() == "made\n"
    assert os.readlink(out / "l") == "f"
    shutil.rmtree(out)
    bed.solva("build", "-o", f"type=tar,dest={bed.folder}/o.tar", str(bed.folder))
    with tarfile.open(bed.folder / "o.tar") as tar:
        assert {name.strip("./") for name in tar.getnames()} >= {"f", "l", "e/g"}


def test_questions(bed: Bed) -> None:
    bed.write("Dockerfile", "FROM busybox AS a\nMAINTAINER x\nARG B=1\nFROM a AS last\n")
    code, out, _ = bed.solva("build", "--check", str(bed.folder), check=False)
    assert code == 1
    assert "WARNING: MaintainerDeprecated" in out
    _, out, _ = bed.solva("build", "--call=targets,format=json", str(bed.folder))
    assert [row["name"] for row in json.loads(out)["targets"]] == ["a", "last"]
    _, out, _ = bed.solva("build", "--call=outline", str(bed.folder))
    assert out.splitlines()[-1].split() == ["B", "1"]


def test_the_context_or_the_dockerfile_on_stdin(bed: Bed) -> None:
    bed.write("a", "A")
    bed.build("-f", "-", "--secret", "id=s,env=HOME", stdin=b"FROM busybox\nCOPY a /\n")
    assert bed.shown("cat", "/a") == "A"
    import io

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in (("Dockerfile", b"FROM busybox\nCOPY b /\n"), ("b", b"B")):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
    bed.solva("build", "--progress=rawjson", "-t", f"{bed.prefix}:y", "-", stdin=buffer.getvalue())
    bed.tags.append(f"{bed.prefix}:y")
    assert bed.shown("cat", "/b", name="y") == "B"


@pytest.mark.parametrize(("words", "said"), [
    (("--secret", "src=x"), "id=… is missing"), (("--secret", "id=a,src=/none"), "failed to stat /none"),
    (("--ssh", "default=/none"), "failed to open /none"), (("--build-context", "x"), "invalid context value"),
    (("-o", "type=odd,dest=x"), "invalid output type"), (("--call=odd",), "invalid call"),
    (("--secret", "id=a,env=HOME", "--memory", "1g"), "cannot be used together"),
    (("--provenance=true",), "Attestation is not supported"),
])
def test_what_cannot_be(engine: LiveEngine, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\n")
    done = engine.cli("build", *words, str(tmp_path), check=False)
    assert done.returncode == 1
    assert said in done.stderr


def test_an_agent(engine: LiveEngine, tmp_path: Path) -> None:
    agent = socket.socket(socket.AF_UNIX)
    agent.bind(str(tmp_path / "agent"))
    agent.listen()
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "Dockerfile").write_text("FROM busybox\nRUN --mount=type=ssh test -S $SSH_AUTH_SOCK\n")
    engine.cli("build", "--ssh", f"default={tmp_path}/agent", str(tmp_path / "c"))
    agent.close()


def test_live_on_a_terminal(engine: LiveEngine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo working; sleep 0.5\nRUN true\n")
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["SOLVA_HOST"] = f"unix://{engine.socket}"
        os.execv(sys.executable, [sys.executable, "-m", "solva.cli", "build", str(tmp_path)])
    text = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        if not data:
            break
        text += data
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    shown = text.decode(errors="replace")
    assert status == 0, shown
    assert "[+] Building" in shown
    assert "# working" in shown, "a running step's output is seen"
    assert "FINISHED" in shown
    assert "2 cached" not in shown
    assert "longest: RUN echo working" in shown


def test_compose_builds_with_secrets_and_contexts(bed: Bed) -> None:
    bed.write("one/Dockerfile", "FROM busybox\nRUN --mount=type=secret,id=key cp /run/secrets/key /one\n")
    bed.write("two/Dockerfile", "FROM base\nCOPY --from=more m /m\nRUN cat /one /m > /two\n")
    bed.write("more/m", "more")
    bed.write("key.txt", "key")
    bed.tags += [f"{bed.prefix}:one", f"{bed.prefix}:two"]
    bed.write("compose.yaml", f"""
name: {bed.prefix}
services:
  two:
    image: {bed.prefix}:two
    build: {{context: ./two, additional_contexts: {{base: "service:one", more: ./more}}}}
  one:
    image: {bed.prefix}:one
    build: {{context: ./one, secrets: [{{source: s, target: key}}]}}
secrets: {{s: {{file: ./key.txt}}}}
""")
    bed.solva("compose", "-f", str(bed.folder / "compose.yaml"), "build")
    assert bed.shown("cat", "/two", name="two") == "keymore"
    bed.write("one/Dockerfile", "FROM busybox\nRUN exit 4\n")
    code, out, err = bed.solva("compose", "-f", str(bed.folder / "compose.yaml"), "build", "one", check=False)
    assert code == 1
    assert ">>> RUN exit 4" in out + err
    code, out, _ = bed.solva("compose", "-f", str(bed.folder / "compose.yaml"), "build", "--check", "one")
    assert "no warnings found" in out


def test_the_cache_goes_by_a_registry(engine: LiveEngine, tmp_path: Path) -> None:
    """What the engine has forgotten comes back with an image: one that is the cache alone, of all stages, or the built
    one that carries it."""
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "Dockerfile").write_text(
        "FROM busybox AS make\nRUN cat /proc/sys/kernel/random/uuid > /made\nFROM busybox\nCOPY --from=make /made /\n"
        "RUN cat /proc/sys/kernel/random/uuid > /own\n")

    def build(*words: str) -> str:
        return engine.cli("build", "--progress=plain", *words, str(tmp_path / "c")).stderr

    def forget() -> None:
        for tag in (f"{place}/app:1", "cached:1"):
            engine.cli("rmi", "-f", tag, check=False)
        engine.cli("builder", "prune", "-af")

    with docker_registry(tmp_path / "r", netns=engine.netns) as port:
        place = f"127.0.0.1:{port}"
        build("-t", "cached:1", "--cache-to", f"type=registry,ref={place}/cache:1,mode=max")
        first = engine.cli("run", "--rm", "cached:1", "cat", "/made", "/own").stdout
        forget()
        told = build("-t", "cached:1", "--cache-from", f"type=registry,ref={place}/cache:1")
        assert told.count("CACHED") == 3, told
        assert engine.cli("run", "--rm", "cached:1", "cat", "/made", "/own").stdout == first
        build("-t", f"{place}/app:1", "--cache-to", "type=inline")
        engine.cli("push", f"{place}/app:1")
        forget()
        told = build("-t", "cached:1", "--cache-from", f"{place}/app:1")
        assert engine.cli("run", "--rm", "cached:1", "cat", "/own").stdout in first
        told = build("--cache-from", f"{place}/none:1", "--build-arg", "SOURCE_DATE_EPOCH=1700000000", "-t", "cached:1")
        assert "cache-from" in told
        image = json.loads(engine.cli("image", "inspect", "cached:1").stdout)[0]
        assert image["Created"].startswith("2023-11-14T22:13:20")
    forget()
