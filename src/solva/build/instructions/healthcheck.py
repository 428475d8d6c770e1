"""HEALTHCHECK [--interval --timeout --start-period --start-interval --retries] CMD … | NONE"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from solva.build import durations
from solva.build.dockerfile.ast import Node
from solva.build.instructions.base import flags_of, quoted_list
from solva.errors import InvalidParameter

if TYPE_CHECKING:
    from solva.build.stage import Stage

_DURATIONS = {"interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod",
              "start-interval": "StartInterval"}


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """``check`` is the API's object: Test, durations in nanoseconds, Retries; what is 0 is left out."""

    node: Node
    check: dict[str, object]
    sources: tuple[str, ...] = ()

    async def apply(self, stage: Stage) -> None:
        stage.state.config["Healthcheck"] = dict(self.check)
        test = self.check["Test"]
        times = " ".join(f'"{durations.show(int(str(self.check.get(key, 0))))}"' for key in _DURATIONS.values())
        retries = _rune(int(str(self.check.get("Retries", 0))))
        stage.state.note(f"HEALTHCHECK &{{{quoted_list(test)} {times} {retries}}}"    # type: ignore[arg-type]
                         )


def _rune(number: int) -> str:
    """Go's %q of a number: a quoted character."""
    named = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 39: "\\'", 92: "\\\\"}
    if number in named:
        return f"'{named[number]}'"
    if number < 32 or number == 127:
        return f"'\\x{number:02x}'"
    return f"'{chr(number)}'" if number < 0x110000 and chr(number).isprintable() else "'\ufffd'"


def parse(node: Node) -> Healthcheck:
    kind, _, rest = node.rest.partition(" ")
    found = flags_of(node, values=(*_DURATIONS, "retries"))
    if not kind:
        raise node.error("HEALTHCHECK requires at least one argument")
    if kind.upper() == "NONE":
        if rest.strip():
            raise node.error("HEALTHCHECK NONE takes no arguments")
        return Healthcheck(node, {"Test": ["NONE"]})
    if kind.upper() != "CMD":
        raise node.error(f'Unknown type "{kind.upper()}" in HEALTHCHECK (try CMD)')
    if node.json is not None and node.json:
        test = ["CMD", *node.json]
    elif rest.strip() and node.json != ():
        test = ["CMD-SHELL", rest.strip()]
    else:
        raise node.error("Missing command after HEALTHCHECK CMD")
    check: dict[str, object] = {"Test": test}
    for flag, key in _DURATIONS.items():
        if flag in found:
            value = _duration(node, flag, found[flag][0])
            if value:
                check[key] = value
    if "retries" in found:
        text = found["retries"][0]
        if not text.isascii() or not text.lstrip("+-").isdigit() or len(text) > 9:
            raise node.error(f'strconv.ParseInt: parsing "{text}": invalid syntax')
        if int(text) < 0:
            raise node.error(f"--retries cannot be negative ({text})")
        if int(text):
            check["Retries"] = int(text)
    return Healthcheck(node, check)


def _duration(node: Node, flag: str, text: str) -> int:
    try:
        value = durations.parse(text)
    except InvalidParameter as error:
        raise node.error(str(error)) from None
    if value < 0 or 0 < value < 1_000_000:
        raise node.error(f'Interval "{flag}" cannot be less than 1ms')
    return value
