// The arithmetic of nin_lib/flow.py once more, with the words of its errors, for shape_flow.js, in
// front of which it is put.

const LARGEST_SEARCHED = 4096; // pixels; the search for the smallest input that works gives up here
const MOST = 1e6; // of a number in a spec here; sums and products are BigInt, so they are exact

class Misfit extends Error { // of stage `at`
  constructor(at, words) {
    super(words);
    this.at = at;
  }
}

// The rows up to the stage that fails, if one does; then `error` says why, and `at` where.
function flow(spec, size) {
  const broken = brokenRule(spec, size);
  const rows = [];
  try {
    for (const row of walk(spec, size, broken?.at)) rows.push(row);
  } catch (problem) {
    if (!(problem instanceof Misfit)) throw problem;
    const error = `${problem.message}; ${smallestHint(spec)}`;
    if (!broken) return { rows, error, at: problem.at };
  }
  return { rows, error: broken?.message ?? null, at: broken?.at ?? null };
}

function* walk(spec, size, upTo = Infinity) {
  const names = stageNames(spec);
  if (![spec.in_channels, ...size].every((n) => Number.isInteger(n) && n > 0)) return;
  let map = { shape: [spec.in_channels, ...size], receptive_field: 1n, jump: 1n, origin: 0n };
  for (let at = 1; at < Math.min(upTo, names.length); at++) {
    for (const layer of layersOf(spec, at)) {
      const numbers = layer.window ? through(layer, map, names[at], at) : headRow(layer, map);
      map = { at, stage: names[at], layer: layer.words, window: layer.window, ...numbers };
      yield map;
    }
  }
}

function stageNames(spec) {
  const count = { block: 0, pool: 0, dropout: 0 };
  return ["input", ...spec.stages.map(({ kind }) => `${kind} ${++count[kind]}`), "head"];
}

// `window` is kernel size, stride, padding; the head has none, it reads all.
function layersOf(spec, at) {
  const stage = spec.stages[at - 1];
  if (!stage) {
    if (!spec.dense.length) return [{ words: "global average pool" }];
    return spec.dense.map((out) => ({ words: "dense", out }));
  }
  if (stage.kind === "dropout") {
    return [{ words: `dropout ${+stage.p.toPrecision(6)}`, window: [1, 1, 0], keeps: true }];
  }
  const { kernel_size: k, stride, padding, ceil_mode: ceil } = stage;
  if (stage.kind === "pool") {
    const words = `${k}×${k} max pool, stride ${stride}${ceil ? ", rounds up" : ""}`;
    return [{ words, window: [k, stride, padding], ceil }];
  }
  const inner = stage.inner_kernel_size;
  return stage.widths.map((out, i) => {
    const window = i ? [inner, 1, (inner - 1) / 2] : [k, stride, padding];
    const words = `${window[0]}×${window[0]} conv${window[1] > 1 ? `, stride ${stride}` : ""}`;
    return { words, window, out, number: i + 1 };
  });
}

function outSide({ window: [k, stride, padding], ceil }, side) {
  const span = side + 2 * padding - k;
  if (!ceil) return Math.floor(span / stride) + 1;
  const out = Math.ceil(span / stride) + 1;
  return (out - 1) * stride >= side + padding ? out - 1 : out;
}

function through(layer, map, name, at) {
  const [channels, height, width] = map.shape;
  const sides = [outSide(layer, height), outSide(layer, width)];
  const [k, stride, padding] = layer.window;
  if (Math.min(...sides) < 1) {
    const where = layer.number ? `${name}, convolution ${layer.number}` : name;
    throw new Misfit(at, `${where}: kernel_size ${k} does not fit a ${height}×${width} input `
      + `with padding ${padding} (it needs at least ${k - 2 * padding} pixels a side)`);
  }
  const shape = [layer.out ?? channels, ...sides];
  const weights = layer.out ? product(channels, k, k, layer.out) : 0n;
  return {
    shape,
    parameters: weights + BigInt(layer.out ?? 0),
    multiply_adds: weights * product(...sides),
    activations: layer.keeps ? 0n : product(...shape),
    receptive_field: map.receptive_field + BigInt(k - 1) * map.jump,
    jump: map.jump * BigInt(stride), // pixels of the image between neighbours of this map
    origin: map.origin - BigInt(padding) * map.jump, // where in the image the first one starts
  };
}

function headRow(layer, map) {
  const features = product(...map.shape);
  const far = BigInt(Math.max(...map.shape.slice(1), 1) - 1);
  const out = layer.out ?? map.shape[0];
  const weights = layer.out ? features * BigInt(out) : 0n;
  return {
    shape: [out],
    parameters: weights + BigInt(layer.out ?? 0),
    multiply_adds: weights,
    activations: BigInt(out),
    receptive_field: map.receptive_field + far * map.jump,
    jump: map.jump,
    origin: map.origin,
  };
}

function totals(rows, image = 0n) {
  const sum = (key) => rows.reduce((total, row) => total + row[key], 0n);
  const [parameters, multiply_adds] = [sum("parameters"), sum("multiply_adds")];
  return { parameters, multiply_adds, activations: sum("activations") + image };
}

function smallestHint(spec) {
  const layers = spec.stages.flatMap((_, i) => layersOf(spec, i + 1));
  for (let size = 1; size <= LARGEST_SEARCHED; size++) {
    let side = size;
    if (layers.every((layer) => (side = outSide(layer, side)) >= 1)) {
      return `the smallest input that works is ${size}×${size}`;
    }
  }
  return `no input of up to ${LARGEST_SEARCHED} pixels works`;
}

const product = (...numbers) => numbers.reduce((a, b) => a * BigInt(b), 1n);

// ---- the rules of nin_lib/spec.py

function brokenRule(spec, size) { // the first, as a Misfit
  if (!Array.isArray(spec?.stages)) throw Error("a network is a JSON object with a list 'stages'");
  spec.stages.forEach((stage, i) => {
    const known = Object.keys(RULES);
    if (known.includes(stage?.kind)) return;
    throw Error(`stage ${i + 1}: kind must be one of ${known.join(", ")}, got ${repr(stage?.kind)}`);
  });
  try {
    spec.stages.forEach((stage, i) => inside(`stage ${i + 1}`, () => RULES[stage.kind](stage, i + 1)));
    inside("network", () => checkNetwork(spec, spec.stages.length + 1));
    size.forEach((side) => requireInt(0, "size", side, 1));
    return null;
  } catch (problem) {
    if (problem instanceof Misfit) return problem;
    throw problem;
  }
}

function inside(where, check) { // words of a broken rule begin with its place, as in Python
  try {
    check();
  } catch (problem) {
    if (!(problem instanceof Misfit)) throw problem;
    throw new Misfit(problem.at, `${where}: ${problem.message}`);
  }
}

function checkNetwork(spec, head) {
  requireInt(0, "Network.in_channels", spec.in_channels, 1);
  requireInt(0, "Network.input_size", spec.input_size, 1);
  requireInts(head, "Network.dense", spec.dense);
  if (!spec.dense.length && spec.stages.at(-1)?.kind !== "block") {
    throw new Misfit(head, "Network.stages must end in a Block, whose maps are averaged, "
      + "or Network.dense must name the dense layers");
  }
  requireBool(0, "Network.last_relu", spec.last_relu);
}

const RULES = {
  block({ kernel_size: k, stride, padding, inner_kernel_size: inner, widths }, at) {
    requireInt(at, "Block.kernel_size", k, 1);
    requireInt(at, "Block.stride", stride, 1);
    requireInt(at, "Block.padding", padding, 0);
    requireInt(at, "Block.inner_kernel_size", inner, 1);
    require(inner % 2 === 1, at, "Block.inner_kernel_size", "must be odd", inner);
    requireInts(at, "Block.widths", widths);
    require(widths.length, at, "Block.widths", "must name at least one width", widths);
  },
  pool({ kernel_size: k, stride, padding, ceil_mode: ceil }, at) {
    requireInt(at, "Pool.kernel_size", k, 1);
    requireInt(at, "Pool.stride", stride, 1);
    requireInt(at, "Pool.padding", padding, 0);
    const half = `must be at most half of kernel_size ${k}`;
    require(padding <= Math.floor(k / 2), at, "Pool.padding", half, padding);
    requireBool(at, "Pool.ceil_mode", ceil);
  },
  dropout({ p }, at) {
    require(typeof p === "number", at, "Dropout.p", "must be a number", p);
    const holds = p >= 0 && p < 1;
    require(holds, at, "Dropout.p", "must be at least 0 and below 1", p);
  },
};

function require(holds, at, where, rule, value) {
  if (!holds) throw new Misfit(at, `${where} ${rule}, got ${repr(value)}`);
}

function requireInt(at, where, value, atLeast) {
  const holds = Number.isInteger(value) && value >= atLeast;
  require(holds, at, where, `must be an integer of at least ${atLeast}`, value);
  require(value <= MOST, at, where, `can be at most ${commas(MOST)} on this page`, value);
}

function requireInts(at, where, values) {
  require(Array.isArray(values), at, where, "must be a list", values);
  values.forEach((value) => requireInt(at, where, value, 1));
}

function requireBool(at, where, value) {
  require(typeof value === "boolean", at, where, "must be True or False", value);
}

function repr(value) { // as Python writes it
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `(${value.map(repr).join(", ")})`;
  return typeof value === "string" ? `'${value}'` : String(value);
}

// ---- what is never read; stretches [from, to] of rows or columns, along one axis

function neverRead(rows, image, axis, layer, entering = 0) {
  const side = (depth) => (depth ? rows[depth - 1].shape[1 + axis] : image[axis]);
  const layers = rows.slice(0, layer + 1).filter((row) => row.window);
  let read = [[0, side(layers.length) - 1]];
  for (let depth = layers.length - 1; depth >= entering; depth--) {
    read = readBy(read, layers[depth].window, side(depth));
  }
  const edges = [[-1, -1], ...read, [side(entering), side(entering)]];
  return edges.slice(1).map(([from], i) => [edges[i][1] + 1, from - 1])
    .filter(([from, to]) => from <= to);
}

function readBy(stretches, [k, stride, padding], side) {
  const runs = k >= stride ? stretches : stretches.flatMap(([from, to]) =>
    Array.from({ length: to - from + 1 }, (_, i) => [from + i, from + i]));
  const read = [];
  for (const [first, last] of runs) {
    const from = Math.max(first * stride - padding, 0);
    const to = Math.min(last * stride - padding + k, side) - 1;
    if (from > to) continue; // only padding
    if (read.length && from <= read.at(-1)[1] + 1) read.at(-1)[1] = to;
    else read.push([from, to]);
  }
  return read;
}

const length = (stretches) => stretches.reduce((sum, [from, to]) => sum + to - from + 1, 0);

function unreadWords([rows, columns], [height, width]) {
  const say = (stretches, side, word) => {
    const count = length(stretches);
    const edge = stretches.length === 1 && stretches[0][1] === side - 1 && count < side;
    const what = edge ? `the last ${count > 1 ? `${count} ` : ""}` : `${count} of ${side} `;
    return count ? `${what}${word}${count > 1 || !edge ? "s" : ""}` : "";
  };
  const [down, across] = [say(rows, height, "row"), say(columns, width, "column")];
  if (!down && !across) return "every row and column is read";
  if (down.replace("row", "column") === across) {
    return `${down} and column${across.endsWith("s") ? "s" : ""} are never read`;
  }
  const one = !(down && across) && length(rows) + length(columns) === 1;
  return `${[down, across].filter(Boolean).join(" and ")} ${one ? "is" : "are"} never read`;
}
