"""``solva build``: the context is packed and sent, the engine's steps are printed as they come."""

from __future__ import annotations

import os
import sys

from solva.cli.commands.container import values
from solva.cli.commands.image.buildcontext import REMOTE, dockerfile_path, is_archive
from solva.cli.errors import CommandError
from solva.cli.flags import Command, Flag
from solva.cli.output.progress import show_stream
from solva.cli.session import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from solva.cli.flags import Options
    from solva.cli.session import Session

_DOCKERFILE_FROM_STDIN = ".dockerfile.stdin"
_DOCKERFILE_FROM_OUTSIDE = ".dockerfile.outside"


def run(session: Session, options: Options) -> int:
    """Build an image."""
    progress = options.text("progress")
    if progress not in ("auto", "plain", "tty", "rawjson", "quiet"):
        raise CommandError(f"invalid progress mode {progress}")
    if _needs_buildkit(session, options, progress):
        from solva.cli.commands.image.buildkit import build

        return build(session, options)
    upload, dockerfile = _context(options)
    query = _query(options, dockerfile)
    headers = {"Content-Type": "application/x-tar"}
    if session.config.get("auths") or session.config.get("credHelpers"):
        from solva.cli.credentials import everything, header

        headers["X-Registry-Config"] = header(everything(session))
    identifier: list[str] = []
    response = session.api.request("POST", "/build", query=query, upload=upload, headers=headers)

    def aux(value: dict[str, Any]) -> None:
        if value.get("ID"):
            identifier[:] = [str(value["ID"])]

    with response:
        messages = response.lines()
        if progress == "rawjson":
            _raw(messages, aux)
        elif options.on("quiet") or progress == "quiet":
            _quiet(messages, aux, identifier)
        else:
            show_stream(messages, aux=aux)
    if options.on("quiet") and identifier:
        say(identifier[0])
    if options.text("iidfile"):
        if not identifier:
            raise CommandError("server did not provide an image ID. Cannot write " + options.text("iidfile"))
        with open(options.text("iidfile"), "w", encoding="ascii") as file:
            file.write(identifier[0])
    return 0


BUILDKIT_FLAGS = ("allow", "build-context", "cache-to", "call", "check", "load", "metadata-file", "no-cache-filter",
                  "output", "push", "secret", "ssh", "attest", "provenance", "sbom")
CLASSIC_FLAGS = ("cgroup-parent", "cpu-period", "cpu-quota", "cpu-shares", "cpuset-cpus", "cpuset-mems", "force-rm",
                 "memory", "memory-swap", "security-opt")


def _needs_buildkit(session: Session, options: Options, progress: str) -> bool:
    """What only BuildKit's way can do, or a person at a terminal, who is to see every stage live. All else goes the
    classic way: it needs nothing imported."""
    wanted = [name for name in BUILDKIT_FLAGS if name in options.changed]
    classic = [name for name in CLASSIC_FLAGS if name in options.changed]
    if wanted and classic:
        raise CommandError(f"--{wanted[0]} and --{classic[0]} cannot be used together: steps of a BuildKit build have "
                           "no limits of their own")
    if os.environ.get("DOCKER_BUILDKIT", "") in ("0", "false"):
        if wanted:
            raise CommandError(f"--{wanted[0]} needs BuildKit, which DOCKER_BUILDKIT={os.environ['DOCKER_BUILDKIT']} "
                               "turns off")
        return False
    remote = options.args[0].startswith(REMOTE)
    if wanted or remote or options.many("cache-from") or progress in ("tty", "rawjson"):
        return True
    if classic or progress != "auto" or options.on("quiet") or not sys.stderr.isatty():
        return False
    with session.api.request("GET", "/_ping") as answer:
        answer.read()
        return answer.headers.get("builder-version") == "2"


def _raw(messages: Iterable[dict[str, Any]], aux: Any) -> None:
    from solva.cli.output.gojson import compact

    failure = None
    for message in messages:
        say(compact(message))
        sys.stdout.flush()
        if isinstance(message.get("aux"), dict):
            aux(message["aux"])
        failure = message.get("errorDetail") or failure
    if failure:
        raise CommandError(str(failure.get("message")), int(failure.get("code") or 1))


def _quiet(messages: Iterable[dict[str, Any]], aux: Any, identifier: list[str]) -> None:
    """Only an error is shown, then with all that led to it."""
    import io

    told = io.StringIO()

    def noted() -> Iterator[dict[str, Any]]:
        for message in messages:
            text = str(message.get("stream") or "").strip()
            if text.startswith("sha256:") and not identifier:
                identifier[:] = [text]
            yield message

    try:
        show_stream(noted(), told, aux)
    except CommandError:
        sys.stderr.write(told.getvalue())
        raise


def _context(options: Options) -> tuple[Iterator[bytes], str]:
    """The context as a tar stream, and the Dockerfile's path within it."""
    from solva.cli.files import pieces
    from solva.client.context import pack

    source, dockerfile = options.args[0], options.text("file")
    if source == "-":
        if dockerfile == "-":
            raise CommandError("invalid argument: can't use stdin for both build context and dockerfile")
        stdin = sys.stdin.buffer
        head = stdin.read(1 << 16)
        if is_archive(head):
            return _joined(head, pieces(stdin)), dockerfile or "Dockerfile"
        content = head + stdin.read()
        if not content.strip():
            raise CommandError("unable to prepare context: failed to read from STDIN: the Dockerfile is empty")
        return _single(content), "Dockerfile"
    if not os.path.isdir(source):
        if os.path.exists(source):
            raise CommandError(f"unable to prepare context: context must be a directory: {os.path.abspath(source)}")
        raise CommandError(f'unable to prepare context: path "{source}" not found')
    root = os.path.realpath(source)
    extra: dict[str, bytes] = {}
    if dockerfile == "-":
        extra[_DOCKERFILE_FROM_STDIN] = sys.stdin.buffer.read()
        return pack(root, _DOCKERFILE_FROM_STDIN, extra), _DOCKERFILE_FROM_STDIN
    path = dockerfile_path(root, dockerfile)
    inner = os.path.relpath(path, root)
    if inner.startswith("../"):
        with open(path, "rb") as file:
            extra[_DOCKERFILE_FROM_OUTSIDE] = file.read()
        return pack(root, _DOCKERFILE_FROM_OUTSIDE, extra), _DOCKERFILE_FROM_OUTSIDE
    return pack(root, inner), inner


def _joined(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from rest


def _single(content: bytes) -> Iterator[bytes]:
    """A context of a Dockerfile alone."""
    import io
    import tarfile

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo("Dockerfile")
        member.size, member.mode = len(content), 0o600
        tar.addfile(member, io.BytesIO(content))
    yield out.getvalue()


def _tag(text: str) -> str:
    """A tag that the image can have."""
    from solva.cli.references import parse

    parse(text)
    return text


def _query(options: Options, dockerfile: str) -> dict[str, Any]:
    arguments: dict[str, str | None] = {}
    for item in options.many("build-arg"):
        name, equals, value = item.partition("=")
        arguments[name] = value if equals else os.environ.get(name)
    query: dict[str, Any] = {
        "t": tuple(options.many("tag")),
        "dockerfile": dockerfile,
        "buildargs": arguments or None,
        "labels": dict(pair.partition("=")[::2] for pair in options.many("label")) or None,
        "target": options.text("target") or None,
        "nocache": options.on("no-cache") or None,
        "pull": options.on("pull") or None,
        "q": options.on("quiet") or None,
        "rm": options.on("rm"),
        "forcerm": options.on("force-rm") or None,
        "networkmode": options.text("network"),
        "extrahosts": tuple(options.many("add-host")),
        "platform": options.text("platform") or None,
        "cachefrom": options.many("cache-from") or None,
        "ulimits": options.many("ulimit") or None,
        "securityopt": options.many("security-opt") or None,
        "cgroupparent": options.text("cgroup-parent") or None,
        "version": "1",
    }
    for key, name in (("memory", "memory"), ("memswap", "memory-swap"), ("shmsize", "shm-size"),
                      ("cpushares", "cpu-shares"), ("cpuperiod", "cpu-period"), ("cpuquota", "cpu-quota")):
        query[key] = options.number(name) or None
    for key in ("cpusetcpus", "cpusetmems"):
        query[key] = options.text(f"cpuset-{key[6:]}") or None
    return query


COMMAND = Command(
    "build", "[OPTIONS] PATH | URL | -", "Build an image from a Dockerfile", run,
    flags=(
        Flag("add-host", "", "list", "Add a host-to-address mapping (host:ip)", convert=values.extra_host),
        Flag("allow", "", "list", "Allow extra privileges (network.host, security.insecure)"),
        Flag("attest", "", "list", "Attestations of the image (type=sbom, type=provenance)"),
        Flag("build-arg", "", "list", "Set build-time variables"),
        Flag("build-context", "", "list", "Additional build contexts (name=path)"),
        Flag("cache-from", "", "list", "Images to consider as cache sources (user/app:cache, type=registry,ref=…)"),
        Flag("cache-to", "", "list", "Where to keep the cache (type=inline, type=registry,ref=…)"),
        Flag("call", "", "string", "What to do (build, check, outline, targets)", default="build"),
        Flag("check", "", "bool", "Only check the Dockerfile (--call=check)"),
        Flag("cgroup-parent", "", "string", "Parent cgroup of RUN steps"),
        Flag("cpu-period", "", "int", "CFS period of the CPU limit"),
        Flag("cpu-quota", "", "int", "CFS quota of the CPU limit"),
        Flag("cpu-shares", "c", "int", "CPU shares (relative weight)"),
        Flag("cpuset-cpus", "", "string", "CPUs that may be used (0-3, 0,1)"),
        Flag("cpuset-mems", "", "string", "Memory nodes that may be used (0-3, 0,1)"),
        Flag("file", "f", "string", "Path of the Dockerfile (default: PATH/Dockerfile); '-' reads standard input"),
        Flag("force-rm", "", "bool", "Always remove intermediate containers"),
        Flag("iidfile", "", "string", "Write the image ID to the file"),
        Flag("label", "", "list", "Set metadata of the image", convert=values.label),
        Flag("load", "", "bool", "Keep the image in the engine (the default)"),
        Flag("metadata-file", "", "string", "Write what is known of the result to the file"),
        Flag("memory", "m", "bytes", "Memory limit"),
        Flag("memory-swap", "", "memory", "Limit of memory plus swap; -1 for unlimited swap", default=0,
             convert=values.swap_bytes),
        Flag("network", "", "string", "Network of RUN steps", default="default"),
        Flag("no-cache", "", "bool", "Do not use the cache"),
        Flag("no-cache-filter", "", "list", "Stages to build without the cache"),
        Flag("output", "o", "list", "Where the result goes (type=local,dest=path)"),
        Flag("platform", "", "string", "Platform of the image"),
        Flag("provenance", "", "string", "Provenance attestation (--attest=type=provenance)"),
        Flag("progress", "", "string", "How progress is shown (auto, plain, tty, rawjson, quiet)", default="auto"),
        Flag("pull", "", "bool", "Look for newer versions of the images used"),
        Flag("push", "", "bool", "Push the image (--output=type=registry)"),
        Flag("quiet", "q", "bool", "Print only the image ID, on success"),
        Flag("rm", "", "bool", "Remove intermediate containers", default=True),
        Flag("sbom", "", "string", "SBOM attestation (--attest=type=sbom)"),
        Flag("secret", "", "list", "Secret for the build (id=name,src=/path, id=name,env=VARIABLE)"),
        Flag("security-opt", "", "strings", "Security options"),
        Flag("shm-size", "", "bytes", "Size of /dev/shm"),
        Flag("ssh", "", "list", "SSH agent or keys for the build (default|<id>[=<socket>])"),
        Flag("tag", "t", "list", "Name, and perhaps a tag, of the image (name:tag)", convert=_tag),
        Flag("target", "", "string", "Stage to build"),
        Flag("ulimit", "", "ulimit", "Set ulimits", convert=values.ulimit),
    ),
    arity=(1, 1), aliases=("image build", "build", "builder build"),
)
