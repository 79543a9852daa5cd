"""Where the networks of a sweep will run: `system.deploy`, which is off by default."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Annotated, Literal

from pydantic import Field

from resomap.config.types import Distinct, FilePath, Fraction, Section
from resomap.config.variants import RUNTIME_VARIANTS
from resomap.errors import ConfigError

RuntimeName = Literal["onnxruntime", "openvino"]
DeployPrecision = Literal["fp32", "int8"]
DEPLOY_KEY = "config/system.yaml: system.deploy"
VARIANTS_KEY = "config/system.yaml: system.profiling.variants"
EXPORT_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""Every export is proven in ONNX Runtime, whatever runtime it is for."""
EXTRA_OF = {**dict.fromkeys(EXPORT_PACKAGES, "deploy"), "openvino": "openvino"}


class Deploy(Section):
    """The runtimes and precisions in which trained networks are exported, proven and measured."""

    runtimes: Distinct[RuntimeName]
    """Runtimes that networks are exported for (need `resomap[deploy]`; openvino also needs
    `resomap[openvino]`)."""
    precisions: Distinct[DeployPrecision]
    """fp32 is the network as trained; int8 is quantised with training images."""
    cells: Literal["chosen", "all"]
    """Exported cells: those that the decision is between (the recommended one, its runner-up and
    the front), or all."""
    max_flips: Fraction | None
    """Largest share of test images whose answer another preprocessing may change; null for no
    limit."""
    measurements: Annotated[tuple[FilePath, ...], Field(max_length=100)]
    """Measurements of other devices, as JSON files that `measure.py` wrote there."""


def check_deploy_packages(deploy: Deploy | None, variants: Sequence[str] = ()) -> None:
    """Raise ConfigError where packages that `deploy`, or `variants` of profiles, need are missing.

    It has a line for each of the two keys.
    """
    runtimes = deploy.runtimes if deploy else ()
    profiled = [name.partition("-")[0] for name in variants if name in RUNTIME_VARIANTS]
    missing = {
        DEPLOY_KEY: _missing_packages(runtimes),
        VARIANTS_KEY: _missing_packages(profiled),
    }
    lines = [f"{key}: {install_hint(names)}" for key, names in missing.items() if names]
    if lines:
        raise ConfigError("\n".join(lines))


def _missing_packages(runtimes: Sequence[str]) -> list[str]:
    """Return the packages that exports for `runtimes` need and that are not installed."""
    # Not imported: that takes seconds, and this runs before every sweep.
    wanted = dict.fromkeys([*EXPORT_PACKAGES, *runtimes] if runtimes else ())
    return [name for name in wanted if find_spec(name) is None]


def install_hint(missing: list[str]) -> str:
    """Return which packages are not installed, and the command that installs them."""
    extras = ",".join(dict.fromkeys(EXTRA_OF[name] for name in missing))
    verb = "is" if len(missing) == 1 else "are"
    return (
        f"{', '.join(missing)} {verb} not installed: "
        f"install with `pip install 'resomap[{extras}]'`"
    )
