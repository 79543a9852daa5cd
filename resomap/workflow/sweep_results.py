"""Which results in a folder belong to the sweep as configured now, from their receipts."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, Literal

from resomap.errors import DataError
from resomap.text import format_count
from resomap.workflow import jobs
from resomap.workflow.artifact_paths import locate_file, receipt_path
from resomap.workflow.checked_files import read_json
from resomap.workflow.layout import (
    STAGE_OF,
    JobState,
    RunStatus,
    artifact,
    find_state,
    state_folder,
)
from resomap.workflow.receipts import digest_job, is_receipt_of, read_receipt

ALL_TRIGGERS = ("code", "input", "mtime", "params", "software-env")
ResultState = Literal["current", "stale", "missing"]
JOB_TYPES: dict[str, type[jobs.Job]] = {
    "prepare": jobs.PrepareData,
    "resize": jobs.ResizeData,
    "train": jobs.Train,
    "evaluate": jobs.Evaluate,
    "explain": jobs.Explain,
    "compare": jobs.CompareExplanations,
    "profile": jobs.Profile,
}
"""The job type of every stage whose results the tables are made from."""


class SweepResults:
    """The results in `folder`, compared with the jobs that `sweep` would run now.

    Those jobs are rebuilt from what they share, as thousands of digests do not fit on a command
    line.
    """

    def __init__(self, folder: Path, sweep: jobs.SweepJob) -> None:
        self.folder, self.sweep = folder, sweep
        self._states: dict[tuple[str, tuple[Any, ...]], ResultState] = {}
        self._shared = self._shared_fields()

    def _shared_fields(self) -> dict[str, Any]:
        recipes = self.sweep.recipes
        fields = {name: getattr(recipes, name) for name in type(recipes).model_fields}
        for name in ("models", "resolutions", "seeds"):
            fields[name] = getattr(self.sweep, name)
        explainability = recipes.explainability
        fields["methods"] = explainability.methods if explainability else ()
        fields["precision"] = recipes.training.precision
        fields["smallest_resolution"] = min(self.sweep.resolutions)
        fields["retry_reason"] = ""
        return fields

    def job(self, stage: str, **wildcards: Any) -> jobs.Job:
        """Return the job of a stage for these wildcards (family, model, resolution, seed)."""
        values = {**self._shared, "code": self.sweep.recipes.codes[stage]}
        for name in ("resolution", "seed"):
            if name in wildcards:
                values[name] = int(wildcards[name])
        for model in self.sweep.models:
            if model.name == wildcards.get("model"):
                values["architecture"] = model
                own = self.sweep.recipes.own_codes.get(model.name)
                values["code"] += f"-{own}" if own else ""
        job_type = JOB_TYPES[stage]
        return job_type(**{name: values[name] for name in job_type.model_fields})

    def state(self, stage: str, **wildcards: Any) -> ResultState:
        """Return whether the results of a job are those of the sweep as configured now.

        A result is current when its receipt names this very job, and all that it read is what
        the jobs before it have written since, which are current themselves.
        """
        wildcards = {name: str(value) for name, value in wildcards.items()}
        key = stage, tuple(sorted(wildcards.items()))
        if key not in self._states:
            self._states[key] = self._read_state(stage, wildcards)
        return self._states[key]

    def _read_state(self, stage: str, wildcards: dict[str, Any]) -> ResultState:
        path = receipt_path(self.folder, STAGE_OF[stage], wildcards)
        receipt = read_receipt(path)
        if receipt is None:
            return "missing"
        expected = digest_job(self.job(stage, **wildcards))
        if is_receipt_of(path, receipt, expected) and self._has_same_inputs(receipt.inputs):
            return "current"
        return "stale"

    def _has_same_inputs(self, inputs: dict[str, str]) -> bool:
        for name, digest in inputs.items():
            located = locate_file(self.folder / name)
            if located is None or read_receipt(located.receipt) is None:
                continue
            if not _is_written_so(self.folder, name, digest):
                return False
            # The job of an agreement names no learning rate, nor does that of its maps.
            if self.state(located.stage.name, **located.wildcards_of_job) == "stale":
                return False
        return True

    def jobs(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield stage and wildcards of every job whose results the tables are made from."""
        sweep = self.sweep
        yield "prepare", {}
        for resolution in sweep.resolutions:
            yield "resize", {"resolution": resolution}
        explained = sweep.recipes.explainability is not None
        run_stages = ("train", "evaluate", "explain") if explained else ("train", "evaluate")
        runs = product(run_stages, sweep.models, sweep.resolutions, sweep.seeds)
        for stage, model, resolution, seed in runs:
            key = {"family": model.family, "model": model.name}
            yield stage, {**key, "resolution": resolution, "seed": seed}
        for stage, model in product(("profile", "compare"), sweep.models):
            if stage == "profile" or explained:
                yield stage, {"family": model.family, "model": model.name}

    def stale_receipts(self) -> list[Path]:
        """Return the receipts of the results that belong to another configuration."""
        return [
            receipt_path(self.folder, STAGE_OF[stage], wildcards)
            for stage, wildcards in self.jobs()
            if self.state(stage, **wildcards) == "stale"
        ]


def has_current_inputs(results: Path, stage: str, **wildcards: Any) -> bool:
    """Return whether all that a job read is what the jobs before it have written since.

    Without a receipt nothing is known, and the result counts as current.
    """
    receipt = read_receipt(receipt_path(results, STAGE_OF[stage], wildcards))
    if receipt is None:
        return True
    return all(_is_written_so(results, name, digest) for name, digest in receipt.inputs.items())


def check_export_inputs(results: Path, run_folder: Path, px: int) -> None:
    """Raise DataError where a run was exported from weights or images that have changed since."""
    wildcards = {**run_wildcards(run_folder), "eval_resolution": px}
    if not has_current_inputs(results, "export", **wildcards):
        run = Path(*run_folder.parts[-4:])
        raise DataError(
            f"{results / 'deploy' / run / f'at{px}'}: exported from other weights or images: run "
            "`snakemake deploy` again"
        )


def _is_written_so(results: Path, name: str, digest: str) -> bool:
    """Return whether the receipt of the file `name` inside `results` has this digest."""
    located = locate_file(results / name)
    upstream = read_receipt(located.receipt) if located else None
    # Images may be deleted to save disk space; what was made of them stays.
    if upstream is None:
        return True
    return name in upstream.outputs and upstream.outputs[name].sha256 == digest


def check_nothing_stale(sweep: SweepResults, triggers: str) -> None:
    """Raise DataError where results of another configuration lie in the place of the sweep's.

    `triggers` are the rerun triggers of Snakemake, separated by commas.
    """
    stale = sweep.stale_receipts()
    if not stale:
        return
    jobs_text = format_count(len(stale), "job")
    problem = f"{stale[0]}: the results of {jobs_text} belong to another configuration"
    if set(ALL_TRIGGERS) <= set(triggers.split(",")):
        raise DataError(
            f"{problem}. Delete their receipts (the first is {stale[0]}), run again"
        )
    raise DataError(
        f"{problem}, and `--rerun-triggers {triggers.replace(',', ' ')}` keeps Snakemake from "
        "making them again: run again without that flag (it may stand in your profile)"
    )


def run_status(run_folder: Path, sweep: SweepResults | None = None) -> RunStatus:
    """Return the status of the run in results/runs/{family}/{model}/r{resolution}/seed{seed}.

    One of `ENDED` once the run is trained and evaluated, else `training`, `failed` or `waiting`;
    `stale` where its results are not those of the sweep as configured now.
    """
    names = ("metrics", "run_evaluation", "predictions", "val_predictions")
    outputs = [run_folder / Path(artifact(name).path).name for name in names]
    if sweep and outputs[0].exists() and not _is_current(run_folder, sweep):
        return "stale"
    if all(output.exists() for output in outputs):
        status: RunStatus = read_json(outputs[0])["status"]
        return status
    lock = state_folder(run_folder) / "lock"
    states: dict[JobState, RunStatus] = {"running": "training", "failed": "failed"}
    # Logs are not read here: a training writes one before it takes its lock.
    return states.get(find_state(outputs[0], lock=lock), "waiting")


def _is_current(run_folder: Path, sweep: SweepResults) -> bool:
    """Return whether all that exists of a run belongs to the sweep."""
    wildcards = run_wildcards(run_folder)
    # Results without a receipt may be of any recipe. A run may not be evaluated yet.
    evaluated = (run_folder / Path(artifact("run_evaluation").path).name).exists()
    stages = ("train", "evaluate") if evaluated else ("train",)
    return all(sweep.state(stage, **wildcards) == "current" for stage in stages)


def run_wildcards(run_folder: Path) -> dict[str, Any]:
    """Return the wildcards of .../{family}/{model}/r{resolution}/seed{seed}."""
    family, model, resolution, seed = run_folder.parts[-4:]
    return {
        "family": family,
        "model": model,
        "resolution": int(resolution.removeprefix("r")),
        "seed": int(seed.removeprefix("seed")),
    }
