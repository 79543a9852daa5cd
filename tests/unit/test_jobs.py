import json

import pytest

from resomap.errors import ResoMapError
from resomap.workflow import jobs
from resomap.workflow.job_params import build_job
from resomap.workflow.jobs import Evaluate, PrepareData, Train


def test_the_text_of_a_job_is_one_sorted_line(config):
    text = PrepareData(code="c", data=config.data, listing="").to_json()
    assert "\n" not in text
    assert " " not in text
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


def test_a_whole_number_and_its_fraction_are_one_value(config):
    values = json.loads(PrepareData(code="c", data=config.data, listing="").to_json())
    values["data"]["reef"]["frequencies"] = [10, 20, 40]
    assert (
        PrepareData.from_json(json.dumps(values)).to_json()
        == PrepareData(code="c", data=config.data, listing="").to_json()
    )


def test_learning_rate_and_weight_decay_are_not_interchangeable(config, monkeypatch):
    monkeypatch.setattr("resomap.workflow.job_params.digest_code", lambda *entries: "c")
    job = build_job(config, Train, family="custom", model="tiny_cnn", resolution="24", seed="0")
    optimizer = config.training.optimizer
    swapped = optimizer.model_copy(
        update={
            "learning_rate": optimizer.weight_decay,
            "weight_decay": optimizer.learning_rate,
        }
    )
    other = job.model_copy(
        update={"training": config.training.model_copy(update={"optimizer": swapped})}
    )
    assert other.to_json() != job.to_json()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Invalid JSON"),
        ('{"code": "c"}', "data: Field required"),
        ('{"code": 1, "data": null}', "code: Input should be a valid string"),
        ('{"code": "c", "colour": 1}', "colour: Extra inputs are not permitted"),
    ],
)
def test_what_is_no_job_is_refused_in_one_line(text, said):
    with pytest.raises(ResoMapError, match="--job is not a valid PrepareData job") as refused:
        PrepareData.from_json(text)
    assert said in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_one_kind_of_job_is_not_read_as_another(config):
    with pytest.raises(ResoMapError, match="not a valid Evaluate job"):
        Evaluate.from_json(PrepareData(code="c", data=config.data, listing="").to_json())


@pytest.mark.parametrize("kind", [Train, jobs.Evaluate, jobs.Explain])
def test_who_reads_pictures_depends_on_them(kind):
    assert {"data", "data_code"} <= set(kind.model_fields)
