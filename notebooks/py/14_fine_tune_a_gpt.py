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
# # 14 · Fine-tune a GPT
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/fine-tuning-course/fine-tuning-course/blob/v0.2.0/notebooks/14_fine_tune_a_gpt.ipynb) · [words and terms 术语表](../docs/GLOSSARY.md)
#
# **What you will be able to do:** generate text from a language model by hand and with `generate`, use it as a classifier by
# prompting, format a conversation with a chat template, compute the loss of supervised fine-tuning, and fine-tune the model
# with LoRA, also to write JSON, and tune it on preferences. You will be able to say with intervals what this gains, what it
# costs beside a fine-tuned BERT, and what the model has forgotten.
#
# **Before you start:** notebooks 04 (attention), 06 (fine-tuning) and 08 (LoRA).
# **Time:** 90 minutes to read and play; the code takes about three minutes.

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
import time
import warnings
from pathlib import Path
from pydoc_data import topics

import matplotlib.pyplot as plt
import numpy as np
import torch
from accelerate import Accelerator
from peft import LoraConfig, PeftModel, get_peft_model
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch.nn import functional
from tqdm.auto import tqdm
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper
from transformers.utils import logging

from course_utils import chat, claims, data, diagrams, evaluation, explorers, language_model, plots
from course_utils import prediction, pretrained, profiles, records
from course_utils.device import autocast, choose_precision
from course_utils.exercises import checks
from course_utils.text import encode_wordpieces

# %%
try:
    checkpoint = pretrained.checkpoint_path("smollm2")
except ConnectionError as missing:
    raise SystemExit(f"This notebook ends here: {missing}") from None
plots.use_style()
logging.set_verbosity_error()
logging.disable_progress_bar()
warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")  # peft still asks for the old name
profile, seed, device = profiles.get_profile(), profiles.get_seed(), Accelerator().device
smoke, dtype = profile.name == "smoke", choose_precision(device)

# %% [markdown]
# ## 1 A decoder predicts the next token
#
# BERT reads a whole text at once and gives a state for each token. A **<abbr title="解码器">decoder</abbr>** like GPT reads
# from left to right (notebook 04: the causal mask), and at each position it predicts the *next* token. This is all it
# ever does. A model that was trained so on a large part of the web is called a
# **<abbr title="大语言模型">language model</abbr>**.
#
# Ours is **SmolLM2-135M-Instruct**, a small relative of Llama. `start.py` has fetched it as a file, and the course verifies it.
# With a network you can write the id of another model of the hub instead, for example `"HuggingFaceTB/SmolLM2-135M"` or
# `"openai-community/gpt2"`. (Those two have no chat template, so use them in section 1 only. For `gpt2`,
# leave out the cell that counts the key-value cache.)

# %%
model = pretrained.load_language_model("smollm2", dtype=dtype).to(device)
tokenizer = pretrained.load_tokenizer("smollm2")
count = sum(parameter.numel() for parameter in model.parameters())
print(f"{count:,} parameters in {model.config.num_hidden_layers} layers, width D = {model.config.hidden_size}")
print(f"V = {len(tokenizer):,} tokens; at most {model.config.max_position_embeddings:,} positions")

# %% [markdown]
# For ids $(B, T)$ the model returns logits $(B, T, V)$. Those at position $t$ belong to token $t + 1$, so the last row says
# what comes after the text. What comes after "The film was directed by Steven"?


# %% tags=["nbval-ignore-output"]
@torch.no_grad()
def next_logits(ids):
    return model(input_ids=ids).logits[:, -1].float()  # (B, V)


prompt = tokenizer("The film was directed by Steven", return_tensors="pt")["input_ids"].to(device)
best = next_logits(prompt).softmax(dim=-1)[0].topk(8)  # of (V,)
for share, token in zip(best.values.tolist(), best.indices.tolist(), strict=True):
    print(f"{tokenizer.decode(token)!r:12} {share:6.1%} {'█' * round(60 * share)}")

# %% [markdown]
# The model has learned from the web which Stevens direct films: `Sp` is the beginning of Spielberg. Tokens often begin with a
# space, because this tokenizer keeps it with the word that follows.
#
# ### Text, one token after the other
#
# To write a text, choose the next token, append it, and ask again. **Greedy** decoding always takes the most probable
# token. The picture already shows the other way, a random draw; its temperature $\tau$ and top-p come after it.

# %%
diagrams.show(diagrams.next_token_loop)

# %% [markdown]
# `transformers` has a method for all this, `generate`. Does a greedy loop of our own choose the same token?


# %%
def write_greedily(ids, new_tokens):
    for _ in range(new_tokens):
        ids = torch.cat([ids, next_logits(ids).argmax(dim=-1, keepdim=True)], dim=1)
    return ids


# %% tags=["nbval-ignore-output"]
options = {"attention_mask": torch.ones_like(prompt), "max_new_tokens": 24, "do_sample": False}
by_hand, theirs = write_greedily(prompt, 12), model.generate(prompt, **options)
first = prompt.shape[1] + 1  # rounding may decide later between two tokens that are nearly as probable
torch.testing.assert_close(by_hand[:, :first], theirs[:, :first])
print(tokenizer.decode(theirs[0]))

# %% [markdown]
# Greedy text often repeats itself, and is always the same. **Sampling** draws the next token at random, with the probabilities
# of the model. Two settings keep it away from improbable tokens. The **temperature** $\tau$ divides the logits $z$:
#
# $$p_i = \frac{e^{z_i / \tau}}{\sum_j e^{z_j / \tau}}, \qquad \tau < 1 \text{ sharpens}, \quad \tau > 1 \text{ flattens}.$$
#
# **<abbr title="核采样">Top-p</abbr>** (nucleus sampling) keeps the most probable tokens until their sum reaches $p$, and drops the long tail.


# %%
def next_probabilities(logits, temperature=1.0, top_p=1.0):  # (B, V) -> (B, V)
    ordered, ids = (logits / temperature).softmax(dim=-1).sort(descending=True)
    before = ordered.cumsum(dim=-1) - ordered  # the sum of all more probable tokens
    kept = ordered * (before < top_p)
    return torch.zeros_like(logits).scatter(-1, ids, kept / kept.sum(dim=-1, keepdim=True))


# %% [markdown]
# `transformers` does this with two objects that `generate` calls after each step:

# %%
logits = next_logits(prompt)
warpers = LogitsProcessorList([TemperatureLogitsWarper(0.7), TopPLogitsWarper(0.9)])
ours, library = next_probabilities(logits, temperature=0.7, top_p=0.9), warpers(prompt, logits.clone()).softmax(dim=-1)
torch.testing.assert_close(ours, library)
print(f"by hand = transformers; {int((ours > 0).sum())} of {ours.shape[1]:,} tokens are left")

# %% tags=["nbval-ignore-output"]
for temperature, top_p in ((0.3, 1.0), (1.0, 0.9), (1.0, 1.0), (2.0, 1.0)):
    torch.manual_seed(seed)
    written = model.generate(prompt, **options | {"do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": 0})
    print(f"temperature {temperature}, top-p {top_p}: {tokenizer.decode(written[0, prompt.shape[1] :])!r}\n")

# %% [markdown]
# A low temperature keeps to probable tokens, which need not be true. At temperature 2 the long tail takes over, and the text breaks
# down: each token of the tail is improbable, but together they are likely.
#
# **Turn the two knobs yourself.** Choose a beginning of a sentence, move temperature and top-p, and press *Draw 100*. To keep the
# page small, it contains only the 30 most probable tokens, so their probabilities are larger than above; an outline shows a
# token's probability at temperature 1.

# %% tags=["nbval-ignore-output"]
beginnings = ["The film was directed by Steven", "The film was", "Once upon a"]
tops = [next_logits(tokenizer(text, return_tensors="pt")["input_ids"].to(device))[0].topk(30) for text in beginnings]
likely = [list(zip(map(tokenizer.decode, top.indices.tolist()), top.values.tolist(), strict=True)) for top in tops]
explorers.next_token_explorer(dict(zip(beginnings, likely, strict=True)))

# %% [markdown]
# After "Steven" one token leads by far, and a temperature of 0.5 leaves little else. After "Once upon a" two others are each
# almost half as probable as the first, so they keep a share. At temperature 2 many tokens are drawn, until a top-p of 0.5 cuts
# off the tail.
#
# ### The key-value cache
#
# `write_greedily` computes the whole text again for each new token. But in a decoder the states of earlier tokens cannot
# change, because no token looks to the right. So `generate` keeps their keys and values, and computes one position a
# step. This is the **<abbr title="键值缓存">key-value cache</abbr>**. Its price is memory:
# two vectors (key and value) for each layer, key-value head and token. (In our model three attention heads share one
# **key-value head**, so its cache has a third of the size.)

# %%
output = model(input_ids=prompt, use_cache=True)
config, cache = model.config, output.past_key_values
entries = sum(layer.keys.numel() + layer.values.numel() for layer in cache.layers)
assert entries == 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * prompt.shape[1]
per_token = entries * cache.layers[0].keys.element_size() / prompt.shape[1]
print(f"{per_token / 1000:.0f} kB a token; {per_token * 8192 / 1e6:.0f} MB for {config.max_position_embeddings:,} tokens")

# %% tags=["nbval-ignore-output"]
seconds, lengths = {"with the cache": [], "without": []}, (4, 8, 16) if smoke else (8, 24, 48)
for name, use_cache in zip(seconds, (True, False), strict=True):
    for new in lengths:
        started = time.process_time()
        model.generate(prompt, **options | {"max_new_tokens": new, "min_new_tokens": new, "use_cache": use_cache})
        seconds[name].append(time.process_time() - started)
print({name: [f"{value:.1f} s" for value in values] for name, values in seconds.items()})

# %%
fig, ax = plt.subplots(figsize=(7, 3))
plots.curves(ax, seconds, x=lengths)
ax.set(xlabel="new tokens", ylabel="processor seconds", title="Without the cache, each further token costs more")
plots.show(fig, alt="Seconds for 8, 24 and 48 tokens: nearly straight with the key-value cache, a steeper curve without.")

# %% [markdown]
# **Exercise 14.1 (predict): the cache of a larger model.** A model has 32 layers, 8 key-value heads of size 128, and keeps
# keys and values in 2 bytes. How many megabytes ($10^6$ bytes) does the cache of one text of 4,000 tokens take?

# %% tags=["exercise"]
my_cache_size = ...

# %% tags=["check"]
checks.check("14.1", my_cache_size)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
my_cache_size_solution = 2 * 32 * 8 * 128 * 2 * 4_000 / 1e6

# %% tags=["check"]
checks.check("14.1", my_cache_size_solution, mine=False)  # the same check, on the solution above

# %% [markdown]
# ## 2 Prompting: a classifier without training
#
# A language model continues texts. So write the review in such a way that its label is the natural continuation, and
# compare the logits of two **label words**:
#
# > Review: a gripping drama . ⏎ Sentiment: **positive**
#
# Nothing is trained. This is **<abbr title="零样本">zero-shot</abbr>** classification; the text around the review is the
# **<abbr title="提示词">prompt</abbr>**. The sentences are those of notebook 06, 400 of its test part.

# %%
splits = data.load_splits("rotten_tomatoes")
test = data.evenly(splits.test, 16 if smoke else 400)
validation = data.evenly(splits.validation, 16 if smoke else 120)
TEMPLATE, WORDS = "Review: {}\nSentiment:", (" negative", " positive")

# %% [markdown]
# A batch contains prompts of similar length. It is padded on the **left**, so that the last position is the last token of
# every prompt. Only there do we need logits, those of the two words:

# %%
batch = tokenizer(["a film", "Review: a gripping drama ."], padding=True, padding_side="left", return_tensors="pt")
print([tokenizer.decode(ids) for ids in batch["input_ids"]], {name: tuple(values.shape) for name, values in batch.items()})
print({word: tokenizer(word)["input_ids"] for word in WORDS}, "one token each")

# %% [markdown]
# `chat.label_logits` does this for many prompts:

# %% tags=["nbval-ignore-output"]
zero_shot = chat.label_logits(tokenizer, model, [TEMPLATE.format(sentence) for sentence in test.texts], WORDS)
correct = {"zero-shot prompt": zero_shot.argmax(axis=1) == test.labels}
print("zero-shot:", evaluation.block_interval(correct["zero-shot prompt"], test.blocks))

# %% [markdown]
# Compare this with the baseline of notebook 02, trained on all 5,600 sentences:

# %% tags=["approx"]
tfidf = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
counts = make_pipeline(tfidf, LogisticRegression(C=4, max_iter=1000)).fit(splits.train.texts, splits.train.labels)
correct["word counts"] = counts.predict(test.texts) == test.labels
print("word counts:", evaluation.block_interval(correct["word counts"], test.blocks))

# %% [markdown]
# Without a single label, the language model does about as well as word counts that were trained on thousands of
# sentences. But is this the only way to ask? We try other templates and label words, on *validation* sentences.

# %% tags=["nbval-ignore-output"]
question = "Is this film review positive or negative? Answer with one word."
chat_prompt = chat.prompt_text(tokenizer, [{"role": "user", "content": question + "\n\n{}"}])
ways = {
    "Review: ... Sentiment:": (TEMPLATE, WORDS),
    "the same, capital letters": (TEMPLATE, (" Negative", " Positive")),
    "... This film is bad / good": ("{}\nThis film is", (" bad", " good")),
    "... It was terrible / great": ("{} It was", (" terrible", " great")),
    "Did the reviewer like it? No / Yes": ("Review: {}\nDid the reviewer like the film?", (" No", " Yes")),
    "as a chat (section 3)": (chat_prompt, ("Negative", "Positive")),
}
margins = {}
for name, (template, words) in ways.items():
    logits = chat.label_logits(tokenizer, model, [template.format(sentence) for sentence in validation.texts], words)
    margins[name] = logits[:, 1] - logits[:, 0]
    print(f"{name:36} says the positive word {np.mean(margins[name] > 0):4.0%} of the time")

# %% [markdown]
# Half of the reviews are positive, but some of these prompts nearly always give the same answer. The model prefers one of
# the words *whatever the review says*, for example because it is more frequent on the web.
# **<abbr title="校准">Calibration</abbr>** removes this preference: subtract a constant $b$ from the margin (the logit of the
# positive word minus that of the negative one). We know that half of the reviews are positive, so the median margin of
# unlabelled validation sentences will do. (Zhao et al., 2021, use the margin for an empty review.)

# %% tags=["nbval-ignore-output"]
calibrated = {}
for name, m in margins.items():
    calibrated[name] = evaluation.block_interval((m > np.median(m)) == validation.labels, validation.blocks)
fig, ax = plt.subplots(figsize=(8, 3))
plots.bars_with_intervals(ax, calibrated, unit="validation accuracy (hollow squares: before calibration)")
ax.plot([np.mean((m > 0) == validation.labels) for m in margins.values()], range(len(ways)), "s", color="0.4", mfc="white")
ax.set_title("Most prompts prefer one word; calibration helps")
plots.show(fig, alt="Accuracy of six prompts: dots with intervals calibrated, hollow squares before; low ones rise most.")

# %% [markdown]
# Read the figure row by row. Where dot and square are far apart, the prompt ranked the reviews well, and only its threshold was
# wrong. A prompt that stays low after calibration ranks them less well. So if you compare a trained model with one untuned
# prompt, you have not compared much. A prompt is a hyperparameter, and is chosen on validation data. Only the best one goes on to the test part:

# %% tags=["nbval-ignore-output"]
best_way = max(calibrated, key=lambda name: calibrated[name].estimate)
template, words = ways[best_way]
logits = chat.label_logits(tokenizer, model, [template.format(sentence) for sentence in test.texts], words)
correct["best prompt, calibrated"] = (logits[:, 1] - logits[:, 0] > np.median(margins[best_way])) == test.labels
gain = evaluation.difference_interval(correct["best prompt, calibrated"], correct["zero-shot prompt"], test.blocks)
print(f"{best_way}: {evaluation.block_interval(correct['best prompt, calibrated'], test.blocks)}\nover the first: {gain}")

# %% [markdown]
# The last line is the winner minus our first prompt, on the test part. If its interval contains 0, the winner is no better: it was
# the best of six on 120 sentences, and a part of its lead was luck.
#
# ### Few-shot: examples in the prompt
#
# **<abbr title="少样本">Few-shot</abbr>** prompting puts labelled examples before the question. Nothing is trained: the
# model reads the examples anew for each review. Which examples, and in which order? We draw three sets of each size.


# %%
def few_shot_prompts(reviews, size, rng):
    chosen = np.concatenate([rng.choice(np.flatnonzero(splits.train.labels == c), size // 2, False) for c in (0, 1)])
    shown = [TEMPLATE.format(splits.train.texts[i]) + WORDS[splits.train.labels[i]] for i in rng.permutation(chosen)]
    return ["\n\n".join([*shown, TEMPLATE.format(sentence)]) for sentence in reviews.texts]


# %% tags=["nbval-ignore-output"]
few, rng = data.evenly(validation, 4 if smoke else 16), np.random.default_rng(seed)
for size in (2, 4):
    drawn = [chat.label_logits(tokenizer, model, few_shot_prompts(few, size, rng), WORDS) for _ in range(3)]
    print(f"{size} examples:", [f"{np.mean(logits.argmax(axis=1) == few.labels):.2f}" for logits in drawn])
print(f"none: {np.mean((margins['Review: ... Sentiment:'] > 0) == validation.labels):.2f}")

# %% [markdown]
# Read the two rows: with four examples, the accuracy goes from near chance level to that of two examples, depending only on
# *which* ones were drawn and in which order. (Sixteen sentences are few, but inside a row they are the same sentences.) A
# longer prompt also costs more: with four examples, each review is five times as long.
#
# ### Contamination: has the model seen the test?
#
# These reviews have been on the web for twenty years, often beside their labels. If they were in the pretraining data, we
# would measure memory. This is called **<abbr title="数据污染">contamination</abbr>**. We cannot look into the pretraining
# data, but we can probe the model: give it the first half of a text, and count how many tokens of the second half are its
# first choice. Texts that it has memorised should score far higher. We compare three groups: famous texts, our test reviews,
# and reviews that were written for this course, after the model was trained.

# %%
famous = ["We hold these truths to be self-evident, that all men are created equal, that they are endowed by their Creator with certain unalienable Rights",
          "In the beginning God created the heaven and the earth. And the earth was without form, and void",
          "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files",
          "To be, or not to be, that is the question: Whether 'tis nobler in the mind to suffer the slings and arrows of outrageous fortune"]  # fmt: skip
fresh = ["the last twenty minutes throw away everything that the first hour has built so patiently .",
         "two fine actors search for a script , and now and then they find a page of it .",
         "a warm and funny film about a bakery at night that never asks too much of its audience .",
         "somebody should tell the director that rain is not the same thing as sadness .",
         "it looks like a postcard , and it has about as much to say as one ."]  # fmt: skip


# %%
@torch.no_grad()
def continued(text):
    """Return the share of the tokens in the second half of a text that the model ranks first."""
    ids = tokenizer(text, return_tensors="pt")["input_ids"].to(device)
    first_choice = model(input_ids=ids).logits[0, :-1].argmax(dim=-1) == ids[0, 1:]
    return first_choice[len(first_choice) // 2 :].float().mean().item()


# %% tags=["nbval-ignore-output"]
groups = {"famous texts": famous, "test reviews": test.texts[:: 4 if smoke else 10], "written for this course": fresh}
for name, texts in groups.items():
    print(f"{name:24} {evaluation.block_interval([continued(text) for text in texts], np.arange(len(texts)))}")

# %% [markdown]
# In famous texts the model predicts most of the tokens of the second half. Compare the other two lines: reviews that it may have seen, and reviews
# that it cannot have seen. Where their intervals overlap, this probe finds no sign that our test reviews were memorised. It cannot show that they were not in the pretraining data: a model can have read a text,
# and its label, without being able to recite it.

# %% [markdown]
# **Exercise 14.2 (debug): logits at the padding.** Somebody padded a batch on the *right* and took the last position of each
# row. `last_logits(logits, attention_mask)` gets logits $(B, T, V)$ and the mask $(B, T)$, and should return $(B, V)$: the
# logits at the last real token of each row, whichever side the padding is on. Fix it.


# %% tags=["exercise"]
def last_logits(logits, attention_mask):
    return logits[:, -1]


# %% tags=["check"]
checks.check("14.2", last_logits)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def last_logits_solution(logits, attention_mask):
    positions = torch.arange(logits.shape[1])
    last = (attention_mask * positions).argmax(dim=1)
    return logits[torch.arange(len(logits)), last]


# %% tags=["check"]
checks.check("14.2", last_logits_solution, mine=False)  # the same check, on the solution above

# %% [markdown]
# ## 3 Supervised fine-tuning
#
# ### The chat template
#
# The makers of our model have fine-tuned it to answer. For this they wrote each conversation in one fixed format, with
# **<abbr title="特殊标记">special tokens</abbr>** that mark whose turn it is. The tokenizer comes with this format, the
# **<abbr title="对话模板">chat template</abbr>**:

# %%
SENTIMENT = "Is this film review positive or negative?"
conversation = [{"role": "system", "content": SENTIMENT},
                {"role": "user", "content": "a gripping drama ."},
                {"role": "assistant", "content": "positive"}]  # fmt: skip
print(tokenizer.apply_chat_template(conversation, tokenize=False))

# %% [markdown]
# `<|im_start|>` and `<|im_end|>` look like text, but each is a single token. `<|im_end|>` is also the **end token**: when the
# model writes it, `generate` stops. The *system* message says what the task is; without one, this template writes one of its
# own. For a question without an answer, `add_generation_prompt=True` adds the line that opens the answer.
#
# ### The loss counts the answer only
#
# **<abbr title="监督微调">Supervised fine-tuning</abbr>** (SFT) trains on pairs of prompt and answer with the loss of
# pretraining, the cross-entropy of each next token. But the model should learn to give answers, not to write prompts. So all
# tokens of the prompt get the label $-100$, which the loss ignores (notebook 12). With the ids $x_1, \dots, x_T$ and the answer
# at positions $s, \dots, T$:
#
# $$L = - \frac{1}{T - s + 1} \sum_{t=s}^{T} \log p(x_t \mid x_1, \dots, x_{t-1}) .$$

# %%
diagrams.show(diagrams.labels_of_an_answer)


# %%
def encode_by_hand(messages, answer):
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    prompt_ids = tokenizer(prompt)["input_ids"]
    answer_ids = [*tokenizer(answer)["input_ids"], tokenizer.eos_token_id]
    return prompt_ids + answer_ids, [-100] * len(prompt_ids) + answer_ids


# %%
ids, labels = encode_by_hand(conversation[:2], "positive")
whole = tokenizer(tokenizer.apply_chat_template(conversation, tokenize=False).rstrip("\n"))["input_ids"]
assert ids == whole  # the same tokens as the template gives for the whole conversation
assert (ids, labels) == chat.encode(tokenizer, conversation[:2], "positive")  # the course's function
print(f"{len(ids)} tokens, of which {sum(label != -100 for label in labels)} have a label")

# %% [markdown]
# Now the loss of this row, from the model's logits by hand, from `transformers`, and from the course's `chat.answer_loss`:

# %%
padding = tokenizer.pad_token_id
batch = chat.collate([(ids, labels)], padding=padding, device=device)
with torch.no_grad():
    logits, theirs, ours = model(**batch).logits[0].float(), model(**batch).loss, chat.answer_loss(model, **batch)
targets = batch["labels"][0, 1:]  # the logits at position t predict token t + 1
counted = targets != -100
by_hand = -logits[:-1].log_softmax(dim=-1)[counted, targets[counted]].mean()
torch.testing.assert_close(by_hand, theirs.float(), rtol=0.01, atol=0.01)
torch.testing.assert_close(by_hand, ours, rtol=0.01, atol=0.01)
print("by hand = transformers = course")

# %% [markdown]
# All three agree, up to rounding. `answer_loss` does less work: it multiplies only the states that are in the loss with the
# $V \times D$ matrix. For this one-word answer, that is two positions of 28.

# %% [markdown]
# **Exercise 14.3 (complete): labels of an answer.** Write `answer_labels(prompt_ids, answer_ids, end_id)`. You get two lists
# of ids and the id of the end token. Return two lists of the same length: the ids of prompt, answer and end token, and the
# labels, $-100$ at each token of the prompt. Example: for prompt `[5, 6, 7]`, answer `[8]` and end 2 they are
# `[5, 6, 7, 8, 2]` and `[-100, -100, -100, 8, 2]`.


# %% tags=["exercise"]
def answer_labels(prompt_ids, answer_ids, end_id):
    raise NotImplementedError


# %% tags=["check"]
checks.check("14.3", answer_labels)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def answer_labels_solution(prompt_ids, answer_ids, end_id):
    input_ids = prompt_ids + answer_ids + [end_id]
    labels = [-100] * len(prompt_ids) + answer_ids + [end_id]
    return input_ids, labels


# %% tags=["check"]
checks.check("14.3", answer_labels_solution, mine=False)  # the same check, on the solution above

# %% [markdown]
# ## 4 LoRA on a quantised model
#
# ### Four bits a weight
#
# The file that was fetched has 98 MB for 135 million parameters: less than one byte each. It is a **GGUF** file, the format
# of llama.cpp, and its matrices are in **Q4_1**: 32 neighbouring weights share a scale $s$ and a minimum $m$, both in
# float16, and each weight is a code $q \in \{0, \dots, 15\}$ of four bits (notebook 08 draws such a block):
#
# $$w = s\,q + m, \qquad (16 + 16 + 32 \cdot 4) / 32 = 5 \text{ bits a weight} .$$

# %%
_, tensors = language_model.read_gguf(language_model.fetch())
packed = tensors["blk.0.ffn_up.weight"]  # (1536, 576), in blocks of 20 bytes
block = packed.raw[:20]
scale, minimum = np.frombuffer(block[:4].tobytes(), np.float16).astype(np.float32)
codes = np.concatenate([block[4:] & 15, block[4:] >> 4])  # the low halves of 16 bytes, then the high halves
print(f"scale {scale:.5f}, minimum {minimum:.5f}, codes {codes[:12].tolist()} ...")
ours, theirs = torch.tensor(scale * codes + minimum), model.model.layers[0].mlp.up_proj.weight[0, :32].cpu()
torch.testing.assert_close(ours.bfloat16(), theirs.bfloat16(), rtol=0, atol=0)
print("by hand = the weights of the model that we loaded")

# %% [markdown]
# So the model that we have prompted all along *is* the 4-bit model. The course has unpacked it into bfloat16, because a
# processor multiplies bfloat16 and not 4-bit codes. **<abbr title="量化低秩适配">QLoRA</abbr>** (Dettmers et al., 2023) is LoRA on
# such a base: the quantised weights stay frozen, and the gradient flows *through* them to the small matrices $A$ and $B$. To
# save memory, it unpacks each matrix only when it is needed:


# %%
class FourBitLinear(torch.nn.Module):
    """A frozen linear layer whose weight stays in blocks of Q4_1."""

    def __init__(self, packed):
        super().__init__()
        blocks = torch.from_numpy(packed.raw.copy()).view(-1, 20)
        self.register_buffer("codes", blocks[:, 4:].contiguous())  # uint8, two codes a byte
        self.register_buffer("scales", blocks[:, :4].contiguous().view(torch.float16))  # scale, minimum
        self.shape = packed.shape

    def forward(self, x):
        codes = torch.cat([self.codes & 15, self.codes >> 4], dim=1)
        weight = self.scales[:, :1].float() * codes + self.scales[:, 1:].float()
        return functional.linear(x, weight.view(self.shape).to(x.dtype))


# %%
four_bit, dense = FourBitLinear(packed).to(device), model.model.layers[0].mlp.up_proj
x = torch.randn(3, 576, device=device, dtype=dense.weight.dtype, requires_grad=True)
torch.testing.assert_close(four_bit(x), dense(x), rtol=0.02, atol=0.02)
(gradient,) = torch.autograd.grad(four_bit(x).float().sum(), x)  # flows through the frozen weight
stored, unpacked = sum(buffer.nbytes for buffer in four_bit.buffers()), 2 * dense.weight.numel()
print(f"{stored / 1e6:.2f} MB in four bits, {unpacked / 1e6:.2f} MB in bfloat16; gradient {tuple(gradient.shape)}")

# %% [markdown]
# One matrix shrinks to less than a third, at the price of unpacking it in each step. Our unpacked model fits into memory
# easily, so we train on that one: the numbers are those of QLoRA.
#
# ## 5 Fine-tune it: the sentiment of a sentence
#
# `peft` freezes the model and puts matrices of rank 8 beside its linear layers, as in notebook 08. We adapt the upper half of
# the 30 layers: below it nothing is trained, so the backward pass can end there, which saves time. One frozen base can have
# several **adapters**, each with a name. The first is called `sentiment`; `new_adapter` adds another one and chooses it.

# %%
linear = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
upper = list(range(15, 30))  # the layers that get matrices
lora = LoraConfig(r=8, lora_alpha=16, target_modules=linear, layers_to_transform=upper, task_type="CAUSAL_LM")
torch.manual_seed(seed)
tuned = get_peft_model(model, lora, adapter_name="sentiment")


# %%
def new_adapter(name):
    if name in tuned.peft_config:  # a cell that is run again begins anew
        tuned.delete_adapter(name)
    torch.manual_seed(seed)
    tuned.add_adapter(name, lora)
    tuned.set_adapter(name)  # only this one is trained and used


# %%
trained = sum(weight.numel() for weight in tuned.parameters() if weight.requires_grad)
print(f"trained: {trained:,} parameters, {trained / count:.1%} of the model")
print(f"full fine-tuning: {16 * count / 1e9:.1f} GB for weights, gradients and Adam's two means in float32")
print(f"LoRA: {(2 * count + 16 * trained) / 1e9:.2f} GB, with the frozen weights in bfloat16")

# %% [markdown]
# The data: 600 sentences, each of them a conversation. The loop, `chat.fine_tune`, is that of notebook 03: batches of
# similar length, AdamW, a learning rate that warms up and falls, gradients clipped. `loss_of` says what the loss of a batch is.


# %%
def messages_of(sentence, task=SENTIMENT):
    return [{"role": "system", "content": task}, {"role": "user", "content": sentence}]


# %%
def fine_tune(rows, loss_of=None, *, batch_size, **options):
    loss_of, lengths = loss_of or chat.loss_of_rows(tuned, rows, padding=padding), [len(ids) for ids, _ in rows]
    with tqdm(total=-(-len(rows) // batch_size), desc="training", unit="step") as bar:
        return chat.fine_tune(tuned, lengths, loss_of, batch_size=batch_size, seed=seed, on_step=bar.update, **options)


# %% [markdown]
# This is the one long cell of the notebook. Processor seconds are those of all cores added up, so on two idle cores you wait about
# half as long.

# %% tags=["nbval-ignore-output"]
train = data.evenly(splits.train, 16 if smoke else 600)
gold = [test.class_names[label] for label in train.labels]
sentiment_rows = [chat.encode(tokenizer, messages_of(text), word) for text, word in zip(train.texts, gold, strict=True)]
started = time.process_time()
losses = fine_tune(sentiment_rows, learning_rate=5e-4, batch_size=8)
print(f"{time.process_time() - started:.0f} processor s; loss {np.mean(losses[:5]):.2f}, then {np.mean(losses[-5:]):.2f}")

# %% tags=["nbval-ignore-output"]
chat_prompts = [chat.prompt_text(tokenizer, messages_of(sentence)) for sentence in test.texts]
logits = chat.label_logits(tokenizer, tuned, chat_prompts, test.class_names)
correct["LoRA, 600 sentences"] = logits.argmax(axis=1) == test.labels
for name, right in correct.items():
    print(f"{name:26} {evaluation.block_interval(right, test.blocks)}")

# %% [markdown]
# 600 labelled sentences bring it above 0.8. Word counts needed 5,600 for 0.75. Is the gain over the prompt more than
# chance? Both ways answer the same sentences, so we take the interval of the difference:

# %% tags=["nbval-ignore-output"]
gain = evaluation.difference_interval(correct["LoRA, 600 sentences"], correct["zero-shot prompt"], test.blocks)
print(f"LoRA over zero-shot: {gain.points} points: {gain.verdict}")
print(claims.check_claim("14 LoRA on 600 sentences minus the zero-shot prompt", gain.estimate))

# %% [markdown]
# "Better" means that the whole interval is above 0. The interval covers the chance in the test sentences; another seed of the
# training would move the gain too.
#
# ### Save it, load it, merge it
#
# What has to be saved is the adapter. Plain `peft` puts it on the same base again; `merge_and_unload` adds $BA$ to each
# frozen matrix, and what comes out is an ordinary model of `transformers`. The sum is rounded to bfloat16 again, so the logits differ
# a little.

# %% tags=["nbval-ignore-output"]
folder = "outputs/14_sentiment"
tuned.save_pretrained(folder, selected_adapters=["sentiment"])
again = PeftModel.from_pretrained(pretrained.load_language_model(dtype=dtype).to(device), f"{folder}/sentiment")
same = chat.label_logits(tokenizer, again.eval(), chat_prompts[:8], test.class_names)
np.testing.assert_allclose(same, chat.label_logits(tokenizer, tuned, chat_prompts[:8], test.class_names), atol=0.05)
merged = chat.label_logits(tokenizer, again.merge_and_unload(), chat_prompts[:8], test.class_names)
print(f"largest logit difference after merging: {np.abs(merged - same).max():.2f}")
print(f"the adapter takes {sum(file.stat().st_size for file in Path(folder).rglob('*.safetensors')) / 1e6:.0f} MB")
del again

# %% [markdown]
# ## 6 Classic bugs, and what they cost
#
# Each of these bugs is in code that people publish, and none of them raises an error.
#
# A **template without generation marks**: `transformers` can return a mask of the assistant's tokens, from which some trainers
# make the labels, but only if the template marks them with `{% generation %}`. Ours does not:

# %%
encoded = tokenizer.apply_chat_template(conversation, return_dict=True, return_assistant_tokens_mask=True)
print(f"{len(encoded['input_ids'])} tokens, in the mask: {sum(encoded['assistant_masks'])}")

# %% [markdown]
# The mask is empty, so either nothing is trained, or, where a program takes this for "no mask", the loss is on the prompt too.
# Count the labels of one row before you train, whatever library you use.
#
# What do bugs cost? We compare the answers to 32 validation sentences with and without each bug. An answer counts if it is the right
# word *and* ends there. "Cannot tell" means that the interval of the difference contains 0; the number behind it is the difference that
# so few sentences would show in four experiments of five.

# %%
asked = data.evenly(validation, 6 if smoke else 32)
truth, hits = [asked.class_names[label] for label in asked.labels], {}


def right_and_ended(answers):
    return np.array([ended and answer == label for (answer, ended), label in zip(answers, truth, strict=True)])


def judge(after, before):
    change = evaluation.difference_interval(after, before, asked.blocks)
    return f"{change.points} points: {change.verdict_within(0.02)}"


# %%
def note(name, prompts, padding_side="left", like=None):
    answers = chat.write_answers(tokenizer, tuned, prompts, new_tokens=6, padding_side=padding_side)
    hits[name] = right_and_ended(answers)
    cost = judge(hits[name], hits[like]) if like else "no bug"
    print(f"{name:22} {hits[name].mean():.2f} right and ended, {cost}; the first: {answers[0][0]!r}")


# %% [markdown]
# Two bugs are made in *training*. With the **loss on the prompt**, the labels are a copy of the ids, as in pretraining: nearly all
# of the loss is then about writing reviews, because only two tokens of a row are the answer. With **no end token**, nothing teaches
# the model to stop. We train three small adapters, each on the same 120 sentences: without a bug, and with either.

# %% tags=["nbval-ignore-output"]
asked_prompts = [chat.prompt_text(tokenizer, messages_of(sentence)) for sentence in asked.texts]
few_rows = sentiment_rows[:: 2 if smoke else 5]
bugs = {"120 sentences": few_rows, "loss on the prompt": [(ids, ids) for ids, _ in few_rows]}
bugs["no end token"] = [(ids[:-1], labels[:-1]) for ids, labels in few_rows]
for name, bug_rows in bugs.items():
    new_adapter(name)
    fine_tune(bug_rows, learning_rate=1e-3, batch_size=4)
    note(name, asked_prompts, like="120 sentences" if name != "120 sentences" else None)

# %% [markdown]
# The first row is what to compare with: 120 sentences teach less than 600. Read the first answer of each row too. Without the
# end token in the labels, an answer can begin with the right word, but it does not end there.
#
# Two more bugs are made when the model is *used*: the **template is forgotten**, and the batch is **padded on the right**. Here the
# adapter is that of section 5:

# %% tags=["nbval-ignore-output"]
tuned.set_adapter("sentiment")
note("600 sentences", asked_prompts)
note("template forgotten", [f"{SENTIMENT}\n{sentence}\n" for sentence in asked.texts], like="600 sentences")
note("padded on the right", asked_prompts, "right", like="600 sentences")

# %% [markdown]
# Padded on the right, the model is asked to go on after padding, which it has never seen before an answer. A forgotten template may
# cost little for one word, because the adapter was trained on such short answers. Do not rely on this for longer ones.
#
# ## 7 A task that only a generator can do
#
# For one label of two, an encoder with a head is enough. But suppose you want a *record* of each sentence: is it positive, who
# directed the film, who stars in it? The number of names is not fixed, and the answer should be one that a program can read:
# **<abbr title="结构化输出">structured output</abbr>**, here as JSON. A language model can write it.
#
# As in notebook 12, names come from rules: those after "directed by" and after "starring", in sentences of the IMDB reviews.
# The label of its review stands for the sentiment of a sentence, which is often wrong for a sentence that only lists names.

# %% tags=["nbval-ignore-output"]
reviews = data.load_splits("imdb")
record_train = records.make_examples(reviews.train, 8 if smoke else 128)
record_test = records.make_examples(reviews.test, 6 if smoke else 32)
print(*[f"{example.sentence}\n{example.answer}\n" for example in record_train[:3]], sep="\n")

# %% [markdown]
# An answer is **valid** if a program can read it: it parses, and has the three keys with values of the right kinds
# (`records.read_record`). Names are scored as in notebook 12, by the $F_1$ of pairs of role and name; an invalid answer
# has none.

# %%
JSON_TASK = 'Answer in JSON: {"sentiment": "positive" or "negative", "director": [names], "starring": [names]}'


# %%
def score_records(name, lm, prompts):
    answers = [answer for answer, _ in chat.write_answers(tokenizer, lm, prompts, new_tokens=60)]
    blocks, valid = [e.block for e in record_test], [records.read_record(answer) is not None for answer in answers]
    record_scores[name] = evaluation.block_interval(valid, blocks), records.name_f1(answers, record_test)
    return answers


# %% [markdown]
# Prompted, without training, once with the task alone and once with three solved examples, given as earlier turns of the
# conversation:

# %% tags=["nbval-ignore-output"]
shown, record_prompts, record_scores = [], {}, {}
for example in records.make_examples(reviews.validation, 3):
    shown += [messages_of(example.sentence)[1], {"role": "assistant", "content": example.answer}]
with tuned.disable_adapter():
    for name, turns in {"prompt": [], "prompt with 3 examples": shown}.items():
        new = [messages_of(example.sentence, JSON_TASK) for example in record_test]
        record_prompts[name] = [chat.prompt_text(tokenizer, [system, *turns, user]) for system, user in new]
        print(f"{name}:", score_records(name, tuned, record_prompts[name])[0], sep="\n", end="\n\n")

# %% [markdown]
# The task alone is not understood. Three solved examples show the format. Now we fine-tune, on 128 sentences:

# %% tags=["nbval-ignore-output"]
new_adapter("records")
record_rows = [chat.encode(tokenizer, messages_of(e.sentence, JSON_TASK), e.answer) for e in record_train]
losses = fine_tune(record_rows, learning_rate=1e-3, batch_size=4)
print(f"loss {np.mean(losses[:3]):.2f} at first, {np.mean(losses[-3:]):.2f} at last")

# %% tags=["nbval-ignore-output"]
answers = score_records("LoRA, 128 sentences", tuned, record_prompts["prompt"])
for name, (valid, f1) in record_scores.items():
    print(f"{name:24} valid {valid}, F1 of names {f1:.2f}")
print(claims.check_claim("14 valid JSON after LoRA on 128 sentences", valid.estimate))

# %% [markdown]
# Without examples hardly any answer is valid, with examples most are, and after fine-tuning all of them, with every seed that we
# tried. The names are another matter: read the column $F_1$ from top to bottom. Where is the fine-tuned model wrong?

# %% tags=["nbval-ignore-output"]
told = [(e.sentence, e.answer, answer) for e, answer in zip(record_test, answers, strict=True)]
for sentence, by_rules, answer in [one for one in told if records.names_in(one[1]) != records.names_in(one[2])][:3]:
    print(sentence, f"  answer: {answer}", f"  rules:  {by_rules}", sep="\n")

# %% [markdown]
# In these three the name is copied correctly, but is put under the wrong role. So 128 examples have taught a *format*; the relation
# behind it takes more of them. Valid does not mean true: measure both. And the rules that made these labels need one line each,
# so a language model pays only where you have no such rule.
#
# ## 8 Preference tuning
#
# So far each prompt had one right answer. Often it is easier to say which of *two* answers is better. A
# **<abbr title="偏好对">preference pair</abbr>** is a prompt $x$ with a chosen answer $y^+$ and a rejected answer $y^-$.
# **<abbr title="直接偏好优化">DPO</abbr>** (direct preference optimisation; Rafailov et al., 2023) trains on such pairs. It needs
# two models: $\pi$, which is trained, and the frozen **reference** $\pi_0$, the model from before the training. An answer has the
# log-probability of its tokens $y_1, \dots, y_n$, minus the sum of the losses that section 3 averages:
#
# $$\log \pi(y \mid x) = \sum_{t=1}^{n} \log p(y_t \mid x, y_1, \dots, y_{t-1}) .$$

# %%
diagrams.show(diagrams.preference_pair)

# %% [markdown]
# The loss is the logistic loss of notebook 01, with label 1 and the logit $\beta m$. The margin $m$ says how much more than the
# reference $\pi$ prefers the chosen answer. A larger $\beta$ keeps $\pi$ closer to the reference.
#
# $$L = -\log \sigma(\beta m), \qquad m = \log \frac{\pi(y^+ \mid x)}{\pi_0(y^+ \mid x)} - \log \frac{\pi(y^- \mid x)}{\pi_0(y^- \mid x)} .$$


# %%
def preference_loss(chosen, rejected, reference_chosen, reference_rejected, beta=0.1):  # log-probabilities, each (B,)
    margin = (chosen - reference_chosen) - (rejected - reference_rejected)
    return -functional.logsigmoid(beta * margin).mean()


# %% [markdown]
# A pair by hand: $\pi$ gives log-probabilities $-2$ and $-4$, the reference $-3$ and $-3$. So $m = 1 - (-1) = 2$, and
# $L = -\log \sigma(0.2) = \log(1 + e^{-0.2}) = 0.598$. Torch's logistic loss has to give the same. For the log-probabilities there
# is `chat.answer_log_probabilities`. We compare it with the row of section 3: its loss `by_hand` is minus the mean over two tokens.

# %%
ours = preference_loss(*torch.tensor([[-2.0], [-4.0], [-3.0], [-3.0]]))
torch.testing.assert_close(ours, functional.binary_cross_entropy_with_logits(torch.tensor(0.2), torch.tensor(1.0)))
with torch.no_grad(), tuned.disable_adapter():
    log_probability = chat.answer_log_probabilities(tuned, **batch)[0]
torch.testing.assert_close(log_probability, -by_hand * counted.sum(), rtol=0.01, atol=0.01)
print(f"by hand = torch: {ours:.3f}; log-probability of the answer: by hand = course")

# %% [markdown]
# **Exercise 14.4 (predict): the first loss.** Before the first step, the model *is* the reference. What is the loss then, with
# $\beta = 0.1$? Give three decimals.

# %% tags=["exercise"]
my_first_loss = ...

# %% tags=["check"]
checks.check("14.4", my_first_loss)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
my_first_loss_solution = -np.log(0.5)

# %% tags=["check"]
checks.check("14.4", my_first_loss_solution, mine=False)  # the same check, on the solution above

# %% [markdown]
# ### Pairs from a rule
#
# We need pairs, and a rule that can be checked. Ours is about the *format*: the answer is `positive` or `negative`, and ends there.
# How often does the untuned model keep to it? We ask the `question` of section 2, which ends with "Answer with one word."


# %%
def ask(reviews):
    prompts = [chat.prompt_text(tokenizer, messages_of(sentence, question)) for sentence in reviews.texts]
    return chat.write_answers(tokenizer, tuned, prompts, new_tokens=12)


def in_format(answers):
    return np.array([ended and answer in test.class_names for answer, ended in answers])


# %% tags=["nbval-ignore-output"]
asked_for_pairs = data.evenly(splits.train, 8 if smoke else 48)
with tuned.disable_adapter():
    own, before = ask(asked_for_pairs), ask(asked)
print(f"{in_format(before).mean():.2f} of the answers are in the format; three of them:", *before[:3], sep="\n")

# %% [markdown]
# Beside each answer is whether it ended by itself. Now the pairs. The rejected answer is what the model wrote out of format, and the
# chosen one is the right word. If an answer was cut off at 12 tokens, its pair gets no end token either.

# %%
pairs, better = [], [test.class_names[label] for label in asked_for_pairs.labels]
for i in np.flatnonzero(~in_format(own)):
    messages, (answer, ended) = messages_of(asked_for_pairs.texts[i], question), own[i]
    chosen, rejected = (chat.encode(tokenizer, messages, text) for text in (better[i], answer))
    pairs.append((chosen, rejected if ended else (rejected[0][:-1], rejected[1][:-1])))

# %% [markdown]
# The reference costs no second model: it is ours with the adapter switched off. Its log-probabilities need no gradient. The loop is
# the one of section 5, with another loss:


# %%
def loss_of_pairs(indices):
    rows = [pairs[i][side] for side in (0, 1) for i in indices]  # all chosen answers, then all rejected ones
    both = chat.collate(rows, padding=padding, device=device)
    with torch.no_grad(), tuned.disable_adapter():
        reference = chat.answer_log_probabilities(tuned, **both).view(2, -1)  # (2, B)
    return preference_loss(*chat.answer_log_probabilities(tuned, **both).view(2, -1), *reference)


# %% tags=["nbval-ignore-output"]
new_adapter("preference")
losses = fine_tune([rejected for _, rejected in pairs], loss_of_pairs, learning_rate=5e-4, batch_size=4)
print(f"{len(pairs)} pairs; loss {losses[0]:.3f} in the first step, {losses[-1]:.3f} in the last")

# %% [markdown]
# The first loss is that of exercise 14.4, up to the rounding of bfloat16. A low last loss says only that $\pi$ prefers the
# chosen answers more than before. What does it write now, for the 32 sentences from which no pair was made?

# %% tags=["nbval-ignore-output"]
after = ask(asked)
for name, score in {"in the format": in_format, "right and ended": right_and_ended}.items():
    print(f"{name:15} {score(before).mean():.2f}, then {score(after).mean():.2f}: {judge(score(after), score(before))}")
gained = in_format(after).mean() - in_format(before).mean()
print("three answers:", *after[:3], claims.check_claim("14 answers in the format, after DPO minus before", gained), sep="\n")

# %% [markdown]
# 48 pairs are enough to teach the rule: every answer is in the format, with every seed. The second row also asks for the right word.
# It is the chosen answer of every pair, but always against a longer text, never against the wrong word. So pairs like ours say
# little about it.
#
# ### What is lost: forgetting
#
# A model that is pushed towards a few words may lose what it could do before. This is called
# **<abbr title="灾难性遗忘">catastrophic forgetting</abbr>**. We measure it on a text that has nothing to do with films, the manual that
# comes with Python. The **perplexity** $e^L$ (notebook 05) says how well the model predicts it. The
# **<abbr title="KL 散度">KL divergence</abbr>** (notebook 08) says how far the predictions $p$ are from those of the untuned model,
# $p_0$, even where both are equally good: $\sum_v p(v) \log (p(v) / p_0(v))$ over all $V$ tokens $v$, and then the mean over positions.
# The verdict compares the log-probabilities of the manual's tokens, in blocks of 50.

# %%
manual = "\n".join(text[:300] for text in list(topics.topics.values())[:: 40 if smoke else 16])
manual_ids = tokenizer(manual, return_tensors="pt")["input_ids"].to(device)  # (1, T)


@torch.no_grad()
def predictions():
    with autocast(device):
        return tuned(input_ids=manual_ids).logits[0, :-1].float().log_softmax(dim=-1)  # (T - 1, V)


# %% tags=["nbval-ignore-output"]
with tuned.disable_adapter():
    log_p_0 = predictions()
for name in ("sentiment", "records", "preference"):
    tuned.set_adapter(name)
    log_p = predictions()
    seen_0, seen = (each.gather(1, manual_ids[0, 1:, None])[:, 0].cpu().numpy() for each in (log_p_0, log_p))
    divergence = (log_p.exp() * (log_p - log_p_0)).sum(dim=-1).mean()
    verdict = evaluation.difference_interval(seen, seen_0, np.arange(len(seen)) // 50).verdict
    perplexities = np.exp([-seen_0.mean(), -seen.mean()])
    print("{:10} perplexity {:.1f}, then {:.1f}: {}; KL {:.3f}".format(name, *perplexities, verdict, divergence))

# %% [markdown]
# "Worse" means that the adapter predicts the manual less well than the untuned model: something was forgotten. "Better" or "cannot
# tell" means that this text shows no forgetting, although a KL above 0 says that the predictions have changed. Compare the three: more
# steps or a larger learning rate usually move a model further (a larger KL). In DPO, $\beta$ limits this only for the prompts of the
# pairs. Whatever you train on, report beside the gain what was forgotten.
#
# ## 9 When to fine-tune what
#
# The encoder of notebook 06 belongs beside these rows. Its accuracy is the mean of the stored seeds of that notebook, over the
# whole test part. The time of a sentence is what the processor worked on it, all cores added up:

# %%
some = data.evenly(test, 4 if smoke else 50)
encoder = pretrained.load_classifier().to(device)
tokens = encode_wordpieces(some, pretrained.load_tokenizer(), max_length=48)
zero_shot_prompts = [TEMPLATE.format(sentence) for sentence in some.texts]
chats = [chat.prompt_text(tokenizer, messages_of(sentence)) for sentence in some.texts]


# %%
def processor_ms(predict):
    started = time.process_time()
    predict()
    return 1000 * (time.process_time() - started) / len(some)


# %% tags=["nbval-ignore-output"]
milliseconds = {"LoRA, 600 sentences": processor_ms(lambda: chat.label_logits(tokenizer, tuned, chats, test.class_names))}
milliseconds["encoder of notebook 06"] = processor_ms(lambda: prediction.predict_logits(encoder, tokens))
with tuned.disable_adapter():
    milliseconds["zero-shot prompt"] = processor_ms(lambda: chat.label_logits(tokenizer, tuned, zero_shot_prompts, WORDS))
stored = claims.stored_values("06 fine-tuned encoder on Rotten Tomatoes, block split", profile="workshop")
facts = {
    "zero-shot prompt": (0, correct["zero-shot prompt"].mean(), 2 * count),
    "LoRA, 600 sentences": (600, correct["LoRA, 600 sentences"].mean(), 2 * count + 4 * trained),
    "encoder of notebook 06": (5_600, np.mean(stored), 4 * sum(weight.numel() for weight in encoder.parameters())),
}
print(f"{'':24} labels  accuracy  ms a sentence   MB")
for name, (labelled, accuracy, size) in facts.items():
    print(f"{name:24}{labelled:7,}{accuracy:10.3f}{milliseconds[name]:15.1f}{size / 1e6:5.0f}")

# %% [markdown]
# The fine-tuned language model (one run, 400 sentences) is as accurate as the encoder of notebook 06, with a ninth of its
# labels, and it works more than ten times as long on each sentence and takes three times the memory. Which of the two is cheaper depends on what you have more of,
# sentences to label or sentences to classify.
#
# | your situation | begin with | because |
# |---|---|---|
# | a few hundred or thousand labels, one label for each text | a fine-tuned encoder (06) | about as accurate, and much faster for each text |
# | no labels at all | a prompt, calibrated on unlabelled texts | no training; but measure it on a hundred labelled texts |
# | the answer is a text of its own: a record, a list | a language model with LoRA | an encoder with a head cannot write, and a prompt does not always keep to the format |
# | you can say which of two answers is better, but not what the best one is | SFT, then DPO | DPO needs a model that can already answer |
#
# ## Quiz
#
# Three questions on the whole notebook. Nothing is sent anywhere.

# %% tags=["check"]
checks.quiz("14")

# %% [markdown]
# ## Summary
#
# * A decoder predicts the next token, and everything else is built on this: sampling, prompting, chatting, fine-tuning.
# * Report a prompt with the effort that went into it. Calibrate label words, and choose prompts on validation data.
# * Supervised fine-tuning is the loss of pretraining on answers only. Count the labels of one row before you train.
# * LoRA on a frozen, quantised base trains about 1 % of the parameters. The adapter is a file of a few megabytes.
# * Fine-tuning on a hundred examples teaches a format such as JSON. Check separately whether what is in it is true.
# * Pad on the left to generate, use the template of the model, and let it learn the end token.
# * DPO raises chosen answers over rejected ones, relative to a reference. Whatever you train on, measure what was forgotten.
#
# **To think about.** Our contamination probe looks for texts that are known word for word. How could a test leak in a way
# that this probe does not see?
#
# **Next:** this is the last notebook. [Notebook 13](13_your_own_data.ipynb) has the steps for a table of your own, and
# [notebook 11](11_scale_out.ipynb) those for models that are too large for one machine.
