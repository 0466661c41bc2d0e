"Out of scope: strangers are told apart, without and with examples of them, for any number of classes."
import numpy as np
import pytest
from ml_data import STRANGERS, WORDS, tickets

from mytech.ml.classifier import SymptomClassifier, fit_classifier
from mytech.ml.evaluation import auroc
from mytech.ml.features import fit_features
from mytech.ml.learners import assign_folds, fit_svm, out_of_fold
from mytech.ml.calibration import fit_pool, pool
from mytech.ml.scope import fit_scope, unknown_share


def fitted(lines, y, n_classes, given=None):
    "Features, SVM, pool weights and scope, as the classifier fits them."
    features, rows = fit_features(lines)
    fold_of = assign_folds(y)
    svm, margins = out_of_fold(fit_svm, rows, y, n_classes, fold_of)
    weights = fit_pool(margins[None], y)
    if given:
        asked = svm.scores(features.transform(given))
        given = given, pool(asked[None], weights), asked
    scope = fit_scope(features, rows, lines, y, fold_of, pool(margins[None], weights), margins, fit_svm, given)

    def score(lines):
        asked = svm.scores(features.transform(lines))
        return scope.score(features, lines, pool(asked[None], weights), asked)
    return scope, score


def lines(n_classes, n=60, seed=0, own=6):
    "Made-up words: each class has `own` of its own, all share some."
    rng = np.random.default_rng(seed)
    y = np.arange(n_classes * n) % n_classes
    said = [" ".join([*rng.choice([f"w{k}x{i}".translate(DIGITS) for i in range(own)], 3, False), *rng.choice(WORDS, 2)])
            for k in y]
    return said, y.astype(np.int32)


DIGITS = str.maketrans("0123456789", "qwertyuiop")


@pytest.mark.parametrize("n_classes", [3, 4, 6, 20])
def test_hidden_classes_are_strangers(n_classes):
    said, y = lines(n_classes + 2)
    scope, score = fitted([s for s, k in zip(said, y) if k < n_classes], y[y < n_classes], n_classes)
    new, k = lines(n_classes + 2, n=20, seed=1)
    inside = k < n_classes
    values = score(new)
    assert ((0 <= values) & (values <= 1)).all()
    assert auroc(values[inside], values[~inside]) > 0.95


def test_two_classes_cannot_be_hidden_but_are_scored():
    said, y = lines(2)
    scope, score = fitted(said, y, 2)
    assert len(scope.strangers) == 0
    assert (score(said) > 0.5).mean() > 0.9
    assert score(["zzz yyy xxx"])[0] < 0.5


def test_known_strangers_help():
    said, y = lines(6)
    chat = [f"{a} {b} halo semua" for a in WORDS for b in WORDS if a != b]
    without, _ = fitted(said, y, 6), None
    with_them = fitted(said, y, 6, given=chat[::2])
    keeps = lambda score: auroc(score(lines(6, 20, 1)[0]), score(chat[1::2]))
    assert keeps(with_them[1]) >= keeps(without[1])
    assert with_them[1](chat[1::2]).mean() < 0.2


def test_scope_does_not_depend_on_threads():
    said, y = lines(6)
    assert (fitted(said, y, 6)[0].insiders == fitted(said, y, 6)[0].insiders).all()


def test_more_unknown_words_are_never_more_in_scope():
    said, y = lines(6)
    _, score = fitted(said, y, 6)
    values = score([said[0], said[0] + " zebra", said[0] + " zebra jerapah kuda nil"])
    assert values[0] >= values[1] >= values[2]


def test_numbers_say_nothing_about_the_scope():
    features, _ = fit_features(["login gagal", "login gagal"])
    assert unknown_share(features, ["login gagal", "login gagal 152412204567"]).tolist() == [0, 0]
    assert unknown_share(features, []).shape == (0,)
    assert unknown_share(features, ["motor"]).tolist() == [1]


@pytest.fixture(scope="module")
def model():
    return fit_classifier(*tickets())


def test_the_classifier_says_how_much_in_scope(model):
    texts = tickets(60, seed=3)[0]
    inside, outside = model.judge(texts)[1], model.judge(STRANGERS)[1]
    assert auroc(inside, outside) > 0.95
    assert model.predict(texts[0]).in_scope == pytest.approx(inside[0], abs=1e-6)
    assert np.isfinite(model.judge(["", "😭", "[SEP]", "x" * 4000])[1]).all()


def test_scope_survives_saving(model, tmp_path):
    model.save(tmp_path / "v1")
    again = SymptomClassifier.load(tmp_path / "v1")
    assert (again.judge(STRANGERS)[1] == model.judge(STRANGERS)[1]).all()
    assert (again.scope.strangers == model.scope.strangers).all()
