/** Makes one image, in a process that a test can kill: `DIRECTORY NAME KIND EXISTING MARK`. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CleanupStack } from '../../../src/cleanup.ts'
import { stageImage, type NewImage } from '../../../src/images/new-image.ts'
import { silent } from '../../../src/log.ts'

const [directory, name, kind, existing, mark] = process.argv.slice(2) as [
  string,
  string,
  NewImage['kind'],
  NewImage['existing'],
  string,
]
const cleanup = new CleanupStack()
const stage = stageImage({ directory, name, kind, existing, access: 'read-only' }, cleanup, silent)
if (kind === 'disk') writeFileSync(stage.path, mark)
else {
  mkdirSync(join(stage.path, 'usr/share'), { recursive: true })
  writeFileSync(join(stage.path, 'usr/share/mark'), mark)
}
for (const suffix of ['.nspawn', '.roothash'] as const) writeFileSync(stage.sideFile(suffix), mark)
await stage.publish()
await cleanup.releaseAll()
