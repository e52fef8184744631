// Live curves: the loss (above) and the accuracy (below) of a training run, while it goes on.
//
//   mount(el, config, onChange) draws into `el` and returns { update(config), destroy() }.
//   config: { title, status, running, epochs, notes: [text], log, series: { train_loss: [[x, y]] } }
//   with x in epochs and y null where a value was not finite. onChange({ log }) tells of the switch.

const KINDS = [
  { key: "train", word: "training" },
  { key: "val", word: "validation" },
];
const PANELS = ["loss", "accuracy"];
const SIDE = { left: 44, right: 14, top: 32, gap: 50, bottom: 40 }; // pixels around the panels

const STYLE = `
.nin-curves { --text: #1f2328; --back: #fff; --train: #0072b2; --val: #d55e00; }
@media (prefers-color-scheme: dark) {
  .nin-curves { --text: #e6e6e6; --back: #16181c; --train: #56b4e9; --val: #f0803c; } }
[data-jp-theme-light="true"] .nin-curves, [data-theme="light"] .nin-curves, .vscode-light .nin-curves {
  --text: #1f2328; --back: #fff; --train: #0072b2; --val: #d55e00; }
[data-jp-theme-light="false"] .nin-curves, [data-theme="dark"] .nin-curves, .vscode-dark .nin-curves {
  --text: #e6e6e6; --back: #16181c; --train: #56b4e9; --val: #f0803c; }
.nin-curves {
  color: var(--jp-ui-font-color1, var(--pst-color-text-base, var(--vscode-foreground, var(--text))));
  background: var(--jp-layout-color0,
    var(--pst-color-background, var(--vscode-editor-background, var(--back))));
  font: 13px/1.45 var(--jp-ui-font-family, system-ui, sans-serif);
  max-width: 760px; padding: 6px 8px; box-sizing: border-box; }
.nin-curves .head { display: flex; flex-wrap: wrap; align-items: center; gap: 2px 12px; }
.nin-curves .title { flex-basis: 100%; font-weight: 600; }
.nin-curves .status { flex: 1; }
.nin-curves .note:empty, .nin-curves .title:empty { display: none; }
.nin-curves button { font: inherit; color: inherit; background: transparent; cursor: pointer;
  border: 1px solid currentColor; border-radius: 4px; padding: 3px 10px; min-height: 28px; }
.nin-curves button[aria-pressed="true"] { background: var(--train); border-color: var(--train);
  color: var(--jp-layout-color0, var(--pst-color-background, var(--back))); }
.nin-curves :focus-visible { outline: 2px solid var(--train); outline-offset: 2px; }
.nin-curves .chart { touch-action: pan-y; cursor: crosshair; }
.nin-curves svg { display: block; width: 100%; }
.nin-curves svg text { fill: currentColor; font-size: 12px; }
.nin-curves .grid { stroke: currentColor; opacity: 0.18; }
.nin-curves .cursor { stroke: currentColor; opacity: 0.6; }
.nin-curves .line { fill: none; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
.nin-curves .line.train { stroke: var(--train); }
.nin-curves .line.val { stroke: var(--val); stroke-dasharray: 6 4; }
.nin-curves circle.train { fill: var(--train); }
.nin-curves circle.val { fill: var(--val); }
.nin-curves table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 4px 0; }
.nin-curves :is(th, td) { padding: 0 0 0 10px; text-align: right; font-weight: 400; min-width: 3.2em;
  border: 0; background: none; color: inherit; white-space: nowrap; }
.nin-curves :is(th, td):first-child { text-align: left; min-width: 0; padding: 0; }
.nin-curves table svg { display: inline-block; width: 30px; height: 10px; margin-right: 6px; }
`;

export function mount(el, config, onChange = () => {}) {
  const root = html("div", { class: "nin-curves", role: "group" }, el);
  html("style", {}, root).textContent = STYLE;
  const head = html("div", { class: "head" }, root);
  const title = html("span", { class: "title" }, head);
  const status = html("span", { class: "status" }, head);
  const button = html("button", { type: "button", "aria-pressed": "false" }, head);
  button.textContent = "log scale";
  const note = html("div", { class: "note", role: "status" }, root);
  const readout = legendTable(root);
  // To a screen reader the cursor is a slider along the epochs, whose text is the values there.
  const chart = html("div", { class: "chart", role: "slider", tabindex: "0" }, root);
  const svg = node("svg", { "aria-hidden": "true" }, chart);
  const panels = PANELS.map((name) => makePanel(svg, name));
  const axis = node("text", { "text-anchor": "middle" }, svg);
  axis.textContent = "epoch";
  const rule = node("line", { class: "cursor" }, svg);

  let cursor = null; // an epoch, or null: follow the newest point
  let frame = 0;
  let toEpoch = (pixel) => pixel;

  // However many messages arrive, the page draws once a frame, and not while it is out of sight.
  const redraw = () => { frame ||= requestAnimationFrame(draw); };

  function draw() {
    frame = 0;
    const width = chart.clientWidth;
    if (!width) return;
    const high = width < 480 ? 120 : 150; // one panel, in pixels
    const full = SIDE.top + PANELS.length * (high + SIDE.gap) - SIDE.gap + SIDE.bottom;
    set(svg, { viewBox: `0 0 ${width} ${full}`, height: full });

    const xs = allX(config.series);
    const last = xs.at(-1) ?? 0;
    const across = ticks(Math.max(config.epochs ?? 0, last) || 1);
    const far = config.epochs ? Math.max(config.epochs, last) : across.at(-1);
    const right = width - SIDE.right;
    const x = (epoch) => SIDE.left + (epoch / far) * (right - SIDE.left);
    toEpoch = (pixel) => ((pixel - SIDE.left) / (right - SIDE.left)) * far;

    panels.forEach((panel, i) => {
      const top = SIDE.top + i * (high + SIDE.gap);
      const lines = KINDS.map((kind) => config.series[`${kind.key}_${panel.name}`] ?? []);
      const log = config.log && panel.name === "loss";
      const scale = makeScale(lines.flat(), log, panel.name === "accuracy" ? 1 : 0, top, high);
      set(panel.title, { y: top - 14 });
      panel.title.textContent = panel.name + (log ? " (logarithmic)" : "");
      pool(panel.grid, "line", scale.ticks.length).forEach((line, j) => {
        const y = scale.y(scale.ticks[j]);
        set(line, { class: "grid", x1: SIDE.left, x2: right, y1: y, y2: y });
      });
      label(panel.up, scale.ticks, (tick) => [SIDE.left - 6, scale.y(tick) + 4], "end");
      label(panel.across, across.filter((t) => t <= far), (t) => [x(t), top + high + 16], "middle");
      lines.forEach((points, k) => {
        set(panel.lines[k], { d: path(points, x, scale.y) });
        const dots = KINDS[k].key === "val" && points.length <= 60 ? points : [];
        mark(panel.dots[k], dots, KINDS[k].key, x, scale.y, 3);
        mark(panel.spots[k], cursor === null ? [] : [nearest(points, cursor)], KINDS[k].key,
          x, scale.y, 5);
      });
    });
    set(axis, { x: (SIDE.left + right) / 2, y: full - 6 });
    set(rule, { x1: x(cursor ?? 0), x2: x(cursor ?? 0), y1: SIDE.top, y2: full - SIDE.bottom,
      visibility: cursor === null ? "hidden" : "visible" });
    say(last);
  }

  function say(last) {
    const at = cursor ?? last;
    const words = KINDS.map((kind, k) => {
      const found = PANELS.map((name) => nearest(config.series[`${kind.key}_${name}`] ?? [], at));
      const values = found.map((point) => (point ? number(point[1]) : "–"));
      const epoch = found[0] ?? found[1];
      readout[k].forEach((cell, j) => write(cell, [epoch ? epoch[0].toFixed(2) : "–", ...values][j]));
      return epoch && `${kind.word} at epoch ${epoch[0].toFixed(2)}: `
        + `loss ${values[0]}, accuracy ${values[1]}`;
    });
    set(chart, { "aria-label": "epoch", "aria-valuemin": 0, "aria-valuemax": last,
      "aria-valuenow": at, "aria-valuetext": words.filter(Boolean).join("; ") || "no values yet" });
    set(root, { "aria-label": `${config.title || "training run"}: loss and accuracy by epoch` });
    set(button, { "aria-pressed": String(Boolean(config.log)) });
    set(status, { "aria-live": config.running ? "off" : "polite" });
    write(title, config.title ?? "");
    write(status, config.status ?? "");
    write(note, (config.notes ?? []).join("; "));
  }

  const point = (event) => {
    const xs = allX(config.series);
    const at = toEpoch(event.clientX - svg.getBoundingClientRect().left);
    cursor = xs.reduce((best, x) => (Math.abs(x - at) < Math.abs(best - at) ? x : best), xs[0] ?? null);
    redraw();
  };
  const leave = () => { cursor = null; redraw(); };
  const press = (event) => {
    const xs = allX(config.series);
    if (event.target === button && (event.key === "Enter" || event.key === " ")) {
      event.stopPropagation(); // a notebook would run or scroll the cell
    } else if (event.target === chart && xs.length && event.key in MOVES) {
      event.preventDefault();
      event.stopPropagation();
      const now = cursor === null ? xs.length - 1 : xs.findIndex((x) => x >= cursor);
      const next = MOVES[event.key](now < 0 ? xs.length - 1 : now, xs.length - 1);
      cursor = xs[Math.min(Math.max(next, 0), xs.length - 1)] ?? null;
      redraw();
    }
  };
  const toggle = () => onChange({ log: !config.log });

  chart.addEventListener("pointermove", point);
  chart.addEventListener("pointerdown", point);
  chart.addEventListener("pointerleave", leave);
  chart.addEventListener("blur", leave);
  root.addEventListener("keydown", press);
  button.addEventListener("click", toggle);
  const observer = new ResizeObserver(redraw);
  observer.observe(chart);
  redraw();

  return {
    update(next) {
      config = next;
      redraw();
    },
    destroy() {
      cancelAnimationFrame(frame);
      observer.disconnect();
      root.remove();
    },
  };
}

export default {
  render({ model, el }) {
    const read = () => ({ ...model.get("config"), log: model.get("log") });
    const view = mount(el, read(), (change) => {
      for (const [name, value] of Object.entries(change)) model.set(name, value);
      model.save_changes();
    });
    const refresh = () => view.update(read());
    const names = ["change:config", "change:log"];
    for (const name of names) model.on(name, refresh);
    return () => {
      for (const name of names) model.off(name, refresh);
      view.destroy();
    };
  },
};

// ---- where a key moves the cursor, from point i of 0 ... n; Escape follows the newest again

const MOVES = {
  ArrowLeft: (i) => i - 1, ArrowDown: (i) => i - 1,
  ArrowRight: (i) => i + 1, ArrowUp: (i) => i + 1,
  PageDown: (i) => i - 10, PageUp: (i) => i + 10,
  Home: () => 0, End: (i, n) => n, Escape: () => NaN,
};

// ---- numbers

const allX = (series) =>
  [...new Set(Object.values(series).flatMap((points) => points.map(([x]) => x)))].sort((a, b) => a - b);

const nearest = (points, at) => points.reduce(
  (best, point) => (best && Math.abs(best[0] - at) < Math.abs(point[0] - at) ? best : point), null);

function number(y) {
  if (y === null) return "gap";
  return Math.abs(y) < 1000 ? y.toFixed(3) : y.toExponential(2);
}

function ticks(high, count = 5) { // round numbers from 0 to `high` or just above it
  const power = 10 ** Math.floor(Math.log10(high / count));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s * count >= high * 0.999);
  const length = Math.ceil(high / step - 1e-6) + 1;
  return Array.from({ length }, (_, i) => +(i * step).toPrecision(10));
}

function logTicks(low, high) { // 1, 2, 5, 10, ... around `low` and `high`; only powers if many
  const [from, to] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const steps = to - from > 3 ? [1] : [1, 2, 5];
  const all = [];
  for (let p = from; p <= to; p++) for (const m of steps) all.push(+(m * 10 ** p).toPrecision(3));
  const first = all.findLastIndex((t) => t <= low);
  const last = all.findIndex((t) => t >= high);
  const some = all.slice(Math.max(first, 0), last < 0 ? undefined : last + 1);
  return some.length > 1 ? some : [some[0], some[0] * 10];
}

function makeScale(points, log, least, top, high) {
  const ys = points.map(([, y]) => y).filter((y) => y !== null && (!log || y > 0));
  const max = ys.reduce((a, b) => Math.max(a, b), least) || 1;
  const up = log ? logTicks(ys.reduce((a, b) => Math.min(a, b), max), max) : ticks(max);
  const f = log ? Math.log10 : (y) => y;
  const [a, b] = [f(up[0]), f(up.at(-1))];
  return { ticks: up, y: (y) => (log && !(y > 0) ? null : top + high * (1 - (f(y) - a) / (b - a))) };
}

function path(points, x, y) { // the pen is lifted over a gap; a lone point shows as a dot
  let d = "";
  let pen = "M";
  for (const [at, value] of points) {
    const height = value === null ? null : y(value);
    if (height === null) pen = "M";
    else {
      d += `${pen}${x(at).toFixed(1)} ${height.toFixed(1)}${pen === "M" ? "h0" : ""}`;
      pen = "L";
    }
  }
  return d;
}

// ---- elements; text from outside is only ever set as text

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

const html = (tag, attributes, parent) =>
  parent.appendChild(set(document.createElement(tag), attributes));
const node = (tag, attributes, parent) =>
  parent.appendChild(set(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes));

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function pool(group, tag, count) { // exactly `count` children, those that are there used again
  while (group.childElementCount < count) node(tag, {}, group);
  while (group.childElementCount > count) group.lastChild.remove();
  return [...group.children];
}

function label(group, values, place, anchor) {
  pool(group, "text", values.length).forEach((text, i) => {
    const [x, y] = place(values[i]);
    write(set(text, { x, y, "text-anchor": anchor }), String(values[i]));
  });
}

function mark(group, points, kind, x, y, r) {
  const seen = points.filter((p) => p && p[1] !== null && y(p[1]) !== null);
  pool(group, "circle", seen.length).forEach((circle, i) => {
    set(circle, { class: kind, r, cx: x(seen[i][0]), cy: y(seen[i][1]) });
  });
}

function makePanel(svg, name) {
  const group = () => node("g", {}, svg);
  return {
    name, title: node("text", { x: 2, "font-weight": 600 }, svg), grid: group(), up: group(),
    across: group(), lines: KINDS.map((kind) => node("path", { class: `line ${kind.key}` }, svg)),
    dots: KINDS.map(group), spots: KINDS.map(group),
  };
}

function legendTable(root) { // the legend, and the values under the cursor or of the newest point
  const table = html("table", {}, root);
  const top = html("tr", {}, html("thead", {}, table));
  for (const word of ["", "epoch", "loss", "accuracy"]) {
    html(word ? "th" : "td", word ? { scope: "col" } : {}, top).textContent = word;
  }
  const body = html("tbody", {}, table);
  return KINDS.map((kind) => {
    const row = html("tr", {}, body);
    const name = html("th", { scope: "row" }, row);
    const sample = node("svg", { viewBox: "0 0 30 10", "aria-hidden": "true" }, name);
    node("path", { class: `line ${kind.key}`, d: "M2 5H28" }, sample);
    name.append(kind.word);
    return [0, 1, 2].map(() => html("td", {}, row));
  });
}
