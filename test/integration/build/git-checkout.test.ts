/** What is taken of git checkouts, with real repositories; nothing is built here. */
import { execa } from 'execa'
import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { GitWish } from '../../../src/build/debian/source-argument.ts'
import { stageSource } from '../../../src/build/debian/stage-source.ts'
import type { LogEvent } from '../../../src/log.ts'
import { lacks } from '../../fixtures/requires.ts'
import { makeSourceDirectory, type SourceFixture } from '../../fixtures/source-package.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

const noon = '2001-02-03T12:00:00Z'

async function git(directory: string, ...words: readonly string[]): Promise<string> {
  const env = {
    ...{ HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1' },
    ...{ GIT_AUTHOR_NAME: 'A', GIT_AUTHOR_EMAIL: 'a@x', GIT_AUTHOR_DATE: noon },
    ...{ GIT_COMMITTER_NAME: 'A', GIT_COMMITTER_EMAIL: 'a@x', GIT_COMMITTER_DATE: noon },
  }
  const { stdout } = await execa('git', ['-C', directory, ...words], { env })
  return stdout
}

/** A checkout with one commit, its ignored files, and a link. */
async function makeCheckout(directory: string, fixture: SourceFixture = {}): Promise<string> {
  const path = join(directory, 'checkout')
  await makeSourceDirectory(path, fixture)
  await writeFile(join(path, '.gitignore'), '*.o\n')
  await writeFile(join(path, 'old.o'), 'ignored')
  await symlink('README', join(path, 'link'))
  await git(path, 'init', '--quiet', '--initial-branch=main')
  await git(path, 'add', '.')
  await git(path, 'commit', '--quiet', '--message=first')
  return path
}

describe.skipIf(lacks('root', 'program:git'))('of a git checkout', () => {
  async function stage(directory: string, path: string, wish?: GitWish) {
    const layer = join(directory, 'layer')
    await rm(layer, { recursive: true, force: true })
    await mkdir(layer)
    const events: LogEvent[] = []
    const staged = await stageSource({
      source: { kind: 'directory', path, git: wish },
      tree: directory,
      layer,
      policy: { keyrings: [], required: false },
      log: (event) => void events.push(event),
    })
    const notices = events.flatMap((event) => (event.kind === 'notice' ? [event.text] : []))
    return { staged, notices, tree: join(layer, 'build/source/tiny-1.0') }
  }

  test('the last commit is taken: its files, links and modes, as old as it is, without ignored ones', async () => {
    await using work = await temporaryDirectory()
    const path = await makeCheckout(work.path)
    await writeFile(join(path, 'forgotten'), 'not added')
    const { staged, notices, tree } = await stage(work.path, path)
    expect(staged.git).toEqual({ commit: await git(path, 'rev-parse', 'HEAD'), taken: 'commit' })
    expect(await readdir(tree)).toEqual(['.gitignore', 'README', 'debian', 'link'])
    expect(await readlink(join(tree, 'link'))).toBe('README')
    const rules = await stat(join(tree, 'debian/rules'))
    expect([rules.mode & 0o777, rules.uid, rules.gid]).toEqual([0o755, 2000, 2000])
    for (const name of ['.', 'README', 'debian', 'link']) {
      const facts = await lstat(join(tree, name))
      expect([name, facts.uid, facts.mtimeMs]).toEqual([name, 2000, Date.parse(noon)])
    }
    expect(notices).toEqual(['not committed, so not part of the build: forgotten'])
    expect(await readdir(work.path)).toEqual(['checkout', 'layer'])
  })

  test.each<[string, (path: string) => Promise<unknown>, string]>([
    ['changed', (path) => writeFile(join(path, 'README'), 'other'), 'README'],
    ['removed', (path) => rm(join(path, 'README')), 'README'],
    ['made executable', (path) => chmod(join(path, 'README'), 0o755), 'README'],
    ['replaced by a link', (path) => execa('ln', ['-sf', 'x', join(path, 'README')]), 'README'],
    [
      'added',
      async (path) => {
        await writeFile(join(path, 'new'), '')
        await git(path, 'add', 'new')
      },
      'new',
    ],
    [
      'below a directory that is a link',
      async (path) => {
        await execa('mv', [join(path, 'debian'), join(path, '../elsewhere')])
        await symlink('../elsewhere', join(path, 'debian'))
      },
      'debian/changelog, debian/control',
    ],
  ])('with a file %s nothing is taken before it was said what', async (_how, change, names) => {
    await using work = await temporaryDirectory()
    const path = await makeCheckout(work.path)
    await change(path)
    await expect(stage(work.path, path)).rejects.toMatchObject({
      code: 'SOURCE_UNCOMMITTED',
      message: expect.stringContaining(names),
      hint: expect.stringMatching(/--working-tree.*--git-ref HEAD/),
    })
  })

  test('a named commit or the working tree is taken when asked for', async () => {
    await using work = await temporaryDirectory()
    const path = await makeCheckout(work.path)
    await git(path, 'tag', 'v1')
    await writeFile(join(path, 'README'), 'second')
    await git(path, 'commit', '--quiet', '--all', '--message=second')
    await writeFile(join(path, 'README'), 'third')
    await writeFile(join(path, 'new'), '')
    const readme = async (tree: string) => readFile(join(tree, 'README'), 'utf8')
    const old = await stage(work.path, path, { kind: 'commit', ref: 'v1' })
    expect(await readme(old.tree)).toBe('A fixture.\n')
    const last = await stage(work.path, path, { kind: 'commit', ref: 'HEAD' })
    expect(await readme(last.tree)).toBe('second')
    const lying = await stage(work.path, path, { kind: 'working-tree' })
    expect(await readme(lying.tree)).toBe('third')
    expect(await readdir(lying.tree)).toEqual(['.gitignore', 'README', 'debian', 'link', 'new'])
    expect(lying.staged.git).toEqual({
      commit: last.staged.git?.commit,
      taken: 'working tree',
      changed: ['README', 'new'],
    })
    for (const ref of ['v2', '--all', 'HEAD:README', 'v1^{tree}'])
      await expect(stage(work.path, path, { kind: 'commit', ref })).rejects.toMatchObject({
        code: 'SOURCE_INVALID',
        message: `there is no commit ${ref}`,
      })
  })

  test('no program that the repository names is run, and nothing is fetched for it', async () => {
    await using work = await temporaryDirectory()
    const path = await makeCheckout(work.path)
    const marks = join(work.path, 'marks')
    await mkdir(marks, { mode: 0o777 })
    const trap = join(work.path, 'trap')
    await writeFile(
      trap,
      `#!/bin/sh\ntouch ${marks}/"$1"\ncase $1 in clean|smudge) cat ;; esac\n`,
      { mode: 0o755 },
    )
    await writeFile(join(path, '.gitattributes'), '* filter=trap diff=trap\n')
    await git(path, 'add', '.')
    await git(path, 'commit', '--quiet', '--message=attributes')
    for (const [key, word] of Object.entries({
      'core.fsmonitor': 'fsmonitor',
      'core.sshCommand': 'ssh',
      'core.pager': 'pager',
      'filter.trap.clean': 'clean',
      'filter.trap.smudge': 'smudge',
      'diff.trap.textconv': 'textconv',
      'remote.origin.url': `ext::${trap} fetched`,
      'remote.origin.uploadpack': 'uploadpack',
    }))
      await git(path, 'config', key, word.startsWith('ext') ? word : `${trap} ${word}`)
    await git(path, 'config', 'protocol.ext.allow', 'always')
    await git(path, 'config', 'remote.origin.promisor', 'true')
    await git(path, 'config', 'extensions.partialClone', 'origin')
    await git(path, 'config', 'core.repositoryFormatVersion', '1')
    await mkdir(join(path, '.git/hooks'), { recursive: true })
    for (const hook of ['post-index-change', 'post-checkout', 'reference-transaction'])
      await writeFile(join(path, '.git/hooks', hook), `#!/bin/sh\n${trap} hook </dev/null\n`, {
        mode: 0o755,
      })
    const before = await readFile(join(path, '.git/index'))
    await stage(work.path, path)
    await stage(work.path, path, { kind: 'working-tree' })
    // A blob that is gone would be fetched.
    const blob = await git(path, 'rev-parse', 'HEAD:README')
    await rm(join(path, '.git/objects', blob.slice(0, 2), blob.slice(2)))
    await expect(stage(work.path, path)).rejects.toMatchObject({ code: 'SOURCE_INVALID' })
    expect(await readdir(marks)).toEqual([])
    expect(await readFile(join(path, '.git/index'))).toEqual(before)
    // The traps are good: git by itself steps into them.
    await execa('touch', [join(path, 'debian/rules')])
    const plain = { reject: false, stdin: 'ignore' } as const
    await execa('git', ['-C', path, 'status'], plain)
    await execa('git', ['-C', path, 'cat-file', '-p', blob], plain)
    const stepped = await readdir(marks)
    expect(stepped).toEqual(expect.arrayContaining(['clean', 'fetched', 'fsmonitor']))
  })

  test('git runs as the owner of the directory', async () => {
    await using work = await temporaryDirectory()
    await chmod(work.path, 0o755)
    const path = await makeCheckout(work.path)
    await execa('chown', ['-R', '1234:1234', path])
    expect((await stage(work.path, path)).staged.git).toMatchObject({ taken: 'commit' })
    await execa('chown', ['0:0', join(path, '.git/index')])
    await chmod(join(path, '.git/index'), 0o600)
    await expect(stage(work.path, path)).rejects.toMatchObject({
      code: 'SOURCE_INVALID',
      hint: 'git was run as user 1234, who owns the directory',
    })
  })

  test('a commit whose files lead through links is refused', async () => {
    await using work = await temporaryDirectory()
    const path = await makeCheckout(work.path)
    const blob = async (input: string) => {
      const words = ['-C', path, 'hash-object', '-w', '--stdin']
      return (await execa('git', words, { input })).stdout
    }
    const treeOf = async (...lines: readonly string[]) => {
      const input = lines.map((line) => `${line}\0`).join('')
      const words = ['-C', path, 'mktree', '-z']
      return (await execa('git', words, { input })).stdout
    }
    const inner = await treeOf(`100644 blob ${await blob('planted')}\tfile`)
    const target = join(work.path, 'outside')
    await mkdir(target)
    const top = await treeOf(`120000 blob ${await blob(target)}\ta`, `040000 tree ${inner}\ta`)
    const commit = await git(path, 'commit-tree', '-m', 'bad', top)
    await expect(stage(work.path, path, { kind: 'commit', ref: commit })).rejects.toMatchObject({
      code: 'SOURCE_INVALID',
      message: 'the commit has a file that cannot be',
    })
    expect(await readdir(target)).toEqual([])
  })

  test('submodules of a commit are refused, and those of the working tree taken as they lie', async () => {
    await using work = await temporaryDirectory()
    const path = await makeCheckout(work.path)
    const inner = join(path, 'inner')
    await mkdir(inner)
    await writeFile(join(inner, 'file'), '')
    await git(inner, 'init', '--quiet')
    await git(inner, 'add', '.')
    await git(inner, 'commit', '--quiet', '--message=inner')
    const id = await git(inner, 'rev-parse', 'HEAD')
    await git(path, 'update-index', '--add', '--cacheinfo', `160000,${id},inner`)
    await git(path, 'commit', '--quiet', '--message=submodule')
    await expect(stage(work.path, path)).rejects.toMatchObject({
      message: 'the commit has submodules: inner',
      hint: expect.stringContaining('--working-tree'),
    })
    const { tree } = await stage(work.path, path, { kind: 'working-tree' })
    expect(await readdir(join(tree, 'inner'))).toEqual(['file'])
  })

  test('a commit of a quilt package wants its tarball, from beside the directory', async () => {
    await using work = await temporaryDirectory()
    const path = await makeCheckout(work.path, { version: '1.0-2', format: '3.0 (quilt)' })
    await expect(stage(work.path, path)).rejects.toMatchObject({
      code: 'SOURCE_INVALID',
      message: 'there is no upstream tarball of tiny 1.0',
      hint: expect.stringContaining('tiny_1.0.orig.tar.*'),
    })
    const lying = await stage(work.path, path, { kind: 'working-tree' })
    expect(lying.staged.form.kind).toBe('unpacked')
    await writeFile(join(work.path, 'tiny_1.0.orig.tar.gz'), 'a tarball')
    const { staged } = await stage(work.path, path)
    expect(staged.form.kind).toBe('tree')
    expect(staged.files.map(({ name }) => name)).toEqual(['tiny_1.0.orig.tar.gz'])
  })

  test('a directory .git that is no repository is told as that', async () => {
    await using work = await temporaryDirectory()
    const path = join(work.path, 'plain')
    await makeSourceDirectory(path)
    await mkdir(join(path, '.git'))
    await expect(stage(work.path, path)).rejects.toMatchObject({
      code: 'SOURCE_INVALID',
      message: 'git cannot read the directory',
    })
  })

  test('what is no checkout has no commits', async () => {
    await using work = await temporaryDirectory()
    const path = join(work.path, 'plain')
    await makeSourceDirectory(path)
    expect((await stage(work.path, path)).staged.git).toBeUndefined()
    await expect(stage(work.path, path, { kind: 'working-tree' })).rejects.toMatchObject({
      message: 'the directory is no git checkout',
    })
  })
})
