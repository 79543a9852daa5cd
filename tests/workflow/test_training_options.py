"""A training with many options at once, and one that starts from given weights."""

import csv
import json

TRAINING = {
    "epochs": 3,
    "micro_batch": 4,
    "precision": "bf16",
    "clip_norm": 1.0,
    "class_weights": "balanced",
    "ema_decay": 0.9,
    "save_top_k": 2,
    "save_optimizer": True,
    "optimizer": {"type": "sgd"},
    "schedule": {"type": "plateau"},
    "early_stopping": {"patience": 3, "warmup_epochs": 0, "min_delta": 0.0},
    "augmentation": {
        "rotation_degrees": 10.0,
        "random_resized_crop": {"scale": [0.3, 1.0], "ratio": [0.75, 1.3]},
        "color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
        "blur": {"probability": 0.5, "sigma": [0.002, 0.01]},
        "erasing": {"probability": 0.25, "scale": [0.02, 0.33], "ratio": [0.3, 3.3]},
    },
}
RUN = "results/runs/custom/tiny_cnn/r24/seed0"
CHECKPOINTS = "results/checkpoints/custom/tiny_cnn/r24/seed0"


def test_all_options_work_together_in_two_processes(finished_copy):
    runtime = {"gpus": 2, "tensorboard": True}
    overlay = {"training": TRAINING, "system": {"device": "cpu", "training": runtime}}
    done = finished_copy.snakemake(f"{RUN}/metrics.json", overlay=overlay)
    assert done.returncode == 0, done.stdout + done.stderr
    run, checkpoints = finished_copy.path / RUN, finished_copy.path / CHECKPOINTS
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["status"] == "ok"
    assert metrics["environment"]["processes"] == 2
    assert metrics["environment"]["precision"] == "bf16"
    rows = list(csv.DictReader((run / "history.csv").read_text().splitlines()))
    ranked = sorted(rows, key=lambda row: (float(row["val_loss"]), int(row["epoch"])))
    best = [int(row["epoch"]) for row in ranked]
    assert metrics["scores"]["epoch"] == best[0]
    kept = {path.name for path in checkpoints.glob("r24_epoch*[0-9].safetensors")}
    assert kept == {f"r24_epoch{epoch:04d}.safetensors" for epoch in best[:2]}
    assert len(list(checkpoints.glob("*.optimizer.safetensors"))) == 2
    assert list((run / "tensorboard").glob("events.*"))


def test_changed_start_weights_retrain(finished_copy):
    target, overlay = f"{RUN}/metrics.json", {"training": {"start": "mine.safetensors"}}
    start = finished_copy.path / "mine.safetensors"
    missing = finished_copy.snakemake("-n", overlay=overlay)
    assert missing.returncode != 0
    message = "training.start: there is no file mine.safetensors"
    assert message in missing.stdout + missing.stderr
    best = finished_copy.path / CHECKPOINTS / "best.safetensors"
    start.write_bytes(best.read_bytes())
    done = finished_copy.snakemake(target, overlay=overlay)
    assert done.returncode == 0, done.stdout + done.stderr
    dry = finished_copy.snakemake("-n", target, overlay=overlay)
    assert "Nothing to be done" in dry.stdout + dry.stderr
    other = finished_copy.path / CHECKPOINTS.replace("r24", "r16") / "best.safetensors"
    start.write_bytes(other.read_bytes())
    dry = finished_copy.snakemake("-n", target, overlay=overlay)
    assert "train_run" in dry.stdout + dry.stderr
