// The rule of `resomap choose` in the page: `resomap.choose(limits)` and the same as a command.
"use strict";

(() => {
  const POWER = 0.8;
  const FILTERS = ["models", "variants", "modes"];
  const FLOORS = ["min_accuracy", "min_balanced_accuracy", "min_localisation"];

  // Return the keys of the limits, in the order of the flags of the command.
  function limitKeys(table) {
    const costs = table.cost_budgets.map((budget) => budget.key);
    return ["max_latency_ms", ...costs, ...FLOORS, "alarms", "max_failed_seeds", "attitude"];
  }

  // Return the rules of the sweep with the limits in their place; null is no budget.
  function applyLimits(table, limits) {
    const rules = { ...table.rules };
    const keys = limitKeys(table);
    for (const [key, value] of Object.entries(limits)) {
      if (FILTERS.includes(key) || value === undefined) continue;
      if (!keys.includes(key)) throw new Error(`${key} is no key of limits`);
      rules[key] = value;
    }
    return rules;
  }

  // Return the names that may be chosen by filter; an empty list stands for all.
  function selected(limits) {
    return Object.fromEntries(FILTERS.map((key) => [key, [...(limits[key] ?? [])]]));
  }

  function identity(candidate) {
    const { family, model, resolution, eval_resolution, mode, variant } = candidate;
    return { family, model, resolution, eval_resolution, mode, variant };
  }

  // Keep the fastest way of running each network: all ways give the same predictions.
  function cheapestWays(table, positions) {
    const fastest = new Map();
    const cost = (position) => table.candidates[position].latency_ms_p50 ?? Infinity;
    for (const position of positions) {
      const { network } = table.candidates[position];
      if (!fastest.has(network)) fastest.set(network, position);
      else if (cost(position) < cost(fastest.get(network))) fastest.set(network, position);
    }
    return [...fastest.values()];
  }

  // Return the candidates within the budgets, and records of the others.
  function applyBudgets(table, rules, selection) {
    const within = [];
    const excluded = [];
    table.candidates.forEach((candidate, position) => {
      const reason = resomap.budgets.reason(
        candidate,
        rules,
        selection,
        table.cost_budgets,
      );
      if (reason) excluded.push({ ...identity(candidate), reason });
      else within.push(position);
    });
    return { allowed: cheapestWays(table, within), excluded };
  }

  function summary(candidate) {
    return {
      ...identity(candidate),
      n_seeds: candidate.seeds.length,
      failed_seeds: candidate.failed_seeds,
      val_accuracy: candidate.val_accuracy,
      test_accuracy: candidate.test_accuracy,
      latency_ms_p50: candidate.latency_ms_p50,
      latency_ms_p90: candidate.latency_ms_p90 && candidate.latency_ms_p90[0],
      latency_valid: candidate.latency_valid,
    };
  }

  // Return the record without a choice; `best` is known where nothing was learned.
  function noChoice(table) {
    const names = ["best", "choice", "certified", "frugal", "runner_up", "regret", "needed"];
    const record = {
      ...Object.fromEntries(names.map((name) => [name, null])),
      status: "none",
      tested_on: null,
      comparisons: [],
      confounds: [],
      minimum_detectable_difference: null,
      provisional_advice: false,
    };
    if (!table.baseline || table.baseline.cells_above) return record;
    const best = table.candidates.reduce((first, second) =>
      second.rank > first.rank ? second : first,
    );
    return { ...record, status: "nothing learned", best: summary(best), provisional: [] };
  }

  // Return the facts that the candidates differ in, and which of them may not be certified.
  function findConfounds(table, members, accepted) {
    const prevented = members.map(() => false);
    const names = [];
    for (const { name, classes, differs } of table.confounds) {
      const present = [...new Set(members.map((member) => classes[member]))];
      const found = new Set(
        present.filter((one) => present.some((other) => differs(one, other))),
      );
      if (!found.size) continue;
      const isAccepted = accepted.includes(name);
      names.push({ name, accepted: isAccepted });
      members.forEach((member, cell) => {
        prevented[cell] ||= !isAccepted && found.has(classes[member]);
      });
    }
    return { names, prevented };
  }

  // Return the names of the facts that two candidates differ in.
  function confoundsBetween(table, first, second) {
    return table.confounds
      .filter(({ classes, differs }) => differs(classes[first], classes[second]))
      .map(({ name }) => name);
  }

  function statusOf(ranking, comparisons) {
    const { certified, best } = ranking;
    if (certified !== null && certified !== best) return "chosen";
    const isBest = comparisons.every((one) => !one.cheaper || one.verdict === "worse");
    if (isBest) return "best";
    return certified === null ? "undecided" : "chosen";
  }

  // Return the cheapest candidate that is not shown to be worse than the best.
  function frugalOf(table, ranking, comparisons) {
    const worse = new Set(
      comparisons.filter((one) => one.verdict === "worse").map((one) => one.cell),
    );
    const of = (cell) => table.candidates[ranking.members[cell]];
    let found = null;
    ranking.members.forEach((_, cell) => {
      if (worse.has(cell) || !ranking.isCheaper(cell, ranking.best)) return;
      const gain = found === null ? 1 : of(found).latency_ms_p50 - of(cell).latency_ms_p50;
      if (gain > 0 || (gain === 0 && of(cell).rank > of(found).rank)) found = cell;
    });
    return found === null ? ranking.best : found;
  }

  function mostPromising(ranking, cells) {
    return cells.reduce(
      (found, cell) =>
        found === null || ranking.ranks[cell] > ranking.ranks[found] ? cell : found,
      null,
    );
  }

  // Return the candidate certified before the choice, else the next most accurate one.
  function runnerUpOf(ranking, choice) {
    const earlier = ranking.successes.filter((cell) => cell !== choice);
    if (earlier.length && choice === ranking.certified) return earlier[earlier.length - 1];
    const others = ranking.members.map((_, cell) => cell).filter((cell) => cell !== choice);
    return mostPromising(ranking, others);
  }

  function regretOf(ranking, choice, confidence) {
    const at_most = ranking.shownWithin[choice];
    if (choice !== ranking.best) {
      return { ...ranking.test.interval(ranking.best, choice, confidence), at_most };
    }
    const method = "the choice is the best cell";
    return { mean: 0, low: 0, high: 0, method, at_most };
  }

  // Return what is open; the advice is simulated, so the page has only that of the sweep.
  function neededOf(table, ranking, comparisons, confounds) {
    const open = comparisons.filter((one) => one.verdict === "open" && one.cheaper);
    if (!open.length || ranking.passed > 1) return null;
    const closest = mostPromising(ranking, open.map((one) => one.cell));
    const { difference } = open.find((one) => one.cell === closest);
    const names = confounds.names.filter((one) => !one.accepted).map((one) => one.name);
    return {
      ...identity(table.candidates[ranking.members[closest]]),
      difference,
      n_seeds: Math.min(...ranking.val.seeds),
      more_seeds: null,
      more_images: null,
      confounds: names,
      power: POWER,
    };
  }

  // Return the advice of the sweep where the same candidates are compared.
  function advice(table, needed, members) {
    // No more seeds or images of runs that differ would certify a cell.
    if (!needed || needed.confounds.length) return { needed, provisional_advice: false };
    const none = { models: [], variants: [], modes: [] };
    const { allowed } = applyBudgets(table, table.rules, none);
    if (!table.needed || allowed.join() !== members.join()) {
      return { needed, provisional_advice: true };
    }
    const { more_seeds, more_images } = table.needed;
    return { needed: { ...needed, more_seeds, more_images }, provisional_advice: false };
  }

  // Return the fields of the record that follow from the comparisons.
  function decide(table, rules, allowed) {
    const confounds = findConfounds(table, allowed, rules.accept_confounds);
    const ranking = new resomap.Ranking(table, allowed, rules, confounds.prevented);
    const comparisons = ranking.comparisons();
    const candidateOf = (cell) => table.candidates[allowed[cell]];
    const summaryOf = (cell) => (cell === null ? null : summary(candidateOf(cell)));
    const frugal = frugalOf(table, ranking, comparisons);
    const standing = ranking.certified === null ? ranking.best : ranking.certified;
    const choice = rules.attitude === "frugal" ? frugal : standing;
    const needed = neededOf(table, ranking, comparisons, confounds);
    const rivals = comparisons.filter((one) => one.verdict !== "worse").map((one) => one.cell);
    return {
      status: statusOf(ranking, comparisons),
      best: summaryOf(ranking.best),
      choice: summaryOf(choice),
      certified: summaryOf(ranking.certified),
      frugal: { ...summaryOf(frugal), at_most: ranking.shownWithin[frugal] },
      runner_up: summaryOf(runnerUpOf(ranking, choice)),
      regret: regretOf(ranking, choice, rules.confidence),
      tested_on: "test",
      comparisons: comparisons.map(({ cell, ...rest }) => ({
        ...identity(candidateOf(cell)),
        ...rest,
        confounds: confoundsBetween(table, allowed[cell], allowed[ranking.best]),
        latency_ms_p50: candidateOf(cell).latency_ms_p50,
      })),
      confounds: confounds.names,
      minimum_detectable_difference: ranking.detectableDifference(POWER),
      ...advice(table, needed, allowed),
      disturbed: [ranking.best, ...rivals]
        .map(candidateOf)
        .filter((candidate) => candidate.latency_valid === false)
        .map(identity),
    };
  }

  // Return the record of the choice, with the fields of choice.json, for other limits than
  // those of the sweep: budgets, `alarms`, `attitude`, `max_failed_seeds`, and lists of names
  // that select candidates (`models`, `variants`, `modes`). A limit that is left out is that of
  // the sweep, null is none, and an empty list selects all.
  resomap.choose = (limits = {}) => {
    const table = resomap.answerTable();
    const rules = applyLimits(table, limits);
    const selection = selected(limits);
    const { allowed, excluded } = applyBudgets(table, rules, selection);
    const isAbove = (position) => table.candidates[position].beats_majority;
    const slow = table.candidates.filter((candidate) =>
      resomap.budgets.isSlowAndDisturbed(candidate, rules, selection),
    );
    const baseline = table.baseline && {
      ...table.baseline,
      allowed: allowed.length,
      allowed_above: allowed.filter(isAbove).length,
    };
    const record = {
      rules,
      selection,
      excluded,
      baseline,
      provisional: slow.map(identity),
      // Networks in int8 and their exports are known after `snakemake deploy` alone.
      exports: [],
      command: resomap.chooseCommand(limits),
    };
    if (!baseline || !baseline.allowed_above) return { ...record, ...noChoice(table) };
    const { disturbed, ...decision } = decide(table, rules, allowed);
    return { ...record, ...decision, provisional: [...record.provisional, ...disturbed] };
  };

  function quote(text) {
    return /^[\w.,:=@%+/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
  }

  // Return the command that gives the same answer: `resomap choose --max-latency-ms 3.1`.
  resomap.chooseCommand = (limits = {}) => {
    const table = resomap.answerTable();
    const sweep = table.rules;
    const words = ["resomap", "choose"];
    const flag = (key) => `--${key.replaceAll("_", "-")}`;
    for (const key of limitKeys(table)) {
      const value = limits[key];
      if (value === undefined || value === sweep[key]) continue;
      words.push(flag(key), value === null ? "none" : String(value));
    }
    for (const key of FILTERS) {
      for (const name of limits[key] ?? []) words.push(flag(key), quote(name));
    }
    return words.join(" ");
  };

  // The first answer decodes megabytes, and browsers compile what runs often: it takes ten times
  // as long as the next one, so a reader does not wait for it.
  (window.requestIdleCallback ?? setTimeout)(() => resomap.answerTable() && resomap.choose());
})();
