from collections.abc import Callable
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from resomap.config.load import load_config
from resomap.data.loading import transforms
from resomap.data.loading.loader import EvalLoader, Normalise, TrainLoader, to_device
from resomap.data.loading.mixing import Mixing, draw_mixes
from resomap.data.loading.random_draws import draw_epoch
from resomap.training.build import build_loaders
from resomap.training.distributed import Group
from tests.recipes import EVERY_AUGMENTATION, augmentation

CPU = torch.device("cpu")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NORMALISE = Normalise(MEAN, STD, CPU)
AS_STORED = Normalise((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255), CPU)
COUNT = 23
LABELS = (torch.arange(COUNT) == 22).long()
FLIPS = augmentation(horizontal_flip=0.5)


def numbered_images(resolution: int = 4) -> Tensor:
    """Images filled with their number; the first column is 255, as a mark of the left side."""
    numbers = torch.arange(COUNT, dtype=torch.uint8)
    images = numbers[:, None, None, None].repeat(1, resolution, resolution, 3)
    images[:, :, 0] = 255
    return images


def shuffled(resolution: int = 4, batch_size: int = 5, seed: int = 0, flip: float = 0.5):
    return TrainLoader(
        numbered_images(resolution),
        torch.arange(COUNT),
        AS_STORED,
        batch_size,
        seed,
        augmentation(horizontal_flip=flip),
    )


def balanced(resolution: int = 4, batch_size: int = 5):
    """Return a loader half of whose epoch is the last image."""
    images = numbered_images(resolution)
    return TrainLoader(images, LABELS, AS_STORED, batch_size, 0, FLIPS, sampling="balanced")


def read_epoch(loader: TrainLoader, epoch: int) -> tuple[list[int], list[bool]]:
    """Return the labels in their order, and whether each image (by label) was flipped."""
    loader.set_epoch(epoch)
    images, labels = (torch.cat(parts) for parts in zip(*loader, strict=True))
    assert torch.equal(images[:, 0, 0, 1].round().int(), labels.int())
    flipped = images[:, 0, 0, -1] == 255
    return labels.tolist(), flipped[labels.argsort()].tolist()


def read_batches(loader: TrainLoader) -> list[list[tuple[int, bool]]]:
    """Return (image, flipped) for each position of each batch of epoch 1."""
    loader.set_epoch(1)
    batches = []
    for images, labels in loader:
        numbers, flipped = images[:, 0, 0, 1].round().int(), images[:, 0, 0, -1] == 255
        assert torch.equal(labels, LABELS[numbers])
        batches.append(list(zip(numbers.tolist(), flipped.tolist(), strict=True)))
    return batches


def test_order_and_flips_are_equal_at_every_resolution():
    assert read_epoch(shuffled(resolution=4), 2) == read_epoch(shuffled(resolution=12), 2)


def test_flips_belong_to_image_not_batch():
    assert read_epoch(shuffled(batch_size=5), 1) == read_epoch(shuffled(batch_size=8), 1)
    draws = draw_epoch(0, 1, COUNT, FLIPS)
    assert read_epoch(shuffled(), 1) == (draws.order.tolist(), draws.flipped.tolist())


def test_epochs_can_be_read_in_any_order():
    loader = shuffled()
    third = read_epoch(loader, 3)
    assert read_epoch(loader, 0) != third
    assert read_epoch(loader, 3) == third
    assert read_epoch(shuffled(seed=1), 3) != third


@pytest.mark.parametrize(
    ("batch_size", "sizes"),
    [(5, [5, 5, 5, 5, 3]), (23, [23]), (50, [23]), (11, [11, 12]), (22, [23])],
)
def test_rest_is_a_batch_unless_one_image(batch_size, sizes):
    assert [len(labels) for _, labels in shuffled(batch_size=batch_size)] == sizes
    assert len(shuffled(batch_size=batch_size)) == len(sizes)


def test_flip_mirrors_left_and_right():
    (straight, labels), *_ = shuffled(flip=0.0, batch_size=COUNT)
    (mirrored, same), *_ = shuffled(flip=1.0, batch_size=COUNT)
    assert torch.equal(labels, same)
    assert torch.equal(mirrored, straight.flip(3))
    assert not torch.equal(mirrored, straight)


def test_loading_leaves_stored_images_unchanged():
    images = numbered_images()
    before = images.clone()
    flip = augmentation(horizontal_flip=1.0)
    list(TrainLoader(images, torch.arange(COUNT), NORMALISE, 5, 0, flip))
    assert torch.equal(images, before)


@pytest.fixture
def stored() -> np.ndarray:
    return np.random.default_rng(0).integers(256, size=(6, 8, 8, 3), dtype=np.uint8)


def test_normalise_follows_its_formula(stored):
    expected = (stored / 255 - np.array(MEAN)) / np.array(STD)
    normalised = NORMALISE(torch.from_numpy(stored)).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(normalised, expected, rtol=0, atol=1e-6)


def test_batches_are_float32_and_channels_last(stored):
    images, labels = torch.from_numpy(stored), torch.arange(6)
    train = TrainLoader(images, labels, NORMALISE, 4, 0, FLIPS)
    for batch, _ in chain(train, EvalLoader(images, labels, NORMALISE, 4)):
        assert batch.dtype == torch.float32
        assert batch.shape[1:] == (3, 8, 8)
        assert batch.is_contiguous(memory_format=torch.channels_last)


def test_evaluation_keeps_stored_order(stored):
    images = torch.from_numpy(stored)
    loader = EvalLoader(images, torch.arange(6), NORMALISE, 4)
    assert [labels.tolist() for _, labels in loader] == [[0, 1, 2, 3], [4, 5]]
    assert torch.equal(torch.cat([batch for batch, _ in loader]), NORMALISE(images))


def test_to_device_copies_mapped_array(tmp_path, stored):
    np.save(tmp_path / "x.npy", stored)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    tensor = to_device(mapped, CPU)
    tensor += 1
    np.testing.assert_array_equal(mapped, stored)


def test_balanced_epoch_augments_by_slot():
    draws = draw_epoch(0, 1, COUNT, FLIPS, LABELS.numpy())
    expected = list(zip(draws.order.tolist(), draws.flipped[draws.slot].tolist(), strict=True))
    assert [*chain(*read_batches(balanced()))] == expected


def test_repeated_image_is_augmented_independently():
    flips = [flipped for image, flipped in chain(*read_batches(balanced())) if image == 22]
    assert len(flips) in (11, 12)
    assert set(flips) == {True, False}


@pytest.mark.parametrize("options", [{"resolution": 12}, {"batch_size": 8}], ids=str)
def test_balanced_epoch_ignores_resolution_and_batch_size(options):
    assert [*chain(*read_batches(balanced(**options)))] == [*chain(*read_batches(balanced()))]


@pytest.mark.parametrize(("sampling", "times"), [("shuffled", {1}), ("balanced", {11, 12})])
def test_config_sampling_decides_how_often_image_appears(sampling, times):
    config = load_config(Path(__file__).parents[4] / "config")
    recipe = config.training.model_copy(update={"sampling": sampling})
    store = SimpleNamespace(
        mean=MEAN,
        std=STD,
        images=lambda *_: numbered_images().numpy(),
        labels=lambda _: LABELS.numpy(),
        num_classes=2,
    )
    train, _ = build_loaders(recipe, store, 4, 0, config.system.training, Group(), CPU)
    assert sum(labels.sum().item() for _, labels in train) in times


MIXED = Mixing(mixup=0.5, cutmix=1.0, num_classes=2)


@pytest.fixture(params=["shuffled", "balanced", "mixed"])
def augmented(waves, request):
    """Read an epoch with every augmentation on; `step` is where it begins."""

    def read(
        resolution: int = 24, step: int = 0, **options: int
    ) -> list[tuple[Tensor, Tensor]]:
        normalise = Normalise((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), CPU)
        images, labels = waves(21, resolution), (torch.arange(21) // 18).long()
        loader = TrainLoader(
            images,
            labels,
            normalise,
            6,
            3,
            EVERY_AUGMENTATION,
            sampling="balanced" if request.param == "balanced" else "shuffled",
            mixing=MIXED if request.param == "mixed" else None,
            **options,
        )
        loader.set_epoch(2, step)
        return list(loader)

    return read


def assert_equal_batches(
    first: list[tuple[Tensor, Tensor]], second: list[tuple[Tensor, Tensor]]
) -> None:
    for batch, same in zip(first, second, strict=True):
        assert torch.equal(batch[0], same[0])
        assert torch.equal(batch[1], same[1])


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_number_of_workers_keeps_augmented_batches(augmented, workers):
    assert_equal_batches(augmented(num_workers=workers), augmented())


def test_seek_returns_same_augmented_batches(augmented):
    assert_equal_batches(augmented(step=2), augmented()[2:])


@pytest.mark.parametrize("world", [1, 2, 3])
def test_augmented_parts_of_processes_join_to_batch(augmented, world):
    parts = [augmented(rank=rank, world=world) for rank in range(world)]
    shares = [*chain(*zip(*parts, strict=True))]
    images, labels = (torch.cat(each) for each in zip(*shares, strict=True))
    whole_images, whole_labels = (torch.cat(each) for each in zip(*augmented(), strict=True))
    # A rest that is too small for several processes joins the batch before it, and in a larger
    # batch images are mixed in other pairs.
    same = 12 if whole_labels.ndim > 1 else len(whole_labels)
    torch.testing.assert_close(images[:same], whole_images[:same], atol=1e-6, rtol=0)
    assert torch.equal(labels[:same], whole_labels[:same])
    assert all(len(share) >= 2 for share, _ in shares)


def test_two_resolutions_show_equal_augmentations(augmented):
    for (coarse, labels), (fine, same) in zip(augmented(24), augmented(96), strict=True):
        assert torch.equal(labels, same)
        reduced = torch.nn.functional.avg_pool2d(fine, 4)
        assert (reduced - coarse).abs().median() < 0.05
        assert torch.corrcoef(torch.stack([reduced.flatten(), coarse.flatten()]))[0, 1] > 0.97


@pytest.mark.parametrize("pieces", [2, 3, 6])
def test_batch_augmented_in_pieces_is_the_same(augmented, pieces):
    tried = list[int]()

    def within_memory(count: int, work: Callable[[int], Tensor]) -> Tensor:
        tried.append(count)
        return work(min(pieces, count))

    in_pieces = augmented(within_memory=within_memory)
    assert_equal_batches(in_pieces, augmented())
    assert tried == [6, 6, 6, 3]
    assert all(batch.is_contiguous(memory_format=torch.channels_last) for batch, _ in in_pieces)


def test_blur_of_all_images_equals_blur_of_chosen(waves, monkeypatch):
    images = waves(8, 24).permute(0, 3, 1, 2).float()
    sigma = torch.tensor([0.0, 0.1, 0.0, 0.02, 0.0, 0.0, 0.05, 0.0], dtype=torch.float64)
    chosen = transforms.blur(images, sigma)
    # As on a GPU, where the images to blur are not known on the CPU.
    monkeypatch.setattr(transforms, "on_host", lambda _: False)
    torch.testing.assert_close(transforms.blur(images, sigma), chosen, atol=1e-4, rtol=1e-6)


def mixed(mixing: Mixing, resolution: int = 4, **options: int) -> list[tuple[Tensor, Tensor]]:
    images = numbered_images(resolution)
    labels = torch.arange(COUNT)
    loader = TrainLoader(
        images, labels, AS_STORED, 5, 0, augmentation(), mixing=mixing, **options
    )
    return list(loader)


def test_mixed_images_and_targets_agree():
    plain = TrainLoader(numbered_images(), torch.arange(COUNT), AS_STORED, 5, 0, augmentation())
    for (images, shares), (_, labels) in zip(
        mixed(Mixing(0.8, None, COUNT)), plain, strict=True
    ):
        # An image is filled with its number, so the mean of mixed numbers shows the shares.
        expected = (shares * torch.arange(COUNT)).sum(1)
        torch.testing.assert_close(images[:, 0, 0, 1], expected)
        own = shares.gather(1, labels[:, None])[:, 0]
        others = shares.gather(1, labels.roll(1)[:, None])[:, 0]
        torch.testing.assert_close(own + others, torch.ones(len(labels)))


def test_cut_area_is_the_share_of_the_other_class():
    for images, shares in mixed(Mixing(None, 1.0, COUNT), resolution=64):
        plain = images[:, 0, :, 1:].flatten(1)
        others = shares.argsort(1, descending=True)[:, :2]
        for image, share, pair in zip(plain, shares, others, strict=True):
            for label in pair:
                pixels = (image.round() == label).float().mean()
                assert abs(pixels - share[label]) < 0.06


def test_targets_are_equal_at_every_resolution():
    both = Mixing(0.8, 1.0, COUNT)
    for (_, shares), (_, same) in zip(mixed(both, 4), mixed(both, 12), strict=True):
        assert torch.equal(shares, same)


def test_each_batch_takes_one_way_of_mixing_at_random():
    mixes = draw_mixes([0, 0], 200, Mixing(0.8, 1.0, COUNT))
    assert 0.4 < sum(mix.box is None for mix in mixes) / 200 < 0.6
    assert len({mix.share for mix in mixes}) > 190
    assert draw_mixes([0, 0], 50, Mixing(0.8, 1.0, COUNT)) == mixes[:50]
