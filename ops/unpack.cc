#include "unpack.h"

namespace thimble {
namespace {

// The definition. Compilers make vectors of it where all processors have what they need.
template <unsigned bits>
void unpack_row(float* out, const std::byte* in, size_t count, float step) {
  for (size_t i = 0; i < count; ++i) out[i] = number<bits>(in, i, step);
}

template <unsigned bits>
void unpack(float* out, const std::byte* in, size_t rows, size_t dim, float step) {
  for (size_t n = 0; n < rows; ++n) unpack_row<bits>(out + n * dim, in + n * bytes_of<bits>(dim), dim, step);
}

#ifdef __SSE2__
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
