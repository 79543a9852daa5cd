"""How folders are read: one per class, with split folders above or below them, or not at all.

A layout that can be read in two ways is refused, and the message names what was understood.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from resomap.data.sources.split_names import mentioned_split, parse_split
from resomap.data.sources.tree import ImageFolder
from resomap.errors import ConfigError
from resomap.text import format_count

MAX_NAMED = 8
SPLIT_ORDER = ("train", "val", "test", None)
EXPECTED = "Expected is CLASS/FILE, or train/CLASS/FILE, val/CLASS/FILE and test/CLASS/FILE"
NO_FOLDERS = (
    "One per class is needed (cats/, dogs/). Images without folders are listed in a CSV file "
    "(data: {dataset: csv, path: FILE})"
)
FOLD = re.compile(r"(k?folds?|cv)[-_ ]?\d+|\d+[-_ ]?(st|nd|rd|th)?[-_ ]?folds?", re.I)
NUMBERED = re.compile(r"(part|partition|split|batch|chunk|subset|shard|run|set)[-_ ]?\d+", re.I)
MASK_FOLDERS = {
    *("masks", "segmentations", "annotations", "groundtruth", "groundtruths", "gt"),
    *("trimaps", "maskimages", "imagemasks", "segmentationmasks", "objectmasks"),
}
MIRRORING_FOLDERS = {"mask", "segmentation", "annotation", "seg", "label", "labels", "trimap"}
"""Names that a class may have too: masks only where the folders inside are those of classes."""
MASK_STEM = re.compile(
    r"[-_ .](mask|seg|segmentation|gt|ground_?truth|label|annotation|trimap)s?([-_ ]?\d+)?$",
    re.I,
)


class ClassFolder(NamedTuple):
    """A folder with images of one class, and the split that a folder above or below names."""

    split: str | None
    class_name: str
    folder: ImageFolder


class Layout(NamedTuple):
    """The class folders of a dataset, a sentence on how they were found, and the rest."""

    classes: list[ClassFolder]
    description: str
    ignored: list[str]


def read_layout(root: ImageFolder, where: str) -> Layout:
    """Return the class folders below `root`; ConfigError where the layout is ambiguous.

    `where` names the key and the path.
    """
    folders, ignored = _separate_folders(root)
    if not folders:
        _refuse(where, "holds no folders with images", NO_FOLDERS)
    splits = _splits_of(folders)
    if any(folder.folders for folder in splits):
        classes, description = _read_splits_above(folders, ignored, where)
    elif _hold_only_splits(folders, where):
        _check_folds(folders, where)
        classes, description = _read_splits_below(folders, where)
    else:
        _check_folds(folders, where)
        _check_class_folders(folders, where)
        classes = [ClassFolder(None, folder.label, folder) for folder in folders]
        description = "one folder per class"
    _check_masks([each.folder for each in classes], where)
    return Layout(classes, description + _describe_inner(classes), ignored)


def _separate_folders(root: ImageFolder) -> tuple[list[ImageFolder], list[str]]:
    """Return the folders that may hold a class, and the names of those with other files only.

    An empty folder counts as a class: its images may have been forgotten.
    """
    kept, ignored = [], []
    for folder in root.folders:
        if folder.num_images or not folder.num_files:
            kept.append(folder)
        else:
            ignored.append(folder.label)
    return kept, ignored


def _splits_of(folders: Sequence[ImageFolder]) -> list[ImageFolder]:
    """Return the folders named like a split: those of train first, then val, then test."""
    splits = [folder for folder in folders if parse_split(folder.label)]
    return sorted(splits, key=lambda folder: SPLIT_ORDER.index(parse_split(folder.label)))


def _read_splits_above(
    folders: Sequence[ImageFolder], ignored: list[str], where: str
) -> tuple[list[ClassFolder], str]:
    """Read train/CLASS and the like."""
    splits = _splits_of(folders)
    others = [folder for folder in folders if folder not in splits]
    ignored += [folder.label for folder in others if not folder.num_images]
    beside = [folder for folder in others if folder.num_images]
    if beside:
        _refuse(
            where,
            f"{_names(splits)} {_look(splits)} like splits, and {_names(beside)} beside them "
            "like classes",
            f"Move {_names(beside)} out, or the classes into the splits",
        )
    flat = [folder for folder in splits if not _separate_folders(folder)[0]]
    if flat:
        _refuse_flat(flat, where)
    _check_split_names(splits, where)
    classes = []
    for split in splits:
        inner, skipped = _separate_folders(split)
        ignored += [f"{split.label}/{name}" for name in skipped]
        if all(parse_split(folder.label) for folder in inner):
            names = _names(inner)
            _refuse(where, f"the split {split.label} holds {names}", "Move its folders up")
        classes += [ClassFolder(parse_split(split.label), each.label, each) for each in inner]
    meanings = [f"{each.label} ({parse_split(each.label)})" for each in splits]
    return classes, f"split folders {', '.join(meanings)} with one folder per class inside"


def _hold_only_splits(folders: Sequence[ImageFolder], where: str) -> bool:
    """Return whether every folder holds split folders and nothing else."""
    with_splits = []
    for folder in folders:
        inner = [parse_split(each.label) for each in folder.folders if each.num_images]
        if len(set(inner) - {None}) >= 2 and None not in inner and not folder.images:
            with_splits.append(folder)
        elif len(set(inner) - {None}) >= 2:
            inside = _names(_splits_of(folder.folders))
            _refuse(
                where,
                f"{folder.label} holds the splits {inside} and other images beside them",
                EXPECTED,
            )
    if with_splits and len(with_splits) < sum(1 for each in folders if each.num_images):
        rest = [each for each in folders if each not in with_splits]
        inside = _names(_splits_of(with_splits[0].folders))
        _refuse(
            where,
            f"only {_names(with_splits)} of the classes contains {inside}, not {_names(rest)}",
            EXPECTED,
        )
    return bool(with_splits)


def _read_splits_below(
    folders: Sequence[ImageFolder], where: str
) -> tuple[list[ClassFolder], str]:
    """Read CLASS/train and the like."""
    classes, found = [], Counter[str]()
    for folder in folders:
        splits = [each for each in folder.folders if each.num_images]
        if splits:
            _check_split_names(splits, where)
        if splits and not any(each.images for each in splits):
            _refuse(
                where,
                f"{folder.label} holds the splits {_names(_splits_of(splits))} with folders "
                "inside",
                f"If these are the classes, set the path to {folder.label}",
            )
        for each in _splits_of(splits):
            classes.append(ClassFolder(parse_split(each.label), folder.label, each))
            found[each.label] += 1
    return classes, f"one folder per class with the split folders {', '.join(found)} inside"


def _check_split_names(splits: Sequence[ImageFolder], where: str) -> None:
    """Refuse two names of one split, and splits without train."""
    by_split: dict[str | None, list[ImageFolder]] = {}
    for folder in splits:
        by_split.setdefault(parse_split(folder.label), []).append(folder)
    for split, same in by_split.items():
        if len(same) > 1:
            _refuse(where, f"{_names(same)} all mean the split {split}", "Merge or rename them")
    if "train" not in by_split:
        _refuse(
            where,
            f"{_names(splits)} {_look(splits)} like splits, and there is none for training",
            "Name one train. Missing val and test are split from it (data.splits)",
        )


def _check_class_folders(folders: Sequence[ImageFolder], where: str) -> None:
    """Refuse folders that are splits rather than classes."""
    flat = _splits_of(folders)
    if len({parse_split(folder.label) for folder in flat}) >= 2:
        _refuse_flat(flat, where)
    mentioned = {mentioned_split(folder.label) for folder in folders}
    if None not in mentioned and len(mentioned) >= 2:
        _refuse(where, f"{_names(folders)} look like splits and like classes", EXPECTED)


def _check_folds(folders: Sequence[ImageFolder], where: str) -> None:
    """Refuse folds of a cross-validation, and numbered parts with equal folders inside."""
    inner = [sorted(each.label for each in folder.folders) for folder in folders]
    alike = len(inner[0]) >= 2 and all(names == inner[0] for names in inner)
    is_fold = [bool(FOLD.fullmatch(folder.label)) for folder in folders]
    is_numbered = [bool(NUMBERED.fullmatch(folder.label)) for folder in folders]
    if all(is_fold) or (len(folders) > 1 and alike and all(is_numbered)):
        _refuse(
            where,
            f"{_names(folders)} look like folds of a cross-validation, not like classes",
            f"Use one fold as val or test, or list the images in a CSV file. {EXPECTED}",
        )


def _refuse_flat(flat: Sequence[ImageFolder], where: str) -> NoReturn:
    holds = "holds" if len(flat) == 1 else "hold"
    _refuse(
        where,
        f"{_names(flat)} {_look(flat)} like {'a split' if len(flat) == 1 else 'splits'} and "
        f"{holds} images but no class folders",
        f"{EXPECTED}. Without class folders, list the images in a CSV file",
    )


def _check_masks(folders: Sequence[ImageFolder], where: str) -> None:
    """Refuse masks that would be read as a class, or as images of one."""
    labels = {folder.label for folder in folders}
    for folder in folders:
        plain = re.sub(r"[\W_]", "", folder.label.lower())
        inner = {each.label for each in folder.folders}
        mirrors = plain in MIRRORING_FOLDERS and inner and inner < labels
        if plain in MASK_FOLDERS or mirrors:
            _refuse(
                where,
                f"{folder.name} looks like a folder of masks, not like a class",
                "Name it in data.folder.masks, or move it out",
            )
        _check_mask_files(folder, where)


def _check_mask_files(folder: ImageFolder, where: str) -> None:
    """Refuse masks that lie beside their images, such as a_mask.png beside a.png."""
    names = {Path(name).stem: name for name in folder.images}
    pairs = []
    for stem, name in names.items():
        image = MASK_STEM.sub("", stem)
        if image != stem and image in names:
            pairs.append((name, names[image]))
    if pairs:
        mask, image = pairs[0]
        such = format_count(len(pairs), "such file")
        _refuse(
            where,
            f"{mask} looks like the mask of {image} ({such} in {folder.name})",
            f"Move masks to a folder of their own as {folder.name}/{Path(image).stem}.png and "
            "name it in data.folder.masks",
        )
    for inner in folder.folders:
        _check_mask_files(inner, where)


def _describe_inner(classes: Sequence[ClassFolder]) -> str:
    """Return which folders inside the class folders do not count as classes."""
    names = Counter(inner.label for each in classes for inner in each.folder.folders)
    if not names:
        return ""
    return f"; folders inside a class do not count: {_join(list(names))}"


def _names(folders: Sequence[ImageFolder]) -> str:
    return _join([folder.label for folder in folders])


def _join(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    listed = list(names[:MAX_NAMED])
    if len(names) > MAX_NAMED:
        listed.append(f"{len(names) - MAX_NAMED} more")
    if len(listed) == 1:
        return listed[0]
    return f"{', '.join(listed[:-1])} and {listed[-1]}"


def _look(folders: Sequence[ImageFolder]) -> str:
    return "looks" if len(folders) == 1 else "look"


def _refuse(where: str, found: str, advice: str) -> NoReturn:
    raise ConfigError(f"{where}: {found}.\n{advice}")
