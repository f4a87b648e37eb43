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
# # 04 · Attention and the Transformer
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/fine-tuning-course/fine-tuning-course/blob/v0.2.0/notebooks/04_attention_and_the_transformer.ipynb) · [words and terms 术语表](../docs/GLOSSARY.md)
#
# **What you will be able to do:** compute attention by hand, build a Transformer encoder of some 60 lines and fill it with the
# weights of a real checkpoint, turn it into a decoder with one mask and train it to write reviews, measure what each head attends
# to, and find the mask that lets a model read the answer.
#
# **Before you start:** notebooks 01 to 03. **Time:** 75 minutes to read and play; the code takes about a minute.

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
import math
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from accelerate import Accelerator
from IPython.display import Markdown, display
from torch import nn
from torch.nn import functional as F
from tqdm.auto import tqdm
from transformers import GPT2Config, GPT2LMHeadModel, get_linear_schedule_with_warmup

from course_utils import batching, data, diagrams, explorers, plots, pretrained, profiles, text
from course_utils.device import autocast
from course_utils.exercises import checks

plots.use_style()
profile, seed, device = profiles.get_profile(), profiles.get_seed(), Accelerator().device  # small examples stay on the CPU

# %% [markdown]
# ## 1 Query, key, value: three words by hand
#
# In the LSTM of notebook 03, information travels from word to word: what the network read at word 3 has to survive 37 steps
# until word 40. With **<abbr title="注意力">attention</abbr>** it does not have to travel. Every word looks at every other word
# directly and takes as much from it as it needs. For this, every word $j$ has three vectors:
#
# * a **<abbr title="查询">query</abbr>** $q_j \in \mathbb{R}^d$: what is this word looking for?
# * a **<abbr title="键">key</abbr>** $k_j \in \mathbb{R}^d$: what does it offer to words that are looking?
# * a **<abbr title="值">value</abbr>** $v_j \in \mathbb{R}^d$: what does it pass on to them?
#
# We stack these vectors as the rows of three matrices $Q, K, V \in \mathbb{R}^{T \times d}$, with one row for each of the
# $T$ tokens. Then attention is
#
# $$A = \mathrm{softmax}\!\Big(\frac{Q K^\top}{\sqrt{d}}\Big) \in \mathbb{R}^{T \times T}, \qquad \text{output} = A V \in \mathbb{R}^{T \times d}.$$
#
# How well does the query of word $i$ match the key of word $j$? Their score is the dot product $q_i \cdot k_j$, which you
# know from notebook 01. The softmax turns each row of scores into weights that add up to 1. The output of word $i$ is the
# average of all values, with these weights.

# %%
diagrams.show(diagrams.attention)

# %% [markdown]
# (In the drawing $d = D$, and the third token is padding, which we explain in section 3.) Now with numbers that you can
# check by hand. We take the three words "not really good" and $d = 4$. A real model learns its numbers, but here we choose
# them. The key of each word is a unit vector, so the entries of a query are simply its scores. We choose the queries so that
# the scores, divided by $\sqrt{d} = 2$, are logarithms of whole numbers. The query of "good" looks for a word that could
# reverse its meaning, and the key of "not" matches it.

# %%
words = ["not", "really", "good"]
log2, log8 = math.log(2), math.log(8)
Q = 2 * torch.tensor([[0, 0, log8, 0], [0, 0, log2, 0], [log2, 0, 0, 0]])  # (T, d), d = 4
K = torch.eye(3, 4)  # (T, d)
V = torch.tensor([[4.0, 0, 0, 0], [0, 4, 0, 0], [0, 0, 4, 0]])  # (T, d)
scores = Q @ K.T / math.sqrt(4)  # (T, T)
A = scores.exp() / scores.exp().sum(dim=1, keepdim=True)  # softmax of each row
for word, row, out in zip(words, A, A @ V, strict=True):
    print(f"{word:6} attends with", [round(a, 2) for a in row.tolist()], "-> output", [round(o, 2) for o in out.tolist()])

# %% [markdown]
# Check the last row by hand. The scores of "good" are $\log 2, 0, 0$. Their exponentials are $2, 1, 1$, which add up to $4$,
# so the weights are $\tfrac12, \tfrac14, \tfrac14$. The output is
# $\tfrac12 v_\text{not} + \tfrac14 v_\text{really} + \tfrac14 v_\text{good} = (2, 1, 1, 0)$: half of what "good" now
# represents comes from "not". Attention is not symmetric: "not" attends to "good" with $0.8$, because
# $8 / (8 + 1 + 1) = 0.8$. Now as a function, compared with the one in torch:


# %%
def attention(Q, K, V, may_attend=None):
    """Return float (..., T, d): for each query the values, averaged with its weights. `may_attend` is bool, (..., T, T)."""
    scores = Q @ K.transpose(-2, -1) / math.sqrt(Q.shape[-1])  # (..., T, T)
    if may_attend is not None:
        scores = scores.masked_fill(~may_attend, -torch.inf)
    return scores.softmax(dim=-1) @ V


# %%
torch.testing.assert_close(attention(Q, K, V), F.scaled_dot_product_attention(Q, K, V))
print("by hand = torch:", F.scaled_dot_product_attention(Q, K, V)[2].tolist())

# %% [markdown]
# These few lines compute the same as torch's `scaled_dot_product_attention`, the function inside nearly every language
# model. We will use the argument `may_attend` for the masks of sections 3 and 8.

# %% [markdown]
# **Exercise 04.1 (predict): three weights.** A query has the scores $\log 3$, $0$, $0$, already divided by $\sqrt{d}$. What
# are its three attention weights? Write them down as a tuple of three numbers.

# %% tags=["exercise"]
my_weights = ...

# %% tags=["check"]
checks.check("04.1", my_weights)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
my_weights_solution = (0.6, 0.2, 0.2)

# %% tags=["check"]
checks.check("04.1", my_weights_solution, mine=False)  # the same check, on the solution above

# %% [markdown]
# ## 2 Why divide by the root of d?
#
# Suppose that the entries of $q$ and $k$ are independent, with mean 0 and variance 1. Then $q \cdot k$ is a sum of $d$
# products and has variance $d$. So its typical size is $\sqrt{d}$: the wider the vectors, the larger the scores. What does
# the softmax do with large scores? We draw queries and keys for ten words and look at the largest of the ten weights.

# %%
torch.manual_seed(0)
widths, largest = [4, 16, 64, 256, 1024], {"divided by the root of d": [], "not divided": []}
for d in widths:
    raw = torch.randn(500, 10, d) @ torch.randn(500, d, 10)  # 500 times the scores of ten queries and ten keys
    for name, scores in zip(largest, (raw / math.sqrt(d), raw), strict=True):
        largest[name].append(scores.softmax(dim=2).amax(dim=2).mean().item())
fig, ax = plt.subplots(figsize=(7, 3))
plots.curves(ax, largest, x=widths)
ax.set(xscale="log", ylim=(0, 1.05), xlabel="width d of queries and keys", ylabel="largest of ten weights")
ax.set_xticks(widths, widths)
ax.set_title("Without the root, one word takes nearly all of the weight")
plots.show(fig, alt="Largest of ten weights against width d: level near a third if divided, otherwise rising to 1.")

# %% [markdown]
# If we do not divide, the scores grow with $d$, and one word gets nearly all of the weight before the model has learned
# anything. The softmax is then almost flat: a small change of a score hardly changes a weight. So the gradient is close to
# zero, and training cannot correct the choice. If we divide by $\sqrt{d}$, the largest weight is about the same for every
# width.

# %% [markdown]
# ## 3 The padding mask
#
# A batch contains padding (notebook 02), and the padding has keys and values too. It must not get any attention. So where
# the attention mask is 0, we set the score to $-\infty$ *before* the softmax. Then the weight is exactly 0, and the other
# weights still add up to 1. We test it as in notebook 03: a text must get the same answer alone and in a batch.

# %%
torch.manual_seed(0)
x = torch.randn(1, 5, 8)  # (B, T, D): one text of five tokens, whose states are here query, key and value at once
padded = torch.cat([x, torch.randn(1, 3, 8)], dim=1)  # the same text with three positions of padding
attention_mask = torch.tensor([[1, 1, 1, 1, 1, 0, 0, 0]])  # (B, T)
may_attend = attention_mask[:, None, :].bool()  # (B, 1, T): the same keys for every query
for name, mask in (("without the mask", None), ("with the mask", may_attend)):
    change = (attention(padded, padded, padded, mask)[:, :5] - attention(x, x, x)).abs().max()
    print(f"{name:16}: padding changes the five real outputs by up to {change:.2f}")

# %% [markdown]
# Note the shape $(B, 1, T)$: the mask switches off *columns* of $A$, that is, keys. The rows of the padding are still
# computed, but nobody uses them.

# %% [markdown]
# **Exercise 04.2 (complete): weights that skip the padding.** Write `masked_weights(scores, attention_mask)`. You get scores,
# float $(B, T, T)$ with one row for each query, and an attention mask $(B, T)$ with 1 at real tokens. Return the weights
# $(B, T, T)$: each row adds up to 1, and padding gets 0. With equal scores and the mask 1, 1, 0 each row is 0.5, 0.5, 0.


# %% tags=["exercise"]
def masked_weights(scores, attention_mask):
    raise NotImplementedError


# %% tags=["check"]
checks.check("04.2", masked_weights)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def masked_weights_solution(scores, attention_mask):
    padding = attention_mask[:, None, :] == 0  # (B, 1, T)
    return scores.masked_fill(padding, -torch.inf).softmax(dim=-1)


# %% tags=["check"]
checks.check("04.2", masked_weights_solution, mine=False)  # the same check, on the solution above

# %% [markdown]
# ## 4 Several heads
#
# Where do $q$, $k$ and $v$ come from? They are computed from the word's state $x_j \in \mathbb{R}^D$ with three learned
# matrices: $q_j = W_Q x_j$, $k_j = W_K x_j$, $v_j = W_V x_j$. But a single weighted average for each word is not enough:
# "good" may have to look at "not" *and* at the noun that it describes. So a layer computes attention several times in
# parallel. Each **<abbr title="注意力头">attention head</abbr>** gets its own $d = D / \text{heads}$ of the $D$ numbers of every
# query, key and value. The outputs of the heads are concatenated, and a fourth matrix $W_O$ mixes them. (In this course $H$
# is the size of an LSTM's state, so we write `heads` for the number of heads.)

# %%
diagrams.show(diagrams.heads)


# %%
def split_heads(x, heads):
    """Return (B, heads, T, d) from states (B, T, D)."""
    B, T, D = x.shape
    return x.view(B, T, heads, D // heads).transpose(1, 2)


# %%
class SelfAttention(nn.Module):
    def __init__(self, D, heads):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(D, D) for _ in range(4))

    def forward(self, x, may_attend=None):
        """x (B, T, D), may_attend broadcastable to (B, heads, T, T) -> (B, T, D)."""
        Q, K, V = (split_heads(linear(x), self.heads) for linear in (self.query, self.key, self.value))
        each = attention(Q, K, V, may_attend)  # (B, heads, T, d)
        return self.output(each.transpose(1, 2).flatten(2))  # heads beside each other again: (B, T, D)


# %% [markdown]
# torch has this layer as `nn.MultiheadAttention`. We give it the same weights. It stores $W_Q, W_K, W_V$ in one matrix
# $(3D, D)$, and its mask means the opposite of ours: `True` is padding.

# %%
torch.manual_seed(0)
D, heads = 24, 3
ours, theirs = SelfAttention(D, heads), nn.MultiheadAttention(D, heads, batch_first=True)
with torch.no_grad():
    theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
    theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
theirs.out_proj.load_state_dict(ours.output.state_dict())
x, real = torch.randn(2, 7, D), torch.arange(7) < torch.tensor([[7], [4]])  # (B, T, D) and (B, T)
out = ours(x, real[:, None, None, :])
out_torch, A = theirs(x, x, x, key_padding_mask=~real, average_attn_weights=False)
same = torch.allclose(out, out_torch, atol=1e-5)
print("x", tuple(x.shape), "-> A", tuple(A.shape), "-> out", tuple(out.shape), "equal to nn.MultiheadAttention:", same)

# %% [markdown]
# Both layers give the same output. $A$ contains one $T \times T$ matrix for each text and each head. More heads cost nothing
# extra: three heads of width 8 need as many weights and as many multiplications as one head of width 24.

# %% [markdown]
# **Exercise 04.3 (debug): heads that mix up the words.** `to_heads(x, heads)` should return $(B, \text{heads}, T, d)$ from
# states $(B, T, D)$. The version below returns the right shape and raises no error. But row $t$ of a head must come from
# word $t$ alone: with $T = 3$ words, $D = 2$, two heads and the states (1, 2), (3, 4), (5, 6), head 0 is 1, 3, 5 and head 1
# is 2, 4, 6. Fix it.


# %% tags=["exercise"]
def to_heads(x, heads):
    B, T, D = x.shape
    return x.reshape(B, heads, T, D // heads)


# %% tags=["check"]
checks.check("04.3", to_heads)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def to_heads_solution(x, heads):
    B, T, D = x.shape
    return x.reshape(B, T, heads, D // heads).transpose(1, 2)


# %% tags=["check"]
checks.check("04.3", to_heads_solution, mine=False)  # the same check, on the solution above

# %% [markdown]
# ## 5 The block: residual, LayerNorm, feed-forward
#
# A **<abbr title="Transformer 模型">Transformer</abbr>** is a stack of blocks that all have the same form. In each block,
# attention moves information *between* words. Three other parts work on each word separately.
#
# The **<abbr title="前馈网络">feed-forward</abbr>** network is two linear layers with an activation function between them,
# $W_2\,\mathrm{GELU}(W_1 x)$ with $W_1 \in \mathbb{R}^{4D \times D}$ and $W_2 \in \mathbb{R}^{D \times 4D}$. The same
# weights are used at every position. Two thirds of the weights of a block are in this part.
#
# **<abbr title="层归一化">LayerNorm</abbr>** shifts and scales the $D$ numbers of each word to mean 0 and variance 1, and then
# applies a learned scale $\gamma$ and shift $\beta$, both in $\mathbb{R}^D$ ($\epsilon$ only prevents a division by zero):
#
# $$\mathrm{LayerNorm}(x) = \gamma \odot \frac{x - \bar x}{\sqrt{\mathrm{var}(x) + \epsilon}} + \beta$$

# %%
x = torch.tensor([[1.0, 1.0, 5.0, 5.0]])  # one word, D = 4: mean 3, variance 4
by_hand = (x - x.mean(dim=-1, keepdim=True)) / (x.var(dim=-1, correction=0, keepdim=True) + 1e-5).sqrt()  # gamma 1, beta 0
print("by hand:", by_hand.round(decimals=3).tolist(), " nn.LayerNorm:", nn.LayerNorm(4)(x).round(decimals=3).tolist())

# %% [markdown]
# The mean is 3 and the standard deviation is 2, so 1 becomes $-1$ and 5 becomes $1$.
#
# The **<abbr title="残差连接">residual connection</abbr>** adds the input of a part to its output, $x + f(x)$. So the part only
# has to learn how to *change* $x$. In BERT, all this comes together in the following order:
#
# $$x \leftarrow \mathrm{LayerNorm}(x + \mathrm{Attention}(x)), \qquad x \leftarrow \mathrm{LayerNorm}(x + \mathrm{FeedForward}(x))$$

# %%
diagrams.show(diagrams.transformer_block)

# %% [markdown]
# Why do we need LayerNorm and the residual connection? To find out, we stack 24 layers with random weights, with and without
# each of the two, and send texts of 32 words through. Above each layer we measure how large the states are, and how similar
# the words of a text are to each other.


# %%
def through_layers(residual: bool, norm: bool, num_layers: int = 24, D: int = 64) -> np.ndarray:
    """Return (2, num_layers): size of the states above each layer, and mean cosine of two words of a text."""
    torch.manual_seed(0)
    x, seen = torch.randn(8, 32, D), []  # (B, T, D)
    for _ in range(num_layers):
        feed_forward = nn.Sequential(nn.Linear(D, 4 * D), nn.GELU(), nn.Linear(4 * D, D))
        for part in (SelfAttention(D, 4), feed_forward):
            x = x + part(x) if residual else part(x)
            x = F.layer_norm(x, (D,)) if norm else x
        cosines = F.cosine_similarity(x[:, :, None], x[:, None], dim=3)  # (B, T, T)
        seen.append([x.pow(2).mean().sqrt().item(), (cosines.sum().item() - 8 * 32) / (8 * 32 * 31)])
    return np.array(seen).T


# %%
choices = {"neither": (False, False), "LayerNorm only": (False, True), "residual only": (True, False), "both": (True, True)}
with torch.no_grad():
    measured = {name: through_layers(*choice) for name, choice in choices.items()}
fig, axes = plt.subplots(1, 2, figsize=(9.6, 3.4))
for row, ax in enumerate(axes):
    plots.curves(ax, {name: values[row] for name, values in measured.items()})
axes[1].get_legend().remove()
axes[0].set(yscale="log", xlabel="layer", ylabel="size of the states", title="LayerNorm keeps the size")
axes[1].set(ylim=(-0.05, 1.05), xlabel="layer", ylabel="mean cosine of two words", title="The residual keeps words distinct")
plots.show(fig, alt="Over 24 layers: LayerNorm keeps the size level; without a residual all cosines are 1.")

# %% [markdown]
# Attention takes averages, and averages make things equal. So without the residual connection all 32 words have nearly the
# same state after one or two layers, and what they said is lost. With it, each word keeps its own state and adds to it. The
# words still become more similar, but slowly. The sums grow from layer to layer, and LayerNorm keeps them at the same size.
# There is a second reason for the residual connection, which you know from the LSTM's cell: through the sum $x + f(x)$ the
# gradient comes back undiminished, however many layers there are.


# %%
class Block(nn.Module):
    def __init__(self, D, heads, norm_first=False):
        super().__init__()
        self.attention, self.norm_first = SelfAttention(D, heads), norm_first
        self.feed_forward = nn.Sequential(nn.Linear(D, 4 * D), nn.GELU(), nn.Linear(4 * D, D))
        self.norm1, self.norm2 = nn.LayerNorm(D, eps=1e-12), nn.LayerNorm(D, eps=1e-12)

    def forward(self, x, may_attend=None):
        """(B, T, D) -> (B, T, D)."""
        if self.norm_first:  # as in GPT-2 and later models: what is added up is never normalised
            x = x + self.attention(self.norm1(x), may_attend)
            return x + self.feed_forward(self.norm2(x))
        x = self.norm1(x + self.attention(x, may_attend))  # as in BERT: normalise each sum
        return self.norm2(x + self.feed_forward(x))


# %% [markdown]
# Both orders are in use. With `norm_first`, nothing changes the sum itself on its way through the stack. This makes deep
# models easier to train, and nearly all newer models do it.

# %% [markdown]
# **Exercise 04.4 (predict): the weights of a block.** If we leave out the biases and LayerNorm, a block consists of the
# matrices $W_Q, W_K, W_V, W_O$, each $(D, D)$, and $W_1$, $(4D, D)$, and $W_2$, $(D, 4D)$. It has 12 heads, if you need to
# know. How many weights are these, as a multiple of $D^2$?

# %% tags=["exercise"]
my_multiple = ...

# %% tags=["check"]
checks.check("04.4", my_multiple)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
my_multiple_solution = 12

# %% tags=["check"]
checks.check("04.4", my_multiple_solution, mine=False)  # the same check, on the solution above

# %% [markdown]
# ## 6 Positions
#
# So far nothing tells the model which word comes first. If you shuffle the words, you get the same outputs, only shuffled.
# Attention alone is as blind to the order of the words as a bag of words. Remember the two sentences of notebook 03:

# %%
torch.manual_seed(0)
word_table = {word: torch.randn(16) for word in ("not", "dull", "just", "funny")}  # random vectors, D = 16
position_table = torch.randn(4, 16)  # (T, D)
block = Block(16, 4)
for name, P in (("without positions", torch.zeros(4, 16)), ("with positions", position_table)):
    x = [torch.stack([word_table[word] for word in s.split()]) + P for s in ("not dull just funny", "not funny just dull")]
    praise, blame = block(torch.stack(x)).mean(dim=1)  # (D,) each
    print(f"{name:17}: the mean states of the two sentences differ by {(praise - blame).abs().max():.2f}")

# %% [markdown]
# Without positions, the model cannot distinguish the two sentences. The solution is simple. Every position $t$ has its own
# vector, which we add to the vector of the word: $x_t = E[\text{word}_t] + P[t]$. In BERT the table
# $P \in \mathbb{R}^{512 \times D}$ of **<abbr title="位置嵌入">position embeddings</abbr>** is learned, like the word vectors.
# This is also why a text for BERT can have at most 512 tokens: there is no vector for position 513. GPT-2 does the same with
# 1,024 positions.

# %% [markdown]
# ## 7 The encoder, and the weights of a real one
#
# Now we have all the parts. An **<abbr title="编码器">encoder</abbr>** adds up word vectors and position vectors, applies a
# LayerNorm, and sends the result through a stack of blocks. With the classes above it has about 60 lines.


# %%
class Encoder(nn.Module):
    def __init__(self, V, D, heads, num_layers, max_positions):
        super().__init__()
        self.words, self.positions = nn.Embedding(V, D), nn.Embedding(max_positions, D)
        self.norm = nn.LayerNorm(D, eps=1e-12)
        self.blocks = nn.ModuleList(Block(D, heads) for _ in range(num_layers))

    def forward(self, input_ids, attention_mask):
        """input_ids (B, T), attention_mask (B, T) -> states (B, T, D)."""
        x = self.words(input_ids) + self.positions.weight[: input_ids.shape[1]]  # (B, T, D)
        x = self.norm(x)
        may_attend = attention_mask[:, None, None, :].bool()  # (B, 1, 1, T): the same for every head and every query
        for block in self.blocks:
            x = block(x, may_attend)
        return x


# %% [markdown]
# It looks like a toy, but it is a real model. The checkpoint that comes with the course, MiniLM, has BERT's architecture,
# with 6 layers, $D = 384$ and 12 heads. We load it and look at the names of its weights.

# %%
tokenizer, checkpoint = pretrained.load_tokenizer(), pretrained.load_encoder().to(device)
weights = {name: tensor for name, tensor in checkpoint.state_dict().items() if "pooler" not in name}  # a head we do not use
print(type(checkpoint).__name__, len(weights), "tensors, for example:")
print(*(f"   {name:52} {tuple(weights[name].shape)}" for name in list(weights)[:8]), sep="\n")

# %% [markdown]
# Every tensor has a counterpart in our class, only the names differ. One thing is new: BERT adds a third vector that says
# whether a token belongs to the first or the second of two texts. With one text it is the same everywhere, so we add it to
# the positions once.

# %%
our_names = {"embeddings.word_embeddings": "words", "embeddings.position_embeddings": "positions", "embeddings.LayerNorm": "norm",
             "encoder.layer": "blocks", "attention.self": "attention", "attention.output.dense": "attention.output",
             "attention.output.LayerNorm": "norm1", "intermediate.dense": "feed_forward.0", "output.dense": "feed_forward.2",
             "output.LayerNorm": "norm2"}  # fmt: skip
renamed = {}
for name, tensor in weights.items():
    for theirs, ours in our_names.items():
        name = name.replace(theirs, ours)
    renamed[name] = tensor
renamed["positions.weight"] = renamed["positions.weight"] + renamed.pop("embeddings.token_type_embeddings.weight")[0]
encoder = Encoder(V=30_522, D=384, heads=12, num_layers=6, max_positions=512).to(device)
encoder.load_state_dict(renamed)

# %% [markdown]
# All keys match, so no tensor is missing, left over or of the wrong shape. Now the same padded batch goes through both
# models:

# %%
pair = ["guy gets girl , guy loses girl , audience falls asleep .", "bad company . bad movie ."]
batch = tokenizer(pair, padding=True, return_tensors="pt").to(device)
with torch.no_grad():
    states = encoder(batch["input_ids"], batch["attention_mask"])
    expected = checkpoint(**batch).last_hidden_state
torch.testing.assert_close(states, expected, atol=1e-4, rtol=1e-4)
count = sum(parameter.numel() for parameter in encoder.parameters())
print(f"{count:,} weights; states {tuple(states.shape)}, equal to those of transformers' BertModel")

# %% [markdown]
# So sixty lines of plain torch compute the same as `BertModel`. What makes a BERT good are the values of its weights, and
# notebook 05 shows where they come from.
#
# ### What it costs
#
# $A$ has $T^2$ entries for every head. The other parts work on each word separately, so their cost grows only with $T$. We
# count the entries of $A$ in one layer of MiniLM, and time both parts for one text.


# %% tags=["nbval-ignore-output"]
def milliseconds(part, T: int) -> float:
    x = torch.randn(1, T, 384, device=device)
    with torch.no_grad():
        part(x).cpu()  # the first call also warms up; .cpu() waits for a GPU
        start = time.perf_counter()
        part(x).cpu()
    return 1000 * (time.perf_counter() - start)


# %% tags=["nbval-ignore-output"]
layer, rows = encoder.blocks[0], "| T | entries of A | memory | attention | feed-forward |\n|--:|--:|--:|--:|--:|\n"
for T in (128, 512, 2048):
    rows += f"| {T:,} | {12 * T * T:,} | {12 * T * T * 4 / 2**20:,.0f} MiB | {milliseconds(layer.attention, T):.0f} ms "
    rows += f"| {milliseconds(layer.feed_forward, T):.0f} ms |\n"
display(Markdown(rows))

# %% [markdown]
# Each row has four times the words of the row above and **sixteen times** the entries of $A$. For short texts this matters
# little. For long texts it is most of the cost. `F.scaled_dot_product_attention` helps, because it computes $A$ block by
# block and does not store it. This saves memory, and on a GPU much of the time, but the number of multiplications still
# grows with $T^2$.
#
# The cost of an LSTM grows only with $T$, but it must take its steps one after the other. Attention computes all words at
# the same time. This is one reason why Transformers have replaced LSTMs.

# %% [markdown]
# ## 8 The causal mask makes a decoder
#
# A **<abbr title="解码器">decoder</abbr>** such as GPT predicts the next word at every position. So position $t$ must not see
# the words to its right, because they are the answer. We prevent this with another mask, the
# **<abbr title="因果掩码">causal mask</abbr>**: query $i$ may attend to key $j$ only if $j \le i$.

# %%
diagrams.show(diagrams.masked_and_causal)

# %% [markdown]
# On the left is the encoder of section 7, which reads in both directions (notebook 05 shows what `[MASK]` is for). On the
# right is the decoder. Its code below differs from the encoder's in four main points: it has the causal mask, the blocks
# normalise first, the LayerNorm comes at the end instead of the beginning, and it returns logits for every word of the
# vocabulary.


# %%
class Decoder(nn.Module):
    def __init__(self, V, D, heads, num_layers, max_positions):
        super().__init__()
        self.words, self.positions = nn.Embedding(V, D), nn.Embedding(max_positions, D)
        self.blocks = nn.ModuleList(Block(D, heads, norm_first=True) for _ in range(num_layers))
        self.norm = nn.LayerNorm(D, eps=1e-12)
        self.register_buffer("may_attend", torch.ones(max_positions, max_positions).tril().bool())  # lower triangle
        for table in (self.words, self.positions):  # small numbers, so that all words start about equally likely
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, input_ids):
        """input_ids (B, T) -> logits (B, T, V): at position t for the word at t + 1."""
        T = input_ids.shape[1]
        x = self.words(input_ids) + self.positions.weight[:T]  # (B, T, D)
        for block in self.blocks:
            x = block(x, self.may_attend[:T, :T])
        return self.norm(x) @ self.words.weight.T  # the word vectors serve twice


# %% [markdown]
# We train it on reviews, without their labels. We join the words of 5,000 reviews into one long stream and split it into
# windows of $T + 1 = 65$ words. In each window, words 1 to 64 are the input and words 2 to 65 are the labels.

# %%
reviews = data.load_splits("imdb", train_size=profile.reviews_train)
token_lists = [text.basic_english(review) for review in data.evenly(reviews.train, min(5_000, len(reviews.train))).texts]
vocabulary = text.Vocabulary.from_tokens(token_lists, max_size=min(4_000, profile.vocabulary_size))
window, V = 64, len(vocabulary)


# %%
def windows_of(lists) -> torch.Tensor:
    stream = torch.tensor([word_id for tokens in lists for word_id in vocabulary.encode(tokens)])
    return stream[: len(stream) // (window + 1) * (window + 1)].view(-1, window + 1)  # (windows, T + 1)


# %%
corpus = windows_of(token_lists)
unseen = windows_of(map(text.basic_english, reviews.validation.texts[:200]))[:256].to(device)
print(f"V = {V:,}; corpus {tuple(corpus.shape)}, {corpus.numel():,} words; unseen {tuple(unseen.shape)}")

# %% [markdown]
# First we need baselines. If you guess uniformly, the loss is $\log V$. If you guess by word frequency, without reading
# anything, you get the **unigram** loss.

# %% tags=["approx"]
frequency = np.bincount(corpus.flatten(), minlength=V) + 1
unigram_loss = -np.log(frequency / frequency.sum())[unseen[:, 1:].cpu()].mean()
print(f"uniform guessing: loss {math.log(V):.2f}; unigram: loss {unigram_loss:.2f}")


# %%
def next_word_loss(model, windows):
    logits = model(windows[:, :-1])  # (B, T, V)
    return F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())


# %%
def train_decoder(model, num_steps: int) -> list[float]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = get_linear_schedule_with_warmup(optimizer, num_steps // 10, num_steps)
    chosen, losses = torch.randint(len(corpus), (num_steps, 16), generator=torch.Generator().manual_seed(seed)), []
    for windows in tqdm(corpus[chosen], desc="next words"):  # 16 windows each
        with autocast(device):  # in bfloat16 where the processor is fast at it
            loss = next_word_loss(model, windows.to(device))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


# %% [markdown]
# You know this loop from notebook 03. The next cell trains for about half a minute on two cores.

# %% tags=["nbval-ignore-output"]
num_steps = 400 if profile.name != "smoke" else 5
torch.manual_seed(seed)
decoder = Decoder(V, D=128, heads=4, num_layers=2, max_positions=window).to(device)
losses = train_decoder(decoder, num_steps)
decoder.eval()
with torch.no_grad():
    unseen_loss = next_word_loss(decoder, unseen).item()
display(Markdown(f"The loss began at {losses[0]:.2f} and is **{unseen_loss:.2f}** on unseen reviews. Guessing by word frequency gives "
                 f"{unigram_loss:.2f}, so reading the words before is worth {unigram_loss - unseen_loss:.2f}."))  # fmt: skip

# %%
fig, ax = plt.subplots(figsize=(7, 3.2))
ax.plot(plots.smooth(losses), color=plots.COLOURS[0], linestyle="-", label="training, mean of last 20 steps")
ax.axhline(math.log(V), color="black", linestyle=":", linewidth=1.2, label="uniform guessing: log V")
ax.axhline(unigram_loss, color=plots.COLOURS[1], linestyle="--", linewidth=1.2, label="unigram: guessing by frequency")
ax.set(xlabel="step (16 windows of 64 words)", ylabel="loss", title="It learns word frequencies first, then to read")
ax.legend()
plots.show(fig, alt="Training loss: from log V, dotted, it falls fast to guessing by frequency, then slowly below.")

# %% [markdown]
# An untrained decoder starts near $\log V$, like every classifier with $V$ classes. It quickly learns how often each word
# occurs. Whatever it gains below the dashed line, it gains by reading the words before.
#
# ### Writing
#
# How does a decoder write a text? It predicts the next word, draws one from the probabilities, adds it to the text, and
# repeats. Before the softmax we divide the logits by the **<abbr title="温度">temperature</abbr>** $\tau$. If it is below 1,
# likely words become even more likely. If it is above 1, all words become more equally likely.


# %%
@torch.no_grad()
def write(start: str, temperature: float, num_words: int = 25) -> str:
    ids = torch.tensor([vocabulary.encode(start.split())], device=device)  # (1, T so far)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(num_words):
        logits = decoder(ids[:, -window:])[0, -1].cpu()  # (V,)
        logits[:2] = -torch.inf  # never write <pad> or <unk>
        drawn = torch.multinomial((logits / temperature).softmax(dim=0), 1, generator=generator)
        ids = torch.cat([ids, drawn[None].to(device)], dim=1)
    return " ".join(vocabulary.decode(ids[0].tolist()))


# %% tags=["nbval-ignore-output"]
for temperature in (0.3, 0.8, 2.0):
    print(f"temperature {temperature}: {write('this movie is', temperature)}\n")

# %% [markdown]
# At a low temperature the model repeats the safest phrases. At a high one it draws words nearly at random. In between, a few
# words in a row may sound like a review, but the text makes no sense. This is not surprising: our model has read four
# hundred thousand words in half a minute. The model of notebook 14 has read millions of times as many.

# %% [markdown]
# **Exercise 04.5 (complete): temperature.** Write `with_temperature(logits, temperature)`: from the logits, float $(V,)$, return
# the probabilities $(V,)$ from which the next word is drawn. With the logits $\log 4$ and $0$, temperature 1 gives 0.8 and 0.2,
# and temperature 2 gives 2/3 and 1/3.


# %% tags=["exercise"]
def with_temperature(logits, temperature):
    raise NotImplementedError


# %% tags=["check"]
checks.check("04.5", with_temperature)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def with_temperature_solution(logits, temperature):
    return (logits / temperature).softmax(dim=0)


# %% tags=["check"]
checks.check("04.5", with_temperature_solution, mine=False)  # the same check, on the solution above

# %% [markdown]
# ### It is a GPT-2
#
# `transformers` has this model as `GPT2LMHeadModel`. We make one of the same size and copy our weights into it. Two names
# need an explanation. GPT-2's `Conv1D` is a linear layer that stores the transposed matrix, and `c_attn` contains $W_Q$,
# $W_K$ and $W_V$ side by side.

# %%
config = GPT2Config(vocab_size=V, n_embd=128, n_layer=2, n_head=4, n_positions=window, activation_function="gelu",
                    layer_norm_epsilon=1e-12, bos_token_id=0, eos_token_id=0)  # fmt: skip
gpt2 = GPT2LMHeadModel(config).to(device).eval()


# %%
def copy_linear(conv, *linears):
    conv.weight.copy_(torch.cat([linear.weight for linear in linears]).T)
    conv.bias.copy_(torch.cat([linear.bias for linear in linears]))


# %%
body = gpt2.transformer
for theirs, ours in ((body.wte, decoder.words), (body.wpe, decoder.positions), (body.ln_f, decoder.norm)):
    theirs.load_state_dict(ours.state_dict())
with torch.no_grad():
    for theirs, ours in zip(body.h, decoder.blocks, strict=True):
        theirs.ln_1.load_state_dict(ours.norm1.state_dict())
        theirs.ln_2.load_state_dict(ours.norm2.state_dict())
        copy_linear(theirs.attn.c_attn, ours.attention.query, ours.attention.key, ours.attention.value)
        copy_linear(theirs.attn.c_proj, ours.attention.output)
        copy_linear(theirs.mlp.c_fc, ours.feed_forward[0])
        copy_linear(theirs.mlp.c_proj, ours.feed_forward[2])
    logits, expected = decoder(unseen[:4, :-1]), gpt2(unseen[:4, :-1]).logits
torch.testing.assert_close(logits, expected, atol=1e-3, rtol=1e-3)
print("logits", tuple(logits.shape), "equal to GPT2LMHeadModel's")

# %% [markdown]
# So the library's `generate` works with our model. It takes the same temperature and has more ways to choose the next word.
# Here, `top_k=50` draws only from the 50 likeliest words.

# %% tags=["nbval-ignore-output"]
prompt = torch.tensor([vocabulary.encode(["i", "would", "recommend"])], device=device)
torch.manual_seed(seed)
written = gpt2.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=True, temperature=0.8, top_k=50, max_new_tokens=25,
                        suppress_tokens=[0, 1], pad_token_id=0)  # fmt: skip
print(" ".join(vocabulary.decode(written[0].tolist())))

# %% [markdown]
# ### What is new in today's decoders
#
# In notebook 14 you fine-tune a real decoder, SmolLM2, from the family of Llama. You now know nearly all of its parts. Three
# of them are different:
#
# * **Rotary positions.** No vector is added to the words. Instead, each query and each key is rotated by an angle that grows
#   with its position. The dot product of two rotated vectors depends only on the difference of their angles, so the score
#   knows how far apart two words are. There is no table that limits the length of a text.
# * **RMSNorm.** This is LayerNorm without the mean and without the shift $\beta$: the $D$ numbers are divided by the root of
#   their mean square and then scaled by $\gamma$. It is a little faster and works as well.
# * **Shared keys and values.** Several query heads use the same keys and values: SmolLM2 has 9 query heads, but only 3 heads
#   for keys and values. While a model writes, it keeps the keys and values of all earlier words in memory. Sharing makes
#   this memory three times smaller.

# %% [markdown]
# ## 9 What do the heads attend to?
#
# Let us go back to the trained encoder. It has $6 \times 12$ heads, and nobody decided what each of them should look for. Do
# they have jobs that we can recognise? We send 32 reviews through the encoder. For every head, we measure how much of its
# attention goes to each of five kinds of targets. `transformers` returns $A$ if we ask for its slower implementation of
# attention.

# %%
checkpoint.set_attn_implementation("eager")
texts = text.encode_wordpieces(data.evenly(data.load_splits("imdb").train, 32), tokenizer, max_length=64)
looked = batching.collate([texts[i] for i in range(32)])
ids, mask = looked["input_ids"].to(device), looked["attention_mask"].to(device)
with torch.no_grad():
    A = torch.stack(checkpoint(ids, mask, output_attentions=True).attentions)  # (layers, B, heads, T, T)
print("A", tuple(A.shape))

# %%
T = ids.shape[1]
special = (ids == tokenizer.cls_token_id) | (ids == tokenizer.sep_token_id)  # (B, T)
word = mask.bool() & ~special
step = torch.arange(T, device=device) - torch.arange(T, device=device)[:, None]  # (T, T): from the query to the key
twin = (ids[:, :, None] == ids[:, None, :]) & (step != 0) & word[:, :, None] & word[:, None, :]  # (B, T, T)
targets = {"[CLS] or [SEP]": special[:, None, :], "itself": step == 0, "token before": step == -1, "token after": step == 1,
           "same token elsewhere": twin}  # fmt: skip
has_twin = twin.any(dim=2)  # (B, T): the token occurs again


# %%
def share_of(target, queries):
    """Return float (layers, heads): attention from `queries`, bool (B, T), to `target`, bool, over (B, T, T)."""
    target = target.expand(len(ids), T, T).float()
    return (torch.einsum("lbhqk,bqk,bq->lh", A, target, queries.float()) / queries.sum()).cpu()


# %% [markdown]
# We draw one map for each kind of target, with a row for each layer and a column for each head. For "same token elsewhere"
# we count only words that occur again in the text.

# %%
shares = {name: share_of(target, has_twin if name == "same token elsewhere" else word) for name, target in targets.items()}
fig, axes = plt.subplots(2, 3, figsize=(8, 4.8))
for ax, (name, share) in zip(axes.flat, shares.items(), strict=False):
    picture = ax.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ax.set(title=name, xlabel="head", ylabel="layer", xticks=[0, 5, 11], yticks=range(6))
    ax.grid(False)
axes[1, 2].axis("off")  # five maps
fig.colorbar(picture, ax=axes, label="share of attention")
plots.show(fig, alt="Five maps, layers by heads: many heads dark for [CLS] or [SEP], one fully dark for the token before.")

# %% tags=["approx-0.05"]
for name, share in shares.items():
    layer, head = divmod(int(share.argmax()), 12)
    print(f"{name:20} mean {share.mean():.0%} of the attention; most in layer {layer}, head {head}: {share.max():.0%}")
print(f"[CLS] and [SEP] are {special.sum() / mask.sum():.0%} of the tokens")

# %% [markdown]
# One head of the first layer (layer 0) looks at nothing but the token before. Another one in the second layer mostly looks
# at the token after. So these two pass the content of its neighbours on to each word. And the special tokens get a large
# share of the attention, although they are only a few per cent of all tokens. Why?
#
# **See all heads for a sentence of yours.** Change the sentence and run the cell. Pick a head in the grid, a row for each
# layer, and point at a token: the darker a token gets, the more attention it receives. We start with the head that looks at
# the token before.

# %%
sentence = "The film was not good, but its music was wonderful."
own = tokenizer(sentence, return_tensors="pt").to(device)
with torch.no_grad():
    own_A = torch.stack(checkpoint(**own, output_attentions=True).attentions)[:, 0]  # (layers, heads, T, T)
own_tokens = tokenizer.convert_ids_to_tokens(own["input_ids"][0].tolist())
explorers.attention_explorer(own_tokens, own_A.cpu().numpy(), layer=0, head=2)

# %% [markdown]
# Look for maps with one dark column, the first or the last. For this sentence 35 of the 72 heads give more than half of their
# attention to `[CLS]` and `[SEP]`, whatever the token is.

# %% [markdown]
# ### A head that looks for the same word, and parks
#
# The weights of a row always add up to 1, so a head cannot say "there is nothing for me here". If it looks for something
# rare and does not find it, its attention has to go somewhere else. Is there such a head? We measure two things. If a word
# occurs again, how much attention goes to the other occurrence? If it occurs only once, how much goes to `[CLS]`? We take
# the head for which the product of the two is largest.

# %% tags=["approx-0.05"]
to_cls = (ids == tokenizer.cls_token_id)[:, None, :]  # (B, 1, T)
finds, parks = shares["same token elsewhere"], share_of(to_cls, word & ~has_twin)  # (layers, heads)
layer, head = divmod(int((finds * parks).argmax()), 12)
print(f"Layer {layer}, head {head}. A word that occurs again: {finds[layer, head]:.0%} to the same word elsewhere, "
      f"{share_of(to_cls, has_twin)[layer, head]:.0%} to [CLS]. A word that occurs once: {parks[layer, head]:.0%} to [CLS].")  # fmt: skip

# %%
sentence = "the film is funny because the actors know that it is not a serious film ."
encoded = tokenizer(sentence, return_tensors="pt").to(device)
with torch.no_grad():
    pattern = checkpoint(**encoded, output_attentions=True).attentions[layer][0, head].cpu().numpy()  # (T, T)
tokens = tokenizer.convert_ids_to_tokens(encoded["input_ids"][0])
fig, ax = plt.subplots(figsize=(6.4, 5.2))
plots.heat_map(ax, pattern, rows=tokens, columns=tokens, limits=(0, 1))
ax.set(xlabel="attends to", ylabel="token", title='"film" finds "film"; most words park on [CLS]')
plots.show(fig, alt="Heat map of a head: nearly all rows are dark at [CLS], the two rows of film at the other film.")

# %% [markdown]
# We can see what this head does. Each "film" attends mostly to the *other* "film" and not to itself. The two "is" do the
# same, but less strongly. A word that occurs only once has nothing to find, and most of its attention goes to `[CLS]`. This
# token is always at the same position, so the model can learn a value for it that adds next to nothing. Researchers have
# found the same in BERT, mostly with `[SEP]` (Clark and others, 2019), and in today's decoders with the first token. It is
# called an *attention sink*.
#
# **Attention is not an explanation.** When you look at such a picture, it is tempting to say: "the model decides this
# because of *film*". There are several reasons why you should not. Above the first layer, a "token" is already a mixture of
# the whole sentence. The picture does not show the values that are passed on. The residual connection carries other
# information around the head, and there are 71 other heads. Very different attention can lead to the same prediction (Jain
# and Wallace, 2019), and many heads can be removed without much loss (Michel and others, 2019). If you want to know what a
# word does to a prediction, change the word and see how the prediction changes.

# %% [markdown]
# **Exercise 04.6 (choice): what the map shows.** One cell in the maps of section 9 is fully dark: a head of layer 0 that
# attends to the token before. Run the check to see the possible answers, then write the letter of yours, in quotes.

# %% tags=["exercise"]
my_reading = ...

# %% tags=["check"]
checks.check("04.6", my_reading)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
my_reading_solution = "b"

# %% tags=["check"]
checks.check("04.6", my_reading_solution, mine=False)  # the same check, on the solution above

# %% [markdown]
# ## 10 Classic bug: the mask that lets the model read the answer
#
# This bug is a single letter: `triu` instead of `tril`. Now every position attends to itself and to the words on its
# *right*, where the answer is. The shapes are the same, and nothing crashes. The mistake is easy to make, because libraries
# disagree about what `True` means in a mask:
#
# | function | a 1 or `True` means |
# |---|---|
# | `F.scaled_dot_product_attention(attn_mask=...)` | this key may be attended to |
# | tokenizer and `transformers`: `attention_mask` | this token is real |
# | `nn.MultiheadAttention(attn_mask=...)` | this key is **blocked** |
# | `nn.MultiheadAttention(key_padding_mask=...)` | this token is **padding** |
#
# We train the decoder of section 8 again with this bug, from the same initial weights and on the same batches. Then we
# measure the loss that counts when a model writes: it gets only the first words of a window and has to predict the next one.


# %%
@torch.no_grad()
def writing_loss(model) -> float:
    """Return the loss of the word after the first 8, 16, ... words of unseen windows."""
    return np.mean([F.cross_entropy(model(unseen[:, :n])[:, -1], unseen[:, n]).item() for n in range(8, 64, 8)])


# %% tags=["nbval-ignore-output"]
torch.manual_seed(seed)
buggy = Decoder(V, D=128, heads=4, num_layers=2, max_positions=window).to(device)
buggy.may_attend = buggy.may_attend.T  # the transpose of the lower triangle is the upper one
bug_curves = {"tril: correct": losses, "triu: the bug": train_decoder(buggy, num_steps)}
bug_losses = {"tril: correct": writing_loss(decoder), "triu: the bug": writing_loss(buggy.eval())}

# %% [markdown]
# Each line is a training loss. The mark at its end is the loss of the same model when it writes:

# %%
fig, ax = plt.subplots(figsize=(7, 3.2))
plots.curves(ax, {name: plots.smooth(values) for name, values in bug_curves.items()}, marks=False)
for i, loss in enumerate(bug_losses.values()):
    ax.plot(num_steps * 1.03, loss, plots.MARKERS[i], color=plots.COLOURS[i], markersize=8)
ax.axhline(unigram_loss, color="black", linestyle=":", linewidth=1, label="guessing by frequency")
ax.legend(loc="lower left")
ax.set(ylim=(0, None), xlabel="step", ylabel="loss")
ax.set_title("The better training curve belongs to the useless model")
plots.show(fig, alt="With the bug the training loss falls far lower; its mark, the loss when writing, is far above.")

# %% tags=["nbval-ignore-output"]
display(Markdown("\n".join(f"* {name}: training loss **{np.mean(bug_curves[name][-20:]):.2f}**, when writing **{bug_losses[name]:.2f}**" for name in bug_losses)
                 + f"\n\nGuessing by frequency gives {unigram_loss:.2f}."))  # fmt: skip

# %% [markdown]
# With the bug, the training loss falls much further, because the model learns to copy the next word from its right. But when
# it writes, there is nothing on its right, and it is worse than guessing by frequency. The correct model is as good at
# writing as in training. Two tests find this bug. Before you train, change the *last* word of a text: the logits at earlier
# positions must not change. And while you train, be suspicious of a loss that is too good, because the model has probably
# seen the answer. Notebook 05 shows a related bug.

# %% [markdown]
# ## Quiz
#
# Three questions to check what you remember.

# %% tags=["check"]
checks.quiz("04")

# %% [markdown]
# ## Summary
#
# * Attention is $\mathrm{softmax}(QK^\top/\sqrt{d})\,V$: each word averages the values of all words, weighted by how well its
#   query matches their keys.
# * Heads do this several times in parallel. The residual connection keeps the words distinct, LayerNorm keeps the states at
#   the same size, the feed-forward network works on each word, and position vectors tell the model the order.
# * Sixty lines with the weights of a checkpoint compute the same as that checkpoint. With a causal mask, the same parts
#   become a GPT-2.
# * Memory and time of attention grow with $T^2$.
# * Some heads have jobs that you can measure, and they look at `[CLS]` when there is nothing for them to do. This does not
#   explain a prediction.
#
# **To think about.** With a softmax, a head cannot answer "nothing". How would you change attention so that it can? And why
# can you not use an encoder to write a text word by word, although it knows the language well?
#
# **Next:** [05 What pretraining buys](05_what_pretraining_buys.ipynb) asks where good weights come from.
