"""``solva build`` by BuildKit's protocol: secrets, ssh agents, other contexts, results as files, checks, live view."""

from __future__ import annotations

import os
import sys

from solva.cli.commands.image.buildcontext import REMOTE, dockerfile_path, is_archive
from solva.cli.errors import CommandError, Exit
from solva.cli.session import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, BinaryIO

    from solva.cli.flags import Options
    from solva.cli.session import Session
    from solva.client.buildkit.request import BuildRequest, Output, Readable

_CALLS = {"check": "frontend.lint", "lint": "frontend.lint", "outline": "frontend.outline",
          "targets": "frontend.targets"}
_UPLOADED = "http://buildkit-session/context"


def build(session: Session, options: Options) -> int:
    """Build, and do with the result what was asked; or answer a question about the Dockerfile."""
    from solva.cli.output.buildview import view
    from solva.client.buildkit import build as client

    api = session.api
    call = "check" if options.on("check") else options.text("call").partition(",")[0]
    if not client.supported(api):
        raise CommandError("the engine does not serve BuildKit's clients, and what was asked needs that")
    request = _request(session, options)
    shown = view(options.text("progress"), options.on("quiet") or call != "build")
    try:
        if call != "build":
            if call not in _CALLS:
                raise CommandError(f"invalid call {call!r}: build, check, outline and targets are known")
            result = client.ask(api, request, _CALLS[call], shown.show)
            shown.close(False)
            return _answer(call, options.text("call"), result)
        response = client.build(api, request, shown.show)
    except client.BuildFailed as error:
        shown.close(True)
        if error.excerpt:
            sys.stderr.write(error.excerpt + "\n")
        raise CommandError(f"failed to build: failed to solve: {error}") from None
    except BaseException:
        shown.close(True)
        raise
    shown.close(False)
    return _finish(session, options, request, response)


def _finish(session: Session, options: Options, request: BuildRequest, response: Mapping[str, str]) -> int:
    identifier = response.get("containerimage.digest", "")
    if options.text("iidfile"):
        if not identifier:
            raise CommandError("this output has no image ID. Cannot write " + options.text("iidfile"))
        with open(options.text("iidfile"), "w", encoding="ascii") as file:
            file.write(identifier)
    if options.text("metadata-file"):
        from solva.client.fastjson import dumps

        with open(options.text("metadata-file"), "w", encoding="utf-8") as file:
            file.write(dumps(dict(response)) + "\n")
    if options.on("push"):
        _push(session, options.many("tag"))
    if options.on("quiet") and identifier:
        say(identifier)
    return 0


def _push(session: Session, tags: list[str]) -> None:
    if not tags:
        raise CommandError("tag is needed when pushing to registry")
    from solva.cli.commands.image import push
    from solva.cli.flags import parse

    for tag in tags:
        push.run(session, parse(push.COMMAND, [tag]))


def _answer(call: str, asked: str, result: Mapping[str, bytes]) -> int:
    """The answer to a question, as text or JSON (``--call=check,format=json``)."""
    import json

    from solva.cli.output.buildcall import text_of

    value = json.loads(result.get("result.json", b"{}"))
    if "format=json" in asked.split(","):
        say(json.dumps(value, indent=2))
    else:
        say(text_of(call, value))
    status = int(result.get("result.statuscode", b"0") or 0)
    if status:
        raise Exit(status)
    return 0


def _request(session: Session, options: Options) -> BuildRequest:
    from solva.cli.credentials import login
    from solva.client.buildkit.request import BuildRequest

    given = _frontend_options(options)
    folders, archive = _context(options, given)
    for item in options.many("build-context"):
        _named_context(item, given, folders)
    if options.many("attest") or options.text("provenance") not in ("", "false") or \
            options.text("sbom") not in ("", "false"):
        raise CommandError("Attestation is not supported: the engine's image store has no place for attestations")

    context = folders.get("context", "")
    return BuildRequest(
        options=given, folders=folders, archive=archive, secrets=dict(map(_secret, options.many("secret"))),
        agents=dict(map(_agent, options.many("ssh"))), credentials=lambda host: login(session, host),
        outputs=_outputs(options),
        cache_from=tuple(map(_cache, options.many("cache-from"))),
        cache_to=tuple(map(_cache, options.many("cache-to"))),
        entitlements=tuple(options.many("allow")), shared_key=f"solva:{os.path.realpath(context)}" if context else "")


def _frontend_options(options: Options) -> dict[str, str]:
    given = {}
    for item in options.many("build-arg"):
        name, equals, value = item.partition("=")
        if equals or name in os.environ:
            given[f"build-arg:{name}"] = value if equals else os.environ[name]
    for pair in options.many("label"):
        name, _, value = pair.partition("=")
        given[f"label:{name}"] = value
    for name in ("target", "platform"):
        if options.text(name):
            given[name] = options.text(name)
    if options.on("no-cache"):
        given["no-cache"] = ""
    elif options.many("no-cache-filter"):
        given["no-cache"] = ",".join(options.many("no-cache-filter"))
    if options.on("pull"):
        given["image-resolve-mode"] = "pull"
    if options.text("network") != "default":
        given["force-network-mode"] = options.text("network")
    if options.many("add-host"):
        given["add-hosts"] = ",".join(item.replace(":", "=", 1) for item in options.many("add-host"))
    if options.number("shm-size"):
        given["shm-size"] = str(options.number("shm-size"))
    if options.many("ulimit"):
        given["ulimit"] = ",".join(f"{row['Name']}={row['Soft']}:{row['Hard']}" for row in options.many("ulimit"))
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch:
        given.setdefault("build-arg:SOURCE_DATE_EPOCH", epoch)
    return given


def _context(options: Options, given: dict[str, str]) -> tuple[dict[str, str], Readable | None]:
    """The directories that are sent, and the context where it is one stream."""
    source, dockerfile = options.args[0], options.text("file")
    if source.startswith(REMOTE):
        given["context"] = source
        given["filename"] = dockerfile or "Dockerfile"
        return {}, None
    if source == "-":
        return _from_stdin(given, dockerfile)
    if not os.path.isdir(source):
        if os.path.exists(source):
            raise CommandError(f"unable to prepare context: context must be a directory: {os.path.abspath(source)}")
        raise CommandError(f'unable to prepare context: path "{source}" not found')
    root = os.path.realpath(source)
    if dockerfile == "-":
        folder = _folder_of(sys.stdin.buffer.read())
        given["filename"] = "Dockerfile"
        return {"context": root, "dockerfile": folder}, None
    path = dockerfile_path(root, dockerfile)
    given["filename"] = os.path.basename(path)
    return {"context": root, "dockerfile": os.path.dirname(path)}, None


def _from_stdin(given: dict[str, str], dockerfile: str) -> tuple[dict[str, str], Readable | None]:
    if dockerfile == "-":
        raise CommandError("invalid argument: can't use stdin for both build context and dockerfile")
    stdin = sys.stdin.buffer
    head = stdin.read(1 << 16)
    if is_archive(head):
        given["context"] = _UPLOADED
        given["filename"] = dockerfile or "Dockerfile"
        return {}, _Joined(head, stdin)
    folder = _folder_of(head + stdin.read())
    given["filename"] = "Dockerfile"
    return {"context": _empty_folder(), "dockerfile": folder}, None


def _empty_folder() -> str:
    import atexit
    import shutil
    import tempfile

    folder = tempfile.mkdtemp(prefix="solva-build-")
    atexit.register(shutil.rmtree, folder, True)
    return folder


def _folder_of(dockerfile: bytes) -> str:
    """A directory of the Dockerfile alone, gone with this process."""
    if not dockerfile.strip():
        raise CommandError("unable to prepare context: failed to read from STDIN: the Dockerfile is empty")
    folder = _empty_folder()
    with open(os.path.join(folder, "Dockerfile"), "wb") as file:
        file.write(dockerfile)
    return folder


def _named_context(item: str, given: dict[str, str], folders: dict[str, str]) -> None:
    name, equals, value = item.partition("=")
    if not equals or not name or not value:
        raise CommandError(f"invalid context value: {item}, expected key=value")
    if value.startswith(("docker-image://", *REMOTE)):
        given[f"context:{name}"] = value
        return
    if not os.path.isdir(value):
        raise CommandError(f"failed to get build context {name}: {value} is not a directory")
    folders[name] = os.path.realpath(value)
    given[f"context:{name}"] = f"local:{name}"


def _fields(text: str) -> dict[str, str]:
    from solva.cli.flags import parse_csv

    found = {}
    for part in parse_csv(text):
        key, equals, value = part.partition("=")
        if not equals:
            raise CommandError(f"invalid field '{part}' must be a key=value pair")
        found[key.strip().lower()] = value
    return found


def _secret(text: str) -> tuple[str, bytes]:
    """``id=name[,src=path|,env=VARIABLE]``; without a source the variable, else the file, of that name."""
    fields = _fields(text)
    identifier = fields.get("id", "")
    if not identifier:
        raise CommandError(f"invalid secret {text!r}: id=… is missing")
    source, variable = fields.get("src") or fields.get("source") or "", fields.get("env", "")
    if not source and not variable:
        variable, source = (identifier, "") if identifier in os.environ else ("", identifier)
    if variable:
        return identifier, os.environ.get(variable, "").encode()
    try:
        with open(source, "rb") as file:
            return identifier, file.read()
    except OSError as error:
        raise CommandError(f"failed to stat {source}: {error.strerror}") from None


def _agent(text: str) -> tuple[str, str]:
    identifier, _, path = text.partition("=")
    path = path or os.environ.get("SSH_AUTH_SOCK", "")
    if not path:
        raise CommandError(f"invalid empty ssh agent socket for {identifier or 'default'}: make sure SSH_AUTH_SOCK is "
                           "set")
    import stat

    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise CommandError(f"{path} is not the socket of an ssh agent: keys are not read from files, add them to "
                               "an agent (ssh-add)")
    except OSError as error:
        raise CommandError(f"failed to open {path}: {error.strerror}") from None
    return identifier or "default", path


def _cache(text: str) -> tuple[str, Mapping[str, str]]:
    if "=" not in text:
        return "registry", {"ref": text}
    fields = _fields(text)
    return fields.pop("type", "registry"), fields


def _outputs(options: Options) -> tuple[Output, ...]:
    from solva.client.buildkit.request import Output

    tags = ",".join(options.many("tag"))
    names = {"name": tags} if tags else {}
    found = [_output(text, names) for text in options.many("output")]
    if not found or options.on("load"):
        found.append(Output("moby", names))
    return tuple(found)


def _output(text: str, names: Mapping[str, str]) -> Output:
    from solva.client.buildkit.request import Output

    if "=" not in text:
        fields = {"type": "tar", "dest": "-"} if text == "-" else {"type": "local", "dest": text}
    else:
        fields = _fields(text)
    kind, target = fields.pop("type", ""), fields.pop("dest", "")
    if kind in ("image", "registry"):
        attrs = {**names, **fields}
        if kind == "registry":
            attrs["push"] = "true"
        return Output("moby", attrs)
    if kind == "cacheonly":
        return Output("")
    if kind == "local":
        if not target:
            raise CommandError("dest is required for local output")
        return Output("local", fields, folder=os.path.abspath(target))
    if kind not in ("tar", "oci", "docker"):
        raise CommandError(f"invalid output type {kind!r}: image, registry, local, tar, oci, docker and cacheonly are "
                           "known")
    if kind == "docker" and not target:
        return Output("moby", {**names, **fields})
    if target in ("", "-"):
        if sys.stdout.isatty():
            raise CommandError("dest file is required for " + kind + " exporter. refusing to write to console")
        return Output(kind, {**names, **fields}, open=_stdout)
    return Output(kind, {**names, **fields}, open=lambda: open(target, "wb"))


def _stdout() -> Any:
    return os.fdopen(os.dup(1), "wb")


class _Joined:
    """What was read already, then the rest."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def read(self, size: int) -> bytes:
        if self._head:
            part, self._head = self._head[:size], self._head[size:]
            return part
        return self._rest.read(size)
