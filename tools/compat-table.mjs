// The table of compatibility flags in docs/compatibility.md.
import { readFile, writeFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { accepted, honoured } from '../src/web/compat_status.ts';
import { allFlags } from '../src/web/compat_table.ts';

const kDocument = new URL('../docs/compatibility.md', import.meta.url);
const kBegin = '<!-- flags: made by tools/compat-table -->\n';
const kEnd = '<!-- end of flags -->';

/** Problems with the two lists, in words. */
export function problems() {
  const found = [];
  const known = new Set(allFlags.map((flag) => flag.enable));
  for (const name of [...Object.keys(honoured), ...Object.keys(accepted)]) if (!known.has(name)) found.push(`${name} is no flag`);
  for (const { enable, experimental } of allFlags) {
    const places = [enable in honoured, enable in accepted, experimental].filter(Boolean).length;
    if (places !== 1) found.push(`${enable} is in ${places} of: honoured, accepted, experimental`);
  }
  return found;
}

const when = ({ date, impliedBy, impliedFrom }) =>
  [date === '-' ? '' : date === '*' ? 'every date' : date, impliedBy.length === 0 ? '' : `${impliedFrom} with ${impliedBy.map((name) => `\`${name}\``).join(' or ')}`].filter(Boolean).join(', or ') || 'by name only';

/** The table as Markdown. */
export function table() {
  const rows = (flags, last) => flags.map((flag) => `| \`${flag.enable}\` | ${flag.disable === '-' ? '' : `\`${flag.disable}\``} | ${when(flag)} | ${last(flag)} |`);
  const some = (list) => allFlags.filter((flag) => flag.enable in list);
  return [
    `**Honoured** (${some(honoured).length}): each makes the difference that it makes at Cloudflare, by date and by name.`,
    '',
    '| flag | opposite | on from | but |',
    '|---|---|---|---|',
    ...rows(some(honoured), ({ enable }) => honoured[enable]),
    '',
    `**Accepted without effect** (${some(accepted).length}): a deploy may ask for either side; it always finds what stands here.`,
    '',
    '| flag | opposite | on from | what is found |',
    '|---|---|---|---|',
    ...rows(some(accepted), ({ enable }) => accepted[enable]),
    '',
    `**Refused**: what Cloudflare calls experimental (${allFlags.filter((flag) => flag.experimental).map((flag) => `\`${flag.enable}\``).join(', ')}), and every name that is not known.`,
    '',
  ].join('\n');
}

/** The document with the table as it should be. */
export async function document() {
  const text = await readFile(kDocument, 'utf8');
  const begin = text.indexOf(kBegin) + kBegin.length;
  const end = text.indexOf(kEnd);
  if (begin < kBegin.length || end < begin) throw new Error('docs/compatibility.md has no place for the table');
  return { now: text, wanted: text.slice(0, begin) + table() + text.slice(end) };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { now, wanted } = await document();
  const wrong = problems();
  for (const problem of wrong) console.error(problem);
  if (process.argv.includes('--check')) {
    if (now !== wanted) console.error('docs/compatibility.md is not what tools/compat-table makes of it');
    process.exitCode = now === wanted && wrong.length === 0 ? 0 : 1;
  } else {
    await writeFile(kDocument, wanted);
    process.exitCode = wrong.length === 0 ? 0 : 1;
  }
}
