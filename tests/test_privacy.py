"Nothing personal is written down, however it is quoted."
import json
import logging
from time import perf_counter

import pytest

from mytech.core.privacy import MaskingFilter, anonymous, mask

PLANTED = {'081234567890': '[phone]', '+62 812-3456-7890': '[phone]', '0812\u200b3456\u200b7890': '[phone]',
           '+6281234567890': '[phone]', '3174012345678901': '[nik]', '3174-0123-4567-8901': '[nik]',
           'nik 18930123': 'nik [nik]', 'budi@contoh.id': '[email]', '123456789:AAHfx8kQ2pLm0NzR': '[token]'}
BREAKS = ['\n', '\t', '\r\n', '\x0b', '\x00', '\xa0', '\u2028', '\u200b', '\u2060', '\ufeff', '\u3000', '😭', '\\n']
QUOTES = [str, repr, json.dumps, lambda text: json.dumps(json.dumps(text)), lambda text: repr(json.dumps(text))]


@pytest.mark.parametrize('quote', QUOTES, ids=['plain', 'repr', 'json', 'json in json', 'repr of json'])
@pytest.mark.parametrize('gap', BREAKS, ids=ascii)
@pytest.mark.parametrize('secret', PLANTED, ids=ascii)
def test_a_number_on_a_line_of_its_own(secret, gap, quote):
    masked = mask(quote(f'hub{gap}{secret}{gap}tks'))
    assert PLANTED[secret] in masked and secret not in masked and not any(
        part in masked for part in ('3456', '0123', '8930', 'budi', 'AAH'))
    assert mask(masked) == masked


@pytest.mark.parametrize('quote', QUOTES)
@pytest.mark.parametrize('gap', ['\n', '\t', ':\n', ' \u200b', ' =\t', '\r\n', '\xa0'], ids=ascii)
def test_an_employee_number_after_its_word(gap, quote):
    for before in ('', 'min\n', 'min\t', '\u200b'):
        assert '18930123' not in mask(quote(f'{before}NIK{gap}18930123'))


@pytest.mark.parametrize('text', [
    'inet\n152412204567', 'WO0812345678', 'sc\n1001928374', 'jam\t12:30', 'teknik18930123', r'C:\new 152412204567',
    '\n20261120', '\\u200b152412204567'])
def test_what_operations_need_is_kept(text):
    for quote in QUOTES: assert mask(quote(text)) == quote(text)


def test_a_record_of_a_library_that_logs_its_requests():
    form = 'form data\nnama: budi\nhp:\n081234567890\n\t+62 812-3456-7890\nnik\n18930123\nktp\n3174012345678901\nbudi@contoh.id'
    update = {'update_id': 1, 'message': {'text': form, 'caption': '0812\u200b3456\u200b7890', 'from': {'id': 42}}}
    for sent in (update, json.dumps(update), json.dumps(update).encode()):
        record = logging.LogRecord('telegram.ext.ExtBot', logging.DEBUG, '', 0, 'Calling Bot API endpoint `%s` with parameters `%s`',
                                   ('getUpdates', sent), None)
        MaskingFilter().filter(record)
        written = record.getMessage()
        for secret in ('3456', '18930123', '3174', '@contoh'): assert secret not in written
        assert 'getUpdates' in written and "form data" in written and '42' in written


@pytest.mark.parametrize('piece', [
    'a', '0', '08', '+', '+62', '62', '081', '0 ', '0-', '+1 ', r'\n', r'\u', r'\u200b', r'\u200b0', r'\n0', r'0\u200b', r'08\xa0',
    'nik', r'nik\n', r'nik\n\n', r'nik\u200b1', '\\', 'a@', 'a.', 'a@a.', '1:', '12345:', '://', '://a:', 'bearer ', 'xoxb-', '1 ', '1234 '])
def test_the_longest_message_takes_no_time(piece):
    for size, allowed in ((4096, 0.05), (65536, 0.8)):
        text, start = (piece * size)[:size], perf_counter()
        mask(text)
        assert perf_counter() - start < allowed


@pytest.mark.parametrize('said, plain', [
    ('nama: Budi', 'nama: [name]'), ('a.n. BUDI SANTOSO', 'a.n. [name]'), ('atas nama\nSiti', 'atas nama\n[name]'),
    ('an budi santoso tdk bisa login', 'an [name] tdk bisa login'), ('nama pelanggan : Rudi hp 0812 3456 7890', 'nama pelanggan : [name] hp [phone]'),
    ('０８１２３４５６７８９０', '[phone]'), ('1\u200b2\u200b3\u200b4\u200b5', '[id]'), ('labor 1-2-3-4-5', 'labor [id]'), ('WO12345678', 'WO[id]'),
    ('serial ZTEGC1A2B3C4', 'serial [id]'), ('tanya @budi_s', 'tanya [email]'), ('ｂｕｄｉ＠ｃｏｎｔｏｈ．ｉｄ', '[email]')])
def test_what_a_stranger_may_read(said, plain):
    assert anonymous(said) == plain == anonymous(plain)


@pytest.mark.parametrize('text', ['akan login jam 12:30', 'nama wifi salah', 'reset an. user', 'namanya tidak sesuai', 'error 404', 'bukan mytech'])
def test_a_stranger_can_still_understand(text):
    assert anonymous(text) == text


@pytest.mark.parametrize('piece', ['an ', 'nama: ', '@', 'a@', '1 ', '1__', 'an. budi ', 'nama nama ', 'a\u0301', '0️⃣'])
def test_the_longest_message_is_soon_plain(piece):
    text, start = (piece * 65536)[:65536], perf_counter()
    anonymous(text)
    assert perf_counter() - start < 2
