"""Rows of preprocessing_parity.csv with planted numbers."""

from typing import Any

import pandas as pd

KINDS = {
    "as trained": "reference",
    "torch bilinear antialias": "same filter",
    "JPEG by OpenCV": "decoder",
    "JPEG by Pillow": "compression",
    "OpenCV linear": "no antialias",
    "BGR for RGB": "colour order",
}


def parity_rows(flips: dict[str, float | None], **cell: Any) -> list[dict[str, Any]]:
    """Return the rows of one cell; None stands for a library that is not installed."""
    rows = []
    for name, kind in KINDS.items():
        flipped = flips.get(name, 0.0)
        row = {
            "family": "custom",
            "model": "tiny_cnn",
            "train_resolution": 24,
            "eval_resolution": 24,
            "precision": "fp32",
            "preprocessing": name,
            "kind": kind,
            "baseline": "as trained",
            "n_seeds": 2,
            "n": 100,
            "judged": kind in ("reference", "same filter", "decoder"),
            "skipped": "cv2 not installed" if flipped is None else None,
            **cell,
        }
        if flipped is not None:
            lost = {"accuracy_lost": flipped / 2, "accuracy_lost_low": flipped / 2 - 0.01}
            lost |= {"accuracy_lost_high": flipped / 2 + 0.01, "interval": "crossed t"}
            row |= {"flipped": flipped, "max_logit_difference": 3 * flipped, **lost}
        rows.append(row)
    return rows


def parity_frame(*cells: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the rows of all cells as a table."""
    return pd.DataFrame([row for rows in cells for row in rows])
