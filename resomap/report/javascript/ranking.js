// The certificate and the comparisons with the best candidate, made as in
// `analysis/decision/certificate.py` and `comparison.py`.
"use strict";

(() => {
  const CONTENTION = 0.05;
  const TINY = 1e-12;

  function median(values) {
    const sorted = Float64Array.from(values).sort();
    const middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  // Return the best candidate, then the most promising one that is cheaper, and so on.
  function promisingSequence(ranks, isCheaper) {
    const order = [...ranks.keys()].sort((first, second) => ranks[second] - ranks[first]);
    const sequence = [order[0]];
    for (const cell of order.slice(1)) {
      if (isCheaper(cell, sequence[sequence.length - 1])) sequence.push(cell);
    }
    return sequence;
  }

  // Return the largest deficit of a candidate to any other that is possible at level `error`.
  // `luck` gives what is subtracted from its difference to each other.
  function largestDeficit(contrasts, cell, error, luck = () => 0) {
    const quantile = resomap.distributions.tQuantiles(error);
    const { size, means, errors, df } = contrasts;
    let lowest = 0;
    for (let other = 0; other < size; other++) {
      if (other === cell) continue;
      const at = cell * size + other;
      const bound = means[cell] - means[other] - quantile(df[at]) * errors[at] - luck(other);
      if (bound < lowest) lowest = bound;
    }
    return Math.max(-lowest, 0);
  }

  // Return the function that gives by how much seeds probably flatter a candidate over another.
  function expectedLuck(val, test, cell, rivals) {
    const quantile = resomap.distributions.tQuantiles(CONTENTION);
    const contenders = [val.means[cell]];
    for (const rival of rivals) {
      if (rival === cell) continue;
      const at = rival * val.size + cell;
      const lead = val.means[rival] - val.means[cell];
      if (lead + quantile(val.df[at]) * val.errors[at] >= 0) contenders.push(val.means[rival]);
    }
    const lead = Math.max(val.means[cell] - median(contenders), 0);
    return (other) => {
      const seeds = test.seedPart[cell * test.size + other];
      return (seeds / Math.max(seeds + val.imageVariance(cell, other), TINY)) * lead;
    };
  }

  // Return which p-values are shown at the level `error` that all of them share (Holm 1979).
  function shownByHolm(chances, error) {
    const order = [...chances.keys()].sort((first, second) => chances[first] - chances[second]);
    const shown = new Array(chances.length).fill(false);
    for (const [position, index] of order.entries()) {
      if (!(chances[index] <= error / Math.max(chances.length - position, 1))) break;
      shown[index] = true;
    }
    return shown;
  }

  // All candidates compared with each other, by their position.
  class Ranking {
    // `members` are the positions in the table of those that keep the budgets, `isCheaper` is
    // whether one is shown to cost less than another, by these positions.
    constructor(table, members, { margin, confidence }, prevented) {
      this.members = members;
      this.margin = margin;
      this.confidence = confidence;
      this.error = (1 - confidence) * table.error_share;
      this.isCheaper = (first, second) => table.isCheaper(members[first], members[second]);
      const networks = members.map((member) => table.candidates[member].network);
      this.val = new resomap.Contrasts(table.contrasts.val, networks);
      // A single test image is all of one class, which no network beats: there are always more.
      this.test = new resomap.Contrasts(table.contrasts.test, networks);
      this.ranks = members.map((member) => table.candidates[member].rank);
      this.certify(prevented);
    }

    get best() {
      return this.sequence[0];
    }

    get others() {
      return this.members.map((_, cell) => cell).filter((cell) => cell !== this.best);
    }

    certify(prevented) {
      const { val, test, members } = this;
      this.sequence = promisingSequence(this.ranks, this.isCheaper);
      this.shownWithin = members.map((_, cell) =>
        largestDeficit(val, cell, this.error / members.length),
      );
      const rivals = [...members.keys()].filter(
        (cell) => cell === this.best || this.isCheaper(cell, this.best),
      );
      for (const cell of this.sequence) {
        const luck = expectedLuck(val, test, cell, rivals);
        this.shownWithin[cell] = largestDeficit(test, cell, this.error, luck);
      }
      this.passed = 0;
      for (const cell of this.sequence) {
        if (this.shownWithin[cell] > this.margin || prevented[cell]) break;
        this.passed++;
      }
      this.successes = this.sequence.slice(0, this.passed);
      this.certified = this.passed ? this.sequence[this.passed - 1] : null;
    }

    // Return a record per other candidate, with its verdict: `within`, `worse` or `open`.
    comparisons() {
      const { val, best, margin } = this;
      const chances = this.others.map((cell) => {
        const at = cell * val.size + best;
        const beyond = -margin - (val.means[cell] - val.means[best]);
        return resomap.distributions.tTail(beyond / Math.max(val.errors[at], TINY), val.df[at]);
      });
      const worse = shownByHolm(chances, this.error / 2);
      return this.others.map((cell, position) => ({
        cell,
        difference: val.interval(cell, best, this.confidence),
        shown_within: this.shownWithin[cell],
        verdict: this.verdict(cell, worse[position]),
        cheaper: this.isCheaper(cell, best),
      }));
    }

    verdict(cell, isWorse) {
      if (this.successes.includes(cell)) return "within";
      return isWorse ? "worse" : "open";
    }

    // Return the difference to the best that a typical test detects; null without a rival.
    detectableDifference(power) {
      const found = this.others.map((cell) =>
        this.test.detectable(cell, this.best, this.error, power),
      );
      return found.length ? median(found) : null;
    }
  }

  resomap.Ranking = Ranking;
})();
