"""Give the exported networks of one cell its test images by other preprocessings."""

from pathlib import Path

import torch

from resomap.data.store.store import open_store
from resomap.deploy.parity_table import parity_lines
from resomap.entry.arguments import run_entry_point
from resomap.entry.compared_cell import measure_cell, table_rows
from resomap.system.files import write_rows
from resomap.training.checkpoint import load_weights, recorded_normalisation
from resomap.workflow.jobs import ComparePreprocessing
from resomap.workflow.layout import table_columns


def main(
    job: ComparePreprocessing,
    data: Path,
    weights: tuple[Path, ...],
    networks: tuple[Path, ...],
    table: Path,
    threads: int,
) -> None:
    """Write a row per preprocessing; no rows where no run of the cell has a network.

    The log has them as a table, with a sentence.
    """
    torch.set_num_threads(threads)
    # Of runs that ended without a result, and of networks that are not deployable, it is empty.
    runs = zip(weights, networks, strict=True)
    exported = [(own, network) for own, network in runs if network.stat().st_size]
    if not exported:
        write_rows(table, [], table_columns("cell_parity"))
        return
    _, metadata = load_weights(exported[0][0])
    store = open_store(data).normalised_by(recorded_normalisation(metadata))
    costs = measure_cell(job, store, [network for _, network in exported])
    cell = f"{job.architecture.name} at {job.resolution} px"
    print("\n".join(parity_lines(costs, job.confidence, cell)))
    write_rows(table, table_rows(job, costs), table_columns("cell_parity"))


if __name__ == "__main__":
    run_entry_point(main)
