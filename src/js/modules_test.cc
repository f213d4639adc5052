#include "js/modules.h"

#include <gmock/gmock.h>

#include "js/test_support.h"

namespace hf::js {
namespace {

using namespace std::chrono_literals;
using testing::Engine;
using testing::Isolate;
using testing::Shard;
using ::testing::StartsWith;

TEST(ResolveModuleName, FollowsTheImportersFolder) {
  EXPECT_EQ(resolveModuleName("./x.js", "index.js"), "x.js");
  EXPECT_EQ(resolveModuleName("x.js", "lib/a.js"), "x.js");
  EXPECT_EQ(resolveModuleName("/x.js", "lib/a.js"), "x.js");
  EXPECT_EQ(resolveModuleName("./x.js", "lib/a.js"), "lib/x.js");
  EXPECT_EQ(resolveModuleName("../x.js", "lib/deep/a.js"), "lib/x.js");
  EXPECT_EQ(resolveModuleName("../../../x.js", "lib/a.js"), "x.js");
  EXPECT_EQ(resolveModuleName("./a/./b/../c.js", ""), "a/c.js");
  EXPECT_EQ(resolveModuleName("node:fs", "lib/a.js"), "node:fs");
  EXPECT_EQ(resolveModuleName("cloudflare:workers", "a.js"), "cloudflare:workers");
}

struct ModulesTest : ::testing::Test {
  struct File {
    std::string name;
    std::string content;
    ModuleKind kind = ModuleKind::kEsModule;
  };

  ~ModulesTest() override {
    shard.run([&] { modules.reset(); });
  }

  // "ok", or the error's text.
  std::string start(std::vector<File> upload, std::string main = "index.js", std::chrono::milliseconds limit = 2s) {
    files = std::move(upload);
    auto promise = std::make_shared<std::promise<std::string>>();
    auto settled = promise->get_future();
    shard.run([&] {
      std::vector<ModuleSource> sources;
      for (const File& file : files) sources.push_back({file.name, file.kind, asBytes(file.content)});
      modules = std::make_unique<Modules>(
          *isolate.environment, std::move(sources),
          [&](v8::Local<v8::Context> context, std::string_view specifier) -> v8::MaybeLocal<v8::Value> {
            v8::Isolate* v8Isolate = isolate.environment->isolate();
            if (specifier != "cloudflare:test") return v8::Undefined(v8Isolate);
            const v8::Local<v8::Object> exports = v8::Object::New(v8Isolate);
            setProperty(context, exports, "default", string(v8Isolate, "built in"));
            setProperty(context, exports, "named", v8::Integer::New(v8Isolate, 5));
            return exports;
          });
      modules->start(main, limit,
                     [promise](Result<void> result) { promise->set_value(result ? "ok" : result.error().message); });
    });
    return settled.wait_for(testing::kPatience) == std::future_status::ready ? settled.get() : "timed out";
  }
  // `globalThis.main` becomes the namespace.
  std::string eval(std::string_view source) {
    return shard.run([&] {
      isolate.environment->turn([&] {
        const v8::Local<v8::Context> context = isolate.environment->context();
        setProperty(context, context->Global(), "main", modules->mainNamespace());
      });
      return isolate.evalHere(source);
    });
  }
  std::string await(std::string_view source) {
    eval("0");
    return isolate.await(source);
  }

  Watchdog watchdog{Engine::get().log};
  Shard shard;
  Isolate isolate{shard, watchdog};
  std::vector<File> files;
  std::unique_ptr<Modules> modules;
};

TEST_F(ModulesTest, MainModulesNamespace) {
  EXPECT_EQ(start({{"index.js", "export default { a: 1 }; export class Room {}; export const x = typeof require;"}}),
            "ok");
  EXPECT_EQ(eval("[main.default.a, main.Room.name, main.x, Object.keys(main)].join()"),
            "1,Room,undefined,Room,default,x");
}

TEST_F(ModulesTest, SeveralFilesWithEveryWayToNameThem) {
  EXPECT_EQ(start({{"index.js",
                    "import { a } from './lib/a.js'; import b from 'lib/b.js'; import { c } from '/c.js';"
                    "export default [a, b, c].join()"},
                   {"./lib/a.js", "import b from './b.js'; import { c } from '../c.js'; export const a = 'a' + b + c"},
                   {"lib/b.js", "import { d } from 'd.js'; export default 'b' + d"},
                   {"lib/d.js", "export const d = 'd'"},
                   {"c.js", "export const c = 'c'"}}),
            "ok");
  EXPECT_EQ(eval("main.default"), "abdc,bd,c");
}

TEST_F(ModulesTest, Cycles) {
  EXPECT_EQ(start({{"index.js", "import { odd } from './odd.js'; export default odd(7)"},
                   {"odd.js", "import { even } from './even.js'; export const odd = (n) => n ? even(n - 1) : false"},
                   {"even.js", "import { odd } from './odd.js'; export const even = (n) => n ? odd(n - 1) : true"}}),
            "ok");
  EXPECT_EQ(eval("main.default"), "true");
}

TEST_F(ModulesTest, TextDataJsonAndWasm) {
  EXPECT_EQ(
      start({{"index.js",
              "import t from './a.txt'; import d from './b.bin'; import j from './c.json'; import w from './d.wasm';"
              "export default [t, d.byteLength, j.x[1], w instanceof WebAssembly.Module,"
              " new WebAssembly.Instance(w) instanceof WebAssembly.Instance].join()"},
             {"a.txt", "h\xc3\xa9", ModuleKind::kText},
             {"b.bin", std::string("\0\1\2", 3), ModuleKind::kData},
             {"c.json", R"({"x": [1, 2]})", ModuleKind::kJson},
             {"d.wasm", std::string("\0asm\1\0\0\0", 8), ModuleKind::kWasm}}),
      "ok");
  EXPECT_EQ(eval("main.default"), "h\u00e9,3,2,true,true");
  shard.run([&] {
    isolate.environment->turn([&] {
      const v8::Local<v8::Context> context = isolate.environment->context();
      EXPECT_TRUE(modules->value(context, "b.bin").ToLocalChecked()->IsArrayBuffer());
      v8::TryCatch caught(isolate.environment->isolate());
      EXPECT_TRUE(modules->value(context, "none").IsEmpty());
      EXPECT_TRUE(caught.HasCaught());
    });
  });
}

TEST_F(ModulesTest, BuiltIns) {
  EXPECT_EQ(start({{"index.js",
                    "import d, { named } from 'cloudflare:test'; import * as all from 'cloudflare:test';"
                    "export default [d, named, Object.keys(all)].join()"}}),
            "ok");
  EXPECT_EQ(eval("main.default"), "built in,5,default,named");
}

TEST_F(ModulesTest, MissingModuleNamesItsImporter) {
  EXPECT_THAT(start({{"index.js", "import './lib/a.js'"}, {"lib/a.js", "import './nowhere.js'"}}),
              StartsWith("Uncaught Error: No such module \"lib/nowhere.js\".\n  imported from \"lib/a.js\""));
}

TEST_F(ModulesTest, MissingBuiltInAndMissingMain) {
  EXPECT_THAT(start({{"index.js", "import 'cloudflare:none'"}}),
              StartsWith("Uncaught Error: No such module \"cloudflare:none\".\n  imported from \"index.js\""));
}

TEST_F(ModulesTest, MainModuleMustBeThere) {
  EXPECT_EQ(start({{"index.js", ""}}, "main.js"), "The main module \"main.js\" is not among the uploaded ES modules.");
}

TEST_F(ModulesTest, MissingExport) {
  EXPECT_THAT(start({{"index.js", "import { b } from './a.js'"}, {"a.js", "export const a = 1"}}),
              StartsWith("Uncaught SyntaxError: The requested module './a.js' does not provide an export named 'b'\n  "
                         "at index.js:1:"));
}

TEST_F(ModulesTest, SyntaxErrorSaysWhere) {
  EXPECT_EQ(start({{"index.js", "import './bad.js'"}, {"bad.js", "let ok;\n  ok = = 1;"}}),
            "Uncaught SyntaxError: Unexpected token '='\n  at bad.js:2:8");
}

TEST_F(ModulesTest, ThrowingWhileStarting) {
  EXPECT_EQ(start({{"index.js", "function f() {\n  throw new TypeError('no')\n}\nf()"}}),
            "Uncaught TypeError: no\n  at f (index.js:2:9)\n  at index.js:4:1");
  EXPECT_EQ(isolate.eval("1"), "1");
  EXPECT_TRUE(shard.run([&] { return isolate.uncaught; }).empty()) << "reported by start() alone";
  shard.run([&] { isolate.environment->turn([&] { EXPECT_TRUE(modules->failure()->IsNativeError()); }); });
}

TEST_F(ModulesTest, ThrowingNoError) { EXPECT_EQ(start({{"index.js", "throw 'text'"}}), "Uncaught text"); }

TEST_F(ModulesTest, EndlessLoopWhileStarting) {
  Isolate other(shard, watchdog, {.name = "loops", .cpuPerTurn = 60ms});
  std::swap(isolate.environment, other.environment);
  EXPECT_EQ(start({{"index.js", "for (;;) {}"}}), "Script startup exceeded CPU time limit.");
  shard.run([&] { modules.reset(); });
  std::swap(isolate.environment, other.environment);
  EXPECT_EQ(isolate.eval("'alive'"), "alive");
}

TEST_F(ModulesTest, TopLevelAwait) {
  EXPECT_EQ(start({{"index.js", "import { x } from './x.js'; export default x + await Promise.resolve('!')"},
                   {"x.js", "export const x = await new Promise((r) => setTimeout(r, 20, 'late'))"}}),
            "ok");
  EXPECT_EQ(eval("main.default"), "late!");
}

TEST_F(ModulesTest, TopLevelAwaitRejects) {
  EXPECT_THAT(start({{"index.js", "await new Promise((_, no) => setTimeout(() => no(new Error('late no')), 10))"}}),
              StartsWith("Uncaught Error: late no"));
  EXPECT_TRUE(shard.run([&] { return isolate.uncaught; }).empty());
}

TEST_F(ModulesTest, TopLevelAwaitHasALimit) {
  EXPECT_EQ(start({{"index.js", "await new Promise(() => {})"}}, "index.js", 50ms),
            "Uncaught Error: Top-level await in module is unsettled after 50 ms.");
}

TEST_F(ModulesTest, DynamicImport) {
  EXPECT_EQ(
      start(
          {{"index.js",
            "const early = import('./lazy.js'); export default () => early.then((m) => m.x);"
            "export const again = (n) => import(n); export const self = await import('./index2.js').then((m) => m.y)"},
           {"lazy.js", "export const x = await 5"},
           {"index2.js", "export const y = 6"},
           {"bad.js", "syntax error"},
           {"throws.js", "throw new Error('thrown')"}}),
      "ok");
  EXPECT_EQ(await("main.default()"), "5");
  EXPECT_EQ(await("main.self"), "6");
  EXPECT_EQ(await("main.again('./lazy.js').then((m) => m.x)"), "5");
  EXPECT_EQ(await("main.again('cloudflare:test').then((m) => m.named)"), "5");
  EXPECT_EQ(await("main.again('./none.js')"),
            "Uncaught Error: No such module \"none.js\".\n  imported from \"index.js\"");
  EXPECT_THAT(await("main.again('./bad.js')"), StartsWith("Uncaught SyntaxError"));
  EXPECT_EQ(await("main.again('./throws.js')"), "Uncaught Error: thrown");
  EXPECT_EQ(await("main.again('node:fs')"),
            "Uncaught Error: No such module \"node:fs\".\n  imported from \"index.js\"");
}

TEST_F(ModulesTest, DynamicImportOfTheModuleThatIsEvaluating) {
  EXPECT_EQ(start({{"index.js", "export const x = 1; export const me = import('./index.js')"}}), "ok");
  EXPECT_EQ(await("main.me.then((m) => m === main && m.x)"), "1");
}

TEST_F(ModulesTest, ImportMeta) {
  EXPECT_EQ(start({{"index.js",
                    "import other from './lib/a.js'; export default [import.meta.url, import.meta.main, other].join()"},
                   {"lib/a.js", "export default import.meta.url + import.meta.main"}}),
            "ok");
  EXPECT_EQ(eval("main.default"), "file:///bundle/index.js,true,file:///bundle/lib/a.jsfalse");
}

}  // namespace
}  // namespace hf::js
