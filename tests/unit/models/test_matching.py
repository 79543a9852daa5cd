import pytest
import torch
from torch import nn

from resomap.errors import ConfigError
from resomap.models.matching import (
    find_prefix,
    list_names,
    match_weights,
    to_rgb,
)

HEAD = ("head.weight", "head.bias")


def network(classes: int = 3) -> nn.Module:
    stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    return nn.ModuleDict({"stem": stem, "head": nn.Linear(4, classes)})


def test_equal_networks_match_whole():
    weights = network().state_dict()
    match = match_weights(network(), weights, HEAD)
    assert (match.num_fitting, match.num_backbone, match.differing) == (6, 6, [])
    assert match.new == ()
    assert set(match.tensors) == set(weights)
    assert match.share == 1
    assert match.sentence() == (
        "6 of 6 tensors of the backbone loaded, 100 % of its parameters"
    )


def test_other_classifier_stays_new():
    match = match_weights(network(5), network().state_dict(), HEAD)
    assert match.new == HEAD
    assert match.differing == []
    assert not set(HEAD) & set(match.tensors)
    assert match.sentence().endswith("; new classifier: head.weight, head.bias")


@pytest.mark.parametrize("prefix", ["module.", "model.", "module.encoder_q.net."])
def test_prefix_of_every_name_is_removed_and_reported(prefix):
    weights = {f"{prefix}{name}": each for name, each in network().state_dict().items()}
    match = match_weights(network(5), {**weights, "queue": torch.zeros(2)}, HEAD)
    assert (match.prefix, match.share, match.unused) == (prefix, 1, ("queue",))
    assert match.record()["prefix"] == prefix
    assert f"prefix removed: {prefix}; " in match.sentence()


def test_names_of_the_network_have_no_prefix():
    inner = nn.ModuleDict({"model": network()})
    names = inner.state_dict()
    assert find_prefix(names, names) == ""
    assert find_prefix([f"module.{name}" for name in names], names) == "module."
    assert find_prefix(["other"], names) == ""
    assert find_prefix(["a.head.bias", "b.head.bias"], network().state_dict()) == ""


def test_two_networks_in_one_file_are_no_choice_of_ours():
    names = network().state_dict()
    both = [f"{side}.{name}" for side in ("student", "teacher") for name in names]
    message = r"several networks, as student\., teacher\.: choose .*'\^student\\\.': ''"
    with pytest.raises(ConfigError, match=message):
        find_prefix(both, names)


def test_share_counts_parameters_of_the_backbone():
    weights = network().state_dict()
    del weights["stem.0.weight"]  # 108 of 120
    match = match_weights(network(5), weights, HEAD)
    assert match.share == pytest.approx(0.1)
    assert match.percentage == "10 %"
    assert match.num_fitting == 5


def test_statistics_of_another_width_are_not_interpolated():
    wide = nn.ModuleDict({"stem": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(8))})
    match = match_weights(network(), wide.state_dict(), HEAD)
    assert match.resized == ()
    assert "stem.1.running_mean" in match.misshapen


def test_absent_classifier_and_counters_are_no_difference():
    weights = network().state_dict()
    for name in (*HEAD, "stem.1.num_batches_tracked"):
        del weights[name]
    match = match_weights(network(), weights, HEAD)
    assert (match.new, match.differing) == (HEAD, [])


def test_missing_misshapen_and_unused_are_named():
    weights = network().state_dict()
    weights["stem.0.bias"] = torch.zeros(7)
    weights["other"] = weights.pop("stem.1.bias")
    match = match_weights(network(), weights, HEAD)
    assert match.missing == ("stem.1.bias",)
    assert match.misshapen == ("stem.0.bias",)
    assert match.unused == ("other",)
    assert match.num_fitting == 4
    record = match.record()
    assert (record["loaded"], record["missing"]) == (7, ["stem.1.bias"])
    assert (
        "missing: stem.1.bias; of another shape: stem.0.bias; unused: other" in match.sentence()
    )


class Positions(nn.Module):
    def __init__(self, tokens: int, width: int = 1) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, width))


def test_positions_are_interpolated():
    weights = {"pos_embed": torch.arange(17.0)[None, :, None]}
    match = match_weights(Positions(65), weights, ())
    assert match.resized == ("pos_embed",)
    assert match.tensors["pos_embed"].shape == (1, 65, 1)
    assert match.tensors["pos_embed"][0, 0] == 0
    assert match.differing == []
    assert "interpolated: pos_embed" in match.sentence()


@pytest.mark.parametrize("shape", [(1, 17, 8), (1, 18, 1), (9,), (), (1, 4, 4, 1)])
def test_positions_of_another_kind_do_not_fit(shape):
    match = match_weights(Positions(65), {"pos_embed": torch.zeros(shape)}, ())
    assert match.misshapen == ("pos_embed",)


def test_bgr_weights_see_the_same_in_rgb():
    convolution, image = nn.Conv2d(3, 4, 3), torch.randn(1, 3, 8, 8)
    model = nn.Sequential(convolution, nn.ReLU(), nn.Conv2d(4, 4, 3))
    expected = model(image.flip(1))
    model.load_state_dict(to_rgb(model.state_dict(), model))
    assert torch.allclose(model(image), expected, atol=1e-6)


def test_bgr_needs_one_first_convolution():
    with pytest.raises(ConfigError, match="color_order: bgr: 0 convolutions"):
        to_rgb({}, nn.Linear(3, 3))


def test_names_are_counted_beyond_three():
    assert list_names(["a", "b"]) == "a, b"
    assert list_names(list("abcde")) == "a, b, c and 2 more"
