// Splits: a strip of the file with its test rows, those that have a training row near them, and the measured scores.
function compute({ test, near }) {
  const rows = range(test.length).filter((i) => test[i]), train = range(test.length).filter((i) => !test[i]);
  const leaks = rows.filter((i) => range(2 * near + 1).some((d) => test[i + d - near] === 0));
  return { leaked: train.length ? leaks.length / rows.length : 0 };
}

start("splits", () => {
  const { blocks, strips, near, models, accuracies } = data;
  const block = slider("rows in a block", { min: 0, max: blocks.length - 1, step: 1, value: 0, from: (i) => blocks[i], to: (x) => blocks.indexOf(x), show: (x) => (x === 1 ? "1: random" : String(x)) }, draw);
  const status = make("p", { role: "status" }), strip = make("div"), picture = make("div", { class: "pane" });
  function draw() {
    const k = blocks.indexOf(block.value), test = strips[k], { leaked } = compute({ test, near }), wide = 60, size = 400 / wide;
    const svg = make("svg:svg", { viewBox: `0 0 400 ${size * Math.ceil(test.length / wide)}`, role: "img", "aria-label": "rows of the file: training, test, and test rows near a training row", style: "width: 100%; max-width: 46em; display: block" });
    const add = (tag, attributes, ...text) => svg.append(make(`svg:${tag}`, attributes, ...text));
    const title = make("strong", {}, `${test.length} rows of the file, ${near} rows to either side may be the same film`);
    test.forEach((inside, i) => {
      const leaks = inside && range(2 * near + 1).some((d) => test[i + d - near] === 0), x = size * (i % wide), y = size * Math.floor(i / wide);
      add("rect", { x, y, width: size - 1, height: size - 1, fill: !inside ? "var(--faint)" : leaks ? "var(--c1)" : "var(--c2)" });
      if (leaks) add("circle", { cx: x + size / 2 - 0.5, cy: y + size / 2 - 0.5, r: 1.3, fill: "white" }); // not by colour alone
    });
    strip.replaceChildren(title, svg, make("p", {}, "Grey: training. Green: test. Orange with a dot: test, with a training row near it."));
    const log = (x) => Math.log10(x), low = Math.floor(10 * Math.min(0.4, ...accuracies.flat())) / 10, powers = log(blocks.at(-1)) || 1, p = plot({ x: [0, powers], y: [low, 1], xticks: Math.round(powers) || 1, yticks: Math.round(10 - 10 * low), xlabel: "rows in a block, power of 10", ylabel: "test accuracy", title: "What was measured on the real file" });
    p.line([[0, 0.5], [log(blocks.at(-1)), 0.5]], { stroke: "currentColor", "stroke-dasharray": "2 4", "stroke-width": 1.2 });
    models.forEach((name, m) => {
      p.line(blocks.map((b, i) => [log(b), accuracies[m][i]]), { stroke: `var(--c${m})`, "stroke-dasharray": m ? "7 4" : "" });
      p.add("circle", { cx: p.X(log(block.value)), cy: p.Y(accuracies[m][k]), r: 6, fill: `var(--c${m})`, stroke: "currentColor" });
      p.add("text", { class: "over", x: p.X(log(blocks.at(-1))) - 4, y: p.Y(accuracies[m].at(-1)) - 8, "text-anchor": "end" }, name);
    });
    picture.replaceChildren(p.svg);
    const said = models.map((name, m) => `${name} ${fixed(accuracies[m][k], 3)}`).join(", ");
    status.textContent = `${block.value === 1 ? "Random rows" : `Blocks of ${block.value} rows`}: ${Math.round(100 * leaked)} % of the test rows have a training row near them. Test accuracy: ${said}.`;
  }
  draw();
  return { nodes: [make("div", { class: "controls" }, block.box), status, strip, picture], compute };
});
