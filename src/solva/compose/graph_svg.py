"""The picture of a project as SVG: ports left, services in columns by what they depend on, volumes right. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from solva.compose.graph import Graph

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _EDGE = 190, 64, 110, 36, 30
_PORT_WIDTH = 150
_COLOURS = ("#2563eb", "#d97706", "#059669", "#9333ea", "#dc2626", "#0891b2", "#65a30d", "#db2777")
_FONT = "DejaVu Sans, Arial, sans-serif"


class _Canvas:
    def __init__(self) -> None:
        self.parts: list[str] = []

    def add(self, text: str) -> None:
        self.parts.append(text)

    def text(self, x: float, y: float, value: str, *, size: int = 12, colour: str = "#1f2937", weight: str = "normal",
             anchor: str = "start", room: float = 0) -> None:
        if room:
            most = max(int(room / (size * 0.62)), 4)
            value = value if len(value) <= most else value[: most - 1] + "…"
        self.add(f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}" font-weight="{weight}" '
                 f'text-anchor="{anchor}">{escape(value)}</text>')


def escape(value: str) -> str:
    """For the text and the attributes of XML."""
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def svg(graph: Graph) -> str:
    """The whole document."""
    ranks = graph.ranks()
    rows = _rows(graph, ranks)
    ports = {name: [item for item in graph.ports if item[0] == name] for name in graph.images}
    left = _EDGE + (_PORT_WIDTH + _GAP_X // 2 if graph.ports else 0)
    pitch = max([_HEIGHT, *(26 * len(found) for found in ports.values())]) + _GAP_Y
    places: dict[str, tuple[float, float]] = {
        name: (left + ranks[name] * (_WIDTH + _GAP_X), 60.0 + rows[name] * pitch) for name in graph.images}
    bottom = 60.0 + (max(rows.values(), default=-1) + 1) * pitch
    volumes = sorted({item[1] for item in graph.mounts})
    volume_x = left + (max(ranks.values(), default=0) + 1) * (_WIDTH + _GAP_X)
    shelf: dict[str, tuple[float, float]] = {
        name: (volume_x, 60.0 + index * (_HEIGHT + _GAP_Y)) for index, name in enumerate(volumes)}
    bottom = max([bottom, *(y + _HEIGHT + _GAP_Y for _, y in shelf.values())])
    colours = {name: _COLOURS[index % len(_COLOURS)] for index, name in enumerate(sorted(graph.networks))}
    height = bottom + (22 * len(colours) + 24 if colours else 0)
    width = (volume_x + 160 if volumes else volume_x - _GAP_X) + _EDGE
    canvas = _Canvas()
    canvas.text(_EDGE, 34, graph.name, size=20, weight="bold")
    _edges(canvas, graph, places, shelf)
    for name, (x, y) in places.items():
        _service(canvas, graph, name, x, y, [colours[key] for key, members in sorted(graph.networks.items())
                                              if name in members])
        for index, (_, host, inside) in enumerate(ports[name]):
            _port(canvas, host, inside, x, y + 8 + index * 26)
    for name, (x, y) in shelf.items():
        _volume(canvas, name, x, y)
    for index, (name, colour) in enumerate(colours.items()):
        y = bottom + 8 + index * 22
        canvas.add(f'<rect x="{_EDGE}" y="{y - 10:g}" width="24" height="8" rx="4" fill="{colour}"/>')
        canvas.text(_EDGE + 34, y, f"network {name}")
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
            f'viewBox="0 0 {width:g} {height:g}" font-family="{_FONT}">')
    marker = ('<defs><marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
              'orient="auto-start-reverse"><path d="M0 0L10 5L0 10z" fill="#6b7280"/></marker></defs>')
    return "\n".join([head, f"<title>{escape(graph.name)}</title>", marker,
                      f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>', *canvas.parts, "</svg>"]) + "\n"


def _rows(graph: Graph, ranks: dict[str, int]) -> dict[str, int]:
    """A row a service: the longest chain straight on top, so that an edge over several columns passes below it."""
    rows: dict[str, int] = {}
    taken: set[tuple[int, int]] = set()

    def depth(name: str) -> int:
        return 1 + max((depth(edge.needs) for edge in graph.needs(name)), default=0)

    def walk(name: str, row: int) -> None:
        if name in rows:
            return
        while (ranks[name], row) in taken:
            row += 1
        rows[name] = row
        taken.add((ranks[name], row))
        for index, edge in enumerate(sorted(graph.needs(name), key=lambda edge: (-depth(edge.needs), edge.needs))):
            walk(edge.needs, row + index)

    lowest = 0
    for name in sorted(graph.roots(), key=lambda name: (-depth(name), name)):
        walk(name, lowest)
        lowest = max(rows.values()) + 1
    return rows


def _service(canvas: _Canvas, graph: Graph, name: str, x: float, y: float, networks: list[str]) -> None:
    count = graph.scales[name]
    for offset in (8, 4) if count > 1 else ():
        canvas.add(f'<rect x="{x + offset:g}" y="{y - offset:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="8" '
                   'fill="#f3f4f6" stroke="#9ca3af"/>')
    canvas.add(f'<rect x="{x:g}" y="{y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="8" fill="#f9fafb" '
               'stroke="#374151"/>')
    canvas.text(x + 12, y + 24, f"{name} ×{count}" if count != 1 else name, size=14, weight="bold", room=_WIDTH - 20)
    canvas.text(x + 12, y + 43, graph.images[name], size=11, colour="#6b7280", room=_WIDTH - 20)
    for index, colour in enumerate(networks):
        canvas.add(f'<rect x="{x + 12 + index * 28:g}" y="{y + _HEIGHT - 12:g}" width="22" height="6" rx="3" '
                   f'fill="{colour}"/>')
    if name in graph.modes:
        canvas.text(x + 12, y + _HEIGHT - 6, graph.modes[name], size=9, colour="#6b7280", room=_WIDTH - 20)


def _port(canvas: _Canvas, host: str, inside: str, x: float, y: float) -> None:
    left = x - _GAP_X // 2 - _PORT_WIDTH
    canvas.add(f'<rect x="{left:g}" y="{y:g}" width="{_PORT_WIDTH}" height="22" rx="11" fill="#ecfdf5" '
               'stroke="#059669"/>')
    canvas.text(left + _PORT_WIDTH / 2, y + 15, host, size=11, anchor="middle", room=_PORT_WIDTH - 12)
    canvas.add(f'<path d="M{left + _PORT_WIDTH:g} {y + 11:g}H{x - 3:g}" stroke="#059669" fill="none" '
               'marker-end="url(#arrow)"/>')
    canvas.text(x - 8, y + 7, inside, size=9, colour="#059669", anchor="end")


def _volume(canvas: _Canvas, name: str, x: float, y: float) -> None:
    canvas.add(f'<path d="M{x:g} {y + 8:g}v44a75 8 0 0 0 150 0v-44" fill="#fffbeb" stroke="#b45309"/>')
    canvas.add(f'<ellipse cx="{x + 75:g}" cy="{y + 8:g}" rx="75" ry="8" fill="#fef3c7" stroke="#b45309"/>')
    canvas.text(x + 75, y + 38, name, size=12, anchor="middle", room=140)


def _edges(canvas: _Canvas, graph: Graph, places: dict[str, tuple[float, float]],
           shelf: dict[str, tuple[float, float]]) -> None:
    for edge in graph.edges:
        (x1, y1), (x2, y2) = places[edge.service], places[edge.needs]
        _curve(canvas, x1 + _WIDTH, y1 + _HEIGHT / 2, x2, y2 + _HEIGHT / 2, edge.condition, "#6b7280", arrow=True)
    for service, volume, path in graph.mounts:
        (x1, y1), (x2, y2) = places[service], shelf[volume]
        _curve(canvas, x1 + _WIDTH, y1 + _HEIGHT - 14, x2, y2 + 30, path, "#b45309", arrow=False)


def _curve(canvas: _Canvas, x1: float, y1: float, x2: float, y2: float, label: str, colour: str, *,
           arrow: bool) -> None:
    turn = max(x2 - _GAP_X, x1)         # over several columns: straight until the last gap
    bend = max((x2 - turn) / 2, 30)
    marker = ' marker-end="url(#arrow)"' if arrow else ' stroke-dasharray="4 3"'
    canvas.add(f'<path d="M{x1:g} {y1:g}H{turn:g}C{turn + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2 - 2:g} {y2:g}" '
               f'fill="none" stroke="{colour}"{marker}/>')
    middle = ((x1 + turn) / 2, y1 - 5) if turn > x1 else ((x1 + x2) / 2, (y1 + y2) / 2 - 5)
    canvas.text(*middle, label, size=10, colour=colour, anchor="middle")
