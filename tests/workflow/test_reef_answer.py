"""The whole workflow finds what is known of the reef: where pairs can be told apart, and which evidence is used."""

import pandas as pd
import pytest

# One model and seed of the default sweep with its own training, and what no test here reads left out.
NO_FAITHFULNESS = {"faithfulness": {"images": 0}}
OVERLAY = {
    "sweep": {"models": ["tiny_cnn"], "seeds": [0]},
    "data": {"reef": {"test": 800}},
    "explainability": NO_FAITHFULNESS,
}


@pytest.fixture(scope="module")
def tables(copy_to, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    checkout = copy_to(tmp_path_factory.mktemp("reef") / "resomap")
    run = checkout.snakemake("tables", overlay=OVERLAY, smoke=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return {
        name: pd.read_csv(checkout.path / f"results/tables/{name}.csv")
        for name in ("classes", "explanations", "runs", "alarms", "sanity")
    }


@pytest.fixture(scope="module")
def sticker_alarms(copy_to, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The alarms of a reef whose sticker agrees with the stripes 95 times in 100; one seed."""
    checkout = copy_to(tmp_path_factory.mktemp("sticker") / "resomap")
    overlay = {
        "sweep": {"models": ["tiny_cnn"], "resolutions": [24, 48], "seeds": [0]},
        "data": {"reef": {"test": 400, "shortcut": 0.95}},
        "explainability": NO_FAITHFULNESS,
    }
    run = checkout.snakemake("tables", overlay=overlay, smoke=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return pd.read_csv(checkout.path / "results/tables/alarms.csv")


def medium_minus_fine(explanations: pd.DataFrame, method: str) -> pd.Series:
    """Return by resolution the difference in relevance mass over the best that the grid allows."""
    rows = explanations[explanations["method"] == method]
    share = rows["relevance_mass"] / rows["relevance_mass_best"]
    mass = share.groupby([rows["resolution"], rows["group"]]).mean().unstack()
    return mass["medium"] - mass["fine"]


# Below twice its frequency, a pair is told apart by chance only (the sampling theorem).
@pytest.mark.parametrize(
    ("resolution", "group", "low", "high"),
    [
        (24, "broad", 0.9, 1.0),
        (24, "medium", 0.0, 0.65),
        (24, "fine", 0.0, 0.65),
        (48, "broad", 0.9, 1.0),
        (48, "medium", 0.9, 1.0),
        (48, "fine", 0.0, 0.65),
        (96, "broad", 0.9, 1.0),
        (96, "medium", 0.9, 1.0),
        (96, "fine", 0.9, 1.0),
    ],
)
def test_pair_accuracy_follows_the_sampling_theorem(tables, resolution, group, low, high):
    classes = tables["classes"].query("resolution == @resolution and group == @group")
    assert low <= classes["pair_accuracy"].mean() <= high


@pytest.mark.parametrize("method", ["gradcam", "integrated_gradients"])
def test_evidence_differs_at_48_px_only(tables, method):
    difference = medium_minus_fine(tables["explanations"], method)
    assert difference[48] > 0.1
    assert difference[48] > difference[24] + 0.1
    assert difference[48] > difference[96] + 0.1


def test_edge_filter_shows_the_same_difference(tables):
    # So the difference alone does not prove that the model uses this evidence.
    assert medium_minus_fine(tables["explanations"], "edge")[48] > 0.1


def test_only_the_edge_filter_fails_the_sanity_check(tables):
    passed = tables["sanity"].groupby("method")["passed"].all()
    assert passed.to_dict() == {
        "edge": False,
        "gradcam": True,
        "integrated_gradients": True,
        "saliency": True,
    }


def test_reef_without_sticker_raises_no_alarm(tables):
    assert set(tables["alarms"]["state"]) == {"silent"}
    assert set(tables["alarms"]["judged"].dropna()) == {"agrees"}


def test_sticker_raises_alarms_confirmed_by_interventions(sticker_alarms):
    fired = sticker_alarms[sticker_alarms["state"] == "fires"]
    assert sorted(zip(fired["resolution"], fired["group"], strict=True)) == [
        (24, "fine"),
        (24, "medium"),
        (48, "fine"),
    ]
    assert set(sticker_alarms["judged"].dropna()) == {"agrees"}
    assert all(len(images.split()) == 6 for images in fired["images"])


def test_every_run_is_ok(tables):
    assert list(tables["runs"]["status"]) == ["ok"] * 3
