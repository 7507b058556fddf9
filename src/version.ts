/** The version of this package, read when somebody asks. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { packageDirectory } from './paths.ts'

export function ownVersion(): string {
  const top = packageDirectory(dirname(fileURLToPath(import.meta.url)))
  return (JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')) as { version: string })
    .version
}
