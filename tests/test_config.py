"""Settings: all there, each wrong value refused by name, no secret repeated."""
from datetime import time
from pathlib import Path

import pytest

from mytech.core.config import Settings, SettingsError, env_template, load_settings, read_pauses, unknown_variables

ROOT = Path(__file__).parent.parent
CONTRACT = '''TIMEZONE DEBUG BOT_LANGUAGE DATABASE_URL ARTIFACTS_URL
TELEGRAM_BOT_TOKEN TELEGRAM_BOT_TOKEN_REPORTING TELEGRAM_API_BASE TECH_CHAT_ID OPS_CHAT_ID ADMIN_CHAT_ID
REPORT_CHAT_ID SUGGEST_CHAT_ID ADMIN_USER_IDS OPS_USER_IDS TELEGRAM_WEBHOOK_URL TELEGRAM_WEBHOOK_SECRET
APP_CODES SOLVERS SLA_MINUTES SLA_PAUSES
GOOGLE_SERVICE_ACCOUNT_JSON GOOGLE_SPREADSHEET_NAME GOOGLE_WORKSHEET_NAME SHEETS_API_BASE
AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY S3_BUCKET_NAME S3_REGION AWS_ENDPOINT_URL S3_MEDIA_PREFIX
MODEL_VERSION ML_POLICY ML_THRESHOLD_AUTO ML_THRESHOLD_HIGH ML_THRESHOLD_MEDIUM ML_TARGET_PRECISION
GEMINI_API_KEY GEMINI_ENABLED GEMINI_MODEL_NAME GEMINI_CASCADE_THRESHOLD GEMINI_API_BASE GEMINI_DAILY_CALLS
MLFLOW_TRACKING_URI MLFLOW_EXPERIMENT_NAME MLFLOW_MODEL_NAME
SLACK_BOT_TOKEN SLACK_SIGNING_SECRET SLACK_API_BASE
SNOWFLAKE_ACCOUNT SNOWFLAKE_USER SNOWFLAKE_PASSWORD SNOWFLAKE_WAREHOUSE SNOWFLAKE_DATABASE SNOWFLAKE_SCHEMA
API_HOST API_PORT API_KEYS PAGES_PORT PAGES_TOKEN SANDBOX_PORT DASK_SCHEDULER_ADDRESS OPTUNA_STORAGE'''.split()
SECRETS = '''TELEGRAM_BOT_TOKEN TELEGRAM_BOT_TOKEN_REPORTING TELEGRAM_WEBHOOK_SECRET GOOGLE_SERVICE_ACCOUNT_JSON
AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY GEMINI_API_KEY SLACK_BOT_TOKEN SLACK_SIGNING_SECRET
SNOWFLAKE_PASSWORD API_KEYS PAGES_TOKEN'''.split()


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    for name in Settings.model_fields: monkeypatch.delenv(name.upper(), raising=False)


def test_every_setting_of_the_contract_exists_with_a_default():
    assert set(CONTRACT) <= {name.upper() for name in Settings.model_fields}
    assert load_settings(None).sandboxed


def test_every_setting_says_what_it_should_look_like():
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_template_in_the_repository_is_the_generated_one():
    assert (ROOT/'.env.template').read_text('utf-8') == env_template()


def test_the_template_can_be_copied_as_it_is(tmp_path):
    copy = tmp_path/'.env'
    copy.write_text(env_template(), 'utf-8')
    assert load_settings(copy) == load_settings(None)
    assert unknown_variables(copy) == {}


@pytest.mark.parametrize('name', CONTRACT)
def test_an_empty_variable_is_an_unset_one(name, monkeypatch):
    monkeypatch.setenv(name, '')
    assert load_settings(None) == Settings(_env_file=None)


WRONG = [
    ('TIMEZONE', 'WIB'), ('DIGEST_TIME', '730'), ('DIGEST_TIME', '25:00'), ('TIMEZONE', '../etc/passwd'), ('DEBUG', 'perhaps'), ('BOT_LANGUAGE', 'fr'),
    ('DATABASE_URL', 'mytech.db'), ('TELEGRAM_BOT_TOKEN', 'hunter2'),
    ('TELEGRAM_BOT_TOKEN_REPORTING', '12:x y'), ('TELEGRAM_API_BASE', 'localhost:8081'),
    ('TECH_CHAT_ID', '@teknisi'), ('OPS_CHAT_ID', '1.5'), ('ADMIN_CHAT_ID', '1;2'), ('REPORT_CHAT_ID', '--1'),
    ('SUGGEST_CHAT_ID', 'x'), ('ADMIN_USER_IDS', 'budi'), ('OPS_USER_IDS', '1 2'),
    ('TELEGRAM_WEBHOOK_URL', 'http://insecure.example'), ('APP_CODES', 'MIT'), ('APP_CODES', 'MIT:'),
    ('SOLVERS', ':Ayu'), ('SLA_MINUTES', 'soon'), ('SLA_MINUTES', '0'), ('SLA_MINUTES', '-3'),
    ('SLA_MINUTES', 'inf'), ('SLA_MINUTES', 'nan'), ('SLA_PAUSES', '22:00-06:00'), ('SLA_PAUSES', '13-14'),
    ('SLA_PAUSES', '13:00-13:00'), ('SLA_PAUSES', '25:00-26:00'), ('SLA_PAUSES', '10:00-24:30'),
    ('SHEETS_API_BASE', 'sheets'), ('AWS_ENDPOINT_URL', 'minio:9000'), ('MODEL_VERSION', 'newest'),
    ('ML_POLICY', 'three-tier'), ('ML_THRESHOLD_AUTO', '75'), ('ML_THRESHOLD_HIGH', '-0.1'),
    ('ML_THRESHOLD_MEDIUM', 'nan'), ('ML_TARGET_PRECISION', '1'), ('GEMINI_ENABLED', '2'),
    ('GEMINI_CASCADE_THRESHOLD', '1.01'), ('GEMINI_API_BASE', 'x'), ('GEMINI_DAILY_CALLS', '-1'),
    ('GEMINI_DAILY_CALLS', '1.5'), ('SLACK_API_BASE', 'slack.com'), ('API_PORT', '65536'),
    ('PAGES_PORT', 'http'), ('SANDBOX_PORT', '-1')]


@pytest.mark.parametrize('name, value', WRONG)
def test_a_wrong_value_is_refused_by_name_with_its_proper_form(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refusal: load_settings(None)
    assert str(refusal.value).startswith(name)
    assert Settings.model_fields[name.lower()].description in str(refusal.value)


def test_all_wrong_values_are_named_at_once(monkeypatch):
    for name, value in (wrong := dict(WRONG)).items(): monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refusal: load_settings(None)
    assert {line.split('=')[0].split(':')[0] for line in str(refusal.value).splitlines()} == set(wrong)


@pytest.mark.parametrize('name', SECRETS)
def test_a_secret_is_not_in_the_settings_as_text(name, monkeypatch):
    value = '12345678:hunter2-hunter2'
    monkeypatch.setenv(name, value)
    settings = load_settings(None)
    assert getattr(settings, name.lower()).get_secret_value() == value
    assert 'hunter2' not in f'{settings!r} {settings} {settings.model_dump()}'


@pytest.mark.parametrize('name, value', [
    ('TELEGRAM_BOT_TOKEN', 'hunter2'), ('TELEGRAM_BOT_TOKEN', '12345678 hunter2'),
    ('DATABASE_URL', 'postgres//app:hunter2@db/mytech'), ('DATABASE_URL', '//app:hunter2@db/mytech'),
    ('TELEGRAM_API_BASE', 'ftp://app:hunter2@host'), ('AWS_ENDPOINT_URL', 's3://key:hunter2@host'),
    ('TECH_CHAT_ID', '12345678:hunter2hunter2'), ('SOLVERS', '1234567:hunter2hunter2,x')])
def test_a_refusal_repeats_no_secret(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refusal: load_settings(None)
    assert name in str(refusal.value) and 'hunter2' not in str(refusal.value)
    assert refusal.value.__suppress_context__, 'a traceback would show what pydantic was given'


@pytest.mark.parametrize('text, pauses', [
    ('', ()), ('6:00-7:30', ((time(6), time(7, 30)),)),
    (' 13:00 - 14:00 , 00:00-06:00,', ((time(0), time(6)), (time(13), time(14)))),
    ('22:00-24:00', ((time(22), time(0)),)), ('22:00-00:00', ((time(22), time(0)),)),
    ('00:00-24:00', ((time(0), time(0)),))])
def test_pauses(text, pauses):
    assert read_pauses(text) == pauses


def test_the_environment_wins_over_the_file(tmp_path, monkeypatch):
    (tmp_path/'.env').write_text('SLA_MINUTES=20\nBOT_LANGUAGE=en\nSOMETHING_ELSE=1\n', 'utf-8')
    monkeypatch.setenv('SLA_MINUTES', '30')
    settings = load_settings(tmp_path/'.env')
    assert (settings.sla_minutes, settings.bot_language) == (30, 'en')


@pytest.mark.parametrize('encoding, line_end', [('utf-8', '\n'), ('utf-8-sig', '\r\n')])
def test_a_file_from_any_editor(tmp_path, encoding, line_end):
    (tmp_path/'.env').write_bytes(line_end.join(['SLA_MINUTES=20', 'SOLVERS=ab:Ayü', '']).encode(encoding))
    settings = load_settings(tmp_path/'.env')
    assert (settings.sla_minutes, settings.solvers) == (20, {'ab': 'Ayü'})
    assert unknown_variables(tmp_path/'.env') == {}


def test_a_file_in_another_encoding_is_named(tmp_path):
    (tmp_path/'.env').write_bytes('SOLVERS=ab:Ayü\n'.encode('latin-1'))
    with pytest.raises(SettingsError, match=r'\.env: save it as UTF-8'): load_settings(tmp_path/'.env')


def test_settings_cannot_be_changed_later():
    with pytest.raises(ValueError, match='frozen'): load_settings(None).sla_minutes = 3
