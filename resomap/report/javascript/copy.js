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

  // Copy the text of an element; false where a browser keeps the clipboard from a page opened from
  // a file, and the text is selected instead.
  resomap.copy = async (node) => {
    try {
      await navigator.clipboard.writeText(node.textContent);
      return true;
    } catch {
      select(node);
      return document.execCommand("copy");
    }
  };

  for (const button of document.querySelectorAll("button.copy")) {
    button.addEventListener("click", async () => {
      const isCopied = await resomap.copy(document.getElementById(button.dataset.copies));
      const result = isCopied ? "Copied" : "Selected: copy it with Ctrl+C";
      button.parentElement.querySelector("output").textContent = result;
    });
  }
})();
