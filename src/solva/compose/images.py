"""Images before containers: what has to be pulled or built, as operations of a plan, and doing them."""

from __future__ import annotations

import time

from solva.compose import observe
from solva.compose.building import BuildOptions, build_body
from solva.compose.errors import ComposeError, Interrupted
from solva.compose.plan import Draft, Op
from solva.errors import SolvaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from solva.client.transport import Transport
    from solva.compose.execute import Run
    from solva.compose.project import Project, Service

_DAY = 86400
_INTERVALS = {"daily": _DAY, "weekly": 7 * _DAY}


class ImageOptions:
    """``build``: True builds all, False forbids it. ``pull``: a policy in place of the services' own."""

    def __init__(self, *, build: bool | None = None, pull: str = "", quiet_pull: bool = False,
                 building: BuildOptions | None = None) -> None:
        self.build = build
        self.pull = pull
        self.quiet_pull = quiet_pull
        self.building = building or BuildOptions()


def plan_images(project: Project, there: Mapping[str, str], options: ImageOptions,
                age: Callable[[str], float] = lambda _: 0.0) -> list[Op]:
    """What has to be pulled or built. ``there``: reference -> id, "" for none; ``age``: seconds since an image got its
    name. ComposeError when an image is needed that may be neither."""
    draft = Draft()
    names: dict[str, str] = {}
    from solva.compose.reconcile import in_order

    for service in in_order(project):
        if service.get("provider") is not None:
            continue
        reference = service.image(project.name)
        policy = options.pull or service.get("pull_policy") or "missing"
        present = bool(there.get(reference))
        buildable = service.get("build") is not None
        pullable = policy == "always" and bool(service.get("image"))
        if buildable and options.build is not False and (
                options.build or policy == "build" or (not present and not pullable)):
            needs = [names[name] for name in _contexts(service) if name in names]
            names[service.name] = draft.add(
                f"build {reference}", "POST", "/build", kind="build", needs=needs, subject=f"Image {reference}",
                doing="Building", done="Built", reason=_why_build(options, policy),
                body=build_body(project, service, options.building))
        elif _must_pull(policy, present, reference, age):
            if f"build {reference}" in draft.keys or (buildable and present):
                continue
            draft.add(f"pull {reference}", "POST", "/images/create", kind="pull", subject=f"Image {reference}",
                      doing="Pulling", done="Pulled", reason="" if policy == "missing" else f"pull policy {policy}",
                      body={"reference": reference, "platform": service.get("platform"), "service": service.name,
                            "quiet": options.quiet_pull})
        elif not present and f"build {reference}" not in draft.keys:
            raise ComposeError(f"Error response from daemon: No such image: {reference}")
    return draft.ops


def _why_build(options: ImageOptions, policy: str) -> str:
    return "--build" if options.build else "pull policy build" if policy == "build" else "no such image"


def _contexts(service: Service) -> list[str]:
    """Services whose images this one's build starts from (``additional_contexts: {x: service:NAME}``)."""
    contexts = (service.get("build") or {}).get("additional_contexts") or {}
    return [str(value)[8:] for value in contexts.values() if str(value).startswith("service:")]


def _must_pull(policy: str, present: bool, reference: str, age: Callable[[str], float]) -> bool:
    if policy in ("never", "build"):
        return False
    if policy == "always" or not present:
        return True
    seconds = interval(policy)
    return bool(seconds) and age(reference) >= seconds


def interval(policy: str) -> float:
    """``daily``, ``weekly``, ``every_12h`` in seconds; 0 for a policy that has none."""
    if policy in _INTERVALS:
        return _INTERVALS[policy]
    if not policy.startswith("every_"):
        return 0
    from solva.compose.attributes.units import duration

    return duration(policy[6:]) / 1e9


def age_of(api: Transport) -> Callable[[str], float]:
    """`plan_images`'s ``age``, asked of the engine: since the image was tagged or pulled."""
    def age(reference: str) -> float:
        from solva.clock import parse_rfc3339

        found = observe.image(api, reference) or {}
        stamp = str((found.get("Metadata") or {}).get("LastTagTime") or "")
        if not stamp or stamp.startswith("0001"):
            return float("inf")
        return time.time() - parse_rfc3339(stamp) / 1e9
    return age


# --- doing it ----------------------------------------------------------------------------------------------------
def perform(op: Op, run: Run) -> str:
    """Pull or build as ``op`` says."""
    if op.kind == "build":
        from solva.compose.building import build_op

        build_op(op, run)
    else:
        pull(op, run)
    return ""


def pull(op: Op, run: Run) -> None:
    """``POST /images/create``; the stream's error is raised, bytes are shown."""
    reference = op.body["reference"]
    name, tag = split(reference)
    query = {"fromImage": name, "tag": tag or "latest", "platform": op.body.get("platform")}
    from solva.compose.perform import follow

    layers: dict[str, tuple[int, int]] = {}
    try:
        with run.api.request("POST", "/images/create", query=query, headers=run.auth(reference)) as response:
            for message in follow(run, response):
                if "error" in message:
                    raise ComposeError(str(message["error"]))
                if not op.body.get("quiet"):
                    _bytes(run, op.subject, layers, message)
    except (ComposeError, Interrupted):
        raise
    except SolvaError as error:
        raise ComposeError(f"Error response from daemon: {error}") from None


def _bytes(run: Run, subject: str, layers: dict[str, tuple[int, int]], message: dict[str, Any]) -> None:
    detail, identifier = message.get("progressDetail") or {}, message.get("id", "")
    if message.get("status") == "Downloading" and detail.get("total"):
        layers[identifier] = (int(detail.get("current") or 0), int(detail["total"]))
    elif message.get("status") in ("Download complete", "Pull complete") and identifier in layers:
        layers[identifier] = (layers[identifier][1], layers[identifier][1])
    if not layers:
        return
    done, total = (sum(pair[index] for pair in layers.values()) for index in (0, 1))
    filled = int(done / total * 20) if total else 0
    bar = "█" * filled + "░" * (20 - filled)
    run.progress.measure(subject, f"{bar} {size(done)} of {size(total)}")


def size(count: float) -> str:
    """Bytes in a unit that keeps the number short: ``12.3MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g}{unit}" if unit != "B" else f"{count:.0f}B"
        count /= 1000
    return f"{count:.3g}TB"


def split(reference: str) -> tuple[str, str]:
    """(name, tag or digest) of a reference; "" where it has none."""
    if "@" in reference:
        name, _, digest = reference.partition("@")
        return name, digest
    head, colon, tag = reference.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (reference, "")
