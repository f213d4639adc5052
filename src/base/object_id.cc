#include "base/object_id.h"

// The hash itself: through EVP every call looks its algorithm up by name, which costs ten times the hashing.
#define OPENSSL_SUPPRESS_DEPRECATED  // NOLINT(readability-identifier-naming): its name is OpenSSL's
#include <openssl/sha.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace hf {
namespace {

constexpr std::size_t kBlockBytes = 64;

template <class HashState>
SHA256_CTX resume(const HashState& state) {
  static_assert(sizeof(SHA256_CTX) == std::tuple_size_v<HashState>);
  SHA256_CTX context;
  std::memcpy(&context, state.data(), sizeof context);
  return context;
}

}  // namespace

ObjectId facetId(const ObjectId& root, std::string_view path) {
  HF_CHECK(!path.empty(), "a facet has a path");
  constexpr std::string_view kWhat = "holdfast facet";
  std::array<std::uint8_t, 32> hash{};
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, kWhat.data(), kWhat.size());
  SHA256_Update(&context, root.bytes.data(), root.bytes.size());
  SHA256_Update(&context, path.data(), path.size());
  SHA256_Final(hash.data(), &context);
  ObjectId id = root;
  std::copy_n(hash.begin(), 16, id.bytes.begin() + 16);
  return id;
}

bool isOfTree(const ObjectKey& object, const ObjectKey& root) {
  return object.ns == root.ns &&
         std::equal(object.id.bytes.begin(), object.id.bytes.begin() + 16, root.id.bytes.begin());
}

Result<NamespaceId> NamespaceId::parse(std::string_view hex) {
  NamespaceId id;
  if (!fromHex(hex, id.bytes)) {
    return fail(Errc::kInvalidArgument, "a namespace id is 32 hex digits, got '" + std::string(hex) + "'");
  }
  return id;
}

// HMAC (RFC 2104) begins both of its hashes with a block that only the key decides: hashed once, here.
IdFactory::IdFactory(std::string_view uniqueKey) {
  std::array<std::uint8_t, 32> key{};
  SHA256(asBytes(uniqueKey).data(), uniqueKey.size(), key.data());
  for (const auto& [state, pad] : {std::pair{&inner_, std::uint8_t{0x36}}, std::pair{&outer_, std::uint8_t{0x5c}}}) {
    std::array<std::uint8_t, kBlockBytes> block{};
    std::ranges::copy(key, block.begin());
    for (std::uint8_t& byte : block) byte ^= pad;
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, block.data(), block.size());
    std::memcpy(state->data(), &context, sizeof context);
  }
}

std::array<std::uint8_t, 32> IdFactory::mac(BytesView data) const {
  std::array<std::uint8_t, 32> result{};
  SHA256_CTX inner = resume(inner_);
  SHA256_Update(&inner, data.data(), data.size());
  SHA256_Final(result.data(), &inner);
  SHA256_CTX outer = resume(outer_);
  SHA256_Update(&outer, result.data(), result.size());
  SHA256_Final(result.data(), &outer);
  return result;
}

ObjectId IdFactory::fromName(std::string_view utf8Name) const {
  const auto base = mac(asBytes(utf8Name));
  return fromBase(std::span(base).first<16>());
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
  const auto check = mac(base);
  ObjectId id;
  std::copy(base.begin(), base.end(), id.bytes.begin());
  std::copy_n(check.begin(), 16, id.bytes.begin() + 16);
  return id;
}

namespace {

IdFactory factoryFor(std::string_view uniqueKey, Jurisdiction jurisdiction) {
  if (jurisdiction == Jurisdiction::kNone) return IdFactory(uniqueKey);
  return IdFactory(std::string(uniqueKey) + "/" +
                   std::string(kJurisdictionNames[static_cast<std::size_t>(jurisdiction)]));
}

}  // namespace

NamespaceIds::NamespaceIds(std::string_view uniqueKey)
    : factories_{factoryFor(uniqueKey, Jurisdiction::kNone), factoryFor(uniqueKey, Jurisdiction::kEu),
                 factoryFor(uniqueKey, Jurisdiction::kUs), factoryFor(uniqueKey, Jurisdiction::kFedramp),
                 factoryFor(uniqueKey, Jurisdiction::kFedrampHigh)} {}

Result<NamespaceIds::Parsed> NamespaceIds::parse(std::string_view hex) const {
  Result<ObjectId> plain = of(Jurisdiction::kNone).parse(hex);
  if (plain) return Parsed{.id = *plain};
  for (std::size_t i = 1; i < factories_.size(); i++) {
    if (auto id = factories_[i].parse(hex)) return Parsed{.id = *id, .jurisdiction = static_cast<Jurisdiction>(i)};
  }
  return std::unexpected(std::move(plain.error()));
}

bool NamespaceIds::isNamed(const ObjectId& id, std::string_view utf8Name) const {
  return std::ranges::any_of(factories_, [&](const IdFactory& ids) { return ids.fromName(utf8Name) == id; });
}

}  // namespace hf
