# SPDX-License-Identifier: Apache-2.0
"""How many small mistakes in the core and in the commit's guards the tests notice: `make mutation`.

Each mutant is tested in a copy of the checkout. `python -m tests.mutation NAME...` tests only files of these names.
"""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from tests.mutation.mutants import lua_mutants, python_mutants

if TYPE_CHECKING:
    from tests.mutation.mutants import Mutant

ROOT: Final = Path(__file__).parents[2]
#: A mutant that makes the tests use this many seconds of processor time has been noticed.
PATIENCE_S: Final = 120
#: Per cent of the mutants that must be noticed.
GOAL: Final = 90
#: Single cases come first: they are quick, and notice most mutants. Judge, drill and simulation are not of the core.
CORE_TESTS: Final = [
    f"tests/property/test_{name}.py"
    for name in (
        "edges",
        "reconcile_cases",
        "signal",
        "intent",
        "policy",
        "window",
        "sieve",
        "choice",
        "reconcile",
        "fuzz",
    )
]
LUA_TESTS: Final = [f"tests/integration/test_{name}.py" for name in ("commit", "commit_effects")]


def notices(copy: Path, path: Path, mutant: Mutant) -> bool:
    """Say whether a test fails, or hangs, with *mutant* in the *copy*."""
    mutated = copy / path.relative_to(ROOT)
    original = mutated.read_text(encoding="utf-8")
    mutated.write_text(mutant.text, encoding="utf-8")
    try:
        return bool(failure(copy, path))
    finally:
        mutated.write_text(original, encoding="utf-8")


def failure(copy: Path, path: Path) -> str:
    """Return the end of what the tests of *path* say in the *copy* when one fails or hangs, nothing when all pass."""
    tests = CORE_TESTS if path.suffix == ".py" else LUA_TESTS
    pytest = [sys.executable, "-B", "-m", "pytest", "--quiet", "--exitfirst", "--assert=plain"]
    command = ["prlimit", f"--cpu={PATIENCE_S}", *pytest, *tests]
    environ = {**os.environ, "PYTHONPATH": str(copy), "HYPOTHESIS_PROFILE": "mutation"}
    done = subprocess.run(command, cwd=copy, env=environ, capture_output=True, check=False)
    said = done.stdout.decode()[-2000:] or f"ended with {done.returncode}"
    return said if done.returncode else ""


def main(names: list[str]) -> int:
    """Test every mutant; print those that nobody noticed, after each file its score and that of its kind so far.

    Returns 0 when core and Lua reach the goal.
    """
    lua = [ROOT / "router/redis_io/lua" / name for name in ("commit.lua", "common.lua")]
    paths = [*sorted(ROOT.glob("router/core/*.py")), *lua]
    chosen = [path for path in paths if not names or path.name in names]
    jobs = [(p, m) for p in chosen for m in (python_mutants if p.suffix == ".py" else lua_mutants)(p)]
    copies: SimpleQueue[Path] = SimpleQueue()
    seen, noticed = Counter[str](), Counter[str]()

    def test(job: tuple[Path, Mutant]) -> bool:
        copy = copies.get()
        try:
            return notices(copy, *job)
        finally:
            copies.put(copy)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        for number in range(os.cpu_count() or 1):
            copies.put(_copy(Path(folder) / str(number)))
        if red := _red_without_a_mutant(Path(folder) / "0", chosen):
            sys.stderr.write(f"no mutant can be judged, the tests fail without one:\n{red}\n")
            return 1
        results = zip(jobs, pool.map(test, jobs), strict=True)
        for path, own in groupby(results, lambda result: result[0][0]):
            groups = (path.name, "lua" if path.suffix == ".lua" else "core")
            for (_, mutant), was_noticed in own:
                for name in groups:
                    seen[name] += 1
                    noticed[name] += was_noticed
                if not was_noticed:
                    _say(f"{path.relative_to(ROOT)}:{mutant.line}: {mutant.what}")
            for name in groups:
                _say(f"{name}: {noticed[name]} of {seen[name]} mutants noticed, {noticed[name] / seen[name]:.1%}")
    return int(any(100 * noticed[name] < GOAL * seen[name] for name in ("core", "lua") if seen[name]))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _red_without_a_mutant(copy: Path, paths: list[Path]) -> str:
    """Return what fails in an untouched *copy*: with a red test every mutant would count as noticed."""
    one_of_each = {path.suffix: path for path in paths}.values()
    return next((red for path in one_of_each if (red := failure(copy, path))), "")


def _copy(target: Path) -> Path:
    """Copy what the tests need, compiled: what is not mutated is as quick as it can be."""
    for name in ("router", "tests"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", target)
    compileall.compile_dir(target, quiet=1)
    return target


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
