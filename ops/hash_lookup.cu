#include "hash_lookup_cuda.h"

#include <cuda_fp16.h>
#include <cuda_runtime.h>

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

// Where the chunk lies that begins with chunk `c` of id `n`.
template <uint32_t prime>
__device__ const std::byte* chunk_of(const Lookup& lookup, size_t n, size_t c) {
  const int64_t id = lookup.ids[n];
  const size_t field = n % lookup.fields, plane = lookup.fields * lookup.chunks;
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
    const std::byte* chunk = chunk_of<prime>(lookup, n, c);
    const size_t k = at - c * lookup.chunk_size;
    if constexpr (at_once == four) {
      reinterpret_cast<float4*>(lookup.out)[i] = four_numbers<bits>(chunk, k, lookup.step);
    } else {
      reinterpret_cast<float*>(lookup.out)[i] = number<bits>(chunk, k, lookup.step);
    }
  }
}

template <uint32_t prime, unsigned bits, size_t at_once>
void launch(const Lookup& lookup, cudaStream_t stream) {
  const size_t units = lookup.count * lookup.dim / at_once;
  const auto blocks = static_cast<unsigned>(std::min((units + threads - 1) / threads, most_blocks));
  look_up<prime, bits, at_once><<<blocks, threads, 0, stream>>>(lookup, units);
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
