import importlib
import pkgutil

import pytest

import benchmarks

MODULES = [each.name for each in pkgutil.walk_packages(benchmarks.__path__, "benchmarks.")]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_loads(name: str) -> None:
    """They stand on what the tests stand on, and nobody runs them for weeks."""
    importlib.import_module(name)
