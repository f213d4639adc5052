// Lists of strings from JavaScript arrays. Inside the isolate.
#pragma once

#include <v8.h>

#include <string>
#include <vector>

#include "js/convert.h"

namespace hf::actor {

// Elements that are not strings are skipped: the runtime's TypeScript has validated them.
inline std::vector<std::string> toStrings(v8::Local<v8::Context> context, v8::Local<v8::Value> array) {
  std::vector<std::string> out;
  if (!array->IsArray()) return out;
  const auto list = array.As<v8::Array>();
  out.reserve(list->Length());
  for (std::uint32_t i = 0; i < list->Length(); i++) {
    v8::Local<v8::Value> item;
    if (list->Get(context, i).ToLocal(&item) && item->IsString()) {
      out.push_back(js::toUtf8(v8::Isolate::GetCurrent(), item));
    }
  }
  return out;
}

}  // namespace hf::actor
