"Insight: words that drove a label, similar tickets, labels that are probably wrong; and no personal data in any of it."
import time

import numpy as np
import pytest
from ml_data import SOLUTIONS, tickets

from mytech.ml.classifier import SymptomClassifier, fit_classifier
from mytech.ml.features import fit_features
from mytech.ml.insight import doubtful, explain
from mytech.ml.neighbours import index_tickets, nearest, similar, without_names
from mytech.ml.preprocessing import preprocess


@pytest.fixture(scope="module")
def model():
    return fit_classifier(*tickets())


def log_odds(p):
    p = np.clip(np.float64(p), 1e-6, 1 - 1e-6)
    return np.log(p) - np.log1p(-p)


@pytest.mark.parametrize("text, solving, word", [
    ("tolong bang reset totp dari tadi", "", "totp"), ("moban min foto gagal upload", "", "upload"),
    ("min gan tolong", "password direset, cek email", "password"),
])
def test_each_value_is_a_difference_of_two_answers(model, text, solving, word):
    why = dict(explain(model, text, solving))
    label = model.predict(text, solving).label
    place = model.labels.index(label)
    for gone, value in why.items():
        parts = [" ".join(w for w in preprocess(part).split() if w != gone) for part in (text, solving)]
        with_it, without = model.predict_proba([text, parts[0]], [solving, parts[1]])[:, place]
        assert value == pytest.approx(log_odds(with_it) - log_odds(without), abs=1e-3)
    assert word in list(why)[:3] and why[word] > 0
    assert [abs(v) for v in why.values()] == sorted(map(abs, why.values()), reverse=True)


def test_another_label_may_be_asked_about(model):
    against = dict(explain(model, "tolong reset totp bang", label="PASSWORD"))
    assert against["totp"] < 0


def test_long_mails_are_explained_by_their_telling_words(model):
    text = " ".join([f"kata{'abcdefghij'[i % 10]}{'klmnopqrst'[i // 10]}" for i in range(100)] + ["reset totp"])
    why = explain(model, text, most=6)
    assert len(why) == 6 and "totp" in dict(why)


@pytest.mark.parametrize("text", ["", None, "😭", "[SEP]"])
def test_nothing_to_explain(model, text):
    assert explain(model, text) == []


def test_similar_tickets_come_with_what_solved_them(model):
    row = model.features.transform([preprocess("moban bang foto redaman ilang")])
    found = similar(model.past, row, k=3)
    assert len(found) == 3 and len({(t.text, t.solving) for t in found}) == 3
    assert model.labels[found[0].y] == "EVIDENCE"
    assert any(ticket.solving == SOLUTIONS["EVIDENCE"] for ticket in found)
    assert 1.001 > found[0].likeness >= found[1].likeness >= found[2].likeness > 0


def test_nothing_is_similar_to_nothing(model):
    assert similar(model.past, model.features.transform([""])) == []


def test_nearest_agrees_with_comparing_all():
    texts = [preprocess(text) for text in tickets(300)[0]]
    features, rows = fit_features(texts)
    index = index_tickets(rows)
    found, likeness = nearest(index, rows, k=5, num_threads=2)
    kept = rows.multiply(~index.common).tocsr()
    norms = np.sqrt(np.asarray(kept.multiply(kept).sum(axis=1)).ravel())
    cosine = (kept @ kept.T).toarray() / np.maximum(np.outer(norms, norms), 1e-9)
    best = -np.sort(-cosine, axis=1)[:, :5]
    assert np.abs(likeness - best).max() < 0.02
    fold = np.arange(300) % 5
    others, _ = nearest(index, rows, k=5, group_of=fold, group=fold)
    assert (fold[others[others >= 0]] != np.repeat(fold, (others >= 0).sum(axis=1))).all()
    assert nearest(index, rows[:0], k=5)[0].shape == (0, 5)


def test_fifty_thousand_tickets_are_searched_in_milliseconds():
    rng = np.random.default_rng(0)
    words = np.array([a + b + c for a in "bcdfgklmnp" for b in "aiueo" for c in "bcdfgklmnp"] * 20)
    words = np.array([f"{w}{'abcdefghijklmnopqrst'[i // 500]}" for i, w in enumerate(words)])
    often = 1 / (np.arange(len(words)) + 10.0)
    said = rng.choice(words, (50_000, 12), p=often / often.sum())
    features, rows = fit_features([" ".join(row) for row in said])
    index = index_tickets(rows)
    nearest(index, rows[:1])
    times = []
    for row in range(200):
        start = time.perf_counter()
        found, _ = nearest(index, rows[row])
        times.append(time.perf_counter() - start)
        assert row in found
    assert np.median(times) < 0.005


@pytest.mark.parametrize("text", [
    "hub 081234567890 ya", "email budi.planted@contoh.co.id", "nik 3174012345678901", "wo WO12345678", "cc @budi_teknisi",
    "inet 152412204567", "sc-1001928374 min", "+62 812-3456-7890",
])
def test_shown_tickets_hold_no_numbers_and_names(text):
    shown = without_names(text)
    for planted in ("0812", "3456", "budi", "31740", "12345678", "1524", "10019"):
        assert planted not in shown
    assert len(without_names("kata " * 1000)) <= 300


def test_the_model_folder_holds_no_personal_data(tmp_path):
    texts, solvings, labels = tickets(120)
    texts = [f"{text} hub 0812-3456-7890 @budi_teknisi nik 3174012345678901" for text in texts]
    model = fit_classifier(texts, [s and f"{s} kabari ani@contoh.co.id" for s in solvings], labels)
    model.save(tmp_path / "v1")
    content = b"".join(path.read_bytes() for path in (tmp_path / "v1").iterdir())
    for planted in (b"3456-7890", b"budi_tek", b"3174012345", b"ani@"):
        assert planted not in content
    row = model.features.transform([preprocess(texts[0])])
    again = SymptomClassifier.load(tmp_path / "v1")
    assert similar(again.past, row) == similar(model.past, row) != []


def planted(n=4000, k=6, share=0.05, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, n)
    scores = rng.normal(0, 1, (n, k))
    scores[np.arange(n), truth] += 3
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    wrong = rng.random(n) < share
    return truth, np.where(wrong, (truth + rng.integers(1, k, n)) % k, truth), p, wrong


def test_planted_label_errors_are_found():
    truth, y, p, wrong = planted()
    rows, better = doubtful(y, p)
    assert wrong[rows].sum() > 0.5 * wrong.sum()
    assert wrong[rows[:100]].mean() > 0.9
    assert (better == truth[rows])[:100].mean() > 0.9
    assert (better != y[rows]).all()


def test_clean_labels_raise_little_doubt():
    truth, y, p, _ = planted(share=0)
    assert len(doubtful(y, p)[0]) < 0.05 * len(y)


def test_doubt_needs_no_rows_of_every_class():
    rows, _ = doubtful(np.array([0, 0, 1]), np.array([[0.9, 0.1, 0], [0.05, 0.95, 0], [0.1, 0.9, 0]]))
    assert rows.tolist() == [1]
    assert doubtful(np.empty(0, int), np.empty((0, 3)))[0].tolist() == []
