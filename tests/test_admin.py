"The admin bot: who is served, how arguments are read, and that every command answers in both languages."
import inspect
import json
import re
import string
from datetime import datetime, timedelta, timezone

import pytest
from admin_desk import BOT, BUDI, LABELS, MAYA, RINA, TECH, Admins, tickets

from sqlalchemy.exc import OperationalError

from mytech.bots import admin, admin_backlog, admin_bot, admin_model, admin_reports, admin_review, admin_training
from mytech.bots.admin import WrongArgument, button_data, read_arguments, sheets, turned
from mytech.bots.admin_bot import BOOK, MENU, batch_opener, menu
from mytech.bots.inbox import handle_pending, store_updates
from mytech.core.texts import catalogue, say
from mytech.ops import review
from mytech.services.outbox import enqueue
from mytech.services.store import actions, count, counted, open_store, outbox, predictions, reviews

APPS = {'MIT': 'MyTech', 'MIS': 'MyStaff'}


@pytest.fixture
def desk():
    store = open_store('sqlite://')
    yield Admins(store)
    store.close()


def changed(desk):
    "All that a refused person must not have moved."
    return [desk.rows(table) for table in (reviews,)], [row for row in desk.did() if row[1] != 'refused']


# ---- who is served

def test_a_stranger_is_refused_once_politely_and_counted(desk):
    assert [shown.text for shown in desk.types('/stats', BUDI)] == [say('refused', 'id', word=str(BUDI))]
    assert desk.types('/stats', BUDI) == desk.types('/retrain force', BUDI) == desk.types('halo', BUDI) == []
    with desk.store.read() as connection: assert counted(connection)['admin_refused'] == 4
    assert desk.did() == [(BUDI, 'refused', '/stats')]


def test_nobody_is_served_while_nobody_is_named(desk):
    desk.changes = {'admin_user_ids': ''}
    assert 'terdaftar' in desk.types('/stats')[0].text


def test_a_stranger_in_a_group_is_answered_only_when_he_means_us(desk):
    assert desk.types('halo semua', BUDI, chat=-9) == desk.types('/cuaca', BUDI, chat=-9) == desk.types('/stats@other_bot', BUDI, chat=-9) == []
    assert len(desk.types('/stats@Admin_Bot', BUDI, chat=-9)) == 1


def test_a_stranger_and_a_removed_admin_press_in_vain(desk):
    tickets(desk.store)
    card, = desk.types('/pendingreview')
    before = changed(desk)
    for user, settings in ((BUDI, {}), (MAYA, {'admin_user_ids': str(RINA)})):
        desk.changes = settings
        for label in (LABELS[0], 'Lainnya', 'Lewati', 'serupa'):
            assert desk.presses(card, label, user) == ([], [say('refused_press', 'id')])
    assert changed(desk) == before


def test_a_button_answers_to_the_one_it_was_made_for(desk):
    tickets(desk.store)
    card, = desk.types('/pendingreview', chat=-9)
    before = changed(desk)
    assert desk.presses(card, LABELS[0], RINA) == ([], [say('not_yours', 'id')])
    assert changed(desk) == before
    assert desk.presses(card, LABELS[0], MAYA)[1] == [say('saved', 'id', label=LABELS[0])]


@pytest.mark.parametrize('more', [{'forward_origin': {'type': 'user'}}, {'forward_date': 5}])
def test_a_forwarded_command_is_not_followed(desk, more):
    assert desk.types('/retrain force', **more)[0].text == say('forwarded', 'id')
    assert desk.did() == [] and desk.rows(outbox) == []


def test_a_command_that_waited_is_not_followed(desk):
    assert '/retrain' in desk.types('/retrain', ago=11)[0].text
    assert desk.did() == [] and desk.rows(outbox) == []
    assert desk.types('/stats', ago=9)[0].text.startswith('<b>Hari ini</b>')


def test_technicians_do_not_read_along(desk):
    assert desk.types('/stats', chat=TECH)[0].text == say('private_please', 'id', word='/stats')
    assert desk.types('/stats', chat=-9)[0].text.startswith('<b>Hari ini</b>')


@pytest.mark.parametrize('data', ['', 'x', ':', '301', '301:', '301:nothing', '301:label', '301:label:1', '301:label:x:0:abc', '301:label:1:0:deadbeef',
                                  '301:label:999999:0:deadbeef', '301:undo:1:77', '301:skip:x:0', '301:promote:x:y', '301:promote:9:4', '301:cancel:gone',
                                  '301:run:halo', '301:+', '301:next:1:2:3', '301:card:x', '301:labels:1:99', '301:stats@x', '301:report:week:x', '1' * 70])
def test_buttons_of_an_older_version_or_made_up_change_nothing(desk, data):
    tickets(desk.store, 1)
    card, = desk.types('/pendingreview')
    before = changed(desk)
    messages, toasts = desk.presses(card, data=data)
    assert len(toasts) == 1 and changed(desk) == before
    assert toasts[0] or messages, 'says something'


# ---- what is typed

GOOD = {
    'report': {'': {}, 'weekly': {'weekly|monthly': 'weekly'}, 'MINGGUAN': {'weekly|monthly': 'weekly'}, ' Bulanan ': {'weekly|monthly': 'monthly'}},
    'tiketreport': {
        '': {}, 'monthly': {'monthly|quarterly': 'monthly'}, '10': {'n': 10}, '2025 10': {'n': 10, 'year': 2025},
        'quarterly 3 2026 MIT': {'monthly|quarterly': 'quarterly', 'n': 3, 'year': 2026, 'APP': 'MIT'},
        'mit 2026 3 QUARTERLY': {'monthly|quarterly': 'quarterly', 'n': 3, 'year': 2026, 'APP': 'MIT'},
        'Q3/2026 mytech': {'monthly|quarterly': 'quarterly', 'n': 3, 'year': 2026, 'APP': 'MIT'},
        'agustus': {'n': 8}, 'Agu 2026, mis': {'n': 8, 'year': 2026, 'APP': 'MIS'}, '2026-08': {'n': 8, 'year': 2026}, '08/2026': {'n': 8, 'year': 2026},
        'triwulan': {'monthly|quarterly': 'quarterly'}},
    'trendbulan': {'': {}, 'MIT 10 2026': {'APP': 'MIT', 'month': 10, 'year': 2026}, '2026 oktober mit': {'APP': 'MIT', 'month': 10, 'year': 2026},
                   'MyStaff': {'APP': 'MIS'}, '1': {'month': 1}},
    'trendmingguan': {'': {}, '2 10 2026 MIT': {'week': 2, 'month': 10, 'year': 2026, 'APP': 'MIT'}, 'mit oktober 2': {'week': 2, 'month': 10, 'APP': 'MIT'},
                      '2': {'week': 2}, 'okt': {'month': 10}, '12': {'month': 12}},
    'retrain': {'': {}, 'TUNE': {'tune|tune100|force': 'tune'}, 'tune100': {'tune|tune100|force': 'tune100'}, 'paksa': {'tune|tune100|force': 'force'}},
    'reloadmodel': {'': {}, 'v3': {'version': 3}, '12': {'version': 12}},
    'mlflowpromote': {'V2': {'version': 2}}}
BAD = {'report': ['yearly', 'weekly monthly', '3', 'MIT', 'weekly weekly'], 'tiketreport': ['13', '0', '1999', 'XYZ', 'monthly 5 5', '-3', '3.5', '２０２６年', '1' * 300],
       'trendbulan': ['MIT MIS', '13', 'oktobre', '2026 2025'], 'trendmingguan': ['7 13', 'MIT MIT', '40'], 'retrain': ['tune force', 'tune50', 'all'],
       'reloadmodel': ['latest', 'v', '0', 'v-1', '1 2'], 'mlflowpromote': ['production'], 'stats': ['sekarang'], 'pendingreview': ['5'], 'helpml': ['x'],
       'modelstatus': ['v1'], 'mlflowstatus': ['x'], 'retrainstatus': ['1'], 'updatestats': ['now']}


@pytest.mark.parametrize('name, text, expected', [(name, text, value) for name, forms in GOOD.items() for text, value in forms.items()])
def test_arguments_in_any_order_and_case(name, text, expected):
    assert read_arguments(BOOK.commands[name].form, text, APPS) == expected


@pytest.mark.parametrize('name, text', [(name, text) for name, forms in BAD.items() for text in forms])
def test_wrong_arguments_get_the_right_form_and_an_example(desk, name, text):
    with pytest.raises(WrongArgument): read_arguments(BOOK.commands[name].form, text, APPS)
    answer, = desk.types(f'/{name} {text}')
    command = BOOK.commands[name]
    assert f'<code>/{name} {command.form}'.strip() in answer.text
    if command.form: assert f'<code>/{name} {command.example}</code>' in answer.text
    assert desk.rows(outbox) == []


def test_all_commands_of_the_domain_and_their_examples_are_right():
    wanted = {'stats', 'report', 'tiketreport', 'modelstatus', 'mlflowstatus', 'mlflowpromote', 'pendingreview', 'retrainstatus', 'retrain', 'reloadmodel',
              'updatestats', 'trendbulan', 'trendmingguan', 'helpml', 'help', 'start', 'pages'}
    assert set(BOOK.commands) == wanted and set(MENU) == wanted - {'help', 'start'}
    for name, command in BOOK.commands.items(): assert bool(read_arguments(command.form, command.example, APPS)) == bool(command.form), name


@pytest.mark.parametrize('text, offer', [('/report montly', '/report monthly'), ('/tiketreport quaterly 3', '/tiketreport quarterly 3'),
                                         ('/trendbulan oktobr mit', '/trendbulan oktober mit'), ('/reprot', '/report'), ('/ticketreport', '/tiketreport')])
def test_what_is_nearly_right_is_offered(desk, text, offer):
    answer, = desk.types(text)
    assert [button['text'] for button in answer.buttons] == [offer]
    followed, _ = desk.presses(answer, offer)
    assert followed and followed[0].text not in (answer.text, say('failed', 'id'))


@pytest.mark.parametrize('name, text', [('tiketreport', 'quarterly 5'), ('tiketreport', 'quarterly 12 2026'), ('trendmingguan', '6 2 2026')])
def test_periods_that_no_calendar_has(desk, name, text):
    assert f'<code>/{name}' in desk.types(f'/{name} {text}')[0].text


def test_other_bots_commands_are_left_to_them(desk):
    assert desk.types('/stats@collector_bot') != [] and desk.types('/stats@collector_bot', chat=-9) == []


# ---- what is answered

@pytest.fixture(scope='module')
def full():
    store = open_store('sqlite://')
    tickets(store, 60)
    yield store
    store.close()


PLAIN = sorted(f'/{name}' for name in BOOK.commands if name not in ('retrain', 'mlflowstatus'))
FORMS = sorted({f'/{name} {text}'.strip() for name, forms in GOOD.items() for text in forms if name != 'retrain'} | set(PLAIN))


@pytest.mark.parametrize('rows, language, texts', [('none', 'id', PLAIN), ('none', 'en', PLAIN), ('some', 'id', FORMS), ('some', 'en', PLAIN)], ids=['none-id', 'none-en', 'some-id', 'some-en'])
def test_every_form_of_every_command_answers(desk, full, rows, language, texts, tmp_path):
    desk.store = full if rows == 'some' else desk.store
    desk.changes = {'bot_language': language, 'artifacts_url': str(tmp_path)}
    for text in texts:
        answer, = desk.types(text)
        assert answer.text and answer.text != say('failed', language), text
        assert all(len(button['callback_data'].encode()) <= 64 for button in answer.buttons)
        assert '{' not in answer.text and not re.search(r'\bnan\b', answer.text.lower()), answer.text


def test_every_button_leads_somewhere(desk, full, tmp_path):
    "From each command press everything that only shows; nothing fails, and all is put into buttons of 64 bytes."
    desk.store, desk.changes, seen = full, {'artifacts_url': str(tmp_path)}, set()
    waiting = [desk.types(f'/{name}')[0] for name in MENU if not name.startswith(('retrain', 'mlflow'))]
    while waiting:
        shown = waiting.pop()
        for button in shown.buttons:
            verb = button['callback_data'].split(':')[1]
            if verb in BOOK.deeds or button['callback_data'] in seen or len(seen) > 60: continue
            seen.add(button['callback_data'])
            for answer in desk.presses(shown, data=button['callback_data'])[0]:
                assert answer.text != say('failed', 'id'), button
                waiting.append(answer)
    assert len(seen) > 40


@pytest.mark.parametrize('language, line, button', [('id', 'Spreadsheet: 3 menunggu, terlama 2 jam', 'Coba lagi (2)'),
                                                    ('en', 'Spreadsheet: 3 waiting, the oldest for 2 hours', 'Try again (2)')])
def test_what_was_refused_is_told_and_an_admin_has_it_tried_again(desk, language, line, button):
    desk.changes = {'bot_language': language}
    now = datetime.now(timezone.utc)
    with desk.store.write() as connection:
        for n in range(3): enqueue(connection, 'sheets', {'lane': n, 'ticket': n}, now - timedelta(hours=2.5))
        enqueue(connection, 'media:7000', {'lane': 1}, now - timedelta(minutes=3))
    fine = desk.types('/stats')[0]
    assert line in fine.text and '<i>' not in fine.text.partition(line)[2] and 'Foto' not in fine.text and button not in str(fine.buttons)
    with desk.store.write() as connection:
        refused = outbox.update().where(outbox.c.destination == 'sheets', outbox.c.payload['lane'].as_integer() < 2)
        connection.execute(refused.values(parked=True, error='403 <no permission>'))
    told = desk.types('/stats')[0]
    assert line in told.text and '403 &lt;no permission&gt;' in told.text
    shown, toasts = desk.presses(told, button)
    assert toasts == [say('resent', language, n=2)] and shown[0].id == told.id and button not in str(shown[0].buttons)
    assert [row.parked for row in desk.rows(outbox)] == [False] * 4
    [audit] = [row for row in desk.rows(actions) if row.action == 'resend']
    assert (audit.user_id, audit.before, audit.after) == (MAYA, {'sheets': 2}, {'again': 2})


def test_whose_labels_they_are_and_what_they_cost(desk):
    ids = tickets(desk.store, 5, ago=0)
    assert 'Gemini' not in desk.view('stats').text
    with desk.store.write() as connection:
        for ticket_id, source in zip(ids, ('gemini', 'hybrid', 'hybrid')):
            connection.execute(predictions.update().where(predictions.c.ticket_id == ticket_id).values(source=source))
        for name, n in (('calls', 9), ('recalled', 4), ('failed', 2), ('garbage', 1)): count(connection, f'teacher_{name}', datetime.now(timezone.utc), n)
    desk.changes = {'gemini_enabled': True, 'gemini_daily_calls': 9}
    for view in (['stats'], ['report', 'week', '']):
        text = desk.view(*view).text
        assert 'Label: 2 model · 1 Gemini · 2 keduanya' in text and '4 dari ingatan · 3 gagal' in text
        assert ('9 dari 9 panggilan' in text and text.count('gagal ⚠️') == 1) == (view == ['stats'])


def test_long_answers_are_paged_without_loss(desk):
    text = '\n\n'.join(f'<b>{n}</b> KENDALA <i>LOGIN</i>\n{"x" * 60}' for n in range(80))
    parts = sheets(text, 1000)
    assert len(parts) > 5 and all(len(part) <= 1000 for part in parts)
    assert [line for part in parts for line in part.split('\n') if line] == [line for line in text.split('\n') if line]
    page = admin.Page(text, photo=lambda: b'')
    assert all(len(turned(page, 'x', sheet=n).text) <= 1024 for n in range(-1, 30))


def test_help_in_both_languages_fits_the_menu():
    for language in ('id', 'en'):
        for one in menu(language): assert re.fullmatch('[a-z]{1,32}', one.command) and 3 <= len(one.description) <= 256
    assert [one.description for one in menu('id')] != [one.description for one in menu('en')]


# ---- the catalogue

def fields(sentence): return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def test_every_sentence_is_there_in_both_languages():
    for key, languages in catalogue().items():
        assert set(languages) == {'id', 'en'}, key
        forms = [form for value in languages.values() for form in (value.values() if isinstance(value, dict) else [value])]
        assert len({frozenset(fields(form)) for form in forms}) == 1, f'{key}: other placeholders'
        for value in languages.values():
            if isinstance(value, dict): assert set(value) == {'one', 'other'}, key


def test_every_key_that_the_bot_uses_exists():
    sources = ''.join(inspect.getsource(module) for module in (admin, admin_backlog, admin_bot, admin_model, admin_reports, admin_review, admin_training))
    used = set(re.findall(r"say\(\s*'(\w+)'", sources)) | set(re.findall(r"'say', '(\w+)'", sources))
    assert len(used) > 60 and used <= set(catalogue())


def test_markup_is_closed_on_its_line():
    for key, languages in catalogue().items():
        for value in languages.values():
            for form in value.values() if isinstance(value, dict) else [value]:
                for line in form.split('\n'):
                    for tag in ('b', 'i', 'code', 'blockquote'): assert line.count(f'<{tag}>') == line.count(f'</{tag}>'), key


# ---- exactly once

def test_a_press_counts_once_however_often_it_comes(desk):
    tickets(desk.store, 2)
    card, = desk.types('/pendingreview')
    press = {'update_id': 5, 'callback_query': {'id': 'q', 'from': {'id': MAYA, 'first_name': 'Maya'}, 'data': card.data(LABELS[0]), 'message': {
        'message_id': card.id, 'date': card.date, 'chat': {'id': MAYA, 'type': 'private'}, 'from': {'id': BOT, 'is_bot': True}}}}
    for _ in range(3):
        with desk.store.write() as connection: store_updates(connection, BOT, [press], datetime.now(timezone.utc))
        handle_pending(desk.store, BOT, batch_opener(desk.office))
    assert len(desk.rows()) == 1
    with desk.store.read() as connection: assert [row.action for row in connection.execute(actions.select())] == ['command', 'review']


def test_what_breaks_on_the_way_leaves_nothing_half_done(desk, monkeypatch):
    tickets(desk.store, 2)
    card, = desk.types('/pendingreview')
    before = changed(desk)
    monkeypatch.setattr(review, 'note_action', lambda *args: 1 / 0)
    assert desk.presses(card, LABELS[0]) == ([], [say('failed', 'id')])
    assert changed(desk) == before and desk.rows() == []


def test_a_command_that_breaks_says_so(desk, monkeypatch):
    monkeypatch.setattr(admin_model, 'versions', lambda models: 1 / 0)
    assert desk.types('/mlflowpromote 2')[0].text == say('failed', 'id')
    assert desk.did() == []


def test_a_database_that_is_locked_is_tried_again(desk, monkeypatch):
    def locked(*args): raise OperationalError('', {}, Exception('database is locked'))
    tickets(desk.store, 1)
    card, = desk.types('/pendingreview')
    monkeypatch.setattr(review, 'save_review', locked)
    with pytest.raises(OperationalError): desk.presses(card, LABELS[0])


def test_the_audit_says_who_what_before_and_after(desk):
    ids = tickets(desk.store, 1)
    card, = desk.types('/pendingreview')
    desk.presses(card, LABELS[1])
    row = desk.rows(actions)[-1]
    assert (row.user_id, row.user_name, row.action, row.target) == (MAYA, 'Maya', 'review', str(ids[0]))
    assert row.before == {'label': LABELS[0], 'status': 'pending', 'reviewer': None}
    assert row.after == {'label': LABELS[1], 'status': 'CORRECTED', 'reviewer': 'Maya'}
    assert json.dumps(row.after) and row.at.tzinfo


def test_a_button_is_never_too_long():
    with pytest.raises(ValueError): button_data(MAYA, 'x' * 70)
