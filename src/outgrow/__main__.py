"""`python -m outgrow` is the same program as `outgrow`."""

import sys

from outgrow.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
