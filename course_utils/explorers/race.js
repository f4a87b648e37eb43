// Optimiser race: four optimisers from one start, on three surfaces, each step as in course_utils/descent.py.
const SURFACES = [
  { loss: ([a, b]) => 0.5 * (a * a + 10 * (b * b)), gradient: ([a, b]) => [a, 10 * b] },
  { loss: ([a, b]) => { const v = b + 1 - a * a / 2; return 0.25 * (a - 1) ** 2 + 5 * (v * v); },
    gradient: ([a, b]) => { const v = b + 1 - a * a / 2; return [0.5 * (a - 1) - 10 * v * a, 10 * v]; } },
  { loss: ([a, b]) => (a * a - 1) ** 2 + 0.4305 * a + 2 * (b * b) + 0.44151875,
    gradient: ([a, b]) => [4 * a * (a * a - 1) + 0.4305, 4 * b] },
];
const OPTIMISERS = { // (rate, momentum) -> (gradient g, step t from 1, parameter i) -> what is subtracted
  "gradient descent": (rate) => (g) => rate * g,
  "momentum": (rate, mu, v = [0, 0]) => (g, t, i) => rate * (v[i] = mu * v[i] + g),
  "RMSprop": (rate, mu, s = [0, 0]) => (g, t, i) => { s[i] = 0.99 * s[i] + (1 - 0.99) * g ** 2; return rate * g / (Math.sqrt(s[i]) + 1e-8); },
  "Adam": (rate, mu, m = [0, 0], s = [0, 0]) => (g, t, i) => {
    m[i] = 0.9 * m[i] + (1 - 0.9) * g;
    s[i] = 0.999 * s[i] + (1 - 0.999) * g ** 2;
    return rate * (m[i] / (1 - 0.9 ** t)) / (Math.sqrt(s[i] / (1 - 0.999 ** t)) + 1e-8);
  },
};
function compute({ surface, start, rates, momentum, steps }) {
  const { loss, gradient } = SURFACES[surface], walks = {};
  for (const [name, rate] of Object.entries(rates)) {
    const move = OPTIMISERS[name](rate, momentum), path = [start], losses = [loss(start)];
    for (let t = 1; t <= steps && losses.at(-1) < 1e12; t++) {
      const w = path.at(-1), g = gradient(w);
      path.push(w.map((value, i) => value - move(g[i], t, i)));
      losses.push(loss(path.at(-1)));
    }
    walks[name] = { path, losses, diverged: !(losses.at(-1) < 1e12) };
  }
  return walks;
}
// The largest stable learning rate near the minimum: 2 / steepness, times 1 + momentum. The others rescale their steps.
const limit = (name, surface, mu) => ({ "gradient descent": 2, "momentum": 2 * (1 + mu) })[name] / data.surfaces[surface].steepness;
function levels(p, loss) { // level lines by marching squares
  const n = [44, 32], value = range(n[0] + 1).map((i) => range(n[1] + 1).map((j) =>
    loss([data.x[0] + (i * (data.x[1] - data.x[0])) / n[0], data.y[0] + (j * (data.y[1] - data.y[0])) / n[1]])));
  const place = (i, j) => `${p.X(data.x[0] + (i * (data.x[1] - data.x[0])) / n[0]).toFixed(1)} ${p.Y(data.y[0] + (j * (data.y[1] - data.y[0])) / n[1]).toFixed(1)}`;
  for (const level of range(12).map((k) => 0.06 * 1.75 ** k)) {
    let d = "";
    for (const i of range(n[0])) for (const j of range(n[1])) {
      const corners = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]], found = [];
      corners.forEach(([a, b], k) => {
        const [c, e] = corners[(k + 1) % 4], u = value[a][b] - level, v = value[c][e] - level;
        if (u < 0 !== v < 0) found.push(place(a + ((c - a) * u) / (u - v), b + ((e - b) * u) / (u - v)));
      });
      for (let k = 0; k + 1 < found.length; k += 2) d += `M${found[k]}L${found[k + 1]}`;
    }
    p.inner.append(make("svg:path", { d, fill: "none", stroke: "currentColor", opacity: 0.35, "stroke-width": 0.8 }));
  }
}
const capital = (name) => name[0].toUpperCase() + name.slice(1);
const DASHES = ["", "7 4", "2 4", "9 3 2 3"];

start("race", () => {
  const names = Object.keys(OPTIMISERS), last = data.steps;
  const status = make("p", { role: "status" }), pictures = make("div", { class: "panes" }), numbers = scroll("losses");
  const surface = choice("surface", data.surfaces.map((s) => s.name), draw);
  const near = (rate) => data.choices.reduce((best, r, i) => (Math.abs(Math.log(r / rate)) < Math.abs(Math.log(data.choices[best] / rate)) ? i : best), 0);
  const rows = Object.keys(data.rates).map((name) => {
    const marks = make("datalist", { id: `cliff-${Math.random().toString(36).slice(2)}` });
    const shown = tick(name, true, draw);
    shown.box.classList.add("name");
    shown.box.prepend(make("span", { class: "key", style: `border-color: var(--c${names.indexOf(name)})` }));
    const rate = slider("learning rate", { min: 0, max: data.choices.length - 1, step: 1, value: data.rates[name],
      from: (k) => data.choices[k], to: near }, draw);
    rate.input.setAttribute("list", marks.id);
    rate.input.setAttribute("aria-label", `learning rate of ${name}`);
    return { name, shown, rate, marks, box: make("div", { class: "controls" }, shown.box, rate.box, marks) };
  });
  const momentum = slider("momentum \u03bc", { min: 0, max: 0.98, step: 0.02, value: data.momentum, show: (x) => fixed(x, 2) }, draw);
  const begin = ["w\u2080", "w\u2081"].map((w, i) => slider(`start ${w}`, { min: [data.x, data.y][i][0], max: [data.x, data.y][i][1], step: 0.05,
    value: data.start[i], show: (x) => fixed(x, 2) }, draw));
  const step = slider("step", { min: 0, max: last, step: 1, value: last }, () => { stop(); draw(); });
  const play = button("\u25b6 Play", () => (playing ? stop() : run())), next = button("Step", () => { stop(); step.value = (step.value + 1) % (last + 1); draw(); });
  let playing = 0;
  function stop() { clearInterval(playing); playing = 0; play.textContent = "\u25b6 Play"; }
  function run() { // a tenth of a second a step; all at once for whoever asks for less motion
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) { step.value = last; draw(); return; }
    step.value = step.value >= last ? 0 : step.value;
    play.textContent = "\u275a\u275a Pause";
    playing = setInterval(() => { step.value += 1; if (step.value >= last) stop(); draw(); }, 100);
  }
  const settings = () => ({ surface: surface.value, start: begin.map((s) => s.value), momentum: momentum.value, steps: last,
    rates: Object.fromEntries(rows.filter((r) => r.shown.value).map((r) => [r.name, r.rate.value])) });
  function draw() {
    const now = settings(), walks = compute(now), t = step.value, shown = Object.keys(walks);
    const map = plot({ x: data.x, y: data.y, xlabel: "parameter w\u2080", ylabel: "parameter w\u2081", title: "The way down (drag the ring)", xticks: 4, yticks: 4 });
    const curves = plot({ x: [0, last], y: [1e-6, 1e3], log: true, yticks: 9, xticks: 4, xlabel: "step", ylabel: "loss", title: "The loss after each step" });
    levels(map, SURFACES[now.surface].loss);
    for (const name of shown) {
      const i = names.indexOf(name), { path, losses } = walks[name], at = Math.min(t, path.length - 1), stroke = `var(--c${i})`;
      map.line(path.slice(0, at + 1), { stroke, "stroke-dasharray": DASHES[i] });
      curves.line(losses.slice(0, at + 1).map((l, k) => [k, Math.max(l, 1e-9)]), { stroke, "stroke-dasharray": DASHES[i] });
      map.inner.append(make("svg:circle", { cx: map.X(path[at][0]), cy: map.Y(path[at][1]), r: 8, fill: stroke }),
        make("svg:text", { x: map.X(path[at][0]), y: map.Y(path[at][1]) + 4, "text-anchor": "middle", style: "fill: Canvas; font-weight: 700" }, name[0].toUpperCase()));
    }
    const [cx, cy] = [map.X(now.start[0]), map.Y(now.start[1])];
    const ring = map.add("circle", { cx, cy, r: 11, fill: "transparent", stroke: "currentColor", "stroke-width": 2, style: "cursor: grab; touch-action: none" });
    drag(ring, map, (w) => { w.forEach((value, i) => { begin[i].value = value; }); draw(); });
    pictures.replaceChildren(...[map, curves].map((p) => make("div", { class: "pane" }, p.svg)));
    const grows = (w) => w.diverged || w.losses.at(-1) > w.losses[0];
    rows.forEach(({ name, marks }) => { // the browser marks the cliff below the slider
      const most = limit(name, now.surface, now.momentum);
      marks.replaceChildren(...(most ? [make("option", { value: data.choices.filter((r) => r <= most).length - 1 })] : []));
    });
    numbers.replaceChildren(table(["optimiser", "learning rate", "largest stable", `loss at step ${t}`], shown.map((name) => {
      const most = limit(name, now.surface, now.momentum), { losses } = walks[name];
      return [name, number(now.rates[name]), most ? number(most) : "\u2013", t < losses.length ? number(losses[t]) : "\u221e"];
    })));
    if (playing) return; // nobody wants a sentence ten times a second
    const best = shown.reduce((a, b) => (walks[b].losses.at(-1) < walks[a].losses.at(-1) || grows(walks[a]) ? b : a), shown[0]);
    status.textContent = !shown.length ? "Tick an optimiser." : shown.map((name) => grows(walks[name])
      ? `${capital(name)}: the loss grows, the learning rate ${number(now.rates[name])} is too large. `
      : `${capital(name)}: loss ${number(walks[name].losses.at(-1))} after ${last} steps. `).join("") + (shown.length > 1 && !grows(walks[best]) ? `Lowest: ${best}.` : "");
  }
  draw();
  const line = (...boxes) => make("div", { class: "controls" }, ...boxes);
  return { nodes: [line(surface.box, begin[0].box, begin[1].box), ...rows.map((r) => r.box), line(momentum.box, step.box, play, next), pictures, numbers, status],
    compute, settings };
});
