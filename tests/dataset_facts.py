"""Facts about synthetic datasets, for the tests of sentences, figures and pages."""

from pathlib import Path
from typing import Any

import pandas as pd

from resomap.analysis.facts import Facts, read_facts
from tests.synthetic import Sweep, write_results


def copy_row(
    source: str, split: str, copy_of: str, copy_split: str, label: int = 0, copy_label: int = 0
) -> dict[str, Any]:
    """Return one row of duplicates.csv."""
    return {
        "source": source,
        "split": split,
        "label": label,
        "copy_of": copy_of,
        "copy_split": copy_split,
        "copy_label": copy_label,
    }


def facts_of(folder: Path, **options: Any) -> Facts:
    """Write a dataset of 48 px images without groups under `folder` and return its facts."""
    defaults = {"models": (), "resolutions": (24, 48), "test": 40, "val": 24, "native": 48}
    write_results(folder, Sweep(**{**defaults, "grouped": False, **options}))
    return read_facts(folder / "data")


def with_sizes(facts: Facts, *sizes: tuple[int, int, int]) -> Facts:
    """Return the facts with other sizes: width, height, number of images."""
    table = pd.DataFrame(sizes, columns=["width", "height", "images"])
    return Facts(**{**vars(facts), "sizes": table})
