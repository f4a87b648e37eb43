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
# # 01 · Minimise the loss
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/fine-tuning-course/fine-tuning-course/blob/main/notebooks/01_minimise_the_loss.ipynb) · [words and terms 术语表](../docs/GLOSSARY.md)
#
# **What you will be able to do:** write down a loss and its gradient, check the gradient numerically,
# program gradient descent, momentum, RMSprop and Adam in a few lines each, and train a classifier of film reviews
# with them.
#
# **Before you start:** Python, and what a derivative is. **Time:** 45 minutes to read and play; the code takes less
# than a minute.

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
import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from course_utils import data, descent, explorers, plots, profiles
from course_utils.exercises import checks

plots.use_style()
profile = profiles.get_profile()

# %% [markdown]
# ## 1 One formula
#
# Everything in this course, up to fine-tuning BERT, does one thing:
#
# $$\min_{w} L(w) = \frac{1}{n} \sum_{i=1}^{n} l\big(y_i, f(x_i; w)\big)$$
#
# * $x_i$ is the input of <abbr title="样本">example</abbr> $i$, $y_i$ its <abbr title="标签">label</abbr>; there are $n$ examples.
# * $f(x_i; w)$ is what the model says about $x_i$; $w \in \mathbb{R}^D$ are its parameters.
# * $l$, the **<abbr title="损失函数">loss function</abbr>**, gives the <abbr title="损失">loss</abbr> of one example: how wrong the answer is. $L(w)$ is the mean over all
#   examples.
#
# In BERT $w$ contains millions of numbers. Here it contains two, so that we can draw them. The model takes two
# inputs and has a weight for each, $f(x; w) = x \cdot w$ (a plane through the origin), and the loss of an example is the squared error
# $l = (x \cdot w - y)^2$, so that $L$ is the **<abbr title="均方误差">mean squared error</abbr>**.

# %%
X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])  # (n, D) = (3, 2)
y = np.array([1.0, 2.0, 4.0])  # (n,)
w = np.array([1.0, 1.0])  # (D,)

errors = X @ w - y
print("errors", errors, " squared", errors**2, " loss", np.mean(errors**2).round(4))

# %% [markdown]
# Check one by hand: for the third example the model says $1 + 1 = 2$ and the label is $4$, an error of $-2$, squared $4$.
# The loss is $(0 + 1 + 4)/3$.

# %% [markdown]
# ## 2 Which way is down?
#
# The **<abbr title="梯度">gradient</abbr>** $\nabla L(w)$ contains the slope of the loss along each <abbr title="参数">parameter</abbr>. For the squared error the chain rule
# gives
#
# $$\nabla L(w) = \frac{2}{n} \sum_i (x_i \cdot w - y_i)\, x_i = \frac{2}{n} X^\top (Xw - y).$$
#
# Formulas derived by hand are often wrong. Here is a check that needs no calculus: change each parameter a little in
# both directions and see how the loss changes (**finite differences**).

# %%
by_hand = 2 / len(y) * X.T @ (X @ w - y)


def loss(w):
    return np.mean((X @ w - y) ** 2)


nudge = 1e-5
numerical = [(loss(w + nudge * e) - loss(w - nudge * e)) / (2 * nudge) for e in np.eye(2)]
print("by hand", by_hand.round(4), " by finite differences", np.round(numerical, 4))

# %% [markdown]
# Both slopes are negative: the loss falls when either parameter grows. PyTorch computes the same gradient automatically
# (**autograd**), and `course_utils.descent` has the same formulas as functions. The next cell compares all four.

# %%
w_torch = torch.tensor(w, requires_grad=True)
((torch.tensor(X) @ w_torch - torch.tensor(y)) ** 2).mean().backward()

np.testing.assert_allclose(by_hand, numerical, rtol=1e-6)
np.testing.assert_allclose(by_hand, w_torch.grad.numpy())
np.testing.assert_allclose(by_hand, descent.mean_squared_error_gradient(w, X, y))
print("four gradients agree")

# %% [markdown]
# ## 3 A loss for classes: cross-entropy
#
# A classifier should give a probability. The **sigmoid** $\sigma(z) = 1/(1 + e^{-z})$ squeezes the score
# $z = x \cdot w$ (the **logit**) into $0 \ldots 1$; read it as the probability of the positive class. The loss of an
# example is minus the logarithm of the probability that the model gave to the true label:
#
# $$l = -\log p(y \mid x), \qquad p(1 \mid x) = \sigma(x \cdot w), \qquad \nabla L(w) = \frac{1}{n} X^\top\big(\sigma(Xw) - y\big).$$
#
# It is called **<abbr title="交叉熵">cross-entropy</abbr>** (with the natural logarithm its unit is the nat). A model that guesses at random says 0.5,
# and its loss is $\log 2 \approx 0.693$.

# %%
z = np.linspace(-6, 6, 200)
squared = (descent.sigmoid(z) - 1) ** 2
cross_entropy = np.logaddexp(0, -z)  # -log sigmoid(z), safe for large z

fig, ax = plt.subplots()
plots.curves(ax, {"cross-entropy": cross_entropy, "squared error": squared}, x=z)
ax.set(xlabel="logit z of an example whose label is 1", ylabel="loss of the example")
ax.set_title("Cross-entropy keeps punishing a confident mistake")
plots.show(fig, alt="Two falling curves over the logit. Cross-entropy rises in a straight line to 6 at logit -6; squared "
           "error of the probability flattens at 1.")  # fmt: skip

# %% [markdown]
# On the far left the model is confident and wrong. The squared error is flat there, so its gradient is nearly zero and
# training stalls; cross-entropy keeps a slope of about one. That is why classifiers are trained with cross-entropy.

# %%
labels = np.array([0.0, 1.0, 1.0])
ours = descent.cross_entropy(w, X, labels)
theirs = torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor(X @ w), torch.tensor(labels))
slope = descent.finite_differences(lambda v: descent.cross_entropy(v, X, labels), w)

np.testing.assert_allclose(ours, theirs.item())
np.testing.assert_allclose(descent.cross_entropy_gradient(w, X, labels), slope, rtol=1e-6)
print(f"cross-entropy {ours:.4f}, equal to PyTorch's; its gradient equals finite differences")

# %% [markdown]
# **Exercise 01.1 (complete): the gradient of cross-entropy.** Write it yourself, from the formula above. You get `w` of
# shape $(D,)$, `X` of shape $(n, D)$ and labels `y` of 0 and 1, $(n,)$; return the $D$ slopes. You may use loops, NumPy or
# PyTorch. With $w = (0, 0)$, one example $x = (1, 2)$ and its label 1 the answer is $(-0.5, -1)$: the probability is
# one half, the error $-\tfrac12$. Replace the line `raise`, run both cells, and read what the check says. The solution is folded below it.


# %% tags=["exercise"]
def my_gradient(w, X, y):
    raise NotImplementedError


# %% tags=["check"]
checks.check("01.1", my_gradient)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def my_gradient(w, X, y):
    probabilities = descent.sigmoid(X @ w)  # (n,)
    return X.T @ (probabilities - y) / len(y)


# %% tags=["check"]
checks.check("01.1", my_gradient, mine=False)  # the same check, on the solution

# %% [markdown]
# ## 4 Gradient descent
#
# Step against the gradient, again and again. The step length is the **<abbr title="学习率">learning rate</abbr>** $\eta$:
#
# $$w \leftarrow w - \eta \, \nabla L(w)$$
#
# We practise on a long valley, $L(w) = \tfrac12 (w_0^2 + 10\, w_1^2)$, which is ten times steeper across than along.

# %%
valley, valley_gradient = descent.quadratic_bowl(steepness=10)

w = np.array([-2.0, 1.2])
path = [w]
for _ in range(40):
    w = w - 0.05 * valley_gradient(w)
    path.append(w)
print(f"loss at the start {valley(path[0]):.3f}, after 40 steps {valley(w):.4f}")

# %%
walk = descent.run(valley, valley_gradient, descent.GradientDescent(0.05), path[0], num_steps=40)
np.testing.assert_allclose(walk.path, path)
rates = {0.01: "too small", 0.05: "good", 0.19: "nearly too large", 0.21: "too large"}
walks = {rate: descent.run(valley, valley_gradient, descent.GradientDescent(rate), path[0], num_steps=40) for rate in rates}

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
plots.loss_surface(left, valley)
for index, rate in enumerate((0.05, 0.19)):
    plots.descent_path(left, walks[rate].path, label=f"learning rate {rate}", index=index + 1)
left.legend(frameon=True)
left.set_title("With long steps the path zigzags")
plots.curves(right, {f"{rate}: {says}": walks[rate].losses for rate, says in rates.items()}, x=range(41))
right.set(yscale="log", xlabel="step", ylabel="loss", title="With too long steps it diverges")
plots.show(fig, alt="Left: level lines of a valley with two paths; learning rate 0.05 curves smoothly to the middle, 0.19 zigzags. Right: "
           "loss over 40 steps on a log scale; 0.05 and 0.19 fall, 0.01 falls slowly, 0.21 rises.")  # fmt: skip

# %% [markdown]
# The paths start at the ring. Along the steep direction each step multiplies $w_1$ by $1 - 10\eta$. Above
# $\eta = 2/10 = 0.2$ the absolute value of that factor is larger than one, and training diverges: **there is a largest
# stable learning rate, and the best learning rates are close to it.** In the figure 0.19
# zigzags and still ends lower than 0.05. The steepest direction sets this limit; the flattest
# direction decides how many steps you need.

# %%
for rate in rates:
    factor = abs(1 - 10 * rate)
    grows = walks[rate].losses[-1] > walks[rate].losses[0]
    print(f"learning rate {rate}: |1 - 10 x {rate}| = {factor:.2f}, loss {'grows' if grows else 'falls'}")
    assert grows == (factor > 1)

# %% [markdown]
# **Exercise 01.2 (predict): a learning rate ten times as large.** The good learning rate was 0.05. By a typing error it becomes 0.5.
# Gradient descent starts at $w_1 = 1$, in the steep direction. What is $w_1$ after three steps? Work it out before you run
# anything, and write the number, with its sign.

# %% tags=["exercise"]
after_three_steps = ...

# %% tags=["check"]
checks.check("01.2", after_three_steps)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
after_three_steps = (1 - 10 * 0.5) ** 3

# %% tags=["check"]
checks.check("01.2", after_three_steps, mine=False)  # the same check, on the solution

# %% [markdown]
# **Exercise 01.3 (choice): explain the figure.** In the right picture of this section the curves of 0.19 and 0.21 separate
# at once. Why? Run the check to see the possible answers, then write the letter of yours, in quotes.

# %% tags=["exercise"]
why_they_part = ...

# %% tags=["check"]
checks.check("01.3", why_they_part)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
why_they_part = "c"

# %% tags=["check"]
checks.check("01.3", why_they_part, mine=False)  # the same check, on the solution

# %% [markdown]
# ## 5 Try it: the learning-rate explorer
#
# Move the sliders (with the mouse, or with the arrow keys). Find the largest learning rate that still converges without
# momentum. Then set momentum to 0.8 (each step then keeps 0.8 of the one before; section 6 has the formula), and find out
# whether this largest learning rate has changed.

# %%
explorer = explorers.descent_explorer()
explorer

# %% [markdown]
# Where widgets do not work (on a printed page or on GitHub), these figures show three settings of the same function.

# %%
for rate, momentum in ((0.05, 0.0), (0.05, 0.8), (0.25, 0.0)):
    fig, sentence = explorers.draw_descent(rate, momentum)
    plots.show(fig, alt=f"Path over the valley and loss over steps. {sentence}")

# %% [markdown]
# Top: a steady descent. Middle: with momentum the path swings past the valley floor and back, but reaches a lower loss.
# Bottom: a learning rate of 0.25 is above the limit of 0.2, and the loss grows.

# %% [markdown]
# ## 6 Three better ways to step
#
# **Momentum** adds up past gradients, so that a zigzag cancels out and a steady slope builds up speed.
# With gradient $g$, velocity $v$ and $\mu$ around 0.9:
#
# $$v \leftarrow \mu v + g, \qquad w \leftarrow w - \eta v$$

# %%
w, v = np.array([-2.0, 1.2]), np.zeros(2)
momentum_path = [w]
for _ in range(40):
    g = valley_gradient(w)
    v = 0.9 * v + g
    w = w - 0.02 * v
    momentum_path.append(w)

# %% [markdown]
# **Exercise 01.4 (complete): one step with momentum.** Turn the loop into a function that takes one step. You get `w`, the velocity
# `v` and the gradient `g`, each of shape $(D,)$; return the new `w` and the new `v`, in this order. With $w = 1$, $v = 0$,
# $g = 2$, learning rate 0.1 and momentum 0.9 they are 0.8 and 2.


# %% tags=["exercise"]
def momentum_step(w, v, g, learning_rate, momentum):
    raise NotImplementedError


# %% tags=["check"]
checks.check("01.4", momentum_step)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def momentum_step(w, v, g, learning_rate, momentum):
    v = momentum * v + g
    return w - learning_rate * v, v


# %% tags=["check"]
checks.check("01.4", momentum_step, mine=False)  # the same check, on the solution

# %% [markdown]
# **RMSprop** keeps a running mean $s$ of the squared gradient of each parameter and divides by its square root,
# so that steep and flat directions get steps of about the same length.
#
# $$s \leftarrow \alpha s + (1 - \alpha) g^2, \qquad w \leftarrow w - \eta \, \frac{g}{\sqrt{s} + \epsilon}$$

# %%
w, s = np.array([-2.0, 1.2]), np.zeros(2)
rmsprop_path = [w]
for _ in range(40):
    g = valley_gradient(w)
    s = 0.99 * s + 0.01 * g**2
    w = w - 0.02 * g / (np.sqrt(s) + 1e-8)
    rmsprop_path.append(w)

# %% [markdown]
# **Adam** combines the two. Its two running means start at zero and are too small at first, so each is divided by
# $1 - \beta^t$ at step $t$:
#
# $$m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad s \leftarrow \beta_2 s + (1 - \beta_2) g^2, \quad
# w \leftarrow w - \eta \, \frac{m / (1 - \beta_1^t)}{\sqrt{s / (1 - \beta_2^t)} + \epsilon}$$

# %%
w, m, s = np.array([-2.0, 1.2]), np.zeros(2), np.zeros(2)
adam_path = [w]
for t in range(1, 41):
    g = valley_gradient(w)
    m = 0.9 * m + 0.1 * g
    s = 0.999 * s + 0.001 * g**2
    w = w - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(s / (1 - 0.999**t)) + 1e-8)
    adam_path.append(w)

# %% [markdown]
# Are these the <abbr title="优化器">optimisers</abbr> that everybody uses? We run `torch.optim` on the same valley and compare every step of
# every path, together with the packaged versions.


# %%
def torch_path(make_optimizer):
    w = torch.tensor([-2.0, 1.2], dtype=torch.float64, requires_grad=True)
    optimizer, path = make_optimizer([w]), [w.detach().numpy().copy()]
    for _ in range(40):
        optimizer.zero_grad()
        (0.5 * (w[0] ** 2 + 10 * w[1] ** 2)).backward()
        optimizer.step()
        path.append(w.detach().numpy().copy())
    return np.array(path)


# %%
pairs = {
    "gradient descent": (path, descent.GradientDescent(0.05), lambda p: torch.optim.SGD(p, lr=0.05)),
    "momentum": (momentum_path, descent.Momentum(0.02, 0.9), lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9)),
    "RMSprop": (rmsprop_path, descent.RMSprop(0.02), lambda p: torch.optim.RMSprop(p, lr=0.02)),
    "Adam": (adam_path, descent.Adam(0.1), lambda p: torch.optim.Adam(p, lr=0.1)),
}
for name, (by_hand_path, packaged, make_optimizer) in pairs.items():
    packaged_path = descent.run(valley, valley_gradient, packaged, path[0], num_steps=40).path
    np.testing.assert_allclose(by_hand_path, torch_path(make_optimizer), atol=1e-10)
    np.testing.assert_allclose(packaged_path, by_hand_path, atol=1e-12)
    print(f"{name}: by hand = packaged = torch.optim, in all 41 points")

# %%
fig, ax = plt.subplots(figsize=(7, 3.8))
plots.loss_surface(ax, valley)
for index, (name, (by_hand_path, *_)) in enumerate(pairs.items()):
    plots.descent_path(ax, np.array(by_hand_path), label=name, index=index + 1)
ax.legend(loc="lower right", frameon=True)
ax.set_title("Four ways down the same valley")
plots.show(fig, alt="Four paths from the same ring at upper left over level lines of a valley: gradient descent bends and follows the "
           "floor, momentum overshoots and swings, RMSprop and Adam head diagonally.")  # fmt: skip

# %% [markdown]
# <abbr title="梯度下降">Gradient descent</abbr> first drops into the valley and then creeps along its floor. Momentum overshoots and comes back.
# RMSprop and Adam rescale the steep direction and move diagonally; Adam, which has momentum too, overshoots a little. None of them is best
# everywhere. For BERT we will use AdamW, a variant of Adam, because the gradients of its parameters differ in size by far more than a factor of ten.

# %% [markdown]
# ## 7 A review classifier, trained with our own optimisers
#
# Now we use real sentences. Each becomes a row of 0s and 1s, with one column for each word that occurs in at least three training
# sentences (a **bag of words**; notebook 02 does better). The model is $\sigma(x \cdot w)$, the loss cross-entropy with
# a small penalty $\tfrac{\lambda}{2}\lVert w \rVert^2$ (weight decay), which stops the weights of rare words from growing without limit.

# %%
splits = data.load_splits("rotten_tomatoes", train_size=profile.sentences_train)
counter = CountVectorizer(binary=True, min_df=3)
X_train = counter.fit_transform(splits.train.texts).toarray().astype(float)  # (n, D)
X_validation = counter.transform(splits.validation.texts).toarray().astype(float)
y_train, y_validation = splits.train.labels, splits.validation.labels
print("X_train", X_train.shape, " labels", np.bincount(y_train), " always answering one class scores 0.5")

# %%
penalty = 1 / len(y_train)


def review_loss(w):
    return descent.cross_entropy(w, X_train, y_train) + penalty / 2 * w @ w


def review_gradient(w):
    return descent.cross_entropy_gradient(w, X_train, y_train) + penalty * w


# %% [markdown]
# Before any training every weight is zero, every probability is 0.5, and the loss must be $\log 2$. Always check this in a
# line of code: a different number means that the loss is wrong.

# %%
start = np.zeros(X_train.shape[1])
np.testing.assert_allclose(review_loss(start), np.log(2))
few = np.random.default_rng(0).normal(size=X_train.shape[1])
direction = np.random.default_rng(1).normal(size=X_train.shape[1])
rise = (review_loss(few + 1e-5 * direction) - review_loss(few - 1e-5 * direction)) / 2e-5
np.testing.assert_allclose(rise, review_gradient(few) @ direction, rtol=1e-5)
print("untrained loss log 2; gradient checked along a random direction")

# %%
contest = {
    "gradient descent": descent.GradientDescent(4.0),
    "momentum": descent.Momentum(1.0, 0.9),
    "RMSprop": descent.RMSprop(0.01),
    "Adam": descent.Adam(0.05),
}
num_steps = 20 if profile.name == "smoke" else 150
runs = {
    name: descent.run(review_loss, review_gradient, optimiser, start, num_steps=num_steps)
    for name, optimiser in contest.items()
}

# %%
fig, ax = plt.subplots()
plots.curves(ax, {name: walk.losses for name, walk in runs.items()}, x=range(num_steps + 1))
ax.axhline(np.log(2), color="black", linewidth=0.8, linestyle=":")
ax.annotate("random guessing: log 2", (num_steps * 0.6, np.log(2)), (0, 4), textcoords="offset points")
ax.set(xlabel="step (the whole training set each time)", ylabel="loss")
ax.set_title("On real reviews the adaptive optimisers descend first")
plots.show(fig, alt="Training loss over steps for four optimisers, all starting at 0.693. RMSprop and Adam fall at once and level off; "
           "momentum starts slowly and ends between them and plain gradient descent, which is slowest.")  # fmt: skip

# %% [markdown]
# RMSprop and Adam adapt the learning rate to each weight and reach a low loss after a few dozen steps. With one learning rate for frequent
# and rare words momentum needs longer, and plain gradient descent is slowest. This loss has a single minimum, so the optimisers differ only
# in how soon they reach it.

# %% tags=["approx"]
C = 1 / (penalty * len(y_train))  # scikit-learn's name for the inverse of the penalty
reference = LogisticRegression(C=C, fit_intercept=False, tol=1e-8, max_iter=5000).fit(X_train, y_train)
lowest = review_loss(reference.coef_[0])
for name, walk in runs.items():
    print(f"{name:17} loss above the minimum: {walk.losses[-1] - lowest:.3f}")
best = runs["Adam"].path[-1]
print(f"validation accuracy: Adam by hand {np.mean((X_validation @ best > 0) == y_validation):.3f}, "
      f"scikit-learn {reference.score(X_validation, y_validation):.3f}")  # fmt: skip

# %% [markdown]
# scikit-learn's solver finds the minimum itself, and our Adam comes close to it. What did the model learn? Each
# weight belongs to a word, so we can look.

# %%
words = counter.get_feature_names_out()
order = np.argsort(reference.coef_[0])
print("most negative:", ", ".join(words[order[:8]]))
print("most positive:", ", ".join(words[order[:-9:-1]]))

# %% [markdown]
# Most are words that a person would have chosen too. A few are not: with nearly as many words as sentences, some get a large weight
# by chance. The model also ignores word order: "not funny, just
# dull" and "not dull, just funny" are the same bag. Notebook 03 has a model that reads in order.

# %% [markdown]
# ## 8 Why batches?
#
# A gradient over all examples is exact and slow. A **mini-batch** of $B$ random examples gives an unbiased estimate: it is
# right on average. How far off is a single batch? We draw 200 batches of each size and measure the distance to the exact
# gradient, relative to its length.

# %%
rng = np.random.default_rng(0)
exact = descent.cross_entropy_gradient(start, X_train, y_train)
batch_sizes = [1, 4, 16, 64]
noise = []
for batch_size in batch_sizes:
    batches = [rng.integers(len(y_train), size=batch_size) for _ in range(200)]
    gradients = [descent.cross_entropy_gradient(start, X_train[b], y_train[b]) for b in batches]
    noise.append(np.mean([np.linalg.norm(g - exact) for g in gradients]) / np.linalg.norm(exact))

# %%
fig, ax = plt.subplots(figsize=(6, 3.4))
plots.curves(ax, {"measured": noise, "falls as 1 / root of B": noise[0] / np.sqrt(batch_sizes)}, x=batch_sizes)
ax.set(xscale="log", yscale="log", xlabel="batch size B", ylabel="error relative to the exact gradient")
ax.set_xticks(batch_sizes, batch_sizes)
ax.set_title("Four times the batch halves the noise")
plots.show(fig, alt="Relative error of the gradient against batch size on log scales: the measured points lie on the line that falls "
           "as one over the square root of the batch size.")  # fmt: skip

# %% [markdown]
# Four times the work only halves the noise, so training uses small batches and many steps. From
# notebook 03 on every step uses a batch.

# %% [markdown]
# ## 9 Classic bug: the gradient that was never reset
#
# PyTorch **adds** each new gradient to the old one until you call `optimizer.zero_grad()`. If you leave that line
# out, nothing crashes. Here is the damage, in the valley of section 4 with its good learning rate and everything else equal.


# %%
def train_with_torch(forget: bool) -> list[float]:
    w = torch.tensor([-2.0, 1.2], dtype=torch.float64, requires_grad=True)
    optimizer, losses = torch.optim.SGD([w], lr=0.05), []
    for _ in range(40):
        if forget:
            optimizer.zero_grad()
        loss = 0.5 * (w[0] ** 2 + 10 * w[1] ** 2)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


right_losses, wrong_losses = train_with_torch(forget=True), train_with_torch(forget=False)

# %%
fig, ax = plt.subplots()
plots.curves(ax, {"with zero_grad": right_losses, "without": wrong_losses})
ax.set(xlabel="step", ylabel="loss", title="Without zero_grad the loss swings and never settles")
plots.show(fig, alt="Loss over 40 steps: with zero_grad it falls smoothly to nearly zero; without it, it swings up and down, returning "
           "almost to where it started.")  # fmt: skip

# %%
print(
    f"mean loss of the last 20 steps: {np.mean(right_losses[20:]):.2f} with zero_grad, {np.mean(wrong_losses[20:]):.2f} without"
)
assert np.mean(wrong_losses[20:]) > 10 * np.mean(right_losses[20:])

# %% [markdown]
# The gradients of old positions keep pushing: the bug is momentum with $\mu = 1$, a ball without friction that rolls through
# the minimum for ever. In a wide, flat valley with a tiny learning rate it can even look like a gain for a while, because momentum
# helps there. That is how it stays unnoticed. If a loss oscillates evenly, look for this bug.

# %% [markdown]
# **Exercise 01.5 (debug): a loop that swings.** Here is gradient descent on $L(w) = \tfrac12 \lVert w \rVert^2$, whose gradient is $w$
# itself, without an optimiser. With learning rate 0.5 every step should halve $w$: from 1 to 0.5, 0.25, 0.125. The first step does, and
# then it goes wrong. Fix it in the cell below.


# %% tags=["exercise"]
def bare_descent(start, learning_rate, num_steps):
    w = torch.tensor(start, requires_grad=True)
    for _ in range(num_steps):
        loss = 0.5 * (w**2).sum()
        loss.backward()
        with torch.no_grad():
            w -= learning_rate * w.grad
    return w.detach()


# %% tags=["check"]
checks.check("01.5", bare_descent)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def bare_descent(start, learning_rate, num_steps):
    w = torch.tensor(start, requires_grad=True)
    for _ in range(num_steps):
        loss = 0.5 * (w**2).sum()
        loss.backward()
        with torch.no_grad():
            w -= learning_rate * w.grad
        w.grad.zero_()  # this line was missing
    return w.detach()


# %% tags=["check"]
checks.check("01.5", bare_descent, mine=False)  # the same check, on the solution

# %% [markdown]
# ## Quiz
#
# Three questions to check what you remember.

# %% tags=["check"]
checks.quiz("01")

# %% [markdown]
# ## Summary
#
# * Training minimises $L(w)$, a mean of example losses; for classification the loss is cross-entropy, and random
#   guessing between two classes gives $\log 2$.
# * Check a gradient once with finite differences, then let autograd do the work.
# * Above a certain learning rate training diverges. Momentum smooths, RMSprop rescales, Adam does both; each is a few lines.
# * Batches give less exact gradients and allow many more steps.
#
# **To think about.** Why is the largest stable learning rate 2 divided by the steepness, and not 1? What would momentum 1.0 do?
#
# **Next:** [02 Text to tensors](02_text_to_tensors.ipynb).
