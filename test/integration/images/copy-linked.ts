/** Copies a tree in a process with few descriptors: `SOURCE TARGET`. */
import { copyTree } from '../../../src/images/copy-tree.ts'

const [source, target] = process.argv.slice(2) as [string, string]
await copyTree(source, target)
