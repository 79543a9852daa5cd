"""What the pages are made of: templates, and figures that need nothing but the page itself."""

import base64
import re
from collections.abc import Iterable
from html import escape, unescape
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from PIL import Image

from resomap.analysis.verdict import milliseconds
from resomap.report.catalogue import CATALOGUE
from resomap.report.facts import Facts
from resomap.report.figures.style import CHOSEN, GRID, INK, MUTED, PAPER
from resomap.report.text.data import fact_sentences
from resomap.report.variants import digits, mebibytes

LARGEST_SVG = 400_000
"""Larger drawings, in bytes, go into the page as PNG."""
LARGEST_PNG = 500_000
"""Larger ones, which are full of pictures, go into it as WebP: of the best quality that is no larger than LARGEST_WEBP."""
LARGEST_WEBP, WEBP_QUALITIES = 1_000_000, (85, 70, 50, 30, 10)
LARGEST_CSV = 100_000
MOST_LISTED = 20
VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    PAPER: "var(--paper)",
    CHOSEN: "var(--chosen)",
    "#0072b2": "var(--blue)",
    "#b0257f": "var(--magenta)",
}
"""Colours of the figures that on the page follow light and dark."""


class Figure(NamedTuple):
    """A figure on the page: its markup, how to read it, and its data as a link."""

    name: str
    category: str
    markup: str
    caption: str
    data: str


def render(template: str, page: dict[str, Any]) -> str:
    """Fill one of the templates; text is escaped."""
    return _templates().get_template(template).render(page)


def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["ms"] = milliseconds
    environment.filters["digits"] = digits
    environment.filters["mib"] = mebibytes
    environment.filters["unbroken"] = _unbroken
    return environment


def _unbroken(text: str) -> str:
    """Keep `0.983-0.994` on one line."""
    return re.sub(
        r"(?<=\d)\N{EN DASH}(?=\d)", "\N{WORD JOINER}\N{EN DASH}\N{WORD JOINER}", text
    )


def categories(folder: Path, names: Iterable[str]) -> dict[str, list[Figure]]:
    """The figures of `folder` by the category that they stand under, both in their order."""
    shown = [_read_figure(folder, name) for name in names]
    return {
        category: [figure for figure in shown if figure.category == category]
        for category in dict.fromkeys(f.category for f in shown)
    }


def _read_figure(folder: Path, name: str) -> Figure:
    svg = (folder / f"{name}.svg").read_text(encoding="utf-8")
    found = re.search(r"<dc:title>(.*?)</dc:title>", svg, re.DOTALL)
    title = unescape(found.group(1)) if found else name
    markup = (
        inline_svg(svg, name, title)
        if len(svg) <= LARGEST_SVG
        else _inline_raster(folder / f"{name}.png", title)
    )
    return Figure(
        name,
        CATALOGUE[name].category,
        markup,
        CATALOGUE[name].caption,
        _data_link(folder / f"{name}.csv"),
    )


def inline_svg(svg: str, name: str, title: str) -> str:
    """The drawing as an element of a page: ids unique by `name`, neutral colours as CSS variables, as wide as its column."""
    drawing = re.sub(
        r"<metadata>.*?</metadata>|<!--.*?-->", "", svg[svg.index("<svg") :], flags=re.DOTALL
    )
    drawing = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{name}-", drawing)
    for colour, variable in VARIABLES.items():
        drawing = drawing.replace(colour, variable)
    size = re.compile(r'^<svg ([^>]*?)(?:width|height)="[^"]*"([^>]*?)(?:width|height)="[^"]*"')
    return size.sub(
        lambda found: f'<svg role="img" aria-label="{escape(title)}" {found[1]}{found[2]}',
        drawing,
    )


def _inline_raster(path: Path, title: str) -> str:
    content, kind = path.read_bytes(), "png"
    if len(content) > LARGEST_PNG:
        content, kind = _webp(content), "webp"
    return f'<img alt="{escape(title)}" src="data:image/{kind};base64,{base64.b64encode(content).decode()}">'


def _webp(content: bytes) -> bytes:
    image = Image.open(BytesIO(content)).convert("RGB")
    for quality in WEBP_QUALITIES:
        stream = BytesIO()
        image.save(stream, "WEBP", quality=quality)
        if stream.tell() <= LARGEST_WEBP:
            break
    return stream.getvalue()


def _data_link(path: Path) -> str:
    if path.stat().st_size > LARGEST_CSV:
        return ""
    return f"data:text/csv;base64,{base64.b64encode(path.read_bytes()).decode()}"


def data_section(facts: Facts) -> dict[str, Any]:
    """What the section on the data says: sentences by subject, and the first bad pictures and copies, the gravest first."""
    copies = facts.copies
    gravest = (copies["split"] == copies["copy_split"]).astype(int) + (
        copies["label"] == copies["copy_label"]
    )
    return {
        "facts": fact_sentences(facts),
        "bad": facts.bad[:MOST_LISTED].to_dict("records"),
        "bad_count": len(facts.bad),
        "copies": copies.iloc[gravest.argsort(kind="stable")[:MOST_LISTED]].to_dict("records"),
        "copies_count": len(copies),
    }
