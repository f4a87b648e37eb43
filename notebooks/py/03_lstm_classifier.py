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
# # 03 · LSTM classifier
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/fine-tuning-course/fine-tuning-course/blob/v0.2.0/notebooks/03_lstm_classifier.ipynb) · [words and terms 术语表](../docs/GLOSSARY.md)
#
# **What you will be able to do:** build an LSTM cell from its equations, train a classifier through the seven steps of every training
# run, write the training loop yourself, find out what the gates of a trained network do, and find the bug that
# keeps an LSTM at chance level.
#
# **Before you start:** notebooks 01 and 02. **Time:** one hour to read and play; the code takes about two and a half minutes.

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

import matplotlib.pyplot as plt
import numpy as np
import torch
from accelerate import Accelerator
from IPython.display import Markdown, display
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.pipeline import make_pipeline
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from transformers import get_linear_schedule_with_warmup

from course_utils import batching, claims, data, diagrams, evaluation, explorers, files, models, plots, prediction, profiles
from course_utils import text, training
from course_utils.exercises import checks

plots.use_style()
profile, seed, accelerator = profiles.get_profile(), profiles.get_seed(), Accelerator()
device = accelerator.device  # a GPU if there is one

# %% [markdown]
# ## 1 Why order matters
#
# The linear model of notebook 02 sees a review as a bag of words. So two sentences with opposite opinions can look exactly
# the same to it:

# %%
praise, blame = "not dull just funny", "not funny just dull"
print("same bag:", sorted(praise.split()) == sorted(blame.split()))

# %% [markdown]
# A model that counts single words cannot distinguish them, however long you train it. We need a model that reads the words
# in their order. A **<abbr title="循环网络">recurrent network</abbr>** reads one word after the other and keeps a
# **<abbr title="隐藏状态">hidden state</abbr>** $h \in \mathbb{R}^H$, its memory of what came before. Word $t$ is a vector
# $x_t \in \mathbb{R}^D$, and the same two matrices $W \in \mathbb{R}^{H \times D}$ and $U \in \mathbb{R}^{H \times H}$ are
# used for every word:
#
# $$h_t = \tanh(W x_t + U h_{t-1})$$

# %%
vectors_by_hand = {"not": (1.0, 0.0), "just": (0.0, 0.0), "funny": (0.0, 1.0), "dull": (0.0, -1.0)}  # D = 2
W, U = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.5, 0.0], [1.0, 0.5]])  # H = 2
for sentence in (praise, blame):
    h = torch.zeros(2)
    for word in sentence.split():
        h = torch.tanh(W @ torch.tensor(vectors_by_hand[word]) + U @ h)
    print(f"{sentence:20} state", [round(value, 2) for value in h.tolist()])

# %% [markdown]
# The same words in a different order lead to a different state. Its second entry is positive for the first sentence and
# negative for the second. So with the right weights a network *can* see the order. Here we chose the weights by hand. Will a
# network learn such weights from reviews? In section 16 we test our trained network on this pair, and in notebook 06 we test
# BERT on it, which has read far more text.

# %% [markdown]
# ## 2 The LSTM cell by hand
#
# The plain recurrent network overwrites its state at every word, so it forgets quickly. The
# **<abbr title="长短期记忆网络">LSTM</abbr>** (long short-term memory) has a second state for what it wants to remember, the
# **cell** $c \in \mathbb{R}^H$. Three **<abbr title="门">gates</abbr>** control how much is written to the cell, how much of
# it is kept and how much of it is shown. For each of the $H$ units a gate is a number between 0 (shut) and 1 (open).

# %%
diagrams.show(diagrams.lstm_cell)

# %% [markdown]
# $$\begin{aligned}
# i &= \sigma(W_i x + U_i h + b_i) && \text{input gate: how much to write} \\
# f &= \sigma(W_f x + U_f h + b_f) && \text{forget gate: how much to keep} \\
# g &= \tanh(W_g x + U_g h + b_g) && \text{candidate: what to write} \\
# o &= \sigma(W_o x + U_o h + b_o) && \text{output gate: how much to show} \\
# c &\leftarrow f \odot c + i \odot g, \qquad h \leftarrow o \odot \tanh(c)
# \end{aligned}$$
#
# Here $\odot$ multiplies entry by entry, and $h$ and $c$ on the right are those of the word before. In the code we stack the
# four blocks, in the order $i, f, g, o$, into $W \in \mathbb{R}^{4H \times D}$, $U \in \mathbb{R}^{4H \times H}$ and
# $b \in \mathbb{R}^{4H}$. Apart from that, the code is the equations:


# %%
def lstm_step(x, h, c, W, U, b):
    """Return i, f, g, o and the new c, h, each (B, H), after one word x (B, D)."""
    i, f, g, o = (x @ W.T + h @ U.T + b).chunk(4, dim=1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    c = f * c + i * g
    h = o * c.tanh()
    return i, f, g, o, c, h


# %% [markdown]
# Let us do one step with numbers that we can check by hand: $D = H = 1$, $x = 1$, $h = 0$, $c = 2$. We choose the weights so
# that the gates get round values, using $\sigma(0) = \tfrac12$, $\sigma(\log 3) = \tfrac34$ and
# $\tanh(\tfrac12 \log 3) = \tfrac12$.

# %%
log3 = float(np.log(3))
W_tiny = torch.tensor([[0.0], [log3], [log3 / 2], [0.0]])  # (4H, D): i, f, g, o
tiny = lstm_step(torch.ones(1, 1), torch.zeros(1, 1), torch.full((1, 1), 2.0), W_tiny, torch.zeros(4, 1), torch.zeros(4))
print(", ".join(f"{name} = {value.item():.4f}" for name, value in zip("ifgoch", tiny, strict=True)))

# %% [markdown]
# By hand we get $c = \tfrac34 \cdot 2 + \tfrac12 \cdot \tfrac12 = 1.75$ and $h = \tfrac12 \tanh(1.75) = 0.4707$, as printed.
# For a whole sequence, we run this step in a loop. Is the result equal to `nn.LSTM`? We give both the same weights and
# compare.


# %%
def lstm_by_hand(x, W, U, b):
    """Return i, f, g, o, c and h, each (B, T, H), over all words of x (B, T, D)."""
    h = c = x.new_zeros(len(x), U.shape[1])
    steps = []
    for x_t in x.unbind(dim=1):
        *gates, c, h = lstm_step(x_t, h, c, W, U, b)
        steps.append((*gates, c, h))
    return [torch.stack(values, dim=1) for values in zip(*steps, strict=True)]


# %%
def weights_of(lstm):
    """Return W, U and b of an `nn.LSTM`, which keeps two biases and adds them."""
    return lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0 + lstm.bias_hh_l0


# %%
torch.manual_seed(0)
tiny_lstm, x = nn.LSTM(5, 4, batch_first=True), torch.randn(3, 7, 5)  # D = 5, H = 4; B = 3, T = 7
*_, c_hand, h_hand = lstm_by_hand(x, *weights_of(tiny_lstm))
states, (h_last, c_last) = tiny_lstm(x)
torch.testing.assert_close((h_hand, c_hand[:, -1]), (states, c_last[0]))
print("x", tuple(x.shape), "-> states", tuple(states.shape), ": by hand = nn.LSTM")

# %% [markdown]
# They are equal. So `nn.LSTM` is nothing more than six equations in a loop. It returns the state after each word, `states`
# $(B, T, H)$, and the last $h$ and $c$.

# %% [markdown]
# ## 3 What the gates are for
#
# Why does the LSTM have these gates? Suppose that the network has to learn that word 3 mattered at word 40. Then the
# gradient has to go back through 37 steps. In the plain network, each step multiplies it by $U$ and by the slope of tanh,
# until it **vanishes**. In the LSTM's cell, each step multiplies it only by $f$. So we ask: how much does the last state
# depend on a word at a given distance back? We measure this in three networks with random weights.


# %%
def gradient_reach(network, x):
    """Return how much the last state depends on the word k back, (T,), relative to the last word, for x (B, T, D)."""
    x = x.detach().requires_grad_()
    states, _ = network(x)
    (gradient,) = torch.autograd.grad((states[:, -1] * torch.randn(states.shape[2])).sum(), x)  # (B, T, D)
    size = gradient.norm(dim=2).mean(dim=0).flip(0)  # (T,), the last word first
    return size / size[0]


# %%
torch.manual_seed(0)
networks = {"plain RNN": nn.RNN(64, 64, batch_first=True), "LSTM": nn.LSTM(64, 64, batch_first=True)}
networks["LSTM, forget gates open"] = nn.LSTM(64, 64, batch_first=True)
networks["LSTM, forget gates open"].bias_ih_l0.data[64:128] += 3  # f is now about 0.95
reach = {name: gradient_reach(network, torch.randn(16, 50, 64)) for name, network in networks.items()}

# %% tags=["approx-0.05"]
fig, ax = plt.subplots()
plots.curves(ax, reach, x=range(50))
ax.set(yscale="log", xlabel="distance back (words)", ylabel="size of the gradient\n(last word = 1)")
ax.set_title("Only with open forget gates does the gradient reach 50 words back")
plots.show(fig, alt="Gradient against distance, log scale: plain falls fastest, LSTM slower, open gates stay level.")
left = ", ".join(f"{name} {values[20]:.0e}" for name, values in reach.items())
display(Markdown(f"What is left of the gradient 20 words back: {left}."))

# %% [markdown]
# In the plain network almost nothing is left of the gradient after twenty words. In an untrained LSTM $f$ is about 0.5, so
# nearly half of the gradient is lost at each word. That is better, but twenty words are too many for it as well. The
# gradient gets through only if the forget gates are open. Textbooks say that the gates *learn* to stay open. In section 14
# we measure whether ours did.

# %% [markdown]
# ## 4 The seven steps
#
# Every training run of this course, from this LSTM to BERT, has the same seven steps:

# %%
diagrams.show(diagrams.seven_steps)

# %% [markdown]
# The next seven sections are these steps, in this order.
#
# ## 5 Step 1 · Load the model
#
# You always load a model together with its vocabulary: row 17 of its first <abbr title="层">layer</abbr> means nothing unless
# you know which word has id 17. In notebook 06 you will load both from the hub. Here the model is new, so we make the
# vocabulary from the training reviews, as in notebook 02, and also the word vectors, by counting which words occur together.
# These counts are already a small pretraining, because they use the texts and no labels.

# %%
splits = data.load_splits("imdb", train_size=profile.reviews_train, test_size=profile.test_size)
vocabulary = text.Vocabulary.from_tokens(map(text.basic_english, splits.train.texts), max_size=profile.vocabulary_size)
whole = text.encode_words(splits.train, vocabulary, max_length=10_000)
vectors = text.ppmi_vectors(whole, vocab_size=len(vocabulary), size=64)  # (V, D)
print(f"V = {len(vocabulary):,} words, D = {vectors.shape[1]}")

# %% [markdown]
# The model has four layers. The **embedding** turns ids into vectors $E \in \mathbb{R}^{B \times T \times D}$. The **LSTM**
# gives a state after each word, $(B, T, H)$. **Max <abbr title="池化">pooling</abbr>** keeps the largest value of each unit
# over the *real* words, $(B, H)$, so it is enough if a unit reacts strongly to one word somewhere in the review. A
# **linear** layer makes $C = 2$ <abbr title="未归一化得分">logits</abbr>. Between these layers,
# **<abbr title="随机失活">dropout</abbr>** sets random entries to zero during training, so that the network cannot rely on any
# single one. The drawing shows the network for one text. There is only one LSTM cell, but it is drawn once for each word (we
# say that the network is *unrolled*):

# %%
diagrams.show(diagrams.unrolled_rnn)


# %%
class ReviewLSTM(nn.Module):
    def __init__(self, V, D=64, H=64, C=2, dropout=0.3):
        super().__init__()
        self.embedding = nn.Embedding(V, D, padding_idx=0)
        self.lstm = nn.LSTM(D, H, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(H, C)

    def forward(self, input_ids, attention_mask):
        E = self.dropout(self.embedding(input_ids))  # (B, T, D)
        states, _ = self.lstm(E)  # (B, T, H)
        real = attention_mask[:, :, None].bool()  # (B, T, 1)
        pooled = states.masked_fill(~real, -torch.inf).amax(dim=1)  # (B, H)
        return self.classifier(self.dropout(pooled))  # (B, C)


# %% [markdown]
# **Exercise 03.1 (complete): masked mean pooling.** Write another pooling in the same style: the mean of the states over the
# *real* words. You get `states`, float $(B, T, H)$, and `attention_mask`, $(B, T)$ with 1 for real words; return a tensor $(B, H)$. With the
# states 1, 3, 100 of one unit and the mask 1, 1, 0 the answer is 2.


# %% tags=["exercise"]
def masked_mean(states, attention_mask):
    raise NotImplementedError


# %% tags=["check"]
checks.check("03.1", masked_mean)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def masked_mean_solution(states, attention_mask):
    weights = attention_mask[:, :, None]  # (B, T, 1)
    return (states * weights).sum(dim=1) / weights.sum(dim=1)


# %% tags=["check"]
checks.check("03.1", masked_mean_solution, mine=False)  # the same check, on the solution

# %% [markdown]
# The course has this class as `models.LSTMClassifier`. You can choose the pooling and the number of directions, and start
# from word vectors as we do here; all other weights start at random. With the same weights, do both classes give the same
# logits?

# %%
torch.manual_seed(seed)
model = models.LSTMClassifier(len(vocabulary), vectors=vectors, word_dropout=profile.lstm_word_dropout).to(device)
by_hand = ReviewLSTM(len(vocabulary)).to(device)
by_hand.load_state_dict(model.state_dict())
ids = torch.randint(2, len(vocabulary), (2, 9), device=device)  # two texts of nine words
with torch.no_grad():
    torch.testing.assert_close(by_hand.eval()(ids, torch.ones_like(ids)), model.eval()(ids, torch.ones_like(ids)))
print({name: f"{sum(weights.numel() for weights in part.parameters()):,}" for name, part in model.named_children()})

# %% [markdown]
# They do. Nearly all parameters are word vectors. The LSTM, which reads the order, is small beside them.
#
# (`word_dropout` is 0 in this profile. The full profile trains for four epochs on longer reviews, and there the network
# would overfit. So in each training step three words in ten, chosen at random, are replaced by the unknown word.)

# %% [markdown]
# ## 6 Step 2 · Prepare the data
#
# We use the IMDB reviews with the block split of notebook 02. An LSTM takes one step for each word, so long reviews are
# expensive. We truncate them to 200 words. But which 200 should we keep? The linear model is fast to train, so we use it to
# find out, on the validation data.

# %% tags=["approx"]
max_tokens = profile.reviews_max_length
for name, piece in {"first": slice(max_tokens), "last": slice(-max_tokens, None), "all": slice(None)}.items():
    bag = TfidfVectorizer(analyzer=lambda review, p=piece: text.basic_english(review)[p], sublinear_tf=True, min_df=2)
    linear = make_pipeline(bag, LogisticRegression(C=4, max_iter=1000)).fit(splits.train.texts, splits.train.labels)
    print(f"{name:5} words: accuracy {linear.score(splits.validation.texts, splits.validation.labels):.3f}")

# %% [markdown]
# The last words work better than the first: people often tell the story first and give their verdict at the end. So we keep
# the last words, turn them into ids, and look at one batch.

# %%
encoded = data.Splits(*(text.encode_words(part, vocabulary, max_length=max_tokens, keep="last") for part in splits))
spread = np.linspace(0, len(encoded.train) - 1, 32).astype(int)  # the first reviews of the file are all negative
batch = {name: values.to(device) for name, values in batching.collate([encoded.train[i] for i in spread]).items()}
print({name: len(part) for name, part in encoded._asdict().items()}, "reviews")
print({name: tuple(tensor.shape) for name, tensor in batch.items()}, int(batch["labels"].sum()), "of them positive")

# %% [markdown]
# As in notebook 02 the ids and the mask have shape $(B, T)$, and the labels have shape $(B)$. The classes are balanced, so
# always answering one of them scores 0.5.
#
# Can the padding change a prediction? The LSTM reads from left to right and the padding comes after the words, so the state
# of a real word does not depend on it. The states at the padding itself are excluded from the maximum by the mask. So a
# review should get the same logits alone and in a batch. Let us check:

# %%
shortest_and_longest = np.argsort(encoded.validation.lengths)[[0, -1]]
pair = batching.collate([encoded.validation[i] for i in shortest_and_longest])
ids, mask = pair["input_ids"].to(device), pair["attention_mask"].to(device)  # (2, T)
length = int(mask[0].sum())
with torch.no_grad():
    gap = (model(ids, mask)[0] - model(ids[:1, :length], mask[:1, :length])[0]).abs().max().item()
print(f"{length} words, alone or padded to {len(ids[0])}: same logits: {gap < 1e-5}")

# %% [markdown]
# Do this test with every model that you write. In section 12 you will see a bug that it would have found.

# %% [markdown]
# ## 7 Step 3 · Define the loss
#
# We use cross-entropy, as in notebook 01, but now with two logits $z$. The **softmax** turns them into probabilities that
# add up to one, $p_c = e^{z_c} / \sum_k e^{z_k}$. With two classes this is the sigmoid of their difference. An untrained
# model only guesses, so its loss should be near $\log 2 = 0.693$ and its accuracy near 0.5:

# %% tags=["approx-0.05"]
untrained = prediction.evaluate(model, encoded.validation)
print(f"untrained: loss {untrained.loss:.2f}, accuracy {untrained.accuracy:.1f}")

# %% [markdown]
# Both are as expected. If a new model starts far from these values, look for a bug before you train.
#
# **Classic bug: softmax before the loss.** `cross_entropy` expects *logits* and applies the softmax itself. If you apply it
# first, you get no error message. Take a model that is right and completely confident. What is its loss?

# %%
sure, answer = torch.tensor([[-20.0, 20.0]]), torch.tensor([1])
print(f"loss from logits {cross_entropy(sure, answer):.3f}, from probabilities {cross_entropy(sure.softmax(1), answer):.3f}")

# %% [markdown]
# With the bug, the loss can never fall below $\log(1 + e^{-1}) = 0.313$, and the gradient is too small everywhere. If your
# training loss with two classes stops at 0.313, look for this bug.

# %% [markdown]
# **Exercise 03.2 (debug): a loss that stops at 0.313.** The function takes logits $(B, C)$ and labels $(B)$ and should return their mean
# cross-entropy. For the logits $(\log 3, 0)$ the probabilities are $\tfrac34$ and $\tfrac14$, so the loss of label 0 is $\log \tfrac43 = 0.288$.


# %% tags=["exercise"]
def loss_of(logits, labels):
    return cross_entropy(logits.softmax(dim=1), labels)


# %% tags=["check"]
checks.check("03.2", loss_of)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def loss_of_solution(logits, labels):
    return cross_entropy(logits, labels)


# %% tags=["check"]
checks.check("03.2", loss_of_solution, mine=False)  # the same check, on the solution

# %% [markdown]
# ## 8 Step 4 · Define the optimiser
#
# **AdamW** is the Adam of notebook 01 with decoupled weight decay: each step also makes the weight matrices a little
# smaller, independently of the gradient. The biases do not decay. The **learning-rate schedule** starts at zero and **warms
# up**, because Adam's running means are not accurate in the first steps. Then it decays linearly back to zero, so that the
# last steps are small.


# %%
def adamw_with_warmup(model, num_steps, learning_rate=3e-3):
    """Return AdamW over all parameters, and its schedule: up over a tenth of the steps, then down to zero."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    biases = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.01}, {"params": biases, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, fused=True)
    return optimizer, get_linear_schedule_with_warmup(optimizer, int(0.1 * num_steps), num_steps)


# %% [markdown]
# In a run of 100 steps the learning rate is highest at step 10, and half as high at steps 5 and 55. `fused=True` updates all
# parameters in one go, which is faster.
#
# ## 9 Step 5 · Train
#
# Here is the **training loop**. In each step it takes a batch and computes the logits and the loss (the forward pass) and
# then the gradient (the backward pass). It clips the gradient, because otherwise a recurrent network can take one giant step
# and lose what it has learned. Then it updates the parameters and the learning rate, and resets the gradient.
# `accelerator.backward(loss)` does the same as `loss.backward()`, but it also works in mixed precision.


# %%
def train_epoch(model, loader, optimizer, schedule):
    """Train on each batch of the loader once, and return the loss of each step."""
    losses = []
    model.train()
    for batch in loader:
        logits = model(batch["input_ids"], batch["attention_mask"])  # (B, C)
        loss = cross_entropy(logits, batch["labels"])
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


# %% [markdown]
# Before a long run, do a short test. It can save you hours: **can the model overfit a single batch of 32 reviews?** We give
# the loop the same batch 60 times.

# %% tags=["nbval-ignore-output"]
memory = copy.deepcopy(model)
losses = train_epoch(memory, [batch] * 60, *adamw_with_warmup(memory, num_steps=60, learning_rate=1e-2))
print(f"loss of one batch: {losses[0]:.3f} in the first step, {losses[-1]:.3f} in the last")

# %% [markdown]
# The loss should come close to zero, since 32 reviews are easy to memorise. If it does not, something is broken (the loss, a
# mask, a frozen layer), and more data will not help. Make sure that the batch contains both classes. If all 32 reviews had
# the same label, the bias of the last layer alone could learn it, and even a broken LSTM would pass the test.
#
# Now we train on different batches, for one <abbr title="轮次">epoch</abbr> over a part of the reviews. `DataLoader` makes the
# batches: its `batch_sampler` puts reviews of similar length together, and `collate` pads them. `accelerator.prepare` moves
# the model to the device, which is a GPU if there is one, and lets the loader put each batch there as well.

# %% tags=["nbval-ignore-output"]
some = encoded.train.take(np.linspace(0, len(encoded.train) - 1, min(1_920, len(encoded.train))).astype(int))
torch.manual_seed(seed)
sampler = batching.LengthBucketSampler(some.lengths, batch_size=64, seed=seed)
loader = DataLoader(some, batch_sampler=sampler, collate_fn=batching.collate)
by_loop = copy.deepcopy(model)
optimizer, schedule = adamw_with_warmup(by_loop, num_steps=len(loader))
step_losses = train_epoch(*accelerator.prepare(by_loop, loader, optimizer, schedule))

# %% [markdown]
# `training.fit` is this loop in our package, with everything else that you need: it runs several epochs, validates after
# each one, keeps the best weights, and has a stop button. Let us check that it does the same as our loop. With the same
# model, reviews and <abbr title="随机种子">seed</abbr>, it should give the same loss in every step:

# %%
config = training.TrainingConfig(num_epochs=profile.lstm_epochs, learning_rate=3e-3, batch_size=64, seed=seed)
short = training.TrainingConfig(1, 3e-3, 64, mixed_precision=accelerator.mixed_precision, seed=seed)  # one epoch
history = training.fit(copy.deepcopy(model), some, encoded.validation.take(range(64)), short, on_step=lambda history: None)
torch.testing.assert_close(history.step_losses, step_losses)
print(f"our loop and fit: the same loss in all {len(step_losses)} steps")

# %% [markdown]
# A run can also be stopped, because you need the machine or because it crashes. If you name a folder for `checkpoints`,
# `fit` saves there what it needs to go on: weights, optimiser, schedule, random numbers, and which batches it has seen. The
# same call with `resume=True` goes on from there. We stop a run after half of its steps, as the stop button does, and
# resume it:


# %%
def stop_halfway(history):
    if history.step == history.num_steps // 2:
        raise KeyboardInterrupt


folder, few = files.kernel_folder("03_stopped_run"), encoded.validation.take(range(64))
training.fit(copy.deepcopy(model), some, few, short, checkpoints=folder, on_step=stop_halfway)
resumed = training.fit(copy.deepcopy(model), some, few, short, checkpoints=folder, resume=True, on_step=lambda history: None)
print("the same losses as the run without a stop:", resumed.step_losses == history.step_losses)

# %% [markdown]
# The losses are equal to the last digit. So you have seen everything that `fit` does to the model, and from here on we use
# it. Now we train on all training reviews.
#
# **The recipe:** word vectors from `ppmi_vectors` of the training texts, an `LSTMClassifier` that starts from them, and
# `fit` with a learning rate of 3e-3 and batches of 64. Notebook 06 uses the same recipe when it compares the LSTM with BERT.
# The run takes half a minute to a minute on two processor cores. **The panel is live**, so you can watch the curves. If you
# press its stop button, or ■ in the toolbar, `fit` keeps the weights of the best epoch so far, or the current weights if no
# epoch is complete.

# %% tags=["nbval-ignore-output"]
history = training.fit(model, encoded.train, encoded.validation, config, on_step=explorers.TrainingPanel())

# %% [markdown]
# ## 10 Step 6 · Validate
#
# The model has not been trained on the validation reviews. So we use them to decide when to stop and which hyperparameters
# are better.

# %% tags=["nbval-ignore-output"]
fig, ax = plt.subplots()
steps, epochs = range(1, len(history.step_losses) + 1), history.records
ax.plot(steps, history.step_losses, color=plots.COLOURS[5], linestyle="-", linewidth=0.6, label="each batch")
ax.plot(steps, plots.smooth(history.step_losses), color=plots.COLOURS[0], linestyle="-", label="mean of the last 20")
ax.plot([e.step for e in epochs], [e.validation_loss for e in epochs], "s", color=plots.COLOURS[1], label="validation")
ax.set(xlabel="step", ylabel="loss", title="The loss falls far below log 2 = 0.69, on validation reviews too")
ax.legend()
plots.show(fig, alt="Training loss over steps falls from 0.69; the validation loss, a square an epoch, is far below it.")
validation = prediction.evaluate(model, encoded.validation)
each = ", ".join(f"{e.validation_accuracy:.3f} after epoch {e.epoch}" for e in epochs)
display(Markdown(f"Validation accuracy: {each}. `fit` kept epoch {history.best_epoch}."))

# %% [markdown]
# The model learns most of what it knows in the first epoch. Watch the validation loss: as long as it falls, another epoch
# helps. If it rises while the training loss keeps falling, the model is overfitting. `fit` always keeps the weights of the
# epoch with the best validation accuracy.
#
# **Classic bug: `eval()` forgotten.** When you use a model, dropout must be switched off. `prediction.evaluate` does this
# for you, but in your own code it is easy to forget. Here we predict the same reviews twice in each mode:

# %%
for mode in ("train", "eval"):
    getattr(model, mode)()  # model.train() or model.eval()
    with torch.no_grad():
        first, second = (model(batch["input_ids"], batch["attention_mask"]) for _ in range(2))
    print(f"{mode:5}: the same logits twice: {torch.equal(first, second)}")

# %% [markdown]
# **Exercise 03.3 (debug): an answer that changes.** The function calls a model and should give the same answer each time. The check
# passes it a model of two layers: a simple dropout, which in training mode sets its two inputs to zero in turn, and one layer that adds them. For
# $(1, 2)$ the answer must be 3. Leave the model in the mode in which you got it: in training mode if it was in training mode, otherwise not.


# %% tags=["exercise"]
def ask(model, inputs):
    with torch.no_grad():
        return model(inputs)


# %% tags=["check"]
checks.check("03.3", ask)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def ask_solution(model, inputs):
    was_training = model.training
    model.eval()
    with torch.no_grad():
        outputs = model(inputs)
    model.train(was_training)
    return outputs


# %% tags=["check"]
checks.check("03.3", ask_solution, mine=False)  # the same check, on the solution

# %% [markdown]
# **Exercise 03.4 (debug): an accuracy that depends on the batches.** Each batch is a pair of lists, predictions and labels. The
# accuracy of five examples, four of them right, is 0.8, however they are divided into batches. Divided into four and one, this
# function says 0.5.


# %% tags=["exercise"]
def accuracy_of(batches):
    shares = []
    for predictions, truths in batches:
        hit = sum(p == y for p, y in zip(predictions, truths, strict=True))
        shares.append(hit / len(truths))
    return sum(shares) / len(shares)


# %% tags=["check"]
checks.check("03.4", accuracy_of)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def accuracy_of_solution(batches):
    hit = total = 0
    for predictions, truths in batches:
        hit += sum(p == y for p, y in zip(predictions, truths, strict=True))
        total += len(truths)
    return hit / total


# %% tags=["check"]
checks.check("03.4", accuracy_of_solution, mine=False)  # the same check, on the solution

# %% [markdown]
# ## 11 Step 7 · Test
#
# We test only once, at the end, when all decisions are made. We compare the LSTM with the linear model of notebook 02, which
# counts words and pairs of words and reads the same reviews at their full length.

# %%
pairs = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
tfidf = make_pipeline(pairs, LogisticRegression(C=4, max_iter=1000)).fit(splits.train.texts, splits.train.labels)
labels, blocks = splits.test.labels, splits.test.blocks
correct = {
    "majority": labels == np.bincount(labels).argmax(),
    "LSTM": prediction.evaluate(model, encoded.test).predictions == labels,
    "TF-IDF + LR": tfidf.predict(splits.test.texts) == labels,
}
scores = {name: evaluation.block_interval(hits, blocks) for name, hits in correct.items()}

# %%
claims.check_claim("03 LSTM on IMDB, block split", scores["LSTM"].estimate)

# %% tags=["nbval-ignore-output"]
fig, ax = plt.subplots(figsize=(7, 2.4))
plots.bars_with_intervals(ax, scores)
ax.margins(y=0.2)
ax.set(xlim=(0.45, 1), title="The LSTM learns a lot, but the linear model is hard to beat")
plots.show(fig, alt="Test accuracy with intervals: majority at 0.5, the LSTM far above, TF-IDF a little above the LSTM.")
gap = evaluation.difference_interval(correct["TF-IDF + LR"], correct["LSTM"], blocks)
display(Markdown(f"On the same reviews, TF-IDF minus LSTM: **{gap.estimate:.3f}** ({gap.low:.3f} to {gap.high:.3f})."))

# %% [markdown]
# The result may disappoint you: a small LSTM trained on fourteen thousand reviews does not beat a model that counts words
# and pairs of words. There are reasons for this. The LSTM reads only the last 200 words, and it has to learn from few
# examples what the order of words means. In a long review you hardly need the order, because some word gives the verdict
# away. Reading in order pays off once the model already knows the language, as you will see in notebooks 05 and 06.
#
# Would a larger LSTM and longer training help? We tried it. We added a second LSTM that reads each review from its end
# (`bidirectional=True`) and trained for eight epochs, with 400 words instead of 200 and `word_dropout=0.4`. All of this
# together gains about a point, and the results of different seeds differ by more than that.
# [The results](../docs/RESULTS.md) compare these runs with the linear model.

# %% [markdown]
# ## 12 Classic bug in depth: the state at the padding
#
# We took the maximum over all real words. Many programs use the **last state** instead and write `states[:, -1]`. In a
# padded batch that is the state after the *padding*, not after the last word. How much does this cost? To measure it
# quickly, we train on the Rotten Tomatoes sentences, with the bug and with three poolings that respect the mask. The batches
# are random here, and we use our own loop.

# %%
sentences = data.load_splits("rotten_tomatoes", train_size=profile.sentences_train)
sentence_vocabulary = text.Vocabulary.from_tokens(map(text.basic_english, sentences.train.texts))
short_texts = data.Splits(*(text.encode_words(part, sentence_vocabulary, max_length=60) for part in sentences))
random_batches = data.Splits(*(DataLoader(part, 32, shuffle=True, collate_fn=batching.collate) for part in short_texts))


class ReadsThePadding(models.LSTMClassifier):
    def forward(self, input_ids, attention_mask):
        states = self.states(input_ids, attention_mask)
        return self.classifier(self.dropout(states[:, -1]))  # the bug


# %%
pooling_accuracy = {}
for pooling in ("last at the padding", "last real word", "mean", "max"):
    kind = ReadsThePadding if "padding" in pooling else models.LSTMClassifier
    torch.manual_seed(seed)
    network = kind(len(sentence_vocabulary), pooling=pooling.split()[0])
    network.embedding.weight.data.mul_(0.2)  # training overcomes smaller random vectors sooner
    train, validate = accelerator.prepare(random_batches.train, random_batches.validation)
    network, *rest = accelerator.prepare(network, *adamw_with_warmup(network, num_steps=2 * len(train)))
    for _ in range(2):  # epochs
        train_epoch(network, train, *rest)
    network.eval()
    with torch.no_grad():
        hits = [network(b["input_ids"], b["attention_mask"]).argmax(dim=1) == b["labels"] for b in validate]
    pooling_accuracy[pooling] = torch.cat(hits).float().mean().item()

# %%
fig, ax = plt.subplots(figsize=(7, 2.6))
ax.plot(list(pooling_accuracy.values()), list(pooling_accuracy), "o", markersize=9, color=plots.COLOURS[0])
ax.axvline(0.5, color="black", linestyle=":", linewidth=1)
ax.set(xlim=(0.4, 0.9), ylim=(3.6, -0.6), xlabel="validation accuracy, Rotten Tomatoes sentences (dotted: chance level)")
ax.set_title("Read at the padding, an LSTM stays near chance level")
plots.show(fig, alt="Accuracy of four poolings: the last state at the padding is near one half, three others far above.")
lost = pooling_accuracy["last real word"] - pooling_accuracy["last at the padding"]
claims.check_claim("03 accuracy lost by reading the state at the padding", lost)

# %% [markdown]
# While the network steps through the padding it forgets (section 3). So every sentence ends in nearly the same state, and
# the classifier cannot learn anything from it. You get no error message, only a loss near $\log 2$, and you may conclude
# that "LSTMs do not work here". Published programs have this bug. The three correct poolings are close to each other, and
# which of them is best changes with the seed.
#
# Bucketing *hides* the bug, because batches of texts of similar length contain hardly any padding. The test of section 6
# finds it: a text must get the same logits alone and in a batch.

# %% [markdown]
# **Exercise 03.5 (debug): the state at the padding.** The function gets `states` $(B, T, H)$ and `attention_mask` $(B, T)$, with the padding
# after the words, and should return for each text the state after its last *real* word, $(B, H)$. For the states 1, 3, 100 and the mask 1, 1, 0 that is 3.


# %% tags=["exercise"]
def last_state(states, attention_mask):
    return states[:, -1]


# %% tags=["check"]
checks.check("03.5", last_state)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def last_state_solution(states, attention_mask):
    last_positions = attention_mask.sum(dim=1) - 1  # (B,)
    return states[torch.arange(len(states)), last_positions]


# %% tags=["check"]
checks.check("03.5", last_state_solution, mine=False)  # the same check, on the solution

# %% [markdown]
# ## 13 Questions from the forums
#
# People ask these questions again and again. We answer each of them with the small network of section 2 and three random
# sequences.
#
# **"Do I have to carry the hidden state over from batch to batch?"** Not for reviews, because they have nothing to do with
# each other. If you pass no state, `nn.LSTM` starts from zeros. You have to carry the state over only if you split one long
# text into pieces. Then detach it. Otherwise the second `backward()` tries to go through the first piece again, and you get
# "Trying to backward through the graph a second time".

# %%
states, _ = tiny_lstm(x := torch.randn(3, 7, 5))
_, (h, c) = tiny_lstm(x[:, :4])  # the first piece, four words
rest, _ = tiny_lstm(x[:, 4:], (h.detach(), c.detach()))
print("in two pieces, the same states:", torch.allclose(rest, states[:, 4:], atol=1e-6))

# %% [markdown]
# **"Why must `lengths` be on the CPU, and do I have to sort the texts?"** **<abbr title="打包">Packing</abbr>**
# (`pack_padded_sequence`) hides the padding from the network. It wants the lengths as a tensor on the CPU, even if the batch
# is on a GPU, so write `lengths.cpu()`. It also expects the longest text first, unless you pass `enforce_sorted=False`. Then
# it sorts the texts itself and gives the results back in your order. You need `True` only if you export to ONNX.

# %%
lengths = torch.tensor([3, 7, 5])
packed = nn.utils.rnn.pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
unpacked, _ = nn.utils.rnn.pad_packed_sequence(tiny_lstm(packed)[0], batch_first=True)
real = torch.arange(7) < lengths[:, None]  # (B, T)
print("packed = padded at every real word:", torch.allclose(unpacked[real], states[real], atol=1e-6))

# %% [markdown]
# With one direction, packing and masking give the same states. In this course we use masks. The code is simpler, and on a
# CPU it is faster, because a padded batch runs in one fused kernel and a packed one in many small ones.
#
# **"What about a text without any words?"** Packing refuses it. Max pooling over no words gives $-\infty$, and mean pooling
# divides by zero. One such text in a batch is enough to turn every weight into NaN. So replace it by one unknown word, as
# `encode_words` does:

# %%
try:
    nn.utils.rnn.pack_padded_sequence(x, torch.tensor([7, 7, 0]), batch_first=True)
except RuntimeError as error:
    print(str(error).split(", but")[0])
print("so an empty text becomes one unknown word, with id", text.encode_words([""], vocabulary, max_length=9).input_ids[0])

# %% [markdown]
# **"My network is <abbr title="双向">bidirectional</abbr>. Is `out[:, -1]` its last state?"** Only the forward half is. The
# backward half reads from the end, so at the last position it has read only *one* word. At position 0 it has read
# everything.

# %%
both = nn.LSTM(5, 4, batch_first=True, bidirectional=True)
out, (h, _) = both(x)  # (B, T, 2H) and (2, B, H): h[0] forward, h[1] backward, each after all words
print("forward half:", torch.allclose(out[:, -1, :4], h[0]), "backward half:", torch.allclose(out[:, -1, 4:], h[1]))
print("backward half of out[:, 0]:", torch.allclose(out[:, 0, 4:], h[1]))

# %% [markdown]
# So use `torch.cat([h[0], h[1]], dim=1)`. If there is padding, pack the batch, because otherwise the backward half reads the
# padding first.

# %% [markdown]
# ## 14 Reading along
#
# What did our network learn? In section 3 we asked whether its forget gates learn to stay open. Our own cell of section 2
# can use the trained weights, because they have the same layout, and it returns the gates. We look at long reviews of the
# validation set.

# %%
model = model.cpu()  # the cells below look inside and draw
full = np.flatnonzero(encoded.validation.lengths == max_tokens)[:64]  # without padding
fresh = models.LSTMClassifier(len(vocabulary), vectors=vectors)
with torch.no_grad():
    E = model.embedding(batching.collate([encoded.validation[i] for i in full])["input_ids"])  # (B, T, D)
    _, gates, *_ = lstm_by_hand(E, *weights_of(model.lstm))  # the forget gates, (B, T, H)
reach = {"before training": gradient_reach(fresh.lstm, E), "after training": gradient_reach(model.lstm, E)}
through_gates = gates.flip(1).cumprod(dim=1).mean(dim=(0, 2))  # of the last 1, 2, 3 ... words
reach["through the forget gates alone"] = torch.cat([torch.ones(1), through_gates])

# %% tags=["nbval-ignore-output"]
fig, ax = plt.subplots()
plots.curves(ax, {name: values[:30] for name, values in reach.items()}, x=range(30))
ax.set(yscale="log", xlabel="distance back (words)", ylabel="size of the gradient\n(last word = 1)")
ax.set_title("Training extended the memory, but not through the forget gates")
plots.show(fig, alt="Gradient against distance, log scale: low before training, high after it, low through forget gates.")
f, unit = gates.mean().item(), gates.mean(dim=(0, 1)).max().item()
display(Markdown(f"After training the forget gates are **{f:.3f}** on average (0.5 before), in the most open unit {unit:.2f}. "
                 f"With {f:.3f} at every word, {f**10:.1%} of the cell is left after ten."))  # fmt: skip

# %% [markdown]
# So our network did not do what the textbooks say. Its gates stay about half open, and the cell forgets within a few words.
# Training did make the memory longer, but in another way: through $h$ and $U$, as in a plain network. How much memory does
# the model need? To find out, we make it forget on purpose: after every $k$ words the LSTM starts again from an empty state.
# The pooling still takes the maximum over the whole review.

# %%
held_out = batching.collate([encoded.validation[i] for i in range(0, len(encoded.validation), 2)])
real, T = held_out["attention_mask"][:, :, None].bool(), held_out["input_ids"].shape[1]
accuracy_with = {}
with torch.no_grad():
    E = model.embedding(held_out["input_ids"])  # (B, T, D)
    for k in [k for k in (1, 2, 5, 10, 20, 50, 100, T) if T % k == 0]:
        states, _ = model.lstm(E.reshape(-1, k, 64))  # each row is k words
        pooled = states.reshape(len(E), T, 64).masked_fill(~real, -torch.inf).amax(dim=1)
        hits = model.classifier(pooled).argmax(dim=1) == held_out["labels"]
        accuracy_with[k] = hits.float().mean().item()

# %% tags=["nbval-ignore-output"]
fig, ax = plt.subplots(figsize=(7, 3))
ax.plot([str(k) for k in accuracy_with], list(accuracy_with.values()), "o-", color=plots.COLOURS[0])
ax.set(ylim=(0.45, 0.95), xlabel="words that the LSTM may remember, k", ylabel="validation accuracy")
ax.set_title("Twenty words of memory are nearly as good as the whole review")
plots.show(fig, alt="Accuracy against words remembered: it rises from one word to twenty, and little from there on.")
one, twenty, every = (accuracy_with[k] for k in (1, 20, T))
display(Markdown(f"Accuracy with a memory of 1 word {one:.3f}, of 20 words **{twenty:.3f}**, of all words {every:.3f}."))

# %% [markdown]
# With twenty words of memory we lose very little, although the network was not trained to forget. The reason is max pooling.
# Each unit reports its strongest reaction, wherever in the review it was. So it is the *pooling* that carries the evidence
# to the end. The LSTM only has to remember a phrase ("not a very good film"), and half-open gates are enough for that. It
# would be different if we read only the state at the last word, because that state would have to contain everything. For
# such a network it pays to start with open gates, with a forget bias of 1 or more.
#
# Now let us watch the network read one short review. If the review ended after word $t$, the pooled vector would be the
# maximum of the states up to $t$. So a running maximum gives us exactly what the model would predict at that point, its
# **prediction so far**.

# %% tags=["nbval-ignore-output"]
chosen = next(i for i in np.argsort(encoded.validation.lengths, kind="stable") if encoded.validation.lengths[i] >= 25)
words = vocabulary.decode(encoded.validation.input_ids[chosen])
states, _ = model.lstm(model.embedding(encoded.validation[chosen]["input_ids"]))  # (T, H)
opinion = model.classifier(states.cummax(dim=0).values).diff(dim=1)[:, 0].detach()  # (T,), positive minus negative
fig, ax = plt.subplots(figsize=(9, 3))
ax.plot(opinion, "o-", markersize=4, color=plots.COLOURS[0])
ax.set(ylabel="logit, positive\nminus negative", title="A few words move the prediction, most do not")
ax.set_xticks(range(len(words)), words, rotation=45, ha="right")
plots.show(fig, alt="The model's logit after each word of a short review: level over most words, with jumps at a few.")
jumps = np.diff(opinion, prepend=0)
named = ", ".join(f"`{words[i]}` ({jumps[i]:+.2f})" for i in sorted(np.argsort(-np.abs(jumps))[:4]))
label = splits.validation.class_names[splits.validation.labels[chosen]]
display(Markdown(f"True class: {label}. The line moves most at {named}."))

# %% [markdown]
# Because of the maximum, a unit changes the prediction only when it exceeds its own highest value so far. That is why the
# line hardly moves when a review repeats an opinion. (The jump of the first word is counted from 0, so you do not see it in
# the picture.) Do not read too much into a single picture: a word that moves the line in this review may do nothing in the
# next one.
#
# **Read along yourself.** Move the slider, or press Play: you see the prediction so far, what each word adds to it, and how
# far each unit opens its gates at that word. To read a sentence of yours, change the first line.

# %% tags=["nbval-ignore-output"]
read = words  # or: text.basic_english("A sentence of yours.")
E_read = model.embedding(torch.tensor(vocabulary.encode(read)))[None].detach()  # (1, T, D)
i_read, f_read, *_, h_read = (values[0].detach() for values in lstm_by_hand(E_read, *weights_of(model.lstm)))  # (T, H)
so_far = model.classifier(h_read.cummax(dim=0).values).diff(dim=1)[:, 0].detach()
explorers.reading_explorer(read, so_far, {"input gate": i_read, "forget gate": f_read})

# %% [markdown]
# Each bar is one unit. Scrub over a word with a thick line under it, and look at which input gates open there.

# %% [markdown]
# ## 15 Reading the errors
#
# A score tells you how often a model is wrong, but not in which way. The **<abbr title="混淆矩阵">confusion matrix</abbr>** has
# a row for each true class (negative, positive) and a column for each predicted class, and counts the reviews in each
# combination. We look at the errors on the validation set, because the test set is only for the final score.

# %% tags=["nbval-ignore-output"]
truth, names = splits.validation.labels, splits.validation.class_names
print(confusion_matrix(truth, validation.predictions))
wrong = validation.predictions != truth
print(f"{wrong.sum()} of {len(wrong):,} reviews are wrong, {wrong[truth == 1].sum()} of them positive ones")

# %% [markdown]
# Next we look at the three mistakes of which the model was most certain. For each of them we print the last words:

# %% tags=["nbval-ignore-output"]
probabilities = prediction.predict_proba(model, encoded.validation)[:, 1]  # (n,), of positive
for i in np.argsort(-np.abs(probabilities - 0.5) * wrong)[:3]:
    ending = " ".join(text.basic_english(splits.validation.texts[i])[-60:])
    display(Markdown(f"True class **{names[truth[i]]}**, p(positive) = {probabilities[i]:.3f}: `... {ending}`"))

# %% [markdown]
# Read each of them and ask yourself what misled the model. You will usually find one of three reasons. Sometimes the verdict
# is not among the words that the model has read; then more words could help. Sometimes the review praises one thing and
# criticises another, and you have to weigh them. That needs a model that relates sentences to each other. And sometimes the
# words sound like the other class: irony, a quotation, or simply a wrong label.

# %% [markdown]
# ## 16 Save, load, predict
#
# A model is useless without its vocabulary, because nobody knows which word an id stands for. So we save both, and load them
# into a new model.

# %%
path = files.kernel_folder("03_lstm") / "lstm.pt"
torch.save({"weights": model.state_dict(), "words": vocabulary.tokens}, path)
saved = torch.load(path)
saved_words, loaded = text.Vocabulary(saved["words"]), models.LSTMClassifier(len(saved["words"]))
loaded.load_state_dict(saved["weights"])
same = np.allclose(prediction.predict_proba(loaded, encoded.validation)[:, 1], probabilities, atol=1e-6)
print("loaded, it gives the same probabilities:", same)


# %%
def predict(sentence: str) -> np.ndarray:
    """Return the probabilities (C,) of one text of your own."""
    ids = text.encode_words([sentence], saved_words, max_length=max_tokens, keep="last")
    return prediction.predict_proba(loaded, ids)[0]


# %% [markdown]
# Try some sentences of your own. The cell after that tests the pair of section 1.

# %% tags=["nbval-ignore-output"]
explorers.prediction_box(predict, splits.train.class_names, example="A slow start, but what a wonderful ending.")

# %% tags=["nbval-ignore-output"]
good, bad = (predict(sentence)[1] for sentence in (praise, blame))  # p(positive)
verdict = "distinguishes" if good > 0.5 > bad else "does not distinguish"
display(Markdown(f"p(positive) is {good:.2f} for *{praise}* and {bad:.2f} for *{blame}*: the network **{verdict}** them."))
rare = sum("not dull" in review.lower() for review in splits.train.texts)
display(Markdown(f"*Not dull* is in {rare} of its {len(splits.train):,} training reviews."))

# %% [markdown]
# An LSTM *can* read order, but it learns only what its reviews show often enough, and "not dull" hardly ever occurs in them.
# In notebook 06 we give BERT the same pair.
#
# Be careful with such a model. It gives an answer to any text, even to one in a language that it has never seen or one that
# consists of unknown words. A high probability does not mean that it has understood anything.
#
# ## 17 Your run among others
#
# The course has stored the results of this notebook for several seeds. How does your LSTM compare with them?

# %% tags=["nbval-ignore-output"]
print(claims.compare_run("03 LSTM on IMDB, block split", scores["LSTM"].estimate, seconds=history.seconds).sentence)

# %% [markdown]
# The stored runs differ only in the seed. So if your result is inside their range, the seed alone can explain the
# difference.

# %% [markdown]
# ## Quiz
#
# Three questions to check what you remember.

# %% tags=["check"]
checks.quiz("03")

# %% [markdown]
# ## Summary
#
# * An LSTM cell is six equations. Its forget gates *can* keep a memory for many words. In our network they stayed half open,
#   because max pooling collects the evidence and the LSTM only has to remember phrases.
# * Every training run has seven steps, and the loop of step 5 has seven lines that matter.
# * Pool over the real words only. If you read the state at the padding, the network learns next to nothing, and you get no
#   error message.
# * Do the cheap tests first: an untrained loss of $\log 2$, overfitting one batch, the same answer alone and in a batch.
# * On long reviews the LSTM learns a lot, but it stays a few points below the linear model.
#
# **To think about.** Why does bucketing hide the padding bug during validation, and when would it show? What would
# you change first to close the gap to the linear model, and on which part of the data would you check it?
#
# **Next:** [04 Attention and the Transformer](04_attention_and_the_transformer.ipynb), where words look at each other directly. Optional:
# [03b The published listing](03b_the_published_listing.ipynb) repairs a program that lacks most of what you now know.
