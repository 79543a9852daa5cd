// What the other scripts of the page share: its data, elements, and events.
"use strict";

const resomap = {
  // Return the data block of a name, or null where the page has none.
  data(name) {
    const block = document.getElementById(`data-${name}`);
    return block && JSON.parse(block.textContent);
  },

  // Make an element. Text is only ever set as text, so that names of users stay names.
  element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  },

  // Announce that something changed: `answer` or `cell`, with its details.
  announce(name, detail) {
    document.dispatchEvent(new CustomEvent(`resomap:${name}`, { detail }));
  },

  listen(name, react) {
    document.addEventListener(`resomap:${name}`, (event) => react(event.detail));
  },

  // As `listen`, but after the next paint, and once for what was announced before it: what a
  // drag of a slider redraws must not delay the sentence of the answer.
  listenAfterPaint(name, react) {
    let latest;
    let isPlanned = false;
    const run = () => {
      isPlanned = false;
      react(latest);
    };
    resomap.listen(name, (detail) => {
      latest = detail;
      if (!isPlanned) requestAnimationFrame(() => setTimeout(run));
      isPlanned = true;
    });
  },
};

// Styles show or hide what needs scripts by this class.
document.documentElement.classList.add("scripted");
