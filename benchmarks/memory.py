"""How much memory the rules that make the store take, for few pictures and for many."""

import shutil
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from benchmarks.photos import draw_photos, lay_out
from benchmarks.preparing import HEIGHT, PHOTOS, SIDE, WIDTH
from benchmarks.processes import job_command, measure, module, shipped_config
from benchmarks.tables import markdown
from benchmarks.whole_jobs import reported
from resomap.config.data import Provision
from resomap.workflow import jobs
from resomap.workflow.job_params import build_job

TINY = 16
HEAD = ("", "pictures", "px", "MiB, first process", "MiB, largest worker")
NOTE = """The rules' commands, {cores} processes where there are 2,000 pictures or more, n = 1; the most that a process ever held (VmHWM), what it imports
included. Pictures of 224 px are links to {photos:,} files of 500 x 375. Those of {tiny} px, kept at {tiny} px, leave what the listing and the tables take: {slope:.2f} KiB a picture
in the first process of prepare.
"""


def run_memory(options: Namespace, work: Path) -> str:
    """Peaks for few and for many pictures, as text for the page."""
    many = options.pictures or 20_000
    few, most = many // 20, 5 * many
    photos = draw_photos(work / "photos", min(PHOTOS, many), WIDTH, HEIGHT)
    tiny = draw_photos(work / "tiny", most, TINY, TINY)
    found = {
        (count, side): dict(
            peaks(options.cores, lay_out(files, work / "folder", count), work, side)
        )
        for files, count, side in (
            (photos, few, SIDE),
            (photos, many, SIDE),
            (tiny, many, TINY),
            (tiny, most, TINY),
        )
    }
    slope = (
        1024
        * (found[most, TINY]["prepare"][0] - found[many, TINY]["prepare"][0])
        / (most - many)
    )
    rows = [
        (rule, f"{count:,}", side, *(f"{mib:.0f}" if mib else "" for mib in peak))
        for (count, side), two in found.items()
        for rule, peak in two.items()
    ]
    return f"{NOTE.format(cores=options.cores, photos=len(photos), tiny=TINY, slope=slope)}\n{markdown(HEAD, rows)}"


def peaks(
    cores: int, folder: Path, work: Path, side: int
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Each rule with the peaks, in MiB, of its first process and of its largest worker; nothing is left of what they made."""
    reduced, store = side * 4 // 7, work / "store"
    data = {"dataset": "folder", "folder": {"path": str(folder)}, "native_resolution": side}
    sweep = {
        "sweep": {"resolutions": [reduced]},
        "training": {"batch_size": 2},
    }  # a batch has to fit into the few pictures of a trial
    config, manifest = shipped_config({"data": data, **sweep}), store / "manifest.json"
    provision = Provision(download=False, resolutions=(reduced,)).model_dump_json()
    yield (
        "prepare",
        _peak(
            job_command(
                build_job(config, jobs.PrepareData),
                manifest=manifest,
                provision=provision,
                threads=cores,
            )
        ),
    )
    yield (
        f"resize to {reduced} px",
        _peak(
            job_command(
                build_job(config, jobs.ResizeData, resolution=str(reduced)),
                data=manifest,
                threads=cores,
            )
        ),
    )
    for used in (store, folder):
        shutil.rmtree(used)


def _peak(command: list[str]) -> tuple[float, float]:
    told = reported(measure(module("benchmarks.peak_memory", *command[2:])))
    return told["own"], told["largest"]
