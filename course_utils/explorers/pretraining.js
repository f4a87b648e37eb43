// Pretraining: a slider over checkpoints; the blanks as each of them fills them, and its loss.
function compute({ losses }) { return { perplexities: losses.map((loss) => Math.exp(loss)) }; }

start("pretraining", () => {
  const { sentences, checkpoints } = data, { perplexities } = compute({ losses: checkpoints.map((c) => c.loss) });
  const at = slider("checkpoint", { min: 0, max: checkpoints.length - 1, step: 1, value: 0, show: (i) => checkpoints[i].name }, draw);
  const status = make("p", { role: "status" }), blanks = make("div", { style: "flex: 2 1 24em" }), picture = make("div", { class: "pane" });
  function draw() {
    const k = at.value, here = checkpoints[k];
    blanks.replaceChildren(...sentences.map((sentence, s) => {
      const [before, after] = sentence.split("[MASK]"), best = here.blanks[s][0], svg = make("svg:svg", { viewBox: `0 0 400 ${20 * here.blanks[s].length}`, role: "img", "aria-label": "probability of each word", style: "max-width: 28em; width: 100%" });
      const add = (tag, attributes, ...text) => svg.append(make(`svg:${tag}`, attributes, ...text));
      here.blanks[s].forEach(([word, p], i) => {
        add("text", { x: 0, y: 20 * i + 14 }, word.slice(0, 14));
        add("rect", { x: 110, y: 20 * i + 3, width: 230, height: 13, fill: "var(--faint)" });
        add("rect", { x: 110, y: 20 * i + 3, width: 230 * p, height: 13, fill: "var(--c0)" });
        add("text", { x: 346, y: 20 * i + 14 }, fixed(p, 3));
      });
      return make("div", {}, make("p", { style: "margin: 0.5em 0 0.2em" }, before, make("strong", { style: "border-bottom: 2px solid var(--c0)" }, best[0]), after ?? ""), svg);
    }));
    const power = (c) => Math.log10(Math.max(c.tokens, 1)), read = checkpoints.filter((c) => c.tokens), low = Math.floor(power(read[0])), end = Math.ceil(power(checkpoints.at(-1)));
    const top = nice(Math.max(...checkpoints.map((c) => c.loss))), x = (c) => (c.tokens ? power(c) : low);
    const p = plot({ x: [low, Math.max(end, low + 1)], y: [0, top], xticks: Math.max(end - low, 1), xlabel: "tokens read, power of 10", ylabel: "loss, unseen reviews", title: "The loss so far" });
    p.line(checkpoints.map((c) => [x(c), c.loss]), { stroke: "currentColor", "stroke-opacity": 0.35 });
    p.line(checkpoints.slice(0, k + 1).map((c) => [x(c), c.loss]), { stroke: "var(--c0)" });
    p.add("circle", { cx: p.X(x(here)), cy: p.Y(here.loss), r: 6, fill: "var(--c0)", stroke: "currentColor" });
    picture.replaceChildren(p.svg);
    status.textContent = `Checkpoint ${here.name}, ${here.tokens.toLocaleString("en")} tokens read: loss ${fixed(here.loss, 2)}, as uncertain as among ${Math.round(perplexities[k]).toLocaleString("en")} equally likely words.`;
  }
  draw();
  return { nodes: [make("div", { class: "controls" }, at.box), status, make("div", { class: "panes" }, blanks, picture)], compute };
});
