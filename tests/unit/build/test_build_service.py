"""BuildService as the API uses it: a tar comes in, progress objects go out; cache, failure, interruption."""

import asyncio
import io
import os
import tarfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fakes.buildfakes import FakeImage, FakeImages, FakeSnapshots, FunctionSteps
from solva.api.types.build import BuildOptions
from solva.build.collaborators import StepSpec
from solva.build.failures import StepFailed
from solva.build.service import BuildService
from solva.clock import SystemClock
from solva.errors import InvalidParameter, NotFound, NotImplementedHere
from solva.store.sqlite import Store


class World:
    """A service over fakes, one base image ``base``."""

    def __init__(self, tmp: Path) -> None:
        self.tmp = tmp
        self.snapshots, self.images = FakeSnapshots(tmp / "snapshots"), FakeImages()
        (tmp / "snapshots" / "base" / "etc").mkdir(parents=True)
        layer = self.snapshots.add(tmp / "snapshots" / "base")
        config = {"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]},
                  "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]}}
        self.images.named["base"] = FakeImage("sha256:" + "b" * 64, config, (layer.chain_id,))
        self.steps = FunctionSteps(self.step)
        self.exit = 0
        self.service = BuildService(tmp / "build", Store(tmp / "db"), self.snapshots, self.images, self.steps,
                                    SystemClock(), lambda chain: chain in self.snapshots.layers)
        self.lines: list[dict[str, Any]] = []

    def step(self, spec: StepSpec) -> int:
        spec.output(b"output of " + spec.args[-1].encode() + b"\n")
        (spec.rootfs / f"ran-{len(self.steps.specs)}").touch()
        return self.exit

    async def build(self, text: str, files: dict[str, str] | None = None, **options: Any) -> str:
        """The whole progress text."""
        self.lines = []
        body = archive({"Dockerfile": text, **(files or {})})
        await self.service.start()
        await self.service.build(BuildOptions(**options), chunks(body), None, self.lines.append)
        return self.text

    @property
    def text(self) -> str:
        return "".join(line.get("stream", "") for line in self.lines)

    def clean(self) -> bool:
        return not self.snapshots.active and not os.listdir(self.tmp / "build" / "tmp")


def archive(files: dict[str, str]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return data.getvalue()


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    for index in range(0, len(data), 1000):
        yield data[index:index + 1000]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_progress_is_dockers(world: World) -> None:
    text = asyncio.run(world.build("FROM base\nRUN echo hi\nCMD x\n", tags=("x:1", "y"), build_args={"NO": "1"}))
    lines = text.splitlines()
    assert lines[0] == "Step 1/3 : FROM base"
    assert lines[2:4] == ["Step 2/3 : RUN echo hi", "output of echo hi"]
    assert lines[-4].startswith("[Warning] One or more build-args [NO] were not consumed")
    identifier = world.images.named["x:1"].id
    assert {"aux": {"ID": identifier}} in world.lines
    assert lines[-3:] == [f"Successfully built {identifier[7:19]}", "Successfully tagged x:1",
                          "Successfully tagged y:latest"]
    assert world.clean()


def test_second_build_is_cached_and_the_same(world: World) -> None:
    files = {"a": "x" * 100, "b": "y"}
    dockerfile = "FROM base\nWORKDIR /w\nCOPY a .\nRUN make\nCOPY . .\nCMD x\n"

    async def run() -> None:
        await world.build(dockerfile, files, tags=("t",))
        first = world.images.named["t"].id
        text = await world.build(dockerfile, files, tags=("t",))
        assert text.count(" ---> Using cache") == 5
        assert world.images.named["t"].id == first
        assert len(world.steps.specs) == 1
        text = await world.build(dockerfile, {**files, "b": "z"}, tags=("t",))
        assert text.count(" ---> Using cache") == 3
        assert world.images.named["t"].id != first
        await world.build(dockerfile, files, no_cache=True)
        assert len(world.steps.specs) == 2

    asyncio.run(run())
    assert world.clean()


def test_cached_build_of_nine_steps_and_four_megabytes_is_quick(world: World) -> None:
    files = {f"f{index}": str(index) * 400_000 for index in range(10)}
    dockerfile = "FROM base\nWORKDIR /w\nENV A=1\nRUN one\nCOPY f1 .\nRUN two\nCOPY . .\nEXPOSE 80\nCMD x\n"

    async def run() -> float:
        await world.build(dockerfile, files)
        began = time.monotonic()
        await world.build(dockerfile, files)
        return time.monotonic() - began

    assert asyncio.run(run()) < 0.5     # under 0.15 on a machine of its own


def test_failing_step(world: World) -> None:
    world.exit = 3
    with pytest.raises(StepFailed) as caught:
        asyncio.run(world.build("FROM base\nRUN ok \\\n && false\n"))
    assert str(caught.value) == ("The command '/bin/sh -c ok  && false' returned a non-zero code: 3 "
                                 "(Dockerfile:2-3)")
    assert caught.value.exit_code == 3
    assert world.clean()
    assert "output of ok" in world.text


def test_errors_leave_nothing(world: World) -> None:
    for dockerfile, kind, text in (
        ("FROM base\nCOPY nope /\n", InvalidParameter, "COPY failed: file not found in build context or excluded by "
         ".dockerignore: stat nope: file does not exist (Dockerfile:2)"),
        ("FROM gone\n", NotFound, "pull access denied"),
        ("FRO x\n", InvalidParameter, "dockerfile parse error on line 1: unknown instruction: FRO (did you mean "
         "FROM?)"),
        ("", InvalidParameter, "the Dockerfile (Dockerfile) cannot be empty"),
        ("FROM base\nRUN --mount=type=secret,id=s,required=true x\n", InvalidParameter, "secret s: not found"),
        ("FROM base\nRUN --mount=type=ssh,required x\n", InvalidParameter, "ssh default: not found"),
        ("FROM base\nADD git@x:y.git a.txt /y/\n", InvalidParameter, "must be the only source"),
        ("FROM base\nADD git://127.0.0.1:9/y.git#-x /y\n", InvalidParameter, "invalid git reference"),
        ("FROM base\nCOPY --chown=nobody Dockerfile /\n", InvalidParameter, "can't find uid for user nobody"),
    ):
        with pytest.raises(kind) as caught:
            asyncio.run(world.build(dockerfile))
        assert text in str(caught.value)
        assert world.clean()
    with pytest.raises(InvalidParameter, match='target stage "zz" could not be found'):
        asyncio.run(world.build("FROM base\n", target="zz"))
    with pytest.raises(InvalidParameter, match="Cannot locate specified Dockerfile: other"):
        asyncio.run(world.build("FROM base\n", dockerfile="other"))
    with pytest.raises(InvalidParameter, match="forbidden path outside the build context"):
        asyncio.run(world.build("FROM base\n", dockerfile="../../etc/passwd"))
    with pytest.raises(InvalidParameter, match="invalid build context ftp"):
        asyncio.run(world.build("FROM base\n", remote="ftp://x/y"))


def test_damaged_context(world: World) -> None:
    async def run(data: bytes) -> None:
        await world.service.start()
        await world.service.build(BuildOptions(), chunks(data), None, world.lines.append)

    whole = archive({"Dockerfile": "FROM base\n"})
    for data in (whole[:-20], b"nonsense" * 100, b""):
        with pytest.raises(InvalidParameter):
            asyncio.run(run(data))
        assert world.clean()


def test_hostile_context_stays_inside(world: World, tmp_path: Path) -> None:
    data = io.BytesIO()
    outside = tmp_path / "outside"
    outside.mkdir()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, target in (("up", "../../../../../../../.." + str(outside)), ("abs", str(outside))):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
        for name in ("up/x", "abs/y", "../../../z", str(outside / "w"), "Dockerfile"):
            info = tarfile.TarInfo(name)
            body = b"FROM base\nCOPY up /got\nCOPY up/x /x\n"
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    body = data.getvalue()

    async def run() -> None:
        await world.service.start()
        await world.service.build(BuildOptions(), chunks(body), None, world.lines.append)

    asyncio.run(run())
    assert os.listdir(outside) == []
    assert all("snapshots" in str(path) for path in tmp_path.glob("**/z"))


def test_interrupted_build_leaves_finished_layers_only(world: World) -> None:
    started = asyncio.Event()

    async def hang(spec: StepSpec) -> int:
        if spec.args[-1] == "slow":
            started.set()
            await asyncio.Event().wait()
        return 0

    async def run() -> None:
        world.steps.run = hang      # type: ignore[method-assign]
        task = asyncio.ensure_future(world.build("FROM base\nRUN quick\nRUN slow\n"))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert world.clean()
        assert len(world.service.chains()) == 1

    asyncio.run(run())


def test_interrupted_upload(world: World) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield archive({"Dockerfile": "FROM base\n"})[:50]
        await asyncio.Event().wait()

    async def run() -> None:
        await world.service.start()
        task = asyncio.ensure_future(world.service.build(BuildOptions(), endless(), None, world.lines.append))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)
        assert world.clean()

    asyncio.run(run())


def test_stages_needed_only_and_parallel_output_is_ordered(world: World) -> None:
    dockerfile = ("FROM base AS a\nRUN one\nFROM base AS b\nRUN two\nFROM base AS skipped\nRUN never\n"
                  "FROM base\nCOPY --from=a /ran-* /x/\nCOPY --from=b /etc /y\n")
    text = asyncio.run(world.build(dockerfile))
    assert "never" not in text
    assert text.index("output of one") < text.index("FROM base AS b") < text.index("output of two")
    assert "Step 8/7" not in text
    assert world.clean()


def test_identical_builds_at_once_share_steps(world: World) -> None:
    async def run() -> None:
        await world.service.start()
        body = archive({"Dockerfile": "FROM base\nRUN long\nRUN longer\n"})
        await asyncio.gather(*(world.service.build(BuildOptions(), chunks(body), None, world.lines.append)
                               for _ in range(3)))

    asyncio.run(run())
    assert len(world.steps.specs) == 2


def test_pull_of_a_missing_base_and_pull_option(world: World) -> None:
    world.images.remote["far"] = world.images.named["base"]
    asyncio.run(world.build("FROM far\n"))
    assert world.images.pulled == ["far"]
    assert {"status": "Pulling far"} in world.lines
    asyncio.run(world.build("FROM far\n"))
    assert world.images.pulled == ["far"]
    asyncio.run(world.build("FROM far\n", pull=True))
    assert world.images.pulled == ["far", "far"]


def test_run_gets_what_it_needs(world: World) -> None:
    asyncio.run(world.build(
        "FROM base\nARG V=1\nENV E=2\nWORKDIR /w\nUSER 5:6\n"
        "RUN --network=none --mount=type=cache,target=/c,id=k --mount=type=tmpfs,target=/t,size=1m "
        "--mount=target=/ctx --mount=type=bind,source=f,target=/f,rw go\n", {"f": "data"},
        build_args={"HTTP_PROXY": "http://p"}, extra_hosts=("h:1.2.3.4",), shm_size=99))
    spec = world.steps.specs[0]
    assert spec.args == ("/bin/sh", "-c", "go")
    assert set(spec.env) == {"PATH=/bin", "V=1", "E=2", "HTTP_PROXY=http://p"}
    assert (spec.cwd, spec.user, spec.network, spec.shm_size) == ("/w", "5:6", "none", 99)
    assert spec.extra_hosts == ("h:1.2.3.4",)
    kinds = [(mount.kind, mount.target, mount.read_only, mount.size) for mount in spec.mounts]
    assert kinds == [("bind", "/c", False, 0), ("tmpfs", "/t", False, 1 << 20), ("bind", "/ctx", True, 0),
                     ("bind", "/f", False, 0)]
    assert Path(spec.mounts[0].source).is_dir()


def test_quiet_says_the_id_alone(world: World) -> None:
    asyncio.run(world.build("FROM base\nRUN x\n", quiet=True))
    assert len(world.lines) == 1
    assert world.lines[0]["stream"].startswith("sha256:")


def test_add_unpacks_archives(world: World) -> None:
    inner = archive({"in/side": "text"})

    async def run() -> None:
        await world.service.start()
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as tar:
            for name, body in (("Dockerfile", b"FROM base\nADD x.tar.gz /to\nCOPY x.tar.gz /kept\n"),
                               ("x.tar.gz", inner)):
                info = tarfile.TarInfo(name)
                info.size = len(body)
                tar.addfile(info, io.BytesIO(body))
        await world.service.build(BuildOptions(tags=("t",)), chunks(data.getvalue()), None, world.lines.append)
        root = world.snapshots.layers[world.images.named["t"].chain[-1]]
        assert (root / "to/in/side").read_text() == "text"
        assert (root / "kept").read_bytes() == inner

    asyncio.run(run())


def test_prune(world: World) -> None:
    async def run() -> None:
        await world.build("FROM base\nRUN --mount=type=cache,target=/c x\n")
        assert [entry["Size"] for entry in world.service.usage()] == [1]
        world.service.image_chains = lambda: {chain for image in world.images.named.values() for chain in image.chain}
        deleted, _ = await world.service.prune(all=False, keep=0, filters={"until": ["1h"]})
        assert deleted == []
        world.service.image_chains = set
        deleted, space = await world.service.prune(all=False, keep=0, filters={})
        assert len(deleted) == 2
        assert space >= 1
        assert world.service.usage() == []
        await world.build("FROM base\nRUN --mount=type=cache,target=/c x\n")
        assert len(world.steps.specs) == 2

    asyncio.run(run())


def test_options_from_a_query() -> None:
    options = BuildOptions.from_query({
        "t": ["a", "b:1"], "buildargs": '{"A": "1", "B": null}', "labels": '{"l": "v"}', "nocache": "1", "rm": "1",
        "memory": "1000", "ulimits": '[{"Name": "nofile", "Soft": 1, "Hard": 2}]', "cachefrom": '["x"]',
        "extrahosts": "a:1.1.1.1,b:2.2.2.2", "dockerfile": "D", "networkmode": "host"})
    assert options.tags == ("a", "b:1")
    assert options.build_args == {"A": "1", "B": None}
    assert options.no_cache
    assert options.ulimits[0].hard == 2
    assert options.extra_hosts == ("a:1.1.1.1", "b:2.2.2.2")
    assert options.cache_from == ("x",)
    for query in ({"buildargs": "{"}, {"memory": "x"}, {"labels": "[]"}):
        with pytest.raises(InvalidParameter):
            BuildOptions.from_query(query)
    for query in ({"squash": "1"}, {"version": "2"}, {"outputs": '[{"Type": "local"}]'}):
        with pytest.raises(NotImplementedHere):
            BuildOptions.from_query(query)


def test_changes_of_commit() -> None:
    from solva.build.changes import apply_changes

    config = {"Env": ["A=1"], "Cmd": ["x"]}
    found = apply_changes(config, ["CMD echo hi", "ENV A=2 B=$A", "WORKDIR /w", "EXPOSE 80", "LABEL a=b"])
    assert found["Cmd"] == ["/bin/sh", "-c", "echo hi"]
    assert found["Env"] == ["A=2", "B=1"]
    assert found["WorkingDir"] == "/w"
    assert config == {"Env": ["A=1"], "Cmd": ["x"]}
    with pytest.raises(InvalidParameter, match="RUN is not a valid change command"):
        apply_changes({}, ["RUN x"])
