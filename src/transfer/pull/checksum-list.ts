/** Lists of SHA256 checksums, as `sha256sum` and its kin write them. */

/**
 * The checksums that a list has for a file; several when it names the file more than once.
 *
 * Understood are GNU's lines (text and binary), with any blanks between, hexadecimal digits in either case, a leading
 * `./`, BSD's lines, and line ends of any kind. The name must be the whole name.
 *
 * @returns lower-case hexadecimal digits
 */
export function checksumsOf(list: string, fileName: string): string[] {
  return list
    .split(/\r?\n/)
    .map(readLine)
    .filter((line) => line?.name === fileName)
    .map((line) => line?.sha256 ?? '')
}

/** The checksum of a file that has nothing but one. */
export function bareChecksum(text: string): string | undefined {
  const only = text.trim()
  return isSha256(only) ? only.toLowerCase() : undefined
}

export function isSha256(text: string): boolean {
  return /^[0-9a-f]{64}$/i.test(text)
}

function readLine(line: string): { readonly sha256: string; readonly name: string } | undefined {
  const [, sha256, name] =
    /^([0-9a-f]{64})[ \t]+\*?(\S.*?)\s*$/i.exec(line) ??
    swapped(/^SHA256 ?\((.+)\) ?= ?([0-9a-f]{64})\s*$/i.exec(line)) ??
    []
  if (sha256 === undefined || name === undefined) return undefined
  return { sha256: sha256.toLowerCase(), name: name.replace(/^\.\//, '') }
}

function swapped(match: RegExpExecArray | null): string[] | undefined {
  return match === null ? undefined : [match[0], match[2] ?? '', match[1] ?? '']
}
