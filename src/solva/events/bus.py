"""The event bus: what happened, kept as a bounded history and handed live to whoever listens.

``publish`` never blocks: a subscriber that does not read falls behind in its own bounded queue and is cut off.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from solva.clock import Clock

HISTORY = 1024
QUEUE = 4096


class Event(msgspec.Struct, frozen=True):
    """One event in Docker's sense. ``scope`` is ``local``."""

    type: str
    action: str
    actor_id: str
    attributes: dict[str, str]
    time_ns: int

    def wire(self) -> dict[str, Any]:
        """The API's JSON object, with the fields that old clients read for containers and images."""
        value: dict[str, Any] = {}
        if self.type in ("container", "image"):
            value = {"status": self.action, "id": self.actor_id}
            if self.type == "container" and "image" in self.attributes:
                value["from"] = self.attributes["image"]
        value |= {
            "Type": self.type,
            "Action": self.action,
            "Actor": {"ID": self.actor_id, "Attributes": self.attributes},
            "scope": "local",
            "time": self.time_ns // 1_000_000_000,
            "timeNano": self.time_ns,
        }
        return value


class Subscription:
    """A live view; iterate it, close it."""

    def __init__(self, bus: "EventBus", history: list[Event]) -> None:
        self._bus = bus
        self.history = history
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue(QUEUE)

    def offer(self, event: Event) -> bool:
        """Called by the bus; False when the reader is too slow."""
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            return False
        return True

    async def __aiter__(self) -> AsyncIterator[Event]:
        while (event := await self._queue.get()) is not None:
            yield event

    def close(self) -> None:
        """Ends the iteration and leaves the bus."""
        self._bus.drop(self)
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(None)


class EventBus:
    """One an engine."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._history: deque[Event] = deque(maxlen=HISTORY)
        self._subscriptions: set[Subscription] = set()

    def publish(self, type_: str, action: str, actor_id: str, attributes: Mapping[str, str] | None = None) -> Event:
        """Record an event and hand it to every subscriber, at once, in order."""
        event = Event(type_, action, actor_id, dict(attributes or {}), self._clock.time_ns())
        self._history.append(event)
        for subscription in list(self._subscriptions):
            if not subscription.offer(event):
                subscription.close()
        return event

    def subscribe(self) -> Subscription:
        """History so far and everything after it, without a gap and without a double."""
        subscription = Subscription(self, list(self._history))
        self._subscriptions.add(subscription)
        return subscription

    def drop(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)
