"The same promises on a real PostgreSQL: what is tested on SQLite elsewhere, once more, and what only a server can do wrong."
# ruff: noqa: F401 (tests of other modules, with our fixtures)
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from itertools import count as counting
from threading import Barrier

import pytest
import sqlalchemy as sa
from group import Group, new, photo
from support import AYU, BUDI, COLLECTOR, JAKSEL, Sandbox, exported, free_port, running, until
from test_collector import (
    test_a_follow_up_goes_to_the_newest_open_ticket,
    test_a_group_that_becomes_a_supergroup_is_one_group,
    test_a_new_title_is_the_label_of_all_its_tickets,
    test_an_album_is_one_ticket,
    test_an_edited_answer_amends_its_ticket_and_adds_no_row,
    test_message_ids_repeat_across_groups,
    test_oncek_then_solution,
    test_requests_and_answers_in_any_order,
    test_solution_without_oncek,
    test_without_a_model_the_ticket_is_kept_and_confirmed,
)
from test_inbox import (
    test_a_batch_has_a_limit_and_an_order,
    test_a_batch_that_ends_badly_keeps_its_tickets_and_holds_up_nobody,
    test_a_lane_that_fails_holds_up_itself_alone,
    test_a_malformed_update_is_set_aside_and_harms_no_other,
    test_an_id_is_forgotten_a_week_after_it_was_handled,
    test_an_order_is_kept_in_each_lane,
    test_half_an_emoji_survives_the_inbox,
    test_later_comes_with_growing_pauses,
    test_many_lanes_that_wait_hold_up_no_other,
    test_never_is_parked_with_its_reason_and_the_lane_goes_on,
    test_redelivery_in_any_grouping_stores_each_once,
    test_two_bots_may_have_equal_ids,
    test_what_nobody_needs_to_hear_any_more_is_dropped,
)
from test_media import House, picture
from test_store import (
    test_a_database_of_a_newer_version_is_refused_and_left_alone,
    test_a_database_of_the_first_version_is_brought_up_to_date,
    test_a_migration_that_fails_leaves_nothing,
    test_a_naive_time_is_refused,
    test_a_reader_sees_one_moment_and_holds_up_no_writer,
    test_a_ticket_needs_its_chat,
    test_another_one_takes_over_from_who_died,
    test_counters_by_day,
    test_insert_new_says_how_many_were_new,
    test_many_writers_lose_nothing,
    test_nothing_is_kept_of_a_block_that_fails,
    test_nothing_is_kept_of_a_reader,
    test_opening_again_keeps_what_is_there,
    test_processes_that_open_a_new_database_at_once,
    test_several_senders_send_each_message_once_and_every_lane_in_order,
    test_the_migrations_make_the_declared_tables,
    test_times_are_aware_whatever_zone_they_had,
    test_up_down_and_up_again,
    test_what_is_being_sent_is_nobody_elses_however_long_it_takes,
    test_what_was_parked_is_told_and_tried_again,
)
from test_teacher import (
    test_a_kept_promise_that_is_sent_again_costs_nothing,
    test_a_person_has_the_last_word,
    test_agreement_raises_and_contradiction_replaces,
    test_an_edited_ticket_makes_the_first_promise_void,
    test_an_hour_later_nobody_waits,
    test_its_word_is_worth_what_reviews_say,
    test_the_budget_outlives_a_restart,
    test_two_collectors_never_ask_about_the_same_ticket,
    test_what_was_answered_is_known_after_a_restart_and_to_others,
    fake,
)
from test_teacher import house as house # the name is also that of a local

from mytech.bots.inbox import Batch, handle_pending, store_updates
from mytech.core.config import load_settings
from mytech.core.schema import Message, Prediction, Status
from mytech.ops.review import Hand, Refusal, decide, hold, take_back_last, upcoming
from mytech.services.duties import claim, remember
from mytech.services.shadow import compare, save_shadows
from mytech.services.store import count, counted, metadata, open_store
from mytech.services.tickets import (
    confirmed,
    count_new,
    logs,
    mark_trained,
    note_chat,
    open_ticket,
    save_predictions,
    save_review,
    tracked,
    unpredicted,
)

NOW = datetime(2026, 11, 20, 2, 30, tzinfo=timezone.utc)
NUMBERS = counting(1)


@pytest.fixture(scope='module')
def server(postgres):
    engine = sa.create_engine(postgres, isolation_level='AUTOCOMMIT')
    with engine.connect() as connection:          # a test's data may be lost
        connection.exec_driver_sql('ALTER SYSTEM SET fsync = off')
        connection.exec_driver_sql('SELECT pg_reload_conf()')
    yield engine
    engine.dispose()


@pytest.fixture
def url(server):
    "The address of an empty database."
    name = f'mytech{next(NUMBERS)}'
    with server.connect() as connection: connection.exec_driver_sql(f'CREATE DATABASE {name}')
    return server.url.set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope='module')
def opened(server):
    store = open_store(server.url.render_as_string(hide_password=False))
    yield store
    store.close()


@pytest.fixture
def emptied(opened):
    with opened.write() as connection:
        connection.exec_driver_sql(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY")
    return opened


@pytest.fixture
def store(request):
    "A store with nothing in it; for tests that change its tables, or open it again, one of their own."
    alone = 'url' in request.fixturenames or 'up_down' in request.node.name
    store = open_store(request.getfixturevalue('url')) if alone else request.getfixturevalue('emptied')
    yield store
    if alone: store.close()


@pytest.fixture
def group(store): return Group(store)


def at_once(url, work, crowd=4):
    "What each of several processes' stores gets out of it, all beginning together."
    stores, start = [open_store(url) for _ in range(crowd)], Barrier(crowd)

    def one(store):
        start.wait(10)
        return work(store)

    with ThreadPoolExecutor(crowd) as threads: found = list(threads.map(one, stores))
    for store in stores: store.close()
    return found


def test_several_workers_apply_each_update_once_and_in_order(url, store):
    batch, applied = [{'update_id': number} for number in range(60)], []
    with store.write() as connection: store_updates(connection, 7, batch, NOW)

    def work(own):
        def open_batch(connection):
            return Batch(lambda update: applied.append(update['update_id']), lambda: count(connection, 'batches', NOW))
        return sum(handle_pending(own, 7, open_batch, limit=7) for _ in range(12))

    assert sum(at_once(url, work)) == 60
    assert applied == list(range(60))
    with store.read() as connection: assert counted(connection) == {'batches': 9}


def test_several_processes_may_count_the_first_of_a_day(url, store):
    def work(own):
        for number in range(25):
            with own.write() as connection: count(connection, f'name {number}', NOW)
    at_once(url, work)
    with store.read() as connection: assert set(counted(connection).values()) == {4}


def test_of_several_admins_at_one_ticket_one_decides_and_each_is_dealt_another(url, store):
    with store.write() as connection:
        note_chat(connection, -1, 'Teknisi')
        ids = [open_ticket(connection, Message(-1, n, 7, NOW, f'otp blm masuk {n}')) for n in range(6)]
        save_predictions(connection, {n: Prediction('OTP', .4, Status.REVIEW, (('OTP', .4),)) for n in ids}, NOW)

    def work(own):
        with own.write() as connection:
            try: decide(Hand(connection, NOW, 1, 'Maya'), ids[0], 0, 'OTP')
            except Refusal as refusal: return str(refusal)

    def sit(own):
        desk = str(id(own))
        with own.read() as connection: found = upcoming(Hand(connection, NOW, 1), desk)
        with own.write() as connection: return hold(Hand(connection, NOW, 1), desk, found)[0]

    assert Counter(at_once(url, work)) == {None: 1, 'already_reviewed': 3}
    assert len(set(at_once(url, sit, crowd=3))) == 3
    with store.write() as connection: assert take_back_last(Hand(connection, NOW, 1, 'Maya')) == ids[:1]


def test_the_life_of_a_ticket(store):
    with store.write() as connection:
        note_chat(connection, -1, 'Teknisi')
        ids = [open_ticket(connection, Message(-1, n, 7, NOW, f'otp blm masuk {n}')) for n in range(4)]
        assert sorted(unpredicted(connection, NOW)) == ids
        said = Prediction('OTP', .9, Status.AUTO, (('OTP', .9),), model_version='v1')
        save_predictions(connection, {ticket_id: said for ticket_id in ids}, NOW)
        for ticket_id, label in zip(ids, ['OTP', 'Login', 'OTP']): save_review(connection, ticket_id, label, 'rina', NOW)
        save_shadows(connection, 'v2', [{'ticket_id': ticket_id, 'label': 'Login', 'confidence': .8, 'predicted_at': NOW}
                                        for ticket_id in ids])
    with store.read() as connection:
        found = compare(connection, 'v2')
        assert (found['tickets'], found['agreement'], found['reviewed']) == (4, 0, 3)
        assert (round(found['champion_accuracy'], 2), round(found['shadow_accuracy'], 2)) == (.67, .33)
        assert Counter(row.review_status for row in tracked(connection)) == {'APPROVED': 2, 'CORRECTED': 1, None: 1}
        learned = confirmed(connection)
        assert count_new(connection) == 3 == len(learned) and list(logs(connection)) == []
    with store.write() as connection:
        assert mark_trained(connection, learned) == 3
        assert count_new(connection) == 0


def test_a_duty_is_done_by_one_of_those_who_look_at_the_same_moment(url):
    stores, barrier = [open_store(url) for _ in range(4)], Barrier(4)
    with stores[0].write() as connection: claim(connection, 'digest', NOW)
    def look(store):
        barrier.wait(20)
        with store.write() as connection:
            memory = claim(connection, 'digest', NOW)
            connection.exec_driver_sql('SELECT pg_sleep(.2)') # long enough for all to be inside, if they could
            remember(connection, 'digest', {'told': 1}, NOW)
            return not memory.get('told')
    with ThreadPoolExecutor(4) as threads: told = list(threads.map(look, stores))
    for store in stores: store.close()
    assert sum(told) == 1


def test_a_collector_on_a_server(url, tmp_path):
    box, house = tmp_path/'box', tmp_path/'house'
    for folder in (box, house): folder.mkdir()
    with running(box, 'sandbox', SANDBOX_PORT=(port := free_port())):
        people = Sandbox(port)
        settings = {'DATABASE_URL': url, 'TELEGRAM_API_BASE': people.base, 'TELEGRAM_BOT_TOKEN': f'{COLLECTOR}:{"A" * 35}',
                    'SOLVERS': 'ab:Ayu B'}
        with running(house, 'collector', until_said='is listening', **settings):
            question = people.send(BUDI, JAKSEL, 'tdk bisa login mytech min')
            answer = people.send(AYU, JAKSEL, 'sudah direset, MIT -ab', question['message_id'])
            assert 'Tercatat' in until(lambda: people.reply_to(answer))['text']
        [row] = exported(house, **settings)
    assert (row['tech_raw_text'], row['solving'], row['solver_name']) == ('tdk bisa login mytech min', 'sudah direset', 'Ayu B')


def test_the_same_file_is_kept_once_and_opens_from_both_tickets(url, tmp_path):
    house = House(tmp_path, load_settings(None, artifacts_url=str(tmp_path)), url)
    house.files = {'big10': picture('red'), 'big11': picture('red'), 'big12': picture('green')}
    house.hear(*(new(photo(n, user, 'gagal upload evidence', media_group_id=album))
                 for n, user, album in ((10, 42, ''), (11, 43, 'a'), (12, 43, 'a'))))
    house.work()
    first, second = house.urls()
    assert second.split()[0] == first and len(house.names()) == 2 and house.waits() == []
    assert house.client().get(second.split()[1]).content == picture('green')
    house.store.close()
