/** What names of locales say by themselves; planning asks too, and runs no programs. */

/** Whether every libc has it. */
export function isBuiltIn(locale: string): boolean {
  return /^(C|POSIX|C\.utf-?8)$/i.test(locale)
}

/** As `locale -a` writes it: no dashes in the name of the character set, and small letters. */
export function normalizedLocale(locale: string): string {
  return locale.replace(/\.[^@]*/, (set) => set.replaceAll('-', '').toLowerCase())
}
