"Options and fixtures that all tests share."
import pytest


def pytest_addoption(parser):
    parser.addoption('--bench', action='store_true', help='also run what takes minutes, in full size')


def pytest_configure(config):
    config.addinivalue_line('markers', 'bench: takes minutes; runs with --bench only')


def pytest_collection_modifyitems(config, items):
    if config.getoption('--bench'): return
    for item in items:
        if 'bench' in item.keywords: item.add_marker(pytest.mark.skip(reason='runs with --bench'))
