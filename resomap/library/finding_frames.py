"""The findings of the report as rows of data frames."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from resomap.analysis.findings.finding import Finding
from resomap.report.finding_lines import FindingLine

Row = dict[str, Any]


def claim_rows(lines: Iterable[FindingLine]) -> Iterator[Row]:
    """Yield topic, alarm, claim, reasons and evidence of every line."""
    for line in lines:
        yield {
            "topic": line.subject,
            "alarm": line.is_alarm,
            "claim": line.claim,
            "reasons": " ".join(line.reasons),
            "evidence": ", ".join(line.evidence),
        }


def number_rows(lines: Iterable[FindingLine]) -> Iterator[Row]:
    """Yield every number of the findings of every line, with its interval."""
    for line in lines:
        for finding in line.findings:
            yield from _rows_of(finding, line.subject, {}, "")


def _rows_of(
    finding: Finding, topic: str, context: Mapping[str, Any], evidence: str
) -> Iterator[Row]:
    """Yield the numbers of a finding and of its parts, which are about what it is about, too."""
    subject = {**context, **finding.subject}
    evidence = finding.evidence or evidence
    named = {name: value for name, value in subject.items() if isinstance(value, str | int)}
    about = ", ".join(f"{name}={value}" for name, value in named.items())
    key = {"topic": topic, "kind": finding.kind, "state": finding.state, "about": about}
    for name, estimate in finding.numbers.items():
        yield {**key, "number": name, **estimate._asdict(), "evidence": evidence}
    for part in finding.parts:
        yield from _rows_of(part, topic, subject, evidence)
