from time import perf_counter

import pytest

from resomap.config.data import Folder
from resomap.data.sources import timed_search
from resomap.data.sources.folder import list_folder
from resomap.data.sources.timed_search import SlowPattern, TimedSearch
from resomap.errors import ConfigError
from tests.image_files import write_classes

CATASTROPHE, NAME = r"(\w+\s?)+#", "cats/" + "a" * 60 + ".png"


@pytest.fixture(autouse=True)
def short_patience(monkeypatch):
    monkeypatch.setattr(timed_search, "TOTAL_SECONDS", 0.3)


def test_ordinary_pattern_finds_what_re_finds():
    search = TimedSearch(r"patient(\d+)")
    assert search("cats/patient17_2.png").group(1) == "17"
    assert search("cats/other.png") is None


def test_catastrophic_pattern_stops_within_its_time():
    started = perf_counter()
    with pytest.raises(SlowPattern):
        TimedSearch(CATASTROPHE)(NAME)
    assert perf_counter() - started < 5


def test_time_counts_over_all_names():
    search, started = TimedSearch(r"(a+)+#"), perf_counter()
    with pytest.raises(SlowPattern):
        for _ in range(1000):
            search("a" * 21)
    assert perf_counter() - started < 5


def test_catastrophic_group_is_an_error_that_names_its_key(tmp_path):
    write_classes(tmp_path, {"cat": 4, "dog": 4})
    (tmp_path / "cat" / ("a" * 60 + ".png")).write_bytes(b"")
    group = r"\d+\.png|(a+)+#"
    with pytest.raises(ConfigError, match=r"data\.folder\.group: .* takes too long on cat/a"):
        list_folder(Folder(path=str(tmp_path), masks=None, group=group))
