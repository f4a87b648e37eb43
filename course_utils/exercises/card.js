// An answer that is opened is spoken, and passed on to the kernel where one listens; everything else works without this.
for (const card of document.querySelectorAll(".course-card:not([data-alive])")) {
  card.dataset.alive = "";
  const heard = card.querySelector("[role=status]");
  for (const answer of card.querySelectorAll("details.answer")) answer.addEventListener("toggle", () => {
    if (!answer.open) return;
    heard.textContent = answer.querySelector("p").textContent;
    const listener = (card.closest(".jp-OutputArea, .output") ?? document).querySelector("input[placeholder=course-answer]");
    if (!listener) return;
    listener.value = `${answer.dataset.answers} ${Date.now()}`;
    for (const kind of ["input", "change"]) listener.dispatchEvent(new Event(kind, { bubbles: true }));
  });
}
