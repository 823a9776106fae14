#include "copy.h"

#include "unpack.h"

namespace thimble {
namespace {

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

}  // namespace

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

}  // namespace thimble
