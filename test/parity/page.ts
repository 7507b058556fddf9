/** docs/parity.md, written from the table of cases and the list of differences. */
import { row } from '../fixtures/table.ts'
import { casesByOption } from './cases/all.ts'
import { differences } from './differences.ts'
import { notCompared } from './not-compared.ts'

const what = {
  facts: 'everything the probe sees',
  outcome: 'exit status and output',
  refusal: 'refusal and exit status',
} as const

/** The whole page; a unit test holds the committed one to it. */
export function parityPage(): string {
  const rows = [...casesByOption()].flatMap(([option, cases]) =>
    cases.map(({ title, compare }) => row(`\`${option}\``, title, what[compare])),
  )
  return `# Parity with systemd-nspawn

Each row is a test: the same command line goes through the real \`systemd-nspawn\` of Debian 12 (252)
and through \`tsnspawn\`, on the same tree, one after the other. A probe inside tells about mounts,
environment, /dev, ids, capabilities, limits, the verdict on every system call, namespaces,
descriptors, the terminal, /run/host, control groups and the network; what the run changed in the tree
is compared too, and nothing may be left over on the host. \`sudo npx vitest run --config
test/vitest.config.ts --project parity\` runs them; with \`TSNSPAWN_PARITY=original\` both sides are the
original, which proves the test.

This page is written by \`npm run docs\`; do not edit it.

## Where we differ, and why

${[row('what', 'why'), row('---', '---'), ...differences.map(({ title, reason }) => row(title, reason))].join('\n')}

## Options without a row, and why

Links are compared in test/integration/runtime/network.test.ts, in network namespaces of their own; disk images need udev for the original.

${[row('option', 'why'), row('---', '---'), ...[...notCompared].map(([name, why]) => row(`\`--${name}\``, why))].join('\n')}

## What is compared

${[row('option', 'case', 'compared'), row('---', '---', '---'), ...rows].join('\n')}
`
}
