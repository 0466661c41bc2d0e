"Searching for better options: honest about luck, shared by workers, resumed after a kill."
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from ml_data import tickets
from papermill import execute_notebook

from mytech.core.config import load_settings
from mytech.ml import tuning
from mytech.ml.classifier import SymptomClassifier
from mytech.ml.learners import Options
from mytech.ml.tuning import TuningError, read_options, tune, write_tuned
from mytech.ops.learning import tuning as parameters
from mytech.ops.progress import told

TRAINING = Path(__file__).parents[1]/'nbs/pipelines/03_training.ipynb'


@pytest.fixture
def storage(tmp_path):
    return f'sqlite:///{tmp_path}/studies.db'


def learners_that(monkeypatch, right):
    "Replace the learners by some that are right about a given share of the tickets of a fold."
    def predictions(features, rows, y, fold_of, options, seed):
        lot, said = np.random.default_rng([seed, *np.array(list(asdict(options).values())).view(np.uint64)]), np.full(len(y), -1)
        wrong = (y + 1) % (y.max() + 1)
        for fold in np.unique(fold_of):
            held = fold_of == fold
            said[held] = np.where(lot.random(held.sum()) < right(options), y[held], wrong[held])
            yield said
    monkeypatch.setattr(tuning, 'predictions', predictions)


def trials(storage, study):
    return optuna.load_study(study_name=study, storage=storage).trials


def test_a_planted_improvement_is_found_and_kept_for_later(monkeypatch, storage, tmp_path):
    learners_that(monkeypatch, lambda options: 0.75 + 0.2 * (options.svm_cost > 0.6))
    found = tune(*tickets(480), 12, storage=storage)
    assert found.improved and found.options.svm_cost > 0.6
    assert 0.7 < found.before < 0.8 and 0.9 < found.after
    assert str(found).startswith(f'improved from {found.before:.4f} to {found.after:.4f}: macro-F1')
    write_tuned(tmp_path/'tuning/tuned.json', found)
    kept = json.loads((tmp_path/'tuning/tuned.json').read_text())
    assert (kept['study'], kept['after'], read_options(tmp_path/'tuning/tuned.json')) == (
        found.study, found.after, found.options)
    again = tune(*tickets(480), 12, storage=storage, start=found.options)
    assert again.options == found.options and not again.improved, 'it is where it should be already'


def test_luck_is_no_improvement(monkeypatch, storage, tmp_path):
    learners_that(monkeypatch, lambda options: 0.8)
    found = [tune(*tickets(240), 6, storage=storage, seed=seed) for seed in range(5)]
    assert np.mean([one.promised for one in found]) > 0.81, 'the best of six equals looks better than it is'
    assert sum(one.improved for one in found) <= 1
    lucky = next(one for one in found if not one.improved)
    assert lucky.options == Options() and f'no improvement ({lucky.before:.4f}' in str(lucky)
    write_tuned(tmp_path/'tuned.json', lucky)
    assert not (tmp_path/'tuned.json').exists()


def test_the_first_trial_is_the_current_choice(monkeypatch, storage):
    learners_that(monkeypatch, lambda options: 0.8)
    found = tune(*tickets(120), 4, storage=storage, start=Options(svm_cost=1.0))
    first, second, *others = trials(storage, found.study)
    assert [first.params, second.params] == [asdict(Options(svm_cost=1.0)), asdict(Options())]
    assert len({trial.params['net_rate'] for trial in others}) == 2


def test_a_bad_first_fold_ends_a_trial(monkeypatch, storage):
    learners_that(monkeypatch, lambda options: 0.9)
    tune(*tickets(480), 6, storage=storage)
    learners_that(monkeypatch, lambda options: 0.9 if options == Options() else 0.2)
    found = tune(*tickets(480), 9, storage=storage)
    bad = trials(storage, found.study)[6:]
    assert [(trial.state.name, len(trial.intermediate_values)) for trial in bad] == 3 * [('PRUNED', 1)]
    assert (found.trials, found.options) == (9, Options())


def test_other_tickets_or_labels_are_another_study(monkeypatch, storage):
    learners_that(monkeypatch, lambda options: 0.8)
    texts, solvings, labels = tickets(120)
    data = [(texts, solvings, labels), (texts, None, labels), (texts, solvings, [*labels[1:], labels[0]])]
    assert len({tune(*one, 1, storage=storage).study for one in data}) == 3
    assert tune(*data[0], 1, storage=storage).trials == 1


def test_time_is_limited(monkeypatch, storage):
    def slow(features, rows, y, fold_of, options, seed):
        time.sleep(0.4)
        yield y
    monkeypatch.setattr(tuning, 'predictions', slow)
    steps = []
    found = tune(*tickets(120), 100, storage=storage, seconds=1, progress=lambda *step: steps.append(step))
    assert 1 <= found.trials <= 3
    assert steps == [(n + 1, 100, 1.0) for n in range(found.trials)]


def test_without_optuna_it_says_what_to_install(monkeypatch, storage):
    monkeypatch.setitem(sys.modules, 'optuna', None)
    assert tune([], None, [], 0, storage=storage, start=Options(min_count=3)).options == Options(min_count=3)
    with pytest.raises(TuningError, match=r'mytech\[tune\]'):
        tune(*tickets(120), 1, storage=storage)


def test_the_defaults_lie_inside_the_ranges():
    trial = optuna.create_study().ask()
    assert set(asdict(tuning.suggest(trial))) == set(trial.distributions)
    for name, value in asdict(Options()).items():
        assert trial.distributions[name].low < value < trial.distributions[name].high, name


def test_options_reach_the_learners():
    model = SymptomClassifier.fit(*tickets(120), options=Options(net_width=16, min_count=1), num_threads=1)
    assert model.learners[2].outputs.shape[0] == 16
    assert model.about['options'] == asdict(Options(net_width=16, min_count=1))
    assert len(model.features.idf) > len(SymptomClassifier.fit(*tickets(120), num_threads=1).features.idf)


def test_later_runs_begin_with_what_was_found_and_write_no_password_down(monkeypatch, tmp_path):
    monkeypatch.setenv('OPTUNA_STORAGE', '')
    settings = load_settings(None, artifacts_url=str(tmp_path), optuna_storage='postgresql://u:s3cret@h/db')
    assert parameters(settings, 0)['options'] == asdict(Options())
    write_tuned(tmp_path/'tuning/tuned.json', replace(tuning.Tuned(Options(svm_cost=1.0)), wins=0.95))
    passed = parameters(settings, 20)
    assert (passed['options']['svm_cost'], passed['trials']) == (1.0, 20)
    assert 's3cret' not in json.dumps(passed)
    assert os.environ['OPTUNA_STORAGE'] == 'postgresql://u:s3cret@h/db'


def test_the_training_notebook_searches_and_tells(tmp_path, monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    monkeypatch.delenv('OPTUNA_STORAGE', raising=False)
    run = tmp_path/'run'
    run.mkdir()
    execute_notebook(TRAINING, tmp_path/'out.ipynb', {
        'demo_tickets': 300, 'run_dir': str(run), 'trials': 3, 'tuning_dir': str(tmp_path/'tuning'),
        'options': {'net_width': 32}}, kernel_name='python3', progress_bar=False)
    found = json.loads((run/'metrics.json').read_text())['tuning']
    assert found['trials'] == 3 and (found['options']['net_width'] == 32 or found['improved'])
    assert SymptomClassifier.load(run/'model').about['options'] == found['options']
    assert [trial.params['net_width'] for trial in trials(f"sqlite:///{tmp_path}/tuning/studies.db", found['study'])][:2] == [32, Options().net_width]
    steps = told(run)
    tuned = [step for step in steps if step.phase == 'tune']
    assert [(step.trial, step.trials, step.best > 0.3) for step in tuned] == [(n, 3, True) for n in (1, 2, 3)]
    percents = [step.percent for step in steps]
    assert percents == sorted(percents)


# Workers in processes of their own

WORKER = '''
import sys, threading
sys.path.insert(0, sys.argv[1])
from ml_data import tickets
from mytech.ml import tuning
tuning.HEARTBEAT, least = 1, int(sys.argv[4])
print('ready', flush=True)
sys.stdin.readline()
learn, begun = tuning.predictions, []
def predictions(*args):
    begun.append(1)
    if len(begun) > least >= 0:
        print('hangs', flush=True)
        threading.Event().wait()
    return learn(*args)
tuning.predictions = predictions
found = tuning.tune(*tickets(int(sys.argv[5])), int(sys.argv[3]), storage=sys.argv[2],
                    progress=lambda *step: print('trial', flush=True))
print(found.study, found.trials, flush=True)'''


class Worker:
    "A process that is ready to work on the study; `hangs_after` so many trials."
    def __init__(self, storage, n, hangs_after=-1, tickets=120):
        self.process = subprocess.Popen(
            [sys.executable, '-c', WORKER, str(Path(__file__).parent), storage, str(n),
             str(hangs_after), str(tickets)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {'OMP_NUM_THREADS': '1'})

    def go(self):
        "Let it begin."
        self.process.stdin.write('\n')
        self.process.stdin.flush()

    def wait_until(self, said):
        for line in self.process.stdout:
            if line == said: return
        pytest.fail(f'never said {said!r}')

    def end(self):
        "How many trials it did, the study's name, and how many that has."
        *did, last = self.process.stdout.read().splitlines() or ['']
        assert self.process.wait() == 0, 'a worker failed; its error is above'
        return did.count('trial'), *last.split()


def test_two_workers_share_a_study(postgres):
    workers = [Worker(postgres, 10) for _ in range(2)]
    for worker in workers: worker.wait_until('ready\n')
    for worker in workers: worker.go()
    (one, study, _), (two, same, _) = (worker.end() for worker in workers)
    done = trials(postgres, study)
    assert study == same and one and two, (one, two)
    assert one + two == len(done) in (10, 11), 'both may be at work when the tenth ends'
    assert {trial.state.name for trial in done} <= {'COMPLETE', 'PRUNED'}
    drawn = [tuple(trial.params.values()) for trial in done if trial.params != asdict(Options())]
    assert len(drawn) == len(set(drawn)) >= 9, 'nobody repeats what the other tries'


@pytest.mark.parametrize('place', ['file', pytest.param('server', marks=pytest.mark.bench)])
def test_kill_9_loses_no_trial(place, storage, request):
    storage = storage if place == 'file' else request.getfixturevalue('postgres')
    killed = Worker(storage, 7, hangs_after=2, tickets=132)
    successor = Worker(storage, 7, tickets=132)
    killed.wait_until('ready\n')
    killed.go()
    killed.wait_until('hangs\n')
    killed.process.send_signal(signal.SIGKILL)
    killed.process.wait()
    [study] = [s.study_name for s in optuna.get_all_study_summaries(storage) if s.n_trials == 3]
    watching, deadline = tuning._open_storage(optuna, storage), time.monotonic() + 60
    while not watching._get_stale_trial_ids(watching.get_study_id_from_name(study)):
        assert time.monotonic() < deadline, 'nobody notices that the worker is gone'
        time.sleep(0.1)
    successor.wait_until('ready\n')
    successor.go()
    did, same, finished = successor.end()
    done = trials(storage, study)
    assert (same, did, finished) == (study, 5, '7')
    [lost] = [trial for trial in done if trial.state.name == 'FAIL']
    [again] = [trial for trial in done if trial.system_attrs.get('retry_history') == [lost.number]]
    assert again.params == lost.params and again.state.name in ('COMPLETE', 'PRUNED')
