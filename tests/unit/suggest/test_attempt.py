"""What follows a try: the next command, and whether a browser can be shown."""

import pytest

from resomap.errors import ConfigError
from resomap.suggest import attempt
from resomap.suggest.attempt import Attempt, can_show_browser, next_command
from resomap.suggest.settings import UserSettings


def attempt_of(tmp_path, command="resomap try photos --minutes 10 --margin 0.03"):
    settings = UserSettings(images=None, minutes=10)
    return Attempt(settings, tmp_path / "resomap.yaml", command, force=False)


def test_next_command_has_no_limit_of_time(tmp_path):
    command = next_command(attempt_of(tmp_path), None)
    assert command.startswith("resomap init photos --margin 0.03 --force && resomap run")


def test_next_command_has_the_seeds_that_decide(tmp_path):
    needed = {"n_seeds": 2, "more_seeds": 3}
    assert " --seeds 5 --force && " in next_command(attempt_of(tmp_path), needed)
    own = attempt_of(tmp_path, "resomap try photos --seeds 2 --minutes 10")
    assert "init photos --seeds 5 --force" in next_command(own, needed)


@pytest.mark.parametrize(
    ("terminal", "screen", "shown"),
    [(True, ":0", True), (False, ":0", False), (True, "", False)],
)
def test_browser_opens_for_a_person_with_a_screen_only(monkeypatch, terminal, screen, shown):
    monkeypatch.setattr(attempt.sys, "platform", "linux")
    monkeypatch.setattr(attempt.sys.stdout, "isatty", lambda: terminal)
    monkeypatch.setenv("DISPLAY", screen)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert can_show_browser() == shown


def test_same_command_continues_and_another_one_overwrites_nothing(tmp_path, monkeypatch):
    first = attempt_of(tmp_path)
    first.output.write_text(f"# Written by `{first.command}`\n", encoding="utf-8")
    monkeypatch.setattr(
        attempt, "write_sweep", lambda *each: pytest.fail("it was written again")
    )
    shown: list[str] = []
    attempt.prepare(first, shown.extend)
    assert shown == [f"Continues the sweep of {first.output}"]
    with pytest.raises(ConfigError, match="give --force"):
        attempt.prepare(attempt_of(tmp_path, "resomap try others"), shown.extend)


def test_unfinished_sweep_names_the_command_that_continues(tmp_path, monkeypatch):
    monkeypatch.setattr(attempt, "prepare", lambda *each: None)
    monkeypatch.setattr(attempt, "call_snakemake", lambda arguments: 1)
    shown: list[str] = []
    tried = attempt_of(tmp_path)
    assert attempt.run_attempt(tried, shown.extend, open_report=True) == 1
    assert shown == [
        f"The sweep did not finish. The same command continues it: {tried.command}"
    ]
