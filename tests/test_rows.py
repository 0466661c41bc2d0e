"""The users' sheets: names, order and formats, to the letter."""
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from mytech.core.rows import local_stamp, logs_row, tracking_row
from mytech.core.schema import LOGS, MONITORING, TRACKING, Prediction, Ticket

JAKARTA = ZoneInfo('Asia/Jakarta')
ASKED = datetime(2026, 11, 19, 17, 30, 5, tzinfo=timezone.utc)   # 00:30:05 of the 20th in Jakarta
HEADERS = {
    LOGS: 'group_label,ticket_date,response_at,tech_message_id,tech_message_date,tech_message_time,tech_raw_text,'
          'media_type,media_url,ops_message_id,ops_text,solving,solve_timestamp,app_code,solver_name,is_oncek,'
          'sla_response_min,sla_status,sla_remaining_min,symtomps',
    TRACKING: 'tech_message_id,tech_raw_text,solving,symtomps,ml_confidence,review_status,timestamps,'
              'prediction_source',
    MONITORING: 'datetime_hour,total_predictions,avg_confidence,auto_count,review_count,pending_count,'
                'reviewed_count,accuracy,model_version'}


@pytest.mark.parametrize('columns, header', HEADERS.items())
def test_headers(columns, header):
    assert ','.join(columns) == header


def test_a_solved_ticket():
    ticket = Ticket(-1001, 7, ASKED, '=1+1', 'Teknisi Jaksel', 42, media_type='photo', media_url='media/7.jpg',
                    is_oncek=True, response_at=ASKED + timedelta(minutes=3), ops_message_id=9,
                    ops_text='done, MIT -ab', solving='done', solved_at=ASKED + timedelta(hours=1), app_code='MIT',
                    solver_name='Ayu B', sla_minutes=3.0, sla_target=15, symptom='KENDALA LOGIN')
    assert logs_row(ticket, JAKARTA) == dict(zip(LOGS, (
        'Teknisi Jaksel', '2026-11-20', '2026-11-20 00:33:05', 7, '2026-11-20', '00:30:05', '=1+1', 'photo',
        'media/7.jpg', 9, 'done, MIT -ab', 'done', '2026-11-20 01:30:05', 'MIT', 'Ayu B', 'true', 3.0, 'OK', 12.0,
        'KENDALA LOGIN')))
    assert tuple(logs_row(ticket, JAKARTA)) == LOGS


def test_what_is_not_known_is_empty():
    row = logs_row(Ticket(-1001, 7, ASKED), JAKARTA)
    assert {name for name, value in row.items() if value == ''} == set(LOGS) - {
        'ticket_date', 'tech_message_id', 'tech_message_date', 'tech_message_time', 'is_oncek'}
    assert row['is_oncek'] == 'false'


@pytest.mark.parametrize('minutes, target, cells', [
    (0.0, 15, (0.0, 'OK', 15.0)), (15.0, 15, (15.0, 'OK', 0.0)), (15.01, 15, (15.01, 'TERLAMBAT', 0.0)),
    (17.5, 20, (17.5, 'OK', 2.5))])
def test_sla_cells_follow_the_target_that_counted_then(minutes, target, cells):
    row = logs_row(Ticket(-1, 7, ASKED, response_at=ASKED, sla_minutes=minutes, sla_target=target), JAKARTA)
    assert (row['sla_response_min'], row['sla_status'], row['sla_remaining_min']) == cells


def test_a_tracking_row():
    ticket = Ticket(-1001, 7, ASKED, 'tdk bisa login', solving='done')
    guess = Prediction('KENDALA LOGIN', 0.873512, 'AUTO')
    assert tracking_row(ticket, guess, 'CORRECTED', 'USER AUTH LOCKED', ASKED, JAKARTA) == dict(zip(TRACKING, (
        7, 'tdk bisa login', 'done', 'USER AUTH LOCKED', 0.8735, 'CORRECTED', '2026-11-20 00:30:05', 'lightgbm')))


@pytest.mark.parametrize('moment, text', [
    (None, ''), (ASKED, '2026-11-20 00:30:05'), (ASKED.replace(microsecond=999_999), '2026-11-20 00:30:05'),
    (datetime(2026, 11, 20, 23, 59, 59, tzinfo=JAKARTA), '2026-11-20 23:59:59')])
def test_stamps_are_local(moment, text):
    assert local_stamp(moment, JAKARTA) == text
