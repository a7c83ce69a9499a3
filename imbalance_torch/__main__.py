"""``python -m imbalance_torch``."""

import sys

from imbalance_torch.cli import main

if __name__ == "__main__":
    sys.exit(main())
