"""The image and the job, as far as they can be had without Docker and a cluster: the Dockerfile's steps, the schema."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv

import duckdb

from tests.engines.conftest import ROOT
from tests.support.stored_in_postgres import listed, stored

FILES = ROOT / "pipelines" / "kubernetes"
NOT_CARRIED_OUT = {"FROM", "USER", "RUN useradd"}  # they change the machine


def test_the_job_matches_the_schema_of_kubernetes(tmp_path):
    validate = [os.environ["BOAST_ENGINE_PYTHON"], "-m", "kubernetes_validate", "--strict"]
    job = FILES / "cronjob.yaml"
    done = subprocess.run([*validate, str(job)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(job.read_text().replace("concurrencyPolicy: Forbid", "concurrency: Forbid"))
    assert subprocess.run([*validate, str(wrong)], capture_output=True, check=False).returncode != 0


def test_the_steps_of_the_dockerfile_make_an_image_that_does_a_night_and_the_demo(sandbox, workplace, postgres):
    root = workplace.folder / "root"
    (root / "boast").mkdir(parents=True)
    venv.create(root / "python", with_pip=True)
    env = {"PATH": f"{root}/python/bin:/usr/bin:/bin", "TMPDIR": str(workplace.folder), "PIP_QUIET": "1"}
    env |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    run = {"ENTRYPOINT": [], "CMD": []}
    for name, rest in steps((FILES / "Dockerfile").read_text()):
        inside = re.sub(r"(?<![\w.])/(src|boast)\b", rf"{root}/\1", rest)
        if name == "COPY":
            *sources, target = inside.split()
            copy = "mkdir -p {1} && cp -r {0} {1}" if target.endswith("/") else "cp -r {0} {1}"
            subprocess.run(["sh", "-c", copy.format(" ".join(sources), target)], cwd=ROOT, check=True)
        elif name == "ARG":
            env |= dict([inside.split("=", 1)])
        elif name == "ENV":
            env |= dict(pair.split("=", 1) for pair in inside.split())
        elif name in run:
            run[name] = json.loads(inside)
        elif name == "WORKDIR":
            workdir = inside
        elif not {name, f"{name} {rest.split()[0]}"} & NOT_CARRIED_OUT:
            assert name == "RUN"
            done = subprocess.run(["sh", "-c", inside], cwd=root, env=env, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
    env = {name: value for name, value in env.items() if not name.startswith("PIP_")}
    server = sandbox(enrollments=40)

    def container(*arguments, **more):
        command = [*run["ENTRYPOINT"], *(arguments or run["CMD"])]
        program = f"{root}/python/bin/{command[0]}"
        return subprocess.run(
            [program, *command[1:]], cwd=workdir, env=env | more, capture_output=True, text=True, check=False
        )

    done = container(**server.info["env"], **postgres.env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert stored(postgres) == listed(server)
    assert container("demo").returncode == 0
    with duckdb.connect(f"{workdir}/boast-demo/boast.duckdb", read_only=True) as connection:
        assert connection.execute("select count(*) from boast_data.sequence_enrollments").fetchone()[0] > 2000
    where = subprocess.run(
        [f"{root}/python/bin/python", "-c", "import boast_source; print(boast_source.__file__)"],
        cwd=workdir,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(f"{root}/python/lib/")
    assert sys.prefix not in where.stdout


def steps(text):
    """Instruction and arguments of each line that is no comment."""
    return [line.split(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
