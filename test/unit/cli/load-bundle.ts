/** `load-bundle BUNDLE CACHE` prints the bundle's answer. */
import { loadBundle } from '../../../src/cli/start.ts'

const [file, cache] = process.argv.slice(2) as [string, string]
process.stdout.write((loadBundle(file, cache) as { answer: () => string }).answer())
