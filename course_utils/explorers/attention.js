// Attention: all heads as a grid of maps; of the one that is picked, what each token looks at.
function compute({ row, n }) { // the positions of the largest weights, as Python's `strongest`
  return { strongest: range(row.length).sort((a, b) => row[b] - row[a] || a - b).slice(0, n) };
}

start("attention", (root) => {
  const { tokens, levels } = data, T = tokens.length, blue = (level) => `rgba(0, 114, 178, ${(level / 255).toFixed(3)})`;
  let layer = data.layer, head = data.head;
  const status = make("p", { role: "status" }), words = make("p", { style: "line-height: 2.1" }), large = make("div", { class: "pane" });
  const query = slider("token", { min: 0, max: T - 1, step: 1, value: 0, show: (i) => tokens[i] }, draw);
  const canvas = (l, h) => {
    const map = make("canvas", { width: T, height: T, style: "width: 100%; image-rendering: pixelated; display: block" }), pen = map.getContext("2d");
    levels[l][h].forEach((level, i) => { pen.fillStyle = blue(level); pen.fillRect(i % T, Math.floor(i / T), 1, 1); });
    return map;
  };
  const heads = levels.map((maps, l) => maps.map((_, h) => {
    const one = button("", () => { [layer, head] = [l, h]; draw(); });
    one.append(canvas(l, h));
    one.setAttribute("aria-label", `layer ${l}, head ${h}`);
    one.style.cssText = "padding: 1px; min-width: 0";
    return one;
  }));
  const grid = make("div", { role: "group", "aria-label": "all heads", style: `display: grid; gap: 2px; grid-template-columns: repeat(${levels[0].length}, 1fr); flex: 1 1 20em; max-width: 30em` },
    ...heads.flat());
  const look = (i) => { if (i !== query.value) { query.value = i; draw(); } };
  function draw() {
    const i = query.value, row = levels[layer][head].slice(i * T, (i + 1) * T), first = compute({ row, n: 3 }).strongest;
    heads.flat().forEach((one, k) => {
      const here = k === layer * levels[0].length + head;
      one.setAttribute("aria-pressed", here);
      one.style.outline = here ? "2px solid var(--c1)" : "";
    });
    words.replaceChildren(...tokens.map((token, j) => {
      const span = make("span", { style: `display: inline-block; line-height: 1.5; padding: 0.15em 0.3em; margin-right: 0.15em; border-radius: 3px; background: ${blue(0.75 * row[j])}; ${j === i ? "outline: 2px solid var(--c1)" : ""}`,
        title: `${Math.round(row[j] / 2.55)} %` }, token);
      span.addEventListener("pointerenter", () => look(j));
      return span;
    }));
    const size = 300 / T, svg = make("svg:svg", { viewBox: "0 0 400 400", role: "img", "aria-label": `attention of layer ${layer}, head ${head}` });
    const add = (tag, attributes, ...text) => svg.append(make(`svg:${tag}`, attributes, ...text));
    levels[layer][head].forEach((level, k) => level > 2 && add("rect", { x: 96 + size * (k % T), y: 4 + size * Math.floor(k / T), width: size, height: size, fill: "var(--c0)", "fill-opacity": level / 255 }));
    add("rect", { x: 96, y: 4 + size * i, width: 300, height: size, fill: "none", stroke: "var(--c1)", "stroke-width": 2 });
    tokens.forEach((token, j) => {
      add("text", { x: 92, y: 4 + size * (j + 0.5) + 4, "text-anchor": "end" }, token.slice(0, 12));
      add("text", { x: 0, y: 0, transform: `translate(${96 + size * (j + 0.5) + 4} 310) rotate(90)` }, token.slice(0, 12));
    });
    large.replaceChildren(svg);
    const said = first.map((j) => `"${tokens[j]}" (${Math.round(row[j] / 2.55)} %)`);
    status.textContent = `Layer ${layer}, head ${head}: "${tokens[i]}" looks most at ${said.join(", ")}.`;
  }
  draw();
  return { nodes: [make("div", { class: "controls" }, query.box), words, status, make("div", { class: "panes" }, grid, large)], compute };
});
