"""The columns of every table: name, unit and meaning."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column of a CSV file; `unit` is blank for names and other text."""

    name: str
    unit: str
    meaning: str


def with_interval(column: Column) -> tuple[Column, ...]:
    """Return the column and the two ends of its confidence interval, `_low` and `_high`."""
    ends = (
        Column(f"{column.name}_{end}", column.unit, f"{word} end of its interval")
        for end, word in (("low", "lower"), ("high", "upper"))
    )
    return (column, *ends)


def column_names(columns: tuple[Column, ...]) -> tuple[str, ...]:
    """Return the names, in the order in which they are written."""
    return tuple(column.name for column in columns)


# Parts that several tables share.
MODEL = (
    Column("family", "", "family of the model, the first folder of its results"),
    Column("model", "", "name in config/models.yaml"),
)
CELL = (*MODEL, Column("resolution", "px", "training resolution"))
SEED = Column("seed", "", "seed of the run")
RUN = (*CELL, SEED)
CROSS_CELL = (
    *MODEL,
    Column("train_resolution", "px", "training resolution"),
    Column("eval_resolution", "px", "resolution of the test images"),
)
MODE = Column("mode", "", "how networks are taken to that resolution: raw, bn or finetune")
VARIANT = Column("variant", "", "eager or another mode of PyTorch, onnxruntime or openvino")
PRECISION = Column("precision", "", "fp32, tf32, bf16, fp16 or int8")
MEMORY_FORMAT = Column("memory_format", "", "channels_last or contiguous")
WAY = (VARIANT, PRECISION, MEMORY_FORMAT)
SCORES = (
    Column("accuracy", "0-1", "share of correct predictions"),
    Column("balanced_accuracy", "0-1", "mean recall over the classes"),
    Column("macro_precision", "0-1", "mean precision over the classes"),
    Column("macro_recall", "0-1", "mean recall over the classes that occur"),
    Column("macro_f1", "0-1", "mean F1 over the classes"),
    Column("log_loss", "nats", "mean cross-entropy"),
    Column("ece", "0-1", "debiased expected calibration error, 15 bins"),
    Column("ece_null", "0-1", "mean `ece` of perfectly calibrated networks at this `n`"),
    Column("ece_null_p95", "0-1", "95th percentile of it: a higher `ece` is no chance"),
    Column("top5_accuracy", "0-1", "share with the label among five; from 11 classes on"),
    Column("brier", "0-2", "mean squared distance of the probabilities from the label"),
    Column("temperature", "ratio", "divisor of the logits, fitted on validation images"),
    Column("log_loss_scaled", "nats", "mean cross-entropy of logits over `temperature`"),
    Column("ece_scaled", "0-1", "`ece` of logits over `temperature`"),
)
MEASURES = (
    Column("relevance_mass", "0-1", "share of positive relevance inside the mask"),
    Column("relevance_mass_best", "0-1", "largest mass a map of the object's size can reach"),
    Column("relevance_rank", "0-1", "coverage of the most relevant cells by the mask"),
    Column("relevance_rank_best", "0-1", "largest rank accuracy that the grid allows"),
    Column("pointing_game", "0-1", "hits of the largest cell"),
    Column("pointing_chance", "0-1", "share of cells that are hits"),
    Column("mask_area", "0-1", "share of the image that the mask covers"),
)
METHOD = Column("method", "", "attribution method, or a baseline")
TARGET = Column("target", "", "explained logit: label, prediction or contrast")
LAYER = Column("layer", "", "block that the method reads, or input")
GRID = Column("grid", "cells", "side of the map")
GROUP = Column("group", "", "group of classes; all for every image")
IMAGE_GROUP = Column("group", "", "group of the image's class; blank without groups")
INDEX = Column("index", "", "place in the split, from 0")
LABEL = Column("label", "", "class index")
BANDWIDTH = Column("bandwidth", "cells", "side of the grid on which areas are ordered")
DELETION = Column("deletion", "0-1", "area under the deletion curve, small is faithful")
INSERTION = Column("insertion", "0-1", "area under the insertion curve, large is faithful")
KIND = Column("kind", "", "exchange (rest of another image) or sticker (reversed)")
SEEDS = Column("n_seeds", "count", "runs that finished")
N_IMAGES = Column("n", "count", "images")
N_SCORED = Column("n", "count", "images; 0 where the network has no such mode")
BATCH_SIZE = Column("batch_size", "images", "images in a batch")
VALID = Column("valid", "bool", "enough rounds were undisturbed")
INTERVAL = Column("interval", "", "how the interval was computed")
CORRELATION = Column("correlation", "-1-1", "rank correlation with maps of the trained model")
SANITY_FLOOR = Column("floor", "-1-1", "rank correlation of maps of different images")
LATENCY_P50 = Column("latency_ms_p50", "ms", "median latency of a batch")
LATENCY_P90 = Column("latency_ms_p90", "ms", "90th percentile of the latency")
PEAK_MEMORY = Column("peak_memory_mib", "MiB", "peak memory of the device")
POWER = (
    Column("power_w", "W", "mean power under load"),
    Column("idle_power_w", "W", "mean power when idle"),
)
ENERGY_PER_IMAGE = (
    Column("energy_j_per_image", "J", "energy per image"),
    Column("energy_j_per_image_above_idle", "J", "energy per image above idle power"),
)

# results/data
IMAGES = (
    Column("split", "", "train, val or test"),
    *(INDEX, LABEL),
    Column("class", "", "name of the class"),
    IMAGE_GROUP,
    Column("source", "", "file or record of the image"),
    Column("row", "", "row in native.npy; -1 for a file that cannot be read"),
    Column("width", "px", "width as stored by the source"),
    Column("height", "px", "height as stored by the source"),
    Column("note", "", "what was done on reading, such as a rotation by EXIF"),
    Column("pixels", "", "64-bit digest of the decoded pixels"),
)
BAD_IMAGES = (
    Column("source", "", "file or record that cannot be read"),
    Column("reason", "", "why it cannot be read"),
)
DUPLICATES = (
    Column("source", "", "image whose pixels an earlier image has too"),
    Column("split", "", "split of that image"),
    LABEL,
    Column("copy_of", "", "first image with these pixels"),
    Column("copy_split", "", "split of the first image"),
    Column("copy_label", "", "class index of the first image"),
)

# results/runs and results/agreement
_EPOCH_SCORES = (
    ("loss", "nats", "mean loss"),
    ("accuracy", "0-1", "accuracy"),
    ("precision", "0-1", "macro precision"),
    ("recall", "0-1", "macro recall"),
    ("f1", "0-1", "macro F1"),
)
HISTORY = (
    Column("epoch", "", "number of the epoch, from 0"),
    *(Column(f"train_{n}", unit, f"{text} in training") for n, unit, text in _EPOCH_SCORES),
    *(Column(f"val_{n}", unit, f"{text} in validation") for n, unit, text in _EPOCH_SCORES),
    Column("learning_rate", "", "learning rate at the start of the epoch"),
)
RUN_EVALUATION = (
    Column("eval_resolution", "px", "resolution of the test images"),
    *(MODE, N_SCORED, *SCORES),
)
RUN_LOCALISATION = (
    *(METHOD, TARGET, LAYER, GRID, INDEX, LABEL, IMAGE_GROUP),
    Column("right", "0 or 1", "1 if the prediction is correct"),
    *MEASURES,
    Column("zero_map", "0 or 1", "1 if no cell is positive"),
    Column("completeness_error", "", "relative error of the sum of the attributions"),
)
RUN_FAITHFULNESS = (METHOD, BANDWIDTH, INDEX, LABEL, IMAGE_GROUP, DELETION, INSERTION)
RUN_SANITY = (
    METHOD,
    Column("draw", "", "number of the re-initialisation, from 0"),
    *(CORRELATION, SANITY_FLOOR, N_IMAGES),
)
RUN_INTERVENTIONS = (
    *(KIND, INDEX),
    Column("other", "", "place of the image that gives the rest"),
    LABEL,
    Column("other_label", "", "class index of that image"),
    IMAGE_GROUP,
    Column("before", "", "preferred class of the two, on the original image"),
    Column("after", "", "preferred class of the two, on the changed image"),
    Column("follows", "", "object or rest: what the answer afterwards agrees with"),
)
AGREEMENT = (
    *(*MODEL, METHOD),
    Column("block", "", "block that is read: input, rule, fixed or picture"),
    Column("network", "", "trained, untrained or none (a baseline)"),
    Column("population", "", "all images, or those every run predicts right"),
    Column("measure", "", "measure of likeness"),
    Column("low", "px", "lower of the two resolutions"),
    Column("high", "px", "higher of the two resolutions"),
    Column("side", "cells", "side of the grid on which maps are compared"),
    N_IMAGES,
    Column("seed_pairs", "count", "pairs of seeds in `observed`"),
    Column("same_seed", "", "likeness of maps of the same seed"),
    *with_interval(Column("observed", "", "likeness of maps of different seeds")),
    Column("floor", "", "likeness of maps of different images"),
    Column("ceiling", "", "likeness at one resolution, across seeds"),
    *with_interval(Column("normalised", "", "observed, 0 at the floor and 1 at the ceiling")),
    INTERVAL,
    Column("undefined", "count", "images without a value"),
)

# results/tables
RUNS = (
    *RUN,
    Column("status", "", "ok, diverged, infeasible, training, failed or waiting"),
    Column("reason", "", "why a run has no result"),
    Column("n_train", "count", "training images"),
    Column("n_test", "count", "test images"),
    *SCORES,
    Column("epochs", "count", "epochs trained"),
    Column("learning_rate", "", "peak learning rate"),
    Column("micro_batch", "images", "images in one forward and backward pass"),
    Column("train_seconds", "s", "time trained, without interruptions"),
    Column("train_images_per_second", "1/s", "training images per second, with validation"),
    PEAK_MEMORY,
    Column("device", "", "cpu, or the name of the GPU"),
    PRECISION,
    Column("code", "", "digest of the code that trained the run"),
)
EVALUATION = (*CROSS_CELL, MODE, SEED, N_SCORED, *SCORES)
CLASSES = (
    *RUN,
    Column("class", "", "name of the class"),
    *(IMAGE_GROUP, N_IMAGES, SCORES[0]),
    Column("pair_accuracy", "0-1", "accuracy between the two classes of the pair"),
)
PROFILES = (
    *CELL,
    Column("device", "", "cpu, or the name of the GPU"),
    *(PRECISION, MEMORY_FORMAT, VARIANT),
    Column("threads", "count", "CPU threads"),
    BATCH_SIZE,
    Column("n", "count", "timed repetitions"),
    VALID,
    Column("status", "", "ok, infeasible or unsupported"),
    *(LATENCY_P50, LATENCY_P90),
    Column("latency_ms_p99", "ms", "99th percentile, from 1,000 repetitions on"),
    Column("inference_images_per_second", "1/s", "images per second of inference"),
    Column("macs", "count", "multiply-accumulate operations per image"),
    Column("flops", "count", "2 x macs"),
    Column("num_parameters", "count", "parameters of the model"),
    Column("model_size_mib", "MiB", "parameters and buffers; the file of an export"),
    PEAK_MEMORY,
    Column("rounds", "count", "rounds that count"),
    Column("why_invalid", "", "most frequent disturbance; why it is unsupported"),
    Column("latency_ms_low", "ms", "lower end of the 95 % interval of the median"),
    Column("latency_ms_high", "ms", "upper end of the 95 % interval of the median"),
    Column("relative_error", "ratio", "half of that interval over the median"),
    Column("cpu_share", "ratio", "CPU time over wall time of the measuring thread"),
    Column("latency_ms_p50_cold", "ms", "median latency with an empty cache (CUDA)"),
    Column("ratio_to_reference", "ratio", "latency over that of the reference workload"),
    Column("training_images_per_second", "1/s", "images per second of a training step"),
    Column("activations_mib", "MiB", "computed size of the activations"),
    Column("peak_reserved_mib", "MiB", "peak that PyTorch's allocator reserves (CUDA)"),
    *(*ENERGY_PER_IMAGE, *POWER),
)
STAGES = (
    *CELL,
    Column("decode_ms", "ms", "median time to decode one file"),
    Column("resize_ms", "ms", "median time to resize it"),
    Column("copy_ms", "ms", "median time to copy it to the device"),
    Column("forward_ms", "ms", "median time of the forward pass"),
    Column("total_ms", "ms", "sum of the four"),
    Column("n", "count", "timed repetitions"),
    VALID,
    Column("decoded_from", "", "format and size of the decoded file"),
)
CELLS = (
    *CELL,
    Column("n_runs", "count", "runs in the sweep"),
    SEEDS,
    Column("n_test", "count", "test images"),
    *with_interval(Column("accuracy", "0-1", "mean test accuracy over the seeds")),
    INTERVAL,
    Column("majority_accuracy", "0-1", "share of the most frequent class in the test images"),
    Column("n_val", "count", "validation images"),
    *with_interval(Column("val_accuracy", "0-1", "mean validation accuracy")),
    *(LATENCY_P50, LATENCY_P90),
    Column("latency_valid", "bool", "the latency is a valid measurement"),
)
PAIR_ACCURACY = Column("pair_accuracy", "0-1", "accuracy between the classes of a pair")
GROUPS = (
    *CELL,
    Column("group", "", "group of classes"),
    Column("frequency", "cycles/image", "spatial frequency that differs within the pair"),
    *(SEEDS, N_IMAGES),
    *with_interval(PAIR_ACCURACY),
    INTERVAL,
)
MATRIX = (
    *(*CROSS_CELL, MODE, SEEDS, N_IMAGES),
    *with_interval(Column("accuracy", "0-1", "mean test accuracy over the seeds")),
    INTERVAL,
)
KNEES = (
    *(*MODEL, GROUP),
    Column("margin", "0-1", "accuracy that may be lost"),
    Column("lower", "px", "largest resolution such that it and all below are shown worse"),
    Column("upper", "px", "smallest one shown to be within the margin, else the largest"),
    Column("best", "px", "most accurate resolution"),
    Column("censored", "", "ends that the sweep does not show: below, above, both"),
    Column("n_val", "count", "validation images"),
)
SERIES = (*MODEL, *WAY, BATCH_SIZE)
NEIGHBOURS = (
    *SERIES,
    Column("resolution", "px", "smaller resolution"),
    Column("larger", "px", "next larger resolution"),
    Column("n_rounds", "count", "rounds that both have"),
    *with_interval(Column("ratio", "ratio", "latency of the larger over the smaller")),
    Column("ratio_at_most", "ratio", "upper bound that holds for all pairs at once"),
    Column("verdict", "", "saves, flat, inverted or open"),
)
COST = (
    *SERIES,
    Column("smallest", "px", "smallest resolution"),
    Column("largest", "px", "largest resolution"),
    Column("n_resolutions", "count", "resolutions measured"),
    *with_interval(Column("latency_exponent", "", "slope of log latency over log pixels")),
    Column("latency_misfit", "ratio", "largest departure from the power law, less 1"),
    *with_interval(Column("memory_exponent", "", "slope of log memory over log pixels")),
    Column("memory_misfit", "ratio", "largest departure from the power law, less 1"),
    Column("crossover_px", "px", "largest resolution not shown to be slower"),
    *with_interval(Column("crossover_ratio", "ratio", "its latency over the smallest's")),
    Column("inversions", "count", "neighbours of which the larger is faster"),
)
ENERGY = (
    *(*CELL, *WAY, BATCH_SIZE, VALID, *POWER, *ENERGY_PER_IMAGE),
    *with_interval(Column("energy_j_per_correct_image", "J", "energy per correct prediction")),
    *with_interval(Column("images_per_second_per_watt", "1/J", "images per joule")),
)
EXPLANATIONS = (
    *(*RUN, METHOD, TARGET, GROUP, LAYER, GRID, N_IMAGES, *MEASURES),
    Column("zero_maps", "count", "maps without a positive cell"),
    Column("completeness_error", "", "mean relative error of the sum of the attributions"),
)
FAITHFULNESS = (*RUN, METHOD, BANDWIDTH, N_IMAGES, DELETION, INSERTION)
SANITY = (
    *(*RUN, METHOD),
    Column("draws", "count", "re-initialisations"),
    *(CORRELATION, SANITY_FLOOR),
    Column("retained", "ratio", "what is kept: 0 at the floor, 1 when nothing changed"),
    Column("retained_low", "ratio", "lower end of its one-sided 95 % interval"),
    Column("passed", "bool", "the method is not shown to fail the sanity check"),
)
INTERVENTIONS = (
    *(*CELL, GROUP, KIND, SEEDS, N_IMAGES),
    Column("changed", "0-1", "share of answers that change"),
    *with_interval(Column("follows_rest", "0-1", "share of answers that follow the rest")),
)
ALARMS = (
    *(*CELL, GROUP, SEEDS),
    Column("n", "count", "images that every run predicts right"),
    Column("accuracy", "0-1", "mean accuracy of the group"),
    Column("accuracy_best", "0-1", "best mean accuracy of the model in the group"),
    *with_interval(Column("share", "", "relevance on the object: 0 chance, 1 the best")),
    Column("state", "", "fires, silent or unknown"),
    Column("judged", "", "whether the interventions agree: agrees or disagrees"),
    Column("images", "", "indices in the test split, least evidence first"),
)
