#include "storage/statement.h"

#include <utility>

#include "base/limits.h"

namespace hf::storage {

Query StatementCache::take(std::string_view text) {
  const auto it = byText_.find(text);
  if (it == byText_.end()) return Query{.text = std::string(text), .statements = {}};
  const auto place = it->second;
  byText_.erase(it);
  textBytes_ -= place->text.size();
  Query query = std::move(*place);
  queries_.erase(place);
  return query;
}

void StatementCache::give(Query query) {
  if (query.text.size() > limits::kStatementCacheTextBytesMax || byText_.contains(query.text)) return;
  textBytes_ += query.text.size();
  queries_.push_front(std::move(query));
  byText_[queries_.front().text] = queries_.begin();
  while (textBytes_ > limits::kStatementCacheTextBytesMax || queries_.size() > limits::kStatementCacheCountMax) {
    textBytes_ -= queries_.back().text.size();
    byText_.erase(queries_.back().text);
    queries_.pop_back();
  }
}

void StatementCache::clear() {
  byText_.clear();
  queries_.clear();
  textBytes_ = 0;
}

}  // namespace hf::storage
