"The review page and the desk below it: who decides, who is told, what is taken back."
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from admin_desk import BUDI, LABELS, MAYA, RINA, TECH
from admin_desk import tickets as doubtful

from mytech.core.config import load_settings
from mytech.core.schema import Message, Prediction, Status
from mytech.ml.classifier import SymptomClassifier
from mytech.ops.pages import clerk
from mytech.ops.pages.live import Desk, Visit, as_file, changes, has_more, perform, stamp
from mytech.ops.pages.review import PAGE
from mytech.ops.review import Hand, Refusal, decide
from mytech.services.media import open_shelf
from mytech.services.passes import Visitor
from mytech.services.store import actions, duties, media, open_store, outbox, predictions, reviews
from mytech.services.tickets import note_chat, open_ticket, save_predictions, save_review


@pytest.fixture
def desk(tmp_path):
    store = open_store(f'sqlite:///{tmp_path}/mytech.db', ('sheet',))
    yield Desk(load_settings(None, artifacts_url=str(tmp_path), bot_language='en'), store)
    store.close()


class Person:
    "Somebody with the page open."
    def __init__(self, desk, user_id=MAYA, name='Maya'):
        self.visit, self.screen = Visit(desk, Visitor(user_id, user_id, name), 'review'), {}
        self.look()

    def look(self):
        "What the page shows, after what takes longer."
        for _ in range(2):
            for change in changes(PAGE, self.visit):
                for region, html in change['regions'].items(): self.screen[region] = str(html)
            has_more(PAGE, self.visit)

    def does(self, deed, **told):
        "Presses something; the line at the top."
        self.visit.answer = {}
        perform(PAGE, self.visit, {'do': deed, 'ticket': str(self.ticket), **told})
        self.look()
        return self.visit.answer.get('notice', {}).get('text', '')

    @property
    def ticket(self): return self.visit.state['ticket']
    @property
    def dialog(self): return str(self.visit.answer['dialog'])


def rows(desk, table=reviews):
    with desk.store.read() as connection: return connection.execute(table.select().order_by(*table.primary_key)).all()


def labels(desk): return {row.ticket_id: (row.label, row.status, row.reviewer) for row in rows(desk)}


def told_the_sheet(desk): return [row.payload['ticket'] for row in rows(desk, outbox)]


def alike(desk, texts, label=LABELS[0]):
    "Tickets with these texts that wait under one label."
    now = datetime.now(timezone.utc)
    with desk.store.write() as connection:
        note_chat(connection, TECH, 'Teknisi <b>Jaksel')
        first = 9000 + sum(map(len, texts))
        ids = [open_ticket(connection, Message(TECH, first + n, BUDI, now, text)) for n, text in enumerate(texts)]
        save_predictions(connection, {n: Prediction(label, .4, Status.REVIEW, ((label, .4),)) for n in ids}, now)
    return ids


def test_the_queue_is_worked_off_key_by_key(desk):
    ids = doubtful(desk.store, 20)
    with desk.store.write() as connection: connection.execute(outbox.delete())
    maya, seen = Person(desk), []
    for n in range(20):
        seen.append(maya.ticket)
        assert f'{n} of today' in maya.screen['far'] and f'{20 - n} ' in maya.screen['far']
        assert maya.does('label', label=LABELS[n % 3]) == f'Saved: {LABELS[n % 3]}'
    assert sorted(seen) == ids and 'Everything is reviewed' in maya.screen['ticket'] and maya.screen['buttons'] == ''
    assert labels(desk) == {ticket: (LABELS[n % 3], 'CORRECTED' if n % 3 else 'APPROVED', 'Maya') for n, ticket in enumerate(seen)}
    assert told_the_sheet(desk) == seen
    done = rows(desk, actions)
    assert [(row.user_id, row.user_name, row.action, row.target) for row in done] == [(MAYA, 'Maya', 'review', str(n)) for n in seen]
    assert done[1].before['status'] == 'pending' and done[1].after == {'label': LABELS[1], 'status': 'CORRECTED', 'reviewer': 'Maya'}


def test_what_was_skipped_comes_back_when_asked_for(desk):
    doubtful(desk.store, 2)
    maya = Person(desk)
    for _ in range(2): maya.does('skip')
    assert maya.ticket is None and 'Only 2 tickets are left' in maya.screen['ticket'] and not rows(desk)
    rina = Person(desk, RINA, 'Rina')
    assert rina.does('label', label=LABELS[0]) == f'Saved: {LABELS[0]}', 'the other one has skipped nothing'
    maya.look()
    assert 'Only 1 ticket is left' in maya.screen['ticket']
    maya.does('again')
    assert maya.ticket and LABELS[0] in maya.screen['buttons']


def test_undo_goes_back_step_by_step(desk):
    ids = doubtful(desk.store, 3)
    maya = Person(desk)
    first = maya.ticket
    maya.does('label', label=LABELS[1])
    second = maya.ticket
    maya.does('skip')
    assert maya.does('undo') == 'Undone: 1' and maya.ticket == second
    with desk.store.write() as connection: connection.execute(outbox.delete())
    assert maya.does('undo') == 'Undone: 1' and maya.ticket == first and not rows(desk)
    assert told_the_sheet(desk) == [first], 'the sheet must forget the label, too'
    assert maya.does('undo') == 'There is nothing to undo.'
    assert [row.action for row in rows(desk, actions)] == ['review', 'skip_ended', 'undo', 'undo']
    maya.does('label', label=LABELS[2])
    assert labels(desk) == {first: (LABELS[2], 'CORRECTED', 'Maya')} and maya.ticket in ids


def test_nobody_undoes_what_another_did_or_a_model_has_learned(desk):
    doubtful(desk.store, 2)
    maya, rina = Person(desk), Person(desk, RINA, 'Rina')
    maya.does('label', label=LABELS[0])
    assert rina.does('undo') == 'There is nothing to undo.'
    with desk.store.write() as connection: connection.execute(reviews.update().values(status='TRAINED'))
    assert 'learned' in maya.does('undo') and len(rows(desk)) == 1


def test_two_are_not_dealt_the_same_ticket(desk):
    doubtful(desk.store, 4)
    maya, rina = Person(desk), Person(desk, RINA, 'Rina')
    assert maya.ticket != rina.ticket
    maya.does('label', label=LABELS[0])
    assert maya.ticket != rina.ticket
    maya.does('undo')
    assert maya.ticket != rina.ticket


def test_twelve_at_work_have_twelve_tickets(desk):
    doubtful(desk.store, 12)
    assert len({Person(desk, n, f'admin {n}').ticket for n in range(1, 13)}) == 12


def test_of_two_at_the_same_ticket_one_wins_and_the_other_is_told(desk):
    one, = doubtful(desk.store, 1)
    maya, rina = Person(desk), Person(desk, RINA, 'Rina')
    assert maya.ticket == rina.ticket == one, 'there is no other'
    with desk.store.read() as connection: before = stamp(connection)
    maya.does('label', label=LABELS[1])
    assert rina.does('label', label=LABELS[2]) == f'Maya was quicker: {LABELS[1]}. Here is the next ticket.'
    assert labels(desk) == {one: (LABELS[1], 'CORRECTED', 'Maya')} and rina.ticket is None
    with desk.store.read() as connection: assert stamp(connection) != before


def test_who_looks_at_a_ticket_sees_that_it_was_decided(desk):
    doubtful(desk.store, 1)
    maya, rina = Person(desk), Person(desk, RINA, 'Rina')
    maya.does('label', label=LABELS[1])
    rina.look()
    assert f'Maya has decided this ticket: {LABELS[1]}' in rina.screen['ticket'] and rina.screen['buttons'] == ''
    assert LABELS[1] in rina.screen['recent']
    rina.does('next')
    assert 'Everything is reviewed' in rina.screen['ticket']


def test_of_four_processes_at_once_one_decides(desk):
    one, = doubtful(desk.store, 1)
    def press(n):
        store = open_store(str(desk.store.engine.url))
        try:
            with store.write() as connection: decide(Hand(connection, datetime.now(timezone.utc), n, f'admin {n}'), one, 0, LABELS[n])
            return n
        except Refusal as refusal: return str(refusal)
        finally: store.close()
    with ThreadPoolExecutor(4) as pool: said = list(pool.map(press, range(4)))
    assert said.count('already_reviewed') == 3 and [row.label for row in rows(desk)] == [LABELS[n] for n in said if isinstance(n, int)]


def test_a_key_that_was_pressed_twice_is_one_review_and_no_quarrel(desk):
    doubtful(desk.store, 2)
    maya = Person(desk)
    first = str(maya.ticket)
    maya.does('label', label=LABELS[0])
    assert maya.does('label', label=LABELS[0], ticket=first) == '' and len(rows(desk)) == 1


def test_many_are_decided_together_and_taken_back_together(desk):
    ids = alike(desk, ['moban reset password mytech', 'moban reset password mytech min', 'min moban reset password mytech', 'moban reset password mytech ya'])
    other = alike(desk, ['sn ont hilang dari list'], LABELS[1])
    maya = Person(desk)
    while maya.ticket not in ids: maya.does('skip')
    assert '3 others are nearly the same' in maya.screen['buttons']
    maya.does('alike')
    assert all(f'name="ticket-{n}"' in maya.dialog for n in ids) and f'ticket-{other[0]}' not in maya.dialog
    with desk.store.write() as connection: save_review(connection, ids[3], 'X', 'Rina', datetime.now(timezone.utc))
    ticked = {f'ticket-{n}': 'on' for n in (*ids[:2], ids[3], *other)}
    assert maya.does('together', guess=LABELS[0], label='OTHER', **ticked) == '2 tickets saved: OTHER', 'Rina was quicker; the other is another guess'
    assert maya.visit.answer['dialog'] is None
    assert {row.ticket_id for row in rows(desk) if row.reviewer == 'Maya'} == set(ids[:2])
    assert [row.action for row in rows(desk, actions)][-2:] == ['bulk', 'bulk']
    assert maya.does('undo') == 'Undone: 2' and [row.reviewer for row in rows(desk)] == ['Rina'] and maya.ticket in ids[:2]


def test_any_label_is_found_by_a_part_of_its_name(desk):
    one, two = doubtful(desk.store, 2)
    with desk.store.write() as connection: save_review(connection, two, 'KENDALA OTP TELAT', 'Rina', datetime.now(timezone.utc))
    maya = Person(desk)
    maya.does('labels')
    assert all(label in maya.dialog for label in (*LABELS[:3], 'OTHER', 'KENDALA OTP TELAT'))
    maya.does('find', value='telat otp')
    assert 'KENDALA OTP TELAT' in maya.screen['found'] and LABELS[0] not in maya.screen['found']
    maya.does('find', value='zzz')
    assert 'No symptom has these words' in maya.screen['found']
    assert maya.does('label', text='zzz') == '' and maya.ticket == one, 'Enter on nothing does nothing'
    assert maya.does('label', text='telat') == 'Saved: KENDALA OTP TELAT' and labels(desk)[one][2] == 'Maya'


def test_what_people_wrote_is_no_markup(desk):
    evil = '<script>alert(1)</script> "><img src=x onerror=alert(1)>'
    first, *_ = alike(desk, [evil, evil + ' min'], evil)
    with desk.store.write() as connection: save_review(connection, first, evil, evil, datetime.now(timezone.utc))
    maya = Person(desk)
    maya.does('labels')
    shown = [*maya.screen.values(), maya.dialog]
    maya.does('alike')
    shown.append(maya.dialog)
    assert not any('<script' in html or '<img' in html for html in shown) and sum('&lt;script&gt;' in html for html in shown) >= 5


PNG = b'\x89PNG\r\n\x1a\n a picture'


def picture(desk, ticket, size=20):
    with desk.store.write() as connection:
        connection.execute(media.insert(), {'chat_id': TECH, 'message_id': 1000, 'ticket_id': ticket, 'key': '2026/1_1.png', 'sha256': '', 'content_type': 'image/png',
                                            'size': size, 'stored_at': datetime.now(timezone.utc)})


def test_a_photo_is_carried_along(desk):
    one, = doubtful(desk.store, 1, media_type='photo')
    picture(desk, one)
    open_shelf(desk.settings).put('2026/1_1.png', PNG, 'image/png')
    assert 'src="data:image/png;base64,iVBORw0K' in Person(desk).screen['photo']


@pytest.mark.parametrize('kept', [None, 20, 9 * 2 ** 20], ids=['never', 'lost', 'huge'])
def test_a_photo_that_cannot_be_had_is_a_sentence(desk, kept):
    one, = doubtful(desk.store, 1, media_type='photo')
    if kept: picture(desk, one, kept)
    assert 'There is a photo' in Person(desk).screen['photo'] and 'data:' not in Person(desk).screen['photo']


def test_a_model_adds_words_labels_and_what_solved_the_last_ones(desk, monkeypatch):
    phrases = {LABELS[0]: 'tidak bisa login mytech', LABELS[1]: 'user tidak ditemukan', LABELS[2]: 'sn ont hilang', LABELS[3]: 'foto gagal', LABELS[4]: 'otp telat'}
    texts = [f'{phrase} {extra}' for extra in ('min', 'gan', 'dari pagi', 'terus', 'bang') for phrase in phrases.values()]
    model = SymptomClassifier.fit(texts, ['silakan clear cache'] * len(texts), list(phrases) * 5, num_threads=1)
    monkeypatch.setattr(clerk, '_live', lambda *args: SimpleNamespace(current=lambda: (1, model)))
    doubtful(desk.store, 1)
    maya = Person(desk)
    assert 'login<sup>+</sup></mark>' in maya.screen['ticket'] and f'speaks for {LABELS[0]}' in maya.screen['ticket']
    assert 'silakan clear cache' in maya.screen['similar']
    found = [maya.screen['buttons'].index(f'data-label="{label}"') for label in LABELS[:5]]
    assert found[:3] == sorted(found[:3]) and 'data-key="5"' in maya.screen['buttons'], 'stored ones first, in their order'
    with desk.store.write() as connection: connection.execute(predictions.update().values(label='of an older model'))
    assert '<mark' in Person(desk, RINA, 'Rina').screen['ticket']


def test_a_model_that_cannot_be_asked_keeps_nobody_from_deciding(desk, monkeypatch):
    doubtful(desk.store, 1)
    monkeypatch.setitem(clerk.ANSWERS, 'known', lambda *args: 1 / 0)
    maya = Person(desk)
    assert 'cannot be asked' in maya.screen['similar'] and LABELS[2] in maya.screen['buttons']
    assert maya.does('label', label=LABELS[2]) == f'Saved: {LABELS[2]}'


def test_a_kernel_loads_nothing_that_counts_words():
    heavy = "import sys, mytech.ops.pages.review; print([name for name in ('numba', 'lightgbm', 'sklearn', 'scipy', 'pandas', 'matplotlib') if name in sys.modules])"
    assert subprocess.run([sys.executable, '-c', heavy], capture_output=True, text=True, check=True).stdout.strip() == '[]'


def test_a_desk_that_was_left_holds_nothing_for_long(desk):
    doubtful(desk.store, 2)
    first = Person(desk).ticket
    class Later(Desk):
        now = property(lambda self: datetime.now(self.settings.timezone) + timedelta(minutes=11))
    assert Person(desk, RINA, 'Rina').ticket != first
    assert Person(Later(desk.settings, desk.store), 303, 'Sari').ticket == first


def test_a_file_changes_nothing(desk):
    doubtful(desk.store, 1)
    whole = as_file(PAGE, Visit(desk, Visitor(0, 0, ''), 'review'))
    assert 'tdk bisa login &lt;0&gt; min' in whole or 'tdk bisa login \\u0026lt;0' in whole
    assert not rows(desk, duties) and not rows(desk, actions)
