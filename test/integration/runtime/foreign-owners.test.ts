/** Trees that belong to the foreign id range, which systemd-nspawn 252 does not know. */
import { execFileSync, spawnSync } from 'node:child_process'
import { chownSync, lstatSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tsnspawn } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { makeSmallTree } from '../images/runnable-tree.ts'

const first = 2147352576

describe.skipIf(lacks('root', 'user namespaces', 'program:mmdebstrap'))('a foreign tree', () => {
  let directory: TemporaryDirectory
  let tree = ''
  beforeAll(async () => {
    directory = await temporaryDirectory()
    tree = join(directory.path, 'tree')
    await makeSmallTree(tree)
    execFileSync('chown', ['-hR', `${first}:${first}`, tree])
    chownSync(join(tree, 'var'), first + 33, first + 44)
  })
  afterAll(() => directory[Symbol.asyncDispose]())

  const run = (options: readonly string[], script: string, root = tree) => {
    const common = ['--register=no', '--keep-unit', '-q', '-P', '-D', root]
    const [file, ...args] = tsnspawn(...common, ...options, 'sh', '-ec', script)
    const { stdout, stderr } = spawnSync(file, args, { encoding: 'utf8' })
    return { stdout: stdout.trim(), stderr: stderr.trim() }
  }

  it.each([
    [['--private-users=pick', '--private-users-ownership=foreign']],
    [['-U']],
    [['-U', '--ephemeral']],
    [['--private-users=655360', '--private-users-ownership=auto', '--volatile=overlay']],
  ])('belongs to the container’s users with %j', (options) => {
    const script = 'stat -c %u:%g / /var; touch /etc/made; stat -c %u:%g /etc/made'
    expect(run(options, script)).toEqual({ stdout: '0:0\n33:44\n0:0', stderr: '' })
  })

  it('keeps its range on disk', () => {
    const options = ['--private-users=pick', '--private-users-ownership=foreign']
    expect(run(options, 'touch /root/a; chown 1000:1001 /root/a').stderr).toBe('')
    const { uid, gid } = lstatSync(join(tree, 'root/a'))
    expect({ uid, gid }).toEqual({ uid: first + 1000, gid: first + 1001 })
  })

  it('is not what other trees are', () => {
    const options = ['--private-users=pick', '--private-users-ownership=foreign']
    chownSync(tree, 0, 0)
    const { stderr } = run(options, 'true')
    chownSync(tree, first, first)
    expect(stderr).toContain('does not belong to the foreign id range')
  })
})
