"""Names of attribution methods and baselines, and which methods fail the sanity check."""

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
# Maps that do not use the model; tables hold them beside the methods.
BASELINE_NAMES = {"edge": "edge filter", "centre": "centre", "random": "random"}
# More methods than this have no panel.
MAX_METHODS = 5
_FAILED_NOTE = (
    " Greyed out: fails the sanity check, the maps hardly change when the last layers are "
    "re-initialised."
)

# Model, resolution in px, and method of each failure.
FailedMethods = Collection[tuple[str, int, str]]


def method_name(method: str) -> str:
    """Return the display name of a method, by default its key."""
    return METHOD_NAMES.get(method, method)


def attribution_methods(rows: pd.DataFrame) -> list[str]:
    """Return the methods in column `method` in order of appearance, without baselines."""
    return [method for method in dict.fromkeys(rows["method"]) if method not in BASELINE_NAMES]


def drop_failed_methods(
    rows: pd.DataFrame, failed: FailedMethods, at: str = "resolution"
) -> pd.DataFrame:
    """Return the rows of methods that pass the sanity check at resolution column `at`."""
    keys = zip(rows["model"], rows[at], rows["method"], strict=True)
    return rows[np.array([key not in failed for key in keys], bool)]


def failed_resolutions(
    failed: FailedMethods, models: Collection[str], method: str
) -> list[int]:
    """Return the resolutions, px, at which a method fails for any of the models."""
    found = {px for model, px, name in failed if name == method and model in models}
    return sorted(found)


def failed_note(failed: FailedMethods, methods: Collection[str]) -> str:
    """Return a sentence for the note of a figure in which one of the methods is greyed out."""
    return _FAILED_NOTE if {name for _, _, name in failed} & set(methods) else ""


def more_methods_note(methods: Collection[str]) -> str:
    """Return a sentence for the note of a figure that has no panel for some methods."""
    if len(methods) <= MAX_METHODS:
        return ""
    return f" The first {MAX_METHODS} of {len(methods)} methods; the data holds all."
