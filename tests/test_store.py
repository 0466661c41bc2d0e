"""The database: migrations, strangers, crowds, and disks that are full, locked or read-only."""
import asyncio
import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from importlib.resources import files
from threading import Barrier, Event, Thread
from time import monotonic, sleep

import alembic.command
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import OperationalError

from mytech.services import outbox as outbox_module
from mytech.services.outbox import LEASE, Refused, SendLater, behind, claim, deliver, drop_stale, enqueue, retry
from mytech.services.store import (StoreError, chats, connect_database, count, counted, insert_new, metadata, migrate,
                                   open_store, outbox, shadows, tickets)

NOW = datetime(2026, 11, 20, 2, 30, tzinfo=timezone.utc)


@pytest.fixture
def url(tmp_path): return f'sqlite:///{tmp_path}/data/mytech.db'


@pytest.fixture
def path(tmp_path): return tmp_path/'data'/'mytech.db'


@pytest.fixture
def store(url):
    store = open_store(url)
    yield store
    store.close()


@pytest.fixture
def impatient():
    "SQLite connections that wait 50 ms for a lock, not 10 s."
    def hurry(connection, record, proxy): connection.execute('PRAGMA busy_timeout=50')
    sa.event.listen(sa.pool.Pool, 'checkout', hurry)
    yield
    sa.event.remove(sa.pool.Pool, 'checkout', hurry)


def alembic_config(connection) -> Config:
    config = Config()
    config.set_main_option('script_location', str(files('mytech').joinpath('services/migrations')))
    config.attributes['connection'] = connection
    return config


def names(store) -> set[str]: return set(sa.inspect(store.engine).get_table_names())


# Migrations

def test_the_migrations_make_the_declared_tables(store):
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts={'compare_type': True, 'compare_server_default': True})
        assert compare_metadata(context, metadata) == []


def test_keys_and_obligations_are_those_declared(store):
    declared = sa.create_engine('sqlite://')
    metadata.create_all(declared)
    made, wanted = sa.inspect(store.engine), sa.inspect(declared)
    for table in metadata.tables:
        for facts in ('get_pk_constraint', 'get_foreign_keys', 'get_unique_constraints'):
            assert getattr(made, facts)(table) == getattr(wanted, facts)(table), (table, facts)
        assert [(c['name'], c['nullable']) for c in made.get_columns(table)] == [
            (c['name'], c['nullable']) for c in wanted.get_columns(table)]


def test_there_is_one_line_of_migrations():
    assert len(ScriptDirectory.from_config(alembic_config(None)).get_heads()) == 1


def test_up_down_and_up_again(store):
    full = names(store)
    with store.write() as connection: alembic.command.downgrade(alembic_config(connection), 'base')
    assert names(store) == {'alembic_version'}
    migrate(store)
    assert names(store) == full == set(metadata.tables) | {'alembic_version'}


def test_opening_again_keeps_what_is_there(store, url):
    with store.write() as connection: connection.execute(chats.insert(), {'id': -1, 'group_id': -1, 'label': 'kept'})
    again = open_store(url)
    with again.read() as connection: assert connection.scalars(sa.select(chats.c.label)).all() == ['kept']
    again.close()


def test_a_database_of_the_first_version_is_brought_up_to_date(url):
    engine = connect_database(sa.make_url(url))
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        alembic.command.upgrade(alembic_config(connection), '0001')
        connection.execute(chats.insert(), {'id': -1, 'group_id': -1, 'label': 'of last year'})
        connection.execute(tickets.insert(), {'id': 7, 'chat_id': -1, 'tech_message_id': 1, 'tech_user_id': 1, 'tech_at': NOW})
    added = {'shadows', 'actions', 'duties', 'sheet_rows', 'media', 'passes', 'answers'}
    assert set(sa.inspect(engine).get_table_names()) == set(metadata.tables) - added | {'alembic_version'}
    engine.dispose()
    store = open_store(url)
    assert names(store) == set(metadata.tables) | {'alembic_version'}
    with store.write() as connection:
        assert connection.execute(sa.select(chats.c.label, tickets.c.id).join(tickets)).all() == [('of last year', 7)]
        connection.execute(shadows.insert(), {'ticket_id': 7, 'version': 'v2', 'label': 'OTP', 'confidence': .9, 'predicted_at': NOW})
    store.close()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(store, url):
    with store.write() as connection: connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match='9999.*newer version'): open_store(url)
    assert set(metadata.tables) < names(store)


def test_a_migration_that_fails_leaves_nothing(url):
    engine = connect_database(sa.make_url(url))
    with engine.connect().execution_options(writes=True) as connection:
        connection.exec_driver_sql('CREATE TABLE counters (day TEXT)')   # in the way of the last step
        connection.commit()
    engine.dispose()
    with pytest.raises(StoreError, match='counters'): open_store(url)
    engine = connect_database(sa.make_url(url))
    assert set(sa.inspect(engine).get_table_names()) == {'counters'}
    engine.dispose()


OPEN = '''
import sys
from mytech.services.store import chats, open_store
number = int(sys.argv[2])
sys.stdin.readline()
store = open_store(sys.argv[1])
for n in range(20):
    with store.write() as c: c.execute(chats.insert(), {"id": number * 100 + n, "group_id": 0, "label": ""})
store.close()
'''


def test_processes_that_open_a_new_database_at_once(url):
    crowd = [subprocess.Popen([sys.executable, '-c', OPEN, url, str(n)], text=True,
                              stdin=subprocess.PIPE, stderr=subprocess.PIPE) for n in range(4)]
    for process in crowd: process.stdin.write('go\n'); process.stdin.flush()
    errors = [process.communicate(timeout=60)[1] for process in crowd]
    assert [process.returncode for process in crowd] == [0] * 4, errors
    store = open_store(url)
    with store.read() as connection: assert connection.scalar(sa.select(sa.func.count()).select_from(chats)) == 80
    store.close()


# Transactions

def test_nothing_is_kept_of_a_block_that_fails(store):
    with pytest.raises(RuntimeError), store.write() as connection:
        connection.execute(chats.insert(), {'id': -1, 'group_id': -1, 'label': ''})
        raise RuntimeError
    with store.write() as connection: assert connection.execute(sa.select(chats)).all() == []


def test_nothing_is_kept_of_a_reader(store):
    with store.read() as connection: connection.execute(chats.insert(), {'id': -1, 'group_id': -1, 'label': ''})
    with store.read() as connection: assert connection.execute(sa.select(chats)).all() == []


def test_a_reader_sees_one_moment_and_holds_up_no_writer(store):
    total = sa.select(sa.func.count()).select_from(chats)
    with store.read() as reader:
        assert reader.scalar(total) == 0
        with store.write() as writer: writer.execute(chats.insert(), {'id': -1, 'group_id': -1, 'label': ''})
        assert reader.scalar(total) == 0
    with store.read() as reader: assert reader.scalar(total) == 1


def test_many_writers_lose_nothing(store):
    def add(n):
        with store.write() as connection: count(connection, 'chatter', NOW)
    with ThreadPoolExecutor(8) as crowd: list(crowd.map(add, range(100)))
    with store.read() as connection: assert counted(connection) == {'chatter': 100}


def test_a_ticket_needs_its_chat(store):
    with pytest.raises(sa.exc.IntegrityError), store.write() as connection:
        connection.execute(tickets.insert(), {'chat_id': -1, 'tech_message_id': 1, 'tech_user_id': 1, 'tech_at': NOW})


def test_insert_new_says_how_many_were_new(store):
    def row(n): return {'id': n, 'group_id': n, 'label': str(n)}
    with store.write() as connection:
        assert insert_new(connection, chats, []) == 0
        assert insert_new(connection, chats, row(1)) == 1
        assert insert_new(connection, chats, [row(1), row(2), row(2), row(3)]) == 2
        assert insert_new(connection, chats, row(3)) == 0


def test_counters_by_day(store):
    with store.write() as connection:
        for day in (0, 0, 1): count(connection, 'chatter', NOW + timedelta(days=day), by=2)
        assert counted(connection) == {'chatter': 6}
        assert connection.exec_driver_sql('SELECT count FROM counters ORDER BY day').scalars().all() == [4, 2]


@pytest.mark.parametrize('hours', [-11, 0, 7])
def test_times_are_aware_whatever_zone_they_had(store, hours):
    moment = NOW.astimezone(timezone(timedelta(hours=hours)))
    with store.write() as connection:
        connection.execute(chats.insert(), {'id': -1, 'group_id': -1, 'label': ''})
        connection.execute(tickets.insert(), {'chat_id': -1, 'tech_message_id': 1, 'tech_user_id': 1, 'tech_at': moment})
        kept = connection.scalar(sa.select(tickets.c.tech_at))
    assert kept == NOW and kept.utcoffset() == timedelta(0)


def test_a_naive_time_is_refused(store):
    with pytest.raises(sa.exc.StatementError, match='need an aware time'), store.write() as connection:
        count(connection, 'chatter', NOW)
        connection.execute(sa.select(tickets).where(tickets.c.tech_at == datetime(2026, 11, 20)))


# The outbox, when several send

def put(store, *lanes, within=None):
    with store.write() as connection:
        for n, lane in enumerate(lanes): enqueue(connection, 'teacher', {'lane': lane, 'n': n}, NOW, within)


def test_several_senders_send_each_message_once_and_every_lane_in_order(url):
    stores, together, sent = [open_store(url) for _ in range(3)], Barrier(3), []
    put(stores[0], *(n % 30 for n in range(150)))

    async def send(payload):
        await asyncio.sleep(.001)      # while the others look, too
        sent.append(payload)

    def serve(store):
        together.wait(20)
        alone = 0
        while alone < 20:              # rounds in which the others have everything
            alone = 0 if asyncio.run(deliver(store, 'teacher', send, NOW, limit=7)) else alone + 1
    with ThreadPoolExecutor(3) as crowd: list(crowd.map(serve, stores))
    assert sorted(payload['n'] for payload in sent) == list(range(150)), 'each once'
    for lane in range(30): assert [payload['n'] for payload in sent if payload['lane'] == lane] == list(range(lane, 150, 30))
    for store in stores: store.close()


def test_what_is_being_sent_is_nobody_elses_however_long_it_takes(url, monkeypatch):
    monkeypatch.setattr(outbox_module, 'LEASE', timedelta(seconds=1.5))
    slow, other, sending, done, began = open_store(url), open_store(url), Event(), Event(), monotonic()
    put(slow, 'a')

    async def send(payload):
        sending.set()
        await asyncio.to_thread(done.wait, 20)
    thread = Thread(target=lambda: asyncio.run(deliver(slow, 'teacher', send, NOW)))
    thread.start()
    assert sending.wait(20)
    while (passed := monotonic() - began) < 2.6:
        with other.write() as connection: assert claim(connection, 'teacher', NOW + timedelta(seconds=passed - .75)) == []
        sleep(.02)
    done.set()
    thread.join(20)
    with other.read() as connection: assert not connection.execute(sa.select(outbox)).all()
    for store in (slow, other): store.close()


def test_another_one_takes_over_from_who_died(store):
    put(store, 'a', 'a', 'b')
    with store.write() as connection: assert [row.payload['n'] for row in claim(connection, 'teacher', NOW)] == [0, 2]
    with store.write() as connection: assert claim(connection, 'teacher', NOW + LEASE - timedelta(seconds=1)) == []
    with store.write() as connection: assert [row.payload['n'] for row in claim(connection, 'teacher', NOW + LEASE)] == [0, 2]


def test_what_was_parked_is_told_and_tried_again(store):
    put(store, 'a', 'b')
    put(store, 'c', within=timedelta(minutes=1))
    fails = {'a': Refused('no such chat'), 'b': SendLater('busy'), 'c': Refused('too late anyway')}

    async def send(payload):
        if fails: raise fails[payload['lane']]
    assert asyncio.run(deliver(store, 'teacher', send, NOW)) == 0
    with store.write() as connection:
        found, = behind(connection, NOW)
        assert (found['waiting'], found['parked'], found['error']) == (3, 2, 'too late anyway'), 'not what will come right by itself'
        assert retry(connection, NOW, 'sheets') == 0 and retry(connection, NOW) == 2
        assert behind(connection, NOW) == [] and len(behind(connection, NOW + timedelta(minutes=11))) == 1
    fails.clear()
    assert asyncio.run(deliver(store, 'teacher', send, NOW + timedelta(minutes=5))) == 2, 'c is not needed any more'
    with store.read() as connection: assert not connection.execute(sa.select(outbox)).all()


def test_what_nobody_sends_any_more_ends_when_it_is_too_late_and_a_refusal_a_day_later(store):
    put(store, 'a', 'b', within=timedelta(hours=1))
    put(store, 'c')
    with store.write() as connection: connection.execute(outbox.update().where(outbox.c.id == 2).values(parked=True))
    for hours, ids in ((.9, [1, 2, 3]), (1.1, [2, 3]), (24.9, [2, 3]), (25.1, [3])):
        with store.write() as connection:
            drop_stale(connection, NOW + timedelta(hours=hours))
            assert connection.scalars(sa.select(outbox.c.id).order_by(outbox.c.id)).all() == ids, hours


def test_a_database_that_is_away_has_refused_nothing(store):
    put(store, 'a')

    async def send(payload): raise OperationalError('select', {}, Exception('database is locked'))
    assert asyncio.run(deliver(store, 'teacher', send, NOW)) == 0
    with store.read() as connection:
        [row] = connection.execute(sa.select(outbox)).all()
        assert not row.parked and row.due_at > NOW and 'locked' in row.error


# Bad moments

def test_a_locked_database_is_waited_for(store, path):
    holder, locked = sqlite3.connect(path, check_same_thread=False, isolation_level=None), Event()

    def hold():
        holder.execute('BEGIN IMMEDIATE')
        locked.set()
        written.wait(.3)               # never set before: the writer needs the lock
        holder.execute('COMMIT')
    written, thread = Event(), Thread(target=hold)
    thread.start()
    locked.wait()
    with store.write() as connection: count(connection, 'chatter', NOW)
    written.set()
    thread.join()
    with store.read() as connection: assert counted(connection) == {'chatter': 1}


def test_a_database_that_stays_locked_is_a_clear_error(impatient, url):
    open_store(url).close()
    holder = sqlite3.connect(url.removeprefix('sqlite:///'), isolation_level=None)
    holder.execute('BEGIN IMMEDIATE')
    with pytest.raises(StoreError, match='mytech.db: database is locked'): open_store(url)
    holder.execute('COMMIT')
    open_store(url).close()


def test_a_lock_passes_and_the_store_goes_on(impatient, url, path):
    store, holder = open_store(url), sqlite3.connect(path, isolation_level=None)
    holder.execute('BEGIN IMMEDIATE')
    with pytest.raises(OperationalError, match='locked'), store.write() as connection: count(connection, 'a', NOW)
    with store.read() as connection: assert counted(connection) == {}
    holder.execute('ROLLBACK')
    with store.write() as connection: count(connection, 'a', NOW)
    store.close()


def test_a_full_disk_loses_nothing_and_the_store_goes_on(store):
    with store.write() as connection: count(connection, 'before', NOW)

    def limit(pages):
        with store.engine.connect() as connection: connection.exec_driver_sql(f'PRAGMA max_page_count={pages}')
    limit(1)                           # SQLite reads it as "no more than there are"
    with pytest.raises(OperationalError, match='full'), store.write() as connection:
        count(connection, 'lost', NOW)
        insert_new(connection, chats, [{'id': n, 'group_id': n, 'label': 'x' * 9000} for n in range(9)])
    with store.read() as connection: assert counted(connection) == {'before': 1}
    limit(1_000_000)
    with store.write() as connection: count(connection, 'after', NOW)
    with store.read() as connection: assert counted(connection) == {'before': 1, 'after': 1}


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path/'x.db').write_text('tickets of last year, as a text file ' * 100)
    with pytest.raises(StoreError, match='x.db: file is not a database'): open_store(f'sqlite:///{tmp_path}/x.db')


@pytest.mark.skipif(os.geteuid() == 0, reason='root writes anywhere')
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(StoreError, match='x.db: unable to open database file. Check that it exists, is writable'):
        open_store(f'sqlite:///{tmp_path}/x.db')
    tmp_path.chmod(0o755)


def test_a_database_that_cannot_be_written_now(store):
    with store.engine.connect() as connection: connection.exec_driver_sql('PRAGMA query_only=ON')
    with pytest.raises(OperationalError, match='readonly'), store.write() as connection: count(connection, 'a', NOW)
    with store.read() as connection: assert counted(connection) == {}
    with store.engine.connect() as connection: connection.exec_driver_sql('PRAGMA query_only=OFF')
    with store.write() as connection: count(connection, 'a', NOW)


@pytest.mark.parametrize('url', [
    'sqlite:////proc/none/x.db', 'postgresql://app:hunter2@127.0.0.1:1/mytech',
    'postgresql://127.0.0.1:1/mytech?user=app&password=hunter2', 'nosuch://app:hunter2@db/x', 'app:hunter2@db'])
def test_what_cannot_be_opened_is_named_without_its_password(url):
    with pytest.raises(StoreError, match='^DATABASE_URL ') as refusal: open_store(url)
    assert 'hunter2' not in str(refusal.value) and len(str(refusal.value).splitlines()) == 1
