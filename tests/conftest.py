import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from resomap.config.load import build_config, merge, read_yaml
from resomap.config.schema import CONFIG_FILES, Config

torch.set_num_threads(1)
# CI judges a change by the same examples every time; by hand every run explores new ones. No example is judged by its time.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("by hand", deadline=None)
settings.load_profile("ci" if "CI" in os.environ else "by hand")

SHIPPED = Path(__file__).parents[1] / "config"
MODELS = {
    "tiny_cnn": {
        "family": "custom",
        "builder": "tiny_cnn",
        "min_resolution": 8,
        "channels": [8, 16],
    },
    "simple_cnn": {
        "family": "custom",
        "builder": "simple_cnn",
        "min_resolution": 8,
        "channels": [8, 16],
    },
    "resnet18": {
        "family": "resnet",
        "builder": "resnet18",
        "min_resolution": 16,
        "bn_momentum": 0.2,
    },
    "vgg11": {"family": "vgg", "builder": "vgg11", "min_resolution": 32},
}


class OneCluster(LoadScopeScheduling):
    """A module a worker; the tests on a cluster together, since a machine has one."""

    def _split_scope(self, nodeid: str) -> str:
        return (
            "tests/cluster"
            if nodeid.startswith("tests/cluster")
            else super()._split_scope(nodeid)
        )


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneCluster:
    return OneCluster(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session")
def defaults() -> dict[str, Any]:
    """The shipped files, merged, over four networks of our own; lay changes on top with `merge`."""
    values: dict[str, Any] = {}
    for name in CONFIG_FILES:
        values = merge(
            values,
            {"models": MODELS} if name == "models" else read_yaml(SHIPPED / f"{name}.yaml"),
        )
    return merge(
        values,
        {
            "sweep": {
                "models": ["tiny_cnn", "simple_cnn"],
                "resolutions": [24, 48],
                "seeds": [0, 1],
            }
        },
    )


@pytest.fixture(scope="session")
def config(defaults: dict[str, Any]) -> Config:
    return build_config(defaults)
