"""Networks without weights, on the meta device: whether they fit a resolution, and from where on."""

from bisect import bisect_left
from functools import partial

from torch import Tensor, nn

from resomap.config.architecture import Architecture
from resomap.errors import ConfigError, ResoMapError
from resomap.models.blocks import Blocks
from resomap.models.builders import builder_key
from resomap.models.flow import Call, trace_shapes
from resomap.models.registry import SizeError, build_on_meta, find_patch_size, is_bound_to_size
from resomap.text import format_count

NUM_CLASSES = 3  # any number: it changes the shape of the logits only
ONE_VALUE = "BatchNorm got one value per channel"
# Most networks take the first; MaxViT of torchvision takes 224 of them alone.
COMMON_SIDES = (64, 128, 224, 256, 384, 512, 1024)


def build_shapes(architecture: Architecture, resolution: int | None = None) -> nn.Module:
    """Return the network on the meta device, where BatchNorm only checks what it is given."""
    shapes = build_on_meta(architecture, NUM_CLASSES, resolution)
    for module in shapes.modules():
        # Three quarters of the time of a pass on the meta device: torch decomposes it there.
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.forward = partial(_check_batch_norm, module)  # type: ignore[method-assign]
    return shapes


def _check_batch_norm(module: nn.Module, features: Tensor) -> Tensor:
    """Return `features`, whose shape BatchNorm keeps; ValueError for one value per channel."""
    if module.training and features.numel() == features.shape[1]:
        raise ValueError(ONE_VALUE)
    return features


class ShapesBySide:
    """The shapes of a network at any resolution, built once where they do not depend on it.

    ConfigError where it cannot be built, SizeError where it cannot be built for one resolution.
    """

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture
        self.is_bound = is_bound_to_size(architecture)
        self._unbound = None if self.is_bound else self._build(None)

    def at(self, resolution: int) -> nn.Module:
        """Return the network for images of `resolution`, which may still refuse them."""
        return self._unbound or self._build(resolution)

    def _build(self, resolution: int | None) -> nn.Module:
        try:
            return build_shapes(self.architecture, resolution)
        except ResoMapError:
            raise
        # What a function of the user raises may be anything.
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
            key = builder_key(self.architecture)
            if resolution is None:
                raise ConfigError(f"{key}: it cannot be built: {reason}") from error
            name = self.architecture.name
            raise SizeError(f"{name} cannot be built for {resolution} px: {reason}") from error


def find_min_resolution(shapes: ShapesBySide) -> int | None:
    """Return the smallest side of images that a network takes; None where it takes none.

    A network that takes a side is assumed to take every larger one, or every larger multiple of
    its patch.
    """
    step = (find_patch_size(shapes.architecture) if shapes.is_bound else None) or 1
    for side in COMMON_SIDES:
        count = -(-side // step)
        if _takes(shapes, step * count):
            below = range(step, step * count, step)
            return step + step * bisect_left(below, True, key=partial(_takes, shapes))
    return None


def _takes(shapes: ShapesBySide, resolution: int) -> bool:
    # A network refuses a size by an error of any type: a shape, an assertion, a missing argument.
    try:
        trace_shapes(shapes.at(resolution), resolution, 2, training=True)
    except Exception:
        return False
    return True


def check_logits(architecture: Architecture, output: object, batch_size: int) -> None:
    """Raise NoClassifier where `output` is not the logits of a batch for NUM_CLASSES."""
    if isinstance(output, Tensor):
        if output.shape == (batch_size, NUM_CLASSES):
            return
        found = f"shape {tuple(output.shape)}"
    else:
        found = type(output).__name__
    raise NoClassifier(
        f"{builder_key(architecture)}: expected logits ({batch_size}, {NUM_CLASSES}) for "
        f"{format_count(batch_size, 'image')} of {NUM_CLASSES} classes, found {found}"
    )


class NoClassifier(ConfigError):
    """A network that returns something else than logits."""


def first_single_cell(blocks: Blocks, calls: list[Call]) -> str | None:
    """Return the first block before the last whose map is 1 x 1; None where there is none."""
    sides = {call.name: call.side for call in calls}
    return next((name for name in blocks.names[:-1] if sides.get(name) == 1), None)
