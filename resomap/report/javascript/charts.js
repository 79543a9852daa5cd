// Draws the charts in place of the figures of the same names, when a reader comes near them.
"use strict";

(function () {
  const charts = resomap.data("charts") || {};
  const { element } = resomap;
  const { foldTable, showTip, hideTip } = resomap.chartReading;
  const SVG = "http://www.w3.org/2000/svg";
  const TRADE_OFF = "accuracy_by_cost";
  // A chart is drawn while it is this far below the window.
  const NEAR = "600px";
  const redraws = [];
  let answer = null;

  // Return the selectors of a chart, and which rows they leave.
  function makeSelectors(chart, onChange) {
    const selects = chart.selectors.map(({ field, label, names, initial }) => {
      const select = element("select");
      return { field, names, wanted: initial, select, label: element("label", {}, `${label} `, select) };
    });
    // A later selector offers only what the earlier ones leave: not all models have all modes.
    const filter = () => {
      let rows = chart.rows;
      for (const one of selects) {
        const left = [...new Set(rows.map((row) => row[one.field]))];
        const value = left.includes(one.wanted) ? one.wanted : left[0];
        one.select.replaceChildren(...left.map((name) =>
          element("option", { value: name, selected: name === value ? "" : null }, one.names[name])));
        one.label.hidden = Object.keys(one.names).length < 2;
        rows = rows.filter((row) => row[one.field] === value);
      }
      return rows;
    };
    for (const one of selects) {
      one.select.addEventListener("change", () => {
        one.wanted = one.select.value;
        onChange();
      });
    }
    const bar = element("div", { class: "selectors" }, ...selects.map((one) => one.label));
    return { bar, filter };
  }

  // Return the legend: a button a model, which singles it out.
  function makeLegend(chart, onFocus) {
    const list = element("ul", { class: "legend" });
    for (const { name, colour, shape } of chart.series) {
      const drawing = document.createElementNS(SVG, "svg");
      const path = document.createElementNS(SVG, "path");
      drawing.setAttribute("viewBox", "-1.3 -1.3 2.6 2.6");
      drawing.setAttribute("aria-hidden", "true");
      path.setAttribute("d", shape);
      path.style.fill = colour;
      drawing.append(path);
      const button = element("button", { type: "button", "aria-pressed": "false" }, drawing, name);
      button.addEventListener("click", () => {
        const isOn = button.getAttribute("aria-pressed") === "false";
        for (const other of list.querySelectorAll("button")) other.setAttribute("aria-pressed", "false");
        button.setAttribute("aria-pressed", String(isOn));
        onFocus(isOn ? name : "");
      });
      list.append(element("li", {}, button));
    }
    return list;
  }

  // Return the rows of the trade-off under the answer of the page.
  function applyAnswer(rows) {
    if (!answer) return rows;
    const { choice } = answer;
    const same = (one, row) =>
      ["family", "model", "resolution"].every((name) => one[name] === row[name]);
    const isCell = (one) =>
      one.mode === "raw" && !one.variant && one.eval_resolution === one.resolution;
    const excluded = (answer.excluded || []).filter(isCell);
    const decided = answer.status !== "undecided";
    const kept = rows.filter((row) => !row.added).map((row) => {
      const exclusion = excluded.find((one) => same(one, row));
      const chosen = Boolean(choice) && isCell(choice) && same(choice, row);
      return { ...row, chosen, decided, excluded: exclusion ? exclusion.reason : null };
    });
    if (choice && choice.latency_ms_p50 && !kept.some((row) => row.chosen)) {
      kept.push({ ...rowOfChoice(choice), decided });
    }
    return kept;
  }

  // Return the row of a choice that is no cell as trained: at another size, adapted or exported.
  function rowOfChoice(choice) {
    const { mean, low, high } = choice.test_accuracy;
    const ways = [choice.mode === "raw" ? null : choice.mode, choice.variant].filter(Boolean);
    return {
      ...choice, accuracy: mean, accuracy_low: low, accuracy_high: high, way: ways.join(", "),
      label: String(choice.eval_resolution), chosen: true, added: true, excluded: null,
    };
  }

  // Start drawing a chart in `plot`; returns its view.
  function draw(plot, chart) {
    const compiled = vegaLite.compile(chart.spec).spec;
    const options = { expr: vegaInterpreter.expressionInterpreter, renderer: "svg", container: plot };
    const view = new vega.View(vega.parse(compiled, null, { ast: true }), options);
    // The drawing is one image with a name; what it holds is in the table.
    plot.setAttribute("role", "img");
    plot.removeAttribute("aria-roledescription");
    plot.setAttribute("aria-label", chart.label);
    return view;
  }

  // Return the row of a mark, or null for lines, axes and the ground.
  function rowOf(item) {
    const isMark = item && item.datum && item.mark.marktype !== "line";
    return isMark && item.datum.model !== undefined ? item.datum : null;
  }

  function openCell(chart, row) {
    const { family, model } = row;
    resomap.announce("cell", { family, model, resolution: row[chart.resolution] });
  }

  // Show the numbers of the mark under the pointer; a click opens its cell.
  function readByPointer(view, plot, chart) {
    view.addEventListener("mousemove", (event, item) => {
      const row = rowOf(item);
      plot.classList.toggle("on-mark", Boolean(row));
      if (row) showTip(row, chart.columns, event.clientX, event.clientY);
      else hideTip();
    });
    view.addEventListener("click", (event, item) => {
      const row = rowOf(item);
      if (row) openCell(chart, row);
    });
    plot.addEventListener("mouseleave", hideTip);
  }

  // Return the marks that arrow keys step through, in the order of their rows.
  function marksOf(scene) {
    return scene.name === "points_marks" ? scene.items : (scene.items || []).flatMap(marksOf);
  }

  // Step through the marks by arrow keys; Enter opens the cell, Escape ends reading.
  function readByKeys(view, plot, chart) {
    let current = -1;
    const leave = () => {
      for (const mark of plot.querySelectorAll(".reading")) mark.classList.remove("reading");
      hideTip();
    };
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    plot.addEventListener("keydown", (event) => {
      const marks = marksOf(view.scenegraph().root);
      if (event.key in steps && marks.length) {
        event.preventDefault();
        leave();
        const start = current < 0 && steps[event.key] < 0 ? 0 : current;
        current = (start + steps[event.key] + marks.length) % marks.length;
        const { _svg: drawn, datum } = marks[current];
        drawn.classList.add("reading");
        const box = drawn.getBoundingClientRect();
        showTip(datum, chart.columns, box.right - 8, box.bottom - 8);
      } else if (event.key === "Enter" && marks[current]) {
        openCell(chart, marks[current].datum);
      } else if (event.key === "Escape") {
        leave();
        current = -1;
      }
    });
    plot.addEventListener("blur", leave);
  }

  // Put a chart into its place: selectors, legend, drawing and how to read it.
  function mount(holder, name, chart) {
    const plot = element("div", { class: chart.square ? "plot square" : "plot", tabindex: 0 });
    let view = null;
    const { bar, filter } = makeSelectors(chart, () => update());
    const update = () => {
      const rows = name === TRADE_OFF ? applyAnswer(filter()) : filter();
      // A view marks the objects it is given, so each has its own.
      view.data("rows", rows.map((row) => ({ ...row }))).runAsync();
    };
    const legend = makeLegend(chart, (model) => view.signal("focus", model).runAsync());
    const hint = element("span", { class: "hint" }, ` ${chart.hint}`);
    const note = element("p", { class: "note" }, chart.note, hint);
    holder.append(bar, legend, plot, note);
    view = draw(plot, chart);
    update();
    readByPointer(view, plot, chart);
    readByKeys(view, plot, chart);
    if (name === TRADE_OFF) redraws.push(update);
  }

  // Replace the drawing in `place`; what cannot be drawn keeps it.
  function tryToMount(place, holder, name) {
    try {
      mount(holder, name, charts[name]);
    } catch (error) {
      place.classList.remove("charted");
      holder.remove();
      console.error(error);
    }
  }

  // Reserve the room of a chart, and draw it when the reader comes near.
  function prepare(place, name, isFigure) {
    const chart = charts[name];
    const holder = element("div", { class: "chart" });
    place.classList.add("charted");
    if (isFigure) {
      place.prepend(element("p", { class: "claim" }, chart.title), holder);
      place.append(foldTable(chart, name, Boolean(place.querySelector("figcaption .data"))));
    } else {
      place.prepend(holder);
    }
    const observer = new IntersectionObserver(([entry]) => {
      if (!entry.isIntersecting) return;
      observer.disconnect();
      tryToMount(place, holder, name);
    }, { rootMargin: NEAR });
    // Not the holder: the content of a figure that is far away is not laid out.
    observer.observe(place);
  }

  for (const name of Object.keys(charts)) {
    const figure = document.getElementById(name);
    if (figure) prepare(figure, name, true);
  }
  const first = document.getElementById("trade-off");
  if (first && charts[TRADE_OFF] && !first.querySelector(".charted")) {
    prepare(first, TRADE_OFF, false);
  }

  // The title of the figure is a claim about the limits of the configuration alone.
  function retitle() {
    const chart = charts[TRADE_OFF];
    const ring = (rows) => rows.find((row) => row.chosen) || {};
    const [before, now] = [ring(chart.rows), ring(applyAnswer(chart.rows))];
    const names = ["model", "resolution", "eval_resolution", "latency_ms_p50"];
    const isSame = names.every((name) => before[name] === now[name]);
    const title = isSame ? chart.title : chart.other_title;
    for (const claim of document.querySelectorAll(`#${TRADE_OFF} > .claim`)) claim.textContent = title;
    for (const plot of document.querySelectorAll(`#${TRADE_OFF} .plot`)) {
      plot.setAttribute("aria-label", isSame ? chart.label : title);
    }
  }

  resomap.listenAfterPaint("answer", (record) => {
    answer = record;
    if (charts[TRADE_OFF]) retitle();
    for (const redraw of redraws) redraw();
  });
})();
