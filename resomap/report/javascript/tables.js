// Tables of the page: sorted by any column, and searched.
"use strict";

(() => {
  const isBlank = (cell) => cell.textContent.trim() === "";

  // The value that a cell is sorted by: its data-value, else its first number, else its text.
  function sortValue(cell) {
    const stored = cell.dataset.value;
    if (stored !== undefined) return Number(stored);
    const text = cell.textContent.trim();
    const number = Number.parseFloat(text.replace(/,/g, "").replace(/^\u2212/, "-"));
    return Number.isNaN(number) || !/^[\u2212\d.]/.test(text) ? text.toLowerCase() : number;
  }

  function compare(first, second) {
    if (typeof first === "number" && typeof second === "number") return first - second;
    return String(first).localeCompare(String(second));
  }

  function sortRows(table, column, sign) {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [row, row.cells[column]]);
    // Blanks last in both directions: they are unknown, neither small nor large.
    const known = rows.filter(([, cell]) => !isBlank(cell));
    const keyed = known.map(([row, cell]) => [sortValue(cell), row]);
    keyed.sort(([first], [second]) => sign * compare(first, second));
    const unknown = rows.filter(([, cell]) => isBlank(cell)).map(([row]) => row);
    body.append(...keyed.map(([, row]) => row), ...unknown);
  }

  function sortBy(table, head) {
    const ascending = head.getAttribute("aria-sort") !== "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    sortRows(table, head.cellIndex, ascending ? 1 : -1);
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const head of table.tHead.rows[0].cells) {
      const button = resomap.element("button", { type: "button", class: "sort" });
      button.append(...head.childNodes);
      button.addEventListener("click", () => sortBy(table, head));
      head.append(button);
    }
  }

  // Whether the text of a row has every word of a search.
  resomap.rowMatches = (row, search) => {
    const text = row.textContent.toLowerCase();
    return search.toLowerCase().split(/\s+/).every((word) => text.includes(word));
  };
})();
