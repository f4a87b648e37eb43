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
# # 13 · Your own data
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/fine-tuning-course/fine-tuning-course/blob/v0.2.0/notebooks/13_your_own_data.ipynb) · [words and terms 术语表](../docs/GLOSSARY.md)
#
# **What you will be able to do:** take a raw table, find and count its faults, split it without leakage, fine-tune a
# model on it, evaluate the model honestly, and hand it over in a folder with a model card that says how good it is.
#
# **Before you start:** notebooks 02 (splits, baselines) and 06 (fine-tuning).
# **Time:** 50 minutes to read and play; the code takes about a minute.

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
import copy
import csv
import io
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict

import matplotlib.pyplot as plt
import numpy as np
import torch
from accelerate import Accelerator
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, f1_score, recall_score

from course_utils import batching, claims, cost, data, evaluation, explorers, files, layers, plots, prediction, pretrained
from course_utils import profiles, text, training
from course_utils.device import autocast, choose_precision
from course_utils.exercises import checks
from course_utils.finetune import intake, predict, report
from course_utils.finetune.run import Run, save_run

# %%
plots.use_style()
profile, seed = profiles.get_profile(), profiles.get_seed()
smoke, device = profile.name == "smoke", Accelerator().device
folder = files.kernel_folder("13")  # outputs/13, without what an earlier run has left

# %% [markdown]
# ## 1 A table as it arrives
#
# Real tables come from spreadsheets, web forms and colleagues. This notebook makes one, so that you know what to
# expect. Imagine a film site that sorts single sentences into three classes. `praise` and `complaint` are what critics
# wrote, and `viewer` is what viewers wrote, whether they liked the film or not.
#
# Critics' sentences come from Rotten Tomatoes, where everything is in lower case and punctuation has spaces around it.
# Viewers' reviews come from IMDB, where it is not so. If we left them as they are, a single capital letter would reveal
# the class, and the model would learn to look for capitals. So we take one sentence of each review and write it as
# Rotten Tomatoes does:


# %%
def viewer_sentence(review):
    """Return one sentence of a review, of 8 to 30 words and marks, written as the critics' are; "" if there is none."""
    parts = re.split(r"<br />|(?<=[.!?]) +", review.lower())
    spaced = [re.sub(r"(--+|[^\w\s'-])", r" \1 ", part).split() for part in parts]
    fits = [words for words in spaced if 8 <= len(words) <= 30 and words[-1] in ".!?"]
    return " ".join(fits[len(fits) // 2]) if fits else ""


# %%
rng, size = np.random.default_rng(0), 160 if smoke else 1_000
pool = {"complaint": [], "praise": [], "viewer": []}  # of each class (text, block); neighbours in the source share a block
for source, kinds in {"rotten_tomatoes": ("complaint", "praise"), "imdb": ("viewer", "viewer")}.items():
    for number, part in enumerate(data.load_splits(source)):
        for string, label, block in zip(part.texts, part.labels, part.blocks, strict=True):
            pool[kinds[label]].append((string, (number, block)))
for sentences in pool.values():
    rng.shuffle(sentences)
viewers = ((viewer_sentence(review), block) for review, block in pool["viewer"][: 2 * size])
pool["viewer"] = [(string, block) for string, block in viewers if string]
for name, sentences in pool.items():
    print(f"{name:9} | {sentences[0][0]}")

# %% [markdown]
# Half of our rows are praise and only one in five is a complaint, because real tables are often imbalanced. Then we add
# typical faults and count them, so that we can check whether we find them all.

# %%
shares = {"praise": 0.5, "complaint": 0.2, "viewer": 0.3}
rows = [(string, name) for name, share in shares.items() for string, _ in pool[name][: round(share * size)]]
planted = {
    "missing text": [("", "praise"), ("   ", "complaint"), ("", "viewer")],
    "missing label": [(string, " ") for string, _ in pool["praise"][-4:]],
    "conflicting labels": [(rows[i][0].upper(), "complaint") for i in range(5)],  # they are praise
    "repeated texts": [(rows[i][0].replace(" ", "  "), rows[i][1]) for i in range(20, 50)],
    "class too small": [("so-so , i suppose", "mixed"), ("neither good nor bad", "mixed")],
}
rows += [row for added in planted.values() for row in added]
for i in range(60, 72):
    rows[i] = (rows[i][0], "Praise " if i % 2 else "PRAISE")

# %% [markdown]
# Two more faults are in the file itself. In three lines somebody typed a comma without quotation marks. And the file
# begins with a **byte order mark**, which Excel writes before the first letter when it saves "CSV UTF-8".

# %%
buffer = io.StringIO(newline="")
csv.writer(buffer).writerows(rows[i] for i in rng.permutation(len(rows)))
ragged = "dull, dull, dull,complaint\r\nfunny, and wise,praise\r\nwell, no,complaint\r\n"
path = folder / "reviews.csv"
lines = "review,kind\r\n" + buffer.getvalue() + ragged
path.write_text(lines, encoding="utf-8-sig", newline="")
print(path.name, f"{path.stat().st_size:,} bytes, beginning with", path.read_bytes()[:20])

# %% [markdown]
# The bytes `\xef\xbb\xbf` are the mark. A program that does not expect them reads a first column called `\ufeffreview`.
# Then it reports that there is no column `review`, although the name looks correct on every screen. There is a second
# problem with encodings: the file may use a different one. Here are the same four letters, written in one encoding and
# read in another:

# %%
word = "café"
print("cp1252 read as UTF-8: ", word.encode("cp1252").decode("utf-8", errors="replace"))
print("UTF-8 read as cp1252: ", word.encode("utf-8").decode("cp1252"))

# %% [markdown]
# The first line would raise an error, but we told Python to replace what it cannot read. The second raises no error at
# all: you get wrong letters. If you see `Ã©` or `�` in your texts, the encoding was wrong.
#
# ## 2 Look before you train: counting by hand
#
# You can find most faults with a `Counter` and a rule that says when two texts are **the same**. Ours says: they are
# equal after normalising case and spaces.


# %%
def level(string: str) -> str:
    return " ".join(string.casefold().split())


with path.open(encoding="utf-8-sig", newline="") as file:
    header, *cells = csv.reader(file)
whole = [row for row in cells if len(row) == len(header)]
labels_of, by_hand = defaultdict(set), Counter({"ragged row": len(cells) - len(whole)})
for review, kind in whole:
    by_hand["missing text"] += not review.strip()
    by_hand["missing label"] += bool(review.strip()) and not kind.strip()
    if review.strip() and kind.strip():
        labels_of[level(review)].add(level(kind))
clash = {key for key, labels in labels_of.items() if len(labels) > 1}
by_hand["conflicting labels"] = sum(level(review) in clash for review, _ in whole)
print(dict(by_hand))

# %% [markdown]
# Five sentences have two labels, in ten rows. Which label is correct? The table cannot tell you, so we use neither.
#
# The package does more: `intake.read_table` looks for these faults and for others. It **drops nothing silently**. If a
# row cannot be used, it is set aside with its line number and the reason; all other faults are reported.

# %%
table = intake.read_table(path, text_column="review", label_column="kind")
found = {fault.kind: fault.number for fault in table.faults}
assert {kind: found[kind] for kind in by_hand} == dict(by_hand)
assert all(found[kind] >= len(added) for kind, added in planted.items())
print(table.report())

# %% [markdown]
# Our counts and those of the package agree, and every fault that we added is found. The class `mixed` is gone, because
# two texts are too few for a training, a validation and a test part. With such a class in your own table you have to
# decide: collect more texts, or drop it.
#
# Here is one row for each reason. `table.set_aside` contains all of them, so that you can fix the file and read it
# again:

# %%
set_aside = table.set_aside.assign(text=table.set_aside["text"].str[:42])
print(set_aside.groupby("reason").head(1).to_string(index=False))

# %% [markdown]
# ## 3 What the rest contains
#
# Before we train a model, we ask two questions. What is the accuracy of always predicting the majority class? And how
# many texts are truncated if we keep $T$ word pieces of each?

# %%
reviews, max_length = table.reviews, profile.sentences_max_length
tokenizer = pretrained.load_tokenizer()
lengths = text.encode_wordpieces(reviews, tokenizer, max_length=512).lengths
fig, axes = plt.subplots(1, 2, figsize=(8.5, 2.8))
axes[0].barh(reviews.class_names, np.bincount(reviews.labels), color=plots.COLOURS[0])
axes[0].set(xlabel="usable rows", title="Half of the rows are praise")
axes[1].hist(lengths, bins=range(0, lengths.max() + 3, 3), color=plots.COLOURS[0])
axes[1].axvline(max_length, color="black", linestyle=":")
axes[1].set(xlabel="word pieces in a text (T)", ylabel="texts", title="Few texts are truncated")
plots.show(fig, alt="Left: bars of usable rows, about 200 complaints, 500 praise and 300 of viewers. Right: histogram of word pieces in a text, mostly "
           "between 10 and 50, with a dotted line at the limit where longer texts are truncated.")  # fmt: skip

# %%
(cut,) = intake.truncated_texts(reviews, tokenizer, max_length=max_length)
assert cut.number == (lengths > max_length).sum()
share = np.bincount(reviews.labels).max() / len(reviews)
print(f"always 'praise' is correct in {share:.1%} of the rows")
print(f"{cut.number} of {len(reviews):,} texts {cut.sentence}")

# %% [markdown]
# Few texts are truncated, so the limit is no problem here. The class imbalance on the left is one: a model with an
# accuracy of 0.50 may have learned nothing. For such data look at **macro F1** as well. For each class count the texts
# that were found ($TP$), those that were missed ($FN$), and those of other classes that were taken for it ($FP$). Then
# $F_1 = 2\,TP / (2\,TP + FP + FN)$, and macro F1 is the mean over classes, so the small class counts as much as the
# large one.

# %% [markdown]
# **Exercise 13.1 (complete): macro F1 by hand.** Write `my_macro_f1(counts)`. `counts` is an array of integers
# $(C, C)$: the row is the true class and the column the predicted one. Return macro F1, a number. For example, if you
# always predict the second class for 20 texts of the first class, 50 of the second and 30 of the third, you get
# `counts = [[0, 20, 0], [0, 50, 0], [0, 30, 0]]` and a macro F1 of $\tfrac13 (0 + \tfrac{100}{150} + 0) = 0.22$.


# %% tags=["exercise"]
def my_macro_f1(counts):
    raise NotImplementedError


# %% tags=["check"]
checks.check("13.1", my_macro_f1)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def my_macro_f1_solution(counts):
    f1 = 2 * counts.diagonal() / (counts.sum(axis=0) + counts.sum(axis=1))  # (C,)
    return f1.mean()


# %% tags=["check"]
checks.check("13.1", my_macro_f1_solution, mine=False)  # the same check, on the solution above


# %% [markdown]
# ## 4 Split, with copies on one side
#
# The three parts must have the same class distribution; such a split is called **stratified**. And they must not
# overlap: a sentence and its copies belong in the same part. To split by hand, normalise the texts, shuffle the
# *different* texts of each class, and split this list at 70 and 85 %. `split_table` is the package's way:

# %%
keys = np.array([level(review) for review in reviews.texts])
part_by_hand = np.zeros(len(reviews), dtype=int)  # 0 train, 1 validation, 2 test
for label in range(len(reviews.class_names)):
    different = rng.permutation(np.unique(keys[reviews.labels == label]))
    cuts = (np.array([0.7, 0.85]) * len(different)).astype(int)
    for number, chosen_keys in enumerate(np.split(different, cuts)):
        part_by_hand[np.isin(keys, chosen_keys)] = number


# %%
def class_shares(labels):
    return np.bincount(labels, minlength=len(reviews.class_names)) / len(labels)  # (C,)


def by_class(values):
    return ", ".join(f"{name} {value:.0%}" for name, value in zip(reviews.class_names, values, strict=True))


# %%
splits = intake.split_table(reviews, seed=seed)
for number, (name, dealt) in enumerate(splits._asdict().items()):
    for way, labels in {"by hand": reviews.labels[part_by_hand == number], "split_table": dealt.labels}.items():
        print(f"{name:10} {way:11} {len(labels):4}: {by_class(class_shares(labels))}")
sides = [{level(review) for review in part.texts} for part in splits]
assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
assert all(np.allclose(class_shares(part.labels), class_shares(reviews.labels), atol=0.03) for part in splits)
print("no text is in two parts of split_table, and the classes have the same shares")

# %% [markdown]
# `split_table` never divides a **block**. A block contains the copies of a text, also **near-copies** that differ only in
# numbers, addresses or punctuation, or, if you give a `group_column`, all texts of one film, customer or author. Ask what your rows have in common *before* you split: notebook 02 showed what
# happens if you ignore the films.
#
# ## 5 Fine-tune
#
# We take the seven steps of notebook 06. The embeddings and the two lowest layers stay frozen: with a few hundred
# sentences they would learn little, and a step is faster. Training takes less than a minute.

# %%
model = pretrained.load_classifier(num_classes=len(reviews.class_names), seed=seed).to(device)
frozen = layers.freeze_below(model, 2)
encoded = [text.encode_wordpieces(part, tokenizer, max_length=max_length) for part in splits]
untrained = prediction.evaluate(model, encoded[1])
config = training.TrainingConfig(num_epochs=1 if smoke else 4, learning_rate=2e-4, patience=2, seed=seed)
print(f"frozen {frozen:,} of {layers.count_parameters(model).total:,} parameters")

# %% [markdown]
# ### How many minutes will it take?
#
# Nearly all of the time is spent in matrix products, and you can count their operations before you start. In the
# forward pass a matrix with $P$ entries costs $2P$ operations per token: a product and a sum for each entry. In the
# backward pass it costs $4P$: half for the gradient of its inputs, half for the gradient of its weights. From here on
# $P$ counts the entries of the matrices of all $L$ layers together, and $D$ is the width of a layer. If all layers are
# trained, a step over $B$ texts of $T$ tokens takes about
#
# $$F = B\,T\,\big(6\,P + 12\,L\,D\,T\big) \;\text{operations}, \qquad \text{seconds} = \frac{F}{R} .$$
#
# The second term is attention. $R$ is the number of operations per second that this machine reaches in training steps.
# `cost.step_rate` measures it: it times three steps of 32 texts of 32 tokens. First we count $F$ by hand and with the
# package:

# %%
whole = pretrained.load_classifier(seed=seed).to(device)
layers.freeze_below(whole, 0)  # the embeddings stay frozen
matrices = [m.weight for m in whole.bert.encoder.modules() if isinstance(m, torch.nn.Linear)]
B, T, L, D = 8, 32, whole.config.num_hidden_layers, whole.config.hidden_size
P = sum(matrix.numel() for matrix in matrices)
operations = B * T * (6 * P + 12 * L * D * T)
packaged_count = cost.count_flops(whole, np.full(B, T), [np.arange(B)], trains=True)
assert np.isclose(operations, packaged_count)
print(f"P = {P:,}: a step over {B} x {T} tokens takes {operations / 1e9:.1f} billion operations")

# %% [markdown]
# Does the formula predict the time? We vary the tokens, the texts and the layers, and time the forward and the backward
# pass.


# %%
def step_seconds(net, B, T):
    input_ids = torch.full((B, T), 2_000, device=device)
    labels, mask = torch.zeros(B, dtype=torch.long, device=device), torch.ones_like(input_ids)

    def step():
        with autocast(device):
            loss = net(input_ids=input_ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        net.zero_grad()
        return loss.item()  # waits for a GPU to be done

    return cost.median_seconds(step, repeats=3)


# %% tags=["nbval-ignore-output"]
rate = cost.step_rate(whole)
for B, T, L in ((8, 16, 6), (8, 64, 6), (8, 128, 6), (32, 32, 6), (32, 32, 2)):
    net = copy.deepcopy(whole)
    layers.keep_layers(net, list(range(L)))
    guess = cost.count_flops(net, np.full(B, T), [np.arange(B)], trains=True) / rate
    seconds = step_seconds(net, B, T)
    print(f"B {B:2}, T {T:3}, L {L}: predicted {guess:.3f} s, measured {seconds:.3f} s: {seconds / guess:.1f} times as long")
del whole, net
print(f"{rate / 1e9:.0f} billion operations a second in a training step,")
print(f"{cost.gemm_rate() / 1e9:.0f} billion in one product of two large matrices")

# %% [markdown]
# By the formula, twice the texts or twice the layers take twice the time, and twice the tokens a little more than that,
# because of the attention term. The smallest step, in the first line, takes longer than predicted: starting a product
# takes time too, whatever its size.
#
# A training step reaches fewer operations per second than one large product (see the printed rates). Its
# products are smaller, and there are GELU, norms and sums between them. The faster a processor multiplies, the larger
# their share of a step. Now the prediction for our run, with two frozen layers:

# %% tags=["nbval-ignore-output"]
batches = batching.make_batches(encoded[0].lengths, batch_size=config.batch_size)
run_count = config.num_epochs * cost.count_flops(model, encoded[0].lengths, batches, trains=True)
predicted = run_count / rate
print(f"predicted for {config.num_epochs} epochs: {predicted:.0f} s, without validation")

# %% tags=["nbval-ignore-output"]
history = training.fit(model, encoded[0], encoded[1], config, on_step=explorers.TrainingPanel())
best = max(record.validation_accuracy for record in history.records)
print(f"validation accuracy: untrained {untrained.accuracy:.3f}, best epoch {best:.3f}")
print(f"predicted {predicted:.0f} s, took {history.seconds:.0f} s with validation: {history.seconds / predicted:.1f} times")

# %% [markdown]
# The prediction counts only matrix products, at the rate of the steps that we timed. Validation, drawing the curves and
# all other work come on top, and so does whatever else this computer is doing. So use the count to see beforehand
# whether to expect seconds, minutes or hours, and how the time grows with the number of texts and their length. For a
# better estimate, watch the panel while the model trains.
#
# ## 6 Evaluate it beside baselines, with intervals
#
# `report.judge` evaluates three models on the test part. The first always predicts the majority class. The second is
# TF-IDF with logistic regression, trained on the same training part; its regularisation and the weights of its classes are
# chosen on the validation part. The third is ours. The intervals come from resampling blocks with replacement
# (bootstrap). For macro F1 we do this by hand:


# %%
def f1_draws(part, *predicted, draws=300):
    """Return macro F1 of each model on resampled blocks, float (models, draws); all models get the same texts."""
    rng, members = np.random.default_rng(0), [np.flatnonzero(part.blocks == block) for block in np.unique(part.blocks)]
    drawn = [np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))]) for _ in range(draws)]
    return np.array([[f1_score(part.labels[rows], one[rows], average="macro") for rows in drawn] for one in predicted])


# %%
run = Run(table, splits, model, tokenizer, "embedded", max_length, config, history)
judgement = report.judge(run)
test, predictions = splits.test, judgement.predictions[report.TUNED]
low, high = np.quantile(f1_draws(test, predictions), [0.025, 0.975])

packaged = judgement.macro_f1[report.TUNED]
assert np.isclose(packaged.estimate, f1_score(test.labels, predictions, average="macro"))
assert abs(packaged.low - low) < 0.04 and abs(packaged.high - high) < 0.04
print("macro F1 and its interval: by hand = packaged, up to random resampling")

# %% tags=["nbval-ignore-output"]
print(judgement.report())

# %% [markdown]
# The last line is the verdict that goes into the model card. It follows from the intervals of the *gains*, and these
# compare two models on the same texts. The intervals of two accuracies may overlap although the gain is clear.
#
# ### A baseline that knows what we know
#
# The package gives the linear model the choice of class weights. What is this worth? A linear model that is trained on
# few complaints can be accurate and still miss most of them. Weights help: with `class_weight="balanced"` an error on a
# text of a rare class costs more (exercise 13.4). We train both variants, with and without weights, and choose $C$ by
# macro F1 on the validation part.

# %%
vectoriser = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(splits.train.texts)
x = data.Splits(*(vectoriser.transform(part.texts) for part in splits))
linear_models = {}
for name, weights in {"word counts": None, "word counts, balanced": "balanced"}.items():
    untrained_ones = [LogisticRegression(C=C, class_weight=weights, max_iter=1000) for C in (1, 4, 16)]
    tried = [one.fit(x.train, splits.train.labels) for one in untrained_ones]
    scored = [f1_score(splits.validation.labels, one.predict(x.validation), average="macro") for one in tried]
    linear_models[name] = tried[int(np.argmax(scored))]

# %% [markdown]
# ### How small a gain could we see?
#
# Before you compare, work out what you could see at all. Suppose two models disagree on a share $d$ of $n$ test texts.
# Then a 95 % interval excludes zero in four of five experiments if the true gain is at least about $2.8 \sqrt{d / n}$:
# this is the **<abbr title="最小可检测差异">minimal detectable difference</abbr>**. We take $d$ from the validation
# part.

# %% tags=["nbval-ignore-output"]
ours = prediction.evaluate(model, encoded[1]).predictions
disagreement = np.mean(ours != linear_models["word counts, balanced"].predict(x.validation))
visible = evaluation.detectable_difference(disagreement, len(test))
print(f"they disagree on {disagreement:.0%}; with {len(test)} test texts you can see {100 * visible:.0f} points or more")
print(f"to see 3 points you need {disagreement * (2.8 / 0.03) ** 2:,.0f} texts")

# %% [markdown]
# In practice you would stop here, or label more texts. We are lucky: our file is a sample of a larger set. So we
# can compare on thousands of **fresh** sentences, with about the same class shares as in the table.

# %%
fresh_size, picked = 200 if smoke else 3_000, []
for label, name in enumerate(reviews.class_names):
    taken = round(shares[name] * size)  # they are in the table
    picked += [(string, label, block) for string, block in pool[name][taken : taken + round(shares[name] * fresh_size)]]
fresh_texts, fresh_labels, blocks = zip(*picked, strict=True)
assert not {level(string) for string in fresh_texts} & {level(string) for string in reviews.texts}
blocks = np.unique(blocks, axis=0, return_inverse=True)[1].ravel()
fresh = data.Reviews(fresh_texts, np.array(fresh_labels), np.arange(len(picked)), blocks, reviews.class_names)
print(f"{len(fresh):,} fresh sentences: {by_class(class_shares(fresh.labels))}")

# %%
fresh_encoded = text.encode_wordpieces(fresh, tokenizer, max_length=max_length)
fresh_logits = prediction.predict_logits(model, fresh_encoded)  # (n, C)
chosen_by = {name: one.predict(vectoriser.transform(fresh.texts)) for name, one in linear_models.items()}
chosen_by |= {"fine-tuned": fresh_logits.argmax(dim=1).numpy()}

# %% tags=["nbval-ignore-output"]
promised, reached = judgement.accuracy[report.TUNED], np.mean(chosen_by["fine-tuned"] == fresh.labels)
inside = "inside" if promised.low <= reached <= promised.high else "outside"
print(f"test part {promised}; on fresh sentences {reached:.3f}, which is {inside} its interval")

# %% [markdown]
# A 95 % interval misses the true value once in twenty times, so one comparison proves little. But an interval can be
# checked at all; a single number without one cannot. Now the gains, for both metrics. For macro F1 we resample the same
# blocks for both models and subtract:


# %%
gains, right = {}, {name: predicted == fresh.labels for name, predicted in chosen_by.items()}
for name in linear_models:
    gains[f"accuracy, over {name}"] = evaluation.difference_interval(right["fine-tuned"], right[name], fresh.blocks)
    pair = (chosen_by["fine-tuned"], chosen_by[name])
    estimate = np.subtract(*(f1_score(fresh.labels, one, average="macro") for one in pair))
    ends = np.quantile(np.subtract(*f1_draws(fresh, *pair)), [0.025, 0.975])
    gains[f"macro F1, over {name}"] = evaluation.Interval(estimate, *ends)

# %% tags=["nbval-ignore-output"]
for name, predicted in chosen_by.items():
    f1, found = f1_score(fresh.labels, predicted, average="macro"), recall_score(fresh.labels, predicted, average=None)
    print(f"{name:22} accuracy {right[name].mean():.3f}, macro F1 {f1:.3f}; found: {by_class(found)}")
for name, gain in gains.items():
    print(f"{name:36} {gain.points:22} points: {gain.verdict_within(0.02)}")
verdicts = {gain.verdict for gain in gains.values()}
print("all four agree:" if len(verdicts) == 1 else "they do not agree:", " and ".join(sorted(verdicts)))

# %% [markdown]
# As a picture:

# %%
fig, ax = plt.subplots(figsize=(8.5, 2.6))
plots.bars_with_intervals(ax, gains, unit="gain of the fine-tuned model")
ax.axvline(0, color="black", linewidth=0.8, linestyle=":")
ax.set_title("A fair baseline makes the gain in macro F1 smaller")
plots.show(fig, alt="Gain of the fine-tuned model over two linear models, in accuracy and in macro F1, each with its 95 percent interval, beside "
           "a dotted line at zero. Against the balanced linear model the gain in macro F1 is smaller than against the plain one.")  # fmt: skip

# %% tags=["nbval-ignore-output"]
plain, fair = (gains[f"macro F1, over {name}"] for name in linear_models)
if not smoke:
    assert fair.low > 0 and fair.estimate < plain.estimate and reached > class_shares(fresh.labels).max()
print(f"of {100 * plain.estimate:.1f} points of gain, {100 * (plain.estimate - fair.estimate):.1f} are due to class weights")
print(claims.check_claim("13 macro F1 over balanced word counts, new sentences", fair.estimate))

# %% [markdown]
# Compare the rows. Without weights the linear model finds very few complaints, and macro F1 shows it more clearly than
# the accuracy. So a part of the "gain of fine-tuning" over it is really the gain of one argument,
# `class_weight="balanced"`. What is left over the balanced model is due to fine-tuning. Publish that one. The interval of
# a gain shrinks with the square root of the number of test texts: four times the texts give half the width.

# %% [markdown]
# **Exercise 13.2 (predict): half the width.** With 150 test texts your interval is 12 points wide. How many test texts
# do you need for an interval of 6 points?

# %% tags=["exercise"]
my_size = ...

# %% tags=["check"]
checks.check("13.2", my_size)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
my_size_solution = 600

# %% tags=["check"]
checks.check("13.2", my_size_solution, mine=False)  # the same check, on the solution above

# %% [markdown]
# **Exercise 13.3 (choice): two models on the same texts.** Model A has an accuracy of 0.78 (0.71 to 0.85), model B of
# 0.83 (0.77 to 0.89). Block by block on the same texts, B minus A is 0.05 (0.01 to 0.09). What may you report? Run the
# check to see the answers to choose from, then write the letter in quotes.

# %% tags=["exercise"]
my_report = ...

# %% tags=["check"]
checks.check("13.3", my_report)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
my_report_solution = "c"

# %% tags=["check"]
checks.check("13.3", my_report_solution, mine=False)  # the same check, on the solution above


# %% [markdown]
# ## 7 Read the errors
#
# Which classes does the model confuse? We count the test texts by true and predicted class:

# %%
fig, ax = plt.subplots(figsize=(5, 3.4))
counts = confusion_matrix(test.labels, predictions, labels=range(len(reviews.class_names)))
plots.confusion_matrix(ax, counts, reviews.class_names)
ax.set_title(f"{np.trace(counts) / counts.sum():.0%} of the test texts are on the diagonal")
plots.show(fig, alt="Table of true class against predicted class on the test part, three by three, with the number of texts in each cell; most "
           "are on the diagonal, and the row of praise contains the most.")  # fmt: skip

# %% tags=["nbval-ignore-output"]
print("found (recall):", by_class(recall_score(test.labels, predictions, average=None)))
errors = counts - np.diag(counts.diagonal())  # (C, C)
label, called = (reviews.class_names[i] for i in np.unravel_index(errors.argmax(), errors.shape))
print(f"the most frequent error: {label}, called {called}: {errors.max()} of {errors.sum()} errors")

# %% [markdown]
# Compare the rows: on imbalanced data a model can miss much of the rarest class and still have a good accuracy. And read
# each row from left to right: it says which class the missed texts were taken for.
#
# ### Threshold
#
# So far the model picks the class with the largest probability. But suppose that the site wants to answer complaints. Then
# only one question counts: is it a complaint or not? This is **one class against the rest**. A text is called a complaint
# if its probability of `complaint` reaches a **threshold**, which trades one kind of error for the other. Which threshold
# is best depends on what *your* errors cost. As with every choice, we use the validation part:

# %%
complaint = reviews.class_names.index("complaint")
likely = prediction.predict_proba(model, encoded[1])[:, complaint]
explorers.threshold_explorer(likely, splits.validation.labels == complaint, ("other", "complaint"))

# %% [markdown]
# Set the second cost to 4: if it is expensive to miss a complaint, a lower threshold is cheaper. For probabilities that
# can be trusted the best one is $c_0 / (c_0 + c_1)$, where $c_0$ is the cost of calling another text a complaint and $c_1$
# that of missing a complaint. The picture on the right shows whether they can be trusted, but only roughly: the
# validation part has few complaints.
#
# ### Calibration
#
# The **confidence** of a prediction is its largest probability; with three classes it is at least one third. A model is
# **<abbr title="校准">calibrated</abbr>** if it is right about as often as it says: of all predictions with a confidence
# of 0.8, 80 % should be correct. Fine-tuned models are often too confident. The usual cure has one number, the
# **temperature** $\tau$ (Guo and others, 2017): divide all logits by it before the softmax. The predictions stay the same,
# only the confidence changes, and the nearer $\tau$ is to 1, the less it changes. We choose the $\tau$ with the smallest
# loss on the validation part. To measure the damage we use the **expected calibration error** (ECE): the mean distance
# between confidence and accuracy, over tenths of the confidence.

# %%
validation_logits = prediction.predict_logits(model, encoded[1])
validation_labels = torch.from_numpy(splits.validation.labels)
taus = np.geomspace(0.5, 4, 85)
losses = [torch.nn.functional.cross_entropy(validation_logits / tau, validation_labels).item() for tau in taus]
tau, hits = float(taus[int(np.argmin(losses))]), right["fine-tuned"]


def reliability(temperature):
    """Return mean confidence, accuracy and number of fresh sentences in each tenth of the confidence, and the ECE."""
    confidence = (fresh_logits / temperature).softmax(dim=1).max(dim=1).values.numpy()
    tenth = np.minimum((10 * confidence).astype(int), 9)
    bins = [(confidence[tenth == k].mean(), hits[tenth == k].mean(), np.sum(tenth == k)) for k in np.unique(tenth)]
    return bins, sum(abs(mean - accuracy) * n for mean, accuracy, n in bins) / len(hits)


# %%
fig, ax = plt.subplots(figsize=(5.6, 3.4))
ax.plot([0.3, 1], [0.3, 1], ":", color="black", label="calibrated")
for i, (name, temperature) in enumerate({"as trained": 1.0, "with temperature": tau}.items()):
    bins, _ = reliability(temperature)
    mean_confidence, accuracy, n = np.array(bins).T
    ax.errorbar(mean_confidence, accuracy, yerr=1.96 * np.sqrt(accuracy * (1 - accuracy) / n), color=plots.COLOURS[i],
                fmt=plots.MARKERS[i] + "-", elinewidth=1, label=name)  # fmt: skip
ax.set(xlabel="mean confidence in a tenth", ylabel="accuracy on fresh sentences", xlim=(0.3, 1))
before, after = (100 * reliability(temperature)[1] for temperature in (1.0, tau))
ax.set_title(f"ECE: {before:.1f} points as trained, {after:.1f} with the temperature")
ax.legend()
plots.show(fig, alt="Accuracy on fresh sentences over the confidence of the model, with intervals, as trained and with a temperature, beside a "
           "dotted diagonal. Where a line is below the diagonal, the model is less often right than it says.")  # fmt: skip

# %% tags=["nbval-ignore-output"]
print(f"temperature {tau:.2f}: on the validation part the model is too {'confident' if tau > 1 else 'careful'}")
print(f"expected calibration error {before:.1f} points as trained, {after:.1f} with the temperature")

# %% [markdown]
# ### Abstain
#
# With a confidence that means something, a model can **<abbr title="弃权">abstain</abbr>**: it answers only if it is
# sure enough, and a person reads the rest. How many texts does it still answer, and how often is it right then?

# %%
confidence = (fresh_logits / tau).softmax(dim=1).max(dim=1).values.numpy()
levels = np.quantile(confidence, np.arange(0, 0.91, 0.05))  # answer everything, 95 %, 90 % ... of the texts
answered = np.array([np.mean(confidence >= bar) for bar in levels])
accuracies = [evaluation.block_interval(hits[confidence >= bar], fresh.blocks[confidence >= bar]) for bar in levels]
estimates, lows, highs = np.array([(one.estimate, one.low, one.high) for one in accuracies]).T
fig, ax = plt.subplots(figsize=(6.4, 3))
ax.plot(100 * answered, estimates, "o-", color=plots.COLOURS[0])
ax.fill_between(100 * answered, lows, highs, color=plots.COLOURS[0], alpha=0.2)
ax.set(xlabel="texts answered, in percent", ylabel="accuracy on those")
ax.set_title("The fewer texts it answers, the more often it is right")
plots.show(fig, alt="Accuracy on the answered texts over the share of texts that the model answers, with a shaded 95 percent interval; it falls "
           "steadily from left, where only confident answers count, to right, where all do.")  # fmt: skip

# %% tags=["nbval-ignore-output"]
sure = np.flatnonzero(lows >= 0.9)
for k in (0, *sure[:1]):  # everything, and the first threshold that reaches 0.9 beyond the noise
    print(f"confidence of {levels[k]:.3f} or more: answers {answered[k]:.0%} of the texts, accuracy {accuracies[k]}")

# %% [markdown]
# This curve is often the most useful picture for the people who will use your model: they choose a point on it.
#
# ### Where are the errors?
#
# One number hides where a model fails. So compare **slices** of the texts: those with a negation, short and long ones,
# each class (where the accuracy is the recall of the class). Here is the accuracy of each slice on the fresh sentences:

# %%
negation = re.compile(r"\b(?:not?|never|nothing|nor|neither|without|hardly|cannot)\b|n't")
pieces, spoken = fresh_encoded.lengths, np.array([bool(negation.search(string)) for string in fresh.texts])
short, long = np.quantile(pieces, [0.25, 0.75]).astype(int)
slices = {"all": pieces > 0, "with a negation": spoken, "without": ~spoken,
          f"at most {short} word pieces": pieces <= short, f"{long} or more": pieces >= long}  # fmt: skip
slices |= {name: fresh.labels == label for label, name in enumerate(reviews.class_names)}
by_slice = {name: evaluation.block_interval(hits[rows], fresh.blocks[rows]) for name, rows in slices.items()}

# %%
fig, ax = plt.subplots(figsize=(7.5, 3.2))
plots.bars_with_intervals(ax, {f"{name} ({slices[name].sum():,})": one for name, one in by_slice.items()})
below = [name for name, one in by_slice.items() if one.high < by_slice["all"].estimate]
ax.set_title(f"Clearly below the average: {', '.join(below) or 'no slice'}")
plots.show(fig, alt="Accuracy of the fine-tuned model with 95 percent intervals on slices of the fresh sentences: all, with and without a negation, "
           "short and long, and of each class. Complaints, the rarest class, lie below praise, the largest.")  # fmt: skip

# %% tags=["nbval-ignore-output"]
slice_names = list(slices)
for one, other in (slice_names[1:3], slice_names[3:5], ("complaint", "praise"), ("viewer", "praise")):
    a, b = by_slice[one], by_slice[other]
    low, high = np.hypot(a.estimate - a.low, b.high - b.estimate), np.hypot(a.high - a.estimate, b.estimate - b.low)
    gap = evaluation.Interval(a.estimate - b.estimate, a.estimate - b.estimate - low, a.estimate - b.estimate + high)
    print(f"{one}, minus {other}: {gap.points} points: {gap.verdict_within(0.02)}")
print("texts with a negation:", by_class([spoken[slices[name]].mean() for name in reviews.class_names]))

# %% [markdown]
# A slice that is clearly worse tells you which texts to label next. But slices overlap. Complaints contain more negations
# than praise does (see the last line), so a slice may look hard because it contains more texts of the rarest class.
#
# Now read the most confident errors of the model. For each one, ask yourself: is the label correct?

# %% tags=["nbval-ignore-output"]
mistakes = report.confident_mistakes(run, judgement)
for mistake in mistakes[:4].itertuples():
    print(f"line {mistake.row}: predicted {mistake.predicted} ({mistake.confidence:.0%}),", end=" ")
    print(f"labelled {mistake.label}:\n   {mistake.text}")

# %% [markdown]
# Could you tell the class from the text alone? A critic's sentence may be labelled with what the critic thinks of the
# whole film, and a viewer may write like a critic. Such errors set a limit to every model. The line numbers refer to the
# file. If a label is wrong, fix it there, never in the notebook. But these are test texts: if you fix only labels that
# disagree with the model, its score becomes too good. Read the same number of its correct predictions too, or use a new
# test part.

# %% [markdown]
# **Exercise 13.4 (complete): weights for imbalanced classes.** If the model misses the rare class too often, give its
# texts a larger weight in the loss (`course finetune --class-weights` does). With $n$ texts, $C$ classes and $n_c$ texts of class $c$, the usual weight is
# $w_c = n / (C\, n_c)$. Write `my_class_weights(labels, num_classes)`. `labels` is an array of $n$ integers. Return the
# weights, $C$ numbers. For example, labels 0, 0, 0, 1 give 0.67 and 2.


# %% tags=["exercise"]
def my_class_weights(labels, num_classes):
    raise NotImplementedError


# %% tags=["check"]
checks.check("13.4", my_class_weights)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def my_class_weights_solution(labels, num_classes):
    sizes = np.bincount(labels, minlength=num_classes)  # (C,)
    return len(labels) / (num_classes * sizes)


# %% tags=["check"]
checks.check("13.4", my_class_weights_solution, mine=False)  # the same check, on the solution above


# %% [markdown]
# ## 8 Hand it over: a folder with a card
#
# Nobody can use a model without a description. `save_run` writes a folder with the weights as `safetensors`, the
# tokenizer with its maximum length, and a **model card** in the hub's format. The card says what the model was trained
# on, how good it is compared with the baselines, and what it is not for. `report.html` says the same with pictures, and
# marks the words that mattered in each mistake. `test_predictions.csv` has every test text with its answer, so that anyone
# can compute the scores again.

# %%
home = save_run(run, judgement, folder / "film-sentences")
print(*sorted(path.name for path in home.iterdir()), sep="\n")

# %% tags=["nbval-ignore-output"]
card = (home / "README.md").read_text(encoding="utf-8")
start = card.index("## How good it is")
print(card[start : start + 900])

# %% [markdown]
# While the folder is being written it has a temporary name. It is renamed at the end, so a folder with the final name
# is always complete. An existing folder is never overwritten.
#
# Does the folder contain the model that we evaluated? We check with plain `transformers`, without code of this course.

# %%
from transformers import pipeline
from transformers.utils import logging

logging.disable_progress_bar()
classify = pipeline("text-classification", model=str(home), device="cpu")
answers = classify(list(test.texts[:8]), truncation=True, top_k=1)
expected = judgement.probabilities[:8].max(axis=1)
rounding = torch.finfo(choose_precision(model.device)).eps  # ours may be computed in bfloat16
np.testing.assert_allclose([answer[0]["score"] for answer in answers], expected, atol=1e-4 + 2 * rounding)
print("plain transformers gives the same probabilities, up to rounding")

# %% [markdown]
# ### A file that was damaged on the way
#
# Folders are copied, uploaded and mixed up. The last file that `save_run` writes is `manifest.json`: a list of all other
# files with the **SHA-256** of each, a number of 256 bits that is different if a single bit of the file is. We copy the
# folder and flip one of the 700 million bits of the weights:

# %% tags=["nbval-ignore-output"]
broken = shutil.copytree(home, folder / "broken") / "model.safetensors"
content = bytearray(broken.read_bytes())
content[-1] ^= 0b0100_0000  # in the exponent of the last weight of the head
broken.write_bytes(content)
classify_broken = pipeline("text-classification", model=str(broken.parent), device="cpu")
logits_of = classify_broken(list(test.texts[:8]), truncation=True, top_k=None, function_to_apply="none")
largest = max(abs(logit["score"]) for logits in logits_of for logit in logits)
print(f"plain transformers: loaded; its largest logit in 8 texts is {largest:.0e}, with or without a minus")
try:
    predict.predict(broken.parent, test.texts[:8])
except ValueError as error:
    print("the course:", error)

# %% [markdown]
# Plain `transformers` loads the damaged file and says nothing, although a logit of this size decides alone: if it is
# positive the text gets its class, if it is negative never. `predict` compares the manifest first and names the file. It
# also refuses weights whose names or shapes do not fit the model, instead of filling the gap with random ones.

# %% [markdown]
# ### The same from the shell
#
# One command does all these steps for your own file. It freezes only the word embeddings and has its own defaults for
# epochs, learning rate and maximum length (`course finetune --help`), so its numbers differ from ours:
#
# ```
# course finetune reviews.csv --text-column review --label-column kind --out film-sentences
# ```
#
# It prints the report of section 2 and a rough estimate of the minutes, trains with a progress bar, and ends with the
# verdict and the folder. If you press Ctrl+C, or the machine crashes, little is lost: `film-sentences.unfinished` contains
# the best model so far and checkpoints of the run. The same command with `--resume` goes on from the newest one, and the
# model is the same as without the stop. If you mistype a column name, you get one line that tells you:


# %%
def shell(*arguments: str) -> str:
    command = [sys.executable, "-m", "course_utils.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    return f"{done.stdout}{done.stderr}(exit status {done.returncode})"


print(shell("finetune", str(path), "--text-column", "reveiw", "--label-column", "kind"))

# %% [markdown]
# `course predict` classifies a text or a whole file (`course predict FOLDER new.csv --text-column review`):

# %% tags=["nbval-ignore-output"]
asked = ("--text", "a warm and funny film .", "--text", "two hours i will never get back .")
print(shell("predict", home.as_posix(), *asked))

# %% [markdown]
# ## 9 Classic bug: copies on both sides of the split
#
# Tables contain copies: a form sent twice, two merged exports, one review posted under ten products. A random split
# puts some of them on both sides, and then the test rewards memorising. By how much is the score too high? We copy 400
# of our sentences twice, once in capitals and once with double spaces. Then we split ten times at random, and ten times
# with copies together. We use the linear model, because it trains in a second. The fresh sentences give the true
# accuracy.

# %%
_, plain = np.unique(keys, return_index=True)  # one row of each text
copied = rng.choice(plain, size=40 if smoke else 400, replace=False)
shouted = [reviews.texts[i].upper() for i in copied]
spaced = [reviews.texts[i].replace(" ", "  ") for i in copied]
texts = (*(reviews.texts[i] for i in plain), *shouted, *spaced)
source_row = np.concatenate([plain, copied, copied])  # the block of each text: the row it came from
numbers, labels = np.arange(len(texts)), reviews.labels[source_row]
doubled = data.Reviews(texts, labels, numbers, source_row, reviews.class_names)
print(f"{len(doubled):,} rows, {len(plain):,} different texts")


# %%
def linear_scores(parts: data.Splits) -> list[float]:
    vectoriser = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    features = vectoriser.fit_transform(parts.train.texts)
    linear = LogisticRegression(C=4, max_iter=1000).fit(features, parts.train.labels)
    ask = (parts.test, fresh)
    return [linear.score(vectoriser.transform(given.texts), given.labels) for given in ask]


# %%
num_splits = 3 if smoke else 10
scores = {"copies together": [], "copies scattered": []}
for number in range(num_splits):
    together = intake.split_table(doubled, seed=number)
    order = np.random.default_rng(number).permutation(len(doubled))
    cuts = np.cumsum([len(part) for part in together])[:2]
    scattered = data.Splits(*(doubled.take(indices) for indices in np.split(order, cuts)))
    scores["copies together"].append(linear_scores(together))
    scores["copies scattered"].append(linear_scores(scattered))
scores = {name: np.array(values) for name, values in scores.items()}  # (splits, 2): own test, fresh

# %% [markdown]
# Each split gives a circle and a square. The circle is the accuracy on its own test part, which you would report. The
# square is the accuracy on the fresh sentences, which is close to the true one.

# %%
fig, ax = plt.subplots(figsize=(7.5, 2.6))
for row, values in enumerate(scores.values()):
    for k, name in enumerate(("its own test part", "fresh sentences")):
        heights = np.full(num_splits, row - 0.12 + 0.24 * k)
        ax.plot(values[:, k], heights, "os"[k], color=plots.COLOURS[1 - k], label=name if row == 0 else None)
ax.set_yticks(range(len(scores)), list(scores))
ax.set(ylim=(1.6, -0.6), xlabel="accuracy", title="With scattered copies the test accuracy is far too high")
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
plots.show(fig, alt="Accuracy of the linear model for ten splits of two kinds. With copies together, the model's own test part and fresh sentences "
           "agree roughly; with copies scattered, its own test part scores far higher than the fresh sentences.")  # fmt: skip

# %% tags=["approx"]
flattery = {name: float((values[:, 0] - values[:, 1]).mean()) for name, values in scores.items()}
if not smoke:
    assert flattery["copies scattered"] > flattery["copies together"] + 0.03
for name, values in scores.items():
    own_mean, fresh_mean = values.mean(axis=0)
    excess = 100 * (own_mean - fresh_mean)
    print(f"{name:16}: own test part {own_mean:.3f}, fresh sentences {fresh_mean:.3f}, too high by {excess:+.0f} points")

# %% [markdown]
# Nothing crashes, but the number is wrong: with scattered copies the model's own test part promises far more than the
# model reaches on fresh sentences. With copies together it does not. On fresh sentences both kinds of split do about
# equally well. The assertion of section 4 catches this bug, in one line.

# %% [markdown]
# **Exercise 13.5 (debug): copies on both sides.** `two_parts(texts, seed)` splits rows: four fifths for training, the
# rest for testing. It takes a list of texts and returns two lists of row numbers. Each row must be in exactly one list.
# A text and its copies (those that are equal after `level` of section 2) must be in the same list. This version splits
# at random. Fix it.


# %% tags=["exercise"]
def two_parts(texts, seed):
    order = np.random.default_rng(seed).permutation(len(texts))
    cut = int(0.8 * len(texts))
    return order[:cut], order[cut:]


# %% tags=["check"]
checks.check("13.5", two_parts)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def two_parts_solution(texts, seed):
    keys = np.array([level(string) for string in texts])
    different = np.random.default_rng(seed).permutation(np.unique(keys))
    in_train = np.isin(keys, different[: int(0.8 * len(different))])
    return np.flatnonzero(in_train), np.flatnonzero(~in_train)


# %% tags=["check"]
checks.check("13.5", two_parts_solution, mine=False)  # the same check, on the solution above


# %% [markdown]
# ## 10 A checklist for your own data
#
# **Before training**
#
# 1. Where do the rows come from, and what do they share: a film, a customer, an author, a day? That is your `group_column`.
# 2. Who labelled the texts, and would a second person agree? Label fifty texts again yourself. A model cannot be expected
#    to agree with the labels more often than you do.
# 3. Read the report of faults and `table.set_aside` (from the shell: `set_aside.csv`, after the run). Is one class set
#    aside more often than another?
# 4. Read ten texts of each class. Does something reveal the label that will not be there in new texts: a signature, a
#    date, a name?
# 5. What is the score of the majority class? And of TF-IDF, with class weights if the classes are imbalanced?
#
# **Before believing a number**
#
# 6. Did you use the test part for any choice? Then it has become a validation part, and you need a new one.
# 7. Which gain could this test part show at all? Does the interval of the *gain* exclude zero? If not, you do not know
#    which model is better.
# 8. Is the score of each class good enough, or only that of the large one?
# 9. Have you read the most confident errors? Is the model wrong or the label? Which slice of the texts is worst?
# 10. Will future texts look like these? Test on the newest ones, not on a random sample.
#
# **Before handing it over**
#
# 11. Can another program load the folder, and does it give the same predictions?
# 12. Does the card say what the model is *not* for? Have you removed private texts from it?

# %% [markdown]
# ## Quiz
#
# Three questions on the whole notebook. Nothing is sent anywhere.

# %% tags=["check"]
checks.quiz("13")


# %% [markdown]
# ## Summary
#
# * Do not trust a table before you have counted its faults: encodings, empty cells, copies, conflicting labels,
#   spellings, tiny classes. Drop nothing silently.
# * Keep copies and groups on one side of the split, and give all parts the same class shares.
# * Compare your model with the majority class and a *fair* linear model, and show the interval of the gain. Work out
#   beforehand which gain your test part can show.
# * Check the calibration, choose a threshold, let the model abstain, and look at slices of the errors.
# * Hand over a folder that loads anywhere, with a card that says how good the model is.
#
# **To think about.** Suppose 150 test texts are too few to say whether your fine-tuned model beats the linear one. You
# may label 500 more texts. Would you add them to the training part or to the test part? What would you learn from each
# choice?
#
# **Next:** your own table. `course finetune --help` shows all options, and notebook 06 shows what happens inside. Then
# [14 Fine-tune a GPT](14_fine_tune_a_gpt.ipynb): the same reviews, with a language model.
