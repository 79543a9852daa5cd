"""The building blocks of the pages: templates, and figures as self-contained markup."""

import base64
import re
from collections.abc import Iterable
from html import escape, unescape
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup
from PIL import Image

from resomap.analysis.facts import Facts
from resomap.report.catalogue import CATALOGUE
from resomap.report.figures.style import CHOSEN, GRID, INK, MUTED, PAPER
from resomap.report.scripts import embed_data, security_policy
from resomap.report.text.data import dataset_facts
from resomap.report.text.format import escape_unseen, format_mebibytes, format_three_digits
from resomap.text import format_milliseconds, format_points
from resomap.workflow.receipts import check_content

# Larger drawings are embedded as PNG: browsers render an SVG of many elements slowly.
MAX_SVG_BYTES = 400_000
# Larger ones are embedded as WebP, on a dense screen as wide as the column of the page, and never
# of more pixels than a browser decodes at once: a page of 16 models has nine of them.
MAX_PNG_BYTES = 150_000
MAX_WIDTH, MAX_PIXELS = 2080, 8_000_000
MAX_WEBP_BYTES, WEBP_QUALITIES = 700_000, (75, 50, 30, 10)
MAX_CSV_BYTES = 100_000
MAX_LISTED = 20
# Colours of the figures that follow the light or dark scheme of the page.
CSS_COLOURS = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    PAPER: "var(--paper)",
    CHOSEN: "var(--chosen)",
    "#0072b2": "var(--blue)",
    "#b0257f": "var(--magenta)",
}


class PageFigure(NamedTuple):
    """A figure on the page: its title, its markup, its caption, and its data as a link."""

    name: str
    title: str
    category: str
    markup: str
    caption: str
    data: str


def render(template: str, page: dict[str, Any]) -> str:
    """Render one of the templates; text is escaped."""
    without_scripts: dict[str, Any] = {"scripts": [], "data_blocks": {}}
    return _environment().get_template(template).render(without_scripts | page)


def _environment() -> jinja2.Environment:
    """Build the template environment with the filters for numbers."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        # Names of classes and files come from users.
        autoescape=jinja2.select_autoescape(["html.j2"]),
        # A misspelt name must fail instead of printing nothing.
        undefined=jinja2.StrictUndefined,
        finalize=_escape_unseen,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["points"] = format_points
    environment.filters["ms"] = format_milliseconds
    environment.filters["digits"] = format_three_digits
    environment.filters["mib"] = format_mebibytes
    environment.filters["unbroken"] = _keep_ranges_unbroken
    environment.filters["security_policy"] = security_policy
    environment.filters["embed_data"] = embed_data
    return environment


def _escape_unseen(value: Any) -> Any:
    """Return text of an expression without characters that reorder it; markup as it is."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return escape_unseen(value) if is_text else value


def _keep_ranges_unbroken(text: str) -> str:
    """Return the text with `0.983-0.994` and `95 %` each kept on one line."""
    joined = "\N{WORD JOINER}\N{EN DASH}\N{WORD JOINER}"
    text = re.sub(r"(?<=\d) (?=%)", "\N{NO-BREAK SPACE}", text)
    return re.sub(r"(?<=\d)\N{EN DASH}(?=\d)", joined, text)


def categories(folder: Path, names: Iterable[str]) -> dict[str, list[PageFigure]]:
    """Read the named figures from `folder`, by category; both keep their order."""
    by_category: dict[str, list[PageFigure]] = {}
    for name in names:
        figure = _read_figure(folder, name)
        by_category.setdefault(figure.category, []).append(figure)
    return by_category


def _read_figure(folder: Path, name: str) -> PageFigure:
    """Read a figure as SVG, or as pixels when that is too large."""
    for suffix in ("svg", "png", "csv"):
        check_content(folder / f"{name}.{suffix}")
    svg = (folder / f"{name}.svg").read_text(encoding="utf-8")
    title = re.search(r"<dc:title>(.*?)</dc:title>", svg, re.DOTALL)
    label = unescape(title.group(1)) if title else name
    if len(svg) <= MAX_SVG_BYTES:
        markup = inline_svg(svg, name, label)
    else:
        markup = _inline_raster(folder / f"{name}.png", label)
    entry = CATALOGUE[name]
    data = _data_link(folder / f"{name}.csv")
    return PageFigure(name, label, entry.category, markup, entry.caption, data)


def inline_svg(svg: str, name: str, title: str) -> str:
    """Return the drawing as an element of a page, as wide as its column."""
    drawing = svg[svg.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", drawing, flags=re.DOTALL)
    # Matplotlib numbers ids alike in every drawing, so they need the name on a common page.
    drawing = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{name}-", drawing)
    for colour, variable in CSS_COLOURS.items():
        drawing = drawing.replace(colour, variable)
    # Without width and height the viewBox scales the drawing to its column.
    size = re.compile(r'^<svg ([^>]*?)(?:width|height)="[^"]*"([^>]*?)(?:width|height)="[^"]*"')
    opening = f'<svg role="img" aria-label="{escape(title)}" '
    return size.sub(lambda match: f"{opening}{match[1]}{match[2]}", drawing)


def _inline_raster(path: Path, title: str) -> str:
    """Return an image element that contains the pixels."""
    content, kind = path.read_bytes(), "png"
    if len(content) > MAX_PNG_BYTES:
        content, kind = _to_webp(content), "webp"
    # The page forbids all sources but data: links (its CSP), and so works offline.
    data = base64.b64encode(content).decode()
    return f'<img alt="{escape(title)}" src="data:image/{kind};base64,{data}">'


def _to_webp(content: bytes) -> bytes:
    """Convert an image to WebP that a page can show, of the best quality that is small enough."""
    image = Image.open(BytesIO(content)).convert("RGB")
    width, height = image.size
    scale = min(1, MAX_WIDTH / width, (MAX_PIXELS / (width * height)) ** 0.5)
    size = round(width * scale), round(height * scale)
    # `reducing_gap` averages whole blocks of pixels first, `method` 2 takes a third of the time
    # of the default for files that are 4 % larger.
    image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    for quality in WEBP_QUALITIES:
        stream = BytesIO()
        image.save(stream, "WEBP", quality=quality, method=2)
        if stream.tell() <= MAX_WEBP_BYTES:
            break
    return stream.getvalue()


def _data_link(path: Path) -> str:
    """Return the CSV file as a link; blank when it is too large."""
    if path.stat().st_size > MAX_CSV_BYTES:
        return ""
    return f"data:text/csv;base64,{base64.b64encode(path.read_bytes()).decode()}"


def data_section(facts: Facts) -> dict[str, Any]:
    """Return the section about the dataset: facts, and the first bad files and copies."""
    copies = facts.copies
    # Copies of another split and label sort before those of another split or label.
    same_split = (copies["split"] == copies["copy_split"]).astype(int)
    seriousness = same_split + (copies["label"] == copies["copy_label"])
    listed = copies.iloc[seriousness.argsort(kind="stable")[:MAX_LISTED]]
    return {
        "facts": dataset_facts(facts),
        "bad": facts.bad[:MAX_LISTED].to_dict("records"),
        "bad_count": len(facts.bad),
        "copies": listed.to_dict("records"),
        "copies_count": len(copies),
    }
