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
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/fine-tuning-course/fine-tuning-course/blob/main/notebooks/03_lstm_classifier.ipynb) · [words and terms 术语表](../docs/GLOSSARY.md)
#
# **What you will be able to do:** build an LSTM cell from its equations, train a classifier through the seven steps of every training
# run, write the training loop yourself, find out what the gates of a trained network do, and find the bug that
# keeps an LSTM at chance level.
#
# **Before you start:** notebooks 01 and 02. **Time:** one hour to read and play; the code takes about two and a half minutes.

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
import copy
from pathlib import Path

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

from course_utils import batching, claims, data, diagrams, evaluation, explorers, models, plots, prediction, profiles
from course_utils import text, training
from course_utils.exercises import checks

plots.use_style()
profile, seed = profiles.get_profile(), profiles.get_seed()
accelerator = Accelerator()
device = accelerator.device  # a GPU if there is one

# %% [markdown]
# ## 1 Why order matters
#
# For the linear model of notebook 02 a review is a bag of words. Two opposite opinions can be the same bag.

# %%
praise, blame = "not dull just funny", "not funny just dull"
print("same bag:", sorted(praise.split()) == sorted(blame.split()))

# %% [markdown]
# A model that counts single words cannot distinguish them, however long you train it. A **<abbr title="循环网络">recurrent network</abbr>** reads one
# word after the other and keeps a **<abbr title="隐藏状态">hidden state</abbr>** $h \in \mathbb{R}^H$, its memory of what came before. Word $t$ is a
# vector $x_t \in \mathbb{R}^D$, and the same matrices $W \in \mathbb{R}^{H \times D}$ and $U \in \mathbb{R}^{H \times H}$ are used at every word:
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
# The same words in another order end in a different state: its second entry is positive for the first sentence and negative for the second. So a network
# *can* see order, with weights that we chose by hand. Whether it learns such weights from reviews is another question. We try this pair on
# our trained network in section 16, and notebook 06 tries it again on a model that has read far more.

# %% [markdown]
# ## 2 The LSTM cell by hand
#
# The plain recurrent network overwrites its state at every word. The **<abbr title="长短期记忆网络">LSTM</abbr>** (long short-term memory) keeps a second one, the
# **cell** $c \in \mathbb{R}^H$, and decides with three **<abbr title="门">gates</abbr>** what to write, what to keep and what to show. A gate
# is a number between 0 (shut) and 1 (open) for each of the $H$ units.

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
# Here $\odot$ multiplies entry by entry. The four blocks are stacked, in the order $i, f, g, o$, into
# $W \in \mathbb{R}^{4H \times D}$, $U \in \mathbb{R}^{4H \times H}$ and $b \in \mathbb{R}^{4H}$. The code is the equations:


# %%
def lstm_step(x, h, c, W, U, b):
    """Return i, f, g, o and the new c, h, each (B, H), after one word x (B, D)."""
    i, f, g, o = (x @ W.T + h @ U.T + b).chunk(4, dim=1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    c = f * c + i * g
    h = o * c.tanh()
    return i, f, g, o, c, h


# %% [markdown]
# One step with numbers we can check: $D = H = 1$, $x = 1$, $h = 0$, $c = 2$. Since $\sigma(0) = \tfrac12$,
# $\sigma(\log 3) = \tfrac34$ and $\tanh(\tfrac12 \log 3) = \tfrac12$, these weights give gates with round values.

# %%
log3 = float(np.log(3))
W_tiny = torch.tensor([[0.0], [log3], [log3 / 2], [0.0]])  # (4H, D): i, f, g, o
tiny = lstm_step(torch.ones(1, 1), torch.zeros(1, 1), torch.full((1, 1), 2.0), W_tiny, torch.zeros(4, 1), torch.zeros(4))
print(", ".join(f"{name} = {value.item():.4f}" for name, value in zip("ifgoch", tiny, strict=True)))

# %% [markdown]
# By hand: $c = \tfrac34 \cdot 2 + \tfrac12 \cdot \tfrac12 = 1.75$, and $h = \tfrac12 \tanh(1.75) = 0.4707$. For a whole
# sequence we run the step in a loop. Does it equal `nn.LSTM`? We give both the same weights and compare.


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
# Six equations in a loop are the whole of `nn.LSTM`. It returns the state after each word, `states` $(B, T, H)$, and the last $h$ and $c$.

# %% [markdown]
# ## 3 What the gates are for
#
# To learn that word 3 mattered at word 40, the gradient has to go back through 37 steps. In the plain network it is multiplied at each
# step by $U$ and by the slope of tanh, and it **vanishes**. Along the LSTM's cell it is multiplied only by $f$. How much does
# the last state depend on the word a given distance back? We measure it in three networks with random weights.


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
# The plain network has almost nothing left after twenty words. An untrained LSTM has $f \approx 0.5$, so it loses about half of the gradient at each word: better, but
# twenty words are too many for it as well. Only with open forget gates does the gradient get through. Textbooks then say that the gates *learn* to stay open. In
# section 14 we measure whether ours did.

# %% [markdown]
# ## 4 The seven steps
#
# Every training run of this course, from here to BERT, takes the same seven steps:

# %%
diagrams.show(diagrams.seven_steps)

# %% [markdown]
# The next seven sections are these steps, in this order.
#
# ## 5 Step 1 · Load the model
#
# A model comes with its vocabulary: row 17 of its first <abbr title="层">layer</abbr> means nothing until you know which word has id 17. With BERT you will load both from
# the hub (notebook 06). Ours is new, so we make both from the training reviews, as in notebook 02: the vocabulary, and word vectors from counts of which words occur
# together. That is a small piece of pretraining: it reads the texts and uses no labels.

# %%
splits = data.load_splits("imdb", train_size=profile.reviews_train, test_size=profile.test_size)
vocabulary = text.Vocabulary.from_tokens(map(text.basic_english, splits.train.texts), max_size=profile.vocabulary_size)
whole = text.encode_words(splits.train, vocabulary, max_length=10_000)
vectors = text.ppmi_vectors(whole, vocab_size=len(vocabulary), size=64)  # (V, D)
print(f"V = {len(vocabulary):,} words, D = {vectors.shape[1]}")

# %% [markdown]
# The model has four layers. The **embedding** turns ids into vectors $E \in \mathbb{R}^{B \times T \times D}$. The **LSTM** gives a state after each word,
# $(B, T, H)$. **Max <abbr title="池化">pooling</abbr>** keeps, for each unit, its largest value over the *real* words, $(B, H)$: a unit that
# is active once, anywhere, counts. A **linear** layer makes $C = 2$ <abbr title="未归一化得分">logits</abbr>. In between, **<abbr title="随机失活">dropout</abbr>** sets
# random entries to zero during training, so that the network cannot rely on any single one. Here is the network for one text, with its one
# cell drawn again for each word (*unrolled*):

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
def masked_mean(states, attention_mask):
    weights = attention_mask[:, :, None]  # (B, T, 1)
    return (states * weights).sum(dim=1) / weights.sum(dim=1)


# %% tags=["check"]
checks.check("03.1", masked_mean, mine=False)  # the same check, on the solution

# %% [markdown]
# `models.LSTMClassifier` is this class with a choice of poolings and directions, and with word vectors to start from; its other weights are random.
# With the same weights, do both give the same logits?

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
# They do. Nearly all parameters are word vectors; the LSTM, which reads the order, is small beside them.
#
# (`word_dropout` is 0 in this profile. In the full profile, with its four epochs of longer reviews, the network would overfit;
# there three words in ten, chosen anew in each step, are replaced by the unknown word during training.)

# %% [markdown]
# ## 6 Step 2 · Prepare the data
#
# We use the IMDB reviews with the block split of notebook 02. An LSTM takes one step for each word, so long reviews are
# expensive, and we truncate them to 200 words. Which 200? We let the fast linear model decide, on validation data.

# %% tags=["approx"]
max_tokens = profile.reviews_max_length
for name, piece in {"first": slice(max_tokens), "last": slice(-max_tokens, None), "all": slice(None)}.items():
    bag = TfidfVectorizer(analyzer=lambda review, p=piece: text.basic_english(review)[p], sublinear_tf=True, min_df=2)
    linear = make_pipeline(bag, LogisticRegression(C=4, max_iter=1000)).fit(splits.train.texts, splits.train.labels)
    print(f"{name:5} words: accuracy {linear.score(splits.validation.texts, splits.validation.labels):.3f}")

# %% [markdown]
# The end of a review is worth more than its beginning: people tell the story first and give the verdict last. So we keep
# the last words, turn them into ids, and look at one batch.

# %%
encoded = data.Splits(*(text.encode_words(part, vocabulary, max_length=max_tokens, keep="last") for part in splits))
spread = np.linspace(0, len(encoded.train) - 1, 32).astype(int)  # the first reviews of the file are all negative
batch = {name: values.to(device) for name, values in batching.collate([encoded.train[i] for i in spread]).items()}
print({name: len(part) for name, part in encoded._asdict().items()}, "reviews")
print({name: tuple(tensor.shape) for name, tensor in batch.items()}, int(batch["labels"].sum()), "of them positive")

# %% [markdown]
# The shapes are $(B, T)$ as in notebook 02, and $(B)$ for the labels. The classes are balanced: always answering one of
# them scores 0.5.
#
# Does padding leak into the prediction? The LSTM reads left to right, and padding comes after the words, so no state of a real word depends on
# it; the mask excludes the states at the padding from the maximum. So a review should get the same logits alone and in a batch:

# %%
shortest_and_longest = np.argsort(encoded.validation.lengths)[[0, -1]]
pair = batching.collate([encoded.validation[i] for i in shortest_and_longest])
ids, mask = pair["input_ids"].to(device), pair["attention_mask"].to(device)  # (2, T)
length = int(mask[0].sum())
with torch.no_grad():
    gap = (model(ids, mask)[0] - model(ids[:1, :length], mask[:1, :length])[0]).abs().max().item()
print(f"{length} words, alone or padded to {len(ids[0])}: same logits: {gap < 1e-5}")

# %% [markdown]
# Do this test with every model you write. Section 12 shows what it would have caught.

# %% [markdown]
# ## 7 Step 3 · Define the loss
#
# We use cross-entropy, as in notebook 01, now with two logits $z$. The **softmax** turns them into probabilities that add up to one,
# $p_c = e^{z_c} / \sum_k e^{z_k}$; for two classes that is the sigmoid of their difference. An untrained model guesses, so its loss should be near
# $\log 2 = 0.693$ and its accuracy near 0.5:

# %% tags=["approx-0.05"]
untrained = prediction.evaluate(model, encoded.validation)
print(f"untrained: loss {untrained.loss:.2f}, accuracy {untrained.accuracy:.1f}")

# %% [markdown]
# If a new model starts far from these, look for a bug before you train.
#
# **Classic bug: softmax before the loss.** `cross_entropy` takes *logits* and applies the softmax itself. If you apply
# it first, you get no error message. Here is the loss of a model that is right and completely confident:

# %%
sure, answer = torch.tensor([[-20.0, 20.0]]), torch.tensor([1])
print(f"loss from logits {cross_entropy(sure, answer):.3f}, from probabilities {cross_entropy(sure.softmax(1), answer):.3f}")

# %% [markdown]
# The loss can no longer fall below $\log(1 + e^{-1}) = 0.313$, and its gradient is too small everywhere. If a training loss
# stops at 0.313 for two classes, look for this bug.

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
def loss_of(logits, labels):
    return cross_entropy(logits, labels)


# %% tags=["check"]
checks.check("03.2", loss_of, mine=False)  # the same check, on the solution

# %% [markdown]
# ## 8 Step 4 · Define the optimiser
#
# **AdamW** is the Adam of notebook 01 with decoupled weight decay: each step shrinks the weight matrices a little, independently of
# the gradient. Biases are left alone. The **learning-rate schedule** **warms up** from zero, while Adam's running means are still inaccurate, and then
# decays linearly to zero, so that the last steps are small.


# %%
def adamw_with_warmup(model, num_steps, learning_rate=3e-3):
    """Return AdamW over all parameters, and its schedule: up over a tenth of the steps, then down to zero."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    biases = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.01}, {"params": biases, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, fused=True)
    return optimizer, get_linear_schedule_with_warmup(optimizer, int(0.1 * num_steps), num_steps)


# %% [markdown]
# In a run of 100 steps the learning rate is highest at step 10, and half of that at steps 5 and 55. `fused=True` updates all parameters in one go, which is faster.
#
# ## 9 Step 5 · Train
#
# Here is the **training loop**. Each step takes a batch, computes logits and loss (the forward pass), computes the gradient (the backward pass), clips it
# (otherwise a recurrent network can take one giant step and lose what it has learned), updates the parameters and the learning rate, and resets the
# gradient. `accelerator.backward(loss)` is `loss.backward()` that works in mixed precision too.


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
# Before a long run, do a short test that can save hours: **can the model overfit a single batch of 32 reviews?** We give the loop the same batch 60 times.

# %% tags=["nbval-ignore-output"]
memory = copy.deepcopy(model)
losses = train_epoch(memory, [batch] * 60, *adamw_with_warmup(memory, num_steps=60, learning_rate=1e-2))
print(f"loss of one batch: {losses[0]:.3f} in the first step, {losses[-1]:.3f} in the last")

# %% [markdown]
# The loss must come close to zero, since 32 reviews are easy to memorise. If it does not, something is
# broken (the loss, a mask, a frozen layer), and no amount of data will fix it. Take a batch with both classes: if all 32 reviews had
# the same label, the bias of the last layer could learn it alone, and a broken LSTM would pass the test.
#
# Now the real thing, for one <abbr title="轮次">epoch</abbr> over a part of the reviews. `DataLoader` forms the batches: its `batch_sampler` puts reviews of similar length
# together, and `collate` pads them. `accelerator.prepare` moves the model to the device, a GPU if there is one, and makes the loader put each batch there.

# %% tags=["nbval-ignore-output"]
some = encoded.train.take(np.linspace(0, len(encoded.train) - 1, min(1_920, len(encoded.train))).astype(int))
torch.manual_seed(seed)
sampler = batching.LengthBucketSampler(some.lengths, batch_size=64, seed=seed)
loader = DataLoader(some, batch_sampler=sampler, collate_fn=batching.collate)
by_loop = copy.deepcopy(model)
optimizer, schedule = adamw_with_warmup(by_loop, num_steps=len(loader))
step_losses = train_epoch(*accelerator.prepare(by_loop, loader, optimizer, schedule))

# %% [markdown]
# The packaged `training.fit` is this loop with what you need around it: several epochs, a validation after each one, the
# best weights kept, a stop button. With the same model, reviews and <abbr title="随机种子">seed</abbr>, does it give the same losses, step by step?

# %%
config = training.TrainingConfig(num_epochs=profile.lstm_epochs, learning_rate=3e-3, batch_size=64, seed=seed)
short = training.TrainingConfig(1, 3e-3, 64, mixed_precision=accelerator.mixed_precision, seed=seed)  # one epoch
history = training.fit(copy.deepcopy(model), some, encoded.validation.take(range(64)), short, on_step=lambda history: None)
torch.testing.assert_close(history.step_losses, step_losses)
print(f"our loop and fit: the same loss in all {len(step_losses)} steps")

# %% [markdown]
# So `fit` does nothing to the model that you have not seen, and from here on we use it. Now we train on all training reviews.
#
# **The recipe**, with which notebook 06 compares BERT: `ppmi_vectors` of the training texts, `LSTMClassifier` with these vectors, and `fit` with a
# learning rate of 3e-3 and batches of 64. The run takes half a minute to a minute on two processor cores. **The panel is live:** watch the
# curves, or press stop: `fit` then keeps the weights of the best epoch so far, or the current ones if no epoch is complete.

# %% tags=["nbval-ignore-output"]
panel = explorers.TrainingPanel()
display(panel.view)
history = training.fit(model, encoded.train, encoded.validation, config, on_step=panel)

# %% [markdown]
# ## 10 Step 6 · Validate
#
# The model was not trained on the validation reviews. We use them to decide when to stop and which hyperparameters are better.

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
# Most of the learning happens within the first epoch. Watch the validation loss: while it falls, another epoch helps. If it rises while the training loss goes on
# falling, the model is overfitting. `fit` always keeps the weights of the epoch with the best validation accuracy.
#
# **Classic bug: `eval()` forgotten.** Dropout must be off when you use the model. `prediction.evaluate` takes care of that; in your own code
# it is easy to forget. Here we predict the same reviews twice:

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
def ask(model, inputs):
    was_training = model.training
    model.eval()
    with torch.no_grad():
        outputs = model(inputs)
    model.train(was_training)
    return outputs


# %% tags=["check"]
checks.check("03.3", ask, mine=False)  # the same check, on the solution

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
def accuracy_of(batches):
    hit = total = 0
    for predictions, truths in batches:
        hit += sum(p == y for p, y in zip(predictions, truths, strict=True))
        total += len(truths)
    return hit / total


# %% tags=["check"]
checks.check("03.4", accuracy_of, mine=False)  # the same check, on the solution

# %% [markdown]
# ## 11 Step 7 · Test
#
# We test once, at the end, when everything is decided. We compare with the linear model of notebook 02, which uses pairs of words, on the same
# reviews at their full length.

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
# The honest result: a small LSTM trained on fourteen thousand reviews does not beat counting words and pairs of words. It
# reads only the last 200 words, and it has to learn from few examples what order means. In a long review you hardly need the order: some word gives the verdict away.
# Reading in order pays off when the model already knows the language: see notebooks 05 and 06.
#
# Does longer training help? We added a second LSTM that reads each review from its end (`bidirectional=True`), and trained with 400 words instead of 200,
# `word_dropout=0.4` and eight epochs. All of this together gains about a point, and seeds differ by more than that.
# [The results](../docs/RESULTS.md) compare these runs with the linear model.

# %% [markdown]
# ## 12 Classic bug in depth: the state at the padding
#
# We pooled over all real words. Many programs take the **last state** instead, as `states[:, -1]`. In a padded batch that is
# the state after the *padding*, not after the last word. To measure the damage quickly we use the Rotten Tomatoes sentences, and compare
# with three poolings that respect the mask. Batches are random here, not bucketed, and the loop is our own.

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
# While the network steps through the padding it forgets (section 3), so every sentence ends in
# nearly the same state, and the classifier has nothing to go by. You get no error, only a loss near $\log 2$, and it is easy to conclude that "LSTMs do not work here". Published programs have this bug.
# The three correct poolings are close to each other; their order changes with the seed.
#
# Bucketing *hides* the bug, since batches of texts of similar length contain hardly any padding. The test of section 6 finds it: a
# text must get the same logits alone and in a batch.

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
def last_state(states, attention_mask):
    last_positions = attention_mask.sum(dim=1) - 1  # (B,)
    return states[torch.arange(len(states)), last_positions]


# %% tags=["check"]
checks.check("03.5", last_state, mine=False)  # the same check, on the solution

# %% [markdown]
# ## 13 Questions from the forums
#
# These are asked again and again. We answer each with the small network and the three random sequences of section 2.
#
# **"Do I have to carry the hidden state over from batch to batch?"** Not for reviews: they have nothing to do with each other, and `nn.LSTM` starts from zeros if you pass no
# state. It is needed when one long text comes in pieces. Then detach the state, or the second `backward()` will try to go through the
# first piece again and raise "Trying to backward through the graph a second time".

# %%
states, _ = tiny_lstm(x := torch.randn(3, 7, 5))
_, (h, c) = tiny_lstm(x[:, :4])  # the first piece, four words
rest, _ = tiny_lstm(x[:, 4:], (h.detach(), c.detach()))
print("in two pieces, the same states:", torch.allclose(rest, states[:, 4:], atol=1e-6))

# %% [markdown]
# **"`lengths` must be on the CPU, and sorted?"** **<abbr title="打包">Packing</abbr>** (`pack_padded_sequence`) hides the padding from the network. It wants the lengths as a tensor on the CPU, even if
# the batch is on a GPU: `lengths.cpu()`. And it expects the longest text first, unless you pass `enforce_sorted=False`; then it sorts the texts and
# gives them back in your order. You only need `True` if you export to ONNX.

# %%
lengths = torch.tensor([3, 7, 5])
packed = nn.utils.rnn.pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
unpacked, _ = nn.utils.rnn.pad_packed_sequence(tiny_lstm(packed)[0], batch_first=True)
real = torch.arange(7) < lengths[:, None]  # (B, T)
print("packed = padded at every real word:", torch.allclose(unpacked[real], states[real], atol=1e-6))

# %% [markdown]
# For one direction packing and masking agree. We mask: the code is simpler, and it is faster on a CPU, where a padded batch runs in one fused
# kernel and a packed one in many small ones.
#
# **"What about a text of no words?"** Packing refuses it. Max pooling over no words gives $-\infty$, mean pooling divides by zero, and after one such
# text in a batch every weight is NaN. So give it one unknown word, as `encode_words` does:

# %%
try:
    nn.utils.rnn.pack_padded_sequence(x, torch.tensor([7, 7, 0]), batch_first=True)
except RuntimeError as error:
    print(str(error).split(", but")[0])
print("so an empty text becomes one unknown word, with id", text.encode_words([""], vocabulary, max_length=9).input_ids[0])

# %% [markdown]
# **"My network is <abbr title="双向">bidirectional</abbr>. Is `out[:, -1]` its last state?"** Only its forward half is. The backward half reads from the end, so at the last position it has
# read *one* word. It has read everything at position 0.

# %%
both = nn.LSTM(5, 4, batch_first=True, bidirectional=True)
out, (h, _) = both(x)  # (B, T, 2H) and (2, B, H): h[0] forward, h[1] backward, each after all words
print("forward half:", torch.allclose(out[:, -1, :4], h[0]), "backward half:", torch.allclose(out[:, -1, 4:], h[1]))
print("backward half of out[:, 0]:", torch.allclose(out[:, 0, 4:], h[1]))

# %% [markdown]
# So use `torch.cat([h[0], h[1]], dim=1)`, and pack if there is padding: the backward half would start with it.

# %% [markdown]
# ## 14 Reading along
#
# What did our network learn? Section 3 left the question whether its forget gates learned to stay open. The trained weights have the layout of section 2, so our own cell
# can use them and show its gates, for long reviews of the validation set.

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
# So the textbook story is not what happened here: the gates stay about half open, and the cell forgets within a few words. Training did make the
# memory longer, but in another way: through $h$ and $U$, as in a plain network. How much of it does the model need? We make it forget
# on purpose: after every $k$ words the LSTM starts again from an empty state. Pooling still takes the maximum over the whole review.

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
# Little is lost, although the network was never trained to forget. Max pooling is the reason. Each unit reports its strongest reaction, wherever in the review that was, so the *pooling* carries the evidence to the
# end. The LSTM itself has to remember a phrase ("not a very good film"), and for that half-open gates will do. A network that is read at its
# last word has to carry everything there itself; for such a network it pays to start with open gates, by a forget bias of 1 or more.
#
# Now watch it read one short review. If the review ended after word $t$, the pooled vector would be the maximum of the states so far. So a running maximum
# gives exactly the model's **prediction so far**.

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
# Because of the maximum a unit matters only when it exceeds its own highest value so far. That is why repeating an opinion hardly moves the line.
# (The jump of the first word is counted from 0, so you do not see it in the picture.)
# Do not read too much into a single picture: a word that moves this review may do nothing in the next.

# %% [markdown]
# ## 15 Reading the errors
#
# A score says how often a model is wrong, not how. The **<abbr title="混淆矩阵">confusion matrix</abbr>** counts, for each true class (a row: negative, positive), what the model predicted (a column). We look at the errors on the validation set and leave the test set alone.

# %% tags=["nbval-ignore-output"]
truth, names = splits.validation.labels, splits.validation.class_names
print(confusion_matrix(truth, validation.predictions))
wrong = validation.predictions != truth
print(f"{wrong.sum()} of {len(wrong):,} reviews are wrong, {wrong[truth == 1].sum()} of them positive ones")

# %% [markdown]
# Next, the three mistakes of which the model was most certain, each with its last words:

# %% tags=["nbval-ignore-output"]
probabilities = prediction.predict_proba(model, encoded.validation)[:, 1]  # (n,), of positive
for i in np.argsort(-np.abs(probabilities - 0.5) * wrong)[:3]:
    ending = " ".join(text.basic_english(splits.validation.texts[i])[-60:])
    display(Markdown(f"True class **{names[truth[i]]}**, p(positive) = {probabilities[i]:.3f}: `... {ending}`"))

# %% [markdown]
# Read each of them and ask what misled the model. Usually you find one of three things: the verdict is not in the words it read; the review
# praises one thing and criticises another, and you have to weigh them; or the words are those of the other class (irony, a quotation, a wrong label). More
# words could help with the first. The second needs a model that relates sentences to each other.

# %% [markdown]
# ## 16 Save, load, predict
#
# A model is useless without its vocabulary, because nobody knows which word an id means. We save both and load them into a new model.

# %%
path = Path("outputs") / "03_lstm.pt"
path.parent.mkdir(exist_ok=True)
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
# Try sentences of your own. The cell after it asks about the pair of section 1.

# %% tags=["nbval-ignore-output"]
explorers.prediction_box(predict, splits.train.class_names, example="A slow start, but what a wonderful ending.")

# %% tags=["nbval-ignore-output"]
good, bad = (predict(sentence)[1] for sentence in (praise, blame))  # p(positive)
verdict = "distinguishes" if good > 0.5 > bad else "does not distinguish"
display(Markdown(f"p(positive) is {good:.2f} for *{praise}* and {bad:.2f} for *{blame}*: the network **{verdict}** them."))
rare = sum("not dull" in review.lower() for review in splits.train.texts)
display(Markdown(f"*Not dull* is in {rare} of its {len(splits.train):,} training reviews."))

# %% [markdown]
# An LSTM *can* read order, but it learns only what its reviews show often enough, and they hardly ever say "not dull". Notebook 06
# gives BERT the same pair.
#
# The model gives an answer to any text, even in a language it has never seen, and to one of unknown words only. A high probability does not
# prove understanding.
#
# ## 17 Your run among others
#
# The course stores the results of this notebook for several seeds. Does your LSTM fit in?

# %% tags=["nbval-ignore-output"]
print(claims.compare_run("03 LSTM on IMDB, block split", scores["LSTM"].estimate, seconds=history.seconds).sentence)

# %% [markdown]
# The stored runs differ only in the seed. So a difference inside their range can be explained by the seed alone.

# %% [markdown]
# ## Quiz
#
# Three questions to check what you remember.

# %% tags=["check"]
checks.quiz("03")

# %% [markdown]
# ## Summary
#
# * An LSTM cell is six equations. Its forget gates *can* keep a memory for many words; in our network they stayed half open, because max pooling
#   collects the evidence and the LSTM only has to remember phrases.
# * Every run has seven steps, and the loop of step 5 has seven lines that matter.
# * Pool over real words. If you read the state at the padding, the network learns next to nothing, without an error message.
# * Do cheap tests first: an untrained loss of $\log 2$, overfitting one batch, the same answer alone and in a batch.
# * On long reviews the LSTM learns a lot and is a few points below the linear model.
#
# **To think about.** Why does bucketing hide the padding bug during validation, and when would it show? What would
# you change first to close the gap to the linear model, and on which part of the data would you check it?
#
# **Next:** [04 Attention and the Transformer](04_attention_and_the_transformer.ipynb), where words look at each other directly. Optional:
# [03b The published listing](03b_the_published_listing.ipynb) repairs a program that lacks most of what you now know.
