import pytest
import torch
from torch import nn

from resomap.errors import ConfigError
from resomap.models.positions import (
    find_extra_tokens,
    resize_position_embeddings,
    size_bound_names,
)
from resomap.models.registry import build_model, find_named, resize_network

torch.set_num_threads(1)


class Holder(nn.Module):
    """A network that only holds parameters, and one buffer."""

    def __init__(self, index: int = 0, **shapes: tuple[int, ...]) -> None:
        super().__init__()
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(shape)))
        self.register_buffer("position_index", torch.arange(index))


def resized(name: str, tensor: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    return resize_position_embeddings({name: tensor}, Holder(**{name: shape}))[name]


def test_extra_tokens_keep_their_values_and_the_grid_is_interpolated():
    tokens = torch.arange(5.0).view(1, 5, 1).expand(1, 5, 3)
    out = resized("pos_embed", tokens, (1, 17, 3))
    assert out.shape == (1, 17, 3)
    assert torch.equal(out[:, 0], tokens[:, 0])
    assert out[0, 1:, 0].mean().item() == pytest.approx(2.5, abs=1e-5)
    assert out[0, 1, 0] < out[0, 4, 0] < out[0, 16, 0]


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("pos_embed", (1, 5, 4, 4), (1, 5, 6, 6)),
        ("pos_embed", (1, 4, 4, 5), (1, 6, 6, 5)),
        ("relative_position_bias_table", (49, 3), (169, 3)),
        ("attention_biases", (3, 16), (3, 4)),
        ("positional_embedding", (5, 3), (17, 3)),
        ("pos_embed", (1, 4, 16, 6), (1, 4, 36, 6)),
        ("rel_pos_bias", (6, 3, 3), (6, 7, 7)),
        ("attn_rel_pos_h", (7, 8), (15, 8)),
    ],
)
def test_constant_embeddings_stay_constant(name, before, after):
    out = resized(name, torch.full(before, 0.7), after)
    assert out.shape == after
    assert torch.allclose(out, torch.tensor(0.7))


def test_extra_rows_of_a_table_of_offsets_come_last():
    table = torch.cat([torch.zeros(9, 2), torch.ones(3, 2)])
    out = resized("relative_position_bias_table", table, (28, 2))
    assert out[:25].abs().max() == 0
    assert torch.equal(out[25:], torch.ones(3, 2))


def test_buffers_that_follow_from_the_size_are_those_of_the_network():
    model = Holder(index=4)
    out = resize_position_embeddings({"position_index": torch.zeros(9)}, model)
    assert torch.equal(out["position_index"], torch.arange(4))


def test_weights_of_another_meaning_are_left_alone():
    state = {"head": torch.ones(5, 3), "mixing": torch.ones(4, 4), "gone": torch.ones(1)}
    model = Holder(head=(2, 3), mixing=(9, 9))
    out = resize_position_embeddings(state, model)
    assert all(torch.equal(out[name], state[name]) for name in state)
    assert size_bound_names(state, model) == ["head", "mixing"]


def test_positions_without_a_square_grid_are_named():
    with pytest.raises(ConfigError, match="pos_embed: 8 positions are no square grid"):
        resized("pos_embed", torch.zeros(1, 8, 2), (1, 30, 2))


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("pos_embed", (1, 17, 8), (1, 65, 1)),  # another width
        ("pos_embed", (1, 17, 16), (1, 17, 64)),  # a width that is a square
        ("pos_embed", (1, 16, 16), (1, 64, 64)),
        ("pos_embed", (17, 8), (1, 65, 8)),  # another number of axes
        ("pos_embed", (1, 65, 8), (65, 8)),
        ("pos_embed", (), (1, 65, 8)),
        ("pos_embed", (64,), (16,)),
        ("pos_embed", (1, 8, 4, 6), (1, 8, 8, 12)),  # no square
        ("pos_embed", (1, 8, 4, 4), (1, 16, 4, 8)),
        ("relative_position_bias_table", (49, 3), (169, 6)),
        ("relative_position_bias_table", (169, 4), (169, 9)),  # heads
        ("attention_biases", (4, 16), (9, 16)),
        ("attn.rel_pos_h", (7, 8), (7, 16)),
    ],
)
def test_embeddings_of_another_network_are_refused(name, before, after):
    name = name.replace(".", "_")
    with pytest.raises(ConfigError, match=rf"{name}: .*") as caught:
        resized(name, torch.zeros(before), after)
    assert "\n" not in str(caught.value)


def test_fewest_extra_tokens_leave_squares():
    assert find_extra_tokens(197, 37) == 1
    assert find_extra_tokens(198, 38) == 2
    assert find_extra_tokens(256, 36) == 0
    assert find_extra_tokens(8, 30) is None


@pytest.mark.parametrize("name", ["torchvision/vit_b_16", "timm/vit_tiny_patch16_224"])
def test_embeddings_equal_those_of_the_library(name):
    with torch.device("meta"):
        small, large = (build_model(find_named(name), 2, side) for side in (64, 96))
    (key,) = [key for key in small.state_dict() if "pos_embed" in key]
    tensor = torch.randn(small.state_dict()[key].shape)
    ours = resize_position_embeddings({key: tensor}, large)[key]
    from timm.layers import resample_abs_pos_embed

    assert torch.allclose(ours, resample_abs_pos_embed(tensor, [6, 6]), atol=1e-6)


def test_network_at_another_size_keeps_its_weights_and_the_draws_that_follow():
    entry = find_named("timm/vit_tiny_patch16_224")
    model = build_model(entry, 3, 32).eval()
    state = torch.get_rng_state()
    other = resize_network(model, entry, 3, 48)
    assert torch.equal(torch.get_rng_state(), state)
    assert other(torch.zeros(2, 3, 48, 48)).shape == (2, 3)
    assert torch.equal(other.head.weight, model.head.weight)
    images = torch.randn(2, 3, 32, 32)
    back = resize_network(model, entry, 3, 32)
    assert torch.equal(back(images), model(images))
    assert not other.training


def test_network_of_any_size_stays_itself():
    entry = find_named("tiny_cnn")
    model = build_model(entry, 3)
    assert resize_network(model, entry, 3, 96) is model
