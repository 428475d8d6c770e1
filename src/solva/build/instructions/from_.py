"""FROM [--platform=…] image [AS name]"""

import re
from dataclasses import dataclass

from solva.build.dockerfile.ast import Node
from solva.build.instructions.base import flags_of

_NAME = re.compile(r"[a-z][a-z0-9_.-]*\Z")


@dataclass(frozen=True, slots=True)
class From:
    """``image`` and ``platform`` still have their variables; ``name`` is lower-case, "" when there is none."""

    node: Node
    image: str
    name: str
    platform: str


def parse(node: Node) -> From:
    found = flags_of(node, values=("platform",))
    words = node.rest.split()
    name = ""
    if len(words) == 3 and words[1].upper() == "AS":
        name = words[2].lower()
        if not _NAME.match(name):
            raise node.error(f'invalid name for build stage: "{words[2]}", name can\'t start with a number or contain '
                             "symbols")
    elif len(words) != 1:
        raise node.error("FROM requires either one or three arguments")
    return From(node, words[0], name, found.get("platform", [""])[0])
