// The pixel MLP: one pixel on its way through a 1×1 convolution, by hand or in a real network.
//
//   config: { title, question, task, shuffle_question, start, stages: { name: { words, about,
//             inputs, weights, biases, shown_inputs, shown_outputs, middle, digits, kernel } } }
//   state:  { stage, pixel: [row, column], output, view, experiment, seed, answer, shuffle_answer }
// Maps are flat: C·H·W numbers, channel by channel, row by row. `output` is a place among those
// that are shown.

const STYLE = `
.nin-pixel-mlp h4 { margin: 14px 0 4px; }
.nin-pixel-mlp .maps { margin: 0 -3px 6px; padding: 3px; cursor: crosshair; }
.nin-pixel-mlp .maps.long, .nin-pixel-mlp .beside { display: grid; gap: 8px 20px;
  grid-template-columns: repeat(auto-fit, minmax(min(290px, 100%), 1fr)); }
.nin-pixel-mlp .group { display: flex; flex-wrap: wrap; align-content: start; gap: 4px 12px;
  margin: 0 0 6px; }
.nin-pixel-mlp .group > p { flex-basis: 100%; margin: 0; }
.nin-pixel-mlp .name { font-size: 13px; margin: 0 0 1px; border-bottom: 3px solid transparent; }
.nin-pixel-mlp .chosen > .name { font-weight: 600; border-color: var(--blue); }
.nin-pixel-mlp .long .map { width: 21%; max-width: 86px; }
.nin-pixel-mlp .cells { position: relative; border: 1px solid var(--edge); box-sizing: content-box;
  font-size: 12px; line-height: 1; white-space: nowrap; font-variant-numeric: tabular-nums; }
.nin-pixel-mlp canvas { width: 100%; height: 100%; image-rendering: pixelated; }
.nin-pixel-mlp .cells span { display: flex; align-items: center; justify-content: center;
  min-width: 0; }
.nin-pixel-mlp span.spot { outline: 2px solid var(--text); outline-offset: -1px; }
.nin-pixel-mlp .differs { outline: 2px solid var(--red); outline-offset: -3px; border-radius: 50%;
  font-weight: 700; }
.nin-pixel-mlp div.spot { position: absolute; pointer-events: none; margin: -2px;
  box-sizing: content-box; border: 2px solid var(--text); outline: 1px solid var(--back); }
.nin-pixel-mlp :is(th, td) { padding: 1px 5px; overflow-wrap: normal; }
.nin-pixel-mlp td { white-space: nowrap; }
.nin-pixel-mlp .rows { width: fit-content; max-width: 100%; border: 1px solid var(--edge); }
.nin-pixel-mlp .rows table { margin: 0; line-height: 20px; white-space: nowrap; }
.nin-pixel-mlp .rows tbody tr { cursor: pointer; }
.nin-pixel-mlp .rows td:empty { border-left: 2px solid var(--edge); padding: 0; }
.nin-pixel-mlp .rows tr[aria-current] { background: var(--blue); color: var(--on-blue); }
.nin-pixel-mlp .sums :is(th, td):first-child { padding-left: 0; white-space: nowrap; }
.nin-pixel-mlp .sums button { padding: 3px 7px; width: 100%; text-align: left; }
.nin-pixel-mlp .sums td:has(canvas) { width: 100%; min-width: 80px; }
.nin-pixel-mlp .sums:has(canvas) th:nth-child(2) { text-align: left; }
.nin-pixel-mlp .sums canvas { height: 26px; border: 1px solid var(--edge); }
.nin-pixel-mlp .sums tbody tr:first-child { border-bottom: 1px solid var(--edge); }
.nin-pixel-mlp .beside p { min-height: 3em; }
.nin-pixel-mlp .written { border-left: 3px solid var(--blue); padding-left: 10px; }
`;
const CELL = 26; // pixels: a cell with its number
const BAR = 12; // pixels: the longest bar of a strip, above or below its middle
const TERMS = 5; // of a long sum, so many are written out
const ROWS = 11; // pixels in the table of the dense layer, around the chosen one
const WIDE = 6; // input channels in that table, and outputs

function mount(el, config, onChange) {
  const frame = shell(el, "pixel-mlp", config, onChange, () => ({ ...config.start }));
  html("style", {}, frame.root, STYLE);
  const { body } = frame;
  const pick = (pixel, output = config.output) => onChange({ pixel, output });
  const stages = buttons(body, "layer", (stage) =>
    onChange({ stage, pixel: config.stages[stage].middle, output: 1 }));
  const about = html("p", {}, body);
  const views = buttons(body, "the same layer", (view) => onChange({ view }));
  const meaning = html("p", { class: "quiet" }, body);
  const here = () => inside(config.pixel, known); // keys may come faster than frames
  const parts = [mapsPart(body, pick, here), rowsPart(body, pick, here), sumsPart(body, pick),
    besidePart(body, onChange)];
  let known = null; // the layer as it was last read

  function draw() {
    frame.update(config);
    const stage = config.stages?.[config.stage];
    if (!stage) throw new Error(`there is no layer named ${JSON.stringify(config.stage)}`);
    if (known?.stage !== stage) known = readLayer(stage);
    const [row, column] = inside(config.pixel, known);
    const output = clamp(config.output, known.outputs);
    const choices = Object.entries(config.stages).map(([name, { words }]) => [name, words]);
    stages(choices.length > 1 ? choices : [], config.stage);
    write(about, known.about);
    views([["convolution", "as a convolution"], ["dense", "as a dense layer"]], config.view);
    write(meaning, MEANINGS[config.view]?.(known) ?? "");
    const at = row * known.width + column;
    for (const part of parts) part({ ...config, layer: known, row, column, at, output });
  }

  const redraw = painter(draw, frame.complain);
  redraw();
  return {
    update(next) {
      config = next;
      redraw();
    },
    destroy() {
      redraw.stop();
      frame.root.remove();
    },
  };
}

const MEANINGS = {
  convolution: () => "One pixel is framed in every map. Its outputs are made of its inputs, and of "
    + "nothing else.",
  dense: ({ pixels, channels, long }) => `The same numbers. To a dense layer ${pixels} pixels are `
    + `${pixels} samples of ${channels} features; the outputs are shown after the ReLU`
    + `${long ? `, and of each side the first ${WIDE}` : ""}.`,
};

// ---- the parts: each one makes its elements, and gives a function that brings them up to date

// A row of buttons of which one is pressed. To redraw it: (options as [value, words], chosen value)
function buttons(parent, label, choose) {
  const row = html("div", { class: "controls", role: "group", "aria-label": label }, parent);
  return (options, chosen) => {
    row.hidden = !options.length;
    ensureChildren(row, "button", options.length, html).forEach((button, i) => {
      const [value, words] = options[i];
      set(button, { type: "button", "aria-pressed": String(value === chosen) });
      write(button, words);
      button.onclick = () => choose(value);
    });
  };
}

// All maps together are one control. To a screen reader it is a slider over the pixels.
function mapsPart(parent, pick, here) {
  const area = html("div", { class: "maps", role: "slider", tabindex: 0 }, parent);
  const groups = ["in", "out"].map(() => {
    const group = html("div", { class: "group" }, area);
    return { words: html("p", {}, group), group, maps: [] };
  });
  let now = null;

  const point = (event) => {
    const cells = event.target.closest(".cells");
    if (!cells) return;
    const box = cells.getBoundingClientRect();
    const { width, height } = now.layer;
    const [row, column] = inside([Math.floor((event.clientY - box.top) / box.height * height),
      Math.floor((event.clientX - box.left) / box.width * width)], now.layer);
    const output = groups[1].maps.findIndex((map) => map.cells === cells);
    if (row !== now.row || column !== now.column || (output >= 0 && output !== now.output)) {
      pick([row, column], output < 0 ? now.output : output);
    }
  };
  area.addEventListener("pointerdown", point);
  area.addEventListener("pointermove", (event) => {
    if (event.buttons && event.pointerType === "mouse") point(event);
  });
  area.addEventListener("keydown", (event) => {
    const move = MOVES[plainKey(event)];
    if (!move) return;
    event.preventDefault();
    pick(inside(move(...here(), now.layer), now.layer));
  });

  return (next) => {
    now = next;
    const { layer, row, column, at, output, view } = now;
    const { inputMaps, outputMaps, channels, pixels, digits, long } = layer;
    area.hidden = view === "dense";
    if (area.hidden) return;
    area.classList.toggle("long", long);
    write(groups[0].words, `${inputMaps.length}${long ? ` of ${channels}` : ""} input maps`);
    write(groups[1].words, `${outputMaps.length} output maps, after the ReLU`);
    drawMaps(groups[0], layer, inputMaps.map((map) => ({ ...map, spot: at })));
    drawMaps(groups[1], layer, outputMaps.map((map, i) => (
      { ...map, spot: at, chosen: i === output })));
    const vector = inputMaps.map(({ values }) => number(values[at], digits)).join(", ");
    set(area, { "aria-label": "pixel", "aria-valuemin": 1, "aria-valuemax": pixels,
      "aria-valuenow": at + 1, "aria-valuetext": `row ${row}, column ${column}: `
        + `inputs${long ? " shown" : ""} ${vector}` });
  };
}

const MOVES = {
  ArrowUp: (row, column) => [row - 1, column],
  ArrowDown: (row, column) => [row + 1, column],
  ArrowLeft: (row, column) => [row, column - 1],
  ArrowRight: (row, column) => [row, column + 1],
  Home: (row) => [row, 0],
  End: (row, column, { width }) => [row, width - 1],
};

// The same numbers as a dense layer sees them: a sample for each pixel, a feature for each channel.
function rowsPart(parent, pick, here) {
  const box = html("div", { class: "scroll rows", role: "group", tabindex: 0,
    "aria-label": "one row for each pixel; the up and down keys choose" }, parent);
  const table = html("table", {}, box);
  const which = html("p", { class: "quiet" }, parent);
  let now = null;
  let drawn = null;
  let body = null;

  const go = (at) => pick([Math.floor(at / now.layer.width), at % now.layer.width]);
  box.addEventListener("keydown", (event) => {
    const [row, column] = here();
    const at = row * now.layer.width + column;
    const last = now.layer.pixels - 1;
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, PageUp: at - ROWS, PageDown: at + ROWS,
      Home: 0, End: last }[plainKey(event)];
    if (to === undefined) return;
    event.preventDefault();
    go(Math.min(Math.max(to, 0), last));
  });

  return (next) => {
    now = next;
    const { layer, at, view } = now;
    box.hidden = which.hidden = view !== "dense";
    if (box.hidden) return;
    const [inputs, outputs] = [layer.inputMaps, layer.outputMaps].map((maps) => maps.slice(0, WIDE));
    if (drawn !== layer) {
      body = emptyTable(table, ["pixel", ...inputs.map(({ channel }) => `in ${channel}`), "",
        ...outputs.map(({ channel }) => `out ${channel}`)]);
    }
    drawn = layer;
    const count = Math.min(ROWS, layer.pixels);
    const first = Math.min(Math.max(at - (count >> 1), 0), layer.pixels - count);
    ensureChildren(body, "tr", count, html).forEach((line, i) => {
      const place = first + i;
      const value = ({ values }) => number(values[place], layer.digits);
      const texts = [`${Math.floor(place / layer.width)}, ${place % layer.width}`,
        ...inputs.map(value), "", ...outputs.map(value)];
      if (!line.firstChild) {
        texts.forEach((_, j) => html(j ? "td" : "th", j ? {} : { scope: "row" }, line));
      }
      texts.forEach((text, j) => write(line.children[j], text));
      set(line, { "aria-current": place === at ? "true" : null });
      line.onclick = () => go(place);
    });
    const rows = `Rows ${first + 1} to ${first + count} of ${layer.pixels}`;
    write(which, `${rows}; the up and down keys go on.`);
  };
}

// The chosen pixel's channels, the weights, and the sums; one sum is written out.
function sumsPart(parent, pick) {
  const heading = html("h4", {}, parent);
  const how = html("p", { class: "quiet" }, parent);
  const box = html("div", { class: "scroll sums", role: "group", tabindex: 0,
    "aria-label": "weights and sums" }, parent);
  const table = html("table", {}, box);
  const writtenOut = html("p", { class: "written", role: "status" }, parent);
  let drawn = null;
  let pixelLine = null;
  let outputLines = [];

  function build(layer) {
    const columns = layer.long ? [`all ${layer.channels} inputs`]
      : layer.inputMaps.map(({ name }) => name);
    const rows = emptyTable(table, ["", ...columns, "bias", "sum", "after ReLU"]);
    const addLine = () => {
      const row = html("tr", {}, rows);
      const name = html("th", { scope: "row" }, row);
      const fields = [...columns, "bias", "sum", "after"].map(() => html("td", {}, row));
      if (layer.long) html("canvas", { "aria-hidden": "true" }, fields[0]);
      return { name, fields };
    };
    pixelLine = addLine();
    write(pixelLine.name, "this pixel");
    outputLines = layer.outputMaps.map(({ name }, o) => {
      const line = addLine();
      line.button = html("button", { type: "button" }, line.name, name);
      fill(line.fields, layer.w.subarray(o * layer.channels, (o + 1) * layer.channels), layer);
      write(line.fields.at(-3), number(layer.b[o], layer.digits));
      return line;
    });
    drawn = layer;
  }

  function fill(fields, values, layer) {
    if (layer.long) bars(fields[0].firstChild, values);
    else values.forEach((value, i) => write(fields[i], number(value, layer.digits)));
  }

  return ({ layer, row, column, at, output }) => {
    if (drawn !== layer) build(layer);
    write(heading, `The sums at row ${row}, column ${column}`);
    write(how, `First the pixel's own numbers, then for each output the weights they are multiplied `
      + `with${layer.long ? ", as bars up from the middle, or down where below 0" : ""}.`);
    fill(pixelLine.fields, layer.vector(at), layer);
    outputLines.forEach(({ fields, button }, o) => {
      const sum = layer.sums[o * layer.pixels + at];
      write(fields.at(-2), number(sum, layer.digits));
      write(fields.at(-1), number(Math.max(sum, 0), layer.digits));
      set(button, { "aria-pressed": String(o === output) });
      button.onclick = () => pick([row, column], o);
    });
    write(writtenOut, inWords(layer, at, output));
  };
}

function emptyTable(table, words) { // with its headings; gives the body
  table.replaceChildren();
  const head = html("tr", {}, html("thead", {}, table));
  for (const word of words) html(word ? "th" : "td", word ? { scope: "col" } : {}, head, word);
  return html("tbody", {}, table);
}

// A 1×1 and a 3×3 convolution side by side: change a number, or shuffle the pixels.
function besidePart(parent, onChange) {
  const part = html("div", {}, parent);
  html("h4", {}, part, "What it cannot see: a 1×1 beside a 3×3");
  const asked = html("div", {}, part);
  const choose = buttons(part, "experiment", (experiment) => {
    onChange({ experiment, ...(experiment === "shuffle" ? { seed: (now.seed % 999) + 1 } : {}) });
  });
  const columns = html("div", { class: "beside" }, part);
  const sides = [1, 3].map((size) => {
    const column = html("div", {}, columns);
    const verdict = html("p", { role: "status" }, column);
    return { size, verdict, group: html("div", { class: "group" }, column), maps: [] };
  });
  let now = null;
  let poll = null;

  return (next) => {
    now = next;
    const { layer, experiment } = now;
    part.hidden = !layer.kernel;
    if (part.hidden) return;
    poll ??= now.shuffle_question && prediction(asked, now.shuffle_question,
      ({ answer }) => onChange({ shuffle_answer: answer }));
    poll?.update(now.shuffle_answer);
    choose([["change", "add 1 to input 0 at this pixel"], ["shuffle", "shuffle the pixels"],
      ["apply", "apply"], ["back", "put them back"]], experiment);
    for (const side of sides) {
      const { words, pictures } = tried(layer, side.size, now);
      write(side.verdict, `${side.size}×${side.size}: ${words}`);
      drawMaps(side, layer, pictures, "img");
    }
  };
}

// ---- a map: its name, and its cells as numbers or, in a long layer, as a picture

function drawMaps({ group, maps: drawn }, layer, maps, role = null) {
  while (drawn.length > maps.length) drawn.pop().figure.remove();
  while (drawn.length < maps.length) {
    const figure = html("div", { class: "map", role }, group);
    const name = html("div", { class: "name" }, figure);
    const cells = html("div", { class: "cells", "aria-hidden": "true" }, figure);
    drawn.push({ figure, name, cells });
  }
  maps.forEach((map, i) => {
    const { figure, name, cells } = drawn[i];
    write(name, map.name);
    figure.classList.toggle("chosen", Boolean(map.chosen));
    if (drawn[i].layer !== layer) cells.replaceChildren();
    drawn[i].layer = layer;
    if (layer.long) drawPicture(cells, layer, map);
    else drawNumbers(cells, layer, map);
    if (role) set(figure, { "aria-label": `${map.name}: ${inRows(map.values, layer)}` });
  });
}

function drawNumbers(cells, { width, digits }, { values, top, spot = -1, differs }) {
  cells.style.cssText = `display: grid; width: ${CELL * width}px; `
    + `grid: auto-flow ${CELL}px / repeat(${width}, 1fr)`;
  ensureChildren(cells, "span", values.length, html).forEach((span, i) => {
    write(span, number(values[i], digits));
    span.className = i === spot ? "spot" : differs?.has(i) ? "differs" : "";
    span.style.background = `rgb(${tint(values[i]).join(" ")} / ${0.5 * shade(values[i], top)})`;
  });
}

function drawPicture(cells, { height, width }, { values, top, spot }) {
  const canvas = cells.querySelector("canvas") ?? html("canvas", {}, cells);
  const frame = cells.querySelector(".spot") ?? html("div", { class: "spot" }, cells);
  cells.style.cssText = `aspect-ratio: ${width} / ${height}`;
  if (canvas.values !== values) paint(canvas, values, width, height, top);
  canvas.values = values;
  const [left, up] = [(spot % width) / width, Math.floor(spot / width) / height];
  frame.style.cssText = `left: ${100 * left}%; top: ${100 * up}%; `
    + `width: ${100 / width}%; height: ${100 / height}%`;
}

// Blue above 0, orange below, clear at 0: so it lies well on white and on dark.
const tint = (value) => (value < 0 ? [213, 94, 0] : [40, 145, 220]);
const shade = (value, top) => Math.min(Math.abs(value) / (top || 1), 1);

function paint(canvas, values, width, height, top) {
  set(canvas, { width, height });
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(width, height);
  values.forEach((value, i) => {
    image.data.set([...tint(value), Math.round(255 * shade(value, top))], 4 * i);
  });
  pen.putImageData(image, 0, 0);
}

function bars(canvas, values) {
  set(canvas, { width: 4 * values.length, height: 2 * BAR });
  const pen = canvas.getContext("2d");
  const top = largest(values);
  values.forEach((value, i) => {
    const length = Math.round(BAR * shade(value, top));
    pen.fillStyle = `rgb(${tint(value).join(" ")})`;
    pen.fillRect(4 * i, value < 0 ? BAR : BAR - length, 3, length);
  });
}

// ---- words

const number = (value, digits) => {
  const text = value.toFixed(digits);
  return (Number(text) === 0 ? (0).toFixed(digits) : text).replace("-", "−");
};

const inRows = (values, { width }) =>
  Array.from(values, (v, i) => number(v, 0) + ((i + 1) % width ? " " : "; ")).join("").slice(0, -2);

// The sum of one output written out; of a long one the largest products, and the rest as one number.
function inWords(layer, at, o) {
  const { channels, digits } = layer;
  const bracket = (value) => (value < 0 ? `(${number(value, digits)})` : number(value, digits));
  const x = layer.vector(at);
  const terms = Array.from(x, (value, c) => ({ c, value, w: layer.w[o * channels + c] }));
  const size = ({ value, w }) => Math.abs(value * w);
  if (layer.long) terms.sort((a, b) => size(b) - size(a));
  const rest = terms.splice(layer.long ? TERMS : channels);
  const products = terms.map(({ c, value, w }) =>
    `${bracket(w)}·${bracket(value)}${layer.long ? ` [input ${c}]` : ""}`);
  if (rest.length) {
    const sum = rest.reduce((total, { value, w }) => total + value * w, 0);
    products.push(`${bracket(sum)} [the other ${rest.length} products]`);
  }
  const sum = layer.sums[o * layer.pixels + at];
  const end = sum < 0 ? "below 0, so the ReLU makes it 0"
    : `the ReLU lets it pass: ${number(sum, digits)}`;
  return `${layer.outputMaps[o].name} = bias ${number(layer.b[o], digits)} + `
    + `${products.join(" + ")} = ${number(sum, digits)}; ${end}.`;
}

// ---- the arithmetic, here and once more in pixel_mlp.py

function readLayer(stage) {
  const x = numbers(stage.inputs, "inputs", [null, null, null]);
  const b = numbers(stage.biases, "biases", [null]);
  const [channels, height, width] = x.shape;
  const outputs = b.shape[0];
  const w = numbers(stage.weights, "weights", [outputs, channels]);
  const pixels = height * width;
  const layer = { stage, about: stage.about, digits: stage.digits, channels, height, width, pixels,
    outputs, x: x.values, w: w.values, b: b.values, long: Boolean(stage.digits) };
  layer.kernel = stage.kernel && numbers(stage.kernel, "kernel", [outputs, channels, 3, 3]).values;
  layer.sums = convolve(layer, layer.x, layer.w, 1);
  layer.vector = (at) => Float64Array.from({ length: channels }, (_, c) => layer.x[c * pixels + at]);
  const maps = (word, all, places, channelOf) => {
    const found = places.map((place, i) => ({ name: `${word} ${channelOf[i]}`,
      channel: channelOf[i], values: all.subarray(place * pixels, (place + 1) * pixels) }));
    const top = Math.max(...found.map(({ values }) => largest(values)));
    return found.map((map) => ({ ...map, top }));
  };
  layer.inputMaps = maps("input", layer.x, stage.shown_inputs, stage.shown_inputs);
  layer.outputMaps = maps("output", layer.sums.map((sum) => Math.max(sum, 0)),
    [...layer.b.keys()], stage.shown_outputs);
  return layer;
}

// Nested lists, or 8-bit integers and their scale, as a shape and a flat array; `wanted` is the
// shape it must have, null where any length will do.
function numbers(data, name, wanted) {
  const shape = [...(data?.shape ?? [])];
  for (let part = data; Array.isArray(part); part = part[0]) shape.push(part.length);
  const values = Array.isArray(data) ? Float64Array.from(data.flat(Infinity))
    : Float64Array.from(bytes(data?.data ?? ""), (n) => n * data.scale);
  const size = shape.reduce((product, length) => product * length, 1);
  const fits = shape.length === wanted.length && wanted.every((n, i) => (n ?? shape[i]) === shape[i]);
  if (!fits || !size || size !== values.length || !values.every(Number.isFinite)) {
    const rule = wanted.map((n) => n ?? "any").join("×");
    throw new Error(`${name} must be ${rule} finite numbers, got ${shape.join("×") || typeof data}`);
  }
  return { shape, values };
}

// The sums of a k×k convolution, k odd; zeros around the image.
function convolve({ channels, height, width, outputs, b }, x, kernel, k) {
  const reach = k >> 1;
  const sums = new Float64Array(outputs * height * width);
  let at = 0;
  for (let o = 0; o < outputs; o++) for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      let sum = b[o];
      for (let c = 0; c < channels; c++) for (let i = 0; i < k; i++) for (let j = 0; j < k; j++) {
        const [r, s] = [row + i - reach, column + j - reach];
        if (r < 0 || r >= height || s < 0 || s >= width) continue;
        sum += kernel[((o * channels + c) * k + i) * k + j] * x[(c * height + r) * width + s];
      }
      sums[at++] = sum;
    }
  }
  return sums;
}

function shuffledOrder(count, seed) { // swaps drawn by the minimal standard generator
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    seed = (seed * 16807) % 2147483647;
    const j = seed % (i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

function shuffled(maps, order) { // the same pixels in another order, each with all its channels
  const n = order.length;
  return maps.map((_, i) => maps[i - (i % n) + order[i % n]]);
}

function unshuffled(maps, order) {
  const inverse = [];
  order.forEach((from, to) => { inverse[from] = to; });
  return shuffled(maps, inverse);
}

// An experiment with one kernel size: what to draw, and what came of it in words.
function tried(layer, size, { experiment, seed, at, output }) {
  const { pixels, x, outputMaps } = layer;
  const apply = (maps) => convolve(layer, maps, size === 1 ? layer.w : layer.kernel, size);
  const picture = (words, maps, channel, more) => ({ name: words, top: largest(maps), ...more,
    values: maps.subarray(channel * pixels, (channel + 1) * pixels) });
  const plain = apply(x);
  const different = (maps) => [...maps.keys()].filter((i) => maps[i] !== plain[i]);
  const ringed = (places) => ({ differs: new Set(places.map((i) => i - output * pixels)) });
  const name = `sums, ${outputMaps[output].name}`;

  if (experiment === "change") {
    const changed = x.slice();
    changed[at] += 1;
    const sums = apply(changed);
    const places = different(sums);
    const where = size === 1 ? "all at this pixel" : "at this pixel and its neighbours";
    const input = picture("input 0, changed", changed, 0, { differs: new Set([at]) });
    return { words: `${places.length} of ${plain.length} sums change, ${where}.`,
      pictures: [input, picture(name, sums, output, ringed(places))] };
  }
  const step = ["shuffle", "apply", "back"].indexOf(experiment);
  if (step < 0) {
    const input = picture("input 0", x, 0, { spot: at });
    return { words: "the sums, before the ReLU.",
      pictures: [input, picture(name, plain, output, { spot: at })] };
  }
  const order = shuffledOrder(pixels, seed);
  const moved = shuffled(x, order);
  const sums = apply(moved);
  const back = unshuffled(sums, order);
  const places = different(back);
  const pictures = [picture("input 0, shuffled", moved, 0), picture(name, sums, output),
    picture("put back", back, output, ringed(places)), picture("never shuffled", plain, output)];
  const words = ["the pixels are shuffled, each with all its channels.",
    "the layer is applied to the shuffled pixels.",
    `${places.length} of ${plain.length} sums differ from those never shuffled`
      + (places.length ? "; here they are ringed." : ".")];
  return { words: words[step], pictures: pictures.slice(0, [1, 2, 4][step]) };
}

// ---- small things

const largest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
const clamp = (value, count) => Math.min(Math.max(Number.isFinite(value) ? value : 0, 0), count - 1);
const inside = (pixel, { height, width }) => [clamp(pixel?.[0], height), clamp(pixel?.[1], width)];

export default widget("nin-pixel-mlp", mount);
