import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from resomap.explain import faithfulness
from resomap.explain.attribution import ExplainedTargets, choose_targets
from resomap.explain.faithfulness import perturb

SIDE = 24
CORNERS = [(2, 2), (2, 14), (14, 2), (14, 14)]
Areas = dict[tuple[str, int], tuple[np.ndarray, np.ndarray]]


class SquareReader(nn.Module):
    """A network that reads the mean brightness of a square of 8 x 8 pixels against logit 0."""

    def __init__(self, row: int, column: int) -> None:
        super().__init__()
        region = torch.zeros(SIDE, SIDE)
        region[row : row + 8, column : column + 8] = 1
        self.region = nn.Parameter(region)

    def forward(self, images: Tensor) -> Tensor:
        logit = 8 * (images.mean(dim=1) * self.region).sum(dim=(1, 2)) / 64 - 4
        return torch.stack([logit, torch.zeros_like(logit)], dim=1)


class ConstantNetwork(nn.Module):
    """A network with the same logits for every image."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, images: Tensor) -> Tensor:
        return self.logits.expand(len(images), len(self.logits))


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    head = nn.Linear(4 * (SIDE - 2) ** 2, 3)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), head]
    return nn.Sequential(*layers)


@pytest.fixture
def images() -> Tensor:
    return torch.randn(5, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def noise_map() -> dict[str, np.ndarray]:
    noise = np.random.default_rng(0).normal(size=(5, SIDE, SIDE))
    return {"map": noise.astype(np.float32)}


def zeros(side: int) -> np.ndarray:
    return np.zeros((5, side, side), np.float32)


def areas(
    model: nn.Module,
    images: Tensor,
    maps: dict[str, np.ndarray],
    bandwidths: tuple[int, ...] = (6,),
    *,
    batch_size: int = 8,
    rival: int = -1,
) -> Areas:
    """Return deletion and insertion areas by method and bandwidth, all images of class 0."""
    labels = np.zeros(len(images), np.int64)
    chosen = choose_targets(model, images, labels, target="label", pairs=None, batch_size=8)
    targets = ExplainedTargets(chosen.logits, labels, labels + rival, chosen.weights)
    results = perturb(model, images, targets, maps, bandwidths, batch_size)
    return {(each.method, each.bandwidth): (each.deletion, each.insertion) for each in results}


def bright_square(row: int, column: int) -> Tensor:
    images = torch.zeros(1, 3, SIDE, SIDE)
    images[:, :, row : row + 8, column : column + 8] = 1
    return images


@pytest.mark.parametrize("corner", CORNERS)
def test_true_map_has_best_areas(corner):
    network, bandwidths = SquareReader(*corner), (6, 12, 24)
    region = network.region.detach().numpy()[None]
    maps = {"true": region, "opposite": -region}
    maps |= {f"shifted {steps}": np.roll(region, steps, axis=2) for steps in (4, 8, -8)}
    results = areas(network, bright_square(*corner), maps, bandwidths)
    for bandwidth in bandwidths:
        deletion, insertion = results.pop(("true", bandwidth))
        others = [values for (_, width), values in results.items() if width == bandwidth]
        assert len(others) == 6
        assert deletion[0] < min(values[0][0] for values in others)
        assert insertion[0] > max(values[1][0] for values in others)


def test_centre_order_suits_network_that_reads_centre():
    inwards = np.abs(np.arange(SIDE) - 11.5)[None, :, None] + np.abs(np.arange(SIDE) - 11.5)
    results = areas(SquareReader(8, 8), bright_square(8, 8), {"inwards": inwards})
    deletion, insertion = zip(
        *(results[order, 6] for order in ("centre", "random", "inwards")), strict=True
    )
    assert deletion[0] < deletion[1] < deletion[2]
    assert insertion[0] > insertion[1] > insertion[2]


def test_constant_network_gives_every_order_one_area(images, noise_map):
    results = areas(ConstantNetwork(1.0, 0.0), images, noise_map, (6, 12))
    expected = torch.sigmoid(torch.tensor(1.0))
    for values in results.values():
        np.testing.assert_allclose(values, expected, rtol=1e-6)


@pytest.mark.parametrize(("rival", "others"), [(-1, [0, 3]), (1, [0])])
def test_score_is_probability_among_all_or_against_rival(images, rival, others):
    model = ConstantNetwork(1.0, 0.0, 3.0)
    deletion, _ = areas(model, images, {"map": zeros(6)}, rival=rival)["map", 6]
    expected = np.exp(1) / (np.exp(1) + np.exp(others).sum())
    np.testing.assert_allclose(deletion, expected, rtol=1e-6)


def test_curves_run_from_image_to_its_blur(network, images, monkeypatch):
    monkeypatch.setattr("resomap.explain.faithfulness.FRACTIONS", (0.0, 1e-9, 1.0))
    deletion, insertion = areas(network, images, {"map": zeros(6)})["map", 6]
    blurred = gaussian_filter(images.numpy(), 0.1 * SIDE, axes=(2, 3), mode="reflect")
    sharp_score, blurred_score = (
        network.eval()(view).softmax(dim=1)[:, 0].detach().numpy()
        for view in (images, torch.from_numpy(blurred))
    )
    np.testing.assert_allclose(deletion, (sharp_score + blurred_score) / 2, rtol=1e-4)
    np.testing.assert_allclose(insertion, deletion, rtol=1e-4)


def test_constant_map_gives_random_order(network, images):
    results = areas(network, images, {"constant": zeros(12)}, (6, 12))
    for bandwidth in (6, 12):
        deletion, insertion = results["constant", bandwidth]
        random = results["random", bandwidth]
        np.testing.assert_allclose((deletion + insertion) / 2, random[0], rtol=1e-5)
        np.testing.assert_array_equal(*random)


def test_bandwidths_finer_than_map_are_skipped(network, images):
    results = areas(network, images, {"coarse": zeros(6), "fine": zeros(12)}, (4, 12, 24))
    at_4 = {(order, 4) for order in ("coarse", "fine", "random", "centre")}
    at_12 = {(order, 12) for order in ("fine", "random", "centre")}
    assert set(results) == at_4 | at_12


def test_batch_size_does_not_change_areas(network, images, noise_map):
    whole = areas(network, images, noise_map, (5, 24), batch_size=64)
    for batch_size in (1, 3):
        parts = areas(network, images, noise_map, (5, 24), batch_size=batch_size)
        for key, values in parts.items():
            np.testing.assert_allclose(values, whole[key], rtol=1e-5)


def test_perturb_restores_network_and_images(network, images):
    network[1].eval()
    before = images.clone()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    areas(network, images, {"map": zeros(6)})
    assert network.training
    assert not network[1].training
    assert torch.equal(images, before)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


class CopyRecorder(TorchDispatchMode):
    """Record the shape of every tensor that is copied to another device."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and result.device != args[0].device:
            self.shapes.append(tuple(args[0].shape))
        return result


def test_mixtures_are_made_where_the_network_is(monkeypatch):
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 2)).to("meta")
    weights = torch.zeros(4, 2)
    targets = ExplainedTargets(
        np.zeros((4, 2), np.float32), np.zeros(4, np.int64), np.full(4, -1), weights
    )
    scorer = faithfulness._PerturbationScorer(
        network, torch.zeros(4, 3, SIDE, SIDE), targets, 2
    )
    monkeypatch.setattr(scorer, "_probability", lambda logits: logits)
    with CopyRecorder() as copies:
        logits, _ = scorer.scores(np.zeros((4, 2, 2)))
    assert (logits.device.type, logits.shape) == ("meta", (4, 2))
    assert sorted(copies.shapes) == [(4, 2, 2), (SIDE, 2)]  # the mask, and no image
