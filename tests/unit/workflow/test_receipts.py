import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resomap.config.load import build_config, merge
from resomap.errors import DataError
from resomap.system.files import write_arrays, write_json, write_rows, write_text
from resomap.workflow import checked_files, checked_tables, jobs, receipts
from resomap.workflow.artifact_paths import locate_file, output_paths, receipt_path
from resomap.workflow.job_params import STAGE_JOBS, build_job
from resomap.workflow.layout import ARTIFACTS, STAGE_OF, WITHOUT_RECEIPT
from resomap.workflow.receipts import JobDigest, digest_job
from resomap.workflow.sweep_results import JOB_TYPES, SweepResults, check_nothing_stale

KEY = {"family": "custom", "model": "tiny_cnn", "resolution": "24", "seed": "0"}
EXPORT = {"eval_resolution": "48", "precision": "int8"}
RUN = "custom/tiny_cnn/r24/seed0"
ALL = "code,input,mtime,params,software-env"


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    receipts.forget_reads()
    return tmp_path


def wildcards(stage: str) -> dict[str, str]:
    return {name: value for name, value in KEY.items() if f"{{{name}}}" in STAGE_OF[stage].log}


def finish(config: Any, stage: str, content: str = "1") -> Path:
    """Write every output of a job, and its receipt as its process does; returns the receipt."""
    job = build_job(config, STAGE_JOBS[stage], **wildcards(stage))
    path = receipt_path(Path("results"), STAGE_OF[stage], wildcards(stage))
    with receipts.writing_receipt(path, job):
        if stage in ("evaluate", "explain"):
            receipts.check_content(Path(f"results/checkpoints/{RUN}/best.safetensors"))
        if stage == "compare":
            receipts.check_content(Path(f"results/runs/{RUN}/explanations/gradcam.npz"))
        for output in output_paths(path, job):
            write_text(output, f"{output} {content}")
    return path


def changed(defaults: dict[str, Any], change: dict[str, Any]) -> Any:
    return build_config(merge(defaults, change))


def sweep(config: Any) -> SweepResults:
    job = build_job(config, jobs.Aggregate)
    assert isinstance(job, jobs.Aggregate)
    return SweepResults(Path("results"), job)


@pytest.mark.parametrize("artifact", ARTIFACTS, ids=lambda artifact: artifact.name)
def test_path_of_an_artifact_is_located(artifact):
    fields = {**KEY, **EXPORT, "split": "val", "method": "gradcam", "figure": "a", "stage": "b"}
    path = Path("elsewhere") / artifact.path.format(**fields, digest="c")
    located = locate_file(path)
    if artifact.writer in STAGE_OF and artifact.writer not in WITHOUT_RECEIPT:
        assert located is not None
        assert located.artifact == artifact
        assert located.results == Path("elsewhere/results")
    else:
        assert located is None


@pytest.mark.parametrize("stage", JOB_TYPES)
def test_rebuilt_job_equals_that_of_the_rule(config, stage):
    job = build_job(config, STAGE_JOBS[stage], **wildcards(stage))
    assert digest_job(sweep(config).job(stage, **wildcards(stage))) == digest_job(job)


def test_digest_ignores_reason_of_a_retry_and_recipe_ignores_code(config):
    job = build_job(config, jobs.Train, **KEY)
    digest = digest_job(job)
    assert (
        digest_job(job.model_copy(update={"retry_reason": "8 MiB were not enough"})) == digest
    )
    other = digest_job(job.model_copy(update={"code": "x", "data_code": "y"}))
    assert other.whole != digest.whole
    assert other.recipe == digest.recipe
    assert digest_job(job.model_copy(update={"seed": 1})).recipe != digest.recipe


def test_result_is_current_until_its_recipe_or_inputs_change(config, defaults):
    assert sweep(config).state("train", **KEY) == "missing"
    finish(config, "train")
    finish(config, "evaluate")
    assert sweep(config).state("train", **KEY) == "current"
    assert sweep(config).state("evaluate", **KEY) == "current"
    faster = changed(defaults, {"training": {"optimizer": {"learning_rate": 0.1}}})
    assert sweep(faster).state("train", **KEY) == "stale"
    # The job of the evaluation names no recipe: its weights show that they are others.
    finish(faster, "train", content="2")
    assert sweep(faster).state("train", **KEY) == "current"
    assert sweep(faster).state("evaluate", **KEY) == "stale"
    finish(faster, "evaluate")
    assert sweep(faster).state("evaluate", **KEY) == "current"


def test_result_of_stale_results_is_stale(config, defaults):
    for stage in ("train", "explain", "compare"):
        finish(config, stage)
    model = {"family": "custom", "model": "tiny_cnn"}
    assert sweep(config).state("compare", **model) == "current"
    slower = sweep(changed(defaults, {"training": {"optimizer": {"learning_rate": 0.1}}}))
    assert [slower.state("explain", **KEY), slower.state("compare", **model)] == ["stale"] * 2


def test_stale_results_are_an_error_that_names_the_flag(config, defaults):
    finish(config, "train")
    check_nothing_stale(sweep(config), ALL)
    other = sweep(changed(defaults, {"training": {"epochs": 9}}))
    with pytest.raises(DataError, match=r"1 job belong.*`--rerun-triggers input mtime` keeps"):
        check_nothing_stale(other, "input,mtime")
    with pytest.raises(DataError, match=rf"receipts/train/{RUN}\.json\), run again"):
        check_nothing_stale(other, ALL)


def test_killed_job_leaves_no_receipt(config):
    receipt = finish(config, "train")
    job = build_job(config, jobs.Train, **KEY)
    with pytest.raises(KeyboardInterrupt), receipts.writing_receipt(receipt, job):
        assert not receipt.exists()
        raise KeyboardInterrupt
    assert not receipt.exists()


def test_outputs_are_tested_for_access_before_the_work(config, monkeypatch):
    job = build_job(config, jobs.Train, **KEY)
    receipt = Path(f"results/receipts/train/{RUN}.json")
    started = []
    Path(f"results/runs/{RUN}/history.csv").mkdir(parents=True)
    with pytest.raises(IsADirectoryError) as error, receipts.writing_receipt(receipt, job):
        started.append(True)
    assert error.value.filename == f"results/runs/{RUN}/history.csv"
    assert started == []


def test_only_the_leading_process_writes_the_receipt(config, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    job = build_job(config, jobs.Train, **KEY)
    with receipts.writing_receipt(Path(f"results/receipts/train/{RUN}.json"), job):
        pass
    assert not Path("results").exists()


def test_file_of_no_job_in_the_receipt_is_refused(config):
    finish(config, "explain")
    path = Path(f"results/runs/{RUN}/explanations/occlusion.npz")
    write_arrays(path, index=np.arange(3))
    with pytest.raises(DataError, match="is not a file of the job that"):
        checked_files.read_arrays(path)


def test_large_file_is_read_in_full_once(config, monkeypatch):
    monkeypatch.setattr(receipts, "MAX_SMALL_BYTES", 4)
    finish(config, "train")
    path = Path(f"results/runs/{RUN}/history.csv")
    reads = []
    digest = receipts.file_sha256
    monkeypatch.setattr(
        receipts, "file_sha256", lambda file: reads.append(file) or digest(file)
    )
    for _ in range(3):
        receipts.forget_reads()  # as a new process
        receipts.check_content(path)
    assert reads == [path]
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    time.sleep(0.02)
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(DataError, match=r"history\.csv is damaged"):
        receipts.check_content(path)


@pytest.mark.parametrize("content", ["", "{", "[]", "5", "{}", '{"sha256": ""}'])
def test_damaged_receipt_is_named(config, content):
    path = finish(config, "train")
    path.write_text(content)
    with pytest.raises(DataError, match=rf"{path} is damaged: delete it and run again"):
        receipts.read_receipt(path)


def test_changed_receipt_is_damaged(config):
    path = finish(config, "train")
    body = json.loads(path.read_text())
    write_json(path, {**body, "job": ["0" * 64, "0" * 64]})
    with pytest.raises(DataError, match="is damaged"):
        receipts.read_receipt(path)


def test_digests_of_a_job_survive_as_text():
    digest = JobDigest("a", "b")
    assert JobDigest(*str(digest).split()) == digest


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"PK\x03\x04half", b"\x93NUMPY"])
def test_every_reader_names_a_damaged_file(tmp_path, content):
    for suffix, read in (
        ("json", checked_files.read_json),
        ("npz", checked_files.read_arrays),
        ("npy", checked_files.map_array),
    ):
        path = tmp_path / f"file.{suffix}"
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"{path} is damaged: delete it and run again"):
            read(path)


def test_table_without_content_is_damaged(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_bytes(b"")
    with pytest.raises(DataError, match="is damaged: delete it and run again"):
        checked_tables.read_table(path)
    write_rows(path, [{"class": "NA", "n": None}], ["class", "n"])
    table = checked_tables.read_table(path)
    assert table["class"].tolist() == ["NA"]
    assert table["n"].isna().all()
