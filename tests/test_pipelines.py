"The analysts' notebooks: each runs by papermill on its defaults, and on tickets of one's own."
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from papermill import execute_notebook

from mytech.bots.demo import labelled
from mytech.core.schema import Message
from mytech.ops.master import MasterDataError, merge, read_master, write_master
from mytech.services.store import open_store
from mytech.services.tickets import confirmed, note_chat, open_ticket, save_review

PIPELINES = Path(__file__).parents[1]/'nbs/pipelines'
AT = datetime(2026, 11, 1, tzinfo=UTC)
PHONE = '0812-3456-7890'
SMALL = {'01_exploration': {'days': 10}, '02_preprocessing': {'demo_tickets': 400},
         '03_training': {'demo_tickets': 400, 'class_weight': 'balanced'}, '04_semi_supervised': {'demo_tickets': 400, 'rounds': 1},
         '05_relabel': {'demo_tickets': 400}, '06_master_data': {'demo_tickets': 300}}


def run(name, folder, **parameters):
    "Executes a pipeline; its printed text and its pictures."
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    out = folder/f'{name}.ipynb'
    execute_notebook(PIPELINES/f'{name}.ipynb', out, parameters, kernel_name='python3', progress_bar=False, cwd=folder)
    outputs = [o for cell in nbformat.read(out, 4).cells for o in cell.get('outputs', [])]
    assert not [o for o in outputs if o.get('name') == 'stderr' and 'Warning' in o.text], 'warnings in a notebook'
    assert PHONE not in out.read_text()
    pictures = sum('image/png' in o.get('data', {}) for o in outputs)
    return '\n'.join(o.get('text') or o.get('data', {}).get('text/plain', '') for o in outputs), pictures


def test_every_pipeline_is_tested():
    assert set(SMALL) == {path.stem for path in PIPELINES.glob('*.ipynb')}


@pytest.mark.parametrize('name', SMALL)
def test_runs_on_the_demo(name, tmp_path):
    text, pictures = run(name, tmp_path, **SMALL[name])
    assert pictures >= 1 and text
    last = [cell for cell in nbformat.read(PIPELINES/f'{name}.ipynb', 4).cells if cell.cell_type == 'markdown'][-1]
    assert 'do next' in last.source


@pytest.fixture
def csv(tmp_path):
    "A file as the users have it: times, a telephone number, a class of one ticket."
    rows = pd.DataFrame(labelled(250, 3), columns=['text', 'solving', 'label'])
    rows['at'] = [(AT + timedelta(hours=3 * n)).isoformat() for n in range(len(rows))]
    rows.loc[0, ['text', 'label']] = f'hubungi {PHONE}', 'KELAS TUNGGAL'
    rows.to_csv(tmp_path/'mine.csv', index=False)
    return tmp_path/'mine.csv'


@pytest.mark.parametrize('name', ['01_exploration', '02_preprocessing', '03_training'])
def test_runs_on_a_file(name, csv, tmp_path):
    run(name, tmp_path, data_csv=str(csv))


@pytest.fixture
def house(tmp_path):
    "A store with 240 reviewed tickets, six of them labelled wrongly."
    url = f'sqlite:///{tmp_path}/mytech.db'
    store, rows = open_store(url), labelled(240, 5)
    with store.write() as connection:
        note_chat(connection, -7, 'Teknisi')
        for n, (text, _, label) in enumerate(rows, 1):
            ticket = open_ticket(connection, Message(-7, n, 42, AT + timedelta(hours=n), f'{text} {PHONE}'))
            wrong = rows[(n + 17) % 240][2] if n % 40 == 0 else label
            save_review(connection, ticket, wrong, 'admin', AT)
    yield url, store
    store.close()


def test_decisions_come_back_as_reviews(house, tmp_path):
    url, store = house
    text, _ = run('05_relabel', tmp_path, database_url=url, run_dir=str(tmp_path))
    found = pd.read_csv(tmp_path/'suspects.csv', dtype='str', keep_default_na=False)
    assert len(found) and set(found.decision) == {''} and '0 decisions written' in text
    found.loc[0, 'decision'] = found.loc[0, 'probably']
    found.to_csv(tmp_path/'decided.csv', index=False)
    text, _ = run('05_relabel', tmp_path, database_url=url, run_dir=str(tmp_path),
                  decisions_csv=str(tmp_path/'decided.csv'), reviewer='Dewi')
    assert '1 decisions written' in text
    with store.read() as connection:
        labels = {str(row.id): row.label for row in confirmed(connection)}
    assert labels[found.id[0]] == found.probably[0] and len(labels) == 240
    text, _ = run('05_relabel', tmp_path, database_url=url, decisions_csv=str(tmp_path/'decided.csv'))
    assert '0 decisions written' in text, 'the review that was doubted no longer stands'


def test_reviews_become_versions_of_master_data(house, csv, tmp_path):
    url, store = house
    folder = tmp_path/'master'
    run('06_master_data', tmp_path, master_dir=str(folder), database_url=url, more_csv=str(csv))
    text, _ = run('06_master_data', tmp_path, master_dir=str(folder), database_url=url, more_csv=str(csv))
    assert sorted(p.name for p in folder.glob('v*')) == ['v1.csv', 'v1.json'], 'nothing new, no new version'
    with store.write() as connection: save_review(connection, 1, 'KELAS BARU', 'Dewi', AT)
    text, _ = run('06_master_data', tmp_path, master_dir=str(folder), database_url=url)
    assert '1 with another label' in text
    manifest = json.loads((folder/'v2.json').read_text())
    assert (manifest['parent'], manifest['label']['KELAS BARU']) == (1, 1)
    assert set(manifest['source']) == {'reviews', 'mine.csv'}
    assert PHONE not in (folder/'v2.csv').read_text()


def test_master_data_are_stable_and_guarded(tmp_path):
    rows = pd.DataFrame(labelled(300, 9), columns=['text', 'solving', 'label'])
    once = merge(pd.DataFrame(), rows, 'a')
    assert write_master(tmp_path, once, '') == write_master(tmp_path, merge(read_master(tmp_path), rows[:0], 'b'), '') == 1
    pd.testing.assert_frame_equal(read_master(tmp_path), once, check_dtype=False)
    with pytest.raises(MasterDataError, match='v7'): read_master(tmp_path, 7)
    with open(tmp_path/'v1.csv', 'a') as file: file.write('x,,y,,z\n')
    with pytest.raises(MasterDataError, match=r'v1\.csv was changed'): read_master(tmp_path)
