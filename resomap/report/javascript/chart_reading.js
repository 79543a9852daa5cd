// How the numbers of a chart are read: in words, beside a mark, and in a table.
"use strict";

resomap.chartReading = (function () {
  const DASH = "\u2013";
  // Room between the pointer and the tooltip, and between it and the edge of the window, px.
  const GAP = 14;

  const WRITE = {
    text: String,
    px: (value) => `${value} px`,
    count: (value) => value.toLocaleString("en-US"),
    accuracy: (value) => resomap.format.fixed(value, 3),
    decimals: (value) => resomap.format.number(value, 2),
    digits: (value) =>
      value < 99.95 ? value.toPrecision(3) : Math.round(value).toLocaleString("en-US"),
    yes: (value) => (value ? "yes" : ""),
  };

  const isBlank = (value) => value === null || value === undefined || value === "";

  // Return a value as text; one of several numbers as a list.
  function write(value, form) {
    if (isBlank(value)) return "";
    return Array.isArray(value) ? value.map(WRITE[form]).join(", ") : WRITE[form](value);
  }

  // Return the ends of the interval of a column as text; blank where a row has none.
  function writeInterval(row, column) {
    const ends = [row[column.low], row[column.high]];
    if (!column.low || ends.some(isBlank)) return "";
    return ends.map((end) => write(end, column.form)).join(ends[0] < 0 ? " to " : DASH);
  }

  // Return the numbers of a row as pairs of label and text, without blank ones.
  function describe(row, columns) {
    const lines = [];
    for (const column of columns) {
      const [value, interval] = [write(row[column.field], column.form), writeInterval(row, column)];
      if (value) lines.push([column.label, interval ? `${value} (${interval})` : value]);
    }
    return lines;
  }

  const tip = resomap.element("div", { class: "chart-tip", role: "status", hidden: "" });
  document.body.append(tip);

  // Show the numbers of a row beside a point of the window.
  function showTip(row, columns, x, y) {
    const list = resomap.element("dl");
    for (const [label, text] of describe(row, columns)) {
      list.append(resomap.element("dt", {}, label), resomap.element("dd", {}, text));
    }
    tip.replaceChildren(list);
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    const room = document.documentElement.clientWidth - width - GAP;
    const below = y + GAP + height < window.innerHeight;
    tip.style.left = `${Math.max(0, Math.min(x + GAP, room))}px`;
    tip.style.top = `${Math.max(0, below ? y + GAP : y - GAP - height)}px`;
  }

  function hideTip() {
    tip.hidden = true;
  }

  // Return the rows of a chart as a table, with the interval below its number.
  function makeTable(chart) {
    const { element } = resomap;
    const shown = chart.columns.filter(({ field }) =>
      chart.rows.some((row) => !isBlank(row[field]) && row[field] !== false));
    const head = element("tr");
    for (const column of shown) {
      head.append(element("th", { scope: "col", class: alignment(column) }, column.label));
    }
    const body = element("tbody");
    for (const row of chart.rows) {
      const line = element("tr");
      for (const column of shown) line.append(makeCell(row, column));
      body.append(line);
    }
    const caption = element("caption", {}, chart.title);
    return element("table", {}, caption, element("thead", {}, head), body);
  }

  const alignment = (column) => (column.form === "text" ? "text" : null);

  function makeCell(row, column) {
    const text = write(row[column.field], column.form);
    const cell = resomap.element("td", { class: alignment(column) }, text);
    const interval = writeInterval(row, column);
    if (interval) cell.append(" ", resomap.element("small", {}, interval));
    return cell;
  }

  // Return the rows as the text of a CSV file.
  function writeCsv(rows) {
    const names = Object.keys(rows[0]);
    // A spreadsheet would compute a name of the user that begins like a formula. Numbers are kept.
    const isFormula = (value) => typeof value === "string" && /^[=+\-@\t\r]/.test(value);
    const text = (value) => `${isFormula(value) ? "'" : ""}${value ?? ""}`;
    const quote = (value) => `"${text(value).replaceAll('"', '""')}"`;
    const lines = rows.map((row) => names.map((name) => quote(row[name])).join(","));
    return [names.join(","), ...lines, ""].join("\n");
  }

  // Return a link to the rows, for figures whose own CSV file is too large for the page.
  function linkCsv(chart, name) {
    const link = resomap.element("a", { class: "data", download: `${name}.csv` }, chart.download);
    link.href = URL.createObjectURL(new Blob([writeCsv(chart.rows)], { type: "text/csv" }));
    return link;
  }

  // Return the table as a fold, which is filled when it opens: many readers never open it.
  function foldTable(chart, name, hasCsv) {
    const { element } = resomap;
    const fold = element("details", { class: "numbers" }, element("summary", {}, chart.summary));
    fold.addEventListener("toggle", () => {
      if (fold.children.length > 1) return;
      const region = { class: "scroll", tabindex: 0, role: "region", "aria-label": chart.title };
      fold.append(element("div", region, makeTable(chart)));
      if (!hasCsv) fold.append(element("p", {}, linkCsv(chart, name)));
    });
    return fold;
  }

  return { foldTable, showTip, hideTip };
})();
