"Planted faults: each of them looks like success, and each must be noticed."
import numpy as np
import pandas as pd
import pytest
from ml_data import tickets

from mytech.ml.calibration import fit_pool, pool
from mytech.ml.classifier import ModelError, SymptomClassifier, fit_classifier
from mytech.ml.decision import target_precision
from mytech.ml.evaluation import evaluate, overconfident, seen_in_training
from mytech.ml.features import fit_features
from mytech.ml.learners import assign_folds, fit_svm, out_of_fold


@pytest.fixture(scope="module")
def shuffled():
    texts, solvings, labels = tickets(600)
    return fit_classifier(texts, solvings, list(np.random.default_rng(3).permutation(labels)))


def test_shuffled_labels_give_chance_accuracy(shuffled):
    honest = shuffled.out_of_fold
    right = (honest.probabilities.argmax(axis=1) == honest.y).mean()
    assert abs(right - 1 / 6) < 0.06
    texts, solvings, labels = tickets(600, seed=9)
    said = np.array(shuffled.labels)[shuffled.predict_proba(texts, solvings).argmax(axis=1)]
    assert abs((said == np.array(labels)).mean() - 1 / 6) < 0.06


def test_shuffled_labels_automate_nothing(shuffled):
    assert target_precision(shuffled).auto_of == {}


def test_a_duplicate_of_a_test_row_in_training_is_found():
    texts, solvings, labels = tickets(240)
    fresh = [f"{text} {word}" for text, word in zip(tickets(30, seed=7)[0], "abcdefghijklmnopqrstuvwxyzABCD")]
    assert not seen_in_training(texts, fresh).any()
    fresh[11] = "  " + texts[5].replace(" ", "  ").upper() + "!"
    assert seen_in_training(texts, fresh).nonzero()[0].tolist() == [11]
    test = pd.DataFrame({"text": fresh, "label": tickets(30, seed=7)[2]})
    assert evaluate(pd.DataFrame({"text": texts, "label": labels}), test)["n_test_in_train"] == 1


def drawn(n, seed):
    "Tickets whose label follows one of their words seven times of ten."
    rng = np.random.default_rng(seed)
    words = "login foto otp wo apk user order ont reset gagal".split()
    y = rng.integers(0, 4, n).astype(np.int32)
    hint = np.where(rng.random(n) < 0.7, y, rng.integers(0, 4, n))
    return [" ".join([f"tanda{'abcd'[k]}", *rng.choice(words, 6)]) for k in hint], y


def test_a_calibrator_fitted_on_training_scores_is_caught():
    lines, y = drawn(800, 0)
    features, rows = fit_features(lines)
    svm, margins = out_of_fold(fit_svm, rows, y, 4, assign_folds(y))
    honest = fit_pool(margins[None], y)
    cheated = fit_pool(svm.scores(rows)[None], y)
    new, true = drawn(2000, 1)
    scores = svm.scores(features.transform(new))[None]
    caught = {}
    for name, weights in {"honest": honest, "cheated": cheated}.items():
        p = pool(scores, weights)
        caught[name] = overconfident(p.max(axis=1), p.argmax(axis=1) == true)
    assert caught == {"honest": False, "cheated": True}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "v1"
    fit_classifier(*tickets(120)).save(path)
    return path


def test_every_file_of_a_model_is_guarded_against_a_flipped_byte(folder):
    for path in folder.iterdir():
        content = path.read_bytes()
        for at in np.random.default_rng(0).integers(0, len(content), 5):
            path.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1:])
            with pytest.raises(ModelError) as error:
                SymptomClassifier.load(folder)
            assert str(folder) in str(error.value)
        path.write_bytes(content)
    SymptomClassifier.load(folder)
