"""The spreadsheet as a mirror of the store, on its good days and on its bad ones, with people at work in it."""
import json
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from threading import Thread
from zoneinfo import ZoneInfo

import pytest
from group import AYU, BUDI, NINE, Group, new, post, settings
from sheets_fake import FAULTS, Sheets, account
from sqlalchemy import select
from support import MYTECH, environment, until

from mytech.core.config import SettingsError
from mytech.core.schema import LOGS, MONITORING, TRACKING, Prediction, Status
from mytech.ops.export import rows_of, write_csv
from mytech.ops.history import import_logs
from mytech.ops.mirror import announce_differences, follow_round, rest
from mytech.ops.sight import Mirror
from mytech.services.ledger import Places
from mytech.services.outbox import Refused, SendLater, backlog
from mytech.services.sheets import Bucket
from mytech.services.store import open_store, outbox, reviews, sheet_rows
from mytech.services.tickets import change_ticket, save_predictions, save_review
from mytech.services.worksheets import plain

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
JAKARTA = ZoneInfo('Asia/Jakarta')
TITLES = {'logs': 'Logs', 'tracking': 'ML_Tracking', 'monitoring': 'Monitoring'}


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
    return Mirror(set_up, store, **{'patience': timedelta(seconds=2), 'timeout': 0.3, 'writes': free, 'reads': free, **more})


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
    "True when all pages show what the store holds, row for row, and nothing else."
    return all(sorted([plain(cell) for cell in row] for row in sheets.rows(title)[1:]) == in_store(store, sheet)
               for sheet, title in TITLES.items())


def settle(mirror, sheets, rounds=8):
    for _ in range(rounds):
        follow_round(mirror)
        if not waits(mirror): return
    raise AssertionError(f'{waits(mirror)} still wait')


def waits(mirror):
    with mirror.store.read() as connection: return len(mirror.hours) + sum(
        one['waiting'] for one in backlog(connection) if one['destination'] == 'sheets')


def test_the_sheets_are_made_and_show_the_store(mirror, sheets, group):
    for number in range(1, 6): ask(group, number, answer=number != 3)
    settle(mirror, sheets)
    assert [sheets.rows(title)[0] for title in TITLES.values()] == [list(LOGS), list(TRACKING), list(MONITORING)]
    assert len(sheets.rows('Logs')) == 1 + 4 and len(sheets.rows('ML_Tracking')) == 1 + 5
    assert same(sheets, group.store)


def test_a_row_is_completed_in_its_place_in_one_request(mirror, sheets, group):
    asked = [ask(group, number, answer=False) for number in range(1, 21)]
    settle(mirror, sheets)
    before = len(sheets.writes)
    for one in asked: solve(group, one)
    settle(mirror, sheets)
    assert len(sheets.writes) - before == 2 # new rows of Logs, changed cells of ML_Tracking and Monitoring
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
    for chat in (-7, -8): ask(group, 1, f'kendala {chat}', chat, answer=False)
    settle(mirror, sheets)
    sheets.change('ML_Tracking', lambda page: page.reverse() or page.insert(0, page.pop())) # sorted by somebody
    for chat in (-7, -8): solve(group, post(1, BUDI, f'kendala {chat}', 1, chat))
    settle(mirror, sheets)
    assert same(sheets, group.store) and len(sheets.rows('Logs')) == 3


def try_round(mirror):
    "A round as the loop does it; what it raises is what the loop waits for."
    try: return follow_round(mirror)
    except (SendLater, Refused) as error: return error


def settle_somehow(mirror, sheets, seconds=40):
    "Rounds until nothing waits, whatever goes wrong, and nothing is under way in the server."
    until(lambda: not isinstance(try_round(mirror), Exception) and not waits(mirror), seconds, 0.05)
    until(lambda: not sheets.busy)


@pytest.mark.parametrize('fault', FAULTS)
def test_each_fault_costs_time_only(fault, mirror, sheets, group):
    "The first three writes fail in the same way; the rows are completed meanwhile."
    follow_round(mirror)
    failing = iter([fault] * 3)
    sheets.fault = lambda kind: next(failing, None) if kind == 'write' else None
    asked = [ask(group, number, answer=False) for number in range(1, 6)]
    try_round(mirror)
    for one in asked[:3]: solve(group, one)
    settle_somehow(mirror, sheets)
    assert next(failing, None) is None and same(sheets, group.store)


def test_cells_that_arrive_late_do_not_undo_newer_ones(mirror, sheets, group):
    for number in range(1, 4): ask(group, number, f'kendala {number}')
    settle(mirror, sheets)
    slow = iter(['slow'])
    sheets.fault = lambda kind: next(slow, None) if kind == 'write' else None
    for label in ('label of kendala 1', 'label of kendala 2'):
        with group.store.write() as connection: save_review(connection, 3, label, 'maya', NOW)
        try_round(mirror)
    settle_somehow(mirror, sheets)
    assert same(sheets, group.store) and [one[3] for one in reviews_of(group.store)] == ['maya', 'maya']


@pytest.mark.parametrize('seed, tickets', [(1, 120), pytest.param(2, 10_000, marks=pytest.mark.bench)])
def test_a_sheet_that_fails_in_every_way_ends_up_equal(seed, tickets, mirror, sheets, group):
    chance = Random(seed)
    sheets.fault = lambda kind: chance.choice(FAULTS) if chance.random() < 0.3 else None
    opened = []
    for number in range(1, tickets + 1):
        opened.append(ask(group, number, f'tdk bisa login {number % 7}', -7 - number % 2, answer=False))
        if chance.random() < 0.8: solve(group, opened.pop(chance.randrange(len(opened))))
        if number % 10 == 0: try_round(mirror)
    settle_somehow(mirror, sheets, 60 + tickets / 5)
    assert same(sheets, group.store)


def test_retry_after_is_what_the_loop_waits(mirror, sheets, group):
    ask(group, 1)
    sheets.fault, sheets.retry_after = lambda kind: 'busy', 17
    failures, seconds = rest(mirror, 0)
    assert (failures, seconds) == (1, 17) and len(sheets.calls) == 1
    sheets.retry_after = None
    waited = [rest(mirror, n)[1] for n in range(12)]
    assert len(sheets.calls) == 1 + 12 and waited[0] <= 2 and 5 <= waited[-1] <= 10


def test_a_start_brings_what_was_there_before(sheets):
    group = Group(open_store('sqlite://')) # tickets from before there was a spreadsheet
    for number in range(1, 8): ask(group, number)
    mirror = mirror_of(sheets, replace(group.store, mirrors=('sheets',)), compares=3)
    for _ in range(3): assert rest(mirror, 0)[0] == 0
    assert same(sheets, group.store)
    calls = len(sheets.calls)
    rest(mirror, 0)
    assert len(sheets.calls) == calls # nothing waits, and people were looked after a moment ago

def test_what_is_refused_is_parked_with_its_reason_until_it_is_mended(mirror, sheets, group):
    ask(group, 1)
    sheets.fault = lambda kind: 'denied'
    assert isinstance(try_round(mirror), Refused)
    with group.store.read() as connection:
        box = next(one for one in backlog(connection) if one['destination'] == 'sheets')
    assert box['parked'] == box['waiting'] > 0 and 'does not have permission' in box['error']
    sheets.fault = lambda kind: None
    settle(mirror, sheets)
    assert same(sheets, group.store)


def test_one_bad_row_does_not_hold_up_the_others(mirror, sheets, group):
    for number in range(1, 12): ask(group, number, 'poison' if number == 5 else 'tdk bisa login')
    for _ in range(14): try_round(mirror)
    assert [row[3] for row in sheets.rows('Logs')[1:]] == [n for n in range(1, 12) if n != 5]
    with group.store.read() as connection:
        parked = connection.execute(select(outbox).where(outbox.c.parked, outbox.c.destination == 'sheets')).all()
    assert parked and {row.error for row in parked} == {'400: Invalid value'} and waits(mirror) == len(parked)


# People in the sheet

def reviews_of(store):
    with store.read() as connection:
        return [(row.ticket_id, row.label, row.status, row.reviewer)
                for row in connection.execute(select(reviews).order_by(reviews.c.id))]


@pytest.fixture
def worked(mirror, sheets, group):
    "Thirty solved tickets of three kinds, in the sheet."
    for number in range(1, 31): ask(group, number, f'kendala {number % 3}')
    settle(mirror, sheets)
    return mirror


def test_a_person_sorts_deletes_and_edits_between_two_rounds(worked, sheets, group, caplog):
    changed = {}

    def work(page):
        body = page[1:]
        Random(3).shuffle(body)
        gone = body.pop(4)
        for row in body[:10]:
            row[3] = f"label of kendala {(int(row[1][-1]) + 1) % 3}"
            changed[row[0]] = row[3]
        page[1:] = body
        work.gone = gone[0]
    sheets.change('ML_Tracking', work)
    late = ask(group, 99, 'kendala 1', answer=False)
    settle(worked, sheets)
    settle(worked, sheets)
    assert {ticket: label for ticket, label, *_ in reviews_of(group.store)} == changed # ids are 1, 2, … here, too
    assert {(status, who) for *_, status, who in reviews_of(group.store)} == {('CORRECTED', 'sheet')}
    assert caplog.text.count(f'the rows of the tickets {work.gone} were deleted') == 1
    with group.store.write() as connection: change_ticket(connection, work.gone, solver_name='Rudi D')
    worked.patience = timedelta(0)
    solve(group, late)
    for _ in range(3): follow_round(worked)
    shown = [[plain(cell) for cell in row] for row in sheets.rows('ML_Tracking')[1:]]
    assert sorted(shown) == [row for row in in_store(group.store, 'tracking') if row[0] != plain(work.gone)]
    assert len(reviews_of(group.store)) == 10


def test_hours_follow_their_tickets(mirror, sheets, group):
    ask(group, 1)
    settle(mirror, sheets)
    assert [row[1] for row in sheets.rows('Monitoring')[1:]] == [1]
    sheets.change('Monitoring', lambda page: page.insert(1, ['catatan']))
    ask(group, 2)
    with group.store.write() as connection: save_review(connection, 1, 'lain', 'maya', NOW)
    settle(mirror, sheets)
    assert sheets.rows('Monitoring')[1][0] == 'catatan' and len(sheets.rows('Monitoring')) == 3
    with group.store.write() as connection: # asked anew an hour later
        made = [Prediction('lain', .8, Status.REVIEW)] * 2
        save_predictions(connection, dict(zip((1, 2), made)), datetime.fromtimestamp(NINE + 7200, UTC))
    settle(mirror, sheets)
    assert [row[:5] for row in sheets.rows('Monitoring')[2:]] == [
        ['2026-11-23 11:00', 0, '', 0, 0], ['2026-11-23 12:00', 2, 80, 0, 2]]


def test_a_moved_column_is_an_error_that_names_it_and_nothing_is_written(worked, sheets, group):
    sheets.change('Logs', lambda page: [row.insert(3, 'catatan') for row in page])
    before = sheets.rows('Logs')
    ask(group, 50)
    with pytest.raises(Refused, match="header of Logs was changed: column D is 'catatan', expected 'tech_message_id'"):
        follow_round(worked)
    assert sheets.rows('Logs') == before
    sheets.change('Logs', lambda page: [row.pop(3) for row in page])
    settle(worked, sheets)
    assert same(sheets, group.store)


def test_approval_in_the_sheet_is_a_review(worked, sheets, group):
    def work(page): page[2][5], page[3][5], page[4][3] = 'approved', 'CORRECTED', 'LABEL OF KENDALA 2 '
    sheets.change('ML_Tracking', work)
    for _ in range(3): follow_round(worked)
    assert reviews_of(group.store) == [(2, 'label of kendala 2', 'APPROVED', 'sheet'),
                                       (4, 'label of kendala 2', 'CORRECTED', 'sheet')]
    assert sheets.rows('ML_Tracking')[3][5] == 'CORRECTED' # says wrong, and not yet what: left as it is


def test_a_review_in_logs_is_shown_on_both_pages(worked, sheets, group):
    sheets.change('Logs', lambda page: page[1].__setitem__(19, 'label of kendala 0'))
    for _ in range(3): follow_round(worked)
    assert reviews_of(group.store) == [(1, 'label of kendala 0', 'CORRECTED', 'sheet')]
    assert sheets.rows('ML_Tracking')[1][3] == 'label of kendala 0' and same(sheets, group.store)


def test_an_unknown_label_is_left_and_reported_once(worked, sheets, group, caplog):
    sheets.change('ML_Tracking', lambda page: page[1].__setitem__(3, 'KENDALA LOGN'))
    for _ in range(3): follow_round(worked)
    assert reviews_of(group.store) == [] and caplog.text.count('no known label') == 1
    assert sheets.rows('ML_Tracking')[1][3] == 'KENDALA LOGN'


def test_when_both_changed_the_sheet_was_seen_last(worked, sheets, group, caplog):
    with group.store.write() as connection: save_review(connection, 1, 'label of kendala 0', 'maya', NOW)
    sheets.change('ML_Tracking', lambda page: page[1].__setitem__(3, 'label of kendala 2'))
    for _ in range(3): follow_round(worked)
    assert [(label, who) for _, label, _, who in reviews_of(group.store)] == [
        ('label of kendala 0', 'maya'), ('label of kendala 2', 'sheet')]
    assert "maya says 'label of kendala 0', the sheet says 'label of kendala 2'" in caplog.text
    with group.store.write() as connection: save_review(connection, 1, 'label of kendala 0', 'maya', NOW)
    for _ in range(3): follow_round(worked)
    assert reviews_of(group.store)[-1][3] == 'maya' and same(sheets, group.store) # hers is the newest now


def test_other_cells_that_people_change_stay(worked, sheets, group):
    sheets.change('Logs', lambda page: page[1].__setitem__(11, 'catatan saya'))
    with group.store.write() as connection: save_review(connection, 1, 'label of kendala 0', 'maya', NOW)
    settle(worked, sheets)
    assert sheets.rows('Logs')[1][11] == 'catatan saya' and sheets.rows('Logs')[1][19] == 'label of kendala 0'


def test_decimals_of_another_locale_are_no_edit(worked, sheets, group):
    sheets.change('ML_Tracking', lambda page: [row.__setitem__(4, str(row[4]).replace('.', ',')) for row in page[1:]])
    with group.store.write() as connection: save_review(connection, 1, 'label of kendala 0', 'maya', NOW)
    settle(worked, sheets)
    assert same(sheets, group.store) and reviews_of(group.store)[0][3] == 'maya'


def test_a_sheet_that_was_there_first_is_taken_over(worked, sheets, group):
    "The record is lost, as with a new database: no row is written twice, and a label comes back."
    with group.store.write() as connection: connection.execute(sheet_rows.delete())
    sheets.change('Logs', lambda page: page[1].__setitem__(19, 'label of kendala 0'))
    worked.compares = 7
    assert announce_differences(worked) == 30
    for _ in range(4): follow_round(worked)
    assert len(sheets.rows('Logs')) == 31 and same(sheets, group.store)
    assert reviews_of(group.store) == [(1, 'label of kendala 0', 'CORRECTED', 'sheet')]


# A sheet that is longer than a look

@pytest.fixture
def narrow(mirror, sheets):
    "A look takes in eight rows, in a hurry forty."
    mirror.places, sheets.spare = defaultdict(partial(Places, wide=8)), 30
    return mirror


def look_through(mirror):
    "Rounds until all of the sheet was seen twice."
    for _ in range(2):
        begun = datetime.now(UTC)
        until(lambda begun=begun: follow_round(mirror) is not None and all(
            places.swept > begun for places in mirror.places.values()))


def gone(store, sheet):
    r = sheet_rows.c
    with store.read() as connection: return set(connection.scalars(select(r.item).where(r.sheet == sheet, r.gone)))


def test_what_a_round_reads_does_not_grow_with_the_sheet(narrow, sheets, group):
    asked = [ask(group, number, answer=False) for number in range(1, 121)]
    settle(narrow, sheets, 20)
    look_through(narrow)
    for one in asked[5::24]: solve(group, one)
    before, calls = sheets.cells, len(sheets.calls)
    assert follow_round(narrow) == 5 and not waits(narrow)
    assert sheets.cells - before < 300 and len(sheets.calls) - calls <= 7
    assert same(sheets, group.store)


@pytest.mark.parametrize('seed', [1, pytest.param(2, marks=pytest.mark.bench), pytest.param(3, marks=pytest.mark.bench)])
def test_people_at_work_in_a_long_sheet_that_fails(seed, narrow, sheets, group):
    "They sort, insert, delete and relabel between rounds; a fifth of the calls fails."
    chance, removed, relabelled, number = Random(seed), {'Logs': set(), 'ML_Tracking': set()}, {}, 0

    def work(title, page):
        body, at = page[1:], chance.randrange(1, len(page) + 1)
        filled = [row for row in body if row and row[0] != '']
        match chance.choice(['sort', 'insert', 'delete', 'empty', 'label']):
            case 'sort': page[1:] = sorted(body, key=lambda row: chance.random())
            case 'insert': page.insert(at, [])
            case 'delete' if filled:
                row = chance.choice(filled)
                removed[title].add(row[3 if title == 'Logs' else 0])
                page.remove(row)
            case 'empty' if filled:
                row = chance.choice(filled)
                removed[title].add(row[3 if title == 'Logs' else 0])
                sheets.emptied.add(title)
                row[:] = [''] * len(row)
            case 'label' if filled and title == 'ML_Tracking':
                row = chance.choice(filled)
                row[3] = relabelled[row[0]] = f'label of kendala {chance.randrange(3)}'
    kinds = [fault for fault in FAULTS if fault != 'slow'] # what is applied after a person sorted cannot be helped
    for _ in range(20):
        for _ in range(4):
            number += 1
            ask(group, number, f'kendala {number % 3}', -7 - number % 2, answer=chance.random() < 0.8)
        until(lambda: not sheets.busy)
        for title in removed:
            if sheets.pages.get(title) and chance.random() < 0.5:
                sheets.change(title, partial(work, title))
        sheets.fault = lambda kind: chance.choice(kinds) if chance.random() < 0.2 else None
        try_round(narrow)
    sheets.fault = lambda kind: None
    settle_somehow(narrow, sheets)
    look_through(narrow)
    settle_somehow(narrow, sheets)
    for title, sheet, column in ('Logs', 'logs', 3), ('ML_Tracking', 'tracking', 0):
        lost = gone(group.store, sheet)
        assert lost <= removed[title] # ids are 1, 2, … here, too
        shown = sorted([plain(cell) for cell in row] for row in sheets.rows(title)[1:])
        assert shown == [row for row in in_store(group.store, sheet) if int(row[column]) not in lost]
    stands = {row[0]: row[3] for row in in_store(group.store, 'tracking')}
    kept = {n: label for n, label in relabelled.items() if n not in removed['ML_Tracking']}
    assert kept and {n: stands[str(n)] for n in kept} == kept


def test_deleted_and_copied_rows_of_a_long_sheet(narrow, sheets, group, caplog):
    for number in range(1, 41): ask(group, number)
    settle(narrow, sheets, 20)
    look_through(narrow)

    def work(page):
        page.append(list(page[3])) # a copy of ticket 3
        del page[30], page[10]
    sheets.change('Logs', work)
    look_through(narrow)
    assert gone(group.store, 'logs') == {10, 30} and caplog.text.count('were deleted') == 1
    with group.store.write() as connection:
        for ticket in (3, 20, 40): change_ticket(connection, ticket, solver_name='Rudi D')
    settle(narrow, sheets, 20)
    changed = {3: 'Rudi D', 20: 'Rudi D', 40: 'Rudi D'}
    assert [row[14] for row in sheets.rows('Logs')[1:-1]] == [changed.get(row[3], 'Ayu B') for row in sheets.rows('Logs')[1:-1]]
    assert sheets.rows('Logs')[-1][14] == 'Ayu B' # the copy is the person's
    sheets.change('Logs', lambda page: page.pop(3)) # and takes its place
    look_through(narrow)
    with group.store.write() as connection: change_ticket(connection, 3, solver_name='Sari')
    look_through(narrow)
    assert 3 not in gone(group.store, 'logs') and sheets.rows('Logs')[-1][3] == 3


# A worker that is killed

WORKER = '''
import sys
from datetime import timedelta
from threading import Event
from mytech.core.config import load_settings
from mytech.ops.mirror import keep_mirror
from mytech.ops.sight import Mirror
from mytech.services.sheets import Bucket
from mytech.services.store import open_store
s = load_settings(None)
mirror = Mirror(s, open_store(s.database_url, s.mirrors), timedelta(seconds=1), 0.5, writes=Bucket(1e9, 1e9), reads=Bucket(1e9, 1e9))
keep_mirror(mirror, Event(), 0.05)
'''


@pytest.mark.parametrize('kills', [4, pytest.param(50, marks=pytest.mark.bench)])
def test_a_worker_that_is_killed_during_a_flush(kills, sheets, tmp_path):
    "Each time a write has just been applied, before it is answered."
    url = f'sqlite:///{tmp_path}/mytech.db'
    group = Group(open_store(url, ('sheets',)))
    env = environment(tmp_path, GOOGLE_SERVICE_ACCOUNT_JSON=account(), GOOGLE_SPREADSHEET_NAME='MyTech',
                      SHEETS_API_BASE=sheets.base, SOLVERS='ab:Ayu B')
    sheets.pause, opened = 0.3, []
    sheets.fault = lambda kind: 'late' if kind == 'write' else None
    for turn in range(kills):
        opened += [ask(group, 20 * turn + n, f'kendala {n % 3}', -7 - n % 2, answer=False) for n in range(1, 9)]
        for asked in opened[::2]: solve(group, asked)
        opened, before = opened[1::2], len(sheets.writes)
        worker = subprocess.Popen([sys.executable, '-c', WORKER], env=env, cwd=tmp_path)
        until(lambda enough=before + turn % 2: len(sheets.writes) > enough, 30)
        worker.kill()
        worker.wait()
    sheets.fault = lambda kind: None
    mirror = mirror_of(sheets, group.store)
    announce_differences(mirror)
    settle_somehow(mirror, sheets, 30)
    assert same(sheets, group.store)
    group.store.close()


def test_two_processes_never_write_a_row_twice(sheets, tmp_path):
    "`mytech sheets sync` beside `mytech run`."
    group = Group(open_store(f'sqlite:///{tmp_path}/mytech.db', ('sheets',)))
    pair = [mirror_of(sheets, group.store, timeout=5) for _ in range(2)]
    for mirror in pair: follow_round(mirror)
    for turn in range(6):
        for number in range(1, 6): ask(group, 10 * turn + number)
        threads = [Thread(target=try_round, args=[mirror]) for mirror in pair]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    settle_somehow(pair[0], sheets)
    assert same(sheets, group.store)
    group.store.close()


# Commands

def mytech(folder, *words, **more):
    return subprocess.run([MYTECH, *words], cwd=folder, env=environment(folder, **more), capture_output=True, text=True)


def test_sync_status_and_doctor(sheets, tmp_path):
    group = Group(open_store(f'sqlite:///{tmp_path}/mytech.db')) # before there was a spreadsheet
    for number in range(1, 6): ask(group, number)
    env = dict(GOOGLE_SERVICE_ACCOUNT_JSON=account(), GOOGLE_SPREADSHEET_NAME='MyTech', SHEETS_API_BASE=sheets.base)
    said = mytech(tmp_path, 'sheets', 'sync', '--json', **env)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout) | {'rows': 11, 'waiting': 0, 'deleted': 0} == json.loads(said.stdout)
    assert same(sheets, group.store)
    sheets.change('Logs', lambda page: page[0].__setitem__(13, 'App'))
    doctor = {one['what']: one for one in json.loads(mytech(tmp_path, 'doctor', '--json', **env).stdout)}
    assert "column N is 'App', expected 'app_code'" in doctor['GOOGLE_SPREADSHEET_NAME']['detail']
    said = mytech(tmp_path, 'sheets', 'sync', **env)
    assert said.returncode == 1 and "column N is 'App'" in said.stderr.replace('\n', ' ')
    group.store.close()


def test_a_wrong_account_is_told_and_not_repeated(tmp_path):
    env = dict(GOOGLE_SERVICE_ACCOUNT_JSON='{"private_key": "s3cret"}', GOOGLE_SPREADSHEET_NAME='MyTech')
    said = mytech(tmp_path, 'sheets', 'sync', **env)
    assert said.returncode == 2 and 'GOOGLE_SERVICE_ACCOUNT_JSON' in said.stderr and 's3cret' not in said.stderr


# History

def test_what_was_exported_comes_back_the_same(group, tmp_path):
    for number in range(1, 41): ask(group, number, f'kendala {number}, "=1+1"', -7 - number % 2)
    with group.store.read() as connection, open(tmp_path/'logs.csv', 'w', newline='') as file:
        assert write_csv(connection, 'logs', JAKARTA, file) == 40
    other = open_store('sqlite://')
    done = import_logs(other, settings(), tmp_path/'logs.csv')
    again = import_logs(other, settings(), tmp_path/'logs.csv')
    assert (done.new, done.known, done.wrong, again.new, again.known) == (40, 0, [], 0, 40)
    assert in_store(other, 'logs') == in_store(group.store, 'logs')


def test_an_older_file_names_the_lines_it_cannot_use(tmp_path):
    (tmp_path/'old.csv').write_text('Ticket Date;Tech Message ID;Tech Raw Text;App;SLA Response Min;SLA Status\n'
                                    '2026-11-20;7;tdk bisa login;MIT;0,85;OK\n'
                                    'kemarin;8;otp;MIT;;\n2026-11-20;9;otp;MIT;lama;\n')
    store = open_store('sqlite://')
    done = import_logs(store, settings(), tmp_path/'old.csv')
    assert done.new == 1 and [line.split(':')[0] for line in done.wrong] == ['line 3', 'line 4']
    with pytest.raises(SettingsError, match='no column tech_message_id'):
        (tmp_path/'no.csv').write_text('a,b\n1,2\n')
        import_logs(store, settings(), tmp_path/'no.csv')
