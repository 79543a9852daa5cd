"""torchvision's data sets, read by its own classes from tiny files in their official formats, against what was written."""

import json
import struct
import subprocess
import sys
import tarfile
from http.client import IncompleteRead
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets

from resomap.config.data import TORCHVISION
from resomap.data.sources import torchvision
from resomap.errors import DataError
from tests import tiny_datasets

JPEG_ERROR = 4
"""Grey levels by which JPEG at quality 95 may miss a smooth picture."""
every_tested = pytest.mark.parametrize("name", torchvision.TESTED_DATASETS)


@pytest.fixture
def asked(monkeypatch):
    """Takes the network away; lists the files that torchvision would have downloaded."""
    files: list[str] = []

    def refuse(url, file, *_):
        files.append(str(file))
        raise URLError("Name or service not known")

    monkeypatch.setattr(datasets.utils, "_get_redirect_url", lambda url, max_hops: url)
    monkeypatch.setattr(datasets.utils, "_urlretrieve", refuse)
    return files


@pytest.fixture
def written(name, tmp_path, monkeypatch):
    return tiny_datasets.write(name, tmp_path, monkeypatch)


def test_importing_it_loads_no_torch():
    program = "import sys, resomap.data.sources.torchvision; print(*{'torch', 'torchvision'} & set(sys.modules))"
    assert (
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout
        == "\n"
    )


def test_the_tested_sets_are_those_that_the_configuration_names():
    assert (
        tuple(torchvision.TESTED_DATASETS) == TORCHVISION == tuple(torchvision.DATASET_ARCHIVES)
    )


@every_tested
def test_a_set_has_the_splits_and_labels_that_were_written(name, written, tmp_path):
    found = torchvision.open_splits(name, tmp_path, download=False)
    assert {
        split: torchvision.read_labels(dataset) for split, dataset in found.items()
    } == written.labels


@every_tested
def test_a_label_that_is_kept_is_the_one_given_with_the_picture(name, written, tmp_path):
    for dataset in torchvision.open_splits(name, tmp_path, download=False).values():
        assert torchvision.read_labels(dataset) == [
            dataset[index][1] for index in range(len(dataset))
        ]


@every_tested
def test_labels_cost_no_decoding(name, written, tmp_path, monkeypatch):
    found = torchvision.open_splits(name, tmp_path, download=False)
    monkeypatch.setattr(Image, "open", None)
    monkeypatch.setattr(Image, "fromarray", None)
    assert {
        split: len(torchvision.read_labels(dataset)) for split, dataset in found.items()
    } == {k: len(v) for k, v in written.labels.items()}


@every_tested
def test_classes_have_their_official_names(name, written, tmp_path):
    for dataset in torchvision.open_splits(name, tmp_path, download=False).values():
        assert torchvision.class_names(dataset) == written.classes


@every_tested
def test_pictures_are_those_that_were_written(name, written, tmp_path):
    for split, dataset in torchvision.open_splits(name, tmp_path, download=False).items():
        assert len(dataset) == len(written.pictures[split])
        for index, picture in enumerate(written.pictures[split]):
            given = torchvision.read_image(dataset, index)
            assert given.mode == "RGB"
            off = np.abs(np.asarray(given).astype(int) - picture).max()
            assert off <= (0 if written.lossless else JPEG_ERROR), (
                f"{split}, picture {index} is {off} grey levels off"
            )


@every_tested
def test_only_pets_have_masks(name, written, tmp_path):
    for split, dataset in torchvision.open_splits(name, tmp_path, download=False).items():
        masks = [torchvision.read_mask(dataset, index) for index in range(len(dataset))]
        if name == "OxfordIIITPet":
            assert masks[0].dtype == np.uint8
            np.testing.assert_array_equal(masks, written.masks[split])
        else:
            assert masks == [None] * len(dataset)


@every_tested
def test_nothing_is_downloaded_where_the_set_lies(name, written, tmp_path, asked):
    torchvision.open_splits(name, tmp_path, download=True)
    assert asked == []


@every_tested
def test_a_set_that_is_absent_asks_for_its_folder_or_a_download(name, tmp_path):
    with pytest.raises(DataError) as failure:
        torchvision.open_splits(name, tmp_path / "nowhere", download=False)
    first, second = str(failure.value).splitlines()
    assert first.startswith(f"{name} is not whole in {tmp_path / 'nowhere'} (Dataset not found")
    assert second.endswith("data.torchvision.root, or set download: true")


@pytest.mark.parametrize(
    ("name", "file"),
    [("CIFAR10", "cifar-10-batches-py/data_batch_3"), ("SVHN", "test_32x32.mat")],
)
def test_a_file_with_another_md5_is_refused(name, file, tmp_path, monkeypatch):
    tiny_datasets.write(name, tmp_path, monkeypatch)
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes() + b"!")
    with pytest.raises(DataError, match=f"{name} is not whole in .*corrupted"):
        torchvision.open_splits(name, tmp_path, download=False)


@pytest.mark.parametrize(
    ("name", "file"), [("DTD", "dtd/dtd/labels/val1.txt"), ("GTSRB", "gtsrb/GT-final_test.csv")]
)
def test_a_missing_file_is_named(name, file, tmp_path, monkeypatch):
    tiny_datasets.write(name, tmp_path, monkeypatch)
    (tmp_path / file).unlink()
    with pytest.raises(DataError, match=f"{name} is not whole in .*No such file.*{file}"):
        torchvision.open_splits(name, tmp_path, download=False)


@every_tested
def test_a_download_that_fails_says_where_to_put_which_files(name, tmp_path, asked):
    with pytest.raises(DataError) as failure:
        torchvision.open_splits(name, tmp_path, download=True)
    first, second = str(failure.value).splitlines()
    assert first.startswith(
        f"{name} could not be downloaded into {tmp_path} (<urlopen error Name or service not known>)"
    )
    files = [str(tmp_path / file) for file in torchvision.DATASET_ARCHIVES[name]]
    assert second.endswith(": " + ", ".join(files))
    assert set(asked) == {files[0]}


def test_a_connection_that_breaks_is_a_download_that_fails(tmp_path, monkeypatch, asked):
    def break_off(url, file):
        raise IncompleteRead(b"", 170_498_071)

    monkeypatch.setattr(datasets.utils, "_urlretrieve", break_off)
    with pytest.raises(DataError, match=r"CIFAR10 could not be downloaded .*IncompleteRead"):
        torchvision.open_splits("CIFAR10", tmp_path, download=True)


def test_a_tilde_in_the_root_is_the_users_home(tmp_path, monkeypatch):
    tiny_datasets.write("GTSRB", tmp_path / "sets", monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert set(torchvision.open_splits("GTSRB", Path("~/sets"), download=False)) == {
        "train",
        "test",
    }


@every_tested
def test_the_files_to_put_by_hand_are_all_that_torchvision_would_fetch(
    name, tmp_path, monkeypatch
):
    fetched = []
    monkeypatch.setattr(
        datasets.utils,
        "download_url",
        lambda url, root, filename=None, md5=None: fetched.append((url, root, filename)),
    )
    monkeypatch.setattr(datasets.utils, "extract_archive", lambda *_: None)
    for module in (datasets.svhn, datasets.flowers102):
        monkeypatch.setattr(module, "download_url", datasets.utils.download_url)
    for arguments in torchvision.TESTED_DATASETS[name].values():
        with pytest.raises((RuntimeError, FileNotFoundError)):  # nothing was fetched in truth
            getattr(datasets, name)(tmp_path, download=True, **arguments)
    assert {f"{root}/{file or url.rpartition('/')[2]}" for url, root, file in fetched} == {
        str(tmp_path / file) for file in torchvision.DATASET_ARCHIVES[name]
    }


@pytest.mark.filterwarnings(
    "ignore:Python 3.14 will:DeprecationWarning"
)  # torchvision 0.26 unpacks without a filter
def test_an_archive_put_by_hand_is_unpacked_without_a_network(tmp_path, monkeypatch, asked):
    written = tiny_datasets.write("CIFAR10", tmp_path / "elsewhere", monkeypatch)
    archive = tmp_path / torchvision.DATASET_ARCHIVES["CIFAR10"][0]
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "elsewhere" / "cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", tiny_datasets.md5(archive))
    found = torchvision.open_splits("CIFAR10", tmp_path, download=True)
    assert (torchvision.read_labels(found["test"]), asked) == (written.labels["test"], [])


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("CIFAR-10", "CIFAR10"),
        ("cifar10", "CIFAR10"),
        ("ImageNete", "Imagenette"),
        ("Flower102", "Flowers102"),
    ],
)
def test_a_name_that_is_nearly_one_is_corrected(wrong, right, tmp_path):
    with pytest.raises(DataError, match=f"no dataset '{wrong}'; did you mean {right}"):
        torchvision.open_splits(wrong, tmp_path, download=False)


def test_a_name_like_no_other_lists_the_tested_sets(tmp_path):
    with pytest.raises(DataError, match=r"no dataset 'Xyz'; known are CIFAR10, .*, Imagenette"):
        torchvision.open_splits("Xyz", tmp_path, download=False)


def write_mnist(root):
    """Two training pictures and one test picture, as idx files."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for split, digits in {"train": [7, 2], "t10k": [4]}.items():
        pictures = np.arange(len(digits) * 28 * 28) % 251
        (folder / f"{split}-images-idx3-ubyte").write_bytes(
            struct.pack(">IIII", 2051, len(digits), 28, 28) + bytes(pictures.tolist())
        )
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(
            struct.pack(">II", 2049, len(digits)) + bytes(digits)
        )


def test_an_untested_set_with_a_train_flag_opens_by_name(tmp_path):
    write_mnist(tmp_path)
    found = torchvision.open_splits("MNIST", tmp_path, download=False)
    assert {split: torchvision.read_labels(dataset) for split, dataset in found.items()} == {
        "train": [7, 2],
        "test": [4],
    }
    assert torchvision.class_names(found["train"])[7] == "7 - seven"
    assert np.asarray(torchvision.read_image(found["train"], 1))[0, :2].tolist() == [
        784 % 251,
        785 % 251,
    ]


def test_an_untested_set_with_splits_opens_with_those_it_has(tmp_path):
    folder = tmp_path / "food-101"
    for part in ("meta", "images"):
        (folder / part).mkdir(parents=True)
    for split in ("train", "test"):
        (folder / "meta" / f"{split}.json").write_text(
            json.dumps({"apple_pie": ["apple_pie/1"], "waffles": ["waffles/1"]})
        )
    found = torchvision.open_splits("Food101", tmp_path, download=False)
    assert {split: torchvision.read_labels(dataset) for split, dataset in found.items()} == {
        "train": [0, 1],
        "test": [0, 1],
    }


def test_an_untested_set_without_splits_opens_as_one(tmp_path):
    for name in ("ant", "bee"):
        tiny_datasets.save(tmp_path / name / "1.png", np.zeros((4, 4, 3), np.uint8))
    found = torchvision.open_splits("ImageFolder", tmp_path, download=False)
    assert list(found) == ["all"]
    assert torchvision.class_names(found["all"]) == ("ant", "bee")


def test_a_set_that_downloads_unless_told_not_to_is_told(tmp_path, asked):
    with pytest.raises(DataError, match="SEMEION is not whole in"):
        torchvision.open_splits("SEMEION", tmp_path, download=False)
    assert asked == []


def test_an_untested_set_that_cannot_be_downloaded_points_to_its_documentation(tmp_path, asked):
    with pytest.raises(
        DataError,
        match=r"USPS could not be downloaded into .*\n.*documentation of torchvision.datasets.USPS",
    ):
        torchvision.open_splits("USPS", tmp_path, download=True)


@pytest.mark.parametrize(
    ("name", "download", "reason"),
    [
        (
            "EMNIST",
            False,
            "EMNIST gives no split train: Unknown value 'train' for argument split",
        ),
        (
            "LFWPeople",
            True,
            "LFWPeople gives no split train: LFW dataset is no longer available",
        ),
        (
            "FakeData",
            False,
            "FakeData cannot be opened by root, split and download alone: .*'root'",
        ),
        (
            "ImageNet",
            True,
            "ImageNet could not be downloaded into .*You need to download it externally",
        ),
        (
            "Kinetics",
            False,
            "Kinetics cannot be opened by root, split and download alone: .*'frames_per_clip'",
        ),
    ],
)
def test_a_class_that_does_not_open_so_says_why(name, download, reason, tmp_path):
    with pytest.raises(DataError, match=reason):
        torchvision.open_splits(name, tmp_path, download)


class ReadOnly(list):
    """A set that keeps its labels nowhere but beside its pictures."""


def test_labels_that_are_kept_nowhere_are_read_with_the_pictures():
    dataset = ReadOnly([("picture", np.int64(2)), ("picture", 0)])
    assert torchvision.read_labels(dataset) == [2, 0]
    assert torchvision.class_names(dataset) == ("0", "1", "2")


@pytest.mark.parametrize(
    "label",
    [None, "cat", 0.5, (1, 2), Image.new("L", (1, 1)), np.zeros(40)],
    ids=lambda label: type(label).__name__,
)
def test_a_set_whose_labels_are_no_integers_is_no_classification_set(label):
    for dataset in (SimpleNamespace(targets=[0, label]), ReadOnly([("picture", label)])):
        with pytest.raises(
            DataError, match=f"{type(dataset).__name__} is not a classification set"
        ):
            torchvision.read_labels(dataset)
