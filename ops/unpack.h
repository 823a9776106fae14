// Stored numbers as floats, and writing around the caches.
#pragma once

#include "hash_lookup.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace thimble {

#if defined(__SSE2__) && !defined(__SANITIZE_ADDRESS__)  // which does not see such writes
using Vector = __m128i;
inline Vector load(const std::byte* from) { return _mm_loadu_si128(reinterpret_cast<const Vector*>(from)); }
inline void store(std::byte* to, Vector value) { _mm_stream_si128(reinterpret_cast<Vector*>(to), value); }
inline void fence() { _mm_sfence(); }
#else
using Vector = struct {
  unsigned char bytes[16];
};
inline Vector load(const std::byte* from) {
  Vector value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
inline void store(std::byte* to, Vector value) { std::memcpy(to, &value, sizeof value); }
inline void fence() {}
#endif

template <size_t size>
void stream(std::byte* out, const std::byte* in) {
  for (size_t at = 0; at < size; at += sizeof(Vector)) store(out + at, load(in + at));
}

// Rows of `dim` numbers each, stored side by side, every row in whole bytes.
using Unpack = void (*)(float* out, const std::byte* in, size_t rows, size_t dim, float step);

// Bytes of the widest vector that is written around the caches.
inline constexpr size_t widest = 32;

// For numbers of 16, 8 or 4 bits, Streamed rows are whole vectors, aligned as such.
Unpack unpack_for(unsigned bits, bool streamed, Instructions instructions);

}  // namespace thimble
