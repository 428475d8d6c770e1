"""Request bodies of `create` against those that Docker's client sends for the same command line."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from fakes.recording_engine import comparable
from solva.cli.commands.container.create_flags import RUN
from solva.cli.commands.container.request import create_body
from solva.cli.errors import CommandError, UsageError
from solva.cli.flags import Command, Options, parse

CASES = json.loads((Path(__file__).parent / "golden_create.json").read_text())
COMMAND = Command("run", "", "", lambda session, options: 0, flags=RUN, arity=(1, None), interspersed=False)


def parsed(line: str) -> Options:
    return parse(COMMAND, shlex.split(line))


def body_of(line: str) -> dict[str, Any]:
    options = parsed(line)
    image, *command = options.args
    return create_body(options, image, command)


@pytest.mark.parametrize("case", CASES, ids=[case["line"][:60] for case in CASES])
def test_body_is_dockers(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRESET", "from-here")
    monkeypatch.delenv("MISSING", raising=False)
    assert comparable(body_of(case["line"])) == case["body"]


@pytest.mark.parametrize(("line", "message"), [
    ("--foo busybox", "unknown flag: --foo"),
    ("-z busybox", "unknown shorthand flag: 'z' in -z"),
    ("-ix busybox", "unknown shorthand flag: 'x' in -x"),
    ("---x busybox", "bad flag syntax: ---x"),
    ("-p", "flag needs an argument: 'p' in -p"),
    ("--name", "flag needs an argument: --name"),
    ("-m abc busybox", 'invalid argument "abc" for "-m, --memory" flag: invalid size: \'abc\''),
    ("--cpus abc busybox", 'invalid argument "abc" for "--cpus" flag: failed to parse abc as a rational number'),
    ("--mount foo busybox",
     'invalid argument "foo" for "--mount" flag: invalid field \'foo\' must be a key=value pair'),
    ("--ulimit foo busybox", 'invalid argument "foo" for "--ulimit" flag: invalid ulimit argument: foo'),
    ("-e '' busybox", 'invalid argument "" for "-e, --env" flag: invalid environment variable: '),
    ("--link x:y:z busybox", 'invalid argument "x:y:z" for "--link" flag: bad format for links: x:y:z'),
    ("--add-host x busybox", 'invalid argument "x" for "--add-host" flag: bad format for add-host: "x"'),
    ("--dns x busybox", 'invalid argument "x" for "--dns" flag: IP address is not correctly formatted: x'),
    ("-a foo busybox",
     'invalid argument "foo" for "-a, --attach" flag: valid streams are STDIN, STDOUT and STDERR'),
    ("--sysctl x busybox", 'invalid argument "x" for "--sysctl" flag: sysctl \'x\' is not allowed'),
    ("--stop-timeout x busybox",
     'invalid argument "x" for "--stop-timeout" flag: strconv.ParseInt: parsing "x": invalid syntax'),
    ("--blkio-weight x busybox",
     'invalid argument "x" for "--blkio-weight" flag: strconv.ParseUint: parsing "x": invalid syntax'),
    ("--health-interval x busybox",
     'invalid argument "x" for "--health-interval" flag: time: invalid duration "x"'),
    ("--device-read-bps x busybox", 'invalid argument "x" for "--device-read-bps" flag: bad format: x'),
    ("--gpus x=1 busybox", 'invalid argument "x=1" for "--gpus" flag: unexpected key \'x\' in \'x=1\''),
    ("--network a,foo=b busybox", 'invalid argument "a,foo=b" for "--network" flag: invalid field a'),
    ("-P=foo busybox",
     'invalid argument "foo" for "-P, --publish-all" flag: strconv.ParseBool: parsing "foo": invalid syntax'),
])
def test_a_bad_command_line_is_named_in_dockers_words(line: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(line)
    assert str(caught.value) == message
    assert caught.value.status == 125


@pytest.mark.parametrize(("line", "message"), [
    ("-p abc busybox", "invalid containerPort: abc"),
    ("-p 80:99999 busybox", "invalid containerPort: 99999"),
    ("-p 1:2:3:4 busybox", "invalid IP address: 1:2"),
    ("-p 1-3:4-5 busybox", "invalid ranges specified for container and host Ports: 4-5 and 1-3"),
    ("-p 80/foo busybox", "invalid proto: foo"),
    ("--mac-address x busybox", "x is not a valid mac address"),
    ("--env-file /nosuch busybox", "open /nosuch: no such file or directory"),
    ("--device x busybox", "x is not an absolute path"),
    ("--network '' busybox", "no name set for network"),
    ("--rm --restart always busybox", "conflicting options: cannot specify both --restart and --rm"),
    ("--log-driver none --log-opt a=b busybox", "invalid logging opts for driver none"),
    ("--security-opt foo busybox", 'Invalid --security-opt: "foo"'),
    ("--network one --network host busybox",
     "conflicting options: cannot attach both user-defined and non-user-defined network-modes"),
    ("--network one --network one busybox", 'network "one" is specified multiple times'),
    ("--pid foo busybox", "--pid: invalid PID mode"),
    ("--no-healthcheck --health-cmd x busybox", "--no-healthcheck conflicts with --health-* options"),
    ("--memory-swappiness 101 busybox", "invalid value: 101. Valid memory swappiness range is 0-100"),
    ("--storage-opt x busybox", "invalid storage option"),
])
def test_a_contradiction_is_named_in_dockers_words(line: str, message: str) -> None:
    with pytest.raises(CommandError) as caught:
        body_of(line)
    assert str(caught.value) == message


def test_an_environment_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_HERE", "yes")
    monkeypatch.delenv("NOT_HERE", raising=False)
    path = tmp_path / "env"
    path.write_bytes(b"\xef\xbb\xbf# comment\n\nA=1\n B=two words\nFROM_HERE\nNOT_HERE\nC=\n")
    body = body_of(f"--env-file {path} -e A=2 busybox")
    assert body["Env"] == ["A=1", "B=two words", "FROM_HERE=yes", "C=", "A=2"]


def test_a_variable_name_with_a_space_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("A B=1\n")
    with pytest.raises(CommandError, match="contains whitespaces"):
        body_of(f"--env-file {path} busybox")


def test_a_relative_bind_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert body_of("-v ./x:/y:ro busybox")["HostConfig"]["Binds"] == [f"{tmp_path}/x:/y:ro"]


def test_flags_after_the_image_belong_to_the_command() -> None:
    assert body_of("busybox --rm -it")["Cmd"] == ["--rm", "-it"]
