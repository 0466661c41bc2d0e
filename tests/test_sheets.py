"""The spreadsheet as a mirror of the store, on its good days and on its bad ones, with people at work in it."""
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from group import AYU, BUDI, Group, new, post, settings
from sheets_fake import Sheets, account
from sqlalchemy import select

from mytech.core.schema import LOGS, TRACKING
from mytech.ops.export import rows_of
from mytech.services.mirror import Mirror, follow_round, plain
from mytech.services.outbox import backlog
from mytech.services.sheets import Bucket
from mytech.services.store import open_store, outbox

JAKARTA = ZoneInfo('Asia/Jakarta')
TITLES = {'logs': 'Logs', 'tracking': 'ML_Tracking'}


@pytest.fixture
def sheets():
    fake = Sheets()
    yield fake
    fake.close()


@pytest.fixture
def group():
    made = Group(open_store('sqlite://', ('sheets',)))
    yield made
    made.store.close()


def mirror_of(sheets, store, **more):
    set_up = settings(google_service_account_json=account(), google_spreadsheet_name='MyTech',
                      sheets_api_base=sheets.base)
    free = Bucket(per_minute=1e9, holds=1e9)
    return Mirror(set_up, store, **{'patience': timedelta(seconds=1), 'timeout': 0.3, 'bucket': free, **more})


@pytest.fixture
def mirror(sheets, group): return mirror_of(sheets, group.store)


def ask(group, number, text='tdk bisa login', chat=-7, answer=True):
    "A request, and its answer."
    asked = post(number, BUDI, text, number % 50, chat)
    group.hear(new(asked))
    if answer: solve(group, asked)
    return asked


def solve(group, asked):
    group.hear(new(post(10_000 + asked['message_id'], AYU, f"beres {asked['message_id']}, MIT -ab", 59,
                        asked['chat']['id'], asked)))


def in_store(store, sheet):
    with store.read() as connection:
        return sorted([plain(cell) for cell in row.values()] for row in rows_of(connection, sheet, JAKARTA))


def same(sheets, store):
    "True when both pages show what the store holds, row for row, and nothing else."
    return all(sorted([plain(cell) for cell in row] for row in sheets.rows(title)[1:]) == in_store(store, sheet)
               for sheet, title in TITLES.items())


def settle(mirror, sheets, rounds=8):
    for _ in range(rounds):
        follow_round(mirror)
        if not waits(mirror): return
    raise AssertionError(f'{waits(mirror)} still wait')


def waits(mirror):
    with mirror.store.read() as connection: return sum(one['waiting'] for one in backlog(connection) if one['destination'] == 'sheets')


def test_the_sheets_are_made_and_show_the_store(mirror, sheets, group):
    for number in range(1, 6): ask(group, number, answer=number != 3)
    settle(mirror, sheets)
    assert [sheets.rows(title)[0] for title in ('Logs', 'ML_Tracking')] == [list(LOGS), list(TRACKING)]
    assert len(sheets.rows('Logs')) == 1 + 4 and len(sheets.rows('ML_Tracking')) == 1 + 5
    assert same(sheets, group.store)


def test_a_row_is_completed_in_its_place_in_one_request(mirror, sheets, group):
    asked = [ask(group, number, answer=False) for number in range(1, 21)]
    settle(mirror, sheets)
    before = len(sheets.writes)
    for one in asked: solve(group, one)
    settle(mirror, sheets)
    assert len(sheets.writes) - before == 2 # new rows of Logs, changed cells of ML_Tracking
    assert same(sheets, group.store)


def test_nothing_is_announced_without_a_spreadsheet():
    group = Group(open_store('sqlite://'))
    ask(group, 1)
    with group.store.read() as connection:
        assert connection.execute(select(outbox).where(outbox.c.destination == 'sheets')).all() == []


def test_text_never_becomes_a_formula(mirror, sheets, group):
    ask(group, 1, '=HYPERLINK("http://x","tdk bisa login")')
    settle(mirror, sheets) # the fake refuses anything but RAW
    assert sheets.rows('Logs')[1][6].startswith('=HYPERLINK')


def test_the_same_message_id_in_two_groups(mirror, sheets, group):
    for chat in (-7, -8): ask(group, 1, chat=chat, answer=False)
    settle(mirror, sheets)
    for chat in (-7, -8): solve(group, post(1, BUDI, 'tdk bisa login', 1, chat))
    settle(mirror, sheets)
    assert same(sheets, group.store) and len(sheets.rows('Logs')) == 3
