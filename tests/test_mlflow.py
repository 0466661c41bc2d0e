"""MLflow as a follower: a real server, one that is away, one that hangs, and calls that are cut short."""
import asyncio
import base64
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import chdir, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import httpx
import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from ml_data import tickets
from support import MYTECH, environment, free_port, until
from typer.testing import CliRunner

from mytech import wiring
from mytech.app import app
from mytech.core.config import Settings, SettingsError, load_settings
from mytech.doctor import check_mlflow
from mytech.ml.classifier import SymptomClassifier
from mytech.ops import runs
from mytech.ops.gate import Answers, HeldOut, save_held_out
from mytech.services import mlflow_follower, registry
from mytech.services.mlflow_follower import (aliases, bring_in_step, compare, create_database, destination, follow,
                                             keep_in_step, promote_version, stamp, status)

RUN = {'status': 'done', 'notebook': '03_training.ipynb', 'started': '2026-11-20T02:00:00.000+00:00',
       'ended': '2026-11-20T02:01:00.000+00:00', 'parameters': {'seed': 42}, 'revision': 'a1b2c3',
       'data_sha256': 'd4e5f6', 'versions': {'lightgbm': '4.7.0'}, 'error': None}
METRICS = {'accuracy': 0.91, 'current': {'version': 1, 'macro_f1': 0.8}}


def trained(artifacts, run, **facts):
    "A run as a retrain leaves it."
    folder = artifacts/'runs'/run
    (folder/'model').mkdir(parents=True)
    (folder/'model'/'word.txt').write_text(run)
    (folder/'training.ipynb').write_text('{"cells": []}')
    (folder/'metrics.json').write_text(json.dumps(METRICS))
    (folder/'run.json').write_text(json.dumps(RUN | {'id': run} | facts))
    return folder


def retrained(artifacts, run):
    "A run and the version that was made of it."
    return registry.register(artifacts/'models', trained(artifacts, run)/'model', metrics=METRICS, run_id=run).number


def house(artifacts, uri, **more):
    return Settings(_env_file=None, artifacts_url=str(artifacts), mlflow_tracking_uri=uri, **more)


@contextmanager
def serving(folder, port):
    "A real MLflow server; what it holds stays in `folder`."
    command = [sys.executable, '-m', 'mlflow', 'server', '--port', str(port), '--workers', '1',
               '--backend-store-uri', f'sqlite:///{folder}/server.db', '--artifacts-destination', str(folder/'files')]
    quiet = {'MLFLOW_DISABLE_TELEMETRY': 'true', 'MLFLOW_SERVER_ENABLE_JOB_EXECUTION': 'false'}
    if not (folder/'server.db').exists(): create_database(folder/'server.db')

    def up():
        assert process.poll() is None, (folder/'log').read_text()
        try: return httpx.get(f'http://127.0.0.1:{port}/health').is_success
        except httpx.HTTPError: return False
    with open(folder/'log', 'a') as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=os.environ | quiet,
                                   start_new_session=True)
    try:
        until(up, 60, 0.1)
        yield MlflowClient(*2 * [f'http://127.0.0.1:{port}'])
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def shown(client, model='mytech-symptoms'):
    "Alias -> our version, as the server tells it."
    return {alias: client.get_model_version(model, number).tags['mytech_version']
            for alias, number in client.get_registered_model(model).aliases.items()}


def at_once(notebook, folder):
    "In place of a kernel: a model that is right."
    (folder/'model').mkdir()
    (folder/'model'/'word.txt').write_text('real')
    (folder/'metrics.json').write_text(json.dumps(METRICS | {'current': None, 'tuning': None}))
    labels = ('Login', 'OTP')
    save_held_out(folder/'held_out.npz', HeldOut(np.array(labels * 100), labels, Answers(labels, np.eye(2)[[0, 1] * 100])))
    return subprocess.Popen(['true'], stdin=subprocess.PIPE)


@pytest.fixture
def retrain(tmp_path, monkeypatch):
    "`mytech retrain` in this process, with the settings given."
    def call(**settings):
        for name, value in environment(tmp_path, **settings).items(): monkeypatch.setenv(name, value)
        return CliRunner().invoke(app, ['retrain', '--master-data', str(tmp_path/'more.csv'), '--json'])
    (tmp_path/'more.csv').write_text('text,solving,label\nlupa otp,direset,OTP\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, '_start', at_once)
    monkeypatch.setattr('mytech.house.set_up_logging', lambda debug: None)
    return call


def test_a_server_that_was_away_is_caught_up_and_follows(tmp_path, retrain, caplog, capfd):
    artifacts, models, port = tmp_path/'artifacts', tmp_path/'artifacts/models', free_port()
    uri = f'http://budi:s3cret@127.0.0.1:{port}'
    here = house(artifacts, uri)
    said = retrain(MLFLOW_TRACKING_URI=uri)
    assert said.exit_code == 0 and json.loads(said.stdout)['promoted'], said.output
    assert f'caught up later: http://127.0.0.1:{port} does not answer' in caplog.text
    done = subprocess.run([MYTECH, 'models', 'promote', '1'], cwd=tmp_path, capture_output=True, text=True,
                          env=environment(tmp_path, MLFLOW_TRACKING_URI=uri))
    assert (done.returncode, done.stdout) == (0, 'v1 is current now\n')
    assert 'caught up later' in done.stderr and f'127.0.0.1:{port} does not answer' in done.stderr
    with serving(tmp_path, port) as client:
        asyncio.run(asyncio.wait_for(caught_up(here, client), 60))
        assert shown(client) == {'champion': 'v1'}
        assert retrained(artifacts, 'second') == 2
        bring_in_step(client, artifacts, 'mytech', 'mytech-symptoms')
        assert shown(client) == {'champion': 'v1', 'challenger': 'v2'}
        assert asyncio.run(promote_version(here)).behind == 0
        assert shown(client) == {'champion': 'v2'}
        registry.rollback(models)
        assert [(f.state, 'is 2 versions behind' in f.detail) for f in check_mlflow(here)] == [('look', True)]
        keep_in_step(here)
        assert shown(client) == {'champion': 'v1'}
        check_the_runs(client, json.loads(said.stdout)['run'])
    said = said.output + done.stdout + done.stderr + caplog.text + ''.join(capfd.readouterr()) + (tmp_path/'log').read_text()
    assert 's3cret' not in said and 'budi' not in said


async def caught_up(here, client):
    "The running system, until the server shows a champion."
    following = asyncio.create_task(wiring.follow_registry(SimpleNamespace(settings=here)))
    while not client.search_registered_models() or not shown(client): await asyncio.sleep(0.2)
    following.cancel()


def check_the_runs(client, real):
    experiment = client.get_experiment_by_name('mytech').experiment_id
    runs = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert sorted(runs) == [real, 'second']
    assert len(runs[real].data.tags['data_sha256']) == 64
    run = runs['second']
    assert (run.data.params['seed'], run.data.tags['lightgbm'], run.info.status) == ('42', '4.7.0', 'FINISHED')
    assert run.data.metrics == {'accuracy': 0.91, 'current.version': 1.0, 'current.macro_f1': 0.8}
    assert run.info.end_time - run.info.start_time == 60_000
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert files == {'training.ipynb', 'metrics.json', 'v2'}
    folder = client.download_artifacts(run.info.run_id, 'v2')
    assert Path(folder, 'data/v2/word.txt').read_text() == 'second'


@pytest.fixture(scope='module')
def client(tmp_path_factory):
    "MLflow in a file, in this process; each test takes names of its own."
    file = tmp_path_factory.mktemp('mlflow')/'mlflow.db'
    with chdir(file.parent):
        create_database(file)
        return MlflowClient(*2 * [f'sqlite:///{file}'])


@pytest.fixture
def artifacts(tmp_path, monkeypatch):
    "Two versions, the first is current; MLflow's own files land beside them."
    monkeypatch.chdir(tmp_path)
    for run in ('first', 'second'): retrained(tmp_path, run)
    registry.promote(tmp_path/'models', 1)
    return tmp_path


def contents(client, name):
    "Runs, our versions and aliases, as MLflow has them."
    runs = client.search_runs([client.get_experiment_by_name(name).experiment_id])
    found = client.search_model_versions(f"name='{name}'")
    return (sorted((run.info.run_name, run.info.status, len(run.data.metrics)) for run in runs),
            sorted(version.tags['mytech_version'] for version in found), shown(client, name))


WHOLE = ([('first', 'FINISHED', 3), ('second', 'FINISHED', 3)], ['v1', 'v2'], {'champion': 'v1', 'challenger': 'v2'})


class Fragile:
    "A client whose connection dies with the answer to its last call."
    def __init__(self, client, calls):
        self.client, self.calls = client, calls

    def __getattr__(self, name):
        def call(*args, **more):
            answer = getattr(self.client, name)(*args, **more)
            self.calls -= 1
            if not self.calls: raise ConnectionError(name)
            return answer
        return call


def test_whatever_call_was_the_last_the_next_time_makes_it_whole(artifacts, client):
    died = []
    for calls in range(1, 100):
        name = f'cut-{calls}'
        try: bring_in_step(Fragile(client, calls), artifacts, name, name)
        except ConnectionError as error: died.append(str(error))
        bring_in_step(client, artifacts, name, name)
        assert contents(client, name) == WHOLE, died[-1]
        if len(died) < calls: break
    assert {'create_run', 'log_batch', 'set_terminated', 'create_model_version', 'set_registered_model_alias'} <= set(died)


def test_a_database_of_our_own_is_whole_or_not_there(artifacts, monkeypatch):
    def full(path): raise OSError(28, 'No space left on device')
    uri = f'sqlite:///{artifacts}/own.db'
    with monkeypatch.context() as patch, pytest.raises(OSError, match='No space left'):
        patch.setattr(mlflow_follower, 'sync', full)
        follow(uri, str(artifacts), 'own', 'own', True)
    assert (artifacts/'.own.db.new').exists() and not (artifacts/'own.db').exists()
    found = asyncio.run(status(house(artifacts, uri), mend=True))
    assert (found.problem, found.behind, list(found.versions)) == ('', 0, ['v1', 'v2'])


def test_a_second_time_changes_nothing(artifacts, client):
    bring_in_step(client, artifacts, 'twice', 'twice')
    before = client.search_model_versions("name='twice'")
    assert bring_in_step(client, artifacts, 'twice', 'twice') == ''
    assert client.search_model_versions("name='twice'") == before
    assert contents(client, 'twice') == WHOLE


def test_a_failed_run_is_shown_with_its_reason_and_a_running_one_is_not(artifacts, client):
    trained(artifacts, 'third', status='failed', error='cell [3]: no such column', ended=None)
    trained(artifacts, 'fourth', status='running')
    bring_in_step(client, artifacts, 'failed', 'failed')
    runs = client.search_runs([client.get_experiment_by_name('failed').experiment_id])
    assert {run.info.run_name: run.info.status for run in runs} == {
        'first': 'FINISHED', 'second': 'FINISHED', 'third': 'FAILED'}
    assert [run.data.tags['error'] for run in runs if run.info.status == 'FAILED'] == ['cell [3]: no such column']


def test_a_damaged_version_is_not_sent_and_holds_up_no_other(artifacts, client):
    (artifacts/'models/v1/word.txt').write_text('other')
    assert 'v1/word.txt was changed' in bring_in_step(client, artifacts, 'damaged', 'damaged')
    assert contents(client, 'damaged')[1:] == (['v2'], {'challenger': 'v2'})
    assert compare(client, artifacts/'models', 'damaged')[1] == 1


def test_a_version_of_another_registry_is_not_taken_for_ours(artifacts, client):
    bring_in_step(client, artifacts, 'two', 'two')
    retrained(artifacts/'new', 'first')
    registry.promote(artifacts/'new/models', 1)
    assert compare(client, artifacts/'new/models', 'two') == ({}, 1)
    bring_in_step(client, artifacts/'new', 'two', 'two')
    assert compare(client, artifacts/'new/models', 'two') == ({'v1': {'number': '3', 'aliases': ['champion']}}, 0)
    assert client.get_registered_model('two').aliases == {'champion': 3}


def test_what_people_did_in_mlflow_is_put_right_or_left_alone(artifacts, client):
    bring_in_step(client, artifacts, 'hands', 'hands')
    client.set_registered_model_alias('hands', 'champion', '2')
    client.set_registered_model_alias('hands', 'tested', '1')
    client.delete_model_version('hands', '1')
    assert compare(client, artifacts/'models', 'hands')[1] == 2
    bring_in_step(client, artifacts, 'hands', 'hands')
    assert shown(client, 'hands') == {'champion': 'v1', 'challenger': 'v2'}
    client.set_registered_model_alias('hands', 'tested', '2')
    bring_in_step(client, artifacts, 'hands', 'hands')
    assert shown(client, 'hands') == {'champion': 'v1', 'challenger': 'v2', 'tested': 'v2'}


def test_a_silent_shadow_is_the_challenger(artifacts):
    models = artifacts/'models'
    before = stamp(models)
    registry.promote(models, 2)
    assert aliases(models) == {'champion': 2} and stamp(models) != before
    before = stamp(models)
    registry.set_shadow(models, 1)
    assert aliases(models) == {'champion': 2, 'challenger': 1} and stamp(models) != before


def test_the_champion_can_be_loaded_from_mlflow(tmp_path, client, monkeypatch):
    monkeypatch.chdir(tmp_path)
    texts, solvings, labels = tickets(120)
    model = SymptomClassifier.fit(texts, solvings, labels, num_threads=1)
    model.save(trained(tmp_path, 'real')/'real')
    registry.register(tmp_path/'models', tmp_path/'runs/real/real', metrics=METRICS, run_id='real')
    registry.promote(tmp_path/'models', 1)
    bring_in_step(client, tmp_path, 'real', 'real')
    mlflow.set_tracking_uri(client.tracking_uri)
    loaded = mlflow.pyfunc.load_model('models:/real@champion')
    assert [said['label'] for said in loaded.predict(pd.DataFrame({'text': texts[:9]}))] == [
        said.label for said in model.predict_many(texts[:9])]


class Refusing(BaseHTTPRequestHandler):
    "A server that lets nobody in, and remembers who asked."
    asked = []

    def do_GET(self):
        self.asked.append((self.path, self.headers.get('Authorization')))
        self.send_response(401)
        self.end_headers()

    def log_message(self, *args): pass


@pytest.mark.parametrize(('who', 'own'), [('budi:s%40cret@', ('ayu', 'pw')), ('', ('budi', 's@cret'))])
def test_credentials_reach_the_server_and_no_message(artifacts, monkeypatch, who, own):
    for name, value in zip(('USERNAME', 'PASSWORD'), own): monkeypatch.setenv(f'MLFLOW_TRACKING_{name}', value)
    server = HTTPServer(('127.0.0.1', 0), Refusing)
    Thread(target=server.serve_forever, daemon=True).start()
    found = asyncio.run(status(house(artifacts, f'http://{who}127.0.0.1:{server.server_port}')))
    server.shutdown()
    server.server_close()
    assert (found.server, found.behind) == (f'http://127.0.0.1:{server.server_port}', None)
    assert '401' in found.problem
    for secret in ('budi', 's%40cret', 's@cret'): assert secret not in str(found)
    assert Refusing.asked[-1][1] == 'Basic ' + base64.b64encode(b'budi:s@cret').decode()


@pytest.mark.parametrize('uri', ['budi:s3cret@host', 'http://budi:s3 cret@host'])
def test_a_wrong_address_is_refused_without_repeating_it(uri, monkeypatch):
    monkeypatch.setenv('MLFLOW_TRACKING_URI', uri)
    with pytest.raises(SettingsError, match='MLFLOW_TRACKING_URI.*sqlite:///FILE, or off') as refused: load_settings(None)
    assert 's3' not in str(refused.value)


def test_a_server_that_hangs_is_left_after_the_time_given(artifacts):
    with socket.create_server(('127.0.0.1', 0)) as silent:
        here = house(artifacts, f'http://budi:s3cret@127.0.0.1:{silent.getsockname()[1]}')
        problem = asyncio.run(status(here)).problem
        assert 'timed out' in problem and 'budi' not in problem and 's3cret' not in problem
        assert asyncio.run(status(here, limit=0.1)).problem == 'no end after 0.1 s'


def test_a_process_that_cannot_start_is_told_and_not_raised(tmp_path):
    found = asyncio.run(status(house(tmp_path/'nowhere', 'http://127.0.0.1:9')))
    assert 'No such file' in found.problem


def test_without_the_extra_nothing_is_done_and_an_address_is_no_reason_to_fail(artifacts, monkeypatch, caplog):
    monkeypatch.setattr(mlflow_follower, 'find_spec', lambda name: None)
    monkeypatch.setattr(mlflow_follower, 'Popen', None)
    keep_in_step(house(artifacts, ''))
    assert destination(house(artifacts, '')) == '' and caplog.text == ''
    assert mlflow_follower.hindrance('http://127.0.0.1:9', True) == 'not installed: install mytech[mlflow]'


def test_nothing_that_answers_people_imports_mlflow():
    code = 'import sys, mytech.app, mytech.wiring, mytech.doctor; print("mlflow" in sys.modules)'
    assert subprocess.check_output([sys.executable, '-c', code], text=True) == 'False\n'
