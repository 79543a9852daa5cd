// The data of the explanation browser: images, cells, and the maps in their sprites.
"use strict";

(() => {
  // A sweep has a hundred cells of a megabyte each when decoded; a reader compares one model's.
  const MAX_DECODED_SHEETS = 24;

  class ExplanationData {
    constructor(values, pixels) {
      Object.assign(this, values);
      this.pixels = pixels;
      this.sheets = new Map();
      this.drawn = new Map();
    }

    get models() {
      return [...new Set(this.cells.map((cell) => cell.model))];
    }

    // Return the cells of a model, resolutions ascending.
    cellsOf(model) {
      return this.cells.filter((cell) => cell.model === model);
    }

    cell(model, resolution) {
      return this.cells.find((cell) => cell.model === model && cell.resolution === resolution);
    }

    run(cell, seed) {
      return cell.runs[cell.seeds.indexOf(seed)];
    }

    // Return what a run makes of an image: the prediction, and whether it is right and for what.
    outcome(cell, seed, place) {
      const run = this.run(cell, seed);
      return {
        prediction: run.top[place][0],
        right: !run.wrong.includes(place),
        wrongReason: run.off.includes(place),
        alarm: cell.alarm.includes(place),
      };
    }

    // Return whether a model and seed is right on an image at one resolution and wrong at another.
    flips(model, seed, place) {
      const runs = this.cellsOf(model).map((cell) => this.run(cell, seed));
      const wrong = runs.filter((run) => run).map((run) => run.wrong.includes(place));
      return wrong.includes(true) && wrong.includes(false);
    }

    // Return the places of the images that a filter keeps in a cell: those of its alarms first,
    // then those that are right for the wrong reason.
    places(filter, cell, seed) {
      const run = this.run(cell, seed);
      const keep = {
        all: () => true,
        wrong: (place) => run.wrong.includes(place),
        flipped: (place) => this.flips(cell.model, seed, place),
        reason: (place) => run.off.includes(place),
      }[filter];
      const all = this.images.map((_, place) => place);
      return [...new Set([...cell.alarm, ...run.off, ...all])].filter(keep);
    }

    // Return the record of a method in a cell with the number of its map of an image.
    method(cell, name, seed, place) {
      const method = cell.methods.find((each) => each.method === name);
      return method && { ...method, number: cell.seeds.indexOf(seed) * this.images.length + place };
    }

    // Return a number of a map that is stored in thousandths, or null.
    measure(cell, name, seed, place, measure) {
      const method = this.method(cell, name, seed, place);
      const value = method ? method[measure][method.number] : null;
      return value === null ? null : value / 1000;
    }

    // Return the evidence on the object, mean of the methods that pass the sanity check, or null.
    meanShare(cell, seed, place) {
      const passing = cell.methods.filter((method) => !method.failed);
      const values = passing.map((each) => this.measure(cell, each.method, seed, place, "share"));
      if (!values.length || values.includes(null)) return null;
      return values.reduce((sum, value) => sum + value, 0) / values.length;
    }

    // Return a map as values in -1..1, row by row; its sprite is decoded when it is first needed.
    async map(cell, name, seed, place) {
      const method = this.method(cell, name, seed, place);
      if (!method) return null;
      const sheet = await this.sheet(cell);
      const columns = Math.floor(cell.width / method.side);
      const left = (method.number % columns) * method.side;
      const top = this.bandTop(cell, name) + Math.floor(method.number / columns) * method.side;
      const values = new Float32Array(method.side ** 2);
      for (let y = 0; y < method.side; y += 1) {
        for (let x = 0; x < method.side; x += 1) {
          const level = sheet.levels[(top + y) * sheet.width + left + x] - this.levels;
          values[y * method.side + x] = level / this.levels;
        }
      }
      return { side: method.side, values, scale: method.scale[method.number] };
    }

    // Return where the band of a method begins: the bands stand below one another.
    bandTop(cell, name) {
      let top = 0;
      for (const method of cell.methods) {
        if (method.method === name) return top;
        const columns = Math.floor(cell.width / method.side);
        top += Math.ceil((cell.seeds.length * this.images.length) / columns) * method.side;
      }
      return top;
    }

    sheet(cell) {
      const number = this.cells.indexOf(cell);
      if (!this.sheets.has(number)) {
        // A Map keeps the order of insertion, so the first key is the oldest.
        if (this.sheets.size >= MAX_DECODED_SHEETS) this.sheets.delete(this.sheets.keys().next().value);
        this.sheets.set(number, this.decode(resomap.data(`explanation-maps-${number}`)));
      }
      return this.sheets.get(number);
    }

    async decode(link) {
      const image = await loadImage(link);
      const canvas = resomap.element("canvas", { width: image.width, height: image.height });
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(image, 0, 0);
      const { data } = context.getImageData(0, 0, image.width, image.height);
      // Rounding undoes the noise that some browsers add to what a canvas returns.
      const levels = new Uint8Array(image.width * image.height);
      for (let i = 0; i < levels.length; i += 1) levels[i] = Math.round(data[4 * i] / this.grey_step);
      return { width: image.width, levels };
    }

    // Return the sprite that holds an image at a resolution, and where it is in the sprite.
    async tile(resolution, place) {
      const sides = Object.keys(this.pixels).map(Number);
      const side = sides.includes(resolution) ? resolution : Math.max(...sides);
      const { columns, sprite } = this.pixels[side];
      if (!this.drawn.has(side)) this.drawn.set(side, loadImage(sprite));
      const left = (place % columns) * side;
      return { sprite: await this.drawn.get(side), side, left, top: Math.floor(place / columns) * side };
    }
  }

  async function loadImage(link) {
    const image = new Image();
    image.src = link;
    await image.decode();
    return image;
  }

  // The data is parsed once, when the browser is first looked at.
  resomap.openExplanations = () =>
    new ExplanationData(resomap.data("explanations"), resomap.data("explanation-pixels"));
})();
