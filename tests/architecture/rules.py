"""All rules, each with the part of the project that it is for."""

from collections.abc import Callable, Iterator

from tests.architecture import import_rules, module_rules
from tests.architecture.source_tree import Module

Rule = Callable[[Module], Iterator[str]]


def everywhere(module: Module) -> bool:
    """Tests and tools too."""
    return True


def all_but_tests(module: Module) -> bool:
    """What people run, here or in Azure."""
    return module.top != "tests"


def deployed(module: Module) -> bool:
    """What runs in Azure."""
    return module.deployed


RULES: dict[Rule, Callable[[Module], bool]] = {
    import_rules.adapters_do_not_know_each_other: deployed,
    import_rules.adapters_meet_in_the_composition_root: deployed,
    import_rules.azure_functions_stays_at_the_edge: deployed,
    import_rules.httpx_stays_in_the_face_client: deployed,
    import_rules.imports_are_absolute: everywhere,
    import_rules.layers_point_one_way: deployed,
    import_rules.sdks_are_imported_lazily: deployed,
    module_rules.environment_is_read_in_settings: deployed,
    module_rules.errors_raised_have_a_code: deployed,
    module_rules.import_machinery_is_left_alone: deployed,
    module_rules.module_level_names_stay_as_they_are: deployed,
    module_rules.module_level_only_defines: deployed,
    module_rules.module_opens_with_a_docstring: all_but_tests,
    module_rules.package_only_exports: all_but_tests,
    module_rules.secrets_are_compared_in_constant_time: deployed,
}
