"""Exact neighbours: against brute force in float64, on data that breaks the expanded form."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from imbalance_torch.neighbors import Neighbors, _mutual, _search, knn
from imbalance_torch.neighbors._geometry import full_precision

pytestmark = pytest.mark.filterwarnings("ignore:Column . of `reference` is .* times as wide")


def brute(query, reference, k, *, exclude_self=False):
    """The definition: all differences in float64, sorted by (distance, index)."""
    squared = (query.double().unsqueeze(1) - reference.double()).square().sum(-1)
    if exclude_self:
        squared.fill_diagonal_(torch.inf)
    squared, indices = squared.sort(dim=1, stable=True)
    return squared[:, :k].sqrt(), indices[:, :k]


def assert_exact(query, reference, k, **kwargs):
    result = knn(query, reference, k, **kwargs)
    distances, indices = brute(query, reference, k, exclude_self=kwargs.get("exclude_self", False))
    assert torch.equal(result.indices, indices)
    assert torch.equal(result.distances, distances.to(result.distances.dtype))
    return result


def normal(*shape, dtype=torch.float32, device="cpu", seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(device, dtype)


def offset(x):
    return x + 1e4


def one_wide_column(x):
    return x * torch.tensor([1e7] + [1.0] * (x.shape[1] - 1), device=x.device, dtype=x.dtype)


def tight_cluster_far_away(x):
    return torch.cat((x[:-2] * 1e-3 + 5, x[-2:] * 1e6))


def duplicates(x):
    return x[: len(x) // 8].repeat(8, 1)


def integer_grid(x):
    return (x * 1.2).round()


def constant_columns(x):
    x = x.clone()
    x[:, ::2] = 0.1
    return x


def all_equal(x):
    return torch.full_like(x, 0.3)


def huge(x):
    return x * 1e18


def tiny(x):
    return x * 1e-30


TRAPS = [
    offset, one_wide_column, tight_cluster_far_away, duplicates, integer_grid, constant_columns, all_equal, huge, tiny,
]  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("trap", TRAPS)
def test_traps_are_exact(trap, dtype, device):
    x = trap(normal(400, 7, dtype=dtype, device=device))
    assert_exact(x, x, 5, exclude_self=True)


@pytest.mark.parametrize("trap", [offset, duplicates, tight_cluster_far_away])
def test_the_expanded_form_alone_would_fail_here(trap):
    """The traps bite: without centring, ranks and certificate the same data gives wrong neighbours."""
    x = trap(normal(400, 7))
    naive = torch.cdist(x, x, compute_mode="use_mm_for_euclid_dist").fill_diagonal_(torch.inf)
    naive = naive.topk(5, largest=False).indices
    assert not torch.equal(naive, brute(x, x, 5, exclude_self=True)[1])


@pytest.mark.parametrize("shape", [(1, 3), (2, 1), (400, 1), (3000, 2), (700, 40), (30, 300)])
def test_shapes_with_separate_queries(shape, device):
    reference = normal(*shape, device=device)
    query = normal(17, shape[1], device=device, seed=1)
    assert_exact(query, reference, min(3, shape[0]))


def test_all_others_are_neighbours(device):
    x = normal(50, 4, device=device)
    result = assert_exact(x, x, 49, exclude_self=True)
    everyone = torch.arange(50, device=device)
    assert all(torch.equal(row.sort().values, everyone[everyone != i]) for i, row in enumerate(result.indices))


def test_a_row_may_be_its_own_neighbour_unless_excluded():
    x = normal(20, 3)
    assert torch.equal(knn(x, x, 1).indices.flatten(), torch.arange(20))
    assert not (knn(x, x, 3, exclude_self=True).indices == torch.arange(20)[:, None]).any()


def test_self_is_left_out_by_index_among_duplicates():
    x = torch.zeros(4, 2)
    expected = torch.tensor([[1, 2], [0, 2], [0, 1], [0, 1]])
    assert torch.equal(knn(x, x, 2, exclude_self=True).indices, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_are_searched_in_full(dtype, device):
    x = normal(300, 6, dtype=dtype, device=device)
    result = assert_exact(x, x, 5, exclude_self=True)
    assert result.distances.dtype == torch.float32


def test_contract_of_the_result(device):
    x = normal(64, 5, dtype=torch.float64, device=device)
    result = knn(x, x, 4)
    assert isinstance(result, Neighbors)
    assert result.distances.dtype == torch.float64
    assert result.indices.dtype == torch.int64
    assert result.distances.device == result.indices.device == x.device
    assert (result.distances.diff(dim=1) >= 0).all()


@pytest.mark.parametrize("trap", [lambda x: x, offset, duplicates, one_wide_column])
@pytest.mark.parametrize("memory_budget", [1, 100_000, 10**6, 10**8])
def test_tile_size_never_shows(memory_budget, trap, device):
    x = trap(normal(600, 5, device=device))
    expected = knn(x, x, 6, exclude_self=True)
    result = knn(x, x, 6, exclude_self=True, memory_budget=memory_budget)
    assert torch.equal(result.indices, expected.indices)
    assert torch.equal(result.distances, expected.distances)


def test_wide_reference_goes_through_both_selection_stages_and_merges(device):
    reference = normal(70_001, 3, device=device)  # three tiles, the last shorter
    query = reference[::7000] + 0.01
    assert_exact(query, reference, 5)


@pytest.fixture
def mutual(monkeypatch):
    """Search rows among themselves the way that many rows are: several tiles and panels, the last of them short."""
    used = []
    build = _mutual.MutualCandidates.__init__
    monkeypatch.setattr(_search, "_MUTUAL_ROWS", 128)
    monkeypatch.setattr(_search.Search, "_repeats", lambda self: False)
    monkeypatch.setattr(_mutual, "_TILE", 256)
    monkeypatch.setattr(_mutual, "_PANEL", 2)
    monkeypatch.setattr(_mutual, "_PART", 48)
    monkeypatch.setattr(_mutual.MutualCandidates, "__init__", lambda self, *args: used.append(1) or build(self, *args))
    yield
    assert used


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("trap", [*TRAPS, lambda x: x])
def test_rows_among_themselves_are_exact(trap, dtype, mutual):
    x = trap(normal(1237, 20, dtype=dtype))
    assert_exact(x, x, 5, exclude_self=True)


@pytest.mark.parametrize(("rows", "columns", "k"), [(512, 17, 1), (769, 40, 9), (640, 200, 5), (1281, 16, 16)])
def test_shapes_of_rows_among_themselves(rows, columns, k, mutual):
    x = normal(rows, columns)
    assert_exact(x, x, k, exclude_self=True)
    assert_exact(x[::2].repeat_interleave(2, 0).T.contiguous().T, x[::2].repeat_interleave(2, 0), k, exclude_self=True)


def test_a_stated_budget_holds_for_rows_among_themselves(monkeypatch):
    monkeypatch.setattr(_search, "MutualCandidates", None)  # a use would fail
    monkeypatch.setattr(_search, "_MUTUAL_ROWS", 128)
    x = normal(640, 20)
    with pytest.raises(AttributeError):
        knn(x, x, 5, exclude_self=True)
    monkeypatch.setattr(_search, "MutualCandidates", _mutual.MutualCandidates)
    need = _mutual.MutualCandidates.bytes_needed(640, 20, 8, torch.get_num_threads())
    monkeypatch.setattr(_mutual.MutualCandidates, "__init__", None)
    assert_exact(x, x, 5, exclude_self=True, memory_budget=need - 1)
    with pytest.raises(TypeError):
        knn(x, x, 5, exclude_self=True, memory_budget=need + 1000)


@pytest.mark.parametrize(("columns", "values"), [(3, 2), (8, 2), (8, 3), (20, 2)])
def test_many_equal_rows_are_exact(columns, values):
    x = torch.randint(0, values, (2300, columns), generator=torch.Generator().manual_seed(0)).float()
    assert_exact(x, x, 5, exclude_self=True)
    assert_exact(x[::3] + 0.1, x, 7)


def test_agrees_with_scikit_learn():
    x = normal(800, 12, dtype=torch.float64)
    distances, indices = NearestNeighbors(n_neighbors=6).fit(x.numpy()).kneighbors(x.numpy())
    result = knn(x, x, 5, exclude_self=True)
    np.testing.assert_allclose(result.distances.numpy(), distances[:, 1:], rtol=1e-10)
    np.testing.assert_array_equal(result.indices.numpy(), indices[:, 1:])


def test_non_contiguous_inputs(device):
    x = normal(10, 200, device=device).T
    assert not x.is_contiguous()
    assert_exact(x[::2], x[::2], 5, exclude_self=True)


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_matmul_precision_neither_matters_nor_changes(precision, device):
    x = (
        (normal(20, 1, 64) + 1e-2 * normal(20, 50, 64, seed=1)).flatten(0, 1).to(device)
    )  # clusters that bf16 cannot tell
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        assert_exact(x, x, 5, exclude_self=True)
        with pytest.raises(ValueError, match="finite"):
            knn(x, x * torch.nan, 5)
        assert torch.get_float32_matmul_precision() == precision
        with torch.autocast(device.type, dtype=torch.bfloat16):
            assert_exact(x, x, 5, exclude_self=True)
    finally:
        torch.set_float32_matmul_precision(before)


def test_reduced_precision_is_off_inside_and_back_outside(device):
    backends = torch.backends.mkldnn.matmul, torch.backends.cuda.matmul
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast(device.type), full_precision(device):
            assert [backend.fp32_precision for backend in backends] == ["ieee", "ieee"]
            assert not torch.is_autocast_enabled(device.type)
            assert not torch.is_grad_enabled()
        assert [backend.fp32_precision for backend in backends] == ["bf16", "tf32"]
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_no_gradient_flows_and_inputs_stay(device):
    x = normal(40, 3, device=device).requires_grad_()
    copy = x.detach().clone()
    result = knn(x, x, 3)
    assert not result.distances.requires_grad
    assert not result.distances.is_inference()
    assert torch.equal(x.detach(), copy)


def test_empty_query():
    result = knn(torch.empty(0, 3), normal(5, 3), 2)
    assert result.distances.shape == result.indices.shape == (0, 2)


@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_standardize_divides_by_the_deviation(shift, device):
    scales = torch.tensor([1e-3, 1.0, 1e5, 7.0], device=device, dtype=torch.float64)
    x = normal(300, 4, dtype=torch.float64, device=device) * scales + shift
    x[:, 3] = 7.0
    deviation = x.std(0, correction=0)
    deviation[3] = 1.0
    distances, indices = brute(x / deviation, x / deviation, 5, exclude_self=True)
    result = knn(x, x, 5, exclude_self=True, standardize=True)
    assert torch.equal(result.indices, indices)
    torch.testing.assert_close(result.distances, distances, rtol=1e-6, atol=0)
    assert not torch.equal(knn(x, x, 5, exclude_self=True).indices, indices)


def test_translation_rotation_and_permutation():
    x = normal(200, 5, dtype=torch.float64)
    rotation = torch.linalg.qr(normal(5, 5, dtype=torch.float64, seed=3)).Q
    expected = knn(x, x, 4, exclude_self=True)
    moved = knn(x @ rotation - 3.0, x @ rotation - 3.0, 4, exclude_self=True)
    assert torch.equal(moved.indices, expected.indices)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(2))
    shuffled = knn(x[order], x[order], 4, exclude_self=True)
    assert torch.equal(order[shuffled.indices], expected.indices[order])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(2, 40), st.integers(1, 4), st.integers(0, 10**6), st.sampled_from([0.0, 1e3, 1e6]),
    st.sampled_from([1e-20, 1.0, 1e12]), st.booleans(), st.sampled_from([torch.float32, torch.float64]),
)  # fmt: skip
def test_any_small_table_is_exact(rows, columns, seed, shift, scale, coarse, dtype):
    x = normal(rows, columns, seed=seed, dtype=dtype)
    x = ((x.round() if coarse else x) + shift) * scale
    assert_exact(x, x, 1 + seed % (rows - 1), exclude_self=True)


@pytest.mark.parametrize(
    ("error", "words", "change"),
    [
        (TypeError, "floating-point", {"query": torch.ones(3, 2, dtype=torch.int64)}),
        (TypeError, r"torch\.Tensor", {"reference": np.ones((3, 2))}),
        (TypeError, "share a dtype", {"query": torch.ones(3, 2, dtype=torch.float64)}),
        (ValueError, "shapes", {"query": torch.ones(3, 4)}),
        (ValueError, "shapes", {"query": torch.ones(3)}),
        (ValueError, "d >= 1", {"query": torch.ones(3, 0), "reference": torch.ones(3, 0)}),
        (ValueError, "2 query and 3 reference", {"query": torch.ones(2, 2), "exclude_self": True}),
        (ValueError, "k=4 with 3 reference rows", {"k": 4}),
        (ValueError, "<= the 2 rows .*Lower `k`", {"k": 3, "exclude_self": True}),
        (ValueError, "<= the 0 rows", {"query": torch.ones(0, 2), "reference": torch.ones(0, 2), "k": 1,
                                       "exclude_self": True}),
        (ValueError, "`k` must be >= 1", {"k": 0}),
        (TypeError, "`k`", {"k": 1.5}),
        (ValueError, "1 of 2 columns", {"reference": torch.tensor([[0.0, torch.nan], [1, 1]])}),
        (ValueError, "column 0", {"query": torch.tensor([[torch.inf, 0.0]])}),
        (ValueError, "column 1", {"query": torch.tensor([[0.0, -torch.inf]])}),
        (ValueError, "overflowing", {"query": torch.tensor([[1.7e308, 0.0]], dtype=torch.float64),
                                     "reference": torch.tensor([[-1.7e308, 0.0]] * 2, dtype=torch.float64)}),
        (ValueError, "`memory_budget` must be >= 1", {"memory_budget": 0}),
        (TypeError, "`memory_budget`", {"memory_budget": "all"}),
    ],
)  # fmt: skip
def test_errors_name_what_is_wrong(error, words, change):
    arguments = {"query": torch.ones(3, 2), "reference": torch.ones(3, 2), "k": 1} | change
    with pytest.raises(error, match=words):
        knn(**arguments)


def test_columns_of_very_unequal_width_warn_once_at_the_call(recwarn):
    x = one_wide_column(normal(50, 3))
    knn(x, x, 3, exclude_self=True)
    assert len(recwarn) == 1
    assert recwarn[0].filename == __file__
    assert "Column 0 of `reference` is" in str(recwarn[0].message)
    knn(x, x, 3, exclude_self=True, standardize=True)
    knn(normal(50, 3), normal(50, 3), 3)
    assert len(recwarn) == 1
