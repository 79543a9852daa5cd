// The explanation browser: choose image, method, resolution, model and seed, and look.
"use strict";

(() => {
  class ExplanationBrowser {
    constructor(root) {
      this.root = root;
      this.data = resomap.openExplanations();
      this.state = { filter: "all", opacity: 0.85, ...this.first() };
      this.find = (selector) => root.querySelector(selector);
      this.makeControls();
      root.addEventListener("keydown", (event) => this.onKey(event));
    }

    // Return where to begin: the smallest resolution with an alarm, else the smallest one.
    first() {
      const cells = this.data.cells;
      const cell = cells.find((each) => each.fires) || cells[0];
      const passing = cell.methods.find((method) => !method.failed) || cell.methods[0];
      const seed = cell.seeds[0];
      const [place] = this.data.places("all", cell, seed);
      return { model: cell.model, resolution: cell.resolution, seed, method: passing.method, place };
    }

    get cell() {
      return this.data.cell(this.state.model, this.state.resolution);
    }

    get places() {
      return this.data.places(this.state.filter, this.cell, this.state.seed);
    }

    makeControls() {
      for (const choice of ["model", "resolution", "seed"]) {
        this.find(`[data-choice=${choice}]`).addEventListener("change", (event) => {
          const { value } = event.target;
          this.set({ [choice]: choice === "model" ? value : Number(value) });
        });
      }
      this.find("[data-choice=opacity]").addEventListener("input", (event) => {
        this.set({ opacity: event.target.value / 100 });
      });
      for (const radio of this.root.querySelectorAll("[name=explanations-filter]")) {
        radio.addEventListener("change", () => this.set({ filter: radio.value }));
      }
    }

    // Change the state, keep it one that exists, and show it.
    set(change) {
      Object.assign(this.state, change);
      const { state } = this;
      const cells = this.data.cellsOf(state.model);
      if (!cells.includes(this.cell)) state.resolution = cells[0].resolution;
      if (!this.cell.seeds.includes(state.seed)) [state.seed] = this.cell.seeds;
      if (!this.cell.methods.some((method) => method.method === state.method)) {
        state.method = this.cell.methods[0].method;
      }
      const places = this.places;
      if (places.length && !places.includes(state.place)) [state.place] = places;
      return this.show();
    }

    onKey(event) {
      // Lists, sliders and radio buttons have their own use of these keys.
      if (event.altKey || event.ctrlKey || event.metaKey || event.target.matches("select, input")) return;
      const change = this.changeOf(event.key);
      if (!change) return;
      event.preventDefault();
      const inGallery = this.find(".gallery").contains(event.target);
      this.set(change);
      if (inGallery) this.find(".gallery [aria-current=true]")?.focus();
    }

    // Return the change that a key makes; nothing for a key without one.
    changeOf(key) {
      const methods = this.cell.methods.map((method) => method.method);
      const sizes = this.data.cellsOf(this.state.model).map((cell) => cell.resolution);
      const step = (values, value, by) => values[Math.min(Math.max(values.indexOf(value) + by, 0), values.length - 1)];
      const changes = {
        ArrowLeft: () => ({ place: step(this.places, this.state.place, -1) ?? this.state.place }),
        ArrowRight: () => ({ place: step(this.places, this.state.place, 1) ?? this.state.place }),
        ArrowUp: () => ({ resolution: step(sizes, this.state.resolution, 1) }),
        ArrowDown: () => ({ resolution: step(sizes, this.state.resolution, -1) }),
        "[": () => ({ method: step(methods, this.state.method, -1) }),
        "]": () => ({ method: step(methods, this.state.method, 1) }),
      };
      if (/^[1-9]$/.test(key) && methods[key - 1]) return { method: methods[key - 1] };
      return changes[key]?.();
    }

    // Show the state; of several calls in turn, the last one wins.
    async show() {
      const turn = (this.turn = {});
      const { data, state, cell, places } = this;
      this.showControls();
      this.showGallery(places);
      this.find(".empty").hidden = places.length > 0;
      this.find(".look").hidden = places.length === 0;
      if (!places.length) {
        const text = resomap.explanationView.fill(data.words.none, state);
        this.find(".empty").textContent = text;
        this.find(".live").textContent = text;
        return;
      }
      const view = resomap.explanationView;
      view.answer(this.find(".answer"), data, cell, state.seed, state.place);
      view.probabilities(this.find(".probabilities tbody"), data, cell, state.seed, state.place);
      view.evidence(this.find(".evidence"), data, state, cell);
      const place = places.indexOf(state.place) + 1;
      this.find(".live").textContent = view.describe(data, state, cell, places.length, place);
      this.showSizes();
      await this.draw(turn);
      // For tests, and for styles: what is drawn is what was chosen last.
      if (turn === this.turn) this.root.dataset.drawn = JSON.stringify(state);
    }

    showControls() {
      const { data, state, cell } = this;
      const options = { model: data.models, seed: cell.seeds };
      options.resolution = data.cellsOf(state.model).map((each) => each.resolution);
      for (const [choice, values] of Object.entries(options)) {
        const unit = choice === "resolution" ? " px" : "";
        const made = values.map((value) =>
          resomap.element("option", { value, selected: value === state[choice] }, value + unit),
        );
        this.find(`[data-choice=${choice}]`).replaceChildren(...made);
      }
      for (const counter of this.root.querySelectorAll("[data-count]")) {
        counter.textContent = data.places(counter.dataset.count, cell, state.seed).length;
      }
      const buttons = cell.methods.map((method, i) => this.methodButton(method, i));
      this.find(".methods").replaceChildren(...buttons);
      const failed = cell.methods.find((method) => method.method === state.method && method.failed);
      this.find(".failed-note").hidden = !failed;
      const method = data.words.methods[state.method];
      this.find(".failed-note").textContent = resomap.explanationView.fill(data.words.failed_note, { method });
    }

    methodButton(method, i) {
      const { words } = this.data;
      const isShown = method.method === this.state.method;
      const button = resomap.element(
        "button",
        { type: "button", "aria-pressed": String(isShown), class: method.failed && "failed", "data-method": method.method },
        `${i + 1} ${words.methods[method.method]}`,
        method.failed ? resomap.element("small", {}, ` ${words.failed}`) : "",
      );
      button.addEventListener("click", () => {
        this.set({ method: method.method });
        this.find(`[data-method="${CSS.escape(method.method)}"]`).focus();
      });
      return button;
    }

    showGallery(places) {
      const gallery = this.find(".gallery");
      const key = JSON.stringify([places, this.state.model, this.state.resolution, this.state.seed]);
      if (gallery.dataset.key !== key) {
        gallery.dataset.key = key;
        gallery.replaceChildren(...places.map((place) => this.thumbnail(place)));
      }
      for (const button of gallery.children) {
        const isCurrent = Number(button.dataset.place) === this.state.place;
        button.setAttribute("aria-current", String(isCurrent));
        button.tabIndex = isCurrent ? 0 : -1;
        // Not scrollIntoView, which would move the page, too.
        if (isCurrent && (button.offsetTop < gallery.scrollTop || button.offsetTop + button.offsetHeight > gallery.scrollTop + gallery.clientHeight)) {
          gallery.scrollTop = button.offsetTop - gallery.clientHeight / 3;
        }
      }
    }

    thumbnail(place) {
      const { data, cell, state } = this;
      const outcome = data.outcome(cell, state.seed, place);
      const marks = resomap.explanationView.marks(data, outcome);
      const image = data.images[place];
      const label = resomap.explanationView.fill(data.words.thumbnail, {
        index: image.index,
        label: data.classes[image.label],
        marks: marks.map(([, , word]) => word).join(", ") || data.words.right,
      });
      const canvas = resomap.element("canvas", { width: 64, height: 64 });
      data.tile(Infinity, place).then((tile) => resomap.drawing.image(canvas, tile, [], 1));
      const button = resomap.element(
        "button",
        { type: "button", "data-place": place, "aria-label": label, title: label },
        canvas,
        ...marks.map(([kind, mark]) => resomap.element("span", { class: `mark ${kind}`, "aria-hidden": "true" }, mark)),
      );
      button.addEventListener("click", () => this.set({ place }));
      return button;
    }

    // Show the strip: the same image, method and seed at every resolution of the model.
    showSizes() {
      const { data, state } = this;
      const view = resomap.explanationView;
      this.strip = data.cellsOf(state.model).map((cell) => {
        if (!cell.seeds.includes(state.seed)) return null;
        const outcome = data.outcome(cell, state.seed, state.place);
        const values = {
          resolution: cell.resolution,
          prediction: data.classes[outcome.prediction],
          verdict: view.verdict(data, outcome),
          share: view.number(data.meanShare(cell, state.seed, state.place)),
        };
        const canvas = resomap.element("canvas", { width: 128, height: 128 });
        const kind = outcome.right ? (outcome.wrongReason ? "reason" : "right") : "wrong";
        const button = resomap.element(
          "button",
          { type: "button", "aria-pressed": String(cell === this.cell), "aria-label": view.fill(data.words.size, values), "data-resolution": cell.resolution },
          canvas,
          resomap.element("b", {}, `${cell.resolution} px`),
          resomap.element("span", { class: `tag ${kind}` }, values.verdict),
          resomap.element("bdi", {}, values.prediction),
          resomap.element("small", {}, view.fill(data.words.on_object, values)),
        );
        button.addEventListener("click", () => {
          this.set({ resolution: cell.resolution });
          this.find(`[data-resolution="${cell.resolution}"]`).focus();
        });
        return { button, canvas, cell };
      });
      this.strip = this.strip.filter((each) => each);
      this.find(".sizes").replaceChildren(...this.strip.map((each) => each.button));
    }

    async draw(turn) {
      const { data, state, cell } = this;
      const image = data.images[state.place];
      const [plain, map] = this.root.querySelectorAll(".picture canvas");
      const shown = [{ canvas: map, cell }, ...this.strip];
      const texts = { index: image.index, label: data.classes[image.label], resolution: cell.resolution };
      plain.setAttribute("aria-label", resomap.explanationView.fill(data.words.picture, texts));
      this.find(".plain p").textContent = `${cell.resolution} px`;
      const tile = await data.tile(cell.resolution, state.place);
      if (turn !== this.turn) return;
      resomap.drawing.image(plain, tile, image.outline, data.outline_units);
      for (const each of shown) {
        const values = await data.map(each.cell, state.method, state.seed, state.place);
        const below = await data.tile(each.cell.resolution, state.place);
        if (turn !== this.turn) return;
        resomap.drawing.overlay(each.canvas, below, values, state.opacity, image.outline, data.outline_units);
        if (each.canvas === map && values) this.labelMap(map, values);
      }
    }

    labelMap(canvas, values) {
      const { data, state } = this;
      const method = data.words.methods[state.method];
      canvas.setAttribute("aria-label", resomap.explanationView.fill(data.words.map, { method, side: values.side }));
      const end = values.scale.toPrecision(3);
      this.find(".ends").replaceChildren(
        ...[`${data.words.against} −${end}`, "0", `${data.words.for} ${end}`].map((text) => resomap.element("span", {}, text)),
      );
    }
  }

  const root = document.querySelector("#explanation-browser .browser");
  if (!root) return;
  let browser = null;
  const open = () => {
    if (!browser) {
      root.hidden = false;
      browser = new ExplanationBrowser(root);
    }
    return browser;
  };
  // Its data is parsed and drawn when a reader comes near, not while the page loads.
  const observer = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) {
      observer.disconnect();
      open().show();
    }
  }, { rootMargin: "600px" });
  observer.observe(root.parentElement);
  resomap.listen("explanations", ({ model, resolution }) => {
    open().set({ model, resolution, filter: "all" });
    root.querySelector("[name=explanations-filter]").checked = true;
    root.parentElement.scrollIntoView();
    root.querySelector(".pictures").focus({ preventScroll: true });
  });
})();
