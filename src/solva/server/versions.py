"""What older versions of the API said and meant otherwise (moby's docs/api/version-history.md): answers made to look
as they did, requests read as they were. Everything behind this file knows v1.51 only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from solva.errors import InvalidParameter

if TYPE_CHECKING:
    from solva.api.types.container import ContainerCreate, UpdateConfig
    from solva.server.http import Request

Json = dict[str, Any]
DEPRECATED_MAC = ("The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig "
                  "instead.")
VOLUME_DRIVER = ("WARNING: the container-wide volume-driver configuration is ignored for volumes specified via "
                 "'mount'. Use '--mount type=volume,volume-driver=...' instead")
_LEGACY_IMAGE_CONFIG: Json = {
    "Hostname": "", "Domainname": "", "AttachStdin": False, "AttachStdout": False, "AttachStderr": False,
    "Tty": False, "OpenStdin": False, "StdinOnce": False, "Image": "",
}


def create(request: Request, body: ContainerCreate) -> list[str]:
    """Read the body of POST /containers/create as the client's version meant it; warnings."""
    host, endpoints = body.host_config, body.networking_config.endpoints_config
    if request.before(1, 25):
        host.auto_remove = False
    if request.before(1, 40):
        host.kernel_memory_tcp = 0
        host.ipc_mode = host.ipc_mode or "shareable"
    if request.before(1, 41):
        host.cgroupns_mode = host.cgroupns_mode or "host"
    _mounts(request, body)
    if request.before(1, 42):
        host.console_size = [0, 0]
    else:
        host.kernel_memory = 0
    if request.before(1, 43):
        host.annotations = {}
    if request.before(1, 44):
        if body.healthcheck is not None:
            body.healthcheck.start_interval = 0
        if len(endpoints) > 1:
            raise InvalidParameter(
                f"Container cannot be created with multiple network endpoints: {', '.join(endpoints)}")
    if request.before(1, 48):
        for settings in endpoints.values():
            settings.gw_priority = 0
    return [*_volume_driver(request, body), *_mac_address(request, body)]


def _mounts(request: Request, body: ContainerCreate) -> None:
    for mount in body.host_config.mounts:
        for kind, options in (("volume", mount.volume_options), ("bind", mount.bind_options),
                              ("tmpfs", mount.tmpfs_options)):
            if options is None or mount.type == kind:
                continue
            if not request.before(1, 42):
                raise InvalidParameter(f'{kind.capitalize()}Options must not be specified on mount type "{mount.type}"')
            setattr(mount, f"{kind}_options", None)
        if mount.bind_options is not None:
            if request.before(1, 40):
                mount.bind_options.non_recursive = False
            if request.before(1, 42):
                mount.bind_options.create_mountpoint = False
            if request.before(1, 44) and mount.type == "bind":
                if mount.bind_options.read_only_force_recursive:
                    raise InvalidParameter("BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer")
                mount.bind_options.read_only_non_recursive = True
        if request.before(1, 45) and mount.volume_options is not None and mount.volume_options.subpath:
            raise InvalidParameter("VolumeOptions.Subpath needs API v1.45 or newer")
        if request.before(1, 48) and mount.type == "image":
            raise InvalidParameter('Mount type "Image" needs API v1.48 or newer')


def _volume_driver(request: Request, body: ContainerCreate) -> list[str]:
    if not body.host_config.volume_driver or request.before(1, 48):
        return []
    for mount in body.host_config.mounts:
        options = mount.volume_options
        if mount.type == "volume" and not (options and options.driver_config and options.driver_config.name):
            return [VOLUME_DRIVER]
    return []


def _mac_address(request: Request, body: ContainerCreate) -> list[str]:
    endpoints = body.networking_config.endpoints_config
    if request.before(1, 44):
        for settings in endpoints.values():
            if not body.mac_address:
                settings.mac_address = ""
        return []
    if not body.mac_address:
        return []
    mode = body.host_config.network_mode or "default"
    main = endpoints.get(mode)
    if main is not None and main.mac_address and main.mac_address != body.mac_address:
        raise InvalidParameter("the container-wide MAC address must match the endpoint-specific MAC address for the "
                               "main network, or be left empty")
    return [DEPRECATED_MAC]


def update(request: Request, body: UpdateConfig) -> None:
    if request.before(1, 40):
        body.pids_limit = None
    if not request.before(1, 42):
        body.kernel_memory = 0


def container(request: Request, value: Json) -> Json:
    """GET /containers/{id}/json."""
    if request.before(1, 45):
        for name, endpoint in (value["NetworkSettings"].get("Networks") or {}).items():
            if name not in ("bridge", "host", "none", "default"):
                names = [*(endpoint.get("Aliases") or []), value["Id"][:12], value["Config"].get("Hostname") or ""]
                endpoint["Aliases"] = [each for each in dict.fromkeys(names) if each]
    return value


def containers(request: Request, rows: list[Json]) -> list[Json]:
    """GET /containers/json."""
    if request.before(1, 46):
        for row in rows:
            row["HostConfig"].pop("Annotations", None)
    return rows


def image(request: Request, value: Json) -> Json:
    """GET /images/{name}/json; the backend gives the fields of old versions, too."""
    if request.before(1, 44):
        value["VirtualSize"] = value["Size"]
    if not request.before(1, 45):
        value.pop("Container", None)
        value.pop("ContainerConfig", None)
    if request.before(1, 50):
        value["Config"] = {**_LEGACY_IMAGE_CONFIG, **value["Config"]}
    return value


def images(request: Request, rows: list[Json]) -> list[Json]:
    """GET /images/json."""
    for row in rows:
        if request.before(1, 43) and not row["RepoTags"] and not row["RepoDigests"]:
            row["RepoTags"], row["RepoDigests"] = ["<none>:<none>"], ["<none>@<none>"]
        if request.before(1, 44):
            row["VirtualSize"] = row["Size"]
        if request.before(1, 51):
            row["Containers"] = -1
    return rows


def info(request: Request, value: Json) -> Json:
    """GET /info."""
    if request.before(1, 25):
        names = [dict(part.partition("=")[::2] for part in text.split(",")).get("name", text)
                 for text in value["SecurityOptions"] or []]
        value["SecurityOptions"] = names
    if request.before(1, 47):
        value["RegistryConfig"] |= {"AllowNondistributableArtifactsCIDRs": None,
                                    "AllowNondistributableArtifactsHostnames": None}
    if request.before(1, 46):
        value.pop("Containerd", None)
    if request.before(1, 49):
        value.pop("FirewallBackend", None)
        for name in ("ContainerdCommit", "RuncCommit", "InitCommit"):
            value[name] = {**value[name], "Expected": value[name]["ID"]}
    if request.before(1, 50):
        value |= {"BridgeNfIptables": False, "BridgeNfIp6tables": False}
    return value


def disk_usage(request: Request, value: Json) -> Json:
    """GET /system/df."""
    for row in value.get("Images") or () if request.before(1, 44) else ():
        row["VirtualSize"] = row["Size"]
    if request.before(1, 42):
        value["BuilderSize"] = sum(row.get("Size", 0) for row in value.get("BuildCache") or ())
    return value
