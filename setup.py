"Reads settings.ini, the one place where names, versions and requirements are written."
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

config = ConfigParser(delimiters=['='])
config.read(Path(__file__).with_name('settings.ini'), encoding='utf-8')
cfg = config['DEFAULT']
suffix = '_requirements'
extras = {key[:-len(suffix)]: cfg[key].split() for key in cfg if key.endswith(suffix)}

setup(
    name=cfg['lib_name'],
    version=cfg['version'],
    description=cfg['description'],
    author=cfg['author'],
    license='MIT',
    python_requires=f">={cfg['min_python']}",
    packages=find_packages(include=['mytech', 'mytech.*']),
    package_data={'mytech': ['static/**/*']},
    install_requires=cfg['requirements'].split(),
    extras_require=extras,
    entry_points={'console_scripts': cfg['console_scripts'].split('\n')},
)
