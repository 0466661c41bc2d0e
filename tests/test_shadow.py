"A challenger that answers silently: beside every prediction, heard in none, and harmless whatever it does."
import asyncio
import json
import logging
import subprocess
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from threading import Event, Thread
from types import SimpleNamespace

import numpy as np
import pytest
import sqlalchemy as sa
from group import AYU, BUDI, post, settings
from ml_data import tickets as examples
from support import JAKSEL, MYTECH, Sandbox, as_json, environment, free_port, running, until

from mytech import beside, wiring
from mytech.bots.collector import Desk, finish, take
from mytech.core.schema import Message, Prediction, Source, Status
from mytech.ml.classifier import Scored, fit_classifier
from mytech.services import registry
from mytech.services.registry import RegistryError
from mytech.services.shadow import Shadow, compare, paired_interval
from mytech.services.store import open_store, outbox, predictions, shadows
from mytech.services.tickets import change_ticket, note_chat, open_ticket, save_predictions, save_review, texts_of

NOW = datetime.now(timezone.utc)


class Echo:
    "Says the technician's first word, with its version's name."
    def __init__(self, folder): self.name = (folder/'name.txt').read_text()

    def predict_many(self, texts, solvings, **_):
        return [Scored(f'{text.split()[0]} {solving}'.strip(), .7, ()) for text, solving in zip(texts, solvings)]


@pytest.fixture
def house(tmp_path):
    "An empty store, and three versions of an hour ago, the first current and the second the challenger."
    models = tmp_path/'models'
    for number in range(1, 4):
        (tmp_path/f'{number}').mkdir()
        (tmp_path/f'{number}'/'name.txt').write_text(f'v{number}')
        registry.register(models, tmp_path/f'{number}', metrics={}, run_id=f'{number}')
    date_back(models, NOW - timedelta(hours=1))
    registry.promote(models, 1)
    registry.set_shadow(models, 2)
    store = open_store(f'sqlite:///{tmp_path}/mytech.db')
    yield SimpleNamespace(models=models, store=store, settings=SimpleNamespace(artifacts=tmp_path))
    store.close()


def date_back(models, when):
    ledger = json.loads((models/'versions.json').read_text())
    for version in ledger['versions']: version['created'] = when.isoformat()
    (models/'versions.json').write_text(json.dumps(ledger))


def arrive(store, number, text, at=NOW, label='Login', version='v1', source=Source.LIGHTGBM):
    "A ticket and its prediction; the ticket's id."
    with store.write() as connection:
        note_chat(connection, -1, 'Teknisi')
        ticket_id = open_ticket(connection, Message(-1, number, 7, at, text))
        predict(connection, ticket_id, label, at, version, source)
    return ticket_id


def predict(connection, ticket_id, label, at, version='v1', source=Source.LIGHTGBM):
    said = Prediction(label, .9, Status.AUTO, ((label, .9),), source=source, model_version=version)
    save_predictions(connection, {ticket_id: said}, at)


def silent(store):
    "Ticket id -> version and what it said."
    with store.read() as connection:
        return {row.ticket_id: (row.version, row.label) for row in connection.execute(sa.select(shadows))}


# ---- the pointer

def test_the_pointer_is_set_moved_cleared_and_kept_from_retention(house):
    models = house.models
    assert registry.shadow(models) == 2
    assert registry.prune(models, newest=1) == [], 'the newest is kept, the current one, and the challenger'
    registry.set_shadow(models, 3)
    assert (registry.current(models), registry.shadow(models)) == (1, 3)
    registry.set_shadow(models, None)
    registry.set_shadow(models, None)
    assert registry.shadow(models) is None
    assert registry.prune(models, newest=1) == [2]


def test_a_promoted_challenger_is_none_any_more_and_another_promotion_leaves_it(house):
    registry.promote(house.models, 3)
    assert registry.shadow(house.models) == 2
    registry.promote(house.models, 2)
    assert (registry.current(house.models), registry.shadow(house.models)) == (2, None)


@pytest.mark.parametrize('number, why', [(1, 'v1 is current'), (9, 'v9 was never registered'), (3, 'v3/name.txt was changed')])
def test_what_cannot_be_a_challenger(house, number, why):
    (house.models/'v3'/'name.txt').write_text('v4')
    with pytest.raises(RegistryError, match=why): registry.set_shadow(house.models, number)
    assert registry.shadow(house.models) == 2


def test_a_pointer_that_cannot_be_read_is_no_harm_to_the_current_model(house):
    (house.models/'shadow').write_text('four')
    with pytest.raises(RegistryError, match="holds 'four' .* name a shadow again"): Shadow(house.models, Echo, house.store).score()
    registry.promote(house.models, 3)
    registry.prune(house.models)
    assert registry.current(house.models) == 3
    registry.set_shadow(house.models, 2)
    assert registry.shadow(house.models) == 2


# ---- what it is asked

def test_it_answers_what_was_predicted_once_and_again_when_the_ticket_changed(house):
    challenger, one, two = Shadow(house.models, Echo, house.store), arrive(house.store, 1, 'otp lama'), arrive(house.store, 2, 'login gagal')
    assert [challenger.score() for _ in range(2)] == [2, 0]
    assert silent(house.store) == {one: ('v2', 'otp'), two: ('v2', 'login')}
    with house.store.write() as connection:
        change_ticket(connection, two, solving='reset')
        predict(connection, two, 'Login', NOW + timedelta(minutes=1))
    assert [challenger.score() for _ in range(2)] == [1, 0]
    assert silent(house.store) == {one: ('v2', 'otp'), two: ('v2', 'login reset')}


def test_a_ticket_that_changes_while_the_challenger_thinks_is_asked_about_again(house):
    ticket = arrive(house.store, 1, 'otp lama')

    class Slow(Echo):
        def predict_many(self, texts, solvings, **_):
            if texts == ['otp lama']:
                with house.store.write() as connection:
                    change_ticket(connection, ticket, tech_text='login gagal')
                    predict(connection, ticket, 'Login', NOW + timedelta(minutes=1))
            return super().predict_many(texts, solvings)

    challenger = Shadow(house.models, Slow, house.store)
    assert [challenger.score() for _ in range(3)] == [1, 1, 0]
    assert silent(house.store) == {ticket: ('v2', 'login')}


def test_tickets_that_are_older_than_the_challenger_or_a_week_do_not_count(house):
    date_back(house.models, NOW - timedelta(days=30))
    ages = [timedelta(days=8), timedelta(days=6)]
    old, young = (arrive(house.store, number, 'otp', NOW - age) for number, age in enumerate(ages))
    challenger = Shadow(house.models, Echo, house.store)
    assert (challenger.score(), set(silent(house.store))) == (1, {young})
    with house.store.write() as connection: predict(connection, old, 'Login', NOW)   # it was solved today
    assert challenger.score() == 0
    date_back(house.models, NOW - timedelta(minutes=1))
    arrive(house.store, 3, 'otp', NOW - timedelta(minutes=2))
    assert challenger.score() == 0


def test_the_pointer_is_followed_without_a_restart(house):
    challenger = Shadow(house.models, Echo, house.store)
    registry.set_shadow(house.models, None)
    ticket = arrive(house.store, 1, 'otp')
    assert challenger.score() == 0
    for number in (2, 3):
        registry.set_shadow(house.models, number)
        assert challenger.score() == 1
    registry.promote(house.models, 3)
    arrive(house.store, 2, 'otp', version='v3')
    assert challenger.score() == 0
    with house.store.read() as connection:
        assert connection.execute(sa.select(shadows.c.ticket_id, shadows.c.version)).all() == [(ticket, 'v2'), (ticket, 'v3')]


def test_a_crowd_of_tickets_takes_several_turns_and_two_processes_do_not_disagree(house):
    for number in range(50): arrive(house.store, number, f'nomor{number}')
    pair = [Shadow(house.models, Echo, house.store) for _ in range(2)]
    threads = [Thread(target=lambda one=one: [one.score() for _ in range(5)]) for one in pair]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert Counter(version for version, _ in silent(house.store).values()) == {'v2': 50}
    assert pair[0].score() == 0


# ---- harmless

STUCK = Event()


class Raises(Echo):
    def predict_many(self, texts, solvings, **_): raise MemoryError('no room')


class Stuck(Echo):
    asked, late = Event(), False

    def predict_many(self, texts, solvings, **_):
        self.asked.set()
        if Stuck.late or not STUCK.wait(5):
            Stuck.late = True
            raise TimeoutError('a ticket waited for it')
        return []


class Mute(Echo):
    def predict_many(self, texts, solvings, **_): return []


class Sick(Echo):
    def predict_many(self, texts, solvings, **_): return [Scored('otp', float('nan'), ()) for _ in texts]


def refuses(folder): raise OSError('no such file')


@contextmanager
def going(challenger):
    stop = Event()
    thread = Thread(target=challenger.run, args=[stop, .01, .01])
    thread.start()
    yield
    stop.set()
    STUCK.set()
    thread.join(10)
    assert not thread.is_alive()
    STUCK.clear()


@pytest.mark.parametrize('load, why', [
    (Raises, 'MemoryError: no room'), (refuses, 'RegistryError: v2 cannot be loaded .*no such file'), (Mute, 'ValueError'),
    (Sick, 'IntegrityError'), (Stuck, None), ('damaged', 'RegistryError: v2/name.txt was changed')])
def test_no_fault_of_the_challenger_reaches_a_ticket(house, load, why, caplog):
    if load == 'damaged': (house.models/'v2'/'name.txt').write_text('v9')
    challenger = Shadow(house.models, Echo if load == 'damaged' else load, house.store)
    minute = (NOW.timestamp() - 1_795_402_800) / 60

    def answers(texts, solvings):
        return [Prediction(text, .9, Status.AUTO, ((text, .9),), model_version='v1') for text in texts]

    with going(challenger), caplog.at_level(logging.ERROR, 'mytech.services.shadow'):
        for number in range(10):
            asked = post(2 * number, BUDI, f'tdk bisa login, kode {number}', minute)
            answered = post(2 * number + 1, AYU, 'sudah direset, MIT -ab', minute + 1, reply_to=asked)
            with house.store.write() as connection:
                desk = Desk(settings(), answers, 7, 'mytech_bot', connection, NOW)
                for message in (asked, answered): take(desk, {'message': message})
                finish(desk)
            if load is Stuck: assert Stuck.asked.wait(5)
        if why: until(lambda: challenger.problem, 5)
        assert bool(challenger.problem) is bool(why)
    with house.store.read() as connection:
        said = connection.execute(sa.select(predictions.c.label, predictions.c.model_version)).all()
        assert len(connection.execute(sa.select(outbox)).all()) == 10
        assert len(texts_of(connection, range(99))) == 10
    assert said == [(f'tdk bisa login, kode {number}', 'v1') for number in range(10)]
    assert silent(house.store) == {}
    if why: assert len(caplog.records) == 1 and caplog.records[0].getMessage().startswith('the shadow says nothing: ' + why.split()[0])


def test_it_recovers_by_itself(house):
    class Moody(Echo):
        healthy = False

        def predict_many(self, texts, solvings, **_):
            if not self.healthy: raise MemoryError
            return super().predict_many(texts, solvings)

    arrive(house.store, 1, 'otp')
    challenger = Shadow(house.models, Moody, house.store)
    with going(challenger):
        until(lambda: challenger.problem, 5)
        Moody.healthy = True
        until(lambda: silent(house.store), 5)
        until(lambda: not challenger.problem, 5)


def test_a_stop_does_not_wait_for_a_challenger_that_never_answers(house, monkeypatch):
    arrive(house.store, 1, 'otp')
    monkeypatch.setattr(beside, 'load_warm', Stuck)
    Stuck.asked.clear()

    async def hour():
        task = asyncio.create_task(wiring.challenge(house))
        assert await asyncio.to_thread(Stuck.asked.wait, 5)
        task.cancel()
        await asyncio.wait([task], timeout=10)
        assert task.done() and not STUCK.is_set()

    asyncio.run(hour())
    STUCK.set()


# ---- the comparison

def test_a_comparison_counts_what_both_said_of_the_same_text(house):
    store, later = house.store, NOW + timedelta(minutes=1)
    labels = ['otp', 'otp', 'login', 'login', 'wo', 'wo', 'wo', 'wo']   # what the challenger says
    ids = [arrive(store, number, f'{word} gagal', label='otp') for number, word in enumerate(labels)]
    assert Shadow(house.models, Echo, store).score() == 8
    with store.write() as connection:
        assert compare(connection, 'v3') is None
        predict(connection, ids[5], 'otp', later)                                   # edited since: not asked yet
        predict(connection, ids[6], 'wo', NOW, version='v2')                        # its own answer, promoted since
        predict(connection, ids[7], 'wo', NOW, source=Source.GEMINI)                # the teacher's
        found = compare(connection, 'v2')
        assert found == {'tickets': 5, 'agreement': .4, 'reviewed': 0}
        for ticket_id, truth in zip(ids, ['otp', 'wo', 'otp', 'login', 'wo', 'wo', 'wo', 'wo']):
            save_review(connection, ticket_id, truth, 'rina', NOW)
        save_review(connection, ids[0], 'login', 'rina', later)                     # the last review stands
        found = compare(connection, 'v2')
    assert found == {'tickets': 5, 'agreement': .4, 'reviewed': 5, 'champion_accuracy': .2, 'shadow_accuracy': .4,
                     'difference': list(paired_interval(2, 1, 5))}


@pytest.mark.parametrize('n, gains, losses', [(30, .1, .1), (30, .3, .05), (200, .02, .01), (500, .1, .05)])
def test_the_interval_holds_what_it_promises(n, gains, losses):
    draws = np.random.default_rng(0).multinomial(n, [gains, losses, 1 - gains - losses], 4000)
    bounds = np.array([paired_interval(int(gained), int(lost), n) for gained, lost, _ in draws])
    held = ((bounds[:, 0] <= gains - losses) & (gains - losses <= bounds[:, 1])).mean()
    assert .94 <= held <= .995


# ---- in the running system

def test_a_challenger_beside_the_real_model_in_a_running_collector(tmp_path):
    model, models = fit_classifier(*examples(240), num_threads=1), tmp_path/'artifacts'/'models'
    renamed = replace(model, labels=tuple(f'{label} NEW' for label in model.labels))
    for name, one in (('old', model), ('new', renamed)):
        one.save(tmp_path/name)
        registry.register(models, tmp_path/name, metrics={}, run_id=name)
    registry.promote(models, 1)
    store, port = open_store(f'sqlite:///{tmp_path}/mytech.db'), free_port()
    arrive(store, 1, 'otp ditolak', NOW - timedelta(days=1))   # a house with a history gets no demo
    with running(tmp_path, 'sandbox', 'collector', SANDBOX_PORT=port):
        box = Sandbox(port)
        subprocess.run([MYTECH, 'models', 'shadow', 'v2'], cwd=tmp_path, env=environment(tmp_path), check=True)
        question = box.send(5000000101, JAKSEL, 'otp ditolak terus min')
        answer = box.send(5000000201, JAKSEL, 'totp sudah direset, MIT -ab', question['message_id'])
        said = until(lambda: box.reply_to(answer))['text']
        assert 'TWO FACTOR' in said and 'NEW' not in said
        until(lambda: silent(store))
        with store.read() as connection:
            newest = sa.select(predictions.c.ticket_id, predictions.c.label).order_by(predictions.c.ticket_id.desc())
            ticket_id, label = connection.execute(newest).first()
        until(lambda: silent(store) == {ticket_id: ('v2', f"{label} NEW")})
    with store.write() as connection: save_review(connection, ticket_id, label, 'rina', NOW)
    store.close()
    shown = as_json('models', 'show', 'v2', folder=tmp_path)['shadow']
    assert (shown['tickets'], shown['agreement'], shown['champion_accuracy'], shown['shadow_accuracy']) == (1, 0, 1, 0)
    listed = as_json('models', 'list', folder=tmp_path)
    assert [(v['current'], v['shadow']) for v in listed] == [(True, False), (False, True)]
    subprocess.run([MYTECH, 'models', 'shadow', 'off'], cwd=tmp_path, env=environment(tmp_path), check=True)
    assert registry.shadow(models) is None
