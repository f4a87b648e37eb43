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
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/fine-tuning-course/fine-tuning-course/blob/main/notebooks/02_text_to_tensors.ipynb) · [words and terms 术语表](../docs/GLOSSARY.md)
#
# **What you will be able to do:** turn reviews into padded batches with masks, measure what padding wastes, split data
# so that the test score is honest, make word vectors, and measure the baselines that every later model has to beat.
#
# **Before you start:** notebook 01. **Time:** 50 minutes to read and play; the code takes about a minute.

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

# %%
from collections import Counter
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from course_utils import batching, data, evaluation, plots, pretrained, profiles, text
from course_utils.exercises import checks

plots.use_style()
profile = profiles.get_profile()
reviews = data.load_splits("imdb", train_size=profile.reviews_train, test_size=profile.test_size)
sentences = data.load_splits("rotten_tomatoes", train_size=profile.sentences_train, test_size=profile.test_size)

# %% [markdown]
# ## 1 What the data look like
#
# We use two sets of real reviews: whole ones from IMDB and single sentences from Rotten Tomatoes. Half of each is positive.

# %%
for name, splits in (("IMDB", reviews), ("Rotten Tomatoes", sentences)):
    words = [len(text.basic_english(review)) for review in splits.train.texts[:2000]]
    print(f"{name}: {[len(part) for part in splits]} examples; words: median {np.median(words):.0f}, longest {max(words)}")
print(reviews.train.texts[3][:300], "...")

# %% [markdown]
# An IMDB review is about ten times as long as a Rotten Tomatoes sentence. Many still have HTML in them (`<br />`), as the sample
# of the next section does.

# %% [markdown]
# ## 2 Tokens
#
# All work between the file and the first tensor is called **<abbr title="预处理">preprocessing</abbr>**. Its first step: a **<abbr title="分词器">tokeniser</abbr>** splits a text
# into **<abbr title="词元">tokens</abbr>**. The naive way is to split at spaces. It is better to lower-case, drop `<br />`,
# double quotes, colons and semicolons, and make the other common punctuation marks tokens of their own; these rules are called `basic_english`. A pretrained
# model comes with its own tokeniser, which splits rare words into known subword tokens, here with **WordPiece**.

# %%
sample = "Unwatchable!<br />It's a Kafkaesque mess."
tokenizer = pretrained.load_tokenizer()
print("spaces      ", sample.split())
print("basic       ", text.basic_english(sample))
print("WordPiece   ", tokenizer.tokenize(sample))

# %% [markdown]
# If you split at spaces, punctuation sticks to words: `mess.` and `mess` become unrelated tokens. WordPiece keeps every rare word
# readable: a subword token that starts with `##` continues the one before. Hardly anything is unknown to it, only characters
# that its vocabulary lacks, such as most emoji.

# %% [markdown]
# ## 3 A vocabulary
#
# Models read integers. A **<abbr title="词表">vocabulary</abbr>** gives each token an id; id 0 is reserved for <abbr title="填充">padding</abbr> and id 1 for every unknown
# token. By hand you need a counter and a sorted list:

# %%
train_tokens = [text.basic_english(review) for review in reviews.train.texts]
counts = Counter(token for tokens in train_tokens for token in tokens)
common = sorted((t for t in counts if counts[t] >= 2), key=lambda t: (-counts[t], t))
by_hand = ["<pad>", "<unk>", *common[: profile.vocabulary_size - 2]]

vocabulary = text.Vocabulary.from_tokens(train_tokens, max_size=profile.vocabulary_size, min_count=2)
assert list(vocabulary.tokens) == by_hand
ids = vocabulary.encode(text.basic_english(sample))
print(f"V = {len(vocabulary):,} of {len(counts):,} different tokens;", ids, vocabulary.decode(ids))

# %% [markdown]
# The rare word "kafkaesque" became `<unk>`. We build the vocabulary from the <abbr title="训练集">training</abbr> set alone: words that occur only in
# the test set must be unknown, just like new words in tomorrow's reviews. How large should $V$ be?

# %%
frequencies = np.array(sorted(counts.values(), reverse=True))
covered = np.cumsum(frequencies) / frequencies.sum()
fig, ax = plt.subplots()
plots.curves(ax, {"covered": covered}, x=range(1, len(covered) + 1), marks=False)
ax.axvline(len(vocabulary), color="black", linestyle=":", linewidth=1)
ax.set(xscale="log", xlabel="words in the vocabulary V, most frequent first", ylabel="share of all tokens covered")
ax.set_title(f"{len(vocabulary):,} words cover {covered[len(vocabulary) - 3]:.0%} of all tokens")
plots.show(fig, alt="Share of all tokens covered against vocabulary size on a log axis: a steady rise that is nearly flat at the "
           "dotted line of our vocabulary.")  # fmt: skip

# %% [markdown]
# A thousand words already cover about 80 % of all tokens, and ten thousand about 95 %. After that, the long tail adds parameters
# faster than it adds coverage.

# %% [markdown]
# ## 4 Padding and masks
#
# A tensor is rectangular, and texts are not. A <abbr title="批">batch</abbr> is padded with id 0 to the length $T$ of its longest text, and
# an **<abbr title="注意力掩码">attention mask</abbr>** of the same shape $(B, T)$ says which positions are real tokens (1) and which are padding (0).

# %%
encoded = text.encode_words(reviews.train, vocabulary, max_length=profile.reviews_max_length)
short = batching.TokenDataset(tuple(np.array(ids) for ids in ([5, 6, 7], [8], [9, 4])), np.array([1, 0, 1]))

T = max(len(ids) for ids in short.input_ids)
padded = torch.tensor([[*ids, *[0] * (T - len(ids))] for ids in short.input_ids])  # (B, T) = (3, 3)
mask = (padded != 0).long()

batch = batching.collate([short[i] for i in range(3)])
torch.testing.assert_close(batch["input_ids"], padded)
torch.testing.assert_close(batch["attention_mask"], mask)
for name, tensor in batch.items():
    print(f"{name:15} {tuple(tensor.shape)!s:7}", tensor.tolist())

# %% [markdown]
# **Exercise 02.1 (complete): a padded batch with its mask.** You get a list of texts, each a list of ids, such as
# `[[5, 6, 7], [8]]`. Return two rectangles of shape $(B, T)$: first the ids, padded with 0 after the text, then the mask, 1 for
# real tokens and 0 for padding: `[[5, 6, 7], [8, 0, 0]]` and `[[1, 1, 1], [1, 0, 0]]`. A text may be empty. You may return lists, arrays
# or tensors.


# %% tags=["exercise"]
def my_batch(texts):
    raise NotImplementedError


# %% tags=["check"]
checks.check("02.1", my_batch)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def my_batch(texts):
    longest = max(len(text) for text in texts)
    padded_ids = [[*text, *[0] * (longest - len(text))] for text in texts]
    real_places = [[1] * len(text) + [0] * (longest - len(text)) for text in texts]
    return padded_ids, real_places


# %% tags=["check"]
checks.check("02.1", my_batch, mine=False)  # the same check, on the solution

# %% [markdown]
# Padding costs time: the network computes outputs for it that are then thrown away. Batches of texts of similar length (**<abbr title="分桶">bucketing</abbr>**)
# need less of it. We measure four ways on the training reviews.

# %%
generator = profiles.set_seed(0)
lengths = encoded.lengths
uncut = np.array([len(tokens) for tokens in train_tokens])
ways = {
    "whole reviews, random": (uncut, False),
    "whole reviews, bucketed": (uncut, True),
    "truncated, random": (lengths, False),
    "truncated, bucketed": (lengths, True),
}
waste = {}
for name, (sizes, bucketed) in ways.items():
    batches = batching.make_batches(sizes, batch_size=32, generator=generator, bucketed=bucketed)
    waste[name] = batching.padding_waste(sizes, batches)
    print(f"{name:24} padding {waste[name]:6.1%} of all positions")

# %%
fig, ax = plt.subplots(figsize=(7, 2.6))
ax.barh(list(waste), [100 * share for share in waste.values()], color=plots.COLOURS[0])
ax.invert_yaxis()
ax.set(xlabel="positions that are padding (%)", title="Bucketing removes nearly all of the padding")
plots.show(fig, alt="Bars of the share of padding: whole reviews in random batches waste more than half, bucketed batches very little, "
           "truncated reviews in between and again very little when bucketed.")  # fmt: skip

# %% [markdown]
# In random batches of whole reviews about 70 % of the work would go into padding. Truncating the reviews
# helps, bucketing helps more, and we train with both (notebook 03 asks which end to keep). In every epoch
# texts of similar length are distributed anew over the batches, and the batches are shuffled, so the model cannot learn from their order.

# %% [markdown]
# **Exercise 02.2 (predict): the padding of two batches.** Four texts have 1, 9, 2 and 4 tokens. They go into two batches of two: first in
# the given order, (1, 9) and (2, 4), then sorted, (1, 2) and (4, 9). What share of all positions is padding in each case? Work out
# both on paper and write them in the form `(0.25, 0.1)`.

# %% tags=["exercise"]
padding_shares = ...

# %% tags=["check"]
checks.check("02.2", padding_shares)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
padding_shares = ((8 + 2) / (18 + 8), (1 + 5) / (4 + 18))

# %% tags=["check"]
checks.check("02.2", padding_shares, mine=False)  # the same check, on the solution

# %% [markdown]
# ## 5 An honest split
#
# What counts is **<abbr title="泛化能力">generalisation</abbr>**: doing well on reviews that the model was not trained on. So a <abbr title="测试集">test set</abbr> should contain films the
# model has never read about. But the IMDB file is sorted: reviews of the same film are next to
# each other. We can see this without knowing the films, from the rare capitalised words (mostly names) that two
# reviews share.

# %%
everything = data.load_reviews("imdb")
finder = CountVectorizer(token_pattern=r"(?<=[a-z,] )[A-Z][a-z]{2,}", lowercase=False, binary=True, min_df=2, max_df=40)
names = finder.fit_transform(everything.texts).astype(np.float32).tocsr()  # (n, names), 1 where a review has the name
distances = [1, 2, 5, 10, 20, 50, 100, 1000]
shared = [names[:-d].multiply(names[d:]).sum() / (names.shape[0] - d) for d in distances]

# %%
fig, ax = plt.subplots()
plots.curves(ax, {"shared": shared}, x=distances)
ax.set(xscale="log", xlabel="distance between two reviews in the file (rows)", ylabel="rare names they share (mean)")
ax.set_title("Neighbours talk about the same film")
plots.show(fig, alt="Mean number of rare names shared by two reviews against their distance in the file: about 0.7 for neighbours, falling "
           "to nearly zero at distance 50.")  # fmt: skip

# %% [markdown]
# Neighbours share names; reviews 50 rows apart hardly do. A random split therefore puts reviews of the same film into
# both training and test set. The course splits the file into **blocks** of neighbouring rows instead and drops 50 rows at every border. Both
# splits below have parts of the same size. We count the test reviews for which the training set contains a review with at least three
# rare names in common (its twin).


# %%
def share_with_twin(splits) -> float:
    overlap = names[splits.test.rows] @ names[splits.train.rows].T  # (test, train), names in common
    return float((overlap.max(axis=1).toarray() >= 3).mean())


whole = data.load_splits("imdb")
random = data.random_splits(everything, whole, seed=0)
twins = {"random": share_with_twin(random), "block": share_with_twin(whole)}
for name, share in twins.items():
    print(f"{name:6} split: {share:.0%} of the test reviews have a twin in the training set")

# %% [markdown]
# The block split removes more than half of the twins, but not all: some names are shared by chance, and sequels share their heroes.
# What does the <abbr title="数据泄漏">leak</abbr> do to a score? We train a model that sees *nothing but rare names*. Names express no opinion, so in an
# honest test its accuracy must be at chance level.


# %%
def names_only(splits):
    model = LogisticRegression(solver="liblinear").fit(names[splits.train.rows], splits.train.labels)
    return evaluation.block_interval(model.predict(names[splits.test.rows]) == splits.test.labels, splits.test.blocks)


names_scores = {"random split": names_only(random), "block split": names_only(whole)}

# %%
fig, ax = plt.subplots(figsize=(7, 2))
plots.bars_with_intervals(ax, names_scores)
ax.axvline(0.5, color="black", linestyle=":", linewidth=1)
ax.set_title("Names alone beat chance only where the split leaks")
plots.show(fig, alt="Test accuracy with intervals of a model that sees only rare names: about 0.66 under the random split, "
           "and about 0.5, the dotted line of chance, under the block split.")  # fmt: skip

# %% tags=["approx"]
if profile.name != "smoke":
    assert (
        names_scores["random split"].low > 0.6 and names_scores["block split"].low < 0.5 < names_scores["block split"].high
    )
print({name: round(score.estimate, 3) for name, score in names_scores.items()})

# %% [markdown]
# Under the random split the model has memorised which films are bad, and recognises them. Under the block split it is at chance level, which is
# the honest answer. An <abbr title="置信区间">interval</abbr> says how much a score might change with other test reviews. We compute it with the **bootstrap**: draw as many
# test blocks as there are, at random and with replacement (a block may be drawn twice), compute the score, repeat this 2,000 times, and keep the middle
# 95 %. We draw whole blocks because reviews within a block resemble each other.
#
# How much does the leak inflate the score of a model that reads whole reviews? We train TF-IDF features with logistic regression
# (explained in the next section) on both splits:


# %%
def tfidf_baseline(splits):
    vectoriser = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    features = vectoriser.fit_transform(splits.train.texts)
    model = LogisticRegression(C=4, max_iter=1000).fit(features, splits.train.labels)
    correct = model.predict(vectoriser.transform(splits.test.texts)) == splits.test.labels
    return evaluation.block_interval(correct, splits.test.blocks), correct


# %% tags=["approx"]
smaller = whole if profile.name != "smoke" else reviews
block_score, block_correct = tfidf_baseline(smaller)
print(f"block split:  {block_score}")

# %% [markdown]
# And the same model, trained and tested on the split that leaks:

# %% tags=["approx"]
leaky = random if profile.name != "smoke" else data.random_splits(everything, reviews, seed=0)
random_score, random_correct = tfidf_baseline(leaky)
print(f"random split: {random_score}")

# %%
overlap = random_score.low < block_score.high
print("the two intervals", "overlap" if overlap else "do not overlap")
# %% [markdown]
# The random split looks better by a point or two. Two intervals that overlap a little do not prove that there is no difference, and
# a single random split is too little evidence for one: with so many other words to read, a linear model gains little from names.
# Is the leak harmless, then? No: how much it inflates
# a score depends on how well a model can memorise names, and neural networks memorise well. With an honest split you do not
# have to ask.
#
# Rotten Tomatoes is different: its sentences are not sorted by film. A random split should then score no better:

# %% tags=["approx"]
sentence_score, _ = tfidf_baseline(sentences)
all_sentences = data.load_reviews("rotten_tomatoes")
seeds = range(3)
random_scores = [tfidf_baseline(data.random_splits(all_sentences, sentences, seed=seed))[0].estimate for seed in seeds]
print(f"block split:  {sentence_score}")
print("random split:", ", ".join(f"{score:.3f}" for score in random_scores), "for three seeds")

# %%
inside = sentence_score.low <= np.mean(random_scores) <= sentence_score.high
print("the mean of the random splits lies", "inside" if inside else "outside", "the interval of the block split")

# %% [markdown]
# Random splits are not wrong everywhere. The lesson is to ask how the rows of a file came into their order.

# %% [markdown]
# **Exercise 02.3 (debug): a split that leaks films.** The function gets the film of each review and returns two lists of rows,
# for training and for testing: the last `test_size` reviews are held out. But a film may be in both lists. Fix it: *every* review of a
# film that is among the last `test_size` goes into the test set, which becomes larger; all other rows are for training. A film may
# appear again later in the file, and both lists keep the order of the file.


# %% tags=["exercise"]
def split_by_film(films, test_size):
    every_row = list(range(len(films)))
    return every_row[:-test_size], every_row[-test_size:]


# %% tags=["check"]
checks.check("02.3", split_by_film)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def split_by_film(films, test_size):
    held_out = set(films[-test_size:])
    every_row = range(len(films))
    train_rows = [row for row in every_row if films[row] not in held_out]
    return train_rows, [row for row in every_row if films[row] in held_out]


# %% tags=["check"]
checks.check("02.3", split_by_film, mine=False)  # the same check, on the solution

# %% [markdown]
# **Exercise 02.4 (choice): explain the figure.** Look again at the two scores of the model that sees only names. Run the
# check to see the question, then write the letter of your answer, in quotes.

# %% tags=["exercise"]
what_names_tell = ...

# %% tags=["check"]
checks.check("02.4", what_names_tell)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
what_names_tell = "b"

# %% tags=["check"]
checks.check("02.4", what_names_tell, mine=False)  # the same check, on the solution

# %% [markdown]
# ## 6 The scores to beat
#
# Before any network we need baselines: a trivial one and a linear model. **Majority** always predicts the most frequent class.
# **TF-IDF** counts words and pairs of words, takes logarithms, and gives less weight to those that occur in many reviews; **logistic
# regression** is the model you trained by hand in notebook 01.

# %%
majority = {
    name: evaluation.block_interval(part.labels == np.bincount(part.labels).argmax(), part.blocks)
    for name, part in (("IMDB", smaller.test), ("Rotten Tomatoes", sentences.test))
}
baselines = {
    "IMDB: majority": majority["IMDB"],
    "IMDB: TF-IDF + LR": block_score,
    "sentences: majority": majority["Rotten Tomatoes"],
    "sentences: TF-IDF + LR": sentence_score,
}
fig, ax = plt.subplots(figsize=(7, 2.8))
plots.bars_with_intervals(ax, baselines)
ax.set_title("A linear model is strong on reviews, weaker on sentences")
plots.show(fig, alt="Test accuracy with intervals: majority 0.5 on both sets; TF-IDF with logistic regression about 0.88 on IMDB and about 0.75 "
           "on single sentences.")  # fmt: skip

# %% [markdown]
# Remember both numbers. In a long review some word gives the verdict away, so a linear model is strong; on a single
# sentence there is room for a model that understands more. From here on we report no network without its <abbr title="基线">baseline</abbr>.

# %% [markdown]
# ## 7 Word vectors
#
# An id says nothing about meaning: 17 is not closer to 18 than to 9,000. A **<abbr title="词向量">word vector</abbr>** $E_w \in \mathbb{R}^D$ puts
# words that occur in similar contexts close together. A simple way to make them: count which words occur within 4
# positions of each other, compare with chance, and compress.
#
# $$\mathrm{PPMI}(w, c) = \max\!\Big(0, \log \frac{p(w, c)}{p(w)\, p(c)}\Big)$$
#
# This is *positive pointwise mutual information*: $p(w, c)$ is the share of all counted pairs in which $c$ is near $w$, and
# $p(w)$, $p(c)$ are the shares of pairs that contain $w$ and $c$ at all. Zero means: together no more often than by chance. By hand, on a
# corpus of three sentences and with a window of one:

# %%
corpus = [[2, 3, 4], [2, 3, 5], [6, 3, 4]]  # ids 0 and 1 are padding and unknown
pairs = sparse.lil_matrix((7, 7))
for tokens in corpus:
    for left, right in pairwise(tokens):
        pairs[left, right] += 1
        pairs[right, left] += 1
p = pairs.toarray() / pairs.sum()
with np.errstate(divide="ignore", invalid="ignore"):
    ppmi = np.nan_to_num(np.maximum(np.log(p / np.outer(p.sum(1), p.sum(0))), 0))
print(f"PPMI(2, 3) = log({p[2, 3]:.3f} / ({p[2].sum():.3f} x {p[3].sum():.3f})) = {ppmi[2, 3]:.3f}")

# %% [markdown]
# The packaged version does this for all reviews, with contexts smoothed a little, and keeps the $D = 64$ strongest
# directions (a singular value decomposition).

# %%
long_texts = text.encode_words(reviews.train, vocabulary, max_length=400)
vectors = text.ppmi_vectors(long_texts, vocab_size=len(vocabulary), size=64)  # (V, D)
unit = torch.nn.functional.normalize(vectors, dim=1)


def neighbours(word: str, count: int = 5) -> list[str]:
    similarity = unit @ unit[vocabulary.encode([word])[0]]
    return vocabulary.decode(similarity.topk(count + 1).indices.tolist())[1:]


# %% tags=["nbval-ignore-output"]
for word in ("awful", "wonderful", "director", "king", "two"):
    print(f"{word:10}", ", ".join(neighbours(word)))

# %%
groups = {
    "praise": ["wonderful", "excellent", "superb", "brilliant", "fantastic"],
    "blame": ["awful", "terrible", "horrible", "boring", "dull"],
    "people": ["director", "actor", "actress", "writer", "producer"],
    "numbers": ["two", "three", "four", "five", "ten"],
}
chosen = [word for words in groups.values() for word in words]
rows = unit[vocabulary.encode(chosen)]
_, _, directions = torch.linalg.svd(rows - rows.mean(0), full_matrices=False)
points = ((rows - rows.mean(0)) @ directions[:2].T).numpy()
points = points * np.sign(points[np.arange(2) * 0 + np.abs(points).argmax(0), np.arange(2)])

fig, ax = plt.subplots(figsize=(7, 4.2))
plots.scatter_words(ax, points, chosen, np.repeat(range(4), 5), list(groups))
ax.set(xlabel="first direction", ylabel="second direction", title="Similar words lie close together")
plots.show(fig, alt="Map of twenty words in two directions: numbers on the right, blame at the top, and "
           "praise at the lower left, close to people.")  # fmt: skip

# %% [markdown]
# Nobody told the counter what a number or an actor is, or that "awful" is no compliment. Praise and blame separate because people write differently when
# they praise and when they complain. But a similar context is not the same as a similar opinion: praise is closer to actors and directors than to
# blame, only because people say it about them. Training has to sort that out.
#
# Published vectors such as GloVe come as text files with one word and its $D$ numbers on each line. `text.load_vectors` reads that format.

# %%
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "vectors.txt"
    lines = [
        f"{word} " + " ".join(f"{x:.6f}" for x in vectors[i].tolist()) for i, word in enumerate(vocabulary.tokens[2:7], 2)
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    read_words, read_vectors = text.load_vectors(path)
torch.testing.assert_close(read_vectors, vectors[2:7], atol=1e-6, rtol=0)
print("read back:", read_words, tuple(read_vectors.shape))

# %% [markdown]
# ## 8 Classic bug: averaging the padding
#
# The simplest vector of a text is the mean of its word vectors. Padding must not count. Here we forget the mask and compute
# the vector of the *same* text twice: alone, and in a batch with a longer one.

# %%
word_vectors = vectors.clone()
word_vectors[0] = 0.3  # what an embedding row for padding looks like unless it is kept at zero
pair = batching.TokenDataset((np.array([5, 6]), np.array([7] * 20)), np.array([0, 1]))


def mean_vector(batch, masked: bool):
    embedded = word_vectors[batch["input_ids"]]  # (B, T, D)
    weights = batch["attention_mask"] if masked else torch.ones_like(batch["attention_mask"])
    return (embedded * weights[..., None]).sum(1) / weights.sum(1, keepdim=True)  # (B, D)


for masked in (True, False):
    alone = mean_vector(batching.collate([pair[i] for i in [0]]), masked)[0]
    together = mean_vector(batching.collate([pair[i] for i in [0, 1]]), masked)[0]
    print(
        "with mask:   " if masked else "without mask:",
        "same vector" if torch.allclose(alone, together) else "different vector",
    )

# %% [markdown]
# Without the mask the vector of a text depends on the other texts in the batch. What does that cost? We train a linear
# classifier of sentences on such vectors, in random batches of 32, and test it twice: in batches of 32 as in training, and
# one sentence at a time, as when a user types one.


# %%
def mean_features(part, masked: bool, batch_size: int) -> np.ndarray:
    encoded_part = text.encode_words(part, vocabulary, max_length=60)
    generator = profiles.set_seed(0)
    batches = batching.make_batches(encoded_part.lengths, batch_size=batch_size, generator=generator, bucketed=False)
    features = np.zeros((len(part), vectors.shape[1]), dtype=np.float32)
    for batch in batches:
        features[batch] = mean_vector(batching.collate([encoded_part[i] for i in batch]), masked)
    return features


# %%
right = {}
for masked in (True, False):
    train_features = mean_features(sentences.train, masked, batch_size=32)
    classifier = LogisticRegression(max_iter=2000).fit(train_features, sentences.train.labels)
    for batch_size in (32, 1):
        test_features = mean_features(sentences.test, masked, batch_size)
        right[masked, batch_size] = classifier.predict(test_features) == sentences.test.labels

# %% [markdown]
# Here are four scores: with and without the mask, each tested in two ways.

# %% tags=["approx"]
for masked, batch_size in right:
    score = evaluation.block_interval(right[masked, batch_size], sentences.test.blocks)
    print(f"{'with mask,   ' if masked else 'without mask,'} tested {batch_size:2} at a time: {score}")

# %%
changed = {masked: np.mean(right[masked, 32] != right[masked, 1]) for masked in (True, False)}
damage = evaluation.difference_interval(right[True, 1], right[False, 1], sentences.test.blocks)
print("predictions that depend on the rest of the batch, with the mask:", f"{changed[True]:.0%}")
assert changed[True] == 0
if profile.name != "smoke":
    assert changed[False] > 0.02 and damage.low < 0 < damage.high
    print("without it: more than one in fifty; the two accuracies do not differ significantly")

# %% [markdown]
# Is the bug harmless, then? The <abbr title="准确率">accuracy</abbr> hardly changes, which is why this bug often stays unnoticed. But some users get a different answer to
# the same sentence, depending on what else was in the batch, and nobody can reproduce it. A linear model on a mean
# is not hurt much, because padding only shifts the mean. Networks are: a mistake of the same kind brings the LSTM of notebook 03 down to chance level,
# and costs BERT several points in notebook 06. The test that catches it fits in one line: *a text must get the same
# answer alone and in a batch.* We test every model of this course that way.

# %% [markdown]
# ## Quiz
#
# Three questions to check what you remember.

# %% tags=["check"]
checks.quiz("02")

# %% [markdown]
# ## Summary
#
# * Text becomes tokens, tokens become ids, ids become padded batches with a mask; shapes are $(B, T)$.
# * Bucketing removes most of the padding, and masks make the rest harmless.
# * Split by what must not be shared. The random split of IMDB lets a model recognise films; on Rotten
#   Tomatoes we saw no such gain.
# * The scores to beat are in section 6, with intervals.
#
# **To think about.** In which of your own data are rows related: by patient, by customer, by day?
#
# **Next:** [03 LSTM classifier](03_lstm_classifier.ipynb).
