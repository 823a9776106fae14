// HashLookup on a GPU.
#pragma once

#include "hash_lookup.h"

namespace thimble {

// Start a lookup, all of whose pointers but that to its layout are the GPU's, on a stream; nothing is waited for. Why it
// could not, or null.
const char* run_on_gpu(const Lookup& lookup, void* stream);

}  // namespace thimble
