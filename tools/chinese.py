"""Keep the Chinese pages in step with the English ones: README.zh.md, its drawing and notebooks/zh/00_start_here.ipynb.

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

from tools import notebooks, results, route, tables, times
from tools.tables import row

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.zh.md"
DRAWING = ROOT / "docs" / "images" / "route.zh.svg"
SCRIPT = ROOT / "notebooks" / "zh" / "00_start_here.py"
NOTEBOOK = SCRIPT.with_suffix(".ipynb")
ENGLISH = ROOT / "notebooks" / "00_start_here.ipynb"
HERE = ("[00 从这里开始](notebooks/zh/00_start_here.ipynb)", "什么是微调，这台机器准备好了吗？")
HEADLINE = (
    "用 {train} 句影评微调之后，本课程的小型 BERT 在测试集上的准确率为 **{tuned:.1%}**。"
    "词频加逻辑回归的准确率为 {counts:.1%}；"
    "同一个 BERT 保持冻结、只在它的输出上训练一个线性分类器，准确率为 {frozen:.1%}。微调比词频高 {gain:.1f} 个百分点"
    "（{seeds} 个随机种子均值的 95 % 置信区间：{low:.1f} 到 {high:.1f}）。测量环境：{hardware}，无 GPU，{date}。"
)
COSTS = (
    "以上是 `{profile}` 档位的时间，测量环境：{hardware}，无 GPU。自 {date} 以来没有改动的笔记本以 float32 测量；"
    "其余的在支持 bfloat16 乘法的处理器上测量（{fast_date}；用 `course doctor` 可以查看你的处理器是否支持），"
    "不支持时需要更久。在支持的处理器上，全部笔记本共需 {fewer:.0f} 分钟。阅读和动手练习所花的时间更长。"
)


def sentence(template: str, numbers: dict[str, object]) -> str:
    """Return a sentence with its numbers, the hardware and the dates ("..., notebook 05 on ...") in Chinese."""
    chinese = {
        "hardware": str(numbers["hardware"]).replace(" cores, ", " 核，"),
        "date": re.sub(r", notebook (\w+) on ", r"，笔记本 \1 为 ", str(numbers["date"])),
    }
    return template.format(**numbers | chinese)


def questions() -> dict[str, tuple[str, str]]:
    """Return the link to each notebook and its question, by name, from the map of the Chinese notebook 00."""
    found = {results.START.stem: HERE}
    for link, question in tables.table_after(SCRIPT, "课程地图")[1:]:
        found[Path(re.split(r"[()]", link)[1]).stem] = (link.replace("](../", "](notebooks/"), question)
    return found


def course_map() -> str:
    """Return the table of notebooks: the questions of the Chinese notebook 00, minutes and Colab of the English map.

    Raises:
        ValueError: a notebook has no Chinese question.
    """
    asked = questions()
    lines = [row("笔记本", "它回答的问题", "分钟", "打开"), row("---", "---", "--:", "---")]
    for name, cost in times.slowest_walk().notebooks.items():
        if name not in asked:
            raise ValueError(f"{SCRIPT.name} has no question for {name} in its map.")
        colab = notebooks.colab(f"zh/{name}" if (NOTEBOOK.parent / f"{name}.ipynb").exists() else name)
        lines.append(row(*asked[name], times.whole_minutes(cost), f"[Colab]({colab})"))
    return "\n".join([*lines, "", sentence(COSTS, results.costs())])


def drawing() -> str:
    """Return the drawing of the route with Chinese titles."""
    asked = questions()
    titles = {tables.number_of(name): asked[name][0][1:].partition("]")[0] for name in times.slowest_walk().notebooks}
    return route.svg(titles, route.CHINESE)


def generated(text: str) -> str:
    """Return README.zh.md with every generated part made anew."""
    text = tables.fill(text, "map", course_map())
    return tables.fill(text, "headline", sentence(HEADLINE, results.headline_numbers()))


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
    fresh[DRAWING] = drawing()
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
