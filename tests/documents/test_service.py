"""docs/service.md, followed on a host where nothing has been started yet."""

from __future__ import annotations

from pathlib import Path

from tests.support.host import Host
from tests.support.recipe import Command, read_recipe
from tests.support.walk import Walk

DOCUMENT = Path(__file__).parents[2] / "docs/service.md"


def test_service(installed: Host) -> None:
    commands = {step.text for step in read_recipe(DOCUMENT) if isinstance(step, Command)}
    podman = {text for text in commands if text.startswith("podman ")}
    omitted = dict.fromkeys(podman, "the tests reach no registry of images")
    with Walk(installed, DOCUMENT, lasting={"submission serve": "ready"}, omitted=omitted) as walk:
        walk.section("Running the service")
