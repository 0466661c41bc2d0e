"The pages of today and of tickets against the reports, the sheet and the store."
import base64
import io
import json
import re
from dataclasses import asdict, replace
from datetime import date, datetime, timedelta, timezone
from random import Random
from urllib.parse import parse_qsl
from zipfile import ZipFile
from zoneinfo import ZoneInfo

import pandas as pd
import plotly.graph_objects as go
import pytest
from sqlalchemy import func, select
from test_reports import fill, invent

from mytech.core.config import load_settings
from mytech.core.sla import active_minutes
from mytech.ops.export import write_csv
from mytech.ops.pages import index as today_page
from mytech.ops.pages import tickets as page
from mytech.ops.pages.figures import plain
from mytech.ops.pages.live import Desk, Visit, as_file, changes, perform, stamp
from mytech.ops.pages.ticket_data import Choice, Months, found, refresh, selection_of, table_of
from mytech.ops.pages.ticket_list import matching
from mytech.ops.periods import named
from mytech.ops.ticket_report import BREAKDOWNS, numbers_of, report_of, ticket_report, tickets_of, unanswered
from mytech.ops.trends import trend_report
from mytech.services.duties import claim, remember
from mytech.services.outbox import enqueue
from mytech.services.passes import Visitor
from mytech.services.store import actions, chats, open_store, outbox, reviews, tickets

ZONE = ZoneInfo('Asia/Jakarta')
NOW = datetime(2026, 11, 29, 3, tzinfo=timezone.utc)
PERIODS = ['2026-10-25', '2026-W44', '2026-10', '2026-Q4', '2026-09-28..2026-11-02', '2025-07']


@pytest.fixture(scope='module')
def store():
    store = open_store('sqlite://')
    fill(store, list(invent(Random(7), ZONE, 400)))
    yield store
    store.close()


def visit_of(store, name='tickets', query='', **state):
    visit = Visit(Desk(load_settings(None), store), Visitor(1, 501, 'Maya'), name)
    if name == 'tickets': page.begin(visit, dict(parse_qsl(query)))
    visit.state.update(state)
    return visit


def drawn(visit, of=page.PAGE):
    "Region -> what stands there."
    visit.shown.clear()
    return {name: content for change in changes(of, visit) for part in change.values() for name, content in part.items()}


def do(visit, deed, of=page.PAGE, /, **told):
    visit.answer.clear()
    perform(of, visit, {'do': deed, **told})
    return visit.answer


def same(one, other):
    assert (asdict(one.numbers), asdict(one.before)) == (asdict(other.numbers), asdict(other.before))
    for by in BREAKDOWNS:
        a, b = (report.by[by].set_axis(list(report.by[by].index)).sort_index() for report in (one, other))
        pd.testing.assert_frame_equal(a, b, check_index_type=False, check_names=False)


# Numbers

@pytest.mark.parametrize('name', PERIODS)
@pytest.mark.parametrize('until', [None, datetime(2026, 10, 25, 9, tzinfo=timezone.utc)], ids=['whole', 'running'])
def test_numbers_are_those_of_the_report(store, name, until):
    months, period = Months(store, ZONE), replace(named(name, ZONE), until=None)
    if until: period = period.so_far(until)
    with store.read() as connection:
        for app in ('', 'MIT'):
            chosen = selection_of(months, Choice(period, app=app))
            same(chosen.report, ticket_report(connection, period, app))
            wanted = trend_report(connection, period, app).symptoms
            assert chosen.symptoms.sort_index().to_csv() == wanted.sort_index().to_csv()
        both = [tickets_of(connection, one) for one in (period, period.previous)]
    mine = [table[(table.group == 'Bandung') & (table.solver == 'Ayu B')] for table in both]
    same(selection_of(months, Choice(period, group='Bandung', solver='Ayu B')).report, report_of(*mine, period))


def test_memory_follows_the_store():
    "Whatever happens to tickets of any month is seen after the next refresh, and nothing else is read again."
    rng, store = Random(3), open_store('sqlite://')
    fill(store, list(invent(rng, ZONE, 200)))
    months, now = Months(store, ZONE), NOW
    refresh(months, now)
    def check():
        for period in (named(name, ZONE) for name in PERIODS):
            known = table_of(months, period)
            with store.read() as connection: pd.testing.assert_frame_equal(known, tickets_of(connection, period), check_categorical=False, check_like=True)
    check()
    t = tickets.c
    with store.read() as connection:
        old = connection.scalars(select(t.id).where(t.tech_at < datetime(2026, 9, 30, tzinfo=timezone.utc))).all()[:3]
        october = connection.scalar(select(t.id).where(t.tech_at > datetime(2026, 10, 9, tzinfo=timezone.utc)).order_by(t.tech_at).limit(1))
    def review(label): return {'ticket_id': october, 'label': label, 'status': 'CORRECTED', 'reviewer': 'Maya', 'reviewed_at': now}
    happens = [
        lambda c: c.execute(reviews.insert(), review('BARU')),
        lambda c: c.execute(tickets.insert(), {'chat_id': -1, 'tech_message_id': 9001, 'tech_user_id': 1, 'tech_text': 'lama', 'tech_at': datetime(2026, 9, 29, tzinfo=timezone.utc)}),
        lambda c: c.execute(tickets.update().where(t.id.in_(old)).values(response_at=now, sla_minutes=99, sla_target=15, app_code='MIS', solver_name='Rudi D')),
        lambda c: c.execute(tickets.update().where(t.id.in_(old)).values(solver_name='Ayu B')),
        lambda c: c.execute(chats.update().where(chats.c.id == -1).values(label='Jakarta Selatan'))]
    for happen in happens:
        now += timedelta(minutes=5)
        with store.write() as connection: happen(connection)
        refresh(months, now)
        check()
    with store.write() as connection:
        connection.execute(reviews.insert(), review('LAGI'))
    kept = dict(months.tables)
    refresh(months, now)
    assert 0 < len(kept) - len(months.tables) < len(kept)
    store.close()


def test_the_page_is_renewed_within_a_minute(empty):
    visit = visit_of(empty, query='period=2026-10&search=ont')
    assert page.look(visit).report.numbers.asked == 0 and matching(visit, page.look(visit)).empty
    fill(empty, list(invent(Random(1), ZONE, 50)))
    assert page.look(visit).report.numbers.asked == 0 # as it was when the page came
    visit.state['at'] -= timedelta(minutes=1)
    with empty.read() as connection: wanted = ticket_report(connection, named('2026-10', ZONE))
    same(page.look(visit).report, wanted)
    assert len(matching(visit, page.look(visit)))


# What is drawn

@pytest.mark.parametrize('query', [*(f'period={name}' for name in PERIODS), 'period=2026-10&app=MIT', 'period=2026-10&group=Bandung&solver=Ayu+B',
                                   'period=2026-10&solver=nobody', 'period=2026-10&status=late&order=slow&search=login'])
def test_every_region_is_drawn_and_figures_are_ones(store, query, caplog):
    shown = drawn(visit_of(store, query=query))
    assert not caplog.records and set(shown) == set(page.PAGE.regions)
    for content in shown.values():
        json.dumps(content, allow_nan=False)
        if isinstance(content, dict): go.Figure(plain({key: content[key] for key in ('data', 'layout')}))


def test_figures_count_what_the_report_counts(store):
    visit = visit_of(store, query='period=2026-10')
    report, shown = page.look(visit).report, drawn(visit)
    def total(name): return [sum(trace['y']) for trace in shown[name]['data']]
    sla = report.numbers.sla
    assert total('volume') == total('hours') == [sla.ok, sla.late, report.numbers.unanswered]
    assert total('minutes') == [sla.ok, sla.late]
    assert len(shown['volume']['data'][0]['x']) == 31
    table = page.look(visit).table
    assert shown['minutes']['data'][0]['y'][4] == (table.ok & table.minutes.between(12.0001, 15)).sum() > (table.ok & (table.minutes == 15)).sum() > 0
    days = [sum(day.weekday() == n for day in named('2026-10', ZONE).days) for n in range(7)]
    grid = shown['arrivals']['data'][0]['z']
    assert sum(round(mean * n) for row, n in zip(grid, days) for mean in row) == report.numbers.asked


def test_what_was_written_is_text(empty):
    with empty.write() as connection:
        connection.execute(chats.insert(), {'id': -1, 'group_id': -1, 'label': '<b>Grup</b>'})
        connection.execute(tickets.insert(), {'chat_id': -1, 'tech_message_id': 1, 'tech_user_id': 1, 'tech_at': NOW, 'tech_text': '<script>x</script>'})
    visit = visit_of(empty, query='period=2026-11&search="><script>')
    html = ''.join(map(str, drawn(visit).values())) + str(do(visit, 'ticket', id='1')['dialog'])
    assert '<script' not in html and '<b>Grup' not in html and '&lt;script' in html
    with empty.read() as connection: seen = stamp(connection)
    today = visit_of(empty, 'index', today=read(empty, NOW + timedelta(minutes=3)), stamp=seen)
    assert '&lt;script' in str(today_page.clocks(today))
    assert '<script' not in str(today_page.clocks(today))


def test_today_is_renewed_as_soon_as_something_happens(empty):
    visit = visit_of(empty, 'index')
    assert today_page.look(visit).empty and today_page.look(visit) is today_page.look(visit)
    with empty.write() as connection:
        connection.execute(chats.insert(), {'id': -1, 'group_id': -1, 'label': 'Jaksel'})
        connection.execute(tickets.insert(), {'chat_id': -1, 'tech_message_id': 1, 'tech_user_id': 1, 'tech_at': visit.desk.now, 'tech_text': 'otp'})
    assert len(today_page.look(visit).waits) == 1


def test_without_tickets_it_says_what_to_do(empty):
    assert 'teknisi menulis' in drawn(visit_of(empty))['tiles']
    assert 'Tambahkan bot' in drawn(visit_of(empty, 'index'), today_page.PAGE)['clocks']


def test_a_file_has_the_numbers_and_nothing_to_press(store):
    visit = Visit(Desk(load_settings(None), store), Visitor(0, 0, ''), 'tickets')
    page.begin(visit, {'period': '2026-10', 'app': 'MIT'})
    said = json.loads(as_file(page.PAGE, visit).split('id="page-config" type="application/json">')[1].split('</script>')[0])['said']
    html = ''.join(said['regions'].values())
    assert 'Oktober 2026' in html and 'Aplikasi: MIT' in html
    assert '<button' not in html and '<select' not in html and '<input' not in html
    with store.read() as connection: n = ticket_report(connection, named('2026-10', ZONE), 'MIT').numbers.asked
    assert f'<strong>{n}</strong>' in said['regions']['tiles']


# What people do

MOVES = [('2026-10', 'step', '-1', '2026-09'), ('2026-W01', 'step', '-1', '2025-W52'), ('2026-10', 'kind', 'quarter', '2026-Q4'),
         ('2026-10', 'kind', 'day', '2026-10-31'), ('2026-11', 'kind', 'day', '2026-11-20'), ('2026-Q4', 'kind', 'month', '2026-11'),
         ('2027-01', 'kind', 'week', '2026-W53'), ('2026-W44', 'kind', 'span', '2026-10-26..2026-11-01'), ('2026-10', 'day', '2025-02-28', '2025-02'),
         ('2026-10-03..2026-10-09', 'first', '2026-10-20', '2026-10-20..2026-10-20'), ('2026-10-03..2026-10-09', 'last', '2026-10-20', '2026-10-03..2026-10-20'),
         ('2026-10-03..2026-10-09', 'step', '1', '2026-10-10..2026-10-16'), ('2026-10-31..2026-10-31', 'kind', 'month', '2026-10')]


@pytest.mark.parametrize('before, name, value, after', MOVES)
def test_periods_move(before, name, value, after):
    assert page.moved(named(before, ZONE), name, value, date(2026, 11, 20)).name == after


@pytest.mark.parametrize('name, value', [('day', ''), ('day', '0001-01-01'), ('first', '2024-01-01'), ('last', 'x'), ('step', '-9999'), ('kind', 'year')])
def test_what_cannot_be_shown_is_told(store, name, value):
    visit = visit_of(store, query='period=2026-10')
    assert do(visit, 'period', name=name, value=value)['notice']['kind'] == 'bad' and visit.state['period'].name == '2026-10'


@pytest.mark.parametrize('query', ['period=2026-10&app=MIT&group=Bandung&search=login+ont&status=late&order=slow', 'period=2026-W44&symptom=', 'period=2026-10-03..2026-10-09'])
def test_the_address_keeps_what_was_chosen(store, query):
    visit = visit_of(store, query=query)
    page.kept(visit)
    again = visit_of(store, query=visit.answer['query'])
    assert (again.state['period'], again.state['chosen']) == (visit.state['period'], visit.state['chosen'])
    assert drawn(again)['table'] == drawn(visit)['table']


@pytest.mark.parametrize('query', ['period=x', 'period=1900-01', 'period=2000-01-01..2020-01-01', 'order=up', 'unknown=1', 'status=odd&app=XYZ'])
def test_an_odd_address_is_no_error(store, query, caplog):
    drawn(visit_of(store, query=query))
    assert not caplog.records


def test_the_table_lists_what_was_asked_for(store):
    with store.read() as connection: whole = tickets_of(connection, named('2026-10', ZONE))
    visit = visit_of(store, query='period=2026-10')
    def ids(): return matching(visit, page.look(visit)).tolist()
    assert ids() == whole.sort_values(['at', 'id'], ascending=[False, True]).id.tolist()
    do(visit, 'filter', name='status', value='late')
    assert set(ids()) == set(whole[whole.answered & ~whole.ok].id)
    do(visit, 'filter', name='status', value='')
    do(visit, 'filter', name='symptom', value='')
    assert set(ids()) == set(whole[whole.symptom == ''].id)
    do(visit, 'filter', name='symptom', value='', all='1')
    do(visit, 'filter', name='search', value='ONT barcode')
    with store.read() as connection:
        texts = {one: text for one, text in connection.execute(select(tickets.c.id, tickets.c.tech_text))}
    assert set(ids()) == {one for one in whole.id if {'ont', 'barcode'} <= set(texts[one].split())} != set()
    do(visit, 'turn', to='99')
    assert f'{-(-len(ids()) // 20)} dari' in drawn(visit)['table']


@pytest.mark.parametrize('text', ['%', '_', "'", '\\', '100%', '9' * 18, '9' * 80])
def test_odd_words_find_nothing(store, text):
    with store.read() as connection: assert found(connection, named('2026-10', ZONE), text) == set()


def test_a_message_is_found_by_its_number(store):
    with store.read() as connection:
        one = connection.execute(select(tickets.c.id, tickets.c.tech_message_id, tickets.c.tech_at)).first()
        period = page.around('day', one.tech_at.astimezone(ZONE).date(), ZONE)
        assert one.id in found(connection, period, str(one.tech_message_id))


def test_the_csv_is_the_sheet(store):
    "Row by row what Logs has for the period, and what is left of it by a filter."
    file = io.StringIO()
    with store.read() as connection: write_csv(connection, 'logs', ZONE, file)
    logs = pd.read_csv(io.StringIO(file.getvalue()), dtype=str, keep_default_na=False)
    mine = logs[logs.ticket_date.str.startswith('2026-10')]
    for query, wanted in (('', mine), ('&status=late', mine[mine.sla_status == 'TERLAMBAT']), ('&solver=Ayu+B&app=MIT', mine[(mine.solver_name == 'Ayu B') & (mine.app_code == 'MIT')])):
        sent = do(visit_of(store, query='period=2026-10' + query), 'csv')['download']
        text = base64.b64decode(sent['base64']).decode()
        found = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
        pd.testing.assert_frame_equal(found, wanted.reset_index(drop=True))
        assert sent['name'].endswith('.csv')


def test_the_excel_file_is_the_report(store):
    sent = do(visit_of(store, query='period=2026-09-28..2026-11-02&group=Bandung'), 'excel')['download']
    book = ZipFile(io.BytesIO(base64.b64decode(sent['base64'])))
    numbers = page.look(visit_of(store, query='period=2026-09-28..2026-11-02&group=Bandung')).report.numbers
    first, last = (book.read(f'xl/worksheets/sheet{n}.xml').decode() for n in (1, len(BREAKDOWNS) + 2))
    assert float(re.search(r'<c r="B5"[^>]*><v>([^<]*)', first)[1]) == numbers.asked
    assert last.count('<row ') - 1 == numbers.unanswered and '– 2 November 2026' in book.read('xl/sharedStrings.xml').decode()
    assert 'Bandung' in re.search('<t[^>]*>(.*?)</t>', book.read('xl/sharedStrings.xml').decode())[1]
    assert sent['name'] == 'tiket-2026-09-28_2026-11-02.xlsx'


def test_a_period_too_large_for_a_file_is_told(store, monkeypatch):
    monkeypatch.setattr('mytech.ops.pages.ticket_list.MOST', 3)
    answer = do(visit_of(store, query='period=2026-10'), 'csv')
    assert 'download' not in answer and answer['notice']['kind'] == 'bad'


def test_a_month_that_is_none_is_told():
    with pytest.raises(ValueError, match='2026-1x'): page.show('2026-1x')


# Today

def read(store, now):
    with store.read() as connection: return today_page.read_today(connection, now, load_settings(None))


@pytest.mark.parametrize('now', [datetime(2026, 10, 25, 5, 30, tzinfo=timezone.utc), datetime(2026, 10, 24, 17, 0, 1, tzinfo=timezone.utc)])
def test_today_is_the_days_report(store, now):
    now = now.astimezone(ZONE)
    today = read(store, now)
    with store.read() as connection:
        same(today.report, ticket_report(connection, page.current('day', now, ZONE)))
        waits = unanswered(connection, now, ZONE, load_settings(None).sla_pauses, timedelta(2))
        day = connection.scalar(select(func.count()).select_from(tickets).where(tickets.c.tech_at > now - timedelta(1), tickets.c.tech_at < now))
    clocks = today_page.timed(today.waits, load_settings(None), now)
    assert sorted(one['minutes'] for one in clocks) == sorted(waits.minutes.dropna())
    states = [one['state'] for one in clocks]
    assert states == sorted(states, key='late'.__eq__)
    late = [one['at'] for one in clocks if one['state'] == 'late']
    assert late == sorted(late, reverse=True) and (len(set(late)) > 1 or now.hour == 0)
    hours = today_page.by_hour(today.recent, now)
    assert len(hours) == 24 and day - hours.tickets.sum() <= (today.recent['at'] < hours.index[0]).sum()
    assert (numbers_of(today.recent).asked, hours.answered.le(hours.tickets).all()) == (day, True)


def test_a_clock_runs_without_a_look_at_the_store(empty):
    s, noon = load_settings(None), datetime(2026, 11, 20, 12, 50, tzinfo=ZONE)
    with empty.write() as connection:
        connection.execute(chats.insert(), {'id': -1, 'group_id': -1, 'label': 'Jaksel'})
        connection.execute(tickets.insert(), {'chat_id': -1, 'tech_message_id': 1, 'tech_user_id': 1, 'tech_at': noon - timedelta(minutes=5), 'tech_text': 'otp'})
    waits = read(empty, noon).waits
    for later, state in ((4, 'fine'), (9, 'near'), (70, 'late' if active_minutes(noon, noon + timedelta(minutes=70), s.sla_pauses, ZONE) >= 10 else 'near'), (79, 'late')):
        now = noon + timedelta(minutes=later)
        [one] = today_page.timed(waits, s, now)
        assert (one['minutes'], one['state']) == (active_minutes(noon - timedelta(minutes=5), now, s.sla_pauses, ZONE), state), later


def test_what_is_wrong_is_told_until_it_is_over(empty):
    visit = visit_of(empty, 'index')
    def told(state, at):
        with empty.write() as connection:
            claim(connection, 'monitor', at)
            remember(connection, 'monitor', state, at)
        visit.state.clear()
        return drawn(visit, today_page.PAGE)['alerts']
    now = visit.desk.now
    on, off = ({'on': value, 'at': now.isoformat()} for value in (True, False))
    said = told({'alarms': {'outbox': on, 'disk': off, 'unheard_of': on}, 'bursts': {'KENDALA LOGIN': on, 'BAI': off}}, now)
    assert 'Gangguan massal: KENDALA LOGIN' in said and 'Pesan keluar tertahan' in said
    assert 'Sisa ruang disk' not in said and 'BAI' not in said
    assert 'Tidak ada yang perlu ditangani' in told({'alarms': {'outbox': off}}, now)
    assert 'Pengawasan berhenti' in told({}, now - timedelta(minutes=4))


def test_what_was_refused_is_tried_again_and_written_down(empty):
    visit, now = visit_of(empty, 'index'), datetime.now(timezone.utc)
    with empty.write() as connection:
        for destination in ('sheets', 'media'): enqueue(connection, destination, {}, now)
        connection.execute(outbox.update().values(parked=True, error='<i>403</i>'))
    said = drawn(visit, today_page.PAGE)['alerts']
    assert '<i>403' not in said and said.count('data-do="resend"') == 2
    do(visit, 'resend', today_page.PAGE, destination='media')
    with empty.read() as connection:
        assert connection.execute(select(outbox.c.destination).where(outbox.c.parked)).scalars().all() == ['sheets']
        assert connection.execute(select(actions.c.user_id, actions.c.action, actions.c.target)).one() == (501, 'resend', 'media')
