"""The licence of published weights, as far as torchvision or timm states one.

Apart from `published`, whose code is part of the identity of every training.
"""

from resomap.models.published import TIMM_PREFIX, PublishedWeights

IMAGENET_TAG = "IMAGENET1K"
IMAGENET_TERMS = "ImageNet, whose terms are for non-commercial research and education"


def find_licence(weights: PublishedWeights) -> str | None:
    """Return what the library says of the licence of these weights; None if nothing."""
    if weights.builder.startswith(TIMM_PREFIX):
        stated = getattr(weights.entry, "license", None)
        return f"{stated}, by timm's pretrained configuration" if stated else None
    stated = weights.entry.meta.get("license")
    if stated:
        return f"{stated}, by torchvision"
    # Its README: weights may have terms that derive from the dataset of their training.
    data = IMAGENET_TERMS if weights.tag.startswith(IMAGENET_TAG) else weights.tag
    return (
        "none stated by torchvision, whose code is BSD-3-Clause; terms may follow from the "
        f"data: {data}"
    )
