#include "api/page.h"

#include <algorithm>
#include <charconv>

namespace hf::api {

std::optional<std::size_t> parseCount(const std::string& text, std::size_t most) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number > most) return std::nullopt;
  return number;
}

Checked<PageRequest> parsePage(const ApiRequest& request, std::size_t perPageDefault, std::size_t perPageMax) {
  constexpr std::size_t kMost = 1'000'000'000;
  PageRequest out{.page = 1, .perPage = perPageDefault};
  const std::string page = request.queryValue("page");
  if (!page.empty()) {
    const auto number = parseCount(page, kMost);
    if (!number || *number == 0) return refuse(400, 10077, "The query parameter 'page' must be a number from 1.");
    out.page = *number;
  }
  const std::string perPage = request.queryValue("per_page");
  if (!perPage.empty()) {
    const auto number = parseCount(perPage, kMost);
    if (!number || *number == 0) return refuse(400, 10077, "The query parameter 'per_page' must be a number from 1.");
    out.perPage = std::min(*number, perPageMax);
  }
  return out;
}

Json pageInfo(const PageRequest& page, std::size_t count, std::size_t total) {
  return Json{{"page", page.page},
              {"per_page", page.perPage},
              {"count", count},
              {"total_count", total},
              {"total_pages", (total + page.perPage - 1) / page.perPage}};
}

Reply pageOf(const Json& all, const PageRequest& page) {
  Json result = Json::array();
  for (std::size_t at = page.offset(); at < all.size() && result.size() < page.perPage; ++at) result.push_back(all[at]);
  const std::size_t count = result.size();
  return list(std::move(result), pageInfo(page, count, all.size()));
}

}  // namespace hf::api
