"""A damaged file, or another file in its place, is an error that names it and never a number."""

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from resomap.analysis.facts import read_facts
from resomap.analysis.tables import read_tables
from resomap.config.load import load_config
from resomap.data.store.store import open_store
from resomap.data.store.typical_jpeg import encode_typical_jpeg
from resomap.errors import DataError
from resomap.explain.agreement.read import read_maps
from resomap.report.browser.section import browser_section
from resomap.report.figures import panels
from resomap.report.markup import categories
from resomap.training.checkpoint import load_weights
from resomap.workflow import jobs
from resomap.workflow.deploy_layout import DEPLOY_STAGES
from resomap.workflow.job_params import build_job
from resomap.workflow.layout import ARTIFACTS, STAGE_OF, WITHOUT_RECEIPT
from resomap.workflow.receipts import forget_reads
from tests.workflow.conftest import SMOKE, Checkout
from workflow_scripts import aggregate

RUN = "custom/tiny_cnn/r24/seed0"
OTHER_RUN = "custom/tiny_cnn/r16/seed0"
Damage = Callable[[Path, Path], None]
Reader = Callable[[Checkout], None]


def empty(path: Path, _: Path) -> None:
    path.write_bytes(b"")


def truncate(path: Path, _: Path) -> None:
    content = path.read_bytes()
    # A table of a header alone has no second half.
    path.write_bytes(content[: len(content) * 2 // 3])


def flip_bit(path: Path, _: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) * 3 // 4] ^= 4
    path.write_bytes(content)


def take_other(path: Path, other: Path) -> None:
    shutil.copyfile(other, path)


def make_tables(checkout: Checkout, configs: tuple[str, ...] = (SMOKE,)) -> None:
    overlays = [checkout.path / name for name in configs]
    job = build_job(load_config(checkout.path / "config", overlays), jobs.Aggregate)
    assert isinstance(job, jobs.Aggregate)
    results = Path("results")
    runs, profiles, agreement = (results / name for name in ("runs", "profiles", "agreement"))
    data, tables = results / "data/manifest.json", Path("made")
    aggregate.main(
        job, "code,input,mtime,params,software-env", data, runs, profiles, agreement, tables
    )


def read_store(_: Checkout) -> None:
    store = open_store(Path("results/data/manifest.json"))
    for split in ("train", "val", "test"):
        store.images(split, 24)
        store.labels(split)
        store.rows(split)
    store.masks("test")
    encode_typical_jpeg(store)


def read_all_maps(_: Checkout) -> None:
    for method in ("gradcam", "integrated_gradients", "saliency"):
        read_maps(Path("results/runs/custom/tiny_cnn"), method, [16, 24], [0])


def read_weights(_: Checkout) -> None:
    load_weights(Path(f"results/checkpoints/{RUN}/best.safetensors"))


def read_page(_: Checkout) -> None:
    read_tables(Path("results/tables"))
    read_facts(Path("results/data"))
    names = sorted(path.stem for path in Path("results/figures").glob("*.svg"))
    categories(Path("results/figures"), names)
    browser_section(Path("results/figures"))


READERS: tuple[Reader, ...] = (make_tables, read_store, read_all_maps, read_weights, read_page)
NOT_READ = ("summary", "summary_text", "report", "headline")
"""Files for people, which no other job reads."""
KINDS = [
    each
    for each in ARTIFACTS
    if each.writer in STAGE_OF
    and each.writer not in WITHOUT_RECEIPT
    and STAGE_OF[each.writer] not in DEPLOY_STAGES  # in test_deploy.py
    and each.name not in NOT_READ
    and not each.name.endswith("_receipt")
]
FIELDS = {
    "family": "custom",
    "model": "tiny_cnn",
    "seed": "0",
    "split": "test",
    "method": "gradcam",
    "figure": "accuracy_by_resolution",
}


@pytest.fixture(scope="module")
def damaged_copy(finished, tmp_path_factory) -> Checkout:
    """A copy of the finished checkout, in which a test restores what it damages."""
    path = tmp_path_factory.mktemp("damaged") / "resomap"
    shutil.copytree(finished.path, path, copy_function=shutil.copy2)
    return Checkout(path)


@pytest.fixture
def sweep(damaged_copy, monkeypatch) -> Checkout:
    monkeypatch.chdir(damaged_copy.path)
    forget_reads()
    return damaged_copy


def other_file(path: Path) -> Path:
    """Return a file of the same format with other content: of the other run where there is one."""
    other = Path(str(path).replace("r24", "r16"))
    if other != path:
        return other
    content = path.read_bytes()
    return next(
        each
        for each in sorted(Path("results").rglob(f"*{path.suffix}"))
        if each.read_bytes() not in (content, b"")
    )


def errors_after(
    path: Path, damage: Damage, readers: Sequence[Reader], sweep: Checkout
) -> dict[Reader, str]:
    """Return what readers of a damaged file raise; the file is restored afterwards."""
    forget_reads()
    content, times = path.read_bytes(), path.stat()
    errors = {}
    try:
        damage(path, other_file(path))
        assert path.read_bytes() != content
        # Also where the time of the last change is set back.
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        for read in readers:
            try:
                read(sweep)
            except DataError as error:
                errors[read] = str(error)
    finally:
        path.write_bytes(content)
    return errors


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_damaged_file_is_an_error_that_names_it(sweep, kind):
    path = Path(kind.path.format(**FIELDS, resolution="24"))
    message = f"{path} is damaged: delete it and run again"
    errors = errors_after(path, take_other, READERS, sweep)
    assert errors, f"{path}: no reader complained"
    assert set(errors.values()) == {message}
    # The readers that did not complain do not read the file.
    for damage in (empty, truncate, flip_bit):
        assert errors_after(path, damage, list(errors), sweep) == errors, damage.__name__


def test_undamaged_files_are_read(sweep):
    for read in READERS:
        read(sweep)


@pytest.mark.parametrize("stage", ["train", "evaluate", "explain"])
def test_other_runs_results_with_their_receipt_are_refused(sweep, tmp_path, stage):
    places = {
        "train": ("runs/{}/metrics.json", "checkpoints/{}/best.safetensors"),
        "evaluate": ("runs/{}/evaluation.csv", "runs/{}/predictions.npz"),
        "explain": ("runs/{}/explanations/localisation.csv",),
    }[stage]
    patterns = [f"results/{place}" for place in (*places, f"receipts/{stage}/{{}}.json")]
    kept = {Path(pattern.format(RUN)): b"" for pattern in patterns}
    for path in kept:
        kept[path] = path.read_bytes()
    try:
        for pattern in patterns:
            shutil.copyfile(pattern.format(OTHER_RUN), pattern.format(RUN))
        with pytest.raises(DataError, match=f"receipts/{stage}/{RUN}.json: the results of"):
            make_tables(sweep)
    finally:
        for path, content in kept.items():
            path.write_bytes(content)


@pytest.mark.parametrize("damage", [empty, truncate, flip_bit])
def test_damaged_receipt_is_an_error_that_names_it(sweep, damage: Damage):
    path = Path(f"results/receipts/evaluate/{RUN}.json")
    content = path.read_bytes()
    try:
        damage(path, path)
        with pytest.raises(DataError, match=f"{path} is damaged: delete it and run again"):
            make_tables(sweep)
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "5"])
def test_damaged_metrics_count_as_missing(finished_copy, content):
    path = finished_copy.path / f"results/runs/{RUN}/metrics.json"
    path.write_text(content)
    dry = finished_copy.dry_run("--quiet", "rules")
    text = dry.stdout + dry.stderr
    assert dry.returncode == 0, text
    assert f"warning: results/runs/{RUN}/metrics.json is damaged" in text
    assert re.search(r"^train_run +1$", text, re.MULTILINE)


def test_deleting_damaged_files_makes_them_again(finished_copy):
    tables = (finished_copy.path / "results/tables/evaluation.csv").read_bytes()
    for name in (f"runs/{RUN}/predictions.npz", f"runs/{RUN}/explanations/sanity.csv"):
        path = finished_copy.path / "results" / name
        flip_bit(path, path)
        done = finished_copy.snakemake()
        text = done.stdout + done.stderr
        assert done.returncode != 0
        assert f"error: results/{name} is damaged: delete it and run again" in text
        path.unlink()
        assert finished_copy.snakemake().returncode == 0
    assert (finished_copy.path / "results/tables/evaluation.csv").read_bytes() == tables


def test_receipt_lists_every_output(sweep):
    for path in sorted(Path("results/receipts").rglob("*.json")):
        outputs = json.loads(path.read_bytes())["outputs"]
        assert outputs, path
        assert all(Path("results", name).is_file() for name in outputs)


def test_panels_read_checked_arrays(sweep):
    images = panels.StoredImages({"mask": True, "classes": []}, Path("results/data"))
    path = Path("results/data/r24/test.npy")
    content = path.read_bytes()
    try:
        flip_bit(path, path)
        with pytest.raises(DataError, match=f"{path} is damaged"):
            images.at(24)
    finally:
        path.write_bytes(content)
