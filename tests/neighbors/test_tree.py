"""The k-d tree and the threads of tiles: the same result as one tile, whichever is taken."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs

from imbalance_torch import _threads
from imbalance_torch.neighbors import _geometry, _search, _tree, knn


def blobs(rows, columns, seed=0):
    return torch.from_numpy(make_blobs(rows, columns, centers=8, random_state=seed)[0])


def integer_grid(x):
    return x.round()


def duplicates(x):
    return x[: len(x) // 4].repeat(4, 1)


def far_away(x):
    return x + 1e6


def tiny(x):
    return x * 1e-30


def huge(x):
    return x * 1e30


@pytest.fixture
def chosen(monkeypatch):
    """Force or forbid the tree, on call, and count how often it gave candidates."""
    calls = []
    candidates = _tree.Tree.candidates
    monkeypatch.setattr(_tree.Tree, "candidates", lambda *args: calls.append(1) or candidates(*args))

    def force(tree):
        def choice(query, reference, geometry, budget, by_tiles):
            return _tree.Tree(reference, geometry) if tree else None

        monkeypatch.setattr(_search, "choose_tree", choice)
        return calls

    return force


@pytest.mark.parametrize("columns", [1, 2, 3, 6, 9])
@pytest.mark.parametrize("change", [integer_grid, duplicates, far_away, tiny, huge, lambda x: x])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_tree_gives_what_tiles_give(columns, change, dtype, chosen):
    x = change(blobs(400, columns)).to(dtype)
    for kwargs in ({"exclude_self": True}, {}, {"exclude_self": True, "standardize": True}):
        calls = chosen(True)
        by_tree = knn(x, x, 5, **kwargs)
        assert calls
        chosen(False)
        by_tiles = knn(x, x, 5, **kwargs)
        assert torch.equal(by_tree.indices, by_tiles.indices)
        assert torch.equal(by_tree.distances, by_tiles.distances)


def test_few_columns_take_the_tree_and_many_do_not(monkeypatch):
    built = []
    monkeypatch.setattr(_tree, "Tree", lambda *args: built.append(args[0].shape[1]))
    for rows, columns in ((300, 1), (300, 10), (300, 11), (1001, 6), (1001, 7), (63, 2), (300, 16)):
        _tree.choose_tree(blobs(rows, columns), blobs(rows, columns), None, None, None)
    assert built == [1, 10, 6]
    _tree.choose_tree(blobs(300, 3), blobs(300, 3), None, 10_000, None)  # the budget does not hold a tree
    assert built == [1, 10, 6]


@pytest.mark.parametrize("tree_is_faster", [True, False])
def test_a_probe_decides_in_between(monkeypatch, tree_is_faster):
    seconds = iter(
        [9.0, 1.0, 9.0, 9.0, 2.0, 9.0] if tree_is_faster else [9.0, 9.0, 2.0, 1.0, 9.0, 9.0]
    )  # best of three
    monkeypatch.setattr(_tree, "_seconds", lambda search: (search(), next(seconds))[1])
    x = blobs(2048, 8)
    used = []
    monkeypatch.setattr(_search.Search, "_by_tree", lambda self, tree, part, *rest: used.append(len(part)) or part[:0])
    knn(x, x, 5, exclude_self=True)
    assert sum(used) == (2048 if tree_is_faster else 0)


def test_it_works_without_scipy():
    code = (
        "import sys; sys.modules['scipy'] = None; import torch; from imbalance_torch.neighbors import knn;"
        "x = torch.arange(200.0).unsqueeze(1); print(knn(x, x, 1).indices.flatten().equal(torch.arange(200)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "True"


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_neither_change_the_result_nor_stay_changed(threads):
    x = blobs(3000, 20).float()
    before = torch.get_num_threads()
    expected = knn(x, x, 5, exclude_self=True)
    torch.set_num_threads(threads)
    try:
        result = knn(x, x, 5, exclude_self=True)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(result.indices, expected.indices)
    assert torch.equal(result.distances, expected.distances)


def test_inference_mode_and_autocast_hold_in_threads():
    x = blobs(3000, 20).float()
    expected = knn(x, x, 5)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        result = knn(x, x, 5)
    assert torch.equal(result.indices, expected.indices)
    assert torch.equal(result.distances, expected.distances)


def test_an_error_in_a_thread_reaches_the_caller():
    def fail(part):
        raise ValueError(f"part {part}")

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ValueError, match="part"):
            _threads.in_threads(fail, [1, 2, 3])
        assert torch.get_num_threads() == 2
        assert _threads.in_threads(lambda part: (part, torch.get_num_threads()), [1, 2, 3]) == [(1, 1), (2, 1), (3, 1)]
    finally:
        torch.set_num_threads(before)


def test_float64_is_told_apart_where_float32_cannot():
    """Differences of 1e-12 beside a spread of 1: the float32 pass proves nothing, the float64 one does."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(np.concatenate((rng.uniform(0, 1e-12, (300, 20)), rng.uniform(0, 1, (20, 20)))))
    squared = (x.unsqueeze(1) - x).square().sum(-1).fill_diagonal_(torch.inf)
    assert torch.equal(knn(x, x, 4, exclude_self=True).indices, squared.sort(dim=1, stable=True).indices[:, :4])


@pytest.mark.parametrize("columns", [2, 20])
@pytest.mark.parametrize("exclude_self", [True, False])
def test_many_equal_rows_are_searched_once(columns, exclude_self, monkeypatch):
    """Half of the rows are equal, others come in threes, on a grid with many equal distances."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 4, (200, columns), generator=generator).double().repeat(3, 1)
    x = torch.cat((x, torch.zeros(600, columns, dtype=torch.float64)))[torch.randperm(1200, generator=generator)]
    asked = []
    unique = torch.unique
    monkeypatch.setattr(torch, "unique", lambda *args, **kwargs: asked.append(kwargs) or unique(*args, **kwargs))
    result = knn(x, x, 7, exclude_self=exclude_self)
    squared = (x.unsqueeze(1) - x).square().sum(-1)
    if exclude_self:
        squared.fill_diagonal_(torch.inf)
    assert torch.equal(result.indices, squared.sort(dim=1, stable=True).indices[:, :7])
    assert sum(bool(of_rows) for of_rows in asked) == 2  # those of the reference and those that ask, once
    apart = knn(x[:50] + 0.25, x, 7)
    squared = (x[:50].unsqueeze(1) + 0.25 - x).square().sum(-1)
    assert torch.equal(apart.indices, squared.sort(dim=1, stable=True).indices[:, :7])


def test_searches_side_by_side_restore_the_precision():
    torch.set_float32_matmul_precision("medium")
    matmul = torch.backends.mkldnn.matmul
    try:
        before = matmul.fp32_precision
        with _geometry.full_precision(torch.device("cpu")):
            with _geometry.full_precision(torch.device("cpu")):
                pass
            assert matmul.fp32_precision == "ieee"
        assert matmul.fp32_precision == before
    finally:
        torch.set_float32_matmul_precision("highest")


def test_a_thread_that_outlives_the_main_one_can_search():
    code = (
        "import threading, time, torch; torch.set_num_threads(2); from imbalance_torch.neighbors import knn;"
        "x = torch.randn(13_000, 16); ask = lambda: (time.sleep(1), knn(x, x, 3), print('done'));"
        "threading.Thread(target=ask).start()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert run.stdout.strip() == "done", run.stderr
