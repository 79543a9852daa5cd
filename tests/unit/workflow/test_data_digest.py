from pathlib import Path
from typing import Any

import pytest

from resomap.config.data import PrepareOptions
from resomap.config.load import build_config, merge
from resomap.config.schema import Config
from resomap.errors import ConfigError
from resomap.workflow import data_digest
from tests.image_files import write_classes


@pytest.fixture(autouse=True)
def no_digests(monkeypatch):
    monkeypatch.setattr(data_digest, "digest_code", lambda *entries: "code")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.delenv(data_digest.USER_FILES_VARIABLE, raising=False)
    return write_classes(tmp_path / "images", {"cat": 40, "dog": 24})


def folder_config(defaults: dict[str, Any], folder: Path, **change: Any) -> Config:
    data = {"dataset": "folder", "path": str(folder)}
    return build_config(merge(defaults, {"data": data, **change}))


def test_user_files_are_counted_and_digested(defaults, folder):
    config = folder_config(defaults, folder)
    files = data_digest.read_user_files(config)
    assert (files.num_images, files.num_train) == (64, 41)
    assert data_digest.digest_user_files(config) == files.digest
    assert data_digest.count_train_images(config) == 41


def test_images_determined_by_config_have_no_files(config):
    assert data_digest.read_user_files(config) is None
    assert data_digest.digest_user_files(config) == ""
    assert data_digest.count_train_images(config) == config.data.reef.train


def test_files_are_listed_once_per_invocation(defaults, folder, monkeypatch):
    digest = data_digest.digest_data(folder_config(defaults, folder))
    monkeypatch.setattr(data_digest, "list_images", lambda data: pytest.fail("listed again"))
    assert data_digest.digest_data(folder_config(defaults, folder)) == digest


def test_another_file_changes_the_digest(defaults, folder, monkeypatch):
    digest = data_digest.digest_data(folder_config(defaults, folder))
    write_classes(folder, {"cat": 1}, start=99)
    monkeypatch.delenv(data_digest.USER_FILES_VARIABLE)
    assert data_digest.digest_data(folder_config(defaults, folder)) != digest


def test_permission_to_download_changes_no_digest(defaults):
    allowed, refused = (
        build_config(
            merge(defaults, {"data": {"dataset": "CIFAR10", "root": "x", "download": download}})
        )
        for download in (True, False)
    )
    assert data_digest.digest_data(allowed) == data_digest.digest_data(refused)
    assert data_digest.data_settings(allowed) == data_digest.data_settings(refused)
    assert PrepareOptions.model_validate_json(
        data_digest.prepare_options_json(allowed)
    ).download
    assert not PrepareOptions.model_validate_json(
        data_digest.prepare_options_json(refused)
    ).download


def test_fewer_images_than_a_batch_are_refused(defaults, folder):
    config = folder_config(defaults, folder, training={"batch_size": 64})
    with pytest.raises(ConfigError, match=r"training\.batch_size: 64 is more than the 41"):
        data_digest.digest_data(config)
