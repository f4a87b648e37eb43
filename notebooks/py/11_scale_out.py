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
# # 11 · Scale out
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/fine-tuning-course/fine-tuning-course/blob/v0.2.0/notebooks/11_scale_out.ipynb) · [words and terms 术语表](../docs/GLOSSARY.md)
#
# **What you will be able to do:** train one model with several processes on one machine or many; prove that they take the
# steps of one process with a larger batch; predict from bytes and seconds when another worker pays and when the network
# eats the gain; say what fits into the memory of a GPU; and start, restart and debug such a job.
#
# **Before you start:** notebooks 03 (the training loop), 06 (fine-tuning) and section 1 of 08 (memory, accumulation).
# **Time:** one hour to read and play; the code takes about two minutes.

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
import inspect
import json
import os
import subprocess
import sys
import time
from collections import Counter
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.data_loader import BatchSamplerShard
from IPython.display import Markdown, display
from safetensors.torch import load_file, save_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DistributedSampler

# %%
from course_utils import batching, claims, data, diagrams, files, layers, plots, prediction, pretrained, profiles, text
from course_utils.exercises import checks

plots.use_style()
profile, seed, device = profiles.get_profile(), profiles.get_seed(), Accelerator().device
smoke = profile.name == "smoke"

# %% [markdown]
# There are two reasons to train with several processes. A run **takes too long**: then each process computes a part of
# every batch. Or the model **does not fit** into one machine's memory: then each process keeps a part of the model. This
# notebook does both, on your machine and with real processes.
#
# Four words first. The processes of a job are called **workers**. Each has a number, its
# **<abbr title="进程编号">rank</abbr>** $r = 0, \dots, N - 1$, and $N$ is the **<abbr title="进程总数">world size</abbr>**. On a
# machine with GPUs there is usually one worker for each GPU. Here each worker gets one CPU core, and everything is
# computed in float32, so that only the order of additions can make a difference.
#
# ## 1 Averaged gradients are a large batch
#
# We take sentences of Rotten Tomatoes and MiniLM, with frozen embeddings and without dropout, as in notebook 06. `texts`
# contains $S$ batches of $B$ sentences, all padded to $T$ tokens.

# %%
num_steps, batch_size = (2, 8) if smoke else (6, 96)  # S, B
sizes = (64, 48, 70) if smoke else (1024, 300, 600)
splits = data.Splits(*map(data.evenly, data.load_splits("rotten_tomatoes"), sizes))
tokenizer = pretrained.load_tokenizer()
encoded = data.Splits(*(text.encode_wordpieces(part, tokenizer, max_length=32) for part in splits))
chosen = np.random.default_rng(seed).permutation(len(encoded.train))[: num_steps * batch_size]
rows = batching.collate([encoded.train[i] for i in chosen])
texts = {name: tensor.unflatten(0, (num_steps, batch_size)) for name, tensor in rows.items()}
print({name: tuple(tensor.shape) for name, tensor in texts.items()})


# %%
def fresh_model():
    model = pretrained.load_classifier(seed=0)  # without dropout
    model.bert.embeddings.requires_grad_(False)
    return model


def gradient(model, batch):
    """Return the gradient of the batch's mean loss, float (P,), P the number of trained parameters."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    loss = model(**batch).loss
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, trained)])


# %% [markdown]
# The loss of a batch is the mean of the losses $l_i$ of its sentences. Let worker $r$ take every $N$-th sentence from its
# rank on, and compute the gradient $g_r$ of its own mean loss. If all have equally many sentences, then
#
# $$\nabla \Big( \frac{1}{B} \sum_{i=1}^{B} l_i \Big) = \frac{1}{N} \sum_{r=0}^{N-1} g_r .$$
#
# So $N$ workers with batches of $B / N$ take the step of **one** worker with a batch of $B$. This is
# **<abbr title="数据并行">data parallel</abbr>** training. Here it is for two workers with two parameters:

# %%
diagrams.show(diagrams.data_parallel_step)

# %%
model = fresh_model()
first = {name: tensor[0] for name, tensor in texts.items()}  # (B, T) and (B,)
whole = gradient(model, first)
for N in (2, 4):
    shares = [gradient(model, {name: tensor[r::N] for name, tensor in first.items()}) for r in range(N)]
    torch.testing.assert_close(sum(shares) / N, whole, rtol=1e-3, atol=1e-5)
    print(f"{N} workers with {batch_size // N} sentences each: the mean gradient is that of {batch_size} sentences")

# %% [markdown]
# The assertion compares all parameters that are trained. One process that works through the shares one after the other,
# adds up their gradients and then takes a step would get the same: that is gradient accumulation (notebook 08). The three
# differ in what they cost. The large batch needs memory, accumulation needs time, and workers need machines.
#
# The equation needs shares of **equal size**. What if the last batch of an epoch has five sentences for two workers?

# %% tags=["nbval-ignore-output"]
five = {name: tensor[:5] for name, tensor in first.items()}
g0, g1 = (gradient(model, {name: tensor[r::2] for name, tensor in five.items()}) for r in range(2))  # 3 and 2 sentences
for name, mean in (("(g0 + g1) / 2", (g0 + g1) / 2), ("(3 g0 + 2 g1) / 5", (3 * g0 + 2 * g1) / 5)):
    error = (mean - gradient(model, five)).norm() / gradient(model, five).norm()
    print(f"{name:18} is off by {error:.1e} of the gradient's length")


# %% [markdown]
# The mean of means counts each sentence of the smaller share more. The remedy is a weight: each worker multiplies its
# mean loss by $N n_r / n$, where $n_r$ of the $n$ sentences of the batch are its own. `training.fit` does this, so that
# the result does not depend on the number of workers.

# %% [markdown]
# **Exercise 11.1 (complete): the mean over workers.** Write `mean_gradient(gradients, counts)`. You get the gradient of
# each worker's mean loss, a list of lists of numbers, and how many sentences each worker had. Return the gradient of the
# mean loss over all sentences, a list of numbers. For example, `mean_gradient([[1.0], [4.0]], [1, 2])` is `[3.0]`.


# %% tags=["exercise"]
def mean_gradient(gradients, counts):
    raise NotImplementedError


# %% tags=["check"]
checks.check("11.1", mean_gradient)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def mean_gradient_solution(gradients, counts):
    total = sum(counts)
    return [sum(n * g for n, g in zip(counts, column, strict=True)) / total for column in zip(*gradients, strict=True)]


# %% tags=["check"]
checks.check("11.1", mean_gradient_solution, mine=False)  # the same check, on the solution above

# %% [markdown]
# ## 2 How gradients travel: all-reduce
#
# Each worker has a vector, its gradient, and afterwards each needs the sum of all. This operation is called
# **<abbr title="全归约">all-reduce</abbr>**. The obvious way is to send all vectors to worker 0, which adds them up and
# sends the sum back. But then worker 0 receives $N - 1$ vectors and sends $N - 1$, and its cable is the bottleneck. The
# **ring** is better. Every worker talks to its right neighbour only, and the vector is split into $N$ chunks:

# %%
diagrams.show(diagrams.ring_all_reduce)


# %%
def ring_all_reduce(vectors):
    """Return what each worker has at the end, and how many numbers each has sent."""
    N, sent = len(vectors), 0
    chunks = [list(vector.tensor_split(N)) for vector in vectors]  # chunks[worker][c]
    for phase in ("reduce-scatter", "all-gather"):
        for step in range(N - 1):
            which = [(w - step + (phase == "all-gather")) % N for w in range(N)]
            messages = [chunks[w][which[w]] for w in range(N)]  # all send at the same time
            for w, message in enumerate(messages):
                right, c = (w + 1) % N, which[w]
                chunks[right][c] = chunks[right][c] + message if phase == "reduce-scatter" else message
            sent += len(messages[0])
    return [torch.cat(parts) for parts in chunks], sent


# %%
for N in (2, 4, 8, 64):
    vectors = torch.randn(N, 6400, generator=torch.Generator().manual_seed(N)).double()
    sums, sent = ring_all_reduce(vectors)
    torch.testing.assert_close(torch.stack(sums), vectors.sum(dim=0).expand(N, -1))
    print(f"{N:2} workers: each sends {sent / 6400:.2f} times the vector, worker 0 of the obvious way {N - 1} times")

# %% [markdown]
# In the first phase, **reduce-scatter**, a chunk travels around the ring and is added to at every stop. Then each worker
# has the complete sum of one chunk. In the second phase, **all-gather**, the finished chunks travel around once more.
# Each worker sends $2 (N - 1) / N$ times its vector: however many workers there are, it is never more than twice. That is
# why this scales. (Real libraries choose between several such algorithms, depending on sizes and cables.)

# %% [markdown]
# **Exercise 11.2 (predict): what is sent.** You fine-tune a model with 25 million trained parameters in float32, with 4
# workers and ring all-reduce. How many megabytes (millions of bytes) does each worker send in a step?

# %% tags=["exercise"]
my_megabytes = ...

# %% tags=["check"]
checks.check("11.2", my_megabytes)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
my_megabytes_solution = 2 * 3 / 4 * 25 * 4

# %% tags=["check"]
checks.check("11.2", my_megabytes_solution, mine=False)  # the same check, on the solution above

# %% [markdown]
# ## 3 Who reads which sentence?
#
# Gradients are averaged by the library. Who reads which sentence is decided by your **<abbr title="采样器">sampler</abbr>**,
# and here most bugs are. The sampler of each worker has to do three things: shuffle with the **same seed** as all others,
# take **its own** part of that order, and shuffle anew in every **epoch**.

# %%
diagrams.show(diagrams.shares_of_an_epoch)

# %%
for epoch in range(2):
    for rank in range(4):
        sampler = DistributedSampler(range(10), num_replicas=4, rank=rank, seed=1)
        sampler.set_epoch(epoch)
        print(f"epoch {epoch}, rank {rank}:", list(sampler))

# %% [markdown]
# That is torch's `DistributedSampler` for 10 sentences and 4 workers. `set_epoch` gives a new order; if you forget it,
# each epoch has the order of the first. Now count: 4 workers with 3 sentences are 12 sentences, so two of them come
# twice. All workers have to take equally many steps, because a worker without a batch would let the others wait forever.
#
# What do mistakes cost? We let 8 workers train, each with batches of 8 sentences. To be quick we train the top layer on
# cached states (notebook 07), and one process plays all workers. It may do so: section 1 has shown that a step of 8
# workers is a step with their joint batch of 64.

# %%
base, workers, share = pretrained.load_classifier(seed=0).to(device), 8, 1 if smoke else 8
states = data.Splits(*(layers.hidden_states(base, part, layer=5) for part in encoded))
template = layers.UpperLayers(base, 5, pooling="mean")
count = len(states.train)  # n


def train_top(batches, *, rate=1e-3, run_seed=0, factor=lambda step, total: 1 - step / total):
    torch.manual_seed(run_seed)
    top = copy.deepcopy(template).train()
    torch.nn.init.normal_(top.classifier.weight, std=0.02)
    optimizer = torch.optim.AdamW(top.parameters(), lr=rate)
    for step, indices in enumerate(batches):
        optimizer.param_groups[0]["lr"] = rate * factor(step, len(batches))
        batch = {name: tensor.to(device) for name, tensor in batching.collate([states.train[i] for i in indices]).items()}
        cross_entropy(top(batch["hidden_states"], batch["attention_mask"]), batch["labels"]).backward()
        optimizer.step()
        optimizer.zero_grad()
    return top


# %% [markdown]
# Three samplers, each a function from rank and seed to the sentences of one worker in one epoch. The second one gives
# every worker a seed of its own. The third one has forgotten that there are other workers.


# %%
def shuffled(run_seed):
    return np.random.default_rng(run_seed).permutation(count)


samplers = {
    "one order, shared": lambda rank, run_seed: shuffled(run_seed)[rank::workers],
    "an order for each": lambda rank, run_seed: shuffled(1000 * run_seed + rank)[rank::workers],
    "the same for all": lambda rank, run_seed: shuffled(run_seed)[: count // workers],
}


def epoch_of(sampler, run_seed):
    """Return the joint batches of all workers."""
    parts = np.stack([sampler(rank, run_seed) for rank in range(workers)])  # (workers, n / workers)
    return [parts[:, start : start + share].ravel() for start in range(0, parts.shape[1], share)]


# %% tags=["nbval-ignore-output"]
seeds = range(3 * seed, 3 * seed + (1 if smoke else 3))
tops, reached = {}, {}
for name, sampler in samplers.items():
    epochs = [epoch_of(sampler, run_seed) for run_seed in seeds]
    unread = np.mean([1 - len(set(np.concatenate(batches))) / count for batches in epochs])
    distinct = np.mean([len(set(batch)) for batches in epochs for batch in batches])
    tops[name] = [train_top(batches, run_seed=run_seed) for batches, run_seed in zip(epochs, seeds, strict=True)]
    reached[name] = [prediction.evaluate(top, states.validation) for top in tops[name]]
    loss, accuracy = np.mean([(one.loss, one.accuracy) for one in reached[name]], axis=0)
    print(f"{name:18} never read {unread:5.1%}, different sentences in a batch {distinct:4.1f}, "
          f"validation loss {loss:.3f}, accuracy {accuracy:.3f}")  # fmt: skip

# %% [markdown]
# All three run without an error, take the same number of steps and the same time. With an order for each, about a third
# of the sentences is never read, and others come several times: the chance that none of $N$ workers picks a sentence is
# $(1 - 1/N)^N$, about $1/e$. If all read the same, eight workers compute eight times the same gradient: they do the work
# of one, on an eighth of the sentences.

# %% tags=["nbval-ignore-output"]
pairs = zip(reached["one order, shared"], reached["the same for all"], strict=True)
lost = np.mean([shared.accuracy - same.accuracy for shared, same in pairs])
print(f"accuracy lost if all workers read the same: {lost:.3f}")
print(claims.check_claim("11 accuracy lost if all workers read the same", lost))

# %% [markdown]
# The symptom to watch is a loss curve that is as noisy with eight workers as with one. The test takes a line: print the
# first indices of each rank.
#
# **Evaluation** has the same problem in reverse. To give all workers equally many full batches, Accelerate reads
# sentences a second time. What does the accuracy become, if you count them twice? We take our test sentences and a
# trained model, and ask Accelerate's own sampler which sentences $N$ workers would read, in batches of 16.

# %% tags=["approx-0.05"]
right = prediction.evaluate(tops["one order, shared"][0], states.test).predictions == splits.test.labels
in_order_of_length = batching.LengthBucketSampler(states.test.lengths, batch_size=16)
print(f"{len(right)} sentences; accuracy if each counts once: {right.mean():.4f}")
for N in (2, 8, 32):
    shards = [BatchSamplerShard(in_order_of_length, N, rank) for rank in range(N)]
    read = np.concatenate([indices for shard in shards for indices in shard]).astype(int)
    twice = sum(times > 1 for times in Counter(read.tolist()).values())
    print(f"{N:2} workers read {len(read):4} sentences, {twice:3} of them again: accuracy {right[read].mean():.4f}")


# %% [markdown]
# The same model, the same sentences, and the number changes with the number of workers. Compare the last line with the
# first: a gain of that size would be called progress. So count every sentence once. `accelerator.gather_for_metrics`
# drops what was added, `training.fit` gives it the weight 0, and nobody averages the averages of the workers.

# %% [markdown]
# **Exercise 11.3 (debug): the sentences that nobody got.** `my_part(order, rank, size)` should return the part of a
# worker, a list: all sentences whose position in `order` is `rank`, `rank + size`, `rank + 2 * size` and so on, so that
# the parts of all workers together are the whole order. With the version below, some sentences are never read. Fix it.


# %% tags=["exercise"]
def my_part(order, rank, size):
    full = len(order) // size * size
    return order[rank:full:size]


# %% tags=["check"]
checks.check("11.3", my_part)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def my_part_solution(order, rank, size):
    return order[rank::size]


# %% tags=["check"]
checks.check("11.3", my_part_solution, mine=False)  # the same check, on the solution above

# %% [markdown]
# ## 4 Two processes
#
# Now for real. `torchrun` starts a script $N$ times and tells each copy its rank in environment variables.
# `init_process_group` reads them and connects the processes; **gloo** is the library that does so on CPUs. Then
# `DistributedDataParallel` (**DDP**) wraps the model: its `backward` averages the gradients. The rest is the loop that
# you know. Here is everything that a worker does:


# %%
def train_worker(folder):
    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    model, texts = DistributedDataParallel(fresh_model()), load_file(folder / "texts.safetensors")
    trained = {name: p for name, p in model.module.named_parameters() if p.requires_grad}
    optimizer, losses, seconds = torch.optim.AdamW(trained.values(), lr=1e-4), [], []
    for step in range(len(texts["labels"])):
        started = time.perf_counter()
        loss = model(**{name: tensor[step, rank::size] for name, tensor in texts.items()}).loss
        loss.backward()  # DDP sends gradients while the lower layers are still being computed
        if step == 0 and rank == 0:
            save_file({name: p.grad for name, p in trained.items()}, folder / f"gradients_{size}.safetensors")
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - started)
        mean = loss.detach() / size
        dist.all_reduce(mean)  # the sum over all ranks
        losses.append(mean.item())
        if rank == 0:
            print(f"world size {size}: step {step + 1}, loss {losses[-1]:.3f}, {seconds[-1]:.2f} s", flush=True)
    return {"losses": losses, "seconds": seconds, "all-reduce": time_all_reduce() if size > 1 else []}


# %% [markdown]
# Only rank 0 prints and writes; otherwise you would get everything $N$ times. A last function measures the network: how
# many seconds does an all-reduce of so many bytes take?


# %%
def time_all_reduce():
    """Return pairs: bytes of a vector, median seconds of its all-reduce."""
    found = []
    for megabytes in (0.1, 4, 16, 40):
        vector, times = torch.ones(int(megabytes * 1e6 / 4)), []
        for _ in range(6):
            dist.barrier()
            started = time.perf_counter()
            dist.all_reduce(vector)
            times.append(time.perf_counter() - started)
        found.append((vector.nbytes, sorted(times[1:])[2]))
    return found


# %% [markdown]
# A notebook is one process, so the functions have to go into a file. `launch` writes it, with the imports on top, starts
# `torchrun` and shows what rank 0 prints while it runs. You would write the file yourself, and type the command.

# %%
folder = files.kernel_folder("11")  # outputs/11, and another one if a second kernel runs this notebook
imports = """import json, os, sys, time
from functools import partial
from pathlib import Path
import torch, torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel
from course_utils import pretrained
"""
ending = """
found = {main}(Path(sys.argv[1]))
if dist.get_rank() == 0:
    Path(sys.argv[1], "found.json").write_text(json.dumps(found))
dist.destroy_process_group()
sys.stdout.flush()
os._exit(0)  # at once: while Python cleans up, a thread of gloo that still has to free a tensor would crash
"""


# %%
def launch(*functions, workers, restarts=0):
    """Run the last function in so many processes of one thread each, and return what it returned in rank 0."""
    script = folder / f"{functions[-1].__name__}.py"
    sources = [imports, *map(inspect.getsource, functions), ending.format(main=functions[-1].__name__)]
    script.write_text("\n\n".join(sources))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--redirects=2", f"--log-dir={folder}/logs"]
    options = [f"--nproc-per-node={workers}", f"--max-restarts={restarts}", str(script), str(folder)]
    with open(folder / "errors.txt", "w") as errors:
        settings = {"OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}  # new addresses after a restart
        pipes = {"stdout": subprocess.PIPE, "stderr": errors, "text": True}
        job = subprocess.Popen(torchrun + options, env=os.environ | settings, **pipes)
        for line in job.stdout:
            print(line, end="")
    if job.wait() != 0:
        said = (folder / "errors.txt").read_text()[-1500:]
        for line in [line for line in said.splitlines() if line.startswith("  rank ")][-1:]:  # named last: who failed first
            log = max(folder.glob(f"logs/*/attempt_*/{line.split()[2]}/stderr.log"), key=os.path.getmtime)
            said = log.read_text()[-1500:] + said[-400:]
        raise RuntimeError(f"A worker failed. The first one that failed said:\n{said}")
    return json.loads((folder / "found.json").read_text())


# %% [markdown]
# We run it with one process and with two, each with one thread, on the same batches. This takes about half a minute; much
# of that is loading torch.

# %% tags=["nbval-ignore-output"]
save_file(texts, folder / "texts.safetensors")
runs = {N: launch(fresh_model, time_all_reduce, train_worker, workers=N) for N in (1, 2)}

# %%
torch.testing.assert_close(runs[2]["losses"], runs[1]["losses"], rtol=0, atol=1e-5)
by_ddp = load_file(folder / "gradients_2.safetensors")  # in alphabetical order
by_ddp = torch.cat([by_ddp[name].flatten() for name, p in fresh_model().named_parameters() if p.requires_grad])
torch.testing.assert_close(by_ddp, whole, rtol=1e-3, atol=1e-5)
print(f"the same loss in all {num_steps} steps, to 5 decimals; the gradient of DDP = that of section 1, whole and averaged")

# %% [markdown]
# Now we have the same gradient three times: from one large batch, averaged by hand, and by DDP. And how much faster are
# two?

# %% tags=["nbval-ignore-output"]
step_seconds = {N: float(np.median(run["seconds"][1:])) for N, run in runs.items()}  # the first step pays for caches
speedup = step_seconds[1] / step_seconds[2]
for N, seconds in step_seconds.items():
    print(f"{N} process{'es' * (N - 1)}: {seconds:.2f} s a step, {batch_size / seconds:.0f} sentences a second")
display(Markdown(f"Two processes train **{speedup:.2f} times** as fast as one. What is missing to 2 is the time in which "
                 "gradients travel, smaller batches, and memory that both cores share."))  # fmt: skip

# %% [markdown]
# In your own work you rarely write `init_process_group`. Accelerate does it, and the same script runs in one process or
# many:
#
# ```python
# accelerator = Accelerator()
# model, optimizer, loader, schedule = accelerator.prepare(model, optimizer, loader, schedule)
# for batch in loader:                         # its part of each batch, on its device
#     loss = model(**batch).loss
#     accelerator.backward(loss)               # instead of loss.backward()
#     optimizer.step(); schedule.step(); optimizer.zero_grad()
# accelerator.print("done")                    # rank 0 only
# ```
#
# `training.fit` is such a program, so `torchrun --nproc-per-node 2 my_script.py` works with it as it is. One trap: on a
# machine **without a GPU** you have to write `Accelerator(cpu=True)`. Without it, Accelerate leaves the processes
# unconnected, and each of them trains alone, on everything, without a message.
#
# ## 5 Memory: what is where
#
# Data parallel training does not save memory: each worker has everything. What is "everything"? For each trained
# parameter in float32 there are 4 bytes for the weight, 4 for its gradient, and 8 for the two running means of Adam,
# together 16. The activations come on top, and grow with the batch. We measure them for MiniLM, as in notebook 08.


# %%
def kept_for_backward(model, batch):
    """Return the bytes that autograd keeps for the backward pass, weights not counted."""
    saved, weights = {}, {weight.data_ptr() for weight in model.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.update({t.data_ptr(): t.nbytes}) or t, lambda t: t):
        _output = model(**batch)  # keeps the graph until we have counted
    return sum(size for address, size in saved.items() if address not in weights)


# %% tags=["approx-0.1"]
everything = pretrained.load_classifier(seed=0)
P = sum(parameter.numel() for parameter in everything.parameters())
activations = kept_for_backward(everything, first)
print(f"MiniLM, P = {P / 1e6:.1f} million: weights {4 * P / 1e6:.0f} MB, gradients {4 * P / 1e6:.0f} MB, "
      f"Adam {8 * P / 1e6:.0f} MB,")  # fmt: skip
print(f"activations of {batch_size} sentences of {first['input_ids'].shape[1]} tokens {activations / 1e6:.0f} MB")
for name, size in (("BERT-base", 110e6), ("a 1 B model", 1e9), ("a 7 B model", 7e9), ("a 70 B model", 70e9)):
    print(f"{name:12} {16 * size / 1e9:7.1f} GB before the first activation")

# %% [markdown]
# A 7 B model needs 112 GB, more than a GPU of 80 GB has. (Mixed precision does not change the sum: 2 bytes for weights
# and 2 for gradients in bfloat16, but also 4 for a float32 copy of the weights.) Since all workers have the same, each
# could keep a **part**. That is **<abbr title="分片">sharding</abbr>**, in three stages (ZeRO; Rajbhandari and others,
# 2020):

# %%
diagrams.show(diagrams.sharded_states)

# %% [markdown]
# * **Stage 1** shards Adam's running means. Each worker updates its part of the weights and sends it to the others.
# * **Stage 2** shards the gradients too: reduce-scatter instead of all-reduce.
# * **Stage 3** shards the weights too. Before a layer computes, its weights are gathered (all-gather), and afterwards freed.
#   torch calls it **<abbr title="全分片数据并行">FSDP</abbr>**, fully sharded data parallel.
#
# How much does each rank of two keep? A worker takes one step in three ways, and counts the bytes of the tensors it has.


# %%
def count_bytes(how, texts):
    model, rank, size = pretrained.load_classifier(seed=0), dist.get_rank(), dist.get_world_size()
    if how == "FSDP":
        mesh = init_device_mesh("cpu", (size,))
        for part in (*model.bert.encoder.layer, model):  # each layer is gathered by itself, then what is around them
            fully_shard(part, mesh=mesh)
    else:
        model = DistributedDataParallel(model)
    AdamW = torch.optim.AdamW
    make = partial(ZeroRedundancyOptimizer, optimizer_class=AdamW) if how == "ZeRO 1" else AdamW
    optimizer = make(list(model.parameters()), lr=1e-4)
    model(**{name: tensor[0, rank::size] for name, tensor in texts.items()}).loss.backward()
    optimizer.step()
    adam = [s for state in getattr(optimizer, "optim", optimizer).state.values() for s in state.values()]
    tensors = {"weights": [*model.parameters()], "gradients": [p.grad for p in model.parameters()], "Adam": adam}
    found = {name: sum(getattr(t, "to_local", lambda t=t: t)().nbytes for t in part) for name, part in tensors.items()}
    after = model(**{name: tensor[1, rank::size] for name, tensor in texts.items()}).loss.detach()
    dist.all_reduce(after)
    return found | {"loss after": after.item() / size}


# %%
def memory_worker(folder):
    dist.init_process_group("gloo")
    texts = load_file(folder / "texts.safetensors")
    found = {how: count_bytes(how, texts) for how in ("DDP", "ZeRO 1", "FSDP")}
    everyone = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, found)
    return everyone


# %% tags=["nbval-ignore-output"]
by_rank = launch(count_bytes, memory_worker, workers=2)
print(f"{'':8} rank  weights gradients   Adam    sum (MB)   loss after a step")
for how in by_rank[0]:
    for rank, found in enumerate(by_rank):
        parts = [found[how][name] / 1e6 for name in ("weights", "gradients", "Adam")]
        print(f"{how:8} {rank:4} {parts[0]:8.0f} {parts[1]:9.0f} {parts[2]:6.0f} {sum(parts):6.0f}", end="")
        print(f"{found[how]['loss after']:20.5f}")

# %% [markdown]
# Is it really the same step?

# %%
after = [found[how]["loss after"] for found in by_rank for how in found]
torch.testing.assert_close(after, [after[0]] * len(after), rtol=0, atol=1e-4)
print("the same loss after the step, for all three and in both ranks")


# %% [markdown]
# Sharding changes where numbers are, not what is computed. With two ranks ZeRO 1 halves the part of Adam, and FSDP halves
# everything. With $N$ ranks it is a part of $1 / N$. Activations are not sharded. The price is traffic: FSDP gathers the
# weights twice, forward and backward, and reduce-scatters the gradients: three halves of what DDP sends.
#
# In the course, `device.shard(model)` wraps the layers as our worker does, and `training.fit` then trains that model. Call
# both in all processes. An evaluation, too, has to run in all of them, because every layer is gathered from all.

# %% [markdown]
# **Exercise 11.4 (complete): does it fit?** Write `gigabytes(billions, ranks, stage)`. You get the number of parameters
# in billions, the number of ranks and the stage: 0 (nothing is sharded), 1, 2 or 3. Return the gigabytes for weights (4
# bytes), gradients (4) and Adam (8) that each rank keeps. For example, `gigabytes(1, 4, 1)` is 10.


# %% tags=["exercise"]
def gigabytes(billions, ranks, stage):
    raise NotImplementedError


# %% tags=["check"]
checks.check("11.4", gigabytes)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def gigabytes_solution(billions, ranks, stage):
    adam, gradients, weights = 8, 4, 4
    if stage >= 1:
        adam /= ranks
    if stage >= 2:
        gradients /= ranks
    if stage >= 3:
        weights /= ranks
    return billions * (adam + gradients + weights)


# %% tags=["check"]
checks.check("11.4", gigabytes_solution, mine=False)  # the same check, on the solution above

# %% [markdown]
# ## 6 A cost model for $N$ workers
#
# A step has two parts. The computation $C$, in seconds on one worker, is shared. The all-reduce of $b$ bytes over a
# network of $\beta$ bytes a second is added, with a latency $\alpha$ for each of the $2 (N - 1)$ messages of the ring:
#
# $$t(N) = \frac{C}{N} + \frac{2 (N - 1)}{N} \cdot \frac{b}{\beta} + 2 (N - 1)\, \alpha .$$
#
# $C$ is the time of a step with one process. The two processes have timed their all-reduce, so a straight line through
# these times gives $\beta$ and $\alpha$. Then the model **predicts** the step of two processes, which it has not seen.

# %% tags=["nbval-ignore-output"]
C, b = step_seconds[1], 4 * len(whole)
measured_bytes, measured_seconds = np.array(runs[2]["all-reduce"]).T
slope, intercept = np.polyfit(measured_bytes, measured_seconds, 1)  # for N = 2 the factor 2 (N - 1) / N is 1
beta, alpha = 1 / slope, max(intercept, 0) / 2


def step_time(N, *, beta=beta, alpha=alpha, C=C, b=b):
    return C / N + 2 * (N - 1) / N * b / beta + 2 * (N - 1) * alpha


predicted, actual = step_time(2), step_seconds[2]
display(Markdown(f"$b$ = {b / 1e6:.0f} MB of gradients, $C$ = {C:.2f} s, $\\beta$ = {beta / 1e9:.2f} GB/s. Predicted for two "
                 f"processes: **{predicted:.2f} s** a step; measured: **{actual:.2f} s**, {actual / predicted - 1:+.0%}."))  # fmt: skip

# %% [markdown]
# What the model leaves out goes both ways. DDP sends while it computes, which hides traffic. But on a CPU the sending
# needs the same cores, two processes share one memory, and half a batch is computed less efficiently than a whole one.
#
# Now the question that you ask before you rent machines: how far can you go? We keep $C$ and $b$ and change the network.

# %%
networks = {"100 Gbit/s": (12.5e9, 1e-5), "10 Gbit/s": (1.25e9, 5e-5), "1 Gbit/s": (0.125e9, 2e-4)}
counts = np.array([1, 2, 4, 8, 16, 32, 64])
gains = {name: C / step_time(counts, beta=speed, alpha=delay) for name, (speed, delay) in networks.items()}
fig, ax = plt.subplots(figsize=(7, 3.4))
ax.plot(counts, counts, color="black", linewidth=0.8, linestyle=":", label="ideal")
plots.curves(ax, gains, x=counts)
ax.set(xscale="log", yscale="log", xlabel="workers N", ylabel="times as fast as one", xticks=counts, xticklabels=counts,
       yticks=counts, yticklabels=counts,
       title="The network decides how many workers pay")  # fmt: skip
ax.minorticks_off()
plots.show(fig, alt="Speed-up over one worker against the number of workers from 1 to 64, both on logarithmic axes, for "
           "networks of 100, 10 and 1 gigabit a second, below the dotted ideal line. The slower the network, the earlier its curve leaves the ideal line and flattens.")  # fmt: skip

# %% tags=["nbval-ignore-output"]
limits = {name: C * speed / (2 * b) for name, (speed, _) in networks.items()}
display(Markdown("The time of the all-reduce hardly depends on $N$, so the speed-up can never exceed $C \\beta / (2 b)$: "
                 + ", ".join(f"{limit:.1f} at {name}" for name, limit in limits.items()) + "."))  # fmt: skip

# %% [markdown]
# Three remedies follow from the formula. Make $C$ **larger**: give each worker the batch that you gave to one, or
# accumulate several batches before you send; then the same traffic is paid once for more sentences. Make $b$ **smaller**:
# LoRA (notebook 08) sends only the gradients of its small matrices, and bfloat16 halves what is left. Or buy $\beta$: the
# GPUs of one machine are joined by hundreds of gigabytes a second.

# %% [markdown]
# **Exercise 11.5 (predict): four slow machines.** A step takes 0.8 s on one machine, the gradients have 400 MB, and the
# network has 1 gigabyte (not gigabit) a second, with no latency. How many seconds does a step take on 4 machines?

# %% tags=["exercise"]
my_seconds = ...

# %% tags=["check"]
checks.check("11.5", my_seconds)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
my_seconds_solution = 0.8 / 4 + 2 * 3 / 4 * 400e6 / 1e9

# %% tags=["check"]
checks.check("11.5", my_seconds_solution, mine=False)  # the same check, on the solution above

# %% [markdown]
# ## 7 A larger batch needs another learning rate
#
# If each of $N$ workers keeps its batch, the joint batch is $N$ times as large, and an epoch has $N$ times fewer steps.
# With the old learning rate the model then learns less in an epoch. The **linear rule** (Goyal and others, 2017)
# multiplies the learning rate by $N$; it comes from plain gradient descent. For Adam the root $\sqrt N$ is common. We try
# both, for 8 workers, on the task of section 3: one epoch, three seeds.

# %%
eta, small = 4e-4, share  # the learning rate and batch of one worker
settings = {
    "1 worker": (small, eta),
    "8 workers, same rate": (8 * small, eta),
    "8 workers, rate × √8": (8 * small, eta * 8**0.5),
    "8 workers, rate × 8": (8 * small, eta * 8),
}

# %% tags=["nbval-ignore-output"]
scaled = {}
for name, (size, rate) in settings.items():
    orders = [np.array_split(shuffled(run_seed), count // size) for run_seed in seeds]
    trained = [train_top(batches, rate=rate, run_seed=run_seed) for batches, run_seed in zip(orders, seeds, strict=True)]
    scaled[name] = [prediction.evaluate(top, states.validation).loss for top in trained]
    print(f"{name:22} {count // size:3} steps, validation loss {np.mean(scaled[name]):.3f}")

# %%
fig, ax = plt.subplots(figsize=(7, 2.4))
for place, losses in enumerate(scaled.values()):
    ax.plot(losses, [place] * len(losses), plots.MARKERS[place], color=plots.COLOURS[place], markersize=7)
ax.set_yticks(range(len(scaled)), scaled)
ax.invert_yaxis()
ax.margins(y=0.2)
ax.set(xlabel="validation loss after one epoch", title="Eight times fewer steps need larger ones")
plots.show(fig, alt="Validation loss after one epoch, three seeds each, for one worker and for eight workers with the same "
           "learning rate, with root eight times and with eight times the rate. Eight workers with the same rate end higher than one worker.")  # fmt: skip

# %% [markdown]
# Each point is a seed. How much of the distance does each rule make up?

# %% tags=["nbval-ignore-output"]
behind = np.mean(scaled["8 workers, same rate"]) - np.mean(scaled["1 worker"])
catching_up = {name: 1 - (np.mean(losses) - np.mean(scaled["1 worker"])) / behind for name, losses in scaled.items()}
display(Markdown(f"At the same rate the large batch ends {behind:.3f} above the small one. "
                 f"With the root of 8 it makes up {catching_up['8 workers, rate × √8']:.0%} of that, with 8 times the "
                 f"rate {catching_up['8 workers, rate × 8']:.0%} (100 % is the loss of one worker)."))  # fmt: skip
print(claims.check_claim("11 loss of a batch 8 times as large at the same rate, minus that of the small one", behind))

# %% [markdown]
# Neither rule is a law. They say where to start the search (notebook 07), and that rates from a run with another batch
# size do not carry over. With a very large rate, a warm-up (notebook 10) keeps the first steps from destroying what
# pretraining has learned. Beyond some batch size nothing helps: the gradient has no noise left to average out.
#
# ## 8 When a worker dies
#
# The more machines, the more often one fails. A job of 100 machines that each fail once in 100 days fails once a day.
# `torchrun` notices, ends the other workers, and with `--max-restarts` starts **all** of them again. Where they go on is
# up to you: at the last checkpoint, or from the beginning. Such an <abbr title="弹性重启">elastic restart</abbr> is easy to
# try. This little job learns one number, $w$. Rank 1 crashes in step 8 of the first attempt.


# %%
def fragile_worker(folder):
    dist.init_process_group("gloo")
    rank, attempt, saved = dist.get_rank(), os.environ["TORCHELASTIC_RESTART_COUNT"], folder / "checkpoint.json"
    step, w = json.loads(saved.read_text()) if saved.exists() else (0, 0.0)
    if rank == 0:
        print(f"attempt {attempt} begins after step {step} with w = {w:.4f}", flush=True)
    while step < 12:
        gradient = torch.tensor(2 * (w - [2.0, 4.0][rank]))  # the targets of the two ranks are 2 and 4
        dist.all_reduce(gradient)
        step, w = step + 1, w - 0.2 * gradient.item() / 2
        if rank == 1 and attempt == "0" and step == 8:
            os._exit(1)  # gone, without a word
        if rank == 0 and step % 3 == 0:
            (folder / "new.json").write_text(json.dumps([step, w]))
            (folder / "new.json").replace(saved)  # whole or not at all
    return w


# %%
(folder / "checkpoint.json").unlink(missing_ok=True)
w_resumed = launch(fragile_worker, workers=2, restarts=1)
w_alone = 0.0
for _ in range(12):
    w_alone -= 0.2 * 2 * (w_alone - 3.0)  # the mean of the two losses has its minimum at 3
print(f"at the end w = {w_resumed:.4f}; without a crash {w_alone:.4f}")

# %% [markdown]
# Two steps were computed twice, and nothing else was lost. What `torchrun` writes when it gives up names the rank, its
# exit code and, if you decorate your `main` with `@record` (from `torch.distributed.elastic.multiprocessing.errors`), its
# error:

# %% tags=["nbval-ignore-output"]
report = [line for line in (folder / "errors.txt").read_text().splitlines() if "failed (exitcode" in line]
print(report[0].split("] ")[-1].split(" (pid")[0])

# %% [markdown]
# ## 9 Two machines, a cluster, GPUs
#
# **Two machines.** Type the same command on both. They meet at an address that both can reach, here port 29500 of the
# first:
#
# ```
# torchrun --nnodes 2 --nproc-per-node 8 --max-restarts 3 \
#          --rdzv-backend c10d --rdzv-endpoint first-machine:29500 --rdzv-id my-job  train.py
# ```
#
# With `--nnodes 1:4` the job is **elastic**: it starts when one machine is there, and begins anew from its checkpoint
# when others join or leave. `accelerate launch --num_machines 2 --machine_rank 0 --main_process_ip first-machine ...`
# does the same.
#
# **Slurm**, the queue of most clusters, gives you machines; `srun` starts the command on each of them:
#
# ```
# #SBATCH --nodes=2 --ntasks-per-node=1 --gpus-per-node=8 --cpus-per-task=64 --time=04:00:00 --requeue
# first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# srun torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint "$first:29500" \
#               --rdzv-id "$SLURM_JOB_ID" train.py
# ```
#
# **On GPUs** little changes, and Accelerate does it for you:
#
# | | CPU, here | GPUs |
# |---|---|---|
# | library that connects | `gloo` | `nccl` |
# | device of a worker | `cpu` | `cuda:LOCAL_RANK`, its rank on this machine |
# | precision | float32, for comparison | bfloat16 autocast; gradients travel in float32 or bfloat16 |
# | traffic | competes with computing | hidden behind the backward pass |
# | model too large | `fully_shard` | the same; `accelerate launch --use_fsdp` |
# | data | in memory | `num_workers` and `pin_memory`, or the GPUs wait for the disk |
#
# **If a job hangs**, one worker waits in an all-reduce that another one never reaches. The usual cause is `if rank == 0:`
# around something that all have to call, such as an evaluation that gathers, or saving a sharded model. Nothing happens
# until the time limit, 30 minutes with gloo. Keep that `if` around printing and writing only.
#
# ## 10 Classic bug: the schedule that runs N times as fast
#
# You know this loop from notebook 06. Its schedule counts the steps of the run, and is prepared by Accelerate:
#
# ```python
# num_steps = num_epochs * len(loader)         # after prepare: the steps that each worker takes
# schedule = get_linear_schedule_with_warmup(optimizer, warmup, num_steps)
# schedule = accelerator.prepare(schedule)
# ```
#
# By default, Accelerate's `schedule.step()` steps **once for each worker**, because it assumes that `num_steps` was
# counted before the batches were shared. It was counted afterwards here, so with 8 workers the learning rate reaches 0
# after an eighth of the run. In the other seven eighths nothing is learned. With one worker, where you have tested it,
# all is well.


# %%
def too_fast(step, total):
    return max(0.0, 1 - workers * step / total)


# %% tags=["nbval-ignore-output"]
losses = []
for run_seed in seeds:
    top = train_top(epoch_of(samplers["one order, shared"], run_seed), run_seed=run_seed, factor=too_fast)
    losses.append(prediction.evaluate(top, states.validation).loss)
as_intended = np.mean([one.loss for one in reached["one order, shared"]])  # trained in section 3
print(f"schedule as intended: validation loss {as_intended:.3f}; {workers} times as fast: {np.mean(losses):.3f}")
print(claims.check_claim("11 loss added by a schedule 8 times too fast", np.mean(losses) - as_intended))

# %% [markdown]
# The run ends without a warning, with a model that is only worse. Print the learning rate at the last step, it should
# just have reached 0. The remedy is to count before you prepare, or `Accelerator(step_scheduler_with_optimizer=False)`,
# which steps once. `training.fit` is tested for it: two processes have the learning rates of one.
#
# ## Quiz
#
# Three questions to check what you remember.

# %% tags=["check"]
checks.quiz("11")

# %% [markdown]
# ## Summary
#
# * $N$ workers that average their gradients take the step of one worker with a batch $N$ times as large. If shares differ in
#   size, weigh them by their sentences.
# * Ring all-reduce sends $2 (N - 1) / N$ times the gradients, however many workers there are.
# * All workers shuffle with one seed and take their own part. In evaluation every sentence counts once. Errors here give no
#   message, only worse models and wrong numbers.
# * Weights, gradients and Adam take 16 bytes a parameter. Sharding (ZeRO, FSDP) divides them by the number of ranks and
#   computes the same.
# * $t(N) = C / N$ plus traffic. Measure $C$ and the network, and predict before you rent.
# * A larger batch needs another learning rate, and a job of many machines needs checkpoints.
#
# **To think about.** You have two machines with a network of 1 Gbit/s between them, and a model that takes 10 seconds a
# step and has 400 MB of gradients. Is it better to share each step, or to run two seeds or two hyperparameters at the
# same time?
#
# **Next:** [12 Beyond classification](12_beyond_classification.ipynb): with the same seven steps you find names in sentences
# and answers in paragraphs.
