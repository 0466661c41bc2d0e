"The page of the model: what changes the version in charge, who sees it, and a training that outlives its page."
import json
import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import nbformat
import plotly.graph_objects as go
import pytest
from support import until

from mytech.core.config import load_settings
from mytech.core.schema import Message, Prediction
from mytech.ops.pages.figures import plain
from mytech.ops.pages.live import Desk, Visit, changes, perform
from mytech.ops.pages.model import PAGE
from mytech.ops.progress import tell
from mytech.ops.runs import Run, runs
from mytech.services.outbox import enqueue
from mytech.services.passes import Visitor
from mytech.services.registry import before, current, exclusive, moves, promote, register, rollback
from mytech.services.store import actions, open_store, outbox, reviews
from mytech.services.tickets import note_chat, open_ticket, save_predictions, save_review

MAYA, RUDI = Visitor(1, 501, 'Maya'), Visitor(2, 502, 'Rudi')
CHECKS = [{'name': 'macro-F1', 'champion': '0.948', 'challenger': '0.812; -0.130 or better in 60% of draws', 'wanted': '-0.010 or better', 'passed': False},
          {'name': 'size', 'champion': '31.9 MB', 'challenger': '33.6 MB', 'wanted': 'at most 300 MB', 'passed': True}]


def candidate(desk, number, verdict=None, **metrics):
    "A registered version of a run."
    folder = desk.settings.artifacts/'candidate'
    folder.mkdir(exist_ok=True)
    (folder/'about.json').write_text(json.dumps(number))
    return register(desk.models, folder, metrics=metrics, run_id=f'r{number}', verdict=verdict)


@pytest.fixture
def desk(tmp_path):
    "Three versions, of which the gate has refused the third; the first is in charge."
    store = open_store(f'sqlite:///{tmp_path}/m.db', ('sheets',))
    desk = Desk(load_settings(None, artifacts_url=str(tmp_path/'artifacts')), store)
    desk.settings.artifacts.mkdir()
    passed = {'passed': True, 'forced': False, 'checks': [check | {'passed': True} for check in CHECKS]}
    for number, verdict in enumerate((None, passed, {'passed': False, 'forced': False, 'checks': CHECKS}), 1):
        candidate(desk, number, verdict, accuracy=.9 + number / 100, ece=.02 * number, n_train=1000 * number)
    promote(desk.models, 1)
    yield desk
    store.close()


def visit_of(desk, who=MAYA, **given):
    visit = Visit(desk, who, 'model')
    PAGE.start(visit, given)
    return visit


def drawn(visit):
    "All regions that changed, by name."
    return {name: content for change in changes(PAGE, visit) for part in change.values() for name, content in part.items()}


def press(visit, do, **told):
    "What the browser gets for it; the line at the top."
    visit.answer = {}
    perform(PAGE, visit, {'do': do, **told})
    return visit.answer.get('notice', {}).get('text', '')


def did(desk):
    with desk.store.read() as connection:
        return [(row.user_name, row.action, row.target) for row in connection.execute(actions.select().order_by(actions.c.id))]


@pytest.mark.parametrize('language', ['id', 'en'])
def test_every_region_is_drawn_and_plotly_takes_the_figure(desk, language):
    desk = Desk(load_settings(None, artifacts_url=str(desk.settings.artifacts), bot_language=language), desk.store)
    shown = drawn(visit_of(desk))
    assert list(shown) == list(PAGE.regions) and not any('class="broken"' in str(one) for one in shown.values())
    fig = shown['history']
    go.Figure(plain({key: fig[key] for key in ('data', 'layout')}))
    json.dumps(fig, allow_nan=False)
    assert fig['data'][0]['y'] == [91, 92, 93]


def test_one_version_and_none_are_no_empty_plots(tmp_path):
    desk = Desk(load_settings(None, artifacts_url=str(tmp_path)), open_store('sqlite://'))
    shown = drawn(visit_of(desk))
    assert 'Belum ada model' in shown['head'] and 'Latih ulang' in shown['training'] and not any('class="broken"' in str(one) for one in shown.values())
    candidate(desk, 1, accuracy=.9)
    promote(desk.models, 1)
    shown = drawn(visit_of(desk))
    assert 'Baru satu versi' in shown['history'] and 'v1' in shown['comparison'] and not any('class="broken"' in str(one) for one in shown.values())
    desk.store.close()


def test_nothing_changes_before_the_second_yes(desk):
    visit = visit_of(desk)
    press(visit, 'ask', action='promote', number='2')
    dialog = visit.answer['dialog']
    assert 'Ganti model v1 dengan v2?' in dialog and '91,0\xa0%' in dialog and '92,0\xa0%' in dialog and 'lebih buruk' in dialog # the ECE
    assert current(desk.models) == 1 and did(desk) == []
    press(visit, 'ask', action='promote', number='3')
    assert 'tidak lolos gerbang' in visit.answer['dialog'] and 'pada 60 % undian' in visit.answer['dialog'] and 'ukuran' not in visit.answer['dialog']


def test_promotion_is_recorded_with_the_user_and_what_it_learned_is_told_to_the_sheet(desk):
    now = datetime.now(timezone.utc)
    with desk.store.write() as connection:
        note_chat(connection, -1, 'Teknisi')
        ids = [open_ticket(connection, Message(-1, n, 1, now, 'tdk bisa login')) for n in range(3)]
        for ticket, at in zip(ids, (-2, -2, 2)): save_review(connection, ticket, 'LOGIN', 'Ayu', now + timedelta(hours=at))
        connection.execute(outbox.delete())
    record(desk, 'r2', started=now)
    visit = visit_of(desk)
    assert 'Model v2 menjawab sekarang' in press(visit, 'change', action='promote', number='2', seen='1')
    assert current(desk.models) == 2 and did(desk) == [('Maya', 'promote', 'v2')] and visit.answer['dialog'] is None
    with desk.store.read() as connection:
        assert connection.scalars(reviews.select().with_only_columns(reviews.c.status).order_by(reviews.c.id)).all() == ['TRAINED', 'TRAINED', 'CORRECTED']
        assert sorted(payload['ticket'] for payload in connection.scalars(outbox.select().with_only_columns(outbox.c.payload))) == ids[:2]
        after = connection.execute(actions.select()).one()
    assert (after.before, after.after, after.user_id) == ({'current': 1}, {'current': 2, 'learned': 2}, 501)


def test_who_was_slower_is_told_and_nothing_is_done(desk):
    first, second = visit_of(desk), visit_of(desk, RUDI)
    for visit in (first, second): press(visit, 'ask', action='promote', number='2')
    drawn(second)
    press(first, 'change', action='promote', number='2', seen='1')
    assert 'sudah berganti' in press(second, 'change', action='promote', number='3', seen='1')
    assert current(desk.models) == 2 and did(desk) == [('Maya', 'promote', 'v2')]
    assert {'head', 'versions', 'story'} <= set(drawn(second)), 'and sees what the first has done'


def test_back_is_back_where_it_came_from(desk):
    visit = visit_of(desk)
    for number, seen in (('2', '1'), ('3', '2')): press(visit, 'change', action='promote', number=number, seen=seen)
    press(visit, 'ask', action='rollback')
    assert 'Kembali dari v3 ke v2?' in visit.answer['dialog'] and before(desk.models) == 2
    press(visit, 'change', action='rollback', number='2', seen='3')
    assert current(desk.models) == 2 and moves(desk.models)[-1].reason == 'rollback' and did(desk)[-1] == ('Maya', 'rollback', 'v2')
    assert before(desk.models) == 1 and rollback(desk.models) == 1, 'the terminal goes on from there'
    assert 'kembali ke v1 lewat terminal' in drawn(visit_of(desk))['story']


def test_a_damaged_version_stays_out(desk):
    (desk.models/'v2/about.json').write_text('tampered')
    visit = visit_of(desk)
    assert 'berkasnya rusak' in press(visit, 'change', action='promote', number='2', seen='1')
    assert current(desk.models) == 1 and did(desk) == []


@pytest.mark.parametrize('told', [{'action': 'promote', 'number': '9', 'seen': '1'}, {'action': 'delete', 'number': '2', 'seen': '1'}, {'action': 'promote', 'number': 'x', 'seen': '1'}, {}])
def test_what_no_button_says_does_nothing(desk, told):
    assert press(visit_of(desk), 'change', **told) and current(desk.models) == 1 and did(desk) == []


def test_two_versions_side_by_side(desk):
    visit = visit_of(desk, a='2', b='3')
    shown = drawn(visit)['comparison']
    assert 'Putusan gerbang untuk v3' in shown and '▲ 1,0 poin' in shown and '-0,130 atau lebih pada 60 % undian' in shown
    press(visit, 'filter', name='b', value='1')
    assert visit.answer['query'] == 'a=2&b=1' and 'belum pernah diperiksa' in drawn(visit)['comparison']


def test_versions_are_told_by_what_they_did(desk):
    now = datetime.now(timezone.utc)
    with desk.store.write() as connection:
        note_chat(connection, -1, 'Teknisi')
        for n in range(20):
            ticket = open_ticket(connection, Message(-1, n, 1, now, 'otp'))
            save_predictions(connection, {ticket: Prediction('OTP', .9, 'AUTO', (), model_version='v1' if n < 15 else 'v2')}, now - timedelta(minutes=1))
            if n % 5 == 0: save_review(connection, ticket, 'OTP' if n else 'BAI', 'Maya', now)
    shown = drawn(visit_of(desk))['practice']
    assert shown.index('v2') < shown.index('v1') and '100,0\xa0%' in shown


# ---- the notebook

def test_the_notebook_is_shown_in_a_sandbox_without_folders_of_this_machine(desk):
    cells = [nbformat.v4.new_code_cell(f"run_dir = '{desk.settings.artifacts}'", metadata={'tags': ['injected-parameters']}),
             nbformat.v4.new_markdown_cell('# What it learned'),
             nbformat.v4.new_code_cell('1 < 2', outputs=[nbformat.v4.new_output('display_data', {'text/html': '<script>alert("x")</script><b>"done"</b>'})])]
    record(desk, 'r2')
    nbformat.write(nbformat.v4.new_notebook(cells=cells), desk.settings.artifacts/'runs/r2/training.ipynb')
    visit = visit_of(desk)
    press(visit, 'notebook', number='2')
    dialog = visit.answer['dialog']
    assert 'What it learned' in dialog and '<script' not in dialog and 'sandbox=""' in dialog and str(desk.settings.artifacts) not in dialog
    assert dialog.count('<iframe') == dialog.count('</iframe>') == 1 and '&#34;done&#34;' in dialog, 'all of it is one attribute'
    press(visit, 'notebook', number='1')
    assert 'tidak disimpan lagi' in visit.answer['dialog']


# ---- a training

def record(desk, name, started=None, status='done', **more):
    folder = desk.settings.artifacts/'runs'/name
    folder.mkdir(parents=True)
    run = Run(name, {}, '', None, None, {}, (started or datetime.now(timezone.utc)).isoformat(), status=status, **more)
    (folder/'run.json').write_text(json.dumps(vars(run)))
    return folder


def test_everybody_sees_how_far_a_training_is_and_can_end_it(desk):
    folder, visit = record(desk, 'r9', status='running'), visit_of(desk, RUDI)
    tell(folder, 'tune', 30, trial=7, trials=20, best=.8731, seconds_left=600)
    with exclusive(desk.settings.artifacts/'runs/.lock'):
        shown = drawn(visit)['training']
        assert 'value="30"' in shown and 'percobaan 7 dari 20, terbaik 0,873' in shown and 'menit lagi' in shown
        assert 'sedang berjalan' in press(visit, 'retrain', mode='') and did(desk) == []
        press(visit, 'ask_cancel', run='r9')
        assert 'Hentikan pelatihan ini?' in visit.answer['dialog'] and not (folder/'cancel').exists()
        assert 'sudah selesai' in press(visit, 'cancel', run='r8') and not (folder/'cancel').exists()
        press(visit, 'cancel', run='r9')
    assert (folder/'cancel').exists() and did(desk) == [('Rudi', 'cancel', 'r9')]
    assert 'value="30"' not in drawn(visit)['training'], 'its process is gone'


def test_a_training_that_a_bot_has_promised_is_not_begun_twice(desk):
    with desk.store.write() as connection: enqueue(connection, 'retrain:7', {}, desk.now)
    assert 'sedang berjalan' in press(visit_of(desk), 'retrain', mode='')
    assert press(visit_of(desk), 'retrain', mode='force') and did(desk) == [], 'to force is not for a page'


def test_a_new_version_asks_until_somebody_decides(desk):
    visit, other = visit_of(desk), visit_of(desk, RUDI)
    shown = drawn(visit)['training']
    assert 'Model v3 siap' in shown and 'macro-F1' in shown and 'ukuran' not in shown
    drawn(other)
    press(visit, 'keep', number='3')
    assert did(desk) == [('Maya', 'keep', 'v1')] and 'siap' not in drawn(other)['training']


@pytest.mark.parametrize('error, words', [('cancelled', 'dihentikan'), ('interrupted', 'terputus'), ('KeyError: /secret/path', 'gagal')])
def test_why_there_is_no_model(desk, error, words):
    record(desk, 'r9', status='failed', error=error)
    shown = drawn(visit_of(desk))['training']
    assert words in shown and '/secret' not in shown


BEGIN = '''
import os, sys, time
from mytech.ops.pages.training import begin_apart
from mytech.services.passes import Visitor
child = begin_apart('', Visitor(1, 501, 'Maya'))
print(child.pid, flush=True)
os.kill(os.getpid(), 9)
'''


def kernel(desk, tmp_path, code=BEGIN):
    "A page that begins a training and is gone; the training's process id."
    known = {'MYTECH_HOME': str(tmp_path), 'ARTIFACTS_URL': str(desk.settings.artifacts), 'DATABASE_URL': str(desk.store.engine.url),
             'MLFLOW_TRACKING_URI': 'off', 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(Path(__file__).parents[1])}
    return subprocess.Popen([sys.executable, '-c', code], env=os.environ | known, stdout=subprocess.PIPE, text=True)


def alive(pid):
    try: os.kill(pid, 0)
    except ProcessLookupError: return False
    return True


def test_a_training_outlives_its_page_and_says_what_came_of_it(desk, tmp_path):
    "The lock of another run is held, so that it ends at once; what came of it is in the audit table."
    with exclusive(desk.settings.artifacts/'runs/.lock'):
        page = kernel(desk, tmp_path)
        pid = int(page.stdout.readline())
        page.wait()
        assert alive(pid)
        until(lambda: did(desk), 90)
    (who, action, why), = did(desk)
    assert (who, action) == ('Maya', 'untrained') and 'in progress' in why
    until(lambda: not alive(pid), 5)


def test_a_training_ends_with_the_server_of_the_pages(desk, tmp_path):
    "The server is a shell here, with the kernel as its child."
    whole = f'import subprocess, sys; subprocess.run([sys.executable, "-c", {BEGIN!r}]); import time; time.sleep(60)'
    server = kernel(desk, tmp_path, whole)
    pid = int(server.stdout.readline())
    until(lambda: any(run.status == 'running' for run in runs(desk.settings.artifacts)), 90)
    server.send_signal(signal.SIGKILL)
    server.wait()
    until(lambda: not alive(pid), 10)
    with exclusive(desk.settings.artifacts/'runs/.lock', wait=False): pass


def test_a_file_has_nothing_to_press(desk):
    assert not any('data-do' in str(one) for one in drawn(visit_of(desk, Visitor(0, 0, ''))).values())
