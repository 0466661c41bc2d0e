"The sandbox as a bot meets it: the real client library, over real HTTP."
import asyncio
import json
import threading
import time
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from importlib.resources import files
from io import BytesIO

import httpx
import pytest
import uvicorn
from PIL import Image
from telegram import (
    Bot,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputMediaPhoto,
    ReplyParameters,
    Update,
)
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TimedOut,
)
from telegram.ext import ApplicationBuilder, CommandHandler, MessageHandler, filters

from mytech.sandbox.web import SandboxServer, create_app

CAST = json.loads((files('mytech') / 'static/demo/cast.json').read_text(encoding='utf-8'))
JAKSEL, BANDUNG = -1001000000001, -1001000000002
BUDI, AYU, MAYA = 5000000101, 5000000201, 5000000301
COLLECTOR, ADMIN = 7000000001, 7000000002
APPS = {}  # by address

pytestmark = pytest.mark.anyio


@pytest.fixture(scope='module')
def anyio_backend():
    return 'asyncio'


@contextmanager
def served(app, kind=SandboxServer):
    "Serves an app on a free port of 127.0.0.1."
    server = kind(uvicorn.Config(app, port=0, log_level='critical'))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        APPS[f'http://127.0.0.1:{port}'] = app
        yield f'http://127.0.0.1:{port}'
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope='module')
def base():
    with served(create_app(':memory:', CAST)) as address:
        yield address


@pytest.fixture(autouse=True)
def clean(request):
    if 'base' in request.fixturenames:
        people(request.getfixturevalue('base'), 'reset')


def people(base, action, files=None, **body):
    "One request of the people's side; its result."
    how = {'data': body, 'files': files} if files else {
        'content': json.dumps(body), 'headers': {'content-type': 'application/json'}}
    answer = httpx.post(f'{base}/sandbox/{action}', **how).json()
    assert answer['ok'], answer
    return answer['result']


async def waits(base, pages=0):
    "Returns when a bot's poll, and so many pages, are waiting in the server."
    server = APPS[base].state.server
    async with asyncio.timeout(10):
        while COLLECTOR not in server.polls or len(server.watchers) < pages:
            await asyncio.sleep(0.01)


def ask(base, path):
    "What the page reads there."
    return httpx.get(f'{base}/sandbox/{path}', timeout=20).json()['result']


@asynccontextmanager
async def client(base, bot_id=COLLECTOR):
    "A bot of the client library, pointed here by its base address alone."
    bot = Bot(f'{bot_id}:sandbox', base_url=f'{base}/bot', base_file_url=f'{base}/file/bot')
    async with bot:
        yield bot


def say(base, person=BUDI, room=JAKSEL, **body):
    return people(base, 'send', person=person, room=room, **body)[0]


def messages(base):
    "All messages, the newest last."
    return [change['message'] for change in ask(base, 'messages')]


def picture(colour='teal', size=(720, 1280)):
    out = BytesIO()
    Image.new('RGB', size, colour).save(out, 'PNG')
    return out.getvalue()


def updates_with(*ids):
    "Raw updates, each with a message of its own."
    who = {'id': BUDI, 'is_bot': False, 'first_name': 'Budi'}
    chat = {'id': JAKSEL, 'type': 'supergroup', 'title': 'Teknisi Jaksel'}
    return [{'update_id': i, 'message': {'message_id': i, 'date': 1_790_000_000, 'from': who,
                                         'chat': chat, 'text': f'tiket {i}'}} for i in ids]


# ---- polling

async def test_a_message_reaches_both_bots_of_the_group(base):
    say(base, text='tdk bisa login mytech min')
    for bot_id in (COLLECTOR, ADMIN):
        async with client(base, bot_id) as bot:
            update, = await bot.get_updates()
            assert update.message.text == 'tdk bisa login mytech min'
            assert (update.message.chat.id, update.message.from_user.id) == (JAKSEL, BUDI)


async def test_offset_confirms_and_nothing_else_does(base):
    for text in 'abc':
        say(base, text=text)
    async with client(base) as bot:
        first = await bot.get_updates()
        again = await bot.get_updates(limit=2)
        assert [u.message.text for u in first] == ['a', 'b', 'c']
        assert again == first[:2]
        rest = await bot.get_updates(offset=again[-1].update_id + 1)
        assert [u.message.text for u in rest] == ['c']
        assert await bot.get_updates(offset=rest[-1].update_id + 1) == ()
        assert await bot.get_updates() == ()


async def test_negative_offset_keeps_the_last(base):
    for text in 'abc':
        say(base, text=text)
    async with client(base) as bot:
        assert [u.message.text for u in await bot.get_updates(offset=-1)] == ['c']
        assert [u.message.text for u in await bot.get_updates()] == ['c']


async def test_long_poll_returns_when_something_happens(base):
    async with client(base) as bot:
        began = time.monotonic()
        poll = asyncio.create_task(bot.get_updates(timeout=20))
        await waits(base)
        await asyncio.to_thread(say, base, text='halo')
        assert [u.message.text for u in await poll] == ['halo']
        assert time.monotonic() - began < 5


async def test_long_poll_ends_empty(base):
    async with client(base) as bot:
        began = time.monotonic()
        assert await bot.get_updates(timeout=1) == ()
        assert 0.9 < time.monotonic() - began < 3


async def test_the_older_of_two_polls_is_told_of_the_conflict(base):
    async with client(base) as one, client(base) as two:
        older = asyncio.create_task(one.get_updates(timeout=20))
        await waits(base)
        newer = asyncio.create_task(two.get_updates(timeout=20))
        with pytest.raises(Conflict):
            await older
        await asyncio.to_thread(say, base, text='halo')
        assert len(await newer) == 1


async def test_ids_that_restart_lose_nothing(base):
    people(base, 'inject', bot_id=COLLECTOR, updates=updates_with(900_001, 900_002))
    async with client(base) as bot:
        await bot.get_updates()
        assert await bot.get_updates(offset=900_003) == ()
        people(base, 'inject', bot_id=COLLECTOR, next_id=17)
        say(base, text='setelah seminggu sepi')
        update, = await bot.get_updates(offset=900_003)
        assert update.update_id == 17
        assert await bot.get_updates(offset=18) == ()


async def test_allowed_updates_are_remembered(base):
    asked = say(base, text='halo')
    async with client(base) as bot:
        await bot.get_updates(allowed_updates=['edited_message'])
        await bot.get_updates(offset=-1)
        people(base, 'edit', person=BUDI, room=JAKSEL, message_id=asked['message_id'], text='hai')
        say(base, text='tidak diminta')
        got = await bot.get_updates()
        assert [u.edited_message.text for u in got if u.edited_message] == ['hai']
        assert not any(u.message and u.message.text == 'tidak diminta' for u in got)


async def test_state_survives_a_restart(tmp_path):
    database = tmp_path / 'sandbox.db'
    with served(create_app(database, CAST)) as base:
        say(base, text='sebelum')
    with served(create_app(database, CAST)) as base:
        message = say(base, text='sesudah')
        async with client(base) as bot:
            got = await bot.get_updates()
    assert [u.message.text for u in got] == ['sebelum', 'sesudah']
    assert message['message_id'] == 2 and got[1].update_id == got[0].update_id + 1


# ---- what updates hold

async def test_reply_edit_forward_and_command(base):
    asked = say(base, text='moban reset totp')
    say(base, AYU, text='oncek', reply_to=asked['message_id'])
    people(base, 'edit', person=BUDI, room=JAKSEL, message_id=asked['message_id'], text='moban!')
    people(base, 'forward', person=AYU, room=BANDUNG, from_room=JAKSEL, message_id=1)
    say(base, MAYA, f'{MAYA}:{ADMIN}', text='/stats@mytech_admin_bot')
    async with client(base) as bot:
        _, reply, edit, forward = await bot.get_updates()
    assert reply.message.reply_to_message.text == 'moban reset totp'
    assert reply.message.message_thread_id == asked['message_id']
    assert not reply.message.is_topic_message
    assert edit.edited_message.edit_date and edit.edited_message.text == 'moban!'
    assert forward.message.forward_origin.sender_user.id == BUDI
    assert (forward.message.chat.id, forward.message.message_id) == (BANDUNG, 1)
    async with client(base, ADMIN) as bot:
        command = (await bot.get_updates())[-1]
    assert command.message.chat.type == 'private' and command.message.chat.id == MAYA
    assert command.message.entities[0].type == 'bot_command'


async def test_album_is_several_messages_with_one_caption(base):
    uploads = [('photo', (f'{c}.png', picture(c), 'image/png')) for c in ('red', 'green', 'blue')]
    people(base, 'send', files=uploads, person=BUDI, room=JAKSEL, text='error gini min')
    async with client(base) as bot:
        album = [u.message for u in await bot.get_updates()]
        assert len({m.media_group_id for m in album}) == 1
        assert [m.caption for m in album] == ['error gini min', None, None]
        assert [(s.width, s.height) for s in album[0].photo] == [(51, 90), (180, 320), (450, 800),
                                                                 (720, 1280)]
        file = await bot.get_file(album[0].photo[-1])
        content = bytes(await file.download_as_bytearray())
    assert Image.open(BytesIO(content)).size == (720, 1280)
    assert len(content) == album[0].photo[-1].file_size


async def test_document_keeps_its_bytes(base):
    content = bytes(range(256)) * 40 + b'\r\n--boundary\r\n'
    people(base, 'send', files=[('file', ('log "1".bin', content, 'application/x-log'))],
           person=BUDI, room=JAKSEL, text='log nya')
    async with client(base) as bot:
        update, = await bot.get_updates()
        file = await bot.get_file(update.message.document)
        assert bytes(await file.download_as_bytearray()) == content
        assert update.message.document.mime_type == 'application/x-log'


async def test_forum_topic(base):
    chat = {'id': -1009, 'type': 'supergroup', 'title': 'Forum', 'is_forum': True}
    people(base, 'group', chat=chat, members=[BUDI, COLLECTOR])
    say(base, room=-1009, text='di topik', thread=44)
    async with client(base) as bot:
        update, = await bot.get_updates()
        assert update.message.is_topic_message and update.message.message_thread_id == 44
        sent = await bot.send_message(-1009, 'siap', message_thread_id=44)
        assert sent.is_topic_message
        with pytest.raises(BadRequest, match='thread not found'):
            await bot.send_message(JAKSEL, 'siap', message_thread_id=44)


async def test_group_becomes_a_supergroup(base):
    people(base, 'group', chat={'id': -77, 'type': 'group', 'title': 'Teknisi Bogor'},
           members=[BUDI, COLLECTOR])
    new = int(people(base, 'migrate', person=BUDI, room=-77))
    async with client(base) as bot:
        leave, arrive = [u.message for u in await bot.get_updates()]
        assert (leave.chat.id, leave.migrate_to_chat_id) == (-77, new)
        assert (arrive.chat.id, arrive.migrate_from_chat_id) == (new, -77)
        with pytest.raises(ChatMigrated) as moved:
            await bot.send_message(-77, 'halo')
        assert moved.value.new_chat_id == new
        assert (await bot.send_message(new, 'halo')).chat.type == 'supergroup'


# ---- what bots do

async def test_get_me_reads_all_group_messages(base):
    async with client(base) as bot:
        assert bot.can_read_all_group_messages and bot.username == 'mytech_collector_bot'


async def test_html_is_stored_as_entities(base):
    async with client(base) as bot:
        sent = await bot.send_message(JAKSEL, '😀 <b>Tiket <i>#1</i></b> &lt;ok&gt;', 'HTML')
        assert sent.text == '😀 Tiket #1 <ok>'
        assert [(e.type, sent.parse_entity(e)) for e in sent.entities] == [
            ('bold', 'Tiket #1'), ('italic', '#1')]
        with pytest.raises(BadRequest, match="(?i)can't parse entities"):
            await bot.send_message(JAKSEL, 'RAM < 2 GB', 'HTML')


@pytest.mark.parametrize('text, error', [
    ('x' * 4097, 'message is too long'), ('   ', 'message text is empty')])
async def test_text_limits(base, text, error):
    async with client(base) as bot:
        with pytest.raises(BadRequest, match=f'(?i){error}'):
            await bot.send_message(JAKSEL, text)
        assert len((await bot.send_message(JAKSEL, 'x' * 4096)).text) == 4096


async def test_reply_to_something_that_is_gone(base):
    async with client(base) as bot:
        with pytest.raises(BadRequest, match='to be replied not found'):
            await bot.send_message(JAKSEL, 'a', reply_parameters=ReplyParameters(99))
        sent = await bot.send_message(JAKSEL, 'a', reply_parameters=ReplyParameters(
            99, allow_sending_without_reply=True))
        assert sent.reply_to_message is None


async def test_photo_album_document_and_deletion(base):
    async with client(base) as bot:
        photo = await bot.send_photo(JAKSEL, picture(), caption='<b>grafik</b>', parse_mode='HTML')
        assert photo.caption_entities[0].type == 'bold'
        again = await bot.send_photo(JAKSEL, photo.photo[-1].file_id)
        assert again.photo[-1].width == 720
        album = await bot.send_media_group(JAKSEL, [InputMediaPhoto(picture('red'), caption='a'),
                                                    InputMediaPhoto(picture('blue'))])
        assert album[0].media_group_id == album[1].media_group_id
        table = await bot.send_document(JAKSEL, b'a,b\n1,2\n', filename='laporan.csv')
        assert table.document.file_name == 'laporan.csv'
        assert await bot.delete_message(JAKSEL, table.message_id)
        with pytest.raises(BadRequest, match='to delete not found'):
            await bot.delete_message(JAKSEL, table.message_id)
        with pytest.raises(BadRequest, match='(?i)image_process_failed'):
            await bot.send_photo(JAKSEL, b'not a picture')


async def test_button_query_and_edit(base):
    keyboard = InlineKeyboardMarkup([[InlineKeyboardButton('Setuju', callback_data='ok:1')]])
    async with client(base) as bot:
        sent = await bot.send_message(JAKSEL, 'Label: LOGIN', reply_markup=keyboard)
        query = people(base, 'press', person=AYU, room=JAKSEL, message_id=sent.message_id,
                       data='ok:1')
        update, = await bot.get_updates()
        assert (update.callback_query.data, update.callback_query.id) == ('ok:1', query)
        assert update.callback_query.message.message_id == sent.message_id
        await bot.answer_callback_query(query, 'Tersimpan', show_alert=True)
        assert ask(base, f'answer/{query}') == {'text': 'Tersimpan', 'show_alert': True}
        edited = await bot.edit_message_text('Label: LOGIN ✓', JAKSEL, sent.message_id)
        assert edited.edit_date and edited.reply_markup is None
        with pytest.raises(BadRequest, match='not modified'):
            await bot.edit_message_text('Label: LOGIN ✓', JAKSEL, sent.message_id)
        theirs = say(base, text='halo')
        with pytest.raises(BadRequest, match="can't be edited"):
            await bot.edit_message_text('x', JAKSEL, theirs['message_id'])
    async with client(base, ADMIN) as other:
        assert not [u for u in await other.get_updates() if u.callback_query]


async def test_members_commands_and_unknown_method(base):
    async with client(base) as bot:
        assert (await bot.get_chat_member(JAKSEL, BUDI)).status == 'member'
        admins = {m.user.id for m in await bot.get_chat_administrators(JAKSEL)}
        assert {AYU, MAYA} < admins and BUDI not in admins
        assert (await bot.get_chat(JAKSEL)).title == 'Teknisi Jaksel'
        assert await bot.set_my_commands([('stats', 'angka hari ini')])
        assert (await bot.get_my_commands())[0].command == 'stats'
        with pytest.raises(BadRequest, match='(?i)no method sendDice'):
            await bot.send_dice(JAKSEL)
        with pytest.raises(BadRequest, match='(?i)chat not found'):
            await bot.send_message(-5, 'halo')


@pytest.mark.parametrize('token', ['1:sandbox', f'{COLLECTOR}:', 'sandbox'])
def test_foreign_token(base, token):
    answer = httpx.get(f'{base}/bot{token}/getMe')
    assert answer.status_code == 401
    assert answer.json() == {'ok': False, 'error_code': 401, 'description': 'Unauthorized'}


async def test_the_client_knows_a_foreign_token(base):
    with pytest.raises(InvalidToken):
        await Bot('1:sandbox', base_url=f'{base}/bot').initialize()


@pytest.mark.parametrize('how', [
    {'params': {'chat_id': JAKSEL, 'text': 'halo'}},
    {'json': {'chat_id': JAKSEL, 'text': 'halo'}},
    {'data': {'chat_id': str(JAKSEL), 'text': 'halo'}},
    {'files': {'chat_id': (None, str(JAKSEL)), 'text': (None, 'halo')}}])
def test_every_way_to_pass_parameters(base, how):
    answer = httpx.request('POST', f'{base}/bot{COLLECTOR}:x/SendMessage', **how).json()
    assert answer['result']['text'] == 'halo'


def test_broken_bodies_are_answered(base):
    url = f'{base}/bot{COLLECTOR}:x/sendMessage'
    for body in (b'{"chat_id":', b'[1]', b'5'):
        answer = httpx.post(url, content=body, headers={'content-type': 'application/json'})
        assert answer.status_code == 400, body
    bad = httpx.post(url, json={'chat_id': JAKSEL, 'text': 'a', 'reply_markup': '{"inline'})
    assert "can't parse reply_markup" in bad.json()['description']
    odd = httpx.post(url, json={'chat_id': JAKSEL, 'text': 'a', 'reply_markup': '[[5]]'})
    assert odd.status_code == 400


# ---- faults

async def test_ordered_faults_reach_the_client(base):
    order = [{'kind': 'flood', 'method': 'sendMessage', 'retry_after': 3}, {'kind': 'error'},
             {'kind': 'gateway'}, {'kind': 'garbage'}, {'kind': 'drop'}]
    async with client(base) as bot:
        people(base, 'faults', faults=order)
        with pytest.raises(RetryAfter) as flood:
            await bot.send_message(JAKSEL, 'a')
        assert flood.value._retry_after == timedelta(seconds=3)
        for _ in order[1:3]:
            with pytest.raises(NetworkError):
                await bot.send_message(JAKSEL, 'a')
        with pytest.raises(Exception, match='(?i)json|response'):
            await bot.send_message(JAKSEL, 'a')
        with pytest.raises(NetworkError):
            await bot.send_message(JAKSEL, 'a')
        assert (await bot.send_message(JAKSEL, 'akhirnya')).message_id == 1


async def test_a_lost_answer_was_done_and_a_hanging_one_times_out(base):
    async with client(base) as bot:
        people(base, 'faults', faults=[{'kind': 'lost'}, {'kind': 'hang', 'seconds': 2}])
        with pytest.raises(NetworkError):
            await bot.send_message(JAKSEL, 'sampai')
        with pytest.raises(TimedOut):
            await bot.send_message(JAKSEL, 'lambat', read_timeout=0.2)
    async with asyncio.timeout(10):
        while len(shown := messages(base)) < 2:
            await asyncio.sleep(0.05)
    assert [m['text'] for m in shown] == ['sampai', 'lambat']


async def test_duplicates_are_delivered_again(base):
    say(base, text='halo')
    async with client(base) as bot:
        first, = await bot.get_updates()
        people(base, 'faults', faults=[{'kind': 'duplicate', 'method': 'getUpdates'}])
        again, = await bot.get_updates(offset=first.update_id + 1)
        assert again.update_id == first.update_id
        assert await bot.get_updates(offset=first.update_id + 1) == ()


def test_injected_rubbish_is_delivered_as_it_is(base):
    rubbish = [None, 5, 'teks', [], {}, {'update_id': 'x', 'message': {'text': '\ud800'}},
               {'message': {'chat': {'id': 'bukan angka'}}}]
    people(base, 'inject', bot_id=COLLECTOR, updates=rubbish)
    got = httpx.get(f'{base}/bot{COLLECTOR}:x/getUpdates').json()['result']
    assert got[:4] == rubbish[:4]
    assert isinstance(got[4]['update_id'], int)
    assert got[5] == rubbish[5]
    assert httpx.get(f'{base}/').status_code == 200


async def test_a_bot_can_answer_to_an_injected_message(base):
    people(base, 'inject', bot_id=COLLECTOR, updates=updates_with(501))
    async with client(base) as bot:
        sent = await bot.send_message(JAKSEL, 'siap', reply_parameters=ReplyParameters(501))
        assert sent.reply_to_message.text == 'tiket 501' and sent.message_id == 502


# ---- the whole client

async def test_application_polls_through_faults(base):
    heard = []

    async def hear(update, context):
        heard.append(update.effective_message.text)
        await update.effective_message.reply_text('dicatat')

    app = (ApplicationBuilder().token(f'{COLLECTOR}:sandbox').base_url(f'{base}/bot')
           .base_file_url(f'{base}/file/bot').build())
    app.add_handler(CommandHandler('stats', hear))
    app.add_handler(MessageHandler(filters.TEXT & filters.UpdateType.MESSAGE, hear))
    async with app:
        await app.start()
        await app.updater.start_polling(timeout=5)
        people(base, 'faults', faults=[{'kind': 'gateway', 'method': 'getUpdates', 'times': 1}])
        await asyncio.to_thread(say, base, text='satu')
        await asyncio.to_thread(say, base, text='/stats')
        async with asyncio.timeout(20):
            while len(heard) < 2:
                await asyncio.sleep(0.01)
        await app.updater.stop()
        await app.stop()
    assert heard == ['satu', '/stats']
    assert messages(base)[-1]['text'] == 'dicatat'


async def test_webhook_delivers_with_its_secret_until_it_is_taken(base):
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route
    calls = []

    async def hook(request):
        calls.append((request.headers['x-telegram-bot-api-secret-token'], await request.json()))
        return Response(status_code=500 if len(calls) == 1 else 200)

    app = Starlette(routes=[Route('/hook', hook, methods=['POST'])])
    with served(app, uvicorn.Server) as receiver:
        async with client(base) as bot:
            await bot.set_webhook(f'{receiver}/hook', secret_token='rahasia')
            with pytest.raises(Conflict, match='webhook is active'):
                await bot.get_updates()
            await asyncio.to_thread(say, base, text='halo')
            async with asyncio.timeout(10):
                while (await bot.get_webhook_info()).pending_update_count:
                    await asyncio.sleep(0.02)
            await bot.delete_webhook()
    assert [secret for secret, _ in calls] == ['rahasia'] * 2
    assert calls[0] == calls[1] and Update.de_json(calls[1][1], None).message.text == 'halo'


# ---- the guard

@pytest.mark.parametrize('headers, status', [
    ({}, 200), ({'origin': 'https://jahat.example'}, 403), ({'host': 'jahat.example'}, 403),
    ({'origin': 'null'}, 403), ({'sec-fetch-site': 'cross-site'}, 403),
    ({'sec-fetch-site': 'same-origin'}, 200)])
def test_only_this_machine_drives_the_people(base, headers, status):
    assert httpx.get(f'{base}/sandbox/state', headers=headers).status_code == status
    refused = httpx.post(f'{base}/sandbox/send', headers=headers, json={
        'person': BUDI, 'room': JAKSEL, 'text': 'halo'})
    assert refused.status_code == status


def test_a_foreign_page_cannot_use_the_bot_api(base):
    url = f'{base}/bot{COLLECTOR}:sandbox/sendMessage?chat_id={JAKSEL}&text=a'
    foreign = {'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors'}
    assert httpx.get(url, headers=foreign).status_code == 403
    assert httpx.get(url, headers={'host': 'sandbox:8081'}).status_code == 200


def test_files_cannot_become_pages(base):
    content = b'<script>alert(1)</script>'
    message, = people(base, 'send', files=[('file', ('a.html', content, 'text/html'))],
                      person=BUDI, room=JAKSEL, text='')
    answer = httpx.get(f"{base}/sandbox/file/{message['document']['file_id']}")
    assert answer.headers['content-type'] == 'application/octet-stream'
    assert answer.headers['content-disposition'] == 'attachment'
    assert "default-src 'self'" in answer.headers['content-security-policy']


# ---- load and stopping

async def test_carries_a_load(base):
    "3,000 updates in 100 batches while a bot drains them: far more than 300 a second."
    began, got = time.monotonic(), []
    async with httpx.AsyncClient(base_url=base, timeout=30) as http:
        async def drain():
            offset = 0
            while len(got) < 3000:
                answer = await http.get(f'/bot{COLLECTOR}:x/getUpdates', params={
                    'offset': offset, 'timeout': 5})
                got.extend(u['update_id'] for u in answer.json()['result'])
                offset = got[-1] + 1 if got else 0

        drainer = asyncio.create_task(drain())
        for batch in range(100):
            first = 10_000 + 30 * batch
            await http.post('/sandbox/inject', json={
                'bot_id': COLLECTOR, 'updates': updates_with(*range(first, first + 30))})
        await drainer
    assert got == list(range(10_000, 13_000))
    assert 3000 / (time.monotonic() - began) > 300


def test_stops_at_once_with_a_page_and_a_poll_open():
    with served(create_app(':memory:', CAST)) as base:
        poll = threading.Thread(target=httpx.get, kwargs={'timeout': 40}, args=(
            f'{base}/bot{COLLECTOR}:x/getUpdates?timeout=30',))
        epoch = ask(base, 'state')['epoch']
        page = threading.Thread(target=httpx.get, kwargs={'timeout': 40}, args=(
            f'{base}/sandbox/events?epoch={epoch}',))
        for waiting in (poll, page):
            waiting.start()
        asyncio.run(waits(base, pages=1))
        began = time.monotonic()
    poll.join()
    page.join()
    assert time.monotonic() - began < 2
