"""Variables in compose files: ``$V ${V} ${V:-d} ${V-d} ${V:?e} ${V?e} ${V:+r} ${V+r}``, nested, ``$$`` for a dollar.

A dollar before anything else is a dollar. After substitution a string gets the type that its attribute wants.
"""

from __future__ import annotations

import re

from solva.compose.attributes import units
from solva.compose.errors import ComposeError
from solva.compose.load.tree import child, dotted, rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from solva.compose.load.options import LoadOptions
    from solva.compose.load.tree import Node, Path

    Warn = Callable[[str], None]

_PATTERN = re.compile(r"\$(?:(\$)|([_a-z][_a-z0-9]*)|\{(?:([_a-z][_a-z0-9]*(?::?[-+?](?:.*))?)\}|()))",
                      re.IGNORECASE | re.ASCII)
_BRACED = re.compile(r"([_a-z][_a-z0-9]*)(?:(:?)([-+?])(.*))?\Z", re.IGNORECASE | re.ASCII | re.DOTALL)


class BadTemplate(ValueError):
    """The text is no valid template."""


class MissingVariable(ValueError):
    """``${V:?message}`` and V is not there."""


def substitute(text: str, environment: Mapping[str, str], warn: Warn) -> str:
    """``text`` with its variables replaced. BadTemplate, MissingVariable."""
    if "$" not in text:
        return text

    def replace(found: re.Match[str]) -> str:
        dollar, plain, braced = found[1], found[2], found[3]
        if dollar:
            return "$"
        if plain:
            return _plain(plain, environment, warn)
        if braced is None:
            raise BadTemplate(text)
        whole = found[0]
        end = closing(whole)
        rest = ""
        if end >= 0:
            rest, braced = whole[end + 1:], whole[2:end]
        return _braced(braced, environment, warn, text) + substitute(rest, environment, warn)

    return _PATTERN.sub(replace, text)


def closing(text: str) -> int:
    """Index of the brace that closes the first one of ``text``; -1 when there is none."""
    depth = 0
    index = 0
    while index < len(text):
        if text[index] == "}":
            depth -= 1
            if depth == 0:
                return index
        elif text[index] == "{":
            depth += 1
            index += 1
        index += 1
    return -1


def _plain(name: str, environment: Mapping[str, str], warn: Warn) -> str:
    value = environment.get(name)
    if value is None:
        warn(f'The "{name}" variable is not set. Defaulting to a blank string.')
        return ""
    return value


def _braced(body: str, environment: Mapping[str, str], warn: Warn, whole: str) -> str:
    found = _BRACED.match(body)
    if found is None:
        raise BadTemplate(whole)
    name, colon, operator, argument = found[1], found[2], found[3], found[4]
    if not operator:
        return _plain(name, environment, warn)
    argument = substitute(argument, environment, warn)
    value = environment.get(name)
    there = bool(value) if colon else value is not None
    if operator == "-":
        return value or "" if there else argument
    if operator == "+":
        return argument if there else ""
    if there:
        return value or ""
    raise MissingVariable(f"required variable {name} is missing a value" + (f": {argument}" if argument else ""))


def _boolean(word: str, warn: Warn) -> bool:
    value = units.boolean(word)
    if units.old_boolean(word):
        warn(f'"{word}" for boolean is not supported by YAML 1.2, please use `{str(value).lower()}`')
    return value


def _integer(word: str, warn: Warn) -> int:
    return units.integer(word)


def _integer64(word: str, warn: Warn) -> int:
    return units.integer64(word)


def _number(word: str, warn: Warn) -> float:
    return units.number(word)


_SERVICE_CASTS = {
    **dict.fromkeys(("cpu_count", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares",
                     "oom_score_adj", "pids_limit"), _integer64),
    **dict.fromkeys(("cpu_percent", "cpus", "deploy.update_config.max_failure_ratio",
                     "deploy.rollback_config.max_failure_ratio"), _number),
    **dict.fromkeys(("init", "healthcheck.disable", "oom_kill_disable", "privileged", "read_only", "stdin_open", "tty",
                     "volumes.[].read_only", "volumes.[].volume.nocopy"), _boolean),
    **dict.fromkeys(("deploy.replicas", "deploy.update_config.parallelism", "deploy.rollback_config.parallelism",
                     "deploy.restart_policy.max_attempts", "deploy.placement.max_replicas_per_node",
                     "healthcheck.retries", "ports.[].target", "scale", "ulimits.*", "ulimits.*.hard",
                     "ulimits.*.soft"), _integer),
}
CASTS = rules({
    **{f"services.*.{place}": cast for place, cast in _SERVICE_CASTS.items()},
    **{f"networks.*.{name}": _boolean for name in ("external", "internal", "attachable", "enable_ipv4",
                                                   "enable_ipv6")},
    **{f"{section}.*.external": _boolean for section in ("volumes", "secrets", "configs")},
})


def interpolate(value: Any, options: LoadOptions, node: Node | None = CASTS, path: Path = ()) -> Any:
    """``value`` with every string in it substituted, then cast to its attribute's type. Keys stay as they are."""
    if isinstance(value, dict):
        return {key: interpolate(item, options, child(node, key), (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        inner = child(node, "[]")
        return [interpolate(item, options, inner, (*path, index)) for index, item in enumerate(value)]
    cast = node.get(None) if node is not None else None
    if not isinstance(value, str) or ("$" not in value and cast is None):
        return value
    try:
        result = substitute(value, options.environment, options.warn)
    except BadTemplate:
        raise ComposeError(f"{options.places.place(path)}: invalid interpolation format for {dotted(path)}.\n"
                           f"You may need to escape any $ with another $.\n{value}") from None
    except MissingVariable as error:
        raise ComposeError(f"{options.places.place(path)}: error while interpolating {dotted(path)}: "
                           f"{error}") from None
    if cast is None:
        return result
    try:
        return cast(result, options.warn)
    except ValueError as error:
        raise ComposeError(f"{options.places.place(path)}: error while interpolating {dotted(path)}: "
                           f"failed to cast to expected type: {error}") from None


class Variable:
    """One use of a variable in a text: ``${name:-default}`` ..."""

    __slots__ = ("default", "name", "presence", "required")

    def __init__(self, name: str, default: str = "", presence: str = "", required: bool = False) -> None:
        self.name = name
        self.default = default
        self.presence = presence
        self.required = required


def variables(value: Any) -> dict[str, Variable]:
    """Name -> use, of every variable in ``value`` (``config --variables``)."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return {name: found for item in value for name, found in variables(item).items()}
    return {found.name: found for found in uses(value)} if isinstance(value, str) else {}


def uses(text: str) -> list[Variable]:
    """The variables of one string, in order."""
    found: list[Variable] = []
    for match in _PATTERN.finditer(text):
        if match[1]:
            continue
        body = match[2]
        if body is None:
            body = match[3] or ""
            end = closing(match[0])
            if end > 0:
                body = match[0][2:end]
                found += uses(match[0][end + 1:])
        parts = _BRACED.match(body)
        if parts is None:
            found.append(Variable(""))
            continue
        argument = parts[4] or ""
        found.append(Variable(parts[1], argument if parts[3] == "-" else "", argument if parts[3] == "+" else "",
                              parts[3] == "?"))
        found += uses(argument) if parts[3] in ("-", "+") else []
    return found
