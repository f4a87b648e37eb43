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
# # 00 · Start here
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/fine-tuning-course/fine-tuning-course/blob/main/notebooks/00_start_here.ipynb) · [words and terms 术语表](../docs/GLOSSARY.md)
#
# [中文版：从这里开始](zh/00_start_here.ipynb)
#
# **What you will be able to do at the end of this notebook:** say what fine-tuning is, find your way through the
# course, and know that your machine is ready.
#
# **Before you start:** some Python. No machine learning is assumed. **Time:** five minutes; the code takes seconds.

# %% tags=["nbval-skip"]
# On Colab, Kaggle or Binder this adds the course and changes nothing that is there; elsewhere it does nothing.
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("course_utils") is None:
    course = "fine-tuning-course @ git+https://github.com/fine-tuning-course/fine-tuning-course"
    pip = [sys.executable, "-m", "pip"]
    there = subprocess.run([*pip, "list", "--format=freeze"], capture_output=True).stdout
    install = [*pip, "install", "--quiet", "--constraint", "/dev/stdin", course]
    added = subprocess.run(install, input=there, capture_output=True)
    if added.returncode:
        print(added.stderr.decode(), "The course does not fit beside what is installed here.", sep="\n")

# %% [markdown]
# ## 1 What fine-tuning is, in four lines
#
# A model is a function with adjustable numbers, its **parameters**. **Training** changes the parameters until a
# number that measures the mistakes, the **loss**, is small. **Pretraining** does this on a very large amount of text
# that nobody had to label. **Fine-tuning** starts from those parameters and trains them a little more, on a few
# labelled examples of the task you care about.
#
# The task of this course is small enough for a laptop and real enough to go wrong: read a film review and say
# whether it is positive or negative. That is **<abbr title="情感分析">sentiment analysis</abbr>**, the best-known kind of **<abbr title="文本分类">text classification</abbr>**. All reviews below were written by people; none was made up for this course.

# %%
from course_utils import data, doctor, profiles
from course_utils.exercises import checks

sentences = data.load_splits("rotten_tomatoes")
for index in (0, -1):
    label = sentences.train.class_names[sentences.train.labels[index]]
    print(f"{label:>8}: {sentences.train.texts[index]}")

# %% [markdown]
# One sentence of each class. The model sees only the sentence and has to predict the label.

# %% [markdown]
# ## 2 Is this machine ready?
#
# The doctor checks Python, the libraries, the device, memory and disk, and compares the reviews and the pretrained
# checkpoint with their SHA-256 sums. Every line should say `ok`; a line that says `FIX` also says how.

# %% tags=["nbval-ignore-output"]
findings = doctor.examine()
for finding in findings:
    print(f"{'ok ' if finding.ok else 'FIX'} {finding.topic:<13} {finding.detail}")
    if not finding.ok:
        print(f"    to fix it: {finding.remedy}")

# %%
profile = profiles.get_profile()
verified = [finding.topic for finding in findings if finding.detail.startswith("verified")]
print("verified against their SHA-256:", ", ".join(verified))
print(f"profile: {profile.name}")

# %% [markdown]
# The **profile** sets how much each notebook trains. `smoke` takes seconds and learns nothing. `workshop` fits a
# laptop: most cells take seconds, and one training run in a notebook may take a few minutes. `full` trains for more epochs
# on longer texts and is meant for a GPU. You get `workshop`, with or without a GPU, unless you choose another by setting the
# environment variable `COURSE_PROFILE` before you start JupyterLab. Every output you see in these pages comes from
# `workshop`, on two processor cores.

# %% [markdown]
# ## 3 The map
#
# | notebook | the question it answers |
# |---|---|
# | [01 Minimise the loss](01_minimise_the_loss.ipynb) | How does a computer make mistakes smaller? |
# | [02 Text to tensors](02_text_to_tensors.ipynb) | How does a sentence become numbers, and what is the score to beat? |
# | [03 LSTM classifier](03_lstm_classifier.ipynb) | How does a network read word by word? |
# | [03b The published listing](03b_the_published_listing.ipynb) | What is wrong with a program found on the web, and what did it cost? |
# | [05 What pretraining buys](05_what_pretraining_buys.ipynb) | What does a model know before it sees our task? |
# | [06 Fine-tune BERT](06_fine_tune_bert.ipynb) | How is a pretrained model fine-tuned, and how much does it help? |
# | [07 Three kinds of tuning](07_three_kinds_of_tuning.ipynb) | Which hyperparameters, which parameters, which structure: what is worth tuning? |
# | [08 More with less](08_more_with_less.ipynb) | What do LoRA, caching, int8, pruning and distillation really save, and what do they cost? |
# | [09 Little data](09_little_data.ipynb) | What helps when only a few examples have labels, or some labels are wrong? |
# | [10 Adaptive and cross-model](10_adaptive_and_cross_model.ipynb) | Do schedules that adapt, and several models together, beat one plain run? |
# | [12 Beyond classification](12_beyond_classification.ipynb) | How do the same seven steps find names, and answer questions? |
# | [13 Your own data](13_your_own_data.ipynb) | How does a table of yours become a model that others can trust? |
#
# Notebook 03b runs in a kernel of its own, which `python3 start.py torchtext` sets up; you can read every other notebook without it. Number
# 11, training on several machines, is still to come.

# %% [markdown]
# ## 4 How to work with a notebook
#
# * Run cells from top to bottom with **Shift+Enter**. If something behaves oddly, choose *Kernel > Restart Kernel and
#   Run All Cells*: each notebook then gives the results that you see here, except that trained models differ a little
#   from processor to processor.
# * A long cell shows a bar with the time left. The **stop button** (a square) ends training early and keeps what
#   was learned.
# * Change things. Each notebook is your own copy, and `git checkout notebooks` brings the original back.
# * Each idea comes first by hand, in a few lines, and then from a library; a cell in between checks that the two
#   agree. When you wonder what a library call does, look at the lines above it.

# %% [markdown]
# ### Exercises with instant feedback
#
# Each teaching notebook has exercises where an idea has just been taught: complete a function, predict a number before you
# run anything, fix a program with a bug, explain a figure. A cell below yours checks the answer. It tries your code on
# small cases that you can work out by hand, accepts every correct way to write it, and names the mistake it recognises in a wrong answer.
# Each new try gives one more hint, up to three. Below the check is a folded solution: try first, then look. Each teaching
# notebook ends with a quiz of three questions. Here is one exercise to see how it works.

# %% [markdown]
# **Exercise 00.1 (complete): accuracy.** You get two lists of equal length: the predictions of a model and the true labels. Return
# the fraction of predictions that are right: for `[0, 0, 1, 0]` and `[0, 1, 1, 0]` that is 0.75. Replace the line `raise`, run both
# cells, and read what the check says. Then try a wrong answer on purpose, such as the number of right answers.


# %% tags=["exercise"]
def accuracy(predictions, labels):
    raise NotImplementedError


# %% tags=["check"]
checks.check("00.1", accuracy)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def accuracy(predictions, labels):
    return sum(p == y for p, y in zip(predictions, labels, strict=True)) / len(labels)


# %% tags=["check"]
checks.check("00.1", accuracy, mine=False)  # the same check, on the solution

# %% [markdown]
# Your progress is saved in a file in your user folder, outside the course, so it survives upgrades. The solutions that a
# notebook brings do not count: running all cells solves nothing for you. This is how far you are:

# %% tags=["nbval-ignore-output"]
print(checks.progress_table())

# %% [markdown]
# Each `#` is an exercise or question that you have solved. In a terminal, `course progress` prints the same table, and `course progress --export report.json` writes a
# report that anybody can check with `course progress --verify report.json`. The check shows that the file is complete and matches the course's
# exercises. It cannot show who solved them.

# %% [markdown]
# ## 5 The letters used everywhere
#
# | letter | stands for | here typically |
# |---|---|---|
# | $n$ | number of examples | 5,600 sentences |
# | $B$ | batch: examples handled together | 32 |
# | $T$ | tokens of a text | up to 200 |
# | $D$ | size of the vector of a token (embedding) | 64 or 384 |
# | $H$ | hidden size of a network | 64 |
# | $C$ | classes | 2 |
# | $V$ | vocabulary: different tokens | 20,000 or 30,522 |
#
# A shape such as `(B, T, D)` means: a block of numbers for $B$ texts of $T$ tokens each, with $D$ numbers for each token.

# %%
sizes = {name: len(part) for name, part in zip(sentences._fields, sentences, strict=True)}
print("sentences:", ", ".join(f"{name} {size:,}" for name, size in sizes.items()))

# %% [markdown]
# We train a model on the first part, make our choices on the second, and look at the third once, at the end. Notebook
# 02 explains how the parts are split, and why.
#
# **Next:** [01 Minimise the loss](01_minimise_the_loss.ipynb).
