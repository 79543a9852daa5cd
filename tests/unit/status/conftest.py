"""A working directory with the files that jobs and Snakemake leave."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from resomap.config.schema import Config
from resomap.status.jobs import JobKey, JobStatus, read_jobs
from resomap.status.snakemake_files import SNAKEMAKE_FOLDER, record_name
from resomap.system.files import write_json, write_text
from resomap.workflow.resources import PLAN, plan_settings

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
        record = {"status": "ok", "reason": None, "environment": environment, **metrics}
        write_json(output, record)
        write_json(output.with_name("timing.json"), {"train_seconds": seconds})
        times = {"starttime": 1e9, "endtime": 1e9 + seconds}
        write_json(SNAKEMAKE_FOLDER / "metadata" / record_name(str(output)), times)

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
