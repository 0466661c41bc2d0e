"Guesses: none of a held-out ticket, none without a person, and a gain that is one."
import json
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from test_pipelines import run

from mytech.bots.demo import labelled
from mytech.core.schema import Message
from mytech.ops.relabel import decide
from mytech.ops.semi_supervised import apart, balanced, gain, learn, propose, read_teacher, self_train, taught, unreviewed
from mytech.services.store import open_store
from mytech.services.tickets import confirmed, note_chat, open_ticket, save_review

AT = datetime(2026, 11, 1, tzinfo=UTC)
WORDS = ['text', 'solving', 'label']


@pytest.fixture(scope='module')
def corpus():
    rows = pd.DataFrame(labelled(900, 3), columns=WORDS)
    return rows[rows.label.isin(rows.label.value_counts().index[:5])].reset_index(drop=True)


@pytest.fixture(scope='module')
def fitted(corpus):
    "A model of a third of the corpus, and the other two thirds."
    known, rest, test = (corpus[start::3].reset_index(drop=True) for start in range(3))
    rest = apart(rest.assign(id='', review_id=''), test)
    return learn(known, rest, pd.Series('', rest.index), num_threads=1), known, rest, test


@pytest.fixture(scope='module')
def trained(fitted):
    model, known, rest, _ = fitted
    return self_train(model, known, rest, 1, wanted=.9, num_threads=1)


def test_nothing_that_reads_like_a_held_out_ticket_is_learned():
    rest = pd.DataFrame({'text': ['Tdk bisa LOGIN!!', 'sn hilang wo12345678', 'lain'], 'solving': ['', 'x', '']})
    test = pd.DataFrame({'text': ['tidak bisa login', 'SN hilang WO87654321'], 'solving': ['sudah direset', '']})
    assert apart(rest, test).text.to_list() == ['lain']


def test_the_labels_that_are_hidden_decide_nothing(fitted, trained):
    model, known, rest, _ = fitted
    shuffled = rest.assign(label=rest.label.sample(frac=1, random_state=1).to_numpy())
    again = self_train(model, known, shuffled, 1, wanted=.9, num_threads=1)
    pd.testing.assert_series_equal(again.guesses, trained.guesses)


def test_guesses_are_sure_balanced_and_mostly_right(fitted, trained):
    model, known, rest, _ = fitted
    took = trained.guesses[trained.guesses != '']
    assert len(took) and (took == rest.label[took.index]).mean() >= .9
    assert not took.value_counts().sub(known.label.value_counts()).gt(0).any()
    sure = model.predict_proba(rest.text.to_list(), rest.solving.to_list()).max(axis=1)
    assert sure[took.index].min() >= trained.rounds['sure enough'].iloc[0]


def test_where_no_threshold_keeps_the_precision_nothing_is_guessed(fitted):
    model, known, rest, _ = fitted
    found = self_train(model, known, rest, 3, wanted=.999, num_threads=1)
    assert (found.guesses == '').all() and len(found.rounds) == 1 and found.model is model


def test_balanced_takes_no_more_than_there_is():
    assert balanced(np.array([[.6, .4], [.4, .6]]), .9, np.array([5, 5])).tolist() == [-1, -1]
    assert balanced(np.array([[.6, .4], [.7, .3]]), .5, np.array([0, 5])).tolist() == [-1, -1]
    assert len(balanced(np.empty((0, 2)), .5, np.array([5, 5]))) == 0


def test_gain_tells_good_guesses_from_bad_ones(corpus):
    few, rest, test = corpus[:40], corpus[40:190].reset_index(drop=True), corpus[190:]
    rest = apart(rest, test)
    before = learn(few, rest, pd.Series('', rest.index), num_threads=1)
    good = gain(before, learn(few, rest, rest.label, num_threads=1), test)
    assert 0 < good['low'] <= good['gain'] <= good['high']
    wrong = rest.label.map(dict(zip(sorted(set(rest.label)), sorted(set(rest.label))[1:] + sorted(set(rest.label))[:1])))
    bad = gain(before, learn(few, rest, wrong, num_threads=1), test)
    assert bad['high'] < 0


def test_a_teacher_may_be_a_function_or_a_file_and_invents_no_class(tmp_path):
    rows = pd.DataFrame({'text': ['tdk bisa login', 'sn hilang', 'halo'], 'solving': ['', 'sudah', '']})
    (tmp_path/'t.csv').write_text('text,solving,label\nTIDAK BISA LOGIN,,LOGIN\nsn hilang,sudah,KELAS BARU\n')
    teacher = read_teacher(tmp_path/'t.csv')
    assert teacher(rows.text, rows.solving) == ['LOGIN', 'KELAS BARU', '']
    assert taught(teacher, rows, ('LOGIN', 'ONT')).to_list() == ['LOGIN', '', '']
    assert taught(lambda texts, solvings: ['ONT'] * len(texts), rows, ('LOGIN', 'ONT')).to_list() == ['ONT'] * 3


def test_proposals_begin_where_the_teacher_contradicts_and_then_where_the_model_wavers(fitted, trained):
    model, _, rest, _ = fitted
    phone = '0812-3456-7890'
    rest = pd.concat([rest[:40], rest[:1].assign(text=f'{rest.text[0]} {phone}')], ignore_index=True)
    best = [said.label for said in model.predict_many(rest.text.to_list(), rest.solving.to_list())]
    other = next(name for name in model.labels if name != best[7])
    told = pd.Series('', rest.index)
    told[[7, 8]] = other, best[8]
    guesses = trained.guesses.reindex(rest.index, fill_value='')
    found = propose(model, rest, told, guesses)
    assert len(found) == 41 and found.index[0] == 7 and found.proposed[7] == other
    assert found.source[7] == 'teacher, against the model' and found.source[8] == 'teacher and model'
    assert set(found.source[guesses.index[(guesses != '') & (told == '')]]) <= {'self-training'}
    assert found.confidence[:10].mean() < found.confidence[-10:].mean()
    places = {row: place for place, row in enumerate(found.index)}
    assert max(places[0], places[40]) >= 35, 'the second of two that read alike comes at the end'
    assert phone not in found.to_csv() and set(found.decision) == {''}
    assert set(found.like_label) <= set(model.labels)


def test_only_what_a_person_confirms_comes_back(tmp_path):
    "First sitting, a person, second sitting; and what was reviewed meanwhile stands."
    url, rows = f'sqlite:///{tmp_path}/mytech.db', labelled(300, 5)
    store = open_store(url)
    with store.write() as connection:
        note_chat(connection, -7, 'Teknisi')
        for n, (text, _, label) in enumerate(rows, 1):
            ticket = open_ticket(connection, Message(-7, n, 42, AT, text))
            if n % 4: save_review(connection, ticket, label, 'admin', AT)
    text, _ = run('04_semi_supervised', tmp_path, database_url=url, run_dir=str(tmp_path), rounds=0)
    assert '0 decisions written' in text
    with store.read() as connection: assert len(confirmed(connection)) == 225, 'a guess is no label'
    found = pd.read_csv(tmp_path/'proposals.csv', dtype='str', keep_default_na=False)
    assert {'proposed', 'confidence', 'source', 'like', 'like_label'} < set(found) and set(found.review_id) == {''}
    found.loc[:1, 'decision'] = found.loc[:1, 'proposed']
    with store.write() as connection:
        assert set(found.id) <= set(unreviewed(connection).id.astype(str))
        save_review(connection, int(found.id[1]), 'KENDALA LOGIN', 'Sari', AT)
        listed = pd.concat([found, found[:1].assign(id='99999')])
        assert decide(connection, listed, 'Dewi', AT) == 1, 'neither a ticket that Sari has decided nor one that is none'
    with store.read() as connection:
        labels = {str(row.id): row.label for row in confirmed(connection)}
    store.close()
    assert len(labels) == 227 and labels[found.id[0]] == found.proposed[0] and labels[found.id[1]] == 'KENDALA LOGIN'


def test_without_a_store_decisions_become_a_file(tmp_path):
    rows = pd.DataFrame(labelled(300, 5), columns=WORDS).assign(solving='')
    rows[:200].to_csv(tmp_path/'known.csv', index=False)
    rows[200:][['text']].to_csv(tmp_path/'rest.csv', index=False)
    rows[100:250].to_csv(tmp_path/'teacher.csv', index=False)
    pd.DataFrame({'text': ['a', 'b'], 'solving': '', 'decision': ['LOGIN', '']}).to_csv(tmp_path/'decided.csv', index=False)
    text, _ = run('04_semi_supervised', tmp_path, labelled_csv=str(tmp_path/'known.csv'), rounds=0,
                  unlabelled_csv=str(tmp_path/'rest.csv'), teacher_csv=str(tmp_path/'teacher.csv'),
                  decisions_csv=str(tmp_path/'decided.csv'), run_dir=str(tmp_path))
    assert '1 decisions written' in text and 'it labels' in text
    metrics = json.loads((tmp_path/'metrics.json').read_text())
    assert set(metrics['gains']) == {'self-training', 'teacher', 'teacher and self-training'} and metrics['n_told']
    assert (tmp_path/'confirmed.csv').read_text().split() == ['text,solving,label', 'a,,LOGIN']
