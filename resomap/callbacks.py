"""The import path of the callbacks in older scripts."""

from resomap.training.callbacks import EarlyStopping, ModelCheckpoint
from resomap.training.schedules import LRSchedulerCallback

__all__ = ["EarlyStopping", "LRSchedulerCallback", "ModelCheckpoint"]
