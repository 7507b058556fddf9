/** Changes one image, in a process that a test can kill: `VERB DIRECTORY NAME ...`. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CleanupStack } from '../../../src/cleanup.ts'
import { cloneImage } from '../../../src/images/clone-image.ts'
import { requireImage } from '../../../src/images/discover.ts'
import { stageImage, type NewImage } from '../../../src/images/new-image.ts'
import { removeImage } from '../../../src/images/remove-image.ts'
import { populateFromTemplate } from '../../../src/images/template.ts'
import { renameImage } from '../../../src/images/rename-image.ts'
import { silent } from '../../../src/log.ts'

const [verb, directory, name, ...rest] = process.argv.slice(2) as [string, string, string]

/** `make DIRECTORY NAME KIND EXISTING MARK` */
async function make(
  kind: NewImage['kind'],
  existing: NewImage['existing'],
  mark: string,
  cleanup: CleanupStack,
): Promise<void> {
  const image: NewImage = { directory, name, kind, existing, access: 'read-only', sync: 'no' }
  const stage = stageImage(image, cleanup, silent)
  if (kind === 'disk') writeFileSync(stage.path, mark)
  else {
    mkdirSync(join(stage.path, 'usr/share'), { recursive: true })
    writeFileSync(join(stage.path, 'usr/share/mark'), mark)
  }
  for (const suffix of ['.nspawn', '.roothash'] as const)
    writeFileSync(stage.sideFile(suffix), mark)
  await stage.publish()
}

const cleanup = new CleanupStack()
const [first = '', second = '', third = ''] = rest as string[]
if (verb === 'make') await make(first as 'tree', second as 'keep', third, cleanup)
if (verb === 'fill') {
  const [template, target] = [join(directory, name), join(directory, first)]
  await populateFromTemplate({ template, target, access: 'read-only' })
}
const image = ['make', 'fill'].includes(verb) ? undefined : requireImage(name, directory)
if (verb === 'rename') renameImage(image!, first, silent, directory)
if (verb === 'remove') await removeImage(image!, silent)
if (verb === 'clone') {
  const clone = { directory, name: first, access: 'read-only', sync: 'no', log: silent } as const
  await cloneImage(image!, clone, cleanup)
}
await cleanup.releaseAll()
