"""Facts about a prepared dataset, read back for figures and sentences."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from resomap.workflow.checked_files import map_array, read_arrays, read_json
from resomap.workflow.checked_tables import read_table

SPLITS = ("train", "val", "test")
# The side of an image that is resized to the resolution, by how images become square.
RESIZED_SIDE = {"squash": "short", "center_crop": "short", "letterbox": "long"}


@dataclass(frozen=True)
class Facts:
    """The files beside a manifest, without any array of images but the contact sheet.

    `folder` holds them.
    `sizes` has `width`, `height` in px and the number of `images` of that size. `bad` has
    source and reason. `copies` has source, split, label, copy_of, copy_split, copy_label
    (labels by name) of every image that equals an earlier one. `spectrum` (1 + classes,
    1 + native // 2) is the share of spectral energy at up to that many cycles per image, over
    all images and for every class (NaN where no image was analysed). `contact_sheet` holds
    images uint8 (k, side, side, 3) and label (k,).
    """

    folder: Path
    manifest: dict[str, Any]
    sizes: pd.DataFrame
    bad: pd.DataFrame
    copies: pd.DataFrame
    spectrum: np.ndarray
    contact_sheet: dict[str, np.ndarray]

    @property
    def has_files(self) -> bool:
        """Return whether images came from files; the reef is drawn at its native resolution."""
        return bool(self.manifest["dataset"] != "reef")

    @property
    def native_resolution(self) -> int:
        """Side in px at which images are stored."""
        return int(self.manifest["native_resolution"])

    @property
    def counts(self) -> pd.DataFrame:
        """Images of every class (rows, by name) in every split (columns)."""
        splits = self.manifest["splits"]
        counts = {split: splits[split]["per_class"] for split in SPLITS}
        return pd.DataFrame(counts, index=self.manifest["classes"])

    @property
    def leaks(self) -> pd.DataFrame:
        """Copies of an image of another split."""
        return self.copies[self.copies["split"] != self.copies["copy_split"]]

    @property
    def contradictions(self) -> pd.DataFrame:
        """Copies of an image with another label."""
        return self.copies[self.copies["label"] != self.copies["copy_label"]]

    @property
    def side_name(self) -> str:
        """Side that decides whether an image is upscaled: `short` or `long`."""
        return RESIZED_SIDE[self.manifest["aspect"]]

    @property
    def side_counts(self) -> pd.Series:
        """Number of images by the length of that side in px, ascending."""
        pick = np.minimum if self.side_name == "short" else np.maximum
        return self._count_by(pick(self.sizes["width"], self.sizes["height"]))

    @property
    def ratio_counts(self) -> pd.Series:
        """Number of images by width over height, ascending."""
        return self._count_by(self.sizes["width"] / self.sizes["height"])

    def _count_by(self, keys: pd.Series) -> pd.Series:
        return self.sizes["images"].groupby(keys).sum().sort_index()

    def share_below(self, side: int) -> float:
        """Return the share of the images whose deciding side is shorter than `side` px."""
        counts = self.side_counts
        return float(counts[counts.index < side].sum() / counts.sum())

    def energy_kept(self, resolution: int) -> np.ndarray:
        """Return the share of spectral energy that a resolution keeps: (1 + classes,).

        A resolution keeps up to half a cycle per pixel; the first value is over all images.
        """
        return np.asarray(self.spectrum[:, min(resolution, self.native_resolution) // 2])

    def test_sources(self, indices: Sequence[int]) -> list[str]:
        """Return the files or records of test images, by their index."""
        columns = ["split", "index", "source"]
        images = read_table(self.folder / "pictures.csv", usecols=columns)
        sources = images[images["split"] == "test"].set_index("index")["source"]
        return [str(sources[index]) for index in indices]

    def count_test_copies_of_train(self) -> int:
        """Return the number of test images that also are in train."""
        # Copies point to the first of a set of equal images, which may be in any split. So each
        # set is listed with its first image, and sets with a training image are looked up.
        members = self.copies[["copy_of", "source", "split"]]
        firsts = self.copies[["copy_of", "copy_split"]].rename(columns={"copy_split": "split"})
        firsts = firsts.assign(source=firsts["copy_of"])
        members = pd.concat([members, firsts]).drop_duplicates()
        in_train = members.loc[members["split"] == "train", "copy_of"]
        return int((members["copy_of"].isin(in_train) & (members["split"] == "test")).sum())


def read_facts(folder: Path) -> Facts:
    """Read the manifest, tables, spectrum and contact sheet of the dataset in `folder`."""
    manifest = read_json(folder / "manifest.json")
    # Two columns only: a dataset may have millions of rows.
    sizes = read_table(folder / "pictures.csv", usecols=["width", "height"], dtype=np.int32)
    # File and class names may look like numbers or missing values; they stay text.
    text: dict[str, Any] = {"na_values": [], "dtype": str}
    copies = read_table(folder / "duplicates.csv", **text)
    class_names = dict(enumerate(manifest["classes"]))
    for column in ("label", "copy_label"):
        copies[column] = copies[column].astype(int).map(class_names)
    return Facts(
        folder=folder,
        manifest=manifest,
        sizes=sizes.groupby(["width", "height"]).size().reset_index(name="images"),
        bad=read_table(folder / "bad_pictures.csv", **text),
        copies=copies,
        spectrum=np.array(map_array(folder / "spectrum.npy")),
        contact_sheet=read_arrays(folder / "contact_sheet.npz"),
    )
