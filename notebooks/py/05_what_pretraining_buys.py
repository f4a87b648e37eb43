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
# # 05 · What pretraining buys
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/fine-tuning-course/fine-tuning-course/blob/v0.2.0/notebooks/05_what_pretraining_buys.ipynb) · [words and terms 术语表](../docs/GLOSSARY.md)
#
# **What you will be able to do:** say what BERT, RoBERTa and GPT were trained to do and compute each loss by hand, pretrain a
# small BERT and a small GPT, follow a longer pretraining from checkpoint to checkpoint and measure what it is worth once you
# fine-tune, and find out what a real checkpoint knows before you do.
#
# **Before you start:** notebooks 01 to 04. **Time:** 60 minutes to read and play; the code takes about four minutes.

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
import json
import re
import matplotlib.pyplot as plt
import numpy as np
import torch
from accelerate import Accelerator
from IPython.display import Markdown, display
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from tqdm.auto import tqdm
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer
from transformers import BertForMaskedLM, DataCollatorForLanguageModeling, GPT2Config, GPT2LMHeadModel

from course_utils import claims, data, diagrams, evaluation, explorers, layers, plots, prediction
from course_utils import pretrained, profiles, text, training
from course_utils.device import autocast, quiet_loading
from course_utils.exercises import checks
from course_utils.hub import HUB

plots.use_style()
profile, seed, device = profiles.get_profile(), profiles.get_seed(), Accelerator().device  # small examples stay on the CPU

# %% [markdown]
# ## 1 Two kinds of training
#
# In notebook 04 you built an encoder and filled it with the weights of a real checkpoint. Where do such weights come from, and why
# should they help with *our* task? In this notebook you follow a small BERT while it learns from nothing but text. At five points along
# the way we stop and ask two questions. How well does it fill in blanks? And if we fine-tune it now, how well does it
# distinguish praise from blame?
#
# **<abbr title="预训练">Pretraining</abbr>** trains a model on a large amount of text, with labels that come from the text itself.
# **Fine-tuning** continues from those parameters, with a few labelled examples of the task you care about.

# %%
diagrams.show(diagrams.pretraining_road)

# %% [markdown]
# Both roads end at a model for the same task, with the same few thousand labels. Only the start differs. The formula of notebook 01,
# $\min_w \frac{1}{n}\sum_i l(y_i, f(x_i; w))$, describes each kind of training in the drawing: the model $f$ answers $f(x_i; w)$ to input
# $x_i$, and $l$ is its loss against the label $y_i$. What changes is where the labels come from and where the weights $w$ start:
#
# | | pretraining | fine-tuning |
# |---|---|---|
# | input and label | a text with a hidden word, and that word | a review, and its class |
# | who writes the labels | nobody: they are in the text | people |
# | how much text | BERT: 3,300 million words | notebook 06: 5,600 sentences |
# | where $w$ starts | random numbers | where pretraining ended |
# | how often | once, by a team with many processors | for every task, in minutes |
#
# Older texts call pretraining "unsupervised" or "semi-supervised". Today's term is **self-supervised**, and it is the better one.
# Every prediction *has* a right answer, and the loss is the cross-entropy that any classifier uses, so pretraining is not
# <abbr title="无监督">unsupervised</abbr>. <abbr title="半监督">Semi-supervised</abbr> means something else: one task, with labels for
# some of the examples.
#
# The three best-known <abbr title="预训练模型">pretrained models</abbr> differ in what they have to predict:
#
# | model | sees | predicts | at which positions |
# |---|---|---|---|
# | BERT (2018) | both sides | which word is hidden here? Does one text follow the other? | 15 % of the tokens; each text in ten versions, made in advance |
# | RoBERTa (2019) | both sides | which word is hidden here? | 15 % of the tokens, chosen anew at every reading |
# | GPT (since 2018) | the left side only | which word comes next? | all |
#
# *Sources: Devlin et al. 2019 (arXiv:1810.04805), Liu et al. 2019 (arXiv:1907.11692), Radford et al. 2018 and 2019.*

# %% [markdown]
# ## 2 BERT's question: which word is hidden?
#
# We start with two sentences. For the tokens we use a tokenizer of our own: its WordPiece vocabulary of $V = 8{,}000$ was made from
# training reviews. It comes with the course, together with the small BERT of section 6.

# %%
folder = pretrained.checkpoint_path("small-bert")  # tokenizer and checkpoints; the SHA-256 of each file is checked
tokenizer = AutoTokenizer.from_pretrained(folder)
V, mask_id, sep_id = len(tokenizer), tokenizer.mask_token_id, tokenizer.sep_token_id
pair = ["guy gets girl , guy loses girl , audience falls asleep .", "bad company . bad movie . just plain bad ."]
batch = tokenizer(pair, padding=True, return_tensors="pt", return_special_tokens_mask=True)
input_ids, special = batch["input_ids"], batch["special_tokens_mask"].bool()  # (B, T); True at [CLS], [SEP] and padding
print("input_ids", tuple(input_ids.shape), tokenizer.convert_ids_to_tokens(input_ids[1]))

# %% [markdown]
# BERT chooses 15 % of the positions at random, but never the special tokens `[CLS]` and `[SEP]`. Of the chosen positions 80 % are
# replaced by `[MASK]`, 10 % by a random word, and 10 % stay as they are.


# %%
def hide_words(input_ids, special, mask_id, vocab_size, generator, rate=0.15, cover=0.8):
    """Return the ids (B, T) with some words hidden, and bool (B, T): True at the chosen positions."""
    chosen = torch.bernoulli(torch.full(input_ids.shape, rate).masked_fill(special, 0), generator=generator).bool()
    covered = torch.bernoulli(torch.full(input_ids.shape, cover), generator=generator).bool() & chosen
    swapped = torch.bernoulli(torch.full(input_ids.shape, 0.5), generator=generator).bool() & chosen & ~covered
    random_ids = torch.randint(vocab_size, input_ids.shape, generator=generator)
    hidden = torch.where(covered, mask_id, torch.where(swapped, random_ids, input_ids))
    return hidden, chosen


# %%
hidden, chosen = hide_words(input_ids, special, mask_id, V, torch.Generator().manual_seed(3))
for row in range(2):
    print(" ".join(tokenizer.convert_ids_to_tokens(hidden[row])))
    print("    the labels:", tokenizer.convert_ids_to_tokens(input_ids[row][chosen[row]]))

# %% [markdown]
# The labels are the original words at the chosen positions. (`##ics` is a piece from inside a word: here the random token.) In `transformers` a data collator does this. With the same seed it must
# agree with us at every position. It gives the label $-100$ to all positions that the loss should ignore.

# %%
collator = DataCollatorForLanguageModeling(tokenizer, seed=3)
collated = collator([tokenizer(sentence, return_special_tokens_mask=True) for sentence in pair])
labels = input_ids.masked_fill(~chosen, -100)
torch.testing.assert_close((hidden, labels), (collated["input_ids"], collated["labels"]))
print("the library hides the same words; labels of the second sentence:", labels[1].tolist())

# %% [markdown]
# Why not replace all chosen words by `[MASK]`? When you fine-tune, there is no `[MASK]` in the text. A model that only ever predicts at
# `[MASK]` would read the other words as hints, and would not need a good state at their own positions. With BERT's rule any visible
# word may be wrong, or may have to be predicted, so the model needs a good state at every position.
#
# ### The loss, at the chosen positions only
#
# A <abbr title="掩码语言模型">masked language model</abbr> gives $V$ logits $z_{j1}, \ldots, z_{jV}$ at each position $j$. Let
# $\mathcal{M}$ be the set of chosen positions and $t_j$ the id of the true token at position $j$. Then
#
# $$L = -\frac{1}{|\mathcal{M}|} \sum_{j \in \mathcal{M}} \log p_j(t_j), \qquad
# p_j(v) = \frac{e^{z_{jv}}}{\sum_{u=1}^{V} e^{z_{ju}}}.$$
#
# This is the cross-entropy of notebook 01 with $C = V$ classes. We compute it for a new BERT with random weights: 4 layers, $D = 128$,
# 4 heads. In section 5 we train this model.

# %% tags=["approx"]
config = AutoConfig.from_pretrained(min(folder.glob("step-*")))  # only the sizes, no weights
torch.manual_seed(seed)
new_bert = BertForMaskedLM(config).eval()
with torch.no_grad():
    output = new_bert(input_ids=hidden, attention_mask=batch["attention_mask"], labels=labels)
z = output.logits  # (B, T, V)
log_p = z - z.exp().sum(dim=2, keepdim=True).log()
by_hand = -log_p[chosen].gather(1, input_ids[chosen][:, None]).mean()
torch.testing.assert_close(by_hand, output.loss)
print("logits", tuple(z.shape), "- by hand = transformers, about", round(by_hand.item(), 1))

# %% [markdown]
# We know what an untrained loss should be: all $V$ words are about equally likely, so it is near $\log V = \log 8{,}000 = 9.0$.
# Losses of language models are often given as **<abbr title="困惑度">perplexity</abbr>**, $e^L$. The model is as uncertain as if it had
# to choose among that many equally likely words. Here that is the whole vocabulary.

# %% [markdown]
# **Exercise 05.1 (complete): the probability of a hidden word.** Write `probability_of(logits, token_id)`. You get the logits at one
# hidden position, float $(V,)$, and the id of a token. Return the probability $p_j(v)$ that the model gives to this token, a number. For
# example, four equal logits give each token 0.25.


# %% tags=["exercise"]
def probability_of(logits, token_id):
    raise NotImplementedError


# %% tags=["check"]
checks.check("05.1", probability_of)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def probability_of_solution(logits, token_id):
    powers = logits.exp()
    return powers[token_id] / powers.sum()


# %% tags=["check"]
checks.check("05.1", probability_of_solution, mine=False)  # the same check, on the solution above


# %% [markdown]
# ## 3 What RoBERTa changed
#
# RoBERTa has BERT's architecture. Its authors asked how much better the same model gets if you only train it better. They used ten
# times as much text, batches of 8,000 texts instead of 256, and changed the objective in two ways:
#
# 1. **<abbr title="动态掩码">Dynamic masking</abbr>.** BERT's hidden words were chosen when the data were prepared (*static masking*). So
#    that they would not always be the same, every text was put in ten times, each time with other words hidden. In 40 epochs BERT saw
#    each of the ten versions four times. RoBERTa chooses anew whenever it reads a text, so in 40 epochs it sees 40 different choices.
# 2. **No second task.** BERT also had to predict whether one text follows another (*next-sentence prediction*). RoBERTa left
#    that out and did as well or a little better. Most later encoders left it out too.
#
# How many words are never hidden? After $k$ independent choices a word has been hidden at least once with probability $1 - 0.85^k$:

# %%
for k, scheme in ((1, "one choice, kept for ever"), (10, "BERT, ten choices"), (40, "RoBERTa, 40 epochs")):
    print(f"{scheme:26} {1 - 0.85**k:6.1%} of the words are hidden at least once")

# %% [markdown]
# With ten choices about a fifth of the words are never hidden, however long BERT trains. With dynamic masking nearly every word
# gets its turn. In RoBERTa's experiments this alone gained little, but it costs nothing, so it is the rule today. `hide_words` does it:
# we call it anew for every batch.
#
# ## 4 GPT's question: which word comes next?
#
# GPT predicts every token from those before it. The labels are the input, shifted by one position. No position may attend to
# its right, because the answer is there: this is the causal mask of notebook 04. Here are both models side by side once more:

# %%
diagrams.show(diagrams.masked_and_causal)

# %% [markdown]
# BERT reads the whole text and answers at the hidden positions only. GPT answers at every position, from what came before. So a text of $T$
# tokens $t_1, \ldots, t_T$ gives $T - 1$ predictions:
#
# $$L = -\frac{1}{T-1} \sum_{j=1}^{T-1} \log p(t_{j+1} \mid t_1, \ldots, t_j).$$
#
# We make a GPT of the same size as our BERT and compute its loss on the first sentence.

# %% tags=["approx"]
T, no_dropout = 128, {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}  # like our BERT
sizes = {"n_embd": 128, "n_layer": 4, "n_head": 4, "n_positions": T, "bos_token_id": sep_id, "eos_token_id": sep_id}
torch.manual_seed(seed)
new_gpt = GPT2LMHeadModel(GPT2Config(vocab_size=V, **sizes, **no_dropout)).eval()
new_gpt.loss_type = "ForCausalLM"  # transformers cannot infer it from the name of the class, and would warn
one = input_ids[:1]  # (1, T), without padding
with torch.no_grad():
    output = new_gpt(input_ids=one, labels=one)
log_p = output.logits.log_softmax(dim=2)
by_hand = -log_p[:, :-1].gather(2, one[:, 1:, None]).mean()  # the logits at position j predict token j + 1
torch.testing.assert_close(by_hand, output.loss)
print("next-token loss by hand = transformers, about", round(by_hand.item(), 1))

# %% [markdown]
# Note that `labels` are the input itself: the library shifts them by one position. Who sees what can be tested from outside. We replace
# the full stop before `[SEP]` by another word, and look at which positions the prediction changes (`x`).

# %%
other = one.clone()
other[0, -2] = tokenizer.convert_tokens_to_ids("again")
for name, model in (("GPT", new_gpt), ("BERT", new_bert)):
    with torch.no_grad():
        changed = (model(input_ids=one).logits - model(input_ids=other).logits).abs().amax(dim=2)[0] > 1e-6
    print(f"{name:5}", " ".join("x" if change else "." for change in changed))

# %% [markdown]
# In GPT only the predictions at the changed position and to its right change. In BERT all of them do. So GPT can write a
# text one word after the other, and it learns from every token. BERT sees both sides, which helps to *understand* a sentence that is
# already there, but it learns from only 15 % of the tokens it reads.

# %% [markdown]
# **Exercise 05.2 (predict): who sees the future.** Another sentence has ten tokens, and the fourth is replaced by another word.
# At how many of the ten positions can the prediction change, in GPT and in BERT? Write down two numbers.

# %% tags=["exercise"]
my_places = ...  # (GPT, BERT)

# %% tags=["check"]
checks.check("05.2", my_places)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
my_places_solution = (7, 10)  # (GPT, BERT)

# %% tags=["check"]
checks.check("05.2", my_places_solution, mine=False)  # the same check, on the solution above


# %% [markdown]
# ## 5 Pretrain both for half a minute
#
# Which of the two learns faster from the same text? Our text is the training reviews of IMDB, **without their labels**. We join them
# into one long stream, with a `[SEP]` after each review, and divide it into windows of $T = 128$ tokens. So there is no padding.


# %%
def windows_of(part) -> torch.Tensor:
    """Return int64 (n, T): the texts of a part one after the other, a [SEP] after each, divided into windows."""
    encoded = tokenizer([review.replace("<br />", " ") for review in part.texts], add_special_tokens=False, verbose=False)
    stream = torch.tensor([i for ids in encoded["input_ids"] for i in (*ids, sep_id)])
    return stream[: len(stream) // T * T].reshape(-1, T)


# %%
reviews = data.load_splits("imdb", train_size=profile.reviews_train)
corpus = windows_of(data.evenly(reviews.train, min(4_000, len(reviews.train))))
unseen = windows_of(data.evenly(reviews.validation, 100))
unseen_hidden, unseen_chosen = hide_words(unseen, unseen == sep_id, mask_id, V, torch.Generator().manual_seed(0), cover=1.0)
print(f"corpus {tuple(corpus.shape)}, unseen {tuple(unseen.shape)} with {int(unseen_chosen.sum()):,} masked words")

# %% [markdown]
# First the two baselines of notebook 04. Uniform guessing has the loss $\log V$. If you predict each word by its frequency, without
# reading the text, you get the **unigram** loss. Only a model that falls below it has learned from context. To measure this we use
# reviews that no model has seen, and put `[MASK]` at every chosen word.

# %%
frequency = np.bincount(corpus.flatten(), minlength=V) + 0.1  # no word is impossible
unigram = -np.log(frequency / frequency.sum())[unseen[unseen_chosen]].mean()
print(f"uniform guessing: loss {np.log(V):.2f}; unigram baseline: loss {unigram:.2f}, perplexity {np.exp(unigram):.0f}")

# %% [markdown]
# Now the two losses. Both models read the same windows in the same order; BERT predicts the chosen words, GPT every next word.


# %%
def masked_loss(model, ids, generator, everywhere: bool = False):
    hidden, chosen = hide_words(ids, ids == sep_id, mask_id, V, generator)
    counted = torch.ones_like(chosen) if everywhere else chosen  # everywhere is the bug of section 11
    states = model.bert(hidden.to(device)).last_hidden_state  # (B, T, D)
    logits = model.cls(states[counted.to(device)])  # the output layer only where it is needed: (chosen, V)
    return nn.functional.cross_entropy(logits.float(), ids[counted].to(device))


# %%
def next_token_loss(model, ids, generator):
    return model(input_ids=ids.to(device), labels=ids.to(device)).loss


# %% [markdown]
# The loop is the one of notebook 03 once more, with the loss as an argument:


# %%
def pretrain(model, loss_of, num_steps, batch_size=8, learning_rate=2e-3, **options) -> list[float]:
    generator, losses = profiles.set_seed(seed), []
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=learning_rate)
    schedule = training.linear_schedule(optimizer, num_steps=num_steps)
    for _ in tqdm(range(num_steps), desc="pretraining"):
        rows = torch.randint(len(corpus), (batch_size,), generator=generator)
        with autocast(device):  # bfloat16 where that is fast
            loss = loss_of(model, corpus[rows], generator, **options)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    model.eval()
    return losses


# %% [markdown]
# The next cell trains both. It takes less than a minute on two cores.

# %% tags=["nbval-ignore-output"]
print(f"BERT has {new_bert.num_parameters():,} parameters, GPT {new_gpt.num_parameters():,}")
curves = {"BERT": pretrain(new_bert.to(device), masked_loss, profile.pretraining_steps)}
curves["GPT"] = pretrain(new_gpt.to(device), next_token_loss, profile.pretraining_steps)

# %%
fig, ax = plt.subplots()
for i, (name, losses) in enumerate(curves.items()):
    ax.plot(plots.smooth(losses), color=plots.COLOURS[i], linestyle=["-", "--"][i], label=name)
ax.axhline(unigram, color="black", linestyle=":", linewidth=1.2, label="unigram baseline")
ax.set(xlabel="step (8 windows of 128 tokens)", ylabel="loss where it predicts, mean of 20 steps")
bert_loss, gpt_loss = (np.mean(losses[-50:]) for losses in curves.values())
ax.set_title(f"After half a minute: BERT at {bert_loss:.1f}, GPT at {gpt_loss:.1f}")
ax.legend()
plots.show(fig, alt="Training losses of a small BERT and a small GPT over the steps. Both start at log V and fall steeply at first; a dotted line "
           "marks the unigram baseline.")  # fmt: skip

# %% tags=["nbval-ignore-output"]
display(Markdown(f"At the end BERT's loss at the chosen words is **{bert_loss:.2f}** and GPT's at the next word **{gpt_loss:.2f}**; the unigram baseline "
                 f"has {unigram:.2f}. In every window GPT was asked {T - 1} questions, BERT about {0.15 * T:.0f}."))  # fmt: skip

# %% [markdown]
# Compare each curve with the baseline, not with the other curve: the two losses measure different tasks. GPT has the easier start. It is
# asked more than six times as often, and the word just before is nearly always a good hint. BERT has to find out *where to look* for
# a hint before it can do better than word frequencies. Half a minute is far too short for either.
#
# ## 6 A longer pretraining
#
# So we let a masked model run for more than an hour, with `python -m bench.pretrain`. It has the same loss, the same kind of loop, and
# as its text all training reviews of both data sets, without labels. One thing helps it to find out where to look: in the first quarter
# of the run every other batch is made of short windows of 16 tokens. There the word before a blank is one of 16 and not one of
# 128, so it is easier to find. (For the same reason its position vectors start as sines and cosines, where neighbours are
# alike.) In our first attempt, without these two, the loss was still at 6.1 after 3,000 steps.
#
# Five times along the way the run saved its weights. These <abbr title="检查点">checkpoints</abbr> come with the course, and you load each
# of them as you would load any other model.

# %%
record = json.loads((folder / "training.json").read_text())
steps = sorted(int(step) for step in record["unseen_losses"])
tokens_a_step = record["batch_size"] * record["window"]
names = {0: "untrained"} | {step: f"{100 * step / record['steps']:.0f} %" for step in steps}
print(f"{record['steps']:,} steps of {tokens_a_step:,} tokens in {record['seconds'] / 60:.0f} minutes: "
      f"{record['steps'] * tokens_a_step / record['tokens_of_text']:.0f} passes over {record['tokens_of_text'] / 1e6:.1f} million tokens")  # fmt: skip


# %%
def load(step: int, auto_class=AutoModelForMaskedLM, start: int = seed):
    """Return the model as it was after so many steps. What is not in a checkpoint is random, and after 0 steps all of it."""
    torch.manual_seed(start)
    if step == 0:
        return auto_class.from_config(config, dtype=torch.float32).to(device).eval()
    with quiet_loading():
        model = auto_class.from_pretrained(folder, subfolder=f"step-{step:06d}", dtype=torch.float32)
    return model.to(device).eval()


# %%
@torch.no_grad()
def on_unseen(model) -> tuple[float, float]:
    """Return the loss at the masked words of unseen reviews, and the share of them that is predicted exactly."""
    logits = model.cls(model.bert(unseen_hidden.to(device)).last_hidden_state[unseen_chosen.to(device)])  # (masked words, V)
    truth = unseen[unseen_chosen].to(device)
    return nn.functional.cross_entropy(logits, truth).item(), (logits.argmax(1) == truth).float().mean().item()


# %% [markdown]
# How well does each checkpoint predict the masked words of the unseen reviews?

# %% tags=["approx"]
measured = {step: on_unseen(load(step)) for step in (0, *steps)}
table = ["| of the run | steps | loss, unseen reviews | perplexity | masked words predicted |", "|---|--:|--:|--:|--:|"]
table += [f"| {names[s]} | {s:,} | {loss:.2f} | {np.exp(loss):,.0f} | {hit:.1%} |" for s, (loss, hit) in measured.items()]
display(Markdown("\n".join(table)))

# %% tags=["nbval-ignore-output"]
unseen_losses, (_, hits) = [measured[step][0] for step in steps], measured[steps[-1]]
display(Markdown(f"At the end the model is as uncertain as if it chose among {np.exp(unseen_losses[-1]):,.0f} words. Guessing by frequency would be {np.exp(unigram):,.0f}. "
                 f"It predicts {hits:.0%} of the masked words exactly. The last doubling of the text still saved {unseen_losses[-2] - unseen_losses[-1]:.2f}."))  # fmt: skip

# %% [markdown]
# Here is the training loss of the whole run. The dots are the checkpoints, measured on the unseen reviews.

# %%
fig, ax = plt.subplots()
read = tokens_a_step * record["losses_every"] * np.arange(1, len(record["losses"]) + 1)
ax.plot(read, record["losses"], color=plots.COLOURS[0], linestyle="-", linewidth=1, label="training loss")
ax.plot(tokens_a_step * np.array(steps), unseen_losses, "o", color=plots.COLOURS[1], label="checkpoints, unseen reviews")
ax.axhline(unigram, color="black", linestyle=":", linewidth=1.2, label="unigram baseline")
ax.set(xscale="log", xlabel="tokens read (log axis)", ylabel="loss at hidden words")
ax.set_title(f"From the first checkpoint to the last the loss goes from {unseen_losses[0]:.1f} to {unseen_losses[-1]:.1f}")
ax.legend()
plots.show(fig, alt="Training loss of the small BERT over the tokens read, on a log axis, with five dots for the checkpoints, measured on unseen "
           "reviews, and the unigram baseline as a dotted line. The curve starts near log V and falls.")  # fmt: skip

# %% [markdown]
# Where the curve is flat and close to the dotted line, the model has learned how frequent each word is and has not yet found out where to
# look. The axis is logarithmic, so the same distance always means twice the text. Large language models gain a little
# with every doubling over many orders of magnitude (Kaplan and others, 2020). That is why they are trained on so much text, and why
# each gain is more expensive than the one before. (The dots lie above the curve for two reasons: for them every chosen word is a
# `[MASK]`, while in training 10 % stay visible; and the model has read the training reviews many times, but these reviews never. The
# learning rate also matters: it falls to 0 towards the end, which helps the last checkpoint most.)
#
# ### Fill in the blanks
#
# What do these losses look like? For each blank we print the three most probable words, checkpoint by checkpoint, and the probability of
# one word that would fit.

# %%
blanks = {"what a waste of [MASK] !": "time", "it is set in [MASK] york city .": "new", "i would not [MASK] this film to anyone .": "recommend",
          "the acting is wonderful and i laughed a lot . this film is [MASK] .": "great",
          "the acting is terrible and i fell asleep . this film is [MASK] .": "great"}  # fmt: skip


# %%
@torch.no_grad()
def fill(model) -> list[torch.Tensor]:
    """Return for each sentence the probability of each word at the blank, float (V,)."""
    ids = [tokenizer(sentence, return_tensors="pt")["input_ids"].to(device) for sentence in blanks]  # (1, T) each
    return [model(one).logits[one == mask_id][0].softmax(dim=0).cpu() for one in ids]


# %% tags=["nbval-ignore-output"]
filled = {step: fill(load(step)) for step in (0, *steps)}
for i, (sentence, word) in enumerate(blanks.items()):
    print(sentence)
    for step, p in filled.items():
        top = ", ".join(tokenizer.convert_ids_to_tokens(p[i].topk(3).indices.tolist()))
        print(f"    {names[step]:>9}: {top:32} {word}: {p[i][tokenizer.vocab[word]]:.1%}")
praised, blamed = (p[tokenizer.vocab["great"]] for p in filled[steps[-1]][-2:])
print(f"At the end great is {praised / blamed:.1f} times as probable after the praise as after the blame.")

# %% [markdown]
# Read each block from top to bottom. Untrained, the answers are random. After that ask three questions. Are these just the most frequent words,
# whatever the sentence? Does the *kind* of word fit, such as a verb after "would not"? Is a fixed phrase completed, which takes
# two or three words of context? The last two sentences ask for more: only what the reviewer said *before* decides about "great". If the
# number in the last line is near 1, the model does not use it.
#
# **Move the slider** from checkpoint to checkpoint: you see the five most probable words at each blank, beside the loss.

# %% tags=["nbval-ignore-output"]
along = []
for step, at_blanks in filled.items():
    best_five = [p.topk(5) for p in at_blanks]
    pairs = [
        zip(tokenizer.convert_ids_to_tokens(top.indices.tolist()), top.values.tolist(), strict=True) for top in best_five
    ]
    blanks_filled = dict(zip(blanks, map(list, pairs), strict=True))
    along.append(explorers.Checkpoint(names[step], step * tokens_a_step, measured[step][0], blanks_filled))
explorers.pretraining_explorer(along)

# %% [markdown]
# After 20 % of the run "new" has 67 % at "york", while the loss is still 4.8. "Recommend" comes first after 50 %. And only at
# the end do the last two sentences get different words, "great" with 24 % and "terrible" with 13 %.
#
# ### Go on for half a minute
#
# You can continue from any checkpoint. We take the third, after 20 % of the run, with the loop above and a fresh optimizer, and measure
# again on the unseen reviews.

# %% tags=["nbval-ignore-output"]
more_steps = max(profile.pretraining_steps // 2, 2)
continued = load(steps[2])
pretrain(continued, masked_loss, more_steps, batch_size=32, learning_rate=1e-3)
after, _ = on_unseen(continued)
display(Markdown(f"{more_steps:,} more steps: the loss goes from {unseen_losses[2]:.2f} to **{after:.2f}**. The long run was at {unseen_losses[3]:.2f} after "
                 f"{steps[3] - steps[2]:,} more steps."))  # fmt: skip
print(claims.check_claim("05 loss that half a minute more saves, unseen words", unseen_losses[2] - after))

# %% [markdown]
# What such a short run gains comes partly from its learning rate, which falls to 0 within these few steps. Small last steps let the
# weights settle.
#
# ## 7 What did that run buy?
#
# Filling in blanks is not our goal. We want to classify sentences of Rotten Tomatoes, with few labels, and measure every checkpoint in
# two ways:
#
# * A **<abbr title="探针">probe</abbr>**: the model is frozen. The mean of its states gives the <abbr title="特征">features</abbr> of a
#   sentence, and logistic regression predicts the sentiment from them. It shows what a linear model can find in the states already.
# * **Fine-tuning**: every weight is trained with `training.fit`, the loop of notebook 03.
#
# We use three seeds. A seed decides which sentences are labelled, and the initial weights of the new head.

# %%
sentences = data.load_splits("rotten_tomatoes", train_size=profile.sentences_train, test_size=profile.test_size)
longest, test_labels, blocks = profile.sentences_max_length, sentences.test.labels, sentences.test.blocks
sentences = sentences._replace(
    validation=data.evenly(sentences.validation, 400)
)  # enough to choose the best of three epochs
train, validation, test = (text.encode_wordpieces(part, tokenizer, max_length=longest) for part in sentences)
num_labels = min(1_000, len(sentences.train) // 2)
drawn = [np.random.default_rng(3 * seed + run).permutation(len(sentences.train))[:num_labels] for run in range(3)]
probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=2000))
word_counts = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=4, max_iter=1000))

# %% [markdown]
# The first two functions return the predictions on the test set for one checkpoint and one draw of labelled sentences. The third draws dots
# with their intervals.


# %%
def probed(step: int, rows: np.ndarray, run: int) -> np.ndarray:
    encoder = load(step, AutoModel, start=3 * seed + run)
    on_train, on_test = (layers.sentence_features(encoder, part) for part in (train.take(rows), test))
    return probe.fit(on_train, train.labels[rows]).predict(on_test)


# %%
def tuned(step: int, rows: np.ndarray, run: int) -> np.ndarray:
    tuning = training.TrainingConfig(
        num_epochs=3, learning_rate=5e-4, batch_size=16, mixed_precision="no", seed=3 * seed + run
    )
    model = load(step, AutoModelForSequenceClassification, start=tuning.seed)  # it gets a new head
    training.fit(model, train.take(rows), validation, tuning, on_step=lambda history: None)
    return prediction.evaluate(model, test).predictions


# %%
def draw_intervals(ax, intervals, i: int, label: str) -> None:
    low, middle, high = np.array([(one.low, one.estimate, one.high) for one in intervals]).T
    style = {"color": plots.COLOURS[i], "fmt": plots.MARKERS[i] + "-", "label": label}
    ax.errorbar(np.arange(len(middle)) + 0.08 * i, middle, (middle - low, high - middle), **style)


# %% [markdown]
# The untrained model is measured too, and it is the important comparison: the same architecture and the same labels, without
# pretraining. The checkpoints in between get two draws instead of three, to save time. The next cell fine-tunes 15 small models, in
# float32, because matrices this small gain nothing from bfloat16. It takes two to four minutes on two cores.

# %% tags=["nbval-ignore-output"]
correct = {"probe": {}, "fine-tuned": {}}  # each: step -> bool (3, n), in between (2, n)
for step in tqdm((0, *steps), desc="checkpoints"):
    for name, predict in (("probe", probed), ("fine-tuned", tuned)):
        draws = drawn if step in (0, steps[0], steps[-1]) else drawn[:2]
        correct[name][step] = np.array([predict(step, rows, run) == test_labels for run, rows in enumerate(draws)])

# %% [markdown]
# The baseline is TF-IDF on the same labels. We compute paired differences on the same test sentences: the last checkpoint minus the
# untrained model, and the last checkpoint minus the first.

# %%
texts = np.array(sentences.train.texts, dtype=object)
fits = [word_counts.fit(texts[rows], train.labels[rows]).predict(sentences.test.texts) == test_labels for rows in drawn]
by_counts = np.mean(fits, axis=0)
gains = {(name, before): evaluation.difference_interval(runs[steps[-1]].mean(0), runs[before].mean(0), blocks)
         for name, runs in correct.items() for before in (0, steps[0])}  # fmt: skip


# %%
fig, ax = plt.subplots()
for i, (name, runs) in enumerate(correct.items()):
    draw_intervals(ax, [evaluation.block_interval(values.mean(0), blocks) for values in runs.values()], i, name)
ax.axhline(by_counts.mean(), color="black", linestyle="--", linewidth=1.2, label="TF-IDF, same labels")
ax.set_xticks(range(len(names)), names.values())
ax.set(xlabel="share of the pretraining run", ylabel="test accuracy, 95 % interval")
rises = "rises" if gains["fine-tuned", steps[0]].low > 0 else "does not clearly rise"
ax.set_title(f"Fine-tuned accuracy {rises} with pretraining")
ax.legend(loc="lower right")
plots.show(fig, alt="Test accuracy on Rotten Tomatoes against the share of pretraining, from untrained to the whole run, for a probe on the frozen states and for "
           "fine-tuning, with intervals, and TF-IDF on the same labels as a dashed line.")  # fmt: skip

# %% tags=["nbval-ignore-output"]
over = evaluation.difference_interval(correct["fine-tuned"][steps[-1]].mean(0), by_counts, blocks)
answer = "yes" if over.low > 0 else "no" if over.high < 0 else "not clearly, because the interval contains 0"
for name, runs in correct.items():
    untrained, whole = (", ".join(f"{accuracy:.3f}" for accuracy in runs[step].mean(1)) for step in (0, steps[-1]))
    display(Markdown(f"**{name}**: untrained {untrained}, after the whole run {whole} (three seeds). The run is worth {gains[name, 0]}, "
                     f"and what came after the first checkpoint {gains[name, steps[0]]}."))  # fmt: skip
display(Markdown(f"Is the fine-tuned model better than TF-IDF on the same labels? The difference is {over}: {answer}."))
print(claims.check_claim("05 fine-tuned small BERT, last checkpoint minus first", gains["fine-tuned", steps[0]].estimate))
print(claims.check_claim("05 probe of the small BERT, last checkpoint minus untrained", gains["probe", 0].estimate))

# %% [markdown]
# In brackets are 95 % intervals; one that lies above 0 is a gain that we can trust. Compare this figure with the loss curve of section 6.
# In our run the first 5 % of pretraining, where the loss is still on its plateau, gain nothing: a model that has only learned
# how frequent words are is no better start than random weights. The accuracy rises once the loss falls below the dotted line, and
# what separates the two ends of a curve was bought without a single label. To buy more you need more text and more computation.
# The next section takes a checkpoint that has had far more of both.

# %% [markdown]
# ## 8 What a real checkpoint knows
#
# MiniLM, the checkpoint of notebook 04, has 6 layers, $D = 384$, 12 heads and 22.7 million parameters. It has BERT's architecture
# and vocabulary. Its authors made it from BERT-like teachers by distillation (notebook 08) and then tuned it as a sentence encoder,
# so that sentences with similar meaning get similar vectors. How much does it know about sentiment before any fine-tuning? We freeze
# it, average its states over each sentence, one vector for each layer, and train a probe on each layer. (For the last layer
# `layers.sentence_features` does the same.)


# %%
@torch.no_grad()
def layer_features(encoder, part) -> np.ndarray:
    """Return float32 (layers + 1, n, D): means over real tokens, after the embeddings and after each layer."""
    features, options = [], {"truncation": True, "max_length": longest, "padding": True, "return_tensors": "pt"}
    for start in tqdm(range(0, len(part), 64), desc="encoding"):
        batch = encoder_tokenizer(list(part.texts[start : start + 64]), **options).to(device)
        with autocast(device):
            states = encoder(**batch, output_hidden_states=True).hidden_states  # layers + 1 times (B, T, D)
        mask = batch["attention_mask"][:, :, None]  # (B, T, 1)
        features.append(torch.stack([(x.float() * mask).sum(1) / mask.sum(1) for x in states]).cpu())
    return torch.cat(features, dim=1).numpy()


# %% [markdown]
# Encoding is the expensive part, and we do it only once, for 1,024 labelled sentences. As a control we take the same network with random
# weights. What a probe finds there comes from the words and from the *architecture*, not from pretraining. This takes less than a minute.

# %%
encoder, encoder_tokenizer = pretrained.load_encoder().to(device), pretrained.load_tokenizer()  # other words, other ids
labelled = data.evenly(sentences.train, min(1024, len(sentences.train)))
parts = {"train": labelled, "validation": sentences.validation, "test": sentences.test}
frozen = {name: layer_features(encoder, part) for name, part in parts.items()}
torch.manual_seed(seed)
random_encoder = AutoModel.from_config(encoder.config).to(device)
control = {name: layer_features(random_encoder, parts[name])[-1] for name in ("train", "test")}

# %% [markdown]
# ### Which layer knows most about sentiment?
#
# We choose the layer on the validation set, so that the test set stays untouched.

# %%
y_train, by_layer = labelled.labels, []
for features_train, features_validation in zip(frozen["train"], frozen["validation"], strict=True):
    right = probe.fit(features_train, y_train).predict(features_validation) == sentences.validation.labels
    by_layer.append(evaluation.block_interval(right, sentences.validation.blocks))
best_layer = int(np.argmax([interval.estimate for interval in by_layer]))

# %%
fig, ax = plt.subplots()
draw_intervals(ax, by_layer, 0, "probe on the frozen states")
ax.set(xlabel="layer (0: the word embeddings, before any attention)", ylabel="validation accuracy, 95 % interval")
ax.set_title("The layers before the last show sentiment best")
plots.show(fig, alt="Validation accuracy of the probe for layers 0 to 6 with intervals: it rises from layer 0 to layers 4 and 5 "
           "and is lower at the last.")  # fmt: skip

# %% [markdown]
# The accuracy rises from layer to layer and falls at the end. But the differences are small, and all seven intervals overlap. One
# likely reason for the fall: the last layer was tuned to represent what a sentence is *about*, and whether the writer liked it is only
# part of that. Look at layer 0 too. It has only static word vectors, and they already contain much of the sentiment. For
# fine-tuning (notebook 06) the choice of a layer does not matter, because every layer can change there.

# %% [markdown]
# **Exercise 05.3 (choice): what the probe shows.** Read the figure again, with its intervals. Run the check to see the answers
# to choose from, then write the letter in quotes.

# %% tags=["exercise"]
my_reading = ...

# %% tags=["check"]
checks.check("05.3", my_reading)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
my_reading_solution = "c"

# %% tags=["check"]
checks.check("05.3", my_reading_solution, mine=False)  # the same check, on the solution above

# %% [markdown]
# ### How many labels does pretraining save?
#
# We draw training sets of several sizes, ten times each, and compare the probe on the best layer with TF-IDF on the same sentences.

# %%
rng, y_validation = np.random.default_rng(seed), sentences.validation.labels
counts = [n for n in (16, 64, 256, 1024) if n <= len(labelled)]
inputs = {"frozen MiniLM": (probe, frozen["train"][best_layer], frozen["validation"][best_layer]),
          "TF-IDF": (word_counts, np.array(labelled.texts, dtype=object), sentences.validation.texts)}  # fmt: skip
by_count = {name: np.zeros((len(counts), 10)) for name in inputs}
for i, draw in np.ndindex(len(counts), 10):
    rows = np.concatenate([rng.permutation(np.flatnonzero(y_train == c))[: counts[i] // 2] for c in (0, 1)])
    for name, (model, fit_on, score_on) in inputs.items():
        by_count[name][i, draw] = model.fit(fit_on[rows], y_train[rows]).score(score_on, y_validation)

# %%
fig, ax = plt.subplots()
plots.curves(ax, {name: values.mean(axis=1) for name, values in by_count.items()}, x=counts)
for i, values in enumerate(by_count.values()):
    ax.fill_between(counts, values.min(axis=1), values.max(axis=1), color=plots.COLOURS[i], alpha=0.15)
ax.axhline(by_count["frozen MiniLM"][1].mean(), color="black", linestyle=":", linewidth=1)  # its accuracy with 64 labels
ax.set(xscale="log", xlabel="labelled sentences", ylabel="validation accuracy")
ax.set_xticks(counts, counts)
ax.set_title("Pretraining is worth several times the labels")
plots.show(fig, alt="Validation accuracy against the number of labelled sentences on a log axis, with the range over ten draws: frozen "
           "MiniLM lies clearly above TF-IDF from 64 labels on.")  # fmt: skip

# %% [markdown]
# Follow the dotted line. It is as high as the probe with 64 labels. How many labels does TF-IDF need to get there? If its
# curve ends below the line, not even the 1,024 labels of this figure are enough. The shaded range shows how much the result
# depends on which sentences were drawn; with 16 labels that is a lot. With 1,024 the range is zero for a simple reason: there
# are no more sentences to draw from, so all ten draws are the same.
#
# Last, the test set, with all 1,024 labels and two paired differences: from random weights and from TF-IDF.

# %% tags=["nbval-ignore-output"]
best = probe.fit(frozen["train"][best_layer], y_train).predict(frozen["test"][best_layer]) == test_labels
shape = probe.fit(control["train"], y_train).predict(control["test"]) == test_labels
words = word_counts.fit(labelled.texts, y_train).predict(sentences.test.texts) == test_labels
gain, over_words = (evaluation.difference_interval(best, other, blocks) for other in (shape, words))
display(Markdown(f"The frozen states of layer {best_layer} get **{best.mean():.3f}**, TF-IDF {words.mean():.3f} and the same network with random weights "
                 f"{shape.mean():.3f}. Over random weights that is {gain}, over TF-IDF {over_words}."))  # fmt: skip
print(claims.check_claim("05 frozen MiniLM minus random weights, sentences", gain.estimate))
print(claims.check_claim("05 frozen MiniLM minus TF-IDF at 1,024 labels", over_words.estimate))

# %% [markdown]
# The architecture alone gives little: random weights mix the words, but not in a useful way. The gain over TF-IDF is what pretraining
# buys before you train a single weight of the model. It is a few points. The rest has to come from fine-tuning.
#
# ## 9 One word, many vectors
#
# A word vector of notebook 02 is the same wherever the word occurs. A pretrained encoder computes a vector for the word *in its
# sentence*. Can you see the difference? We take sixteen real sentences with "light", sorted by hand by what the word means there.

# %%
senses = {
    "brightness": ["Too much light - the", "creates light without heat", "intense light and the darkness", "flashing blue light",
                   "great use of light and texture", "A shimmering light", "closeups of a red light", "then the light fades"],
    "not heavy": ["a light comedy, plunges", "it's light and easy to watch", "who enjoy light entertainment", "This is fun and light",
                  "The story is light and enter", "with light mood", "few peers in light comedy", "always light and fun to watch"],
}  # fmt: skip
pieces = re.split(r"(?<=[.!?]) +|<br />", "<br />".join(data.load_splits("imdb").train.texts))
found = [next(piece for piece in pieces if part in piece) for parts in senses.values() for part in parts]
encoded = encoder_tokenizer(found, padding=True, return_tensors="pt").to(device)
at = (encoded["input_ids"] == encoder_tokenizer.vocab["light"]).int().argmax(dim=1)  # (n,): where the word is
with torch.no_grad():
    states = torch.stack(encoder(**encoded, output_hidden_states=True).hidden_states)[:, torch.arange(16), at].cpu()
print("states of the word, after the embeddings and after each layer", tuple(states.shape))

# %% [markdown]
# To draw these vectors of the last layer, we project them onto the two directions in which they vary most.

# %%
sense = np.repeat([0, 1], 8)  # two meanings, eight sentences each
centred = states[-1] - states[-1].mean(0)  # (n, D), last layer
points = (centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:2].T).numpy()
fig, ax = plt.subplots(figsize=(6, 3.6))
plots.scatter_words(ax, points * np.sign(points[0]), [""] * 16, sense, list(senses))  # the sign of a direction is arbitrary
ax.set(title="Two meanings of light, two groups", xlabel="first direction", ylabel="second direction")
plots.show(fig, alt="A map of the word light in sixteen sentences: the sentences in which it means brightness and those in which it means not heavy "
           "form two separate groups.")  # fmt: skip

# %% [markdown]
# A static vector would be a single point in this picture. In context the two meanings separate. To measure this at every layer, we ask
# how often the most similar other sentence uses the word in the same sense.

# %% tags=["approx"]
unit = nn.functional.normalize(states, dim=2)
similarity = unit @ unit.transpose(1, 2) - 2 * torch.eye(16)  # (layers + 1, n, n), excluding itself
agree = (sense[similarity.argmax(dim=2).numpy()] == sense).sum(axis=1)
print(f"the most similar other sentence has the same sense in {agree.tolist()} of 16, layers 0 to 6")

# %% [markdown]
# At layer 0 the vector of the word is the same everywhere, and only that of its position differs; chance level is about 8 of 16. From the
# layers above you see how the sentence enters the word's vector, until all sixteen agree. It does not work as well for every word: try
# "score", which can mean music or marks.
#
# ## 10 Other checkpoints
#
# The same functions take a folder, or the name of a checkpoint on the hub. With an internet connection you can repeat section 8 with the
# models of section 1:
#
# ```python
# encoder_tokenizer = pretrained.load_tokenizer("google-bert/bert-base-uncased")
# encoder = pretrained.load_encoder("google-bert/bert-base-uncased")
# encoder = pretrained.load_encoder("FacebookAI/roberta-base")
# encoder = pretrained.load_encoder("openai-community/gpt2")
# ```
#
# Load tokenizer and encoder under the same name, because an id means another word in another vocabulary. (GPT-2 has no padding token: set
# `encoder_tokenizer.pad_token = encoder_tokenizer.eos_token` before you make batches.)

# %%
for name, (_, megabytes) in HUB.items():
    print(f"{name:40} {megabytes:4} MB to download, once")

# %% [markdown]
# ## 11 Classic bug: a loss at every position
#
# The labels of the positions that were not chosen must be $-100$. If you forget that, the loss is computed at every position, and at
# most of them the answer is in the input. Nothing crashes, and the training curve looks splendid. To see the damage, we continue from an early
# checkpoint twice, for the same number of steps, once with the bug.

# %% tags=["nbval-ignore-output"]
reported, true_loss = {}, {}
for name, everywhere in (("chosen positions", False), ("every position", True)):
    model = load(steps[1])
    reported[name] = np.mean(pretrain(model, masked_loss, min(profile.pretraining_steps, 100), everywhere=everywhere)[-20:])
    true_loss[name] = on_unseen(model)[0]
    print(f"loss at {name:16}: training curve {reported[name]:.2f}, at masked words of unseen reviews {true_loss[name]:.2f}")
too_low = true_loss["every position"] - reported["every position"]
print(f"before: {unseen_losses[1]:.2f} at masked words. With the bug the training curve is too low by {too_low:.2f}.")
print(claims.check_claim("05 loss by which the copying bug flatters itself", too_low))

# %% [markdown]
# Where the answer is in the input, copying is enough, and that is quickly learned. At masked words there is nothing to copy, so the
# splendid curve says nothing about them. If a loss is too good to be true, look for this bug, and measure the loss at masked positions
# only. (BERT leaves 10 % of the chosen words visible on purpose, so even the correct training loss is a little too optimistic.)

# %% [markdown]
# **Exercise 05.4 (debug): labels that forget -100.** `labels_for(input_ids, chosen)` makes the labels of a masked language model. You get ids
# $(B, T)$ and `chosen`, bool $(B, T)$. Return labels $(B, T)$ that make the loss count only the chosen positions. The version below has the bug of this
# section. Fix it.


# %% tags=["exercise"]
def labels_for(input_ids, chosen):
    return input_ids.clone()


# %% tags=["check"]
checks.check("05.4", labels_for)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def labels_for_solution(input_ids, chosen):
    return input_ids.masked_fill(~chosen, -100)


# %% tags=["check"]
checks.check("05.4", labels_for_solution, mine=False)  # the same check, on the solution above

# %% [markdown]
# ## Quiz
#
# Three questions on the whole notebook. Nothing is sent anywhere.

# %% tags=["check"]
checks.quiz("05")


# %% [markdown]
# ## Summary
#
# * Pretraining takes its labels from the text itself: the hidden word (BERT, RoBERTa) or the next word (GPT). The loss is
#   the cross-entropy of notebook 01 with $V$ classes, at the positions to be predicted.
# * BERT's hidden words were chosen in advance, in ten versions of each text; RoBERTa chooses anew at every reading. GPT predicts at every
#   position, so it gets more than six times as many questions out of the same text.
# * The loss tells you how well a model fills in blanks. What that is worth for *your* task you see only when you fine-tune the
#   checkpoints and compare them with the same network untrained. In five runs with different seeds the last checkpoint was, after
#   fine-tuning, 12 to 19 points more accurate than the first.
# * A real checkpoint, frozen, beats random weights by far, and with few labels it clearly beats word counts. Its vector of a word
#   depends on the sentence, and the layers before the last show sentiment best.
#
# **What is the difference between fine-tuning and pretraining?** Pretraining starts from random numbers and learns how a language works,
# from text without labels. It is done once and is very expensive. Fine-tuning starts from the pretrained weights and learns one task, from
# labelled examples. It is done for every task and takes minutes. Both minimise a loss with the same kind of steps.
#
# **To think about.** BERT predicts at 15 % of the positions and GPT at all of them. Why not hide half of the words? And would next-word
# prediction be a better pretraining for a model that has to classify whole sentences?
#
# **Next:** [06 Fine-tune BERT](06_fine_tune_bert.ipynb).
