// A printed page has no folds to open: those that are closed open for the print.
"use strict";

(() => {
  let opened = [];

  addEventListener("beforeprint", () => {
    // The tables behind charts are not printed: the drawings are, and the tables are long.
    opened = [...document.querySelectorAll("details:not([open], .numbers)")];
    for (const fold of opened) fold.open = true;
  });

  addEventListener("afterprint", () => {
    for (const fold of opened) fold.open = false;
  });
})();
