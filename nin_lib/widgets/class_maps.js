// Class maps: the last block's maps as evidence for each class, and an image that can be covered.
//
//   config: { classes: [name], labels: [class of each image], side, fill, images: bytes as base64,
//     maps: packed images × classes × rows × columns,
//     field: { start, jump, side, of }: cell i sees `side` pixels from start + i · jump on, of `of`,
//     step, prepared: [{ size, changes: packed images × rows × columns × classes }] }
//   state: { image, selected_class, cell: [row, column], cover: [row, column, size],
//     computed: { image, cover, changes }: what Python answered, asked: how often the reader acted }
// `changes` are those of the logits when a region is covered.
//
// Where there is no kernel a covered region is one of the prepared ones.

const TAG = "nin-class-maps";
const MARGIN = 4; // around a bar, in its own units
const LEVELS = 12; // of strength in a small map, for and against
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

const STYLE = `
.nin-class-maps .gallery { gap: 6px; }
.nin-class-maps .gallery button { padding: 3px 3px 0; line-height: 1.3; }
.nin-class-maps canvas { image-rendering: pixelated; }
.nin-class-maps .gallery canvas { width: 44px; height: 44px; }
.nin-class-maps .sides { display: flex; flex-wrap: wrap; gap: 8px 24px; margin: 0 0 10px; }
.nin-class-maps .sides > * { min-width: 0; }
.nin-class-maps .stage { position: relative; aspect-ratio: 1; margin: 0 0 6px; cursor: move;
  touch-action: none; }
.nin-class-maps .stage canvas { width: 100%; height: 100%; }
.nin-class-maps .stage div { position: absolute; outline-offset: -2px; }
.nin-class-maps .stage .cover { outline: 2px solid #62bbf0; box-shadow: inset 0 0 0 4px #000; }
.nin-class-maps .stage .field { outline: 2px dashed #fff; box-shadow: inset 0 0 0 2px #000; }
.nin-class-maps .stage .spot { outline: 3px solid #f28c4e; }
.nin-class-maps .left { width: 288px; max-width: 100%; }
.nin-class-maps .size { flex-wrap: nowrap; }
.nin-class-maps .size input { flex: 1; }
.nin-class-maps .classes { flex: 1 1 400px; }
.nin-class-maps .classes button { display: flex; align-items: center; gap: 8px; width: 100%;
  padding: 1px 6px 1px 1px; text-align: left; line-height: 1.15; min-height: 40px; }
.nin-class-maps .classes button[aria-pressed="true"] { background: var(--soft); color: inherit;
  border-color: var(--text); box-shadow: inset 0 0 0 1px var(--text); font-weight: 600; }
.nin-class-maps .classes :is(th, td) { overflow-wrap: normal; }
@media (min-width: 700px) { .nin-class-maps .classes button { white-space: nowrap; } }
.nin-class-maps .classes em { display: block; font-style: normal; font-weight: 600; font-size: 12px; }
.nin-class-maps .small { width: 36px; flex: none; background: var(--back); }
.nin-class-maps .for { fill: var(--blue); }
.nin-class-maps .against { fill: var(--red); }
.nin-class-maps .dots { stroke: var(--back); stroke-width: 0.34; stroke-linecap: round; fill: none; }
.nin-class-maps .bar { width: clamp(64px, 15vw, 130px); height: 22px; }
.nin-class-maps .bar .before { fill: none; stroke: var(--text); stroke-width: 1.5; }
.nin-class-maps .bar line { stroke: var(--edge); }
.nin-class-maps .bar > * { vector-effect: non-scaling-stroke; }
.nin-class-maps .large { border-spacing: 1px; border-collapse: separate; table-layout: fixed; margin: 0; }
.nin-class-maps table.large td { width: 40px; height: 36px; padding: 0; text-align: center; cursor: pointer; }
.nin-class-maps .swatch { width: 16px; height: 16px; }
.nin-class-maps :is(.large td, .swatch) { --ink: var(--blue);
  background: color-mix(in srgb, var(--ink) var(--much), var(--back)); }
.nin-class-maps :is(.large td, .swatch).minus { --ink: var(--red); background-image:
  radial-gradient(circle, var(--back) 1.2px, transparent 1.8px); background-size: 7px 7px; }
.nin-class-maps .large span { background: var(--back); border-radius: 3px; padding: 0 2px;
  font-size: 11.5px; display: inline-block; }
.nin-class-maps .large td:is([aria-selected="true"], :focus-visible) { outline: 3px solid var(--text);
  outline-offset: -3px; }
.nin-class-maps .about { flex: 1 1 300px; }
.nin-class-maps .legend { display: flex; gap: 6px; }
.nin-class-maps .strip { display: flex; border: 1px solid var(--edge); }
`;

function mount(el, config, onChange) {
  const live = el.localName !== TAG; // a kernel answers; a plain page is the element itself
  const tell = (change) => { // all of it: Python's late answers may have put back a part
    const { image, selected_class, cell, cover, answer, asked = 0 } = config;
    onChange({ image, selected_class, cell, cover, answer, ...change, asked: asked + 1 });
  };
  const frame = shell(el, "class-maps", config, tell,
    () => ({ image: 0, selected_class: null, cell: null, cover: null }));
  html("style", {}, frame.root, STYLE);
  const gallery = makeGallery(frame.body, (image) => tell({ image, cell: null }));
  const sides = html("div", { class: "sides" }, frame.body);
  const left = html("div", { class: "left" }, sides);
  const stage = makeStage(left, (row, column) => moveTo(row, column));
  const tools = makeTools(left);
  const classes = makeClasses(sides, (selected_class) => tell({ selected_class }));
  const below = html("div", { class: "sides" }, frame.body);
  const large = makeLarge(below, (cell) => tell({ cell }), (cell) => { hovered = cell; redraw(); });

  let hovered = null; // the cell under the pointer
  let data = null; // what `config` holds, unpacked
  let view = null; // what is shown

  const redraw = painter(() => {
    frame.update(config);
    data = unpack(config, data);
    view = look(config, data);
    gallery(data, view);
    stage.draw(data, view, hovered ?? view.cell);
    drawTools();
    classes(data, view);
    large(data, view, hovered ?? view.cell);
  }, frame.complain);

  // ---- covering

  const sizes = () => (live ? Array.from({ length: data.side }, (_, i) => i + 1)
    : data.prepared.map(({ size }) => size));
  const step = () => (live ? 1 : data.step);

  function coverAt(row, column, size) { // the nearest that there is
    const fit = (at) => {
      const last = Math.floor((data.side - size) / step());
      return step() * Math.min(Math.max(Math.round(at / step()), 0), last);
    };
    const cover = [fit(row), fit(column), size];
    if (!same(cover, config.cover)) tell({ cover });
  }

  function moveTo(row, column, size = config.cover?.[2] ?? startSize()) { // its middle
    coverAt(row - size / 2, column - size / 2, size);
  }

  const startSize = () => data.prepared.at(-1).size;
  const middle = () => {
    const [row, column, size] = config.cover ?? [0, 0, data.side];
    return [row + size / 2, column + size / 2];
  };

  tools.toggle.addEventListener("click", () => {
    if (config.cover) tell({ cover: null });
    else moveTo(...middle());
  });
  tools.size.addEventListener("input", () => moveTo(...middle(), sizes()[tools.size.value]));
  stage.element.addEventListener("keydown", (event) => {
    const key = plainKey(event);
    if (key === "Escape" && config.cover) tell({ cover: null });
    if (!(key in ARROWS)) return;
    event.preventDefault(); // the page would scroll
    const [down, right] = config.cover ? ARROWS[key] : [0, 0];
    const [row, column] = middle();
    moveTo(row + down * step(), column + right * step());
  });

  function drawTools() {
    const { cover } = view;
    write(tools.toggle, cover ? "Uncover" : "Cover a region");
    const known = sizes();
    const size = cover?.[2] ?? startSize();
    set(tools.size, { min: 0, max: known.length - 1, step: 1, "aria-valuetext": `${size} pixels` });
    tools.size.value = nearest(known, size);
    write(tools.pixels, `${size}×${size}`);
    write(tools.says, says(data, view));
    write(tools.waits, view.exact ? "" : "These are the logits of the nearest prepared region.");
  }

  redraw();
  return {
    update(next) {
      // Python's answer to an earlier question, which carries the earlier place of the region, may
      // arrive when the reader is further already.
      if (next.asked < config.asked) return;
      config = next;
      redraw();
    },
    destroy() {
      redraw.stop();
      frame.root.remove();
    },
  };
}

// ---- the parts; each gives a function that draws it

function makeGallery(parent, choose) {
  const row = html("div", { class: "controls gallery", role: "group", "aria-label": "images" }, parent);
  let drawn = null;
  row.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) choose([...row.children].indexOf(button));
  });
  return (data, { image }) => {
    ensureChildren(row, "button", data.pictures.length, html).forEach((button, i) => {
      set(button, { "aria-pressed": String(i === image) });
      if (drawn === data) return;
      const picture = data.pictures[i];
      const name = nameOf(data, picture);
      set(button, { type: "button", "aria-label": `image ${i + 1}: ${name}`, title: name });
      button.replaceChildren();
      paint(html("canvas", { "aria-hidden": "true" }, button), picture, data.side);
      html("span", {}, button, picture.answer === picture.label ? i + 1 : `${i + 1} ✗`);
    });
    drawn = data;
  };
}

function makeStage(parent, move) {
  const element = html("div", { class: "stage", role: "application", tabindex: "0",
    "aria-label": "the image; the arrow keys move the covered region, Escape uncovers" }, parent);
  const canvas = html("canvas", { "aria-hidden": "true" }, element);
  const [cover, field, spot] = ["cover", "field", "spot"]
    .map((name) => html("div", { class: name }, element));
  const drag = (event) => {
    const { top, left, width } = element.getBoundingClientRect();
    move((event.clientY - top) / width * side, (event.clientX - left) / width * side);
  };
  let side = 1;
  let drawn = null;
  element.addEventListener("pointerdown", (event) => {
    element.setPointerCapture(event.pointerId);
    drag(event);
  });
  element.addEventListener("pointermove", (event) => {
    if (element.hasPointerCapture(event.pointerId)) drag(event);
  });
  return {
    element,
    draw(data, view, cell) {
      side = data.side;
      if (drawn !== view.picture) paint(canvas, view.picture, side);
      drawn = view.picture;
      cover.style.background = `rgb(${data.fill} ${data.fill} ${data.fill})`;
      const [row, column, size] = view.cover ?? [];
      place(cover, view.cover && [[row, row + size], [column, column + size]], side);
      const sees = cell && seen(data, cell);
      place(field, sees?.field, data.field.of);
      place(spot, sees?.spot, data.field.of);
    },
  };
}

function place({ style }, where, side) { // [from, to] by rows and by columns, in pixels of `side`
  style.display = where ? "" : "none";
  if (!where) return;
  const share = ([from, to]) => [`${100 * from / side}%`, `${100 * (to - from) / side}%`];
  [style.top, style.height] = share(where[0]);
  [style.left, style.width] = share(where[1]);
}

function makeTools(parent) {
  const row = html("div", { class: "controls size" }, parent);
  const toggle = html("button", { type: "button" }, row);
  const size = html("input", { type: "range", "aria-label": "size of the region" }, row);
  const pixels = html("span", { "aria-hidden": "true" }, row);
  const says = html("p", { role: "status" }, parent);
  const waits = html("p", { class: "quiet" }, parent);
  return { toggle, size, pixels, says, waits };
}

function makeClasses(parent, choose) {
  const box = html("div", { class: "classes scroll", role: "group", tabindex: "0",
    "aria-label": "the classes" }, parent);
  const table = html("table", {}, box);
  const head = html("tr", {}, html("thead", {}, table));
  for (const word of ["class, map", "logit", "covered", "bar", "share"]) {
    html("th", { scope: "col" }, head, word);
  }
  const body = html("tbody", {}, table);
  body.addEventListener("click", (event) => {
    if (event.target.closest("button")) choose(event.target.closest("tr").rowIndex - 1);
  });
  html("p", { class: "quiet" }, box, "Outline of a bar: the logit of the uncovered image.");
  let drawn = null;
  return (data, view) => {
    const rows = ensureChildren(body, "tr", data.classes.length, classRow);
    rows.forEach(({ parts }, i) => {
      if (drawn !== view.picture) drawMap(parts.map, data, view.picture, i);
      write(parts.name, data.classes[i]);
      set(parts.button, { "aria-pressed": String(i === view.selected) });
      write(parts.logit, number(view.picture.logits[i]));
      write(parts.covered, view.cover ? number(view.logits[i]) : "–");
      write(parts.share, `${(100 * view.shares[i]).toFixed(1)}%`);
      write(parts.words, wordsFor(view, i));
      drawBar(parts.bar, view, i);
    });
    drawn = view.picture;
  };
}

function classRow(tag, attributes, parent) {
  const row = html(tag, attributes, parent);
  const button = html("button", { type: "button" }, html("th", { scope: "row" }, row));
  const map = node("svg", { class: "small", "aria-hidden": "true" }, button);
  node("g", { "shape-rendering": "crispEdges" }, map);
  node("path", { class: "dots" }, map);
  const label = html("span", {}, button);
  const [name, words] = [html("span", {}, label), html("em", {}, label)];
  const [logit, covered] = [html("td", {}, row), html("td", {}, row)];
  const bar = node("svg", { class: "bar", "aria-hidden": "true", preserveAspectRatio: "none",
    viewBox: `0 0 ${100 + 2 * MARGIN} 18` }, html("td", {}, row));
  node("rect", { y: 3, height: 12 }, bar);
  node("rect", { y: 3, height: 12, class: "before" }, bar);
  node("line", { y1: 0, y2: 18 }, bar);
  const share = html("td", {}, row);
  row.parts = { button, map, name, logit, covered, bar, share, words };
  return row;
}

function drawMap(svg, { rows, columns }, { maps, most }, i) { // dots on what speaks against the class
  set(svg, { viewBox: `0 0 ${columns} ${rows}` });
  const at = (k) => ({ x: k % columns, y: Math.floor(k / columns) });
  const cells = Array(2 * LEVELS + 1).fill(""); // by strength: few paths are faster than many squares
  maps[i].forEach((value, k) => {
    cells[LEVELS + Math.round(LEVELS * value / most)] += `M${at(k).x} ${at(k).y}h1v1h-1z`;
  });
  ensureChildren(svg.firstChild, "path", cells.length).forEach((path, level) => {
    set(path, { d: cells[level], class: level < LEVELS ? "against" : "for",
      "fill-opacity": Math.abs(level - LEVELS) / LEVELS });
  });
  const against = [...maps[i].keys()].filter((k) => maps[i][k] < 0).map(at);
  set(svg.lastChild, { d: against.map(({ x, y }) => `M${x + 0.5} ${y + 0.5}h0`).join("") });
}

function drawBar(svg, { picture, cover, logits }, i) {
  const [low, high] = picture.span;
  const x = (logit) => MARGIN + 100 * (logit - low) / (high - low || 1);
  const reach = (logit) => ({ x: Math.min(x(logit), x(0)), width: Math.abs(x(logit) - x(0)) });
  const [now, before, zero] = svg.children;
  set(now, { ...reach(logits[i]), class: logits[i] < 0 ? "against" : "for" });
  set(before, { ...reach(picture.logits[i]), visibility: cover ? "visible" : "hidden" });
  set(zero, { x1: x(0), x2: x(0) });
}

function makeLarge(parent, choose, hover) {
  const table = html("table", { class: "large", role: "grid" },
    html("div", { class: "scroll" }, parent));
  const body = html("tbody", { role: "rowgroup" }, table);
  const about = html("div", { class: "about" }, parent);
  const title = html("h4", { id: uid("map") }, about);
  set(table, { "aria-labelledby": title.id });
  const sum = html("p", {}, about);
  const legend = makeLegend(about);
  const sees = html("p", { role: "status" }, about);
  let chosen = null;
  const cellOf = (td) => [td.parentNode.rowIndex, td.cellIndex];
  table.addEventListener("click", (event) => {
    const td = event.target.closest("td");
    if (td) choose(same(cellOf(td), chosen) ? null : cellOf(td));
  });
  table.addEventListener("pointerover", (event) => {
    const td = event.target.closest("td");
    hover(td && cellOf(td));
  });
  table.addEventListener("pointerleave", () => hover(null));
  table.addEventListener("keydown", (event) => {
    const td = event.target.closest("td");
    if (!td) return;
    const key = plainKey(event);
    if (key === "Escape") choose(null);
    const go = key === "Enter" || key === " " ? [0, 0] : ARROWS[key];
    if (!go) return;
    event.preventDefault();
    const [row, column] = cellOf(td).map((at, axis) => at + go[axis]);
    const next = table.rows[row]?.cells[column];
    if (!next) return;
    next.focus();
    choose([row, column]);
  });
  return (data, view, cell) => {
    chosen = view.cell;
    const { maps, most, logits, number: image } = view.picture;
    const map = maps[view.selected];
    const digits = most < 10 ? 2 : 1;
    ensureChildren(body, "tr", data.rows, html).forEach((row, i) => {
      set(row, { role: "row" });
      ensureChildren(row, "td", data.columns, html).forEach((td, j) => {
        const value = map[i * data.columns + j];
        if (!td.firstChild) html("span", {}, td);
        write(td.firstChild, number(value, digits));
        td.style.setProperty("--much", `${(100 * Math.abs(value) / most).toFixed(1)}%`);
        set(td, { role: "gridcell", class: value < 0 ? "minus" : "plus",
          tabindex: same([i, j], chosen ?? [0, 0]) ? 0 : -1,
          "aria-selected": String(same([i, j], chosen)) });
      });
    });
    const name = data.classes[view.selected];
    const total = number(map.reduce((a, b) => a + b, 0), digits);
    write(title, `The map of ${name}, image ${image}${view.cover ? ", before covering" : ""}`);
    write(sum, `Sum of the ${map.length} numbers / ${map.length} = ${total} / ${map.length} = `
      + `${number(logits[view.selected])}, the logit of ${name}. That is all that global average `
      + "pooling does.");
    legend(most);
    write(sees, cell ? tellsOf(data, seen(data, cell).field, cell)
      : "Point at a cell, or choose one, to see which pixels it can see.");
  };
}

function makeLegend(parent) {
  const box = html("p", { class: "legend" }, parent);
  const low = html("span", {}, box);
  const strip = html("span", { class: "strip", "aria-hidden": "true" }, box);
  for (let much = -100; much <= 100; much += 25) {
    const swatch = html("span", { class: much < 0 ? "swatch minus" : "swatch" }, strip);
    swatch.style.setProperty("--much", `${Math.abs(much)}%`);
  }
  const high = html("span", {}, box);
  html("p", {}, parent, "Dotted cells speak against the class, plain ones for it. All maps of an image "
    + "share one scale.");
  return (most) => {
    write(low, number(-most));
    write(high, number(most));
  };
}

function paint(canvas, { pixels }, side) { // grey bytes
  set(canvas, { width: side, height: side });
  const image = new ImageData(side, side);
  pixels.forEach((grey, i) => image.data.set([grey, grey, grey, 255], 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// ---- from config to numbers

function unpack(config, old) { // anew only where the data are others
  if (old && old.from === config.maps) return old;
  const { classes, labels, side, step, fill, field } = config;
  const images = Uint8Array.from(bytes(config.images));
  const maps = array(config.maps);
  const prepared = config.prepared.map(({ size, changes }) => ({ size, changes: array(changes) }));
  const whole = [side, step, ...Object.values(field), ...labels, ...prepared.map(({ size }) => size)];
  if (!whole.every(Number.isInteger) || !prepared.length || labels.length !== maps.shape[0]
      || classes.length !== maps.shape[1] || images.length !== labels.length * side * side) {
    throw new Error("images, maps, classes and labels do not fit each other");
  }
  const pictures = labels.map((label, i) => {
    const own = classes.map((_, c) => part(part(maps, i), c).numbers);
    const logits = means(own);
    const all = prepared.map(({ changes }) => part(changes, i).numbers
      .map((n, k) => n + logits[k % logits.length]));
    return { number: i + 1, pixels: images.subarray(i * side * side, (i + 1) * side * side), label,
      maps: own, logits, answer: largest(logits), most: Math.max(...spanOf(own).map(Math.abs)) || 1,
      span: spanOf([logits, ...all]) };
  });
  const [, , rows, columns] = maps.shape;
  return { from: config.maps, classes: classes.map(String), side, step, fill, field, rows, columns,
    prepared, pictures };
}

function array({ shape, scale, data }) {
  const numbers = Float64Array.from(bytes(data), (n) => n * scale);
  if (shape.length !== 4 || !(scale > 0) || numbers.length !== shape.reduce((a, b) => a * b, 1)) {
    throw new Error("packed numbers do not fit their shape");
  }
  return { shape, numbers };
}

function part({ shape: [count, ...shape], numbers }, i) { // array[i]
  const size = numbers.length / count;
  return { shape, numbers: numbers.subarray(i * size, (i + 1) * size) };
}

const spanOf = (arrays) => arrays.reduce((span, numbers) => numbers.reduce(
  ([low, high], n) => [Math.min(low, n), Math.max(high, n)], span), [0, 0]);
const means = (maps) => maps.map((map) => map.reduce((a, b) => a + b, 0) / map.length);
const largest = (numbers) => numbers.indexOf(Math.max(...numbers));
const same = (a, b) => String(a) === String(b);
const nearest = (numbers, to) => numbers.reduce(
  (best, n, i) => (Math.abs(n - to) < Math.abs(numbers[best] - to) ? i : best), 0);

function softmax(logits) {
  const most = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

// What covering does to the logits, if Python has told it; else what the nearest prepared region
// does, and whether that is the region itself.
function changesFor({ computed }, { prepared, step }, image, cover) {
  if (computed && computed.image === image && same(computed.cover, cover)) {
    return { changes: computed.changes, exact: true };
  }
  const [row, column, size] = cover;
  const found = prepared[nearest(prepared.map((p) => p.size), size)];
  const places = found.changes.shape[1];
  const [i, j] = [row, column].map((at) => {
    const place = Math.round((at + (size - found.size) / 2) / step);
    return Math.min(Math.max(place, 0), places - 1);
  });
  const changes = part(part(part(found.changes, image), i), j).numbers;
  return { changes, exact: same(cover, [i * step, j * step, found.size]) };
}

function look(config, data) { // what is shown
  const { image = 0, cell = null, cover = null } = config;
  const picture = data.pictures[image];
  const selected = config.selected_class ?? picture?.answer;
  const within = (number, count) => Number.isInteger(number) && number >= 0 && number < count;
  if (!within(image, data.pictures.length)) throw new Error(`there is no image ${image}`);
  if (!within(selected, data.classes.length)) throw new Error(`there is no class ${selected}`);
  if (cell && !(within(cell[0], data.rows) && within(cell[1], data.columns))) {
    throw new Error(`there is no cell ${cell}`);
  }
  if (cover && !(cover.length === 3 && within(cover[2] - 1, data.side)
      && within(cover[0], data.side - cover[2] + 1) && within(cover[1], data.side - cover[2] + 1))) {
    throw new Error(`no region ${cover} lies in the image`);
  }
  const { changes, exact } = cover ? changesFor(config, data, image, cover) : { exact: true };
  const logits = picture.logits.map((logit, i) => logit + (changes ? changes[i] : 0));
  if (!logits.every(Number.isFinite)) throw new Error("a logit is missing");
  return { image, picture, selected, cell, cover, logits, exact, shares: softmax(logits),
    answer: largest(logits) };
}

// What a cell of the maps sees, and the spot on which it stands: [from, to] by rows and by columns,
// in pixels of the input.
function seen({ field: { start, jump, side, of } }, cell) {
  const within = (from, length) => cell.map((at) => {
    const first = from + at * jump;
    return [Math.max(first, 0), Math.min(first + length, of)];
  });
  return { field: within(start, side), spot: within(start + (side - jump) / 2, jump) };
}

// ---- words

const number = (value, digits = 2) => value.toFixed(digits).replace("-", "−");

function nameOf({ classes }, { label, answer }) {
  return answer === label ? `${classes[label]}, answered right`
    : `${classes[label]} taken for ${classes[answer]}`;
}

function wordsFor({ answer, picture }, i) {
  const words = [];
  if (i === answer) words.push("answer");
  else if (i === picture.answer) words.push("was the answer");
  if (i === picture.label) words.push("right class");
  return words.join(", ");
}

function says({ classes }, { cover, answer, picture, shares }) {
  const named = `${classes[answer]} (${(100 * shares[answer]).toFixed(1)}%)`;
  if (!cover) {
    const verdict = answer === picture.label ? "That is right." : `It is: ${classes[picture.label]}.`;
    return `The answer is ${named}. ${verdict}`;
  }
  const [row, column, size] = cover;
  const where = `Rows ${row} to ${row + size - 1}, columns ${column} to ${column + size - 1} covered`;
  return answer === picture.answer ? `${where}: the answer stays ${named}.`
    : `${where}: the answer flips from ${classes[picture.answer]} to ${named}.`;
}

function tellsOf({ field: { of } }, [rows, columns], cell) {
  const share = (rows[1] - rows[0]) * (columns[1] - columns[0]) / of ** 2;
  return `Cell (${cell.join(", ")}) stands on the small box in the image and sees the dashed one: `
    + `rows ${rows[0]} to ${rows[1] - 1}, columns ${columns[0]} to ${columns[1] - 1} of the ${of}×${of} `
    + `input, ${Math.round(100 * share)}% of it.`;
}

export default widget(TAG, mount);
