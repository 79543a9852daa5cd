"""The cost sheet of a card: throughput of each way to run a network, over the most that its arithmetic and its memory allow."""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.gpu_check import call
from benchmarks.processes import ROOT, shipped_config
from benchmarks.tables import markdown
from resomap.config.load import find_architecture
from resomap.config.schema import Config
from resomap.models.registry import build_model
from resomap.profiling.summary import summarise
from resomap.system.files import read_json, write_text
from resomap.workflow import jobs
from resomap.workflow.data_digest import provision_json
from resomap.workflow.job_params import build_job

BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
HEAD = (
    *(
        "network",
        "px",
        "variant",
        "batch",
        "pictures/s",
        "of the roofline",
        "latency p50 ms, batch 1",
        "cold L2",
    ),
    *("peak MiB", "reserved MiB", "J a picture", "valid"),
)
NOTE = """Pictures a second at the best batch up to the largest that fits. Roofline: the smaller of {flops:.0f} TFLOP/s over the FLOPs of a picture and
{bandwidth:.1f} TB/s over twice the bytes of every layer's output (written once, read once). fp32 is full float32, without TF32.

"""
EVERY_WAY = ("eager-bf16", "eager-fp32", "compiled-bf16", "cuda_graph-bf16")


def main() -> None:
    """Parse the command line and write `benchmarks/gpu_sheet.md`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument(
        "--models", nargs="+", default=["resnet18", "resnet50", "vgg16", "mobilenet_v2"]
    )
    parser.add_argument("--resolutions", nargs="+", type=int, default=[64, 128, 160, 224, 512])
    parser.add_argument("--variants", nargs="+", default=EVERY_WAY)
    parser.add_argument(
        "--tflops", type=float, default=790.0, help="bf16 arithmetic of the card (an H200)"
    )
    parser.add_argument("--terabytes", type=float, default=4.3, help="TB/s of its memory")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "gpu_sheet.md")
    options = parser.parse_args()
    profiling = {
        "variants": options.variants,
        "batch_sweep": True,
        "energy": options.device == "cuda",
        "end_to_end": False,
    }
    config = shipped_config(
        {
            "data": {"reef": {"train": 8, "val": 8, "test": 8}},
            "sweep": {"models": options.models, "resolutions": options.resolutions},
        },
        {"system": {"device": options.device, "profiling": profiling}},
    )
    with tempfile.TemporaryDirectory() as folder:
        rows = list(
            measure(config, Path(folder), options.tflops * 1e12, options.terabytes * 1e12)
        )
    write_text(
        options.out,
        NOTE.format(flops=options.tflops, bandwidth=options.terabytes) + markdown(HEAD, rows),
    )
    print(options.out.read_text(encoding="utf-8"))


def measure(
    config: Config, folder: Path, flops: float, bandwidth: float
) -> Iterator[tuple[object, ...]]:
    """A row a network, resolution and variant."""
    data = folder / "data" / "manifest.json"
    call(
        build_job(config, jobs.PrepareData),
        manifest=data,
        provision=provision_json(config),
        threads=1,
    )
    for name in config.sweep.models:
        architecture = find_architecture(config.models, name)
        profile = folder / f"{name}.json"
        call(
            build_job(config, jobs.Profile, family=architecture.family, model=name),
            data=data,
            profile=profile,
        )
        network, cells = build_model(architecture, num_classes=8), read_json(profile)["cells"]
        for resolution in sorted(config.sweep.resolutions):
            output_bytes = summarise(network, resolution)[1]["output_bytes"]
            yield from rows(
                name,
                [cell for cell in cells if cell["resolution"] == resolution],
                output_bytes,
                flops,
                bandwidth,
            )


def rows(
    name: str, cells: list[dict[str, Any]], output_bytes: int, flops: float, bandwidth: float
) -> Iterator[tuple[object, ...]]:
    """A row a variant of one network at one resolution; `output_bytes` are those of all its layers in float32."""
    for way in dict.fromkeys((cell["variant"], cell["precision"]) for cell in cells):
        mine = [
            cell
            for cell in cells
            if (cell["variant"], cell["precision"]) == way and cell["status"] == "ok"
        ]
        if mine:
            best, single = (
                max(mine, key=lambda cell: cell["inference_images_per_second"]),
                mine[0],
            )
            seconds = max(
                best["flops"] / flops, 2 * output_bytes * BYTES[way[1]] / 4 / bandwidth
            )
            yield (
                *(
                    name,
                    best["resolution"],
                    "-".join(way),
                    best["batch_size"],
                    f"{best['inference_images_per_second']:,.0f}",
                ),
                *(
                    f"{best['inference_images_per_second'] * seconds:.2f}",
                    f"{single['latency_ms_p50']:.3f}",
                ),
                *(
                    _told(single["latency_ms_p50_cold"], ".3f"),
                    _told(best["peak_memory_mib"], ",.0f"),
                ),
                *(
                    _told(best["peak_reserved_mib"], ",.0f"),
                    _told(best["energy_j_per_image"], ".4f"),
                    best["why_invalid"] or "yes",
                ),
            )


def _told(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


if __name__ == "__main__":
    main()
