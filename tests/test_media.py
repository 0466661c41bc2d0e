"Files of tickets: fetched once, kept in a folder or a private bucket, opened by those with a key, never in the way."
import asyncio
import hashlib
import hmac
import io
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from multiprocessing import get_context
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import pytest
from botocore.exceptions import EndpointConnectionError
from fastapi.testclient import TestClient
from group import AYU, BUDI, NINE, Group, edit, new, photo, post
from moto.server import ThreadedMotoServer
from PIL import Image
from sqlalchemy import select
from support import AYU as OPS
from support import BUDI as TECHNICIAN
from support import COLLECTOR, JAKSEL, Sandbox, exported, free_port, running, until

from mytech.api.data import data_routes
from mytech.api.prediction import create_api
from mytech.api.security import read_keys
from mytech.bootstrap import replay
from mytech.bots import admin_review
from mytech.bots.admin import Look, Office
from mytech.bots.demo import DemoUpdate
from mytech.bots.inbox import connect_bot, fetch_file
from mytech.core.config import SettingsError, load_settings
from mytech.doctor import check_links, check_media, check_store, examine
from mytech.services.media import LIMIT, SHOWN, disposition, keep_file, open_keeper, open_shelf, sniff
from mytech.services.outbox import LEASE, Refused, SendLater, deliver
from mytech.services.store import media, open_store, outbox

NOW = datetime.fromtimestamp(NINE + 7200, timezone.utc)
DAY = '2026/11/23'
HTML = b'<!DOCTYPE html><script>fetch("/stats")</script>'
KEYS = {'Authorization': 'Bearer k'}


def picture(colour, form='JPEG'):
    out = io.BytesIO()
    Image.new('RGB', (60, 40), colour).save(out, form)
    return out.getvalue()


@pytest.fixture(scope='module')
def s3():
    "An S3 of its own; its settings."
    server = ThreadedMotoServer('127.0.0.1', port := free_port())
    server.start()
    yield {'aws_endpoint_url': f'http://127.0.0.1:{port}', 'aws_access_key_id': 'me', 'aws_secret_access_key': 'hush',
           's3_region': 'us-east-1'}
    server.stop()


def bucket_of(s3, tmp_path):
    "Settings with a new bucket."
    settings = load_settings(None, **s3, s3_bucket_name=tmp_path.name.replace('_', '-').lower(), artifacts_url=str(tmp_path))
    open_shelf(settings).client.create_bucket(Bucket=settings.s3_bucket_name)
    return settings


class House:
    "A group whose files are kept on a shelf; `files` is what Telegram has."
    def __init__(self, folder, settings, url=''):
        self.settings, self.store = settings, open_store(url or f'sqlite:///{folder}/mytech.db')
        self.group, self.files, self.fetched = Group(self.store), {}, []
        self.keeper = open_keeper(settings, self.store)
        self.shelf = self.keeper.shelf
        self.hear = self.group.hear

    async def fetch(self, file_id, limit):
        self.fetched.append(file_id)
        content = self.files[file_id]
        if isinstance(content, Exception): raise content
        return content

    async def round(self, at=NOW): return await deliver(self.store, 'media:7', lambda wish: keep_file(self.keeper, self.fetch, wish), at)

    def work(self):
        "Rounds until nothing more arrives."
        while asyncio.run(self.round()): pass

    def rows(self, table, *where):
        with self.store.read() as connection: return connection.execute(select(table).where(*where).order_by(*table.primary_key)).all()

    def waits(self): return self.rows(outbox, outbox.c.destination == 'media:7')

    def names(self):
        if hasattr(self.shelf, 'root'):
            return sorted(str(p.relative_to(self.shelf.root)) for p in self.shelf.root.rglob('*') if p.is_file())
        found = self.shelf.client.list_objects_v2(Bucket=self.shelf.bucket).get('Contents', [])
        return sorted(one['Key'].removeprefix('media/') for one in found)

    def urls(self): return [ticket.media_url for ticket in self.group.tickets()]

    def client(self):
        routes = data_routes(self.keeper, read_keys('k:read,w:write'))
        return TestClient(create_api(lambda *asked: None, 'k:read', routes), headers=KEYS, follow_redirects=False)


@pytest.fixture(params=['folder', 'bucket'])
def house(request, tmp_path, s3):
    house = House(tmp_path, load_settings(None, artifacts_url=str(tmp_path)) if request.param == 'folder' else bucket_of(s3, tmp_path))
    yield house
    house.store.close()


@pytest.fixture
def folder(tmp_path):
    house = House(tmp_path, load_settings(None, artifacts_url=str(tmp_path)))
    yield house
    house.store.close()


# What it is

@pytest.mark.parametrize('form, extension', [('JPEG', 'jpg'), ('PNG', 'png'), ('GIF', 'gif'), ('WEBP', 'webp')])
def test_pictures_are_known_by_their_content(form, extension):
    assert sniff(picture('red', form)) == (f'image/{form.lower()}', extension) and f'image/{form.lower()}' in SHOWN


def archive(*names):
    import zipfile
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w') as file:
        for name in names: file.writestr(name, os.urandom(90_000))
    return out.getvalue()


@pytest.mark.parametrize('content, extension', [
    (b'\0\0\0\x20ftypisom', 'mp4'), (b'\0\0\0\x14ftypqt  ', 'mov'), (b'OggS\0', 'ogg'), (b'%PDF-1.7', 'pdf'),
    (archive('a.txt'), 'zip'), (archive('[Content_Types].xml', 'big', 'xl/workbook.xml'), 'xlsx'),
    (archive('[Content_Types].xml', 'big', 'word/document.xml'), 'docx'), (archive('classes.dex', 'AndroidManifest.xml'), 'apk')])
def test_documents_and_videos_too(content, extension): assert sniff(content)[1] == extension


@pytest.mark.parametrize('content', [
    HTML, b'\n' + HTML, b'\xef\xbb\xbf' + HTML, b'<svg xmlns="http://www.w3.org/2000/svg" onload="x()">', b'', b'\xff\xd8',
    b'GIF' + HTML, b'%PDF-1.7 ' + HTML, b'PK\x03\x04' + HTML, b'MZ\x90'])
def test_what_could_run_is_never_shown(content): assert disposition(sniff(content)[0]) == 'attachment'


# Where it goes

def test_a_photo_is_named_by_day_chat_and_message_and_the_ticket_says_where_it_opens(house):
    house.files = {'big10': picture('red')}
    house.hear(new(photo(10, BUDI, 'gagal upload evidence')), new(post(11, BUDI, 'otp ga masuk min', 1)))
    assert house.urls() == ['', ''] and len(house.waits()) == 1
    house.work()
    assert house.names() == [f'{DAY}/-7/10_1.jpg'] and house.waits() == []
    assert house.urls() == [f'/media/{DAY}/-7/10_1.jpg', '']
    [row] = house.rows(media)
    assert (row.content_type, row.size, row.sha256) == ('image/jpeg', len(picture('red')), hashlib.sha256(picture('red')).hexdigest())


def test_an_album_a_follow_up_and_what_ops_send(house):
    house.files = {'big10': picture('red'), 'big11': picture('green'), 'big14': HTML}
    asked = photo(10, BUDI, 'gagal upload evidence', media_group_id='a')
    house.hear(new(asked), new(photo(11, BUDI, media_group_id='a')), new(photo(14, BUDI, minute=1, reply_to=asked)),
               new(photo(15, AYU, 'done, MIT -ab', 2, reply_to=asked)))
    house.work()
    assert house.urls() == [' '.join(f'/media/{DAY}/-7/10_{name}' for name in ('1.jpg', '2.jpg', '3.bin'))]
    assert house.fetched == ['big10', 'big11', 'big14'], 'in order, and not what ops sent'


def test_the_same_content_is_kept_once_however_often_it_is_sent(house, monkeypatch):
    puts, put = [], type(house.shelf).put
    monkeypatch.setattr(type(house.shelf), 'put', lambda self, key, *rest: (puts.append(key), put(self, key, *rest)))
    house.files = {f'big{n}': picture('red') for n in range(10, 30)}
    house.hear(*(new(photo(n, 1000 + n, f'gagal upload evidence {n}')) for n in range(10, 30)))
    assert asyncio.run(house.round()) == 20, 'in one round, side by side'
    assert len(house.names()) == len(puts) == 1 and set(house.urls()) == {f'/media/{puts[0]}'} and len(house.rows(media)) == 20


def test_what_was_removed_from_the_shelf_is_written_again(folder):
    folder.files = {'big10': picture('red'), 'big11': picture('red')}
    folder.hear(new(photo(10, BUDI, 'gagal upload evidence')))
    folder.work()
    (folder.shelf.root/folder.names()[0]).unlink()
    folder.hear(new(photo(11, 77, 'gagal upload evidence')))
    folder.work()
    assert folder.names() == [f'{DAY}/-7/11_1.jpg']


# Another picture

def other(message, file_id, caption='gagal upload evidence', minute=3):
    "The same message, edited to show another photo."
    return edit({**message, 'photo': [{'file_id': 'small'}, {'file_id': file_id}]}, caption, minute)


def test_a_photo_that_was_exchanged_is_fetched_anew_and_the_first_one_stays_on_the_shelf(house):
    house.files = {'big10': picture('red'), 'big11': picture('green'), 'swapped': picture('blue'), 'same': picture('blue')}
    asked = photo(10, BUDI, 'gagal upload evidence', media_group_id='a')
    house.hear(new(asked), new(photo(11, BUDI, media_group_id='a')))
    house.work()
    house.hear(edit(asked, 'gagal upload evidence, sc', 2))
    assert house.waits() == [], 'the same photo with other words'
    house.hear(other(asked, 'swapped'))
    house.work()
    assert house.fetched == ['big10', 'big11', 'swapped'] and house.names() == [f'{DAY}/-7/10_{n}.jpg' for n in (1, 2, 3)]
    assert sorted(house.urls()[0].split()) == [f'/media/{DAY}/-7/10_{n}.jpg' for n in (2, 3)] and len(house.rows(media)) == 2
    house.hear(other(asked, 'same', minute=4)) # Telegram's ids change, the picture has not
    house.work()
    assert len(house.names()) == 3 and sorted(house.urls()[0].split()) == [f'/media/{DAY}/-7/10_{n}.jpg' for n in (2, 3)]


def test_a_photo_that_was_exchanged_before_the_first_was_fetched(folder):
    folder.files = {'big10': picture('red'), 'swapped': picture('blue')}
    asked = photo(10, BUDI, 'gagal upload evidence')
    folder.hear(new(asked), other(asked, 'swapped'))
    folder.work()
    assert folder.fetched == ['big10', 'swapped'] and folder.rows(media)[0].sha256 == hashlib.sha256(picture('blue')).hexdigest()


def test_words_that_get_a_picture_later(folder):
    folder.files = {'late': picture('red')}
    said = post(10, BUDI, 'gagal upload evidence')
    folder.hear(new(said), other(said, 'late'))
    folder.work()
    [ticket] = folder.group.tickets()
    assert (ticket.media_type, ticket.media_url) == ('photo', f'/media/{DAY}/-7/10_1.jpg')


def test_two_who_write_at_once_never_take_each_others_place(house):
    "Another process has a file on the shelf, and its row is not committed yet."
    house.hear(new(photo(10, BUDI, 'gagal upload evidence')))
    house.shelf.put(f'{DAY}/-7/10_1.jpg', picture('green'), 'image/jpeg')
    house.files = {'big10': picture('red')}
    house.work()
    assert house.names() == [f'{DAY}/-7/10_1.jpg', f'{DAY}/-7/10_2.jpg'] and house.urls() == [f'/media/{DAY}/-7/10_2.jpg']
    assert [house.shelf.read(name) for name in house.names()] == [picture('green'), picture('red')]


# What goes wrong

def die(house):
    "Uploads and dies before the commit."
    put = type(house.shelf).put
    def last(self, *args):
        put(self, *args)
        os._exit(9)
    type(house.shelf).put = last
    house.work()


def test_killed_between_upload_and_commit_uploads_once_more_and_leaves_one_object(house):
    house.files = {'big10': picture('red')}
    house.hear(new(photo(10, BUDI, 'gagal upload evidence')))
    house.store.close()
    child = get_context('fork').Process(target=die, args=[house])
    child.start()
    child.join(20)
    assert child.exitcode == 9 and len(house.names()) == 1 and house.rows(media) == [] and len(house.waits()) == 1
    assert asyncio.run(house.round()) == 0 and asyncio.run(house.round(NOW + LEASE)) == 1
    assert house.names() == [f'{DAY}/-7/10_1.jpg'] and len(house.rows(media)) == 1 and house.waits() == []
    assert house.urls() == [f'/media/{DAY}/-7/10_1.jpg']


def test_killed_after_the_commit_fetches_nothing_again(folder):
    folder.files = {'big10': picture('red')}
    folder.hear(new(photo(10, BUDI, 'gagal upload evidence')))
    wish = folder.waits()[0].payload
    folder.work()
    asyncio.run(keep_file(folder.keeper, folder.fetch, wish))
    assert folder.fetched == ['big10'] and len(folder.rows(media)) == 1


@pytest.mark.parametrize('error', [OSError(28, 'No space left on device'), EndpointConnectionError(endpoint_url='http://s3'), TimeoutError()],
                         ids=['disk', 'network', 'time-out'])
def test_a_shelf_in_trouble_leaves_the_ticket_logged_and_the_wish_queued(folder, monkeypatch, error):
    folder.files = {'big10': picture('red')}
    folder.hear(new(photo(10, BUDI, 'gagal upload evidence')), new(post(12, AYU, 'done, MIT -ab', 5, reply_to=photo(10, BUDI))))
    with monkeypatch.context() as patch:
        patch.setattr(type(folder.shelf), 'put', lambda *args: (_ for _ in ()).throw(error))
        folder.work()
    [wish], [ticket] = folder.waits(), folder.group.logs()
    assert not wish.parked and wish.attempts == 1 and type(error).__name__ in wish.error and ticket.media_url == ''
    assert asyncio.run(folder.round(wish.due_at)) == 1 and folder.group.logs()[0].media_url


def test_telegrams_bad_moment_is_waited_for_and_its_no_is_parked(folder):
    folder.files = {'big10': SendLater('flood', 30), 'big11': Refused('wrong file_id'), 'big12': b'x' * (LIMIT + 1), 'big13': picture('red')}
    folder.hear(*(new(photo(n, 1000 + n, f'gagal upload evidence {n}')) for n in range(10, 14)))
    folder.work()
    later, *never = folder.waits()
    assert not later.parked and (later.due_at - NOW).total_seconds() == 30
    assert [(wish.parked, wish.error) for wish in never] == [(True, 'wrong file_id'), (True, f'{LIMIT + 1} bytes are more than {LIMIT}')]
    assert folder.names() == [f'{DAY}/-7/13_1.jpg'] and len(folder.group.tickets()) == 4


def test_a_bucket_that_hangs_slows_no_ticket_down(folder, monkeypatch):
    hang, reached = threading.Event(), threading.Event()
    monkeypatch.setattr(type(folder.shelf), 'put', lambda *args: (reached.set(), hang.wait(20)))
    folder.files = {f'big{n}': picture((n, 0, 0)) for n in range(10, 20)}
    folder.hear(*(new(photo(n, 1000 + n, f'gagal upload evidence {n}')) for n in range(10, 20)))
    async def both():
        uploading = asyncio.create_task(folder.round())
        await asyncio.to_thread(reached.wait, 20)
        for n in range(8): await asyncio.to_thread(folder.hear, new(post(30 + n, 2000 + n, 'otp ga masuk min', 3)))
        assert not hang.is_set() and not uploading.done() and len(folder.fetched) <= 4, 'few files are in memory'
        hang.set()
        await uploading
    asyncio.run(both())
    assert len(folder.group.tickets()) == 18


def test_a_ticket_that_is_undone_leaves_no_wish(folder):
    with pytest.raises(RuntimeError):
        with folder.store.write() as connection:
            from mytech.bots.collector import Desk, take
            take(Desk(folder.group.settings, folder.group.predict, 7, 'b', connection, NOW), new(photo(10, BUDI, 'gagal upload')))
            assert connection.execute(select(outbox)).all()
            raise RuntimeError('the power')
    assert folder.waits() == [] and folder.group.tickets() == []


def test_a_replayed_past_asks_for_nothing(folder):
    updates = [DemoUpdate(new(photo(10, BUDI, 'gagal upload evidence')), 'X')]
    with folder.store.write() as connection: replay(connection, folder.group.settings, updates, folder.group.predict)
    assert len(folder.group.tickets()) == 1 and folder.rows(outbox) == []


def test_a_bucket_without_its_library_is_told_by_the_settings_name(monkeypatch):
    monkeypatch.setattr('mytech.services.archive.find_spec', lambda name: None)
    with pytest.raises(SettingsError, match=r"S3_BUCKET_NAME='photos'.*mytech\[s3\]"): open_shelf(load_settings(None, s3_bucket_name='photos'))


# Who may see it

def test_a_page_that_is_called_a_photo_is_saved_and_not_shown(house):
    house.files = {'big10': HTML, 'big11': picture('red')}
    house.hear(new(photo(10, BUDI, 'gagal upload evidence')), new(photo(11, 77, 'gagal upload evidence')))
    house.work()
    client = house.client()
    for url, kind, shown in zip(house.urls(), ('application/octet-stream', 'image/jpeg'), ('attachment', 'inline')):
        said = client.get(url)
        if said.status_code == 200:
            assert said.headers['x-content-type-options'] == 'nosniff' and 'sandbox' in said.headers['content-security-policy']
        else:
            assert said.status_code == 307 and said.headers['cache-control'] == 'no-store'
            said = httpx.get(said.headers['location'])
        assert said.status_code == 200 and said.headers['content-type'] == kind
        assert said.headers['content-disposition'].startswith(shown)


@pytest.mark.parametrize('way', [
    '../mytech.db', '..%2fmytech.db', '%2e%2e/mytech.db', '%2e%2e%2fmytech.db', '..%5cmytech.db', '/etc/hostname', '%2fetc%2fhostname', '',
    DAY, f'{DAY}/-7', f'{DAY}/-7/10_1.jpg/..', f'{DAY}/-7/%2e%2e/-7/10_1.jpg', f'{DAY}/-7/%2e/10_1.jpg', f'{DAY}/-7/10_1.jpg%00', 'notes.txt'])
def test_only_a_tickets_file_is_opened(folder, way):
    folder.files = {'big10': picture('red')}
    folder.hear(new(photo(10, BUDI, 'gagal upload evidence')))
    folder.work()
    (folder.shelf.root/'notes.txt').write_text('not a file of a ticket')
    client = folder.client()
    raw = client.build_request('GET', '/media/')
    raw.url = raw.url.copy_with(raw_path=f'/media/{way}'.encode())
    assert client.send(raw).status_code == 404
    url, = folder.urls()
    assert client.get(url).content == picture('red')
    assert [TestClient(client.app, headers=headers).get(url).status_code for headers in ({}, {'Authorization': 'Bearer x'})] == [401, 401]


def test_a_link_in_the_sheet_is_one_that_a_browser_can_follow(tmp_path):
    house = House(tmp_path, load_settings(None, artifacts_url=str(tmp_path), api_public_url='https://mytech.example.id/api/'))
    house.files = {'big10': picture('red')}
    house.hear(new(photo(10, BUDI, 'gagal upload evidence')))
    house.work()
    assert house.urls() == [f'https://mytech.example.id/api/media/{DAY}/-7/10_1.jpg']
    browser, path = TestClient(house.client().app), f'/media/{DAY}/-7/10_1.jpg'
    assert browser.get(path).status_code == 401 and browser.get(path).headers['www-authenticate'].startswith('Basic ')
    assert browser.get(path, auth=('anybody', 'k')).content == picture('red')
    assert [browser.get(path, auth=auth).status_code for auth in (('k', 'x'), ('k', ''), ('', ''))] == [401] * 3
    assert browser.get(path, headers={'Authorization': 'Basic %%%'}).status_code == 401
    for method, where in (('POST', '/media/upload?chat_id=-7&message_id=10'), ('POST', '/queue/retry'), ('GET', '/queue/status')):
        answer = browser.request(method, where, auth=('anybody', 'w'), content=b'x')
        assert (answer.status_code, answer.headers['www-authenticate']) == (401, 'Bearer'), 'another site could make a browser do it'
    house.store.close()


def test_a_program_keeps_a_file_of_a_message(house):
    house.hear(new(post(10, BUDI, 'gagal upload evidence')))
    client, writes = house.client(), {'Authorization': 'Bearer w'}

    def send(content, message_id=10, chat_id=-7, headers=writes):
        return client.post('/media/upload', params={'chat_id': chat_id, 'message_id': message_id}, content=content, headers=headers)
    first = send(picture('red'))
    assert first.status_code == 201 and first.json() == {'media_url': f'/media/{DAY}/-7/10_1.jpg', 'ticket_id': 1, 'size': len(picture('red'))}
    assert house.urls() == [first.json()['media_url']] and send(picture('red')).json() == first.json() and len(house.names()) == 1
    assert send(HTML).json()['media_url'] == f'/media/{DAY}/-7/10_1.bin' == house.urls()[0], 'in place of the first'
    assert [send(b'x', 11).status_code, send(b'x', chat_id=-8).status_code, send(b'', 10).status_code, send(b'x', 2 ** 63).status_code] == [404, 404, 422, 422]
    assert [send(b'x', headers=headers).status_code for headers in ({'Authorization': 'Bearer k'}, {'Authorization': ''})] == [403, 401]
    assert send(b'x' * (LIMIT + 1)).status_code == 413 and len(house.rows(media)) == 1


def test_uploads_at_once_are_all_kept(folder):
    folder.hear(*(new(photo(n, BUDI, 'gagal upload evidence' * (n == 10), media_group_id='a')) for n in range(10, 22)))
    client, colours = folder.client(), {n: picture((10 * n, 0, 0)) for n in range(10, 22)}
    def send(n): return client.post('/media/upload', params={'chat_id': -7, 'message_id': n}, content=colours[n], headers={'Authorization': 'Bearer w'})
    with ThreadPoolExecutor(6) as crowd: assert {said.status_code for said in crowd.map(send, colours)} == {201}
    assert {row.message_id: folder.shelf.read(row.key) for row in folder.rows(media)} == colours


def test_the_api_tells_what_waits_and_lets_it_be_tried_again(folder):
    folder.files = {'big10': Refused('wrong file_id')}
    folder.hear(new(photo(10, BUDI, 'gagal upload evidence')))
    folder.work()
    client = folder.client()
    [box] = client.get('/queue/status').json()['destinations']
    assert {**box, 'oldest': ''} == {'destination': 'media:7', 'waiting': 1, 'parked': 1, 'oldest': '', 'error': 'wrong file_id'}
    assert client.post('/queue/retry').status_code == 403 and TestClient(client.app).get('/queue/status').status_code == 401
    again = [client.post('/queue/retry', params={'destination': to}, headers={'Authorization': 'Bearer w'}).json() for to in ('sheets', 'media:7', '')]
    assert again == [{'again': n} for n in (0, 1, 0)]
    folder.files = {'big10': picture('red')}
    assert asyncio.run(folder.round(datetime.now(timezone.utc))) == 1


def test_a_review_shows_the_photo_that_is_kept_and_asks_telegram_for_others(folder, monkeypatch):
    folder.files, asked = {'big10': picture('red')}, []
    folder.hear(new(photo(10, BUDI, 'gagal upload evidence')))
    monkeypatch.setattr(admin_review, 'fetch_file', lambda look, file_id: asked.append(file_id) or b'of Telegram')
    office = Office(folder.settings, folder.store, None, 9, 'admin')

    def shown():
        with folder.store.read() as connection:
            look = Look(office, connection, NOW, 301)
            picture = admin_review.picture_of(look, 1)
        return admin_review.open_picture(look, picture)
    assert shown() == b'of Telegram' and asked == ['big10'], 'not kept yet'
    folder.work()
    assert shown() == picture('red') and asked == ['big10']
    (folder.shelf.root/folder.names()[0]).unlink()
    assert shown() == b'of Telegram' and asked == ['big10'] * 2


def signature(url, secret):
    "What AWS Signature Version 4 makes of a presigned address."
    parts, given = urlsplit(url), dict(parse_qsl(urlsplit(url).query))
    given.pop('X-Amz-Signature')
    query = '&'.join(f'{quote(k, safe="")}={quote(v, safe="")}' for k, v in sorted(given.items()))
    canonical = '\n'.join(['GET', parts.path, query, f'host:{parts.netloc}', '', 'host', 'UNSIGNED-PAYLOAD'])
    at, scope = given['X-Amz-Date'], given['X-Amz-Credential'].partition('/')[2]
    text = '\n'.join(['AWS4-HMAC-SHA256', at, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f'AWS4{secret}'.encode()
    for part in (*scope.split('/'), text): key = hmac.digest(key, part.encode(), 'sha256')
    return key.hex()


def test_an_address_is_signed_and_soon_over(tmp_path, s3):
    shelf = open_shelf(bucket_of(s3, tmp_path))
    url = shelf.locate(f'{DAY}/-7/10_1.bin', 'application/octet-stream')
    given = dict(parse_qsl(urlsplit(url).query))
    begins = datetime.strptime(given['X-Amz-Date'], '%Y%m%dT%H%M%SZ').replace(tzinfo=timezone.utc)
    assert given['X-Amz-Expires'] == '300' and abs(time.time() - begins.timestamp()) < 60
    assert given['X-Amz-SignedHeaders'] == 'host' and given['X-Amz-Signature'] == signature(url, 'hush')
    assert given['response-content-disposition'] == 'attachment' and 'hush' not in url
    assert signature(url.replace('attachment', 'inline'), 'hush') != given['X-Amz-Signature'] != signature(url, 'other')


@pytest.mark.parametrize('given, begins', [
    ({'s3_region': 'ap-southeast-3'}, 'https://photos.s3.ap-southeast-3.amazonaws.com/media/k?'),
    ({'aws_endpoint_url': 'https://minio.example.com'}, 'https://minio.example.com/photos/media/k?'),
    ({'aws_endpoint_url': 'http://minio:9000', 's3_media_prefix': ''}, 'http://minio:9000/photos/k?')])
def test_an_address_is_one_that_the_server_knows(given, begins):
    shelf = open_shelf(load_settings(None, s3_bucket_name='photos', aws_access_key_id='me', aws_secret_access_key='hush', **given))
    assert shelf.locate('k', 'image/jpeg').startswith(begins)


# In the running system

def send(box, text, *files):
    "A person writes on the chat page; the message."
    said = box.http.post('/sandbox/send', data={'person': TECHNICIAN, 'room': str(JAKSEL), 'text': text},
                         files=[('files', file) for file in files])
    assert said.status_code == 200, said.text
    return said.json()['result'][0]


def test_a_photo_sent_on_the_chat_page_is_in_the_private_bucket_and_opens_from_the_ticket(tmp_path, s3):
    bucket = bucket_of(s3, tmp_path)
    (tmp_path/'house').mkdir()
    port, api = free_port(), free_port()
    with running(tmp_path, 'sandbox', SANDBOX_PORT=port), running(
            tmp_path/'house', 'collector', 'api', TELEGRAM_BOT_TOKEN=f'{COLLECTOR}:x', TELEGRAM_API_BASE=f'http://127.0.0.1:{port}',
            SOLVERS='ab:Ayu B', API_PORT=api, API_KEYS='k:read', S3_BUCKET_NAME=bucket.s3_bucket_name,
            **{name.upper(): value for name, value in s3.items()}):
        box = Sandbox(port)
        box.faults({'kind': 'error', 'method': 'getFile'})
        asked = send(box, 'gagal upload evidence min', ('layar.png', picture('red', 'PNG'), 'image/png'))
        paged = send(box, 'tdk bisa login mytech min', ('foto.jpg', HTML, 'application/pdf'))
        for message in (asked, paged): box.send(OPS, JAKSEL, 'sudah direset, MIT -ab', message['message_id'])
        rows = until(lambda: len(found := [row for row in exported(tmp_path/'house') if row['media_url']]) == 2 and found, every=.3)
        opened = {row['media_type']: httpx.get(f"http://127.0.0.1:{api}{row['media_url']}", headers=KEYS, follow_redirects=True)
                  for row in rows}
        assert httpx.get(f"http://127.0.0.1:{api}{rows[0]['media_url']}", follow_redirects=True).status_code == 401
        public = {f'http://127.0.0.1:{api}/': 'ok', s3['aws_endpoint_url']: 'look', f'http://127.0.0.1:{free_port()}': 'look', '': 'off'}
        assert {url: check_links(load_settings(None, api_public_url=url))[0].state for url in public} == public
        sizes = asked['photo']
        largest = httpx.get(f"{box.base}/sandbox/file/{sizes[-1]['file_id']}").content
        async def refusal(file_id, limit):
            with pytest.raises(Refused) as error: await fetch_file(connect_bot(f'{COLLECTOR}:x', box.base), file_id, limit)
            return str(error.value)
        assert 'Wrong file_id' in asyncio.run(refusal('unknown', LIMIT))
        assert 'more than 10' in asyncio.run(refusal(sizes[-1]['file_id'], 10))
    assert opened['photo'].content == largest and opened['photo'].headers['content-type'] == 'image/jpeg'
    assert opened['document'].content == HTML and opened['document'].headers['content-disposition'] == 'attachment'
    client, name = open_shelf(bucket).client, bucket.s3_bucket_name
    objects = [one['Key'] for one in client.list_objects_v2(Bucket=name)['Contents']]
    assert sorted(f"/{key}" for key in objects) == sorted(row['media_url'] for row in rows)
    for key in objects:
        grants = client.get_object_acl(Bucket=name, Key=key)['Grants']
        assert all(grant['Grantee']['Type'] == 'CanonicalUser' for grant in grants)
        assert httpx.get(f"{s3['aws_endpoint_url']}/{name}/{key}").status_code == 403, 'a stranger'


def test_the_doctor_looks_at_the_bucket_as_a_stranger(tmp_path, s3):
    settings = bucket_of(s3, tmp_path)
    [found] = check_media(settings)
    assert (found.state, found.what) == ('ok', 'S3_BUCKET_NAME') and 'private' in found.detail
    shelf = open_shelf(settings)
    put = shelf.client.put_object
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(shelf), 'put', lambda self, key, *rest, over: put(**self._of(key), Body=b'', ACL='public-read'))
        assert check_media(settings)[0].state == 'wrong'
    assert check_media(load_settings(None, artifacts_url=str(tmp_path)))[0].state == 'off'
    lost = load_settings(None, **s3, s3_bucket_name='nowhere-at-all', database_url='sqlite://', artifacts_url=str(tmp_path), mlflow_tracking_uri='off')
    [found] = [found for found in examine(lost, tmp_path/'.env') if found.what == 'S3_BUCKET_NAME']
    assert found.state == 'wrong' and 'does not exist' in found.detail


def test_the_doctor_tells_what_waits_and_why(folder, tmp_path):
    folder.files = {'big10': SendLater('no route to the bucket'), 'big11': Refused('too big')}
    folder.hear(*(new(photo(n, 1000 + n, f'gagal upload evidence {n}')) for n in (10, 11)))
    folder.work()
    found = check_store(load_settings(None, database_url=f'sqlite:///{tmp_path}/mytech.db'))[-1]
    assert (found.what, found.state) == ('outbox media:7', 'look') and found.detail.startswith('2 wait, 1 of them refused: ')
