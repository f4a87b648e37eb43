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
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/fine-tuning-course/fine-tuning-course/blob/v0.2.0/notebooks/01_minimise_the_loss.ipynb) · [words and terms 术语表](../docs/GLOSSARY.md)
#
# **What you will be able to do:** write down a loss and its gradient, check the gradient numerically,
# program gradient descent, momentum, RMSprop and Adam in a few lines each, and train a classifier of film reviews
# with them.
#
# **Before you start:** a little Python with NumPy, and what a derivative is. **Time:** one hour to read and play; the code
# takes less than a minute.

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
import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from course_utils import data, descent, diagrams, explorers, plots, profiles
from course_utils.exercises import checks

plots.use_style()
profile = profiles.get_profile()

# %% [markdown]
# ## 1 One formula
#
# A bean plant is 1 cm tall today, 2 cm after one week and 4 cm after two weeks. How tall will it be after three weeks? Let
# us assume that it grows along a straight line, height = slope · week + intercept. Which line fits best?
#
# To find it, we do what we will do with every model of this course, up to BERT. We look for the parameters that make the
# loss as small as possible:
#
# $$\min_{w} L(w), \qquad L(w) = \frac{1}{n} \sum_{i=1}^{n} l\big(y_i, f(x_i; w)\big)$$
#
# * There are $n$ **<abbr title="样本">examples</abbr>**. Example $i$ has an input $x_i \in \mathbb{R}^D$, a list of $D$ numbers,
#   and a **<abbr title="标签">label</abbr>** $y_i \in \mathbb{R}$, the right answer.
# * $w \in \mathbb{R}^D$ are the **<abbr title="参数">parameters</abbr>** of the model: the numbers that we may choose. Another
#   word for them is *weights*.
# * $f(x_i; w) \in \mathbb{R}$ is the **prediction**: what the model says about $x_i$ if its parameters are $w$.
# * $l$ is the **<abbr title="损失函数">loss function</abbr>**. It compares prediction and label and returns one number, the
#   **<abbr title="损失">loss</abbr>** of the example: how wrong the answer is.
# * $L(w) \in \mathbb{R}$ is the mean loss over all examples. **Training** means: find the $w$ that makes $L(w)$ small.
#
# In BERT $w$ contains millions of numbers. Here it contains only two, so that we can draw everything. The model multiplies
# each input by its parameter and adds up the products. This is called the **<abbr title="点积">dot product</abbr>**,
# $f(x_i; w) = x_i \cdot w = x_{i0}\, w_0 + x_{i1}\, w_1$. The first input $x_{i0}$ is the week, so $w_0$ is the slope. The
# second input $x_{i1}$ is always 1, so $w_1$ is added unchanged: it is the intercept.
#
# For the loss we take the squared error, $l(y_i, f) = (f - y_i)^2$. Then $L$ is the
# **<abbr title="均方误差">mean squared error</abbr>**. In code the examples are the rows of a matrix
# $X \in \mathbb{R}^{n \times D}$, and `X @ w` computes all $n$ dot products at once.

# %%
X = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]])  # (n, D) = (3, 2): the week, and always 1
y = np.array([1.0, 2.0, 4.0])  # (n,): height in cm
w = np.array([1.0, 1.0])  # (D,): slope and intercept, a first guess


def loss(w):
    return np.mean((X @ w - y) ** 2)


errors = X @ w - y  # (n,)
print("predictions", X @ w, " errors", errors, " squared", errors**2, " loss", loss(w).round(4))

# %% [markdown]
# Check the third example by hand: the prediction is $2 \cdot 1 + 1 \cdot 1 = 3$ and the label is 4, so the error is $-1$ and
# its square 1. The mean of the three squares is $(0 + 0 + 1)/3$.
#
# How good are other guesses? Every choice of slope and intercept has a loss. If we draw it as a height above these two
# parameters, we get a landscape. For the squared error it is a bowl.

# %%
guesses = {"a shrinking plant": (-0.5, 2.0), "our first guess": (1.0, 1.0), "too tall": (1.5, 2.5)}
slopes, intercepts = np.meshgrid(np.linspace(-1, 4, 41), np.linspace(-1.5, 3.5, 41))
heights = np.mean([(x[0] * slopes + x[1] * intercepts - label) ** 2 for x, label in zip(X, y, strict=True)], axis=0)

fig = plt.figure(figsize=(9, 3.8))
left, right = fig.add_subplot(1, 2, 1), fig.add_subplot(1, 2, 2, projection="3d")
left.plot(X[:, 0], y, "D", color="black", markersize=9, label="measured")
right.plot_surface(slopes, intercepts, heights, cmap="Greys", vmin=-20, alpha=0.6, edgecolor="#999999", linewidth=0.2)
for (name, guess), colour, marker in zip(guesses.items(), ("#E69F00", "#777777", "#56B4E9"), "so^", strict=True):
    left.plot(X[:, 0], X @ guess, linestyle="-", color=colour, marker=marker, label=f"{name}: loss {loss(guess):.2f}")
    right.plot(*guess, loss(guess), marker, color=colour, markersize=8, zorder=10)
left.set(xlabel="week", ylabel="height (cm)", xticks=[0, 1, 2], title="Three guesses: each choice of w is a line")
left.legend(fontsize=8)
right.set(xlabel="slope $w_0$", ylabel="intercept $w_1$", zlabel="loss", title="The same guesses on the bowl L(w)")
plots.show(fig, alt="Left: three measured heights over the week and three straight lines. Right: the loss as a bowl over slope and intercept, "
           "with the three lines as points on it; the line that passes closest is lowest in the bowl.")  # fmt: skip

# %% [markdown]
# Each line on the left is one point on the right. The closer a line passes to the measurements, the lower its point lies. So
# to find the best line, we have to get to the bottom of the bowl.

# %% [markdown]
# ## 2 Which way is down?
#
# How do we get there? The computer cannot see the whole bowl. It knows only the point $w$ where it is, but it can ask: if I
# change one parameter a little, how does the loss change? The answer is a slope, the derivative $\partial L / \partial w_j$
# of the loss with respect to parameter $j$. All $D$ slopes together are the **<abbr title="梯度">gradient</abbr>**
# $\nabla L(w) \in \mathbb{R}^D$.
#
# We compute these slopes with the **<abbr title="链式法则">chain rule</abbr>**. The loss of example $i$ is computed in three
# simple steps: the prediction $f_i = x_i \cdot w$, the error $e_i = f_i - y_i$, and the loss $l_i = e_i^2$. To get the slope
# of the whole chain, we multiply the slopes of its steps:
#
# $$\frac{\partial l_i}{\partial w_j} = \frac{\partial l_i}{\partial e_i} \cdot \frac{\partial e_i}{\partial f_i} \cdot
# \frac{\partial f_i}{\partial w_j} = 2e_i \cdot 1 \cdot x_{ij}.$$
#
# In words: twice the error, times the input that this parameter multiplies. The gradient of $L$ is the mean over the examples.
# With all labels in $y \in \mathbb{R}^n$ and the transposed matrix $X^\top$ it is one line:
#
# $$\nabla L(w) = \frac{1}{n} \sum_{i=1}^n 2\, (x_i \cdot w - y_i)\, x_i = \frac{2}{n} X^\top (Xw - y).$$
#
# It is easy to make a mistake when you derive such a formula, so let us check it without any calculus. We change each
# parameter a little in both directions and see how much the loss changes. This method is called
# **<abbr title="有限差分">finite differences</abbr>**.

# %%
by_hand = 2 / len(y) * X.T @ (X @ w - y)

nudge = 1e-5
numerical = [(loss(w + nudge * unit) - loss(w - nudge * unit)) / (2 * nudge) for unit in np.eye(2)]
print("by hand", by_hand.round(4), " by finite differences", np.round(numerical, 4))

# %% [markdown]
# Both ways give the same numbers, and we can follow them by hand. Only the third example has an error, $-1$, so the slope
# along $w_0$ is $\tfrac23 \cdot (-1) \cdot 2$ and the slope along $w_1$ is $\tfrac23 \cdot (-1) \cdot 1$. Both slopes are
# negative: if you increase either parameter, the loss falls.
#
# In practice you never derive gradients by hand, because PyTorch applies the chain rule for you. This is called automatic
# differentiation, or **<abbr title="自动微分">autograd</abbr>**. You mark the parameters with `requires_grad=True`, compute the
# loss from them and call `backward()`. Then the gradient is in `.grad`.

# %%
w_torch = torch.tensor(w, requires_grad=True)
loss_torch = ((torch.tensor(X) @ w_torch - torch.tensor(y)) ** 2).mean()
loss_torch.backward()

torch.testing.assert_close(w_torch.grad, torch.tensor(by_hand))
print("autograd", w_torch.grad.numpy().round(4), " our package", descent.mean_squared_error_gradient(w, X, y).round(4))

# %% [markdown]
# All four agree, so from here on we use the formula. Our package has it as a function.
#
# Now, which direction is down? Suppose you take a small step $d \in \mathbb{R}^D$. The loss changes by about
# $\nabla L(w) \cdot d$: for each parameter, its slope times how far you moved along it. This is again a dot product, and a
# dot product tells you how well two arrows agree:

# %%
diagrams.show(diagrams.dot_product)

# %% [markdown]
# In the drawing, let $b$ be the gradient and $a$ your step. If the angle between them is below 90°, the dot product is
# positive and the loss rises. At 90° the loss stays the same, and above 90° it falls. It rises fastest if you follow the
# gradient, and it **falls fastest if you go in exactly the opposite direction**.
#
# The next figure shows the bowl from above, like a hiking map. Each thin line connects points of equal loss. The arrows
# point against the gradient, and a longer arrow means that the bowl is steeper where the arrow starts.

# %%
region = {"xlim": (-1, 4), "ylim": (-1.5, 3.5)}
positions = np.array([(a, b) for a in np.linspace(-0.6, 3.6, 7) for b in np.linspace(-1.1, 3.1, 7)])
downhill = np.array([-descent.mean_squared_error_gradient(position, X, y) for position in positions])

fig, ax = plt.subplots(figsize=(4.6, 4.4))
plots.loss_surface(ax, loss, **region)
ax.quiver(*positions.T, *downhill.T, angles="xy", scale_units="xy", scale=22, width=0.006)
ax.set(xlabel="slope $w_0$", ylabel="intercept $w_1$", aspect="equal", title="Arrows against the gradient lead down")
plots.show(fig, alt="The bowl from above, level lines over slope and intercept. Arrows cross the level lines at right angles; they are long "
           "where the bowl is steep and nearly vanish along the valley floor.")  # fmt: skip

# %% [markdown]
# The arrows cross the level lines at right angles, because the loss does not change along a level line. They are long on the
# steep walls and short on the floor of the valley, where the gradient is small.

# %% [markdown]
# ## 3 Gradient descent
#
# Now we can walk downhill: compute the gradient, take a small step against it, and repeat. This is
# **<abbr title="梯度下降">gradient descent</abbr>**,
#
# $$w \leftarrow w - \eta \, \nabla L(w).$$
#
# The number $\eta > 0$ is the **<abbr title="学习率">learning rate</abbr>**. The larger it is, the longer the steps. We start
# from the worst of our three guesses, the shrinking plant, and take 80 steps.

# %%
w = np.array(guesses["a shrinking plant"])
plant_path = [w]
for _ in range(80):
    gradient = 2 / len(y) * X.T @ (X @ w - y)
    w = w - 0.2 * gradient
    plant_path.append(w)

exact_solution, *_ = np.linalg.lstsq(X, y)
print("gradient descent: slope and intercept", w.round(3), " loss", loss(w).round(4))
print("exact solution:   slope and intercept", exact_solution.round(3), " loss", loss(exact_solution).round(4))
print(f"after three weeks: {np.array([3, 1]) @ w:.2f} cm")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4))
plots.loss_surface(left, loss, **region)
plots.descent_path(left, np.array(plant_path), label="gradient descent")
left.plot(*exact_solution, "*", color="black", markersize=12, label="exact solution")
left.set(xlabel="slope $w_0$", ylabel="intercept $w_1$", title="Down into the valley, then along its floor")
left.legend(frameon=True, loc="lower left")

right.plot(X[:, 0], y, "D", color="black", markersize=9, label="measured")
for step, shade in zip((0, 1, 10, 80), plt.colormaps["Blues"]([0.4, 0.55, 0.75, 1.0]), strict=True):
    right.plot([0, 3], np.array([[0, 1], [3, 1]]) @ plant_path[step], "-", color=shade, label=f"after {step} steps")
right.set(xlabel="week", ylabel="height (cm)", xticks=range(4), title="The line turns until it fits the plant")
right.legend()
plots.show(fig, alt="Left: the bowl from above with the path of gradient descent, from upper left down to the valley floor and along it to the "
           "star at the minimum. Right: the measured heights and the line after 0, 1, 10 and 80 steps; the last one fits.")  # fmt: skip

# %% [markdown]
# This answers our question: after three weeks the plant will be about $1.5 \cdot 3 + 0.833 = 5.33$ cm tall.
#
# You have just trained a model. Every training run has these parts: a model, a loss, a gradient, and many small steps. The
# loss does not reach zero here, because the three points do not lie on one line; gradient descent stops at the line that
# fits best. For a straight line, `lstsq` can compute this solution directly. For a neural network there is no such formula,
# so we need gradient descent.

# %% [markdown]
# ## 4 A loss for classes: cross-entropy
#
# A review is positive or negative, so its label is 1 or 0. We want the model to give us a probability. The **sigmoid**
# $\sigma(z) = 1/(1 + e^{-z})$ turns any score $z \in \mathbb{R}$ into a number between 0 and 1. As before, our score is a
# dot product, $z = x \cdot w$; such a score is called a **logit**. We read $\sigma(z)$ as $p(1 \mid x)$, the probability
# that the label is 1. The probability of the other label is then $p(0 \mid x) = 1 - \sigma(z)$.
#
# The loss of an example is minus the logarithm of the probability that the model gave to the true label $y \in \{0, 1\}$:
#
# $$l = -\log p(y \mid x).$$
#
# It is called **<abbr title="交叉熵">cross-entropy</abbr>**. With probability 1 for the true label the loss is 0; with
# probability $\tfrac12$, as with random guessing, it is $\log 2 \approx 0.693$; near probability 0 it grows without limit.

# %%
z = np.linspace(-6, 6, 200)
squared = (descent.sigmoid(z) - 1) ** 2
cross_entropy = np.logaddexp(0, -z)  # -log sigmoid(z), safe for large z

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
left.plot(z, descent.sigmoid(z), "-", color="black")
left.set(xlabel="logit z", ylabel="probability of label 1", title="The sigmoid: from a score to a probability")
plots.curves(right, {"cross-entropy": cross_entropy, "squared error": squared}, x=z)
right.set(xlabel="logit z, label 1", ylabel="loss of the example", title="Cross-entropy punishes confident mistakes")
plots.show(fig, alt="Left: the sigmoid, an S-shaped curve from 0 to 1 with one half at logit 0. Right: two losses falling over the logit. "
           "Cross-entropy rises in a straight line to 6 at logit -6; squared error flattens at 1.")  # fmt: skip

# %% [markdown]
# Look at the far left of the right picture, where the model is confident and wrong. There the squared error of the
# probability is almost flat. Its gradient is nearly zero, so the model hardly learns from its worst mistakes. Cross-entropy
# has a slope of about $-1$ there. That is why we train classifiers with cross-entropy.
#
# What is the gradient of cross-entropy? We use the chain rule again, from the parameter to the logit, from there to the
# probability, and from there to the loss. The drawing shows this for one example with a single input $x = 2$ and label 1.
# Its logit has an intercept, $b$, as well.

# %%
diagrams.show(diagrams.chain_rule)

# %% [markdown]
# Multiply the three derivatives of the drawing: $x \cdot p(1 - p) \cdot (-1/p) = (p - 1)\, x$. The factor $p$ cancels, and
# what remains is the probability minus the label, times the input: $(0.8 - 1) \cdot 2 = -0.4$. So we get error times input
# again, just as with the squared error. For label 0 the result has the same form, $(p - 0)\, x$. The mean over all examples
# is
#
# $$\nabla L(w) = \frac{1}{n} X^\top\big(\sigma(Xw) - y\big), \qquad y \in \{0, 1\}^n.$$
#
# Drag the logit below, in the picture or with the slider: how steep are the two losses where the model is wrong?

# %%
explorers.logit_explorer()

# %% [markdown]
# The slope of cross-entropy is the probability minus the label. At logit $-3$ it is $0.047 - 1 = -0.953$. The squared error
# has a slope of $-0.086$ there, so the same example would teach the model eleven times less. With three classes the rule is
# the same: each logit has the slope $p_j - 1$ if class $j$ is the true label, and $p_j$ otherwise.
#
# Let us try it on the plant, with a new question: does it have leaves? In week 0 it has none, in weeks 1 and 2 it has some.

# %%
leaves = np.array([0.0, 1.0, 1.0])  # (n,)
w = np.array([1.0, -0.5])
print("probabilities of leaves", descent.sigmoid(X @ w).round(3))

ours = descent.cross_entropy(w, X, leaves)
theirs = torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor(X @ w), torch.tensor(leaves))
torch.testing.assert_close(ours, theirs.item())
print(f"cross-entropy {ours:.4f} in our package, {theirs:.4f} in PyTorch")

slopes_of_loss = descent.finite_differences(lambda v: descent.cross_entropy(v, X, leaves), w)
print("gradient", descent.cross_entropy_gradient(w, X, leaves).round(4), " by finite differences", slopes_of_loss.round(4))

# %% [markdown]
# The model gave the true labels the probabilities $1 - 0.378 = 0.622$, $0.622$ and $0.818$. Take minus the logarithm of each,
# then the mean, and you get the printed loss.

# %% [markdown]
# **Exercise 01.1 (complete): the gradient of cross-entropy.** Write it yourself, from the formula above. You get `w` of shape
# $(D,)$, `X` of shape $(n, D)$ and labels `y` of 0 and 1, $(n,)$; return the $D$ slopes. You may use loops, NumPy or PyTorch.
# With $w = (0, 0)$, one example $x = (1, 2)$ and its label 1 the answer is $(-0.5, -1)$: the probability is one half, the
# error $-\tfrac12$. Replace the line `raise`, run both cells, and read what the check says. The solution is folded below it.


# %% tags=["exercise"]
def my_gradient(w, X, y):
    raise NotImplementedError


# %% tags=["check"]
checks.check("01.1", my_gradient)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def my_gradient_solution(w, X, y):
    probabilities = descent.sigmoid(X @ w)  # (n,)
    return X.T @ (probabilities - y) / len(y)


# %% tags=["check"]
checks.check("01.1", my_gradient_solution, mine=False)  # the same check, on the solution

# %% [markdown]
# ## 5 How large a step?
#
# In section 3 we used a learning rate of 0.2. Why not 2, so that we arrive ten times sooner? The reason is that the bowl is
# steep in one direction and flat in another. We study this on the simplest bowl of that kind,
# $L(w) = \tfrac12 (w_0^2 + 10\, w_1^2)$ with $w \in \mathbb{R}^2$. It is a long valley, ten times steeper across than along.
# Its minimum is at $(0, 0)$ and its gradient is $(w_0,\; 10\, w_1)$.

# %%
valley, valley_gradient = descent.quadratic_bowl(steepness=10)

w = np.array([-2.0, 1.2])
path = [w]
for _ in range(40):
    w = w - 0.05 * valley_gradient(w)
    path.append(w)
print(f"loss at the start {valley(path[0]):.3f}, after 40 steps {valley(w):.4f}")

# %% [markdown]
# `descent.run` is the same loop as a function, for any loss and any optimiser. It returns the path and the loss at each
# step. With it we compare four learning rates:

# %%
rates = {0.01: "too small", 0.05: "good", 0.19: "nearly too large", 0.21: "too large"}
walks = {rate: descent.run(valley, valley_gradient, descent.GradientDescent(rate), path[0], num_steps=40) for rate in rates}
shades = dict(zip(rates, plt.colormaps["Blues"]([0.4, 0.6, 0.8, 1.0]), strict=True))  # blue: gradient descent

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8))
plots.loss_surface(left, valley)
for rate in (0.05, 0.19):
    left.plot(*walks[rate].path.T, "o-", color=shades[rate], linewidth=1.2, markersize=3.5, label=f"learning rate {rate}")
left.plot(*path[0], "o", markersize=10, markerfacecolor="none", markeredgecolor="black")
left.legend(frameon=True, loc="upper right")
left.set_title("With long steps the path zigzags")
for (rate, says), marker in zip(rates.items(), "^osD", strict=True):
    right.plot(walks[rate].losses, linestyle="-", marker=marker, markevery=4, color=shades[rate], label=f"{rate}: {says}")
right.set(yscale="log", xlabel="step", ylabel="loss", title="With too long steps it diverges")
right.legend(loc="lower left")
plots.show(fig, alt="Left: level lines of a valley with two paths; learning rate 0.05 curves smoothly to the middle, 0.19 zigzags. Right: "
           "loss over 40 steps on a log scale; 0.05 and 0.19 fall, 0.01 falls slowly, 0.21 rises.")  # fmt: skip

# %% [markdown]
# Both paths start at the ring. In the steep direction the slope is $10\, w_1$, so a step turns $w_1$ into
# $w_1 - \eta \cdot 10\, w_1 = (1 - 10\eta)\, w_1$: each step multiplies $w_1$ by the same factor. What matters is its size:

# %%
for rate in rates:
    grows = walks[rate].losses[-1] > walks[rate].losses[0]
    print(f"learning rate {rate}: |1 - 10 x {rate}| = {abs(1 - 10 * rate):.2f}, loss {'grows' if grows else 'falls'}")

# %% [markdown]
# If $\eta$ is above $2/10 = 0.2$, this factor is larger than one in size. Then $w_1$ grows with every step, and training
# diverges. So **there is a largest stable learning rate, and the best learning rates are often just below it**: with 0.19
# the path zigzags, but it still ends at a lower loss than with 0.05. The steepest direction limits the learning rate. The
# flattest direction decides how many steps you need.

# %% [markdown]
# **Exercise 01.2 (predict): a learning rate ten times as large.** The good learning rate was 0.05. By a typing error it
# becomes 0.5. Gradient descent starts at $w_1 = 1$, in the steep direction. What is $w_1$ after three steps? Work it out
# before you run anything, and write the number, with its sign.

# %% tags=["exercise"]
after_three_steps = ...

# %% tags=["check"]
checks.check("01.2", after_three_steps)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
after_three_steps_solution = (1 - 10 * 0.5) ** 3

# %% tags=["check"]
checks.check("01.2", after_three_steps_solution, mine=False)  # the same check, on the solution

# %% [markdown]
# **Exercise 01.3 (choice): explain the figure.** In the right picture of this section the curves of 0.19 and 0.21 separate at
# once. Why? Run the check to see the possible answers, then write the letter of yours, in quotes.

# %% tags=["exercise"]
why_they_part = ...

# %% tags=["check"]
checks.check("01.3", why_they_part)

# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
why_they_part_solution = "c"

# %% tags=["check"]
checks.check("01.3", why_they_part_solution, mine=False)  # the same check, on the solution

# %% [markdown]
# ## 6 Try it: the learning-rate explorer
#
# Drag the ring, or move the sliders with the mouse or with the arrow keys. A small mark below each learning rate is the
# largest stable one. First find out what happens above it. Then set the momentum $\mu$ to 0.8, so that each step also
# contains 0.8 of the step before it (section 7 has the formula). Is the largest stable learning rate still the same?

# %%
explorers.race_explorer("gradient descent", "momentum", momentum=0.5, num_steps=40)

# %% [markdown]
# With momentum the path swings past the valley floor and back. The limit rises from $2/10$ to $2 (1 + \mu)/10$: the steps
# across the valley partly cancel, so a larger learning rate remains stable.

# %% [markdown]
# ## 7 Three better ways to step
#
# With **momentum**, the point moves like a heavy ball that rolls downhill. Each step uses the sum of the past gradients.
# Across the valley, where the path zigzags, these gradients point in opposite directions and cancel out. Along the valley
# they point the same way, and the ball gathers speed. With the gradient $g = \nabla L(w)$, a velocity $v \in \mathbb{R}^D$
# that starts at zero, and $\mu$ around 0.9:
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
# **Exercise 01.4 (complete): one step with momentum.** Turn the loop into a function that takes one step. You get `w`, the
# velocity `v` and the gradient `g`, each of shape $(D,)$; return the new `w` and the new `v`, in this order. With $w = 1$,
# $v = 0$, $g = 2$, learning rate 0.1 and momentum 0.9 they are 0.8 and 2.


# %% tags=["exercise"]
def momentum_step(w, v, g, learning_rate, momentum):
    raise NotImplementedError


# %% tags=["check"]
checks.check("01.4", momentum_step)


# %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
# @title Solution
def momentum_step_solution(w, v, g, learning_rate, momentum):
    v = momentum * v + g
    return w - learning_rate * v, v


# %% tags=["check"]
checks.check("01.4", momentum_step_solution, mine=False)  # the same check, on the solution

# %% [markdown]
# **RMSprop** gives each parameter its own step length. It keeps a running mean $s \in \mathbb{R}^D$ of the squared gradient
# and divides the gradient by the square root of this mean. So steps in steep and in flat directions become about equally
# long. The square, the root and the division are computed for each parameter separately. Usually $\alpha = 0.99$. The tiny
# number $\epsilon$ prevents a division by zero.
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
# **Adam** combines the two ideas. It keeps a running mean $m \in \mathbb{R}^D$ of the gradient, as momentum does, and
# divides it by the square root of $s$, as RMSprop does. Both means start at zero, so in the first steps they are too small.
# To correct this, at step $t = 1, 2, \ldots$ Adam divides the first by $1 - \beta_1^t$ and the second by $1 - \beta_2^t$.
# The usual values are $\beta_1 = 0.9$ and $\beta_2 = 0.999$.
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
# Are these really the <abbr title="优化器">optimisers</abbr> that everybody uses? To find out, we run `torch.optim` in the same
# valley. Note the three calls in the loop: `zero_grad`, `backward` and `step`. You will see them in every PyTorch training
# loop.


# %%
def torch_path(make_optimizer):
    w = torch.tensor([-2.0, 1.2], dtype=torch.float64, requires_grad=True)
    optimizer, positions = make_optimizer([w]), [w.detach().numpy().copy()]
    for _ in range(40):
        optimizer.zero_grad()
        (0.5 * (w[0] ** 2 + 10 * w[1] ** 2)).backward()
        optimizer.step()
        positions.append(w.detach().numpy().copy())
    return np.array(positions)


# %%
pairs = {
    "gradient descent": (path, descent.GradientDescent(0.05), lambda p: torch.optim.SGD(p, lr=0.05)),
    "momentum": (momentum_path, descent.Momentum(0.02, 0.9), lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9)),
    "RMSprop": (rmsprop_path, descent.RMSprop(0.02), lambda p: torch.optim.RMSprop(p, lr=0.02)),
    "Adam": (adam_path, descent.Adam(0.1), lambda p: torch.optim.Adam(p, lr=0.1)),
}
for name, (by_hand_path, ours, make_optimizer) in pairs.items():
    ours_path = descent.run(valley, valley_gradient, ours, path[0], num_steps=40).path
    torchs_path = torch_path(make_optimizer)
    torch.testing.assert_close([ours_path, torchs_path], [np.array(by_hand_path)] * 2)
    print(f"{name:17} after 40 steps: by hand {by_hand_path[-1].round(3)}, torch.optim {torchs_path[-1].round(3)}")

# %%
fig, ax = plt.subplots(figsize=(7, 3.8))
plots.loss_surface(ax, valley)
for name, (by_hand_path, *_) in pairs.items():
    plots.descent_path(ax, np.array(by_hand_path), label=name)
ax.legend(loc="lower right", frameon=True)
ax.set_title("Four ways down the same valley")
plots.show(fig, alt="Four paths from the same ring at upper left over level lines of a valley: gradient descent bends and follows the "
           "floor, momentum overshoots and swings, RMSprop and Adam head diagonally.")  # fmt: skip

# %% [markdown]
# Each optimiser takes the same path by hand, in our package and in `torch.optim`: all 41 points agree. Now compare the
# paths. Gradient descent first drops into the valley and then creeps along its floor. Momentum overshoots the floor and
# comes back. RMSprop and Adam rescale the steep direction, so they move diagonally. Adam also has momentum, and therefore it
# overshoots a little. None of the four is best for every problem. For BERT we will use AdamW, a variant of Adam, because
# there the gradients of different parameters differ much more than by the factor of ten in this valley.
#
# Now let them race on other surfaces: a valley with a bend, and two minima of which one is deeper. Choose a surface, drag the
# ring and press Play.

# %%
explorers.race_explorer()

# %% [markdown]
# In the bent valley gradient descent creeps along the floor: its loss after 80 steps is 0.19, while Adam's is below 0.001. With
# two minima, start on the slope at the right, at $w_0 = 2$. Three of the four end in the minimum nearby, although the other
# one is deeper. Momentum rolls through it like a heavy ball and reaches the deeper one. From $w_0 = 1.3$ it is too slow.

# %% [markdown]
# ## 8 A review classifier, trained with our own optimisers
#
# Now we train on real sentences from film reviews. We turn each sentence into a row of 0s and 1s. Each column belongs to a
# word that occurs in at least three training sentences, and it is 1 if the sentence contains this word. This is called a
# **bag of words**. So $D$ is the number of words, and each word has one parameter in $w$. The model is $\sigma(x \cdot w)$.
# The loss is cross-entropy plus a small penalty, $\tfrac{\lambda}{2}\lVert w \rVert^2$, where $\lVert w \rVert$ is the
# length of $w$ and $\lambda > 0$ is small (`penalty` in the code). Without this penalty, the weights of some rare words
# would grow without limit.

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


def review_gradient(w, chosen=slice(None)):  # over all examples, or over those that are chosen
    return descent.cross_entropy_gradient(w, X_train[chosen], y_train[chosen]) + penalty * w


# %% [markdown]
# Before training all weights are zero, so every probability is 0.5 and the loss must be $\log 2$. Make this check whenever
# you start to train: if the number is different, something is wrong with the loss.

# %%
start = np.zeros(X_train.shape[1])
print(f"untrained loss {review_loss(start):.4f}, log 2 = {np.log(2):.4f}")

# %% [markdown]
# The two numbers agree. All four optimisers now start from these zeros. Each one gets its own learning rate, because they
# scale the gradient differently. For gradient descent we take 4, which is close to the largest learning rate that is stable
# here.

# %%
contest = {
    "gradient descent": descent.GradientDescent(4.0),
    "momentum": descent.Momentum(1.0, 0.9),
    "RMSprop": descent.RMSprop(0.01),
    "Adam": descent.Adam(0.05),
}
num_steps = 20 if profile.name == "smoke" else 150
runs = {name: descent.run(review_loss, review_gradient, rule, start, num_steps=num_steps) for name, rule in contest.items()}

# %%
fig, ax = plt.subplots()
plots.curves(ax, {name: walk.losses for name, walk in runs.items()}, x=range(num_steps + 1))
ax.axhline(np.log(2), color="black", linewidth=0.8, linestyle=":")
ax.text(num_steps, np.log(2) + 0.005, "random guessing: log 2", ha="right", va="bottom")
ax.legend(loc="upper right", bbox_to_anchor=(1, 0.87))
ax.set(xlabel="step (the whole training set each time)", ylabel="loss", ylim=(None, 0.74))
ax.set_title("RMSprop and Adam reach a low loss first")
plots.show(fig, alt="Training loss over steps for four optimisers, all starting at 0.693. RMSprop and Adam fall at once and level off; "
           "momentum starts slowly and ends between them and plain gradient descent, which is slowest.")  # fmt: skip

# %% [markdown]
# RMSprop and Adam adapt the step to each weight, and after a few dozen steps their loss is already low. Momentum and
# gradient descent use one learning rate for all words, frequent and rare. Momentum needs longer, and gradient descent is the
# slowest. This loss has only one minimum, so the optimisers differ only in how fast they get there. How close did they come?

# %% tags=["approx"]
C = 1 / (penalty * len(y_train))  # scikit-learn's name for the inverse of the penalty
reference = LogisticRegression(C=C, fit_intercept=False, tol=1e-8, max_iter=5000).fit(X_train, y_train)
lowest = review_loss(reference.coef_[0])
for name, walk in runs.items():
    print(f"{name:17} loss above the minimum: {walk.losses[-1] - lowest:.3f}")
best = runs["Adam"].path[-1]
print(f"validation accuracy: Adam by hand {np.mean((X_validation @ best > 0) == y_validation):.3f}, "
      f"scikit-learn {reference.score(X_validation, y_validation):.3f}, one class for all 0.500")  # fmt: skip

# %% [markdown]
# scikit-learn's solver finds the minimum itself. Our Adam comes so close to it that the validation accuracy is about the
# same. But what did the model learn? Each weight belongs to a word, so we can look at the words with the largest weights.

# %%
words = counter.get_feature_names_out()
order = np.argsort(reference.coef_[0])
print("most negative:", ", ".join(words[order[:8]]))
print("most positive:", ", ".join(words[order[:-9:-1]]))

# %% [markdown]
# You would probably have chosen most of these words yourself. A few are strange. We have nearly as many words as sentences,
# so some words get a large weight by chance. There is another weakness: the model ignores the order of the words. "not
# funny, just dull" and "not dull, just funny" are the same bag of words. In notebook 03 we train a model that reads the
# words in order.

# %% [markdown]
# ## 9 Why batches?
#
# So far each step has used all the examples. That gives the exact gradient, but it is slow. A **mini-batch** of $B$ random
# examples gives an estimate $\hat g \in \mathbb{R}^D$ that is much cheaper. This estimate is unbiased, which means that it
# is right on average over many batches. A single estimate, however, is noisy. How noisy is it? We draw 200 batches of each
# size at the untrained $w$ and measure how far each $\hat g$ is from the exact gradient. Then we divide by the length of the
# exact gradient.

# %%
rng = np.random.default_rng(0)


def mean_noise(w, batch_size):
    exact, batches = review_gradient(w), rng.integers(len(y_train), size=(200, batch_size))
    return np.mean([np.linalg.norm(review_gradient(w, batch) - exact) for batch in batches])


signal = np.linalg.norm(review_gradient(start))
batch_sizes = np.array([1, 4, 16, 64])
noise_ratios = np.array([mean_noise(start, size) / signal for size in batch_sizes])
print(f"noise / length of the gradient: {noise_ratios[0]:.1f} with one example, {noise_ratios[3]:.1f} with 64")

# %%
fig, ax = plt.subplots(figsize=(6, 3.4))
ax.loglog(batch_sizes, noise_ratios, "o", color="#0072B2", markersize=8, label="measured")
ax.loglog(batch_sizes, noise_ratios[0] / batch_sizes**0.5, "-", color="black", linewidth=1, label=r"falls as $1/\sqrt{B}$")
ax.set(xlabel="batch size B", ylabel="noise / length of the gradient", title="Four times the batch halves the noise")
ax.minorticks_off()
ax.set(xticks=batch_sizes, xticklabels=batch_sizes, yticks=[4, 8, 16, 32], yticklabels=[4, 8, 16, 32])
ax.legend()
plots.show(fig, alt="Noise of the gradient relative to its length against batch size, on log scales: the measured points lie on the line that falls "
           "as one over the square root of the batch size.")  # fmt: skip

# %% [markdown]
# If you use four times as many examples, you only halve the noise, so a large batch is not very efficient. But does a small
# batch work at all? With one example, the noise is about thirty times as large as the gradient itself. How can anybody learn
# from that?
#
# **A single step tells you almost nothing, but many steps together do.** Every step has two parts. One is the exact
# gradient, which is small and nearly the same each time. The other is the noise, which is large and points in a different
# direction each time. After $N$ steps the first parts have added up to $N$ times the gradient. The noisy parts mostly cancel
# out: their sum is a random walk and grows only as $\sqrt{N}$. So after enough steps the gradient wins, however large the
# noise of a single step is.
#
# Let us watch this happen. We take 4,000 tiny steps, each computed from one random example. This is
# **<abbr title="随机梯度下降">stochastic gradient descent</abbr>** (SGD). After each step we measure how far we have moved
# downhill and how far we have drifted sideways.

# %%
tiny = 0.001
downhill_direction = -review_gradient(start) / signal  # (D,), of length 1
w, drift, sideways = start, [], []
for example in rng.integers(len(y_train), size=4_000):
    w = w - tiny * review_gradient(w, [example])
    moved = (w - start) / (tiny * signal)  # in units of one exact step
    drift.append(moved @ downhill_direction)
    sideways.append(np.linalg.norm(moved - drift[-1] * downhill_direction))

# %%
steps = np.arange(1, len(drift) + 1)
fig, ax = plt.subplots(figsize=(7, 3.8))
ax.plot(steps, drift, "-", color="#0072B2", label="downhill: grows as N")
ax.plot(steps, sideways, "-", color="#E69F00", label=r"sideways: grows as $\sqrt{N}$")
ax.plot(steps, noise_ratios[0] * steps**0.5, ":", color="black", linewidth=1, label=rf"{noise_ratios[0]:.1f} $\sqrt{{N}}$")
ax.set(xlabel="number of steps N", ylabel="distance moved, in exact steps", title="The drift downhill overtakes the noise")
ax.legend()
plots.show(fig, alt="Distance moved over 4,000 steps of one example each. The part downhill grows in a straight line; the part sideways starts "
           "larger, grows as the square root of the number of steps, and is overtaken.")  # fmt: skip

# %% tags=["approx-0.05"]
print(f"The lines N and {noise_ratios[0]:.1f} sqrt(N) cross at N = {noise_ratios[0]:.1f}^2 = {noise_ratios[0] ** 2:.0f}.")
print(f"After 4,000 steps SGD has moved {drift[-1] / sideways[-1]:.1f} times as far downhill as sideways.")

# %% [markdown]
# So the noise averages out in a large batch, and it also averages out over many small steps. The small steps have an
# advantage: each one starts where the last one ended, so its gradient is up to date. Let us compare the two for the same
# amount of work. In one pass over the examples you can take one exact step (with learning rate 4, as in section 8), or well
# over a hundred steps with batches of 32 (with learning rate 1).

# %%
w, batch_losses = start, [review_loss(start)]
for _ in range(10):
    for batch in np.array_split(rng.permutation(len(y_train)), len(y_train) // 32):
        w = w - 1.0 * review_gradient(w, batch)
    batch_losses.append(review_loss(w))

fig, ax = plt.subplots(figsize=(7, 3.6))
ax.plot(runs["gradient descent"].losses[:11], "o-", color="#0072B2", label="all examples: one step a pass")
ax.plot(batch_losses, "P--", color="#0072B2", label=f"batches of 32: {len(y_train) // 32} steps a pass")
ax.set(xlabel="passes over the training set", ylabel="loss", title="For equal work, many noisy steps go further")
ax.legend(loc="center right")
plots.show(fig, alt="Training loss over ten passes. Gradient descent with all examples takes one step a pass and falls slowly; with "
           "batches of 32 the loss falls much further in the first pass and stays far below.")  # fmt: skip

# %% [markdown]
# After one pass, the small batches have already reached a much lower loss. That is why everybody trains with batches, and
# from notebook 03 on we do so too.
#
# Far from the minimum, small batches work very well. Near the minimum the exact gradient becomes very small, but the noise
# does not, because the examples still pull in different directions:

# %% tags=["approx-0.05"]
for name, position in {"untrained": start, "after 20 steps of Adam": runs["Adam"].path[20], "at the end": best}.items():
    length = np.linalg.norm(review_gradient(position))
    print(f"{name:23} exact gradient {length:.4f}, noise of one example {mean_noise(position, 1):.2f}")

# %% [markdown]
# At the end of training nearly all of a step is noise. What does this look like? We go back to the plant and run SGD with
# one example in each step. We take 1,000 steps, first with a large and then with a small learning rate.

# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 4))
for ax, rate, size in zip(axes, (0.1, 0.01), ("wide", "narrow"), strict=True):
    w = np.array(guesses["a shrinking plant"])
    sgd_path = [w]
    for i in rng.integers(len(y), size=1_000):
        w = w - rate * 2 * (X[i] @ w - y[i]) * X[i]
        sgd_path.append(w)
    plots.loss_surface(ax, loss, **region)
    plots.descent_path(ax, np.array(sgd_path), label="gradient descent")
    ax.plot(*exact_solution, "*", color="black", markersize=12, zorder=3)
    ax.set(xlabel="slope $w_0$", ylabel="intercept $w_1$", title=f"Learning rate {rate}: a {size} cloud")
    late = np.mean([loss(position) for position in sgd_path[500:]])
    print(f"learning rate {rate}: mean loss of the last 500 steps {late:.3f}, lowest possible {loss(exact_solution):.3f}")
plots.show(fig, alt="Two maps of the bowl with a path of single-example steps. With learning rate 0.1 the path reaches the minimum quickly and then jumps "
           "around it in a cloud; with 0.01 it arrives later and the cloud is small.")  # fmt: skip

# %% [markdown]
# The star marks the minimum. Far from it the examples agree, and both paths move towards it. Near the star, each example
# pulls towards its own best line. With a constant learning rate SGD never settles there: it keeps moving around the minimum
# in a cloud, and a larger learning rate gives a larger cloud. So the best plan is to start with a large learning rate, to
# get close quickly, and to decrease it towards the end. From notebook 03 on we do this with a *learning-rate schedule*.

# %% [markdown]
# ## 10 Classic bug: the gradient that was never reset
#
# PyTorch **adds** each new gradient to the old one until you call `optimizer.zero_grad()`. If you forget this line, you get
# no error message. Let us see what happens instead, in the valley of section 5 with its good learning rate.


# %%
def valley_losses(resets: bool) -> list[float]:
    w = torch.tensor([-2.0, 1.2], dtype=torch.float64, requires_grad=True)
    optimizer, losses = torch.optim.SGD([w], lr=0.05), []
    for _ in range(40):
        if resets:
            optimizer.zero_grad()
        loss = 0.5 * (w[0] ** 2 + 10 * w[1] ** 2)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


correct, buggy = valley_losses(resets=True), valley_losses(resets=False)

# %%
fig, ax = plt.subplots()
ax.plot(correct, "o-", color="#0072B2", markersize=4, label="with zero_grad")
ax.plot(buggy, "X--", color="black", markersize=5, label="without")
ax.set(xlabel="step", ylabel="loss", title="Without zero_grad the loss swings and never settles")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plots.show(fig, alt="Loss over 40 steps: with zero_grad it falls smoothly to nearly zero; without it, it swings up and down, returning "
           "almost to where it started.")  # fmt: skip

# %%
print(f"mean loss of the last 20 steps: {np.mean(correct[20:]):.2f} with zero_grad, {np.mean(buggy[20:]):.2f} without")

# %% [markdown]
# Without `zero_grad`, the gradients of all earlier positions keep pushing. This is momentum with $\mu = 1$: a ball without
# friction that rolls through the minimum again and again. In a wide, flat valley with a tiny learning rate the bug can even
# help for a while, as momentum does, and then nobody notices it. If your loss oscillates evenly, look for this bug.

# %% [markdown]
# **Exercise 01.5 (debug): a loop that swings.** Here is gradient descent without an optimiser, on
# $L(w) = \tfrac12 \lVert w \rVert^2$, whose gradient is $w$ itself. With learning rate 0.5 every step should halve $w$: from
# 1 to 0.5, 0.25, 0.125. The first step is right, but the later ones are not. Fix the loop in the cell below.


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
def bare_descent_solution(start, learning_rate, num_steps):
    w = torch.tensor(start, requires_grad=True)
    for _ in range(num_steps):
        loss = 0.5 * (w**2).sum()
        loss.backward()
        with torch.no_grad():
            w -= learning_rate * w.grad
        w.grad.zero_()  # this line was missing
    return w.detach()


# %% tags=["check"]
checks.check("01.5", bare_descent_solution, mine=False)  # the same check, on the solution

# %% [markdown]
# ## Quiz
#
# Three questions to check what you remember.

# %% tags=["check"]
checks.quiz("01")

# %% [markdown]
# ## Summary
#
# * Training minimises $L(w)$, the mean loss of the examples. For numbers the loss is the squared error. For classes it is
#   cross-entropy, and with two classes random guessing gives a loss of $\log 2$.
# * The gradient comes from the chain rule. Check your formula once with finite differences, then leave the work to autograd.
# * Gradient descent takes steps against the gradient. If the learning rate is too large, it diverges.
# * Momentum adds up gradients, RMSprop rescales each parameter, and Adam does both, each in a few lines of code.
# * A batch gives a cheap but noisy gradient. Over $N$ steps the gradient adds up as $N$ and the noise only as $\sqrt{N}$, so
#   many small noisy steps still lead downhill.
#
# **To think about.** Why is the largest stable learning rate 2 divided by the steepness, and not 1 divided by it? In the valley
# of section 5 a single step with learning rate 0.1 takes $w_1$ to 0. Why does it not do the same for $w_0$?
#
# **Next:** [02 Text to tensors](02_text_to_tensors.ipynb).
