from tests.service.conftest import criteo, criteo_artifact, server, small_artifact

__all__ = ["criteo", "criteo_artifact", "server", "small_artifact"]
