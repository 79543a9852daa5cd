"""The conda files of envs/, made from the lock: `python -m resomap.environments envs`."""

import sys
from pathlib import Path

from resomap.files import write_text

PYTHON = "3.11"
# What the rules of each half import; everything else comes as their dependency.
ENVIRONMENTS = {
    "torch": ("torch", "torchvision", "captum", "grad-cam", "scipy", "pot", "numpy", "pillow", "pydantic", "pyyaml", "safetensors", "tqdm"),
    "report": ("pandas", "numpy", "scipy", "matplotlib", "seaborn", "jinja2", "pydantic", "pyyaml", "pillow"),
    "tracking": ("mlflow", "numpy", "pydantic", "tqdm"),
}


def locked_versions(lock: Path) -> dict[str, str]:
    """Name to version of every package that the lock pins."""
    pins = [line.split()[0] for line in lock.read_text(encoding="utf-8").splitlines() if line[:1].isalpha()]
    return dict(pin.split("==") for pin in pins)


def conda_file(name: str, versions: dict[str, str]) -> str:
    """The conda environment `name`, its packages at the versions of the lock."""
    pins = "".join(f"      - {package}=={versions[package]}\n" for package in sorted(ENVIRONMENTS[name]))
    head = "# Made from requirements.lock by `make lock`; a test regenerates and compares.\n"
    return f"{head}name: resomap-{name}\nchannels:\n  - conda-forge\ndependencies:\n  - python={PYTHON}\n  - pip\n  - pip:\n{pins}"


def write_conda_files(directory: Path) -> None:
    """Write every conda file beside `requirements.lock`."""
    versions = locked_versions(directory / "requirements.lock")
    for name in ENVIRONMENTS:
        write_text(directory / f"{name}.yaml", conda_file(name, versions))


if __name__ == "__main__":
    write_conda_files(Path(sys.argv[1]))
