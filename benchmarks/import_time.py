"""What the package costs to import, against `import torch`: best of five fresh processes each.

Run: make bench
"""

import json
import subprocess
import sys
import time

STATEMENTS = {
    "import torch": "import torch",
    "import imbalance_torch": "import imbalance_torch",
    "torch and the core names": (
        "import torch; from imbalance_torch import FocalLoss, SMOTE, ClassBalancedSampler, knn, class_weights"
    ),
}


def best_of(statement: str, runs: int = 5) -> float:
    """Return the shortest wall time of a fresh interpreter that runs the statement, in seconds."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print the seconds of each statement and its ratio to `import torch`, as one JSON object."""
    seconds = {name: best_of(statement) for name, statement in STATEMENTS.items()}
    torch_seconds = seconds["import torch"]
    result = {
        name: {"seconds": round(value, 3), "ratio": round(value / torch_seconds, 3)} for name, value in seconds.items()
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
