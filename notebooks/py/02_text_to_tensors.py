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
# # 02 · Text to tensors
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/fine-tuning-course/fine-tuning-course/blob/v0.2.0/notebooks/02_text_to_tensors.ipynb) · [words and terms 术语表](../docs/GLOSSARY.md)
#
# **What you will be able to do:** turn reviews into padded batches with masks, save most of the padding, split data so that
# the test score is honest, say how sure a score is, explain TF-IDF and word vectors, and measure the baselines that
# every later model has to beat.
#
# **Before you start:** notebook 01. **Time:** 50 minutes to read and play; the code takes about a minute.

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
from collections import Counter
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown
from matplotlib.colors import ListedColormap
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupShuffleSplit, train_test_split
from sklearn.pipeline import make_pipeline
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader
from transformers import AutoTokenizer

from course_utils import batching, data, diagrams, evaluation, explorers, plots, pretrained, profiles, text
from course_utils.exercises import checks

plots.use_style()
profile = profiles.get_profile()

# %% [markdown]
# ## 1 What the data look like
#
# We work with two sets of real reviews: whole reviews from IMDB, and single sentences from Rotten Tomatoes. Each set is
# split into three parts. We train on the **<abbr title="训练集">training</abbr>** part and make all our decisions on the
# **<abbr title="验证集">validation</abbr>** part. The **<abbr title="测试集">test</abbr>** part is used only once, at the end.

# %%
reviews = data.load_splits("imdb", train_size=profile.reviews_train, test_size=profile.test_size)
sentences = data.load_splits("rotten_tomatoes", train_size=profile.sentences_train, test_size=profile.test_size)
for name, splits in (("IMDB", reviews), ("Rotten Tomatoes", sentences)):
    lengths = [len(review.split()) for review in splits.train.texts]
    sizes = " + ".join(f"{len(part):,}" for part in splits)
    print(f"{name}: {sizes} texts; a text has {np.median(lengths):.0f} words (median), the longest {max(lengths):,}")
    for index in (0, -1):
        print(f"    {data.CLASS_NAMES[splits.train.labels[index]]}: {splits.train.texts[index][:80]} ...")

# %% [markdown]
# A typical review is almost nine times as long as a sentence. In both sets half of the texts are positive. In sections 2 to
# 4 we turn such texts into tensors, so that a network can read them. In the other sections we find out what score a network
# has to beat.

# %% [markdown]
# ## 2 Tokens
#
# Before a model can read a text, we have to prepare it. This is called **<abbr title="预处理">preprocessing</abbr>**, and it
# starts with a **<abbr title="分词器">tokeniser</abbr>**. A tokeniser splits a text into **<abbr title="词元">tokens</abbr>**:
# words, parts of words, punctuation marks. The simplest one splits at spaces. The one below is nearly as simple: it writes
# everything in lower case, drops quotation marks, colons and semicolons, and puts spaces around the other punctuation marks.


# %%
def tokenise(review: str) -> list[str]:
    review = review.lower().replace('"', "").replace("<br />", " ")
    for mark in ";:":
        review = review.replace(mark, " ")
    for mark in ".,()!?'":
        review = review.replace(mark, f" {mark} ")
    return review.split()


sample = "Unwatchable!<br />It's a Kafkaesque mess."
print("at spaces    ", sample.split())
print("by hand      ", tokenise(sample))
print("basic_english", text.basic_english(sample))

# %% [markdown]
# If you split only at spaces, the punctuation sticks to the words, and the model does not know that `mess.` and `mess` are
# related. Our tokeniser separates them. It also removes `<br />`, a line break in HTML that occurs in many IMDB reviews. The
# library torchtext calls these rules `basic_english`; in this course they are `text.basic_english`.
#
# A pretrained model comes with its own tokeniser, and you load the two together. BERT's tokeniser is called **WordPiece**.
# It splits a rare word into parts that it knows.

# %%
tokenizer = AutoTokenizer.from_pretrained(pretrained.checkpoint_path())
print(tokenizer.tokenize(sample))

# %% [markdown]
# A part that starts with `##` continues the word before it. So hardly any word is unknown: in the worst case it is split
# into single letters. Only a word with a character that WordPiece has never seen, such as most emoji, becomes `[UNK]`,
# unknown.

# %% [markdown]
# ## 3 A vocabulary
#
# A model computes with numbers, so every token needs a number. The **<abbr title="词表">vocabulary</abbr>** is the list of
# known tokens, and the **id** of a token is its position in this list. Two ids are reserved: 0 is for
# <abbr title="填充">padding</abbr> (see section 4), and 1 is for every token that is not in the list. To make a vocabulary,
# you count the tokens and sort them.

# %%
train_tokens = [text.basic_english(review) for review in reviews.train.texts]
counts = Counter(token for tokens in train_tokens for token in tokens)
frequent = sorted((t for t in counts if counts[t] >= 2), key=lambda t: (-counts[t], t))  # ties in alphabetical order
by_hand = ["<pad>", "<unk>", *frequent[: profile.vocabulary_size - 2]]

vocabulary = text.Vocabulary.from_tokens(train_tokens, max_size=profile.vocabulary_size, min_count=2)
same = by_hand == list(vocabulary.tokens)
print(f"V = {len(vocabulary):,} of {len(counts):,} different tokens; the same list as by hand: {same}")
ids = vocabulary.encode(text.basic_english(sample))
print(ids, "=", vocabulary.decode(ids))

# %% [markdown]
# The rare word "kafkaesque" became `<unk>`. Note that we make the vocabulary from the training reviews alone. A word that
# occurs only in the test set has to be unknown, because a review that is written tomorrow will contain unknown words too.
#
# How large should $V$ be? Let us see how much of the text the most frequent words cover.

# %%
frequencies = np.array(sorted(counts.values(), reverse=True))
covered = np.cumsum(frequencies) / frequencies.sum()
fig, ax = plt.subplots()
plots.curves(ax, {"covered": covered}, x=range(1, len(covered) + 1), marks=False)
ax.axvline(len(vocabulary), color="black", linestyle=":", linewidth=1)
ax.annotate("our vocabulary", (len(vocabulary), 0.1), (-6, 0), textcoords="offset points", ha="right")
ax.set(xscale="log", xlabel="number of words, the most frequent first", ylabel="share of all tokens", ylim=(0, 1.05))
ax.set_title(f"The {len(vocabulary):,} most frequent words are {covered[len(vocabulary) - 3]:.0%} of the text")
plots.show(fig, alt="Share of all tokens covered against vocabulary size on a log axis: a steady rise that is nearly flat at the "
           "dotted line of our vocabulary.")  # fmt: skip

# %% tags=["approx"]
left_out = len(counts) - len(vocabulary) + 2
print(f"the first 1,000 words: {covered[999]:.0%} of all tokens; the {left_out:,} left out: {1 - covered[-left_out]:.1%}")

# %% [markdown]
# A thousand words already make up most of the text. The rare words are many, but together they cover very little of it, and
# each of them would need its own row of parameters in the model. So we leave them out.

# %% [markdown]
# ## 4 Padding and masks
#
# To save time, a network reads several texts at once, a **<abbr title="批">batch</abbr>**. A batch is a tensor of shape
# $(B, T)$, with one row for each of its $B$ texts. But a tensor is a rectangle, and texts have different lengths. So we fill
# the short rows with id 0 until they are as long as the longest text, $T$. We also need a second tensor of the same shape,
# the **<abbr title="注意力掩码">attention mask</abbr>**. It tells the model which positions are real tokens (1) and which are
# padding (0).

# %%
diagrams.show(diagrams.padded_batch)

# %% [markdown]
# In code, we count how many positions are missing in each row and add as many zeros. PyTorch's `pad_sequence` gives the same
# tensor:

# %%
ragged = [[27, 419, 42, 163], [5, 388, 21], [419]]  # the three reviews of the drawing, as ids

T = max(len(row) for row in ragged)
input_ids = torch.tensor([row + [0] * (T - len(row)) for row in ragged])  # (B, T) = (3, 4)
attention_mask = torch.tensor([[1] * len(row) + [0] * (T - len(row)) for row in ragged])  # (B, T)

packaged = pad_sequence([torch.tensor(row) for row in ragged], batch_first=True, padding_value=0)
torch.testing.assert_close(packaged, input_ids)
print("input_ids     ", tuple(input_ids.shape), input_ids.tolist())
print("attention_mask", tuple(attention_mask.shape), attention_mask.tolist())

# %% [markdown]
# The tokeniser of a pretrained model does all this for you if you pass `padding=True`, and it uses the same two names. For
# BERT it also adds the tokens `[CLS]` and `[SEP]`, ids 101 and 102, at the beginning and at the end of each text. The third
# tensor, `token_type_ids`, is for tasks with two texts in a row and says which of them a token belongs to. We have only one
# text in each row, so it is 0 everywhere.

# %%
for name, tensor in tokenizer(["A mess.", "Not dull, just funny."], padding=True, return_tensors="pt").items():
    print(f"{name:14}", tensor.tolist())

# %% [markdown]
# **Exercise 02.1 (complete): a padded batch with its mask.** You get a list of texts, each a list of ids, such as
# `[[5, 6, 7], [8]]`. Return two rectangles of shape $(B, T)$: first the ids, padded with 0 after the text, then the mask, 1 for
# real tokens and 0 for padding: `[[5, 6, 7], [8, 0, 0]]` and `[[1, 1, 1], [1, 0, 0]]`. A text may be empty. You may return
# lists, arrays or tensors.


# %% tags=["exercise"]
def my_batch(texts):
    raise NotImplementedError


# %% tags=["check"]
checks.check("02.1", my_batch)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def my_batch_solution(texts):
    longest = max(len(text) for text in texts)
    padded_ids = [[*text, *[0] * (longest - len(text))] for text in texts]
    masks = [[1] * len(text) + [0] * (longest - len(text)) for text in texts]
    return padded_ids, masks


# %% tags=["check"]
checks.check("02.1", my_batch_solution, mine=False)  # the same check, on the solution

# %% [markdown]
# ### Batches from a `DataLoader`
#
# In training we need one batch after another, and PyTorch's `DataLoader` makes them for us. We have to tell it three things:
#
# * a **dataset**: `dataset[i]` is one example, here a dict with the ids and the label of one text;
# * which examples make up a batch: with `batch_size=32, shuffle=True` they are drawn at random;
# * how to turn these examples into tensors: `collate_fn`. Ours pads the ids and makes the mask.


# %%
def collate(examples):
    ids = [example["input_ids"] for example in examples]
    return {
        "input_ids": pad_sequence(ids, batch_first=True),  # (B, T), padded with 0
        "attention_mask": pad_sequence([torch.ones_like(row) for row in ids], batch_first=True),  # (B, T)
        "labels": torch.stack([example["labels"] for example in examples]),  # (B,)
    }


whole = text.encode_words(reviews.train, vocabulary, max_length=10_000)  # no review is longer
shuffled = DataLoader(whole, batch_size=32, shuffle=True, collate_fn=collate, generator=profiles.set_seed(0))
for name, tensor in next(iter(shuffled)).items():
    print(f"{name:14}", tuple(tensor.shape))

# %% [markdown]
# The course has this function as `batching.collate`.
#
# ### Bucketing
#
# A single long review makes all 32 rows of its batch long. The network then computes outputs for all that padding, and
# nobody needs them. It is better to put texts of similar length into the same batch. This is called
# **<abbr title="分桶">bucketing</abbr>**. To do it by hand, we sort the texts by length and divide the sorted list into
# batches. Then we shuffle the *batches*, so that training does not go from short texts to long ones. A `DataLoader` takes
# such a list of batches as its `batch_sampler`.


# %%
def padding_share(loader) -> float:
    masks = [batch["attention_mask"] for batch in loader]
    return float(1 - sum(mask.sum() for mask in masks) / sum(mask.numel() for mask in masks))


by_length = np.argsort(whole.lengths, kind="stable")  # the shortest text first
batches = [by_length[start : start + 32].tolist() for start in range(0, len(by_length), 32)]
np.random.default_rng(0).shuffle(batches)
bucketed = DataLoader(whole, batch_sampler=batches, collate_fn=batching.collate)
padding = {"random batches": padding_share(shuffled), "buckets by hand": padding_share(bucketed)}

# %%
fig, axes = plt.subplots(1, 2, figsize=(8, 2.8), sharey=True)
for ax, loader, name in zip(axes, (shuffled, bucketed), ("random batch", "bucket"), strict=True):
    mask = next(iter(loader))["attention_mask"]  # (B, T)
    ax.imshow(mask, aspect="auto", interpolation="none", cmap=ListedColormap(["#cccccc", plots.COLOURS[0]]), vmin=0, vmax=1)
    ax.set(title=f"A {name}: {1 - mask.float().mean():.1%} is padding", xlabel="position")
    ax.grid(False)
axes[0].set_ylabel("text of the batch")
plots.show(fig, alt="Attention masks of two batches of 32 reviews, tokens blue and padding grey. In the random batch most of the "
           "rectangle is grey; in the bucket hardly anything is.")  # fmt: skip

# %% [markdown]
# Each row is a text, with its tokens in blue and its padding in grey. In the random batch, a few long reviews make all rows
# long, so most of the rectangle is padding. In the bucket, all texts have nearly the same length. Mind the two horizontal
# scales: they are different.
#
# Our list of batches has a weakness: in every epoch the same texts are in the same batch. `batching.LengthBucketSampler`
# makes new batches of similar length for each epoch. You tell it the epoch with `set_epoch`, as with PyTorch's
# `DistributedSampler`.

# %%
sampler = batching.LengthBucketSampler(whole.lengths, batch_size=32, seed=0)
for epoch in (0, 1):
    sampler.set_epoch(epoch)
    print(f"epoch {epoch} starts with the reviews", next(iter(sampler))[:6], "...")
padding["LengthBucketSampler"] = padding_share(DataLoader(whole, batch_sampler=sampler, collate_fn=batching.collate))

max_length = profile.reviews_max_length
truncated = text.encode_words(reviews.train, vocabulary, max_length=max_length)
loader = DataLoader(truncated, batch_size=32, shuffle=True, collate_fn=batching.collate, generator=profiles.set_seed(0))
padding[f"random batches, first {max_length} tokens"] = padding_share(loader)
for name, share in padding.items():
    print(f"{name:35} {share:6.1%} of all positions are padding")

# %% [markdown]
# With random batches, most of the computation would be spent on padding. With bucketing hardly any is, whether by hand or
# with the sampler. You can also **truncate** the reviews. This helps too, but you lose text. In notebook 03 we do both,
# because an LSTM reads one token after another and is slow on long texts. There we also find out which end of a review we
# should keep.
#
# Now try it with texts of your own, one in each line. What does WordPiece do with a word that is not in our vocabulary? And
# which batch size leaves the least padding?

# %%
few = [short for short in sentences.train.texts if len(short) < 60][:6]
pieces, some = tokenizer.get_vocab(), whole.lengths[:: max(1, len(whole) // 128)][:128]
explorers.batch_explorer(few, words=vocabulary.tokens, pieces=pieces, lengths=some)

# %% [markdown]
# WordPiece splits a rare word, where our vocabulary has only `<unk>`. A batch of one text has no padding at all, but then
# nothing is computed side by side. With bucketing, a large batch has little padding too.

# %% [markdown]
# **Exercise 02.2 (predict): the padding of two batches.** Four texts have 1, 9, 2 and 4 tokens. They go into two batches of
# two: first in the given order, (1, 9) and (2, 4), then sorted, (1, 2) and (4, 9). What share of all positions is padding in
# each case? Work out both on paper and write them in the form `(0.25, 0.1)`.

# %% tags=["exercise"]
padding_shares = ...

# %% tags=["check"]
checks.check("02.2", padding_shares)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
padding_shares_solution = ((8 + 2) / (18 + 8), (1 + 5) / (4 + 18))

# %% tags=["check"]
checks.check("02.2", padding_shares_solution, mine=False)  # the same check, on the solution

# %% [markdown]
# ## 5 An honest split
#
# We want a model that does well on texts that it has not seen in training. This is called
# **<abbr title="泛化能力">generalisation</abbr>**, and we measure it on the test set. For film reviews it means that the model
# should do well on films that it has never read about. So we have to find out whether reviews of the same film are in both
# parts. The IMDB file does not say which film a review is about. But reviews of the same film mention the same names of
# actors and characters. So let us take pairs of reviews, count how many rare names they share, and see how this depends on
# their distance in the file.

# %%
everything = data.load_reviews("imdb")
finder = CountVectorizer(token_pattern=r"(?<=[a-z,] )[A-Z][a-z]{2,}", lowercase=False, binary=True, min_df=2, max_df=40)
names = finder.fit_transform(everything.texts).astype(np.float32).tocsr()  # (n, names), 1 where a review has the name
distances = [1, 2, 5, 10, 20, 50, 100, 1000]
shared = [names[:-d].multiply(names[d:]).sum() / (names.shape[0] - d) for d in distances]

fig, ax = plt.subplots(figsize=(7, 3))
plots.curves(ax, {"shared": shared}, x=distances)
ax.set(xscale="log", xlabel="distance of two reviews in the file (rows)", ylabel="rare names they share\n(mean)")
ax.set_title("Neighbours in the file share names: they are about the same film")
plots.show(fig, alt="Mean number of rare names shared by two reviews against their distance in the file: about 0.7 for neighbours, falling "
           "to nearly zero at distance 50.")  # fmt: skip

# %% [markdown]
# Neighbours share names and distant reviews do not, so the file is sorted by film. If we drew the test reviews at random,
# the training set would contain their neighbours, which are about the same films. This is called a
# **<abbr title="数据泄漏">leak</abbr>**: in training, the model gets information about the test set that it will not have when a
# new film comes out. To avoid the leak, we keep reviews of the same film together. A **block split** divides the file into
# blocks of neighbouring rows and gives each block to one part. At every border it leaves out a few rows, the gap.

# %%
diagrams.show(diagrams.random_and_block_split)

# %% [markdown]
# Here are the films of the drawing in code. scikit-learn's `train_test_split` draws rows at random, and a block split is two
# slices. If your table says which rows belong together, use `GroupShuffleSplit` (or `GroupKFold` for cross-validation). It
# keeps all rows of a group on the same side.

# %%
films = np.array(list("AAAABBBBCCCCDDDDEEEEFFFF"))
rows = np.arange(len(films))
ways = {
    "random": train_test_split(rows, test_size=6, random_state=0),
    "blocks and a gap": (rows[:14], rows[18:]),
    "groups": next(GroupShuffleSplit(test_size=2, random_state=0).split(rows, groups=films)),  # two films
}
for name, (train_rows, test_rows) in ways.items():
    seen = np.isin(films[test_rows], films[train_rows]).sum()
    print(f"{name:16} test {''.join(films[test_rows]):8} whose film is also in the training set: {seen} of {len(test_rows)}")

# %% [markdown]
# We do not know the films of our reviews, so `data.load_splits` uses blocks, with gaps of 50 rows: at that distance the
# curve above is almost down to zero. How much does a leak matter? To find out, we train a model that sees *only the rare
# names*. A name is not an opinion. So on new films this model can only guess, and its **<abbr title="准确率">accuracy</abbr>**,
# the share of right answers, should be 0.5.

# %% tags=["approx"]
random = data.random_splits(everything, reviews, seed=0)  # parts of the same sizes, drawn at random
right = {}
for name, splits in (("random split", random), ("block split", reviews)):
    model = LogisticRegression(solver="liblinear").fit(names[splits.train.rows], splits.train.labels)
    right[name] = model.predict(names[splits.test.rows]) == splits.test.labels  # (n,), True where the answer is right
    print(f"{name:12} accuracy {right[name].mean():.3f}")

# %% [markdown]
# With the random split, the model recognises films, and it has memorised which of them people disliked. With the block split
# it cannot do that, and its accuracy is close to chance level.
#
# How long do the blocks have to be? We go from single rows to blocks of 1,000 and give a quarter of the blocks to the test
# set, without gaps. **Move the slider.** A test row is orange, with a dot, if a training row is within five rows of it.

# %% tags=["approx"]
opinions, names_only = np.asarray(everything.labels), {}
for block in (1, 3, 10, 30, 100, 300, 1000):
    tested = explorers.block_test(len(opinions), block=block)  # (n,), True where a row is in the test set
    by_name = LogisticRegression(solver="liblinear").fit(names[~tested], opinions[~tested])
    names_only[block] = {"rare names only": by_name.score(names[tested], opinions[tested])}
explorers.splits_explorer(names_only)

# %% [markdown]
# With single rows a model that sees nothing but names reaches 0.686, and from blocks of 30 rows on it is close to chance
# level: few test rows still have a neighbour in the training set. Those at the borders do, which is why our split has gaps.
#
# ### How sure is a score?
#
# But is "close to chance level" the same as chance level? With other test reviews the score would have been a little
# different. The **<abbr title="自助法">bootstrap</abbr>** estimates how different. It draws a new test set from the one that we
# have, with replacement, so that some reviews are drawn twice and others not at all. Then it computes the score of this new
# test set. After 2,000 such draws we have 2,000 scores. The range of the middle 95 % of them is the **95 %
# <abbr title="置信区间">interval</abbr>**. We draw whole blocks rather than single reviews, because the reviews in a block
# resemble each other.

# %%
diagrams.show(diagrams.bootstrap)

# %% [markdown]
# In code, a draw is a row of block numbers. Its score is the number of right answers in these blocks, divided by the number
# of reviews in them. `evaluation.block_interval` does the same:

# %% tags=["approx"]
scores = {}
for name, splits in (("random split", random), ("block split", reviews)):
    _, block = np.unique(splits.test.blocks, return_inverse=True)  # (n,): 0, 1, ... for the block of each review
    num_right, size = np.bincount(block, weights=right[name]), np.bincount(block)  # of each block
    drawn = np.random.default_rng(0).integers(len(size), size=(2_000, len(size)))  # each row: the blocks of one new test set
    scores[name] = num_right[drawn].sum(axis=1) / size[drawn].sum(axis=1)  # (2000,)

low, high = np.quantile(scores["random split"], [0.025, 0.975])
interval = evaluation.block_interval(right["random split"], random.test.blocks)
np.testing.assert_allclose([low, high], [interval.low, interval.high])
print("by hand", low.round(3), high.round(3), "| evaluation.block_interval", interval)

# %%
fig, ax = plt.subplots(figsize=(7, 2.8))
ends = {name: np.quantile(drawn_scores, [0.025, 0.975]) for name, drawn_scores in scores.items()}
for i, (name, drawn_scores) in enumerate(scores.items()):
    colour = plots.COLOURS[1 - i]  # as in the drawing of the splits: orange leaks, blue does not
    ax.hist(drawn_scores, bins=40, color=colour, alpha=0.4, label=name)
    ax.plot(ends[name], [-14 * (i + 1)] * 2, color=colour, linestyle="-", linewidth=4)
ax.axvline(0.5, color="black", linestyle=":", linewidth=1.2, label="chance level")
ax.set(xlabel="accuracy from rare names alone, with its 95 % interval below", ylabel="bootstrap draws")
ax.set_title("Names alone beat chance only where the split leaks")
ax.legend()
plots.show(fig, alt="Histograms of 2,000 bootstrap accuracies for each split, with 95 % intervals below. That of the random split lies "
           "well to the right of 0.5; that of the block split lies around 0.5.")  # fmt: skip

# %% tags=["approx"]
low, high = ends["block split"]
inside = "inside" if low <= 0.5 <= high else "outside"
Markdown(f"""Under the block split the interval goes from {low:.3f} to {high:.3f}, and chance level, 0.5, is
{inside}. Under the random split it starts at {ends["random split"][0]:.3f}.""")

# %% [markdown]
# So, as we expected, rare names do not help on new films. The random split gives a higher score only because it leaks.

# %% [markdown]
# **Exercise 02.3 (debug): a split that leaks films.** The function gets the film of each review and returns two lists of rows,
# for training and for testing: the last `test_size` reviews are held out. But a film may be in both lists. Fix it: if a film is
# among the last `test_size` reviews, *every* review of it goes into the test set, which becomes larger. All other rows are for
# training. A film may appear again later in the file, and both lists keep the order of the file.


# %% tags=["exercise"]
def split_by_film(films, test_size):
    every_row = list(range(len(films)))
    return every_row[:-test_size], every_row[-test_size:]


# %% tags=["check"]
checks.check("02.3", split_by_film)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def split_by_film_solution(films, test_size):
    held_out = set(films[-test_size:])
    every_row = range(len(films))
    train_rows = [row for row in every_row if films[row] not in held_out]
    return train_rows, [row for row in every_row if films[row] in held_out]


# %% tags=["check"]
checks.check("02.3", split_by_film_solution, mine=False)  # the same check, on the solution

# %% [markdown]
# **Exercise 02.4 (choice): explain the figure.** Look again at the two scores of the model that sees only names. Run the
# check to see the question, then write the letter of your answer, in quotes.

# %% tags=["exercise"]
what_names_tell = ...

# %% tags=["check"]
checks.check("02.4", what_names_tell)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
what_names_tell_solution = "b"

# %% tags=["check"]
checks.check("02.4", what_names_tell_solution, mine=False)  # the same check, on the solution

# %% [markdown]
# ## 6 The scores to beat
#
# Before we train a network, we want to know how far we get without one. If a network does not beat a simple
# **<abbr title="基线">baseline</abbr>**, we do not need the network. Our first baseline always predicts the most frequent
# class (**majority**). The second one, **<abbr title="词频-逆文档频率">TF-IDF</abbr>**, counts words and weighs these counts.
#
# Each text becomes a vector with one entry for each of the $V$ words of the vocabulary. Let $\mathrm{tf}(d, w)$ be the number
# of times that word $w$ occurs in text $d$ (*term frequency*), $\mathrm{df}(w)$ the number of texts that contain $w$ at
# all (*document frequency*), and $n$ the number of texts. The entry for $w$ is
#
# $$\mathrm{tf}(d, w) \cdot \mathrm{idf}(w), \qquad \mathrm{idf}(w) = \log \frac{1 + n}{1 + \mathrm{df}(w)} + 1.$$
#
# The *inverse document frequency* idf is 1 for a word that is in every text, such as "film" in our example. It is larger for
# rarer words, because they say more about the text. At the end each vector is divided by its length, so that we can compare
# long and short texts.

# %%
tiny = ["dull film dull plot", "funny film", "not dull just funny film"]  # n = 3
vocabulary_of_six = sorted({word for review in tiny for word in review.split()})
tf = np.array([[review.split().count(word) for word in vocabulary_of_six] for review in tiny])  # (n, V)
df = (tf > 0).sum(axis=0)  # (V,)
idf = np.log((1 + len(tiny)) / (1 + df)) + 1  # (V,)
print("idf:", ", ".join(f"{word} {value:.2f}" for word, value in zip(vocabulary_of_six, idf, strict=True)))
weighted = tf * idf  # (n, V)
tfidf = weighted / np.linalg.norm(weighted, axis=1, keepdims=True)

torch.testing.assert_close(torch.tensor(tfidf), torch.tensor(TfidfVectorizer().fit_transform(tiny).toarray()))

# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 2.5))
plots.heat_map(axes[0], tf, rows=tiny, columns=vocabulary_of_six, numbers="{:.0f}")
plots.heat_map(axes[1], tfidf, rows=["", "", ""], columns=vocabulary_of_six, numbers="{:.2f}")
axes[0].set_title("Counts (tf)")
axes[1].set_title("TF-IDF: rare words weigh more")
plots.show(fig, alt="Two tables of three texts by six words. Left the counts; right the TF-IDF values, where film, which is in all texts, "
           "has the smallest value of each row.")  # fmt: skip

# %% [markdown]
# We can check the first row by hand. "dull" occurs twice, and two of the three texts contain it, so its entry is
# $2 \cdot (\log\tfrac43 + 1) = 2.575$. "film" is in every text: $1 \cdot (\log\tfrac44 + 1) = 1$. "plot" is in only one:
# $1 \cdot (\log\tfrac42 + 1) = 1.693$. The vector $(2.575, 1, 1.693)$ has length $\sqrt{2.575^2 + 1^2 + 1.693^2} = 3.24$. If
# we divide by it, we get $2.575 / 3.24 = 0.79$, $1 / 3.24 = 0.31$ and $1.693 / 3.24 = 0.52$. scikit-learn's
# `TfidfVectorizer` gives the same table; the assertion above has compared the two.
#
# What does such a vector keep, and what does it lose? It keeps which words occur, how often, and how rare they are. It loses
# their **order**: a text becomes a *bag of words*.

# %%
opposites = ["not dull just funny", "not funny just dull"]
for longest in (1, 2):
    first, second = TfidfVectorizer(ngram_range=(1, longest)).fit_transform(opposites).toarray()
    print(f"up to {longest} word(s) an entry: the cosine of the angle between the two vectors is {first @ second:.2f}")

# %% [markdown]
# With single words the two opposite opinions give the same vector (the cosine is 1). If we also count pairs of neighbouring
# words (`ngram_range=(1, 2)`), the two vectors differ. TF-IDF has another weakness: "funny" and "hilarious" are two separate
# entries, and it does not know that they are related (see section 7).
#
# Our baseline counts words and pairs of words, and leaves out those that occur in only one review (`min_df=2`). Instead of
# tf it uses $1 + \log \mathrm{tf}$ (`sublinear_tf`), because the tenth "dull" of a review says less than the first. Then it
# trains the **logistic regression** that you know from notebook 01 on these vectors. `make_pipeline` joins the two steps, so
# that `fit` uses only the training set in both.


# %% tags=["nbval-ignore-output"]
def fit_word_counts(train):
    counter = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    return make_pipeline(counter, LogisticRegression(C=4, max_iter=1000)).fit(train.texts, train.labels)


def test_score(model, test):
    return evaluation.block_interval(model.predict(test.texts) == test.labels, test.blocks)


linear = fit_word_counts(reviews.train)
entries, weights = linear[0].get_feature_names_out(), linear[1].coef_[0]
ranking = weights.argsort()
print("most negative:", ", ".join(entries[ranking[:8]]))
print("most positive:", ", ".join(entries[ranking[:-9:-1]]))

# %% [markdown]
# You would probably have named the same words. Now let us compute the scores on both data sets. For the IMDB reviews we also
# use the random split that leaks.

# %%
baselines = {}
for name, splits in (("reviews", reviews), ("reviews, random split", random), ("sentences", sentences)):
    majority = DummyClassifier(strategy="most_frequent").fit(splits.train.texts, splits.train.labels)
    model = linear if splits is reviews else fit_word_counts(splits.train)
    if splits is not random:
        baselines[f"{name}: majority"] = test_score(majority, splits.test)
    baselines[f"{name}: TF-IDF"] = test_score(model, splits.test)

fig, ax = plt.subplots(figsize=(7, 2.8))
plots.bars_with_intervals(ax, baselines)
ax.set_title("TF-IDF is strong on reviews, weaker on sentences")
plots.show(fig, alt="Test accuracy with intervals: majority 0.5 on both sets; TF-IDF with logistic regression about 0.88 on IMDB, "
           "a little more under the random split, and about 0.75 on single sentences.")  # fmt: skip

# %% tags=["approx"]
all_sentences = data.load_reviews("rotten_tomatoes")
splits_at_random = [data.random_splits(all_sentences, sentences, seed=seed) for seed in range(3)]
at_random = np.mean([test_score(fit_word_counts(parts.train), parts.test).estimate for parts in splits_at_random])
on_reviews, leaky, on_sentences = (score for name, score in baselines.items() if "TF-IDF" in name)
inside = "inside" if on_sentences.low <= at_random <= on_sentences.high else "outside"
Markdown(f"""The scores to beat are **{on_reviews.estimate:.3f}** on reviews and **{on_sentences.estimate:.3f}** on
sentences. The random split shows {leaky.estimate:.3f} on reviews, {100 * (leaky.estimate - on_reviews.estimate):+.1f} points.
On sentences three random splits show {at_random:.3f} on average, {inside} the interval of the block split.""")

# %% [markdown]
# A long review nearly always contains a word that gives the opinion away. A single sentence often does not, so there a model
# that understands what it reads has more to gain. This is why we will test BERT on sentences.
#
# Now compare the two splits. For this model the leak makes only a small difference: it reads so many other words that it
# gains little from the names. With a single random split you also cannot know how much of the difference is luck. But do not
# conclude that leaks are harmless. A neural network memorises more easily, so it can gain more from one. The file of
# sentences is not sorted by film, so a random split does no harm there. Before you split a file of your own, find out how
# its rows were ordered.
#
# From here on, we compare every network with its baseline.

# %% [markdown]
# ## 7 Word vectors
#
# An id says nothing about the meaning of a word: word 17 is no closer to word 18 than to word 9,000. A
# **<abbr title="词向量">word vector</abbr>** $E_w \in \mathbb{R}^D$ describes a word by $D$ numbers. They are chosen so that
# words that are used in similar ways get similar vectors. "You shall know a word by the company it keeps", wrote the
# linguist J. R. Firth in 1957, and we follow his advice. First we count which words occur near each other. Then we compare
# these counts with what we would expect by chance, and at the end we compress the table. For the comparison we use the
# *positive pointwise mutual information*:
#
# $$\mathrm{PPMI}(w, c) = \max\!\Big(0, \log \frac{p(w, c)}{p(w)\, p(c)}\Big)$$
#
# Here $p(w, c)$ is the share of the pair $(w, c)$ among all pairs of neighbours, and $p(w)$ is the share of pairs that start
# with $w$. If two words have nothing to do with each other, $p(w, c)$ is equal to $p(w)\,p(c)$, and the logarithm is 0. If
# they are neighbours more often than that, the logarithm is positive. Here is an example with six texts of two words:

# %%
corpus = ["dull film", "dull plot", "boring film", "boring plot", "great cast", "superb cast"]
words = sorted({word for line in corpus for word in line.split()})
together = np.zeros((len(words), len(words)))  # (V, V), how often two words are neighbours
for line in corpus:
    for left, after in pairwise(words.index(word) for word in line.split()):
        together[left, after] += 1
        together[after, left] += 1
p = together / together.sum()
with np.errstate(divide="ignore"):
    ppmi = np.maximum(np.log(p / np.outer(p.sum(axis=1), p.sum(axis=0))), 0)

# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 3.2))
for ax, table, form in zip(axes, (together, ppmi), ("{:.0f}", "{:.1f}"), strict=True):
    plots.heat_map(ax, table, rows=words, columns=words, numbers=form)
axes[0].set_title("How often two words are neighbours")
axes[1].set_title("PPMI: 'dull' and 'boring' get equal rows")
plots.show(fig, alt="Two tables of seven words by seven words: left how often they are neighbours, right their PPMI. The rows of dull "
           "and boring are equal in both, and so are those of great and superb.")  # fmt: skip

# %% [markdown]
# Let us compute one entry by hand. There are 12 pairs, because each one counts in both directions. One of them is "dull,
# film"; 2 pairs start with "dull" and 2 with "film". So the PPMI is $\log \frac{1/12}{2/12 \cdot 2/12} = \log 3 = 1.1$. Now
# look at the rows. "dull" and "boring" are never neighbours, and yet their rows are equal, because they have the same
# neighbours. That is the similarity we want.
#
# If we do this for all training reviews and count neighbours up to 4 words apart, the table has $V$ columns. We compress it
# to $D = 64$ columns with a singular value decomposition, which keeps as much of the table as 64 columns can.
# `text.ppmi_vectors` does both.

# %%
vectors = text.ppmi_vectors(whole, vocab_size=len(vocabulary), size=64)  # (V, D)
unit = nn.functional.normalize(vectors, dim=1)  # all of length 1, so that a dot product is a cosine


def neighbours(word: str, count: int = 5) -> list[str]:
    similarity = unit @ unit[vocabulary.encode([word])[0]]  # (V,)
    return vocabulary.decode(similarity.topk(count + 1).indices.tolist())[1:]  # the first is the word itself


# %% tags=["nbval-ignore-output"]
for word in ("awful", "wonderful", "director", "king", "two"):
    print(f"{word:10}", ", ".join(neighbours(word)))

# %% [markdown]
# The program does not know what a director or a number is. It has only counted words, and still it finds similar ones. Note
# the neighbours of "king": it learned this word from film reviews, where it is often part of a name, as in Stephen King. For
# a picture we take twenty words of four kinds. We project their vectors onto the two directions in which they differ most.

# %%
groups = {
    "praise": ["wonderful", "excellent", "superb", "brilliant", "fantastic"],
    "blame": ["awful", "terrible", "horrible", "boring", "dull"],
    "people": ["director", "actor", "actress", "writer", "producer"],
    "numbers": ["two", "three", "four", "five", "ten"],
}
chosen, group = [word for kind in groups.values() for word in kind], np.repeat(range(4), 5)
twenty = unit[vocabulary.encode(chosen)]  # (20, D)
_, _, directions = torch.linalg.svd(twenty - twenty.mean(0), full_matrices=False)
points = ((twenty - twenty.mean(0)) @ directions[:2].T).numpy()  # (20, 2)
points *= np.sign(points[np.abs(points).argmax(0), [0, 1]])  # a direction may point either way

fig, ax = plt.subplots(figsize=(7, 4.2))
ax.set(xlabel="first direction", ylabel="second direction", title="Words that are used alike lie close together")
plots.scatter_words(ax, points, chosen, group, list(groups))
plots.show(fig, alt="Map of twenty words in two directions: numbers on the right, blame at the top, and "
           "praise at the lower left, close to people.")  # fmt: skip

# %% tags=["approx"]
cosine = (twenty @ twenty.T).fill_diagonal_(-1)  # (20, 20)
own = int((group[cosine.argmax(dim=1)] == group).sum())
praise, blame, people = (torch.from_numpy(group == i) for i in range(3))
Markdown(f"""For {own} of the 20 words the nearest of the other 19 is of the same kind. The mean cosine between
praise and people is {cosine[praise][:, people].mean():.2f}, between praise and blame {cosine[praise][:, blame].mean():.2f}.""")

# %% [markdown]
# But similar vectors do not always mean similar opinions. The cosine between praise and blame is well above 0, although they
# are opposites, because reviewers use both in similar sentences. Praise is even a little closer to people, because reviews
# often praise people. Word vectors do not know that "wonderful" is the opposite of "awful". A network has to learn this from
# the labels.

# %% [markdown]
# In a network, word vectors are the first layer. `nn.Embedding` is a table with a row for each id. It replaces each id of a
# batch by the row of this id:

# %%
embedding = nn.Embedding.from_pretrained(vectors, padding_idx=0)
batch = batching.collate([whole[i] for i in range(4)])
print("ids", tuple(batch["input_ids"].shape), "-> vectors", tuple(embedding(batch["input_ids"]).shape))

# %% [markdown]
# Notebook 03 starts with this layer. You can also download vectors that were made from far more text, such as GloVe:
# `text.load_vectors(text.glove_file())` reads them, and `text.vectors_for` picks those of your vocabulary.

# %% [markdown]
# ## 8 Classic bug: averaging the padding
#
# The simplest way to get one vector for a whole text is to take the mean of its word vectors. Padding must not count in this
# mean. What happens if we forget the mask? We compute the vector of the *same* text twice: once alone, and once in a batch
# with a longer text.

# %%
with_padding_row = vectors.clone()
with_padding_row[0] = 0.3  # nn.Embedding starts with random numbers here, unless you pass padding_idx=0
embedding = nn.Embedding.from_pretrained(with_padding_row)


def mean_vectors(batch, masked: bool) -> torch.Tensor:
    embedded = embedding(batch["input_ids"])  # (B, T, D)
    weights = batch["attention_mask"] if masked else torch.ones_like(batch["attention_mask"])  # (B, T)
    return (embedded * weights[:, :, None]).sum(dim=1) / weights.sum(dim=1, keepdim=True)  # (B, D)


# %% tags=["nbval-ignore-output"]
pair = batching.TokenDataset((np.array([5, 6]), np.array([7] * 20)), np.array([0, 1]))
for masked, label in ((True, "with mask"), (False, "without mask")):
    alone, in_a_batch = (mean_vectors(batching.collate(texts), masked)[0, :3] for texts in ([pair[0]], [pair[0], pair[1]]))
    print(f"{label:12}", alone.numpy().round(2), "alone,", in_a_batch.numpy().round(2), "in a batch")

# %% [markdown]
# Without the mask, the vector of a text depends on the other texts in its batch. What does this do to a classifier? We train
# logistic regression on the mean vectors of the sentences, computed in random batches of 32. Then we test it twice: in
# batches of 32, and one sentence at a time, as when a user types one.


# %%
def mean_features(part, masked: bool, batch_size: int) -> np.ndarray:
    encoded = text.encode_words(part, vocabulary, max_length=60)
    order = np.random.default_rng(0).permutation(len(part))
    batches = np.split(order, range(batch_size, len(part), batch_size))
    features = np.zeros((len(part), vectors.shape[1]), dtype=np.float32)
    for rows, batch in zip(batches, DataLoader(encoded, batch_sampler=batches, collate_fn=batching.collate), strict=True):
        features[rows] = mean_vectors(batch, masked)
    return features


# %% tags=["approx"]
correct = {}
for masked in (True, False):
    train_features = mean_features(sentences.train, masked, batch_size=32)
    classifier = LogisticRegression(max_iter=2000).fit(train_features, sentences.train.labels)
    for batch_size in (32, 1):
        answers = classifier.predict(mean_features(sentences.test, masked, batch_size))
        correct[masked, batch_size] = answers == sentences.test.labels
        score = evaluation.block_interval(correct[masked, batch_size], sentences.test.blocks)
        print("with mask,   " if masked else "without mask,", f"{batch_size:2} at a time: {score}")

# %% tags=["approx-0.1"]
changed = {masked: np.mean(correct[masked, 32] != correct[masked, 1]) for masked in (True, False)}
Markdown(f"""Tested alone instead of in a batch, {changed[False]:.1%} of the sentences get another answer without the
mask, and {changed[True]:.0%} with it.""")

# %% [markdown]
# Without the mask the accuracy is about a point lower. This is less than the width of the intervals, so you would probably
# not notice the bug. But now the answer to a sentence depends on the other sentences in its batch. Imagine that a user gets
# a wrong answer: you try the same sentence alone, and the answer is right. In a linear model the damage is small, because
# the padding only shifts the mean. For an LSTM (notebook 03) and for BERT (notebook 06) the same mistake is much more
# expensive. One short test catches it: *a text must get the same answer alone and in a batch.* We test every model of this
# course in this way.

# %% [markdown]
# ## Quiz
#
# Three questions to check what you remember.

# %% tags=["check"]
checks.quiz("02")

# %% [markdown]
# ## Summary
#
# * A text is split into tokens, each token gets an id, and the ids are put into padded batches with a mask. Both have shape
#   $(B, T)$.
# * A `DataLoader` makes the batches. Its `collate_fn` pads them, and a `batch_sampler` with buckets saves most of the
#   padding.
# * When you split a file, keep rows that belong together on the same side. With a random split of the IMDB file, a model can
#   recognise films.
# * The bootstrap over blocks tells you how sure you can be of a score.
# * Our baseline is TF-IDF with logistic regression. A network has to beat its scores in section 6.
# * Words that are used in similar ways get similar word vectors.
#
# **To think about.** Take some data of your own. Which rows belong together: those of a patient, of a customer, of a day?
#
# **Next:** [03 LSTM classifier](03_lstm_classifier.ipynb).
