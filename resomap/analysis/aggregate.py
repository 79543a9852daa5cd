"""All tables of a sweep, from its result files."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from resomap import files, sections
from resomap.analysis import summaries, tables
from resomap.analysis.answers import Answers, Cell, read_answers, sweep_cells
from resomap.analysis.choose import choose
from resomap.analysis.compare import Candidate, Cost


def write_tables(
    manifest: dict[str, Any],
    runs: Path,
    profiles: Path,
    folder: Path,
    *,
    models: Sequence[sections.Architecture],
    resolutions: Sequence[int],
    seeds: Sequence[int],
    report: sections.Report,
) -> None:
    """Write the tidy tables, their summaries, `environment.json` and `choice.json` into `folder`; what is missing stays blank."""
    cells = sweep_cells(models, resolutions)
    measured = list(tables.profile_rows(cells, profiles))
    costs = summaries.read_costs(measured)
    val, test = ({cell: found for cell in cells if (found := read_answers(cell, seeds, runs, manifest, s))} for s in ("val", "test"))

    def write(name: str, rows: Iterable[tables.Row], columns: Sequence[str]) -> None:
        files.write_rows(folder / f"{name}.csv", list(rows), columns)

    write("runs", tables.run_rows(cells, seeds, runs, manifest), tables.RUNS)
    write("evaluation", tables.evaluation_rows(cells, seeds, runs), tables.EVALUATION)
    write("classes", tables.class_rows(cells, seeds, runs, manifest), tables.CLASSES)
    write("profiles", measured, tables.PROFILES)
    write("explanations", tables.explanation_rows(cells, seeds, runs), tables.EXPLANATIONS)
    write("cells", summaries.cell_rows(cells, len(seeds), test, val, costs, report.confidence), summaries.CELLS)
    write("groups", summaries.group_rows(test, manifest, report.confidence), summaries.GROUPS)
    write("matrix", summaries.matrix_rows(test, report.confidence), summaries.MATRIX)
    write("knees", summaries.knee_rows(val, manifest, report.margin, report.confidence), summaries.KNEES)
    files.write_json(folder / "environment.json", summaries.read_environment(cells, seeds, runs))
    files.write_json(folder / "choice.json", choose(_candidates(cells, val, test, costs), report))


def _candidates(cells: Sequence[Cell], val: dict[Cell, Answers], test: dict[Cell, Answers], costs: dict[Cell, Cost]) -> list[Candidate]:
    return [Candidate(val[cell], test[cell], costs.get(cell)) for cell in cells if cell in test]
