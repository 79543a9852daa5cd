"""Names of splits as people write them: `Train`, `valid`, `dev`, `test_set`, `train2017`."""

import re

SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "trn", "trainval"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate"), "val"),
    **dict.fromkeys(("dev", "devel", "development"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "holdout"), "test"),
}
FILLER_WORDS = {
    *("set", "sets", "data", "dataset", "split", "splits", "subset", "part", "folder", "dir"),
    *("image", "images", "img", "imgs", "pic", "pics", "picture", "pictures", "photo"),
    *("photos", "file", "files", "sample", "samples", "seg", "jpg", "jpeg", "png", "crops"),
}
"""Words beside the split in a folder name that do not change its meaning."""


def parse_split(name: str) -> str | None:
    """Return train, val or test where `name` means nothing else; None otherwise."""
    words = [word for word in _split_words(name) if word not in FILLER_WORDS]
    if len(words) != 1:
        return None
    return _read_word(words[0])


def mentioned_split(name: str) -> str | None:
    """Return the first split that a word of `name` stands for, whatever the other words."""
    splits = [_read_word(word) for word in _split_words(name)]
    return next((split for split in splits if split), None)


def _split_words(name: str) -> list[str]:
    """Return the words of a name in lower case, without numbers: `TrainSet_2` is train, set."""
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    return re.findall(r"[^\W\d_]+", spaced.lower())


def _read_word(word: str) -> str | None:
    """Return the split of one word, also of `trainset` and `testimages`."""
    if word in SPLIT_WORDS:
        return SPLIT_WORDS[word]
    for filler in FILLER_WORDS:
        stem = word.removesuffix(filler)
        if stem != word and stem in SPLIT_WORDS:
            return SPLIT_WORDS[stem]
    return None
