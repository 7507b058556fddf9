/** The packages that a distribution's own builders put into every build root. */
import type { BaseTree } from '../base-tree.ts'

/** Fedora's group buildsys-build, which is not everywhere. */
const common = [
  ...['bash', 'bzip2', 'coreutils', 'cpio', 'diffutils', 'findutils', 'gawk', 'grep', 'gzip'],
  ...['info', 'patch', 'redhat-rpm-config', 'rpm-build', 'sed', 'shadow-utils', 'tar', 'unzip'],
  ...['util-linux', 'which', 'xz'],
]

const enterprise = ['rhel', 'centos', 'rocky', 'almalinux', 'ol']

/** What mock's configuration for the distribution installs first. */
export function toolchainPackages({ id = '', version = '' }: BaseTree['os']): readonly string[] {
  if (id === 'fedora') return common
  if (enterprise.includes(id))
    return version.split('.')[0] === '8' ? [...common, 'gcc', 'gcc-c++', 'make'] : common
  if (/^(opensuse|sle)/.test(id)) return ['patterns-devel-base-devel_rpm_build', 'rpm-build']
  return ['rpm-build']
}
