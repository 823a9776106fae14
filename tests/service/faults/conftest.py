"""Faults are injected where releases are tried: a model whose versions come and go."""

from tests.service.releases.conftest import repository as repository
from tests.service.releases.conftest import versions as versions
