"""A part of the campaign of faults (tests/faults), small enough for every run of the tests."""

import pytest

from tests.faults.configs import run_configs
from tests.faults.damage import DAMAGES, KINDS, Sources, damage_sweep
from tests.faults.forked_jobs import list_jobs
from tests.faults.limits import LIMITS, can_mount, limit_sweep
from tests.faults.sweep import Sweep

SEED = 11
CHEAP_KINDS = ("weights", "predictions", "run_sanity", "profile", "cells", "evaluate_receipt")
NUM_CONFIGS = 24


@pytest.fixture(scope="module")
def undisturbed(finished) -> Sweep:
    return Sweep(finished.path)


@pytest.fixture(scope="module")
def jobs(undisturbed, tmp_path_factory):
    # A dry run writes to the directory, which other tests use.
    return list_jobs(undisturbed.copy_to(tmp_path_factory.mktemp("jobs") / "resomap"))


def test_damaged_files_are_named_or_change_nothing(undisturbed, jobs, tmp_path):
    names, damages = [kind.name for kind in KINDS], len(DAMAGES)
    # Each kind in another way; the last way needs a second sweep.
    numbers = [
        names.index(name) * damages + place % (damages - 1)
        for place, name in enumerate(CHEAP_KINDS)
    ]
    sources = Sources(undisturbed, undisturbed, undisturbed, jobs)
    trials = list(damage_sweep(SEED, numbers, sources, tmp_path / "damaged"))
    assert [trial for trial in trials if trial.verdict != "survived"] == []
    assert len(trials) == len(CHEAP_KINDS)
    # None is unread: a campaign that reads nothing would survive everything.
    assert {trial.seen for trial in trials} == {"`FILE is damaged: delete it and run again`"}


def test_limits_of_the_machine_are_survived(undisturbed, jobs, tmp_path):
    trials = list(
        limit_sweep(SEED, list(range(len(LIMITS))), undisturbed, jobs, tmp_path / "limited")
    )
    assert [trial for trial in trials if trial.verdict != "survived"] == []
    assert len(trials) == sum(
        can_mount() or not limit.needs_mounts for limit in LIMITS.values()
    )


def test_snakemake_and_check_agree_on_configurations(tmp_path):
    trials = list(run_configs(SEED, list(range(NUM_CONFIGS)), tmp_path))
    assert [trial for trial in trials if trial.verdict != "survived"] == []
    assert len({trial.seen for trial in trials}) > 1
