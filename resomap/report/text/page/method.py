"""The method section in words, written from the configuration and the tables of the sweep.

Citations stand as `[@key]`; the keys are those of `report/citations.bib`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from resomap.analysis.facts import SPLITS
from resomap.config.architecture import Architecture
from resomap.config.data import Data
from resomap.config.evaluation import Evaluation
from resomap.config.report import Report
from resomap.config.schema import Explainability, Profiling
from resomap.config.training import Schedule, Training
from resomap.report.methods import method_name
from resomap.report.text.data import SQUARED
from resomap.report.text.format import join_names, variant_name
from resomap.text import agree, format_count, format_points

NETWORKS = (
    ("wide_resnet", "zagoruyko2016wide"),
    ("resnext", "xie2017resnext"),
    ("resnet", "he2016resnet"),
    ("vgg", "simonyan2015vgg"),
    ("mobilenet_v2", "sandler2018mobilenetv2"),
    ("mobilenetv2", "sandler2018mobilenetv2"),
    ("mobilenet_v3", "howard2019mobilenetv3"),
    ("mobilenetv3", "howard2019mobilenetv3"),
    ("efficientnet_v2", "tan2021efficientnetv2"),
    ("efficientnetv2", "tan2021efficientnetv2"),
    ("efficientnet", "tan2019efficientnet"),
    ("densenet", "huang2017densenet"),
    ("convnext_", "liu2022convnext"),
    ("deit_", "touvron2021deit"),
    ("vit_", "dosovitskiy2021vit"),
    ("swin_", "liu2021swin"),
    ("regnet", "radosavovic2020regnet"),
    ("shufflenet_v2", "ma2018shufflenetv2"),
)
"""References of networks by the beginning of their builders' names; the first that fits."""
OWN_NETWORKS = ("simple_cnn", "tiny_cnn")
"""Builders of resomap/models/custom.py."""
OPTIMIZERS = {"adamw": "loshchilov2019adamw", "adam": "kingma2015adam"}
METHODS = {
    "gradcam": "selvaraju2017gradcam",
    "hirescam": "draelos2020hirescam",
    "gradcam_plus_plus": "chattopadhay2018gradcampp",
    "integrated_gradients": "sundararajan2017axiomatic",
    "saliency": "simonyan2014saliency",
    "smoothgrad": "smilkov2017smoothgrad",
    "guided_backprop": "springenberg2015simplicity",
    "occlusion": "zeiler2014visualizing",
}
CAM_LIBRARY = {"gradcam_plus_plus"}
"""Methods of the library of CAM methods; the others are those of Captum."""


def data_paragraph(data: Data, manifest: Mapping[str, Any], resolutions: Sequence[int]) -> str:
    """Return where the images come from, and how they are split, stored and resized."""
    counts = [f"{manifest['splits'][split]['count']:,} {split}" for split in SPLITS]
    drawn = manifest["drawn"]
    splits = "The splits are those of the dataset."
    if data.dataset == "reef":
        splits = (
            f"The images are drawn by ResoMap with seed {data.reef.seed if data.reef else 0}."
        )
    elif drawn:
        splits = (
            f"The splits {join_names(drawn)} were assigned at random, stratified by class, "
            f"with seed {data.splits.seed}."
        )
    sizes = f"{format_count(len(resolutions), 'resolution')} ({join_names(resolutions)} px)"
    return (
        f"The dataset {manifest['dataset']} has {format_count(len(manifest['classes']), 'class')} "
        f"and {join_names(counts)} images. {splits} Images were {SQUARED[manifest['aspect']]} and "
        f"stored once at {manifest['native_resolution']} px. They were resized from there to "
        f"{sizes} with an antialiased {manifest['filter']} filter. The same filter served "
        "training, validation and test."
    )


def models_paragraph(models: Sequence[Architecture], training: Training) -> str:
    """Return which networks were trained, and from which weights."""
    names = []
    for model in models:
        key = network_key(model.builder)
        names.append(f"{model.name} [@{key}]" if key else model.name)
    start = "Their weights were initialised at random."
    if not training.start.is_random:
        start = f"They started from these weights: {training.start}."
    return (
        f"We trained {format_count(len(models), 'network')}: {join_names(names)}. {start} "
        f"The code of the networks is that of {join_names(_libraries(models))}."
    )


def _libraries(models: Sequence[Architecture]) -> list[str]:
    """Return whose code the networks are."""
    sources = set()
    for model in models:
        if ":" in model.builder:
            sources.add("our own")
        elif model.builder.startswith("timm/"):
            sources.add("timm [@wightman2019timm]")
        elif model.builder in OWN_NETWORKS:
            sources.add("ResoMap")
        else:
            sources.add("torchvision [@torchvision2016]")
    return sorted(sources)


def network_key(builder: str) -> str | None:
    """Return the reference of a network by its builder; None where none is known."""
    # A function of the user may have any name.
    if ":" in builder:
        return None
    name = builder.rpartition("/")[2].lower().removeprefix("tf_")
    return next((key for start, key in NETWORKS if name.startswith(start)), None)


def training_paragraph(training: Training, seeds: Sequence[int]) -> str:
    """Return the recipe, the seeds, and which weights were kept."""
    optimizer, monitor = training.optimizer, training.monitor
    key = OPTIMIZERS.get(optimizer.type)
    cited = f" [@{key}]" if key else f" with momentum {optimizer.sgd.momentum:g}"
    extras = list(_extras(training))
    return (
        f"Every network was trained for {format_count(training.epochs, 'epoch')} at every "
        f"resolution, with one recipe and {format_count(len(seeds), 'seed')} "
        f"({join_names(seeds)}), the same at every resolution. The optimizer was "
        f"{optimizer.type}{cited} with batches of {training.batch_size}, a learning rate of "
        f"{optimizer.learning_rate:g} and a weight decay of {optimizer.weight_decay:g}. "
        f"{_schedule(training.schedule)} Arithmetic was {training.precision}. "
        f"{'' if not extras else f'We used {join_names(extras)}. '}"
        f"The weights of the epoch with the {monitor.mode}imum {monitor.name} were kept."
    )


def _schedule(schedule: Schedule) -> str:
    cited = " [@loshchilov2017sgdr]" if schedule.type == "cosine" else ""
    text = f"The learning rate followed a {schedule.type} schedule{cited}"
    warmup = schedule.warmup_epochs
    if not warmup:
        return f"{text}."
    return f"{text} after {warmup:g} {agree(warmup, 'epoch', 'epochs')} of warm-up."


def _extras(training: Training) -> Iterator[str]:
    """Yield regularisation and augmentation that are not off."""
    augmentation = training.augmentation
    named = {
        f"label smoothing of {training.label_smoothing:g} [@szegedy2016rethinking]": (
            training.label_smoothing
        ),
        f"mixup with alpha {training.mixup} [@zhang2018mixup]": training.mixup,
        f"CutMix with alpha {training.cutmix} [@yun2019cutmix]": training.cutmix,
        f"dropout of {training.dropout}": training.dropout,
        f"a drop path rate of {training.drop_path}": training.drop_path,
        f"gradient clipping at norm {training.clip_norm}": training.clip_norm,
        f"a moving average of the weights with decay {training.ema_decay}": training.ema_decay,
        "sampling balanced by class": training.sampling == "balanced",
        "a loss balanced by class": training.class_weights == "balanced",
        f"horizontal flips with probability {augmentation.horizontal_flip:g}": (
            augmentation.horizontal_flip
        ),
        "random resized crops": augmentation.random_resized_crop,
        f"rotations up to {augmentation.rotation_degrees:g} degrees": (
            augmentation.rotation_degrees
        ),
        "random changes of colour": augmentation.color_jitter,
        "random blur": augmentation.blur,
        "random erasing [@zhong2020erasing]": augmentation.erasing,
        "RandAugment [@cubuk2020randaugment]": augmentation.rand_augment,
        "TrivialAugment [@muller2021trivialaugment]": augmentation.trivial_augment,
    }
    yield from (text for text, is_on in named.items() if is_on)


def evaluation_paragraph(evaluation: Evaluation) -> str:
    """Return how networks were tested at the resolutions of the sweep."""
    text = "Every network was tested at every resolution as it was trained."
    if "bn" in evaluation.modes:
        text += (
            " It was tested there once more with BatchNorm statistics of training images at "
            "that resolution."
        )
    if "finetune" in evaluation.modes:
        epochs = format_count(evaluation.finetune.epochs, "epoch")
        text += (
            " It was also tested after its classifier and BatchNorm were fine-tuned there for "
            f"{epochs} [@touvron2019fixres]."
        )
    return f"{text} Calibration is the expected calibration error [@guo2017calibration]."


def statistics_paragraph(report: Report, seeds: Sequence[int]) -> str:
    """Return how intervals, comparisons and the choice were made."""
    level = f"{100 * report.confidence:g} %"
    one = (
        " With one seed, differences have adjusted Wald intervals [@bonett2012wald]."
        if len(seeds) == 1
        else ""
    )
    return (
        f"Intervals are at the {level} level, over seeds crossed with images "
        "[@obuchowski1995readers; @hillis2007denominator]. Those of accuracies are Wilson "
        "intervals with an effective number of images [@wilson1927inference; "
        f"@korn1998proportions].{one} Validation images selected the candidates, and fixed their "
        "sequence from the most accurate to cheaper ones. Test images certified that sequence by "
        "fixed-sequence testing [@angelopoulos2021learn]. A candidate passes when it is shown to "
        f"lose less than {format_points(report.margin)} to every other. Candidates called worse "
        "share the error by Holm's procedure [@holm1979procedure]."
    )


def cost_paragraph(profiling: Profiling, machine: str) -> str:
    """Return how cost was measured; `machine` describes the device."""
    first, *others = (variant_name(name) for name in profiling.variants)
    text = (
        f"Latency is that of one image{machine}, in the variant {first}, with "
        f"{format_count(profiling.cpu_threads, 'CPU thread')} where it ran on a CPU. After a "
        f"warm-up of {profiling.warmup_seconds:g} s, at least {profiling.rounds} rounds ran over "
        "all resolutions in random order. Rounds in which the machine was disturbed do not "
        "count. Intervals come from the spread between rounds."
    )
    if others:
        text += f" Also measured: {join_names(others)}."
    if profiling.energy:
        text += " Energy is that of the sensors of the device, where it has any."
    return text


def explanation_paragraph(explainability: Explainability) -> str:
    """Return which explanations were made, and how they were tested."""
    if not explainability.enabled:
        return ""
    libraries = join_names(_map_libraries(explainability.methods) or ["our own code"])
    text = (
        f"Predictions of {format_count(explainability.images, 'test image')} were explained by "
        f"{join_names(map(_cited_method, explainability.methods))}, for the output "
        f"{explainability.target}. Maps came from {libraries}. "
        "With masks, we measured relevance mass and rank accuracy [@arras2022clevrxai] and the "
        "pointing game [@zhang2018excitation]."
    )
    if explainability.faithfulness.images:
        text += " Faithfulness was measured by deletion and insertion [@petsiuk2018rise]."
    if explainability.sanity.images:
        draws = format_count(explainability.sanity.draws, "re-initialisation")
        text += f" Methods were checked with {draws} of the last layers [@adebayo2018sanity]."
    if explainability.interventions:
        text += " Interventions exchanged the rest of an image and counted changed predictions."
    return text


def _cited_method(name: str) -> str:
    """Return a method with its reference, which one of the user's own has not."""
    return f"{method_name(name)} [@{METHODS[name]}]" if name in METHODS else method_name(name)


def _map_libraries(methods: Iterable[str]) -> list[str]:
    own = set(methods) & set(METHODS)
    libraries = []
    if own - CAM_LIBRARY:
        libraries.append("Captum [@kokhlikyan2020captum]")
    if own & CAM_LIBRARY:
        libraries.append("the PyTorch library for CAM methods [@gildenblat2021cam]")
    return libraries


def software_paragraph(versions: Mapping[str, str]) -> str:
    """Return the versions and the libraries."""
    recorded = ""
    # Before the first run ends, no environment is recorded.
    if versions:
        named = join_names(f"{name} {version}" for name, version in versions.items())
        recorded = f" Versions: {named}."
    return (
        "The sweep was run by ResoMap [@resomap], a Snakemake workflow [@molder2021snakemake] "
        "over PyTorch [@paszke2019pytorch], with NumPy [@harris2020numpy] and SciPy "
        f"[@virtanen2020scipy].{recorded}"
    )
