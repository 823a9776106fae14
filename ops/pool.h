// Lookups whose embeddings are pooled as they are read.
#pragma once

#include "hash_lookup.h"

namespace thimble {

// As `run`, of a lookup that has a layout.
void run_pooled(const Lookup& lookup, const Choices* choices, size_t begin, size_t end, Instructions instructions);

}  // namespace thimble
