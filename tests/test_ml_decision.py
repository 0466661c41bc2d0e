"Decisions: tables of thresholds, and thresholds chosen for a wanted precision."
from types import SimpleNamespace

import numpy as np
import pytest
from ml_data import tickets

from mytech.ml.classifier import OutOfFold, Scored, fit_classifier
from mytech.ml.decision import (MIN_ROWS, Policy, decide, four_tier, lowest_threshold, own_thresholds, policy_named,
                                target_precision, two_tier, wilson_lower)


def scored(confidence, second=0.0, in_scope=1.0, label="A"):
    return Scored(label, confidence, ((label, confidence), ("B", second)), in_scope)


@pytest.mark.parametrize("confidence, two, four", [
    (1.0, "AUTO", "AUTO"), (0.90, "AUTO", "AUTO"), (0.8999, "AUTO", "HIGH_REVIEW"), (0.85, "AUTO", "HIGH_REVIEW"),
    (0.8499, "AUTO", "MEDIUM_REVIEW"), (0.75, "AUTO", "MEDIUM_REVIEW"), (0.7499, "REVIEW", "MEDIUM_REVIEW"),
    (0.70, "REVIEW", "MEDIUM_REVIEW"), (0.6999, "REVIEW", "MANUAL"), (0.0, "REVIEW", "MANUAL"),
])
def test_tiers(confidence, two, four):
    assert decide(scored(confidence), two_tier()) == two
    assert decide(scored(confidence), four_tier()) == four


@pytest.mark.parametrize("policy, status", [(two_tier(0.4), "REVIEW"), (four_tier(0.45, 0.44, 0.4), "HIGH_REVIEW")])
def test_automatic_needs_a_margin_and_to_be_in_scope(policy, status):
    assert decide(scored(0.5, second=0.1), policy) == "AUTO"
    assert decide(scored(0.5, second=0.45), policy) == status
    assert decide(scored(0.99, in_scope=0.49), policy) in ("REVIEW", "HIGH_REVIEW")


@pytest.mark.parametrize("thresholds", [(0.8, 0.9, 0.7), (0.9, 0.9, 0.7), (0.9, 0.8, 0.8), (1.1, 0.8, 0.7), (0.9, 0.8, -0.1)])
def test_to_automate_takes_more_than_to_suggest(thresholds):
    with pytest.raises(ValueError, match="must fall"):
        four_tier(*thresholds)


def test_policy_by_name():
    assert policy_named("two-tier", None, auto=0.8) == two_tier(0.8)
    assert policy_named("four-tier", None, high=0.8) == four_tier(high=0.8)
    with pytest.raises(ValueError, match="three-tier"):
        policy_named("three-tier", None)


@pytest.mark.parametrize("right, n, lower", [(30, 30, 0.9173), (97, 100, 0.9273), (2910, 3000, 0.9644), (0, 10, 0.0)])
def test_wilson(right, n, lower):
    assert wilson_lower(np.array([right]), np.array([n]))[0] == pytest.approx(lower, abs=2e-4)


def test_ties_are_taken_whole():
    sure, correct = np.repeat([0.9, 0.8], [100, 100]), np.repeat([True, False], [100, 100])
    correct[100:160] = True
    assert lowest_threshold(sure, correct, 0.95, np.ones(200)) == 0.9
    assert lowest_threshold(sure, correct, 0.5, np.ones(200)) == 0.8
    assert lowest_threshold(np.empty(0), np.empty(0, bool), 0.95, np.empty(0)) is None


def world(n=6000, classes=4, strangers=1000, seed=0, bad=None):
    "A model that is right as often as it says; class `bad` is right less often than it says."
    rng = np.random.default_rng(seed)
    top, sure = rng.integers(0, classes, n + strangers), rng.uniform(0.4, 1, n + strangers)
    p = np.full((n + strangers, classes), 0.0)
    rows = np.arange(n + strangers)
    p[rows, (top + 1) % classes] = 1 - sure
    p[rows, top] = sure
    right = rng.random(n + strangers) < np.where(top == bad, sure - 0.1, sure)
    y = np.where(right, p.argmax(axis=1), (p.argmax(axis=1) + 1) % classes)
    in_scope = np.append(rng.beta(30, 1, n), rng.beta(1.5, 2, strangers))
    names = tuple("ABCDEFGH"[:classes])
    scope = SimpleNamespace(insiders=in_scope[:n], strangers=in_scope[n:], probabilities=p[n:])
    return SimpleNamespace(labels=names, out_of_fold=OutOfFold(y[:n], p[:n]), scope=scope,
                           about={"tickets": n, "rows": dict(zip(names, np.bincount(y[:n], minlength=classes).tolist()))})


def automatic(model, policy):
    "Of tickets and strangers: which are AUTO, and were they right."
    p = np.concatenate([model.out_of_fold.probabilities, model.scope.probabilities])
    y = np.append(model.out_of_fold.y, np.full(len(model.scope.strangers), -1))
    inside = np.append(model.scope.insiders, model.scope.strangers)
    auto = []
    for row, value in zip(p, inside):
        first, second = np.argsort(-row)[:2]
        names = model.labels
        auto.append(decide(Scored(names[first], row[first], ((names[first], row[first]), (names[second], row[second])), value),
                           policy) == "AUTO")
    return np.array(auto), p.argmax(axis=1) == y, p.argmax(axis=1)


@pytest.mark.parametrize("wanted", [0.8, 0.9, 0.95])
def test_wanted_precision_is_kept_on_new_tickets_and_strangers(wanted):
    policy = target_precision(world(seed=1), wanted)
    auto, correct, _ = automatic(world(seed=2), policy)
    assert auto.any()
    assert correct[auto].mean() >= wanted - 0.015


def test_a_bad_class_must_be_surer():
    policy = target_precision(world(bad=2), 0.9)
    assert policy.auto_of["C"] > policy.auto_of["A"] + 0.03


def test_more_wanted_is_fewer_automatic():
    shares = [automatic(world(seed=2), target_precision(world(seed=1), wanted))[0].mean() for wanted in (0.8, 0.9, 0.95)]
    assert shares == sorted(shares, reverse=True) and shares[0] > shares[2]


def test_what_cannot_be_promised_is_never_automatic():
    policy = target_precision(world(n=60, strangers=10), 0.99)
    assert policy == Policy((("AUTO", 1.0),), "REVIEW", {})
    assert decide(scored(1.0), policy) == "REVIEW"


def test_unknown_label_is_never_automatic():
    assert decide(scored(1.0, label="NEW"), target_precision(world(), 0.9)) == "REVIEW"


def test_own_thresholds_borrow_where_there_is_little_evidence():
    sure = np.linspace(0.5, 1, 1000)
    label = np.zeros(1000, int)
    label[-5:] = 1
    correct = np.ones(1000, bool)
    correct[-1] = False
    own = own_thresholds(label, sure, correct, np.ones(1000), 0.95, 3)
    assert own[2] == 0 and own[1] <= sure[-5]


@pytest.mark.parametrize("reviewed, automatic", [(MIN_ROWS - 1, False), (MIN_ROWS, True)])
def test_rare_classes_count_tickets_not_lines(reviewed, automatic):
    "Every ticket of the rare class has a solution, so there are twice as many lines as tickets."
    texts, solvings, labels = tickets(600)
    rare = ["valins odp port penuh gagal"] * 3 + ["id valins tidak keluar"] * 3
    texts, labels = texts + [f"{rare[i % 6]} {i * 7919}" for i in range(reviewed)], labels + ["VALINS"] * reviewed
    model = fit_classifier(texts, solvings + ["valins sudah dicek"] * reviewed, labels)
    assert ("VALINS" in target_precision(model, 0.8).auto_of) == automatic
