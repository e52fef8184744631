// The shape flow explorer: what each stage of a network does to the shape, what it costs, which
// pixels it never reads. The reader edits the network; the sums are in shape_flow_sums.js.
//
//   config: { title, question, task, networks: { name: spec }, first: { start, spec, size },
//             start: a name, spec, size: [height, width], selected: a stage }
//   with spec as in Network.to_json(). Stages are counted from 0, the input; the head is the last.

const SHAPE_STYLE = `
.nin-shape-flow {
  .inside { container-type: inline-size; }
  .sides { display: grid; gap: 4px 20px; grid-template-columns: minmax(0, 1fr); margin: 0 0 8px; }
  .volumes { margin: 0 0 8px; cursor: pointer; font-size: 12px; line-height: 1.25; }
  .labels { display: flex; margin: 0 0 4px; }
  .labels span { flex: none; padding: 2px 0; white-space: pre; text-align: center;
    display: flex; justify-content: safe center; }
  .labels .chosen { background: var(--soft); font-weight: 600; }
  .scale { display: flex; align-items: center; gap: 6px; padding-left: 2px; }
  .rule { border: solid currentColor; border-width: 0 1px; height: 7px;
    background: linear-gradient(currentColor, currentColor) center / 100% 1px no-repeat; }
  .rule.deep { border: 0; margin-left: 16px; transform: rotate(-29deg); }
  .ground { fill: transparent; }
  .chosen .ground { fill: var(--soft); }
  :is(.face, .depth, .window) { fill: var(--blue); fill-opacity: .2; stroke: var(--blue);
    stroke-linejoin: round; }
  .depth { fill-opacity: .5; }
  .window { stroke-width: 2; }
  .unread { fill: var(--red); }
  .map { fill: var(--soft); stroke: var(--edge); }
  table { width: 100%; font-size: 12px; white-space: nowrap; }
  :is(th, td) { padding: 3px 0 3px 3px; }
  :is(th, td):first-child { padding-left: 2px; }
  thead th { vertical-align: bottom; line-height: 1.2; color: var(--quiet); white-space: normal;
    overflow-wrap: normal; }
  tbody { border-top: 1px solid var(--soft); cursor: pointer; }
  tbody.chosen { background: var(--soft); }
  tbody label { display: flex; align-items: center; cursor: pointer; }
  tbody input[type="radio"] { margin-right: 3px; }
  tfoot { border-top: 1px solid var(--edge); }
  td { position: relative; }
  .bar { position: absolute; right: 0; bottom: 0; height: 3px; background: var(--blue); }
  .left { color: var(--red); font-weight: 600; }
  td.why { text-align: left; white-space: normal; padding-bottom: 6px; }
  fieldset { border: 0; padding: 0; margin: 0 0 10px; min-width: 0; }
  :is(legend, h4) { font-size: 14px; font-weight: 600; padding: 0; margin: 0 0 4px; }
  .fields { display: flex; flex-wrap: wrap; gap: 6px 12px; align-items: end; }
  .fields label { display: grid; gap: 1px; font-size: 13px; }
  .fields label.tick { display: flex; align-items: center; min-height: 28px; }
  .fields input { font: inherit; font-size: 14px; color: var(--text); background: var(--back);
    border: 1px solid var(--edge); border-radius: 4px; padding: 3px 9px; min-height: 28px; }
  .fields input[type="number"] { width: 84px; }
  .fields input[type="range"] { width: 130px; padding: 0; }
  .pictures, .sums { display: flex; flex-wrap: wrap; gap: 8px 16px; }
  figure { margin: 0; width: 156px; }
  :is(figcaption, .sums) { font-size: 13px; line-height: 1.35; }
  .sums ul { flex: 1 1 250px; list-style: none; padding: 0; font-variant-numeric: tabular-nums; }
  .sums li { margin: 0 0 2px; }
  .sums li:first-child { font-weight: 600; }
}
@container (max-width: 345px) {
  .nin-shape-flow table { font-size: 11px; } }
@container (min-width: 600px) {
  .nin-shape-flow .sides { grid-template-columns: minmax(0, 5fr) minmax(0, 3fr); } }
@container (min-width: 740px) {
  .nin-shape-flow .sides { grid-template-columns: minmax(0, 6fr) minmax(0, 5fr); }
  .nin-shape-flow table { font-size: 13px; }
  .nin-shape-flow :is(th, td) { padding-left: 8px; }
  .nin-shape-flow tbody input[type="radio"] { margin-right: 6px; } }
`;

export function mount(el, config, onChange = () => {}) {
  const frame = shell(el, "shape-flow", config, onChange, () => ({ ...config.first, selected: 0 }));
  html("style", {}, frame.root, SHAPE_STYLE);
  const top = html("div", { class: "controls" }, frame.body);
  const label = html("label", {}, top, "Start from ");
  const start = html("select", {}, label);
  const status = html("p", { class: "status", role: "status" }, frame.body);
  const choose = (selected) => onChange({ selected });
  const volumes = makeVolumes(frame.body, choose);
  const sides = html("div", { class: "sides" }, frame.body);
  const table = makeTable(sides, choose);
  const panel = makePanel(sides, (change) => onChange(change(config)), () => redraw());
  const sums = makeSums(frame.body);

  function draw() {
    frame.update(config);
    const names = Object.keys(config.networks);
    const view = look(config);
    ensureChildren(start, "option", names.length, html).forEach((option, i) => {
      write(set(option, { value: names[i] }), names[i]);
    });
    start.value = config.start;
    write(status, compare(view));
    volumes(view);
    table(view);
    panel(view);
    sums(view);
  }

  const redraw = painter(draw, frame.complain);
  start.addEventListener("change", () => {
    const spec = config.networks[start.value];
    const size = [spec.input_size, spec.input_size];
    onChange({ start: start.value, spec, size, selected: 0 });
  });
  const observer = new ResizeObserver(redraw);
  observer.observe(frame.root);
  redraw();

  return {
    update(next) {
      config = next;
      redraw();
    },
    destroy() {
      redraw.stop();
      observer.disconnect();
      frame.root.remove();
    },
  };
}

// ---- from config to what is drawn: the stages, with the sums over their rows

function look({ spec, size, selected, start, networks }) {
  if (!Array.isArray(size) || size.length !== 2) throw Error("size must be [height, width]");
  const { rows, error, at } = flow(spec, size);
  let map = at === 0 ? null : [spec.in_channels, ...size];
  const stages = stageNames(spec).map((name, i) => {
    const own = rows.filter((row) => row.at === i);
    const [first, last] = [rows.indexOf(own[0]), rows.indexOf(own.at(-1))];
    const entering = map;
    if (i) map = own.length && i !== at ? own.at(-1).shape : null;
    const unread = i && map && own[0].window
      ? [0, 1].map((axis) => neverRead(rows, size, axis, last, first)) : [[], []];
    return { name, rows: own, last, entering, shape: map, failed: i === at, unread, ...totals(own) };
  });
  const before = networks[start];
  const square = before && [before.input_size, before.input_size];
  const image = (net, [high, wide]) => product(net.in_channels, high, wide);
  return {
    spec, size, rows, error, at, stages, start, square,
    selected: selected in stages ? selected : 0,
    total: error ? null : totals(rows, image(spec, size)),
    old: before && totals(flow(before, square).rows, image(before, square)),
  };
}

function change(now, before) {
  if (now === before) return "unchanged";
  if (!before) return "from 0";
  const percent = 100 * (Number(now) / Number(before) - 1);
  const size = Math.abs(percent);
  let digits = size < 0.01 ? "<0.01" : size.toFixed(size < 1 ? 2 : 1);
  if (size >= 9.95) digits = commas(Math.round(size));
  return `${percent < 0 ? "−" : "+"}${digits} %`;
}

function compare({ total, old, start, square, error, at, stages }) {
  if (error) return `Nothing gets past ${stages[at].name}: the table says why.`;
  if (!old) return "";
  const [parameters, work, memory] = ["parameters", "multiply_adds", "activations"]
    .map((key) => change(total[key], old[key]));
  const solved = parameters === "unchanged" && work !== "unchanged"
    ? " An edit that changes the work and not the parameters." : "";
  return `Against ${start} at ${square.join("×")}: parameters ${parameters}, `
    + `multiply-adds ${work}, activations ${memory}.${solved}`;
}

// ---- the volumes, all to one scale

const RIGHT = 0.8; // the direction in which channels recede
const UP = 0.45;

function makeVolumes(parent, choose) {
  const box = html("div", { class: "volumes", "aria-hidden": "true" }, parent); // the table says all
  const svg = node("svg", {}, box);
  const labels = html("div", { class: "labels" }, box);
  const scale = html("div", { class: "scale quiet" }, box);
  let ends = []; // of the columns, to the right
  box.addEventListener("click", (event) => {
    const { left, width } = box.getBoundingClientRect(); // on a slide the page is enlarged
    const x = (event.clientX - left) * box.clientWidth / width;
    choose(Math.max(0, ends.findIndex((end) => x < end)));
  });
  return (view) => {
    const wide = box.clientWidth;
    if (!wide) return;
    const shapes = view.stages.map(({ shape }) => (shape ? [...shape, 1, 1].slice(0, 3) : [0, 0, 0]));
    const most = (axis) => Math.max(1, ...shapes.map((shape) => shape[axis]));
    const sum = (axis) => shapes.reduce((total, shape) => total + shape[axis], 1);
    const gap = Math.min(34, wide / 3 / shapes.length);
    const room = wide - (gap + 3) * shapes.length; // 3: what the smallest are drawn with
    const pixel = Math.min(96 / most(1), (0.5 * room) / sum(2));
    const channel = Math.min((room - pixel * sum(2)) / RIGHT / sum(0), 56 / UP / most(0));
    const draw = (n, unit, least) => (n ? Math.max(least, n * unit) : 0);
    const boxes = shapes.map(([c, h, w]) => (
      { wide: draw(w, pixel, 2), high: draw(h, pixel, 2), deep: draw(c, channel * RIGHT, 1) }));
    const floor = 8 + Math.max(...boxes.map((box) => box.high + (box.deep / RIGHT) * UP));
    const used = boxes.reduce((total, box) => total + box.wide + box.deep, 0);
    let end = 0;
    ends = boxes.map((box) => (end += box.wide + box.deep + (wide - used) / boxes.length));
    set(svg, { viewBox: `0 0 ${wide} ${floor + 3}`, width: wide, height: floor + 3 });
    const volumes = ensureChildren(svg, "g", boxes.length);
    ensureChildren(labels, "span", boxes.length, html).forEach((label, i) => {
      const [from, to] = [ends[i - 1] ?? 0, ends[i]];
      const chosen = { class: i === view.selected ? "chosen" : "" };
      drawVolume(set(volumes[i], chosen), view.stages, i, { ...boxes[i], floor, from, to });
      set(label, chosen).style.width = `${to - from}px`;
      const lines = inWords(view.stages[i]);
      const fits = Math.max(...lines.map((line) => line.length)) * 7.2 + 4 < to - from;
      write(label, fits || i === view.selected ? lines.join("\n") : "\n");
    });
    drawScale(scale, round(24 / pixel), pixel, round(24 / channel), channel);
  };
}

const inWords = ({ shape, failed }) =>
  (shape ? [shape.slice(1).join("×") || "1×1", `× ${shape[0]}`] : [failed ? "fails" : "", ""]);

function drawVolume(g, stages, i, { wide, high, deep, floor, from, to }) {
  const [ground, depth, face, unread] = parts(g, "rect", "path", "rect", "path");
  const [x, y, up] = [(from + to - wide - deep) / 2, floor - high, (deep / RIGHT) * UP];
  set(ground, { class: "ground", x: from, y: 0, width: to - from, height: floor + 3 });
  const sides = `M${x} ${y}l${deep} ${-up}h${wide}v${high}l${-deep} ${up}v${-high}z`;
  set(depth, { class: "depth", d: `${sides}m${wide} 0l${deep} ${-up}` });
  set(face, { class: "face", x, y, width: wide, height: high });
  const next = stages[i + 1]?.unread ?? []; // what the stage after it leaves out
  set(unread, { class: "unread", d: bars(next, stages[i].shape?.slice(1), { x, y, wide, high }) });
}

// Rows and columns that are never read, as a path over the map's face; they are easily seen.
function bars(unread, size, { x, y, wide, high }) {
  return unread.flatMap((stretches, axis) => {
    const span = axis ? wide : high;
    return stretches.slice(0, 400).map(([from, to]) => {
      const thick = Math.min(Math.max(2, ((to - from + 1) / size[axis]) * span), span);
      const at = Math.min((from / size[axis]) * span, span - thick);
      return axis ? `M${x + at} ${y}h${thick}v${high}h${-thick}z`
        : `M${x} ${y + at}h${wide}v${thick}h${-wide}z`;
    });
  }).join("");
}

function parts(g, ...tags) { // the children of `g`, made once
  if (!g.childElementCount) tags.forEach((tag) => node(tag, {}, g));
  return [...g.children];
}

function drawScale(box, pixels, pixel, channels, channel) { // two rulers
  const [across, one, deep, two] = ensureChildren(box, "span", 4, html);
  set(across, { class: "rule" }).style.width = `${pixels * pixel}px`;
  set(deep, { class: "rule deep" }).style.width = `${channels * channel * Math.hypot(RIGHT, UP)}px`;
  write(one, amount(pixels, "pixel"));
  write(two, `${amount(channels, "channel")}, in depth`);
}

const amount = (n, word) => `${commas(n)} ${word}${n === 1 ? "" : "s"}`;

function round(least) { // 1, 2, 5, 10, ...
  const power = 10 ** Math.max(0, Math.floor(Math.log10(least)));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= least);
}

// ---- the table; its radio buttons choose a stage

const HEADINGS = ["stage", "output", "never read", "parameters", "multiply-adds"];

function makeTable(parent, choose) {
  const box = html("div", { class: "scroll", tabindex: 0, role: "group" }, parent);
  const table = html("table", {}, set(box, { "aria-label": "stages and their costs" }));
  const head = html("tr", {}, html("thead", {}, table));
  HEADINGS.forEach((word) => html("th", { scope: "col" }, head, word));
  const foot = html("tfoot", {}, table);
  const sums = ["total", "at the start", "change"].map((word) => {
    const row = html("tr", {}, foot);
    html("th", { scope: "row", colspan: 3 }, row, word);
    return [html("td", {}, row), html("td", {}, row)];
  });
  const group = uid("stage");
  const bodies = [];

  function makeStage(i) {
    const body = document.createElement("tbody");
    const row = html("tr", {}, body);
    const label = html("label", {}, html("th", { scope: "row" }, row));
    const radio = html("input", { type: "radio", name: group, value: i }, label);
    const name = html("span", {}, label);
    const cells = ["", "left", "", ""].map((name) => html("td", { class: name }, row));
    const figures = cells.slice(2).map((cell) => (
      [html("span", {}, cell), html("span", { class: "bar" }, cell)]));
    const why = html("td", { class: "why error", colspan: 5 }, html("tr", {}, body));
    body.addEventListener("click", () => choose(i));
    radio.addEventListener("change", () => choose(i)); // by arrow keys
    foot.before(body);
    return { body, radio, name, cells, figures, why };
  }

  return ({ stages, selected, error, total, old }) => {
    while (bodies.length > stages.length) bodies.pop().body.remove();
    while (bodies.length < stages.length) bodies.push(makeStage(bodies.length));
    const keys = ["parameters", "multiply_adds"];
    const most = keys.map((key) => stages.reduce((max, s) => (s[key] > max ? s[key] : max), 1n));
    bodies.forEach(({ body, radio, name, cells, figures, why }, i) => {
      const stage = stages[i];
      set(body, { class: i === selected ? "chosen" : "" });
      radio.checked = i === selected;
      write(name, stage.name);
      write(cells[0], stage.shape ? stage.shape.join("×") : stage.failed ? "fails" : "–");
      const [down, across] = stage.unread.map(length);
      write(cells[1], down === across ? down || "" : `${down}, ${across}`);
      figures.forEach(([number, bar], j) => {
        write(number, i && stage.shape ? commas(stage[keys[j]]) : "");
        bar.style.width = `${100 * Number(stage[keys[j]]) / Number(most[j])}%`;
      });
      write(why, stage.failed ? error : "");
      why.parentElement.hidden = !stage.failed;
    });
    sums.forEach((cells, line) => cells.forEach((cell, j) => {
      const [now, before] = [total?.[keys[j]], old?.[keys[j]]];
      const known = [now, before].map((n) => (n === undefined ? "–" : commas(n)));
      const both = now !== undefined && before !== undefined;
      write(cell, [...known, both ? change(now, before) : "–"][line]);
    }));
  };
}

// ---- the panel of the selected stage: its controls, its sums, its pictures

const CONTROLS = {
  block: [["kernel_size", "kernel size", 1], ["stride", "stride", 1], ["padding", "padding", 0],
    ["inner_kernel_size", "kernel of the others", 1, 2],
    ["widths", "widths, one for each convolution"]],
  pool: [["kernel_size", "kernel size", 1], ["stride", "stride", 1], ["padding", "padding", 0],
    ["ceil_mode", "rounds up (ceil_mode)"]],
  dropout: [["p", "probability", 0, 0.1]],
  head: [["dense", "dense layers, their widths (none: global average)"]],
  square: [["side", "height and width", 1], ["range", "slide", 1], ["in_channels", "channels", 1]],
  rectangle: [["height", "height", 1], ["width", "width", 1], ["in_channels", "channels", 1]],
};

function makePanel(parent, edit, redraw) {
  const box = html("div", {}, parent);
  const fieldset = html("fieldset", {}, box);
  const legend = html("legend", {}, fieldset);
  const fields = html("div", { class: "fields" }, fieldset);
  const pictures = html("div", { class: "pictures" }, box);
  const [image, map] = [makePicture(pictures), makePicture(pictures)];
  let built = "";
  let controls = [];

  return (view) => {
    const { stages, selected, spec, size, start, square } = view;
    const input = size[0] === size[1] ? "square" : "rectangle";
    const kind = selected ? spec.stages[selected - 1]?.kind ?? "head" : input;
    const key = `${start} ${selected} ${kind}`;
    if (built !== key) {
      built = key;
      fields.replaceChildren();
      controls = CONTROLS[kind].map((control) => makeControl(fields, control, square?.[0] ?? 64,
        (value) => edit((config) => edited(config, selected, control[0], value)), redraw));
    }
    const [height, width] = size;
    const sides = { side: height, range: height, height, width };
    controls.forEach((control) => control({ ...spec, ...spec.stages[selected - 1], ...sides }));
    write(legend, stages[selected].name);
    image(imagePicture(view, stages[selected]));
    map(mapPicture(stages[selected]));
  };
}

function makeSums(parent) { // a list for each layer of the selected stage
  const heading = html("h4", {}, parent);
  const box = html("div", { class: "sums" }, parent);
  return ({ stages, selected }) => {
    const { name, rows, entering } = stages[selected];
    write(heading, `Where the numbers of ${name} come from`);
    heading.hidden = !rows.length;
    ensureChildren(box, "ul", rows.length, html).forEach((list, i) => {
      const lines = explain(rows[i], i ? rows[i - 1].shape : entering);
      ensureChildren(list, "li", lines.length, html).forEach((item, line) => write(item, lines[line]));
    });
  };
}

function edited({ spec, size }, selected, name, value) {
  if (name === "side" || name === "range") return { size: [value, value] };
  if (name === "height") return { size: [value, size[1]] };
  if (name === "width") return { size: [size[0], value] };
  if (!(selected - 1 in spec.stages)) return { spec: { ...spec, [name]: value } };
  const stages = [...spec.stages];
  stages[selected - 1] = { ...stages[selected - 1], [name]: value };
  return { spec: { ...spec, stages } };
}

function makeControl(parent, [name, words, least, step = 1], usual, edit, redraw) {
  const label = html("label", {}, parent, name === "ceil_mode" ? "" : words);
  const input = html("input", {}, label);
  let read = () => (input.value === "" ? null : Number(input.value));
  let show = (value) => { input.value = value ?? ""; };
  if (name === "ceil_mode") {
    set(label, { class: "tick" }).append(words);
    set(input, { type: "checkbox" });
    read = () => input.checked;
    show = (value) => { input.checked = value === true; };
  } else if (name === "widths" || name === "dense") {
    set(input, { type: "text", spellcheck: "false" });
    const number = (word) => (/^-?\d+$/.test(word) ? Number(word) : word);
    read = () => input.value.split(/[\s,]+/).filter(Boolean).map(number);
    show = (value) => { input.value = Array.isArray(value) ? value.join(", ") : ""; };
  } else {
    set(input, { type: "number", min: least, step });
    if (name === "range") set(input, { type: "range", max: 2 * usual });
  }
  input.addEventListener("input", () => edit(read()));
  input.addEventListener("blur", redraw);
  return (values) => { // what is being typed is left alone
    if (document.activeElement !== input || input.type === "checkbox") show(values[name]);
  };
}

// Where each number of a row comes from: what the layer is, then lines of sums.
function explain({ layer, shape, window, parameters, multiply_adds: work }, entering) {
  const [[channels, ...sides], [out, ...outs]] = [entering, shape];
  const head = `${layer}: ${shape.join("×")}`;
  if (layer.startsWith("dropout")) return [head, "the shape stays; no parameters"];
  if (layer === "global average pool") {
    return [head, `the mean of the ${sides.join("·")} numbers of each map; no parameters`];
  }
  if (layer === "dense") {
    const inputs = entering.join("·");
    return [head,
      `parameters: ${inputs} inputs · ${out} weights + ${out} biases = ${commas(parameters)}`,
      `multiply-adds: one for each weight = ${commas(work)}`];
  }
  const [k, stride, padding] = window;
  const up = layer.endsWith("rounds up");
  const [open, close, whole] = up ? ["⌈", "⌉", Math.ceil] : ["⌊", "⌋", Math.floor];
  const places = sides.map((side, axis) => {
    const sum = whole((side + 2 * padding - k) / stride) + 1;
    const word = sides[0] === sides[1] ? "side" : ["height", "width"][axis];
    return `${word}: ${open}(${side} + 2·${padding} − ${k}) / ${stride}${close} + 1 = ${sum}`
      + (sum > outs[axis] ? ", less 1: the last window would start outside" : "");
  });
  const lines = [head, ...new Set(places)];
  if (!parameters) return lines;
  const weights = commas(parameters - BigInt(out));
  return [...lines,
    `parameters: ${channels}·${k}·${k}·${out} weights + ${out} biases = ${commas(parameters)}`,
    `multiply-adds: ${weights} weights · ${outs.join("·")} places = ${commas(work)}`];
}

// ---- pictures of a map from above: what is never read, and what is seen

function imagePicture({ rows, size, stages, at }, stage) {
  const whole = stage === stages[0];
  const last = whole ? rows.length - 1 : stage.last;
  if (last < 0 || stage.failed) return null;
  const { shape, jump, origin, receptive_field: field } = rows[last];
  const unread = [0, 1].map((axis) => neverRead(rows, size, axis, last));
  const [y, x] = [1, 2].map((axis) => ((shape[axis] ?? 1) - 1 >> 1) * Number(jump) + Number(origin));
  const part = at === null ? "The whole network" : `What comes before ${stages[at].name}`;
  const seen = `The square: what one number in the middle sees, ${commas(field)}×${commas(field)}.`;
  return {
    size, unread, windows: whole ? [] : [{ x, y, side: Number(field) }],
    words: `Input, ${size.join("×")}. ${whole ? part : `All up to ${stage.name}`}: `
      + `${unreadWords(unread, size)}. ${whole ? "" : seen}`,
  };
}

function mapPicture({ name, rows, entering, unread, failed }) {
  const [row] = rows;
  if (failed || !row?.window || row.layer.startsWith("dropout")) return null;
  const [side, stride, padding] = row.window;
  const at = (n, axis) => Math.min(n, row.shape[axis] - 1) * stride - padding;
  const windows = [0, 1, Infinity].map((n) => ({ side, y: at(n, 1), x: at(n, 2) }));
  const size = entering.slice(1);
  return {
    size, unread, windows,
    words: `Map that enters ${name}, ${size.join("×")}: ${unreadWords(unread, size)}. `
      + `The squares: the first two windows and the last, ${side}×${side}, ${stride} apart.`,
  };
}

function makePicture(parent) {
  const figure = html("figure", {}, parent);
  const svg = node("svg", { "aria-hidden": "true", width: 150, height: 150 }, figure);
  const caption = html("figcaption", {}, figure);
  return (picture) => {
    figure.hidden = !picture;
    if (!picture) return;
    const { size, unread, windows, words } = picture;
    const longest = Math.max(...size);
    const over = windows.flatMap(({ x, y, side }) => [-x, -y, x + side - size[1], y + side - size[0]]);
    const margin = Math.min(Math.max(0, ...over), 0.6 * longest); // windows hang over that far
    const scale = 146 / (longest + 2 * margin);
    const at = (pixels) => 2 + (pixels + margin) * scale;
    const face = { x: at(0), y: at(0), wide: size[1] * scale, high: size[0] * scale };
    const [map, lost, squares] = parts(svg, "rect", "path", "g");
    set(svg, { height: face.y + face.high + Math.max(2, margin * scale) });
    set(map, { class: "map", x: face.x, y: face.y, width: face.wide, height: face.high });
    set(lost, { class: "unread", d: bars(unread, size, face) });
    ensureChildren(squares, "rect", windows.length).forEach((rect, i) => {
      const { x, y, side } = windows[i];
      set(rect, { class: "window", x: at(x), y: at(y), width: side * scale, height: side * scale });
    });
    write(caption, words);
  };
}

export default widget("nin-shape-flow", mount);
