import pytest

from resomap.data.sources.file_kinds import HEIC_HINT, classify_file
from resomap.data.sources.tree import scan_folder
from tests.image_files import noise, save, write_classes


def test_other_files_are_counted_by_ending(tmp_path):
    images = write_classes(tmp_path / "images", {"cat": 3, "dog": 2})
    for index in range(3):
        for ending in (".txt", ".SVG", ".ogg", ".json"):
            (images / "cat" / f"{index:04d}{ending}").write_text("x")
    (images / "dog" / "Thumbs.db").write_bytes(b"x")
    (images / "dog" / ".DS_Store").write_bytes(b"x")
    (images / "README").write_text("mine")
    tree, ignored = scan_folder(images)
    assert tree.num_images == 5
    assert ignored.files == {
        ".txt": 3,
        ".svg": 3,
        ".ogg": 3,
        ".json": 3,
        ".db": 1,
        "(hidden)": 1,
        "(no ending)": 1,
    }


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.heic", "HEIC"),
        ("a.HEIF", "HEIC"),
        ("a.dcm", "DICOM"),
        ("a.nef", "raw photograph"),
        ("a.CR2", "raw photograph"),
        ("a.jxl", "not read"),
    ],
)
def test_unreadable_image_is_named_with_a_hint(tmp_path, name, reason):
    images = write_classes(tmp_path / "images", {"cat": 1})
    (images / "cat" / name).write_bytes(b"x" * 200)
    tree, ignored = scan_folder(images)
    [(found, hint)] = tree.walk_unreadable()
    assert found == f"cat/{name}"
    assert reason in hint
    assert not ignored.files


def test_raw_file_beside_its_jpeg_is_ignored(tmp_path):
    save(tmp_path / "images" / "cat" / "a.jpg", noise(1))
    (tmp_path / "images" / "cat" / "a.NEF").write_bytes(b"x")
    tree, ignored = scan_folder(tmp_path / "images")
    assert list(tree.walk_unreadable()) == []
    assert ignored.files == {".nef": 1}


def test_file_without_known_ending_is_an_image_by_its_content(tmp_path):
    image = save(tmp_path / "a.png", noise(1)).rename(tmp_path / "photo.0001")
    text, dicom = tmp_path / "photo.0002", tmp_path / "IM0001"
    text.write_text("notes")
    dicom.write_bytes(bytes(128) + b"DICM")
    kinds = [classify_file(str(path)) for path in (image, text, dicom)]
    assert kinds == ["image", "other", "unreadable"]
    assert "HEIC" in HEIC_HINT
