"""What would decide an open comparison: more seeds, more images, or runs trained alike."""

from typing import Any

from resomap.analysis.decision.advice import SEEDS_FOR_IMAGES
from resomap.report.text.confounds import acceptance, differing
from resomap.report.text.page.cases import Case, Facts, pick
from resomap.text import format_count

REMEDIES = (
    Case(
        "confounds",
        "No number of seeds or images certifies a cell while runs differ in {confounds}: train "
        "them alike, or accept it by {acceptance}",
    ),
    # More seeds and more images are alternatives: each alone would probably be enough.
    Case(
        "more_seeds more_images",
        "{more_seeds} or {more_images} would decide it in four cases of five",
    ),
    Case("more_seeds", "{more_seeds} would decide it in four cases of five"),
    Case("more_images", "{more_images} would decide it in four cases of five"),
    Case(
        "one_seed",
        "With one seed it is unknown how much of that is chance: train a second one",
    ),
    Case("few_seeds", "More seeds would probably not decide it"),
    Case("", "More seeds or test images would probably not decide it"),
)


def remedy_facts(needed: dict[str, Any]) -> Facts:
    """Return what the remedy depends on, from `needed` of a choice."""
    confounds, seeds, images = (
        needed[name] for name in ("confounds", "more_seeds", "more_images")
    )
    return {
        "confounds": differing(confounds) if confounds else "",
        "acceptance": acceptance(confounds),
        "more_seeds": format_count(seeds, "more seed") if seeds else "",
        "more_images": format_count(images, "more test image") if images else "",
        "one_seed": "yes" if needed["n_seeds"] == 1 else "",
        "few_seeds": "yes" if needed["n_seeds"] < SEEDS_FOR_IMAGES else "",
    }


def describe_remedy(needed: dict[str, Any]) -> str:
    """Return how many seeds or images would decide an open comparison."""
    return pick(REMEDIES, remedy_facts(needed))
