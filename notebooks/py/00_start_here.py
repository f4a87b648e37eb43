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
# ## 1 What fine-tuning is
#
# A model is a function with adjustable numbers, its **parameters**. **Training** changes the parameters until a number that
# measures the mistakes, the **loss**, is small. There are two roads to a good model:

# %%
from course_utils import data, diagrams, doctor, profiles
from course_utils.exercises import checks

diagrams.show(diagrams.pretraining_road)

# %% [markdown]
# The lower road is the old one: start from random numbers and train on your labelled examples, as many as you have. On the
# upper road somebody has already trained the model on a very large amount of text. This is **pretraining**. Nobody had to label
# that text, and it is done once, for everybody. The result is a file of parameters, the **checkpoint**. **Fine-tuning** starts
# from it and trains a little more, on a few thousand labelled examples of the task that *you* care about. This course walks
# both roads with the same data and measures how much further the upper one gets.
#
# The task is small enough for a laptop and real enough to go wrong: read a film review and say whether it is positive or
# negative. That is **<abbr title="情感分析">sentiment analysis</abbr>**, the best-known kind of
# **<abbr title="文本分类">text classification</abbr>**. All reviews were written by people; none was made up for this course.

# %%
sentences = data.load_splits("rotten_tomatoes")
for index in (0, -1):
    label = sentences.train.class_names[sentences.train.labels[index]]
    print(f"{label:>8}: {sentences.train.texts[index]}")

# %% [markdown]
# One sentence of each class. The model sees only the sentence and has to predict the label.

# %% [markdown]
# ## 2 Is this machine ready?
#
# The doctor checks Python, the libraries, the device, memory and disk. It also compares the reviews and the pretrained
# checkpoint with their SHA-256 sums, so that you know that no byte is missing. Every line should say `ok`; if one says `FIX`,
# the line below it says how.

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
# The **profile** decides how much each notebook trains. You get `workshop`, which fits a laptop: most cells take seconds, and
# one training run in a notebook may take a few minutes. Every output that you see in these pages comes from it, on two processor
# cores. There are two more: `smoke` runs everything in seconds, only to see that it runs, and learns nothing; `full`
# trains longer, on longer texts, and is meant for a GPU. To choose one, set the environment variable `COURSE_PROFILE` before
# you start JupyterLab.

# %% [markdown]
# ## 3 The map
#
# | notebook | the question it answers |
# |---|---|
# | [01 Minimise the loss](01_minimise_the_loss.ipynb) | How does a computer make mistakes smaller? |
# | [02 Text to tensors](02_text_to_tensors.ipynb) | How does a sentence become numbers, and what is the score to beat? |
# | [03 LSTM classifier](03_lstm_classifier.ipynb) | How does a network read word by word? |
# | [03b The published listing](03b_the_published_listing.ipynb) | Optional: what is wrong with a program found on the web, and what did it cost? |
# | [04 Attention and the Transformer](04_attention_and_the_transformer.ipynb) | How do words exchange information, and what is inside BERT and GPT? |
# | [05 What pretraining buys](05_what_pretraining_buys.ipynb) | What does a model know before it sees our task? |
# | [06 Fine-tune BERT](06_fine_tune_bert.ipynb) | How is a pretrained model fine-tuned, and how much does it help? |
# | [07 Three kinds of tuning](07_three_kinds_of_tuning.ipynb) | Which hyperparameters, which parameters, which structure: what is worth tuning? |
# | [08 More with less](08_more_with_less.ipynb) | What do LoRA, caching, int8, pruning and distillation really save, and what do they cost? |
# | [09 Little data](09_little_data.ipynb) | What helps when only a few examples have labels, or some labels are wrong? |
# | [10 Adaptive and cross-model](10_adaptive_and_cross_model.ipynb) | Do schedules that adapt, and several models together, beat one plain run? |
# | [12 Beyond classification](12_beyond_classification.ipynb) | How do the same seven steps find names, and answer questions? |
# | [13 Your own data](13_your_own_data.ipynb) | How does a table of yours become a model that others can trust? |
#
# The notebooks come in four parts: the foundations (01 to 03b), pretrained models (04 to 06), the craft of tuning them (07
# to 10), and what lies beyond (12 and 13). Numbers 11, training on several machines, and 14, fine-tuning a GPT, are still to
# come. Here are three routes:
#
# * **One afternoon:** 01, 02 and 06. You will have fine-tuned BERT and know whether it was worth it.
# * **You have data of your own:** 02, 06 and 13, then 07 and 08 where you want better or cheaper.
# * **You want to understand it all:** everything, in order. Each notebook uses only what the ones before it have explained.
#
# Notebook 03b needs an old library, so it runs in a kernel of its own, which `python3 start.py torchtext` sets up. No other
# notebook depends on it.

# %% [markdown]
# ## 4 How to work with a notebook
#
# * Run the cells from top to bottom with **Shift+Enter**. If something behaves oddly, choose *Kernel > Restart Kernel and
#   Run All Cells*. You then get the results that you see here; only trained models differ a little from one processor to
#   another.
# * A long cell shows a bar with the time left. The **stop button** (a square) ends training early and keeps what
#   was learned.
# * Change things and run them again. The notebooks are your own copies; `git checkout notebooks` brings the originals back.
# * Each idea comes twice: first by hand, in a few lines, then as the library call that everybody uses. When you wonder
#   what a call does, look at the lines above it.
# * Rest the mouse on a word with a dotted line to see its Chinese term.

# %% [markdown]
# ### Exercises with instant feedback
#
# Where an idea has just been taught, there is an exercise: complete a function, predict a number before you run anything, fix
# a program with a bug, or explain a figure. The cell below yours checks the answer. It runs your code on small cases that you
# can work out by hand, accepts every correct way to write it, and often recognises what went wrong. Each new try gives one more
# hint, up to three. Below the check is a folded solution: try first, then look. Each teaching notebook ends with a
# quiz of three questions. Here is one exercise to see how it works.

# %% [markdown]
# **Exercise 00.1 (complete): accuracy.** You get two lists of equal length: the predictions of a model and the true labels. Return
# the share of predictions that are right: for `[0, 0, 1, 0]` and `[0, 1, 1, 0]` that is 0.75. Replace the line `raise`, run both
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
# Each `#` is an exercise or question that you have solved. In a terminal, `course progress` prints the same table. If a teacher
# wants to see it, `course progress --export report.json` writes a report, and `course progress --verify report.json` checks it:
# that the file is complete and matches the course's exercises, not who solved them.

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
# A shape such as `(B, T, D)` means: $B$ texts of $T$ tokens each, and $D$ numbers for each token.

# %%
sizes = {name: len(part) for name, part in zip(sentences._fields, sentences, strict=True)}
print("sentences:", ", ".join(f"{name} {size:,}" for name, size in sizes.items()))

# %% [markdown]
# We train a model on the first part, make our choices on the second, and look at the third once, at the end. Notebook
# 02 shows why the way of splitting matters.
#
# **Next:** [01 Minimise the loss](01_minimise_the_loss.ipynb).
