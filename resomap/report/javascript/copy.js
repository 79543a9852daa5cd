// Buttons that copy a text of the page.
"use strict";

(() => {
  function select(node) {
    const range = document.createRange();
    range.selectNodeContents(node);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  }

  // Where a browser keeps the clipboard from a page opened from a file, the text is selected.
  async function copy(node) {
    try {
      await navigator.clipboard.writeText(node.textContent);
      return "Copied";
    } catch {
      select(node);
      return document.execCommand("copy") ? "Copied" : "Selected: copy it with Ctrl+C";
    }
  }

  for (const button of document.querySelectorAll("button.copy")) {
    button.addEventListener("click", async () => {
      const result = await copy(document.getElementById(button.dataset.copies));
      button.parentElement.querySelector("output").textContent = result;
    });
  }
})();
