"The working queue of `/pendingreview`, and trainings that are watched from a chat."
import asyncio
import re
import threading
import time
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import httpx
import pytest
from admin_desk import BOT, BUDI, LABELS, MAYA, RINA, TECH, Admins, tickets
from sqlalchemy import select
from telegram.error import BadRequest, RetryAfter, TimedOut

from mytech.bots import admin_review
from mytech.bots.admin_bot import deliver_page, photo_of, send_any, told, train_in_chat
from mytech.bots.admin_training import train_and_tell
from mytech.core.schema import Message
from mytech.core.texts import say
from mytech.ops.progress import Step
from mytech.ops.runs import RetrainError
from mytech.services.outbox import Refused, SendLater
from mytech.services.registry import current, exclusive, promote, register
from mytech.services.store import actions, open_store, outbox, reviews
from mytech.services.tickets import attach, save_review


@pytest.fixture
def desk(tmp_path):
    store = open_store(f'sqlite:///{tmp_path}/mytech.db')
    yield Admins(store, {'artifacts_url': str(tmp_path)})
    store.close()


def number(shown):
    "Which of the tickets is shown; what people wrote is no markup."
    return int(re.search(r'&lt;(\d)&gt;', shown.text)[1])


def labels(desk): return [(row.ticket_id, row.label, row.status, row.reviewer) for row in desk.rows()]


# ---- the queue

def test_one_ticket_at_a_time_until_none_is_left(desk):
    ids, given = tickets(desk.store, 3), []
    card, = desk.types('/pendingreview')
    for left, label in zip((3, 2, 1), (LABELS[0], LABELS[2], LABELS[0])):
        assert f'{left}</b>' in card.text
        given.append((ids[number(card)], label, 'APPROVED' if label == LABELS[0] else 'CORRECTED', 'Maya'))
        (done, card), toasts = desk.presses(card, label)
        assert toasts == [say('saved', 'id', label=label)] and done.text.startswith(f'✓ <b>{label}</b>')
    assert card.text == say('queue_empty', 'id')
    assert labels(desk) == given and {row[0] for row in given} == set(ids)


def test_skipped_tickets_wait_for_their_person_and_come_back_when_asked_for(desk):
    tickets(desk.store, 2)
    card, = desk.types('/pendingreview')
    (skipped, second), _ = desk.presses(card, 'Lewati')
    first = number(card)
    assert number(skipped) == first != number(second)
    (_, end), _ = desk.presses(second, 'Lewati')
    assert end.text == say('queue_skipped', 'id', n=2)
    assert number(desk.types('/pendingreview', RINA)[0]) == first, 'the other admin still sees it'
    again, = desk.presses(end, 'dilewati')[0]
    assert number(again) == first
    back, = desk.presses(skipped, 'sekarang')[0]
    assert LABELS[0] in str(back.buttons) and desk.rows() == []


def test_undo_restores_what_was(desk):
    ids = tickets(desk.store, 1)
    card, = desk.types('/pendingreview')
    (done, _), _ = desk.presses(card, LABELS[1])
    (again,), toasts = desk.presses(done, 'Batalkan')
    assert toasts == [say('taken_back', 'id')] and labels(desk) == []
    assert (again.text.endswith('Dugaan model:'), desk.did()[-1]) == (True, (MAYA, 'undo', str(ids[0])))
    row = desk.rows(actions)[-1]
    assert (row.before['label'], row.after['label'], row.after['status']) == (LABELS[1], LABELS[0], 'pending')
    assert desk.presses(again, LABELS[2])[1] == [say('saved', 'id', label=LABELS[2])]


def test_nobody_undoes_anothers_review_nor_what_a_model_has_learned(desk):
    tickets(desk.store, 1)
    card, = desk.types('/pendingreview', chat=-9)
    (done, _), _ = desk.presses(card, LABELS[1])
    data = done.data('Batalkan')
    assert desk.presses(done, user=RINA, data=data.replace(str(MAYA), str(RINA)))[1] == [say('stale', 'id')]
    with desk.store.write() as connection: connection.execute(reviews.update().values(status='TRAINED'))
    assert desk.presses(done, data=data)[1] == [say('already_learned', 'id')]
    assert len(labels(desk)) == 1


@pytest.mark.parametrize('label', [LABELS[0], 'Lewati'])
def test_a_card_that_was_overtaken_changes_nothing(desk, label):
    ids = tickets(desk.store, 1)
    mine, = desk.types('/pendingreview')
    theirs, = desk.types('/pendingreview', RINA)
    desk.presses(theirs, LABELS[1], RINA)
    (shown,), toasts = desk.presses(mine, label)
    assert toasts == [say('already_reviewed', 'id')] and 'Rina' in shown.text
    assert labels(desk) == [(ids[0], LABELS[1], 'CORRECTED', 'Rina')]
    assert 'Batalkan' not in str(shown.buttons), 'it is not mine to undo'


def test_a_review_on_a_page_or_in_the_sheet_overtakes_too(desk):
    ids = tickets(desk.store, 1)
    card, = desk.types('/pendingreview')
    with desk.store.write() as connection: save_review(connection, ids[0], 'X', 'sheet', datetime.now(timezone.utc))
    assert desk.presses(card, LABELS[0])[1] == [say('already_reviewed', 'id')] and len(labels(desk)) == 1


def test_every_label_can_be_reached(desk):
    ids = tickets(desk.store, 1)
    known = [f'GEJALA {n:02} YANG NAMANYA CUKUP PANJANG / DAN ANEH: "{n}"' for n in range(21)]
    desk.live = SimpleNamespace(current=lambda: (1, SimpleNamespace(labels=known, predict_proba=lambda texts, solvings: [[n / 300 for n in range(21)]])))
    card, = desk.types('/pendingreview')
    found, (shown,) = [], desk.presses(card, 'Lainnya')[0]
    while True:
        found += [button['text'] for button in shown.buttons if button['callback_data'].split(':')[1] == 'label']
        if '›' not in str(shown.buttons): break
        (shown,) = desk.presses(shown, '›')[0]
    assert found[0] == known[20] and set(known) <= set(found) and len(found) == len(set(found))
    desk.presses(shown, found[-1])
    assert [row[:2] for row in labels(desk)] == [(ids[0], found[-1])]


def test_what_is_no_symptom_leaves_the_queue(desk):
    tickets(desk.store, 1)
    (_, end), toasts = desk.presses(desk.types('/pendingreview')[0], 'Bukan gejala')
    assert toasts == [say('saved', 'id', label='OTHER')] and end.text == say('queue_empty', 'id')


def test_a_picture_that_cannot_be_had_is_left_out(desk, monkeypatch):
    ids = tickets(desk.store, 1, media_type='photo', file_id='big')
    assert number(desk.types('/pendingreview')[0]) == 0
    page = desk.view('next')
    asked = []
    monkeypatch.setattr(admin_review, 'fetch_file', lambda look, file_id: asked.append(file_id) or b'JPEG')
    assert photo_of(page) == b'JPEG' and asked == ['big']
    for error in (httpx.ConnectError('no network'), KeyError('result')):
        def fail(*args, error=error): raise error
        monkeypatch.setattr(admin_review, 'fetch_file', fail)
        assert photo_of(page) is None
    with desk.store.write() as connection:
        attach(connection, ids[0], Message(TECH, 5, BUDI, datetime.now(timezone.utc), media_type='photo', file_id='late'), 'follow_up')
    assert asked == ['big']


# ---- the model

def version(desk, number):
    "Registers a version that passed, or did not."
    folder = desk.office.settings.artifacts/f'candidate{number}'
    folder.mkdir()
    (folder/'model.txt').write_text(str(number))
    checks = [{'name': 'accuracy', 'champion': '0.90', 'challenger': '0.92', 'wanted': 'above 0.10', 'passed': number != 3}]
    return register(desk.office.settings.artifacts/'models', folder, metrics={'accuracy': .9, 'macro_f1': .8}, run_id=f'r{number}',
                    verdict={'passed': number != 3, 'forced': False, 'checks': checks}).number


@pytest.fixture
def models(desk):
    for number in (1, 2, 3): version(desk, number)
    promote(desk.office.settings.artifacts/'models', 1)
    return lambda: current(desk.office.settings.artifacts/'models')


def test_a_model_is_changed_only_after_a_second_press(desk, models):
    asked, = desk.types('/reloadmodel v2')
    assert models() == 1 and 'v1 dengan v2' in asked.text
    (kept,), _ = desk.presses(asked, 'Batal')
    assert models() == 1 and kept.text == say('kept', 'id', word='v1')
    (done,), _ = desk.presses(asked, 'Ya')
    assert models() == 2 and 'v2' in done.text
    row = desk.rows(actions)[-1]
    assert (row.action, row.target, row.before, row.after) == ('promote', 'v2', {'current': 1}, {'current': 2, 'learned': 0})
    (back,), _ = desk.presses(done, 'v1')
    desk.presses(back, 'Ya')
    assert models() == 1


def test_a_yes_for_another_model_is_stale(desk, models):
    asked, = desk.types('/mlflowpromote 2')
    promote(desk.office.settings.artifacts/'models', 3)
    before = desk.did()
    assert desk.presses(asked, 'Ya')[1] == [say('stale_model', 'id')]
    assert models() == 3 and desk.did() == before


def test_a_damaged_model_is_not_promoted(desk, models):
    asked, = desk.types('/reloadmodel 2')
    (desk.office.settings.artifacts/'models/v2/model.txt').write_text('changed')
    assert 'model.txt' in desk.presses(asked, 'Ya')[1][0]
    assert models() == 1 and 'promote' not in str(desk.did())


def test_what_a_promoted_model_has_learned_is_trained(desk, models, tmp_path):
    ids, now = tickets(desk.store, 3), datetime.now(timezone.utc)
    began = (now - timedelta(minutes=10)).isoformat()
    (tmp_path/'runs/r2').mkdir(parents=True)
    (tmp_path/'runs/r2/run.json').write_text(f'{{"id": "r2", "parameters": {{}}, "notebook": "", "data_sha256": null, "revision": null, "versions": {{}}, "started": "{began}", "status": "done"}}')
    with desk.store.write() as connection:
        for place, minutes in enumerate((20, 5)): save_review(connection, ids[place], 'X', 'Maya', now - timedelta(minutes=minutes))
    desk.presses(desk.types('/reloadmodel 2')[0], 'Ya')
    assert [row.status for row in desk.rows()] == ['TRAINED', 'CORRECTED'] and desk.rows(actions)[-1].after['learned'] == 1


@pytest.mark.parametrize('language', ['id', 'en'])
def test_versions_and_their_tables(desk, models, language):
    desk.changes |= {'bot_language': language}
    listed, = desk.presses(desk.types('/modelstatus')[0], {'id': 'Semua', 'en': 'All'}[language])[0]
    assert all(f'v{number}' in listed.text for number in (1, 2, 3))
    failed, = desk.presses(listed, 'v3')[0]
    table = {'id': '✗ akurasi +0,90 +0,92', 'en': '✗ accuracy +0.90 +0.92'}[language]
    assert re.search(table, failed.text) and {'id': 'syarat: di atas 0,10', 'en': 'wanted: above 0.10'}[language] in failed.text
    asked, = desk.presses(failed, 'v3')[0]
    assert say('confirm_failed', language) in asked.text and models() == 1


# ---- a training

class Chat:
    "What a bot has sent and rewritten."
    id = BOT

    def __init__(self): self.texts, self.keys, self.lost = [], [], 0
    async def send_message(self, chat_id, text, **more):
        self.texts.append(text)
        return SimpleNamespace(message_id=77)

    async def edit_message_text(self, text, chat_id, message_id, reply_markup=None, **more):
        assert (chat_id, message_id) == (MAYA, 77), 'one message'
        if self.lost:
            self.lost -= 1
            raise TimedOut()
        self.texts.append(text)
        self.keys.append(reply_markup)


def job(desk):
    with desk.store.read() as connection:
        return connection.scalars(select(outbox.c.payload).where(outbox.c.destination == f'retrain:{BOT}')).all()


def trained(desk, train, chat=None):
    chat = chat or Chat()
    asyncio.run(train_and_tell(desk.office, chat, train, job(desk)[0]))
    (end,), _ = desk.sends()
    return chat, end


def test_a_training_is_promised_once_and_runs_beside_the_inbox(desk):
    assert desk.types('/retrain tune') == [] and [payload['mode'] for payload in job(desk)] == ['tune']
    assert 'pelatihan' in desk.types('/retrain')[0].text.lower() and len(job(desk)) == 1, 'one at a time'
    assert desk.did()[:1] == [(MAYA, 'retrain', 'tune')]


def test_it_is_watched_in_one_message_and_ends_with_the_gates_table(desk, models):
    desk.types('/retrain')
    steps = []
    def train(mode, tell):
        assert mode == '' and threading.current_thread() is not threading.main_thread()
        for percent in (5, 40): tell(Step('fit: booster', percent, seconds_left=300.))
        steps.append(time.monotonic())
        return SimpleNamespace(version=SimpleNamespace(number=2))
    chat, end = trained(desk, train)
    assert end.id == 77 and 'lolos semua 1 pemeriksaan' in end.text and re.search('✓ akurasi +0,90 +0,92<', end.text)
    assert [button['text'] for button in end.buttons] == ['Pakai v2', 'Tetap v1'] and models() == 1
    row = desk.rows(actions)[-1]
    assert (row.user_id, row.user_name, row.action, row.target, row.before, row.after) == (MAYA, 'Maya', 'trained', '2', {'current': 1}, {'current': 1})
    desk.presses(end, 'Tetap')
    assert models() == 1
    desk.presses(end, 'Pakai')
    assert models() == 2


def test_what_failed_the_gate_is_asked_for_twice(desk, models):
    desk.types('/retrain')
    _, end = trained(desk, lambda mode, tell: SimpleNamespace(version=SimpleNamespace(number=3)))
    assert 'tidak lolos 1 dari 1' in end.text
    (asked,), _ = desk.presses(end, 'Pakai')
    assert models() == 1 and say('confirm_failed', 'id') in asked.text


@pytest.mark.parametrize('error, words', [(RetrainError('run 7 failed: cancelled; see x'), 'dihentikan'), (RetrainError('another training run is in progress: wait'), 'sedang berjalan'),
                                          (RetrainError('cell [3] in “fit”: MemoryError: <big>'), 'MemoryError: &lt;big&gt;'), (OSError(28, 'disk full'), 'disk full')])
def test_it_says_why_there_is_no_model(desk, error, words):
    desk.types('/retrain')
    def train(mode, tell): raise error
    assert words in trained(desk, train)[1].text


def test_cancel_reaches_only_the_run_that_is_shown(desk, monkeypatch, tmp_path):
    from mytech.bots import admin_training
    run, ended = SimpleNamespace(id='20261120-1', status='running'), []
    monkeypatch.setattr(admin_training, 'newest', lambda artifacts: run)
    monkeypatch.setattr(admin_training, 'going', lambda artifacts: run)
    monkeypatch.setattr(admin_training, 'cancel', lambda artifacts: ended.append(run.id) or True)
    desk.types('/retrain')
    chat, released = Chat(), threading.Event()
    def train(mode, tell):
        tell(Step('fit: learners', 30))
        assert released.wait(10)
        raise RetrainError('cancelled')
    async def watch():
        training = asyncio.create_task(train_and_tell(desk.office, chat, train, job(desk)[0]))
        while not chat.keys: await asyncio.sleep(.02)
        data = chat.keys[-1]['inline_keyboard'][0][0]['callback_data']
        shown = desk.place({'view': 'retrainstatus', 'args': [], 'owner': MAYA, 'chat_id': MAYA, 'edit': None})
        stale = desk.presses(shown, data=data.replace('-1', '-0'))[1]
        toasts = desk.presses(shown, data=data)[1]
        released.set()
        await training
        return stale, toasts
    assert asyncio.run(watch()) == ([say('stale', 'id')], [say('cancelling', 'id')])
    assert ended == ['20261120-1'] and '30 %' in chat.texts[-1] and desk.did()[-2][1:] == ('cancel', '20261120-1')


def test_a_run_whose_process_was_killed_is_not_shown_as_running(desk, tmp_path):
    (tmp_path/'runs/r9').mkdir(parents=True)
    (tmp_path/'runs/r9/run.json').write_text('{"id": "r9", "parameters": {}, "notebook": "", "data_sha256": null, "revision": null, "versions": {}, "started": "2026-11-20T01:00:00+00:00", "status": "running"}')
    shown, = desk.types('/retrainstatus')
    assert say('cut_off', 'id') in shown.text and 'Hentikan' not in str(shown.buttons)
    with exclusive(tmp_path/'runs/.lock'): assert 'Hentikan' in str(desk.types('/retrainstatus')[0].buttons)


def test_a_chat_that_cannot_be_reached_does_not_block_trainings_for_ever(desk):
    desk.types('/retrain')
    class Gone:
        async def send_message(self, *args, **more): raise BadRequest('chat not found')
    with pytest.raises(Refused): asyncio.run(train_in_chat(desk.office, Gone(), None, job(desk)[0]))
    with desk.store.write() as connection: connection.execute(outbox.update().values(parked=True))
    assert desk.types('/retrain') == [] and len(job(desk)) == 2


def test_a_lost_edit_does_not_end_a_training(desk, models, monkeypatch):
    from mytech.bots import admin_training
    monkeypatch.setattr(admin_training, 'newest', lambda artifacts: SimpleNamespace(id='r', status='running'))
    desk.types('/retrain')
    chat = Chat()
    chat.lost = 1
    _, end = trained(desk, lambda mode, tell: tell(Step('start', 0)) or time.sleep(.5) or SimpleNamespace(version=SimpleNamespace(number=2)), chat)
    assert chat.lost == 0 and 'lolos' in end.text


@pytest.mark.parametrize('begun', [False, True])
def test_a_bot_that_stops_ends_the_training_and_keeps_the_promise(desk, begun):
    desk.types('/retrain')
    told, go_on, seen = threading.Event(), threading.Event(), []
    def train(mode, tell):
        if begun: tell(Step('start', 0))
        told.set()
        assert go_on.wait(10)
        try: tell(Step('fit', 10))
        except RetrainError as error: seen.append(str(error))
    async def stop():
        training = asyncio.create_task(train_and_tell(desk.office, Chat(), train, job(desk)[0]))
        while not told.is_set(): await asyncio.sleep(.01)
        training.cancel()
        await asyncio.sleep(.05)
        go_on.set()
        with pytest.raises(asyncio.CancelledError): await training
    asyncio.run(stop())
    assert seen == ['cancelled'] and len(job(desk)) == 1


# ---- what Telegram says

@pytest.mark.parametrize('error, expected', [(BadRequest('Message is not modified'), None), (BadRequest('chat not found'), Refused), (TimedOut(), SendLater), (RetryAfter(7), SendLater)])
def test_errors_of_telegram(error, expected):
    try:
        with told(): raise error
    except (Refused, SendLater) as found: assert type(found) is expected and getattr(found, 'seconds', 7) in (7, None)
    else: assert expected is None


def test_pages_keep_the_kind_of_their_message(desk):
    calls = []
    class Bot:
        def __getattr__(self, name):
            async def call(*args, **more): calls.append(name)
            return call
    desk_payload = {'chat_id': MAYA, 'thread_id': None, 'reply_to': None, 'args': [], 'owner': MAYA, 'lane': 1}
    for payload in ({'view': 'stats', 'edit': None, 'had_photo': False}, {'view': 'stats', 'edit': 5, 'had_photo': False}, {'view': 'next', 'edit': 5, 'had_photo': True},
                    {'view': 'report', 'args': ['week', ''], 'edit': None, 'had_photo': False}, {'view': 'report', 'args': ['week', ''], 'edit': 5, 'had_photo': True},
                    {'view': 'report@1', 'args': ['week', ''], 'edit': 5, 'had_photo': True}, {'view': 'report', 'args': ['week', ''], 'edit': 5, 'had_photo': False}):
        asyncio.run(deliver_page(desk.office, Bot(), desk_payload | payload))
    assert calls == ['send_message', 'edit_message_text', 'edit_message_caption', 'send_photo', 'edit_message_media', 'edit_message_caption', 'send_photo']
    asyncio.run(send_any(desk.office, Bot(), {'query': 'q', 'text': '', 'alert': False}))
    assert calls[-1] == 'answer_callback_query'
