"""The project as a picture: services and what they depend on, networks, volumes, published ports. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.compose.project import Project

_CONDITIONS = {"service_started": "started", "service_healthy": "healthy",
               "service_completed_successfully": "completed"}


class Edge:
    """``service`` waits for ``needs`` until it is started, healthy or completed."""

    __slots__ = ("condition", "needs", "service")

    def __init__(self, service: str, needs: str, condition: str) -> None:
        self.service = service
        self.needs = needs
        self.condition = condition


class Graph:
    """What is drawn. ``ports``: (service, what to open, port inside); ``mounts``: (service, volume, path)."""

    def __init__(self, project: Project) -> None:
        self.name = project.name
        self.images = {name: ("provider " + str(service.get("provider")["type"])) if service.get("provider")
                       else service.image(project.name) for name, service in project.services.items()}
        self.scales = {name: service.scale for name, service in project.services.items()}
        self.edges = [Edge(name, needs, _CONDITIONS.get(str(options.get("condition")), "started"))
                      for name, service in project.services.items()
                      for needs, options in sorted(service.depends_on.items()) if needs in project.services]
        self.networks: dict[str, list[str]] = {}
        self.mounts: list[tuple[str, str, str]] = []
        self.ports: list[tuple[str, str, str]] = []
        self.modes: dict[str, str] = {}
        for name, service in project.services.items():
            for key in service.get("networks") or ():
                self.networks.setdefault(project.networks[key]["name"], []).append(name)
            if service.get("network_mode"):
                self.modes[name] = str(service.get("network_mode"))
            for mount in service.get("volumes") or ():
                if mount["type"] == "volume" and mount.get("source"):
                    self.mounts.append((name, project.volumes[mount["source"]]["name"], mount["target"]))
            for port in service.get("ports") or ():
                host = f"{port.get('host_ip') or '0.0.0.0'}:{port.get('published') or '(any)'}"
                self.ports.append((name, host, f"{port['target']}/{port.get('protocol') or 'tcp'}"))

    def needs(self, service: str) -> list[Edge]:
        return [edge for edge in self.edges if edge.service == service]

    def roots(self) -> list[str]:
        """Services that nobody depends on."""
        wanted = {edge.needs for edge in self.edges}
        return [name for name in self.images if name not in wanted]

    def ranks(self) -> dict[str, int]:
        """Columns: 0 for those that nobody depends on, each dependency to the right of all its dependents."""
        found: dict[str, int] = {}

        def place(name: str, rank: int) -> None:
            if found.get(name, -1) < rank:
                found[name] = rank
                for edge in self.needs(name):
                    place(edge.needs, rank + 1)

        for name in self.roots():
            place(name, 0)
        return found


def text(graph: Graph) -> str:
    """For the terminal: what a user opens first, below each service what it waits for."""
    lines = [graph.name, ""]
    shown: set[str] = set()

    def service(name: str) -> str:
        count = f" ×{graph.scales[name]}" if graph.scales[name] != 1 else ""
        ports = "".join(f"   {host} → {inside}" for owner, host, inside in graph.ports if owner == name)
        return f"{name}{count}  [{graph.images[name]}]{ports}"

    def below(name: str, indent: str) -> None:
        edges = graph.needs(name)
        for index, edge in enumerate(edges):
            last = index == len(edges) - 1
            again = edge.needs in shown
            label = f"{edge.needs}  (see above)" if again and graph.needs(edge.needs) else service(edge.needs)
            lines.append(f"{indent}{'└' if last else '├'}─ when {edge.condition}: {label}")
            if not again:
                shown.add(edge.needs)
                below(edge.needs, indent + ("   " if last else "│  "))

    for name in graph.roots():
        lines.append(service(name))
        shown.add(name)
        below(name, "")
    if graph.networks or graph.modes:
        lines += ["", "Networks"]
        lines += [f"  {name}: {', '.join(members)}" for name, members in sorted(graph.networks.items())]
        lines += [f"  {mode}: {name}" for name, mode in sorted(graph.modes.items())]
    if graph.mounts:
        lines += ["", "Volumes"]
        lines += [f"  {volume} at {path} of {name}" for name, volume, path in sorted(graph.mounts,
                                                                                     key=lambda item: item[1])]
    return "\n".join(lines) + "\n"


def mermaid(graph: Graph) -> str:
    """As a Mermaid flowchart."""
    keys = {name: f"s{index}" for index, name in enumerate(graph.images)}
    lines = ["flowchart LR"]
    for name, key in keys.items():
        lines.append(f'    {key}["{_quoted(name)}<br/><small>{_quoted(graph.images[name])}</small>"]')
    for index, (name, host, inside) in enumerate(graph.ports):
        lines.append(f'    p{index}(["{_quoted(host)}"]) -->|{_quoted(inside)}| {keys[name]}')
    for edge in graph.edges:
        lines.append(f"    {keys[edge.service]} -->|{edge.condition}| {keys[edge.needs]}")
    volumes = {name: f"v{index}" for index, name in enumerate(sorted({item[1] for item in graph.mounts}))}
    lines += [f'    {key}[("{_quoted(name)}")]' for name, key in volumes.items()]
    lines += [f"    {keys[name]} ---|{_quoted(path)}| {volumes[volume]}" for name, volume, path in graph.mounts]
    for index, (name, members) in enumerate(sorted(graph.networks.items())):
        lines.append(f'    n{index}{{{{"{_quoted(name)}"}}}}')
        lines += [f"    {keys[member]} -.- n{index}" for member in members]
    return "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    return value.replace('"', "#quot;").replace("<", "#lt;").replace("|", "#124;")


def dot(graph: Graph, *, image: bool = False, networks: bool = False, ports: bool = False, indent: str = "\t") -> str:
    """As Graphviz's language: what ``docker compose alpha viz`` prints."""
    lines = [f'digraph "{_escaped(graph.name)}" {{', f"{indent}layout=dot;"]
    for name in graph.images:
        rows = [f'<font point-size="15">{_markup(name)}</font>']
        if image:
            rows.append(f'<br/><br/><font point-size="12">{_markup(graph.images[name])}</font>')
        found = [key for key, members in sorted(graph.networks.items()) if name in members] if networks else []
        if found:
            rows.append("<br/><br/><b>Networks:</b>" + "".join(f"<br/>{_markup(key)}" for key in found))
        opened = [f"{host} → {inside}" for owner, host, inside in graph.ports if owner == name] if ports else []
        if opened:
            rows.append("<br/><br/><b>Ports:</b>" + "".join(f"<br/>{_markup(item)}" for item in opened))
        lines.append(f'{indent}"{_escaped(name)}" [style="filled" label=<{"".join(rows)}>];')
    lines += [f'{indent}"{_escaped(edge.service)}" -> "{_escaped(edge.needs)}";' for edge in graph.edges]
    return "\n".join([*lines, "}"]) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _markup(value: str) -> str:
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
