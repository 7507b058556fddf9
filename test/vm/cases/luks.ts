/** Images that are encrypted. */
import assert from 'node:assert/strict'
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { tsnspawn } from '../../fixtures/programs.ts'
import { nothingAttached, smallTree, workDirectory } from '../guest/disks.ts'
import { group, once } from '../guest/group.ts'
import { build, call, ours, refused, said, startOurs, tool } from '../guest/programs.ts'

const MAPPING = 'case-format'

const prepare = once(async () => {
  const work = await workDirectory()
  const at = (name: string) => join(work, name)
  const [image, key, wrong] = [at('encrypted.raw'), at('key'), at('wrong')]
  await writeFile(key, 'secret', { mode: 0o600 })
  await writeFile(wrong, 'guess', { mode: 0o600 })
  await tool('truncate', '--size=40M', image)
  // Few iterations: nobody attacks it, and the processor is slow.
  const cheap = ['--type=luks2', '--pbkdf=pbkdf2', '--pbkdf-force-iterations=1000', '--batch-mode']
  await tool('cryptsetup', 'luksFormat', ...cheap, `--key-file=${key}`, image)
  await tool('cryptsetup', 'open', `--key-file=${key}`, image, MAPPING)
  await tool('mkfs.ext4', '-q', '-d', await smallTree(work), `/dev/mapper/${MAPPING}`)
  await tool('cryptsetup', 'close', MAPPING)
  await nothingAttached()
  return { work, image, key, wrong }
})

const inside = (command: string) => ['sh', '-c', command]
const ROOT_OF = 'grep " / " /proc/mounts'

export const luks = group('luks', (test) => {
  test('the key in a file opens an image, which is written to', async () => {
    const { image, key } = await prepare()
    const open = ['-i', image, `--image-key-file=${key}`]
    const out = await said(ours(...open, ...inside(`echo kept >/root/kept; ${ROOT_OF}`)))
    assert.match(out, /^\/dev\/mapper\/tsnspawn-\S+ \/ ext4 rw,/)
    await nothingAttached()
    assert.equal(await said(ours(...open, ...inside('cat /root/kept'))), 'kept')
    await nothingAttached()
  })

  test('a wrong key is refused', async () => {
    const { image, wrong } = await prepare()
    const run = ours('-i', image, `--image-key-file=${wrong}`, 'echo', 'started')
    await refused(run, /the key in \S+ does not open it/)
    await nothingAttached()
  })

  test('without a key nothing is started where nobody may be asked', async () => {
    const { image } = await prepare()
    for (const options of [['--no-ask-password'], []])
      await refused(ours('-i', image, ...options, 'echo', 'started'), /encrypted/)
    await nothingAttached()
  })

  test('the credential dissect.passphrase opens it', async () => {
    const { work, image, key, wrong } = await prepare()
    const credentials = join(work, 'credentials')
    await mkdir(credentials)
    const run = (file: string) =>
      copyFile(file, join(credentials, 'dissect.passphrase')).then(() =>
        call(
          'env',
          `CREDENTIALS_DIRECTORY=${credentials}`,
          ...tsnspawn('-q', '--console=pipe', '--register=no', '-i', image, 'echo', 'started'),
        ),
      )
    assert.equal(await said(run(key)), 'started')
    await refused(run(wrong), /encrypted/)
    await nothingAttached()
  })

  test('--read-only leaves it as it is', async () => {
    const { image, key } = await prepare()
    const before = await tool('sha256sum', image)
    const options = ['-i', image, `--image-key-file=${key}`, '--read-only']
    const { stdout } = await ours(...options, ...inside(`touch /root/no; ${ROOT_OF}`))
    assert.match(stdout, /^\/dev\/mapper\/tsnspawn-\S+ \/ ext4 ro,/)
    assert.equal(await tool('sha256sum', image), before)
    await nothingAttached()
  })

  test('--ephemeral and --volatile=overlay keep nothing of what is written', async () => {
    const { image, key } = await prepare()
    const before = await tool('sha256sum', image)
    for (const option of ['--ephemeral', '--volatile=overlay']) {
      const open = ['-i', image, `--image-key-file=${key}`, option]
      assert.equal(
        await said(ours(...open, ...inside('echo gone >/root/gone; cat /root/gone'))),
        'gone',
      )
    }
    assert.equal(await tool('sha256sum', image), before)
    await nothingAttached()
  })

  test('users of its own own what is in it', async () => {
    const { image, key } = await prepare()
    const open = ['-i', image, `--image-key-file=${key}`]
    const command = 'touch /root/mine; stat -c %u /root/mine /usr'
    assert.equal(await said(ours(...open, '-U', ...inside(command))), '0\n0')
    assert.equal(await said(ours(...open, ...inside('stat -c %u /root/mine'))), '0')
    await nothingAttached()
  })

  test('a policy that wants no encryption forbids it, and one that wants it allows it', async () => {
    const { image, key } = await prepare()
    const open = ['-i', image, `--image-key-file=${key}`]
    const forbidden = ours(...open, '--image-policy=root=unprotected', 'echo', 'started')
    await refused(forbidden, /policy forbids this image/)
    assert.equal(
      await said(ours(...open, '--image-policy=root=encrypted', 'echo', 'started')),
      'started',
    )
    await nothingAttached()
  })

  test('dissect tells of it without the key', async () => {
    const { image } = await prepare()
    const { status, stdout } = await build('dissect', image, '--json')
    assert.equal(status, 0)
    assert.match(stdout, /luks/i)
    await nothingAttached()
  })

  test('a killed runtime leaves nothing, and the image can be used again', async () => {
    const { image, key } = await prepare()
    const open = ['-i', image, `--image-key-file=${key}`]
    {
      const command = 'echo ready; sleep 80'
      await using killed = await startOurs(
        '--register=no',
        '-M',
        'killed',
        ...open,
        ...inside(command),
      )
      assert.match(await tool('dmsetup', 'ls'), /^tsnspawn-/)
      killed.signal('SIGKILL')
      await killed.ended
    }
    await nothingAttached()
    assert.equal(await said(ours(...open, 'echo', 'again')), 'again')
    await said(call(...tsnspawn('--quiet', '--cleanup', '-i', image, '-M', 'killed')))
    await nothingAttached()
  })

  test('a mapping that a dead runtime has not got to hold is taken away by the next run', async () => {
    const { image, key } = await prepare()
    // The first process has not been started in the first tick.
    await tool('dmsetup', 'create', 'tsnspawn-1-1-crypt0', '--table', '0 8 error')
    const open = ['-i', image, `--image-key-file=${key}`]
    assert.equal(await said(ours(...open, 'echo', 'started')), 'started')
    await nothingAttached()
  })
})
