"""Fine-tuning: which parts of a network are trained, from which epoch on, and at which rates."""

from collections.abc import Collection, Mapping

from torch import nn

from resomap.config.training import FineTune
from resomap.models.flow import parents
from resomap.models.layers import find_head, layer_depths


def is_batch_norm(module: nn.Module) -> bool:
    """Return whether a module normalises by statistics of the batch."""
    return isinstance(module, nn.modules.batchnorm._BatchNorm)


def rate_scales(
    model: nn.Module, finetune: FineTune, resolution: int, classifier: Collection[str]
) -> Mapping[nn.Parameter, float]:
    """Return the factor of each parameter's learning rate; 1 for those in `classifier`.

    That is `backbone_lr` for the backbone, and `layer_decay` once more for each layer between a
    parameter and the classifier (Bao et al. 2021). An empty mapping where all factors are 1.
    """
    if not finetune.scales_rates:
        return {}
    decay, depths = finetune.layer_decay or 1.0, layer_depths(model, resolution, classifier)
    last, scales = max(depths.values()), dict[nn.Parameter, float]()
    for name, parameter in model.named_parameters():
        part = 1.0 if name in classifier else finetune.backbone_lr
        scales[parameter] = part * decay ** (last - depths[name])
    return scales


class Freezing:
    """Keeps the backbone of a network, or its BatchNorm statistics, as they are.

    The backbone is all but the tensors that `classifier` names. What is frozen follows from the
    epoch alone, so that a saved state needs nothing of it.
    """

    def __init__(
        self,
        model: nn.Module,
        finetune: FineTune,
        resolution: int,
        classifier: Collection[str],
    ) -> None:
        self._finetune = finetune
        # By name: modules are replaced where several processes share their statistics.
        self._modules, self._parameters = list[str](), list[str]()
        if finetune.freeze == "backbone":
            trained = find_head(model, resolution, classifier)
            around = {parent for name in trained for parent in parents(name)}
            self._modules = [
                name for name, _ in model.named_modules() if name not in trained | around
            ]
            self._parameters = [
                name for name, _ in model.named_parameters() if name not in classifier
            ]

    @property
    def is_lasting(self) -> bool:
        """Return whether the backbone is never trained."""
        return bool(self._parameters) and self._finetune.unfreeze_epoch is None

    def apply(self, model: nn.Module, epoch: int) -> bool:
        """Freeze parts of `model`, which is in training mode, for `epoch` (from 0).

        Return whether other parameters require gradients than before.
        """
        if self._finetune.freeze_bn:
            for module in model.modules():
                if is_batch_norm(module):
                    module.training = False
        last = self._finetune.unfreeze_epoch
        is_frozen = last is None or epoch < last
        for name in self._modules if is_frozen else ():
            model.get_submodule(name).training = False
        has_changed = False
        for name in self._parameters:
            parameter = model.get_parameter(name)
            has_changed |= parameter.requires_grad == is_frozen
            parameter.requires_grad_(not is_frozen)
        return has_changed
