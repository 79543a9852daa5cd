"""The predecessor's sweep script and callback snippets, unchanged but for `src.` -> `resomap.`."""

import pytest
import torch

SWEEP = """
import torch
from torch import nn
from resomap.models import load_model_from_config
from resomap.trainer import Trainer
from resomap.callbacks import EarlyStopping, ModelCheckpoint, LRSchedulerCallback

# Load model
model = load_model_from_config('{name}', num_classes=10)

# Setup training
device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
optimizer = torch.optim.AdamW(model.parameters(), lr=0.001)

# Callbacks
early_stop = EarlyStopping(patience=5, mode='min')
checkpoint = ModelCheckpoint(save_dir='checkpoints/', monitor='val_accuracy', mode='max')
lr_scheduler = LRSchedulerCallback(optimizer, scheduler_type='cosine',
                                   scheduler_params={{'T_max': 50}})

# Trainer
trainer = Trainer(
    model=model,
    device=device,
    criterion=nn.CrossEntropyLoss(),
    optimizer=optimizer,
    train_loader=train_loader,
    val_loader=val_loader,
    use_amp=True
)

# Training loop
for epoch in range({epochs}):
    train_metrics = trainer.train_epoch()
    val_metrics = trainer.validate()

    # Callbacks
    early_stop.step(epoch, val_metrics['loss'])
    checkpoint.step(epoch, val_metrics, model, optimizer, resolution=224)
    lr_scheduler.step(epoch)

    if early_stop.stop:
        break
"""
CALLBACKS = """
from resomap.callbacks import EarlyStopping, ModelCheckpoint, LRSchedulerCallback

early_stop = EarlyStopping(
    patience=5,           # Stop after 5 epochs without improvement
    warmup_epochs=3,      # Ignore first 3 epochs
    mode='min',           # 'min' for loss, 'max' for accuracy
    min_delta=0.001       # Minimum improvement threshold
)
early_stop.step(epoch, val_loss)
if early_stop.stop:
    print("Early stopping triggered!")

checkpoint = ModelCheckpoint(
    save_dir='checkpoints/',
    monitor='val_accuracy',
    mode='max',
    save_top_k=3,         # Keep top 3 models
    save_optimizer=True   # Save optimizer state
)
checkpoint.step(
    epoch=epoch,
    metrics={'val_accuracy': 0.92, 'val_loss': 0.23},
    model=model,
    optimizer=optimizer,
    resolution=224
)
best_path = checkpoint.get_best_checkpoint_path()

lr_scheduler = LRSchedulerCallback(
    optimizer=optimizer,
    scheduler_type='cosine',
    scheduler_params={'T_max': 50, 'eta_min': 0},
    verbose=True
)
lr_scheduler = LRSchedulerCallback(optimizer=optimizer, scheduler_type='step', scheduler_params={'step_size': 10, 'gamma': 0.1})
lr_scheduler = LRSchedulerCallback(optimizer=optimizer, scheduler_type='multistep', scheduler_params={'milestones': [30, 60, 90], 'gamma': 0.1})
lr_scheduler = LRSchedulerCallback(optimizer=optimizer, scheduler_type='exponential', scheduler_params={'gamma': 0.95})
lr_scheduler.step(epoch=epoch)
lr_scheduler = LRSchedulerCallback(
    optimizer=optimizer,
    scheduler_type='plateau',
    scheduler_params={
        'mode': 'min',
        'factor': 0.1,
        'patience': 10,
        'monitor': 'val_loss'
    }
)
lr_scheduler.step(metrics={'val_loss': 0.23})
"""


@pytest.fixture(autouse=True)
def temporary_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_sweep_script_of_predecessor_runs():
    batches = [(torch.randn(4, 3, 32, 32), torch.arange(4)) for _ in range(2)]
    names = {"train_loader": batches, "val_loader": batches}
    exec(SWEEP.format(name="resnet18_224", epochs=2), names)
    assert names["checkpoint"].get_best_checkpoint_path().is_file()
    assert set(names["val_metrics"]) == {"loss", "accuracy", "precision", "recall", "f1"}
    assert names["optimizer"].param_groups[0]["lr"] < 0.001


# The snippet steps the schedules of an optimizer that never stepped.
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_callback_snippets_of_predecessor_run():
    model = torch.nn.Linear(2, 2)
    names = {
        "epoch": 4,
        "val_loss": 0.5,
        "model": model,
        "optimizer": torch.optim.AdamW(model.parameters()),
    }
    exec(CALLBACKS, names)
    assert names["best_path"].is_file()
    assert names["best_path"].with_suffix(".optimizer.safetensors").is_file()
