// A film of fine-tuning: sentences as points that move from step to step, and the accuracy beside.
function compute({ points, labels }) { // how far the middles of the first two classes are apart
  const middle = (label) => [0, 1].map((d) => { const own = points.filter((_, i) => labels[i] === label); return own.reduce((sum, p) => sum + p[d], 0) / own.length; });
  const [a, b] = [middle(0), middle(1)];
  return { distance: Math.hypot(a[0] - b[0], a[1] - b[1]) };
}

start("film", () => {
  const { points, labels, steps, accuracies, names } = data, last = steps.length - 1;
  const at = slider("step", { min: 0, max: last, step: 1, value: 0, show: (i) => String(steps[i]) }, draw);
  const status = make("p", { role: "status" }), panes = make("div", { class: "panes" });
  let timer = 0;
  const play = button("Play", () => {
    clearInterval(timer);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) { at.value = last; draw(); return; }
    if (at.value === last) at.value = 0;
    timer = setInterval(() => { if (at.value >= last) clearInterval(timer); else { at.value += 1; draw(); } }, 300);
  });
  function draw() {
    const k = at.value, svg = make("svg:svg", { viewBox: "0 0 400 400", role: "img", "aria-label": `sentences at step ${steps[k]}` });
    const add = (tag, attributes, ...text) => svg.append(make(`svg:${tag}`, attributes, ...text));
    add("rect", { x: 0, y: 20, width: 400, height: 360, fill: "none", stroke: "var(--faint)" });
    add("text", { x: 0, y: 13, class: "title" }, `Sentences at step ${steps[k]}`);
    points[k].forEach(([x, y], i) => { // circles and squares, not by colour alone
      const [cx, cy] = [200 + 185 * x, 200 - 170 * y], fill = `var(--c${labels[i]})`;
      if (labels[i]) add("rect", { x: cx - 3.5, y: cy - 3.5, width: 7, height: 7, fill, "fill-opacity": 0.75 });
      else add("circle", { cx, cy, r: 4, fill, "fill-opacity": 0.75 });
    });
    names.forEach((name, i) => add("text", { x: 20 + 130 * i, y: 396, style: `fill: var(--c${i})` }, `${i ? "\u25a0" : "\u25cf"} ${name}`));
    const curve = plot({ x: [0, steps[last] || 1], y: [0.4, 1], xlabel: "step (drag here)", ylabel: "validation accuracy", title: "Accuracy so far", yticks: 6 });
    curve.line(steps.map((s, i) => [s, accuracies[i]]), { stroke: "currentColor", "stroke-opacity": 0.35 });
    curve.line(steps.slice(0, k + 1).map((s, i) => [s, accuracies[i]]), { stroke: "var(--c2)" });
    curve.add("circle", { cx: curve.X(steps[k]), cy: curve.Y(accuracies[k]), r: 6, fill: "var(--c2)", stroke: "currentColor" });
    const pane = make("div", { class: "pane", style: "touch-action: pan-y; cursor: ew-resize" }, curve.svg);
    drag(pane, curve, ([x]) => { at.value = steps.reduce((best, s, i) => (Math.abs(s - x) < Math.abs(steps[best] - x) ? i : best), 0); draw(); });
    panes.replaceChildren(make("div", { class: "pane" }, svg), pane);
    const { distance } = compute({ points: points[k], labels });
    status.textContent = `After step ${steps[k]} the accuracy is ${fixed(accuracies[k], 3)}, and the middles of the classes are ${fixed(distance, 2)} apart.`;
  }
  draw();
  return { nodes: [make("div", { class: "controls" }, at.box, play), panes, status], compute };
});
