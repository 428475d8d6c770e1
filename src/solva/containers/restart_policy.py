"""Whether an ended container is started again, and when. Pure."""

from __future__ import annotations

from solva.api.types.container import RestartPolicy
from solva.errors import InvalidParameter

FIRST_DELAY = 0.1
LONGEST_DELAY = 60.0
RESET_AFTER = 10.0


def check(policy: RestartPolicy, *, auto_remove: bool) -> None:
    """InvalidParameter in Docker's words."""
    name, count = policy.name, policy.maximum_retry_count
    if name not in ("", "no", "always", "unless-stopped", "on-failure"):
        raise InvalidParameter(f"invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', "
                               "'on-failure', or 'unless-stopped'")
    if count and name in ("always", "unless-stopped", "no"):
        raise InvalidParameter("invalid restart policy: maximum retry count can only be used with 'on-failure'")
    if count < 0:
        raise InvalidParameter("invalid restart policy: maximum retry count cannot be negative")
    if auto_remove and name not in ("", "no"):
        raise InvalidParameter("can't create 'AutoRemove' container with restart policy")


def should_restart(policy: RestartPolicy, *, exit_code: int, restart_count: int, stopped_by_user: bool) -> bool:
    """After an exit while the engine runs."""
    if stopped_by_user:
        return False
    if policy.name in ("always", "unless-stopped"):
        return True
    if policy.name == "on-failure":
        within = policy.maximum_retry_count == 0 or restart_count < policy.maximum_retry_count
        return exit_code != 0 and within
    return False


def at_engine_start(policy: RestartPolicy, *, exit_code: int, restart_count: int, stopped_by_user: bool) -> bool:
    """For a container that does not run when the engine starts: "always" starts what the user had stopped, too."""
    if policy.name == "always":
        return True
    return should_restart(policy, exit_code=exit_code, restart_count=restart_count, stopped_by_user=stopped_by_user)


def delay(previous: float, ran_for: float) -> float:
    """Seconds to wait: doubled each time, from the beginning again after a run of ten seconds."""
    if previous <= 0 or ran_for >= RESET_AFTER:
        return FIRST_DELAY
    return min(previous * 2, LONGEST_DELAY)
