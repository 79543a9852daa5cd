"""Alarms of the first screen: one line each, of one kind."""

from resomap.analysis.findings.finding import Estimate, Finding
from resomap.report.text.page.alarms import EVIDENCE, alarm_lines


def evidence(model: str, resolution: int, group: str) -> Finding:
    subject = {"model": model, "resolution": resolution, "group": group}
    return Finding(EVIDENCE, "fires", "tables/alarms.csv", subject)


def test_alarms_of_one_model_and_group_share_a_line() -> None:
    findings = [
        evidence("net", 24, "fine"),
        evidence("net", 48, "fine"),
        evidence("net", 24, "medium"),
    ]
    assert alarm_lines(findings) == [
        "Looks beside the object: net at 24 and 48 px, on fine images",
        "Looks beside the object: net at 24 px, on medium images",
    ]


def test_images_without_groups_are_not_named() -> None:
    assert alarm_lines([evidence("net", 24, "all")]) == [
        "Looks beside the object: net at 24 px"
    ]


def test_bad_data_comes_before_evidence() -> None:
    leak = Finding("leak", "fires", "", numbers={"images": Estimate(2)})
    lines = alarm_lines([evidence("net", 24, "all"), leak])
    assert lines[0] == "Leak: 2 images with the same pixels in two splits"
