// The table of all candidates: search, filter, CSV, and the marks of another answer.
"use strict";

(() => {
  const table = document.getElementById("candidate-table");
  if (!table) return;
  const words = resomap.data("candidates");
  const search = document.getElementById("candidate-search");
  const verdict = document.getElementById("candidate-verdict");
  const link = document.getElementById("candidate-csv");
  const rows = [...table.tBodies[0].rows];
  const keyOf = (identity) => JSON.stringify(identity.map((value) => String(value ?? "")));
  const rowOf = new Map(rows.map((row) => [keyOf(JSON.parse(row.dataset.identity)), row]));

  // Records of a CSV text, as lines: a quoted value may hold line breaks.
  function splitRecords(text) {
    return text.match(/(?:"(?:[^"]|"")*"|[^\n"])+/g) ?? [];
  }

  const [head, ...records] = splitRecords(
    new TextDecoder().decode(
      Uint8Array.from(atob(link.href.split(",")[1]), (letter) => letter.charCodeAt(0)),
    ),
  );
  const recordOf = (row) => records[Number(row.dataset.record ?? -1)];

  function shownRows() {
    return [...table.tBodies[0].rows].filter((row) => !row.hidden);
  }

  // Made when it is followed, so that it has the rows in their order on the page.
  function writeLink() {
    const lines = shownRows().map(recordOf).filter(Boolean);
    const text = `${[head, ...lines].join("\n")}\n`;
    link.href = `data:text/csv;charset=utf-8,${encodeURIComponent(text)}`;
  }

  function filterRows() {
    for (const row of rows) {
      const fits = verdict.value === "" || row.dataset.verdict === verdict.value;
      row.hidden = !(fits && resomap.rowMatches(row, search.value));
    }
    const count = shownRows().length;
    document.getElementById("candidate-count").textContent = `${count} of ${rows.length} rows`;
  }

  search.addEventListener("input", filterRows);
  verdict.addEventListener("change", filterRows);
  link.addEventListener("click", writeLink);
  table.addEventListener("click", (event) => {
    const button = event.target.closest("button.cell-link");
    if (!button) return;
    const { family, model, resolution } = button.dataset;
    resomap.announce("cell", { family, model, resolution: Number(resolution) });
  });
  filterRows();

  const { number, points } = resomap.format;
  const one = (share) => number(100 * share, 1);

  function fill(name, record) {
    const { difference, shown_within: atMost } = record;
    const values = {};
    if (difference) {
      const ends = `${one(-difference.high)} to ${one(-difference.low)}`;
      values.loss = `${points(-difference.mean)} (interval ${ends})`;
      values.at_most = points(atMost);
    }
    return (words.reasons[name] ?? "").replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");
  }

  // Most rows keep their verdict when a slider moves, and hundreds of writes would be felt.
  const shownIn = new Map();

  function mark(row, name, reason) {
    const shown = `${name} ${reason}`;
    if (shownIn.get(row) === shown) return;
    shownIn.set(row, shown);
    row.dataset.verdict = name;
    row.classList.toggle("chosen", name === "chosen" || name === "taken");
    const tag = row.querySelector(".tag");
    tag.className = `tag ${name}`;
    tag.textContent = words.names[name] ?? name;
    row.querySelector(".reason small").textContent = reason;
  }

  // What a record of the choice says about each candidate, by its key.
  function verdictsOf(record) {
    const found = new Map();
    const key = (named) => keyOf(words.identity.map((name) => named[name]));
    const add = (named, name, reason) => {
      if (named) found.set(key(named), [name, reason ?? fill(name, named)]);
    };
    for (const named of record.unmeasured ?? []) add(named, "unmeasured", named.reason);
    for (const named of record.excluded ?? []) add(named, "excluded", named.reason);
    for (const named of record.comparisons ?? []) add(named, named.verdict);
    add(record.best, "best");
    add(record.choice, record.status === "undecided" ? "taken" : "chosen");
    return found;
  }

  // The verdicts that the page shows for the values of the sliders.
  resomap.listenAfterPaint("answer", (record) => {
    const found = verdictsOf(record);
    const other = record.choice ? "slower" : "not learned";
    for (const [key, row] of rowOf) {
      if (row.dataset.record === undefined) continue;
      mark(row, ...(found.get(key) ?? [other, fill(other, {})]));
    }
    refreshVerdicts();
    filterRows();
  });

  // The filter lists the verdicts that occur now.
  function refreshVerdicts() {
    const before = verdict.value;
    const names = [...new Set(rows.map((row) => row.dataset.verdict))];
    verdict.replaceChildren(
      resomap.element("option", { value: "" }, "all"),
      ...names.map((name) => resomap.element("option", { value: name }, words.names[name] ?? name)),
    );
    verdict.value = names.includes(before) ? before : "";
  }
})();
