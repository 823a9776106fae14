"""Outputs that are called as a model's answers, whatever else in the graph is called so."""

from collections.abc import Sequence

import onnx


def name_outputs(graph: onnx.GraphProto, names: Sequence[str]) -> None:
    """Give the outputs these names. A value inside that has one of them gets another.

    Exporters call values as the operators that make them, and do not look whether an output is called `linear` as well.
    """
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    taken |= {value.name for values in (graph.initializer, graph.input, graph.output) for value in values}
    others = dict(zip((output.name for output in graph.output), names, strict=True))
    for name in taken & {*names} - others.keys():
        others[name] = _free(name, taken | {*names})
    for node in graph.node:
        node.input[:] = [others.get(name, name) for name in node.input]
        node.output[:] = [others.get(name, name) for name in node.output]
    for values in (graph.initializer, graph.output):
        for value in values:
            value.name = others.get(value.name, value.name)


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name
