"""``publish``: the compose application as an OCI artifact in a registry."""

from __future__ import annotations

from solva.cli.commands.compose.app import App, verb
from solva.cli.flags import Flag, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.compose.artifact import Layer
    from solva.compose.project import Project


def publish(app: App, options: Options) -> int:
    from solva.cli.commands.compose.pull import push_images
    from solva.cli.errors import CommandError
    from solva.compose import artifact

    version = options.text("oci-version")
    if version not in ("", "1.0", "1.1"):
        raise CommandError(f"unsupported OCI version: {version}")
    if options.on("app"):
        raise CommandError("--app (the images in the artifact too) is not supported; push them with `compose push`")
    project = app.project(keep_env_files=True)
    project = project.replace(services={**project.disabled, **project.services}, disabled={})
    for question in artifact.objections(project, with_env=options.on("with-env")):
        if not app.confirm(question, yes=options.on("yes")):
            return 0
    layers = artifact.layers(project, with_env=options.on("with-env"))
    leaks = artifact.sensitive(layers)
    if leaks and not app.confirm("you are about to publish sensitive data within your OCI artifact.\nplease double "
                                 "check that you are not leaking sensitive data\n" + "\n".join(leaks)
                                 + "\nAre you ok to publish these sensitive data?", yes=options.on("yes")):
        return 0
    if options.on("resolve-image-digests"):
        layers.append(_digests(app, project))
    push_images(app, project.services.values(), project.name, quiet=False, ignore=True)
    progress = app.progress("Publishing")
    with progress:
        progress.event(options.args[0], "Publishing")
        if not app.dry_run:
            _send(app, options.args[0], layers, version)
        progress.event(options.args[0], "Published")
    return 0


def _digests(app: App, project: Project) -> Layer:
    """An override file that pins every image."""
    from solva.cli.commands.compose.config import pinned
    from solva.compose import artifact
    from solva.compose.yamlout import dump

    services = {name: {"image": pinned(app, service.image(project.name))}
                for name, service in sorted(project.services.items()) if service.get("image")}
    return artifact.Layer(artifact.FILE, dump({"services": services}).encode(), file="image-digests.yaml")


def _send(app: App, target: str, layers: list[Layer], version: str) -> None:
    import asyncio

    from solva.cli.references import parse
    from solva.compose.errors import ComposeError
    from solva.registry.errors import RegistryError
    from solva.registry.http import HttpError

    try:
        reference = parse(target)
    except ValueError as error:
        raise ComposeError(str(error)) from None
    info = app.api.json("GET", "/info").get("RegistryConfig") or {}
    insecure = {name for name, entry in (info.get("IndexConfigs") or {}).items() if not entry.get("Secure")}
    insecure.update(info.get("InsecureRegistryCIDRs") or ())
    try:
        asyncio.run(_upload(reference.domain, reference.path, reference.tag or "latest", layers, version,
                            frozenset(insecure), app.credentials.of(target).get("X-Registry-Auth", "")))
    except (RegistryError, HttpError, OSError) as error:
        raise ComposeError(f"failed to publish {target}: {error}") from None


async def _upload(domain: str, path: str, tag: str, layers: list[Layer], version: str, insecure: frozenset[str],
                  auth: str) -> None:
    import time

    from solva.compose import artifact
    from solva.registry.auth import from_header
    from solva.registry.client import Repository
    from solva.registry.config import RegistryConfig, endpoints
    from solva.registry.errors import RegistryError
    from solva.registry.http import HttpClient, HttpError

    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    problem: Exception | None = None
    async with HttpClient() as client:
        for endpoint in endpoints(RegistryConfig(insecure=insecure), domain, mirrors=False):
            repository = Repository(client, endpoint, path, from_header(auth) if auth else None, push=True)
            try:
                await repository.ping()
            except (HttpError, OSError) as error:
                problem = error
                continue
            for attempt in [version] if version else ["1.1", "1.0"]:
                config, manifest = artifact.manifest(layers, attempt, created)
                for layer in (config, *layers):
                    await _blob(repository, layer)
                try:
                    await repository.put_manifest(tag, manifest, artifact.MANIFEST)
                    return
                except RegistryError as error:
                    if version or attempt == "1.0" or not 400 <= error.status < 500 or error.status in (401, 403):
                        raise
    raise problem or HttpError(f"{domain}: no endpoint")


async def _blob(repository: object, layer: Layer) -> None:
    from solva.registry.client import Repository

    assert isinstance(repository, Repository)
    if not await repository.has_blob(layer.digest):
        location = await repository.start_upload()
        await repository.upload(location, layer.digest, layer.data, len(layer.data))


COMMANDS = {"publish": verb(
    "publish", "[OPTIONS] REPOSITORY[:TAG]", "Publish compose application", publish,
    Flag("app", "", "bool", "Published compose application (includes referenced images)"),
    Flag("oci-version", "", "string", "OCI image/artifact specification version (automatically determined by default)"),
    Flag("resolve-image-digests", "", "bool", "Pin image tags to digests"),
    Flag("with-env", "", "bool", "Include environment variables in the published OCI artifact"),
    Flag("yes", "y", "bool", 'Assume "yes" as answer to all prompts'), arity=(1, 1))}
