"""A contract for import-linter: a part is entered by its `public` module, between pure parts by `domain`."""

from __future__ import annotations

from typing import Any

import grimp
from importlinter import Contract, ContractCheck, fields, output


class PublicDoorsContract(Contract):
    """No module imports another part's inside.

    `open` parts have no inside; `composers` may look everywhere, for they put the parts together.
    A `domain` module is pure vocabulary, so models and other `domain` modules may name it too.
    """

    type_name = "public_doors"

    root = fields.StringField()
    open = fields.SetField(subfield=fields.StringField())
    composers = fields.SetField(subfield=fields.StringField())

    def check(self, graph: grimp.ImportGraph, verbose: bool) -> ContractCheck:
        """Find the imports that go round a door."""
        options: Any = self
        found = [
            (importer, imported)
            for importer in sorted(graph.find_descendants(options.root))
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if imported.startswith(f"{options.root}.") and not self._is_by_the_door(importer, imported)
        ]
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Say which import is to go where."""
        for importer, imported in check.metadata["found"]:
            output.print_error(
                f"{importer} imports {imported}: take it from {'.'.join(imported.split('.')[:2])}.public"
            )

    def _is_by_the_door(self, importer: str, imported: str) -> bool:
        options: Any = self
        _, own_part, *own_inside = importer.split(".")
        _, part, *inside = imported.split(".")
        if part == own_part or part in options.open or own_part in options.composers:
            return True
        if inside == ["domain"]:
            return own_inside == ["domain"] or own_inside[0] in {"models", "migrations"}
        return inside == ["public"]
