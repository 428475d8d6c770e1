"""Build arguments: what the client gave, the predefined ones, and which of them nobody asked for."""

from solva.api.types.build import BuildOptions
from solva.build.instructions.run import PROXY_ARGS


class Arguments:
    """``scope``: variables of FROM lines: the platform's, then the ARGs before the first FROM."""

    def __init__(self, options: BuildOptions, build_platform: str) -> None:
        self._given = options.build_args
        self._asked: set[str] = set()
        self.scope: dict[str, str] = {}
        for prefix, platform in (("BUILD", build_platform), ("TARGET", options.platform or build_platform)):
            parts = [*platform.split("/"), "", ""]
            self.scope[f"{prefix}PLATFORM"] = platform
            self.scope[f"{prefix}OS"], self.scope[f"{prefix}ARCH"], self.scope[f"{prefix}VARIANT"] = parts[:3]
        self.scope["TARGETSTAGE"] = options.target or "default"

    def given(self, name: str) -> tuple[bool, str | None]:
        """Whether the client names ``name``, and its value; it counts as consumed."""
        if name not in self._given:
            return False, None
        self._asked.add(name)
        return self._given[name] is not None, self._given[name]

    def unused(self) -> list[str]:
        return sorted(name for name in self._given if name not in self._asked and name not in PROXY_ARGS)
