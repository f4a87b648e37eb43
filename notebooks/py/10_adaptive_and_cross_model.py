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
# # 10 · Adaptive and cross-model
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/fine-tuning-course/fine-tuning-course/blob/v0.2.0/notebooks/10_adaptive_and_cross_model.ipynb) · [words and terms 术语表](../docs/GLOSSARY.md)
#
# **What you will be able to do:** write learning-rate schedules, gradual unfreezing and early stopping in a few lines each, and judge
# them at equal budget over several seeds; combine many models into one, by averaging predictions or by averaging
# weights; join models that differ (a BERT, word counts, an LSTM) by tuned weights, by stacking and by distillation; and
# say before an experiment which difference it can show.
#
# **Before you start:** notebooks 06 and 07. **Time:** one hour to read and play; the code takes about three minutes.

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
from collections import namedtuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from accelerate import Accelerator
from IPython.display import Markdown, display
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from torch import nn
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from course_utils import batching, data, evaluation, layers, models, plots, prediction, pretrained
from course_utils import profiles, text, training
from course_utils.device import choose_precision
from course_utils.exercises import checks

plots.use_style()
profile, seed, device = profiles.get_profile(), profiles.get_seed(), Accelerator().device

# %% [markdown]
# This notebook has two topics. **<abbr title="自适应微调">Adaptive fine-tuning</abbr>** changes its own settings during
# training: the learning rate, the trained layers, the moment to stop.
# **<abbr title="跨模型微调">Cross-model fine-tuning</abbr>** combines several models into one. Both are easy to write, and it
# is easy to believe that they help. So we compare all methods in the same way where we can: with the same number of
# training sentences, five seeds, all test sentences, and an interval. Where a method gets more sentences or fewer seeds,
# we say so.
#
# ## 1 Many runs have to be cheap
#
# We need several runs of every method, so each run has to be fast. We take 2,000 sentences, truncated to 32 word pieces,
# and train the **top layer** and the head. The five layers below are frozen, so we compute their states once (notebook 07).

# %%
sizes = {"smoke": (32, 24, 32), "workshop": (2_000, None, None)}.get(profile.name, (4_000, None, None))
tokenizer, model = pretrained.load_tokenizer(), pretrained.load_classifier(seed=seed).to(device)

everything = data.load_splits("rotten_tomatoes")
splits = data.Splits(*map(data.evenly, everything, sizes))
train, validation, test = splits
encoded = data.Splits(*(text.encode_wordpieces(part, tokenizer, max_length=32) for part in splits))
print("train, validation, test:", [len(part) for part in splits])

# %%
border = 5  # layers 0 to 4 are frozen, layer 5 trains
states = data.Splits(*(layers.hidden_states(model, part, layer=border) for part in encoded))
template = layers.UpperLayers(model, border, pooling="mean")
size = layers.count_parameters(template).total
print(f"states (T, D) of the first sentence: {states.train.hidden_states[0].shape}; parameters that train: {size:,}")


# %% [markdown]
# Each run starts with a new head, initialised from its seed. Everything else starts from the pretrained weights. The seed
# also fixes the order of the batches, so two methods with the same seed see the same sentences in the same order.
#
# Before any training, we compute the baselines: always class 0, word counts, and the model with an untrained head.


# %%
def fresh_top(head_seed):
    top = copy.deepcopy(template)
    torch.manual_seed(head_seed)
    nn.init.normal_(top.classifier.weight, std=0.02)
    nn.init.zeros_(top.classifier.bias)
    return top


def batches_of(head_seed, texts=states.train, num_epochs=2):
    sampler, batches = batching.LengthBucketSampler(texts.lengths, batch_size=16, seed=head_seed), []
    for epoch in range(num_epochs):
        sampler.set_epoch(epoch)
        batches += list(sampler)
    return batches


# %%
seeds = range(5 * seed, 5 * seed + (2 if profile.name == "smoke" else 5))
num_steps = len(batches_of(seeds[0]))
words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
linear_model = LogisticRegression(C=4, max_iter=1000).fit(words.fit_transform(train.texts), train.labels)
words_run = [linear_model.predict_proba(words.transform(part.texts)) for part in splits[1:]]  # twice (n, C)
words_right = words_run[1].argmax(axis=1) == test.labels
untrained = prediction.evaluate(fresh_top(seeds[0]), states.validation)

# %% tags=["nbval-ignore-output"]
print(f"{num_steps} steps in a run")
print(f"always class 0 {np.mean(test.labels == 0):.3f}, before training {untrained.accuracy:.3f}")
print(f"TF-IDF + logistic regression {evaluation.block_interval(words_right, test.blocks)}")

# %% [markdown]
# The model before training may be well above or below one half: the pretrained states already separate the two classes to
# some extent, so a random head can be lucky.
#
# ## 2 Adaptive: the learning rate as a function of the step
#
# A **<abbr title="学习率调度">schedule</abbr>** multiplies the learning rate $\eta$ by a factor $f(t)$ that depends on the
# step $t = 0, \dots, S - 1$, where $S$ is the number of steps. During the first $w$ steps, the warm-up, the factor rises
# from zero to one. Then it falls linearly or along half a cosine (Loshchilov and Hutter, 2017):
#
# $$f(t) = \frac{t}{w} \;\text{ if } t < w, \qquad \text{then}\quad f(t) = 1 - u \quad\text{or}\quad f(t) = \tfrac12 (1 + \cos \pi u), \quad u = \frac{t - w}{S - w}.$$
#
# Each schedule is a function of the step. We compare the last two with those of `transformers`.

# %%
warmup = num_steps // 10  # w


def constant(step):
    return 1.0


def linear(step):
    return step / warmup if step < warmup else 1 - (step - warmup) / (num_steps - warmup)


def cosine(step):
    return linear(step) if step < warmup else (1 + np.cos(np.pi * (1 - linear(step)))) / 2


# %%
steps = range(num_steps)
for factor, make_schedule in ((linear, get_linear_schedule_with_warmup), (cosine, get_cosine_schedule_with_warmup)):
    probe = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    library, rates = make_schedule(probe, warmup, num_steps), []
    for _ in steps:
        rates.append(probe.param_groups[0]["lr"])
        probe.step()
        library.step()
    np.testing.assert_allclose(rates, [0.5 * factor(t) for t in steps], atol=1e-12)
print("linear and cosine = the schedules of transformers; training.fit uses the linear one")

# %%
fig, ax = plt.subplots(figsize=(7, 2.6))
drawn = {factor.__name__: [factor(t) for t in steps] for factor in (constant, linear, cosine)}
plots.curves(ax, drawn, marks=False)
ax.set(
    xlabel="step", ylabel="factor on the learning rate", title="Both decays end near zero; the cosine stays high for longer"
)
plots.show(fig, alt="Factor on the learning rate over the steps of a run: constant at one, and two schedules that warm up over a tenth of the "
           "steps and then fall to zero, one in a straight line and one along half a cosine that starts flat.")  # fmt: skip

# %% [markdown]
# With both decays, the learning rates of all steps add up to half of the sum with a constant rate; the cosine only has more
# of it early. So if "decay helps", the reason may simply be that the constant learning rate was too high. To be fair to the
# baseline, we chose our learning rate for the **constant** schedule, on validation sentences before writing this notebook.
#
# ## 3 Adaptive: what depends on the layer
#
# **<abbr title="逐层学习率">Layer-wise rates</abbr>** are those of notebook 07: with a decay $\xi < 1$, each layer has a
# smaller learning rate than the one above. A parameter's name contains its layer, so this takes one line. Here `layers.0` is
# the top layer, one below the head. `base` is the learning rate before the schedule, and `set_rates` applies the schedule.

# %%
eta = 2e-4


def groups_of(top, decay):
    depth = {"layers.0": 1}  # the head and its pooler: 0; with more layers, one more for each
    return [{"params": [p], "base": eta * decay ** depth.get(name[:8], 0), "weight_decay": 0.01 * (p.ndim >= 2)}
            for name, p in top.named_parameters()]  # fmt: skip


def set_rates(optimizer, factor):
    for group in optimizer.param_groups:
        group["lr"] = group["base"] * factor


# %% [markdown]
# **<abbr title="逐层解冻">Gradual unfreezing</abbr>** (Howard and Ruder, 2018) changes which layers are trained. A randomly
# initialised head sends random gradients into the layers below, so at first only the head is trained. Then one layer after
# the other is unfrozen, from the top.


# %%
opens = {0: num_steps // 3}  # layer of the top: step from which it is trained


def gradual(top, step):
    for layer, first in opens.items():
        top.layers[layer].requires_grad_(step >= first)


# %% [markdown]
# The head is trained from the first step, the top layer after a third of the steps; with more layers, each would get a later
# step. The budget in sentences is the same, but the early steps are cheaper, because there is no backward pass through
# frozen layers.
#
# ## 4 Adaptive: what depends on the validation curve
#
# A schedule like those above is fixed before the first step. The next two methods react to the validation loss instead.
# They measure it every few steps; we call each measurement a **check**. **<abbr title="早停">Early stopping</abbr>** keeps
# the weights of the best check, and stops after more than `patience` checks without improvement.


# %%
class EarlyStopping:
    def __init__(self, patience):
        self.patience, self.best, self.stale, self.weights = patience, float("inf"), 0, None

    def see(self, loss, top):
        if self.stale > self.patience:
            return  # it has stopped
        self.stale = 0 if loss < self.best else self.stale + 1
        if loss < self.best:
            self.best, self.weights = loss, copy.deepcopy(top.state_dict())


# %% [markdown]
# **Reduce on plateau** does not stop. Each time more than `patience` checks have passed without improvement, it halves the
# learning rate and continues. You can call it with a step, like the schedules above.


# %%
class Plateau:
    def __init__(self, patience):
        self.patience, self.best, self.stale, self.factor = patience, float("inf"), 0, 1.0

    def see(self, loss, top=None):
        self.stale = 0 if loss < self.best else self.stale + 1
        self.best = min(self.best, loss)
        if self.stale > self.patience:
            self.factor, self.stale = self.factor / 2, 0

    def __call__(self, step):
        return self.factor


# %% [markdown]
# What do the two methods do on a made-up curve of twelve checks? And does our class agree with torch's `ReduceLROnPlateau`?

# %%
curve = [0.70, 0.60, 0.55, 0.56, 0.54, 0.55, 0.56, 0.50, 0.52, 0.53, 0.54, 0.55]
plateau, stopping, factors, stopped = Plateau(patience=1), EarlyStopping(patience=1), [], []
probe = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
library = torch.optim.lr_scheduler.ReduceLROnPlateau(probe, factor=0.5, patience=1, threshold=0)
for loss in curve:
    plateau.see(loss)
    library.step(loss)
    stopping.see(loss, template)
    assert plateau.factor == probe.param_groups[0]["lr"]
    factors.append(plateau.factor)
    stopped.append(stopping.stale > stopping.patience)
print("by hand = torch.optim.lr_scheduler.ReduceLROnPlateau:", factors)
print(f"early stopping ends at check {stopped.index(True) + 1} and keeps {stopping.best}; it misses {min(curve)}")

# %% [markdown]
# After check 5 early stopping sees two checks without improvement, so it ends at check 7, one check before the best loss of
# the curve. That is the weakness of both methods: they react to the noise of the validation loss as well as to the signal.
# With few validation sentences, a check can be worse than the last one by chance.

# %% [markdown]
# **Exercise 10.1 (complete): the check that is kept.** Write `kept_check(losses, patience)`. You get the validation losses
# of a run, a list of numbers. Return the number of the check whose weights early stopping keeps; the first check is
# number 1. For the curve above and a patience of 1 it is 5.


# %% tags=["exercise"]
def kept_check(losses, patience):
    raise NotImplementedError


# %% tags=["check"]
checks.check("10.1", kept_check)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def kept_check_solution(losses, patience):
    best, where, stale = float("inf"), 0, 0
    for number, loss in enumerate(losses, start=1):
        stale = stale + 1
        if loss < best:
            best, where, stale = loss, number, 0
        if stale > patience:
            break
    return where


# %% tags=["check"]
checks.check("10.1", kept_check_solution, mine=False)  # the same check, on the solution above


# %% [markdown]
# ## 5 All of them at equal budget
#
# Now we compare the methods. One function trains with all of them: the loop of `training.fit` with two hooks. One
# sets learning rates and layers before each step; the other gets the validation loss at each check. To keep the checks
# cheap, they use every fourth validation sentence.

# %%
check_every, checked = max(1, num_steps // 8), states.validation.take(np.arange(0, len(validation), 4))


def train_top(head_seed, *, factor=constant, decay=1.0, unfreeze=lambda top, step: None, see=None, texts=states.train):
    top, losses = fresh_top(head_seed).train(), []
    optimizer = torch.optim.AdamW(groups_of(top, decay), lr=eta, fused=True)
    for step, indices in enumerate(batches_of(head_seed, texts)):
        set_rates(optimizer, factor(step))
        unfreeze(top, step)
        batch = batching.collate([texts[i] for i in indices])
        logits = prediction.model_logits(top, batch)  # (B, C), computed on the model's device
        loss = nn.functional.cross_entropy(logits, batch["labels"].to(device))
        loss.backward()
        nn.utils.clip_grad_norm_(top.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if see and (step + 1) % check_every == 0:
            see(prediction.evaluate(top, checked).loss, top)
            top.train()
    return top.eval(), losses


# %% [markdown]
# For each run we keep the weights, because the later sections need them, and the probabilities on the validation and the
# test part. The test part is for the tables; we choose nothing on it.

# %%
Run = namedtuple("Run", ["weights", "validation", "test"])  # name to tensor; probabilities float32 (n, C), twice
judge = copy.deepcopy(template)  # the template itself keeps the pretrained weights


def record(weights):
    judge.load_state_dict(weights)
    return Run(weights, *(prediction.predict_proba(judge, part) for part in states[1:]))


# %% [markdown]
# Five methods are enough to compare: the constant rate, early stopping, warm-up with linear decay, layer-wise rates, and
# gradual unfreezing. Early stopping needs no run of its own: it takes its weights from the run with the constant learning
# rate. So it uses at most the budget of the others. The next cell takes two to six minutes.

# %%
plans = {"warm-up, linear": {"factor": linear}, "layer-wise rates": {"decay": 0.5},
         "gradual unfreezing": {"unfreeze": gradual}}  # fmt: skip
runs = {name: [] for name in ("constant rate", "early stopping", *plans)}
losses_of = {}
for head_seed in seeds:
    stopping = EarlyStopping(patience=1)
    top, _ = train_top(head_seed, see=stopping.see)
    runs["constant rate"].append(record(top.state_dict()))
    runs["early stopping"].append(record(stopping.weights))
    for name, plan in plans.items():
        top, losses_of[name, head_seed] = train_top(head_seed, **plan)
        runs[name].append(record(top.state_dict()))
print(f"{len(runs)} methods, {len(seeds)} seeds each")

# %% [markdown]
# Is this really the loop of the course? `training.fit` uses warm-up and linear decay, so its first losses must equal those
# of our run with the linear schedule.

# %%
config = training.TrainingConfig(num_epochs=2, learning_rate=eta, batch_size=16, seed=seeds[0])
history = training.fit(fresh_top(seeds[0]), states.train, states.validation, config, on_step=lambda history: None)
exact, ours = choose_precision(device) == torch.float32, losses_of["warm-up, linear", seeds[0]]
torch.testing.assert_close(history.step_losses[:3], ours[:3], rtol=0, atol=1e-3 if exact else 0.05)
print("our loop = training.fit, step by step")

# %% [markdown]
# ### What can this experiment see?
#
# There are two sources of noise: the sentences in the test part, and the seeds of the runs. `evaluation.seeds_interval`
# adds both: a paired interval over blocks of sentences, and Student's $t$ over the seeds. Before we look at the test part,
# we work out which difference we could see at all (the formula is in notebook 13): two runs that differ only in their
# seed disagree on some validation sentences.


# %%
def right(proba):
    return proba.argmax(axis=1) == test.labels  # bool (n,)


def right_of(members):
    return np.array([right(run.test) for run in members], dtype=float)  # (seeds, n)


# %% tags=["nbval-ignore-output"]
one, other = (run.validation.argmax(axis=1) for run in runs["constant rate"][:2])
visible = evaluation.detectable_difference(np.mean(one != other), len(test))
print(f"two seeds disagree on {np.mean(one != other):.0%} of the validation sentences")
print(f"so with {len(test):,} test sentences one pair of runs shows a difference of {100 * visible:.1f} points or more")

# %% [markdown]
# Averaging over seeds makes it somewhat smaller. We call a method *better* or *worse* if the interval excludes zero, and
# *equal* if the whole interval is within two points. Otherwise the experiment cannot tell, and the line says what it
# could have seen.

# %%
header = f"{'':26} {'accuracy (95 % interval)':24}  {'difference in points':22}  {'seed by seed':24}  verdict"


def compare(name, rows, rival, blocks=test.blocks):
    """Print one line of a table for rows and rival, float (seeds, n), and return the difference."""
    gap = evaluation.seeds_interval(rows, rival, blocks)
    signs = " ".join(f"{100 * difference:+.1f}" for difference in (rows - rival).mean(axis=1))
    score = evaluation.block_interval(rows.mean(axis=0), blocks)
    print(f"{name:26} {score!s:24}  {gap.points:22}  {signs:24}  {gap.verdict_within(0.02)}")
    return gap


# %% tags=["nbval-ignore-output"]
print(header)
reference = right_of(runs["constant rate"])
print(f"{'constant rate':26} {evaluation.block_interval(reference.mean(axis=0), test.blocks)}")
adaptive = {name: compare(name, right_of(runs[name]), reference) for name in runs if name != "constant rate"}

# %%
fig, ax = plt.subplots(figsize=(7.5, 2.6))
plots.bars_with_intervals(ax, adaptive, unit="accuracy minus constant rate")
ax.axvline(0, color="black", linewidth=0.8, linestyle=":")
ax.axvspan(-0.02, 0.02, color="black", alpha=0.06)
ax.set_title("Schedules move the accuracy by about two points at most")
plots.show(fig, alt="Four methods with the difference of their test accuracy from that of the constant rate and its 95 percent interval, around a "
           "dotted line at zero with a grey band of two points on both sides.")  # fmt: skip

# %% [markdown]
# **Read the verdicts, not the estimates.** With four intervals at 95 %, the probability is about one in five that at
# least one of them excludes zero by chance. Published gains of such methods are often as small as these intervals are
# wide. They may be real, but you need more sentences and more seeds to see them.
#
# A verdict holds for what was compared. All rows use the learning rate that was the best one for the constant schedule. Whatever
# lowers the rates, in some steps or in some layers, might do better with a larger one.
#
# Some effects are well established. Warm-up avoids divergence at the start when the learning rate is high, decay lets
# the last steps converge, and early stopping saves steps. None of them replaces a good learning rate: if yours is wrong by
# a factor of ten, that costs several points (notebook 07). Tune it first.
#
# ## 6 Cross-model: ensembles
#
# Most people keep the best of their runs and throw the others away. The rest of this notebook uses them all. An
# **<abbr title="集成">ensemble</abbr>** of $M$ models predicts the mean of their probabilities. With $p_m(x)$ those of
# model $m$, one for each of the $C$ classes:
#
# $$\bar p(x) = \frac1M \sum_{m=1}^{M} p_m(x) .$$
#
# The loss of the ensemble is never above the mean loss of its members, on any data, because the function $-\log$ is convex
# (Jensen's inequality). For accuracy there is no such guarantee. It improves only if the members make errors on different
# sentences.

# %%
methods = [name for name in runs if name != "early stopping"]  # it shares its run with the constant rate
members_of = [[runs[name][k] for name in methods] for k in range(len(seeds))]  # for each seed, M runs
ensembles = [np.mean([run.test for run in members], axis=0) for members in members_of]  # each (n, C)
loss_of = lambda proba: -np.log(proba[np.arange(len(test)), test.labels]).mean()  # noqa: E731
for members, together in zip(members_of, ensembles, strict=True):
    assert loss_of(together) <= np.mean([loss_of(run.test) for run in members]) + 1e-6
print(f"M = {len(methods)}: the ensemble's loss is at most the mean loss of its members, with every seed")

# %% [markdown]
# The drawback: you run $M$ models, so every prediction costs $M$ times as much.
#
# An ensemble only needs the predictions of its members, so they can be quite different models. You can even combine models
# whose weights do not fit together: in section 8 we join the encoder with word counts and an LSTM.

# %% [markdown]
# **Exercise 10.2 (predict): one voice against two.** Three models give class 1 the probabilities 0.9, 0.45 and 0.45.
# What does their ensemble predict? Write a tuple: the probability of class 1, and the predicted class.

# %% tags=["exercise"]
my_answer = ...

# %% tags=["check"]
checks.check("10.2", my_answer)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
my_answer_solution = ((0.9 + 0.45 + 0.45) / 3, 1)

# %% tags=["check"]
checks.check("10.2", my_answer_solution, mine=False)  # the same check, on the solution above

# %% [markdown]
# ## 7 Cross-model: soups
#
# A **<abbr title="模型汤">model soup</abbr>** (Wortsman and others, 2022) averages the **weights**, not the predictions. You
# get one model, at the cost of one. With $\theta_m$ all weights of model $m$:
#
# $$\bar\theta = \frac1M \sum_{m=1}^{M} \theta_m$$
#
# For networks in general there is no reason why this should work. It often works for runs that start from the **same**
# weights, head included, because fine-tuning stays close to its start: between two such runs the loss usually has no
# barrier. We test this. We go along the straight line from one run to another, and measure the validation loss.


# %%
def average(weights, shares=None):
    shares = shares or [1 / len(weights)] * len(weights)
    return {key: sum(s * w[key] for s, w in zip(shares, weights, strict=True)) for key in weights[0]}


def on_validation(weights):
    judge.load_state_dict(weights)
    return prediction.evaluate(judge, states.validation)


walk = np.linspace(0, 1, 5).tolist()  # 0 is the first run, 1 the second
one, other = runs["constant rate"][0].weights, runs["gradual unfreezing"][0].weights
along = [on_validation(average([one, other], [1 - share, share])).loss for share in walk]

# %% tags=["nbval-ignore-output"]
print("share of the second run:", *(f"{share:6.2f}" for share in walk))
print("validation loss:        ", *(f"{loss:6.3f}" for loss in along))
print("barrier" if max(along) > max(along[0], along[-1]) + 0.01 else "no barrier between two runs from the same start")

# %% [markdown]
# There are two kinds of soup. The **uniform soup** averages all runs. The **greedy soup** tries the runs in the order of
# their validation accuracy and keeps each one that does not lower the validation accuracy of the soup.


# %%
def greedy_soup(members):
    """Return the soup as a Run, and how many runs are in it."""
    scores = [np.mean(run.validation.argmax(axis=1) == validation.labels) for run in members]
    order = np.argsort(scores)[::-1]
    chosen, best = [members[order[0]].weights], max(scores)
    for index in order[1:]:
        accuracy = on_validation(average([*chosen, members[index].weights])).accuracy
        if accuracy >= best:
            chosen, best = [*chosen, members[index].weights], accuracy
    assert best >= max(scores)  # by construction, on validation and only there
    return record(average(chosen)), len(chosen)


# %%
uniform = [record(average([run.weights for run in members])) for members in members_of]
greedy = [greedy_soup(members) for members in members_of]
print("the greedy soup is never below its best member on validation")

# %% tags=["nbval-ignore-output"]
print(f"runs in the greedy soup, of {len(methods)}, seed by seed:", [count for _, count in greedy])
same = [np.mean(a.argmax(axis=1) == b.test.argmax(axis=1)) for a, b in zip(ensembles, uniform, strict=True)]
print("sentences with the same prediction from uniform soup and ensemble:", *(f"{share:.1%}" for share in same))

# %% [markdown]
# The uniform soup and the ensemble predict the same for nearly every sentence. There is a reason: if the runs are close
# together, the model is nearly linear in its weights there, and then the prediction of the mean is the mean of the
# predictions.
#
# Now the comparison. The baseline is the **mean member**: what you get on average if you train once. Choosing the best
# member *on the test part* would be cheating. Choosing it on validation is a fair baseline, so it is in the table, too.


# %%
def best_of(members):
    return max(members, key=lambda run: np.mean(run.validation.argmax(axis=1) == validation.labels))


probas = {
    "best member on validation": [best_of(members).test for members in members_of],
    "ensemble": ensembles,
    "uniform soup": [soup.test for soup in uniform],
    "greedy soup": [soup.test for soup, _ in greedy],
}

# %% tags=["nbval-ignore-output"]
print(header)
single = np.array([right_of(members).mean(axis=0) for members in members_of])  # (seeds, n)
print(f"{'mean member':26} {evaluation.block_interval(single.mean(axis=0), test.blocks)}")
joined = {}
for name, of_seed in probas.items():
    joined[name] = compare(name, np.array([right(proba) for proba in of_seed], dtype=float), single)

# %% [markdown]
# Two things are true whatever the verdicts are. A soup costs as much as one model, an ensemble as much as all its members.
# And with the ensemble and the uniform soup you do not have to choose a member: the best one on validation may not be the
# best one on new sentences.
#
# If the gains are small, there is a reason. The runs differ only in their learning rates and in the moment when layers
# are unfrozen. They make mostly the same errors, so there is little to average out. Next we join models that make
# *different* errors.

# %% [markdown]
# **Exercise 10.3 (debug): the soup that ate its first member.** `pour(weights)` takes a list of `state_dict`s, dicts
# from name to tensor, and should return the uniform soup, a dict of the same kind. The soup that it returns is correct. But
# somebody who compared it with its members afterwards got strange results. Fix it.


# %% tags=["exercise"]
def pour(weights):
    soup = weights[0]
    for other in weights[1:]:
        for key in soup:
            soup[key] += other[key]
    for key in soup:
        soup[key] /= len(weights)
    return soup


# %% tags=["check"]
checks.check("10.3", pour)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def pour_solution(weights):
    return {key: sum(one[key] for one in weights) / len(weights) for key in weights[0]}


# %% tags=["check"]
checks.check("10.3", pour_solution, mine=False)  # the same check, on the solution above


# %% [markdown]
# ## 8 Cross-model: joining models that differ
#
# A BERT reads word pieces in context, word counts see every word and pair of words of our sentences, and an LSTM reads in
# order with word vectors of its own. Their weights have nothing in common, so there is no soup. But each of them gives
# probabilities. First we train the LSTM of notebook 03 on the same sentences:

# %%
rest = everything.train.take(np.flatnonzero(~np.isin(everything.train.rows, train.rows)))
unlabelled = data.evenly(rest, 32 if profile.name == "smoke" else None)
everyone = [text.basic_english(sentence) for sentence in (*train.texts, *unlabelled.texts)]
vocabulary = text.Vocabulary.from_tokens(everyone, min_count=2)
lstm_texts = [text.encode_words(part, vocabulary, max_length=30) for part in (train, unlabelled, validation, test)]
labelled, unseen, lstm_validation, lstm_test = lstm_texts


def train_lstm(head_seed, texts, num_epochs):
    torch.manual_seed(head_seed)
    lstm = models.LSTMClassifier(len(vocabulary))
    lstm.embedding.weight.data.mul_(0.2)
    config = training.TrainingConfig(num_epochs=num_epochs, learning_rate=3e-3, seed=head_seed)
    training.fit(lstm, texts, lstm_validation, config, on_step=lambda history: None)
    return [prediction.predict_proba(lstm, part) for part in (lstm_validation, lstm_test)]  # twice (n, C)


# %%
lstm_alone = [train_lstm(head_seed, labelled, 6) for head_seed in seeds]
trio = [
    {"MiniLM": (soup.validation, soup.test), "word counts": words_run, "LSTM": lstm}
    for soup, lstm in zip(uniform, lstm_alone, strict=True)
]  # for each seed: name to probabilities on validation and test

# %% tags=["nbval-ignore-output"]
for name in trio[0]:
    print(
        f"{name:12} {evaluation.block_interval(np.mean([right(models[name][1]) for models in trio], axis=0), test.blocks)}"
    )
wrong = {name: ~right(proba[1]) for name, proba in trio[0].items()}
for name in ("word counts", "LSTM"):
    print(f"of the sentences that MiniLM gets wrong, {name} gets {1 - wrong[name][wrong['MiniLM']].mean():.0%} right")

# %% [markdown]
# They do make different errors. There are three ways to join them:
#
# * **equal weights**: the mean of the three probabilities;
# * **tuned weights**: a weighted mean, whose weights have the best loss on the validation part;
# * **<abbr title="堆叠">stacking</abbr>** (Wolpert, 1992): a logistic regression that reads the three log-odds, trained on the validation part.
#
# The last two learn from the validation part, so it can no longer judge them. The test part can.


# %%
def tuned_weights(probas, labels):
    """Return the weights, of 0, 0.1, ... 1 with sum 1, whose mixture of probabilities (n, C) has the lowest loss."""
    shares = [(a, b, 10 - a - b) for a in range(11) for b in range(11 - a)]
    mixtures = [np.tensordot(np.array(share) / 10, probas, axes=1) for share in shares]
    losses = [-np.log(mixture[np.arange(len(labels)), labels]).mean() for mixture in mixtures]
    return np.array(shares[int(np.argmin(losses))]) / 10


def log_odds(probas):
    return np.stack([np.log(proba[:, 1] / proba[:, 0]) for proba in probas], axis=1)  # (n, models)


# %%
ways, weights = {"equal weights": [], "tuned weights": [], "stacking": []}, []
for models_of_seed in trio:
    on_validation_part, on_test = (
        np.array([proba[k] for proba in models_of_seed.values()]) for k in (0, 1)
    )  # (models, n, C)
    weights.append(tuned_weights(on_validation_part, validation.labels))
    stack = LogisticRegression(C=1.0).fit(log_odds(on_validation_part), validation.labels)
    ways["equal weights"].append(on_test.mean(axis=0))
    ways["tuned weights"].append(np.tensordot(weights[-1], on_test, axes=1))
    ways["stacking"].append(stack.predict_proba(log_odds(on_test)))

# %% tags=["nbval-ignore-output"]
print("tuned weights of MiniLM, word counts, LSTM, seed by seed:", *(tuple(share.tolist()) for share in weights))
print(header)
best_single = np.array([right(soup.test) for soup in uniform], dtype=float)
print(f"{'MiniLM (uniform soup)':26} {evaluation.block_interval(best_single.mean(axis=0), test.blocks)}")
differ = {
    name: compare(name, np.array([right(proba) for proba in of_seed], dtype=float), best_single)
    for name, of_seed in ways.items()
}

# %% [markdown]
# The comparison is with MiniLM alone, the best of the three. Tuned weights and stacking tell you how much each model is
# worth: a weight of 0 means that you can leave it out. Word counts cost next to nothing, so a small gain from them is
# cheap. With equal weights, weak members count as much as the strong one.
#
# ### Distillation: from a BERT to an LSTM
#
# An ensemble has to run all its members. **Distillation** (notebook 08) transfers knowledge to a model of *another*
# architecture once and for all: the student learns the teacher's probabilities. This also works on unlabelled sentences.
# Our teacher is the uniform soup of the first seed, and our student is the LSTM.

# %%
unlabelled_pieces = text.encode_wordpieces(unlabelled, tokenizer, max_length=32)
judge.load_state_dict(uniform[0].weights)
soft = prediction.predict_proba(judge, layers.hidden_states(model, unlabelled_pieces, layer=border))  # (n, C)
both = np.concatenate([np.eye(2)[train.labels], soft]).astype(np.float32)  # (n, C)
taught_texts = batching.TokenDataset(labelled.input_ids + unseen.input_ids, both)
lstm_taught = [train_lstm(head_seed, taught_texts, 3) for head_seed in seeds]

# %% tags=["nbval-ignore-output"]
alone, taught = (np.array([right(run[1]) for run in lstms], dtype=float) for lstms in (lstm_alone, lstm_taught))
print(header)
print(f"{'LSTM alone':26} {evaluation.block_interval(alone.mean(axis=0), test.blocks)}")
lesson = compare("LSTM with a teacher", taught, alone)
behind = compare("LSTM minus its teacher", taught, best_single)

# %% [markdown]
# Nobody had to label the additional sentences. The student gets about the same number of steps with and without a
# teacher, so the difference is what the teacher is worth. But the student starts from random word vectors, so do not
# expect it to reach its teacher: the last line shows how far behind it is, with an interval.
#
# ## 9 Cross-model: arithmetic with what was learned
#
# A **<abbr title="任务向量">task vector</abbr>** (Ilharco and others, 2023) $\tau$ is what fine-tuning has added to the
# weights. You can add it to the start, scaled by a number $\lambda$:
#
# $$\tau = \theta_{\text{fine-tuned}} - \theta_{\text{start}}, \qquad \theta(\lambda) = \theta_{\text{start}} + \lambda\, \tau .$$
#
# With the **scaling coefficient** $\lambda = 0$ you get the start, with 1 the fine-tuned model. If two vectors have the
# same start, you can also add them; half of the sum of two is their soup. What happens in between, and beyond?


# %%
def plus(one, other, scale=1.0):
    return {key: one[key] + scale * other[key] for key in one}


beginning = fresh_top(seeds[0]).state_dict()
vector = plus(runs["constant rate"][0].weights, beginning, -1.0)
torch.testing.assert_close(plus(beginning, vector), dict(runs["constant rate"][0].weights))
scales = [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5]
along = [on_validation(plus(beginning, vector, scale)).accuracy for scale in scales]

# %%
fig, ax = plt.subplots(figsize=(6, 2.6))
plots.curves(ax, {"accuracy": along}, x=scales)
ax.axhline(0.5, color="black", linewidth=0.8, linestyle=":")
ax.set(xlabel="scaling coefficient", ylabel="validation accuracy", title="Half of the vector does nearly all of the work")
plots.show(fig, alt="Validation accuracy against the scaling coefficient of a task vector, from minus one to one and a half, with a dotted line at one "
           "half: near or below it for negative coefficients, high and flat from one half on.")  # fmt: skip

# %% [markdown]
# A line near one half (dotted) shows that the model no longer distinguishes the classes. A line well below it shows that
# the model predicts the **opposite**. The flat part on the right says that the exact coefficient matters little.
#
# ## 10 Classic bug: a soup of strangers
#
# Averaging weights makes sense if the runs share their start and the meaning of their labels. This is easy to forget,
# because nothing checks it: the shapes fit, and nothing crashes. We try two soups of runs that do not belong together, and
# for comparison one with the same start:
#
# * **other heads**: the runs of our seeds, which differ in the head they started from;
# * **other labels**: our run and one from somebody else's project, in which positive is class 0. With their own class
#   order, which we use here to evaluate their model, it is as good as ours. We evaluate the soup with our class order.

# %% tags=["nbval-ignore-output"]
turned = batching.StatesDataset(states.train.hidden_states, 1 - states.train.labels)
theirs, _ = train_top(seeds[0], texts=turned)
first = runs["constant rate"][0]
strangers = {
    "same start": (first, runs["warm-up, linear"][0]),
    "other heads": runs["constant rate"],
    "other labels": (first, record(theirs.state_dict())),
}

# %% tags=["nbval-ignore-output"]
damage = {}
for name, members in strangers.items():
    soup, apart = record(average([run.weights for run in members])), right_of(members)
    apart[1] = 1 - apart[1] if name == "other labels" else apart[1]
    damage[name] = evaluation.difference_interval(right(soup.test), apart.mean(axis=0), test.blocks)
    points, verdict = damage[name].points, damage[name].verdict_within(0.02)
    print(f"{name:14} soup {right(soup.test).mean():.3f}, minus the mean of its members {points}: {verdict}")
if profile.name != "smoke":
    assert damage["other labels"].high < -0.03

# %% [markdown]
# The last line is the worst: from the same start, our run and theirs learned opposite answers. In the average much of that
# cancels, and the soup is much worse than its members.
#
# Other heads do little harm here: only one layer and the head were trained, everything else is shared, and the heads
# start with small weights. (Each line is a single soup, so a small difference may be luck.) Do not rely on it. In networks
# trained from different starts, units at the same index do not even correspond: if you permute the hidden units of a layer
# together with the columns that read them, all predictions stay the same, but averaging with the original breaks the
# model (Ainsworth and others, 2023).
#
# In all these cases nothing warns you. But a check is cheap: compare the soup with its members on validation, and throw it
# away if it is worse. The greedy soup does this.
#
# ## 11 What should you do?
#
# All comparisons of this notebook in one table. It is written from the results above.

# %% tags=["nbval-ignore-output"]
free, times = "nothing", f"{len(methods)} times the predictions"
costs = {"early stopping": "checks on validation; may save steps", "warm-up, linear": free, "layer-wise rates": free,
         "gradual unfreezing": "less than nothing: early steps are cheaper", "best member on validation": f"{len(methods)} runs",
         "ensemble": f"{len(methods)} runs, {times}", "uniform soup": f"{len(methods)} runs", "greedy soup": f"{len(methods)} runs",
         "equal weights": "three models at prediction", "tuned weights": "the same", "stacking": "the same",
         "LSTM with a teacher": "a teacher, once"}  # fmt: skip
measured = {**adaptive, **joined, **differ, "LSTM with a teacher": lesson}
advice = {
    "better": "do it, if you can pay",
    "worse": "leave it",
    "equal": "only for another reason",
    "cannot": "measure it on your own data",
}
lines = ["| method | gain in points (95 % interval) | verdict | costs | so |", "|---|---|---|---|---|"]
for name, gap in measured.items():
    verdict = gap.verdict_within(0.02)
    lines.append(f"| {name} | {gap.points} | {verdict} | {costs[name]} | {advice[verdict.replace(',', ' ').split()[0]]} |")
display(Markdown("\n".join(lines)))

# %% [markdown]
# The first four rows are compared with a constant rate, the next four with the mean member, the three after that with
# MiniLM alone, and the last one with the LSTM alone. The general lesson is in the pattern: runs of *one* model differ little, so there is
# little to gain from joining them; models that make *different* errors have more to give each other; and the largest gain is
# that of the weakest model, from a better teacher.
#
# ## Quiz
#
# Three questions to check what you remember.

# %% tags=["check"]
checks.quiz("10")

# %% [markdown]
# ## Summary
#
# * A schedule multiplies the learning rate by a factor. The factor can depend on the step (warm-up, linear, cosine), the
#   layer, or the validation curve. Each takes a few lines.
# * Work out which difference your experiment can show, before you run it. Compare methods at the same number of sentences,
#   with several seeds, sentence by sentence.
# * An ensemble averages predictions. It can combine any models, and costs as much as all of them. Its loss is never above
#   the mean loss of its members. If the members differ, tune their weights on validation.
# * A soup averages weights. It costs as much as one model, but needs runs with the same start and the same labels.
#   Otherwise it can break, and nothing warns you. Compare it with its members on validation.
# * Distillation transfers what a model has learned to another architecture, without further labels.
#
# **To think about.** The table of section 5 uses one learning rate for all methods, the best one for the constant
# schedule. Train the constant and the linear schedule with a learning rate five times as high: which of the two suffers
# less? What does that mean for comparisons in which every method has the same learning rate?
#
# **Next:** [11 Scale out](11_scale_out.ipynb) trains one model with several processes, on one machine or on many.
