"""The Dockerfile, held against a linter, and carried out step by step in a bare Debian."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import replay
from .composefile import ROOT, load
from .replay import Image, Stage

FILE = ROOT / "Dockerfile"


def test_the_linter_finds_nothing() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, FILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    broken = subprocess.run(
        [linter, "-"], input="FROM debian\nRUN cd /tmp\n", capture_output=True, text=True, check=False
    )
    assert "DL3006" in broken.stdout


def test_stages_are_read_as_an_engine_reads_them() -> None:
    text = "# one\nFROM a AS build\nRUN x \\\n# between\n && y\nFROM b\nENV A=1 \\\n    B=2\nUSER 5\n"
    assert replay.stages(text) == [
        Stage("a", "build", [("RUN", "x  && y")]),
        Stage("b", "", [("ENV", "A=1     B=2"), ("USER", "5")]),
    ]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    folder = tmp_path_factory.mktemp("image")
    # The image's user must get through to his root.
    for place in folder.parents:
        if not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o011)
    yield replay.replayed(folder)
    subprocess.run(["rm", "-rf", "--one-file-system", folder], check=True)


@pytest.mark.long
class TestReplayed:
    """What the steps made."""

    def test_its_command_and_ours_run_as_nobody_special(self, image: Image, tmp_path: Path) -> None:
        assert image.user == "50000"
        done = image.run(image.command)
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.strip().splitlines()[-1].startswith("3.3.")
        assert image.run(["id", "-u"]).stdout == "50000\n"
        ours = image.run(["chengxin", "--help"])
        assert ours.returncode == 0, ours.stderr[-2000:]
        assert "harvest" in ours.stdout
        found = image.run(["python", "-c", "import chengxin, sys; print(chengxin.__file__, sys.prefix)"])
        assert found.stdout == "/opt/chengxin/include/chengxin/__init__.py /opt/venv\n"

    def test_a_day_begins_with_what_is_in_it(self, image: Image) -> None:
        """`init` without a server: schemas and tables of the house, and every DAG file read, by the image's user."""
        alone = {"CHENGXIN_DISTRICT": "370112", "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        alone |= {
            "AIRFLOW__CORE__DAGS_FOLDER": "/opt/chengxin/dags",
            "AIRFLOW__CORE__PLUGINS_FOLDER": "/opt/chengxin/plugins",
        }
        done = image.run(["chengxin", "init"], **alone)
        assert done.returncode == 0, done.stderr[-2000:]
        asked = (
            "from airflow.dag_processing.dagbag import DagBag; bag = DagBag('/opt/chengxin/dags'); "
            "print(len(bag.dags), bag.import_errors)"
        )
        assert image.run(["airflow", "db", "migrate"], **alone).returncode == 0
        found = image.run(["python", "-c", asked], **alone)
        number, _, errors = found.stdout.strip().splitlines()[-1].partition(" ")
        assert (int(number) > 15, errors) == (True, "{}"), found.stderr[-2000:]

    def test_tools_of_the_compose_file_are_there(self, image: Image) -> None:
        version = image.run(["pg_dump", "--version"]).stdout
        server = load()["services"]["postgres"]["image"].partition(":")[2].split("-")[0]
        assert f" {server}." in version
        for word in ("celery", "python", "sh", "airflow", "chengxin"):
            assert image.run(["sh", "-c", f"command -v {word}"]).returncode == 0, word

    def test_its_user_writes_where_volumes_are_and_nowhere_else(self, image: Image) -> None:
        mounted = {
            volume.split(":")[1] for name in ("worker", "backup") for volume in load()["services"][name]["volumes"]
        }
        for folder in (*mounted, "/opt/airflow"):
            assert image.run(["touch", f"{folder}/written"]).returncode == 0, folder
            # Clusters that choose a number of their own give it group 0.
            assert image.run(["touch", f"{folder}/other"], user="12345:0").returncode == 0, folder
        for folder in ("/opt/chengxin", "/opt/chengxin/include/chengxin", "/opt/venv/bin", "/etc", "/usr/bin"):
            assert image.run(["touch", f"{folder}/written"]).returncode != 0, folder
        loose = [
            path
            for top in ("/opt/chengxin", "/opt/venv")
            for path in image.path(top).rglob("*")
            if not path.is_symlink() and path.stat().st_mode & (stat.S_IWOTH | stat.S_ISUID | stat.S_ISGID)
        ]
        assert loose == []

    def test_nothing_is_in_it_that_should_not_be(self, image: Image) -> None:
        found = {path.name for path in image.path("/opt/chengxin").iterdir()}
        assert found == {"LICENSE", "include", "great_expectations", "dags", "plugins", "deploy"}
        assert list(image.path("/opt/chengxin").rglob(".env*")) == []
        assert not image.path("/opt/chengxin/great_expectations/uncommitted").exists()
        # Compiled at the build: the user cannot, and every task would do it again.
        sources = [*image.path("/opt/chengxin/include/chengxin").rglob("*.py")]
        assert len(sources) > 100
        for source in sources:
            assert (source.parent / "__pycache__" / f"{source.stem}.cpython-311.pyc").is_file(), source
        assert os.listdir(image.path("/var/lib/apt/lists")) == []  # noqa: PTH208
