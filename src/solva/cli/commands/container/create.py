"""``solva create``, and creating as `run` does it: pull when the image is missing, name file, warnings."""

from __future__ import annotations

import os

from solva.cli.commands.container.create_flags import CREATE
from solva.cli.commands.container.request import create_body
from solva.cli.errors import CommandError, RunError
from solva.cli.flags import Command
from solva.cli.session import response_error, say, warn
from solva.errors import NotFound, SolvaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Create a container and print its id."""
    if options.on("help"):
        return show_help(options)
    image, *command = options.args
    body = body_of(options, "create", image, command)
    say(create(session, options, body, "create"))
    return 0


def show_help(options: Options) -> int:
    """`--help` of the verbs whose ``-h`` is the host name."""
    from solva.cli.help import command_help

    say(command_help(options.command))
    return 0


def failure(verb: str, message: str, status: int = 125) -> RunError:
    """An error as `run` and `create` report it."""
    return RunError(f"solva: {message.removesuffix('.')}\n\nRun 'solva {verb} --help' for more information", status)


def body_of(options: Options, verb: str, image: str, command: list[str], *, detach: bool = False) -> dict[str, Any]:
    """The request's body, with what is wrong about the command line reported in the verb's way."""
    if options.text("pull") not in ("always", "missing", "never"):
        raise failure(verb, f"invalid pull option: '{options.text('pull')}': must be one of \"always\", \"missing\" or "
                            "\"never\"")
    if not options.on("disable-content-trust"):
        raise failure(verb, "content trust is not supported")
    try:
        return create_body(options, image, command, detach=detach)
    except CommandError as error:
        raise failure(verb, str(error)) from None


def create(session: Session, options: Options, body: dict[str, Any], verb: str) -> str:
    """Create the container and return its id; what the engine warns about is printed."""
    cidfile = options.text("cidfile")
    if cidfile and os.path.exists(cidfile):
        raise failure(verb, f"container ID file found, make sure the other container isn't running or delete "
                            f"{cidfile}")
    _from_user_config(session, body)
    _check_reference(body["Image"], verb)
    pull = options.text("pull")
    try:
        if pull == "always":
            _pull(session, options, body["Image"])
        try:
            answer = _post(session, options, body)
        except NotFound as error:
            if pull != "missing" or "no such image" not in str(error).lower():
                raise
            if not options.on("quiet"):
                warn(f"Unable to find image '{familiar(body['Image'])}' locally")
            _pull(session, options, body["Image"])
            answer = _post(session, options, body)
    except SolvaError as error:
        if verb == "create":    # 1, as Docker's; 125 is of `run`, whose status is else the container's
            raise CommandError(response_error(error)) from None
        raise failure(verb, response_error(error)) from None
    except CommandError as error:
        raise failure(verb, str(error)) from None
    for text in answer.get("Warnings") or []:
        warn(f"WARNING: {text}")
    if cidfile:
        with open(cidfile, "w", encoding="ascii") as file:
            file.write(answer["Id"])
    return str(answer["Id"])


def _post(session: Session, options: Options, body: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = session.api.json("POST", "/containers/create", body=body, query={
        "name": options.text("name") or None, "platform": options.text("platform") or None})
    return answer


def _pull(session: Session, options: Options, image: str) -> None:
    from solva.cli.commands.image.pull import pull

    pull(session, image, platform=options.text("platform"), quiet=options.on("quiet"), to_stderr=True)


def familiar(image: str) -> str:
    """``image`` with the tag it gets when it names none."""
    last = image.rpartition("/")[2]
    return image if ":" in last or "@" in last else f"{image}:latest"


def _check_reference(image: str, verb: str) -> None:
    name = image.partition("@")[0]
    repository = name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name
    if repository != repository.lower() and "." not in repository.partition("/")[0]:
        full = repository if "/" in repository else f"library/{repository}"
        raise failure(verb, f"invalid reference format: repository name ({full}) must be lowercase")
    if not name or any(char.isspace() for char in name):
        raise failure(verb, "invalid reference format")


def _from_user_config(session: Session, body: dict[str, Any]) -> None:
    """The user's ``proxies`` of config.json, as environment that the command line may override."""
    proxies = session.config.get("proxies")
    if not isinstance(proxies, dict):
        return
    settings = proxies.get(session.endpoint.url) or proxies.get("default") or {}
    names = {"httpProxy": "HTTP_PROXY", "httpsProxy": "HTTPS_PROXY", "noProxy": "NO_PROXY", "ftpProxy": "FTP_PROXY",
             "allProxy": "ALL_PROXY"}
    given = {pair.partition("=")[0] for pair in body["Env"]}
    for key, name in names.items():
        for variable in (name, name.lower()):
            if settings.get(key) and variable not in given:
                body["Env"].append(f"{variable}={settings[key]}")


COMMAND = Command(
    "create", "[OPTIONS] IMAGE [COMMAND] [ARG...]", "Create a new container", run,
    flags=CREATE, arity=(1, None), interspersed=False, aliases=("container create", "create"),
)
