"Suggestions at arrival: posted once, for ops to judge, in nobody else's sight."
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import numpy as np
import pytest
from admin_desk import BUDI, LABELS, MAYA, RINA, Admins, tickets

from mytech.bots.suggest import hand_out
from mytech.core.schema import Message, Prediction, Status
from mytech.core.texts import say
from mytech.ml.features import fit_features
from mytech.ml.neighbours import remember
from mytech.ml.preprocessing import preprocess
from mytech.services.store import actions, open_store, reviews
from mytech.services.tickets import change_ticket, migrate_chat, note_chat, open_ticket, save_predictions, save_review

DESK, AYU, FAJAR = -1001000000009, 201, 777


def now(): return datetime.now(timezone.utc)


@pytest.fixture
def desk():
    made = Admins(open_store('sqlite://'), {'suggest_chat_id': str(DESK), 'ops_user_ids': str(AYU)})
    hand_out(made.office, now())
    return made


def arrives(desk, ago=0, n=1):
    "New tickets, and what is shown of them."
    ids = tickets(desk.store, n, ago)
    hand_out(desk.office, now())
    return ids, desk.sends()[0]


@pytest.fixture
def shown(desk):
    (ticket,), (message,) = arrives(desk)
    return ticket, message


def labels(desk): return [(row.ticket_id, row.label, row.reviewer) for row in desk.rows(reviews)]


def test_a_new_ticket_is_posted_once_with_three_buttons(desk, shown):
    _, message = shown
    assert message.chat == DESK and 'tdk bisa login &lt;0&gt;' in message.text and LABELS[0] in message.text
    assert [button['text'] for button in message.buttons] == [f'{LABELS[0]} · 30 %', f'{LABELS[1]} · 20 %', f'{LABELS[2]} · 10 %']
    assert hand_out(desk.office, now()) == 0 and desk.sends() == ([], [])


def test_it_shows_what_solved_the_two_most_similar_tickets(desk):
    texts = ['tdk bisa login min', 'tidak bisa login mytech', 'login tdk bisa hp 081234567890', 'ont tidak terbaca', 'speedtest gagal', 'wo belum masuk'] * 3
    solved = ['', 'sudah direset', 'sudah dibuka', 'sudah diganti', 'sudah ditest', 'sudah sinkron'] * 3
    features, rows = fit_features([preprocess(text) for text in texts], 1)
    past = remember(rows, texts, solved, np.arange(18) % 6)
    desk.live = SimpleNamespace(current=lambda: (1, SimpleNamespace(features=features, past=past, labels=LABELS)))
    _, (message,) = arrives(desk)
    assert message.text.count('→') == 2 and 'sudah direset' in message.text and 'sudah dibuka' in message.text
    assert '081234567890' not in message.text


def test_each_of_many_is_posted_once_by_two_that_look(desk):
    ids = tickets(desk.store, 30, 0)
    assert hand_out(desk.office, now()) + hand_out(desk.office, now()) == 30
    assert sorted(message.page.buttons[0][0][2] for message in desk.sends()[0]) == ids


def test_what_is_old_or_solved_is_not_posted(desk):
    assert arrives(desk, ago=11)[1] == []
    (ticket,) = tickets(desk.store, 1, 0)
    with desk.store.write() as connection: change_ticket(connection, ticket, solved_at=now())
    assert hand_out(desk.office, now()) == 0


@pytest.mark.parametrize('who, name', [(AYU, 'X'), (MAYA, 'Maya')])
def test_a_press_is_a_review_with_who_and_when(desk, shown, who, name):
    ticket, message = shown
    changed, toasts = desk.presses(message, LABELS[1], who)
    assert labels(desk) == [(ticket, LABELS[1], name)] and toasts == [f'Tersimpan: {LABELS[1]}']
    (review,) = desk.rows(reviews)
    assert now() - review.reviewed_at < timedelta(minutes=1)
    assert (who, 'review', str(ticket)) in desk.did()
    (message,) = changed
    assert f'✓ <b>{LABELS[1]}</b> — {name}' in message.text and len(message.buttons) == 1


def test_a_technician_s_press_is_refused(desk, shown):
    ticket, message = shown
    for who in (BUDI, FAJAR):
        assert desk.presses(message, LABELS[1], who)[0] == []
    assert labels(desk) == [] and not [row for row in desk.rows(actions) if row.action == 'review']


def test_the_second_press_and_one_after_a_review_elsewhere_change_nothing(desk):
    (one, two), messages = arrives(desk, n=2)
    desk.presses(messages[0], LABELS[0], AYU)
    with desk.store.write() as connection: save_review(connection, two, LABELS[5], 'sheet', now())
    for message, label in zip(messages, (LABELS[0], LABELS[5])):
        changed, toasts = desk.presses(message, LABELS[2], RINA)
        assert 'Tidak ada yang disimpan' in toasts[0] and label in changed[0].text
    assert [row[1] for row in labels(desk)] == [LABELS[0], LABELS[5]]


def test_who_pressed_takes_it_back_and_nobody_else(desk, shown):
    ticket, message = shown
    decided = desk.presses(message, LABELS[1], AYU)[0][0]
    assert 'milik' in desk.presses(decided, user=MAYA)[1][0] and len(labels(desk)) == 1
    changed, _ = desk.presses(decided, user=AYU)
    assert labels(desk) == [] and len(changed[0].buttons) == 3 and (AYU, 'undo', str(ticket)) in desk.did()
    desk.presses(changed[0], LABELS[0], AYU)
    mark_trained = reviews.update().values(status='TRAINED')
    with desk.store.write() as connection: connection.execute(mark_trained)
    assert desk.presses(decided, user=AYU) == ([], [say('already_learned', 'id')]) and len(labels(desk)) == 1


FOREIGN = ['0:suggest:{ticket}:0:00000000', '0:suggest:999999:0:{mark}', '0:suggest:{ticket}:1:{mark}', '0:suggest:{ticket}:0:undo', '0:suggest:{ticket}', '0:suggest:x:0:{mark}',
           '0:suggest', '0:promote:1:1', f'{AYU}:label:{{ticket}}:0:{{mark}}', '0:label:{ticket}:0:{mark}', '0:run:/retrain force', '0:suggestion:{ticket}', '']


@pytest.mark.parametrize('data', FOREIGN)
def test_made_up_buttons_change_nothing(desk, shown, data):
    ticket, message = shown
    mark = message.page.buttons[1][0][4]
    desk.presses(message, user=AYU, data=data.format(ticket=ticket, mark=mark))
    assert labels(desk) == [] and not [row for row in desk.rows(actions) if row.action not in ('refused',)]


def test_a_button_that_was_carried_to_another_chat_is_refused(desk, shown):
    _, message = shown
    message.chat = -1001000000077
    assert desk.presses(message, LABELS[1], AYU)[0] == [] and labels(desk) == []


def test_nobody_asked_for_suggestions(desk):
    desk.changes = {'ops_user_ids': str(AYU)}
    assert arrives(desk)[1] == []


def test_a_chat_that_has_become_the_technicians_group_gets_none(desk):
    desk.changes |= {'tech_chat_id': '-1005'}
    with desk.store.write() as connection:
        note_chat(connection, -1005, 'Teknisi')
        migrate_chat(connection, -1005, DESK)
    assert arrives(desk)[1] == []


def test_a_ticket_of_no_model_is_passed_over_and_does_not_stop_the_others(desk):
    with desk.store.write() as connection:
        note_chat(connection, -1005, 'Teknisi')
        open_ticket(connection, Message(-1005, 5000, BUDI, now(), 'tanpa model'))
        later = open_ticket(connection, Message(-1005, 5001, BUDI, now(), 'dengan model'))
        save_predictions(connection, {later: Prediction(LABELS[0], .9, Status.AUTO, ((LABELS[0], .9),))}, now())
    hand_out(desk.office, now())
    assert [message.page.buttons[0][0][2] for message in desk.sends()[0]] == [later]
