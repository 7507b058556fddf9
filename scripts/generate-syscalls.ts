/**
 * Writes `src/plan/seccomp/tables/*.ts` from the kernel's own user-space headers.
 *
 * Usage: node scripts/run.mjs scripts/generate-syscalls.ts DIRECTORY, where DIRECTORY is Debian's architecture-independent
 * package linux-libc-dev (Debian 13 and newer: one package with the headers of every architecture),
 * unpacked with `dpkg-deb -x`. Take the newest one there is: a call that a table does not know is
 * answered with ENOSYS in every container.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

interface Abi {
  /** File name of the table; systemd's name of the architecture. */
  readonly name: string
  readonly header: string
  /** Calls that the header spells differently or keeps outside its list. */
  readonly extra?: Readonly<Record<string, number>>
}

/** `__ARM_NR_…` in arch/arm/include/uapi/asm/unistd.h: private calls counted from 0xf0000. */
const ARM_PRIVATE = 0xf0000

const ABIS: readonly Abi[] = [
  { name: 'x86-64', header: 'x86/asm/unistd_64.h' },
  { name: 'x32', header: 'x86/asm/unistd_x32.h' },
  { name: 'x86', header: 'x86/asm/unistd_32.h' },
  { name: 'arm64', header: 'arm64/asm/unistd_64.h' },
  {
    name: 'arm',
    header: 'arm/asm/unistd-eabi.h',
    extra: { cacheflush: ARM_PRIVATE + 2, set_tls: ARM_PRIVATE + 5 },
  },
]

/** The same call under the name that the groups use (arch/arm/include/uapi/asm/unistd.h). */
const RENAMED: Readonly<Record<string, string>> = { arm_sync_file_range: 'sync_file_range2' }

function readHeader(file: string): Map<number, string> {
  const calls = new Map<number, string>()
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const match = /^#define __NR_(\w+)\s+(?:\(__\w+ \+ (\d+)\)|(\d+))$/.exec(line)
    if (match === null) continue
    const name = match[1] as string
    calls.set(Number(match[2] ?? match[3]), RENAMED[name] ?? name)
  }
  return calls
}

/** `0 read write 24 sched_yield`: a number says where the names after it count from. */
function encode(calls: Map<number, string>): string {
  const words: string[] = []
  let next = -1
  for (const [number, name] of [...calls].toSorted((a, b) => a[0] - b[0])) {
    if (number !== next) words.push(String(number))
    words.push(name)
    next = number + 1
  }
  const lines: string[] = []
  let line = ''
  for (const word of words) {
    if (line.length + 1 + word.length > 98) {
      lines.push(line)
      line = ''
    }
    line += line === '' ? word : ` ${word}`
  }
  return [...lines, line].join('\n')
}

function kernelVersion(directory: string): string {
  const text = readFileSync(join(directory, 'usr/include/linux/version.h'), 'utf8')
  const code = Number(/LINUX_VERSION_CODE (\d+)/.exec(text)?.[1])
  return `${code >> 16}.${(code >> 8) & 255}`
}

const directory = process.argv[2]
if (directory === undefined) throw new Error('usage: generate-syscalls.ts DIRECTORY')
const version = kernelVersion(directory)
for (const { name, header, extra } of ABIS) {
  const calls = readHeader(join(directory, 'usr/lib/linux/uapi', header))
  for (const [call, number] of Object.entries(extra ?? {})) calls.set(number, call)
  if (calls.size < 300) throw new Error(`${header}: only ${calls.size} calls found`)
  const text = `/** System calls of ${name}, from the headers of Linux ${version}. Written by scripts/generate-syscalls.ts. */
export default \`${encode(calls)}\`
`
  writeFileSync(`src/plan/seccomp/tables/${name}.ts`, text)
}
