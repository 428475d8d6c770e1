"""One operation of a plan: the call it stands for, and what it came to where that differs from the plan's word."""

from __future__ import annotations

from solva.compose import labels
from solva.compose.errors import ComposeError, Interrupted
from solva.errors import Conflict, Forbidden, SolvaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from solva.client.transport import Response, Transport
    from solva.compose.execute import Run
    from solva.compose.plan import Op


def perform(op: Op, run: Run) -> str:
    """``""``, or a state to show in place of the planned one, with its detail behind a tab."""
    if op.kind == "wait":
        from solva.compose.waiting import wait

        return wait(op, run)
    if op.kind == "hook":
        hook(op, run)
        return ""
    if op.kind == "copy":
        copy(op, run.api)
        return ""
    if op.kind in ("pull", "build"):
        from solva.compose import images

        return images.perform(op, run)
    body = filled(op, run.api) if op.late else op.body
    try:
        answer = run.api.json(op.method, op.path, query=op.query, body=body)
    except SolvaError as error:
        if type(error).__name__ in op.lenient:
            return ""
        if "InUse" in op.lenient and isinstance(error, Conflict | Forbidden):
            return f"Resource is still in use\t{holders(op, run.api)}"
        raise
    for text in (answer.get("Warnings") or ()) if op.path == "/containers/create" and answer else ():
        run.warn(text)
    return ""


def filled(op: Op, api: Transport) -> dict[str, Any]:
    """A create request with what only now is known: the image's id, and the hash with the ids of joined containers."""
    from solva.compose import observe

    late = op.late or {}
    body: dict[str, Any] = {**op.body, "Labels": dict(op.body["Labels"])}
    if "image" in late:
        body["Labels"][labels.IMAGE] = observe.image_id(api, late["image"])
    if "shares" in late:
        from solva.compose.hash import service_hash
        from solva.compose.project import Service
        from solva.compose.reasons import joined

        places = {attribute: api.json("GET", f"/containers/{name}/json")["Id"]
                  for attribute, name in late["shares"].items()}
        service = Service(body["Labels"][labels.SERVICE], joined(late["config"], places))
        body["Labels"][labels.CONFIG_HASH] = service_hash(service)
    return body


def holders(op: Op, api: Transport) -> str:
    """Who uses a network, a volume or an image that cannot be removed."""
    kind, identifier = op.path.split("/")[1:3]
    try:
        if kind == "networks":
            entry = api.json("GET", op.path)
            names = [item.get("Name", "") for item in (entry.get("Containers") or {}).values()]
        else:
            query = {"all": True, "filters": {"volume" if kind == "volumes" else "ancestor": [identifier]}}
            names = [name.lstrip("/") for item in api.json("GET", "/containers/json", query=query)
                     for name in item.get("Names") or ()]
    except SolvaError:
        return ""
    return f"by {', '.join(sorted(names))}" if names else ""


def follow(run: Run, response: Response) -> Iterator[Any]:
    """The lines of a stream that ^C may cut; Interrupted then."""
    run.opened(response.connection)
    try:
        yield from response.lines()
    except SolvaError:
        if run.given_up:
            raise Interrupted from None
        raise
    finally:
        with run.changed:
            run.open.discard(response.connection)
    if run.given_up:
        raise Interrupted


def hook(op: Op, run: Run) -> None:
    """A lifecycle command inside the container; its failure is the plan's, with what it wrote."""
    command = op.body["command"]
    body = {"Cmd": [command] if isinstance(command, str) else command, "User": op.body.get("user", ""),
            "Privileged": bool(op.body.get("privileged")), "WorkingDir": op.body.get("working_dir", ""),
            "AttachStdout": True, "AttachStderr": True,
            "Env": [f"{key}={value}" for key, value in (op.body.get("environment") or {}).items()]}
    api = run.api
    created = api.json("POST", op.path, body=body)
    connection = api.hijack("POST", f"/exec/{created['Id']}/start", body={"Detach": False, "Tty": False})
    output = b""
    run.opened(connection)
    try:
        while data := connection.read_some(65536):
            output = (output + data)[-65536:]
    finally:
        with run.changed:
            run.open.discard(connection)
        connection.close()
    if run.given_up:
        raise Interrupted
    code = api.json("GET", f"/exec/{created['Id']}/json").get("ExitCode") or 0
    name = op.key.split(" ")[0]
    if code:
        said = "".join(f"\n    {line}" for line in _text(output).splitlines()[-10:])
        raise ComposeError(f"{name} hook exited with status {code}{said}")
    for line in _text(output).splitlines():
        run.progress.log(op.key.rpartition(" in ")[2], line)


def _text(framed: bytes) -> str:
    """The text of a multiplexed stream."""
    from solva.client.frames import text

    return text(framed)


def copy(op: Op, api: Transport) -> None:
    """A config's or secret's bytes at their path, with owner and mode."""
    import io
    import tarfile
    import time

    target, data, reference = op.body
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo(target.lstrip("/"))
        info.size = len(data)
        info.mtime = int(time.time())
        info.mode = int(str(reference.get("mode") or "0444"), 8)
        info.uid, info.gid = int(reference.get("uid") or 0), int(reference.get("gid") or 0)
        tar.addfile(info, io.BytesIO(data))
    api.json(op.method, op.path, query=op.query, body=buffer.getvalue(), headers={"Content-Type": "application/x-tar"})
