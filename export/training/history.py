"""How a run went."""

from pydantic import BaseModel, ConfigDict


class Point(BaseModel):
    """What was known once so many rows were trained on.

    `seconds` of training, those before a run was stopped included; `loss` is the mean of the training rows since the
    point before, in nats. The validation rows' metrics are None where they were not looked at. Of a model of several
    answers losses are their sum, and the AUC is the first one's.
    """

    model_config = ConfigDict(frozen=True)

    epoch: int
    rows: int
    seconds: float
    loss: float
    log_loss: float | None = None
    auc: float | None = None
