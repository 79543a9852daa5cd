import pandas as pd

from resomap.report.figures.reef import pair_accuracy_of_runs


def test_group_accuracy_weighs_classes_by_images() -> None:
    keys = {"family": "f", "model": "m", "resolution": 24, "seed": 0, "group": "fine"}
    classes = pd.DataFrame(
        [{**keys, "n": 30, "pair_accuracy": 1.0}, {**keys, "n": 10, "pair_accuracy": 0.0}]
    )
    groups = pd.DataFrame([{"group": "fine", "frequency": 40.0}])
    assert pair_accuracy_of_runs(classes, groups)["pair_accuracy"].tolist() == [0.75]
