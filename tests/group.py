"""A group of technicians and ops as updates of the Bot API, for tests."""
from dataclasses import dataclass, field
from datetime import datetime, timezone

from mytech.bots.collector import Desk, finish, take
from mytech.core.config import Settings, load_settings
from mytech.core.schema import Prediction, Status, Ticket
from mytech.services.store import Store, counted, outbox, predictions, ticket_messages, tickets
from mytech.services.tickets import as_ticket, joined, logs

NINE = 1_795_402_800   # 2026-11-23 09:00:00 in UTC+7, a Monday
BUDI, SITI, AYU, RUDI = 42, 43, 50, 51
SOLVERS = 'ab:Ayu B,rd:Rudi D'


def settings(**changes) -> Settings:
    return load_settings(None, **{'solvers': SOLVERS, **changes})


def post(message_id: int, user: int, text: str, minute: float = 0, chat: int = -7, reply_to: dict | None = None, **more):
    "A message of the Bot API. `minute` after nine."
    said = {'text': text} if text and not {'photo', 'video', 'document'} & set(more) else {}
    if text and not said: said = {'caption': text}
    answered = {'reply_to_message': {k: v for k, v in reply_to.items() if k != 'reply_to_message'}} if reply_to else {}
    return {'message_id': message_id, 'from': {'id': user, 'is_bot': False, 'first_name': f'P{user}'},
            'chat': {'id': chat, 'type': 'supergroup', 'title': f'Teknisi {-chat}'}, 'date': int(NINE + 60 * minute),
            **said, **answered, **more}


def photo(message_id: int, user: int, caption: str = '', minute: float = 0, **more):
    return post(message_id, user, caption, minute, photo=[{'file_id': 'small'}, {'file_id': f'big{message_id}'}], **more)


def new(message: dict) -> dict: return {'message': message}


def edit(message: dict, text: str, minute: float) -> dict:
    "The same message with another text."
    name = 'text' if 'text' in message else 'caption'
    return {'edited_message': {**message, name: text, 'edit_date': int(NINE + 60 * minute)}}


@dataclass
class Group:
    "A store, a stand-in for the model, and what both have seen."
    store: Store
    settings: Settings = field(default_factory=settings)
    broken: object = None                      # raised by the model, or returned as `None`
    asked: list = field(default_factory=list)  # (text, solving) that the model was asked about

    def predict(self, texts, solvings):
        self.asked += zip(texts, solvings)
        if isinstance(self.broken, Exception): raise self.broken
        if self.broken: return None
        return [Prediction(f'label of {text[:20]}', .91, Status.AUTO, ((text[:20], .91),)) for text in texts]

    def hear(self, *updates: dict) -> None:
        "One batch, one transaction."
        with self.store.write() as connection:
            desk = Desk(self.settings, self.predict, 7, 'mytech_bot', connection,
                        datetime.fromtimestamp(NINE + 3600, timezone.utc))
            for update in updates: take(desk, update)
            finish(desk)

    def tickets(self) -> list[Ticket]:
        "Every ticket, answered or not."
        with self.store.read() as connection:
            return [as_ticket(row) for row in connection.execute(joined().order_by(tickets.c.id))]

    def logs(self) -> list[Ticket]:
        with self.store.read() as connection: return [as_ticket(row) for row in logs(connection)]

    def counts(self) -> dict[str, int]:
        with self.store.read() as connection: return counted(connection)

    def said(self) -> list[dict]:
        "What the bot would send."
        with self.store.read() as connection:
            mine = outbox.select().where(outbox.c.destination == 'telegram:7').order_by(outbox.c.id)
            return list(connection.scalars(mine.with_only_columns(outbox.c.payload)))

    def rows(self) -> dict[str, list]:
        "All rows that matter, without what depends on the order of insertion."
        with self.store.read() as connection:
            ids = dict(connection.execute(tickets.select().with_only_columns(tickets.c.id, tickets.c.tech_message_id)).all())
            tied = connection.execute(ticket_messages.select()).all()
            guesses = connection.execute(predictions.select()).all()
        return {'tickets': sorted(map(repr, self.tickets())),
                'messages': sorted((m.chat_id, m.message_id, ids[m.ticket_id]) for m in tied),
                'predictions': sorted((ids[p.ticket_id], p.label) for p in guesses)}
