"""One training on two GPUs in one allocation, and four trainings that share two GPUs."""

import re

import numpy as np
from safetensors.numpy import load_file

from resomap.system.locks import read_lock_owner
from tests.cluster.conftest import TIMEOUT_SECONDS, Sweep
from tests.cluster.test_faults import OVERLAY

RUN = "vit/vit/r224/seed0"
METRICS = f"results/runs/{RUN}/metrics.json"
# A model without BatchNorm, whose statistics differ between parts of a batch, and without dropout.
ONE_GPU = {
    "models": {"vit": {"family": "vit", "builder": "vit_b_16"}},
    "sweep": {"models": ["vit"], "resolutions": [224]},
    "data": {"native_resolution": 224, "reef": {"train": 16, "val": 8, "test": 8}},
    "explainability": {"enabled": False},  # its blocks have no square maps
    "training": {"batch_size": 8, "optimizer": {"type": "sgd", "learning_rate": 0.01}},
}
TWO_GPUS = {**ONE_GPU, "system": {"training": {"gpus": 2}}}


def load_best(sweep: Sweep) -> dict[str, np.ndarray]:
    return load_file(sweep.path / f"results/checkpoints/{RUN}/best.safetensors")


def test_two_processes_train_the_same_weights_as_one(slurm, tmp_path):
    one = Sweep(tmp_path / "one", slurm).write(ONE_GPU)
    two = Sweep(tmp_path / "two", slurm).write(TWO_GPUS)
    one.run(METRICS, local=True)
    two.run(METRICS)
    weights = load_best(two)
    for name, expected in load_best(one).items():
        np.testing.assert_allclose(weights[name], expected, rtol=1e-4, atol=1e-6, err_msg=name)
    assert '"processes": 2' in (two.path / METRICS).read_text()
    (allocation,) = [each for each in slurm.allocations() if len(each.gpus) > 1]
    assert sorted(allocation.gpus) == ["0", "1"]
    log = (two.path / f"logs/train/{RUN}.log").read_text()
    assert len(re.findall("^epoch 1", log, flags=re.MULTILINE)) == 1, log
    assert "waiting for" not in log


def test_shared_gpus_run_more_trainings_than_gpus(slurm, tmp_path):
    system = {**OVERLAY["system"], "slots_per_gpu": 2}
    overlay = {**OVERLAY, "sweep": {"seeds": [0, 1]}, "system": system}
    sweep = Sweep(tmp_path / "sweep", slurm).write(overlay)
    states = sweep.path / "results/.state/train/custom/tiny_cnn"
    locks = [states / f"r{side}/seed{seed}/lock" for side in (16, 24) for seed in (0, 1)]

    def all_gpus_are_shared() -> bool:
        return sum(read_lock_owner(lock) is not None for lock in locks) > slurm.gpus

    snakemake = sweep.start("train")
    slurm.wait_for(
        lambda: snakemake.poll() is not None or all_gpus_are_shared(), TIMEOUT_SECONDS
    )
    assert snakemake.poll() is None, f"they never ran at once: {sweep.output()}"
    sweep.finish(snakemake)
