"""Changes to the data on request of the remote control: see `mutate` in control.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from boast_source.sandbox.data import STATUSES, identify, number_of
from boast_source.sandbox.world import SKIP, Refused

if TYPE_CHECKING:
    from boast_source.sandbox.world import World


def mutate(world: World, plan: dict[str, Any]) -> dict[str, list[str]]:
    """Carry out a plan of changes; return the ids by kind of change. Raises Refused for an unknown id."""
    updated: list[int] = []
    for _ in range(int(plan.get("update", 0))):
        updated += _one_changed(world, touch=bool(plan.get("touch", True)), unlike=updated)
    late = plan.get("updated_at")
    at = None if late is None else int(late * 1_000_000)
    created = [world.create(*world.random_pair(), at=at) for _ in range(int(plan.get("insert", 0)))]
    deleted = [_known(world, key) for key in plan.get("delete_ids", ())]
    for _ in range(int(plan.get("delete", 0))):
        n = world.random_listed(lambda n: n not in created)
        deleted += [n] if n is not None and n not in deleted else []
    for n in deleted:
        world.vanish(n)
    restored = [_known(world, key) for key in plan.get("restore_ids", ())]
    for n in restored:
        world.restore(n)
    for edit in plan.get("edits", ()):
        n = _known(world, edit["id"])
        world.edits[n] = world.edits.get(n, {}) | edit.get("set", {}) | dict.fromkeys(edit.get("drop", ()), SKIP)
        if edit.get("touch"):
            world.touch(n)
        updated.append(n)
    done = {"updated": updated, "created": created, "deleted": deleted, "restored": restored}
    seed = world.options.seed
    return {kind: [identify(seed, "enrollment", n) for n in numbers] for kind, numbers in done.items()}


def _one_changed(world: World, *, touch: bool, unlike: list[int]) -> list[int]:
    n = world.random_listed(lambda n: n not in unlike)
    if n is None:
        return []
    world.change(n, (world.status[n] + 1) % len(STATUSES), touch=touch)
    return [n]


def _known(world: World, identifier: str) -> int:
    n = number_of(world.options.seed, "enrollment", identifier)
    if n is None or n >= len(world.created):
        raise Refused(404, "not_found", f"no enrollment {identifier}")
    return n
