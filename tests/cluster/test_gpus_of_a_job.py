"""One training on two GPUs, in one allocation; and four trainings on two."""

import re

import numpy as np
from safetensors.numpy import load_file

from resomap.system.locks import read_lock_owner
from tests.cluster.conftest import TIMEOUT_SECONDS, Sweep
from tests.cluster.test_faults_on_a_cluster import LONG

# Without BatchNorm, whose statistics differ between parts of a batch, and without dropout.
RUN = "vit/vit/r224/seed0"
NETWORK = {
    "models": {"vit": {"family": "vit", "builder": "vit_b_16", "min_resolution": 224}},
    "sweep": {"models": ["vit"], "resolutions": [224]},
    "data": {"native_resolution": 224, "reef": {"train": 16, "val": 8, "test": 8}},
    "training": {"batch_size": 8, "optimizer": {"type": "sgd", "learning_rate": 0.01}},
}
PARALLEL = {**NETWORK, "system": {"training": {"gpus": 2}}}
METRICS = f"results/runs/{RUN}/metrics.json"


def test_two_processes_in_one_allocation_train_what_one_does(slurm, tmp_path):
    one, two = (
        Sweep(tmp_path / "one", slurm).write(NETWORK),
        Sweep(tmp_path / "two", slurm).write(PARALLEL),
    )
    one.run(METRICS, here=True)
    two.run(METRICS)
    alone, together = (
        load_file(sweep.path / f"results/checkpoints/{RUN}/best.safetensors")
        for sweep in (one, two)
    )
    for name, weights in alone.items():
        np.testing.assert_allclose(together[name], weights, rtol=1e-4, atol=1e-6, err_msg=name)
    assert '"processes": 2' in (two.path / METRICS).read_text()
    (allocation,) = [each for each in slurm.allocations() if len(each.gpus) > 1]
    assert sorted(allocation.gpus) == ["0", "1"]
    log = (two.path / f"logs/train/{RUN}.log").read_text()
    assert len(re.findall("^epoch 1", log, flags=re.MULTILINE)) == 1, log
    assert "waiting for" not in log


def test_more_trainings_than_gpus_run_at_once_where_they_share(slurm, tmp_path):
    sharing = {
        **LONG,
        "sweep": {"seeds": [0, 1]},
        "system": {**LONG["system"], "slots_per_gpu": 2},
    }
    sweep = Sweep(tmp_path / "sweep", slurm).write(sharing)
    snakemake = sweep.start("train")
    locks = [
        sweep.path / f"results/.state/train/custom/tiny_cnn/r{side}/seed{seed}/lock"
        for side in (16, 24)
        for seed in (0, 1)
    ]
    slurm.wait_for(
        lambda: (
            snakemake.poll() is not None
            or sum(read_lock_owner(lock) is not None for lock in locks) > slurm.gpus
        ),
        TIMEOUT_SECONDS,
    )
    assert snakemake.poll() is None, f"they never ran at once: {sweep.said()}"
    assert snakemake.wait(TIMEOUT_SECONDS) == 0, sweep.said()
