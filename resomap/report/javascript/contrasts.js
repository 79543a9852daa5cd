// Differences between the accuracies of all pairs of candidates, computed as in
// `analysis/decision/contrasts.py` and `analysis/statistics.py`. Matrices
// are flat arrays, row by row.
"use strict";

(() => {
  const POWERS = [1, 0, 2, 3];
  const LIKELIER = 2;
  const TINY = 1e-12;
  const MOST_DF = 1e9;

  // The variances of the pairs of cells that share two seeds or more, and the sums over them.
  class KnownPairs {
    constructor(contrasts) {
      const { reference, table } = contrasts;
      const most = (reference.length * (reference.length - 1)) / 2;
      this.size = reference.length;
      this.count = 0;
      for (const name of ["df", "between", "alone"]) this[name] = new Float64Array(most);
      this.first = new Uint16Array(most);
      this.second = new Uint16Array(most);
      for (let later = 1; later < reference.length; later++) {
        for (let earlier = 0; earlier < later; earlier++) {
          const [first, second] = [reference[earlier], reference[later]];
          if (contrasts.isKnown(first, second)) this.add(contrasts, table, first, second);
        }
      }
    }

    add(contrasts, table, first, second) {
      const pair = contrasts.pair(first, second);
      const at = this.count++;
      this.df[at] = contrasts.shared(first, second) - 1;
      this.between[at] = table.between[pair];
      this.alone[at] = table.alone[pair];
      this.first[at] = first;
      this.second[at] = second;
    }

    sum(value) {
      let sum = 0;
      for (let at = 0; at < this.count; at++) sum += this.df[at] * value(at);
      return sum;
    }

    // Return how well the excess fits as `level` times the variance of one image to a power.
    fit(units, power) {
      const scales = units.map((unit) => unit ** power);
      const scale = (at) => scales[this.first[at]] + scales[this.second[at]];
      const total = this.sum(scale);
      const level = Math.max(this.sum((at) => this.between[at] - this.alone[at]) / total, 0);
      const misfit = this.sum((at) => {
        const expected = Math.max(this.alone[at] + level * scale(at), TINY);
        return Math.log(expected) + this.between[at] / expected;
      });
      return { level, power, total, misfit };
    }

    // Return the degrees of freedom of the sum of all variances.
    effectiveDf(weighted) {
      const sum = this.sum(() => 1);
      const squares = this.sum((at) => this.between[at] ** 2);
      if (squares === 0) return sum;
      return Math.min(sum, (weighted ** 2 / squares) * (1 + 2 / (sum / this.count)));
    }

    // Pool what seeds add to the variance of differences; null without a pair.
    fitPool(units) {
      if (!this.count) return null;
      const fits = POWERS.map((power) => this.fit(units, power));
      for (const other of fits.slice(1)) other.misfit += LIKELIER;
      const best = fits.reduce((least, fit) => (fit.misfit < least.misfit ? fit : least));
      const weighted = this.sum((at) => this.between[at]);
      // The differences of K cells are sums of K - 1 independent ones.
      const df = Math.min((this.size - 1) / this.count, 1) * this.effectiveDf(weighted);
      const levelVariance = (2 * weighted ** 2) / df / best.total ** 2;
      return { level: best.level, power: best.power, levelVariance };
    }
  }

  // All differences between K candidates on one split: row minus column.
  class Contrasts {
    // `table` has a split of answer.json, decoded, and `networks` the number of the network of
    // each candidate.
    constructor(table, networks) {
      this.size = networks.length;
      this.table = table;
      this.networks = networks;
      this.images = table.images;
      this.means = Float64Array.from(networks, (network) => table.means[network]);
      this.seeds = Float64Array.from(networks, (network) => table.seeds[network].length);
      this.units = Float64Array.from(networks, (network) =>
        Math.max(table.unit_variance[network], TINY),
      );
      const trained = [...networks.keys()].filter((cell) => table.asTrained[networks[cell]]);
      // Networks away from their size may vary far more than where they were trained.
      this.reference = trained.length > 1 ? trained : [...networks.keys()];
      this.pool = new KnownPairs(this).fitPool(this.units);
      this.computeErrors();
    }

    pair(first, second) {
      return this.table.pair(this.networks[first], this.networks[second]);
    }

    // Return the number of seeds that two candidates share.
    shared(first, second) {
      return this.table.shared(this.networks[first], this.networks[second]);
    }

    // Return whether two candidates share two seeds or more.
    isKnown(first, second) {
      return first !== second && this.shared(first, second) > 1;
    }

    excess(first, second) {
      if (!this.isKnown(first, second)) return NaN;
      const pair = this.pair(first, second);
      return this.table.between[pair] - this.table.alone[pair];
    }

    // Return what the seeds of each candidate add by themselves; null where pairs stand alone.
    ownParts() {
      const { reference, size } = this;
      const count = reference.length;
      const ofRows = new Float64Array(size);
      let isAnyKnown = false;
      for (let row = 0; row < size; row++) {
        let present = 0;
        let sum = 0;
        for (const column of reference) {
          if (!this.isKnown(row, column)) continue;
          present++;
          sum += this.excess(row, column);
        }
        isAnyKnown ||= present > 0;
        ofRows[row] = sum / present;
      }
      if (count < 3 || !isAnyKnown) return null;
      const known = reference.map((cell) => ofRows[cell]).filter((value) => value === value);
      const mean = known.reduce((sum, value) => sum + value, 0) / known.length / 2;
      const parts = ofRows.map((value) => value - mean);
      // A cell of the reference is not among its own others.
      for (const cell of reference) {
        parts[cell] = (ofRows[cell] * (count - 1) - count * mean) / (count - 2);
      }
      return parts;
    }

    // Compute standard errors, degrees of freedom and what seeds add to the squares (K x K).
    computeErrors() {
      const { size, pool, table } = this;
      this.errors = new Float64Array(size * size);
      this.df = new Float64Array(size * size).fill(Infinity);
      this.seedPart = new Float64Array(size * size);
      const parts = pool && this.ownParts();
      const scale = pool && this.units.map((unit) => unit ** pool.power);
      for (let row = 0; row < size; row++) {
        for (let column = 0; column < row; column++) {
          const pair = this.pair(row, column);
          const seeds = 2 / (1 / this.seeds[row] + 1 / this.seeds[column]);
          // Two more disagreements by one seed: cells that never disagreed may.
          const images = table.image_variance[pair] + 2 / seeds / (this.images + 2) ** 2;
          const at = row * size + column;
          if (pool) {
            const own = parts ? parts[row] + parts[column] : this.excess(row, column);
            this.combine(at, images, table.alone[pair], own, scale[row] + scale[column], seeds);
          } else {
            this.errors[at] = Math.sqrt(images);
          }
          const mirrored = column * size + row;
          this.errors[mirrored] = this.errors[at];
          this.df[mirrored] = this.df[at];
          this.seedPart[mirrored] = this.seedPart[at];
        }
      }
    }

    // Set the error of a pair; `own` is NaN where its seeds say nothing.
    combine(at, images, alone, own, scale, seeds) {
      const pooled = this.pool.level * scale;
      const excess = own > pooled ? own : pooled;
      const total = images + excess / seeds;
      const inflation = (alone + excess) / Math.max(alone + pooled, TINY);
      const ofTotal = ((scale * inflation) / seeds) ** 2 * this.pool.levelVariance;
      // Satterthwaite; Hillis (2007).
      const df = (2 * total ** 2) / Math.max(ofTotal, TINY ** 4);
      this.errors[at] = Math.sqrt(total);
      this.df[at] = total > 0 ? Math.min(Math.max(df, 1), MOST_DF) : MOST_DF;
      this.seedPart[at] = Math.max(this.errors[at] ** 2 - images, 0);
    }

    imageVariance(first, second) {
      return first === second ? 0 : this.table.image_variance[this.pair(first, second)];
    }

    // Return the interval of a difference, as a record.
    interval(row, column, confidence) {
      const at = row * this.size + column;
      const quantile = resomap.distributions.tQuantiles((1 - confidence) / 2);
      const half = quantile(this.df[at]) * this.errors[at];
      const mean = this.means[row] - this.means[column];
      const method = this.pool ? "crossed t" : "these networks only";
      return { mean, low: Math.max(mean - half, -1), high: Math.min(mean + half, 1), method };
    }

    // Return the difference that a one-sided test of level `error` detects with `power`.
    detectable(row, column, error, power) {
      const at = row * this.size + column;
      const { tQuantiles } = resomap.distributions;
      const quantiles = tQuantiles(error)(this.df[at]) + tQuantiles(1 - power)(this.df[at]);
      return quantiles * this.errors[at];
    }
  }

  resomap.Contrasts = Contrasts;
})();
