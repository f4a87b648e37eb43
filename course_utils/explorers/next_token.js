// Next token: logits to probabilities with temperature, cut to the nucleus of top-p, and draws from what is left.
function compute({ logits, temperature, top_p }) {
  const top = Math.max(...logits), weights = logits.map((z) => Math.exp((z - top) / temperature)), all = weights.reduce((a, b) => a + b, 0);
  const p = weights.map((w) => w / all), order = range(p.length).sort((a, b) => p[b] - p[a]), kept = p.map(() => 0);
  let before = 0;
  for (const i of order) { if (before < top_p - 1e-12) kept[i] = p[i]; before += p[i]; }
  const sum = kept.reduce((a, b) => a + b, 0);
  return { probabilities: kept.map((x) => x / sum) };
}

start("next_token", () => {
  const shown = (token) => JSON.stringify(token).slice(1, -1).replaceAll(" ", "\u00b7");
  let drawn = [];
  const again = () => { drawn = []; draw(); };
  const prompt = choice("prompt", data.prompts.map((p) => p.prompt), again);
  const temperature = slider("temperature", { min: 0.1, max: 2, step: 0.1, value: 1, show: (x) => fixed(x, 1) }, again);
  const top_p = slider("top-p", { min: 0.05, max: 1, step: 0.05, value: 1, show: (x) => fixed(x, 2) }, again);
  const status = make("p", { role: "status" }), picture = make("div", { class: "pane" });
  const one = (p) => { let u = Math.random(); for (const i of range(p.length)) { u -= p[i]; if (u < 0) return i; } return p.indexOf(Math.max(...p)); };
  const asked = () => ({ logits: data.prompts[prompt.value].logits, temperature: temperature.value, top_p: top_p.value });
  const pick = (n) => { const { probabilities } = compute(asked()); drawn = range(n).map(() => one(probabilities)); draw(); };
  function draw() {
    const { tokens } = data.prompts[prompt.value], { probabilities: p } = compute(asked()), plain = compute({ ...asked(), temperature: 1, top_p: 1 }).probabilities;
    const rows = range(tokens.length).sort((a, b) => p[b] - p[a] || plain[b] - plain[a]).slice(0, 16), counts = tokens.map((_, i) => drawn.filter((d) => d === i).length);
    const svg = make("svg:svg", { viewBox: `0 0 400 ${20 + 20 * rows.length}`, role: "img", "aria-label": "probability of each next token" });
    const add = (tag, attributes, ...text) => svg.append(make(`svg:${tag}`, attributes, ...text));
    add("text", { x: 0, y: 12, class: "title" }, "Probability of the next token");
    rows.forEach((i, row) => {
      const y = 22 + 20 * row, out = p[i] === 0;
      add("text", { x: 0, y: y + 12, opacity: out ? 0.7 : 1 }, shown(tokens[i]).slice(0, 14));
      add("rect", { x: 110, y, width: 200 * plain[i], height: 15, fill: "none", stroke: "currentColor", "stroke-opacity": 0.5 });
      add("rect", { x: 110, y: y + 2, width: 200 * p[i], height: 11, fill: "var(--c0)" });
      add("text", { x: 318, y: y + 12 }, out ? "cut off" : fixed(p[i], 3) + (drawn.length > 1 ? `, drawn ${counts[i]}` : ""));
    });
    picture.replaceChildren(svg);
    const left = p.filter((x) => x > 0).length, best = p.indexOf(Math.max(...p));
    status.textContent = `${left} of ${tokens.length} tokens can be drawn. The likeliest is "${shown(tokens[best])}" with probability ${fixed(p[best], 3)} `
      + `(${fixed(plain[best], 3)} at temperature 1).` + (drawn.length === 1 ? ` Drawn: "${shown(tokens[drawn[0]])}".` : drawn.length ? ` Of 100 draws ${counts[best]} are this token.` : "");
  }
  draw();
  return { nodes: [make("div", { class: "controls" }, prompt.box, temperature.box, top_p.box, make("div", { class: "control" }, button("Draw one", () => pick(1)), button("Draw 100", () => pick(100)))),
    make("div", { class: "panes" }, picture), status], compute };
});
