"""When rules are put back, and when others' are read again: the kernel's notices, made up."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from solva.kernel.nfmonitor import Change
from solva.networks.firewall import watch
from solva.networks.firewall.watch import RuleWatch

OURS, THEIRS = "inet solva", "ip filter"
STRANGER = 1      # init: no thread of ours


class Bed:
    def __init__(self) -> None:
        self.restored = 0
        self.told: list[str] = []
        self.read = 0
        host: Any = SimpleNamespace(table="solva", later=self.later)
        self.watch = RuleWatch(host, self.restore, lambda who, _: self.told.append(who))
        self.watch._monitor = SimpleNamespace(close=lambda: None)  # type: ignore[assignment]

    async def restore(self) -> None:
        self.restored += 1

    async def later(self, _: Any) -> list[Any]:
        self.read += 1
        return []

    async def see(self, *changes: Change) -> None:
        for change in changes:
            self.watch._changed(change)
        if self.watch._task is not None:
            await self.watch._task


def test_only_others_changes_of_our_table_put_it_back() -> None:
    async def play() -> None:
        bed = Bed()
        await bed.see(Change(frozenset((OURS,)), threading.get_native_id()), Change(frozenset((THEIRS,)), STRANGER))
        assert bed.restored == 0
        await bed.see(Change(frozenset((OURS, THEIRS)), STRANGER, "nft"))
        assert bed.restored == 1
        assert "(pid 1)" in bed.told[0]
        await bed.see(Change(frozenset(), lost=True))
        assert bed.told[1:] == ["an unknown process"]

    asyncio.run(play())


def test_several_changes_at_once_are_one_restoration() -> None:
    async def play() -> None:
        bed = Bed()
        await bed.see(*[Change(frozenset((OURS,)), STRANGER)] * 5)
        assert bed.restored == 1

    asyncio.run(play())


def test_others_tables_are_read_once_until_they_change() -> None:
    async def play() -> None:
        bed = Bed()
        for _ in range(3):
            assert await bed.watch.tables() == []
        assert bed.read == 1
        await bed.see(Change(frozenset((OURS,)), STRANGER))
        await bed.watch.tables()
        assert bed.read == 1
        await bed.see(Change(frozenset((THEIRS,)), STRANGER))
        await bed.watch.tables()
        assert bed.read == 2

    asyncio.run(play())


def test_a_change_while_they_are_read_has_them_read_again() -> None:
    async def play() -> None:
        bed = Bed()

        async def later(_: Any) -> list[Any]:
            bed.read += 1
            if bed.read == 1:
                bed.watch._changed(Change(frozenset((THEIRS,)), STRANGER))
            return []

        bed.watch._host.later = later  # type: ignore[method-assign,assignment]
        await bed.watch.tables()
        assert bed.read == 2

    asyncio.run(play())


def test_two_programs_that_fight_do_not_take_the_machine(monkeypatch: pytest.MonkeyPatch,
                                                         caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        bed = Bed()
        pauses: list[float] = []

        async def pause(seconds: float) -> None:
            pauses.append(seconds)

        monkeypatch.setattr(watch.asyncio, "sleep", pause)
        for _ in range(watch._OFTEN + 2):
            await bed.see(Change(frozenset((OURS,)), STRANGER))
        assert bed.restored == watch._OFTEN + 2
        assert pauses == [watch._PAUSE] * 2

    asyncio.run(play())
    assert "again and again" in caplog.text
