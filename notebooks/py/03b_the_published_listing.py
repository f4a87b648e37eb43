# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: torchtext 0.18 (torch 2.3.1)
#     language: python
#     name: torchtext
# ---

# %% [markdown]
# # 03b · The published listing
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/fine-tuning-course/fine-tuning-course/blob/v0.2.0/notebooks/03b_the_published_listing.ipynb) · [words and terms 术语表](../docs/GLOSSARY.md)
#
# **This notebook is optional**: no later one needs it. Take it if an old torchtext program has landed on your desk, or if
# you want to practise reading other people's code.
#
# **What you will be able to do:** read a listing that was written for a library that has changed since, distinguish the
# bugs that stop it from the silent bugs that only spoil its result, measure the damage of the silent ones, fix both, and say
# what you would write today.
#
# **Before you start:** notebooks 02 and 03. This notebook has a **kernel of its own**, with the last torchtext and the
# old torch that it needs: type `python3 start.py torchtext` once, then choose *Kernel > Change Kernel > torchtext 0.18*.
# **On Colab** you cannot have that kernel: Colab's Python and its torch are too new for torchtext. There, read the notebook
# with its saved outputs and run only the first two code cells, the exercises and the quiz: they need torch and the course alone.
# **Time:** 45 minutes to read and play; the code takes about two minutes.

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
import torch
from torch import nn, optim
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

from course_utils.exercises import checks


# %%
class WrongKernel(Exception):
    """Shown as one sentence, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


try:
    import torchtext
except (ImportError, OSError):  # OSError: a torchtext beside a torch that it was not built for
    raise WrongKernel(
        "This kernel has no torchtext that works. Choose Kernel > Change Kernel > torchtext 0.18; "
        "if it is not in the list, type: python3 start.py torchtext. "
        "On Colab: read on with the saved outputs; the exercises and the quiz work here."
    ) from None

# %%
import contextlib
import io
import json
import ssl
import tempfile
from collections import OrderedDict
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown, display

from course_utils import batching, cli, data, evaluation, models, plots, profiles, text

torchtext.disable_torchtext_deprecation_warning()
from torchtext import transforms
from torchtext.data import get_tokenizer
from torchtext.datasets import IMDB
from torchtext.vocab import Vectors, build_vocab_from_iterator, vocab

# %%
torch.set_num_threads(1)  # the matrices below are small: a second core would mostly wait for the first
plots.use_style()
profile, seed = profiles.get_profile(), profiles.get_seed()
print("torchtext", torchtext.__version__.split("+")[0], "on torch", torch.__version__.split("+")[0])

# %% [markdown]
# ## 1 The listing, as printed
#
# It comes from the article that this course grew out of (its comments are translated here), and it claims to train a
# classifier of film reviews. Read it once from top to bottom and note what looks wrong to you.
#
# ```python
# import torch
# import torch.nn as nn
# import torch.optim as optim
# from torchtext.datasets import IMDB
# from torchtext.data import Field, BucketIterator
#
# # load the data
# TEXT = Field(tokenize = 'spacy', include_lengths = True)
# LABEL = Field(sequential = False, use_vocab = False)
# train_data, test_data = IMDB(split = (':50, :50'), fields = (TEXT, LABEL))
#
# # preprocess the data
# TEXT.build_vocab(train_data, max_size = 20000, vectors = "glove.6B.100d")
# LABEL.build_vocab(train_data)
#
# # create the iterators
# train_iterator, test_iterator = BucketIterator.splits((train_data, test_data), batch_size = 64, sort_within_batch = True)
#
# class TextClassifier(nn.Module):
#     def __init__(self, vocab_size, embedding_dim, hidden_dim, output_dim, n_layers, dropout):
#         super(TextClassifier, self).__init__()
#         self.embedding = nn.Embedding(vocab_size, embedding_dim)
#         self.rnn = nn.LSTM(embedding_dim, hidden_dim, n_layers, dropout = dropout, batch_first = True)
#         self.fc = nn.Linear(hidden_dim, output_dim)
#         self.dropout = nn.Dropout(dropout)
#
#     def forward(self, text):
#         embedded = self.dropout(self.embedding(text))
#         output, (hidden, cell) = self.rnn(embedded)
#         hidden = self.dropout(hidden[-1,:,:])
#         out = self.fc(hidden)
#         return out
#
# criterion = nn.CrossEntropyLoss()
# optimizer = optim.Adam(model.parameters(), lr = 0.001)
#
# for epoch in range(10):
#     model.train()
#     epoch_loss = 0
#     for batch in train_iterator:
#         text, labels = batch.text, batch.label
#         optimizer.zero_grad()
#         predictions = model(text).squeeze(1)
#         loss = criterion(predictions, labels)
#         loss.backward()
#         optimizer.step()
#         epoch_loss += loss.item()
#     print(f'Epoch {epoch+1}, Loss: {epoch_loss/len(train_iterator)}')
#
# model.eval()
# with torch.no_grad():
#     test_loss = 0
#     correct = 0
#     total = 0
#     for batch in test_iterator:
#         text, labels = batch.text, batch.label
#         predictions = model(text).squeeze(1)
#         loss = criterion(predictions, labels)
#         test_loss += loss.item()
#         total += labels.size(0)
#         _, predicted = torch.max(predictions, 1)
#         correct += (predicted == labels).sum().item()
#     print(f'Test Loss: {test_loss/len(test_iterator)}')
#     print(f'Accuracy: {correct/total}')
# ```
#
# We run it piece by piece. Where a piece must fail, we put it into a `with failing(...)` block. The block prints the error,
# and complains if there is none.


# %%
@contextlib.contextmanager
def failing(kind: type[Exception]):
    try:
        yield
    except kind as error:
        print(f"{type(error).__name__}: {str(error).split(' (/')[0]}")  # without the path of a file
    else:
        raise AssertionError(f"no {kind.__name__} was raised")


# %% [markdown]
# ## 2 Bugs that stop it: the library has changed
#
# Do the imports still work? We also try `torchtext.legacy`, to which the old names moved for a while.

# %%
with failing(ImportError):
    from torchtext.data import BucketIterator, Field
with failing(ModuleNotFoundError):
    import torchtext.legacy

# %% [markdown]
# The program stops at its fifth line. `Field` and `BucketIterator` were once the core of torchtext, and people wrote
# thousands of such listings. This is what happened to the names:
#
# | release of torchtext | `Field`, `BucketIterator` | `datasets.IMDB` | `Vocab(counter, vectors=...)` |
# |---|---|---|---|
# | up to 0.6 | there | `IMDB.splits(text_field, label_field)` | there |
# | 0.7, 0.8 | there, with a warning that they will move | the same, for the last time in 0.8.1 | there |
# | 0.9 to 0.11 | only in `torchtext.legacy` | `IMDB(root, split)`: an iterator of (label, text) | in the end only in `legacy` |
# | 0.12 | deleted | `IMDB(root, split)`; from here on it needs `torchdata` | deleted |
# | 0.18, the last | - | the same | - |
#
# torchtext is archived. Release 0.18.0 needs torch 2.3, Python 3.12 at most and NumPy 1. If you have a newer torch, `pip`
# installs it without a warning, but `import torchtext` fails with `OSError: Could not load libtorchtext.so`. That is why
# this notebook has a kernel of its own.
#
# Would the listing run with the torchtext of its time? We continue as if the first lines had worked. Next comes the data set:

# %%
selection = (":50, :50")  # fmt: skip
print(type(selection).__name__, repr(selection))
with failing(TypeError):
    IMDB(split="train", fields=("TEXT", "LABEL"))
with failing(TypeError):
    IMDB(split=selection)
with failing(ModuleNotFoundError):
    IMDB(split="train")

# %% [markdown]
# Parentheses alone do not make a tuple, and the comma is inside the quotes, so `split` is a single string. And the call
# matches **no release**. The releases with `Field` expect `IMDB.splits(text_field, label_field)`, and those that accept
# `split` do not accept `fields`. We also tried it with 0.8.1 (torch 1.7.1, Python 3.8) and got `TypeError: __init__()
# missing 3 required positional arguments: 'path', 'text_field', and 'label_field'`. So the listing never ran, on any
# torchtext.
#
# What was `:50` supposed to mean? If it means the first fifty rows, there is a problem: the reviews are sorted by label.

# %%
everything = data.load_reviews("imdb")
first = everything.labels[:50]
print("labels of the first 50 reviews:", {everything.class_names[label] for label in first.tolist()})
print(f"a model that has seen only these is right on {np.mean(everything.labels == first[0]):.0%} of all reviews")

# %% [markdown]
# All fifty belong to one class, so a model can only learn from them to predict that class every time. From here on we use
# the course's reviews and their block split (notebook 02). The first lines of the listing need one more thing, the
# tokeniser:

# %%
with failing(ModuleNotFoundError):
    get_tokenizer("spacy")

# %% [markdown]
# spaCy is a separate package that the listing does not mention, and its English model is another download. We do not need
# it: the rules `basic_english` of notebook 02 come with torchtext and are enough here.
#
# ## 3 Bugs that stop it: inputs and outputs
#
# Here is the model, exactly as printed.


# %%
# fmt: off
class TextClassifier(nn.Module):
    def __init__(self, vocab_size, embedding_dim, hidden_dim, output_dim, n_layers, dropout):
        super(TextClassifier, self).__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_dim)
        self.rnn = nn.LSTM(embedding_dim, hidden_dim, n_layers, dropout = dropout, batch_first = True)
        self.fc = nn.Linear(hidden_dim, output_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, text):
        embedded = self.dropout(self.embedding(text))
        output, (hidden, cell) = self.rnn(embedded)
        hidden = self.dropout(hidden[-1,:,:])
        out = self.fc(hidden)
        return out
# fmt: on


with failing(NameError):
    optimizer = optim.Adam(model.parameters(), lr=0.001)

# %% [markdown]
# The listing defines a class but never creates a model from it. Now look at the loop: it reads `batch.text`. Where does a
# batch get an attribute of that name?
#
# ### `'Batch' object has no attribute 'text'`
#
# Many people who adapted such a listing to their own data have met this error. They built the data set from a list of pairs,
# `fields`: one (name, field) for each column. The old `Batch` set one attribute for each pair, and called it by the
# **string** in the pair. It skipped a column whose field was `None`. That is all it did, so a few lines reproduce it:


# %%
class Batch:
    def __init__(self, rows, fields):
        for column, (name, field) in enumerate(fields):
            if field is not None:
                setattr(self, name, field([row[column] for row in rows]))


def TEXT(texts):  # stands in for a Field
    return [review.split() for review in texts]


table, LABEL = [("a fine film", 1), ("dull", 0)], torch.tensor
print("as IMDB.splits names them:", vars(Batch(table, [("text", TEXT), ("label", LABEL)])))
for pairs in ([("TEXT", TEXT), ("LABEL", LABEL)], [("review", TEXT), ("label", LABEL)], [("text", None), ("label", LABEL)]):
    with failing(AttributeError):
        Batch(table, pairs).text
    print("    it has:", list(vars(Batch(table, pairs))))

# %% [markdown]
# Compare the names that each batch has. The name of your *variable*, `TEXT`, does not matter; only the string in the pair
# does. The pair may say `"TEXT"` or `"review"` (`TabularDataset` lets you choose, and so does its dictionary for JSON files,
# `{"review": ("q", TEXT)}`, which makes `batch.q`), or the column was switched off with `None`. Versions up to 0.11, where
# `Batch` existed, gave exactly this message; we ran these three cases with 0.6.0. The fix: print `dataset.fields.keys()`,
# then use the name you find there, or change the string in the pair. In the listing the names come from `IMDB`, which calls
# its columns `text` and `label`, so this line of it is right.
#
# You can still make this mistake today. A batch is now a dictionary, the message is `KeyError: 'text'`, and the fix is the
# same: `print(batch.keys())`.
#
# ### A tuple where ids were expected
#
# The listing does not say its sizes, so we choose small ones. And we build by hand the batch that `BucketIterator` of 0.8.1
# returned: with `include_lengths=True` its `text` is a **tuple** of ids (time first) and lengths.

# %%
ids = [torch.tensor([2, 3, 4, 5]), torch.tensor([6, 7]), torch.tensor([8, 2, 9])]
old_text = (pad_sequence(ids), torch.tensor([4, 2, 3]))  # ids (T, B) = (4, 3), lengths (B,)
old_labels = ["pos", "neg", "pos"]

torch.manual_seed(0)
tiny = TextClassifier(vocab_size=10, embedding_dim=4, hidden_dim=4, output_dim=2, n_layers=2, dropout=0.5)
with failing(TypeError):
    tiny(old_text)
print("ids", tuple(old_text[0].shape), "lengths", tuple(old_text[1].shape))

# %% [markdown]
# The listing requests the lengths and then ignores them: its `forward` takes only ids. This will matter again below. Next
# come the labels. A `Field` with `use_vocab=False` turns a label into a number by calling `int`. torchtext 0.18 counts the
# classes from 1. Both go wrong:

# %%
criterion = nn.CrossEntropyLoss()
with failing(ValueError):
    int(old_labels[0])
with failing(IndexError):
    criterion(torch.zeros(3, 2), torch.tensor([2, 1, 2]))  # since 0.14 neg is 1 and pos is 2

# %% [markdown]
# `int` cannot read "pos". `LABEL.build_vocab` did build a table from strings to numbers, but `use_vocab=False` ignores it.
# And with labels 1 and 2, a loss over the classes 0 and 1 finds no class 2. Both end with an error, which is the lucky case.
#
# The **unlucky** case is `output_dim`. A reader may well choose 1, as for binary classification.

# %%
scores = torch.tensor([[2.0], [-1.0], [0.5]])  # (B, 1): one output for each review
labels = torch.tensor([1, 0, 1])
with failing(IndexError):
    criterion(scores, labels)
with failing(RuntimeError):
    criterion(scores.squeeze(1), labels)
print("as floats:", criterion(scores.squeeze(1), labels.float()).item())
print("loss of 64 reviews with equal scores:", round(criterion(torch.zeros(64), (torch.arange(64) % 2).float()).item(), 1))

# %% [markdown]
# Here `squeeze(1)` does harm. It turns $(B, 1)$ into $(B,)$, and then the loss complains about the labels. The obvious fix
# is to make them floats. That silences the error but changes the loss: now it is a softmax **over the reviews of the
# batch**, as if the reviews were competing classes. It grows with the batch: for 64 reviews it is 133, where random
# guessing should give 0.69. And what does `squeeze(1)` do with `output_dim=2`?

# %%
two_outputs = tiny(old_text[0].T)  # (B, C) = (3, 2)
print("before and after squeeze(1):", tuple(two_outputs.shape), tuple(two_outputs.squeeze(1).shape))
with failing(IndexError):
    torch.max(scores.squeeze(1), 1)  # the last part of the listing takes the larger of two outputs

# %% [markdown]
# Nothing at all: the shape stays $(B, 2)$. With one output, the last part of the listing fails, because it takes the larger
# of two. So `output_dim` must be 2, and `squeeze(1)` can be removed.

# %% [markdown]
# **Exercise 03b.1 (debug): one output for each review.** Two outputs are one solution. The other solution keeps one output
# and uses the binary cross-entropy. `one_output_loss(scores, labels)` should do that. You get scores, float $(B, 1)$, and
# labels, int $(B,)$, 0 or 1. Return the mean cross-entropy, where a score $z$ means $p = \sigma(z)$ for label 1. The version
# below makes the reviews of the batch compete. Fix it.


# %% tags=["exercise"]
def one_output_loss(scores, labels):
    return nn.functional.cross_entropy(scores.squeeze(1), labels.float())


# %% tags=["check"]
checks.check("03b.1", one_output_loss)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def one_output_loss_solution(scores, labels):
    return nn.functional.binary_cross_entropy_with_logits(scores.squeeze(1), labels.float())


# %% tags=["check"]
checks.check("03b.1", one_output_loss_solution, mine=False)  # the same check, on the solution above


# %% [markdown]
# ## 4 The same program, fixed
#
# Now we write the listing with the parts of torchtext 0.18: a tokeniser, a vocabulary, transforms and a collate function.

# %%
sizes = {"smoke": (160, 70, 1, 200), "workshop": (8_000, 100, 2, None), "full": (None, 200, 4, None)}
train_size, max_tokens, num_epochs, validation_size = sizes[profile.name]
splits = data.load_splits("imdb", train_size=profile.reviews_train)
validation = data.evenly(splits.validation, validation_size)

tokenizer = get_tokenizer("basic_english")
train_tokens = [tokenizer(review) for review in splits.train.texts]
words = build_vocab_from_iterator(train_tokens, specials=["<pad>", "<unk>"], max_tokens=20_000, min_freq=2)
words.set_default_index(words["<unk>"])  # without this line an unknown word is an error
print(f"{len(words):,} words;", words(tokenizer("A great film, truly!")), words(["unheard-of"]))

# %% [markdown]
# `build_vocab_from_iterator` counts the words, sorts them by frequency and then alphabetically, and passes the result to
# `vocab`, which keeps the given order. The course's `Vocabulary` does the same in twelve lines. Do the ids agree?

# %%
ours = text.Vocabulary.from_tokens(train_tokens, max_size=20_000, min_count=2)
in_order = vocab(OrderedDict.fromkeys(ours.tokens, 1))
assert words.get_itos() == in_order.get_itos() == list(ours.tokens)
for name, some in (("torchtext", words(train_tokens[0][:9])), ("by hand", ours.encode(train_tokens[0][:9]))):
    print(f"{name:9} {some}", " ".join(ours.tokens[i] for i in some))

# %% [markdown]
# They do; a test of the course compares them for all 33,530 reviews. Next, **transforms** process a single text, and a
# **collate function** combines several texts into a batch. `BucketIterator` has no successor. Like it, we make batches of
# reviews of similar length, in one line.

# %%
to_ids = transforms.Sequential(transforms.VocabTransform(words), transforms.Truncate(max_tokens))
to_batch = transforms.ToTensor(padding_value=words["<pad>"])


def collate(pairs: list[tuple[list[int], int]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rows, row_labels = zip(*pairs, strict=True)
    lengths = torch.tensor([len(row) for row in rows])
    return to_batch(list(rows)), lengths, torch.tensor(row_labels)  # (B, T), (B,), (B,)


def make_loader(reviews, *, shuffle: bool = False, bucketed: bool = True, to_ids=to_ids, collate=collate):
    rows = [to_ids(tokenizer(review)) for review in reviews.texts]
    generator = torch.Generator().manual_seed(seed) if shuffle else None
    lengths = np.array([len(row) for row in rows])
    batches = batching.make_batches(lengths, batch_size=64, generator=generator, bucketed=bucketed)
    pairs = list(zip(rows, reviews.labels.tolist(), strict=True))
    return torch.utils.data.DataLoader(pairs, batch_sampler=batches, collate_fn=collate)


# %%
train_loader = make_loader(data.evenly(splits.train, train_size), shuffle=True)
validation_loader = make_loader(validation)
batch_ids, batch_lengths, batch_labels = next(iter(train_loader))
print("ids", tuple(batch_ids.shape), "lengths", tuple(batch_lengths.shape), "labels", tuple(batch_labels.shape))

# %% [markdown]
# This time the batch dimension comes first, the labels are numbers, and we have the lengths. Before we train, look at one
# more line of the listing: `vectors = "glove.6B.100d"`.
#
# ### Vectors that were downloaded and never used
#
# For this name, which even 0.18 still knows, the old library downloads 862 MB and keeps the vectors in `TEXT.vocab.vectors`.
# But `nn.Embedding` starts from random numbers, and no line of the listing copies the vectors into it. To use vectors
# without that download, we make our own from the training reviews (notebook 02, section 7), write them as a file in
# GloVe's format, and let torchtext read it.

# %%
long_ids = tuple(np.array(words(tokens)[:400], dtype=np.int64) for tokens in train_tokens)
made_here = text.ppmi_vectors(batching.TokenDataset(long_ids, splits.train.labels), vocab_size=len(words), size=64)

folder = tempfile.TemporaryDirectory()
path = Path(folder.name, "reviews.64d.txt")
rows = (f"{word} {' '.join(map(repr, row))}" for word, row in zip(words.get_itos(), made_here.tolist(), strict=True))
path.write_text("\n".join(rows), encoding="utf-8")
checked_before = ssl._create_default_https_context is not ssl._create_unverified_context
with contextlib.redirect_stderr(io.StringIO()):  # hides its progress bar
    read = Vectors(str(path), cache=folder.name)

# %%
our_words, our_vectors = text.load_vectors(path)
vectors = read.get_vecs_by_tokens(words.get_itos())  # (V, D): row i belongs to id i
same = torch.equal(vectors, text.vectors_for(ours, our_words, our_vectors))
print(f"vectors {tuple(vectors.shape)}, read by torchtext and by the course: {'equal' if same else 'different'}")
checked_after = ssl._create_default_https_context is not ssl._create_unverified_context
ssl._create_default_https_context = ssl.create_default_context
print("https certificates checked before reading:", checked_before, "; after:", checked_after)

# %% [markdown]
# Both readers give the same tensor. But look at the second line: reading *any* vectors with torchtext switches off
# certificate verification for the **whole process**, and its URL for GloVe starts with `http:`. Our cell switches
# verification on again. `text.glove_file()` of the course verifies the certificate and SHA-256, and resumes an interrupted
# download.
#
# ### The model, with four changes
#
# The comments number the changes. Note the `clone()`: `from_pretrained` uses the tensor without copying it. Without the
# clone, training one model would change the vectors that the next one starts from.


# %%
class Repaired(nn.Module):
    def __init__(self, vectors: torch.Tensor, *, hidden_dim: int = 64, output_dim: int = 2, dropout: float = 0.3) -> None:
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(vectors.clone(), freeze=False)  # 1: the vectors are used
        self.rnn = nn.LSTM(vectors.shape[1], hidden_dim, batch_first=True)
        self.fc = nn.Linear(hidden_dim, output_dim)  # 2: one output for each class, and no squeeze
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:  # 3: takes the lengths
        states, _ = self.rnn(self.dropout(self.embedding(ids)))  # (B, T, H)
        last = states[torch.arange(len(ids)), lengths - 1]  # 4: the state after the last word of each review, (B, H)
        return self.fc(self.dropout(last))  # (B, C)


# %% [markdown]
# Are changes 3 and 4 right? PyTorch has a packed batch for this (notebook 03), whose final states are those after the last
# word of each review. Our model must give the same logits.

# %%
torch.manual_seed(0)
repaired = Repaired(vectors).eval()
ids, lengths, _ = next(iter(make_loader(validation, bucketed=False)))  # in the order of the file: lengths mixed
packed = pack_padded_sequence(repaired.embedding(ids), lengths, batch_first=True, enforce_sorted=False)
_, (hidden, _) = repaired.rnn(packed)
torch.testing.assert_close(repaired(ids, lengths), repaired.fc(hidden[-1]))
print(f"final states {tuple(hidden[-1].shape)} after reviews of {lengths.min()} to {lengths.max()} words")

# %% [markdown]
# The two agree. Here are the loops of the listing as functions. We add the gradient clipping of notebook 03, and collect
# all predictions before we average.


# %%
def train(model: nn.Module, loader, *, num_epochs: int = num_epochs) -> nn.Module:
    optimizer = optim.Adam(model.parameters(), lr=0.003)
    for _ in range(num_epochs):
        model.train()
        for ids, lengths, labels in loader:
            optimizer.zero_grad()
            criterion(model(ids, lengths), labels).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    return model


@torch.no_grad()
def predict(model: nn.Module, loader) -> torch.Tensor:
    model.eval()
    logits = torch.cat([model(ids, lengths) for ids, lengths, _ in loader])  # (n, C)
    return logits[np.argsort(np.concatenate(loader.batch_sampler))]  # back in the order of the reviews


def score(model: nn.Module, loader, reviews) -> evaluation.Interval:
    correct = predict(model, loader).argmax(1).numpy() == reviews.labels
    return evaluation.block_interval(correct, reviews.blocks)


# %% tags=["nbval-ignore-output"]
torch.manual_seed(seed)
repaired = Repaired(vectors)
found = {"untrained": score(repaired, validation_loader, validation)}
found["repaired"] = score(train(repaired, train_loader), validation_loader, validation)
for name, interval in found.items():
    print(f"{name:10} validation accuracy {interval}")

# %% [markdown]
# It runs, and it learns: after training, its interval is far above that of the untrained network. To keep the notebook
# short, the model reads only the first hundred words of some of the reviews. The majority baseline is 0.5; notebook 03
# shows how far an LSTM gets with all reviews.
#
# ## 5 Silent bugs that only spoil the result
#
# No message points to these bugs. We put each one back, alone, into the program that works, and measure what it costs.
#
# ### Without the vectors
#
# What are the vectors worth? We train the same network from random vectors, as in the listing (`nn.Embedding` draws them
# with a standard deviation of 1):

# %% tags=["nbval-ignore-output"]
torch.manual_seed(seed)
blank = Repaired(torch.randn_like(vectors))
found["vectors not used"] = score(train(blank, train_loader), validation_loader, validation)
gain = found["repaired"].estimate - found["vectors not used"].estimate
print(f"validation accuracy with vectors {found['repaired']}, without {found['vectors not used']}")
display(Markdown(f"Using the vectors is worth **{100 * gain:.0f} points** in this run."))

# %% [markdown]
# The vectors were made without labels, but they already say which words occur in similar contexts. The labels only have to
# teach the network which of these groups praise. From random vectors it must learn both, and with few reviews and few
# epochs it cannot.
#
# ### Classic bug: swapped axes that go unnoticed
#
# A `Field` returns ids of shape $(T, B)$, time first. The listing's LSTM has `batch_first=True` and expects $(B, T)$. So it
# treats each *position* as a review, and reads across the reviews of the batch as if they were the words of a text.
# Usually the shapes do not match:

# %%
listing = TextClassifier(len(words), 64, 64, output_dim=2, n_layers=2, dropout=0.5)
with failing(ValueError):
    criterion(listing(batch_ids[:40].T), batch_labels[:40])  # T predictions, B labels

# %% [markdown]
# But if a batch of 64 reviews is 64 tokens long, the shapes match, and people do truncate texts to such round numbers. What
# happens then? We take reviews of at least 64 words, truncate them to 64, and train the fixed network on both layouts.


# %%
def long_enough(reviews):
    rows = np.flatnonzero([len(tokenizer(review)) >= 64 for review in reviews.texts])
    return reviews.take(rows[: len(rows) // 64 * 64])  # whole batches only


def collate_time_first(pairs):
    ids, lengths, labels = collate(pairs)
    return ids.T, lengths, labels


first_64 = transforms.Sequential(transforms.VocabTransform(words), transforms.Truncate(64))
square_train, square_validation = long_enough(data.evenly(splits.train, train_size)), long_enough(validation)

# %% tags=["nbval-ignore-output"]
for name, layout in (("batch first", collate), ("time first", collate_time_first)):
    loaders = [
        make_loader(part, shuffle=True, to_ids=first_64, collate=layout) for part in (square_train, square_validation)
    ]
    torch.manual_seed(seed)
    network = train(Repaired(vectors), loaders[0])
    found[f"64 words, {name}"] = score(network, loaders[1], square_validation)
    print(f"64 words, {name:11} validation accuracy {found[f'64 words, {name}']}")

# %% [markdown]
# With time first the network stays at chance level. The loss is finite, the program finishes, and no message says that the
# network has read columns. Checking shapes does *not* catch this bug here, but looking at one decoded review does:

# %%
ids, _, _ = next(iter(make_loader(square_validation, to_ids=first_64, collate=collate_time_first)))
print("row 0:   ", " ".join(words.lookup_tokens(ids[0, :9].tolist())))
print("column 0:", " ".join(words.lookup_tokens(ids[:9, 0].tolist())))

# %% [markdown]
# Row 0, which the LSTM treated as a review, contains the first words of nine reviews. So **print one decoded example from
# every loader**, just before the model.

# %% [markdown]
# **Exercise 03b.2 (debug): time first, batch first.** `reviews_first(ids)` should take ids of shape $(T, B)$ and return
# $(B, T)$, one review in each row. This version returns the right shape, but a network trained on it learns nothing. Fix it.


# %% tags=["exercise"]
def reviews_first(ids):
    return ids.reshape(ids.shape[1], ids.shape[0])


# %% tags=["check"]
checks.check("03b.2", reviews_first)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def reviews_first_solution(ids):
    return ids.transpose(0, 1)


# %% tags=["check"]
checks.check("03b.2", reviews_first_solution, mine=False)  # the same check, on the solution above


# %% [markdown]
# ### The state after the padding
#
# `hidden[-1]` is the state after the last *position*. In a padded batch that is padding for all reviews but the longest. The
# listing hides this bug by sorting: within a batch all reviews are of similar length. You see it when lengths differ. We let
# the trained network read whole reviews (up to 400 words) in batches of mixed length, once with the state after the last
# word and once with `hidden[-1]`.


# %%
class AfterPadding(Repaired):
    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return super().forward(ids, torch.full_like(lengths, ids.shape[1]))


# %% tags=["nbval-ignore-output"]
longer = transforms.Sequential(transforms.VocabTransform(words), transforms.Truncate(400))
mixed = make_loader(validation, bucketed=False, to_ids=longer)  # in the order of the file: lengths mixed
after_padding = AfterPadding(vectors)
after_padding.load_state_dict(repaired.state_dict())
for name, network in (("last word", repaired), ("after padding", after_padding)):
    found[f"mixed lengths, {name}"] = score(network, mixed, validation)
    print(f"mixed lengths, {name:13} validation accuracy {found[f'mixed lengths, {name}']}")
lost = found["mixed lengths, last word"].estimate - found["mixed lengths, after padding"].estimate
rightly, after = (predict(network, mixed).softmax(dim=1)[:, 1] for network in (repaired, after_padding))
display(Markdown(f"The bug changes the accuracy by **{-100 * lost:+.1f} points** in this run, and the probability of "
                 f"`positive` of a single review by up to {100 * (rightly - after).abs().max():.0f} points."))  # fmt: skip

# %% [markdown]
# The weights and the reviews are the same. If there is a longer review in the batch, the LSTM forgets the last word before
# its state is used. How much that costs varies a lot: with the same seed we have seen about 25 points on one processor and
# 0.3 on another, where the network happened to learn to keep its state. Nothing in its training required that, because
# there the state was always read at the last word.
#
# With this bug a review gets a different answer when there is a longer one in its batch:

# %%
alone, alone_length = torch.from_numpy(long_ids[0][None, :30]), torch.tensor([30])
padded = nn.functional.pad(alone, (0, 370))
with torch.no_grad():
    for name, network in (("last word", repaired), ("after padding", after_padding.eval())):
        same = torch.allclose(network(alone, alone_length), network(padded, alone_length), atol=1e-5)
        print(f"{name:13} alone and padded to 400 words:", "same answer" if same else "different answer")

# %% [markdown]
# ### Averages of averages
#
# The listing divides the sum of the batch losses by the number of batches. It computes accuracy correctly, review by review,
# but many listings average accuracy over batches, too. An average over batches is right only if all batches have the same
# size. If you sort by length, the last batch is smaller, and it contains the longest reviews. A made-up example:

# %%
batch_sizes = np.array([64, 64, 6])
right_answers = np.array([48, 48, 1])
print(f"counted over reviews {right_answers.sum() / batch_sizes.sum():.3f}, "
      f"averaged over batches {(right_answers / batch_sizes).mean():.3f}")  # fmt: skip

# %% tags=["nbval-ignore-output"]
logits, answers = predict(repaired, validation_loader), torch.from_numpy(validation.labels)
losses = nn.functional.cross_entropy(logits, answers, reduction="none").numpy()
correct = (logits.argmax(1) == answers).numpy()
for name, values in (("loss", losses), ("accuracy", correct)):
    by_batch = [values[batch].mean() for batch in validation_loader.batch_sampler]
    print(f"{name:8} over reviews {values.mean():.4f}, over batches {np.mean(by_batch):.4f}")

# %% [markdown]
# In the made-up case six of 134 reviews change the accuracy by 17 points. In our validation part one batch of many is
# smaller, and the two means differ only a little. The fix costs nothing: collect all predictions, then take one mean.

# %% [markdown]
# **Exercise 03b.3 (complete): accuracy over unequal batches.** Write `accuracy_over(batches)`. You get a list of pairs
# (predictions, labels), int tensors of shape $(B,)$, where $B$ differs from batch to batch. Return the accuracy over all
# reviews. For example, four right answers of four in one batch and none of one in the next give 0.8.


# %% tags=["exercise"]
def accuracy_over(batches):
    raise NotImplementedError


# %% tags=["check"]
checks.check("03b.3", accuracy_over)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def accuracy_over_solution(batches):
    right = sum((predictions == labels).sum().item() for predictions, labels in batches)
    return right / sum(len(labels) for _, labels in batches)


# %% tags=["check"]
checks.check("03b.3", accuracy_over_solution, mine=False)  # the same check, on the solution above


# %% [markdown]
# ### Whole reviews
#
# The last problem costs time. The listing never truncates a review, and its network is large: listings of this kind, with
# `n_layers` and dropout between layers, use two layers of 256. How much more work is that? You can count the multiplications
# of an epoch without running it.


# %%
def products(lstm: nn.LSTM) -> int:
    return sum(weight.numel() for weight in lstm.parameters() if weight.ndim == 2)  # for each token: every weight once


each_token = {"listing": products(nn.LSTM(100, 256, 2)), "course": products(models.LSTMClassifier(len(words)).lstm)}
whole = np.array([len(tokens) for tokens in train_tokens])
truncated = np.minimum(whole, profile.reviews_max_length)
positions = {}
for name, lengths in (("listing", whole), ("course", truncated)):
    batches = batching.make_batches(lengths, batch_size=64, generator=torch.Generator().manual_seed(0))
    positions[name] = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
    print(f"{name:8} longest {lengths.max():5,} words, {positions[name] / 1e6:.1f} million positions an epoch, "
          f"{each_token[name]:7,} multiplications at each")  # fmt: skip
ratio = positions["listing"] * each_token["listing"] / (positions["course"] * each_token["course"])
print(f"the listing needs {ratio:.0f} times as many multiplications in an epoch")

# %% [markdown]
# Longer reviews are the smaller part of the difference; most of it comes from the larger network. We also measured the time
# on one machine: the listing in this kernel, fixed as above, and the course's LSTM in the other kernel, on the same reviews
# and for the same number of epochs. `bench/torchtext_listing.py` wrote these results.

# %%
record = json.loads((cli.course_folder() / "bench" / "results" / "torchtext_listing.json").read_text())
times, tested = record["time"], record["accuracy"]
for name in ("listing", "course"):
    reached = evaluation.Interval(*(tested[name][part] for part in ("accuracy", "low", "high")))
    print(f"{name:8} {times[name]['epoch_seconds']:4.0f} s an epoch of all reviews; test accuracy {reached}")
print(f"{times['times_faster']['median']:.0f} times faster; the scores are after {tested['epochs']} epochs of "
      f"{tested['train_reviews']:,} reviews")  # fmt: skip

# %% [markdown]
# The larger network reads every word but is no better. Start with a small model and truncated texts, and make them larger
# only if the validation score improves.

# %% [markdown]
# ## 6 What each bug costs

# %%
fig, ax = plt.subplots(figsize=(7, 3))
plots.bars_with_intervals(ax, {name: interval for name, interval in found.items() if name != "untrained"})
ax.axvline(0.5, color="black", linestyle=":", linewidth=1)
ax.set_title("Two silent bugs cost accuracy, the third can")
plots.show(fig, alt="Validation accuracy with intervals in three pairs, right above wrong: vectors used or not, batch first or time first, "
           "state after the last word or after the padding. In the first two the wrong one lies lower, time first at the dotted 0.5; in the last the distance depends on the run.")  # fmt: skip

# %% [markdown]
# Read the points in pairs, the correct program above the one with a bug. The dotted line is chance level. In the last pair
# the difference varies from run to run, as we saw: this bug can cost more than 20 points or almost none, so a good score
# does not prove that it is absent.

# %% [markdown]
# **Exercise 03b.4 (choice): worse, but above chance.** The network that read time first is at chance level. Reading after
# the padding may cost much or little, but the network stays above chance. Why?
# Run the check to see the answers to choose from, then write the letter in quotes.

# %% tags=["exercise"]
my_explanation = ...

# %% tags=["check"]
checks.check("03b.4", my_explanation)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
my_explanation_solution = "b"

# %% tags=["check"]
checks.check("03b.4", my_explanation_solution, mine=False)  # the same check, on the solution above


# %% [markdown]
# ## 7 What you would write today
#
# | in the listing | in torchtext 0.18 | today |
# |---|---|---|
# | `Field(tokenize='spacy')` | `get_tokenizer("basic_english")` | `tokenizers`, or the tokeniser of the checkpoint: `AutoTokenizer` |
# | `TEXT.build_vocab(..., max_size=20000)` | `build_vocab_from_iterator(..., max_tokens=20_000)` | comes with the tokeniser; by hand `text.Vocabulary` |
# | `vectors="glove.6B.100d"` | `GloVe("6B", 100)` | `text.load_vectors`; mostly a pretrained network instead (notebook 05) |
# | `IMDB(split=..., fields=...)` | `IMDB(split="train")` with `torchdata` | `datasets.load_dataset("stanfordnlp/imdb")`, or `data.load_splits` |
# | `LABEL = Field(sequential=False)` | a dictionary | the data set's `ClassLabel`; `reviews.labels` |
# | `BucketIterator(sort_within_batch=True)` | nothing | `DataLoader(batch_sampler=...)`, `batching.LengthBucketSampler` |
# | padding inside the iterator | `transforms.ToTensor(padding_value=...)` | `DataCollatorWithPadding`, `batching.collate`: ids **and mask** |
# | the training loop | the same | `training.fit`, or `transformers.Trainer` |
#
# The names will change again, but the ideas stay. Tokens, ids, padding, mask and batches are the same in all three columns,
# so one can be compared with the other:

# %%
encoded = text.encode_words(validation, ours, max_length=max_tokens)
ours_batch = batching.collate([encoded[i] for i in validation_loader.batch_sampler[0]])
theirs_ids, theirs_lengths, theirs_labels = next(iter(validation_loader))
ours_three = ours_batch["input_ids"], ours_batch["attention_mask"].sum(1), ours_batch["labels"]
torch.testing.assert_close(ours_three, (theirs_ids, theirs_lengths, theirs_labels))
folder.cleanup()
for name, batch in (("torchtext", theirs_ids), ("by hand", ours_batch["input_ids"])):
    print(f"{name:9} ids {tuple(batch.shape)}, first row {batch[0, :9].tolist()} ...")

# %% [markdown]
# ## Quiz
#
# Three questions on the whole notebook. Nothing is sent anywhere.

# %% tags=["check"]
checks.quiz("03b")


# %% [markdown]
# ## Summary
#
# * Some published listings can never have run. Look for a line that no release accepts before you look for your own mistake.
# * `'Batch' object has no attribute 'text'` means that the column has another name, or none. Print the names before you use them.
# * Bugs that raise an error are cheap. Silent ones are expensive: vectors that are never used, time and batch swapped, a state
#   read after the padding.
# * Print one decoded example and all shapes just before the model. Predict a text alone and in a batch: the answer must be the
#   same.
# * Every part of the listing has a counterpart today, and the ideas did not change.
#
# **To think about.** Which of these bugs would your own tests have caught? Which would a reviewer have found?
#
# **Next:** [04 Attention and the Transformer](04_attention_and_the_transformer.ipynb).
