from resomap.system.files import read_json
from tests.image_files import noise, prepare_images, read_table, save, write_classes


def test_copies_are_listed_and_share_a_split(tmp_path):
    write_classes(tmp_path / "images", {"cat": 20, "dog": 20})
    for index in range(10):
        save(tmp_path / "images" / "cat" / f"copy{index}.bmp", noise(0, index))
    save(tmp_path / "images" / "dog" / "liar.png", noise(0, 3))
    store = prepare_images(tmp_path)
    rows = read_table(store / "duplicates.csv")
    assert len(rows) == 11
    originals = {row["source"]: row["copy_of"] for row in rows}
    assert originals["dog/liar.png"] == "cat/0003.png"
    counts = read_json(store / "manifest.json")["duplicates"]
    assert counts == {"copies": 11, "across_splits": 0, "conflicting": 1}


def test_copies_across_given_splits_are_counted(tmp_path):
    for split, keys in (("train", range(8)), ("val", range(8, 12)), ("test", range(6, 10))):
        for label in range(2):
            for key in keys:
                path = tmp_path / "images" / split / f"c{label}" / f"{key}.png"
                save(path, noise(label, key))
    store = prepare_images(tmp_path)
    manifest = read_json(store / "manifest.json")
    assert manifest["duplicates"] == {"copies": 8, "across_splits": 8, "conflicting": 0}
    assert manifest["drawn"] == []
    pairs = {(row["split"], row["copy_split"]) for row in read_table(store / "duplicates.csv")}
    assert pairs == {("test", "train"), ("test", "val")}
