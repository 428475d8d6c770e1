"""Attributes that shape the process: what runs, as whom, where, with which environment, health and end."""

from __future__ import annotations

from solva.compose.attributes import units
from solva.compose.effects.resources import restart_name
from solva.compose.errors import ComposeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

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
    config["StopTimeout"] = -(-units.duration(value) // units.SECOND)


def restart(value: str, config: Body, host: Body) -> None:
    name, _, count = value.partition(":")
    host["RestartPolicy"] = {"Name": restart_name(name), "MaximumRetryCount": int(count) if count.isdigit() else 0}


def logging(value: dict[str, Any], config: Body, host: Body) -> None:
    host["LogConfig"] = {"Type": value.get("driver", ""), "Config": value.get("options") or {}}


def security_opt(value: list[str], config: Body, host: Body) -> None:
    options = [item for item in value if item != "systempaths=unconfined"]
    if len(options) != len(value):
        host["MaskedPaths"], host["ReadonlyPaths"] = [], []
    result = []
    for item in options:
        key, _, rest = item.replace(":", "=", 1).partition("=") if "=" not in item else item.partition("=")
        if key == "seccomp" and rest not in ("unconfined", "builtin"):
            with open(rest, encoding="utf-8") as stream:
                rest = stream.read()
        result.append(f"{key}={rest}" if rest else key)
    host["SecurityOpt"] = result


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
    "restart": restart, "logging": logging, "security_opt": security_opt, "annotations": _host("Annotations"),
    "cap_add": capabilities("CapAdd"), "cap_drop": capabilities("CapDrop"), "cgroup": _host("CgroupnsMode"), "init": _host("Init"),
    "ipc": _host("IpcMode"), "pid": _host("PidMode"), "uts": _host("UTSMode"), "userns_mode": _host("UsernsMode"),
    "privileged": _host("Privileged"), "read_only": _host("ReadonlyRootfs"), "runtime": _host("Runtime"),
    "isolation": _host("Isolation"), "sysctls": _host("Sysctls"), "group_add": _host("GroupAdd"),
    "storage_opt": _host("StorageOpt"), "oom_score_adj": _host("OomScoreAdj"), "volumes_from": _host("VolumesFrom"),
}
