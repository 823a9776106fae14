// Which attributes and shapes are a lookup, and what follows from them.
#include <cmath>
#include <numeric>
#include <utility>

#include "hash_lookup.h"

namespace thimble {
namespace {

// That a bag may have, as models/bags.py says: what a hostile node makes one set up has an end.
constexpr int64_t most_values = 1024;

std::string shown(const Dims& dims) {
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); ++i) {
    text += (i ? ", " : "") + (dims[i] < 0 ? std::string("?") : std::to_string(dims[i]));
  }
  return text + "]";
}

bool differ(int64_t found, int64_t wanted) { return found >= 0 && wanted >= 0 && found != wanted; }

bool differ(const Dims& found, const Dims& wanted) {
  if (found.size() != wanted.size()) return true;
  for (size_t i = 0; i < found.size(); ++i) {
    if (differ(found[i], wanted[i])) return true;
  }
  return false;
}

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

// Why these are no bags, empty when they are.
std::string misfit_of_bags(const Bags& bags) {
  const auto& [values, pooling] = bags;
  if (values.size() != pooling.size()) {
    return "HashLookup: values are those of " + std::to_string(values.size()) + " fields and pooling that of " +
           std::to_string(pooling.size()) + ", but both must be of every field";
  }
  for (size_t field = 0; field < values.size(); ++field) {
    const std::string of_field = " of field " + std::to_string(field);
    if (values[field] < 1 || values[field] > most_values) {
      return "HashLookup: values " + std::to_string(values[field]) + of_field + " must be between 1 and " +
             std::to_string(most_values);
    }
    if (pooling[field] < 0 || pooling[field] > static_cast<int64_t>(Pooling::max)) {
      return "HashLookup: pooling " + std::to_string(pooling[field]) + of_field +
             " is none of 0 (single-valued), 1 (sum), 2 (mean) and 3 (max)";
    }
    if (pooling[field] == 0 && values[field] > 1) {
      return "HashLookup: values " + std::to_string(values[field]) + of_field +
             " must be 1, because its pooling 0 says that it is single-valued";
    }
  }
  return "";
}

// The fields, -1 if that is not known yet.
int64_t fields_of(const Attributes& attributes, const Dims& ids) {
  const auto& values = attributes.bags.values;
  return values.empty() ? ids[1] : static_cast<int64_t>(values.size());
}

// Why some ids cannot have slots of their own, empty when they can.
std::string misfit_of_hot(const Attributes& attributes, const Shapes& shapes) {
  const auto& [ids, memory, constants, keys, directory] = shapes;
  if (keys.empty() || directory.empty()) return "HashLookup: version 2 of scheme block needs keys and directory";
  if (differ(keys, {-1, lanes}) || keys[0] == 0) {
    return "HashLookup: keys are " + shown(keys) + ", but must be [buckets, " + std::to_string(lanes) + "]";
  }
  if (const Dims wanted{5, fields_of(attributes, ids), choices}; differ(directory, wanted)) {
    return "HashLookup: directory is " + shown(directory) + ", but ids " + shown(ids) + " need " + shown(wanted);
  }
  const int64_t chunks = chunks_of(attributes);
  if (memory[0] >= 0 && keys[0] >= 0 && keys[0] > (memory[0] - 1) / static_cast<int64_t>(lanes) / chunks) {
    return "HashLookup: memory " + shown(memory) + " has no room for " + std::to_string(chunks) +
           " chunks of every place in keys " + shown(keys) + " and one that is shared";
  }
  return "";
}

}  // namespace

std::optional<Attributes> attributes(std::string_view scheme, int64_t version, int64_t chunk_size, int64_t dim,
                                     int64_t bits, float step, Bags bags, std::string& problem) {
  const std::string name(scheme.substr(0, 64));
  Attributes found{Scheme::block, chunk_size, dim, bits, step, version == 2, std::move(bags)};
  if (scheme == "robe-v1") {
    found.scheme = Scheme::robe_v1;
  } else if (scheme == "robe-v2") {
    found.scheme = Scheme::robe_v2;
  } else if (scheme != "block") {
    problem = "HashLookup: scheme '" + name + "' is none of block, robe-v1 and robe-v2";
    return std::nullopt;
  }
  const bool block = found.scheme == Scheme::block, floats = bits == 32 || bits == 16;
  if (version != 1 && !(block && version == 2)) {
    problem = "HashLookup: version " + std::to_string(version) + " of scheme " + name + " is not known, only " +
              (block ? "1 and 2 are" : "1 is");
  } else if (chunk_size < 1) {
    problem = "HashLookup: chunk_size " + std::to_string(chunk_size) + " must be at least 1";
  } else if (dim < 1) {
    problem = "HashLookup: dim " + std::to_string(dim) + " must be at least 1";
  } else if (!floats && bits != 8 && bits != 4) {
    problem = "HashLookup: bits " + std::to_string(bits) + " of a uint8 memory must be 8 or 4";
  } else if (!floats && !block) {
    problem = "HashLookup: scheme " + name + " has no memory of " + std::to_string(bits) + " bits, only block has";
  } else if (!floats && !(std::isfinite(step) && step > 0)) {
    problem = "HashLookup: step " + std::to_string(step) + " must be a positive number";
  } else if (bits == 4 && chunk_size % 2) {
    problem = "HashLookup: chunk_size " + std::to_string(chunk_size) + " must be even where numbers have 4 bits";
  } else {
    problem = misfit_of_bags(found.bags);
    if (problem.empty()) return found;
  }
  return std::nullopt;
}

std::string misfit(const Attributes& attributes, const Shapes& shapes) {
  const auto& [ids, memory, constants, keys, directory] = shapes;
  const bool block = attributes.scheme == Scheme::block;
  const auto& values = attributes.bags.values;
  if (ids.size() != 2) {
    return "HashLookup: ids are " + shown(ids) + ", but must be [batch, " + (values.empty() ? "fields]" : "slots]");
  }
  const int64_t slots = std::accumulate(values.begin(), values.end(), int64_t{0});
  if (!values.empty() && differ(ids[1], slots)) {
    return "HashLookup: ids are " + shown(ids) + ", but the values of " + std::to_string(values.size()) +
           " fields need " + shown({-1, slots});
  }
  if (const Dims wanted{3, fields_of(attributes, ids), chunks_of(attributes)}; differ(constants, wanted)) {
    return "HashLookup: constants are " + shown(constants) + ", but ids " + shown(ids) + " with dim " +
           std::to_string(attributes.dim) + " in chunks of " + std::to_string(attributes.chunk_size) + " need " +
           shown(wanted);
  }
  const int64_t width = attributes.bits == 4 ? attributes.chunk_size / 2 : attributes.chunk_size;
  if (const Dims wanted{-1, width}; block && differ(memory, wanted)) {
    return "HashLookup: memory is " + shown(memory) + ", but block needs " + shown(wanted) +
           (attributes.bits == 4 ? " where numbers have 4 bits" : "");
  }
  if (!block && memory.size() != 1) return "HashLookup: memory is " + shown(memory) + ", but must be [length]";
  if (memory[0] >= 0 && slots_of(attributes, memory[0]) < 1) {
    return "HashLookup: memory " + shown(memory) + " has no room for a chunk of " +
           std::to_string(attributes.chunk_size);
  }
  if (attributes.hot) return misfit_of_hot(attributes, shapes);
  if (!keys.empty() || !directory.empty()) return "HashLookup: keys and directory are for version 2 of scheme block";
  return "";
}

Layout::Layout(const Bags& bags) {
  for (size_t field = 0; field < bags.values.size(); ++field) {
    pooling.push_back(static_cast<Pooling>(bags.pooling[field]));
    first.push_back(slots.size());
    const Slot slot{static_cast<uint32_t>(field), pooling.back() != Pooling::single};
    slots.insert(slots.end(), static_cast<size_t>(bags.values[field]), slot);
  }
  first.push_back(slots.size());
}

Lookup plan(const Attributes& attributes, const Shapes& shapes) {
  Lookup lookup{};
  lookup.scheme = attributes.scheme;
  lookup.bits = static_cast<unsigned>(attributes.bits);
  lookup.step = attributes.step;
  lookup.fields = static_cast<size_t>(fields_of(attributes, shapes.ids));
  lookup.count = static_cast<size_t>(shapes.ids[0]) * lookup.fields;
  lookup.chunks = static_cast<size_t>(shapes.constants[2]);
  lookup.chunk_size = static_cast<size_t>(attributes.chunk_size);
  lookup.dim = static_cast<size_t>(attributes.dim);
  lookup.buckets = attributes.hot ? static_cast<size_t>(shapes.keys[0]) : 0;
  const int64_t slots = slots_of(attributes, shapes.memory[0]);
  const int64_t first_own = slots - static_cast<int64_t>(lookup.buckets * lanes * lookup.chunks);
  lookup.first_own = static_cast<size_t>(first_own);
  lookup.shared = Modulus(static_cast<uint32_t>(std::min(lookup.first_own, hash_limit)));
  const auto bytes = [&](size_t numbers) { return (numbers * lookup.bits + 7) / 8; };
  lookup.chunk_bytes = bytes(lookup.chunk_size);
  lookup.stride = attributes.scheme == Scheme::block ? lookup.chunk_bytes : bytes(1);
  lookup.last_bytes = bytes(lookup.dim - (lookup.chunks - 1) * lookup.chunk_size);
  lookup.embedding_bytes = lookup.dim * sizeof(float);
  return lookup;
}

}  // namespace thimble
