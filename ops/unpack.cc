#include "unpack.h"

namespace thimble {
namespace {

template <unsigned bits>
size_t bytes_of(size_t numbers) {
  return (numbers * bits + 7) / 8;
}

// The definition. Compilers make vectors of it where all processors have what they need.
template <unsigned bits>
void unpack_row(float* out, const std::byte* in, size_t count, float step) {
  for (size_t i = 0; i < count; ++i) {
    if constexpr (bits == 16) {
      uint16_t half;
      std::memcpy(&half, in + i * sizeof half, sizeof half);
      out[i] = widened(half);
    } else {
      out[i] = scaled<bits>(bits == 4 ? nibble(in, i) : static_cast<unsigned>(in[i]), step);
    }
  }
}

template <unsigned bits>
void unpack(float* out, const std::byte* in, size_t rows, size_t dim, float step) {
  for (size_t n = 0; n < rows; ++n) unpack_row<bits>(out + n * dim, in + n * bytes_of<bits>(dim), dim, step);
}

#ifdef __SSE2__
constexpr size_t at_once = widest / sizeof(float);

// Eight numbers; for processors since 2012 (float16) and 2013.
template <unsigned bits>
[[gnu::target("avx2,f16c"), gnu::always_inline]] inline __m256 eight(const std::byte* in, __m256 step) {
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

template <unsigned bits, bool streamed>
[[gnu::target("avx2,f16c")]] void unpack_avx2(float* out, const std::byte* in, size_t rows, size_t dim, float step) {
  const size_t whole = dim / at_once * at_once;
  const __m256 steps = _mm256_set1_ps(step);
  for (size_t n = 0; n < rows; ++n, out += dim, in += bytes_of<bits>(dim)) {
    for (size_t i = 0; i < whole; i += at_once) {
      const __m256 floats = eight<bits>(in + bytes_of<bits>(i), steps);
#ifndef __SANITIZE_ADDRESS__
      if constexpr (streamed) {
        _mm256_stream_ps(out + i, floats);
        continue;
      }
#endif
      _mm256_storeu_ps(out + i, floats);
    }
    if constexpr (!streamed) unpack_row<bits>(out + whole, in + bytes_of<bits>(whole), dim - whole, step);
  }
}
#endif

template <unsigned bits>
Unpack choose([[maybe_unused]] bool streamed, [[maybe_unused]] Instructions instructions) {
#ifdef __SSE2__
  if (instructions == Instructions::avx2) return streamed ? unpack_avx2<bits, true> : unpack_avx2<bits, false>;
#endif
  return unpack<bits>;
}

}  // namespace

Unpack unpack_for(unsigned bits, bool streamed, Instructions instructions) {
  return bits == 16  ? choose<16>(streamed, instructions)
         : bits == 8 ? choose<8>(streamed, instructions)
                     : choose<4>(streamed, instructions);
}

}  // namespace thimble
