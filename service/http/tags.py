"""The headings under which the description lists routes, in the order of what people come for."""

from enum import StrEnum


class Tag(StrEnum):
    SCORE = "score"
    MODELS = "models"
    RELEASES = "releases"
    PROTOCOL = "Open Inference Protocol"
    HEALTH = "health"


DESCRIPTIONS = {
    Tag.SCORE: "Rows of features in, click probabilities out.",
    Tag.MODELS: "What is served.",
    Tag.RELEASES: "Which versions of a model answer: bring one, try it on a share of the traffic, go back.",
    Tag.PROTOCOL: "Scoring for clients of Triton and KServe, and what else they ask for.",
    Tag.HEALTH: "Probes and metrics.",
}
