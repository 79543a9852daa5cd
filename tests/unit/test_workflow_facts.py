import gc
import os
import sys
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from resomap.config.data import Provision
from resomap.config.load import build_config, merge
from resomap.config.schema import Config
from resomap.errors import ConfigError
from resomap.system.files import write_json
from resomap.workflow import data_digest, job_params, jobs, lifecycle, resources, targets
from tests.pictures import write_classes

RUN = {"family": "custom", "model": "tiny_cnn", "resolution": "24", "seed": "1"}
KINDS = sorted(job_params.ENTRY_POINTS, key=lambda kind: kind.__name__)


@pytest.fixture(autouse=True)
def no_digests(monkeypatch):
    for module in (job_params, data_digest):
        monkeypatch.setattr(
            module, "digest_code", lambda *entries: "+".join(entry.stem for entry in entries)
        )


def text(config: Config, kind: type[jobs.Job]) -> str:
    return job_params.job_params(config)(kind)(RUN)


def changed(defaults: dict[str, Any], change: dict[str, Any]) -> Config:
    return build_config(merge(defaults, change))


def test_every_kind_of_job_has_a_main_that_exists():
    assert set(job_params.ENTRY_POINTS) == {*jobs.Job.__subclasses__(), jobs.PartialReport} - {
        jobs.MeasureSteps
    }
    assert [path for path in job_params.ENTRY_POINTS.values() if not path.is_file()] == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_rule_gets_a_job_that_its_main_can_read(config, kind):
    job = kind.from_json(text(config, kind))
    assert job.code == job_params.ENTRY_POINTS[kind].stem
    assert job.to_json() == text(config, kind)


def test_a_training_is_what_its_wildcards_say(config):
    job = jobs.Train.from_json(text(config, jobs.Train))
    assert (job.architecture.name, job.resolution, job.seed) == ("tiny_cnn", 24, 1)
    assert (job.training, job.data, job.data_code) == (
        config.training,
        config.data,
        "prepare_data+resize_data",
    )


CHANGES = {
    "report": {"report": {"margin": 0.05}},
    "a larger sweep": {
        "sweep": {
            "models": ["tiny_cnn", "simple_cnn", "resnet18"],
            "resolutions": [24, 48, 96],
            "seeds": [0, 1, 2],
        }
    },
    "explanations": {"explainability": {"methods": ["saliency"]}},
    "profiling": {"system": {"profiling": {"rounds": 9}}},
    "training": {"training": {"optimizer": {"weight_decay": 0.02}}},
    "test pictures": {"data": {"reef": {"test": 96}}},
    "another network": {"models": {"vgg11": {"min_resolution": 33}}},
}
TOLD = {jobs.Aggregate, jobs.BuildReport, jobs.PartialReport}
SWEEP = TOLD | {
    jobs.Plot,
    jobs.Evaluate,
    jobs.Profile,
    jobs.Summarise,
    jobs.CompareExplanations,
    jobs.Track,
}
READ_PICTURES = {
    jobs.PrepareData,
    jobs.ResizeData,
    jobs.Train,
    jobs.Evaluate,
    jobs.Explain,
    jobs.BuildReport,
    jobs.PartialReport,
}
AFFECTED = [
    ("report", TOLD),
    ("a larger sweep", SWEEP),
    ("explanations", {jobs.Explain, jobs.CompareExplanations}),
    ("profiling", {jobs.Profile}),
    ("training", {jobs.Train, jobs.BuildReport, jobs.PartialReport}),
    ("test pictures", READ_PICTURES),
    ("another network", set[type[jobs.Job]]()),
]


@pytest.mark.parametrize(("name", "kinds"), AFFECTED)
def test_a_change_reaches_the_jobs_whose_numbers_it_changes_and_no_other(
    config, defaults, name, kinds
):
    other = changed(defaults, CHANGES[name])
    assert {kind for kind in KINDS if text(other, kind) != text(config, kind)} == kinds


def test_the_order_of_resolutions_and_seeds_in_a_sweep_says_nothing(config, defaults):
    other = changed(defaults, {"sweep": {"resolutions": [48, 24], "seeds": [1, 0]}})
    assert [kind for kind in KINDS if text(other, kind) != text(config, kind)] == []


def test_a_network_by_its_name_of_old_is_the_same_job(config, defaults):
    other = changed(defaults, {"sweep": {"models": ["tiny_cnn_224", "simple_cnn"]}})
    assert [kind for kind in KINDS if text(other, kind) != text(config, kind)] == []
    assert targets.run_files(other, "{model}") == targets.run_files(config, "{model}")


def test_a_path_with_the_wrong_family_is_refused_with_the_right_one(config):
    with pytest.raises(ConfigError, match="tiny_cnn is of family custom"):
        job_params.build_job(config, jobs.Train, **{**RUN, "family": "vgg"})


def test_the_costliest_runs_come_first(config):
    files = targets.run_files(config, "{family}/{model}/r{resolution}/seed{seed}")
    assert files[:3] == [
        "custom/tiny_cnn/r48/seed0",
        "custom/tiny_cnn/r48/seed1",
        "custom/simple_cnn/r48/seed0",
    ]
    assert len(files) == len(set(files)) == 8


def test_several_files_a_run_stay_together(config):
    assert targets.run_files(config, "a/{model}/{seed}", "b/{model}/{seed}")[:2] == [
        "a/tiny_cnn/0",
        "b/tiny_cnn/0",
    ]


def test_without_explanations_none_are_asked_for(config, defaults):
    assert (
        len(targets.explanation_files(config, "{model}/{resolution}/{seed}", "{model}"))
        == 8 + 2
    )
    assert (
        targets.explanation_files(
            changed(defaults, {"explainability": {"enabled": False}}), "{model}", "{model}"
        )
        == []
    )


def test_a_comparison_waits_for_every_run_of_its_network_and_of_no_other(config):
    files = targets.runs_of_model(config, "{model}/{resolution}/{seed}")(
        SimpleNamespace(model="tiny_cnn")
    )
    assert sorted(files) == ["tiny_cnn/24/0", "tiny_cnn/24/1", "tiny_cnn/48/0", "tiny_cnn/48/1"]


def test_the_smallest_resolution_of_the_sweep_is_told_to_every_explanation(defaults):
    config = changed(defaults, {"sweep": {"resolutions": [48, 24, 96]}})
    assert jobs.Explain.from_json(text(config, jobs.Explain)).smallest_resolution == 24


def test_a_profile_a_network_and_not_a_run(config):
    assert targets.model_files(config, "{family}/{model}.json") == [
        "custom/tiny_cnn.json",
        "custom/simple_cnn.json",
    ]


def test_wildcards_take_only_values_that_exist(config):
    assert targets.any_of(config.sweep.resolutions) == "24|48"


@pytest.mark.parametrize(("device", "gpus"), [("cpu", 0), ("cuda", 1)])
def test_a_job_asks_for_the_device_of_the_configuration(defaults, device, gpus):
    assert resources.gpus_per_job(changed(defaults, {"system": {"device": device}})) == gpus


def test_jobs_find_this_python_and_this_package(monkeypatch):
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.setenv("PYTHONPATH", "/theirs")
    lifecycle.use_this_interpreter("/repo")
    assert os.environ["PATH"].split(os.pathsep) == [str(Path(sys.executable).parent), "/bin"]
    assert os.environ["PYTHONPATH"].split(os.pathsep) == ["/repo", "/theirs"]
    monkeypatch.delenv("PYTHONPATH")
    lifecycle.use_this_interpreter("/repo")
    assert os.environ["PYTHONPATH"] == "/repo"


def test_python_looks_for_garbage_seldom_while_a_dag_is_built(monkeypatch):
    set_to = []
    monkeypatch.setattr("gc.set_threshold", set_to.append)
    lifecycle.collect_garbage_rarely()
    assert set_to[0] > 10 * gc.get_threshold()[0]


def test_a_sweep_says_how_much_it_is(config):
    assert (
        lifecycle.start_message(config)
        == "ResoMap: 2 models x 2 resolutions x 2 seeds = 8 trainings"
    )


def test_the_end_names_the_report_and_its_first_sentence(tmp_path):
    report, headline = tmp_path / "index.html", tmp_path / "headline.txt"
    assert lifecycle.end_message(report, headline) == ""
    report.write_text("<html>")
    headline.write_text("Take 48 px.\n")
    assert lifecycle.end_message(report, headline) == f"Report: {report}\nTake 48 px."


def test_the_configuration_of_a_run_is_kept_whatever_it_was_read_from(tmp_path, defaults):
    path = tmp_path / "results" / "run_config.yaml"
    from_json = OrderedDict(defaults, sweep=OrderedDict(defaults["sweep"]))
    lifecycle.write_run_config(from_json, path)
    assert yaml.safe_load(path.read_text()) == defaults
    assert build_config(yaml.safe_load(path.read_text())) == build_config(defaults)


def test_a_run_that_did_not_fit_is_trained_again_where_there_is_more_memory_and_only_then(
    monkeypatch, tmp_path, config
):
    monkeypatch.chdir(tmp_path)
    metrics = Path("results/runs/custom/tiny_cnn/r24/seed1/metrics.json")

    def asked() -> str:
        return jobs.Train.from_json(text(config, jobs.Train)).retry_reason

    assert asked() == ""
    write_json(
        metrics,
        {"status": "infeasible", "device_memory_mib": 24000, "job": {"retry_reason": ""}},
    )
    for here, told in ((24000, ""), (25000, ""), (80000, "24000 MiB were not enough")):
        monkeypatch.setattr(job_params, "largest_memory_mib", lambda device, here=here: here)
        assert asked() == told
    write_json(
        metrics, {"status": "ok", "device_memory_mib": 80000, "job": {"retry_reason": told}}
    )
    assert asked() == told


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.delenv(data_digest.USER_FILES_VARIABLE, raising=False)
    return write_classes(tmp_path / "pictures", {"cat": 40, "dog": 24})


def own(defaults: dict[str, Any], folder: Path, **change: Any) -> Config:
    return changed(defaults, {"data": {"dataset": "folder", "path": str(folder)}, **change})


def test_the_users_files_are_counted_and_named(defaults, folder):
    files = data_digest.read_user_files(own(defaults, folder))
    assert (files.num_images, files.num_train) == (64, 41)
    assert (
        jobs.PrepareData.from_json(text(own(defaults, folder), jobs.PrepareData)).listing
        == files.digest
    )


def test_the_processes_of_one_invocation_ask_once(defaults, folder, monkeypatch):
    first = data_digest.digest_data(own(defaults, folder))
    monkeypatch.setattr(data_digest, "list_images", lambda data: pytest.fail("asked again"))
    assert data_digest.digest_data(own(defaults, folder)) == first


def test_other_files_are_other_data(defaults, folder, monkeypatch):
    first = data_digest.digest_data(own(defaults, folder))
    write_classes(folder, {"cat": 1}, start=99)
    monkeypatch.delenv(data_digest.USER_FILES_VARIABLE)
    assert data_digest.digest_data(own(defaults, folder)) != first


def test_whether_a_set_may_be_fetched_is_no_part_of_what_it_is(defaults):
    fetched, there = (
        changed(defaults, {"data": {"dataset": "CIFAR10", "root": "x", "download": word}})
        for word in (True, False)
    )
    assert data_digest.digest_data(fetched) == data_digest.digest_data(there)
    assert [kind for kind in KINDS if text(fetched, kind) != text(there, kind)] == []
    assert Provision.model_validate_json(data_digest.provision_json(fetched)).download
    assert not Provision.model_validate_json(data_digest.provision_json(there)).download


def test_fewer_pictures_than_a_batch_are_refused(defaults, folder):
    with pytest.raises(
        ConfigError,
        match=r"training\.batch_size: 64 is more than the 41 training images of 64: take a smaller batch",
    ):
        data_digest.digest_data(own(defaults, folder, training={"batch_size": 64}))


def test_a_large_set_is_resized_by_every_core_and_a_small_one_beside_others(
    config, defaults, folder, monkeypatch
):
    assert (
        resources.resize_threads(config) == resources.resize_threads(own(defaults, folder)) == 1
    )
    assert (
        resources.resize_threads(
            changed(defaults, {"data": {"dataset": "CIFAR10", "root": "x"}})
        )
        == resources.ALL_CORES
    )
    monkeypatch.setattr(resources, "LARGE_DATASET", 50)
    assert resources.resize_threads(own(defaults, folder)) == resources.ALL_CORES
