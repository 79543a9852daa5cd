// The controls below the answer: limits and names, and the answer that they give.
"use strict";

(() => {
  const form = document.getElementById("controls");
  if (!form || !resomap.choose) return;
  const words = resomap.data("controls");
  const own = resomap.data("choice");
  const { format } = resomap;
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

  // A limit: a slider and a number of the same value, null for no limit.
  class Limit {
    constructor(box, react) {
      const { key, low, high, scale, value, floor } = box.dataset;
      Object.assign(this, { key, low: Number(low), high: Number(high) });
      this.scale = Number(scale);
      this.own = value === "" ? null : Number(value);
      this.isFloor = floor === "yes";
      this.slide = box.querySelector("[type=range]");
      this.number = box.querySelector("[type=number]");
      this.last = Number(this.slide.max);
      this.unit = this.number.nextSibling.textContent.trim();
      this.slide.addEventListener("input", () => {
        this.show(this.valueAt(Number(this.slide.value)));
        react();
      });
      this.number.addEventListener("input", () => {
        if (this.read()) react();
      });
      this.show(this.own);
    }

    // Costs span powers of ten, so their sliders have steps of equal ratios.
    valueAt(position) {
      const loosest = this.isFloor ? 0 : this.last;
      if (position === loosest) return null;
      const share = (this.isFloor ? position - 1 : position) / (this.last - 1);
      const value = this.isFloor
        ? this.low + share * (this.high - this.low)
        : this.low * (this.high / this.low) ** share;
      return Number(value.toPrecision(3));
    }

    positionOf(value) {
      if (value === null) return this.isFloor ? 0 : this.last;
      const share = this.isFloor
        ? (value - this.low) / (this.high - this.low)
        : Math.log(value / this.low) / Math.log(this.high / this.low);
      const inside = Math.min(Math.max(Number.isNaN(share) ? 1 : share, 0), 1);
      return Math.round(inside * (this.last - 1)) + (this.isFloor ? 1 : 0);
    }

    show(value) {
      this.value = value;
      this.number.value = value === null ? "" : String(value);
      this.number.removeAttribute("aria-invalid");
      this.moveSlide();
    }

    moveSlide() {
      this.slide.value = String(this.positionOf(this.value));
      const text = this.value === null ? words.no_limit : `${this.value} ${this.unit}`;
      this.slide.setAttribute("aria-valuetext", text);
    }

    // Take the value of the number; return whether it is one.
    read() {
      const text = this.number.value;
      const value = text === "" ? null : Number(text);
      const isShare = this.unit === "%";
      const isLimit = value === null || (value > 0 && !(isShare && value > 100));
      const isValid = isLimit && !this.number.validity.badInput;
      this.number.toggleAttribute("aria-invalid", !isValid);
      if (!isValid) this.number.setAttribute("aria-invalid", "true");
      else {
        this.value = value;
        this.moveSlide();
      }
      return isValid;
    }

    get isOwn() {
      return this.value === this.own;
    }

    // In the unit of the key. The product has an error in its last digits.
    get limit() {
      return this.value === null ? null : Number((this.value * this.scale).toPrecision(12));
    }
  }

  // A selection by name; all names together are no selection.
  class Filter {
    constructor(box, react) {
      this.key = box.dataset.key;
      this.boxes = [...box.querySelectorAll("[type=checkbox]")];
      this.state = box.querySelector(".state");
      this.box = box;
      box.addEventListener("change", () => {
        this.describe();
        if (this.names.length) react();
      });
      box.querySelector("button").addEventListener("click", () => this.toggle(react));
      box.addEventListener("keydown", (event) => {
        if (event.key !== "Escape") return;
        box.open = false;
        box.querySelector("summary").focus();
      });
      this.describe();
    }

    get names() {
      return this.boxes.filter((box) => box.checked).map((box) => box.value);
    }

    get isOwn() {
      return this.names.length === this.boxes.length;
    }

    set(isChecked) {
      for (const box of this.boxes) box.checked = isChecked;
      this.describe();
    }

    toggle(react) {
      this.set(!this.isOwn);
      if (this.names.length) react();
    }

    describe() {
      const shown = this.names.length;
      const text = this.isOwn ? words.all : shown ? words.some : words.none;
      this.state.textContent = fill(text, { shown, count: this.boxes.length });
    }
  }

  const limits = [...form.querySelectorAll(".limit")].map((box) => new Limit(box, update));
  const filters = [...form.querySelectorAll(".filter")].map((box) => new Filter(box, update));
  const attitude = document.getElementById("attitude");
  const reset = document.getElementById("reset");

  // What differs from the sweep's own rules, by the keys of `report` and of the filters.
  function changes() {
    const changed = {};
    for (const one of limits) if (!one.isOwn) changed[one.key] = one.limit;
    for (const one of filters) {
      if (!one.isOwn && one.names.length) changed[one.key] = one.names;
    }
    if (attitude.value !== own.rules.attitude) changed.attitude = attitude.value;
    return changed;
  }

  function update() {
    const changed = changes();
    const isOwn = Object.keys(changed).length === 0;
    const record = isOwn ? own : resomap.choose(changed);
    reset.disabled = isOwn;
    resomap.showAnswer(record, isOwn);
    resomap.announce("answer", record);
  }

  function restore() {
    for (const one of limits) one.show(one.own);
    for (const one of filters) one.set(true);
    attitude.value = own.rules.attitude;
    update();
    limits[0]?.slide.focus();
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  attitude.addEventListener("change", update);
  reset.addEventListener("click", restore);
  document.addEventListener("click", (event) => {
    for (const { box } of filters) if (box.open && !box.contains(event.target)) box.open = false;
  });
  form.classList.add("ready");
})();
