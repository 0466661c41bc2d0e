"A collector that may be killed at any moment; forked from a server that has imported all of it."
import asyncio

from mytech.core.config import load_settings
from mytech.core.schema import Prediction
from mytech.services.store import open_store
from mytech.house import House
from mytech.wiring import collect


class NoModel:
    def current(self): return None


def guess(texts, solvings): return [Prediction('KENDALA LOGIN', .9, 'AUTO', model_version='v1') for _ in texts]


def main(database_url, api_base, ready):
    settings = load_settings(env_file=None, database_url=database_url, telegram_api_base=api_base,
                             telegram_bot_token='7000000001:x', solvers='ab:Ayu B')
    house = House(settings, open_store(database_url), NoModel(), guess)
    asyncio.run(collect(house, lambda said: ready.set()))
