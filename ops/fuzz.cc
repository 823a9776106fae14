// Random lookups, hostile ones among them, against the formula of models/hashing.py written out plainly. Built with
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

// The memory index at which a chunk starts.
int64_t start(Scheme scheme, int64_t length, int64_t chunk, int64_t id, int64_t a, int64_t b, int64_t s) {
  const auto cut = [](int64_t x, int bits) { return static_cast<Wide>(x) & ((Wide{1} << bits) - 1); };
  const Wide all = cut(id, 60), low = all % (Wide{1} << 30), high = all / (Wide{1} << 30);
  const Wide sum = low * cut(a, 31) + high * cut(b, 31) + cut(s, 31);
  switch (scheme) {
    case Scheme::block:
      return static_cast<int64_t>(sum % 2147483647 % (length / chunk) * chunk);
    case Scheme::robe_v1:
      return static_cast<int64_t>(sum % 2038074743 % (length - chunk + 1));
    default:
      return static_cast<int64_t>(sum % 2038074743 % (length - chunk));
  }
}

// Whether numbers of the output are those of the memory. Random float16s are NaN at times, which have no one form.
bool same(const std::byte* out, const std::byte* in, size_t count, bool half) {
  if (!half) return std::memcmp(out, in, count * sizeof(float)) == 0;
  for (size_t i = 0; i < count; ++i) {
    uint16_t stored;
    std::memcpy(&stored, in + i * sizeof stored, sizeof stored);
    const float wanted = widened(stored);
    if (std::memcmp(out + i * sizeof wanted, &wanted, sizeof wanted) == 0) continue;
    float found;
    std::memcpy(&found, out + i * sizeof found, sizeof found);
    if (!std::isnan(found) || !std::isnan(wanted)) return false;
  }
  return true;
}

void lookup_once(Random& random, bool large) {
  const auto scheme = static_cast<Scheme>(random() % 3);
  const bool half = random() % 2;
  const size_t element = half ? 2 : 4;
  const int64_t usual[] = {1, 2, 4, 8, 16, 32, 64, 128};
  const int64_t chunk = random() % 2 ? usual[random() % 8] : 1 + below(random, 70);
  const int64_t chunks = 1 + below(random, random() % 8 ? 6 : 200);
  const int64_t dim = random() % 2 ? chunk * chunks : chunk * (chunks - 1) + 1 + below(random, chunk);
  const int64_t fields = 1 + below(random, 7);
  const int64_t batch = large ? 1 + (8 << 20) / (fields * dim * static_cast<int64_t>(element)) : below(random, 40);
  const int64_t slots = 1 + below(random, random() % 4 ? 2000 : 3);
  const int64_t length = scheme == Scheme::block     ? slots * chunk
                         : scheme == Scheme::robe_v1 ? chunk + slots - 1
                                                     : chunk + slots;
  const bool hostile = random() % 2;

  std::vector<int64_t> ids(static_cast<size_t>(batch * fields));
  for (auto& id : ids) id = value(random, int64_t{1} << 60, hostile);
  std::vector<int64_t> constants(static_cast<size_t>(3 * fields * chunks));
  for (auto& constant : constants) constant = value(random, int64_t{1} << 31, hostile);
  const auto memory_bytes = static_cast<size_t>(length) * element;
  const auto memory = std::make_unique<std::byte[]>(memory_bytes);
  for (size_t i = 0; i < memory_bytes; ++i) memory[i] = static_cast<std::byte>(random());
  const size_t embedding = static_cast<size_t>(dim) * sizeof(float);
  const auto out = std::make_unique<std::byte[]>(ids.size() * embedding);

  std::string problem;
  const auto found = attributes(name(scheme), 1, chunk, dim, problem);
  if (!found) fail("refused: " + problem);
  const Dims memory_dims = scheme == Scheme::block ? Dims{length / chunk, chunk} : Dims{length};
  const Dims ids_dims{batch, fields}, constants_dims{3, fields, chunks};
  problem = misfit(*found, ids_dims, memory_dims, constants_dims);
  if (!problem.empty()) fail("refused: " + problem);
  Lookup lookup = plan(*found, ids_dims, memory_dims, constants_dims, half);
  lookup.ids = ids.data();
  lookup.memory = memory.get();
  lookup.constants = constants.data();
  lookup.out = out.get();
  // in two parts, as threads share a lookup out
  const size_t middle = ids.empty() ? 0 : random() % (ids.size() + 1);
  run(lookup, middle, ids.size());
  run(lookup, 0, middle);

  const auto plane = static_cast<size_t>(fields * chunks);
  for (size_t n = 0; n < ids.size(); ++n) {
    for (size_t c = 0; c < static_cast<size_t>(chunks); ++c) {
      const size_t k = n % static_cast<size_t>(fields) * static_cast<size_t>(chunks) + c;
      const auto from = static_cast<size_t>(start(scheme, length, chunk, ids[n], constants[k], constants[plane + k],
                                                  constants[2 * plane + k]));
      const size_t at = c * static_cast<size_t>(chunk);
      const size_t count = std::min(static_cast<size_t>(chunk), static_cast<size_t>(dim) - at);
      if (!same(out.get() + n * embedding + at * sizeof(float), memory.get() + from * element, count, half)) {
        fail(std::string("differs: ") + name(scheme) + ", chunk_size " + std::to_string(chunk) + ", dim " +
             std::to_string(dim) + ", length " + std::to_string(length) + ", id " + std::to_string(ids[n]));
      }
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
  const char* schemes[] = {"block", "robe-v1", "robe-v2", "", "BLOCK", "robe-v3"};
  std::string problem;
  const auto found = attributes(schemes[random() % 6], random() % 3 ? 1 : any(), any(), any(), problem);
  if (found.has_value() != problem.empty()) fail("refused without a reason");
  if (found) misfit(*found, dims(), dims(), dims());
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
