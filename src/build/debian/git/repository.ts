/**
 * git, asked about a repository that somebody else may have made. A repository's own configuration and attributes name
 * programs (filters, hooks, file system monitors, transports): so git runs as the owner of the directory, nothing but
 * plumbing that needs no filter is called, what else could start a program is switched off, and missing objects are
 * not fetched.
 */
import { lstat, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { NspawnError, throwIfCanceled } from '../../../errors.ts'
import { missing } from '../../../read-if-there.ts'
import { programEnvironment, runProgram, startFilter } from '../../../process.ts'
import {
  commitTime,
  readIndexListing,
  readPathListing,
  readTreeListing,
  type GitEntry,
} from './listing.ts'

export interface GitCommit {
  /** The full name of its object. */
  readonly id: string
  /** Seconds since 1970. */
  readonly time: number
}

export class GitRepository {
  /** Absolute; its top. */
  readonly directory: string
  private readonly owner: { readonly uid: number; readonly gid: number }
  private readonly signal: AbortSignal | undefined

  /** The repository whose work tree has its top at `directory`; `undefined` where that is none. */
  static async at(
    directory: string,
    signal: AbortSignal | undefined,
  ): Promise<GitRepository | undefined> {
    if ((await lstat(join(directory, '.git')).catch(missing)) === undefined) return undefined
    const { uid, gid } = await stat(directory)
    return new GitRepository(directory, { uid, gid }, signal)
  }

  private constructor(
    directory: string,
    owner: { readonly uid: number; readonly gid: number },
    signal: AbortSignal | undefined,
  ) {
    this.directory = directory
    this.owner = owner
    this.signal = signal
  }

  /** @returns `undefined` when `ref` names no commit */
  async commit(ref: string): Promise<GitCommit | undefined> {
    // It would be an option.
    if (ref.startsWith('-')) return undefined
    const words = ['rev-parse', '--verify', '--quiet', `${ref}^{commit}`] as const
    const { status, stdout, stderr } = await this.run(words, [0, 1, 128])
    if (status === 128 && stderr.includes('not a git repository'))
      throw this.failure('rev-parse', new NspawnError(stderr, { code: 'PROGRAM_FAILED' }))
    const id = stdout.trim()
    if (status !== 0 || !/^[0-9a-f]{40,64}$/.test(id)) return undefined
    return { id, time: commitTime((await this.run(['cat-file', 'commit', id])).stdout) }
  }

  async filesOf({ id }: GitCommit): Promise<readonly GitEntry[]> {
    const { stdout } = await this.run(['ls-tree', '-r', '-z', '--full-tree', id])
    return readTreeListing(stdout)
  }

  async index(): Promise<readonly GitEntry[]> {
    return readIndexListing((await this.run(['ls-files', '-s', '-z'])).stdout)
  }

  /** What is neither in the index nor ignored. */
  async untracked(): Promise<readonly string[]> {
    const words = ['ls-files', '--others', '--exclude-standard', '-z'] as const
    return readPathListing((await this.run(words)).stdout)
  }

  /**
   * Writes the contents of blobs, one after another, as `git cat-file --batch` does: no filter sees them.
   *
   * @param stdout descriptor
   */
  async writeBlobs(objects: readonly string[], stdout: number): Promise<void> {
    const { signal } = this
    const filter = startFilter(this.argv(['cat-file', '--batch', '--buffer']), stdout, this.manner)
    signal?.addEventListener('abort', filter.kill)
    filter.input.end(objects.map((object) => `${object}\n`).join(''))
    const { ok, how, stderr } = await filter.ended
    signal?.removeEventListener('abort', filter.kill)
    throwIfCanceled(signal, 'reading the git checkout')
    if (!ok)
      throw this.failure(
        'cat-file',
        new NspawnError(`git: ${how}: ${stderr}`, { code: 'PROGRAM_FAILED' }),
      )
  }

  private async run(words: readonly [string, ...string[]], accept?: readonly number[]) {
    const { manner, signal } = this
    const argv = this.argv(words)
    try {
      return await runProgram('cannot read the git checkout', argv, { ...manner, accept, signal })
    } catch (error) {
      if (!(error instanceof NspawnError) || error.code === 'CANCELED') throw error
      throw this.failure(words[0], error)
    }
  }

  private argv(words: readonly string[]): readonly [string, ...string[]] {
    const { directory } = this
    // Naming both leaves core.worktree no say, and git needs not ask whose directory it is.
    const places = [`--git-dir=${join(directory, '.git')}`, `--work-tree=${directory}`]
    return ['git', '--no-pager', ...places, ...harmless, ...words]
  }

  private get manner() {
    const { directory: cwd, owner } = this
    return { cwd, env: environment(), user: process.getuid?.() === 0 ? owner : undefined }
  }

  private failure(word: string, cause: NspawnError): NspawnError {
    const absent = cause.code === 'PROGRAM_NOT_FOUND'
    return new NspawnError('git cannot read the directory', {
      code: absent ? cause.code : 'SOURCE_INVALID',
      operation: `git ${word}`,
      subject: this.directory,
      hint: absent
        ? 'install git, or give a directory without .git'
        : `git was run as user ${this.owner.uid}, who owns the directory`,
      cause,
    })
  }
}

const harmless = [
  'core.fsmonitor=',
  'core.untrackedCache=false',
  'core.hooksPath=/dev/null',
  'core.sshCommand=false',
  'core.gitProxy=',
  'protocol.allow=never',
].flatMap((setting) => ['-c', setting])

/** Nothing of the caller's git, nor of root's. */
function environment(): Record<string, string> {
  const { PATH = '' } = programEnvironment()
  return {
    PATH,
    HOME: '/nonexistent',
    LC_ALL: 'C',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    // Objects that are missing are a failure: fetching them would run what the repository says.
    GIT_NO_LAZY_FETCH: '1',
    GIT_ALLOW_PROTOCOL: 'none',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_OPTIONAL_LOCKS: '0',
    GIT_TERMINAL_PROMPT: '0',
  }
}
