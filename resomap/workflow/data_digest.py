"""What is known of a sweep's images before any is opened: the digest of the data, and their number."""

import hashlib
import json
import os
from typing import NamedTuple

from resomap.config.data import Data, PrepareOptions
from resomap.config.schema import Config
from resomap.data.sources.listing import Listing
from resomap.data.sources.user_files import list_images, listing_digest
from resomap.errors import ConfigError
from resomap.system.workflow_files import PACKAGE
from resomap.text import format_count
from resomap.workflow.code_digest import digest_code

USER_FILES_VARIABLE = "RESOMAP_FILES"
MAX_SHARED = 8
DATA_ENTRY_POINTS = (
    PACKAGE / "entry" / "prepare_data.py",
    PACKAGE / "entry" / "resize_data.py",
)


def digest_data(config: Config) -> str:
    """Return the digest of the data: its configuration, its files, and the code that prepares it."""
    settings = data_settings(config).model_dump_json()
    # Written to identity.txt, an input of trainings: Snakemake ignores the params of a job
    # downstream of one that runs, so new data alone would train nothing (decision 0003).
    identity = f"{settings} {digest_user_files(config)} {digest_data_code(config)}"
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def digest_user_files(config: Config) -> str:
    """Return the digest of the user's files; blank where the configuration determines the images."""
    files = read_user_files(config)
    return files.digest if files else ""


def digest_data_code(_: Config) -> str:
    """Return the digest of the code that prepares and resizes images."""
    return digest_code(*DATA_ENTRY_POINTS)


def data_settings(config: Config) -> Data:
    """Return the data section without `download`, which changes no image."""
    torchvision = config.data.torchvision
    if torchvision is None:
        return config.data
    return config.data.model_copy(
        update={"torchvision": torchvision.model_copy(update={"download": False})}
    )


def prepare_options_json(config: Config) -> str:
    """Return how images are brought in, as JSON."""
    # A string resource and no field of the job: a wider sweep must not prepare images again.
    return PrepareOptions(
        download=config.data.download, resolutions=tuple(sorted(config.sweep.resolutions))
    ).model_dump_json()


class UserFiles(NamedTuple):
    """The user's image files: their digest, how many there are, and how many are for training."""

    digest: str
    num_images: int
    num_train: int


def read_user_files(config: Config) -> UserFiles | None:
    """Return the files that the data section names; None where it names none.

    ConfigError where they are too few to train on.
    """
    key = config.data.model_dump_json()
    # A million files take seconds to list, and each job of Snakemake reads the Snakefile again:
    # an environment variable shares the answer with all of them.
    shared = json.loads(os.environ.get(USER_FILES_VARIABLE, "{}"))
    if key not in shared:
        # Of several, since a workflow may use this one as a module more than once.
        kept = list(shared.items())[1 - MAX_SHARED :]
        shared = {**dict(kept), key: _list_user_files(config)}
        os.environ[USER_FILES_VARIABLE] = json.dumps(shared)
    return UserFiles(*shared[key]) if shared[key] else None


def _list_user_files(config: Config) -> UserFiles | None:
    listing = list_images(config.data)
    if listing is None:
        return None
    return UserFiles(
        listing_digest(listing), len(listing.entries), _count_train(config, listing)
    )


def _count_train(config: Config, listing: Listing) -> int:
    """Return about how many images will be for training: splits are assigned when data is prepared."""
    given_splits = {entry.split for entry in listing.entries}
    candidates = sum(entry.split in (None, "train") for entry in listing.entries)
    # Only splits that the source does not give are taken from its images.
    held_out = sum(
        getattr(config.data.splits, split)
        for split in ("val", "test")
        if split not in given_splits
    )
    num_train = int(candidates * (1 - held_out))
    batch_size = config.training.batch_size
    if num_train < batch_size:
        raise ConfigError(
            f"config/training.yaml: training.batch_size: {batch_size} is more than the "
            f"{format_count(num_train, 'training image')} of {candidates}: take a smaller batch, or add images"
        )
    return num_train


def count_train_images(config: Config) -> int:
    """Return how many images will be for training; 0 where that is not known yet."""
    if config.data.reef:
        return config.data.reef.train
    files = read_user_files(config)
    return files.num_train if files else 0
