// Where on the way from ids to embeddings everything lies. All that is found is called for at once, so that it comes
// while others are hashed.
#pragma once

#include "hash_lookup.h"

namespace thimble {

inline constexpr size_t cache_line = 64;

// Ids whose buckets are on their way from the keys at a time.
inline constexpr size_t ids_in_flight = 64;

// Cache lines with chunks that are on their way from the memory at a time: half of the smallest first cache.
inline constexpr size_t lines_in_flight = 256;

// Ids whose chunks are, at most `ids_in_flight`.
inline size_t ids_at_once(const Lookup& lookup) {
  const size_t lines = lookup.chunks * ((lookup.chunk_bytes + cache_line - 1) / cache_line);
  return std::clamp<size_t>(lines_in_flight / lines, 1, ids_in_flight);
}

// The places of the ids from `begin` to `end`, at most `ids_in_flight`; -1 of those that have none.
using FindPlaces = void (*)(const Lookup&, const Choices&, size_t begin, size_t end, int64_t* places);

// The chunks of the ids from `begin` to `end`. `places` are theirs, and unused without a directory.
using FindChunks = void (*)(const Lookup&, size_t begin, size_t end, const int64_t* places, const std::byte** found);

FindPlaces find_places_for(const Lookup& lookup, Instructions instructions);
FindChunks find_chunks_for(const Lookup& lookup, Instructions instructions);

}  // namespace thimble
