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

  // Return the function that gives whether two candidates differ in a fact.
  function differing({ classes, differ }) {
    const pairs = new Set(differ.flatMap(([a, b]) => [`${a} ${b}`, `${b} ${a}`]));
    return (first, second) => pairs.has(`${classes[first]} ${classes[second]}`);
  }

  function decodeContrasts(split, answer, shared) {
    const table = answer.contrasts[split];
    const count = answer.networks.length;
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
      pair(first, second) {
        const low = Math.min(first, second);
        const high = Math.max(first, second);
        return low * count - (low * (low + 1)) / 2 + high - low - 1;
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
      confounds: answer.confounds.map(({ name, ...rest }) => ({ name, has: differing(rest) })),
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
