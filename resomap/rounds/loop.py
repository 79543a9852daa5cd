"""`resomap run --until-settled`: calls of Snakemake on the runs of one round after the other."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from resomap.analysis.decision.choice import ChoiceRecord, choose
from resomap.analysis.decision.inputs import SweepInputs, read_inputs
from resomap.analysis.decision.looks import Looks
from resomap.analysis.predictions import Cell
from resomap.config.schema import Config
from resomap.errors import ConfigError
from resomap.report.text.answer import answer_lines
from resomap.report.text.page.rounds import describe_outcome, describe_round
from resomap.rounds.affordable import affordable_grid
from resomap.rounds.durations import estimate_round
from resomap.rounds.policy import Plan, PlannedRun, TrainingGrid, first_round, next_round
from resomap.rounds.record import BUDGET, RoundsRecord
from resomap.system.snakemake_call import call_snakemake
from resomap.workflow.layout import STAGE_OF
from resomap.workflow.targets import model_files

RESULTS = Path("results")
Show = Callable[[Iterable[str]], None]


@dataclass(frozen=True)
class RoundOptions:
    """The options of a call: what Snakemake gets, and what ends the rounds.

    `hours` limits their time, and `max_seeds` their number.
    """

    arguments: tuple[str, ...]
    hours: float | None
    max_seeds: int | None
    dry_run: bool


def run_rounds(config: Config, options: RoundOptions, show: Show) -> int:
    """Run rounds until the answer is settled or a limit is reached; returns the exit code.

    A call that is interrupted is continued by the next one.
    """
    seeds = _seeds(config, options.max_seeds)
    profiles = model_files(config, STAGE_OF["profile"].marker)
    code = call_snakemake([*profiles, *options.arguments])
    if code or (options.dry_run and not all(Path(path).exists() for path in profiles)):
        return code
    grid, dropped = affordable_grid(config, seeds, RESULTS)
    record = RoundsRecord.open(RESULTS, config, len(seeds))
    record.keeps = not options.dry_run
    rounds = Rounds(config, grid, dropped, record, options)
    code = rounds.run(show)
    return code if code or options.dry_run else rounds.report(show)


def _seeds(config: Config, max_seeds: int | None) -> tuple[int, ...]:
    """Return the seeds that rounds may use, in the order of the configuration."""
    seeds = tuple(config.sweep.seeds)
    if max_seeds is not None and max_seeds > len(seeds):
        raise ConfigError(
            f"--max-seeds {max_seeds}: sweep.seeds lists {len(seeds)}: list {max_seeds} there"
        )
    return seeds[:max_seeds]


@dataclass(frozen=True)
class Rounds:
    """The rounds of one sweep; `over_budget` says why cells are never trained."""

    config: Config
    grid: TrainingGrid
    over_budget: Mapping[Cell, str]
    record: RoundsRecord
    options: RoundOptions

    def run(self, show: Show) -> int:
        """Run the rounds that are left; returns the exit code of the last call of Snakemake."""
        while self.record.pending or self._begin():
            runs = self.record.pending
            show(describe_round(self.record.rounds, self.record.max_rounds))
            started = monotonic()
            code = self._snakemake(_targets(runs, *self._stages()))
            if code or self.options.dry_run:
                return code
            looks = Looks(self.grid.error_share(len(self.record.rounds)))
            answer = self._answer(self._inputs(), looks)
            share = self.grid.error_shares[len(self.record.rounds) - 1]
            self.record.finish(monotonic() - started, answer, share)
            show(describe_outcome(self.record.rounds))
        return 0

    def _begin(self) -> bool:
        """Write down the next round; False where the rounds end."""
        if self.record.end not in (None, BUDGET):
            return False
        plan = self._plan()
        if plan.runs and self._is_too_long(plan):
            self.record.close(BUDGET)
        elif plan.runs:
            self.record.end = None
            self.record.begin(plan, {**self.over_budget, **plan.dropped})
        else:
            self.record.close(plan.end or "settled")
        return bool(plan.runs) and self.record.end is None

    def _plan(self) -> Plan:
        rounds = len(self.record.rounds)
        if not rounds:
            return first_round(self.grid)
        learned = self.record.rounds[-1]["status"] != "nothing learned"
        candidates = self._inputs().candidates
        trained = self.record.trained()
        return next_round(self.grid, candidates, trained, rounds, learned=learned)

    def _is_too_long(self, plan: Plan) -> bool:
        if self.options.hours is None:
            return False
        seconds = estimate_round(plan.runs, self.record, self.config)
        return self.record.seconds + seconds > 3600 * self.options.hours

    def _stages(self) -> list[str]:
        """Return what a run needs before it is judged."""
        rules = self.config.report
        judges_evidence = rules.alarms == "forbidden" or rules.min_localisation is not None
        return ["evaluate", "explain"] if judges_evidence else ["evaluate"]

    def _snakemake(self, targets: Sequence[str]) -> int:
        # Before the options: one that takes several values would take targets for them.
        return call_snakemake([*targets, *self.options.arguments])

    def _inputs(self) -> SweepInputs:
        return read_inputs(RESULTS, self.config, self.config.report)

    def _answer(self, sweep: SweepInputs, looks: Looks) -> ChoiceRecord:
        return choose(
            sweep.candidates,
            self.config.report,
            sweep.classes,
            sweep.accuracies,
            exports=sweep.exports,
            looks=looks,
        )

    def report(self, show: Show) -> int:
        """Explain the choice and the runner-up, write the report, and show the answer."""
        sweep = self._inputs()
        answer = self._answer(sweep, sweep.looks)
        if self.config.explainability.enabled:
            named = {_cell(answer[name]) for name in ("choice", "runner_up") if answer[name]}
            runs = [PlannedRun(*run) for one in self.record.rounds for run in one["runs"]]
            explained = [run for run in runs if Cell(*run[:3]) in named]
            # Without targets Snakemake would train the grid.
            code = self._snakemake(_targets(explained, "explain")) if explained else 0
            if code:
                return code
        # The whole report where the rounds trained the whole grid.
        is_complete = sweep.progress.finished + sweep.progress.failed == sweep.progress.runs
        code = self._snakemake([] if is_complete else ["partial_report"])
        if not code:
            show(answer_lines(answer, sweep.progress))
        return code


def _cell(named: Mapping[str, Any]) -> Cell:
    return Cell(named["family"], named["model"], named["resolution"])


def _targets(runs: Iterable[PlannedRun], *stages: str) -> list[str]:
    """Return the files that stages write for runs, the most expensive resolution first."""
    ordered = sorted(runs, key=lambda run: -run.resolution)
    return [
        STAGE_OF[stage].marker.format(**run._asdict()) for run in ordered for stage in stages
    ]
