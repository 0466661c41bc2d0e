"""The response clock: to the second, over nights, pauses that overlap, and days that are no 24 hours long."""
import random
from datetime import datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from mytech.core.config import read_pauses
from mytech.core.sla import active_minutes, active_seconds, sla

JAKARTA = ZoneInfo('Asia/Jakarta')
USUAL = read_pauses('00:00-06:00,13:00-14:00,19:00-20:00')


def local(text: str, zone: ZoneInfo = JAKARTA) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def ticking(start: datetime, end: datetime, pauses, zone: ZoneInfo) -> int:
    "Seconds in which a clock on the wall shows no pause, counted one by one."
    seconds, now = 0, start.astimezone(timezone.utc)
    while now < end:
        shown = now.astimezone(zone).time()
        seconds += not any(stop <= shown and (shown < resume or resume == time(0)) for stop, resume in pauses)
        now += timedelta(seconds=1)
    return seconds


@pytest.mark.parametrize('start, end, minutes', [
    ('2026-11-20 09:00:00', '2026-11-20 09:00:00', 0.0),
    ('2026-11-20 09:00:00', '2026-11-20 09:15:00', 15.0),
    ('2026-11-20 09:00:00', '2026-11-20 09:00:01', 0.02),
    ('2026-11-20 12:59:59', '2026-11-20 13:00:00', 0.02),
    ('2026-11-20 12:59:59', '2026-11-20 13:30:00', 0.02),
    ('2026-11-20 13:00:00', '2026-11-20 13:59:59', 0.0),
    ('2026-11-20 13:00:00', '2026-11-20 14:00:00', 0.0),
    ('2026-11-20 13:30:00', '2026-11-20 14:00:01', 0.02),
    ('2026-11-20 12:50:00', '2026-11-20 14:10:00', 20.0),
    ('2026-11-20 12:00:00', '2026-11-20 21:00:00', 420.0),
    ('2026-11-19 23:59:59', '2026-11-20 05:59:59', 0.02),
    ('2026-11-19 23:50:00', '2026-11-20 06:05:00', 15.0),
    ('2026-11-19 18:55:00', '2026-11-20 06:05:00', 250.0),   # evening and night
    ('2026-11-19 12:55:00', '2026-11-20 14:05:00', 970.0),   # lunch, evening, night, lunch
    ('2026-11-17 09:00:00', '2026-11-20 09:00:00', 3 * 960.0),
    ('2026-12-31 23:00:00', '2027-01-01 07:00:00', 120.0),
    ('2028-02-28 23:00:00', '2028-03-01 07:00:00', 60 + 960 + 60.0),
    ('2026-11-20 09:00:00', '2026-11-20 08:00:00', 0.0),
    ('2026-11-20 09:00:00', '2026-11-13 08:00:00', 0.0)])
def test_minutes_of_the_usual_desk(start, end, minutes):
    assert active_minutes(local(start), local(end), USUAL, JAKARTA) == minutes


@pytest.mark.parametrize('pauses, minutes', [
    ('', 1440.0), ('00:00-24:00', 0.0), ('22:00-24:00', 1320.0), ('22:00-24:00,00:00-06:00', 960.0),
    ('10:00-12:00,11:00-13:00', 1260.0), ('10:00-13:00,11:00-12:00', 1260.0),
    ('10:00-11:00,11:00-12:00', 1320.0), ('10:00-11:00,10:00-11:00', 1380.0), ('23:59-24:00', 1439.0)])
def test_a_whole_day_under_other_pauses(pauses, minutes):
    day = local('2026-11-20 09:00'), local('2026-11-21 09:00')
    assert active_minutes(*day, read_pauses(pauses), JAKARTA) == minutes


CHANGES = [('Europe/Berlin', '2026-03-29'), ('Europe/Berlin', '2026-10-25'),
           ('America/New_York', '2026-03-08'), ('America/New_York', '2026-11-01'),
           ('Australia/Lord_Howe', '2026-10-04'), ('Asia/Jakarta', '2026-11-20')]


@pytest.mark.parametrize('zone, day', CHANGES)
@pytest.mark.parametrize('pauses', ['00:00-06:00,13:00-14:00', '01:30-02:30', '02:00-03:00', '02:30-02:45', '01:15-01:45'])
def test_against_a_ticking_clock_on_the_days_of_change(zone, day, pauses):
    dice, zone, pauses = random.Random(f'{zone}{day}{pauses}'), ZoneInfo(zone), read_pauses(pauses)
    for _ in range(2):
        start = local(f'{day} 00:00', zone).astimezone(timezone.utc) + timedelta(seconds=dice.randrange(-3600, 3 * 3600))
        end = start + timedelta(seconds=dice.randrange(4 * 3600))
        assert active_seconds(start, end, pauses, zone) == ticking(start, end, pauses, zone), (start, end)


def test_against_a_ticking_clock_at_random():
    dice = random.Random(15)
    for _ in range(12):
        marks = [time(h, m) for h, m in sorted((dice.randrange(24), dice.randrange(60)) for _ in range(6))]
        pauses = tuple(sorted((a, b) for a, b in (dice.sample(marks, 2) for _ in range(4)) if a < b))
        start = local('2026-11-20 00:00') + timedelta(seconds=dice.randrange(86400))
        end = start + timedelta(seconds=dice.randrange(20_000))
        assert active_seconds(start, end, pauses, JAKARTA) == ticking(start, end, pauses, JAKARTA)


@pytest.mark.parametrize('zone, start', [('Europe/Berlin', '2026-01-01'), ('America/New_York', '2026-01-01'),
                                         ('Asia/Jakarta', '2026-01-01')])
def test_a_wait_may_be_cut_anywhere(zone, start):
    dice, zone = random.Random(zone), ZoneInfo(zone)
    start = local(start, zone).astimezone(timezone.utc)
    for _ in range(30):
        a, b, c = (start + timedelta(seconds=n) for n in sorted(dice.sample(range(400 * 86400), 3)))
        whole, parts = active_seconds(a, c, USUAL, zone), [active_seconds(*p, USUAL, zone) for p in ((a, b), (b, c))]
        assert whole == pytest.approx(sum(parts), abs=1e-4)


def test_the_zone_of_the_arguments_does_not_matter():
    start, end = local('2026-11-19 23:50'), local('2026-11-20 06:05')
    for zone in (timezone.utc, ZoneInfo('America/New_York')):
        assert active_minutes(start.astimezone(zone), end.astimezone(zone), USUAL, JAKARTA) == 15.0


@pytest.mark.parametrize('minutes, target, status, remaining', [
    (0, 15, 'OK', 15), (14.99, 15, 'OK', .01), (15, 15, 'OK', 0), (15.01, 15, 'TERLAMBAT', 0),
    (999, 15, 'TERLAMBAT', 0), (20.5, 30, 'OK', 9.5), (0.1, 0.3, 'OK', 0.2)])
def test_the_judgement(minutes, target, status, remaining):
    judged = sla(minutes, target)
    assert (judged.minutes, judged.status, judged.remaining) == (minutes, status, remaining)
