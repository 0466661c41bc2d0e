"The bench: all models on the same rows, each in its own process; growth, pictures, and what is left out."
from importlib.util import find_spec

import pandas as pd
import pytest
from ml_data import tickets

from mytech.ops.bench import NEEDS, PEERS, bench, bench_table, resampled


@pytest.fixture(scope="module")
def table():
    texts, solvings, labels = tickets(180)
    return pd.DataFrame({"text": texts, "solving": solvings, "label": labels})


def test_all_on_the_same_rows(table, tmp_path):
    told = []
    result = bench(table, growth=[200], pictures=tmp_path, tell=told.append)
    missing = [name for name, module in NEEDS.items() if find_spec(module) is None]
    assert [row["model"] for row in result["rows"]] == [name for name in PEERS if name not in missing]
    assert list(result["left_out"]) == missing
    assert told[0] == "MyTech" and told[-1] == "200 tickets"
    assert result["n_train"] + result["n_test"] == 180
    for row in result["rows"]:
        assert row["accuracy"] > 0.5 and row["fit_seconds"] > 0 and row["predict_p50_ms"] > 0 and row["peak_rss_mb"] > 50
    assert result["growth"][0]["tickets"] == 200 and result["growth"][0]["peak_rss_mb"] > 50
    assert {path.name for path in tmp_path.iterdir()} == {"reliability.png", "coverage.png"}
    assert list(bench_table(result).index) == [row["model"] for row in result["rows"]]


def test_what_fails_says_which(table):
    with pytest.raises(RuntimeError, match="MyTech: .*at least two symptoms"):
        bench(table.assign(label="A"))


def test_resampled_keeps_labels_and_is_repeatable(table):
    many = resampled(table, 1000)
    assert len(many) == 1000 and set(many.label) == set(table.label)
    assert many.equals(resampled(table, 1000))
    assert len(resampled(table, 50)) == 50
    words = set(" ".join(table.text[table.label == "LOCKED"]).split())
    assert set(" ".join(many.text[many.label == "LOCKED"]).split()) <= words
