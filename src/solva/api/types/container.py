"""Containers on the wire (API v1.51): what a client sends. Answers are plain dicts built by the service.

JSON ``null`` means "not given" in every place and keys are read in any case, as in Go (``wire.py``).
Unknown keys are ignored, as Docker does; known ones that Solva does not do are refused or warned about by
``containers/create.py``.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from solva.api.types.wire import reader
from solva.errors import InvalidParameter

T = TypeVar("T")
_SPECIAL = {
    "uts_mode": "UTSMode", "io_maximum_iops": "IOMaximumIOps", "io_maximum_bandwidth": "IOMaximumBandwidth",
    "container_id_file": "ContainerIDFile", "ipam_config": "IPAMConfig", "ipv4_address": "IPv4Address",
    "ipv6_address": "IPv6Address", "link_local_ips": "LinkLocalIPs", "network_id": "NetworkID",
    "endpoint_id": "EndpointID", "device_ids": "DeviceIDs", "link_local_ipv6_address": "LinkLocalIPv6Address",
    "blkio_device_read_iops": "BlkioDeviceReadIOps", "blkio_device_write_iops": "BlkioDeviceWriteIOps",
    "kernel_memory_tcp": "KernelMemoryTCP",
}


def wire_name(field: str) -> str:
    """``port_bindings`` -> ``PortBindings``, with Docker's own spellings where they differ."""
    return _SPECIAL.get(field) or "".join(part.capitalize() for part in field.split("_"))


class Healthcheck(msgspec.Struct, rename=wire_name, omit_defaults=True):
    """Times in nanoseconds; 0 inherits."""

    test: list[str] = []
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class ContainerConfig(msgspec.Struct, rename=wire_name):
    """The part of a container that does not depend on the host."""

    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    exposed_ports: dict[str, Any] = {}
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    env: list[str] = []
    cmd: list[str] | str | None = None
    healthcheck: Healthcheck | None = None
    args_escaped: bool = False
    image: str = ""
    volumes: dict[str, Any] = {}
    working_dir: str = ""
    entrypoint: list[str] | str | None = None
    network_disabled: bool = False
    mac_address: str = ""
    on_build: list[str] | None = None
    labels: dict[str, str] = {}
    stop_signal: str = ""
    stop_timeout: int | None = None
    shell: list[str] | None = None


class PortBinding(msgspec.Struct, rename=wire_name):
    host_ip: str = ""
    host_port: str = ""


class LogConfig(msgspec.Struct, rename=wire_name):
    type: str = ""
    config: dict[str, str] = {}


class RestartPolicy(msgspec.Struct, rename=wire_name):
    name: str = ""
    maximum_retry_count: int = 0


class WeightDevice(msgspec.Struct, rename=wire_name):
    path: str = ""
    weight: int = 0


class ThrottleDevice(msgspec.Struct, rename=wire_name):
    path: str = ""
    rate: int = 0


class DeviceMapping(msgspec.Struct, rename=wire_name):
    path_on_host: str = ""
    path_in_container: str = ""
    cgroup_permissions: str = ""


class DeviceRequest(msgspec.Struct, rename=wire_name):
    driver: str = ""
    count: int = 0
    device_ids: list[str] = []
    capabilities: list[list[str]] = []
    options: dict[str, str] = {}


class Ulimit(msgspec.Struct, rename=wire_name):
    name: str = ""
    hard: int = 0
    soft: int = 0


class BindOptions(msgspec.Struct, rename=wire_name, omit_defaults=True):
    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


class DriverConfig(msgspec.Struct, rename=wire_name, omit_defaults=True):
    name: str = ""
    options: dict[str, str] = {}


class VolumeOptions(msgspec.Struct, rename=wire_name, omit_defaults=True):
    no_copy: bool = False
    labels: dict[str, str] = {}
    driver_config: DriverConfig | None = None
    subpath: str = ""


class TmpfsOptions(msgspec.Struct, rename=wire_name, omit_defaults=True):
    size_bytes: int = 0
    mode: int = 0
    options: list[list[str]] = []


class ImageOptions(msgspec.Struct, rename=wire_name, omit_defaults=True):
    subpath: str = ""


class Mount(msgspec.Struct, rename=wire_name, omit_defaults=True):
    """One entry of HostConfig.Mounts (``--mount``)."""

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    tmpfs_options: TmpfsOptions | None = None
    image_options: ImageOptions | None = None
    cluster_options: dict[str, Any] | None = None


class Resources(msgspec.Struct, rename=wire_name):
    """Limits; 0, "" and None mean "not limited". Shared by create and update."""

    cpu_shares: int = 0
    memory: int = 0
    nano_cpus: int = 0
    cgroup_parent: str = ""
    blkio_weight: int = 0
    blkio_weight_device: list[WeightDevice] = []
    blkio_device_read_bps: list[ThrottleDevice] = []
    blkio_device_write_bps: list[ThrottleDevice] = []
    blkio_device_read_iops: list[ThrottleDevice] = []
    blkio_device_write_iops: list[ThrottleDevice] = []
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    devices: list[DeviceMapping] = []
    device_cgroup_rules: list[str] = []
    device_requests: list[DeviceRequest] = []
    kernel_memory: int = 0
    kernel_memory_tcp: int = 0
    memory_reservation: int = 0
    memory_swap: int = 0
    memory_swappiness: int | None = None
    oom_kill_disable: bool = False
    pids_limit: int | None = None
    ulimits: list[Ulimit] = []
    cpu_count: int = 0
    cpu_percent: int = 0
    io_maximum_iops: int = 0
    io_maximum_bandwidth: int = 0


class HostConfig(Resources, rename=wire_name):
    """The part of a container that belongs to this host."""

    binds: list[str] = []
    container_id_file: str = ""
    log_config: LogConfig = msgspec.field(default_factory=LogConfig)
    network_mode: str = ""
    port_bindings: dict[str, list[PortBinding]] = {}
    restart_policy: RestartPolicy = msgspec.field(default_factory=RestartPolicy)
    auto_remove: bool = False
    volume_driver: str = ""
    volumes_from: list[str] = []
    console_size: list[int] = msgspec.field(default_factory=lambda: [0, 0])
    annotations: dict[str, str] = {}
    cap_add: list[str] = []
    cap_drop: list[str] = []
    cgroupns_mode: str = ""
    dns: list[str] = []
    dns_options: list[str] = []
    dns_search: list[str] = []
    extra_hosts: list[str] = []
    group_add: list[str] = []
    ipc_mode: str = ""
    cgroup: str = ""
    links: list[str] = []
    oom_score_adj: int = 0
    pid_mode: str = ""
    privileged: bool = False
    publish_all_ports: bool = False
    readonly_rootfs: bool = False
    security_opt: list[str] = []
    storage_opt: dict[str, str] = {}
    tmpfs: dict[str, str] = {}
    uts_mode: str = ""
    userns_mode: str = ""
    shm_size: int = 0
    sysctls: dict[str, str] = {}
    runtime: str = ""
    isolation: str = ""
    mounts: list[Mount] = []
    masked_paths: list[str] | None = None
    readonly_paths: list[str] | None = None
    init: bool | None = None


class IpamConfig(msgspec.Struct, rename=wire_name, omit_defaults=True):
    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: list[str] = []


class EndpointSettings(msgspec.Struct, rename=wire_name):
    """What a client wants of one network."""

    ipam_config: IpamConfig | None = None
    links: list[str] = []
    aliases: list[str] = []
    mac_address: str = ""
    driver_opts: dict[str, str] = {}
    gw_priority: int = 0
    network_id: str = ""


class NetworkingConfig(msgspec.Struct, rename=wire_name):
    endpoints_config: dict[str, EndpointSettings] = {}


class ContainerCreate(ContainerConfig, rename=wire_name):
    """The body of POST /containers/create."""

    host_config: HostConfig = msgspec.field(default_factory=HostConfig)
    networking_config: NetworkingConfig = msgspec.field(default_factory=NetworkingConfig)


class UpdateConfig(Resources, rename=wire_name):
    """The body of POST /containers/{id}/update. ``given`` says which keys were sent."""

    restart_policy: RestartPolicy | None = None


class AttachOptions(msgspec.Struct, frozen=True):
    """The query of attach."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    stream: bool = False
    logs: bool = False
    detach_keys: str = ""
    framed: bool = True     # without a terminal: stdout and stderr told apart (not on a websocket)


class LogsOptions(msgspec.Struct, frozen=True):
    """The query of logs. ``since`` and ``until`` in nanoseconds since the epoch, 0 = none; ``tail`` -1 = all."""

    stdout: bool = True
    stderr: bool = True
    follow: bool = False
    timestamps: bool = False
    details: bool = False
    since: int = 0
    until: int = 0
    tail: int = -1


class CommitOptions(msgspec.Struct, frozen=True):
    """The query and body of POST /commit. ``changes`` are Dockerfile lines, ``config`` overrides."""

    container: str
    repo: str = ""
    tag: str = ""
    comment: str = ""
    author: str = ""
    pause: bool = True
    changes: tuple[str, ...] = ()
    config: dict[str, Any] = {}


def decode(raw: bytes | dict[str, Any], type_: type[T]) -> T:
    """A request body as ``type_``. InvalidParameter says which key is wrong."""
    try:
        value = msgspec.json.decode(raw) if isinstance(raw, (bytes, bytearray, memoryview)) else raw
        return msgspec.convert(reader(type_)(value), type_, strict=True)
    except msgspec.MsgspecError as error:
        raise InvalidParameter(f"invalid JSON: {error}") from error
