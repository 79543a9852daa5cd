from resomap.training.callbacks import EarlyStopping, ModelCheckpoint
from resomap.training.schedules import LRSchedulerCallback
from resomap.training.trainer import Trainer

__all__ = ["EarlyStopping", "LRSchedulerCallback", "ModelCheckpoint", "Trainer"]
