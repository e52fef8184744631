// How live curves are drawn: numbers and scales, the two panels, the legend, the classes.
// It is put in front of live_curves.js, which says what the data look like.

const KINDS = [
  { key: "train", word: "training" },
  { key: "val", word: "held-out" },
];
const PANELS = ["loss", "accuracy"];
const LANE = { high: 13, gap: 3, top: 30 }; // pixels of one class, and above the first
const MARKS = "abcd"; // of the kept runs, at the ends of their lines

// ---- looking things up

const lineOf = (run, kind, panel) => run.series[`${kind.key}_${panel}`] ?? [];

const columnAt = (xs, at) => { // the last column that is not beyond `at`, or the first
  const beyond = xs.findIndex((x) => x > at);
  return beyond < 0 ? xs.length - 1 : Math.max(beyond - 1, 0);
};

const nearest = (points, at) => points.reduce(
  (best, point) => (best && Math.abs(best[0] - at) < Math.abs(point[0] - at) ? best : point), null);

const guessing = (panel, count) => { // what a net gets that gives all classes the same chance
  if (!(count > 1)) return null;
  return panel === "loss" ? Math.log(count) : 1 / count;
};

// ---- numbers

function number(y) {
  if (y === null) return "gap";
  return Math.abs(y) < 1000 ? y.toFixed(3) : y.toExponential(2);
}

function percent(share) { // zero is zero; what is not nothing is not rounded to it
  if (typeof share !== "number") return "–";
  return share > 0 && share < 0.005 ? "<1 %" : `${Math.round(100 * share)} %`;
}

function ticks(high, low = 0, count = 5) { // round numbers from `low` (0 or less) to `high` or beyond
  const span = high - low;
  const power = 10 ** Math.floor(Math.log10(span / count));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s * count >= span * 0.999);
  const first = Math.floor(low / step + 1e-6);
  const length = Math.ceil(high / step - 1e-6) - first + 1;
  return Array.from({ length }, (_, i) => +((first + i) * step).toPrecision(10));
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
  const min = ys.reduce((a, b) => Math.min(a, b), log ? Infinity : 0);
  const most = ys.reduce((a, b) => Math.max(a, b), least);
  const max = most > Math.min(min, 0) ? most : 1;
  const up = log ? logTicks(Math.min(min, max), max) : ticks(max, min);
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

// ---- the panels

function label(group, values, place, anchor) {
  ensureChildren(group, "text", values.length).forEach((text, i) => {
    const [x, y] = place(values[i]);
    write(set(text, { x, y, "text-anchor": anchor }), values[i]);
  });
}

function mark(group, points, look, x, y, r) {
  const seen = points.filter((p) => p[1] !== null && y(p[1]) !== null);
  ensureChildren(group, "circle", seen.length).forEach((circle, i) => {
    set(circle, { class: look, r, cx: x(seen[i][0]), cy: y(seen[i][1]) });
  });
}

function makePanel(svg, name) {
  const group = () => node("g", {}, svg);
  return {
    name, title: node("text", { x: 2, "font-weight": 600 }, svg), grid: group(), up: group(),
    across: group(), guess: node("line", { class: "guess" }, svg),
    chance: node("text", { "text-anchor": "end" }, svg), kept: group(), marks: group(),
    lines: KINDS.map((kind) => node("path", { class: `line ${kind.key}` }, svg)),
    dots: KINDS.map(group), spots: group(),
  };
}

function drawGuess(panel, chance, scale, left, right, top, high) {
  const y = chance === null ? null : scale.y(chance);
  const seen = y !== null && y >= top && y <= top + high;
  set(panel.guess, { x1: left, x2: right, y1: y ?? 0, y2: y ?? 0, visibility: seen ? "visible" : "hidden" });
  set(panel.chance, { x: right - 2, y: (y ?? 0) - 4, visibility: seen ? "visible" : "hidden" });
  write(panel.chance, "guessing");
}

function drawKept(panel, runs, x, y, right) { // a letter at the end of each line, none on another
  const lines = runs.flatMap((run, r) => KINDS.map((kind) => (
    { points: lineOf(run, kind, panel.name), key: kind.key, letter: MARKS[r] })));
  ensureChildren(panel.kept, "path", lines.length).forEach((line, i) => {
    set(line, { class: "line kept", d: path(lines[i].points, x, y),
      "stroke-dasharray": lines[i].key === "val" ? "6 4" : null });
  });
  const ends = lines.map(({ points, letter }) => ({ letter, end: points.findLast((p) => p[1] !== null) }))
    .filter(({ end }) => end && y(end[1]) !== null)
    .map(({ letter, end }) => ({ letter, x: Math.min(x(end[0]) + 5, right + 5), y: y(end[1]) + 4 }))
    .sort((a, b) => a.y - b.y);
  ends.forEach((end, i) => {
    const before = ends.slice(0, i).filter((other) => Math.abs(other.y - end.y) < 11);
    if (before.some((other) => other.letter === end.letter)) end.letter = "";
    else if (before.length) end.x = Math.max(...before.map((other) => other.x)) + 8;
  });
  ensureChildren(panel.marks, "text", ends.length).forEach((text, i) => {
    write(set(text, { x: ends[i].x, y: ends[i].y }), ends[i].letter);
  });
}

// ---- the legend, with the values under the cursor or of the newest points

function makeReadout(table) {
  const top = html("tr", {}, html("thead", {}, table));
  for (const word of ["", "epoch", "loss", "accuracy"]) {
    html(word ? "th" : "td", word ? { scope: "col" } : {}, top, word);
  }
  const body = html("tbody", {}, table);
  const makeRow = () => {
    const row = html("tr", {}, body);
    const name = html("th", { scope: "row" }, row);
    const sample = node("svg", { viewBox: "0 0 42 12", "aria-hidden": "true" }, name);
    const line = node("path", { d: "M2 6H28" }, sample);
    const letter = node("text", { x: 32, y: 10 }, sample);
    return { row, line, letter, name: html("span", {}, name), cells: [0, 1, 2].map(() => html("td", {}, row)) };
  };
  const rows = [];
  return (runs, at) => { // fills the table, and gives it as words
    const lines = runs.flatMap((run, r) => KINDS.map((kind) => ({ run, r, kind })));
    while (rows.length < lines.length) rows.push(makeRow());
    while (rows.length > lines.length) rows.pop().row.remove();
    return lines.map(({ run, r, kind }, i) => {
      const found = PANELS.map((panel) => nearest(lineOf(run, kind, panel), at));
      const values = found.map((point) => (point ? number(point[1]) : "–"));
      const epoch = found[0] ?? found[1];
      const name = (runs.length > 1 && run.name ? `${run.name}: ` : "") + kind.word;
      set(rows[i].line, { class: `line ${r ? "kept" : kind.key}`,
        "stroke-dasharray": kind.key === "val" ? "6 4" : null });
      write(rows[i].letter, r ? MARKS[r - 1] : "");
      write(rows[i].name, name);
      [epoch ? epoch[0].toFixed(2) : "–", ...values].forEach((word, j) => write(rows[i].cells[j], word));
      return epoch && `${name} at epoch ${epoch[0].toFixed(2)}: `
        + `loss ${values[0]}, accuracy ${values[1]}`;
    }).filter(Boolean).join("; ");
  };
}

// ---- the classes

function makeLanes(svg) {
  const title = node("text", { x: 2, "font-weight": 600 }, svg);
  const [backs, names, areas, floors, values] = [0, 1, 2, 3, 4].map(() => node("g", {}, svg));
  return { title, backs, names, areas, floors, values };
}

function drawLanes(lanes, { names, x: xs, shares }, at, x, left, right, top) {
  const column = columnAt(xs, at);
  const now = shares.map((lane) => lane[column]);
  const floor = (i) => top + i * (LANE.high + LANE.gap) + LANE.high;
  const most = Math.floor((left - 8) / 6.6); // letters that fit beside the lanes
  set(lanes.title, { y: top - 12 });
  write(lanes.title, names.length ? "classes: own images with a positive logit" : "");
  const look = (word, i) => `${word}${now[i] === 0 ? " zero" : ""}`;
  ensureChildren(lanes.names, "text", names.length).forEach((text, i) => {
    set(text, { class: look("name", i), x: left - 6, y: floor(i) - 2, "text-anchor": "end" });
    write(text, names[i].length > most ? `${names[i].slice(0, most - 1)}…` : names[i]);
  });
  ensureChildren(lanes.backs, "rect", names.length).forEach((back, i) => {
    set(back, { class: "lane", x: left, y: floor(i) - LANE.high, width: right - left, height: LANE.high });
  });
  ensureChildren(lanes.areas, "path", names.length).forEach((area, i) => {
    set(area, { class: "area", d: areaOf(xs, shares[i], x, floor(i)) });
  });
  ensureChildren(lanes.floors, "line", names.length).forEach((line, i) => {
    set(line, { class: look("floor", i), x1: left, x2: right, y1: floor(i), y2: floor(i) });
  });
  ensureChildren(lanes.values, "text", names.length).forEach((text, i) => {
    write(set(text, { class: look("name", i), x: right + 40, y: floor(i) - 2, "text-anchor": "end" }),
      percent(now[i]));
  });
}

function areaOf(xs, lane, x, floor) { // a step for each column; nothing where nothing is known
  let d = "";
  lane.forEach((share, i) => {
    if (typeof share !== "number" || share <= 0) return;
    const [from, to] = [x(i ? xs[i - 1] : 0), x(xs[i])];
    const y = (floor - LANE.high * Math.min(share, 1)).toFixed(1);
    d += `M${from.toFixed(1)} ${floor}V${y}H${to.toFixed(1)}V${floor}Z`;
  });
  return d;
}

function atZero({ names, x, shares }, column, classes) { // Python knows those not drawn, too
  if (x.length && x.length === classes.x.length && column === x.length - 1) return classes.zero ?? [];
  return names.filter((_, i) => shares[i][column] === 0);
}

function makeClassTable(parent) {
  const details = html("details", {}, parent);
  html("summary", {}, details, "the classes as a table");
  const table = html("table", {}, details);
  const top = html("tr", {}, html("thead", {}, table));
  for (const word of ["class", "own images with a positive logit"]) {
    html("th", { scope: "col" }, top, word);
  }
  const body = html("tbody", {}, table);
  return ({ names, shares }, column) => {
    details.hidden = !names.length;
    ensureChildren(body, "tr", names.length, html).forEach((row, i) => {
      const [name, value] = row.children.length ? row.children
        : [html("th", { scope: "row" }, row), html("td", {}, row)];
      write(name, names[i]);
      write(value, percent(shares[i][column]));
    });
  };
}
