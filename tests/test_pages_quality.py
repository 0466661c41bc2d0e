"The page of quality against the reports and the store: what a number says, and what it leaves open."
import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from mytech.core.config import load_settings
from mytech.core.schema import Message, Prediction
from mytech.ops.evidence import Evidence, by_class, confusion, curve, estimate, in_force, mistakes, numbers, reliability, weigh
from mytech.ops.pages.figures import plain
from mytech.ops.pages.live import Desk, Visit, as_file, changes, perform
from mytech.ops.pages.quality import PAGE, evidence
from mytech.ops.periods import current
from mytech.ops.reports import audited, model_numbers
from mytech.services.passes import Visitor
from mytech.services.store import open_store
from mytech.services.tickets import note_chat, open_ticket, save_predictions, save_review

LABELS = 'LOGIN', 'OTP', 'BAI'


def fill(store, n=900, version='v1', seed=1, first=0):
    "Predictions as sure as they are right; the doubtful ones reviewed, and of AUTO the audit sample and every tenth."
    lot, now = np.random.default_rng(seed), datetime.now(timezone.utc)
    with store.write() as connection:
        note_chat(connection, -1, 'Teknisi')
        for k in range(first, first + n):
            sure, label = float(lot.beta(6, 1)), LABELS[k % 3]
            auto = sure >= .75
            true = label if lot.random() < sure else LABELS[(k + 1) % 3]
            ticket = open_ticket(connection, Message(-1, k, 1, now, f'tdk bisa <b>{k}</b>'))
            said = Prediction(label, sure, 'AUTO' if auto else 'REVIEW', ((label, sure),), model_version=version)
            save_predictions(connection, {ticket: said}, now - timedelta(seconds=1))
            if audited(ticket) or lot.random() < (.1 if auto else .8):
                save_review(connection, ticket, true, 'Maya', now)
    return store


@pytest.fixture(scope='module')
def store():
    store = fill(open_store('sqlite://'))
    yield store
    store.close()


def visit_of(store, language='id', **given):
    desk = Desk(load_settings(None, bot_language=language), store)
    visit = Visit(desk, Visitor(1, 501, 'Maya'), 'quality')
    PAGE.start(visit, {'month': f'{desk.now:%Y-%m}'} | given)
    return visit


def drawn(visit):
    "All regions that changed, by name."
    return {name: content for change in changes(PAGE, visit) for part in change.values() for name, content in part.items()}


def test_the_numbers_are_those_of_the_bots(store):
    visit = visit_of(store)
    found, period = evidence(visit), current('month', visit.desk.now, visit.desk.settings.timezone)
    n = numbers(found)
    with store.read() as connection: said = model_numbers(connection, period.start, period.end)
    assert replace(n, confidence=None) == replace(said, confidence=None) and n.confidence == pytest.approx(said.confidence)
    assert n.audit.n and f'{n.checked.right} dari {n.checked.n} pemeriksaan acak' in drawn(visit)['tiles']


def test_reviews_of_the_doubtful_do_not_bend_the_estimate():
    lot, gap = np.random.default_rng(3), []
    for _ in range(40):
        sure = lot.beta(5, 1, 4000)
        right, auto = lot.random(4000) < sure, sure >= .8
        seen = lot.random(4000) < np.where(auto, .06, .9)
        rate = estimate(right[auto], weigh(sure, auto, seen)[auto])
        gap.append(rate.interval[0] <= right[auto].mean() <= rate.interval[1])
        assert abs(estimate(right, weigh(sure, auto, seen)).value - right.mean()) < .05 < right.mean() - right[seen].mean()
    assert np.mean(gap) >= .85, 'an interval of 95 % holds what it promises, nearly'


def test_each_review_stands_for_others_and_all_of_them_for_all():
    lot = np.random.default_rng(4)
    sure = np.round(lot.random(3000), 2)  # with ties
    auto, seen = sure > .5, lot.random(3000) < .2
    weight = weigh(sure, auto, seen)
    assert not weight[~seen].any() and np.isclose(weight[auto].sum(), auto.sum(), rtol=.02) and np.isclose(weight[~auto].sum(), (~auto).sum(), rtol=.02)
    assert not weigh(sure, auto, seen & auto)[~auto].any() and not weigh(sure, auto, auto & ~auto).any()
    assert weigh(np.full(50, .9), np.ones(50, bool), np.arange(50) < 25).sum() == 50, 'all alike'


def test_with_enough_spot_checks_no_other_review_of_auto_counts(empty):
    def auto_seen(found): return found.table[(found.table.weight > 0) & found.table.auto]
    def read():
        visit = visit_of(empty)
        return evidence(visit)
    fill(empty, 300)
    assert not read().spot and not audited(auto_seen(read()).ticket_id).all()
    fill(empty, 1200, first=300)
    assert read().spot and audited(auto_seen(read()).ticket_id).all() and len(read().seen) > (read().table.weight > 0).sum()


def test_what_a_threshold_would_do(store):
    visit = visit_of(store)
    found = evidence(visit)
    table, n = curve(found, .75).set_index('threshold'), len(found.table)
    assert (table.share.diff().dropna() <= 0).all() and (table.low <= table.high).all()
    assert table.share[.75] * n == pytest.approx(found.table.auto.sum()), 'at the threshold in force: what is automatic'
    held = found.table.assign(auto=found.table.auto & (found.table.label != 'BAI'))
    assert curve(Evidence(held, True, 1., ()), .75).set_index('threshold').share[.8] * n == pytest.approx(
        (held.auto & (held.confidence >= .8)).sum()), 'what was held back stays held back'


@pytest.mark.parametrize('settings, expected', [({}, .75), ({'ml_policy': 'four-tier'}, .9), ({'ml_threshold_auto': 0.0}, 0.0), ({'ml_threshold_auto': .6}, .6)])
def test_the_threshold_in_force(store, settings, expected):
    assert in_force(load_settings(None, **settings), evidence(visit_of(store))) == expected


def test_target_precision_is_told_as_it_came_to_be(store):
    found = evidence(visit_of(store))
    assert in_force(load_settings(None, ml_policy='target-precision'), found) == found.table.confidence[found.table.auto].min()


def test_class_by_class_adds_up(store):
    found = evidence(visit_of(store))
    table, seen = by_class(found), found.seen
    assert table.predicted.sum() == len(found.table) and table.pending.sum() == numbers(found).pending
    assert mistakes(found).n.sum() == (seen.true != seen.label).sum()
    counts = confusion(found)
    assert counts.loc['OTP', 'LOGIN'] == ((seen.true == 'OTP') & (seen.label == 'LOGIN')).sum() and list(counts.index) == list(counts.columns)
    assert reliability(found).predictions.sum() <= len(found.table)


@pytest.mark.parametrize('language', ['id', 'en'])
def test_every_region_is_drawn_and_plotly_takes_every_figure(store, language):
    shown = drawn(visit_of(store, language))
    assert list(shown) == list(PAGE.regions) and not any('class="broken"' in str(one) for one in shown.values())
    figures = {name: one for name, one in shown.items() if isinstance(one, dict)}
    assert {'coverage', 'trust', 'matrix'} <= figures.keys()
    for fig in figures.values():
        go.Figure(plain({key: fig[key] for key in ('data', 'layout')}))
        json.dumps(fig, allow_nan=False)  # a browser reads no NaN
        assert fig['alt']


def test_a_page_without_data_says_what_to_do(empty):
    shown = drawn(visit_of(empty))
    assert 'Pilih periode lain' in shown['tiles'] and not any('class="broken"' in str(one) for one in shown.values())
    assert 'Belum ada prediksi' in as_file(PAGE, visit_of(empty))
    fill(empty, 3, first=1)  # hardly anything
    visit = visit_of(empty, threshold='0.99')
    for content in drawn(visit).values(): json.dumps(content, allow_nan=False)


def test_the_slider_changes_what_it_should_and_the_address(store):
    visit = visit_of(store)
    before = drawn(visit)
    perform(PAGE, visit, {'do': 'threshold', 'value': '0.9'})
    after = drawn(visit)
    assert set(after) == {'outlook', 'coverage'}, 'the slider itself is left alone: somebody holds it'
    assert before['outlook'] != after['outlook'] and '90\xa0%' in after['outlook'] and 'threshold=0.9' in visit.answer['query']
    same = visit_of(store, threshold='0.9')
    assert drawn(same)['outlook'] == after['outlook']
    for wrong in ('nan', '2', 'x', ''): assert 'value="0.75"' in drawn(visit_of(store, threshold=wrong))['slider']


def test_periods_and_versions_are_chosen(empty):
    fill(fill(empty, 40), 40, 'v2', first=40)
    visit = visit_of(empty)
    assert 'v2' in drawn(visit)['filters']
    perform(PAGE, visit, {'do': 'filter', 'name': 'version', 'value': 'v2'})
    assert len(evidence(visit).table) == 40 and 'version=v2' in visit.answer['query']
    perform(PAGE, visit, {'do': 'filter', 'name': 'period', 'value': '2025-07'})
    assert 'Juli 2025' in drawn(visit)['filters'] and not len(evidence(visit).table)
    for name in ('2026-13', 'x', '1-2-3-4', '2026-W60'): assert len(evidence(visit_of(empty, period=name)).table) == 80, 'this month instead'


def test_a_cell_and_a_class_open_their_tickets_and_nothing_becomes_markup(store):
    visit = visit_of(store)
    seen = evidence(visit).seen
    row = mistakes(evidence(visit)).iloc[0]
    perform(PAGE, visit, {'do': 'cell', 'x': 1, 'y': 2, 'value': [row.true, row.label]})
    dialog = visit.answer['dialog']
    assert dialog.count('<tr><td>') == min(row.n, 50) and '<b>' not in dialog and '&lt;b&gt;' in dialog
    perform(PAGE, visit, {'do': 'cell', 'true': 'LOGIN', 'label': 'nothing <i>'})
    assert 'Tidak ada tiket' in visit.answer['dialog'] and '<i>' not in visit.answer['dialog']
    perform(PAGE, visit, {'do': 'class', 'label': 'OTP'})
    wrong = seen[(seen.true != seen.label) & ((seen.true == 'OTP') | (seen.label == 'OTP'))]
    assert visit.answer['dialog'].count('<tr><td>') == min(len(wrong), 50)
    perform(PAGE, visit, {'do': 'sort', 'by': 'ticket_id'})
    assert visit.state.get('by') is None
    perform(PAGE, visit, {'do': 'sort', 'by': 'precision'})
    precision = by_class(evidence(visit)).precision
    shown = drawn(visit)['classes']
    assert pd.Series([shown.index(f'>{label}</button>') for label in precision.sort_values().index]).is_monotonic_increasing


def test_a_file_has_nothing_to_press(store):
    visit = visit_of(store)
    visit.who = Visitor(0, 0, '')
    shown = drawn(visit)
    assert not any('data-do' in str(one) for one in shown.values()) and f'{visit.desk.now:%Y}' in shown['filters']
