// Identity of a Durable Object: 32 bytes, bit-compatible with workerd (spec durable-objects 1.2).
// The first 16 bytes are the base (from a name, or random), the last 16 a MAC that binds it to its namespace.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace hf {

struct ObjectId {
  std::array<std::uint8_t, 32> bytes{};

  friend auto operator<=>(const ObjectId&, const ObjectId&) = default;
  [[nodiscard]] std::string hex() const { return toHex(bytes); }
};

// A namespace is named by 32 lowercase hex digits, chosen at random when its class is first migrated in.
// The same string is the `uniqueKey` from which ids are derived.
struct NamespaceId {
  std::array<std::uint8_t, 16> bytes{};

  friend auto operator<=>(const NamespaceId&, const NamespaceId&) = default;
  [[nodiscard]] std::string hex() const { return toHex(bytes); }
  // kInvalidArgument unless `hex` is 32 hex digits.
  static Result<NamespaceId> parse(std::string_view hex);
};

// One object in the whole node: what storage, the ledger and the shards key by.
struct ObjectKey {
  NamespaceId ns;
  ObjectId id;

  friend auto operator<=>(const ObjectKey&, const ObjectKey&) = default;
};

// Where an object may be kept. Its id says which: one name gives another id in each.
enum class Jurisdiction : std::uint8_t { kNone, kEu, kUs, kFedramp, kFedrampHigh };
inline constexpr std::array<std::string_view, 5> kJurisdictionNames{"", "eu", "us", "fedramp", "fedramp-high"};

// A facet (spec durable-objects 2.5) is stored as an object of its own beside its root: the same first half, and a
// second half that no MAC yields, made from the root and the facet's path. `path`: what names it within the root, not
// empty.
[[nodiscard]] ObjectId facetId(const ObjectId& root, std::string_view path);
// Whether `object` is `root` or is stored beside it.
[[nodiscard]] bool isOfTree(const ObjectKey& object, const ObjectKey& root);
// The path of the list of a root's facets.
inline constexpr std::string_view kFacetIndex = "index";

// Derives the ids of one namespace and one jurisdiction. Immutable, any thread.
class IdFactory final {
 public:
  // `uniqueKey` as the raw bytes of its text.
  explicit IdFactory(std::string_view uniqueKey);

  [[nodiscard]] ObjectId fromName(std::string_view utf8Name) const;
  // `random`: 16 bytes from a cryptographic source.
  [[nodiscard]] ObjectId fromRandom(std::span<const std::uint8_t, 16> random) const;
  // kInvalidArgument with the exact texts of spec 1.2.
  [[nodiscard]] Result<ObjectId> parse(std::string_view hex) const;

 private:
  // A SHA-256 under way, as OpenSSL keeps it.
  using HashState = std::array<std::uint8_t, 112>;
  // HMAC-SHA256 with the namespace's key.
  [[nodiscard]] std::array<std::uint8_t, 32> mac(BytesView data) const;
  [[nodiscard]] ObjectId fromBase(std::span<const std::uint8_t, 16> base) const;
  HashState inner_{};
  HashState outer_{};
};

// Every id of one namespace. Those without a jurisdiction are workerd's. The others are made with a key of their own
// ("<uniqueKey>/<jurisdiction>"), so that the MAC says which jurisdiction an id is of. Immutable, any thread.
class NamespaceIds final {
 public:
  explicit NamespaceIds(std::string_view uniqueKey);

  [[nodiscard]] const IdFactory& of(Jurisdiction jurisdiction) const {
    return factories_[static_cast<std::size_t>(jurisdiction)];
  }
  struct Parsed {
    ObjectId id;
    Jurisdiction jurisdiction = Jurisdiction::kNone;
  };
  // An id of any jurisdiction. kInvalidArgument with the exact texts of spec 1.2.
  [[nodiscard]] Result<Parsed> parse(std::string_view hex) const;
  // What is stored under an id that is no object's is a facet, of the object whose id begins with the same half.
  [[nodiscard]] bool isFacet(const ObjectId& id) const { return !parse(id.hex()); }
  // Whether `utf8Name` leads to `id`, in its jurisdiction.
  [[nodiscard]] bool isNamed(const ObjectId& id, std::string_view utf8Name) const;

 private:
  std::array<IdFactory, kJurisdictionNames.size()> factories_;
};

}  // namespace hf

template <>
struct std::hash<hf::ObjectKey> {
  std::size_t operator()(const hf::ObjectKey& key) const noexcept {
    // Both parts are uniformly random already: mixing two words is enough.
    std::uint64_t a = 0;
    std::uint64_t b = 0;
    std::memcpy(&a, key.id.bytes.data(), sizeof a);
    std::memcpy(&b, key.ns.bytes.data(), sizeof b);
    return static_cast<std::size_t>(a ^ (b * 0x9e3779b97f4a7c15ULL));
  }
};
