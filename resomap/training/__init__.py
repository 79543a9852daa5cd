"""Training of a network in PyTorch: one trainer and the callbacks that any loop can step.

>>> early_stopping = EarlyStopping(patience=5)
>>> checkpoint = ModelCheckpoint("checkpoints/", monitor="val_accuracy", mode="max")
>>> trainer = Trainer(model, device, nn.CrossEntropyLoss(), optimizer, train_loader, val_loader)
>>> for epoch in range(20):
...     train_metrics = trainer.train_epoch(epoch)
...     val_metrics = trainer.validate()
...     early_stopping.step(epoch, val_metrics["loss"])
...     checkpoint.step(epoch, val_metrics, model, optimizer, resolution=224)
...     if early_stopping.stop:
...         break
"""

from resomap.training.callbacks import EarlyStopping, ModelCheckpoint
from resomap.training.schedules import LRSchedulerCallback
from resomap.training.trainer import Trainer

__all__ = ["EarlyStopping", "LRSchedulerCallback", "ModelCheckpoint", "Trainer"]
