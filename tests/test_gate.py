"The gate: planted bad challengers are refused for the right reason, good ones pass, few tickets or many."
from dataclasses import replace

import numpy as np
import pytest

from mytech.ml.evaluation import expected_calibration_error
from mytech.ops.gate import (
    Answers,
    Bounds,
    HeldOut,
    differences,
    excess_ece,
    judge,
    load_held_out,
    save_held_out,
    verdict_table,
)

CLASSES = tuple(f'KELAS {n:02d}' for n in range(12))
SHARES = np.array([.25, .2, .12, .1, .08, .06, .05, .04, .04, .03, .02, .01])


def tickets(n, seed):
    return np.random.default_rng(seed).choice(len(CLASSES), n, p=SHARES)


def world(y, seed):
    "How easy each ticket is: what two honest models have in common."
    lot = np.random.default_rng(seed)
    return lot.normal(0, 1.2, (len(y), len(CLASSES)))


def softmax(logits):
    logits = np.exp(logits - logits.max(axis=1, keepdims=True))
    return logits / logits.sum(axis=1, keepdims=True)


def honest(y, noise, skill, seed):
    "A model that is calibrated by construction: the posterior of noisy evidence."
    lot = np.random.default_rng(seed)
    evidence = noise + lot.normal(0, .5, noise.shape)
    spread = np.sqrt(1.2**2 + .5**2)
    evidence[np.arange(len(y)), y] += skill
    return Answers(CLASSES, softmax(evidence * skill / spread**2 + np.log(SHARES)), .3, 12)


@pytest.fixture(scope='module', params=[300, 3000], ids=lambda n: f'{n} tickets')
def held_out(request):
    y = tickets(request.param, 7)
    noise = world(y, 8)
    return HeldOut(np.array(CLASSES)[y], CLASSES, honest(y, noise, 3.9, 1), honest(y, noise, 3.4, 2))


def test_the_stand_ins_are_calibrated_and_the_better_one_passes(held_out):
    for model in (held_out.champion, held_out.challenger):
        assert excess_ece(model.confidence, model.predicted == held_out.truth) < .03
    verdict = judge(held_out)
    assert verdict.passed, verdict.reasons
    assert set(verdict_table(verdict).passed) == {'yes'}


def shuffled(held_out):
    "Labels shuffled before training: says anything, at the classes' shares."
    lot = np.random.default_rng(3)
    probabilities = softmax(np.log(SHARES) + lot.normal(0, .3, held_out.challenger.probabilities.shape))
    return replace(held_out.challenger, probabilities=probabilities)


def without(held_out, gone):
    "A model that never saw these classes."
    kept = [i for i, label in enumerate(CLASSES) if label not in gone]
    left = held_out.challenger.probabilities[:, kept]
    return replace(held_out.challenger, labels=tuple(CLASSES[i] for i in kept),
                   probabilities=left / left.sum(axis=1, keepdims=True))


def overconfident(held_out):
    return replace(held_out.challenger, probabilities=softmax(9 * np.log(held_out.challenger.probabilities + 1e-12)))


PLANTED = {
    'labels shuffled': (shuffled, ['accuracy', 'macro-F1', 'better']),
    'a frequent class dropped': (lambda h: without(h, CLASSES[2:3]), ['classes kept', 'recall of a class']),
    'the rarest class dropped': (lambda h: without(h, CLASSES[-1:]), ['classes kept']),
    'trained on half the classes': (lambda h: without(h, CLASSES[::2]),
                                    ['tickets of unknown classes', 'macro-F1', 'classes kept']),
    'over-confident': (overconfident, ['calibration error']),
    'ten times slower': (lambda h: replace(h.challenger, milliseconds=3.0), ['time a ticket']),
    'ten times larger': (lambda h: replace(h.challenger, megabytes=400), ['size']),
    'the champion itself': (lambda h: h.champion, ['better']),
}


@pytest.mark.parametrize('planted', PLANTED)
def test_a_planted_bad_challenger_is_refused_with_the_right_reason(held_out, planted):
    make, expected = PLANTED[planted]
    verdict = judge(replace(held_out, challenger=make(held_out)))
    failed = [check.name for check in verdict.checks if not check.passed]
    assert not verdict.passed and set(expected) <= set(failed), verdict.reasons
    assert len(verdict.reasons) == len(failed) and all('wanted' in reason for reason in verdict.reasons)


@pytest.mark.parametrize('planted', ['labels shuffled', 'trained on half the classes', 'over-confident'])
def test_the_first_model_too_must_pass(held_out, planted):
    assert judge(replace(held_out, champion=None)).passed
    verdict = judge(replace(held_out, champion=None, challenger=PLANTED[planted][0](held_out)))
    assert verdict.reasons and verdict.reasons[0].startswith(
        {'labels shuffled': 'accuracy', 'over-confident': 'calibration'}.get(planted, 'tickets of unknown'))


def test_absolute_costs_of_a_first_model(held_out):
    heavy = replace(held_out.challenger, milliseconds=11, megabytes=501)
    assert [reason.split(':')[0] for reason in judge(HeldOut(held_out.truth, CLASSES, heavy)).reasons] == [
        'time a ticket', 'size']


def test_small_held_out_sets_let_honest_models_in_and_bad_ones_not():
    better, worse = [], []
    for seed in range(20):
        y = tickets(100, seed)
        noise, truth = world(y, 100 + seed), np.array(CLASSES)[y]
        models = [honest(y, noise, skill, 200 + seed) for skill in (2.6, 3.4, 4.2)]
        better.append(judge(HeldOut(truth, CLASSES, models[2], models[1])).passed)
        worse.append(judge(HeldOut(truth, CLASSES, models[0], models[1])).passed)
    assert sum(better) >= 12 and sum(worse) <= 1, (sum(better), sum(worse))


@pytest.mark.parametrize('n', [40, 100, 400])
def test_calibration_error_of_few_tickets_is_not_held_against_an_honest_model(n):
    raw, beyond = [], []
    for seed in range(20):
        y = tickets(n, seed)
        model = honest(y, world(y, seed), 3.4, 50 + seed)
        right = model.predicted == np.array(CLASSES)[y]
        raw.append(expected_calibration_error(model.confidence, right))
        beyond.append(excess_ece(model.confidence, right))
    assert np.mean(np.array(beyond) <= Bounds().ece) >= .9
    if n == 40: assert np.mean(np.array(raw) > Bounds().ece) > .5, 'else the correction would not be needed'


def test_the_bootstrap_pairs(held_out):
    same = differences(replace(held_out, challenger=held_out.champion), draws=50)
    assert same.shape == (50, 2) and not same.any()
    there = differences(held_out, draws=50)
    back = differences(replace(held_out, challenger=held_out.champion, champion=held_out.challenger), draws=50)
    np.testing.assert_allclose(there, -back)


def test_a_class_renamed_in_the_data_may_go(held_out):
    renamed = tuple('KELAS BARU' if label == CLASSES[-1] else label for label in CLASSES)
    truth = np.where(held_out.truth == CLASSES[-1], 'KELAS BARU', held_out.truth)
    new = replace(held_out, truth=truth, classes=renamed,
                  challenger=replace(held_out.challenger, labels=renamed))
    assert judge(new).passed, judge(new).reasons


def test_a_champion_that_knows_none_of_the_classes_is_no_obstacle(held_out):
    foreign = replace(held_out.champion, labels=tuple(f'LAIN {n}' for n in range(12)))
    assert judge(replace(held_out, champion=foreign)).passed


def test_no_tickets_no_verdict(held_out):
    nothing = Answers(CLASSES, np.empty((0, 12)))
    with pytest.raises(ValueError, match='no held-out tickets'):
        judge(HeldOut(np.array([], dtype=str), CLASSES, nothing))


@pytest.mark.filterwarnings('ignore:invalid value')
def test_numbers_that_are_none_are_refused(held_out):
    nan = replace(held_out.challenger, probabilities=np.full_like(held_out.challenger.probabilities, np.nan))
    assert not judge(replace(held_out, challenger=nan)).passed
    assert not judge(replace(held_out, challenger=replace(held_out.challenger, milliseconds=np.nan))).passed


def test_kept_answers_give_the_same_verdict_and_hold_arrays_only(held_out, tmp_path):
    save_held_out(tmp_path/'held_out.npz', held_out)
    again = load_held_out(tmp_path/'held_out.npz')
    assert judge(again).reasons == judge(held_out).reasons == ()
    with np.load(tmp_path/'held_out.npz', allow_pickle=False) as file:
        assert {file[name].dtype.kind for name in file} <= {'U', 'f'}
    save_held_out(tmp_path/'first.npz', replace(held_out, champion=None))
    assert load_held_out(tmp_path/'first.npz').champion is None
