"""Volumes, binds, tmpfs, and the files of configs and secrets."""

from __future__ import annotations

from solva.compose.errors import ComposeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from solva.compose.project import Project, Service

    Body = dict[str, Any]


def tmpfs(value: list[str], config: Body, host: Body) -> None:
    host["Tmpfs"] = {item.partition(":")[0]: item.partition(":")[2] for item in value}


EFFECTS: dict[str, Callable[[Any, Body, Body], None]] = {"tmpfs": tmpfs}


def volumes(project: Project, service: Service, host: Body, inherited: tuple[str, ...]) -> None:
    """``volumes``, ``configs`` and ``secrets`` as Binds where that says enough, else Mounts."""
    binds: list[str] = [*host.get("Binds", ())]
    mounts: list[Body] = []
    for item in service.get("volumes") or ():
        text = _as_bind(project, item)
        if text:
            binds.append(text)
        else:
            mounts.append(_as_mount(project, item))
    taken = {item.get("target") for item in service.get("volumes") or ()}
    binds += [item for item in inherited if item.partition(":")[2] not in taken or any(
        mount["Target"] == item.partition(":")[2] and not mount.get("Source") for mount in mounts)]
    carried = {item.partition(":")[2] for item in inherited}
    mounts = [mount for mount in mounts if mount.get("Source") or mount["Type"] != "volume"
              or mount["Target"] not in carried]
    mounts += [_file_mount(entry, target) for entry, target, reference in files(project, service)
               if entry.get("file") and not copied(entry, reference)]
    if binds:
        host["Binds"] = binds
    if mounts:
        host["Mounts"] = mounts


def _as_bind(project: Project, item: Body) -> str:
    kind = item["type"]
    options = ["ro" if item.get("read_only") else "rw"]
    if kind == "bind":
        bind = item.get("bind")
        if bind is not None and (not bind.get("create_host_path") or bind.get("propagation") or bind.get("recursive")):
            return ""
        options += [bind["selinux"]] if bind and bind.get("selinux") else []
        options += ["nocopy"] if (item.get("volume") or {}).get("nocopy") else []
        return f"{item['source']}:{item['target']}:{','.join(options)}"
    if kind == "volume" and item.get("source"):
        volume = item.get("volume") or {}
        if volume.get("subpath") or volume.get("labels") or volume.get("nocopy"):
            return ""
        return f"{project.volumes[item['source']]['name']}:{item['target']}:{','.join(options)}"
    return ""


def _as_mount(project: Project, item: Body) -> Body:
    kind = item["type"]
    mount: Body = {"Type": kind, "Target": item["target"], "ReadOnly": bool(item.get("read_only"))}
    if item.get("consistency"):
        mount["Consistency"] = item["consistency"]
    if item.get("source"):
        mount["Source"] = project.volumes[item["source"]]["name"] if kind == "volume" else item["source"]
    if kind == "bind":
        bind = item.get("bind") or {}
        options: Body = {"CreateMountpoint": bool(bind.get("create_host_path"))}
        if bind.get("propagation"):
            options["Propagation"] = bind["propagation"]
        if bind.get("recursive") == "disabled":
            options["NonRecursive"] = True
        elif bind.get("recursive") == "writable":
            options["ReadOnlyNonRecursive"] = True
        elif bind.get("recursive") == "readonly":
            options["ReadOnlyForceRecursive"] = True
        mount["BindOptions"] = options
    elif kind == "volume":
        volume = item.get("volume") or {}
        mount["VolumeOptions"] = {"NoCopy": bool(volume.get("nocopy")), "Subpath": volume.get("subpath", ""),
                                  "Labels": volume.get("labels") or {}}
    elif kind == "tmpfs":
        given = item.get("tmpfs") or {}
        mount["TmpfsOptions"] = {"SizeBytes": int(given.get("size") or 0), "Mode": int(given.get("mode") or 0)}
    elif kind == "image":
        mount["ImageOptions"] = {"Subpath": (item.get("image") or {}).get("subpath", "")}
    return mount


def files(project: Project, service: Service) -> list[tuple[Any, str, Body]]:
    """Configs and secrets of a service: (its definition, target path, the reference)."""
    found: list[tuple[Any, str, Body]] = []
    for section, default in (("configs", "/"), ("secrets", "/run/secrets/")):
        for item in service.get(section) or ():
            entry = getattr(project, section).get(item["source"])
            if entry is None:
                continue
            if entry.get("external"):
                raise ComposeError(f"unsupported external {section[:-1]} {item['source']}")
            for attribute in ("driver", "template_driver"):
                if entry.get(attribute):
                    raise ComposeError(f"Docker Compose does not support {section}.*.{attribute}, nor does Solva's")
            target = item.get("target") or default + item["source"]
            found.append((entry, target if target.startswith("/") else default + target, item))
    return found


def _file_mount(entry: Body, target: str) -> Body:
    return {"Type": "bind", "Source": entry["file"], "Target": target, "ReadOnly": True}


def copied(entry: Body, reference: Body) -> bool:
    """Whether the content is copied into the container: a file with an owner or a mode of its own has to be, since a
    bind mount shows those of the file."""
    return not entry.get("file") or any(reference.get(name) not in (None, "") for name in ("uid", "gid", "mode"))


def contents(project: Project, service: Service) -> list[tuple[str, bytes, Body]]:
    """Configs and secrets that are copied into the container: (target, bytes, the reference)."""
    result = []
    for entry, target, reference in files(project, service):
        if not copied(entry, reference):
            continue
        if service.get("read_only"):
            kind = "file" if entry.get("file") else "content" if "content" in entry else "environment"
            raise ComposeError(f"cannot create {target} in read-only service {service.name}: a {kind}"
                               f"{' with uid, gid or mode' if kind == 'file' else ''} has to be copied into the "
                               "container; `file` alone is bound and works")
        result.append((target, _content(project, entry), reference))
    return result


def _content(project: Project, entry: Body) -> bytes:
    if entry.get("file"):
        try:
            with open(entry["file"], "rb") as stream:
                return stream.read()
        except OSError as error:
            raise ComposeError(f"{entry['file']}: {(error.strerror or str(error)).lower()}") from None
    if "content" in entry:
        return str(entry["content"]).encode()
    name = entry.get("environment", "")
    value = project.environment.get(name)
    if value is None:
        raise ComposeError(f'environment variable "{name}" required by file "{entry.get("name")}" is not set')
    return value.encode()


def digests(project: Project, service: Service, copies: list[tuple[str, bytes, Body]]) -> dict[str, str]:
    """target -> digest of what a config or secret holds now, with the owner and mode it is given."""
    from hashlib import sha256

    known = {target: data for target, data, _ in copies}
    found = {}
    for entry, target, reference in files(project, service):
        if target not in known:
            try:
                with open(entry["file"], "rb") as stream:
                    known[target] = stream.read()
            except OSError:
                continue            # a directory, or not ours to read: the engine will say
        rights = [str(reference.get(name) or "") for name in ("uid", "gid", "mode")]
        found[target.replace(" ", "%20")] = sha256(known[target] + "\0".join(rights).encode()).hexdigest()[:16]
    return found
