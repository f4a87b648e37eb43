// An LSTM reads along: the logit after each word, what the word added, and the gates of all units at that word.
function compute({ logits }) {
  return { changes: logits.map((z, i) => z - (i ? logits[i - 1] : 0)), probabilities: logits.map((z) => 1 / (1 + Math.exp(-z))) };
}

start("reading", () => {
  const { tokens, logits, gates } = data, { changes, probabilities } = compute({ logits }), T = tokens.length;
  const names = Object.keys(gates), most = Math.max(...changes.map(Math.abs)) || 1;
  const read = slider("words read", { min: 1, max: T, step: 1, value: T }, draw);
  const status = make("p", { role: "status" }), words = make("p", { style: "line-height: 2.1" }), panes = make("div", { class: "panes" });
  let timer = 0;
  const play = button("Play", () => {
    clearInterval(timer);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) { read.value = T; draw(); return; }
    read.value = 1;
    draw();
    timer = setInterval(() => { if (read.value >= T) clearInterval(timer); else { read.value += 1; draw(); } }, 350);
  });
  function draw() {
    const now = read.value - 1, high = nice(Math.max(...logits.map(Math.abs), 0.5));
    words.replaceChildren(...tokens.map((token, i) => make("span", {
      style: `padding: 0.1em 0.25em; opacity: ${i <= now ? 1 : 0.7}; ${i === now ? "outline: 2px solid currentColor;" : ""} `
        + `border-bottom: ${1 + Math.round((5 * Math.abs(changes[i])) / most)}px solid ${i > now ? "transparent" : changes[i] < 0 ? "var(--c1)" : "var(--c0)"}`,
      title: `${changes[i] < 0 ? "" : "+"}${fixed(changes[i], 2)}` }, token, " ")));
    const curve = plot({ x: [0, 5 * Math.ceil(T / 5)], y: [-high, high], xlabel: "words read (drag here)", ylabel: "logit, positive minus negative", title: "The prediction so far", yticks: 4 });
    curve.line([[0, 0], [T, 0]], { stroke: "currentColor", "stroke-dasharray": "2 4", "stroke-width": 1 });
    curve.line(logits.map((z, i) => [i + 1, z]), { stroke: "currentColor", "stroke-opacity": 0.35 });
    curve.line(logits.slice(0, now + 1).map((z, i) => [i + 1, z]), { stroke: "var(--c0)" });
    curve.add("circle", { cx: curve.X(now + 1), cy: curve.Y(logits[now]), r: 6, fill: "var(--c0)", stroke: "currentColor" });
    const pane = make("div", { class: "pane", style: "touch-action: pan-y; cursor: ew-resize" }, curve.svg);
    drag(pane, curve, ([x]) => { read.value = Math.min(Math.max(Math.round(x), 1), T); draw(); });
    panes.replaceChildren(pane, make("div", { class: "pane" }, bars(now)));
    status.textContent = `After ${now + 1} of ${T} words, "${tokens[now]}" changes the logit by ${fixed(changes[now], 2)} to ${fixed(logits[now], 2)}: `
      + `positive with probability ${fixed(probabilities[now], 2)}.`;
  }
  const bars = (now) => { // one line for each unit of each gate, as long as the gate is open
    const units = gates[names[0]][0].length, h = 90, svg = make("svg:svg", { viewBox: `0 0 400 ${20 + (h + 34) * names.length}`, role: "img", "aria-label": `gates at the word ${tokens[now]}` });
    const add = (tag, attributes, ...text) => svg.append(make(`svg:${tag}`, attributes, ...text));
    names.forEach((name, g) => {
      const row = gates[name][now], y = 20 + (h + 34) * g, mean = row.reduce((a, b) => a + b, 0) / units / 100;
      add("text", { x: 0, y: y - 5, class: "title" }, `${name}: ${fixed(mean, 2)} open on average`);
      add("rect", { x: 0, y, width: 400, height: h, fill: "var(--faint)" });
      row.forEach((open, u) => add("rect", { x: (400 * u) / units, y: y + h - (h * open) / 100, width: Math.max(400 / units - 1, 1), height: (h * open) / 100, fill: `var(--c${2 + g})` }));
    });
    return svg;
  };
  draw();
  return { nodes: [make("div", { class: "controls" }, read.box, play), words, status, panes], compute };
});
