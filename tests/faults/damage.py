"""Damaged files: every kind that the workflow declares, in five ways, in the middle of a sweep.

A file of a finished sweep is damaged and what later jobs made of it is removed, so that the same
command reads it. Either the results equal the undisturbed ones, or the command stops with a
message that names the file; a part of the trials then does what the message says.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from string import Formatter

from resomap.workflow.artifact_paths import locate_file
from resomap.workflow.artifacts import RUN_PATH, Artifact
from resomap.workflow.deploy_layout import DEPLOY_STAGES
from resomap.workflow.layout import ARTIFACTS, STAGES, STATES_FOLDER, artifact
from tests.faults.forked_jobs import (
    JobCommand,
    list_jobs,
    load_all,
    restore,
    run_job,
    run_missing,
    run_resomap,
)
from tests.faults.sweep import Ended, Sweep, differences, finished_sweep, new_sweep
from tests.faults.trials import TRACEBACK, Trial, Verdict, first_message, trial_rng
from tests.workflow.conftest import SMOKE

STAGED = tuple(
    Artifact(f"staged_{name}", f"{STATES_FOLDER}/train/{RUN_PATH}/done/{name}", "train", "")
    for name in (
        "best.safetensors",
        "history.csv",
        "metrics.json",
        "timing.json",
        "fingerprint.txt",
    )
)
"""Results of a training that was killed before it published them."""
EXPORTS = {stage.name for stage in DEPLOY_STAGES}
KINDS = (*(kind for kind in ARTIFACTS if kind.writer not in EXPORTS), *STAGED)
"""Every kind of file of a sweep; those of the target `deploy` are in tests/workflow/test_deploy.py."""
NOT_WRITTEN = ("check",)
"""Kinds that the reef has not: a page about the user's images, which no job reads."""
NOT_READ = ("summary", "summary_text", "report", "headline", "partial", "tracking")
"""Files for people, which no job reads for its own work."""
RUN = {"family": "custom", "model": "tiny_cnn", "resolution": "24", "seed": "0"}
OTHER_SWEEP = "training: {optimizer: {learning_rate: 0.002}}\ndata: {reef: {seed: 7}}\n"
DELETE = re.compile(r"(results/\S+?)(?: is damaged|: the results of| is not a file)")
RESULT = re.compile(r"results/[\w./-]*\w")
REPAIRED_SHARE = 0.1
"""Share of the trials with a message that then do what it says."""
MAX_REPAIRS = 4
EXPENSIVE = ("profile", "summarise", "figures", "report")
"""Stages that run only where no other one complained."""
STAGE_LOGS = {
    "profile": "profile/",
    "summarise": "summarise",
    "figures": "plot",
    "report": "report",
}
NAMED = "`FILE is damaged: delete it and run again`"
Damage = Callable[[bytes, Path, "Sources", Random], bytes]


@dataclass(frozen=True)
class Sources:
    """The sweeps that files are taken from: undisturbed, another, and one killed in between."""

    undisturbed: Sweep
    another: Sweep
    staged: Sweep
    jobs: list[JobCommand]


def _empty(content: bytes, name: Path, sources: Sources, rng: Random) -> bytes:
    return b""


def _truncate(content: bytes, name: Path, sources: Sources, rng: Random) -> bytes:
    return content[: rng.randrange(1, max(2, len(content)))]


def _flip_bit(content: bytes, name: Path, sources: Sources, rng: Random) -> bytes:
    changed = bytearray(content or b"\0")
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _another_run(content: bytes, name: Path, sources: Sources, rng: Random) -> bytes:
    other = sources.undisturbed.path / str(name).replace("r24", "r16")
    candidates = [
        other,
        *sorted((sources.undisturbed.path / "results").rglob(f"*{name.suffix}")),
    ]
    contents = (path.read_bytes() for path in candidates if path.is_file())
    return next((each for each in contents if each not in (content, b"")), content)


def _another_sweep(content: bytes, name: Path, sources: Sources, rng: Random) -> bytes:
    for path in (
        sources.another.path / name,
        *(sources.another.path / name.parent).glob(f"*{name.suffix}"),
    ):
        if path.is_file():
            return path.read_bytes()
    return content


DAMAGES: dict[str, Damage] = {
    "empty": _empty,
    "truncated": _truncate,
    "a bit flipped": _flip_bit,
    "another run's": _another_run,
    "another sweep's": _another_sweep,
}


def count_trials() -> int:
    """Return the number of kinds of files times the number of damages."""
    return len(KINDS) * len(DAMAGES)


def run_damage(seed: int, numbers: list[int], folder: Path) -> Iterator[Trial]:
    """Damage copies of a finished sweep below `folder`."""
    sources = make_sources(folder)
    # In an order of chance, so that a part of the campaign is not a part of the kinds.
    shuffled = Random(seed).sample(numbers, len(numbers))
    yield from damage_sweep(seed, shuffled, sources, folder / "damaged")


def damage_sweep(
    seed: int, numbers: list[int], sources: Sources, path: Path
) -> Iterator[Trial]:
    """Damage a copy of a finished sweep at `path`."""
    sweep = sources.undisturbed.copy_to(path)
    for number in numbers:
        place, way = divmod(number, len(DAMAGES))
        kind, (name, damage) = KINDS[place], list(DAMAGES.items())[way]
        if kind.name in NOT_WRITTEN:
            continue
        rng = trial_rng("damage", seed, number)
        verdict, seen, detail = _try_damage(sources, sweep, kind, damage, rng)
        yield Trial("damage", f"{name}: {kind.name}", number, seed, verdict, seen, detail)


def make_sources(folder: Path) -> Sources:
    """Run the sweeps that files are taken from."""
    undisturbed = finished_sweep(folder / "undisturbed")
    if not (undisturbed.path / "results/tracking.json").exists():
        for command in (("track",), ("partial_report",)):
            ended = undisturbed.run(*command)
            assert ended.code == 0, ended.text
        for verb in ("plan", "check"):
            run_resomap(undisturbed, verb, "--configfile", SMOKE)
    another = Sweep(folder / "another", ("other.yaml",))
    if not (another.path / "results/tracking.json").exists():
        another = new_sweep(another.path, another.overlays)
        (another.path / "other.yaml").write_text(OTHER_SWEEP)
        ended = another.run("all", "track")
        assert ended.code == 0, ended.text
        another.run("partial_report")
    jobs = list_jobs(undisturbed, "all", "track", "partial_report")
    load_all(undisturbed.copy_to(folder / "loaded"), jobs)
    return Sources(undisturbed, another, _make_staged(undisturbed, folder / "staged"), jobs)


def _make_staged(undisturbed: Sweep, path: Path) -> Sweep:
    """Return a sweep whose training at 24 px was killed after it ended, before its outputs."""
    staged = undisturbed.copy_to(path)
    done = path / STATES_FOLDER / "train" / RUN_PATH.format(**RUN) / "done"
    job = next(
        job for job in list_jobs(staged) if job.name == f"train/{RUN_PATH.format(**RUN)}"
    )
    ended = run_job(staged, job)
    assert ended.code == 0, ended.text
    assert (done / "fingerprint.txt").exists()
    for output in job.outputs:
        (path / output).unlink()
    return staged


def _try_damage(
    sources: Sources, sweep: Sweep, kind: Artifact, damage: Damage, rng: Random
) -> tuple[Verdict, str, str]:
    restore(sweep, sources.staged if kind in STAGED else sources.undisturbed)
    path = _find_file(sweep, kind, rng)
    if path is None:
        return "lost", "no such file in a finished sweep", kind.path
    name, content = path.relative_to(sweep.path), path.read_bytes()
    changed = damage(content, name, sources, rng)
    if changed == content:
        return "survived", "the files of both are equal", str(name)
    path.write_bytes(changed)
    is_repaired = rng.random() < REPAIRED_SHARE
    return (*_judge(sources, sweep, kind, name, is_repaired), str(name))


def _find_file(sweep: Sweep, kind: Artifact, rng: Random) -> Path | None:
    """Return a file of a kind: that of the run at 24 px, where there are several."""
    fields = [field for _, field, _, _ in Formatter().parse(kind.path) if field]
    pattern = kind.path.format(**{field: RUN.get(field, "*") for field in fields})
    found = sorted(sweep.path.glob(pattern))
    return rng.choice(found) if found else None


def _remove_later_results(sweep: Sweep, kind: Artifact, left_out: tuple[str, ...]) -> None:
    """Remove what jobs after the writer of a file made, so that they run again."""
    names = [stage.name for stage in STAGES]
    first = names.index(kind.writer) + 1 if kind.writer in names else len(names)
    for stage in STAGES[first:]:
        if stage.name not in ("sweep", *EXPORTS, *left_out):
            (sweep.path / stage.marker.format(**RUN)).unlink(missing_ok=True)


def _judge(
    sources: Sources, sweep: Sweep, kind: Artifact, name: Path, is_repaired: bool
) -> tuple[Verdict, str]:
    """Run what reads the file, first what is cheap, and tell what became of the sweep."""
    said = _run_commands(sweep, kind, name)
    if said:
        return said
    if kind.writer == "snakemake":
        return _judge_start(sources, sweep)
    # The writer itself runs again where a message says to delete its file.
    cheap = tuple(stage for stage in EXPENSIVE if stage != kind.writer)
    for left_out in (cheap, ()):
        _remove_later_results(sweep, kind, left_out)
        logs = tuple(STAGE_LOGS[each] for each in left_out)
        ended = run_missing(sweep, sources.jobs, logs)
        if TRACEBACK in ended.text:
            return "traceback", ended.text.strip().splitlines()[-1]
        if ended.code and not named_in(ended.text, name):
            return "lost", first_message(ended.text)
        # Where the message names another file of the same job, its advice must be seen to work.
        if ended.code and (is_repaired or str(name) not in ended.text):
            return _repair(sources, sweep, logs, ended)
        if ended.code:
            return "survived", NAMED
    if kind.name in NOT_READ:
        # It stays as it is; what counts is that it changes nothing else.
        shutil.copy2(sources.undisturbed.path / name, sweep.path / name)
    return _judge_results(sources, sweep, "nothing: not read, or made again")


def _judge_start(sources: Sources, sweep: Sweep) -> tuple[Verdict, str]:
    """Run Snakemake itself, which reads the file before its first job."""
    (sweep.path / artifact("report").path).unlink()
    ended = sweep.run()
    if TRACEBACK in ended.text:
        return "traceback", first_message(ended.text)
    if ended.code:
        return "lost", first_message(ended.text)
    return _judge_results(sources, sweep, "nothing: the networks are checked again")


def _run_commands(sweep: Sweep, kind: Artifact, name: Path) -> tuple[Verdict, str] | None:
    """Run the commands that read the file; return a verdict if they already show a fault."""
    verbs = ("status", "plan") if kind.writer == "resomap plan" else ("status",)
    for verb in verbs:
        options = () if verb == "status" else ("--configfile", SMOKE)
        ended = run_resomap(sweep, verb, *options)
        if TRACEBACK in ended.text:
            return "traceback", ended.text.strip().splitlines()[-1]
        if ended.code and str(name) not in ended.text:
            return "lost", first_message(ended.text)
    return None


def _judge_results(sources: Sources, sweep: Sweep, seen: str) -> tuple[Verdict, str]:
    found = differences(sources.undisturbed, sweep)
    return ("silent", found[0]) if found else ("survived", seen)


def named_in(text: str, name: Path) -> bool:
    """Return whether a message names the file, its receipt, or the file of a damaged receipt."""
    located = locate_file(name)
    names = {str(name), *([str(located.receipt)] if located else [])}
    for line in text.splitlines():
        if "error: " in line:
            receipts = {_receipt_of(path) for path in RESULT.findall(line)}
            if str(name) in receipts or any(each in line for each in names):
                return True
    return False


def _receipt_of(path: str) -> str | None:
    located = locate_file(Path(path))
    return str(located.receipt) if located else None


def _repair(
    sources: Sources, sweep: Sweep, left_out: tuple[str, ...], ended: Ended
) -> tuple[Verdict, str]:
    """Delete the files that messages name and run again, until the sweep is finished."""
    for _ in range(MAX_REPAIRS):
        for named in set(DELETE.findall(ended.text)):
            (sweep.path / named).unlink(missing_ok=True)
        ended = run_missing(sweep, sources.jobs, left_out)
        if TRACEBACK in ended.text:
            return "traceback", first_message(ended.text)
        if ended.code == 0:
            return _judge_results(sources, sweep, NAMED)
    return "lost", f"after {MAX_REPAIRS} repairs: {first_message(ended.text)}"
