"""What a seed draws: the server's habits, the machine, the configuration, and the schedule of runs."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.world_server import LISTS, ORDERS, Pages

DATASETS = ("boast_data", "My Data", "enrollments_2", "Shop", "données", "sequence_enrollments_x", "a" * 40, "1st")
ZONES = ("UTC", "Asia/Kolkata", "America/St_Johns", "Pacific/Kiritimati", "Europe/Berlin")
MODES = ([], [], [], ["--full"], ["--incremental"], ["--incremental"], ["--full-refresh"], ["--prove"])


@dataclass
class Step:
    """One run, and the changes before it. `killed`: the request at which it is; `twin`: two start at once."""

    arguments: list[str]
    changes: int
    killed: int | None = None
    twin: bool = False
    forgets: bool = False  # the machine has lost dlt's working folder
    accounts: list[str] = field(default_factory=list)  # of --account; else all
    asks: int = 0  # rows that the pending table gets before it


@dataclass
class World:
    """What the seed drew."""

    seed: int
    warehouse: str
    dataset: str
    zone: str  # of the machine
    views_zone: str
    workers: int
    rows: int
    moving: float  # how likely a change is before each answer
    odd: float  # how likely a record has something unusual
    pages: Pages
    accounts: list[str]
    lists: list[str]  # what is loaded
    faults: float | None  # how likely a write fails; None: nothing is pushed
    welcomes: bool  # the server enrolls again who is active
    calm: bool  # only the push changes enrollments
    in_file: bool  # settings stand in config.toml instead of the environment
    settings: dict[str, str]
    schedule: list[Step]

    def __str__(self) -> str:
        told = "\n".join(f"  {key}: {value}" for key, value in vars(self).items() if key != "schedule")
        return f"BOAST_WORLD={self.seed}\n{told}\n" + "\n".join(f"  {step}" for step in self.schedule)

    @property
    def all_lists(self) -> bool:
        return len(self.lists) == len(LISTS) + 1


def drawn(seed: int) -> World:
    chance = random.Random(seed)
    pages = Pages(
        order=chance.choice(ORDERS),
        size=chance.choice((2, 3, 5, 7, 20)),
        beyond=chance.choice(("empty", "404", "last")),
        latency=chance.choice((0, 0.001, 0.003)),
        least_pages=chance.choice((0, 1)),
        bare_accounts=chance.random() < 0.3,
    )
    others = [name for name in ("accounts", *LISTS[1:]) if chance.random() < 0.25]
    accounts = [f"{chance.getrandbits(32):08x}-0000-4000-8000-{n:012d}" for n in range(chance.choice((1, 1, 2, 3)))]
    warehouse = chance.choice(("duckdb", "duckdb", "duckdb", "postgres", "sqlite"))
    pushes = warehouse != "sqlite" and chance.random() < 0.4
    calm = pushes and chance.random() < 0.6
    world = World(
        seed=seed,
        warehouse=warehouse,
        dataset=chance.choice(DATASETS),
        zone=chance.choice(ZONES),
        views_zone=chance.choice(ZONES),
        workers=chance.choice((1, 1, 2, 8)),
        rows=chance.randint(4, 40),
        moving=0 if calm else chance.choice((0, 0, 0, 0.02, 0.1, 0.3)),
        odd=chance.choice((0, 0.1, 0.5)),
        pages=pages,
        accounts=accounts,
        lists=["accounts", *LISTS] if chance.random() < 0.2 else ["sequence_enrollments", *others],
        faults=chance.choice((0, 0.2, 0.5)) if pushes else None,
        welcomes=chance.random() < 0.5,
        calm=calm,
        in_file=chance.random() < 0.5,
        settings=chance.choice(({}, {}, {"full_every": "0"}, {"incremental_overlap": "0"}, {"max_extra_columns": "1"})),
        schedule=[],
    )
    world.schedule = [_step(world, chance, number) for number in range(chance.randint(4, 6))]
    return world


def _step(world: World, chance: random.Random, number: int) -> Step:
    step = Step(["load", *chance.choice(MODES)], chance.choice((0, 1, 3, 8)) if number else 0)
    pushes = world.faults is not None and number > 0 and chance.random() < 0.75
    if pushes or chance.random() < 0.05:
        step.arguments = ["push"] if pushes and chance.random() < 0.8 else ["nightly"]
        step.asks = chance.choice((0, 2, 5, 10)) if pushes else 0
    elif not world.all_lists:
        step.arguments += ["--resources", ",".join(world.lists)]
    if step.arguments[0] == "load" and len(world.accounts) > 1 and chance.random() < 0.4:
        step.accounts = sorted(chance.sample(world.accounts, chance.randint(1, len(world.accounts) - 1)))
        step.arguments += [part for account in step.accounts for part in ("--account", account)]
    luck = chance.random()
    if luck < 0.12 and (number or world.faults is None):
        step.killed = chance.randint(1, 12)
    elif luck < 0.18:
        step.twin = True
    step.forgets = chance.random() < 0.15
    return step


def configured(world: World, folder: Path, base: str, token: str) -> dict[str, str]:
    """Write config.toml, if the world has one, and return the environment."""
    settings: dict[str, Any] = {
        "base_url": base,
        "dataset": world.dataset,
        "max_concurrency": world.workers,
        "report_path": "",
        "time_zone": world.views_zone,
        "push.settle_after": "1 s",
        "destination": {"sqlite": "sqlalchemy"}.get(world.warehouse, world.warehouse),
    } | world.settings
    env = {"SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN": token}
    if world.in_file:
        (folder / ".dlt").mkdir(exist_ok=True)
        lines = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in settings.items())
        (folder / ".dlt" / "config.toml").write_text(f"[sources.boast]\n{lines}", encoding="utf-8")
        return env
    return env | {f"SOURCES__BOAST__{key.upper().replace('.', '__')}": str(value) for key, value in settings.items()}
