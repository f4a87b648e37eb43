"""Reading tables as the world writes them: `tables.read(path)` returns cells, rows set aside, and what was assumed."""

from .faults import Fault, listed, reasons, shown
from .reading import Cells, read
from .values import as_text

__all__ = ["Cells", "Fault", "as_text", "listed", "read", "reasons", "shown"]
