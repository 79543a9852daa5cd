"""Directories of finished sweeps, as a user has them: results and their configuration."""

import json
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from resomap.config.load import merge, shipped_values
from resomap.system import files
from resomap.workflow.lifecycle import write_run_config
from tests.synthetic import Sweep, write_results


@dataclass(frozen=True)
class RecordedDirectory:
    """A sweep that ran in `path`, with `changes` of its configuration."""

    path: Path
    sweep: Sweep
    changes: dict[str, Any] = field(default_factory=dict)

    def write(self) -> Path:
        """Write results/ with its configuration and without receipts; returns the directory."""
        sweep = self.sweep
        write_results(self.path / "results", sweep)
        grid = {
            "models": list(sweep.models),
            "resolutions": list(sweep.resolutions),
            "seeds": list(sweep.seeds),
        }
        values = merge(merge(shipped_values(), {"sweep": grid}), self.changes)
        write_run_config(values, self.path / "results" / "run_config.yaml")
        return self.path


def small_sweep(**changes: Any) -> Sweep:
    """Return a sweep of one model at two resolutions, without explanations."""
    defaults: dict[str, Any] = {
        "models": ("tiny_cnn",),
        "resolutions": (24, 48),
        "explained": 0,
        "modes": ("raw", "bn"),
        "val": 160,
        "test": 400,
    }
    return Sweep(**defaults | changes)


def write_receipt_of_other_recipe(results: Path, name: str) -> None:
    """Write a receipt such as a job with another configuration leaves."""
    body: dict[str, Any] = {"job": ["0" * 64, "0" * 64], "inputs": {}, "outputs": {}}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    digest = sha256(text.encode()).hexdigest()
    files.write_json(results / "receipts" / name, {**body, "sha256": digest})
