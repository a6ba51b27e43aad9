#include <cublasLt.h>

#include <algorithm>
#include <memory>

#include "tests/hardware/device.cuh"

namespace hardware {
namespace {

constexpr std::size_t workspace_bytes = std::size_t{64} << 20;
constexpr int most_copies = 64;

void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw std::runtime_error(std::string(what) + ": " + cublasLtGetStatusString(status));
}
#define CUBLAS_CHECK(call) check((call), #call)

/// C[m,n] = A[m,k] W[n,k]^T as cuBLASLt sees it, column by column: D[n,m] = W[k,n]^T A[k,m].
class Gemm {
 public:
  Gemm(const std::string& dtype, long long m, long long n, long long k)
      : workspace_(workspace_bytes), scale_(sizeof(float)) {
    const Type type = type_of(dtype);
    const cudaDataType_t in = type == Type::bf16   ? CUDA_R_16BF
                              : type == Type::fp16 ? CUDA_R_16F
                              : type == Type::fp32 ? CUDA_R_32F
                                                   : CUDA_R_8F_E4M3;
    const cudaDataType_t out = type == Type::e4m3 ? CUDA_R_16BF : in;
    CUBLAS_CHECK(cublasLtCreate(&handle_));
    CUBLAS_CHECK(cublasLtMatmulDescCreate(
        &operation_, type == Type::fp32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
        CUDA_R_32F));
    const cublasOperation_t transposed = CUBLAS_OP_T;
    set(CUBLASLT_MATMUL_DESC_TRANSA, transposed);
    if (type == Type::e4m3) {
      const float one = 1;
      HARDWARE_CHECK(cudaMemcpy(scale_.get(), &one, sizeof one, cudaMemcpyHostToDevice));
      const void* const scale = scale_.get();
      set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, scale);
      set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, scale);
      const std::int8_t fast = 1;
      set(CUBLASLT_MATMUL_DESC_FAST_ACCUM, fast);
    }
    CUBLAS_CHECK(cublasLtMatrixLayoutCreate(&weight_, in, k, n, k));
    CUBLAS_CHECK(cublasLtMatrixLayoutCreate(&activation_, in, k, m, k));
    CUBLAS_CHECK(cublasLtMatrixLayoutCreate(&result_, out, n, m, n));
    cublasLtMatmulPreference_t preference = nullptr;
    CUBLAS_CHECK(cublasLtMatmulPreferenceCreate(&preference));
    CUBLAS_CHECK(cublasLtMatmulPreferenceSetAttribute(preference,
                                                      CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                      &workspace_bytes, sizeof workspace_bytes));
    int found = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(handle_, operation_, weight_, activation_, result_, result_,
                                       preference, 1, &choice_, &found);
    cublasLtMatmulPreferenceDestroy(preference);
    has_kernel_ = status == CUBLAS_STATUS_SUCCESS && found > 0;
  }
  ~Gemm() {
    cublasLtMatrixLayoutDestroy(result_);
    cublasLtMatrixLayoutDestroy(activation_);
    cublasLtMatrixLayoutDestroy(weight_);
    cublasLtMatmulDescDestroy(operation_);
    cublasLtDestroy(handle_);
  }
  Gemm(const Gemm&) = delete;
  Gemm& operator=(const Gemm&) = delete;

  bool has_kernel() const { return has_kernel_; }
  /// ",algorithm,tile,...": the end of a line of the table of choices.
  std::string choice() const {
    std::string line;
    for (const cublasLtMatmulAlgoConfigAttributes_t attribute :
         {CUBLASLT_ALGO_CONFIG_ID, CUBLASLT_ALGO_CONFIG_TILE_ID, CUBLASLT_ALGO_CONFIG_STAGES_ID,
          CUBLASLT_ALGO_CONFIG_SPLITK_NUM, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME,
          CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION,
          CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID, CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID}) {
      // Of two or four bytes, the least significant first.
      std::uint32_t value = 0;
      std::size_t written = 0;
      line += ",";
      if (read(attribute, &value, sizeof value, &written) == CUBLAS_STATUS_SUCCESS ||
          read(attribute, &value, sizeof(std::uint16_t), &written) == CUBLAS_STATUS_SUCCESS)
        line += std::to_string(static_cast<std::int32_t>(value));
    }
    return line + "," + std::to_string(choice_.workspaceSize) + "," +
           std::to_string(choice_.wavesCount);
  }
  void launch(const void* activation, const void* weight, void* result, cudaStream_t stream) {
    const float one = 1, zero = 0;
    CUBLAS_CHECK(cublasLtMatmul(handle_, operation_, &one, weight, weight_, activation, activation_,
                                &zero, result, result_, result, result_, &choice_.algo,
                                workspace_.get(), workspace_.bytes(), stream));
  }

 private:
  cublasStatus_t read(cublasLtMatmulAlgoConfigAttributes_t attribute, void* value,
                      std::size_t bytes, std::size_t* written) const {
    return cublasLtMatmulAlgoConfigGetAttribute(&choice_.algo, attribute, value, bytes, written);
  }
  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, const T& value) {
    CUBLAS_CHECK(cublasLtMatmulDescSetAttribute(operation_, attribute, &value, sizeof value));
  }

  Buffer workspace_, scale_;
  cublasLtHandle_t handle_ = nullptr;
  cublasLtMatmulDesc_t operation_ = nullptr;
  cublasLtMatrixLayout_t weight_ = nullptr, activation_ = nullptr, result_ = nullptr;
  cublasLtMatmulHeuristicResult_t choice_{};
  bool has_kernel_ = false;
};

}  // namespace

const char* const choice_header =
    "cublaslt,dtype,m,n,k,algorithm,tile,stages,split_k,reduction,cta_swizzling,custom_option,"
    "inner_shape,cluster_shape,workspace_bytes,waves\n";

bool measure_gemm(const Operation& operation, const Device& device, Timing timing,
                  std::vector<Row>& rows) {
  if (operation.op != "gemm") return false;
  const long long m = operation.size("m"), n = operation.size("n"), k = operation.size("k");
  const Type type = type_of(operation.fields.at("dtype"));
  Gemm gemm(operation.fields.at("dtype"), m, n, k);
  if (!gemm.has_kernel()) return false;  // FP8 wants multiples of 16, and a GPU that has it
  const std::size_t weight_bytes = static_cast<std::size_t>(n * k) * size_of(type);
  const std::size_t result_bytes = static_cast<std::size_t>(m * n) * (type == Type::fp32 ? 4 : 2);
  const Buffer activation(static_cast<std::size_t>(m * k) * size_of(type));
  const Buffer result(result_bytes);
  fill(activation, type, Content::random, 1);
  const int copies = rotated_copies(weight_bytes, device.l2_bytes, most_copies);
  std::vector<Buffer> weights;
  for (int i = 0; i < copies; ++i) {
    weights.emplace_back(weight_bytes);
    fill(weights.back(), type, Content::random, 2 + static_cast<std::uint32_t>(i));
  }
  const Timed timed = time_launches(
      timing,
      [&](int turn, cudaStream_t stream) {
        gemm.launch(activation.get(), weights[static_cast<std::size_t>(turn)].get(), result.get(),
                    stream);
      },
      copies);
  const std::string version = std::to_string(cublasLtGetVersion());
  rows.push_back({operation, timed.us,
                  "cuBLASLt " + version + ", " + timed.how + ", " + std::to_string(copies) +
                      " weights in turn",
                  version + "," + operation.fields.at("dtype") + "," + std::to_string(m) + "," +
                      std::to_string(n) + "," + std::to_string(k) + gemm.choice() + "\n"});
  return true;
}

Launch large_gemm(Content content, std::vector<Buffer>& buffers) {
  constexpr long long size = 8192;
  constexpr std::size_t bytes = std::size_t{size} * size * 2;
  const auto gemm = std::make_shared<Gemm>("bf16", size, size, size);
  if (!gemm->has_kernel()) throw std::runtime_error("cuBLASLt has no kernel for 8192-cubed bf16");
  const std::size_t first = buffers.size();
  for (std::uint32_t i = 0; i < 3; ++i) {
    buffers.emplace_back(bytes);
    fill(buffers.back(), Type::bf16, content, i + 1);
  }
  void* const a = buffers[first].get();
  void* const b = buffers[first + 1].get();
  void* const c = buffers[first + 2].get();
  return [gemm, a, b, c](int, cudaStream_t stream) { gemm->launch(a, b, c, stream); };
}

}  // namespace hardware
