// What a rank keeps of a matrix, and what a few bits keep of its weights: blocks of weights share a scale.
const even = (x) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x)); // halves to even, as in NumPy
function quantise({ weights, bits, block }) { // block 0: one scale for all
  const largest = 2 ** (bits - 1) - 1, most = (row) => row.reduce((m, w) => Math.max(m, Math.abs(w)), 0);
  const all = Math.max(...weights.map(most));
  return weights.map((row) => range(Math.ceil(row.length / (block || row.length))).flatMap((b) => {
    const part = block ? row.slice(b * block, (b + 1) * block) : row, scale = Math.max(block ? most(part) : all, 1e-12) / largest;
    return part.map((w) => even(w / scale) * scale);
  }));
}
function compute({ weights, bits, block }) {
  const rounded = quantise({ weights, bits, block });
  let wrong = 0, size = 0;
  weights.forEach((row, i) => row.forEach((w, j) => { wrong += (rounded[i][j] - w) ** 2; size += w * w; }));
  const n = weights.length * weights[0].length;
  return { rounded, error: Math.sqrt(wrong / size), bits_per_weight: bits + (block ? 16 / block : 16 / n) };
}

start("compression", () => {
  const { weights, shares, shape } = data, most = shares[0].length, BLOCKS = [16, 32, 64, 128, 0];
  const names = ["the pretrained matrix W", "its change by fine-tuning"], BITS = range(7).map((i) => i + 2), DASHES = ["", "7 4"];
  const rank = slider("rank r", { min: 1, max: most, step: 1, value: 8 }, draw);
  const bits = slider("bits", { min: 2, max: 8, step: 1, value: 4 }, draw);
  const block = slider("weights in a block", { min: 0, max: BLOCKS.length - 1, step: 1, value: 32, from: (k) => BLOCKS[k], to: (b) => BLOCKS.indexOf(b),
    show: (b) => (b ? String(b) : "all") }, draw);
  const status = make("p", { role: "status" }), pictures = make("div", { class: "panes" });
  const percent = (x) => `${fixed(100 * x, x < 0.1 ? 1 : 0)} %`;
  const memory = {}; // errors by block and bits: the weights do not change
  const error = (b, k) => (memory[`${b} ${k}`] ??= compute({ weights, bits: k, block: b }).error);
  function draw() {
    const r = rank.value, b = block.value, k = bits.value, { rounded, error: wrong, bits_per_weight: price } = compute({ weights, bits: k, block: b });
    const kept = plot({ x: [0, most], y: [0, 1], xlabel: `rank r of ${most} (drag here)`, ylabel: "share of the squared norm", title: "What a rank keeps", xticks: 4 });
    shares.forEach((share, i) => {
      kept.line([[0, 0], ...share.map((s, j) => [j + 1, s])], { stroke: `var(--c${i})`, "stroke-dasharray": DASHES[i] });
      kept.add("circle", { cx: kept.X(r), cy: kept.Y(share[r - 1]), r: 6, fill: `var(--c${i})`, stroke: "currentColor" });
      kept.line([[0.4 * most, 0.2 - 0.1 * i], [0.48 * most, 0.2 - 0.1 * i]], { stroke: `var(--c${i})`, "stroke-dasharray": DASHES[i] });
      kept.add("text", { class: "over", x: kept.X(0.5 * most), y: kept.Y(0.2 - 0.1 * i) + 4 }, names[i]);
    });
    const lost = plot({ x: [2, 8], y: [1e-3, 1], log: true, yticks: 3, xticks: 6, xlabel: "bits", ylabel: "relative error", title: "What rounding loses" });
    [[b, 0, b ? `blocks of ${b}` : ""], [0, 1, "one scale for all"]].filter(([, , name]) => name).forEach(([size, i, name]) => {
      lost.line(BITS.map((n) => [n, Math.max(error(size, n), 1e-9)]), { stroke: `var(--c${2 + i})`, "stroke-dasharray": DASHES[i] });
      lost.line([[5.4, 0.8 * 0.6 ** i], [5.9, 0.8 * 0.6 ** i]], { stroke: `var(--c${2 + i})`, "stroke-dasharray": DASHES[i] });
      lost.add("text", { class: "over", x: lost.X(6), y: lost.Y(0.8 * 0.6 ** i) + 4 }, name);
    });
    lost.add("circle", { cx: lost.X(k), cy: lost.Y(wrong), r: 6, fill: `var(--c${b ? 2 : 3})`, stroke: "currentColor" });
    const some = range(64), size = nice(Math.max(...some.map((j) => Math.abs(weights[0][j]))));
    const near = plot({ x: [0, 64], y: [-size, size], xlabel: "the first 64 weights of a row", ylabel: "weight", title: "Before (ring) and after (dot)", xticks: 4, yticks: 4 });
    for (const j of some) {
      near.line([[j + 0.5, weights[0][j]], [j + 0.5, rounded[0][j]]], { stroke: "var(--c1)", "stroke-width": 1.5 });
      near.add("circle", { cx: near.X(j + 0.5), cy: near.Y(weights[0][j]), r: 3.2, fill: "none", stroke: "currentColor" });
      near.add("circle", { cx: near.X(j + 0.5), cy: near.Y(rounded[0][j]), r: 2, fill: "var(--c1)" });
    }
    const pane = make("div", { class: "pane", style: "touch-action: pan-y; cursor: ew-resize" }, kept.svg);
    drag(pane, kept, ([x]) => { rank.value = Math.min(Math.max(Math.round(x), 1), most); draw(); });
    pictures.replaceChildren(pane, ...[lost, near].map((p) => make("div", { class: "pane" }, p.svg)));
    const thin = r * (shape[0] + shape[1]), whole = shape[0] * shape[1];
    status.textContent = `Rank ${r} keeps ${percent(shares[0][r - 1])} of W and ${percent(shares[1][r - 1])} of its change, with ${thin.toLocaleString("en")} numbers instead of `
      + `${whole.toLocaleString("en")}. ${k} bits ${b ? `in blocks of ${b}` : "with one scale for all"} take ${number(price)} bits a weight with the scales; the relative error is ${percent(wrong)}.`;
  }
  draw();
  return { nodes: [make("div", { class: "controls" }, rank.box, bits.box, block.box), pictures, status], compute };
});
