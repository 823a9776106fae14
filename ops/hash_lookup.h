// HashLookup without ONNX Runtime: where an id's chunks lie (models/hashing.py is the definition), and copying them.
//
// Whatever the ids and constants, every chunk lies inside the memory: ids are taken modulo 2^60, constants modulo 2^31.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#ifdef __CUDACC__
#define THIMBLE_ANYWHERE __host__ __device__
#else
#define THIMBLE_ANYWHERE
#endif

namespace thimble {

enum class Scheme { block, robe_v1, robe_v2 };

inline constexpr uint32_t block_prime = (uint32_t{1} << 31) - 1;
inline constexpr uint32_t robe_prime = 2038074743;

// x mod `divisor` for 0 <= x < 2^31 and 1 <= divisor <= 2^31, by multiplication (Granlund and Montgomery): with
// 2^(k-1) < divisor <= 2^k and multiplier = ceil(2^(31+k) / divisor), floor(x * multiplier / 2^(31+k)) is the quotient.
struct Modulus {
  uint32_t divisor = 1;
  uint32_t shift = 31;
  uint64_t multiplier = uint64_t{1} << 31;

  Modulus() = default;
  explicit Modulus(uint32_t d) : divisor(d) {
    while ((uint64_t{1} << (shift - 31)) < d) ++shift;
    multiplier = ((uint64_t{1} << shift) + d - 1) / d;
  }
  THIMBLE_ANYWHERE uint32_t operator()(uint32_t x) const {
    return x - static_cast<uint32_t>(x * multiplier >> shift) * divisor;
  }
};

template <uint32_t prime>
THIMBLE_ANYWHERE inline uint32_t reduce(uint64_t x) {
  if constexpr (prime != block_prime) return static_cast<uint32_t>(x % prime);
  x = (x & prime) + (x >> 31);  // 2^31 = 1 modulo 2^31 - 1
  x = (x & prime) + (x >> 31);
  return static_cast<uint32_t>(x < prime ? x : x - prime);
}

// The part of a chunk's hash that a and b make, and the slot that it and s make: (id_part + s) mod prime mod slots.
template <uint32_t prime>
THIMBLE_ANYWHERE inline uint32_t id_part(int64_t id, int64_t a, int64_t b) {
  constexpr uint64_t low = (uint64_t{1} << 30) - 1, constant = (uint64_t{1} << 31) - 1;
  const auto bits = static_cast<uint64_t>(id);
  return reduce<prime>((bits & low) * (a & constant) + (bits >> 30 & low) * (b & constant));
}

template <uint32_t prime>
THIMBLE_ANYWHERE inline uint32_t slot_of(uint32_t id_part, int64_t s, const Modulus& slots) {
  constexpr uint64_t constant = (uint64_t{1} << 31) - 1;
  uint64_t hash = id_part + (s & constant);  // below 3 * prime
  hash -= hash < prime ? 0 : prime;
  hash -= hash < prime ? 0 : prime;
  return slots(static_cast<uint32_t>(hash));
}

struct Attributes {
  Scheme scheme;
  int64_t chunk_size;
  int64_t dim;
};

using Dims = std::vector<int64_t>;

// The attributes of a node, or in `problem` one sentence that says why they are none.
std::optional<Attributes> attributes(std::string_view scheme, int64_t version, int64_t chunk_size, int64_t dim,
                                     std::string& problem);

// One sentence that says why inputs of these shapes cannot be looked up, empty when they can. Negative: not known yet.
std::string misfit(const Attributes& attributes, const Dims& ids, const Dims& memory, const Dims& constants);

// A float16's value, exactly; of a NaN only that it is one is kept. No float32 on the way is subnormal, for a processor
// may be set to take such for zero.
inline float widened(uint16_t half) {
  const uint32_t magnitude = half & 0x7fffu;
  const float small = static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24f;
  const uint32_t rebiased = (magnitude << 13) + (magnitude < 0x7c00u ? 112u << 23 : 224u << 23);
  uint32_t bits;
  std::memcpy(&bits, &small, sizeof bits);
  bits = (magnitude < 0x0400u ? bits : rebiased) | (half & 0x8000u) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// A lookup of `count` ids, row after row, with everything that repeats worked out. Sizes are in bytes: a chunk's are
// those of the memory, of float16 if `half`, and an embedding's those of the output, which is always float32.
struct Lookup {
  Scheme scheme;
  Modulus slots;
  bool half;
  size_t count, fields, chunks;
  size_t stride, chunk_bytes, last_bytes, embedding_bytes;
  const int64_t* ids;
  const std::byte* memory;
  const int64_t* constants;
  std::byte* out;
};

// Shapes must fit; `half` says that the memory is float16.
Lookup plan(const Attributes& attributes, const Dims& ids, const Dims& memory, const Dims& constants, bool half);

// Write the embeddings of the ids from `begin` to `end`.
void run(const Lookup& lookup, size_t begin, size_t end);

}  // namespace thimble
