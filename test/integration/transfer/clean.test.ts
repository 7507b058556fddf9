import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

/** The standard directories, empty, in mounts that nobody else sees. */
const script = `set -e
for place in /etc/machines /run/machines /usr/local/lib/machines /usr/lib/machines; do
  if [ -d $place ]; then mount -t tmpfs tmpfs $place; fi
done
mount -t tmpfs tmpfs /var/lib
cd /var/lib
mkdir -p machines portables/.tar-url.etag portables/mine extensions confexts
touch 'extensions/.#pull-0123.part' confexts/.raw-url.etag.raw confexts/mine.raw
"$@" clean --all >&2
find portables extensions confexts -mindepth 1 | sort`

test.skipIf(lacks('root', 'program:unshare'))(
  'clean removes pristine copies and parts of all classes, and no images but those of machines',
  async () => {
    await using dir = await temporaryDirectory()
    const env: NodeJS.ProcessEnv = {
      ...process.env,
      TSNSPAWN_RUNTIME_DIR: join(dir.path, 'run'),
    }
    delete env['TSNSPAWN_MACHINES_DIR']
    const program = tsnspawnBuild('--state-dir', join(dir.path, 'state'))
    const left = execFileSync('unshare', ['-m', 'sh', '-c', script, 'sh', ...program], {
      encoding: 'utf8',
      env,
      stdio: 'pipe',
    })
    expect(left.trim().split('\n')).toEqual(['confexts/mine.raw', 'portables/mine'])
  },
)
