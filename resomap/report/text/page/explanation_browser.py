"""The words of the explanation browser: which images it shows, and what its numbers mean."""

from collections.abc import Iterable, Mapping
from typing import Any

from resomap.analysis.alarm import OFF_OBJECT_SHARE
from resomap.report.methods import method_name
from resomap.text import format_count, format_number

FILTERS = {
    "all": "all",
    "wrong": "wrong",
    "flipped": "flipped between sizes",
    "reason": "right for the wrong reason",
}
FILTER_MEANINGS = {
    "wrong": "The prediction is not the label, at the resolution and seed that are chosen.",
    "flipped": "The same model and seed is right at one resolution and wrong at another.",
    "reason": (
        "The prediction is right, but the methods that pass the sanity check put, on average, "
        f"less than {format_number(OFF_OBJECT_SHARE)} of the possible evidence on the object."
    ),
}
KEYS = {
    "← →": "previous and next image",
    "↑ ↓": "next larger and next smaller resolution",
    "1 2 3 … or [ ]": "method",
}
WORDS = {
    "right": "right",
    "wrong": "wrong",
    "truth": "label",
    "prediction": "prediction",
    "file": "test image",
    "none": "No image is in this filter at {resolution} px, seed {seed}.",
    "failed": "fails the sanity check",
    "method": "method",
    "share": "on the object",
    "mass": "inside the outline",
    "for": "for the class",
    "against": "against",
    "reference": "reference",
    "shown": (
        "Image {place} of {count}: no. {index}, {label}. {model} at {resolution} px, seed {seed}, "
        "{method}. Prediction: {prediction}, {verdict}. Evidence on the object: {share}."
    ),
    "picture": "The test image no. {index}, {label}, at {resolution} px",
    "map": "{method}, {side} by {side} cells, over the image in grey",
    "size": "{resolution} px: {prediction}, {verdict}, evidence on the object {share}",
    "on_object": "on object {share}",
    "alarm": "raised the alarm",
    "wrong_reason": "right for the wrong reason",
    "thumbnail": "no. {index}, {label}: {marks}",
    "agreement": "agreement with {resolution} px",
    "failed_note": (
        "Greyed out: at this resolution the maps of {method} hardly change when the last layers "
        "are re-initialised. They are no evidence about the network, and no finding uses them."
    ),
}
MEANINGS = (
    "On the object: 0 is what chance puts there, 1 the most that the grid of the map allows. "
    "Inside the outline: the share of the positive relevance in the mask. Agreement: the rank "
    "correlation of the map with that of the same network, seed and method at the largest "
    "resolution, on the coarser of their grids, at most {side} cells a side. Beside the images "
    "of the strip stands the evidence on the object, mean of the methods that pass the sanity "
    "check. Each map has a colour scale of its own, so colours compare places within a map, not "
    "maps."
)


def images_sentence(browser: Mapping[str, Any]) -> str:
    """Return how many of the explained images are shown, and which ones."""
    shown, total = len(browser["images"]), browser["total"]
    if shown == total:
        return f"All {format_count(total, 'explained image')} are here, at every size and seed."
    alarmed = browser["reasons"].get("alarm", 0)
    first = f"{format_count(alarmed, 'image')} of alarms first, then " if alarmed else ""
    return (
        f"{shown} of {format_count(total, 'explained image')} are here, as many as the page can "
        f"hold for every cell: {first}in turn the images that most runs predict wrong, that flip "
        "between sizes, that are right for the wrong reason, and a fixed sample."
    )


def browser_words(methods: Iterable[str]) -> dict[str, Any]:
    """Return the words that the script of the browser fills in."""
    return {**WORDS, "methods": {method: method_name(method) for method in methods}}
