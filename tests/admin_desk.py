"Admins at a desk, for tests: they type and press, and see what the bot would show, without Telegram."
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

from mytech.bots.admin import Look, Office, Page, keyboard, take
from mytech.bots.admin_bot import BOOK, page_of
from mytech.core.config import load_settings
from mytech.core.schema import Message, Prediction, Status
from mytech.services.store import Store, actions, outbox, reviews
from mytech.services.tickets import note_chat, open_ticket, save_predictions

MAYA, RINA, BUDI, BOT, TECH = 301, 302, 101, 7, -1005
NAMES = {MAYA: 'Maya', RINA: 'Rina', BUDI: 'Budi'}
LABELS = [f'GEJALA {n:02}' for n in range(20)]


def silent(): return SimpleNamespace(current=lambda: None, problem='', refresh=lambda: None)


@dataclass
class Shown:
    "A message of the bot as it stands in a chat."
    id: int
    chat: int
    owner: int
    page: Page
    date: int

    @property
    def text(self): return self.page.text
    @property
    def buttons(self): return [button for row in keyboard(self.page, self.owner) for button in row]
    def data(self, label): return next(button['callback_data'] for button in self.buttons if label in button['text'])


@dataclass
class Admins:
    store: Store
    changes: dict = field(default_factory=dict)
    live: object = field(default_factory=silent)
    shown: dict[int, Shown] = field(default_factory=dict)
    last: int = 0

    @property
    def office(self):
        settings = load_settings(None, **{'admin_user_ids': f'{MAYA},{RINA}', 'admin_chat_id': '-9', 'tech_chat_id': str(TECH), **self.changes})
        return Office(settings, self.store, self.live, BOT, 'admin_bot')

    def hears(self, update):
        "One update, and what came of it: (new messages, toasts)."
        with self.store.write() as connection: take(BOOK, self.office, connection, datetime.now(timezone.utc), update)
        return self.sends()

    def sends(self):
        with self.store.write() as connection:
            mine = outbox.c.destination.endswith(f':{BOT}') & (outbox.c.destination != f'retrain:{BOT}')
            rows = connection.execute(outbox.select().where(mine).order_by(outbox.c.id)).all()
            connection.execute(outbox.delete().where(outbox.c.id.in_([row.id for row in rows])))
        toasts = [row.payload['text'] for row in rows if 'query' in row.payload]
        return [self.place(row.payload) for row in rows if 'view' in row.payload], toasts

    def place(self, payload):
        self.last += not payload['edit']
        where = payload['edit'] or 50_000 + self.last
        self.shown[where] = Shown(where, payload['chat_id'], payload['owner'], page_of(self.office, payload), int(datetime.now(timezone.utc).timestamp()))
        return self.shown[where]

    def types(self, text, user=MAYA, chat=None, ago=0, **more):
        "Somebody writes; the answers."
        self.last += 1
        where = {'id': chat or user, 'type': 'private' if not chat else 'supergroup', **({'title': 'G'} if chat else {})}
        at = datetime.now(timezone.utc) - timedelta(minutes=ago)
        return self.hears({'message': {'message_id': self.last, 'date': int(at.timestamp()), 'text': text, 'chat': where,
                                       'from': {'id': user, 'first_name': NAMES.get(user, 'X')}, **more}})[0]

    def presses(self, shown, label='', user=MAYA, data=None):
        "Somebody presses a button: (messages that are new or changed, toasts)."
        raw = {'message_id': shown.id, 'date': shown.date, 'from': {'id': BOT, 'is_bot': True}, 'text': 'x',
               'chat': {'id': shown.chat, 'type': 'private' if shown.chat > 0 else 'supergroup', 'title': 'G'}}
        return self.hears({'callback_query': {'id': f'q{self.last}', 'from': {'id': user, 'first_name': NAMES.get(user, 'X')},
                                              'message': raw, 'data': shown.data(label) if data is None else data}})

    def view(self, name, *args, user=MAYA):
        with self.store.read() as connection:
            return BOOK.views[name](Look(self.office, connection, datetime.now(timezone.utc), user), *args)

    def rows(self, table=reviews):
        with self.store.read() as connection: return connection.execute(table.select().order_by(table.c.id)).all()

    def did(self): return [(row.user_id, row.action, row.target) for row in self.rows(actions)]


def tickets(store, n=5, ago=60, **more):
    "Doubtful tickets, the first one the most doubtful; their ids."
    now = datetime.now(timezone.utc)
    with store.write() as connection:
        note_chat(connection, TECH, 'Teknisi Jaksel')
        ids = [open_ticket(connection, Message(TECH, 1000 + number, BUDI, now - timedelta(minutes=ago), f'tdk bisa login <{number}> min', **more))
               for number in range(n)]
        save_predictions(connection, {ticket_id: Prediction(LABELS[0], .3 + place / 100, Status.REVIEW, tuple(zip(LABELS, (.3, .2, .1))), model_version='v1')
                                      for place, ticket_id in enumerate(ids)}, now)
    return ids
