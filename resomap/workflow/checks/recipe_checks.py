"""Checks of the training recipe against the number of training images: what would have no effect."""

from collections.abc import Iterator

from resomap.config.schema import Config
from resomap.errors import ConfigError
from resomap.system.gpu_listing import has_nvidia_device
from resomap.text import agree, format_count
from resomap.workflow.data_digest import count_train_images

SCHEDULE_KEY = "config/training.yaml: training.schedule"


def steps_per_epoch(config: Config) -> int:
    """Return the optimizer steps of an epoch; 0 where the images are not counted yet."""
    batch_size, processes = config.training.batch_size, config.system.training.gpus
    full, rest = divmod(count_train_images(config), batch_size)
    # As TrainLoader does: a rest of less than two images a process joins the batch before it.
    return full + (rest >= 2 * processes or (rest > 0 and not full))


def check_decay_steps(config: Config) -> None:
    """Raise ConfigError for a decay of the learning rate before the first step has ended."""
    schedule, steps = config.training.schedule, steps_per_epoch(config)
    epochs = {
        "step": ("step.epochs", schedule.step.epochs),
        "multistep": ("multistep.milestones", schedule.multistep.milestones[0]),
    }
    if schedule.type in epochs and steps:
        key, first = epochs[schedule.type]
        if first * steps < 1:
            raise ConfigError(
                f"{SCHEDULE_KEY}.{key}: {first:g} {agree(first, 'epoch is', 'epochs are')} less than one step: an epoch has "
                f"{format_count(steps, 'step')}, so write at least {1 / steps:.2g}"
            )


def recipe_warnings(config: Config) -> Iterator[str]:
    """Yield a line for each setting that this training is too short for."""
    training = config.training
    steps = steps_per_epoch(config) * training.epochs
    if training.ema_decay and steps and 1 / (1 - training.ema_decay) > steps:
        yield (
            f"warning: config/training.yaml: training.ema_decay: {training.ema_decay:g} remembers "
            f"{1 / (1 - training.ema_decay):,.0f} steps, and the training has {steps:,}: the average "
            f"lags behind; {1 - 10 / max(steps, 20):.2g} would suit it"
        )
    on_auto = config.system.device == "auto"
    if training.precision == "tf32" and on_auto and not has_nvidia_device():
        yield (
            "warning: config/training.yaml: training.precision: tf32 exists on NVIDIA GPUs only, and "
            "this machine shows none: a training here would stop; use fp32"
        )
    first = _first_decay(config)
    if first is not None and first >= training.epochs:
        yield (
            f"warning: {SCHEDULE_KEY}.type: {training.schedule.type}: the learning rate never decays: "
            f"the first decay is due after {first:g} {agree(first, 'epoch', 'epochs')}, and the training has {training.epochs}"
        )


def _first_decay(config: Config) -> float | None:
    """Return the epoch of the first decay, counted from the start; None for smooth schedules."""
    schedule = config.training.schedule
    match schedule.type:
        case "step":
            return schedule.warmup_epochs + schedule.step.epochs
        case "multistep":
            return schedule.warmup_epochs + schedule.multistep.milestones[0]
        case "plateau":
            return schedule.plateau.patience + 1.0
    return None
