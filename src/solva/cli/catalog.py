"""Every command: its name, the module that holds it, one line about it. No module is imported to list them.

``package.module`` under `solva.cli.commands` holds ``COMMAND``; ``package.module:NAME`` another name. A unit test keeps
the lines equal to those of the commands themselves.
"""

VERBS: dict[str, tuple[str, str]] = {
    "attach": ("container.attach", "Attach local standard input, output and error to a running container"),
    "build": ("image.build", "Build an image from a Dockerfile"),
    "commit": ("container.commit", "Create a new image from a container's changes"),
    "completion": ("system.completion", "Print the completion script of a shell"),
    "cp": ("container.cp", "Copy files or folders between a container and the local filesystem"),
    "create": ("container.create", "Create a new container"),
    "diff": ("container.diff", "Show what changed on a container's filesystem"),
    "doctor": ("system.doctor", "Show what this machine can do and what is missing for which feature"),
    "events": ("system.events", "Get real-time events from the engine"),
    "exec": ("container.exec", "Execute a command in a running container"),
    "export": ("container.export", "Export a container's filesystem as a tar archive"),
    "history": ("image.history", "Show the history of an image"),
    "images": ("image.ls", "List images"),
    "import": ("image.import_", "Import the contents of a tarball as a filesystem image"),
    "info": ("system.info", "Display system-wide information"),
    "inspect": ("system.inspect", "Return low-level information on objects"),
    "kill": ("container.lifecycle:KILL", "Kill one or more running containers"),
    "load": ("image.load", "Load an image from a tar archive or standard input"),
    "login": ("system.login", "Authenticate to a registry"),
    "logout": ("system.login:LOGOUT", "Log out from a registry"),
    "logs": ("container.logs", "Fetch the logs of a container"),
    "pause": ("container.lifecycle:PAUSE", "Pause all processes within one or more containers"),
    "port": ("container.port", "List port mappings or a specific mapping of a container"),
    "ports": ("network.ports", "List published ports and who can reach them"),
    "ps": ("container.ps", "List containers"),
    "pull": ("image.pull", "Download an image from a registry"),
    "push": ("image.push", "Upload an image to a registry"),
    "rename": ("container.lifecycle:RENAME", "Rename a container"),
    "restart": ("container.lifecycle:RESTART", "Restart one or more containers"),
    "rm": ("container.rm", "Remove one or more containers"),
    "rmi": ("image.rm", "Remove one or more images"),
    "run": ("container.run", "Create and run a new container from an image"),
    "save": ("image.save", "Save one or more images to a tar archive (to standard output by default)"),
    "search": ("image.search", "Search Docker Hub for images"),
    "start": ("container.start", "Start one or more stopped containers"),
    "stats": ("container.stats", "Display a live stream of containers' resource usage"),
    "stop": ("container.lifecycle:STOP", "Stop one or more running containers"),
    "tag": ("image.tag", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE"),
    "top": ("container.top", "Display the running processes of a container"),
    "unpause": ("container.lifecycle:UNPAUSE", "Unpause all processes within one or more containers"),
    "update": ("container.update", "Update the configuration of one or more containers"),
    "version": ("system.version", "Show version information"),
    "wait": ("container.lifecycle:WAIT", "Block until containers stop, then print their exit codes"),
}

COMMON = ("run", "exec", "ps", "build", "pull", "push", "images", "login", "logout", "search", "version", "info")


def _of(*names: str) -> dict[str, tuple[str, str]]:
    return {name: VERBS[name] for name in names}


GROUPS: dict[str, tuple[str, dict[str, tuple[str, str]]]] = {
    "builder": ("Manage builds", {
        "build": VERBS["build"],
        "prune": ("builder.prune", "Remove build cache"),
    }),
    "container": ("Manage containers", {
        **_of("attach", "commit", "cp", "create", "diff", "exec", "export"),
        "inspect": ("container.inspect", "Display detailed information on containers"),
        **_of("kill", "logs"),
        "ls": VERBS["ps"], "list": VERBS["ps"], "ps": VERBS["ps"],
        **_of("pause", "port"),
        "prune": ("container.prune", "Remove all stopped containers"),
        **_of("rename", "restart", "rm"),
        "remove": VERBS["rm"],
        **_of("run", "start", "stats", "stop", "top", "unpause", "update", "wait"),
    }),
    "context": ("Manage contexts", {
        "create": ("context.create", "Create a context"),
        "inspect": ("context.inspect", "Display detailed information on contexts"),
        "ls": ("context.ls", "List contexts"), "list": ("context.ls", "List contexts"),
        "rm": ("context.rm", "Remove one or more contexts"), "remove": ("context.rm", "Remove one or more contexts"),
        "show": ("context.show", "Print the name of the current context"),
        "use": ("context.use", "Set the current context"),
    }),
    "engine": ("Manage Solva's own engine; without a command: run it in the foreground", {
        "": ("engine.control:RUN", "Run the engine in the foreground"),
        "logs": ("engine.control:LOGS", "Show the engine's log"),
        "run": ("engine.control:RUN", "Run the engine in the foreground"),
        "start": ("engine.control:START", "Start the engine unless it runs"),
        "status": ("engine.control:STATUS", "Show whether the engine runs"),
        "stop": ("engine.control:STOP", "Stop the engine; containers live on"),
    }),
    "image": ("Manage images", {
        **_of("build", "history", "import"),
        "inspect": ("image.inspect", "Display detailed information on images"),
        **_of("load"),
        "ls": VERBS["images"], "list": VERBS["images"],
        "prune": ("image.prune", "Remove unused images"),
        **_of("pull", "push"),
        "rm": VERBS["rmi"], "remove": VERBS["rmi"],
        **_of("save", "tag"),
    }),
    "network": ("Manage networks", {
        "connect": ("network.connect", "Connect a container to a network"),
        "create": ("network.create", "Create a network"),
        "disconnect": ("network.disconnect", "Disconnect a container from a network"),
        "dns": ("network.dns", "Show the name server of containers and its query log"),
        "inspect": ("network.inspect", "Display detailed information on networks"),
        "ls": ("network.ls", "List networks"), "list": ("network.ls", "List networks"),
        "prune": ("network.prune", "Remove all unused networks"),
        "why": ("network.why", "Explain whether A reaches B, and what to do if not"),
        "rm": ("network.rm", "Remove one or more networks"), "remove": ("network.rm", "Remove one or more networks"),
    }),
    "system": ("Manage the engine's data", {
        "df": ("system.df", "Show disk usage"),
        **_of("events", "info"),
        "prune": ("system.prune", "Remove unused data"),
    }),
    "volume": ("Manage volumes", {
        "create": ("volume.create", "Create a volume"),
        "inspect": ("volume.inspect", "Display detailed information on volumes"),
        "ls": ("volume.ls", "List volumes"), "list": ("volume.ls", "List volumes"),
        "prune": ("volume.prune", "Remove unused local volumes"),
        "rm": ("volume.rm", "Remove one or more volumes"), "remove": ("volume.rm", "Remove one or more volumes"),
    }),
}
