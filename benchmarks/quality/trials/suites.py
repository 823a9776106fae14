"""What is compared with what. The first trial of a suite is the one that the others have to beat."""

from typing import Any

from benchmarks.quality.trials.trial import Trial

Suite = dict[str, Trial]


def _bits(compression: float, hot: float) -> Suite:
    def four(weights: str = "4 bits", step_rate: float = 0.003, **changes: Any) -> Trial:
        return Trial(compression=compression, weights=weights, step_rate=step_rate, hot=hot, **changes)

    return {
        "4 bits": four(),
        "full tables": Trial(scheme="full"),
        "fp32": four("fp32"),
        "fp16": four("fp16"),
        "8 bits": four("8 bits"),
        "the step ten times as fast": four(step_rate=0.03),
        "that, from LSQ's step": four("4 bits, LSQ's start", 0.03),
        "slow, from LSQ's step": four("4 bits, LSQ's start"),
        "LSQ's step itself, not its logarithm": four("4 bits, the step itself", 0.001),
        "without hot rows" if hot else "half of it hot rows": Trial(
            compression=compression, weights="4 bits", step_rate=0.003, hot=0 if hot else 0.5
        ),
        "a scale a field beside the step": four(scales="field", step_rate=0.01),
        "a scale a field's chunk": four(scales="chunk", step_rate=0.01),
        "16 learnt values": four("16 learnt values", 0.01),
        "cut-off weights get gradients that lead inwards": four("4 bits, gradients inwards", 0.03),
        "cut-off weights get all gradients": four("4 bits, all gradients", 0.03),
        "a step that follows the weights' deviation": four("4 bits, measured step"),
        "from 0.03": four(bound=0.03),
        "from 0.1": four(bound=0.1),
        "fp32 from 0.1": four("fp32", bound=0.1),
    }


def _training(compression: float, hot: float) -> Suite:
    def four(**changes: Any) -> Trial:
        return Trial(compression=compression, weights="4 bits", step_rate=0.003, hot=hot, **changes)

    return {
        "Adam, the default rates": four(),
        "half the array's rate": four(sparse_rate=0.5),
        "twice the array's rate": four(sparse_rate=2),
        "four times the array's rate": four(sparse_rate=4),
        "half the MLPs' rate": four(dense_rate=0.5),
        "twice the MLPs' rate": four(dense_rate=2),
        "Adagrad for the array": four(optimizer="adagrad"),
        "Adagrad, half its rate": four(optimizer="adagrad", sparse_rate=0.5),
        "Adagrad, twice its rate": four(optimizer="adagrad", sparse_rate=2),
        "100 steps of warm-up": four(warm_up=100),
        "a slot's rate by how many ids share it": four(rate_by_load=True),
    }


def _chunks(compression: float, hot: float) -> Suite:
    def trial(chunk: int, weights: str) -> Trial:
        return Trial(compression=compression, weights=weights, step_rate=0.003, hot=hot, chunk=chunk)

    return {
        f"{name}, chunks of {chunk}": trial(chunk, weights)
        for name, weights in (("4 bits", "4 bits"), ("fp32", "fp32"))
        for chunk in (4, 2, 8, 16)
    }


SUITES: dict[str, Suite] = {
    f"{name}-{times}x{'-hot' if hot else ''}": suite(times, hot)
    for name, suite in (("bits", _bits), ("training", _training), ("chunks", _chunks))
    for times in (10, 100, 1000)
    for hot in (0, 0.5)
}
