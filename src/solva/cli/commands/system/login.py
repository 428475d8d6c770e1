"""``solva login`` and ``solva logout``."""

from __future__ import annotations

import os
import sys

from solva.cli.credentials import erase, host_of, store
from solva.cli.errors import CommandError
from solva.cli.flags import Command, Flag
from solva.cli.references import DOCKER_HUB
from solva.cli.session import say, warn
from solva.errors import NotImplementedHere

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.cli.flags import Options
    from solva.cli.session import Session


def run(session: Session, options: Options) -> int:
    """Check credentials with the registry (the engine asks it) and keep them."""
    server = _key(options.args[0]) if options.args else DOCKER_HUB
    user, password = options.text("username"), options.text("password")
    if password:
        if options.on("password-stdin"):
            raise CommandError("conflicting options: cannot specify both --password and --password-stdin")
        warn("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
    if options.on("password-stdin"):
        if not user:
            raise CommandError("username is empty" if "username" in options.changed else
                               "the --password-stdin option requires --username to be set")
        password = sys.stdin.read().rstrip("\r\n")
    user, password = _ask(user, password)
    try:
        answer = session.api.json("POST", "/auth", body={
            "username": user, "password": password, "serveraddress": server}) or {}
    except NotImplementedHere:
        warn("WARNING! The credentials are kept unchecked: this engine cannot try them at a registry.")
        answer = {"Status": "Login kept"}
    auth = {"username": user, "password": password}
    if answer.get("IdentityToken"):
        auth = {"username": user, "password": "", "identitytoken": answer["IdentityToken"]}
    place = store(session, server, auth)
    if os.path.isabs(place):
        warn(f"\nWARNING! Your credentials are stored unencrypted in '{place}'.\n"
             "Configure a credential helper to remove this warning.\n")
    say(answer.get("Status") or "Login Succeeded")
    return 0


def _key(text: str) -> str:
    host = host_of(text)
    return DOCKER_HUB if host in ("docker.io", "index.docker.io", "registry-1.docker.io") else host


def _ask(user: str, password: str) -> tuple[str, str]:
    """What was not given, from the terminal."""
    if not user or not password:
        if not os.isatty(0):
            raise CommandError("Error: Cannot perform an interactive login from a non TTY device")
        if not user:
            sys.stdout.write("Username: ")
            sys.stdout.flush()
            user = sys.stdin.readline().strip()
        if not password:
            import getpass

            password = getpass.getpass("Password: ")
    if not user or not password:
        raise CommandError(f"Error: {'Password' if user else 'Username'} Required")
    return user, password


def logout(session: Session, options: Options) -> int:
    """Forget the credentials of a registry."""
    server = _key(options.args[0]) if options.args else DOCKER_HUB
    say(f"Removing login credentials for {server}")
    if not erase(session, server):
        say(f"Not logged in to {server}")
    return 0


COMMAND = Command("login", "[OPTIONS] [SERVER]", "Authenticate to a registry", run, flags=(
    Flag("password", "p", "string", "Password or access token"),
    Flag("password-stdin", "", "bool", "Take the password from standard input"),
    Flag("username", "u", "string", "User name"),
), arity=(0, 1))
LOGOUT = Command("logout", "[SERVER]", "Log out from a registry", logout, arity=(0, 1))
