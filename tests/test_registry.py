"""Registry under faults: damage, strangers, many writers, kill -9, promotions during predictions."""
import asyncio
import itertools
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace

import pytest
from ml_data import tickets as examples

from mytech.core.config import load_settings
from mytech.ml.classifier import Scored, SymptomClassifier, fit_classifier
from mytech.ml.decision import Policy
from mytech.services import predictor, registry
from mytech.services.registry import LiveModel, RegistryError
from mytech.beside import follow_model


def candidate(folder: Path, word: str) -> Path:
    "A model that is one word in a subfolder, and one file of bytes."
    (folder / 'text').mkdir(parents=True)
    (folder / 'text' / 'word.txt').write_text(word)
    (folder / 'weights.bin').write_bytes(bytes(range(256)) * 8)
    return folder


def read_word(folder: Path) -> str:
    return (folder / 'text' / 'word.txt').read_text()


@pytest.fixture
def models(tmp_path):
    "Three registered versions, v2 current."
    models = tmp_path / 'models'
    for word in ('one', 'two', 'three'):
        source = candidate(tmp_path / word, word)
        registry.register(models, source, metrics={'macro_f1': 0.5}, run_id=word)
    registry.promote(models, 2)
    return models


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'waited in vain'
        time.sleep(0.001)


def flip_a_byte(folder):
    data = bytearray((folder / 'weights.bin').read_bytes())
    data[1000] ^= 1
    (folder / 'weights.bin').write_bytes(data)


def be_another_model(folder):
    shutil.rmtree(folder)
    other = folder.parent.parent / 'elsewhere'
    registry.register(other, candidate(folder.parent.parent / 'x', 'x'), metrics={}, run_id='x')
    shutil.copytree(other / 'v1', folder)


def link_outside(folder):
    (folder / 'weights.bin').unlink()
    (folder / 'weights.bin').symlink_to('/dev/null')


FAULTS = {
    'a flipped byte': (flip_a_byte, 'v3/weights.bin was changed'),
    'a truncated file': (lambda f: (f / 'weights.bin').write_bytes(b''), 'v3/weights.bin was chan'),
    'a missing file': (lambda f: (f / 'weights.bin').unlink(), 'v3/weights.bin is missing'),
    'a missing subfolder': (lambda f: shutil.rmtree(f / 'text'), 'v3/text/word.txt is missing'),
    'an extra file': (lambda f: (f / 'text' / 'x.py').touch(), 'v3/text/x.py is not in the man'),
    'a link for a file': (link_outside, 'v3/weights.bin was changed'),
    'no manifest': (lambda f: (f / 'manifest.json').unlink(), 'v3/manifest.json is missing'),
    'half a manifest': (lambda f: (f / 'manifest.json').write_text('{"files'), 'v3/manifest.json is d'),
    'an empty manifest': (lambda f: (f / 'manifest.json').write_text('{}'), 'v3/manifest.json is dam'),
    'no folder': (shutil.rmtree, 'v3/manifest.json is missing'),
    'another model': (be_another_model, 'v3 is not the model that was registered'),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_a_damaged_version_is_refused_by_name_and_the_old_one_serves_on(models, fault, caplog):
    damage, message = FAULTS[fault]
    live = LiveModel(models, read_word, every=0)
    damage(models / 'v3')
    with pytest.raises(RegistryError, match=message):
        registry.promote(models, 3)
    assert registry.current(models) == 2
    (models / 'current').write_text('v3\n')
    with caplog.at_level(logging.ERROR, 'mytech.services.registry'):
        wait_for(lambda: live.current() and live.problem)
        for _ in range(50):
            assert live.current() == (2, 'two')
        live.refresh()
    assert message in live.problem
    assert len(caplog.records) == 1
    registry.promote(models, 1)
    wait_for(lambda: live.current() == (1, 'one'))
    assert live.problem is None


@pytest.mark.parametrize('pointer', ['v9', 'v0', '3', 'v3\nv2', '', '../../etc', 'v' + '9' * 400, '\0'])
def test_a_pointer_to_nowhere_is_named_and_repaired_by_a_promotion(models, pointer):
    live = LiveModel(models, read_word, every=0)
    (models / 'current').write_text(pointer)
    wait_for(lambda: live.current() == (2, 'two') and live.problem)
    assert 'promote' in live.problem
    assert LiveModel(models, read_word).current() is None
    registry.promote(models, 3)
    wait_for(lambda: live.current() == (3, 'three'))


def test_a_loader_that_raises_anything_leaves_the_old_model(models):
    def load(folder):
        if folder.name == 'v3': raise KeyError('vocabulary')
        return read_word(folder)
    live = LiveModel(models, load, every=0)
    registry.promote(models, 3)
    wait_for(lambda: live.current() == (2, 'two') and live.problem)
    assert "v3 cannot be loaded (KeyError: 'vocabulary')" in live.problem


def test_a_repaired_version_is_taken_up_by_promoting_it_again(models):
    live = LiveModel(models, read_word, every=0)
    good = (models / 'v3' / 'weights.bin').read_bytes()
    flip_a_byte(models / 'v3')
    (models / 'current').write_text('v3\n')
    wait_for(lambda: live.current() and live.problem)
    (models / 'v3' / 'weights.bin').write_bytes(good)
    registry.promote(models, 3)
    wait_for(lambda: live.current() == (3, 'three'))
    assert live.problem is None


def test_a_fixed_version_ignores_the_pointer(models):
    live = LiveModel(models, read_word, fixed=1, every=0)
    registry.promote(models, 3)
    assert [live.current() for _ in range(100)] == [(1, 'one')] * 100
    missing = LiveModel(models, read_word, fixed=7)
    assert missing.current() is None
    assert 'v7 was never registered here (known: v1, v2, v3)' in missing.problem


def test_a_process_without_a_model_takes_up_the_first_one(tmp_path):
    models = tmp_path / 'models'
    live = LiveModel(models, read_word, every=0)
    assert live.current() is None
    registry.register(models, candidate(tmp_path / 'c', 'first'), metrics={}, run_id='r')
    assert live.current() is None
    registry.promote(models, 1)
    wait_for(lambda: live.current() == (1, 'first'))


def test_a_lost_pointer_does_not_take_the_model_away(models):
    live = LiveModel(models, read_word, every=0)
    (models / 'current').unlink()
    wait_for(lambda: live.current() and live.problem)
    assert live.current() == (2, 'two')


@pytest.mark.parametrize('text', ['{', '[]', '{"last": 1}', '{"last": 1, "versions": [{}], "moves": []}'])
def test_a_damaged_ledger_is_named_and_left_alone(models, text):
    (models / 'versions.json').write_text(text)
    for call in (registry.versions, registry.moves, registry.rollback):
        with pytest.raises(RegistryError, match=r'versions\.json is damaged'):
            call(models)
    with pytest.raises(RegistryError, match=r'versions\.json is damaged'):
        registry.register(models, models / 'v1', metrics={}, run_id='again')
    assert (models / 'versions.json').read_text() == text
    assert LiveModel(models, read_word).current() is None


def test_numbers_are_never_used_twice(models, tmp_path):
    shutil.rmtree(models / 'v3')
    assert registry.register(models, models / 'v1', metrics={}, run_id='a').number == 4
    (models / 'v9').mkdir()
    assert registry.register(models, models / 'v1', metrics={}, run_id='b').number == 10
    registry.promote(models, 10)
    assert read_word(models / 'v10') == 'one'


def test_an_unusable_candidate_leaves_no_trace(models, tmp_path):
    before = sorted(os.listdir(models)), registry.versions(models)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(RegistryError, match='is empty'):
        registry.register(models, tmp_path / 'empty', metrics={}, run_id='r')
    with pytest.raises(FileNotFoundError, match='nothing-here'):
        registry.register(models, tmp_path / 'nothing-here', metrics={}, run_id='r')
    with pytest.raises(TypeError):
        registry.register(models, tmp_path / 'one', metrics={'when': object()}, run_id='r')
    assert before == (sorted(os.listdir(models)), registry.versions(models))


def test_a_full_disk_leaves_the_registry_as_it_was(models, tmp_path, monkeypatch):
    def full(path):
        raise OSError(28, 'No space left on device', str(path))
    before = registry.versions(models), registry.current(models)
    with monkeypatch.context() as patch:
        patch.setattr(registry, 'sync', full)
        with pytest.raises(OSError, match='No space left'):
            registry.register(models, tmp_path / 'one', metrics={}, run_id='r')
        with pytest.raises(OSError, match='No space left'):
            registry.promote(models, 3)
    assert before == (registry.versions(models), registry.current(models))
    assert not (models / '.incoming').exists()
    registry.promote(models, 3)
    assert registry.current(models) == 3


def test_rollback_walks_back_and_a_hand_written_pointer_is_part_of_the_way(models):
    registry.promote(models, 3)
    (models / 'current').write_text('v1\n')
    assert registry.rollback(models) == 3
    assert registry.rollback(models) == 2
    registry.promote(models, 1)
    assert registry.rollback(models) == 2
    with pytest.raises(RegistryError, match='nothing to roll back'):
        registry.rollback(models)
    assert [(m.origin, m.to) for m in registry.moves(models)] == [
        (None, 2), (2, 3), (3, 1), (1, 3), (3, 2), (2, 1), (1, 2)]


REGISTER = '''
import sys
from pathlib import Path
from mytech.services.registry import register, promote
models, source, n = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
print('ready', flush=True)
for i in range(n):
    version = register(models, source, metrics={'i': i}, run_id=f'{source.name}-{i}')
    promote(models, version.number)
'''


def writer(models, source, n):
    return subprocess.Popen([sys.executable, '-c', REGISTER, models, source, str(n)],
                            stdout=subprocess.PIPE)


def assert_consistent(models):
    numbers = [v.number for v in registry.versions(models)]
    assert len(set(numbers)) == len(numbers)
    for number in numbers:
        registry.checked(models, number)
    if (now := registry.current(models)) is not None:
        assert now in numbers
    assert json.loads((models / 'versions.json').read_text())['last'] == max(numbers)


def test_two_processes_register_at_once(tmp_path):
    models = tmp_path / 'models'
    writers = [writer(models, candidate(tmp_path / name, name), 20) for name in 'ab']
    for process in writers:
        assert process.wait(60) == 0
    assert [v.number for v in registry.versions(models)] == list(range(1, 41))
    assert {v.run_id for v in registry.versions(models)} == {f'{n}-{i}' for n in 'ab' for i in range(20)}
    assert len(registry.moves(models)) == 40
    assert_consistent(models)


def test_kill_9_while_registering_and_promoting(models, tmp_path):
    rng, seen = random.Random(9), 3
    for _ in range(25):
        process = writer(models, tmp_path / 'one', 10_000)
        process.stdout.readline()
        time.sleep(rng.uniform(0.001, 0.04))
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        assert_consistent(models)
        version = registry.register(models, tmp_path / 'two', metrics={}, run_id='after')
        assert version.number > seen
        seen = version.number
        registry.promote(models, seen)
        assert registry.moves(models)[-1].to == registry.current(models) == seen
    assert not (models / '.incoming').exists()
    assert seen > 3 + 25, 'the killed processes registered nothing: the test tested nothing'


def test_200_promotions_while_threads_predict(tmp_path):
    models, n = tmp_path / 'models', 200
    for i in range(1, n + 1):
        source = tmp_path / f'c{i}'
        source.mkdir()
        (source / 'word.txt').write_text(str(i))
        registry.register(models, source, metrics={}, run_id=str(i))
    registry.promote(models, 1)
    live = LiveModel(models, lambda f: (f / 'word.txt').read_text(), every=0.001)
    began, ended, stop, answers = {1: time.monotonic()}, {}, Event(), [[] for _ in range(4)]

    def predict(mine):
        while not stop.is_set():
            start = time.monotonic()
            version, model = live.current()
            mine.append((start, time.monotonic(), version, model))
            time.sleep(0.0005)

    threads = [Thread(target=predict, args=[mine]) for mine in answers]
    for thread in threads: thread.start()
    for i in range(2, n + 1):
        began[i] = time.monotonic()
        registry.promote(models, i)
        ended[i - 1] = time.monotonic()
    wait_for(lambda: live.current()[0] == n)
    stop.set()
    for thread in threads: thread.join()

    for mine in answers:
        assert [v for *_, v, _ in mine] == sorted(v for *_, v, _ in mine)
        for start, end, version, model in mine:
            assert model == str(version)
            assert began[version] <= end and start <= ended.get(version, start) + 2
    assert len({v for mine in answers for *_, v, _ in mine}) > 20
    assert live.problem is None


@pytest.fixture
def restless():
    "Threads that take turns a hundred times as often: what can come between two lines, does."
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 100)
    yield
    sys.setswitchinterval(usual)


@pytest.fixture(scope='module')
def real_models(tmp_path_factory):
    "A registry of 21 real classifiers, each of which says its number with every label."
    folder, texts = tmp_path_factory.mktemp('real'), examples(240)
    model = fit_classifier(*texts, num_threads=1)
    for number in range(1, 22):
        replace(model, labels=tuple(f'{number} {label}' for label in model.labels)).save(folder / f'c{number}')
        registry.register(folder / 'models', folder / f'c{number}', metrics={}, run_id=str(number))
    registry.promote(folder / 'models', 1)
    return folder / 'models'


def test_10_000_predictions_in_flight_over_20_promotions(real_models, restless, monkeypatch):
    monkeypatch.setattr(predictor, 'policy_in_force', lambda settings, model: Policy((), model.labels[0].split()[0]))
    live = LiveModel(real_models, SymptomClassifier.load, every=0.001)
    predict, texts, solvings = predictor.Predictor(live, load_settings(None)), *examples(240)[:2]
    began, left, done, answers, errors = {1: time.monotonic()}, {}, Event(), [[] for _ in range(4)], []

    def ask(mine, lot):
        try:
            while not done.is_set():
                asked = lot.sample(range(240), lot.choice([1, 1, 1, 16]))
                start = time.monotonic()
                said = predict([texts[i] for i in asked], [solvings[i] for i in asked])
                mine.append((start, time.monotonic(), len(asked), said))
        except Exception as error: errors.append(error)

    def total(): return sum(n for mine in answers for _, _, n, _ in list(mine))

    threads = [Thread(target=ask, args=[mine, random.Random(n)]) for n, mine in enumerate(answers)]
    for thread in threads: thread.start()
    try:
        for number in range(2, 22):
            wait_for(lambda wanted=total() + 500: errors or total() >= wanted, 60)
            began[number] = time.monotonic()
            registry.promote(real_models, number)
            wait_for(lambda number=number: errors or live.current()[0] == number, 60)
            left[number - 1] = time.monotonic()
        wait_for(lambda wanted=total() + 500: errors or total() >= wanted, 60)
    finally:
        done.set()
        for thread in threads: thread.join()

    assert errors == [] and live.problem is None and total() >= 10_000
    for mine in answers:
        for start, end, n, said in mine:
            assert len(said) == n
            [(version, model, policy)] = {(one.model_version, one.label.split()[0], one.status) for one in said}
            assert version == f'v{model}' == f'v{policy}'
            assert began[int(model)] <= end and start <= left.get(int(model), start)
    assert {one.model_version for mine in answers for *_, said in mine for one in said} == {f'v{n}' for n in range(1, 22)}


def test_a_prediction_is_of_one_version_though_every_look_finds_another(restless, monkeypatch):
    class Number(int):
        def predict_many(self, texts, solvings, **_): return [Scored(str(self), 1., ())] * len(texts)

    monkeypatch.setattr(predictor, 'policy_in_force', lambda settings, model: Policy((), str(model)))
    turn = itertools.count()
    live = SimpleNamespace(current=lambda: (number := next(turn) % 2, Number(number)))
    predict, answers = predictor.Predictor(live, None), [[] for _ in range(4)]

    def ask(mine):
        for _ in range(2000): mine.extend(predict(['otp'], ['']))

    threads = [Thread(target=ask, args=[mine]) for mine in answers]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    said = {(one.model_version, one.label, one.status) for mine in answers for one in mine}
    assert said == {('v0', '0', '0'), ('v1', '1', '1')} and [len(mine) for mine in answers] == [2000] * 4


def test_a_process_that_nobody_asks_takes_up_a_promotion_within_two_seconds(models):
    loaded = []

    def load(folder):
        loaded.append((folder.name, time.monotonic()))
        return read_word(folder)

    async def quiet_hour():
        following = asyncio.create_task(follow_model(SimpleNamespace(live=LiveModel(models, load))))
        await asyncio.sleep(0.1)
        registry.promote(models, 3)
        promoted = time.monotonic()
        while len(loaded) < 2:
            assert time.monotonic() < promoted + 5, 'the promotion was not seen'
            await asyncio.sleep(0.01)
        following.cancel()
        return promoted

    promoted = asyncio.run(quiet_hour())
    assert loaded[-1][0] == 'v3' and loaded[-1][1] - promoted < 2


def test_reasons_of_moves(models):
    registry.promote(models, 3, 'passed')
    (models / 'current').write_text('v1\n')
    registry.promote(models, 2, 'forced')
    registry.rollback(models)
    assert [(m.to, m.reason) for m in registry.moves(models)] == [
        (2, 'by hand'), (3, 'passed'), (1, 'outside'), (2, 'forced'), (1, 'rollback')]


def test_a_ledger_from_before_there_were_reasons_and_verdicts(models):
    ledger = json.loads((models / 'versions.json').read_text())
    for entry in ledger['versions']: del entry['verdict']
    for entry in ledger['moves']: del entry['reason']
    (models / 'versions.json').write_text(json.dumps(ledger))
    assert [v.verdict for v in registry.versions(models)] == [None] * 3
    registry.promote(models, 3)
    assert registry.rollback(models) == 2


def test_retention(tmp_path):
    models = tmp_path / 'models'
    source = candidate(tmp_path / 'one', 'one')
    for n in range(12): registry.register(models, source, metrics={}, run_id=str(n))
    for number in (1, 2, 3, 12, 4): registry.promote(models, number)
    assert registry.prune(models) == [] and len(registry.versions(models)) == 12
    assert registry.prune(models, newest=3, last_moves=2) == [1, 2, 5, 6, 7, 8, 9]
    assert [v.number for v in registry.versions(models)] == [3, 4, 10, 11, 12]
    assert sorted(p.name for p in models.glob('v*') if p.is_dir()) == ['v10', 'v11', 'v12', 'v3', 'v4']
    assert registry.prune(models, newest=1, last_moves=1) == [3, 10, 11]
    assert registry.current(models) == 4
    assert registry.register(models, source, metrics={}, run_id='x').number == 13


def test_looking_at_the_pointer_costs_microseconds(models):
    live = LiveModel(models, read_word)
    start = time.perf_counter()
    for _ in range(50_000): live.current()
    assert (time.perf_counter() - start) / 50_000 < 50e-6
