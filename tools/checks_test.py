#!/usr/bin/env python3
"""Tests of check-includes and check-banned: each finds its mistake, and only that."""
import importlib.machinery
import importlib.util
import pathlib
import re
import sys
import tomllib
import unittest

TOOLS = pathlib.Path(__file__).resolve().parent


def load(name: str):
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(TOOLS / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


sys.dont_write_bytecode = True  # no __pycache__ beside the tools
includes = load("check-includes")
banned = load("check-banned")
BANS = tomllib.loads((TOOLS / "banned-calls.toml").read_text())["ban"]

ROOMS = {
    "base": includes.Room(0, frozenset(), False, frozenset()),
    "net": includes.Room(1, frozenset({"base"}), False, frozenset()),
    "ledger": includes.Room(1, frozenset({"base"}), False, frozenset()),
    "js": includes.Room(2, frozenset({"base"}), True, frozenset({"pure.cc"})),
    "web": includes.Room(3, frozenset({"base", "js"}), True, frozenset()),
}
FILES = {"src/" + name for name in ROOMS} | {
    "src/net/http.h", "src/net/util.h", "src/js/a.ts", "src/web/b.ts", "src/base/bytes.h",
}  # fmt: skip


def cpp(path: str, text: str) -> list[str]:
    return includes.check_cpp(path, text, ROOMS, FILES.__contains__)


def ts(path: str, text: str) -> list[str]:
    return includes.check_ts(path, text, ROOMS, FILES.__contains__)


def ban(path: str, text: str) -> list[str]:
    return [re.sub(r"^\S+ (\w+):.*", r"\1", line, flags=re.S) for line in banned.check(path, text, BANS)]


class Includes(unittest.TestCase):
    def test_a_room_below_may_be_included(self):
        self.assertEqual(cpp("src/net/http.cc", '#include "net/http.h"\n\n#include "base/bytes.h"\n'), [])
        self.assertEqual(cpp("src/web/x.cc", "#include <v8.h>\n#include <uv.h>\n"), [])

    def test_upward(self):
        self.assertIn("js (floor 2) is not below net", cpp("src/net/x.cc", '#include "js/environment.h"\n')[0])

    def test_same_floor(self):
        self.assertIn("ledger (floor 1) is not below net", cpp("src/net/x.cc", '#include "ledger/ledger.h"\n')[0])

    def test_below_but_not_declared(self):
        self.assertIn("not among the DEPS", cpp("src/web/x.cc", '#include "net/http.h"\n')[0])

    def test_dots_and_bare_names(self):
        self.assertIn("never with ../", cpp("src/net/x.cc", '#include "../base/bytes.h"\n')[0])
        self.assertIn('"net/util.h"', cpp("src/net/x.cc", '#include "util.h"\n')[0])

    def test_own_header_comes_first(self):
        self.assertIn("own header", cpp("src/net/http.cc", '#include <vector>\n#include "net/http.h"\n')[0])
        self.assertEqual(cpp("src/net/http.cc", '#include "net/http_impl.h"\n'), [])
        self.assertEqual(cpp("src/net/http_test.cc", '#include <vector>\n#include "net/http.h"\n'), [])

    def test_costly_headers_stay_in_their_corner(self):
        self.assertIn("not a V8 room", cpp("src/net/x.cc", "#include <v8-isolate.h>\n")[0])
        self.assertIn("PURE", cpp("src/js/pure.cc", "#include <node.h>\n")[0])
        self.assertIn("Beast", cpp("src/net/x.h", "#pragma once\n#include <boost/beast/http.hpp>\n")[0])
        self.assertEqual(cpp("src/net/x.cc", "#include <boost/beast/http.hpp>\n"), [])

    def test_header_guard(self):
        self.assertIn("#pragma once", cpp("src/net/x.h", "int x();\n")[0])

    def test_typescript(self):
        self.assertEqual(ts("src/web/b.ts", "import { a } from '../js/a.ts';\nimport fs from 'node:fs';\n"), [])
        self.assertIn("web (floor 3) is not below js", ts("src/js/a.ts", "import type { B } from '../web/b.ts';")[0])
        self.assertIn("web (floor 3) is not below js", ts("src/js/a.ts", "export * from '../web/b.ts';")[0])
        self.assertIn("web (floor 3) is not below js", ts("src/js/a.ts", "await import('../web/b.ts');")[0])
        self.assertIn("does not exist", ts("src/web/b.ts", "import { a } from '../js/a';")[0])
        self.assertIn("out of the rooms", ts("src/web/b.ts", "import x from '../../test/x.ts';")[0])

    def test_floors_of_cmake(self):
        wrong = dict(ROOMS, net=includes.Room(1, frozenset({"web", "nowhere"}), False, frozenset()))
        self.assertEqual(len(includes.check_deps(wrong)), 2)
        self.assertEqual(includes.check_deps(ROOMS), [])


class Banned(unittest.TestCase):
    def test_each_rule_finds_its_call(self):
        for name, code in {
            "clock": "auto now = std::chrono::steady_clock::now();",
            "random": "std::random_device device;",
            "sleep": "std::this_thread::sleep_for(1ms);",
            "files": "std::ofstream out(path);",
            "files ": "const int fd = ::open(path);",
            "files  ": "ftruncate(fd, 0);",
            "threads": "thread.detach();",
            "stdout": 'printf("x");',
            "exit": "std::abort();",
            "environment": 'std::getenv("HOME");',
            "throw": "throw std::runtime_error(why);",
            "memory": "delete pointer;",
        }.items():
            with self.subTest(name):
                self.assertEqual(ban("src/net/x.cc", code), [name.strip()])
        self.assertEqual({rule["name"] for rule in BANS}, {
            "clock", "random", "sleep", "files", "threads", "stdout", "exit", "environment", "throw", "memory",
        })  # fmt: skip

    def test_what_only_looks_like_it(self):
        for code in [
            "file->read(bytes);", "disk.open(path);", "Connection::open(path);", "void write(Bytes bytes);", "void sleep();", "object.abort(error);", "void abort(Error why);",
            "T(const T&) = delete;", "// std::abort() would be wrong", 'log("std::abort()");', "steady_clock::time_point x;",
            "/* printf(1) */ int x;", 'auto js = R"(throw new Error(1))";',
        ]:  # fmt: skip
            with self.subTest(code):
                self.assertEqual(ban("src/net/x.cc", code), [])

    def test_places_that_may(self):
        self.assertEqual(ban("src/base/clock.cc", "auto now = std::chrono::steady_clock::now();"), [])
        self.assertEqual(ban("src/net/x_test.cc", "std::ofstream out(path);"), [])
        self.assertEqual(ban("src/net/x_test.cc", "std::this_thread::sleep_for(1ms);"), ["sleep"])

    def test_a_line_let_off_needs_its_reason(self):
        self.assertEqual(ban("src/net/x.cc", "std::abort();  // hf-allow(exit): the log is gone"), [])
        self.assertEqual(ban("src/net/x.cc", "// hf-allow(exit): the log is gone\nstd::abort();"), [])
        self.assertEqual(ban("src/net/x.cc", "std::abort();  // hf-allow(exit):"), ["exit"])
        self.assertEqual(ban("src/net/x.cc", "std::abort();  // hf-allow(clock): no"), ["exit"])


if __name__ == "__main__":
    unittest.main()
