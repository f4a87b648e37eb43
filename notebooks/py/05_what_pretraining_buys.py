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
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/fine-tuning-course/fine-tuning-course/blob/main/notebooks/05_what_pretraining_buys.ipynb) · [words and terms 术语表](../docs/GLOSSARY.md)
#
# **What you will be able to do:** say what BERT, RoBERTa and GPT were trained to do and compute each loss by hand, compute
# attention from the weights of a real checkpoint, pretrain a small BERT yourself, and measure with a probe what a
# pretrained model knows before fine-tuning.
#
# **Before you start:** notebooks 01 and 02. **Time:** 60 minutes to read and play; the code takes about two minutes.

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
import math
import re
import matplotlib.pyplot as plt
import numpy as np
import torch
from accelerate import Accelerator
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from tqdm.auto import tqdm
from transformers import AutoModel, BertConfig, BertForMaskedLM, DataCollatorForLanguageModeling, GPT2Config
from transformers import GPT2LMHeadModel, get_linear_schedule_with_warmup

from course_utils import batching, claims, data, evaluation, layers, plots, pretrained, profiles, text
from course_utils.device import autocast
from course_utils.exercises import checks

plots.use_style()
profile, seed, device = profiles.get_profile(), profiles.get_seed(), Accelerator().device  # small examples stay on the CPU

# %% [markdown]
# ## 1 Two kinds of training
#
# **<abbr title="预训练">Pretraining</abbr>** trains a model on a large amount of text, with labels that come from the text itself. **Fine-tuning** continues
# from those parameters, with a few labelled examples of the task you care about. The formula of notebook 01,
# $\min_w \frac{1}{n}\sum_i l(y_i, f(x_i; w))$, describes both. They differ in where the labels $y_i$ come from and
# where $w$ starts.
#
# | | pretraining | fine-tuning |
# |---|---|---|
# | input and label | a text with a hidden word, and that word | a review, and its class |
# | who writes the labels | nobody: they are in the text | people |
# | how much text | BERT: 3,300 million words | here: 5,600 sentences |
# | where $w$ starts | random numbers | where pretraining ended |
# | how often | once, by a team with many processors | for every task, in minutes |
#
# Older texts call pretraining "unsupervised" or "semi-supervised". Today's term is **self-supervised**, and it is the
# better one. Every prediction *has* a right answer, and the loss is the same cross-entropy that any classifier
# uses, so it is not <abbr title="无监督">unsupervised</abbr>. And <abbr title="半监督">semi-supervised</abbr> means something else: one task, with labels for some of the
# examples.
#
# The three best-known <abbr title="预训练模型">pretrained models</abbr> differ in what they have to predict.
#
# | model | sees | predicts | at which positions |
# |---|---|---|---|
# | BERT (2018) | both sides | which word is hidden here? Does one text follow the other? | 15 % of the words, chosen once |
# | RoBERTa (2019) | both sides | which word is hidden here? | 15 % of the words, chosen anew every time |
# | GPT (2018 to today) | the left side only | which word comes next? | all |
#
# *Sources: Devlin et al. 2019 (arXiv:1810.04805), Liu et al. 2019 (arXiv:1907.11692), Radford et al. 2018 and 2019.*

# %% [markdown]
# ## 2 BERT's question: which word is hidden?
#
# Take a batch of two real sentences. Choose 15 % of the positions at random, but never the special tokens `[CLS]` and `[SEP]`. Of the chosen
# positions 80 % are replaced by `[MASK]`, 10 % by a random word, and 10 % stay as they are.

# %%
tokenizer = pretrained.load_tokenizer()
sentences = data.load_splits("rotten_tomatoes", train_size=profile.sentences_train, test_size=profile.test_size)
pair = ["guy gets girl , guy loses girl , audience falls asleep .", "bad company . bad movie . just plain bad ."]
batch = tokenizer(pair, padding=True, return_tensors="pt", return_special_tokens_mask=True)
input_ids = batch["input_ids"]  # (B, T)
special = batch["special_tokens_mask"].bool()  # (B, T), True at [CLS], [SEP] and padding
print("input_ids", tuple(input_ids.shape), tokenizer.convert_ids_to_tokens(input_ids[1]))


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
hidden, chosen = hide_words(input_ids, special, tokenizer.mask_token_id, len(tokenizer), torch.Generator().manual_seed(3))
for row in range(2):
    print(" ".join(tokenizer.convert_ids_to_tokens(hidden[row])))
    print("    the labels:", tokenizer.convert_ids_to_tokens(input_ids[row][chosen[row]]))

# %% [markdown]
# The labels are the original words. The `transformers` library does this in a data collator. With the same seed, ours must agree
# with it at every position; the collator marks the positions that the loss ignores with the label $-100$.

# %%
collator = DataCollatorForLanguageModeling(tokenizer, seed=3)
collated = collator([tokenizer(sentence, return_special_tokens_mask=True) for sentence in pair])
labels = input_ids.masked_fill(~chosen, -100)
torch.testing.assert_close(hidden, collated["input_ids"])
torch.testing.assert_close(labels, collated["labels"])
print("the library hides the same words; labels of the second sentence:", labels[1].tolist())

# %% [markdown]
# Why not replace all of them by `[MASK]`? Fine-tuning never shows a `[MASK]`. If a model predicted only at `[MASK]`, it would use the other
# words as hints, but would not need a good state at their own positions. Because a visible word may be wrong, or may have to be predicted, the model
# needs a good state at every position. Do the shares come out as planned?

# %%
many = text.encode_wordpieces(sentences.train, tokenizer, max_length=48)
flat = torch.from_numpy(np.concatenate(many.input_ids))
is_marker = (flat == tokenizer.cls_token_id) | (flat == tokenizer.sep_token_id)
flat_hidden, flat_chosen = hide_words(
    flat, is_marker, tokenizer.mask_token_id, len(tokenizer), torch.Generator().manual_seed(0)
)
shares = [flat_chosen[~is_marker].float().mean(), (flat_hidden[flat_chosen] == tokenizer.mask_token_id).float().mean(),
          (flat_hidden[flat_chosen] == flat[flat_chosen]).float().mean()]  # fmt: skip
print(f"{len(flat):,} tokens: {shares[0]:.1%} chosen; of these {shares[1]:.1%} masked and {shares[2]:.1%} unchanged")

# %% [markdown]
# They do: about 15 %, 80 % and 10 %.
#
# ### The loss, at the chosen positions only
#
# A <abbr title="掩码语言模型">masked language model</abbr> gives $V$ logits at each position. With $\mathcal{M}$ the set of chosen positions and $t_j$ the true
# token at position $j$,
#
# $$L = -\frac{1}{|\mathcal{M}|} \sum_{j \in \mathcal{M}} \log p_j(t_j), \qquad
# p_j(v) = \frac{e^{z_{jv}}}{\sum_{u=1}^{V} e^{z_{ju}}}.$$
#
# It is the cross-entropy of notebook 01 with $C = V$ classes. We try it on an untrained BERT that is small enough to create in a moment.

# %%
torch.manual_seed(0)
sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
untrained_bert = BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **sizes)).eval()
with torch.no_grad():
    output = untrained_bert(input_ids=hidden, attention_mask=batch["attention_mask"], labels=labels)
z = output.logits  # (B, T, V)
log_p = z - z.exp().sum(dim=2, keepdim=True).log()
by_hand = -log_p[chosen].gather(1, input_ids[chosen][:, None]).mean()

torch.testing.assert_close(by_hand, nn.functional.cross_entropy(z[chosen], input_ids[chosen]))
torch.testing.assert_close(by_hand, output.loss)
print("logits", tuple(z.shape), "- by hand = torch = transformers, about", round(by_hand.item(), 1))

# %% [markdown]
# Again we can explain the untrained loss: all $V$ words are about equally likely, so it is close to $\log V = \log 30{,}522 = 10.3$.
# Losses of language models are often given as **perplexity**, $e^L$: the model is as uncertain as if it had to choose among that many equally
# likely words. Here that is the whole vocabulary.

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
def probability_of(logits, token_id):
    powers = logits.exp()
    return powers[token_id] / powers.sum()


# %% tags=["check"]
checks.check("05.1", probability_of, mine=False)  # the same check, on the solution above


# %% [markdown]
# ## 3 What RoBERTa changed
#
# RoBERTa has BERT's architecture and a better training objective, and was trained on more text and for longer.
#
# 1. **Dynamic masking.** BERT's positions were chosen once, when the data were prepared, so BERT had to predict the same words again
#    and again. RoBERTa chooses new positions whenever it reads a sentence.
# 2. **No second task.** BERT also had to predict whether one text follows another (*next-sentence prediction*). RoBERTa
#    left that out and did as well or better; nearly all later models followed.

# %%
generator = torch.Generator().manual_seed(1)
for epoch in range(1, 5):
    _, now_chosen = hide_words(input_ids, special, tokenizer.mask_token_id, len(tokenizer), generator)
    print(f"epoch {epoch} hides:", ", ".join(tokenizer.convert_ids_to_tokens(input_ids[now_chosen])) or "nothing")

# %% [markdown]
# Each epoch hides different words of the two sentences; in such a short text it can even hide none. After $k$ epochs a word has been hidden at least once with probability
# $1 - 0.85^k$; with fixed positions this stays at 15 % for ever. We count.

# %%
asked = torch.zeros(len(flat), dtype=torch.bool)
share_asked = []
for _ in range(10):
    asked |= hide_words(flat, is_marker, tokenizer.mask_token_id, len(tokenizer), generator)[1]
    share_asked.append(asked[~is_marker].float().mean().item())
formula = 1 - 0.85 ** np.arange(1, 11)
np.testing.assert_allclose(share_asked, formula, atol=0.02 if profile.name == "smoke" else 0.005)
print("words hidden at least once after 1, 3 and 10 epochs:", ", ".join(f"{share_asked[k - 1]:.0%}" for k in (1, 3, 10)))

# %% [markdown]
# ## 4 GPT's question: which word comes next?
#
# GPT predicts every token from those before it. The labels are the input shifted by one position, and no position may attend
# to the right. With $T$ tokens there are $T - 1$ predictions:
#
# $$L = -\frac{1}{T-1} \sum_{j=1}^{T-1} \log p(t_{j+1} \mid t_1, \ldots, t_j).$$

# %%
torch.manual_seed(0)
markers = {"bos_token_id": tokenizer.cls_token_id, "eos_token_id": tokenizer.sep_token_id}
gpt_config = GPT2Config(vocab_size=len(tokenizer), n_embd=64, n_layer=2, n_head=2, **markers)
untrained_gpt = GPT2LMHeadModel(gpt_config).eval()
untrained_gpt.loss_type = "ForCausalLM"  # transformers cannot infer it from the name of the class, and would warn
one = input_ids[:1]  # (1, T), without padding
with torch.no_grad():
    output = untrained_gpt(input_ids=one, labels=one)
log_p = output.logits.log_softmax(dim=2)
by_hand = -log_p[:, :-1].gather(2, one[:, 1:, None]).mean()  # the logits at position j predict token j + 1
torch.testing.assert_close(by_hand, output.loss)
print("next-token loss by hand = transformers; the library shifts the labels by one position itself")

# %% [markdown]
# You can test from outside that no position attends to the right: replace the full stop before `[SEP]` by a word, and see at which positions
# the prediction changes.


# %%
def places_that_notice(model) -> str:
    other = one.clone()
    other[0, -2] = tokenizer.convert_tokens_to_ids("again")
    with torch.no_grad():
        changed = (model(input_ids=one).logits - model(input_ids=other).logits).abs().amax(dim=2)[0] > 1e-6
    return " ".join("x" if change else "." for change in changed)


# %%
print("GPT  ", places_that_notice(untrained_gpt))
print("BERT ", places_that_notice(untrained_bert))

# %% [markdown]
# In GPT only the predictions at the changed position and to its right change (`x`); in BERT all do. So GPT can generate text one word after
# the other, and it learns from every token. BERT sees both sides, which is better for *understanding* a given sentence, but it learns
# from only 15 % of the tokens it reads.

# %% [markdown]
# **Exercise 05.2 (predict): who sees the future.** Another sentence has ten tokens, and the fourth is replaced by another word.
# At how many of the ten positions can the prediction change, in GPT and in BERT? Write down two numbers.

# %% tags=["exercise"]
my_places = ...  # (GPT, BERT)

# %% tags=["check"]
checks.check("05.2", my_places)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
my_places = (7, 10)  # (GPT, BERT)

# %% tags=["check"]
checks.check("05.2", my_places, mine=False)  # the same check, on the solution above


# %% [markdown]
# ## 5 How words exchange information: attention
#
# In both models a word gets information about the others through **<abbr title="注意力">attention</abbr>**. Each layer computes three vectors from every token's
# state $x_j$: a query $q_j$ (what am I looking for?), a key $k_j$ (what do I offer?) and a value $v_j$ (what do I pass
# on?). The better a query matches a key, the more of the value is passed on. With $Q, K, V \in \mathbb{R}^{T \times d}$:
#
# $$A = \mathrm{softmax}\!\Big(\frac{Q K^\top}{\sqrt{d}} + M\Big), \qquad \text{output} = A V .$$
#
# $A \in \mathbb{R}^{T \times T}$ has rows that sum to one. The mask $M$ is $-\infty$ where a token must not attend: at padding in BERT,
# and also at everything to the right in GPT. A layer does this several times in parallel, with $d$ of its $D$ numbers
# for each **head**.
#
# From here on the <abbr title="检查点">checkpoint</abbr> is the one that comes with the course: MiniLM, 6 layers, $D = 384$, 12 heads. It has BERT's architecture
# and vocabulary. It was made from BERT-like teachers by distillation (notebook 08) and then tuned as a sentence <abbr title="编码器">encoder</abbr>, so
# that sentences with similar meaning get similar vectors. We use it in place of BERT because it is about five times smaller.

# %%
encoder = pretrained.load_encoder()
encoder.set_attn_implementation("eager")  # the slower implementation, which can return A
with torch.no_grad():
    output = encoder(input_ids, batch["attention_mask"], output_attentions=True, output_hidden_states=True)


# %%
layer, head, d = 3, 4, 32
own = encoder.encoder.layer[layer].attention.self
rows = slice(head * d, (head + 1) * d)  # this head's part of the layer's weights
x = output.hidden_states[layer]  # (B, T, D): what enters the layer
with torch.no_grad():
    Q, K, V = (x @ linear.weight[rows].T + linear.bias[rows] for linear in (own.query, own.key, own.value))
scores = Q @ K.transpose(1, 2) / math.sqrt(d)  # (B, T, T)
padding = batch["attention_mask"][:, None, :] == 0  # (B, 1, T)
A = scores.masked_fill(padding, -torch.inf).softmax(dim=2)
print("Q, K, V", tuple(Q.shape), " A", tuple(A.shape))

# %%
torch.testing.assert_close(A, output.attentions[layer][:, head], atol=1e-5, rtol=1e-4)
theirs = nn.functional.scaled_dot_product_attention(Q, K, V, attn_mask=~padding)
torch.testing.assert_close(A @ V, theirs, atol=1e-5, rtol=1e-4)
assert (A.masked_select(padding.expand_as(A)) == 0).all()
print("A by hand = the model's own; A V by hand = torch's; padding gets no attention")

# %% [markdown]
# GPT may attend only to the lower triangle. The same lines with a different $M$ give torch's `is_causal=True`.

# %%
T = x.shape[1]
future = torch.ones(T, T, dtype=torch.bool).triu(1)  # True above the diagonal: to the right
causal = scores.masked_fill(future, -torch.inf).softmax(dim=2)
theirs = nn.functional.scaled_dot_product_attention(Q, K, V, is_causal=True)
torch.testing.assert_close(causal @ V, theirs, atol=1e-5, rtol=1e-4)
print("attention of the first token, [CLS]:", causal[0, 0, :4].tolist(), "- only to itself")

# %% [markdown]
# ### What do the heads attend to?
#
# There are $6 \times 12$ heads. On 64 sentences we measure how much attention each pays to the token just before, to the token just
# after, and to the special tokens `[CLS]` and `[SEP]`, and draw the strongest of each kind on one sentence.

# %%
sixty_four = text.encode_wordpieces(data.evenly(sentences.train, 64), tokenizer, max_length=48)
looked = batching.collate([sixty_four[i] for i in range(64)])
with torch.no_grad():
    every_A = torch.stack(encoder(looked["input_ids"], looked["attention_mask"], output_attentions=True).attentions)
is_marker_here = torch.isin(looked["input_ids"], torch.tensor([tokenizer.cls_token_id, tokenizer.sep_token_id])).float()
paid = {
    "the token before": nn.functional.pad(every_A.diagonal(-1, 3, 4), (1, 0)),  # (layers, B, heads, T)
    "the token after": nn.functional.pad(every_A.diagonal(1, 3, 4), (0, 1)),
    "[CLS] and [SEP]": (every_A * is_marker_here[None, :, None, None, :]).sum(4),
}
real = looked["attention_mask"][None, :, None, :]
share = {name: (amount * real).sum((1, 3)) / real.sum((1, 3)) for name, amount in paid.items()}  # (layers, heads)

# %% tags=["approx"]
strongest = {name: divmod(int(heads.argmax()), 12) for name, heads in share.items()}
for name, (layer, head) in strongest.items():
    print(f"layer {layer}, head {head:2}: pays {share[name][layer, head]:.0%} of its attention to {name}")
print(
    f"all heads on average: {share['[CLS] and [SEP]'].mean():.0%} to the special tokens, which are {is_marker_here.sum() / real.sum():.0%} of the tokens"
)

# %%
shown_tokens = tokenizer.convert_ids_to_tokens(input_ids[0])
fig, axes = plt.subplots(1, 3, figsize=(11, 4.4), sharey=True)
for ax, (name, (layer, head)) in zip(axes, strongest.items(), strict=True):
    plots.heat_map(ax, output.attentions[layer][0, head].numpy(), rows=shown_tokens, columns=shown_tokens, limits=(0, 1))
    ax.set(title=f"layer {layer}, head {head}:\n{name}", xlabel="attends to")
    ax.tick_params(axis="x", rotation=90)
axes[0].set_ylabel("token")
plots.show(fig, alt="Three heat maps of attention over one sentence. Left: nearly all weight just below the diagonal, the token before. "
           "Middle: weight just above the diagonal, the token after. Right: one dark column, at `[CLS]`.")  # fmt: skip

# %% [markdown]
# The first head attends almost only to the token before. The second mostly attends to the token after. The third
# attends mostly to `[CLS]`, a special token without a meaning of its own; only the two "girl" attend more to each other. One interpretation: a head does this when it has nothing to add (Clark and others, 2019,
# section 3.2). It is common: on average over all heads, the special tokens get about five times the attention that their number would suggest. You can read such roles from the pictures. But a dark square is **not an explanation** of a prediction. Above the first layer a "token" is already a
# mixture of the whole sentence, there are six layers of twelve heads, and the picture does not show the values that are
# passed on.

# %% [markdown]
# ## 6 Pretrain a small BERT yourself
#
# Our text is 8,000 reviews of IMDB's training set, **without their labels**. The vocabulary is that of notebook 02, limited to a
# few thousand words, with one more token: `<mask>`. We join the reviews into one long stream and split it into windows of $T = 32$.

# %%
reviews = data.load_splits("imdb", train_size=profile.reviews_train)
some_reviews = data.evenly(reviews.train, min(8_000, len(reviews.train)))
review_words = [text.basic_english(review) for review in some_reviews.texts]
known = text.Vocabulary.from_tokens(review_words, max_size=min(4_000, profile.vocabulary_size) - 1)
vocabulary = text.Vocabulary((*known.tokens, "<mask>"))
V, mask_id, window, D = len(vocabulary), len(vocabulary) - 1, 32, 64
unlabelled = batching.TokenDataset(tuple(np.array(vocabulary.encode(w)) for w in review_words), some_reviews.labels)
del review_words  # millions of words as Python strings take memory


# %%
def windows_of(encoded) -> torch.Tensor:
    stream = torch.from_numpy(np.concatenate(encoded.input_ids))
    return stream[: len(stream) // window * window].reshape(-1, window)  # (windows, T)


# %%
corpus = windows_of(unlabelled)
unseen = windows_of(text.encode_words(reviews.validation, vocabulary, max_length=400))[::15]
print(f"V = {V:,}; corpus {tuple(corpus.shape)}, {corpus.numel():,} words; unseen {tuple(unseen.shape)}")

# %% [markdown]
# First the baselines. Uniform guessing has the loss $\log V$. If you predict each word by its frequency, without reading the
# sentence, you get the entropy of the word frequencies, the **unigram** baseline. Only a loss below it shows that a model has
# learned from context. We choose once which words of unseen reviews have to be predicted, and mask all of them.

# %% tags=["approx"]
unseen_hidden, unseen_chosen = hide_words(unseen, unseen <= 1, mask_id, V, torch.Generator().manual_seed(0), cover=1.0)
frequency = np.bincount(corpus.flatten(), minlength=V) + 1e-3
frequency[[0, 1, mask_id]] = 1e-3  # padding, unknown words and the mask itself are never predicted
log_frequency = torch.from_numpy(np.log(frequency / frequency.sum())).float()
unigram_price = -log_frequency[unseen[unseen_chosen]].mean().item()
print(f"{int(unseen_chosen.sum()):,} hidden words. Uniform guessing: loss {np.log(V):.2f}, perplexity {V:,}. "
      f"Unigram baseline: loss {unigram_price:.2f}, perplexity {np.exp(unigram_price):.0f}.")  # fmt: skip

# %% [markdown]
# The model is the class that BERT uses, with one layer and $D = 64$. Our training is short, so we initialise three parts well.
# Its word vectors are counted as in notebook 02, from these reviews; its position embeddings are the sines and
# cosines of the first Transformer, in which neighbouring positions have similar vectors; and its output bias is $\log p$ of the word
# frequencies, so that every improvement over the unigram baseline comes from context. Everything else starts at random.

# %%
torch.manual_seed(seed)
heads = {"num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 4 * D, "max_position_embeddings": window}
no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
config = BertConfig(vocab_size=V, hidden_size=D, type_vocab_size=1, initializer_range=0.12, **heads, **no_dropout)
small_bert, untrained = BertForMaskedLM(config).to(device), BertForMaskedLM(config).bert.to(device)
angles = torch.arange(window)[:, None] / 10_000 ** (torch.arange(0, D, 2) / D)  # (T, D / 2)
with torch.no_grad():
    embeddings = small_bert.bert.embeddings
    embeddings.word_embeddings.weight.copy_(text.ppmi_vectors(unlabelled, vocab_size=V, size=D))
    embeddings.position_embeddings.weight.copy_(0.2 * torch.cat([angles.sin(), angles.cos()], dim=1))
    small_bert.cls.predictions.bias.copy_(log_frequency)
at_start = copy.deepcopy(small_bert)
print("parameters:", f"{layers.count_parameters(small_bert).total:,}")

# %% [markdown]
# The training loop is the usual one. To learn more from each step, we hide 30 % of the words instead of 15 %, and mask
# all of them. To save time, we compute the output layer only at the chosen positions.


# %%
def masked_loss(model, window_ids, generator, everywhere: bool = False):
    hidden, chosen = hide_words(window_ids, window_ids <= 1, mask_id, V, generator, rate=0.3, cover=1.0)
    counted = window_ids > 1 if everywhere else chosen  # everywhere is the bug of section 11
    states = model.bert(hidden.to(device)).last_hidden_state  # (B, T, D)
    return nn.functional.cross_entropy(model.cls(states[counted.to(device)]), window_ids[counted].to(device))


# %%
def pretrain(model, num_steps: int, everywhere: bool = False) -> list[float]:
    generator, losses = profiles.set_seed(seed), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = get_linear_schedule_with_warmup(optimizer, num_steps // 20, num_steps)
    for _ in tqdm(range(num_steps), desc="pretraining"):
        rows = torch.randint(len(corpus), (32,), generator=generator)
        loss = masked_loss(model, corpus[rows], generator, everywhere)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


# %%
@torch.no_grad()
def unseen_loss(model) -> float:
    logits = model.cls(model.bert(unseen_hidden.to(device)).last_hidden_state[unseen_chosen.to(device)])
    return nn.functional.cross_entropy(logits, unseen[unseen_chosen].to(device)).item()


# %% [markdown]
# The next cell pretrains. It takes less than a minute on two cores.

# %% tags=["nbval-ignore-output"]
losses = pretrain(small_bert, profile.pretraining_steps)
small_bert.eval()
print(f"loss at hidden words of unseen reviews: {unseen_loss(small_bert):.2f}, unigram baseline {unigram_price:.2f}")

# %%
fig, ax = plt.subplots()
ax.plot(plots.smooth(losses, span=50), color=plots.COLOURS[0], linestyle="-", label="pretraining, mean of last 50")
ax.axhline(np.log(V), color="black", linestyle=":", linewidth=1.2, label="uniform guessing: log V")
ax.axhline(unigram_price, color=plots.COLOURS[1], linestyle="--", linewidth=1.2, label="unigram baseline")
ax.set(xlabel="step (32 windows of 32 words)", ylabel="loss at hidden words")
ax.set_title("Half a minute of pretraining beats the unigram baseline")
ax.legend()
plots.show(fig, alt="Loss at hidden words over the steps of pretraining. It starts above the dashed unigram baseline, crosses it and keeps "
           "falling slowly; the dotted line of log V lies just above its first point.")  # fmt: skip

# %% [markdown]
# How far below the unigram baseline does it get, on unseen reviews?

# %%
saved = unigram_price - unseen_loss(small_bert)
claims.check_claim("05 nats that pretraining saves over the unigram price, unseen words", saved)

# %%
assert saved > 0 or profile.name == "smoke"
print("below the unigram baseline" if profile.name != "smoke" else "not measured in the smoke profile")

# %% [markdown]
# The loss starts high, because the random layer disturbs the predictions of the output bias, and the first steps reduce that. Then the curve falls below
# the dashed line. On unseen reviews the loss is about one below the unigram baseline. That improvement was learned from context, and
# nobody wrote a label. It is still far from a real BERT, whose text has over a thousand times as many words.
#
# ## 7 What did that half minute buy?
#
# First we look at examples: fill in the blank, before and after pretraining.


# %%
@torch.no_grad()
def fill(model, sentence: str, count: int = 5) -> str:
    ids = vocabulary.encode(sentence.split())
    logits = model(torch.tensor([ids], device=device)).logits[0, ids.index(mask_id)]  # (V,)
    return ", ".join(vocabulary.decode(logits.topk(count).indices.tolist()))


# %%
blanks = ["this is one of the <mask> movies i have ever seen .", "what a waste of <mask> !", "i would not <mask> this film to anyone .",
          "it is set in <mask> york city .", "the <mask> of the film is very good ."]  # fmt: skip

# %% tags=["nbval-ignore-output"]
for sentence in blanks:
    print(sentence, "\n    before:", fill(at_start, sentence), "\n    after: ", fill(small_bert, sentence))

# %% [markdown]
# Before pretraining the words have nothing to do with the blank. After it, check whether they are of the right kind: a verb after "would not", a noun after the
# "the" of the last sentence. In our run they are. But the model has not found "time" in "a waste of time", nor "new" in "new york": it has learned which kind of word fits
# rather than fixed phrases. It has not learned to understand films.
#
# Now we measure it. We freeze each network, take the mean of its states as <abbr title="特征">features</abbr> of a Rotten Tomatoes sentence, and train logistic
# regression to predict the sentiment: a **<abbr title="探针">probe</abbr>**. We compare three networks of the same shape: one with random weights; one as it was before pretraining (counted vectors, random layer);
# and the pretrained one.


# %%
def probe():
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=2000))


# %%
test_labels, blocks = sentences.test.labels, sentences.test.blocks
in_words = [text.encode_words(part, vocabulary, max_length=window) for part in (sentences.train, sentences.test)]
networks = {"all random": untrained, "start: counted word vectors": at_start.bert, "after pretraining": small_bert.bert}
small_correct = {}
for name, network in networks.items():
    train_features, test_features = (layers.sentence_features(network, encoded) for encoded in in_words)
    small_correct[name] = probe().fit(train_features, sentences.train.labels).predict(test_features) == test_labels

# %%
fig, ax = plt.subplots(figsize=(7, 2.4))
plots.bars_with_intervals(ax, {name: evaluation.block_interval(values, blocks) for name, values in small_correct.items()})
ax.set_title("Counted word vectors help the probe; this pretraining adds nothing")
plots.show(fig, alt="Test accuracy of the probe with intervals for three small networks: the random one is lowest, the start with "
           "counted word vectors is highest, and the pretrained one is between them.")  # fmt: skip

# %% [markdown]
# All three predicted the same sentences, so we can compute paired differences:

# %% tags=["nbval-ignore-output"]
over_random = evaluation.difference_interval(small_correct["after pretraining"], small_correct["all random"], blocks)
print("after pretraining minus all random:", over_random)
assert over_random.low > 0 or profile.name == "smoke"

# %%
over_start = evaluation.difference_interval(
    small_correct["after pretraining"], small_correct["start: counted word vectors"], blocks
)
claims.check_claim("05 small BERT after pretraining minus its start, sentences", over_start.estimate)

# %% [markdown]
# The result is sobering. Counted word vectors beat random ones, but half a minute of filling in blanks did not make sentiment easier to predict: before
# pretraining the probe does at least as well as after it. One likely reason: the states have learned which word *fits here*, and "good" and "bad" fit at the same positions. A checkpoint that
# is useful for sentiment needs far more text, more layers and more time. So we now use one.
#
# ## 8 What a real checkpoint knows
#
# Now we take the checkpoint and freeze it: none of its weights is trained. Each sentence becomes the mean of its tokens' states, one vector per layer, and
# a **probe** (logistic regression) tries to predict the sentiment from it. The probe shows what information is in the states; a control shows how much of it comes from pretraining.
# First we do it by hand; `layers.sentence_features` does the same for the last layer.


# %%
@torch.no_grad()
def layer_features(encoder, encoded, batch_size: int = 64) -> np.ndarray:
    """Return float32 (layers + 1, n, D): means over real tokens, after the embeddings and after each layer."""
    features = np.zeros((encoder.config.num_hidden_layers + 1, len(encoded), encoder.config.hidden_size), np.float32)
    for indices in tqdm(batching.make_batches(encoded.lengths, batch_size=batch_size), desc="encoding"):
        batch = batching.collate([encoded[i] for i in indices])
        batch = {name: tensor.to(device) for name, tensor in batch.items()}
        mask = batch["attention_mask"][:, :, None]  # (B, T, 1)
        with autocast(device):  # bfloat16 where that is fast
            states = encoder(batch["input_ids"], attention_mask=mask[..., 0], output_hidden_states=True).hidden_states
        features[:, indices] = torch.stack([(x.float() * mask).sum(1) / mask.sum(1) for x in states]).cpu().numpy()
    return features


# %%
encoder.to(device).set_attn_implementation("sdpa")  # back to the fast attention
few = text.encode_wordpieces(data.evenly(sentences.train, 8), tokenizer, max_length=profile.sentences_max_length)
by_hand = layer_features(encoder, few)
np.testing.assert_allclose(by_hand[-1], layers.sentence_features(encoder, few), atol=1e-5)
print("features of 8 sentences", by_hand.shape, "- by hand = packaged")

# %% [markdown]
# Encoding is the expensive part, and we do it only once. We take 1,024 labelled sentences, and the same network with random
# weights as a control: what the probe finds there comes from the words and from the *architecture*, not from pretraining. This takes less than a minute.

# %%
labelled = data.evenly(sentences.train, min(1024, len(sentences.train)))
parts = {"train": labelled, "validation": sentences.validation, "test": sentences.test}
pieces = {name: text.encode_wordpieces(p, tokenizer, max_length=profile.sentences_max_length) for name, p in parts.items()}
frozen = {name: layer_features(encoder, encoded) for name, encoded in pieces.items()}

# %%
torch.manual_seed(seed)
random_encoder = AutoModel.from_config(encoder.config).to(device).eval()
control = {name: layer_features(random_encoder, pieces[name])[-1] for name in ("train", "test")}


# %%
def words_baseline():
    return make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=4, max_iter=1000))


# %% [markdown]
# ### Which layer knows most about sentiment?
#
# We choose the layer on the validation set, so that the test set stays untouched.

# %%
y_train, y_validation = labelled.labels, sentences.validation.labels
by_layer = []
for features_train, features_validation in zip(frozen["train"], frozen["validation"], strict=True):
    correct = probe().fit(features_train, y_train).predict(features_validation) == y_validation
    by_layer.append(evaluation.block_interval(correct, sentences.validation.blocks))
best_layer = int(np.argmax([interval.estimate for interval in by_layer]))

# %%
fig, ax = plt.subplots()
low, middle, high = ([getattr(interval, end) for interval in by_layer] for end in ("low", "estimate", "high"))
ax.fill_between(range(len(middle)), low, high, color=plots.COLOURS[5], alpha=0.3, label="95 % interval")
ax.plot(range(len(middle)), middle, "o-", color=plots.COLOURS[0], label="probe on the frozen states")
ax.set(xlabel="layer (0: the word embeddings, before any attention)", ylabel="validation accuracy")
ax.set_title("The layers before the last show sentiment best")
ax.legend()
plots.show(fig, alt="Validation accuracy of the probe for layers 0 to 6 with intervals: it rises from layer 0 to layers 4 and 5 "
           "and is lower at the last.")  # fmt: skip

# %% [markdown]
# The accuracy of the probe rises from layer to layer and falls at the end, but the differences are small: all seven intervals overlap. One likely reason for the fall: the last layer was tuned to represent what a
# sentence is *about*, and whether the writer liked it is only part of that. Note layer 0: these are static word vectors, and
# they already contain much of the sentiment. For fine-tuning (notebook 06) this does not matter, because every layer can change there.

# %% [markdown]
# **Exercise 05.3 (choice): what the probe shows.** Read the figure again, with its shaded intervals. Run the check to see the answers
# to choose from, then write the letter in quotes.

# %% tags=["exercise"]
my_reading = ...

# %% tags=["check"]
checks.check("05.3", my_reading)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
my_reading = "c"

# %% tags=["check"]
checks.check("05.3", my_reading, mine=False)  # the same check, on the solution above


# %% [markdown]
# ### How many labels does pretraining save?
#
# We draw training sets of several sizes, ten times each, and compare the probe with TF-IDF on the same sentences.

# %%
rng = np.random.default_rng(seed)
counts = [n for n in (16, 64, 256, 1024) if n <= len(labelled)]
texts = np.array(labelled.texts, dtype=object)
curves = {"frozen MiniLM": np.zeros((len(counts), 10)), "TF-IDF": np.zeros((len(counts), 10))}
for i, n in enumerate(counts):
    for draw in range(10):
        chosen_rows = np.concatenate([rng.permutation(np.flatnonzero(y_train == c))[: n // 2] for c in (0, 1)])
        fitted = probe().fit(frozen["train"][best_layer][chosen_rows], y_train[chosen_rows])
        curves["frozen MiniLM"][i, draw] = fitted.score(frozen["validation"][best_layer], y_validation)
        fitted = words_baseline().fit(texts[chosen_rows], y_train[chosen_rows])
        curves["TF-IDF"][i, draw] = fitted.score(sentences.validation.texts, y_validation)

# %%
fig, ax = plt.subplots()
plots.curves(ax, {name: values.mean(axis=1) for name, values in curves.items()}, x=counts)
for i, values in enumerate(curves.values()):
    ax.fill_between(counts, values.min(axis=1), values.max(axis=1), color=plots.COLOURS[i], alpha=0.15)
ax.set(xscale="log", xlabel="labelled sentences", ylabel="validation accuracy")
ax.set_xticks(counts, counts)
ax.set_title("Pretraining is worth several times the labels")
plots.show(fig, alt="Validation accuracy against the number of labelled sentences on a log axis, with the range over ten draws: frozen "
           "MiniLM lies clearly above TF-IDF from 64 labels on.")  # fmt: skip

# %% [markdown]
# Compare the curves horizontally: to reach the accuracy of the probe with 64 labels, TF-IDF needs more than ten times as many. With 16 labels the variation between draws
# (the shaded range) is about as large as the difference. With 1,024 the range is zero for a simple reason: there are no more
# sentences to draw from, so all ten draws are the same.

# %%
correct = {
    "TF-IDF": words_baseline().fit(labelled.texts, y_train).predict(sentences.test.texts) == test_labels,
    "random weights, frozen": probe().fit(control["train"], y_train).predict(control["test"]) == test_labels,
    "MiniLM, last layer": probe().fit(frozen["train"][-1], y_train).predict(frozen["test"][-1]) == test_labels,
    "MiniLM, best layer": probe().fit(frozen["train"][best_layer], y_train).predict(frozen["test"][best_layer])
    == test_labels,
}
scores = {name: evaluation.block_interval(values, blocks) for name, values in correct.items()}
fig, ax = plt.subplots(figsize=(7, 2.6))
plots.bars_with_intervals(ax, scores)
ax.set_title(f"{len(labelled):,} labels: frozen pretrained features lead")
plots.show(fig, alt="Test accuracy with intervals on Rotten Tomatoes: random weights lowest, TF-IDF in the middle, MiniLM's last and best "
           "layer highest.")  # fmt: skip

# %% [markdown]
# We compute two paired differences on the same sentences, from random weights and from TF-IDF:

# %%
gain = evaluation.difference_interval(correct["MiniLM, best layer"], correct["random weights, frozen"], blocks)
claims.check_claim("05 frozen MiniLM minus random weights, sentences", gain.estimate)

# %%
over_words = evaluation.difference_interval(correct["MiniLM, best layer"], correct["TF-IDF"], blocks)
claims.check_claim("05 frozen MiniLM minus TF-IDF at 1,024 labels", over_words.estimate)

# %%
assert min(gain.low, over_words.low) > 0 or profile.name == "smoke"
print("both intervals lie above zero" if profile.name != "smoke" else "not measured in the smoke profile")

# %% [markdown]
# The architecture alone gives little, because random weights mix the words without knowing them. The gain over TF-IDF is what
# pretraining buys before you fine-tune a single weight. It is a few points; more has to come from fine-tuning.

# %% [markdown]
# ## 9 One word, many vectors
#
# A word vector from notebook 02 is the same wherever the word occurs. A pretrained encoder gives a vector to the word
# *in its sentence*. We take real sentences with "light" and "score", sorted by hand by what the word means there.

# %%
senses = {
    "light": {
        "brightness": ["Too much light - the", "creates light without heat", "intense light and the darkness", "flashing blue light",
                       "great use of light and texture", "A shimmering light", "closeups of a red light", "then the light fades"],
        "not heavy": ["a light comedy, plunges", "it's light and easy to watch", "who enjoy light entertainment", "This is fun and light",
                      "The story is light and enter", "with light mood", "few peers in light comedy", "always light and fun to watch"],
    },
    "score": {
        "music": ["Rehman's score is really", "the score by George Delarue", "Williams's score is still", "Excellent art direction and score",
                  "The score is very good and", "the overwrought score", "offset by a good score", "very dramatic score"],
        "marks": ["a much lower score", "out of 10 average score", "has such a high score", "rather low score for this",
                  "a score of 7 or 8 stars", "average IMDb score of 7.4", "give it the current score", "near perfect score"],
    },
}  # fmt: skip
all_reviews = data.load_splits("imdb").train.texts


def sentence_with(part: str) -> str:
    review = next(review for review in all_reviews if part in review)
    return next(s for s in re.split(r"(?<=[.!?]) +|<br />", review) if part in s)


found = {word: [sentence_with(part) for parts in kinds.values() for part in parts] for word, kinds in senses.items()}
print("light, for example:", found["light"][7], "|", found["light"][12])


# %%
def vectors_of(word: str) -> torch.Tensor:
    """Return float (layers + 1, n, D): the states of `word` in each of its sentences."""
    encoded = tokenizer(found[word], padding=True, return_tensors="pt").to(device)
    places = (encoded["input_ids"] == tokenizer.convert_tokens_to_ids(word)).int().argmax(dim=1)
    with torch.no_grad():
        states = torch.stack(encoder(**encoded, output_hidden_states=True).hidden_states)  # (layers + 1, n, T, D)
    return states[:, torch.arange(len(places)), places].cpu()


# %%
sense = np.repeat([0, 1], 8)  # two meanings, eight sentences each
in_context = {word: vectors_of(word) for word in senses}

# %% [markdown]
# We project the states of the last layer to two directions, one picture for each word:

# %%
titles = {"light": "Two meanings of light, two groups", "score": "Two meanings of score, partly mixed"}
fig, axes = plt.subplots(1, 2, figsize=(10, 3.8))
for ax, (word, states) in zip(axes, in_context.items(), strict=True):
    centred = states[-1] - states[-1].mean(0)  # (n, D), last layer
    points = (centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:2].T).numpy()
    points = points * np.sign(points[0])  # the sign of a direction is arbitrary
    plots.scatter_words(ax, points, [""] * 16, sense, list(senses[word]))
    ax.set(title=titles[word], xlabel="first direction", ylabel="second direction")
plots.show(fig, alt="Two maps of one word in sixteen sentences each. For light, brightness and not heavy form two separate groups. For score, "
           "music and marks overlap in part.")  # fmt: skip

# %% [markdown]
# A static vector would be a single point in each picture. In context the two meanings of "light" separate clearly; those of "score" only
# partly, perhaps because "a good score" fits both. To measure this: how often does the nearest other sentence use the word in the same sense?

# %% tags=["approx"]
for word, states in in_context.items():
    unit = nn.functional.normalize(states, dim=2)
    similarity = unit @ unit.transpose(1, 2) - 2 * torch.eye(16)  # (layers + 1, n, n), excluding itself
    agree = (sense[similarity.argmax(dim=2).numpy()] == sense).sum(axis=1)
    print(f"{word}: nearest neighbour has the same sense in {agree.tolist()} of 16, layers 0 to 6")

# %% [markdown]
# Start with the first number of each row. At layer 0 the word itself is the same everywhere, and only its position in the sentence differs; even
# so, the senses agree more often than 8 of 16, the chance level. For "light" the higher layers get all sixteen right; for "score" this number shows no gain.
#
# ## 10 Other checkpoints
#
# The same functions take a folder or the name of a checkpoint on the hub. With an internet connection you can repeat section 8 with the models of section 1:
#
# ```python
# tokenizer = pretrained.load_tokenizer("google-bert/bert-base-uncased")
# encoder = pretrained.load_encoder("google-bert/bert-base-uncased")
# encoder = pretrained.load_encoder("FacebookAI/roberta-base")
# encoder = pretrained.load_encoder("openai-community/gpt2")
# ```
#
# Load tokenizer and encoder under the same name: the ids of one vocabulary mean nothing in another. (GPT-2 has no padding token: set
# `tokenizer.pad_token = tokenizer.eos_token` before you make batches.)

# %%
for name, (_, megabytes) in pretrained.HUB.items():
    print(f"{name:40} {megabytes:4} MB to download, once")

# %% [markdown]
# ## 11 Classic bug: a loss at every position
#
# The labels of the positions that were not chosen must be $-100$. If you forget that, the loss is computed at every position, and at most positions the
# label is in the input. Nothing crashes, and the curve looks splendid. We train two small BERTs from the
# same initial weights for the same number of steps, one with the bug.

# %% tags=["nbval-ignore-output"]
num_steps, reported, price = min(profile.pretraining_steps, 250), {}, {}
for name, everywhere in (("chosen positions", False), ("every position", True)):
    model = copy.deepcopy(at_start).train()
    reported[name] = np.mean(pretrain(model, num_steps, everywhere)[-20:])
    price[name] = unseen_loss(model.eval())

# %% tags=["nbval-ignore-output"]
for name in reported:
    print(f"loss at {name:16}: training curve {reported[name]:.2f}, at hidden words of unseen reviews {price[name]:.2f}")
print(f"unigram baseline: {unigram_price:.2f}")

# %% [markdown]
# This must be true for any seed:

# %%
assert price["every position"] - reported["every position"] > 1 or profile.name == "smoke"
print(
    "with the bug the training loss is too low by more than 1"
    if profile.name != "smoke"
    else "not measured in the smoke profile"
)

# %%
claims.check_claim("05 nats by which the copying bug flatters itself", price["every position"] - reported["every position"])

# %% [markdown]
# With the bug the model learns to copy its input. After so few steps neither model is much better than the unigram baseline. The correct curve shows this,
# and the other one looks far too good. If a loss is too good to be true, look for this bug, and measure the loss at masked
# positions only. BERT leaves 10 % of the chosen words visible on purpose, so a loss over all chosen positions is a little too optimistic too.

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
def labels_for(input_ids, chosen):
    return input_ids.masked_fill(~chosen, -100)


# %% tags=["check"]
checks.check("05.4", labels_for, mine=False)  # the same check, on the solution above

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
# * Attention is $\mathrm{softmax}(QK^\top/\sqrt{d} + M)V$. BERT and GPT differ in the mask $M$.
# * Half a minute of pretraining beats the unigram baseline, but does not make sentiment easier to predict. A real checkpoint, frozen, beats random weights by far, and it clearly beats word
#   counts when there are few labels.
# * Its vector of a word depends on the sentence; the layers before the last show sentiment best.
#
# **What is the difference between fine-tuning and pretraining?** Pretraining starts from random numbers and learns how a language works,
# from text without labels; it is done once and is very expensive. Fine-tuning starts from the pretrained weights and learns one task, from
# labelled examples; it is done for every task and takes minutes. Both minimise a loss with the same kind of steps.
#
# **To think about.** BERT predicts at 15 % of the positions and GPT at all of them. Why not hide half of the words? Would next-word prediction be
# a better pretraining for a model that has to classify whole sentences?
#
# **Next:** [06 Fine-tune BERT](06_fine_tune_bert.ipynb).
