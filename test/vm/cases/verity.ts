/** Images whose every block is proven by a root hash. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { copyFile, mkdir, open, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFileSystem } from '../../fixtures/disk-image.ts'
import { nothingAttached, smallTree, workDirectory } from '../guest/disks.ts'
import { group, once } from '../guest/group.ts'
import { ours, refused, said, tool } from '../guest/programs.ts'

interface ProvenImage {
  readonly path: string
  readonly hashes: string
  readonly rootHash: string
}

const ROOT_OF = 'grep " / " /proc/mounts'
const FROM_VERITY = /^\/dev\/mapper\/tsnspawn-\S+ \/ (squashfs|erofs) ro,/

const content = randomBytes(1 << 20)

const prepare = once(async () => {
  const work = await workDirectory()
  const tree = await smallTree(work)
  await writeFile(join(tree, 'srv/content'), content)
  return { work, tree }
})

async function prove(kind: 'squashfs' | 'erofs'): Promise<ProvenImage> {
  const { work, tree } = await prepare()
  const path = join(work, `${kind}.raw`)
  const hashes = join(work, `${kind}.verity`)
  await makeFileSystem(kind, tree, path, 0)
  await tool('truncate', '--size=%4096', path)
  const told = await tool('veritysetup', 'format', path, hashes)
  return { path, hashes, rootHash: /Root hash:\s+(\w+)/.exec(told)?.[1] ?? '' }
}

const proven = once(() => prove('squashfs'))

/** A copy under another name, its hashes beside it. */
async function copy(name: string): Promise<ProvenImage> {
  const { work } = await prepare()
  const { path, hashes, rootHash } = await proven()
  const own = { path: join(work, `${name}.raw`), hashes: join(work, `${name}.verity`), rootHash }
  await copyFile(path, own.path)
  await copyFile(hashes, own.hashes)
  return own
}

async function overwrite(path: string, offset: number): Promise<void> {
  await using file = await open(path, 'r+')
  await file.write('tampered', offset)
}

const inside = (command: string) => ['sh', '-c', command]

/** The first digit becomes another one. */
const otherHash = (hash: string) => hash.replace(/^./, (digit) => (digit === '0' ? '1' : '0'))

const key = once(async () => {
  const { work } = await prepare()
  const [secret, certificate] = [join(work, 'key.pem'), join(work, 'certificate.pem')]
  // One of RSA's takes this processor half a minute.
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']
  const request = ['req', '-x509', ...kind, '-noenc', '-days', '10', '-subj', '/CN=x']
  await tool('openssl', ...request, '-keyout', secret, '-out', certificate)
  return { secret, certificate }
})

async function sign(rootHash: string, signature: string): Promise<void> {
  const { work } = await prepare()
  const { secret, certificate } = await key()
  const text = join(work, 'root-hash.txt')
  await writeFile(text, rootHash)
  const form = ['-nocerts', '-noattr', '-binary', '-outform', 'der']
  const who = ['-inkey', secret, '-signer', certificate]
  await tool('openssl', 'smime', '-sign', ...form, ...who, '-in', text, '-out', signature)
}

const TRUSTED = '/etc/verity.d/case.crt'

export const verity = group('verity', (test) => {
  test('a root hash on the command line proves a bare file system', async () => {
    const { path, rootHash } = await proven()
    const out = await said(ours('-i', path, `--root-hash=${rootHash}`, ...inside(ROOT_OF)))
    assert.match(out, FROM_VERITY)
    await nothingAttached()
  })

  test('without one the same file system is read as it is', async () => {
    const { path } = await proven()
    assert.match(
      await said(ours('-i', path, ...inside(ROOT_OF))),
      /^\/dev\/loop\d+ \/ squashfs ro,/,
    )
    await nothingAttached()
  })

  test('a .roothash file beside the image is taken', async () => {
    const { path, rootHash } = await copy('beside')
    await writeFile(path.replace('.raw', '.roothash'), `${rootHash}\n`)
    assert.match(await said(ours('-i', path, ...inside(ROOT_OF))), FROM_VERITY)
    await nothingAttached()
  })

  test('a wrong root hash is refused', async () => {
    const { path, rootHash } = await proven()
    const wrong = ours('-i', path, `--root-hash=${otherHash(rootHash)}`, 'echo', 'started')
    await refused(wrong, /root hash|verity data do not fit/)
    await nothingAttached()
  })

  test('what was changed afterwards cannot be read, and the rest can', async () => {
    const { path, rootHash } = await copy('tampered')
    const at = (await readFile(path)).indexOf(content.subarray(512_000, 512_064))
    assert.notEqual(at, -1)
    await overwrite(path, at)
    const look = 'cat /srv/content >/dev/null; echo status $?; cat /usr/lib/os-release'
    const run = await ours('-i', path, `--root-hash=${rootHash}`, ...inside(look))
    assert.match(run.stderr, /I\/O error|Input\/output error/)
    assert.match(run.stdout, /^status 1\nID=tiny\n/)
    const plain = await said(ours('-i', path, ...inside('cat /srv/content >/dev/null; echo $?')))
    assert.equal(plain, '0')
    await nothingAttached()
  })

  test('changed hashes are refused', async () => {
    const { path, hashes, rootHash } = await copy('tampered-hashes')
    // The block of hashes at the top follows the super block.
    await overwrite(hashes, 4096)
    const run = ours('-i', path, `--root-hash=${rootHash}`, 'echo', 'started')
    await refused(run, /root hash|verity data do not fit/)
    await nothingAttached()
  })

  test('--verity-data= names the hashes', async () => {
    const { path, hashes, rootHash } = await copy('apart')
    const moved = `${hashes}.elsewhere`
    await copyFile(hashes, moved)
    await rm(hashes)
    const options = [`--root-hash=${rootHash}`, `--verity-data=${moved}`]
    assert.match(await said(ours('-i', path, ...options, ...inside(ROOT_OF))), FROM_VERITY)
    await refused(ours('-i', path, options[0]!, 'echo', 'started'), /verity/)
    await nothingAttached()
  })

  test('a signature counts when its certificate is in /etc/verity.d', async () => {
    const { path, rootHash } = await copy('signed')
    await writeFile(path.replace('.raw', '.roothash'), rootHash)
    const signature = path.replace('.raw', '.roothash.p7s')
    await sign(rootHash, signature)
    const policy = '--image-policy=root=signed'
    await refused(ours('-i', path, policy, 'echo', 'started'), /has signed the root hash/)
    await mkdir('/etc/verity.d', { recursive: true })
    await copyFile((await key()).certificate, TRUSTED)
    assert.match(await said(ours('-i', path, policy, ...inside(ROOT_OF))), FROM_VERITY)
    const text = `base64:${(await readFile(signature)).toString('base64')}`
    await rm(signature)
    await refused(ours('-i', path, policy, 'echo', 'started'), /policy|signed/)
    const named = ours('-i', path, policy, `--root-hash-sig=${text}`, ...inside(ROOT_OF))
    assert.match(await said(named), FROM_VERITY)
    await nothingAttached()
  })

  test('a signature of another root hash does not count', async () => {
    const { path, rootHash } = await copy('wrongly-signed')
    await writeFile(path.replace('.raw', '.roothash'), rootHash)
    await sign(otherHash(rootHash), path.replace('.raw', '.roothash.p7s'))
    await copyFile((await key()).certificate, TRUSTED)
    const run = ours('-i', path, '--image-policy=root=signed', 'echo', 'started')
    await refused(run, /has signed the root hash/)
    await rm(TRUSTED)
    await nothingAttached()
  })

  test('--ephemeral writes beside what is proven', async () => {
    const { path, rootHash } = await proven()
    const before = await readFile(path)
    const write = 'echo new >/root/new && cat /root/new'
    const out = await said(ours('-i', path, '-x', `--root-hash=${rootHash}`, ...inside(write)))
    assert.equal(out, 'new')
    assert.ok(before.equals(await readFile(path)))
    await nothingAttached()
  })

  test('users of its own are mapped on a file system that can', async () => {
    const { path, rootHash } = await prove('erofs')
    const look = `stat -c %u /usr/bin/busybox; ${ROOT_OF}; cut -c1-21 /proc/self/uid_map`
    const out = await said(ours('-i', path, '-U', `--root-hash=${rootHash}`, ...inside(look)))
    const [owner, root, map] = out.split('\n')
    assert.equal(owner, '0')
    assert.match(root ?? '', FROM_VERITY)
    assert.doesNotMatch(map ?? '', /^ +0 +0$/)
    await nothingAttached()
  })
})
