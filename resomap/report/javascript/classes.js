// The table of classes: the ones that change most, and by search all others.
"use strict";

(() => {
  const table = document.getElementById("class-table");
  if (!table) return;
  const search = document.getElementById("class-search");
  const rows = [...table.tBodies[0].rows];
  const most = Number(table.dataset.shown);

  // Only the name counts: a search for 96 means a class, not an accuracy.
  function findRows() {
    const wanted = search.value.trim();
    let found = 0;
    for (const row of rows) {
      const fits = resomap.rowMatches(row.cells[0], wanted);
      row.hidden = !fits;
      row.classList.toggle("found", wanted !== "" && fits);
      found += fits;
    }
    const shown = wanted === "" ? Math.min(most, rows.length) : found;
    document.getElementById("class-count").textContent = `${shown} of ${rows.length} classes`;
  }

  search.addEventListener("input", findRows);
  findRows();
})();
