"""``solva events``: what happens, as it happens."""

from __future__ import annotations

import sys
import time

from solva.cli.commands.common import LIST_FORMAT
from solva.cli.flags import Command, Flag, filters_of
from solva.cli.output.table import clean
from solva.cli.timestamps import api_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Print events until the stream ends."""
    fmt = options.text("format")
    template = None
    if fmt not in ("", "json", "{{json .}}"):
        from solva.cli.output.template import Template, TemplateError

        try:
            template = Template(fmt)
        except TemplateError as error:
            raise error.begun("Error parsing format") from None
    response = session.api.request("GET", "/events", query={
        "since": api_time(options.text("since"), "since"), "until": api_time(options.text("until"), "until"),
        "filters": filters_of(options.many("filter"))})
    with response:
        for event in response.lines():
            if template is not None:
                text = template.render(event)
            elif fmt:
                from solva.cli.output.gojson import compact

                text = compact(event)
            else:
                text = _line(event)
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
    return 0


def _line(event: dict[str, Any]) -> str:
    nanos = event.get("timeNano") or event.get("time", 0) * 1_000_000_000
    seconds, fraction = divmod(nanos, 1_000_000_000)
    moment = time.localtime(seconds)
    zone = time.strftime("%z", moment)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", moment) + f".{fraction:09d}"
    stamp += "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    actor = event.get("Actor") or {}
    text = f"{stamp} {event.get('Type')} {event.get('Action')} {actor.get('ID')}"
    attributes = actor.get("Attributes") or {}
    if attributes:
        text += " (" + ", ".join(f"{key}={value}" for key, value in sorted(attributes.items())) + ")"
    return clean(text)


COMMAND = Command(
    "events", "[OPTIONS]", "Get real-time events from the engine", run,
    flags=(
        Flag("filter", "f", "filter", "Show only what matches the condition"),
        Flag("format", "", "string", LIST_FORMAT),
        Flag("since", "", "string", "Begin with events since then"),
        Flag("until", "", "string", "End at that time"),
    ),
    arity=(0, 0), aliases=("system events", "events"),
)
