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
# # 09 · Little data
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/fine-tuning-course/fine-tuning-course/blob/v0.2.0/notebooks/09_little_data.ipynb) · [words and terms 术语表](../docs/GLOSSARY.md)
#
# **What you will be able to do:** draw a learning curve and say which model to use with how many labels, test whether an
# augmentation helps by more than luck, say when continued pretraining can pay, and find wrong labels.
#
# **Before you start:** notebooks 05 (frozen features, hidden words) and 06; notebook 07 for caching the states of frozen
# layers.
# **Time:** one hour to read and play; the code takes about two minutes.

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
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch
from accelerate import Accelerator
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict, learning_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, RandomSampler

from course_utils import batching, claims, data, evaluation, layers, plots, prediction, pretrained, profiles, text, training
from course_utils.exercises import checks
from course_utils.models import LSTMClassifier

plots.use_style()
profile, seed, device = profiles.get_profile(), profiles.get_seed(), Accelerator().device

# %% [markdown]
# Labels are the expensive part of a data set, because somebody has to read every sentence. What can you do when you have
# only a few? To find out, we pretend that only some of our sentences are labelled; we call them the **pool**. A second
# set is **unlabelled**: section 3 uses its words, but not its labels. We test on all 1,520 test sentences.

# %%
sizes = {"smoke": (64, 40, 60), "workshop": (1100, 800, None)}  # else: for a GPU
num_pool, num_unlabelled, num_test = sizes.get(profile.name, (3000, 2500, None))
whole = data.load_splits("rotten_tomatoes", test_size=num_test)
pool, test = data.evenly(whole.train, num_pool), whole.test
others = np.flatnonzero(~np.isin(whole.train.rows, pool.rows))
unlabelled = data.evenly(whole.train.take(others), num_unlabelled)
print(f"pool {len(pool):,}, unlabelled {len(unlabelled):,}, test {len(test):,} sentences")

# %% [markdown]
# ## 1 One point of a learning curve
#
# A **<abbr title="学习曲线">learning curve</abbr>** shows how the test accuracy depends on the number $n$ of training sentences. But which $n$ sentences?
# Let $S_n$ be $n$ sentences drawn at random and $w(S_n)$ the parameters that training on them finds. One point of the curve
# is the mean over draws:
#
# $$A(n) = \mathbb{E}_{S_n}\big[\,\text{accuracy of } f(\cdot\,; w(S_n)) \text{ on the test part}\,\big].$$
#
# Each draw takes half of its sentences from each class. Within a draw we use the same permutation for all sizes, so a
# larger training set always contains the smaller ones. How much does the draw matter? We train one model, word counts with
# logistic regression, on four draws.


# %%
def draw(n, number):
    """Return the positions in the pool of the first n sentences of a draw, int (n,)."""
    rng, half = np.random.default_rng(100 * seed + number), np.bincount(pool.labels).min()
    by_class = [rng.permutation(np.flatnonzero(pool.labels == c))[:half] for c in (0, 1)]
    return np.stack(by_class, axis=1).ravel()[:n]


def word_counts():
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    return make_pipeline(words, LogisticRegression(C=4, max_iter=1000))


# %% tags=["nbval-ignore-output"]
pool_texts = np.array(pool.texts, dtype=object)
for number in range(4):
    rows = draw(16, number)
    fitted = word_counts().fit(pool_texts[rows], pool.labels[rows])
    print(f"draw {number}, 16 sentences: accuracy {fitted.score(test.texts, test.labels):.3f}")

# %% [markdown]
# The same model and the same $n$: only the training sentences differ. So one draw is not enough. Average over several draws for each point, and show their range in the figure.
#
# scikit-learn computes whole learning curves. If we give it the sentences in our order, it must find the same accuracies
# as our own loop.

# %%
num_labels = (8, 16, 32) if profile.name == "smoke" else (16, 64, 256, 1024)
order = draw(max(num_labels), 0)
x = np.array([*pool.texts, *test.texts], dtype=object)
y = np.concatenate([pool.labels, test.labels])
one_draw = [(order, len(pool) + np.arange(len(test)))]  # training rows, test rows
packaged = learning_curve(word_counts(), x, y, train_sizes=num_labels, cv=one_draw)[2][:, 0]

fits = [word_counts().fit(x[order[:n]], y[order[:n]]) for n in num_labels]
by_hand = [fitted.score(test.texts, test.labels) for fitted in fits]
np.testing.assert_allclose(by_hand, packaged)
print("by hand = scikit-learn for", num_labels, "sentences")

# %% [markdown]
# **Exercise 09.1 (predict): sixteen sentences to choose with.** You have 16 labelled sentences to *validate* on, and a
# model that is correct on three quarters of all sentences. The accuracy that you measure on the 16 is the mean of 16
# independent predictions, each correct with probability 0.75. What is its standard deviation? Write it as a number
# between 0 and 1.

# %% tags=["exercise"]
spread_of_sixteen = ...

# %% tags=["check"]
checks.check("09.1", spread_of_sixteen)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
spread_of_sixteen_solution = (0.75 * 0.25 / 16) ** 0.5

# %% tags=["check"]
checks.check("09.1", spread_of_sixteen_solution, mine=False)  # the same check, on the solution

# %% [markdown]
# With sixteen sentences you cannot choose between two settings, so we do not try: all hyperparameters, and the number of
# training steps for each $n$, were fixed beforehand. There is no validation part and no early stopping.
#
# ## 2 Four models
#
# We compare four models, from simple to complex: word counts; the LSTM of notebook 03; the **frozen** encoder with a
# linear head; and the **fine-tuned** encoder. For the last two we freeze the lower four of MiniLM's six layers and
# compute their states once, as in notebook 07. The frozen model takes the mean of these states. The fine-tuned model
# trains the upper two layers and a head on top of them.

# %%
tokenizer, model = pretrained.load_tokenizer(), pretrained.load_classifier(seed=seed).to(device)
border = 4
D, L = model.config.hidden_size, model.config.num_hidden_layers
encode = partial(text.encode_wordpieces, tokenizer=tokenizer, max_length=40)
pool_states = layers.hidden_states(model, encode(pool), layer=border)
test_states = layers.hidden_states(model, encode(test), layer=border)
print("the first sentence of the pool:", pool_states.hidden_states[0].shape, "states, (T, D)")


# %%
def means(states):
    """Return the mean state of each sentence, float (n, D)."""
    return np.stack([sentence.mean(axis=0) for sentence in states.hidden_states])


pool_means, test_means = means(pool_states), means(test_states)
print("features of the pool:", pool_means.shape)

# %% [markdown]
# The linear models are fitted in seconds. For each draw we store *which* test predictions are correct, as bool (draws,
# test sentences): the comparisons below need them one by one.


# %%
def linear_head():
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=2000))


def answers_right(make, x, drawn, x_test):
    """Return bool (draws, test sentences): which predictions are correct, for draws of training rows."""
    fits = [make().fit(x[rows], pool.labels[rows]) for rows in drawn]
    return np.array([fitted.predict(x_test) == test.labels for fitted in fits])


num_draws = 3 if profile.name == "smoke" else 8
drawn = {n: [draw(n, number) for number in range(num_draws)] for n in num_labels}
right = {
    "word counts": {n: answers_right(word_counts, pool_texts, drawn[n], test.texts) for n in drawn},
    "LSTM": {},
    "frozen encoder": {n: answers_right(linear_head, pool_means, drawn[n], test_means) for n in drawn},
    "fine-tuned encoder": {},
}

# %% [markdown]
# The LSTM and the fine-tuned encoder need a training loop. We write a short one of our own, so that we can set the number
# of *steps*. With 16 sentences an epoch is a single step, so a fixed number of epochs would leave the models with few
# sentences almost untrained. `RandomSampler` shuffles the sentences again as often as necessary.


# %%
def train_steps(network, encoded, learning_rate, num_steps):
    """Train in place for num_steps batches of 16, with warm-up, and without validation."""
    sampler = RandomSampler(encoded, num_samples=16 * num_steps, generator=profiles.set_seed(seed))
    optimizer = training.make_optimizer(network, training.TrainingConfig(learning_rate=learning_rate))
    schedule = training.linear_schedule(optimizer, num_steps=num_steps)
    network.train()
    for batch in DataLoader(encoded, batch_size=16, sampler=sampler, collate_fn=batching.collate):
        logits = prediction.model_logits(network, batch)  # (B, C)
        nn.functional.cross_entropy(logits, batch["labels"].to(device)).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()


# %%
def lstm_right(part):
    """Return which test predictions of an LSTM trained on `part` alone are correct."""
    words = [text.basic_english(sentence) for sentence in part.texts]
    vocabulary = text.Vocabulary.from_tokens(words, min_count=1)
    torch.manual_seed(seed)
    lstm = LSTMClassifier(len(vocabulary)).to(device)
    lstm.embedding.weight.data.mul_(0.2)  # as in notebook 06
    encode_them = partial(text.encode_words, vocabulary=vocabulary, max_length=40)
    train_steps(lstm, encode_them(part), 3e-3, num_steps=60 + len(part) // 12)
    return prediction.evaluate(lstm, encode_them(test)).predictions == test.labels


for n in drawn:
    right["LSTM"][n] = np.array([lstm_right(pool.take(rows)) for rows in drawn[n][:2]])

# %% [markdown]
# How do the curves go on beyond the pool? We also train every model once on all training sentences.

# %%
everything = whole.train if profile.name != "smoke" else data.evenly(whole.train, 96)
fitted = word_counts().fit(everything.texts, everything.labels)
right["word counts"][len(everything)] = (fitted.predict(test.texts) == test.labels)[None]
right["LSTM"][len(everything)] = lstm_right(everything)[None]
all_states = layers.hidden_states(model, encode(everything), layer=border)
fitted = linear_head().fit(means(all_states), everything.labels)
right["frozen encoder"][len(everything)] = (fitted.predict(test_means) == test.labels)[None]
print(f"trained once more on {len(everything):,} sentences")

# %% [markdown]
# Fine-tuning is the most expensive, so we run it only for the two largest sizes of the pool and for all sentences. Like
# the LSTM, it gets two draws for each size of the pool; the other two models get eight.


# %%
def tuned_right(states):
    upper = copy.deepcopy(layers.UpperLayers(model, border, pooling="mean"))
    train_steps(upper, states, 3e-4, num_steps=32 + len(states) // 12)
    return prediction.evaluate(upper, test_states).predictions == test.labels


for n in num_labels[-2:]:
    right["fine-tuned encoder"][n] = np.array([tuned_right(pool_states.take(rows)) for rows in drawn[n][:2]])
right["fine-tuned encoder"][len(everything)] = tuned_right(all_states)[None]

# %%
fig, ax = plt.subplots(figsize=(7.5, 4))
for i, (name, by_size) in enumerate(right.items()):
    counts = list(by_size)
    values = [answers.mean(axis=1) for answers in by_size.values()]  # (draws,) each
    look = {"color": plots.COLOURS[i], "marker": plots.MARKERS[i]}
    ax.plot(counts, [v.mean() for v in values], label=name, **look)
    low, high = [v.min() for v in values], [v.max() for v in values]
    ax.fill_between(counts, low, high, color=look["color"], alpha=0.15)
ax.axhline(0.5, color="black", linestyle=":", linewidth=1)
ax.set(xscale="log", xlabel="labelled sentences", ylabel="test accuracy, mean and range")
ax.set_xticks(list(right["LSTM"]), [f"{n:,}" for n in right["LSTM"]])
ax.set_title("Below a thousand labels the pretrained encoder is far ahead")
ax.legend()
plots.show(fig, alt="Test accuracy against the number of labelled sentences on a log axis with ranges over draws. The frozen encoder "
           "is above word counts and the LSTM at every size; the fine-tuned encoder, from 256 labels on, is above all.")  # fmt: skip

# %% [markdown]
# Read the figure horizontally: take the accuracy of the frozen encoder at 64 labels, and go to the right until word counts
# reach it. The next cell does this for you. Then look at the LSTM. It has to learn the meaning of every word from these few
# sentences, so it stays near chance level (the dotted line) longest. If you have <abbr title="数据不足">little data</abbr>,
# do not use a network without pretraining.
#
# The shaded ranges show how much a draw matters. (Compare neither their widths nor small gaps between models: the LSTM and the
# fine-tuned encoder have two draws, the others eight. The section below compares models on the same draws.)

# %% tags=["nbval-ignore-output"]
curves = {name: np.array([answers.mean() for answers in by_size.values()]) for name, by_size in right.items()}
frozen, by_words = curves["frozen encoder"], curves["word counts"]
sizes_drawn = np.log(list(right["word counts"]))
for n in num_labels[1:3]:
    level = frozen[list(right["frozen encoder"]).index(n)]
    same = np.exp(np.interp(level, by_words, sizes_drawn)) if level < by_words[-1] else np.inf
    print(
        f"frozen encoder, {n} labels: {level:.3f}; word counts need {same:,.0f} labels for that: {same / n:.0f} times as many"
    )

# %% [markdown]
# ### Which differences are real?
#
# Two things are random here: which sentences we drew for training, and which are in the test part. So for an interval we
# resample both, draws and test blocks, 2,000 times (Owen, 2007, calls this the pigeonhole bootstrap). With a single draw
# it is the interval of notebook 06. (One draw is one draw: the rows with all sentences say nothing about other draws.)


# %%
def paired(right_a, right_b):
    """Return accuracy(a) - accuracy(b) with its 95 % interval; both are bool (draws, n)."""
    k = min(len(right_a), len(right_b))
    gap = right_a[:k].astype(float) - right_b[:k]
    blocks, block_of = np.unique(test.blocks, return_inverse=True)
    sums = np.stack([np.bincount(block_of, row) for row in gap])  # (k, blocks)
    counts = np.bincount(block_of)  # (blocks,)
    rng = np.random.default_rng(0)
    b = rng.integers(len(blocks), size=(2000, len(blocks)))
    d = rng.integers(k, size=(2000, k))
    shares = [sums[d[i]][:, b[i]].sum() / (k * counts[b[i]].sum()) for i in range(2000)]
    return evaluation.Interval(float(gap.mean()), *map(float, np.quantile(shares, [0.025, 0.975])))


# %%
n, one = max(num_labels), slice(0, 1)
a, b = right["frozen encoder"][n], right["word counts"][n]
assert paired(a[one], b[one]) == evaluation.difference_interval(a[0], b[0], test.blocks)
print("with one draw: the same interval as evaluation.difference_interval")

# %% tags=["nbval-ignore-output"]
for n in (*num_labels, len(everything)):
    print(f"{n:,} labels")
    for name in ("word counts", "LSTM"):
        lead = paired(right["frozen encoder"][n], right[name][n])
        print(f"  frozen encoder minus {name:11} {lead.points:22} points: {lead.verdict_within(0.02)}")
    if n in right["fine-tuned encoder"]:
        lead = paired(right["fine-tuned encoder"][n], right["frozen encoder"][n])
        print(f"  fine-tuned minus frozen encoder  {lead.points:22} points: {lead.verdict_within(0.02)}")

# %% [markdown]
# Follow the lead of the frozen encoder over word counts from size to size: it is largest at 64 and 256 labels. With more labels
# it shrinks, because word counts still learn new words. Then follow the gain of fine-tuning over the frozen encoder: with more
# labels it grows. As long as the line does not say *better*, use the frozen encoder: you fit its head in a second. With 16
# labels *no* model is good. Then the best investment is an afternoon of labelling.
#
# Is the lead at 256 labels special to our seed? We compare it with five stored seeds:

# %%
n = 256 if 256 in num_labels else max(num_labels)
lead = paired(right["frozen encoder"][n], right["word counts"][n])
print(claims.check_claim("09 frozen encoder minus word counts at 256 labels", lead.estimate))

# %% [markdown]
# ## 3 Augmentation
#
# **<abbr title="数据增强">Augmentation</abbr>** makes new training sentences from those you have, by changes that should not
# change the label (Wei and Zou, 2019, try several). We try three, one line of code each: leave words out, shuffle them, or
# replace them by similar words, their *neighbours*. We use the cheapest model, word counts, so that we can afford many
# draws.
#
# Which words are similar? The pretrained word-piece embeddings can tell us, because they were trained on far more text
# than we have. We search among the words of our sentences.

# %%
pool_words = [text.basic_english(sentence) for sentence in pool.texts]
test_joined = [" ".join(text.basic_english(sentence)) for sentence in test.texts]
seen = {word for words in pool_words for word in words}
seen |= {word for sentence in unlabelled.texts for word in text.basic_english(sentence)}
known = sorted(w for w in seen & set(tokenizer.get_vocab()) if w.isalpha() and len(w) > 2)
table = model.bert.embeddings.word_embeddings.weight.detach()  # (V, D)
unit = nn.functional.normalize(table[tokenizer.convert_tokens_to_ids(known)], dim=1)
close = [(part @ unit.T).topk(6, dim=1).indices[:, 1:] for part in unit.split(500)]  # never the word itself
nearest = torch.cat(close).tolist()
neighbours = {word: [known[i] for i in row] for word, row in zip(known, nearest, strict=True)}

# %%
for word in ("funny", "boring", "movie", "good"):
    print(f"{word:8}", ", ".join(neighbours.get(word, [])))

# %% [markdown]
# Many neighbours are synonyms, but check the list: "good" has the neighbour "bad", and "boring" has "exciting" and
# "entertaining". Words get similar embeddings if they occur in similar contexts, and opposites do.
#
# Now the three changes, and a function that adds three altered copies of each sentence:


# %%
def leave_out(words, rng):
    return [word for word in words if rng.random() > 0.15] or words


def shuffle(words, rng):
    return list(rng.permutation(words))


def replace(words, rng):
    return [rng.choice(neighbours.get(w, [w])) if rng.random() < 0.3 else w for w in words]


def augment(sentences, labels, way, rng, copies=3):
    """Return the sentences and `copies` altered ones of each, as texts, with their labels."""
    made = sentences + [way(words, rng) for words in sentences * copies]
    return np.array([" ".join(words) for words in made], dtype=object), np.tile(labels, copies + 1)


# %% [markdown]
# What can a model that counts words and pairs of words learn from this? Shuffling, for example, keeps the words and makes
# pairs that nobody would write. Does it help or hurt? We measure it.
#
# The comparison needs care. Copies affect the fit even if they are identical, because the penalty of logistic regression
# then counts less. If you compared with the original sentences alone, the augmentation would get the credit for that. So
# our **control** is three unchanged copies.

# %%
ways = {"copies": lambda words, rng: words, "leave words out": leave_out, "shuffle": shuffle, "neighbours": replace}


def augmented_right(rows, number, way):
    sentences, rng = [pool_words[i] for i in rows], np.random.default_rng(number)
    made, made_labels = augment(sentences, pool.labels[rows], way, rng)
    return word_counts().fit(made, made_labels).predict(test_joined) == test.labels


n_few, few_right = min(64, max(drawn)), {}
for name, way in ways.items():
    few_right[name] = np.array([augmented_right(rows, number, way) for number, rows in enumerate(drawn[n_few])])

# %% [markdown]
# The fourth method uses real text: **new sentences with predicted labels** (<abbr title="伪标签">pseudo-labels</abbr>; Lee,
# 2013). We fit the frozen encoder to the same few labels and let it predict the labels of the unlabelled sentences. Then
# we train word counts on both sets. Many of the pseudo-labels are wrong, but the new sentences contain words that no
# labelled sentence contains.

# %%
unlabelled_means = means(layers.hidden_states(model, encode(unlabelled), layer=border))
guessed = []
for rows in drawn[n_few]:
    labels = pool.labels[rows]
    guesses = linear_head().fit(pool_means[rows], labels).predict(unlabelled_means)
    fitted = word_counts().fit([*pool_texts[rows], *unlabelled.texts], [*labels, *guesses])
    guessed.append(fitted.predict(test.texts) == test.labels)
few_right["new, pseudo-labelled"] = np.array(guessed)

# %%
gains = {name: paired(each, few_right["copies"]) for name, each in few_right.items()}
del gains["copies"]
fig, ax = plt.subplots(figsize=(7, 2.8))
plots.bars_with_intervals(ax, gains, unit="gain in accuracy over plain copies")
ax.axvline(0, color="black", linestyle=":", linewidth=1)
ax.set_title("New sentences help more than altered ones")
plots.show(fig, alt="Gain in test accuracy over plain copies, with 95 percent intervals, of three alterations of sentences and of new sentences with guessed labels, for word "
           "counts. The alterations are around the dotted line of no gain; the new sentences are to the right of it.")  # fmt: skip

# %% tags=["nbval-ignore-output"]
print(f"{n_few} labels, plain copies: accuracy {few_right['copies'].mean():.3f}")
for name, gain in gains.items():
    print(f"{name:22} {gain.points:22} points: {gain.verdict_within(0.02)}")
lead = paired(right["frozen encoder"][n_few], few_right["new, pseudo-labelled"])
print(f"the frozen encoder itself minus its student: {lead.points} points: {lead.verdict_within(0.02)}")

# %% [markdown]
# Altered sentences contain no new information; new ones do, even though many of their labels are wrong. But look at the last
# line, their teacher: if you can afford the frozen encoder, simply use it. For pretrained models augmentation promises even
# less: Longpre and others (2020) tried two popular ways, and neither helped consistently.
#
# The gain from new sentences depends on the seed. The stored seeds show by how much:

# %%
print(claims.check_claim("09 new sentences minus plain copies", gains["new, pseudo-labelled"].estimate))

# %% [markdown]
# ## 4 Continued pretraining: when?
#
# Unlabelled sentences are free. **<abbr title="领域自适应预训练">Domain-adaptive pretraining</abbr>** (Gururangan and
# others, 2020) continues BERT's masked language modelling (*which word is hidden here?*, notebook 05) on text from the domain
# of our task. Then you train with labels as before.
#
# In the paper it helped, with millions of documents of the domain on large machines. The small BERT of notebook 05 needed
# millions of tokens to get to a loss well below the unigram baseline. With the few hundred sentences of this notebook nothing
# would move, so we do not pretend to try it here. If you have a lot of text from your domain, and it differs from the text of
# the checkpoint's pretraining, then try a night of continued pretraining with the loop of notebook 05, and compare as in
# section 2: same draws, paired interval.

# %% [markdown]
# ## 5 Wrong labels
#
# With few labels, each wrong label matters more. **<abbr title="置信学习">Confident learning</abbr>** (Northcutt and
# others, 2021) finds likely label errors without any clean data. A model that was *not* trained on a sentence predicts its
# label, by cross-validation: split the $n$ sentences into five folds, train on four, predict the fifth, and so on. This
# gives out-of-fold probabilities, float $(n, C)$: $p_{ij}$ is the probability of class $j$ for sentence $i$.
#
# When is the model confident? With $\tilde y_i$ the given label of sentence $i$, each class $j$ has its own threshold
#
# $$t_j = \frac{1}{|\{i : \tilde y_i = j\}|} \sum_{i : \tilde y_i = j} p_{ij},$$
#
# the mean confidence in $j$ of the sentences labelled $j$. A sentence *reaches* class $j$ if $p_{ij} \ge t_j$: the model is
# as confident in $j$ as it is on average for sentences labelled $j$. A sentence is **suspected** if the most probable of
# the classes that it reaches is not its label. We try it on four sentences and two classes.


# %%
def suspected(p, labels):
    """Return bool (n,): True where another class than the label reaches its threshold."""
    t = np.array([p[labels == j, j].mean() for j in range(p.shape[1])])  # (C,)
    confident = np.where(p >= t, p, -1.0)  # -1 where the threshold is not reached
    return (confident.max(axis=1) >= 0) & (confident.argmax(axis=1) != labels)


p_small = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.45, 0.55]])
print("suspected:", suspected(p_small, np.array([0, 0, 0, 1])))

# %% [markdown]
# By hand: $t_0 = (0.9 + 0.7 + 0.2) / 3 = 0.6$ and $t_1 = 0.55$. The third sentence is labelled 0, but its probability for
# class 1 is 0.8, which is above 0.55, so it is suspected. No other sentence is.
#
# Now we use real sentences. We flip 5 % of the labels ourselves, so we know which ones are wrong, and count how many of
# them are found. We repeat this several times. The model is the frozen encoder with its linear head.


# %%
def plant_and_find(number):
    """Return rows of the pool, the noisy labels, bool (n,) planted (flipped), and bool (n,) suspected."""
    rows, rng = draw(max(num_labels), number), np.random.default_rng(100 * seed + number)
    planted = np.zeros(len(rows), dtype=bool)
    planted[rng.choice(len(rows), round(0.05 * len(rows)), replace=False)] = True
    noisy = np.where(planted, 1 - pool.labels[rows], pool.labels[rows])
    folds = StratifiedKFold(5, shuffle=True, random_state=number)
    x = pool_means[rows]
    p = cross_val_predict(linear_head(), x, noisy, cv=folds, method="predict_proba")  # (n, C)
    return rows, noisy, planted, suspected(p, noisy)


rounds = [plant_and_find(number) for number in range(num_draws)]

# %% [markdown]
# How good is the list of suspects? **<abbr title="精确率">Precision</abbr>** is the share of wrong (planted) labels among
# the suspected sentences, and **<abbr title="召回率">recall</abbr>** is the share of the planted labels that are suspected.
# The baseline is random guessing: if you suspect the same number of sentences at random, your precision is the share of
# planted labels, and your recall is the share of suspected sentences.

# %%
shares = {
    "precision": [planted[found].mean() for *_, planted, found in rounds],
    "recall": [found[planted].mean() for *_, planted, found in rounds],
    "recall of random guessing": [found.mean() for *_, found in rounds],
}
rates = {name: evaluation.block_interval(v, np.arange(num_draws)) for name, v in shares.items()}
fig, ax = plt.subplots(figsize=(7, 2.3))
plots.bars_with_intervals(ax, rates, unit="share")
ax.axvline(0.05, color="black", linestyle=":", linewidth=1)
ax.set_title("Many planted errors are found, with many false positives")
plots.show(fig, alt="Precision and recall of finding planted wrong labels, with intervals over plantings: recall is well above the recall of chance, and "
           "precision is low but several times the five percent of chance, a dotted line.")  # fmt: skip

# %%
better = rates["recall"].estimate - rates["recall of random guessing"].estimate
assert rates["precision"].estimate > 0.08 or profile.name == "smoke"  # 0.05 is chance
print(claims.check_claim("09 share of planted labels found, minus that of chance", better))

# %% [markdown]
# Compare precision with the 5 % of a random sample (the dotted line), and recall with that of random guessing: this is how
# much reading the suspects is worth. But most suspects have a correct label. They are hard for the model, and a model that
# predicts only seven sentences in ten correctly suspects many. (Some of them may be real label errors of the data set.)
# So you should *read* them.
#
# What happens if we simply remove the suspects without reading them, and train again? We train without the suspects;
# without the same number of random sentences; and without the planted errors, which only we know. A fourth model gets
# the clean labels. We compare all four with training on all sentences, with 5 % wrong labels.


# %%
def after_removing(out):
    """Return bool (draws, n): which predictions are correct after training without the rows in `out`."""
    answers = []
    for (rows, noisy, *_), gone in zip(rounds, out, strict=True):
        fitted = linear_head().fit(pool_means[rows[~gone]], noisy[~gone])
        answers.append(fitted.predict(test_means) == test.labels)
    return np.array(answers)


planted, found = ([each[i] for each in rounds] for i in (2, 3))
at_random = [np.random.default_rng(number).permutation(out) for number, out in enumerate(found)]
noisy_right = after_removing([np.zeros_like(out) for out in found])
noise_right = {"clean labels": right["frozen encoder"][max(drawn)]}
for name, out in (("planted out", planted), ("suspects out", found), ("random out", at_random)):
    noise_right[name] = after_removing(out)

# %% tags=["nbval-ignore-output"]
print(f"accuracy with 5 % wrong labels: {noisy_right.mean():.3f}")
for name, answers in noise_right.items():
    gap = paired(answers, noisy_right)
    print(f"{name:13} minus 5 % wrong {gap.points:22} points: {gap.verdict_within(0.02)}")

# %% [markdown]
# Look at the damage first: how much do wrong labels cost? That is the line with clean labels. Random errors partly cancel
# out, and a strongly regularised linear model hardly changes. So there is little to gain here.
#
# Then compare "suspects out" with "random out". Only their difference is due to *finding* the errors. Removing the
# suspects also removes correct labels of hard sentences, so with other data it can hurt. If you read the suspects and
# correct the wrong labels, you lose nothing. It costs one look at each suspect.

# %% [markdown]
# **Exercise 09.2 (complete): the confident joint.** Write `joint_counts(p, labels)`. You get $p$, float $(n, C)$, and the
# given labels, int $(n,)$. Return an int array $(C, C)$ whose entry $(i, j)$ counts the sentences labelled $i$ that are
# confidently $j$. A sentence is confidently $j$ if $p_j \ge t_j$. If there are several such classes, take the most
# probable one. Do not count a sentence that reaches no threshold. For the four sentences above the result is
# `[[2, 1], [0, 1]]`.


# %% tags=["exercise"]
def joint_counts(p, labels):
    raise NotImplementedError


# %% tags=["check"]
checks.check("09.2", joint_counts)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def joint_counts_solution(p, labels):
    C = p.shape[1]
    t = np.array([p[labels == j, j].mean() for j in range(C)])
    counted = np.zeros((C, C), dtype=int)
    for row, label in zip(p, labels, strict=True):
        reached = [j for j in range(C) if row[j] >= t[j]]
        if reached:
            counted[label, max(reached, key=lambda j: row[j])] += 1
    return counted


# %% tags=["check"]
checks.check("09.2", joint_counts_solution, mine=False)  # the same check, on the solution

# %% [markdown]
# ## 6 Classic bug: augment first, split later
#
# You have little data, so you augment it. Then you split the table at random into training and validation. Now altered
# copies of one sentence are in both parts: data leakage. We do this with word counts, once splitting all texts at random,
# and once keeping all copies of a sentence in the same part. In both cases the test part shows the real accuracy.


# %%
def reported_and_real(number, together):
    """Return the validation accuracy that would be reported, and the accuracy on the test part."""
    rows, rng = draw(min(256, max(drawn)), number), np.random.default_rng(number)
    x, y = augment([pool_words[i] for i in rows], pool.labels[rows], leave_out, rng)
    sentence = np.arange(len(x)) % len(rows)  # index of the sentence that each text is a copy of
    chance = rng.random(len(rows))[sentence] if together else rng.random(len(x))
    held = chance < 0.25  # a quarter is held out for validation
    fitted = word_counts().fit(x[~held], y[~held])
    return fitted.score(x[held], y[held]), fitted.score(test_joined, test.labels)


# %% tags=["nbval-ignore-output"]
promised = {}
for name, together in (("copies in both parts", False), ("copies kept together", True)):
    scores = np.array([reported_and_real(number, together) for number in range(num_draws)])
    promised[name] = evaluation.block_interval(scores[:, 0] - scores[:, 1], np.arange(num_draws))
    print("{}: validation says {:.3f}, the test part {:.3f}".format(name, *scores.mean(axis=0)))
    print(f"    too optimistic by {promised[name].points} points")

# %% [markdown]
# With copies in both parts, validation promises far too much. Does the damage depend on the seed? The stored seeds are close together:

# %%
if profile.name != "smoke":
    assert promised["copies in both parts"].low > 0.15
    assert promised["copies kept together"].high < 0.1
print(claims.check_claim("09 points promised too much by copies on both sides", promised["copies in both parts"].estimate))

# %% [markdown]
# The model itself is about equally good in both cases (see its test accuracy). But with copies in
# both parts the *measurement* is wrong, and so is every choice that you base on it: the best validation score goes to
# models that memorise sentences. The fix is simple: split first, then augment only the training part. Duplicates in a data
# set cause the same leakage without any augmentation, so look for them before you split (`data.load_splits` removes
# repeated texts).

# %% [markdown]
# **Exercise 09.3 (debug): copies on both sides.** `make_parts(sentences, alter, num_validation)` should return the
# training part and the validation part. The first `num_validation` sentences, unaltered, are for validation. The training
# part consists of the other sentences, followed by an altered copy of each of them. The version below puts altered copies
# of the validation sentences into the training part. Fix it.


# %% tags=["exercise"]
def make_parts(sentences, alter, num_validation):
    made = [*sentences, *(alter(sentence) for sentence in sentences)]
    return made[num_validation:], made[:num_validation]


# %% tags=["check"]
checks.check("09.3", make_parts)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def make_parts_solution(sentences, alter, num_validation):
    validation, train = sentences[:num_validation], sentences[num_validation:]  # split first
    return [*train, *(alter(sentence) for sentence in train)], validation


# %% tags=["check"]
checks.check("09.3", make_parts_solution, mine=False)  # the same check, on the solution

# %% [markdown]
# ## Quiz
#
# Three questions to check what you have learned.

# %% tags=["check"]
checks.quiz("09")

# %% [markdown]
# ## Summary
#
# * A point of a learning curve is a mean over draws, because a single draw can mislead you. For an interval, resample
#   both the training and the test sentences.
# * With few labels use a pretrained encoder; frozen features with a linear head are hard to beat. From about a thousand labels
#   on the lead over word counts shrinks, and fine-tuning becomes worth its price (notebook 06). An LSTM from scratch needs the most
#   labels of all.
# * Compare augmentation with plain copies, and look at the interval. New sentences with pseudo-labels help word counts more
#   than altered ones.
# * Continued pretraining needs millions of tokens from your domain. A few hundred sentences are not enough.
# * Confident learning gives you a list of sentences to read, not to delete. It contains several times as many wrong
#   labels as a random sample of the same size.
# * Split first, then augment.
#
# **To think about.** You may label 200 more sentences. Would you draw them at random, or take those on which the model
# is least confident? What would that do to your test part if it came from the same pool?
#
# **Next:** in [10 Adaptive and cross-model](10_adaptive_and_cross_model.ipynb) training changes its own settings, and several
# models work together.
