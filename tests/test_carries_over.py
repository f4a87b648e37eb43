"""Does notebook 06 carry over? A script of its calls alone fine-tunes another checkpoint on the table of notebook 13."""

import ast
import builtins
import re
from pathlib import Path

import pytest
import torch

from course_utils import pretrained
from course_utils.device import quiet_loading

SCRIPTS = Path(__file__).parents[1] / "notebooks" / "py"
# What a reader of 06 would write for a checkpoint in a folder, texts with labels, and the names of their classes.
SCRIPT = """\
import datasets
import torch
from torch.utils.data import DataLoader
from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding
from transformers import get_linear_schedule_with_warmup, pipeline

tokenizer = AutoTokenizer.from_pretrained(checkpoint)
torch.manual_seed(0)
model = AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=len(names))
model.base_model.embeddings.requires_grad_(False)


def tokenize(rows):
    return tokenizer(rows["text"], truncation=True, max_length=48)


table = datasets.Dataset.from_dict({"text": texts, "label": labels})
rows = table.map(tokenize, batched=True, remove_columns=["text"]).shuffle(seed=0)
train, test = rows.select(range(0, num_train)), rows.select(range(num_train, len(rows)))
collator = DataCollatorWithPadding(tokenizer)
loader = DataLoader(train, batch_size=32, shuffle=True, collate_fn=collator)
optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
num_steps = num_epochs * len(loader)
schedule = get_linear_schedule_with_warmup(optimizer, int(0.1 * num_steps), num_steps)
losses = []
model.train()
for _ in range(num_epochs):
    for batch in loader:
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
model.eval()
with torch.no_grad():
    answers = [model(**batch).logits.argmax(dim=1) for batch in DataLoader(test, batch_size=64, collate_fn=collator)]
model.config.id2label = dict(enumerate(names))
model.save_pretrained(folder)
tokenizer.save_pretrained(folder)
classify = pipeline("text-classification", model=folder, device="cpu")
said = classify(texts[:3], truncation=True)
"""


def cells(number: str, *, before: str = "\n\0") -> str:
    """Return the code of a notebook's lesson, up to a heading."""
    (script,) = SCRIPTS.glob(f"{number}_*.py")
    code = []
    for cell in re.split(r"(?m)^# %%", script.read_text(encoding="utf-8").partition(before)[0])[1:]:
        head, _, source = cell.partition("\n")
        if not re.search(r"markdown|nbval-skip|\"(exercise|check|solution)\"", head):
            code.append(source)
    return "\n".join(code)


def calls(code: str) -> set[tuple[str, str]]:
    """Return the name of every call with the name of each of its keywords, and with "" for the call itself."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            found |= {(name, keyword.arg or "**") for keyword in node.keywords} | {(name, "")}
    return {(name, keyword) for name, keyword in found if name and not hasattr(builtins, name)}


def test_the_script_has_40_lines_and_only_calls_that_notebook_06_shows():
    assert len([line for line in SCRIPT.splitlines() if line.strip()]) <= 40
    assert "course_utils" not in SCRIPT
    missing = calls(SCRIPT) - calls(cells("06"))
    assert not missing


def table_of_notebook_13(folder: Path, monkeypatch, profile: str) -> tuple[list[str], list[int], list[str]]:
    """Return texts, labels and class names of the table as 13 makes it, without rows that lack a text or a label."""
    monkeypatch.setenv("COURSE_PROFILE", profile)
    monkeypatch.chdir(folder)
    space: dict = {}
    exec(compile(cells("13", before="\n# Two more faults"), "notebook 13", "exec"), space)
    pairs = [(text.strip(), label.strip().lower()) for text, label in space["rows"]]
    pairs = [(text, label) for text, label in pairs if text and label]
    names = sorted({label for _, label in pairs})
    return [text for text, _ in pairs], [names.index(label) for _, label in pairs], names


def other_checkpoint(folder: Path) -> Path:
    """Write a DistilBERT of two layers with random weights, and the course's tokenizer, to a folder."""
    from transformers import AutoTokenizer, DistilBertConfig, DistilBertModel

    tokenizer = AutoTokenizer.from_pretrained(pretrained.checkpoint_path())
    tokenizer.model_input_names = ["input_ids", "attention_mask"]  # DistilBERT has no segments
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "max_position_embeddings": 64}
    config = DistilBertConfig(vocab_size=len(tokenizer), initializer_range=0.2, **sizes)
    DistilBertModel(config).save_pretrained(folder)
    return folder


def run(folder: Path, checkpoint: Path, monkeypatch, profile: str, **choices) -> dict:
    texts, labels, names = table_of_notebook_13(folder, monkeypatch, profile)
    assert names == ["complaint", "mixed", "praise", "viewer"]
    space = {
        "checkpoint": checkpoint,
        "texts": texts,
        "labels": labels,
        "names": names,
        "folder": str(folder / "mine"),
        **choices,
    }
    with quiet_loading():
        exec(compile(SCRIPT, "script", "exec"), space)
    assert space["model"].num_labels == 4 and {answer["label"] for answer in space["said"]} <= set(names)
    return space


def test_it_fine_tunes_another_architecture_on_the_classes_of_notebook_13(tmp_path, monkeypatch):
    choices = {"num_train": 160, "num_epochs": 12, "learning_rate": 3e-3}
    space = run(tmp_path, other_checkpoint(tmp_path / "distilbert"), monkeypatch, "smoke", **choices)
    assert type(space["model"]).__name__ == "DistilBertForSequenceClassification"
    first, last = (sum(losses) / 5 for losses in (space["losses"][:5], space["losses"][-5:]))
    assert last < 0.7 * first
    assert len(torch.cat(space["answers"])) == len(space["test"]) > 20


@pytest.mark.slow
def test_with_the_checkpoint_of_the_course_it_finds_each_class(tmp_path, monkeypatch):
    choices = {"num_train": 800, "num_epochs": 3, "learning_rate": 2e-4}
    space = run(tmp_path, pretrained.checkpoint_path(), monkeypatch, "workshop", **choices)
    answers, truth = torch.cat(space["answers"]), torch.tensor(space["test"]["label"])
    found = [(answers[truth == label] == label).float().mean().item() for label in (0, 2, 3)]  # no "mixed", of two texts
    assert sum(found) / 3 > 0.5  # the majority class, and guessing: 0.33
