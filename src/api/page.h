// Pagination as Cloudflare does it (spec control-plane 1.4): page and per_page; the SDK asks on until a page is empty.
#pragma once

#include "api/reply.h"
#include "api/router.h"

namespace hf::api {

struct PageRequest {
  std::size_t page = 1;
  std::size_t perPage = 20;
  [[nodiscard]] std::size_t offset() const { return (page - 1) * perPage; }
};

// 10077 for what is no positive number; more than `perPageMax` is cut to it.
Checked<PageRequest> parsePage(const ApiRequest& request, std::size_t perPageDefault, std::size_t perPageMax);
Json pageInfo(const PageRequest& page, std::size_t count, std::size_t total);
// The page's share of a list that is in memory, with its result_info.
Reply pageOf(const Json& all, const PageRequest& page);

// Digits only, within `most`; nothing otherwise.
std::optional<std::size_t> parseCount(const std::string& text, std::size_t most);

}  // namespace hf::api
