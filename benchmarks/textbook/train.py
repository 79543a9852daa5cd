"""A training script in the style of torchvision: folders, workers, transforms, AdamW.

What ResoMap's training is compared with. It stands alone, but for the model: scikit-learn,
seaborn and pandas are imported because such scripts do, and their start-up counts.
"""

import argparse
import random
import time
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from resomap.models.registry import load_model_from_config  # only for the same model

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def get_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "data", type=Path, help="folder with train/ and val/, a folder per class"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=0.005)
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--label-smoothing", type=float, default=0.05)
    parser.add_argument("--warmup-epochs", type=float, default=1.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--amp", action="store_true", help="autocast to bfloat16")
    parser.add_argument("--tf32", action="store_true", help="also matrix products in TF32")
    parser.add_argument("--plot", action="store_true")
    return parser.parse_args(arguments)


def get_loader(args: argparse.Namespace, split: str) -> DataLoader:
    """Return the loader of one split."""
    train = split == "train"
    if train:
        first = [transforms.RandomResizedCrop(args.size), transforms.RandomHorizontalFlip()]
    else:
        first = [transforms.Resize((args.size, args.size))]
    steps = [*first, transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    return DataLoader(
        datasets.ImageFolder(args.data / split, transforms.Compose(steps)),
        batch_size=args.batch_size,
        shuffle=train,
        num_workers=args.workers,
        pin_memory=args.device != "cpu",
        persistent_workers=args.workers > 0,
    )


def get_optimizer(
    args: argparse.Namespace, model: nn.Module, steps: int
) -> tuple[torch.optim.Optimizer, Any]:
    """Return AdamW without decay of norms and biases, and warm-up with a cosine schedule.

    The schedule is stepped every batch.
    """
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": decayed, "weight_decay": args.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=args.lr)
    warmup = round(args.warmup_epochs * steps)
    cosine = CosineAnnealingLR(optimizer, max(1, steps * args.epochs - warmup))
    if not warmup:
        return optimizer, cosine
    if warmup > 1:
        linear = LinearLR(optimizer, start_factor=1 / warmup, total_iters=warmup - 1)
    else:
        linear = LinearLR(optimizer, 1.0)
    return optimizer, SequentialLR(optimizer, [linear, cosine], [warmup])


def get_autocast(args: argparse.Namespace) -> torch.autocast:
    """Return the autocast context of forward passes."""
    device = torch.device(args.device).type
    return torch.autocast(device, dtype=torch.bfloat16, enabled=args.amp)


def train_one_epoch(
    args: argparse.Namespace,
    model: nn.Module,
    loader: DataLoader,
    criterion: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
) -> dict[str, float]:
    """Train one epoch; return loss, accuracy and images per second."""
    model.train()
    start, total_loss, correct, seen = time.perf_counter(), 0.0, 0, 0
    for batch in loader:
        images, labels = (tensor.to(args.device, non_blocking=True) for tensor in batch)
        with get_autocast(args):
            output = model(images)
            loss = criterion(output, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        total_loss += loss.item() * len(labels)
        correct += (output.argmax(1) == labels).sum().item()
        seen += len(labels)
    rate = seen / (time.perf_counter() - start)
    averages = {"train_loss": total_loss / seen, "train_accuracy": correct / seen}
    return {**averages, "images_per_second": rate}


@torch.inference_mode()
def validate(
    args: argparse.Namespace, model: nn.Module, loader: DataLoader
) -> tuple[dict[str, float], np.ndarray]:
    """Return loss, accuracy and F1 of the validation split, and its confusion matrix."""
    model.eval()
    outputs, targets = [], []
    for images, labels in loader:
        with get_autocast(args):
            outputs.append(model(images.to(args.device, non_blocking=True)).float().cpu())
        targets.append(labels)
    logits, truth = torch.cat(outputs), torch.cat(targets)
    predicted = logits.argmax(1)
    scores = {
        "val_loss": nn.functional.cross_entropy(logits, truth).item(),
        "val_accuracy": float(accuracy_score(truth, predicted)),
        "val_f1": float(f1_score(truth, predicted, average="macro", zero_division=0)),
    }
    return scores, confusion_matrix(truth, predicted)


def plot(history: pd.DataFrame, confusion: np.ndarray, out: Path) -> None:
    """Plot the curves and the confusion matrix."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    history.plot(x="epoch", y=["train_loss", "val_loss"], ax=left)
    sns.heatmap(confusion, annot=True, fmt="d", ax=right)
    figure.savefig(out / "curves.png", dpi=150)


def main(arguments: list[str] | None = None) -> None:
    """Train, print a line per epoch, save the best weights."""
    args = get_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    if args.tf32:
        torch.set_float32_matmul_precision("high")
    train_loader, val_loader = get_loader(args, "train"), get_loader(args, "val")
    model = load_model_from_config(args.model, len(train_loader.dataset.classes))
    model.to(args.device)
    criterion = nn.CrossEntropyLoss(label_smoothing=args.label_smoothing)
    optimizer, scheduler = get_optimizer(args, model, len(train_loader))
    rows: list[dict[str, float]] = []
    best = float("inf")
    for epoch in range(args.epochs):
        trained = train_one_epoch(args, model, train_loader, criterion, optimizer, scheduler)
        scores, confusion = validate(args, model, val_loader)
        rows.append({"epoch": epoch, **trained, **scores})
        print(", ".join(f"{name} {value:.4g}" for name, value in rows[-1].items()), flush=True)
        if scores["val_loss"] < best:
            best = scores["val_loss"]
            torch.save(model.state_dict(), args.out / "best.pt")
        pd.DataFrame(rows).to_csv(args.out / "history.csv", index=False)
    if args.plot:
        plot(pd.DataFrame(rows), confusion, args.out)


if __name__ == "__main__":
    main()
