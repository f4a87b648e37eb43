// Drag a logit: softmax, cross-entropy and squared error of the true label's probability, and their slopes.
function compute({ logits, label }) {
  const top = Math.max(...logits), weights = logits.map((z) => Math.exp(z - top)), sum = weights.reduce((a, b) => a + b, 0);
  const probabilities = weights.map((w) => w / sum), p = probabilities[label], wrong = 1 - p;
  return {
    probabilities,
    cross_entropy: Math.log(sum) + top - logits[label],
    squared_error: wrong ** 2,
    cross_entropy_gradient: probabilities.map((q, j) => q - (j === label)),
    squared_error_gradient: probabilities.map((q, j) => 2 * wrong * p * (q - (j === label))),
  };
}
const LOSSES = [["cross_entropy", "cross-entropy", "var(--c0)", ""], ["squared_error", "squared error", "var(--c1)", "7 4"]];
const LOW = -6, HIGH = 6;

start("logit", () => {
  let moving = 0;
  const classes = choice("classes", data.names.map((names) => `${names.length}: ${names.join(", ")}`), () => { moving = 0; rebuild(); });
  const controls = make("div", { class: "controls" }), status = make("p", { role: "status" });
  const pictures = make("div", { class: "panes" });
  let sliders, truth;
  const rebuild = () => { // with two classes one logit is enough: that of the first class stays 0
    const names = data.names[classes.value], free = names.length === 2 ? [1] : range(names.length);
    truth = choice("true label", names, draw);
    truth.value = names.length - 1;
    sliders = free.map((j, i) => slider(names.length === 2 ? "logit z" : `logit of ${names[j]}`,
      { min: LOW, max: HIGH, step: 0.1, value: i ? 0 : data.start, show: (x) => fixed(x, 1) }, () => { moving = i; draw(); }));
    controls.replaceChildren(classes.box, truth.box, ...sliders.map((s) => s.box));
    draw();
  };
  const logits = () => (sliders.length === 1 ? [0] : []).concat(sliders.map((s) => s.value));
  function draw() {
    const names = data.names[classes.value], label = truth.value, now = logits(), shift = names.length - sliders.length;
    const j = moving + shift, z = now[j], found = compute({ logits: now, label });
    const numbers = scroll("losses", table(["loss of this example", "value", ...sliders.map((_, i) =>
      sliders.length === 1 ? "slope dl/dz" : `slope, ${names[i + shift]}`)],
      LOSSES.map(([key, name]) => [name, fixed(found[key], 3), ...found[`${key}_gradient`].slice(shift).map((g) => fixed(g, 3))])));
    pictures.replaceChildren(make("div", { class: "pane" }, bars(names, label, found), numbers), curves(now, label, j, found, names));
    const [steep, flat] = LOSSES.map(([key]) => found[`${key}_gradient`][j]);
    status.textContent = `At logit ${fixed(z, 1)} the true label "${names[label]}" has probability ${fixed(found.probabilities[label], 3)}. `
      + `Cross-entropy is ${fixed(found.cross_entropy, 2)} with slope ${fixed(steep, 3)}, which is probability minus label; `
      + `squared error is ${fixed(found.squared_error, 2)} with slope ${fixed(flat, 3)}.`;
  }
  const bars = (names, label, { probabilities }) => {
    const svg = make("svg:svg", { viewBox: `0 0 400 ${34 + 44 * names.length}`, role: "img", "aria-label": "probability of each class" });
    const add = (tag, attributes, ...text) => svg.append(make(`svg:${tag}`, attributes, ...text));
    add("text", { x: 0, y: 14, class: "title" }, "Probability of each class");
    names.forEach((name, i) => {
      const y = 30 + 44 * i;
      add("text", { x: 0, y: y + 10 }, `${name}${i === label ? " \u25c6 true label" : ""}`);
      add("rect", { x: 0, y: y + 15, width: 340, height: 14, fill: "var(--faint)" });
      add("rect", { x: 0, y: y + 15, width: 340 * probabilities[i], height: 14, fill: i === label ? "var(--c2)" : "var(--c3)" });
      add("text", { x: 346, y: y + 27 }, fixed(probabilities[i], 3));
    });
    return svg;
  };
  const curves = (now, label, j, found, names) => {
    const at = (v) => compute({ logits: now.map((z, i) => (i === j ? v : z)), label });
    const grid = range(97).map((i) => LOW + (i * (HIGH - LOW)) / 96), values = grid.map(at);
    const top = Math.max(7, Math.ceil(Math.max(...values.map((v) => v.cross_entropy))));
    const p = plot({ x: [LOW, HIGH], y: [0, top], xticks: 6, xlabel: names.length === 2 ? "logit z (drag here)" : `logit of ${names[j]} (drag here)`,
      ylabel: "loss", title: "Both losses, with their tangents", yticks: top });
    for (const [i, [key, name, stroke, dash]] of LOSSES.entries()) {
      p.line(grid.map((z, k) => [z, values[k][key]]), { stroke, "stroke-dasharray": dash });
      const z = now[j], l = found[key], slope = found[`${key}_gradient`][j];
      const inside = [-1.6, 1.6].map((d) => [z + d, l + slope * d]).map(([a, b]) => [Math.min(Math.max(a, LOW), HIGH), b]);
      p.line([[inside[0][0], l + slope * (inside[0][0] - z)], [inside[1][0], l + slope * (inside[1][0] - z)]], { stroke: "currentColor", "stroke-width": 1.4 });
      p.add("circle", { cx: p.X(z), cy: p.Y(l), r: 6, fill: stroke, stroke: "currentColor" });
      p.line([[1.6, top * (0.93 - 0.08 * i)], [2.5, top * (0.93 - 0.08 * i)]], { stroke, "stroke-dasharray": dash });
      p.add("text", { class: "over", x: p.X(2.7), y: p.Y(top * (0.93 - 0.08 * i)) + 4 }, name);
    }
    const pane = make("div", { class: "pane", style: "touch-action: pan-y; cursor: ew-resize" }, p.svg);
    drag(pane, p, ([z]) => { sliders[moving].value = Math.min(Math.max(z, LOW), HIGH); draw(); });
    return pane;
  };
  rebuild();
  return { nodes: [controls, pictures, status], compute };
});
