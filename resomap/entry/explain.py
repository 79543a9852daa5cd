"""Explain one run by every method and assess the maps."""

from pathlib import Path

from resomap.data.store.store import open_store
from resomap.entry import arguments
from resomap.entry.explained_run import open_explained_run
from resomap.explain import run
from resomap.explain.intervention import INTERVENTION_COLUMNS
from resomap.explain.sanity import SANITY_COLUMNS
from resomap.system.files import write_arrays, write_rows
from resomap.system.gpu_memory import limit_memory_to_slot
from resomap.system.gpus import keep_freed_memory, open_device
from resomap.system.precision import use_float32
from resomap.training.checkpoint import load_weights, recorded_normalisation
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
    """Write the signed maps of each method and four tables that assess them.

    `attributions` are the files of the methods, in the order of `explainability.methods`.
    """
    device = open_device(job.device, threads)
    limit_memory_to_slot(device)
    use_float32()
    keep_freed_memory()
    state, metadata = load_weights(weights)
    explanations = run.empty_explanations(job.explainability)
    tables: list[list[run.Row]] = [[], [], [], []]
    # A diverged or infeasible run has no network, but its files are declared: write them empty.
    if metadata["status"] == "ok":
        store = open_store(data).normalised_by(recorded_normalisation(metadata))
        explained = open_explained_run(job, store, state, device)
        explanations = list(explained.explain())
        tables = [
            explained.localisation_rows(explanations),
            explained.faithfulness_rows(explanations),
            explained.sanity_rows(explanations),
            explained.intervention_rows(),
        ]
    for path, explanation in zip(attributions, explanations, strict=True):
        write_arrays(path, **explanation.arrays())
    write_rows(localisation, tables[0], run.LOCALISATION_COLUMNS)
    write_rows(faithfulness, tables[1], run.FAITHFULNESS_COLUMNS)
    write_rows(sanity, tables[2], SANITY_COLUMNS)
    write_rows(interventions, tables[3], INTERVENTION_COLUMNS)


if __name__ == "__main__":
    arguments.run_entry_point(main)
