"""The images there are, and how each is put together from its stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from standins.oci import Flavour, Image, Settings, make_image
from standins.recipes import busybox, debian, mongo, mongo_express, python
from standins.stages import Made, Stage

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Recipe:
    """An image: the stage on top of its layers, and its settings."""

    repository: str
    tags: tuple[str, ...]
    stage: Stage
    settings: Callable[[Mapping[str, str]], Settings]  # of what the stages found out
    flavour: Flavour = "docker"
    with_index: bool = False

    @property
    def name(self) -> str:
        return self.repository.removeprefix("library/")

    def image(self, made: Mapping[str, Made]) -> Image:
        chain = made[self.stage.name].chain()
        facts = {name: value for each in chain for name, value in each.facts.items()}
        layers = [(each.layer, each.stage.how) for each in chain]
        return make_image(
            self.repository, self.tags, self.settings(facts), layers, self.flavour, self.with_index
        )


def _labels(name: str, made_of: str) -> dict[str, str]:
    return {
        "org.opencontainers.image.title": name,
        "org.opencontainers.image.description": f"Solva's stand-in for Docker Hub's {name}: {made_of}",
        "solva.standin": name,
    }


# Both families of media types, indexes and plain manifests, gzip and zstd layers are among these, so that what
# pulls them meets what registries really serve.
RECIPES = (
    Recipe(
        "library/busybox",
        ("latest",),
        busybox.STAGE,
        lambda _: Settings(
            env={"PATH": _PATH}, cmd=["sh"], labels=_labels("busybox", "Debian's busybox-static")
        ),
        with_index=True,
    ),
    Recipe(
        "library/debian",
        ("bookworm-slim",),
        debian.STAGE,
        lambda _: Settings(
            env={"PATH": _PATH}, cmd=["bash"], labels=_labels("debian", "Debian bookworm by mmdebstrap")
        ),
    ),
    Recipe(
        "library/python",
        ("3.11.9-alpine", "3.11-alpine"),
        python.STAGE,
        lambda facts: Settings(
            env={
                "PATH": f"/usr/local/bin:{_PATH}",
                "LANG": "C.UTF-8",
                "PYTHON_VERSION": facts["version"],
                "PYTHON_PIP_VERSION": "24.0",
                "PYTHON_SETUPTOOLS_VERSION": "65.5.1",
            },
            cmd=["python3"],
            labels=_labels("python", f"Debian bookworm with its Python {facts['version']} and pip"),
        ),
        flavour="oci",
        with_index=True,
    ),
    Recipe(
        "library/mongo",
        ("latest",),
        mongo.STAGE,
        lambda _: Settings(
            env={
                "PATH": _PATH,
                "MONGO_MAJOR": mongo.VERSION.rpartition(".")[0],
                "MONGO_VERSION": mongo.VERSION,
                "HOME": "/data/db",
            },
            entrypoint=["docker-entrypoint.sh"],
            cmd=["mongod"],
            ports=["27017/tcp"],
            volumes=["/data/configdb", "/data/db"],
            labels=_labels("mongo", f"{mongo.PACKAGES[0]} from PyPI"),
        ),
    ),
    Recipe(
        "library/mongo-express",
        ("latest",),
        mongo_express.STAGE,
        lambda _: Settings(
            env={
                "PATH": _PATH,
                "NODE_ENV": "production",
                "ME_CONFIG_MONGODB_URL": "mongodb://mongo:27017",
                "ME_CONFIG_MONGODB_ENABLE_ADMIN": "true",
                "ME_CONFIG_SITE_SESSIONSECRET": "secret",
                "ME_CONFIG_BASICAUTH": "true",
                "VCAP_APP_HOST": "0.0.0.0",
            },
            entrypoint=["/sbin/tini", "--", "/docker-entrypoint.sh"],
            cmd=["mongo-express"],
            workdir="/app",
            ports=["8081/tcp"],
            labels=_labels("mongo-express", f"mongo-express {mongo_express.VERSION} from npm"),
        ),
        flavour="oci",
    ),
)


def recipe_named(name: str) -> Recipe:
    """The recipe of `mongo`, `mongo:latest`, `library/mongo`, ..."""
    wanted, _, tag = name.removeprefix("docker.io/").removeprefix("library/").partition(":")
    for recipe in RECIPES:
        if recipe.name == wanted and (not tag or tag in recipe.tags):
            return recipe
    raise KeyError(f"no stand-in for {name}; there are {', '.join(sorted(each.name for each in RECIPES))}")
