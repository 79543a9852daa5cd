// Differences between the accuracies of all pairs of candidates, as `analysis/decision/contrasts.py`
// and `analysis/statistics.py` compute them. Matrices are flat arrays, row by row.
"use strict";

(() => {
  const POWERS = [1, 0, 2, 3];
  const LIKELIER = 2;
  const TINY = 1e-12;
  const MOST_DF = 1e9;

  // Pool what seeds add to the variance of differences; null when no pair shares two seeds.
  // `pairs` has a record per pair of the reference, `size` is the number of its cells.
  function fitPool(pairs, size) {
    const { df, between, alone, units } = pairs;
    const count = df.length;
    if (!count) return null;
    let excess = 0;
    let weighted = 0;
    let squares = 0;
    let sum = 0;
    for (let pair = 0; pair < count; pair++) {
      excess += df[pair] * (between[pair] - alone[pair]);
      weighted += df[pair] * between[pair];
      squares += df[pair] * between[pair] ** 2;
      sum += df[pair];
    }
    let best = null;
    for (const [position, power] of POWERS.entries()) {
      const scale = units.map(([first, second]) => first ** power + second ** power);
      let total = 0;
      for (let pair = 0; pair < count; pair++) total += df[pair] * scale[pair];
      const level = Math.max(excess / total, 0);
      let misfit = position ? LIKELIER : 0;
      for (let pair = 0; pair < count; pair++) {
        const expected = Math.max(alone[pair] + level * scale[pair], TINY);
        misfit += df[pair] * (Math.log(expected) + between[pair] / expected);
      }
      if (!best || misfit < best.misfit) best = { misfit, level, power, total };
    }
    // Fewer degrees of freedom where the variances are unlike.
    const alike = (weighted ** 2 / squares) * (1 + 2 / (sum / count));
    const effective = squares === 0 ? sum : Math.min(sum, alike);
    // The differences of K cells are sums of K - 1 independent ones.
    const df0 = Math.min((size - 1) / count, 1) * effective;
    const levelVariance = (2 * weighted ** 2) / df0 / best.total ** 2;
    return { level: best.level, power: best.power, levelVariance };
  }

  // All differences between K candidates on one split: row minus column.
  class Contrasts {
    // `table` has the split of answer.json, decoded, and `networks` the number of the network of
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
      this.pool = fitPool(this.referencePairs(), this.reference.length);
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

    referencePairs() {
      const pairs = { df: [], between: [], alone: [], units: [] };
      this.reference.forEach((second, position) => {
        for (const first of this.reference.slice(0, position)) {
          if (!this.isKnown(first, second)) continue;
          const pair = this.pair(first, second);
          pairs.df.push(this.shared(first, second) - 1);
          pairs.between.push(this.table.between[pair]);
          pairs.alone.push(this.table.alone[pair]);
          pairs.units.push([this.units[first], this.units[second]]);
        }
      });
      return pairs;
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

    // Compute standard errors, degrees of freedom and what seeds add to the squares (K x K each).
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
