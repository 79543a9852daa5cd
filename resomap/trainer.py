"""The training loop, under the name that scripts import it by."""

from resomap.training.trainer import Trainer

__all__ = ["Trainer"]
