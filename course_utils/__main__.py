"""`python -m course_utils` is the `course` command, where that is not on the path, and in each process of `torchrun`."""

import os
import sys

from .cli import main

if __name__ == "__main__":
    if "LOCAL_RANK" in os.environ:
        from .processes import together

        sys.exit(together(main)())
    sys.exit(main())
