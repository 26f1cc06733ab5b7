# SPDX-License-Identifier: Apache-2.0
"""The promise under every fault at once: `make chaos`, or a short form of it with the other tests.

CHAOS_FAULTS is how many faults strike (36), CHAOS_SEED chooses which, when and where (1).
"""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import TYPE_CHECKING

from tests.chaos.faults import FAULTS
from tests.chaos.world import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

    import pytest

NUMBER = int(os.environ.get("CHAOS_FAULTS", "36"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
#: Faults between two audits.
AUDIT_EVERY = 25


def campaign(number: int, random: Random) -> list[str]:
    """At least *number* names of faults, each kind as often as any other, in random order."""
    names = list(FAULTS) * -(-number // len(FAULTS))
    random.shuffle(names)
    return names


def test_no_fault_loses_or_repeats_anything(
    tmp_path: Path, say: Callable[[str], None], request: pytest.FixtureRequest
) -> None:
    """Under a steady flow, two routers and an execution: no entry without an outcome, no intent twice, cap kept."""
    happened: Counter[str] = Counter()
    world = World(tmp_path, SEED)
    request.addfinalizer(world.close)
    world.start()
    try:
        names = campaign(NUMBER, world.random)
        for turn in range(2 * len(names)):
            if turn % AUDIT_EVERY == AUDIT_EVERY - 1:
                world.audit()
                world.producer.resume()
            if not names:
                break
            name = names.pop()
            if FAULTS[name](world):
                happened[name] += 1
            else:
                names.insert(0, name)  # another turn for what found nothing to strike
            time.sleep(world.random.uniform(0, 0.3))
        world.audit()
    finally:
        say(f"seed {SEED}, {happened.total()} faults injected")
        for name, count in sorted(happened.items()):
            say(f"{count:6} {name}")
        say(", ".join(f"{name} {count}" for name, count in world.counts.items()))
        say(f"orders opened {world.execution.opened}, most open at once {world.execution.most_open}")
    assert happened.total() >= NUMBER
