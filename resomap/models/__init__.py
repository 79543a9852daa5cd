"""The networks of models.yaml, built and inspected; imported without torchvision."""

from resomap.models.inspect import get_model_info, get_target_layer_for_gradcam
from resomap.models.registry import build_model, load_model_from_config

__all__ = [
    "build_model",
    "get_model_info",
    "get_target_layer_for_gradcam",
    "load_model_from_config",
]
