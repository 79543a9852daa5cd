// Writes the first screen anew about another choice.
"use strict";

(() => {
  const words = resomap.data("controls");
  const { format, element } = resomap;
  const find = (id) => document.getElementById(id);

  // A live region is read aloud whenever it is written, so it is only written when it differs.
  function write(id, text) {
    const place = find(id);
    const shown = format.unbroken(text);
    if (place.textContent.trim() !== shown) place.textContent = shown;
  }

  function writeNumbers(numbers) {
    const rows = Object.entries(numbers).flatMap(([name, value]) => [
      element("dt", {}, name),
      element("dd", {}, format.unbroken(value)),
    ]);
    find("answer-numbers").replaceChildren(...rows);
  }

  function writeReasons(reasons, more) {
    const items = reasons.map((reason) => element("li", {}, format.unbroken(reason)));
    if (more) items.push(element("li", {}, element("a", { href: "#candidates" }, more)));
    find("answer-reasons").replaceChildren(...items);
    find("why-not").hidden = items.length === 0;
  }

  // The command that gives the same answer, and the advice that the page cannot compute.
  function writeCommand(record, isOwn) {
    const place = find("answer-command");
    place.hidden = isOwn;
    if (isOwn) return;
    const code = element("code", {}, record.command);
    const button = element("button", { type: "button" }, words.copy);
    button.addEventListener("click", async () => {
      button.textContent = (await resomap.copy(code)) ? words.copied : words.selected;
    });
    const isProvisional = Boolean(record.provisional_advice);
    const needed = isProvisional ? format.candidate(record.needed) : "";
    const lead = isProvisional ? words.provisional.replace("{needed}", () => needed) : words.command;
    place.replaceChildren(`${lead} `, code, " ", button);
    place.classList.toggle("provisional", isProvisional);
  }

  // Show a record of the choice; `isOwn` where it is that of the sweep.
  resomap.showAnswer = (record, isOwn) => {
    const screen = resomap.firstScreen(record);
    write("answer-sentence", screen.answer);
    write("answer-certainty", screen.certainty.join(" "));
    writeNumbers(screen.numbers);
    writeReasons(screen.reasons, screen.more);
    writeCommand(record, isOwn);
  };
})();
