"""A working directory with the files that jobs and Snakemake leave."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from resomap.config.schema import Config
from resomap.status.jobs import JobKey, JobStatus, read_jobs
from resomap.system.files import write_json, write_text
from resomap.workflow.artifact_paths import output_paths, receipt_path
from resomap.workflow.job_params import STAGE_JOBS, build_job
from resomap.workflow.layout import STAGE_OF
from resomap.workflow.receipts import forget_reads, write_receipt
from resomap.workflow.resources import PLAN, plan_settings
from resomap.workflow.snakemake_records import SNAKEMAKE_FOLDER, record_name

TINY = JobKey("custom", "tiny_cnn", 24, 0)


def find_job(jobs: tuple[JobStatus, ...], stage: str, key: JobKey = TINY) -> JobStatus:
    """Return the job of a stage whose key agrees with `key`, where it has one."""
    return next(
        job
        for job in jobs
        if job.stage == stage
        and all(
            value in (missing, wanted)
            for value, missing, wanted in zip(job.key, JobKey(), key, strict=True)
        )
    )


@dataclass(frozen=True)
class Traces:
    """Writes what jobs in different states leave."""

    config: Config

    def job(self, stage: str, key: JobKey) -> JobStatus:
        return find_job(read_jobs(self.config, "none"), stage, key)

    def finish(self, stage: str, key: JobKey = TINY, seconds: float = 60.0, **metrics) -> None:
        output = self.job(stage, key).output
        environment = {"device": "cpu", "processes": 1}
        record = {
            "status": "ok",
            "reason": None,
            "job": {},
            "environment": environment,
            **metrics,
        }
        write_json(output, record)
        if stage == "train":
            write_json(output.with_name("timing.json"), {"train_seconds": seconds})
        if stage in STAGE_JOBS:
            self.write_receipt(stage, key)
        times = {"starttime": 1e9, "endtime": 1e9 + seconds}
        write_json(SNAKEMAKE_FOLDER / "metadata" / record_name(str(output)), times)

    def write_receipt(self, stage: str, key: JobKey) -> None:
        """Write the receipt of a job whose output is all that it wrote."""
        wildcards = {
            name: str(value)
            for name, value in key._asdict().items()
            if "{" + name + "}" in STAGE_OF[stage].log
        }
        job = build_job(self.config, STAGE_JOBS[stage], **wildcards)
        path = receipt_path(Path("results"), STAGE_OF[stage], wildcards)
        for output in output_paths(path, job):
            if not output.exists():
                write_text(output, "")
        forget_reads()  # by this process, which stands for that of the job
        write_receipt(path, job)

    def log(self, stage: str, text: str, key: JobKey = TINY) -> None:
        write_text(self.job(stage, key).log, text)

    def submit(self, stage: str, key: JobKey = TINY, since: float = 1e9) -> None:
        output = str(self.job(stage, key).output)
        mark = SNAKEMAKE_FOLDER / "incomplete" / record_name(output)
        write_json(mark, {"external_jobid": None})
        os.utime(mark, (since, since))

    def plan(self, seconds: float) -> None:
        """Write a plan in which every training of tiny_cnn takes `seconds`, other jobs a tenth."""
        architecture = next(
            model for model in self.config.models if model.name == "tiny_cnn"
        ).model_dump(mode="json")
        others = dict.fromkeys(("evaluate", "explain", "profile"), seconds / 10)
        cell: dict[str, Any] = {
            "status": "ok",
            "model": "tiny_cnn",
            "architecture": architecture,
            "wall_seconds": seconds,
            "other_wall_seconds": others,
        }
        cells = [{**cell, "resolution": side} for side in (24, 48)]
        write_json(PLAN, {"settings": plan_settings(self.config), "cells": cells})


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def traces(config) -> Traces:
    return Traces(config)
