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
# # 07 · Three kinds of tuning
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/fine-tuning-course/fine-tuning-course/blob/v0.2.0/notebooks/07_three_kinds_of_tuning.ipynb) · [words and terms 术语表](../docs/GLOSSARY.md)
#
# **What you will be able to do:** search hyperparameters on the validation part with a study that survives a crash,
# choose which parameters of a pretrained model to train and with which learning rates, change its structure without
# breaking it, and show in one picture what each of these is worth.
#
# **Before you start:** notebook 06. **Time:** one hour to read and play; the code takes about two minutes.

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
import re
import time
from collections import namedtuple

import matplotlib.pyplot as plt
import numpy as np
import optuna
import torch
from accelerate import Accelerator
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from scipy import stats
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from torch import nn

from course_utils import batching, claims, data, diagrams, evaluation, files, layers, plots, prediction, pretrained
from course_utils import profiles, text, training
from course_utils.exercises import checks

plots.use_style()
optuna.logging.set_verbosity(optuna.logging.WARNING)  # it reports every trial otherwise
profile, seed, device = profiles.get_profile(), profiles.get_seed(), Accelerator().device

# %% [markdown]
# Fine-tuning has <abbr title="超参数微调、参数微调、结构微调">three kinds of knobs</abbr>:
#
# * **hyperparameters**: numbers that you *give* to training, such as the learning rate;
# * **parameters**: the model's weights. You choose which of them training may *change*;
# * **structure**: the layers themselves. You can replace them, add new ones or drop some.
#
# We turn all three, train on the same sentences every time, and compare the results at the end.
#
# ## 1 Some sentences, and states that are computed once
#
# A search trains many models, so each training run has to be cheap. We take 2,000 training sentences and truncate them to
# 32 tokens. The layers below those that we train are **frozen**: they give the same states in every epoch and in every
# <abbr title="试验">trial</abbr>, so we compute these states once. We test on all 1,520 test sentences.

# %%
sizes = {"smoke": (64, 48, 64), "workshop": (2_000, None, None), "full": (None, None, None)}[profile.name]
parts = data.Splits(*map(data.evenly, data.load_splits("rotten_tomatoes"), sizes))
train, validation, test = parts
tokenizer, model = pretrained.load_tokenizer(), pretrained.load_classifier(seed=seed).to(device)
encoded = data.Splits(*(text.encode_wordpieces(part, tokenizer, max_length=32) for part in parts))
D, L = model.config.hidden_size, model.config.num_hidden_layers
print(f"sentences: {[len(part) for part in parts]}; layers L = {L}, width D = {D}")

# %% [markdown]
# How long does this take? Each line below starts from the states of the line before.

# %% tags=["nbval-ignore-output"]
states, seconds_to = {}, {0: 0.0}
for layer, start in ((0, 0), (4, 0), (5, 4), (6, 5)):
    began = time.perf_counter()
    below = states[start] if start else encoded
    states[layer] = data.Splits(*(layers.hidden_states(model, part, layer=layer, start=start) for part in below))
    share = len(train) / sum(map(len, parts))  # what the training sentences alone cost
    seconds_to[layer] = seconds_to[start] + share * (time.perf_counter() - began)
    print(f"states that enter layer {layer}: {seconds_to[layer]:4.1f} s for the training sentences")

# %% [markdown]
# `states[4]` is what enters layer 4: what the word embeddings and the layers 0 to 3 have made of each sentence.
# `states[6]` has passed all six layers. Before we tune anything, we need two baselines: always the same class, and
# counting words.

# %% tags=["approx"]
words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
began = time.perf_counter()
linear = LogisticRegression(C=4, max_iter=1000).fit(words.fit_transform(train.texts), train.labels)
words_seconds = time.perf_counter() - began
words_right = linear.predict(words.transform(test.texts)) == test.labels
print("always class 0:", np.mean(test.labels == 0))
print("TF-IDF + logistic regression:", evaluation.block_interval(words_right, test.blocks))

# %% [markdown]
# Look at the width of that interval. If the intervals of two models overlap, that says little about their *difference*. So we
# compare models sentence by sentence (paired differences), and we trust a difference only if its interval does not
# contain zero. What can we see? If two models disagree on 15 % of $n = 1520$ sentences, a difference of
# $2.8 \sqrt{0.15 / n}$, about three points, is visible in four of five experiments (notebook 13).
#
# ## 2 Hyperparameters
#
# Let $\lambda$ be all hyperparameters together (in notebook 06 it means one of them, the weight decay). For a given
# $\lambda$, training finds the parameters $w(\lambda)$ with the smallest loss $L_{\text{train}}$. A **search** looks
# for the $\lambda$ whose trained model has the best accuracy $A_{\text{validation}}$ on sentences that it was not
# trained on:
#
# $$\lambda^* = \arg\max_\lambda\; A_{\text{validation}}\big(w(\lambda)\big), \qquad w(\lambda) = \arg\min_w L_{\text{train}}(w; \lambda).$$
#
# You cannot choose $\lambda$ on the training part, because the best score there goes to the model that overfits most.
# You must not choose it on the test part either: then the accuracy there is no longer an unbiased estimate (section 6
# shows the damage). So you choose on the **validation part**.
#
# ### A model small enough for hundreds of trials
#
# To learn about *searching* we need hundreds of trials. So the model of this section is small: a **linear head** on
# frozen states. It has four hyperparameters: the layer whose states it reads, the **pooling** that turns these states
# into one vector, the learning rate and the weight decay.

# %%
pool = {"cls": lambda s: s[0], "mean": lambda s: s.mean(axis=0), "max": lambda s: s.max(axis=0)}  # (T, D) to (D,)
features = {
    (layer, name): data.Splits(*(np.stack([vector(s) for s in part.hidden_states]) for part in states[layer]))
    for layer in (4, 5, 6)
    for name, vector in pool.items()
}
print("features of the training sentences:", features[6, "mean"].train.shape)


# %%
def run_trial(layer, pooling, learning_rate, weight_decay, num_epochs=6):
    """Return the head and its validation accuracy after each epoch."""
    x, curve = features[layer, pooling], []
    head = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=learning_rate,
                         alpha=weight_decay, random_state=seed)  # fmt: skip
    for _ in range(num_epochs):
        head.partial_fit(x.train, train.labels, classes=[0, 1])  # one epoch
        curve.append(head.score(x.validation, validation.labels))
    return head, curve


# %% [markdown]
# ### Random search
#
# The simplest method is <abbr title="随机搜索">random search</abbr>: draw the hyperparameters at random, train, and keep
# the best. We draw learning rates **on a log scale**, since there is as much to try between 0.001 and 0.01 as between
# 0.1 and 1. A grid of the same size would try only a few different learning rates, each of them many times. Random
# draws never repeat one (Bergstra and Bengio, 2012).


# %%
def draw(rng):
    return {
        "layer": int(rng.integers(4, 7)),
        "pooling": str(rng.choice(list(pool))),
        "learning_rate": float(10 ** rng.uniform(-5, 0)),
        "weight_decay": float(10 ** rng.uniform(-6, -1)),
    }


# %%
num_searches, num_trials = (2, 12) if profile.name == "smoke" else (8, 20)
rng = np.random.default_rng(seed)
drawn = [draw(rng) for _ in range(num_searches * num_trials)]  # several searches, one after the other

# %% tags=["nbval-ignore-output"]
heads, curves = zip(*(run_trial(**choice) for choice in drawn), strict=True)
values = np.array(curves)[:, -1]  # validation accuracy at the end of each trial
best = int(values[:num_trials].argmax())
print(f"first search, {num_trials} trials: {values[:num_trials].min():.2f} to {values[best]:.2f}; the best is")
print("layer {layer}, {pooling} pooling, rate {learning_rate:.1e}, decay {weight_decay:.1e}".format(**drawn[best]))

# %% [markdown]
# The gap between the worst and the best trial of one search is larger than the gap between most models of this course.
# Which trials are good? We plot those of all searches:

# %%
rates = np.log10([choice["learning_rate"] for choice in drawn])
pooled_by = np.array([choice["pooling"] for choice in drawn])
fig, ax = plt.subplots()
for i, name in enumerate(pool):
    here, marker = pooled_by == name, plots.MARKERS[i]
    ax.plot(10 ** rates[here], values[here], marker, color=plots.COLOURS[i], markersize=5, label=name)
ax.axhline(0.5, color="black", linewidth=0.8, linestyle=":")
ax.legend(title="pooling", loc="lower left", bbox_to_anchor=(1, 0.3))
ax.set(xscale="log", xlabel="learning rate", ylabel="validation accuracy")
ax.set_title("The pooling decides most, then the learning rate")
plots.show(fig, alt="Validation accuracy of every random trial against its learning rate on a log axis. Mean pooling is best up to "
           "rates of about 0.01 and falls off beyond. Max pooling does best at the smallest rates and at a few of the largest. "
           "CLS pooling stays below the best of mean pooling up to rates of about 0.1, often at one half.")  # fmt: skip

# %% [markdown]
# **Exercise 07.1 (complete): drawing a learning rate on a log scale.** A generator gives you `u`, a number drawn
# uniformly between 0 and 1. Write `rate_from(u, low, high)`, which turns it into a learning rate: `low` for $u = 0$,
# `high` for $u = 1$, and each power of ten in between equally likely. For example, `rate_from(0.5, 1e-4, 1.0)` is
# $10^{-2}$, half-way between $10^{-4}$ and $10^0$.


# %% tags=["exercise"]
def rate_from(u, low, high):
    raise NotImplementedError


# %% tags=["check"]
checks.check("07.1", rate_from)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def rate_from_solution(u, low, high):
    return 10 ** (np.log10(low) + u * (np.log10(high) - np.log10(low)))


# %% tags=["check"]
checks.check("07.1", rate_from_solution, mine=False)  # the same check, on the solution above


# %% [markdown]
# With **mean** pooling (squares), nearly every trial reaches 0.70 up to a learning rate of about 0.01. Beyond it there
# is a cliff: training becomes unstable, and the accuracy can fall to chance level. **Max** pooling (triangles) has its
# cliff much earlier, and only a few of its trials with large learning rates do well again. With **`[CLS]`** (circles),
# which notebook 06 used, most trials stay at chance level, because our checkpoint was trained to put the meaning of a
# sentence into the mean of its states. So find out how your checkpoint was trained.
#
# Why is there no cliff on the left? The prediction of a *linear* head depends only on the direction of its weights, and
# tiny steps in the right direction give that direction too. (For a deep network this is not true, as the real study
# below shows.)
#
# ### TPE: a search that learns from its trials
#
# Random search learns nothing from its earlier trials, but **TPE** (tree-structured Parzen estimator; Bergstra and
# others, 2011) does. It calls the best few trials so far *good* (below we take a quarter, Optuna takes a tenth) and the
# others *bad*. It estimates how each group is distributed: $l(\lambda)$ for the good trials and $g(\lambda)$ for the
# bad ones. Next it tries a $\lambda$ for which
#
# $$\frac{l(\lambda)}{g(\lambda)}$$
#
# is large, because there good trials are common and bad ones are rare. For the pooling, we can compute this ratio by
# hand:

# %% tags=["nbval-ignore-output"]
good, ratios = values >= np.quantile(values, 0.75), {}
for name in pool:
    among_good, among_bad = (pooled_by[good] == name).mean(), (pooled_by[~good] == name).mean()
    ratios[name] = among_good / among_bad
    print(f"{name:4} l = {among_good:.0%} of the good trials, g = {among_bad:.0%} of the bad: l / g = {ratios[name]:.1f}")

# %% [markdown]
# The next trial should use the pooling with the largest ratio. A learning rate is continuous, so there the shares
# become densities. Here they are for the trials with mean pooling:

# %%
mean = pooled_by == "mean"
better = values[mean] >= np.quantile(values[mean], 0.75)
density_good, density_bad = stats.gaussian_kde(rates[mean][better]), stats.gaussian_kde(rates[mean][~better])
grid = np.linspace(-5, 0, 101)
next_rate = 10 ** grid[np.argmax(density_good(grid) / density_bad(grid))]

# %%
fig, ax = plt.subplots(figsize=(7, 3))
curve_of = {"l: good trials": density_good(grid), "g: bad trials": density_bad(grid)}
plots.curves(ax, curve_of, x=10**grid, marks=False)
for i, group in enumerate((better, ~better)):
    ax.plot(10 ** rates[mean][group], np.full(group.sum(), -0.04 * (i + 1)), "|", color=plots.COLOURS[i])
ax.axvline(next_rate, color="black", linestyle=":", label="largest l / g: try here next")
ax.legend(loc="upper right")
ax.set(xscale="log", xlabel="learning rate", ylabel="density over log10 of the rate")
ax.set_title("TPE tries where good trials cluster")
plots.show(fig, alt="Two smooth densities over the learning rate on a log axis. Good trials cluster at small rates, "
           "bad ones spread over the whole range with most at large rates; a dotted line marks the largest ratio of the two.")  # fmt: skip

# %% [markdown]
# **Optuna** does this for any number of hyperparameters; every `suggest_...` call defines one. It needs some finished
# trials to estimate the ratio (`n_startup_trials`, 10 by default, here 5), and they are random. To be fair, both methods
# get the same budget *and the same start*: each TPE search begins with the first five trials of a random search
# (`enqueue_trial`). So all that differs is what comes after them.


# %%
def objective(trial):
    layer = trial.suggest_int("layer", 4, 6)
    pooling = trial.suggest_categorical("pooling", list(pool))
    learning_rate = trial.suggest_float("learning_rate", 1e-5, 1, log=True)
    weight_decay = trial.suggest_float("weight_decay", 1e-6, 1e-1, log=True)
    return run_trial(layer, pooling, learning_rate, weight_decay)[1][-1]


# %%
studies = []
for search in range(num_searches):
    sampler = optuna.samplers.TPESampler(seed=100 * seed + search, n_startup_trials=5)
    studies.append(optuna.create_study(direction="maximize", sampler=sampler))
    for choice in drawn[num_trials * search : num_trials * search + 5]:
        studies[-1].enqueue_trial(choice)
    studies[-1].optimize(objective, n_trials=num_trials)

# %% [markdown]
# Does Optuna do what we did by hand? We know which pooling has the largest ratio. After its random start, TPE should
# prefer it.

# %%
later = [trial.params["pooling"] for study in studies for trial in study.trials[5:]]
by_hand, by_optuna = max(ratios, key=ratios.get), max(pool, key=later.count)
assert by_hand == by_optuna or profile.name == "smoke"
print("largest ratio by hand:", by_hand, "| tried most by TPE:", by_optuna)

# %% [markdown]
# It does. Does it also find better models? The usual plot shows the best value found so far.

# %%
best_so_far = {
    "random search": np.maximum.accumulate(values.reshape(num_searches, num_trials), axis=1),
    "TPE": np.maximum.accumulate([[t.value for t in study.trials] for study in studies], axis=1),
}
fig, ax = plt.subplots()
plots.curves(ax, {name: found.mean(axis=0) for name, found in best_so_far.items()})
for i, found in enumerate(best_so_far.values()):
    ax.fill_between(range(1, num_trials + 1), found.min(axis=0), found.max(axis=0), color=plots.COLOURS[i], alpha=0.15)
ax.set_xticks(range(0, num_trials + 1, 4))
ax.set(xlabel="trials", ylabel="best validation accuracy so far", title=f"Two ways to search, {num_searches} searches each")
plots.show(fig, alt="Best validation accuracy so far against the number of trials, mean and range over several searches, for random "
           "search and for TPE. Both climb fast over the first trials, then slowly; the shaded ranges overlap.")  # fmt: skip

# %% tags=["nbval-ignore-output"]
lead = best_so_far["TPE"][:, -1] - best_so_far["random search"][:, -1]  # one difference for each search
gain = evaluation.block_interval(lead, np.arange(num_searches))
assert np.allclose(best_so_far["TPE"][:, :5], best_so_far["random search"][:, :5])  # the same start
print(f"TPE minus random after {num_trials} trials: {gain.points} points: {gain.verdict_within(0.01)}")

# %% [markdown]
# The result of a single search is mostly luck: look at the shaded ranges. Then read the last printed line. TPE can also
# draw the wrong conclusion from unlucky first trials and then keep repeating it.
#
# TPE pays off when trials are expensive and there are many hyperparameters. Random search is the baseline that it has
# to beat, and all trials of a random search can run in parallel.
#
# ### Stop hopeless trials
#
# For most trials you can see early that they will not win. The **median rule** stops a trial if its best value so far
# is below the median of what earlier finished trials had at the same epoch. By hand this is one line. We replay our
# random trials and compare each decision with that of Optuna's `MedianPruner`.


# %%
def unpromising(so_far, finished):
    return max(so_far) < np.median([earlier[len(so_far) - 1] for earlier in finished])


# %%
replay = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=5))
finished, epochs_spent = [], 0
for curve in curves:
    trial, stop, so_far = replay.ask(), False, []
    while not stop and len(so_far) < len(curve):
        so_far.append(curve[len(so_far)])
        trial.report(so_far[-1], len(so_far) - 1)
        stop = len(finished) >= 5 and unpromising(so_far, finished)
        assert stop == trial.should_prune()
    epochs_spent += len(so_far)
    finished += [] if stop else [curve]
    replay.tell(trial, None if stop else curve[-1], state=optuna.trial.TrialState(2 if stop else 1))
print("by hand and Optuna agree at every epoch of", len(curves), "trials")

# %% tags=["nbval-ignore-output"]
print(f"stopped early: {len(curves) - len(finished)} of {len(curves)} trials")
print(f"epochs spent: {epochs_spent} of {sum(map(len, curves))}")
print(f"best value with the rule {max(curve[-1] for curve in finished):.3f}, without {values.max():.3f}")

# %% [markdown]
# The rule saves most of the epochs, and the best value is hardly lower, if at all. It becomes
# stricter as the search goes on, because only trials that finish enter the median. It can also stop a slow starter, for
# example a small learning rate that would have converged in the end. With `n_warmup_steps`, every trial gets a few
# epochs before it is judged.
#
# ### Which hyperparameters mattered?
#
# How much of the variance between trials does one hyperparameter explain on its own? To estimate this by hand, group
# the trials by its value (into five groups if it is continuous), and compare the variance of the group means with the
# total variance. **fANOVA** (Hutter and others, 2014), which is part of Optuna, answers the same question with a random
# forest fitted to the trials. It averages over the ranges on a linear scale, where nine tenths of the learning rates
# lie above 0.1, so we give it the logarithms instead. We use the random trials, because they are spread evenly. The
# trials of TPE cluster where it expected good results.


# %%
def explained(name):
    column = np.array([choice[name] for choice in drawn])
    if column.dtype.kind == "f":
        column = np.digitize(column, np.quantile(column, [0.2, 0.4, 0.6, 0.8]))
    return np.var([values[column == group].mean() for group in column]) / values.var()


# %%
Float = optuna.distributions.FloatDistribution
ranges = studies[0].trials[0].distributions | {"learning_rate": Float(-5, 0), "weight_decay": Float(-6, -1)}
random_study = optuna.create_study(direction="maximize")
for choice, value in zip(drawn, values, strict=True):
    logs = {name: float(np.log10(choice[name])) for name in ("learning_rate", "weight_decay")}
    random_study.add_trial(optuna.create_trial(params=choice | logs, distributions=ranges, value=value))
forest = optuna.importance.FanovaImportanceEvaluator(seed=seed)
fanova = optuna.importance.get_param_importances(random_study, evaluator=forest)

# %%
names, places = sorted(ranges, key=explained), np.arange(4)
bars = {"variance of group means": [explained(name) for name in names], "fANOVA": [fanova[name] for name in names]}
fig, ax = plt.subplots(figsize=(7, 2.8))
for i, (name, shares) in enumerate(bars.items()):
    ax.barh(places + 0.2 - 0.4 * i, shares, 0.38, color=plots.COLOURS[4 * i], hatch="//" * i, label=name)
ax.set_yticks(places, names)
ax.legend(loc="lower right")
ax.set(xlabel="share of the variance explained", title="What mattered: two estimates")
plots.show(fig, alt="Bars of the share of variance that pooling, learning rate, layer and weight decay explain, by hand and by fANOVA. "
           "The two estimates differ in length; weight decay is short in both.")  # fmt: skip

# %% [markdown]
# The two estimates come from the same trials, but they need not agree: read the order, which is the same here, not the
# second digit. Also note the words **on its own**. The cliff of the learning rate is at a different value for each
# pooling, so averaging over all poolings hides much of its effect. What is its share with mean pooling only?

# %% tags=["nbval-ignore-output"]
fifths = np.digitize(rates[mean], np.quantile(rates[mean], [0.2, 0.4, 0.6, 0.8]))
of_rate = np.var([values[mean][fifths == group].mean() for group in fifths]) / values[mean].var()
print(f"share of the learning rate: all trials {explained('learning_rate'):.0%}, mean pooling only {of_rate:.0%}")

# %% [markdown]
# It is much larger. So tune the hyperparameters with the long bars first, then measure again. To a search, a choice of
# *structure*, such as the pooling, is a hyperparameter like any other.
#
# ### A real study: in a file, pruned, resumed
#
# Now a study as you would run it for real: we fine-tune the **top layer** of the encoder on half of the sentences. Four
# things let it run unattended for a whole night:
#
# 1. Each trial reports after each epoch and asks whether to go on (`on_epoch` of `training.fit`).
# 2. Every trial is written to a **file** as soon as its result is known.
# 3. The study has a name. Optuna refuses to create a second one of the same name, so you never mix old and new results
#    by accident.
# 4. You can load a stopped study and continue it.


# %%
few = states[5].train.take(np.arange(0, len(train), 2))
top = layers.UpperLayers(model, 5)
quiet = lambda history: None  # noqa: E731  (no progress bar)


# %%
def tune_top_layer(trial):
    rate = trial.suggest_float("learning_rate", 1e-5, 3e-2, log=True)
    batch_size = trial.suggest_categorical("batch_size", [8, 16, 32])
    warmup = trial.suggest_float("warmup_ratio", 0.0, 0.4)
    config = training.TrainingConfig(num_epochs=2, learning_rate=rate, batch_size=batch_size, warmup_ratio=warmup, seed=seed)
    candidate = copy.deepcopy(top)
    candidate.pooling = trial.suggest_categorical("pooling", list(pool))

    def report(history):  # after each epoch
        trial.report(history.records[-1].validation_accuracy, step=len(history.records) - 1)
        if trial.should_prune():
            raise optuna.TrialPruned

    history = training.fit(candidate, few, states[5].validation, config, on_step=quiet, on_epoch=report)
    return history.records[-1].validation_accuracy


# %% [markdown]
# This notebook starts with an empty study, so `unlink` deletes the file of an earlier run. Leave out that line in your
# own work.


# %%
def settings_of_study(sampler_seed):
    file = JournalFileBackend(str(journal), lock_obj=JournalFileOpenLock(str(journal)))
    return {
        "study_name": "top layer",
        "storage": JournalStorage(file),
        "sampler": optuna.samplers.TPESampler(seed=sampler_seed, n_startup_trials=4),
        "pruner": optuna.pruners.MedianPruner(n_startup_trials=3),
    }


# %%
journal = files.kernel_folder("07_study") / "study.journal"
study = optuna.create_study(direction="maximize", **settings_of_study(seed))
study.optimize(tune_top_layer, n_trials=8)
print(len(study.trials), "trials in the file")

# %% [markdown]
# Now something goes wrong. A trial starts, and the kernel dies before it ends. In the morning somebody runs the same
# script again. What happens?

# %%
study.ask()  # started and never finished: what a dead kernel leaves behind
del study
try:
    optuna.create_study(direction="maximize", **settings_of_study(seed))
except optuna.exceptions.DuplicatedStudyError:
    print("refused: there is a study of this name. Load it, or choose another name.")

# %% [markdown]
# The old trials are safe. So load the study instead, mark the interrupted trial as failed, and continue:

# %%
study = optuna.load_study(**settings_of_study(seed + 1))  # another seed: the old one would repeat its first draws
for trial in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
    study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    print(f"trial {trial.number} was interrupted: marked as failed")
study.optimize(tune_top_layer, n_trials=2)
print(f"{len(study.trials)} trials in the file: 8 from before, 1 interrupted, 2 new")

# %% [markdown]
# Nothing was lost and nothing was mixed up. The sampler's random state is *not* in the file, hence the new seed. How
# well did the trials do?

# %%
fig, ax = plt.subplots(figsize=(7, 3))
for i, (label, state) in enumerate({"finished": "COMPLETE", "pruned after an epoch": "PRUNED"}.items()):
    chosen = [t for t in study.trials if t.state.name == state]
    reached = [[*t.intermediate_values.values()][-1] for t in chosen]
    rate = [t.params["learning_rate"] for t in chosen]
    ax.plot(rate, reached, "ox"[i], color=plots.COLOURS[i], markersize=7, label=label)
ax.axhline(0.5, color="black", linewidth=0.8, linestyle=":")
ax.legend()
ax.set(xscale="log", xlabel="learning rate", ylabel="validation accuracy")
ax.set_title("A rate far from the middle costs several points")
plots.show(fig, alt="Validation accuracy of the trials of the top layer against the learning rate on a log axis: finished trials form "
           "a peak between 0.0001 and 0.001, and pruned trials lie below it.")  # fmt: skip

# %% [markdown]
# For a real layer the accuracy has a peak. If the learning rate is too small, the model does not converge in two
# epochs. If it is too large, training destroys the layer. A learning rate that is wrong by a factor of ten costs
# several points. If a trial with a good learning rate was pruned, look at its other hyperparameters: the one in our
# picture had max pooling and a long warm-up. With so few validation sentences, the order of the best trials is luck.
# Take a learning rate from the middle of the good range, not the single best one.
#
# ## 3 Parameters
#
# ### Which parameters to train, and how fast
#
# You can train the head only, train everything, or choose something in between. The lower layers contain what is true
# of English in general, the upper layers what is specific to the pretraining task, and our few sentences should not
# overwrite the former. There are four choices:
#
# * **head only**: pooler and linear layer; the encoder stays frozen;
# * **top $k$ layers** and the head;
# * **all layers** (the embeddings stay frozen, as in notebook 06);
# * all layers with **layer-wise learning-rate decay** (Howard and Ruder, 2018): the learning rate falls from layer to
#   layer. The head has the learning rate $\eta$. With $L$ layers and a decay $\xi < 1$, layer $k$ has
#
# $$\eta_k = \eta\, \xi^{\,L - k} \qquad \text{for } k = 0, \dots, L - 1.$$
#
# You give these learning rates to an optimiser as a list of **parameter groups**. We build it by hand first, from the
# parameters' names:

# %%
eta, xi = 4e-4, 0.7


# %%
def rate_of(name):
    if name.startswith(("bert.pooler", "classifier")):
        return eta
    layer = re.search(r"layer\.(\d+)\.", name)
    return eta * xi ** (L - int(layer[1]) if layer else L + 1)  # without a number: the embeddings


# %%
rate_by_hand = {id(parameter): rate_of(name) for name, parameter in model.named_parameters()}
groups = layers.layerwise_groups(model, learning_rate=eta, decay=xi)
rate_packaged = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
assert rate_by_hand.keys() == rate_packaged.keys()
assert all(np.isclose(rate_by_hand[key], rate_packaged[key]) for key in rate_by_hand)
print(f"the learning rates of {len(rate_by_hand)} parameters by hand = those of {len(groups)} groups from the package")

# %% [markdown]
# The package makes two groups for each learning rate, because biases and norms get no weight decay. The next picture
# shows, for each choice, the learning rate of each part as a share of the head's.

# %%
layers_move = {"head only": [0] * L, "top layer": [0] * (L - 1) + [1], "top 2 layers": [0] * (L - 2) + [1, 1],
               "all layers": [1] * L, "all layers, falling rates": [xi ** (L - k) for k in range(L)]}  # fmt: skip
ways, moves = list(layers_move), np.array([[0, *row, 1] for row in layers_move.values()])
names_of_parts = ["embeddings", *(f"layer {k}" for k in range(L)), "head"]
fig, ax = plt.subplots(figsize=(8.5, 2.8))
plots.heat_map(ax, moves, rows=ways, columns=names_of_parts, numbers="{:.2f}")
ax.set_title("Learning rate of each part, as a share of the head's")
plots.show(fig, alt="Table of shades: five ways of tuning down, parts of the model across, from embeddings to head. Ones where a part "
           "has the full learning rate, zeros where it is frozen, and rising fractions for falling rates.")  # fmt: skip

# %% [markdown]
# **Exercise 07.2 (predict): the learning rate of the lowest layer.** Another model has $L = 4$ layers. Its head has the
# learning rate $\eta = 0.0016$, and the decay is $\xi = 0.5$. What is the learning rate of layer 0? Work it out on
# paper.


# %% tags=["exercise"]
my_lowest_rate = ...


# %% tags=["check"]
checks.check("07.2", my_lowest_rate)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
my_lowest_rate_solution = 0.0016 * 0.5**4


# %% tags=["check"]
checks.check("07.2", my_lowest_rate_solution, mine=False)  # the same check, on the solution above


# %% [markdown]
# ### Train them
#
# All of these are the same model, split at a different layer. Everything below the split is frozen, so its output comes
# from `states`. One function trains them all. It stores the predictions on the test part, but we do **not look** at
# them until section 5.


# %%
# Correct or not on the test part, bool (n,); trained parameters; seconds, with the time for the frozen states.
Run = namedtuple("Run", ["right", "trained", "seconds"])
glance = {cut: part.validation.take(np.arange(0, len(validation), 8)) for cut, part in states.items()}


# %%
def fresh(cut):
    classifier = copy.deepcopy(model, {id(model.bert.embeddings): model.bert.embeddings})  # the frozen table is shared
    layers.freeze_below(classifier, cut)
    return classifier


# %%
def tune(classifier, cut, learning_rate, *, pooling="mean", num_epochs=1, decay=None):
    upper = layers.UpperLayers(classifier, cut, pooling=pooling)
    config = training.TrainingConfig(num_epochs=num_epochs, learning_rate=learning_rate, batch_size=16, seed=seed)
    groups = layers.layerwise_groups(classifier, learning_rate=learning_rate, decay=decay or 1.0)
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, fused=True)
    history = training.fit(upper, states[cut].train, glance[cut], config, optimizer=optimizer, on_step=quiet)
    right = prediction.evaluate(upper, states[cut].test).predictions == test.labels
    return Run(right, layers.count_parameters(upper).trainable, history.seconds + seconds_to[cut])


# %% [markdown]
# Every run takes one epoch. Only a head alone takes three, because its epochs are nearly free once the states are
# there. We found the learning rates on validation sentences before writing this notebook: the more parameters we train,
# the smaller the learning rate.

# %%
runs = {"TF-IDF + logistic regression": Run(words_right, linear.coef_.size + 1, words_seconds)}
runs["head only"] = tune(fresh(L), L, 2e-3, num_epochs=3)
runs["top layer"] = tune(fresh(5), 5, 1e-3)
runs["top 2 layers"] = tune(fresh(4), 4, 1e-3)

# %%
runs["all layers"] = tune(fresh(0), 0, 2e-4)

# %%
runs["all layers, falling rates"] = tune(fresh(0), 0, eta, decay=xi)
for name, run in runs.items():
    print(f"{name:29} {run.trained:>12,} parameters trained")

# %% [markdown]
# From the first row to the last, the number of parameters grows about a thousandfold, and with it the number of
# gradients to compute and store. The last two rows train the same parameters, but with different learning rates.
#
# ## 4 Structure
#
# A model is a tree of modules, and you can replace each node. Three rules keep this safe:
#
# 1. Initialise new parts so that they change the outputs as little as possible.
# 2. Check the shapes on one batch before training.
# 3. Check that the parts you did not touch still give the same numbers.
#
# These are the four changes that we make:

# %%
diagrams.show(diagrams.structural_changes)

# %% [markdown]
# ### Swap the pooling
#
# One line picks the vector that the head sees. With a frozen encoder it was the hyperparameter that mattered most in
# section 2. Does it still matter when a layer can adapt to it?

# %%
for pooling in ("cls", "max"):
    runs[f"head only, {pooling} pooling"] = tune(fresh(L), L, 2e-3, num_epochs=3, pooling=pooling)
    runs[f"top layer, {pooling} pooling"] = tune(fresh(5), 5, 1e-3, pooling=pooling)

# %% [markdown]
# ### Replace the head
#
# From a pooled state $s \in \mathbb{R}^D$, the head of notebook 06 computes $W_c \tanh(W_p\, s + b_p) + b_c$, where
# $W_p \in \mathbb{R}^{D \times D}$ comes from pretraining and $W_c \in \mathbb{R}^{2 \times D}$ is new. We replace it
# by a plain linear layer, and in another copy by a head with one more layer.

# %%
bare = fresh(L)
bare.bert.pooler = nn.Flatten()  # (B, 1, D), what the pooling has made, to (B, D)
runs["head replaced: linear"] = tune(bare, L, 2e-3, num_epochs=3)
deeper = fresh(L)
torch.manual_seed(seed)
deeper.classifier = nn.Sequential(nn.Linear(D, 64), nn.ReLU(), nn.Linear(64, 2)).to(device)
runs["head replaced: one layer more"] = tune(deeper, L, 2e-3, num_epochs=3)

# %% [markdown]
# ### Insert adapters
#
# An **<abbr title="适配器">adapter</abbr>** (Houlsby and others, 2019) is a narrow residual branch after each sublayer. It
# maps a state $h \in \mathbb{R}^D$ down to a bottleneck of $m \ll D$ numbers and up again. With
# $W_{\text{down}} \in \mathbb{R}^{m \times D}$, $W_{\text{up}} \in \mathbb{R}^{D \times m}$,
# $b_{\text{down}} \in \mathbb{R}^m$ and $b_{\text{up}} \in \mathbb{R}^D$:
#
# $$h \leftarrow h + W_{\text{up}}\; \mathrm{gelu}(W_{\text{down}}\, h + b_{\text{down}}) + b_{\text{up}} .$$
#
# $W_{\text{up}}$ and $b_{\text{up}}$ start at **zero**, so a new adapter is the identity. Training starts from the
# pretrained model, not from a damaged one.


# %%
class Adapter(nn.Module):
    def __init__(self, D, m):
        super().__init__()
        self.down, self.up = nn.Linear(D, m), nn.Linear(m, D)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, h):  # (..., D) to (..., D)
        return h + self.up(nn.functional.gelu(self.down(h)))


# %%
ours, packaged, h = Adapter(D, 16), layers.Adapter(D, 16), torch.randn(4, 7, D)
torch.testing.assert_close(ours(h), h, rtol=0, atol=0)
nn.init.normal_(ours.up.weight)  # now it does something
packaged.load_state_dict(ours.state_dict())
torch.testing.assert_close(packaged(h), ours(h))
print("a new adapter is the identity; by hand = packaged")

# %% [markdown]
# Now we insert them into the model: after the attention and after the feed-forward network of each layer. The encoder
# is frozen; we train the adapters, the layer norms and the head. Are the logits still the same?

# %%
adapted = fresh(L)
trained = layers.add_adapters(adapted, size=16, seed=seed)
print([type(module).__name__ for module in adapted.bert.encoder.layer[0].output.dense])
batch = batching.collate([encoded.train[i] for i in range(8)])
batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
with torch.no_grad():
    torch.testing.assert_close(adapted(**batch).logits, model(**batch).logits)
print(f"same logits as before; {trained:,} of {layers.count_parameters(adapted).total:,} parameters are trained")

# %% [markdown]
# How can an adapter learn if it starts at zero? Look at the first gradient. $W_{\text{up}}$ has a nonzero gradient,
# because its inputs (the activations of the bottleneck) are not zero. The gradient of $W_{\text{down}}$ is zero at the
# first step, since its output is multiplied by zero. From the second step on it is not.

# %%
adapted(**batch).loss.backward()
adapter = adapted.bert.encoder.layer[0].output.dense[1]
up, down = (part.weight.grad.abs().max().item() for part in (adapter.up, adapter.down))
assert up > 0 and down == 0
print(f"the gradient of W_up is zero: {up == 0}, that of W_down is zero: {down == 0}")
adapted.zero_grad()

# %%
runs["adapters in all layers"] = tune(adapted, 0, 2e-3)

# %% [markdown]
# **Exercise 07.3 (predict): what an adapter adds.** How many parameters does one adapter with bottleneck $m = 8$ have
# in a model of width $D = 384$? Count weights and biases together.


# %% tags=["exercise"]
my_adapter_size = ...


# %% tags=["check"]
checks.check("07.3", my_adapter_size)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
my_adapter_size_solution = 2 * 384 * 8 + 8 + 384


# %% tags=["check"]
checks.check("07.3", my_adapter_size_solution, mine=False)  # the same check, on the solution above


# %% [markdown]
# ### Drop layers
#
# The simplest change is to keep only the lower three of the six layers. The upper layers are the most specialised, and
# a model of half the depth trains and predicts in about half the time.

# %%
halved = fresh(0)
dropped = layers.keep_layers(halved, [0, 1, 2])
with torch.no_grad():
    kept = halved(**batch, output_hidden_states=True).hidden_states[-1]
    torch.testing.assert_close(kept, model(**batch, output_hidden_states=True).hidden_states[3])
print(f"dropped {dropped:,} parameters; the output is now what layer 2 computed before")
runs["upper 3 layers dropped"] = tune(halved, 0, 4e-4)

# %% [markdown]
# ## 5 All in one picture
#
# Now we look at the test part, once: accuracy with its interval, against the number of trained parameters and against
# the training time.

# %% tags=["nbval-ignore-output"]
scores = {name: evaluation.block_interval(run.right, test.blocks) for name, run in runs.items()}
gaps = {name: evaluation.difference_interval(run.right, runs["all layers"].right, test.blocks) for name, run in runs.items()}
print(f"{'':30} {'accuracy (95 % interval)':24} {'minus all layers':>22} {'trained':>10} {'seconds':>8}  verdict")
for name, run in runs.items():
    gap = gaps[name]
    says = "" if name == "all layers" else gap.verdict_within(0.02)
    print(f"{name:30} {scores[name]!s:24} {gap.points:>22} {run.trained:>10,} {run.seconds:8.1f}  {says}")

# %%
print(claims.check_claim("07 accuracy with all layers trained", scores["all layers"].estimate))
for name in ("head only", "adapters in all layers"):
    print(claims.check_claim(f"07 {name} minus all layers", gaps[name].estimate))

# %%
shown = ["TF-IDF + logistic regression", *ways, "adapters in all layers", "upper 3 layers dropped"]
fig, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
for i, name in enumerate(shown):
    run, score = runs[name], scores[name]
    look = {"fmt": (*plots.MARKERS, "X", "*")[i], "color": (*plots.COLOURS, "black", "#777777")[i], "markersize": 8}
    for ax, position in zip(axes, (run.trained, run.seconds), strict=True):
        bar = [[score.estimate - score.low], [score.high - score.estimate]]
        ax.errorbar(position, score.estimate, yerr=bar, elinewidth=1, label=name, **look)
axes[0].set(xscale="log", xlabel="trained parameters", ylabel="test accuracy, 95 % interval")
axes[1].set(xscale="log", xlabel="seconds of training")
axes[1].xaxis.set(major_locator=plt.LogLocator(subs=(1, 2, 5)), major_formatter="{x:g}", minor_formatter=plt.NullFormatter())
axes[0].set_title("A few trained parameters go far")
axes[1].set_title("Computing frozen layers once saves time")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
plots.show(fig, alt="Test accuracy with intervals of eight models, on the left against trained parameters and on the right against seconds, "
           "both on log axes. Word counts are lowest; models that train layers of the encoder are highest.")  # fmt: skip

# %% [markdown]
# Start with the column *minus all layers*, which compares predictions on the same sentences, and with the verdict. A model
# is *worse* if its interval is below zero, however small the difference; it is *equal* if the interval is within two
# points. If it is neither, the line says which difference this test part could have shown.
#
# These intervals know only one source of chance: which sentences are in the test part. All models above come from one
# seed. Another seed draws another head and another order of the batches, and every row moves. So we ran this notebook with
# five seeds, and recorded two of the differences. Their interval is Student's $t$ over the seeds (see notebook 10).


# %%
def over_seeds(values: np.ndarray) -> evaluation.Interval:
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return evaluation.Interval(values.mean(), values.mean() - half, values.mean() + half)


recorded = claims.stored_values("07 accuracy with all layers trained")
print("all layers, seed by seed:", *(f"{accuracy:.3f}" for accuracy in recorded))
for name in ("head only", "adapters in all layers"):
    gap = over_seeds(np.array(claims.stored_values(f"07 {name} minus all layers")))
    print(f"{name} minus all layers, {len(recorded)} seeds: {gap.points} points: {gap.verdict_within(0.02)}")

# %% [markdown]
# The same model, trained five times, differs by as much as some rows of the table do. The head alone loses in every seed.
# For the adapters five seeds cannot tell, whatever the verdict of the single run says. So do not choose a method by two
# points of one run.
#
# What is worth tuning depends on how much training data you have. With a few hundred sentences a linear head may be as good
# as all layers; with more, training layers of the encoder pays.
#
# Adapters train about 3 % of the parameters that "all layers" trains. They save memory and disk space more than time,
# because the forward pass and a part of the backward pass still run through the whole model. Training only the top
# layers does save time, because the frozen layers below are computed once. And what is the pooling worth?

# %% tags=["nbval-ignore-output"]
for name in ("head only", "top layer"):
    for pooling in ("cls", "max"):
        gap = evaluation.difference_interval(runs[name].right, runs[f"{name}, {pooling} pooling"].right, test.blocks)
        print(f"{name}, mean minus {pooling} pooling: {gap.points}: {gap.verdict_within(0.02)}")

# %% [markdown]
# Compare these differences with section 2, where the pooling decided most. There, the head was a single linear layer,
# trained by plain SGD: it can only weigh the numbers that the pooling gives it. Here the pretrained layer $W_p$ comes
# before it and is trained too. In the last two lines we also train the top layer of the encoder, which can learn to move
# what is needed into the vector that the
# head reads. In notebook 06 we trained all layers, the head read `[CLS]`, and the model was still the best. You cannot
# judge a choice of structure without the choice of trained parameters.

# %% [markdown]
# ## 6 Classic bug: tuning on the test set
#
# Nobody does it on purpose. You try a learning rate, look at the test accuracy, try another one, and report the best.
# We can measure what that does with the trials of the random search of section 2. Let 100 sentences of our test part be the *test set*, and let the rest play the **fresh** sentences of the future. Take $k$ trials, choose
# the best by accuracy on the 100, and measure its accuracy on the fresh ones. For comparison, we also choose by
# validation accuracy.

# %%
answers = [head.predict(features[c["layer"], c["pooling"]].test) for head, c in zip(heads, drawn, strict=True)]
right = np.array(answers) == test.labels  # (trials, n)
rng = np.random.default_rng(seed)


# %%
def choose_best(k, way):
    """Return the accuracy that would be reported, and the accuracy on fresh sentences."""
    order, tried = rng.permutation(len(test)), rng.choice(len(right), k, replace=False)
    small, future = order[: min(100, len(test) // 2)], order[min(100, len(test) // 2) :]
    on_small = right[np.ix_(tried, small)].mean(axis=1)
    best = np.argmax(on_small if way == "test" else values[tried])
    return on_small[best], right[tried[best], future].mean()


# %%
ks, series = [k for k in (1, 2, 5, 10, 20, 40, 80, 160) if k <= len(right)], {}
for way in ("test", "validation"):
    found = np.array([[choose_best(k, way) for _ in range(300)] for k in ks]).mean(axis=1)  # (ks, 2)
    series |= {f"chosen on {way}: reported": found[:, 0], f"chosen on {way}: fresh": found[:, 1]}

# %% [markdown]
# Each point in the picture is a mean over 300 such draws.

# %%
fig, ax = plt.subplots()
plots.curves(ax, series, x=ks)
ax.set(xscale="log", xlabel="configurations tried", ylabel="accuracy")
ax.set_title("If you choose on the test set, its accuracy is too high")
ax.set_xticks(ks, ks)
plots.show(fig, alt="Accuracy against the number of configurations tried, on a log axis. Chosen on the test set, the reported accuracy climbs "
           "above the accuracy on fresh sentences, more so with more trials. Chosen on validation, the two lines nearly coincide.")  # fmt: skip

# %% tags=["nbval-ignore-output"]
flattery = {}
for way in ("test", "validation"):
    flattery[way] = series[f"chosen on {way}: reported"][-1] - series[f"chosen on {way}: fresh"][-1]
    print(f"best of {ks[-1]}, chosen on {way}: reported minus fresh {100 * flattery[way]:+.1f} points")

# %% [markdown]
# The reported accuracy is the one that you would publish. If you choose on the test set, it is too high. If you choose on
# validation, it is not. The next cell checks this, whatever your seed is:

# %%
assert profile.name == "smoke" or (flattery["test"] > 0.01 and abs(flattery["validation"]) < 0.02)

# %% [markdown]
# **Exercise 07.4 (debug): the search that peeked.** `published(validation, test)` takes two lists with the accuracies
# of all trials. It should return a pair: the index of the trial to keep, and the accuracy that you may publish for it.
# Find the bug and fix it.


# %% tags=["exercise"]
def published(validation, test):
    chosen = int(np.argmax(test))
    return chosen, test[chosen]


# %% tags=["check"]
checks.check("07.4", published)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def published_solution(validation, test):
    chosen = int(np.argmax(validation))
    return chosen, test[chosen]


# %% tags=["check"]
checks.check("07.4", published_solution, mine=False)  # the same check, on the solution above


# %% [markdown]
# The fresh accuracy grows too, because the search does find better heads. But the accuracy reported on the test set
# grows faster: the winner is the trial with the best luck on these 100 sentences. If you choose on validation, the
# reported and the fresh accuracy agree. (The *validation* accuracy of the winner is too high in the same way, which is
# why nobody reports it.) To avoid this bug, do not touch the test part until the last cell.
#
# ## Quiz
#
# Three questions to check what you remember.

# %% tags=["check"]
checks.quiz("07")

# %% [markdown]
# ## Summary
#
# * **Hyperparameters**: search them on the validation part. Draw learning rates on a log scale. Random search is the
#   baseline; TPE and pruning spend the budget on promising trials. Keep the study in a file, give it a name, and resume
#   it with a new seed. Then ask which hyperparameters mattered.
# * **Parameters**: train the head alone, all layers, or something in between, with one learning rate or with layer-wise
#   decay. Compute frozen layers once.
# * **Structure**: swap the pooling or the head, insert adapters, drop layers. Adapters start as the identity; check
#   that on one batch.
# * Compare on the same sentences. A difference of two models is far less noisy than two accuracies side by side: most of
#   ours are clear, although the intervals of the accuracies overlap.
#
# **To think about.** You may label 500 more sentences or run 500 more trials. Which would you choose, and which of the
# pictures above supports your choice?
#
# **Next:** [08 More with less](08_more_with_less.ipynb) asks for the same accuracy from less: fewer trained parameters, fewer bits, fewer layers.
