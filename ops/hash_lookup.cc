#include "hash_lookup.h"

#include "copy.h"
#include "find.h"
#include "pool.h"
#include "unpack.h"

namespace thimble {
namespace {

// Outputs of this size are written around the caches, as memcpy does with much data: they would not be there any more
// when they are read, and would only drive out the memory that the next chunks come from.
constexpr size_t streamed_bytes = size_t{4} << 20;

// Whether the output is written around the caches, in vectors of this many bytes, of which `whole` must be a multiple.
bool streams(const Lookup& lookup, size_t whole, size_t vector) {
  return lookup.count * lookup.embedding_bytes >= streamed_bytes &&
         (reinterpret_cast<uintptr_t>(lookup.out) | whole) % vector == 0;
}

}  // namespace

Instructions supported() {
#ifdef __SSE2__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c")) return Instructions::avx2;
#endif
  return Instructions::baseline;
}

void run(const Lookup& lookup, const Choices* choices, size_t begin, size_t end, Instructions instructions) {
  if (lookup.layout) return run_pooled(lookup, choices, begin, end, instructions);
  const bool floats = lookup.bits == 32, whole_chunks = lookup.last_bytes == lookup.chunk_bytes;
  const auto find_places = find_places_for(lookup, instructions);
  const auto find_chunks = find_chunks_for(lookup, instructions);
  const auto copy = copy_for(lookup, floats && whole_chunks && streams(lookup, lookup.chunk_bytes, sizeof(Vector)));
  const auto unpack = unpack_for(lookup.bits, streams(lookup, lookup.embedding_bytes, widest), instructions);
  const size_t row_bytes = (lookup.chunks - 1) * lookup.chunk_bytes + lookup.last_bytes;
  const size_t step = ids_at_once(lookup);
  const size_t group = ids_in_flight / step * step;
  std::vector<const std::byte*> found(step * lookup.chunks);
  std::vector<std::byte> packed(floats ? 0 : step * row_bytes);
  int64_t places[ids_in_flight];
  for (size_t from = begin; from < end; from += step) {
    const size_t to = std::min(from + step, end), in_group = (from - begin) % group;
    if (lookup.buckets && in_group == 0) find_places(lookup, *choices, from, std::min(from + group, end), places);
    find_chunks(lookup, from, to, places + in_group, found.data());
    std::byte* out = lookup.out + from * lookup.embedding_bytes;
    copy(lookup, to - from, found.data(), floats ? out : packed.data());
    if (!floats) unpack(reinterpret_cast<float*>(out), packed.data(), to - from, lookup.dim, lookup.step);
  }
  fence();
}

}  // namespace thimble
