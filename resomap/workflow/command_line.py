"""The configuration of a Snakemake call, and where its results go.

The files and values of the command line are read here and not taken from Snakemake, which keeps
the last of two equal keys silently, and turns every number within
`--config 'training={epochs: 2}'` into text.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml

from resomap.config.architecture import Architecture
from resomap.config.data import Data
from resomap.config.load import DATASET_SECTIONS, merge, read_yaml, shipped_values, user_files
from resomap.config.messages import section_of
from resomap.config.schema import CONFIG_FILES, Config
from resomap.errors import ConfigError

CONFIGFILE_OPTIONS = ("--configfile", "--configfiles")
CONFIG_SUFFIXES = (".yaml", ".yml", ".json")


def read_call(workflow: Any, module_config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the merged values of this call of Snakemake.

    For a module they are those of its `config:` on top of the shipped ones; the files and values
    of the command line belong to the workflow that uses it.
    """
    if not workflow.modifier.is_main_snakefile():
        own = {key: value for key, value in module_config.items() if key != "pathvars"}
        return read_values([], own)
    settings = workflow.config_settings
    return read_values(user_files(settings.configfiles), settings.config)


def add_deployed_files(
    module_config: Mapping[str, Any], folder: Path = Path("config")
) -> dict[str, Any]:
    """Return `module_config` on top of the other files of `folder`, where they exist.

    `snakedeploy` copies all eight files, and the Snakefile that it writes names one of them.
    """
    values: dict[str, Any] = {}
    for name in CONFIG_FILES:
        path = folder / f"{name}.yaml"
        if path.exists():
            values = merge(values, read_yaml(path))
    return merge(values, module_config)


def results_folder(workflow: Any) -> Path:
    """Return the folder of the results: `results`, below the `prefix:` of a module."""
    # Snakemake has no public name for the prefix; this is how it changes every path of a rule.
    place = Path(workflow.modifier.path_modifier.replace_prefix("results/plan.json"))
    if workflow.is_main_process and _renames_results(workflow):
        print(
            f"note: ResoMap writes to {place.parent}: its module takes `prefix:`, not pathvars",
            file=sys.stderr,
        )
    return place.parent


def _renames_results(workflow: Any) -> bool:
    pathvars = getattr(workflow, "pathvars", None)  # since Snakemake 9.12
    return pathvars is not None and pathvars.get("results") != "results"


def read_values(configfiles: Iterable[Path], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the shipped values, those of `configfiles`, and those of `--config`, merged."""
    values = shipped_values()
    for path in configfiles:
        values = merge(values, read_yaml(path))
    return merge(values, {key: _restore(value, key) for key, value in arguments.items()})


def check_config_files(command: Sequence[str]) -> None:
    """Exit with a message if a file that `--configfile` names cannot be read.

    The profiles call this before Snakemake reads the files: it would print a traceback for one
    in Latin-1, and run the code of one with `__use_yte__`.
    """
    try:
        groups, _ = _take_config_files(command)
        if len(groups) > 1:
            raise ConfigError(
                "--configfile is given twice, and Snakemake would use the last only: name all files "
                "after one: --configfile a.yaml b.yaml"
            )
        for path in groups[0] if groups else ():
            if not Path(path).exists():
                raise ConfigError(
                    f"{path}: there is no such file; targets stand before --configfile"
                )
            read_yaml(Path(path))
    except ConfigError as error:
        sys.exit(f"error: {error}")


def config_files(arguments: Sequence[str]) -> list[Path]:
    """Return the files that `--configfile` names among the arguments of Snakemake."""
    groups, _ = _take_config_files(arguments)
    files, _ = _split_words(groups)
    return list(map(Path, files))


def put_config_files_first(arguments: Sequence[str], options: Sequence[str]) -> list[str]:
    """Return the arguments of Snakemake with `options` and one `--configfile` before the others.

    Snakemake takes every word after `--configfile` for a file, and the last `--configfile` only.
    Here it may be repeated, as in the other commands, and a target may follow its file.
    """
    groups, others = _take_config_files(arguments)
    files, targets = _split_words(groups)
    named = ["--configfile", *files] if groups else []
    # An option with one value ends the list of files.
    return [*named, *options, *targets, *others]


def _split_words(groups: Iterable[Sequence[str]]) -> tuple[list[str], list[str]]:
    """Return the files and the targets among the words after each `--configfile`."""
    files, targets = list[str](), list[str]()
    for words in groups:
        files += words[:1]
        for word in words[1:]:
            (files if Path(word).suffix in CONFIG_SUFFIXES else targets).append(word)
    return files, targets


def _take_config_files(command: Sequence[str]) -> tuple[list[list[str]], list[str]]:
    """Return the words after each `--configfile`, and all other words."""
    groups, others, position = list[list[str]](), list[str](), 0
    while position < len(command):
        option, equals, value = command[position].partition("=")
        position += 1
        if option not in CONFIGFILE_OPTIONS:
            others.append(command[position - 1])
            continue
        words = [value] if equals else []
        while not equals and position < len(command) and not command[position].startswith("-"):
            words.append(command[position])
            position += 1
        groups.append(words)
    return groups, others


def _restore(value: Any, key: str) -> Any:
    """Return a top-level value of `--config` with the types of its section."""
    if key == "models" and isinstance(value, Mapping):
        return {name: _typed(entry, Architecture) for name, entry in value.items()}
    field = Config.model_fields.get(key)
    return _typed(value, field.annotation if field else None)


def _typed(value: Any, annotation: Any) -> Any:
    """Return `value` with its texts read as YAML, except where the key holds text."""
    if isinstance(value, Mapping):
        fields = _fields_of(section_of(annotation))
        return {key: _typed(item, fields.get(key)) for key, item in value.items()}
    if isinstance(value, list):
        items = [argument for argument in _flatten(annotation) if get_origin(argument) is tuple]
        item = get_args(items[0])[0] if items else None
        return [_typed(each, item) for each in value]
    if not isinstance(value, str):
        return value
    read = _read_scalar(value)
    options = list(_flatten(annotation))
    holds_text = str in options or any(get_origin(option) is Literal for option in options)
    if holds_text and not (read is None and type(None) in options):
        return value
    return read


def _fields_of(section: Any) -> dict[str, Any]:
    if section is None:
        return {}
    fields = {key: field.annotation for key, field in section.model_fields.items()}
    if section is not Data:
        return fields
    short = dict[str, Any]()  # `data: {dataset: folder, path: DIR}`
    for name in DATASET_SECTIONS:
        short |= _fields_of(section_of(Data.model_fields[name].annotation))
    return {**short, **fields}


def _flatten(annotation: Any) -> Iterator[Any]:
    """Yield `annotation` and what its unions and Annotated types consist of."""
    yield annotation
    if get_origin(annotation) not in (tuple, Literal):
        for argument in get_args(annotation):
            yield from _flatten(argument)


def _read_scalar(text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return text
    return value if value is None or isinstance(value, bool | int | float) else text
