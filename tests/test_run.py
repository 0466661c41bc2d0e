"`mytech run` as people meet it: started, used, interrupted, misconfigured, and robbed of what it needs."
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from support import (
    AYU,
    BANDUNG,
    BUDI,
    FAJAR,
    JAKSEL,
    MYTECH,
    Sandbox,
    conversation,
    environment,
    exported,
    free_port,
    group_of,
    running,
    until,
)

from mytech.core.config import load_settings
from mytech.doctor import check_model
from mytech.services.registry import promote, register

TOKEN = '7000000001:AAHkq0vHR2Zf7yJc3nXw9eLdTbUoPsMi4gA'
ASKED, SOLVED = 'tdk bisa login mytech min, muter terus', 'silakan clear cache lalu login ulang, MIT -ab'


@pytest.fixture
def folder(demo, tmp_path):
    return Path(shutil.copytree(demo, tmp_path/'house'))


@pytest.fixture(scope='module')
def box(tmp_path_factory):
    "A sandbox of its own, for collectors that are tried against it."
    folder, port = tmp_path_factory.mktemp('sandbox'), free_port()
    with running(folder, 'sandbox', SANDBOX_PORT=port):
        yield Sandbox(port)


def real(box, **more):
    "Settings of a collector that takes this sandbox for Telegram."
    return {'TELEGRAM_API_BASE': box.base, 'TELEGRAM_BOT_TOKEN': TOKEN, 'SOLVERS': 'ab:Ayu B', 'OPS_USER_IDS': AYU, **more}


def talk(box, asked=ASKED, solved=SOLVED, room=JAKSEL, technician=BUDI):
    "A technician asks, ops answers, the bot confirms: its words."
    question = box.send(technician, room, asked)
    answer = box.send(AYU, room, solved, question['message_id'])
    return until(lambda: box.reply_to(answer))['text']


def tickets(folder):
    with sqlite3.connect(f'file:{folder}/mytech.db?mode=ro', uri=True) as db:
        return db.execute('select count(*) from tickets').fetchone()[0]


def stop(process, number, to_group=False):
    "Seconds until the process and all it started are gone."
    start = time.monotonic()
    (os.killpg if to_group else os.kill)(process.pid, number)
    assert process.wait(5) == 0
    until(lambda: not group_of(process.pid), 5 - (time.monotonic() - start))


# ---- starting, using, stopping

def test_it_starts_serves_stops_and_starts_again(folder):
    ports = {'SANDBOX_PORT': free_port(), 'API_PORT': free_port()}
    page, api = (f'http://127.0.0.1:{port}' for port in ports.values())
    before, body = tickets(folder), {'tech_raw_text': ASKED}
    with running(folder, **ports) as process:
        said = (folder/'run.log').read_text()
        assert page in said and api in said and 'Traceback' not in said
        assert '<title>MyTech' in httpx.get(page).text
        assert httpx.get(f'{api}/health').json() == {'status': 'ok'}
        for headers in ({}, {'Authorization': 'Bearer guess'}):
            refused = httpx.post(f'{api}/predict', json=body, headers=headers)
            assert (refused.status_code, refused.json()['status']) == (401, 401)
        answer = httpx.post(f'{api}/predict', json=body, headers={'Authorization': 'Bearer sandbox'}).json()
        assert answer['predicted_symtomps'] == 'KENDALA LOGIN' and answer['model_version'] == 'v1'
        assert 'Tercatat' in talk(Sandbox(ports['SANDBOX_PORT']))
        with httpx.stream('GET', f'{page}/sandbox/events', params={'epoch': 1}): # a page that is open meanwhile
            stop(process, signal.SIGINT, to_group=True)
    assert tickets(folder) == before + 1

    start = time.monotonic()
    with running(folder, seconds=10, **ports) as process:
        assert time.monotonic() - start < 10
        assert 'Tercatat' in talk(Sandbox(ports['SANDBOX_PORT']))
        stop(process, signal.SIGTERM)
    assert tickets(folder) == before + 2 and 'Traceback' not in (folder/'run.log').read_text()


def test_the_first_start_can_be_interrupted(interrupted, demo):
    _, code, both, said = interrupted
    assert (code, len(both)) == (130, 2) and 'Traceback' not in said
    assert len(exported(demo)) > 200 and len(exported(demo, 'tracking')) > 80, 'the second start made all of it'


# ---- wrong settings

def refusal(folder, *options, **settings):
    "What a start that is refused says; one sentence a line, no traceback."
    done = subprocess.run([MYTECH, 'run', *options], cwd=folder, env=environment(folder, **settings), capture_output=True,
                          text=True, timeout=30)
    assert done.returncode == 2, done.stdout + done.stderr
    assert not re.search('Traceback|Warning', done.stderr), done.stderr
    return done.stderr.strip().splitlines()


def test_all_wrong_values_are_named_at_once(tmp_path):
    wrong = {'SLA_MINUTES': 'soon', 'TIMEZONE': 'Asia/Jakrata', 'API_PORT': '99999', 'SOLVERS': 'ab Ayu', 'DATABASE_URL': 'mytech.db',
             'MODEL_VERSION': 'newest', 'TECH_CHAT_ID': '@teknisi', 'ML_POLICY': 'brave', 'TELEGRAM_BOT_TOKEN': 'geheim-123'}
    said = refusal(tmp_path, **wrong)
    assert sorted(re.match(r'[A-Z_]+', line)[0] for line in said) == sorted(wrong)
    assert all('Expected: ' in line for line in said) and 'geheim' not in ''.join(said)


def test_a_misspelt_dot_env_value(tmp_path):
    (tmp_path/'.env').write_text('SLA_PAUSES=25:00-26:00\n')
    assert "SLA_PAUSES='25:00-26:00'" in refusal(tmp_path)[0]


@pytest.mark.parametrize('options, settings, named', [
    (['--only', 'collektor'], {}, '--only collektor: no such part. Expected: sandbox, collector, admin, api'),
    ([], {'DATABASE_URL': 'sqlite:////proc/none/mytech.db'}, 'DATABASE_URL sqlite:////proc/none/mytech.db: '),
    ([], {'DATABASE_URL': 'postgresql://mytech:geheim@127.0.0.1:1/mytech'}, 'DATABASE_URL postgresql://mytech:[token]@127.0.0.1:1/mytech'),
    ([], {'ARTIFACTS_URL': '/dev/null'}, 'ARTIFACTS_URL'),
    ([], {'API_KEYS': 'geheim:everything'}, 'API_KEYS: expected key:scopes'),
    (['--only', 'api'], {'TELEGRAM_BOT_TOKEN': TOKEN}, 'API_KEYS: not set'),
])
def test_a_start_that_cannot_be(tmp_path, options, settings, named):
    said = ' '.join(refusal(tmp_path, *options, **{'SANDBOX_PORT': free_port(), 'API_PORT': free_port(), **settings}))
    assert said.startswith(named) and 'geheim' not in said, said


def test_a_port_that_is_taken_is_named(box, tmp_path):
    taken = box.base.rpartition(':')[2]
    for name, other in (('SANDBOX_PORT', 'API_PORT'), ('API_PORT', 'SANDBOX_PORT')):
        [said] = refusal(tmp_path, **{name: taken, other: free_port()})
        assert said.startswith(f'{name}={taken}: ') and 'already' in said


def test_a_token_that_telegram_does_not_know_is_named_and_not_shown(box, tmp_path):
    unknown = TOKEN.replace('7000000001', '7000000099')
    said = refusal(tmp_path, '--only', 'collector', **real(box, TELEGRAM_BOT_TOKEN=unknown))
    assert said[-1].startswith('TELEGRAM_BOT_TOKEN: ') and TOKEN[11:] not in ''.join(said)


# ---- models that cannot be used

def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def damage(folder): flip(folder/'artifacts/models/v1/arrays.npz')


def remove(folder): shutil.rmtree(folder/'artifacts/models')


def make_foreign(folder):
    "A version that was registered rightly, of a form that this code does not know."
    models, other = folder/'artifacts/models', folder/'other'
    other.mkdir()
    (other/'model.bin').write_bytes(b'from somewhere else')
    promote(models, register(models, other, metrics={}, run_id='other').number)


@pytest.mark.parametrize('harm, settings, names', [
    (damage, {}, 'v1/arrays.npz was changed'), (remove, {}, 'mytech retrain'), (make_foreign, {}, 'v2'),
    (lambda folder: None, {'MODEL_VERSION': '99'}, 'v99'),
], ids=['damaged', 'missing', 'foreign', 'MODEL_VERSION=99'])
def test_without_a_usable_model_tickets_are_kept_without_a_label(folder, box, harm, settings, names):
    harm(folder)
    settings = real(box, API_KEYS='key:read', API_PORT=free_port(), **settings)
    with running(folder, 'collector', 'api', **settings):
        confirmed = talk(box)
        assert 'Tercatat.' in confirmed and 'KENDALA' not in confirmed
        answer = httpx.post(f"http://127.0.0.1:{settings['API_PORT']}/predict", json={'tech_raw_text': ASKED},
                            headers={'Authorization': 'Bearer key'})
        assert answer.status_code == 503
    log = (folder/'run.log').read_text()
    assert 'model' in log and 'Traceback' not in log
    [row] = [row for row in exported(folder) if row['tech_raw_text'] == ASKED]
    assert (row['solving'], row['symtomps']) == ('silakan clear cache lalu login ulang', '')
    [found] = check_model(load_settings(None, artifacts_url=str(folder/'artifacts'), model_version=settings.get('MODEL_VERSION', 'auto')))
    assert found.state in ('wrong', 'look') and names in found.detail + found.advice, found


# ---- disks and locks

@contextmanager
def small_disk(folder, megabytes):
    "A disk of so many MB in this folder."
    folder.mkdir()
    mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={megabytes}m', 'tmpfs', folder], capture_output=True)
    if mounted.returncode: pytest.skip('mounting a small disk needs root')
    try: yield folder
    finally: subprocess.run(['umount', '--lazy', folder], check=True)


def fill(path):
    with open(path, 'wb', buffering=0) as file:
        for size in (65536, 512, 1):
            try:
                while file.write(b'x' * size) == size: pass
            except OSError: pass


def test_a_full_disk_loses_nothing_that_was_confirmed(folder, box, tmp_path):
    with small_disk(tmp_path/'disk', 6) as disk:
        shutil.copy(folder/'mytech.db', disk)
        settings = real(box, DATABASE_URL=f'sqlite:///{disk}/mytech.db')
        with running(folder, 'collector', **settings) as process:
            talk(box)
            before = tickets(disk)
            fill(disk/'filler')
            for n in range(40): box.inject(conversation(n, time.time()))
            until(lambda: 'disk is full' in (folder/'run.log').read_text())
            looked = subprocess.run([MYTECH, 'doctor', '--json'], cwd=folder, capture_output=True, text=True,
                                    env=environment(folder, **settings, ARTIFACTS_URL=f'{disk}/artifacts'))
            assert looked.returncode == 1 and 'space' in looked.stdout and process.poll() is None
            trained = subprocess.run([MYTECH, 'retrain'], cwd=folder, capture_output=True, text=True,
                                     env=environment(folder, **settings, ARTIFACTS_URL=f'{disk}/artifacts'))
            assert trained.returncode == 2 and 'No space left' in trained.stderr and 'Traceback' not in trained.stderr
            (disk/'filler').unlink()
            until(lambda: tickets(disk) == before + 40)
            talk(box, room=BANDUNG, technician=FAJAR) # Jaksel is told 20 things a minute, as Telegram asks
        solvings = ' '.join(row['solving'] for row in exported(folder, **settings))
        assert sorted(map(int, re.findall(r'sudah direset nomor (\d+)', solvings))) == list(range(40))


def test_a_database_locked_by_another_program(folder, box):
    with running(folder, 'collector', **real(box)):
        talk(box)
        before = tickets(folder)
        other = sqlite3.connect(folder/'mytech.db', isolation_level=None)
        other.execute('begin exclusive')
        box.inject([update for n in range(20) for update in conversation(n, time.time())])
        until(lambda: 'database is locked' in (folder/'run.log').read_text()) # after its busy timeout of 10 s
        assert tickets(folder) == before
        other.execute('commit')
        until(lambda: tickets(folder) == before + 20)


# ---- Telegram comes and goes

def test_telegram_is_away_at_the_start_and_in_the_middle(folder, tmp_path):
    port = free_port()
    box, away = Sandbox(port), tmp_path/'telegram'
    away.mkdir()
    with running(folder, 'collector', until_said='cannot be reached yet', **real(box)) as process:
        with running(away, 'sandbox', SANDBOX_PORT=port):
            until(lambda: 'is listening' in (folder/'run.log').read_text())
            talk(box)
            box.faults(*({'kind': kind, 'method': method} for kind in ('error', 'gateway', 'garbage', 'drop')
                         for method in ('getUpdates', 'sendMessage')), {'kind': 'flood', 'method': 'getUpdates', 'retry_after': 1})
            before = tickets(folder)
            box.inject(conversation(1, time.time()))
            until(lambda: tickets(folder) == before + 1)
        with running(away, 'sandbox', SANDBOX_PORT=port):
            assert 'Tercatat' in talk(box)
        assert process.poll() is None
    assert 'Traceback' not in (folder/'run.log').read_text()


# ---- nothing personal is written down in the clear

PLANTED = ('081298765432', '+62 813-1234-5678', 'budi.santoso@contoh.co.id', '3174012345670001', TOKEN)
SECRETS = {'GEMINI_API_KEY': 'AIzaSyD4f7Kq0vHR2Zf7yJc3nXw9eLdTbUoPs', 'AWS_SECRET_ACCESS_KEY': 'wJalrXUtnFEMIK7MDENGbPxRfiCYzzKEY',
           'SNOWFLAKE_PASSWORD': 'sandi-rahasia-9'}


def leaks(content):
    "Which planted things stand in these bytes, however they are written."
    found = [word for word in (*PLANTED, TOKEN[11:], *SECRETS.values()) if word.encode() in content]
    squeezed = re.sub(rb'[\s.-]', b'', content)
    return found + [word for word in ('81298765432', '81312345678') if word.encode() in squeezed]


def contents(folder):
    "Every file below, and what is inside its archives."
    for path in filter(Path.is_file, folder.rglob('*')):
        yield path, path.read_bytes()
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist(): yield path/name, archive.read(name)


def test_nothing_personal_in_logs_artifacts_and_answers(folder, box):
    personal = f'wa {PLANTED[0]} atau {PLANTED[1]}, email {PLANTED[2]}, NIK {PLANTED[3]}, token {PLANTED[4]}'
    settings = real(box, DEBUG='true', API_KEYS='key:read', API_PORT=free_port(), **SECRETS)
    asked, solved = f'moban reset totp min {personal}', f'sudah direset, {personal}, MIT -ab'
    said = []
    with running(folder, 'collector', 'api', **settings) as process:
        talk(box, asked, solved)
        box.inject([{'message': {'message_id': personal, 'text': personal}}, {'message': personal}])
        said.append(str([m.get('text') for m in box.messages() if m['from']['is_bot']]))
        for body in ({'tech_raw_text': asked, 'solving': solved}, {'tech_raw_text': [asked]}, {'solving': asked}, asked):
            answer = httpx.post(f"http://127.0.0.1:{settings['API_PORT']}/predict", json=body, headers={'Authorization': 'Bearer key'})
            said.append(answer.text)
        assert httpx.get(f"http://127.0.0.1:{settings['API_PORT']}/{PLANTED[2]}").status_code == 404
        until(lambda: (folder/'run.log').read_text().count('set aside') == 2)
        assert process.poll() is None

    (folder/'master.csv').write_text('text,solving,label\n' + ''.join(
        f'"aplikasi tes nomor {n} hilang {personal}","dipasang lagi {personal}",KELAS BARU\n' for n in range(60)))
    for command in (['predict', asked, '--solving', solved, '--json'], ['doctor'],
                    ['retrain', '--master-data', 'master.csv', '--json'], ['models', 'show', 'v2']):
        done = subprocess.run([MYTECH, *command], cwd=folder, env=environment(folder, **settings), capture_output=True, text=True)
        assert 'Traceback' not in done.stderr, done.stderr
        said += [done.stdout, done.stderr]

    assert (folder/'artifacts/models/v2').is_dir()
    assert asked in str(exported(folder)), 'the users have their own words in their own table'
    assert [leaks(text.encode()) for text in said] == [[]] * len(said)
    assert leaks((folder/'run.log').read_bytes()) == []
    found = {str(path): leaks(content) for path, content in contents(folder/'artifacts')}
    assert len(found) > 10 and not any(found.values()), {path: what for path, what in found.items() if what}
