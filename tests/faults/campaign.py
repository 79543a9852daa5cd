"""Run the campaign of faults, or a part of it, and write docs/reliability.md from its trials.

usage: python -m tests.faults.campaign [FAMILY ...] [--limit N] [--seed S] [--work DIR] [--page FILE]

Every trial is a line of WORK/trials/FAMILY.jsonl. A campaign that was stopped goes on where it
ended; the page tells what was really tried.
"""

import argparse
import sys
from pathlib import Path

from tests.faults.configs import run_configs
from tests.faults.damage import count_trials, run_damage
from tests.faults.images import run_images
from tests.faults.kills import run_kills
from tests.faults.limits import run_limits
from tests.faults.page import write_page
from tests.faults.together import run_together
from tests.faults.trials import Family, Trial, TrialLog
from tests.interrupts import obey_interrupts

FAMILIES = {
    family.name: family
    for family in (
        Family("images", "Mutated image files", 1000, run_images),
        Family("configs", "Generated configurations", 2000, run_configs),
        Family("limits", "A machine at its limits", 120, run_limits),
        Family("damage", "Damaged files", count_trials(), run_damage),
        Family("together", "Two at once, and files that go", 48, run_together),
        Family("kills", "Kills at random moments", 200, run_kills),
    )
}
"""The cheapest first."""
DEFAULT_WORK = Path("results/faults")


def run_family(family: Family, seed: int, limit: int | None, work: Path) -> list[Trial]:
    """Run the trials of a family that its log lacks, and return all of this seed."""
    log = TrialLog(work / "trials" / f"{family.name}.jsonl")
    tried = {trial.number for trial in log.read() if trial.seed == seed}
    count = family.count if limit is None else min(limit, family.count)
    numbers = [number for number in range(count) if number not in tried]
    folder = work / family.name
    folder.mkdir(parents=True, exist_ok=True)
    for trial in family.run(seed, numbers, folder) if numbers else ():
        log.append(trial)
        if trial.verdict != "survived":
            print(f"{family.name} {trial.number}: {trial}", file=sys.stderr, flush=True)
    return [trial for trial in log.read() if trial.seed == seed]


def main(arguments: list[str] | None = None) -> int:
    """Run families and write the page; return 1 if a trial was not survived."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("families", nargs="*", choices=[*FAMILIES, []], metavar="FAMILY")
    parser.add_argument("--limit", type=int, help="trials per family at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK)
    parser.add_argument("--page", type=Path, help="write the page of these trials")
    options = parser.parse_args(arguments)
    obey_interrupts()
    work = options.work.resolve()
    trials = [
        trial
        for name in options.families or FAMILIES
        for trial in run_family(FAMILIES[name], options.seed, options.limit, work)
    ]
    if options.page:
        write_page(options.page, FAMILIES, trials)
    return int(any(trial.verdict != "survived" for trial in trials))


if __name__ == "__main__":
    sys.exit(main())
