import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from resomap.explain.attribution import ExplainedTargets, choose_targets
from resomap.explain.faithfulness import perturb
from resomap.explain.grids import blur_weights

SIDE = 24
CORNERS = [(2, 2), (2, 14), (14, 2), (14, 14)]


class Spot(nn.Module):
    """A network that reads how bright a square of 8 x 8 pixels is on the mean: two logits, of which the second is 0."""

    def __init__(self, row: int, column: int) -> None:
        super().__init__()
        region = torch.zeros(SIDE, SIDE)
        region[row : row + 8, column : column + 8] = 1
        self.region = nn.Parameter(region)

    def forward(self, images: Tensor) -> Tensor:
        logit = 8 * (images.mean(dim=1) * self.region).sum(dim=(1, 2)) / 64 - 4
        return torch.stack([logit, torch.zeros_like(logit)], dim=1)


class Constant(nn.Module):
    """A network that says the same of every picture."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor([1.0, 0.0]))

    def forward(self, images: Tensor) -> Tensor:
        return self.logits.expand(len(images), 2)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * (SIDE - 2) ** 2, 3),
    )


@pytest.fixture
def images() -> Tensor:
    return torch.randn(5, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def explained(
    model: nn.Module, images: Tensor, target: int = 0, rival: int = -1
) -> ExplainedTargets:
    """What `choose` says where all pictures are of one class."""
    labels = np.full(len(images), target)
    told = choose_targets(model, images, labels, target="label", pairs=None, batch_size=8)
    return ExplainedTargets(told.logits, labels, np.full(len(images), rival), told.weights)


def areas(
    model: nn.Module,
    images: Tensor,
    maps: dict[str, np.ndarray],
    bandwidths=(12,),
    *,
    batch_size=8,
    rival=-1,
):
    """Mean areas (deletion, insertion) by method and bandwidth."""
    found = perturb(
        model, images, explained(model, images, rival=rival), maps, bandwidths, batch_size
    )
    return {(each.method, each.bandwidth): (each.deletion, each.insertion) for each in found}


def bright_squares(*corners: tuple[int, int]) -> Tensor:
    images = torch.zeros(len(corners), 3, SIDE, SIDE)
    for image, (row, column) in zip(images, corners, strict=True):
        image[:, row : row + 8, column : column + 8] = 1
    return images


@pytest.mark.parametrize("corner", CORNERS)
def test_no_order_serves_a_network_better_than_the_map_of_what_it_reads(corner):
    network, images = Spot(*corner), bright_squares(corner)
    shifted = {
        f"shifted by {steps}": (network.region.roll(steps, dims=1)) for steps in (4, 8, -8)
    }
    maps = {"true": network.region, "opposite": -network.region, **shifted}
    found = areas(
        network,
        images,
        {name: values.detach().numpy()[None] for name, values in maps.items()},
        bandwidths=(6, 12, 24),
    )
    for bandwidth in (6, 12, 24):
        deletion, insertion = found.pop(("true", bandwidth))
        others = [values for (_, own), values in found.items() if own == bandwidth]
        assert len(others) == 6
        assert deletion[0] < min(values[0][0] for values in others)
        assert insertion[0] > max(values[1][0] for values in others)


def test_the_centre_serves_a_network_that_reads_the_centre():
    inwards = np.abs(np.arange(SIDE) - 11.5)[None, :, None] + np.abs(np.arange(SIDE) - 11.5)
    found = areas(Spot(8, 8), bright_squares((8, 8)), {"inwards": inwards}, bandwidths=(6,))
    assert found["centre", 6][0] < found["random", 6][0] < found["inwards", 6][0]
    assert found["centre", 6][1] > found["random", 6][1] > found["inwards", 6][1]


def test_of_a_network_that_reads_nothing_all_orders_have_one_area(images):
    maps = {"map": np.random.default_rng(0).normal(size=(5, SIDE, SIDE)).astype(np.float32)}
    for deletion, insertion in areas(Constant(), images, maps, bandwidths=(6, 12)).values():
        np.testing.assert_allclose(
            [deletion, insertion], torch.sigmoid(torch.tensor(1.0)), rtol=1e-6
        )


def test_the_score_is_the_probability_among_all_classes_or_against_the_rival_alone(images):
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 3))
    nn.init.zeros_(model[1].weight)
    model[1].bias.data = torch.tensor([1.0, 0.0, 3.0])
    maps = {"map": np.zeros((5, 6, 6), np.float32)}
    among_all, against_one = (
        areas(model, images, maps, (6,), rival=rival)["map", 6][0] for rival in (-1, 1)
    )
    np.testing.assert_allclose(among_all, np.exp(1) / (np.exp(1) + 1 + np.exp(3)), rtol=1e-6)
    np.testing.assert_allclose(against_one, 1 / (1 + np.exp(-1)), rtol=1e-6)


def test_the_curves_start_at_the_picture_and_end_at_its_blur(network, images, monkeypatch):
    monkeypatch.setattr("resomap.explain.faithfulness.FRACTIONS", (0.0, 1e-9, 1.0))
    deletion, insertion = areas(
        network, images, {"map": np.zeros((5, 6, 6), np.float32)}, (6,)
    )["map", 6]
    blurred = torch.from_numpy(
        gaussian_filter(images.numpy(), 0.1 * SIDE, axes=(2, 3), mode="reflect")
    )
    sharp_score, blurred_score = (
        network.eval()(view).softmax(dim=1)[:, 0].detach().numpy() for view in (images, blurred)
    )
    np.testing.assert_allclose(deletion, (sharp_score + blurred_score) / 2, rtol=1e-4)
    np.testing.assert_allclose(insertion, deletion, rtol=1e-4)


@pytest.mark.parametrize("side", [8, 24, 31])
def test_the_blur_is_the_gaussian_of_scipy(side):
    picture = np.random.default_rng(0).normal(size=(side, side))
    blurred = blur_weights(side) @ picture @ blur_weights(side).T
    np.testing.assert_allclose(
        blurred, gaussian_filter(picture, 0.1 * side, mode="reflect"), atol=1e-12
    )


def test_a_map_that_says_nothing_is_the_random_order(network, images):
    found = areas(
        network, images, {"nothing": np.zeros((5, 12, 12), np.float32)}, bandwidths=(6, 12)
    )
    for bandwidth in (6, 12):
        nothing, random = found["nothing", bandwidth], found["random", bandwidth]
        np.testing.assert_allclose((nothing[0] + nothing[1]) / 2, random[0], rtol=1e-5)
        np.testing.assert_array_equal(*random)


def test_a_bandwidth_is_left_out_where_it_is_finer_than_a_map(network, images):
    maps = {
        "coarse": np.zeros((5, 6, 6), np.float32),
        "fine": np.zeros((5, 12, 12), np.float32),
    }
    found = areas(network, images, maps, bandwidths=(4, 12, 24))
    assert sorted(found) == sorted([*((name, 4) for name in ("coarse", "fine", "random", "centre")),
                                    *((name, 12) for name in ("fine", "random", "centre"))])  # fmt: skip


def test_the_size_of_the_micro_batch_changes_nothing_but_rounding(network, images):
    maps = {"map": np.random.default_rng(0).normal(size=(5, SIDE, SIDE)).astype(np.float32)}
    whole = areas(network, images, maps, bandwidths=(5, 24), batch_size=64)
    for batch_size in (1, 3):
        for key, values in areas(
            network, images, maps, bandwidths=(5, 24), batch_size=batch_size
        ).items():
            np.testing.assert_allclose(values, whole[key], rtol=1e-5)


def test_perturbing_leaves_network_and_pictures_as_they_were(network, images):
    network[1].eval()
    before, state = (
        images.clone(),
        {name: value.clone() for name, value in network.state_dict().items()},
    )
    areas(network, images, {"map": np.zeros((5, 6, 6), np.float32)}, (6,))
    assert network.training
    assert not network[1].training
    assert torch.equal(images, before)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
