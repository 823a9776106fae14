#include "hash_lookup_cuda.h"

#include <cuda_fp16.h>
#include <cuda_runtime.h>

namespace thimble {
namespace {

constexpr unsigned threads = 256;
constexpr size_t most_blocks = size_t{1} << 16;

// A unit of a float16 memory as one of the output.
__device__ float as_floats(const __half& half) { return __half2float(half); }

__device__ float4 as_floats(const uint2& halves) {
  const auto* two = reinterpret_cast<const __half2*>(&halves);
  const float2 front = __half22float2(two[0]), back = __half22float2(two[1]);
  return {front.x, front.y, back.x, back.y};
}

// Neighbouring threads write neighbouring units and read them from one chunk. Each hashes for itself: that is
// cheaper than sharing.
template <uint32_t prime, typename Unit, typename Out>
__global__ void look_up(const Lookup lookup, size_t units) {
  const size_t units_a_row = lookup.embedding_bytes / sizeof(Out);
  const size_t units_a_chunk = lookup.chunk_bytes / sizeof(Unit);
  const size_t plane = lookup.fields * lookup.chunks;
  const size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;
  for (size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < units; i += step) {
    const size_t n = i / units_a_row, at = i % units_a_row;
    const size_t c = at / units_a_chunk;
    const int64_t* a = lookup.constants + n % lookup.fields * lookup.chunks + c;
    const uint32_t part = id_part<prime>(lookup.ids[n], a[0], a[plane]);
    const uint32_t slot = slot_of<prime>(part, a[2 * plane], lookup.slots);
    const auto* chunk = reinterpret_cast<const Unit*>(lookup.memory + slot * lookup.stride);
    const Unit unit = __ldg(chunk + (at - c * units_a_chunk));
    if constexpr (std::is_same_v<Unit, Out>) {
      reinterpret_cast<Out*>(lookup.out)[i] = unit;
    } else {
      reinterpret_cast<Out*>(lookup.out)[i] = as_floats(unit);
    }
  }
}

template <typename Unit, typename Out>
bool fits(const Lookup& lookup) {
  const size_t in = lookup.stride | lookup.chunk_bytes | reinterpret_cast<uintptr_t>(lookup.memory);
  const size_t out = lookup.embedding_bytes | reinterpret_cast<uintptr_t>(lookup.out);
  return in % sizeof(Unit) == 0 && out % sizeof(Out) == 0;
}

template <typename Unit, typename Out = Unit>
void launch(const Lookup& lookup, cudaStream_t stream) {
  const size_t units = lookup.count * lookup.embedding_bytes / sizeof(Out);
  const auto blocks = static_cast<unsigned>(std::min((units + threads - 1) / threads, most_blocks));
  if (lookup.scheme == Scheme::block) {
    look_up<block_prime, Unit, Out><<<blocks, threads, 0, stream>>>(lookup, units);
  } else {
    look_up<robe_prime, Unit, Out><<<blocks, threads, 0, stream>>>(lookup, units);
  }
}

}  // namespace

const char* run_on_gpu(const Lookup& lookup, void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  if (lookup.half) {
    fits<uint2, float4>(lookup) ? launch<uint2, float4>(lookup, on) : launch<__half, float>(lookup, on);
  } else {
    fits<float4, float4>(lookup) ? launch<float4>(lookup, on) : launch<float>(lookup, on);
  }
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

}  // namespace thimble
