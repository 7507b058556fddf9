/** Fills a directory from a template, in a process that a test can kill: `TEMPLATE TARGET`. */
import { populateFromTemplate } from '../../../src/images/template.ts'

const [template, target] = process.argv.slice(2) as [string, string]
await populateFromTemplate({ template, target, access: 'read-write' })
