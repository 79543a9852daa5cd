"""Lines about a running sweep: one for each training that ends, instead of Snakemake's own output."""

import logging
import re
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

from resomap.config.schema import Config
from resomap.status.jobs import TIMED_STAGES, JobKey
from resomap.status.remaining import (
    TimeKey,
    estimate_work,
    extrapolate,
    planned_seconds,
    recorded_seconds,
)
from resomap.system.files import read_json
from resomap.text import format_count, format_duration
from resomap.workflow.layout import STAGE_OF

# Snakemake 9.27 gives each record of its logger an `event`, a text such as "job_info".
SNAKEMAKE_LOGGER = "snakemake.logging"
TERMINAL_HANDLER = "DefaultStreamHandler"
ROUTINE_EVENTS = ("job_info", "job_started", "job_finished", "progress", "resources_info")
# Messages without an event: of Snakemake's scheduler, and of its plugin for SLURM.
ROUTINE_TEXTS = re.compile(r"Select jobs to execute|Job \d+ has been submitted with SLURM")
SILENCE_SECONDS = 60.0
"""After so long without a training that ended, another job that ends is reported as well."""
STAGE_OF_RULE = {stage.rule: stage.name for stage in STAGE_OF.values()}


def show_progress(config: Config, workflow: Any) -> None:
    """Print a line for each training that ends, and keep Snakemake's routine messages in its log.

    `workflow` is Snakemake's, with its graph of jobs. With --verbose or --printshellcmds the
    messages are printed too, and with `--quiet all` nothing is.
    """
    settings = workflow.output_settings
    if "all" in map(str, settings.quiet or ()):
        return
    logger = logging.getLogger(SNAKEMAKE_LOGGER)
    if not (settings.verbose or settings.printshellcmds):
        for handler in logger.handlers:
            if handler.name == TERMINAL_HANDLER:
                handler.addFilter(_is_no_routine)
    needed = set(workflow.dag.needrun_jobs())
    on_cluster = workflow.non_local_exec or workflow.remote_exec
    logger.addHandler(ProgressHandler(config, workflow.dag.jobs, needed, on_cluster))


def _is_no_routine(record: logging.LogRecord) -> bool:
    event = str(getattr(record, "event", None))
    return event not in ROUTINE_EVENTS and not ROUTINE_TEXTS.match(str(record.msg))


class ProgressHandler(logging.Handler):
    """What follows the jobs of one call of Snakemake by the records of its logger."""

    def __init__(
        self, config: Config, jobs: Iterable[Any], needed: set[Any], on_cluster: bool
    ) -> None:
        super().__init__(logging.INFO)
        self._planned = planned_seconds(config)
        self._on_cluster = on_cluster
        self._seconds = defaultdict[TimeKey, list[float]](list)
        self._unfinished = dict[tuple[str, JobKey], TimeKey]()
        self._trainings = 0
        for job in jobs:
            self._count(job.rule.name, job.wildcards_dict, done=job not in needed)
        self._running = dict[int, tuple[str, JobKey, float]]()
        self._printed = time.monotonic()

    def _count(self, rule: str, wildcards: dict[str, str], done: bool) -> None:
        stage = STAGE_OF_RULE.get(rule)
        if stage not in TIMED_STAGES:
            return
        key = _read_key(wildcards)
        self._trainings += stage == "train"
        if done:
            self._learn(stage, key)
        else:
            self._unfinished[stage, key] = _time_key(stage, key)

    def _learn(self, stage: str, key: JobKey) -> float | None:
        """Remember and return the seconds of a finished job, None where none are recorded."""
        try:
            seconds = recorded_seconds(stage, _marker(stage, key))
        except (OSError, ValueError, KeyError):  # its next try reports what is damaged
            return None
        if seconds is not None:
            self._seconds[_time_key(stage, key)].append(seconds)
        return seconds

    def emit(self, record: logging.LogRecord) -> None:
        """Follow the start and the end of a job; an error here must not end the sweep."""
        try:
            match str(getattr(record, "event", None)):
                case "job_info":
                    self._start(record)
                case "job_finished":
                    self._finish(record)
                case "job_error":
                    self._running.pop(getattr(record, "jobid", -1), None)
        except Exception:
            self.handleError(record)

    def _start(self, record: Any) -> None:
        stage = STAGE_OF_RULE.get(record.rule_name)
        if stage is not None:
            self._running[record.jobid] = stage, _read_key(record.wildcards), time.time()

    def _finish(self, record: Any) -> None:
        running = len(self._running)
        if record.job_id not in self._running:
            return
        stage, key, started = self._running.pop(record.job_id)
        self._unfinished.pop((stage, key), None)
        # Snakemake writes its own record of the job a moment later.
        seconds = self._learn(stage, key) if stage == "train" else None
        if seconds is None:
            seconds = time.time() - started
            if not self._on_cluster:  # there it includes the time in the queue
                self._seconds[_time_key(stage, key)].append(seconds)
        if stage == "train":
            ended = f"{key}: {_score(key)}, {format_duration(seconds)}"
        elif time.monotonic() - self._printed >= SILENCE_SECONDS:
            ended = f"{f'{stage} {key}'.strip()}: {format_duration(seconds)}"
        else:
            return
        print(f"{ended}; {self._progress(running)}", flush=True)
        self._printed = time.monotonic()

    def _progress(self, running: int) -> str:
        left = sum(stage == "train" for stage, _ in self._unfinished)
        trainings = format_count(self._trainings, "training")
        return f"{self._trainings - left} of {trainings}{self._remaining(running)}"

    def _remaining(self, running: int) -> str:
        """Return the estimated time as a part of a sentence; blank where nothing is known."""
        # On a cluster it depends on its queue.
        if self._on_cluster or not self._unfinished:
            return ""
        elapsed = {
            (stage, key): time.time() - since for stage, key, since in self._running.values()
        }
        jobs = [(key, elapsed.get(job, 0.0)) for job, key in self._unfinished.items()]
        averages = {key: fmean(values) for key, values in self._seconds.items()}
        averages |= extrapolate(self._unfinished.values(), averages | self._planned)
        work = estimate_work(jobs, self._planned, averages)
        if not work.planned + work.averaged:
            return ""
        # Of a stage without a finished job nothing is known, so that the rest is a lower bound.
        bound = "at least" if work.unknown else "about"
        return f", {bound} {format_duration(work.seconds / max(running, 1))} left"


def _read_key(wildcards: dict[str, str]) -> JobKey:
    numbers = {
        name: int(wildcards[name]) for name in ("resolution", "seed") if name in wildcards
    }
    return JobKey(wildcards.get("family", ""), wildcards.get("model", ""), **numbers)


def _time_key(stage: str, key: JobKey) -> TimeKey:
    return TimeKey(stage, key.model, key.resolution)


def _marker(stage: str, key: JobKey) -> Path:
    return Path(STAGE_OF[stage].marker.format(**key._asdict()))


def _score(key: JobKey) -> str:
    """Return the validation accuracy of a training, or why it has none."""
    metrics = read_json(_marker("train", key))
    if metrics["status"] != "ok":
        return f"{metrics['status']} ({metrics['reason']})"
    return f"{metrics['scores']['val_accuracy']:.3f}"
