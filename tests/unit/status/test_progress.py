import logging
from types import SimpleNamespace

import pytest

from resomap.status.jobs import JobKey
from resomap.status.progress import SNAKEMAKE_LOGGER, TERMINAL_HANDLER, show_progress
from resomap.workflow.layout import STAGE_OF

TIMED = ("train", "evaluate", "explain")
CELLS = [JobKey("custom", "tiny_cnn", side, seed) for side in (48, 24) for seed in (0, 1)]
SCORES = {"val_accuracy": 0.9124}


class Sweep:
    """Snakemake as far as the lines about progress see it: its graph, settings and records."""

    def __init__(self, done: list[tuple[str, JobKey]], on_cluster: bool = False, **settings):
        jobs = [(stage, key) for stage in TIMED for key in CELLS]
        self.jobs = [self._job(stage, key) for stage, key in jobs]
        self.ids = {job: number for number, job in enumerate(jobs)}
        needed = [job for job, each in zip(self.jobs, jobs, strict=True) if each not in done]
        self.dag = SimpleNamespace(jobs=self.jobs, needrun_jobs=lambda: needed)
        off = {"quiet": set(), "verbose": False, "printshellcmds": False}
        self.output_settings = SimpleNamespace(**{**off, **settings})
        self.non_local_exec, self.remote_exec = on_cluster, False

    @staticmethod
    def _job(stage: str, key: JobKey):
        return SimpleHash(
            rule=SimpleNamespace(name=STAGE_OF[stage].rule), wildcards_dict=wildcards(key)
        )

    def start(self, stage: str, key: JobKey) -> None:
        self._log(
            "job_info",
            jobid=self.ids[stage, key],
            rule_name=STAGE_OF[stage].rule,
            wildcards=wildcards(key),
        )

    def end(self, stage: str, key: JobKey) -> None:
        self._log("job_finished", job_id=self.ids[stage, key])

    @staticmethod
    def _log(event: str, **fields) -> None:
        logging.getLogger(SNAKEMAKE_LOGGER).info(event, extra={"event": event, **fields})


class SimpleHash(SimpleNamespace):
    __hash__ = object.__hash__


def wildcards(key: JobKey) -> dict[str, str]:
    return {name: str(value) for name, value in key._asdict().items()}


@pytest.fixture(autouse=True)
def terminal():
    """The logger of Snakemake with a handler that collects what it would print."""
    logger, printed = logging.getLogger(SNAKEMAKE_LOGGER), []
    before, level = list(logger.handlers), logger.level
    handler = logging.Handler()
    handler.name, handler.emit = TERMINAL_HANDLER, lambda record: printed.append(record.msg)
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    yield printed
    logger.handlers, logger.propagate = before, True
    logger.setLevel(level)


def test_training_that_ends_is_one_line_with_score_and_count(config, traces, capsys):
    sweep = Sweep(done=[])
    show_progress(config, sweep)
    sweep.start("train", CELLS[0])
    traces.finish("train", CELLS[0], seconds=41.0, scores=SCORES)
    sweep.end("train", CELLS[0])
    # Of three trainings two are expected to take half as long; of other stages nothing is known.
    assert capsys.readouterr().out == (
        "tiny_cnn 48 px seed 0: 0.912, 41 s; 1 of 4 trainings, at least 82 s left\n"
    )


def test_resumed_sweep_counts_and_learns_from_what_was_done(config, traces, capsys):
    done = [("train", CELLS[0]), ("evaluate", CELLS[0]), ("explain", CELLS[0])]
    for stage, key in done:
        traces.finish(stage, key, seconds=600.0)
    sweep = Sweep(done)
    show_progress(config, sweep)
    sweep.start("train", CELLS[1])
    traces.finish("train", CELLS[1], seconds=600.0, status="diverged", reason="loss is NaN")
    sweep.end("train", CELLS[1])
    assert capsys.readouterr().out == (
        "tiny_cnn 48 px seed 1: diverged (loss is NaN), 10 min; 2 of 4 trainings, "
        "about 50 min left\n"
    )


def test_time_left_is_divided_by_running_jobs(config, traces, capsys):
    traces.plan(1000.0)
    sweep = Sweep(done=[("train", key) for key in CELLS[:2]])
    show_progress(config, sweep)
    for key in CELLS[2:]:
        sweep.start("train", key)
    traces.finish("train", CELLS[2], seconds=9.0, scores=SCORES)
    sweep.end("train", CELLS[2])
    # A training of 1000 s, and eight other jobs of 100 s each, two at once.
    assert capsys.readouterr().out.endswith("3 of 4 trainings, about 15 min left\n")


def test_cluster_has_no_time_left(config, traces, capsys):
    sweep = Sweep(done=[], on_cluster=True)
    show_progress(config, sweep)
    sweep.start("train", CELLS[0])
    traces.finish("train", CELLS[0], seconds=41.0, scores=SCORES)
    sweep.end("train", CELLS[0])
    assert capsys.readouterr().out.endswith("41 s; 1 of 4 trainings\n")


def test_other_jobs_are_reported_only_after_silence(config, monkeypatch, capsys):
    sweep = Sweep(done=[])
    show_progress(config, sweep)
    sweep.start("explain", CELLS[0])
    sweep.end("explain", CELLS[0])
    assert capsys.readouterr().out == ""
    monkeypatch.setattr("resomap.status.progress.SILENCE_SECONDS", 0.0)
    sweep.start("explain", CELLS[1])
    sweep.end("explain", CELLS[1])
    assert capsys.readouterr().out.startswith(
        "explain tiny_cnn 48 px seed 1: 0 s; 0 of 4 trainings"
    )


@pytest.mark.parametrize(
    ("settings", "printed", "lines"),
    [
        ({}, [], 1),
        ({"verbose": True}, ["job_info", "job_finished"], 1),
        ({"printshellcmds": True}, ["job_info", "job_finished"], 1),
        ({"quiet": {"all"}}, ["job_info", "job_finished"], 0),
    ],
)
def test_routine_messages_are_kept_from_the_terminal_unless_asked(
    config, traces, capsys, terminal, settings, printed, lines
):
    sweep = Sweep(done=[], **settings)
    show_progress(config, sweep)
    sweep.start("train", CELLS[0])
    traces.finish("train", CELLS[0], scores=SCORES)
    sweep.end("train", CELLS[0])
    logger = logging.getLogger(SNAKEMAKE_LOGGER)
    logger.info("Select jobs to execute...")
    logger.info("Job 3 has been submitted with SLURM jobid 7 (log: x).")
    logger.error("a job failed", extra={"event": "job_error"})
    assert [text for text in terminal if text in (*printed, "a job failed")] == [
        *printed,
        "a job failed",
    ]
    assert len(terminal) == (5 if printed else 1)
    assert capsys.readouterr().out.count("\n") == lines
