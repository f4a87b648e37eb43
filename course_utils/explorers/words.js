// Which words mattered: the effect of each word on each model, as a line under it with its sign.
function compute({ effects }) { // each as a share of the largest, with its sign
  const most = Math.max(...effects.map(Math.abs)) || 1;
  return { shares: effects.map((e) => e / most) };
}

start("words", () => {
  const sentence = choice("sentence", data.sentences.map((s) => s.words.join(" ").slice(0, 60)), draw);
  const least = slider("show from", { min: 0, max: 1, step: 0.05, value: 0.1, show: (x) => `${Math.round(100 * x)} %` }, draw);
  const status = make("p", { role: "status" }), rows = make("div", { style: "margin-top: 0.6em" });
  function draw() {
    const { words, effects } = data.sentences[sentence.value], told = [];
    let marked = 0;
    rows.replaceChildren(...Object.entries(effects).map(([name, values]) => {
      const { shares } = compute({ effects: values }), best = shares.findIndex((s) => Math.abs(s) === 1);
      if (best >= 0) told.push(`${name}: "${words[best]}" (${values[best] < 0 ? "" : "+"}${fixed(values[best], 2)})`);
      return make("div", {}, make("strong", {}, name), make("p", { style: "line-height: 2.3; margin: 0.2em 0 0.8em" }, ...words.map((word, i) => {
        const on = Math.abs(shares[i]) >= least.value && values[i] !== 0, plus = values[i] > 0;
        marked += on;
        return make("span", { title: `${plus ? "+" : ""}${fixed(values[i], 2)}`,
          style: `display: inline-block; line-height: 1.3; margin-right: 0.45em; border-bottom: ${on ? 1 + Math.round(5 * Math.abs(shares[i])) : 0}px ${plus ? "solid" : "dashed"} ${plus ? "var(--c0)" : "var(--c1)"}` },
          word, ...(on ? [make("sup", {}, plus ? "+" : "\u2212")] : []));
      })));
    }));
    status.textContent = `A solid line and + speak for positive, a dashed line and \u2212 for negative. ${marked} words are marked. The strongest word of ${told.join(", of ")}.`;
  }
  draw();
  return { nodes: [make("div", { class: "controls" }, ...(data.sentences.length > 1 ? [sentence.box] : []), least.box), rows, status], compute };
});
