"""The page docs/reliability.md: what was tried, and what became of it, from the trials alone."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import multimode

from benchmarks.harness import markdown
from resomap.system.files import write_text
from tests.faults.trials import Family, Trial

HEAD = (
    *("fault", "tried", "survived", "lost", "silent", "tracebacks"),
    *("what the user sees, most often", "seed"),
)
OPENING = """\
# Reliability

```bash
python -m tests.faults.campaign images --limit 50 --work faults --page faults.md
```

`make faults` breaks sweeps on purpose and writes this page from what it tried: {total:,} faults, of
which {survived:,} were survived, {lost:,} lost something, {silent:,} changed a number without a word,
and {traceback:,} ended in a traceback.

| word | meaning |
| --- | --- |
| survived | the results equal those of an undisturbed sweep, at once or after doing what a message said; or the command stopped with a message that names what is wrong |
| lost | neither |
| silent | exit code 0, and other numbers |
| traceback | a Python traceback instead of a message |

Every number of a trial is drawn from its family, its seed and its number, so that
`python -m tests.faults.campaign FAMILY --seed SEED` draws the same faults; a kill that comes after the end of its sweep is drawn again. Times, costs and the choice, which weighs
costs, differ between any two sweeps and are not compared. `make test` runs a part. A trial that shows a fault is
repeated after the repair and counts once; `docs/LOG.md` has what was found.
"""
NOTES = {
    "kills": (
        "The smoke sweep, from an empty directory to its report. A signal is sent after 0 to 20 s, the same "
        "command is run again (after `snakemake --unlock` where Snakemake says so), and killed again, until "
        "the sweep is finished. Then every file of results is compared with an undisturbed sweep, a dry run "
        "has nothing to do, and no temporary file is left. What a kill between the last job and the end of a sweep "
        "leaves, the next sweep removes. Tracebacks of `KeyboardInterrupt` that Snakemake prints about itself do not "
        "count."
    ),
    "damage": (
        "Each kind of file that `resomap/workflow/layout.py` declares, and the staged results of a killed "
        "training, is replaced in a finished sweep. What later jobs made of it is removed and made again by "
        "the jobs' own commands. In a tenth of the trials the file is then deleted, as the message says, and the "
        "sweep must end with the undisturbed numbers. Model summaries, the report, its first sentence, the "
        "partial report and the list of copies are for people: no job reads them, so that nobody notices damage in them. "
        "The page of `resomap check` does not exist in this sweep."
    ),
    "configs": (
        "Each file goes through Snakemake's command line, as a dry run, and through `resomap check`. Both "
        "accept it, or both refuse it in at most twelve lines."
    ),
    "images": (
        "Small images in 13 formats, changed, are prepared beside whole ones, with at most 1.5 GiB more memory "
        "and 60 s of CPU per 50 files. Each is stored, or listed by name with a reason. A stored PNG must have the "
        "pixels that it had. Formats without checksums may have become another valid image."
    ),
    "limits": (
        "A sweep is resumed at a random stage under the limit. Afterwards, without it, the same command ends with "
        "the undisturbed numbers."
    ),
    "together": (
        "The smoke sweep is resumed at a random stage while something else happens. Afterwards the same command "
        "ends with the undisturbed numbers."
    ),
}


def write_page(path: Path, families: Mapping[str, Family], trials: Sequence[Trial]) -> None:
    """Write the page about all trials."""
    verdicts = Counter(trial.verdict for trial in trials)
    names = ("survived", "lost", "silent", "traceback")
    parts = [OPENING.format(total=len(trials), **{name: verdicts[name] for name in names})]
    for family in families.values():
        tried = [trial for trial in trials if trial.family == family.name]
        if tried:
            parts.append(_section(family, tried))
    write_text(path, "\n".join(parts))


def _section(family: Family, trials: Sequence[Trial]) -> str:
    counts = (
        f"{len(trials):,} of {family.count:,} trials were run."
        if len(trials) < family.count
        else ""
    )
    note = f"{NOTES[family.name]} {counts}".strip()
    return f"## {family.title}\n\n{note}\n\n{markdown(HEAD, _rows(trials))}"


def _rows(trials: Sequence[Trial]) -> Iterator[tuple[object, ...]]:
    by_fault = defaultdict[str, list[Trial]](list)
    for trial in trials:
        by_fault[trial.fault.partition(":")[0]].append(trial)
    for fault, tried in sorted(by_fault.items()):
        yield _row(fault, tried)
    if len(by_fault) > 1:
        yield _row("**all**", trials)


def _row(fault: str, trials: Sequence[Trial]) -> tuple[object, ...]:
    verdicts = Counter(trial.verdict for trial in trials)
    counts = [verdicts[name] for name in ("survived", "lost", "silent", "traceback")]
    seeds = ", ".join(map(str, sorted({trial.seed for trial in trials})))
    return (
        fault,
        f"{len(trials):,}",
        *(f"{count:,}" for count in counts),
        _most_seen(trials),
        seeds,
    )


def _most_seen(trials: Iterable[Trial]) -> str:
    return multimode(trial.seen for trial in trials)[0].replace("|", "\\|")
