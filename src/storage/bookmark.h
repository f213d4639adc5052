// The names of points in an object's life (spec durable-objects 5.7): XXXXXXXX-XXXXXXXX-XXXXXXXX-<32 hex digits>. They
// sort as the points do. The first two groups are a position of the ledger, the third tells what is meant by it, and
// the last binds it to the object and the ledger. Thread: any.
#pragma once

#include <string>
#include <string_view>

#include "base/object_id.h"
#include "base/result.h"
#include "ledger/ledger.h"

namespace hf::storage {

struct Bookmark {
  ledger::Position position;  // everything that the object committed up to here
  bool isUndo = false;        // but up to the restoration that followed, if one did

  friend bool operator==(const Bookmark&, const Bookmark&) = default;
};

std::string formatBookmark(const Bookmark& bookmark, const ObjectKey& object, const ledger::LedgerId& ledger);
// kInvalidArgument unless it is one of this object and this ledger.
Result<Bookmark> parseBookmark(std::string_view text, const ObjectKey& object, const ledger::LedgerId& ledger);

}  // namespace hf::storage
