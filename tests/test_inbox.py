"""Updates and answers under faults: nothing lost, nothing twice, one bad thing holds up no good one."""
import asyncio
import json
import random
from datetime import datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from group import AYU, BUDI, Group, post
from sqlalchemy.exc import OperationalError
from telegram.error import (BadRequest, ChatMigrated, Conflict, Forbidden, InvalidToken, NetworkError, RetryAfter,
                            TelegramError, TimedOut)

from mytech.bots import inbox
from mytech.bots.collector import Desk, finish, take
from mytech.bots.inbox import (Batch, Pulse, connect_bot, forget_handled, handle_pending, pending, poll, send_message,
                               store_updates, update_id, work)
from mytech.core.privacy import MaskingFilter
from mytech.services.outbox import Refused, SendLater, backlog, deliver, enqueue
from mytech.services.store import open_store, outbox, updates
from mytech.services.tickets import unpredicted

NOW = datetime(2026, 11, 20, 2, 30, tzinfo=timezone.utc)
REQUEST = post(10, BUDI, 'tdk bisa login mytech min')


@pytest.fixture
def store(tmp_path):
    store = open_store(f'sqlite:///{tmp_path}/mytech.db')
    yield store
    store.close()


def keep(store, *batch, bot_id=7) -> int:
    with store.write() as connection: return store_updates(connection, bot_id, list(batch), NOW)


def stored(store) -> list[sa.Row]:
    with store.read() as connection: return connection.execute(sa.select(updates).order_by(updates.c.id)).all()


def collecting(group):
    "Batches as the collector makes them."
    def open_batch(connection):
        desk = Desk(group.settings, group.predict, 7, 'mytech_bot', connection, NOW)
        return Batch(lambda update: take(desk, update), lambda: finish(desk))
    return open_batch


# Stored

def test_the_set_of_ids_decides_and_not_the_highest(store):
    assert keep(store, *({'update_id': n} for n in (900, 901))) == 2
    assert keep(store, *({'update_id': n} for n in (12, 900, 13, 901, 902))) == 3   # ids went on from a lower number
    assert [row.update_id for row in stored(store)] == [900, 901, 12, 13, 902]


def test_redelivery_in_any_grouping_stores_each_once(store):
    dice, everything = random.Random(1), [{'update_id': n, 'message': {'text': str(n)}} for n in range(100)]
    for _ in range(40): keep(store, *dice.sample(everything, dice.randrange(1, 30)))
    keep(store, *everything)
    assert sorted(row.update_id for row in stored(store)) == list(range(100))


def test_two_bots_may_have_equal_ids(store):
    assert keep(store, {'update_id': 1}, bot_id=7) == keep(store, {'update_id': 1}, bot_id=8) == 1
    with store.read() as connection: assert len(pending(connection, 7)) == len(pending(connection, 8)) == 1


@pytest.mark.parametrize('update', [
    None, 'text', 3, [], {}, {'update_id': None}, {'update_id': '12'}, {'update_id': 1.5}, {'update_id': True},
    {'update_id': -5}, {'update_id': 2 ** 63}, {'update_id': 10 ** 40}, {'update_id': [1]}, {'message': REQUEST}])
def test_what_has_no_usable_id_is_kept_under_one_of_its_own(store, update):
    assert update_id(update) < 0
    assert [keep(store, update) for _ in range(2)] == [1, 0]
    assert json.loads(stored(store)[0].payload) == update


def test_half_an_emoji_survives_the_inbox(store):
    keep(store, {'update_id': 1, 'message': {'text': 'halo \ud83d'}})
    assert json.loads(stored(store)[0].payload)['message']['text'] == 'halo \ud83d'


def test_an_id_is_forgotten_a_week_after_it_was_handled(store):
    keep(store, {'update_id': 1}, {'update_id': 2}, 'bad', {'update_id': 3})
    def one_fails(connection):
        def handle(update):
            if update == 'bad': raise ValueError('no update')
        return Batch(handle)
    handle_pending(store, 7, one_fails, limit=3)
    for days, left in ((6, 4), (8, 2)):
        with store.write() as connection: forget_handled(connection, datetime.now(timezone.utc) + timedelta(days=days))
        assert len(stored(store)) == left, 'those set aside and those that wait are kept'


# Handled

def changed(**changes) -> dict: return {'update_id': 1, 'message': {**REQUEST, **changes}}
def without(*names) -> dict: return {'update_id': 1, 'message': {k: v for k, v in REQUEST.items() if k not in names}}


MALFORMED = [
    None, 3, 'hub 081234567890', [REQUEST], {'update_id': 1, 'message': None, 'edited_message': 7},
    {'update_id': 1, 'message': 'hub 081234567890'}, {'update_id': 1, 'message': [1]},
    without('chat'), without('message_id'), without('date'), without('chat', 'date', 'from'),
    changed(chat=None), changed(chat={}), changed(chat={'id': 'x'}), changed(chat={'id': None}), changed(chat=-7),
    changed(chat={'id': 10 ** 30}), changed(message_id='ten'), changed(message_id=None), changed(message_id=[1]),
    changed(message_id=1.5), changed(message_id={'n': '081234567890'}), changed(message_id=10 ** 30),
    changed(date='now'), changed(date=None), changed(date=10 ** 20), changed(text=5), changed(text=['081234567890']),
    {'update_id': 1, 'message': {**REQUEST, 'from': 'budi'}}, {'update_id': 1, 'message': {**REQUEST, 'from': {'id': 'x'}}},
    {'update_id': 1, 'message': {**REQUEST, 'from': {'id': 10 ** 30}}}, changed(photo=5), changed(photo=['x']),
    changed(reply_to_message=5), changed(reply_to_message={'message_id': 5}), changed(media_group_id={'x': 1}),
    changed(edit_date='x'), changed(migrate_to_chat_id='x'), changed(migrate_from_chat_id={'x': 1}),
    changed(is_topic_message=True), changed(is_topic_message=True, message_thread_id='x')]


@pytest.mark.parametrize('update', MALFORMED, ids=lambda update: json.dumps(update)[-60:])
def test_a_malformed_update_is_set_aside_and_harms_no_other(store, update):
    group = Group(store)
    before, after = ({'update_id': n, 'message': post(n, n, 'otp ga masuk min')} for n in (100, 101))
    keep(store, before, update, after)
    assert handle_pending(store, 7, collecting(group)) == 3
    assert [ticket.tech_message_id for ticket in group.tickets()] == [100, 101]
    row = stored(store)[1]
    assert row.error and row.handled_at and json.loads(row.payload) == update
    assert '0812' not in row.error
    assert handle_pending(store, 7, collecting(group)) == 0


@pytest.mark.parametrize('update', [
    {}, [], {'update_id': 1}, {'update_id': 1, 'message': {}}, {'update_id': 1, 'poll': {'id': 'x'}},
    {'update_id': 1, 'callback_query': {'id': 'x', 'data': 'y'}}, {'update_id': 1, 'my_chat_member': {}},
    {'update_id': 1, 'message': {'message_id': 1, 'date': 0, 'chat': {'id': -7}, 'new_chat_members': [{'id': 1}]}}])
def test_what_is_no_message_makes_no_ticket(store, update):
    group = Group(store)
    keep(store, update)
    assert handle_pending(store, 7, collecting(group)) == 1 and group.tickets() == []


def test_a_reason_is_told_with_what_is_personal_masked(store, caplog):
    keep(store, 'x')

    def fails(connection):
        def handle(update): raise ValueError('cannot read budi@contoh.id 0812-3456-7890 in 123456789:AAHfx8kQ2pLm0NzR')
        return Batch(handle)
    handle_pending(store, 7, fails)
    for text in (stored(store)[0].error, caplog.text):
        assert 'ValueError: cannot read [email] [phone] in [token]' in text


def test_what_was_applied_is_not_kept_twice(store):
    keep(store, {'update_id': 1, 'message': REQUEST})
    handle_pending(store, 7, collecting(Group(store)))
    assert stored(store)[0].payload == '' and stored(store)[0].error == ''


def test_a_batch_has_a_limit_and_an_order(store):
    keep(store, *({'update_id': n} for n in (5, 3, 9, 1)))
    seen = []
    assert [handle_pending(store, 7, lambda c: Batch(lambda u: seen.append(u['update_id'])), 3) for _ in range(3)] == [3, 1, 0]
    assert seen == [5, 3, 9, 1]


@pytest.mark.parametrize('where', ['handle', 'finish'])
def test_a_database_that_fails_within_a_batch_leaves_nothing(store, where):
    group, calls = Group(store), []
    keep(store, *({'update_id': n, 'message': post(n, n, 'otp ga masuk min')} for n in (1, 2, 3)))

    def trip(): raise OperationalError('COMMIT', {}, Exception('database or disk is full'))

    def failing(connection):
        batch = collecting(group)(connection)
        def handle(update):
            calls.append(update)
            if where == 'handle' and len(calls) == 2: trip()
            batch.handle(update)
        def finish():
            batch.finish()
            if where == 'finish' and len(calls) == 3: trip()
        return Batch(handle, finish)
    with pytest.raises(OperationalError): handle_pending(store, 7, failing)
    assert group.tickets() == [] and all(row.handled_at is None and row.payload for row in stored(store))
    assert handle_pending(store, 7, failing) == 3
    assert len(group.tickets()) == 3


def test_a_batch_that_ends_badly_keeps_its_tickets_and_holds_up_nobody(store, caplog, monkeypatch):
    monkeypatch.setattr(caplog.handler, 'filters', [MaskingFilter()])
    group = Group(store)

    def failing(connection):
        batch = collecting(group)(connection)
        def finish():
            batch.finish()
            raise RuntimeError('no label for 081234567890')
        return Batch(batch.handle, finish)
    question = post(1, BUDI, 'otp ga masuk min')
    keep(store, {'update_id': 1, 'message': question}, 'no update',
         {'update_id': 2, 'message': post(2, AYU, 'done reset, MIT -ab', 5, reply_to=question)})
    assert [handle_pending(store, 7, failing) for _ in range(2)] == [3, 0]
    assert [(ticket.tech_message_id, ticket.solving) for ticket in group.tickets()] == [(1, 'done reset')]
    assert [bool(row.error) for row in stored(store)] == [False, True, False] and left(store) == []
    with store.read() as connection: assert len(unpredicted(connection, NOW - timedelta(days=3650))) == 1
    told = next(record for record in caplog.records if record.levelname == 'ERROR')
    assert 'RuntimeError: no label for [phone]' in told.exc_text and 'Traceback' in told.exc_text


def test_handled_twice_by_id_is_applied_once(store):
    group, update = Group(store), {'update_id': 1, 'message': REQUEST}
    for _ in range(3):
        keep(store, update)
        handle_pending(store, 7, collecting(group))
    assert len(group.asked) == 1


# Loops

class Stop(Exception): "Ends a loop that runs for ever."


async def until_stopped(loop) -> None:
    try: await loop
    except (Stop, asyncio.CancelledError): pass


class Telegram:
    "A bot whose `get_updates` answers from a script: a list, or an error to raise."
    id = 7

    def __init__(self, *script): self.script, self.offsets = list(script), []

    async def get_updates(self, offset=None):
        self.offsets.append(offset)
        if not self.script: raise asyncio.CancelledError
        step = self.script.pop(0)
        if isinstance(step, BaseException): raise step
        return step


@pytest.fixture
def waits(monkeypatch):
    "Waiting takes no time, and is written down."
    waits, sleep = [], asyncio.sleep
    async def quick(seconds, *rest):
        waits.append(seconds)
        await sleep(0)
    monkeypatch.setattr(inbox.asyncio, 'sleep', quick)
    return waits


def polled(store, *script) -> tuple[Telegram, Pulse]:
    bot, pulse = Telegram(*script), Pulse()
    asyncio.run(until_stopped(poll(bot, store, asyncio.Event(), pulse)))
    return bot, pulse


def test_an_offset_confirms_what_is_stored_and_is_then_forgotten(store, waits):
    bot, _ = polled(store, [{'update_id': 900}, {'update_id': 901}], [], [{'update_id': 12}], [])
    assert bot.offsets == [None, 902, None, 13, None]
    assert [row.update_id for row in stored(store)] == [900, 901, 12]


ERRORS = [NetworkError('reset by peer'), TimedOut(), RetryAfter(17), Conflict('other getUpdates'), TelegramError('x'),
          BadRequest('x'), Forbidden('x'), TypeError('garbage'), KeyError('garbage'), json.JSONDecodeError('x', '', 0),
          OperationalError('x', {}, Exception('database is locked')), OSError('no route to host')]


@pytest.mark.parametrize('error', ERRORS, ids=lambda error: type(error).__name__)
def test_polling_outlives(store, waits, error):
    bot, pulse = polled(store, error, [{'update_id': 1}], error, error, [{'update_id': 2}])
    assert [row.update_id for row in stored(store)] == [1, 2]
    assert bot.offsets == [None, None, 2, 2, 2, 3] and pulse.problem == ''


@pytest.mark.parametrize('error, patience', [
    (RetryAfter(17), [17.0, 17.0]), (Conflict('x'), [10.0, 10.0]), (TimedOut(), [1.0, 2.0])])
def test_how_long_polling_waits(store, waits, error, patience):
    _, pulse = polled(store, error, error)
    assert waits == patience and pulse.problem


def test_patience_has_an_end(store, waits):
    polled(store, *[NetworkError('x')] * 20)
    assert max(waits) == 30.0


def test_a_refused_token_is_for_a_person(store, waits):
    with pytest.raises(InvalidToken): polled(store, InvalidToken())


def test_what_cannot_be_stored_is_asked_for_again(store, waits, monkeypatch):
    real, failures = inbox._keep, [OperationalError('x', {}, Exception('disk full'))] * 2
    def keep_or_fail(*arguments):
        if failures: raise failures.pop()
        real(*arguments)
    monkeypatch.setattr(inbox, '_keep', keep_or_fail)
    bot, _ = polled(store, *[[{'update_id': 5}]] * 3, [])
    assert bot.offsets == [None, None, None, 6, None] and len(stored(store)) == 1


def test_a_server_that_brings_nothing_new_is_not_asked_again_in_haste(store, waits):
    polled(store, ['bad'], ['bad'], [], ['bad'])
    assert waits == [0.3, 0.3, 0.3] and len(stored(store)) == 1


def test_work_outlives_faults_and_wakes_when_something_arrives(waits):
    steps = [OperationalError('x', {}, Exception('locked')), RuntimeError('bug'), 5, 0]
    pulse, arrived = Pulse(), asyncio.Event()

    def round():
        if not steps: raise asyncio.CancelledError
        step = steps.pop(0)
        if isinstance(step, Exception): raise step
        if not step: loop.call_soon_threadsafe(arrived.set)
        return step

    async def main():
        nonlocal loop
        loop = asyncio.get_running_loop()
        await until_stopped(work(round, arrived, pulse, idle=60))
    loop = None
    asyncio.run(asyncio.wait_for(main(), 20))
    assert steps == [] and pulse.problem == ''


# Answered

class Chat:
    "A bot that writes down what it sends, or fails with the errors that it is given."
    def __init__(self, *errors): self.errors, self.sent = list(errors), []

    async def send_message(self, chat_id, text, **options):
        error = self.errors.pop(0) if self.errors else None
        if error: raise error
        self.sent.append((chat_id, text, options))


ANSWER = {'lane': -7, 'chat_id': -7, 'text': 'Tercatat', 'reply_to': 12, 'thread_id': 3}


def test_an_answer_is_a_reply_in_its_topic():
    chat = Chat()
    asyncio.run(send_message(chat, ANSWER))
    chat_id, text, options = chat.sent[0]
    assert (chat_id, text, options['parse_mode'], options['message_thread_id']) == (-7, 'Tercatat', 'HTML', 3)
    assert (options['reply_parameters'].message_id, options['reply_parameters'].allow_sending_without_reply) == (12, True)


@pytest.mark.parametrize('error, becomes, seconds', [
    (BadRequest('chat not found'), Refused, None), (Forbidden('kicked'), Refused, None),
    (RetryAfter(17), SendLater, 17.0), (NetworkError('x'), SendLater, None), (TimedOut(), SendLater, None),
    (TelegramError('x'), SendLater, None), (Conflict('x'), SendLater, None)])
def test_errors_of_sending(error, becomes, seconds):
    with pytest.raises(becomes) as raised: asyncio.run(send_message(Chat(error), ANSWER))
    assert getattr(raised.value, 'seconds', None) == seconds


def test_a_group_that_moved_is_followed():
    chat = Chat(ChatMigrated(-1007))
    asyncio.run(send_message(chat, ANSWER))
    chat_id, _, options = chat.sent[0]
    assert (chat_id, options['reply_parameters'], options['message_thread_id']) == (-1007, None, None)


# Outbox

def put(store, *lanes, within=None):
    with store.write() as connection:
        for n, lane in enumerate(lanes):
            enqueue(connection, 'telegram:7', {'lane': lane, 'text': f'{lane}{n}'}, NOW, within)


def delivered(store, minutes=0.0, fails=()) -> list[str]:
    "What one round sends, `minutes` after it was written."
    sent, fails = [], dict(fails)
    async def send(payload):
        if payload['lane'] in fails: raise fails[payload['lane']]
        sent.append(payload['text'])
    asyncio.run(deliver(store, 'telegram:7', send, NOW + timedelta(minutes=minutes)))
    return sent


def left(store) -> list[sa.Row]:
    with store.read() as connection: return connection.execute(sa.select(outbox).order_by(outbox.c.id)).all()


def test_an_order_is_kept_in_each_lane(store):
    put(store, 'a', 'a', 'b', 'a', 'b')
    assert [delivered(store) for _ in range(4)] == [['a0', 'b2'], ['a1', 'b4'], ['a3'], []]


def test_a_lane_that_fails_holds_up_itself_alone(store):
    put(store, 'a', 'a', 'b', 'b')
    busy = {'a': SendLater('busy', 120)}
    assert [delivered(store, fails=busy) for _ in range(3)] == [['b2'], ['b3'], []]
    assert delivered(store, 1.9) == []
    assert [delivered(store, 2.1) for _ in range(2)] == [['a0'], ['a1']]


def test_many_lanes_that_wait_hold_up_no_other(store):
    put(store, *range(80), 'good')
    busy = {n: SendLater('busy', 60) for n in range(80)}
    rounds = [delivered(store, fails=busy) for _ in range(2)]
    assert ['good80'] in rounds


def test_later_comes_with_growing_pauses(store):
    put(store, 'a')
    pauses, minutes = [], 0.0
    for _ in range(12):
        assert delivered(store, minutes, {'a': SendLater('down')}) == []
        waiting = (left(store)[0].due_at - NOW).total_seconds() / 60
        pauses.append(60 * (waiting - minutes))
        minutes = waiting
    assert all(2.0 ** n / 2 <= pause <= min(2.0 ** n, 300) or pause >= 150 for n, pause in enumerate(pauses, 1))
    assert max(pauses) <= 300 and left(store)[0].attempts == 12
    assert delivered(store, minutes) == ['a0']


@pytest.mark.parametrize('error', [Refused('chat not found'), ValueError('a bug'), KeyError('text')])
def test_never_is_parked_with_its_reason_and_the_lane_goes_on(store, error):
    put(store, 'a', 'a')
    assert [delivered(store, fails={'a': error}), delivered(store)] == [[], ['a1']]
    assert [(row.parked, row.error) for row in left(store)] == [(True, str(error))]
    with store.read() as connection: found = backlog(connection)
    assert (found[0]['destination'], found[0]['waiting'], found[0]['parked']) == ('telegram:7', 1, 1)


def test_a_reason_is_kept_with_what_is_personal_masked(store):
    put(store, 'a')
    delivered(store, fails={'a': Refused('https://api.telegram.org/bot123456789:AAHfx8kQ2pLm0NzR/sendMessage 081234567890')})
    assert left(store)[0].error == 'https://api.telegram.org/bot[token]/sendMessage [phone]'


def test_what_nobody_needs_to_hear_any_more_is_dropped(store):
    put(store, 'a', within=timedelta(minutes=5))
    put(store, 'a', 'b')
    assert delivered(store, 6) == ['a0', 'b1'] and left(store) == []


def test_a_crash_after_sending_sends_again_and_loses_nothing(store):
    put(store, 'a', 'b')
    sent = []
    async def send(payload):
        sent.append(payload['text'])
        if payload['lane'] == 'b': raise asyncio.CancelledError      # the process ends here
    with pytest.raises(asyncio.CancelledError): asyncio.run(deliver(store, 'telegram:7', send, NOW))
    assert delivered(store) == ['a0', 'b1'] and sent == ['a0', 'b1'] and left(store) == []


def test_destinations_do_not_meet(store):
    put(store, 'a')
    with store.write() as connection: enqueue(connection, 'sheets', {'lane': 'a'}, NOW)
    assert delivered(store) == ['a0'] and len(left(store)) == 1


# Nothing personal in the logs

def test_no_log_of_any_library_has_the_token(store, caplog, monkeypatch):
    monkeypatch.setattr(caplog.handler, 'filters', [MaskingFilter()])
    caplog.set_level('DEBUG')
    token, planted = '123456789:AAHfx8kQ2pLm0NzRhunter2', 'hub 0812-3456-7890 budi@contoh.id NIK 3174012345678901'

    async def main():
        server = await asyncio.start_server(answer, '127.0.0.1', 0)
        async with server:
            bot = connect_bot(token, f'http://127.0.0.1:{server.sockets[0].getsockname()[1]}')
            async with bot:
                batch = await bot.get_updates(timeout=0)
                await bot.send_message(-7, planted)
        return batch

    async def answer(reader, writer):
        head = await reader.readuntil(b'\r\n\r\n')
        size = next((int(line.split(b':')[1]) for line in head.lower().split(b'\r\n') if line.startswith(b'content-length')), 0)
        await reader.readexactly(size)
        result = {b'getMe': {'id': 7, 'is_bot': True, 'first_name': 'M', 'username': 'mytech_bot'},
                  b'getUpdates': [{'update_id': 1, 'message': {**REQUEST, 'text': planted}}],
                  b'sendMessage': {**REQUEST, 'text': planted}}[head.split()[1].rsplit(b'/', 1)[1]]
        body = json.dumps({'ok': True, 'result': result}).encode()
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n'
                     b'Connection: close\r\n\r\n%b' % (len(body), body))
        await writer.drain()
        writer.close()
    batch = asyncio.run(main())
    keep(store, *batch)
    handle_pending(store, 7, collecting(Group(store)))
    assert {'httpx', 'telegram.ext.ExtBot'} <= {record.name for record in caplog.records}
    for secret in ('hunter2', '3456', 'budi@', '3174012345678901'):
        assert [r.getMessage() for r in caplog.records if secret in r.getMessage()] == []
