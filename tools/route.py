"""Draw the route through the course, docs/images/route.svg and its Chinese twin: parts, notebooks, and the short way."""

from __future__ import annotations

from html import escape

STARTS = {"00": 0, "04": 1, "07": 2, "12": 3}  # the notebook with which each part begins
SHORT = ("02", "06", "13")  # an engineer's afternoon, which README.md names too
ENGLISH = ("Foundations", "Pretrained models", "Tuning them", "Beyond")
CHINESE = ("基础", "预训练模型", "调优", "其他任务与你的数据")
WIDE, HIGH, STEP, ROW, TOP = 214, 30, 240, 42, 58  # a box; from one column and one row to the next; the first row
LOOK = {True: ("#d9e8f5", "#0072b2", 2.5), False: ("#f7f7f7", "#9a9a9a", 1)}  # fill, line, width; on the short way or not


def svg(titles: dict[str, str], parts: tuple[str, ...]) -> str:
    """Return the drawing.

    Args:
        titles: "06 Fine-tune BERT" by number, in the order of the course.
        parts: names of the four parts.
    """
    columns: list[list[str]] = [[], [], [], []]
    column = 0
    for number in titles:
        column = STARTS.get(number, column)
        columns[column].append(number)
    height = TOP + ROW * max(map(len, columns)) + 6
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {STEP * 4} {height}" font-family="sans-serif" '
        'font-size="13">',
        f'<rect width="{STEP * 4}" height="{height}" rx="8" fill="#ffffff"/>',
    ]
    for across, (part, numbers) in enumerate(zip(parts, columns, strict=True)):
        left = across * STEP + (STEP - WIDE) / 2
        middle = left + WIDE / 2
        lines.append(
            f'<text x="{middle}" y="34" text-anchor="middle" font-size="17" font-weight="bold">{escape(part)}</text>'
        )
        if across:
            lines.append(f'<path d="M{left - 24} 28h16m-6-5l6 5l-6 5" fill="none" stroke="#222222" stroke-width="2"/>')
        for down, number in enumerate(numbers):
            top = TOP + down * ROW
            fill, line, width = LOOK[number in SHORT]
            shape = f'x="{left}" y="{top}" width="{WIDE}" height="{HIGH}" rx="6"'
            lines.append(f'<rect {shape} fill="{fill}" stroke="{line}" stroke-width="{width}"/>')
            lines.append(f'<text x="{middle}" y="{top + 20}" text-anchor="middle">{escape(titles[number])}</text>')
    return "\n".join([*lines, "</svg>", ""])
