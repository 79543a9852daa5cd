"""What the methods of explanation are called, which of them know no network, and which the sanity gate struck out."""

from collections.abc import Collection

import numpy as np
import pandas as pd

METHOD_NAMES = {
    "gradcam": "Grad-CAM",
    "hirescam": "HiResCAM",
    "gradcam_plus_plus": "Grad-CAM++",
    "integrated_gradients": "Integrated Gradients",
    "saliency": "Saliency",
    "smoothgrad": "SmoothGrad",
    "guided_backprop": "Guided Backprop",
    "occlusion": "Occlusion",
}
BASELINE_NAMES = {"edge": "edge filter", "centre": "centre", "random": "random"}
"""Maps that know no network, as a reader meets them; they stand beside the methods."""
MAX_METHODS = 5
"""More methods than this have no panel of their own."""

FailedMethods = Collection[tuple[str, int, str]]
"""Model, resolution and method of what was struck out."""


def method_name(method: str) -> str:
    """`Grad-CAM`, and the bare name of a method that has no other."""
    return METHOD_NAMES.get(method, method)


def attribution_methods(rows: pd.DataFrame) -> list[str]:
    """Methods in their order, without the baselines."""
    return [method for method in dict.fromkeys(rows["method"]) if method not in BASELINE_NAMES]


def drop_failed_methods(
    rows: pd.DataFrame, struck: FailedMethods, at: str = "resolution"
) -> pd.DataFrame:
    """Rows of methods that were not struck out at the resolution in column `at`."""
    keys = zip(rows["model"], rows[at], rows["method"], strict=True)
    return rows[np.array([key not in struck for key in keys], bool)]


def failed_resolutions(
    struck: FailedMethods, models: Collection[str], method: str
) -> list[int]:
    """Where a method was struck out for any of these models, px."""
    return sorted(
        {resolution for model, resolution, name in struck if name == method and model in models}
    )


def more_methods_note(methods: Collection[str]) -> str:
    """What a note says where there are more methods than panels."""
    return (
        f" The first {MAX_METHODS} of {len(methods)} methods; all stand in the data."
        if len(methods) > MAX_METHODS
        else ""
    )
