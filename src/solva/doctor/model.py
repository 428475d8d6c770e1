"""A finding of the doctor's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

State = Literal["ok", "limited", "broken"]


@dataclass(frozen=True, slots=True)
class Check:
    """``state``: ok; limited, where something optional is missing; broken, where containers cannot run or be reached.

    ``found``: what there is; ``need``: what it is for; ``mend``: one thing to do, "" where nothing is to be done.
    """

    group: str
    name: str
    state: State
    found: str
    need: str = ""
    mend: str = ""

    def wire(self) -> dict[str, Any]:
        return {"Group": self.group, "Name": self.name, "State": self.state, "Found": self.found, "For": self.need,
                "Mend": self.mend}
