"""A Dockerfile carried out without a container engine: its very steps, in a folder that is the root for them.

`FROM` is a bare Debian by `debootstrap` with Debian's Python in place of the image's; `COPY` obeys `.dockerignore`;
`RUN` is the shell's in a mount and process space of its own. What differs from an engine: layers, the image's own build
of Python, and packages of Python that come from a folder filled beforehand, by the same hashes.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .composefile import ROOT

PIP = "24.0"
"""What `python -m venv` of the official image python:3.11 brings; Debian's own is older."""
SUITE = "bookworm"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True)
class Stage:
    """One `FROM` and what follows it."""

    base: str
    name: str
    steps: list[tuple[str, str]]


def stages(text: str) -> list[Stage]:
    """The stages of a Dockerfile, lines joined and comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    found: list[Stage] = []
    for line in "\n".join(lines).replace("\\\n", "").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append(Stage(base, name, []))
        elif word:
            found[-1].steps.append((word, rest.strip()))
    return found


def bare_system(folder: Path) -> Path:
    """A bare Debian with Python, where `python` and the pip of a new environment are as the official image has them."""
    # debootstrap does not see that python3-distutils is what python3.11-venv means by python3.11-distutils.
    wanted = "python3.11,python3.11-venv,python3-distutils,ca-certificates"
    _run(["debootstrap", "--variant=minbase", f"--include={wanted}", SUITE, folder])
    # What this machine goes through to the network, the steps do.
    for file in ("/etc/resolv.conf", CERTIFICATES):
        shutil.copyfile(file, f"{folder}{file}")
    (folder / "usr/local/bin/python").symlink_to("/usr/bin/python3.11")
    bundled = folder / "usr/share/python-wheels"
    for old in bundled.glob("pip-*.whl"):
        old.unlink()
    _run([sys.executable, "-m", "pip", "download", "-qq", "--no-deps", f"pip=={PIP}", "-d", bundled])
    return folder


def packages(folder: Path, requirements: Path, pip: Path) -> Path:
    """The pinned packages of Python, fetched by the same pip that installs them."""
    folder.mkdir()
    # Debian's 3.11 may be an older one than this machine's, and then needs what only old ones do.
    text = re.sub(r" ; python_full_version < '3\.11\.\d+'", "", requirements.read_text("utf-8"))
    wanted = folder / requirements.name
    wanted.write_text(text, "utf-8")
    _run([sys.executable, pip / "pip", "download", "-qq", "--require-hashes", "-r", wanted, "-d", folder])
    return folder


@dataclass
class Image:
    """A root folder, and what steps have set for those that come later.

    Args:
        root: the folder.
        context: of the build.
        packages: folder of Python's packages.
    """

    root: Path
    context: Path
    packages: Path
    environment: dict[str, str] = field(
        default_factory=lambda: {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
        }
    )
    workdir: str = "/"
    user: str = "0"
    command: list[str] = field(default_factory=list)

    def replay(self, stage: Stage, others: Mapping[str, Image]) -> Image:
        """Carries out a stage.

        Raises:
            AssertionError: a step failed, or is of a kind that this does not know.
        """
        for word, rest in stage.steps:
            if word == "WORKDIR":
                self.workdir = rest
                self.path(rest).mkdir(parents=True, exist_ok=True)
            elif word == "ENV":
                self.environment |= {
                    name: re.sub(r"\$(\w+)", lambda found: self.environment[found[1]], value)
                    for name, _, value in (part.partition("=") for part in shlex.split(rest))
                }
            elif word == "ARG":
                # Its default: nobody gives another one.
                name, _, value = rest.partition("=")
                self.environment.setdefault(name, value)
            elif word == "USER":
                self.user = rest
            elif word == "CMD":
                self.command = json.loads(rest)
            elif word == "COPY":
                self._copy(rest.split(), others)
            elif word == "RUN":
                done = self.run(["sh", "-c", rest], PIP_NO_INDEX="1", PIP_FIND_LINKS="/packages")
                assert done.returncode == 0, f"RUN {rest}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
            else:
                raise AssertionError(f"unknown step: {word} {rest}")
        return self

    def run(self, command: list[str], *, user: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a command inside, as the image's user or another, with what `ENV` has set and nothing else."""
        mounted = self.path("/packages")
        mounted.mkdir(exist_ok=True)
        given = [f"{name}={value}" for name, value in {**self.environment, **environment}.items()]
        here = ["env", "-i", *given, "sh", "-c", f'cd {shlex.quote(self.workdir)} && exec "$@"', "sh", *command]
        who = user or self.user
        inside = ["chroot", f"--userspec={who if ':' in who else who + ':0'}", "--groups=", str(self.root), *here]
        script = 'mount --bind "$1" "$2"; shift 2; exec "$@"'
        apart = ["unshare", "--mount", "--pid", "--fork", f"--mount-proc={self.path('/proc')}"]
        whole = [*apart, "sh", "-ec", script, "sh", str(self.packages), str(mounted), *inside]
        return subprocess.run(whole, capture_output=True, text=True, timeout=1800, check=False)

    def path(self, inside: str) -> Path:
        """Where a path of the image lies on this machine."""
        return self.root / inside.lstrip("/")

    def _copy(self, words: list[str], others: Mapping[str, Image]) -> None:
        flags = [word for word in words if word.startswith("--")]
        *sources, target = (word for word in words if not word.startswith("--"))
        assert len(flags) < 2, flags
        assert all(flag.startswith("--from=") for flag in flags), flags
        origin = others[flags[0].partition("=")[2]].root if flags else self.context
        for source in sources:
            found = origin / source.lstrip("/")
            into = self.path(os.path.join(self.workdir, target))  # noqa: PTH118  # of the image, not of this machine
            if found.is_dir():
                leave = None if flags else ignored(self.context)
                shutil.copytree(found, into, symlinks=True, dirs_exist_ok=True, ignore=leave)
            else:
                into = into / found.name if target.endswith(("/", ".")) else into
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(found, into)


def ignored(context: Path) -> Callable[[str, list[str]], set[str]]:
    """What `.dockerignore` leaves out of a folder that it lets in."""
    lines = (context / ".dockerignore").read_text("utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith(("#", "!")) and line != "*"]
    anywhere = [line.removeprefix("**/") for line in patterns if line.startswith("**/")]
    exactly = {context / line for line in patterns if not line.startswith("**/")}
    named = shutil.ignore_patterns(*anywhere)

    def leave(folder: str, names: list[str]) -> set[str]:
        return set(named(folder, names)) | {name for name in names if Path(folder) / name in exactly}

    return leave


def replayed(folder: Path) -> Image:
    """The image of this project's Dockerfile, made under a folder."""
    assert os.geteuid() == 0, "root is needed: debootstrap and chroot"
    assert sys.version_info[:2] == (3, 11), "the packages are fetched for the image's Python"
    base = bare_system(folder / "base")
    (pip,) = (base / "usr/share/python-wheels").glob("pip-*.whl")
    fetched = packages(folder / "packages", ROOT / "requirements-production.txt", pip)
    made: dict[str, Image] = {}
    for number, stage in enumerate(stages((ROOT / "Dockerfile").read_text("utf-8"))):
        assert stage.base == f"python:3.11-slim-{SUITE}"
        root = folder / f"stage{number}"
        _run(["cp", "-a", base, root])
        made[stage.name] = Image(root, ROOT, fetched).replay(stage, made)
    return made[""]


def _run(command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
