// The library that ONNX Runtime loads: domain `thimble`, op `HashLookup`, for processors and, if built so, for GPUs.
#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

#include <exception>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>

#include "hash_lookup.h"
#ifdef THIMBLE_CUDA
#include "hash_lookup_cuda.h"
#endif

namespace thimble {
namespace {

constexpr const char* cpu = "CPUExecutionProvider";
constexpr const char* cuda = "CUDAExecutionProvider";

// What one call of ONNX Runtime's thread pool does: enough that handing it out costs little beside it.
constexpr size_t bytes_a_task = 1 << 16;

enum Input : size_t { ids, memory, constants, keys, directory, input_count };
constexpr size_t required_count = keys;

// Whether a node has an input: of those that it may lack, the last are left out and others have no name.
bool has(const Ort::ConstKernelInfo& info, size_t input) {
  return input < info.GetInputCount() && !info.GetInputName(input).empty();
}

// An input's dimensions before there is an input. ONNX Runtime shows an unknown shape as that of a scalar.
Dims known_dims(const Ort::ConstKernelInfo& info, size_t input, size_t rank) {
  if (!has(info, input)) return {};
  const Dims dims = info.GetInputTypeInfo(input).GetTensorTypeAndShapeInfo().GetShape();
  return dims.empty() ? Dims(rank, -1) : dims;
}

Dims dims_of(const Ort::ConstValue& value) { return value.GetTensorTypeAndShapeInfo().GetShape(); }

// An input that is the same for all runs, else null.
Ort::ConstValue constant_input(const Ort::ConstKernelInfo& info, size_t input) {
  int constant = 0;
  const auto value = info.GetTensorConstantInput(input, &constant);
  return constant ? value : Ort::ConstValue{};
}

template <typename T>
T attribute(const Ort::ConstKernelInfo& info, const char* name, T missing) {
  try {
    return info.GetAttribute<T>(name);
  } catch (const Ort::Exception&) {
    return missing;
  }
}

std::vector<int64_t> numbers(const Ort::ConstKernelInfo& info, const char* name) {
  try {
    return info.GetAttributes<int64_t>(name);
  } catch (const Ort::Exception&) {
    return {};
  }
}

// A stored number's bits, 0 if the node does not say.
int64_t bits_of(const Ort::ConstKernelInfo& info, ONNXTensorElementDataType memory_type) {
  switch (memory_type) {
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT:
      return 32;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16:
      return 16;
    default:
      return attribute<int64_t>(info, "bits", 0);
  }
}

// What has to be read or written for one.
size_t bytes_an_embedding(const Lookup& lookup) {
  return lookup.embedding_bytes * (lookup.layout ? lookup.layout->slots.size() / lookup.fields : 1);
}

void run_on_cpu(const Ort::KernelContext& context, const Lookup& lookup, const Choices* choices) {
  struct Work {
    const Lookup& lookup;
    const Choices* choices;
    size_t step;
  } work{lookup, choices, std::max<size_t>(1, bytes_a_task / bytes_an_embedding(lookup))};
  const size_t tasks = lookup.count / work.step + (lookup.count % work.step != 0);
  if (tasks <= 1) return run(lookup, choices, 0, lookup.count);
  const auto task = [](void* data, size_t i) {
    const Work& work = *static_cast<Work*>(data);
    run(work.lookup, work.choices, i * work.step, std::min((i + 1) * work.step, work.lookup.count));
  };
  context.ParallelFor(task, tasks, 0, &work);
}

class Kernel {
 public:
  // Throws: the attributes, or shapes as far as they are known, are not a lookup's.
  Kernel(const OrtKernelInfo* raw, bool on_gpu, ONNXTensorElementDataType memory_type) : on_gpu_(on_gpu) {
    const Ort::ConstKernelInfo info(raw);
    std::string problem;
    const float no_step = std::numeric_limits<float>::quiet_NaN();
    const auto found = attributes(info.GetAttribute<std::string>("scheme"), info.GetAttribute<int64_t>("version"),
                                  info.GetAttribute<int64_t>("chunk_size"), info.GetAttribute<int64_t>("dim"),
                                  bits_of(info, memory_type), attribute(info, "step", no_step),
                                  {numbers(info, "values"), numbers(info, "pooling")}, problem);
    if (!found) throw std::invalid_argument(problem);
    attributes_ = *found;
    if (!attributes_.bags.values.empty()) layout_.emplace(attributes_.bags);
    const size_t memory_rank = attributes_.scheme == Scheme::block ? 2 : 1;
    check({known_dims(info, ids, 2), known_dims(info, memory, memory_rank), known_dims(info, constants, 3),
           known_dims(info, keys, 2), known_dims(info, directory, 3)});
    // asking at every run takes as long as some ids' lookup
    const auto constant_dims = [&](size_t input, Dims& dims) {
      if (!has(info, input)) return;
      if (const auto value = constant_input(info, input)) dims = dims_of(value);
    };
    constant_dims(memory, constant_.memory);
    constant_dims(constants, constant_.constants);
    constant_dims(keys, constant_.keys);
    constant_dims(directory, constant_.directory);
    if (!on_gpu && !constant_.keys.empty() && !constant_.directory.empty()) {
      choices_ = choices_of(constant_input(info, directory), constant_);
    }
  }

  void compute(OrtKernelContext* raw) const {
    const Ort::KernelContext context(raw);
    const auto dims = [&](size_t input, const Dims& constant) {
      return constant.empty() ? dims_of(context.GetInput(input)) : constant;
    };
    Shapes shapes{};
    shapes.ids = dims_of(context.GetInput(ids));
    shapes.memory = dims(memory, constant_.memory);
    shapes.constants = dims(constants, constant_.constants);
    if (attributes_.hot) {
      shapes.keys = dims(keys, constant_.keys);
      shapes.directory = dims(directory, constant_.directory);
    }
    check(shapes);
    Lookup lookup = plan(attributes_, shapes);
    auto out = context.GetOutput(0, {shapes.ids[0], static_cast<int64_t>(lookup.fields), attributes_.dim});
    if (lookup.count == 0) return;
    lookup.layout = layout_ ? &*layout_ : nullptr;
    lookup.ids = context.GetInput(ids).GetTensorData<int64_t>();
    lookup.memory = static_cast<const std::byte*>(context.GetInput(memory).GetTensorRawData());
    lookup.constants = context.GetInput(constants).GetTensorData<int64_t>();
    lookup.out = static_cast<std::byte*>(out.GetTensorMutableRawData());
    if (attributes_.hot) {
      lookup.keys = context.GetInput(keys).GetTensorData<int32_t>();
      lookup.directory = context.GetInput(directory).GetTensorData<int64_t>();
    }
    if (!on_gpu_) {
      if (!attributes_.hot || choices_) return run_on_cpu(context, lookup, choices_ ? &*choices_ : nullptr);
      const Choices choices = choices_of(context.GetInput(directory), shapes);
      return run_on_cpu(context, lookup, &choices);
    }
#ifdef THIMBLE_CUDA
    if (const char* problem = run_on_gpu(lookup, context.GetGPUComputeStream())) {
      throw std::runtime_error(std::string("HashLookup: the GPU refuses its kernel: ") + problem);
    }
#endif
  }

 private:
  static Choices choices_of(const Ort::ConstValue& directory, const Shapes& shapes) {
    const auto fields = static_cast<size_t>(shapes.directory[1]), buckets = static_cast<size_t>(shapes.keys[0]);
    return {directory.GetTensorData<int64_t>(), fields, buckets};
  }

  void check(const Shapes& shapes) const {
    if (const std::string problem = misfit(attributes_, shapes); !problem.empty()) {
      throw std::invalid_argument(problem);
    }
  }

  Attributes attributes_{};
  Shapes constant_;  // of inputs that are the same for all runs, none of others
  std::optional<Choices> choices_;
  std::optional<Layout> layout_;
  bool on_gpu_;
};

// Nothing may be thrown through ONNX Runtime.
template <typename Body>
OrtStatusPtr guarded(Body body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const std::exception& error) {
    return Ort::GetApi().CreateStatus(ORT_INVALID_ARGUMENT, error.what());
  }
}

// One kernel: for a provider and a type of memory. ONNX Runtime joins those of one name.
class Op : public OrtCustomOp {
 public:
  Op(const char* provider, ONNXTensorElementDataType memory_type)
      : OrtCustomOp{}, provider_(provider), type_(memory_type) {
    version = ORT_API_VERSION;
    GetName = [](const OrtCustomOp*) { return "HashLookup"; };
    GetExecutionProviderType = [](const OrtCustomOp* op) { return self(op).provider_; };
    GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return input_count; };
    GetInputType = [](const OrtCustomOp* op, size_t i) {
      return i == memory ? self(op).type_
             : i == keys ? ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32
                         : ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
    };
    GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
    GetOutputType = [](const OrtCustomOp*, size_t) { return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT; };
    GetInputCharacteristic = [](const OrtCustomOp*, size_t i) {
      return i < required_count ? INPUT_OUTPUT_REQUIRED : INPUT_OUTPUT_OPTIONAL;
    };
    GetOutputCharacteristic = [](const OrtCustomOp*, size_t) { return INPUT_OUTPUT_REQUIRED; };
    GetInputMemoryType = [](const OrtCustomOp*, size_t) { return OrtMemTypeDefault; };
    CreateKernelV2 = [](const OrtCustomOp* op, const OrtApi*, const OrtKernelInfo* info, void** kernel) {
      return guarded([&] {
        *kernel = new Kernel(info, self(op).provider_ == cuda, self(op).type_);
      });
    };
    KernelComputeV2 = [](void* kernel, OrtKernelContext* context) {
      return guarded([&] { static_cast<const Kernel*>(kernel)->compute(context); });
    };
    KernelDestroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
    GetVariadicInputMinArity = [](const OrtCustomOp*) { return 1; };
    GetVariadicInputHomogeneity = [](const OrtCustomOp*) { return 0; };
    GetVariadicOutputMinArity = [](const OrtCustomOp*) { return 1; };
    GetVariadicOutputHomogeneity = [](const OrtCustomOp*) { return 0; };
    GetStartVersion = [](const OrtCustomOp*) { return 1; };
    GetEndVersion = [](const OrtCustomOp*) { return 1; };
    GetMayInplace = [](int**, int**) -> size_t { return 0; };
    ReleaseMayInplace = [](int*, int*) {};
    GetAliasMap = [](int**, int**) -> size_t { return 0; };
    ReleaseAliasMap = [](int*, int*) {};
  }

 private:
  static const Op& self(const OrtCustomOp* op) { return *static_cast<const Op*>(op); }

  const char* provider_;
  ONNXTensorElementDataType type_;
};

}  // namespace
}  // namespace thimble

// The providers that this library has kernels for, with commas between.
extern "C" const char* thimble_ops_providers() {
#ifdef THIMBLE_CUDA
  return "CPUExecutionProvider,CUDAExecutionProvider";
#else
  return "CPUExecutionProvider";
#endif
}

extern "C" OrtStatus* ORT_API_CALL RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  using thimble::Op;
  const OrtApi* api = base->GetApi(ORT_API_VERSION);
  if (api == nullptr) {
    return base->GetApi(1)->CreateStatus(ORT_FAIL, "this library needs ONNX Runtime 1.21 or newer");
  }
  Ort::InitApi(api);
  return thimble::guarded([&] {
    static const Op ops[] = {
        Op(thimble::cpu, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT),
        Op(thimble::cpu, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16),
        Op(thimble::cpu, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8),
#ifdef THIMBLE_CUDA
        Op(thimble::cuda, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT),
        Op(thimble::cuda, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16),
        Op(thimble::cuda, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8),
#endif
    };
    // sessions keep pointing at the domain: it lives as long as the library
    static const Ort::CustomOpDomain domain = [] {
      Ort::CustomOpDomain made("thimble");
      for (const Op& op : ops) made.Add(&op);
      return made;
    }();
    Ort::UnownedSessionOptions(options).Add(domain);
  });
}
