"""The configuration that is suggested, as plain values: what differs from config/."""

from typing import Any

from resomap.config.load import merge
from resomap.suggest.grid import Grid
from resomap.suggest.recipe import recipe_of

QUICK: dict[str, Any] = {
    "evaluation": {"modes": ["raw"]},
    "explainability": {
        "images": 32,
        "ig_steps": 8,
        "faithfulness": {"images": 8, "bandwidths": [6, 12]},
        "sanity": {"images": 4},
    },
    "system": {"profiling": {"variants": ["eager"]}},
}
"""Sections of a quick sweep: networks as trained, few explained images, no cost of training."""


def sweep_values(
    grid: Grid, batch_size: int | None, start: Any, *, freeze_bn: bool = True
) -> dict[str, Any]:
    """Return the sections `sweep`, `training` and those of a quick sweep."""
    training = {"start": start} if start != "random" else {}
    training |= {"epochs": grid.epochs}
    # The shipped one suits the reef.
    training |= {"batch_size": batch_size} if batch_size else {}
    training |= recipe_of(start, grid.epochs, freeze_bn=freeze_bn)
    values: dict[str, Any] = {
        "sweep": {
            "models": list(grid.models),
            "resolutions": list(grid.resolutions),
            "seeds": list(range(grid.seeds)),
        },
        "training": training,
    }
    return merge(values, QUICK) if grid.quick else values
