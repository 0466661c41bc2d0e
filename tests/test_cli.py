"The commands for files and reviews: what they write, and what they refuse."
import json

import admin_desk
import pandas as pd
import pytest
from ml_data import tickets
from support import environment
from typer.testing import CliRunner

from mytech.app import app
from mytech.core.config import SettingsError
from mytech.ml.classifier import fit_classifier
from mytech.services import registry
from mytech.services.store import open_store, reviews


@pytest.fixture(scope='module')
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp('house')
    fit_classifier(*tickets(240), num_threads=1).save(folder/'candidate')
    models = folder/'artifacts/models'
    registry.promote(models, registry.register(models, folder/'candidate', metrics={}, run_id='one').number)
    return folder


@pytest.fixture
def call(house, monkeypatch):
    for name, value in environment(house, TELEGRAM_BOT_TOKEN='1:a').items(): monkeypatch.setenv(name, value)
    monkeypatch.chdir(house)
    monkeypatch.setattr('mytech.house.set_up_logging', lambda debug: None)

    def call(*words):
        done = CliRunner().invoke(app, words)
        if done.exception and not isinstance(done.exception, SystemExit): raise done.exception
        return done.stdout
    return call


def test_a_file_comes_back_with_labels(call, house):
    texts, solvings, labels = tickets(60, seed=5)
    pd.DataFrame({'nr': range(60), 'pesan': texts, 'solving': solvings}).to_csv(house/'in.csv', index=False)
    call('classify', 'in.csv', '--out', 'out.csv', '--text-column', 'pesan')
    out = pd.read_csv(house/'out.csv')
    assert list(out) == ['nr', 'pesan', 'solving', 'label', 'confidence', 'status', 'model_version']
    assert out.nr.to_list() == list(range(60)) and (out.label == labels).mean() > .9 and set(out.model_version) == {'v1'}
    one = json.loads(call('predict', texts[7], '--solving', solvings[7], '--json'))
    assert (one['label'], one['status']) == (out.label[7], out.status[7]) and one['confidence'] == pytest.approx(out.confidence[7], abs=1e-6)


def test_a_file_without_tickets_is_refused(call, house):
    (house/'empty.csv').write_text('a,b\n1,2\n')
    with pytest.raises(SettingsError, match='no column text'): call('classify', 'empty.csv', '--out', 'x.csv')
    with pytest.raises(SettingsError, match='gone.csv'): call('classify', 'gone.csv', '--out', 'x.csv')
    assert not (house/'x.csv').exists()


def test_the_queue_is_listed_and_a_decision_taken(call, house):
    store = open_store(f'sqlite:///{house}/mytech.db')
    first, *others = admin_desk.tickets(store, 4)
    listed = json.loads(call('review', 'list', '--json'))
    assert {one['ticket'] for one in listed} == {first, *others} and listed[0].keys() == {'ticket', 'reason', 'text', 'label', 'confidence'}
    assert 'PASSWORD' in call('review', 'set', str(first), 'PASSWORD', '--reviewer', 'Maya')
    assert {one['ticket'] for one in json.loads(call('review', 'list', '--json'))} == set(others)
    with pytest.raises(SettingsError, match='no such label.*PASSWORD'): call('review', 'set', str(others[0]), 'PASWORD')
    with pytest.raises(SettingsError, match='no such ticket'): call('review', 'set', '999', 'PASSWORD')
    call('review', 'set', str(others[0]), 'GENSET', '--new')
    with store.read() as connection:
        assert [(row.ticket_id, row.label, row.reviewer) for row in connection.execute(reviews.select().order_by(reviews.c.id))][0] == (first, 'PASSWORD', 'Maya')
        assert connection.scalars(reviews.select().with_only_columns(reviews.c.label)).all() == ['PASSWORD', 'GENSET']
    store.close()
