"""Contract for import-linter that forbids module names which say nothing (see .importlinter)."""

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class ModuleNamesContract(Contract):
    """No part of a module's name may be one of `forbidden_names`, whole or as a word (`order_utils`)."""

    type_name = "module_names"
    forbidden_names = fields.SetField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Look at every module of our own; files of other packages are not ours to name."""
        # A field holds its parsed value once the contract is made, which the checker cannot know.
        forbidden = {str(name) for name in self.forbidden_names}  # type: ignore[attr-defined]
        own = (module for module in graph.modules if not graph.is_module_squashed(module))
        offenders = sorted(module for module in own if forbidden & set(module.replace("_", ".").split(".")))
        return ContractCheck(kept=not offenders, metadata={"offenders": offenders})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Name each offender and what to do about it."""
        for module in check.metadata["offenders"]:
            output.print_error(f"{module}: name the module by what it holds.")
