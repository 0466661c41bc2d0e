"""Google's Sheets API, as much of it as a mirror needs, with its bad days."""
import json
import re
import time
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

FAULTS = ('busy', 'quota', 'broken', 'applied', 'late', 'slow', 'garbage', 'denied', 'cut')
ANSWERS = {'busy': (429, 'Quota exceeded for writes per minute'), 'quota': (403, 'userRateLimitExceeded'),
           'broken': (500, 'Internal error'), 'applied': (500, 'Internal error'),
           'denied': (403, 'The caller does not have permission')}


@cache
def private_key():
    return rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def account():
    return json.dumps({'type': 'service_account', 'client_email': 'mytech@example.com', 'private_key': private_key(),
                       'token_uri': 'https://oauth2.googleapis.com/token'})


def number_of(letters):
    n = 0
    for letter in letters: n = 26 * n + ord(letter) - 64
    return n - 1


def parse(name):
    "Title, first row, last row or None, first column, last column; from 0."
    title, left, top, right, bottom = re.fullmatch(r"'(.+)'!([A-Z]+)(\d+)(?::([A-Z]+)(\d*))?", name).groups()
    last = int(top) - 1 if right is None else int(bottom) - 1 if bottom else None
    return title, int(top) - 1, last, number_of(left), number_of(right or left)


class Refusal(Exception): pass


class Sheets:
    "A spreadsheet named MyTech. `fault(request)` names what goes wrong with a request, or nothing."
    def __init__(self, pause=1.2, retry_after=None):
        self.pages, self.lock, self.writes, self.calls, self.busy = {}, Lock(), [], [], 0
        self.spare, self.emptied = 1000, set() # rows of a new page; pages in which people emptied rows
        self.cells = 0 # that were read
        self.fault, self.pause, self.retry_after = lambda kind: None, pause, retry_after
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            def do_GET(self):
                outer.busy += 1
                try: outer.serve(self)
                finally: outer.busy -= 1
            do_POST = do_PUT = do_GET
            def log_message(self, *_): pass
        self.server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.server.daemon_threads = True
        self.base = f'http://127.0.0.1:{self.server.server_port}'
        Thread(target=self.server.serve_forever, args=[0.02], daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    # what people do

    def rows(self, title):
        "Header and rows, each as long as the header, empty ones left out."
        with self.lock:
            page = self.pages[title]
            return [row + [''] * (len(page[0]) - len(row)) for row in page if any(cell != '' for cell in row)]

    def change(self, title, do):
        with self.lock: do(self.pages[title])

    # what programs do

    def serve(self, call):
        url = urlsplit(call.path)
        body = call.rfile.read(int(call.headers.get('Content-Length') or 0))
        if url.path == '/token':
            return self.answer(call, 200, {'access_token': 'fake', 'expires_in': 3600, 'token_type': 'Bearer'})
        kind = 'read' if call.command == 'GET' else 'write'
        self.calls.append((time.monotonic(), kind))
        if kind == 'write': self.writes.append(time.monotonic())
        fault = self.fault(kind)
        if fault == 'slow': time.sleep(self.pause)
        if fault not in ('busy', 'quota', 'denied', 'broken', 'cut'):
            try: said = self.act(url.path.removeprefix('/v4/spreadsheets'), parse_qs(url.query), body)
            except Refusal as error: return self.answer(call, 400, {'error': {'code': 400, 'message': str(error)}})
        if fault == 'late': time.sleep(self.pause)
        if fault == 'cut': call.close_connection = True
        elif fault == 'garbage': self.answer(call, 200, None, b'<html>oops')
        elif fault in ANSWERS:
            code, message = ANSWERS[fault]
            after = {'Retry-After': str(self.retry_after)} if fault == 'busy' and self.retry_after is not None else {}
            self.answer(call, code, {'error': {'code': code, 'message': message}}, headers=after)
        else: self.answer(call, 200, said)

    def answer(self, call, code, value, raw=None, headers=()):
        data = raw or json.dumps(value).encode()
        try:
            call.send_response(code)
            for name, text in {'Content-Type': 'application/json', 'Content-Length': len(data), **dict(headers)}.items():
                call.send_header(name, text)
            call.end_headers()
            call.wfile.write(data)
        except OSError: call.close_connection = True # nobody waits any more

    def act(self, path, query, body):
        asked = json.loads(body) if body else {}
        with self.lock:
            if path == '/drive/v3/files': return {'files': [{'id': 'book', 'name': 'MyTech'}]}
            if path == '/book': return {'spreadsheetId': 'book', 'properties': {'title': 'MyTech'}, 'sheets': [
                {'properties': {'title': title, 'sheetId': n, 'gridProperties': {'rowCount': self.size(title)}}}
                for n, title in enumerate(self.pages)]}
            if path == '/book:batchUpdate': return self.add(asked['requests'])
            if path == '/book/values:batchGet':
                assert query['valueRenderOption'] == ['UNFORMATTED_VALUE']
                return {'valueRanges': [{'range': name, **self.get(name)} for name in query['ranges']]}
            if path == '/book/values:batchUpdate':
                if asked['valueInputOption'] != 'RAW': raise Refusal('not RAW')
                for one in asked['data']: self.put(one['range'], one['values'])
                return {'spreadsheetId': 'book'}
            title = re.fullmatch(r"/book/values/'(.+)'!A1:append", unquote(path))[1]
            if (query['valueInputOption'], query['insertDataOption']) != (['RAW'], ['INSERT_ROWS']):
                raise Refusal('not RAW, or not INSERT_ROWS')
            self.valid(asked['values'])
            page, new = self.pages[title], [list(row) for row in asked['values']]
            at = self.table_end(title)
            page[at:at] = new
            return {'updates': {'updatedRange': f"'{title}'!A{at + 1}:{chr(64 + len(new[0]))}{at + len(new)}"}}

    def size(self, title): return max(self.spare, len(self.pages[title]))

    def table_end(self, title):
        "New rows go below the table that A1 is in: above the first empty row."
        page = self.pages[title]
        if title not in self.emptied: return len(page)
        return next((n for n, row in enumerate(page) if not any(cell != '' for cell in row)), len(page))

    def add(self, requests):
        for one in requests:
            title = one['addSheet']['properties']['title']
            if title in self.pages: raise Refusal(f'A sheet with the name "{title}" already exists')
            self.pages[title] = []
        return {'replies': []}

    def valid(self, rows):
        if any('poison' in str(cell) for row in rows for cell in row): raise Refusal('Invalid value')

    def get(self, name):
        title, top, bottom, left, right = parse(name)
        if title not in self.pages: raise Refusal(f'Unable to parse range: {name}')
        if top >= self.size(title): raise Refusal(f'Range ({name}) exceeds grid limits. Max rows: {self.size(title)}')
        found = [list(row[left:right + 1]) for row in self.pages[title][top:None if bottom is None else bottom + 1]]
        for row in found:
            while row and row[-1] == '': row.pop()
        while found and not found[-1]: found.pop()
        self.cells += sum(map(len, found))
        return {'values': found} if found else {}

    def put(self, name, values):
        self.valid(values)
        title, top, _, left, _ = parse(name)
        page = self.pages[title]
        for n, row in enumerate(values, top):
            while len(page) <= n: page.append([])
            page[n] += [''] * (left + len(row) - len(page[n]))
            page[n][left:left + len(row)] = row
