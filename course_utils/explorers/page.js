// What the explorers share. Texts enter the page as text nodes only, so nothing that is shown can be markup.
const make = (name, attributes = {}, ...children) => {
  const [, svg, tag] = /^(svg:)?(.*)$/.exec(name);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) node.setAttribute(key, value);
  node.append(...children);
  return node;
};
const minus = (text) => text.replace(/^-(?=[\d.])/, "\u2212").replace(/^\u2212(0(\.0*)?)$/, "$1");
const fixed = (x, decimals = 2) => (Number.isFinite(x) ? minus(x.toFixed(decimals)) : "\u221e");
const number = (x, digits = 3) => (Number.isFinite(x) ? minus(String(Number(x.toPrecision(digits)))) : "\u221e");
const range = (n) => Array.from({ length: n }, (_, i) => i);
const nice = (x) => { const d = 10 ** Math.floor(Math.log10(x || 1)); return [1, 2, 4, 6, 8, 10].find((k) => k * d >= x) * d; }; // the end of an axis
const keep = { "data-lm-suppress-shortcuts": "true" }; // JupyterLab would take arrows and letters for itself

// What may be wider than the page: the keyboard can scroll it too.
const scroll = (label, ...children) => make("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": label, ...keep }, ...children);
function control(label, input, read) {
  return make("div", { class: "control" }, make("label", {}, make("span", {}, label), input), ...(read ? [read] : []));
}
// A native slider. `from` turns its position into the value, `to` back; `show` writes the value for eye and ear.
function slider(label, { min, max, step, value, show = number, from = (x) => x, to = (x) => x }, changed) {
  const input = make("input", { type: "range", min, max, step, ...keep }), read = make("span", { class: "read", "aria-hidden": "true" });
  const tell = () => input.setAttribute("aria-valuetext", (read.textContent = show(from(Number(input.value)))));
  const self = { box: control(label, input, read), input, get value() { return from(Number(input.value)); },
    set value(x) { input.value = to(x); tell(); } };
  self.value = value;
  input.addEventListener("input", () => { tell(); changed(self); });
  return self;
}
function choice(label, options, changed) {
  const select = make("select", keep, ...options.map((text, i) => make("option", { value: i }, text)));
  select.addEventListener("change", () => changed());
  return { box: control(label, select), select, get value() { return Number(select.value); }, set value(i) { select.value = i; } };
}
function tick(label, checked, changed) {
  const input = make("input", { type: "checkbox", ...keep });
  input.checked = checked;
  input.addEventListener("change", () => changed());
  return { box: control(label, input), input, get value() { return input.checked; } };
}
function button(text, pressed) {
  const node = make("button", { type: "button", ...keep }, text);
  node.addEventListener("click", pressed);
  return node;
}
function table(head, rows) { // the first cell of a row names it
  const row = (cells, top) => make("tr", {}, ...cells.map((text, i) =>
    make(top || !i ? "th" : "td", top ? { scope: "col" } : i ? {} : { scope: "row" }, text)));
  return make("table", {}, make("thead", {}, row(head, true)), make("tbody", {}, ...rows.map((cells) => row(cells))));
}
// Tells the values under the pointer, from a press on `node` until it is released, wherever it goes.
function drag(node, picture, moved) {
  node.addEventListener("pointerdown", (down) => {
    const stop = new AbortController(), box = picture.svg.getBoundingClientRect(); // the picture may be drawn anew meanwhile
    const tell = (event) => event.pointerId === down.pointerId && moved(picture.at(event, box));
    down.preventDefault();
    addEventListener("pointermove", tell, { signal: stop.signal });
    for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => stop.abort(), { signal: stop.signal });
    tell(down);
  });
}
// A picture with two axes. `x` and `y` are [low, high]; X and Y turn values into positions; add() puts marks into it.
function plot({ x, y, xlabel, ylabel, title, size = [400, 280], log = false, xticks = 5, yticks = 5 }) {
  const [width, height] = size, [left, right, top, bottom] = [56, 12, 26, 40], h = (v) => (log ? Math.log10(v) : v);
  const X = (v) => left + ((v - x[0]) / (x[1] - x[0])) * (width - left - right);
  const Y = (v) => height - bottom - ((h(v) - h(y[0])) / (h(y[1]) - h(y[0]))) * (height - top - bottom);
  const svg = make("svg:svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });
  const add = (tag, attributes, ...text) => svg.appendChild(make(`svg:${tag}`, attributes, ...text));
  const inner = make("svg:svg", { x: left, y: top, width: width - left - right, height: height - top - bottom, overflow: "hidden",
    viewBox: `${left} ${top} ${width - left - right} ${height - top - bottom}` }); // what leaves the axes is cut off
  const line = (points, attributes) => inner.appendChild(make("svg:polyline", { class: "curve", ...attributes,
    points: points.map(([a, b]) => `${X(a).toFixed(2)},${Y(b).toFixed(2)}`).join(" ") }));
  const ticks = (low, high, n) => range(n + 1).map((i) => low + ((high - low) * i) / n);
  for (const v of ticks(...x, xticks)) add("text", { x: X(v), y: height - bottom + 16, "text-anchor": "middle" }, number(v));
  for (const v of ticks(h(y[0]), h(y[1]), yticks)) {
    const value = log ? 10 ** v : v;
    add("line", { class: "grid", x1: left, x2: width - right, y1: Y(value), y2: Y(value) });
    add("text", { x: left - 6, y: Y(value) + 4, "text-anchor": "end" }, log ? value.toExponential(0).replace("+", "") : number(value, 2));
  }
  add("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, xlabel);
  add("text", { x: 12, y: (top + height - bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${(top + height - bottom) / 2})` }, ylabel);
  add("text", { x: left, y: 14, class: "title" }, title);
  svg.append(inner);
  const at = (event, box) => { // the values under a pointer, in a picture that fills `box`
    const px = ((event.clientX - box.left) / box.width) * width;
    const py = ((event.clientY - box.top) / box.height) * height;
    return [x[0] + ((px - left) / (width - left - right)) * (x[1] - x[0]),
      y[0] + ((height - bottom - py) / (height - top - bottom)) * (y[1] - y[0])];
  };
  return { svg, inner, X, Y, add, line, at };
}
// Makes every picture of this explorer alive that is not yet: `build(root)` returns { nodes, ... } to stand in its place.
function start(name, build) {
  for (const root of document.querySelectorAll(`.course-explorer[data-explorer="${name}"]:not([data-alive])`)) {
    root.dataset.alive = "";
    const dim = () => root.toggleAttribute("data-dark", /\d+/g[Symbol.match](getComputedStyle(root).color).slice(0, 3).every((c) => c > 127));
    dim();
    const explorer = build(root);
    root.querySelector("img").remove();
    root.prepend(...explorer.nodes);
    root.explorer = explorer;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", dim);
    for (const node of [document.documentElement, document.body]) new MutationObserver(dim).observe(node, { attributes: true }); // another theme
    root.addEventListener("input", dim);
  }
}
