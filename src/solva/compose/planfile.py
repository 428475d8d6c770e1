"""A plan in a file: ``plan --out FILE`` writes it, ``up --plan FILE`` does just that, unless the world has changed."""

from __future__ import annotations

from solva.compose.errors import ComposeError
from solva.compose.observe import changes
from solva.compose.plan import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from solva.compose.observe import Observed
    from solva.compose.plan import Op
    from solva.compose.project import Project

FORMAT = 1


def document(project: Project, observed: Observed, ops: Iterable[Op], endpoint: str, now: str) -> dict[str, Any]:
    """What the file holds: the operations, and what was there when they were planned."""
    return {"solva-compose-plan": FORMAT, "project": project.name, "services": list(project.services),
            "made": now, "endpoint": endpoint, "world": observed.world(), "ops": Plan(ops).document()}


def read(path: str) -> dict[str, Any]:
    """The document in ``path``; ComposeError when it is none."""
    from solva.client.fastjson import loads

    try:
        with open(path, encoding="utf-8") as stream:
            found = loads(stream.read())
    except OSError as error:
        raise ComposeError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except ValueError as error:
        raise ComposeError(f"{path} is not a plan: {error}") from None
    if not isinstance(found, dict) or found.get("solva-compose-plan") != FORMAT:
        raise ComposeError(f"{path} is not a plan that this version wrote (`solva compose plan --out FILE`)")
    return found


def plan_of(path: str, found: Mapping[str, Any]) -> Plan:
    """Its operations."""
    try:
        return Plan.of(found["ops"])
    except (KeyError, TypeError, ValueError) as error:
        raise ComposeError(f"{path} is not a plan: {error}") from None


def check(path: str, found: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """ComposeError, naming what is otherwise, when the world is not the one the plan was made for."""
    different = changes(found.get("world") or {}, now)
    if different:
        rows = "".join(f"\n  {line}" for line in different)
        raise ComposeError(f"{path} was made for another state of project {found.get('project')}; nothing was done:"
                           f"{rows}\nmake a new plan: solva compose plan --out {path}")
