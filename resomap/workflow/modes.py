"""Names of the logits of a run in predictions.npz, by resolution and mode of evaluation."""

import re
from collections.abc import Collection

from resomap.config.evaluation import EvaluationMode

MODES: tuple[EvaluationMode, ...] = ("raw", "bn", "finetune")
RAW: EvaluationMode = "raw"


def logits_name(resolution: int, mode: EvaluationMode = RAW) -> str:
    """Return the name of the logits (N, C) at `resolution`: `logits_r96`, `logits_bn_r96`."""
    # Without the mode where there is one only, as notebooks of users read these names.
    prefix = "logits" if mode == RAW else f"logits_{mode}"
    return f"{prefix}_r{resolution}"


def stored_logits(names: Collection[str]) -> list[tuple[EvaluationMode, int]]:
    """Return mode and resolution of the logits among the names of an archive, in order."""
    found = []
    for mode in MODES:
        pattern = re.compile(logits_name(0, mode).removesuffix("0") + r"(\d+)")
        resolutions = [match[1] for match in map(pattern.fullmatch, names) if match]
        found += [(mode, resolution) for resolution in sorted(map(int, resolutions))]
    return found
