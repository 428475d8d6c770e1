"""The image a stage is building: configuration, layers, history, and the variables its instructions see."""

import copy
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from solva.build.dockerfile.words import Expander
from solva.clock import rfc3339
from solva.snapshots.layers import LayerInfo

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SHELL = ("/bin/sh", "-c")
COMMENT = "buildkit.dockerfile.v0"


@dataclass(slots=True)
class StageState:
    """Mutable; owned by the one task that runs the stage. ``env`` holds ENV and ARG, the later one wins."""

    image: dict[str, Any]                       # the OCI image configuration but config, history and rootfs
    config: dict[str, Any]                      # its "config": Env, Cmd, …
    history: list[dict[str, Any]]
    diff_ids: list[str]
    chain: tuple[str, ...]
    parent: str = ""                            # id of the base image
    layers: list[LayerInfo] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    args: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def scratch(cls, os_name: str, architecture: str, variant: str) -> "StageState":
        image = {"architecture": architecture, "os": os_name}
        if variant:
            image["variant"] = variant
        state = cls(image, {"WorkingDir": "/"}, [], [], ())
        state.set_env("PATH", DEFAULT_PATH)
        return state

    @classmethod
    def of_image(cls, identifier: str, config: dict[str, Any], chain: tuple[str, ...]) -> "StageState":
        image = {key: value for key, value in config.items() if key not in ("config", "history", "rootfs", "created")}
        for legacy in ("id", "parent", "container", "container_config", "docker_version"):
            image.pop(legacy, None)
        section = copy.deepcopy(config.get("config") or {})
        for gone in ("Hostname", "Domainname", "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin",
                     "StdinOnce", "Image"):
            section.pop(gone, None)
        state = cls(image, section, copy.deepcopy(config.get("history") or []),
                    list((config.get("rootfs") or {}).get("diff_ids") or []), chain, identifier)
        for row in section.get("Env") or []:
            name, _, value = row.partition("=")
            state.env[name] = value
        if "PATH" not in state.env:
            state.set_env("PATH", DEFAULT_PATH)
        return state

    def fork(self) -> "StageState":
        """A stage that begins where this one ended (FROM a stage)."""
        return copy.deepcopy(self)

    # variables

    def expander(self, escape: str) -> Expander:
        return Expander(self.env, escape)

    def set_env(self, name: str, value: str) -> None:
        """ENV: in the image and in what follows."""
        rows: list[str] = self.config.setdefault("Env", None) or []
        for index, row in enumerate(rows):
            if row.partition("=")[0] == name:
                rows[index] = f"{name}={value}"
                break
        else:
            rows.append(f"{name}={value}")
        self.config["Env"] = rows
        self.env[name] = value

    def set_arg(self, name: str, value: str | None) -> None:
        """ARG: in what follows only."""
        self.args[name] = value
        if value is not None:
            self.env[name] = value

    @property
    def shell(self) -> tuple[str, ...]:
        return tuple(self.config.get("Shell") or DEFAULT_SHELL)

    @property
    def workdir(self) -> str:
        return self.config.get("WorkingDir") or "/"

    # history

    def note(self, created_by: str, layer: LayerInfo | None = None, created: int = 0) -> None:
        """A row of history; with ``layer`` the layer too."""
        row: dict[str, Any] = {"created": created, "created_by": created_by, "comment": COMMENT}
        if layer is None:
            row["empty_layer"] = True
        else:
            self.layers.append(layer)
            self.chain = (*self.chain, layer.chain_id)
            self.diff_ids.append(layer.diff_id)
        self.history.append(row)

    def fingerprint(self) -> str:
        """Twelve digits that stand for the state after a step, as progress shows them."""
        text = json.dumps([self.config, self.chain, self.image], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def finished(self, labels: dict[str, str]) -> dict[str, Any]:
        """The OCI image configuration. The same steps give the same bytes: times are those of the layers."""
        if labels:
            self.config["Labels"] = {**(self.config.get("Labels") or {}), **labels}
        history = _with_times(self.history)
        result = {key: value for key, value in self.image.items() if value not in ("", None)}
        created = next((row["created"] for row in reversed(history) if row.get("created")), "")
        if created:
            result["created"] = created
        result["config"] = {key: value for key, value in self.config.items() if value not in (None, "")}
        result["rootfs"] = {"type": "layers", "diff_ids": list(self.diff_ids)}
        result["history"] = history
        return result


def _with_times(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of steps without a layer take the time of the layer before them, the first ones that of the first new
    layer (BuildKit's rule: a base image's time would be misleading)."""
    result = [dict(row) for row in rows]
    for row in result:
        if isinstance(row.get("created"), int):
            row["created"] = rfc3339(row["created"]) if row["created"] else None
    known = [row.get("created") for row in result]
    first_gap = known.index(None) if None in known else len(known)
    fill = next((time for time in known[first_gap:] if time), None) or \
        next((time for time in reversed(known[:first_gap]) if time), None)
    gap = False
    for row in result:
        if row.get("created"):
            if gap:
                fill = row["created"]
        else:
            gap = True
            row["created"] = fill
            if fill is None:
                del row["created"]
    return result
