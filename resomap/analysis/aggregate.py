"""All tables of a sweep, from its result files."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from resomap.analysis import alarm, cost, energy, evidence, summaries, tables
from resomap.analysis.answers import Answers, Cell, read_answers, sweep_cells
from resomap.analysis.choose import choose
from resomap.analysis.compare import Candidate, Cost
from resomap.analysis.measurements import Row, read_records
from resomap.config import schema
from resomap.system import files


def write_tables(
    manifest: dict[str, Any],
    runs: Path,
    profiles: Path,
    agreement: Path,
    folder: Path,
    *,
    models: Sequence[schema.Architecture],
    resolutions: Sequence[int],
    seeds: Sequence[int],
    report: schema.Report,
) -> None:
    """Write the tidy tables, their summaries, `environment.json` and `choice.json` into `folder`; what is missing stays blank."""
    cells = sweep_cells(models, resolutions)
    measured = list(read_records(cells, profiles, "cells"))
    costs = summaries.read_costs(
        pd.DataFrame(tables.profile_rows(measured), columns=tables.PROFILES)
    )
    val, test = (
        {
            cell: found
            for cell in cells
            if (found := read_answers(cell, seeds, runs, manifest, s))
        }
        for s in ("val", "test")
    )

    def write(name: str, rows: Iterable[Row], columns: Sequence[str]) -> None:
        files.write_rows(folder / f"{name}.csv", list(rows), columns)

    write("runs", tables.run_rows(cells, seeds, runs, manifest), tables.RUNS)
    write("evaluation", tables.evaluation_rows(cells, seeds, runs), tables.EVALUATION)
    write("classes", tables.class_rows(cells, seeds, runs, manifest), tables.CLASSES)
    write("stages", tables.stage_rows(read_records(cells, profiles, "stages")), tables.STAGES)
    scored = list(summaries.cell_rows(cells, len(seeds), test, val, costs, report.confidence))
    write("cells", scored, summaries.CELLS)
    write("groups", summaries.group_rows(test, manifest, report.confidence), summaries.GROUPS)
    write("matrix", summaries.matrix_rows(test, report.confidence), summaries.MATRIX)
    write(
        "knees",
        summaries.knee_rows(val, manifest, report.margin, report.confidence),
        summaries.KNEES,
    )
    of_evidence = _evidence_tables(cells, seeds, runs, agreement, report.confidence)
    alarms = alarm.alarm_rows(
        test,
        runs,
        manifest,
        {name: rows for name, (rows, _) in of_evidence.items()},
        report.confidence,
    )
    for name, (rows, columns) in {
        **_cost_tables(measured, scored, report.confidence),
        **of_evidence,
        "alarms": (alarms, alarm.ALARMS),
    }.items():
        write(name, rows, columns)
    files.write_json(
        folder / "environment.json", summaries.read_environment(cells, seeds, runs)
    )
    files.write_json(
        folder / "choice.json", choose(_candidates(cells, val, test, costs), report)
    )


def _cost_tables(
    measured: Sequence[Row], scored: Sequence[Row], confidence: float
) -> dict[str, tuple[Iterable[Row], Sequence[str]]]:
    """Rows and columns of every table made from the measurements; `scored` are the rows of cells.csv."""
    neighbours = cost.neighbour_rows(measured, confidence)
    return {
        "profiles": (tables.profile_rows(measured), tables.PROFILES),
        "neighbours": (neighbours, cost.NEIGHBOURS),
        "cost": (cost.cost_rows(measured, neighbours, confidence), cost.COST),
        "energy": (energy.energy_rows(measured, scored), energy.ENERGY),
    }


def _evidence_tables(
    cells: Sequence[Cell], seeds: Sequence[int], runs: Path, agreement: Path, confidence: float
) -> dict[str, tuple[list[Row], Sequence[str]]]:
    """Rows and columns of every table made from the explanations."""
    rows = {
        "explanations": (evidence.explanation_rows(cells, seeds, runs), evidence.EXPLANATIONS),
        "agreement": (evidence.agreement_rows(cells, agreement), evidence.AGREEMENT),
        "faithfulness": (evidence.faithfulness_rows(cells, seeds, runs), evidence.FAITHFULNESS),
        "sanity": (evidence.sanity_rows(cells, seeds, runs), evidence.SANITY),
        "interventions": (
            evidence.intervention_rows(cells, seeds, runs, confidence),
            evidence.INTERVENTIONS,
        ),
    }
    return {name: (list(found), columns) for name, (found, columns) in rows.items()}


def _candidates(
    cells: Sequence[Cell],
    val: dict[Cell, Answers],
    test: dict[Cell, Answers],
    costs: dict[Cell, Cost],
) -> list[Candidate]:
    return [Candidate(val[cell], test[cell], costs.get(cell)) for cell in cells if cell in test]
