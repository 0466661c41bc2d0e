"What a machine can check of the house style, and that the package is what the notebooks export."
import ast
import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted(path for path in (ROOT/'nbs').rglob('*.ipynb')
                   if '.ipynb_checkpoints' not in path.parts)
PIPELINES = [path for path in NOTEBOOKS if path.parent.name == 'pipelines']
LIBRARY = [path for path in NOTEBOOKS if path not in PIPELINES and path.name != 'index.ipynb']
STANDARD = sys.stdlib_module_names


def name(path): return str(path.relative_to(ROOT/'nbs'))


def cells(path): return json.loads(path.read_text('utf-8'))['cells']


def source(cell): return ''.join(cell['source'])


def exported(path):
    return [source(cell).split('\n', 1)[-1] for cell in cells(path)
            if cell['cell_type'] == 'code' and source(cell).startswith('#| export')]


def length(code):
    return sum(bool(line.strip()) and not line.lstrip().startswith('#') for line in code.splitlines())


@pytest.mark.parametrize('path', LIBRARY, ids=name)
def test_anatomy(path):
    first, second, last = cells(path)[0], cells(path)[1], cells(path)[-1]
    assert re.match(r'# \S.*\n+> \S', source(first)), 'begins with a title and a one-line description'
    assert source(second).startswith('#| default_exp'), 'says which module it is'
    assert 'nbdev_export()' in source(last) and source(last).startswith('#| hide')
    assert any(cell['cell_type'] == 'markdown' for cell in cells(path)[2:4]), 'says what it is for'


@pytest.mark.parametrize('path', LIBRARY, ids=name)
def test_sizes(path):
    sizes = [length(code) for code in exported(path)]
    assert max(sizes) <= 40, f'an exported cell has {max(sizes)} lines'
    assert sum(sizes) <= 350, f'{sum(sizes)} exported lines: split the notebook'


@pytest.mark.parametrize('path', NOTEBOOKS, ids=name)
def test_lines_fit_on_the_page(path):
    long = [line for cell in cells(path) if cell['cell_type'] == 'code'
            for line in source(cell).splitlines() if len(line) > 100]
    assert not long, long[0]


@pytest.mark.parametrize('path', LIBRARY, ids=name)
def test_imports_come_first_and_in_order(path):
    for code in exported(path):
        nodes = [node for node in ast.parse(code).body if isinstance(node, ast.Import | ast.ImportFrom)]
        for node in nodes:
            assert not any(alias.name == '*' for alias in node.names), 'explicit names'
    nodes = [node for node in ast.parse(exported(path)[0]).body if isinstance(node, ast.Import | ast.ImportFrom)]
    roots = [(getattr(node, 'module', None) or node.names[0].name).split('.')[0] for node in nodes]
    groups = [0 if root in STANDARD else 2 if root == 'mytech' else 1 for root in roots]
    assert groups == sorted(groups), 'standard library, third party, mytech'


@pytest.mark.parametrize('path', LIBRARY, ids=name)
def test_public_names_are_explained(path):
    for code in exported(path):
        for node in ast.parse(code).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name[0] != '_':
                said = ast.get_docstring(node)
                assert said or len(node.body) == 1, f'{node.name} has no docstring'
                assert not said or len(said.splitlines()) <= 3, f'the docstring of {node.name} is long'


@pytest.mark.parametrize('path', NOTEBOOKS, ids=name)
def test_outputs_are_fit_to_be_read(path):
    for cell in cells(path):
        for output in cell.get('outputs', []):
            assert output['output_type'] != 'error', source(cell)
            assert output.get('name') != 'stderr', source(cell)
            shown = json.dumps(output.get('text') or output.get('data', {}).get('text/plain', ''))
            assert not re.search(r'/(work|root|home|Users)/', shown), shown[:200]


@pytest.mark.parametrize('path', PIPELINES, ids=name)
def test_pipelines(path):
    code = [cell for cell in cells(path) if cell['cell_type'] == 'code']
    assert code[0]['metadata'].get('tags') == ['parameters']
    assert len(code) <= 15 and not any(cell['outputs'] for cell in code)
    for node in ast.parse(source(code[0])).body: ast.literal_eval(node.value)
    for cell in code: assert not re.search(r'^\s*(def|class) ', source(cell), re.M), 'no functions here'


def test_a_floor_imports_only_floors_below():
    floors = {'core': 1, 'ml': 2, 'services': 3, 'ops': 4, 'bots': 5, 'api': 5, 'sandbox': 5}
    for path in LIBRARY:
        folder = path.relative_to(ROOT/'nbs').parts[0]
        mine = floors.get(folder, 6)
        for code in exported(path):
            for module in re.findall(r'^\s*from mytech\.(\w+)', code, re.M):
                below = floors.get(module, 6) < mine or module == folder or mine == 6
                assert below, f'{name(path)} imports mytech.{module}'


def test_export_is_in_sync(tmp_path):
    shutil.copytree(ROOT/'nbs', tmp_path/'nbs')
    shutil.copy(ROOT/'settings.ini', tmp_path)
    (tmp_path/'mytech').mkdir()
    subprocess.run([Path(sys.executable).with_name('nbdev_export')], cwd=tmp_path, check=True,
                   env={**os.environ, 'HOME': str(tmp_path)})
    made = {path.relative_to(tmp_path/'mytech'): path.read_text('utf-8') for path in (tmp_path/'mytech').rglob('*.py')}
    kept = {path.relative_to(ROOT/'mytech'): path.read_text('utf-8') for path in (ROOT/'mytech').rglob('*.py')}
    assert sorted(made) == sorted(kept), 'run nbdev_export'
    differing = [str(path) for path in made if made[path] != kept[path]]
    assert not differing, 'run nbdev_export'


def test_extras_are_as_promised():
    settings = configparser.ConfigParser(delimiters=['='])
    settings.read(ROOT/'settings.ini')
    extras = {key.removesuffix('_requirements') for key in settings['DEFAULT'] if key.endswith('_requirements')}
    assert extras >= {'sheets', 's3', 'gemini', 'mlflow', 'slack', 'warehouse', 'dask', 'dev'}
