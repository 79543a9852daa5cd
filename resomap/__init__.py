"""ResoMap: which model, at which input resolution, for your images and your budget."""

from resomap.library.opening import open_sweep

__all__ = ["open_sweep"]
