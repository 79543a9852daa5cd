from pathlib import Path
from typing import Any

import pytest

from resomap.config.load import build_config, merge
from resomap.config.schema import Config
from resomap.errors import ConfigError
from resomap.system.files import write_json
from resomap.workflow import data_digest, job_params, jobs, targets

WILDCARDS = {"family": "custom", "model": "tiny_cnn", "resolution": "24", "seed": "1"}
WILDCARDS["eval_resolution"] = "48"
JOB_TYPES = sorted(job_params.ENTRY_POINTS, key=lambda job_type: job_type.__name__)


@pytest.fixture(autouse=True)
def no_digests(monkeypatch):
    """Replace digests of code by the names of its entry points."""
    for module in (job_params, data_digest):
        monkeypatch.setattr(
            module, "digest_code", lambda *entries: "+".join(entry.stem for entry in entries)
        )


def job_json(config: Config, job_type: type[jobs.Job]) -> str:
    return job_params.job_params(config)(job_type)(WILDCARDS)


def differing(one: Config, other: Config) -> set[type[jobs.Job]]:
    return {kind for kind in JOB_TYPES if job_json(one, kind) != job_json(other, kind)}


def changed(defaults: dict[str, Any], change: dict[str, Any]) -> Config:
    return build_config(merge(defaults, change))


def test_every_job_type_has_an_entry_point():
    with_rule = {*jobs.Job.__subclasses__(), *jobs.SweepJob.__subclasses__()}
    with_rule |= {jobs.PartialReport}
    with_rule -= {jobs.MeasureSteps, jobs.SweepJob}
    assert set(job_params.ENTRY_POINTS) == with_rule
    assert all(path.is_file() for path in job_params.ENTRY_POINTS.values())


@pytest.mark.parametrize("job_type", JOB_TYPES)
def test_job_of_a_rule_is_read_by_its_type(config, job_type):
    job = job_type.from_json(job_json(config, job_type))
    assert job.code == job_params.ENTRY_POINTS[job_type].stem
    assert job.to_json() == job_json(config, job_type)


def test_train_job_follows_its_wildcards(config):
    job = jobs.Train.from_json(job_json(config, jobs.Train))
    assert (job.architecture.name, job.resolution, job.seed) == ("tiny_cnn", 24, 1)
    assert (job.training, job.data) == (config.training, config.data)
    assert job.data_code == "prepare_data+resize_data"


REPORTS = {jobs.Aggregate, jobs.BuildReport, jobs.PartialReport}
WHOLE_SWEEP = REPORTS | {
    jobs.CheckNetworks,
    jobs.Plot,
    jobs.Evaluate,
    jobs.Profile,
    jobs.Summarise,
    jobs.CompareExplanations,
    jobs.ComparePreprocessing,
    jobs.Track,
}
READERS = REPORTS | {jobs.Plot, jobs.Track}
"""Jobs that read results of every run, and only those of the recipe as it is now."""
IMAGE_READERS = READERS | {
    jobs.PrepareData,
    jobs.ResizeData,
    jobs.Train,
    jobs.Evaluate,
    jobs.Explain,
    jobs.Export,
    jobs.ComparePreprocessing,
}
LARGER_SWEEP = {
    "models": ["tiny_cnn", "simple_cnn", "resnet18"],
    "resolutions": [24, 48, 96],
    "seeds": [0, 1, 2],
}
CHANGES = {
    "title": (
        {"experiment": {"name": "Another"}},
        {jobs.BuildReport, jobs.PartialReport, jobs.Track},
    ),
    "report": (
        {"report": {"margin": 0.05}},
        REPORTS | {jobs.Plot, jobs.CompareExports},
    ),
    "a larger sweep": ({"sweep": LARGER_SWEEP}, WHOLE_SWEEP),
    "explanations": (
        {"explainability": {"methods": ["saliency"]}},
        {jobs.CheckNetworks, jobs.Explain, jobs.CompareExplanations, *READERS},
    ),
    "profiling": ({"system": {"profiling": {"rounds": 9}}}, {jobs.Profile, *READERS}),
    "training": (
        {"training": {"optimizer": {"weight_decay": 0.02}}},
        # Fine-tuning shares the recipe.
        {jobs.Train, jobs.Evaluate, *READERS},
    ),
    "modes": ({"evaluation": {"modes": ["raw"]}}, {jobs.Evaluate, *READERS}),
    "test images": ({"data": {"reef": {"test": 96}}}, IMAGE_READERS),
    "another model": ({"models": {"vgg11": {"bn_momentum": 0.2}}}, set[type[jobs.Job]]()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_config_change_reaches_only_jobs_it_affects(config, defaults, name):
    change, affected = CHANGES[name]
    assert differing(changed(defaults, change), config) == affected


@pytest.mark.parametrize(
    "sweep",
    [{"resolutions": [48, 24], "seeds": [1, 0]}, {"models": ["tiny_cnn_224", "simple_cnn"]}],
    ids=["another order", "the predecessor's name"],
)
def test_equal_sweep_has_equal_jobs(config, defaults, sweep):
    other = changed(defaults, {"sweep": sweep})
    assert differing(other, config) == set()
    if "models" in sweep:
        assert targets.run_files(other, "{model}") == targets.run_files(config, "{model}")


def test_wrong_family_in_a_path_is_refused(config):
    with pytest.raises(ConfigError, match="tiny_cnn is of family custom"):
        job_params.build_job(config, jobs.Train, **{**WILDCARDS, "family": "vgg"})


def test_explain_job_has_smallest_resolution_of_sweep(defaults):
    config = changed(defaults, {"sweep": {"resolutions": [48, 24, 96]}})
    assert jobs.Explain.from_json(job_json(config, jobs.Explain)).smallest_resolution == 24


def test_infeasible_run_is_retried_with_more_memory_only(monkeypatch, tmp_path, config):
    monkeypatch.chdir(tmp_path)
    metrics = Path("results/runs/custom/tiny_cnn/r24/seed1/metrics.json")

    def retry_reason() -> str:
        return jobs.Train.from_json(job_json(config, jobs.Train)).retry_reason

    assert retry_reason() == ""
    record = {"status": "infeasible", "device_memory_mib": 24000, "job": {"retry_reason": ""}}
    write_json(metrics, record)
    reason = "24000 MiB were not enough"
    for memory_mib, expected in ((24000, ""), (25000, ""), (80000, reason)):
        monkeypatch.setattr(job_params, "largest_memory_mib", lambda _, mib=memory_mib: mib)
        assert retry_reason() == expected
    # Once it is trained, the reason stays, or the job would be run again.
    record = {"status": "ok", "device_memory_mib": 80000, "job": {"retry_reason": reason}}
    write_json(metrics, record)
    assert retry_reason() == reason


def test_chosen_cells_need_a_decision_of_this_configuration(defaults, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    deploy = {"runtimes": ["onnxruntime"], "precisions": ["fp32"], "cells": "chosen"}
    deploy |= {"max_flips": None, "measurements": []}
    config = build_config(merge(defaults, {"system": {"deploy": deploy}}))
    with pytest.raises(ConfigError, match="has no decision yet: run `snakemake` first"):
        job_params.export_inputs(config, "{model}", Path("results"))(None)


def test_export_job_follows_precisions_and_not_other_keys(defaults):
    deploy = {"runtimes": ["onnxruntime"], "precisions": ["fp32"], "cells": "all"}
    deploy |= {"max_flips": None, "measurements": []}

    def export_job(**changes):
        values = merge(defaults, {"system": {"deploy": {**deploy, **changes}}})
        return job_json(build_config(values), jobs.Export)

    assert export_job(precisions=["fp32", "int8"]) != export_job()
    assert export_job(max_flips=0.1, cells="chosen") == export_job()
