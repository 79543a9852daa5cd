"""The networks of models.yaml, built, sized and inspected. Importing this does not import torchvision."""

from resomap.models.inspect import get_model_info, get_target_layer_for_gradcam
from resomap.models.registry import build_model, load_model_from_config

__all__ = [
    "build_model",
    "get_model_info",
    "get_target_layer_for_gradcam",
    "load_model_from_config",
]
