import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from resomap.config.json_schema import config_schema

CONFIG = Path(__file__).parents[3] / "config"
VALIDATOR = Draft202012Validator(json.loads(config_schema()))


def test_schema_file_equals_generated_schema():
    written = (CONFIG / "schema.json").read_text(encoding="utf-8")
    assert written == config_schema(), "run `python -m resomap.config.docs config`"
    Draft202012Validator.check_schema(json.loads(written))


@pytest.mark.parametrize("path", sorted(CONFIG.rglob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_file_is_valid(path):
    VALIDATOR.validate(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "text",
    [
        "data: {dataset: folder, path: photos}",
        "data: {dataset: CIFAR10, root: data, download: true}",
        "sweep: {models: [timm/vit_tiny_patch16_224, mine:build]}",
        "training: {start: pretrained}",
        "training: {start: {file: mine.pth, rename: {'^module.': ''}}}",
        "training: {monitor: {name: val_loss, mode: null}}",
        "models: {mine: {family: other, builder: resnet18}}",
    ],
)
def test_short_forms_are_valid(text):
    VALIDATOR.validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("swep: {seeds: [0]}", []),
        ("training: {epochs: many}", ["training", "epochs"]),
        ("training: {epochs: 0}", ["training", "epochs"]),
        ("training: {optimizer: {lr: 0.1}}", ["training", "optimizer"]),
        ("data: {dataset: folder, paths: photos}", ["data"]),
        ("models: {mine: {family: other, build: resnet18}}", ["models", "mine"]),
    ],
)
def test_mistake_is_marked_at_its_key(text, key):
    (error,) = VALIDATOR.iter_errors(yaml.safe_load(text))
    assert list(error.path) == key
