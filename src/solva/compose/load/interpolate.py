"""Variables in compose files: ``$V ${V} ${V:-d} ${V-d} ${V:?e} ${V?e} ${V:+r} ${V+r}``, nested, ``$$`` for a dollar."""

from __future__ import annotations

from solva.compose.errors import ComposeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Warn = Callable[[str], None]
    Path = tuple[str | int, ...]

_FIRST = frozenset("_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_REST = _FIRST | frozenset("0123456789")


class BadTemplate(ValueError):
    """The text is no valid template."""


class MissingVariable(ValueError):
    """``${V:?message}`` and V is not there."""


def substitute(text: str, environment: Mapping[str, str], warn: Warn) -> str:
    """``text`` with its variables replaced. BadTemplate, MissingVariable."""
    if "$" not in text:
        return text
    out: list[str] = []
    index = 0
    while True:
        dollar = text.find("$", index)
        if dollar < 0:
            out.append(text[index:])
            return "".join(out)
        out.append(text[index:dollar])
        follow = text[dollar + 1: dollar + 2]
        if follow == "$":
            out.append("$")
            index = dollar + 2
        elif follow == "{":
            end = _closing(text, dollar + 1)
            if end < 0:
                raise BadTemplate(text)
            out.append(_braced(text[dollar + 2: end], environment, warn, text))
            index = end + 1
        elif follow in _FIRST and follow:
            end = dollar + 1
            while end < len(text) and text[end] in _REST:
                end += 1
            out.append(_plain(text[dollar + 1: end], environment, warn))
            index = end
        else:
            raise BadTemplate(text)


def _closing(text: str, start: int) -> int:
    """Index of the brace that closes the one at ``start``; -1 when there is none."""
    depth = 0
    index = start
    while index < len(text):
        char = text[index]
        if char == "{" and (index == start or text[index - 1] == "$"):
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                return index
        index += 1
    return -1


def _plain(name: str, environment: Mapping[str, str], warn: Warn) -> str:
    value = environment.get(name)
    if value is None:
        warn(f'The "{name}" variable is not set. Defaulting to a blank string.')
        return ""
    return value


def _braced(body: str, environment: Mapping[str, str], warn: Warn, whole: str) -> str:
    end = 0
    while end < len(body) and body[end] in (_REST if end else _FIRST):
        end += 1
    name, rest = body[:end], body[end:]
    if not name:
        raise BadTemplate(whole)
    if not rest:
        return _plain(name, environment, warn)
    empty_counts = rest[0] == ":"
    operator, argument = (rest[1:2], rest[2:]) if empty_counts else (rest[0], rest[1:])
    value = environment.get(name)
    there = bool(value) if empty_counts else value is not None
    if operator == "-":
        return value or "" if there else substitute(argument, environment, warn)
    if operator == "+":
        return substitute(argument, environment, warn) if there else ""
    if operator == "?":
        if there:
            return value or ""
        message = substitute(argument, environment, warn)
        raise MissingVariable(f"required variable {name} is missing a value: {message}")
    raise BadTemplate(whole)


def dotted(path: Path) -> str:
    """A path as Compose writes it: ``services.a.ports.[0]``."""
    return ".".join(f"[{part}]" if isinstance(part, int) else part for part in path)


def interpolate(value: Any, environment: Mapping[str, str], warn: Warn, place: Callable[[Path], str],
                cast: Callable[[Path, str], Any], path: Path = ()) -> Any:
    """``value`` with every string in it substituted, then cast to its attribute's type. Keys stay as they are."""
    if isinstance(value, dict):
        return {key: interpolate(item, environment, warn, place, cast, (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolate(item, environment, warn, place, cast, (*path, index)) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    try:
        result = substitute(value, environment, warn)
    except BadTemplate:
        raise ComposeError(f"{place(path)}: invalid interpolation format for {dotted(path)}.\n"
                           f"You may need to escape any $ with another $.\n{value}") from None
    except MissingVariable as error:
        raise ComposeError(f"error while interpolating {dotted(path)}: {error}") from None
    try:
        return cast(path, result)
    except ValueError as error:
        raise ComposeError(f"{place(path)}: error while interpolating {dotted(path)}: "
                           f"failed to cast to expected type: {error}") from None


def variables(value: Any) -> dict[str, tuple[str, str, bool]]:
    """Name -> (default, alternate, required) of every variable in ``value`` (``config --variables``)."""
    found: dict[str, tuple[str, str, bool]] = {}
    _collect(value, found)
    return found


def _collect(value: Any, found: dict[str, tuple[str, str, bool]]) -> None:
    if isinstance(value, dict):
        for item in value.values():
            _collect(item, found)
    elif isinstance(value, list):
        for item in value:
            _collect(item, found)
    elif isinstance(value, str) and "$" in value:
        index = 0
        while (index := value.find("$", index)) >= 0:
            follow = value[index + 1: index + 2]
            if follow == "$":
                index += 2
                continue
            start = index + 2 if follow == "{" else index + 1
            end = start
            while end < len(value) and value[end] in _REST:
                end += 1
            name = value[start:end]
            if name:
                stop = _closing(value, index + 1) if follow == "{" else end
                rest = value[end:stop].lstrip(":")
                found.setdefault(name, (rest[1:] if rest[:1] == "-" else "", rest[1:] if rest[:1] == "+" else "",
                                        rest[:1] == "?"))
                _collect(rest[1:], found)
            index = end
