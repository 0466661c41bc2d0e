"""What people write, in tables: answers, numbers, and which messages ask for something."""
from time import perf_counter

import pytest

from mytech.core.parsing import Kind, clean, find_ids, kind_of, parse_ops_reply, solver_name, valid
from mytech.core.schema import OpsReply

CODES = ['MIT', 'MIS']
ONCEK = OpsReply(True)


def solved(solving: str, initials: str = 'ab', code: str = 'MIT') -> OpsReply:
    return OpsReply(False, solving, code, initials)


@pytest.mark.parametrize('text, reply', [
    ('sudah direset, silakan login ulang, MIT -ab', solved('sudah direset, silakan login ulang')),
    ('done, MIT -ab', solved('done')),
    ('done,MIT-ab', solved('done')),
    ('done ,  mit  -  AB', solved('done')),
    ('done, mIs -rd', solved('done', 'rd', 'MIS')),
    ('done,\nMIT -ab', solved('done')),
    ('done, MIT\t-\nab', solved('done')),
    ('  done, MIT -ab  ', solved('done')),
    ('done, MIT \u2013ab', solved('done')),                       # en dash
    ('done, MIT \u2014 ab', solved('done')),                      # em dash
    ('done, MIT \u2212ab', solved('done')),                       # minus
    ('done, MIT \u2011ab', solved('done')),                       # non-breaking hyphen
    ('done\u00a0, MIT\u00a0-ab', solved('done')),                     # non-breaking spaces
    ('done, MIT -ab \U0001f64f', solved('done')),
    ('\u2705 done, MIT -ab\U0001f64f\U0001f64f', solved('\u2705 done')),
    ('done, MIT -ab.', solved('done')),
    ('done, MIT -ab, makasih', solved('done')),
    ('done, MIT -ab\nsilakan dicoba', solved('done')),
    ('done,, MIT -ab', solved('done')),
    ('cek A, MIS -rd, lalu B, MIT -ab', solved('cek A, MIS -rd, lalu B')),   # the last one signs
    ('kirim ke app, MIT, done, MIS -rd', solved('kirim ke app, MIT, done', 'rd', 'MIS')),
    ('baris satu\nbaris dua, tiga\nbaris empat, MIT -ab', solved('baris satu\nbaris dua, tiga\nbaris empat')),
    ('=HYPERLINK("http://x","y"), MIT -ab', solved('=HYPERLINK("http://x","y")')),
    ('done, M\u200bIT -a\u200bb', solved('done')),                # zero-width characters
    ('\u202edone, MIT -ab\u202c', solved('done')),                # text direction
    ('done\ud83d, MIT -ab', solved('done\ufffd')),                # half an emoji
    ('oncek', ONCEK), ('Oncek ya', ONCEK), ('ONCEK', ONCEK), ('on cek bang', ONCEK), ('on-cek', ONCEK),
    ('oncheck', ONCEK), ('ok oncek dulu\nmohon ditunggu', ONCEK), ('\u200boncek', ONCEK), ('oncek\U0001f64f', ONCEK),
    ('masih oncek nih, sabar', ONCEK),
    ('oncek, MIT -ab', OpsReply(True, '', 'MIT', 'ab')),
    ('sudah oncek, MIT -ab', OpsReply(True, '', 'MIT', 'ab')),
    ('oncek dulu ya bang, mis - rd', OpsReply(True, '', 'MIS', 'rd')),
    ('sudah oncek, done reset, MIT -ab', solved('sudah oncek, done reset')),
    ('oncek sudah normal, MIT -ab', solved('oncek sudah normal')),
    ('done reset, MIT -ab (tadi oncek)', solved('done reset'))])
def test_ops_replies(text, reply):
    assert parse_ops_reply(text, CODES) == reply


@pytest.mark.parametrize('text', [
    '', ' ', '\U0001f44d', ', MIT -ab', ' , MIT -ab', 'MIT -ab', 'done MIT -ab', 'done, MIT', 'done, MIT -',
    'done, MIT ab', 'done, XYZ -ab', 'done, MITX -ab', 'done, MIT -panjang', 'done, -ab', 'sudah bisa belum?',
    'concek', 'onceknya', 'besok dicek', 'once k'])
def test_what_is_no_answer(text):
    assert parse_ops_reply(text, CODES) is None


@pytest.mark.parametrize('codes, text, code', [
    (['A+', 'B'], 'done, a+ -ab', 'A+'), (['MI', 'MIT'], 'done, MIT -ab', 'MIT'), (['MYTECH'], 'done, mytech -ab', 'MYTECH')])
def test_app_codes_are_configured(codes, text, code):
    assert parse_ops_reply(text, codes) == solved('done', code=code)


def test_without_app_codes_nothing_is_signed():
    assert parse_ops_reply('done, MIT -ab', []) is None


@pytest.mark.parametrize('initials, solvers, name', [
    ('ab', {'ab': 'Ayu B'}, 'Ayu B'), ('ab', {'AB': 'Ayu B'}, 'Ayu B'), ('zz', {'ab': 'Ayu B'}, None), ('ab', {}, 'AB')])
def test_solvers(initials, solvers, name):
    assert solver_name(initials, solvers) == name


@pytest.mark.parametrize('text, ids', [
    ('WO12345678', 'wo 12345678'), ('WO: 123', 'wo 123'), ('wo 123', 'wo 123'), ('Wo.123', 'wo 123'),
    ('no wo 034215678', 'wo 034215678'), ('WO no. 034215678', 'wo 034215678'), ('wo nomor: 034215678', 'wo 034215678'),
    ('WO#123456', 'wo 123456'), ('work order 555777', 'wo 555777'), ('wo-123456,', 'wo 123456'),
    ('(WO12345678)', 'wo 12345678'), ('WO\n12345678', 'wo 12345678'),
    ('SC-1001928374', 'sc 1001928374'), ('sc1001928374', 'sc 1001928374'), ('SC : 1001928374', 'sc 1001928374'),
    ('WO12345678 SC-1001928374', 'wo 12345678, sc 1001928374'),
    ('SC1001928374/WO12345678', 'sc 1001928374, wo 12345678'),
    ('WO1111111,WO2222222 dan wo 3333333', 'wo 1111111, wo 2222222, wo 3333333'),
    ('IN12345678', 'ticket 12345678'), ('tiket: 12345678', 'ticket 12345678'), ('INC 12345678', 'ticket 12345678'),
    ('inet 122345678901', 'internet 122345678901'), ('no inet: 152412204567', 'internet 152412204567'),
    ('152412204567', 'internet 152412204567'), ('081234567890', 'phone 081234567890'),
    ('0812-3456-7890', 'phone 081234567890'), ('+62 812 3456 7890', 'phone 6281234567890'),
    ('hub 081234567890 inet 152412204567', 'phone 081234567890, internet 152412204567'),
    ('WO: 081234567890', 'wo 081234567890'),                      # the word wins over the shape
    ('NIK 3174012345678901', 'nik 3174012345678901'), ('3174012345678901', 'nik 3174012345678901'),
    ('nik: 16890123', 'nik 16890123'), ('laborcode DC00123', 'labor DC00123'),
    ('jam 12 wo nya kosong', ''), ('two 12345', ''), ('rp 150000', ''), ('wo 12', ''), ('versi 1.2.3', ''),
    ('ip 10.60.12.34', ''), ('', '')])
def test_ids(text, ids):
    assert ', '.join(f'{found.kind} {found.value}' for found in find_ids(text)) == ids


def test_a_form_of_many_lines():
    form = ('Mohon bantuan reset\nNama : Budi\nNIK : 16890123\nLaborcode : DC00123\nNo WO : 034215678\n'
            'No SC : SC-1001928374\nNo inet : 152412204567\nCP : 0812-3456-7890\nKendala : tdk bisa login')
    assert [found.kind for found in find_ids(form)] == ['nik', 'labor', 'wo', 'sc', 'internet', 'phone']
    assert all(form[found.start:found.end] for found in find_ids(form))
    assert kind_of(form) is Kind.REQUEST


KINDS = {
    Kind.REQUEST: '''tdk bisa login mytech min, muter terus|moban reset pw|otp ga masuk|min otp blm masuk dari td pagi
        pagi min, wo ga muncul di apk|aplikasi force close terus|WO12345678 ga bs diclose|user not found|error 500
        pagi bang, otp ditolak terus|tolong unlock akun|gagal upload foto evidence|SC-1001928374 stuck di validasi
        lupa password min|ganti hp min mohon reset imei|mytech lemot bgt|المساعدة من فضلك
        ga bisa absen|login gagal terus|aplikasi error min''',
    Kind.FOLLOW_UP: '''up|up min|up min WO12345678|uppp|naikkan min|gimana min|min yg tadi gmn|blm bisa min|masih sama
        masih gagal bang|udah dicoba tetep gagal|blm ada respon pak dr jam 8|kapan min|ada update min?|fu min|follow up
        ditunggu min|WO12345678|udah 1 jam min|masih ga bisa min|belum bisa pak|ttp sama kak|mohon respon nya
        sdh blm min?''',
    Kind.CHATTER: '''pagi min|selamat pagi semuanya|assalamualaikum|makasih min|makasih min sudah bisa|ok|oke siap|sip
        ok sdh normal trims|terima kasih banyak|mantap|hehe|wkwkwk|\U0001f64f|\U0001f44d\U0001f44d||...|p|test|done min thx
        alhamdulillah sudah bisa|siaaaap|maksih bang|sudah normal kembali''',
    Kind.COMMAND: '/start|/help@mytech_bot|/id|/stats 3|\u200b/start'}


@pytest.mark.parametrize('text, kind', [(text.strip(), kind) for kind, texts in KINDS.items()
                                        for line in texts.splitlines() for text in line.split('|')])
def test_kinds(text, kind):
    assert kind_of(text) is kind


@pytest.mark.parametrize('text, kind', [
    ('', Kind.REQUEST), ('pagi min', Kind.REQUEST), ('error ini', Kind.REQUEST), ('gagal login', Kind.REQUEST),
    ('up min', Kind.FOLLOW_UP)])
def test_kinds_with_a_picture(text, kind):
    assert kind_of(text, has_media=True) is kind


@pytest.mark.parametrize('text', ['/', '/ tdk bisa login min', '//', '/123 wo hilang'])
def test_a_slash_alone_is_no_command(text):
    assert kind_of(text) is not Kind.COMMAND


@pytest.mark.parametrize('text, same', [
    (None, ''), ('', ''), ('biasa', 'biasa'), ('a\0b', 'ab'), ('\ud83d', '\ufffd'), ('\ude00x', '\ufffdx'),
    ('\ud83d\ude00', '\U0001f600'), ('\u200bdua\u202e', '\u200bdua\u202e'), ('\U0001f468\u200d\U0001f469', '\U0001f468\u200d\U0001f469')])
def test_valid_changes_only_what_is_invalid(text, same):
    assert valid(text) == same
    valid(text).encode('utf-8')


@pytest.mark.parametrize('text, read', [
    (None, ''), ('  a  ', 'a'), ('a\r\nb', 'a\nb'), ('a\u200bb\u200f\ufeff', 'ab'), ('re\u0301set', 'r\u00e9set'),
    ('\u2066teks\u2069', 'teks'), ('a\x07b', 'ab'), ('a\tb', 'a\tb')])
def test_clean(text, read):
    assert clean(text) == read


@pytest.mark.parametrize('text', [
    'a' * 4096, 'wo ' * 1365, ', MIT ' * 680, ',' * 4096, '1' * 4096, 'on ' * 1365, 'nik ' * 1024, 'x, MIT -' * 500,
    '0 8' * 1365, '\u200b' * 4096, 'no ' * 1365, 'WO ' + ' no' * 1360])
def test_long_messages_take_no_time(text):
    began = perf_counter()
    parse_ops_reply(text, CODES), find_ids(text), kind_of(text)
    assert perf_counter() - began < 0.5
