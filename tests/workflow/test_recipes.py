"""The engine under a recipe that uses all of it."""

import csv
import json

RECIPE = {
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
RUN, KEPT = (
    "results/runs/custom/tiny_cnn/r24/seed0",
    "results/checkpoints/custom/tiny_cnn/r24/seed0",
)


def test_every_part_of_a_recipe_works_with_every_other_in_two_processes(smoked):
    overlay = {
        "training": RECIPE,
        "system": {"device": "cpu", "training": {"gpus": 2, "tensorboard": True}},
    }
    done = smoked.snakemake(f"{RUN}/metrics.json", overlay=overlay)
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = json.loads((smoked.path / RUN / "metrics.json").read_text())
    assert (
        metrics["status"],
        metrics["environment"]["processes"],
        metrics["environment"]["precision"],
    ) == ("ok", 2, "bf16")
    rows = list(csv.DictReader((smoked.path / RUN / "history.csv").read_text().splitlines()))
    ranked = sorted(rows, key=lambda row: (float(row["val_loss"]), int(row["epoch"])))
    assert metrics["scores"]["epoch"] == int(ranked[0]["epoch"])
    kept = {path.name for path in (smoked.path / KEPT).glob("r24_epoch*[0-9].safetensors")}
    assert kept == {f"r24_epoch{int(row['epoch']):04d}.safetensors" for row in ranked[:2]}
    assert len(list((smoked.path / KEPT).glob("*.optimizer.safetensors"))) == 2
    assert list((smoked.path / RUN / "tensorboard").glob("events.*"))


def test_a_training_starts_from_the_weights_of_another_and_again_when_they_change(smoked):
    overlay = {"training": {"start": "mine.safetensors"}}
    missing = smoked.snakemake("-n", overlay=overlay)
    assert missing.returncode != 0
    assert (
        "training.start: there is no file mine.safetensors" in missing.stdout + missing.stderr
    )
    (smoked.path / "mine.safetensors").write_bytes(
        (smoked.path / KEPT / "best.safetensors").read_bytes()
    )
    done = smoked.snakemake(f"{RUN}/metrics.json", overlay=overlay)
    assert done.returncode == 0, done.stdout + done.stderr
    target = f"{RUN}/metrics.json"
    dry = smoked.snakemake("-n", target, overlay=overlay)
    assert "Nothing to be done" in dry.stdout + dry.stderr
    other = smoked.path / KEPT.replace("r24", "r16") / "best.safetensors"
    (smoked.path / "mine.safetensors").write_bytes(other.read_bytes())
    dry = smoked.snakemake("-n", target, overlay=overlay)
    assert "train_run" in dry.stdout + dry.stderr
