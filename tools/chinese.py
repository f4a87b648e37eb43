"""Keep the Chinese pages in step with the English ones: README.zh.md and notebooks/zh/00_start_here.ipynb.

    python -m tools.chinese           write the parts of README.zh.md, and the notebook from its script
    python -m tools.chinese --check   say what is out of date, and exit with 1 if anything is

Prose is translated by hand, in README.zh.md and in the Markdown cells of notebooks/zh/00_start_here.py. The numbers of
README.zh.md are those of tools/results.py; code cells and outputs of the notebook are those of notebook 00.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import jupytext
import nbformat

from tools import results, tables, times
from tools.tables import row

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.zh.md"
SCRIPT = ROOT / "notebooks" / "zh" / "00_start_here.py"
NOTEBOOK = SCRIPT.with_suffix(".ipynb")
ENGLISH = ROOT / "notebooks" / "00_start_here.ipynb"
HERE = ("[00 从这里开始](notebooks/zh/00_start_here.ipynb)", "什么是微调，这台机器准备好了吗？")
HEADLINE = (
    "用 {train} 句影评微调之后，本课程的小型 BERT 在测试集上答对 **{tuned:.1%}** 的句子。词频加逻辑回归答对 {counts:.1%}，"
    "同一个 BERT 冻结不动时答对 {frozen:.1%}。比词频提高 {gain:.1f} 个百分点（{seeds} 个随机种子均值的 95 % 区间："
    "{low:.1f} 到 {high:.1f}）。测量于 {hardware}、没有 GPU，{date}。"
)
COSTS = (
    "在 `{profile}` 档位下测得：{hardware}、没有 GPU，{date}；全部运行需要 {minutes:.1f} 分钟，处理器能做 bfloat16 乘法时为 "
    "{fewer:.1f} 分钟（{fast_date}；`course doctor` 会说你的处理器属于哪一种）。阅读和动手花的时间更长。"
)


def sentence(template: str, numbers: dict[str, object]) -> str:
    """Return a sentence with its numbers, the hardware in Chinese."""
    return template.format(**numbers | {"hardware": str(numbers["hardware"]).replace(" cores, ", " 核、")})


def course_map() -> str:
    """Return the table of notebooks: the questions of the Chinese notebook 00, the minutes of the English map.

    Raises:
        ValueError: a notebook has no Chinese question.
    """
    questions = {results.START.stem: HERE}
    for link, question in tables.table_after(SCRIPT, "地图")[1:]:
        questions[Path(re.split(r"[()]", link)[1]).stem] = (link.replace("](../", "](notebooks/"), question)
    lines = [row("笔记本", "它回答的问题", "分钟"), row("---", "---", "--:")]
    for name, cost in times.slowest_walk().notebooks.items():
        if name not in questions:
            raise ValueError(f"{SCRIPT.name} has no question for {name} in its map.")
        lines.append(row(*questions[name], f"{cost['seconds'] / 60:.1f}"))
    return "\n".join([*lines, "", sentence(COSTS, results.costs())])


def generated(text: str) -> str:
    """Return README.zh.md with every generated part made anew."""
    head, *letters = tables.table_after(SCRIPT, "处处使用的字母")
    text = tables.fill(text, "map", course_map())
    text = tables.fill(text, "headline", sentence(HEADLINE, results.headline_numbers()))
    return tables.fill(text, "symbols", "\n".join([row(*head), row(*["---"] * 3), *(row(*cells) for cells in letters)]))


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
