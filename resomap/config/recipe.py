"""Checks of the training recipe that concern several of its keys."""

from collections.abc import Iterator

from resomap.config.training import Training, direction_of

KEY = "config/training.yaml: training"


def recipe_problems(training: Training) -> Iterator[str]:
    """Yield a line, with file and key, for each contradiction between two keys."""
    sgd = training.optimizer.sgd
    if sgd.nesterov and not sgd.momentum:
        yield f"{KEY}.optimizer.sgd.nesterov: true needs a momentum above 0: set nesterov: false"
    try:
        direction_of(training.monitor.name, training.monitor.mode)
    except ValueError as error:
        yield f"{KEY}.monitor: {error}"
    yield from _schedule_problems(training)


def _schedule_problems(training: Training) -> Iterator[str]:
    schedule, rate, epochs = (
        training.schedule,
        training.optimizer.learning_rate,
        training.epochs,
    )
    if schedule.type in ("cosine", "plateau") and schedule.min_lr > rate:
        yield (
            f"{KEY}.schedule.min_lr: {schedule.min_lr:g} is above the peak, "
            f"optimizer.learning_rate: {rate:g}: the rate would rise"
        )
    if schedule.warmup_epochs > epochs:
        yield (
            f"{KEY}.schedule.warmup_epochs: {schedule.warmup_epochs:g} is longer than the "
            f"training, epochs: {epochs}"
        )
    stop = training.early_stopping
    if stop and stop.warmup_epochs >= epochs:
        yield (
            f"{KEY}.early_stopping.warmup_epochs: {stop.warmup_epochs} leaves no epoch of "
            f"{epochs} that counts"
        )
