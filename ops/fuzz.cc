// Random lookups, hostile ones among them, against the formula of models/ written out plainly. Built with
// AddressSanitizer and UBSan; every buffer is exactly as long as it must be.
//
//     fuzz SECONDS [SEED]
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>

#include "hash_lookup.h"

namespace {

using namespace thimble;
using Random = std::mt19937_64;
using Wide = __int128;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::abort();
}

int64_t below(Random& random, int64_t limit) {
  return static_cast<int64_t>(random() % static_cast<uint64_t>(limit));
}

// Within the contract or anything at all, and edges more often than chance has it.
int64_t value(Random& random, int64_t limit, bool hostile) {
  const int64_t edges[] = {0, 1, limit - 1, limit - 2, limit / 2};
  const int64_t traps[] = {-1, INT64_MIN, INT64_MAX, limit, -limit};
  if (random() % 4 == 0) return hostile ? traps[random() % 5] : edges[random() % 5];
  return hostile ? static_cast<int64_t>(random()) : below(random, limit);
}

const char* name(Scheme scheme) {
  return scheme == Scheme::block ? "block" : scheme == Scheme::robe_v1 ? "robe-v1" : "robe-v2";
}

// The hash of models/hashing.py. Beyond the contract ids count modulo 2^60 and constants modulo 2^31.
int64_t hash(Scheme scheme, int64_t id, int64_t a, int64_t b, int64_t s) {
  const auto cut = [](int64_t x, int bits) { return static_cast<Wide>(x) & ((Wide{1} << bits) - 1); };
  const Wide all = cut(id, 60), low = all % (Wide{1} << 30), high = all / (Wide{1} << 30);
  const Wide sum = low * cut(a, 31) + high * cut(b, 31) + cut(s, 31);
  return static_cast<int64_t>(sum % (scheme == Scheme::block ? 2147483647 : 2038074743));
}

// A directory, and what its definition in models/hot_rows.py finds. Beyond the contract a field's first bucket is the
// last one if there is none of that number, and its others end where the keys do.
struct Hot {
  int64_t buckets, fields;
  std::vector<int32_t> keys;
  std::vector<int64_t> directory;

  int64_t at(int what, size_t field, size_t choice) const {
    return directory[(what * static_cast<size_t>(fields) + field) * choices + choice];
  }
  int64_t key(size_t field, size_t choice, int64_t id) const {
    return hash(Scheme::block, id, at(0, field, choice), at(1, field, choice), at(2, field, choice));
  }
  int64_t bucket(size_t field, size_t choice, int64_t id) const {
    int64_t first = at(3, field, choice);
    if (first < 0 || first >= buckets) first = buckets - 1;
    return first + key(field, choice, id) % std::clamp<int64_t>(at(4, field, choice), 1, buckets - first);
  }
  int64_t place(size_t field, int64_t id) const {
    int64_t found = -1;
    for (size_t choice = 0; choice < choices; ++choice) {
      const int64_t from = bucket(field, choice, id) * 4;
      for (int64_t i = from; i < from + 4; ++i) {
        if (keys[static_cast<size_t>(i)] == key(field, choice, id)) found = std::max(found, i);
      }
    }
    return found;
  }
};

// One of `buckets` buckets that holds about half of the ids.
Hot directory(Random& random, const std::vector<int64_t>& ids, const std::vector<size_t>& of_slots, int64_t fields,
              int64_t buckets, bool hostile) {
  const auto plane = static_cast<size_t>(fields) * choices;
  Hot hot{buckets, fields, std::vector<int32_t>(static_cast<size_t>(buckets) * 4), std::vector<int64_t>(5 * plane)};
  for (auto& key : hot.keys) key = random() % 2 ? -1 : static_cast<int32_t>(value(random, int64_t{1} << 31, hostile));
  for (size_t i = 0; i < 5 * plane; ++i) {
    hot.directory[i] = value(random, i < 3 * plane ? int64_t{1} << 31 : buckets, hostile);
  }
  for (size_t n = 0; n < ids.size(); n += 1 + random() % 3) {
    const size_t field = of_slots[n % of_slots.size()], choice = random() % choices;
    const auto bucket = static_cast<size_t>(hot.bucket(field, choice, ids[n]));
    hot.keys[bucket * 4 + random() % 4] = static_cast<int32_t>(hot.key(field, choice, ids[n]));
  }
  return hot;
}

// Number i of a memory.
float stored(const std::byte* memory, size_t i, int64_t bits, float step) {
  if (bits == 8) return static_cast<float>(static_cast<int>(memory[i]) - 128) * step;
  if (bits == 4) {
    const int byte = static_cast<int>(memory[i / 2]);
    return static_cast<float>((i % 2 ? byte / 16 : byte % 16) - 8) * step;
  }
  if (bits == 16) {
    uint16_t half;
    std::memcpy(&half, memory + i * sizeof half, sizeof half);
    return widened(half);
  }
  float number;
  std::memcpy(&number, memory + i * sizeof number, sizeof number);
  return number;
}

// NaNs have no one form where numbers are widened or pooled.
bool same(float found, float wanted, bool one_form) {
  return std::memcmp(&found, &wanted, sizeof found) == 0 || (!one_form && std::isnan(found) && std::isnan(wanted));
}

// Fields, none of which has a bag, or each one or not; few or many ids a bag.
Bags random_bags(Random& random, size_t fields, bool large) {
  Bags bags;
  if (random() % 2) return bags;
  const int64_t most = large || random() % 4 ? 5 : 150;
  for (size_t field = 0; field < fields; ++field) {
    bags.pooling.push_back(below(random, 4));
    bags.values.push_back(bags.pooling.back() ? 1 + below(random, most) : 1);
  }
  return bags;
}

// The field of each slot of a row.
std::vector<size_t> fields_of_slots(const Bags& bags, size_t fields) {
  std::vector<size_t> of_slots;
  for (size_t field = 0; field < fields; ++field) {
    of_slots.insert(of_slots.end(), bags.values.empty() ? 1 : static_cast<size_t>(bags.values[field]), field);
  }
  return of_slots;
}

// Embeddings of one field in the order of their ids, pooled as models/pooling.py says; none are zero.
std::vector<float> pooled_rows(const std::vector<std::vector<float>>& rows, size_t dim, int64_t pooling) {
  if (rows.empty()) return std::vector<float>(dim);
  std::vector<float> all = rows[0];
  for (size_t row = 1; row < rows.size(); ++row) {
    for (size_t i = 0; i < dim; ++i) {
      if (pooling != 3) all[i] += rows[row][i];
      else if (rows[row][i] > all[i]) all[i] = rows[row][i];
    }
  }
  if (pooling == 2) {
    for (float& number : all) number /= static_cast<float>(rows.size());
  }
  return all;
}

// A buffer that ends where its content does, for the sanitizers to see what reads beyond it.
std::unique_ptr<std::byte[]> random_bytes(Random& random, size_t size) {
  auto bytes = std::make_unique<std::byte[]>(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(random());
  return bytes;
}

void lookup_once(Random& random, bool large) {
  const auto scheme = static_cast<Scheme>(random() % 3);
  const bool block = scheme == Scheme::block, with_hot = block && random() % 2, hostile = random() % 2;
  const int64_t bits = block ? 4 << random() % 4 : 16 << random() % 2;
  const auto step = static_cast<float>(1 + random() % 1000) / 999;
  const int64_t usual[] = {1, 2, 4, 8, 16, 32, 64, 128};
  int64_t chunk = random() % 2 ? usual[random() % 8] : 1 + below(random, 70);
  if (bits == 4) chunk += chunk % 2;
  const int64_t chunks = 1 + below(random, random() % 8 ? 6 : 200);
  const int64_t dim = random() % 2 ? chunk * chunks : chunk * (chunks - 1) + 1 + below(random, chunk);
  const int64_t fields = 1 + below(random, 7);
  const Bags bags = random_bags(random, static_cast<size_t>(fields), large);
  const std::vector<size_t> of_slots = fields_of_slots(bags, static_cast<size_t>(fields));
  const auto width = static_cast<int64_t>(of_slots.size());
  const int64_t batch = large ? 1 + (8 << 20) / (width * dim * 4) : below(random, 40);
  const int64_t shared = 1 + below(random, random() % 4 ? 2000 : 3);
  const int64_t buckets = with_hot ? 1 + below(random, 30) : 0, slots = shared + buckets * 4 * chunks;
  const int64_t length = block ? slots * chunk : scheme == Scheme::robe_v1 ? chunk + slots - 1 : chunk + slots;

  std::vector<int64_t> ids(static_cast<size_t>(batch * width));
  const bool gaps = random() % 2;
  for (auto& id : ids) id = gaps && random() % 2 ? 0 : value(random, int64_t{1} << 60, hostile);
  std::vector<int64_t> constants(static_cast<size_t>(3 * fields * chunks));
  for (auto& constant : constants) constant = value(random, int64_t{1} << 31, hostile);
  const Hot hot = with_hot ? directory(random, ids, of_slots, fields, buckets, hostile) : Hot{};
  const auto memory = random_bytes(random, static_cast<size_t>(length * bits / 8));
  const auto outputs = static_cast<size_t>(batch * fields);
  const auto out = std::make_unique<float[]>(outputs * static_cast<size_t>(dim));

  std::string problem;
  const auto found = attributes(name(scheme), with_hot ? 2 : 1, chunk, dim, bits, step, bags, problem);
  if (!found) fail("refused: " + problem);
  Shapes shapes{{batch, width}, {length}, {3, fields, chunks}, {}, {}};
  if (block) shapes.memory = {slots, bits == 4 ? chunk / 2 : chunk};
  if (with_hot) shapes.keys = {buckets, 4}, shapes.directory = {5, fields, 2};
  problem = misfit(*found, shapes);
  if (!problem.empty()) fail("refused: " + problem);
  Lookup lookup = plan(*found, shapes);
  lookup.ids = ids.data();
  lookup.memory = memory.get();
  lookup.constants = constants.data();
  lookup.keys = hot.keys.data();
  lookup.directory = hot.directory.data();
  lookup.out = reinterpret_cast<std::byte*>(out.get());
  std::optional<Layout> layout;
  if (!bags.values.empty()) lookup.layout = &layout.emplace(bags);
  std::optional<Choices> of_hot;
  if (with_hot) of_hot.emplace(hot.directory.data(), lookup.fields, lookup.buckets);
  const Choices* prepared = of_hot ? &*of_hot : nullptr;
  const Instructions instructions = random() % 2 ? Instructions::baseline : supported();
  // in two parts, as threads share a lookup out
  const size_t middle = outputs == 0 ? 0 : random() % (outputs + 1);
  run(lookup, prepared, middle, outputs, instructions);
  run(lookup, prepared, 0, middle, instructions);

  const auto plane = static_cast<size_t>(fields * chunks);
  const auto embedding = [&](int64_t id, size_t field) {
    std::vector<float> numbers;
    const int64_t place = with_hot ? hot.place(field, id) : -1;
    for (int64_t c = 0; c < chunks; ++c) {
      const int64_t* a = &constants[field * static_cast<size_t>(chunks) + static_cast<size_t>(c)];
      const int64_t hashed = hash(scheme, id, a[0], a[plane], a[2 * plane]) % shared;
      const int64_t start = (place < 0 ? hashed : shared + place * chunks + c) * (block ? chunk : 1);
      for (int64_t i = start; i < start + std::min(chunk, dim - c * chunk); ++i) {
        numbers.push_back(stored(memory.get(), static_cast<size_t>(i), bits, step));
      }
    }
    return numbers;
  };
  const float* number = out.get();
  for (size_t n = 0; n < ids.size();) {
    const size_t field = of_slots[n % of_slots.size()];
    const int64_t pooling = bags.values.empty() ? 0 : bags.pooling[field];
    const size_t next = n + (pooling ? static_cast<size_t>(bags.values[field]) : 1);
    std::vector<std::vector<float>> rows;
    for (; n < next; ++n) {
      if (ids[n] != 0 || pooling == 0) rows.push_back(embedding(ids[n], field));
    }
    for (const float wanted : pooled_rows(rows, static_cast<size_t>(dim), pooling)) {
      if (same(*number++, wanted, bits == 32 && pooling == 0)) continue;
      fail(std::string("differs: ") + name(scheme) + ", bits " + std::to_string(bits) + ", chunk_size " +
           std::to_string(chunk) + ", dim " + std::to_string(dim) + ", length " + std::to_string(length) + ", field " +
           std::to_string(field) + ", pooling " + std::to_string(pooling) + " of " + std::to_string(rows.size()) +
           ", buckets " + std::to_string(buckets));
    }
  }
}

// Memories too large to allocate here.
void modulus_once(Random& random) {
  const auto x = static_cast<uint32_t>(value(random, int64_t{1} << 31, false));
  const auto divisor = static_cast<uint32_t>(1 + (value(random, int64_t{1} << 31, false) >> random() % 31));
  const auto next = static_cast<uint32_t>(divisor + (divisor < (uint32_t{1} << 31) && random() % 2));
  for (const uint32_t d : {divisor, next, uint32_t{1} << random() % 32}) {
    if (Modulus(d)(x) != x % d) fail(std::to_string(x) + " mod " + std::to_string(d));
    if (Modulus(d).multiplier > UINT32_MAX) fail("vectors cannot multiply by that of " + std::to_string(d));
  }
}

// Shapes and attributes of any kind are accepted or refused, and what is accepted can be looked up.
void shapes_once(Random& random) {
  const auto any = [&]() -> int64_t {
    const int64_t traps[] = {-1, 0, 1, 2, 3, 7, INT64_MAX, INT64_MIN, int64_t{1} << 31, int64_t{1} << 62};
    return random() % 3 ? traps[random() % 10] : below(random, 100);
  };
  const auto dims = [&] {
    Dims made(random() % 5);
    for (auto& dim : made) dim = any();
    return made;
  };
  const auto list = [&] {
    std::vector<int64_t> made(random() % 4);
    for (auto& number : made) number = any();
    return made;
  };
  const char* schemes[] = {"block", "robe-v1", "robe-v2", "", "BLOCK", "robe-v3"};
  const int64_t bits[] = {32, 16, 8, 4, any()}, versions[] = {1, 2, any()};
  const float steps[] = {1, 0, -1, INFINITY, NAN};
  std::string problem;
  const auto found = attributes(schemes[random() % 6], versions[random() % 3], any(), any(), bits[random() % 5],
                                steps[random() % 5], {list(), list()}, problem);
  if (found.has_value() != problem.empty()) fail("refused without a reason");
  if (found) misfit(*found, {dims(), dims(), dims(), dims(), dims()});
}

}  // namespace

int main(int count, char** arguments) {
  const double seconds = count > 1 ? std::atof(arguments[1]) : 1;
  Random random(count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 0);
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  long lookups = 0;
  while (std::chrono::steady_clock::now() < end) {
    lookup_once(random, lookups % 300 == 299);  // large outputs are written in another way
    for (int i = 0; i < 20; ++i) shapes_once(random), modulus_once(random);
    ++lookups;
  }
  std::printf("%ld lookups agree\n", lookups);
}
