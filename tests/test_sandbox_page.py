"The chat page in a real browser: a technician, ops, an admin, and what the bots say to them."
import re
import shutil
from io import BytesIO

import httpx
import pytest
from PIL import Image
from test_sandbox import (
    ADMIN,
    AYU,
    BUDI,
    CAST,
    COLLECTOR,
    JAKSEL,
    MAYA,
    messages,
    people,
    say,
    served,
)

from mytech.sandbox.web import create_app

CHROMIUM = '/usr/bin/chromium'
if not shutil.which(CHROMIUM):
    pytest.skip(f'{CHROMIUM} is not installed', allow_module_level=True)

playwright = pytest.importorskip('playwright.sync_api')
expect = playwright.expect


@pytest.fixture(scope='module')
def base():
    with served(create_app(':memory:', CAST)) as address:
        yield address


@pytest.fixture(scope='module')
def browser():
    with playwright.sync_playwright() as engine:
        started = engine.chromium.launch(executable_path=CHROMIUM, args=[
            '--no-sandbox', '--disable-gpu', '--disable-background-networking'])
        yield started
        started.close()


@pytest.fixture
def visit(base, browser):
    "Opens the page; at the end nothing may have gone wrong in it, and nothing come from elsewhere."
    people(base, 'reset')
    wrong, contexts = [], []

    def open_page(path='', width=1280, **options):
        context = browser.new_context(viewport={'width': width, 'height': 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on('console', lambda m: wrong.append(m.text) if m.type in ('error', 'warning') else 0)
        page.on('pageerror', lambda error: wrong.append(str(error)))
        page.on('request', lambda r: None if r.url.startswith((base, 'blob:', 'data:'))
                else wrong.append(r.url))
        page.goto(f'{base}/{path}')
        expect(page.locator('#rooms button').first).to_be_attached()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def bot_sends(base, bot_id=COLLECTOR, method='sendMessage', **params):
    answer = httpx.post(f'{base}/bot{bot_id}:sandbox/{method}', json=params).json()
    assert answer['ok'], answer
    return answer['result']


def picture(colour):
    out = BytesIO()
    Image.new('RGB', (300, 500), colour).save(out, 'PNG')
    return {'name': f'{colour}.png', 'mimeType': 'image/png', 'buffer': out.getvalue()}


def bubble(page, text):
    return page.locator('.message', has_text=text)


def test_a_technician_asks_and_ops_answers(base, visit):
    page = visit()
    expect(page.locator('#room-title')).to_have_text('Teknisi Jaksel')
    page.locator('#text').fill('tdk bisa login mytech min, muter terus')
    page.keyboard.press('Enter')
    asked = bubble(page, 'muter terus')
    expect(asked).to_have_class(re.compile('mine'))
    expect(page.locator('#text')).to_have_value('')

    page.get_by_label('Anda sebagai').select_option(str(AYU))
    expect(asked).not_to_have_class(re.compile('mine'))
    asked.get_by_role('button', name='Balas').focus()
    page.keyboard.press('Enter')
    expect(page.locator('#context')).to_contain_text('Budi Santoso')
    page.locator('#text').fill('silakan clear cache lalu login ulang, MIT -ab')
    page.get_by_role('button', name='Kirim').click()
    expect(bubble(page, 'clear cache').locator('.quote')).to_contain_text('muter terus')

    reply = messages(base)[-1]
    assert reply['from']['id'] == AYU and reply['reply_to_message']['message_id'] == 1
    bot_sends(base, chat_id=JAKSEL, text='<b>Tiket</b> dicatat', parse_mode='HTML',
              reply_parameters={'message_id': reply['message_id']})
    expect(bubble(page, 'Tiket dicatat').locator('.text b')).to_have_text('Tiket')


def test_the_tour_is_of_what_is_there(base, visit):
    page = visit(f'#{MAYA}/{MAYA}:{ADMIN}')
    expect(page.locator('.tour li')).to_have_count(4)
    expect(page.locator('.empty')).to_contain_text('belum berjalan')
    page.locator('#rooms button', has_text='MyTech Collector').click()
    page.locator('#chips').get_by_role('button', name='/id').click()
    expect(page.locator('#text')).to_have_value('/id')


def test_the_tour_leads_through(base, visit):
    bot_sends(base, ADMIN, 'setMyCommands', commands=[{'command': 'stats', 'description': 'angka'}])
    page = visit()
    step = page.locator('.tour li')
    step.nth(0).get_by_role('button').click()
    page.keyboard.press('Enter')
    expect(step.nth(0)).to_have_class('done')
    step.nth(1).get_by_role('button').click()
    expect(page.locator('#person')).to_have_value(str(AYU))
    step.nth(2).get_by_role('button').click()
    expect(page.locator('#text')).to_have_value(re.compile(r', MIT -ab$'))
    page.keyboard.press('Enter')
    expect(step.nth(2)).to_have_class('done')
    bot_sends(base, chat_id=JAKSEL, text='dicatat')
    step.nth(4).get_by_role('button').click()
    page.keyboard.press('Enter')
    expect(bubble(page, '/stats')).to_be_visible()
    bot_sends(base, ADMIN, chat_id=MAYA, text='1 tiket hari ini')
    expect(page.locator('.tour li.done')).to_have_count(5)


def test_edit_own_message(base, visit):
    say(base, text='tdk bisa logn')
    say(base, AYU, text='oncek', reply_to=1)
    page = visit()
    expect(bubble(page, 'oncek').get_by_role('button', name='Ubah')).to_have_count(0)
    page.locator('#text').focus()
    page.keyboard.press('ArrowUp')
    expect(page.locator('#text')).to_have_value('tdk bisa logn')
    page.locator('#text').fill('tdk bisa login')
    page.keyboard.press('Enter')
    mine = page.locator('.message.mine')
    expect(mine.locator('.text')).to_have_text('tdk bisa login')
    expect(mine.locator('.stamp')).to_contain_text('diedit')
    assert httpx.get(f'{base}/bot{COLLECTOR}:x/getUpdates').json()['result'][-1][
        'edited_message']['text'] == 'tdk bisa login'


def test_photo_album_and_paste(base, visit):
    page = visit()
    page.locator('#files').set_input_files([picture(c) for c in ('red', 'green', 'blue')])
    expect(page.locator('#previews img')).to_have_count(3)
    page.locator('#previews').get_by_role('button').first.click()
    page.locator('#text').fill('error gini min')
    page.get_by_role('button', name='Kirim').click()
    album = bubble(page, 'error gini min').locator('.media img')
    expect(album).to_have_count(2)
    expect(page.locator('#previews')).to_be_hidden()
    for image in album.all():
        expect(image).to_have_js_property('naturalWidth', 300)

    page.locator('#text').evaluate("""async node => {
        const canvas = new OffscreenCanvas(40, 40);
        canvas.getContext('2d').fillRect(0, 0, 40, 40);
        const data = new DataTransfer();
        data.items.add(new File([await canvas.convertToBlob()], 'tempel.png', {type: 'image/png'}));
        node.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, cancelable: true}));
    }""")
    page.get_by_role('button', name='Kirim').click()
    expect(page.locator('.message .media')).to_have_count(2)


def test_buttons_answer_with_a_toast_and_an_alert(base, visit):
    keys = [[{'text': 'Setuju', 'callback_data': 'ok'}, {'text': 'Ubah', 'callback_data': 'fix'}]]
    sent = bot_sends(base, ADMIN, chat_id=MAYA, text='Label: LOGIN?',
                     reply_markup={'inline_keyboard': keys})
    page = visit(f'#{MAYA}/{MAYA}:{ADMIN}')
    for label, answer in (('Setuju', {'text': 'Tersimpan'}),
                          ('Ubah', {'text': 'Belum bisa', 'show_alert': True})):
        page.locator('.keys').get_by_role('button', name=label).click()
        expect(page.locator('.keys [aria-busy=true]')).to_have_count(1)
        query = pressed(base)
        bot_sends(base, ADMIN, 'answerCallbackQuery', callback_query_id=query, **answer)
        expect(page.locator('#notice p' if 'show_alert' in answer else '#toast')).to_have_text(
            answer['text'])
    page.get_by_role('button', name='OK').click()
    bot_sends(base, ADMIN, 'editMessageText', chat_id=MAYA, message_id=sent['message_id'],
              text='Label: LOGIN ✓')
    expect(page.locator('.keys')).to_have_count(0)


def pressed(base):
    "The newest callback query of the admin bot."
    updates = httpx.get(f'{base}/bot{ADMIN}:x/getUpdates', params={'offset': -1, 'timeout': 5})
    return updates.json()['result'][-1]['callback_query']['id']


def test_text_of_others_never_becomes_markup(base, visit):
    evil = '<img src=x onerror="document.title=1"><b>tebal</b> \u202e\u200b=1+1'
    say(base, text=evil)
    bot_sends(base, chat_id=JAKSEL, text='<a href="javascript:alert(1)">klik</a>', parse_mode='HTML')
    page = visit()
    expect(page.locator('.text').first).to_have_text(evil)
    assert page.locator('.text img, .text b').count() == 0
    expect(bubble(page, 'klik')).to_be_visible()
    assert page.locator('.text a').count() == 0


def test_rubbish_does_not_break_the_page(base, visit):
    chat = {'id': JAKSEL, 'type': 'supergroup', 'title': 'Teknisi Jaksel'}
    strange = [{'message': {'message_id': n, 'date': 1, 'chat': chat, 'from': {'id': BUDI}} | more}
               for n, more in enumerate(({'text': 5}, {'photo': 7}, {'entities': 'x', 'text': 'a'},
                                         {'reply_to_message': {}}, {'reply_markup': 3}), 50)]
    page = visit()
    people(base, 'inject', bot_id=COLLECTOR, updates=[None, *strange])
    say(base, text='masih hidup')
    expect(bubble(page, 'masih hidup')).to_be_visible()


def test_two_windows_unread_and_language(base, visit):
    ops, technician = visit(f'#{AYU}/{JAKSEL}'), visit(f'#{BUDI}/{JAKSEL}')
    ops.locator('#rooms button', has_text='Ops MyTech').click()
    technician.locator('#text').fill('halo min')
    technician.keyboard.press('Enter')
    group = ops.locator('#rooms button', has_text='Teknisi Jaksel')
    expect(group.locator('.unread')).to_have_text('1')
    group.click()
    expect(bubble(ops, 'halo min')).to_be_visible()
    expect(group.locator('.unread')).to_have_count(0)
    ops.get_by_role('button', name='English').click()
    expect(ops.locator('#text')).to_have_attribute('placeholder', 'Write a message')
    expect(ops.locator('html')).to_have_attribute('lang', 'en')


def test_migration_moves_the_page_along(base, visit):
    people(base, 'group', chat={'id': -77, 'type': 'group', 'title': 'Teknisi Bogor'},
           members=[BUDI, COLLECTOR])
    say(base, room=-77, text='sebelum pindah')
    page = visit(f'#{BUDI}/-77')
    new = people(base, 'migrate', person=BUDI, room=-77)
    say(base, room=new, text='sesudah pindah')
    page.locator('#rooms button', has_text='Teknisi Bogor').click()
    expect(bubble(page, 'sesudah pindah')).to_be_visible()
    expect(page.locator('#rooms button', has_text='Teknisi Bogor')).to_have_count(1)


def test_phone_has_one_pane_and_a_way_back(base, visit):
    say(base, text='halo min')
    page = visit(width=390, has_touch=True, is_mobile=True)
    expect(page.locator('.talk')).to_be_hidden()
    page.locator('#rooms button', has_text='Teknisi Jaksel').tap()
    expect(page.locator('.side')).to_be_hidden()
    expect(bubble(page, 'halo min')).to_be_visible()
    assert page.evaluate('document.documentElement.scrollWidth') == 390
    page.get_by_role('button', name='Kembali').tap()
    expect(page.locator('.side')).to_be_visible()


def test_every_control_has_a_name(base, visit):
    keys = [[{'text': 'Setuju', 'callback_data': 'ok'}]]
    say(base, text='halo')
    bot_sends(base, chat_id=JAKSEL, text='dicatat', reply_markup={'inline_keyboard': keys})
    page = visit()
    expect(page.locator('.keys')).to_be_visible()
    nameless = page.evaluate("""() => [...document.querySelectorAll('button, select, textarea, img')]
        .filter(n => !(n.innerText || n.getAttribute('aria-label') || n.alt || n.labels?.length))
        .map(n => n.outerHTML)""")
    assert nameless == []
