"""Whether one end reaches another, walked over facts: names, addresses, route, bridge, rules, listener. Pure.

The walk stops at the first thing that fails: one cause, one thing to do. What cannot be known here (a machine on the
LAN, a process on another host) is said to be unknown and passed over.
"""

from __future__ import annotations

from typing import Literal

from solva.explain import inbound, outbound
from solva.explain.facts import Answer, Machine, Party, Place, Question, Step
from solva.networks.firewall import foreign
from solva.networks.firewall.matching import Packet


class Stop(Exception):
    """The walk ends here: why, and what to do."""

    def __init__(self, cause: str, mend: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.mend = mend


class Walk:
    """The steps so far, and what all kinds of walks need."""

    def __init__(self, question: Question, machine: Machine) -> None:
        self.question = question
        self.machine = machine
        self.steps: list[Step] = []
        self.address = ""
        self.port = question.port

    def ok(self, stage: str, text: str) -> None:
        self.steps.append(Step(stage, "ok", text))

    def unknown(self, stage: str, text: str) -> None:
        self.steps.append(Step(stage, "unknown", text))

    def fail(self, stage: str, text: str, cause: str, mend: str) -> Stop:
        """To be raised."""
        self.steps.append(Step(stage, "fails", text))
        return Stop(cause, mend)

    # -- steps of more than one kind of walk

    def runs(self, party: Party) -> None:
        """A container has to run."""
        if party.kind != "container":
            return
        if party.state not in ("running", "paused"):
            ended = f" with status {party.exit_code}" if party.state == "exited" else ""
            raise self.fail("state", f"{party} is {party.state}{ended}",
                            f"container {party} does not run ({party.state}{ended})",
                            f"solva start {party}" + (f"   (why it ended: solva logs {party})" if ended else ""))
        if party.state == "paused":
            raise self.fail("state", f"{party} is paused", f"container {party} is paused: its processes answer nothing",
                            f"solva unpause {party}")
        if party.mode == "none":
            raise self.fail("state", f"{party} has no network but its own loopback",
                            f"container {party} was created with --network none",
                            f"recreate {party} with a network: solva network create NET, solva run --network NET ...")
        self.ok("state", f"{party} runs" + (" in the host's network" if party.mode == "host" else ""))

    def bridge(self, place: Place, *, party: Party) -> None:
        """The container's link is plugged in."""
        if not place.bridge:
            self.unknown("bridge", f"network {place.network} has no bridge here (driver {place.driver})")
            return
        if not place.bridge_up:
            raise self.fail("bridge", f"bridge {place.bridge} of network {place.network} is not there or down",
                            f"the bridge {place.bridge} of network {place.network} is gone or down",
                            "solva engine stop && solva engine start   (the engine makes it again)")
        if not place.attached:
            raise self.fail("bridge", f"the link of {party} is no port of {place.bridge}",
                            f"the link of {party} has been taken out of the bridge {place.bridge}",
                            "solva engine stop && solva engine start   (the engine plugs it in again)")

    def table(self) -> None:
        if not self.machine.table:
            raise self.fail("rules", "Solva's firewall table is not in the kernel",
                            "Solva's firewall rules are not in the kernel",
                            "solva engine stop && solva engine start   (the engine puts them back)")

    def foreign(self, packet: Packet, interface: str) -> None:
        """Rules of other programs."""
        stop = self.machine.stop(packet)
        if stop is None:
            return
        if not stop.certain:
            self.unknown("rules", f"may be stopped by {stop}: its conditions cannot be told from here "
                                  "(--packet sends one)")
            return
        raise self.fail("rules", f"stopped by {stop}", f"another program's firewall stops it: {stop}",
                        foreign.mend(stop, interface or "INTERFACE", packet))

    def listener(self, party: Party, address: str, port: int, what: str) -> None:
        """Somebody takes connections at the address."""
        proto = self.question.proto
        if not port:
            shown = ", ".join(str(each) for each in party.listeners[:6]) or "nothing"
            self.ok("listener", f"no port was named; {what} listens on {shown}")
            return
        self.port = port
        there = [each for each in party.listeners if each.proto == proto and each.port == port]
        for each in there:
            if inbound.takes(each.address, address):
                self.ok("listener", f"{what} listens on {each}")
                return
        again = f"make the program in {party} listen on 0.0.0.0:{port} (all addresses)"
        if party.kind != "container":
            again = f"make the program listen on 0.0.0.0:{port} or on {address}"
        if there and all(inbound.is_loopback(each.address) for each in there):
            raise self.fail("listener", f"{what} listens on {there[0]} only",
                            f"{what} listens on its loopback address only ({there[0]}): nobody else reaches that",
                            again)
        if there:
            raise self.fail("listener", f"{what} listens on {there[0]}, not on {address}",
                            f"{what} listens on {there[0]} only, and the packet goes to {address}", again)
        others = [str(each) for each in party.listeners if not inbound.is_loopback(each.address)][:6]
        raise self.fail("listener", f"nothing in {what} listens on port {port}/{proto}",
                        f"nothing in {what} listens on port {port}/{proto}",
                        f"use a port that is served: {', '.join(others)}" if others else
                        f"start the server in {what}, or see why it does not serve: solva logs {party}"
                        if party.kind == "container" else f"start the program that is to serve port {port}")


def walk(question: Question, machine: Machine) -> Answer:
    """The whole way."""
    progress = Walk(question, machine)
    try:
        _go(progress)
    except Stop as stop:
        return Answer(False, tuple(progress.steps), stop.cause, stop.mend, progress.address, progress.port)
    return Answer(True, tuple(progress.steps), address=progress.address, port=progress.port)


def _go(progress: Walk) -> None:
    source, target = progress.question.source, progress.question.target
    if target.kind == "unknown" and "." in target.asked and not target.near and source.kind == "container":
        progress.runs(source)
        raise progress.fail("names", f"{source} cannot resolve {target.asked}",
                            f"no resolver that {source} asks knows {target.asked}"
                            + (": its networks are internal, where outside names are not resolved"
                               if source.places and all(place.internal for place in source.places) else ""),
                            f"solva exec {source} cat /etc/resolv.conf (ExtServers: who is asked); "
                            "solva network dns --log on")
    if target.kind == "unknown":
        hint = f"did you mean {' or '.join(target.near)}?" if target.near else "solva ps -a lists the containers"
        raise progress.fail("names", f"{target.asked} is no container, address or name that {source} can resolve",
                            f"there is nothing called {target.asked}", hint)
    progress.runs(source)
    if (source.kind, source.name) != (target.kind, target.name):
        progress.runs(target)
    side: Literal["in", "out"] = "out" if source.kind == "container" and source.mode != "host" else "in"
    if side == "out":
        outbound.go(progress)
    else:
        inbound.go(progress)
