import { quote } from "./quote.ts";

/**
 * Mounts an EROFS image straight from its file, by the calls that mount(8) makes for it since util-linux 2.41. Before, it puts a loop device
 * under the file, and the kernel then seeks the image's other files among disks.
 *
 * The calls have the same numbers on all machines.
 */
export function erofsLines(source: string, target: string, options: readonly string[]): string[] {
  const strings = options.filter((option) => option.includes("=")).map((option) => ` \\\n  ${quote(option)}`);
  return [
    "# mount -t erofs, which needs util-linux 2.41 to do this",
    `perl -e '
my ($source, $target, @options) = @ARGV;
sub call { my ($number, @arguments) = @_; my $got = syscall($number, @arguments); die "mount $source: $!\\n" if $got < 0; $got }
my $fs = call(430, "erofs", 0); # fsopen
call(431, $fs, 1, "source", $source, 0); # fsconfig: a string
call(431, $fs, 1, split(/=/, $_, 2), 0) for @options;
call(431, $fs, 6, 0, 0, 0); # make it
call(429, call(432, $fs, 0, 1), "", -100, $target, 4); # fsmount read-only, move_mount
' ${quote(source)} ${target}${strings.join("")}`,
  ];
}
