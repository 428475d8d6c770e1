"""Health checks: the probe is an exec in the container, the verdict Docker's."""

from __future__ import annotations

import asyncio

from solva.api.types.container import Healthcheck
from solva.containers.core import Core
from solva.containers.model import Container, Health, HealthResult
from solva.errors import SolvaError

_INTERVAL = _TIMEOUT = 30_000_000_000
_START_INTERVAL = 5_000_000_000
_RETRIES = 3
_KEPT = 5
_OUTPUT = 4096


def wanted(container: Container) -> bool:
    check = container.config.healthcheck
    return check is not None and bool(check.test) and check.test[0] in ("CMD", "CMD-SHELL")


def command(container: Container) -> list[str]:
    """The probe's words."""
    check = container.config.healthcheck
    assert check is not None
    if check.test[0] == "CMD-SHELL":
        return [*(container.config.shell or ["/bin/sh", "-c"]), *check.test[1:2]]
    return check.test[1:]


def judge(current: Health, result: HealthResult, check: Healthcheck, since_start: int) -> None:
    """Enter one result. Pure. Failures within the start period do not count, until a first success."""
    current.log = [*current.log, result][-_KEPT:]
    if result.exit_code == 0:
        current.failing_streak = 0
        current.status = "healthy"
        return
    if current.status == "starting" and since_start < check.start_period:
        return
    current.failing_streak += 1
    if current.failing_streak >= (check.retries or _RETRIES):
        current.status = "unhealthy"


def pause(current: Health, check: Healthcheck, since_start: int) -> float:
    """Seconds until the next probe."""
    if current.status == "starting" and since_start < check.start_period:
        return (check.start_interval or _START_INTERVAL) / 1e9
    return (check.interval or _INTERVAL) / 1e9


async def run(core: Core, container: Container) -> None:
    """Probe until cancelled."""
    from solva.containers.exec import probe

    check = container.config.healthcheck
    assert check is not None
    while True:
        current = container.state.health
        if current is None:
            return
        await asyncio.sleep(pause(current, check, core.clock.time_ns() - container.state.started_ns))
        if container.state.status != "running":
            continue
        begun = core.clock.time_ns()
        limit = (check.timeout or _TIMEOUT) / 1e9
        try:
            code, output = await probe(core, container, command(container), limit)
            text = output[:_OUTPUT].decode(errors="replace")
        except TimeoutError:
            code, text = -1, f"Health check exceeded timeout ({_go(limit)})"
        except (SolvaError, OSError) as error:
            code, text = -1, str(error)
        before = current.status
        judge(current, HealthResult(begun, core.clock.time_ns(), code, text), check,
              core.clock.time_ns() - container.state.started_ns)
        core.registry.save(container)
        live = core.live.get(container.id)
        if live is not None and current.status != "starting":
            live.judged.set()
        if current.status != before:
            core.event(container, f"health_status: {current.status}")


def _go(seconds: float) -> str:
    return f"{seconds:g}s" if seconds >= 1 else f"{seconds * 1000:g}ms"
