"""Explain one run by every method, and ask what its maps are worth."""

from pathlib import Path

from resomap.data.store.store import open_store
from resomap.entry import arguments
from resomap.entry.explained_run import open_explained_run
from resomap.explain import run
from resomap.explain.intervention import INTERVENTION_COLUMNS
from resomap.explain.sanity import SANITY_COLUMNS
from resomap.system.files import write_arrays, write_rows
from resomap.system.gpus import keep_freed_memory, open_device
from resomap.training.checkpoint import load_weights
from resomap.workflow.jobs import Explain


def main(
    job: Explain,
    data: Path,
    weights: Path,
    localisation: Path,
    faithfulness: Path,
    sanity: Path,
    interventions: Path,
    attributions: tuple[Path, ...],
    threads: int,
) -> None:
    """Write each method's signed maps, in the order of `explainability.methods`, and four tables of what they are worth."""
    device = open_device(job.device, threads)
    keep_freed_memory()
    state, about = load_weights(weights)
    explanations = run.empty_explanations(job.explainability)
    tables: list[list[run.Row]] = [[], [], [], []]
    if about["status"] == "ok":
        subject = open_explained_run(job, open_store(data), state, device)
        explanations = list(subject.explain())
        of_maps = [
            judge(explanations)
            for judge in (
                subject.localisation_rows,
                subject.faithfulness_rows,
                subject.sanity_rows,
            )
        ]
        tables = [*of_maps, subject.intervention_rows()]
    for path, explanation in zip(attributions, explanations, strict=True):
        write_arrays(path, **explanation.arrays())
    files = (localisation, faithfulness, sanity, interventions)
    for path, rows, columns in zip(
        files,
        tables,
        (
            run.LOCALISATION_COLUMNS,
            run.FAITHFULNESS_COLUMNS,
            SANITY_COLUMNS,
            INTERVENTION_COLUMNS,
        ),
        strict=True,
    ):
        write_rows(path, rows, columns)


if __name__ == "__main__":
    arguments.run_entry_point(main)
