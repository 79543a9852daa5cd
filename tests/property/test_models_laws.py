import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resomap.models import load_model_from_config
from resomap.models.custom import SimpleCNN
from resomap.models.inspect import MIN_MAP_SIDE, candidate_layers, find_layer

torch.set_num_threads(1)

CHANNELS = st.lists(st.integers(1, 6), min_size=1, max_size=4)


@pytest.fixture(scope="module", params=["tiny_cnn", "resnet18"])
def model(request: pytest.FixtureRequest) -> torch.nn.Module:
    with torch.device("meta"):
        return load_model_from_config(request.param, num_classes=8)


@settings(max_examples=15, deadline=None)
@given(resolution=st.integers(8, 512))
def test_no_deeper_block_is_wide_enough(model, resolution):
    blocks = candidate_layers(model, resolution)
    name, _, side = find_layer(model, resolution, "auto")
    deeper = blocks[blocks.index((name, side)) + 1 :]
    assert all(other < min(MIN_MAP_SIDE, side) for _, other in deeper)
    assert side >= MIN_MAP_SIDE or side == max(other for _, other in blocks)


@settings(max_examples=15, deadline=None)
@given(resolution=st.integers(8, 512))
def test_maps_shrink_with_depth_and_grow_with_resolution(model, resolution):
    sides, larger_sides = (
        [side for _, side in candidate_layers(model, pixels)]
        for pixels in (resolution, resolution + 1)
    )
    assert sides == sorted(sides, reverse=True)
    assert all(larger >= side for larger, side in zip(larger_sides, sides, strict=True))


@settings(max_examples=15, deadline=None)
@given(channels=CHANNELS, extra=st.integers(0, 9), classes=st.integers(1, 4))
def test_simple_cnn_takes_images_it_can_halve(channels, extra, classes):
    side = 2 ** (len(channels) - 1) + extra
    logits = SimpleCNN(classes, channels=channels)(torch.zeros(2, 3, side, side))
    assert logits.shape == (2, classes)


@settings(max_examples=15, deadline=None)
@given(channels=CHANNELS, seed=st.integers(0, 2**31))
def test_equal_seeds_give_equal_networks(channels, seed):
    torch.manual_seed(seed)
    first = SimpleCNN(2, channels=channels)
    torch.manual_seed(seed)
    second = SimpleCNN(2, channels=channels)
    assert all(map(torch.equal, first.parameters(), second.parameters()))
