/** A tree is published only when it is what the plan promised, and could run. */
import { readSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import { readOsRelease } from '../images/os-release.ts'
import { mountsBelow } from '../images/remove-tree.ts'
import type { Architecture } from '../recipe.ts'
import { familyOf } from './families.ts'
import { bareName } from './families/dpkg-status.ts'
import type { InstalledPackage } from './families/family.ts'
import type { TreePlan } from './plan.ts'
import type { TreeInMaking } from './run-in-tree.ts'
import type { TreeFiles } from './tree-files.ts'

/**
 * @returns what is installed
 * @throws NspawnError `BOOTSTRAP_VERIFY`, saying what was expected and what was found
 */
export async function verifyTree(
  tree: TreeInMaking,
  files: TreeFiles,
  plan: TreePlan,
): Promise<readonly InstalledPackage[]> {
  checkOsRelease(files, plan)
  checkShell(files, plan.architecture)
  if (plan.purpose === 'boot') checkInit(files)
  const mounts = mountsBelow(files.root)
  if (mounts.length > 0) throw wrong(`something is mounted in the new tree: ${mounts.join(', ')}`)
  const packages = await familyOf(plan).installedPackages(tree, files)
  if (packages === undefined || packages.length === 0)
    throw wrong('the package database of the new tree is empty')
  checkExcluded(packages, plan)
  return packages
}

function checkOsRelease(files: TreeFiles, plan: TreePlan): void {
  const found = readOsRelease(files.root)
  if (found === undefined)
    throw wrong('the new tree has no os-release file, so it is no operating system')
  const { id, codename, version, versionMatch, buildId } = plan.osRelease
  const expectations = [
    ['ID', id],
    ['VERSION_CODENAME', codename],
    ['VERSION_ID', version],
    ['BUILD_ID', buildId],
  ] as const
  for (const [field, expected] of expectations) {
    if (expected === undefined || found[field] === expected) continue
    if (
      field === 'VERSION_ID' &&
      versionMatch === 'major' &&
      found[field]?.split('.')[0] === expected
    )
      continue
    throw wrong(
      `the os-release file of the new tree says ${field}=${found[field] ?? ''} where ${expected} was expected`,
    )
  }
}

/** e_machine of the ELF header, <elf.h>; ppc64 tells its byte order elsewhere. */
const elfMachines: Readonly<Record<Architecture, number>> = {
  x86: 3,
  'x86-64': 62,
  arm: 40,
  arm64: 183,
  'ppc64-le': 21,
  s390x: 22,
  riscv64: 243,
  loongarch64: 258,
}

function checkShell(files: TreeFiles, architecture: Architecture): void {
  const header = Buffer.alloc(20)
  using shell = files.open('/bin/sh')
  if (shell === undefined) throw wrong('the new tree has no /bin/sh')
  readSync(shell.fd, header, 0, header.length, 0)
  if (header.toString('latin1', 0, 4) !== '\u007FELF')
    throw wrong('/bin/sh of the new tree is no program')
  // EI_DATA: 1 is little, 2 is big endian.
  const machine = header[5] === 2 ? header.readUInt16BE(18) : header.readUInt16LE(18)
  if (machine === elfMachines[architecture]) return
  throw wrong(`/bin/sh of the new tree is for ELF machine ${machine}, not for ${architecture}`)
}

function checkInit(files: TreeFiles): void {
  const found = ['/usr/lib/systemd/systemd', '/sbin/init'].some(
    (path) => files.stat(path)?.isFile() === true,
  )
  if (!found) throw wrong('the new tree has no init, so it cannot boot')
}

/** debootstrap takes what is to be left out all the same where another package needs it. */
function checkExcluded(packages: readonly InstalledPackage[], plan: TreePlan): void {
  const excluded = new Set(plan.exclude.map(bareName))
  const there = packages.filter(({ name }) => excluded.has(name)).map(({ name }) => name)
  if (there.length === 0) return
  throw wrong(
    `the new tree has packages that were to be left out, since others need them: ${there.join(', ')}`,
    'leave those out too, or do without --exclude',
  )
}

function wrong(message: string, hint?: string): NspawnError {
  return new NspawnError(message, { code: 'BOOTSTRAP_VERIFY', hint })
}
