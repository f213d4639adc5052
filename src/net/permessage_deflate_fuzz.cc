// The reader of deflated messages and of what a client offers: bounded, the same every time, and what we deflate
// ourselves comes back.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "net/permessage_deflate.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 64 * 1024) return 0;
  const hf::BytesView input(data + 2, size - 2);
  const std::size_t bytesMax = 64 * std::size_t{data[0]};
  hf::Bytes out;
  const hf::net::Inflate result = hf::net::inflateMessage(input, bytesMax, out);
  HF_CHECK(out.size() <= bytesMax, "a message keeps its limit");
  hf::Bytes again;
  HF_CHECK(hf::net::inflateMessage(input, bytesMax, again) == result && again == out, "no message leaves a trace");
  const auto agreement = hf::net::negotiateDeflate(hf::asText(input));
  hf::net::DeflateAgreement used = agreement.value_or(hf::net::DeflateAgreement{.windowBits = 9 + data[1] % 7});
  HF_CHECK(used.windowBits >= 9 && used.windowBits <= 15, "only windows that zlib has are agreed on");
  hf::Bytes payload;
  if (hf::net::deflateMessage(input, used, payload)) {
    HF_CHECK(payload.size() < input.size(), "only what is shorter is deflated");
    hf::Bytes back;
    HF_CHECK(hf::net::inflateMessage(payload, input.size(), back) == hf::net::Inflate::kOk &&
                 hf::Bytes(input.begin(), input.end()) == back,
             "what was deflated comes back");
  }
  return 0;
}
