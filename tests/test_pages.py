"The pages as admins meet them: a door that opens for nobody else, and what is done there."
import asyncio
import csv
import importlib
import pkgutil
import re
import shutil
import warnings
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright
from sqlalchemy import func, select
from support import free_port, processes_of, running, until
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.web import HTTPError
from tornado.websocket import websocket_connect

from mytech.api.pages import COOKIE, PAGES, Server, configuration
from mytech.core.config import load_settings
from mytech.core.schema import Message, Prediction, Status
from mytech.ops.pages.live import Desk, Page, Visit, changes, perform, stated
from mytech.ops.periods import span
from mytech.services.passes import Visitor, hand_out, redeem, revoke
from mytech.services.registry import current, register
from mytech.services.store import actions, open_store, outbox, reviews, tickets
from mytech.services.tickets import note_chat, open_ticket, save_predictions, save_review

MAYA, RINA = 5000000301, 5000000302
TOKEN = 'the-token-of-this-test'
REPORTS = Path(__file__).parents[1]/'reports'


@pytest.fixture(scope='module')
def house(demo, tmp_path_factory):
    "Pages of a house with a history and a model, below an address as behind a gateway: folder, address, store."
    folder = Path(shutil.copytree(demo, tmp_path_factory.mktemp('pages')/'house'))
    base = f'http://127.0.0.1:{(port := free_port())}/pages/'
    settings = {'PAGES_PORT': port, 'PAGES_URL': base, 'PAGES_TOKEN': TOKEN, 'ADMIN_USER_IDS': f'{MAYA},{RINA}',
                'GOOGLE_SERVICE_ACCOUNT_JSON': '{"private_key": "none"}', 'GOOGLE_SPREADSHEET_NAME': 'MyTech'} # the sheet is told; nobody tells it yet
    store = open_store(f'sqlite:///{folder}/mytech.db')
    with running(folder, 'pages', **settings):
        until(lambda: len(processes_of(folder)) == len(list(REPORTS.glob('*.ipynb')))) # a warm kernel each
        yield folder, base, store
    store.close()
    until(lambda: not processes_of(folder), 5) # no kernel is left behind
    assert 'Traceback' not in (folder/'run.log').read_text()


def link(store, user=MAYA, name='Maya', **more):
    with store.write() as connection: return hand_out(connection, user, name, datetime.now(timezone.utc), **more)


def session(store, user=MAYA, name='Maya', **more):
    now = datetime.now(timezone.utc)
    with store.write() as connection: return redeem(connection, hand_out(connection, user, name, now), now, **more)


def client(house, secret=None, **headers):
    return httpx.Client(base_url=house[1], cookies={COOKIE: secret} if secret else {}, headers=headers, timeout=20)


def patterns():
    "Every route that Voila and Jupyter server have, as they write them."
    server = Server(config=configuration(load_settings(None), '/'), root_dir='reports')
    server.config.VoilaConfiguration.preheat_kernel = False
    server.initialize([])
    server.init_settings()
    found = {route[0] for routes in (server.init_handlers(), super(Server, server).init_handlers()) for route in routes}
    for package in ('jupyter_server', 'voila'):
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f'{package}.'):
            if '.tests' in module.name or 'pytest' in module.name or module.name.endswith('__main__'): continue
            with warnings.catch_warnings(action='ignore'), suppress(Exception):
                routes = getattr(importlib.import_module(module.name), 'default_handlers', [])
                found |= {route[0] for route in routes if isinstance(route[0], str)}
    return sorted(found)


def example(pattern):
    "An address that the pattern matches."
    kernel = '0a0a0a0a-1b1b-2c2c-3d3d-4e4e4e4e4e4e'
    path = re.sub(r'\(\?P<\w+>', '(', pattern.replace('(?:(?:/[^/]+)+|/?)', '/x')).rstrip('$').removeprefix('^')
    while '(' in path:
        path = re.sub(r'\((?:\?:)?([^()]*)\)[?*+]?', lambda group: kernel if r'\w+-' in group[1] else 'tickets.ipynb', path)
    path = re.sub(r'\\(.)', r'\1', path).replace('.*', 'x').replace('?', '')
    return '/' + path.lstrip('/')


def test_nothing_is_given_without_a_session(house):
    "Every address, by every method, also where nothing is."
    folder, base, store = house
    wanted = sorted({example(pattern) for pattern in patterns()} | {
        '/', *(f'/{page}' for page in PAGES), '/me', '/logout', '/static/x', '/files/mytech.db', '/.env', '/metrics', '/tree', '/lab', '/api',
        '/voila/static/page.js', '/voila/static/../../../app.py', '/voila/render/tickets.ipynb', '/nbconvert/html/x', '/terminals/websocket/1'})
    assert len(wanted) > 50 and '/api/kernels' in wanted and any('channels' in path for path in wanted)
    old, late = session(store), session(store, lasts=timedelta(0))
    with store.write() as connection: assert revoke(connection, MAYA, datetime.now(timezone.utc))
    stranger = session(store, 666, 'Mallory')
    kernels, host = len(processes_of(folder)), base.removesuffix('/pages/')
    for secret in (None, 'guess', old, late, stranger, TOKEN):
        with client(house, secret, Authorization=f'token {TOKEN}') as http:
            for path in [*wanted, *(host + path for path in wanted)]: # below the address, and beside it
                for method in ('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD') if secret in (None, old) else ('GET',):
                    said = http.request(method, path, params={'token': TOKEN})
                    if path == '/login': continue
                    page = method == 'GET' and path.lstrip('/') in ('', *PAGES)
                    assert said.status_code == (302 if page else 401) and said.content == b'', (method, path, said.status_code)
                    assert not page or said.headers['location'] == '/pages/login'
    assert len(processes_of(folder)) == kernels


def test_no_websocket_without_a_session_or_from_another_site(house):
    folder, base, store = house
    address = base.replace('http', 'ws') + 'api/kernels/0a0a0a0a-1b1b-2c2c-3d3d-4e4e4e4e4e4e/channels'

    async def status(**headers):
        try: (await websocket_connect(HTTPRequest(address, headers=headers))).close()
        except HTTPClientError as error: return error.code
    cookie = f'{COOKIE}={session(store)}'
    assert asyncio.run(status()) == asyncio.run(status(Cookie=f'{COOKIE}=guess')) == 401
    assert asyncio.run(status(Cookie=cookie, Origin='https://elsewhere.example')) == 403
    assert asyncio.run(status(Cookie=cookie, Origin=base.removesuffix('/pages/'))) == 404 # let in; there is no such kernel


def test_a_link_works_once_and_its_cookie_is_shut_to_scripts(house):
    folder, base, store = house
    secret = link(store)
    with client(house) as http:
        for _ in range(2): assert secret in http.get('/login', params={'token': secret}).text # a preview uses nothing up
        assert http.post('/login', data={'token': secret}, headers={'Origin': 'https://elsewhere.example'}).status_code == 403
        said = http.post('/login', data={'token': secret})
        assert (said.status_code, said.headers['location']) == (302, '/pages/')
        cookie = said.headers['set-cookie']
        assert cookie.startswith(f'{COOKIE}=') and 'HttpOnly' in cookie and 'SameSite=Lax' in cookie and 'Path=/pages/' in cookie and secret not in cookie
        assert http.get('/me').json()['name'] == 'Maya'
        assert http.post('/logout', headers={'Origin': 'https://elsewhere.example'}).status_code == 403
        assert http.post('/logout').status_code == 302 and http.get('/me').status_code == 401
    with client(house) as http:
        again = http.post('/login', data={'token': secret})
        assert again.status_code == 401 and 'set-cookie' not in again.headers and secret not in again.text
        assert http.post('/login', data={'token': TOKEN}).status_code == 302 and http.get('/me').json()['name'] == 'admin'
        for wrong in ('', TOKEN + 'x'): assert client(house).post('/login', data={'token': wrong}).status_code == 401
    late = link(store, lasts=timedelta(0))
    with client(house) as http: assert http.post('/login', data={'token': late}).status_code == 401


def test_what_is_behind_the_door_is_only_pages(house):
    "With a session, too: no file of the machine, no listing, no way to run something else; a sentence instead of a traceback."
    with client(house, session(house[2])) as http:
        for path in ('/voila/files/tickets.ipynb', '/voila/tree', '/voila/render/tickets.ipynb', '/voila/api/contents', '/api/kernels', '/api/contents',
                     '/api/sessions', '/terminals/1', '/files/x', '/voila/templates/x/static/y', '/nowhere'):
            said = http.get(path)
            assert said.status_code == 404 and 'Halaman tidak ada' in said.text and 'Traceback' not in said.text, path
        assert http.post('/api/kernels', json={'name': 'python3'}).status_code == 404
        for path in ('/voila/static/../live.py', '/voila/static/%2e%2e/%2e%2e/app.py', '/voila/static//etc/passwd'):
            assert http.get(path).status_code in (403, 404), path
        page = http.get('/voila/static/page.js')
        assert page.status_code == 200 and page.headers['x-content-type-options'] == 'nosniff'


def test_a_statement_is_the_servers_own(monkeypatch):
    from tornado.web import create_signed_value
    monkeypatch.setenv('MYTECH_PAGES_SECRET', 'ours')
    signed = create_signed_value('ours', 'pages', '7')
    assert stated(signed.decode()) == 7
    for wrong in (create_signed_value('theirs', 'pages', '7'), create_signed_value('ours', 'other', '7'), b'', b'7', signed[:-1],
                  create_signed_value('ours', 'pages', '7', clock=lambda: 1e9)):
        assert stated(wrong.decode()) is None


# ---- without a browser

def test_what_breaks_is_a_sentence_and_the_rest_stands(caplog):
    def breaks(visit): raise RuntimeError(f'{__file__}: 0812-3456-7890')
    store = open_store('sqlite://')
    page = Page('index', {'broken': breaks, 'whole': lambda visit: 'whole'}, {'break': lambda visit, told: breaks(visit)})
    visit = Visit(Desk(load_settings(None), store), Visitor(1, MAYA, 'Maya'), 'index')
    shown = {region: html for change in changes(page, visit) for region, html in change['regions'].items()}
    assert shown['whole'] == 'whole' and 'muat ulang' in shown['broken'] and 'RuntimeError' not in shown['broken'] and __file__ not in shown['broken']
    for told in ({'do': 'break'}, {'do': 'nothing'}, {}):
        perform(page, visit, told)
        assert visit.answer.pop('notice')['kind'] == 'bad'
    assert caplog.text.count('RuntimeError: ') == 2 # who runs it can read why
    store.close()


def test_more_kernels_than_the_machine_can_bear_are_refused_in_a_sentence():
    from mytech.api.pages import Kernels
    from mytech.ops.pages.drawing import draw

    class Few(Kernels): most = 0
    with pytest.raises(HTTPError) as refused: asyncio.run(Few().start_kernel())
    assert refused.value.status_code == 503
    assert 'Tutup yang tidak dipakai' in draw('door', 'message', 'id', base='/', key='busy')


# ---- in the browser

CHROMIUM = '/usr/bin/chromium'
WIDTHS = 1280, 390


@pytest.fixture(scope='module')
def chromium():
    if not shutil.which(CHROMIUM): pytest.skip(f'{CHROMIUM} is not installed')
    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox', '--disable-gpu'])
        yield browser
        browser.close()


@contextmanager
def admin(chromium, house, user=MAYA, name='Maya', width=1280, theme='light'):
    "A browser of this admin. Nothing may go wrong in it, and nothing come from elsewhere."
    base, wrong = house[1], []
    context = chromium.new_context(viewport={'width': width, 'height': 900}, color_scheme=theme, base_url=base)
    context.add_cookies([{'name': COOKIE, 'value': session(house[2], user, name), 'url': base, 'httpOnly': True}])
    page = context.new_page()
    page.on('console', lambda said: wrong.append(said.text) if said.type in ('error', 'warning') else None)
    page.on('pageerror', lambda error: wrong.append(str(error)))
    page.on('request', lambda asked: None if asked.url.startswith((base, 'blob:', 'data:', base.replace('http', 'ws'))) else wrong.append(asked.url))
    yield page
    context.close()
    assert wrong == []


def visit(page, name=''):
    "The page with all that it shows at first."
    page.goto(name or './')
    page.locator('html[data-done]').wait_for()
    expect(page.locator('main [aria-busy=true]')).to_have_count(0, timeout=15_000)
    assert page.locator('.broken').count() == 0, page.locator('.broken').first.inner_text()


def serious(page):
    "What axe finds that shuts people out."
    found = Axe().run(page).response['violations']
    return [(one['id'], one['impact'], [node['html'][:150] for node in one['nodes'][:3]]) for one in found if one['impact'] in ('serious', 'critical')]


@pytest.mark.parametrize('theme', ['light', 'dark'])
@pytest.mark.parametrize('name', [path.stem for path in sorted(REPORTS.glob('*.ipynb'))])
def test_each_page_is_fit_for_everybody(name, theme, chromium, house):
    "At both widths: no error, nothing from elsewhere, nothing wider than the screen, nothing serious for axe."
    with admin(chromium, house, theme=theme) as page:
        visit(page, '' if name == 'index' else name)
        for width in WIDTHS:
            page.set_viewport_size({'width': width, 'height': 900})
            until(lambda width=width: page.evaluate('document.documentElement.scrollWidth') <= width, 3)
            assert serious(page) == []


def test_the_form_and_the_sentence_of_a_missing_page_are_fit_for_everybody(chromium, house):
    with admin(chromium, house) as page:
        for address in ('login', 'login?token=x'):
            page.goto(address)
            assert serious(page) == []
    with admin(chromium, house) as page: assert page.request.get('nowhere').status == 404


def test_a_session_that_is_ended_ends_the_open_page(chromium, house):
    with admin(chromium, house, RINA, 'Rina') as page:
        visit(page)
        assert page.locator('#who').inner_text() == 'Rina'
        with house[2].write() as connection: revoke(connection, RINA, datetime.now(timezone.utc))
        page.wait_for_url('**/login', timeout=8_000)


# ---- used as an admin would

def on_desk(page):
    "The number of the ticket that is to be decided."
    return int(page.locator('#buttons [data-key="1"]').get_attribute('data-ticket'))


def answered(page, do):
    "Does it, and waits until the kernel has answered."
    before = page.evaluate('Number(document.documentElement.dataset.sent ?? 0)')
    do()
    page.locator(f'html[data-done="{before + 1}"]').wait_for(timeout=5_000)


def press(page, key): answered(page, lambda: page.keyboard.press(key))


def labels(store, who):
    "Ticket -> what this person made of it."
    mine = reviews.select().where(reviews.c.reviewer == who).order_by(reviews.c.id)
    with store.read() as connection: return {row.ticket_id: row.label for row in connection.execute(mine)}


def test_the_queue_is_worked_off_by_keyboard_beside_a_second_admin(chromium, house):
    store, given = house[2], {}
    with store.write() as connection: connection.execute(outbox.delete())
    with admin(chromium, house) as page, admin(chromium, house, RINA, 'Rina') as other:
        for one in (page, other): visit(one, 'review')
        assert on_desk(page) != on_desk(other)
        for number in range(20):
            button = page.locator(f'#buttons [data-key="{number % 3 + 1}"]')
            given[ticket := on_desk(page)] = button.get_attribute('data-label')
            press(page, str(number % 3 + 1))
            expect(page.locator(f'#buttons [data-ticket="{ticket}"]')).to_have_count(0)
        assert labels(store, 'Maya') == given and len(given) == 20
        with store.read() as connection: assert {row.payload['ticket'] for row in connection.execute(outbox.select())} == set(given)
        expect(other.locator('#recent li').first).to_contain_text(f'{list(given.values())[-1]} · Maya', timeout=5_000)
        for ticket in reversed(given):
            press(page, 'u')
            assert on_desk(page) == ticket and ticket not in labels(store, 'Maya')
            if len(labels(store, 'Maya')) == 18: break
        press(page, 's')
        ticket = on_desk(page)
        press(page, 'l')
        page.keyboard.type('bai evid')
        expect(page.locator('#found button')).to_have_count(1)
        page.keyboard.press('Enter')
        expect(page.locator('#dialog')).not_to_be_visible()
        assert labels(store, 'Maya')[ticket] == 'KENDALA EVIDENCE BAI'


def test_both_at_one_ticket_and_a_burst_that_is_decided_at_once(chromium, house):
    store, now = house[2], datetime.now(timezone.utc)
    with store.write() as connection:
        note_chat(connection, -77, 'Teknisi')
        ids = [open_ticket(connection, Message(-77, n, 7, now, f'aplikasi zzzz mogok {word}')) for n, word in enumerate(('min', 'gan', 'bang'), 1)]
        said = Prediction('GEJALA BARU', .5, Status.REVIEW, (('GEJALA BARU', .5), ('KENDALA LOGIN', .5)))
        save_predictions(connection, dict.fromkeys(ids, said), now)
    with admin(chromium, house) as page, admin(chromium, house, RINA, 'Rina') as other:
        for one in (page, other): visit(one, 'review')
        for _ in range(9):
            if on_desk(page) in ids: break
            press(page, 's')
        page.locator('[data-key=b]').wait_for()
        press(page, 'b')
        assert page.locator('#dialog input:checked').count() == 3 and serious(page) == []
        page.keyboard.press('Space') # the first is ticked off
        page.locator('#together-label').select_option('OTHER')
        page.locator('#dialog button.main').press('Enter')
        until(lambda: sum(labels(store, 'Maya').get(n) == 'OTHER' for n in ids) == 2)
        expect(page.locator('#dialog')).not_to_be_visible()
        press(page, 'u')
        assert not set(ids) & set(labels(store, 'Maya'))
        theirs = on_desk(other)
        with store.write() as connection: save_review(connection, theirs, 'OTHER', 'Sari', now)
        other.keyboard.press('1')
        expect(other.locator('#notice, #ticket .empty').filter(has_text='Sari')).to_have_count(1, timeout=5_000)
        assert theirs not in labels(store, 'Rina')


def test_tickets_are_narrowed_found_and_taken_along(chromium, house):
    "What the filters leave is what the store holds, in the file, too; the address brings it back; today's clocks see who comes next."
    store, t = house[2], tickets.c
    today = datetime.now(ZoneInfo('Asia/Jakarta')).date()
    days, before = (span(today - timedelta(n), today - timedelta(n - 9), ZoneInfo('Asia/Jakarta')) for n in (9, 19))
    with admin(chromium, house) as page:
        visit(page, f'tickets?period={days.name}')
        page.locator('#step-back').click()
        page.locator('#choose-app').select_option('MIT')
        page.locator('#search').press_sequentially('login')
        expect(page).to_have_url(re.compile(f'period={re.escape(before.name)}&app=MIT&search=login$'))
        said = func.lower(t.tech_text + t.ops_text)
        mine = select(t.tech_message_id).where(t.tech_at >= before.start, t.tech_at < before.end, t.app_code == 'MIT', said.contains('login'))
        with store.read() as connection: wanted = sorted(map(str, connection.scalars(mine)))
        expect(page.locator('#table [role=status]')).to_have_text(f'{len(wanted)} tiket')
        with page.expect_download() as sent: page.locator('#csv').click()
        assert sorted(row['tech_message_id'] for row in csv.DictReader(sent.value.path().open())) == wanted != []
        expect(page.locator('#csv')).to_be_focused()
        visit(page, page.url)
        expect(page.locator('#table [role=status]')).to_have_text(f'{len(wanted)} tiket')
        page.locator('#table tbody button').first.click()
        expect(page.locator('#dialog')).to_contain_text('MIT')
        assert serious(page) == []
        visit(page)
        with store.write() as connection:
            note_chat(connection, -78, 'Grup Baru')
            open_ticket(connection, Message(-78, 1, 7, datetime.now(timezone.utc), 'barusan masuk'))
        expect(page.locator('#clocks')).to_contain_text('barusan masuk', timeout=10_000)


def test_the_threshold_is_moved_and_mistakes_are_looked_at(chromium, house):
    with admin(chromium, house) as page:
        visit(page, 'quality')
        in_force = page.locator('#outlook td').nth(0).inner_text()
        slider = page.locator('#threshold')
        slider.focus()
        for _ in range(5): page.keyboard.press('ArrowRight')
        expect(page.locator('#outlook td').nth(1)).to_have_text(in_force.replace('75', '80'), timeout=5_000)
        expect(page).to_have_url(re.compile('threshold=0.8'))
        assert slider.evaluate('it => it === document.activeElement')
        assert page.locator('#outlook td').nth(0).inner_text() == in_force, 'nothing was changed but the look'
        answered(page, page.locator('#sort-precision').click)
        assert page.locator('#sort-precision').evaluate('it => it === document.activeElement')
        page.locator('#classes tbody button').first.press('Enter')
        expect(page.locator('#dialog h2')).to_contain_text('Kekeliruan')
        assert serious(page) == []
        page.keyboard.press('Escape')
        answered(page, lambda: page.locator('#choose-period').select_option(index=8)) # the quarter
        page.reload()
        page.locator('html[data-done]').wait_for()
        assert slider.input_value() == '0.8', 'the address keeps it'


def test_a_version_is_put_in_charge_and_taken_back_beside_a_second_admin(chromium, house):
    folder, _, store = house
    models = folder/'artifacts/models'
    copy = shutil.copytree(models/'v1', folder/'copy', ignore=shutil.ignore_patterns('manifest.json'))
    register(models, copy, metrics={'accuracy': .9}, run_id='elsewhere')
    with admin(chromium, house) as page, admin(chromium, house, RINA, 'Rina') as other:
        for one in (page, other):
            visit(one, 'model')
            one.locator('#versions [data-do=ask]').press('Enter')
            expect(one.locator('#dialog h2')).to_have_text('Ganti model v1 dengan v2?')
        assert current(models) == 1 and serious(page) == []
        page.locator('#dialog [data-do=change]').press('Enter')
        expect(page.locator('#notice')).to_have_text('Model v2 menjawab sekarang.')
        assert current(models) == 2
        expect(other.locator('#head strong').first).to_have_text('v2', timeout=5_000)
        other.locator('#dialog [data-do=change]').press('Enter')
        expect(other.locator('#notice')).to_contain_text('sudah berganti')
        page.get_by_role('button', name='Kembali ke v1').click()
        answered(page, page.locator('#dialog [data-do=change]').click)
        page.get_by_role('button', name='Notebook pelatihan v1').click()
        page.locator('#dialog iframe').wait_for()
        page.keyboard.press('Escape')
        assert current(models) == 1
    with store.read() as connection:
        done = connection.execute(actions.select().where(actions.c.action.in_(('promote', 'rollback'))).order_by(actions.c.id)).all()
    assert [(row.user_name, row.action, row.target) for row in done] == [('Maya', 'promote', 'v2'), ('Maya', 'rollback', 'v1')]
