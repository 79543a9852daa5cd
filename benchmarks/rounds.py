"""A sweep in rounds against its full grid: the answer, its cost, and false certificates.

`python -m benchmarks.rounds all --sweep DIR` writes rounds.md; DIR holds a finished sweep. The rounds are those of `resomap run
--until-settled` (`resomap.rounds.policy`), on grids of which every run is known.
"""

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from benchmarks.decision_trials import Rate, outside, outside_of_middle
from benchmarks.decision_worlds import (
    CONFIDENCE,
    MARGIN,
    SEED_SD,
    cell_costs,
    draw_accuracies,
    grid_cells,
    make_candidates,
    make_world,
)
from benchmarks.harness import markdown, part_parser, run_parts, shipped_config
from resomap.analysis.decision.candidates import Candidate
from resomap.analysis.decision.choice import answer_status, choose
from resomap.analysis.decision.comparison import Ranking, rank_candidates
from resomap.analysis.decision.inputs import read_inputs, read_sweep
from resomap.analysis.decision.looks import Looks
from resomap.analysis.predictions import Cell, sweep_runs
from resomap.report.text.format import candidate_name
from resomap.rounds.policy import TrainingGrid, first_round, next_round
from resomap.system.files import read_json
from resomap.workflow.lifecycle import read_run_config

PAGE_TITLE = (
    "# A sweep in rounds\n\nGrids of which every run is known, replayed in rounds. Written by "
    "`python -m benchmarks.rounds all --sweep DIR`."
)
TEST_IMAGES = 2000
SIZES = ((3, 2000), (5, 400), (5, 2000))
FALSE_BAR = 0.05
Draw = Callable[[np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class KnownGrid:
    """The correctness of every run (K, seeds, N) on both splits, and the true accuracies (K,)."""

    accuracy: np.ndarray
    val: np.ndarray
    test: np.ndarray

    @property
    def seeds(self) -> int:
        """Return how many seeds every cell has."""
        return self.val.shape[1]

    def rank(self, trained: Sequence[int], share: float = 1.0) -> Ranking:
        """Rank the cells by their first seeds, at a share of the error."""
        return rank_candidates(self.candidates(trained), MARGIN, CONFIDENCE, (), share)

    def candidates(self, trained: Sequence[int]) -> list[Candidate]:
        """Return the candidates of the runs that are trained."""
        splits = (
            [of_cell[:seeds] for of_cell, seeds in zip(split, trained, strict=True)]
            for split in (self.val, self.test)
        )
        return make_candidates(*splits)


def draw_grid(draw: Draw, seeds: int, images: int, rng: np.random.Generator) -> KnownGrid:
    """Draw the runs of a grid."""
    world = make_world(draw(rng), SEED_SD, seeds, rng)
    splits = (world.correct(world.images(n), slice(None)) for n in (images, TEST_IMAGES))
    return KnownGrid(world.accuracy, *splits)


@dataclass(frozen=True)
class Answer:
    """The status of a decision, and the cell that it names."""

    status: str
    cell: int


def answer_of(ranking: Ranking) -> Answer:
    """Return the answer: the certified cell, else the best."""
    certified = ranking.certificate.certified
    cell = ranking.best if certified is None else certified
    return Answer(answer_status(ranking, ranking.comparisons()), cell)


def play(
    grid: TrainingGrid, candidates_of: Callable[[Mapping[Cell, int]], list[Candidate]]
) -> tuple[dict[Cell, int], int]:
    """Train a grid in rounds; returns the seeds of each cell, and the rounds."""
    trained, rounds = dict.fromkeys(grid.cells, 0), 0
    plan = first_round(grid)
    while plan.runs:
        for run in plan.runs:
            trained[Cell(*run[:3])] += 1
        rounds += 1
        plan = next_round(grid, candidates_of(trained), trained, rounds)
    return trained, rounds


def play_rounds(known: KnownGrid) -> tuple[Answer, list[int], int]:
    """Train a simulated grid in rounds; returns the answer, the seeds of each cell, and the rounds."""
    cells = tuple(grid_cells(len(known.accuracy)))
    grid = TrainingGrid(cells, tuple(range(known.seeds)), shipped_config().report)
    by_cell, rounds = play(grid, lambda trained: known.candidates(list(trained.values())))
    trained = list(by_cell.values())
    return answer_of(known.rank(trained, grid.error_share(rounds))), trained, rounds


@dataclass
class Counts:
    """How the answers of rounds and of full grids compare, a value for each grid."""

    cost: list[float]
    same_cell: list[bool]
    same_answer: list[bool]
    no_dearer: list[bool]
    contradicted: list[bool]
    decided: list[bool]
    decided_by_grid: list[bool]
    false: list[bool]
    dropped_best: list[bool]
    latency: list[float]
    accuracy: list[float]
    rounds: list[int]

    @classmethod
    def empty(cls) -> "Counts":
        """Return counts of no grid."""
        return cls(*([] for _ in fields(cls)))

    def rate(self, name: str) -> Rate:
        """Return how often something held."""
        values = getattr(self, name)
        return Rate(sum(values), len(values))

    def add(self, grid: KnownGrid) -> None:
        """Play one grid, and compare."""
        costs, full_ranking = (
            cell_costs(len(grid.accuracy)),
            grid.rank([grid.seeds] * len(grid.accuracy)),
        )
        full, (found, trained, rounds) = answer_of(full_ranking), play_rounds(grid)
        lost = grid.accuracy.max() - grid.accuracy
        best = int(grid.accuracy.argmax())
        worse = {
            one.candidate.cell for one in full_ranking.comparisons() if one.verdict == "worse"
        }
        cells = grid_cells(len(grid.accuracy))
        values = (
            float(costs @ np.array(trained) / costs.sum() / grid.seeds),
            found.cell == full.cell,
            found == full,
            bool(costs[found.cell] <= costs[full.cell]),
            cells[found.cell] in worse,
            found.status != "undecided",
            full.status != "undecided",
            bool(found.status == "chosen" and lost[found.cell] > MARGIN),
            bool(trained[best] < max(trained) and lost[found.cell] > MARGIN),
            float(costs[found.cell] / costs[full.cell]),
            float(grid.accuracy[found.cell] - grid.accuracy[full.cell]),
            rounds,
        )
        for field, value in zip(fields(self), values, strict=True):
            getattr(self, field.name).append(value)


def replay(draw: Draw, seeds: int, images: int, draws: int) -> Counts:
    """Play simulated grids in rounds."""
    counts = Counts.empty()
    for number in range(draws):
        rng = np.random.default_rng([seeds, images, number])
        counts.add(draw_grid(draw, seeds, images, rng))
    return counts


def run_answers(options: Namespace, work: Path) -> str:
    """Compare rounds with full grids of the prior."""
    rows = []
    for seeds, images in SIZES:
        found = replay(draw_accuracies, seeds, images, options.draws)
        rows.append(
            (
                *(seeds, images, f"{np.median(found.cost):.2f} ({np.mean(found.cost):.2f})"),
                *(rate(found, "same_cell"), rate(found, "no_dearer")),
                *(f"{np.mean(found.latency):.2f}", f"{100 * np.mean(found.accuracy):+.2f}"),
                *(rate(found, "contradicted"), rate(found, "decided")),
                *(rate(found, "decided_by_grid"), rate(found, "dropped_best")),
            )
        )
    head = (
        *("S", "n", "training cost, median (mean)", "same cell", "costs no more"),
        *("latency", "accuracy, points", "contradicted", "decided", "grid decides"),
        "best dropped, choice false",
    )
    note = (
        f"{options.draws} grids a row: three models at five resolutions, S seeds, n validation and "
        f"{TEST_IMAGES:,} test images, accuracies as in decision.md. Training cost: that of the "
        "rounds over that of the grid, a training costing as its latency. The cell that the rounds "
        "name against that of the grid with all its seeds: the same, no dearer, its latency over "
        "the grid's and its true accuracy minus the grid's (means). Contradicted: the grid shows it "
        "to be worse than the margin. Decided: a cell is certified or the best is settled."
    )
    return f"{note}\n\n{markdown(head, rows)}"


def rate(found: Counts, name: str) -> str:
    """Return how often something held, as a share."""
    return f"{found.rate(name).value:.3f}"


def run_two_grids(options: Namespace, work: Path) -> str:
    """Compare two full grids of the same images, with different seeds."""
    rows = []
    for seeds, images in SIZES:
        same = []
        for number in range(options.draws):
            rng = np.random.default_rng([seeds, images, number, 1])
            grid = draw_grid(draw_accuracies, 2 * seeds, images, rng)
            halves = (slice(0, seeds), slice(seeds, None))
            answers = [
                answer_of(
                    KnownGrid(grid.accuracy, grid.val[:, half], grid.test[:, half]).rank(
                        [seeds] * len(grid.accuracy)
                    )
                )
                for half in halves
            ]
            same.append(answers[0].cell == answers[1].cell)
        rows.append((seeds, images, str(Rate(sum(same), len(same)))))
    note = (
        "How often two full grids name the same cell, that differ in nothing but their seeds. No "
        "procedure that leaves seeds out can be expected to name the cell of one grid much more often."
    )
    return f"{note}\n\n{markdown(('S', 'n', 'same cell'), rows)}"


def run_false(options: Namespace, work: Path) -> str:
    """Count false certificates, in the prior and in worlds built to be just outside."""
    worlds: dict[str, Draw] = {
        "prior": draw_accuracies,
        "14 cells just outside, the best last": outside,
        "14 cells just outside, the best in the middle": outside_of_middle,
    }
    rows = []
    for name, draw in worlds.items():
        for seeds, images in ((3, 2000), (5, 400), (5, 2000)):
            found = replay(draw, seeds, images, options.simulations).rate("false")
            verdict = "kept" if found.at_most(FALSE_BAR) else "MISSED"
            rows.append((name, seeds, images, str(found), verdict))
    note = (
        f"Cells certified by the rounds that truly lose more than the margin (bar {FALSE_BAR}, exact "
        "binomial test)."
    )
    return f"{note}\n\n{markdown(('grids', 'S', 'n', 'false', 'bar'), rows)}"


def run_real(options: Namespace, work: Path) -> str:
    """Replay finished sweeps of --sweep: their runs, in rounds."""
    if not options.sweep:
        raise SystemExit("name finished sweeps: --sweep DIR --sweep DIR")
    rows = [replay_sweep(directory) for directory in options.sweep]
    head = ("sweep", "grid", "training time", "rounds name", "the grid names", "status")
    note = (
        "Finished grids on real and rendered images, replayed in rounds. Training time: that of the "
        "rounds over that of the grid, each training at the mean of its cell."
    )
    return f"{note}\n\n{markdown(head, rows)}"


def replay_sweep(directory: Path) -> tuple[object, ...]:
    """Return a row about a finished sweep."""
    results, config = directory / "results", read_run_config(directory)
    sweep = read_inputs(results, config, config.report)
    _, cells, seeds, runs = read_sweep(results, config)
    rules = config.report
    grid = TrainingGrid(tuple(cells), tuple(seeds), rules, sweep.classes)

    def candidates_of(trained: Mapping[Cell, int]) -> list[Candidate]:
        return [first_seeds(one, trained[one.cell]) for one in sweep.candidates]

    trained, rounds = play(grid, candidates_of)
    looks = Looks(grid.error_share(rounds))
    found = choose(candidates_of(trained), rules, sweep.classes, looks=looks)
    full = choose(sweep.candidates, rules, sweep.classes)
    # Of a cell, as the machine may have been busy during some of its trainings.
    seconds = dict.fromkeys(cells, 0.0)
    for run in sweep_runs(cells, seeds, runs):
        recorded = read_json(run.folder / "timing.json")
        seconds[run.cell] += recorded["train_seconds"] / len(seeds)
    spent = sum(value * trained[cell] for cell, value in seconds.items())
    whole = sum(seconds.values()) * len(seeds)
    return (
        *(
            config.experiment.title or directory.name,
            f"{len(cells)} cells x {len(seeds)} seeds",
        ),
        f"{spent / whole:.2f}, {rounds} rounds",
        *(candidate_name(one["choice"]) if one["choice"] else "none" for one in (found, full)),
        f"{found['status']}, {full['status']}",
    )


def first_seeds(candidate: Candidate, count: int) -> Candidate:
    """Return a candidate with the first of its seeds alone."""
    seeds = candidate.val.seeds[:count]
    return replace(
        candidate, val=candidate.val.of_seeds(seeds), test=candidate.test.of_seeds(seeds)
    )


PARTS = {
    "answers": ("Answers and costs", run_answers),
    "two_grids": ("Two full grids", run_two_grids),
    "false": ("False certificates", run_false),
    "real": ("Finished sweeps", run_real),
}


def main() -> None:
    """Run the parts that the command line names."""
    parser = part_parser(__doc__, PARTS, "rounds.md")
    parser.set_defaults(cores=1, rounds=1)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--simulations", type=int, default=400)
    parser.add_argument("--sweep", type=Path, action="append", default=[])
    run_parts(parser.parse_args(), PAGE_TITLE, PARTS)


if __name__ == "__main__":
    main()
