#include "pool.h"

#include <array>
#include <limits>

#include "copy.h"
#include "find.h"
#include "unpack.h"

namespace thimble {
namespace {

// Embeddings of a number of ids, each in `count` pieces side by side in `pieces`. All pieces have `numbers` numbers but
// an id's last one.
struct Pieces {
  const std::byte* const* pieces;
  size_t ids, count, numbers, last_numbers;
};

// Pool embeddings into `out`, which so far holds nothing, if it is `fresh`, or what was pooled before.
using Pool = void (*)(float* out, const Pieces& from, float step, bool fresh);

// The definition, and what of a row is no whole vector.
template <unsigned bits, bool largest>
void pool_numbers(float* out, const Pieces& from, size_t piece, size_t begin, size_t end, float step, bool fresh) {
  const std::byte* const* at = from.pieces + piece;
  if (fresh) {
    for (size_t i = begin; i < end; ++i) out[i] = number<bits>(*at, i, step);
  }
  for (size_t k = fresh; k < from.ids; ++k) {
    const std::byte* in = at[k * from.count];
    for (size_t i = begin; i < end; ++i) out[i] = pooled<largest>(out[i], number<bits>(in, i, step));
  }
}

template <unsigned bits, bool largest>
void pool(float* out, const Pieces& from, float step, bool fresh) {
  for (size_t piece = 0; piece < from.count; ++piece, out += from.numbers) {
    const size_t numbers = piece + 1 < from.count ? from.numbers : from.last_numbers;
    pool_numbers<bits, largest>(out, from, piece, 0, numbers, step, fresh);
  }
}

#ifdef __SSE2__
// So many vectors of each id, which stay in registers until all are pooled.
template <unsigned bits, bool largest, size_t vectors>
[[gnu::target("avx2,f16c"), gnu::always_inline]] inline void pool_vectors(float* out, const std::byte* const* pieces,
                                                                         size_t ids, size_t apart, size_t offset,
                                                                         __m256 step, bool fresh) {
  __m256 totals[vectors];
  for (size_t v = 0; v < vectors; ++v) {
    const size_t at = v * at_once;
    totals[v] = fresh ? eight<bits>(*pieces + offset + bytes_of<bits>(at), step) : _mm256_loadu_ps(out + at);
  }
  for (size_t k = fresh; k < ids; ++k) {
    const std::byte* in = pieces[k * apart] + offset;
    for (size_t v = 0; v < vectors; ++v) {
      const __m256 read = eight<bits>(in + bytes_of<bits>(v * at_once), step);
      totals[v] = largest ? _mm256_max_ps(read, totals[v]) : _mm256_add_ps(totals[v], read);
    }
  }
  for (size_t v = 0; v < vectors; ++v) _mm256_storeu_ps(out + v * at_once, totals[v]);
}

template <unsigned bits, bool largest>
[[gnu::target("avx2,f16c")]] void pool_avx2(float* out, const Pieces& from, float step, bool fresh) {
  constexpr size_t many = 4;
  const size_t apart = from.count, ids = from.ids;
  const __m256 steps = _mm256_set1_ps(step);
  for (size_t piece = 0; piece < apart; ++piece, out += from.numbers) {
    const size_t numbers = piece + 1 < apart ? from.numbers : from.last_numbers;
    const std::byte* const* in = from.pieces + piece;
    size_t i = 0;
    for (; i + many * at_once <= numbers; i += many * at_once) {
      pool_vectors<bits, largest, many>(out + i, in, ids, apart, bytes_of<bits>(i), steps, fresh);
    }
    for (; i + at_once <= numbers; i += at_once) {
      pool_vectors<bits, largest, 1>(out + i, in, ids, apart, bytes_of<bits>(i), steps, fresh);
    }
    if (i < numbers) pool_numbers<bits, largest>(out, from, piece, i, numbers, step, fresh);
  }
}
#endif

template <unsigned bits, bool largest>
Pool choose([[maybe_unused]] Instructions instructions) {
#ifdef __SSE2__
  if (instructions == Instructions::avx2) return pool_avx2<bits, largest>;
#endif
  return pool<bits, largest>;
}

template <bool largest>
Pool pool_for(unsigned bits, Instructions instructions) {
  return bits == 32   ? choose<32, largest>(instructions)
         : bits == 16 ? choose<16, largest>(instructions)
         : bits == 8  ? choose<8, largest>(instructions)
                      : choose<4, largest>(instructions);
}

// Ids that are looked up together, and the outputs that they belong to.
struct Group {
  size_t count = 0;
  int64_t ids[ids_in_flight];
  uint32_t fields[ids_in_flight];
  size_t outputs[ids_in_flight];
  std::vector<const std::byte*> found;

  explicit Group(size_t most) : found(most) {}
};

// Goes through the slots of the outputs from `begin` to `end` and passes over those of bags that are empty.
class Walk {
 public:
  Walk(const Lookup& lookup, size_t begin, size_t end)
      : layout_(*lookup.layout),
        fields_(lookup.fields),
        first_output_(begin / fields_ * fields_),
        slot_(layout_.first[begin % fields_]),
        at_(lookup.ids + place(begin)),
        end_(lookup.ids + place(end)) {}

  // The next ids, at most so many. None: there are no more.
  void list(Group& group, size_t most) {
    const Layout::Slot* slots = layout_.slots.data();
    size_t listed = 0;
    for (; at_ != end_ && listed < most; ++at_) {
      const auto [field, in_bag] = slots[slot_];
      group.ids[listed] = *at_;
      group.fields[listed] = field;
      group.outputs[listed] = first_output_ + field;
      listed += *at_ != 0 || !in_bag;
      if (++slot_ == layout_.slots.size()) slot_ = 0, first_output_ += fields_;
    }
    group.count = listed;
  }

 private:
  // Where the ids of an output begin.
  size_t place(size_t output) const {
    return output / fields_ * layout_.slots.size() + layout_.first[output % fields_];
  }

  const Layout& layout_;
  size_t fields_, first_output_, slot_;
  const int64_t *at_, *end_;
};

// Whether chunks are read where they lie. Shorter ones are put side by side first, so that vectors are as long as rows.
bool in_place(const Lookup& lookup) { return lookup.chunk_size >= 16 || lookup.chunks == 1; }

// Outputs in their order, which get the embeddings of one group of ids after the other.
class Pooled {
 public:
  Pooled(const Lookup& lookup, size_t begin, size_t most, Instructions instructions)
      : lookup_(lookup),
        copy_(copy_for(lookup, false)),
        add_(pool_for<false>(lookup.bits, instructions)),
        largest_(pool_for<true>(lookup.bits, instructions)),
        row_bytes_((lookup.chunks - 1) * lookup.chunk_bytes + lookup.last_bytes),
        next_(begin) {
    if (in_place(lookup)) return;
    packed_.resize(most * row_bytes_);
    for (size_t k = 0; k < most; ++k) rows_.push_back(packed_.data() + k * row_bytes_);
  }

  void add(const Group& group) {
    Pieces from{group.found.data(), 0, lookup_.chunks, lookup_.chunk_size, 0};
    from.last_numbers = lookup_.dim - (from.count - 1) * from.numbers;
    if (!rows_.empty()) {
      copy_(lookup_, group.count, group.found.data(), packed_.data());
      from = {rows_.data(), 0, 1, lookup_.dim, lookup_.dim};
    }
    for (size_t k = 0; k < group.count; k += from.ids, from.pieces += from.ids * from.count) {
      const size_t output = group.outputs[k];
      for (from.ids = 1; k + from.ids < group.count && group.outputs[k + from.ids] == output;) ++from.ids;
      const bool fresh = output >= next_;
      if (fresh) {
        end(output);
        next_ = output + 1;
      }
      const auto pool = pooling(output) == Pooling::max ? largest_ : add_;
      pool(numbers(output), from, lookup_.step, fresh);
      ids_ += from.ids;
    }
  }

  // There are no more ids of outputs before this one.
  void end(size_t output) {
    if (ids_ > 1 && pooling(next_ - 1) == Pooling::mean) {
      float* const last = numbers(next_ - 1);
      for (size_t i = 0; i < lookup_.dim; ++i) last[i] /= static_cast<float>(ids_);
    }
    std::memset(numbers(next_), 0, (output - next_) * lookup_.embedding_bytes);  // bags without ids
    ids_ = 0;
  }

 private:
  Pooling pooling(size_t output) const { return lookup_.layout->pooling[output % lookup_.fields]; }
  float* numbers(size_t output) const { return reinterpret_cast<float*>(lookup_.out) + output * lookup_.dim; }

  const Lookup& lookup_;
  Copy copy_;
  Pool add_, largest_;
  size_t row_bytes_;
  size_t next_;  // the output after the last that has something
  size_t ids_ = 0;  // of that last one
  std::vector<std::byte> packed_;
  std::vector<const std::byte*> rows_;
};

}  // namespace

void run_pooled(const Lookup& lookup, const Choices* choices, size_t begin, size_t end, Instructions instructions) {
  const size_t most = ids_at_once(lookup);
  Group group(most * lookup.chunks);
  Lookup listed = lookup;
  listed.ids = group.ids;
  listed.fields_of = group.fields;
  const auto find_places = find_places_for(listed, instructions);
  const auto find_chunks = find_chunks_for(listed, instructions);
  int64_t places[ids_in_flight];
  Walk walk(lookup, begin, end);
  Pooled out(lookup, begin, most, instructions);
  for (walk.list(group, most); group.count > 0; walk.list(group, most)) {
    if (lookup.buckets) find_places(listed, *choices, 0, group.count, places);
    find_chunks(listed, 0, group.count, places, group.found.data());
    out.add(group);
  }
  out.end(end);
}

}  // namespace thimble
