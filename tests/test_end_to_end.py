"The main job: people talk on the chat page, bots answer, and the users' table holds what DOMAIN says, to the letter."
import csv
import re
import shutil
import sqlite3
import time
from collections import Counter
from datetime import datetime, timedelta
from io import BytesIO, StringIO
from subprocess import run
from zoneinfo import ZoneInfo

import httpx
import pytest
from PIL import Image
from support import AYU, BANDUNG, BUDI, FAJAR, JAKSEL, MYTECH, Sandbox, environment, free_port, message, running

CHROMIUM = '/usr/bin/chromium'
if not shutil.which(CHROMIUM): pytest.skip(f'{CHROMIUM} is not installed', allow_module_level=True)
playwright = pytest.importorskip('playwright.sync_api')
expect = playwright.expect

SITI, AGUS, RUDI, SINTA = 5000000102, 5000000103, 5000000202, 5000000203
ROOMS = {JAKSEL: 'Teknisi Jaksel', BANDUNG: 'Teknisi Bandung'}
FIRST = 100_001 # the first message id of each group; the demo's history has smaller ones

LOGS = ('group_label,ticket_date,response_at,tech_message_id,tech_message_date,tech_message_time,tech_raw_text,media_type,'
        'media_url,ops_message_id,ops_text,solving,solve_timestamp,app_code,solver_name,is_oncek,sla_response_min,sla_status,'
        'sla_remaining_min,symtomps')
TRACKING = 'tech_message_id,tech_raw_text,solving,symtomps,ml_confidence,review_status,timestamps,prediction_source'


@pytest.fixture(scope='module')
def house(tmp_path_factory):
    "`mytech run` as a newcomer types it, in an empty folder, ready."
    folder = tmp_path_factory.mktemp('house')
    settings = {'SANDBOX_PORT': free_port(), 'API_PORT': free_port()}
    with running(folder, seconds=150, **settings):
        yield folder, settings


@pytest.fixture(scope='module')
def page(house):
    "The chat page in a browser. Nothing may go wrong in it, and nothing come from elsewhere."
    base, wrong = f"http://127.0.0.1:{house[1]['SANDBOX_PORT']}/", []
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox', '--disable-gpu'])
        page = browser.new_page(viewport={'width': 1280, 'height': 800})
        page.on('console', lambda said: wrong.append(said.text) if said.type in ('error', 'warning') else None)
        page.on('pageerror', lambda error: wrong.append(str(error)))
        page.on('request', lambda asked: None if asked.url.startswith((base, 'blob:', 'data:')) else wrong.append(asked.url))
        page.goto(base)
        yield page
        browser.close()
    assert wrong == []


def picture(colour):
    out = BytesIO()
    Image.new('RGB', (300, 200), colour).save(out, 'PNG')
    return {'name': f'{colour}.png', 'mimeType': 'image/png', 'buffer': out.getvalue()}


def bubble(page, text): return page.locator('.message', has_text=text).last


def become(page, person, room=JAKSEL):
    page.get_by_label('Anda sebagai').select_option(str(person))
    page.locator('#rooms button', has_text=ROOMS[room]).click()
    expect(page.locator('#room-title')).to_have_text(ROOMS[room])


def write(page, text, reply_to=None, photos=()):
    "Sends, and waits until the message stands in the conversation."
    if reply_to:
        bubble(page, reply_to).get_by_role('button', name='Balas').focus()
        page.keyboard.press('Enter')
        expect(page.locator('#context')).to_contain_text('Balas')
    if photos: page.locator('#files').set_input_files([picture(colour) for colour in photos])
    page.locator('#text').fill(text)
    page.get_by_role('button', name='Kirim').click()
    expect(page.locator('.message.mine', has_text=text).last).to_be_visible()
    return int(page.locator('.message.mine').last.get_attribute('data-id'))


def rewrite(page, text):
    "Changes the newest message of the own ones."
    page.locator('.message.mine').last.get_by_role('button', name='Ubah').focus()
    page.keyboard.press('Enter')
    page.locator('#text').fill(text)
    page.get_by_role('button', name='Kirim').click()
    expect(page.locator('.message.mine', has_text=text).last.locator('.stamp')).to_contain_text('diedit')


def bot_says(page, words, count=1):
    "Waits until the collector's words arrive on the page, by themselves."
    said = page.locator('.message:not(.mine)', has=page.locator('.text', has_text=words))
    expect(said).to_have_count(count, timeout=15_000)
    return said.last.locator('.text').inner_text()


@pytest.fixture(scope='module')
def played(house, page):
    "The ids of what was said in an afternoon of two groups."
    box, at = Sandbox(house[1]['SANDBOX_PORT']), {}

    become(page, BUDI)
    at['login'] = write(page, 'tdk bisa login mytech min, muter terus')
    write(page, 'pagi min')
    at['photo'] = write(page, 'WO12345678 blm muncul di list min', photos=['red'])
    at['album'] = write(page, 'moban reset totp min, hp baru', photos=['green', 'blue', 'white'])
    write(page, 'up min')

    become(page, FAJAR, BANDUNG)
    at['bandung'] = write(page, '=1+1 <b>apk</b> min, link download apk terbaru mana')
    become(page, SITI)
    at['edited'] = write(page, 'speedtst gagal')
    rewrite(page, 'hasil speedtest tdk muncul, gagal terus min')

    become(page, AYU)
    at['oncek'] = write(page, 'oncek', 'muter terus')
    at['solved'] = write(page, 'silakan clear cache, lalu login ulang, MIT -ab', 'muter terus')
    assert re.search(r'KENDALA LOGIN, yakin \d+ %\nRespon 0[,\d]* menit · tepat waktu', bot_says(page, 'KENDALA LOGIN'))

    become(page, RUDI)
    at['initials'] = write(page, 'sudah disinkron , mit - zz', 'blm muncul')
    hint = bot_says(page, 'belum terdaftar')
    assert '-zz' in hint and 'solusi, MIT -inisial' in hint and 'ab, rd, sn' in hint
    rewrite(page, 'sudah disinkron , mit - rd')
    bot_says(page, 'Tercatat', 2)

    become(page, SINTA)
    at['reset'] = write(page, 'totp direset, silakan daftar ulang, MIS -sn', 'moban reset totp')
    bot_says(page, 'Tercatat', 3)
    become(page, SINTA, BANDUNG)
    at['link'] = write(page, 'link sudah dikirim, MIT -sn', 'link download')
    bot_says(page, 'Tercatat')

    again = box.act('forward', person=BUDI, room=str(JAKSEL), from_room=str(JAKSEL), message_id=at['login'])
    at['forwarded'] = again['message_id']
    old = time.time() - 9 * 3600
    box.inject([{'message': message(FIRST + 500, AGUS, 'user auth locked min mohon dibuka', old)}])
    become(page, AYU)
    at['again'] = write(page, 'cache sudah dibersihkan, MIT -ab', 'Diteruskan')
    bot_says(page, 'Tercatat', 4)
    at['late'] = write(page, 'user sudah dibuka, MIT -ab', 'user auth locked')
    assert 'terlambat (batas 15 menit)' in bot_says(page, 'terlambat')
    rewrite(page, 'user sudah dibuka kembali, MIT -rd')

    become(page, BUDI)
    at['open'] = write(page, 'moban bantu min, ont tdk terdeteksi di mytech')
    return at


def table(house, sheet, header):
    "The rows of `mytech export`, after a look at its header."
    folder, settings = house
    file = folder/f'{sheet}.csv'
    run([MYTECH, 'export', sheet, '--out', file], cwd=folder, env=environment(folder, **settings), check=True, capture_output=True)
    text = file.read_text('utf-8')
    assert text.split('\n', 1)[0] == header
    return list(csv.DictReader(StringIO(text)))


@pytest.fixture(scope='module')
def logs(house, played, page):
    "All rows of Logs, once the last edit is in it."
    for _ in range(50):
        rows = table(house, 'logs', LOGS)
        if any(row['solver_name'] == 'Rudi D' and 'kembali' in row['solving'] for row in rows): return rows
        time.sleep(0.1)
    raise AssertionError('the edit of the last answer never arrived')


@pytest.fixture(scope='module')
def tracking(house, logs): return table(house, 'tracking', TRACKING)


def active_minutes(start, end):
    "Counts the seconds outside the pauses, one by one."
    pauses = ((0, 6), (13, 14), (19, 20))
    seconds = (start + timedelta(seconds=n) for n in range(int((end - start).total_seconds())))
    return round(sum(not any(a <= moment.hour < b for a, b in pauses) for moment in seconds) / 60, 2)


MOMENT = r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d'
FORMS = {
    'group_label': r'Teknisi (Jaksel|Bandung)', 'ticket_date': r'\d{4}-\d\d-\d\d', 'response_at': MOMENT, 'tech_message_id': r'\d+',
    'tech_message_date': r'\d{4}-\d\d-\d\d', 'tech_message_time': r'\d\d:\d\d:\d\d', 'media_type': 'photo|video|document|animation|audio|',
    'media_url': r'(/media/[\d/-]+_\d\.\w+( |$))*',
    'ops_message_id': r'\d+', 'ops_text': r'(?s).+', 'solve_timestamp': f'{MOMENT}|', 'app_code': 'MIT|MIS|', 'solver_name': 'Ayu B|Rudi D|Sinta N|',
    'is_oncek': 'true|false', 'sla_response_min': r'\d+\.\d{1,2}', 'sla_status': 'OK|TERLAMBAT', 'sla_remaining_min': r'\d+(\.\d{1,2})?',
    'symtomps': r"[A-Z0-9 /&'-]*"}


def test_every_row_has_the_users_form(logs):
    for row in logs:
        for name, form in FORMS.items(): assert re.fullmatch(form, row[name]), (name, row[name])
        assert row['ticket_date'] == row['tech_message_date']
        assert bool(row['solving']) == bool(row['solve_timestamp']) and (row['solving'] or row['is_oncek'] == 'true')
        assert not row['solving'] or row['app_code'] and row['solver_name']
    assert len(logs) > 1000, 'the history of the demo is in it, too'


def forwarded(house):
    "The messages whose own time says nothing."
    with sqlite3.connect(house[0]/'mytech.db') as db:
        return {(ROOMS[chat], str(number)) for chat, number in db.execute('select chat_id, tech_message_id from tickets where forwarded')}


def test_the_clock_recomputed_from_the_table_itself(logs, played, house):
    no_time = forwarded(house)
    assert (ROOMS[JAKSEL], str(played['forwarded'])) in no_time
    for row in logs[-150:]:
        asked = datetime.fromisoformat(f"{row['tech_message_date']} {row['tech_message_time']}")
        answered = datetime.fromisoformat(row['response_at'])
        minutes = 0 if (row['group_label'], row['tech_message_id']) in no_time else active_minutes(asked, answered)
        assert float(row['sla_response_min']) == minutes, row
        assert row['sla_status'] == ('OK' if minutes <= 15 else 'TERLAMBAT')
        assert float(row['sla_remaining_min']) == round(max(15 - minutes, 0), 2)
    assert {row['sla_status'] for row in logs[-150:]} == {'OK', 'TERLAMBAT'}


def test_the_rows_of_the_afternoon(logs, tracking, played, house):
    mine = {(row['group_label'], int(row['tech_message_id'])): row for row in logs if int(row['tech_message_id']) >= FIRST}
    jaksel, bandung, at = *ROOMS.values(), played
    expected = {
        (jaksel, at['login']): ('tdk bisa login mytech min, muter terus', '', at['solved'], 'silakan clear cache, lalu login ulang, MIT -ab',
                                'silakan clear cache, lalu login ulang', 'MIT', 'Ayu B', 'true'),
        (jaksel, at['photo']): ('WO12345678 blm muncul di list min', 'photo', at['initials'], 'sudah disinkron , mit - rd',
                                'sudah disinkron', 'MIT', 'Rudi D', 'false'),
        (jaksel, at['album']): ('moban reset totp min, hp baru', 'photo', at['reset'], 'totp direset, silakan daftar ulang, MIS -sn',
                                'totp direset, silakan daftar ulang', 'MIS', 'Sinta N', 'false'),
        (bandung, at['bandung']): ('=1+1 <b>apk</b> min, link download apk terbaru mana', '', at['link'], 'link sudah dikirim, MIT -sn',
                                   'link sudah dikirim', 'MIT', 'Sinta N', 'false'),
        (jaksel, at['forwarded']): ('tdk bisa login mytech min, muter terus', '', at['again'], 'cache sudah dibersihkan, MIT -ab',
                                    'cache sudah dibersihkan', 'MIT', 'Ayu B', 'false'),
        (jaksel, FIRST + 500): ('user auth locked min mohon dibuka', '', at['late'], 'user sudah dibuka kembali, MIT -rd',
                                'user sudah dibuka kembali', 'MIT', 'Rudi D', 'false')}
    columns = 'tech_raw_text media_type ops_message_id ops_text solving app_code solver_name is_oncek'.split()
    assert {key: tuple(row[name] for name in columns) for key, row in mine.items()} == {
        key: tuple(map(str, values)) for key, values in expected.items()}
    assert at['login'] == at['bandung'] == FIRST, 'equal ids in two groups'
    acknowledged = mine[jaksel, at['login']]
    assert acknowledged['response_at'] <= acknowledged['solve_timestamp'] and acknowledged['sla_status'] == 'OK'
    assert mine[jaksel, FIRST + 500]['sla_status'] == 'TERLAMBAT'
    now = datetime.now(ZoneInfo('Asia/Jakarta')).replace(tzinfo=None)
    assert all(timedelta() <= now - datetime.fromisoformat(row['response_at']) < timedelta(minutes=5) for row in mine.values()), 'local time'


def test_photos_open_from_their_ticket(logs, played, house):
    at = {(row['group_label'], int(row['tech_message_id'])): row['media_url'].split() for row in logs if row['media_url']}
    photo, album = (ROOMS[JAKSEL], played['photo']), (ROOMS[JAKSEL], played['album'])
    assert {key: len(urls) for key, urls in at.items()} == {photo: 1, album: 3}
    for url in at[photo] + at[album]:
        said = httpx.get(f"http://127.0.0.1:{house[1]['API_PORT']}{url}", headers={'Authorization': 'Bearer sandbox'})
        assert said.headers['content-type'] == 'image/jpeg' and Image.open(BytesIO(said.content)).size == (300, 200)


def test_the_label_is_in_the_table_when_it_is_sure_or_reviewed(logs, tracking):
    shown = {(row['tech_message_id'], row['tech_raw_text'], row['solving']): row['symtomps'] for row in logs}
    for row in tracking:
        assert row['review_status'] in ('pending', 'auto_approved', 'APPROVED', 'CORRECTED', 'TRAINED')
        assert re.fullmatch(MOMENT, row['timestamps']) and row['prediction_source'] == 'lightgbm'
        assert row['symtomps'] and 0 < float(row['ml_confidence']) <= 1
        in_logs = shown.get((row['tech_message_id'], row['tech_raw_text'], row['solving']))
        if in_logs is not None: assert in_logs == ('' if row['review_status'] == 'pending' else row['symtomps']), row
    assert shown[str(FIRST), 'tdk bisa login mytech min, muter terus', 'silakan clear cache, lalu login ulang'] == 'KENDALA LOGIN'


def test_one_row_of_tracking_a_ticket_open_ones_too(tracking, played):
    mine = Counter((int(row['tech_message_id']), row['tech_raw_text']) for row in tracking if int(row['tech_message_id']) >= FIRST)
    texts = {text for _, text in mine}
    assert set(mine.values()) == {1} and len(mine) == 8
    assert {'hasil speedtest tdk muncul, gagal terus min', 'moban bantu min, ont tdk terdeteksi di mytech'} <= texts
    assert not {'pagi min', 'up min', 'speedtst gagal'} & texts
