"""The callbacks of a training, under the name that scripts import them by."""

from resomap.training.callbacks import EarlyStopping, ModelCheckpoint
from resomap.training.schedules import LRSchedulerCallback

__all__ = ["EarlyStopping", "LRSchedulerCallback", "ModelCheckpoint"]
