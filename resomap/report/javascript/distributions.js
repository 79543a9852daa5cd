// Tails and quantiles of the normal and of Student's t distribution, to about 1e-12.
"use strict";

(() => {
  const TERMS = 400;
  const PRECISION = 1e-16;
  // From so many degrees of freedom on the continued fraction loses digits.
  const NEARLY_NORMAL = 1e5;
  // Nodes of an interpolation in 1 / df, and where its pieces begin: quantiles turn faster for
  // few degrees of freedom.
  const NODES = 20;
  const PIECES = [0, 1 / 64, 1 / 16, 1 / 4, 1 / 2, 1];

  function normalDensity(z) {
    return Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);
  }

  // Return the probability of a standard normal value above z.
  function normalTail(z) {
    if (z < 0) return 1 - normalTail(-z);
    if (z < 2.5) {
      let term = z;
      let sum = z;
      for (let odd = 3; term > PRECISION * sum; odd += 2) {
        term *= (z * z) / odd;
        sum += term;
      }
      return 0.5 - normalDensity(z) * sum;
    }
    // Laplace's continued fraction, from its end: no cancellation far out.
    let fraction = z;
    for (let k = 120; k > 0; k--) fraction = z + k / fraction;
    return normalDensity(z) / fraction;
  }

  // Return the value above which a standard normal one lies with probability `error`.
  function normalQuantile(error) {
    if (error > 0.5) return -normalQuantile(1 - error);
    if (error === 0.5) return 0;
    // Abramowitz and Stegun 26.2.23, then Halley's steps.
    const t = Math.sqrt(-2 * Math.log(error));
    const top = 2.515517 + t * (0.802853 + t * 0.010328);
    let z = t - top / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
    for (let step = 0; step < 3; step++) {
      const off = (normalTail(z) - error) / normalDensity(z);
      z += off / (1 - (off * z) / 2);
    }
    return z;
  }

  // Return the logarithm of gamma(a + 1/2) / gamma(a).
  function logGammaStep(a) {
    let shift = 0;
    let x = a;
    for (; x < 30; x += 1) shift += Math.log(x / (x + 0.5));
    const inverse = 1 / (x * x);
    const series =
      -1 / 8 + inverse * (1 / 192 + inverse * (-1 / 640 + inverse * (17 / 14336)));
    return 0.5 * Math.log(x) + series / x + shift;
  }

  // Return the continued fraction of the incomplete beta function (modified Lentz).
  function betaFraction(a, b, x) {
    const tiny = 1e-300;
    let c = 1;
    let d = 1 / (1 - ((a + b) * x) / (a + 1) || tiny);
    let result = d;
    for (let m = 1; m < TERMS; m++) {
      const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
      d = 1 / (1 + even * d || tiny);
      c = 1 + even / c || tiny;
      result *= d * c;
      const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
      d = 1 / (1 + odd * d || tiny);
      c = 1 + odd / c || tiny;
      const change = d * c;
      result *= change;
      if (Math.abs(change - 1) < PRECISION) break;
    }
    return result;
  }

  // Return the density of Student's t.
  function tDensity(t, df) {
    if (df === Infinity) return normalDensity(t);
    const kernel = -0.5 * (df + 1) * Math.log1p((t * t) / df);
    return Math.exp(logGammaStep(df / 2) + kernel) / Math.sqrt(Math.PI * df);
  }

  // Return the standard normal value that is as far out as t (Fisher and Cornish 1960).
  function normalise(t, df) {
    const square = t * t;
    const first = (square + 1) / 4;
    const second = (3 + square * (8 + square * 13)) / 96;
    const third = (-15 + square * (1 + square * (19 + square * 35))) / 384;
    return t - (t * (first - (second - third / df) / df)) / df;
  }

  // Return the probability of a value of Student's t above t.
  function tTail(t, df) {
    if (t < 0) return 1 - tTail(-t, df);
    if (df > NEARLY_NORMAL) return normalTail(normalise(t, df));
    const a = df / 2;
    const square = (t * t) / df;
    // x^a (1 - x)^(1/2) / B(a, 1/2) with x = df / (df + t^2): no cancellation for large df.
    const front =
      Math.exp(logGammaStep(a) - (a + 0.5) * Math.log1p(square)) *
      Math.sqrt(square / Math.PI);
    const x = 1 / (1 + square);
    if (x < (a + 1) / (a + 2.5)) return (0.5 * front * betaFraction(a, 0.5, x)) / a;
    return 0.5 - front * betaFraction(0.5, a, square * x);
  }

  // Return the value above which one of Student's t lies with probability `error`.
  function tQuantile(error, df) {
    if (error > 0.5) return -tQuantile(1 - error, df);
    if (error === 0.5) return 0;
    let t = normalQuantile(error);
    if (df === Infinity) return t;
    // Newton's steps for the logarithm of the tail over that of t, where it is concave.
    for (let step = 0; step < 60; step++) {
      const tail = tTail(t, df);
      const change = (Math.log(tail / error) * tail) / (t * tDensity(t, df));
      t *= Math.exp(change);
      if (Math.abs(change) < 1e-15) break;
    }
    return t;
  }

  // Return the coefficients of the interpolation of t quantiles between two values of 1 / df.
  function interpolate(error, low, high) {
    const values = [];
    for (let node = 0; node < NODES; node++) {
      const x = Math.cos((Math.PI * (node + 0.5)) / NODES);
      const inverse = low + ((x + 1) * (high - low)) / 2;
      values.push(tQuantile(error, 1 / inverse));
    }
    return Float64Array.from({ length: NODES }, (_, order) => {
      let sum = 0;
      values.forEach((value, node) => {
        sum += value * Math.cos((Math.PI * order * (node + 0.5)) / NODES);
      });
      return ((order ? 2 : 1) * sum) / NODES;
    });
  }

  // Return the function of df (1 or more) that gives the t quantiles at the level `error`.
  // Thousands of pairs have degrees of freedom of their own, so it interpolates (Chebyshev).
  function makeQuantiles(error) {
    const coefficients = [];
    const beyond = normalQuantile(error);
    return (df) => {
      const inverse = 1 / df;
      if (inverse === 0) return beyond;
      let piece = 0;
      while (inverse > PIECES[piece + 1]) piece++;
      const low = PIECES[piece];
      const high = PIECES[piece + 1];
      const series = (coefficients[piece] ??= interpolate(error, low, high));
      const x = (2 * (inverse - low)) / (high - low) - 1;
      let next = 0;
      let last = 0;
      // Clenshaw's recurrence.
      for (let order = NODES - 1; order > 0; order--) {
        const sum = 2 * x * next - last + series[order];
        last = next;
        next = sum;
      }
      return x * next - last + series[0];
    };
  }

  const known = new Map();

  // Return the t quantiles of a level, computed once.
  function tQuantiles(error) {
    if (!known.has(error)) known.set(error, makeQuantiles(error));
    return known.get(error);
  }

  resomap.distributions = { normalTail, normalQuantile, tTail, tQuantile, tQuantiles };
})();
