"""Registry credentials: config.json and credential helpers, in Docker's format."""

from __future__ import annotations

import base64
import os
import select

from solva.cli.configfile import write
from solva.cli.errors import CommandError
from solva.client.fastjson import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from solva.cli.session import Session


class NoHelper(CommandError):
    """The credential helper cannot be run."""


def lookup(session: Session, key: str) -> dict[str, str]:
    """The credentials of a registry, empty when there are none."""
    config = session.config
    helper = _helper_of(config, key)
    if helper:
        return _from_helper(helper, key)
    auths = config.get("auths") or {}
    wanted = host_of(key)
    for name, entry in auths.items():
        if name == key or host_of(name) == wanted:
            return _decoded(entry, key)
    return {}


def everything(session: Session) -> dict[str, dict[str, str]]:
    """All credentials, as a build needs them (X-Registry-Config)."""
    config = session.config
    names = set(config.get("auths") or {}) | set(config.get("credHelpers") or {})
    found = {name: lookup(session, name) for name in sorted(names)}
    return {name: entry for name, entry in found.items() if entry}


def login(session: Session, host: str) -> tuple[str, str] | None:
    """User and password (or token) for a registry's host, as BuildKit asks for them."""
    found = lookup(session, "https://index.docker.io/v1/" if host in ("registry-1.docker.io", "docker.io") else host)
    secret = found.get("password") or found.get("identitytoken") or ""
    return (found.get("username", ""), secret) if secret else None


def host_of(key: str) -> str:
    """``https://index.docker.io/v1/`` as ``index.docker.io``."""
    return key.partition("://")[2].partition("/")[0] if "://" in key else key.partition("/")[0]


def header(auth: Any) -> str:
    """``X-Registry-Auth``'s value."""
    return base64.urlsafe_b64encode(dumps(auth).encode()).decode()


def auth_headers(session: Session, key: str) -> dict[str, str]:
    """The header that carries a registry's credentials; none without them."""
    found = lookup(session, key)
    return {"X-Registry-Auth": header(found)} if found else {}


def store(session: Session, key: str, auth: dict[str, str]) -> str:
    """Keep credentials; where they went (a file's path, or the helper's name)."""
    config = dict(session.config)
    helper = _helper_of(config, key)
    auths = dict(config.get("auths") or {})
    if helper:
        secret = auth.get("identitytoken") or auth.get("password", "")
        user = "<token>" if auth.get("identitytoken") else auth.get("username", "")
        _call_helper(helper, "store", dumps({"ServerURL": key, "Username": user, "Secret": secret}))
        auths[key] = {}
    else:
        plain = f"{auth.get('username', '')}:{auth.get('password', '')}"
        entry = {"auth": base64.b64encode(plain.encode()).decode()}
        if auth.get("identitytoken"):
            entry["identitytoken"] = auth["identitytoken"]
        auths[key] = entry
    config["auths"] = auths
    write(session.config_dir, config)
    return helper or os.path.join(session.config_dir, "config.json")


def erase(session: Session, key: str) -> bool:
    """Forget credentials; whether there were any."""
    config = dict(session.config)
    auths = dict(config.get("auths") or {})
    helper = _helper_of(config, key)
    names = [name for name in auths if name == key or host_of(name) == host_of(key)]
    if helper:
        _call_helper(helper, "erase", key)
    for name in names:
        del auths[name]
    if names:
        config["auths"] = auths
        write(session.config_dir, config)
    return bool(names) or bool(helper)


def _helper_of(config: dict[str, Any], key: str) -> str:
    helpers = config.get("credHelpers") or {}
    return str(helpers.get(key) or helpers.get(host_of(key)) or config.get("credsStore") or "")


def _decoded(entry: dict[str, Any], key: str) -> dict[str, str]:
    result = {"serveraddress": key}
    if entry.get("identitytoken"):
        result["identitytoken"] = str(entry["identitytoken"])
    if entry.get("registrytoken"):
        result["registrytoken"] = str(entry["registrytoken"])
    text = entry.get("auth") or ""
    if text:
        try:
            user, _, password = base64.b64decode(text).decode().partition(":")
        except ValueError:
            raise CommandError(f"Error loading config file: invalid auth configuration of {key}") from None
        result["username"], result["password"] = user, password.strip("\x00")
    for name in ("username", "password"):
        if entry.get(name):
            result[name] = str(entry[name])
    return result if len(result) > 1 else {}


def _from_helper(helper: str, key: str) -> dict[str, str]:
    status, output = _run_helper(helper, "get", key)
    if status:
        if "credentials not found" in output:
            return {}
        raise CommandError(f"error getting credentials - err: exit status {status}, out: `{output.strip()}`")
    answer = loads(output)
    if answer.get("Username") == "<token>":
        return {"serveraddress": key, "identitytoken": answer.get("Secret", "")}
    return {"serveraddress": key, "username": answer.get("Username", ""), "password": answer.get("Secret", "")}


def _call_helper(helper: str, verb: str, text: str) -> None:
    status, output = _run_helper(helper, verb, text)
    if status:
        raise CommandError(f"error storing credentials - err: exit status {status}, out: `{output.strip()}`")


def _run_helper(helper: str, verb: str, text: str) -> tuple[int, str]:
    """Exit status and output of ``docker-credential-HELPER VERB`` with ``text`` as its input."""
    name = f"docker-credential-{helper}"
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    try:
        pid = os.posix_spawnp(name, [name, verb], os.environ, file_actions=[
            (os.POSIX_SPAWN_DUP2, in_read, 0), (os.POSIX_SPAWN_DUP2, out_write, 1),
            (os.POSIX_SPAWN_CLOSE, in_write), (os.POSIX_SPAWN_CLOSE, out_read),
        ])
    except OSError as error:
        for number in (in_write, out_read):
            os.close(number)
        raise NoHelper(f"error getting credentials - err: exec: \"{name}\": {error.strerror}, out: ``") from None
    finally:
        os.close(in_read)
        os.close(out_write)
    try:
        os.write(in_write, text.encode())
    except BrokenPipeError:
        pass
    os.close(in_write)
    output = b""
    while True:
        select.select([out_read], [], [])
        data = os.read(out_read, 65536)
        if not data:
            break
        output += data
    os.close(out_read)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), output.decode(errors="replace")
