"""An nftables table as a value: chains, sets and maps; printed whole, or as the difference to another.

The engine holds the table as the kernel has it, builds the one it wants, and commits what differs as one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Chain:
    """Rules in order. ``hook``: the line that makes it a base chain, e.g. ``type nat hook output priority -100``."""

    name: str
    rules: tuple[str, ...] = ()
    hook: str = ""

    def lines(self) -> Iterator[str]:
        yield f"\tchain {self.name} {{"
        if self.hook:
            yield f"\t\t{self.hook}; policy accept;"
        for rule in self.rules:
            yield f"\t\t{rule}"
        yield "\t}"


@dataclass(frozen=True, slots=True)
class Set:
    """A set (``elements`` to "") or a map (to values). ``type`` as nft spells it, with ``: value`` for a map."""

    name: str
    type: str
    elements: Mapping[str, str] = field(default_factory=dict)
    flags: str = ""

    @property
    def keyword(self) -> str:
        return "map" if ":" in self.type else "set"

    def lines(self, *, elements: bool = True) -> Iterator[str]:
        yield f"\t{self.keyword} {self.name} {{"
        yield f"\t\ttype {self.type};"
        if self.flags:
            yield f"\t\tflags {self.flags};"
        if elements and self.elements:
            rows = ", ".join(_element(key, self.elements[key]) for key in sorted(self.elements))
            yield f"\t\telements = {{ {rows} }}"
        yield "\t}"


def _element(key: str, value: str) -> str:
    return f"{key} : {value}" if value else key


@dataclass(frozen=True, slots=True)
class Table:
    """``family`` and ``name`` say which; names of chains and of sets are unique."""

    family: str
    name: str
    sets: Mapping[str, Set] = field(default_factory=dict)
    chains: Mapping[str, Chain] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"{self.family} {self.name}"

    def __str__(self) -> str:
        """The whole table as nft prints it; chains before maps that lead to them is no matter to nft."""
        lines = [f"table {self.address} {{"]
        for item in self.sets.values():
            lines.extend(item.lines())
        for chain in self.chains.values():
            lines.extend(chain.lines())
        lines.append("}")
        return "\n".join(lines) + "\n"


def rebuild(table: Table) -> str:
    """One transaction that puts ``table`` in the place of whatever has its name."""
    return f"add table {table.address}\ndelete table {table.address}\n{table}"


def remove(table: Table) -> str:
    """One transaction that leaves no table of this name."""
    return f"add table {table.address}\ndelete table {table.address}\n"


def difference(old: Table, new: Table) -> str:
    """One transaction from ``old`` to ``new``; "" when they are equal. Base chains and set types must be the same."""
    out: list[str] = []
    added = [chain for name, chain in new.chains.items() if name not in old.chains]
    changed = [chain for name, chain in new.chains.items()
               if name in old.chains and old.chains[name].rules != chain.rules]
    gone = [name for name in old.chains if name not in new.chains]
    out += [f"add chain {new.address} {chain.name}" for chain in added]
    for chain in changed:
        out.append(f"flush chain {new.address} {chain.name}")
    for chain in (*added, *changed):
        out += [f"add rule {new.address} {chain.name} {rule}" for rule in chain.rules]
    for name, wanted in new.sets.items():
        out += _elements(new.address, old.sets[name], wanted)
    out += [f"flush chain {new.address} {name}" for name in gone]
    out += [f"delete chain {new.address} {name}" for name in gone]
    return "".join(line + "\n" for line in out)


def _elements(address: str, old: Set, new: Set) -> Iterator[str]:
    if old.elements == new.elements:
        return
    stale = [key for key, value in old.elements.items() if new.elements.get(key) != value]
    fresh = [key for key, value in new.elements.items() if old.elements.get(key) != value]
    if stale:
        yield f"delete element {address} {new.name} {{ {', '.join(sorted(stale))} }}"
    if fresh:
        rows = ", ".join(_element(key, new.elements[key]) for key in sorted(fresh))
        yield f"add element {address} {new.name} {{ {rows} }}"
