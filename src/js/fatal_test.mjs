// What ends the process, and with which code (src/js/exit_codes.h). JS_TEST: the addon with the GoogleTest cases.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import test from 'node:test';

const host = path.resolve(import.meta.dirname, '../../cmake/gtest_host.cjs');
const run = (name) =>
  spawnSync(
    process.execPath,
    [host, process.env.JS_TEST, '--gtest_also_run_disabled_tests', `--gtest_filter=EnvironmentTest.DISABLED_${name}`],
    { encoding: 'utf8', timeout: 60_000 },
  );

test('a turn that ignores its termination ends the process with 75 and says so', () => {
  const result = run('TurnThatIgnoresTermination');
  assert.equal(result.status, 75, result.stdout + result.stderr);
  assert.match(result.stderr, /terminated but does not stop.*isolate=deaf/);
});

test('a heap hog that V8 cannot stop is terminated in the end, or ends the process with 75 or 76', () => {
  const result = run('HeapHogThatIgnoresTermination');
  assert.ok([0, 75, 76].includes(result.status), `${result.status} ${result.signal} ${result.stdout}${result.stderr}`);
});
