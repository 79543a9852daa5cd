from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from resomap.config.load import load_config
from resomap.data.loading.loader import EvalLoader, Normalise, TrainLoader, to_device
from resomap.data.loading.random_draws import draw_epoch
from resomap.training.build import build_loaders
from resomap.training.distributed import Group
from tests.recipes import augmentation

CPU = torch.device("cpu")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NORMALISE = Normalise(MEAN, STD, CPU)
AS_STORED = Normalise((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255), CPU)
COUNT = 23
CLASSES = (torch.arange(COUNT) == 22).long()


def pictures(resolution: int) -> Tensor:
    """Pictures whose every value tells the picture, but for one mark in the first column that tells left from right."""
    images = torch.arange(COUNT, dtype=torch.uint8)[:, None, None, None].repeat(
        1, resolution, resolution, 3
    )
    images[:, :, 0] = 255
    return images


def loader(
    resolution: int = 4, batch_size: int = 5, seed: int = 0, flip: float = 0.5
) -> TrainLoader:
    return TrainLoader(
        pictures(resolution),
        torch.arange(COUNT),
        AS_STORED,
        batch_size,
        seed,
        augmentation(horizontal_flip=flip),
    )


def epoch_of(batches: TrainLoader, epoch: int) -> tuple[list[int], list[bool]]:
    """The labels in their order, and for each picture (by label) whether it came flipped."""
    batches.set_epoch(epoch)
    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert torch.equal(images[:, 0, 0, 1].round().int(), labels.int())
    flipped = images[:, 0, 0, -1] == 255
    return labels.tolist(), flipped[labels.argsort()].tolist()


def balanced(resolution: int = 4, batch_size: int = 5, **options: int) -> TrainLoader:
    """Half of an epoch is the last picture, again and again."""
    flips = augmentation(horizontal_flip=0.5)
    return TrainLoader(
        pictures(resolution),
        CLASSES,
        AS_STORED,
        batch_size,
        0,
        flips,
        sampling="balanced",
        **options,
    )


def shown_by(
    batches: TrainLoader, epoch: int = 1, step: int = 0
) -> list[list[tuple[int, bool]]]:
    """The pictures of each batch, and whether each came flipped."""
    batches.set_epoch(epoch, step)
    shown = [
        (images[:, 0, 0, 1].round().int(), images[:, 0, 0, -1] == 255, labels)
        for images, labels in batches
    ]
    assert all(torch.equal(labels, CLASSES[picture]) for picture, _, labels in shown)
    return [
        list(zip(picture.tolist(), flipped.tolist(), strict=True))
        for picture, flipped, _ in shown
    ]


def test_order_and_flips_are_the_same_at_every_resolution():
    assert epoch_of(loader(resolution=4), 2) == epoch_of(loader(resolution=12), 2)


def test_flips_belong_to_the_picture_and_not_to_its_batch():
    assert epoch_of(loader(batch_size=5), 1) == epoch_of(loader(batch_size=8), 1)
    draws = draw_epoch(0, 1, COUNT, augmentation(horizontal_flip=0.5))
    assert epoch_of(loader(), 1) == (draws.order.tolist(), draws.flipped.tolist())


def test_an_epoch_can_be_asked_for_in_any_turn():
    batches = loader()
    third = epoch_of(batches, 3)
    assert epoch_of(batches, 0) != third
    assert epoch_of(batches, 3) == third
    assert epoch_of(loader(seed=1), 3) != third


def test_the_last_batch_holds_what_is_left():
    sizes = [len(labels) for _, labels in loader(batch_size=5)]
    assert sizes == [5, 5, 5, 5, 3]
    assert len(loader(batch_size=5)) == 5
    assert len(loader(batch_size=23)) == len(loader(batch_size=50)) == 1


def test_a_flip_is_a_mirror():
    (straight, labels), *_ = loader(flip=0.0, batch_size=COUNT)
    (mirrored, same), *_ = loader(flip=1.0, batch_size=COUNT)
    assert torch.equal(labels, same)
    assert torch.equal(mirrored, straight.flip(3))
    assert not torch.equal(mirrored, straight)


def test_pictures_in_the_store_stay_as_they_are():
    images = pictures(4)
    before = images.clone()
    for _ in TrainLoader(
        images, torch.arange(COUNT), NORMALISE, 5, 0, augmentation(horizontal_flip=1.0)
    ):
        pass
    assert torch.equal(images, before)


@pytest.fixture
def stored() -> np.ndarray:
    return np.random.default_rng(0).integers(256, size=(6, 8, 8, 3), dtype=np.uint8)


def test_pictures_are_normalised_as_the_formula_says(stored):
    expected = (stored / 255 - np.array(MEAN)) / np.array(STD)
    np.testing.assert_allclose(
        NORMALISE(torch.from_numpy(stored)).permute(0, 2, 3, 1).numpy(),
        expected,
        rtol=0,
        atol=1e-6,
    )


def test_batches_are_float32_in_channels_last_layout(stored):
    labels = torch.arange(6)
    train = TrainLoader(
        torch.from_numpy(stored), labels, NORMALISE, 4, 0, augmentation(horizontal_flip=0.5)
    )
    for batches in (train, EvalLoader(torch.from_numpy(stored), labels, NORMALISE, 4)):
        for images, _ in batches:
            assert images.dtype == torch.float32
            assert images.shape[1:] == (3, 8, 8)
            assert images.is_contiguous(memory_format=torch.channels_last)


def test_evaluation_keeps_the_stored_order(stored):
    batches = EvalLoader(torch.from_numpy(stored), torch.arange(6), NORMALISE, 4)
    assert [labels.tolist() for _, labels in batches] == [[0, 1, 2, 3], [4, 5]]
    assert torch.equal(
        torch.cat([images for images, _ in batches]), NORMALISE(torch.from_numpy(stored))
    )


def test_a_mapped_array_becomes_a_tensor_of_its_own(tmp_path, stored):
    np.save(tmp_path / "x.npy", stored)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    tensor = to_device(mapped, CPU)
    tensor += 1
    np.testing.assert_array_equal(mapped, stored)


def test_a_rest_of_one_picture_joins_the_batch_before_it():
    assert [len(labels) for _, labels in loader(batch_size=11)] == [11, 12]
    assert [len(labels) for _, labels in loader(batch_size=22)] == [23]
    assert len(loader(batch_size=11)) == 2


def test_a_balanced_epoch_shows_its_pictures_changed_by_their_slots():
    draws = draw_epoch(0, 1, COUNT, augmentation(horizontal_flip=0.5), CLASSES.numpy())
    expected = list(zip(draws.order.tolist(), draws.flipped[draws.slot].tolist(), strict=True))
    assert [*chain(*shown_by(balanced()))] == expected


def test_a_repeated_picture_is_changed_anew():
    flips = [flipped for picture, flipped in chain(*shown_by(balanced())) if picture == 22]
    assert len(flips) in (11, 12)
    assert set(flips) == {True, False}


def test_a_balanced_epoch_is_the_same_at_every_resolution_batch_size_and_number_of_workers():
    expected = [*chain(*shown_by(balanced()))]
    for other in (balanced(resolution=12), balanced(batch_size=8), balanced(num_workers=2)):
        assert [*chain(*shown_by(other))] == expected


@pytest.mark.parametrize("world", [2, 3])
def test_the_parts_of_all_processes_are_the_balanced_batch(world):
    parts = [shown_by(balanced(batch_size=11, rank=rank, world=world)) for rank in range(world)]
    assert [[*chain(*shares)] for shares in zip(*parts, strict=True)] == shown_by(
        balanced(batch_size=11)
    )


@pytest.mark.parametrize("step", [1, 3])
def test_a_balanced_epoch_that_begins_in_the_middle_ends_as_the_whole_does(step):
    assert shown_by(balanced(), step=step) == shown_by(balanced())[step:]


@pytest.mark.parametrize(("sampling", "times"), [("shuffled", {1}), ("balanced", {11, 12})])
def test_the_recipe_says_how_often_a_picture_comes(sampling, times):
    config = load_config(Path(__file__).parents[2] / "config")
    recipe = config.training.model_copy(update={"sampling": sampling})
    images, labels = pictures(4).numpy(), CLASSES.numpy()
    store = SimpleNamespace(
        mean=MEAN, std=STD, images=lambda *_: images, labels=lambda _: labels
    )
    train, _ = build_loaders(recipe, store, 4, 0, config.system.training, Group(), CPU)
    assert sum(labels.sum().item() for _, labels in train) in times
