"""A training loop from timm's parts: its loader, transforms, optimizer and schedule.

In the style of timm's own train script, which its package does not contain. The network is the
same as in the other contenders.
"""

import time

import pandas as pd
import timm.data
import timm.optim
import timm.scheduler
import torch
from timm.loss import LabelSmoothingCrossEntropy
from torchvision.datasets import ImageFolder

from benchmarks.textbook.train import MEAN, STD, get_args, get_autocast
from resomap.models.registry import load_model_from_config  # only for the same model


def get_loader(args, split):
    """Return timm's loader of one split, with its prefetcher on a GPU."""
    train = split == "train"
    dataset = timm.data.ImageDataset(str(args.data / split))
    return timm.data.create_loader(
        dataset,
        input_size=(3, args.size, args.size),
        batch_size=args.batch_size,
        is_training=train,
        use_prefetcher=args.device != "cpu",
        color_jitter=None,
        interpolation="bilinear",
        mean=MEAN,
        std=STD,
        num_workers=args.workers,
        pin_memory=args.device != "cpu",
        device=torch.device(args.device),
        persistent_workers=args.workers > 0,
        crop_pct=1.0,
    )


def validate(args, model, loader):
    """Return loss and accuracy of the validation split."""
    model.eval()
    logits, truth = [], []
    with torch.inference_mode():
        for images, labels in loader:
            with get_autocast(args):
                logits.append(model(images.to(args.device)).float().cpu())
            truth.append(labels.cpu())
    logits, truth = torch.cat(logits), torch.cat(truth)
    loss = torch.nn.functional.cross_entropy(logits, truth).item()
    return {"val_loss": loss, "val_accuracy": (logits.argmax(1) == truth).float().mean().item()}


def main(arguments=None):
    """Train, and write history.csv with images per second of each epoch."""
    args = get_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    train_loader, val_loader = get_loader(args, "train"), get_loader(args, "val")
    classes = len(ImageFolder(args.data / "train").classes)
    model = load_model_from_config(args.model, classes).to(args.device)
    criterion = LabelSmoothingCrossEntropy(args.label_smoothing)
    optimizer = timm.optim.create_optimizer_v2(
        model, "adamw", lr=args.lr, weight_decay=args.weight_decay
    )
    steps = len(train_loader)
    scheduler = timm.scheduler.CosineLRScheduler(
        optimizer,
        t_initial=max(1, steps * args.epochs),
        warmup_t=round(args.warmup_epochs * steps),
        t_in_epochs=False,
    )
    rows, update = [], 0
    for epoch in range(args.epochs):
        model.train()
        seen, started = 0, time.perf_counter()
        for images, labels in train_loader:
            targets = labels.to(args.device)
            with get_autocast(args):
                loss = criterion(model(images.to(args.device)), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            update += 1
            scheduler.step_update(update)
            seen += len(labels)
        if args.device != "cpu":
            torch.cuda.synchronize()
        rate = seen / (time.perf_counter() - started)
        scores = validate(args, model, val_loader)
        rows.append({"epoch": epoch, "images_per_second": rate, **scores})
        pd.DataFrame(rows).to_csv(args.out / "history.csv", index=False)


if __name__ == "__main__":
    main()
