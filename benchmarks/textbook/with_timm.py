"""The textbook's training by the parts of timm, put together as its train script does; that script is in no package of timm."""

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import torch
from timm.data import create_dataset, create_loader
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import AverageMeter, CheckpointSaver, accuracy
from torch import nn

from resomap.models.registry import load_model_from_config  # only for the same network


def get_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def get_loader(args: argparse.Namespace, split: str, train: bool) -> Any:
    """timm's loader, its augmentation down to crop and flip."""
    dataset = create_dataset(
        "", root=str(args.data), split=split, is_training=train, batch_size=args.batch_size
    )
    return create_loader(
        dataset,
        input_size=(3, args.size, args.size),
        batch_size=args.batch_size,
        is_training=train,
        scale=(0.08, 1.0),
        ratio=(3 / 4, 4 / 3),
        hflip=0.5,
        color_jitter=None,
        auto_augment=None,
        interpolation="bilinear",
        crop_pct=1.0,
        num_workers=args.workers,
        pin_memory=args.device != "cpu",
        device=torch.device(args.device),
    )


def train_one_epoch(
    epoch: int,
    model: nn.Module,
    loader: Any,
    criterion: nn.Module,
    optimizer: Any,
    scheduler: Any,
) -> float:
    """One epoch; returns pictures a second."""
    model.train()
    losses, seen, start, done = AverageMeter(), 0, time.perf_counter(), epoch * len(loader)
    for number, (images, labels) in enumerate(loader):
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step_update(num_updates=done + number + 1)
        losses.update(loss.item(), len(labels))
        seen += len(labels)
        if number % 50 == 0:
            print(
                f"train {epoch} [{number}/{len(loader)}] loss {losses.val:.4f} ({losses.avg:.4f})",
                flush=True,
            )
    return seen / (time.perf_counter() - start)


@torch.inference_mode()
def validate(model: nn.Module, loader: Any) -> dict[str, float]:
    """Loss and accuracy of the validation split."""
    model.eval()
    losses, correct = AverageMeter(), AverageMeter()
    for images, labels in loader:
        logits = model(images)
        losses.update(nn.functional.cross_entropy(logits, labels).item(), len(labels))
        correct.update(accuracy(logits, labels)[0].item() / 100, len(labels))
    return {"val_loss": losses.avg, "val_accuracy": correct.avg}


def main() -> None:
    """Train, print, keep checkpoints."""
    args = get_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    train_loader, val_loader = get_loader(args, "train", True), get_loader(args, "val", False)
    model = load_model_from_config(args.model, 8).to(args.device)
    optimizer = create_optimizer_v2(model, opt="adamw", lr=0.005, weight_decay=0.01)
    steps = {"step_on_epochs": False, "updates_per_epoch": len(train_loader)}
    scheduler, epochs = create_scheduler_v2(
        optimizer,
        sched="cosine",
        num_epochs=args.epochs,
        warmup_epochs=1,
        warmup_lr=0.0,
        cooldown_epochs=0,
        **steps,
    )
    criterion = LabelSmoothingCrossEntropy(smoothing=0.05)
    saver = CheckpointSaver(
        model, optimizer, checkpoint_dir=str(args.out), decreasing=True, max_history=1
    )
    rows = []
    for epoch in range(epochs):
        rate = train_one_epoch(epoch, model, train_loader, criterion, optimizer, scheduler)
        scores = validate(model, val_loader)
        rows.append({"epoch": epoch, "images_per_second": rate, **scores})
        print(rows[-1], flush=True)
        saver.save_checkpoint(epoch, metric=scores["val_loss"])
    with (args.out / "history.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
