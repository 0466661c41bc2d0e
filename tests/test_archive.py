"The bucket behind `ARTIFACTS_URL=s3://…`: a copy that is complete, is caught up with, and never in the way."
import json
import subprocess
import time

import pytest
from moto.server import ThreadedMotoServer

from mytech.core.config import load_settings
from mytech.doctor import check_copy
from mytech.services import archive, registry
from mytech.services.archive import keep_copy, open_archive, take_copy
from support import MYTECH, environment, free_port

RUN = '20261120-080000-000'


@pytest.fixture(scope='module')
def server():
    "An S3 of its own; its address."
    server = ThreadedMotoServer('127.0.0.1', port := free_port())
    server.start()
    yield f'http://127.0.0.1:{port}'
    server.stop()


@pytest.fixture
def at(server, tmp_path, monkeypatch):
    "Settings of a machine at home in a folder, and a new bucket."
    given = {'AWS_ENDPOINT_URL': server, 'AWS_ACCESS_KEY_ID': 'me', 'AWS_SECRET_ACCESS_KEY': 'secret',
             'S3_REGION': 'us-east-1', 'ARTIFACTS_URL': f's3://{tmp_path.name.replace("_", "-")}/jakarta'}
    def there(folder, **more):
        (tmp_path/folder).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path/folder)
        return load_settings(None, **{name.lower(): value for name, value in (given | more).items()})
    there.environment = given
    there.bucket = open_archive(there('.'))
    there.bucket.client.create_bucket(Bucket=there.bucket.bucket)
    return there


def names(at):
    found = at.bucket.client.list_objects_v2(Bucket=at.bucket.bucket).get('Contents', [])
    return [one['Key'].removeprefix('jakarta/') for one in found]


def a_run(settings, id=RUN, ended='now'):
    folder = settings.artifacts/'runs'/id
    folder.mkdir(parents=True)
    for name in ('training.ipynb', 'metrics.json', 'verdict.json'): (folder/name).write_text('{}')
    (folder/'run.json').write_text(json.dumps({'id': id, 'ended': ended}))


def a_version(settings, word='Login'):
    (model := settings.artifacts.parent/'candidate').mkdir(exist_ok=True)
    (model/'word.txt').write_text(word)
    models = settings.artifacts/'models'
    registry.promote(models, registry.register(models, model, metrics={}, run_id=RUN).number)


def test_runs_and_versions_are_there_once(at):
    a_run(here := at('here'))
    a_run(here, '20261120-090000-000', ended=None)
    a_version(here)
    assert keep_copy(here) == ''
    assert names(at) == ['models/current', 'models/v1/manifest.json', 'models/v1/word.txt', 'models/versions.json',
                         *(f'runs/{RUN}/{name}' for name in ('metrics.json', 'run.json', 'training.ipynb',
                                                             'verdict.json'))]
    assert archive.send(at.bucket, here.artifacts) == 0
    a_version(here, 'OTP')
    assert archive.send(at.bucket, here.artifacts) == 2 + 2, 'the version, the ledger, the pointer'


def test_cut_anywhere_no_name_is_without_its_thing_and_the_rest_follows(at, monkeypatch):
    a_run(here := at('here'))
    a_version(here)
    put = archive._put
    for allowed in range(8):
        left = iter(range(allowed))
        def cut(*args, left=left):
            if next(left, None) is None: raise OSError('the cable')
            put(*args)
        with monkeypatch.context() as patch:
            patch.setattr(archive, '_put', cut)
            assert 'the cable' in keep_copy(here)
        found = names(at)
        for key in found: at.bucket.client.delete_object(Bucket=at.bucket.bucket, Key=f'jakarta/{key}')
        assert 'models/v1/manifest.json' not in found or 'models/v1/word.txt' in found
        assert 'models/versions.json' not in found or 'models/v1/manifest.json' in found
        assert 'models/current' not in found or 'models/versions.json' in found
        assert f'runs/{RUN}/run.json' not in found or f'runs/{RUN}/verdict.json' in found
    assert keep_copy(here) == '' and len(names(at)) == 8


def test_a_new_machine_answers_with_the_old_ones_model(at):
    here = at('here')
    for word in ('Login', 'OTP'): a_version(here, word)
    before = registry.versions(here.artifacts/'models')
    keep_copy(here)
    there = at('there')
    assert take_copy(there) == ''
    models = there.artifacts/'models'
    assert registry.versions(models) == before
    assert registry.rollback(models) == 1 and take_copy(there) == ''
    assert registry.current(models) == 1, 'what is there is not taken again'


def test_a_version_that_was_changed_in_the_bucket_is_not_taken(at):
    a_version(here := at('here'))
    keep_copy(here)
    at.bucket.client.put_object(Bucket=at.bucket.bucket, Key='jakarta/models/v1/word.txt', Body=b'worse')
    there = at('there')
    assert 'v1/word.txt was changed' in take_copy(there)
    assert registry.current(there.artifacts/'models') is None and registry.versions(there.artifacts/'models') == []
    at.bucket.client.put_object(Bucket=at.bucket.bucket, Key='jakarta/models/v1/manifest.json',
                                Body=json.dumps({'files': {'../../evil': ''}}).encode())
    assert 'not a file of the version' in take_copy(there)


def test_away_is_told_within_seconds_and_caught_up(at):
    a_version(here := at('here', AWS_ENDPOINT_URL=f'http://127.0.0.1:{free_port()}'))
    start = time.monotonic()
    assert 'Could not connect' in keep_copy(here)
    assert 'Could not connect' in take_copy(at('there', AWS_ENDPOINT_URL=here.aws_endpoint_url))
    assert time.monotonic() - start < 20
    assert keep_copy(at('here')) == '' and 'models/current' in names(at)


def test_an_empty_bucket_is_no_trouble(at):
    assert take_copy(at('here')) == ''


def test_the_command_takes_and_keeps(at):
    a_version(here := at('here'))
    keep_copy(here)
    a_version(here, 'OTP')
    def command(folder, *words, **more):
        (here.artifacts.resolve().parents[1]/folder).mkdir(exist_ok=True)
        return subprocess.run([MYTECH, *words], cwd=here.artifacts.resolve().parents[1]/folder, text=True,
                              capture_output=True, env=environment('.', MLFLOW_TRACKING_URI='off') | at.environment | more)
    assert command('here', 'models', 'promote', '1').stdout == 'v1 is current now\n'
    assert at.bucket.client.get_object(Bucket=at.bucket.bucket, Key='jakarta/models/current')['Body'].read() == b'v1\n'
    done = command('here', 'models', 'promote', '2', AWS_ENDPOINT_URL=f'http://127.0.0.1:{free_port()}')
    assert (done.returncode, done.stdout) == (0, 'v2 is current now\n') and 'The copy comes later' in done.stderr
    assert 'lacks 2 of' in command('here', 'doctor').stdout.replace('\n', ' '), 'the ledger and the pointer'
    assert keep_copy(at('here')) == ''
    assert check_copy(at('here'))[0].detail.endswith('has all')
    assert at.bucket.client.get_object(Bucket=at.bucket.bucket, Key='jakarta/models/current')['Body'].read() == b'v2\n'
