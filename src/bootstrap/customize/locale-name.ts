/** Which locales need nothing; planning asks too, and runs no programs. */

/** Whether every libc has it. */
export function isBuiltIn(locale: string): boolean {
  return /^(C|POSIX|C\.utf-?8)$/i.test(locale)
}
