/** Names of files, which may be any bytes, as people can read them. */

/** @param name one character for each byte; whatever it holds, the result may be shown on a terminal */
export function shownName(name: string): string {
  const text = Buffer.from(name, 'latin1').toString()
  // oxlint-disable-next-line no-control-regex -- these are what must not reach a terminal
  const clean = text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => JSON.stringify(c).slice(1, -1))
  return clean.length > 300 ? `${clean.slice(0, 300)}…` : clean
}
