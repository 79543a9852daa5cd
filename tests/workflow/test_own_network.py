"""A network in a file beside the user's configuration: its report, its edits, its faults."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.workflow.conftest import Checkout

NETS = """
from torch import nn

from blocks import stage


class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.stages = nn.Sequential(stage(3, 8), stage(8, 16))
        self.head = nn.Linear(16, num_classes)

    def forward(self, images):
        return self.head(self.stages(images).mean((2, 3)))


def make_net(num_classes):
    return Net(num_classes)
"""
BLOCKS = """
from torch import nn


def stage(inputs, outputs):
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2))
"""
FAULTY = """
from nets import Net


def wrong_count(num_classes):
    return Net(num_classes + 1)


def no_module(num_classes):
    return {"net": Net(num_classes)}


def raising(num_classes):
    raise KeyError("width")


def needs_width(num_classes, width):
    return Net(num_classes)


def exiting(num_classes):
    raise SystemExit(0)
"""
FAULTS = {
    "nests:make_net": "there is no module nests: it must be importable from ",
    "nets:make_nett": "nets has no function make_nett; did you mean make_net?",
    "faulty:wrong_count": "expected logits (2, 3) for 2 images of 3 classes, found shape (2, 4)",
    "faulty:no_module": "it returns dict, not a torch.nn.Module",
    "faulty:raising": "it cannot be built: KeyError: 'width'",
    "faulty:needs_width": "called as needs_width(num_classes=N): needs_width() missing 1 required "
    "positional argument: 'width'",
    "faulty:exiting": "it cannot be built: SystemExit: 0",
}
OVERLAY = {
    "models": {"mine": {"family": "own", "builder": "nets:make_net"}},
    "sweep": {"models": ["mine", "tiny_cnn"], "resolutions": [16]},
    "explainability": {"methods": ["gradcam"]},
}
RUN = "own/mine/r16/seed0"
AFTER_EDIT = {
    "train_run": 1,
    "evaluate_run": 1,
    "explain_run": 1,
    "profile_model": 1,
    "summarise_models": 1,
    "compare_explanations": 2,  # each model is also compared with the others
    "aggregate_tables": 1,
    "plot_figures": 1,
    "build_report": 1,
    "identify_sweep": 3,
}
FORWARD = ("nets.py", ".mean((2, 3))", ".amax((2, 3))")
HELPER = ("blocks.py", "nn.MaxPool2d(2)", "nn.AvgPool2d(2)")
# A comment, a docstring and spaces compute nothing, as in the package itself.
TEXT = (
    "nets.py",
    "def make_net(num_classes):\n    return",
    '# Mine.\ndef make_net( num_classes ):\n    """Build it."""\n\n    return',
)


@pytest.fixture(scope="module")
def swept(copy_to, tmp_path_factory) -> Checkout:
    """The finished sweep of a user's network and another one."""
    checkout = copy_to(tmp_path_factory.mktemp("own") / "resomap")
    write_networks(checkout.path)
    run = checkout.snakemake(overlay=OVERLAY)
    assert run.returncode == 0, run.stdout + run.stderr
    return checkout


@pytest.fixture
def edited(swept, tmp_path) -> Checkout:
    """A copy of the finished sweep, with its file times, to edit."""
    shutil.copytree(swept.path, tmp_path / "resomap", copy_function=shutil.copy2)
    return Checkout(tmp_path / "resomap")


def write_networks(folder: Path) -> None:
    for name, text in {"nets.py": NETS, "blocks.py": BLOCKS}.items():
        (folder / name).write_text(text, encoding="utf-8")


def results_of(checkout: Checkout, model: str) -> dict[str, tuple[int, bytes]]:
    """Return time and bytes of each file of one model, those that read other models left out."""
    results = checkout.path / "results"
    shared = ("agreement", "model_summaries", "compare")
    found = [*results.glob(f"*/**/{model}/**/*"), *results.glob(f"**/{model}.json")]
    return {
        path.relative_to(results).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in found
        if path.is_file() and not set(shared) & set(path.parts)
    }


def test_network_of_user_is_in_the_report(swept):
    runs = pd.read_csv(swept.path / "results/tables/runs.csv").set_index("model")
    assert dict(runs["status"]) == {"mine": "ok", "tiny_cnn": "ok"}
    profiles = pd.read_csv(swept.path / "results/tables/profiles.csv").set_index("model")
    # Convolutions with bias, BatchNorm, and the classifier.
    assert set(profiles.loc["mine", "num_parameters"]) == {224 + 16 + 1168 + 32 + 136}
    maps = swept.path / f"results/runs/{RUN}/explanations/gradcam.npz"
    assert maps.stat().st_size > 0
    page = (swept.path / "results/report/index.html").read_text(encoding="utf-8")
    assert "mine" in page
    assert "tiny_cnn" in page


@pytest.mark.parametrize(
    ("edit", "expected"), [(TEXT, {}), (HELPER, AFTER_EDIT)], ids=["text", "helper"]
)
def test_edit_of_users_file_reruns_exactly(edited, edit, expected):
    edited.edit(*edit)
    assert edited.planned_jobs(OVERLAY) == expected


def test_edited_network_is_trained_again_and_no_other(edited):
    own, other = results_of(edited, "mine"), results_of(edited, "tiny_cnn")
    assert {name.partition("/")[0] for name in other} == {
        "checkpoints",
        "profiles",
        "receipts",
        "runs",
    }
    edited.edit(*FORWARD)
    assert edited.planned_jobs(OVERLAY) == AFTER_EDIT
    run = edited.snakemake("train", "evaluate", overlay=OVERLAY)
    assert run.returncode == 0, run.stdout + run.stderr
    assert results_of(edited, "tiny_cnn") == other
    trained = results_of(edited, "mine")
    for path in (f"checkpoints/{RUN}/best.safetensors", f"runs/{RUN}/predictions.npz"):
        assert trained[path][1] != own[path][1]
    codes = [
        json.loads(each[f"runs/{RUN}/metrics.json"][1])["job"]["code"].split("-")
        for each in (own, trained)
    ]
    # That of the package, then that of the user's files.
    assert codes[0][0] == codes[1][0]
    assert codes[0][1] != codes[1][1]


def test_every_fault_is_a_line_before_any_training(checkout):
    write_networks(checkout.path)
    (checkout.path / "faulty.py").write_text(FAULTY, encoding="utf-8")
    sweep = {"sweep": {"models": [*FAULTS, "tiny_cnn"], "resolutions": [16]}}
    run = checkout.snakemake(overlay=sweep)
    text = run.stdout + run.stderr
    assert run.returncode != 0
    assert "Traceback" not in text
    lines = [line for line in text.splitlines() if line.startswith("config/sweep.yaml: ")]
    for line, (builder, message) in zip(lines, FAULTS.items(), strict=True):
        assert line.startswith(f"config/sweep.yaml: sweep.models: {builder}: ")
        assert message in line
    assert not (checkout.path / "results").exists()
