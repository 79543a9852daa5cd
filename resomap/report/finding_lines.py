"""The findings on the page: one line per subject, alarms first, each with what stands behind it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

from resomap.analysis.facts import Facts
from resomap.analysis.findings import accuracy as accuracy_findings
from resomap.analysis.findings import cost as cost_findings
from resomap.analysis.findings import data as data_findings
from resomap.analysis.findings import evidence as evidence_findings
from resomap.analysis.findings.agreement import agreement_finding, reference_agreement
from resomap.analysis.findings.baseline import majority_baseline
from resomap.analysis.findings.cascades import best_cascade
from resomap.analysis.findings.demand import demand_of_model
from resomap.analysis.findings.finding import Finding
from resomap.analysis.sanity_check import drop_failed_methods, failed_methods
from resomap.analysis.tables import Tables
from resomap.report.text import accuracy, cascades, cost, data, demand, evidence
from resomap.report.text.page import numbers
from resomap.report.text.page.numbers import NumberRow

MAX_MODELS = 4
"""More models than this have no sentence and no rows: the figures have all."""
MAX_ALARMS = 6


@dataclass
class FindingLine:
    """One line of the findings: its claim, and what it opens to.

    `reasons` are sentences, `numbers` the rows of a small table, `findings` the values that both
    are written from. `figure` is the name of the figure that shows it, and `evidence` the files
    of results/ that hold its numbers.
    """

    subject: str
    claim: str = ""
    is_alarm: bool = False
    reasons: list[str] = field(default_factory=list)
    numbers: list[NumberRow] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    figure: str = ""
    evidence: list[str] = field(default_factory=list)

    def add(
        self,
        finding: Finding,
        sentences: Iterable[str],
        rows: Callable[[Finding], Iterable[NumberRow]] | None = None,
    ) -> None:
        """Add what a finding says; the first sentence of the line becomes its claim."""
        self.findings.append(finding)
        texts = [text for text in sentences if text != self.claim]
        if texts and not self.claim:
            self.claim = texts.pop(0)
        self.reasons += [text for text in texts if text not in self.reasons]
        self.numbers += list(rows(finding)) if rows else []
        for file in filter(None, finding.evidence.split(", ")):
            if f"results/{file}" not in self.evidence:
                self.evidence.append(f"results/{file}")


def finding_lines(tables: Tables, facts: Facts, figures: Sequence[str]) -> list[FindingLine]:
    """Return at most five lines, the alarms first; `figures` are those that the page has."""
    lines = [images_line(tables, facts)]
    model = accuracy_findings.model_in_focus(tables)
    if model is not None:
        of_model = [
            accuracy_line(tables),
            resolution_line(tables, model),
            cost_line(tables),
            evidence_line(tables, model),
        ]
        lines = [*of_model, *lines]
    lines = [line for line in lines if line.claim]
    for line in lines:
        line.figure = line.figure if line.figure in figures else ""
    return sorted(lines, key=lambda line: not line.is_alarm)


def accuracy_line(tables: Tables) -> FindingLine:
    """Return how accuracy grows with resolution, and where it levels off."""
    line = FindingLine("Accuracy", figure="accuracy_by_resolution")
    models = accuracy_findings.accuracy_of_models(tables.cells, tables.knees)
    best = accuracy_findings.most_accurate_model(models)
    line.claim = accuracy.accuracy_claim(best)
    for finding in models[:MAX_MODELS]:
        line.add(finding, accuracy.knee_sentences(finding), numbers.accuracy_numbers)
    baseline = majority_baseline(tables.cells)
    line.add(baseline, [accuracy.baseline_sentence(baseline)], numbers.baseline_numbers)
    return line


def resolution_line(tables: Tables, model: str) -> FindingLine:
    """Return what a model loses at small sizes, and what testing at another size changes."""
    line = FindingLine("Resolution", figure="demand")
    for finding in accuracy_findings.stripe_findings(tables.groups, tables.alarms, model):
        # A group that is neither lost nor read anywhere has no sentence.
        if finding.state != "not shown":
            line.figure = "groups_by_resolution"
            line.add(finding, accuracy.stripes_sentences(finding), numbers.stripe_numbers)
    theory = accuracy_findings.sampling_theory(tables.groups, tables.cells, model)
    if theory is not None:
        line.add(theory, [accuracy.sampling_theory_sentence(theory)], numbers.theory_numbers)
    needed = demand_of_model(tables.demand, model)
    if needed.state != "unknown":
        sentences = [f"{demand.demand_title(needed)}.", demand.demand_sentence(needed)]
        line.add(needed, sentences, numbers.demand_numbers)
    transfer = accuracy_findings.transfer(tables.matrix)
    if transfer.numbers:
        line.add(transfer, [accuracy.transfer_sentence(transfer)], numbers.transfer_numbers)
    for finding in accuracy_findings.adaptations(tables.matrix):
        line.add(finding, [accuracy.adaptation_sentence(finding)])
    return line


def cost_line(tables: Tables) -> FindingLine:
    """Return what more pixels cost, where the time goes, and the energy."""
    line = FindingLine("Cost", figure="cost_by_resolution")
    inversions = cost_findings.inversions(tables.neighbours)
    if inversions:
        line.is_alarm, line.claim = True, cost.inversion_claim(inversions)
        shown = inversions[:MAX_ALARMS]
        rows = list(chain.from_iterable(map(numbers.inversion_numbers, shown)))
        line.add(inversions[0], cost.inversion_sentences(shown), lambda _: rows)
    latencies = cost_findings.latency_of_models(tables.profiles, tables.cost)
    steepest = cost_findings.steepest_latency(latencies)
    if steepest is not None:
        line.add(steepest, [f"{cost.latency_title(steepest, measured=True)}."])
    for finding in latencies[:MAX_MODELS]:
        line.add(finding, cost.latency_sentences(finding), numbers.latency_numbers)
    breakdown = cost_findings.time_breakdown(tables.stages)
    if breakdown.state == "shown":
        line.add(breakdown, cost.breakdown_sentences(breakdown))
    for finding in cost_findings.energy_findings(tables):
        line.add(finding, [cost.energy_sentence(finding)], numbers.energy_numbers)
    cascade = best_cascade(tables.cascades)
    if line.claim and cascade.state != "unknown":
        line.add(cascade, cascades.cascade_sentences(cascade), numbers.cascade_numbers)
    return line


def evidence_line(tables: Tables, model: str) -> FindingLine:
    """Return where the evidence of a model lies, and whether maps agree across sizes."""
    line = FindingLine("Evidence", figure="evidence_by_resolution")
    alarms = evidence_findings.evidence_alarms(tables.alarms, tables.interventions)
    if alarms:
        line.is_alarm, line.claim = True, evidence.alarm_claim(alarms)
        line.figure = "right_answer_wrong_reason"
        for finding in alarms[:MAX_ALARMS]:
            line.add(finding, evidence.alarm_sentences(finding), numbers.alarm_numbers)
    _add_localisation(line, tables, model)
    failed = failed_methods(tables.sanity)
    agreement = agreement_finding(tables.agreement, model, failed)
    if not line.claim and agreement.state != "unknown":
        line.figure = "agreement"
    line.add(agreement, evidence.agreement_sentences(agreement), numbers.agreement_numbers)
    references = reference_agreement(tables.agreement, agreement) if agreement.parts else []
    for finding in references:
        line.add(finding, [], numbers.reference_numbers)
    # A method that ignores the weights supports no sentence about the network.
    gains = evidence_findings.faithfulness_gains(tables.faithfulness)
    gains = drop_failed_methods(gains, failed)
    faithful = evidence_findings.faithfulness_of_model(gains, model)
    if faithful is not None:
        title = evidence.faithfulness_title(evidence_findings.faithful_methods(gains))
        line.add(faithful, [f"{title}."], numbers.faithfulness_numbers)
    for finding in evidence_findings.interventions_of_model(tables.interventions, model):
        sentence = evidence.intervention_sentence(finding)
        line.add(finding, [sentence], numbers.intervention_numbers)
    return line


def _add_localisation(line: FindingLine, tables: Tables, model: str) -> None:
    """Add how much of the relevance lies on the object, and whether it follows the stripes."""
    failed = failed_methods(tables.sanity)
    localisation = evidence_findings.localisation(tables.explanations, failed, model)
    if localisation.state == "unknown":
        return
    sentences = [
        f"{evidence.localisation_title(localisation, None)}.",
        evidence.localisation_sentence(localisation),
    ]
    line.add(localisation, sentences, numbers.localisation_numbers)
    contrast = evidence_findings.contrast(tables.explanations, failed, model)
    if contrast is not None:
        line.add(contrast, [evidence.contrast_sentence(contrast)], numbers.contrast_numbers)


def images_line(tables: Tables, facts: Facts) -> FindingLine:
    """Return what is wrong with the images, or which detail each size keeps."""
    line = FindingLine("Images", figure="information_by_resolution")
    alarms = list(data.dataset_alarms(facts))
    resolutions = sorted(set(tables.cells["resolution"]))
    if alarms:
        line.is_alarm, line.figure = True, "contact_sheet"
        # The first sentence names no file; the example and what follows from it come after it.
        claim, _, rest = alarms[0].partition(". ")
        line.add(data_findings.copies(facts), [f"{claim}.", rest, *alarms[1:]])
    detail = data_findings.detail_kept(facts, resolutions)
    line.add(detail, data.detail_sentences(facts, resolutions), numbers.detail_numbers)
    return line
