/** Scripts of rpm packages that fail, recognised by rpm's words, which every tool on top of it hands on. */

/**
 * The script and its package in a line that tells of its failure: `%post of hello-1.0-1.noarch`.
 *
 * @see rpm's `lib/rpmscript.c`; dnf5 has words of its own beside them
 */
export function failedScriptlet(line: string): string | undefined {
  const [, script, owner] = /(%\w+)\(([^()\s]+)\) scriptlet failed/.exec(line) ?? []
  return script === undefined ? undefined : `${script} of ${owner}`
}

/** Collects them from lines that are handed on to `next`. */
export function scriptletWatch<T>(next: (line: string) => T): {
  readonly failed: readonly string[]
  readonly readLine: (line: string) => T
} {
  const failed: string[] = []
  const readLine = (line: string) => {
    const found = failedScriptlet(line)
    if (found !== undefined) failed.push(found)
    return next(line)
  }
  return { failed, readLine }
}
