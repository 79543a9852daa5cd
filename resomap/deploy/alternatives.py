"""Other ways to make a network's input of an image: libraries, decoders, and common mistakes.

Every function takes images as they are stored, uint8 (N, n, n, 3), and returns (N, r, r, 3) on
the scale 0 to 255. Libraries that compute in floating point are not rounded, as they would not
be on a device.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.util import find_spec
from io import BytesIO
from typing import Any, Literal

import numpy as np
from PIL import Image

from resomap.deploy.preprocessing import Preprocessing

JPEG_QUALITY = 90
OPSET = 18  # the first one whose Resize has antialias
Resizer = Callable[[np.ndarray, int], np.ndarray]
Kind = Literal[
    "reference",
    "same filter",
    "another filter",
    "no antialias",
    "nearest pixel",
    "half-pixel shift",
    "rows and columns swapped",
]


@dataclass(frozen=True)
class ResizeMethod:
    """A way to resize by a library; `fault` is what is wrong with it, if it is no filter."""

    apply: Resizer
    filter: str
    antialias: bool = True
    needs: tuple[str, ...] = ()
    fault: Kind | None = None

    def kind(self, preprocessing: Preprocessing) -> Kind:
        """Return how the method differs from that of a preprocessing."""
        if self.fault:
            return self.fault
        if self.filter == "nearest":
            return "nearest pixel"
        # A filter is widened where images get smaller only.
        if not self.antialias and preprocessing.resolution < preprocessing.sides[0]:
            return "no antialias"
        return "same filter" if self.filter == preprocessing.filter else "another filter"


def missing_libraries(needs: tuple[str, ...]) -> list[str]:
    """Return the modules among `needs` that are not installed."""
    return [name for name in needs if find_spec(name) is None]


def _by_pillow(images: np.ndarray, side: int, filter: str) -> np.ndarray:
    resampling = Image.Resampling[filter.upper()]
    pictures = map(Image.fromarray, images)
    return np.stack([np.asarray(each.resize((side, side), resampling)) for each in pictures])


def shift_images(images: np.ndarray, side: int, filter: str, pixels: float) -> np.ndarray:
    """Resize by Pillow, `pixels` of the stored image too far to the right and down."""
    native, border = images.shape[1], math.ceil(pixels)
    padded = np.pad(images, ((0, 0), (border, border), (border, border), (0, 0)), mode="edge")
    box = (border + pixels,) * 2 + (border + pixels + native,) * 2
    resampling, size = Image.Resampling[filter.upper()], (side, side)
    pictures = map(Image.fromarray, padded)
    return np.stack([np.asarray(each.resize(size, resampling, box)) for each in pictures])


def _half_input_pixel(images: np.ndarray, side: int, filter: str) -> np.ndarray:
    return shift_images(images, side, filter, images.shape[1] / side / 2)


def _swapped(images: np.ndarray, side: int, filter: str) -> np.ndarray:
    return _by_pillow(images, side, filter).transpose(0, 2, 1, 3)


def _by_opencv(images: np.ndarray, side: int, name: str) -> np.ndarray:
    import cv2

    # OpenCV's own threads would take cores that other jobs of the machine use.
    cv2.setNumThreads(1)
    flag = getattr(cv2, f"INTER_{name}")
    return np.stack([cv2.resize(each, (side, side), interpolation=flag) for each in images])


def _by_torch(images: np.ndarray, side: int, mode: str, antialias: bool) -> np.ndarray:
    import torch

    values = torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32))
    options: dict[str, Any] = {"antialias": True} if antialias else {}
    resized = torch.nn.functional.interpolate(values, (side, side), mode=mode, **options)
    return resized.clamp(0, 255).permute(0, 2, 3, 1).numpy()


def _by_onnxruntime(images: np.ndarray, side: int, **attributes: Any) -> np.ndarray:
    session = _resize_session(side, tuple(sorted(attributes.items())))
    values = np.ascontiguousarray(images.transpose(0, 3, 1, 2).astype(np.float32))
    sizes = np.array([len(images), 3, side, side], np.int64)
    (resized,) = session.run(None, {"images": values, "sizes": sizes})
    return np.asarray(resized).clip(0, 255).transpose(0, 2, 3, 1)


@lru_cache(maxsize=64)
def _resize_session(side: int, attributes: tuple[tuple[str, Any], ...]) -> Any:
    """Return a runtime session of a network of one operator, Resize."""
    import onnx
    import onnxruntime

    floats, helper = onnx.TensorProto.FLOAT, onnx.helper
    node = helper.make_node(
        "Resize", ["images", "", "", "sizes"], ["resized"], **dict(attributes)
    )
    graph = helper.make_graph(
        [node],
        "resize",
        [
            helper.make_tensor_value_info("images", floats, ["n", 3, "h", "w"]),
            helper.make_tensor_value_info("sizes", onnx.TensorProto.INT64, [4]),
        ],
        [helper.make_tensor_value_info("resized", floats, ["n", 3, side, side])],
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def _opencv(name: str, filter: str, antialias: bool = False) -> ResizeMethod:
    return ResizeMethod(partial(_by_opencv, name=name), filter, antialias, ("cv2",))


def _torch(mode: str, antialias: bool) -> ResizeMethod:
    apply = partial(_by_torch, mode=mode, antialias=antialias)
    return ResizeMethod(apply, mode, antialias, ("torch",))


def _runtime(
    mode: str, filter: str, antialias: int = 0, fault: Kind | None = None, **more: Any
) -> ResizeMethod:
    values = {"mode": mode, "antialias": antialias, **more}
    apply = partial(_by_onnxruntime, **values)
    return ResizeMethod(apply, filter, bool(antialias), ("onnx", "onnxruntime"), fault)


RESIZE_METHODS: dict[str, ResizeMethod] = {
    "Pillow bilinear": ResizeMethod(partial(_by_pillow, filter="bilinear"), "bilinear"),
    "Pillow box": ResizeMethod(partial(_by_pillow, filter="box"), "box"),
    "Pillow bicubic": ResizeMethod(partial(_by_pillow, filter="bicubic"), "bicubic"),
    "Pillow lanczos": ResizeMethod(partial(_by_pillow, filter="lanczos"), "lanczos"),
    "Pillow nearest": ResizeMethod(partial(_by_pillow, filter="nearest"), "nearest", False),
    "torch bilinear antialias": _torch("bilinear", True),
    "torch bicubic antialias": _torch("bicubic", True),
    "torch bilinear": _torch("bilinear", False),
    "torch bicubic": _torch("bicubic", False),
    "OpenCV area": _opencv("AREA", "box", True),
    "OpenCV linear": _opencv("LINEAR", "bilinear"),
    "OpenCV cubic": _opencv("CUBIC", "bicubic"),
    "OpenCV Lanczos": _opencv("LANCZOS4", "lanczos"),
    "OpenCV nearest": _opencv("NEAREST", "nearest"),
    "onnxruntime linear antialias": _runtime("linear", "bilinear", 1),
    "onnxruntime cubic antialias": _runtime("cubic", "bicubic", 1, cubic_coeff_a=-0.5),
    "onnxruntime linear": _runtime("linear", "bilinear"),
    "onnxruntime cubic": _runtime("cubic", "bicubic"),
    "onnxruntime linear, asymmetric": _runtime(
        *("linear", "bilinear", 0, "half-pixel shift"),
        coordinate_transformation_mode="asymmetric",
    ),
}
"""Ways to resize by their names in tables; each of them on one thread."""


def resize_methods(filter: str) -> dict[str, ResizeMethod]:
    """Return RESIZE_METHODS and the mistakes that a resize by `filter` can be made with."""
    mistakes: dict[str, tuple[Callable[..., np.ndarray], Kind]] = {
        "half a stored pixel off": (partial(shift_images, pixels=0.5), "half-pixel shift"),
        "half an input pixel off": (_half_input_pixel, "half-pixel shift"),
        "rows and columns swapped": (_swapped, "rows and columns swapped"),
    }
    made = {
        name: ResizeMethod(partial(apply, filter=filter), filter, fault=kind)
        for name, (apply, kind) in mistakes.items()
    }
    return RESIZE_METHODS | made


COLOUR_ORDERS = {"RGB": slice(None), "BGR": slice(None, None, -1)}
NORMALISATIONS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    # Mean and std on the scale 0 to 1; 1 / 255 leaves bytes as they are.
    "none (0 to 255)": ((0.0,) * 3, (1 / 255,) * 3),
    "0 to 1": ((0.0,) * 3, (1.0,) * 3),
    "-1 to 1": ((0.5,) * 3, (0.5,) * 3),
    "ImageNet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


def normalise_by(
    images: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]
) -> np.ndarray:
    """Return `(x / 255 - mean) / std` of (N, r, r, 3) as float32 (N, 3, r, r)."""
    scale, shift = 1 / (255 * np.array(std)), -np.array(mean) / np.array(std)
    values = (images * scale + shift).astype(np.float32)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def encode_jpegs(images: np.ndarray) -> list[bytes]:
    """Return each image as a JPEG file of quality 90, its colours at half the resolution."""
    encoded = []
    for image in images:
        stream = BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=JPEG_QUALITY)
        encoded.append(stream.getvalue())
    return encoded


def _jpeg_by_pillow(content: bytes) -> np.ndarray:
    with Image.open(BytesIO(content)) as stored:
        return np.asarray(stored.convert("RGB"))


def _jpeg_by_opencv(content: bytes) -> np.ndarray:
    import cv2

    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(decoded)[..., ::-1]


def _jpeg_by_torchvision(content: bytes) -> np.ndarray:
    import torch
    from torchvision.io import decode_jpeg

    # Copied: torch warns of memory that it may not write.
    encoded = torch.from_numpy(np.frombuffer(content, np.uint8).copy())
    with warnings.catch_warnings():
        # torchvision 0.29 announces that its decoders will move to another package.
        warnings.simplefilter("ignore", DeprecationWarning)
        return decode_jpeg(encoded).permute(1, 2, 0).numpy()


DECODERS: dict[str, tuple[Callable[[bytes], np.ndarray], tuple[str, ...]]] = {
    "JPEG by Pillow": (_jpeg_by_pillow, ()),
    "JPEG by OpenCV": (_jpeg_by_opencv, ("cv2",)),
    "JPEG by torchvision": (_jpeg_by_torchvision, ("torch", "torchvision")),
}
"""Decoders of JPEG files and the modules that they need; the first is the baseline of the others."""


def decode_jpegs(encoded: list[bytes], decoder: str) -> np.ndarray:
    """Return images of JPEG files by one of DECODERS: uint8 (N, n, n, 3)."""
    decode = DECODERS[decoder][0]
    return np.stack([np.ascontiguousarray(decode(content)) for content in encoded])
