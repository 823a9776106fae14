// Chunks, which lie anywhere in the memory, side by side.
#pragma once

#include "hash_lookup.h"

namespace thimble {

// Those of so many ids, as they are stored.
using Copy = void (*)(const Lookup&, size_t ids, const std::byte* const* found, std::byte* out);

// Streamed ones are written around the caches; they must be whole vectors, at aligned places.
Copy copy_for(const Lookup& lookup, bool streamed);

}  // namespace thimble
