// The card of a cell: opens where `resomap.announce("cell", ...)` names one.
"use strict";

(() => {
  const values = resomap.data("cell-cards");
  if (!values) return;
  const { element } = resomap;
  const dialog = element("dialog", { class: "cell-card", "aria-labelledby": "cell-card-title" });
  document.body.append(dialog);
  let opener = null;

  function table(caption, heads, rows) {
    if (!rows.length) return [];
    const head = element("tr", {}, ...heads.map((name) => element("th", { scope: "col" }, name)));
    const body = rows.map((row) => element("tr", {}, ...row.map((text) => element("td", {}, element("bdi", {}, text)))));
    const made = element("table", {}, element("caption", {}, caption), element("thead", {}, head), element("tbody", {}, ...body));
    // Scrollable by keys, too.
    return [element("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": caption }, made)];
  }

  function link(card) {
    if (!card.explained || !document.querySelector("#explanation-browser .browser")) return [];
    const made = element("a", { href: "#explanation-browser" }, values.browse);
    made.addEventListener("click", (event) => {
      event.preventDefault();
      // The reader goes on in the browser, so the focus does not return to where it was.
      opener = null;
      dialog.close();
      resomap.announce("explanations", { model: card.model, resolution: card.resolution });
    });
    return [element("p", {}, made)];
  }

  function fill(card) {
    const close = element("button", { type: "button", class: "close", "aria-label": values.close }, "✕");
    close.addEventListener("click", () => dialog.close());
    const title = element("h2", { id: "cell-card-title" }, element("bdi", {}, card.model), ` ${card.resolution} px`);
    const facts = card.facts.flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)]);
    dialog.replaceChildren(
      close,
      title,
      ...card.alarms.map((sentence) => element("p", { class: "alarm" }, sentence)),
      element("dl", {}, ...facts),
      ...table(values.costs, values.cost_columns, card.costs),
      ...table(values.classes, values.class_columns, card.classes),
      ...link(card),
    );
  }

  dialog.addEventListener("close", () => {
    if (opener?.isConnected) opener.focus();
  });
  // A click beside the card closes it, as Escape does.
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  resomap.listen("cell", ({ family, model, resolution }) => {
    const card = values.cards.find(
      (each) => each.model === model && each.resolution === Number(resolution) && (!family || each.family === family),
    );
    if (!card) return;
    if (dialog.open) dialog.close();
    opener = document.activeElement;
    fill(card);
    dialog.showModal();
  });
})();
