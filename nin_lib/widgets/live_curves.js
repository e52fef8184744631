// Live curves: the loss (above) and the accuracy (below) of a training run, while it goes on; and
// for each class, once it is known, the share of its own images with a positive logit.
//
//   config: { title, question, status, running, run, stoppable, epochs, notes: [text], name,
//     series: { train_loss: [[x, y]] }, kept: [{ name, series }],
//     classes: { names, count, zero: [name], x: [], shares: [[]] }, log_at_first }
//   state: { log, stop, hello: the run that this page draws }
//
// x is in epochs; y is null where a value was not finite. `kept` are other runs, drawn pale.

const SIDE = { left: 44, right: 14, top: 32, gap: 50, bottom: 40 }; // pixels around the panels
const SECONDS = 6; // of a replay at speed 1

const STYLE = `
.nin-curves .status { flex: 1 1 auto; }
.nin-curves .chart { touch-action: pan-y; cursor: crosshair; }
.nin-curves .chart svg { width: 100%; }
.nin-curves .grid { stroke: currentColor; opacity: 0.18; }
.nin-curves .guess { stroke: currentColor; stroke-dasharray: 1 4; stroke-linecap: round; }
.nin-curves .cursor { stroke: currentColor; opacity: 0.6; }
.nin-curves .line { fill: none; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
.nin-curves .line.train { stroke: var(--blue); }
.nin-curves .line.val { stroke: var(--red); stroke-dasharray: 6 4; }
.nin-curves .line.kept { stroke: var(--edge); stroke-width: 1.2; }
.nin-curves circle.train { fill: var(--blue); }
.nin-curves circle.val { fill: var(--red); }
.nin-curves circle.kept { fill: var(--edge); }
.nin-curves .lane { fill: var(--soft); }
.nin-curves .area { fill: var(--blue); opacity: 0.75; }
.nin-curves .floor { stroke: var(--edge); }
.nin-curves .floor.zero { stroke: var(--red); stroke-width: 3; }
.nin-curves .name.zero { font-weight: 700; }
.nin-curves :is(th, td) { padding: 0 0 0 10px; min-width: 3.2em; white-space: nowrap; }
.nin-curves :is(th, td):first-child { min-width: 0; padding-left: 0; white-space: normal; }
.nin-curves th svg { display: inline-block; width: 42px; height: 12px; margin-right: 6px; }
.nin-curves .zeros { font-weight: 600; margin-top: 6px; }
.nin-curves .replay input { flex: 1 1 120px; max-width: 320px; }
`;

function mount(el, config, onChange) {
  let cursor = null; // an epoch, or null: follow the newest point
  let checked = null; // the config that was found sound
  let toEpoch = (pixel) => pixel;
  const frame = shell(el, "curves", config, onChange, () => {
    cursor = null;
    film.rewind();
    return { log: Boolean(config.log_at_first) };
  });
  html("style", {}, frame.root, STYLE);
  const head = html("div", { class: "controls" }, frame.body);
  const status = html("span", { class: "status" }, head);
  const logButton = html("button", { type: "button" }, head, "log scale");
  const stopButton = html("button", { type: "button", class: "stop" }, head);
  const note = html("p", { class: "note", role: "status" }, frame.body);
  const table = html("table", {}, frame.body);
  const readout = makeReadout(table);
  // To a screen reader the cursor is a slider along the epochs, whose text is the values there.
  const chart = html("div", { class: "chart", role: "slider", tabindex: "0" }, frame.body);
  const svg = node("svg", { "aria-hidden": "true" }, chart);
  const panels = PANELS.map((name) => makePanel(svg, name));
  const axis = node("text", { "text-anchor": "middle" }, svg);
  write(axis, "epoch");
  const lanes = makeLanes(svg);
  const rule = node("line", { class: "cursor" }, svg);
  const zeros = html("p", { class: "zeros", role: "status" }, frame.body);
  const classes = makeClassTable(frame.body);
  const redraw = painter(draw, frame.complain);
  const film = makeFilm(frame.body, redraw);

  function draw() {
    if (checked !== config) check(config);
    checked = config;
    frame.update(config);
    const hello = config.running && config.run !== config.hello;
    if (hello) onChange({ hello: config.run }); // Python hears it now, or when the cell is over
    const width = frame.root.clientWidth - 20; // and not while it is out of sight
    if (width <= 0) return;

    const whole = end([config]); // where the run itself ends
    const until = film.update(config, whole);
    const runs = [{ name: config.name, series: until === null ? config.series
      : cut(config.series, until) }, ...(config.kept ?? []).slice(-MARKS.length)];
    const shown = lanesUntil(config.classes, until);

    const narrow = width < 480;
    const high = narrow ? 120 : 150; // one panel, in pixels
    const lower = SIDE.top + PANELS.length * (high + SIDE.gap) - SIDE.gap; // where panels end
    const full = lower + SIDE.bottom
      + (shown.names.length ? LANE.top + shown.names.length * (LANE.high + LANE.gap) : 0);
    set(svg, { viewBox: `0 0 ${width} ${full}`, height: full });

    const longest = Math.max(0, ...shown.names.map((name) => name.length));
    const left = Math.min(Math.max(SIDE.left, 7 * longest + 8), narrow ? 80 : 110);
    const right = width - (shown.names.length ? 44 : runs.length > 1 ? 24 : SIDE.right);
    const last = end([config, ...runs.slice(1)]);
    const across = ticks(Math.max(config.epochs ?? 0, last) || 1);
    const far = config.epochs ? Math.max(config.epochs, last) : across.at(-1);
    const x = (epoch) => left + (epoch / far) * (right - left);
    toEpoch = (pixel) => ((pixel - left) / (right - left)) * far;

    panels.forEach((panel, i) => {
      const top = SIDE.top + i * (high + SIDE.gap);
      const log = config.log && panel.name === "loss";
      const chance = guessing(panel.name, config.classes?.count);
      const all = [config, ...runs.slice(1)] // a replay keeps the whole scale
        .flatMap((run) => KINDS.flatMap((kind) => lineOf(run, kind, panel.name)));
      const scale = makeScale(all, log, panel.name === "accuracy" ? 1 : 0, top, high);
      set(panel.title, { y: top - 14 });
      write(panel.title, panel.name + (log ? " (logarithmic)" : ""));
      ensureChildren(panel.grid, "line", scale.ticks.length).forEach((line, j) => {
        const y = scale.y(scale.ticks[j]);
        set(line, { class: "grid", x1: left, x2: right, y1: y, y2: y });
      });
      label(panel.up, scale.ticks, (tick) => [left - 6, scale.y(tick) + 4], "end");
      label(panel.across, across.filter((t) => t <= far), (t) => [x(t), top + high + 16], "middle");
      drawGuess(panel, chance, scale, left, right, top, high);
      drawKept(panel, runs.slice(1), x, scale.y, right);
      KINDS.forEach((kind, k) => {
        const points = lineOf(runs[0], kind, panel.name);
        set(panel.lines[k], { d: path(points, x, scale.y) });
        mark(panel.dots[k], kind.key === "val" && points.length <= 60 ? points : [], kind.key,
          x, scale.y, 3);
      });
      const spots = cursor === null ? [] : runs.flatMap((run, r) => KINDS.map((kind) => (
        { at: nearest(lineOf(run, kind, panel.name), cursor), look: r ? "kept" : kind.key })));
      ensureChildren(panel.spots, "circle", spots.length).forEach((circle, j) => {
        const point = spots[j].at;
        const y = point && point[1] !== null ? scale.y(point[1]) : null;
        set(circle, { class: spots[j].look, r: y === null ? 0 : 5, cx: x(point?.[0] ?? 0), cy: y ?? 0 });
      });
    });
    set(axis, { x: (left + right) / 2, y: lower + SIDE.bottom - 6 });
    const at = cursor ?? Infinity;
    drawLanes(lanes, shown, at, x, left, right, lower + SIDE.bottom + LANE.top);
    set(rule, { x1: x(cursor ?? 0), x2: x(cursor ?? 0), y1: SIDE.top,
      y2: full - (shown.names.length ? 4 : SIDE.bottom),
      visibility: cursor === null ? "hidden" : "visible" });
    say(runs, shown, until ?? last);
  }

  function say(runs, shown, last) {
    const at = cursor ?? last;
    const words = readout(runs, at);
    const column = columnAt(shown.x, cursor ?? Infinity);
    const dead = atZero(shown, column, config.classes);
    set(chart, { "aria-label": "epoch", "aria-valuemin": 0, "aria-valuemax": last,
      "aria-valuenow": at, "aria-valuetext": words || "no values yet" });
    set(logButton, { "aria-pressed": String(Boolean(config.log)) });
    stopButton.hidden = !config.stoppable;
    stopButton.disabled = Boolean(config.stop);
    write(stopButton, config.stop ? "stopping" : "stop");
    set(status, { "aria-live": config.running ? "off" : "polite" });
    write(status, config.status ?? "");
    write(note, (config.notes ?? []).join("; "));
    note.hidden = !note.textContent;
    write(zeros, dead.length ? `At zero: ${dead.join(", ")}. No image of theirs has a positive logit.` : "");
    zeros.hidden = !dead.length;
    classes(shown, column);
  }

  const point = (event) => {
    const { left, width } = svg.getBoundingClientRect(); // on a slide the page is enlarged
    const at = toEpoch((event.clientX - left) * svg.clientWidth / width);
    const xs = places(config);
    cursor = xs.reduce((best, x) => (Math.abs(x - at) < Math.abs(best - at) ? x : best), xs[0] ?? null);
    redraw();
  };
  const leave = () => { cursor = null; redraw(); };
  const press = (event) => {
    const xs = places(config);
    const move = MOVES[plainKey(event)];
    if (!xs.length || !move) return;
    event.preventDefault();
    const now = cursor === null ? xs.length - 1 : xs.findIndex((x) => x >= cursor);
    const next = move(now < 0 ? xs.length - 1 : now, xs.length - 1);
    cursor = xs[Math.min(Math.max(next, 0), xs.length - 1)] ?? null;
    redraw();
  };
  chart.addEventListener("pointermove", point);
  chart.addEventListener("pointerdown", point);
  chart.addEventListener("pointerleave", leave);
  chart.addEventListener("blur", leave);
  chart.addEventListener("keydown", press);
  logButton.addEventListener("click", () => onChange({ log: !config.log }));
  stopButton.addEventListener("click", () => onChange({ stop: true }));
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
      film.rewind();
      observer.disconnect();
      frame.root.remove();
    },
  };
}

// ---- where a key moves the cursor, from point i of 0 ... n; Escape follows the newest again

const MOVES = {
  ArrowLeft: (i) => i - 1, ArrowDown: (i) => i - 1,
  ArrowRight: (i) => i + 1, ArrowUp: (i) => i + 1,
  PageDown: (i) => i - 10, PageUp: (i) => i + 10,
  Home: () => 0, End: (i, n) => n, Escape: () => NaN,
};

// ---- data

function check(config) { // what Python sends is sound; what a page holds may be anything
  const runs = [config, ...(config.kept ?? [])];
  for (const { series } of runs) {
    const lines = series && typeof series === "object" ? Object.values(series) : [5];
    const sound = (p) => Array.isArray(p) && Number.isFinite(p[0])
      && (p[1] === null || Number.isFinite(p[1]));
    if (!lines.every((points) => Array.isArray(points) && points.every(sound))) {
      throw new Error("series must hold lists of [epoch, value]");
    }
  }
  if (config.epochs && !(Number.isFinite(config.epochs) && config.epochs > 0)) {
    throw new Error("epochs must be a number above 0");
  }
  const { names = [], x = [], shares = [] } = config.classes ?? {};
  if (![names, x, shares].every(Array.isArray) || !names.every((name) => typeof name === "string")
    || shares.length !== names.length || shares.some((lane) => lane?.length !== x.length)) {
    throw new Error("classes must hold one share for each name and epoch");
  }
}

const linesOf = (runs) => runs.flatMap((run) => Object.values(run.series));

const end = (runs) => linesOf(runs).reduce(
  (last, points) => points.reduce((a, [x]) => Math.max(a, x), last), 0);

const places = (config) => [...new Set(linesOf([config, ...(config.kept ?? [])])
  .flatMap((points) => points.map(([x]) => x)))].sort((a, b) => a - b);

const cut = (series, until) => Object.fromEntries(Object.entries(series)
  .map(([name, points]) => [name, points.filter(([x]) => x <= until)]));

function lanesUntil(classes, until) {
  const { names = [], x = [], shares = [] } = classes ?? {};
  if (until === null) return { names, x, shares };
  const count = x.filter((at) => at <= until).length;
  return { names, x: x.slice(0, count), shares: shares.map((lane) => lane.slice(0, count)) };
}

// ---- a finished run, once more

function makeFilm(parent, redraw) {
  const row = html("div", { class: "controls replay" }, parent);
  const play = html("button", { type: "button" }, row, "Replay");
  const id = uid("speed");
  const speedLabel = html("label", { for: id }, row, "speed");
  const speed = html("select", { id }, row);
  for (const times of [0.5, 1, 2, 4]) html("option", { value: times }, speed, `${times}×`);
  speed.value = 1;
  const sliderId = uid("until");
  html("label", { for: sliderId }, row, "shown until");
  const slider = html("input", { type: "range", id: sliderId, min: 0, max: 100 }, row);
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let share = 1; // of the run that is shown
  let before = 0;
  let beat = 0; // the animation frame that is asked for; 0 while it stands still

  const stop = () => { cancelAnimationFrame(beat); beat = 0; };
  const step = (now) => {
    share = Math.min(1, share + ((now - before) / 1000 / SECONDS) * Number(speed.value));
    before = now;
    beat = share < 1 ? requestAnimationFrame(step) : 0;
    redraw();
  };
  play.addEventListener("click", () => {
    if (beat) stop();
    else {
      if (share >= 1) share = 0;
      beat = requestAnimationFrame((now) => { before = now; step(now); });
    }
    redraw();
  });
  slider.addEventListener("input", () => {
    stop();
    share = slider.value / 100;
    redraw();
  });
  return {
    rewind: () => { stop(); share = 1; },
    update(config, last) { // the epoch until which to show, or null: all
      row.hidden = config.running || !last;
      if (row.hidden) { stop(); share = 1; }
      for (const part of [play, speedLabel, speed]) part.hidden = calm.matches;
      write(play, beat ? "Pause" : share > 0 && share < 1 ? "Go on" : "Replay");
      const epoch = share * last;
      if (Number(slider.value) !== Math.round(100 * share)) slider.value = 100 * share;
      set(slider, { "aria-valuetext": `epoch ${epoch.toFixed(1)}` });
      return share < 1 ? epoch : null;
    },
  };
}

export default widget("nin-live-curves", mount);
