"`kill -9` at random moments under load: every ticket is there, once, with its answer."
import multiprocessing
import os
import random
import threading
import time

import collector_process
import pytest
from sqlalchemy import create_engine, text
from support import Sandbox, conversation, free_port, running, until


def killed_under_load(folder, kills, rate=200):
    "How many conversations were held while collectors were killed, and what the store has of them."
    port, database = free_port(), f'sqlite:///{folder}/mytech.db'
    processes = multiprocessing.get_context('forkserver')
    os.environ['PYTHONPATH'] = os.path.dirname(__file__) # where the server finds what to import
    processes.set_forkserver_preload(['collector_process'])
    chance, done, held = random.Random(7), threading.Event(), []

    def talk():
        "Ordinary traffic, a fifth of it delivered twice."
        box = Sandbox(port)
        while not done.wait(0.05):
            number = len(held)
            held.extend(range(number, number + rate // 40))
            box.inject([update for n in held[number:] for update in conversation(n, time.time())])

    def collector():
        ready = processes.Event()
        process = processes.Process(target=collector_process.main, daemon=True,
                                    args=(database, f'http://127.0.0.1:{port}', ready))
        process.start()
        assert ready.wait(30)
        return process

    def updates(which):
        with create_engine(database).connect() as connection:
            return connection.execute(text(f'select count(*) from updates where handled_at is {which}')).scalar()

    with running(folder, 'sandbox', SANDBOX_PORT=port):
        talker = threading.Thread(target=talk)
        talker.start()
        Sandbox(port).http.post('/sandbox/faults', json={'faults': [
            {'kind': 'duplicate', 'method': 'getUpdates', 'times': kills // 2}]})
        for _ in range(kills):
            process = collector()
            time.sleep(chance.uniform(0, 0.5))
            process.kill()
            process.join()
        done.set()
        talker.join()
        assert updates('not null') > len(held) / 2, 'the killed ones did most of the work'
        process = collector()
        box = Sandbox(port)
        until(lambda: not box.http.get('/bot7000000001:x/getWebhookInfo').json()['result']['pending_update_count']
              and not updates('null'), 60, 0.1)
        process.kill()
        process.join()
    return held, database


def check(held, database):
    with create_engine(database).connect() as connection:
        rows = connection.execute(text('select tech_message_id, tech_text, solving from tickets')).all()
        roles = dict(connection.execute(text('select role, count(*) from ticket_messages group by role')).all())
        predicted = connection.execute(text('select count(*) from predictions')).scalar()
        aside = connection.execute(text("select count(*) from updates where error != ''")).scalar()
    assert sorted(row.tech_message_id for row in rows) == [10_000 + 2 * number for number in held]
    for row in rows: assert f'nomor {(row.tech_message_id - 10_000) // 2}' in row.solving
    assert (roles, predicted, aside) == ({'tech': len(held), 'ops': len(held)}, len(held), 0)


def test_killed_fifty_times(tmp_path):
    held, database = killed_under_load(tmp_path, kills=50)
    assert len(held) > 500
    check(held, database)


@pytest.mark.bench
def test_killed_two_hundred_times(tmp_path): check(*killed_under_load(tmp_path, kills=200))
