"""Confusion matrices of the cells, from the predictions of their runs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from resomap.analysis.findings.confusion import top_confusion
from resomap.analysis.tables import read_tables
from resomap.system import files
from tests.synthetic import CLASSES, Sweep, aggregate, write_results, write_tables_of

SWEEP = Sweep(models=("tiny_cnn",), resolutions=(24, 48), test=80, val=24, explained=0)


@pytest.fixture(scope="module")
def confusion(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("results")
    manifest = write_results(folder, SWEEP)
    for seed in SWEEP.seeds:
        path = folder / f"runs/custom/tiny_cnn/r48/seed{seed}/predictions.npz"
        arrays = files.read_arrays(path)
        arrays["logits_r48"] = np.eye(8, dtype=np.float32)[arrays["label"]]
        if seed == 1:
            # The first two of ten images of class 7 are taken for class 6.
            arrays["logits_r48"][[7, 15], 6] = 2
        files.write_arrays(path, **arrays)
    write_tables_of(folder, SWEEP, manifest)
    return read_tables(folder / "tables").confusion


def test_counts_are_sums_over_runs(confusion: pd.DataFrame) -> None:
    own = confusion[confusion["resolution"] == 48].set_index(["class", "predicted"])
    assert own.loc[(CLASSES[7], CLASSES[6]), ["n", "count", "n_seeds"]].tolist() == [20, 2, 2]
    assert own.loc[(CLASSES[7], CLASSES[7]), "count"] == 18
    assert own.loc[(CLASSES[0], CLASSES[0]), "count"] == 20
    assert len(own) == 9


def test_counts_of_a_class_add_up_to_its_images(confusion: pd.DataFrame) -> None:
    sums = confusion.groupby(["resolution", "class"]).agg({"count": "sum", "n": "first"})
    assert (sums["count"] == sums["n"]).all()
    assert (sums["n"] == 20).all()


def test_most_frequent_confusion_has_share_and_count(confusion: pd.DataFrame) -> None:
    finding = top_confusion(confusion, "tiny_cnn", 48)
    assert finding.state == "described"
    assert (finding.subject["class"], finding.subject["predicted"]) == (CLASSES[7], CLASSES[6])
    assert (finding.numbers["share"].value, finding.numbers["share"].n) == (0.1, 20)


def test_cell_without_errors_or_runs_has_no_confusion(confusion: pd.DataFrame) -> None:
    right = confusion[confusion["class"] == confusion["predicted"]]
    assert top_confusion(right, "tiny_cnn", 48).state == "none"
    assert top_confusion(right, "tiny_cnn", 96).state == "unknown"


def test_matrix_of_failed_runs_is_empty(tmp_path: Path) -> None:
    statuses = {("tiny_cnn", px, seed): "diverged" for px in (24, 48) for seed in (0, 1)}
    aggregate(tmp_path, Sweep(**{**vars(SWEEP), "statuses": statuses}))
    assert read_tables(tmp_path / "tables").confusion.empty
