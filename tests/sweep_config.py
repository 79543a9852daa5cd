"""The configuration of a synthetic sweep, as the page reads it."""

from functools import cache
from pathlib import Path
from typing import Any

from resomap.config.load import load_config
from resomap.config.schema import Config
from resomap.report.method import SweepConfig
from tests.synthetic import REPORT, Sweep


@cache
def _shipped() -> Config:
    return load_config(Path(__file__).parents[1] / "config")


def sweep_config(sweep: Sweep, **changes: Any) -> SweepConfig:
    """Return the shipped configuration with the models, sizes and seeds of a sweep."""
    config = _shipped()
    values: dict[str, Any] = {
        "data": config.data,
        "models": sweep.architectures,
        "resolutions": sweep.resolutions,
        "seeds": sweep.seeds,
        "training": config.training,
        "evaluation": config.evaluation.model_copy(update={"modes": sweep.modes}),
        "explainability": config.explainability,
        "profiling": config.system.profiling,
        "report": REPORT,
    }
    return SweepConfig(**values | changes)
