"The admin bot on the chat page, in a real browser: every command with its forms and with wrong ones, buttons, pictures, files."
import re
import shutil
from io import BytesIO
from types import SimpleNamespace

import httpx
import pytest
from admin_desk import tickets
from PIL import Image
from support import BUDI, COLLECTOR, JAKSEL, free_port, running

from mytech.bots.admin_review import fetch_file
from mytech.core.config import load_settings
from mytech.services.store import open_store

CHROMIUM = '/usr/bin/chromium'
if not shutil.which(CHROMIUM): pytest.skip(f'{CHROMIUM} is not installed', allow_module_level=True)
playwright = pytest.importorskip('playwright.sync_api')
expect = playwright.expect

MAYA, ADMIN = 5000000301, 7000000002
ANSWERS = {
    '/stats': 'Hari ini', '/STATS': 'Hari ini', '/report': 'Laporan model · Minggu', '/report monthly': 'Laporan model', '/Report MINGGUAN': 'Laporan model · Minggu',
    '/tiketreport': 'Laporan tiket', '/tiketreport quarterly': 'Laporan tiket · Triwulan', '/tiketreport mit Q3 2025': 'Triwulan 3 2025 · MyTech',
    '/tiketreport 2025 agustus': 'Agustus 2025', '/trendbulan': 'Tren gejala', '/trendbulan MIT 10 2025': 'Oktober 2025 · MyTech',
    '/trendmingguan': 'Tren gejala · Minggu', '/trendmingguan 2 10 2025 mis': '6 – 12 Oktober 2025 · MyStaff', '/updatestats': 'Monitoring', '/helpml': 'Perintah admin',
    '/help': 'Perintah admin', '/start': 'Perintah admin', '/modelstatus': 'Belum ada model', '/retrainstatus': 'Belum pernah ada pelatihan',
    '/reloadmodel v7': 'Versi 7 tidak ada', '/mlflowpromote 3': 'Versi 3 tidak ada', '/mlflowstatus': 'MLflow'}
WRONG = {'/report yearly': '/report [weekly|monthly]', '/tiketreport quarterly 9': '/tiketreport [monthly|quarterly] [n] [year] [APP]', '/trendbulan XYZ': '/trendbulan [APP] [month] [year]',
         '/trendmingguan 99': '/trendmingguan [week] [month] [year] [APP]', '/retrain all': '/retrain [tune|tune100|force]', '/reloadmodel latest': '/reloadmodel [version]',
         '/mlflowpromote x': '/mlflowpromote [version]', '/stats now': 'Cukup /stats', '/statistik': 'tidak ada'}


def picture():
    out = BytesIO()
    Image.new('RGB', (300, 200), 'red').save(out, 'PNG')
    return out.getvalue()


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    "The sandbox and the admin bot, with a few doubtful tickets; Maya's chat with the bot."
    folder, port = tmp_path_factory.mktemp('office'), free_port()
    store = open_store(f'sqlite:///{folder}/mytech.db')
    tickets(store, 6)
    store.close()
    with running(folder, 'sandbox', 'admin', SANDBOX_PORT=port), playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox', '--disable-gpu'])
        page = browser.new_page(viewport={'width': 1280, 'height': 900})
        page.goto(f'http://127.0.0.1:{port}/#{MAYA}/{MAYA}:{ADMIN}')
        expect(page.locator('#chips button').first).to_have_text('/stats', timeout=15_000)
        yield page
        browser.close()


def ask(page, text):
    "Sends a command; the bot's answer as a bubble."
    answers = page.locator('.message:not(.mine)')
    before = answers.count()
    page.locator('#text').fill(text)
    page.keyboard.press('Enter')
    expect(answers).to_have_count(before + 1, timeout=20_000)
    return page.locator(f'.message[data-id="{answers.nth(before).get_attribute("data-id")}"]')


def press(page, bubble, label): bubble.locator('.keys').get_by_role('button', name=label).first.click()


def test_every_command_answers(page):
    for text, words in ANSWERS.items(): expect(ask(page, text).locator('.text')).to_contain_text(words, timeout=20_000)


def test_wrong_ones_get_the_form_and_an_offer(page):
    for text, words in WRONG.items(): expect(ask(page, text).locator('.text')).to_contain_text(words)
    offer = ask(page, '/report montly')
    answers = page.locator('.message:not(.mine)')
    count = answers.count()
    press(page, offer, '/report monthly')
    expect(answers).to_have_count(count + 1, timeout=20_000)
    expect(answers.last.locator('img')).to_have_js_property('complete', True)


def test_a_report_is_a_picture_that_turns_to_other_periods_and_becomes_a_file(page):
    shown = ask(page, '/tiketreport quarterly')
    expect(shown.locator('img')).to_be_visible()
    first = shown.locator('img').get_attribute('src')
    press(page, shown, re.compile('‹'))
    expect(shown.locator('img')).not_to_have_attribute('src', first, timeout=20_000)
    press(page, shown, 'MyStaff')
    expect(shown.locator('.text')).to_contain_text('MyStaff', timeout=20_000)
    files = page.locator('.message a, .message .file', has_text='.xlsx')
    press(page, shown, 'Excel')
    expect(files).to_have_count(1, timeout=20_000)


def test_the_queue_is_worked_off_with_single_presses(page):
    card = ask(page, '/pendingreview')
    expect(card.locator('.text')).to_contain_text('Menunggu tinjauan: 6')
    press(page, card, 'Lainnya')
    expect(card.locator('.text')).to_contain_text('Pilih gejala')
    press(page, card, 'Kembali')
    press(page, card, 'GEJALA 01')
    expect(page.locator('#toast')).to_contain_text('Tersimpan: GEJALA 01')
    expect(card.locator('.text')).to_contain_text('ditinjau oleh Maya Hartono')
    expect(page.locator('.message:not(.mine)').last.locator('.text')).to_contain_text('Menunggu tinjauan: 5')
    press(page, card, 'Batalkan')
    expect(card.locator('.text')).to_contain_text('Dugaan model')
    answers = page.locator('.message:not(.mine)')
    count = answers.count()
    press(page, card, 'Lewati')
    expect(card.locator('.text')).to_contain_text('Dilewati')
    expect(answers).to_have_count(count + 1)


def test_a_picture_that_the_collector_saw_can_be_shown_by_the_admin_bot(page):
    base = page.url.split('#')[0].rstrip('/')
    sent = httpx.post(f'{base}/bot{COLLECTOR}:sandbox/sendPhoto', data={'chat_id': JAKSEL}, files={'photo': ('a.png', picture())}).json()['result']
    settings = load_settings(None, telegram_bot_token=f'{COLLECTOR}:sandbox', telegram_api_base=base)
    assert fetch_file(SimpleNamespace(settings=settings), sent['photo'][-1]['file_id'])[:2] == b'\xff\xd8', 'JPEG'


def test_a_training_is_watched_and_ended(page):
    shown = ask(page, '/retrain')
    expect(shown.locator('.text')).to_contain_text('%', timeout=30_000)
    expect(ask(page, '/retrain').locator('.text')).to_contain_text('dilatih')
    press(page, shown, 'Hentikan')
    expect(shown.locator('.text')).to_contain_text('Pelatihan dihentikan. Model tidak berubah.', timeout=30_000)


def test_a_technician_is_refused_once(page):
    page.goto(page.url.split('#')[0] + f'#{BUDI}/{BUDI}:{ADMIN}')
    expect(page.locator('#person')).to_have_value(str(BUDI))
    expect(ask(page, '/stats').locator('.text')).to_contain_text('hanya untuk admin')
    page.locator('#text').fill('/retrain force')
    page.keyboard.press('Enter')
    expect(page.locator('.message.mine')).to_have_count(2)
    expect(page.locator('.message:not(.mine)')).to_have_count(1)


def test_a_training_that_goes_on_does_not_hold_up_the_end(page):
    page.goto(page.url.split('#')[0] + f'#{MAYA}/{MAYA}:{ADMIN}')
    expect(page.locator('#person')).to_have_value(str(MAYA))
    expect(ask(page, '/retrain').locator('.text')).to_contain_text('%', timeout=30_000)
