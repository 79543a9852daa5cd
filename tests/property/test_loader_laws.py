"""Batches follow from seed and epoch: not from workers, the step begun at, or the resolution."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from resomap.config.augmentation import RandAugment, RandomResizedCrop
from resomap.data.loading.augment import Normalise
from resomap.data.loading.loader import TrainLoader
from resomap.data.loading.mixing import Mixing
from resomap.data.loading.native_crops import NativeCrops
from resomap.data.loading.random_draws import draw_epoch
from resomap.training.trainer import Trainer
from tests.recipes import augmentation
from tests.tiny_training import build_noise_trainer
from tests.waves import draw_waves

COUNT, CLASSES, NATIVE = 13, 3, 48
NORMALISE = Normalise((0.5,) * 3, (0.25,) * 3, torch.device("cpu"))
SIDES = (16, 48)
STORED = {side: draw_waves(COUNT, side) for side in SIDES}
ALPHA = st.sampled_from([None, 0.2, 1.0])
RECIPES = st.fixed_dictionaries(
    {
        "rand_augment": st.none()
        | st.builds(RandAugment, num_ops=st.integers(1, 3), magnitude=st.integers(0, 30)),
        "trivial_augment": st.booleans(),
        "horizontal_flip": st.sampled_from([0.0, 0.5]),
    }
)
NUMBERS = {"seed": st.integers(0, 2**40), "epoch": st.integers(0, 1000)}


@st.composite
def loaders(draw):
    """Return a function that reads an epoch at a side, from a step on, by so many workers."""
    recipe, seed, epoch = draw(RECIPES), draw(NUMBERS["seed"]), draw(NUMBERS["epoch"])
    alphas, is_native = (draw(ALPHA), draw(ALPHA)), draw(st.booleans())
    batch_size = draw(st.integers(2, 6))
    if is_native:
        recipe["random_resized_crop"] = RandomResizedCrop(
            scale=(0.3, 1.0), ratio=(0.75, 1.33), crop_from="native"
        )

    def read(side: int, step: int = 0, workers: int = 0) -> list[tuple[Tensor, Tensor]]:
        loader = TrainLoader(
            STORED[NATIVE if is_native else side],
            torch.arange(COUNT) % CLASSES,
            NORMALISE,
            batch_size,
            seed,
            augmentation(**recipe),
            num_workers=workers,
            mixing=Mixing(*alphas, CLASSES) if any(alphas) else None,
            native=NativeCrops(torch.arange(COUNT), side, "bilinear") if is_native else None,
        )
        loader.set_epoch(epoch, step)
        return list(loader)

    return read


@settings(deadline=None, max_examples=40)
@given(read=loaders(), step=st.integers(0, 3), workers=st.integers(1, 4))
def test_workers_and_first_step_keep_the_bytes(read, step, workers):
    resumed = read(SIDES[0], step, workers)
    for batch, same in zip(resumed, read(SIDES[0])[step:], strict=True):
        assert all(map(torch.equal, batch, same))


@settings(deadline=None, max_examples=40)
@given(read=loaders())
def test_pairs_and_shares_are_equal_at_every_resolution(read):
    for (_, targets), (_, same) in zip(read(SIDES[0]), read(SIDES[1]), strict=True):
        assert torch.equal(targets, same)


@settings(deadline=None)
@given(**NUMBERS, recipe=RECIPES)
def test_draws_follow_from_seed_and_epoch_alone(seed, epoch, recipe):
    first = draw_epoch(seed, epoch, COUNT, augmentation(**recipe))
    draw_epoch(seed, epoch + 1, COUNT, augmentation(**recipe))
    again = draw_epoch(seed, epoch, COUNT, augmentation(**recipe))
    for name in ("order", "flipped", "operation", "strength"):
        both = getattr(first, name), getattr(again, name)
        assert (both[0] is None) == (both[1] is None)
        assert both[0] is None or (both[0] == both[1]).all()


def masks(trainer: Trainer, epoch: int, step: int, side: int) -> list[Tensor]:
    """Return what stochastic depth and the dropout of the classifier keep in one step."""
    kept = list[Tensor]()

    def record(_: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        kept.append(output.flatten(1).ne(0).any(1) if output.ndim > 2 else output.ne(0))

    hooks = [
        module.register_forward_hook(record)
        for module in trainer.model.modules()
        if isinstance(module, nn.Dropout | StochasticDepth)
    ]
    trainer._seed_step(epoch, step)
    with torch.no_grad():
        trainer.model(torch.rand(4, 3, side, side, generator=torch.Generator().manual_seed(0)))
    for hook in hooks:
        hook.remove()
    return kept


def build_dropping_network() -> nn.Module:
    torch.manual_seed(0)
    first = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), StochasticDepth(0.5, "row"))
    pool = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(first, StochasticDepth(0.3, "row"), *pool, nn.Dropout(0.5)).train()


@settings(deadline=None, max_examples=25)
@given(**NUMBERS, step=st.integers(0, 500))
def test_dropped_blocks_follow_from_the_step_at_every_resolution(seed, epoch, step):
    trainer = build_noise_trainer(build_dropping_network(), seed=seed)
    first = masks(trainer, epoch, step, 12)
    torch.rand(7)  # another process has drawn other numbers
    for side in (12, 24):
        for kept, same in zip(first[:2], masks(trainer, epoch, step, side)[:2], strict=True):
            assert torch.equal(kept, same)
    assert all(map(torch.equal, first, masks(trainer, epoch, step, 12)))
