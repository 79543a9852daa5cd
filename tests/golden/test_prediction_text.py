"""The English about modes of evaluation, confusion, demand and cascades."""

from dataclasses import replace
from typing import Any

import pytest

from resomap.analysis.findings.accuracy import adaptations, transfer
from resomap.analysis.findings.cascades import best_cascade
from resomap.analysis.findings.confusion import top_confusion
from resomap.analysis.findings.demand import demand_of_model
from resomap.analysis.tables import Tables, read_tables
from resomap.report.text.accuracy import (
    adaptation_sentence,
    transfer_sentence,
    transfer_title,
)
from resomap.report.text.cascades import cascade_sentences, cascade_title
from resomap.report.text.confusion import confusion_title
from resomap.report.text.demand import demand_sentence, demand_title
from tests.synthetic import Sweep, aggregate


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    folder = tmp_path_factory.mktemp("results")
    aggregate(folder, Sweep(modes=("raw", "bn"), explained=0, without_norm=("simple_cnn",)))
    return read_tables(folder / "tables")


def test_prediction_page(tables: Tables, snapshot: Any) -> None:
    moved = transfer(tables.matrix)
    (adapted,) = adaptations(tables.matrix)
    tuned = replace(adapted, subject={"mode": "finetune"})
    confusion = top_confusion(tables.confusion, "tiny_cnn", 24)
    demand = demand_of_model(tables.demand, "tiny_cnn")
    cascade = best_cascade(tables.cascades)
    sentences = [
        transfer_sentence(moved),
        transfer_title(replace(moved, state="gain")),
        adaptation_sentence(adapted),
        adaptation_sentence(tuned),
        *(confusion_title(replace(confusion, state=state)) for state in CONFUSIONS),
        *(demand_title(replace(demand, state=state)) for state in DEMANDS),
        demand_sentence(demand),
        *(cascade_title(replace(cascade, state=state)) for state in CASCADES),
        *cascade_sentences(cascade),
    ]
    assert "\n".join(sentences) == snapshot


CONFUSIONS = ("described", "none", "unknown")
DEMANDS = ("described", "one resolution", "unknown")
CASCADES = ("shown", "not shown", "none", "unknown")
