// Bracket fields lose where one array element ends and the next begins. The serialiser writes an element's members one
// after another, each member's fields together; so an element ends when a scalar member repeats, or when a member comes
// back after another one.
#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>
#include <span>

#include "api/upload.h"
#include "base/check.h"

namespace hf::api {
namespace {

constexpr std::size_t kDepthMax = 20;

struct Node {
  enum class Kind { kEmpty, kScalar, kObject, kArray };
  Kind kind = Kind::kEmpty;
  std::string scalar;
  std::vector<std::string> names;  // of an object's members, in order of arrival
  std::vector<Node> children;      // an object's members, or an array's elements
  std::string lastMember;

  Node* find(std::string_view key) {
    const auto found = std::ranges::find(names, key);
    return found == names.end() ? nullptr : &children[static_cast<std::size_t>(found - names.begin())];
  }
};

using Path = std::vector<std::string>;

// "[bindings][][type]" -> {"bindings", "", "type"}
std::optional<Path> parsePath(std::string_view text) {
  Path out;
  while (!text.empty()) {
    const std::size_t end = text.find(']');
    if (text.front() != '[' || end == std::string_view::npos) return std::nullopt;
    out.emplace_back(text.substr(1, end - 1));
    text.remove_prefix(end + 1);
    if (out.size() > kDepthMax) return std::nullopt;
  }
  if (out.empty()) return std::nullopt;
  return out;
}

// A scalar stands where the path leads.
bool occupied(Node& node, std::span<const std::string> path) {
  if (path.empty()) return node.kind == Node::Kind::kScalar;
  if (path.front().empty()) return false;  // arrays take another element
  Node* member = node.find(path.front());
  return member != nullptr && occupied(*member, path.subspan(1));
}

bool startsNewElement(Node& array, std::span<const std::string> rest) {
  if (array.children.empty()) return true;
  Node& last = array.children.back();
  if (last.kind != Node::Kind::kObject) return true;
  if (rest.front() == last.lastMember) return occupied(last, rest);
  return last.find(rest.front()) != nullptr;
}

bool assign(Node& node, std::span<const std::string> path, const std::string& value) {
  if (path.empty()) {
    if (node.kind != Node::Kind::kEmpty) return false;
    node.kind = Node::Kind::kScalar;
    node.scalar = value;
    return true;
  }
  if (path.front().empty()) {
    if (node.kind != Node::Kind::kEmpty && node.kind != Node::Kind::kArray) return false;
    node.kind = Node::Kind::kArray;
    const std::span<const std::string> rest = path.subspan(1);
    if (rest.empty() || rest.front().empty() || startsNewElement(node, rest)) node.children.emplace_back();
    return assign(node.children.back(), rest, value);
  }
  if (node.kind != Node::Kind::kEmpty && node.kind != Node::Kind::kObject) return false;
  node.kind = Node::Kind::kObject;
  node.lastMember = path.front();
  Node* member = node.find(path.front());
  if (member == nullptr) {
    node.names.push_back(path.front());
    member = &node.children.emplace_back();
  }
  return assign(*member, path.subspan(1), value);
}

// Members that are numbers or booleans in Cloudflare's schema, wherever they stand outside bindings' own values.
Json scalarOf(const std::string& key, const std::string& text, bool coerce) {
  static const std::set<std::string> kBooleans = {
      "logpush",     "enabled",          "invocation_logs", "persist",
      "keep_assets", "previews_enabled", "issues",          "redact_query_string"};
  static const std::set<std::string> kNumbers = {"percentage",         "cpu_ms", "subrequests", "max_delay",
                                                 "head_sampling_rate", "limit",  "period"};
  if (!coerce) return text;
  if (kBooleans.contains(key) && (text == "true" || text == "false")) return text == "true";
  if (kNumbers.contains(key)) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && end == text.data() + text.size()) {
      const auto whole = static_cast<std::int64_t>(number);
      return static_cast<double>(whole) == number ? Json(whole) : Json(number);
    }
  }
  return text;
}

Json jsonOf(const Node& node, const std::string& key, bool coerce) {
  switch (node.kind) {
    case Node::Kind::kEmpty:
      return nullptr;
    case Node::Kind::kScalar:
      return scalarOf(key, node.scalar, coerce);
    case Node::Kind::kArray: {
      Json out = Json::array();
      for (const Node& element : node.children) out.push_back(jsonOf(element, key, coerce));
      return out;
    }
    case Node::Kind::kObject: {
      Json out = Json::object();
      // What users bind ("json", "props", "text") stays as it came.
      for (std::size_t index = 0; index < node.names.size(); ++index) {
        const std::string& name = node.names[index];
        out[name] = jsonOf(node.children[index], name, coerce && name != "bindings" && name != "annotations");
      }
      return out;
    }
  }
  HF_CHECK(false, "every kind is handled");
}

}  // namespace

Checked<Json> decodeBracketFields(const std::vector<std::pair<std::string, std::string>>& fields) {
  Node root;
  root.kind = Node::Kind::kObject;
  for (const auto& [key, value] : fields) {
    const std::optional<Path> path = parsePath(key);
    if (!path || path->front().empty() || !assign(root, *path, value)) {
      return refuse(400, 10001, "The form field '" + key + "' cannot be read.");
    }
  }
  return jsonOf(root, "", true);
}

}  // namespace hf::api
