#include "hash_lookup.h"

#include "find.h"
#include "unpack.h"

namespace thimble {
namespace {

// Cache lines with chunks that are on their way from the memory at a time: half of the smallest first cache.
constexpr size_t lines_in_flight = 256;
// Outputs of this size are written around the caches, as memcpy does with much data: they would not be there any more
// when they are read, and would only drive out the memory that the next chunks come from.
constexpr size_t streamed_bytes = size_t{4} << 20;

using Copy = void (*)(const Lookup&, size_t ids, const std::byte* const* found, std::byte* out);

// Chunks side by side. `size` is a chunk's bytes where the compiler is to know them, 0 where not; streamed ones are
// whole vectors.
template <size_t size, bool streamed>
void copy_chunks(const Lookup& lookup, size_t ids, const std::byte* const* found, std::byte* out) {
  // locals, because for all the compiler knows a write to `out` might change `lookup`
  const size_t whole = size ? size : lookup.chunk_bytes;
  const size_t chunks = lookup.chunks, last_bytes = lookup.last_bytes;
  if (last_bytes == whole) {
    for (size_t i = 0; i < ids * chunks; ++i, out += whole) {
      if constexpr (streamed) {
        stream<size>(out, found[i]);
      } else {
        std::memcpy(out, found[i], whole);
      }
    }
    return;
  }
  for (size_t n = 0; n < ids; ++n, found += chunks, out += last_bytes) {
    for (size_t c = 0; c + 1 < chunks; ++c, out += whole) std::memcpy(out, found[c], whole);
    std::memcpy(out, found[chunks - 1], last_bytes);
  }
}

template <size_t size>
Copy copy_of(bool streamed) {
  if constexpr (size >= sizeof(Vector)) {
    if (streamed) return copy_chunks<size, true>;
  }
  return copy_chunks<size, false>;
}

Copy copy_for(const Lookup& lookup, bool streamed) {
  switch (lookup.chunk_bytes) {
    case 1:
      return copy_of<1>(streamed);
    case 2:
      return copy_of<2>(streamed);
    case 4:
      return copy_of<4>(streamed);
    case 8:
      return copy_of<8>(streamed);
    case 16:
      return copy_of<16>(streamed);
    case 32:
      return copy_of<32>(streamed);
    case 64:
      return copy_of<64>(streamed);
    case 128:
      return copy_of<128>(streamed);
    case 256:
      return copy_of<256>(streamed);
    default:
      return copy_of<0>(streamed);
  }
}

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
  const bool floats = lookup.bits == 32, whole_chunks = lookup.last_bytes == lookup.chunk_bytes;
  const auto find_places = find_places_for(instructions);
  const auto find_chunks = find_chunks_for(lookup, instructions);
  const auto copy = copy_for(lookup, floats && whole_chunks && streams(lookup, lookup.chunk_bytes, sizeof(Vector)));
  const auto unpack = unpack_for(lookup.bits, streams(lookup, lookup.embedding_bytes, widest), instructions);
  const size_t row_bytes = (lookup.chunks - 1) * lookup.chunk_bytes + lookup.last_bytes;
  const size_t lines = lookup.chunks * ((lookup.chunk_bytes + cache_line - 1) / cache_line);
  const size_t step = std::clamp<size_t>(lines_in_flight / lines, 1, ids_in_flight);
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
