"""Go templates as people use them with --format. Expected texts are Docker's own output."""

from __future__ import annotations

from typing import Any

import pytest

from solva.cli.errors import CommandError
from solva.cli.output.listing import Listing
from solva.cli.output.template import Template

DATA: dict[str, Any] = {
    "Id": "abc", "Name": "/web", "State": {"Status": "running", "ExitCode": 0, "Running": True},
    "Config": {"Cmd": ["sh", "-c", "x"], "Labels": {"a": "b", "com.x": "y"}, "Env": None},
    "Mounts": [], "Size": 1.5,
    "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "53/udp": None},
}


@pytest.mark.parametrize(("source", "expected"), [
    ("plain", "plain"),
    ("{{.State.Status}}", "running"),
    ("{{.ID}} {{.Name}}", "abc /web"),
    ("{{.State}}", "map[ExitCode:0 Running:true Status:running]"),
    ("{{.Config.Cmd}} {{.Size}} {{.State.Running}}", "[sh -c x] 1.5 true"),
    ("{{json .Config.Cmd}}", '["sh","-c","x"]'),
    ("{{json .State}}", '{"Status":"running","ExitCode":0,"Running":true}'),
    ('{{join .Config.Cmd ", "}}', "sh, -c, x"),
    ('{{index .Config.Labels "com.x"}}|{{index .Config.Labels "none"}}', "y|"),
    ("{{index .Config.Cmd 0}}", "sh"),
    ('{{(index (index .Ports "80/tcp") 0).HostPort}}', "8080"),
    ("{{len .Config.Cmd}}", "3"),
    ("{{range .Config.Cmd}}<{{.}}>{{end}}", "<sh><-c><x>"),
    ("{{range $i, $c := .Config.Cmd}}{{$i}}={{$c}} {{end}}", "0=sh 1=-c 2=x "),
    ("{{range $k, $v := .Config.Labels}}{{$k}}:{{$v}};{{end}}", "a:b;com.x:y;"),
    ("{{range .Mounts}}x{{else}}none{{end}}", "none"),
    ("{{range $p, $b := .Ports}}{{$p}}{{if $b}}->{{(index $b 0).HostPort}}{{end}} {{end}}", "53/udp 80/tcp->8080 "),
    ("{{range .Config.Cmd}}{{if eq . \"-c\"}}{{continue}}{{end}}{{.}}{{end}}", "shx"),
    ("{{range .Config.Cmd}}{{if eq . \"-c\"}}{{break}}{{end}}{{.}}{{end}}", "sh"),
    ('{{if eq .State.Status "exited" "running"}}up{{else}}down{{end}}', "up"),
    ("{{if and .State.Running (not .Mounts)}}a{{else if .Mounts}}b{{else}}c{{end}}", "a"),
    ("{{if or .Mounts .Name}}yes{{end}}", "yes"),
    ("{{if ne .State.ExitCode 0}}bad{{else}}good{{end}}", "good"),
    ("{{if gt (len .Config.Cmd) 2}}long{{end}}", "long"),
    ('{{with .State}}{{.Status}}{{$.Name}}{{end}}', "running/web"),
    ('{{with $x := .Name}}{{$x}}{{end}}', "/web"),
    ('{{printf "%s|%-6s|%3d|%q|%v" .Id .Id .State.ExitCode .Id .Config.Cmd}}', 'abc|abc   |  0|"abc"|[sh -c x]'),
    ('{{.Name | upper | printf "%s!"}}', "/WEB!"),
    ("{{upper .Id}} {{lower \"ABC\"}} {{title .Id}}", "ABC abc Abc"),
    ('{{split .Name "/"}}', "[ web]"),
    ('{{index (split "a:b" ":") 1}}', "b"),
    ("{{truncate .Id 2}}{{pad .Id 1 2}}|", "ab abc  |"),
    ("{{slice .Id 1 2}}", "b"),
    ("{{/* a comment */}}x", "x"),
    ("a  {{- .Id -}}  b", "aabcb"),
    ("{{$x := 1}}{{$x = 2}}{{$x}}", "2"),
    ("{{println .Id}}{{print 1 2}}", "abc\n1 2"),
    ("{{`raw\\n`}}{{\"q\\t\"}}", "raw\\nq\t"),
    ("{{html \"<a>\"}}", "&lt;a&gt;"),
    ("{{.Config.Env}}", "<no value>"),
    ("{{true}} {{1.5}} {{nil | json}}", "true 1.5 null"),
    ('{{define "t"}}[{{.}}]{{end}}{{template "t" .Id}}', "[abc]"),
])
def test_render(source: str, expected: str) -> None:
    assert Template(source).render(DATA) == expected


@pytest.mark.parametrize(("source", "message"), [
    ("{{.Id", "template: :1: unclosed action"),
    ("{{.Nope}}", 'template: :1:2: executing "" at <.Nope>: map has no entry for key "Nope"'),
    ("{{nope .Id}}", 'template: :1: function "nope" not defined'),
    ("{{if .Id}}x", "template: :1: unexpected EOF"),
    ("{{end}}", "template: :1: unexpected {{end}}"),
    ('{{"x}}', "template: :1: unterminated quoted string"),
    ("{{index .Config.Cmd 9}}", "index out of range: 9"),
    ("{{}}", "template: :1: missing value for command"),
])
def test_errors(source: str, message: str) -> None:
    with pytest.raises(CommandError) as caught:
        Template(source).render(DATA)
    assert message in str(caught.value)


LISTING = Listing({
    "ID": ("CONTAINER ID", lambda row: row["id"]),
    "Names": ("NAMES", lambda row: row["names"]),
}, ("ID", "Names"), "ID", "*formatter.ContainerContext",
    {"Label": ("", lambda row, name="": row["labels"].get(name, ""))})
ROWS = [{"id": "1", "names": "a", "labels": {"k": "v"}}, {"id": "2", "names": "b<\x1b[2J", "labels": {}}]


def test_the_default_table_neutralises_control_characters() -> None:
    assert LISTING.text(ROWS) == "CONTAINER ID   NAMES\n1              a\n2              b<?[2J\n"


def test_quiet_and_json() -> None:
    assert LISTING.text(ROWS, quiet=True) == "1\n2\n"
    assert LISTING.text(ROWS[:1], format="json") == '{"ID":"1","Names":"a"}\n'
    assert LISTING.text(ROWS[1:], format="{{json .}}") == '{"ID":"2","Names":"b<\\u001b[2J"}\n'


def test_a_template_and_a_table_of_a_template() -> None:
    assert LISTING.text(ROWS[:1], format='{{.ID}}\\t{{.Label "k"}}') == "1\tv\n"
    assert LISTING.text(ROWS[:1], format="table {{.Names}}\\t{{.ID}}") == "NAMES     CONTAINER ID\na         1\n"


def test_an_unknown_placeholder() -> None:
    with pytest.raises(CommandError) as caught:
        LISTING.text(ROWS, format="{{.Foo}}")
    assert str(caught.value) == ('failed to execute template: template: :1:2: executing "" at <.Foo>: '
                                 "can't evaluate field Foo in type *formatter.ContainerContext")
