"""One thing that the leak audit found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What :func:`audit` found.

    Attributes:
        kind: "shared_group", "repeated_rows", "resampled", "single_predictor", "missing_by_class", "identifier" or
            "unused_time".
        column: the column it is about; None for whole rows.
        message: what was found, and what to do about it.
        severity: "error" where figures on the test rows are almost surely too good, "warning" where they may be.

    Example:
        >>> print(Finding("identifier", "card", "Column 'card' has another value in every row.", "warning"))
        warning (identifier): Column 'card' has another value in every row.
    """

    kind: str
    column: str | None
    message: str
    severity: str

    def __str__(self) -> str:
        return f"{self.severity} ({self.kind}): {self.message}"
