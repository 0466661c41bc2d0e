"""The demo history is what Telegram would deliver, the same for a seed, and lifelike."""
import re
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from telegram import Update

from mytech.bots.demo import history, labelled, load_cast, load_corpus
from mytech.core.parsing import parse_ops_reply
from mytech.core.sla import active_minutes

END = datetime(2026, 3, 31, 9, 30, tzinfo=UTC)
ZONE = ZoneInfo('Asia/Jakarta')
PAUSES = tuple((datetime(2026, 1, 1, a).time(), datetime(2026, 1, 1, b).time())
               for a, b in [(0, 6), (13, 14), (19, 20)])


@pytest.fixture(scope='module')
def updates():
    return list(history(END))


@pytest.fixture(scope='module')
def messages(updates):
    "(message, truth, is an edit) of every update."
    return [(u.update.get('message') or u.update['edited_message'], u.truth,
             'edited_message' in u.update) for u in updates]


def key(message): return message['chat']['id'], message['message_id']


def staff(): return {p['id'] for p in load_cast()['people'] if p['role'] == 'ops'}


@pytest.fixture(scope='module')
def tickets(messages):
    "First key of each request -> its message and label; and every key of it -> that first key."
    first, of, albums = {}, {}, {}
    for message, truth, edit in messages:
        if truth and not edit:
            mine = albums.setdefault(message.get('media_group_id', key(message)), key(message))
            of[key(message)] = mine
            first.setdefault(mine, (message, truth))
    return first, of


@pytest.fixture(scope='module')
def answers(messages, tickets):
    "First key of a request -> ops' direct replies to any part of it, in the order of time."
    found = defaultdict(list)
    for message, _, edit in messages:
        to = message.get('reply_to_message')
        if to and not edit and message['from']['id'] in staff():
            ticket = tickets[1].get((message['chat']['id'], to['message_id']))
            if ticket: found[ticket].append(message)
    return found


def test_a_seed_decides_everything():
    assert list(history(END, days=10)) == list(history(END, days=10))
    assert list(history(END, days=10)) != list(history(END, days=10, seed=7))
    assert labelled(200) == labelled(200) != labelled(200, seed=7)


def test_ninety_days_are_written_in_seconds():
    started = time.perf_counter()
    assert len(list(history(END))) > 8000
    assert time.perf_counter() - started < 3


def test_library_reads_every_update(updates):
    for u in updates:
        read = Update.de_json(u.update, None)
        assert read.effective_message and read.effective_user and read.effective_chat
        assert read.effective_message.text or read.effective_message.photo \
            or read.effective_message.document or read.effective_message.video


def test_ids_and_times_ascend(messages, updates):
    ids = [u.update['update_id'] for u in updates]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    times = [m.get('edit_date', m['date']) for m, *_ in messages]
    assert all(a <= b for a, b in pairwise(times))
    assert END - timedelta(days=90) <= datetime.fromtimestamp(times[0], UTC)
    assert times[-1] <= END.timestamp() and times[-1] > END.timestamp() - 86400
    rows = defaultdict(list)
    for message, _, edit in messages:
        if not edit: rows[message['chat']['id']].append(message['message_id'])
    assert len(rows) == 2
    for row in rows.values(): assert row == list(range(1, len(row) + 1))


def test_people_write_in_their_groups(messages):
    members = {chat['id']: set(chat['members']) for chat in load_cast()['chats']}
    for message, truth, _ in messages:
        assert message['from']['id'] in members[message['chat']['id']]
        assert not (truth and message['from']['id'] in staff())


def test_replies_and_edits_refer_to_what_was_there(messages):
    seen, edits = {}, 0
    for message, _, edit in messages:
        to = message.get('reply_to_message')
        if to:
            original = seen[message['chat']['id'], to['message_id']]
            if not edit:
                assert to == {k: v for k, v in original.items() if k != 'reply_to_message'}
        if edit:
            before = seen[key(message)]
            assert before['from'] == message['from'] and before['date'] == message['date']
            edits += 1
        seen[key(message)] = message
    assert edits > 50


def test_albums(messages):
    albums = defaultdict(list)
    for message, truth, edit in messages:
        if message.get('media_group_id') and not edit:
            albums[message['media_group_id']].append((message, truth))
    assert len(albums) > 100
    places = Counter()
    for parts in albums.values():
        assert 2 <= len(parts) <= 4
        assert len({truth for _, truth in parts}) == 1 and parts[0][1]
        assert len({m['chat']['id'] for m, _ in parts}) == 1
        assert len({m['photo'][-1]['file_unique_id'] for m, _ in parts}) == len(parts)
        place, = [i for i, (m, _) in enumerate(parts) if m.get('caption')]
        places[place] += 1
    assert len(places) > 2


def test_labels_have_a_long_tail(tickets):
    labels = {c['label'] for c in load_corpus()['classes']}
    counts = Counter(truth for _, truth in tickets[0].values())
    assert set(counts) == labels
    assert max(counts.values()) > 4 * min(counts.values())


def test_labelled_rows():
    rows = labelled(2000)
    labels = {c['label'] for c in load_corpus()['classes']}
    assert {label for *_, label in rows} == labels
    assert all(text.strip() for text, *_ in rows)
    assert 0 < sum(not solving for _, solving, _ in rows) < 400
    by_text = defaultdict(set)
    for text, _, label in labelled(10_000): by_text[text.lower()].add(label)
    assert any(len(found) > 1 for found in by_text.values())


def test_no_placeholder_is_left(messages):
    for message, *_ in messages:
        assert not re.search(r'[{}]', message.get('text', '') + message.get('caption', ''))


def test_small_talk_surrounds_the_requests(messages):
    truths = [truth for m, truth, edit in messages
              if m['from']['id'] not in staff() and not edit]
    share = truths.count(None) / len(truths)
    assert .2 < share < .6
    forwards = [truth for m, truth, _ in messages if 'forward_origin' in m]
    assert len(forwards) > 50 and all(forwards)


def test_ops_answer_most_requests_in_form(tickets, answers):
    share = len(answers) / len(tickets[0])
    assert .85 < share < .97
    known = {p['initials'] for p in load_cast()['people'] if p['role'] == 'ops'}
    replies = [parse_ops_reply(m['text'], ['MIT', 'MIS'])
               for found in answers.values() for m in found]
    signed = [r for r in replies if r and r.initials]
    assert .92 < sum(r is not None for r in replies) / len(replies) < .995
    assert .95 < sum(r.initials in known for r in signed) / len(signed) < 1
    firsts = [parse_ops_reply(found[0]['text'], ['MIT', 'MIS']) for found in answers.values()]
    assert .28 < sum(bool(r and r.is_oncek) for r in firsts) / len(firsts) < .42


def test_most_answers_are_in_time_and_some_are_late(tickets, answers):
    def at(message): return datetime.fromtimestamp(message['date'], UTC)
    waits = [active_minutes(at(tickets[0][k][0]), at(found[0]), PAUSES, ZONE)
             for k, found in answers.items() if 'forward_origin' not in tickets[0][k][0]]
    assert .75 < sum(w <= 15 for w in waits) / len(waits) < .85
    assert .5 < sum(2 <= w <= 12 for w in waits) / len(waits) < .8


def test_days_and_weeks_have_a_rhythm(tickets):
    when = [datetime.fromtimestamp(m['date'], ZONE) for m, _ in tickets[0].values()]
    hours, days = Counter(t.hour for t in when), Counter(t.weekday() for t in when)
    assert hours[10] > 10 * (hours[2] + 1) and hours[10] > 1.5 * hours[13]
    assert days[0] > 2 * days[6]


@pytest.mark.parametrize(('days', 'tickets_per_day', 'least', 'most'),
                         [(1, 40, 40, 400), (3, 2, 3, 80), (2, 0, 0, 0)])
def test_short_and_quiet_histories(days, tickets_per_day, least, most):
    found = list(history(END, days=days, tickets_per_day=tickets_per_day))
    assert least <= len(found) <= most
    for u in found:
        message = u.update.get('message') or u.update['edited_message']
        sent = datetime.fromtimestamp(message['date'], UTC)
        assert END - timedelta(days=days, hours=1) <= sent <= END


def test_end_without_zone_is_refused():
    with pytest.raises(ValueError, match='time zone'):
        next(history(datetime(2026, 3, 31)))
