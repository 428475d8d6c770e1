"""Docker Compose's labels: by them a project's containers, networks and volumes are found again."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.compose.project import Project, Service

PREFIX = "com.docker.compose."
PROJECT = PREFIX + "project"
SERVICE = PREFIX + "service"
NUMBER = PREFIX + "container-number"
ONE_OFF = PREFIX + "oneoff"
CONFIG_HASH = PREFIX + "config-hash"
IMAGE = PREFIX + "image"
DEPENDS_ON = PREFIX + "depends_on"
CONFIG_FILES = PREFIX + "project.config_files"
WORKING_DIR = PREFIX + "project.working_dir"
ENVIRONMENT_FILE = PREFIX + "project.environment_file"
VERSION = PREFIX + "version"
REPLACE = PREFIX + "replace"
SLUG = PREFIX + "slug"
NETWORK = PREFIX + "network"
VOLUME = PREFIX + "volume"
HOOK = PREFIX + "hook"
UNSEEN = "solva.compose.unseen"          # digests of the attributes that a container does not show
CONTENTS = "solva.compose.contents"      # digests of the configs and secrets that a container was given
COMPOSE_VERSION = "2.40.3"      # the release whose behaviour this is


def project_labels(project: Project) -> dict[str, str]:
    """Of every container of the project."""
    return {PROJECT: project.name, CONFIG_FILES: ",".join(project.files), WORKING_DIR: project.working_dir,
            VERSION: COMPOSE_VERSION}


def container_labels(project: Project, service: Service, number: int, config_hash: str, image_id: str, *,
                     one_off: bool = False) -> dict[str, str]:
    """Of one container."""
    depends_on = ",".join(f"{name}:{options.get('condition', 'service_started')}:"
                          f"{str(bool(options.get('restart'))).lower()}"
                          for name, options in sorted(service.depends_on.items()))
    return {**project_labels(project), SERVICE: service.name, NUMBER: str(number),
            ONE_OFF: "True" if one_off else "False", CONFIG_HASH: config_hash, DEPENDS_ON: depends_on,
            IMAGE: image_id}
