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
# **What you will be able to do:** build an LSTM cell from its equations, train a classifier that reads in order through
# the seven steps of every training run, write the training loop yourself, look inside the gates, and find the bug that
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
import json
import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from accelerate import Accelerator
from IPython.display import display
from safetensors.torch import load_model, save_model
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from transformers import get_linear_schedule_with_warmup

from course_utils import batching, claims, data, evaluation, explorers, models, plots, prediction, profiles, text, training
from course_utils.exercises import checks

plots.use_style()
profile, seed = profiles.get_profile(), profiles.get_seed()
device = Accelerator().device  # a GPU if there is one

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


def read(sentence: str) -> torch.Tensor:
    h = torch.zeros(2)
    for word in sentence.split():
        h = torch.tanh(W @ torch.tensor(vectors_by_hand[word]) + U @ h)
    return h


for sentence in (praise, blame):
    print(f"{sentence:20} state", [round(value, 2) for value in read(sentence).tolist()])

# %% [markdown]
# The same words in another order end in a different state: the sign of its second entry differs. The network sees order.

# %% [markdown]
# ## 2 The LSTM cell by hand
#
# The plain recurrent network above overwrites its state at every word. The **<abbr title="长短期记忆网络">LSTM</abbr>** (long short-term memory) keeps a second one, the
# **cell** $c \in \mathbb{R}^H$, and decides with three **<abbr title="门">gates</abbr>** what to write, what to keep and what to show. A gate
# is a number between 0 (shut) and 1 (open) for each of the $H$ units:
#
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
torch.manual_seed(0)
B, T, D, H = 3, 7, 5, 4
lstm, x = nn.LSTM(D, H, batch_first=True), torch.randn(B, T, D)
W, U, b = lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0 + lstm.bias_hh_l0  # torch keeps two biases and adds them

*_, c_hand, h_hand = lstm_by_hand(x, W, U, b)
states, (h_last, c_last) = lstm(x)
torch.testing.assert_close(h_hand, states)
torch.testing.assert_close(c_hand[:, -1], c_last[0])
print("x", tuple(x.shape), "-> states", tuple(states.shape), ": by hand = nn.LSTM")

# %%
gradients_hand = torch.autograd.grad((h_hand**2).sum(), (lstm.weight_ih_l0, lstm.weight_hh_l0))
gradients_torch = torch.autograd.grad((states**2).sum(), (lstm.weight_ih_l0, lstm.weight_hh_l0))
for ours, theirs in zip(gradients_hand, gradients_torch, strict=True):
    torch.testing.assert_close(ours, theirs)
print("the gradients agree too")

# %% [markdown]
# ## 3 What the gates are for
#
# To learn that word 3 mattered at word 40, the gradient has to go back through 37 steps. In the plain network it is multiplied at each
# step by $U$ and by the slope of tanh, and it **vanishes**. Along the LSTM's cell it is multiplied only by $f$. We measure how much
# the last state depends on the word a given distance back, in three networks with random weights.

# %%
torch.manual_seed(0)
T, D, H = 50, 64, 64
networks = {name: kind(D, H, batch_first=True) for name, kind in (("plain", nn.RNN), ("LSTM, fresh", nn.LSTM))}
networks["LSTM, forget gate open"] = nn.LSTM(D, H, batch_first=True)
networks["LSTM, forget gate open"].bias_ih_l0.data[H : 2 * H] += 3  # f is now about 0.95
reach = {}
for name, network in networks.items():
    x = torch.randn(16, T, D, requires_grad=True)
    states, _ = network(x)
    (gradient,) = torch.autograd.grad((states[:, -1] * torch.randn(H)).sum(), x)  # (B, T, D)
    size = gradient.norm(dim=2).mean(dim=0).flip(0)  # (T,), the last word first
    reach[name] = (size / size[0]).numpy()

# %%
fig, ax = plt.subplots()
plots.curves(ax, reach, x=range(T))
ax.set(yscale="log", xlabel="distance back (words)", ylabel="size of the gradient\n(last word = 1)")
ax.set_title("The forget gate decides how far back learning reaches")
plots.show(fig, alt="Gradient size against distance on a log scale: the plain network falls fastest, a fresh LSTM falls too but "
           "more slowly, and an LSTM with its forget gate open stays nearly level over 50 words.")  # fmt: skip

# %%
for name in networks:
    print(
        f"{name:23} 20 words back the gradient is {'above a tenth' if reach[name][20] > 0.1 else 'below a thousandth'} of its size"
    )
assert reach["LSTM, forget gate open"][20] > 0.1 and reach["LSTM, fresh"][20] < 1e-3
assert reach["plain"][20] < reach["LSTM, fresh"][20] / 10

# %% [markdown]
# Read it with care: an untrained LSTM ($f \approx 0.5$) loses about half of the gradient at each word. It forgets more slowly than the plain
# network, but hardly anything is left after twenty words either. The important difference is that a gate controls the forgetting, and a gate
# can *learn* to stay open.

# %% [markdown]
# ## 4 The seven steps
#
# Every training run of this course, from here to BERT, takes the same seven steps: **1** load the model, **2** prepare the data, **3**
# define the loss, **4** define the optimiser, **5** train, **6** validate, **7** test. In this notebook step 2 comes first, because the
# model's first <abbr title="层">layer</abbr> needs one row for each word of the vocabulary.
#
# ## 5 Step 2 · Prepare the data
#
# We use the IMDB reviews with the block split of notebook 02. An LSTM takes one step for each word, so long reviews are
# expensive, and we truncate them to 200 words. Which 200? We let the fast linear model decide, on validation data.

# %%
splits = data.load_splits("imdb", train_size=profile.reviews_train, test_size=profile.test_size)
vocabulary = text.Vocabulary.from_tokens(map(text.basic_english, splits.train.texts), max_size=profile.vocabulary_size)
whole = data.Splits(*(text.encode_words(part, vocabulary, max_length=10_000) for part in splits))
max_tokens = profile.reviews_max_length
print({name: len(part) for name, part in whole._asdict().items()}, f"V = {len(vocabulary):,}")

# %% tags=["approx"]
pieces = {"first": slice(max_tokens), "last": slice(-max_tokens, None), "all": slice(None)}
for name, piece in pieces.items():
    bag = TfidfVectorizer(analyzer=lambda ids, piece=piece: ids[piece].tolist(), sublinear_tf=True, min_df=2)
    linear = LogisticRegression(C=4, max_iter=1000).fit(bag.fit_transform(whole.train.input_ids), whole.train.labels)
    accuracy = linear.score(bag.transform(whole.validation.input_ids), whole.validation.labels)
    print(f"{name:5} words: validation accuracy {accuracy:.3f}")

# %% [markdown]
# The end of a review is worth more than its beginning: people tell the story first and give the verdict last. So we keep
# the last words. `text.encode_words` with `keep="last"` does the same, as the next cell checks.

# %%
encoded = data.Splits(
    *(batching.TokenDataset(tuple(ids[-max_tokens:] for ids in part.input_ids), part.labels) for part in whole)
)
first_fifty = splits.validation.take(np.arange(50))
packaged = text.encode_words(first_fifty, vocabulary, max_length=max_tokens, keep="last")
for ours, theirs in zip(encoded.validation.input_ids, packaged.input_ids, strict=False):
    np.testing.assert_array_equal(ours, theirs)
batch = batching.collate([encoded.train[i] for i in range(32)])
batch = {name: tensor.to(device) for name, tensor in batch.items()}
for name, tensor in batch.items():
    print(f"{name:15} {tuple(tensor.shape)}")

# %% [markdown]
# The shapes are $(B, T)$ as in notebook 02, and $(B)$ for the labels. The classes are balanced: always answering one of
# them scores 0.5.

# %% [markdown]
# ## 6 Step 1 · Load the model
#
# The model has four layers. The **embedding** turns ids into $E \in \mathbb{R}^{B \times T \times D}$. The **LSTM** gives a state after each word,
# $(B, T, H)$. **Max <abbr title="池化">pooling</abbr>** keeps, for each unit, its largest value over the *real* words, $(B, H)$: a unit that
# is active once, anywhere, counts. A **linear** layer makes $C = 2$ logits. **<abbr title="随机失活">Dropout</abbr>** sets random entries to zero during training.


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
# `models.LSTMClassifier` is this class with a choice of poolings, directions and initial word vectors. We initialise it
# with word vectors made from the training reviews, as in notebook 02, which is a
# small piece of pretraining. All other weights are initialised at random. Then we check that both classes give the same logits.

# %%
vectors = text.ppmi_vectors(encoded.train, vocab_size=len(vocabulary), size=64)  # (V, D)
torch.manual_seed(seed)
model = models.LSTMClassifier(len(vocabulary), vectors=vectors, word_dropout=profile.lstm_word_dropout).to(device)
by_hand = ReviewLSTM(len(vocabulary)).to(device)
by_hand.load_state_dict(model.state_dict())
inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
with torch.no_grad():
    torch.testing.assert_close(by_hand.eval()(**inputs), model.eval()(**inputs))
for name, layer in model.named_children():
    print(f"{name:10} {sum(parameter.numel() for parameter in layer.parameters()):>9,} parameters")

# %% [markdown]
# Nearly all parameters are word vectors; the part that reads order is small.
#
# (`word_dropout` is 0 in this profile. In the full profile, with its four epochs of longer reviews, the network would overfit;
# there three words in ten, chosen anew in each step, are replaced by the unknown word during training, so that it cannot rely on any single word.)
#
# Does padding leak into the prediction? The LSTM reads left to right, and padding comes after the words, so no state of a real word depends on
# it; the mask excludes the states at the padding from the maximum. A review must get the same logits alone and in a batch:

# %%
shortest_and_longest = np.argsort(encoded.validation.lengths)[[0, -1]]
pair = batching.collate([encoded.validation[i] for i in shortest_and_longest])
pair = {name: tensor.to(device) for name, tensor in pair.items()}
length = int(pair["attention_mask"][0].sum())
alone = {name: pair[name][:1, :length] for name in inputs}
with torch.no_grad():
    together = model(pair["input_ids"], pair["attention_mask"])
    torch.testing.assert_close(model(**alone)[0], together[0])
print(f"{length} words, alone or padded to {pair['input_ids'].shape[1]}: same logits")

# %% [markdown]
# A network that also reads right to left would start with the padding. For this case PyTorch has **packing**
# (`pack_padded_sequence`), which hides the padding from the network. For one direction, packing and masking agree:

# %%
lengths = pair["attention_mask"].sum(dim=1).cpu()  # pack_padded_sequence wants them on the CPU
with torch.no_grad():
    E = model.embedding(pair["input_ids"])
    packed = nn.utils.rnn.pack_padded_sequence(E, lengths, batch_first=True, enforce_sorted=False)
    states_packed, _ = nn.utils.rnn.pad_packed_sequence(model.lstm(packed)[0], batch_first=True)
    real = pair["attention_mask"].bool()
    torch.testing.assert_close(states_packed[real], model.lstm(E)[0][real])
print("packed = padded, at every real word")

# %% [markdown]
# We read in one direction and mask. This is the simpler code, and it is also faster on a CPU, where a padded batch runs in one fused
# kernel and a packed one in many small ones.

# %% [markdown]
# ## 7 Step 3 · Define the loss
#
# We use cross-entropy, as in notebook 01, now with two <abbr title="未归一化得分">logits</abbr> $z$. The **softmax** turns them into probabilities that add up to one,
# $p_c = e^{z_c} / \sum_k e^{z_k}$; for two classes that is the sigmoid of their difference. The untrained model is the second baseline: it should be
# at chance level, with loss $\log 2$ and accuracy 0.5.

# %%
untrained = prediction.evaluate(model, encoded.validation)
print(
    f"untrained loss near log 2: {abs(untrained.loss - np.log(2)) < 0.05}; accuracy near 0.5: {abs(untrained.accuracy - 0.5) < 0.1}"
)

# %% [markdown]
# **Classic bug: softmax before the loss.** `cross_entropy` takes *logits* and applies the softmax itself. If you apply
# it first, you get no error message. Here is the loss of a model that is right and completely confident:

# %%
sure, answer = torch.tensor([[-20.0, 20.0]]), torch.tensor([1])
print(
    f"loss from logits {cross_entropy(sure, answer):.3f}, from probabilities {cross_entropy(sure.softmax(dim=1), answer):.3f}"
)

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
# the gradient. The **learning-rate schedule** **warms up** from zero, while Adam's running means are still inaccurate, and then
# decays linearly to zero, so that the last steps are small.

# %%
config = training.TrainingConfig(num_epochs=profile.lstm_epochs, learning_rate=3e-3, batch_size=64, seed=seed)
optimizer = training.make_optimizer(model, config)
schedule = get_linear_schedule_with_warmup(optimizer, num_warmup_steps=10, num_training_steps=100)
(factor, _) = schedule.lr_lambdas  # one for each group of parameters; they are the same
print("fraction of the learning rate at steps 0, 5, 10, 55, 99:", [round(factor(step), 2) for step in (0, 5, 10, 55, 99)])

# %% [markdown]
# Before a long run, do a short test that can save hours: **can the model overfit a single batch of 32 reviews?** If not, something is
# broken (the loss, a mask, a frozen layer), and no amount of data will fix it.

# %%
memory, memory_losses = copy.deepcopy(model).train(), []
memory_optimizer = training.make_optimizer(memory, training.TrainingConfig(learning_rate=1e-2))
for _ in range(30):
    memory_optimizer.zero_grad()
    loss = cross_entropy(memory(**inputs), batch["labels"])
    loss.backward()
    memory_optimizer.step()
    memory_losses.append(loss.item())
assert np.mean(memory_losses[-5:]) < 0.1
print("after 30 steps the loss of one batch is below 0.1")

# %% [markdown]
# ## 9 Step 5 · Train
#
# Here is the whole **training loop**, written out once; later notebooks import it. Each step takes a
# batch, computes logits and loss (the forward pass), computes the gradient (the backward pass), clips it (otherwise a recurrent network can
# take one giant step and lose what it has learned), updates the parameters and the learning rate, and resets the gradient. `DataLoader` forms the batches: its `batch_sampler` puts reviews of similar length
# together, and `collate` pads them. The lines are PyTorch's own, so they work in any project. We run one <abbr title="轮次">epoch</abbr>
# over a part of the training reviews; this takes a few seconds.

# %% tags=["nbval-ignore-output"]
some = encoded.train.take(np.linspace(0, len(encoded.train) - 1, min(1_920, len(encoded.train))).astype(int))
short = training.TrainingConfig(num_epochs=1, learning_rate=3e-3, batch_size=64, mixed_precision="no", seed=seed)
by_loop = copy.deepcopy(model)

torch.manual_seed(seed)
sampler = batching.LengthBucketSampler(some.lengths, batch_size=64, seed=seed)
loader = DataLoader(some, batch_sampler=sampler, collate_fn=batching.collate)
optimizer = training.make_optimizer(by_loop, short)
schedule = get_linear_schedule_with_warmup(optimizer, int(0.1 * len(loader)), len(loader))
step_losses = []
by_loop.train()
for batch in loader:
    batch = {name: tensor.to(device) for name, tensor in batch.items()}
    logits = by_loop(batch["input_ids"], batch["attention_mask"])  # (B, C)
    loss = cross_entropy(logits, batch["labels"])
    loss.backward()
    nn.utils.clip_grad_norm_(by_loop.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    optimizer.zero_grad()
    step_losses.append(loss.item())

# %% [markdown]
# The packaged `training.fit` is this loop with what you need around it: several epochs, a validation after each one, the
# best weights kept, a stop button. With the same model, reviews and <abbr title="随机种子">seed</abbr>, does it give the same losses, step by step?

# %%
by_fit = copy.deepcopy(model)
history = training.fit(by_fit, some, encoded.validation.take(np.arange(64)), short, on_step=lambda history: None)
torch.testing.assert_close(history.step_losses, step_losses)
print(f"our loop and fit: the same loss in all {len(step_losses)} steps")

# %% [markdown]
# From here on we use `fit`. Now we train on all training reviews, which takes less than a minute on two processor cores. **The panel is live:** watch the
# curves, or press stop: `fit` then keeps the weights of the best epoch so far, or the current ones if no epoch is complete.

# %% tags=["nbval-ignore-output"]
panel = explorers.TrainingPanel()
display(panel.view)
history = training.fit(model, encoded.train, encoded.validation, config, on_step=panel)

# %% [markdown]
# ## 10 Step 6 · Validate
#
# The model was not trained on the validation reviews. We use them to decide when to stop and which hyperparameters are better.

# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 3.2))
plots.training_curves(axes, history)
axes[0].set_title("The loss falls below log 2")
axes[1].set_title("Validation picks the epoch")
plots.show(fig, alt="Left: training loss over steps falls from about 0.69, with the validation loss after each epoch marked. Right: validation "
           "accuracy after each epoch, far above one half.")  # fmt: skip

# %%
validation = prediction.evaluate(model, encoded.validation)
best = max(record.validation_accuracy for record in history.records)
assert profile.name == "smoke" or (validation.accuracy > 0.8 and untrained.accuracy < 0.6)
print("the model has the weights of its best epoch:", np.isclose(validation.accuracy, best))

# %% [markdown]
# Most of the learning happens within the first epoch. In the second, the training loss and the validation loss both fall a little
# more, and so the second epoch is the better one. If the validation loss rose while the training loss went on
# falling, the model would be overfitting. `fit` always keeps the weights of the epoch with the best validation accuracy.
#
# **Classic bug: `eval()` forgotten.** Dropout must be off when you use the model. `prediction.evaluate` takes care of that; in your own code
# it is easy to forget. Here we predict the same reviews twice:

# %%
sample = batching.collate([encoded.validation[i] for i in range(200)])
sample = {name: tensor.to(device) for name, tensor in sample.items() if name != "labels"}
answers = {}
for mode in ("train", "eval"):
    getattr(model, mode)()
    with torch.no_grad():
        answers[mode] = [model(**sample) for _ in range(2)]
model.eval()
for mode, (first, second) in answers.items():
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
vectoriser = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
linear = LogisticRegression(C=4, max_iter=1000).fit(vectoriser.fit_transform(splits.train.texts), splits.train.labels)
test = prediction.evaluate(model, encoded.test)
labels, blocks = splits.test.labels, splits.test.blocks
correct = {
    "majority": labels == np.bincount(labels).argmax(),
    "LSTM": test.predictions == labels,
    "TF-IDF + LR": linear.predict(vectoriser.transform(splits.test.texts)) == labels,
}
scores = {name: evaluation.block_interval(hits, blocks) for name, hits in correct.items()}

# %%
fig, ax = plt.subplots(figsize=(7, 2.4))
plots.bars_with_intervals(ax, scores)
ax.margins(y=0.2)
ax.set(xlim=(0.45, 1), title="The LSTM learns a lot, but the linear model is hard to beat")
plots.show(fig, alt="Test accuracy with intervals: majority 0.5; the LSTM far above it; TF-IDF with logistic regression a few points "
           "above the LSTM.")  # fmt: skip

# %%
claims.check_claim("03 LSTM on IMDB, block split", scores["LSTM"].estimate)

# %% [markdown]
# Both models predicted the same reviews, so we can compute an interval for their (paired) difference:

# %% tags=["nbval-ignore-output"]
gap = evaluation.difference_interval(correct["TF-IDF + LR"], correct["LSTM"], blocks)
print(f"LSTM {scores['LSTM']}")
print(f"TF-IDF + LR minus LSTM, on the same reviews: {gap}")

# %% [markdown]
# The honest result: a small LSTM trained on fourteen thousand reviews does not beat counting words and pairs of words. It
# reads only the last 200 words, and it has to learn from few examples what order means, while in a long review some word gives the verdict away.
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
# with three poolings that respect the mask. Batches are random, not bucketed.

# %%
sentences = data.load_splits("rotten_tomatoes", train_size=profile.sentences_train)
sentence_vocabulary = text.Vocabulary.from_tokens(map(text.basic_english, sentences.train.texts))
short_texts = data.Splits(*(text.encode_words(part, sentence_vocabulary, max_length=60) for part in sentences))


class ReadsThePadding(models.LSTMClassifier):
    def forward(self, input_ids, attention_mask):
        states = self.states(input_ids, attention_mask)
        return self.classifier(self.dropout(states[:, -1]))  # the bug


# %%
def accuracy_after_training(model):
    optimizer = training.make_optimizer(model, training.TrainingConfig(learning_rate=3e-3))
    train, validation = (
        DataLoader(part, batch_size=32, shuffle=True, collate_fn=batching.collate) for part in short_texts[:2]
    )
    for _ in range(2):
        for batch in train:
            batch = {name: tensor.to(device) for name, tensor in batch.items()}
            loss = cross_entropy(model(batch["input_ids"], batch["attention_mask"]), batch["labels"])
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
    model.eval()
    hits = 0
    for batch in validation:
        batch = {name: tensor.to(device) for name, tensor in batch.items()}
        with torch.no_grad():
            hits += (model(batch["input_ids"], batch["attention_mask"]).argmax(dim=1) == batch["labels"]).sum().item()
    return hits / len(validation.dataset)


# %%
pooling_accuracy = {}
for pooling in ("last at the padding", "last real word", "mean", "max"):
    kind = ReadsThePadding if "padding" in pooling else models.LSTMClassifier
    torch.manual_seed(seed)
    network = kind(len(sentence_vocabulary), pooling=pooling.split()[0]).to(device)
    network.embedding.weight.data.mul_(0.2)  # training overcomes smaller random vectors sooner
    pooling_accuracy[pooling] = accuracy_after_training(network)

# %% [markdown]
# We train four networks for two epochs each. The dotted line is chance level.

# %%
fig, ax = plt.subplots(figsize=(7, 2.6))
ax.plot(list(pooling_accuracy.values()), list(pooling_accuracy), "o", markersize=9, color=plots.COLOURS[0])
ax.axvline(0.5, color="black", linestyle=":", linewidth=1)
ax.annotate("chance", (0.5, 1.5), (4, 0), textcoords="offset points", va="center")
ax.margins(y=0.15)
ax.invert_yaxis()
ax.set(
    xlim=(0.4, 0.9),
    xlabel="validation accuracy, Rotten Tomatoes sentences",
    title="Read at the padding, an LSTM stays at chance",
)
plots.show(fig, alt="Validation accuracy of four ways to sum up a sentence: the last state at the padding is at one half, the last real "
           "state, the mean and the maximum are far to the right.")  # fmt: skip

# %%
claims.check_claim(
    "03 accuracy lost by reading the state at the padding",
    pooling_accuracy["last real word"] - pooling_accuracy["last at the padding"],
)

# %% [markdown]
# The buggy network does not learn at all: while it steps through the padding it forgets (section 3), so that every sentence ends in
# nearly the same state. You get no error, only a loss near $\log 2$, and it is easy to conclude that "LSTMs do not work here". Published programs have this bug.
# The three correct poolings are close to each other; their order changes with the seed.
#
# Bucketing *hides* the bug, since batches of texts of similar length contain hardly any padding. The test is again one line: a
# text must get the same answer alone and in a batch.

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
    last_places = attention_mask.sum(dim=1) - 1  # (B,)
    return states[torch.arange(len(states)), last_places]


# %% tags=["check"]
checks.check("03.5", last_state, mine=False)  # the same check, on the solution

# %% [markdown]
# ## 13 Reading along
#
# What happens inside while the trained model reads? The weights have the same layout as in section 2, so our own cell can use them
# and show its gates. First we check that it computes the same states, on a short validation review.

# %%
order = np.argsort(encoded.validation.lengths, kind="stable")
chosen = next(index for index in order if encoded.validation.lengths[index] >= 25)
ids = torch.from_numpy(encoded.validation.input_ids[chosen])[None]  # (1, T)
words = vocabulary.decode(ids[0].tolist())
model = model.cpu()  # the cells below look inside and draw
lstm = model.lstm
with torch.no_grad():
    gates = lstm_by_hand(model.embedding(ids), lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0 + lstm.bias_hh_l0)
    i, f, g, o, c, h = (gate[0] for gate in gates)  # (T, H) each
    torch.testing.assert_close(h[None], model.states(ids, torch.ones_like(ids)))
print(f"true class: {splits.validation.class_names[splits.validation.labels[chosen]]}; {len(words)} words:")
print(" ".join(words))

# %% [markdown]
# If the review ended after word $t$, the pooled vector would be the maximum of the states so far. So a running maximum
# gives exactly the model's **prediction so far**. Below it you see the states of the eight units whose weight in the last layer is largest.

# %%
with torch.no_grad():
    logits = model.classifier(h.cummax(dim=0).values)  # (T, C)
    push = model.classifier.weight[1] - model.classifier.weight[0]  # (H,), above 0 speaks for positive
opinion = (logits[:, 1] - logits[:, 0]).numpy()
units = push.abs().topk(8).indices
units = units[push[units].argsort(descending=True)]
fig, (top, bottom) = plt.subplots(2, 1, figsize=(9, 5.6), height_ratios=(1, 1.4))
top.plot(range(len(words)), opinion, marker="o", markersize=4, color=plots.COLOURS[0])
top.axhline(0, color="black", linewidth=0.8)
top.set(
    ylabel="logit, positive\nminus negative",
    xlim=(-0.5, len(words) - 0.5),
    xticks=[],
    title="The prediction changes at a few words only",
)
sides = [f"unit {unit} ({'for' if push[unit] > 0 else 'against'})" for unit in units.tolist()]
plots.heat_map(bottom, h[:, units].T.numpy(), rows=sides, columns=words, limits=(-0.6, 0.6), diverging=True)
plots.show(fig, alt="Top: the model's logit after each word of a short review, a line that is level over most words and jumps at a few. Bottom: heat map of "
           "eight units over the same words, from blue (below zero) to red (above zero).")  # fmt: skip

# %% [markdown]
# Find the words where the line jumps, and look below which units are active there. Because of the maximum a unit matters only when it exceeds
# its own highest value so far: then a unit "for" raises the line, and one "against" lowers it. In the run shown here
# the line drops at "bad", where a unit "against" becomes active. Here are the gates at the same words:

# %%
rows = np.stack([i.mean(dim=1).numpy(), f.mean(dim=1).numpy(), o.mean(dim=1).numpy()])
fig, ax = plt.subplots(figsize=(9, 2.4))
plots.heat_map(ax, rows, rows=["input gate", "forget gate", "output gate"], columns=words, limits=(0, 1))
ax.set_title("Gates differ from word to word (mean over units; 0 shut, 1 open)")
plots.show(fig, alt="Heat map of the mean input, forget and output gate at each word of the review, between 0 and 1; the shades vary "
           "from word to word.")  # fmt: skip

# %% [markdown]
# Do not read too much into such pictures. A mean hides 64 different gates, and a unit that looks like "boredom" here may
# do something else in the next review. They do show that the network writes a little more at some words than at
# others, which is what the gates are for.

# %% [markdown]
# ## 14 Reading the errors
#
# A score says how often a model is wrong, not how. The **<abbr title="混淆矩阵">confusion matrix</abbr>** counts, for each true class, what the model predicted. We look at the errors on the validation set and leave the test set alone.

# %%
probabilities = prediction.predict_proba(model, encoded.validation)[:, 1]  # (n,), of positive
truth = splits.validation.labels
wrong = validation.predictions != truth
counts = confusion_matrix(truth, validation.predictions)
full_lengths = whole.validation.lengths
names = ["to 120", "121 to 160", "161 to 200", "201 to 300", "over 300"]
groups = np.digitize(full_lengths, [120, 160, 200, 300], right=True)  # 0 to 4
by_length = {}
for group, name in enumerate(names):
    inside = groups == group
    by_length[name] = evaluation.block_interval(~wrong[inside], splits.validation.blocks[inside])

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(9.4, 3.2))
plots.confusion_matrix(left, counts, splits.validation.class_names)
left.set_title("Both classes are confused")
plots.bars_with_intervals(right, by_length, unit="validation accuracy")
right.set(ylabel="words in the whole review", title="Accuracy by length, with intervals")
right.margins(y=0.1)
plots.show(fig, alt="Left: confusion matrix of true against predicted class; most reviews lie on the diagonal, and each class has some errors. Right: "
           "validation accuracy with intervals for five groups of review length.")  # fmt: skip

# %% [markdown]
# The model reads reviews of up to 200 words whole; longer ones are truncated. Look at the intervals before you believe that
# the truncated ones are harder: each group contains only a few hundred reviews. Next we look at the most confident mistakes of the model, with
# the last words of each review.

# %% tags=["nbval-ignore-output"]
surest = np.argsort(-np.abs(probabilities - 0.5) * wrong)[:4]
for index in surest:
    print(
        f"true {splits.validation.class_names[truth[index]]}, p(positive) = {probabilities[index]:.3f}, {full_lengths[index]} words:"
    )
    print("   ...", " ".join(text.basic_english(splits.validation.texts[index])[-60:]), "\n")

# %% [markdown]
# Read each of them and ask what misled the model. In the run shown here, two reviews complain and then end in praise (the second and the
# fourth), the first spends its last words on something other than its verdict, and the third criticises the film but ends with what its
# writer enjoys. Reading more words could help with the first; the others need a model that weighs one sentence against another.

# %% [markdown]
# ## 15 Save, load, predict
#
# A model is useless without its vocabulary: without it nobody knows which word an id stands for. We save both, load them into a new
# model, and check that it gives the same predictions.

# %%
folder = Path("outputs") / "03_lstm"
shutil.rmtree(folder, ignore_errors=True)  # so that the notebook can run twice
folder.mkdir(parents=True)
save_model(model, str(folder / "model.safetensors"))
(folder / "vocabulary.json").write_text(json.dumps(vocabulary.tokens), encoding="utf-8")

saved_words = text.Vocabulary(tuple(json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))))
loaded = models.LSTMClassifier(len(saved_words))
load_model(loaded, folder / "model.safetensors")
np.testing.assert_allclose(prediction.predict_proba(loaded, encoded.validation)[:, 1], probabilities, atol=1e-6)
print("saved:", ", ".join(sorted(path.name for path in folder.iterdir())), "- loaded, it gives the same answers")


# %%
def predict(sentence: str) -> np.ndarray:
    """Return the probabilities (C,) of one text of your own."""
    ids = saved_words.encode(text.basic_english(sentence)[-max_tokens:])
    if not any(i > 1 for i in ids):
        raise ValueError("The model knows none of these words. Try an English sentence about a film.")
    return prediction.predict_proba(loaded, batching.TokenDataset((np.array(ids),)))[0]


# %% [markdown]
# Try sentences of your own. Does it see the difference between the two sentences of section 1?

# %% tags=["nbval-ignore-output"]
box = explorers.prediction_box(predict, splits.train.class_names, example="A slow start, but what a wonderful ending.")
box

# %% tags=["nbval-ignore-output"]
for sentence in ("A slow start, but what a wonderful ending.", praise, blame, "Der Film war gut", "😀", ""):
    try:
        answer = explorers.prediction_sentence(predict(sentence), splits.train.class_names)
    except ValueError as error:
        answer = str(error)
    print(f"{sentence[:44]:44} -> {answer}")

# %% [markdown]
# The model gives an answer to any text with at least one known token, even in a language it has never seen. A high probability does not
# prove understanding. And four words are very different from the long reviews it was trained on: do not be surprised if it fails on the pair of section 1.
# In the run shown here it calls both sentences negative.
#
# ## 16 Your run among others
#
# The course stores the results of this notebook for several seeds. Does your LSTM fit in?

# %% tags=["nbval-ignore-output"]
run = claims.compare_run("03 LSTM on IMDB, block split", scores["LSTM"].estimate, seconds=history.seconds)
fig, ax = plt.subplots(figsize=(7, 1.8))
plots.compared_run(ax, run)
ax.set(xlabel="test accuracy", title="The seed alone moves the accuracy")
plots.show(fig, alt="Test accuracy of this run, a diamond, above a circle for each stored seed, over the shaded band where the next seed "
           "should fall.")  # fmt: skip
print(run.sentence)

# %% [markdown]
# The circles differ only in the seed. A difference that stays inside the shaded band can be explained by the seed alone.

# %% [markdown]
# ## Quiz
#
# Three questions to check what you remember.

# %% tags=["check"]
checks.quiz("03")

# %% [markdown]
# ## Summary
#
# * An LSTM cell is six equations. Its forget gate decides how far back learning reaches.
# * Every run has seven steps, and the loop of step 5 has seven lines that matter.
# * Pool over real words. If you read the state at the padding, the network learns nothing, without an error message.
# * Do cheap tests first: an untrained loss of $\log 2$, overfitting one batch, the same answer alone and in a batch.
# * On long reviews the LSTM learns a lot and stays a few points below the linear model.
#
# **To think about.** Why does bucketing hide the padding bug during validation, and when would it show? What would
# you change first to close the gap to the linear model, and on which part of the data would you check it?
#
# **Next:** [03b The published listing](03b_the_published_listing.ipynb) fixes a program that lacks most of what you now know;
# [05 What pretraining buys](05_what_pretraining_buys.ipynb) starts from models that know the language.
