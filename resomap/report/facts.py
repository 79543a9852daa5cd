"""What preparing the data found out about the pictures, read back for figures and sentences."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from resomap.system import files

SPLITS = ("train", "val", "test")
SIDES = {"squash": "short", "center_crop": "short", "letterbox": "long"}
"""The side of a picture that is brought to the resolution, by what makes it square."""


@dataclass(frozen=True)
class Facts:
    """The files beside a manifest, whatever they say of any picture already put together.

    `sizes` has a row a `width` and `height` in pixels, with how many `pictures` have them; `bad` has source and reason; `copies` has
    source, split, label, copy_of, copy_split, copy_label (labels by name) of every picture that equals an earlier one; `spectrum` (1 + classes,
    1 + native // 2) is the share of spectral energy at up to so many cycles a picture, over all and of every class (NaN where it was
    not looked at); `contact_sheet` holds images uint8 (k, side, side, 3) and label (k,).
    """

    manifest: dict[str, Any]
    sizes: pd.DataFrame
    bad: pd.DataFrame
    copies: pd.DataFrame
    spectrum: np.ndarray
    contact_sheet: dict[str, np.ndarray]

    @property
    def has_files(self) -> bool:
        """Whether pictures came from outside; the reef is drawn at whatever size is asked for."""
        return bool(self.manifest["dataset"] != "reef")

    @property
    def native_resolution(self) -> int:
        """Side in pixels at which pictures are stored."""
        return int(self.manifest["native_resolution"])

    @property
    def counts(self) -> pd.DataFrame:
        """Pictures of every class (rows, by name) in every split (columns)."""
        splits = self.manifest["splits"]
        return pd.DataFrame(
            {split: splits[split]["per_class"] for split in SPLITS},
            index=self.manifest["classes"],
        )

    @property
    def leaks(self) -> pd.DataFrame:
        """Copies of a picture of another split."""
        return self.copies[self.copies["split"] != self.copies["copy_split"]]

    @property
    def contradictions(self) -> pd.DataFrame:
        """Copies of a picture with another label."""
        return self.copies[self.copies["label"] != self.copies["copy_label"]]

    @property
    def side_name(self) -> str:
        """`short` or `long`: which side decides whether a picture is enlarged."""
        return SIDES[self.manifest["aspect"]]

    @property
    def side_counts(self) -> pd.Series:
        """Pictures by the length of that side in pixels, the shortest first."""
        pick = np.minimum if self.side_name == "short" else np.maximum
        return (
            self.sizes["pictures"]
            .groupby(pick(self.sizes["width"], self.sizes["height"]))
            .sum()
            .sort_index()
        )

    @property
    def ratio_counts(self) -> pd.Series:
        """Pictures by width over height, the tallest first."""
        return (
            self.sizes["pictures"]
            .groupby(self.sizes["width"] / self.sizes["height"])
            .sum()
            .sort_index()
        )

    def share_below(self, side: int) -> float:
        """Share of the pictures whose deciding side is shorter than `side` pixels."""
        sides = self.side_counts
        return float(sides[sides.index < side].sum() / sides.sum())

    def energy_kept(self, resolution: int) -> np.ndarray:
        """Share of spectral energy that a resolution keeps, over all and of every class (1 + classes,): up to half a cycle a pixel."""
        return np.asarray(self.spectrum[:, min(resolution, self.native_resolution) // 2])

    def count_test_copies_of_train(self) -> int:
        """Test pictures that stand in train, too."""
        firsts = (
            self.copies[["copy_of", "copy_split"]]
            .rename(columns={"copy_split": "split"})
            .assign(source=self.copies["copy_of"])
        )
        same = pd.concat(
            [self.copies[["copy_of", "source", "split"]], firsts]
        ).drop_duplicates()
        learnt = same.loc[same["split"] == "train", "copy_of"]
        return int((same["copy_of"].isin(learnt) & (same["split"] == "test")).sum())


def read_facts(folder: Path) -> Facts:
    """Read what preparing the data wrote into `folder`: its manifest, tables, spectrum and contact sheet."""
    manifest = files.read_json(folder / "manifest.json")
    sizes = pd.read_csv(folder / "pictures.csv", usecols=["width", "height"], dtype=np.int32)
    name = dict(enumerate(manifest["classes"]))
    copies = pd.read_csv(folder / "duplicates.csv", keep_default_na=False, dtype=str)
    labels = {
        column: copies[column].astype(int).map(name) for column in ("label", "copy_label")
    }
    return Facts(
        manifest=manifest,
        sizes=sizes.groupby(["width", "height"]).size().reset_index(name="pictures"),
        bad=pd.read_csv(folder / "bad_pictures.csv", keep_default_na=False, dtype=str),
        copies=copies.assign(**labels),
        spectrum=np.load(folder / "spectrum.npy"),
        contact_sheet=files.read_arrays(folder / "contact_sheet.npz"),
    )
