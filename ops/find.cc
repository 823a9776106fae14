#include "find.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace thimble {
namespace {

// The fields of ids that lie one after the other: those of rows in turn, or as a list says.
template <bool listed>
struct Fields {
  const uint32_t* list;
  size_t fields, field;

  Fields(const Lookup& lookup, size_t begin)
      : list(lookup.fields_of + (listed ? begin : 0)), fields(lookup.fields), field(listed ? 0 : begin % fields) {}
  size_t operator*() const { return listed ? *list : field; }
  size_t next() const { return listed ? list[1] : field + 1; }  // where there is a next id in this row
  void pass(size_t ids) {
    if constexpr (listed) {
      list += ids;
    } else {
      field = field + ids == fields ? 0 : field + ids;
    }
  }
};

void call_for(const std::byte* chunk, size_t bytes) {
  for (size_t at = 0; at < bytes; at += cache_line) __builtin_prefetch(chunk + at);
}

template <bool listed>
void find_places(const Lookup& lookup, const Choices&, size_t begin, size_t end, int64_t* places) {
  const size_t plane = lookup.fields * choices;
  Candidate candidates[ids_in_flight * choices];
  Fields<listed> field(lookup, begin);
  for (size_t n = begin, k = 0; n < end; ++n, field.pass(1)) {
    for (size_t i = *field * choices; k < (n - begin + 1) * choices; ++i, ++k) {
      candidates[k] = candidate(lookup.directory, plane, i, lookup.ids[n], lookup.buckets);
      __builtin_prefetch(lookup.keys + candidates[k].bucket * lanes);
    }
  }
  for (size_t n = begin, k = 0; n < end; ++n, k += choices) {
    const int64_t one = place_in(lookup.keys, candidates[k]);
    places[n - begin] = std::max(one, place_in(lookup.keys, candidates[k + 1]));
  }
}

template <uint32_t prime, bool hot, bool listed>
void find_chunks(const Lookup& lookup, size_t begin, size_t end, const int64_t* places, const std::byte** found) {
  const size_t chunks = lookup.chunks, plane = lookup.fields * chunks;
  const size_t stride = lookup.stride, chunk_bytes = lookup.chunk_bytes, first_own = lookup.first_own;
  const std::byte* memory = lookup.memory;
  const Modulus shared = lookup.shared;
  Fields<listed> field(lookup, begin);
  for (size_t n = begin; n < end; ++n, field.pass(1)) {
    const int64_t id = lookup.ids[n];
    const int64_t* a = lookup.constants + *field * chunks;
    const int64_t* b = a + plane;
    const int64_t* s = b + plane;
    uint32_t part = id_part<prime>(id, a[0], b[0]);
    for (size_t c = 0; c < chunks; ++c) {
      // the published maps have one a and b for all chunks of a field
      if (c > 0 && (a[c] != a[c - 1] || b[c] != b[c - 1])) part = id_part<prime>(id, a[c], b[c]);
      size_t slot = shared(hash_of<prime>(part, s[c]));
      if constexpr (hot) slot = slot_of(slot, places[n - begin], first_own, chunks, c);
      found[c] = memory + slot * stride;
      call_for(found[c], chunk_bytes);
    }
    found += chunks;
  }
}

#ifdef __SSE2__
#define AVX2 [[gnu::target("avx2"), gnu::always_inline]] inline

constexpr size_t four = 4;  // 64-bit numbers in a vector

AVX2 __m256i all(uint64_t value) { return _mm256_set1_epi64x(static_cast<int64_t>(value)); }

AVX2 __m256i four_at(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }

// Hashes of `block` that constants a, b and s give ids.
AVX2 __m256i four_hashes(__m256i ids, __m256i a, __m256i b, __m256i s) {
  const __m256i prime = all(block_prime);  // which is the constants' range, too
  const __m256i low = all((uint64_t{1} << 30) - 1);
  const __m256i low_a = _mm256_mul_epu32(_mm256_and_si256(ids, low), _mm256_and_si256(a, prime));
  const __m256i high = _mm256_and_si256(_mm256_srli_epi64(ids, 30), low);
  const __m256i high_b = _mm256_mul_epu32(high, _mm256_and_si256(b, prime));
  __m256i x = _mm256_add_epi64(_mm256_add_epi64(low_a, high_b), _mm256_and_si256(s, prime));
  x = _mm256_add_epi64(_mm256_and_si256(x, prime), _mm256_srli_epi64(x, 31));  // as in `reduce`
  x = _mm256_add_epi64(_mm256_and_si256(x, prime), _mm256_srli_epi64(x, 31));
  return _mm256_min_epu32(x, _mm256_sub_epi32(x, prime));  // what is below the prime wraps
}

AVX2 __m256i remainders(__m256i x, __m256i quotients, __m256i divisors) {
  return _mm256_sub_epi64(x, _mm256_mul_epu32(quotients, divisors));
}

// One number where `sign` is negative, the other where not.
AVX2 __m256i selected(__m256i negative, __m256i positive, __m256i sign) {
  const __m256d no = _mm256_castsi256_pd(positive), yes = _mm256_castsi256_pd(negative);
  return _mm256_castpd_si256(_mm256_blendv_pd(no, yes, _mm256_castsi256_pd(sign)));
}

template <bool hot, bool listed>
[[gnu::target("avx2")]] void find_chunks_avx2(const Lookup& lookup, size_t begin, size_t end, const int64_t* places,
                                              const std::byte** found) {
  const size_t chunks = lookup.chunks, plane = lookup.fields * chunks;
  const size_t stride = lookup.stride, chunk_bytes = lookup.chunk_bytes, first_own = lookup.first_own;
  const Modulus shared = lookup.shared;
  const __m256i divisor = all(shared.divisor), multiplier = all(shared.multiplier);
  const __m128i shift = _mm_cvtsi32_si128(static_cast<int>(shared.shift));
  const __m256i strides = all(stride), place_strides = all(chunks * stride);
  const __m256i offsets = _mm256_mul_epu32(_mm256_setr_epi64x(0, 1, 2, 3), strides);
  const __m256i first_owns = _mm256_add_epi64(all(first_own * stride), offsets);
  const __m256i memory = all(reinterpret_cast<uintptr_t>(lookup.memory));
  Fields<listed> field(lookup, begin);
  for (size_t n = begin; n < end; ++n, found += chunks, field.pass(1)) {
    const int64_t id = lookup.ids[n], place = hot ? places[n - begin] : -1;
    const int64_t* constants = lookup.constants + *field * chunks;
    size_t c = 0;
    for (; c + four <= chunks; c += four) {
      const int64_t* a = constants + c;
      const __m256i hashes = four_hashes(all(static_cast<uint64_t>(id)), four_at(a), four_at(a + plane),
                                         four_at(a + 2 * plane));
      const __m256i quotients = _mm256_srl_epi64(_mm256_mul_epu32(hashes, multiplier), shift);
      __m256i starts = _mm256_mul_epu32(remainders(hashes, quotients, divisor), strides);
      if constexpr (hot) {
        const __m256i of_place = _mm256_mul_epu32(all(static_cast<uint64_t>(place)), place_strides);
        const __m256i owns = _mm256_add_epi64(of_place, _mm256_add_epi64(first_owns, all(c * stride)));
        starts = selected(starts, owns, all(static_cast<uint64_t>(place)));
      }
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(found + c), _mm256_add_epi64(memory, starts));
      for (size_t i = c; i < c + four; ++i) call_for(found[i], chunk_bytes);
    }
    for (; c < chunks; ++c) {
      const int64_t* a = constants + c;
      const uint32_t hash = hash_of<block_prime>(id_part<block_prime>(id, a[0], a[plane]), a[2 * plane]);
      found[c] = lookup.memory + slot_of(shared(hash), place, first_own, chunks, c) * stride;
      call_for(found[c], chunk_bytes);
    }
  }
}

AVX2 int64_t place_in_avx2(const int32_t* keys, uint64_t key, uint64_t bucket) {
  const auto* in_bucket = reinterpret_cast<const __m128i*>(keys + bucket * lanes);
  const __m128i same = _mm_cmpeq_epi32(_mm_loadu_si128(in_bucket), _mm_set1_epi32(static_cast<int>(key)));
  const auto found = static_cast<unsigned>(_mm_movemask_ps(_mm_castsi128_ps(same)));
  const auto place = static_cast<int64_t>(bucket * lanes + (31 ^ __builtin_clz(found | 1)));
  return found ? place : -1;
}

// The constants of two choices at `i` and of two at `j`, which lie together if the fields follow one another.
template <bool listed>
AVX2 __m256i two_and_two(const std::vector<int64_t>& of_all, size_t i, size_t j) {
  if constexpr (!listed) return four_at(&of_all[i]);
  const auto two = [&](size_t at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(&of_all[at])); };
  return _mm256_set_m128i(two(j), two(i));
}

template <bool listed>
[[gnu::target("avx2")]] void find_places_avx2(const Lookup& lookup, const Choices& of_all, size_t begin, size_t end,
                                              int64_t* places) {
  const size_t fields = lookup.fields;
  const int64_t* ids = lookup.ids;
  uint64_t keys[ids_in_flight * choices], buckets[ids_in_flight * choices];
  Fields<listed> field(lookup, begin);
  for (size_t n = begin, k = 0; n < end;) {
    const size_t i = *field * choices;
    const bool neighbours = n + 1 < end && (listed || field.next() < fields);
    if (neighbours) {
      const size_t j = field.next() * choices;
      const __m128i two = _mm_loadu_si128(reinterpret_cast<const __m128i*>(ids + n));
      const __m256i twice = _mm256_permute4x64_epi64(_mm256_castsi128_si256(two), 0b01'01'00'00);
      const __m256i hashes = four_hashes(twice, two_and_two<listed>(of_all.a, i, j), two_and_two<listed>(of_all.b, i, j),
                                         two_and_two<listed>(of_all.s, i, j));
      const __m256i products = _mm256_mul_epu32(hashes, two_and_two<listed>(of_all.multiplier, i, j));
      const __m256i quotients = _mm256_srlv_epi64(products, two_and_two<listed>(of_all.shift, i, j));
      const __m256i in_fields = remainders(hashes, quotients, two_and_two<listed>(of_all.divisor, i, j));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(keys + k), hashes);
      const __m256i four_buckets = _mm256_add_epi64(two_and_two<listed>(of_all.first, i, j), in_fields);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(buckets + k), four_buckets);
    } else {
      for (size_t choice = 0; choice < choices; ++choice) {
        const auto one = candidate(lookup.directory, fields * choices, i + choice, ids[n], lookup.buckets);
        keys[k + choice] = one.key;
        buckets[k + choice] = one.bucket;
      }
    }
    const size_t done = neighbours ? 2 : 1;
    for (const size_t next = k + done * choices; k < next; ++k) __builtin_prefetch(lookup.keys + buckets[k] * lanes);
    n += done;
    field.pass(done);
  }
  for (size_t n = begin, k = 0; n < end; ++n, k += choices) {
    const int64_t one = place_in_avx2(lookup.keys, keys[k], buckets[k]);
    places[n - begin] = std::max(one, place_in_avx2(lookup.keys, keys[k + 1], buckets[k + 1]));
  }
}
#endif

}  // namespace

Choices::Choices(const int64_t* directory, size_t fields, size_t buckets) {
  const size_t plane = fields * choices;
  a.assign(directory, directory + plane);
  b.assign(directory + plane, directory + 2 * plane);
  s.assign(directory + 2 * plane, directory + 3 * plane);
  for (const int64_t* at = directory + 3 * plane; at < directory + 4 * plane; ++at) {
    const Buckets of_field(at[0], at[plane], buckets);
    const Modulus modulus(of_field.count);
    first.push_back(static_cast<int64_t>(of_field.first));
    divisor.push_back(modulus.divisor);
    multiplier.push_back(static_cast<int64_t>(modulus.multiplier));
    shift.push_back(modulus.shift);
  }
}

namespace {

template <bool listed>
FindPlaces places_for([[maybe_unused]] Instructions instructions) {
#ifdef __SSE2__
  if (instructions == Instructions::avx2) return find_places_avx2<listed>;
#endif
  return find_places<listed>;
}

template <bool listed>
FindChunks chunks_for(const Lookup& lookup, [[maybe_unused]] Instructions instructions) {
  const bool hot = lookup.buckets > 0;
  if (lookup.scheme != Scheme::block) return find_chunks<robe_prime, false, listed>;
#ifdef __SSE2__
  // factors of 64-bit products have 32 bits
  const bool narrow = std::max(lookup.chunks * lookup.stride, lookup.buckets * lanes) <= UINT32_MAX;
  if (instructions == Instructions::avx2 && narrow) {
    return hot ? find_chunks_avx2<true, listed> : find_chunks_avx2<false, listed>;
  }
#endif
  return hot ? find_chunks<block_prime, true, listed> : find_chunks<block_prime, false, listed>;
}

}  // namespace

FindPlaces find_places_for(const Lookup& lookup, Instructions instructions) {
  return lookup.fields_of ? places_for<true>(instructions) : places_for<false>(instructions);
}

FindChunks find_chunks_for(const Lookup& lookup, Instructions instructions) {
  return lookup.fields_of ? chunks_for<true>(lookup, instructions) : chunks_for<false>(lookup, instructions);
}

}  // namespace thimble
