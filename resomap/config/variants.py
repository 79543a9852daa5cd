"""Names of the ways in which the cost of a network is measured, in PyTorch and in runtimes."""

import re
from typing import Annotated

from pydantic import AfterValidator

TRAINING_STEP = "training_step"
MODES = ("eager", "compiled", "cuda_graph", TRAINING_STEP)
"""Ways to run a network in PyTorch."""
RUNTIME_VARIANTS = ("onnxruntime", "onnxruntime-int8", "openvino", "openvino-int8")
"""Ways to run its export on the CPU."""
_IN_PYTORCH = re.compile(
    rf"({'|'.join(MODES)})(-(fp32|tf32|bf16|fp16))?(-(channels_last|contiguous))?"
)


def _check_name(name: str) -> str:
    if name not in RUNTIME_VARIANTS and not _IN_PYTORCH.fullmatch(name):
        raise ValueError(
            f"{name!r} is no variant: use {', '.join(MODES)}, each with -bf16 or -contiguous if "
            f"you like, or {', '.join(RUNTIME_VARIANTS)}"
        )
    return name


# mode[-precision][-memory format]; what is left out is that of the sweep's trainings.
VariantName = Annotated[str, AfterValidator(_check_name)]


def check_first_variant(name: str) -> None:
    """Raise ValueError if a variant cannot rank the cells, as the first of the list does."""
    if name.startswith(TRAINING_STEP):
        raise ValueError(
            "variants: the first variant ranks the cells, and training_step is no inference: "
            "list eager before it"
        )
    if name.endswith("-int8"):
        raise ValueError(
            "variants: the first variant ranks the cells, and int8 changes what they predict: "
            f"list {name.removesuffix('-int8')} or eager before it"
        )
