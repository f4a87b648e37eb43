"""Which cells were run in this kernel, and how each ended: a check does not judge what an unfinished cell left behind."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field


@dataclass
class Cells:
    """The cells that were run, the newest last: the source of each, and the error that ended it, empty if none has."""

    ended: list[list[str]] = field(default_factory=list)

    def began(self, info) -> None:
        """Note a cell that begins; IPython calls this with its `ExecutionInfo`."""
        self.ended = [*self.ended[-500:], [info.raw_cell or "", ""]]

    def finished(self, result) -> None:
        """Note how the newest cell ended; IPython calls this with its `ExecutionResult`."""
        error = result.error_before_exec or result.error_in_exec
        if self.ended:
            self.ended[-1][1] = type(error).__name__ if error is not None else ""

    def failure(self, name: str) -> str:
        """Return the error that ended the newest cell that defines `name`, empty if there is none."""
        defines = re.compile(rf"^\s*(?:(?:async\s+)?def\s+{name}\s*\(|{name}\s*(?::[^=\n]+)?=(?!=))", re.MULTILINE)
        return next((error for source, error in reversed(self.ended) if defines.search(source)), "")

    def listen(self) -> Cells:
        """Return these cells, which from now on follow what IPython runs, if this is a notebook."""
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        if shell:
            shell.events.register("pre_run_cell", self.began)
            shell.events.register("post_run_cell", self.finished)
        return self
