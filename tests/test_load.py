"Ordinary traffic, far too much of it: 300 updates a second into one collector, through the real client library."
import json
import time
from datetime import datetime, timezone

import numpy as np
import pytest
from sqlalchemy import create_engine, text
from support import BANDUNG, JAKSEL, Sandbox, conversation, free_port, running, until

from mytech.bots.demo import labelled
from mytech.ml.classifier import SymptomClassifier
from mytech.services.registry import promote, register


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    "A registry with a small real model."
    folder = tmp_path_factory.mktemp('models')
    texts, solvings, labels = zip(*labelled(800, 1))
    SymptomClassifier.fit(texts, solvings, labels, num_threads=1).save(folder/'candidate')
    made = register(folder/'artifacts/models', folder/'candidate', metrics={}, run_id='test')
    promote(folder/'artifacts/models', made.number)
    return folder/'artifacts'


def under_load(folder, artifacts, seconds, rate=300, every=0.05):
    "Injects conversations at this rate; seconds from injection to the commit of each update, sorted."
    port, sent = free_port(), {}
    here = {'SANDBOX_PORT': port, 'TELEGRAM_BOT_TOKEN': '7000000001:x', 'SOLVERS': 'ab:Ayu B',
            'TELEGRAM_API_BASE': f'http://127.0.0.1:{port}', 'API_KEYS': 'k:read'}
    with running(folder, 'sandbox', **here):
        with running(folder/'collector', 'collector', **here, ARTIFACTS_URL=artifacts):
            box, number, start = Sandbox(port), 0, time.time()
            for tick in range(round(seconds / every)):
                time.sleep(max(0, start + tick * every - time.time()))
                batch = []
                while number < (tick + 1) * rate * every / 2:
                    batch += conversation(number, time.time(), JAKSEL if number % 2 else BANDUNG)
                    number += 1
                at = time.time()
                box.inject(batch, next_id=1 + len(sent))
                sent |= {len(sent) + 1 + i: at for i in range(len(batch))}
            database = create_engine(f'sqlite:///{folder}/collector/mytech.db')
            def handled():
                with database.connect() as connection:
                    return connection.execute(text(
                        'select update_id, handled_at from updates where handled_at is not null')).all()
            rows = until(lambda: len(found := handled()) == len(sent) and found, 60, 0.2)
    moments = {i: datetime.fromisoformat(at).replace(tzinfo=timezone.utc).timestamp() for i, at in rows}
    with database.connect() as connection:
        counts = [connection.execute(text(f'select count(*) from {what}')).scalar() for what in (
            'tickets', "tickets where solving != ''", 'predictions', "updates where error != ''")]
    return number, counts, np.sort([moments[i] - at for i, at in sent.items()])


@pytest.mark.parametrize('seconds', [5, pytest.param(60, marks=pytest.mark.bench)])
def test_none_is_lost(tmp_path, models, seconds):
    (tmp_path/'collector').mkdir()
    number, counts, waits = under_load(tmp_path, models, seconds)
    assert counts == [number, number, number, 0]
    print(json.dumps({'updates': len(waits), **{f'p{q}_ms': round(1000 * float(np.percentile(waits, q)), 1)
                                                for q in (50, 95, 99, 100)}}))
