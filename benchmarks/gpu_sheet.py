"""Cost sheet of a GPU: throughput of each variant, relative to the roofline of the card.

usage: python -m benchmarks.gpu_sheet [--tflops 790] [--terabytes 4.3] [--models ...]

Writes benchmarks/gpu_sheet.md; give arithmetic and memory bandwidth of your card (default:
H200).
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.gpu_check import prepare_data, profile
from benchmarks.harness import ROOT, markdown, shipped_config
from resomap.config.schema import Config
from resomap.config.sweep_checks import find_architecture
from resomap.models.registry import build_model
from resomap.profiling.summary import summarise
from resomap.system.files import write_text

BYTES_PER_NUMBER = {"fp32": 4, "bf16": 2, "fp16": 2}
VARIANTS = ("eager-bf16", "eager-fp32", "compiled-bf16", "cuda_graph-bf16")
HEAD = (
    *("model", "px", "variant", "batch", "images/s", "of the roofline"),
    *("latency p50 ms, batch 1", "cold L2", "peak MiB", "reserved MiB", "J per image", "valid"),
)
NOTE = """\
Images per second at the best batch size up to the largest that fits. Roofline: the smaller of
{flops:.0f} TFLOP/s over the FLOPs of an image and {bandwidth:.1f} TB/s over twice the bytes of
all layer outputs (written once, read once). fp32 is full float32, without TF32.

"""


def measure_cells(
    config: Config, folder: Path, flops: float, bandwidth: float
) -> Iterator[tuple[object, ...]]:
    """Yield one row of HEAD per model, resolution and variant."""
    data = prepare_data(config, folder)
    for model in config.sweep.models:
        records = profile(config, model, data, folder)
        network = build_model(find_architecture(config.models, model), num_classes=8)
        for resolution in sorted(config.sweep.resolutions):
            output_bytes = summarise(network, resolution)[1]["output_bytes"]
            cells = [record for record in records if record["resolution"] == resolution]
            yield from variant_rows(model, cells, output_bytes, flops, bandwidth)


def variant_rows(
    model: str, cells: list[dict[str, Any]], output_bytes: int, flops: float, bandwidth: float
) -> Iterator[tuple[object, ...]]:
    """Yield one row per variant; `output_bytes` are those of all layers in float32."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for cell in cells:
        if cell["status"] == "ok":
            groups.setdefault((cell["variant"], cell["precision"]), []).append(cell)
    for (variant, precision), group in groups.items():
        best, single = (
            max(group, key=lambda cell: cell["inference_images_per_second"]),
            group[0],
        )
        rate, traffic = best["inference_images_per_second"], 2 * output_bytes / 4
        traffic *= BYTES_PER_NUMBER[precision]
        bound_seconds = max(best["flops"] / flops, traffic / bandwidth)
        yield (
            *(model, best["resolution"], f"{variant}-{precision}", best["batch_size"]),
            *(f"{rate:,.0f}", f"{rate * bound_seconds:.2f}", f"{single['latency_ms_p50']:.3f}"),
            _format(single["latency_ms_p50_cold"], ".3f"),
            _format(best["peak_memory_mib"], ",.0f"),
            _format(best["peak_reserved_mib"], ",.0f"),
            _format(best["energy_j_per_image"], ".4f"),
            best["why_invalid"] or "yes",
        )


def _format(value: float | None, spec: str) -> str:
    return "" if value is None else format(value, spec)


def main() -> None:
    """Parse the command line and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    models = ["resnet18", "resnet50", "vgg16", "mobilenet_v2"]
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--models", nargs="+", default=models)
    parser.add_argument("--resolutions", nargs="+", type=int, default=[64, 128, 160, 224, 512])
    parser.add_argument("--variants", nargs="+", default=VARIANTS)
    parser.add_argument("--tflops", type=float, default=790.0, help="of bf16 arithmetic")
    parser.add_argument("--terabytes", type=float, default=4.3, help="TB/s of its memory")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "gpu_sheet.md")
    options = parser.parse_args()
    profiling = {
        "variants": options.variants,
        "batch_sweep": True,
        "energy": options.device == "cuda",
        "end_to_end": False,
    }
    changes = {
        "data": {"reef": {"train": 8, "val": 8, "test": 8}},
        "sweep": {"models": options.models, "resolutions": options.resolutions},
        "system": {"device": options.device, "profiling": profiling},
    }
    flops, bandwidth = options.tflops * 1e12, options.terabytes * 1e12
    with tempfile.TemporaryDirectory() as folder:
        rows = measure_cells(shipped_config(changes), Path(folder), flops, bandwidth)
        table = markdown(HEAD, rows)
    note = NOTE.format(flops=options.tflops, bandwidth=options.terabytes)
    write_text(options.out, note + table)
    print(options.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
