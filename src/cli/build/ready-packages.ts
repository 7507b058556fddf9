/** `--add-package` and `--add-repository`. */
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { ReadyPackages } from '../../build/driver.ts'
import { usageError } from '../../errors.ts'

export interface ReadyPackageOptions {
  readonly addPackage?: readonly string[]
  readonly addRepository?: readonly string[]
}

/** @throws NspawnError `USAGE` where there is nothing of the kind */
export function readyPackages({
  addPackage = [],
  addRepository = [],
}: ReadyPackageOptions): ReadyPackages {
  const existing = (given: string, kind: 'file' | 'directory') => {
    const path = resolve(given)
    const facts = statSync(path, { throwIfNoEntry: false })
    if (kind === 'file' ? facts?.isFile() === true : facts?.isDirectory() === true) return path
    throw usageError(`there is no ${kind} ${given}`)
  }
  return {
    files: addPackage.map((path) => existing(path, 'file')),
    directories: addRepository.map((path) => existing(path, 'directory')),
  }
}
