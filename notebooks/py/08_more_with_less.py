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
# # 08 · More with less
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/fine-tuning-course/fine-tuning-course/blob/v0.2.0/notebooks/08_more_with_less.ipynb) · [words and terms 术语表](../docs/GLOSSARY.md)
#
# **What you will be able to do:** train less than two percent of the parameters (LoRA), cache the outputs of frozen
# layers, store weights in one byte, prune, and distil a large model into a small one. For each method you will be able
# to say what it costs in accuracy and what it really saves.
#
# **Before you start:** notebook 06; notebook 07 helps.
# **Time:** one hour and a half to read and play; the code takes about two minutes.

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
import time
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import torch
from accelerate import Accelerator
from IPython.display import Markdown, display
from safetensors.torch import save
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from torch import nn

from course_utils import batching, claims, data, diagrams, evaluation, explorers, files, layers, plots, prediction
from course_utils import pretrained, profiles, text, training
from course_utils.cost import time_in_turn
from course_utils.device import choose_precision
from course_utils.exercises import checks
from course_utils.models import LSTMClassifier

plots.use_style()
profile, seed, device = profiles.get_profile(), profiles.get_seed(), Accelerator().device

# %% [markdown]
# ## 1 What is there to save?
#
# A fine-tuned model has four costs: minutes to train, memory during training, milliseconds for each prediction, and
# megabytes on disk. Each method of this notebook lowers some of the four, and people often talk as if it lowered all of
# them. So every method gets a row in one table, with all four costs and its accuracy.
#
# To have time for so many models, we train on fewer sentences than notebook 06. All scores are lower here for that
# reason. What counts is the differences between them.

# %%
sizes = {"smoke": (64, 40, 60), "workshop": (750, 160, None)}  # else: all there is
n_train, n_validation, n_test = sizes.get(profile.name, (None, None, None))
splits = data.load_splits("rotten_tomatoes", train_size=n_train, test_size=n_test)
splits = splits._replace(validation=data.evenly(splits.validation, n_validation))
tokenizer = pretrained.load_tokenizer()
encoded = data.Splits(*(text.encode_wordpieces(part, tokenizer, max_length=28) for part in splits))
batch = batching.collate([encoded.train[i] for i in np.arange(0, len(encoded.train), len(encoded.train) // 16)[:16]])
batch = {name: tensor.to(device) for name, tensor in batch.items()}
inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
print("train, validation, test:", [len(part) for part in splits])
print("a batch of ids:", tuple(batch["input_ids"].shape))

# %% [markdown]
# We measure two of the costs. **Milliseconds** per sentence are a sixteenth of the median time for a batch of 16. A computer
# is not equally fast all the time, so we never time one model today and another one later. We keep a function that calls each
# model, and time them **in turn**: one call of each, nine times. **Megabytes** are the size of the `safetensors` file. We can
# compute the training memory instead: each weight takes 4 bytes, and each *trained* weight 12 more, for its gradient and for
# Adam's two running means (notebook 01).


# %%
table: dict[str, dict] = {}
calls: dict[str, Callable] = {}  # each predicts the first 16 test sentences


def milliseconds(names) -> dict[str, np.ndarray]:
    """Return what each model needs for a sentence, one call of each in turn, (rounds,)."""
    return {name: 1000 / 16 * seconds for name, seconds in time_in_turn({name: calls[name] for name in names}).items()}


def megabytes(tensors: dict[str, torch.Tensor]) -> float:
    return len(save({name: tensor.detach().contiguous() for name, tensor in tensors.items()})) / 1e6


@torch.no_grad()
def measure(name, model, *, minutes, trained=None, stored=None, test=encoded.test) -> None:
    """Add the test predictions and the costs of a trained model to the table."""
    sixteen, weights = batching.collate([test[i] for i in range(16)]), model.state_dict()
    trained = trained or layers.count_parameters(model).trainable
    right = prediction.evaluate(model, test).predictions == splits.test.labels
    memory = 4 * (sum(tensor.numel() for tensor in weights.values()) + 3 * trained) / 1e6
    calls[name] = lambda: prediction.model_logits(model, sixteen).cpu()
    costs = {"minutes": minutes, "trained": trained, "memory": memory, "disk": megabytes(stored or weights)}
    table[name] = {"correct": right, **costs}


# %% [markdown]
# We train nearly every model below in the same way, with `fit` as in notebook 06. Mostly, only the learning rate
# differs.


# %%
def tune(model, learning_rate, *, texts=encoded.train, num_epochs=profile.bert_epochs) -> float:
    """Train, print the validation accuracy and return the minutes."""
    config = training.TrainingConfig(num_epochs=num_epochs, learning_rate=learning_rate, batch_size=16, seed=seed)
    history = training.fit(model, texts, encoded.validation, config, on_step=explorers.TrainingPanel())
    model.zero_grad()  # frees the gradients
    accuracy = max(record.validation_accuracy for record in history.records)  # fit keeps the weights of the best epoch
    print(f"validation accuracy {accuracy:.3f} after {history.seconds:.1f} s, computed in {choose_precision(device)}")
    return history.seconds / 60


# %% [markdown]
# The baseline is full fine-tuning as in notebook 06: we train every layer, and freeze only the embeddings.

# %% tags=["nbval-ignore-output"]
model = pretrained.load_classifier(seed=seed).to(device)
original = {name: weight.clone() for name, weight in model.state_dict().items()}
layers.freeze_below(model, 0)
full_trained = layers.count_parameters(model).trainable
full_minutes = tune(model, 2e-4)
measure("full fine-tuning", model, minutes=full_minutes, trained=full_trained)

# %% [markdown]
# ### Activations need memory too: micro-batches
#
# One part of the memory is not in the table. The backward pass needs what the forward pass computed, the
# **activations**, so autograd keeps them. They grow with the number of tokens in a batch. How many bytes do they take?


# %%
def activations_in_megabytes(inputs) -> float:
    """Return the size of what autograd keeps for the backward pass of `model`, weights not counted."""
    saved, weights = {}, {weight.data_ptr() for weight in model.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.update({t.data_ptr(): t.nbytes}) or t, lambda t: t):
        _output = model(**inputs)  # keeps the graph until we have counted
    return sum(size for address, size in saved.items() if address not in weights) / 1e6


# %% tags=["approx-0.1"]
for size in (16, 4):
    kept = activations_in_megabytes({name: tensor[:size] for name, tensor in inputs.items()})
    print(f"a batch of {size:2} sentences: {kept:.1f} MB of activations")

# %% [markdown]
# A quarter of the sentences needs a quarter of the activations. So if a batch of $n$ sentences does not fit into
# memory, you can still train with it. **<abbr title="梯度累积">Gradient accumulation</abbr>** splits it into $k$
# **micro-batches**. If sentence $i$ has the loss $l_i$, the loss of the batch is the mean of all $l_i$, and its
# gradient is the mean of the gradients of the micro-batches:
#
# $$\nabla \Big( \frac{1}{n} \sum_{i=1}^{n} l_i \Big) = \frac{1}{k} \sum_{j=1}^{k} \nabla \Big( \frac{k}{n} \sum_{i \in \text{micro-batch } j} l_i \Big) .$$
#
# `backward` *adds* to the gradients that are already there. So you call it for each micro-batch, and let the optimiser
# take its step after the last one. In `training.fit` this is one setting. We train on 64 sentences, one step after
# every 16, first as whole batches and then as micro-batches of 4:

# %% tags=["nbval-ignore-output"]
few, quiet = np.arange(0, len(encoded.train), len(encoded.train) // 64)[:64], lambda history: None  # no progress bar
for k in (1, 4):
    config = training.TrainingConfig(num_epochs=1, batch_size=16 // k, gradient_accumulation_steps=k, seed=seed)
    run = training.fit(copy.deepcopy(model), encoded.train.take(few), encoded.train.take(few[:16]), config, on_step=quiet)
    print(f"batch_size={16 // k:2}, gradient_accumulation_steps={k}: {run.seconds:.1f} s")

# %% [markdown]
# You pay with time, because small batches use a CPU less efficiently than large ones, and a GPU even less so. Take the
# largest batch that fits into memory, and accumulate up to the batch size that you want.
#
# ## 2 LoRA: train a change of low rank
#
# What did fine-tuning do to a weight matrix $W \in \mathbb{R}^{\text{out} \times \text{in}}$? It added a matrix
# $\Delta W$ of the same size. Is that change as complicated as its size allows? The singular value decomposition writes
# a matrix as a sum of directions, the strongest first. How much of $W$, and how much of $\Delta W$, is in the first few
# directions?


# %%
name, shares = "bert.encoder.layer.5.attention.self.value.weight", {}
change = model.state_dict()[name] - original[name]
for label, matrix in (("the pretrained matrix W", original[name]), ("its change by fine-tuning", change)):
    strengths = torch.linalg.svdvals(matrix.cpu()) ** 2
    shares[label] = (strengths.cumsum(0) / strengths.sum()).numpy()
fig, ax = plt.subplots(figsize=(7, 3))
plots.curves(ax, shares)
ax.set(xlabel="number of directions (of 384)", ylabel="share of the squared norm", ylim=(0, 1.05))
ax.set_title("The change lives in far fewer directions than the matrix")
plots.show(fig, alt="Share of the squared norm in the first k of 384 directions, for a pretrained matrix and for its change by "
           "fine-tuning: the curve of the change rises much faster.")  # fmt: skip

# %% [markdown]
# The change is simple: more than half of its squared norm is in the first direction, and nearly all of it in the first
# hundred. **<abbr title="低秩适配">LoRA</abbr>** (low-rank adaptation) makes use of this. It freezes $W$, and trains the
# change as a product of two thin matrices $A$ and $B$ of rank $r$. For an input $x \in \mathbb{R}^{\text{in}}$, the
# layer computes
#
# $$y = W x + b + \frac{\alpha}{r}\, B A\, x, \qquad A \in \mathbb{R}^{r \times \text{in}},\quad B \in \mathbb{R}^{\text{out} \times r} .$$
#
# $A$ starts at random and $B$ at zero, so training starts from the pretrained model. The factor $\alpha / r$ scales the
# change, so that you can vary $r$ and keep the learning rate (is it the right factor? See below). Here it is, beside the adapter of notebook 07:

# %%
diagrams.show(diagrams.lora_and_adapter)

# %% [markdown]
# Both train two thin matrices. But LoRA changes the matrix $W$ itself, while an adapter contains a GELU and stays a
# layer of its own. In code, LoRA wraps a linear layer:


# %%
class LoRALinear(nn.Module):
    def __init__(self, base: nn.Linear, r: int, alpha: float) -> None:
        super().__init__()
        self.base, self.scale = base.requires_grad_(False), alpha / r
        self.A = nn.Parameter(torch.randn(r, base.in_features) / base.in_features**0.5)
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (..., in) -> (..., out)
        return self.base(x) + self.scale * (x @ self.A.T) @ self.B.T

    def merged(self) -> nn.Linear:
        layer = copy.deepcopy(self.base)
        layer.weight.data += self.scale * self.B.data @ self.A.data
        return layer


# %% [markdown]
# We check three things on one layer:
#
# 1. At the start it gives the same outputs as the layer that it wraps.
# 2. The first gradient reaches $B$ but not $A$, because the gradient of $A$ is multiplied by $B = 0$.
# 3. After training, the product can be **merged** into $W$, so that prediction costs nothing extra.

# %%
torch.manual_seed(seed)
layer = nn.Linear(384, 384)
lora, x = LoRALinear(copy.deepcopy(layer), r=4, alpha=8), torch.randn(10, 384)
assert torch.equal(lora(x), layer(x))  # starts as the identity
lora(x).square().sum().backward()
assert lora.B.grad.norm() > 0 and lora.A.grad.norm() == 0
nn.init.normal_(lora.B)  # as if trained
torch.testing.assert_close(lora.merged()(x), lora(x), rtol=1e-4, atol=1e-4)
print("trained {:,} of {:,} parameters".format(*layers.count_parameters(lora)))

# %% [markdown]
# ### Which rank, and which factor?
#
# A higher rank can represent more. But look at the first step: Adam moves every entry of $B$ by the learning rate $\eta$, so
# the change of $W$ is $\frac{\alpha}{r} B A$ with entries of $B$ of size $\eta$. How large is this change for different
# ranks? With the factor $\alpha / r$ of LoRA, and with $\alpha / \sqrt r$, which is called **rsLoRA** (rank-stabilised;
# Kalajdzievski, 2023):

# %% tags=["approx"]
gradient = torch.randn(384, 384)  # of the loss, for W
for r in (1, 4, 16, 64):
    A = torch.randn(r, 384) / 384**0.5
    first = (1e-3 * (gradient @ A.T).sign() @ A).norm().item()  # B after Adam's first step, times A
    norms = [factor * first for factor in (8 / r, 8 / r**0.5)]
    print("r = {:2}: norm of the first change {:.3f} with alpha / r, {:.3f} with alpha / sqrt(r)".format(r, *norms))

# %% [markdown]
# With $\alpha / r$ the change shrinks as $1 / \sqrt r$: four times the rank, half the step. So if you raise the rank and keep
# $\alpha$ and the learning rate, you also train more slowly, and the higher rank looks useless. With $\alpha / \sqrt r$
# the step stays the same. In `peft` it is one option, `use_rslora=True`. (Another one, `use_dora=True`, trains the length of each
# row of $W$ apart from its direction: DoRA, Liu and others, 2024.)

# %% [markdown]
# **Exercise 08.1 (complete): merging an adapter.** Write `merged_weight(W, A, B, alpha)`. It returns the weight, of
# shape $(\text{out}, \text{in})$, of a plain layer that gives the same outputs as the layer with LoRA. You get $W$
# $(\text{out}, \text{in})$, $A$ $(r, \text{in})$ and $B$ $(\text{out}, r)$, all float, and the number `alpha`. Take $r$
# from the shapes.


# %% tags=["exercise"]
def merged_weight(W, A, B, alpha):
    raise NotImplementedError


# %% tags=["check"]
checks.check("08.1", merged_weight)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def merged_weight_solution(W, A, B, alpha):
    r = A.shape[0]
    return W + alpha / r * B @ A


# %% tags=["check"]
checks.check("08.1", merged_weight_solution, mine=False)  # the same check, on the solution above

# %% [markdown]
# **Exercise 08.2 (predict): what LoRA trains in one layer.** The first matrix of a feed-forward block takes 384 numbers
# and gives 1,536. How many parameters does LoRA of rank $r = 8$ train beside it?


# %% tags=["exercise"]
my_lora_size = ...


# %% tags=["check"]
checks.check("08.2", my_lora_size)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
my_lora_size_solution = 8 * (384 + 1_536)


# %% tags=["check"]
checks.check("08.2", my_lora_size_solution, mine=False)  # the same check, on the solution above


# %% [markdown]
# ### LoRA from a library: peft
#
# `peft` finds the layers by name and wraps each of them. We adapt every linear layer of the encoder and the pooler.
# `peft` freezes everything that it did not add. The new head is not pretrained, so we have to train all of it: **set
# this yourself**. (Section 10 is about forgetting the head later, when you save the adapter.) The learning rate is ten
# times as high as before, because the change has few parameters, and no pretrained values among them that training
# could destroy.

# %%
from peft import LoraConfig, LoraModel

adapted = pretrained.load_classifier(seed=seed).to(device)
lora_config = LoraConfig(r=4, lora_alpha=8, target_modules=["query", "key", "value", "dense"])
tuner = LoraModel(adapted, lora_config, "default")
adapted.classifier.requires_grad_(True)
lora_trained = layers.count_parameters(adapted).trainable
print(f"trained {lora_trained:,}: {lora_trained / full_trained:.1%} of what full fine-tuning trains")

# %% tags=["nbval-ignore-output"]
lora_minutes = tune(adapted, 2e-3)

# %% [markdown]
# Is this the same as our LoRA? We take a fresh checkpoint, replace each of the adapted layers by our own, copy the
# trained $A$ and $B$ into it, and compare the logits.

# %%
ours = pretrained.load_classifier(seed=seed).to(device).eval()
ours.classifier.load_state_dict(adapted.classifier.state_dict())
for name, theirs in list(adapted.named_modules()):
    if hasattr(theirs, "lora_A"):
        parent, child = ours.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]
        mine = LoRALinear(getattr(parent, child), r=4, alpha=8)
        mine.A.data = theirs.lora_A["default"].weight.data
        mine.B.data = theirs.lora_B["default"].weight.data
        setattr(parent, child, mine)
with torch.no_grad():
    lora_logits = adapted(**inputs).logits  # (B, C)
    torch.testing.assert_close(ours(**inputs).logits, lora_logits, rtol=1e-3, atol=1e-4)
print("by hand = peft")

# %% [markdown]
# It is. Next we merge the change, and measure.

# %%
adapter = {name: p.detach().clone() for name, p in adapted.named_parameters() if p.requires_grad}
lora_model = tuner.merge_and_unload()
with torch.no_grad():
    torch.testing.assert_close(lora_model(**inputs).logits, lora_logits, rtol=1e-3, atol=1e-4)
measure("LoRA (peft)", lora_model, minutes=lora_minutes, trained=lora_trained, stored=adapter)
del lora_model, adapted, tuner
print(f"merged: the same logits; the adapter alone is {megabytes(adapter):.2f} MB")

# %% [markdown]
# After merging, the model is an ordinary BERT again: as fast and as large as before. What is small with LoRA is the
# **adapter**, as `peft` calls the trained part. It is the file for one task; the checkpoint is shared by many tasks.
# (In the table LoRA's megabytes are those of the adapter.)

# %% [markdown]
# LoRA trains few parameters, but compare the seconds above with those of full fine-tuning: they are not far
# apart. The frozen matrices need no gradients of their own. But the backward pass still runs through
# every layer to reach the lowest adapter, and LoRA adds two small products to each matrix product.
#
# ## 3 Freeze the lower layers, and compute them once
#
# This does save time. If layers 0 to 3 are frozen, their output states for a sentence are the same in every epoch. So
# compute these states once, keep them, and train only the layers above.

# %%
border = 4
lower_frozen = pretrained.load_classifier(seed=seed).to(device)
layers.freeze_below(lower_frozen, border)
started = time.perf_counter()
cached = [layers.hidden_states(lower_frozen, part, layer=border) for part in encoded[:2]]
cache_seconds = time.perf_counter() - started
print(f"the first sentence: {cached[0].hidden_states[0].shape} states instead of ids")
print(f"the cache of {len(encoded.train)} sentences: {sum(s.nbytes for s in cached[0].hidden_states) / 1e6:.0f} MB")

# %% [markdown]
# Nothing is approximated, so the losses should be the same. We train on 64 sentences with the cache and without it:

# %%
losses, short = {}, training.TrainingConfig(num_epochs=1, learning_rate=3e-4, batch_size=16, seed=seed)
for cache in (False, True):
    net = copy.deepcopy(lower_frozen)
    net, texts = (layers.UpperLayers(net, border), cached[0]) if cache else (net, encoded.train)
    run = training.fit(net, texts.take(few), texts.take(few[:16]), short, on_step=quiet)
    losses[cache] = torch.tensor(run.step_losses)
torch.testing.assert_close(*losses.values(), rtol=0, atol=1e-3 if choose_precision(device) == torch.float32 else 0.05)
print("the same loss at every step, with the cache and without")

# %% [markdown]
# They are. Now the real run, with two epochs. Only the first has to wait for the cache.

# %% tags=["nbval-ignore-output"]
top = layers.UpperLayers(lower_frozen, border)
config = training.TrainingConfig(num_epochs=2, learning_rate=3e-4, batch_size=16, seed=seed)
history = training.fit(top, *cached, config, on_step=explorers.TrainingPanel())
minutes = (cache_seconds + history.seconds) / 60
measure("top 2 layers, cached", lower_frozen, minutes=minutes, stored=top.state_dict())
print(f"cache {cache_seconds:.1f} s, then {history.seconds / 2:.1f} s an epoch")
print(f"full fine-tuning: {60 * full_minutes / profile.bert_epochs:.1f} s an epoch")
del lower_frozen, top, cached

# %% [markdown]
# The cache has paid for itself by the second epoch at the latest. It saves more time when you search for a learning
# rate or train with five seeds. The price is disk space or memory: $D$ numbers for every token.
#
# ## 4 Half precision: bfloat16
#
# A float32 number has 1 bit for the sign, 8 for the exponent and 23 for the fraction.
# **<abbr title="半精度">bfloat16</abbr>** keeps the 8 bits of the exponent, and so the same range, but only 7 bits of the
# fraction. That is a precision of two to three decimal digits. Here are the bits of a few numbers:


# %%
def bits(number: float) -> str:
    whole = torch.tensor(number, dtype=torch.bfloat16).view(torch.int16).item() & 0xFFFF
    pattern = f"{whole:016b}"
    return f"{pattern[0]} {pattern[1:9]} {pattern[9:]}"


# %%
print("                sign exponent fraction    stored as")
for number in (1.0, 1.0078125, 1.003, 1 / 3, 256.0, 257.0, 1e38):
    stored = torch.tensor(number, dtype=torch.bfloat16).item()
    print(f"{number:<16.7g} {bits(number)}    {stored:.7g}")

# %% [markdown]
# The next number after 1 is 1.0078, and 257 is rounded to 256. This is precise enough for the products inside a
# network, because their errors average out. For the weights themselves it is not. What happens to many small updates of
# a weight?

# %%
for dtype in (torch.float32, torch.bfloat16):
    weight = torch.tensor(1.0, dtype=dtype)
    for _ in range(1000):
        weight += 0.001
    print(f"{dtype!s:15} 1 + 1000 steps of 0.001 = {weight.item():.3f}")

# %% [markdown]
# In bfloat16 every update is lost. So we use **<abbr title="混合精度">mixed precision</abbr>**: weights, gradients and Adam
# stay in float32, and only the large matrix products run in bfloat16. In torch this is
# `with torch.autocast("cpu", dtype=torch.bfloat16)`, and `training.fit` uses it where it is faster. The processor must
# multiply bfloat16 in hardware; otherwise each product is emulated, which is hundreds of times slower. Does this
# machine have it? Each call of `tune` in this notebook prints the precision it used.
#
# If it prints float32, all times of torch models in the table are float32 times, and no setting would make them faster
# here. If it prints bfloat16, the times in the table already include the gain, except for the rows of ONNX Runtime
# (section 5). How large is the gain? On a processor with AMX (instructions for products of small matrices), one large product
# took a sixth of its float32 time, but a training step took two thirds (`course bench ablation`). GELU, norms, sums and Adam
# are no faster, and soon they are most of the step. At first we gained nothing: on a CPU, torch computes the backward pass of attention in bfloat16 so
# slowly that it took 42 % of the step. So `pretrained.load_classifier` keeps attention in float32 while a model trains.
#
# There was a second surprise: `autocast` lowers the precision of matrix products only. Each layer *adds* its products
# to the states that entered it. If those are float32, the sum is float32 too, and between any two products everything
# goes back to 32 bits. In this course the embeddings output bfloat16 states. That alone saved a quarter of the time of
# predictions for sentences, and a seventh of the time of training steps with 256 tokens. So measure the effect of a
# setting before you trust it, and check what is still computed in the old precision. On a GPU, bfloat16 is the first
# thing to switch on.
#
# ## 5 int8: a weight in one byte
#
# After training you can lower the precision further. To **quantise** a matrix $W$ to int8, choose a scale $s$ and store
# integers $Q$ between $-127$ and $127$,
#
# $$Q = \operatorname{round}(W / s), \qquad W \approx s\,Q, \qquad s = \max |W| / 127 .$$
#
# One scale for the whole matrix is enough, unless one row has large weights. Then $s$ is large, and all other rows are
# rounded too coarsely. So each row (**output channel**) gets its own scale. How much does this help?


# %%
def quantise(weight: torch.Tensor, dim=1, largest: int = 127) -> tuple[torch.Tensor, torch.Tensor]:
    """Return Q int8 (out, in) and the scales float32, (out, 1), or (1, 1) for dim=(0, 1)."""
    scale = weight.abs().amax(dim=dim, keepdim=True).clamp(min=1e-8) / largest
    return (weight / scale).round().to(torch.int8), scale


# %% tags=["approx-0.1"]
weight = model.bert.encoder.layer[0].output.dense.weight.detach().cpu()  # (384, 1536)
for label, dim in (("one scale", (0, 1)), ("a scale for each channel", 1)):
    Q, scale = quantise(weight, dim)
    error = (scale * Q - weight).norm() / weight.norm()
    print(f"{label:26} relative error {error:.1%}")

# %% [markdown]
# **Exercise 08.3 (debug): one scale for all.** `rounded(weight)` quantises a matrix (out, in) to int8 and converts it
# back to float. It restores large weights well, but not the small weights in other rows. Fix it: the error of each
# weight should be at most half a step *of its own row*.


# %% tags=["exercise"]
def rounded(weight):
    step = weight.abs().max() / 127
    return (weight / step).round() * step


# %% tags=["check"]
checks.check("08.3", rounded)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def rounded_solution(weight):
    step = weight.abs().amax(dim=1, keepdim=True) / 127
    return (weight / step).round() * step


# %% tags=["check"]
checks.check("08.3", rounded_solution, mine=False)  # the same check, on the solution above


# %% [markdown]
# Each weight now takes one byte. With a scale for each channel the error is small. With one scale it is more than ten
# times as large, because the largest weight of one row is about forty times that of a typical row.
#
# If you also quantise the activations $X \in \mathbb{R}^{n \times \text{in}}$, with a scale for each row, you get a
# product of integers, which processors compute faster than a product of floats. With the integers $Q_X$ and $Q_W$ and
# the scales $s_X$ and $s_W$:
#
# $$X W^\top \approx (s_X\, s_W^\top) \odot (Q_X\, Q_W^\top), \qquad s_X \in \mathbb{R}^{n \times 1},\quad s_W \in \mathbb{R}^{\text{out} \times 1} .$$

# %% tags=["approx-0.1"]
torch.manual_seed(seed)
activations = torch.randn(64, 1536)
Q_w, s_w = quantise(weight)
Q_x, s_x = quantise(activations)  # here a row is a token
by_hand = s_x * s_w.T * (Q_x.float() @ Q_w.float().T)
library = s_x * s_w.T * torch._int_mm(Q_x, Q_w.T.contiguous())  # (64, 384), int32
torch.testing.assert_close(by_hand, library)
exact_product = activations @ weight.T
error = (by_hand - exact_product).norm() / exact_product.norm()
print(f"by hand = torch._int_mm; relative error of the product: {error:.1%}")

# %% [markdown]
# ### Fewer than eight bits
#
# The same rounding works with fewer bits: with 4 bits there are 7 steps in either direction. They are so coarse that a
# whole row is too much for one scale, so a few neighbours, a **block**, share one. Below you choose the rank of section 2,
# the bits and the block size, for the matrix of section 2. What do 4 bits need to keep the error below a tenth? First the
# idea as a picture. It shows the variant that notebook 14 uses: 16 codes go from the smallest weight of a block to its largest,
# so a block stores its minimum beside its scale:

# %%
diagrams.show(diagrams.four_bit_blocks)

# %% [markdown]
# And then to play with:

# %%
before = original["bert.encoder.layer.5.attention.self.value.weight"]
explorers.compression_explorer(before.cpu().numpy(), change.cpu().numpy())

# %% [markdown]
# Every bit less about doubles the error. Small blocks win some of that back: with 4 bits the error is 20 % with one scale for
# all, 10 % in blocks of 32, and 9 % in blocks of 16. But each block stores a scale of 16 bits, so with blocks of 16 a weight takes
# 5 bits. The two ideas are combined in QLoRA: the matrix, which no small rank can replace, is stored in 4-bit blocks, and its
# change, for which a small rank is enough, is trained with LoRA.
#
# ### int8 from a library: ONNX Runtime
#
# That was one product of integers. **ONNX Runtime** does the same for every product with a weight matrix. The products inside
# attention, softmax and norms stay in float32. It reads a **<abbr title="计算图">graph</abbr>**: a file with all
# operations of a model. A graph needs neither torch nor Python, so it can run on phones and servers.
# `torch.onnx.export` calls the model once, on our batch, and records the operations. We declare $B$ and $T$ as dynamic;
# otherwise the graph would only accept batches of 16 sentences of this one length.
#
# The packages for this section are not installed with the course. To add them, type
# `%pip install onnx onnxruntime onnxscript` in a new cell (this needs a network once). You can also read on without
# them, with the numbers of our run in the text.

# %%
import logging
from importlib.util import find_spec
from pathlib import Path

folder = files.kernel_folder("08_int8")
has_onnx = all(find_spec(name) for name in ("onnx", "onnxruntime", "onnxscript"))
if has_onnx:
    import onnx
    import onnxruntime
    from onnxruntime import quantization

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # else it lists what it misses for pictures
else:
    print("The packages named above are missing: the cells that need them do nothing, and the figures lack two rows.")

# %%
if has_onnx:
    changing = {name: dict.fromkeys((0, 1), torch.export.Dim.DYNAMIC) for name in inputs}  # B and T
    options = {"input_names": list(inputs), "output_names": ["logits"], "external_data": False, "verbose": False}
    on_cpu, example = copy.deepcopy(model).cpu().eval(), {name: ids.cpu() for name, ids in inputs.items()}
    torch.onnx.export(on_cpu, f=folder / "exported.onnx", kwargs=example, dynamic_shapes=changing, **options)
    quantization.quant_pre_process(folder / "exported.onnx", folder / "float32.onnx", skip_symbolic_shape=True)

# %% [markdown]
# `quantize_dynamic` replaces every weight matrix by integers and scales, also the embedding table of the word pieces,
# which is half of the file. Activations get one scale for a whole batch, where we gave each token its own. They are
# quantised only at run time, which is why it is called *dynamic*. Their integers go from 0 to 255.
#
# There is one trap. VNNI instructions add int8 products in 32 bits. Processors without them add two products in 16 bits
# and **clip a sum above 32,767 without any warning**; $2 \cdot 255 \cdot 127$ is nearly twice that. With weights of 7
# bits, $-64$ to $64$, every sum fits ($2 \cdot 255 \cdot 64 = 32{,}640$). The option for this is `reduce_range=True`.

# %%
Q = quantise(weight, largest=64)[0].numpy().T  # the file stores (in, out)
if has_onnx:
    options = {"weight_type": quantization.QuantType.QInt8, "per_channel": True, "reduce_range": True}
    quantization.quantize_dynamic(folder / "float32.onnx", folder / "int8.onnx", **options)
    stored = [onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(folder / "int8.onnx").graph.initializer]
    assert any(array.shape == Q.shape and abs(array.astype(int) - Q).max() <= 1 for array in stored)
    print("one of the stored matrices equals ours, up to one rounding step: by hand = ONNX Runtime")

# %% [markdown]
# With a small class we can call the graph like any other model and add it to the table.


# %%
class Graph(nn.Module):
    def __init__(self, file: Path) -> None:
        super().__init__()
        self.here = nn.Parameter(torch.empty(0))  # says where inputs belong: on the CPU, also beside a GPU
        options = onnxruntime.SessionOptions()
        # Otherwise its threads wait busily after each call, and slow the model that is timed next.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def forward(self, **batch: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.session.run(["logits"], {name: ids.numpy() for name, ids in batch.items()})[0])


# %% tags=["nbval-ignore-output"]
for label in ("float32", "int8") if has_onnx else ():
    measure(f"ONNX {label}", Graph(folder / f"{label}.onnx"), minutes=full_minutes, trained=full_trained)
    row, full = table[f"ONNX {label}"], table["full fine-tuning"]
    row |= {"disk": (folder / f"{label}.onnx").stat().st_size / 1e6, "memory": full["memory"]}
    same = np.mean(row["correct"] == full["correct"])
    print(f"ONNX Runtime {label:8} {row['disk']:5.1f} MB; the same prediction for {same:.1%} of the test part")

# %% [markdown]
# The file shrinks to a quarter, and nearly all predictions stay the same. This took no training and a dozen lines of code.
# Is it faster? Compare int8 with float32 *in the same program*: two programs differ in more than their number format.

# %% tags=["nbval-ignore-output"]
if has_onnx:
    exact, int8, torch_ms = map(np.median, milliseconds(["ONNX float32", "ONNX int8", "full fine-tuning"]).values())
    display(Markdown(f"In ONNX Runtime a sentence takes {exact:.1f} ms in float32 and {int8:.1f} ms in int8, which is "
                     f"**{exact / int8:.1f} times as fast**. torch, in {choose_precision(device)}, takes {torch_ms:.1f} ms: "
                     f"int8 is {torch_ms / int8:.1f} times as fast as that."))  # fmt: skip

# %% [markdown]
# So the gain depends on the hardware, and on what you compare with. Measure on the machine where the model will run.
#
# ## 6 Pruning: remove weights
#
# ### One weight at a time
#
# **<abbr title="剪枝">Magnitude pruning</abbr>** sets the smallest weights to zero. For a share $p$, you find the
# threshold such that a share $p$ of all $|W|$ is below it, and multiply $W$ by a mask of zeros and ones.
# `torch.nn.utils.prune` keeps such masks applied during further training. Does its mask equal ours?

# %%
from torch.nn.utils import prune

layer = copy.deepcopy(model.bert.encoder.layer[0].intermediate.dense)
with torch.no_grad():
    magnitude = layer.weight.abs()
    threshold = magnitude.flatten().kthvalue(magnitude.numel() // 2).values
    mask, tied = magnitude > threshold, magnitude == threshold  # a tie may fall on either side
prune.l1_unstructured(layer, "weight", amount=0.5)
assert torch.equal(layer.weight_mask.bool() | tied, mask | tied)
print(f"the masks agree; {mask.float().mean():.1%} of the weights are kept")

# %% [markdown]
# It does. How many weights can we remove before the accuracy drops? We prune every linear layer of the encoder and
# measure on the validation set.


# %%
def pruned_copy(classifier: nn.Module, amount: float) -> nn.Module:
    sparse = copy.deepcopy(classifier)
    for module in sparse.bert.encoder.modules():
        if isinstance(module, nn.Linear):
            prune.l1_unstructured(module, "weight", amount=amount)
    return sparse


# %%
amounts = (0.0, 0.3, 0.5, 0.7)
sweep = [prediction.evaluate(pruned_copy(model, p), encoded.validation).accuracy for p in amounts]

# %% [markdown]
# Now we prune 60 %, and fine-tune the remaining weights on half of the training sentences.

# %% tags=["nbval-ignore-output"]
half = encoded.train.take(np.arange(0, len(encoded.train), 2))
sparse = pruned_copy(model, 0.6)
minutes = full_minutes + tune(sparse, 1e-4, texts=half, num_epochs=1)
repaired = prediction.evaluate(sparse, encoded.validation).accuracy
measure("60 % pruned", sparse, minutes=minutes, trained=full_trained)
print("pruned, not trained:", *(f"{p:.0%} {score:.3f}" for p, score in zip(amounts, sweep, strict=True)))
print(f"60% pruned, then fine-tuned: {repaired:.3f}")

# %% [markdown]
# A little pruning does no harm, then the accuracy falls. The last line shows how much of the loss a little training
# recovers. And what have we saved?

# %%
for module in sparse.bert.encoder.modules():
    if isinstance(module, nn.Linear):
        prune.remove(module, "weight")  # the zeros become part of the weight
zeros = (sparse.bert.encoder.layer[0].intermediate.dense.weight == 0).float().mean()
disk = table["60 % pruned"]["disk"] = megabytes(sparse.state_dict())
print(f"{zeros:.0%} zeros, and a file of {disk:.1f} MB")

# %% [markdown]
# Nothing. A zero takes four bytes like any other number, and is multiplied like any other number. So the file is as
# large as before, and the products take as long, as the table of section 9 will show. Unstructured pruning pays off only
# with file formats, kernels or hardware made for sparse matrices. Here it only shows how much of the model is
# redundant.
#
# ### Whole units at a time
#
# **Structured pruning** removes rows and columns, so the matrices really become smaller. Two thirds of an encoder
# layer's parameters are in its feed-forward part. With states $S \in \mathbb{R}^{T \times 384}$,
# $W_1 \in \mathbb{R}^{1536 \times 384}$ and $W_2 \in \mathbb{R}^{384 \times 1536}$:
#
# $$H = \operatorname{GELU}(S W_1^\top + b_1) \in \mathbb{R}^{T \times 1536}, \qquad \text{output} = H W_2^\top + b_2 .$$
#
# Each column of $H$ is a **unit**. Row $j$ of $W_1$ contains the input weights of unit $j$, column $j$ of $W_2$ its
# output weights. We use the product of the two norms as the importance of the unit, and keep the most important quarter
# of the units.


# %%
slim = copy.deepcopy(model)
for block in slim.bert.encoder.layer:
    first, second = block.intermediate.dense, block.output.dense
    ranked = (first.weight.norm(dim=1) * second.weight.norm(dim=0)).argsort(descending=True)
    keep = ranked[:384]
    first.weight.data, first.bias.data = first.weight.data[keep], first.bias.data[keep]
    second.weight.data = second.weight.data[:, keep].contiguous()
    first.out_features = second.in_features = slim.config.intermediate_size = 384

# %% tags=["nbval-ignore-output"]
measure("3/4 of the units gone", slim, minutes=full_minutes + tune(slim, 1e-4, texts=half, num_epochs=1))

# %% [markdown]
# The table will show a real speed-up, but far from a fourfold one, because attention and the embeddings are as they were. It costs
# accuracy, and fine-tuning on half of the sentences was not enough to recover it.
#
# ## 7 Distillation: a small model learns from a large one
#
# Instead of making a large model smaller, you can train a small **<abbr title="学生模型">student</abbr>** to give the same
# predictions as the large **<abbr title="教师模型">teacher</abbr>**. The teacher's probabilities contain more information
# than a label, for example *this one is 55 to 45*. A **temperature** $\tau > 1$ makes them even softer. With the logits
# $z$ of both models,
#
# $$p^\tau = \operatorname{softmax}(z^{\text{teacher}} / \tau), \qquad q^\tau = \operatorname{softmax}(z^{\text{student}} / \tau),$$
#
# and the loss is the Kullback-Leibler divergence, a sum over the classes $c$. It is zero when the two agree:
#
# $$L = \tau^2 \sum_c p_c^\tau \log \frac{p_c^\tau}{q_c^\tau} .$$


# %%
def distillation_loss(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the mean over the batch, for logits (B, C)."""
    p, q = (teacher / temperature).softmax(dim=1), (student / temperature).softmax(dim=1)
    return temperature**2 * (p * (p.log() - q.log())).sum(dim=1).mean()


# %%
teacher_z, student_z = torch.tensor([[1.0, -1.0]]), torch.tensor([[0.0, 0.5]], requires_grad=True)
q, p = (student_z / 2).log_softmax(dim=1), (teacher_z / 2).softmax(dim=1)
library = 2**2 * nn.functional.kl_div(q, p, reduction="batchmean")
torch.testing.assert_close(distillation_loss(student_z, teacher_z, 2.0), library)
print(f"by hand = kl_div = {library.item():.4f}")

# %% [markdown]
# Our training loop uses cross-entropy. Do we need another loop? No. The cross-entropy with soft labels differs from the
# divergence only by the teacher's entropy. This does not depend on the student, so the **gradient is the same**:

# %%
(wanted,) = torch.autograd.grad(distillation_loss(student_z, teacher_z, 2.0), student_z)
soft_cross_entropy = 2**2 * nn.functional.cross_entropy(student_z / 2, p)
(found,) = torch.autograd.grad(soft_cross_entropy, student_z)
torch.testing.assert_close(found, wanted)
print("the same gradient:", [round(value, 4) for value in found[0].tolist()])


# %% [markdown]
# So only two things are new: soft labels instead of labels, and logits divided by $\tau$. (The factor $\tau^2$ keeps
# the gradient's size when $\tau$ changes; Adam divides it out again.) The student starts with the teacher's first three
# layers. Since the teacher provides the labels, the student can also train on unlabelled sentences. It gets seven times
# as many, and sees each of them once.
#
# How much of its accuracy is due to the teacher? A second student with the same start and the same number of steps gets only
# the labelled sentences, with their labels: **the student alone**.


# %%
class Tempered(nn.Module):
    def __init__(self, classifier: nn.Module, temperature: float) -> None:
        super().__init__()
        self.classifier, self.temperature = classifier, temperature

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.classifier(input_ids, attention_mask=attention_mask).logits / self.temperature


more = data.load_splits("rotten_tomatoes", train_size=n_train and 7 * n_train).train
unlabelled = text.encode_wordpieces(more, tokenizer, max_length=28)
student = copy.deepcopy(model)
dropped = layers.keep_layers(student, [0, 1, 2])
alone = copy.deepcopy(student)

# %% tags=["nbval-ignore-output"]
started = time.perf_counter()
soft = batching.TokenDataset(unlabelled.input_ids, prediction.predict_proba(Tempered(model, 2.0), unlabelled))
teacher_minutes = (time.perf_counter() - started) / 60
print("soft labels:", soft.labels.shape, soft.labels[0].round(2))

# %% tags=["nbval-ignore-output"]
minutes = full_minutes + teacher_minutes + tune(Tempered(student, 2.0), 3e-4, texts=soft, num_epochs=1)
measure("3-layer student", student, minutes=minutes)
measure("3-layer student alone", alone, minutes=full_minutes + tune(alone, 3e-4, num_epochs=7))
pair = (table[f"3-layer student{kind}"]["correct"] for kind in ("", " alone"))
worth = evaluation.difference_interval(*pair, splits.test.blocks)
print(f"what the teacher is worth: {worth.points} points: {worth.verdict_within(0.02)}")

# %% [markdown]
# What the teacher adds is its soft labels: with them the student also learns from sentences that nobody has labelled.

# %% [markdown]
# ## 8 Simpler structures
#
# The cheapest way to get a small model is to start with one. We train the LSTM of notebook 03 and the TF-IDF with
# logistic regression of notebook 02 on the same sentences.

# %% tags=["nbval-ignore-output"]
tokens = (text.basic_english(sentence) for sentence in splits.train.texts)
vocabulary = text.Vocabulary.from_tokens(tokens, min_count=2)
words = data.Splits(*(text.encode_words(part, vocabulary, max_length=28) for part in splits))
torch.manual_seed(seed)
lstm = LSTMClassifier(len(vocabulary)).to(device)
lstm.embedding.weight.data.mul_(0.2)
lstm_config = training.TrainingConfig(num_epochs=6, learning_rate=3e-3, batch_size=16, seed=seed)
lstm_history = training.fit(lstm, words.train, words.validation, lstm_config, on_step=explorers.TrainingPanel())
measure("LSTM", lstm, minutes=lstm_history.seconds / 60, test=words.test)

# %% tags=["nbval-ignore-output"]
started = time.perf_counter()
vectoriser = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
regression = LogisticRegression(C=4, max_iter=1000).fit(vectoriser.fit_transform(splits.train.texts), splits.train.labels)
minutes = (time.perf_counter() - started) / 60
numbers, sixteen = np.concatenate([regression.coef_[0], vectoriser.idf_]), splits.test.texts[:16]
calls["TF-IDF + regression"] = lambda: regression.predict(vectoriser.transform(sixteen))
predictions, size = regression.predict(vectoriser.transform(splits.test.texts)), numbers.nbytes / 1e6
costs = {"minutes": minutes, "trained": regression.coef_.size + 1, "memory": size, "disk": size}
table["TF-IDF + regression"] = {"correct": predictions == splits.test.labels, **costs}  # without its vocabulary

# %% [markdown]
# ## 9 One table
#
# **Seconds** count all the training that a model needs: for the ONNX rows, the pruned models and the student they
# include the full fine-tuning they start from. **Memory** is that of weights, gradients and Adam during training, for
# the pruned model with its masks. The activations stored for the backward pass come on top. For LoRA and the
# cached layers, **disk** counts only the trained parameters; to use them you also need the checkpoint.

# %% tags=["nbval-ignore-output"]
blocks, reference = splits.test.blocks, table["full fine-tuning"]
calls["the same once more"] = calls["full fine-tuning"]  # two rows of one network: what can the ruler resolve?
times = milliseconds(calls)
scores = {name: evaluation.block_interval(row["correct"], blocks) for name, row in table.items()}
heads = f"{'seconds':>8} {'trained':>11} {'memory MB':>10} {'disk MB':>8}   ms/sentence (range)"
print(f"{len(blocks)} test sentences     {'accuracy (95 % interval)':25}{heads}")
for name, row in table.items():
    costs = f"{60 * row['minutes']:8.1f} {row['trained']:11,} {row['memory']:10.1f} {row['disk']:8.2f}"
    row["ms"] = np.median(times[name])
    print(f"{name:22} {scores[name]!s:25}{costs}   {row['ms']:.2f} ({times[name].min():.2f} to {times[name].max():.2f})")
print(f"full fine-tuning, timed once more: {np.median(times['the same once more']):.2f} ms")

# %% [markdown]
# Full fine-tuning is timed twice, and LoRA, once merged, is a network of the same size. So differences in time like those
# between these three are noise.
#
# Which of these models should you use? A model is out if another one is faster *and* more accurate. The others form the
# **Pareto front**: there you can only buy accuracy with time. The right picture shows the same for the megabytes on disk.

# %%
fig, axes = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True)
for ax, column, unit in ((axes[0], "ms", "ms for a sentence"), (axes[1], "disk", "MB on disk")):
    plots.accuracy_against_cost(ax, scores, {name: row[column] for name, row in table.items()}, unit=unit)
axes[0].set_title("Below the dotted line another model is better")
axes[1].set_title("Adapters are small on disk")
plots.show(fig, alt="Test accuracy with 95 percent interval of each model against milliseconds for a sentence, left, and megabytes on disk, right, both on log axes. "
           "A stepped line joins the models that no other model beats in both. Adapters are small on disk but as slow as full fine-tuning; the LSTM and TF-IDF are fastest by far.")  # fmt: skip

# %% [markdown]
# Look for LoRA in both pictures: merged, it is as slow as full fine-tuning, so what speaks for it is its megabytes.
#
# Read the table row by row, and do not rank models whose intervals overlap widely. Paired differences are again more precise:
# on the same sentences, how far is each model from full fine-tuning?

# %% tags=["nbval-ignore-output"]
gaps = {}
for name, row in table.items():
    gap = gaps[name] = evaluation.difference_interval(row["correct"], reference["correct"], blocks)
    within = "yes" if gap.low > -0.01 else "no" if gap.high < -0.01 else "undecided"
    print(f"{name:22} {gap.points:22} points; within 1 point: {within:11}; {reference['ms'] / row['ms']:6.1f} times as fast")

# %% [markdown]
# We set two goals before the first run:
#
# * **LoRA within 1 point** of full fine-tuning at 3 % of the parameters or less;
# * **<abbr title="量化">int8</abbr> or the student at least twice as fast within 1 point**.
#
# "Yes" means that the whole interval meets the goal, "no" that the whole interval misses it, and "undecided" is
# everything else. With this many sentences an interval is several points wide, unless two models give nearly the same
# predictions, like int8 and its original. Look at the rows of LoRA, int8 and the student before you read on. (Without
# ONNX Runtime you have no row of int8.)

# %%
print(claims.check_claim("08 accuracy of full fine-tuning", scores["full fine-tuning"].estimate))
for short, name in {"LoRA": "LoRA (peft)", "int8": "ONNX int8", "student": "3-layer student"}.items():
    if name in gaps:  # int8 is missing without ONNX Runtime
        print(claims.check_claim(f"08 {short} minus full fine-tuning", gaps[name].estimate))
    lost = 100 * np.array(claims.stored_values(f"08 {short} minus full fine-tuning"))
    print(f"    {short}, {len(lost)} seeds: {lost.mean():+.1f} points on average ({lost.min():+.1f} to {lost.max():+.1f})")

# %% [markdown]
# First the speed. The student has half of the layers and needs about half of the time, but the embeddings, the head and the
# overhead of each call remain. Whether int8 meets the goal depends on what you replace, as section 5 has shown.
#
# Then the accuracy. int8 changes few predictions, so its interval is narrow. For LoRA and the student
# one run is not enough, so read the lines with five seeds: where the mean is at most one point below zero, the model meets the
# goal **on average**. The numbers in brackets are the worst and the best seed. (Our first student had
# two layers and fewer sentences, and lost clearly more. Hence the third layer and seven times the sentences.)

# %% [markdown]
# **Exercise 08.4 (choice): reading the table.** A colleague's model already runs in bfloat16. She needs predictions
# that are twice as fast on the same laptop, and can give up one point of accuracy. What do you try first? Run the check
# to see the answers to choose from, then write the letter in quotes.


# %% tags=["exercise"]
my_first_try = ...


# %% tags=["check"]
checks.check("08.4", my_first_try)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
my_first_try_solution = "b"


# %% tags=["check"]
checks.check("08.4", my_first_try_solution, mine=False)  # the same check, on the solution above


# %% [markdown]
# **What was worth it here.** int8 needs a quarter of the disk space, with hardly any loss of accuracy. It also saves time
# where the processor has instructions for it (VNNI); without them it saves none. The cache gives the same training, and every further epoch is cheaper. LoRA
# gives a file of less than a megabyte for each task, and takes less than half of the memory for weights, gradients and
# Adam. Distillation gives a model that is about twice as fast, for half a point of accuracy on average of
# five seeds, and several times the training time.
#
# **What was not worth it here.** Unstructured pruning saved neither time nor space. Removing three quarters of the
# units costs several points. LoRA saves far less training time than
# the number of trained parameters suggests. bfloat16 needs hardware that not every laptop has, and where there is such
# hardware, int8 gains less over it than over float32.
#
# **The baselines.** TF-IDF and the LSTM train in seconds and predict in a fraction of the time of any encoder. If their
# accuracy is good enough for your purpose, you do not need the rest of this notebook.
#
# ## 10 Classic bug: the adapter without its head
#
# You save an adapter without the checkpoint, and load it into the same checkpoint on another machine. A frequent
# mistake is to save the `lora_` weights and forget the head. The loading code then creates a new head with random
# weights, without any error. We try this with twenty new heads.

# %% tags=["nbval-ignore-output"]
loaded = pretrained.load_classifier(seed=seed + 1).to(device)
LoraModel(loaded, lora_config, "default")
loaded.load_state_dict({k: v for k, v in adapter.items() if "lora_" in k}, strict=False)
trained_head = nn.Linear(384, 2)
trained_head.load_state_dict({k: adapter[f"classifier.{k}"] for k in ("weight", "bias")})
loaded.classifier = nn.Identity()  # gives the pooled states, (n, D)
pooled = prediction.predict_logits(loaded, encoded.validation)
heads = [trained_head, *(nn.Linear(384, 2) for _ in range(20))]
accuracies = [np.mean(head(pooled).argmax(dim=1).numpy() == encoded.validation.labels) for head in heads]
new = np.array(accuracies[1:])
print(f"with its head {accuracies[0]:.3f}")
print(f"with new heads {new.min():.3f} to {new.max():.3f}, mean {new.mean():.3f}")

# %% [markdown]
# Nothing crashes, and a new head may even be lucky. To catch this bug, load the saved file into a **fresh** model and
# check that it gives the same logits, as in notebook 06. With `peft.get_peft_model`, the option
# `modules_to_save=["classifier"]` saves the head too.
#
# ## Quiz
#
# Three questions to check what you remember.

# %% tags=["check"]
checks.quiz("08")

# %% [markdown]
# ## Summary
#
# * Ask which cost you want to lower: training time, training memory, milliseconds or megabytes. No method lowers all.
# * LoRA trains $W + \frac{\alpha}{r} B A$ with $W$ frozen. Merged, it costs nothing at prediction. It saves memory and
#   disk space, but here no training time.
# * Gradient accumulation gives the gradient of a large batch with the activations of a small one.
# * Frozen layers compute the same states in each epoch, so cache them.
# * int8 needs a scale for each channel. The smaller file costs hardly any accuracy. The speed depends on the hardware
#   and the library.
# * Zeros save nothing by themselves. Smaller matrices or a smaller student do.
# * Measure each saving where the model will run.
#
# **To think about.** How fast would an int8 student be? And would a student of a *better* teacher, trained on all sentences, be
# better too?
#
# **Next:** [09 Little data](09_little_data.ipynb) shows what to do when you have only a few labels.
