"""Trials of the campaign: each tries one fault once, and its outcome is one line of JSON."""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Verdict = Literal["survived", "lost", "silent", "traceback"]
TRACEBACK = "Traceback (most recent call last)"
MAX_SEEN = 160


@dataclass(frozen=True)
class Trial:
    """The outcome of one fault.

    survived   the results equal those of an undisturbed sweep, in the end or after doing what a
               message said; or the command stopped with a message that names what is wrong
    lost       neither: work or results cannot be had back in the way that a message says
    silent     exit code 0, and other numbers
    traceback  a Python traceback instead of a message
    """

    family: str
    fault: str
    number: int
    seed: int
    verdict: Verdict
    seen: str
    detail: str = ""


class TrialLog:
    """The lines of one family, appended to as trials end, so that a campaign can be resumed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Trial]:
        """Return the trials so far."""
        if not self.path.exists():
            return []
        trials = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):  # half of a line, of a campaign that was killed
                trials.append(Trial(**json.loads(line)))
        return trials

    def append(self, trial: Trial) -> None:
        """Add the line of a trial."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+", encoding="utf-8") as stream:
            stream.seek(0)
            # What a killed campaign left of a line ends here, and is skipped by `read`.
            content = stream.read()
            line = json.dumps(asdict(trial)) + "\n"
            stream.write(f"\n{line}" if content and not content.endswith("\n") else line)


RunTrials = Callable[[int, list[int], Path], Iterator[Trial]]
"""From the seed, the numbers of trials to run, and a folder for files, to their trials."""


@dataclass(frozen=True)
class Family:
    """A kind of fault: what is tried, how often in the whole campaign, and the function."""

    name: str
    title: str
    count: int
    run: RunTrials


def trial_rng(family: str, seed: int, number: int) -> random.Random:
    """Return the random numbers of one trial, whatever ran before it."""
    return random.Random(f"{family} {seed} {number}")


def first_message(text: str) -> str:
    """Return the message of a user's command: its last line that says `error`, or its last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "configerror"))]
    said = [*errors[:1], *lines[-1:], ""][0]
    return said[:MAX_SEEN]
