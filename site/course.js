// A term's meaning appears on touch, click or focus; Escape or a touch elsewhere closes it.
const bubble = Object.assign(document.createElement("div"), { id: "term", hidden: true });
bubble.setAttribute("role", "status");
document.body.append(bubble);

function show(term) {
  bubble.textContent = term.dataset.meaning;
  bubble.hidden = false;
  const box = term.getBoundingClientRect();
  const left = Math.min(box.left, document.documentElement.clientWidth - bubble.offsetWidth - 8);
  bubble.style.left = `${Math.max(8, left) + window.scrollX}px`;
  bubble.style.top = `${box.bottom + window.scrollY + 4}px`;
}

for (const term of document.querySelectorAll("abbr[title]")) {
  term.dataset.meaning = term.title;
  term.removeAttribute("title");
  term.tabIndex = 0;
  term.setAttribute("role", "button");
  term.addEventListener("focus", () => show(term));
  term.addEventListener("click", () => show(term));
  term.addEventListener("mouseenter", () => show(term));
  term.addEventListener("blur", () => { bubble.hidden = true; });
  term.addEventListener("mouseleave", () => { bubble.hidden = true; });
}
document.addEventListener("keydown", (event) => { if (event.key === "Escape") bubble.hidden = true; });
document.addEventListener("click", (event) => { if (!event.target.closest("abbr")) bubble.hidden = true; });

// What is seen on a button is also its name; what scrolls can be reached with the keyboard.
for (const named of document.querySelectorAll("summary[aria-label], .search-button-field")) named.removeAttribute("aria-label");
function reachable() {
  for (const part of document.querySelectorAll("mjx-container[display], table, pre")) {
    if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
  }
}
addEventListener("load", () => setTimeout(reachable, 500));
addEventListener("resize", reachable);

// The full stop after a formula stays on its line.
for (const formula of document.querySelectorAll("span.math")) {
  const next = formula.nextSibling;
  const mark = next?.nodeType === Node.TEXT_NODE && next.data.match(/^[.,;:?!)]+/);
  if (!mark) continue;
  next.data = next.data.slice(mark[0].length);
  const whole = Object.assign(document.createElement("span"), { className: "whole" });
  formula.replaceWith(whole);
  whole.append(formula, mark[0]);
}
