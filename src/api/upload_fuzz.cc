// Uploads are foreign bytes: whatever comes, decoding ends with a value or an error.
#include <cstdint>

#include "api/upload.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hf;
  if (size == 0) return 0;
  const char* type = (data[0] & 1U) != 0 ? "multipart/form-data; boundary=b" : "application/javascript";
  const auto upload = api::decodeUpload(BytesView(data + 1, size - 1), type, "metadata");
  if (upload) api::dumpJson(upload->metadata);
  return 0;
}
