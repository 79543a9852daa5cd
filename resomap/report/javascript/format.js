// Numbers and names as the report writes them: the same digits as resomap/text.py.
"use strict";

(() => {
  const MINUS = "\u2212";
  const EN_DASH = "\u2013";
  // Enough digits to see whether a number lies exactly halfway between two shorter ones.
  const EXACT = 40;
  const words = resomap.data("words");

  // Round to digits after the point, halves to even as Python does (JavaScript rounds them up).
  function fixed(value, digits) {
    const size = Math.abs(value);
    let text = size.toFixed(digits);
    const exact = size.toFixed(digits + EXACT);
    const lower = exact.slice(0, -EXACT).replace(/\.$/, "");
    if (/^50*$/.test(exact.slice(-EXACT)) && Number(lower.at(-1)) % 2 === 0) text = lower;
    return value < 0 ? `-${text}` : text;
  }

  // Significant digits without trailing zeros, as the format "g" of Python.
  function general(value, digits) {
    if (value === 0) return "0";
    const [mantissa, power] = value.toExponential(digits - 1).split("e");
    const exponent = Number(power);
    const strip = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
    if (exponent >= -4 && exponent < digits) return strip(fixed(value, digits - 1 - exponent));
    const size = String(Math.abs(exponent)).padStart(2, "0");
    return `${strip(mantissa)}e${exponent < 0 ? "-" : "+"}${size}`;
  }

  function number(value, digits) {
    const text = fixed(value, digits);
    return /[1-9]/.test(text) ? text.replace("-", MINUS) : text.replace("-", "");
  }

  function interval(low, high, digits) {
    return `${number(low, digits)}${low < 0 ? " to " : EN_DASH}${number(high, digits)}`;
  }

  function points(difference) {
    const text = fixed(100 * difference, 1).replace(/\.0$/, "").replace("-", MINUS);
    return `${text} point${text.replace(MINUS, "") === "1" ? "" : "s"}`;
  }

  function milliseconds(latency) {
    return latency < 100 ? `${general(latency, 3)} ms` : `${fixed(latency, 0)} ms`;
  }

  const whole = (value) => value.toLocaleString("en-US");

  function count(value, noun) {
    const plural = noun.endsWith("s") ? "es" : "s";
    return `${whole(value)} ${noun}${value === 1 ? "" : plural}`;
  }

  const percent = (share) => `${general(100 * share, 6)} %`;

  function accuracy(estimate, confidence) {
    const ends = interval(estimate.low, estimate.high, 3);
    return `${fixed(estimate.mean, 3)} (${percent(confidence)} interval ${ends})`;
  }

  function difference(estimate) {
    const [low, high] = [estimate.low, estimate.high].map((end) => number(100 * end, 1));
    return `${points(estimate.mean)} (interval ${low} to ${high})`;
  }

  function join(names) {
    const others = names.slice(0, -1);
    return others.length ? `${others.join(", ")} and ${names.at(-1)}` : names[0];
  }

  function candidateSize(subject) {
    const notes = [];
    if (subject.eval_resolution !== subject.resolution) {
      notes.push(`trained at ${subject.resolution} px`);
    }
    if (Object.hasOwn(words.modes, subject.mode)) notes.push(words.modes[subject.mode]);
    if (subject.variant) {
      const known = Object.hasOwn(words.variants, subject.variant);
      notes.push(known ? words.variants[subject.variant] : subject.variant);
    }
    const size = `${subject.eval_resolution} px`;
    return notes.length ? `${size} (${notes.join(", ")})` : size;
  }

  const candidate = (subject) => `${subject.model} at ${candidateSize(subject)}`;

  const sentenceCase = (text) => text.charAt(0).toUpperCase() + text.slice(1);

  // Control characters and marks that reorder a text, as in resomap/report/text/format.py.
  const UNSEEN =
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066\u2067]/g;

  const escapeUnseen = (text) =>
    text.replace(UNSEEN, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);

  // Keep ranges and percentages on one line, and names harmless, as the template does.
  function unbroken(text) {
    const joined = escapeUnseen(text).replace(/(?<=\d) (?=%)/g, "\u00a0");
    return joined.replace(/(?<=\d)\u2013(?=\d)/g, "\u2060\u2013\u2060");
  }

  resomap.format = {
    accuracy, candidate, candidateSize, count, difference, escapeUnseen, fixed, general, interval,
    join, milliseconds, number, percent, points, sentenceCase, unbroken, whole,
  };
})();
