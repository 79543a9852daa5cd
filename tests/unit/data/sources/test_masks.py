import numpy as np
import pytest
from PIL import Image

from resomap.data.sources.decode import BadImageError, FileReader
from resomap.data.sources.listing import ImageFile
from resomap.data.sources.user_files import list_images
from resomap.errors import ConfigError
from tests.image_files import data_section, noise, save, write_classes

OBJECT = np.zeros((16, 20), bool)
OBJECT[4:12, 5:15] = True
SHARE = OBJECT.mean()


def list_masked(folder, masks="masks", path="images"):
    data = data_section(
        folder, dataset="folder", path=str(folder / path), masks=str(folder / masks)
    )
    return list_images(data)


def read_mask(folder, mask, name="mask.png", **options):
    image = save(folder / "image.png", noise(1))
    path = save(folder / name, mask, **options)
    return np.asarray(FileReader()(ImageFile(str(image), str(path))).mask)


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "png.png"])
def test_mask_has_the_name_of_its_image(tmp_path, ending):
    write_classes(tmp_path / "images", {"cat": 2, "dog": 1})
    name = "0001.png" if ending == "png.png" else "0001"
    mask = save(tmp_path / "masks" / "cat" / f"{name}.{ending.split('.')[0]}", noise(1))
    save(tmp_path / "masks" / "cat" / "0009.png", noise(1))
    listing = list_masked(tmp_path)
    assert [entry.location.mask for entry in listing.entries] == [None, str(mask), None]
    assert listing.notes.unmatched_masks == 1


def test_masks_inside_path_are_no_class(tmp_path):
    write_classes(tmp_path / "images", {"cat": 2, "dog": 2, "masks/cat": 2, "masks/dog": 2})
    listing = list_masked(tmp_path, "images/masks")
    assert listing.classes == ("cat", "dog")
    assert all(entry.location.mask for entry in listing.entries)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "cat/0000_mask.png",
            r"of cat/0000.png would be cat/0000.png, and there is cat/0000_mask",
        ),
        ("cat/mask-0000.png", r"there is cat/mask-0000.png"),
        ("train/cat/0000.png", r"there is train/cat/0000.png"),
        ("cat/notes.txt", "holds no image file"),
    ],
)
def test_masks_that_match_no_image_are_refused(tmp_path, name, message):
    write_classes(tmp_path / "images", {"cat": 2, "dog": 1})
    mask = save(tmp_path / "mask.png", noise(1))
    (tmp_path / "masks" / name).parent.mkdir(parents=True)
    mask.rename(tmp_path / "masks" / name)
    with pytest.raises(ConfigError, match=rf"data\.folder\.masks: .*{message}"):
        list_masked(tmp_path)


@pytest.mark.parametrize("masks", ["images", "."])
def test_folder_of_images_as_masks_is_refused(tmp_path, masks):
    write_classes(tmp_path / "images", {"cat": 2, "dog": 1})
    with pytest.raises(ConfigError, match="holds the images"):
        list_masked(tmp_path, masks)


def rgba(colour, alpha):
    layers = np.zeros((16, 20, 4), np.uint8)
    layers[..., :3], layers[..., 3] = colour, alpha
    return Image.fromarray(layers)


def palette(indices, colours):
    image = Image.fromarray(indices.astype(np.uint8)).convert("P")
    image.putdata(indices.astype(np.uint8).ravel().tolist())
    image.putpalette(colours)
    return image


BLACK, WHITE, RED, BLUE = [0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 0, 200]


@pytest.mark.parametrize(
    ("mask", "name"),
    [
        (Image.fromarray(OBJECT), "m.png"),
        (OBJECT.astype(np.uint8), "m.png"),
        (OBJECT.astype(np.uint8) * 255, "m.png"),
        (OBJECT.astype(np.uint8) * 255, "m.jpg"),
        (OBJECT.astype(np.uint8)[..., None] * np.array(RED, np.uint8), "m.png"),
        (OBJECT.astype(np.uint16), "m.png"),
        (OBJECT.astype(np.uint16) * 40_000, "m.tif"),
        (OBJECT.astype(np.int32) * 70_000, "m.tif"),
        (OBJECT.astype(np.float32) * 0.5, "m.tif"),
        (np.where(OBJECT, 1, np.nan).astype(np.float32), "m.tif"),
        (palette(OBJECT, [*BLACK, *RED]), "m.png"),
        (palette(~OBJECT, [*WHITE, *BLACK]), "m.png"),
        (palette(OBJECT, [*BLUE, *RED]), "m.png"),
        (rgba(WHITE, OBJECT * 255), "m.png"),
        (rgba(BLACK, OBJECT * 255), "m.png"),
        (rgba(np.where(OBJECT, 255, 0)[..., None], 255), "m.png"),
        (rgba(WHITE, OBJECT * 255).convert("LA"), "m.png"),
    ],
)
def test_object_is_found_in_every_kind_of_mask(tmp_path, mask, name):
    found = read_mask(tmp_path, mask, name)
    assert set(np.unique(found)) == {0, 255}
    assert (found == 255).mean() == pytest.approx(SHARE, abs=0.02)
    assert found[8, 10] == 255
    assert found[0, 0] == 0


def test_alpha_channel_is_mask_of_its_own_image(tmp_path):
    for label in ("cat", "dog"):
        save(tmp_path / "images" / label / "a.png", rgba(RED, OBJECT * 255))
        save(tmp_path / "images" / label / "b.png", noise(1))
    data = data_section(
        tmp_path, dataset="folder", path=str(tmp_path / "images"), masks="alpha"
    )
    reader = FileReader()
    first, second = (reader(entry.location) for entry in list_images(data).entries[:2])
    assert (np.asarray(first.mask) == OBJECT * 255).all()
    assert second.mask is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"not a mask", "not an image"), (None, "missing"), (b"", "0 bytes")],
)
def test_bad_mask_is_named_with_its_file(tmp_path, content, reason):
    image, mask = save(tmp_path / "a.png", noise(1)), tmp_path / "masks" / "a.png"
    mask.parent.mkdir()
    if content is not None:
        mask.write_bytes(content)
    with pytest.raises(BadImageError, match=rf"its mask {mask}: {reason}"):
        FileReader()(ImageFile(str(image), str(mask)))


def test_mask_that_lost_its_end_is_named(tmp_path):
    image = save(tmp_path / "a.png", noise(1, width=64, height=64))
    mask = save(tmp_path / "m.png", noise(2, width=64, height=64))
    content = mask.read_bytes()
    half = len(content) // 2
    mask.write_bytes(content[:half] + bytes(len(content) - half))
    with pytest.raises(BadImageError, match=rf"its mask {mask}: .*(damaged|lost|decoded)"):
        FileReader()(ImageFile(str(image), str(mask)))
