"""MLflow as a follower: a real server, one that is away, one that hangs, and calls that are cut short."""
import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
from mlflow import MlflowClient
from support import free_port, until

from mytech.core.config import Settings
from mytech.services import registry
from mytech.services.mlflow_follower import create_database, keep_in_step, promote_version, status
from mytech.wiring import follow_registry

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


def test_a_server_follows_and_one_that_was_away_is_caught_up(tmp_path, caplog, capfd):
    artifacts, models, port = tmp_path/'artifacts', tmp_path/'artifacts/models', free_port()
    here = house(artifacts, f'http://budi:s3cret@127.0.0.1:{port}')
    retrained(artifacts, 'first')
    registry.promote(models, 1)
    keep_in_step(here)
    assert '127.0.0.1' in caplog.text and 'caught up later' in caplog.text
    with serving(tmp_path, port) as client:
        keep_in_step(here)
        assert shown(client) == {'champion': 'v1'}
        assert retrained(artifacts, 'second') == 2
        keep_in_step(here)
        assert shown(client) == {'champion': 'v1', 'challenger': 'v2'}
        assert asyncio.run(promote_version(here)).behind == 0
        assert shown(client) == {'champion': 'v2'}
        registry.rollback(models)
        keep_in_step(here)
        assert shown(client) == {'champion': 'v1'}
        check_the_run(client)
    assert retrained(artifacts, 'third') == 3
    registry.promote(models, 3)
    keep_in_step(here)
    with serving(tmp_path, port) as client:
        async def meanwhile():
            following = asyncio.create_task(follow_registry(SimpleNamespace(settings=here), every=0.1))
            while shown(client) != {'champion': 'v3'}: await asyncio.sleep(0.2)
            following.cancel()
        asyncio.run(asyncio.wait_for(meanwhile(), 60))
        assert len(client.search_model_versions("name='mytech-symptoms'")) == 3
        assert asyncio.run(status(here)).behind == 0
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 2
    assert 's3cret' not in caplog.text + ''.join(capfd.readouterr()) + (tmp_path/'log').read_text()


def check_the_run(client):
    experiment = client.get_experiment_by_name('mytech').experiment_id
    runs = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert sorted(runs) == ['first', 'second']
    run = runs['first']
    assert (run.data.params['seed'], run.data.tags['lightgbm'], run.info.status) == ('42', '4.7.0', 'FINISHED')
    assert run.data.metrics == {'accuracy': 0.91, 'current.version': 1.0, 'current.macro_f1': 0.8}
    assert run.info.end_time - run.info.start_time == 60_000
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert files == {'training.ipynb', 'metrics.json', 'v1'}
    folder = client.download_artifacts(run.info.run_id, 'v1')
    assert Path(folder, 'data/v1/word.txt').read_text() == 'first'
