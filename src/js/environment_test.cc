#include "js/environment.h"

#include <gmock/gmock.h>

#include <atomic>
#include <fstream>
#include <future>

#include "base/clock.h"
#include "js/test_support.h"

namespace hf::js {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using testing::Engine;
using ::testing::HasSubstr;
using testing::Isolate;
using testing::Shard;
using ::testing::StartsWith;

std::size_t residentBytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  statm >> total >> resident;
  return resident * 4096;
}

struct EnvironmentTest : ::testing::Test {
  Watchdog watchdog{Engine::get().log};
  Shard shard;
};

TEST_F(EnvironmentTest, RunsJavaScriptWithNodesWebPlatform) {
  Isolate isolate(shard, watchdog);
  EXPECT_EQ(
      isolate.eval("[typeof fetch, typeof crypto.subtle, typeof WebAssembly, new URL('/x', 'http://a').href].join()"),
      "function,object,object,http://a/x");
}

TEST_F(EnvironmentTest, TurnRunsMicrotasksAndTicksBeforeItReturns) {
  Isolate isolate(shard, watchdog);
  isolate.eval(
      "globalThis.seen = []; process.nextTick(() => seen.push('tick'));"
      "Promise.resolve().then(() => seen.push('microtask'))");
  EXPECT_EQ(isolate.eval("seen.join()"), "tick,microtask");
}

TEST_F(EnvironmentTest, FiftyOneAfterAnotherLeakNothing) {
  {
    Isolate warm(shard, watchdog);
  }
  std::size_t after10 = 0;
  for (int i = 0; i < 50; ++i) {
    Isolate isolate(shard, watchdog);
    EXPECT_EQ(isolate.eval("setTimeout(() => {}, 1e6); new Uint8Array(1 << 20).length"), "1048576");
    if (i == 9) after10 = residentBytes();
  }
  EXPECT_LT(residentBytes(), after10 + 40 * 1024 * 1024) << "40 environments must not cost a megabyte each";
}

TEST_F(EnvironmentTest, SeveralOnOneThreadKeepTheirOwnState) {
  Isolate one(shard, watchdog);
  Isolate two(shard, watchdog);
  one.eval("globalThis.x = 1");
  two.eval("globalThis.x = 2");
  EXPECT_EQ(one.eval("x"), "1");
  EXPECT_EQ(two.eval("x"), "2");
  EXPECT_EQ(one.await("new Promise((r) => setTimeout(r, 20, 'one'))"), "one");
  EXPECT_EQ(two.await("new Promise((r) => setTimeout(r, 20, 'two'))"), "two");
}

TEST_F(EnvironmentTest, ScopesOfTwoEnvironmentsNest) {
  Isolate one(shard, watchdog);
  Isolate two(shard, watchdog);
  shard.run([&] {
    one.environment->turn([&] {
      EXPECT_EQ(two.evalHere("globalThis.y = 7"), "7");
      EXPECT_EQ(one.evalHere("typeof y"), "undefined");
      EXPECT_EQ(Environment::current(), one.environment.get());
    });
    EXPECT_EQ(Environment::current(), nullptr);
  });
}

TEST_F(EnvironmentTest, ATurnThatIsCutRunsNothingMoreAndTheNextOneDoes) {
  Isolate isolate(shard, watchdog);
  shard.run([&] {
    isolate.environment->enter([&] {
      const v8::Local<v8::Context> context = isolate.environment->context();
      setMethod(
          context, context->Global(), "cut",
          [](const v8::FunctionCallbackInfo<v8::Value>& info) {
            info.GetReturnValue().Set(selfOf<Environment>(info).cutTurn());
          },
          isolate.environment.get());
      EXPECT_FALSE(isolate.environment->cutTurn()) << "not in a turn";
    });
  });
  isolate.eval("globalThis.seen = []; const end = () => { if (cut()) for (;;); }; globalThis.end = end;");
  // Synchronous code.
  EXPECT_EQ(isolate.eval("try { seen.push(1); end(); } catch { seen.push('catch') } finally { seen.push('finally') }"),
            "terminated");
  EXPECT_EQ(isolate.eval("seen.join()"), "1");
  // A microtask; those that it has queued go with it.
  isolate.eval(
      "Promise.resolve().then(() => { Promise.resolve().then(() => seen.push('late')); end(); })"
      ".finally(() => seen.push('finally'))");
  EXPECT_EQ(isolate.eval("seen.join()"), "1");
  // What AsyncLocalStorage has set does not stay behind.
  isolate.eval(
      "const { AsyncLocalStorage } = nodeRequire('async_hooks'); globalThis.als = new AsyncLocalStorage();"
      "als.run('inner', () => Promise.resolve().then(end))");
  EXPECT_EQ(isolate.eval("String(als.getStore())"), "undefined");
  EXPECT_EQ(isolate.eval("als.run('x', () => end())"), "terminated");
  EXPECT_EQ(isolate.await("new Promise((r) => setTimeout(() => r(String(als.getStore())), 1))"), "undefined");
}

TEST_F(EnvironmentTest, AHeapThatIsNearlyFullAfterACollectionIsTold) {
  std::promise<void> told;
  EnvironmentOptions options{.name = "full", .heapBytesMax = 32 << 20};
  std::atomic<int> times = 0;
  options.onHeapNearlyFull = [&] {
    if (times++ == 0) told.set_value();
  };
  Isolate isolate(shard, watchdog, options);
  EXPECT_EQ(isolate.eval("globalThis.kept = []; 'x'"), "x");
  auto when = told.get_future();
  for (int i = 0; i < 200 && when.wait_for(0s) != std::future_status::ready; i++) {
    isolate.eval("for (let i = 0; i < 2000; i++) kept.push({ a: [i, i + 0.5] }); 0");
  }
  EXPECT_EQ(when.wait_for(testing::kPatience), std::future_status::ready);
  EXPECT_EQ(isolate.environment->condemned(), Condemned::kNo);
}

// ---- libuv while the shard sleeps

TEST_F(EnvironmentTest, TimersFire) {
  Isolate isolate(shard, watchdog);
  EXPECT_EQ(isolate.await("new Promise((r) => setTimeout(r, 30, 'late'))"), "late");
  EXPECT_EQ(isolate.await("new Promise((r) => setImmediate(r, 'soon'))"), "soon");
  EXPECT_EQ(isolate.await("new Promise((r) => setTimeout(r, 10, 'loose').unref())"), "loose");
  EXPECT_EQ(
      isolate.await("new Promise((r) => { let n = 0; const t = setInterval(() => { if (++n === 3) { clearInterval(t); "
                    "r(n) } }, 2) })"),
      "3");
}

TEST_F(EnvironmentTest, ThreadPoolWorkComesBack) {
  Isolate isolate(shard, watchdog);
  EXPECT_EQ(isolate.await("crypto.subtle.digest('SHA-256', new Uint8Array(3)).then((b) => b.byteLength)"), "32");
  EXPECT_EQ(
      isolate.await("new Promise((r) => nodeRequire('zlib').gzip('x'.repeat(5000), (e, b) => r(b.length < 100)))"),
      "true");
  EXPECT_EQ(isolate.await("new Response(new Blob(['hello']).stream().pipeThrough(new CompressionStream('gzip')))"
                          ".arrayBuffer().then((b) => b.byteLength > 10)"),
            "true");
}

TEST_F(EnvironmentTest, TasksOfV8sHelpersComeBack) {
  Isolate isolate(shard, watchdog);
  EXPECT_EQ(isolate.await("WebAssembly.compile(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])).then(String)"),
            "[object WebAssembly.Module]");
}

TEST_F(EnvironmentTest, FetchReachesAServerInAnotherEnvironment) {
  Shard other;
  Isolate server(other, watchdog);
  Isolate client(shard, watchdog);
  const std::string port = server.await(
      "new Promise((r) => { const s = nodeRequire('http').createServer((q, a) => a.end('hello ' + q.url)); "
      "s.listen(0, '127.0.0.1', () => r(s.address().port)) })");
  EXPECT_EQ(client.await("fetch('http://127.0.0.1:" + port + "/a').then((r) => r.text())"), "hello /a");
  EXPECT_EQ(client.await("fetch('http://127.0.0.1:" + port + "/b').then((r) => r.text())"), "hello /b");
}

TEST_F(EnvironmentTest, IdleEnvironmentCausesNoWakeUps) {
  std::atomic<int> rounds{0};
  Isolate isolate(shard, watchdog);
  isolate.await("new Promise((r) => setTimeout(r, 5))");
  isolate.eval("setTimeout(() => {}, 3600e3)");  // an hour away
  const std::uint64_t hook = shard.run([&] { return shard.loop.addRoundHook([&] { ++rounds; }); });
  std::this_thread::sleep_for(100ms);  // what creation started settles
  const int before = rounds;
  std::this_thread::sleep_for(600ms);
  EXPECT_LE(rounds - before, 1);
  shard.run([&] { shard.loop.removeRoundHook(hook); });
}

TEST_F(EnvironmentTest, AfterNodeWorkIsCalledOutsideTheScope) {
  Isolate isolate(shard, watchdog);
  isolate.await("new Promise((r) => setTimeout(r, 5))");
  EXPECT_GT(shard.run([&] { return isolate.nodeWork; }), 0);
}

// ---- limits

TEST_F(EnvironmentTest, EndlessLoopIsTerminatedWhileOthersAnswer) {
  Shard other;
  Isolate victim(shard, watchdog, {.name = "loops", .cpuPerTurn = 100ms});
  Isolate neighbour(shard, watchdog);
  Isolate remote(other, watchdog);
  auto condemned = victim.condemned.get_future();
  std::future<std::string> looping = std::async(std::launch::async, [&] { return victim.eval("for (;;) {}"); });
  EXPECT_EQ(remote.eval("1 + 1"), "2");
  EXPECT_EQ(looping.get(), "terminated");
  ASSERT_EQ(condemned.wait_for(5s), std::future_status::ready);
  EXPECT_EQ(condemned.get(), Condemned::kCpu);
  EXPECT_EQ(victim.eval("1"), "terminated") << "a condemned environment runs nothing any more";
  EXPECT_EQ(neighbour.eval("2 + 2"), "4");
}

TEST_F(EnvironmentTest, EndlessLoopInATimerOrMicrotaskIsTerminated) {
  for (const char* source :
       {"setTimeout(() => { for (;;) {} }, 1)", "Promise.resolve().then(() => { for (;;) {} })",
        "(function f() { Promise.resolve().then(f) })()", "process.nextTick(() => { for (;;) {} })",
        "try { for (;;) {} } catch { for (;;) {} } finally { for (;;) {} }"}) {
    Isolate victim(shard, watchdog, {.name = "loops", .cpuPerTurn = 60ms});
    auto condemned = victim.condemned.get_future();
    victim.eval(source);
    ASSERT_EQ(condemned.wait_for(5s), std::future_status::ready) << source;
    EXPECT_EQ(condemned.get(), Condemned::kCpu) << source;
  }
}

TEST_F(EnvironmentTest, CpuTimeCountsNotWaiting) {
  Isolate isolate(shard, watchdog, {.name = "waits", .cpuPerTurn = 60ms});
  shard.run([&] {
    isolate.environment->turn([&] { std::this_thread::sleep_for(250ms); });
    EXPECT_EQ(isolate.environment->condemned(), Condemned::kNo);
  });
}

TEST_F(EnvironmentTest, ManyShortTurnsAreNotOneLongTurn) {
  Isolate isolate(shard, watchdog, {.name = "busy", .cpuPerTurn = 80ms});
  shard.run([&] {
    const auto end = systemClock().steady() + 400ms;
    while (systemClock().steady() < end) isolate.evalHere("for (let i = 0; i < 1e5; i++);");
    EXPECT_EQ(isolate.environment->condemned(), Condemned::kNo);
  });
}

TEST_F(EnvironmentTest, HeapHogIsTerminated) {
  Isolate victim(shard, watchdog, {.name = "hog", .heapBytesMax = 48 << 20});
  Isolate neighbour(shard, watchdog);
  auto condemned = victim.condemned.get_future();
  EXPECT_EQ(victim.eval("const kept = []; for (let i = 0; ; i++) kept.push({ i, text: 'x' + i })"), "terminated");
  ASSERT_EQ(condemned.wait_for(5s), std::future_status::ready);
  EXPECT_EQ(condemned.get(), Condemned::kHeap);
  EXPECT_EQ(neighbour.eval("'alive'"), "alive");
}

TEST_F(EnvironmentTest, HeapLimitIsTheConfiguredOne) {
  Isolate isolate(shard, watchdog, {.name = "sized", .heapBytesMax = 48 << 20});
  EXPECT_EQ(isolate.eval("const a = []; for (let i = 0; i < 2e5; i++) a.push({ i }); a.length"), "200000");
  const std::size_t limit = shard.run([&] {
    v8::HeapStatistics statistics;
    isolate.environment->isolate()->GetHeapStatistics(&statistics);
    return statistics.heap_size_limit();
  });
  EXPECT_LT(limit, std::size_t{160} << 20) << "old generation limit plus the young generation";
}

TEST_F(EnvironmentTest, ArrayBuffersAreCountedAndRefused) {
  Isolate isolate(shard, watchdog, {.name = "buffers", .heapBytesMax = 32 << 20});
  EXPECT_EQ(isolate.eval("try { const k = []; for (;;) k.push(new Uint8Array(1 << 20)) } catch (e) { `${e}` }"),
            "RangeError: Array buffer allocation failed");
  EXPECT_EQ(isolate.eval("new Uint8Array(1 << 20).length"), "1048576") << "garbage makes room again";
  EXPECT_EQ(isolate.eval("try { Buffer.alloc(64 << 20) } catch (e) { `${e}` }"),
            "RangeError: Array buffer allocation failed");
  EXPECT_THAT(isolate.eval("try { Buffer.allocUnsafe(64 << 20) } catch (e) { `${e}` }"), StartsWith("RangeError: "));
  EXPECT_LE(shard.run([&] { return isolate.environment->arrayBufferBytes(); }), std::size_t{32} << 20);
}

TEST_F(EnvironmentTest, DeepRecursionIsARangeError) {
  Isolate isolate(shard, watchdog);
  EXPECT_EQ(isolate.eval("(function f() { f() })()").substr(0, 50),
            "Uncaught RangeError: Maximum call stack size excee");
  EXPECT_EQ(isolate.eval("let d = 0; try { (function f(a) { d++; f([a, () => a]) })(1) } catch (e) {} d > 2000"),
            "true");
  EXPECT_EQ(isolate.eval("let j = '['.repeat(2e6); try { JSON.parse(j) } catch (e) { e instanceof Error }"), "true");
}

// ---- errors that nobody catches

TEST_F(EnvironmentTest, UncaughtErrorsAreReportedAndHarmless) {
  Isolate isolate(shard, watchdog);
  isolate.eval("setTimeout(() => { throw new Error('from a timer') }, 1)");
  isolate.await("new Promise((r) => setTimeout(r, 30))");
  isolate.eval("Promise.reject(new Error('nobody handles')); 0");
  isolate.eval("process.nextTick(() => { throw new TypeError('from a tick') })");
  isolate.eval("queueMicrotask(() => { throw new Error('from a microtask') })");
  isolate.eval("new (nodeRequire('events'))().emit('error', new Error('from an emitter'))");
  EXPECT_EQ(isolate.eval("'alive'"), "alive");
  EXPECT_THAT(shard.run([&] { return isolate.uncaught; }),
              ElementsAre("exception from a timer", "rejection nobody handles", "exception from a tick",
                          "exception from a microtask"));
}

TEST_F(EnvironmentTest, ExceptionThatLeavesATurnIsReported) {
  Isolate isolate(shard, watchdog);
  shard.run([&] {
    const bool lives = isolate.environment->turn([&] {
      isolate.environment->isolate()->ThrowException(v8::Exception::Error(string(isolate.environment->isolate(), "x")));
    });
    EXPECT_TRUE(lives);
  });
  isolate.eval("0");
  EXPECT_EQ(isolate.eval("'alive'"), "alive");
}

TEST_F(EnvironmentTest, ProcessCannotBeStopped) {
  Isolate isolate(shard, watchdog);
  for (const char* call :
       {"exit(3)", "reallyExit(3)", "abort()", "kill(1)", "dlopen({}, 'x')", "binding('fs')", "_linkedBinding('x')",
        "chdir('/')", "setuid(0)", "umask(0)", "setUncaughtExceptionCaptureCallback(null)"}) {
    EXPECT_THAT(isolate.eval("process." + std::string(call)), HasSubstr("is not available in Workers.")) << call;
  }
  EXPECT_EQ(isolate.eval("'alive'"), "alive");
}

TEST_F(EnvironmentTest, NodeRequireGivesPublicBuiltInsOnly) {
  Isolate isolate(shard, watchdog);
  EXPECT_EQ(isolate.eval("nodeRequire('events') === nodeRequire('node:events')"), "true");
  EXPECT_THAT(isolate.eval("nodeRequire('internal/bootstrap/realm')"), HasSubstr("No such built-in module"));
}

TEST_F(EnvironmentTest, AtomicsWaitCannotBlockTheShard) {
  Isolate isolate(shard, watchdog);
  EXPECT_THAT(isolate.eval("Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)"),
              StartsWith("Uncaught TypeError"));
}

TEST_F(EnvironmentTest, CodeGenerationCanBeForbidden) {
  Isolate isolate(shard, watchdog);
  EXPECT_EQ(isolate.eval("eval('1 + 1') + new Function('return 1')()"), "3");
  shard.run([&] { isolate.environment->forbidCodeGeneration(); });
  for (const char* source : {"eval('1')", "new Function('return 1')", "setTimeout.constructor('return 1')()"}) {
    EXPECT_THAT(isolate.eval(source),
                StartsWith("Uncaught EvalError: Code generation from strings disallowed for this context"));
  }
}

// ---- figures

TEST_F(EnvironmentTest, TurnsAreCheap) {
  Isolate isolate(shard, watchdog);
  const auto nanoseconds = shard.run([&] {
    constexpr int kTurns = 200'000;
    for (int i = 0; i < 20'000; ++i) isolate.environment->turn([] {});
    const auto start = systemClock().steady();
    for (int i = 0; i < kTurns; ++i) isolate.environment->turn([] {});
    return (systemClock().steady() - start).count() / kTurns;
  });
  RecordProperty("nanosecondsPerTurn", static_cast<int>(nanoseconds));
  std::printf("[ figure   ] an empty turn: %ld ns\n", static_cast<long>(nanoseconds));
  EXPECT_LT(nanoseconds, 5'000);
}

TEST_F(EnvironmentTest, StartsQuickly) {
  {
    Isolate warm(shard, watchdog);
  }
  const auto start = systemClock().steady();
  const std::size_t before = residentBytes();
  std::vector<std::unique_ptr<Isolate>> kept;
  for (int i = 0; i < 5; ++i) kept.push_back(std::make_unique<Isolate>(shard, watchdog));
  const auto each = (systemClock().steady() - start) / 5;
  std::printf("[ figure   ] an environment: %.1f ms, %.1f MB\n",
              std::chrono::duration<double, std::milli>(each).count(),
              static_cast<double>(residentBytes() - before) / 5e6);
  EXPECT_LT(each, 500ms);
}

// ---- what ends the process: run one by one by src/js/fatal_test.mjs, which looks at the exit code

TEST_F(EnvironmentTest, DISABLED_TurnThatIgnoresTermination) {
  Watchdog strict(Engine::get().log, {.grace = 100ms});
  Isolate isolate(shard, strict, {.name = "deaf", .cpuPerTurn = 50ms});
  shard.run([&] {
    isolate.environment->turn([] {
      for (volatile bool forEver = true; forEver;) {
      }
    });
  });
}

TEST_F(EnvironmentTest, DISABLED_HeapHogThatIgnoresTermination) {
  Isolate isolate(shard, watchdog, {.name = "hog", .heapBytesMax = 32 << 20});
  EXPECT_EQ(isolate.eval("(() => { const a = []; for (;;) a.push(new Array(1000).fill({})) })()"), "terminated");
}

// ---- the permission model; needs a host started with it (the test "js_permission" in CMakeLists.txt)

TEST_F(EnvironmentTest, PermissionModelHoldsForEnvironments) {
  Isolate isolate(shard, watchdog);
  if (isolate.eval("process.permission === undefined") == "true") GTEST_SKIP() << "host without --permission";
  EXPECT_THAT(isolate.eval("nodeRequire('fs').readFileSync('/etc/hostname')"),
              HasSubstr("Access to this API has been restricted"));
  EXPECT_THAT(isolate.eval("nodeRequire('child_process').execSync('true')"),
              HasSubstr("Access to this API has been restricted"));
  EXPECT_THAT(isolate.eval("new (nodeRequire('worker_threads').Worker)('1', { eval: true })"),
              HasSubstr("Access to this API has been restricted"));
}

}  // namespace
}  // namespace hf::js
