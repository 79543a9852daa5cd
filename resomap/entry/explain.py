"""Explain one run by every method, and ask what its maps are worth."""

from pathlib import Path

from resomap.data.store import open_store
from resomap.devices import keep_freed_memory, open_device
from resomap.entry.arguments import run
from resomap.explain import stage
from resomap.explain.intervention import COLUMNS as INTERVENTIONS
from resomap.explain.sanity import COLUMNS as SANITY
from resomap.files import write_arrays, write_rows
from resomap.jobs import Explain
from resomap.subject import open_subject
from resomap.training.checkpoint import load_weights


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
    explanations = stage.unexplained(job.explainability)
    tables: list[list[stage.Row]] = [[], [], [], []]
    if about["status"] == "ok":
        subject = open_subject(job, open_store(data), state, device)
        explanations = list(subject.explain())
        of_maps = [judge(explanations) for judge in (subject.localisation, subject.faithfulness, subject.sanity)]
        tables = [*of_maps, subject.interventions()]
    for path, explanation in zip(attributions, explanations, strict=True):
        write_arrays(path, **explanation.arrays())
    files = (localisation, faithfulness, sanity, interventions)
    for path, rows, columns in zip(files, tables, (stage.LOCALISATION, stage.FAITHFULNESS, SANITY, INTERVENTIONS), strict=True):
        write_rows(path, rows, columns)


if __name__ == "__main__":
    run(main)
