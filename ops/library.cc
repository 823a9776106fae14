// The library that ONNX Runtime loads: domain `thimble`, op `HashLookup`, for processors and, if built so, for GPUs.
#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

#include <exception>
#include <memory>
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

// An input's dimensions before there is an input. ONNX Runtime shows an unknown shape as that of a scalar.
Dims known_dims(const Ort::ConstKernelInfo& info, size_t input, size_t rank) {
  const Dims dims = info.GetInputTypeInfo(input).GetTensorTypeAndShapeInfo().GetShape();
  return dims.empty() ? Dims(rank, -1) : dims;
}

Dims dims_of(const Ort::ConstValue& value) { return value.GetTensorTypeAndShapeInfo().GetShape(); }

// Those of an input that is the same for all runs, else none. Asking at every run takes as long as some ids' lookup.
Dims constant_dims(const Ort::ConstKernelInfo& info, size_t input) {
  int constant = 0;
  const auto value = info.GetTensorConstantInput(input, &constant);
  return constant ? dims_of(value) : Dims{};
}

void run_on_cpu(const Ort::KernelContext& context, const Lookup& lookup) {
  struct Work {
    const Lookup& lookup;
    size_t step;
  } work{lookup, std::max<size_t>(1, bytes_a_task / lookup.embedding_bytes)};
  const size_t tasks = lookup.count / work.step + (lookup.count % work.step != 0);
  if (tasks <= 1) return run(lookup, 0, lookup.count);
  const auto task = [](void* data, size_t i) {
    const Work& work = *static_cast<Work*>(data);
    run(work.lookup, i * work.step, std::min((i + 1) * work.step, work.lookup.count));
  };
  context.ParallelFor(task, tasks, 0, &work);
}

class Kernel {
 public:
  // Throws: the attributes, or shapes as far as they are known, are not a lookup's.
  Kernel(const OrtKernelInfo* raw, bool on_gpu, bool half) : on_gpu_(on_gpu), half_(half) {
    const Ort::ConstKernelInfo info(raw);
    std::string problem;
    const auto found = attributes(info.GetAttribute<std::string>("scheme"), info.GetAttribute<int64_t>("version"),
                                  info.GetAttribute<int64_t>("chunk_size"), info.GetAttribute<int64_t>("dim"), problem);
    if (!found) throw std::invalid_argument(problem);
    attributes_ = *found;
    const size_t memory_rank = attributes_.scheme == Scheme::block ? 2 : 1;
    check(known_dims(info, 0, 2), known_dims(info, 1, memory_rank), known_dims(info, 2, 3));
    memory_dims_ = constant_dims(info, 1);
    constants_dims_ = constant_dims(info, 2);
  }

  void compute(OrtKernelContext* raw) const {
    const Ort::KernelContext context(raw);
    const auto ids = context.GetInput(0), memory = context.GetInput(1), constants = context.GetInput(2);
    const Dims ids_dims = dims_of(ids);
    const Dims memory_dims = memory_dims_.empty() ? dims_of(memory) : memory_dims_;
    const Dims constants_dims = constants_dims_.empty() ? dims_of(constants) : constants_dims_;
    check(ids_dims, memory_dims, constants_dims);
    auto out = context.GetOutput(0, {ids_dims[0], ids_dims[1], attributes_.dim});
    Lookup lookup = plan(attributes_, ids_dims, memory_dims, constants_dims, half_);
    if (lookup.count == 0) return;
    lookup.ids = ids.GetTensorData<int64_t>();
    lookup.memory = static_cast<const std::byte*>(memory.GetTensorRawData());
    lookup.constants = constants.GetTensorData<int64_t>();
    lookup.out = static_cast<std::byte*>(out.GetTensorMutableRawData());
    if (!on_gpu_) return run_on_cpu(context, lookup);
#ifdef THIMBLE_CUDA
    if (const char* problem = run_on_gpu(lookup, context.GetGPUComputeStream())) {
      throw std::runtime_error(std::string("HashLookup: the GPU refuses its kernel: ") + problem);
    }
#endif
  }

 private:
  void check(const Dims& ids, const Dims& memory, const Dims& constants) const {
    if (const std::string problem = misfit(attributes_, ids, memory, constants); !problem.empty()) {
      throw std::invalid_argument(problem);
    }
  }

  Attributes attributes_{};
  Dims memory_dims_, constants_dims_;
  bool on_gpu_;
  bool half_;
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
    GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return 3; };
    GetInputType = [](const OrtCustomOp* op, size_t i) {
      return i == 1 ? self(op).type_ : ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
    };
    GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
    GetOutputType = [](const OrtCustomOp*, size_t) { return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT; };
    GetInputCharacteristic = [](const OrtCustomOp*, size_t) { return INPUT_OUTPUT_REQUIRED; };
    GetOutputCharacteristic = [](const OrtCustomOp*, size_t) { return INPUT_OUTPUT_REQUIRED; };
    GetInputMemoryType = [](const OrtCustomOp*, size_t) { return OrtMemTypeDefault; };
    CreateKernelV2 = [](const OrtCustomOp* op, const OrtApi*, const OrtKernelInfo* info, void** kernel) {
      return guarded([&] {
        const bool half = self(op).type_ == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
        *kernel = new Kernel(info, self(op).provider_ == cuda, half);
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
#ifdef THIMBLE_CUDA
        Op(thimble::cuda, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT),
        Op(thimble::cuda, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16),
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
