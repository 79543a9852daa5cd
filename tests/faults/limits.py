"""A machine at its limits: full and read-only disks, no permission, few files, little memory.

A sweep is resumed at a random stage under the limit. It goes through, or stops with a message
about the limit. Without the limit, the same command then ends with the undisturbed results.
"""

import ctypes
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.faults.damage import EXPENSIVE, RUN, STAGE_LOGS
from tests.faults.forked_jobs import (
    JobCommand,
    list_jobs,
    load_all,
    remove_from,
    restore,
    run_missing,
)
from tests.faults.images import address_space
from tests.faults.sweep import Sweep, differences, finished_sweep
from tests.faults.trials import TRACEBACK, Trial, Verdict, trial_rng

STAGES_TRIED = (
    "prepare",
    "resize",
    "train",
    "evaluate",
    "explain",
    "compare",
    "tables",
    "figures",
)
SPARE_BYTES = 2**21
"""What is left free at most: more than the results lack after most stages, less than figures take."""
CAPABILITY_VERSION = 0x20080522
ALL_SPACE = "64m"


@dataclass(frozen=True)
class Limit:
    """A limit: what a message must say, and its two ways of being set.

    `before` returns what runs in the process of a job; `around` is entered while jobs run.
    """

    words: tuple[str, ...]
    before: Callable[[Random], Callable[[], None] | None] = lambda _: None
    around: Callable[[Path, Random], AbstractContextManager[None]] = lambda *_: nullcontext()
    needs_mounts: bool = False


@contextmanager
def _full_disk(results: Path, rng: Random) -> Iterator[None]:
    """Move results to a small file system, which has all space again after the block."""
    used = sum(path.stat().st_blocks * 512 for path in results.rglob("*") if path.is_file())
    size = used + rng.randrange(4096, SPARE_BYTES)
    aside = results.with_name("aside")
    results.rename(aside)
    results.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={ALL_SPACE}", "tmpfs", str(results))
    try:
        shutil.copytree(aside, results, dirs_exist_ok=True, copy_function=shutil.copy2)
        shutil.rmtree(aside)
        _mount("-o", f"remount,size={size}", str(results))
        yield
    finally:
        aside.mkdir(exist_ok=True)
        shutil.copytree(results, aside, dirs_exist_ok=True, copy_function=shutil.copy2)
        subprocess.run(["umount", "--lazy", str(results)], check=True)
        results.rmdir()
        aside.rename(results)


@contextmanager
def _read_only(results: Path, rng: Random) -> Iterator[None]:
    _mount("--bind", str(results), str(results))
    _mount("-o", "remount,bind,ro", str(results))
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(results)], check=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


@contextmanager
def _no_permission(results: Path, rng: Random) -> Iterator[None]:
    folders = [
        path for path in sorted(results.rglob("*")) if path.is_dir() and path.name[0] != "."
    ]
    folder = rng.choice([results, *folders])
    mode = folder.stat().st_mode
    folder.chmod(0o555)
    try:
        yield
    finally:
        folder.chmod(mode)


def _drop_capabilities(_: Random) -> Callable[[], None]:
    """Return what makes root an ordinary user, who needs the permissions of files."""

    def drop() -> None:
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
        ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)())

    return drop


def _set_limit(
    kind: int, value: Callable[[Random], int], base: Callable[[], int]
) -> Callable[[Random], Callable[[], None]]:
    def draw(rng: Random) -> Callable[[], None]:
        drawn = value(rng)

        def apply() -> None:
            resource.setrlimit(kind, (base() + drawn, base() + drawn))

        return apply

    return draw


def _open_files() -> int:
    return max(int(name) for name in os.listdir("/proc/self/fd")) + 1  # noqa: PTH208


LIMITS = {
    "the disk fills": Limit(
        ("no space left", "of disk space"), around=_full_disk, needs_mounts=True
    ),
    "largest file size": Limit(
        ("larger than this process may write",),
        _set_limit(
            resource.RLIMIT_FSIZE,
            lambda rng: rng.choice([4_000, 30_000, 200_000]),
            lambda: 0,
        ),
    ),
    "read-only disk": Limit(("mounted read-only",), around=_read_only, needs_mounts=True),
    "a folder without permission": Limit(
        ("no permission", "not permitted"), _drop_capabilities, _no_permission
    ),
    "few open files": Limit(
        ("too many open files",),
        _set_limit(resource.RLIMIT_NOFILE, lambda rng: rng.randrange(8), _open_files),
    ),
    "little memory": Limit(
        ("not enough memory", "out of memory", "does not fit"),
        _set_limit(resource.RLIMIT_AS, lambda rng: rng.randrange(2**20, 2**26), address_space),
    ),
}


def can_mount() -> bool:
    """Whether this user may mount file systems."""
    return (
        os.geteuid() == 0
        and subprocess.run(
            ["unshare", "-m", "true"], check=False, capture_output=True
        ).returncode
        == 0
    )


def run_limits(seed: int, numbers: list[int], folder: Path) -> Iterator[Trial]:
    """Resume copies of a finished sweep below `folder` at random stages, under a limit."""
    undisturbed = finished_sweep(folder / "undisturbed")
    jobs = list_jobs(undisturbed)
    load_all(undisturbed.copy_to(folder / "loaded"), jobs)
    yield from limit_sweep(seed, numbers, undisturbed, jobs, folder / "limited")


def limit_sweep(
    seed: int, numbers: list[int], undisturbed: Sweep, jobs: list[JobCommand], path: Path
) -> Iterator[Trial]:
    """Resume a copy of a finished sweep at `path` under a limit."""
    sweep = undisturbed.copy_to(path)
    names = list(LIMITS)
    for number in numbers:
        name = names[number % len(names)]
        if LIMITS[name].needs_mounts and not can_mount():
            continue
        rng = trial_rng("limits", seed, number)
        stage = rng.choice(STAGES_TRIED)
        # The expensive stages only where they are the one tried.
        kept = tuple(each for each in EXPENSIVE if each != stage)
        restore(sweep, undisturbed)
        remove_from(sweep, stage, RUN, kept)
        verdict, seen = _try_limit(undisturbed, sweep, jobs, LIMITS[name], kept, rng)
        yield Trial("limits", name, number, seed, verdict, seen, stage)


def _try_limit(
    undisturbed: Sweep,
    sweep: Sweep,
    jobs: list[JobCommand],
    limit: Limit,
    kept: tuple[str, ...],
    rng: Random,
) -> tuple[Verdict, str]:
    left_out = tuple(STAGE_LOGS[each] for each in kept)
    with limit.around(sweep.path / "results", rng):
        ended = run_missing(sweep, jobs, left_out, limit.before(rng))
    message = ended.text.strip().splitlines()[-1:] or [""]
    if TRACEBACK in ended.text:
        return "traceback", message[0]
    if ended.code and not any(word in ended.text for word in limit.words):
        return "lost", f"exit code {ended.code}: {message[0]}"
    again = run_missing(sweep, jobs, left_out)
    if again.code:
        return "lost", f"then: {(again.text.strip().splitlines() or [''])[-1]}"
    left = [each for each in differences(undisturbed, sweep) if not each.startswith("figures/")]
    if left:
        return "silent", left[0]
    return "survived", limit.words[0] if ended.code else "enough for this stage"
