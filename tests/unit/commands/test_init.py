"""`resomap init` writes a valid configuration and its reasons, from measurements that are planted."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from resomap.check import CheckResult
from resomap.cli import app
from resomap.config.load import SHIPPED_CONFIG, build_config, load_config
from resomap.config.sweep_checks import find_architecture
from resomap.models.registry import build_model
from resomap.suggest import suggestion, written
from tests.image_files import write_classes
from tests.planted_steps import measure_nothing

CLASSES = {"cat": 50, "dog": 40, "eel": 30}


@pytest.fixture
def init(tmp_path, monkeypatch):
    """Run `resomap init` in an empty directory beside photos/, without measuring."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr(suggestion, "measure", measure_nothing)
    return lambda *words: CliRunner().invoke(app, ["init", *words])


@pytest.fixture
def photos(tmp_path):
    write_classes(tmp_path / "photos", CLASSES, width=48, height=40)
    for name in ("cat/0000.png", "dog/0003.png"):
        (tmp_path / "photos" / name).write_bytes(b"no image")
    for index in range(5):
        (tmp_path / "photos" / "cat" / f"{index:04}.txt").write_text("a note")
    return tmp_path / "photos"


def test_init_writes_a_valid_file_with_reasons(init, photos, tmp_path):
    result = init("photos")
    assert result.exit_code == 0, result.output
    config = load_config(SHIPPED_CONFIG, [tmp_path / "resomap.yaml"])
    assert (config.data.folder.path, config.data.on_bad_image) == ("photos", "skip")
    assert max(config.sweep.resolutions) <= 40
    text = (tmp_path / "resomap.yaml").read_text(encoding="utf-8")
    assert 12 <= len(text.splitlines()) <= 28
    assert "# 2 files cannot be read" in text
    for words in (
        "3 classes: cat 49, dog 39, eel 30.",
        "Ignored: 5 files that are no images (.txt 5).",
        "Damaged: 2 files cannot be read and are left out.",
        "random weights, since no pretrained ones lie on this machine",
        "of the detail that the images hold",
        "in four cases of five",
        "Next       resomap run\n",
    ):
        assert words in result.output


def test_init_keeps_what_flags_and_own_files_give(init, photos, tmp_path):
    (tmp_path / "mine.yaml").write_text("training: {label_smoothing: 0.2}\n", encoding="utf-8")
    words = ["--models", "resnet18,tiny_cnn", "--resolutions", "16,24", "--seeds", "3"]
    words += ["--epochs", "7", "--margin", "0.05", "--max-latency-ms", "4"]
    result = init("photos", *words, "--configfile", "mine.yaml")
    assert result.exit_code == 0, result.output
    config = load_config(SHIPPED_CONFIG, [tmp_path / "resomap.yaml"])
    assert config.sweep.models == ("resnet18", "tiny_cnn")
    assert (config.sweep.resolutions, config.sweep.seeds) == ((16, 24), (0, 1, 2))
    assert (config.training.epochs, config.training.label_smoothing) == (7, 0.2)
    assert (config.report.margin, config.report.max_latency_ms) == (0.05, 4)


def test_init_never_overwrites_without_force(init, photos, tmp_path):
    (tmp_path / "resomap.yaml").write_text("mine", encoding="utf-8")
    result = init("photos")
    assert result.exit_code == 1
    assert "resomap.yaml exists: give --force" in result.output
    assert (tmp_path / "resomap.yaml").read_text(encoding="utf-8") == "mine"
    assert init("photos", "--force").exit_code == 0


def test_init_reduces_the_sweep_to_the_minutes(init, photos):
    result = init("photos", "--minutes", "8")
    assert result.exit_code == 0, result.output
    assert "Given up   For 8 minutes: " in result.output


def test_init_names_the_minutes_that_the_smallest_sweep_takes(init, photos, tmp_path):
    result = init("photos", "--minutes", "1")
    assert result.exit_code == 1
    assert "--minutes 1: the smallest sweep" in result.output
    assert not (tmp_path / "resomap.yaml").exists()


def test_init_names_a_reason_where_every_image_is_damaged(init, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(9):
            (tmp_path / "photos" / name / f"{index}.jpg").write_bytes(b"x")
    result = init("photos")
    assert result.exit_code == 1
    assert "18 files of 18 cannot be read, such as cat/0.jpg: not an image" in result.output
    assert len([line for line in result.output.splitlines() if "error" in line]) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere: there is no such folder or file"),
        (["photos", "--seeds", "0"], "--seeds: 0 is too few"),
        (["photos", "--resolutions", "big"], "--resolutions: 'big' is no side in pixels"),
        (["photos", "--models", "resnet19"], "did you mean resnet18?"),
        (["photos", "--start", "gone.pth"], "name it by --models"),
        (
            ["photos", "--start", "gone.pth", "--models", "resnet18"],
            "there is no file gone.pth",
        ),
    ],
)
def test_init_refuses_a_mistake_in_three_lines(init, photos, words, message):
    result = init(*words)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output


def test_init_without_images_suggests_the_shipped_sweep_of_the_reef(init, tmp_path):
    result = init()
    assert result.exit_code == 0, result.output
    config = load_config(SHIPPED_CONFIG, [tmp_path / "resomap.yaml"])
    assert config.data.dataset == "reef"
    assert config.sweep.models == ("tiny_cnn", "simple_cnn")


@pytest.mark.parametrize(
    ("model", "frozen"), [("resnet18", True), ("torchvision/vit_b_16", False)]
)
def test_init_freezes_batch_norm_where_a_network_has_it(
    init, photos, tmp_path, monkeypatch, model, frozen
):
    monkeypatch.setattr(written, "check_recipe", lambda config: CheckResult([], []))
    monkeypatch.setattr(suggestion, "check_given_start", lambda config, resolution: None)
    (tmp_path / "backbone.pth").write_bytes(b"weights")
    words = ["--models", model, "--resolutions", "32", "--start", "backbone.pth"]
    result = init("photos", *words)
    assert result.exit_code == 0, result.output
    config = load_config(SHIPPED_CONFIG, [tmp_path / "resomap.yaml"])
    assert config.training.finetune.freeze_bn == frozen


def test_init_starts_from_weights_that_lie_on_the_machine(init, photos, tmp_path):
    from torchvision.models import ResNet18_Weights

    cache = tmp_path / "torch" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    (cache / ResNet18_Weights.DEFAULT.url.rpartition("/")[2]).write_bytes(b"weights")
    result = init("photos", "--resolutions", "32")
    # The file is damaged, and a sweep would stop at it.
    assert result.exit_code == 1
    assert "cannot be read as torchvision IMAGENET1K_V1 of resnet18" in result.output


def write_backbone(path: Path, separator: str = ".") -> None:
    """Write random weights of tiny_cnn, with another separator in their names."""
    model = build_model(find_architecture(build_config({}).models, "tiny_cnn"), 3, 32)
    weights = {name.replace(".", separator): each for name, each in model.state_dict().items()}
    torch.save(weights, path)


def test_init_refuses_weights_of_other_names_before_it_reads_images(
    init, photos, tmp_path, monkeypatch
):
    write_backbone(tmp_path / "weights.pth", "_")
    monkeypatch.setattr(suggestion, "summarise", lambda *each: pytest.fail("it read images"))
    result = init("photos", "--models", "tiny_cnn", "--start", "weights.pth")
    assert result.exit_code == 1
    assert "map names by training.start.rename" in result.output


@pytest.mark.parametrize(
    ("own", "expected", "reason"),
    [("", "bicubic", True), ("data: {filter: lanczos}\n", "lanczos", False)],
)
def test_init_resizes_as_the_images_of_the_weights_were(
    init, photos, tmp_path, own, expected, reason
):
    write_backbone(tmp_path / "weights.pth")
    start = "training: {start: {file: weights.pth, interpolation: bicubic}}\n"
    (tmp_path / "mine.yaml").write_text(own + start, encoding="utf-8")
    result = init("photos", "--models", "tiny_cnn", "--configfile", "mine.yaml")
    assert result.exit_code == 0, result.output
    written_file = tmp_path / "resomap.yaml"
    assert load_config(SHIPPED_CONFIG, [written_file]).data.filter == expected
    assert ("# by which" in written_file.read_text(encoding="utf-8")) == reason
