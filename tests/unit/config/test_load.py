import os
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from resomap.config.data import SOURCES, TORCHVISION
from resomap.config.load import (
    SHIPPED_CONFIG,
    build_config,
    load_config,
    merge,
    read_yaml,
)
from resomap.config.schema import CONFIG_FILES, Config
from resomap.config.sweep_checks import find_architecture
from resomap.errors import ConfigError


def error_of(defaults: dict[str, Any], change: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        build_config(merge(defaults, change))
    return str(caught.value)


def nested(key: str, value: Any) -> dict[str, Any]:
    """Return `{"a": {"b": value}}` for the key `a.b`."""
    for name in reversed(key.split(".")):
        value = {name: value}
    return value


FORMS = "NAME, torchvision/NAME, timm/NAME or package.module:function"
MINE = {"family": "resnet", "builder": "resnet18"}
DATASETS = ", ".join((*SOURCES, *TORCHVISION))
UNKNOWN_KEYS = [
    ("config", "swep", "did you mean sweep?"),
    ("sweep", "sweep.resolution", "did you mean resolutions?"),
    ("training", "training.optimizer.learning_rat", "did you mean learning_rate?"),
    ("system", "system.profiling.Rounds", "did you mean rounds?"),
    ("models", "models.vgg11.famly", "did you mean family?"),
    ("mlflow", "mlflow.zzz", "known are enabled, tracking_uri, experiment"),
]
INTEGER, NUMBER = "Input should be a valid integer", "Input should be a valid number"
AT_MOST = "Input should be less than or equal to"
AS_TEXT = "(YAML reads it as text: write"
RATE = "training.optimizer.learning_rate"
IMBALANCE = "sampling: balanced and class_weights: balanced correct the same imbalance twice"
INVALID_VALUES = [
    ("training.epochs", "many", f'{INTEGER}, not "many"'),
    ("training.epochs", 8.5, f"{INTEGER}, not 8.5"),
    ("training.epochs", True, f"{INTEGER}, not true"),
    ("training.epochs", "1e3", f'{INTEGER}, not "1e3" {AS_TEXT} 1000)'),
    ("explainability.enabled", 1, "Input should be a valid boolean, not 1"),
    ("sweep.models", "vgg11", 'Input should be a valid array, not "vgg11"'),
    ("report.margin", 2, "Input should be less than 1, not 2"),
    (RATE, 0, "Input should be greater than 0, not 0"),
    (RATE, float("inf"), "Input should be a finite number, not Infinity"),
    (RATE, "1e-1", f'{NUMBER}, not "1e-1" {AS_TEXT} 0.1)'),
    (RATE, "nan", f'{NUMBER}, not "nan"'),
    ("training.schedule.min_lr", float("nan"), "Input should be a finite number, not NaN"),
    ("training.schedule.min_lr", "1e-7", f'{NUMBER}, not "1e-7" {AS_TEXT} 0.0000001)'),
    ("training.optimizer.type", "Sgd", "Input should be 'adamw', 'adam' or 'sgd', not \"Sgd\""),
    ("sweep", None, "Input should be an object, not null"),
    ("models.vgg11", None, "Input should be an object, not null"),
    ("sweep.models", [], "Tuple should have at least 1 item, not []"),
    ("sweep.resolutions", [], "Tuple should have at least 1 item, not []"),
    ("sweep.resolutions", [48, 24, 48], "48 is listed more than once"),
    ("sweep.models", ["vgg11", "vgg11"], "vgg11 is listed more than once"),
    (
        "sweep.models",
        ["tiny_cnn", "tiny_cnn_224"],
        "a model is listed twice, once by its alias",
    ),
    ("sweep.models", ["resnt18"], "unknown model 'resnt18'; did you mean resnet18?"),
    ("sweep.models", ["TinyCNN_224"], "unknown model 'TinyCNN_224'; did you mean tiny_cnn?"),
    (
        "data.dataset",
        "1",
        f"unknown dataset '1'; known are {DATASETS}, another class of torchvision.datasets",
    ),
    ("data.dataset", "cifar10", "unknown dataset 'cifar10'; did you mean CIFAR10?"),
    (
        "data.folder.group",
        "p(",
        "'p(' is no regular expression: missing ), unterminated subpattern at position 1",
    ),
]
INVALID_COMBINATIONS: list[tuple[dict[str, Any], str]] = [
    (
        {"sweep": {"seeds": [0, False]}},
        f"config/sweep.yaml: sweep.seeds.1: {INTEGER}, not false",
    ),
    (
        {"sweep": {"seeds": [-1]}},
        "config/sweep.yaml: sweep.seeds.0: Input should be greater than or equal to 0, not -1",
    ),
    (
        {"sweep": {"resolutions": [2]}},
        "config/sweep.yaml: sweep.resolutions.0: Input should be greater than or equal to 8, not 2",
    ),
    (
        {"data": {"reef": {"frequencies": [5.0, 9.0]}}},
        "config/data.yaml: data.reef.frequencies: value 3 is missing in [5.0, 9.0]",
    ),
    (
        {"data": {"dataset": "folder"}},
        "config/data.yaml: data: dataset: folder needs folder.path, or path beside it for short",
    ),
    (
        {"data": {"dataset": "csv", "csv": {}}},
        "config/data.yaml: data: dataset: csv needs csv.path, or path beside it for short",
    ),
    (
        {"data": {"dataset": "SVHN"}},
        "config/data.yaml: data: dataset: SVHN needs torchvision.root, or root beside it for short",
    ),
    (
        {"data": {"dataset": "folder", "path": 3}},
        "config/data.yaml: data.folder.path: Input should be a valid string, not 3",
    ),
    (
        {"data": {"splits": {"val": 0.5, "test": 0.45}}},
        "config/data.yaml: data: splits.val and splits.test leave less than 10% of the images to train on",
    ),
    (
        {"training": {"sampling": "balanced", "class_weights": "balanced"}},
        f"config/training.yaml: training: {IMBALANCE}: take one of them",
    ),
    (
        {"explainability": {"sanity": {"images": 1}}},
        "config/explainability.yaml: explainability.sanity: images: 1 image cannot be compared with another: take 2 or more, or 0",
    ),
    (
        {"models": {"VGG-11": {"family": "vgg", "builder": "vgg11"}}},
        "config/models.yaml: models.VGG-11.name: String should match pattern '^[a-z][a-z0-9_]*$', not \"VGG-11\"",
    ),
    (
        {"models": {"vgg11": {"min_resolution": 32}}},
        "config/models.yaml: models.vgg11.min_resolution is found by a dry run now: leave the key out",
    ),
    (
        {"models": {"mine": {"family": "own", "builder": "nets.py:make"}}},
        "config/models.yaml: models.mine.builder: 'nets.py:make' names a file: write nets:make, its module",
    ),
    (
        {"sweep": {"models": ["hub/resnet18"]}},
        f"config/sweep.yaml: sweep.models: 'hub/resnet18' is no builder: write {FORMS}",
    ),
    (
        {
            "models": {"timm_resnet18": {"family": "resnet", "builder": "resnet18"}},
            "sweep": {"models": ["timm/resnet18"]},
        },
        "config/sweep.yaml: sweep.models: timm/resnet18: its results would lie under timm_resnet18, "
        "the name of an entry in models.yaml: name that entry, or give it another name",
    ),
    (
        {"training": {"batch_size": 1000000000000000000000000000000}},
        f"config/training.yaml: training.batch_size: {AT_MOST} 1000000, not 1000000000000000000000000000000",
    ),
    (
        {"system": {"training": {"gpus": 65}}},
        f"config/system.yaml: system.training.gpus: {AT_MOST} 64, not 65",
    ),
    (
        {"system": {"profiling": {"cpu_threads": 1000000}}},
        f"config/system.yaml: system.profiling.cpu_threads: {AT_MOST} 1024, not 1000000",
    ),
    (
        {"system": {"profiling": {"rounds": 1000000000}}},
        f"config/system.yaml: system.profiling.rounds: {AT_MOST} 10000, not 1000000000",
    ),
    (
        {"system": {"profiling": {"warmup_seconds": 1000000.0}}},
        f"config/system.yaml: system.profiling.warmup_seconds: {AT_MOST} 3600, not 1000000.0",
    ),
    (
        {"data": {"reef": {"train": 1000000000000}}},
        f"config/data.yaml: data.reef.train: {AT_MOST} 1000000, not 1000000000000",
    ),
    (
        {"training": {"monitor": {"name": "val_accuracy", "mode": "min"}}},
        "config/training.yaml: training.monitor: mode: min contradicts val_accuracy, which is better the larger it is: leave mode out, or write max",
    ),
    (
        {"training": {"monitor": {"mode": "max"}}},
        "config/training.yaml: training.monitor: mode: max contradicts val_loss, which is better the smaller it is: leave mode out, or write min",
    ),
    (
        {"training": {"schedule": {"min_lr": 0.1}}},
        "config/training.yaml: training.schedule.min_lr: 0.1 is above the peak, optimizer.learning_rate: 0.005: the rate would rise",
    ),
    (
        {"training": {"schedule": {"warmup_epochs": 9.0}}},
        "config/training.yaml: training.schedule.warmup_epochs: 9 is longer than the training, epochs: 8",
    ),
    (
        {"training": {"early_stopping": {"patience": 2, "warmup_epochs": 8, "min_delta": 0}}},
        "config/training.yaml: training.early_stopping.warmup_epochs: 8 leaves no epoch of 8 that counts",
    ),
    (
        {"training": {"optimizer": {"sgd": {"momentum": 0}}}},
        "config/training.yaml: training.optimizer.sgd.nesterov: true needs a momentum above 0: set nesterov: false",
    ),
    (
        {"training": {"finetune": {"freeze": "backbone"}}},
        "config/training.yaml: training.finetune.freeze: backbone keeps random weights with training.start: random: start from pretrained or from a file, or set freeze: none",
    ),
    (
        {"training": {"finetune": {"freeze_bn": True}}},
        "config/training.yaml: training.finetune.freeze_bn: true keeps no statistics with training.start: random: start from pretrained or from a file, or set freeze_bn: false",
    ),
    (
        {"training": {"finetune": {"unfreeze_epoch": 2}}},
        "config/training.yaml: training.finetune.unfreeze_epoch: 2 has no effect: set freeze: backbone, or write null",
    ),
    (
        {
            "training": {
                "start": "weights.safetensors",
                "finetune": {"freeze": "backbone", "unfreeze_epoch": 8},
            }
        },
        "config/training.yaml: training.finetune.unfreeze_epoch: 8 lies after the training, epochs: 8: write null to keep the backbone frozen",
    ),
    (
        {
            "training": {
                "start": "weights.safetensors",
                "finetune": {"freeze": "backbone", "layer_decay": 0.7},
            }
        },
        "config/training.yaml: training.finetune: backbone_lr and layer_decay have no effect on a backbone that stays frozen: set unfreeze_epoch, or leave them out",
    ),
    (
        {"training": {"precision": "tf32"}, "system": {"device": "cpu"}},
        "config/training.yaml: training.precision: tf32 exists on NVIDIA GPUs only, and system.device is cpu: use fp32",
    ),
    (
        {"system": {"training": {"gpus": 64}}},
        "config/training.yaml: training.batch_size: 32 leaves some of the 64 GPUs (system.training.gpus) without an image",
    ),
    (
        {"system": {"training": {"gpus": 2, "execution": "compiled"}}},
        "config/system.yaml: system.training: execution: compiled trains on one GPU, and gpus is 2: set execution: eager, or gpus: 1",
    ),
    (
        {"system": {"device": "cpu", "training": {"execution": "cuda_graph"}}},
        "config/system.yaml: system: training.execution: cuda_graph needs an NVIDIA GPU, and device is cpu: set execution: eager",
    ),
    (
        {"data": {"reef": None}},
        "config/data.yaml: data: dataset: reef needs the section reef, which is null",
    ),
    (
        {"data": {"dataset": "folder", "path": ""}},
        'config/data.yaml: data.folder.path: String should have at least 1 character, not ""',
    ),
    (
        {"data": {"folder": {"group": "a{99999999999999999999}"}}},
        "config/data.yaml: data.folder.group: 'a{99999999999999999999}' is no regular expression: the repetition number is too large",
    ),
    (
        {"models": {"tiny_cnn": {"channels": []}}},
        "config/models.yaml: models.tiny_cnn.channels: [] has no stage: leave the key out, or list the channels of each stage",
    ),
    (
        {"models": {"tiny_cnn": {"family": "f" * 300}}},
        f'config/models.yaml: models.tiny_cnn.family: String should have at most 64 characters, not "{"f" * 59}',
    ),
]
OPTIMIZER = "training.optimizer"
RENAMED_KEYS = [
    ("training.learning_rate", 0.001, "training", f"{OPTIMIZER}.learning_rate"),
    ("training.optimizer", "AdamW", "training", f"{OPTIMIZER}.type: adamw"),
    ("training.weight_decay", 0.01, "training", f"{OPTIMIZER}.weight_decay"),
    ("training.optimizer.lr", 0.1, "training", f"{OPTIMIZER}.learning_rate"),
    ("device.use_amp", True, "training", "training.precision: bf16"),
    ("device.use_cuda", True, "system", "system.device: cuda"),
    ("explainability.sanity.pictures", 4, "explainability", "explainability.sanity.images"),
    ("experiment.seed", 42, "sweep", "sweep.seeds"),
    ("models", ["vgg11_224", "resnet18_224"], "sweep", "sweep.models"),
    ("resolutions", [224, 256], "sweep", "sweep.resolutions"),
]


@pytest.mark.parametrize(("file", "key", "hint"), UNKNOWN_KEYS)
def test_unknown_key_is_reported_with_suggestion(defaults, file, key, hint):
    message = error_of(defaults, nested(key, [9]))
    assert message == f"config/{file}.yaml: unknown key {key}; {hint}"


@pytest.mark.parametrize(("key", "value", "reason"), INVALID_VALUES)
def test_invalid_value_is_reported_with_file_and_key(defaults, key, value, reason):
    section = key.split(".")[0]
    file = "config" if section == "report" else section
    assert error_of(defaults, nested(key, value)) == f"config/{file}.yaml: {key}: {reason}"


@pytest.mark.parametrize(("change", "message"), INVALID_COMBINATIONS)
def test_invalid_combination_is_reported_with_file_and_key(defaults, change, message):
    assert error_of(defaults, change) == message


@pytest.mark.parametrize(("key", "value", "file", "new_key"), RENAMED_KEYS)
def test_renamed_key_is_refused_with_new_name(defaults, key, value, file, new_key):
    message = error_of(defaults, nested(key, value))
    assert message == f"config/{file}.yaml: {key} is now {new_key}"


def test_every_mistake_is_reported_whatever_else_is_wrong(defaults):
    changes = {
        "resolutions": [32],
        "sweep": {"models": ["resnet81", "tiny_cn_224"], "seeds": 3},
        "training": {"learning_rate": 0.1, "epochs": 0},
    }
    assert error_of(defaults, changes).splitlines() == [
        "config/sweep.yaml: resolutions is now sweep.resolutions",
        "config/training.yaml: training.learning_rate is now training.optimizer.learning_rate",
        "config/sweep.yaml: sweep.models: unknown model 'resnet81'; did you mean resnet18?",
        "config/sweep.yaml: sweep.models: unknown model 'tiny_cn_224'; did you mean tiny_cnn?",
        "config/sweep.yaml: sweep.seeds: Input should be a valid array, not 3",
        "config/training.yaml: training.epochs: Input should be greater than 0, not 0",
    ]


def test_contradictions_of_recipe_and_sweep_are_reported_together(defaults):
    changes = {
        "sweep": {"models": ["resnet18", "resnet18_224"]},
        "training": {"schedule": {"min_lr": 1.0}, "optimizer": {"sgd": {"momentum": 0.0}}},
    }
    message = error_of(defaults, changes)
    assert "schedule.min_lr" in message and "sgd.nesterov" in message
    assert "a model is listed twice" in message


def test_shipped_value_is_no_mistake_beside_a_renamed_key(defaults):
    changes = {"resolutions": [224], "sweep": {"models": ["vgg11"]}}
    assert error_of(defaults, changes) == (
        "config/sweep.yaml: resolutions is now sweep.resolutions"
    )


def test_many_errors_take_three_lines(defaults):
    lines = error_of(defaults, {"training": {"a": 1, "b": 2, "c": 3, "d": 4}}).splitlines()
    assert len(lines) == 3
    assert lines[2] == "... and 2 more"


def test_many_mistakes_take_ten_lines(defaults):
    lines = error_of(
        defaults, {"sweep": {"models": [f"net{i}" for i in range(20)]}}
    ).splitlines()
    assert len(lines) == 10
    assert lines[9] == "... and 11 more"


def test_multiline_key_is_reported_in_one_line(defaults):
    assert len(error_of(defaults, {"a\nb\nc\nd": 1}).splitlines()) == 1


def test_yaml_date_is_valid_only_as_text(defaults, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("experiment: {name: 2026-01-31}\n")
    assert build_config(merge(defaults, read_yaml(path))).experiment.name == "2026-01-31"
    path.write_text("training: {epochs: 2026-01-31}\n")
    assert 'training.epochs: Input should be a valid integer, not "2026-01-31"' in error_of(
        defaults, read_yaml(path)
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("experiment: &here {name: {inner: *here}}\n", "line 1: an alias stands within"),
        ("a: 1\nb: &b [*b]\n", "line 2: an alias stands within"),
        ("a: 1\n2024-01-31: 1\n", "line 2: this key is a timestamp"),
        ("a: 1\n!!binary YQ==: 1\n", "line 2: this key is a binary"),
        ("a: 1\n[b, c]: 1\n", "line 2: this key is a seq"),
    ],
)
def test_values_that_json_lacks_are_refused_with_file_and_line(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(f"{path}, {message}")):
        read_yaml(path)


def test_keys_of_other_kinds_are_unknown_keys(defaults, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("1: 2\nbase: &b {x: 1}\nother: {<<: *b}\n")
    assert error_of(defaults, read_yaml(path)).count("unknown key") == 3


@pytest.mark.parametrize(
    ("monitor", "mode"),
    [
        ({"name": "val_accuracy"}, "max"),
        ({"name": "val_f1", "mode": None}, "max"),
        ({"name": "val_recall", "mode": "max"}, "max"),
        ({"name": "val_loss"}, "min"),
        ({}, "min"),
    ],
)
def test_direction_of_monitor_follows_from_its_name(monitor, mode):
    assert build_config({"training": {"monitor": monitor}}).training.monitor.mode == mode


def test_shipped_values_stand_below_every_configuration():
    config = build_config({"training": {"epochs": 2}, "models": {"mine": MINE}})
    assert (config.training.epochs, config.training.batch_size) == (2, 32)
    assert {"mine", "tiny_cnn", "resnet18"} <= {model.name for model in config.models}
    assert build_config({}) == load_config(SHIPPED_CONFIG)


def test_integer_is_accepted_as_float(defaults):
    change = {"training": {"optimizer": {"weight_decay": 0}}}
    optimizer = build_config(merge(defaults, change)).training.optimizer
    assert optimizer.weight_decay == 0.0


def test_architecture_is_found_by_old_name(config):
    vgg11 = find_architecture(config.models, "vgg11")
    assert find_architecture(config.models, "vgg11_224") == vgg11


def test_architecture_name_is_its_key(defaults):
    values = merge(defaults, {"models": {"vgg11": {"name": "resnet18"}}})
    assert [model.name for model in build_config(values).models] == list(defaults["models"])


def test_config_is_frozen_and_hashable(config):
    with pytest.raises(ValidationError):
        config.training.optimizer.learning_rate = 1.0
    assert isinstance(config.sweep.models, tuple)
    assert hash(config) == hash(config.model_copy(deep=True))


def test_later_overlay_wins(tmp_path, defaults):
    write_files(tmp_path, defaults)
    (tmp_path / "one.yaml").write_text(
        "training: {epochs: 3, optimizer: {learning_rate: 0.5}}\nsweep: {seeds: [7]}\n"
    )
    (tmp_path / "two.yaml").write_text("training: {epochs: 4}\n")
    config = load_config(tmp_path, [tmp_path / "one.yaml", tmp_path / "two.yaml"])
    optimizer = config.training.optimizer
    assert (config.training.epochs, optimizer.learning_rate) == (4, 0.5)
    assert config.sweep.seeds == (7,)
    assert optimizer.weight_decay == defaults["training"]["optimizer"]["weight_decay"]


def write_files(directory: Path, values: dict[str, Any]) -> None:
    import yaml

    owned = {"config": ("experiment", "report")}
    for name in CONFIG_FILES:
        sections = {section: values[section] for section in owned.get(name, (name,))}
        (directory / f"{name}.yaml").write_text(yaml.safe_dump(sections))


MALFORMED = [
    (
        "a: 1\n__use_yte__: true\n",
        "line 2: __use_yte__ would run code of this file: write plain",
    ),
    (
        "\n".join(
            ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
            + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
        ),
        "line 1: its aliases expand to more than 20000 values",
    ),
    ("a: " + "x" * 2**20, "cannot be read: it is larger than 1 MiB"),
    ("sweep:\n  models: [a, b\n", "line 3: expected ',' or ']', but got '<stream end>'"),
    (
        "training:\n  epochs: 3\n\tbatch_size: 2\n",
        "line 3: found character '\\t' that cannot start any token",
    ),
    ("training:\n  epochs: 3\n  epochs: 4\n", "line 3: the key 'epochs' is written twice"),
    ("sweep: {seeds: [1]}\nsweep: {seeds: [2]}\n", "line 2: the key 'sweep' is written twice"),
    ("a: b: c\n", "line 1: mapping values are not allowed here"),
    ("a: *nowhere\n", "line 1: found undefined alias 'nowhere'"),
    ("- sweep\n", """expected sections such as 'sweep:', found ["sweep"]"""),
    ("# nothing yet\n", "expected sections such as 'sweep:', found null"),
    ("a: !!map [1]\n", "line 1: expected a mapping node, but found sequence"),
    ("a: !!python/object:os.system {}\n", "could not determine a constructor for the tag"),
    ("a: 2026-13-45\n", "cannot be read: month must be in 1..12"),
    ("a: " + "9" * 5000 + "\n", "cannot be read: Exceeds the limit"),
    ("[" * 5000, "cannot be read: maximum recursion depth exceeded"),
]


@pytest.mark.parametrize(
    ("text", "message"), MALFORMED, ids=[message[:40] for _, message in MALFORMED]
)
def test_malformed_yaml_is_reported_with_file_and_line(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3


def test_anchors_and_merge_keys_are_supported(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("a: &base {x: 1, y: 2}\nb:\n  <<: *base\n  y: 3\n")
    assert read_yaml(path) == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}


@pytest.mark.parametrize("bytes_", [None, b"\xff\xfe\x00", b"a: \x00"])
def test_unreadable_file_is_reported_with_name(tmp_path, bytes_):
    path = tmp_path / "mine.yaml"
    if bytes_ is not None:
        path.write_bytes(bytes_)
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        read_yaml(path)
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value).splitlines()) <= 3


def test_latin_1_file_is_reported_with_line(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes("# f\u00fcr Fische\n".encode("latin-1"))
    message = (
        r"mine\.yaml, line 1: cannot be read: byte 0xfc is not UTF-8: save the file as UTF-8"
    )
    with pytest.raises(ConfigError, match=message):
        read_yaml(path)


def test_byte_order_mark_is_no_part_of_a_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xef\xbb\xbftraining: {epochs: 2}\n")
    assert read_yaml(path) == {"training": {"epochs": 2}}


def test_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="it is a pipe or device, not a file"):
        read_yaml(tmp_path / "pipe")


def test_directory_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path)


def test_merge_leaves_arguments_unchanged():
    below, above = {"a": {"x": 1, "l": [1, 2]}, "b": 1}, {"a": {"l": [3]}, "c": {"y": 2}}
    assert merge(below, above) == {"a": {"x": 1, "l": [3]}, "b": 1, "c": {"y": 2}}
    assert (below, above) == (
        {"a": {"x": 1, "l": [1, 2]}, "b": 1},
        {"a": {"l": [3]}, "c": {"y": 2}},
    )


SHORT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"dataset": "folder", "path": "DIR"},
        {"folder": {"path": "DIR", "masks": None, "group": None}},
    ),
    (
        {"dataset": "folder", "path": "DIR", "group": "p"},
        {"folder": {"path": "DIR", "masks": None, "group": "p"}},
    ),
    ({"dataset": "csv", "path": "FILE"}, {"csv": {"path": "FILE"}}),
    (
        {"dataset": "CIFAR10", "root": "DIR", "download": True},
        {"torchvision": {"root": "DIR", "download": True}},
    ),
]


@pytest.mark.parametrize(("short", "whole"), SHORT)
def test_short_dataset_form_equals_long_form(defaults, short, whole):
    data = build_config(merge(defaults, {"data": short})).data
    dumped = data.model_dump()
    assert {name: dumped[name] for name in ("folder", "csv", "torchvision", "reef")} == {
        **dict.fromkeys(("folder", "csv", "torchvision", "reef")),
        **whole,
    }
    assert (
        data
        == build_config(merge(defaults, {"data": {"dataset": short["dataset"], **whole}})).data
    )


def test_built_config_can_be_validated_again(config):
    assert Config.model_validate_json(config.model_dump_json(), strict=True) == config


@pytest.mark.parametrize(
    ("data", "title"),
    [
        ({}, "Reef"),
        ({"dataset": "folder", "path": "photos/flowers/"}, "flowers"),
        ({"dataset": "folder", "path": "/"}, "Images"),
        ({"dataset": "folder", "path": "~nobody_here/birds"}, "birds"),
        ({"dataset": "csv", "path": "lists/birds.csv"}, "birds"),
        ({"dataset": "CIFAR10", "root": "downloads"}, "CIFAR10"),
    ],
)
def test_experiment_without_name_has_that_of_its_data(defaults, data, title):
    change = {"data": data, "experiment": {"name": None}}
    assert build_config(merge(defaults, change)).experiment.title == title
    named = merge(defaults, {"data": data, "experiment": {"name": "Mine"}})
    assert build_config(named).experiment.title == "Mine"


def test_folder_of_the_experiment_is_named_by_its_path(defaults, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = build_config(merge(defaults, {"data": {"dataset": "folder", "path": "."}}))
    assert config.experiment.name == tmp_path.name
