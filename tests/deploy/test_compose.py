"""docker-compose.yaml against the compose schema, and against the house's own rules for a deployment."""

from __future__ import annotations

import json
import os
import re
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from chengxin import databases

from . import composefile
from .composefile import ROOT, MissingVariableError, interpolate

FILE = composefile.load()
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
ONE_SHOT = {name for name, service in SERVICES.items() if service.get("restart") == "no"}
SECRET = re.compile(r"PASSWORD|SECRET_KEY|JWT_SECRET|FERNET|AUTH$|_KEY$")
HOSTS = sorted((ROOT / "deploy/hosts").glob("*.yaml"))
EXAMPLE = (ROOT / ".env.example").read_text("utf-8")


def environment(name: str) -> dict[str, Any]:
    return dict(SERVICES[name].get("environment") or {})


def variables(text: str) -> set[str]:
    """The variables that a text interpolates."""
    return {found["name"] for found in composefile.VARIABLE.finditer(text) if found["name"]}


def test_the_file_follows_the_compose_specification() -> None:
    schema = json.loads(
        files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text("utf-8")
    )
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    faults = [f"{'/'.join(map(str, error.path))}: {error.message}" for error in validator(schema).iter_errors(FILE)]
    assert faults == []
    broken = {**FILE, "services": {**SERVICES, "redis": {**SERVICES["redis"], "restrat": "no"}}}
    assert list(validator(schema).iter_errors(broken))


@pytest.mark.parametrize("file", HOSTS, ids=lambda file: file.stem)
def test_several_machines_share_what_the_one_has(file: Path) -> None:
    """An override file: it follows the schema once laid over the other, and changes addresses and folders alone."""
    schema = json.loads(
        files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text("utf-8")
    )
    found = composefile.load(file)
    services = {name: {**SERVICES[name], **more} for name, more in found["services"].items()}
    whole = {**FILE, "services": {**SERVICES, **services}, "volumes": {**FILE["volumes"], **found["volumes"]}}
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(whole)] == []
    assert set(found) == {"services", "volumes"}
    # What every machine must see alike, and only that.
    assert set(found["volumes"]) == {"house", "logs", "drop"}
    for more in found["services"].values():
        assert set(more) <= {"ports", "networks", "extra_hosts"}
        for port in more.get("ports", []):
            assert port.startswith("${PRIVATE_ADDRESS:?"), "never to every network that there is"
    reached = {host.split(":")[0] for more in found["services"].values() for host in more.get("extra_hosts", [])}
    assert reached in (set(), {"postgres", "redis", "api-server"})
    if not reached:
        assert {name for name, more in found["services"].items() if "ports" in more} == {
            "postgres",
            "redis",
            "api-server",
        }
    text = file.read_text("utf-8")
    assert all(one["kind"] == "?" for one in composefile.VARIABLE.finditer(text) if one["name"])


def test_every_part_is_there() -> None:
    stores, airflow = {"postgres", "redis"}, {"api-server", "scheduler", "dag-processor", "triggerer", "worker"}
    chores = {"clean", "backup"}
    assert set(SERVICES) == stores | airflow | chores | {"init", "metrics"}
    assert chores | {"init"} == ONE_SHOT
    assert {name for name, service in SERVICES.items() if service.get("profiles") == ["chores"]} == chores
    image, _, tag = SERVICES["postgres"]["image"].partition(":")
    assert image == "postgres"
    assert int(tag.split("-")[0]) >= 15


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_house_rules_of_a_service(name: str) -> None:
    service = SERVICES[name]
    user = str(service["user"]).split(":")[0]
    assert user not in ("root", "0", "")
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    limits = service["deploy"]["resources"]["limits"]
    assert float(limits["cpus"]) > 0
    assert re.fullmatch(r"\d+[mg]", limits["memory"])
    assert service["logging"]["options"]["max-size"]
    assert service["logging"]["options"]["max-file"]
    assert service["networks"]
    if name not in ONE_SHOT:
        assert service["restart"] == "unless-stopped"
        check = service["healthcheck"]
        assert check["test"][0] in ("CMD", "CMD-SHELL")
        assert {"interval", "timeout", "retries"} <= set(check)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_secret_stands_in_the_file(name: str) -> None:
    for variable, value in environment(name).items():
        if SECRET.search(variable):
            # From outside as it is, or demanded from outside: no default.
            assert value is None or re.fullmatch(r"\$\{\w+:\?[^}]*\}", value), variable
        for found in composefile.VARIABLE.finditer(str(value or "")):
            if found["name"] and SECRET.search(found["name"]):
                assert found["kind"] == "?", f"{variable}: {found['name']} has a default"
        literal = composefile.VARIABLE.sub("", str(value or ""))
        assert not re.search(r"://[^/@\s]*:[^@/\s]+@", literal), variable


def test_no_secret_stands_on_a_command_line() -> None:
    for name, service in SERVICES.items():
        words = json.dumps([service.get("command"), service.get("healthcheck", {}).get("test")])
        assert not [word for word in variables(words) if SECRET.search(word)], name


def test_only_airflow_is_reached_from_outside_and_only_where_told() -> None:
    assert {name for name, service in SERVICES.items() if service.get("ports")} == {"api-server"}
    assert SERVICES["api-server"]["ports"] == ["${BIND:-127.0.0.1}:8080:8080"]
    assert FILE["networks"]["inside"] == {"internal": True}
    for name in ("postgres", "redis", "scheduler", "triggerer"):
        assert SERVICES[name]["networks"] == ["inside"], name


def test_metrics_leave_by_one_door_that_holds_nothing() -> None:
    """Whatever is inside sends them to a service that sends them on, and knows no secret and nothing of the house."""
    door = SERVICES["metrics"]
    assert door["networks"] == ["inside", "outside"]
    assert door["profiles"] == ["metrics"]
    assert set(environment("metrics")) == {"STATSD_SERVER", "OTEL_SERVER"}
    assert (door["read_only"], door.get("volumes"), door.get("ports")) == (True, None, None)
    assert door["image"] == SERVICES["worker"]["image"]
    given = dict.fromkeys(variables(composefile.FILE.read_text("utf-8")), "x")
    given |= {"STATSD_HOST": "statsd.example", "STATSD_PORT": "", "OTEL_ENDPOINT": "https://collector.example:4318"}
    services = interpolate(FILE, given)["services"]
    assert services["metrics"]["environment"] == {
        "STATSD_SERVER": "statsd.example:8125",
        "OTEL_SERVER": "https://collector.example:4318",
    }
    heard = dict(zip(("8125", "4318"), services["metrics"]["command"][-2:], strict=True))
    for name in OURS:
        told = services[name]["environment"]
        assert told["AIRFLOW__METRICS__STATSD_HOST"] == "metrics"
        assert heard[told["AIRFLOW__METRICS__STATSD_PORT"]] == "0.0.0.0:8125"
        assert heard[told["OTEL_EXPORTER_OTLP_ENDPOINT"].removeprefix("http://metrics:")] == "0.0.0.0:4318"


def test_checks_may_run_on_spark_in_an_image_that_has_it() -> None:
    given = dict.fromkeys(variables(composefile.FILE.read_text("utf-8")), "x")
    worker = interpolate(FILE, given | {"CHENGXIN_ENGINE": ""})["services"]["worker"]
    assert worker["environment"]["CHENGXIN_ENGINE"] == "duckdb"
    asked = given | {"CHENGXIN_ENGINE": "spark", "CHENGXIN_SPARK_MASTER": "spark://s:7077", "WITH_SPARK": "1"}
    worker = interpolate(FILE, asked)["services"]["worker"]
    assert worker["environment"]["CHENGXIN_ENGINE"] == "spark"
    assert worker["environment"]["CHENGXIN_SPARK_MASTER"] == "spark://s:7077"
    assert worker["build"] == {"context": ".", "args": {"WITH_SPARK": "1"}}
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    # Asked for in both stages: packages in the first, Java in the second.
    assert text.count("\nARG WITH_SPARK=\n") == 2
    assert re.search(r'if \[ -n "\$WITH_SPARK" \]; then\s+\S+pip install .* -r requirements-spark.txt; +fi', text)
    assert "${WITH_SPARK:+openjdk-17-jre-headless}" in text
    pins = [
        dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / f"requirements-{name}.txt").read_text("utf-8"), re.MULTILINE))
        for name in ("production", "spark")
    ]
    assert "pyspark" in pins[1]
    # The second install takes nothing of the first one away.
    assert {name for name in pins[0].keys() & pins[1].keys() if pins[0][name] != pins[1][name]} == set()


def test_people_may_log_in_by_a_file_of_the_installation() -> None:
    """FAB reads `webserver_config.py` of its home: LDAP and single sign-on are set there, for the server alone."""
    mounts = {name: [one for one in SERVICES[name].get("volumes", []) if isinstance(one, dict)] for name in SERVICES}
    ((name, (mount,)),) = [(name, found) for name, found in mounts.items() if found]
    assert name == "api-server"
    assert mount["target"] == f"{environment('api-server')['AIRFLOW_HOME']}/webserver_config.py"
    assert (mount["read_only"], mount["bind"]) == (True, {"create_host_path": False})
    given = dict.fromkeys(variables(mount["source"]), "")
    default = ROOT / interpolate(mount["source"], given)
    assert default.is_file()
    compile(default.read_text("utf-8"), default, "exec")
    assert interpolate(mount["source"], {"WEBSERVER_CONFIG": "./own.py"}) == "./own.py"


def test_each_secret_goes_only_where_it_is_needed() -> None:
    holders = {
        connection: {name for name in SERVICES if connection in environment(name)}
        for connection in re.findall(r"^#?(AIRFLOW_CONN_\w+)=", EXAMPLE, re.MULTILINE)
    }
    assert holders == {
        "AIRFLOW_CONN_SHARING_PORTAL": {"worker"},
        "AIRFLOW_CONN_FRONT_DB": {"worker"},
        "AIRFLOW_CONN_FILE_DROP": {"worker"},
        "AIRFLOW_CONN_SMTP_DEFAULT": {"worker", "dag-processor"},
        "AIRFLOW_CONN_CHENGXIN_LINK_KEY": {"worker", "api-server"},
    }
    assert {name for name in SERVICES if "POSTGRES_PASSWORD" in environment(name)} == {"postgres"}
    assert {name for name in SERVICES if "ADMIN_PASSWORD" in environment(name)} == {"init"}


def test_the_example_names_every_variable_and_no_other() -> None:
    """Whatever `.env` may set stands in `.env.example`, and nothing stands there that nobody reads."""
    text = "".join(file.read_text("utf-8") for file in (composefile.FILE, *HOSTS))
    named = set(re.findall(r"^#?([A-Z_]+)=", EXAMPLE, re.MULTILINE))
    handed_on = {name for service in SERVICES for name, value in environment(service).items() if value is None}
    # Compose's own: which services start that are not always wanted.
    assert named - {"COMPOSE_PROFILES"} == variables(text) | handed_on


@pytest.mark.parametrize("more", [{}, {"API_WORKERS": "4", "PARALLELISM": "32", "MAX_CONNECTIONS": "700"}])
def test_postgresql_has_a_connection_for_whoever_wants_one(more: dict[str, str]) -> None:
    """The sum of docs/operating.md, from the pools' own sizes."""
    given = {found["name"]: "x" for found in composefile.VARIABLE.finditer(composefile.FILE.read_text("utf-8"))}
    given = {name: value for name, value in given.items() if name and name not in ("API_WORKERS", "PARALLELISM")}
    given.pop("MAX_CONNECTIONS")
    services = interpolate(FILE, given | more)["services"]
    told = services["api-server"]["environment"]
    assert not {name for name in told if "SQL_ALCHEMY_POOL" in name or "SQL_ALCHEMY_MAX_OVERFLOW" in name}
    airflow = 5 + 10
    pages = int(told["AIRFLOW__API__WORKERS"]) * (2 * databases.AT_ONCE + 1 + 2 * airflow)
    tasks = int(told["AIRFLOW__CORE__PARALLELISM"]) * 5
    (most,) = re.findall(r"max_connections=(\d+)", " ".join(services["postgres"]["command"]))
    assert pages + tasks + 4 * airflow <= int(most)
    page = (ROOT / "docs/operating.md").read_text("utf-8")
    assert more or f"= {pages + tasks + 4 * airflow} as it stands, of `MAX_CONNECTIONS` ({most})" in page


def test_a_worker_has_the_memory_that_its_tasks_may_take() -> None:
    """The sum of docs/operating.md: a task takes at most 1.3 times its engine's share, and 400 MiB."""
    defaults = ("WORKER_CONCURRENCY", "CHENGXIN_MEMORY_LIMIT", "WORKERS")
    found = composefile.VARIABLE.finditer(composefile.FILE.read_text("utf-8"))
    given = {one["name"]: "x" for one in found if one["name"] and one["name"] not in defaults}
    worker = interpolate(FILE, given)["services"]["worker"]
    engine = re.fullmatch(r"(\d+)MB", worker["environment"]["CHENGXIN_MEMORY_LIMIT"])
    limit = re.fullmatch(r"(\d+)g", worker["deploy"]["resources"]["limits"]["memory"])
    assert engine
    assert limit
    tasks = int(worker["environment"]["AIRFLOW__CELERY__WORKER_CONCURRENCY"])
    assert tasks * (1.3 * int(engine[1]) + 400) <= 1024 * int(limit[1])


def test_what_must_be_given_is_asked_for() -> None:
    needed = {
        found["name"]
        for found in composefile.VARIABLE.finditer(composefile.FILE.read_text("utf-8"))
        if found["kind"] == "?"
    }
    given = dict.fromkeys(needed, "x")
    assert interpolate(FILE, given)["services"]["init"]["environment"]["ADMIN_PASSWORD"] == "x"
    for name in needed:
        with pytest.raises(MissingVariableError, match=name):
            interpolate(FILE, {**given, name: ""})


def test_airflow_runs_on_celery_with_fab_and_postgresql() -> None:
    for name in OURS:
        given = environment(name)
        assert given["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
        assert given["AIRFLOW__CORE__AUTH_MANAGER"].endswith("FabAuthManager")
        assert given["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].startswith("postgresql+psycopg2://airflow:")
        # One database for both: a dump holds them at one instant.
        assert given["CHENGXIN_LEDGER_URL"] == given["CHENGXIN_CATALOG_URL"]


def test_airflow_knows_every_option_of_its_core() -> None:
    from airflow.configuration import retrieve_configuration_description

    known = retrieve_configuration_description(include_airflow=True, include_providers=False)
    # The providers' own: with them, in tests/deploy/test_many_workers.py.
    unknown = [(section, option) for section, option in options() if section not in ("celery", "fab")]
    assert [(s, o) for s, o in unknown if o not in known.get(s, {}).get("options", {})] == []


def options() -> list[tuple[str, str]]:
    """Every Airflow option that the file sets: section, name."""
    names = sorted({name for service in OURS for name in environment(service) if name.startswith("AIRFLOW__")})
    return [(section.lower(), option.lower()) for _, section, option in (name.split("__") for name in names)]


def test_chengxin_reads_every_variable_of_its_own() -> None:
    library = "\n".join(path.read_text("utf-8") for path in (ROOT / "include/chengxin").rglob("*.py"))
    names = {name for service in OURS for name in environment(service) if name.startswith("CHENGXIN_")}
    assert {name for name in names if f'"{name}"' not in library} == set()


def test_celery_is_pinned_below_what_breaks_the_provider() -> None:
    assert re.search(r'"celery\[redis\][^"]*<5\.7"', (ROOT / "pyproject.toml").read_text("utf-8"))
    lock = (ROOT / "requirements-production.txt").read_text("utf-8")
    (version,) = re.findall(r"^celery(?:\[redis\])?==([\d.]+)", lock, re.MULTILINE)
    assert tuple(map(int, version.split(".")[:2])) < (5, 7)
    # The same versions of everything that the demo and the tests run with.
    pins = [dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", text, re.MULTILINE)) for text in (lock, dev_lock())]
    assert {name for name in pins[0].keys() & pins[1].keys() if pins[0][name] != pins[1][name]} == set()


def dev_lock() -> str:
    return (ROOT / "requirements-dev.txt").read_text("utf-8")


def test_the_image_is_made_of_pinned_things_and_runs_as_nobody_special() -> None:
    lines = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ").splitlines()
    assert lines[-1].startswith("CMD")
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["50000"]
    assert str(SERVICES["worker"]["user"]).startswith("50000")
    installs = [line for line in lines if "pip install" in line]
    assert len(installs) == 1
    assert "--require-hashes -r requirements-production.txt" in installs[0]
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in ignored
    let_in = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = {
        source for line in lines if line.startswith("COPY ") and "--from" not in line for source in line.split()[1:-1]
    }
    assert let_in == copied | {"Dockerfile"}


def test_the_scripts_are_there_and_are_shell() -> None:
    named = {
        word.removeprefix("/opt/chengxin/")
        for service in SERVICES.values()
        for word in service.get("command", [])
        if word.startswith("/opt/chengxin/")
    }
    scripts = sorted((ROOT / "deploy").rglob("*.sh"))
    assert named <= {str(script.relative_to(ROOT)) for script in (*scripts, ROOT / "deploy/relay.py")}
    for script in scripts:
        assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0, script
        assert "set -eu" in script.read_text("utf-8")
        # The PostgreSQL image would read one that is not executable into its own shell.
        assert os.access(script, os.X_OK), script


def test_a_worker_ends_its_tasks_before_it_is_killed() -> None:
    assert re.fullmatch(r"\d+m", SERVICES["worker"]["stop_grace_period"])
    assert SERVICES["worker"]["deploy"]["replicas"] == "${WORKERS:-2}"
    # Every component that reads or writes the house sees the same one.
    for name in ("worker", "api-server", "dag-processor", "backup"):
        assert "house:/var/lib/chengxin" in SERVICES[name]["volumes"], name


def test_everything_waits_for_the_schemas() -> None:
    for name in set(OURS) - ONE_SHOT:
        assert SERVICES[name]["depends_on"]["init"]["condition"] == "service_completed_successfully", name
    # A restore wants empty databases.
    for name in ONE_SHOT:
        assert set(SERVICES[name]["depends_on"]) == {"postgres"}, name


def test_paths_in_the_file_are_those_of_the_image() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    made = set(re.findall(r"/var/[\w/]+", text)) | {"/opt/chengxin", "/opt/airflow"}
    for name in OURS:
        for volume in SERVICES[name]["volumes"]:
            if isinstance(volume, str):
                assert volume.split(":")[1] in made, volume
        for variable in ("AIRFLOW_HOME", "CHENGXIN_ROOT", "CHENGXIN_VAR", "AIRFLOW__LOGGING__BASE_LOG_FOLDER"):
            assert environment(name)[variable] in made, variable
    assert Path(ROOT / "deploy/postgres").is_dir()
