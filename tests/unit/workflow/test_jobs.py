import json

import pytest

from resomap.errors import ResoMapError
from resomap.workflow import jobs
from resomap.workflow.job_params import build_job
from resomap.workflow.jobs import Evaluate, PrepareData, Train


@pytest.fixture
def text(config) -> str:
    return PrepareData(code="c", data=config.data, listing="").to_json()


def test_job_json_is_one_sorted_line(text):
    assert "\n" not in text
    assert " " not in text
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


def test_whole_number_and_float_are_one_value(text):
    values = json.loads(text)
    values["data"]["reef"]["frequencies"] = [10, 20, 40]
    assert PrepareData.from_json(json.dumps(values)).to_json() == text


def test_swapped_optimizer_values_change_the_job(config, monkeypatch):
    monkeypatch.setattr("resomap.workflow.job_params.digest_code", lambda *entries: "c")
    job = build_job(config, Train, family="custom", model="tiny_cnn", resolution="24", seed="0")
    optimizer = config.training.optimizer
    values = {"learning_rate": optimizer.weight_decay, "weight_decay": optimizer.learning_rate}
    training = config.training.model_copy(
        update={"optimizer": optimizer.model_copy(update=values)}
    )
    assert job.model_copy(update={"training": training}).to_json() != job.to_json()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "Invalid JSON"),
        ('{"code": "c"}', "data: Field required"),
        ('{"code": 1, "data": null}', "code: Input should be a valid string"),
        ('{"code": "c", "colour": 1}', "colour: Extra inputs are not permitted"),
    ],
)
def test_invalid_job_is_refused_in_one_line(text, problem):
    with pytest.raises(ResoMapError, match="--job is not a valid PrepareData job") as error:
        PrepareData.from_json(text)
    assert problem in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_job_of_another_type_is_refused(text):
    with pytest.raises(ResoMapError, match="not a valid Evaluate job"):
        Evaluate.from_json(text)


@pytest.mark.parametrize("job_type", [Train, jobs.Evaluate, jobs.Explain])
def test_jobs_that_read_images_depend_on_them(job_type):
    assert {"data", "data_code"} <= set(job_type.model_fields)
