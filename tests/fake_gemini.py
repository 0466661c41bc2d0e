"Gemini's REST API as far as MyTech uses it, with what can go wrong built in, for tests."
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SERVER_ERRORS = {'quota': (429, 'RESOURCE_EXHAUSTED'), 'broken': (500, 'INTERNAL'), 'away': (503, 'UNAVAILABLE'),
                 'denied': (403, 'PERMISSION_DENIED'), 'bad key': (400, 'INVALID_ARGUMENT')}


def candidate(text, reason='STOP'):
    "An answer with this text; without parts when it is None."
    content = {'content': {'role': 'model', 'parts': [{'text': text}]}} if text is not None else {}
    return {'candidates': [{'index': 0, 'finishReason': reason, **content}], 'usageMetadata': USAGE}


USAGE = {'promptTokenCount': 90, 'candidatesTokenCount': 10, 'totalTokenCount': 100}
BLOCKED = {'promptFeedback': {'blockReason': 'SAFETY'}, 'usageMetadata': USAGE}


class Gemini:
    "What it says is decided by `mood`, or by `label`; what it hears is in `heard`."
    def __init__(self):
        self.heard, self.mood, self.label = [], 'well', lambda message, labels: labels[0]
        self.let_go = threading.Event() # ends what is slow

    def messages(self):
        "The tickets that arrived, as they were sent."
        return [request['contents'][0]['parts'][0]['text'] for _, _, request in self.heard]

    def reply(self, request):
        "Status, headers and body."
        form = request['generationConfig']['responseSchema']['properties']['label']
        message = json.loads(request['contents'][0]['parts'][0]['text'])['message']
        if self.mood in SERVER_ERRORS:
            code, status = SERVER_ERRORS[self.mood]
            return code, {'Retry-After': '7'} if code == 429 else {}, {'error': {'code': code, 'message': self.mood, 'status': status}}
        if self.mood == 'slow': self.let_go.wait(20)
        if self.mood == 'page': return 200, {}, '<html>Sign in</html>'
        said = {'blocked': BLOCKED, 'unsafe': candidate(None, 'SAFETY'), 'chatty': candidate('That is a login problem.'),
                'cut off': candidate('{"label": "LOG', 'MAX_TOKENS'), 'unknown': candidate('{"label": "HAPUS SEMUA"}'),
                'list': candidate('["LOGIN"]'), 'none': candidate('{"label": null}')}
        return 200, {}, said.get(self.mood) or candidate(json.dumps({'label': self.label(message, form['enum'])}))


@contextmanager
def gemini():
    "A running one; its address is `base`."
    fake = Gemini()

    class Handler(BaseHTTPRequestHandler):
        protocol_version, wbufsize = 'HTTP/1.1', -1 # head and body in one packet

        def do_POST(self):
            assert re.fullmatch(r'/v1beta/models/[\w.-]+:generateContent(\?.*)?', self.path), self.path
            request = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
            fake.heard.append((self.path, dict(self.headers), request))
            code, headers, body = fake.reply(request)
            raw = (body if isinstance(body, str) else json.dumps(body)).encode()
            try:
                self.send_response(code)
                for name, value in {**headers, 'Content-Type': 'application/json', 'Content-Length': len(raw)}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(raw)
            except OSError: pass # the other side has hung up

        def log_message(self, *_): pass

    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=[.05], daemon=True).start()
    fake.base = f'http://127.0.0.1:{server.server_port}'
    try: yield fake
    finally:
        fake.let_go.set()
        server.shutdown()
        server.server_close()
