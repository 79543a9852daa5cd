import gc
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from resomap.config.load import build_config, merge, read_yaml
from resomap.config.schema import CONFIG_FILES, Config
from tests.fake_nvml import UUID, FakeNvml
from tests.interrupts import obey_interrupts

torch.set_num_threads(1)
obey_interrupts()
# In CI hypothesis repeats the same examples; elsewhere every run draws new ones.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("local", deadline=None)
settings.load_profile("ci" if "CI" in os.environ else "local")


def pytest_configure(config: pytest.Config) -> None:
    """Do not fail on snapshots that a partial run, or one that only collects, does not use."""
    # Not in `addopts`: a machine without syrupy runs the other tests.
    if hasattr(config.option, "warn_unused_snapshots"):
        config.option.warn_unused_snapshots = True


SHIPPED = Path(__file__).parents[1] / "config"
MODELS = {
    "tiny_cnn": {
        "family": "custom",
        "builder": "tiny_cnn",
        "channels": [8, 16],
    },
    "simple_cnn": {
        "family": "custom",
        "builder": "simple_cnn",
        "channels": [8, 16],
    },
    "resnet18": {
        "family": "resnet",
        "builder": "resnet18",
        "bn_momentum": 0.2,
    },
    "vgg11": {"family": "vgg", "builder": "vgg11"},
}


class ClusterOnOneWorker(LoadScopeScheduling):
    """One worker per module; all cluster tests on one, since a machine has one cluster."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith("tests/cluster"):
            return "tests/cluster"
        return super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ClusterOnOneWorker:
    return ClusterOnOneWorker(config, log)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave what is imported out of garbage collections, which steps short of memory start."""
    gc.freeze()


def pytest_sessionfinish(session: pytest.Session) -> None:
    gc.unfreeze()  # else bindings complain about objects that are left at the end


LONGEST_FIRST = ("tests/cluster", "tests/workflow")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # A long module at the end would leave the other workers without work.
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST_FIRST))
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session")
def defaults() -> dict[str, Any]:
    """The shipped configuration with four small networks; change it with `merge`."""
    values: dict[str, Any] = {}
    for name in CONFIG_FILES:
        values = merge(values, read_yaml(SHIPPED / f"{name}.yaml"))
    sweep = {"models": ["tiny_cnn", "simple_cnn"], "resolutions": [24, 48], "seeds": [0, 1]}
    # Replaced, not merged: only these four networks are known.
    return merge({**values, "models": MODELS}, {"sweep": sweep})


@pytest.fixture(scope="session")
def config(defaults: dict[str, Any]) -> Config:
    return build_config(defaults)


@pytest.fixture
def restored_tf32():
    """Restore the flags of TF32, which belong to the whole process."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@pytest.fixture
def install_card(monkeypatch):
    """Install a fake card, on which this process holds `reserved` bytes of memory."""

    def install(reserved=0, **card):
        monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(**card))
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: reserved)

    properties = SimpleNamespace(uuid=UUID)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    return install
