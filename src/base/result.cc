#include "base/result.h"

#include <array>

namespace hf {
namespace {

struct ErrcInfo {
  std::string_view name;
  std::string_view jsClass;
  int httpStatus;
};

constexpr auto kInfo = std::to_array<ErrcInfo>({
#define HF_ERRC(name, jsClass, httpStatus) {#name, jsClass, httpStatus},
#include "base/errc.def"
#undef HF_ERRC
});

const ErrcInfo& infoOf(Errc code) { return kInfo.at(static_cast<std::size_t>(code)); }

}  // namespace

std::string_view errcName(Errc code) { return infoOf(code).name; }
std::string_view errcJsClass(Errc code) { return infoOf(code).jsClass; }
int errcHttpStatus(Errc code) { return infoOf(code).httpStatus; }

}  // namespace hf
