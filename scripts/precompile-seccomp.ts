/**
 * Writes `src/plan/seccomp/precompiled.ts`: the filters of containers with the default capabilities and
 * no filter of their own, so that a plain start need not compile them. Run it after every change to
 * `src/plan/seccomp/` (a unit test notices when it was forgotten):
 *
 *     node scripts/run.mjs scripts/precompile-seccomp.ts
 */
import { writeFileSync } from 'node:fs'
import { capabilityMask } from '../src/plan/capabilities.ts'
import { defaultCapabilities } from '../src/settings/values/capability.ts'
import type { Abi } from '../src/plan/seccomp/abi.ts'
import { commonKey, compileFilter } from '../src/plan/seccomp/assemble.ts'

const WIDTH = 96
const entries: string[] = []
for (const architecture of ['x86-64', 'arm64'] satisfies Abi[]) {
  for (const suppressSync of [false, true]) {
    const request = {
      architecture,
      capabilities: capabilityMask(defaultCapabilities()),
      filter: { allow: [], deny: [] },
      suppressSync,
    }
    const base64 = compileFilter(request)
    const lines: string[] = []
    for (let at = 0; at < base64.length; at += WIDTH) lines.push(base64.slice(at, at + WIDTH))
    const key = commonKey({ ...request, mode: 'on' })
    entries.push(`  '${key}':\n${lines.map((line) => `    '${line}'`).join(' +\n')},\n`)
  }
}
const text = `/**
 * Filters of the usual containers, ready for the kernel, by \`commonKey()\`. Written by
 * scripts/precompile-seccomp.ts.
 */
export const PRECOMPILED: Readonly<Record<string, string>> = {
${entries.join('')}}
`
writeFileSync('src/plan/seccomp/precompiled.ts', text)
