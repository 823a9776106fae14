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

template <unsigned bits>
size_t bytes_of(size_t numbers) {
  return (numbers * bits + 7) / 8;
}

// Number i of those stored at `in`.
template <unsigned bits>
float number(const std::byte* in, size_t i, float step) {
  if constexpr (bits == 32) {
    float found;
    std::memcpy(&found, in + i * sizeof found, sizeof found);
    return found;
  } else if constexpr (bits == 16) {
    uint16_t half;
    std::memcpy(&half, in + i * sizeof half, sizeof half);
    return widened(half);
  } else {
    return scaled<bits>(bits == 4 ? nibble(in, i) : static_cast<unsigned>(in[i]), step);
  }
}

#ifdef __SSE2__
// Numbers in a vector.
inline constexpr size_t at_once = 8;

// The first eight; for processors since 2012 (float16) and 2013.
template <unsigned bits>
[[gnu::target("avx2,f16c"), gnu::always_inline]] inline __m256 eight(const std::byte* in, __m256 step) {
  if constexpr (bits == 32) return _mm256_loadu_ps(reinterpret_cast<const float*>(in));
  if constexpr (bits == 16) return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in)));
  __m256i stored;
  if constexpr (bits == 8) {
    stored = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(in)));
  } else {
    int32_t nibbles;
    std::memcpy(&nibbles, in, sizeof nibbles);
    const __m256i shifts = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
    stored = _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32(nibbles), shifts), _mm256_set1_epi32(15));
  }
  const __m256i zero = _mm256_set1_epi32(1 << (bits - 1));
  return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(stored, zero)), step);
}
#endif

// Rows of `dim` numbers each, stored side by side, every row in whole bytes.
using Unpack = void (*)(float* out, const std::byte* in, size_t rows, size_t dim, float step);

// Bytes of the widest vector that is written around the caches.
inline constexpr size_t widest = 32;

// For numbers of 16, 8 or 4 bits, Streamed rows are whole vectors, aligned as such.
Unpack unpack_for(unsigned bits, bool streamed, Instructions instructions);

}  // namespace thimble
