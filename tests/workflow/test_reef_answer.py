"""The reef's known answer comes out of the whole workflow: the staircase, and evidence that follows the cue."""

import pandas as pd
import pytest

# One network of the default sweep with its own recipe; fewer test pictures, to be done in two minutes.
SWEEP = {"sweep": {"models": ["tiny_cnn"]}, "data": {"reef": {"test": 800}}}


@pytest.fixture(scope="module")
def tables(copy, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    checkout = copy(tmp_path_factory.mktemp("reef") / "resomap")
    run = checkout.snakemake("tables", overlay=SWEEP, smoke=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return {
        name: pd.read_csv(checkout.path / f"results/tables/{name}.csv")
        for name in ("classes", "explanations", "runs", "alarms", "sanity")
    }


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
def test_a_pair_is_told_apart_where_sampling_theory_says_so(
    tables, resolution, group, low, high
):
    classes = tables["classes"].query("resolution == @resolution and group == @group")
    assert low <= classes["pair_accuracy"].mean() <= high


@pytest.mark.parametrize("method", ["gradcam", "integrated_gradients"])
def test_evidence_lies_on_the_medium_stripes_and_not_on_the_fine_ones_at_48_px_only(
    tables, method
):
    difference = medium_minus_fine(tables["explanations"], method)
    assert difference[48] > 0.1
    assert difference[48] > difference[24] + 0.1
    assert difference[48] > difference[96] + 0.1


def medium_minus_fine(explanations: pd.DataFrame, method: str) -> pd.Series:
    """Of the relevance mass over the best that the grid allows, by resolution."""
    rows = explanations[explanations["method"] == method]
    mass = (
        (rows["relevance_mass"] / rows["relevance_mass_best"])
        .groupby([rows["resolution"], rows["group"]])
        .mean()
        .unstack()
    )
    return mass["medium"] - mass["fine"]


def test_an_edge_filter_shows_as_much_so_that_this_alone_proves_nothing(tables):
    assert medium_minus_fine(tables["explanations"], "edge")[48] > 0.1


def test_only_the_edge_filter_is_struck_out(tables):
    passed = tables["sanity"].groupby("method")["passed"].all()
    assert passed.to_dict() == {
        "edge": False,
        "gradcam": True,
        "integrated_gradients": True,
        "saliency": True,
    }


def test_no_alarm_is_raised_without_a_sticker_and_the_exchange_agrees(tables):
    assert set(tables["alarms"]["state"]) == {"silent"}
    assert set(tables["alarms"]["judged"].dropna()) == {"agrees"}


@pytest.fixture(scope="module")
def sticker_alarms(copy, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """One network a resolution, of a reef whose sticker agrees with the stripes 95 times in 100."""
    checkout = copy(tmp_path_factory.mktemp("sticker") / "resomap")
    sweep = {"models": ["tiny_cnn"], "resolutions": [24, 48], "seeds": [0]}
    overlay = {
        "sweep": sweep,
        "data": {"reef": {"test": 400, "shortcut": 0.95}},
        "explainability": {"faithfulness": {"images": 0}},
    }
    run = checkout.snakemake("tables", overlay=overlay, smoke=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return pd.read_csv(checkout.path / "results/tables/alarms.csv")


def test_a_sticker_raises_the_alarm_where_the_cue_is_lost_and_the_exchange_agrees(
    sticker_alarms,
):
    fired = sticker_alarms[sticker_alarms["state"] == "fires"]
    assert sorted(zip(fired["resolution"], fired["group"], strict=True)) == [
        (24, "fine"),
        (24, "medium"),
        (48, "fine"),
    ]
    assert set(sticker_alarms["judged"].dropna()) == {"agrees"}
    assert all(len(images.split()) == 6 for images in fired["images"])


def test_every_run_is_tabulated_as_finished(tables):
    assert list(tables["runs"]["status"]) == ["ok"] * 6
