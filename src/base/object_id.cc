#include "base/object_id.h"

#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <algorithm>

#include "base/check.h"

namespace hf {
namespace {

std::array<std::uint8_t, 32> hmacSha256(BytesView key, BytesView data) {
  std::array<std::uint8_t, 32> mac{};
  unsigned int size = 0;
  const auto* done =
      HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), data.data(), data.size(), mac.data(), &size);
  HF_CHECK(done != nullptr && size == mac.size(), "HMAC-SHA256 of valid memory cannot fail");
  return mac;
}

}  // namespace

Result<NamespaceId> NamespaceId::parse(std::string_view hex) {
  NamespaceId id;
  if (!fromHex(hex, id.bytes)) {
    return fail(Errc::kInvalidArgument, "a namespace id is 32 hex digits, got '" + std::string(hex) + "'");
  }
  return id;
}

IdFactory::IdFactory(std::string_view uniqueKey) { SHA256(asBytes(uniqueKey).data(), uniqueKey.size(), key_.data()); }

ObjectId IdFactory::fromName(std::string_view utf8Name) const {
  const auto mac = hmacSha256(key_, asBytes(utf8Name));
  return fromBase(std::span(mac).first<16>());
}

ObjectId IdFactory::fromRandom(std::span<const std::uint8_t, 16> random) const { return fromBase(random); }

Result<ObjectId> IdFactory::parse(std::string_view hex) const {
  ObjectId id;
  if (!fromHex(hex, id.bytes)) {
    return fail(Errc::kInvalidArgument, "Invalid Durable Object ID: must be 64 hex digits");
  }
  if (fromBase(std::span(id.bytes).first<16>()) != id) {
    return fail(Errc::kInvalidArgument, "Durable Object ID is not valid for this namespace.");
  }
  return id;
}

ObjectId IdFactory::fromBase(std::span<const std::uint8_t, 16> base) const {
  const auto mac = hmacSha256(key_, base);
  ObjectId id;
  std::copy(base.begin(), base.end(), id.bytes.begin());
  std::copy_n(mac.begin(), 16, id.bytes.begin() + 16);
  return id;
}

}  // namespace hf
