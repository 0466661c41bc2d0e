"What several tests need: the real processes, a sandbox to talk to, and updates as Telegram sends them."
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx

MYTECH = Path(sys.executable).with_name('mytech')
COLLECTOR = 7000000001
JAKSEL, BANDUNG = -1001000000001, -1001000000002
BUDI, FAJAR, AYU = 5000000101, 5000000106, 5000000201


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def until(true, seconds=20.0, every=0.02):
    "Waits for a condition and gives its value; fails after so many seconds."
    end = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < end, f'waited {seconds} s in vain'
        time.sleep(every)
    return value


def environment(folder, **settings):
    "The environment of a house in this folder; nothing of ours leaks in."
    plain = {key: os.environ[key] for key in ('PATH', 'LANG', 'HOME') if key in os.environ}
    return plain | {'ARTIFACTS_URL': f'{folder}/artifacts', 'DATABASE_URL': f'sqlite:///{folder}/mytech.db',
                    'MLFLOW_TRACKING_URI': 'off', 'PAGES_PORT': str(free_port()),
                    **{key: str(value) for key, value in settings.items()}}


@contextmanager
def running(folder, *only, until_said='MyTech is ready', seconds=60, **settings):
    "`mytech run` in a process group of its own; ended by SIGINT, and killed if that does not help."
    log = open(folder/'run.log', 'w+')
    process = subprocess.Popen([MYTECH, 'run', *(['--only', ','.join(only)] if only else [])], cwd=folder, stdout=log,
                               stderr=subprocess.STDOUT, env=environment(folder, **settings), start_new_session=True)
    said = (folder/'run.log').read_text
    try:
        until(lambda: until_said in said() or process.poll() is not None, seconds)
        assert until_said in said() and process.poll() is None, said()
        yield process
    finally:
        if process.poll() is None: process.send_signal(signal.SIGINT)
        try: process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally: log.close()


def group_of(leader):
    "The processes of this one's group that have not ended."
    def fields(path):
        try: return (path/'stat').read_text().rpartition(')')[2].split()
        except OSError: return ['Z', '0', '0'] # it ended while we looked
    found = {int(path.name): fields(path) for path in Path('/proc').iterdir() if path.name.isdigit()}
    return [pid for pid, (state, _, group, *_) in found.items() if int(group) == leader and state != 'Z']


class Sandbox:
    "The people's side of a sandbox."
    def __init__(self, port):
        self.base = f'http://127.0.0.1:{port}'
        self.http = httpx.Client(base_url=self.base, timeout=20)

    def inject(self, updates, bot_id=COLLECTOR, **more):
        self.act('inject', bot_id=bot_id, updates=updates, **more)

    def act(self, name, **body):
        answer = self.http.post(f'/sandbox/{name}', json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()['result']

    def send(self, person, room, text, reply_to=None):
        "A person writes; the message."
        to = {'reply_to': reply_to} if reply_to else {}
        return self.act('send', person=person, room=str(room), text=text, **to)[0]

    def faults(self, *faults):
        self.act('faults', faults=list(faults))

    def messages(self):
        "All that the page shows."
        answer = self.http.get('/sandbox/messages', params={'limit': 100_000}).json()
        return [change['message'] for change in answer['result']]

    def reply_to(self, message):
        "A bot's answer to this message, or None."
        return next((m for m in self.messages() if m['from']['is_bot'] and m['chat']['id'] == message['chat']['id']
                     and m.get('reply_to_message', {}).get('message_id') == message['message_id']), None)


def message(message_id, user, text, at, chat=JAKSEL, **more):
    "A group message of the Bot API."
    return {'message_id': message_id, 'date': int(at), 'text': text, 'from': {'id': user, 'is_bot': False, 'first_name': 'Budi'},
            'chat': {'id': chat, 'type': 'supergroup', 'title': 'Teknisi Jaksel'}, **more}


def conversation(number, at, chat=JAKSEL):
    "A request and its answer, as two updates."
    asked = message(10_000 + 2 * number, BUDI, f'tdk bisa login mytech min, kode {number} muter terus', at, chat)
    answered = message(10_001 + 2 * number, AYU, f'sudah direset nomor {number}, MIT -ab', at, chat, reply_to_message=asked)
    return [{'message': asked}, {'message': answered}]


def exported(folder, sheet='logs', **settings):
    "The rows of `mytech export`."
    import csv
    import io
    done = subprocess.run([MYTECH, 'export', sheet], cwd=folder, env=environment(folder, **settings), check=True, capture_output=True)
    return list(csv.DictReader(io.StringIO(done.stdout.decode())))


def as_json(*command, folder, **settings):
    "A `--json` command: its object."
    done = subprocess.run([MYTECH, *command, '--json'], cwd=folder, env=environment(folder, **settings), check=True, capture_output=True)
    return json.loads(done.stdout)


def processes_of(folder):
    "The processes that were told of this house and have not ended: kernels, which have groups of their own, too."
    told = f'MYTECH_HOME={folder}\0'.encode()
    def knows(path):
        try: return told in (path/'environ').read_bytes()
        except OSError: return False
    return [int(path.name) for path in Path('/proc').iterdir() if path.name.isdigit() and knows(path)]
