#include "hash_lookup.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace thimble {
namespace {

// Chunks that are on their way from the memory at a time.
constexpr size_t in_flight = 64;
constexpr size_t cache_line = 64;
// Outputs of this size are written around the caches.
constexpr size_t streamed_bytes = size_t{4} << 20;

using Copy = void (*)(const Lookup&, size_t begin, size_t end, const uint32_t* slots);

#ifdef __SANITIZE_ADDRESS__  // which does not see such writes
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

#if defined(__SSE2__) && !defined(__SANITIZE_ADDRESS__)
using Vector = __m128i;
Vector load(const std::byte* from) { return _mm_loadu_si128(reinterpret_cast<const Vector*>(from)); }
void store(std::byte* to, Vector value) { _mm_stream_si128(reinterpret_cast<Vector*>(to), value); }
void fence() { _mm_sfence(); }
#else
using Vector = struct {
  uint64_t halves[2];
};
Vector load(const std::byte* from) {
  Vector value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
void store(std::byte* to, Vector value) { std::memcpy(to, &value, sizeof value); }
void fence() {}
#endif

std::string shown(const Dims& dims) {
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); ++i) {
    text += (i ? ", " : "") + (dims[i] < 0 ? std::string("?") : std::to_string(dims[i]));
  }
  return text + "]";
}

bool differ(int64_t found, int64_t wanted) { return found >= 0 && wanted >= 0 && found != wanted; }

int64_t chunks_of(const Attributes& attributes) {
  return attributes.dim / attributes.chunk_size + (attributes.dim % attributes.chunk_size != 0);
}

int64_t slots_of(const Attributes& attributes, int64_t length) {
  switch (attributes.scheme) {
    case Scheme::block:
      return length;
    case Scheme::robe_v1:
      return length - attributes.chunk_size + 1;
    case Scheme::robe_v2:
      return length - attributes.chunk_size;
  }
  return 0;
}

// The slots of the chunks of some ids. Each chunk is called for at once, so that it comes while others are hashed.
template <uint32_t prime>
void find(const Lookup& lookup, size_t begin, size_t end, uint32_t* slots) {
  const size_t fields = lookup.fields, chunks = lookup.chunks, plane = fields * chunks;
  const size_t stride = lookup.stride, chunk_bytes = lookup.chunk_bytes;
  const std::byte* memory = lookup.memory;
  const Modulus modulus = lookup.slots;
  size_t field = begin % fields;
  for (size_t n = begin; n < end; ++n) {
    const int64_t id = lookup.ids[n];
    const int64_t* a = lookup.constants + field * chunks;
    const int64_t* b = a + plane;
    const int64_t* s = b + plane;
    uint32_t part = id_part<prime>(id, a[0], b[0]);
    for (size_t c = 0; c < chunks; ++c) {
      // the published maps have one a and b for all chunks of a field
      if (c > 0 && (a[c] != a[c - 1] || b[c] != b[c - 1])) part = id_part<prime>(id, a[c], b[c]);
      slots[c] = slot_of<prime>(part, s[c], modulus);
      const std::byte* chunk = memory + slots[c] * stride;
      for (size_t at = 0; at < chunk_bytes; at += cache_line) __builtin_prefetch(chunk + at);
    }
    slots += chunks;
    field = field + 1 == fields ? 0 : field + 1;
  }
}

// Write around the caches, as memcpy does with much data: an output too large to be still there when it is read would
// only drive out the memory that the next chunks come from.
template <size_t size>
void stream(std::byte* out, const std::byte* in) {
  for (size_t at = 0; at < size; at += sizeof(Vector)) store(out + at, load(in + at));
}

// `size` is the chunk's bytes where the compiler is to know them, 0 where not. Streamed chunks are whole vectors.
template <size_t size, bool streamed>
void copy(const Lookup& lookup, size_t begin, size_t end, const uint32_t* slots) {
  // locals, because for all the compiler knows a write to `out` might change `lookup`
  const size_t whole = size ? size : lookup.chunk_bytes;
  const size_t chunks = lookup.chunks, stride = lookup.stride, last_bytes = lookup.last_bytes;
  const std::byte* memory = lookup.memory;
  std::byte* out = lookup.out + begin * lookup.embedding_bytes;
  for (size_t n = begin; n < end; ++n, slots += chunks) {
    for (size_t c = 0; c < chunks; ++c) {
      const std::byte* chunk = memory + slots[c] * stride;
      if constexpr (streamed) {
        stream<size>(out, chunk);
        out += size;
      } else if (c + 1 < chunks) {
        std::memcpy(out, chunk, whole);
        out += whole;
      } else {
        std::memcpy(out, chunk, last_bytes);
        out += last_bytes;
      }
    }
  }
  if constexpr (streamed) fence();
}

using Widen = void (*)(float* out, const std::byte* in, size_t count);

void widen(float* out, const std::byte* in, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    uint16_t half;
    std::memcpy(&half, in + i * sizeof half, sizeof half);
    out[i] = widened(half);
  }
}

#ifdef __SSE2__
// For processors since 2012. Streamed counts are whole vectors.
template <bool streamed>
[[gnu::target("avx,f16c")]] void widen_f16c(float* out, const std::byte* in, size_t count) {
  const size_t whole = count / 8 * 8;
  for (size_t i = 0; i < whole; i += 8) {
    const __m256 floats = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + 2 * i)));
    streamed && !sanitized ? _mm256_stream_ps(out + i, floats) : _mm256_storeu_ps(out + i, floats);
  }
  if constexpr (!streamed) widen(out + whole, in + 2 * whole, count - whole);
}
#endif

template <Widen widen_chunk>
void widen_chunks(const Lookup& lookup, size_t begin, size_t end, const uint32_t* slots) {
  const size_t whole = lookup.chunk_bytes / 2, last = lookup.last_bytes / 2;
  const size_t chunks = lookup.chunks, stride = lookup.stride;
  const std::byte* memory = lookup.memory;
  auto* out = reinterpret_cast<float*>(lookup.out + begin * lookup.embedding_bytes);
  for (size_t n = begin; n < end; ++n, slots += chunks) {
    for (size_t c = 0; c < chunks; ++c) {
      const size_t count = c + 1 < chunks ? whole : last;
      widen_chunk(out, memory + slots[c] * stride, count);
      out += count;
    }
  }
  fence();
}

bool streams(const Lookup& lookup, size_t vector) {
  return lookup.count * lookup.embedding_bytes >= streamed_bytes && lookup.last_bytes == lookup.chunk_bytes &&
         (reinterpret_cast<uintptr_t>(lookup.out) | lookup.embedding_bytes / lookup.chunks) % vector == 0;
}

template <size_t size>
Copy choose(const Lookup& lookup) {
  if constexpr (size >= sizeof(Vector)) {
    if (streams(lookup, sizeof(Vector))) return copy<size, true>;
  }
  return copy<size, false>;
}

Copy widening_for(const Lookup& lookup) {
#ifdef __SSE2__
  if (__builtin_cpu_supports("f16c")) {
    return streams(lookup, sizeof(__m256)) ? widen_chunks<widen_f16c<true>> : widen_chunks<widen_f16c<false>>;
  }
#endif
  return widen_chunks<widen>;
}

Copy copy_for(const Lookup& lookup) {
  if (lookup.half) return widening_for(lookup);
  switch (lookup.chunk_bytes) {
    case 4:
      return choose<4>(lookup);
    case 8:
      return choose<8>(lookup);
    case 16:
      return choose<16>(lookup);
    case 32:
      return choose<32>(lookup);
    case 64:
      return choose<64>(lookup);
    case 128:
      return choose<128>(lookup);
    case 256:
      return choose<256>(lookup);
    default:
      return choose<0>(lookup);
  }
}

}  // namespace

std::optional<Attributes> attributes(std::string_view scheme, int64_t version, int64_t chunk_size, int64_t dim,
                                     std::string& problem) {
  const std::string name(scheme.substr(0, 64));
  Attributes found{Scheme::block, chunk_size, dim};
  if (scheme == "robe-v1") {
    found.scheme = Scheme::robe_v1;
  } else if (scheme == "robe-v2") {
    found.scheme = Scheme::robe_v2;
  } else if (scheme != "block") {
    problem = "HashLookup: scheme '" + name + "' is none of block, robe-v1 and robe-v2";
    return std::nullopt;
  }
  if (version != 1) {
    problem = "HashLookup: version " + std::to_string(version) + " of scheme " + name + " is not known, only 1 is";
  } else if (chunk_size < 1) {
    problem = "HashLookup: chunk_size " + std::to_string(chunk_size) + " must be at least 1";
  } else if (dim < 1) {
    problem = "HashLookup: dim " + std::to_string(dim) + " must be at least 1";
  } else {
    return found;
  }
  return std::nullopt;
}

std::string misfit(const Attributes& attributes, const Dims& ids, const Dims& memory, const Dims& constants) {
  const bool block = attributes.scheme == Scheme::block;
  const int64_t chunks = chunks_of(attributes);
  if (ids.size() != 2) return "HashLookup: ids are " + shown(ids) + ", but must be [batch, fields]";
  if (constants.size() != 3 || differ(constants[0], 3) || differ(constants[1], ids[1]) ||
      differ(constants[2], chunks)) {
    return "HashLookup: constants are " + shown(constants) + ", but ids " + shown(ids) + " with dim " +
           std::to_string(attributes.dim) + " in chunks of " + std::to_string(attributes.chunk_size) + " need " +
           shown({3, ids[1], chunks});
  }
  if (block && (memory.size() != 2 || differ(memory[1], attributes.chunk_size))) {
    return "HashLookup: memory is " + shown(memory) + ", but block needs " + shown({-1, attributes.chunk_size});
  }
  if (!block && memory.size() != 1) return "HashLookup: memory is " + shown(memory) + ", but must be [length]";
  if (memory[0] >= 0 && slots_of(attributes, memory[0]) < 1) {
    return "HashLookup: memory " + shown(memory) + " has no room for a chunk of " +
           std::to_string(attributes.chunk_size);
  }
  return "";
}

Lookup plan(const Attributes& attributes, const Dims& ids, const Dims& memory, const Dims& constants, bool half) {
  // hashes are below 2^31, so slots beyond are never reached
  const int64_t slots = std::min(slots_of(attributes, memory[0]), int64_t{1} << 31);
  Lookup lookup{};
  lookup.scheme = attributes.scheme;
  lookup.slots = Modulus(static_cast<uint32_t>(slots));
  lookup.half = half;
  lookup.count = static_cast<size_t>(ids[0] * ids[1]);
  lookup.fields = static_cast<size_t>(ids[1]);
  lookup.chunks = static_cast<size_t>(constants[2]);
  const size_t element = half ? 2 : sizeof(float), dim = static_cast<size_t>(attributes.dim);
  lookup.chunk_bytes = static_cast<size_t>(attributes.chunk_size) * element;
  lookup.stride = attributes.scheme == Scheme::block ? lookup.chunk_bytes : element;
  lookup.last_bytes = dim * element - (lookup.chunks - 1) * lookup.chunk_bytes;
  lookup.embedding_bytes = dim * sizeof(float);
  return lookup;
}

void run(const Lookup& lookup, size_t begin, size_t end) {
  const auto find_slots = lookup.scheme == Scheme::block ? find<block_prime> : find<robe_prime>;
  const auto copy_chunks = copy_for(lookup);
  const size_t step = std::max<size_t>(1, in_flight / lookup.chunks);
  std::vector<uint32_t> slots(step * lookup.chunks);
  for (size_t from = begin; from < end; from += step) {
    const size_t to = std::min(from + step, end);
    find_slots(lookup, from, to, slots.data());
    copy_chunks(lookup, from, to, slots.data());
  }
}

}  // namespace thimble
