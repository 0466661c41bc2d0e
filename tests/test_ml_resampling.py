"Resampling: as many rows as asked for, nothing invented, and nothing that leaks across a fold."
import numpy as np
import pytest

import mytech.ml.classifier as classifier
from mytech.ml.classifier import fit_classifier
from mytech.ml.features import fit_features
from mytech.ml.learners import assign_folds, fit_svm, out_of_fold
from mytech.ml.resampling import Resampling, resample

WORDS = "login foto otp wo apk user order ont lupa reset gagal upload mental lambat kosong salah".split()


def noise(n=240, seed=0):
    "Texts whose labels were drawn by lot: nobody can know them without having seen them."
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, 6)) for _ in range(n)], rng.choice(["A", "B", "OTHER"], n)


def right(scores, y):
    return (scores.argmax(axis=1) == y).mean()


def test_resampling_before_the_split_would_leak_and_inside_it_does_not():
    texts, labels = noise()
    names, y = np.unique(labels, return_inverse=True)
    rows, targets = fit_features(texts)[1], np.full(3, 800)
    many, copies = resample(rows, y, targets)
    leaking = out_of_fold(fit_svm, many, copies, 3, assign_folds(copies))[1]
    assert right(leaking, copies) > 0.8
    honest = fit_classifier(texts, None, labels, resampling=Resampling(n_catch_all=50, n_others=1600)).out_of_fold
    assert right(honest.probabilities, honest.y) < 0.45


def test_a_fit_is_given_rows_of_its_own_folds_only(monkeypatch):
    texts, labels = noise()
    given = []
    monkeypatch.setattr(classifier, "resample", lambda rows, y, *rest: given.append(len(y)) or resample(rows, y, *rest))
    model = fit_classifier(texts, None, labels, num_threads=1, resampling=Resampling(n_catch_all=50, n_others=400))
    n = len(texts)
    assert given == [n, *[n - n // 5] * 5] * len(model.learners)
    assert len(model.out_of_fold.y) == n


@pytest.mark.parametrize("have, targets", [([5, 9], [20, 9]), ([1, 9], [4, 3]), ([6, 6], [6, 2])])
def test_as_many_as_wanted(have, targets):
    y = np.repeat([0, 1], have)
    rows = fit_features(noise(len(y))[0], min_count=1)[1]
    more, classes = resample(rows, y, np.array(targets))
    assert np.bincount(classes).tolist() == targets and more.shape == (sum(targets), rows.shape[1])


def test_rare_classes_are_heard_more():
    have = np.repeat([0, 1, 2], [3, 300, 60])
    assert Resampling(n_catch_all=100, n_others=630).targets(("A", "OTHER", "B"), have).tolist() == [30, 100, 600]
    assert Resampling().targets(("A", "OTHER", "B"), have)[1] == 300


def test_same_seed_same_rows():
    texts, labels = noise()
    y = np.unique(labels, return_inverse=True)[1]
    rows = fit_features(texts)[1]
    one, other = (resample(rows, y, np.full(3, 200))[0] for _ in range(2))
    assert (one != other).nnz == 0
