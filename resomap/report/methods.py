"""Names of attribution methods and baselines, and notes about methods below a figure."""

from collections.abc import Collection

from resomap.analysis.sanity_check import FailedMethods

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


def method_name(method: str) -> str:
    """Return the display name of a method, by default its key."""
    return METHOD_NAMES.get(method, method)


def failed_note(failed: FailedMethods, methods: Collection[str]) -> str:
    """Return a sentence for the note of a figure in which one of the methods is greyed out."""
    return _FAILED_NOTE if {name for _, _, name in failed} & set(methods) else ""


def more_methods_note(methods: Collection[str]) -> str:
    """Return a sentence for the note of a figure that has no panel for some methods."""
    # The CSV beside the figure holds the methods without a panel.
    if len(methods) <= MAX_METHODS:
        return ""
    return f" The first {MAX_METHODS} of {len(methods)} methods; the data holds all."
