// Why a candidate cannot be chosen: filters and budgets, as `analysis/decision/budgets.py` and
// `selection.py` apply them. The bounds come from answer.json.
"use strict";

(() => {
  const { fixed, general, milliseconds } = resomap.format;
  const FILTERS = [
    ["models", "model", "its model is not selected"],
    ["variants", "selected_by", "its variant is not selected"],
    ["modes", "mode", "its mode is not selected"],
  ];

  function tooLow(name, [value, low], limit) {
    const measured = `${name} ${fixed(value, 3)}`;
    if (value < limit) return `${measured} is below ${general(limit, 6)}`;
    if (low === null || !(low < limit)) return null;
    return `${measured} is not shown to reach ${general(limit, 6)} (it may be ${fixed(low, 3)})`;
  }

  function tooHigh(name, [value, highest], limit, form) {
    const measured = `${name} ${form(value)}`;
    if (value > limit) return `${measured} is above ${form(limit)}`;
    if (highest === null || !(highest > limit)) return null;
    return `${measured} is not shown to keep ${form(limit)} (it may be ${form(highest)})`;
  }

  function failures(candidate, rules) {
    const failed = candidate.failed_seeds;
    if (failed <= rules.max_failed_seeds) return null;
    const total = failed + candidate.seeds.length;
    return `${failed} of ${total} seeds diverged or did not fit in memory`;
  }

  function accuracies(candidate, rules) {
    const { min_accuracy: lowest, min_balanced_accuracy: balanced } = rules;
    return (
      (lowest !== null && tooLow("validation accuracy", candidate.accuracy, lowest)) ||
      (balanced !== null &&
        tooLow("balanced accuracy", candidate.balanced_accuracy, balanced)) ||
      candidate.recall
    );
  }

  function latency(candidate, rules) {
    const limit = rules.max_latency_ms;
    if (limit === null) return null;
    if (candidate.latency_ms_p90 === null) return "its latency was not measured";
    return tooHigh("p90 latency", candidate.latency_ms_p90, limit, milliseconds);
  }

  function cost(candidate, rules, { key, column, name, unit }) {
    const limit = rules[key];
    if (limit === null) return null;
    if (candidate[column] === null) return `its ${name} was not measured`;
    return tooHigh(name, candidate[column], limit, (value) => `${general(value, 4)} ${unit}`);
  }

  function evidence(candidate, rules) {
    if (rules.alarms === "forbidden") {
      if (candidate.alarm === null) return "its evidence was not examined";
      if (candidate.alarm === "fires") return "the alarm about its evidence fires";
    }
    const limit = rules.min_localisation;
    if (limit === null) return null;
    const lowest = candidate.localisation;
    if (lowest === null) return "its localisation was not measured";
    if (!(lowest < limit)) return null;
    const reached = `localisation is not shown to reach ${general(limit, 6)}`;
    return `${reached} (it may be ${fixed(lowest, 2)})`;
  }

  // Return which name of a candidate is not selected; null where all are.
  function notSelected(candidate, selection) {
    const found = FILTERS.find(
      ([key, column]) => selection[key].length && !selection[key].includes(candidate[column]),
    );
    return found ? found[2] : null;
  }

  // Return why a candidate cannot be chosen, the first reason; null where it can.
  // `costs` are the budgets on costs that answer.json lists.
  function reason(candidate, rules, selection, costs) {
    return (
      notSelected(candidate, selection) ||
      failures(candidate, rules) ||
      accuracies(candidate, rules) ||
      latency(candidate, rules) ||
      costs.reduce((found, budget) => found || cost(candidate, rules, budget), null) ||
      evidence(candidate, rules) ||
      null
    );
  }

  // Return whether an invalid latency keeps a selected candidate from the budget.
  function isSlowAndDisturbed(candidate, rules, selection) {
    return (
      candidate.latency_valid === false &&
      !notSelected(candidate, selection) &&
      Boolean(latency(candidate, rules))
    );
  }

  resomap.budgets = { reason, isSlowAndDisturbed };
})();
