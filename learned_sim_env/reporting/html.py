"""All parts of an evaluation as one HTML file that needs no network and no other file."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.files import write_text
from learned_sim_env.optional import require
from learned_sim_env.reporting.html_style import STYLE
from learned_sim_env.reporting.parts import Part, Table, targets_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# [inches] Of a figure whose drawing does not choose its own size.
_FIGURE_SIZE = (10.0, 4.5)
# [characters] Beyond this a vector drawing (many points) is larger than its picture, and slow to show.
_MAX_SVG = 400_000
_PNG_DPI = 150
# [pixels] Pictures are enlarged by a whole factor to about this width; at least twice, beyond it the page scrolls.
_PICTURE_WIDTH = 1040
# Longer lists of `about` are told by their ends and their length.
_MAX_LIST = 8
# [characters] Up to which a cell stays on one line.
_MAX_WORD = 32
# Nothing may be fetched, whatever a text contains.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
# A cell that reads as a number, an interval or "nothing known", and so stands to the right.
_NUMBER = re.compile(r"(≥ |> |< )?[-+]?\d[^a-zA-Z]*|-|")


def write_html(path: Path, title: str, about: Mapping[str, Any], parts: Sequence[Part]) -> None:
    """Write a report, whole or not at all. Figures are inline SVG (PNG where that is smaller), pictures inline PNG.

    Args:
        path: where to; folders are made.
        title: heading of the report.
        about: what was evaluated and how (model, data, command), by name. "command" is set as code; a long list is
            shortened to its ends; mappings and sequences may be nested.
        parts: in the order in which they are to be read.

    Raises:
        ImportError: if there are figures or pictures and matplotlib (which brings Pillow) is not installed.
        ValueError: if two parts have the same name, a table has a row of another length than its head, or a picture is
            not (H, W, 3) uint8.
    """
    anchors = [re.sub(r"[^a-z0-9]+", "-", part.name.lower()).strip("-") for part in parts]
    for anchor in anchors:
        if not anchor or anchors.count(anchor) > 1:
            raise ValueError(f"names of parts make no distinct anchors: {', '.join(repr(p.name) for p in parts)}")
    text = "".join(_document(title, about, list(zip(anchors, parts))))
    write_text(path, text)


def _document(title: str, about: Mapping[str, Any], parts: list[tuple[str, Part]]) -> Iterator[str]:
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield '<meta name="color-scheme" content="light dark">\n'
    yield f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
    yield f'<header>\n<h1>{escape(title)}</h1>\n<dl class="about">\n'
    for name, value in about.items():
        shown = escape(_plain(value))
        shown = f"<code>{shown}</code>" if name == "command" else shown
        yield f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{shown}</dd>\n"
    yield '</dl>\n</header>\n<nav aria-labelledby="contents">\n<h2 id="contents">Contents</h2>\n<ol>\n'
    for anchor, part in parts:
        yield f'<li><a href="#part-{anchor}">{escape(part.title)}</a></li>\n'
    yield "</ol>\n</nav>\n<main>\n"
    for anchor, part in parts:
        yield from _section(anchor, part)
    yield "</main>\n</body>\n</html>\n"


def _section(anchor: str, part: Part) -> Iterator[str]:
    heading = f"part-{anchor}"
    yield f'<section class="part" aria-labelledby="{heading}">\n<h2 id="{heading}">{escape(part.title)}</h2>\n'
    yield '<div class="notes">\n<div class="note">\n<h3>How it was measured</h3>\n' + _paragraphs(part.method)
    yield '</div>\n<div class="note limits">\n<h3>What this cannot show</h3>\n' + _paragraphs(part.limits)
    yield "</div>\n</div>\n"
    asked = (targets_table(part.targets),) if part.targets else ()
    for i, table in enumerate((*asked, *part.tables)):
        yield from _table(f"table-{anchor}-{i}", table)
    for name, draw in part.figures.items():
        region = _region(name)
        yield f'<figure class="plot">\n<figcaption>{escape(name)}</figcaption>\n<div class="scroll" {region}>'
        yield f'<img src="{_plot(draw)}" alt="{escape(f"Plot: {name}. {part.title}.")}"></div>\n</figure>\n'
    for name, picture in part.pictures.items():
        source, width, height = _picture(name, picture)
        region = _region(name)
        yield f'<figure class="picture">\n<figcaption>{escape(name)}</figcaption>\n<div class="scroll" {region}>'
        alt = escape(f"Picture: {name}. {part.title}.")
        yield f'<img src="{source}" width="{width}" height="{height}" alt="{alt}"></div>\n</figure>\n'
    yield "</section>\n"


def _table(anchor: str, table: Table) -> Iterator[str]:
    for row in table.rows:
        if len(row) != len(table.head):
            raise ValueError(f"table {table.title!r} has {len(table.head)} columns, but a row of {len(row)}: {row}")
    numeric = [
        bool(table.rows) and all(_NUMBER.fullmatch(row[i]) for row in table.rows) for i in range(len(table.head))
    ]
    # Short words do not break; a column of sentences may.
    short = [max((len(row[i]) for row in table.rows), default=0) <= _MAX_WORD for i in range(len(table.head))]
    kind = [' class="number"' if n else ' class="word"' if s else "" for n, s in zip(numeric, short)]
    # Scrolls by itself on a narrow screen; reachable by keyboard, named by its caption.
    yield f'<div class="scroll" role="region" tabindex="0" aria-labelledby="{anchor}">\n<table>\n'
    yield f'<caption id="{anchor}">{escape(table.title)}</caption>\n<thead>\n<tr>'
    yield "".join(f'<th scope="col"{k}>{escape(cell)}</th>' for k, cell in zip(kind, table.head))
    yield "</tr>\n</thead>\n<tbody>\n"
    before = None
    for row in table.rows:
        cells = "".join(f"<td{k}>{escape(cell)}</td>" for k, cell in zip(kind[1:], row[1:]))
        more = ' class="more"' if row[0] == before else ""
        yield f'<tr{more}><th scope="row"{kind[0]}>{escape(row[0])}</th>{cells}</tr>\n'
        before = row[0]
    yield "</tbody>\n</table>\n</div>\n"


def _region(name: str) -> str:
    """Attributes of what scrolls by itself on a narrow screen: reachable by keyboard, with a name."""
    return f'role="region" tabindex="0" aria-label="{escape(name)}"'


def _paragraphs(text: str) -> str:
    """Blank lines part paragraphs."""
    return "".join(f"<p>{escape(p.strip())}</p>\n" for p in re.split(r"\n\s*\n", text) if p.strip())


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k}: {_plain(v)}" for k, v in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        shown = [_plain(v) for v in value]
        if len(shown) > _MAX_LIST:
            return f"{shown[0]}, {shown[1]}, … {shown[-1]} ({len(shown)})"
        return ", ".join(shown)
    return str(value)


def _plot(draw: Callable[[Figure], None]) -> str:
    """A figure as a data URI. As the source of an image, names inside one drawing cannot clash with another's."""
    matplotlib = require("matplotlib", extra="train")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_FIGURE_SIZE, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure)
    svg = io.StringIO()
    # Text as outlines looks the same everywhere; without date and random names, the same data gives the same file.
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "report"}):
        figure.savefig(svg, format="svg", metadata={"Date": None})
    if len(svg.getvalue()) <= _MAX_SVG:
        return _data_uri("image/svg+xml", svg.getvalue().encode())
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=_PNG_DPI, metadata={"Software": None})
    return _data_uri("image/png", png.getvalue())


def _picture(name: str, picture: np.ndarray) -> tuple[str, int, int]:
    """An enlarged picture as a data URI, with its width and height."""
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise ValueError(f"picture {name!r} is {picture.shape} {picture.dtype}, not (H, W, 3) uint8")
    require("PIL", extra="train")
    from PIL import Image

    scale = max(2, _PICTURE_WIDTH // picture.shape[1])
    # Enlarged here rather than by the page alone: crisp wherever it is copied to, and repeated pixels compress well.
    enlarged = picture.repeat(scale, 0).repeat(scale, 1)
    png = io.BytesIO()
    Image.fromarray(enlarged).save(png, format="PNG", optimize=True)
    return _data_uri("image/png", png.getvalue()), enlarged.shape[1], enlarged.shape[0]


def _data_uri(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"
