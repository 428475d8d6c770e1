"""Waiting for a container: healthy, running, or ended well; and saying why it will not be."""

from __future__ import annotations

from solva.compose.errors import ComposeError
from solva.compose.perform import follow
from solva.errors import SolvaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from solva.client.transport import Transport
    from solva.compose.execute import Run
    from solva.compose.plan import Op

_LINES = 10


def wait(op: Op, run: Run) -> str:
    """Until the condition holds; by events, joined to the state without a gap. ComposeError when it cannot any more."""
    name = op.path.split("/")[2]
    stream = run.api.request("GET", "/events", query={"filters": {"type": ["container"], "container": [name]}})
    try:
        if (verdict := _settled(op, run, name)) is not None:
            return verdict
        for _event in follow(run, stream):
            if (verdict := _settled(op, run, name)) is not None:
                return verdict
    finally:
        stream.connection.close()
    raise ComposeError(f"dependency failed to start: the engine went away while waiting for {name}")


def _settled(op: Op, run: Run, name: str) -> str | None:
    data = run.api.json("GET", op.path)
    condition = op.body["condition"]
    problem = _problem(data, name, condition)
    if problem is None:
        run.progress.event(op.subject, op.doing, _last_probe(data["State"]))
        return None
    if not problem:
        return "Exited" if condition == "service_completed_successfully" else "Healthy"
    if not op.body.get("required", True):
        return f"Skipped\t{problem}"
    problem = f"{op.body['hook']}: exit {data['State'].get('ExitCode')}" if op.body.get("hook") else problem
    head = problem if condition == "service_completed_successfully" else f"dependency failed to start: {problem}"
    raise ComposeError(head + "".join(f"\n{line}" for line in diagnosis(run.api, data)))


def _problem(data: Mapping[str, Any], name: str, condition: str) -> str | None:
    """``""`` when the condition holds, the reason when it never will, None while it may."""
    state = data["State"]
    running, code = state.get("Running"), state.get("ExitCode", 0)
    status = state.get("Status")
    if condition == "service_completed_successfully":
        if status not in ("exited", "dead") or state.get("Restarting"):
            return None
        if code == 0:
            return ""
        service = data["Config"]["Labels"].get("com.docker.compose.service", name)
        return f'service "{service}" didn\'t complete successfully: exit {code}'
    health = (state.get("Health") or {}).get("Status", "")
    if running and (health == "healthy" or (condition == "running_or_healthy" and health in ("", "none"))):
        return ""
    if health in ("", "none") and running:
        return f"container {name} has no healthcheck configured"
    if health == "unhealthy":
        return f"container {name} is unhealthy"
    if status in ("exited", "dead"):
        return f"container {name} exited ({code})"
    return None


def _last_probe(state: Mapping[str, Any]) -> str:
    """The last health check's output in a line, where it failed."""
    log = (state.get("Health") or {}).get("Log") or ()
    if not log or not log[-1].get("ExitCode"):
        return ""
    output = " ".join(str(log[-1].get("Output") or "").split())
    return f"health check exited {log[-1]['ExitCode']}: {output}"[:120]


def diagnosis(api: Transport, data: Mapping[str, Any]) -> list[str]:
    """What its last health checks and its last lines said: what a user would look up next."""
    lines = []
    state = data["State"]
    log = (state.get("Health") or {}).get("Log") or ()
    if log:
        test = (data["Config"].get("Healthcheck") or {}).get("Test") or []
        shown = " ".join(test[1:]) if test[:1] in (["CMD"], ["CMD-SHELL"]) else " ".join(test)
        streak = (state.get("Health") or {}).get("FailingStreak", 0)
        lines.append(f"  health check `{shown}` exited {log[-1].get('ExitCode')}, {streak} in a row; it said:")
        output = str(log[-1].get("Output") or "").splitlines()[-_LINES:]
        lines += [f"    {line}" for line in output] or ["    (nothing)"]
    name = data.get("Name", "").lstrip("/")
    query = {"stdout": True, "stderr": True, "tail": _LINES}
    try:
        with api.request("GET", f"/containers/{data['Id']}/logs", query=query) as response:
            framed = response.read()
    except SolvaError:
        return lines
    from solva.client.frames import text

    said = text(framed).splitlines()[-_LINES:]
    if said:
        lines.append(f"  last lines of {name}:")
        lines += [f"    {line}" for line in said]
    else:
        lines.append(f"  {name} has written nothing")
    return lines
