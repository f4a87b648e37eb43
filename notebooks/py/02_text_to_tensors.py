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
# so that the test is honest, make word vectors, and state the score that every later model has to beat.
#
# **Before you start:** notebook 01. **Time:** 50 minutes to read and play; the code takes about a minute.

# %% tags=["nbval-skip"]
# On Colab, Kaggle or Binder this installs the course beside the torch that is there; elsewhere it does nothing.
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("course_utils") is None:
    course = "fine-tuning-course @ git+https://github.com/fine-tuning-course/fine-tuning-course"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", course], check=True)

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
# Two sets of real reviews: whole ones from IMDB and single sentences from Rotten Tomatoes, half of each positive.

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
# All work between the file and the first tensor is called **<abbr title="预处理">preprocessing</abbr>**. Its first step: a **<abbr title="分词器">tokeniser</abbr>** cuts a text
# into pieces, the **<abbr title="词元">tokens</abbr>**. The naive way is to cut at spaces. Better: lower-case, drop `<br />`,
# double quotes, colons and semicolons, and make the other common marks tokens of their own; these are the rules called `basic_english`. A pretrained model comes with a
# tokeniser of its own that splits rare words into known parts, here **WordPiece**.

# %%
sample = "Unwatchable!<br />It's a Kafkaesque mess."
tokenizer = pretrained.load_tokenizer()
print("spaces      ", sample.split())
print("basic       ", text.basic_english(sample))
print("WordPiece   ", tokenizer.tokenize(sample))

# %% [markdown]
# Cutting at spaces glues punctuation to words: `mess.` and `mess` would be strangers. WordPiece keeps every rare word
# readable: a piece that starts with `##` continues the one before. Hardly anything is unknown to it: only signs
# that its vocabulary lacks, such as most emoji.

# %% [markdown]
# ## 3 A vocabulary
#
# Models read integers. A **<abbr title="词表">vocabulary</abbr>** gives each token an id; id 0 is kept for <abbr title="填充">padding</abbr> and id 1 for every unknown
# token. Built by hand it is a counter and a sorted list:

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
# The rare words became `<unk>`. The vocabulary is made from the <abbr title="训练集">training</abbr> part alone: words that occur only in
# the test part must be unknown, as the words of tomorrow's reviews will be. How large should $V$ be?

# %%
frequencies = np.array(sorted(counts.values(), reverse=True))
covered = np.cumsum(frequencies) / frequencies.sum()
fig, ax = plt.subplots()
plots.curves(ax, {"covered": covered}, x=range(1, len(covered) + 1), marks=False)
ax.axvline(len(vocabulary), color="black", linestyle=":", linewidth=1)
ax.set(xscale="log", xlabel="words in the vocabulary V, commonest first", ylabel="share of running words covered")
ax.set_title(f"{len(vocabulary):,} words cover {covered[len(vocabulary) - 3]:.0%} of what is read")
plots.show(fig, alt="Share of running words covered against vocabulary size on a log axis: a steady rise that is nearly flat at the "
           "dotted line of our vocabulary.")  # fmt: skip

# %% [markdown]
# A few thousand words do nearly all of the work, and the long tail adds parameters faster than it adds coverage.

# %% [markdown]
# ## 4 Padding and masks
#
# A tensor is rectangular, and texts are not. A <abbr title="批">batch</abbr> is padded with id 0 to the length $T$ of its longest text, and
# an **<abbr title="注意力掩码">attention mask</abbr>** of the same shape $(B, T)$ says which places are real.

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
# **Exercise 02.1 (complete): a padded batch with its mask.** Given is a list of texts, each a list of ids, such as
# `[[5, 6, 7], [8]]`. Wanted are two rectangles of shape $(B, T)$, first the ids, filled up with 0 behind the text, then the mask, 1 for
# real and 0 for padding: `[[5, 6, 7], [8, 0, 0]]` and `[[1, 1, 1], [1, 0, 0]]`. A text may be empty. Lists, arrays and tensors
# are all welcome.


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
# Padding costs time: the network computes it and then throws it away. Batches of texts of similar length (**<abbr title="分桶">bucketing</abbr>**)
# need less of it. We measure three ways on the training reviews.

# %%
generator = profiles.set_seed(0)
lengths = encoded.lengths
uncut = np.array([len(tokens) for tokens in train_tokens])
ways = {
    "whole reviews, random": (uncut, False),
    "whole reviews, bucketed": (uncut, True),
    "cut, random": (lengths, False),
    "cut, bucketed": (lengths, True),
}
waste = {}
for name, (sizes, bucketed) in ways.items():
    batches = batching.make_batches(sizes, batch_size=32, generator=generator, bucketed=bucketed)
    waste[name] = batching.padding_waste(sizes, batches)
    print(f"{name:24} padding {waste[name]:6.1%} of all places")

# %%
fig, ax = plt.subplots(figsize=(7, 2.6))
ax.barh(list(waste), [100 * share for share in waste.values()], color=plots.COLOURS[0])
ax.invert_yaxis()
ax.set(xlabel="places that hold padding (%)", title="Bucketing removes nearly all of the padding")
plots.show(fig, alt="Bars of the share of padding: whole reviews in random batches waste more than half, bucketed batches very little, "
           "cut reviews in between and again very little when bucketed.")  # fmt: skip

# %% [markdown]
# In random batches of whole reviews more than half of the work would go into padding. Cutting reviews short
# helps, bucketing helps more, and both together are what we train with (notebook 03 asks which end to keep). Within a bucket the order is shuffled
# in every epoch, so nothing is learned from it.

# %% [markdown]
# **Exercise 02.2 (predict): the padding of two batches.** Four texts have 1, 9, 2 and 4 tokens. They go into two batches of two: first as
# they come, (1, 9) and (2, 4), then sorted, (1, 2) and (4, 9). What share of all places holds padding, each time? Work out
# both on paper and write them as `(0.25, 0.1)`.

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
# What counts is **<abbr title="泛化能力">generalisation</abbr>**: doing well on reviews that were not trained on. So a <abbr title="测试集">test set</abbr> should hold films the
# model has never read about. The IMDB file is sorted: reviews of one film stand next to
# each other. We can see that without knowing the films, from the rare capitalised words (names, mostly) that two
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
# Neighbours share names; reviews 50 rows apart hardly do. A random split therefore puts reviews of the same film on
# both sides. The course cuts **blocks** of neighbouring rows instead and throws 50 rows away at every border. Both
# splits below have parts of the same size. We count the test reviews for which the training part holds a review with at least three
# rare names in common.


# %%
def share_with_twin(splits) -> float:
    overlap = names[splits.test.rows] @ names[splits.train.rows].T  # (test, train), names in common
    return float((overlap.max(axis=1).toarray() >= 3).mean())


whole = data.load_splits("imdb")
random = data.random_splits(everything, whole, seed=0)
twins = {"random": share_with_twin(random), "block": share_with_twin(whole)}
for name, share in twins.items():
    print(f"{name:6} split: {share:.0%} of the test reviews have a twin in the training part")

# %% [markdown]
# The block split removes most of the twins, not all: some names are shared by chance, and sequels share their heroes.
# What does the <abbr title="数据泄漏">leak</abbr> do to a score? We train a model that sees *nothing but rare names*. Names hold no opinion, so an
# honest test must find it guessing.


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
# Under the random split the model has learned which films are bad, and recognises them. Under the block split it guesses: that is
# the honest answer. An <abbr title="置信区间">interval</abbr> says how far a score might have moved with other test reviews. We draw as many test blocks
# as there are, at random and with replacement (a block may come twice), compute the score, do so 2,000 times, and keep the middle
# 95 %. Whole blocks, because reviews within a block resemble each other.
#
# How much does the leak flatter a model that reads whole reviews? The same TF-IDF features and logistic regression
# (explained in the next section), on both splits:


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
# The random split looks better by a point or two. Intervals that overlap a little do not prove that there is no difference, and
# one random split is too few to be sure of one: with so many other words to read, a linear model gains little from names.
# So is the leak harmless? No: how much it
# flatters depends on how well a model can remember names, and networks remember well. With an honest split the
# question does not come up.
#
# Rotten Tomatoes is different: its sentences do not stand film by film. Then a random split should score no better:

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
# The lesson is to ask how the rows came to stand where they stand, not that random splits are wrong everywhere.

# %% [markdown]
# **Exercise 02.3 (debug): a split that leaks films.** The function gets the film of each review and returns two lists of rows,
# for training and for testing: the last `test_size` reviews are held out. But a film may stand on both sides. Mend it: *every* review of a
# film that is among the last `test_size` belongs into the test part, which grows by that; all other rows are for training. Films may
# come back later in the file, and both lists stay in the order of the file.


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
# **Exercise 02.4 (choice): explain the figure.** Look again at the two bars of the model that sees names alone. Run the
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
# Before any network: what does no thought at all give, and what does a linear model? **Majority** answers the commonest class.
# **TF-IDF** counts words and pairs of words, takes logarithms, and weighs down those that occur in every review; **logistic
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
# Remember both figures. In a long review some word gives the verdict away, so a linear model is strong; on a single
# sentence there is room for a model that understands more. No later notebook may report a network without its <abbr title="基线">baseline</abbr>.

# %% [markdown]
# ## 7 Word vectors
#
# An id says nothing about meaning: 17 is not closer to 18 than to 9,000. A **<abbr title="词向量">word vector</abbr>** $E_w \in \mathbb{R}^D$ puts
# words that occur in the same company close together. The simplest honest way: count which words stand within 4
# places of each other, compare with chance, and compress.
#
# $$\mathrm{PPMI}(w, c) = \max\!\Big(0, \log \frac{p(w, c)}{p(w)\, p(c)}\Big)$$
#
# This is *positive pointwise mutual information*: $p(w, c)$ is the share of all counted pairs in which $c$ stands near $w$, and
# $p(w)$, $p(c)$ are the shares that hold $w$ and $c$ at all. Zero means: together no more often than chance. By hand, on a
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
ax.set(xlabel="first direction", ylabel="second direction", title="Words of a kind stand together, made from reviews alone")
plots.show(fig, alt="Map of twenty words in two directions: numbers on the right, blame at the top, and "
           "praise at the lower left, close to people.")  # fmt: skip

# %% [markdown]
# Nobody told the counter what a number or an actor is, nor that "awful" is no compliment. Opinions part because people write differently when
# they praise and when they complain. Still, company is not opinion: praise stands closer to actors and directors than to
# blame, only because it is said of them. Training has to sort that out.
#
# Published vectors such as GloVe come as text files: a word, then $D$ numbers. `text.load_vectors` reads that format.

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
# The simplest vector of a text is the mean of its word vectors. Padding must not count. Here the mask is forgotten, for
# the *same* text, once alone and once in a batch with a longer one.

# %%
word_vectors = vectors.clone()
word_vectors[0] = 0.3  # what an embedding row for padding looks like unless it is held at zero
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
        "same vector" if torch.allclose(alone, together) else "another vector",
    )

# %% [markdown]
# Without the mask the vector of a text depends on its neighbours in the batch. What does that cost? We train a linear
# classifier of sentences on such vectors, in random batches of 32, and test it twice: in batches as in training, and
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
# Four scores: two ways to train, two ways to test.

# %% tags=["approx"]
for masked, batch_size in right:
    score = evaluation.block_interval(right[masked, batch_size], sentences.test.blocks)
    print(f"{'with mask,   ' if masked else 'without mask,'} tested {batch_size:2} at a time: {score}")

# %%
changed = {masked: np.mean(right[masked, 32] != right[masked, 1]) for masked in (True, False)}
damage = evaluation.difference_interval(right[True, 1], right[False, 1], sentences.test.blocks)
print("answers that depend on the company, with the mask:", f"{changed[True]:.0%}")
assert changed[True] == 0
if profile.name != "smoke":
    assert changed[False] > 0.02 and damage.low < 0 < damage.high
    print("without it: more than one in fifty; the accuracy is the same within its noise")

# %% [markdown]
# So is it harmless? The <abbr title="准确率">accuracy</abbr> says yes, and that is why this bug lives long. But some people get another answer to
# the same sentence, depending on what else stood in the batch, and nobody can reproduce it. A linear model on a mean
# takes it lightly, because all that padding does is shift the mean. Networks do not: the same mistake turns the LSTM of notebook 03 into a coin,
# and costs BERT several points in notebook 06. The test that catches it fits in one line: *a text must get the same
# answer alone and in company.* Every model of this course is tested that way.

# %% [markdown]
# ## Quiz
#
# Three questions to see whether it has settled.

# %% tags=["check"]
checks.quiz("02")

# %% [markdown]
# ## Summary
#
# * Text becomes tokens, tokens become ids, ids become padded batches with a mask; shapes are $(B, T)$.
# * Bucketing removes most of the padding, and masks make the rest harmless.
# * Split by what must not be shared. The random split of IMDB lets a model recognise films; on Rotten
#   Tomatoes we saw no such gain.
# * The scores to beat stand in section 6, with intervals.
#
# **To think about.** Which other data of your own have neighbours: patients, customers, days?
#
# **Next:** [03 LSTM classifier](03_lstm_classifier.ipynb).
