/** The version of this package, read when somebody asks. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { packageDirectory } from './paths.ts'

export function ownVersion(): string {
  const top = packageDirectory(dirname(import.meta.filename))
  return (JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')) as { version: string })
    .version
}
