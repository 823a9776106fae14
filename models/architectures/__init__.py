"""The architectures, a file each.

A new one is a subclass of `BaseArchitecture` in a file of its own, named in `Architecture` below, and its torch module
in a file of `thimble.models.nn`, named in `thimble.models.nn.registry`. Nothing else names them: the trainer, the
exporter and its proof ask them, and a server takes whatever graph a file has.
"""

from thimble.models.architectures.dlrm import DlrmArchitecture

# `kind` tells them apart. A union needs two members, so the second one makes this
# Annotated[DlrmArchitecture | ..., Field(discriminator="kind")].
Architecture = DlrmArchitecture
