"""A warning about a Dockerfile, and the rules there are (names, texts and pages as Docker's)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PAGES = "https://docs.docker.com/go/dockerfile/rule/"


@dataclass(frozen=True, slots=True)
class Rule:
    """``experimental`` ones are asked for by name (``# check=experimental=…``)."""

    name: str
    description: str
    experimental: bool = False

    @property
    def url(self) -> str:
        words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", self.name)
        return f"{_PAGES}{words.lower()}/"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding, on a line."""

    rule: Rule
    detail: str
    line: int
    last: int = 0

    def __str__(self) -> str:
        return f"{self.rule.name}: {self.detail} (line {self.line})"


STAGE_CASING = Rule("StageNameCasing", "Stage names should be lowercase")
AS_CASING = Rule("FromAsCasing", "The 'as' keyword should match the case of the 'from' keyword")
EMPTY_CONTINUATION = Rule("NoEmptyContinuation",
                          "Empty continuation lines will become errors in a future release")
CASING = Rule("ConsistentInstructionCasing",
              "All commands within the Dockerfile should use the same casing (either upper or lower)")
DUPLICATE_STAGE = Rule("DuplicateStageName", "Stage names should be unique")
RESERVED_STAGE = Rule("ReservedStageName", "Reserved words should not be used as stage names")
JSON_ARGS = Rule("JSONArgsRecommended",
                 "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals")
MAINTAINER = Rule("MaintainerDeprecated",
                  "The MAINTAINER instruction is deprecated, use a label instead to define an image author")
UNDEFINED_ARG = Rule("UndefinedArgInFrom", "FROM command must use declared ARGs")
UNDEFINED_VAR = Rule("UndefinedVar", "Variables should be defined before their use")
WORKDIR = Rule("WorkdirRelativePath", "Relative workdir without an absolute workdir declared within the build can have "
                                      "unexpected results if the base image changes")
SEVERAL = Rule("MultipleInstructionsDisallowed",
               "Multiple instructions of the same type should not be used in the same stage")
LEGACY = Rule("LegacyKeyValueFormat", "Legacy key/value format with whitespace separator should not be used")
REDUNDANT_PLATFORM = Rule("RedundantTargetPlatform",
                          "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default "
                          "behavior")
CONST_PLATFORM = Rule("FromPlatformFlagConstDisallowed", "FROM --platform flag should not use a constant value")
SECRETS = Rule("SecretsUsedInArgOrEnv", "Sensitive data should not be used in the ARG or ENV commands")
DEFAULT_ARG = Rule("InvalidDefaultArgInFrom",
                   "Default value for global ARG results in an empty or invalid base image name")
PROTO_CASING = Rule("ExposeProtoCasing", "Protocol in EXPOSE instruction should be lowercase")
EXPOSE_FORMAT = Rule("ExposeInvalidFormat", "IP address and host-port mapping should not be used in EXPOSE "
                                            "instruction. This will become an error in a future release")
COPY_IGNORED = Rule("CopyIgnoredFile", "Attempting to Copy file that is excluded by .dockerignore", experimental=True)
DESCRIPTION = Rule("InvalidDefinitionDescription", "Comment for build stage or argument should follow the format: "
                   "`# <arg/stage name> <description>`. If this is not intended to be a description comment, add an "
                   "empty line or comment between the instruction and the comment.", experimental=True)
