/** Facts about this host that decide how a tree can be made; gathered once, then only read. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram } from '../find-program.ts'
import type { Architecture } from '../recipe.ts'
import { readAptSources, type AptSource } from './archives/apt-sources.ts'

export interface BootstrapHost {
  readonly architecture: Architecture | undefined
  /** Foreign architectures whose programs the kernel hands to an interpreter (binfmt_misc). */
  readonly emulated: readonly Architecture[]
  /** `ID=` of the host's os-release. */
  readonly osId: string | undefined
  /** Absolute path of a program, or undefined when it is not installed. */
  readonly findProgram: (name: string) => string | undefined
  readonly hasFile: (path: string) => boolean
  readonly aptSources: readonly AptSource[]
}

/** Looks at this host. Reads files only. */
export function inspectHost(): BootstrapHost {
  return {
    architecture: nodeArchitectures[process.arch],
    emulated: readEmulated('/proc/sys/fs/binfmt_misc'),
    osId: /^ID=["']?([^"'\n]+)/m.exec(readText('/etc/os-release') ?? '')?.[1],
    findProgram,
    hasFile: existsSync,
    aptSources: readAptSources('/etc/apt'),
  }
}

const nodeArchitectures: Readonly<Record<string, Architecture>> = {
  x64: 'x86-64',
  ia32: 'x86',
  arm64: 'arm64',
  arm: 'arm',
  ppc64: 'ppc64-le',
  s390x: 's390x',
  riscv64: 'riscv64',
  loong64: 'loongarch64',
}

/** What a kernel runs by itself beside its own architecture. */
const nativeToo: Readonly<Partial<Record<Architecture, readonly Architecture[]>>> = {
  'x86-64': ['x86'],
  arm64: ['arm'],
}

const qemuNames: Readonly<Record<string, Architecture>> = {
  i386: 'x86',
  x86_64: 'x86-64',
  arm: 'arm',
  aarch64: 'arm64',
  ppc64le: 'ppc64-le',
  s390x: 's390x',
  riscv64: 'riscv64',
  loongarch64: 'loongarch64',
}

/** Whether programs of `architecture` run on this host, and by what. */
export function canExecute(
  host: BootstrapHost,
  architecture: Architecture,
): 'native' | 'emulated' | 'no' {
  if (host.architecture === undefined) return 'no'
  if (architecture === host.architecture) return 'native'
  if (nativeToo[host.architecture]?.includes(architecture)) return 'native'
  return host.emulated.includes(architecture) ? 'emulated' : 'no'
}

/**
 * Entries of binfmt_misc that are enabled and fixed (flag F: the interpreter was opened when it was
 * registered, so it is found inside a tree that does not contain it).
 *
 * @see kernel Documentation/admin-guide/binfmt-misc.rst
 */
function readEmulated(directory: string): Architecture[] {
  let names: string[]
  try {
    names = readdirSync(directory)
  } catch {
    return []
  }
  const found = new Set<Architecture>()
  for (const name of names) {
    const architecture = qemuNames[name.replace(/^qemu-/, '')]
    const text = name.startsWith('qemu-') ? readText(join(directory, name)) : undefined
    if (architecture !== undefined && text?.startsWith('enabled') && /^flags: \S*F/m.test(text))
      found.add(architecture)
  }
  return [...found]
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
