// Threshold and calibration: what a threshold decides, what it costs, and whether the probabilities can be trusted.
function decide({ probabilities, labels, threshold, cost_fp, cost_fn }) {
  let tp = 0, fp = 0, fn = 0, tn = 0;
  probabilities.forEach((p, i) => { if (p >= threshold) labels[i] ? tp++ : fp++; else labels[i] ? fn++ : tn++; });
  return { tp, fp, fn, tn, precision: tp / (tp + fp), recall: tp / (tp + fn), accuracy: (tp + tn) / labels.length,
    cost: (fp * cost_fp + fn * cost_fn) / labels.length };
}
const GRID = range(101).map((k) => k / 100);
function compute(asked) {
  const costs = GRID.map((threshold) => decide({ ...asked, threshold }).cost);
  const best = GRID[costs.indexOf(Math.min(...costs))];
  const bins = range(10).map(() => ({ n: 0, p: 0, positive: 0 }));
  asked.probabilities.forEach((p, i) => { const bin = bins[Math.min(Math.floor(p * 10), 9)]; bin.n++; bin.p += p; bin.positive += asked.labels[i]; });
  const filled = bins.filter((bin) => bin.n).map((bin) => [bin.p / bin.n, bin.positive / bin.n, bin.n]);
  const gap = filled.reduce((sum, [p, share, n]) => sum + (n * Math.abs(p - share)) / asked.labels.length, 0);
  return { decision: decide(asked), costs, best, bins: filled, gap };
}

start("threshold", () => {
  const [no, yes] = data.names, { probabilities, labels } = data;
  const threshold = slider("threshold", { min: 0, max: 1, step: 0.01, value: 0.5, show: (x) => fixed(x, 2) }, draw);
  const price = (label) => slider(label, { min: 1, max: 20, step: 1, value: 1 }, draw);
  const alarm = price(`cost: ${no}, called ${yes}`), miss = price(`cost: ${yes}, called ${no}`);
  const status = make("p", { role: "status" }), pictures = make("div", { class: "panes" }), tables = make("div", { class: "panes" });
  const share = (x) => (Number.isNaN(x) ? "\u2013" : fixed(x, 3));
  function draw() {
    const t = threshold.value, asked = { probabilities, labels, threshold: t, cost_fp: alarm.value, cost_fn: miss.value };
    const { decision: d, costs, best, bins, gap } = compute(asked), top = nice(Math.max(...costs) || 1);
    const costly = plot({ x: [0, 1], y: [0, top], xlabel: "threshold (drag here)", ylabel: "cost of a text", title: "What each threshold costs", yticks: 4 });
    costly.line(GRID.map((x, i) => [x, costs[i]]), { stroke: "var(--c0)" });
    costly.add("circle", { cx: costly.X(t), cy: costly.Y(d.cost), r: 6, fill: "var(--c0)", stroke: "currentColor" });
    const low = costs[GRID.indexOf(best)];
    costly.line([[best, 0], [best, low]], { stroke: "var(--c2)", "stroke-dasharray": "4 3" });
    costly.add("text", { class: "over", x: costly.X(best) + (best > 0.5 ? -6 : 6), y: costly.Y(low / 3), "text-anchor": best > 0.5 ? "end" : "start" }, `lowest at ${fixed(best, 2)}`);
    const trusted = plot({ x: [0, 1], y: [0, 1], xlabel: `probability of ${yes}`, ylabel: `share that is ${yes}`, title: "Can the probabilities be trusted?" });
    trusted.line([[0, 0], [1, 1]], { stroke: "currentColor", "stroke-dasharray": "2 4", "stroke-width": 1.2 });
    trusted.line(bins, { stroke: "var(--c1)" });
    for (const [p, positive, n] of bins) trusted.add("circle", { cx: trusted.X(p), cy: trusted.Y(positive),
      r: 3 + 9 * Math.sqrt(n / labels.length), fill: "var(--c1)", "fill-opacity": 0.75 });
    trusted.line([[t, 0], [t, 1]], { stroke: "var(--c0)", "stroke-width": 1 });
    const pane = make("div", { class: "pane", style: "touch-action: pan-y; cursor: ew-resize" }, costly.svg);
    drag(pane, costly, ([x]) => { threshold.value = Math.min(Math.max(x, 0), 1); draw(); });
    pictures.replaceChildren(pane, make("div", { class: "pane" }, trusted.svg));
    tables.replaceChildren(table(["texts", `called ${no}`, `called ${yes}`], [[`is ${no}`, String(d.tn), String(d.fp)], [`is ${yes}`, String(d.fn), String(d.tp)]]),
      table(["measure", "value"], [["accuracy", share(d.accuracy)], [`precision of ${yes}`, share(d.precision)], [`recall of ${yes}`, share(d.recall)],
        ["cost of a text", fixed(d.cost, 3)]]));
    status.textContent = `With threshold ${fixed(t, 2)} a text costs ${fixed(d.cost, 3)} on average; the lowest cost is ${fixed(low, 3)}, at ${fixed(best, 2)}. `
      + `The probabilities are off by ${fixed(gap, 3)} on average.`;
  }
  draw();
  return { nodes: [make("div", { class: "controls" }, threshold.box, alarm.box, miss.box), pictures, tables, status], compute };
});
