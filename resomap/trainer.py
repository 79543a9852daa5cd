"""The import path of `Trainer` in older scripts."""

from resomap.training.trainer import Trainer

__all__ = ["Trainer"]
