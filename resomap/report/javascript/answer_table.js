// answer.json, decoded: what the rule needs of the candidates and of all pairs of them.
"use strict";

(() => {
  function decode(text) {
    const letters = atob(text);
    const bytes = new Uint8Array(letters.length);
    // Not Uint8Array.from, which takes ten times as long for megabytes.
    for (let at = 0; at < bytes.length; at++) bytes[at] = letters.charCodeAt(at);
    return bytes;
  }

  // Return the values above the diagonal of a symmetric matrix, row by row.
  function decodeTriangle(text) {
    return new Float64Array(decode(text).buffer);
  }

  // Return the function that counts the seeds that two networks share.
  function sharedSeeds(networks) {
    // Most networks have the seeds of the sweep, so that few lists are compared.
    const lists = [...new Set(networks.map((network) => network.seeds.join(" ")))];
    const classes = networks.map((network) => lists.indexOf(network.seeds.join(" ")));
    const sets = lists.map((list) => list.split(" "));
    const counts = sets.map((first) =>
      sets.map((second) => first.filter((seed) => second.includes(seed)).length),
    );
    return (first, second) => counts[classes[first]][classes[second]];
  }

  // Return a fact that differs: the class of each candidate, and which classes differ.
  function decodeConfound({ name, classes, differ }) {
    const rows = [];
    for (const [first, second] of differ) {
      (rows[first] ??= new Set()).add(second);
      (rows[second] ??= new Set()).add(first);
    }
    const differs = (first, second) => Boolean(rows[first]?.has(second));
    return { name, classes, differs };
  }

  function decodeContrasts(split, answer, shared) {
    const table = answer.contrasts[split];
    const count = answer.networks.length;
    const before = (row) => row * count - (row * (row + 1)) / 2;
    const offsets = answer.networks.map((_, row) => before(row) - row - 1);
    return {
      means: table.means,
      unit_variance: table.unit_variance,
      image_variance: decodeTriangle(table.image_variance),
      between: decodeTriangle(table.between),
      alone: decodeTriangle(table.alone),
      images: answer.images[split],
      shared,
      seeds: answer.networks.map((network) => network.seeds),
      asTrained: answer.networks.map((network) => network.as_trained),
      // Return where the arrays have a pair.
      pair(first, second) {
        return first < second ? offsets[first] + second : offsets[second] + first;
      },
    };
  }

  // Return the block `answer` of the page, decoded.
  function decodeAnswer(answer) {
    const { networks } = answer;
    const candidates = answer.candidates.map((one) => ({ ...networks[one.network], ...one }));
    const bits = decode(answer.cheaper);
    const contrasts = {};
    const shared = sharedSeeds(networks);
    for (const split of networks.length ? ["val", "test"] : []) {
      contrasts[split] = decodeContrasts(split, answer, shared);
    }
    return {
      ...answer,
      candidates,
      contrasts,
      confounds: answer.confounds.map(decodeConfound),
      isCheaper(first, second) {
        const bit = first * candidates.length + second;
        return Boolean((bits[bit >> 3] >> (bit & 7)) & 1);
      },
    };
  }

  let decoded = null;

  // Return the decoded block, once for the page; null where it has none.
  resomap.answerTable = () => {
    if (!decoded) {
      const answer = resomap.data("answer");
      decoded = answer && decodeAnswer(answer);
    }
    return decoded;
  };
})();
