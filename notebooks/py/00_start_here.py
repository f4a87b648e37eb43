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
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/fine-tuning-course/fine-tuning-course/blob/v0.2.0/notebooks/00_start_here.ipynb) · [words and terms 术语表](../docs/GLOSSARY.md)
#
# [中文版：从这里开始](zh/00_start_here.ipynb)
#
# **What you will be able to do at the end of this notebook:** say what fine-tuning is, find your way through the
# course, and know that your machine is ready.
#
# **Before you start:** some Python. No machine learning is assumed. **Time:** five minutes; the code takes seconds.

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

# %% [markdown]
# ## 1 What fine-tuning is
#
# A model is a function with numbers that can be adjusted, its **parameters**. To **train** it, you show it examples and
# measure how wrong its answers are. This measure is one number, the **loss**. Then you change the parameters a little, so
# that the loss gets smaller, and you repeat this many times. There are two ways to arrive at a good model:

# %%
from course_utils import data, diagrams, doctor, profiles
from course_utils.exercises import checks

diagrams.show(diagrams.pretraining_road)

# %% [markdown]
# The lower road is the older one. You start from random parameters and train on your own labelled examples, however few they
# are. On the upper road, somebody has already trained the model on a very large amount of text. This is called
# **pretraining**. Nobody had to label that text, and it has to be done only once, for everybody. The result is a file with
# parameters, a **checkpoint**. **Fine-tuning** starts from this checkpoint and trains a little more, on a few thousand
# labelled examples of the task that *you* care about. In this course we take both roads with the same data and measure how
# much better the upper one is.
#
# Our task is to read a film review and say whether it is positive or negative. This is called
# **<abbr title="情感分析">sentiment analysis</abbr>**, and it is the best-known kind of
# **<abbr title="文本分类">text classification</abbr>**. The models are small enough for a laptop, but the data are real: people
# wrote all these reviews, and none was made up for this course. Here is one sentence of each class:

# %%
sentences = data.load_splits("rotten_tomatoes")
for index in (0, -1):
    label = sentences.train.class_names[sentences.train.labels[index]]
    print(f"{label:>8}: {sentences.train.texts[index]}")

# %% [markdown]
# The model sees only the text and has to predict the label.

# %% [markdown]
# ## 2 Is this machine ready?
#
# The next cell checks Python, the libraries, the device, memory and disk. It also computes the SHA-256 checksums of the
# reviews and of the pretrained checkpoint, to make sure that both files are complete. Every line should say `ok`. If a line
# says `FIX`, the line below it tells you what to do.

# %% tags=["nbval-ignore-output"]
findings = doctor.examine()
for finding in findings:
    print(f"{'ok ' if finding.ok else 'FIX'} {finding.topic:<13} {finding.detail}")
    if not finding.ok:
        print(f"    to fix it: {finding.remedy}")

# %%
profile = profiles.get_profile()
verified = [f.topic for f in findings if f.topic in ("reviews", "checkpoint") and f.detail.startswith("verified")]
print("verified against their SHA-256:", ", ".join(verified))
print(f"profile: {profile.name}")

# %% [markdown]
# The last line names your **profile**, which sets how much each notebook trains. The standard profile is `workshop`.
# It is made for a laptop: most cells take seconds, and a training run may take a few minutes. All outputs that you see in
# these notebooks come from this profile, on two processor cores. There are two others. `smoke` runs everything in seconds,
# to check that nothing breaks, but its models learn nothing. `full` trains longer and on longer texts, and is meant for a
# GPU. To choose one, set the environment variable `COURSE_PROFILE` before you start JupyterLab. On Colab, write
# `%env COURSE_PROFILE=full` into a cell above this one and run it first.

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
# | [11 Scale out](11_scale_out.ipynb) | How do several processes or machines train one model, and when does that pay? |
# | [12 Beyond classification](12_beyond_classification.ipynb) | How do the same seven steps find names, and answer questions? |
# | [13 Your own data](13_your_own_data.ipynb) | How does a table of yours become a model that others can trust? |
# | [14 Fine-tune a GPT](14_fine_tune_a_gpt.ipynb) | How do you prompt and fine-tune a language model, and when is it worth it? |
#
# The course has four parts: the foundations (01 to 03b), pretrained models (04 to 06), how to tune them (07 to 11), and
# what comes after (12 to 14): other tasks, your own data, language models. You do not have to read everything. Here are
# three routes:
#
# * **One afternoon:** 01, 02 and 06. At the end you will have fine-tuned BERT, and you will know whether it was worth it.
# * **You have your own data:** 02, 06 and 13, then 07 and 08 if you want a better or a cheaper model.
# * **You want to understand everything:** all notebooks, in order. Each one uses only what the earlier ones have explained.
#
# Notebook 03b needs an old library, so it runs in its own kernel. `python3 start.py torchtext` installs it. No other
# notebook depends on 03b, so you can skip it.

# %% [markdown]
# ## 4 How to work with a notebook
#
# * Run the cells from top to bottom with **Shift+Enter**. If something looks wrong, choose *Kernel > Restart Kernel and Run
#   All Cells* (on Colab *Runtime > Restart session and run all*). You should then see the same results as here, except that
#   trained models differ a little from one processor to another.
# * A long cell shows a progress bar with the time left. The **stop button** (a square) ends training early and keeps what
#   the model has learned so far.
# * Change the code and run it again. You cannot break anything: the notebooks are your own copies, and
#   `git checkout notebooks` brings back the originals. On Colab, open the notebook again instead.
# * We show each idea twice: first by hand, in a few lines of code, then as the library call that everybody uses. If you
#   wonder what a call does, look at the lines above it.
# * Move the mouse over a word with a dotted line to see its Chinese term.

# %% [markdown]
# ### Exercises with instant feedback
#
# After each important idea there is an exercise. You complete a function, predict a number before you run the code, fix a
# bug, or explain a figure. The cell below yours checks your answer: it runs your code on small cases that you can work out
# by hand. Every correct solution is accepted, however you write it. If your answer is wrong, the check can often say what
# the mistake is. It also has hints: open them one by one, when you need them. The solution is folded below the check, under a
# name of its own, so try first and look later. Each teaching notebook ends with a quiz of three questions. Here is a first
# exercise, to see how it works.

# %% [markdown]
# **Exercise 00.1 (complete): accuracy.** You get two lists of equal length: the predictions of a model and the true labels.
# Return the share of predictions that are right. For the predictions `[0, 0, 1, 0]` and the labels `[0, 1, 1, 0]` it is
# 0.75. Replace the line `raise`, run both cells, and read what the check says. Then give a wrong answer on purpose, such as
# the *number* of right answers, and see how the check reacts.


# %% tags=["exercise"]
def accuracy(predictions, labels):
    raise NotImplementedError


# %% tags=["check"]
checks.check("00.1", accuracy)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def accuracy_solution(predictions, labels):
    return sum(p == y for p, y in zip(predictions, labels, strict=True)) / len(labels)


# %% tags=["check"]
checks.check("00.1", accuracy_solution, mine=False)  # the same check, on the solution

# %% [markdown]
# Your progress is saved in a file in your user folder, outside the course, so you keep it when you update the course. Only
# your own answers count: if you run the solution cells, nothing is recorded. To see how far you are:

# %% tags=["nbval-ignore-output"]
print(checks.progress_table())

# %% [markdown]
# Each dot is an exercise or a question of the quiz, and it turns into a `#` when you solve it. In a terminal,
# `course progress` prints the same table. If a teacher wants to see it, `course progress --export report.json` writes a
# report. The teacher can check it with `course progress --verify report.json`. This shows that the report is complete and
# fits the exercises of the course; it cannot show who solved them.

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
# These letters also describe shapes. The shape `(B, T, D)`, for example, means $B$ texts of $T$ tokens each, with $D$
# numbers for each token. The last cell prints how many sentences we have:

# %%
sizes = {name: len(part) for name, part in zip(sentences._fields, sentences, strict=True)}
print("sentences:", ", ".join(f"{name} {size:,}" for name, size in sizes.items()))

# %% [markdown]
# We train our models on the first part, the training set. We use the second, the validation set, to make decisions, and we
# use the third, the test set, only once, at the end. Notebook 02 explains why it matters how you split the data.
#
# **Next:** [01 Minimise the loss](01_minimise_the_loss.ipynb).
