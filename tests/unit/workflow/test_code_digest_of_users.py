import pytest

from resomap.config.architecture import build_architecture
from resomap.config.load import build_config, merge
from resomap.workflow import jobs
from resomap.workflow.code_digest import combine_code, digest_own_code, own_files
from resomap.workflow.job_params import build_job
from resomap.workflow.sweep_results import SweepResults

NETS = """
from blocks import stage  # a file beside it
import torch


def make(num_classes):
    from mine.deep import head

    return torch.nn.Sequential(stage(), head(num_classes))
"""
FILES = {
    "nets.py": NETS,
    "blocks.py": "def stage():\n    return 1\n",
    "mine/__init__.py": "",
    "mine/deep.py": "from . import parts\nfrom .parts import head\n",
    "mine/parts.py": "def head(n):\n    return n\n",
    "unused.py": "value = 1\n",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def digest() -> str:
    return digest_own_code([build_architecture("nets:make")])


def test_files_are_those_that_the_builder_imports(folder):
    names = {path.relative_to(folder).as_posix() for path in own_files("nets:make")}
    assert names == set(FILES) - {"unused.py"}
    names = {path.relative_to(folder).as_posix() for path in own_files("mine.parts:head")}
    assert names == {"mine/__init__.py", "mine/parts.py"}


@pytest.mark.parametrize("name", sorted(set(FILES) - {"unused.py"}))
def test_edit_of_any_of_its_files_is_another_digest(folder, name):
    before = digest()
    (folder / name).write_text(f"{FILES[name]}\nnew = 2\n", encoding="utf-8")
    assert digest() != before
    (folder / name).write_text(FILES[name], encoding="utf-8")
    assert digest() == before


def test_comment_and_other_files_change_no_digest(folder):
    before = digest()
    (folder / "unused.py").write_text("value = 2\n", encoding="utf-8")
    (folder / "nets.py").write_text(f'"""Nets."""\n{NETS}# end\n', encoding="utf-8")
    assert digest() == before


@pytest.mark.parametrize("text", ["def make(:\n", "x = 'open\n"])
def test_file_that_python_cannot_read_still_has_a_digest(folder, text):
    (folder / "nets.py").write_text(text, encoding="utf-8")
    before = digest()
    (folder / "nets.py").write_text(f"{text}y\n", encoding="utf-8")
    assert digest() != before


def test_networks_of_libraries_have_no_own_code(folder):
    models = [build_architecture("timm/resnet18"), build_architecture("torchvision/resnet18")]
    assert digest_own_code(models) == ""
    assert combine_code("abc", models) == "abc"
    assert combine_code("abc", [build_architecture("nets:make")]) == f"abc-{digest()}"


def test_package_installed_elsewhere_is_read_without_its_imports(folder):
    names = {path.name for path in own_files("torchvision.ops.misc:MLP")}
    assert {"misc.py", "__init__.py"} <= names
    assert not any(
        "torch/" in path.as_posix() for path in own_files("torchvision.ops.misc:MLP")
    )


def test_edit_changes_the_jobs_of_that_model_alone(folder, defaults):
    sweep = {"models": ["nets:make", "tiny_cnn"], "resolutions": [24], "seeds": [0]}
    config = build_config(merge(defaults, {"sweep": sweep}))
    kinds = (jobs.Train, jobs.Evaluate, jobs.Profile, jobs.Explain, jobs.CompareExplanations)

    def codes(model: str) -> list[str]:
        family = {"own": "own", "tiny_cnn": "custom"}["own" if model != "tiny_cnn" else model]
        wildcards = {"family": family, "model": model, "resolution": "24", "seed": "0"}
        return [build_job(config, kind, **wildcards).to_json() for kind in kinds]

    (own,) = [model.name for model in config.models if model.family == "own"]
    before = {model: codes(model) for model in (own, "tiny_cnn")}
    tables = build_job(config, jobs.Aggregate).to_json()
    (folder / "blocks.py").write_text("def stage():\n    return 2\n", encoding="utf-8")
    assert codes("tiny_cnn") == before["tiny_cnn"]
    assert not set(codes(own)) & set(before[own])
    assert build_job(config, jobs.Aggregate).to_json() != tables


def test_job_of_the_sweep_names_the_same_code(folder, defaults):
    sweep = {"models": ["nets:make"], "resolutions": [24], "seeds": [0]}
    config = build_config(merge(defaults, {"sweep": sweep}))
    (model,) = [model for model in config.models if model.family == "own"]
    wildcards = {"family": "own", "model": model.name, "resolution": "24", "seed": "0"}
    results = SweepResults(folder, build_job(config, jobs.Aggregate))
    for stage, kind in (("train", jobs.Train), ("profile", jobs.Profile)):
        assert results.job(stage, **wildcards) == build_job(config, kind, **wildcards)
