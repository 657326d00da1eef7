"""No module needs itself: imports have no circles, those written inside of functions counted."""

import grimp

ENTRIES = frozenset({"parametric", "sdgan", "sdbegan"})
"""Families whose entry loads its generator when it is asked to, so that a list of models costs no torch."""


def circles(graph: grimp.ImportGraph) -> list[list[str]]:
    """Every module that imports itself by way of others, with the way."""
    return [
        [module, *way]
        for module in sorted(graph.modules)
        for imported in sorted(graph.find_modules_directly_imported_by(module))
        if (way := graph.find_shortest_chain(imported, module))
    ]


def test_no_module_needs_itself() -> None:
    graph = grimp.build_graph("app", "workers", exclude_type_checking_imports=True)
    assert len(graph.modules) > 500
    for family in ENTRIES:
        entry = f"workers.generator.{family}"
        graph.remove_import(importer=f"{entry}.generator", imported=entry)
    assert circles(graph) == []
    graph.add_import(importer="app.errors", imported="app.dataset.request")
    assert circles(graph), "a circle is found where there is one"
