"""Laws of the suggestions: resolutions, seeds, epochs and batch size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resomap.analysis.decision.outlook import SweepSize, detectable_difference
from resomap.suggest.recipe import recipe_of, suggest_batch_size, suggest_epochs
from resomap.suggest.resolutions import ENOUGH_DETAIL, suggest_resolutions
from resomap.suggest.seeds import FEWEST, MOST, suggest_seeds
from resomap.suggest.summary import SIDES

SIZES = st.builds(
    SweepSize,
    cells=st.integers(2, 20),
    seeds=st.just(1),
    val=st.integers(10, 5_000),
    test=st.integers(10, 100_000),
)
MARGINS = st.floats(0.001, 0.3)


def kept_from(native: int, half: float) -> dict[int, float]:
    """Return shares of detail of images of which `half` px hold half."""
    whole = native / (native + half)
    return {side: side / (side + half) / whole for side in SIDES if side <= native}


@given(st.integers(1, 512), st.floats(0.01, 200), st.sampled_from([224, 512]))
def test_no_resolution_exceeds_what_the_images_hold(native, half, most):
    sides = suggest_resolutions(native, kept_from(native, half), most)
    assert sides == sorted(set(sides))
    assert 1 <= len(sides) <= 3
    assert max(sides) <= min(native, most)


@given(st.integers(8, 512), st.floats(0.01, 200))
def test_largest_resolution_keeps_enough_detail_if_any_does(native, half):
    kept = kept_from(native, half)
    largest = suggest_resolutions(native, kept, 512)[-1]
    enough = [side for side in kept if kept[side] >= ENOUGH_DETAIL]
    assert largest == (min(enough) if enough else max(kept))


@given(st.integers(8, 512), st.floats(0.01, 200))
def test_pretrained_weights_are_tried_at_their_own_side(native, half):
    kept = kept_from(native, half)
    largest = suggest_resolutions(native, kept, 224, pretrained=True)[-1]
    assert largest == max(side for side in kept if side <= 224)


@given(SIZES, MARGINS, MARGINS)
def test_wider_margin_never_takes_more_seeds(size, one, other):
    narrow, wide = sorted((one, other))
    assert suggest_seeds(size, wide, 0.95) <= suggest_seeds(size, narrow, 0.95)


@given(SIZES, MARGINS)
def test_fewest_seeds_that_detect_the_margin_are_taken(size, margin):
    seeds = suggest_seeds(size, margin, 0.95)
    assert FEWEST <= seeds <= MOST
    if seeds > FEWEST:
        fewer = SweepSize(size.cells, seeds - 1, size.val, size.test)
        assert detectable_difference(fewer, 0.95) > margin


@given(st.integers(2, 200_000), st.integers(2, 200_000), st.booleans())
def test_more_images_never_take_more_epochs_or_a_smaller_batch(one, other, pretrained):
    few, many = sorted((one, other))
    epochs = [suggest_epochs(train, pretrained=pretrained) for train in (few, many)]
    assert epochs[0] >= epochs[1] > 0
    batches = [suggest_batch_size(train) for train in (few, many)]
    assert batches[0] <= batches[1]


@given(st.integers(2, 200_000))
def test_batch_is_no_larger_than_the_training_images(train):
    assert 2 <= suggest_batch_size(train) <= train


@pytest.mark.parametrize("start", ["random", "pretrained", "weights.pth"])
@pytest.mark.parametrize("epochs", [1, 2, 30])
def test_recipe_is_valid_for_any_number_of_epochs(start, epochs):
    from resomap.config.load import build_config

    training = {"epochs": epochs, **recipe_of(start, epochs)}
    built = build_config({"sweep": {"models": ["resnet18"]}, "training": training}).training
    assert built.start.is_random == (start == "random")
