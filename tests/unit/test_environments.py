from pathlib import Path

import pytest

from resomap.environments import ENVIRONMENTS, conda_file, locked_versions, write_conda_files

ENVS = Path(__file__).parents[2] / "envs"


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_conda_files_are_those_that_the_lock_makes(name):
    made = conda_file(name, locked_versions(ENVS / "requirements.lock"))
    assert (ENVS / f"{name}.yaml").read_text(encoding="utf-8") == made, "run `make lock`"


def test_the_files_are_written_beside_the_lock(tmp_path):
    (tmp_path / "requirements.lock").write_text((ENVS / "requirements.lock").read_text(encoding="utf-8"), encoding="utf-8")
    write_conda_files(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.yaml", "requirements.lock", "torch.yaml", "tracking.yaml"]
