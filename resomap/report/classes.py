"""The classes on the page: accuracy by resolution, separated pairs, images that need most pixels."""

import base64
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from resomap.analysis.facts import Facts
from resomap.analysis.findings.accuracy import model_in_focus
from resomap.analysis.findings.confusion import separated_pairs
from resomap.analysis.findings.finding import Finding
from resomap.analysis.tables import Tables
from resomap.report.text.page import classes as words
from resomap.workflow.checked_files import map_array

Row = dict[str, Any]
MOST_SHOWN = 20
"""Classes in view before a search, those that change most; pairs and images in all."""
THUMBNAIL_PX = 72


def classes_section(tables: Tables, facts: Facts, confidence: float) -> Row:
    """Return what the page shows of the classes of the model in focus."""
    model = model_in_focus(tables)
    own = tables.class_accuracy[tables.class_accuracy["model"] == model]
    resolutions = sorted(map(int, own["resolution"].unique()))
    rows = class_rows(own, resolutions)
    pairs = separated_pairs(tables.confusion, model, confidence)
    images = tables.hard_images[tables.hard_images["model"] == model]
    return {
        "model": model,
        "resolutions": resolutions,
        "rows": rows,
        "most_shown": MOST_SHOWN,
        "intro": words.class_sentence(model, rows, resolutions),
        "pairs": [_pair(finding) for finding in pairs[:MOST_SHOWN]],
        "pairs_intro": words.pairs_sentence(pairs, resolutions, MOST_SHOWN),
        "images": list(_hard_images(images[:MOST_SHOWN], facts)),
        "images_intro": words.images_sentence(len(images), resolutions),
    }


def class_rows(own: pd.DataFrame, resolutions: Sequence[int]) -> list[Row]:
    """Return a row per class: its accuracy at every resolution, those that change most first.

    A cell is None where no run has finished.
    """
    rows = []
    for name, of_class in own.groupby("class", sort=False):
        by_px = {int(each["resolution"]): each for each in of_class.to_dict("records")}
        cells = [by_px.get(px) for px in resolutions]
        known = [cell["accuracy"] for cell in cells if cell]
        rows.append(
            {
                "name": str(name),
                "n": int(of_class["n"].max()),
                "cells": cells,
                "change": known[-1] - known[0],
            }
        )
    return sorted(rows, key=lambda row: -abs(row["change"]))


def _pair(finding: Finding) -> Row:
    """Return the classes of a pair and its share at every resolution, with count and images."""
    shares = [part.numbers["share"] for part in finding.parts]
    cells = [
        {"share": one.value, "low": one.low, "high": one.high, "n": one.n, "count": _count(one)}
        for one in shares
    ]
    return {
        "first": finding.subject["first"],
        "second": finding.subject["second"],
        "cells": cells,
    }


def _count(share: Any) -> int:
    return round(share.value * share.n)


def _hard_images(rows: pd.DataFrame, facts: Facts) -> Iterator[Row]:
    """Yield file, class, size and a small picture of the images that need the most pixels."""
    indices = [int(index) for index in rows["index"]]
    sources = facts.test_sources(indices) if indices else []
    pictures = _thumbnails(facts, indices)
    for row, source, picture in zip(rows.to_dict("records"), sources, pictures, strict=True):
        yield {**{str(name): value for name, value in row.items()}, "source": source} | {
            "picture": picture
        }


def _thumbnails(facts: Facts, indices: Sequence[int]) -> list[str]:
    """Return test images as small pictures in links; blank where images are not at hand."""
    native, rows = facts.folder / "native.npy", facts.folder / "rows_test.npy"
    if not indices or not (native.exists() and rows.exists()):
        return [""] * len(indices)
    images = map_array(native)[map_array(rows)[list(indices)]]
    return [_thumbnail(np.asarray(image)) for image in images]


def _thumbnail(image: np.ndarray) -> str:
    stream = BytesIO()
    picture = Image.fromarray(image)
    picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    picture.save(stream, "WEBP", quality=70)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"
