"""A SLURM of scripts that print given text, and jobs as Snakemake's executors get them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from resomap.cluster import nodes

# Partition, time limit, cores, memory, devices and features, as sinfo 22.05 writes them.
LISTING = """\
main*|infinite|4|8000|(null)|(null)
main*|infinite|2|16000|(null)|(null)
gpu|1-00:00:00|8|64000|gpu:h100:2(S:0-1),shard:h100:8(S:0-1)|h100,fast
gpu|1-00:00:00|64|4000|(null)|(null)
debug|30:00|4|1|gpu:1|(null)
"""


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch, tmp_path) -> Iterator[None]:
    """Take the programs of a real SLURM off the path, and forget what was read."""
    monkeypatch.delenv(nodes.NODES_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    nodes._read_listing.cache_clear()
    yield
    nodes._read_listing.cache_clear()
    os.environ.pop(nodes.NODES_VARIABLE, None)  # not by monkeypatch, which would restore it


@pytest.fixture
def program(tmp_path) -> Callable[..., None]:
    """A function that writes a program which prints a text."""

    def write(name: str, text: str = "", code: int = 0) -> None:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.txt").write_text(text)
        (folder / name).write_text(
            f"#!/bin/sh\necho called >> {folder}/{name}.calls\n"
            f'while IFS= read -r line; do echo "$line"; done < {folder}/{name}.txt\nexit {code}\n'
        )
        (folder / name).chmod(0o755)

    return write


@pytest.fixture
def calls(tmp_path) -> Callable[[str], int]:
    """A function that returns how often a program was called."""

    def count(name: str) -> int:
        path = Path(tmp_path / f"bin/{name}.calls")
        return len(path.read_text().splitlines()) if path.exists() else 0

    return count


def snakemake_job(name: str = "train_run", threads: int = 1, **resources: Any) -> Any:
    """Return what stands for a job of Snakemake."""
    return SimpleNamespace(
        name=name,
        threads=threads,
        resources=resources,
        wildcards_dict={"model": "tiny_cnn", "seed": "0"},
        is_local=False,
        is_group=lambda: name == "small",
        __len__=lambda: 1,
    )
