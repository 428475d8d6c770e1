"""Rules about the instructions of a stage."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from solva.build.dockerfile.ast import DockerfileError, Node
from solva.build.dockerfile.words import Expander, split_words
from solva.build.ignore import Ignore
from solva.build.instructions.run import PROXY_ARGS
from solva.build.lint import warning as rules
from solva.build.lint.file_rules import global_args, suggestion, words_of
from solva.build.lint.warning import Finding

_SECRET = re.compile(r"(?i)(?:_|^)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)")
_PUBLIC = re.compile(r"(?i)(?:_|^)public(?:_|$)")
_ONCE = ("CMD", "ENTRYPOINT", "HEALTHCHECK")
_EXPANDED = ("ADD", "COPY", "ENV", "EXPOSE", "LABEL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR", "ARG")
_NOT_ENV = ("SOURCE_DATE_EPOCH",)


@dataclass(slots=True)
class _Stage:
    """What the instructions so far have made."""

    env: dict[str, str] = field(default_factory=dict)
    args: dict[str, str] = field(default_factory=dict)      # go with the stage
    workdir: bool = False
    shell: bool = False
    last: dict[str, Node] = field(default_factory=dict)

    def fork(self) -> _Stage:
        return _Stage(dict(self.env), {}, self.workdir, self.shell)


def stages(before: Sequence[Node], all_stages: Sequence[Sequence[Node]], base_env: Mapping[str, str],
           ignore: Ignore | None) -> Iterator[Finding]:
    """Every stage in order; one that begins with another takes over its variables and directory."""
    named: dict[str, _Stage] = {}
    declared = global_args(before)
    for index, nodes in enumerate(all_stages):
        image, _, name = words_of(nodes[0])
        base = named.get(image.lower())
        stage = base.fork() if base is not None else _Stage(dict(base_env))
        for node in nodes[1:]:
            yield from _instruction(node, stage, declared, ignore)
        named[name.lower() or str(index)] = stage


def _instruction(node: Node, stage: _Stage, declared: Mapping[str, str | None],
                 ignore: Ignore | None) -> Iterator[Finding]:
    line = node.lines.first
    if node.name in ("ENV", "LABEL", "ARG"):
        yield from _pairs(node)
    if node.name in _EXPANDED:
        yield from _variables(node, stage)
    if node.name in ("CMD", "ENTRYPOINT") and node.json is None and not stage.shell:
        yield Finding(rules.JSON_ARGS, f"JSON arguments recommended for {node.name} to prevent unintended behavior "
                                        "related to OS signals", line)
    if node.name in _ONCE:
        before = stage.last.get(node.name)
        if before is not None:
            yield Finding(rules.SEVERAL, f"Multiple {node.name} instructions should not be used in the same stage "
                                          "because only the last one will be used", before.lines.first)
        stage.last[node.name] = node
    if node.name == "WORKDIR":
        if not node.rest.startswith(("/", "$")) and not stage.workdir:
            yield Finding(rules.WORKDIR, f'Relative workdir "{node.rest}" can have unexpected results if the base '
                                         "image changes", line)
        stage.workdir |= node.rest.startswith("/")
    if node.name == "SHELL":
        stage.shell = True
    if node.name == "EXPOSE":
        yield from _expose(node)
    if node.name in ("COPY", "ADD") and ignore is not None:
        yield from _ignored(node, ignore)
    _define(node, stage, declared)


def _pairs(node: Node) -> Iterator[Finding]:
    words = split_words(node.rest, node.escape)
    if node.name != "ARG" and words and "=" not in words[0]:
        yield Finding(rules.LEGACY, f'"{node.name} key=value" should be used instead of legacy "{node.name} key '
                                    'value" format', node.lines.first)
        words = words[:1]
    if node.name == "LABEL":
        return
    for word in words:
        name = word.partition("=")[0]
        if _SECRET.search(name) and not _PUBLIC.search(name):
            yield Finding(rules.SECRETS, "Do not use ARG or ENV instructions for sensitive data "
                                          f'({node.name} "{name}")', node.lines.first)


def _variables(node: Node, stage: _Stage) -> Iterator[Finding]:
    expander = Expander({**stage.args, **stage.env}, node.escape)
    for word in split_words(node.rest, node.escape):
        try:
            expander.word(word)
        except DockerfileError:
            continue
    known = [*stage.env, *stage.args]
    for missing in sorted(expander.unset - set(stage.args) - set(_NOT_ENV) - set(PROXY_ARGS)):
        yield Finding(rules.UNDEFINED_VAR, f"Usage of undefined variable '${missing}'"
                      + suggestion(missing, known, "$"), node.lines.first)


def _expose(node: Node) -> Iterator[Finding]:
    for word in node.rest.split():
        body, slash, protocol = word.partition("/")
        if slash and protocol != protocol.lower():
            yield Finding(rules.PROTO_CASING, f"Defined protocol '{word}' in EXPOSE instruction should be lowercase",
                           node.lines.first)
        if ":" in body:
            yield Finding(rules.EXPOSE_FORMAT, "EXPOSE instruction should not define an IP address or host-port "
                                               f"mapping, found '{word}'", node.lines.first)


def _ignored(node: Node, ignore: Ignore) -> Iterator[Finding]:
    if any(flag.startswith("--from=") for flag in node.flags):
        return
    words = node.json or tuple(node.rest.split())
    for word in words[:-1]:
        path = word.strip("/")
        if "$" not in word and "://" not in word and not word.startswith("<<") and path and ignore.excluded(path):
            verb = node.name.capitalize()
            yield Finding(rules.COPY_IGNORED, f'Attempting to {verb} file "{word}" that is excluded by .dockerignore',
                           node.lines.first)


def _define(node: Node, stage: _Stage, declared: Mapping[str, str | None]) -> None:
    words = split_words(node.rest, node.escape) if node.name in ("ENV", "ARG") else []
    if node.name == "ENV" and words and "=" not in words[0]:
        words = [f"{words[0]}="]
    for word in words:
        name, equals, value = word.partition("=")
        if node.name == "ARG":
            stage.args[name] = value if equals else declared.get(name) or ""
        else:
            stage.env[name] = value
