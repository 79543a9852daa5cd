from pathlib import Path

import pytest

from resomap.config.load import build_config, load_user_config, shipped_values, user_files
from resomap.errors import ConfigError
from resomap.workflow.command_line import (
    check_config_files,
    put_config_files_first,
    read_values,
)


@pytest.fixture
def overlay(tmp_path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text("training: {epochs: 3, batch_size: 16}\n")
    return path


def test_files_and_arguments_stand_on_shipped_values(overlay):
    values = read_values([overlay], {"training": {"epochs": "2"}})
    assert values["training"]["epochs"] == 2
    assert values["training"]["batch_size"] == 16
    assert values["sweep"] == shipped_values()["sweep"]
    assert shipped_values()["training"]["epochs"] == 8


# Snakemake reads nested values of --config with every number, null and truth value as text.
TYPED = [
    ({"training": {"epochs": "2"}}, {"training": {"epochs": 2}}),
    ({"sweep": {"models": ["tiny_cnn"], "seeds": ["1", "2"]}},) * 2,
    ({"experiment": {"name": "2024"}}, {"experiment": {"name": "2024"}}),
    ({"training": {"optimizer": {"learning_rate": "0.1"}}},) * 2,
    ({"training": {"ema_decay": "null"}}, {"training": {"ema_decay": None}}),
    ({"mlflow": {"enabled": "true", "experiment": "null"}},) * 2,
    ({"mlflow": {"experiment": "7"}}, {"mlflow": {"experiment": "7"}}),
    ({"models": {"mine": {"patch_size": "8", "channels": ["4", "8"]}}},) * 2,
    (
        {"data": {"dataset": "CIFAR10", "root": "1", "download": "true"}},
        {"data": {"dataset": "CIFAR10", "root": "1", "download": True}},
    ),
    ({"training": {"epochs": "1e1"}}, {"training": {"epochs": "1e1"}}),
    ({"training": {"epochs": 4}}, {"training": {"epochs": 4}}),
    ({"unknown": {"key": "5"}}, {"unknown": {"key": 5}}),
]
EXPECTED = {
    1: {"sweep": {"models": ["tiny_cnn"], "seeds": [1, 2]}},
    3: {"training": {"optimizer": {"learning_rate": 0.1}}},
    5: {"mlflow": {"enabled": True, "experiment": None}},
    7: {"models": {"mine": {"patch_size": 8, "channels": [4, 8]}}},
}


@pytest.mark.parametrize("number", range(len(TYPED)))
def test_text_of_arguments_gets_the_type_of_its_key(number):
    given, expected = TYPED[number]
    expected = EXPECTED.get(number, expected)
    (section,) = given
    read = read_values([], given)[section]
    for key, value in expected[section].items():
        found = read[key]
        found = {name: found[name] for name in value} if isinstance(value, dict) else found
        assert (found, type(found)) == (value, type(value))


def test_arguments_build_the_same_config_as_a_file(overlay):
    nested = {"training": {"epochs": "3", "batch_size": "16"}}
    assert build_config(read_values([], nested)) == build_config(read_values([overlay], {}))


def test_wrong_argument_names_its_value():
    with pytest.raises(ConfigError, match=r"training\.epochs: .* valid integer, not 2\.5"):
        build_config(read_values([], {"training": {"epochs": "2.5"}}))


@pytest.mark.parametrize(
    "command",
    [
        ["snakemake", "--cores", "1"],
        ["snakemake", "--configfile", "{mine}", "--cores", "1"],
        ["snakemake", "--configfiles={mine}"],
    ],
)
def test_readable_files_pass_the_check(overlay, command):
    check_config_files([part.format(mine=overlay) for part in command])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\na: 2\n", "line 2: the key 'a' is written twice"),
        (b"a: caf\xe9\n", "byte 0xe9 is not UTF-8"),
        (b"__use_yte__: true\n", "__use_yte__ would run code"),
    ],
)
@pytest.mark.parametrize(
    "option", ["--configfile {}", "--configfiles={}", "-n --configfile {} -q"]
)
def test_unreadable_file_ends_the_call_with_its_name(tmp_path, content, message, option):
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(SystemExit, match=f"error: {path}.*{message}"):
        check_config_files(["snakemake", *option.format(path).split()])


def test_missing_file_is_refused(overlay):
    with pytest.raises(SystemExit, match=r"error: nowhere.yaml: there is no such file"):
        check_config_files(["snakemake", "--configfile", str(overlay), "nowhere.yaml"])


def test_second_configfile_option_is_refused(overlay):
    with pytest.raises(SystemExit, match="--configfile is given twice"):
        check_config_files(["snakemake", *["--configfile", str(overlay)] * 2])


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        (["train", "-n"], ["-s", "S", "train", "-n"]),
        (
            ["--configfile", "a.yaml", "train", "--cores", "2"],
            ["--configfile", "a.yaml", "-s", "S", "train", "--cores", "2"],
        ),
        (
            ["--configfile=a.yaml", "report", "--configfile", "b.yml", "c.json", "-n"],
            ["--configfile", "a.yaml", "b.yml", "c.json", "-s", "S", "report", "-n"],
        ),
        (["--configfile", "mine"], ["--configfile", "mine", "-s", "S"]),
        (["-n", "--configfile"], ["--configfile", "-s", "S", "-n"]),
    ],
)
def test_config_files_stand_before_targets(given, passed):
    assert put_config_files_first(given, ["-s", "S"]) == passed


def test_resomap_yaml_is_read_where_no_file_is_given(tmp_path, monkeypatch, overlay):
    monkeypatch.chdir(tmp_path)
    assert user_files([]) == []
    Path("resomap.yaml").write_text("training: {epochs: 5}\n")
    assert user_files([]) == [Path("resomap.yaml")]
    assert load_user_config().training.epochs == 5
    assert load_user_config([overlay]).training.epochs == 3
