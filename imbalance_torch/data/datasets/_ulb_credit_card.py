"""The credit card transactions of Worldline and the Université Libre de Bruxelles, from a file that you have."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

import numpy as np

from imbalance_torch.data._tables import read_table
from imbalance_torch.data.datasets._dataset import Dataset

_SOURCE = "Kaggle data set mlg-ulb/creditcardfraud, file creditcard.csv"
_SHA256 = "76274b691b16a6c49d3f159c883398e03ccd6d1ee12d9d8ee38f4b4b98551a89"
_FEATURES = [*(f"V{i}" for i in range(1, 29)), "Amount"]
_FACTS = {"rows": 284_807, "frauds": 492, "sum of Time": 27_003_650_904, "sum of Amount": 25_162_590}


def load_ulb_credit_card(path: str | Path) -> Dataset:
    """Load the ULB credit card transactions: which of them is a fraud?

    284,807 transactions of two days in September 2013 in time order, 492 of them frauds (0.173 %), 28 principal
    components, the amount and the second. The data are not part of the package; the card names source and licence.

    Args:
        path: the original ``creditcard.csv``, recognised by its sha256 (150 MB, read once for the digest and once for
            the rows), or a Parquet file of the same rows in the same order, whoever wrote it, recognised by its
            columns (target ``Class`` or ``y``), its number of rows and frauds, and the sums of ``Time`` and
            ``Amount``. Further columns of a Parquet file are left out.

    Returns:
        A :class:`Dataset`; ``frame`` holds ``Time`` (int64 seconds, orders the rows, not a feature), ``V1`` to ``V28``
        and ``Amount`` (float32), and the target ``Class`` (int64). The CSV and its Parquet copies give equal frames.

    Raises:
        FileNotFoundError: there is no such file; the message says where to get it.
        ValueError: the file holds other data, or is neither CSV nor Parquet.
        ImportError: pandas or pyarrow is not installed (``pip install 'imbalance-torch[train]'``).

    References:
        Dal Pozzolo, Caelen, Johnson and Bontempi, "Calibrating probability with undersampling for unbalanced
        classification", IEEE SSCI 2015.

    Example:
        >>> load_ulb_credit_card("no/such/creditcard.csv")
        Traceback (most recent call last):
        FileNotFoundError: no/such/creditcard.csv does not exist. Get it from: Kaggle data set mlg-ulb/creditcardfraud,
        file creditcard.csv.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist. Get it from: {_SOURCE}.")
    if file.suffix.lower() == ".csv":
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != _SHA256:
            raise ValueError(f"{file} has sha256 {digest}, the original has {_SHA256}. Get it from: {_SOURCE}.")
    frame = read_table(file)
    if "Class" not in frame:
        frame = frame.rename(columns={"y": "Class"})
    if missing := [name for name in ("Time", *_FEATURES, "Class") if name not in frame]:
        raise ValueError(f"{file} lacks the columns {', '.join(missing)}. Get the original from: {_SOURCE}.")
    try:
        frame = frame[["Time", *_FEATURES, "Class"]].astype(
            {"Time": np.int64, "Class": np.int64} | dict.fromkeys(_FEATURES, np.float32)
        )
        amount = round(float(frame["Amount"].to_numpy(np.float64).sum()))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file} has values that are no numbers: {error}. Get it from: {_SOURCE}.") from error
    found = dict(zip(_FACTS, (len(frame), int(frame["Class"].sum()), int(frame["Time"].sum()), amount), strict=True))
    if found != _FACTS or not frame["Time"].is_monotonic_increasing:
        raise ValueError(
            f"{file} does not hold the original rows in time order: found {found}, expected {_FACTS}. "
            f"Get them from: {_SOURCE}."
        )
    card = (files(__package__) / "ulb_credit_card.md").read_text(encoding="utf-8")
    return Dataset(frame, target="Class", time="Time", card=card)
