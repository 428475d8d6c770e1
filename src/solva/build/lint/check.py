"""All warnings about a Dockerfile: ``docker build --check``, and what a build says at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from solva.build.dockerfile.ast import Dockerfile, DockerfileError, Node
from solva.build.ignore import Ignore
from solva.build.lint import file_rules, stage_rules
from solva.build.lint.warning import Finding

CHECK_ARG = "BUILDKIT_DOCKERFILE_CHECK"


@dataclass(frozen=True, slots=True)
class Settings:
    """``skip=RULE,…|all;error=true;experimental=RULE,…|all`` of ``# check=`` or the build argument."""

    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    error: bool = False

    @classmethod
    def parse(cls, text: str) -> Settings:
        """DockerfileError for a form that is not known."""
        found: dict[str, str] = {}
        for part in filter(None, (piece.strip() for piece in text.split(";"))):
            key, equals, value = part.partition("=")
            if not equals or key.strip() not in ("skip", "error", "experimental"):
                raise DockerfileError(f"invalid check option {part!r}: skip=, error= or experimental= is expected")
            found[key.strip()] = value.strip()
        error = found.get("error", "false").lower()
        if error not in ("true", "false", "1", "0"):
            raise DockerfileError(f"failed to parse check option error={error}: a boolean is expected")
        return cls(frozenset(filter(None, found.get("skip", "").split(","))),
                   frozenset(filter(None, found.get("experimental", "").split(","))), error in ("true", "1"))

    def wants(self, warning: Finding) -> bool:
        rule = warning.rule
        if "all" in self.skip or rule.name in self.skip:
            return False
        return not rule.experimental or "all" in self.experimental or rule.name in self.experimental


@dataclass(frozen=True, slots=True)
class Report:
    """``fatal``: rules whose violation is to fail the build (``error=true``)."""

    warnings: tuple[Finding, ...]
    fatal: tuple[str, ...] = field(default=())


def check(parsed: Dockerfile, text: str, *, arguments: Mapping[str, str | None], base_env: Mapping[str, str],
          ignore: Ignore | None = None) -> Report:
    """``arguments``: the client's build arguments; ``base_env``: variables that a base image is taken to have. Never
    raises for what the file says: what cannot be understood the build itself refuses."""
    settings = Settings.parse(arguments.get(CHECK_ARG) or parsed.directives.get("check", ""))
    lines = text.splitlines()
    found: list[Finding] = [*file_rules.lines(parsed), *file_rules.names(parsed.nodes)]
    found += file_rules.casing(parsed.nodes)
    globals_, stages = split(parsed.nodes)
    found += file_rules.bases(globals_, [stage[0] for stage in stages])
    found += stage_rules.stages(globals_, stages, base_env, ignore)
    found += file_rules.descriptions(parsed.nodes, lines)
    wanted = tuple(dict.fromkeys(warning for warning in found if settings.wants(warning)))
    return Report(wanted, tuple(dict.fromkeys(warning.rule.name for warning in wanted)) if settings.error else ())


def split(nodes: tuple[Node, ...]) -> tuple[list[Node], list[list[Node]]]:
    """What stands before the first FROM, and the stages, each with its FROM first."""
    before: list[Node] = []
    stages: list[list[Node]] = []
    for node in nodes:
        if node.name == "FROM":
            stages.append([node])
        elif stages:
            stages[-1].append(node)
        else:
            before.append(node)
    return before, stages
