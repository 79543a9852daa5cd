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
    return {name: pd.read_csv(checkout.path / f"results/tables/{name}.csv") for name in ("classes", "explanations", "runs")}


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
def test_a_pair_is_told_apart_where_sampling_theory_says_so(tables, resolution, group, low, high):
    classes = tables["classes"].query("resolution == @resolution and group == @group")
    assert low <= classes["pair_accuracy"].mean() <= high


@pytest.mark.parametrize("method", ["gradcam", "integrated_gradients"])
def test_evidence_lies_on_the_medium_stripes_and_not_on_the_fine_ones_at_48_px_only(tables, method):
    mass = tables["explanations"].query("method == @method").groupby(["resolution", "group"])["relevance_mass"].mean().unstack()
    difference = mass["medium"] - mass["fine"]
    assert difference[48] > 0.1
    assert difference[48] > difference[24] + 0.1
    assert difference[48] > difference[96] + 0.1


def test_every_run_is_tabulated_as_finished(tables):
    assert list(tables["runs"]["status"]) == ["ok"] * 6
