"The monitor by a stepped clock: what it tells, to whom, how often, and what it lets pass."
import multiprocessing
import os
import signal
from collections import Counter
from datetime import datetime, timedelta, timezone
from random import Random
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from admin_desk import BOT, silent
from sqlalchemy import select
from support import AYU, Sandbox, free_port, running, until

from mytech.bots import watch
from mytech.bots.admin import Look, Office
from mytech.bots.admin_bot import BOOK, page_of
from mytech.bots.demo import arrivals, history, load_corpus, mixes
from mytech.bots.watch import Watcher, alarm_text, look_around
from mytech.core.config import load_settings
from mytech.core.schema import Message, Prediction, Status
from mytech.core.sla import active_minutes
from mytech.core.texts import catalogue
from mytech.ops import monitor
from mytech.ops.alarms import COOL, Event, judge
from mytech.ops.incidents import EVERY, level, named, unusual, usual
from mytech.ops.monitor import RULES, Seen, decide
from mytech.services.duties import note_pulse, pulses
from mytech.services.outbox import enqueue
from mytech.services.store import duties, open_store, outbox, reviews
from mytech.services.tickets import note_chat, open_ticket, respond, save_predictions

ZONE = ZoneInfo('Asia/Jakarta')
ADMINS, OPS, REPORTS, GROUP = -901, -902, -903, -1001000000005
CHATS = {'admin_chat_id': str(ADMINS), 'ops_chat_id': str(OPS), 'report_chat_id': str(REPORTS), 'tech_chat_id': str(GROUP)}
SETTINGS = load_settings(None, **CHATS)


def local(text): return datetime.fromisoformat(text).replace(tzinfo=ZONE)


def every(start, end, **step):
    "Moments from start to end."
    while start <= end:
        yield start
        start += timedelta(**step)


# ---------------------------------------------------------------- one alarm a condition

@pytest.mark.parametrize('rule', RULES, ids=lambda rule: rule.name)
def test_an_alarm_is_told_once_and_once_when_it_is_over(rule):
    beyond = rule.limit + (rule.limit - rule.calm) / 10
    between = (rule.limit + rule.calm) / 2
    now, memory, told = local('2026-11-20 09:00'), {}, []
    for value in [rule.calm, between, rule.limit, beyond, beyond, between, rule.limit, beyond, between, rule.calm, between]:
        events, memory = judge([rule], {rule.name: value}, memory, now)
        told += [(event.raised, event.value) for event in events]
        now += timedelta(minutes=5)
    assert told == [(True, beyond), (False, rule.calm)]


def test_nothing_rings_twice_within_the_cool_down_however_figures_wander():
    rng, now, memory, told = Random(5), local('2026-11-20 00:00'), {}, []
    rule = RULES[0]
    for _ in range(5000):
        events, memory = judge([rule], {rule.name: rng.choice([.6, .72, .8, None])}, memory, now)
        told += [(now, event.raised) for event in events]
        now += timedelta(minutes=1)
    assert [raised for _, raised in told] == [n % 2 == 0 for n in range(len(told))]
    over = [at for at, raised in told if not raised]
    begun = [at for at, raised in told if raised]
    assert len(begun) > 20
    assert min(later - at for at, later in zip(over, begun[1:])) >= COOL


def test_a_figure_that_nobody_knows_neither_rings_nor_calms():
    memory = {'pending': {'on': True, 'at': local('2026-11-20 09:00').isoformat()}}
    assert judge(RULES, {'pending': None}, memory, local('2026-11-21 09:00')) == ([], memory)
    assert judge(RULES, {}, memory, local('2026-11-21 09:00')) == ([], memory)


@pytest.mark.parametrize('language', ['id', 'en'])
def test_every_rule_has_its_words(language):
    office = Office(load_settings(None, bot_language=language), None, silent(), BOT, 'x')
    look = Look(office, None, local('2026-11-20 09:00'), 0)
    for rule in RULES:
        raised, over = (alarm_text(look, Event(rule, on, rule.limit)) for on in (True, False))
        assert raised.startswith('🔴') and over.startswith('🟢') and raised.count('\n') == 1
    unused = {key for key in catalogue() if key.startswith('rule_')} - {f'rule_{rule.name}' for rule in RULES}
    assert not unused


# ---------------------------------------------------------------- before it is too late

def sla_day(asked, answered=None, step=15):
    "A day of looking every quarter of a minute: ticket -> when it was warned of."
    memory, warned, answered = {}, {}, answered or {}
    for now in every(local('2026-11-20 05:00'), local('2026-11-20 21:00'), seconds=step):
        waiting = tuple((ticket, active_minutes(at, now, SETTINGS.sla_pauses, ZONE)) for ticket, at in asked.items()
                        if at <= now < answered.get(ticket, now + timedelta(1)))
        notices, memory = decide(Seen(waiting=waiting), memory, now, SETTINGS)
        for notice in notices:
            if notice.kind == 'late':
                assert notice.to == 'ops'
                for ticket in notice.about: warned.setdefault(ticket, []).append(now)
    return warned


def test_each_ticket_is_warned_of_once_before_it_is_late_and_never_in_a_pause():
    rng = Random(1)
    asked = {n: local('2026-11-20 05:30') + timedelta(seconds=rng.randrange(14 * 3600)) for n in range(60)}
    asked |= {100: local('2026-11-20 12:50'), 101: local('2026-11-20 12:49:55'), 102: local('2026-11-20 13:30'), 103: local('2026-11-20 18:59')}
    warned = sla_day(asked)
    for ticket, at in asked.items():
        (when,) = warned[ticket]
        assert not monitor.paused(when, SETTINGS.sla_pauses, ZONE)
        minutes = active_minutes(at, when, SETTINGS.sla_pauses, ZONE)
        assert 10 <= minutes <= 10.5, (ticket, at, when)
    assert warned[100][0] == local('2026-11-20 14:00'), 'ten minutes are full when the clock stops: told when it runs again'


def test_who_was_answered_in_time_is_not_spoken_of():
    asked = {1: local('2026-11-20 09:00'), 2: local('2026-11-20 09:00')}
    assert list(sla_day(asked, {1: local('2026-11-20 09:09')})) == [2]


def test_what_was_late_before_anybody_looked_is_left_to_the_list():
    notices, _ = decide(Seen(waiting=((1, 15.0), (2, 14.9), (3, 400.0))), {}, local('2026-11-20 09:00'), SETTINGS)
    assert [(notice.kind, notice.about) for notice in notices] == [('late', (2,))]


def test_the_warning_is_a_share_of_the_target():
    settings = load_settings(None, sla_minutes='60')
    told = [minutes for minutes in range(60)
            if decide(Seen(waiting=((1, float(minutes)),)), {}, local('2026-11-20 09:00'), settings)[0]]
    assert told == list(range(40, 60))


# ---------------------------------------------------------------- incidents

CLASSES = load_corpus()['classes']
LABELS = [case['label'] for case in CLASSES]


def traffic(days, rng, per_day=40, wrong=.1):
    "Local time, predicted class and number of each ticket of an ordinary group; one in ten labels is wrong."
    first = datetime(2026, 6, 1).date()
    seen = [(at, rng.choice(LABELS) if rng.random() < wrong else case['label']) for number, weights in enumerate(mixes(load_corpus(), days, rng))
            for at in arrivals(first + timedelta(number), per_day, rng, ZONE) for case in rng.choices(CLASSES, weights)]
    return [(at, label, number) for number, (at, label) in enumerate(sorted(seen))]


def learned(seen, before, days=28):
    return usual([(at, label) for at, label, _ in seen if before - timedelta(days) < at <= before], days)


def rang_in(seen, per_day=40):
    "What rings after the first four weeks; the look is taken after each ticket."
    memory, rang, day = {}, [], None
    begin, back = seen[0][0].replace(hour=0, minute=0) + timedelta(28), 3 * per_day
    for at, _, number in seen:
        if at < begin: continue
        if at.date() != day: day, rates = at.date(), learned(seen[:number], at)
        recent = [one for one in seen[max(number - back, 0):number + 1] if one[0] > at - timedelta(hours=1)]
        told, memory = monitor.judge_bursts(
            Seen(bursts=named(unusual(rates, recent, at, level(rates))), restless=frozenset(unusual(rates, recent, at, .01))), memory, at)
        rang += [(at, notice.about.label) for notice in told if notice.kind == 'incident']
    return rang


@pytest.mark.parametrize('seed', [11, 12])
def test_ninety_ordinary_days_ring_once_at_most(seed):
    assert len(rang_in(traffic(118, Random(seed)))) <= 1


def test_the_demo_history_rings_for_the_incidents_that_it_tells_and_for_nothing_else():
    end, days, seed = local('2026-11-20 09:00'), 118, 44
    planted = {end.date() - timedelta(days - number) for number in Random(seed).sample(range(days), k=days // 40)}
    asked = {}
    for one in history(end, days, seed):
        raw = one.update.get('message')
        if raw and one.truth: asked.setdefault(raw.get('media_group_id', one.update['update_id']), (datetime.fromtimestamp(raw['date'], ZONE), one.truth))
    seen = [(at, label, number) for number, (at, label) in enumerate(sorted(asked.values()))]
    later = sorted(day for day in planted if day > seen[0][0].date() + timedelta(28))
    assert len(later) == 2 and [at.date() for at, _ in rang_in(seen)] == later


@pytest.mark.bench
def test_years_of_ordinary_days():
    rang = {(seed, per_day): len(rang_in(traffic(118, Random(seed), per_day), per_day)) for seed in range(100, 110) for per_day in (15, 40, 150)}
    print(rang)
    assert max(rang.values()) <= 1
    assert sum(rang.values()) <= 4


def outage(start, label, rng, n=30, minutes=10, right=.85):
    "Tickets of one fault; some are taken for something else."
    times = [start + timedelta(minutes=minutes * (number + rng.random()) / n) for number in range(n)]
    return [(at, label if rng.random() < right else rng.choice(LABELS), 10**6 + number) for number, at in enumerate(times)]


def rings(seen, fault, rates, until=timedelta(minutes=40)):
    "Looks every quarter of a minute from before the fault on; (seconds after its first ticket, what is told)."
    start, memory, told = fault[0][0], {}, []
    around = sorted(one for one in seen + fault if abs(one[0] - start) < timedelta(hours=6))
    for now in every(start - timedelta(minutes=30, seconds=7), start + until, seconds=15):
        recent = [one for one in around if now - timedelta(hours=1) < one[0] <= now]
        news, memory = monitor.judge_bursts(
            Seen(bursts=named(unusual(rates, recent, now, level(rates))), restless=frozenset(unusual(rates, recent, now, .01))), memory, now)
        told += [((now - start).total_seconds(), notice) for notice in news]
    return told


@pytest.mark.parametrize('per_day', [40, 150])
@pytest.mark.parametrize('hour', [3, 9, 14, 21])
def test_an_outage_rings_within_three_minutes_of_its_first_ticket(hour, per_day):
    rng = Random(hour)
    seen = traffic(35, rng, per_day)
    start = seen[0][0].replace(hour=hour, minute=20, second=0) + timedelta(30)
    rates = learned(seen, start - timedelta(hours=1))
    for label in ('TWO FACTOR AUTHENTICATION', 'KENDALA LOGIN', 'KENDALA SPEEDTEST'):
        told = rings(seen, outage(start, label, rng), rates)
        first, notice = told[0]
        assert 0 <= first <= 180, (label, first)
        assert label in (notice.about.label, notice.about.most)
        assert notice.about.n >= 5 and len(notice.about.ids) == 3


def test_an_outage_that_the_model_has_no_name_for_rings_too():
    rng = Random(4)
    seen = traffic(35, rng)
    start = seen[0][0].replace(hour=10, minute=20) + timedelta(30)
    told = rings(seen, outage(start, '', rng, right=0), learned(seen, start - timedelta(hours=1)))
    assert told[0][0] <= 240 and told[0][1].about.label == EVERY


def test_an_outage_is_told_once_and_its_end_once():
    rng = Random(8)
    seen = traffic(35, rng)
    start = seen[0][0].replace(hour=10, minute=20) + timedelta(30)
    told = rings(seen, outage(start, 'KENDALA LOGIN', rng, right=1), learned(seen, start - timedelta(hours=1)), timedelta(hours=2))
    mine = [(notice.kind, seconds) for seconds, notice in told if 'KENDALA LOGIN' in (notice.about, getattr(notice.about, 'label', ''))]
    assert [kind for kind, _ in mine] == ['incident', 'over']
    assert mine[1][1] > 600, 'not over while it lasts'


def test_the_same_number_is_an_incident_at_night_and_none_in_a_busy_hour():
    seen = traffic(28, Random(2), 400, wrong=0)
    rates = learned(seen, seen[-1][0])
    monday, night = local('2026-06-29 09:30'), local('2026-06-29 03:30')
    def six(now): return [(now - timedelta(minutes=2 * n), 'TWO FACTOR AUTHENTICATION', n) for n in range(6)]
    assert not unusual(rates, six(monday), monday, level(rates))
    assert unusual(rates, six(night), night, level(rates))


# ---------------------------------------------------------------- a whole house

class House:
    "A store with a few tickets, a clock, and what was sent."
    def __init__(self, url='sqlite://', **changes):
        self.store = open_store(url)
        self.office = Office(load_settings(None, **{**CHATS, **changes}), self.store, silent(), BOT, 'admin_bot')
        self.number = 0
        with self.store.write() as connection: note_chat(connection, GROUP, 'Teknisi Jaksel')

    def asks(self, at, text='tdk bisa login', label='KENDALA LOGIN', status=Status.AUTO, answered=None):
        self.number += 1
        with self.store.write() as connection:
            one = open_ticket(connection, Message(GROUP, self.number, 101, at, text))
            save_predictions(connection, {one: Prediction(label, .9, status, ((label, .9),), model_version='v1')}, at)
            if answered: respond(connection, one, answered, 1.0, 15)
        return one

    def sent(self):
        with self.store.write() as connection:
            rows = connection.execute(outbox.select().order_by(outbox.c.id)).all()
            connection.execute(outbox.delete())
        return [row.payload for row in rows]

    def texts(self, chat): return [payload.get('text') or page_of(self.office, payload).text for payload in self.sent() if payload['chat_id'] == chat]


@pytest.fixture
def house(tmp_path): return House(artifacts_url=str(tmp_path))


def kinds(payloads): return Counter((payload['chat_id'], payload.get('view', 'text')) for payload in payloads)


def test_a_warning_names_the_ticket_masked_and_links_to_it(house):
    now = local('2026-11-20 09:30')
    house.asks(now - timedelta(minutes=11), 'tdk bisa login <mytech> hp 081234567890 min')
    look_around(Watcher(house.office, now), now)
    (text,) = house.texts(OPS)
    assert 'href="https://t.me/c/1000000005/1"' in text and '081234567890' not in text and '&lt;mytech&gt;' in text
    look_around(Watcher(house.office, now), now + timedelta(minutes=1))
    assert house.sent() == [], 'told once, by a process that was started anew, too'


def test_an_outage_in_the_store_reaches_admins_and_ops_once(house):
    now = local('2026-11-20 09:30')
    for n in range(12): house.asks(now - timedelta(seconds=10 * n), f'otp tidak masuk {n}', 'TWO FACTOR AUTHENTICATION')
    watcher = Watcher(house.office, now)
    look_around(watcher, now)
    assert kinds(house.sent()) == {(ADMINS, 'text'): 1, (OPS, 'text'): 1}
    for later in every(now + timedelta(seconds=15), now + timedelta(minutes=5), seconds=60): look_around(watcher, later)
    assert house.sent() == []
    look_around(watcher, now + timedelta(minutes=75))
    assert any('🟢' in text for text in house.texts(ADMINS))


def test_a_deaf_bot_is_told_of_after_a_minute_and_when_it_hears_again(house):
    now, told = local('2026-11-20 09:00'), []
    watcher = Watcher(house.office, now)
    for second in range(0, 300, 15):
        if second < 30 or second >= 180:
            with house.store.write() as connection: note_pulse(connection, 'collector', 5, now + timedelta(seconds=second))
        look_around(watcher, now + timedelta(seconds=second))
        told += [(second, text) for text in house.texts(ADMINS)]
    assert [(second, text[0]) for second, text in told] == [(75, '🔴'), (180, '🟢')]
    assert 'TELEGRAM_BOT_TOKEN' in told[0][1]


def test_a_house_that_was_off_overnight_is_not_deaf_in_its_first_minute(house):
    now = local('2026-11-20 09:00')
    with house.store.write() as connection: note_pulse(connection, 'collector', 0, now - timedelta(hours=9))
    watcher = Watcher(house.office, now)
    look_around(watcher, now + timedelta(seconds=59))
    assert house.texts(ADMINS) == []
    look_around(watcher, now + timedelta(seconds=61))
    assert len(house.texts(ADMINS)) == 1


def test_a_full_disk_a_stuck_outbox_and_a_full_queue_are_one_message(house, monkeypatch):
    now = local('2026-11-20 09:00')
    monkeypatch.setattr(monitor, 'disk_usage', lambda folder: SimpleNamespace(free=2**29))
    for n in range(51): house.asks(now - timedelta(hours=30 + n), status=Status.REVIEW, answered=now - timedelta(hours=29 + n))
    with house.store.write() as connection:
        enqueue(connection, 'telegram:1', {'lane': 1, 'chat_id': 1, 'text': 'x'}, now - timedelta(minutes=7))
        enqueue(connection, f'retrain:{BOT}', {'lane': 1, 'chat_id': 1, 'text': 'x'}, now - timedelta(hours=7))
    look_around(Watcher(house.office, now), now)
    (text,) = house.texts(ADMINS)
    assert text.count('🔴') == 3 and '0,5 GB' in text and '51' in text and '7 menit' in text


def test_admins_without_a_chat_are_told_in_private(tmp_path, monkeypatch):
    monkeypatch.setattr(monitor, 'disk_usage', lambda folder: SimpleNamespace(free=0))
    house, now = House(artifacts_url=str(tmp_path), admin_chat_id='', admin_user_ids='301,302'), local('2026-11-20 09:00')
    look_around(Watcher(house.office, now), now)
    assert kinds(house.sent()) == {(301, 'text'): 1, (302, 'text'): 1}


def test_a_few_doubtful_tickets_at_night_wake_nobody(house):
    now = local('2026-11-20 03:00')
    for n in range(8): house.asks(now - timedelta(hours=n), status=Status.REVIEW, answered=now)
    look_around(Watcher(house.office, now), now)
    assert house.texts(ADMINS) == []


# ---------------------------------------------------------------- hours, days, weeks

def test_each_hour_day_and_week_is_summed_up_once_at_its_time(house):
    start, sums = local('2026-11-19 06:30'), []
    for hour in range(8, 20):
        for day in range(19, 26): house.asks(local(f'2026-11-{day} {hour:02}:20'), answered=local(f'2026-11-{day} {hour:02}:25'))
    for now in every(start, start + timedelta(6), minutes=30):
        look_around(Watcher(house.office, now), now)
        sums += [(now, payload['view'], payload['args']) for payload in house.sent() if payload['chat_id'] == REPORTS]
    digests = [(f'{now:%a %H:%M}', view, args[1]) for now, view, args in sums if view != 'hour_report']
    assert digests[:2] == [('Thu 07:30', 'tickets', '2026-11-18'), ('Thu 07:30', 'report', '2026-11-18')]
    assert Counter(when for when, *_ in digests) == {f'{day} 07:30': 5 if day == 'Mon' else 2 for day in ('Thu', 'Fri', 'Sat', 'Sun', 'Mon', 'Tue')}
    assert ('Mon 07:30', 'trend', '2026-11-16') in digests
    hours = [now for now, view, _ in sums if view == 'hour_report']
    assert len(hours) == len(set(hours)) == 6 * 12 and {now.hour for now in hours} == set(range(9, 21)) and {now.minute for now in hours} == {0}


def test_a_new_house_owes_nothing_and_an_old_one_the_newest_only(house):
    look_around(Watcher(house.office, local('2026-11-20 09:00')), local('2026-11-20 09:00'))
    assert house.sent() == []
    later = local('2026-11-25 15:00')
    look_around(Watcher(house.office, later), later)
    assert [(payload['view'], payload['args'][1]) for payload in house.sent()] == [
        ('tickets', '2026-11-24'), ('report', '2026-11-24'), ('tickets', '2026-11-16'), ('report', '2026-11-16'), ('trend', '2026-11-16')]


@pytest.mark.parametrize('language', ['id', 'en'])
def test_what_is_summed_up_can_be_drawn(tmp_path, language):
    house, now = House(artifacts_url=str(tmp_path), bot_language=language), local('2026-11-23 07:30')
    for n in range(30): house.asks(local('2026-11-22 09:00') + timedelta(minutes=7 * n), answered=local('2026-11-22 13:00') if n else None)
    look_around(Watcher(house.office, now), now - timedelta(minutes=40))
    house.sent()
    house.asks(now - timedelta(minutes=20))
    look_around(Watcher(house.office, now), local('2026-11-23 08:00'))
    sums = [payload for payload in house.sent() if payload['chat_id'] == REPORTS]
    assert Counter(payload['view'] for payload in sums) == {'hour_report': 1, 'tickets': 2, 'report': 2, 'trend': 1}
    for payload in sums:
        with house.store.read() as connection:
            page = BOOK.views[payload['view']](Look(house.office, connection, local('2026-11-23 08:00'), 0), *payload['args'])
        assert len(page.text) < 1024 and '\n' in page.text
        if page.photo: assert page.photo().startswith(b'\x89PNG')


DUE = local('2026-11-20 07:30')


def settled(path):
    "A house that has summed up the day before."
    house = House(f'sqlite:///{path}/mytech.db', artifacts_url=str(path))
    look_around(Watcher(house.office, DUE - timedelta(minutes=1)), DUE - timedelta(minutes=1))
    return house


def _look(path, dies_in=None, barrier=None):
    if dies_in: setattr(watch, dies_in, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
    house = House(f'sqlite:///{path}/mytech.db', artifacts_url=str(path))
    if barrier: barrier.wait()
    look_around(Watcher(house.office, DUE), DUE)


@pytest.mark.parametrize('dies_in', ['decide', 'enqueue', 'remember'])
def test_a_kill_between_the_claim_and_the_message_loses_no_digest_and_doubles_none(tmp_path, dies_in):
    house, fork = settled(tmp_path), multiprocessing.get_context('fork')
    process = fork.Process(target=_look, args=[tmp_path, dies_in])
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL and house.sent() == []
    for _ in range(3): _look(tmp_path)
    assert [payload['view'] for payload in house.sent()] == ['tickets', 'report']


def test_two_processes_send_one_digest(tmp_path):
    house, fork = settled(tmp_path), multiprocessing.get_context('fork')
    barrier = fork.Barrier(3)
    processes = [fork.Process(target=_look, args=[tmp_path, None, barrier]) for _ in range(3)]
    for process in processes: process.start()
    for process in processes: process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert [payload['view'] for payload in house.sent()] == ['tickets', 'report']


# ---------------------------------------------------------------- running

OFFICE = -1001000000003


def read(house, what):
    with house.store.read() as connection: return what(connection)


def test_a_running_house_cries_out_shows_life_and_takes_a_press_of_ops(tmp_path):
    port, at = free_port(), datetime.now(timezone.utc)
    house = House(f'sqlite:///{tmp_path}/mytech.db', artifacts_url=str(tmp_path))
    for n in range(12): house.asks(at - timedelta(seconds=10 * n), f'otp tidak masuk {n}', answered=at)
    with running(tmp_path, 'sandbox', 'admin', SANDBOX_PORT=port, SUGGEST_CHAT_ID=OFFICE):
        sandbox = Sandbox(port)
        def said(sign): return next((m for m in sandbox.messages() if m['from']['is_bot'] and sign in m.get('text', '')), None)
        assert until(lambda: said('🚨'))['chat']['id'] == OFFICE
        assert abs(datetime.now(timezone.utc) - until(lambda: read(house, pulses))['admin']) < timedelta(minutes=1)
        until(lambda: read(house, lambda connection: connection.scalar(select(duties.c.state).where(duties.c.name == 'suggest'))))
        ticket = house.asks(datetime.now(timezone.utc), 'muter terus setelah update')
        card = until(lambda: said('muter terus'))
        sandbox.act('press', person=AYU, room=str(OFFICE), message_id=card['message_id'], data=card['reply_markup']['inline_keyboard'][0][0]['callback_data'])
        (review,) = until(lambda: read(house, lambda connection: connection.execute(reviews.select()).all()))
        assert (review.ticket_id, review.label, review.reviewer) == (ticket, 'KENDALA LOGIN', 'Ayu B')
        until(lambda: said('✓'))
