from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from resomap.config.load import build_config, merge, read_yaml
from resomap.config.messages import MOST_PROBLEMS
from resomap.errors import ConfigError

WORDS = st.sampled_from(
    [
        "sweep",
        "models",
        "training",
        "optimizer",
        "learning_rate",
        "type",
        "name",
        "seed",
        "device",
        "tiny_cnn",
        "vgg11_224",
        "<<",
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | WORDS
    | st.dates()
)
JUNK = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(WORDS | st.text(max_size=8) | st.integers(), inner, max_size=4)
    ),
    max_leaves=8,
)


def key_paths(values: Mapping[str, Any], at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        yield (*at, key)
        if isinstance(value, Mapping):
            yield from key_paths(value, (*at, key))


def nested_at(path: tuple[str, ...], junk: Any) -> dict[str, Any]:
    for key in reversed(path):
        junk = {key: junk}
    return junk


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_overlay_is_valid_or_refused_in_a_few_lines(defaults, data):
    path = data.draw(st.sampled_from(list(key_paths(defaults))), label="path")
    check_built_or_refused(merge(defaults, nested_at(path, data.draw(JUNK, label="junk"))))


@settings(max_examples=150, deadline=None)
@given(junk=st.dictionaries(WORDS | st.text(max_size=8), JUNK, max_size=4))
@example(junk={})
@example(junk={"models": {"tiny_cnn": None}})
@example(junk={"experiment": {"name": "\ud800"}})
def test_unknown_sections_are_refused_in_a_few_lines(defaults, junk):
    check_built_or_refused(merge(defaults, junk))
    check_built_or_refused(junk)


def check_built_or_refused(values: Mapping[str, Any]) -> None:
    try:
        build_config(values)
    except ConfigError as error:
        lines = str(error).splitlines()
        assert 1 <= len(lines) <= MOST_PROBLEMS
        assert all(line.strip() for line in lines)


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet="ab:-[]{}&*!<>|?#%@`\"' \n\t01.e", max_size=40))
def test_any_file_is_mapping_or_refused_with_name(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text)
    try:
        assert isinstance(read_yaml(path), dict)
    except ConfigError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_merging_same_file_twice_changes_nothing(defaults, share):
    once = merge(defaults, {"training": {"augmentation": {"horizontal_flip": share}}})
    assert build_config(merge(once, once)) == build_config(once)
