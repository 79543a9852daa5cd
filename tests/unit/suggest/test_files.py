"""The written file holds the suggested values, its reasons, and the command that made it."""

import yaml
from hypothesis import given
from hypothesis import strategies as st

from resomap.config.load import read_yaml
from resomap.suggest.settings import show_command
from resomap.suggest.written import first_line, is_written_by, read_given_up
from resomap.suggest.yaml_file import write_suggestion, yaml_lines

LEAVES = st.one_of(
    st.booleans(),
    st.integers(),
    st.none(),
    st.text(max_size=20),
    st.lists(st.integers(), max_size=4),
    st.dictionaries(st.sampled_from("abc"), st.lists(st.integers(), max_size=30), max_size=3),
)
SECTIONS = st.dictionaries(
    st.sampled_from(["data", "sweep", "training"]),
    st.dictionaries(st.sampled_from(["path", "models", "epochs", "start"]), LEAVES, min_size=1),
)


@given(SECTIONS)
def test_file_holds_the_very_values(values):
    comments = {f"{section}.{key}": "why" for section in values for key in values[section]}
    text = "\n".join(yaml_lines(values, comments))
    assert (yaml.safe_load(text) or {}) == values


def test_file_knows_its_command_and_what_was_given_up(tmp_path):
    path, command = tmp_path / "resomap.yaml", "resomap try photos --minutes 10"
    head = "\n".join([first_line(command), "For 300 images.", "Given up: 2 of 5 seeds"])
    write_suggestion(path, {"sweep": {"seeds": [0]}}, {"sweep.seeds": "few"}, head)
    assert is_written_by(path, command)
    assert not is_written_by(path, "resomap try photos --minutes 20")
    assert not is_written_by(tmp_path / "other.yaml", command)
    assert read_given_up(path) == ["2 of 5 seeds"]
    assert read_yaml(path) == {"sweep": {"seeds": [0]}}


def test_command_is_shown_with_what_decides():
    flags = {
        "images": "my photos",
        "minutes": 10.0,
        "models": ["resnet18"],
        "seeds": None,
        "max_latency_ms": 2.5,
        "force": True,
        "output": "resomap.yaml",
    }
    expected = "resomap try 'my photos' --minutes 10 --models resnet18 --max-latency-ms 2.5"
    assert show_command("try", flags, 10) == expected.replace(" --minutes 10", "")
    assert show_command("try", flags, 240) == expected
