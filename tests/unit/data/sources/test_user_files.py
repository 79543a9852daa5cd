import os

from resomap.data.sources.user_files import list_images, listing_digest
from tests.image_files import data_section, noise, save, write_classes


def test_digest_changes_with_any_file(tmp_path):
    images = write_classes(tmp_path / "images", {"cat": 3, "dog": 3})
    data = data_section(tmp_path, dataset="folder", path=str(images))
    digests = [listing_digest(list_images(data))]
    assert listing_digest(list_images(data)) == digests[0]
    for change in (
        lambda: save(images / "cat" / "0009.png", noise(9)),
        (images / "dog" / "0000.png").unlink,
        lambda: os.utime(images / "dog" / "0001.png", (1, 1)),
        lambda: (images / "dog" / "0001.png").rename(images / "cat" / "0001b.png"),
        lambda: (images / "cat").rename(images / "lynx"),
    ):
        change()
        digests.append(listing_digest(list_images(data)))
    assert len(set(digests)) == 6


def test_digest_changes_with_columns_of_csv(tmp_path):
    for name in "ab":
        save(tmp_path / f"{name}.png", noise(1))
    table, digests = tmp_path / "table.csv", set()
    for first, second in (("x,1", "y,2"), ("y,1", "x,2"), ("x,1", "y,1")):
        table.write_text(f"path,label,group\na.png,{first}\nb.png,{second}\n")
        data = data_section(tmp_path, dataset="csv", path=str(table))
        digests.add(listing_digest(list_images(data)))
    assert len(digests) == 3
