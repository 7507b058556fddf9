/** Names of users and groups, as tools that make them on Linux agree on (systemd's "User/Group Name Syntax"). */

/** Letters, digits, `_` and `-`, beginning with neither a digit nor a dash; at most 31. */
export function isAccountName(text: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_-]{0,30}$/.test(text)
}
