"Evaluation: the contract's keys, both forms, strangers, and figures against slow definitions."
import json

import numpy as np
import pandas as pd
import pytest
from ml_data import STRANGERS, tickets
from sklearn.metrics import f1_score, log_loss, roc_auc_score

from mytech.ml.evaluation import (auroc, coverage_at_precision, evaluate, expected_calibration_error, out_of_scope_figures,
                                  overconfident, precision_at_k, quality, seen_in_training)

CONTRACT = """n_train n_test n_classes accuracy macro_f1 precision_at_2 log_loss ece coverage_at_95 coverage_at_98
fit_seconds predict_p50_ms predict_p99_ms tickets_per_second peak_rss_mb""".split()
OUT_OF_SCOPE = ["oos_auroc", "oos_rejected_at_95", "auto_precision_mixed"]


def drawn(n=500, k=5, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(k) * 0.5, n)
    return p, np.array([rng.choice(k, p=row) for row in p])


def test_quality_agrees_with_scikit_learn():
    p, y = drawn()
    names = tuple("ABCDE")
    figures = quality(p, np.array(names)[y], names)
    assert figures["accuracy"] == pytest.approx((p.argmax(axis=1) == y).mean())
    assert figures["macro_f1"] == pytest.approx(f1_score(y, p.argmax(axis=1), average="macro"))
    assert figures["log_loss"] == pytest.approx(log_loss(y, p))
    assert figures["overconfident"] is False


def test_auroc_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    inside, outside = rng.integers(0, 20, 300) / 20, rng.integers(0, 15, 200) / 20
    expected = roc_auc_score(np.repeat([1, 0], [300, 200]), np.append(inside, outside))
    assert auroc(inside, outside) == pytest.approx(expected)


def test_coverage_by_its_definition():
    rng = np.random.default_rng(3)
    confidence = rng.random(200)
    correct = rng.random(200) < confidence
    order = np.argsort(-confidence)
    slow = max((n for n in range(1, 201) if correct[order[:n]].mean() >= 0.9), default=0) / 200
    assert coverage_at_precision(confidence, correct, 0.9) == slow


def test_ece_by_its_definition():
    p, y = drawn()
    confidence, correct = p.max(axis=1), p.argmax(axis=1) == y
    edges = np.linspace(0, 1, 16)
    slow = sum(abs(confidence[at].sum() - correct[at].sum()) for low, high in zip(edges, edges[1:])
               if (at := (confidence > low) & (confidence <= high)).any()) / len(y)
    assert expected_calibration_error(confidence, correct) == pytest.approx(slow)


def test_unknown_classes_are_never_hit():
    assert precision_at_k(np.array([[0.9, 0.1]]), np.array([-1]), 2) == 0


@pytest.mark.parametrize("power, expected", [(1.0, False), (0.3, True), (3.0, False)])
def test_overconfident(power, expected):
    rng = np.random.default_rng(0)
    share = rng.beta(4, 1, 3000)
    assert overconfident(share ** power, rng.random(3000) < share) is expected


def test_overconfident_needs_evidence():
    assert not overconfident(np.array([0.99, 0.9]), np.array([True, False]))


def test_strangers_are_wrong_by_definition():
    "Ten sure tickets of which nine are right, ten strangers below them, one above."
    sure = np.append(np.linspace(1, 0.9, 10), np.append(0.95, np.full(9, 0.1)))
    stranger = np.arange(20) >= 10
    correct = np.append(np.arange(10) != 9, np.zeros(10, bool))
    figures = out_of_scope_figures(sure, sure, correct, stranger, sure > 0.5)
    assert figures["auto_precision_mixed"] == pytest.approx(9 / 11)
    assert figures["oos_rejected_at_95"] == 1.0
    assert figures["oos_auroc"] == pytest.approx((9 * 10 + 5) / 100, abs=0.06)


def test_nobody_automatic():
    figures = out_of_scope_figures(np.full(4, 0.5), np.full(4, 0.5), np.zeros(4, bool), np.arange(4) > 1, np.zeros(4, bool))
    assert figures["auto_precision_mixed"] is None
    assert json.loads(json.dumps(figures)) == figures


def test_seen_in_training():
    train = ["Moban reset TOTP WO12345678 hub 081234567890", "foto gagal"]
    assert seen_in_training(train, ["moban reset totp wo: 99999999 hub 085712345678", "foto", ""]).tolist() == [True, False, False]
    assert seen_in_training([], []).shape == (0,)


def table(n, seed, solving=True):
    texts, solvings, labels = tickets(n, seed)
    rows = pd.DataFrame({"text": texts, "solving": solvings, "label": labels})
    return rows if solving else rows.drop(columns="solving")


@pytest.fixture(scope="module")
def mixed():
    strangers = pd.DataFrame({"text": STRANGERS * 4, "label": "LAIN"})
    return evaluate(table(480, 0), pd.concat([table(120, 5), strangers]), out_of_scope="LAIN")


def test_the_contract(mixed):
    assert [key for key in mixed if key in CONTRACT + OUT_OF_SCOPE] == CONTRACT[:10] + OUT_OF_SCOPE + CONTRACT[10:]
    assert json.loads(json.dumps(mixed)) == mixed
    assert mixed["n_train"] == 480 and mixed["n_test"] == 144 and mixed["n_classes"] == 6
    assert mixed["accuracy"] > 0.95 and mixed["oos_auroc"] > 0.9 and mixed["auto_precision_mixed"] > 0.9


def test_both_forms_are_measured(mixed):
    assert 0.9 < mixed["text_only_accuracy"] <= mixed["accuracy"]
    alone = evaluate(table(240, 0, solving=False), table(60, 5, solving=False))
    assert not [key for key in alone if key.startswith(("text_only", "oos"))]
    assert set(CONTRACT) <= set(alone)


def test_duplicates_are_counted():
    train, test = table(240, 0, solving=False), table(60, 5, solving=False)
    clean = evaluate(train, test)["n_test_in_train"]
    test.loc[0, "text"] = train.text[7].upper() + " !"
    assert evaluate(train, test)["n_test_in_train"] == clean + 1


def test_strangers_in_training_are_used_and_are_no_class():
    strangers = pd.DataFrame({"text": STRANGERS * 5, "label": "LAIN"})
    result = evaluate(pd.concat([table(480, 0), strangers]), pd.concat([table(120, 5), strangers]), out_of_scope="LAIN")
    assert result["n_classes"] == 6 and result["n_train"] == 480
    assert result["oos_auroc"] > 0.95
