"""Training steps with a frozen backbone against steps of the whole network.

usage: python -m benchmarks.frozen_backbone [--rounds 5] [--steps 2] [--models ...]

The real trainer on images of noise, fp32, on one thread of the CPU. Prints a table.
"""

import argparse
from collections.abc import Iterator

import torch

from benchmarks.harness import (
    Contender,
    markdown,
    ratios,
    run_interleaved,
    shipped_config,
    spread,
)
from resomap.config.architecture import Architecture
from resomap.training.build import build_loaders, build_trainer
from resomap.training.distributed import Group
from resomap.training.steps import build_noise_store
from resomap.training.trainer import Trainer

CONFIG, CPU, NUM_CLASSES = shipped_config(), torch.device("cpu"), 8
HEAD = (
    *("model", "px", "batch", "whole network, images a CPU s"),
    *("frozen backbone, images a CPU s", "ratio, CPU s", "ratio, wall s"),
)


def prepare(builder: str, freeze: str, options: argparse.Namespace) -> Trainer:
    """Return a trainer whose epoch has `options.steps` steps."""
    finetune = CONFIG.training.finetune.model_copy(update={"freeze": freeze})
    changes = {"finetune": finetune, "batch_size": options.batch}
    recipe = CONFIG.training.model_copy(update=changes)
    store = build_noise_store(options.batch, options.resolution, NUM_CLASSES)
    store.counts["train"] = options.steps * options.batch
    group, runtime = Group(), CONFIG.system.training
    loaders = build_loaders(recipe, store, options.resolution, 0, runtime, group, CPU)
    network = Architecture(name=builder, family="other", builder=builder)
    return build_trainer(
        recipe, network, 0, store, *loaders, CPU, group, resolution=options.resolution
    )


def rows(options: argparse.Namespace) -> Iterator[tuple[object, ...]]:
    """Yield a row of HEAD for each model."""
    for builder in options.models:
        contenders = []
        for freeze in ("none", "backbone"):
            trainer = prepare(builder, freeze, options)
            trainer.train_epoch()  # not counted: libraries initialise
            images = options.steps * options.batch
            contenders.append(Contender(f"{builder} {freeze}", images, trainer.train_epoch))
        run_interleaved(contenders, options.rounds)
        whole, frozen = contenders
        yield (
            *(builder, options.resolution, options.batch),
            *(spread(whole.cpu_rates, 1), spread(frozen.cpu_rates, 1)),
            spread(ratios(frozen.cpu_rates, whole.cpu_rates)),
            spread(ratios(frozen.rates, whole.rates)),
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["mobilenet_v2", "resnet18"])
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    torch.set_num_threads(1)
    print(markdown(HEAD, rows(parser.parse_args())))


if __name__ == "__main__":
    main()
