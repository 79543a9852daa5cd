import pytest
import torch
from torch import nn

from resomap.models.maps import MapLayout, ModuleOutput, find_layouts

LAYOUTS = [
    (MapLayout("channels_first", 3), (2, 5, 3, 3)),
    (MapLayout("channels_last", 3), (2, 3, 3, 5)),
    (MapLayout("tokens", 3), (2, 9, 5)),
    (MapLayout("tokens", 3, 2), (2, 11, 5)),
]


@pytest.mark.parametrize(("layout", "shape"), LAYOUTS)
def test_map_of_an_output_goes_back_where_it_came_from(layout, shape):
    output = torch.randn(shape)
    features = layout.to_map(output)
    assert features.shape == (2, 5, 3, 3)
    assert torch.equal(layout.from_map(features, output), output)
    changed = layout.from_map(0 * features, output)
    assert (changed != 0).sum() == 2 * 5 * layout.extra


def test_tokens_fill_the_map_row_by_row():
    tokens = torch.arange(10).view(1, 10, 1)
    assert MapLayout("tokens", 3, 1).to_map(tokens)[0, 0].tolist() == [
        [1, 2, 3],
        [4, 5, 6],
        [7, 8, 9],
    ]


def layouts(*outputs: tuple[type[nn.Module], tuple[int, ...]]) -> list[MapLayout | None]:
    calls = [ModuleOutput(kind, torch.empty(shape)) for kind, shape in outputs]
    return list(find_layouts(calls, batch_size=2))


def test_grid_of_tokens_is_that_of_the_last_convolution():
    # 9 tokens are 2 x 2 cells with 5 extra tokens here, although 9 is a square.
    found = layouts((nn.Conv2d, (2, 8, 2, 2)), (nn.Identity, (2, 9, 8)), (nn.Linear, (2, 3)))
    assert found == [MapLayout("channels_first", 2), MapLayout("tokens", 2, 5), None]


def test_channels_are_told_apart_by_modules_of_the_same_class():
    found = layouts((nn.Identity, (2, 8, 8, 4)), (nn.Identity, (2, 8, 8, 8)))
    assert found == [MapLayout("channels_last", 8)] * 2
    assert layouts((nn.Conv2d, (2, 8, 8, 8))) == [MapLayout("channels_first", 8)]


def test_windows_are_no_maps():
    assert layouts((nn.Identity, (32, 49, 8)), (nn.Identity, (2, 7, 9, 8))) == [None, None]
