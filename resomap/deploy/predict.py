"""Predict the class of images with the network in this folder, by numpy, Pillow and onnxruntime.

python predict.py IMAGE...    one line per image: file, class, probability (tab-separated)
python predict.py --check     prove that this machine answers as the training machine did
"""

import json
import sys
from pathlib import Path
from typing import Any

try:
    import numpy as np
    from PIL import Image, ImageOps
except ImportError as error:
    sys.exit(f"error: {error}: run `pip install numpy pillow onnxruntime`")

CHOSEN_KEYS = ("background", "bit_depth", "aspect", "sides", "filter", "padding", "mean", "std")
# This program does these in one way only; a file with another value needs another program.
ROUNDING = {"crop": "none", "size": "half to even", "pad": "down"}
FIXED_KEYS = {"schema": 1, "exif_rotation": True, "antialias": True, "rounding": ROUNDING}
FIXED_KEYS |= {"colour_order": "RGB", "dtype": "float32", "layout": "NCHW"}
MAX_ERROR = 1e-4  # of a logit, relative to the largest one; golden images may have their own


def load_preprocessing(path: Path) -> dict[str, Any]:
    """Return the content of preprocessing.json; ValueError names what is wrong in it."""
    spec = dict(json.loads(path.read_text(encoding="utf-8")))
    missing = [key for key in (*FIXED_KEYS, *CHOSEN_KEYS) if key not in spec]
    if missing:
        raise ValueError(f"{path}: lacks {', '.join(missing)}")
    for key, value in FIXED_KEYS.items():
        if spec[key] != value:
            raise ValueError(f"{path}: {key}: {spec[key]!r}, but only {value!r} is known here")
    return spec


def decode(path: Path, spec: dict[str, Any]) -> Image.Image:
    """Return an upright 8-bit RGB image; transparency is composited on the background."""
    with Image.open(path) as stored:
        ImageOps.exif_transpose(stored, in_place=True)
        if stored.mode == "F":
            raise ValueError("32 bit floating point: save it as 8 or 16 bit")
        if stored.mode.startswith("I"):
            return _scale_to_8_bit(stored, spec["bit_depth"])
        if stored.has_transparency_data:
            layers = stored.convert("RGBA")
            below = Image.new("RGBA", layers.size, (*spec["background"], 255))
            return Image.alpha_composite(below, layers).convert("RGB")
        return stored.convert("RGB")


def _scale_to_8_bit(stored: Image.Image, bits: int) -> Image.Image:
    values, top = np.asarray(stored).astype(np.int64), 2**bits - 1
    if values.min() < 0 or values.max() > top:
        raise ValueError(f"values from {values.min()} to {values.max()}: more than {bits} bit")
    if getattr(stored, "tag_v2", {}).get(262) == 0:  # PhotometricInterpretation: white is 0
        values = top - values
    scaled = (values * 255 + top // 2) // top
    return Image.fromarray(scaled.astype(np.uint8)).convert("RGB")


def make_square(image: Image.Image, side: int, spec: dict[str, Any]) -> Image.Image:
    """Return the image as side x side pixels by one antialiased resize of Pillow."""
    (width, height), resampling = image.size, Image.Resampling[spec["filter"].upper()]
    if spec["aspect"] == "squash":
        return image.resize((side, side), resampling)
    if spec["aspect"] == "center_crop":
        short = min(width, height)
        left, top = (width - short) / 2, (height - short) / 2  # Pillow resizes fractions
        return image.resize((side, side), resampling, (left, top, left + short, top + short))
    width, height = (max(1, round(each * side / max(image.size))) for each in image.size)
    square = Image.new("RGB", (side, side), tuple(spec["padding"]))
    corner = ((side - width) // 2, (side - height) // 2)
    square.paste(image.resize((width, height), resampling), corner)
    return square


def resize(image: Image.Image, spec: dict[str, Any]) -> np.ndarray:
    """Return the pixels of the network's input, uint8 (r, r, 3), by one resize for each side."""
    for side in spec["sides"]:
        image = make_square(image, side, spec)
    return np.asarray(image)


def normalise(images: np.ndarray, spec: dict[str, Any]) -> np.ndarray:
    """Return `(x / 255 - mean) / std` of uint8 (N, r, r, 3) as float32 (N, 3, r, r)."""
    mean, std = np.float32(spec["mean"]), np.float32(spec["std"])
    scale, shift = np.float32(1) / (np.float32(255) * std), -mean / std
    # In float64, rounded once: the fused multiply-add of the training path gives these bits.
    values = images * scale.astype(np.float64) + shift.astype(np.float64)
    return np.ascontiguousarray(values.astype(np.float32).transpose(0, 3, 1, 2))


def load_network(folder: Path, threads: int = 1) -> Any:
    """Return the session of model.onnx on so many cores; otherwise it would take every core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(folder / "model.onnx"), options)


def run(network: Any, images: np.ndarray, spec: dict[str, Any]) -> np.ndarray:
    """Return the logits (N, classes) of resized images, uint8 (N, r, r, 3)."""
    name = network.get_inputs()[0].name
    return np.asarray(network.run(None, {name: normalise(images, spec)})[0])


def check(network: Any, golden: Path, spec: dict[str, Any]) -> list[str]:
    """Return what differs from the recorded pixels and logits; empty where all agree."""
    with np.load(golden, allow_pickle=False) as stored:
        native, images, expected = stored["native"], stored["images"], stored["logits"]
        max_error = float(stored.get("max_error", MAX_ERROR))
    pixels = np.stack([resize(Image.fromarray(image), spec) for image in native])
    logits, problems = run(network, images, spec), []
    if not np.array_equal(pixels, images):
        problems.append(f"resize: {(pixels != images).mean():.2%} of the pixels differ")
    error = float(np.abs(logits - expected).max() / np.abs(expected).max())
    if not error <= max_error:
        problems.append(f"network: logits differ by {error:.1e}, more than {max_error:g}")
    return problems


def main(arguments: list[str]) -> int:
    """Classify the files in `arguments`, or check the bundle; return the exit code."""
    folder, problems = Path(__file__).resolve().parent, list[str]()
    spec, network = load_preprocessing(folder / "preprocessing.json"), load_network(folder)
    labels = (folder / "labels.txt").read_text(encoding="utf-8").split("\n")
    if "--check" in arguments:
        problems = check(network, folder / "golden.npz", spec)
        print("failed" if problems else "pixels and logits are those that were recorded")
    for name in arguments if "--check" not in arguments else ():
        try:
            logits = run(network, resize(decode(Path(name), spec), spec)[None], spec)[0]
            probability = 1 / np.exp(logits - logits.max()).sum()
            print(f"{name}\t{labels[int(logits.argmax())]}\t{probability:.4f}")
        except Exception as error:  # of any decoder; one bad image does not hide the others
            problems.append(f"{name}: {getattr(error, 'strerror', None) or error}")
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return int(bool(problems))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]) if sys.argv[1:] else __doc__)
    except Exception as error:  # a file of the bundle or a package is missing or damaged
        sys.exit(f"error: {error}")
