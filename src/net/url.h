// The pieces of a request target, for code that routes by path and query. (User code gets a real URL from JavaScript.)
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hf::net {

// Views of `target`. Origin form and absolute form ("http://host/path?query"); the fragment is cut.
struct TargetParts {
  std::string_view authority;  // absolute form only
  std::string_view path;       // "/" when empty
  std::string_view query;      // without "?"
};
TargetParts splitTarget(std::string_view target);

// %XX to bytes. Nothing on a broken escape.
std::optional<std::string> percentDecode(std::string_view text);

// application/x-www-form-urlencoded: "+" is a blank, broken escapes stay as they are. Order and repeated names kept.
using QueryList = std::vector<std::pair<std::string, std::string>>;
QueryList parseQuery(std::string_view query);
// The first of that name.
const std::string* findQuery(const QueryList& query, std::string_view name);

// What encodeURIComponent does.
std::string percentEncode(std::string_view text);

}  // namespace hf::net
