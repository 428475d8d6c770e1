"""Attributes that shape the process: what runs, as whom, where, with which environment, health and end."""

from __future__ import annotations

from solva.compose.attributes import units
from solva.compose.effects.resources import restart_name
from solva.compose.errors import ComposeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from solva.compose.project import Service

    Body = dict[str, Any]


def _config(field: str) -> Callable[[Any, Body, Body], None]:
    def effect(value: Any, config: Body, host: Body) -> None:
        config[field] = value
    return effect


def _host(field: str) -> Callable[[Any, Body, Body], None]:
    def effect(value: Any, config: Body, host: Body) -> None:
        host[field] = value
    return effect


def environment(value: dict[str, Any], config: Body, host: Body) -> None:
    config["Env"] = [key if item is None else f"{key}={item}" for key, item in sorted(value.items())]


def healthcheck(value: dict[str, Any], config: Body, host: Body) -> None:
    if value.get("disable"):
        config["Healthcheck"] = {"Test": ["NONE"]}
        return
    if units.duration(value.get("start_interval", "0")) and not units.duration(value.get("start_period", "0")):
        raise ComposeError("healthcheck.start_interval requires healthcheck.start_period to be set")
    health: Body = {"Test": value.get("test") or []}
    for name, field in (("interval", "Interval"), ("timeout", "Timeout"), ("start_period", "StartPeriod"),
                        ("start_interval", "StartInterval")):
        if name in value:
            health[field] = units.duration(value[name])
    if "retries" in value:
        health["Retries"] = value["retries"]
    config["Healthcheck"] = health


def stop_grace_period(value: str, config: Body, host: Body) -> None:
    config["StopTimeout"] = units.duration(value) // units.SECOND


def restart(value: str, config: Body, host: Body) -> None:
    name, _, count = value.partition(":")
    host["RestartPolicy"] = {"Name": restart_name(name), "MaximumRetryCount": int(count) if count.isdigit() else 0}


def logging(value: dict[str, Any], config: Body, host: Body) -> None:
    host["LogConfig"] = {"Type": value.get("driver", ""), "Config": value.get("options") or {}}


def security_options(service: Service, directory: str, host: Body) -> None:
    """``security_opt``, with the seccomp profile that a file has (paths from ``directory``)."""
    found: list[str] = []
    for item in service.get("security_opt") or ():
        if item == "systempaths=unconfined":
            host["MaskedPaths"], host["ReadonlyPaths"] = [], []
            continue
        key, equals, value = item.partition("=")
        if not equals and item != "no-new-privileges":
            key, equals, value = item.partition(":")
            if not equals:
                raise ComposeError(f'services.{service.name}.security_opt: invalid security-opt: "{item}"')
        if key == "seccomp" and value not in ("unconfined", "builtin"):
            item = f"seccomp={_profile(value, directory)}"
        found.append(item)
    if found:
        host["SecurityOpt"] = found


def _profile(file: str, directory: str) -> str:
    import json
    import os

    try:
        with open(os.path.join(directory, os.path.expanduser(file)), encoding="utf-8") as stream:
            return json.dumps(json.load(stream), separators=(",", ":"), ensure_ascii=False)
    except OSError as error:
        raise ComposeError(f"opening seccomp profile ({file}) failed: open {error.filename}: "
                           f"{(error.strerror or str(error)).lower()}") from None
    except ValueError as error:
        raise ComposeError(f"compacting json for seccomp profile ({file}) failed: {error}") from None


def capabilities(field: str) -> Callable[[Any, Body, Body], None]:
    """Names as the engine has them: ``net_admin`` is CAP_NET_ADMIN; sorted, once each."""
    def effect(value: list[str], config: Body, host: Body) -> None:
        names = {item.strip().upper() for item in value}
        host[field] = sorted(name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}" for name in names)
    return effect


EFFECTS: dict[str, Callable[[Any, Body, Body], None]] = {
    "command": _config("Cmd"), "entrypoint": _config("Entrypoint"), "user": _config("User"),
    "working_dir": _config("WorkingDir"), "hostname": _config("Hostname"), "domainname": _config("Domainname"),
    "tty": _config("Tty"), "stdin_open": _config("OpenStdin"), "stop_signal": _config("StopSignal"),
    "environment": environment, "healthcheck": healthcheck, "stop_grace_period": stop_grace_period,
    "restart": restart, "logging": logging, "annotations": _host("Annotations"),
    "cap_add": capabilities("CapAdd"), "cap_drop": capabilities("CapDrop"), "cgroup": _host("CgroupnsMode"),
    "init": _host("Init"),
    "ipc": _host("IpcMode"), "pid": _host("PidMode"), "uts": _host("UTSMode"), "userns_mode": _host("UsernsMode"),
    "privileged": _host("Privileged"), "read_only": _host("ReadonlyRootfs"), "runtime": _host("Runtime"),
    "isolation": _host("Isolation"), "sysctls": _host("Sysctls"), "group_add": _host("GroupAdd"),
    "storage_opt": _host("StorageOpt"), "oom_score_adj": _host("OomScoreAdj"), "volumes_from": _host("VolumesFrom"),
}
