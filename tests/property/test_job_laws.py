import json
import random
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from resomap.config.architecture import Architecture
from resomap.config.data import Data, Reef, Splits
from resomap.config.load import load_config
from resomap.config.start import Start
from resomap.config.training import Monitor, Optimizer, Sgd
from resomap.workflow.jobs import Train

SHARES = st.floats(0, 1)
RATES = st.floats(1e-12, 1e3)
COUNTS = st.integers(8, 40)

architectures = st.builds(
    Architecture,
    name=st.sampled_from(["tiny_cnn", "vgg11"]),
    family=st.sampled_from(["custom", "vgg"]),
    builder=st.sampled_from(["tiny_cnn", "vgg11"]),
    width_mult=st.none() | RATES,
    channels=st.none() | st.lists(COUNTS, max_size=3).map(tuple),
    bn_momentum=st.none() | st.just(0.1),
)
reefs = st.builds(
    Reef,
    train=COUNTS,
    val=COUNTS,
    test=COUNTS,
    seed=COUNTS,
    frequencies=st.tuples(RATES, RATES, RATES),
    shortcut=st.none() | SHARES,
)
data = st.builds(
    Data,
    bit_depth=st.none() | st.integers(8, 16),
    dataset=st.just("reef"),
    native_resolution=st.none() | COUNTS,
    filter=st.sampled_from(["box", "lanczos"]),
    aspect=st.sampled_from(["squash", "letterbox"]),
    on_bad_image=st.sampled_from(["error", "skip"]),
    splits=st.builds(Splits, val=st.floats(0.1, 0.4), test=st.floats(0.1, 0.4), seed=COUNTS),
    folder=st.none(),
    csv=st.none(),
    torchvision=st.none(),
    reef=reefs,
)
SHIPPED = load_config(Path(__file__).parents[2] / "config").training
trainings = st.fixed_dictionaries(
    {
        "epochs": COUNTS,
        "batch_size": COUNTS,
        "micro_batch": st.none() | COUNTS,
        "label_smoothing": st.floats(0, 0.9),
        "ema_decay": st.none() | st.floats(0.1, 0.9),
        "start": st.sampled_from(["random", "pretrained", "weights.safetensors"]).map(
            Start.model_validate
        ),
        "optimizer": st.builds(
            Optimizer,
            type=st.sampled_from(["adamw", "sgd"]),
            learning_rate=RATES,
            weight_decay=RATES,
            sgd=st.builds(Sgd, momentum=st.floats(0, 0.9)),
        ),
        "monitor": st.builds(
            Monitor,
            name=st.sampled_from(["val_loss", "val_f1"]),
            mode=st.sampled_from(["min", "max"]),
        ),
    }
).map(lambda changes: SHIPPED.model_copy(update=changes))
jobs = st.builds(
    Train,
    code=st.text(max_size=4),
    data=data,
    data_code=st.text(max_size=4),
    architecture=architectures,
    resolution=COUNTS,
    seed=COUNTS,
    training=trainings,
    device=st.sampled_from(["cpu", "cuda"]),
)


def shuffled(value: Any, order: random.Random) -> Any:
    if isinstance(value, dict):
        items = [(key, shuffled(inner, order)) for key, inner in value.items()]
        order.shuffle(items)
        return dict(items)
    return value


def leaves(value: Any, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in leaves(inner, (*at, key))]
    return [at]


def parent_of(values: dict[str, Any], leaf: tuple[str, ...]) -> dict[str, Any]:
    for key in leaf[:-1]:
        values = values[key]
    return values


@settings(deadline=None)
@given(job=jobs)
def test_job_round_trips_through_json(job):
    assert Train.from_json(job.to_json()) == job
    assert Train.from_json(job.to_json()).to_json() == job.to_json()


@settings(deadline=None)
@given(job=jobs, seed=st.integers())
def test_key_order_does_not_change_job(job, seed):
    text = json.dumps(shuffled(json.loads(job.to_json()), random.Random(seed)))
    assert Train.from_json(text).to_json() == job.to_json()


@settings(deadline=None)
@given(job=jobs, other=jobs, pick=st.data())
def test_any_changed_field_changes_json(job, other, pick):
    changed, source = (json.loads(each.to_json()) for each in (job, other))
    leaf = pick.draw(st.sampled_from(leaves(changed)))
    parent_of(changed, leaf)[leaf[-1]] = parent_of(source, leaf)[leaf[-1]]
    mixed = Train.from_json(json.dumps(changed))
    assert (mixed.to_json() == job.to_json()) == (mixed == job)


@settings(deadline=None)
@given(job=jobs)
def test_swapped_values_change_json(job):
    optimizer = job.training.optimizer
    swapped = optimizer.model_copy(
        update={
            "learning_rate": optimizer.weight_decay,
            "weight_decay": optimizer.learning_rate,
        }
    )
    other = job.model_copy(
        update={"training": job.training.model_copy(update={"optimizer": swapped})}
    )
    assert (other.to_json() == job.to_json()) == (
        optimizer.learning_rate == optimizer.weight_decay
    )
