import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resomap.models import load_model_from_config
from resomap.models.custom import SimpleCNN
from resomap.models.inspect import MIN_MAP_SIDE, candidate_layers, find_layer

torch.set_num_threads(1)

channels = st.lists(st.integers(1, 6), min_size=1, max_size=4)


@pytest.fixture(scope="module", params=["tiny_cnn", "resnet18"])
def model(request: pytest.FixtureRequest) -> torch.nn.Module:
    with torch.device("meta"):
        return load_model_from_config(request.param, num_classes=8)


@settings(max_examples=15, deadline=None)
@given(resolution=st.integers(8, 512))
def test_no_block_deeper_than_the_chosen_one_is_wide_enough(
    model: torch.nn.Module, resolution: int
):
    blocks = candidate_layers(model, resolution)
    name, _, grid = find_layer(model, resolution, "auto")
    deeper = blocks[blocks.index((name, grid)) + 1 :]
    assert all(side < min(MIN_MAP_SIDE, grid) for _, side in deeper)
    assert grid >= MIN_MAP_SIDE or grid == max(side for _, side in blocks)


@settings(max_examples=15, deadline=None)
@given(resolution=st.integers(8, 512))
def test_maps_never_grow_with_depth_and_never_shrink_with_resolution(
    model: torch.nn.Module, resolution: int
):
    sides = [side for _, side in candidate_layers(model, resolution)]
    assert sides == sorted(sides, reverse=True)
    assert all(
        larger >= side
        for (_, larger), side in zip(
            candidate_layers(model, resolution + 1), sides, strict=True
        )
    )


@settings(max_examples=15, deadline=None)
@given(channels=channels, more=st.integers(0, 9), classes=st.integers(1, 4))
def test_a_staged_network_takes_every_picture_that_it_can_halve(
    channels: list[int], more: int, classes: int
):
    side = 2 ** (len(channels) - 1) + more
    assert SimpleCNN(classes, channels=channels)(torch.zeros(2, 3, side, side)).shape == (
        2,
        classes,
    )


@settings(max_examples=15, deadline=None)
@given(channels=channels, seed=st.integers(0, 2**31))
def test_equal_seeds_give_equal_networks(channels: list[int], seed: int):
    torch.manual_seed(seed)
    one = SimpleCNN(2, channels=channels)
    torch.manual_seed(seed)
    other = SimpleCNN(2, channels=channels)
    assert all(map(torch.equal, one.parameters(), other.parameters()))
