/** docs/oci.md, made from the table of fields, so that the page names those that are taken and no others. */
import { ociFields } from './fields.ts'

const head = `# OCI bundles

This page is generated from the table that bundles are held to (\`src/settings/oci/\`).

    mkdir -p bundle/rootfs && cd bundle && runc spec     # or crun spec; fill rootfs with a tree
    tsnspawn --oci-bundle=.

A bundle is a directory with a \`config.json\` of the [OCI runtime specification](https://github.com/opencontainers/runtime-spec)
and, usually, the tree that it is about. \`tsnspawn\` runs it as it runs any tree: with its own /dev, /proc, /sys, /run and
environment, its console, its exit status. It is not a runtime for container managers: there is no \`create\`, \`start\` or
\`delete\`.

- Whoever names a bundle trusts it. No \`.nspawn\` file is read beside it. What stands on the command line counts more: an option
  silences what the bundle says of the same group (see [settings files](settings-files.md)); all mounts are one group, for example.
- The machine is called after the bundle's directory, unless \`--machine=\` says otherwise.
- \`--resolv-conf=\`, \`--timezone=\` and \`--link-journal=\` are off unless they are said, and the tree may hold one program and nothing else.
- Every field of the specification is taken or refused, by name, before anything is done. A field that the specification does not
  know is refused, too.
- A parser that is fuzzed reads the file; it is checked as strictly as by the published schema, and more.

## Mounts

What every container has is passed over where a bundle lists it as what it is: \`proc\` on \`/proc\`, \`sysfs\` on \`/sys\`, \`tmpfs\` on \`/dev\`
and \`/run\`, \`devpts\`, \`mqueue\`, and what lies on \`/sys/fs/cgroup\`. Anything else there is refused. Mounts below them, and those on \`/tmp\` and
\`/dev/shm\`, cover what is there.

Bind mounts take the options \`bind\` (without what is mounted below), \`rbind\`, \`ro\`, \`rro\`, \`nosuid\`, \`nodev\`, \`noexec\`, \`private\`, \`rprivate\`,
\`slave\` and \`rslave\`; other file systems \`ro\`, \`nosuid\`, \`nodev\`, \`noexec\`, \`strictatime\`, \`relatime\`, \`noatime\`, \`nodiratime\`, \`lazytime\`, \`sync\`, \`dirsync\`,
\`nosymfollow\`, and what the file system itself knows. What goes without saying (\`rw\`, \`suid\`, \`defaults\` and so on) is allowed. Mounts that would
show to the host (\`shared\`) are refused.

## System calls

A profile in \`linux.seccomp\` takes the place of the filter that containers have. With \`noNewPrivileges\` it is loaded last, right
before the payload; without, what comes before has to be allowed by it as well: \`capset\`, \`prctl\`, \`setgroups\`, \`setresgid\` and
\`setresuid\`. Calls through an architecture that is not listed kill. Calls that are newer than all that the profile names fail
with ENOSYS, unless the default action lets them through.

## Limits

On hosts with systemd and a unified hierarchy limits are properties of the container's scope; elsewhere they are set on a control group of its
own. A list of devices holds where there is a scope of systemd, or the devices controller of version 1; where there is
neither, that is a warning.

## Hooks

Each hook gets the state of the container on stdin, and nothing but its own environment. One that fails before the payload has started ends the
container; what it wrote is part of the message. While one runs, nothing else happens. \`poststop\` is not run when \`tsnspawn\` itself is killed with
SIGKILL.

## Fields

`

/** The page, whole. */
export function ociPage(): string {
  const cell = (text: string) => text.replaceAll('|', '\\|')
  const taken = ociFields.flatMap(({ path, sets }) =>
    sets === undefined ? [] : [`| \`${path}\` | ${cell(sets)} |`],
  )
  const refused = ociFields.flatMap(({ path, refused: why }) =>
    why === undefined ? [] : [`| \`${path}\` | ${cell(why)} |`],
  )
  return `${head}| Field | Sets |
| --- | --- |
${taken.join('\n')}

## Refused fields

| Field | Why |
| --- | --- |
${refused.join('\n')}
`
}
