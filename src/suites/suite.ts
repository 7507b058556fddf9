/** What is tested where: a suite as its file, the command line or a program says it, and what came of it. */
import type { SerializedError } from '../errors.ts'

export interface Suite {
  readonly name: string
  /** Each label once. */
  readonly images: readonly SuiteImage[]
  /** Installed into every image by its own package manager. */
  readonly packages: readonly string[]
  /** Program and arguments each, run as root with a network before the first case; what they do is kept. */
  readonly setup: readonly (readonly string[])[]
  /** In every container, before `setup`. */
  readonly files: readonly SuiteFile[]
  /** Each name once. */
  readonly cases: readonly TestCase[]
}

export interface SuiteImage {
  /** What reports call it. */
  readonly label: string
  /** The name of an image or a path with a slash; or a tree that is made when no image has its name. */
  readonly source:
    | { readonly kind: 'image'; readonly name: string }
    | ({ readonly kind: 'recipe' } & RecipeWishes)
  /** Besides the suite's. */
  readonly packages: readonly string[]
  /** After the suite's. */
  readonly setup: readonly (readonly string[])[]
}

export interface RecipeWishes {
  readonly recipe: string
  /** Of the image; default the one that `create` would give it. */
  readonly name?: string | undefined
  readonly release?: string | undefined
  readonly variant?: string | undefined
  readonly include?: readonly string[] | undefined
}

/** A file or directory of the host, copied in. */
export interface SuiteFile {
  /** Absolute, on the host. */
  readonly source: string
  /** Absolute, in the container. */
  readonly destination: string
}

/**
 * Where a case runs: above a directory that is thrown away, above memory, or in a system that has been
 * booted for it.
 */
export type ContainerKind = 'ephemeral' | 'volatile' | 'booted'

export interface TestCase {
  readonly name: string
  /** Program and arguments. */
  readonly command: readonly string[]
  /** Labels; undefined for all. */
  readonly images: readonly string[] | undefined
  /** Label → why it is left out there. */
  readonly skip: ReadonlyMap<string, string>
  readonly user: string
  /** Absolute. */
  readonly directory: string
  readonly environment: Readonly<Record<string, string>>
  readonly network: 'none' | 'host'
  readonly container: ContainerKind
  readonly timeoutMs: number
  /** How often it is tried again after it has failed. */
  readonly retries: number
  readonly files: readonly SuiteFile[]
  /** Absolute patterns of files that it writes, and that are taken out. */
  readonly collect: readonly string[]
  /** It need not write any, and what is no plain file is left where it is. */
  readonly collectOptional?: true | undefined
  /** Booted ones: how it says that the system shall be started anew. */
  readonly rebootMark?: RebootMark | undefined
  readonly expect: Expectation
}

/**
 * When the command has ended, or the system under it, and there is a word in the file, the system is started anew, and
 * then the command, with the word in the variable. The command removes the file when it begins.
 */
export interface RebootMark {
  /** Absolute, in the container. */
  readonly file: string
  readonly variable: string
}

export interface Expectation {
  /** Exit statuses that are right. */
  readonly status: readonly number[]
  /** The exit status that says "cannot be tested here". */
  readonly skipStatus: number | undefined
  readonly stdout: OutputExpectation
  readonly stderr: OutputExpectation
}

/** All that is said must hold; line ends at the end do not count. */
export interface OutputExpectation {
  /** Not even an empty line. */
  readonly nothing?: true | undefined
  readonly equals?: string | undefined
  readonly contains: readonly string[]
  /** Sources of regular expressions; `^` and `$` match at lines. */
  readonly matches: readonly string[]
}

/** What a case is unless it says otherwise. */
export const caseDefaults = {
  images: undefined,
  skip: new Map<string, string>(),
  user: 'root',
  directory: '/',
  environment: {},
  network: 'none',
  container: 'ephemeral',
  timeoutMs: 3_600_000,
  retries: 0,
  files: [],
  collect: [],
  expect: {
    status: [0],
    skipStatus: undefined,
    stdout: { contains: [], matches: [] },
    stderr: { contains: [], matches: [] },
  },
} as const satisfies Omit<TestCase, 'name' | 'command'>

/**
 * `failed`: not what was expected. `error`: it could not be run at all. `skipped`: it was not tried, or
 * said itself that it cannot be.
 */
export type CaseStatus = 'passed' | 'failed' | 'error' | 'skipped'

export interface CaseResult {
  readonly suite: string
  readonly image: string
  readonly name: string
  readonly status: CaseStatus
  /** Absent when it has passed. */
  readonly reason?: string
  /** With `error`. */
  readonly error?: SerializedError
  /** 0 when it was never begun. */
  readonly attempts: number
  /** After the beginning of the run. */
  readonly startedSeconds: number
  /** All attempts together. */
  readonly seconds: number
  readonly exitStatus?: number
  /** Of the last attempt, as much as is kept. */
  readonly stdout: string
  readonly stderr: string
  /** Absolute; absent without an output directory. */
  readonly log?: string
  /** Absolute paths of what was taken out. */
  readonly files: readonly string[]
}

export interface ImageResult {
  readonly suite: string
  readonly label: string
  /** Absolute; absent when it could not be found. */
  readonly tree?: string
  readonly startedSeconds: number
  readonly setupSeconds: number
  /** Why no case could be run in it. */
  readonly error?: SerializedError
  /** Of packages and setup; absent without an output directory. */
  readonly log?: string
}

export interface SuiteReport {
  /** Grows when a field changes its meaning. */
  readonly format: 1
  readonly tool: { readonly name: string; readonly version: string }
  readonly result: 'passed' | 'failed' | 'error'
  /** ISO 8601, UTC. */
  readonly started: string
  readonly seconds: number
  readonly counts: Readonly<Record<CaseStatus, number>>
  readonly images: readonly ImageResult[]
  /** By suite, image and place in the suite. */
  readonly cases: readonly CaseResult[]
}
