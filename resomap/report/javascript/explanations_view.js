// What stands beside the pictures of the explanation browser: answer, probabilities, evidence.
"use strict";

resomap.explanationView = (() => {
  const { element } = resomap;

  // Fill the {names} of a sentence.
  function fill(sentence, values) {
    return sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  }

  function number(value, digits = 2) {
    if (value === null) return "–";
    return resomap.format.number(value, digits);
  }

  // Return marks and words of what is to be known of an image in a cell.
  function marks(data, outcome) {
    const { words } = data;
    const found = [];
    if (outcome.alarm) found.push(["alarm", "!", words.alarm]);
    if (outcome.wrongReason) found.push(["reason", "?", words.wrong_reason]);
    if (!outcome.right) found.push(["wrong", "✕", words.wrong]);
    return found;
  }

  function verdict(data, outcome) {
    if (!outcome.right) return data.words.wrong;
    return outcome.wrongReason ? data.words.wrong_reason : data.words.right;
  }

  function answer(list, data, cell, seed, place) {
    const image = data.images[place];
    const outcome = data.outcome(cell, seed, place);
    const tags = marks(data, outcome).map(([kind, , word]) => element("span", { class: `tag ${kind}` }, word));
    if (outcome.right && !outcome.wrongReason) {
      tags.push(element("span", { class: "tag right" }, data.words.right));
    }
    const rows = [
      [data.words.file, [`no. ${image.index} `, element("small", { dir: "auto" }, image.source)]],
      [data.words.truth, [name(data, image.label)]],
      [data.words.prediction, [name(data, outcome.prediction), " ", ...tags.flatMap((tag) => [tag, " "])]],
    ];
    list.replaceChildren(
      ...rows.flatMap(([term, parts]) => [element("dt", {}, term), element("dd", {}, ...parts)]),
    );
  }

  // Return the name of a class, isolated: letters of another direction must not turn the line.
  function name(data, label) {
    return element("bdi", {}, data.classes[label]);
  }

  function probabilities(body, data, cell, seed, place) {
    const top = data.run(cell, seed).top[place];
    const rows = [];
    for (let i = 0; i < top.length; i += 2) {
      const share = top[i + 1] / 1000;
      const bar = element("span", { class: "bar" });
      bar.style.setProperty("--share", share);
      const isLabel = top[i] === data.images[place].label;
      rows.push(
        element(
          "tr",
          { class: isLabel && "truth" },
          element("th", { scope: "row" }, name(data, top[i]), isLabel ? ` (${data.words.truth})` : ""),
          element("td", {}, bar),
          element("td", {}, resomap.format.fixed(share, 3)),
        ),
      );
    }
    body.replaceChildren(...rows);
  }

  function evidence(table, data, state, cell) {
    const ofSeed = data.cellsOf(cell.model).filter((each) => each.seeds.includes(state.seed));
    const largest = ofSeed.at(-1).resolution;
    const heads = [data.words.method, data.words.share, data.words.mass];
    heads.push(fill(data.words.agreement, { resolution: largest }));
    table.tHead.replaceChildren(
      element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head))),
    );
    const rows = cell.methods.map((method) => {
      const values = ["share", "mass", "agreement"].map((measure) =>
        data.measure(cell, method.method, state.seed, state.place, measure),
      );
      const texts = values.map((value) => number(value));
      if (cell.resolution === largest) texts[2] = data.words.reference;
      const note = method.failed ? ` (${data.words.failed})` : "";
      return element(
        "tr",
        { class: method.failed ? "failed" : method.method === state.method && "current" },
        element("th", { scope: "row" }, data.words.methods[method.method] + note),
        ...texts.map((text) => element("td", {}, text)),
      );
    });
    table.tBodies[0].replaceChildren(...rows);
  }

  // Return the sentence of what is shown, for readers of screens.
  function describe(data, state, cell, count, place) {
    const outcome = data.outcome(cell, state.seed, state.place);
    return fill(data.words.shown, {
      place,
      count,
      index: data.images[state.place].index,
      label: data.classes[data.images[state.place].label],
      model: cell.model,
      resolution: cell.resolution,
      seed: state.seed,
      method: data.words.methods[state.method],
      prediction: data.classes[outcome.prediction],
      verdict: verdict(data, outcome),
      share: number(data.meanShare(cell, state.seed, state.place)),
    });
  }

  return { answer, describe, evidence, fill, marks, number, probabilities, verdict };
})();
