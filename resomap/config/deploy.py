"""Where the networks of a sweep will run: `system.deploy`, which is off by default."""

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from resomap.config.types import Distinct, FilePath, Fraction, Section
from resomap.config.variants import RUNTIME_VARIANTS
from resomap.errors import ConfigError

RuntimeName = Literal["onnxruntime", "openvino"]
DeployPrecision = Literal["fp32", "int8"]
ONNX_RUNTIME: RuntimeName = "onnxruntime"
OPENVINO: RuntimeName = "openvino"
DEPLOY_KEY = "config/system.yaml: system.deploy"
VARIANTS_KEY = "config/system.yaml: system.profiling.variants"
EXPORT_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""Every export is proven in ONNX Runtime first, whatever runtime it is for."""
EXTRA_OF = {**dict.fromkeys(EXPORT_PACKAGES, "deploy"), "openvino": "openvino"}
DEVICE_NAME = re.compile("[A-Za-z][A-Za-z0-9_-]*")
PROFILED_DEVICES = ("auto", "cpu", "cuda")
"""The names of the machine that profiles the sweep."""


def device_name(path: str | PurePath) -> str:
    """Return the device that a file of measurements is of: the stem of its name."""
    return PurePath(path).stem


def check_device_names(paths: Sequence[str]) -> Sequence[str]:
    """Return `paths`; ValueError where their stems are no distinct names of devices."""
    problems, known = list[str](), dict[str, str]()
    for path in paths:
        name = device_name(path)
        if not DEVICE_NAME.fullmatch(name) or name.lower() in PROFILED_DEVICES:
            problems.append(
                f"{path}: {name!r} is no name of a device: rename the file, such as pi5.json "
                f"(letters, digits, - and _; not {', '.join(PROFILED_DEVICES)})"
            )
        # Tables and file systems may ignore case.
        elif name.lower() in known:
            problems.append(
                f"{path} and {known[name.lower()]} name one device, {name}: rename one"
            )
        known.setdefault(name.lower(), path)
    if problems:
        raise ValueError("; ".join(problems))
    return paths


class Deploy(Section):
    """The runtimes and precisions in which trained networks are exported, proven and measured."""

    runtimes: Distinct[RuntimeName]
    """Runtimes in which exported networks are proven (need `resomap[deploy]`; openvino also
    needs `resomap[openvino]`)."""
    precisions: Distinct[DeployPrecision]
    """fp32 is the network as trained; int8 is quantised with training images."""
    cells: Literal["chosen", "all"]
    """Exported cells: those that the decision is between (the recommended one, its runner-up and
    the front), or all."""
    max_flips: Fraction | None
    """Largest share of test images whose answer another preprocessing may change; null for no
    limit."""
    measurements: Annotated[
        tuple[FilePath, ...], Field(max_length=100), AfterValidator(check_device_names)
    ]
    """Measurements of other devices, as JSON files that `measure.py` wrote there. A device is
    named after its file: `pi5.json`."""


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
