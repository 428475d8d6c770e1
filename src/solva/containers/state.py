"""All transitions of a container's state; no I/O. Each returns nothing and leaves a whole, valid state."""

from __future__ import annotations

from solva.containers.model import Health, State
from solva.errors import Conflict
from solva.ids import short
from solva.text import human_duration


def started(state: State, *, pid: int, pid_start: int, conmon_pid: int, boot: str, now: int, health: bool) -> None:
    """A process runs."""
    state.status = "running"
    state.pid, state.pid_start, state.conmon_pid, state.boot = pid, pid_start, conmon_pid, boot
    state.exit_code, state.error, state.oom_killed = 0, "", False
    state.started_ns = now
    state.stopped_by_user = False
    state.health = Health() if health else None


def start_failed(state: State, *, exit_code: int, error: str) -> None:
    """The start did not come off; a container never started stays "created", another one "exited"."""
    state.status = "created" if state.started_ns == 0 else "exited"
    state.pid = state.conmon_pid = state.pid_start = 0
    state.exit_code, state.error = exit_code, error


def exited(state: State, *, exit_code: int, oom: bool, now: int) -> None:
    """The process has ended."""
    state.status = "exited"
    state.pid = state.conmon_pid = state.pid_start = 0
    state.exit_code, state.oom_killed, state.finished_ns = exit_code, oom, now
    if state.health is not None and state.health.status == "starting":
        state.health.status = "unhealthy"


def restarting(state: State) -> None:
    """Ended, and the policy will start it again."""
    state.status = "restarting"
    state.restart_count += 1


def restart_cancelled(state: State) -> None:
    """Stopped while it waited for its next start."""
    state.status = "exited"


def paused(state: State) -> None:
    state.status = "paused"


def resumed(state: State) -> None:
    state.status = "running"


def removing(state: State, *, volumes: bool) -> None:
    """From here on it can only go, also by the next engine."""
    state.status, state.remove_volumes = "removing", volumes


def dead(state: State) -> None:
    """Removal failed half-way; only another removal is possible."""
    state.status = "dead"


def check_alive(state: State, reference: str) -> None:
    """Conflict unless it has a process."""
    if not state.alive:
        raise Conflict(f"container {short(reference) if len(reference) == 64 else reference} is not running")


def describe(state: State, now: int) -> str:
    """The column STATUS: ``Up 3 minutes (healthy)``, ``Exited (0) 2 hours ago`` …"""
    if state.status == "created":
        return "Created"
    if state.status == "dead":
        return "Dead"
    if state.status == "removing":
        return "Removal In Progress"
    if state.status == "restarting":
        return f"Restarting ({state.exit_code}) {duration(now - state.finished_ns)} ago"
    if state.status == "exited":
        if not state.finished_ns:
            return "Created"
        return f"Exited ({state.exit_code}) {duration(now - state.finished_ns)} ago"
    text = f"Up {duration(now - state.started_ns)}"
    if state.status == "paused":
        return f"{text} (Paused)"
    if state.health is not None:
        word = {"starting": "health: starting"}.get(state.health.status, state.health.status)
        return f"{text} ({word})"
    return text


def duration(ns: int) -> str:
    """Docker's rough words for a time span."""
    return human_duration(max(0, ns) / 1e9)
