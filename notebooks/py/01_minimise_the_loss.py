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
# **Before you start:** a little Python with NumPy, and what a derivative is. **Time:** one hour to read and play; the code
# takes less than a minute.

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

from course_utils import data, descent, diagrams, explorers, plots, profiles
from course_utils.exercises import checks

plots.use_style()
profile = profiles.get_profile()

# %% [markdown]
# ## 1 One formula
#
# A bean plant is 1 cm tall today, 2 cm after one week and 4 cm after two weeks. How tall will it be after three? We assume
# that it grows along a straight line, height = slope · week + intercept. Which line fits best? We let the computer find out.
#
# This small problem has everything that a large one has. Whatever we train in this course, up to BERT, the task is the same:
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
# In BERT $w$ contains millions of numbers. Here it contains two, so that we can draw everything. The model multiplies each
# input by its parameter and adds up. That is the **<abbr title="点积">dot product</abbr>**,
# $f(x_i; w) = x_i \cdot w = x_{i0}\, w_0 + x_{i1}\, w_1$. The first input is the week. The second is always 1, so that $w_1$
# is added as it is: $w_0$ is the slope and $w_1$ the intercept.
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
# How good are other guesses? Each choice of slope and intercept has a loss. Draw the loss as a height over the two parameters,
# and you get a landscape. For the squared error it is a bowl.

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
# A line on the left is a point on the right. The closer the line passes to the measurements, the lower its point lies in the
# bowl. To find the best line we have to get to the bottom.

# %% [markdown]
# ## 2 Which way is down?
#
# The computer does not see the bowl. It knows one point $w$, and it can ask: if I change one parameter a little, how does the
# loss change? The answer is a slope, the derivative $\partial L / \partial w_j$ with respect to parameter $j$. All $D$ slopes
# together are the **<abbr title="梯度">gradient</abbr>** $\nabla L(w) \in \mathbb{R}^D$.
#
# We compute the slopes with the **<abbr title="链式法则">chain rule</abbr>**. The loss of example $i$ is a chain of simple steps:
# the prediction $f_i = x_i \cdot w$, the error $e_i = f_i - y_i$, the loss $l_i = e_i^2$. The slope of a chain is the product
# of the slopes of its steps:
#
# $$\frac{\partial l_i}{\partial w_j} = \frac{\partial l_i}{\partial e_i} \cdot \frac{\partial e_i}{\partial f_i} \cdot
# \frac{\partial f_i}{\partial w_j} = 2e_i \cdot 1 \cdot x_{ij}.$$
#
# In words: twice the error, times the input that this parameter multiplies. The gradient of $L$ is the mean over the examples.
# With all labels in $y \in \mathbb{R}^n$ and the transposed matrix $X^\top$ it is one line:
#
# $$\nabla L(w) = \frac{1}{n} \sum_{i=1}^n 2\, (x_i \cdot w - y_i)\, x_i = \frac{2}{n} X^\top (Xw - y).$$
#
# Formulas derived by hand are often wrong. Here is a check that needs no calculus: change each parameter a little in both
# directions and see how the loss changes (**<abbr title="有限差分">finite differences</abbr>**).

# %%
by_hand = 2 / len(y) * X.T @ (X @ w - y)

nudge = 1e-5
numerical = [(loss(w + nudge * unit) - loss(w - nudge * unit)) / (2 * nudge) for unit in np.eye(2)]
print("by hand", by_hand.round(4), " by finite differences", np.round(numerical, 4))

# %% [markdown]
# Only the third example has an error, $-1$. So the slope along $w_0$ is $\tfrac23 \cdot (-1) \cdot 2$ and along $w_1$ it is
# $\tfrac23 \cdot (-1) \cdot 1$. Both are negative: the loss falls if either parameter grows.
#
# PyTorch applies the chain rule for you (automatic differentiation, **<abbr title="自动微分">autograd</abbr>**). You compute the
# loss from a tensor that was marked with `requires_grad=True`, call `backward()`, and find the gradient in `.grad`.

# %%
w_torch = torch.tensor(w, requires_grad=True)
loss_torch = ((torch.tensor(X) @ w_torch - torch.tensor(y)) ** 2).mean()
loss_torch.backward()

torch.testing.assert_close(w_torch.grad, torch.tensor(by_hand))
print("autograd", w_torch.grad.numpy().round(4), " our package", descent.mean_squared_error_gradient(w, X, y).round(4))

# %% [markdown]
# All four agree. From here on we trust the formula; the package has it as a function.
#
# Which direction is down? Suppose you take a small step $d \in \mathbb{R}^D$. The loss then changes by about
# $\nabla L(w) \cdot d$: each slope times how far you moved along its parameter. That is a dot product, and a dot product says
# how well two arrows agree:

# %%
diagrams.show(diagrams.dot_product)

# %% [markdown]
# Let $b$ be the gradient and $a$ your step. If the angle between them is under 90°, the loss rises; at 90° it stays as it is;
# over 90° it falls. It rises fastest if you follow the gradient, and **falls fastest if you go exactly against it**.
#
# Here is the bowl from above, as on a hiking map. Each thin line connects points of equal loss. The arrows point against the
# gradient; the longer the arrow, the steeper the bowl at its foot.

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
# The arrows cross the level lines at right angles, as they must: along a level line the loss does not change. They are long on
# the steep walls and short on the floor of the valley, where the gradient is small.

# %% [markdown]
# ## 3 Gradient descent
#
# Now walk: look which way is down, take a step, look again. That is **<abbr title="梯度下降">gradient descent</abbr>**,
#
# $$w \leftarrow w - \eta \, \nabla L(w).$$
#
# The number $\eta > 0$ is the **<abbr title="学习率">learning rate</abbr>**. It says how long the steps are. We start from the
# worst of the guesses, the shrinking plant, and take 80 steps.

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
# Now we can answer the question: the line says that the plant will be $1.5 \cdot 3 + 0.833 = 5.33$ cm tall after three weeks.
#
# That is all there is to training: a model, a loss, a gradient, and many small steps. The three points do not lie on one line,
# so the loss cannot reach zero; the descent ends where no line does better. For a straight line there is a formula, and
# `lstsq` computes the exact solution at once. For a network there is none, and descent is all we have.

# %% [markdown]
# ## 4 A loss for classes: cross-entropy
#
# A review is positive or negative: the label is 1 or 0, and the model should give a probability. The **sigmoid**
# $\sigma(z) = 1/(1 + e^{-z})$ turns any score $z \in \mathbb{R}$ into a number between 0 and 1. Our score is again the dot
# product $z = x \cdot w$; it is called the **logit**. Read $\sigma(z)$ as $p(1 \mid x)$, the probability that the label is 1.
# The probability of the other label is $p(0 \mid x) = 1 - \sigma(z)$.
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
# Look at the far left of the right picture, where the model is confident and wrong. The squared error of the probability is
# flat there: its gradient is nearly zero, so training stalls. Cross-entropy keeps a slope of about $-1$. That is why
# classifiers are trained with cross-entropy.
#
# What is its gradient? Follow the chain again: from a parameter to the logit, to the probability, to the loss. The drawing
# does it for one input $x = 2$ of an example with label 1. Its logit also has an intercept, $b$.

# %%
diagrams.show(diagrams.chain_rule)

# %% [markdown]
# Multiply the three derivatives of the drawing: $x \cdot p(1 - p) \cdot (-1/p) = (p - 1)\, x$. The $p$ has cancelled, and what
# remains is probability minus label, times input: $(0.8 - 1) \cdot 2 = -0.4$. So it is error times input again, as with the
# squared error. For label 0 you get the same form, $(p - 0)\, x$. The mean over all examples is
#
# $$\nabla L(w) = \frac{1}{n} X^\top\big(\sigma(Xw) - y\big), \qquad y \in \{0, 1\}^n.$$
#
# Take the plant again, with another question: does it have leaves? Not in week 0, but in weeks 1 and 2.

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
def my_gradient(w, X, y):
    probabilities = descent.sigmoid(X @ w)  # (n,)
    return X.T @ (probabilities - y) / len(y)


# %% tags=["check"]
checks.check("01.1", my_gradient, mine=False)  # the same check, on the solution

# %% [markdown]
# ## 5 How large a step?
#
# In section 3 we took the learning rate 0.2. Why not 2, to arrive ten times sooner? The bowl of the plant is steep in one
# direction and flat in another, and that is what sets the limit. We look at the simplest such bowl,
# $L(w) = \tfrac12 (w_0^2 + 10\, w_1^2)$ with $w \in \mathbb{R}^2$. It is a long valley, ten times steeper across than along;
# its minimum is at $(0, 0)$ and its gradient is $(w_0,\; 10\, w_1)$.

# %%
valley, valley_gradient = descent.quadratic_bowl(steepness=10)

w = np.array([-2.0, 1.2])
path = [w]
for _ in range(40):
    w = w - 0.05 * valley_gradient(w)
    path.append(w)
print(f"loss at the start {valley(path[0]):.3f}, after 40 steps {valley(w):.4f}")

# %% [markdown]
# `descent.run` is this loop, for any loss and optimiser. It returns the path and the loss at each step. Now four learning
# rates:

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
# Above $\eta = 2/10 = 0.2$ the factor is larger than one in size, $w_1$ grows with every step, and training diverges. **There
# is a largest stable learning rate, and the best learning rates are close to it**: 0.19 zigzags, and it still ends lower than
# 0.05. The steepest direction sets this limit; the flattest direction decides how many steps you need.

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
after_three_steps = (1 - 10 * 0.5) ** 3

# %% tags=["check"]
checks.check("01.2", after_three_steps, mine=False)  # the same check, on the solution

# %% [markdown]
# **Exercise 01.3 (choice): explain the figure.** In the right picture of this section the curves of 0.19 and 0.21 separate at
# once. Why? Run the check to see the possible answers, then write the letter of yours, in quotes.

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
# ## 6 Try it: the learning-rate explorer
#
# Move the sliders (with the mouse, or with the arrow keys). Find the largest learning rate that still converges without
# momentum. Then set momentum to 0.8 (each step then keeps 0.8 of the one before; section 7 has the formula), and find out
# whether this largest learning rate has changed.

# %%
explorer = explorers.descent_explorer()
explorer

# %% [markdown]
# Where widgets do not work (on a printed page or on GitHub), these figures show three settings of the same function. Blue is
# plain gradient descent, orange has momentum.

# %%
for rate, momentum in ((0.05, 0.0), (0.05, 0.8), (0.25, 0.0)):
    fig, sentence = explorers.draw_descent(rate, momentum)
    plots.show(fig, alt=f"Path over the valley and loss over steps. {sentence}")

# %% [markdown]
# Top: a steady descent. Middle: with momentum the path swings past the valley floor and back, but reaches a lower loss.
# Bottom: a learning rate of 0.25 is above the limit of 0.2, and the loss grows.

# %% [markdown]
# ## 7 Three better ways to step
#
# **Momentum** rolls down like a heavy ball. It adds up past gradients: in a zigzag they point left and right in turn and
# cancel out; along the floor of the valley they agree, and the ball gathers speed. With the gradient $g = \nabla L(w)$, a
# velocity $v \in \mathbb{R}^D$ that starts at zero, and $\mu$ around 0.9:
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
def momentum_step(w, v, g, learning_rate, momentum):
    v = momentum * v + g
    return w - learning_rate * v, v


# %% tags=["check"]
checks.check("01.4", momentum_step, mine=False)  # the same check, on the solution

# %% [markdown]
# **RMSprop** gives each parameter a step length of its own. It keeps a running mean $s \in \mathbb{R}^D$ of the squared
# gradient and divides by its square root, so that steep and flat directions get steps of about the same length. Square, root
# and division are taken for each parameter by itself. Usually $\alpha = 0.99$; the tiny $\epsilon$ prevents a division by
# zero.
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
# **Adam** combines the two: a running mean $m \in \mathbb{R}^D$ of the gradient, as in momentum, divided by the root of $s$,
# as in RMSprop. Both means start at zero and are too small at first, so at step $t = 1, 2, \ldots$ Adam divides the first by
# $1 - \beta_1^t$ and the second by $1 - \beta_2^t$. Usual values are $\beta_1 = 0.9$ and $\beta_2 = 0.999$.
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
# Are these the <abbr title="优化器">optimisers</abbr> that everybody uses? We run `torch.optim` on the same valley. The three
# lines in the loop, `zero_grad`, `backward` and `step`, are in every PyTorch training loop that you will see.


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
# By hand, in our package and in `torch.optim`, each path is the same at all 41 points. Gradient descent first drops into the
# valley and then creeps along its floor. Momentum overshoots and comes back. RMSprop and Adam rescale the steep direction and
# move diagonally; Adam, which has momentum too, overshoots a little. None of them is best everywhere. For BERT we will use
# AdamW, a variant of Adam, because the gradients of its parameters differ in size by far more than a factor of ten.

# %% [markdown]
# ## 8 A review classifier, trained with our own optimisers
#
# Now we use real sentences from film reviews. Each becomes a row of 0s and 1s, with one column for each word that occurs in at
# least three training sentences: 1 if the sentence contains the word (a **bag of words**). So $D$ is the number of words, and
# each word has one parameter in $w$. The model is $\sigma(x \cdot w)$. The loss is cross-entropy plus a small penalty,
# $\tfrac{\lambda}{2}\lVert w \rVert^2$, where $\lVert w \rVert$ is the length of $w$ and $\lambda > 0$ is small (`penalty` in
# the code). It keeps the weights of rare words from growing without limit.

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
# Before any training every weight is zero, every probability is 0.5, and the loss must be $\log 2$. Always check this: a
# different number means that the loss is wrong.

# %%
start = np.zeros(X_train.shape[1])
print(f"untrained loss {review_loss(start):.4f}, log 2 = {np.log(2):.4f}")

# %% [markdown]
# The two agree. All four optimisers start from these zeros. Each needs a learning rate of its own, because they scale the
# gradient differently. For gradient descent we take 4, which is close to the largest that is stable here.

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
# RMSprop and Adam adapt the step to each weight and reach a low loss after a few dozen steps. With one learning rate for
# frequent and rare words momentum needs longer, and plain gradient descent is slowest. This loss has a single minimum, so the
# optimisers differ only in how soon they reach it.

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
# scikit-learn's solver finds the minimum itself, and our Adam comes close to it. What did the model learn? Each weight belongs
# to a word, so we can look.

# %%
words = counter.get_feature_names_out()
order = np.argsort(reference.coef_[0])
print("most negative:", ", ".join(words[order[:8]]))
print("most positive:", ", ".join(words[order[:-9:-1]]))

# %% [markdown]
# Most are words that a person would have chosen too. A few are not: with nearly as many words as sentences, some get a large
# weight by chance. The model also ignores word order: "not funny, just dull" and "not dull, just funny" are the same bag.
# Notebook 03 has a model that reads in order.

# %% [markdown]
# ## 9 Why batches?
#
# Until now each step used all examples. That gradient is exact, and slow. A **mini-batch** of $B$ random examples gives an
# estimate $\hat g \in \mathbb{R}^D$ that is much cheaper. The estimate is unbiased: on average over many batches it is right.
# But a single one is noisy. How noisy? We draw 200 batches of each size at the untrained $w$, measure how far each $\hat g$ is
# from the exact gradient, and divide by the length of the exact gradient.

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
# Four times the work only halves the noise, so a large batch is a poor bargain. But is a small one any use? How can anybody
# learn from a gradient whose noise is about thirty times as large as the gradient itself?
#
# **One step cannot do it; many steps can.** Every step has a small part that is the same each time, the exact gradient, and a
# large part that points somewhere else each time, the noise. After $N$ steps the equal parts have added up to $N$ times the
# gradient. The noisy parts mostly cancel: their sum is a random walk and grows only as $\sqrt{N}$. Sooner or later $N$
# overtakes $\sqrt{N}$, however large the factor in front of the root.
#
# Let us watch it happen. We take 4,000 tiny steps, each from one random example. This is
# **<abbr title="随机梯度下降">stochastic gradient descent</abbr>** (SGD). After each step we measure how far we have come in the
# right direction, and how far we have strayed sideways.

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
# So the noise averages out either way: inside a large batch, or over many small steps. But small steps have an advantage. Each
# one starts where the last one ended, and its gradient is fresh. We compare the two for equal work: in one pass over the
# examples you can take one exact step (learning rate 4, as in section 8), or well over a hundred steps with batches of 32
# (learning rate 1).

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
# That is why everybody trains with batches, and from notebook 03 on so do we.
#
# It works best far from the minimum. Near the minimum the exact gradient fades away. The noise does not, because the examples
# still pull in different directions:

# %% tags=["approx-0.05"]
for name, position in {"untrained": start, "after 20 steps of Adam": runs["Adam"].path[20], "at the end": best}.items():
    length = np.linalg.norm(review_gradient(position))
    print(f"{name:23} exact gradient {length:.4f}, noise of one example {mean_noise(position, 1):.2f}")

# %% [markdown]
# At the end of training nearly all of a step is noise. What does that look like? Back to the plant: SGD with one example a
# step, 1,000 steps, with a large and with a small learning rate.

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
# Far from the star, which marks the minimum, the examples agree, and both paths head for it. Near the star each example pulls
# towards its own best line. With a constant learning rate SGD never settles: it wanders around the minimum in a cloud, and the
# larger the learning rate, the larger the cloud. So start with a large learning rate, to get there fast, and decrease it
# towards the end. From notebook 03 on we do this with a *learning-rate schedule*.

# %% [markdown]
# ## 10 Classic bug: the gradient that was never reset
#
# PyTorch **adds** each new gradient to the old one until you call `optimizer.zero_grad()`. If you leave that line out, nothing
# crashes. Here is the damage, in the valley of section 5 with its good learning rate and everything else equal.


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
# The gradients of old positions keep pushing: the bug is momentum with $\mu = 1$, a ball without friction that rolls through
# the minimum for ever. In a wide, flat valley with a tiny learning rate it can even look like a gain for a while, because
# momentum helps there. That is how it stays unnoticed. If a loss oscillates evenly, look for this bug.

# %% [markdown]
# **Exercise 01.5 (debug): a loop that swings.** Here is gradient descent on $L(w) = \tfrac12 \lVert w \rVert^2$, whose
# gradient is $w$ itself, without an optimiser. With learning rate 0.5 every step should halve $w$: from 1 to 0.5, 0.25, 0.125.
# The first step does, and then it goes wrong. Fix it in the cell below.


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
# * Training minimises $L(w)$, the mean loss of the examples. For numbers the loss is the squared error, for classes
#   cross-entropy; random guessing between two classes gives $\log 2$.
# * The gradient comes from the chain rule. Check it once with finite differences, then let autograd do the work.
# * Gradient descent steps against the gradient. Above a certain learning rate it diverges.
# * Momentum adds up gradients, RMSprop rescales each parameter, Adam does both; each is a few lines.
# * A batch gives a noisy gradient, cheaply. Over $N$ steps the gradient adds up as $N$ and the noise as $\sqrt{N}$, so many
#   small noisy steps arrive.
#
# **To think about.** Why is the largest stable learning rate 2 divided by the steepness, and not 1 divided by it? In the valley
# of section 5 a single step with learning rate 0.1 takes $w_1$ to 0. Why does it not do the same for $w_0$?
#
# **Next:** [02 Text to tensors](02_text_to_tensors.ipynb).
