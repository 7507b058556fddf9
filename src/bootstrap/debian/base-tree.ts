/** What must be in a tree before the first package is unpacked into it, and what it has to have besides. */
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { TreeFiles } from '../tree-files.ts'

/** dpkg finds its database rather than making it, dpkg(1) «FILES». */
const dpkgDirectories = ['alternatives', 'info', 'parts', 'triggers', 'updates']

export function makeBaseTree(files: TreeFiles, packageArchitecture: string): void {
  for (const name of dpkgDirectories)
    mkdirSync(join(files.root, 'var/lib/dpkg', name), { recursive: true, mode: 0o755 })
  files.write('/var/lib/dpkg/status', '')
  files.write('/var/lib/dpkg/arch', `${packageArchitecture}\n`)
  files.write('/etc/fstab', '# UNCONFIGURED FSTAB FOR BASE SYSTEM\n')
}

/** Directories for the libraries of other word sizes, by architecture. */
const libraries: Readonly<Record<string, readonly string[]>> = {
  amd64: ['lib32', 'lib64', 'libx32'],
  i386: ['lib64', 'libx32'],
  ppc64el: ['lib64'],
  s390x: ['lib32'],
  loong64: ['lib64'],
}

function mergedNames(packageArchitecture: string): readonly string[] {
  return ['bin', 'sbin', 'lib', ...(libraries[packageArchitecture] ?? [])]
}

/**
 * Makes links of `/bin`, `/lib` and the like, into `/usr`: for a release whose packages want it so
 * (UsrMerge), but still have files in the old places.
 */
export function mergeUsr(root: string, packageArchitecture: string): void {
  for (const name of mergedNames(packageArchitecture)) {
    mkdirSync(join(root, 'usr', name), { recursive: true, mode: 0o755 })
    symlinkSync(`usr/${name}`, join(root, name))
  }
}

/**
 * Takes away the links of `mergeUsr()` that no package has put anything into, and what they lead to. The
 * packages have had the tree to themselves meanwhile.
 */
export function dropUnusedLinks(files: TreeFiles, packageArchitecture: string): void {
  for (const name of libraries[packageArchitecture] ?? []) {
    if (files.stat(`/${name}`, 'keep')?.isSymbolicLink() !== true) continue
    if (files.list(`/usr/${name}`).length > 0) continue
    files.remove(`/usr/${name}`)
    files.remove(`/${name}`)
  }
}

/** apt's account of packages that nobody asked for, so that `autoremove` knows them. */
export function writeExtendedStates(
  files: TreeFiles,
  automatic: ReadonlySet<string>,
  packageArchitecture: string,
): void {
  if (automatic.size === 0) return
  const paragraphs = [...automatic]
    .toSorted()
    .map((name) =>
      [`Package: ${name}`, `Architecture: ${packageArchitecture}`, 'Auto-Installed: 1', ''].join(
        '\n',
      ),
    )
  files.write('/var/lib/apt/extended_states', `${paragraphs.join('\n')}\n`)
}
