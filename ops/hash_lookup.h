// HashLookup without ONNX Runtime: where an id's chunks lie, and the numbers in them (models/ is the definition).
//
// Whatever ids, constants and directory hold, every read lies inside its array: ids are taken modulo 2^60, constants
// modulo 2^31, and a bucket beyond the last is the last.
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
inline constexpr size_t hash_limit = size_t{1} << 31;  // no hash reaches it

// Of a directory (models/directory.py): ids' keys in a bucket, and buckets in which an id may lie.
inline constexpr size_t lanes = 4, choices = 2;

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

// The part of a hash that a and b make, and the hash that it and s make.
template <uint32_t prime>
THIMBLE_ANYWHERE inline uint32_t id_part(int64_t id, int64_t a, int64_t b) {
  constexpr uint64_t low = (uint64_t{1} << 30) - 1, constant = (uint64_t{1} << 31) - 1;
  const auto bits = static_cast<uint64_t>(id);
  return reduce<prime>((bits & low) * (a & constant) + (bits >> 30 & low) * (b & constant));
}

template <uint32_t prime>
THIMBLE_ANYWHERE inline uint32_t hash_of(uint32_t id_part, int64_t s) {
  constexpr uint64_t constant = (uint64_t{1} << 31) - 1;
  uint64_t hash = id_part + (s & constant);  // below 3 * prime
  hash -= hash < prime ? 0 : prime;
  hash -= hash < prime ? 0 : prime;
  return static_cast<uint32_t>(hash);
}

// The buckets of a field that lie inside a directory's keys, whatever the directory says: at least one.
struct Buckets {
  size_t first;
  uint32_t count;

  THIMBLE_ANYWHERE Buckets(int64_t said_first, int64_t said_count, size_t buckets)
      : first(static_cast<uint64_t>(said_first) < buckets ? static_cast<size_t>(said_first) : buckets - 1) {
    const size_t most = buckets - first < hash_limit ? buckets - first : hash_limit;
    count = static_cast<uint32_t>(said_count < 1 ? 1 : static_cast<uint64_t>(said_count) < most ? said_count : most);
  }
};

// Where an id may lie, and the key that it then has there.
struct Candidate {
  uint32_t key;
  size_t bucket;
};

// By choice `i` of those of all fields, of a directory [5, `plane`].
THIMBLE_ANYWHERE inline Candidate candidate(const int64_t* directory, size_t plane, size_t i, int64_t id,
                                            size_t buckets) {
  const int64_t* a = directory + i;
  const uint32_t hash = hash_of<block_prime>(id_part<block_prime>(id, a[0], a[plane]), a[2 * plane]);
  const Buckets of_field(a[3 * plane], a[4 * plane], buckets);
  return {hash, of_field.first + hash % of_field.count};
}

// The place of a key in a bucket, the last if there are several, -1 if there is none. Free lanes' keys are negative.
THIMBLE_ANYWHERE inline int64_t place_in(const int32_t* keys, const Candidate& candidate) {
  int64_t place = -1;
  for (size_t at = candidate.bucket * lanes; at < (candidate.bucket + 1) * lanes; ++at) {
    place = static_cast<uint32_t>(keys[at]) == candidate.key ? static_cast<int64_t>(at) : place;
  }
  return place;
}

// A chunk's slot: the one that its hash says, or of an id that has a place, the chunk's own behind the shared ones.
THIMBLE_ANYWHERE inline size_t slot_of(uint32_t hashed, int64_t place, size_t shared, size_t chunks, size_t chunk) {
  const size_t own = shared + static_cast<size_t>(place) * chunks + chunk;
  const auto is_hashed = static_cast<size_t>(place >> 63);  // all bits or none: a select that is never a branch
  return (hashed & is_hashed) | (own & ~is_hashed);
}

// A number stored in `bits` bits, of which the middle one is zero.
template <unsigned bits>
THIMBLE_ANYWHERE inline float scaled(unsigned stored, float step) {
  return static_cast<float>(static_cast<int>(stored) - (1 << (bits - 1))) * step;
}

// Number k of those stored in four bits each, the low four of a byte first.
THIMBLE_ANYWHERE inline unsigned nibble(const std::byte* in, size_t k) {
  return static_cast<unsigned>(in[k / 2]) >> (k % 2 * 4) & 15u;
}

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

// How a field's embeddings of several ids become one. The values are those that a node has.
enum class Pooling : int64_t { single, sum, mean, max };

// One more number for a pooled one: the first is what it begins with. Of two zeros, and of NaNs, the earlier one stays.
template <bool largest>
THIMBLE_ANYWHERE inline float pooled(float total, float number) {
  if constexpr (largest) return number > total ? number : total;
#ifdef __CUDA_ARCH__
  return __fadd_rn(total, number);  // which is never made one with a multiplication
#else
  return total + number;
#endif
}

// The slots that each field has in a row of ids, and how its embeddings are pooled. Both are empty where each has one.
struct Bags {
  std::vector<int64_t> values, pooling;
};

// What a node says of itself. `bits` are those of a stored number: 32 and 16 of floats, 8 and 4 of multiples of `step`.
// `hot`: some ids have slots of their own, which a directory finds.
struct Attributes {
  Scheme scheme;
  int64_t chunk_size;
  int64_t dim;
  int64_t bits;
  float step;
  bool hot;
  Bags bags;
};

using Dims = std::vector<int64_t>;

// Those of a node's inputs. Of a dimension that is not known yet, -1; without hot rows the last two are none.
struct Shapes {
  Dims ids, memory, constants, keys, directory;
};

// The attributes of a node, or in `problem` one sentence that says why they are none.
std::optional<Attributes> attributes(std::string_view scheme, int64_t version, int64_t chunk_size, int64_t dim,
                                     int64_t bits, float step, Bags bags, std::string& problem);

// One sentence that says why inputs of these shapes cannot be looked up, empty when they can.
std::string misfit(const Attributes& attributes, const Shapes& shapes);

// Bags as rows of ids are walked along.
struct Layout {
  struct Slot {
    uint32_t field;
    bool in_bag;  // where 0 is no id
  };
  std::vector<Slot> slots;
  std::vector<size_t> first;  // of each field, and of none
  std::vector<Pooling> pooling;

  explicit Layout(const Bags& bags);
};

// A lookup of `count` embeddings, row after row, with everything that repeats worked out. Sizes in bytes are those of what is
// stored, but an embedding's are those of the output, which is always float32.
struct Lookup {
  Scheme scheme;
  unsigned bits;
  float step;
  Modulus shared;  // of the slots that hashes reach
  size_t buckets;  // 0 without hot rows
  size_t first_own;  // the first slot of the first place
  size_t count, fields, chunks, chunk_size, dim;
  size_t stride, chunk_bytes, last_bytes, embedding_bytes;
  const Layout* layout;  // null without bags: there is an embedding of each id
  const int64_t* ids;
  const uint32_t* fields_of;  // the ids' fields if they do not follow one another in turn, else null
  const std::byte* memory;
  const int64_t* constants;
  const int32_t* keys;
  const int64_t* directory;
  std::byte* out;
};

// Shapes must fit, and be known.
Lookup plan(const Attributes& attributes, const Shapes& shapes);

// A directory's constants as vectors of 64-bit numbers take them, [fields, choices] each.
struct Choices {
  std::vector<int64_t> a, b, s, first, divisor, multiplier, shift;

  Choices(const int64_t* directory, size_t fields, size_t buckets);
};

// What a processor has beside that which all of its kind have. All give the same bits.
enum class Instructions { baseline, avx2 };

// This processor's.
Instructions supported();

// Write the embeddings from `begin` to `end`, of an id or of a bag each. `choices` are the directory's, and unused without one.
void run(const Lookup& lookup, const Choices* choices, size_t begin, size_t end,
         Instructions instructions = supported());

}  // namespace thimble
