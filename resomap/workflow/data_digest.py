"""What the pictures of a sweep are, as far as it is known without opening one: their configuration, their files, and the code that prepares them."""

import hashlib
import json
import os
from typing import NamedTuple

from resomap.config.data import Data, Provision
from resomap.config.schema import Config
from resomap.data.sources.listing import Listing
from resomap.data.sources.user_files import list_images, listing_digest
from resomap.errors import ConfigError
from resomap.workflow.code_digest import PACKAGE, code_digest

FILES = "RESOMAP_FILES"
LARGE = 20_000
MAINS = tuple(PACKAGE / "entry" / f"{main}.py" for main in ("prepare_data", "resize_data"))
EVERY_CORE = 1024  # capped by Snakemake at the cores there are


def data_identity(config: Config) -> str:
    """A digest that names the data: its configuration, its files, and the code that prepares and resizes it."""
    told = f"{named_data(config).model_dump_json()} {digest_of_files(config)} {code_of_data(config)}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def digest_of_files(config: Config) -> str:
    """Names the user's files; blank where the configuration names all there is."""
    files = files_of(config)
    return files.digest if files else ""


def named_data(config: Config) -> Data:
    """The data section without what changes no picture: whether a set may be fetched."""
    torchvision = config.data.torchvision
    if torchvision is None:
        return config.data
    return config.data.model_copy(
        update={"torchvision": torchvision.model_copy(update={"download": False})}
    )


def provision(config: Config) -> str:
    """How pictures are brought in, as JSON."""
    return Provision(
        download=config.data.download, resolutions=tuple(sorted(config.sweep.resolutions))
    ).model_dump_json()


class Files(NamedTuple):
    """The user's files as far as a plan needs them: a digest that names them, how many there are, and how many may be trained on."""

    digest: str
    pictures: int
    trained: int


def files_of(config: Config) -> Files | None:
    """The files that the data section names; None where it names none. The processes of one invocation share the answer.

    A million files take seconds to list. ConfigError where they are too few to train on.
    """
    told = config.data.model_dump_json()
    shared = json.loads(os.environ.get(FILES, "{}"))
    if shared.get("data") != told:
        listing = list_images(config.data)
        found = (
            Files(listing_digest(listing), len(listing.entries), _trained(config, listing))
            if listing
            else None
        )
        shared = {"data": told, "files": found}
        os.environ[FILES] = json.dumps(shared)
    return Files(*shared["files"]) if shared["files"] else None


def _trained(config: Config, listing: Listing) -> int:
    """About how many pictures will be for training."""
    given = {entry.split for entry in listing.entries}
    pool = sum(entry.split in (None, "train") for entry in listing.entries)
    trained = int(
        pool
        * (
            1
            - sum(
                getattr(config.data.splits, split)
                for split in ("val", "test")
                if split not in given
            )
        )
    )
    if trained < config.training.batch_size:
        raise ConfigError(
            f"config/training.yaml: training.batch_size: {config.training.batch_size} are more than the {trained} training pictures "
            f"of {pool}: take a smaller batch, or add pictures"
        )
    return trained


def resize_threads(config: Config) -> int:
    """Processes of one resize: all cores for a large set; a small one is done sooner beside the others."""
    reef, files = config.data.reef, files_of(config)
    pictures = (
        sum((reef.train, reef.val, reef.test)) if reef else files.pictures if files else LARGE
    )
    return 1 if pictures < LARGE else EVERY_CORE


def code_of_data(_: Config) -> str:
    """A digest of the code that prepares and resizes."""
    return code_digest(*MAINS)
