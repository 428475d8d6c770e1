"""Which endpoint is meant, contexts, credentials, and the message when our engine cannot start."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from solva.cli import contexts, engine_start
from solva.cli.credentials import erase, lookup, store
from solva.cli.endpoint import TlsFlags, resolve
from solva.cli.errors import CommandError
from solva.cli.session import Session

VARIABLES = ("SOLVA_HOST", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def url_of(config: Path, *, host: str = "", context: str = "", current: str = "") -> str:
    return resolve(host, context, TlsFlags(), str(config), {"currentContext": current} if current else {}).url


def test_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contexts.save(str(tmp_path), "there", "", {"host": "tcp://there:2375"})
    own = resolve("", "", TlsFlags(), str(tmp_path), {})
    assert own.own
    assert own.url.endswith("/solva/solva.sock")
    assert url_of(tmp_path, current="there") == "tcp://there:2375"
    monkeypatch.setenv("DOCKER_HOST", "unix:///docker")
    assert url_of(tmp_path, current="there") == "unix:///docker"
    monkeypatch.setenv("SOLVA_HOST", "unix:///solva")
    assert url_of(tmp_path, current="there") == "unix:///solva"
    assert url_of(tmp_path, context="there") == "tcp://there:2375"
    assert url_of(tmp_path, host="unix:///flag") == "unix:///flag"
    with pytest.raises(CommandError, match="context not found"):
        url_of(tmp_path, context="nosuch")
    with pytest.raises(CommandError, match="unable to parse docker host"):
        url_of(tmp_path, host="ftp://x")


def test_contexts_are_dockers_files(tmp_path: Path) -> None:
    contexts.save(str(tmp_path), "one", "mine", {"host": "unix:///x"})
    (meta,) = (tmp_path / "contexts" / "meta").glob("*/meta.json")
    assert json.loads(meta.read_text()) == {
        "Name": "one", "Metadata": {"Description": "mine"},
        "Endpoints": {"docker": {"Host": "unix:///x", "SkipTLSVerify": False}}}
    assert [context.name for context in contexts.all_of(str(tmp_path))] == ["one"]
    with pytest.raises(CommandError, match='context "one" already exists'):
        contexts.save(str(tmp_path), "one", "", {"host": "unix:///y"})
    contexts.remove(str(tmp_path), "one")
    assert contexts.all_of(str(tmp_path)) == []


def session_in(folder: Path) -> Session:
    session = Session()
    session.config_dir = str(folder)
    return session


def test_credentials_are_kept_as_docker_does(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"psFormat": "kept"}')
    store(session_in(tmp_path), "reg.example:5000", {"username": "u", "password": "p:w"})
    assert json.loads((tmp_path / "config.json").read_text()) == {
        "psFormat": "kept", "auths": {"reg.example:5000": {"auth": "dTpwOnc="}}}
    assert stat.S_IMODE((tmp_path / "config.json").stat().st_mode) == 0o600
    assert lookup(session_in(tmp_path), "reg.example:5000") == {
        "serveraddress": "reg.example:5000", "username": "u", "password": "p:w"}
    assert lookup(session_in(tmp_path), "other") == {}
    assert erase(session_in(tmp_path), "reg.example:5000")
    assert lookup(session_in(tmp_path), "reg.example:5000") == {}


def test_a_credential_helper_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-fake"
    helper.write_text("#!/bin/sh\nread key\n"
                      '[ "$1" = get ] && echo "{\\"Username\\":\\"h\\",\\"Secret\\":\\"$key\\"}"\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "config.json").write_text('{"credsStore": "fake"}')
    assert lookup(session_in(tmp_path), "reg") == {"serveraddress": "reg", "username": "h", "password": "reg"}


def test_an_engine_that_ends_at_once_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_start, "arguments", lambda socket_path, run: [
        "/bin/sh", "-c", "echo broken configuration >&2; exit 3"])
    with pytest.raises(CommandError) as caught:
        engine_start.ensure_running(f"unix://{tmp_path}/run/solva.sock")
    assert "it ended with status 3" in str(caught.value)
    assert "broken configuration" in str(caught.value)


def test_two_commands_at_once_start_one_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    import threading

    server = ("import socket,sys,time\ns=socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\ns.listen()\n"
              "open(sys.argv[1]+'.count','a').write('x')\ntime.sleep(3)\n")
    monkeypatch.setattr(engine_start, "arguments", lambda socket_path, run: [
        sys.executable, "-c", server, socket_path])
    url = f"unix://{tmp_path}/run/solva.sock"
    threads = [threading.Thread(target=engine_start.ensure_running, args=(url,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert engine_start.answers(url)
    assert (tmp_path / "run" / "solva.sock.count").read_text() == "x"
