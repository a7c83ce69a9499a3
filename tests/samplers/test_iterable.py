import copy
import pickle
import random
from itertools import count, islice

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from imbalance_torch.samplers import BalancedIterableDataset


class Stream:
    """Rows (i, label) of which one in ``every`` is of class 1, at random places; counts what is read."""

    def __init__(self, rows=None, every=20, seed=0, labels=(0, 1)):
        self.rows, self.every, self.seed, self.labels, self.read = rows, every, seed, labels, 0

    def __iter__(self):
        draws = random.Random(self.seed)
        for row in count() if self.rows is None else range(self.rows):
            self.read += 1
            yield row, self.labels[draws.random() < 1 / self.every]


def labels(samples):
    return [label for _, label in samples]


def take(dataset, number):
    samples = []
    for sample in dataset:
        samples.append(sample)
        if len(samples) == number:
            break
    return samples


@pytest.mark.parametrize(
    "mix",
    [
        {0: 1, 1: 1},
        {0: 4, 1: 1},
        {0: 0.013, 1: 0.987},
        {0: 1, 1: 1 / 3},
        {"a": 1, "b": 2, "c": 3, "d": 0.1},
        {k: k + 1 for k in range(23)},
    ],
)
def test_every_prefix_holds_the_shares(mix):
    classes = list(mix)
    source = [(row, classes[row % len(mix)]) for row in range(60_000)]
    dataset = BalancedIterableDataset(source, mix)
    assert dataset.classes == tuple(sorted(mix))
    shares = dict(zip(dataset.classes, dataset.effective_prior.tolist(), strict=True))
    assert sum(shares.values()) == pytest.approx(1)
    fed, bound = dict.fromkeys(mix, 0), 1 - 1 / (2 * len(mix) - 2)
    for number, (_, label) in enumerate(take(dataset, 2000), start=1):
        fed[label] += 1
        assert max(abs(fed[k] - shares[k] * number) for k in mix) <= bound + 1e-6
    assert number == 2000


def test_no_row_comes_twice_and_all_rows_are_real():
    source = list(Stream(5000))
    samples = list(BalancedIterableDataset(source, {0: 1, 1: 1}))
    assert len(set(samples)) == len(samples)
    assert set(samples) <= set(source)
    minority = sum(labels(source))
    assert minority - 2 <= sum(labels(samples)) <= minority


def test_rows_of_a_class_are_thinned_alike():
    # Over 400 seeds, every tenth of the stream feeds as many rows of the majority as it has rows of the minority.
    source = list(Stream(3000, every=10))
    tenths = np.zeros(10)
    for seed in range(400):
        rows = [
            row for row, label in BalancedIterableDataset(source, {0: 1, 1: 1}, reservoir=20, seed=seed) if not label
        ]
        tenths += np.histogram(rows, bins=10, range=(0, 3000))[0]
    minority = np.histogram([row for row, label in source if label], bins=10, range=(0, 3000))[0] * 400
    # One majority row is fed per minority row; the reservoir delays it by about 20 feeds, whence the margin.
    assert np.abs(tenths - minority).max() < 400 * 15
    assert tenths.min() > 0


def test_the_cost_is_the_largest_ratio_of_shares():
    stream = Stream(every=50)
    take(BalancedIterableDataset(stream, {0: 4, 1: 1}), 5000)  # needs 1000 of class 1, waits for 50 rows for each
    # Geometric waits: mean 50,000 rows, standard deviation 50 sqrt(1000); 3.9 of them have a two-sided p of 1e-4.
    assert abs(stream.read - 50_000) < 3.9 * 50 * 1000**0.5


def test_memory_is_bounded():
    alive = []

    class Sample:
        living = 0

        def __init__(self, label):
            self.label = label
            Sample.living += 1

        def __del__(self):
            Sample.living -= 1

    class Endless:
        def __iter__(self):
            return (Sample(int(row % 1000 == 999)) for row in count())

    dataset = BalancedIterableDataset(Endless(), {0: 1, 1: 1}, label_of=lambda s: s.label, reservoir=30)
    for _ in islice(dataset, 20):
        alive.append(Sample.living)
    assert max(alive) <= 30 + 30 + 3


def test_the_seed_decides_what_is_left_out():
    source = list(Stream(3000))
    first = list(BalancedIterableDataset(source, {0: 1, 1: 1}))
    assert first == list(BalancedIterableDataset(source, {0: 2, 1: 2}))
    assert first != list(BalancedIterableDataset(source, {0: 1, 1: 1}, seed=1))


def test_passes_differ_and_set_epoch_is_absolute():
    dataset = BalancedIterableDataset(list(Stream(3000)), {0: 1, 1: 1})
    passes = [list(dataset) for _ in range(3)]
    assert dataset.epoch == 3
    assert passes[0] != passes[1] != passes[2] != passes[0]
    for epoch in (2, 0, 1):
        dataset.set_epoch(epoch)
        dataset.set_epoch(epoch)
        assert list(dataset) == passes[epoch]
    iterator = iter(dataset)  # the epoch is read with the first sample
    dataset.set_epoch(0)
    next(iterator)
    dataset.set_epoch(1)
    next(iterator)
    assert dataset.state_dict()["fed"] == 0
    assert list(dataset) == passes[1]


def test_a_loop_left_early_goes_on_without_reading_again():
    stream = Stream()
    dataset = BalancedIterableDataset(stream, {0: 1, 1: 1})
    seen = take(dataset, 30) + take(dataset, 50)
    before = stream.read
    seen += take(dataset, 1)
    assert stream.read - before < 500
    assert seen == take(BalancedIterableDataset(Stream(), {0: 1, 1: 1}), 81)


@pytest.mark.parametrize("fed", [0, 1, 77])
def test_resume_is_exact(fed):
    def build(**kwargs):
        return BalancedIterableDataset(Stream(4000), {0: 1, 1: 1}, **kwargs)

    whole = list(build())
    dataset = build()
    assert take(dataset, fed) == whole[:fed] if fed else True
    state = copy.deepcopy(dataset.state_dict())
    assert len(pickle.dumps(state)) < 1000
    restored = build(seed=3)
    restored.load_state_dict(state)
    assert restored.state_dict() == state
    assert list(restored) == whole[fed:]
    following = build()
    following.set_epoch(1)
    assert list(restored) == list(following)


def test_three_resumes():
    seen, state = [], None
    for number in (10, 1, 25, 10**9):
        dataset = BalancedIterableDataset(Stream(3000), {0: 1, 1: 1})
        if state:
            dataset.load_state_dict(state)
        seen += take(dataset, number)
        state = dataset.state_dict()
    assert seen == list(BalancedIterableDataset(Stream(3000), {0: 1, 1: 1}))
    assert (state["epoch"], state["fed"]) == (1, 0)


def test_other_states_are_refused():
    dataset = BalancedIterableDataset(Stream(), {0: 1, 1: 1})
    take(dataset, 5)
    state = dataset.state_dict()
    for other in (
        BalancedIterableDataset(Stream(), {0: 2, 1: 1}),
        BalancedIterableDataset(Stream(), {0: 1, 2: 1}),
        BalancedIterableDataset(Stream(), {0: 1, 1: 1}, reservoir=7),
    ):
        with pytest.raises(ValueError, match="not of this dataset"):
            other.load_state_dict(state)
    with pytest.raises(ValueError, match="version"):
        dataset.load_state_dict(state | {"version": 0})
    elsewhere = BalancedIterableDataset(Stream(), {0: 1, 1: 1}, num_replicas=2, rank=0)
    elsewhere.load_state_dict(state)
    with pytest.raises(ValueError, match=r"fed with 1 shard\(s\), and now there are 2"):
        next(iter(elsewhere))
    elsewhere.set_epoch(1)
    next(iter(elsewhere))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_ranks_and_workers_share_the_rows(workers):
    def loader(rank, world=2):
        dataset = BalancedIterableDataset(Stream(6000, every=5), {0: 1, 1: 1}, num_replicas=world, rank=rank)
        kwargs = {"multiprocessing_context": "fork", "timeout": 60} if workers else {}
        return DataLoader(dataset, batch_size=10, num_workers=workers, **kwargs)

    shards = [[row for rows, _ in loader(rank) for row in rows.tolist()] for rank in range(2)]
    fed = shards[0] + shards[1]
    assert len(set(fed)) == len(fed)
    for rank, rows in enumerate(shards):
        assert {row % (2 * max(workers, 1)) // max(workers, 1) for row in rows} == {rank}
        for _, batch in islice(loader(rank), 20):
            assert int(batch.sum()) == 5
    minority = [row for row, label in Stream(6000, every=5) if label]
    assert len(set(minority) - set(fed)) <= 2 * 2 * max(workers, 1)  # every shard stops with a class that has run out


def test_workers_that_live_on_move_to_the_next_pass():
    dataset = BalancedIterableDataset(Stream(2000), {0: 1, 1: 1})
    kwargs = {"num_workers": 2, "multiprocessing_context": "fork", "timeout": 60}
    persistent = DataLoader(dataset, batch_size=4, persistent_workers=True, **kwargs)
    passes = [[rows.tolist() for rows, _ in persistent] for _ in range(2)]
    assert passes[0] != passes[1]
    short_lived = DataLoader(dataset, batch_size=4, **kwargs)
    for epoch in range(2):
        dataset.set_epoch(epoch)
        assert [rows.tolist() for rows, _ in short_lived] == passes[epoch]


# torchdata 0.11 asks torch 2.13 for a name that torch has deprecated.
@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_stateful_dataloader(workers):
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason="torchdata is not installed")
    kwargs = {"multiprocessing_context": "fork", "timeout": 60} if workers else {}

    def build():
        dataset = BalancedIterableDataset(Stream(3000, every=8), {0: 1, 1: 1})
        return stateful.StatefulDataLoader(dataset, batch_size=6, num_workers=workers, **kwargs)

    whole = [rows.tolist() for rows, _ in build()]
    for steps in (1, 7):
        loader = build()
        iterator = iter(loader)
        assert [next(iterator)[0].tolist() for _ in range(steps)] == whole[:steps]
        state = loader.state_dict()
        restored = build()
        restored.load_state_dict(state)
        assert [rows.tolist() for rows, _ in restored] == whole[steps:]


def test_a_process_that_is_not_forked_gets_the_rank():
    dataset = BalancedIterableDataset(Stream(2000), {0: 1, 1: 1}, num_replicas=2, rank=1)
    take(dataset, 3)
    twin = pickle.loads(pickle.dumps(dataset))
    assert take(twin, 10) == take(dataset, 10)
    assert take(copy.deepcopy(dataset), 5) == take(dataset, 5)


def test_a_class_that_never_comes():
    stream = [(row, 0) for row in range(1000)]
    with pytest.warns(UserWarning, match="without a row of class 1"):
        assert len(list(BalancedIterableDataset(stream, {0: 1, 1: 1}))) == 1
    endless = Stream(every=1e18)
    dataset = BalancedIterableDataset(endless, {0: 1, 1: 1}, patience=500)
    with pytest.raises(ValueError, match="No row of class 1 came within `patience` = 500"):
        list(dataset)
    assert endless.read <= 502


def test_a_class_without_a_share_is_an_error():
    with pytest.raises(ValueError, match="class 2, to which"):
        list(BalancedIterableDataset([(0, 0), (1, 2)], {0: 1, 1: 1}))


def test_an_empty_stream_and_one_class():
    with pytest.warns(UserWarning, match="without a row of class 0"):
        assert list(BalancedIterableDataset([], {0: 1, 1: 1})) == []
    assert list(BalancedIterableDataset([(row, 5) for row in range(9)], {5: 1})) == [(row, 5) for row in range(9)]


@pytest.mark.parametrize("kind", [torch.tensor, np.int64, bool])
def test_label_kinds(kind):
    source = [{"x": row, "y": kind(label)} for row, label in Stream(500)]
    samples = list(BalancedIterableDataset(source, {0: 1, 1: 1}, label_of=lambda sample: sample["y"]))
    assert [sample["x"] for sample in samples] == [row for row, _ in BalancedIterableDataset(Stream(500), {0: 1, 1: 1})]


def test_strings():
    dataset = BalancedIterableDataset(Stream(500, labels=("ok", "fraud")), {"ok": 3, "fraud": 1})
    assert dataset.classes == ("fraud", "ok")
    assert dataset.effective_prior.tolist() == [0.25, 0.75]
    assert labels(take(dataset, 8)).count("fraud") == 2


@pytest.mark.parametrize(
    ("changed", "error", "match"),
    [
        ({"source": iter([])}, TypeError, "start anew"),
        ({"source": (x for x in [])}, TypeError, "start anew"),
        ({"source": 7}, TypeError, "source"),
        ({"target_mix": [0.5, 0.5]}, TypeError, "target_mix"),
        ({"target_mix": {}}, ValueError, "target_mix"),
        ({"target_mix": {0: 1, 1: 0}}, ValueError, "target_mix"),
        ({"target_mix": {0: 1, 1: float("nan")}}, ValueError, "target_mix"),
        ({"target_mix": {0: 1, 1: "x"}}, TypeError, "target_mix"),
        ({"reservoir": 0}, ValueError, "reservoir"),
        ({"patience": 0}, ValueError, "patience"),
        ({"seed": -1}, ValueError, "seed"),
        ({"rank": 0}, ValueError, "num_replicas"),
        ({"rank": 2, "num_replicas": 2}, ValueError, "rank"),
    ],
)
def test_bad_arguments_are_refused(changed, error, match):
    with pytest.raises(error, match=match):
        BalancedIterableDataset(**({"source": [], "target_mix": {0: 1, 1: 1}} | changed))


def test_global_randomness_is_neither_read_nor_written():
    torch.manual_seed(0)
    before = torch.get_rng_state().tolist()
    dataset = BalancedIterableDataset([(row, row % 7 == 0) for row in range(500)], {0: 1, 1: 1})
    first = list(dataset)
    assert torch.get_rng_state().tolist() == before
    torch.manual_seed(1)
    dataset.set_epoch(0)
    assert list(dataset) == first


def test_what_it_does_not_keep_is_declared():
    cls = BalancedIterableDataset
    assert (cls.exact_shares, cls.small_state, cls.sized, cls.elastic) == (False, True, False, False)
    assert not hasattr(cls, "__len__")


def test_after_an_error_the_next_loop_goes_on_where_it_stopped():
    class Flaky:
        failed = False

        def __iter__(self):
            for row in range(1000):
                if row == 300 and not self.failed:
                    self.failed = True
                    raise OSError("gone")
                yield row, row % 2

    whole = [row for row, _ in BalancedIterableDataset([(row, row % 2) for row in range(1000)], {0: 1, 1: 1})]
    dataset, seen = BalancedIterableDataset(Flaky(), {0: 1, 1: 1}), []
    with pytest.raises(OSError, match="gone"):
        seen.extend(row for row, _ in dataset)
    for row, _ in dataset:
        seen.append(row)
    assert 0 < len(whole) == len(seen)
    assert seen == whole
