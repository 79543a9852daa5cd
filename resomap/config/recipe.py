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
    yield from _finetune_problems(training)


def _finetune_problems(training: Training) -> Iterator[str]:
    finetune, key = training.finetune, f"{KEY}.finetune"
    if training.start.is_random and finetune.freeze != "none":
        yield (
            f"{key}.freeze: {finetune.freeze} keeps random weights with training.start: random: "
            "start from pretrained or from a file, or set freeze: none"
        )
    if training.start.is_random and finetune.freeze_bn:
        yield (
            f"{key}.freeze_bn: true keeps no statistics with training.start: random: start from "
            "pretrained or from a file, or set freeze_bn: false"
        )
    last = finetune.unfreeze_epoch
    if last is not None and finetune.freeze == "none":
        yield f"{key}.unfreeze_epoch: {last} has no effect: set freeze: backbone, or write null"
    elif last is not None and last >= training.epochs:
        yield (
            f"{key}.unfreeze_epoch: {last} lies after the training, epochs: {training.epochs}: "
            "write null to keep the backbone frozen"
        )
    if last is None and finetune.freeze != "none" and finetune.scales_rates:
        yield (
            f"{key}: backbone_lr and layer_decay have no effect on a backbone that stays "
            "frozen: set unfreeze_epoch, or leave them out"
        )


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
