// Tokeniser and batch: texts to tokens, tokens to ids, ids to padded batches with their mask.
const VOCABULARIES = [data.words, data.pieces].map((text) => new Map(text.split("\n").map((token, id) => [token, id])));
function basicEnglish(text) { // torchtext's rules, as in course_utils/text.py
  const clean = text.toLowerCase().replaceAll('"', "").replace(/<br \/>|[;:]/g, " ").replace(/([.,()!?'])/g, " $1 ");
  return clean.split(/\s+/).filter(Boolean);
}
function wordPiece(text) { // BERT's: words and marks, then the longest known piece from the left
  const known = VOCABULARIES[1], plain = text.replace(/[\u0000\ufffd]|(?![\t\n\r])\p{C}/gu, "").toLowerCase().normalize("NFD").replace(/\p{Mn}/gu, "");
  const words = plain.replace(/[\p{P}$+<=>^`|~]|[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]/gu, " $& ").split(/\s+/).filter(Boolean);
  return ["[CLS]", ...words.flatMap((word) => {
    const letters = [...word], pieces = [];
    for (let start = 0, end; start < letters.length; start = end) {
      const piece = () => (start ? "##" : "") + letters.slice(start, end).join("");
      for (end = letters.length; end > start && !known.has(piece()); end--);
      if (end === start || letters.length > 100) return ["[UNK]"];
      pieces.push(piece());
    }
    return pieces;
  }), "[SEP]"];
}
function batches(lengths, size, bucketed) {
  const order = range(lengths.length);
  if (bucketed) order.sort((a, b) => lengths[a] - lengths[b]);
  const made = range(Math.ceil(order.length / size)).map((i) => order.slice(i * size, (i + 1) * size));
  const positions = made.reduce((sum, batch) => sum + batch.length * Math.max(...batch.map((i) => lengths[i])), 0);
  return { batches: made, padding: 1 - lengths.reduce((a, b) => a + b, 0) / positions };
}
function compute({ texts, tokeniser, size, bucketed }) {
  const known = VOCABULARIES[tokeniser], tokens = texts.map([basicEnglish, wordPiece][tokeniser]);
  const ids = tokens.map((row) => row.map((token) => known.get(token) ?? known.get(["<unk>", "[UNK]"][tokeniser])));
  return { tokens, ids, ...batches(tokens.map((row) => row.length), size, bucketed) };
}

start("batch", () => {
  const status = make("p", { role: "status" }), grids = make("div"), picture = make("div", { class: "panes" });
  const text = make("textarea", { rows: 5, style: "display: block; width: 100%; box-sizing: border-box; margin-bottom: 0.5em", ...keep });
  text.value = data.texts.join("\n");
  text.addEventListener("input", draw);
  const tokeniser = choice("tokeniser", ["words", "WordPiece"], draw), view = choice("show", ["tokens", "ids", "mask"], draw);
  const size = slider("batch size", { min: 1, max: 8, step: 1, value: 4 }, draw), bucketed = tick("bucketing", false, draw);
  function draw() {
    const texts = text.value.split("\n").filter((line) => line.trim()).slice(0, 16);
    if (!texts.length) { status.textContent = "Type a text in each line."; grids.replaceChildren(); return; }
    const asked = { texts, tokeniser: tokeniser.value, size: size.value, bucketed: bucketed.value }, found = compute(asked);
    const unknown = ["<unk>", "[UNK]"][asked.tokeniser], lost = found.tokens.map((row, i) => row.filter((t, j) => t === unknown || found.ids[i][j] === VOCABULARIES[asked.tokeniser].get(unknown)).length);
    const shapes = [];
    grids.replaceChildren(...found.batches.map((batch, number) => {
      const T = Math.max(...batch.map((i) => found.tokens[i].length));
      shapes.push(`(${batch.length}, ${T})`);
      return scroll(`batch ${number + 1}`, make("table", { class: "batch" },
        make("caption", {}, `batch ${number + 1}, shape (${batch.length}, ${T})`), make("tbody", {}, ...batch.map((i) => make("tr", {},
          make("th", { scope: "row" }, `text ${i + 1}`), ...range(T).map((j) => {
            const pad = j >= found.tokens[i].length, id = pad ? 0 : found.ids[i][j], known = id !== VOCABULARIES[asked.tokeniser].get(unknown);
            const token = pad ? ["<pad>", "[PAD]"][asked.tokeniser] : found.tokens[i][j];
            return make("td", { class: pad ? "pad" : known ? "token" : "unknown", title: pad ? "padding" : `${token}, id ${id}${known ? "" : ", unknown"}` },
              [known ? token : `${token} \u2192 ${unknown}`, String(id), pad ? "0" : "1"][view.value]);
          }))))));
    }));
    const real = [false, true].map((b) => batches(data.lengths, 16, b));
    picture.replaceChildren(...real.map((made, b) => rectangle(made, `${b ? "Bucketing" : "As they come"}: ${fixed(100 * made.padding, 0)} % is padding`)));
    const sum = lost.reduce((a, b) => a + b, 0);
    status.textContent = `${texts.length} texts, ${shapes.length} batch${shapes.length > 1 ? "es" : ""} of shape ${shapes.join(", ")}: `
      + `${fixed(100 * found.padding, 0)} % of the positions are padding. ${sum || "No"} token${sum === 1 ? " is" : "s are"} unknown.`;
  }
  const rectangle = ({ batches: made }, title) => { // each line is a text, its padding behind it
    const svg = make("svg:svg", { viewBox: "0 0 400 190", role: "img", "aria-label": title }), longest = Math.max(...data.lengths);
    const add = (tag, attributes, ...words) => svg.append(make(`svg:${tag}`, attributes, ...words)), h = 160 / data.lengths.length;
    add("text", { x: 0, y: 14, class: "title" }, title);
    let y = 24;
    for (const batch of made) {
      const width = (390 * Math.max(...batch.map((i) => data.lengths[i]))) / longest;
      add("rect", { x: 0, y, width, height: h * batch.length - 1, fill: "var(--faint)" });
      for (const i of batch) { add("rect", { x: 0, y, width: (390 * data.lengths[i]) / longest, height: h * 0.8, fill: "var(--c0)" }); y += h; }
    }
    return make("div", { class: "pane" }, svg);
  };
  draw();
  const caption = make("p", {}, `The tokens of ${data.lengths.length} real reviews, 16 in a batch, and their padding:`);
  return { nodes: [make("label", {}, make("span", {}, "your texts, one in a line"), text),
    make("div", { class: "controls" }, tokeniser.box, view.box, size.box, bucketed.box), status, grids, caption, picture], compute };
});
