"""Static quantisation of an exported network to int8, calibrated on training images."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from resomap.deploy.export import ExportedNetwork, read_record, seal
from resomap.deploy.packages import import_package
from resomap.deploy.runtimes.onnxruntime_sessions import INPUT_NAME, RuntimeRefusal, run_file
from resomap.errors import DataError, ResoMapError

CALIBRATION_IMAGES = 256
CALIBRATION_SEED = 0
BATCH_SIZE = 32
CALIBRATION_METHOD = "minmax"
CALIBRATION_METHODS = {"minmax": "MinMax", "entropy": "Entropy", "percentile": "Percentile"}
"""Ways to take the range of an activation from images, and their names in ONNX Runtime."""
GRANULARITIES = ("per_channel", "per_tensor")
"""Whether each output channel of a weight has a scale of its own."""
ALL_OPERATORS = "all"
OPERATORS: dict[str, list[str] | None] = {
    ALL_OPERATORS: None,
    # ReLU and its clipped form, as they vanish in the scale of the convolution before them.
    "products": ["Conv", "ConvTranspose", "Gemm", "MatMul", "Relu", "Clip"],
}
"""What computes in int8: all that the runtime can, or convolutions and products of matrices."""


class QuantisationError(ResoMapError):
    """A network that the runtime cannot quantise."""


def draw_calibration_rows(
    available: int, count: int = CALIBRATION_IMAGES, seed: int = CALIBRATION_SEED
) -> np.ndarray:
    """Return the rows of the images that a quantisation measures, ascending."""
    if available < 1:
        raise DataError("there is no image to draw: a network cannot be quantised")
    rows = np.random.default_rng(seed).permutation(available)[:count]
    return np.sort(rows)


class _ImageReader:
    """What ONNX Runtime reads calibration images from."""

    def __init__(self, images: np.ndarray) -> None:
        self._batches = iter(np.array_split(images, range(BATCH_SIZE, len(images), BATCH_SIZE)))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next batch as the inputs of the network; None after the last."""
        images = next(self._batches, None)
        return None if images is None else {INPUT_NAME: images}


def quantise_network(
    exported: bytes,
    calibration: np.ndarray,
    validation: np.ndarray,
    seed: int = CALIBRATION_SEED,
) -> ExportedNetwork:
    """Return the int8 network, with scales per channel or per tensor, whichever errs less.

    `calibration` are the normalised training images (N, 3, r, r) from which the ranges of the
    activations are taken; `seed` is that of their rows, for the record. The granularity is
    decided by the mean squared error of the logits on the `validation` images (M, 3, r, r), so
    that no test image has a part in it. QuantisationError where ONNX Runtime cannot do it.
    """
    models, errors = dict[str, Any](), dict[str, float]()
    expected = _logits(exported, validation)
    for granularity in GRANULARITIES:
        model = quantise_once(exported, calibration, granularity)
        models[granularity] = model
        try:
            logits = _logits(model.SerializeToString(), validation)
        except RuntimeRefusal as error:
            raise QuantisationError(f"it cannot be quantised: {error}") from error
        errors[granularity] = float(np.square(logits - expected).mean())
    finite = [each for each in GRANULARITIES if np.isfinite(errors[each])]
    # NaN would pass for the smallest.
    if not finite:
        raise QuantisationError("it cannot be quantised: its int8 answers are not finite")
    best = min(finite, key=errors.__getitem__)
    return seal(
        models[best],
        {
            **read_record(exported),
            "precision": "int8",
            "nodes": len(models[best].graph.node),
            "quantisation": {
                "format": "QDQ",
                "weights": "int8",
                "activations": "int8",
                "granularity": best,
                "validation_mse": {each: errors[each] for each in finite},
                "validation_images": len(validation),
                "calibration_images": len(calibration),
                "calibration_method": CALIBRATION_METHOD,
                "calibration_seed": seed,
            },
        },
    )


def _logits(content: bytes, images: np.ndarray) -> np.ndarray:
    batches = np.array_split(images, range(BATCH_SIZE, len(images), BATCH_SIZE))
    return run_file(content, batches)


def quantise_once(
    exported: bytes,
    calibration: np.ndarray,
    granularity: str,
    operators: str = ALL_OPERATORS,
    method: str = CALIBRATION_METHOD,
) -> Any:
    """Return the model quantised in one way; QuantisationError with the reason of the runtime."""
    try:
        return _quantise_file(exported, calibration, granularity, operators, method)
    # Its quantiser raises errors of any type, and a disk without space is none of its own.
    except OSError:
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise QuantisationError(
            f"it cannot be quantised: {type(error).__name__}: {reason}"
        ) from error


def _quantise_file(
    exported: bytes, calibration: np.ndarray, granularity: str, operators: str, method: str
) -> Any:
    """Return the quantised model; its convolutions and products compute in int8."""
    onnx = import_package("onnx")
    quantization = import_package("onnxruntime.quantization")
    preprocess = import_package("onnxruntime.quantization.shape_inference").quant_pre_process
    with tempfile.TemporaryDirectory() as folder, _without_hints():
        original, prepared, quantised = (
            Path(folder, name) for name in ("fp32.onnx", "prepared.onnx", "int8.onnx")
        )
        original.write_bytes(exported)
        # The sizes of this network are constants: nothing is left for symbolic inference.
        preprocess(original, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            quantised,
            _ImageReader(calibration),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=OPERATORS[operators],
            per_channel=granularity == "per_channel",
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod[CALIBRATION_METHODS[method]],
            calibration_providers=["CPUExecutionProvider"],
        )
        return onnx.load(quantised)


@contextmanager
def _without_hints() -> Iterator[None]:
    """Keep the quantiser's hints, which it logs on the root logger, out of the job's log."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
