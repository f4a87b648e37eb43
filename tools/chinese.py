"""Keep the Chinese pages in step with the English ones: README.zh.md and notebooks/zh/00_start_here.ipynb.

    python -m tools.chinese           write the tables of README.zh.md, and the notebook from its script
    python -m tools.chinese --check   say what is out of date, and exit with 1 if anything is

Prose is translated by hand, in README.zh.md and in the Markdown cells of notebooks/zh/00_start_here.py. Tables of
README.zh.md are those of tools/readme.py with Chinese heads and sentences; code cells and outputs are those of notebook 00.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import jupytext
import nbformat

from tools import readme

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.zh.md"
SCRIPT = ROOT / "notebooks" / "zh" / "00_start_here.py"
NOTEBOOK = SCRIPT.with_suffix(".ipynb")
ENGLISH = ROOT / "notebooks" / "00_start_here.ipynb"
# part -> (pattern in the English part, what stands there in Chinese); each must be found
WORDS = {
    "map": [
        (r"\| notebook \|.*", "| 笔记本 | 它回答的问题 | 运行分钟数 | 最慢的单元 | 内存 |"),
        (
            r"Measured in the `(\w+)` profile on (\d+) cores, (\w+), no GPU, ([\d-]+); "
            r"all of it runs in ([\d.]+) minutes, and in ([\d.]+) where the processor multiplies bfloat16 \(([\d-]+);.*",
            r"在 `\1` 档位下测得：\2 核、\3、没有 GPU，\4；全部运行需要 \5 分钟，处理器能做 bfloat16 乘法时为 \6 分钟"
            r"（\7；`course doctor` 会说你的处理器属于哪一种）。阅读和动手花的时间更长。"
            "内存指笔记本自己占用的部分，不含库文件。",
        ),
    ],
    "symbols": [],
    "results": [
        (r"\| notebook \|.*", "| 笔记本 | 论断 | 均值 | 区间 | 随机种子 | 档位 |"),
        (
            r"Measured on (\d+) cores, (\w+), no GPU, ([\d-]+), by `(.*)`\.",
            r"测量于 \1 核、\2、没有 GPU，\3，由 `\4` 完成。",
        ),
    ],
    "listing": [
        (r"\|  \| seconds an epoch.*", "|  | 每轮秒数 | 测试准确率 | torch |"),
        (r"\| the listing, repaired \|", "| 修好的那份代码 |"),
        (r"\| the LSTM of notebook 03 \|", "| 笔记本 03 的 LSTM |"),
        (
            r"An epoch of all training reviews is (\d+) times faster \(at least (\d+) in (\d+) rounds\)\. "
            r"After (\d+) epochs of the same ([\d,]+) reviews the LSTM is ([\d.-]+) points more accurate "
            r"\(([\d.-]+) to ([\d.-]+)\)\. Measured on (.*), by `(.*)`\.",
            r"在全部训练影评上，一轮快 \1 倍（\3 次测量中至少 \2 倍）。在同样的 \5 条影评上训练 \4 轮之后，"
            r"LSTM 的准确率高 \6 个百分点（\7 到 \8）。测量于 \9，由 `\g<10>` 完成。",
        ),
    ],
    "vectors": [
        (
            r"Trained on ([\d,]+) reviews for (\d+) epochs, the LSTM reaches ([\d.]+) where its embedding starts from word "
            r"vectors that `(.*)` makes from all training reviews, and ([\d.]+) where it starts from random numbers\. "
            r"The gain over (\d+) seeds is ([\d.-]+) points \(([\d.-]+) to ([\d.-]+)\)\. Measured on (\d+) cores, (\w+), "
            r"no GPU, ([\d-]+), by `(.*)`\.",
            r"在 \1 条影评上训练 \2 轮：嵌入层从 `\4` 用全部训练影评做出的词向量出发，LSTM 的准确率达到 \3；"
            r"从随机数出发则为 \5。\6 个随机种子平均提高 \7 个百分点（\8 到 \9）。"
            r"测量于 \g<10> 核、\g<11>、没有 GPU，\g<12>，由 `\g<13>` 完成。",
        ),
    ],
    "lstm": [
        (
            r"Trained on ([\d,]+) reviews for (\d+) epochs, an LSTM of two directions that reads (\d+) words, (\d+)% of "
            r"them as unknown while it trains, reaches ([\d.]+) \(([\d.]+) to ([\d.]+)\) on the test part; its "
            r"(\d+) seeds lie between ([\d.]+) and ([\d.]+)\. That is ([\d.+-]+) points \(([\d.+-]+) to ([\d.+-]+)\) from "
            r"TF-IDF with logistic regression on whole reviews\. A run takes ([\d.]+) to ([\d.]+) minutes with (\d+) "
            r"thread\. Measured on (\d+) cores, (\w+), no GPU, ([\d-]+), by `(.*)`\.",
            r"双向 LSTM 在 \1 条影评上训练 \2 轮，每条读 \3 个词，训练时其中 \4% 当作未知词来读：测试部分的准确率达到 \5"
            r"（\6 到 \7），\8 个随机种子落在 \9 到 \g<10> 之间。与完整影评上的 TF-IDF 加逻辑回归相差 \g<11> 个百分点"
            r"（\g<12> 到 \g<13>）。用 \g<16> 个线程，一次训练需要 \g<14> 到 \g<15> 分钟。"
            r"测量于 \g<17> 核、\g<18>、没有 GPU，\g<19>，由 `\g<20>` 完成。",
        ),
    ],
}


def table(heading: str) -> list[str]:
    """Return the lines of the first table under a heading of the Chinese notebook 00, links leading from the README."""
    text = readme.markdown(SCRIPT).split(heading, 1)[1]
    found = re.search(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    assert found, f"{SCRIPT.name} has no table under {heading}"
    return found[0].replace("](../", "](notebooks/").splitlines()


def part(name: str) -> str:
    """Return a generated part in Chinese.

    Raises:
        ValueError: the English part does not say what was translated, or has a notebook without a Chinese question.
    """
    if name == "symbols":
        return "\n".join(table("处处使用的字母"))
    text = readme.PARTS[name]()
    for pattern, chinese in WORDS[name]:
        text, count = re.subn(pattern, chinese, text)
        if not count:
            raise ValueError(
                f"The part {name!r} of README.md no longer says {pattern!r}: translate it anew in tools/chinese.py."
            )
    if name == "map":
        rows = {re.search(r"(\w+)\.ipynb", line)[1]: line.split("|")[1:3] for line in table("地图")[2:]}  # type: ignore[index]
        rows["00_start_here"] = [" [00 从这里开始](notebooks/zh/00_start_here.ipynb) ", " 什么是微调，这台机器准备好了吗？ "]
        lines = text.splitlines()
        for number, line in enumerate(lines):
            if found := re.search(r"notebooks/(\w+)\.ipynb", line):
                if found[1] not in rows:
                    raise ValueError(f"{SCRIPT.name} has no question for {found[1]} in its map.")
                lines[number] = "|".join(["", *rows[found[1]], *line.split("|")[3:]])
        text = "\n".join(lines)
    return text


def generated(text: str) -> str:
    """Return README.zh.md with every generated part made anew."""
    for name in WORDS:
        begins, ends = f"<!-- generated: {name} -->\n", f"<!-- end: {name} -->"
        before, rest = text.split(begins)
        text = f"{before}{begins}{part(name)}\n{ends}{rest.split(ends)[1]}"
    return text


def notebook() -> nbformat.NotebookNode:
    """Return the Chinese notebook: prose of its script; code, outputs and the rest of the English notebook.

    Raises:
        ValueError: the two do not have as many cells of prose; the message says where to look.
    """
    prose, made = jupytext.read(SCRIPT, fmt="py:percent").cells, nbformat.read(ENGLISH, as_version=4)
    english = [cell for cell in made.cells if cell.cell_type == "markdown"]
    if len(prose) != len(english):
        pairs = zip([*prose, None], english, strict=False)
        last = next((there.source[:60] for here, there in pairs if here is None or shape(here) != shape(there)), "")
        raise ValueError(
            f"{SCRIPT.name} has {len(prose)} cells of prose and notebook 00 {len(english)}; look near {last!r}."
        )
    for chinese, there in zip(prose, english, strict=True):
        there.source, there.id = chinese.source, f"zh-{there.id}"
    return made


def shape(cell) -> list[str]:
    """Return what a translation keeps of a cell: its headings' levels and numbers, and how many rows its tables have."""
    found = re.findall(r"^(#+ \d*|\|)", cell.source, re.MULTILINE)
    return [mark.strip() for mark in found]


def main(arguments: list[str]) -> int:
    made = notebook()
    fresh = {README: generated(README.read_text(encoding="utf-8")), NOTEBOOK: nbformat.writes(made) + "\n"}
    if "--check" in arguments:
        old = [path.name for path, text in fresh.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
        if old:
            print(f"Out of date: {', '.join(old)}. Type: python -m tools.chinese", file=sys.stderr)
        return int(bool(old))
    for path, text in fresh.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
