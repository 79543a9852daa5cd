"""Cost sheet of a GPU: each variant of a network relative to the peaks of this card.

usage: python -m benchmarks.gpu.sheet [--device cuda] [--models ...] [--variants ...]

The profile of the rule, with shorter rounds. Beside it stands what a textbook measures: time.perf_counter around a forward pass, warm, in float32 as torch has it.
"""

import argparse
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import torch

from benchmarks.gpu.card import Peaks, measure_peaks, synchronise
from benchmarks.gpu.output import (
    NOT_MEASURED,
    Budget,
    add_device_option,
    or_failure,
    print_rows,
)
from benchmarks.harness import shipped_config
from resomap.config.schema import Config
from resomap.config.sweep_checks import find_architecture
from resomap.models.registry import build_at_sides, build_model
from resomap.profiling.profile import profile_model
from resomap.profiling.summary import summarise
from resomap.system.gpus import open_device
from resomap.system.precision import use_float32

BYTES_PER_NUMBER = {"fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2}
VARIANTS = ("eager-bf16", "eager-tf32", "eager-fp32", "cuda_graph-bf16", "training_step-bf16")
HEAD = (
    *("model", "px", "variant", "batch", "images/s", "of the roofline"),
    *("latency p50 ms, batch 1", "cold L2", "peak MiB", "reserved MiB", "valid"),
)
TEXTBOOK_HEAD = ("model", "px", "batch", "textbook ms", "images/s", "n")
NOTE = """
images/s is that of the best batch size. Roofline: the smaller of this device's highest matrix
product at the precision over the operations of an image (three times as many in a training
step), and its copy bandwidth over twice the bytes of all layer outputs, written once and read
once. Peaks were measured in this call.
"""
SHORT_ROUNDS = {"warmup_seconds": 0.1, "rounds": 5, "round_seconds": 0.1, "max_seconds": 0.8}
TEXTBOOK_CALLS, NUM_CLASSES = 50, 8


def profile(config: Config, model: str, device: torch.device) -> list[dict[str, Any]]:
    """Profile a model; return the records of its cells."""
    # In this process: a second one on the card would count as a disturbance.
    architecture = find_architecture(config.models, model)
    measured = profile_model(
        build_at_sides(architecture, NUM_CLASSES, sorted(config.sweep.resolutions)),
        config.system.profiling,
        device,
        config.training.precision,
    )
    torch.cuda.empty_cache()
    records: list[dict[str, Any]] = measured["cells"]
    return records


def sheet_rows(
    config: Config, device: torch.device, peaks: Peaks, budget: Budget
) -> Iterator[tuple[object, ...]]:
    """Yield one row of HEAD per model, resolution and variant."""
    for model in config.sweep.models:
        if not budget.allows(0):
            yield (model, "", NOT_MEASURED, *[""] * 8)
            continue
        records: Any = or_failure(lambda model=model: profile(config, model, device))
        if isinstance(records, str):
            yield (model, "", records, *[""] * 8)
            continue
        network = build_model(find_architecture(config.models, model), NUM_CLASSES)
        for resolution in sorted(config.sweep.resolutions):
            cells = [record for record in records if record["resolution"] == resolution]
            yield from variant_rows(model, cells, output_bytes_of(network, resolution), peaks)


def output_bytes_of(network: torch.nn.Module, resolution: int) -> int:
    """Return the bytes of all layer outputs of an image in float32, by torchinfo."""
    return int(summarise(network, resolution)[1]["output_bytes"])


def variant_rows(
    model: str, cells: list[dict[str, Any]], output_bytes: int, peaks: Peaks
) -> Iterator[tuple[object, ...]]:
    """Yield one row per variant; `output_bytes` are those of all layers in float32."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for cell in cells:
        groups.setdefault((cell["variant"], cell["precision"]), []).append(cell)
    for (variant, precision), group in groups.items():
        measured = [cell for cell in group if cell["status"] == "ok" and _rate(cell)]
        name, side = f"{variant}-{precision}", group[0]["resolution"]
        if not measured:
            yield (model, side, name, "", group[0]["status"], *[""] * 6)
            continue
        best = max(measured, key=_rate)
        bound = bound_seconds(best, precision, output_bytes, peaks)
        share = NOT_MEASURED if bound is None else f"{_rate(best) * bound:.2f}"
        single = measured[0]
        yield (
            *(model, side, name, best["batch_size"], f"{_rate(best):,.0f}", share),
            _format(single["latency_ms_p50"] if single["batch_size"] == 1 else None, ".3f"),
            _format(single["latency_ms_p50_cold"], ".3f"),
            _format(best["peak_memory_mib"], ",.0f"),
            _format(best["peak_reserved_mib"], ",.0f"),
            best["why_invalid"] or "yes",
        )


def _rate(cell: dict[str, Any]) -> float:
    return cell["inference_images_per_second"] or cell["training_images_per_second"] or 0.0


def bound_seconds(
    cell: dict[str, Any], precision: str, output_bytes: int, peaks: Peaks
) -> float | None:
    """Return the least seconds that an image can take; None where the peak is not known."""
    flops = peaks.best_flops(precision)
    if flops is None:
        return None
    # A backward pass multiplies twice what the forward pass did, and reads and writes the
    # activations and their gradients.
    passes = 3 if cell["variant"] == "training_step" else 1
    traffic = 2 * output_bytes * BYTES_PER_NUMBER[precision] / 4
    bandwidth = max(peaks.bytes_per_second)
    return passes * max(cell["flops"] / flops, traffic / bandwidth)


def _format(value: float | None, spec: str) -> str:
    return "" if value is None else format(value, spec)


def textbook_rows(config: Config, device: torch.device) -> Iterator[tuple[object, ...]]:
    """Yield the latency that a textbook loop measures, at batch 1 and at the profile's batch."""
    # torch's own defaults, which the textbook does not change.
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = True, False
    for model in config.sweep.models:
        network = (
            build_model(find_architecture(config.models, model), NUM_CLASSES).to(device).eval()
        )
        for resolution in sorted(config.sweep.resolutions):
            for batch_size in (1, config.system.profiling.batch_size):
                images = torch.randn(batch_size, 3, resolution, resolution, device=device)
                milliseconds = time_textbook(network, images)
                rate = f"{1e3 * batch_size / milliseconds:,.0f}"
                yield (
                    model,
                    resolution,
                    batch_size,
                    f"{milliseconds:.3f}",
                    rate,
                    TEXTBOOK_CALLS,
                )


@torch.no_grad()
def time_textbook(network: torch.nn.Module, images: torch.Tensor) -> float:
    """Return the mean milliseconds of a forward pass between two synchronisations."""
    for _ in range(3):
        network(images)
    synchronise(images.device)
    start = perf_counter()
    for _ in range(TEXTBOOK_CALLS):
        network(images)
    synchronise(images.device)
    return 1e3 * (perf_counter() - start) / TEXTBOOK_CALLS


def main() -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    models = ["resnet18", "mobilenet_v3_small"]
    add_device_option(parser, seconds=70)
    parser.add_argument("--models", nargs="+", default=models)
    parser.add_argument("--resolutions", nargs="+", type=int, default=[64, 224])
    parser.add_argument("--variants", nargs="+", default=VARIANTS)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument(
        "--side", type=int, default=8192, help="of the matrices of the roofline"
    )
    parser.add_argument("--gigabytes", type=float, default=4.0, help="of its copy")
    options = parser.parse_args()
    profiling = {
        "variants": options.variants,
        "batch_size": options.batch_size,
        "energy": False,
        "end_to_end": False,
        **SHORT_ROUNDS,
    }
    changes = {
        "sweep": {"models": options.models, "resolutions": options.resolutions},
        "system": {"device": options.device, "profiling": profiling},
    }
    config, budget = shipped_config(changes), Budget(options.seconds)
    device = open_device(options.device, 1, exclusive=True)
    use_float32()
    peaks = measure_peaks(device, options.side, options.gigabytes)
    torch.cuda.empty_cache()
    print_rows("Cost sheet", HEAD, sheet_rows(config, device, peaks, budget))
    print(NOTE, flush=True)
    print_rows("As a textbook measures it", TEXTBOOK_HEAD, textbook_rows(config, device))


if __name__ == "__main__":
    main()
