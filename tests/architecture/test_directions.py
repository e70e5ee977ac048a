"""DESIGN.md §2 as it stands in pyproject.toml: the contracts hold, and would notice if they did not."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import grimp
import pytest
from django.apps import apps

from public_doors import PublicDoorsContract

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("platform", "inference", "rendering")
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS = SETTINGS["contracts"]


def test_import_contracts_hold() -> None:
    path = os.pathsep.join(str(ROOT / folder) for folder in FOLDERS)
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in done.stdout


def test_every_package_is_under_contract() -> None:
    found = {path.parent.name for folder in FOLDERS for path in (ROOT / folder).glob("gantry*/__init__.py")}
    assert found == set(SETTINGS["root_packages"])


def test_every_app_has_its_layer() -> None:
    (layers,) = (contract for contract in CONTRACTS if contract["type"] == "layers")
    assert layers["exhaustive"]
    named = {name.strip() for layer in layers["layers"] for name in layer.split("|")}
    ours = {
        config.name.removeprefix("gantry.") for config in apps.get_app_configs() if config.name.startswith("gantry.")
    }
    assert ours
    assert ours <= named


@pytest.mark.parametrize(
    ("importer", "imported", "kept"),
    [
        ("gantry.analyses.services", "gantry.studies.public", True),
        ("gantry.analyses.services", "gantry.studies.services", False),
        ("gantry.analyses.api.views", "gantry.studies.models", False),
        ("gantry.analyses.services", "gantry.studies.domain", False),
        ("gantry.analyses.domain", "gantry.studies.domain", True),
        ("gantry.analyses.models", "gantry.studies.domain", True),
        ("gantry.analyses.services", "gantry.analyses.models", True),
        ("gantry.analyses.services", "gantry.kernel.actor", True),
        ("gantry.config.api", "gantry.studies.api.views", True),
        ("gantry.demo.load", "gantry.studies.services", False),
    ],
)
def test_a_part_is_entered_by_its_door(importer: str, imported: str, kept: bool) -> None:
    graph = grimp.ImportGraph()
    for module in ("gantry", importer, imported):
        graph.add_module(module)
    graph.add_import(importer=importer, imported=imported)
    (options,) = (contract for contract in CONTRACTS if contract["type"] == "public_doors")
    contract: Any = PublicDoorsContract(
        name=options["name"],
        session_options={},
        contract_options={key: options[key] for key in ("root", "open", "composers")},
    )
    assert contract.check(graph, verbose=False).kept is kept
