"""The section of the page with the explanation browser, from its file."""

from pathlib import Path
from typing import Any, NamedTuple

from resomap.report.browser.sprites import MAX_SIDE
from resomap.report.text.page.explanation_browser import (
    FILTER_MEANINGS,
    FILTERS,
    KEYS,
    MEANINGS,
    browser_words,
    images_sentence,
)
from resomap.workflow.checked_files import read_json

FILE_NAME = "explanation_browser.json"


class BrowserSection(NamedTuple):
    """What the template shows, None where no run is explained, and the blocks of the script."""

    shown: dict[str, Any] | None
    blocks: dict[str, Any]


def browser_section(figures: Path) -> BrowserSection:
    """Read the data of the browser beside the figures.

    Every cell has a block for the sprite of its maps, so that a page parses those that are
    looked at only.
    """
    browser = read_json(figures / FILE_NAME)
    if not browser["images"]:
        return BrowserSection(None, {})
    cells, sprites = [], {}
    for number, cell in enumerate(browser.pop("cells")):
        sprites[f"explanation-maps-{number}"] = cell.pop("sprite")
        cells.append(cell)
    shown = {
        "images": images_sentence(browser),
        "filters": FILTERS,
        "filter_meanings": FILTER_MEANINGS,
        "shortcuts": KEYS,
        "meanings": MEANINGS.format(side=MAX_SIDE),
    }
    methods = dict.fromkeys(each["method"] for cell in cells for each in cell["methods"])
    pixels = browser.pop("pixels")
    values = {**browser, "cells": cells, "words": browser_words(methods)}
    return BrowserSection(
        shown, {"explanations": values, "explanation-pixels": pixels, **sprites}
    )
