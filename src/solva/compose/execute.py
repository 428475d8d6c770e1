"""Carries a plan out: every operation as soon as what it needs is done, several at a time. Decides nothing."""

from __future__ import annotations

import threading

from solva.compose.errors import ComposeError
from solva.errors import Conflict, Forbidden, SolvaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.client.transport import Transport
    from solva.compose.plan import Op, Plan
    from solva.compose.progress import Progress


def execute(plan: Plan, api: Transport, progress: Progress, *, parallel: int = -1, dry_run: bool = False) -> None:
    """Raise the first failure, after what was under way has ended; nothing that waits for a failed one is begun."""
    for subject, state in plan.notes:
        progress.event(subject, state)
    if plan.ops:
        _Run(plan, api, progress, parallel, dry_run).run()


class _Run:
    def __init__(self, plan: Plan, api: Transport, progress: Progress, parallel: int, dry_run: bool) -> None:
        self.api = api
        self.progress = progress
        self.limit = parallel if parallel > 0 else 64
        self.dry_run = dry_run
        self.waiting = {op.key: op for op in plan.ops}
        self.done: set[str] = set()
        self.active = 0
        self.error: BaseException | None = None
        self.changed = threading.Condition()

    def run(self) -> None:
        with self.changed:
            while True:
                ready = [] if self.error else [
                    op for op in self.waiting.values() if self.done.issuperset(op.needs)][: self.limit - self.active]
                for op in ready:
                    del self.waiting[op.key]
                if len(ready) == 1 and not self.active:
                    self.changed.release()
                    try:
                        self.one(ready[0])
                    finally:
                        self.changed.acquire()
                    continue
                for op in ready:
                    self.active += 1
                    threading.Thread(target=self.thread, args=(op,), daemon=True).start()
                if not self.active:
                    break
                self.changed.wait()
        if self.error is not None:
            raise self.error

    def thread(self, op: Op) -> None:
        try:
            self.one(op)
        finally:
            with self.changed:
                self.active -= 1
                self.changed.notify_all()
            kept = getattr(self.api._local, "connection", None)
            if kept is not None:
                kept.close()

    def one(self, op: Op) -> None:
        self.progress.event(op.subject, op.doing)
        try:
            state = "" if self.dry_run else perform(op, self.api)
            self.progress.event(op.subject, state or op.done)
        except BaseException as error:
            self.progress.event(op.subject, "Error", str(error) if isinstance(error, SolvaError) else "")
            with self.changed:
                self.error = self.error or _with_place(op, error)
            return
        with self.changed:
            self.done.add(op.key)


def _with_place(op: Op, error: BaseException) -> BaseException:
    if isinstance(error, SolvaError) and not isinstance(error, ComposeError):
        return ComposeError(f"Error response from daemon: {error}")
    return error


def perform(op: Op, api: Transport) -> str:
    """One call; what it came to where that differs from the plan's word."""
    if op.kind == "wait":
        return wait(op, api)
    if op.kind == "hook":
        return hook(op, api)
    if op.kind == "copy":
        copy(op, api)
        return ""
    try:
        api.json(op.method, op.path, query=op.query, body=op.body)
    except SolvaError as error:
        if type(error).__name__ in op.lenient:
            return ""
        if "InUse" in op.lenient and isinstance(error, Conflict | Forbidden):
            return "Resource is still in use"
        raise
    return ""


def wait(op: Op, api: Transport) -> str:
    """Until the container is healthy, or has ended well; by events, joined to the state without a gap."""
    condition = op.body["condition"]
    name = op.path.split("/")[2]
    stream = api.request("GET", "/events", query={"filters": {"type": ["container"], "container": [name]}})
    try:
        if (verdict := _settled(api, op, name, condition)) is not None:
            return verdict
        for _event in stream.lines():
            if (verdict := _settled(api, op, name, condition)) is not None:
                return verdict
    finally:
        stream.connection.close()
    raise ComposeError(f"dependency failed to start: the engine went away while waiting for {name}")


def _settled(api: Transport, op: Op, name: str, condition: str) -> str | None:
    data = _inspect(api, op.path)
    state = data["State"]
    running, code = state.get("Running"), state.get("ExitCode", 0)
    problem = ""
    if condition == "service_completed_successfully":
        if state.get("Status") == "exited" and not state.get("Restarting"):
            if code == 0:
                return "Exited"
            service = data["Config"]["Labels"].get("com.docker.compose.service", name)
            problem = f'service "{service}" didn\'t complete successfully: exit {code}'
    else:
        health = (state.get("Health") or {}).get("Status", "")
        if running and (health == "healthy" or (condition == "running_or_healthy" and health in ("", "none"))):
            return "Healthy"
        if health in ("", "none") and running:
            problem = f"container {name} has no healthcheck configured"
        elif health == "unhealthy":
            problem = f"container {name} is unhealthy"
        elif state.get("Status") in ("exited", "dead"):
            problem = f"container {name} exited ({code})"
    if not problem:
        return None
    if not op.body.get("required", True):
        return "Skipped"
    raise ComposeError(f"dependency failed to start: {problem}" if condition != "service_completed_successfully"
                       else problem)


def _inspect(api: Transport, path: str) -> Any:
    return api.json("GET", path)


def hook(op: Op, api: Transport) -> str:
    """A lifecycle command inside the container; its failure is the plan's."""
    body = {"Cmd": op.body["command"], "User": op.body.get("user", ""), "Privileged": bool(op.body.get("privileged")),
            "WorkingDir": op.body.get("working_dir", ""), "AttachStdout": True, "AttachStderr": True,
            "Env": [f"{key}={value}" for key, value in (op.body.get("environment") or {}).items()]}
    created = api.json("POST", op.path, body=body)
    connection = api.hijack("POST", f"/exec/{created['Id']}/start", body={"Detach": False, "Tty": False})
    try:
        while connection.read_some(65536):
            pass
    finally:
        connection.close()
    code = api.json("GET", f"/exec/{created['Id']}/json").get("ExitCode") or 0
    if code:
        name = op.key.split(" ")[0]
        raise ComposeError(f"{name} hook exited with status {code}")
    return ""


def copy(op: Op, api: Transport) -> None:
    """A config's or secret's bytes at their path, with owner and mode."""
    import io
    import tarfile

    target, data, reference = op.body
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo(target.lstrip("/"))
        info.size = len(data)
        info.mode = int(str(reference.get("mode") or "0444"), 8)
        info.uid, info.gid = int(reference.get("uid") or 0), int(reference.get("gid") or 0)
        tar.addfile(info, io.BytesIO(data))
    api.json(op.method, op.path, query=op.query, body=buffer.getvalue(), headers={"Content-Type": "application/x-tar"})
