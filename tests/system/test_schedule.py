"""The shipped cron lines, systemd units, GitHub workflow and Kubernetes job do what they say: each is carried out."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from boast_source.install import INSTALL
from tests.support.stored_in_postgres import listed
from tests.support.stored_in_postgres import stored as stored_in_postgres
from tests.support.wheel import ROOT, environment
from tests.support.workplace import stored

PIPELINES = ROOT / "pipelines"
BOAST = Path(sys.executable).with_name("boast")
THERE = "/srv/boast"  # what the files say, and users change


@pytest.fixture
def installed(workplace):
    """A folder as the files expect it: the command in its .venv."""
    (workplace.folder / ".venv" / "bin").mkdir(parents=True)
    (workplace.folder / ".venv" / "bin" / "boast").symlink_to(BOAST)
    return workplace


def shell(command, folder, env, *program):
    return subprocess.run(
        [*(program or ("/bin/sh",)), "-c", command],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_cron_lines_run_in_crons_bare_environment_and_mail_only_what_is_stale(sandbox, installed):
    server = sandbox(enrollments=40)
    folder = installed.folder
    (folder / ".dlt").mkdir()
    (folder / ".dlt" / "secrets.toml").write_text(
        f'[sources.boast]\nbase_url = "{server.base_url}"\n'
        f'[sources.boast.credentials]\naccess_token = "{server.access_token}"\n'
    )
    lines = (PIPELINES / "cron" / "boast.crontab").read_text().splitlines()
    jobs = [re.fullmatch(r"(\S+ \S+ \S+ \S+ \S+) (.*)", line) for line in lines if not line.startswith("#")]
    assert [job[1] for job in jobs] == ["0 2 * * *", "0 8 * * *"]
    night, morning = (job[2].replace(THERE, str(folder)) for job in jobs)
    assert "%" not in night + morning  # cron makes a line's end of it
    bare = {"HOME": str(folder / "home"), "LOGNAME": "boast", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
    bare |= {"DLT_DATA_DIR": str(folder / "state")}  # for root dlt would keep its state beside other tests'

    mailed = shell(morning, "/", bare)
    assert "No load has succeeded yet" in mailed.stdout
    for _ in range(2):
        done = shell(night, "/", bare)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [json.loads(line)["status"] for line in (folder / "nightly.jsonl").read_text().splitlines()] == ["ok", "ok"]
    assert stored(installed) == server.truth()
    quiet = shell(morning, "/", bare)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_accepts_the_units(installed):
    units = []
    for unit in (PIPELINES / "systemd").iterdir():
        units.append(installed.folder / unit.name)
        units[-1].write_text(unit.read_text().replace(THERE, str(installed.folder)))
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_the_systemd_service_is_closed_where_it_can_be():
    unit = PIPELINES / "systemd" / "boast.service"
    analyze = ["systemd-analyze", "security", "--offline=true", "--threshold=30", str(unit)]
    done = subprocess.run(analyze, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-300:]


def test_the_kubernetes_pod_is_confined():
    cron = yaml.safe_load((PIPELINES / "kubernetes" / "cronjob.yaml").read_text())
    pod = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["securityContext"]["runAsNonRoot"]
    assert all(volume["emptyDir"]["sizeLimit"] for volume in pod["volumes"])


def test_the_kubernetes_job_is_tried_again_for_hours():
    """Kubernetes waits 10 s before the first retry, twice as long before each next one, 6 minutes at most."""
    job = yaml.safe_load((PIPELINES / "kubernetes" / "cronjob.yaml").read_text())["spec"]["jobTemplate"]["spec"]
    waits = [min(10 * 2**n, 360) for n in range(job["backoffLimit"])]
    assert 5 * 3600 < sum(waits) < job["activeDeadlineSeconds"]


def test_nothing_that_ships_installs_the_connector_by_its_unregistered_name():
    for path in [*PIPELINES.rglob("*"), PIPELINES.parent / "README.md"]:
        if path.suffix in {".yml", ".yaml", ".py", ".md", ".in"} or path.name == "Dockerfile":
            assert not re.search(r"pip install[^\n]*boast-source", path.read_text().replace(INSTALL, "")), path
    assert "\npsycopg2-binary==" in (PIPELINES.parent / "requirements.lock").read_text()


EXACT = ["--require-hashes -r requirements.lock", "--no-deps --no-build-isolation ."]


@pytest.mark.parametrize("file", ["SECURITY.md", "pipelines/github/boast.yml", "pipelines/kubernetes/Dockerfile"])
def test_exact_versions_are_installed_by_the_same_two_commands_everywhere(file):
    lines = re.findall(
        r"^(?:RUN |[ ]*python -m )?pip install (.*)$", (ROOT / file).read_text().replace(INSTALL, ""), re.MULTILINE
    )
    quiet = {"-q", "--no-cache-dir", "--disable-pip-version-check"}
    plain = [" ".join(word for word in line.split() if word not in quiet) for line in lines]
    assert [line.replace("/src/", "").replace("/src", ".") for line in plain] == EXACT


def test_what_the_systemd_service_starts_does_a_night_with_the_environment_file(sandbox, installed):
    server = sandbox(enrollments=40)
    text = (PIPELINES / "systemd" / "boast.service").read_text().replace(THERE, str(installed.folder))
    unit = configparser.ConfigParser(interpolation=None, strict=False)  # systemd adds up what is said twice
    unit.optionxform = str
    unit.read_string(text)
    service = unit["Service"]
    file = Path(service["EnvironmentFile"].removeprefix("-"))
    file.write_text("".join(f"{name}={value}\n" for name, value in server.info["env"].items()))
    env = dict(line.split("=", 1) for line in shlex.split(service["Environment"]))
    env |= dict(line.split("=", 1) for line in file.read_text().splitlines())
    done = subprocess.run(
        shlex.split(service["ExecStart"]), cwd=service["WorkingDirectory"], env=env, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert stored(installed) == server.truth()
    (by_hand,) = re.findall(r"^#   sudo -u boast sh -c '(.*)'$", text, re.MULTILINE)
    found = subprocess.run(["sh", "-c", by_hand], env={"PATH": os.defpath}, capture_output=True, text=True, check=False)
    assert (found.returncode, "Nothing needs attention" in found.stdout) == (0, True), found.stderr
    assert [path.parent for path in installed.folder.rglob("pipelines")] == [Path(env["DLT_DATA_DIR"])]
    writable = service["ReadWritePaths"]
    assert all(Path(path).is_relative_to(writable) for path in (env["HOME"], env["DLT_DATA_DIR"]))
    assert service["RestartPreventExitStatus"] == "2 3"


def test_the_steps_of_the_github_workflow_run_in_order_in_an_empty_folder(sandbox, workplace, postgres, wheel):
    server = sandbox(enrollments=40)
    flow = yaml.safe_load((PIPELINES / "github" / "boast.yml").read_text())
    (job,) = flow["jobs"].values()
    python, _ = environment(workplace.folder / "env", with_pip=True)
    secrets = {
        "BOAST_ACCESS_TOKEN": server.access_token,
        "WAREHOUSE_URL": postgres.url(),
    }
    env = {
        **job["env"],
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(workplace.folder / "home"),
        "DLT_DATA_DIR": str(workplace.folder / "state"),
        "GITHUB_STEP_SUMMARY": str(workplace.folder / "summary.md"),
        "SOURCES__BOAST__BASE_URL": server.base_url,
    }
    (workplace.folder / "empty").mkdir()
    setup, install, *steps = job["steps"]
    assert setup["uses"].startswith("actions/setup-python@")
    assert re.fullmatch("[0-9a-f]{40}", install["env"]["COMMIT"])
    assert "--require-hashes -r requirements.lock" in install["run"]
    assert "--no-deps --no-build-isolation ." in install["run"]
    assert "secrets." not in json.dumps([job["env"], setup, install])  # no secret where other people's code is fetched
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", wheel], check=True)
    for step in steps:
        given = {
            name: re.sub(r"\$\{\{ secrets\.(\w+) \}\}", lambda found: secrets[found[1]], value)
            for name, value in step["env"].items()
        }
        done = shell(step["run"], workplace.folder / "empty", env | given, "bash", "-e")
        assert done.returncode == 0, done.stdout + done.stderr
    assert stored_in_postgres(postgres) == listed(server)
    assert "\nLast verified load: " in (workplace.folder / "summary.md").read_text()
    assert list((workplace.folder / "empty").iterdir()) == []  # nothing that the next machine would miss


def test_the_kubernetes_job_does_a_night_with_the_arguments_and_the_secret_alone(sandbox, workplace, postgres):
    server = sandbox(enrollments=40)
    cron = yaml.safe_load((PIPELINES / "kubernetes" / "cronjob.yaml").read_text())["spec"]
    job = cron["jobTemplate"]["spec"]
    (container,) = job["template"]["spec"]["containers"]
    assert cron["concurrencyPolicy"] == "Forbid"
    assert job["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] == [2, 3]
    image = (PIPELINES / "kubernetes" / "Dockerfile").read_text()
    assert json.loads(re.search(r"^CMD (.*)$", image, re.MULTILINE)[1]) == container["args"]
    (home,) = re.findall(r"^ENV HOME=(\S+)", image, re.MULTILINE)
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {home, "/tmp"} == mounted  # all else is read-only
    workplace.use(server, **postgres.env)
    done = workplace.boast(*container["args"])
    assert done.code == 0, done.err
    assert stored_in_postgres(postgres) == listed(server)
