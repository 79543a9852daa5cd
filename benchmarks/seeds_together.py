"""Seeds of one small cell, trained together in one process or one after another.

usage: python -m benchmarks.seeds_together [--seeds 2 5] [--rounds 5] [--device cpu]

Together: parameters of all seeds are stacked, and torch.func.vmap turns the convolutions of
each layer into one grouped convolution. Both train on the same batches of noise, with the
shipped optimizer, a constant learning rate and no augmentation. Writes
benchmarks/seeds_together.md.
"""

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import cross_entropy
from torch.optim import AdamW

from benchmarks.harness import (
    ROOT,
    Contender,
    markdown,
    protocol,
    ratios,
    run_interleaved,
    shipped_config,
    spread,
)
from resomap.config.sweep_checks import find_architecture
from resomap.models.registry import build_model
from resomap.system.files import write_text
from resomap.training.optimizers import build_optimizer

OUT = ROOT / "benchmarks" / "seeds_together.md"
CONFIG = shipped_config()
NUM_CLASSES, BATCH_SIZE = 8, CONFIG.training.batch_size
HEAD = (
    *("model", "px", "seeds", "steps", "one after another, images a CPU s"),
    *("together, images a CPU s", "ratio, CPU s", "ratio, wall s"),
    *("weights after 1 step", "after all steps"),
)
NOTE = """
A rate counts the images of all seeds, a ratio is together over one after another, round by
round. CPU seconds say how much work it is, also on a busy machine. The last two columns compare
the weights of both ways, after one step and at the end: the norm of the difference over the norm
of the weights, largest of all seeds.
"""
Batches = Sequence[tuple[Tensor, Tensor]]
Weights = list[dict[str, Tensor]]


def build_seed(name: str, seed: int, device: torch.device) -> nn.Module:
    """Return a network with the initial weights of `seed`, in training mode."""
    torch.manual_seed(seed)
    model = build_model(find_architecture(CONFIG.models, name), NUM_CLASSES)
    return model.to(device, memory_format=torch.channels_last).train()


def draw_batches(resolution: int, steps: int, seed: int, device: torch.device) -> Batches:
    """Return the batches of one seed: noise images in channels_last, and labels."""
    generator = torch.Generator().manual_seed(seed)
    batches = []
    for _ in range(steps):
        images = torch.randn(BATCH_SIZE, 3, resolution, resolution, generator=generator)
        labels = torch.randint(NUM_CLASSES, (BATCH_SIZE,), generator=generator)
        images = images.to(device, memory_format=torch.channels_last)
        batches.append((images, labels.to(device)))
    return batches


def train_in_turn(models: Sequence[nn.Module], batches: Sequence[Batches]) -> Weights:
    """Train each model on its batches; return the parameters of each."""
    for model, of_seed in zip(models, batches, strict=True):
        optimizer = build_optimizer(CONFIG.training.optimizer, model)
        for images, labels in of_seed:
            optimizer.zero_grad()
            cross_entropy(model(images), labels).backward()
            optimizer.step()
    return [dict(model.named_parameters()) for model in models]


def train_together(models: Sequence[nn.Module], batches: Sequence[Batches]) -> Weights:
    """Train all models at once, each on its batches; return the parameters of each."""
    parameters, buffers = stack_module_state(list(models))
    optimizer = _build_stacked_optimizer(parameters)

    def compute_loss(
        own: dict[str, Tensor], statistics: dict[str, Tensor], images: Tensor, labels: Tensor
    ) -> Tensor:
        return cross_entropy(functional_call(models[0], (own, statistics), images), labels)

    # "different": networks with dropout would draw a mask for each seed.
    losses = vmap(compute_loss, randomness="different")
    for step in zip(*batches, strict=True):
        images, labels = (torch.stack(parts) for parts in zip(*step, strict=True))
        optimizer.zero_grad()
        # The gradients of a sum over seeds are those of each seed.
        losses(parameters, buffers, images, labels).sum().backward()
        optimizer.step()
    return [
        {name: stacked[number] for name, stacked in parameters.items()}
        for number in range(len(models))
    ]


def _build_stacked_optimizer(parameters: dict[str, Tensor]) -> AdamW:
    # As in build_optimizer: norms and biases, here with a dimension more, are not decayed.
    recipe = CONFIG.training.optimizer
    weights = [each for each in parameters.values() if each.ndim > 2]
    others = [each for each in parameters.values() if each.ndim <= 2]
    groups = [
        {"params": weights, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return AdamW(groups, recipe.learning_rate, fused=True)


@torch.no_grad()
def largest_difference(one: Weights, other: Weights) -> float:
    """Return the norm of the difference of all weights over that of the weights.

    It is the largest of all seeds. No single weight is compared, because Adam divides a
    gradient by its size: where it is almost zero, float error decides about a whole step.
    """
    differences = []
    for first, second in zip(one, other, strict=True):
        weights, others = (
            torch.cat([values.flatten() for values in each.values()])
            for each in (first, second)
        )
        differences.append(float((weights - others).norm() / weights.norm()))
    return max(differences)


class Cell:
    """A cell with its seeds: models are rebuilt before each training."""

    def __init__(self, name: str, resolution: int, seeds: int, device: torch.device) -> None:
        self.name, self.resolution, self.seeds, self.device = name, resolution, seeds, device
        self.models: list[nn.Module] = []

    def build(self) -> None:
        """Build the models of all seeds."""
        self.models = [build_seed(self.name, seed, self.device) for seed in range(self.seeds)]

    def compare_weights(self, steps: int) -> float:
        """Train both ways from the same weights; return the largest difference."""
        batches = self.draw(steps)
        self.build()
        one_by_one = train_in_turn(self.models, batches)
        self.build()
        return largest_difference(one_by_one, train_together(self.models, batches))

    def draw(self, steps: int) -> list[Batches]:
        """Return the batches of every seed."""
        return [
            draw_batches(self.resolution, steps, seed, self.device)
            for seed in range(self.seeds)
        ]

    def row(self, steps: int, rounds: int) -> tuple[object, ...]:
        """Return the row of HEAD."""
        batches = self.draw(steps)

        def run(train: Callable[..., Weights]) -> None:
            train(self.models, batches)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)

        images = self.seeds * steps * BATCH_SIZE
        contenders = [
            Contender(way.__name__, images, partial(run, way), before=self.build)
            for way in (train_in_turn, train_together)
        ]
        for contender in contenders:  # not counted: libraries initialise
            contender.before()
            contender.call()
        run_interleaved(contenders, rounds)
        in_turn, together = contenders
        return (
            *(self.name, self.resolution, self.seeds, steps),
            *(spread(in_turn.cpu_rates, 0), spread(together.cpu_rates, 0)),
            spread(ratios(together.cpu_rates, in_turn.cpu_rates)),
            spread(ratios(together.rates, in_turn.rates)),
            *(f"{self.compare_weights(count):.1e}" for count in (1, steps)),
        )


def rows(options: argparse.Namespace) -> Iterator[tuple[object, ...]]:
    """Yield a row of HEAD per number of seeds."""
    device = torch.device(options.device)
    for seeds in options.seeds:
        cell = Cell(options.model, options.resolution, seeds, device)
        yield cell.row(options.steps, options.rounds)


def main() -> None:
    """Parse the command line, measure and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--model", default="tiny_cnn")
    parser.add_argument("--resolution", type=int, default=24)
    parser.add_argument("--seeds", nargs="+", type=int, default=[2, 5])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    conditions = protocol(options.device, options.rounds, os.getloadavg()[0])
    table = markdown(HEAD, rows(options))
    title = "# Seeds of one cell: together, or one after another"
    write_text(OUT, f"{title}\n\n{conditions}\nOne thread of torch.\n\n{table}{NOTE}")
    print(OUT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
