"""Image files in one folder per class, with or without folders of splits.

This is the layout of torchvision's ImageFolder.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from resomap.config.data import ALPHA_MASKS, Folder
from resomap.data.sources.groups import match_groups
from resomap.data.sources.layout import ClassFolder, read_layout
from resomap.data.sources.listing import ImageEntry, ImageFile, Listing, ListingNotes
from resomap.data.sources.masks import MaskIndex, open_masks
from resomap.data.sources.tree import ImageFolder, scan_folder
from resomap.errors import ConfigError

PATH_KEY = "config/data.yaml: data.folder.path"


def list_folder(folder: Folder) -> Listing:
    """Return every image below a class folder, at any depth, in the order of the names.

    Links are followed. Images are not opened: a damaged one is found when it is decoded.
    """
    root = Path(folder.path or "").expanduser()
    if not root.is_dir():
        raise ConfigError(f"{PATH_KEY}: there is no folder {root}")
    masks = open_masks(folder, root)
    tree, ignored = scan_folder(root, None if masks is None else masks.folder)
    layout = read_layout(tree, f"{PATH_KEY}: {root}")
    classes = tuple(sorted({each.class_name for each in layout.classes}))
    names = [name for each in layout.classes for name in each.folder.walk()]
    groups: Sequence[str | None] = [None] * len(names)
    if folder.group is not None:
        groups = match_groups(folder.group, names)
    entries = list(_build_entries(root, layout.classes, classes, groups))
    entries = [_add_mask(entry, folder, masks) for entry in entries]
    if masks is not None:
        masks.check_matches(names)
    notes = ListingNotes(
        layout.description,
        dict(ignored.files),
        sorted([*layout.ignored, *ignored.folders]),
        unmatched_masks=0 if masks is None else masks.num_unmatched,
    )
    unusable = [*_find_outside(tree, layout.classes), *tree.walk_unreadable()]
    return Listing(classes, entries, unusable, folder.masks is not None, notes)


def _build_entries(
    root: Path,
    class_folders: Sequence[ClassFolder],
    classes: Sequence[str],
    groups: Sequence[str | None],
) -> Iterator[ImageEntry]:
    position, labels = 0, {name: label for label, name in enumerate(classes)}
    for each in class_folders:
        for name in each.folder.walk():
            # Joined as text: a Path takes microseconds, times a million files.
            file = ImageFile(f"{root}/{name}")
            label = labels[each.class_name]
            yield ImageEntry(name, label, each.split, groups[position], file)
            position += 1


def _add_mask(entry: ImageEntry, folder: Folder, masks: MaskIndex | None) -> ImageEntry:
    mask = masks.find(entry.name) if masks else None
    if folder.masks == ALPHA_MASKS:
        mask = ALPHA_MASKS
    return entry._replace(location=entry.location._replace(mask=mask))


def _find_outside(
    tree: ImageFolder, class_folders: Sequence[ClassFolder]
) -> Iterator[tuple[str, str]]:
    """Yield (name, reason) of the images that are in no class folder."""
    above = {each.folder.name.rpartition("/")[0] for each in class_folders}
    for folder in (tree, *tree.folders):
        if folder.name in above or folder is tree:
            yield from ((name, "is in no class folder") for name in folder.images)
