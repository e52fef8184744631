// The arithmetic of the widgets, without a page: values worked out on paper or published.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { flow, totals, neverRead, unreadWords, readBy, commas, bytes } = load(
  ["base", "shape_flow_sums"],
  ["flow", "totals", "neverRead", "unreadWords", "readBy", "commas", "bytes"],
);
const { ticks, logTicks, makeScale, path, percent, number, columnAt, nearest, guessing, areaOf } =
  load(["base", "live_curves_draw"], ["ticks", "logTicks", "makeScale", "path", "percent",
    "number", "columnAt", "nearest", "guessing", "areaOf"]);
const { cut, lanesUntil, end } = load(["base", "live_curves_draw", "live_curves"],
  ["cut", "lanesUntil", "end"]);
const { numbers, convolve, shuffledOrder, shuffled, unshuffled, clamp } = load(
  ["base", "pixel_mlp"],
  ["numbers", "convolve", "shuffledOrder", "shuffled", "unshuffled", "clamp"],
);
const maps = load(["base", "class_maps"], ["softmax", "seen", "means", "largest", "array", "part"]);

const block = (kernel_size, widths, stride = 1, padding = 0) => (
  { kind: "block", kernel_size, widths, stride, padding, inner_kernel_size: 1 });
const pool = (ceil_mode = false) => (
  { kind: "pool", kernel_size: 3, stride: 2, padding: 0, ceil_mode });
const dropout = { kind: "dropout", p: 0.5 };
const net = (stages, input_size) => (
  { stages, input_size, in_channels: 1, dense: [], last_relu: false });

const CHAPTER = net([block(11, [96, 96, 96], 4), pool(), block(5, [256, 256, 256], 1, 2), pool(),
  block(3, [384, 384, 384], 1, 1), pool(), dropout, block(3, [10, 10, 10], 1, 1)], 224);
const PAPER_MNIST = net([block(5, [96, 64, 48], 1, 2), pool(true), dropout,
  block(5, [128, 96, 48], 1, 2), pool(true), dropout, block(5, [128, 96, 10], 1, 2)], 28);

// ---- shapes, parameters and multiply-adds

test("the chapter's network has its published parameters and multiply-adds", () => {
  const { rows, error } = flow(CHAPTER, [224, 224]);
  assert.equal(error, null);
  assert.equal(totals(rows).parameters, 1_992_166n);
  assert.equal(totals(rows).multiply_adds, 762_297_352n);
  const sides = rows.filter(({ layer }) => layer.includes("pool")).map(({ shape }) => shape);
  assert.deepEqual(sides, [[96, 26, 26], [256, 12, 12], [384, 5, 5], [10]]);
});

test("the paper's MNIST network rounds its poolings up", () => {
  const { rows } = flow(PAPER_MNIST, [28, 28]);
  assert.equal(totals(rows).parameters, 349_674n);
  assert.deepEqual(rows.at(-2).shape, [10, 7, 7]);
});

test("a kernel that does not fit is named with the smallest input that works", () => {
  const { rows, error, at } = flow(CHAPTER, [66, 66]);
  assert.match(error, /^pool 3: kernel_size 3 does not fit a 2×2 input with padding 0/);
  assert.match(error, /the smallest input that works is 67×67$/);
  assert.equal(at, 6);
  assert.equal(rows.at(-1).stage, "block 3");
});

test("a broken rule names the field, the value and the rule", () => {
  const { error } = flow(net([block(3, [4, 0])], 28), [28, 28]);
  assert.equal(error, "stage 1: Block.widths must be an integer of at least 1, got 0");
});

test("sums beyond 2 to the power of 53 are exact", () => {
  const wide = net([block(1, [1_000_000, 1_000_000])], 1);
  assert.equal(totals(flow(wide, [3, 3]).rows).multiply_adds, 9n * (10n ** 12n + 10n ** 6n));
});

test("rows that no layer reads are counted from the edge", () => {
  const rows = flow(CHAPTER, [224, 224]).rows;
  const first = neverRead(rows, [224, 224], 0, 0);
  assert.deepEqual(first, [[223, 223]]); // 53 · 4 + 11 = 223 rows are read
  assert.equal(unreadWords([first, first], [224, 224]), "the last row and column are never read");
  assert.equal(unreadWords([[], []], [4, 4]), "every row and column is read");
});

test("a stride that is wider than its kernel leaves gaps", () => {
  assert.deepEqual(readBy([[0, 2]], [1, 3, 0], 9), [[0, 0], [3, 3], [6, 6]]);
});

// ---- numbers as they are written

test("integers get their commas, also beyond 2 to the power of 53", () => {
  assert.deepEqual([0, 999, 1000, 1992166, 12345678901234567890n].map(commas),
    ["0", "999", "1,000", "1,992,166", "12,345,678,901,234,567,890"]);
});

test("packed bytes are signed", () => assert.deepEqual([...bytes("AIF//w==")], [0, -127, 127, -1]));

test("a small share is not rounded to zero", () => {
  assert.deepEqual([0, 0.001, 0.005, 0.5, 1, null].map(percent),
    ["0 %", "<1 %", "1 %", "50 %", "100 %", "–"]);
});

test("values have three digits, huge ones a power of ten, missing ones a word", () => {
  assert.deepEqual([2.3026, 12345, null].map(number), ["2.303", "1.23e+4", "gap"]);
});

// ---- curves

test("ticks are round and reach beyond the largest value", () => {
  assert.deepEqual(ticks(1), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  for (const high of [0.003, 0.7, 2.3, 9, 46, 1234]) {
    const found = ticks(high);
    assert.ok(found.at(-1) >= high * 0.999 && found.at(-2) < high && found.length < 9, `${high}`);
  }
});

test("logarithmic ticks enclose the values", () => {
  assert.deepEqual(logTicks(0.3, 2.3), [0.2, 0.5, 1, 2, 5]);
  assert.deepEqual(logTicks(1, 1), [1, 10]);
  assert.deepEqual(logTicks(1e-4, 50), [1e-4, 1e-3, 0.01, 0.1, 1, 10, 100]);
});

test("a scale puts zero at the bottom and the last tick at the top", () => {
  const { y, ticks: up } = makeScale([[0, 2.3], [1, null], [2, 0.4]], false, 0, 10, 100);
  assert.equal(y(0), 110);
  assert.equal(y(up.at(-1)), 10);
});

test("a gap lifts the pen, and a single point is a dot", () => {
  const same = (value) => value;
  assert.equal(path([[0, 1], [1, 2], [2, null], [3, 4]], same, same),
    "M0.0 1.0h0L1.0 2.0M3.0 4.0h0");
});

test("a position belongs to the last column before it", () => {
  assert.deepEqual([0, 1, 1.5, 2, 9].map((at) => columnAt([1, 2, 3], at)), [0, 0, 0, 1, 2]);
  assert.deepEqual(nearest([[0, "a"], [1, "b"], [3, "c"]], 1.9), [1, "b"]);
  assert.equal(nearest([], 1), null);
});

test("guessing among ten classes costs ln 10 and is right in one of ten cases", () => {
  assert.equal(guessing("loss", 10), Math.log(10));
  assert.equal(guessing("accuracy", 10), 0.1);
  assert.equal(guessing("loss", 1), null);
});

test("a class that is unknown or dead has no area", () => {
  assert.equal(areaOf([1, 2, 3], [0, null, 1], (x) => 10 * x, 50), "M20.0 50V37.0H30.0V50Z");
});

test("a replay shows what had happened by then", () => {
  const series = { train_loss: [[0.5, 2], [1, 1], [1.5, 0.5]] };
  assert.deepEqual(cut(series, 1), { train_loss: [[0.5, 2], [1, 1]] });
  assert.equal(end([{ series }]), 1.5);
  const classes = { names: ["a"], x: [1, 2], shares: [[0.1, 0.2]] };
  assert.deepEqual(lanesUntil(classes, 1), { names: ["a"], x: [1], shares: [[0.1]] });
  assert.deepEqual(lanesUntil(null, null), { names: [], x: [], shares: [] });
});

// ---- pixels

const IMAGE = { channels: 2, height: 2, width: 2, outputs: 1, b: [1] };

test("a 1×1 convolution is a weighted sum of the channels at each pixel", () => {
  const x = [1, 2, 3, 4, 10, 20, 30, 40];
  assert.deepEqual([...convolve(IMAGE, x, [1, 0.5], 1)], [7, 13, 19, 25]);
});

test("a 3×3 convolution reads the neighbours and nothing beyond the edge", () => {
  const kernel = [0, 0, 0, 1, 0, 0, 0, 0, 0, ...Array(9).fill(0)]; // the pixel on the left
  assert.deepEqual([...convolve(IMAGE, [1, 2, 3, 4, 0, 0, 0, 0], kernel, 3)], [1, 2, 1, 4]);
});

test("a shuffle keeps every pixel and can be undone", () => {
  const order = shuffledOrder(9, 7);
  assert.deepEqual([...order].sort((a, b) => a - b), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
  assert.notDeepEqual(order, shuffledOrder(9, 8));
  const pixels = Float64Array.from({ length: 18 }, (_, i) => i);
  assert.deepEqual([...unshuffled(shuffled(pixels, order), order)], [...pixels]);
});

test("data that do not have the shape they need are refused by name", () => {
  assert.deepEqual([...numbers([[1, 2], [3, 4]], "weights", [2, 2]).values], [1, 2, 3, 4]);
  assert.throws(() => numbers([1, 2], "biases", [3]), /biases must be 3 finite numbers, got 2/);
  assert.throws(() => numbers([1, NaN], "biases", [2]), /finite/);
});

test("a position outside the map is moved to its edge", () => {
  assert.deepEqual([-1, 0, 2, 9, NaN, "x"].map((at) => clamp(at, 3)), [0, 0, 2, 2, 0, 0]);
});

// ---- class maps

test("a softmax of large logits neither overflows nor loses its sum", () => {
  assert.deepEqual(maps.softmax([1000, 1000]), [0.5, 0.5]);
  assert.ok(Math.abs(maps.softmax([3, -2, 0.5]).reduce((a, b) => a + b) - 1) < 1e-12);
});

test("a logit is the mean of its map", () => {
  assert.deepEqual(maps.means([[1, 2, 3, 6], [0, 0, 0, 0]]), [3, 0]);
  assert.equal(maps.largest([1, 5, 5, 2]), 1);
});

test("packed maps are unpacked along their first axis", () => {
  const packed = maps.array({ shape: [2, 1, 1, 2], scale: 0.5, data: "AQIDBA==" });
  assert.deepEqual([...maps.part(packed, 1).numbers], [1.5, 2]);
});

test("a cell at the edge sees less of the image", () => {
  const field = { start: -4, jump: 4, side: 12, of: 28 };
  assert.deepEqual(maps.seen({ field }, [0, 3]).field, [[0, 8], [8, 20]]);
});
