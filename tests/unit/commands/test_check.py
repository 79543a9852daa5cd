from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from resomap.cli import app
from tests.image_files import write_classes


@pytest.fixture
def check(tmp_path: Path):
    def run(text: str):
        overlay = tmp_path / "mine.yaml"
        overlay.write_text(text, encoding="utf-8")
        return CliRunner().invoke(app, ["check", "--configfile", str(overlay)])

    return run


def test_check_accepts_valid_configuration(check):
    result = check("sweep: {seeds: [0, 1, 2]}\n")
    assert result.exit_code == 0
    assert "2 models x 3 resolutions x 3 seeds = 18 trainings" in result.output
    assert "device:" in result.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sweep:\n  seeds: [0\n", "mine.yaml, line 3"),
        (
            "sweep: {seeds: [0]}\nsweep: {seeds: [1]}\n",
            "mine.yaml, line 2: the key 'sweep' is written twice",
        ),
        ("sweep: {seed: [0]}\n", "did you mean seeds?"),
        ("- sweep\n", "expected sections"),
    ],
)
def test_check_refuses_invalid_configuration_in_three_lines(check, text, message):
    result = check(text)
    assert result.exit_code == 1
    assert message in result.output
    assert len(result.output.strip().splitlines()) <= 3


def test_check_names_missing_overlay():
    result = CliRunner().invoke(app, ["check", "--configfile", "nowhere.yaml"])
    assert result.exit_code == 1
    assert result.output == "error: nowhere.yaml: cannot be read: No such file or directory\n"


@pytest.mark.parametrize(("program", "code"), [(None, 1), ("/usr/bin/sbatch", 0)])
def test_check_refuses_cuda_without_a_gpu_except_where_a_cluster_is(
    check, monkeypatch, program, code
):
    monkeypatch.setattr("resomap.system.gpu_listing.has_nvidia_device", lambda: False)
    monkeypatch.setattr("resomap.commands.check.which", lambda name: program)
    result = check("system: {device: cuda}\n")
    assert result.exit_code == code
    problem = "error: config/system.yaml: system.device: cuda, but this machine has no NVIDIA"
    assert (problem in result.output) == bool(code)


@pytest.fixture
def check_folder(tmp_path, monkeypatch, check):
    """Check a sweep over tmp_path/images from an empty working directory."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return lambda: check(
        f"data: {{dataset: folder, path: {tmp_path / 'images'}}}\ntraining: {{batch_size: 8}}\n"
    )


def test_check_reports_images_and_requirements(tmp_path, check_folder):
    write_classes(tmp_path / "images", {"cat": 30, "dog": 15})
    result = check_folder()
    assert result.exit_code == 0, result.output
    assert "sweep: 45 images, 52 jobs (12 trainings), 1.6 MiB of disk space" in result.output
    page = tmp_path / "work" / "results" / "check.html"
    assert f"details: {page}" in result.output
    assert 'id="contact_sheet"' in page.read_text(encoding="utf-8")
    assert [path.name for path in (tmp_path / "work" / "results").iterdir()] == ["check.html"]


def test_check_names_every_bad_image(tmp_path, check_folder):
    write_classes(tmp_path / "images", {"cat": 20, "dog": 20})
    (tmp_path / "images" / "cat" / "a.png").write_bytes(b"")
    (tmp_path / "images" / "dog" / "b.png").write_bytes(b"no picture")
    result = check_folder()
    assert result.exit_code == 1
    assert "error: 2 files cannot be used as images:" in result.output
    assert "\n  cat/a.png: 0 bytes\n  dog/b.png: not an image" in result.output


def test_check_lists_bad_images_beside_every_other_error(tmp_path, check_folder, monkeypatch):
    write_classes(tmp_path / "images", {"cat": 1, "dog": 1})
    bad = [f"{name}/bad{index:02}.jpg" for name in ("cat", "dog") for index in range(9)]
    for name in bad:
        (tmp_path / "images" / name).write_text("no image")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**10))
    result = check_folder()
    assert result.exit_code == 1
    assert "error: only 1 KiB of disk space" in result.output
    assert "error: too few images" in result.output
    assert [name for name in bad if name not in result.output] == []


def test_check_counts_other_files_in_one_line(tmp_path, check_folder):
    write_classes(tmp_path / "images", {"cat": 20, "dog": 20})
    for index in range(20):
        for ending in ("txt", "xml", "json"):
            (tmp_path / "images" / "cat" / f"{index:04d}.{ending}").write_text("x")
    result = check_folder()
    assert result.exit_code == 0, result.output
    lines = [line for line in result.output.splitlines() if "no images" in line]
    assert lines == ["Ignored: 60 files that are no images (.json 20, .txt 20, .xml 20)."]
    assert "2 classes: cat 20, dog 20." in result.output


def test_check_names_every_class_of_a_budget_that_the_images_lack(check):
    result = check(
        "report: {min_recall: [{name: torpdo, recall: 0.9}, {name: eel, recall: 0.5}]}"
    )
    assert result.exit_code == 1
    assert "report.min_recall: no class is called 'eel'" in result.output
    assert "no class is called 'torpdo'" in result.output


def test_check_of_missing_folder_fails_in_one_line(check_folder):
    result = check_folder()
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert "there is no folder" in result.output


def test_check_reports_missing_disk_space(tmp_path, check_folder, monkeypatch):
    write_classes(tmp_path / "images", {"cat": 20, "dog": 20})
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**10))
    result = check_folder()
    assert result.exit_code == 1
    assert "error: only 1 KiB of disk space are free here" in result.output


def test_check_of_missing_dataset_suggests_download(tmp_path, check):
    result = check(f"data: {{dataset: CIFAR10, root: {tmp_path}}}\n")
    assert result.exit_code == 1
    assert "download: true" in result.output
