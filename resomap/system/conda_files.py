"""The conda files and the container of envs/, made from the lock: `python -m resomap.system.conda_files envs`."""

import sys
from pathlib import Path

from resomap.system.files import write_text

PYTHON = "3.11"
# What the rules of each half import; everything else comes as their dependency.
ENVIRONMENTS = {
    "torch": (
        *(
            "torch",
            "torchvision",
            "captum",
            "grad-cam",
            "opencv-python-headless",
            "torchinfo",
            "nvidia-ml-py",
            "tensorboard",
        ),
        *("scipy", "pot", "numpy", "pillow", "pydantic", "pyyaml", "safetensors", "tqdm"),
    ),
    "report": (
        "pandas",
        "numpy",
        "scipy",
        "matplotlib",
        "seaborn",
        "jinja2",
        "pydantic",
        "pillow",
    ),
    "tracking": ("mlflow", "sqlalchemy", "numpy", "pydantic", "tqdm"),
}
MADE = "# Made by `make lock`; a test regenerates and compares.\n"
CONTAINER = """\
# The locked environment and nothing of ours: an edit of the code needs no new image.
#   docker build -t resomap -f envs/Containerfile envs      (or podman)
FROM python:{python}-slim-bookworm
# torch.compile calls a compiler.
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
COPY requirements.lock /opt/resomap/
# The lock is complete, and pip does not know the override of pyproject.toml by which it is: nothing is left to resolve.
RUN pip install --no-cache-dir --no-deps --require-hashes -r /opt/resomap/requirements.lock
"""


def locked_versions(lock: Path) -> dict[str, str]:
    """Name to version of every package that the lock pins."""
    pins = [
        line.split()[0]
        for line in lock.read_text(encoding="utf-8").splitlines()
        if line[:1].isalpha()
    ]
    return dict(pin.split("==") for pin in pins)


def conda_file(name: str, versions: dict[str, str]) -> str:
    """The conda environment `name`, its packages at the versions of the lock."""
    pins = "".join(
        f"      - {package}=={versions[package]}\n" for package in sorted(ENVIRONMENTS[name])
    )
    return f"{MADE}name: resomap-{name}\nchannels:\n  - conda-forge\ndependencies:\n  - python={PYTHON}\n  - pip\n  - pip:\n{pins}"


def container_file() -> str:
    """The container: this Python and every package of the lock, which it reads itself."""
    return MADE + CONTAINER.format(python=PYTHON)


def write_environments(directory: Path) -> None:
    """Write every conda file and the container's beside `requirements.lock`."""
    versions = locked_versions(directory / "requirements.lock")
    for name in ENVIRONMENTS:
        write_text(directory / f"{name}.yaml", conda_file(name, versions))
    write_text(directory / "Containerfile", container_file())


if __name__ == "__main__":
    write_environments(Path(sys.argv[1]))
