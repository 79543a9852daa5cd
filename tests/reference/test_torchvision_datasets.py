"""Datasets of torchvision, read by its classes from tiny files in their official formats."""

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
from resomap.data.sources.torchvision import open_splits, read_image, read_labels, read_mask
from resomap.errors import DataError
from tests import tiny_datasets

JPEG_ERROR = 4
"""Grey levels by which JPEG at quality 95 may differ from a smooth image."""
every_tested = pytest.mark.parametrize("name", torchvision.TESTED_DATASETS)


@pytest.fixture
def requested(monkeypatch):
    """Disconnect the network; the list holds the files that torchvision tries to download."""
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


def labels_by_split(splits):
    return {split: read_labels(dataset) for split, dataset in splits.items()}


def test_import_loads_no_torch():
    program = (
        "import sys, resomap.data.sources.torchvision; "
        "print(*{'torch', 'torchvision'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "\n"


def test_tested_datasets_are_those_of_the_config():
    assert tuple(torchvision.TESTED_DATASETS) == TORCHVISION
    assert tuple(torchvision.DATASET_ARCHIVES) == TORCHVISION


@every_tested
def test_dataset_has_written_splits_and_labels(name, written, tmp_path):
    splits = open_splits(name, tmp_path, download=False)
    assert labels_by_split(splits) == written.labels
    for split, dataset in splits.items():
        assert [dataset[index][1] for index in range(len(dataset))] == written.labels[split]


@every_tested
def test_labels_are_read_without_decoding(name, written, tmp_path, monkeypatch):
    splits = open_splits(name, tmp_path, download=False)
    monkeypatch.setattr(Image, "open", None)
    monkeypatch.setattr(Image, "fromarray", None)
    assert labels_by_split(splits) == written.labels


@every_tested
def test_classes_have_official_names(name, written, tmp_path):
    for dataset in open_splits(name, tmp_path, download=False).values():
        assert torchvision.class_names(dataset) == written.classes


@every_tested
def test_images_are_those_written(name, written, tmp_path):
    tolerance = 0 if written.lossless else JPEG_ERROR
    for split, dataset in open_splits(name, tmp_path, download=False).items():
        assert len(dataset) == len(written.images[split])
        for index, expected in enumerate(written.images[split]):
            image = read_image(dataset, index)
            assert image.mode == "RGB"
            assert np.abs(np.asarray(image).astype(int) - expected).max() <= tolerance


@every_tested
def test_only_pets_have_masks(name, written, tmp_path):
    for split, dataset in open_splits(name, tmp_path, download=False).items():
        masks = [read_mask(dataset, index) for index in range(len(dataset))]
        if name == "OxfordIIITPet":
            assert masks[0].dtype == np.uint8
            np.testing.assert_array_equal(masks, written.masks[split])
        else:
            assert masks == [None] * len(dataset)


@every_tested
def test_present_dataset_is_not_downloaded(name, written, tmp_path, requested):
    open_splits(name, tmp_path, download=True)
    assert requested == []


@every_tested
def test_absent_dataset_names_folder_and_download_key(name, tmp_path):
    with pytest.raises(DataError) as caught:
        open_splits(name, tmp_path / "nowhere", download=False)
    first, second = str(caught.value).splitlines()
    assert first.startswith(
        f"{name} is incomplete in {tmp_path / 'nowhere'} (Dataset not found"
    )
    assert "data.torchvision.root" in second
    assert "download: true" in second


@pytest.mark.parametrize(
    ("name", "file"),
    [("CIFAR10", "cifar-10-batches-py/data_batch_3"), ("SVHN", "test_32x32.mat")],
)
def test_file_with_other_md5_is_refused(name, file, written, tmp_path):
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes() + b"!")
    with pytest.raises(DataError, match=f"{name} is incomplete in .*corrupted"):
        open_splits(name, tmp_path, download=False)


@pytest.mark.parametrize(
    ("name", "file"), [("DTD", "dtd/dtd/labels/val1.txt"), ("GTSRB", "gtsrb/GT-final_test.csv")]
)
def test_missing_file_is_named(name, file, written, tmp_path):
    (tmp_path / file).unlink()
    with pytest.raises(DataError, match=f"{name} is incomplete in .*No such file.*{file}"):
        open_splits(name, tmp_path, download=False)


@every_tested
def test_failed_download_lists_files_to_place(name, tmp_path, requested):
    with pytest.raises(DataError) as caught:
        open_splits(name, tmp_path, download=True)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{name} could not be downloaded into {tmp_path} (<urlopen error")
    files = [str(tmp_path / file) for file in torchvision.DATASET_ARCHIVES[name]]
    assert second.endswith(": " + ", ".join(files))
    assert set(requested) == {files[0]}


def test_broken_connection_is_failed_download(tmp_path, monkeypatch, requested):
    def break_off(url, file):
        raise IncompleteRead(b"", 170_498_071)

    monkeypatch.setattr(datasets.utils, "_urlretrieve", break_off)
    with pytest.raises(DataError, match=r"CIFAR10 could not be downloaded .*IncompleteRead"):
        open_splits("CIFAR10", tmp_path, download=True)


def test_tilde_in_root_is_expanded(tmp_path, monkeypatch):
    tiny_datasets.write("GTSRB", tmp_path / "sets", monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert set(open_splits("GTSRB", Path("~/sets"), download=False)) == {"train", "test"}


@every_tested
def test_archives_are_all_that_torchvision_fetches(name, tmp_path, monkeypatch):
    fetched = set()

    def record(url, root, filename=None, md5=None):
        fetched.add(f"{root}/{filename or url.rpartition('/')[2]}")

    for module in (datasets.utils, datasets.svhn, datasets.flowers102):
        monkeypatch.setattr(module, "download_url", record)
    monkeypatch.setattr(datasets.utils, "extract_archive", lambda *_: None)
    for arguments in torchvision.TESTED_DATASETS[name].values():
        # Nothing was really fetched, so opening fails in the end.
        with pytest.raises((RuntimeError, FileNotFoundError)):
            getattr(datasets, name)(tmp_path, download=True, **arguments)
    assert fetched == {str(tmp_path / file) for file in torchvision.DATASET_ARCHIVES[name]}


# torchvision 0.26 unpacks without a filter.
@pytest.mark.filterwarnings("ignore:Python 3.14 will:DeprecationWarning")
def test_placed_archive_is_unpacked_without_network(tmp_path, monkeypatch, requested):
    written = tiny_datasets.write("CIFAR10", tmp_path / "elsewhere", monkeypatch)
    archive = tmp_path / torchvision.DATASET_ARCHIVES["CIFAR10"][0]
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "elsewhere" / "cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", tiny_datasets.md5(archive))
    splits = open_splits("CIFAR10", tmp_path, download=True)
    assert read_labels(splits["test"]) == written.labels["test"]
    assert requested == []


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("CIFAR-10", "did you mean CIFAR10"),
        ("cifar10", "did you mean CIFAR10"),
        ("ImageNete", "did you mean Imagenette"),
        ("Flower102", "did you mean Flowers102"),
        ("Xyz", "known are CIFAR10, .*, Imagenette"),
    ],
)
def test_unknown_name_is_refused_with_hint(name, hint, tmp_path):
    with pytest.raises(DataError, match=f"no dataset '{name}'; {hint}"):
        open_splits(name, tmp_path, download=False)


def write_mnist(root):
    """Write two training images and one test image as idx files."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for split, digits in {"train": [7, 2], "t10k": [4]}.items():
        pixels = np.arange(len(digits) * 28 * 28) % 251
        header = struct.pack(">IIII", 2051, len(digits), 28, 28)
        (folder / f"{split}-images-idx3-ubyte").write_bytes(header + bytes(pixels.tolist()))
        header = struct.pack(">II", 2049, len(digits))
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(header + bytes(digits))


def test_untested_dataset_with_train_flag_opens(tmp_path):
    write_mnist(tmp_path)
    splits = open_splits("MNIST", tmp_path, download=False)
    assert labels_by_split(splits) == {"train": [7, 2], "test": [4]}
    assert torchvision.class_names(splits["train"])[7] == "7 - seven"
    first_row = np.asarray(read_image(splits["train"], 1))[0]
    assert first_row[:2].tolist() == [784 % 251, 785 % 251]


def test_untested_dataset_with_splits_opens(tmp_path):
    folder = tmp_path / "food-101"
    for part in ("meta", "images"):
        (folder / part).mkdir(parents=True)
    listing = json.dumps({"apple_pie": ["apple_pie/1"], "waffles": ["waffles/1"]})
    for split in ("train", "test"):
        (folder / "meta" / f"{split}.json").write_text(listing)
    splits = open_splits("Food101", tmp_path, download=False)
    assert labels_by_split(splits) == {"train": [0, 1], "test": [0, 1]}


def test_untested_dataset_without_splits_opens_as_all(tmp_path):
    for name in ("ant", "bee"):
        tiny_datasets.save(tmp_path / name / "1.png", np.zeros((4, 4, 3), np.uint8))
    splits = open_splits("ImageFolder", tmp_path, download=False)
    assert list(splits) == ["all"]
    assert torchvision.class_names(splits["all"]) == ("ant", "bee")


def test_dataset_that_downloads_by_default_does_not(tmp_path, requested):
    with pytest.raises(DataError, match="SEMEION is incomplete in"):
        open_splits("SEMEION", tmp_path, download=False)
    assert requested == []


def test_failed_untested_download_names_documentation(tmp_path, requested):
    message = r"USPS could not be downloaded .*\n.*documentation of torchvision\.datasets\.USPS"
    with pytest.raises(DataError, match=message):
        open_splits("USPS", tmp_path, download=True)


@pytest.mark.parametrize(
    ("name", "download", "reason"),
    [
        (
            "EMNIST",
            False,
            "EMNIST has no split train: Unknown value 'train' for argument split",
        ),
        ("LFWPeople", True, "LFWPeople has no split train: LFW dataset is no longer available"),
        ("FakeData", False, "FakeData cannot be opened by root, .*'root'"),
        ("ImageNet", True, "ImageNet could not be downloaded .*You need to download it"),
        ("Kinetics", False, "Kinetics cannot be opened by root, .*'frames_per_clip'"),
    ],
)
def test_unusual_class_is_refused_with_reason(name, download, reason, tmp_path):
    with pytest.raises(DataError, match=reason):
        open_splits(name, tmp_path, download)


class PlainDataset(list):
    """A dataset that keeps its labels only beside its images."""


def test_labels_beside_images_are_read():
    dataset = PlainDataset([("image", np.int64(2)), ("image", 0)])
    assert read_labels(dataset) == [2, 0]
    assert torchvision.class_names(dataset) == ("0", "1", "2")


@pytest.mark.parametrize(
    "label",
    [None, "cat", 0.5, (1, 2), Image.new("L", (1, 1)), np.zeros(40)],
    ids=lambda label: type(label).__name__,
)
@pytest.mark.parametrize("kind", [SimpleNamespace, PlainDataset])
def test_label_that_is_no_integer_is_refused(label, kind):
    dataset = PlainDataset([("image", label)])
    if kind is SimpleNamespace:
        dataset = SimpleNamespace(targets=[0, label])
    with pytest.raises(DataError, match=f"{kind.__name__} is not a classification dataset"):
        read_labels(dataset)
