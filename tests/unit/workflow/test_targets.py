from types import SimpleNamespace

import pytest

from resomap.config.load import build_config, merge
from resomap.errors import ConfigError
from resomap.system.files import write_json, write_rows
from resomap.workflow import targets
from resomap.workflow.deploy_layout import DEPLOY_STAGES


def test_run_files_start_with_expensive_resolution(config):
    files = targets.run_files(config, "{family}/{model}/r{resolution}/seed{seed}")
    assert files[:3] == [
        "custom/tiny_cnn/r48/seed0",
        "custom/tiny_cnn/r48/seed1",
        "custom/simple_cnn/r48/seed0",
    ]
    assert len(files) == len(set(files)) == 8


def test_run_files_keep_patterns_of_a_run_together(config):
    files = targets.run_files(config, "a/{model}/{seed}", "b/{model}/{seed}")
    assert files[:2] == ["a/tiny_cnn/0", "b/tiny_cnn/0"]


def test_explanation_files_are_empty_when_disabled(config, defaults):
    patterns = ("{model}/{resolution}/{seed}", "{model}")
    assert len(targets.explanation_files(config, *patterns)) == 8 + 2
    disabled = build_config(merge(defaults, {"explainability": {"enabled": False}}))
    assert targets.explanation_files(disabled, *patterns) == []


def test_runs_of_model_leave_out_other_models(config):
    inputs = targets.runs_of_model(config, "{model}/{resolution}/{seed}")
    files = inputs(SimpleNamespace(model="tiny_cnn"))
    assert sorted(files) == ["tiny_cnn/24/0", "tiny_cnn/24/1", "tiny_cnn/48/0", "tiny_cnn/48/1"]


def test_model_files_are_one_per_model(config):
    assert targets.model_files(config, "{family}/{model}.json") == [
        "custom/tiny_cnn.json",
        "custom/simple_cnn.json",
    ]


def test_cell_files_are_one_per_model_and_resolution(config):
    assert targets.cell_files(config, "{model}/r{resolution}") == [
        "tiny_cnn/r24",
        "tiny_cnn/r48",
        "simple_cnn/r24",
        "simple_cnn/r48",
    ]


def test_wildcard_constraint_admits_exactly_the_values(config):
    assert targets.any_of(config.sweep.resolutions) == "24|48"


def test_native_images_are_an_input_only_where_crops_are_cut_from_them(config, defaults):
    crop = {"scale": [0.5, 1.0], "ratio": [1.0, 1.0]}
    sources = {}
    for crop_from in ("resized", "native"):
        augmentation = {"random_resized_crop": {**crop, "crop_from": crop_from}}
        changed = build_config(merge(defaults, {"training": {"augmentation": augmentation}}))
        sources[crop_from] = targets.native_files(changed)
    assert targets.native_files(config) == sources["resized"] == []
    assert sources["native"] == ["results/data/native.npy"]


def test_missing_start_weights_are_refused(defaults, tmp_path):
    start = tmp_path / "start.safetensors"
    config = build_config(merge(defaults, {"training": {"start": str(start)}}))
    with pytest.raises(ConfigError, match=r"training\.start: there is no file"):
        targets.start_files(config)
    start.write_bytes(b"")
    assert targets.start_files(config) == [str(start)]


@pytest.mark.parametrize(
    ("change", "absent", "jobs"),
    [
        ({}, {"track"}, 9 + 2 + 3 * 8 + 2 * 2),
        ({"mlflow": {"enabled": True}}, set(), 10 + 2 + 3 * 8 + 2 * 2),
        (
            {"explainability": {"enabled": False}},
            {"explain", "compare", "track"},
            9 + 2 + 16 + 2,
        ),
    ],
)
def test_stages_and_jobs_follow_what_is_enabled(defaults, change, absent, jobs):
    config = build_config(merge(defaults, change))
    names = {stage.name for stage in targets.swept_stages(config)}
    # Exports are a target of their own.
    exports = {stage.name for stage in DEPLOY_STAGES}
    others = {stage.name for stage in targets.STAGES} - names - exports
    assert others == absent
    assert targets.count_jobs(config) == jobs


def deploy_config(defaults, cells):
    deploy = {"runtimes": ["onnxruntime"], "precisions": ["int8"], "cells": cells}
    deploy |= {"max_flips": None, "measurements": []}
    return build_config(merge(defaults, {"system": {"deploy": deploy}}))


EXPORT = "{family}/{model}/r{resolution}/seed{seed}/at{eval_resolution}"


def write_decision(folder, **named):
    """Write a decision about four cells, of which simple_cnn at 48 px is dominated."""
    names = ("choice", "runner_up", "best", "certified", "frugal")
    write_json(folder / "choice.json", dict.fromkeys(names) | named)
    measured = [
        ("tiny_cnn", 24, 0.7, 1.0),
        ("tiny_cnn", 48, 0.8, 2.0),
        ("simple_cnn", 24, 0.9, 3.0),
        ("simple_cnn", 48, 0.85, 4.0),
        ("simple_cnn", 96, None, 0.5),
    ]
    columns = ("model", "resolution", "val_accuracy", "latency_ms_p50")
    rows = [dict(zip(columns, cell, strict=True), family="custom") for cell in measured]
    write_rows(folder / "cells.csv", rows, ("family", *columns))


def candidate(model, resolution, eval_resolution, mode="raw"):
    cell = {"family": "custom", "model": model, "resolution": resolution}
    return cell | {"eval_resolution": eval_resolution, "mode": mode}


def test_nothing_is_exported_without_the_section(config):
    with pytest.raises(ConfigError, match=r"config/system.yaml: system\.deploy: null"):
        targets.export_files(config, EXPORT)
    assert targets.export_precisions(config) == ("fp32",)


def test_all_cells_are_exported_at_their_own_resolution(defaults):
    config = deploy_config(defaults, "all")
    files = targets.export_files(config, EXPORT)
    assert len(files) == len(set(files)) == 8
    assert files[0] == "custom/tiny_cnn/r48/seed0/at48"
    assert targets.export_precisions(config) == ("int8",)


def test_decided_cells_and_the_front_are_exported_once(defaults, tmp_path):
    config = deploy_config(defaults, "chosen")
    write_decision(
        tmp_path,
        choice=candidate("tiny_cnn", 24, 48),
        best=candidate("simple_cnn", 24, 24),
        runner_up=candidate("simple_cnn", 48, 48, mode="bn"),
    )
    cells = {
        path.replace("seed1", "seed0")
        for path in targets.export_files(config, EXPORT, tmp_path)
    }
    assert cells == {
        "custom/tiny_cnn/r24/seed0/at48",
        "custom/simple_cnn/r24/seed0/at24",
        "custom/tiny_cnn/r24/seed0/at24",
        "custom/tiny_cnn/r48/seed0/at48",
    }


def test_adapted_choice_cannot_be_exported(defaults, tmp_path):
    write_decision(tmp_path, choice=candidate("tiny_cnn", 24, 48, mode="finetune"))
    with pytest.raises(ConfigError, match=r"adapted to other images \(finetune\)"):
        targets.export_files(deploy_config(defaults, "chosen"), EXPORT, tmp_path)


def test_measurements_are_checked_for_existence_and_digested(defaults, tmp_path):
    values = {"runtimes": ["onnxruntime"], "precisions": ["fp32"], "cells": "all"}
    paths = [tmp_path / f"{name}.json" for name in ("pi5", "jetson", "laptop")]
    values |= {"max_flips": None, "measurements": list(map(str, paths))}
    config = build_config(merge(defaults, {"system": {"deploy": values}}))
    paths[1].write_text("{}")
    with pytest.raises(ConfigError) as error:
        targets.measurement_files(config)
    for path, missing in zip(paths, (True, False, True), strict=True):
        assert (f"there is no file {path}" in str(error.value)) == missing
    for path in paths:
        path.write_text("{}")
    assert targets.device_files(config, "table.csv") == ["table.csv"]
    before = targets.measurement_digests(config)
    paths[0].write_text("{} ")
    after = targets.measurement_digests(config)
    assert [before[path] == after[path] for path in map(str, paths)] == [False, True, True]


def test_without_measurements_nothing_about_devices_is_made(defaults):
    assert targets.device_files(build_config(defaults), "table.csv") == []
    assert targets.device_files(deploy_config(defaults, "all"), "table.csv") == []


def test_sweep_without_any_result_has_nothing_to_export(defaults, tmp_path):
    write_decision(tmp_path)
    write_rows(tmp_path / "cells.csv", [], ("family", "model", "resolution"))
    with pytest.raises(ConfigError, match=r"cells: chosen: no cell of the sweep has a result"):
        targets.export_files(deploy_config(defaults, "chosen"), EXPORT, tmp_path)


def test_exports_are_proven_in_the_configured_runtimes(defaults, config):
    assert targets.export_runtimes(config) == ("onnxruntime",)
    deploy = {"deploy": {"runtimes": ["openvino"], "precisions": ["int8"], "cells": "all"}}
    deploy["deploy"] |= {"max_flips": None, "measurements": []}
    changed = build_config(merge(defaults, {"system": deploy}))
    assert targets.export_runtimes(changed) == ("openvino",)
