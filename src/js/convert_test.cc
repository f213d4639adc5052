#include "js/convert.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "base/clock.h"
#include "js/test_support.h"

namespace hf::js {
namespace {

using testing::Engine;
using testing::Isolate;
using testing::Shard;

struct ConvertTest : ::testing::Test {
  template <class F>
  void inside(F body) {
    shard.run([&] {
      isolate.environment->turn([&] { body(isolate.environment->isolate(), isolate.environment->context()); });
    });
  }

  Watchdog watchdog{Engine::get().log};
  Shard shard;
  Isolate isolate{shard, watchdog};
};

TEST_F(ConvertTest, StringsBothWays) {
  inside([](v8::Isolate* v8Isolate, v8::Local<v8::Context>) {
    for (const std::string text :
         {"", "ascii", "0123456789abcdef-long-ascii", "h\u00e9llo", "\u65e5\u672c", "\U0001F600 mixed"}) {
      EXPECT_EQ(toUtf8(v8Isolate, string(v8Isolate, text)), text);
      EXPECT_EQ(toUtf8(v8Isolate, internalized(v8Isolate, text)), text);
    }
    EXPECT_EQ(toUtf8(v8Isolate, string(v8Isolate,
                                       "a\xff"
                                       "b")),
              "a\ufffd"
              "b");
    EXPECT_EQ(toUtf8(v8Isolate, latin1String(v8Isolate, "\xe9")), "\u00e9");
    const std::uint16_t lone[] = {0xd800, 'x'};
    EXPECT_EQ(
        toUtf8(v8Isolate, v8::String::NewFromTwoByte(v8Isolate, lone, v8::NewStringType::kNormal, 2).ToLocalChecked()),
        "\ufffdx");
  });
}

TEST_F(ConvertTest, BytesOfBuffersAndViews) {
  inside([](v8::Isolate* v8Isolate, v8::Local<v8::Context>) {
    const Bytes bytes = {1, 2, 3, 4};
    const auto buffer = arrayBuffer(v8Isolate, bytes).ToLocalChecked();
    EXPECT_THAT(*bytesOf(buffer), ::testing::ElementsAre(1, 2, 3, 4));
    EXPECT_THAT(*bytesOf(v8::Uint8Array::New(buffer, 1, 2)), ::testing::ElementsAre(2, 3));
    EXPECT_THAT(*bytesOf(uint8Array(v8Isolate, bytes).ToLocalChecked()), ::testing::ElementsAre(1, 2, 3, 4));
    EXPECT_TRUE(bytesOf(arrayBuffer(v8Isolate, {}).ToLocalChecked())->empty());
    EXPECT_FALSE(bytesOf(v8::Undefined(v8Isolate)));
  });
}

TEST_F(ConvertTest, ErrorsTakeTheClassOfTheirCode) {
  inside([&](v8::Isolate* v8Isolate, v8::Local<v8::Context> context) {
    const auto thrown = [&](auto throwIt) {
      const v8::TryCatch caught(v8Isolate);
      throwIt();
      const ExceptionText text = describeException(context, caught.Exception());
      return text.name + ": " + text.message;
    };
    EXPECT_EQ(thrown([&] { throwResultError(v8Isolate, {Errc::kInvalidArgument, "a"}); }), "TypeError: a");
    EXPECT_EQ(thrown([&] { throwResultError(v8Isolate, {Errc::kLimit, "b"}); }), "RangeError: b");
    EXPECT_EQ(thrown([&] { throwResultError(v8Isolate, {Errc::kNoSpace, "c"}); }), "Error: c");
    EXPECT_EQ(thrown([&] { throwDomException(*isolate.environment, "AbortError", "d"); }), "AbortError: d");
  });
}

TEST_F(ConvertTest, UserCodeInAnErrorDoesNotEscape) {
  inside([&](v8::Isolate* v8Isolate, v8::Local<v8::Context> context) {
    v8::TryCatch caught(v8Isolate);
    v8::Local<v8::Value> value = v8::Script::Compile(context, string(v8Isolate, "throw { get message() { throw 1 } }"))
                                     .ToLocalChecked()
                                     ->Run(context)
                                     .FromMaybe(v8::Local<v8::Value>());
    ASSERT_TRUE(value.IsEmpty());
    EXPECT_EQ(describeException(context, caught.Exception()).stack, "");
  });
}

TEST_F(ConvertTest, CachedScriptIsCompiledOnce) {
  CachedScript script("runtime.js", "(function () { function inner(x) { return x + 1 } return inner(41) })");
  const auto runIn = [&](Isolate& where) {
    return shard.run([&] {
      std::string result;
      where.environment->turn([&] {
        const v8::Local<v8::Context> context = where.environment->context();
        const auto made = script.run(context).ToLocalChecked().As<v8::Function>();
        const auto value =
            made->Call(context, v8::Undefined(where.environment->isolate()), 0, nullptr).ToLocalChecked();
        result = toUtf8(where.environment->isolate(), value->ToString(context).ToLocalChecked());
      });
      return result;
    });
  };
  EXPECT_EQ(runIn(isolate), "42");
  EXPECT_FALSE(script.wasCached());
  Isolate second(shard, watchdog);
  EXPECT_EQ(runIn(second), "42");
  EXPECT_TRUE(script.wasCached());
}

TEST_F(ConvertTest, CachedScriptFigures) {
  std::string source = "(function () {\n";
  for (int i = 0; i < 2000; ++i) {
    const std::string n = std::to_string(i);
    source += "function f" + n + "(a, b) { const list = [a, b, " + n + "]; return list.map((x) => x + " + n +
              ").join('-') }\n";
  }
  source += "})";
  CachedScript script("large.js", source);
  const auto measure = [&](const char* what) {
    Isolate where(shard, watchdog);
    const auto time = shard.run([&] {
      const auto start = systemClock().steady();
      where.environment->turn([&] { EXPECT_FALSE(script.run(where.environment->context()).IsEmpty()); });
      return std::chrono::duration<double, std::milli>(systemClock().steady() - start).count();
    });
    std::printf("[ figure   ] %zu KB of script %s: %.2f ms\n", source.size() / 1024, what, time);
    return time;
  };
  const double compiled = measure("compiled");
  const double cached = std::min(measure("from the cache"), measure("from the cache"));
  EXPECT_LT(cached, compiled);
}

TEST_F(ConvertTest, CachedScriptReportsSyntaxErrors) {
  CachedScript script("bad.js", "(function () { ");
  inside([&](v8::Isolate* v8Isolate, v8::Local<v8::Context> context) {
    const v8::TryCatch caught(v8Isolate);
    EXPECT_TRUE(script.run(context).IsEmpty());
    EXPECT_EQ(uncaughtText(context, caught.Exception(), caught.Message()),
              "Uncaught SyntaxError: Unexpected end of input\n  at bad.js:1:16");
  });
}

}  // namespace
}  // namespace hf::js
