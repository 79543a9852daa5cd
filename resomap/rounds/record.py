"""results/rounds.json: the rounds of a sweep, each written before it runs and after it ended."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resomap.analysis.predictions import Cell
from resomap.config.schema import Config
from resomap.errors import ConfigError
from resomap.rounds.policy import Plan, PlannedRun
from resomap.system.files import write_json
from resomap.workflow.artifact_paths import file_in
from resomap.workflow.checked_files import read_json

SECTIONS = ("data", "models", "sweep", "training", "evaluation", "report")
"""What may not change between rounds: their looks would be at other results, or by other rules."""
BUDGET = "budget"
"""The end of rounds whose next one would take longer than the user allows."""


@dataclass
class RoundsRecord:
    """The rounds so far, and how they ended: None while they go on."""

    path: Path
    identity: str
    max_rounds: int
    rounds: list[dict[str, Any]]
    end: str | None = None
    keeps: bool = True
    """False in a dry run, which writes nothing."""

    @classmethod
    def open(cls, results: Path, config: Config, seeds: int) -> "RoundsRecord":
        """Read the record, or start one; ConfigError where it is of another configuration."""
        path, identity = file_in(results, "rounds"), _identity(config, seeds)
        if not path.exists():
            return cls(path, identity, seeds, [])
        values = read_json(path)
        if values["identity"] != identity:
            raise ConfigError(
                f"{path}: these rounds have looked at the test images with other values of "
                f"{', '.join(SECTIONS)} or --max-seeds: use those again, or delete the file to "
                "start new rounds, whose confidence does not count the earlier looks"
            )
        return cls(path, identity, seeds, values["rounds"], values["end"])

    @property
    def pending(self) -> list[PlannedRun]:
        """Return the runs of a round that has not ended; empty without one."""
        if not self.rounds or self.rounds[-1]["status"] is not None:
            return []
        return [PlannedRun(*run) for run in self.rounds[-1]["runs"]]

    @property
    def seconds(self) -> float:
        """Return the time of the rounds that ended."""
        return float(sum(one["seconds"] for one in self.rounds))

    def trained(self) -> dict[Cell, int]:
        """Return how many seeds of each cell were requested."""
        counts: dict[Cell, int] = {}
        for one in self.rounds:
            for run in one["runs"]:
                cell = Cell(*run[:3])
                counts[cell] = counts.get(cell, 0) + 1
        return counts

    def begin(self, plan: Plan, dropped: Mapping[Cell, str]) -> None:
        """Write down a round before it runs, so that one that is killed is continued."""
        self.rounds.append(
            {
                "runs": [list(run) for run in plan.runs],
                "reasons": _by_cell(plan.reasons),
                "dropped": _by_cell(dropped),
                "seconds": 0.0,
                "error_share": 0.0,
                "status": None,
                "choice": None,
            }
        )
        self.write()

    def finish(self, seconds: float, answer: Mapping[str, Any], error_share: float) -> None:
        """Write down what the look after a round found; `answer` is a record of `choose`."""
        names = ("family", "model", "resolution", "eval_resolution", "mode", "variant")
        choice = answer["choice"]
        self.rounds[-1] |= {
            "seconds": round(seconds, 1),
            "error_share": error_share,
            "status": answer["status"],
            "choice": choice and {name: choice[name] for name in names},
        }
        self.write()

    def close(self, end: str) -> None:
        """Write down how the rounds ended."""
        self.end = end
        self.write()

    def write(self) -> None:
        """Write the file."""
        if not self.keeps:
            return
        names = ("identity", "max_rounds", "rounds", "end")
        write_json(self.path, {name: getattr(self, name) for name in names})


def _by_cell(reasons: Mapping[Cell, str]) -> list[dict[str, Any]]:
    return [{**cell._asdict(), "reason": reason} for cell, reason in reasons.items()]


def _identity(config: Config, seeds: int) -> str:
    values = config.model_dump(mode="json", include=set(SECTIONS))
    text = json.dumps([values, seeds], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
