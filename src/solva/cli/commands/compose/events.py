"""``events``: what happens to the project's containers."""

from __future__ import annotations

import sys
import time

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options


def events(app: App, options: Options) -> int:
    from solva.cli.commands.compose.logs import when
    from solva.compose import labels

    name = app.name()
    query = {"filters": {"type": ["container"], "label": [f"{labels.PROJECT}={name}"]},
             "since": when(options.text("since")), "until": when(options.text("until"))}
    with app.api.request("GET", "/events", query=query) as response:
        for event in response.lines():
            given = event.get("Actor", {}).get("Attributes", {})
            service = given.get(labels.SERVICE, "")
            if given.get(labels.ONE_OFF) == "True" or (options.args and service not in options.args):
                continue
            _show(event, given, service, options.on("json"))
    return 0


def _show(event: dict[str, object], given: dict[str, str], service: str, as_json: bool) -> None:
    nanoseconds = int(str(event.get("timeNano") or 0))
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(nanoseconds // 10**9))
    stamp += f".{nanoseconds // 1000 % 10**6:06d}"
    shown = {key: value for key, value in given.items() if not key.startswith("com.docker.compose.")}
    actor = event.get("Actor")
    identifier = str(actor.get("ID", "")) if isinstance(actor, dict) else ""
    if as_json:
        from solva.cli.output.gojson import compact

        sys.stdout.write(compact({"action": event.get("Action"), "attributes": shown, "id": identifier,
                                  "service": service, "time": stamp, "type": "container"}) + "\n")
    else:
        text = ", ".join(f"{key}={shown[key]}" for key in sorted(shown))
        sys.stdout.write(f"{stamp} container {event.get('Action')} {identifier} ({text})\n")
    sys.stdout.flush()


COMMANDS = {"events": verb(
    "events", "[OPTIONS] [SERVICE...]", "Receive real time events from containers", events,
    Flag("json", "", "bool", "Output events as a stream of json objects"),
    Flag("since", "", "string", "Show all events created since timestamp"),
    Flag("until", "", "string", "Stream events until this timestamp"))}
