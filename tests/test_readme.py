"README.md is what `nbs/index.ipynb` says, and what it names exists."
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from mytech.app import app
from mytech.core.config import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT/'README.md').read_text('utf-8')


@pytest.mark.skipif(not shutil.which('make'), reason='make is not installed')
def test_in_sync_with_the_notebook(tmp_path):
    made = tmp_path/'README.md'
    subprocess.run(['make', '--old-file=.venv/test', 'readme', f'README={made}'], cwd=ROOT, check=True, capture_output=True)
    assert made.read_text('utf-8') == README, 'run make readme'


def test_every_make_target_is_there():
    targets = set(re.findall(r'^([a-z]+):', (ROOT/'Makefile').read_text('utf-8'), re.M))
    named = set(re.findall(r'(?:^|`)make ([a-z]+)', README, re.M))
    assert named >= {'run', 'test'} and named <= targets


def test_every_command_is_there():
    commands = get_command(app).commands
    named = set(re.findall(r'(?:bin/|`)mytech ([a-z]+)', README))
    assert named >= {'export', 'predict', 'doctor', 'retrain', 'evaluate'} and named <= set(commands)
    listed = re.search(r'lists the commands: (.*)', README)[1]
    assert set(re.findall(r'`([a-z]+)`', listed)) <= set(commands)
    options = {option for command in commands.values() for parameter in command.params for option in parameter.opts}
    assert set(re.findall(r'mytech[^`\n]* (--[a-z-]+)', README)) <= options | {'--help'}


def test_every_setting_is_there():
    named = set(re.findall(r'^\s*([A-Z_]+)=', README, re.M)) | set(re.findall(r'`([A-Z]+_[A-Z_]+)=', README))
    assert named >= {'TELEGRAM_BOT_TOKEN', 'SOLVERS'} and {name.lower() for name in named} <= set(Settings.model_fields)


def test_every_link_and_folder_is_there():
    links = [link for link in re.findall(r'\]\(([^)]+)\)', README) if '://' not in link]
    folders = re.findall(r'`((?:nbs|mytech|tests|artifacts)/[\w./]*)`', README)
    missing = [path for path in links + folders if not (ROOT/path).exists()]
    assert len(links) > 5 and not missing


def test_the_pictures_are_there_and_small():
    pictures = re.findall(r'!\[[^]]+\]\(([^)]+\.png)\)', README)
    assert pictures and all((ROOT/picture).stat().st_size < 250_000 for picture in pictures)


def test_the_addresses_are_the_defaults():
    ports = {f"http://127.0.0.1:{Settings.model_fields[name].default}" for name in ('sandbox_port', 'api_port', 'pages_port')}
    assert set(re.findall(r'http://127.0.0.1:\d+', README)) == ports
