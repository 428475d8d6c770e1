"""``plan``: what ``up`` would do and why, what it would run into, what it would cost; nothing is changed."""

from __future__ import annotations

import sys

from solva.cli.commands.compose.app import App, verb
from solva.cli.commands.compose.up import CREATE, image_options, narrowed, up_options
from solva.cli.flags import Flag, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.compose.observe import Container, Observed
    from solva.compose.plan import Op
    from solva.compose.project import Project
    from solva.compose.reconcile import UpOptions


def plan(app: App, options: Options) -> int:
    from solva.cli.errors import CommandError
    from solva.compose import forecast, observe
    from solva.compose.images import age_of, plan_images
    from solva.compose.reconcile import diverged_volumes, diverging, reconcile

    layout = options.text("format")
    if layout not in ("", "pretty", "ops", "json"):
        raise CommandError(f"unsupported format {layout!r}; it is pretty, ops or json".replace("'", '"'))
    project = narrowed(app, options)
    outside = sorted(name for name, service in project.services.items()
                     if service.get("provider") is not None or service.get("models"))
    if outside and options.text("out"):
        raise CommandError(f"a plan in a file cannot hold what providers and models will say: {', '.join(outside)}")
    observed = observe.observe(app.api, project)
    changed = up_options(app, options, start=not options.on("no-start"))
    differing = diverged_volumes(project, observed)
    if options.on("yes"):
        changed.renew = frozenset(differing)
    image_ops = plan_images(project, observed.images, image_options(options), age_of(app.api))
    uncertain = _uncertain(project, observed, image_ops)
    observed.details = observe.details(app.api, diverging(project, observed, changed))
    ops = [*image_ops, *_after(image_ops, reconcile(project, observed, changed).ops)]
    around = forecast.survey(app.api, project)
    conflicts = [*forecast.port_conflicts(project, observed, around),
                 *forecast.subnet_conflicts(project, observed, around)]
    found: dict[str, Any] = {
        "conflicts": conflicts,
        "data": forecast.data_at_risk(observed, ops, _written(app, forecast.leaving(observed, ops)),
                                      renew_volumes=changed.renew_volumes),
        "stops": forecast.downtime(ops), "volumes": {} if options.on("yes") else differing, "uncertain": uncertain,
        "outside": outside, "orphans": _left(project, observed, changed)}
    if options.text("out"):
        _write(app, options.text("out"), project, observed, ops, uncertain)
    _show(layout, project, ops, found)
    return 0


def _written(app: App, containers: list[Container]) -> dict[str, int]:
    return {item.id: len(app.api.json("GET", f"/containers/{item.id}/changes") or ()) for item in containers}


def _left(project: Project, observed: Observed, changed: UpOptions) -> list[str]:
    from solva.compose.reconcile import orphans

    return [] if changed.remove_orphans else [item.name for item in orphans(project, observed)]


def _uncertain(project: Project, observed: Observed, image_ops: list[Op]) -> list[str]:
    """Containers that stay or go as the images pulled or built turn out."""
    found = []
    for op in image_ops:
        reference = op.body.get("reference") or op.body["query"]["t"]
        users = [item.name for service in project.services.values() if service.image(project.name) == reference
                 for item in observed.of(service.name)]
        if users and observed.images.get(reference):
            found.append(f"{', '.join(users)}: made anew if image {reference} turns out another one")
    return found


def _after(image_ops: list[Op], ops: tuple[Op, ...]) -> list[Op]:
    """``ops`` with every creation behind the operation that brings its image."""
    from solva.compose.plan import Op

    brings = {op.body.get("reference") or op.body["query"]["t"]: op.key for op in image_ops}
    result = []
    for op in ops:
        key = brings.get(op.body["Image"]) if op.path == "/containers/create" else None
        if key is not None:
            values = {name: getattr(op, name) for name in Op.__slots__}
            op = Op(**{**values, "needs": (key, *op.needs)})
        result.append(op)
    return result


def _write(app: App, path: str, project: Project, observed: Observed, ops: list[Op], uncertain: list[str]) -> None:
    import time

    from solva.compose import planfile
    from solva.compose.errors import ComposeError

    if uncertain:
        raise ComposeError("a plan in a file has to be certain, and this one depends on what will be pulled or built:\n"
                           + "\n".join(f"  {line}" for line in uncertain) + "\nrun `solva compose pull` or "
                           "`solva compose build` first")
    import json

    text = json.dumps(planfile.document(project, observed, ops, app.api.endpoint,
                                        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())), indent=1)
    try:
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text + "\n")
    except OSError as error:
        raise ComposeError(f"{path}: {(error.strerror or str(error)).lower()}") from None


# --- showing it --------------------------------------------------------------------------------------------------
_VERBS = (("pull ", "pull"), ("build ", "build"), ("create network ", "create network"),
          ("remove network ", "remove network"), ("create volume ", "create volume"),
          ("remove volume ", "remove volume"))


def _show(layout: str, project: Project, ops: list[Op], found: dict[str, Any]) -> None:
    if layout == "json":
        import json

        from solva.compose.plan import Plan

        sys.stdout.write(json.dumps({"project": project.name, "ops": Plan(ops).document(), **found}, indent=2) + "\n")
        return
    if layout == "ops":
        from solva.compose.plan import Plan

        sys.stdout.write(f"{Plan(ops)}\n")
        return
    sys.stdout.write("\n".join(_pretty(project, ops, found)) + "\n")


def _pretty(project: Project, ops: list[Op], found: dict[str, Any]) -> list[str]:
    lines = [f"Plan for project {project.name}:"]
    lines += _images_networks_volumes(ops)
    lines += _containers(ops)
    if len(lines) == 1:
        lines = [f"Project {project.name}: nothing to do"]
    elif ops:
        counts = f"{len(ops)} operation{'s' * (len(ops) != 1)}"
        stops = f"; stops {', '.join(found['stops'])}" if found["stops"] else "; nothing that runs is stopped"
        lines += ["", f"{counts}{stops}"]
    for title, rows in (("Conflicts (up would fail):", found["conflicts"]),
                        ("Data at risk:", found["data"]), ("Uncertain:", found["uncertain"]),
                        ("Volumes that differ from the files (kept, unless up is confirmed or run with --yes):",
                         [f"{name}: {'; '.join(rows)}" for name, rows in found["volumes"].items()]),
                        ("Orphans (kept without --remove-orphans):", found["orphans"]),
                        ("Known only when providers and models have answered:", found["outside"])):
        if rows:
            lines += ["", title, *(f"  ! {row}" for row in rows)]
    return lines


def _images_networks_volumes(ops: list[Op]) -> list[str]:
    lines = []
    for op in ops:
        for prefix, name in _VERBS:
            if op.key.startswith(prefix) and op.kind != "copy":
                mark = "-" if name.startswith("remove") else "+"
                reason = f"  ({op.reason})" if op.reason else ""
                lines.append(f"  {mark} {name} {op.key[len(prefix):]}{reason}")
    return lines


def _containers(ops: list[Op]) -> list[str]:
    """One line a container, with what happens to it; the reasons of a recreation below."""
    from solva.compose import labels

    lines = []
    made = set()
    replaced = set()
    for op in ops:
        if op.path == "/containers/create":
            name = op.subject.removeprefix("Container ")
            made.add(name)
            if op.body["Labels"].get(labels.REPLACE):
                replaced.add(op.body["Labels"][labels.REPLACE])
            if op.doing == "Recreate":
                lines += [f"  ~ recreate container {name}", *(f"      {why}" for why in op.reason.split("; "))]
            else:
                lines.append(f"  + create container {name}  (image {op.body['Image']})")
    for op in ops:
        name = op.key.partition(" ")[2]
        if op.method == "DELETE" and op.path.startswith("/containers/") and op.path[12:] not in replaced \
                and name not in made:
            lines.append(f"  - remove container {name}")
        elif op.key.startswith("start ") and name not in made:
            lines.append(f"  > start container {name}")
        elif op.kind == "wait":
            lines.append(f"  … {op.key}")
        elif op.kind == "hook":
            lines.append(f"  $ {op.key}")
    return lines


COMMANDS = {"plan": verb(
    "plan", "[OPTIONS] [SERVICE...]", "Show what `up` would do, and why", plan, *CREATE,
    Flag("always-recreate-deps", "", "bool", "Recreate dependent containers. Incompatible with --no-recreate."),
    Flag("format", "", "string", "How to print it: pretty, ops (every API call and what it waits for) or json",
         default="pretty"),
    Flag("no-deps", "", "bool", "Without linked services"),
    Flag("no-start", "", "bool", "Without starting the services"),
    Flag("out", "o", "string", "Write the plan to a file for `up --plan FILE`, which does just that"),
    Flag("renew-anon-volumes", "V", "bool", "Recreate anonymous volumes instead of retrieving data from the previous "
         "containers"),
    Flag("timeout", "t", "int", "Timeout in seconds for container shutdown"))}
