"""Column roles, class names and what is wrong with a target."""

import datetime
import decimal
import json

import numpy as np
import pandas as pd
import pytest

from imbalance_torch.data import Schema, TableEncoder

LABELS = [0, 0, 0, 0, 1, 1]


def infer(target=LABELS, **options):
    frame = pd.DataFrame({"x": np.arange(len(target), dtype=float), "y": target})
    return frame, Schema.infer(frame, "y", **options)


COLUMNS = {
    "integer": ([1, 2, 3, 4, 5, 6], "int16", "numeric"),
    "float": ([1.5, np.nan, 3, 4, 5, 6], "float32", "numeric"),
    "nullable integer": ([1, None, 3, 4, 5, 6], "Int64", "numeric"),
    "nullable float": ([1, None, 3, 4, 5, 6], "Float64", "numeric"),
    "decimal": ([decimal.Decimal(1), None, *map(decimal.Decimal, "3456")], object, "numeric"),
    "numbers as objects": ([1, 2.5, None, 4, 5, 6], object, "numeric"),
    "bool": ([True, False] * 3, bool, "boolean"),
    "nullable bool": ([True, None] * 3, "boolean", "boolean"),
    "bool with gaps": ([True, None] * 3, object, "boolean"),
    "category": (list("ababab"), "category", "categorical"),
    "category of numbers": ([1, 2] * 3, "category", "categorical"),
    "string": (list("ababab"), "string", "categorical"),
    "text with gaps": (["a", None] * 3, object, "categorical"),
    "text and numbers": (["a", 1] * 3, object, "categorical"),
    "text and fractions": (["a", 1.5] * 3, object, "categorical"),
    "datetime": (pd.date_range("2020", periods=6), None, "datetime"),
    "datetime with zone": (pd.date_range("2020", periods=6, tz="UTC"), None, "datetime"),
    "date": ([datetime.date(2020, 1, 1)] * 6, object, "datetime"),
    "duration": (pd.to_timedelta(range(6), unit="h"), None, "durations; store them as numbers"),
    "time of day": ([datetime.time(1, 2)] * 6, object, "times of day"),
    "period": (pd.period_range("2020", periods=6), None, "columns of period values are not supported"),
    "complex": ([1j] * 6, complex, "columns of complex values are not supported"),
    "lists": ([[1], [2]] * 3, object, "nested values"),
    "arrays": ([np.arange(2), None] * 3, object, "nested values"),
    "records": ([{"a": 1}] * 6, object, "nested values"),
    "bytes": ([b"a"] * 6, object, "binary values"),
    "identifier": (list("abcdef"), object, "looks like an identifier"),
    "identifier with a gap": ([*"abcde", None], object, "looks like an identifier"),
    "text in few rows": (["a", "b", None, None, None, None], object, "categorical"),
    "numbers that all differ": (range(6), int, "numeric"),
    "nothing": ([None] * 6, object, "no value in any row"),
    "all NaN": ([np.nan] * 6, float, "no value in any row"),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_role_of_a_column(kind):
    values, dtype, role = COLUMNS[kind]
    frame = pd.DataFrame({"x": 1.0, "c": pd.Series(values, dtype=dtype), "y": LABELS})
    schema = Schema.infer(frame, "y")
    if role in ("numeric", "boolean", "datetime", "categorical"):
        assert "c" in getattr(schema, role)
        assert schema.ignored == {}
    else:
        assert "c" not in schema.features
        assert role in schema.ignored["c"]


def test_target_time_group_and_dropped_columns_are_no_features():
    frame = pd.DataFrame(
        {"when": range(6), "card": range(6), "id": range(6), "b": list("ababab"), "x": 1.0, "y": LABELS}
    )
    schema = Schema.infer(frame, "y", time="when", group="card", drop=["id", "when"])
    assert (schema.features, schema.time, schema.group, schema.num_classes) == (["x", "b"], "when", "card", 2)
    assert schema.ignored == {"id": "dropped by the user"}
    assert schema == Schema.infer(frame, "y", drop=["id"], roles={"when": "time", "card": "group"})


def test_features_are_in_the_order_of_the_encoder():
    frame = pd.DataFrame(
        {"c": list("ababab"), "t": pd.date_range("2020", periods=6), "b": [True, False] * 3, "n": range(6), "y": LABELS}
    )
    schema = Schema.infer(frame, "y")
    assert schema.features == ["n", "b", "t", "c"]
    encoder = TableEncoder(schema.numeric, schema.categorical, boolean=schema.boolean, datetime=schema.datetime)
    assert encoder.columns == schema.features
    assert encoder.fit(frame).encode(frame).isfinite().all()


def test_a_schema_of_before_the_roles_of_booleans_and_datetimes_still_loads():
    old = {"target": "y", "classes": [0, 1], "numeric": ["x"], "categorical": ["f"], "time": None, "ignored": {}}
    schema = Schema(**json.loads(json.dumps(old)))
    assert (schema.features, schema.boolean, schema.datetime, schema.group) == (["x", "f"], [], [], None)


OVERRIDES = {
    "numbers as categories": ([1, 2, 1, 2, 1, 2], "categorical"),
    "numbers as text to numbers": (["1", "2.5", None, "4", "5", "6"], "numeric"),
    "booleans as numbers": ([True, False] * 3, "numeric"),
    "0 and 1 as booleans": ([0, 1, 0, 1, 1, 1], "boolean"),
    "text as booleans": (["true", "False", None] * 2, "boolean"),
    "text as dates": (["2020-01-01", "2020-02-01T10:00:00", None] * 2, "datetime"),
    "an identifier as categories": (list("abcdef"), "categorical"),
    "anything ignored": ([[1]] * 6, "ignored"),
    "all missing ignored": ([None] * 6, "ignored"),
}


@pytest.mark.parametrize("kind", OVERRIDES)
def test_a_role_can_be_given(kind):
    values, role = OVERRIDES[kind]
    frame = pd.DataFrame({"x": np.arange(6.0), "c": values, "y": LABELS})
    schema = Schema.infer(frame, "y", roles={"c": role})
    assert "c" in getattr(schema, role)
    assert ("c" in schema.features) == (role != "ignored")
    encoder = TableEncoder(schema.numeric, schema.categorical, boolean=schema.boolean, datetime=schema.datetime)
    assert encoder.fit(frame).encode(frame).isfinite().all()


BAD_ROLES = {
    "text as numbers": (["1", "2", "n/a"] * 2, "numeric", "'numeric'.*n/a"),
    "dates as numbers": (pd.date_range("2020", periods=6), "numeric", "It holds dates"),
    "durations as numbers": (pd.to_timedelta(range(6), unit="h"), "numeric", "store them as numbers"),
    "infinite": ([1.0, np.inf] * 3, "numeric", "infinite"),
    "numbers as booleans": ([0, 1, 2] * 2, "boolean", "'2'"),
    "text as dates": (["yesterday", "2020-01-01"] * 3, "datetime", "yesterday"),
    "numbers as dates": (range(6), "datetime", "must hold dates"),
    "lists as categories": ([[1]] * 6, "categorical", "nested values"),
    "nothing": ([None] * 6, "numeric", "no value in any row"),
    "unknown role": (range(6), "number", "Did you mean 'numeric'"),
}


@pytest.mark.parametrize("kind", BAD_ROLES)
def test_a_role_that_does_not_fit_ends_in_one_message(kind):
    values, role, message = BAD_ROLES[kind]
    frame = pd.DataFrame({"x": np.arange(6.0), "c": values, "y": LABELS})
    with pytest.raises(ValueError, match=message) as caught:
        Schema.infer(frame, "y", roles={"c": role})
    assert "'c'" in str(caught.value) or role == "number"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"roles": {"z": "numeric"}}, "no column 'z'"),
        ({"roles": {"y": "numeric"}}, "'y' cannot be the target and a column of `roles`"),
        ({"roles": {"x": "numeric"}, "drop": ["x"]}, "'x' cannot be the dropped column"),
        ({"time": "x", "group": "x"}, "'x' cannot be the time column and a group column"),
        ({"time": "x", "roles": {"c": "time"}}, "One column at most has the role 'time', got 'x', 'c'"),
        ({"group": "y"}, "'y' cannot be the target and a group column"),
        ({"time": "x", "roles": {"x": "numeric"}}, "'x' cannot be the time column"),
    ],
)
def test_a_column_has_one_role(options, message):
    frame = pd.DataFrame({"x": np.arange(6.0), "c": range(6), "y": LABELS})
    with pytest.raises(ValueError, match=message):
        Schema.infer(frame, "y", **options)


def test_roles_must_be_a_mapping():
    with pytest.raises(TypeError, match="`roles` must map columns to roles"):
        infer(roles=["x"])


TARGETS = {
    "integers": ([0, 0, 1, 1], [0, 1], [0, 0, 1, 1]),
    "floats": ([0.0, 0.0, 1.0, 1.0], [0, 1], [0, 0, 1, 1]),
    "1 and 2": ([1, 2, 1, 2, 2], [1, 2], [0, 1, 0, 1, 1]),
    "-1 and 1": ([1, -1, 1, -1], [-1, 1], [1, 0, 1, 0]),
    "any whole numbers": ([70, 5, 5.0, 70, 9, 9], [5, 9, 70], [2, 0, 0, 2, 1, 1]),
    "1..5": ([*range(1, 6)] * 3, [1, 2, 3, 4, 5], [*range(5)] * 3),
    "unsigned": (np.array([3, 3, 7, 7], np.uint8), [3, 7], [0, 0, 1, 1]),
    "three classes": ([2, 2, 0, 0, 1, 1], [0, 1, 2], [2, 2, 0, 0, 1, 1]),
    "booleans": ([True, True, True, False, False], [False, True], [1, 1, 1, 0, 0]),
    "nullable integers": (pd.array([0, 0, 1, 1], "Int64"), [0, 1], [0, 0, 1, 1]),
    "nullable booleans": (pd.array([True, True, False, False], "boolean"), [False, True], [1, 1, 0, 0]),
    "integers as objects": (pd.Series([0, 0, 1, 1], dtype=object), [0, 1], [0, 0, 1, 1]),
    "categories of integers": (pd.Categorical([1, 1, 1, 0, 0]), [0, 1], [1, 1, 1, 0, 0]),
    "categories with one unused": (pd.Categorical(list("nny") * 2, categories=list("yzn")), ["n", "y"], [0, 0, 1] * 2),
    "text, the rarer positive": (["b", "b", "b", "a", "a"], ["b", "a"], [0, 0, 0, 1, 1]),
    "text, equally frequent": (["b", "a", "b", "a"], ["a", "b"], [1, 0, 1, 0]),
    "text with spaces": ([" no", " no", " no", "yes it is", "yes it is"], [" no", "yes it is"], [0, 0, 0, 1, 1]),
    "three texts": (["c", "c", "a", "a", "b", "b"], ["a", "b", "c"], [2, 2, 0, 0, 1, 1]),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_classes_and_codes(kind):
    target, classes, codes = TARGETS[kind]
    frame, schema = infer(target)
    assert schema.classes == classes
    assert [type(label) for label in schema.classes] == [type(label) for label in classes]
    encoded = schema.encode_target(frame)
    assert encoded.dtype == np.int64
    assert encoded.tolist() == codes
    again = Schema(**json.loads(json.dumps(schema.to_dict())))
    assert again == schema
    assert again.encode_target(frame).tolist() == codes


@pytest.mark.parametrize(
    ("target", "positive", "classes"),
    [
        (["a", "a", "a", "b", "b"], "a", ["b", "a"]),
        ([0, 0, 0, 1, 1], 0, [1, 0]),
        ([0, 0, 0, 1, 1], "1", [0, 1]),
        ([1, 1, 2, 2], 1, [2, 1]),
        ([True, True, False, False], False, [True, False]),
        ([True, True, False, False], "True", [False, True]),
    ],
)
def test_the_positive_class_can_be_chosen(target, positive, classes):
    assert infer(target, positive=positive)[1].classes == classes


BAD_TARGETS = {
    "constant": ([1, 1, 1], "is constant: every row is 1"),
    "continuous": ([0.1, 0.2, 0.3, 0.2], "is continuous"),
    "infinite": ([0.0, 1.0, np.inf, 0.0, 1.0], "is continuous"),
    "all missing": ([np.nan] * 3, "no label in 3 of 3 rows"),
    "some missing": ([0, 0, None, 1, 1, None], r"no label in 2 of 6 rows \(first: row 2\)"),
    "missing text": (["a", "a", None, "b", "b"], "no label in 1 of 5 rows"),
    "many numbers": (list(range(5, 25)), r"is continuous \(20 different values, such as 5\)"),
    "one row": ([0, 0, 0, 1], "Class 1 of target 'y' has 1 row"),
    "one row of text": (["a", "a", "b"], "Class 'b' of target 'y' has 1 row"),
    "dates": (pd.date_range("2020", periods=4), "holds datetime values"),
    "lists": ([[1], [2], [1], [2]], "holds mixed values"),
    "text and numbers": (["a", 1, "a", 1], "holds mixed-integer values"),
    "no rows": ([], "holds empty values"),
}


@pytest.mark.parametrize("kind", BAD_TARGETS)
def test_a_bad_target_ends_in_one_message(kind):
    target, message = BAD_TARGETS[kind]
    with pytest.raises(ValueError, match=message) as caught:
        infer(target)
    assert "'y'" in str(caught.value)


@pytest.mark.parametrize(
    ("target", "positive", "message"),
    [
        (["a", "a", "b", "b"], "c", r"one of \['a', 'b'\], got positive='c'"),
        ([0, 0, 1, 1], 2, r"one of \[0, 1\], got positive=2"),
        ([0, 0, 1, 1, 2, 2], 2, "target of two classes; 'y' has 3"),
    ],
)
def test_a_bad_positive(target, positive, message):
    with pytest.raises(ValueError, match=message):
        infer(target, positive=positive)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "z"}, "no column 'z'. The columns are: x, y"),
        ({"time": "z"}, "no column 'z'"),
        ({"drop": ["z"]}, "no column 'z'"),
        ({"drop": ["x"]}, "No feature column is left beside the target 'y'"),
        ({"time": "y"}, "'y' cannot be the target and a time column as well"),
        ({"drop": ["y"]}, "'y' cannot be the target and a dropped column"),
    ],
)
def test_bad_column_names(options, message):
    frame = pd.DataFrame({"x": range(6), "y": LABELS})
    with pytest.raises(ValueError, match=message):
        Schema.infer(frame, **({"target": "y"} | options))


def test_a_time_of_text_is_refused_because_it_does_not_sort():
    frame = pd.DataFrame({"x": range(6), "day": ["1/2/2020"] * 6, "y": LABELS})
    with pytest.raises(ValueError, match=r"Time column 'day' is text \(such as '1/2/2020'\).*YYYY-MM-DD"):
        Schema.infer(frame, "y", time="day")


def test_names_that_do_not_survive_json_or_occur_twice_are_refused():
    with pytest.raises(ValueError, match="two columns named 'x'"):
        Schema.infer(pd.DataFrame([[1, 2, 0]] * 4, columns=["x", "x", "y"]), "y")
    with pytest.raises(ValueError, match="must be text, got 0"):
        Schema.infer(pd.DataFrame({0: range(6), "y": LABELS}), "y")


def test_labels_of_another_table():
    _, schema = infer(["a", "a", "b", "b"])
    with pytest.raises(ValueError, match=r"label 'c' \(row 1\); the classes are \['a', 'b'\]"):
        schema.encode_target(pd.DataFrame({"y": ["a", "c"]}))
    with pytest.raises(ValueError, match="no label in 1 of 2 rows"):
        schema.encode_target(pd.DataFrame({"y": ["a", None]}))
    with pytest.raises(ValueError, match="no column 'y'"):
        schema.encode_target(pd.DataFrame({"x": [1]}))
    assert schema.encode_target(pd.DataFrame({"y": pd.Categorical(["b", "a"])})).tolist() == [1, 0]


def test_a_column_that_alone_is_left_tells_why_it_is_ignored():
    frame = pd.DataFrame({"c": [f"v{i}" for i in range(100_000)], "y": [0, 1] * 50_000})
    with pytest.raises(ValueError, match=r"No feature .* 'c' is ignored: looks like an identifier"):
        Schema.infer(frame, "y")
    assert Schema.infer(frame, "y", roles={"c": "categorical"}).categorical == ["c"]
