// runtime.js, embedded into the addon. Pure ASCII, so V8 can take it as an external one-byte string without a copy.
#pragma once
#include <cstddef>
#include <string_view>

extern "C" {
extern const char hf_runtime_js[];      // ends with a NUL that the size does not count
extern const char hf_runtime_js_end[];  // the address after its last byte
}

inline std::string_view runtimeJs() { return {hf_runtime_js, static_cast<size_t>(hf_runtime_js_end - hf_runtime_js)}; }
