// The sentences of the first screen about any choice: the facts, and the cases of Python's words.
"use strict";

(() => {
  const words = resomap.data("words");
  const { format } = resomap;
  const yes = (holds) => (holds ? "yes" : "");

  const holds = (name, facts) => (name[0] === "!" ? !facts[name.slice(1)] : Boolean(facts[name]));

  const fill = (text, facts) => text.replace(/\{(\w+)\}/g, (_, name) => facts[name] ?? "");

  // Return the text of the first case that holds, filled in; blank where none does.
  function pick(cases, facts) {
    for (const [when, text] of cases) {
      const names = when.split(" ").filter(Boolean);
      if (names.every((name) => holds(name, facts))) return fill(text, facts);
    }
    return "";
  }

  const isSame = (first, second) => format.candidate(first) === format.candidate(second);

  const accuracyOf = (one, record) => format.accuracy(one.test_accuracy, record.rules.confidence);

  const differing = (names) => format.join(names.map((name) => words.confounds[name] ?? name));

  function remedy(needed) {
    const { confounds, more_seeds: seeds, more_images: images } = needed;
    return pick(words.remedies, {
      confounds: confounds.length ? differing(confounds) : "",
      acceptance: `report.accept_confounds: [${confounds.join(", ")}]`,
      more_seeds: seeds ? format.count(seeds, "more seed") : "",
      more_images: images ? format.count(images, "more test image") : "",
      one_seed: yes(needed.n_seeds === 1),
      few_seeds: yes(needed.n_seeds < words.seeds_for_images),
    });
  }

  function statusFacts(record) {
    const { status, excluded } = record;
    const confounds = record.confounds.filter((one) => !one.accepted).map((one) => one.name);
    const weak = {
      undecided: status === "undecided",
      confounded: confounds.length > 0,
      disturbed: record.provisional.length > 0,
    };
    const weakened = Object.keys(words.weakened).filter((name) => weak[name]);
    const names = weakened.map((name) => words.weakened[name]);
    return {
      status_chosen: yes(status === "chosen"),
      status_best: yes(status === "best"),
      undecided: yes(weak.undecided),
      nothing_learned: yes(status === "nothing learned"),
      none: yes(status === "none"),
      weakened: names.length ? format.sentenceCase(format.join(names)) : "",
      disturbed: yes(weak.disturbed),
      confounded: confounds.length ? differing(confounds) : "",
      excluded: excluded.length ? format.whole(excluded.length) : "",
      unmeasured: yes(record.unmeasured?.length),
      device: record.device ?? "",
    };
  }

  // Whether the choice is in int8 and not shown to keep the accuracy of fp32.
  function isUnproven(record) {
    const chosen = record.choice;
    const keys = ["family", "model", "resolution", "eval_resolution"];
    const own = (record.exports ?? []).filter(
      (one) => !one.problem && keys.every((key) => one[key] === chosen[key]),
    );
    return chosen.mode === "int8" && own.some((one) => !one.keeps_accuracy);
  }

  function chosenFacts(record) {
    const { choice, certified, rules, baseline } = record;
    const isCertified = Boolean(certified) && isSame(certified, choice);
    const isFrugal = rules.attitude === "frugal" && record.status !== "best" && !isCertified;
    const facts = {
      name: format.candidate(choice),
      accuracy: accuracyOf(choice, record),
      seeds: format.count(choice.n_seeds, "seed"),
      one_seed: yes(choice.n_seeds === 1),
      certified: yes(isCertified),
      is_best: yes(isSame(choice, record.best)),
      unproven: yes(isUnproven(record)),
      at_chance: yes(choice.test_accuracy.low <= baseline.majority_accuracy),
      frugal: yes(isFrugal),
    };
    if (choice.latency_ms_p50 === null) return facts;
    return {
      ...facts,
      latency: format.milliseconds(choice.latency_ms_p50),
      latency_p90: format.milliseconds(choice.latency_ms_p90),
      latency_invalid: yes(!choice.latency_valid),
    };
  }

  function comparisonFacts(record) {
    const { needed, regret, comparisons, rules, baseline } = record;
    const isOnTest = record.tested_on === "test";
    return {
      only: yes(!comparisons.length),
      faster: yes(comparisons.some((one) => one.cheaper)),
      at_most: format.points(regret.at_most),
      near: yes(regret.at_most <= rules.margin),
      difference: format.difference(regret),
      images: isOnTest ? format.count(baseline.n_test, "test image") : "",
      needed: needed ? format.candidate(needed) : "",
      is_needed: yes(needed && isSame(needed, record.choice)),
      // The page has no advice about comparisons that the sweep did not make.
      remedy: needed && !record.provisional_advice ? remedy(needed) : "",
    };
  }

  function choiceFacts(record) {
    const { rules, baseline, best } = record;
    const facts = {
      margin: format.points(rules.margin),
      confidence: format.percent(rules.confidence),
      wrong: format.general(100 * (1 - rules.confidence), 6),
      ...statusFacts(record),
    };
    if (baseline) {
      facts.majority = format.fixed(baseline.majority_accuracy, 3);
      facts.allowed = yes(baseline.allowed);
    }
    if (best) {
      facts.best = format.candidate(best);
      facts.best_accuracy = accuracyOf(best, record);
    }
    if (record.choice) Object.assign(facts, chosenFacts(record), comparisonFacts(record));
    for (const [name, cases] of Object.entries(words.phrases)) facts[name] = pick(cases, facts);
    return facts;
  }

  // What a faster candidate loses, or may lose.
  function lossFacts(one) {
    const latency = { rival_latency: format.milliseconds(one.latency_ms_p50) };
    if (one.verdict === "worse") return { ...latency, loses: format.points(-one.difference.mean) };
    return { ...latency, may_lose: format.points(one.shown_within) };
  }

  // The excluded candidates, but for other ways of running a network.
  function excludedNetworks({ choice, best, comparisons, excluded }) {
    const key = (one) => JSON.stringify(words.network.map((name) => one[name]));
    const seen = new Set([choice, best, ...comparisons].filter(Boolean).map(key));
    return excluded.filter((one) => !seen.has(key(one)) && seen.add(key(one)));
  }

  // What keeps each rival from being chosen: the best, the excluded, the faster ones.
  function* rivalFacts(record) {
    const { choice, best, comparisons } = record;
    if (choice && !isSame(best, choice)) {
      const latency = best.latency_ms_p50;
      const isSlower = latency !== null && latency > choice.latency_ms_p50;
      const rivalLatency = isSlower ? format.milliseconds(latency) : "";
      yield { rival: format.candidate(best), is_slower: yes(isSlower), rival_latency: rivalLatency };
    }
    for (const one of excludedNetworks(record)) {
      yield { rival: format.candidate(one), reason: one.reason };
    }
    // The most accurate first: they are the closest rivals.
    const nearest = [...comparisons];
    nearest.sort((first, second) => second.difference.mean - first.difference.mean);
    for (const one of nearest) {
      if (!one.cheaper || one.verdict === "within" || isSame(one, choice)) continue;
      yield { rival: format.candidate(one), ...lossFacts(one) };
    }
  }

  // Return the sentences about a choice by their place, as first_screen() of Python does.
  resomap.firstScreen = (record) => {
    const facts = choiceFacts(record);
    const numbers = Object.entries(words.numbers).map(([name, cases]) => [name, pick(cases, facts)]);
    const reasons = [...rivalFacts(record)].map((one) => pick(words.reason, { ...facts, ...one }));
    const more = reasons.length - words.max_reasons;
    return {
      answer: pick(words.answer, facts),
      certainty: words.certainty.map((cases) => pick(cases, facts)).filter(Boolean),
      numbers: Object.fromEntries(numbers.filter(([, text]) => text)),
      reasons: reasons.slice(0, words.max_reasons),
      more: more > 0 ? fill(words.more_reasons, { count: String(more) }) : "",
    };
  };
})();
