"""Retraining: the real pipeline end to end, and what happens when a run is cut, refused or broken."""
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest

from mytech.cli.versions import fate
from mytech.bots.demo import labelled
from mytech.ml.classifier import SymptomClassifier
from mytech.ops import learning
from mytech.ops import runs as ops
from mytech.ops import retrain as go_live
from mytech.ops.gate import Answers, HeldOut, judge, load_held_out, save_held_out
from mytech.ops.learning import note_learned, snapshot
from mytech.ops.progress import tell, told
from mytech.ops.retrain import retrain
from mytech.ops.runs import RetrainError, TrainingFailed, cancel, run_training, runs
from mytech.ops.training import split
from mytech.core.schema import Message, Prediction, Status
from mytech.services import registry, tickets
from mytech.services.registry import LiveModel
from mytech.services.store import open_store

AT, START = datetime(2026, 11, 20, 2, tzinfo=UTC), ops._start
WRITE = '''
from pathlib import Path; import json, os, shutil, sys
run = Path(run_dir)
(run/'model').mkdir(); (run/'model/word.txt').write_text('Login')
now = Path(models_dir, 'current').read_text() if models_dir else ''
(run/'metrics.json').write_text(json.dumps(
    {'current': {'version': int(now[1:])} if now else None,
     'executable': sys.executable, 'threads': os.environ.get('OMP_NUM_THREADS')}))
shutil.copy(Path(os.environ['ANSWERS'], f'{right}-{bool(now)}.npz'), run/'held_out.npz')'''
PARAMETERS = "data_csv = ''\nrun_dir = ''\nmodels_dir = ''\nright = 0.8"
WAIT = '''
import os, time; from pathlib import Path
Path(run_dir, 'pid').write_text(str(os.getpid()))
while not Path(run_dir, 'go').exists(): time.sleep(.01)'''


def said(right: float) -> Answers:
    "A model that is right about this share of 200 tickets, and knows it."
    labels = np.arange(200) % 2 ^ (np.arange(200) * .37 % 1 >= right)
    return Answers(('Login', 'OTP'), np.eye(2)[labels] * (2 * right - 1) + (1 - right))


@pytest.fixture(scope='module', autouse=True)
def answers(tmp_path_factory):
    "What such models answered, alone and beside a current model, for the cell `WRITE`."
    folder, truth = tmp_path_factory.mktemp('answers'), np.array(['Login', 'OTP'] * 100)
    for right in (.7, .8, .9):
        for champion in (None, said(.8)):
            save_held_out(folder / f'{right}-{bool(champion)}.npz',
                          HeldOut(truth, ('Login', 'OTP'), said(right), champion))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('ANSWERS', str(folder))
        yield


def stand_in(notebook, folder):
    "Instead of a kernel, the cell `WRITE` in our own process."
    exec(WRITE, {'right': .8, **json.loads((folder / 'run.json').read_text())['parameters']})
    return subprocess.Popen(['true'], stdin=subprocess.PIPE)


@pytest.fixture
def quick(monkeypatch): monkeypatch.setattr(ops, '_start', stand_in)


def notebook(folder: Path, *cells: str, parameters: str = PARAMETERS) -> Path:
    "A pipeline of a few cells."
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(parameters)])
    made.cells[0].metadata.tags = ['parameters']
    made.metadata.kernelspec = {'name': 'python3', 'language': 'python', 'display_name': 'python3'}
    for i, cell in enumerate(cells):
        made.cells += [nbformat.v4.new_markdown_cell(f'## Step {i + 1}\nwhy'),
                       nbformat.v4.new_code_cell(cell)]
    nbformat.write(made, folder / 'small.ipynb')
    return folder / 'small.ipynb'


def train(*args, **more):
    "A run of which nothing is made."
    with run_training(*args, **more) as run: pass
    return next(known for known in runs(args[1]) if known.id == run.id)


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, 'waited in vain'
        time.sleep(0.02)
    return found


def alive(pid: int) -> bool:
    "Running, and not only waiting to be collected."
    try:
        return Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0] != 'Z'
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(('parameters', 'given', 'message'), [
    (PARAMETERS, {'rigth': 1}, 'unknown parameter rigth: small.ipynb takes right'),
    (PARAMETERS, {'run_dir': '/'}, 'unknown parameter run_dir'),
    ("data_csv = ''", {}, 'small.ipynb does not take models_dir, run_dir'),
])
def test_parameters_are_checked_before_anything_starts(tmp_path, parameters, given, message):
    small = notebook(tmp_path, parameters=parameters)
    with pytest.raises(RetrainError, match=message):
        train(None, tmp_path / 'artifacts', parameters=given, notebook=small)
    assert not (tmp_path / 'artifacts').exists()


def test_an_installation_without_its_checkout_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(ops, 'checkout', lambda: tmp_path)
    with pytest.raises(RetrainError, match='training runs from a checkout'):
        train(None, tmp_path)


def test_missing_data_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'reviewed\.csv'):
        train(tmp_path / 'reviewed.csv', tmp_path, notebook=notebook(tmp_path))
    assert runs(tmp_path) == []


def test_a_failing_cell_is_named_and_its_notebook_kept(tmp_path):
    small = notebook(tmp_path, 'a = 1\nprint("seen")', 'b = 2\nassert b < a, f"{b} from x@y.id"', 'c = 3')
    with pytest.raises(TrainingFailed) as failed:
        train(None, tmp_path, notebook=small)
    message = str(failed.value)
    assert 'cell [4] in “Step 2”, at `assert b < a' in message
    assert 'AssertionError: 2 from [email]' in message
    [run] = runs(tmp_path)
    assert (run.status, run.error in message) == ('failed', True)
    code = [c for c in nbformat.read(tmp_path / 'runs' / run.id / 'training.ipynb', 4).cells
            if c.cell_type == 'code' and c.source and 'papermill-error' not in str(c.metadata.tags)]
    assert code[-3].outputs[0].text == 'seen\n'
    assert code[-2].outputs[-1].ename == 'AssertionError'
    assert code[-1].execution_count is None
    assert not (tmp_path / 'runs' / run.id / '.jupyter').exists()


@pytest.mark.parametrize('who', ['getpid', 'getppid'])
def test_kill_9_of_the_kernel_or_of_its_parent_is_a_failed_run_that_names_the_section(tmp_path, who):
    small = notebook(tmp_path, 'a = 1', f'import os; os.kill(os.{who}(), 9); input()')
    with pytest.raises(TrainingFailed, match='in “Step 2”'):
        train(None, tmp_path, notebook=small)
    assert runs(tmp_path)[0].status == 'failed'


def test_a_notebook_that_leaves_no_model_is_a_failed_run(tmp_path):
    small = notebook(tmp_path, WRITE.split("(run/'model')")[0])
    with pytest.raises(TrainingFailed, match=r'did not write model and metrics\.json and held_out\.npz'):
        retrain(None, tmp_path, notebook=small)
    assert registry.versions(tmp_path / 'models') == []


def test_one_run_at_a_time(tmp_path):
    small, first = notebook(tmp_path, WAIT, WRITE), []
    thread = Thread(target=lambda: first.append(train(None, tmp_path, notebook=small)))
    thread.start()
    pid = wait_for(lambda: next((tmp_path / 'runs').glob('*/pid'), None))
    with pytest.raises(RetrainError, match='another training run is in progress'):
        train(None, tmp_path, notebook=small)
    (pid.parent / 'go').touch()
    thread.join()
    assert [run.status for run in runs(tmp_path)] == ['done'] == [run.status for run in first]


def killed(body):
    "Runs `body` in a process of its own, which has to end by SIGKILL."
    pid = os.fork()
    if not pid:
        try: body()
        finally: os._exit(1)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL, 'nobody was killed'


def kill(*_): os.kill(os.getpid(), signal.SIGKILL)


def one_was_cut(artifacts):
    "The first run was done, the second one cut, and the third is done."
    assert [(run.status, run.error) for run in runs(artifacts)] == [
        ('done', None), ('failed', 'interrupted'), ('done', None)]


@pytest.mark.parametrize(('phase', 'before'), [('read', ''), ('fit', "Path(run_dir, 'model').mkdir()"),
                                               ('evaluate', WRITE)], ids=['read', 'fit', 'evaluate'])
def test_kill_9_while_the_notebook_runs(tmp_path, quick, phase, before):
    first = retrain(None, tmp_path, notebook=notebook(tmp_path))
    small = notebook(tmp_path, f'from pathlib import Path; from mytech.ops.progress import tell\n{before}',
                     f'tell(run_dir, {phase!r}, 50)', WAIT)

    def who_asked():
        ops._start = START
        def follow(step):
            if step.phase == phase: wait_for(lambda: any((tmp_path / 'runs').glob('*/pid'))) and kill()
        retrain(None, tmp_path, notebook=small, on_progress=follow)

    killed(who_asked)
    [file] = (tmp_path / 'runs').glob('*/pid')
    assert runs(tmp_path)[1].status == 'running'
    assert registry.versions(tmp_path / 'models') == [first.version]
    made = retrain(None, tmp_path, parameters={'right': .9}, notebook=notebook(tmp_path))
    wait_for(lambda: not alive(int(file.read_text())), 10)
    assert made.promoted and made.version.number == 2
    one_was_cut(tmp_path)


def to(name): return lambda path, *_: path.name == name


PLACES = [ # where who asked is killed: module, function, before or after it, which call; versions, current
    (go_live, 'judge', 'before', None, 1, 1),
    (go_live, 'register', 'before', None, 1, 1),
    (registry, 'sha256', 'before', to('word.txt'), 1, 1),
    (registry, 'write_atomically', 'before', to('manifest.json'), 1, 1),
    (registry, 'sync', 'before', to('models'), 1, 1),                     # renamed, not in the ledger
    (go_live, 'register', 'after', None, 2, 1),
    (registry, 'checked', 'after', None, 2, 1),
    (registry, 'write_atomically', 'before', to('current'), 2, 1),
    (registry, 'write_atomically', 'after', to('current'), 2, 2),         # moved, not in the ledger
    (go_live, 'promote', 'after', None, 2, 2),
    (go_live, 'prune_runs', 'before', None, 2, 2),
    (learning, 'mark_trained', 'before', None, 2, 2),
    (learning, 'mark_trained', 'after', None, 2, 2),                     # not committed
]


@pytest.mark.parametrize(('module', 'name', 'when', 'which', 'versions', 'current'), PLACES,
                         ids=[f'{when} {name}' for _, name, when, *_ in PLACES])
def test_kill_9_on_the_way_from_candidate_to_trained(tmp_path, quick, module, name, when, which,
                                                     versions, current):
    models, small = tmp_path / 'models', notebook(tmp_path)
    retrain(None, tmp_path, notebook=small)
    url = f'sqlite:///{tmp_path}/m.db'
    six_reviews(open_store(url)).close()

    def whole_way():
        store = open_store(url)
        with store.write() as connection: data = learning.snapshot(connection, tmp_path)
        made = retrain(data.path, tmp_path, parameters={'right': .9}, notebook=small)
        with store.write() as connection: return made, learning.note_learned(connection, data, made)

    def cut_short():
        whole = getattr(module, name)
        def cut(*args, **more):
            if when == 'before' and (not which or which(*args)): kill()
            value = whole(*args, **more)
            if when == 'after' and (not which or which(*args)): kill()
            return value
        setattr(module, name, cut)
        whole_way()

    killed(cut_short)
    known = registry.versions(models)
    assert (len(known), registry.current(models)) == (versions, current)
    for version in known: registry.verify(models / f'v{version.number}')
    why = {move.to: move.reason for move in registry.moves(models)}
    assert [fate(version, why) for version in known[current:]] == ['no, although it passed'] * (versions - current)
    assert LiveModel(models, lambda folder: folder.name).current() == (current, f'v{current}')
    made, learned = whole_way()
    assert made.promoted and registry.current(models) == made.version.number > len(known)
    assert learned == 6
    assert not (models / '.incoming').exists()
    assert registry.moves(models)[-1].to == made.version.number
    if name != 'mark_trained': one_was_cut(tmp_path)


def test_the_kernel_is_this_interpreters_whatever_the_home_offers(tmp_path, monkeypatch):
    spec = tmp_path / '.local/share/jupyter/kernels/python3'
    spec.mkdir(parents=True)
    (spec / 'kernel.json').write_text(json.dumps(
        {'argv': ['/bin/false'], 'display_name': 'foreign', 'language': 'python'}))
    startup = tmp_path / '.ipython/profile_default/startup'
    startup.mkdir(parents=True)
    (startup / '0.py').write_text('raise SystemExit("a user\'s start-up file ran")')
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('JUPYTER_PATH', str(spec.parents[1]))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    result = retrain(None, tmp_path, notebook=notebook(tmp_path, WRITE))
    assert Path(result.version.metrics['executable']).samefile(sys.executable)
    assert result.version.metrics['threads'] == '1'


def test_no_home_to_write_in(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', os.devnull)
    assert train(None, tmp_path, notebook=notebook(tmp_path, WRITE)).status == 'done'


def test_cancelled_from_elsewhere(tmp_path, monkeypatch):
    small, failed = notebook(tmp_path, WAIT, WRITE), []

    def go():
        try: train(None, tmp_path, notebook=small)
        except TrainingFailed as error: failed.append(str(error))

    assert not cancel(tmp_path)
    thread = Thread(target=go)
    thread.start()
    file = wait_for(lambda: next((p for p in (tmp_path / 'runs').glob('*/pid') if p.read_text()), None))
    assert cancel(tmp_path)
    thread.join(20)
    assert 'cancelled' in failed[0]
    assert [(run.status, run.error) for run in runs(tmp_path)] == [('failed', 'cancelled')]
    wait_for(lambda: not alive(int(file.read_text())), 10)
    assert not cancel(tmp_path)
    monkeypatch.setattr(ops, '_start', stand_in)
    assert train(None, tmp_path, notebook=small).status == 'done'


def test_ctrl_c_ends_the_run_at_once(tmp_path):
    code = ('import sys; from pathlib import Path; from mytech.ops.retrain import retrain\n'
            'retrain(None, Path(sys.argv[1]), notebook=Path(sys.argv[2]))')
    asker = subprocess.Popen([sys.executable, '-c', code, tmp_path, notebook(tmp_path, WAIT, WRITE)],
                             stderr=subprocess.PIPE)
    file = wait_for(lambda: next((p for p in (tmp_path / 'runs').glob('*/pid') if p.read_text()), None))
    asker.send_signal(signal.SIGINT)
    asker.communicate(timeout=20)
    assert [(run.status, run.error) for run in runs(tmp_path)] == [('failed', 'interrupted')]
    wait_for(lambda: not alive(int(file.read_text())), 10)


def test_worse_is_refused_forced_is_recorded(quick, tmp_path):
    small, models = notebook(tmp_path, WRITE), tmp_path / 'models'
    first = retrain(None, tmp_path, notebook=small)
    worse = retrain(None, tmp_path, parameters={'right': 0.7}, notebook=small)
    assert first.promoted and first.verdict.passed and not worse.promoted
    assert [reason.split(':')[0] for reason in worse.verdict.reasons] == ['macro-F1', 'better']
    assert registry.current(models) == 1
    forced = retrain(None, tmp_path, parameters={'right': 0.7}, notebook=small, force=True)
    better = retrain(None, tmp_path, parameters={'right': 0.9}, notebook=small, force=True)
    assert forced.promoted and not forced.verdict.passed
    assert [(m.to, m.reason) for m in registry.moves(models)] == [(1, 'passed'), (3, 'forced'), (4, 'passed')]
    known = registry.versions(models)
    assert known == [first.version, worse.version, forced.version, better.version]
    assert [(v.verdict['passed'], v.verdict['forced']) for v in known] == [
        (True, False), (False, False), (False, True), (True, False)]
    for made in (first, worse, forced, better):
        folder = tmp_path / 'runs' / made.run.id
        assert json.loads((folder / 'verdict.json').read_text()) == made.version.verdict
        assert judge(load_held_out(folder / 'held_out.npz')).checks == made.verdict.checks
        assert not (folder / 'model').exists(), 'the registry has it'


def test_a_promotion_during_the_run_voids_the_comparison(quick, tmp_path):
    small, models = notebook(tmp_path), tmp_path / 'models'
    retrain(None, tmp_path, notebook=small)
    second = registry.register(models, models / 'v1', metrics={}, run_id='by hand')
    made = retrain(None, tmp_path, parameters={'right': 0.9}, notebook=small,
                   on_progress=lambda step: registry.promote(models, second.number))
    assert made.verdict.reasons == ('champion: v2 answers now, wanted still v1',)
    assert registry.current(models) == 2


def six_reviews(store):
    "Ten predicted tickets, six of them reviewed."
    with store.write() as connection:
        tickets.note_chat(connection, -7, 'Teknisi')
        for n in range(1, 11):
            ticket = tickets.open_ticket(connection, Message(-7, n, 42, AT, f'moban {n}'))
            tickets.save_predictions(connection, {ticket: Prediction('OTP', .9, Status.AUTO)}, AT)
            if n <= 6: tickets.save_review(connection, ticket, 'OTP' if n <= 3 else 'Login', 'admin', AT)
    return store


@pytest.fixture
def store():
    store = six_reviews(open_store('sqlite://'))
    yield store
    store.close()


def test_only_confirmed_labels_teach(store):
    with store.read() as connection:
        known = tickets.confirmed(connection)
        assert [(row.text, row.label) for row in known] == [
            (f'moban {n}', 'OTP' if n <= 3 else 'Login') for n in range(1, 7)]
        assert tickets.count_new(connection) == 6


def test_what_changed_while_training_is_not_marked(store):
    with store.write() as connection:
        learned = tickets.confirmed(connection)
        tickets.save_review(connection, 1, 'Login', 'other', AT)      # corrected
        tickets.save_review(connection, 2, 'OTP', 'other', AT)        # confirmed once more
        tickets.change_ticket(connection, 3, tech_text='moban radius')  # edited
        tickets.change_ticket(connection, 4, solving='sudah')           # solved
        tickets.save_review(connection, 7, 'OTP', 'admin', AT)        # new
        assert tickets.mark_trained(connection, learned) == 2
        assert {row.id: tickets.review_status(row) for row in connection.execute(tickets.joined())} == {
            1: 'CORRECTED', 2: 'APPROVED', 3: 'APPROVED', 4: 'CORRECTED', 5: 'TRAINED', 6: 'TRAINED',
            7: 'APPROVED', 8: 'auto_approved', 9: 'auto_approved', 10: 'auto_approved'}
        assert tickets.count_new(connection) == 5
        assert tickets.mark_trained(connection, learned) == 0
        assert tickets.mark_trained(connection, tickets.confirmed(connection)) == 5
        assert tickets.count_new(connection) == 0
        assert len(tickets.confirmed(connection)) == 7, 'what was learned teaches the next model, too'
        tickets.save_review(connection, 5, 'Radius', 'admin', AT)
        assert tickets.count_new(connection) == 1


@pytest.mark.parametrize('promoted', [True, False])
@pytest.mark.parametrize('same', [True, False])
def test_marked_only_after_promotion_of_what_learned_from_this_file(store, tmp_path, promoted, same):
    with store.write() as connection:
        data = snapshot(connection, tmp_path)
        digest = hashlib.sha256(data.path.read_bytes()).hexdigest() if same else '0' * 64
        made = SimpleNamespace(promoted=promoted, run=SimpleNamespace(data_sha256=digest))
        assert note_learned(connection, data, made) == (6 if promoted and same else 0)


def test_below_the_threshold_nothing_is_done_and_it_says_so(store, tmp_path):
    plain = {key: os.environ[key] for key in ('PATH', 'HOME', 'PYTHONPATH') if key in os.environ}
    done = subprocess.run(
        [sys.executable, '-c', 'from mytech.app import main; main()', 'retrain', '--check-threshold', '7'],
        cwd=tmp_path, capture_output=True, text=True, env=plain | {
            'DATABASE_URL': f'sqlite:///{tmp_path}/m.db', 'ARTIFACTS_URL': str(tmp_path)})
    assert (done.returncode, done.stdout) == (0, 'nothing done: 0 new reviews, 7 wanted\n'), done.stderr
    assert not (tmp_path / 'runs').exists()


def test_lots_ignore_order_spacing_and_newcomers():
    tickets = pd.DataFrame({'text': [f'moban  reset {i}' for i in range(500)], 'solving': 'ok',
                            'label': 'OTP'})
    test = set(split(tickets)[1].text)
    shuffled = tickets.sample(frac=1, random_state=1)
    assert set(split(shuffled)[1].text) == test
    loud = tickets.assign(text=tickets.text.str.upper().str.replace('  ', ' '))
    assert set(split(loud)[1].index) == set(split(tickets)[1].index)
    assert set(split(tickets, seed=7)[1].text) != test


def test_a_half_written_line_of_progress_waits_for_its_end(tmp_path):
    tell(tmp_path, 'fit', 10, best=0.5)
    with open(tmp_path / 'progress.jsonl', 'a') as file: file.write('{"phase": "f')
    [step] = told(tmp_path)
    assert (step.phase, step.percent, step.best) == ('fit', 10, 0.5)


def test_how_long_it_takes_is_known_from_a_run_like_it(quick, tmp_path):
    small, data = notebook(tmp_path), tmp_path / 'data.csv'
    def run(text, **parameters):
        data.write_text(text)
        made = retrain(data, tmp_path, notebook=small, parameters=parameters).run
        began, ended = map(datetime.fromisoformat, (made.started, made.ended))
        first = (tmp_path / 'runs' / made.id / 'progress.jsonl').read_text().split('\n')[0]
        return json.loads(first)['seconds_left'], (ended - began).total_seconds()
    expected, took = run('x' * 1000)
    assert expected is None
    assert run('x' * 1500)[0] == pytest.approx(1.5 * took)
    assert run('x' * 9000)[0] is None, 'more data than any run had'
    assert run('x' * 1000, right=.9)[0] is None, 'asked for something else'


@pytest.fixture(scope='module')
def reviewed(tmp_path_factory):
    "A small file of reviewed tickets, with personal data planted and one class of one ticket."
    path = tmp_path_factory.mktemp('data') / 'reviewed.csv'
    rows = pd.DataFrame(labelled(400, 1), columns=['text', 'solving', 'label'])
    rows['at'] = pd.date_range('2026-08-01T08:00', periods=400, freq='3h', tz='Asia/Jakarta')
    rows['text'] = '081234567890 budi@contoh.id nik 3174012345678901 ' + rows['text']
    rows.loc[0, 'label'] = 'KELAS TUNGGAL'
    rows.to_csv(path, index=False)
    return path


@pytest.fixture(scope='module')
def real(reviewed, tmp_path_factory):
    "The real pipeline twice: the first candidate becomes the current model of the second."
    artifacts, steps = tmp_path_factory.mktemp('artifacts'), []
    first = retrain(reviewed, artifacts, on_progress=steps.append)
    second = retrain(reviewed, artifacts, parameters={'seed': 7}, on_progress=lambda *_: None)
    return artifacts, steps, first, second


def test_the_real_pipeline_trains_registers_and_promotes(real):
    artifacts, steps, first, second = real
    assert first.promoted, first.verdict.reasons
    assert (first.version.number, first.version.metrics['current']) == (1, None)
    assert second.version.metrics['current']['version'] == 1
    assert first.version.metrics['n_test'] == 80
    live = LiveModel(artifacts / 'models', SymptomClassifier.load)
    number, model = live.current()
    assert number == (2 if second.promoted else 1)
    assert model.predict('moban reset otp').label in model.labels
    percents = [step.percent for step in steps]
    assert percents == sorted(percents)
    assert (percents[0], percents[-1]) == (0, 100)


def test_a_run_can_be_explained_later(real, reviewed):
    artifacts, _, first, second = real
    assert runs(artifacts) == [first.run, second.run]
    assert first.run.data_sha256 == hashlib.sha256(reviewed.read_bytes()).hexdigest()
    assert second.run.parameters['seed'] == 7
    assert first.run.started < first.run.ended < second.run.started
    executed = nbformat.read(artifacts / 'runs' / first.run.id / 'training.ipynb', 4)
    pictures = [o for c in executed.cells for o in c.get('outputs', []) if 'image/png' in o.get('data', {})]
    assert len(pictures) == 4


def test_no_artifact_of_a_run_holds_personal_data(real):
    artifacts, *_ = real
    for path in artifacts.rglob('*'):
        if path.is_file():
            data = path.read_bytes()
            for planted in (b'081234567890', b'budi@contoh.id', b'3174012345678901'):
                assert planted not in data, path


def test_a_column_that_lacks_is_a_failed_run_that_names_it(tmp_path):
    (tmp_path / 'logs.csv').write_text('tech_raw_text,symtomps\nmoban,Login\n')
    with pytest.raises(TrainingFailed, match=r'in “Data”, .*logs\.csv has no column text, label'):
        retrain(tmp_path / 'logs.csv', tmp_path)
