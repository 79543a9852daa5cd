import pytest
import torch
from torch import nn

from resomap.models.classifier import find_classifier
from resomap.models.registry import build_model, load_architectures
from resomap.training.finetune import Freezing, rate_scales
from resomap.training.optimizers import build_optimizer
from resomap.training.schedules import build_schedule
from tests.recipes import finetune, optimizer, schedule
from tests.tiny_training import VAL_LOSS, build_network, build_noise_trainer

SIDE = 8
HEAD = ("5.weight", "5.bias")


def frozen(model: nn.Module, **changes: object) -> Freezing:
    return Freezing(model, finetune(**{"freeze": "backbone", **changes}), SIDE, HEAD)


def state_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def changed(before: dict[str, torch.Tensor], model: nn.Module) -> set[str]:
    after = model.state_dict()
    return {name for name in before if not torch.equal(before[name], after[name])}


CLASSIFIER = {"5.weight", "5.bias"}
STATISTICS = {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
WEIGHTS = {"0.weight", "0.bias", "1.weight", "1.bias"}


def train(model: nn.Module, freezing: Freezing, epochs: int = 1) -> list[set[str]]:
    """Return which tensors each of `epochs` changes."""
    trainer, changes = build_noise_trainer(model, freezing=freezing), []
    for epoch in range(epochs):
        before = state_of(model)
        trainer.train_epoch(epoch)
        changes.append(changed(before, model))
    return changes


def test_frozen_backbone_trains_the_classifier_alone():
    model = build_network(batch_norm=True)
    assert train(model, frozen(model)) == [CLASSIFIER]


def test_backbone_is_trained_from_its_epoch_on():
    model = build_network(batch_norm=True)
    changes = train(model, frozen(model, unfreeze_epoch=2), epochs=3)
    assert changes == [CLASSIFIER, CLASSIFIER, CLASSIFIER | WEIGHTS | STATISTICS]


def test_epoch_alone_decides_what_is_frozen():
    model = build_network(batch_norm=True)
    trainer = build_noise_trainer(model, freezing=frozen(model, unfreeze_epoch=2))
    before = state_of(model)
    trainer.train_epoch(5)
    assert changed(before, model) == CLASSIFIER | WEIGHTS | STATISTICS
    before = state_of(model)
    trainer.train_epoch(1)
    assert changed(before, model) == CLASSIFIER


def test_frozen_statistics_stay_and_weights_are_trained():
    model = build_network(batch_norm=True)
    freezing = Freezing(model, finetune(freeze_bn=True), SIDE, HEAD)
    assert train(model, freezing) == [CLASSIFIER | WEIGHTS]


def test_frozen_backbone_needs_no_gradient_and_no_dropout():
    features = [nn.Conv2d(3, 4, 3), nn.Dropout(0.5), nn.Conv2d(4, 4, 3), nn.Flatten()]
    model = nn.Sequential(*features, nn.Dropout(0.5), nn.Linear(64, 3))
    model.train()
    frozen(model).apply(model, 0)
    assert [module.training for module in model] == [*[False] * 4, True, True]
    assert not model[:4](torch.zeros(2, 3, SIDE, SIDE)).requires_grad


def test_frozen_statistics_are_used_for_normalising():
    model = build_network(batch_norm=True)
    model.train()
    Freezing(model, finetune(freeze_bn=True), SIDE, HEAD).apply(model, 0)
    images = torch.randn(4, 3, SIDE, SIDE) + 5
    torch.testing.assert_close(model(images), model.eval()(images))


def test_layer_decay_counts_from_the_classifier():
    model = build_network(batch_norm=True)
    scales = rate_scales(model, finetune(layer_decay=0.5, backbone_lr=0.1), SIDE, HEAD)
    assert [scales[each] for each in model.parameters()] == pytest.approx(
        [0.05] * 4 + [1.0] * 2
    )
    assert rate_scales(model, finetune(layer_decay=1.0), SIDE, HEAD) == {}


def build_decayed() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = build_network(batch_norm=True)
    scales = rate_scales(model, finetune(layer_decay=0.5, backbone_lr=0.1), SIDE, HEAD)
    return model, build_optimizer(optimizer(0.01), model, scales)


def test_groups_start_with_the_classifier():
    model, adamw = build_decayed()
    sizes = [(len(group["params"]), group["lr"]) for group in adamw.param_groups]
    assert sizes == [(1, 0.01), (1, 0.01), (1, 0.0005), (3, 0.0005)]
    assert adamw.param_groups[0]["params"] == [model[5].weight]
    assert [group["weight_decay"] for group in adamw.param_groups] == [0.01, 0.0, 0.01, 0.0]


@pytest.mark.parametrize("kind", ["cosine", "step", "multistep", "exponential", "plateau"])
def test_every_rate_follows_the_schedule_at_its_scale(kind):
    # The lowest rate of the cosine lies above the whole rate of the backbone.
    options = schedule(kind, warmup_epochs=0.5, min_lr=0.002), VAL_LOSS
    _, decayed = build_decayed()
    plain = build_optimizer(optimizer(0.01), build_network())
    schedules = [build_schedule(options[0], each, 4, 3, VAL_LOSS) for each in (decayed, plain)]
    for step in range(12):
        rates = [group["lr"] for group in decayed.param_groups]
        full = plain.param_groups[0]["lr"]
        assert rates == pytest.approx([full, full, 0.05 * full, 0.05 * full])
        for each, stepped in zip(schedules, (decayed, plain), strict=True):
            stepped.step()
            each.step(
                metrics={"val_loss": 1.0} if kind == "plateau" and step % 4 == 3 else None
            )


def test_restored_schedule_goes_on_at_the_same_rates():
    options = schedule(warmup_epochs=0.5, min_lr=0.002)
    (_, first), (_, second) = build_decayed(), build_decayed()
    schedules = [build_schedule(options, each, 4, 3, VAL_LOSS) for each in (first, second)]
    for _ in range(5):
        first.step()
        schedules[0].step()
    second.load_state_dict(first.state_dict())
    schedules[1].load_state_dict(schedules[0].state_dict())
    for each in schedules:
        each.step()
    assert schedules[0].get_last_lr() == schedules[1].get_last_lr()


def test_frozen_backbone_is_found_in_every_shipped_network():
    for architecture in load_architectures().values():
        with torch.device("meta"):
            model = build_model(architecture, 5)
        classifier = find_classifier(architecture, 5, 224)
        Freezing(model, finetune(freeze="backbone"), 224, classifier).apply(model, 0)
        trained = [each for each in model.parameters() if each.requires_grad]
        assert [each.shape[0] for each in trained] == [5, 5], architecture.name
