"""DOMAIN's rules as scenarios: what is said in a group, and the tickets that come of it."""
import random
from datetime import datetime, timezone
from itertools import permutations

import pytest
from group import AYU, BUDI, NINE, RUDI, SITI, Group, edit, new, photo, post, settings

from mytech.services.store import open_store

QUESTION = post(10, BUDI, 'tdk bisa login mytech min, muter terus')
ONCEK = post(11, AYU, 'oncek ya', 3, reply_to=QUESTION)
SOLUTION = post(12, AYU, 'silakan clear cache, login ulang, MIT -ab', 10, reply_to=QUESTION)


def at(minute: float) -> datetime: return datetime.fromtimestamp(NINE + 60 * minute, timezone.utc)


@pytest.fixture
def group():
    group = Group(open_store('sqlite://'))
    yield group
    group.store.close()


def only(found):
    assert len(found) == 1, found
    return found[0]


# Answers

def test_a_request_is_a_ticket_at_once(group):
    group.hear(new(QUESTION))
    ticket = only(group.tickets())
    assert (ticket.tech_at, ticket.tech_text, ticket.tech_user_id, ticket.group_label) == (
        at(0), QUESTION['text'], BUDI, 'Teknisi 7')
    assert ticket.symptom and group.asked == [(QUESTION['text'], '')]
    assert group.logs() == [] and group.said() == []


def test_oncek_then_solution(group):
    group.hear(new(QUESTION))
    group.hear(new(ONCEK))
    first = only(group.logs())
    assert (first.is_oncek, first.response_at, first.sla_minutes, first.ops_message_id, first.ops_text) == (
        True, at(3), 3.0, 11, 'oncek ya')
    assert (first.solved_at, first.solving, first.solver_name) == (None, '', '')
    group.hear(new(SOLUTION))
    done = only(group.logs())
    assert (done.is_oncek, done.response_at, done.sla_minutes, done.solved_at) == (True, at(3), 3.0, at(10))
    assert (done.ops_message_id, done.ops_text, done.solving, done.app_code, done.solver_name) == (
        12, SOLUTION['text'], 'silakan clear cache, login ulang', 'MIT', 'Ayu B')
    assert group.asked[-1] == (QUESTION['text'], 'silakan clear cache, login ulang')


def test_solution_without_oncek(group):
    group.hear(new(QUESTION), new(SOLUTION))
    ticket = only(group.logs())
    assert (ticket.is_oncek, ticket.response_at, ticket.solved_at, ticket.sla_minutes) == (False, at(10), at(10), 10.0)
    said = only(group.said())
    assert (said['chat_id'], said['reply_to'], said['thread_id']) == (-7, 12, None)


def test_oncek_that_is_signed_names_the_solver_and_solves_nothing(group):
    group.hear(new(QUESTION), new(post(11, AYU, 'oncek, MIT -ab', 3, reply_to=QUESTION)))
    ticket = only(group.logs())
    assert (ticket.is_oncek, ticket.solver_name, ticket.app_code, ticket.open) == (True, 'Ayu B', 'MIT', True)


def test_oncek_inside_a_solution_is_a_solution(group):
    group.hear(new(QUESTION), new(post(11, AYU, 'sudah oncek, done reset, MIT -ab', 3, reply_to=QUESTION)))
    ticket = only(group.logs())
    assert (ticket.is_oncek, ticket.solving, ticket.open) == (False, 'sudah oncek, done reset', False)


def test_oncek_does_not_ask_the_model_again(group):
    group.hear(new(QUESTION))
    group.hear(new(ONCEK))
    assert len(group.asked) == 1


def test_the_first_solution_stands(group):
    group.hear(new(QUESTION), new(SOLUTION))
    before = group.rows()['tickets']
    group.hear(new(post(13, RUDI, 'sudah direset juga, MIT -rd', 12, reply_to=QUESTION)),
               new(post(14, RUDI, 'oncek', 13, reply_to=QUESTION)))
    assert group.rows()['tickets'] == before
    assert group.counts() == {'answered_again': 2}


def test_the_first_oncek_stops_the_clock(group):
    group.hear(new(QUESTION), new(ONCEK), new(post(13, RUDI, 'oncek', 9, reply_to=QUESTION)))
    assert (only(group.logs()).response_at, only(group.logs()).ops_message_id) == (at(3), 11)


def test_late_answers_are_late(group):
    group.hear(new(QUESTION), new(post(12, AYU, 'done, MIT -ab', 15.5, reply_to=QUESTION)))
    assert only(group.logs()).sla_minutes == 15.5
    assert 'terlambat (batas 15 menit)' in only(group.said())['text']


def test_an_answer_may_come_before_its_question(group):
    group.hear(new(SOLUTION))
    group.hear(new(QUESTION))
    assert (only(group.logs()).tech_at, only(group.logs()).sla_minutes) == (at(0), 10.0)


def test_an_answer_to_a_message_that_the_bot_never_saw(group):
    unseen = photo(10, BUDI, 'gagal upload evidence')
    group.hear(new(post(12, AYU, 'done, MIT -ab', 10, reply_to=unseen)))
    ticket = only(group.logs())
    assert (ticket.tech_text, ticket.media_type, ticket.sla_minutes) == ('gagal upload evidence', 'photo', 10.0)


def test_ops_know_what_a_request_is(group):
    greeting = post(10, BUDI, 'pagi min')
    group.hear(new(greeting), new(post(12, AYU, 'oncek', 2, reply_to=greeting)))
    assert only(group.logs()).tech_text == 'pagi min'


def test_an_answer_to_an_answer_finds_the_ticket(group):
    group.hear(new(QUESTION), new(ONCEK), new(post(12, AYU, 'done, MIT -ab', 10, reply_to=ONCEK)))
    assert only(group.tickets()).solving == 'done'


def test_an_answer_to_a_follow_up_finds_the_ticket(group):
    chasing = post(11, BUDI, 'up min', 5)
    group.hear(new(QUESTION), new(chasing), new(post(12, AYU, 'done, MIT -ab', 10, reply_to=chasing)))
    ticket = only(group.tickets())
    assert (ticket.solving, ticket.sla_minutes) == ('done', 10.0)


@pytest.mark.parametrize('text', ['oncek', 'done, MIT -ab'])
def test_an_answer_to_a_bot_is_no_ticket(group, text):
    of_bot = {**post(10, 7, 'Tercatat'), 'from': {'id': 7, 'is_bot': True, 'first_name': 'MyTech'}}
    group.hear(new(post(12, AYU, text, 10, reply_to=of_bot)))
    assert group.tickets() == [] and group.counts() == {'answer_to_nothing': 1}


def test_unknown_initials_are_answered_with_the_form_and_repaired_by_an_edit(group):
    wrong = post(12, AYU, 'done reset, MIT -zz', 10, reply_to=QUESTION)
    group.hear(new(QUESTION), new(wrong))
    said = only(group.said())
    assert '-zz' in said['text'] and 'MIT -ab' in said['text'] and said['reply_to'] == 12
    assert only(group.tickets()).open and group.logs() == []
    group.hear(edit(wrong, 'done reset, MIT -rd', 12))
    assert (only(group.logs()).solver_name, only(group.logs()).sla_minutes) == ('Rudi D', 12.0)


def test_without_solvers_initials_are_names(group):
    group.settings = settings(solvers='')
    group.hear(new(QUESTION), new(post(12, AYU, 'done, MIT -xy', 10, reply_to=QUESTION)))
    assert only(group.logs()).solver_name == 'XY'


# Who may answer

@pytest.mark.parametrize('ops_ids, user, answered', [
    ('', AYU, True), ('', BUDI, True), (f'{AYU}', AYU, True), (f'{AYU}', SITI, False), (f'{AYU},{RUDI}', RUDI, True)])
@pytest.mark.parametrize('text', ['oncek', 'done, MIT -ab'])
def test_who_may_answer(group, ops_ids, user, answered, text):
    group.settings = settings(ops_user_ids=ops_ids)
    group.hear(new(QUESTION), new(post(12, user, text, 10, reply_to=QUESTION)))
    assert bool(group.logs()) is answered


def test_ops_open_no_tickets_where_ops_are_known(group):
    group.settings = settings(ops_user_ids=f'{AYU}')
    talk = post(10, AYU, 'server error, mohon bersabar rekan')
    group.hear(new(talk), new(post(11, AYU, 'ini bukan jawaban', 1, reply_to=QUESTION)),
               new(post(12, AYU, 'oncek', 2, reply_to=talk)))
    assert group.tickets() == []
    assert group.counts() == {'ops_talk': 1, 'ignored_reply': 1, 'answer_to_nothing': 1}


def test_an_anonymous_admin_is_nobody_in_particular(group):
    anonymous = {'from': {'id': 1087968824, 'is_bot': True, 'first_name': 'Group'}, 'sender_chat': {'id': -7}}
    group.hear(new({**QUESTION, **anonymous}), new({**SOLUTION, **anonymous}))
    ticket = only(group.logs())
    assert (ticket.tech_user_id, ticket.solving != '') == (0, True)
    group.settings = settings(ops_user_ids=f'{AYU}')
    other = post(20, BUDI, 'otp ga masuk')
    group.hear(new(other), new({**post(21, AYU, 'oncek', 1, reply_to=other), **anonymous}))
    assert len(group.logs()) == 1


def test_somebody_who_posts_as_a_channel_is_a_person(group):
    group.hear(new({**QUESTION, 'from': {'id': 136817688, 'is_bot': True, 'first_name': 'Channel'}}))
    assert only(group.tickets()).tech_user_id == 0


def test_posts_of_channels_and_bots_are_ignored(group):
    group.hear({'channel_post': QUESTION}, {'edited_channel_post': QUESTION},
               new({**QUESTION, 'is_automatic_forward': True}),
               new({**QUESTION, 'from': {'id': 99, 'is_bot': True, 'first_name': 'Bot'}}))
    assert group.tickets() == []


# Edits

def test_an_edited_answer_amends_its_ticket_and_adds_no_row(group):
    group.hear(new(QUESTION), new(SOLUTION))
    group.hear(edit(SOLUTION, 'ganti password, MIS -rd', 30))
    ticket = only(group.logs())
    assert (ticket.solving, ticket.app_code, ticket.solver_name, ticket.ops_text) == (
        'ganti password', 'MIS', 'Rudi D', 'ganti password, MIS -rd')
    assert (ticket.solved_at, ticket.sla_minutes) == (at(10), 10.0)
    assert len(group.rows()['predictions']) == 1 and group.asked[-1][1] == 'ganti password'


@pytest.mark.parametrize('text', ['salah', 'oncek', 'done MIT -ab', ''])
def test_an_answer_that_is_edited_into_none_stays(group, text):
    group.hear(new(QUESTION), new(SOLUTION))
    before = group.rows()
    group.hear(edit(SOLUTION, text, 30))
    assert group.rows() == before


def test_oncek_edited_into_a_solution(group):
    group.hear(new(QUESTION), new(ONCEK))
    group.hear(edit(ONCEK, 'oncek ya, sudah normal, MIT -ab', 8))
    ticket = only(group.logs())
    assert (ticket.is_oncek, ticket.response_at, ticket.solved_at) == (True, at(3), at(8))


def test_a_second_oncek_edited_into_a_solution(group):
    second = post(13, RUDI, 'oncek', 5, reply_to=QUESTION)
    group.hear(new(QUESTION), new(ONCEK), new(second))
    group.hear(edit(second, 'done, MIT -rd', 8))
    assert (only(group.logs()).solver_name, only(group.logs()).solved_at) == ('Rudi D', at(8))


@pytest.mark.parametrize('ops_ids', ['', f'{AYU}'])
def test_an_unsigned_answer_that_is_signed_by_an_edit(group, ops_ids):
    group.settings = settings(ops_user_ids=ops_ids)
    unsigned = post(12, AYU, 'sudah direset password nya', 10, reply_to=QUESTION)
    group.hear(new(QUESTION), new(unsigned))
    assert group.logs() == []
    group.hear(edit(unsigned, 'sudah direset password nya, MIT -ab', 60))
    ticket = only(group.logs())
    assert (ticket.solving, ticket.response_at, ticket.sla_minutes) == ('sudah direset password nya', at(60), 60.0)
    group.hear(edit(unsigned, 'sudah direset, MIT -ab', 61))
    assert only(group.logs()).solving == 'sudah direset'


def test_an_edit_to_unknown_initials_is_answered_and_changes_nothing(group):
    group.hear(new(QUESTION), new(SOLUTION))
    before = group.rows()
    group.hear(edit(SOLUTION, 'ganti password, MIT -zz', 30))
    assert group.rows() == before and '-zz' in group.said()[-1]['text']


def test_an_edited_request_is_predicted_again(group):
    group.hear(new(QUESTION))
    group.hear(edit(QUESTION, 'otp ga masuk', 2))
    ticket = only(group.tickets())
    assert (ticket.tech_text, ticket.tech_at, ticket.symptom) == ('otp ga masuk', at(0), 'label of otp ga masuk')
    group.hear(new(SOLUTION), edit(QUESTION, 'otp ga masuk sama sekali', 20))
    assert (only(group.tickets()).tech_text, only(group.tickets()).solved_at) == ('otp ga masuk sama sekali', at(10))


@pytest.mark.parametrize('minute, tickets', [(5, 1), (15, 1), (16, 0)])
def test_chatter_edited_into_a_request(group, minute, tickets):
    greeting = post(10, BUDI, 'pagi min')
    group.hear(new(greeting))
    group.hear(edit(greeting, 'pagi min, otp ga masuk', minute))
    assert len(group.tickets()) == tickets


def test_an_edit_may_come_before_its_message(group):
    group.hear(edit(QUESTION, 'otp ga masuk', 2))
    group.hear(new(QUESTION))
    assert only(group.tickets()).tech_text == 'otp ga masuk'


# Forwards, albums, topics

@pytest.mark.parametrize('mark', [{'forward_origin': {'type': 'user'}}, {'forward_date': NINE - 9999}])
def test_the_clock_of_a_forwarded_message_starts_with_the_answer(group, mark):
    forwarded = {**QUESTION, **mark}
    group.hear(new(forwarded), new(post(11, AYU, 'oncek', 40, reply_to=forwarded)),
               new(post(12, AYU, 'done, MIT -ab', 90, reply_to=forwarded)))
    ticket = only(group.logs())
    assert (ticket.forwarded, ticket.sla_minutes, ticket.response_at, ticket.solved_at) == (True, 0.0, at(40), at(90))


def album(caption_on: int, **more) -> list[dict]:
    return [photo(20 + n, BUDI, 'gagal upload foto evidence' if n == caption_on else '', media_group_id='a1', **more)
            for n in range(3)]


@pytest.mark.parametrize('order', list(permutations(range(3))))
@pytest.mark.parametrize('caption_on', range(3))
def test_an_album_is_one_ticket(group, caption_on, order):
    parts = album(caption_on)
    for n in order: group.hear(new(parts[n]))
    ticket = only(group.tickets())
    assert (ticket.tech_text, ticket.media_type) == ('gagal upload foto evidence', 'photo')
    assert group.asked[-1] == ('gagal upload foto evidence', '')


@pytest.mark.parametrize('seen', [(0, 1, 2), (0,), (1,), (2,), ()])
@pytest.mark.parametrize('answered', range(3))
def test_an_answer_to_any_part_of_an_album(group, seen, answered):
    parts = album(0)
    group.hear(*[new(parts[n]) for n in seen])
    group.hear(new(post(30, AYU, 'done, MIT -ab', 10, reply_to=parts[answered])))
    group.hear(*[new(part) for part in parts])
    ticket = only(group.tickets())
    assert (ticket.solving, ticket.tech_text) == ('done', 'gagal upload foto evidence')


def test_equal_album_ids_in_two_groups_are_two_albums(group):
    group.hear(*[new(part) for chat in (-7, -8) for part in album(0, chat=chat)])
    assert len(group.tickets()) == 2


def test_the_caption_of_an_album_is_edited_on_any_part(group):
    parts = album(1)
    group.hear(*map(new, parts))
    group.hear({'edited_message': {**parts[0], 'edit_date': NINE + 60}}, edit(parts[1], 'foto ga kekirim', 2))
    assert only(group.tickets()).tech_text == 'foto ga kekirim'


@pytest.mark.parametrize('caption_on', [0, 1])
@pytest.mark.parametrize('ops_ids', ['', f'{AYU}'])
def test_an_answer_may_be_an_album(group, caption_on, ops_ids):
    group.settings = settings(ops_user_ids=ops_ids)
    question = photo(10, BUDI)
    parts = [photo(20 + n, AYU, 'done, MIT -ab' if n == caption_on else '', 5, reply_to=question, media_group_id='o1')
             for n in range(2)]
    group.hear(new(question), *map(new, parts))
    ticket = only(group.tickets())
    assert (ticket.solving, ticket.tech_text) == ('done', '')
    group.hear(edit(parts[caption_on], 'done reset, MIT -ab', 6))
    assert (only(group.tickets()).solving, only(group.tickets()).tech_text) == ('done reset', '')


@pytest.mark.parametrize('kind, media, file_id', [
    ({'photo': [{'file_id': 's'}, {'file_id': 'b'}]}, 'photo', 'b'), ({'video': {'file_id': 'v'}}, 'video', 'v'),
    ({'video_note': {'file_id': 'n'}}, 'video', 'n'), ({'voice': {'file_id': 'o'}}, 'audio', 'o'),
    ({'audio': {'file_id': 'a'}}, 'audio', 'a'), ({'document': {'file_id': 'd'}}, 'document', 'd'),
    ({'animation': {'file_id': 'g'}, 'document': {'file_id': 'g'}}, 'animation', 'g')])
def test_media(group, kind, media, file_id):
    group.hear(new({**post(10, BUDI, '', **kind), 'caption': 'error min'}))
    assert only(group.tickets()).media_type == media


TOPIC = {'message_thread_id': 3, 'is_topic_message': True}
ROOT = {**post(3, AYU, '', -99), 'forum_topic_created': {'name': 'Jaksel', 'icon_color': 1}, **TOPIC}


def test_a_topic_is_answered_in_its_topic(group):
    question = post(10, BUDI, 'otp ga masuk', reply_to=ROOT, **TOPIC)
    group.hear(new(question), new(post(12, AYU, 'done, MIT -ab', 5, reply_to=question, **TOPIC)))
    assert only(group.tickets()).thread_id == 3 and only(group.said())['thread_id'] == 3


@pytest.mark.parametrize('text', ['oncek', 'done, MIT -ab'])
def test_talk_in_a_topic_answers_nobody(group, text):
    group.hear(new(post(11, AYU, text, 5, reply_to=ROOT, **TOPIC)))
    assert group.logs() == []


def test_a_follow_up_goes_to_the_ticket_of_its_topic(group):
    other = {'message_thread_id': 4, 'is_topic_message': True}
    group.hear(new(post(10, BUDI, 'otp ga masuk', reply_to=ROOT, **TOPIC)),
               new(post(11, BUDI, 'lupa password', 1, **other)), new(chasing := post(12, BUDI, 'up min', 2, reply_to=ROOT, **TOPIC)),
               new(post(13, AYU, 'done, MIT -ab', 5, reply_to=chasing, **TOPIC)))
    assert [ticket.solving for ticket in group.tickets()] == ['done', '']


def test_a_thread_outside_of_a_forum_is_no_topic(group):
    group.hear(new(QUESTION), new({**SOLUTION, 'message_thread_id': 10}))
    assert only(group.logs()).solving and only(group.said())['thread_id'] is None


# Groups

def test_message_ids_repeat_across_groups(group):
    questions = [post(10, user, 'otp ga masuk', chat=chat) for user, chat in ((BUDI, -7), (SITI, -8))]
    group.hear(*map(new, questions), new(post(12, AYU, 'done, MIT -ab', 5, chat=-8, reply_to=questions[1])))
    assert [(t.chat_id, t.tech_message_id, t.solving) for t in group.tickets()] == [(-7, 10, ''), (-8, 10, 'done')]
    assert only(group.said())['chat_id'] == -8


OLD, NEW = -7, -1007
MOVED = [new({**post(98, BUDI, '', 20, chat=OLD), 'migrate_to_chat_id': NEW}),
         new({**post(1, BUDI, '', 20, chat=NEW), 'migrate_from_chat_id': OLD})]


@pytest.mark.parametrize('said', [MOVED, MOVED[::-1], MOVED[:1], MOVED[1:], MOVED * 2])
@pytest.mark.parametrize('tech_chat_id', ['', f'{OLD}', f'{NEW}'])
def test_a_group_that_becomes_a_supergroup_is_one_group(group, said, tech_chat_id):
    group.settings = settings(tech_chat_id=tech_chat_id)
    if tech_chat_id == f'{NEW}': group.hear(*said)             # until then the old id was a stranger's
    group.hear(new(QUESTION))
    group.hear(*said)
    after = post(10, SITI, 'lupa password', 25, chat=NEW)       # the same message id again
    chasing = post(11, BUDI, 'up min', 26, chat=NEW)
    group.hear(new(after), new(chasing), new(post(12, AYU, 'done, MIT -ab', 30, chat=NEW, reply_to=chasing)))
    before, later = group.tickets()
    assert (before.chat_id, before.solving, before.sla_minutes) == (OLD, 'done', 30.0)
    assert (later.chat_id, later.solving, later.tech_text) == (NEW, '', 'lupa password')
    assert before.group_label == later.group_label == 'Teknisi 1007'


def test_a_group_may_move_within_a_batch(group):
    group.settings = settings(tech_chat_id=f'{OLD}')
    group.hear(new(QUESTION), MOVED[0], new(post(11, BUDI, 'up min', 26, chat=NEW)))
    assert group.rows()['messages'] == [(NEW, 11, 10), (OLD, 10, 10)]


def test_only_the_chosen_groups_are_watched(group):
    group.settings = settings(tech_chat_id='-8,-9')
    group.hear(*[new(post(10, BUDI, 'otp ga masuk', chat=chat)) for chat in (-7, -8, -9, 42)])
    assert [ticket.chat_id for ticket in group.tickets()] == [-8, -9]


def test_groups_with_another_duty_are_not_watched(group):
    group.settings = settings(ops_chat_id='-1', admin_chat_id='-2', report_chat_id='-3', suggest_chat_id='-4')
    group.hear(*[new(post(10, BUDI, 'otp ga masuk', chat=chat)) for chat in (-1, -2, -3, -4, -5, 42)])
    assert [ticket.chat_id for ticket in group.tickets()] == [-5]


@pytest.mark.parametrize('chat, label', [
    ({'title': 'Teknisi'}, 'Teknisi'), ({'title': '', 'username': 'teknisi_jkt'}, 'teknisi_jkt'), ({}, '-7'),
    ({'title': 'Tek\ud83d'}, 'Tek\ufffd')])
def test_group_labels(group, chat, label):
    group.hear(new({**QUESTION, 'chat': {'id': -7, 'type': 'group', **chat}}))
    assert only(group.tickets()).group_label == label


def test_a_new_title_is_the_label_of_all_its_tickets(group):
    group.hear(new(QUESTION))
    group.hear(new({**post(20, SITI, 'otp ga masuk'), 'chat': {**QUESTION['chat'], 'title': 'Baru'}}))
    assert {ticket.group_label for ticket in group.tickets()} == {'Baru'}


# Talk

@pytest.mark.parametrize('text', ['pagi min', 'makasih min sudah bisa', '\U0001f64f', 'ok siap', ''])
def test_talk_opens_no_ticket(group, text):
    group.hear(new(post(10, BUDI, text)))
    assert group.tickets() == [] and group.counts() == {'chatter': 1}


@pytest.mark.parametrize('text', ['up min', 'blm bisa', 'min yg tadi gmn', 'WO12345678'])
def test_a_follow_up_belongs_to_its_senders_ticket(group, text):
    group.hear(new(post(9, SITI, 'lupa password')), new(QUESTION), new(post(20, SITI, 'otp ga masuk', 1)),
               new(post(30, BUDI, text, 2)))
    assert (-7, 30, 10) in group.rows()['messages'] and len(group.tickets()) == 3


def test_a_follow_up_of_somebody_without_a_ticket(group):
    group.hear(new(QUESTION), new(post(30, SITI, 'up min', 2)))
    assert len(group.tickets()) == 1 and group.counts() == {'follow_up_without_ticket': 1}


def test_a_follow_up_goes_to_the_newest_open_ticket(group):
    second = post(20, BUDI, 'otp ga masuk', 1)
    group.hear(new(QUESTION), new(second), new(post(21, AYU, 'done, MIT -ab', 2, reply_to=second)),
               new(post(30, BUDI, 'blm bisa min', 3)))
    assert (-7, 30, 10) in group.rows()['messages']


def test_more_about_an_open_ticket_is_no_second_ticket(group):
    group.hear(new(QUESTION), new(post(30, BUDI, 'sudah clear cache tetap muter', 2, reply_to=QUESTION)))
    assert len(group.tickets()) == 1


def test_a_new_problem_in_reply_to_a_solved_one_is_a_ticket(group):
    group.hear(new(QUESTION), new(SOLUTION), new(post(30, BUDI, 'sekarang otp ga masuk min', 20, reply_to=SOLUTION)))
    assert len(group.tickets()) == 2


# Commands

@pytest.mark.parametrize('text, chat, answered', [
    ('/id', -7, True), ('/id@mytech_bot', -7, True), ('/id@other_bot', -7, False), ('/help', -7, False),
    ('/help@MyTech_bot', -7, True), ('/start', 42, True), ('/help', 42, True), ('/stats', 42, False), ('/id', -99, True)])
@pytest.mark.parametrize('ops_ids', ['', f'{BUDI}'])
def test_commands(group, text, chat, answered, ops_ids):
    group.settings = settings(ops_user_ids=ops_ids, admin_chat_id='-99')
    group.hear(new(post(10, BUDI, text, chat=chat)))
    assert bool(group.said()) is answered and group.tickets() == []


# The model

@pytest.mark.parametrize('broken', [True, RuntimeError('no such file'), MemoryError()])
def test_without_a_model_the_ticket_is_kept_and_confirmed(group, broken):
    group.broken = broken
    group.hear(new(QUESTION), new(SOLUTION))
    assert (only(group.logs()).symptom, only(group.said())['text'].splitlines()[0]) == ('', '✅ Tercatat.')


# Twice, and in any order

STORY = [new(QUESTION), new(ONCEK), new(SOLUTION), edit(SOLUTION, 'clear cache saja, MIT -rd', 30),
         *map(new, album(1)), new(post(23, AYU, 'done, MIT -ab', 8, reply_to=album(1)[2])),
         new(post(40, SITI, 'lupa password min', 4)), new(post(41, SITI, 'up min', 6)), *MOVED,
         new(post(5, BUDI, 'pagi min', 21, chat=NEW)), new(post(6, SITI, 'makasih', 22, chat=NEW))]


def test_each_update_twice_gives_the_same_rows(group):
    group.hear(*STORY)
    twice = Group(open_store('sqlite://'))
    for update in STORY: twice.hear(update, update)
    assert twice.rows() == group.rows()
    twice.hear(*STORY)
    assert twice.rows() == group.rows()
    twice.store.close()


@pytest.mark.parametrize('seed', range(20))
def test_requests_and_answers_in_any_order(group, seed):
    group.hear(*STORY)
    kept = [ticket for ticket in STORY if ticket.get('message', {}).get('message_id') != 41]  # needs its ticket first
    shuffled = Group(open_store('sqlite://'))
    for update in random.Random(seed).sample(kept, len(kept)): shuffled.hear(update)
    found = {(t.tech_text, bool(t.solving), t.open) for t in shuffled.tickets()}
    assert found == {(t.tech_text, bool(t.solving), t.open) for t in group.tickets()}
    assert len(shuffled.tickets()) == 3
    shuffled.store.close()
