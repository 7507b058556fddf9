/** What the machine says to the host, one line of JSON each. */

export type GuestEvent =
  | { readonly kind: 'case'; readonly id: string; readonly ms: number; readonly failure?: string }
  | { readonly kind: 'lane'; readonly lane: string; readonly result: string }

/** Names a case for both sides. */
export function caseId(group: string, title: string): string {
  return `${group} > ${title}`
}
