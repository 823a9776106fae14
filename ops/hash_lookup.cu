#include "hash_lookup_cuda.h"

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <type_traits>

namespace thimble {
namespace {

constexpr unsigned threads = 256;
constexpr size_t most_blocks = size_t{1} << 16;
constexpr size_t four = 4;

// Number k of a chunk, and four from number k on, if those are aligned as a whole.
template <unsigned bits>
__device__ float number(const std::byte* chunk, size_t k, float step) {
  if constexpr (bits == 32) return __ldg(reinterpret_cast<const float*>(chunk) + k);
  if constexpr (bits == 16) return __half2float(__ldg(reinterpret_cast<const __half*>(chunk) + k));
  if constexpr (bits == 8) return scaled<8>(static_cast<unsigned>(chunk[k]), step);
  if constexpr (bits == 4) return scaled<4>(nibble(chunk, k), step);
}

template <unsigned bits>
__device__ float4 four_numbers(const std::byte* chunk, size_t k, float step) {
  const size_t unit = k / four;
  if constexpr (bits == 32) return __ldg(reinterpret_cast<const float4*>(chunk) + unit);
  if constexpr (bits == 16) {
    const uint2 halves = __ldg(reinterpret_cast<const uint2*>(chunk) + unit);
    const auto* two = reinterpret_cast<const __half2*>(&halves);
    const float2 front = __half22float2(two[0]), back = __half22float2(two[1]);
    return {front.x, front.y, back.x, back.y};
  }
  if constexpr (bits == 8) {
    const uchar4 stored = __ldg(reinterpret_cast<const uchar4*>(chunk) + unit);
    return {scaled<8>(stored.x, step), scaled<8>(stored.y, step), scaled<8>(stored.z, step), scaled<8>(stored.w, step)};
  }
  if constexpr (bits == 4) {
    const unsigned stored = __ldg(reinterpret_cast<const uint16_t*>(chunk) + unit);
    return {scaled<4>(stored & 15u, step), scaled<4>(stored >> 4 & 15u, step), scaled<4>(stored >> 8 & 15u, step),
            scaled<4>(stored >> 12, step)};
  }
}

// Where the chunk lies that is chunk `c` of an id.
template <uint32_t prime>
__device__ const std::byte* chunk_of(const Lookup& lookup, int64_t id, size_t field, size_t c) {
  const size_t plane = lookup.fields * lookup.chunks;
  const int64_t* a = lookup.constants + field * lookup.chunks + c;
  size_t slot = lookup.shared(hash_of<prime>(id_part<prime>(id, a[0], a[plane]), a[2 * plane]));
  if (lookup.buckets) {
    int64_t place = -1;
    for (size_t choice = 0; choice < choices; ++choice) {
      const size_t i = field * choices + choice;
      const auto one = candidate(lookup.directory, lookup.fields * choices, i, id, lookup.buckets);
      const int64_t in_bucket = place_in(lookup.keys, one);
      place = place < in_bucket ? in_bucket : place;
    }
    slot = slot_of(slot, place, lookup.first_own, lookup.chunks, c);
  }
  return lookup.memory + slot * lookup.stride;
}

// Neighbouring threads write neighbouring numbers and read them from one chunk. Each hashes for itself: that is
// cheaper than sharing.
template <uint32_t prime, unsigned bits, size_t at_once>
__global__ void look_up(const Lookup lookup, size_t units) {
  const size_t units_a_row = lookup.dim / at_once;
  const size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;
  for (size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < units; i += step) {
    const size_t n = i / units_a_row, at = i % units_a_row * at_once;
    const size_t c = at / lookup.chunk_size;
    const std::byte* chunk = chunk_of<prime>(lookup, lookup.ids[n], n % lookup.fields, c);
    const size_t k = at - c * lookup.chunk_size;
    if constexpr (at_once == four) {
      reinterpret_cast<float4*>(lookup.out)[i] = four_numbers<bits>(chunk, k, lookup.step);
    } else {
      reinterpret_cast<float*>(lookup.out)[i] = number<bits>(chunk, k, lookup.step);
    }
  }
}

// The slots and the pooling of some fields that follow one another. As an argument of a kernel they need no memory of the
// GPU's, which none may be taken of while a graph is captured.
struct SomeBags {
  static constexpr size_t most = 256;

  size_t first_field, fields, slots;
  uint32_t first_slot[most + 1];
  Pooling pooling[most];
};
static_assert(sizeof(SomeBags) + sizeof(Lookup) < 4000, "of all arguments of a kernel 4 kB are safe");

__device__ void pool(float& total, float number, bool largest) {
  total = largest ? pooled<true>(total, number) : pooled<false>(total, number);
}

__device__ void pool(float4& total, const float4& numbers, bool largest) {
  pool(total.x, numbers.x, largest);
  pool(total.y, numbers.y, largest);
  pool(total.z, numbers.z, largest);
  pool(total.w, numbers.w, largest);
}

__device__ float divided(float total, float count) { return total / count; }

__device__ float4 divided(const float4& total, float count) {
  return {total.x / count, total.y / count, total.z / count, total.w / count};
}

// As above, and each thread pools what it reads for its numbers, in the order of the ids.
template <uint32_t prime, unsigned bits, size_t at_once>
__global__ void look_up_pooled(const Lookup lookup, const SomeBags bags, size_t units) {
  using Numbers = std::conditional_t<at_once == four, float4, float>;
  const size_t units_an_embedding = lookup.dim / at_once;
  const size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;
  for (size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < units; i += step) {
    const size_t n = i / units_an_embedding, unit = i % units_an_embedding, at = unit * at_once;
    const size_t row = n / bags.fields, of_these = n % bags.fields, field = bags.first_field + of_these;
    const size_t c = at / lookup.chunk_size, k = at - c * lookup.chunk_size;
    const Pooling pooling = bags.pooling[of_these];
    const int64_t* const end = lookup.ids + row * bags.slots + bags.first_slot[of_these + 1];
    Numbers total{};
    unsigned count = 0;
    for (const int64_t* id = lookup.ids + row * bags.slots + bags.first_slot[of_these]; id < end; ++id) {
      if (*id == 0 && pooling != Pooling::single) continue;
      const std::byte* chunk = chunk_of<prime>(lookup, *id, field, c);
      Numbers read;
      if constexpr (at_once == four) {
        read = four_numbers<bits>(chunk, k, lookup.step);
      } else {
        read = number<bits>(chunk, k, lookup.step);
      }
      if (count++ == 0) {
        total = read;
      } else {
        pool(total, read, pooling == Pooling::max);
      }
    }
    if (pooling == Pooling::mean && count > 1) total = divided(total, static_cast<float>(count));
    reinterpret_cast<Numbers*>(lookup.out)[(row * lookup.fields + field) * units_an_embedding + unit] = total;
  }
}

unsigned blocks_for(size_t units) {
  return static_cast<unsigned>(std::min((units + threads - 1) / threads, most_blocks));
}

template <uint32_t prime, unsigned bits, size_t at_once>
void launch(const Lookup& lookup, cudaStream_t stream) {
  if (lookup.layout == nullptr) {
    const size_t units = lookup.count * lookup.dim / at_once;
    look_up<prime, bits, at_once><<<blocks_for(units), threads, 0, stream>>>(lookup, units);
    return;
  }
  const Layout& layout = *lookup.layout;
  for (size_t first = 0; first < lookup.fields; first += SomeBags::most) {
    SomeBags bags{first, std::min(lookup.fields - first, SomeBags::most), layout.slots.size(), {}, {}};
    for (size_t i = 0; i <= bags.fields; ++i) bags.first_slot[i] = static_cast<uint32_t>(layout.first[first + i]);
    std::copy_n(&layout.pooling[first], bags.fields, bags.pooling);
    const size_t units = lookup.count / lookup.fields * bags.fields * lookup.dim / at_once;
    look_up_pooled<prime, bits, at_once><<<blocks_for(units), threads, 0, stream>>>(lookup, bags, units);
  }
}

// Whether every four numbers that are written together are read together, all aligned.
template <unsigned bits>
bool in_fours(const Lookup& lookup) {
  const size_t in = lookup.stride | lookup.chunk_bytes | reinterpret_cast<uintptr_t>(lookup.memory);
  const size_t out = lookup.embedding_bytes | reinterpret_cast<uintptr_t>(lookup.out);
  return lookup.chunk_size % four == 0 && in % (four * bits / 8) == 0 && out % sizeof(float4) == 0;
}

template <uint32_t prime, unsigned bits>
void launch(const Lookup& lookup, cudaStream_t stream) {
  in_fours<bits>(lookup) ? launch<prime, bits, four>(lookup, stream) : launch<prime, bits, 1>(lookup, stream);
}

}  // namespace

const char* run_on_gpu(const Lookup& lookup, void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  const bool block = lookup.scheme == Scheme::block;
  switch (lookup.bits) {
    case 32:
      block ? launch<block_prime, 32>(lookup, on) : launch<robe_prime, 32>(lookup, on);
      break;
    case 16:
      block ? launch<block_prime, 16>(lookup, on) : launch<robe_prime, 16>(lookup, on);
      break;
    case 8:  // which block alone has
      launch<block_prime, 8>(lookup, on);
      break;
    case 4:
      launch<block_prime, 4>(lookup, on);
      break;
  }
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

}  // namespace thimble
