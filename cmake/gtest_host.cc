// Runs a V8 room's GoogleTest cases inside the Node host; gtest_host.cjs loads it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <node.h>

#include <string>
#include <vector>

namespace {

void run(const v8::FunctionCallbackInfo<v8::Value>& info) {
  v8::Isolate* isolate = info.GetIsolate();
  std::vector<std::string> texts = {"test"};
  for (int i = 0; i < info.Length(); ++i) texts.emplace_back(*v8::String::Utf8Value(isolate, info[i]));
  std::vector<char*> argv;
  for (std::string& text : texts) argv.push_back(text.data());
  argv.push_back(nullptr);
  int argc = static_cast<int>(texts.size());
  testing::InitGoogleMock(&argc, argv.data());
  info.GetReturnValue().Set(RUN_ALL_TESTS());
}

}  // namespace

NODE_MODULE_INIT() { NODE_SET_METHOD(exports, "run", run); }
