"""Answers as objects of the ``/solva`` endpoints."""

from __future__ import annotations

from typing import Any

from solva.explain.facts import Answer, Question
from solva.explain.packet import Proof
from solva.explain.ports import Exposure

Json = dict[str, Any]


def answer(question: Question, found: Answer, proof: Proof | None) -> Json:
    """``Reachable`` is what the packet says where one was sent and said something, else what the walk says."""
    reachable, cause, mend = found.reachable, found.cause, found.mend
    nameless = any(step.stage == "names" and step.verdict == "fails" for step in found.steps)
    if proof is not None and proof.arrived is not None and proof.arrived != reachable and not nameless:
        reachable = proof.arrived
        cause, mend = ("", "") if reachable else _contradiction(question, proof)
    return {
        "From": question.source.asked, "To": question.target.asked, "Port": question.port, "Protocol": question.proto,
        "Reachable": reachable, "Cause": cause, "Mend": mend,
        "Steps": [{"Stage": step.stage, "Verdict": step.verdict, "Text": step.text} for step in found.steps],
        "Packet": _packet(proof) if proof is not None else None,
    }


def exposure(row: Exposure) -> Json:
    """One published port."""
    return {"Container": row.container, "Project": row.project, "Service": row.service, "Protocol": row.proto,
            "HostIp": row.host_ip, "HostPort": row.host_port, "ContainerPort": row.port, "Loopback": row.loopback,
            "Host": row.host, "Lan": row.lan, "Verified": row.verified, "Note": row.note}


def _contradiction(question: Question, proof: Proof) -> tuple[str, str]:
    """The rules are fine and the packet was not answered."""
    stopped = next((each for each in proof.passages if each.verdict in ("drop", "reject")), None)
    if stopped is not None:
        return (f"the packet was dropped by {stopped.where}: {stopped.rule}",
                f"change that rule: nft -a list chain {stopped.where}")
    target = question.target
    if proof.result == "refused":
        return (f"{target} refused the packet: it passed every rule here, and nobody took it",
                f"see that the server listens: solva logs {target}" if target.kind == "container" else
                "see that the server there listens on this port")
    return (f"the packet passed every rule here and came to nothing: {proof.result}",
            "look at the other end: its own firewall, its route back, its server")


def _packet(proof: Proof) -> Json:
    return {"Source": proof.source, "Destination": proof.destination, "Result": proof.result, "Passed": [
        {"Where": each.where, "Rule": each.rule, "Verdict": each.verdict, "In": each.incoming, "Out": each.outgoing}
        for each in proof.passages]}
