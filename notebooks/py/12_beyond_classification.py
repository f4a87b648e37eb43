# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 12 · Beyond classification
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/fine-tuning-course/fine-tuning-course/blob/v0.2.0/notebooks/12_beyond_classification.ipynb) · [words and terms 术语表](../docs/GLOSSARY.md)
#
# **What you will be able to do:** fine-tune the same encoder for two tasks other than text classification: marking the
# names in a sentence, and answering a question with a span of a text. You will align labels with word pieces, score
# whole names instead of tokens, read a model's wrong answers, and measure how well a model that was trained on labels
# from rules generalises beyond these rules.
#
# **Before you start:** notebook 06 (the seven steps of fine-tuning). **Time:** one hour to read and play; the code takes
# about two minutes.

# %% tags=["nbval-skip"] cellView="form"
# @title Start here: on Colab, Kaggle and Binder this adds the course; it changes no package that is there
import importlib.util
import os
import subprocess
import sys

keep_progress_in_drive = False  # @param {type:"boolean"}
here = importlib.util.find_spec("course_utils") is not None
hosted = "google.colab" in sys.modules or not {"KAGGLE_KERNEL_RUN_TYPE", "BINDER_SERVICE_HOST"}.isdisjoint(os.environ)
if hosted and not here:
    pip = [sys.executable, "-m", "pip"]
    there = subprocess.run([*pip, "list", "--format=freeze"], capture_output=True).stdout
    wheel = "https://github.com/fine-tuning-course/fine-tuning-course/releases/download/v0.2.0/fine_tuning_course-0.2.0-py3-none-any.whl"
    install = [*pip, "install", "--quiet", "--constraint", "/dev/stdin", wheel]
    added = subprocess.run(install, input=there, capture_output=True)
    if added.returncode:
        print(added.stderr.decode(), "Nothing was changed: the course was not found, or does not fit here.", sep="\n")
elif not here:
    print(sys.executable, "does not have the course. Choose the kernel of its .venv, or type: python3 start.py")
if keep_progress_in_drive:
    from course_utils import away

    away.keep_progress_in_drive()

# %%
import re
import string
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
import torch
from accelerate import Accelerator
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import AutoModelForQuestionAnswering, AutoModelForTokenClassification
from transformers import get_linear_schedule_with_warmup, pipeline
from transformers.utils import logging

from course_utils import batching, claims, data, evaluation, files, layers, mentions, plots, pretrained, profiles, training
from course_utils.exercises import checks

plots.use_style()
logging.set_verbosity_error()  # "some weights are newly initialised": they are, we train them
logging.disable_progress_bar()
profile, seed = profiles.get_profile(), profiles.get_seed()
smoke, device = profile.name == "smoke", Accelerator().device
TAGS, WORD, NAME = mentions.TAGS, mentions.WORD, mentions.NAME

# %% [markdown]
# ## 1 A name tagger in ten cells
#
# Which words of a sentence are names of persons? Marking them is called **<abbr title="命名实体识别">named entity
# recognition</abbr>**. The checkpoint and the seven steps are those of notebook 06: load, data, loss, optimiser, train,
# validate, use. So we do not explain much here. First make it work, then take it apart.
#
# Our sentences come from the film reviews. Rules of the kind *"directed by"* + *two capitalised words* have labelled
# them; the appendix shows the rules and their errors. The reviews and their split are those of notebook 02: many blocks of
# neighbouring reviews with gaps, so that no film is in two parts.

# %%
parts = data.load_splits("imdb", train_size=profile.reviews_train or 7_000, test_size=profile.test_size)
weak = mentions.WeakLabels(parts._replace(validation=data.evenly(parts.validation, profile.test_size)))
train_rows, validation_rows = weak.names("train", "seen", 500), weak.names("validation", "seen", 60)
row = train_rows[0]
slashed = [f"{word}/{TAGS[tag]}" for word, tag in zip(row["tokens"], row["ner_tags"], strict=True)]
print(len(train_rows), "sentences, such as", *slashed)

# %% [markdown]
# The format is that of CoNLL-2003, the standard benchmark: a list of words and a list of tags of the same length. The
# tags are **<abbr title="BIO 标注">BIO</abbr>** tags: `B-PER` for the first word of a name, `I-PER` for each further
# word, `O` for everything else. Because every name begins with a B, two adjacent names remain two.
#
# The model reads word pieces. The **first piece** of a word gets its tag. All other positions, including `[CLS]`,
# `[SEP]` and padding, get the label $-100$, which the loss ignores. The tokenizer's `word_ids` tell you the word that
# each piece belongs to:

# %%
tokenizer = pretrained.load_tokenizer()


def encode(row: dict) -> dict[str, torch.Tensor]:
    encoded = tokenizer(row["tokens"], is_split_into_words=True)
    words = encoded.word_ids()  # None for [CLS], then 0, 1, 1, 2 ...
    pairs = zip([None, *words], words, strict=False)
    labels = [-100 if now is None or now == before else row["ner_tags"][now] for before, now in pairs]
    return {name: torch.tensor(values) for name, values in (encoded | {"labels": labels}).items()}


# %%
def collate(rows: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    padding = {name: -100 if name == "labels" else 0 for name in rows[0]}
    return {
        name: pad_sequence([row[name] for row in rows], batch_first=True, padding_value=value)
        for name, value in padding.items()
    }


# %%
examples = [encode(row) for row in train_rows]
batch = {name: tensor.to(device) for name, tensor in collate(examples[:4]).items()}
print({name: tuple(tensor.shape) for name, tensor in batch.items()})

# %% [markdown]
# The head of notebook 06 read only the first state. `AutoModelForTokenClassification` puts a linear layer on *every*
# state. `load` also freezes the embeddings and the lower three of the six layers: with a few hundred sentences they
# would learn little, and a step needs only two thirds of the operations.


# %%
def load(auto_class, **options):
    torch.manual_seed(seed)  # of the new head
    options |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}  # as everywhere in the course
    model = auto_class.from_pretrained(pretrained.checkpoint_path(), **options)
    layers.freeze_below(model, 3)
    return model.to(device)


tagger = load(AutoModelForTokenClassification, num_labels=len(TAGS))
with torch.no_grad():
    output = tagger(**batch)
print("logits", tuple(output.logits.shape))

# %% [markdown]
# The optimiser is AdamW with warm-up and a decreasing learning rate, as in notebook 06. `training.fit` supports only
# one label for each text, so we write the loop once more. It works with any model that returns its own `loss`, and we
# will use it for question answering too.


# %%
def fine_tune(model, examples, validate, *, num_epochs=1 if smoke else 3, learning_rate=3e-4) -> list[float]:
    torch.manual_seed(seed)
    lengths = np.array([len(example["input_ids"]) for example in examples])
    sampler = batching.LengthBucketSampler(lengths, batch_size=16, seed=seed)
    loader = DataLoader(examples, batch_sampler=sampler, collate_fn=collate)
    num_steps, scores = num_epochs * len(sampler), []
    optimizer = training.make_optimizer(model, training.TrainingConfig(learning_rate=learning_rate))
    schedule = get_linear_schedule_with_warmup(optimizer, num_steps // 10, num_steps)
    with tqdm(total=num_steps, desc="training", unit="step") as bar:
        for epoch in range(num_epochs):
            sampler.set_epoch(epoch)
            model.train()
            for batch in loader:
                loss = model(**{name: tensor.to(device) for name, tensor in batch.items()}).loss
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                bar.update()
            scores.append(validate(model.eval()))
    return scores


# %% [markdown]
# We validate with the loss first (section 5 has a better metric). Training takes less than half a minute.


# %% tags=["nbval-ignore-output"]
def validation_loss(model) -> float:
    batches = [{name: tensor.to(device) for name, tensor in collate([encode(row)]).items()} for row in validation_rows]
    with torch.no_grad():
        return float(np.mean([model(**one).loss.item() for one in batches]))


losses = [validation_loss(tagger.eval()), *fine_tune(tagger, examples, validation_loss)]
print("validation loss before training and after each epoch:", *(f"{loss:.3f}" for loss in losses))

# %% [markdown]
# To use the model, we keep the prediction for the first piece of each word. `marked` writes brackets around the names.


# %%
def first_pieces(best: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return best[labels != -100]


@torch.no_grad()
def predict_tags(model, rows: list[dict], read=first_pieces) -> list[list[int]]:
    encoded, answers = [encode(row) for row in rows], {}
    for indices in batching.make_batches(np.array([len(one["input_ids"]) for one in encoded]), batch_size=32):
        batch = {name: tensor.to(device) for name, tensor in collate([encoded[i] for i in indices]).items()}
        labels, best = batch["labels"], model(**batch).logits.argmax(dim=-1)  # (B, T)
        answers |= {i: read(best[k], labels[k]).tolist() for k, i in enumerate(indices)}
    return [answers[i] for i in range(len(rows))]


# %% tags=["nbval-ignore-output"]
def marked(tokens: list[str], tags: list[int]) -> str:
    pieces = zip(tokens, [0, *tags], tags, [*tags[1:], 0], strict=False)
    joined = " ".join("[" * (t == 1 or t > b == 0) + w + "]" * (t > 0 and after != 2) for w, b, t, after in pieces)
    return re.sub(r" (?=[.,!?;:)'-])|(?<=[(-]) |(?<= ') ", "", joined)


def mark(sentence: str) -> str:
    words = WORD.findall(sentence)
    return marked(words, predict_tags(tagger, [{"tokens": words, "ner_tags": [0] * len(words)}])[0])


print(mark("i still think nobody could have played it better than sigourney weaver did for ridley scott"))
print(mark("Last night in Paris, Greta Gerwig showed a film with Adam Driver that nobody had seen."))

# %% [markdown]
# That is the whole tagger. Which names does it mark whole, which in part, and which not at all? Change the sentences:
# where else does it fail? The rest of this notebook explains each step, asks
# how good the model really is, and does the same for a second task.
#
# ## 2 Two tasks, one encoder
#
# BERT turns $T$ tokens into $T$ states, $S \in \mathbb{R}^{T \times D}$: a vector of width $D$ for each token. In
# notebook 06 the head read only the first one. Here it reads all of them ($C$ is the number of classes):
#
# | task | question | head | logits |
# |---|---|---|---|
# | text classification (06) | is this sentence positive? | $C$ rows, on the first state | $C$ |
# | **<abbr title="序列标注">token classification</abbr>** | which words are names of persons? | $C$ rows, on every state | $T \times C$ |
# | **question answering** | "Who directed it?" Where does the answer start and end? | 2 rows, on every state | $T \times 2$ |
#
# Our <abbr title="问答系统">question answering</abbr> is **<abbr title="抽取式">extractive</abbr>**: the answer is copied
# from the text, never generated.
#
# ## 3 From words to pieces
#
# The tags belong to words, but the model reads word pieces. Here is the alignment of one sentence: words above, pieces
# in the middle, labels below.

# %%
words, tags = ["Penelope", "Cruz", "and", "Johnny", "Weissmuller"], [1, 2, 0, 1, 2]
encoded = tokenizer(words, is_split_into_words=True)
pieces, owner = encoded.tokens(), encoded.word_ids()
labels = encode({"tokens": words, "ner_tags": tags})["labels"].tolist()

# %%
fig, ax = plt.subplots(figsize=(10, 2.5))
colours = {-100: "#eeeeee", 0: "white", 1: plots.COLOURS[5], 2: "#b9def5"}
for t, (piece, word, label) in enumerate(zip(pieces, owner, labels, strict=True)):
    box = {"boxstyle": "round", "facecolor": colours[label], "edgecolor": "black"}
    ax.text(t, 1, piece, ha="center", va="center", bbox=box, fontsize=9)
    ax.text(t, 0, str(label), ha="center", va="center", bbox=box, fontsize=9)
    if word is not None:
        mine = [k for k, other in enumerate(owner) if other == word]
        ax.plot([np.mean(mine), t], [1.75, 1.25], "-" if t == mine[0] else ":", color="black", linewidth=1)
        if t == mine[0]:
            ax.text(np.mean(mine), 2, f"{words[word]}\n{TAGS[tags[word]]}", ha="center", va="center", fontsize=9)
ax.set(xlim=(-0.6, len(pieces) - 0.4), ylim=(-0.4, 2.5), xticks=[])
ax.set_yticks([0, 1, 2], ["labels", "pieces", "words and tags"])
ax.grid(False)
ax.set_title("The first piece of a word gets its tag; the others get -100")
plots.show(fig, alt="Three rows: five words with their tags above, their word pieces in the middle, and a label under each piece. A solid line goes from each "
           "word to its first piece, which has the tag; dotted lines go to further pieces, which have the label minus 100.", sharpness=2)  # fmt: skip

# %% [markdown]
# A word becomes one piece or several. Capitals are gone, and accents would be too: this tokenizer is
# **<abbr title="不区分大小写">uncased</abbr>**, so our model never sees a capital letter. Remember this when we compare it
# with a rule that uses little else.
#
# Is our alignment correct? We compute it a second way, by hand, with the **<abbr title="字符偏移">offsets</abbr>** of the
# pieces (where each starts and ends in the sentence):


# %%
def labels_by_hand(row: dict) -> list[int]:
    tag_at = dict(zip([match.start() for match in WORD.finditer(row["text"])], row["ner_tags"], strict=True))
    offsets = tokenizer(row["text"], return_offsets_mapping=True)["offset_mapping"]
    return [tag_at.get(start, -100) if start < end else -100 for start, end in offsets]  # [CLS] is (0, 0)


# %%
assert all(labels_by_hand(row) == one["labels"].tolist() for row, one in zip(train_rows, examples, strict=True))
print(f"by hand = word_ids, in all {len(train_rows)} training sentences")

# %% [markdown]
# **Exercise 12.1 (complete): a label for every piece.** The other common choice gives a label to *every* piece of a
# word. Write `piece_labels(words, tags)`. `words` has the word index of each piece (`None` for `[CLS]`, `[SEP]` and
# padding), and `tags` has one tag for each word (0 for O, 1 for B, 2 for I). Return one label for each piece. Without a
# word it gets $-100$. The first piece of a word gets the tag of the word. Further pieces get the same tag, but I
# instead of B, because a name begins only once. Example: words `[None, 0, 1, 1, 2, None]` with tags `[0, 1, 0]` give
# `[-100, 0, 1, 2, 0, -100]`.


# %% tags=["exercise"]
def piece_labels(words, tags):
    raise NotImplementedError


# %% tags=["check"]
checks.check("12.1", piece_labels)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def piece_labels_solution(words, tags):
    labels = []
    for before, word in zip([None, *words], words, strict=False):
        if word is None:
            labels.append(-100)
        else:
            labels.append(2 if word == before and tags[word] == 1 else tags[word])
    return labels


# %% tags=["check"]
checks.check("12.1", piece_labels_solution, mine=False)  # the same check, on the solution above

# %% [markdown]
# ## 4 The loss: cross-entropy over tokens
#
# The head gives $C$ logits for each token, a matrix $Z \in \mathbb{R}^{T \times C}$, and $y_t$ is the label of token
# $t$. The loss is the mean over the positions that have a label, $M = \{t : y_t \ne -100\}$:
#
# $$L = -\frac{1}{|M|} \sum_{t \in M} \log \frac{e^{Z_{t, y_t}}}{\sum_c e^{Z_{t,c}}}$$
#
# We compute it by hand, with `torch`, and with the model:

# %%
with torch.no_grad():
    output = tagger(**batch)
scored = batch["labels"] != -100  # (B, T)
Z, y = output.logits[scored], batch["labels"][scored]  # (|M|, C), (|M|,)
by_hand = (Z.exp().sum(dim=1).log() - Z.gather(1, y[:, None])[:, 0]).mean()
cross_entropy = torch.nn.functional.cross_entropy  # ignores labels of -100: ignore_index=-100
torch.testing.assert_close(by_hand, cross_entropy(output.logits.flatten(0, 1), batch["labels"].flatten()))
torch.testing.assert_close(by_hand, output.loss)
print("by hand = torch = transformers")

# %% [markdown]
# All three agree. The head was new before training, so the first validation loss in section 1 should be near
# $\log 3 = 1.10$, the loss of random guessing among three classes. Look it up.
#
# ## 5 The metric: whole names
#
# **Do not use the accuracy over words.** To see why, take a model that predicts O for every word of a test part:

# %%
tests = {group: weak.names("test", group, 150) for group in ("seen", "held-out", "no trigger")}
for name, rows in {"training": train_rows, "validation": validation_rows, **tests}.items():
    tags = np.concatenate([row["ner_tags"] for row in rows])
    print(f"{name:11}{len(rows):5} sentences,{np.sum(tags == 1):5} names; accuracy of always O {np.mean(tags == 0):.1%}")

# %% [markdown]
# It looks accurate and finds nothing. The test part has three groups. A **trigger** is a word next to a name that
# identifies it as a person. The training sentences have *seen* triggers only, such as "starring". In the group
# *held-out* all triggers are others, such as "cast of", and in the last group names have no trigger. A model that has
# only learned to look for "starring" will fail there.
#
# So we count whole names. A predicted name is correct if its first and its last
# word are correct. With $TP$ correct names, $P$ predicted names and $G$ names in the labels:
#
# $$\text{precision} = \frac{TP}{P}, \qquad \text{recall} = \frac{TP}{G}, \qquad F_1 = \frac{2\, TP}{P + G}$$
#
# Check it by eye on an example with two names. The prediction finds the first and ends the second too early.


# %%
def entities(tags: list[int]) -> set[tuple[int, int]]:
    """Return each name as (first word, word after the last). An I that follows an O begins a name too."""
    names, start = set(), None
    for k, tag in enumerate([*tags, 0]):
        if tag != 2 and start is not None:
            names.add((start, k))
            start = None
        if tag == 1 or (tag == 2 and start is None):
            start = k
    return names


# %%
def count(predicted: list[int], given: list[int]) -> tuple[int, int, int]:  # TP, P, G
    return len(entities(predicted) & entities(given)), len(entities(predicted)), len(entities(given))


# %%
def scores_of(counts: list[tuple[int, int, int]]) -> tuple[float, float, float]:
    right, predicted, given = np.sum(counts, axis=0)
    return right / max(predicted, 1), right / max(given, 1), 2 * right / max(predicted + given, 1)


# %% [markdown]
# On the example:

# %%
given, predicted = [1, 2, 0, 1, 2, 2], [1, 2, 0, 1, 2, 0]
precision, recall, f1 = scores_of([count(predicted, given)])
print(f"accuracy {np.mean(np.equal(predicted, given)):.3f}, precision {precision}, recall {recall}, F1 {f1}")

# %% [markdown]
# Five of six words are correct, but only one of two names.


# %%
def count_all(predictions: list[list[int]], rows: list[dict]) -> list[tuple[int, int, int]]:
    return [count(predicted, row["ner_tags"]) for predicted, row in zip(predictions, rows, strict=True)]


# %% [markdown]
# **Exercise 12.2 (debug): two adjacent names.** `names_of` takes the tags of a sentence (0 for O, 1 for B, 2 for I). It
# should return the names in order, each as (first word, word after the last). Each name here begins with a B. The
# function works for most sentences. Find out when it fails, and fix it.


# %% tags=["exercise"]
def names_of(tags):
    names, start = [], None
    for k, tag in enumerate([*tags, 0]):
        if tag == 0 and start is not None:
            names.append((start, k))
            start = None
        if tag == 1 and start is None:
            start = k
    return names


# %% tags=["check"]
checks.check("12.2", names_of)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def names_of_solution(tags):
    names, start = [], None
    for k, tag in enumerate([*tags, 0]):
        if tag != 2 and start is not None:  # an O or the B of the next name ends this one
            names.append((start, k))
            start = None
        if tag == 1:
            start = k
    return names


# %% tags=["check"]
checks.check("12.2", names_of_solution, mine=False)  # the same check, on the solution above

# %% [markdown]
# ## 6 Test, against fair baselines
#
# Our baseline needs no training: **the shape** marks every sequence of capitalised words that `NAME` matches. (The
# labels were selected among these matches, so its recall is perfect by construction. Only its precision is
# informative.) A third method, **shape and model**, combines the two: it keeps a match if the model tags at least one
# word of it.


# %%
def by_shape(row: dict, predicted: list[int] | None = None) -> list[int]:
    shape = mentions.tags_of(row["text"], [match.span() for match in NAME.finditer(row["text"])])
    if predicted is not None:
        agreed = {k for i, j in entities(shape) if any(predicted[i:j]) for k in range(i, j)}
        shape = [tag if k in agreed else 0 for k, tag in enumerate(shape)]
    return shape


# %% [markdown]
# For an interval of $F_1$ we need the counts, not a mean over sentences. We resample whole blocks, add up their $TP$,
# $P$ and $G$, and compute $F_1$ from the sums:


# %%
def f1_interval(counts: list[tuple[int, int, int]], rows: list[dict]) -> evaluation.Interval:
    names, where = np.unique([row["block"] for row in rows], return_inverse=True)
    sums = np.zeros((len(names), 3))
    np.add.at(sums, where, np.array(counts))
    drawn = np.random.default_rng(0).integers(len(names), size=(2_000, len(names)))
    right, predicted, given = sums[drawn].sum(axis=1).T
    f1 = 2 * right / np.maximum(predicted + given, 1)
    return evaluation.Interval(scores_of(counts)[2], *np.quantile(f1, [0.025, 0.975]))


# %%
tagged_by_model = {group: predict_tags(tagger, rows) for group, rows in tests.items()}
counts = {}
for group, rows in tests.items():
    answers = {"shape": [by_shape(row) for row in rows], "fine-tuned encoder": tagged_by_model[group]}
    answers["shape and model"] = [by_shape(*both) for both in zip(rows, tagged_by_model[group], strict=True)]
    counts[group] = {name: count_all(predictions, rows) for name, predictions in answers.items()}

# %% tags=["nbval-ignore-output"]
print(f"{'':20}precision  recall  F1 (95 % interval)")
for group, rows in tests.items():
    print(f"--- {group}")
    for name, counted in counts[group].items():
        precision, recall, _ = scores_of(counted)
        print(f"{name:20}{precision:9.3f}{recall:8.3f}  {f1_interval(counted, rows)}")

# %% [markdown]
# As a picture, and in words:

# %%
fig, axes = plt.subplots(1, 2, figsize=(9.5, 2.8), sharey=True, sharex=True)
for ax, group in zip(axes, ("seen", "held-out"), strict=True):
    found = {name: f1_interval(counted, tests[group]) for name, counted in counts[group].items()}
    plots.bars_with_intervals(ax, found, unit="F1")
    ax.set_title(f"{group}: best is {max(found, key=lambda name: found[name].estimate)}")
plots.show(fig, alt="F1 with 95 percent intervals of three ways to mark names, left on sentences with seen triggers, right on those with "
           "held-out triggers, where the encoder alone is lowest and has the widest interval.")  # fmt: skip

# %%
if not smoke:
    assert all(scores_of(counted["shape"])[1] == 1 for counted in counts.values())
for group in ("seen", "held-out"):
    print(claims.check_claim(f"12 F1 of names, {group} triggers", scores_of(counts[group]["fine-tuned encoder"])[2]))
    others = claims.stored_values(f"12 F1 of names, {group} triggers")
    print(f"    the recorded seeds, which differ by chance alone: {', '.join(f'{value:.2f}' for value in others)}")

# %% tags=["nbval-ignore-output"]
for group, counted in counts.items():
    shape, model = (f1_interval(counted[name], tests[group]) for name in ("shape", "fine-tuned encoder"))
    overlap = "overlap" if max(shape.low, model.low) <= min(shape.high, model.high) else "do not overlap"
    first = "shape" if shape.estimate > model.estimate else "model"
    found = scores_of(counted["fine-tuned encoder"])[1]
    print(f"{group:11} higher F1: the {first} (the intervals {overlap}); the model finds {found:.0%} of the names")

# %% [markdown]
# The model has learned more than to look for "starring": it finds many names in sentences with triggers that it has never
# seen, and in sentences without a trigger. But compare it with **the shape alone**. The rule sees capitals; the encoder
# does not. (The labels favour the shape. Still, for ordinary text with capitals you should try the rule first.)
#
# The combination is better than the model alone: the shape finds where a name ends, and the model decides which matches
# are persons. Its precision is higher than that of the shape. But it also misses names, which the shape cannot do on
# these labels. That costs it most where the triggers are new: compare the two titles of the picture.
#
# ### When the capitals are gone
#
# Search queries, chats and the output of speech recognition have no capitals. What happens to the two methods then?

# %%
for row in tests["held-out"]:
    small = row | {"tokens": [token.lower() for token in row["tokens"]]}
    assert torch.equal(encode(small)["input_ids"], encode(row)["input_ids"])
marks = sum(len(NAME.findall(row["text"].lower())) for row in tests["held-out"])
print(f"in lower case: same input for the model, so the same names; the shape marks {marks}")

# %% [markdown]
# The shape finds nothing any more. The model reads exactly the same pieces as before. This is one reason to train a
# model on the output of a rule: it does not need the features that the rule needs. If your text has capitals, use a
# **<abbr title="区分大小写">cased</abbr>** checkpoint, such as `bert-base-cased`, which distinguishes upper and lower case.
#
# ## 7 Classic bug: tags and words out of step
#
# The predictions are a list and the words are a list, so why not simply zip them? Because after the first word that is
# split into pieces, every tag is shifted. Nothing crashes. Here are the same predictions of the same model, read
# without the alignment (we only skip `[CLS]`):


# %%
def side_by_side(best: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return best[1 : 1 + (labels != -100).sum()]


# %%
rows, damage = tests["held-out"], {}
readings = {"first pieces": tagged_by_model["held-out"], "side by side": predict_tags(tagger, rows, side_by_side)}
for name, tags in readings.items():
    accuracy = np.mean(np.concatenate(tags) == np.concatenate([row["ner_tags"] for row in rows]))
    damage[name] = (accuracy, scores_of(count_all(tags, rows))[2])

# %% tags=["nbval-ignore-output"]
for name, (accuracy, f1) in damage.items():
    print(f"{name}: accuracy over words {accuracy:.3f}, F1 of names {f1:.3f}")

# %% [markdown]
# The $F_1$ of names has collapsed. The accuracy over words still looks good, but always predicting O does as well. You
# find this bug as in section 3: compute the alignment in two ways, and compare.

# %%
if not smoke:
    assert damage["first pieces"][1] - damage["side by side"][1] > 0.1
print("without the alignment, more than 10 points of F1 are lost" if not smoke else "not measured here")

# %% [markdown]
# ## 8 The other task: answering questions
#
# ### Data
#
# The triggers answer questions too: *directed by* **X** answers "Who directed it?", and *Stefan (* **X** *)* answers
# "Who plays Stefan?". The rows get the format of SQuAD, the data set that made the task popular: a question, a context,
# and the answer with its position. We only use sentences with at least two names, because with one there would be no
# choice.

# %%
asked = weak.questions("train", seen=True)
about_film = [row for row in asked if "plays" not in row["question"]]
train_questions = about_film + mentions.spread([row for row in asked if "plays" in row["question"]], 350)
validation_questions = mentions.spread(weak.questions("validation", seen=True), 40)
groups = {"seen": True, "held-out": False}
test_questions = {group: weak.questions("test", seen=seen) for group, seen in groups.items()}
print(f"{len(train_questions)} questions to train on, {len(about_film)} of them about the film")
for group, rows in test_questions.items():
    print(f"{group}: {len(rows)}, such as {rows[0]['question']}\n   {rows[0]['context']}")

# %% [markdown]
# The held-out test is hard in a special way. If the question is about a character, all seen triggers put the actor
# **after** the character, *Stefan (* **X** *)*, and the held-out ones **before** it, **X** *as Stefan*.
#
# ### From positions in a text to pieces
#
# The model reads question and context together: `[CLS]` question `[SEP]` context `[SEP]`. A second list,
# `token_type_ids`, is 0 for the question and 1 for the context. The answer becomes two numbers, the positions of its
# first and last piece. We find them first with the tokenizer's own function, then by hand with the offsets:


# %%
def encode_question(row: dict) -> dict[str, torch.Tensor]:
    encoded = tokenizer(row["question"], row["context"])
    start = row["answers"]["answer_start"][0]
    last = start + len(row["answers"]["text"][0]) - 1
    first, last = (encoded.char_to_token(place, sequence_index=1) for place in (start, last))
    places = {"start_positions": [first], "end_positions": [last]}
    return {name: torch.tensor(values) for name, values in (encoded | places).items()}


# %%
def places_by_hand(row: dict) -> list[int]:
    encoded = tokenizer(row["question"], row["context"], return_offsets_mapping=True)
    start = row["answers"]["answer_start"][0]
    end = start + len(row["answers"]["text"][0])
    pieces = enumerate(zip(encoded["token_type_ids"], encoded["offset_mapping"], strict=True))
    inside = [t for t, (kind, (a, b)) in pieces if kind == 1 and start <= a < b <= end]
    return [inside[0], inside[-1]]


# %%
question_examples = [encode_question(row) for row in train_questions]
for row, one in zip(train_questions, question_examples, strict=True):
    assert places_by_hand(row) == [one["start_positions"].item(), one["end_positions"].item()]
print(f"by hand = tokenizer, for {len(question_examples)} questions")

# %% [markdown]
# ### Loss
#
# The model makes two choices among $T$ positions: where the answer starts and where it ends. So it gives two logits for
# each position, the start logits $u \in \mathbb{R}^T$ and the end logits $v \in \mathbb{R}^T$. If $a$ and $b$ are the
# first and the last piece of the answer, the loss is the mean of two cross-entropies:
#
# $$L = \frac{1}{2} \left( -\log \frac{e^{u_a}}{\sum_t e^{u_t}} - \log \frac{e^{v_b}}{\sum_t e^{v_t}} \right)$$

# %%
answerer = load(AutoModelForQuestionAnswering)
question_batch = {name: tensor.to(device) for name, tensor in collate(question_examples[:4]).items()}
output = answerer(**question_batch)
start_loss = cross_entropy(output.start_logits, question_batch["start_positions"].flatten())
end_loss = cross_entropy(output.end_logits, question_batch["end_positions"].flatten())
torch.testing.assert_close((start_loss + end_loss) / 2, output.loss)
print("start logits", tuple(output.start_logits.shape), " by hand = transformers")

# %% [markdown]
# ### The best span
#
# The most likely start and the most likely end need not fit together: the end may be before the start, or in the
# question. So we search for the valid **pair** with the largest sum $u_a + v_b$: $a \le b$, both in the context, at
# most twelve pieces long. First with two loops, then with all pairs at once:


# %%
def span_in_loops(u: np.ndarray, v: np.ndarray, first: int, last: int, longest: int = 12) -> tuple[int, int]:
    best, span = -np.inf, (first, first)
    for a in range(first, last + 1):
        for b in range(a, min(a + longest, last + 1)):
            if u[a] + v[b] > best:
                best, span = u[a] + v[b], (a, b)
    return span


# %%
def best_span(u: np.ndarray, v: np.ndarray, first: int, last: int, longest: int = 12) -> tuple[int, int]:
    a, b = np.indices((len(u), len(v)))
    allowed = (first <= a) & (a <= b) & (b <= last) & (b - a < longest)
    return divmod(int(np.where(allowed, u[:, None] + v[None, :], -np.inf).argmax()), len(v))


# %%
draws = np.random.default_rng(0).normal(size=(100, 2, 30))
assert all(best_span(*draw, 8, 27) == span_in_loops(*draw, 8, 27) for draw in draws)
print("all pairs at once = two loops, on 100 draws")

# %% [markdown]
# The answer is the text of that <abbr title="片段">span</abbr>:


# %%
@torch.no_grad()
def answer(question: str, context: str) -> str:
    encoded = tokenizer(question, context, return_tensors="pt", return_offsets_mapping=True)
    offsets = encoded.pop("offset_mapping")[0].tolist()
    output = answerer(**encoded.to(device))
    first, last = np.flatnonzero(encoded["token_type_ids"][0].cpu())[[0, -2]]  # the last piece of all is [SEP]
    a, b = best_span(output.start_logits[0].cpu().numpy(), output.end_logits[0].cpu().numpy(), first, last)
    return context[offsets[a][0] : offsets[b][1]]


# %% [markdown]
# ### Scores
#
# **<abbr title="完全匹配">Exact match</abbr>** checks whether the answer equals the labelled one after normalising case,
# punctuation and articles. **Token <abbr title="F1 值">F1</abbr>** gives partial credit: it is the $F_1$ of the words
# that the two answers share. Both are the metrics of SQuAD.


# %%
def level(answer: str) -> list[str]:
    letters = "".join(char for char in answer.lower() if char not in string.punctuation)
    return [word for word in letters.split() if word not in ("a", "an", "the")]


# %%
def token_f1(predicted: str, given: str) -> float:
    ours, theirs = Counter(level(predicted)), Counter(level(given))
    return 2 * (ours & theirs).total() / max(ours.total() + theirs.total(), 1)


# %%
print("F1 of 'director Ron Howard' for 'Ron Howard':", token_f1("director Ron Howard", "Ron Howard"))

# %% [markdown]
# For many answers:


# %%
def exact(answers: list[str], rows: list[dict]) -> np.ndarray:
    return np.array([level(ours) == level(row["answers"]["text"][0]) for ours, row in zip(answers, rows, strict=True)])


# %%
def answers_to(rows: list[dict]) -> list[str]:
    return [answer(row["question"], row["context"]) for row in rows]


# %% [markdown]
# ### Train
#
# We use the loop of section 1, one epoch longer and with a higher learning rate, because there are fewer examples. It
# takes less than a minute.

# %% tags=["nbval-ignore-output"]
exact_match = lambda model: exact(answers_to(validation_questions), validation_questions).mean()  # noqa: E731
validation_exact = fine_tune(answerer, question_examples, exact_match, num_epochs=1 if smoke else 4, learning_rate=5e-4)
print("validation exact match after each epoch:", *(f"{score:.3f}" for score in validation_exact))

# %% [markdown]
# ### Test, against fair baselines
#
# We compare with two rules again: the **first name** in the context, and the name **nearest** to the key word of the
# question, which is the character, or "direct", or "writ".


# %%
def nearest_name(row: dict) -> str:
    key = {"Who directed it?": "direct", "Who wrote it?": "writ"}.get(row["question"], row["question"][10:-1])
    at = re.search(key, row["context"], re.IGNORECASE)
    names = [name for name in NAME.finditer(row["context"]) if key not in name[0]] or [NAME.search(row["context"])]
    return min(names, key=lambda name: max(name.start() - at.end(), at.start() - name.end()))[0]


# %%
replies, right = {}, {}
for group, rows in test_questions.items():
    replies[group] = {"first name": [NAME.search(row["context"])[0] for row in rows]}
    replies[group] |= {"nearest name": [nearest_name(row) for row in rows], "fine-tuned encoder": answers_to(rows)}
    right[group] = {name: exact(answers, rows) for name, answers in replies[group].items()}

# %% tags=["nbval-ignore-output"]
exact_scores = {}
for group, rows in test_questions.items():
    print(f"--- {group}              exact match (95 % interval)  token F1")
    for name, answers in replies[group].items():
        exact_scores[f"{group}: {name}"] = evaluation.block_interval(right[group][name], [row["block"] for row in rows])
        f1 = np.mean([token_f1(ours, row["answers"]["text"][0]) for ours, row in zip(answers, rows, strict=True)])
        print(f"{name:20} {exact_scores[f'{group}: {name}']!s:28} {f1:.3f}")

# %% [markdown]
# As a picture:

# %%
fig, ax = plt.subplots(figsize=(7.5, 3))
plots.bars_with_intervals(ax, exact_scores, unit="exact match")
ax.set_title("The encoder answers best on the triggers of its training data")
plots.show(fig, alt="Exact match with 95 percent intervals of two rules and the fine-tuned encoder, on questions from seen and from held-out "
           "triggers; the encoder is much lower on held-out ones.")  # fmt: skip
answered = {group: scores["fine-tuned encoder"].mean() for group, scores in right.items()}
print(claims.check_claim("12 exact match lost where triggers are new", answered["seen"] - answered["held-out"]))

# %% tags=["nbval-ignore-output"]
for group, scores in right.items():
    for rule in ("first name", "nearest name"):
        blocks = [row["block"] for row in test_questions[group]]
        gap = evaluation.difference_interval(scores["fine-tuned encoder"], scores[rule], blocks)
        print(f"{group:8}: encoder minus {rule:12} {gap.points} points: {gap.verdict_within(0.02)}")

# %% [markdown]
# If we had tested on the seen triggers only, we would have been satisfied. With new triggers the encoder is far worse,
# and the rule **nearest name** loses much less. A large part of what the encoder learned is the structure of the seen
# sentences.
#
# ### Read the wrong answers
#
# A score does not tell you what goes wrong; the answers do. Here are the first wrong ones on the held-out triggers, with
# what is wrong about each:


# %%
def what_is_wrong(row: dict, reply: str) -> str:
    truth, names = row["answers"]["text"][0], [name[0] for name in NAME.finditer(row["context"])]
    if token_f1(reply, truth) > 0:
        return "a span too short or too long"
    if any(token_f1(reply, name) > 0.6 for name in names):
        behind = row["context"].find(reply) > row["answers"]["answer_start"][0]
        return "another name, after the right one" if behind else "another name, before the right one"
    return "not a name that the rules know"


# %% tags=["nbval-ignore-output"]
rows, ours = test_questions["held-out"], replies["held-out"]["fine-tuned encoder"]
wrong = [(row, reply) for row, reply, ok in zip(rows, ours, right["held-out"]["fine-tuned encoder"], strict=True) if not ok]
for row, reply in wrong[:5]:
    print(f"{row['question']} {row['context']}")
    print(f"   answer: {reply} | correct: {row['answers']['text'][0]} | {what_is_wrong(row, reply)}")
print(dict(Counter(what_is_wrong(row, reply) for row, reply in wrong)))

# %% [markdown]
# (The rules are those of the appendix. They can be wrong too: then the answer that counts as correct is not.) An answer that
# is too short or too long has found the right person: here token F1 gives partial credit and exact match does not.
# Another name *after* the right one can be the error of a **<abbr title="捷径">shortcut</abbr>**: in training the answer to
# "Who plays ...?" was always after the character, so the model may have learned a *position* instead of a relation. The
# last line counts the answers of each kind. If a name *before* the right one is as frequent as one after
# it, this shortcut is not the whole story.
#
# ### "Who plays Jim Lovell?"
#
# Let us look inside one wrong answer, with the start and end logits of each piece:

# %%
example = "Directed by Ron Howard and with Tom Hanks as Jim Lovell."
asked = ("Who directed it?", "Who plays Jim Lovell?")
fig, axes = plt.subplots(len(asked), 1, figsize=(9, 5), sharey=True)
for ax, question in zip(axes, asked, strict=True):
    encoded = tokenizer(question, example, return_tensors="pt").to(device)
    with torch.no_grad():
        output = answerer(**encoded)
    u, v = output.start_logits[0].cpu().numpy(), output.end_logits[0].cpu().numpy()
    first, last = np.flatnonzero(encoded["token_type_ids"][0].cpu())[[0, -2]]
    a, b = best_span(u, v, first, last)
    shown = np.arange(first, last + 1)
    ax.plot(shown, u[shown], plots.MARKERS[0] + "-", color=plots.COLOURS[0], label="start logit")
    ax.plot(shown, v[shown], plots.MARKERS[1] + "--", color=plots.COLOURS[1], label="end logit")
    ax.axvspan(a - 0.5, b + 0.5, color=plots.COLOURS[5], alpha=0.3, label="answer")
    ax.set_xticks(shown, tokenizer.convert_ids_to_tokens(encoded["input_ids"][0][shown]), rotation=45)
    ax.set(title=question, ylabel="logit")
axes[-1].set_xlabel("pieces of the sentence")
axes[0].legend(loc="center left", bbox_to_anchor=(1, 0.5))
plots.show(fig, alt="Start and end logits over the pieces of one sentence for two questions, with the chosen span shaded. For the director both curves "
           "peak at one name; for the actor of Jim Lovell the peaks are less clear.")  # fmt: skip

# %% tags=["nbval-ignore-output"]
for question, truth in zip((*asked, "Who wrote the music?"), ("Ron Howard", "Tom Hanks", ""), strict=True):
    reply = answer(question, example)
    print(f"{question:24}{reply}:", "correct" if reply == truth else f"wrong, {truth or 'the sentence does not say'}")

# %% [markdown]
# In this sentence the actor comes *before* the character, "Tom Hanks as Jim Lovell", which the model has never seen in
# training. Compare the start logits of the two questions at *tom* and *ron*. And the sentence does not say who wrote the music.
# The model still chooses a span, because it was never trained on questions without an answer. SQuAD 2.0 adds such
# questions; their span is `[CLS]`.
#
# More sentences of the same kind would not teach the relation. Other kinds can, and a checkpoint that was already
# fine-tuned on SQuAD can help too.

# %% [markdown]
# **Exercise 12.3 (complete): an answer, or none.** Write `span_or_none(start, end)`. It takes the start logits and the
# end logits of $T$ pieces, two lists of numbers; position 0 is `[CLS]`. Find the pair `(a, b)` with $1 \le a \le b$ and
# the largest sum `start[a] + end[b]`. Return it, or `(0, 0)` if the sum of the two logits at `[CLS]` is larger (on a
# tie, both answers are accepted). Example: `start=[0, 3, 1, 0]` and `end=[0, 0, 2, 1]` give `(1, 2)`, with the sum 5.


# %% tags=["exercise"]
def span_or_none(start, end):
    raise NotImplementedError


# %% tags=["check"]
checks.check("12.3", span_or_none)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def span_or_none_solution(start, end):
    best, span = start[0] + end[0], (0, 0)
    for a in range(1, len(start)):
        for b in range(a, len(start)):
            if start[a] + end[b] > best:
                best, span = start[a] + end[b], (a, b)
    return span


# %% tags=["check"]
checks.check("12.3", span_or_none_solution, mine=False)  # the same check, on the solution above

# %% [markdown]
# ## 9 Save it, and use other data
#
# You save the tagger like any other model, and `transformers` has a pipeline for it. Does the pipeline mark the same
# names as our code?

# %%
tagger.config.id2label = dict(enumerate(TAGS))
folder = str(files.kernel_folder("12_names"))
tagger.save_pretrained(folder)
tokenizer.save_pretrained(folder)
saved = pipeline("token-classification", folder, aggregation_strategy="first", device="cpu")
for row, tags in zip(tests["held-out"][:8], tagged_by_model["held-out"], strict=False):
    places = [match.span() for match in WORD.finditer(row["text"])]
    ours = sorted((places[i][0], places[j - 1][1]) for i, j in entities(tags))
    assert ours == [(name["start"], name["end"]) for name in saved(row["text"])], row["text"]
print("the saved model marks the same names")

# %% [markdown]
# ### The same code on the data sets of the hub
#
# Our rows have the formats of two famous data sets, labelled by people instead of rules: CoNLL-2003 (news; its tags 1
# and 2 are persons) and SQuAD (Wikipedia). If you are online, these lines give you rows that you can pass to `encode`
# and `encode_question` unchanged. Nothing in this course needs them.
#
# ```python
# import datasets
# news = datasets.load_dataset("eriktks/conll2003", split="train[:500]", revision="refs/convert/parquet")
# train_rows = [row | {"ner_tags": [tag if tag < 3 else 0 for tag in row["ner_tags"]]} for row in news]
#
# revision = "7b6d24c440a36b6815f21b70d25016731768db1f"
# train_questions = list(datasets.load_dataset("rajpurkar/squad", split="train[:500]", revision=revision))
# ```
#
# Paragraphs of Wikipedia can be longer than the maximum length of a model. Then the tokenizer can split the context
# into overlapping chunks (`truncation="only_second"`, `stride`, `return_overflowing_tokens`).
#
# ## Appendix: labels from rules
#
# Marking names by hand is slow. **<abbr title="弱监督">Weak supervision</abbr>** is faster: you write rules that label the
# text, train on these labels, and check a sample by hand. You get thousands of labels cheaply, and most of them are
# correct. This works for reviews, because they often say who somebody is:
#
# > *directed by* **Anthony Mann** · *starring* **Bill Murray** · Stefan (**Jens Hultén**) · **Danny Glover** *plays* George Knox
#
# The rules are in `course_utils/mentions.py`. The first is the shape of a full name: two to four capitalised words. Every
# word but the last may be an initial, and one in the middle may be "de" or "van". The first must not be a word that often
# begins a sentence.

# %%
for trial in ("directed by Anthony Mann.", "Cecil B. DeMille's epic", "The Blob", "As Hagar, Ellen Burstyn"):
    print(f"{trial:26} {NAME.findall(trial)}")

# %% [markdown]
# "The Blob" and "As Hagar" are not matched, because they begin with such a word. Then come the triggers:

# %%
print("seen:", mentions.SEEN)
print("held-out:", mentions.HELD_BEFORE, mentions.HELD_AFTER)
for start, end, trigger in mentions.find_mentions(example):
    print(f"{example[start:end]:12} trigger: {trigger!r}")

# %% [markdown]
# "Directed by" comes before one name and "as" after another. Jim Lovell has no trigger. A title (*Pulp Fiction*) or a city
# (*Hong Kong*) has the shape of a name too. We accept it as the **name of a person**, real or fictional, if it occurs
# next to a trigger *somewhere* in the reviews, or if it begins with a first name. To count as a first name, a word must
# begin at least three of the names next to triggers.

# %%
print(f"{len(weak.known):,} names next to a trigger, {len(weak.first_names)} first names")
row = weak.tagged({"text": example, "mentions": mentions.find_mentions(example)})
print(" ".join(f"{token}/{TAGS[tag]}" for token, tag in zip(row["tokens"], row["ner_tags"], strict=True)))

# %% [markdown]
# Jim Lovell is tagged too, because a known name needs no trigger in its own sentence. We use sentences of up to 40 words,
# and leave out those with control characters (from wrong encodings), because we would count them as words and the
# tokenizer ignores them.
#
# ### Check the labels by hand
#
# To find out how good the weak labels are, read a sample. Here are twenty test sentences, ten of each group without
# seen triggers. Brackets show what the rules marked. Do you agree?

# %%
sample = mentions.spread(tests["held-out"], 20) + mentions.spread(tests["no trigger"], 20)
print(*(marked(row["tokens"], row["ner_tags"]) for row in sample[::2]), sep="\n")

# %% [markdown]
# The line below also gives the errors that a reader found in these twenty sentences: marked names that are not persons,
# and full names of persons that are not marked.

# %%
no_person, missed = {"Rancid Aluminium"}, {"Boris Zaroff"}  # a film that was marked, a person who was not
said = [" ".join(row["tokens"][i:j]) for row in sample[::2] for i, j in entities(row["ner_tags"])]
print(f"{len(said)} names in {len(sample[::2])} sentences: {len(no_person)} is no person, {len(missed)} person was missed")

# %% [markdown]
# This is good for weak labels, though it is only one reader and twenty sentences. The wrong name is a film title. A
# rule makes such an error again and again, and a model that is trained on its labels will learn it too.
#
# ## Quiz
#
# Three questions on the whole notebook. Nothing is sent anywhere.

# %% tags=["check"]
checks.quiz("12")

# %% [markdown]
# ## Summary
#
# * A new task needs a new head, a loss and a metric. The encoder, the optimiser and the loop stay the same.
# * Labels belong to words, but models read pieces. The first piece gets the label, all others get $-100$. Compute the
#   alignment in two ways and compare.
# * Choose a metric that measures what you want: whole names, whole answers. The accuracy over words is high even for a
#   model that finds nothing.
# * An answer is a pair of positions. Search for the best valid pair.
# * Try a rule first, and read the wrong answers before you read the score.
# * Rules give you many labels cheaply. Check a sample by hand, and test on sentences that *other* rules found: there you
#   see whether the model generalises.
#
# **To think about.** Our models were trained on the output of rules, and on new triggers they are worse than rules. If
# you already have a rule, when is it worth training a model on its output? And if you could add sixty questions
# to the training part, which would you choose, so that the encoder loses less on the held-out triggers of section 8?
#
# **Next:** [notebook 13](13_your_own_data.ipynb) goes through all steps with a table of your own.
